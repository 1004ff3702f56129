#include "common/link/policy.h"

#include "common/base/pulse.h"
#include "common/math/mat.h"
#include "common/model/blocks.h"

#include <stdlib.h>

int pl_policy_table(const struct pl_shape *shape, struct pl_bcast_tensor **ret_tensors,
                    struct pl_bcast_table *ret_table)
{
    struct pl_bcast_tensor *tensors = calloc(shape->count, sizeof *tensors);
    size_t first = 0;

    if (!tensors)
        return PL_ENOMEM;
    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];

        tensors[i] = (struct pl_bcast_tensor){.name = t->name,
                                              .dims = {(uint32_t)t->rows, (uint32_t)t->cols},
                                              .rank = (uint32_t)t->rank,
                                              .first = first,
                                              .count = pl_tensor_size(t)};
        first += tensors[i].count;
    }
    *ret_tensors = tensors;
    *ret_table = (struct pl_bcast_table){tensors, shape->count, first};
    return PL_OK;
}

void pl_policy_round(const struct pl_shape *shape, const float *flat, uint16_t *ret_values)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];
        const size_t n = pl_tensor_size(t);
        const float *from = flat + t->offset;

#pragma omp parallel for schedule(static)
        for (size_t j = 0; j < n; j++)
            ret_values[j] = pl_bf16_round(from[j]);
        ret_values += n;
    }
}

void pl_policy_install(const uint16_t *values, struct pl_weights *weights)
{
    const struct pl_shape *shape = weights->shape;

    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];
        const struct pl_blocks blocks = pl_blocks_of(&shape->config, t);

#pragma omp parallel for schedule(static)
        for (size_t b = 0; b < blocks.count; b++) {
            size_t rows;
            const size_t row = pl_blocks_row(&blocks, b, &rows);

            pl_weights_set(weights, t, row, rows, values + row * t->cols);
        }
        values += pl_tensor_size(t);
        pl_pulse();
    }
}
