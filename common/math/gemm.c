#include "common/math/gemm.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/err.h"
#include "common/math/kernels.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    ROWS_CHUNK = 768, /* rows of x packed at once; a multiple of every kernel's rows_max */
    ROWS_BLOCK = 192, /* rows worked on together: 192 x KC floats stay in the second cache */
    ROWS_FEW = 48,    /* up to here panels are streamed one by one, from front to back */
    PANEL_GROUP = 4,  /* panels that share a pass over a block of rows otherwise */
    BLAS_ROWS = 256,  /* tile of a backward product; fixed, so that the bits are */
    BLAS_COLS = 448,
    DX_SCRATCH = 1 << 22, /* floats of W that pl_gemm_dx() widens at a time */
};

/*
 * Packed rows of x, kept from call to call and grown when a wider model comes. One for the process:
 * the products use all threads and are never called by several at once.
 */
static float *packed;
static size_t packed_floats;

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int packed_reserve(size_t floats)
{
    float *larger;

    if (floats <= packed_floats)
        return PL_OK;
    larger = pl_alloc(floats, sizeof *larger);
    if (!larger)
        return PL_ENOMEM;
    free(packed);
    packed = larger;
    packed_floats = floats;
    return PL_OK;
}

size_t pl_gemm_packed_bytes(size_t M, size_t K)
{
    return min_size(M, ROWS_CHUNK) * K * sizeof *packed;
}

int pl_gemm_reserve(size_t M, size_t K)
{
    return packed_reserve(min_size(M, ROWS_CHUNK) * K);
}

/* The row tile at m of x, `rows` of it there, for every k-block. */
static void pack_tile(const struct pl_kernels *kern, const float *x, size_t ldx, size_t m,
                      size_t rows, size_t M, size_t K)
{
    for (size_t k0 = 0; k0 < K; k0 += PL_GEMM_KC) {
        const size_t kc = min_size(K - k0, PL_GEMM_KC);

        kern->pack(packed + k0 * M + m * kc, x + m * ldx + k0, ldx, rows, kc);
    }
}

struct product {
    float *y;
    size_t ldy;
    const struct pl_mat *w;
    size_t M; /* rows of this chunk */
    const float *init;
    size_t ldinit;
    const struct pl_kernels *kern;
};

/* Rows [m, m + rows) times panels [p, p + panels), all of K. */
static void block(const struct product *g, size_t m, size_t rows, size_t p, size_t panels)
{
    const size_t K = g->w->cols, N = g->w->rows;

    for (size_t k0 = 0; k0 < K; k0 += PL_GEMM_KC) {
        const size_t kc = min_size(K - k0, PL_GEMM_KC);
        const float *a = packed + k0 * g->M + m * kc;

        for (size_t j = p; j < p + panels; j++) {
            float *c = g->y + m * g->ldy + j * PL_PANEL;
            const uint32_t *words = g->w->words + (j * K + k0) * PL_PANEL_WORDS;
            const size_t n = min_size(N - j * PL_PANEL, PL_PANEL);

            if (k0 > 0)
                g->kern->panel(c, g->ldy, a, words, rows, kc, n, c, g->ldy);
            else
                g->kern->panel(c, g->ldy, a, words, rows, kc, n,
                               g->init ? g->init + m * g->ldinit + j * PL_PANEL : NULL, g->ldinit);
        }
    }
}

/* Panels [p, end) of one block of rows, a group at a time. */
static void block_panels(const struct product *g, size_t row_block, size_t p, size_t end)
{
    const size_t m = row_block * ROWS_BLOCK, rows = min_size(g->M - m, ROWS_BLOCK);
    const size_t group = rows <= ROWS_FEW ? 1 : PANEL_GROUP;

    for (; p < end; p += group)
        block(g, m, rows, p, min_size(end - p, group));
}

/*
 * One thread's share. With panels enough for all, each thread takes its own panels for all rows, so
 * that it alone reads them; else the pairs of row block and panel are dealt out evenly.
 */
