/* Truncated importance sampling against numbers worked out by hand from the formulas of
 * correction.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "learner/correction.h"
#include "tests/close.h"

#include <math.h>

enum { T = 5 };

/* Samples of 3 and 2 tokens; g = log 2, -log 4, 0 and log 8, log 1/2. */
static const size_t first[] = {0, 3, 5}, group[] = {0, 0};
static const struct pl_samples samples = {2, first, group};
static const float sampled[T] = {-2.5f, -1, -0.5f, -3, -1};
static const double ratios[T] = {2, 0.25, 1, 8, 0.5};

static struct pl_correction_stats weigh(enum pl_correction_kind kind, double most, float *weight)
{
    struct pl_correction_stats stats;
    float old[T];

    for (size_t t = 0; t < T; t++)
        old[t] = (float)((double)sampled[t] + log(ratios[t]));
    pl_correction_weigh(weight, old, sampled, &samples, kind, most, &stats);
    return stats;
}

static void are(const float *weight, const double *want)
{
    for (size_t t = 0; t < T; t++)
        pl_assert_close(weight[t], want[t], 1e-6, 1e-6);
}

static void tokens_weigh_their_ratio_up_to_the_most(void **state)
{
    const double cut[T] = {2, 0.25, 1, 3, 0.5};
    float weight[T];
    struct pl_correction_stats s;

    (void)state;
    (void)weigh(PL_CORRECTION_TOKEN, 100.0, weight);
    are(weight, ratios);
    s = weigh(PL_CORRECTION_TOKEN, 3.0, weight);
    are(weight, cut);
    pl_assert_close(s.mean, 6.75 / 5, 1e-6, 0);
    pl_assert_close(s.least, 0.25, 1e-6, 0);
    pl_assert_close(s.most, 3.0, 1e-6, 0);
    pl_assert_close(s.cut, 1.0 / 5, 1e-9, 0);
    /* sum of squares 4 + 1/16 + 1 + 9 + 1/4 = 14.3125; (6.75 / 5)^2 * 5 / 14.3125 */
    pl_assert_close(s.ess, 0.63668, 1e-4, 0);
    /* -log(2 / 4 * 8 / 2) / 5 = -log(2) / 5; (11.75 - 5 - log 2) / 5; (4 + 1/16 + 1 + 64 + 1/4) / 5
     * - 1 */
    pl_assert_close(s.kl, -log(2.0) / 5, 1e-6, 0);
    pl_assert_close(s.k3_kl, (6.75 - log(2.0)) / 5, 1e-6, 0);
    pl_assert_close(s.chi2, 69.3125 / 5 - 1, 1e-5, 0);
    pl_assert_close(s.diff_max, log(8.0), 1e-6, 0);
}

static void sequences_weigh_the_ratio_of_all_their_tokens(void **state)
{
    const double want[T] = {0.5, 0.5, 0.5, 4, 4}, cut[T] = {0.5, 0.5, 0.5, 2, 2};
    float weight[T];
    struct pl_correction_stats s;

    (void)state;
    (void)weigh(PL_CORRECTION_SEQUENCE, 100.0, weight);
    are(weight, want);
    s = weigh(PL_CORRECTION_SEQUENCE, 2.0, weight);
    are(weight, cut);
    pl_assert_close(s.cut, 2.0 / 5, 1e-9, 0);
    pl_assert_close(s.mean, 1.1, 1e-6, 0);
    pl_assert_close(s.kl, -log(2.0) / 5, 1e-6, 0); /* of tokens, whatever is weighed */
}

static void a_policy_that_did_not_change_weighs_1(void **state)
{
    struct pl_correction_stats s;
    float weight[T];

    (void)state;
    for (int kind = PL_CORRECTION_TOKEN; kind <= PL_CORRECTION_SEQUENCE; kind++) {
        pl_correction_weigh(weight, sampled, sampled, &samples, (enum pl_correction_kind)kind, 2.0,
                            &s);
        for (size_t t = 0; t < T; t++)
            pl_assert_close(weight[t], 1.0, 0, 0);
        pl_assert_close(s.ess, 1.0, 1e-12, 0);
        assert_true(s.cut <= 0.0 && s.diff_max <= 0.0 && s.k3_kl <= 0.0 && s.chi2 <= 0.0);
    }
}

/* A token that the policy that trains has given up: e^-20 and no less, nor an infinity above. */
static void exponents_are_bounded(void **state)
{
    const size_t at[] = {0, 2}, one[] = {0};
    const struct pl_samples two = {1, at, one};
    const float low[] = {-300, -0.5f}, high[] = {-0.5f, -300};
    struct pl_correction_stats s;
    float weight[2];

    (void)state;
    pl_correction_weigh(weight, low, high, &two, PL_CORRECTION_TOKEN, 1e12, &s);
    pl_assert_close(weight[0], exp(-20.0), 1e-15, 1e-6);
    pl_assert_close(weight[1], exp(20.0), 0, 1e-6);
    assert_true(isfinite(s.k3_kl) && isfinite(s.chi2) && isfinite(s.ess));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_weigh_their_ratio_up_to_the_most),
        cmocka_unit_test(sequences_weigh_the_ratio_of_all_their_tokens),
        cmocka_unit_test(a_policy_that_did_not_change_weighs_1),
        cmocka_unit_test(exponents_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
