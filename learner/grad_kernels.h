/*
 * The innermost loops of backward and optimiser, built once for each instruction set from one
 * source (grad_kernels.c on common/math/simd.h), as common/math/kernels.h is. All sets give the
 * same bits; the one in use is the one that pl_kernels() uses.
 */
#ifndef PL_LEARNER_GRAD_KERNELS_H
#define PL_LEARNER_GRAD_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* What one AdamW update needs beside the arrays; see adamw.h for the formula. */
struct pl_adamw_step {
    float grad_scale;          /* clipping */
    float keep;                /* 1 - lr * weight_decay */
    float beta2, lerp1, lerp2; /* beta2, 1 - beta1, 1 - beta2 */
    float root_bias2;          /* sqrt(1 - beta2^t) */
    float eps;
    float minus_lr; /* -lr / (1 - beta1^t) */
};

struct pl_grad_kernels {
    const char *name; /* "avx512", "avx2", "plain" */

    /* One row; the formulas are in ops_grad.h. dx and dw are added to. */
    void (*rmsnorm)(float *dx, float *dw, const float *dy, const float *x, const float *w,
                    float rstd, size_t C);
    /* One head, in place. */
    void (*rope)(float *dx, const float *cos, const float *sin, size_t half);
    /* One row; dgate may be gate, and dup may be up. */
    void (*silu_mul)(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                     size_t n);

    /*
     * One row of attention weights over n keys (a multiple of 16), of which the first `valid`
     * count: s: scores in, p = exp(s - lse) out; dp: in, ds = p (dp - delta) out; both 0 past
     * `valid`.
     */
    void (*weights)(float *s, float *dp, float lse, float delta, size_t valid, size_t n);

    /* x[v] = (a - b (x[v] - lse)) exp(x[v] - lse), in place */
    void (*softmax)(float *x, float lse, float a, float b, size_t n);
    /* sum_v exp(x[v] - lse) (x[v] - lse), the entropy of the row with its sign turned */
    double (*neg_entropy)(const float *x, float lse, size_t n);

    /* y += a x */
    void (*axpy)(float *y, float a, const float *x, size_t n);
    /* sum x^2 in double */
    double (*squares)(const float *x, size_t n);
    /* One AdamW update of n values; grad is set to zero. bf16: the new values, rounded; may be
     * NULL. */
    void (*adamw)(float *master, float *m, float *v, float *grad, uint16_t *bf16,
                  const struct pl_adamw_step *step, size_t n);
};

const struct pl_grad_kernels *pl_grad_kernels(void);

#endif
