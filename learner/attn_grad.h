/*
 * Backward of causal attention (common/math/attn.h) over packed rows.
 *
 * Keys and values are read from the rows themselves, not from pages: a row's key is the same number
 * wherever it was stored. Rows that see each other form a cluster: a prompt and what continues it.
 *
 *   cluster: spans [span, span + count); the first begins at position 0, each other one continues
 *   it at position = its number of rows. A row of such a span sees all rows of the first span and
 *   the rows of its own span up to itself.
 *
 *   H query heads, G key/value heads, D head size, R rows
 *   s[i,j] = q_i k_j / sqrt(D),  p[i,j] = exp(s[i,j] - lse[i]),  o_i = sum_j p[i,j] v_j
 *
 *   delta_i = sum_d do[i,d] o[i,d]
 *   dv_j = sum_i p[i,j] do_i,   dp[i,j] = do_i v_j,   ds[i,j] = p[i,j] (dp[i,j] - delta_i)
 *   dq_i = sum_j ds[i,j] k_j / sqrt(D),   dk_j = sum_i ds[i,j] q_i / sqrt(D)
 *
 * The forward kept q, k, v (rotated), o and lse. Work is dealt out by (cluster, key/value head),
 * each with outputs of its own and a fixed order inside: the same bits for any number of threads.
 */
#ifndef PL_LEARNER_ATTN_GRAD_H
#define PL_LEARNER_ATTN_GRAD_H

#include "common/math/attn.h"

#include <stddef.h>

struct pl_cluster {
    size_t span, count;
};

struct pl_attn_grad {
    const struct pl_span *spans;
    const struct pl_cluster *clusters;
    size_t cluster_count;
    size_t heads, kv_heads, head_dim; /* H, G, D */
    size_t rows;                      /* R */
    size_t threads;                   /* that work on it, at most */
    float *scratch; /* pl_attn_grad_scratch() floats for as many, 64-byte aligned */
};

size_t pl_attn_grad_scratch(size_t threads, size_t rows, size_t heads, size_t head_dim);

/*
 * dqkv: (R, (H + 2G) D), all of it set (not added to: one array, one writer); qkv: the same shape;
 * out, dout: (R, H D); lse: (R, H).
 */
void pl_attn_bwd(float *dqkv, const float *qkv, const float *out, const float *dout,
                 const float *lse, const struct pl_attn_grad *at);

#endif
