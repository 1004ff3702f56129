/*
 * Row operators: close to double, equal to the bit on every kernel set, and a row's result the same
 * wherever it stands.
 */
#include "common/math/ops.h"

#include "common/base/buf.h"
#include "common/math/kernels.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/close.h"

static const size_t SIZES[] = {1, 3, 15, 16, 17, 40, 64, 131, 5000};
enum { SIZE_COUNT = sizeof SIZES / sizeof *SIZES, MOST = 5000 };

static float x[MOST], w[MOST], y[MOST];

static void rmsnorm_is_close(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        const size_t C = SIZES[i];
        double square = 0.0;
        float rstd;

        pl_test_fill(x, C, 1);
        pl_test_fill(w, C, 2);
        for (size_t c = 0; c < C; c++)
            square += (double)x[c] * (double)x[c];
        const double r = 1.0 / sqrt(square / (double)C + (double)1e-6f);

        pl_rmsnorm(y, &rstd, x, w, 1e-6f, 1, C);
        pl_assert_close(rstd, r, 0.0, 2e-6);
        for (size_t c = 0; c < C; c++)
            pl_assert_close(y[c], (double)x[c] * r * (double)w[c], 1e-30, 3e-6);
    }
}

static void exp_is_within_two_ulp(void **state)
{
    (void)state;
    float worst_at = 0.0f;
    double worst = 0.0;

    for (float at = -87.0f; at < 88.0f; at += 0.000917f) {
        float got;

        pl_exp_shifted(&got, &at, 0.0f, 1);
        const double off = fabs((double)got - exp((double)at)) / exp((double)at);

        if (off > worst) {
            worst = off;
            worst_at = at;
        }
    }
    print_message("exp: largest relative error %.3g at %g\n", worst, (double)worst_at);
    assert_true(worst < 2.0 * FLT_EPSILON);
    x[0] = 0.0f, x[1] = -INFINITY, x[2] = -87.4f, x[3] = -1e30f;
    pl_exp_shifted(y, x, 0.0f, 4);
    assert_true(y[0] == 1.0f && y[1] == 0.0f && y[2] == 0.0f && y[3] == 0.0f);
}

static void silu_and_sums_are_close(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        const size_t n = SIZES[i];
        float *gu = malloc(2 * n * sizeof *gu);
        double sum = 0.0, dots = 0.0, size = 0.0, lse = 0.0;

        pl_test_fill(gu, 2 * n, 5);
        for (size_t j = 0; j < n; j++)
            gu[j] *= 20.0f;
        pl_silu_mul(y, gu, 1, n);
        for (size_t j = 0; j < n; j++) {
            const double g = (double)gu[j], u = (double)gu[n + j];

            pl_assert_close(y[j], g / (1.0 + exp(-g)) * u, 1e-12, 1e-6);
            sum += g;
            dots += g * u;
            size += fabs(g);
            lse += exp(g);
        }
        pl_assert_close(pl_sum(gu, n), sum, 1e-6 * size, 0.0);
        pl_assert_close(pl_dot(gu, gu + n, n), dots, 1e-6 * size, 0.0);
        pl_assert_close(pl_logsumexp(gu, n), log(lse), 1e-6, 1e-6);
        free(gu);
    }
}

static void rope_turns_pairs(void **state)
{
    (void)state;
    enum { HALF = 10, POSITIONS = 4, ROWS = 3, HEADS = 2, LD = HEADS * 2 * HALF + 7 };
    float cosines[POSITIONS * HALF], sines[POSITIONS * HALF], rows[ROWS * LD], before[ROWS * LD];
    const struct pl_rope rope = {POSITIONS, HALF, cosines, sines};
    const uint32_t positions[ROWS] = {3, 0, 2};

    for (size_t i = 0; i < POSITIONS * HALF; i++) {
        cosines[i] = (float)cos(0.3 * (double)i);
        sines[i] = (float)sin(0.3 * (double)i);
    }
    pl_test_fill(rows, ROWS * LD, 3);
    memcpy(before, rows, sizeof rows);
    pl_rope_apply(rows, LD, &rope, positions, ROWS, HEADS);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0; c < LD; c++) {
            const size_t h = c / (2 * HALF), i = c % (2 * HALF) % HALF;
            const float *a = before + r * LD + h * 2 * HALF + i;
            const double angle = 0.3 * (double)(positions[r] * HALF + i);
            double want = (double)before[r * LD + c]; /* past the heads: left alone */

            if (h < HEADS)
                want = c % (2 * HALF) < HALF
                           ? (double)a[0] * cos(angle) - (double)a[HALF] * sin(angle)
                           : (double)a[HALF] * cos(angle) + (double)a[0] * sin(angle);
            pl_assert_close(rows[r * LD + c], want, 1e-6, 1e-6);
        }
}

