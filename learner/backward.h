/*
 * The backward through all layers of the transformer, from the gradient of the residual stream
 * after the last layer down to the embedding. Gradients are added to one flat array laid out by
 * struct pl_shape.
 *
 *   R rows, C hidden, H heads, G kv heads, D head size, F feed-forward, L layers
 */
#ifndef PL_LEARNER_BACKWARD_H
#define PL_LEARNER_BACKWARD_H

#include "learner/batch.h"
#include "learner/forward.h"

#include <stddef.h>

/* Where the gradient of each tensor is in the flat array. */
struct pl_layer_grads {
    float *qkv, *qkv_bias; /* ((H + 2G) D, C), ((H + 2G) D) or NULL */
    float *o;              /* (C, H D) */
    float *gate_up, *down; /* (2F, C), (C, F) */
    float *norm1, *norm2;  /* (C) */
};

struct pl_grads {
    float *flat;  /* shape->floats */
    float *embed; /* (V, C) */
    float *head;  /* (V, C), embed when tied */
    float *norm_f;
    struct pl_layer_grads *layers; /* (L) */
};

/* Set all pointers into `flat`; grads->layers is the caller's, (L). */
void pl_grads_place(struct pl_grads *grads, const struct pl_shape *shape, float *flat);

/* Arrays of the backward, all written before they are read. */
struct pl_backward_scratch {
    float *dh;      /* (R, max(C, H D)) */
    float *dact;    /* (R, F) */
    float *dqkv;    /* (R, (H + 2G) D) */
    float *attn;    /* pl_attn_grad_scratch() for `threads` */
    float *gemm;    /* pl_gemm_dx_scratch() of the largest matrix */
    float *norm;    /* pl_rmsnorm_bwd_scratch() */
    size_t threads; /* of OpenMP when it was placed; attention works with no more */
};

size_t pl_backward_floats(const struct pl_weights *w, size_t R);
void pl_backward_place(struct pl_backward_scratch *scratch, const struct pl_weights *w, size_t R,
                       float *block);

/*
 * dx: (R, C), in: the gradient of tape->x_out; out: the gradient of what entered the first layer,
 * which has been added to the embedding's. The tape holds the forward of the same pack; its gate
 * and up activations are gone afterwards.
 */
void pl_backward(float *dx, const struct pl_grads *grads, const struct pl_weights *w,
                 const struct pl_rope *rope, const struct pl_pack *pack, const struct pl_tape *tape,
                 const struct pl_backward_scratch *scratch);

#endif