static void share(const struct product *g, size_t thread, size_t threads)
{
    const size_t panels = (g->w->rows + PL_PANEL - 1) / PL_PANEL;
    const size_t row_blocks = (g->M + ROWS_BLOCK - 1) / ROWS_BLOCK;

    if (row_blocks == 1 || panels >= 8 * threads) {
        for (size_t b = 0; b < row_blocks; b++)
            block_panels(g, b, panels * thread / threads, panels * (thread + 1) / threads);
        return;
    }
    const size_t all = row_blocks * panels, end = all * (thread + 1) / threads;

    for (size_t at = all * thread / threads; at < end;) {
        const size_t b = at / panels, p = at % panels, last = min_size(panels, p + (end - at));

        block_panels(g, b, p, last);
        at += last - p;
    }
}

void pl_gemm(float *y, size_t ldy, const float *x, size_t ldx, const struct pl_mat *w, size_t M,
             const float *init, size_t ldinit)
{
    const struct pl_kernels *kern = pl_kernels();
    const size_t K = w->cols, tile = kern->rows_max;
    const int rc = pl_gemm_reserve(M, K);

    PL_ASSERT(rc == PL_OK); /* a few MiB beside weights of hundreds */
    for (size_t m0 = 0; m0 < M; m0 += ROWS_CHUNK) {
        const size_t rows = min_size(M - m0, ROWS_CHUNK), tiles = (rows + tile - 1) / tile;
        const struct product g = {
            .y = y + m0 * ldy,
            .ldy = ldy,
            .w = w,
            .M = rows,
            .init = init ? init + m0 * ldinit : NULL,
            .ldinit = ldinit,
            .kern = kern,
        };

#pragma omp parallel
        {
#pragma omp for schedule(static)
            for (size_t t = 0; t < tiles; t++)
                pack_tile(kern, x + m0 * ldx, ldx, t * tile, min_size(rows - t * tile, tile), rows,
                          K);
            share(&g, (size_t)omp_get_thread_num(), (size_t)omp_get_num_threads());
        }
    }
}

void pl_gemm_plain(float *y, size_t ldy, const float *x, size_t ldx, const struct pl_mat *w,
                   size_t M, const float *init, size_t ldinit)
{
    const size_t K = w->cols;
    float *row = pl_alloc(K, sizeof *row);

    PL_ASSERT(row);
    for (size_t n = 0; n < w->rows; n++) {
        pl_mat_rows(w, n, 1, row);
        for (size_t m = 0; m < M; m++) {
            float sum = init ? init[m * ldinit + n] : 0.0f;

            for (size_t k0 = 0; k0 < K; k0 += PL_GEMM_KC) {
                float chain = 0.0f;

                for (size_t k = k0; k < min_size(K, k0 + PL_GEMM_KC); k++)
                    chain = fmaf(x[m * ldx + k], row[k], chain);
                sum += chain;
            }
            y[m * ldy + n] = sum;
        }
    }
    free(row);
}

/*
 * ---- backward, by OpenBLAS: one-threaded calls on fixed tiles, tiles in parallel ----
 *
 * The OpenMP build of OpenBLAS works with one thread when it is called within a parallel region, or
 * when there is only one. openblas_set_num_threads() is not for us: it sets the threads of OpenMP
 * too.
 */

static size_t dx_block(const struct pl_mat *w)
{
    const size_t n = DX_SCRATCH / w->cols / PL_PANEL * PL_PANEL;

    return min_size(w->rows, n < 512 ? 512 : n);
}

size_t pl_gemm_dx_scratch(const struct pl_mat *w)
{
    return dx_block(w) * w->cols;
}

/* W[n0 .. n0+n) row-major into rows, panel by panel: each line of a panel is a column of 32 rows.
 */
static void widen_rows(float *rows, const struct pl_mat *w, size_t n0, size_t n)
{
    const size_t K = w->cols;

#pragma omp parallel for schedule(static)
    for (size_t p = 0; p < n; p += PL_PANEL)
        pl_mat_rows(w, n0 + p, min_size(n - p, PL_PANEL), rows + p * K);
}

