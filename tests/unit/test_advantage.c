/* Advantage estimators against numbers worked out by hand from the formulas in advantage.h. */
#include "learner/advantage.h"
#include "tests/close.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Two groups: samples 0, 1 (2 and 1 tokens) and samples 2, 3, 4 (1, 2, 1 tokens). */
static const size_t first[] = {0, 2, 3, 4, 6, 7};
static const size_t group[] = {0, 0, 1, 1, 1};
static const struct pl_samples samples = {5, first, group};
static const double scores[] = {1.0, 3.0, 0.0, 3.0, 6.0};

enum { T = 7 };

static void expect(const float *adv, const double *want, size_t n)
{
    for (size_t t = 0; t < n; t++)
        pl_assert_close(adv[t], want[t], 1e-6, 1e-6);
}

static void grpo_is_scaled_by_the_spread_of_its_group(void **state)
{
    /* group 0: mean 2, std sqrt(2); group 1: mean 3, std 3 */
    const double a = 1.0 / (sqrt(2.0) + 1e-6), b = 3.0 / (3.0 + 1e-6);
    const double want[T] = {-a, -a, a, -b, 0, 0, b}, plain[T] = {-1, -1, 1, -3, 0, 0, 3};
    float adv[T];

    (void)state;
    pl_advantage_grpo(adv, scores, &samples, true);
    expect(adv, want, T);
    pl_advantage_grpo(adv, scores, &samples, false);
    expect(adv, plain, T);
}

static void a_group_of_one_keeps_its_score(void **state)
{
    const size_t at[] = {0, 2}, one[] = {0};
    const struct pl_samples single = {1, at, one};
    const double score = 0.75, want[] = {0.75 / (1.0 + 1e-6), 0.75 / (1.0 + 1e-6)};
    const double kept[] = {0.75, 0.75};
    float adv[2];

    (void)state;
    pl_advantage_grpo(adv, &score, &single, true);
    expect(adv, want, 2);
    pl_advantage_rloo(adv, &score, &single);
    expect(adv, kept, 2);
}

static void rloo_leaves_one_out(void **state)
{
    /* the mean of the others: 3 and 1; 4.5, 3 and 1.5 */
    const double want[T] = {-2, -2, 2, -4.5, 0, 0, 4.5};
    float adv[T];

    (void)state;
    pl_advantage_rloo(adv, scores, &samples);
    expect(adv, want, T);
}

static void whitening_has_mean_0_and_variance_1(void **state)
{
    float x[] = {1, 2, 3, 6}, one[] = {5};
    /* mean 3, variance (4 + 1 + 0 + 9) / 3 = 14/3 */
    const double s = 1.0 / sqrt(14.0 / 3.0 + 1e-8), want[] = {-2 * s, -s, 0, 3 * s}, none[] = {0};

    (void)state;
    pl_whiten(x, 4);
    expect(x, want, 4);
    pl_whiten(one, 1);
    expect(one, none, 1);
    pl_whiten(one, 0);
}

static void reinforce_plus_plus_returns_are_discounted_and_white(void **state)
{
    const double rewards[T] = {0, 1, 2, -1, 0, 4, 0};
    /* gamma 0.5: {0.5, 1}, {2}, {-1}, {2, 4}, {0} */
    float want[T] = {0.5f, 1, 2, -1, 2, 4, 0}, adv[T];

    (void)state;
    pl_whiten(want, T);
    pl_advantage_rpp(adv, rewards, 0.5, &samples);
    for (size_t t = 0; t < T; t++)
        pl_assert_close(adv[t], want[t], 1e-6, 1e-6);
}

static void reinforce_plus_plus_baseline_is_centred_and_white(void **state)
{
    float want[T] = {-1, -1, 1, -3, 0, 0, 3}, adv[T];

    (void)state;
    pl_whiten(want, T);
    pl_advantage_rpp_baseline(adv, scores, &samples);
    for (size_t t = 0; t < T; t++)
        pl_assert_close(adv[t], want[t], 1e-6, 1e-6);
}

