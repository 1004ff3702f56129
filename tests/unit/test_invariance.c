/*
 * The proof of row invariance that `plait doctor` gives: it says equal where it is, and where a
 * kernel is wrong in one of the ways kernels are, it says so in a sentence that names the place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actor/invariance.h"
#include "common/base/buf.h"
#include "common/math/kernels.h"
#include "tests/close.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static void it_is_equal_here(void **state)
{
    (void)state;
    const struct pl_kernels *usual = pl_kernels();
    const int threads = omp_get_max_threads();
    struct pl_invariance found;
    struct pl_error err;

    memset(&found, 0xFF, sizeof found);
    assert_int_equal(pl_invariance_check(&found, &err), PL_OK);
    assert_true(found.equal);
    assert_string_equal(found.difference, "");
    assert_int_equal(found.threads_max, threads);
    assert_true(found.cases > 50 && found.rows == 70 * found.cases);
    assert_true(found.seconds > 0.0);
    assert_non_null(strstr(found.checked,
                           "ways of running a sequence of 70 tokens: batches of 1 to "
                           "130, chunks of 1 to 512, prompt shared and not, 1 to"));
    assert_non_null(strstr(found.checked, usual->name));
    assert_ptr_equal(pl_kernels(), usual);
    assert_int_equal(omp_get_max_threads(), threads);
    print_message("%s\n", found.checked);
}

/* ---- wrong kernels ---- */

static const struct pl_kernels *right;
static struct pl_kernels wrong;

static void nudge(float *x)
{
    *x = nextafterf(*x, INFINITY);
}

/* Rows left over after whole tiles end with another bit. */
static void panel_remainder(float *c, size_t ldc, const float *a, const uint32_t *words, size_t M,
                            size_t K, size_t n, const float *init, size_t ldinit)
{
    right->panel(c, ldc, a, words, M, K, n, init, ldinit);
    if (M % right->rows_max)
        nudge(c + (M - 1) * ldc);
}

/* A product that is different when many rows meet. */
static void panel_many(float *c, size_t ldc, const float *a, const uint32_t *words, size_t M,
                       size_t K, size_t n, const float *init, size_t ldinit)
{
    right->panel(c, ldc, a, words, M, K, n, init, ldinit);
    for (size_t m = 0; M > 60 && m < M; m++)
        nudge(c + m * ldc + n - 1);
}

/* Rows that share pages are summed otherwise than one alone. */
static void softmax_together(float *s, size_t rows, const size_t *valid, float *m, float *l,
                             float *o, size_t ldo, size_t D)
{
    right->page_softmax(s, rows, valid, m, l, o, ldo, D);
    for (size_t r = 0; r < rows && rows > 6; r++)
        nudge(&l[r]);
}

/* The second thread is another processor, say. */
static void rmsnorm_by_thread(float *y, float *rstd, const float *x, const float *w, float eps,
                              size_t C)
{
    right->rmsnorm(y, rstd, x, w, eps, C);
    if (omp_get_thread_num() == 1)
        nudge(y);
}

/* Always the same, but not what the other sets give. */
static void silu_of_its_own(float *y, const float *gate, const float *up, size_t n)
{
    right->silu_mul(y, gate, up, n);
    nudge(y + n / 2);
}

/* A masked key reaches the score of one that counts. */
static void tile_reads_on(float *c, size_t ldc, const float *a, size_t rs, size_t cs,
                          const float *b, size_t ldb, size_t M, size_t K, size_t N, int add)
{
    right->tile(c, ldc, a, rs, cs, b, ldb, M, K, N, add);
    for (size_t m = 0; m < M; m++)
        c[m * ldc] += c[m * ldc + N - 1] * 1e-6f;
}

static void doctor_remainder(void)
{
    wrong.panel = panel_remainder;
}

static void doctor_many(void)
{
    wrong.panel = panel_many;
}

static void doctor_softmax(void)
{
    wrong.page_softmax = softmax_together;
}

static void doctor_threads(void)
{
    wrong.rmsnorm = rmsnorm_by_thread;
}

static void doctor_set(void)
{
    wrong.silu_mul = silu_of_its_own;
}

static void doctor_tile(void)
{
    wrong.tile = tile_reads_on;
}

static const struct way {
    const char *what;
    void (*doctor)(void);
} WAYS[] = {
    {"one set", doctor_set},        {"remainder rows", doctor_remainder},
    {"many rows", doctor_many},     {"rows together", doctor_softmax},
    {"one thread", doctor_threads}, {"masked keys", doctor_tile},
};

enum { WHOLE_CHECKS = 1, WAY_COUNT = sizeof WAYS / sizeof *WAYS };

static void use_wrong(const struct way *way)
{
    wrong = *right;
    wrong.name = "doctored";
    way->doctor();
    pl_kernels_use(&wrong);
}

static void assert_found(const struct way *way, const struct pl_invariance *found)
{
    pl_kernels_use(right);
    print_message("%s: %s\n", way->what, found->difference);
    assert_false(found->equal);
    assert_non_null(strstr(found->difference, "position "));
    assert_non_null(strstr(found->difference, " alone and "));
    assert_non_null(strstr(found->difference, " sequences with chunks of "));
    assert_non_null(strstr(found->difference, ", kernels "));
}

static void wrong_kernels_are_found(void **state)
{
    (void)state;
    right = pl_kernels();
    for (size_t i = 0; i < WHOLE_CHECKS; i++) {
        struct pl_invariance found;
        struct pl_error err;

        use_wrong(&WAYS[i]);
        assert_int_equal(pl_invariance_check(&found, &err), PL_OK);
        assert_ptr_equal(pl_kernels(), &wrong);
        assert_found(&WAYS[i], &found);
    }
}

/* The same by one case; and the right kernels pass it. */
static void one_case_is_enough_for_some(void **state)
{
    (void)state;
    enum { TOKENS = 45, BATCH = 70 };
    const struct pl_trial_case alone = {1, 0, TOKENS, TOKENS, false},
                               how = {BATCH, 50, 40, 9, true};
    const struct pl_trial_case other = {BATCH, 60, 3, 3, false};
    const struct pl_config config = pl_trial_config();
    struct pl_trial *trial = NULL;
    struct pl_error err;
    float *want = pl_alloc(TOKENS * config.vocab, sizeof *want);
    float *got = pl_alloc(TOKENS * config.vocab, sizeof *got);

    right = pl_kernels();
    assert_int_equal(pl_trial_create(&config, 1, BATCH, TOKENS, &trial, &err), PL_OK);
    for (size_t i = WHOLE_CHECKS; i <= WAY_COUNT; i++) {
        struct pl_invariance found = {.equal = true};

        if (i < WAY_COUNT)
            use_wrong(&WAYS[i]);
        omp_set_num_threads(1);
        pl_trial_run(trial, &alone, want);
        pl_trial_run(trial, &other, got); /* leaves other keys in the pages */
        omp_set_num_threads(2);
        pl_invariance_case(&found, trial, &how, 2, NULL, want, got);
        pl_invariance_case(&found, trial, &how, 1, "no such set", want, got); /* is no case */
        assert_int_equal(found.cases, 1);
        assert_int_equal(found.rows, TOKENS);
        if (i < WAY_COUNT)
            assert_found(&WAYS[i], &found);
        else
            assert_true(found.equal);
    }
    free(want);
    free(got);
    pl_trial_destroy(trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_equal_here),
        cmocka_unit_test(wrong_kernels_are_found),
        cmocka_unit_test(one_case_is_enough_for_some),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
