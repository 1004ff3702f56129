/*
 * The transformer, forward: one function for prefill, decode and training.
 *
 *   R rows (tokens) of any number of sequences, packed without padding; C hidden, H heads,
 *   G key/value heads, D head size, F feed-forward, V vocabulary, L layers
 *
 * What a layer computes is written to a struct pl_acts. Decoding gives every layer the same one;
 * training gives each its own, and its backward reads them.
 */
#ifndef PL_MODEL_FORWARD_H
#define PL_MODEL_FORWARD_H

#include "common/math/attn.h"
#include "common/math/ops.h"
#include "common/model/weights.h"

#include <stddef.h>
#include <stdint.h>

/* Rows to compute. A row's position is below rope->positions; ids are below V. */
struct pl_batch {
    const uint32_t *ids;         /* (R) */
    const uint32_t *positions;   /* (R), in agreement with the spans */
    size_t rows;                 /* R */
    const struct pl_span *spans; /* who asks: every row in exactly one span */
    size_t span_count;
    /*
     * Where keys and values go; NULL: as the spans say. A training batch stores the end of a shared
     * prompt once more in the page that each response continues in.
     */
    const struct pl_span *stores;
    size_t store_count;
};

struct pl_acts {
    float *x;     /* (R, C) what enters the layer */
    float *rstd1; /* (R) */
    float *h1;    /* (R, C) after the first norm */
    float *qkv;   /* (R, (H + 2G) D) with bias, q and k rotated */
    float *att;   /* (R, H D) */
    float *lse;   /* (R, H) */
    float *mid;   /* (R, C) x + attention */
    float *rstd2; /* (R) */
    float *h2;    /* (R, C) after the second norm */
    float *gu;    /* (R, 2F) gate, up */
    float *act;   /* (R, F) silu(gate) up */
};

/* Floats of one struct pl_acts for R rows, and its pointers set into such a block (64-byte
 * aligned). */
size_t pl_acts_floats(const struct pl_config *config, size_t R);
void pl_acts_place(struct pl_acts *acts, const struct pl_config *config, size_t R, float *block);

/*
 * One layer: acts->x in, x_next (R, C) out; keys and values go to `pages`. x_next may be acts->x
 * (decoding), because acts->mid holds the residual by then.
 */
void pl_forward_layer(float *x_next, const struct pl_weights *w, const struct pl_rope *rope,
                      size_t layer, const struct pl_batch *batch, const struct pl_pages *pages,
                      struct pl_acts *acts);

/*
 * All layers with one set of activations (nothing kept). x: (R, C), the residual stream after the
 * last layer, before the final norm; acts->x is not used.
 */
void pl_forward(float *x, const struct pl_weights *w, const struct pl_rope *rope,
                const struct pl_batch *batch, const struct pl_pages *pages, struct pl_acts *acts);

/*
 * Final norm of chosen rows: h[i] (n, C) for row rows[i] of x, or row i where rows is NULL.
 * rstd: (n) or NULL.
 */
void pl_forward_norm(float *h, float *rstd, const struct pl_weights *w, const float *x,
                     const uint32_t *rows, size_t n);

/*
 * Final norm and vocabulary projection of chosen rows: logits[i] for row rows[i] of x, or row i
 * where rows is NULL. h: (n, C) the normed rows, rstd (n) or NULL, logits: (n, V).
 */
void pl_forward_head(float *logits, float *h, float *rstd, const struct pl_weights *w,
                     const float *x, const uint32_t *rows, size_t n);

#endif
