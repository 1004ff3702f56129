/* The policy-gradient objective: values by hand, slopes against central differences. */
#include "learner/policy.h"
#include "tests/close.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct pl_policy_opts opts = {
    .clip_low = 0.2, .clip_high = 0.28, .clip_c = 3.0, .agg = PL_AGG_TOKEN_MEAN};

static void surrogate_by_hand(void **state)
{
    struct pl_policy_token t;

    (void)state;
    t = pl_policy_surrogate(&opts, log(1.1), 2.0); /* within: -A rho */
    pl_assert_close(t.loss, -2.2, 1e-12, 1e-12);
    pl_assert_close(t.slope, -2.2, 1e-12, 1e-12);
    assert_false(t.clipped || t.clipped_low);
    t = pl_policy_surrogate(&opts, log(1.5), 2.0); /* a good token is pushed no further */
    pl_assert_close(t.loss, -2.56, 1e-12, 1e-12);
    assert_true(t.clipped && t.slope >= 0.0 && t.slope <= 0.0);
    t = pl_policy_surrogate(&opts, log(0.5), 2.0); /* a good token that fell comes back */
    pl_assert_close(t.loss, -1.0, 1e-12, 1e-12);
    pl_assert_close(t.slope, -1.0, 1e-12, 1e-12);
    assert_false(t.clipped);
    t = pl_policy_surrogate(&opts, log(0.5), -2.0); /* a bad one that fell is left */
    pl_assert_close(t.loss, 1.6, 1e-12, 1e-12);
    assert_true(t.clipped && t.slope >= 0.0 && t.slope <= 0.0);
    t = pl_policy_surrogate(&opts, log(2.0), -2.0); /* a bad one that rose is pushed down */
    pl_assert_close(t.loss, 4.0, 1e-12, 1e-12);
    pl_assert_close(t.slope, 4.0, 1e-12, 1e-12);
    t = pl_policy_surrogate(&opts, log(5.0), -2.0); /* but not without end: dual clip */
    pl_assert_close(t.loss, 6.0, 1e-12, 1e-12);
    assert_true(t.clipped_low && t.slope >= 0.0 && t.slope <= 0.0);
    t = pl_policy_surrogate(&opts, 50.0, 1e-9); /* e^50 would be no ratio any more */
    assert_true(isfinite(t.loss));
}

static void kl_estimates_by_hand(void **state)
{
    const double d = -0.5; /* ref - logp */

    (void)state;
    pl_assert_close(pl_kl_value(PL_KL_K1, -1.0, -1.5), 0.5, 1e-12, 1e-12);
    pl_assert_close(pl_kl_value(PL_KL_ABS, -1.5, -1.0), 0.5, 1e-12, 1e-12);
    pl_assert_close(pl_kl_value(PL_KL_K2, -1.0, -1.5), 0.125, 1e-12, 1e-12);
    pl_assert_close(pl_kl_value(PL_KL_K3, -1.0, -1.5), exp(d) - d - 1.0, 1e-12, 1e-12);
    pl_assert_close(pl_kl_value(PL_KL_K3, -40.0, 0.0), 10.0, 1e-12, 1e-12);
    pl_assert_close(pl_kl_adapt(0.1, 0.3, 0.1, 100.0, 10), 0.1 * 1.02, 1e-12, 1e-12);
    pl_assert_close(pl_kl_adapt(0.1, 0.09, 0.1, 100.0, 10), 0.1 * 0.99, 1e-12, 1e-12);
    pl_assert_close(pl_kl_adapt(0.1, 0.0, 0.1, 100.0, 10), 0.1 * 0.98, 1e-12, 1e-12);
}

static void kl_slopes_are_those_of_the_values(void **state)
{
    static const double pairs[][2] = {{-1.0, -1.5}, {-1.5, -1.0}, {-0.3, -0.3001}, {-4.0, -2.5}};
    const double h = 1e-6;

    (void)state;
    for (enum pl_kl kind = PL_KL_K1; kind <= PL_KL_K3; kind++)
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
            const double logp = pairs[i][0], ref = pairs[i][1];
            const double slope =
                (pl_kl_value(kind, logp + h, ref) - pl_kl_value(kind, logp - h, ref)) / (2.0 * h);

            pl_assert_close(pl_kl_slope(kind, false, logp, ref), slope, 1e-5, 1e-5);
            pl_assert_close(pl_kl_slope(kind, true, logp, ref), logp - ref, 1e-12, 1e-12);
        }
    assert_true(fabs(pl_kl_slope(PL_KL_K3, false, -40.0, 0.0)) <= 0.0);
}

/* Three samples of 2, 1 and 3 tokens. */
enum { T = 6, N = 3 };
static const size_t first[] = {0, 2, 3, 6};
static const uint32_t sample_of[T] = {0, 0, 1, 2, 2, 2}, index_of[T] = {0, 1, 0, 0, 1, 2};
static const float old[T] = {-1.0f, -2.0f, -0.5f, -1.5f, -0.7f, -3.0f};
static const float ref[T] = {-1.1f, -1.8f, -0.6f, -1.4f, -0.9f, -2.5f};
static const float advantage[T] = {1.0f, 1.0f, -0.5f, 0.8f, 0.8f, -1.2f};
static const float weight[T] = {1.0f, 0.5f, 2.0f, 1.0f, 1.5f, 1.0f};

