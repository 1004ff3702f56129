/*
 * The value head: one number for each prediction of a pack, what the return is expected to be from
 * before that token on.
 *
 *   h = norm(x),  V = w h + b;   w: (C), b: one number
 *   For a row with predictions of slopes g_p, and g their sum:
 *     dw += g h,  db += g,  dh = g w,  then backward through the norm
 *
 * It is the head of a token classifier of one label (Transformers: score.weight, score.bias), which
 * is what verl's critic is. It begins at zero: then every value is zero, the first advantages are
 * the returns themselves, and nothing is random. The trunk under it learns from the second step
 * on, when w is no longer zero.
 *
 * w and b are f32, in the forward too: they follow the tensors of the model in the flat arrays of
 * optimiser and gradient and are never rounded.
 */
#ifndef PL_LEARNER_VALUE_H
#define PL_LEARNER_VALUE_H

#include "common/model/weights.h"
#include "learner/backward.h"
#include "learner/head_rows.h"
#include "learner/objective.h"

#include <stddef.h>

enum { PL_VALUE_TENSORS = 2 };

/* Where the head lies behind the tensors of `shape` in a flat array: weight, then bias. */
void pl_value_tensors(const struct pl_shape *shape, struct pl_tensor ret[PL_VALUE_TENSORS]);
size_t pl_value_floats(const struct pl_config *config); /* C + 1 */

struct pl_value_head {
    const float *w, *b; /* (C), (1) */
    float *dw, *db;     /* gradients of the same sizes */
};

struct pl_value_scratch {
    struct pl_head_rows at; /* of a chunk of normed rows */
    float *h, *dh;          /* (chunk, C) */
    float *rstd, *slope;    /* (chunk) */
    float *dvalue;          /* (predictions) */
    float *norm;            /* of the backward's scratch */
};

size_t pl_value_bytes(const struct pl_config *config, size_t rows, size_t predictions);
void pl_value_place(struct pl_value_scratch *scratch, const struct pl_config *config, size_t rows,
                    size_t predictions, void *block);

/* Values of all predictions of the pack; x: (R, C) after the last layer. */
void pl_value_score(float *value, const struct pl_value_head *head, const struct pl_weights *w,
                    const float *x, const struct pl_pack *pack,
                    const struct pl_value_scratch *scratch);

/*
 * The same, and gradients: dx (R, C) is set, head->dw, head->db and grads->norm_f are added to.
 * The objective is asked for slopes by value.
 */
void pl_value_loss(float *value, float *dx, const struct pl_value_head *head,
                   const struct pl_grads *grads, const struct pl_weights *w, const float *x,
                   const struct pl_pack *pack, const struct pl_objective *objective,
                   const struct pl_value_scratch *scratch);

#endif
