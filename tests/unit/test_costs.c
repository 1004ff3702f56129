/* What a step costs: operations by hand, published shapes, seconds, machines, rates in files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "deploy/plan/costs.h"
#include "deploy/plan/estimate.h"
#include "deploy/plan/footprint.h"
#include "learner/advantage.h"
#include "learner/policy.h"
#include "tests/close.h"
#include "tests/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct pl_config TOY = {.arch = PL_ARCH_QWEN2,
                                     .hidden = 4,
                                     .layers = 2,
                                     .heads = 2,
                                     .kv_heads = 1,
                                     .head_dim = 2,
                                     .ffn = 8,
                                     .vocab = 10,
                                     .positions_max = 64,
                                     .rope_theta = 10000.0,
                                     .rms_eps = 1e-6f,
                                     .tied = true,
                                     .qkv_bias = true,
                                     .init_range = 0.02,
                                     .bos = -1,
                                     .pad = -1};

/* Of a row: (32 + 16 + 64 + 32) weights a layer, twice, two operations each; of a prediction: 2 *
 * 10
 * * 4; of a position: 4 * 2 layers * 2 heads * 2. */
enum { ROW = 576, PREDICTION = 80, POSITION = 32 };

/* 3 prompts of 4 tokens, 2 responses each of 6, at most 8: between 4 and 8, so that the mean of
 * n (n + 1) / 2 is (36 + 4 / 3 + 6) / 2. */
enum { G = 3, N = 2, P = 4, R = 6 };
static const double TRIANGLE = 0.5 * (36.0 + 4.0 / 3.0 + 6.0);

static struct pl_run_conf conf_of(void)
{
    return (struct pl_run_conf){.estimator = PL_ADVANTAGE_GRPO,
                                .loss_mode = PL_RATIO_TOKEN,
                                .batch_groups = G,
                                .samples = N,
                                .prompt_tokens_max = 8,
                                .response_tokens_max = 8,
                                .pack_tokens = 16,
                                .actor_slots = 4,
                                .mini_groups = 2,
                                .epochs = 2,
                                .critic_epochs = 3,
                                .steps = 100};
}

static struct pl_shape *shape_of(const struct pl_config *config)
{
    struct pl_shape *shape = NULL;

    assert_int_equal(pl_shape_create(config, &shape, NULL), PL_OK);
    return shape;
}

static struct pl_costs count(const struct pl_run_conf *conf, double changed)
{
    struct pl_shape *shape = shape_of(&TOY);
    const struct pl_costs_case of = {.conf = conf,
                                     .policy = shape,
                                     .critic = conf->estimator == PL_ADVANTAGE_GAE ? shape : NULL,
                                     .prompt = P,
                                     .response = R,
                                     .changed = changed};
    struct pl_costs costs;

    pl_costs_count(&of, &costs);
    pl_shape_destroy(shape);
    return costs;
}

static void work_is(const struct pl_work *w, double forward, double attention, double backward,
                    double attention_backward)
{
    pl_assert_close(w->forward, forward, 0.0, 1e-12);
    pl_assert_close(w->attention, attention, 0.0, 1e-12);
    pl_assert_close(w->backward, backward, 0.0, 1e-12);
    pl_assert_close(w->attention_backward, attention_backward, 0.0, 1e-12);
}

static void published_shapes_by_hand(void **state)
{
    static const struct {
        size_t hidden, layers, heads, kv_heads, head_dim, ffn, vocab;
        bool tied;
        double params, row, prediction, position;
    } models[] = {
        {896, 24, 14, 2, 64, 4864, 151936, true, 494032768, 715653120, 272269312, 86016},
        {1536, 28, 12, 2, 128, 8960, 151936, true, 1543714304, 2620391424, 466747392, 172032},
        {3584, 28, 28, 4, 128, 18944, 152064, false, 7615616512, 13050576896, 1089994752, 401408},
    };

    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct pl_config c = TOY;
        struct pl_shape *shape;

        c.hidden = models[i].hidden;
        c.layers = models[i].layers;
        c.heads = models[i].heads;
        c.kv_heads = models[i].kv_heads;
        c.head_dim = models[i].head_dim;
        c.ffn = models[i].ffn;
        c.vocab = models[i].vocab;
        c.tied = models[i].tied;
        shape = shape_of(&c);
        assert_true((double)shape->params == models[i].params);
        assert_true(pl_costs_row(shape) == models[i].row);
        assert_true(pl_costs_prediction(shape) == models[i].prediction);
        assert_true(pl_costs_position(shape) == models[i].position);
        pl_shape_destroy(shape);
    }
}