void pl_gemm_dx(float *dx, size_t lddx, const float *dy, size_t lddy, const struct pl_mat *w,
                size_t M, float beta, float *scratch)
{
    const size_t K = w->cols, step = dx_block(w);
    const size_t row_tiles = (M + BLAS_ROWS - 1) / BLAS_ROWS;
    const size_t col_tiles = (K + BLAS_COLS - 1) / BLAS_COLS;

    for (size_t n0 = 0; n0 < w->rows; n0 += step) {
        const size_t n = min_size(w->rows - n0, step);
        const float keep = n0 > 0 ? 1.0f : beta;

        widen_rows(scratch, w, n0, n);
#pragma omp parallel for schedule(static) collapse(2)
        for (size_t i = 0; i < row_tiles; i++)
            for (size_t j = 0; j < col_tiles; j++) {
                const size_t m = i * BLAS_ROWS, k = j * BLAS_COLS;

                cblas_sgemm(
                    CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)min_size(M - m, BLAS_ROWS),
                    (blasint)min_size(K - k, BLAS_COLS), (blasint)n, 1.0f, dy + m * lddy + n0,
                    (blasint)lddy, scratch + k, (blasint)K, keep, dx + m * lddx + k, (blasint)lddx);
            }
    }
}

void pl_gemm_dw(float *dw, const float *dy, size_t lddy, const float *x, size_t ldx, size_t M,
                size_t N, size_t K)
{
    const size_t row_tiles = (N + BLAS_ROWS - 1) / BLAS_ROWS;
    const size_t col_tiles = (K + BLAS_COLS - 1) / BLAS_COLS;

#pragma omp parallel for schedule(static) collapse(2)
    for (size_t i = 0; i < row_tiles; i++)
        for (size_t j = 0; j < col_tiles; j++) {
            const size_t n = i * BLAS_ROWS, k = j * BLAS_COLS;

            cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans,
                        (blasint)min_size(N - n, BLAS_ROWS), (blasint)min_size(K - k, BLAS_COLS),
                        (blasint)M, 1.0f, dy + n, (blasint)lddy, x + k, (blasint)ldx, 1.0f,
                        dw + n * K + k, (blasint)K);
        }
}

void pl_gemm_db(float *db, const float *dy, size_t lddy, size_t M, size_t N)
{
    enum { COLS = 64 };

#pragma omp parallel for schedule(static)
    for (size_t n0 = 0; n0 < N; n0 += COLS)
        for (size_t m = 0; m < M; m++)
            for (size_t n = n0; n < min_size(N, n0 + COLS); n++)
                db[n] += dy[m * lddy + n];
}

/* ---- what OpenBLAS reaches here ---- */

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double pl_blas_peak_gflops(void)
{
    enum { SIDE = 2048, RUNS = 5 };
    const size_t floats = (size_t)SIDE * SIDE;
    float *a = pl_alloc(3 * floats, sizeof *a), *b = a + floats, *c = b + floats;
    double best = 0.0;

    PL_ASSERT(a);
    for (size_t i = 0; i < 2 * floats; i++)
        a[i] = (float)(i % 17) * 0.0625f - 0.5f;
    for (int run = 0; run < RUNS; run++) {
        const double start = seconds();

        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIDE, SIDE, SIDE, 1.0f, a, SIDE, b,
                    SIDE, 0.0f, c, SIDE);
        best = fmax(best, 2e-9 * (double)floats * SIDE / (seconds() - start));
    }
    free(a);
    return best;
}

const char *pl_blas_core(void)
{
    return openblas_get_corename();
}

/* The first two words of its configuration; what else there is may be another on every machine. */
void pl_blas_version(char *ret_version, size_t size)
{
    const char *all = openblas_get_config();
    size_t len = strcspn(all, " ");

    len += all[len] ? 1 + strcspn(all + len + 1, " ") : 0;
    snprintf(ret_version, size, "%.*s", (int)len, all);
}