static void run(struct pl_policy *p, const float *logp, float *dlogp, float *dentropy)
{
    struct pl_prediction predictions[T];
    const float entropy[T] = {1.0f, 0.5f, 0.25f, 2.0f, 1.5f, 0.1f};
    const struct pl_objective objective = pl_policy_objective(p);

    for (uint32_t t = 0; t < T; t++)
        predictions[t] = (struct pl_prediction){t, 7, sample_of[t], index_of[t]};
    memset(&p->stats, 0, sizeof p->stats);
    objective.slopes(objective.at, &(struct pl_slopes){
                                       .predictions = predictions,
                                       .n = T,
                                       .logp = logp,
                                       .entropy = objective.entropy ? entropy : NULL,
                                       .dlogp = dlogp,
                                       .dentropy = objective.entropy ? dentropy : NULL,
                                   });
}

static double loss_of(struct pl_policy *p, const float *logp)
{
    float dlogp[T], dentropy[T];

    run(p, logp, dlogp, dentropy);
    return p->stats.pg_loss + p->opts.kl_coef * p->stats.kl_loss -
           p->opts.entropy_coef * p->stats.entropy_loss;
}

static void objective_slopes_are_those_of_the_loss(void **state)
{
    const float logp[T] = {-1.05f, -1.9f, -0.55f, -1.2f, -0.72f, -2.9f};

    (void)state;
    for (enum pl_agg agg = PL_AGG_TOKEN_MEAN; agg <= PL_AGG_SEQ_NORM; agg++)
        for (enum pl_kl kl = PL_KL_K1; kl <= PL_KL_K3; kl++) {
            struct pl_policy p = {.opts = opts,
                                  .batch = {.first = first,
                                            .old = old,
                                            .ref = ref,
                                            .advantage = advantage,
                                            .weight = weight,
                                            .sequences = N,
                                            .tokens = T}};
            float dlogp[T], dentropy[T], moved[T];

            p.opts.agg = agg;
            p.opts.agg_scale = 4.0;
            p.opts.kl = kl;
            p.opts.kl_coef = 0.3;
            p.opts.entropy_coef = 0.01;
            run(&p, logp, dlogp, dentropy);
            for (size_t t = 0; t < T; t++) {
                const float h = 1e-3f;
                double slope;

                memcpy(moved, logp, sizeof moved);
                moved[t] = logp[t] + h;
                slope = loss_of(&p, moved);
                moved[t] = logp[t] - h;
                slope = (slope - loss_of(&p, moved)) / (2.0 * (double)h);
                pl_assert_close(dlogp[t], slope, 2e-4, 2e-3);
                assert_true(dentropy[t] < 0.0f);
            }
        }
}

static void aggregates_by_hand(void **state)
{
    /* logp = old: every rho is 1 and L = -A: {-1, -1}, {0.5}, {-0.8, -0.8, 1.2} */
    static const double want[] = {-1.9 / 6, -1.9 / 3, (-1.0 + 0.5 - 0.4 / 3) / 3, -1.9 / (3 * 4)};

    (void)state;
    for (enum pl_agg agg = PL_AGG_TOKEN_MEAN; agg <= PL_AGG_SEQ_NORM; agg++) {
        struct pl_policy p = {
            .opts = opts,
            .batch = {
                .first = first, .old = old, .advantage = advantage, .sequences = N, .tokens = T}};
        float dlogp[T];

        p.opts.agg = agg;
        p.opts.agg_scale = 4.0;
        run(&p, old, dlogp, NULL);
        pl_assert_close(p.stats.pg_loss, want[agg], 1e-7, 1e-6);
        assert_true(p.stats.clipped <= 0.0 && p.stats.diff_max <= 0.0);
        assert_int_equal(p.stats.tokens, T);
    }
}

static void gspo_uses_the_ratio_of_the_sequence(void **state)
{
    const float logp[T] = {-0.9f, -1.9f, -0.5f, -1.5f, -0.7f, -3.0f};
    const float sequence[N] = {0.1f, 0.0f, 0.0f}; /* (0.1 + 0.1) / 2, 0, 0 */
    struct pl_policy p = {.opts = opts,
                          .batch = {.first = first,
                                    .old = old,
                                    .advantage = advantage,
                                    .sequence = sequence,
                                    .sequences = N,
                                    .tokens = T}};
    float dlogp[T];

    (void)state;
    p.opts.ratio = PL_RATIO_SEQUENCE;
    p.opts.agg = PL_AGG_SEQ_MEAN;
    run(&p, logp, dlogp, NULL);
    pl_assert_close(p.stats.pg_loss, (-exp(0.1) + 0.5 - 0.4 / 3) / 3, 1e-6, 1e-6);
    pl_assert_close(dlogp[0], -exp(0.1) / (3 * 2), 1e-6, 1e-6);
    pl_assert_close(dlogp[1], -exp(0.1) / (3 * 2), 1e-6, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(surrogate_by_hand),
        cmocka_unit_test(kl_estimates_by_hand),
        cmocka_unit_test(kl_slopes_are_those_of_the_values),
        cmocka_unit_test(objective_slopes_are_those_of_the_loss),
        cmocka_unit_test(aggregates_by_hand),
        cmocka_unit_test(gspo_uses_the_ratio_of_the_sequence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
