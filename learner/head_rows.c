#include "learner/head_rows.h"

#include "common/base/check.h"

enum { LINE = 64 }; /* bytes */

size_t pl_head_rows_next(const struct pl_head_rows *rows, const struct pl_pack *pack, size_t p)
{
    size_t n = 0;

    for (; p < pack->prediction_count; p++) {
        const uint32_t row = pack->predictions[p].row;

        if (n > 0 && rows->rows[n - 1] == row)
            continue;
        PL_ASSERT(n == 0 || rows->rows[n - 1] < row); /* in the order of rows: each is met once */
        if (n == rows->chunk)
            break;
        rows->first[n] = (uint32_t)p;
        rows->rows[n++] = row;
    }
    rows->first[n] = (uint32_t)p;
    return n;
}

void *pl_head_take(void *block, size_t *used, size_t bytes)
{
    void *at = block ? (char *)block + *used : NULL;

    *used += (bytes + LINE - 1) / LINE * LINE;
    return at;
}
