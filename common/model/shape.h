/*
 * The one table of a model's tensors: name, shape, place in a flat array of parameters. Weights,
 * gradients, optimiser state, checkpoints and broadcasts all follow it.
 *
 * Tensors are listed in Transformers' order. Their places in the flat array differ from the list in
 * one way: q, k and v of a layer lie together, as do their biases, and gate and up, because they
 * are multiplied as one matrix. Every such group starts at a multiple of 16 floats; the gap before
 * it is padding that stays zero.
 */
#ifndef PL_MODEL_SHAPE_H
#define PL_MODEL_SHAPE_H

#include "common/base/err.h"
#include "common/model/config.h"

#include <stddef.h>

enum pl_role {
    PL_ROLE_EMBED,
    PL_ROLE_NORM1, /* input_layernorm */
    PL_ROLE_Q,
    PL_ROLE_Q_BIAS,
    PL_ROLE_K,
    PL_ROLE_K_BIAS,
    PL_ROLE_V,
    PL_ROLE_V_BIAS,
    PL_ROLE_O,
    PL_ROLE_NORM2, /* post_attention_layernorm */
    PL_ROLE_GATE,
    PL_ROLE_UP,
    PL_ROLE_DOWN,
    PL_ROLE_NORM_F, /* model.norm */
    PL_ROLE_HEAD,   /* lm_head; absent when tied */
};

struct pl_tensor {
    char name[64]; /* "model.layers.3.self_attn.q_proj.weight" */
    enum pl_role role;
    size_t layer; /* 0 where the tensor is in no layer */
    size_t rank;  /* 1: vector of `rows`, cols = 1. 2: matrix (rows, cols), y = W x */
    size_t rows, cols;
    size_t offset; /* first float in a flat array of shape->floats */
};

struct pl_shape {
    struct pl_config config;
    struct pl_tensor *tensors;
    size_t count;
    size_t params; /* parameters of the model */
    size_t floats; /* length of a flat array: params and the padding */
};

/* *ret_shape is the caller's, ended with pl_shape_destroy(). PL_ENOMEM; pl_config_check()'s errors.
 */
int pl_shape_create(const struct pl_config *config, struct pl_shape **ret_shape,
                    struct pl_error *err);
void pl_shape_destroy(struct pl_shape *shape); /* NULL is fine */

/* The tensor of that role in that layer; NULL when the model has none (a bias, a tied head). */
const struct pl_tensor *pl_shape_find(const struct pl_shape *shape, enum pl_role role,
                                      size_t layer);
/* By its name in a file, NULL when it is not one of this model's. */
const struct pl_tensor *pl_shape_named(const struct pl_shape *shape, const char *name);

static inline size_t pl_tensor_size(const struct pl_tensor *t)
{
    return t->rows * t->cols;
}

#endif
