/*
 * The fast products against the plain ones: the forward equal to the bit for every kernel set, odd
 * size and row count; the backward close to sums in double.
 */
#include "common/math/gemm.h"

#include "common/base/buf.h"
#include "common/math/kernels.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/close.h"

static const char *const SETS[] = {"avx512", "avx2", "plain"};

static struct pl_mat mat_random(size_t N, size_t K, uint32_t seed)
{
    struct pl_mat w = {N, K, pl_alloc(pl_mat_words(N, K), sizeof *w.words)};
    float *rows = malloc(N * K * sizeof *rows);
    uint16_t *half = malloc(N * K * sizeof *half);

    pl_test_fill_bf16(rows, N * K, seed);
    for (size_t i = 0; i < N * K; i++)
        half[i] = pl_bf16_round(rows[i]);
    pl_mat_set(&w, 0, N, half);
    free(rows);
    free(half);
    return w;
}

static void packing_gives_back_what_it_took(void **state)
{
    (void)state;
    enum { N = 71, K = 13 };
    struct pl_mat w = {N, K, pl_alloc(pl_mat_words(N, K), 4)};
    uint16_t in[N * K], out[N * K];
    float wide[N * K];

    for (size_t i = 0; i < N * K; i++)
        in[i] = (uint16_t)(i * 2654435761u >> 7);
    pl_mat_set(&w, 0, 40, in);
    pl_mat_set(&w, 40, N - 40, in + 40 * K);
    pl_mat_get(&w, 0, N, out);
    assert_memory_equal(in, out, sizeof in);
    pl_mat_get(&w, 33, 5, out);
    assert_memory_equal(in + 33 * K, out, 5 * K * sizeof *in);
    for (size_t i = 0; i < N * K; i++)
        in[i] &= 0xBFFF; /* finite, so that widening can be rounded back */
    pl_mat_set(&w, 0, N, in);
    pl_mat_rows(&w, 0, N, wide);
    for (size_t i = 0; i < N * K; i++)
        assert_int_equal(pl_bf16_round(wide[i]), in[i]);
    free(w.words);
}

static void rounding_is_to_nearest_even(void **state)
{
    (void)state;
    assert_int_equal(pl_bf16_round(1.0f), 0x3F80);
    assert_int_equal(pl_bf16_round(1.00390625f), 0x3F80); /* half way, down to even */
    assert_int_equal(pl_bf16_round(1.01171875f), 0x3F82); /* half way, up to even */
    assert_int_equal(pl_bf16_round(1.00390637f), 0x3F81); /* just over half */
    assert_int_equal(pl_bf16_round(-0.0f), 0x8000);
    assert_int_equal(pl_bf16_round(3.4e38f), 0x7F80); /* to infinity */
    assert_true((pl_bf16_round(__builtin_nanf("")) & 0x7FFF) > 0x7F80);
}

/* One shape and start: the plain product of all rows, and what the fast one is given. */
struct forward {
    size_t N, K, ldx, ldy;
    int start; /* 0: zero, 1: a bias, 2: what is in y */
    struct pl_mat w;
    float *x, *y, *before, *want, *bias;
};

enum { ROWS_MOST = 770 }; /* more than are packed at once */

static struct forward forward_make(size_t N, size_t K, int start)
{
    struct forward f = {.N = N, .K = K, .ldx = K + 3, .ldy = N + 5, .start = start};
    const size_t floats = ROWS_MOST * f.ldy;

    f.w = mat_random(N, K, (uint32_t)(N * 131 + K));
    f.x = malloc(ROWS_MOST * f.ldx * 4);
    f.y = malloc(floats * 4);
    f.before = malloc(floats * 4);
    f.want = malloc(floats * 4);
    f.bias = malloc(N * 4);
    pl_test_fill(f.x, ROWS_MOST * f.ldx, 7);
    pl_test_fill(f.before, floats, 8);
    pl_test_fill(f.bias, N, 9);
    memcpy(f.want, f.before, floats * 4);
    pl_gemm_plain(f.want, f.ldy, f.x, f.ldx, &f.w, ROWS_MOST,
                  start == 0   ? NULL
                  : start == 1 ? f.bias
                               : f.before,
                  start == 2 ? f.ldy : 0);
    return f;
}

static void forward_free(struct forward *f)
{
    free(f->x);
    free(f->y);
    free(f->before);
    free(f->want);
    free(f->bias);
    free(f->w.words);
}

/* The first M rows are the plain ones, the gaps between rows and all that follows untouched. */
static void forward_check(struct forward *f, size_t M)
{
    memcpy(f->y, f->before, ROWS_MOST * f->ldy * 4);
    pl_gemm(f->y, f->ldy, f->x, f->ldx, &f->w, M,
            f->start == 0   ? NULL
            : f->start == 1 ? f->bias
                            : f->y,
            f->start == 2 ? f->ldy : 0);
    pl_assert_same_bits(f->y, f->want, M * f->ldy);
    pl_assert_same_bits(f->y + M * f->ldy, f->before + M * f->ldy, (ROWS_MOST - M) * f->ldy);
}