static void logsumexp_holds_extremes(void **state)
{
    (void)state;
    x[0] = 3e38f, x[1] = -3e38f, x[2] = 0.0f;
    pl_assert_close(pl_logsumexp(x, 3), (double)3e38f, 0.0, 0.0);
    x[0] = x[1] = x[2] = -3e38f;
    pl_assert_close(pl_logsumexp(x, 3), (double)-3e38f, 0.0, 1e-12);
    pl_test_set(x, MOST, 5.0f);
    pl_assert_close(pl_logsumexp(x, MOST), 5.0 + log(MOST), 1e-9, 0.0);
}

/* Everything a kernel set has, on awkward sizes, in one array of results. */
static size_t run_all(const struct pl_kernels *k, float *out)
{
    size_t at = 0;

    for (size_t i = 0; i < SIZE_COUNT - 1; i++) {
        const size_t n = SIZES[i];

        pl_test_fill(x, n, 21);
        pl_test_fill(w, n, 22);
        for (size_t j = 0; j < n; j++)
            x[j] *= 30.0f;
        k->rmsnorm(out + at, out + at + n, x, w, 1e-5f, n), at += n + 1;
        k->silu_mul(out + at, x, w, n), at += n;
        k->exp_shifted(out + at, x, 3.0f, n), at += n;
        out[at + n] = k->exp_sum(out + at, x, 30.0f, n), at += n + 1;
        out[at++] = k->exp_sum(NULL, x, 30.0f, n);
        out[at++] = k->max(x, n);
        out[at++] = k->sum(x, n);
        out[at++] = k->dot(x, w, n);
        memcpy(out + at, x, n * sizeof *out);
        k->rope(out + at, w, w + n / 4, n / 2), at += n;
    }
    return at;
}

static void sets_agree_to_the_bit(void **state)
{
    (void)state;
    static float want[8 * 400], got[8 * 400];
    const size_t n = run_all(pl_kernels_named("plain"), want);

    assert_true(n < sizeof want / sizeof *want);
    for (size_t i = 0; i < 2; i++) {
        const struct pl_kernels *k = pl_kernels_named(i == 0 ? "avx2" : "avx512");

        if (!k) {
            print_message("this machine lacks one of avx2, avx512\n");
            continue;
        }
        assert_int_equal(run_all(k, got), n);
        pl_assert_same_bits(got, want, n);
    }
}

/* A weight that is no number has to be seen in the end: nothing on the way may swallow it. */
static void not_a_number_stays_one(void **state)
{
    (void)state;
    enum { N = 21, D = 3 };

    for (size_t i = 0; i < 3; i++) {
        static const char *const sets[] = {"plain", "avx2", "avx512"};
        const struct pl_kernels *k = pl_kernels_named(sets[i]);

        if (!k)
            continue;
        for (size_t bad = 0; bad < N; bad++) {
            float s[32], o[16] = {0}, m = -INFINITY, l = 0.0f;
            size_t valid = bad + 1;

            pl_test_fill(x, N, 5);
            pl_test_set(w, N, 1.0f);
            x[bad] = NAN;
            k->exp_shifted(y, x, 0.5f, N);
            for (size_t j = 0; j < N; j++)
                assert_true(isnan(y[j]) == (j == bad));
            k->silu_mul(y, x, w, N);
            for (size_t j = 0; j < N; j++)
                assert_true(isnan(y[j]) == (j == bad));
            assert_true(isnan(k->exp_sum(NULL, x, 0.5f, N)));
            assert_true(isnan(k->sum(x, N)));
            k->rmsnorm(y, NULL, x, w, 1e-5f, N);
            assert_true(isnan(y[0]) && isnan(y[N - 1]));
            for (size_t counts = 0; counts < 2; counts++) { /* as a key that counts, or is masked */
                memcpy(s, x, N * sizeof *s);
                valid = bad + counts;
                m = -INFINITY, l = 0.0f;
                if (valid > 0)
                    k->page_softmax(s, 1, &valid, &m, &l, o, 16, D);
                assert_true(isnan(l) == (counts == 1));
            }
        }
    }
}

static void embedding_reads_rows(void **state)
{
    (void)state;
    enum { V = 45, C = 7 };
    struct pl_mat m = {V, C, pl_alloc(pl_mat_words(V, C), 4)};
    const uint32_t ids[] = {44, 0, 31, 32, 44};

    pl_test_fill_bf16(x, V * C, 4);
    pl_mat_set_f32(&m, 0, V, x);
    pl_embed(y, &m, ids, 5);
    for (size_t r = 0; r < 5; r++)
        pl_assert_same_bits(y + r * C, x + ids[r] * C, C);
    free(m.words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rmsnorm_is_close),         cmocka_unit_test(exp_is_within_two_ulp),
        cmocka_unit_test(silu_and_sums_are_close),  cmocka_unit_test(rope_turns_pairs),
        cmocka_unit_test(logsumexp_holds_extremes), cmocka_unit_test(sets_agree_to_the_bit),
        cmocka_unit_test(not_a_number_stays_one),   cmocka_unit_test(embedding_reads_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
