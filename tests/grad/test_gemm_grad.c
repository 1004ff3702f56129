/*
 * Backward of the matrix product, y = x W^T + b, against central differences in double: rows that
 * are further apart than they are wide, buffers that hold something already or must be overwritten,
 * more than one tile of OpenBLAS each way; the same bits for any number of threads.
 */
#include "common/math/gemm.h"

#include "common/base/buf.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/close.h"
#include "tests/slope.h"

enum { GAP = 3 }; /* floats between rows */

struct product {
    size_t M, N, K, ldx, ldy;
    struct pl_mat mat;
    const float *x_f, *dy; /* (M, ldx), (M, ldy) */
    double *x, *w, *b;     /* in double: (M, ldx), (N, K), (N) */
    size_t m, n;           /* the row of x, the row of W looked at */
};

/* What of sum dy y has to do with row m of x. */
static double row_of_y(const void *at)
{
    const struct product *s = at;
    double sum = 0.0;

    for (size_t n = 0; n < s->N; n++)
        for (size_t k = 0; k < s->K; k++)
            sum += (double)s->dy[s->m * s->ldy + n] * s->x[s->m * s->ldx + k] * s->w[n * s->K + k];
    return sum;
}

/* What of it has to do with row n of W and b[n]. */
static double column_of_y(const void *at)
{
    const struct product *s = at;
    double sum = 0.0;

    for (size_t m = 0; m < s->M; m++) {
        double y = s->b[s->n];

        for (size_t k = 0; k < s->K; k++)
            y += s->x[m * s->ldx + k] * s->w[s->n * s->K + k];
        sum += (double)s->dy[m * s->ldy + s->n] * y;
    }
    return sum;
}

static size_t result_floats(const struct product *s)
{
    return 2 * s->M * s->ldx + s->N * s->K + s->N;
}

/* dx onto NaN with beta 0, dx onto what is there with beta 1, dw, db, one after the other. */
static void product_bwd(const void *at, float *ret)
{
    const struct product *s = at;
    float *more = ret + s->M * s->ldx, *dw = more + s->M * s->ldx, *db = dw + s->N * s->K;
    float *scratch = pl_alloc(pl_gemm_dx_scratch(&s->mat), sizeof *scratch);

    pl_test_fill(ret, result_floats(s), 5);
    for (size_t m = 0; m < s->M; m++)
        pl_test_set(ret + m * s->ldx, s->K, NAN);
    pl_gemm_dx(ret, s->ldx, s->dy, s->ldy, &s->mat, s->M, 0.0f, scratch);
    pl_gemm_dx(more, s->ldx, s->dy, s->ldy, &s->mat, s->M, 1.0f, scratch);
    pl_gemm_dw(dw, s->dy, s->ldy, s->x_f, s->ldx, s->M, s->N, s->K);
    pl_gemm_db(db, s->dy, s->ldy, s->M, s->N);
    free(scratch);
}

static void check(struct product *s, const float *got, const float *before)
{
    const float *more = got + s->M * s->ldx, *dw = more + s->M * s->ldx, *db = dw + s->N * s->K;
    const float *before_more = before + s->M * s->ldx, *before_dw = before_more + s->M * s->ldx;
    const float *before_db = before_dw + s->N * s->K;
    const size_t step = s->M * s->N * s->K > 100000 ? 97 : 1;

    for (size_t i = 0; i < s->M * s->ldx; i += step) {
        s->m = i / s->ldx;
        if (i % s->ldx < s->K) {
            const double slope = pl_test_slope(&s->x[i], row_of_y, s);

            pl_assert_close(got[i], slope, 1e-5, 1e-5);
            pl_assert_close(more[i], slope + (double)before_more[i], 1e-5, 1e-5);
        } else { /* between the rows */
            assert_true(got[i] == before[i] && more[i] == before_more[i]);
        }
    }
    for (size_t i = 0; i < s->N * s->K; i += step) {
        s->n = i / s->K;
        pl_assert_close(dw[i], pl_test_slope(&s->w[i], column_of_y, s) + (double)before_dw[i], 1e-5,
                        1e-5);
    }
    for (s->n = 0; s->n < s->N; s->n++)
        pl_assert_close(db[s->n],
                        pl_test_slope(&s->b[s->n], column_of_y, s) + (double)before_db[s->n], 1e-5,
                        1e-5);
}

static void one_product(size_t M, size_t N, size_t K)
{
    struct product s = {.M = M, .N = N, .K = K, .ldx = K + GAP, .ldy = N + GAP};
    float *x = malloc(M * s.ldx * 4), *dy = malloc(M * s.ldy * 4), *w = malloc(N * K * 4);
    float *got, *before;

    s.mat = (struct pl_mat){N, K, pl_alloc(pl_mat_words(N, K), 4)};
    pl_test_fill(x, M * s.ldx, 1);
    pl_test_fill(dy, M * s.ldy, 2);
    pl_test_fill_bf16(w, N * K, 3);
    pl_mat_set_f32(&s.mat, 0, N, w);
    s.x_f = x;
    s.dy = dy;
    s.x = malloc(M * s.ldx * sizeof *s.x);
    s.w = malloc(N * K * sizeof *s.w);
    s.b = calloc(N, sizeof *s.b); /* its value does not matter */
    pl_test_widen(s.x, x, M * s.ldx);
    pl_test_widen(s.w, w, N * K);
    got = malloc(result_floats(&s) * 4);
    before = malloc(result_floats(&s) * 4);
    pl_test_fill(before, result_floats(&s), 5);
    product_bwd(&s, got);
    check(&s, got, before);
    pl_test_everywhere(product_bwd, &s, got, result_floats(&s));
    free(x);
    free(dy);
    free(w);
    free(got);
    free(before);
    free(s.mat.words);
    free(s.x);
    free(s.w);
    free(s.b);
}

static void backward_is_right(void **state)
{
    (void)state;
    one_product(1, 1, 1);
    one_product(3, 33, 5);
    one_product(17, 7, 31);
    one_product(259, 70, 37); /* rows of two tiles */
    one_product(5, 300, 451); /* and columns */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(backward_is_right)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