static void sampling_by_hand(void **state)
{
    const struct pl_run_conf conf = conf_of();
    const struct pl_costs costs = count(&conf, 0.0);
    struct pl_run_conf spare = conf;

    (void)state;
    assert_true(costs.longest == 8.0);
    work_is(&costs.parts[PL_COST_PREFILL], G * P * ROW, G * 10 * POSITION, 0.0, 0.0);
    work_is(&costs.parts[PL_COST_DECODE], G * N * R * (ROW + PREDICTION),
            G * N * (P * R + TRIANGLE) * POSITION, 0.0, 0.0);
    assert_true(costs.decode_weights == ROW + PREDICTION); /* 2 bytes, 2 operations a weight */
    assert_true(costs.rollout_bytes == 8.0 * G * (P + N * R));

    spare.spare_groups = 1; /* sampled, and left out of training */
    const struct pl_costs more = count(&spare, 0.0);
    assert_true(more.parts[PL_COST_DECODE].rows == (G + 1) * N * R);
    assert_true(more.parts[PL_COST_POLICY].rows == costs.parts[PL_COST_POLICY].rows);
}

static void training_by_hand(void **state)
{
    /* Packs of 16 take a prompt with both responses: 48 rows in 3 packs. */
    const double rows = G * (P + N * R), positions = G * (10 + N * (P * R + TRIANGLE));
    const double forward = rows * ROW + G * N * R * PREDICTION, attention = positions * POSITION;
    struct pl_run_conf conf = conf_of();
    struct pl_costs costs = count(&conf, 0.0);
    struct pl_shape *shape = shape_of(&TOY);
    const double params = (double)shape->params;

    (void)state;
    pl_shape_destroy(shape);
    assert_true(costs.packs == 3.0);
    work_is(&costs.parts[PL_COST_CHECK], forward / 3.0, attention / 3.0, 0.0, 0.0);
    work_is(&costs.parts[PL_COST_REFERENCE], 0.0, 0.0, 0.0, 0.0);
    work_is(&costs.parts[PL_COST_POLICY], 2.0 * forward, 2.0 * attention, 4.0 * forward,
            5.0 * attention);
    work_is(&costs.parts[PL_COST_CRITIC], 0.0, 0.0, 0.0, 0.0);
    assert_true(costs.updates == 4.0); /* 2 epochs of mini-batches of 2 and of 1 prompt */
    assert_true(costs.parts[PL_COST_OPTIMIZER].params == 4.0 * params);
    assert_true(costs.parts[PL_COST_PUBLISH].params == params);
    assert_true(costs.checkpoint_bytes == 14.0 * params);

    conf.recompute = true;
    costs = count(&conf, 0.0);
    work_is(&costs.parts[PL_COST_POLICY], 2.0 * (forward + rows * ROW), 4.0 * attention,
            4.0 * forward, 5.0 * attention);
    conf.recompute = false;

    conf.loss_mode = PL_RATIO_SEQUENCE;
    costs = count(&conf, 0.0);
    work_is(&costs.parts[PL_COST_POLICY], 4.0 * forward, 4.0 * attention, 4.0 * forward,
            5.0 * attention);
    conf.loss_mode = PL_RATIO_TOKEN;

    conf.estimator = PL_ADVANTAGE_GAE;
    conf.use_kl_loss = true;
    costs = count(&conf, 0.0);
    work_is(&costs.parts[PL_COST_REFERENCE], forward, attention, 0.0, 0.0);
    work_is(&costs.parts[PL_COST_VALUES], rows * ROW, attention, 0.0, 0.0);
    work_is(&costs.parts[PL_COST_CRITIC], 3.0 * rows * ROW, 3.0 * attention, 6.0 * rows * ROW,
            7.5 * attention);
    assert_true(costs.parts[PL_COST_OPTIMIZER].params == (4.0 + 6.0) * params);
    assert_true(costs.checkpoint_bytes == 28.0 * params);
}

/* One response to a pack: every prompt is computed twice. */
static void small_packs_repeat_prompts(void **state)
{
    struct pl_run_conf conf = conf_of();
    struct pl_costs costs;

    (void)state;
    conf.pack_tokens = 15;
    costs = count(&conf, 0.0);
    assert_true(costs.packs == G * N);
    assert_true(costs.parts[PL_COST_POLICY].rows == 2.0 * G * N * (P + R));
}

