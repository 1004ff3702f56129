/* Steps of fine-tuning: they learn, take each row once a pass, and go on to the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/rng.h"
#include "learner/sft_run.h"
#include "tests/close.h"
#include "tests/model.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 11, EVAL_ROWS = 4, VOCAB = 40, BROKEN = VOCAB - 1 };
static const double LR = 5e-3;

static const struct pl_config config = {
    .arch = PL_ARCH_QWEN2,
    .hidden = 32,
    .layers = 2,
    .heads = 4,
    .kv_heads = 2,
    .head_dim = 8,
    .ffn = 48,
    .vocab = VOCAB,
    .positions_max = 128,
    .rope_theta = 1e4,
    .rms_eps = 1e-6f,
    .qkv_bias = true,
    .bos = -1,
    .pad = -1,
};

static const struct pl_sft_opts usual = {
    .batch = 4,
    .micro_tokens = 1000,
    .shuffled = true,
    .seed = 7,
    .adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.01, .clip = 1.0},
};

static struct pl_sft_data train, eval;
static json_t *agree;
static char folder[64];

/* Row i: a prompt of random ids below BROKEN, a response of i % 5 + 2 of them: lengths tell rows
 * apart. */
static void make_data(struct pl_sft_data *data, size_t rows, uint32_t seed)
{
    const struct pl_rng rng = {.seed = seed, .batch = (uint32_t)PL_RNG_TEST};
    uint32_t at = 0;

    pl_sft_data_init(data);
    for (size_t i = 0; i < rows; i++) {
        uint32_t ids[64];

        for (size_t t = 0; t < 64; t++)
            ids[t] = (uint32_t)pl_rng_below(&rng, at++, BROKEN);
        assert_int_equal(pl_sft_data_add(data, ids, 1 + i * 7 % 40, ids + 50, i % 5 + 2), PL_OK);
    }
}

static int set_up(void **state)
{
    (void)state;
    make_data(&train, ROWS, 1);
    make_data(&eval, EVAL_ROWS, 2);
    agree = json_pack("{s:i}", "seed", 7);
    snprintf(folder, sizeof folder, "/tmp/plait-sftrun-XXXXXX");
    return mkdtemp(folder) && agree ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(agree);
    pl_sft_data_release(&train);
    pl_sft_data_release(&eval);
    return pl_dir_remove(folder, NULL);
}

/* A model and its run. */
struct made {
    struct pl_test_model model;
    struct pl_sft_run *run;
};

static void begin(struct made *made, const struct pl_sft_opts *opts)
{
    struct pl_error err = {0};

    pl_test_model_create(&made->model, &config, 3);
    if (pl_sft_run_create(made->model.weights, &train, &eval, opts, &made->run, &err) < 0)
        fail_msg("%s", err.text);
}

static void end(struct made *made)
{
    pl_sft_run_destroy(made->run);
    pl_test_model_destroy(&made->model);
}

static struct pl_sft_step step(struct made *made)
{
    struct pl_sft_step s;
    struct pl_error err = {0};

