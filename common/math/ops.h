/*
 * Row operators of the forward pass. Each row's result depends on that row alone, and has the same
 * bits on every instruction set: sums run in 16 lanes (element i goes to lane i mod 16), lanes are
 * then added in a fixed tree, exp and log are our own.
 *
 *   R rows, C width, H heads, G key/value heads, D head size, F feed-forward, V vocabulary
 *
 * Outputs first; rows are `ld` floats apart where an ld is given, else contiguous.
 */
#ifndef PL_MATH_OPS_H
#define PL_MATH_OPS_H

#include "common/math/mat.h"

#include <stddef.h>
#include <stdint.h>

/* Rotary angles: cos and sin of position * frequency, (positions, D/2). Made by pl_rope_create()
 * (model/rope.h). */
struct pl_rope {
    size_t positions, half; /* half = D / 2 */
    float *cos, *sin;       /* (positions, half) */
};

/* x[r] = W[ids[r]], x: (R, C); W is the embedding (V, C). Every id must be below V. */
void pl_embed(float *x, const struct pl_mat *w, const uint32_t *ids, size_t R);

/* y[n,c] = x[n,c] r[n] w[c],  r[n] = (mean_c x[n,c]^2 + eps)^(-1/2).  rstd (R) may be NULL. */
void pl_rmsnorm(float *y, float *rstd, const float *x, const float *w, float eps, size_t R,
                size_t C);

/*
 * Rotate the first `heads` heads of every row by its position, in place: with a = x[i], b = x[i +
 * D/2], x[i] = a cos - b sin, x[i + D/2] = b cos + a sin. x: (R, ldx). Positions must be below
 * rope->positions.
 */
void pl_rope_apply(float *x, size_t ldx, const struct pl_rope *rope, const uint32_t *positions,
                   size_t R, size_t heads);

/* y[r,f] = silu(gu[r,f]) gu[r,F+f],  silu(g) = g / (1 + exp(-g));  y: (R, F), gu: (R, 2F) */
void pl_silu_mul(float *y, const float *gu, size_t R, size_t F);

/*
 * y[v] = x[v] (1 / temperature), the reciprocal rounded first: logits of the policy that is sampled
 * and trained. y may be x. Temperature 1 changes no bit; 0, greedy, counts as 1. One thread.
 */
void pl_temper(float *y, const float *x, float temperature, size_t V);

/* log sum_v exp(x[v]), over (V); finite for finite x. One thread. */
double pl_logsumexp(const float *x, size_t V);

/* lse[r] of R rows (R, V), all threads. */
void pl_logsumexp_rows(double *lse, const float *x, size_t R, size_t V);

/* y[i] = exp(x[i] - shift), one thread; below -87.3 it is 0, above 88.3 the largest value. */
void pl_exp_shifted(float *y, const float *x, float shift, size_t n);

/* The largest of n >= 1 values (no NaN), one thread. */
float pl_max(const float *x, size_t n);

/* sum x[i], sum x[i] y[i]: 16 lanes and the tree, one thread. */
float pl_sum(const float *x, size_t n);
float pl_dot(const float *x, const float *y, size_t n);

#endif