static void a_delta_is_never_more_than_all(void **state)
{
    const struct pl_run_conf conf = conf_of();
    const struct pl_costs few = count(&conf, 0.1), many = count(&conf, 0.2);

    (void)state;
    pl_assert_close(few.delta_bytes, 0.1 * 4.0 * 3.0 * few.parts[PL_COST_PUBLISH].params, 0.0,
                    1e-12);
    assert_true(many.delta_bytes == many.snapshot_bytes);
}

/* ---- seconds ---- */

static struct pl_rates rates_of(void)
{
    return (struct pl_rates){.cpu = "a \"made-up\" one",
                             .threads = 2,
                             .hidden = 4,
                             .ffn = 8,
                             .peak_flops = 2e9,
                             .read_bytes = 3e9,
                             .forward_flops = 1e3,
                             .backward_flops = 5e2,
                             .attention_flops = 2e2,
                             .attention_backward_flops = 1e2,
                             .decode_bytes = 4e2,
                             .decode_flops = 1e3,
                             .decode_attention_flops = 2e2,
                             .optimizer_params = 1e4,
                             .publish_bytes = 1e5};
}

static void seconds_by_hand(void **state)
{
    const struct pl_run_conf conf = conf_of();
    const struct pl_costs costs = count(&conf, 0.0);
    const struct pl_rates rates = rates_of();
    const struct pl_work *policy = &costs.parts[PL_COST_POLICY];
    const double one = P * ROW / 1e3 + (10 * POSITION + N * (P * R + TRIANGLE) * POSITION) / 2e2;

    (void)state;
    /* 2 samples: weights are read 8 times, as the longest has tokens, which takes longer than the
     * operations of 12 tokens; 6 in 4 slots: 36 / 4 times, and the operations take longer. */
    pl_assert_close(pl_costs_sample_s(&costs, &rates, 1.0), one + 8.0 * (ROW + PREDICTION) / 4e2,
                    0.0, 1e-12);
    pl_assert_close(pl_costs_sample_s(&costs, &rates, 3.0),
                    3.0 * one + 36.0 * (ROW + PREDICTION) / 1e3, 0.0, 1e-12);
    pl_assert_close(pl_costs_part_s(&costs, &rates, PL_COST_PREFILL) +
                        pl_costs_part_s(&costs, &rates, PL_COST_DECODE),
                    pl_costs_sample_s(&costs, &rates, 3.0), 0.0, 1e-12);
    pl_assert_close(pl_costs_part_s(&costs, &rates, PL_COST_POLICY),
                    policy->forward / 1e3 + policy->backward / 5e2 + policy->attention / 2e2 +
                        policy->attention_backward / 1e2,
                    0.0, 1e-12);
    pl_assert_close(pl_costs_part_s(&costs, &rates, PL_COST_OPTIMIZER),
                    costs.parts[PL_COST_OPTIMIZER].params / 1e4, 0.0, 1e-12);
    pl_assert_close(pl_costs_part_s(&costs, &rates, PL_COST_PUBLISH),
                    2.0 * costs.parts[PL_COST_PUBLISH].params / 1e5, 0.0, 1e-12);
}

static void machines_by_hand(void **state)
{
    const struct pl_run_conf conf = conf_of();
    struct pl_costs costs = count(&conf, 0.01);
    const struct pl_rates rates = rates_of();
    struct pl_costs_machines one, three, five;
    const double network = 100.0;

    (void)state;
    pl_costs_spread(&costs, &rates, 1, network, &one);
    assert_true(one.send_s == 0.0 && one.down_bytes == 0.0);
    pl_assert_close(one.step_s, pl_costs_sample_s(&costs, &rates, 3.0) + one.train_s, 0.0, 1e-12);
    pl_assert_close(one.run_s, 100.0 * one.step_s, 0.0, 1e-12);

    pl_costs_spread(&costs, &rates, 3, network, &three); /* two actors: 2 prompts and 1 */
    assert_int_equal(three.actors, 2);
    assert_int_equal(three.busy, 2);
    pl_assert_close(three.sample_s, pl_costs_sample_s(&costs, &rates, 2.0), 0.0, 1e-12);
    pl_assert_close(three.send_s, (2.0 * costs.delta_bytes + costs.rollout_bytes) / network, 0.0,
                    1e-12);
    pl_assert_close(three.step_s, three.sample_s + three.send_s + three.train_s, 0.0, 1e-12);
    pl_assert_close(three.waits, 1.0 - three.train_s / three.step_s, 0.0, 1e-12);

    pl_costs_spread(&costs, &rates, 5, network, &five); /* one actor too many */
    assert_int_equal(five.busy, 3);
    pl_assert_close(five.up_bytes, costs.rollout_bytes / 3.0, 0.0, 1e-12);

    costs.staleness = 1.0; /* two batches at once: 6 prompts in 2 actors, and training hides it */
    pl_costs_spread(&costs, &rates, 3, network, &three);
    pl_assert_close(three.sample_s, pl_costs_sample_s(&costs, &rates, 3.0) / 2.0, 0.0, 1e-12);
    pl_assert_close(three.step_s, fmax(three.sample_s + three.send_s, three.train_s), 0.0, 1e-12);
}

