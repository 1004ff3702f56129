/*
 * The innermost loops of backward and optimiser: the plain set close to the formulas in double, and
 * every other set of this machine equal to it to the bit, on sizes that fill no vector; nothing is
 * written past the end.
 */
#include "learner/grad_kernels.h"

#include "common/base/buf.h"
#include "common/math/kernels.h"
#include "common/math/mat.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/close.h"

static const size_t SIZES[] = {1, 2, 3, 15, 16, 17, 31, 33, 40, 64, 131, 4096, 4113, 9001};
enum { SIZE_COUNT = sizeof SIZES / sizeof *SIZES, MOST = 9001, GUARD = 16, OUT_MAX = 1 << 19 };
static const float MARK = 12345.0f; /* what lies behind an array */

static float a[MOST], b[MOST], c[MOST];

/* The table that goes with the set of that name; NULL where the machine lacks it. */
static const struct pl_grad_kernels *set_named(const char *name)
{
    const struct pl_kernels *before = pl_kernels(), *set = pl_kernels_named(name);
    const struct pl_grad_kernels *grad;

    if (!set)
        return NULL;
    pl_kernels_use(set);
    grad = pl_grad_kernels();
    pl_kernels_use(before);
    assert_string_equal(grad->name, name);
    return grad;
}

/* Inputs of n, some large, some tiny, some zero. */
static void fill_inputs(size_t n)
{
    float *const all[] = {a, b, c};

    for (uint32_t i = 0; i < 3; i++) {
        pl_test_fill(all[i], n, 31 + i);
        for (size_t j = 0; j < n; j++)
            all[i][j] *= j % 19 == 18 ? 0.0f : j % 17 == 16 ? 1e-30f : j % 7 == 6 ? 90.0f : 4.0f;
    }
}

/* Where results go: one array after the other, each with a guard behind it. */
struct results {
    float *at; /* the next */
};

static float *take(struct results *r, const float *from, size_t n)
{
    float *out = r->at;

    if (from)
        memcpy(out, from, n * sizeof *out);
    else
        pl_test_set(out, n, 0.5f);
    pl_test_set(out + n, GUARD, MARK);
    r->at += n + GUARD;
    return out;
}

static void put_double(struct results *r, double x)
{
    memcpy(take(r, NULL, 2), &x, sizeof x);
}

static void run_rows(const struct pl_grad_kernels *k, struct results *r, size_t n)
{
    float *dx = take(r, b, n), *dw = take(r, c, n), *dgate = take(r, NULL, n);
    float *dup = take(r, NULL, n), *gate = take(r, a, n), *up = take(r, b, n);

    k->rmsnorm(dx, dw, a, b, c, 0.37f, n);
    k->silu_mul(dgate, dup, c, a, b, n);
    k->silu_mul(gate, up, c, gate, up, n); /* in place */
    k->rope(take(r, a, n / 2 * 2), b, c, n / 2);
    k->softmax(take(r, a, n), 3.5f, -0.7f, 0.2f, n);
    put_double(r, k->neg_entropy(a, 91.0f, n));
    k->axpy(take(r, a, n), -1.3f, b, n);
    put_double(r, k->squares(a, n));
}

static void run_weights(const struct pl_grad_kernels *k, struct results *r, size_t n)
{
    for (size_t valid = 0; valid <= n; valid += valid < 20 ? 1 : 13) {
        float *scores = take(r, a, n), *dp = take(r, b, n);

        k->weights(scores, dp, 2.5f, 0.25f, valid, n);
    }
}

static void run_adamw(const struct pl_grad_kernels *k, struct results *r, size_t n)
{
    const struct pl_adamw_step step = {
        .grad_scale = 0.83f,
        .keep = 0.999f,
        .beta2 = 0.99f,
        .lerp1 = 0.1f,
        .lerp2 = 0.01f,
        .root_bias2 = 0.2f,
        .eps = 1e-8f,
        .minus_lr = -0.003f,
    };
    float *master = take(r, a, n), *m = take(r, b, n), *v = take(r, c, n), *grad = take(r, c, n);
    uint16_t *bf16 = (uint16_t *)take(r, NULL, (n + 1) / 2 + 1);

    for (size_t i = 0; i < n; i++)
        v[i] = fabsf(v[i]);
    k->adamw(master, m, v, grad, bf16, &step, n);
    master = take(r, master, n); /* on from there */
    memcpy(grad, b, n * sizeof *grad);
    k->adamw(master, m, v, grad, NULL, &step, n);
}

static size_t run_all(const struct pl_grad_kernels *k, float *out)
{
    struct results r = {out};

    for (size_t i = 0; i < SIZE_COUNT; i++) {
        fill_inputs(SIZES[i]);
        run_rows(k, &r, SIZES[i]);
        run_adamw(k, &r, SIZES[i]);
    }
    fill_inputs(64);
    run_weights(k, &r, 16);
    run_weights(k, &r, 64);
    assert_true(r.at - out < OUT_MAX);
    return (size_t)(r.at - out);
}

static void sets_agree_to_the_bit(void **state)
{
    (void)state;
    static const char *const sets[] = {"avx2", "avx512"};
    float *want = pl_alloc(OUT_MAX, sizeof *want), *got = pl_alloc(OUT_MAX, sizeof *got);
    const size_t n = run_all(set_named("plain"), want);

    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        const struct pl_grad_kernels *k = set_named(sets[i]);

        if (!k) {
            print_message("this machine lacks %s\n", sets[i]);
            continue;
        }
        assert_int_equal(run_all(k, got), n);
        pl_assert_same_bits(got, want, n);
    }
    free(want);
    free(got);
}