static void forward_equals_plain_to_the_bit(void **state)
{
    (void)state;
    static const size_t rows[] = {1, 2, 3, 5, 11, 12, 13, 24, 47, 49, 130, 193, 385, ROWS_MOST};
    static const size_t shapes[][2] = {{1, 1},    {33, 7},   {64, 256},
                                       {97, 257}, {40, 515}, {300, 100}};
    const struct pl_kernels *before = pl_kernels();

    for (size_t j = 0; j < 3 * sizeof shapes / sizeof *shapes; j++) {
        struct forward f = forward_make(shapes[j / 3][0], shapes[j / 3][1], (int)(j % 3));

        for (size_t s = 0; s < 3; s++) {
            const struct pl_kernels *set = pl_kernels_named(SETS[s]);

            if (!set) {
                print_message("this machine has no %s\n", SETS[s]);
                continue;
            }
            pl_kernels_use(set);
            for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                omp_set_num_threads(1 + (int)((i + j) % 3));
                if (strcmp(set->name, "plain") != 0 || rows[i] < 50) /* it is slow */
                    forward_check(&f, rows[i]);
            }
        }
        forward_free(&f);
    }
    pl_kernels_use(before);
    omp_set_num_threads(2);
}

/* dx and dw against double sums, set or added to what is there, the same bits for 1 to 3 threads.
 */
static void one_backward(size_t M, size_t N, size_t K)
{
    struct pl_mat w = mat_random(N, K, 3);
    float *dy = malloc(M * N * 4), *x = malloc(M * K * 4), *wide = malloc(N * K * 4);
    float *dx = malloc(M * K * 4), *dw = malloc(N * K * 4), *db = calloc(N, 4);
    float *dx_first = malloc(M * K * 4), *dw_first = malloc(N * K * 4), *dx_set = malloc(M * K * 4);
    float *scratch = pl_alloc(pl_gemm_dx_scratch(&w), 4);

    pl_test_fill(dy, M * N, 1);
    pl_test_fill(x, M * K, 2);
    pl_mat_rows(&w, 0, N, wide);
    for (int threads = 3; threads >= 1; threads--) {
        omp_set_num_threads(threads);
        pl_test_set(dx, M * K, 1.0f);
        pl_test_set(dw, N * K, 1.0f);
        pl_test_set(dx_set, M * K, NAN);
        pl_gemm_dx(dx, K, dy, N, &w, M, 1.0f, scratch);
        pl_gemm_dx(dx_set, K, dy, N, &w, M, 0.0f, scratch);
        pl_gemm_dw(dw, dy, N, x, K, M, N, K);
        if (threads == 3) {
            for (size_t i = 0; i < M * K; i++)
                dx_first[i] = dx[i];
            for (size_t i = 0; i < N * K; i++)
                dw_first[i] = dw[i];
        }
        pl_assert_same_bits(dx, dx_first, M * K);
        pl_assert_same_bits(dw, dw_first, N * K);
    }
    pl_gemm_db(db, dy, N, M, N);
    for (size_t m = 0; m < M; m += 7)
        for (size_t k = 0; k < K; k += 3) {
            double want = 1.0;

            for (size_t n = 0; n < N; n++)
                want += (double)dy[m * N + n] * (double)wide[n * K + k];
            pl_assert_close(dx[m * K + k], want, 1e-4, 1e-5);
            pl_assert_close(dx_set[m * K + k], want - 1.0, 1e-4, 1e-5);
        }
    for (size_t n = 0; n < N; n += 5) {
        double sum = 0.0;

        for (size_t m = 0; m < M; m++)
            sum += (double)dy[m * N + n];
        pl_assert_close(db[n], sum, 1e-4, 1e-5);
        for (size_t k = 0; k < K; k += 3) {
            double want = 1.0;

            for (size_t m = 0; m < M; m++)
                want += (double)dy[m * N + n] * (double)x[m * K + k];
            pl_assert_close(dw[n * K + k], want, 1e-4, 1e-5);
        }
    }
    free(dy);
    free(x);
    free(wide);
    free(dx);
    free(dx_set);
    free(dw);
    free(db);
    free(dx_first);
    free(dw_first);
    free(scratch);
    free(w.words);
    omp_set_num_threads(2);
}

static void backward_is_right_for_any_threads(void **state)
{
    (void)state;
    one_backward(1, 5, 3);
    one_backward(37, 131, 65);
    one_backward(300, 259, 450);
    one_backward(3, 1100, 8200); /* more of W than is widened at once */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packing_gives_back_what_it_took),
        cmocka_unit_test(rounding_is_to_nearest_even),
        cmocka_unit_test(forward_equals_plain_to_the_bit),
        cmocka_unit_test(backward_is_right_for_any_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