static void more_machines_are_never_slower(void **state)
{
    struct pl_run_conf conf = conf_of();

    (void)state;
    conf.batch_groups = 7;
    for (size_t staleness = 0; staleness <= 2; staleness++) {
        const struct pl_rates rates = rates_of();
        struct pl_costs_machines m, enough;
        struct pl_costs costs;
        double before = INFINITY;

        conf.staleness = staleness;
        costs = count(&conf, 0.01);
        for (size_t i = 1; i <= 30; i++) {
            pl_costs_spread(&costs, &rates, i, 1e12, &m);
            assert_true(m.step_s <= before * (1.0 + 1e-9));
            assert_true(m.step_s >= m.train_s);
            before = m.step_s;
        }
        pl_costs_spread(&costs, &rates, pl_costs_enough(&costs, &rates, 1e12), 1e12, &enough);
        assert_true(enough.step_s <= 1.01 * before);
        if (enough.machines > 1) {
            pl_costs_spread(&costs, &rates, enough.machines - 1, 1e12, &m);
            assert_true(m.step_s > 1.01 * before);
        }
    }
}

static void longer_responses_cost_more(void **state)
{
    const struct pl_run_conf conf = conf_of();
    const struct pl_rates rates = rates_of();
    struct pl_shape *shape = shape_of(&TOY);
    struct pl_costs_case of = {.conf = &conf, .policy = shape, .prompt = P};
    double before = 0.0;

    (void)state;
    for (of.response = 1.0; of.response <= 8.0; of.response += 1.0) {
        struct pl_costs_machines m;
        struct pl_costs costs;

        pl_costs_count(&of, &costs);
        assert_true(costs.longest == fmin(8.0, 2.0 * of.response));
        pl_costs_spread(&costs, &rates, 2, 1e9, &m);
        assert_true(m.step_s > before);
        before = m.step_s;
    }
    pl_shape_destroy(shape);
}

/* ---- memory ---- */

static uint64_t bytes_of(const struct pl_footprint *f, enum pl_process process, const char *of,
                         const char *what)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->rows[i].process == process && strcmp(f->rows[i].of, of) == 0 &&
            strcmp(f->rows[i].what, what) == 0)
            return f->rows[i].bytes;
    return 0;
}

static void a_critic_pays_for_what_it_does_not_borrow(void **state)
{
    struct pl_run_conf conf = conf_of();
    struct pl_footprint without, with, third;
    struct pl_config wider = TOY;
    struct pl_shape *shape = shape_of(&TOY);
    const uint64_t floats = shape->floats * sizeof(float);

    (void)state;
    pl_shape_destroy(shape);
    conf.redis = "";
    conf.actors = 2;
    conf.rewarders = 1;
    assert_int_equal(pl_footprint_of(&conf, &TOY, NULL, &without, NULL), PL_OK);
    assert_int_equal(bytes_of(&without, PL_PROCESS_LEARNER, "policy", "master weights (f32)"),
                     floats);
    assert_int_equal(bytes_of(&without, PL_PROCESS_LEARNER, "policy", "reference (bf16)"), 0);
    assert_int_equal(pl_footprint_total(&without),
                     without.bytes[PL_PROCESS_LEARNER] + 2 * without.bytes[PL_PROCESS_ACTOR] +
                         without.bytes[PL_PROCESS_REWARDER] + without.bytes[PL_PROCESS_REDIS]);

    conf.estimator = PL_ADVANTAGE_GAE;
    assert_int_equal(pl_footprint_of(&conf, &TOY, &TOY, &with, NULL), PL_OK);
    assert_int_equal(bytes_of(&with, PL_PROCESS_LEARNER, "critic", "gradients (f32)"), 0);
    assert_int_equal(bytes_of(&with, PL_PROCESS_LEARNER, "critic", "first moments (f32)"),
                     floats + (4 + 1) * sizeof(float));
    wider.ffn = 16;
    assert_int_equal(pl_footprint_of(&conf, &TOY, &wider, &third, NULL), PL_OK);
    assert_true(bytes_of(&third, PL_PROCESS_LEARNER, "critic", "gradients (f32)") > 0);
    assert_true(without.bytes[PL_PROCESS_LEARNER] < with.bytes[PL_PROCESS_LEARNER] &&
                with.bytes[PL_PROCESS_LEARNER] < third.bytes[PL_PROCESS_LEARNER]);
}

