#include "common/text/ids.h"

#include "common/base/err.h"

#include <stdlib.h>
#include <string.h>

void pl_ids_init(struct pl_ids *ids, size_t len_max)
{
    *ids = (struct pl_ids){.len_max = len_max};
}

void pl_ids_release(struct pl_ids *ids)
{
    free(ids->data);
    *ids = (struct pl_ids){.len_max = ids->len_max};
}

void pl_ids_clear(struct pl_ids *ids)
{
    ids->len = 0;
}

int pl_ids_append(struct pl_ids *ids, const uint32_t *more, size_t n)
{
    if (n > ids->len_max || ids->len > ids->len_max - n)
        return PL_EFULL;
    if (n > ids->cap - ids->len) {
        size_t cap = ids->cap ? ids->cap : 32;
        uint32_t *data;

        while (cap < ids->len + n)
            cap = cap > SIZE_MAX / 8 ? ids->len + n : cap * 2;
        if (cap > SIZE_MAX / sizeof *data)
            return PL_ENOMEM;
        data = realloc(ids->data, cap * sizeof *data);
        if (!data)
            return PL_ENOMEM;
        ids->data = data;
        ids->cap = cap;
    }
    if (n > 0)
        memcpy(ids->data + ids->len, more, n * sizeof *more);
    ids->len += n;
    return PL_OK;
}

int pl_ids_push(struct pl_ids *ids, uint32_t id)
{
    return pl_ids_append(ids, &id, 1);
}
