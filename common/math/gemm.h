/*
 * Matrix products. The forward one is plait's own, on packed bf16 weights; the two backward ones go
 * to OpenBLAS in tiles of a fixed size. This is the only place that includes cblas.h.
 *
 * Forward, to the bit: an element of y is
 *
 *     y[m,n] = (((init + b_0) + b_1) + ...)
 *     b_j    = fma chain over k in block j, from zero, k ascending
 *
 * with blocks of PL_GEMM_KC values of k. No other row, no thread count and no instruction set
 * enters into it. All functions use the OpenMP threads and may not be called by several at once.
 */
#ifndef PL_MATH_GEMM_H
#define PL_MATH_GEMM_H

#include "common/math/mat.h"

#include <stddef.h>

enum { PL_GEMM_KC = 256 };

/*
 * y[m,n] = init[m * ldinit + n] + sum_k x[m,k] W[n,k];  y: (M, ldy), x: (M, ldx), W: (N, K)
 * init NULL: zero. ldinit 0: a bias (N) for every row. init may be y itself with ldinit = ldy.
 * y must not overlap x.
 */
void pl_gemm(float *y, size_t ldy, const float *x, size_t ldx, const struct pl_mat *w, size_t M,
             const float *init, size_t ldinit);

/*
 * pl_gemm() packs rows of x into memory that the process keeps and that grows with the largest
 * product met. Who must not allocate later asks for it ahead: what products of up to M rows of K
 * values take, and the asking. PL_ENOMEM: nothing has changed.
 */
size_t pl_gemm_packed_bytes(size_t M, size_t K);
int pl_gemm_reserve(size_t M, size_t K);

/* pl_gemm() as a plain loop on one thread: what the fast kernels are tested against. */
void pl_gemm_plain(float *y, size_t ldy, const float *x, size_t ldx, const struct pl_mat *w,
                   size_t M, const float *init, size_t ldinit);

/*
 * dx[m,k] = beta dx[m,k] + sum_n dy[m,n] W[n,k];  dx: (M, lddx), dy: (M, lddy); beta is 0 or 1.
 * scratch: pl_gemm_dx_scratch(w) floats, 64-byte aligned. The same bits for any number of threads.
 */
void pl_gemm_dx(float *dx, size_t lddx, const float *dy, size_t lddy, const struct pl_mat *w,
                size_t M, float beta, float *scratch);
size_t pl_gemm_dx_scratch(const struct pl_mat *w);

/* dw[n,k] += sum_m dy[m,n] x[m,k];  dw: (N, K) contiguous. The same bits for any number of threads.
 */
void pl_gemm_dw(float *dw, const float *dy, size_t lddy, const float *x, size_t ldx, size_t M,
                size_t N, size_t K);

/* db[n] += sum_m dy[m,n] */
void pl_gemm_db(float *db, const float *dy, size_t lddy, size_t M, size_t N);

/* OpenBLAS sgemm on 2048 x 2048 x 2048 with all threads: the best of a few runs, in GFLOP/s. */
double pl_blas_peak_gflops(void);
const char *
pl_blas_core(void); /* the kernel set OpenBLAS chose: "Haswell", "Zen", "SkylakeX", ... */
/* "OpenBLAS 0.3.21", of the library that was found at run time; at most `size` bytes. */
void pl_blas_version(char *ret_version, size_t size);

#endif
