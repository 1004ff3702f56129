/*
 * A version of the policy, as the kernels read it: bf16 values, matrices packed into panels
 * (common/math/mat.h), q|k|v and gate|up fused, vectors widened to f32.
 *
 * Filled tensor by tensor; after that it is read by any number of threads and changed by none.
 */
#ifndef PL_MODEL_WEIGHTS_H
#define PL_MODEL_WEIGHTS_H

#include "common/base/err.h"
#include "common/math/mat.h"
#include "common/model/shape.h"

#include <stdint.h>

struct pl_layer {
    struct pl_mat qkv;     /* ((H + 2G) D, C) */
    struct pl_mat o;       /* (C, H D) */
    struct pl_mat gate_up; /* (2F, C): gate rows, then up rows */
    struct pl_mat down;    /* (C, F) */
    float *norm1, *norm2;  /* (C) */
    float *qkv_bias;       /* ((H + 2G) D), NULL without bias */
};

struct pl_weights {
    const struct pl_shape *shape; /* borrowed: must live longer */
    struct pl_mat embed;          /* (V, C) */
    struct pl_mat head;           /* (V, C): embed's own memory when tied */
    float *norm_f;                /* (C) */
    struct pl_layer *layers;      /* L of them */
    void *memory;                 /* what all the pointers above point into */
};

size_t pl_weights_bytes(const struct pl_shape *shape); /* what create will ask for */

/* All zero at first. Ended with pl_weights_destroy(). PL_ENOMEM. */
int pl_weights_create(const struct pl_shape *shape, struct pl_weights **ret_weights,
                      struct pl_error *err);
void pl_weights_destroy(struct pl_weights *weights); /* NULL is fine */

/* Sizes alone, every pointer to values NULL: for memory plans, before anything is allocated. Ended
 * with pl_weights_destroy(). PL_ENOMEM. */
int pl_weights_outline(const struct pl_shape *shape, struct pl_weights **ret_weights,
                       struct pl_error *err);

/*
 * Rows [row, row + rows) of a tensor from bf16 values, row-major (rows, cols); of a vector, `cols`
 * is 1. Several threads may set different pieces of one tensor at once (blocks.h), but not tensors
 * that are fused into one matrix: those may share a panel.
 */
void pl_weights_set(struct pl_weights *weights, const struct pl_tensor *tensor, size_t row,
                    size_t rows, const uint16_t *values);
/* The same out of them, to the bit what was set. */
void pl_weights_get(const struct pl_weights *weights, const struct pl_tensor *tensor, size_t row,
                    size_t rows, uint16_t *ret_values);

/* All tensors from a flat f32 array (shape->floats), each value rounded to the nearest bf16. Uses
 * all threads. */
void pl_weights_set_flat(struct pl_weights *weights, const float *flat);
void pl_weights_get_flat(const struct pl_weights *weights, float *ret_flat);

#endif
