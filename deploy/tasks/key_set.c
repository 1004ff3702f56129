#include "deploy/tasks/key_set.h"

#include "common/base/buf.h"
#include "common/base/err.h"

#include <stdlib.h>

enum { CAP_LEAST = 1024 };

/* Where a key lies or would be put. Keys are taken for random, as hashes are. */
static size_t find(const uint64_t *slots, size_t cap, uint64_t key)
{
    size_t at = (size_t)key & (cap - 1);

    while (slots[at] != 0 && slots[at] != key)
        at = (at + 1) & (cap - 1);
    return at;
}

static int grow(struct pl_key_set *set)
{
    const size_t cap = set->cap ? set->cap * 2 : CAP_LEAST;
    uint64_t *slots = pl_alloc(cap, sizeof *slots);

    if (!slots)
        return PL_ENOMEM;
    for (size_t i = 0; i < set->cap; i++) {
        if (set->slots[i] != 0)
            slots[find(slots, cap, set->slots[i])] = set->slots[i];
    }
    free(set->slots);
    set->slots = slots;
    set->cap = cap;
    return PL_OK;
}

int pl_key_set_add(struct pl_key_set *set, uint64_t key, bool *ret_new)
{
    size_t at;

    if (key == 0)
        key = 1;
    if (2 * (set->count + 1) > set->cap) {
        const int rc = grow(set);

        if (rc < 0)
            return rc;
    }
    at = find(set->slots, set->cap, key);
    *ret_new = set->slots[at] == 0;
    set->count += *ret_new;
    set->slots[at] = key;
    return PL_OK;
}

void pl_key_set_release(struct pl_key_set *set)
{
    free(set->slots);
    *set = (struct pl_key_set){0};
}

uint64_t pl_key_mix(uint64_t a, uint64_t b)
{
    uint64_t x = a * UINT64_C(0x9e3779b97f4a7c15) + b + UINT64_C(0x632be59bd9b4e019);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}
