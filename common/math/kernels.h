/*
 * The innermost loops, built once for each instruction set from one source (kernels.c on simd.h)
 * and chosen when first used. All sets give the same bits. PLAIT_ISA=avx512|avx2|plain overrides
 * the choice.
 */
#ifndef PL_MATH_KERNELS_H
#define PL_MATH_KERNELS_H

#include <stddef.h>
#include <stdint.h>

struct pl_kernels {
    const char *name; /* "avx512", "avx2", "plain" */

    /*
     * c[m,n] = (add ? c[m,n] : 0) + fma chain over k of a[m*rs + k*cs] b[k*ldb + n], from zero
     * c: (M, ldc), b: (K, ldb), N a multiple of 16. For attention and other small products.
     */
    void (*tile)(float *c, size_t ldc, const float *a, size_t rs, size_t cs, const float *b,
                 size_t ldb, size_t M, size_t K, size_t N, int add);
    /* The same chain started from c itself instead of zero: c = fma chain from c. */
    void (*tile_chain)(float *c, size_t ldc, const float *a, size_t rs, size_t cs, const float *b,
                       size_t ldb, size_t M, size_t K, size_t N);

    /*
     * One k-block of pl_gemm() for one panel: a is packed in tiles of rows_max rows, the last of
     * just as many as are left, each (K, rows of the tile);
     * c[m, 0..n) = init + chain, init as in pl_gemm(), n <= 32 columns.
     */
    size_t rows_max;
    void (*panel)(float *c, size_t ldc, const float *a, const uint32_t *words, size_t M, size_t K,
                  size_t n, const float *init, size_t ldinit);

    /* A tile of a for panel(): out[k * rows + i] = x[i * ldx + k], i < rows <= rows_max, k < K. */
    void (*pack)(float *out, const float *x, size_t ldx, size_t rows, size_t K);

    /*
     * Scores of one page to weights, for `rows` query rows: row r has scores s[r * 32 + j], of
     * which the first valid[r] count (0 to 32). Updates the running maximum m[r] and sum l[r],
     * rescales o[r * ldo + ..D), and leaves exp(s - m) in s, 0 where a key does not count.
     */
    void (*page_softmax)(float *s, size_t rows, const size_t *valid, float *m, float *l, float *o,
                         size_t ldo, size_t D);

    void (*rmsnorm)(float *y, float *rstd, const float *x, const float *w, float eps, size_t C);
    void (*rope)(float *x, const float *cos, const float *sin, size_t half);
    void (*silu_mul)(float *y, const float *gate, const float *up, size_t n);
    void (*exp_shifted)(float *y, const float *x, float shift, size_t n);
    float (*exp_sum)(float *y, const float *x, float shift,
                     size_t n); /* and their sum; y may be NULL */
    float (*max)(const float *x, size_t n);
    float (*sum)(const float *x, size_t n);
    float (*dot)(const float *x, const float *y, size_t n);
};

const struct pl_kernels *pl_kernels(void);

/* By name, or NULL when the machine or the build lacks it: for tests and benchmarks. */
const struct pl_kernels *pl_kernels_named(const char *name);
/* Use another set from now on; for tests. */
void pl_kernels_use(const struct pl_kernels *kernels);

#endif
