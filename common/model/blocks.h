/*
 * A tensor's rows in pieces that several threads may hand to pl_weights_set() at once: no two
 * pieces share a panel of the matrix the tensor lies in (common/math/mat.h), though two tensors
 * may.
 */
#ifndef PL_MODEL_BLOCKS_H
#define PL_MODEL_BLOCKS_H

#include "common/math/mat.h"
#include "common/model/shape.h"

struct pl_blocks {
    size_t rows;  /* of the tensor */
    size_t first; /* of the first piece; the others have PL_PANEL, the last perhaps fewer */
    size_t count;
};

/* The row of the fused matrix at which the tensor begins (k behind q, up behind gate). */
static inline size_t pl_blocks_shift(const struct pl_config *config, enum pl_role role)
{
    const size_t q = config->heads * config->head_dim, kv = config->kv_heads * config->head_dim;

    return role == PL_ROLE_K    ? q
           : role == PL_ROLE_V  ? q + kv
           : role == PL_ROLE_UP ? config->ffn
                                : 0;
}

static inline struct pl_blocks pl_blocks_of(const struct pl_config *config,
                                            const struct pl_tensor *tensor)
{
    const size_t over = pl_blocks_shift(config, tensor->role) % PL_PANEL;
    struct pl_blocks blocks = {tensor->rows, PL_PANEL - over, 1};

    if (tensor->rank == 1 || tensor->rows <= blocks.first)
        blocks.first = tensor->rows;
    else
        blocks.count += (tensor->rows - blocks.first + PL_PANEL - 1) / PL_PANEL;
    return blocks;
}

/* Rows [row, row + *ret_rows) are piece i. */
static inline size_t pl_blocks_row(const struct pl_blocks *blocks, size_t i, size_t *ret_rows)
{
    const size_t row = i == 0 ? 0 : blocks->first + (i - 1) * PL_PANEL;
    const size_t end = blocks->first + i * PL_PANEL;

    *ret_rows = (end < blocks->rows ? end : blocks->rows) - row;
    return row;
}

/* Elements of the largest piece of any tensor: what a thread needs as scratch. */
static inline size_t pl_blocks_elements(const struct pl_shape *shape)
{
    size_t most = 0;

    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];
        const size_t n =
            t->rank == 1 || t->rows < PL_PANEL ? pl_tensor_size(t) : PL_PANEL * t->cols;

        most = n > most ? n : most;
    }
    return most;
}

#endif