    if (pl_sft_run_step(made->run, LR, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

/* What the weights are now: widened bf16 values. */
static float *values_of(struct made *made)
{
    pl_weights_get_flat(made->model.weights, made->model.flat);
    return made->model.flat;
}

static void assert_same_weights(struct made *a, struct made *b)
{
    pl_assert_same_bits(values_of(a), values_of(b), a->model.shape->floats);
}

static void rows_are_learnt_by_heart(void **state)
{
    struct pl_sft_step first, last;
    struct made made;

    (void)state;
    begin(&made, &usual);
    first = step(&made);
    for (int i = 0; i < 150; i++)
        last = step(&made);
    assert_true(first.loss > 2.0);
    assert_true(last.loss < 0.05);
    end(&made);
}

static void a_pass_takes_each_row_once(void **state)
{
    struct pl_sft_opts opts = usual;

    (void)state;
    for (int shuffled = 0; shuffled <= 1; shuffled++) {
        struct made made;

        opts.shuffled = shuffled;
        begin(&made, &opts);
        for (uint64_t epoch = 0; epoch < 2; epoch++) {
            size_t responses = 0, tokens = 0, whole = 0;

            for (size_t i = 0; i < pl_sft_steps_a_pass(&train, 4); i++) {
                struct pl_sft_step s;

                pl_assert_close(pl_sft_run_epoch(made.run), (double)epoch + (double)(4 * i) / ROWS,
                                1e-12, 0);
                s = step(&made);
                responses += s.responses;
                tokens += s.tokens;
                if (!shuffled && i == 2) /* the last three rows alone: 8, 9, 10 */
                    assert_int_equal(s.responses, (8 % 5 + 2) + (9 % 5 + 2) + (10 % 5 + 2));
            }
            for (size_t i = 0; i < ROWS; i++)
                whole += (size_t)train.rows[i].prompt_len + train.rows[i].response_len - 1;
            assert_int_equal(responses, train.responses);
            assert_int_equal(tokens, whole);
            assert_int_equal(pl_sft_run_state(made.run)->epoch, epoch + 1);
            assert_int_equal(pl_sft_run_state(made.run)->index, 0);
        }
        assert_int_equal(pl_sft_run_state(made.run)->step, 6);
        end(&made);
    }
    assert_int_equal(pl_sft_steps_a_pass(&train, 11), 1);
    assert_int_equal(pl_sft_steps_a_pass(&train, 12), 1);
    assert_int_equal(pl_sft_steps_a_pass(&train, 10), 2);
}

static void saved_anywhere_it_goes_on_to_the_same_bits(void **state)
{
    enum { STEPS = 7 };
    struct pl_sft_step want[STEPS];
    struct made whole, part, rest;
    struct pl_error err = {0};

    (void)state;
    begin(&whole, &usual);
    for (size_t i = 0; i < STEPS; i++) {
        want[i] = step(&whole);
        if (i == 1)
            pl_sft_run_evaluate(whole.run);
    }
    for (size_t saved = 1; saved < STEPS; saved += 2) { /* within a pass and at its end */
        begin(&part, &usual);
        for (size_t i = 0; i < saved; i++) {
            step(&part);
            if (i == 1)
                pl_sft_run_evaluate(part.run);
        }
        assert_int_equal(pl_sft_run_save(part.run, folder, agree, &err), PL_OK);
        begin(&rest, &usual);
        pl_weights_set_flat(rest.model.weights, values_of(&part)); /* as the model folder has it */
        end(&part);
        if (pl_sft_run_restore(rest.run, folder, agree, &err) < 0)
            fail_msg("%s", err.text);
        for (size_t i = saved; i < STEPS; i++) {
            const struct pl_sft_step s = step(&rest);

            if (i == 1)
                pl_sft_run_evaluate(rest.run);
            assert_true(s.loss == want[i].loss && s.grad_norm == want[i].grad_norm);
            assert_true(s.responses == want[i].responses && s.tokens == want[i].tokens);
        }
        assert_same_weights(&rest, &whole);
        assert_memory_equal(pl_sft_run_state(rest.run), pl_sft_run_state(whole.run),
                            sizeof(struct pl_train_state));
        end(&rest);
    }
    end(&whole);
}

static void what_must_not_enter_the_bits(void **state)
{
    const int threads = omp_get_max_threads();
    struct pl_sft_opts recompute = usual;
    struct made a, b;

    (void)state;
    recompute.recompute = true;
    omp_set_num_threads(1);
    begin(&a, &usual);
    for (int i = 0; i < 4; i++)
        step(&a);
    omp_set_num_threads(2);
    begin(&b, &recompute);
    for (int i = 0; i < 4; i++) {
        step(&b);
        pl_sft_run_evaluate(b.run);
    }
    assert_same_weights(&a, &b);
    end(&a);
    end(&b);
    omp_set_num_threads(threads);
}

static void what_must_enter_the_bits(void **state)
{
    struct pl_sft_opts seed = usual, order = usual;
    struct made a, b, c;

    (void)state;
    seed.seed++;
    order.shuffled = false;
    begin(&a, &usual);
    begin(&b, &seed);
    begin(&c, &order);
    step(&a);
    step(&b);
    step(&c);
    assert_memory_not_equal(values_of(&a), values_of(&b), a.model.shape->floats * sizeof(float));
    assert_memory_not_equal(values_of(&a), values_of(&c), a.model.shape->floats * sizeof(float));
    end(&a);
    end(&b);
    end(&c);
}

/* The loss is of the whole step, to the bit; the gradient's sums are split with the step. */
static void micro_batches_are_one_step(void **state)
{
    struct pl_sft_opts opts = usual;
    struct pl_sft_step whole, split;
    struct made a, b;

    (void)state;
    opts.batch = ROWS;
    begin(&a, &opts);
    whole = step(&a);
    for (opts.micro_tokens = 1; opts.micro_tokens < 300; opts.micro_tokens *= 3) {
        begin(&b, &opts);
        split = step(&b);
        assert_true(split.loss == whole.loss);
        assert_int_equal(split.tokens, whole.tokens);
        pl_assert_close(split.grad_norm, whole.grad_norm, 0, 1e-5);
        end(&b);
    }
    end(&a);
}

/* Rows that are trained on and evaluated give one number: log-probabilities have the same bits. */
static void evaluation_is_the_same_mean(void **state)
{
    struct pl_sft_opts opts = usual;
    struct pl_sft_run *run = NULL;
    struct pl_test_model model;
    struct pl_sft_step s;
    double loss;

    (void)state;
    opts.batch = ROWS;
    opts.shuffled = false;
    opts.micro_tokens = 64;
    pl_test_model_create(&model, &config, 3);
    assert_int_equal(pl_sft_run_create(model.weights, &train, &train, &opts, &run, NULL), PL_OK);
    assert_true(isnan(pl_sft_run_state(run)->eval_best));
    loss = pl_sft_run_evaluate(run);
    assert_true(pl_sft_run_state(run)->eval_best == loss);
    assert_int_equal(pl_sft_run_state(run)->eval_best_step, 0);
    assert_int_equal(pl_sft_run_step(run, LR, &s, NULL), PL_OK);
    assert_true(s.loss == loss);
    assert_true(pl_sft_run_evaluate(run) < loss);
    assert_int_equal(pl_sft_run_state(run)->eval_best_step, 1);
    assert_int_equal(pl_sft_run_step(run, 10.0, &s, NULL), PL_OK); /* worse: not the best */
    assert_true(pl_sft_run_evaluate(run) > loss);
    assert_int_equal(pl_sft_run_state(run)->eval_best_step, 1);
    pl_sft_run_destroy(run);
    pl_test_model_destroy(&model);
}

/* One token's embedding is infinite, and all that reads it is not a number. */
static void break_token(struct pl_weights *weights)
{
    uint16_t row[32];

    for (size_t i = 0; i < 32; i++)
        row[i] = 0x7F80;
    pl_weights_set(weights, pl_shape_find(weights->shape, PL_ROLE_EMBED, 0), BROKEN, 1, row);
}

static void a_broken_evaluation_leaves_no_trace(void **state)
{
    struct pl_sft_data broken;
    struct pl_sft_run *runs[2] = {0};
    struct pl_test_model models[2];
    const uint32_t ids[40] = {BROKEN, 1, 2};

    (void)state;
    pl_sft_data_init(&broken);
    assert_int_equal(pl_sft_data_add(&broken, ids, 39, ids + 39, 1), PL_OK);
    for (size_t i = 0; i < 2; i++) {
        pl_test_model_create(&models[i], &config, 3);
        break_token(models[i].weights);
        assert_int_equal(
            pl_sft_run_create(models[i].weights, &train, &broken, &usual, &runs[i], NULL), PL_OK);
        for (size_t s = 0; s < 3; s++) {
            struct pl_sft_step result;

            if (i == 1) {
                assert_true(isnan(pl_sft_run_evaluate(runs[i])));
                assert_true(isnan(pl_sft_run_state(runs[i])->eval_best));
            }
            assert_int_equal(pl_sft_run_step(runs[i], LR, &result, NULL), PL_OK);
            assert_false(result.skipped);
        }
        pl_weights_get_flat(models[i].weights, models[i].flat);
    }
    pl_assert_same_bits(models[1].flat, models[0].flat, models[0].shape->floats);
    for (size_t i = 0; i < 2; i++) {
        pl_sft_run_destroy(runs[i]);
        pl_test_model_destroy(&models[i]);
    }
    pl_sft_data_release(&broken);
}

/* Row 1 of three, taken one by one, breaks its step; the others go on as if it were not there. */
static void steps_without_a_finite_gradient_are_skipped(void **state)
{
    struct pl_sft_data with, without;
    struct pl_sft_opts opts = usual;
    struct pl_sft_run *a = NULL, *b = NULL;
    struct pl_test_model model_a, model_b;
    const uint32_t ids[] = {1, 2, 3, 4, 5, 6, BROKEN, 8};
    struct pl_sft_step s;
    struct pl_error err = {0};

    (void)state;
    opts.batch = 1;
    opts.shuffled = false;
    pl_sft_data_init(&with);
    pl_sft_data_init(&without);
    pl_sft_data_add(&with, ids, 4, ids + 4, 2);
    pl_sft_data_add(&with, ids, 7, ids + 7, 1);
    pl_sft_data_add(&with, ids + 1, 3, ids + 4, 2);
    pl_sft_data_add(&without, ids, 4, ids + 4, 2);
    pl_sft_data_add(&without, ids + 1, 3, ids + 4, 2);
    pl_test_model_create(&model_a, &config, 3);
    pl_test_model_create(&model_b, &config, 3);
    break_token(model_a.weights);
    break_token(model_b.weights);
    assert_int_equal(pl_sft_run_create(model_a.weights, &with, NULL, &opts, &a, NULL), PL_OK);
    assert_int_equal(pl_sft_run_create(model_b.weights, &without, NULL, &opts, &b, NULL), PL_OK);
    for (uint64_t i = 0; i < 6; i++) {
        assert_int_equal(pl_sft_run_step(a, LR, &s, &err), PL_OK);
        assert_int_equal(s.skipped, i % 3 == 1);
        assert_int_equal(isfinite(s.loss), i % 3 != 1);
        assert_int_equal(pl_sft_run_state(a)->step, i + 1);
        assert_int_equal(pl_sft_run_state(a)->skipped, (i + 2) / 3);
        assert_int_equal(pl_sft_run_state(a)->skipped_in_a_row, i % 3 == 1);
        if (!s.skipped)
            assert_int_equal(pl_sft_run_step(b, LR, &s, &err), PL_OK);
    }
    pl_weights_get_flat(model_a.weights, model_a.flat);
    pl_weights_get_flat(model_b.weights, model_b.flat);
    pl_assert_same_bits(model_a.flat, model_b.flat, model_a.shape->floats);
    pl_sft_run_destroy(a);
    pl_sft_run_destroy(b);
    pl_test_model_destroy(&model_a);
    pl_test_model_destroy(&model_b);
    pl_sft_data_release(&with);
    pl_sft_data_release(&without);
}

static void a_run_that_only_skips_gives_up(void **state)
{
    struct pl_sft_data broken;
    struct pl_sft_run *run = NULL;
    struct pl_test_model model;
    const uint32_t ids[] = {1, BROKEN, 3};
    struct pl_sft_step s;
    struct pl_error err = {0};

    (void)state;
    pl_sft_data_init(&broken);
    pl_sft_data_add(&broken, ids, 2, ids + 2, 1);
    pl_test_model_create(&model, &config, 3);
    break_token(model.weights);
    assert_int_equal(pl_sft_run_create(model.weights, &broken, NULL, &usual, &run, NULL), PL_OK);
    for (int i = 1; i < PL_SFT_SKIPS_MAX; i++)
        assert_int_equal(pl_sft_run_step(run, LR, &s, &err), PL_OK);
    assert_int_equal(pl_sft_run_step(run, LR, &s, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "steps 1 to 5 had to be skipped one after another"));
    assert_true(s.skipped);
    pl_sft_run_destroy(run);
    pl_test_model_destroy(&model);
    pl_sft_data_release(&broken);
}

static void a_place_past_the_data_is_refused(void **state)
{
    char path[128];
    json_t *root = NULL;
    struct pl_error err = {0};
    struct made made;

    (void)state;
    begin(&made, &usual);
    step(&made);
    assert_int_equal(pl_sft_run_save(made.run, folder, agree, NULL), PL_OK);
    snprintf(path, sizeof path, "%s/trainer_state.json", folder);
    assert_int_equal(pl_json_load(path, 1 << 20, &root, NULL), PL_OK);
    json_object_set_new(root, "index", json_integer(ROWS));
    assert_int_equal(pl_json_save(path, root, 0, NULL), PL_OK);
    json_decref(root);
    assert_int_equal(pl_sft_run_restore(made.run, folder, agree, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "is row 11 of 11"));
    end(&made);
}

static void the_plan_needs_no_weights(void **state)
{
    struct pl_weights *outline = NULL;
    struct pl_plan of_outline, of_weights;
    struct pl_test_model model;

    (void)state;
    pl_test_model_create(&model, &config, 3);
    assert_int_equal(pl_weights_outline(model.shape, &outline, NULL), PL_OK);
    pl_plan_init(&of_outline);
    pl_plan_init(&of_weights);
    pl_sft_run_plan(outline, &train, &eval, &usual, &of_outline);
    pl_sft_run_plan(model.weights, &train, &eval, &usual, &of_weights);
    assert_int_equal(of_outline.count, of_weights.count);
    for (size_t i = 0; i < of_outline.count; i++)
        assert_int_equal(of_outline.rows[i].bytes, of_weights.rows[i].bytes);
    assert_true(pl_plan_total(&of_outline) > 4 * model.shape->floats * sizeof(float));
    pl_weights_destroy(outline);
    pl_test_model_destroy(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_learnt_by_heart),
        cmocka_unit_test(a_pass_takes_each_row_once),
        cmocka_unit_test(saved_anywhere_it_goes_on_to_the_same_bits),
        cmocka_unit_test(what_must_not_enter_the_bits),
        cmocka_unit_test(what_must_enter_the_bits),
        cmocka_unit_test(micro_batches_are_one_step),
        cmocka_unit_test(evaluation_is_the_same_mean),
        cmocka_unit_test(a_broken_evaluation_leaves_no_trace),
        cmocka_unit_test(steps_without_a_finite_gradient_are_skipped),
        cmocka_unit_test(a_run_that_only_skips_gives_up),
        cmocka_unit_test(a_place_past_the_data_is_refused),
        cmocka_unit_test(the_plan_needs_no_weights),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