static void every_setting_of_memory_counts(void **state)
{
    struct pl_run_conf base = conf_of();
    struct pl_footprint less, more;

    (void)state;
    base.redis = "";
    base.held_mb = 1024;
    assert_int_equal(pl_footprint_of(&base, &TOY, NULL, &less, NULL), PL_OK);
    for (int i = 0; i < 6; i++) {
        struct pl_run_conf conf = base;
        enum pl_process grows = PL_PROCESS_LEARNER;

        if (i == 0)
            conf.use_kl_loss = true;
        else if (i == 1)
            conf.staleness = 1;
        else if (i == 2)
            conf.pack_tokens *= 2;
        else if (i == 3)
            conf.val_files.count = 1;
        else
            grows = i == 4 ? PL_PROCESS_ACTOR : PL_PROCESS_REDIS;
        if (i == 4)
            conf.actor_slots *= 2;
        if (i == 5)
            conf.save_freq = 10;
        assert_int_equal(pl_footprint_of(&conf, &TOY, NULL, &more, NULL), PL_OK);
        assert_true(more.bytes[grows] > less.bytes[grows]);
    }
    base.held_mb = 0; /* a checkpoint after each step: however long it is until the next */
    assert_int_equal(pl_footprint_of(&base, &TOY, NULL, &less, NULL), PL_OK);
    base.save_freq = 10;
    assert_int_equal(pl_footprint_of(&base, &TOY, NULL, &more, NULL), PL_OK);
    assert_true(more.bytes[PL_PROCESS_REDIS] == less.bytes[PL_PROCESS_REDIS]);
    base.recompute = true;
    assert_int_equal(pl_footprint_of(&base, &TOY, NULL, &more, NULL), PL_OK);
    assert_true(more.bytes[PL_PROCESS_LEARNER] < less.bytes[PL_PROCESS_LEARNER]);
}

/* ---- rates in files ---- */

static void rates_come_back_from_a_file(void **state)
{
    const struct pl_rates rates = rates_of();
    json_t *json = pl_rates_json(&rates), *outer = json_pack("{s:O}", "rates", json);
    struct pl_rates back = {0};
    struct pl_error err = {0};

    (void)state;
    assert_int_equal(pl_json_save(pl_scratch("rates.json"), json, 1, &err), PL_OK);
    assert_int_equal(pl_rates_load(pl_scratch("rates.json"), &back, &err), PL_OK);
    assert_memory_equal(&back, &rates, sizeof rates);
    memset(&back, 0, sizeof back);
    assert_int_equal(pl_json_save(pl_scratch("plan.json"), outer, 1, &err), PL_OK);
    assert_int_equal(pl_rates_load(pl_scratch("plan.json"), &back, &err), PL_OK);
    assert_memory_equal(&back, &rates, sizeof rates);

    json_object_set_new(json, "decode_flops", json_integer(0));
    assert_int_equal(pl_json_save(pl_scratch("rates.json"), json, 1, &err), PL_OK);
    assert_int_equal(pl_rates_load(pl_scratch("rates.json"), &back, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "decode_flops"));
    json_object_del(json, "decode_flops");
    assert_int_equal(pl_json_save(pl_scratch("rates.json"), json, 1, &err), PL_OK);
    assert_int_equal(pl_rates_load(pl_scratch("rates.json"), &back, &err), PL_EFORMAT);
    assert_int_equal(pl_rates_load(pl_scratch("none.json"), &back, &err), PL_ENOENT);
    json_decref(outer);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_shapes_by_hand),
        cmocka_unit_test(sampling_by_hand),
        cmocka_unit_test(training_by_hand),
        cmocka_unit_test(small_packs_repeat_prompts),
        cmocka_unit_test(a_delta_is_never_more_than_all),
        cmocka_unit_test(seconds_by_hand),
        cmocka_unit_test(machines_by_hand),
        cmocka_unit_test(more_machines_are_never_slower),
        cmocka_unit_test(longer_responses_cost_more),
        cmocka_unit_test(a_critic_pays_for_what_it_does_not_borrow),
        cmocka_unit_test(every_setting_of_memory_counts),
        cmocka_unit_test(rates_come_back_from_a_file),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