/* A guard that no set writes to would not be missed by the comparison: they may all do. */
static void nothing_is_written_past_the_end(void **state)
{
    (void)state;
    static float out[4 * (MOST + GUARD)];
    const struct pl_grad_kernels *k = set_named("plain");

    for (size_t i = 0; i < SIZE_COUNT; i++) {
        const size_t n = SIZES[i];
        struct results r = {out};
        float *x, *y;

        fill_inputs(n);
        x = take(&r, a, n), y = take(&r, b, n);
        k->rmsnorm(x, y, a, b, c, 0.5f, n);
        k->silu_mul(x, y, a, b, c, n);
        k->softmax(x, 3.0f, 1.0f, 1.0f, n);
        k->axpy(y, 2.0f, a, n);
        for (size_t j = 0; j < GUARD; j++)
            assert_true(x[n + j] == MARK && y[n + j] == MARK);
        r.at = out;
        x = take(&r, a, n / 2 * 2);
        k->rope(x, b, c, n / 2);
        for (size_t j = 0; j < GUARD; j++)
            assert_true(x[n / 2 * 2 + j] == MARK);
    }
}

static void softmax_is_the_gradient_of_logits(void **state)
{
    (void)state;
    const struct pl_grad_kernels *k = pl_grad_kernels();

    for (size_t i = 0; i < SIZE_COUNT; i++) {
        const size_t n = SIZES[i];
        float z[MOST];
        double entropy = 0.0;

        fill_inputs(n);
        memcpy(z, a, n * sizeof *z);
        k->softmax(z, 91.0f, -0.7f, 0.2f, n);
        for (size_t j = 0; j < n; j++) {
            const double logp = (double)a[j] - 91.0;

            pl_assert_close(z[j], (-0.7 - 0.2 * logp) * exp(logp), 1e-30, 2e-5);
            entropy += exp(logp) * logp;
        }
        pl_assert_close(k->neg_entropy(a, 91.0f, n), entropy, 1e-35, 2e-5);
    }
}

static void weights_are_masked(void **state)
{
    (void)state;
    enum { N = 48 };
    const struct pl_grad_kernels *k = pl_grad_kernels();

    fill_inputs(N);
    for (size_t valid = 0; valid <= N; valid++) {
        float s[N], dp[N];

        for (size_t j = 0; j < N; j++) {
            s[j] = j < valid ? fminf(a[j], 5.0f) : NAN; /* what is past it may be anything */
            dp[j] = j < valid ? b[j] : NAN;
        }
        k->weights(s, dp, 2.5f, 0.25f, valid, N);
        for (size_t j = 0; j < N; j++) {
            const double p = j < valid ? exp((double)fminf(a[j], 5.0f) - 2.5) : 0.0;

            pl_assert_close(s[j], p, 1e-37, 1e-6);
            pl_assert_close(dp[j], j < valid ? p * ((double)b[j] - 0.25) : 0.0, 1e-37, 1e-5);
        }
    }
}

/* What is not finite must reach the norm of the gradient, or a broken step would be taken. */
static void not_a_number_stays_one(void **state)
{
    (void)state;
    static const char *const sets[] = {"plain", "avx2", "avx512"};
    enum { N = 37, PAD = 48 };

    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        for (size_t bad = 0; set_named(sets[i]) && bad < N; bad++) {
            const struct pl_grad_kernels *k = set_named(sets[i]);
            float s[PAD] = {0}, dp[PAD] = {0}, x[N], y[N] = {0};

            fill_inputs(N);
            a[bad] = NAN;
            memcpy(s, a, sizeof a[0] * N);
            k->weights(s, dp, 90.0f, 0.0f, N, PAD);
            assert_true(isnan(s[bad]) && isnan(dp[bad]));
            memcpy(x, a, sizeof x);
            k->softmax(x, 90.0f, 1.0f, 0.0f, N);
            assert_true(isnan(x[bad]) && isnan(k->neg_entropy(a, 90.0f, N)));
            k->silu_mul(x, y, c, a, b, N);
            assert_true(isnan(x[bad]) && isnan(y[bad]));
            k->rmsnorm(x, y, a, b, c, 0.5f, N);
            assert_true(isnan(x[0]) && isnan(y[bad]));
            assert_true(isnan(k->squares(a, N)));
        }
}

static void sums_are_close(void **state)
{
    (void)state;
    const struct pl_grad_kernels *k = pl_grad_kernels();

    for (size_t i = 0; i < SIZE_COUNT; i++) {
        const size_t n = SIZES[i];
        float y[MOST];
        double squares = 0.0;

        fill_inputs(n);
        memcpy(y, b, n * sizeof *y);
        k->axpy(y, -1.5f, a, n);
        for (size_t j = 0; j < n; j++) {
            pl_assert_close(y[j], (double)b[j] - 1.5 * (double)a[j], 0.0, FLT_EPSILON);
            squares += (double)a[j] * (double)a[j];
        }
        pl_assert_close(k->squares(a, n), squares, 0.0, 1e-13);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_agree_to_the_bit),
        cmocka_unit_test(nothing_is_written_past_the_end),
        cmocka_unit_test(softmax_is_the_gradient_of_logits),
        cmocka_unit_test(weights_are_masked),
        cmocka_unit_test(not_a_number_stays_one),
        cmocka_unit_test(sums_are_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