static void gae_runs_backwards_within_a_sample(void **state)
{
    const size_t at[] = {0, 3, 4}, groups[] = {0, 1};
    const struct pl_samples two = {2, at, groups};
    const double rewards[] = {0, 0, 1, 2};
    const float values[] = {0.5f, 0.25f, 0.5f, 1.0f};
    /*
     * gamma 0.9, lambda 0.5, from the end: delta_2 = 1 - 0.5 = 0.5, L = 0.5
     * delta_1 = 0.9 * 0.5 - 0.25 = 0.2, L = 0.2 + 0.45 * 0.5 = 0.425
     * delta_0 = 0.9 * 0.25 - 0.5 = -0.275, L = -0.275 + 0.45 * 0.425 = -0.08375; then 2 - 1 = 1
     */
    float want[] = {-0.08375f, 0.425f, 0.5f, 1.0f}, adv[4], returns[4];
    const double back[] = {0.41625, 0.675, 1.0, 2.0};

    (void)state;
    pl_advantage_gae(adv, returns, rewards, values, 0.9, 0.5, &two);
    expect(returns, back, 4);
    pl_whiten(want, 4);
    for (size_t t = 0; t < 4; t++)
        pl_assert_close(adv[t], want[t], 1e-6, 1e-6);
}

static void gae_at_1_and_1_is_the_return_less_the_value(void **state)
{
    const size_t at[] = {0, 3}, groups[] = {0};
    const struct pl_samples sample = {1, at, groups};
    const double rewards[] = {0.5, 0, 2}, back[] = {2.5, 2, 2};
    const float values[] = {1, -1, 3};
    float adv[3], returns[3];

    (void)state;
    pl_advantage_gae(adv, returns, rewards, values, 1.0, 1.0, &sample);
    expect(returns, back, 3);
}

static void gdpo_weighs_components_of_unlike_spread_alike(void **state)
{
    /* component 1 is a thousandth of component 0: GRPO alone makes them equal */
    const double components[2 * 5] = {1, 3, 0, 3, 6, 0.001, 0.003, 0, 0.003, 0.006};
    const double weights[] = {1.0, 1.0};
    float both[T], first_alone[T], scratch[T];

    (void)state;
    pl_advantage_gdpo(both, components, weights, 2, &samples, scratch);
    pl_advantage_gdpo(first_alone, components, weights, 1, &samples, scratch);
    for (size_t t = 0; t < T; t++)
        pl_assert_close(both[t], first_alone[t], 2e-3, 2e-3);
    /* and with weight 0 it is gone to the bit */
    pl_advantage_gdpo(both, components, (const double[]){1.0, 0.0}, 2, &samples, scratch);
    for (size_t t = 0; t < T; t++)
        assert_true(both[t] >= first_alone[t] && both[t] <= first_alone[t]);
}

/*
 * A group of three with 5, 3 and 2 tokens: answers end behind tokens 2 and 4 of the first, 2 of the
 * second, none of the third. Scores 4, 3, 1; the first earned 1 and 2, the second 1 on the way.
 *
 *   still to come   stage 0   stage 1   stage 2
 *   first           4         3         1
 *   second          3         2         2        beyond its last answer: as it was
 *   third           1         1         1
 *   mean            8/3       2         4/3
 */
static const size_t staged_first[] = {0, 5, 8, 10}, staged_group[] = {0, 0, 0};
static const struct pl_samples staged = {3, staged_first, staged_group};
static const size_t answer_first[] = {0, 2, 3, 3}, answer_end[] = {2, 4, 7};
static const double answer_part[] = {1, 2, 1}, staged_scores[] = {4, 3, 1};
static const struct pl_stages stages = {answer_first, answer_end, answer_part};

enum { STAGED_T = 10 };

static void what_is_still_to_come_is_compared_stage_by_stage(void **state)
{
    const double a = 4 - 8.0 / 3, b = 3 - 8.0 / 3, c = 1 - 8.0 / 3;
    const double want[STAGED_T] = {a, a, 1, 1, 1 - 4.0 / 3, b, b, 0, c, c};
    /* variances: (16 + 1 + 25) / 9 / 2 = 7/3; 1; (1 + 4 + 1) / 9 / 2 = 1/3 */
    const double by[STAGED_T] = {
        sqrt(7.0 / 3), sqrt(7.0 / 3), 1, 1, sqrt(1.0 / 3), sqrt(7.0 / 3), sqrt(7.0 / 3), 1,
        sqrt(7.0 / 3), sqrt(7.0 / 3)};
    double left[3];
    float adv[STAGED_T];

    (void)state;
    pl_advantage_staged(adv, staged_scores, &stages, PL_BASELINE_MEAN, &staged, left);
    expect(adv, want, STAGED_T);
    pl_advantage_staged(adv, staged_scores, &stages, PL_BASELINE_OTHERS, &staged, left);
    for (size_t t = 0; t < STAGED_T; t++)
        pl_assert_close(adv[t], 1.5 * want[t], 1e-6, 1e-6);
    pl_advantage_staged(adv, staged_scores, &stages, PL_BASELINE_STD, &staged, left);
    for (size_t t = 0; t < STAGED_T; t++)
        pl_assert_close(adv[t], want[t] / (by[t] + 1e-6), 1e-6, 1e-6);
}

