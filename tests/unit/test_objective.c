/* The supervised objective: its formula by hand, its slopes against differences, its splits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "learner/objective.h"
#include "tests/close.h"

#include <string.h>

enum { N = 37 };

/* Loss of n log-probabilities handed over in stretches of `stretch`; slopes go to dlogp. */
static double run(const float *logp, float *dlogp, size_t n, size_t stretch)
{
    struct pl_supervised supervised;
    struct pl_objective objective;

    pl_supervised_begin(&supervised, n);
    objective = pl_supervised_objective(&supervised);
    for (size_t at = 0; at < n; at += stretch) {
        const struct pl_slopes slopes = {
            .first = at,
            .n = n - at < stretch ? n - at : stretch,
            .logp = logp + at,
            .dlogp = dlogp + at,
        };

        objective.slopes(objective.at, &slopes);
    }
    return pl_supervised_loss(&supervised);
}

static void a_mean_over_all_tokens_of_the_step(void **state)
{
    /* three responses of 1, 2 and 1 tokens: each token weighs a fourth, not each response a third
     */
    const float logp[] = {-0.5f, -1.25f, -0.25f, -2.0f};
    float dlogp[4];

    (void)state;
    assert_true(run(logp, dlogp, 4, 4) == 1.0);
    for (size_t i = 0; i < 4; i++)
        assert_true(dlogp[i] == -0.25f);
}

static void slopes_are_the_derivative(void **state)
{
    float logp[N], dlogp[N], unused[N];
    const float h = 1.0f / 64;

    (void)state;
    pl_test_fill(logp, N, 1);
    run(logp, dlogp, N, N);
    for (size_t i = 0; i < N; i++) {
        const float at = logp[i];
        double up, down;

        logp[i] = at + h;
        up = run(logp, unused, N, N);
        logp[i] = at - h;
        down = run(logp, unused, N, N);
        logp[i] = at;
        pl_assert_close(dlogp[i], (up - down) / (2.0 * (double)h), 1e-6, 1e-5);
    }
}

static void micro_batches_change_nothing(void **state)
{
    float logp[N], whole[N], split[N];
    double loss;

    (void)state;
    pl_test_fill(logp, N, 2);
    loss = run(logp, whole, N, N);
    for (size_t stretch = 1; stretch < N; stretch += 3) {
        memset(split, 0xFF, sizeof split);
        assert_true(run(logp, split, N, stretch) == loss);
        pl_assert_same_bits(split, whole, N);
    }
}

static void entropies_are_not_asked_for(void **state)
{
    struct pl_supervised supervised;

    (void)state;
    pl_supervised_begin(&supervised, 1);
    assert_false(pl_supervised_objective(&supervised).entropy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mean_over_all_tokens_of_the_step),
        cmocka_unit_test(slopes_are_the_derivative),
        cmocka_unit_test(micro_batches_change_nothing),
        cmocka_unit_test(entropies_are_not_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
