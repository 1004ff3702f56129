/* The critic's loss by hand; its trunk from a folder. */
#include "learner/critic.h"

#include "common/model/checkpoint.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/close.h"
#include "tests/model.h"
#include "tests/scratch.h"

static void errors_by_hand(void **state)
{
    struct pl_value_token t;

    (void)state;
    t = pl_value_error(0.5, 1.0, 0.8, 2.0); /* within the clip: 1/2 1^2 */
    pl_assert_close(t.loss, 0.5, 1e-12, 1e-12);
    pl_assert_close(t.slope, -1.0, 1e-12, 1e-12);
    assert_false(t.clipped);
    t = pl_value_error(0.5, 1.0, 0.2, 2.0); /* it rose by 0.8 towards R: as if by 0.5, and stays */
    pl_assert_close(t.loss, 0.5 * 1.3 * 1.3, 1e-12, 1e-12);
    assert_true(t.clipped && t.slope >= 0.0 && t.slope <= 0.0);
    t = pl_value_error(0.5, 3.0, 4.0, 2.0); /* it fell by 1 towards R: as if by 0.5 */
    pl_assert_close(t.loss, 0.5 * 1.5 * 1.5, 1e-12, 1e-12);
    assert_true(t.clipped);
    t = pl_value_error(0.5, 3.0, 2.0, 1.0); /* it rose away from R: it comes back */
    pl_assert_close(t.loss, 2.0, 1e-12, 1e-12);
    pl_assert_close(t.slope, 2.0, 1e-12, 1e-12);
    assert_false(t.clipped);
    t = pl_value_error(0.0, 1.5, 1.5, 1.0); /* no change at all: not cut */
    pl_assert_close(t.slope, 0.5, 1e-12, 1e-12);
    assert_false(t.clipped);
}

/* verl: 0.5 * masked_mean(max(vf_losses1, vf_losses2)), masked_mean(vf_losses2 > vf_losses1). */
static void a_mini_batch_by_hand(void **state)
{
    static const size_t first[] = {0, 2, 3};
    static const float old[] = {0.0f, 0.2f, 1.0f}, returns[] = {1.0f, 2.0f, 1.0f};
    static const float values[] = {0.25f, 1.0f, 3.0f}; /* (0.75, 0.75), (1, 1.69), (4, 0.25) */
    const struct pl_prediction at[] = {{0, 0, 1, 0}, {0, 0, 0, 0}, {1, 0, 0, 1}};
    const float said[] = {values[2], values[0], values[1]}; /* in the order of the rows */
    struct pl_value_loss loss = {
        .clip = 0.5, .first = first, .old = old, .returns = returns, .tokens = 3};
    const struct pl_objective objective = pl_value_objective(&loss);
    float slopes[3];

    (void)state;
    objective.slopes(objective.at, &(struct pl_slopes){
                                       .predictions = at, .n = 2, .value = said, .dvalue = slopes});
    objective.slopes(
        objective.at,
        &(struct pl_slopes){
            .predictions = at + 2, .first = 2, .n = 1, .value = said + 2, .dvalue = slopes + 2});
    pl_assert_close(loss.loss, 0.5 * (0.75 * 0.75 + 1.3 * 1.3 + 4.0) / 3.0, 1e-6, 1e-6);
    pl_assert_close(slopes[0], 2.0 / 3.0, 1e-6, 1e-6);
    pl_assert_close(slopes[1], -0.75 / 3.0, 1e-6, 1e-6);
    assert_true(slopes[2] >= 0.0f && slopes[2] <= 0.0f);
    pl_assert_close(loss.value, 4.25, 1e-6, 1e-6);
    assert_int_equal(loss.clipped, 1);
    assert_int_equal(loss.seen, 3);
}

static void explained_variance_by_hand(void **state)
{
    static const float returns[] = {1.0f, 2.0f, 3.0f, 6.0f}; /* variance 14 / 3 */
    static const float values[] = {1.0f, 1.0f, 3.0f, 5.0f};  /* differences 0, 1, 0, 1: 1 / 3 */
    static const float same[] = {2.0f, 2.0f};

    (void)state;
    pl_assert_close(pl_explained_variance(returns, values, 4),
                    1.0 - (1.0 / 3.0) / (14.0 / 3.0 + 1e-5), 1e-9, 1e-9);
    pl_assert_close(pl_explained_variance(returns, returns, 4), 1.0, 1e-12, 1e-12);
    pl_assert_close(pl_explained_variance(same, same, 2), 1.0, 1e-12, 1e-12);
    assert_true(isnan(pl_explained_variance(same, same, 1)));
}

/* ---- from a folder ---- */

static struct pl_config config_of(size_t vocab, size_t ffn, bool tied)
{
    return (struct pl_config){
        .arch = PL_ARCH_QWEN2,
        .hidden = 24,
        .layers = 2,
        .heads = 2,
        .kv_heads = 1,
        .head_dim = 12,
        .ffn = ffn,
        .vocab = vocab,
        .positions_max = 64,
        .rope_theta = 1e4,
        .rms_eps = 1e-6f,
        .tied = tied,
        .qkv_bias = true,
        .bos = -1,
        .pad = -1,
        .init_range = 0.02,
    };
}