static void without_earnings_on_the_way_stages_change_nothing(void **state)
{
    const size_t none[] = {0, 0, 0, 0, 0, 0}, ends[] = {1, 3, 5};
    const size_t some[] = {0, 1, 2, 2, 3, 3};
    const struct pl_stages without = {none, ends, answer_part}, unpaid = {some, ends, NULL};
    float plain[T], adv[T];
    double left[5];

    (void)state;
    pl_advantage_grpo(plain, scores, &samples, true);
    pl_advantage_staged(adv, scores, &without, PL_BASELINE_STD, &samples, left);
    assert_memory_equal(adv, plain, sizeof adv);
    pl_advantage_staged(adv, scores, &unpaid, PL_BASELINE_STD, &samples, left);
    assert_memory_equal(adv, plain, sizeof adv);
    pl_advantage_rloo(plain, scores, &samples);
    pl_advantage_staged(adv, scores, &unpaid, PL_BASELINE_OTHERS, &samples, left);
    assert_memory_equal(adv, plain, sizeof adv);
}

/* What is right twice, in another order: only where something is still to come do they differ. */
static void a_stage_without_spread_has_no_advantage(void **state)
{
    const size_t at[] = {0, 3, 6}, groups[] = {0, 0}, each[] = {0, 2, 4}, ends[] = {1, 2, 4, 5};
    const struct pl_samples two = {2, at, groups};
    const double part[] = {0.1, 0.2, 0.2, 0.1}, score[] = {3.3, 3.3};
    const struct pl_stages on_the_way = {each, ends, part};
    const double a = 0.05 / (sqrt(0.005) + 1e-6), want[] = {0, a, 0, 0, -a, 0};
    double left[2];
    float adv[6];

    (void)state;
    pl_advantage_staged(adv, score, &on_the_way, PL_BASELINE_STD, &two, left);
    expect(adv, want, 6);
}

static void gdpo_takes_each_component_by_its_own_stages(void **state)
{
    /* format, which nobody earns on the way, and the intermediate reward, all of which is */
    const double components[] = {1, 1, -1, 3, 1, 0}, weights[] = {0.5, 2.0};
    const struct pl_stages by_component[] = {{answer_first, answer_end, NULL}, stages};
    float format[STAGED_T], steps[STAGED_T], both[STAGED_T], want[STAGED_T], scratch[STAGED_T];
    double left[3];

    (void)state;
    pl_advantage_staged(format, components, &by_component[0], PL_BASELINE_STD, &staged, left);
    pl_advantage_staged(steps, components + 3, &by_component[1], PL_BASELINE_STD, &staged, left);
    for (size_t t = 0; t < STAGED_T; t++)
        want[t] = 0.5f * format[t] + 2.0f * steps[t];
    pl_whiten(want, STAGED_T);
    pl_advantage_gdpo_staged(both, components, weights, 2, by_component, &staged, scratch, left);
    for (size_t t = 0; t < STAGED_T; t++)
        pl_assert_close(both[t], want[t], 1e-6, 1e-6);
    assert_true(steps[0] > 0 && steps[4] <= 1e-6f); /* nothing is to come behind the answers */
}

static void groups_without_spread_are_counted(void **state)
{
    const double flat[] = {2, 2, 1, 1, 3};

    (void)state;
    assert_int_equal(pl_zero_spread_groups(flat, &samples), 1);
    assert_int_equal(pl_zero_spread_groups(scores, &samples), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grpo_is_scaled_by_the_spread_of_its_group),
        cmocka_unit_test(a_group_of_one_keeps_its_score),
        cmocka_unit_test(rloo_leaves_one_out),
        cmocka_unit_test(whitening_has_mean_0_and_variance_1),
        cmocka_unit_test(reinforce_plus_plus_returns_are_discounted_and_white),
        cmocka_unit_test(reinforce_plus_plus_baseline_is_centred_and_white),
        cmocka_unit_test(gae_runs_backwards_within_a_sample),
        cmocka_unit_test(gae_at_1_and_1_is_the_return_less_the_value),
        cmocka_unit_test(gdpo_weighs_components_of_unlike_spread_alike),
        cmocka_unit_test(what_is_still_to_come_is_compared_stage_by_stage),
        cmocka_unit_test(without_earnings_on_the_way_stages_change_nothing),
        cmocka_unit_test(a_stage_without_spread_has_no_advantage),
        cmocka_unit_test(gdpo_takes_each_component_by_its_own_stages),
        cmocka_unit_test(groups_without_spread_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
