/*
 * Final norm, vocabulary projection and loss, fused: logits exist for a chunk of rows at a time,
 * and are turned into their own gradient in place.
 *
 *   h = norm(x),  u = W h,  z = u / T,  lse = log sum_v exp(z_v),  logp = z_target - lse
 *   For a row with predictions of slopes g_p, and e the sum of its entropy slopes:
 *     dz_v = sum_p g_p (target_p = v) - exp(z_v - lse) (sum_p g_p + e (z_v - lse + entropy))
 *   du = dz / T,  dh = du W,  dW += du^T h, then backward through the norm
 *
 * T is the temperature that the pack was sampled with, as in verl: the expected gradient of a
 * sample's log-probability is 0 only under the policy that it was drawn from.
 * logp has the sampler's bits: the same projection (common/model/forward.h), the same pl_temper()
 * and pl_logsumexp().
 */
#ifndef PL_LEARNER_HEAD_H
#define PL_LEARNER_HEAD_H

#include "common/model/weights.h"
#include "learner/backward.h"
#include "learner/head_rows.h"
#include "learner/objective.h"

#include <stddef.h>

struct pl_head_scratch {
    struct pl_head_rows at;  /* of a chunk of logits */
    float *logits;           /* (chunk, V) */
    float *h, *dh;           /* (chunk, C) */
    float *rstd;             /* (chunk) */
    double *lse;             /* (chunk) */
    float *entropy;          /* (chunk) */
    float *dlogp, *dentropy; /* (predictions) */
    float *gemm, *norm;      /* of the backward's scratch */
};

/* Rows of a chunk when logits may take `bytes`: whole blocks of the forward product, at least one.
 */
size_t pl_head_chunk(const struct pl_config *config, size_t bytes, size_t rows);

size_t pl_head_bytes(const struct pl_config *config, size_t chunk, size_t predictions);
void pl_head_place(struct pl_head_scratch *scratch, const struct pl_config *config, size_t chunk,
                   size_t predictions, void *block);

/* logp (and entropy, unless NULL) of all predictions of the pack; x: (R, C) after the last layer.
 */
void pl_head_score(float *logp, float *entropy, const struct pl_weights *w, const float *x,
                   const struct pl_pack *pack, const struct pl_head_scratch *scratch);

/* Somebody who sees the logits, a chunk at a time. */
struct pl_head_watch {
    void *at;
    /* (n, V) logits, untempered; row i has the predictions [first[i], first[i + 1]) of the pack. */
    void (*rows)(void *at, const float *logits, const uint32_t *first, size_t n);
};

/* The same without entropies, watched. */
void pl_head_watched(float *logp, const struct pl_weights *w, const float *x,
                     const struct pl_pack *pack, const struct pl_head_watch *watch,
                     const struct pl_head_scratch *scratch);

/*
 * The same, and gradients: dx (R, C) is set, grads->head and grads->norm_f are added to.
 * entropy may be NULL when the objective does not ask for it.
 */
void pl_head_loss(float *logp, float *entropy, float *dx, const struct pl_grads *grads,
                  const struct pl_weights *w, const float *x, const struct pl_pack *pack,
                  const struct pl_objective *objective, const struct pl_head_scratch *scratch);

#endif
