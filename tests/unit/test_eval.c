/* An evaluation in process: order, times, being stopped, what fails before and while it runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/math/mat.h"
#include "common/model/shape.h"
#include "deploy/view/eval.h"
#include "tests/parrot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TASKS = 3, SAMPLES = 2, POSITIONS = 64 };

static struct pl_parrot parrot;
static struct pl_task tasks[TASKS];
static struct pl_prompt prompts[TASKS];
static uint32_t ids[TASKS];
static struct pl_reward_opts reward;

/* What came of it. */
static struct {
    size_t done, fail_at, steps, steps_max, samples;
    uint64_t tokens;
    char order[TASKS + 1];
    double ttfa_ms[TASKS];
} seen;

static int setup(void **state)
{
    static const char *const scripts[] = {
        "1=<think>~long~ and~ longer~</think>~<answer>~Zoe is a knight~</answer>",
        "2=<think>x</think><answer>Zoe is a knave</answer>", "3=no form"};
    static const char *const lines[] = {"{\"id\": \"a\", \"question\": \"1\", \"answer\": \"Zoe is "
                                        "a knight\", \"verifier\": \"kk\"}",
                                        "{\"id\": \"b\", \"question\": \"2\", \"answer\": \"Zoe is "
                                        "a knight\", \"verifier\": \"kk\"}",
                                        "{\"id\": \"c\", \"question\": \"3\", \"answer\": \"Zoe is "
                                        "a knight\", \"verifier\": \"kk\"}"};

    (void)state;
    reward = PL_REWARD_DEFAULTS;
    pl_parrot_create(&parrot, scripts, 3, POSITIONS);
    for (size_t i = 0; i < TASKS; i++) {
        assert_int_equal(pl_task_parse(lines[i], strlen(lines[i]), "task", &tasks[i], NULL), PL_OK);
        ids[i] = (uint32_t)('1' + i);
        prompts[i] = (struct pl_prompt){.task = &tasks[i], .ids = &ids[i], .len = 1};
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < TASKS; i++)
        pl_task_release(&tasks[i]);
    pl_parrot_destroy(&parrot);
    return 0;
}

static int done(void *at, const struct pl_eval_done *d, struct pl_error *err)
{
    assert_ptr_equal(at, &seen);
    assert_int_equal(d->group->samples, SAMPLES);
    assert_int_equal(d->group->stage, PL_STAGE_SCORED);
    seen.order[seen.done] = d->task->id[0];
    seen.ttfa_ms[seen.done] = d->ttfa_ms[1];
    if (++seen.done == seen.fail_at)
        return pl_fail(err, PL_EFULL, "enough");
    return PL_OK;
}

static bool goes_on(void *at, size_t samples, uint64_t tokens)
{
    (void)at;
    assert_true(samples >= seen.samples && tokens >= seen.tokens);
    seen.samples = samples;
    seen.tokens = tokens;
    return ++seen.steps != seen.steps_max;
}

static struct pl_eval_opts opts_with(size_t slots)
{
    memset(&seen, 0, sizeof seen);
    return (struct pl_eval_opts){.weights = parrot.weights,
                                 .tokenizer = parrot.tokenizer,
                                 .prompts = prompts,
                                 .reward = &reward,
                                 .count = TASKS,
                                 .samples = SAMPLES,
                                 .method = PL_METHOD_INTERLEAVE,
                                 .sampling = {.temperature = 1, .top_p = 1},
                                 .new_tokens_max = 20,
                                 .slots = slots,
                                 .done = done,
                                 .goes_on = goes_on,
                                 .at = &seen};
}

/* Short ones end first, and wait for their turn. */
static void tasks_come_in_their_order_with_times(void **state)
{
    static const size_t slots[] = {1, 3, 4, 100}; /* one task at once, one, two, all */

    (void)state;
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        const struct pl_eval_opts opts = opts_with(slots[i]);
        struct pl_error err = {0};

        if (pl_eval_run(&opts, &err) != PL_OK)
            fail_msg("%s", err.text);
        assert_string_equal(seen.order, "abc");
        assert_int_equal(seen.samples, TASKS * SAMPLES);
        assert_int_equal(seen.tokens, SAMPLES * (9 + 2 + 2)); /* with their ends */
        assert_true(seen.ttfa_ms[0] > 0.0 && seen.ttfa_ms[1] > 0.0);
        assert_true(isnan(seen.ttfa_ms[2])); /* no answer */
    }
}

static void it_can_be_stopped(void **state)
{
    struct pl_eval_opts opts = opts_with(2);
    struct pl_error err = {0};

    (void)state;
    seen.steps_max = 3;
    assert_int_equal(pl_eval_run(&opts, &err), PL_ECANCELED);
    assert_int_equal(seen.steps, 3);
    assert_string_equal(err.text, "stopped after 0 of 3 tasks");
    opts = opts_with(100);
    seen.fail_at = 2;
    assert_int_equal(pl_eval_run(&opts, &err), PL_EFULL);
    assert_string_equal(err.text, "enough");
    assert_string_equal(seen.order, "ab");
}

static void mistakes_show_before_anything_is_generated(void **state)
{
    struct pl_eval_opts opts = opts_with(4);
    struct pl_error err = {0};
    struct pl_task odd = tasks[1];

    (void)state;
    opts.sampling.temperature = -1;
    assert_int_equal(pl_eval_run(&opts, &err), PL_EINVAL);
    opts = opts_with(4);
    opts.bytes_max = 1000;
    assert_int_equal(pl_eval_run(&opts, &err), PL_ENOMEM);
    opts.bytes_max = 10000; /* enough for tokens, not for the engine */
    assert_int_equal(pl_eval_run(&opts, &err), PL_ENOMEM);
    opts = opts_with(4);
    odd.verifier = "oracle";
    prompts[1].task = &odd;
    assert_int_equal(pl_eval_run(&opts, &err), PL_EFORMAT);
    assert_string_equal(err.text, "task 'b' asks for the unknown verifier 'oracle'");
    prompts[1].task = &tasks[1];
    assert_int_equal(seen.steps, 0);
}

/* The last of all tests: it spoils the weights. What follows the prompt "3" is no number. */
static void a_broken_model_is_named_with_its_task(void **state)
{
    const struct pl_tensor *embed = pl_shape_find(parrot.shape, PL_ROLE_EMBED, 0);
    const uint16_t nan = pl_bf16_round(NAN);
    uint16_t values[384] = {0};
    struct pl_eval_opts opts = opts_with(2);
    struct pl_error err = {0};

    (void)state;
    assert_int_equal(embed->cols, 384);
    for (size_t i = 0; i < 384; i++)
        values[i] = nan;
    pl_weights_set(parrot.weights, embed, '3', 1, values);
    assert_int_equal(pl_eval_run(&opts, &err), PL_EFORMAT);
    assert_string_equal(err.text, "the model gives a logit that is not a number, in task 'c'");
    assert_string_equal(seen.order, "ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_come_in_their_order_with_times),
        cmocka_unit_test(it_can_be_stopped),
        cmocka_unit_test(mistakes_show_before_anything_is_generated),
        cmocka_unit_test(a_broken_model_is_named_with_its_task),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