static const struct pl_run_conf CONF = {.beta1 = 0.9,
                                        .beta2 = 0.99,
                                        .weight_decay = 0.1,
                                        .critic_beta1 = 0.8,
                                        .critic_beta2 = -1.0,
                                        .critic_weight_decay = 0.0,
                                        .critic_grad_clip = 2.0};
static const struct pl_trainer_opts BESIDE = {
    .limits = {64, 4}, .positions = 40, .adamw = {.eps = 1e-8}};

/* What is left out of a folder with a vocabulary projection is that, and nothing else. */
static void the_trunk_is_the_folders(void **state)
{
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        const struct pl_config config = config_of(31, 33, tied);
        struct pl_critic critic = {0};
        struct pl_test_model model;
        struct pl_error err = {0};
        float *got;

        pl_test_model_create(&model, &config, 5);
        assert_int_equal(
            pl_model_save(pl_scratch("model"), true, model.weights, NULL, PL_SHARD_DEFAULT, &err),
            PL_OK);
        if (pl_critic_load(&critic, &CONF, pl_scratch("model"), model.shape, &BESIDE, &err) < 0)
            fail_msg("%s", err.text);
        assert_null(pl_shape_find(critic.shape, PL_ROLE_HEAD, 0));
        got = calloc(critic.shape->floats, sizeof *got);
        pl_weights_get_flat(critic.weights, got);
        for (size_t i = 0; i < critic.shape->count; i++) {
            const struct pl_tensor *t = &critic.shape->tensors[i];

            pl_assert_same_bits(got + t->offset,
                                model.flat + pl_shape_find(model.shape, t->role, t->layer)->offset,
                                pl_tensor_size(t));
        }
        assert_true(critic.opts.value && critic.opts.borrow); /* as large as the policy */
        assert_true(critic.opts.adamw.beta1 <= 0.8 && critic.opts.adamw.beta2 >= 0.99);
        assert_true(critic.opts.adamw.weight_decay <= 0.0 && critic.opts.adamw.clip >= 2.0);
        free(got);
        pl_critic_close(&critic);
        pl_test_model_destroy(&model);
    }
}

/* Only a critic of the policy's sizes can use its activations; the plan says what each takes. */
static void another_model_pays_for_itself(void **state)
{
    const struct pl_config config = config_of(31, 33, true), wider = config_of(31, 40, true);
    struct pl_test_model model, policy;
    struct pl_critic same = {0}, other = {0};
    struct pl_plan plans[2];
    struct pl_error err = {0};

    (void)state;
    pl_test_model_create(&model, &config, 5);
    pl_test_model_create(&policy, &wider, 5);
    assert_int_equal(
        pl_model_save(pl_scratch("model"), true, model.weights, NULL, PL_SHARD_DEFAULT, &err),
        PL_OK);
    assert_int_equal(pl_critic_load(&same, &CONF, pl_scratch("model"), model.shape, &BESIDE, &err),
                     PL_OK);
    assert_int_equal(
        pl_critic_load(&other, &CONF, pl_scratch("model"), policy.shape, &BESIDE, &err), PL_OK);
    assert_true(same.opts.borrow && !other.opts.borrow);
    pl_plan_init(&plans[0]);
    pl_plan_init(&plans[1]);
    pl_critic_plan(&same, &plans[0]);
    pl_critic_plan(&other, &plans[1]);
    assert_int_equal(plans[0].count + 5, plans[1].count); /* a gradient of its own, too */
    assert_true(pl_plan_total(&plans[0]) < pl_plan_total(&plans[1]));
    assert_int_equal(pl_critic_open(&other, NULL, &err), PL_OK);
    pl_critic_close(&same);
    pl_critic_close(&other);
    pl_test_model_destroy(&model);
    pl_test_model_destroy(&policy);
}

static void another_vocabulary_is_refused(void **state)
{
    const struct pl_config config = config_of(31, 33, true), more = config_of(32, 33, true);
    struct pl_test_model model, policy;
    struct pl_critic critic = {0};
    struct pl_error err = {0};

    (void)state;
    pl_test_model_create(&model, &config, 5);
    pl_test_model_create(&policy, &more, 5);
    assert_int_equal(
        pl_model_save(pl_scratch("model"), true, model.weights, NULL, PL_SHARD_DEFAULT, &err),
        PL_OK);
    assert_int_equal(
        pl_critic_load(&critic, &CONF, pl_scratch("model"), policy.shape, &BESIDE, &err),
        PL_EINVAL);
    pl_assert_says(&err, "'$/model': the critic's vocabulary has 31 tokens, the policy's 32; the "
                         "two must read the same text");
    pl_critic_close(&critic);
    assert_int_equal(
        pl_critic_load(&critic, &CONF, pl_scratch("none"), policy.shape, &BESIDE, &err), PL_ENOENT);
    pl_critic_close(&critic);
    pl_test_model_destroy(&model);
    pl_test_model_destroy(&policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_by_hand),
        cmocka_unit_test(a_mini_batch_by_hand),
        cmocka_unit_test(explained_variance_by_hand),
        cmocka_unit_test(the_trunk_is_the_folders),
        cmocka_unit_test(another_model_pays_for_itself),
        cmocka_unit_test(another_vocabulary_is_refused),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
