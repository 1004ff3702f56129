/*
 * Backward of the row operators in common/math/ops.h. Every result has the same bits for any number
 * of threads and on every instruction set: rows are independent, and sums over rows run in blocks
 * of a fixed number of rows, which are then added in order.
 *
 *   R rows, C width, F feed-forward, V vocabulary
 */
#ifndef PL_LEARNER_OPS_GRAD_H
#define PL_LEARNER_OPS_GRAD_H

#include "common/math/ops.h"

#include <stddef.h>
#include <stdint.h>

/*
 *   y[n,c]   = x[n,c] r[n] w[c],  r[n] = (mean_c x[n,c]^2 + eps)^(-1/2)
 *   dw[c]   += sum_n dy[n,c] x[n,c] r[n]
 *   dx[n,c] += r[n] (g[c] - x[n,c] r[n]^2 mean_k(g[k] x[n,k])),  g[c] = dy[n,c] w[c]
 *
 * rstd: r (R), kept by the forward.
 *
 * rows: where row n of x and dx is, all different; NULL: row n. dy and rstd are always at n.
 * scratch: pl_rmsnorm_bwd_scratch() floats.
 */
void pl_rmsnorm_bwd(float *dx, float *dw, const float *dy, const float *x, const float *w,
                    const float *rstd, const uint32_t *rows, size_t R, size_t C, float *scratch);
size_t pl_rmsnorm_bwd_scratch(size_t R, size_t C);

/*
 * The forward turns (a, b) to (a cos - b sin, b cos + a sin); the backward turns the gradient back,
 * in place: da = da' cos + db' sin, db = db' cos - da' sin. Nothing is kept but the positions. It
 * replaces instead of adding, because nothing else reads the turned values.
 */
void pl_rope_bwd(float *dx, size_t ldx, const struct pl_rope *rope, const uint32_t *positions,
                 size_t R, size_t heads);

/*
 *   y[r,f] = silu(g) u,  g = gu[r,f], u = gu[r,F+f], kept by the forward
 *   dg = dy u s (1 + g (1 - s)),  du = dy g s,  s = 1 / (1 + exp(-g))
 *
 * dgu: (R, 2F), set and not added to; it may be gu itself, which saves a pass over the widest
 * array.
 */
void pl_silu_mul_bwd(float *dgu, const float *dy, const float *gu, size_t R, size_t F);

/* x[r] = W[ids[r]]:  dw[ids[r]] += dx[r], r ascending. dw: (V, C), dx: (R, C) */
void pl_embed_bwd(float *dw, const float *dx, const uint32_t *ids, size_t R, size_t C);

#endif
