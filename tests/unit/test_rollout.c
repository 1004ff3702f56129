/* The struct that travels: what is encoded comes back, and what is wrong is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "proto/rollout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct pl_rollout_group_limits limits = {
    .bytes = 1 << 20, .samples = 8, .tokens = 100, .vocab = 1000};

static const uint32_t prompt[] = {1, 2, 300, 999}, stop[] = {7, 8};
static uint32_t ids[2][3] = {{5, 0, 7}, {9, 9, 9}};
static float logprobs[2][3] = {{-0.5f, -1.0f, 0.0f}, {-2.0f, -3.0f, -1e-9f}};
static uint64_t versions[3] = {4, 4, 5};
static struct pl_segment segments[] = {
    {PL_SEGMENT_THINK, 0, 1, -1, PL_VERDICT_NONE, 0, 0},
    {PL_SEGMENT_ANSWER, 1, 3, 2, PL_VERDICT_RIGHT, 0.25f, -0.125f}};
static struct pl_rollout rollouts[2];

static struct pl_rollout_group full(enum pl_stage stage)
{
    rollouts[0] = (struct pl_rollout){
        .ids = ids[0], .logprobs = logprobs[0], .versions = versions, .len = 3, .versions_len = 3};
    rollouts[0].score = (struct pl_score){.format = 1,
                                          .final = -1.5f,
                                          .intermediate = 0.25f,
                                          .extra = -0.125f,
                                          .format_ok = true,
                                          .verdict = PL_VERDICT_WRONG,
                                          .steps = 3,
                                          .steps_right = 1,
                                          .first_answer = 2,
                                          .first_right = 3,
                                          .segments = segments,
                                          .segment_count = 2,
                                          .why = "because"};
    rollouts[1] = (struct pl_rollout){.ids = ids[1],
                                      .logprobs = logprobs[1],
                                      .versions = versions,
                                      .len = 3,
                                      .versions_len = 1,
                                      .finish = PL_SAMPLE_LENGTH};
    rollouts[1].score =
        (struct pl_score){.format = -1, .first_answer = -1, .first_right = -1, .why = ""};
    return (struct pl_rollout_group){
        .stage = stage,
        .purpose = PL_PURPOSE_EVALUATE,
        .batch = 12,
        .index = 3,
        .version = 5,
        .newest = true,
        .seed = 1ull << 60,
        .method = PL_METHOD_DELAYED,
        .temperature = 0.75f,
        .top_p = 1.0f,
        .min_p = 0.5f,
        .top_k = 40,
        .samples = 2,
        .new_tokens_max = 50,
        .stop_ids = stop,
        .stop_count = 2,
        .prompt = prompt,
        .prompt_len = 4,
        .task = "{\"a\": 1}",
        .task_len = 8,
        .actor = "actor-1",
        .weights_hash = {1, 2, 3},
        .generate_s = 1.5f,
        .rollouts = stage == PL_STAGE_PROMPT ? NULL : rollouts,
        .rewarder = "rewarder-1",
    };
}

static struct pl_buf encoded(const struct pl_rollout_group *g)
{
    struct pl_buf buf;

    pl_buf_init(&buf, 1 << 20);
    assert_int_equal(pl_rollout_group_encode(g, &buf), PL_OK);
    return buf;
}

static void what_is_encoded_comes_back(void **state)
{
    (void)state;
    for (int stage = PL_STAGE_PROMPT; stage <= PL_STAGE_SCORED; stage++) {
        const struct pl_rollout_group g = full((enum pl_stage)stage);
        struct pl_buf buf = encoded(&g), again;
        struct pl_error err = {0};
        struct pl_rollout_group back;
        char id[PL_ROLLOUT_GROUP_ID_MAX];

        assert_int_equal(
            pl_rollout_group_decode(buf.data, buf.len, (enum pl_stage)stage, &limits, &back, &err),
            PL_OK);
        pl_rollout_group_id(&back, id);
        assert_string_equal(id, "e12:3");
        assert_true(back.seed == g.seed && back.version == 5 && back.newest &&
                    back.method == g.method);
        assert_memory_equal(back.prompt, prompt, sizeof prompt);
        assert_string_equal(back.task, g.task);
        again = encoded(&back); /* nothing was lost */
        assert_int_equal(again.len, buf.len);
        assert_memory_equal(again.data, buf.data, buf.len);
        if (stage == PL_STAGE_SCORED) {
            assert_string_equal(back.rollouts[0].score.why, "because");
            assert_int_equal(back.rollouts[0].score.segments[1].step, 2);
            assert_memory_equal(back.rollouts[0].score.segments, segments, sizeof segments);
            assert_int_equal(back.rollouts[1].score.first_answer, -1);
            assert_int_equal(back.rollouts[0].score.first_right, 3);
            assert_int_equal(back.rollouts[1].score.first_right, -1);
            assert_int_equal(back.rollouts[1].finish, PL_SAMPLE_LENGTH);
        }
        pl_buf_release(&buf);
        pl_buf_release(&again);
        pl_rollout_group_release(&back);
        pl_rollout_group_release(&back); /* twice is harmless */
    }
}

static void refused(const struct pl_rollout_group *g, const char *sentence)
{
    struct pl_buf buf = encoded(g);
    struct pl_error err = {0};
    struct pl_rollout_group back = {0};

    assert_int_equal(pl_rollout_group_decode(buf.data, buf.len, g->stage, &limits, &back, &err),
                     PL_EFORMAT);
    if (!strstr(err.text, sentence))
        fail_msg("'%s' does not say '%s'", err.text, sentence);
    assert_null(back.memory);
    pl_buf_release(&buf);
}

static void what_is_wrong_is_refused_by_name(void **state)
{
    struct pl_rollout_group g = full(PL_STAGE_SCORED);
    struct pl_rollout *r = &rollouts[0];

    (void)state;
    g.samples = 0;
    g.stage = PL_STAGE_PROMPT;
    refused(&g, "group e12:3: 0 samples; 1 to 8");
    g.samples = 9;
    refused(&g, "9 samples; 1 to 8");
    g = full(PL_STAGE_PROMPT);
    g.prompt_len = 0;
    refused(&g, "a prompt of 0 tokens");
    g = full(PL_STAGE_PROMPT);
    g.temperature = NAN;
    refused(&g, "sampling");
    g = full(PL_STAGE_PROMPT);
    g.new_tokens_max = 101;
    refused(&g, "a response of up to 101 tokens");
    g = full(PL_STAGE_PROMPT);
    g.prompt = (const uint32_t[]){1, 1000, 2, 3};
    refused(&g, "token 1 of the prompt is 1000; the vocabulary has 1000");
    g = full(PL_STAGE_PROMPT);
    g.task_len = 0;
    refused(&g, "the task is missing");
    g = full(PL_STAGE_ROLLOUT);
    g.actor = "";
    refused(&g, "actor's name");
    g = full(PL_STAGE_ROLLOUT);
    r->versions_len = 2;
    refused(&g, "3 tokens, 3 log-probabilities and 2 versions");
    g = full(PL_STAGE_ROLLOUT);
    versions[2] = 3;
    refused(&g, "token 2 of sample 0 is of version 3, the one before of 4");
    versions[2] = 5;
    g = full(PL_STAGE_ROLLOUT);
    r->len = 0;
    r->versions_len = 0;
    refused(&g, "sample 0 has 0 tokens");
    g = full(PL_STAGE_ROLLOUT);
    logprobs[0][1] = INFINITY;
    refused(&g, "log-probability 1 of sample 0 is inf");
    logprobs[0][1] = 0.5f;
    refused(&g, "log-probability 1 of sample 0 is 0.5");
    logprobs[0][1] = -1.0f;
    g = full(PL_STAGE_SCORED);
    r->score.final = -INFINITY;
    refused(&g, "a reward of sample 0 is not a number");
    g = full(PL_STAGE_SCORED);
    segments[1].token_end = 4;
    refused(&g, "segment 1 of sample 0");
    segments[1].token_end = 3;
    segments[1].charge = 0.5f;
    refused(&g, "segment 1 of sample 0 earned 0.25 and is charged 0.5");
    segments[1].charge = -0.125f;
    segments[0].reward = NAN;
    refused(&g, "segment 0 of sample 0 earned");
    segments[0].reward = 0.0f;
    g = full(PL_STAGE_SCORED);
    r->score.steps_right = 4;
    refused(&g, "right steps is 4; at most 3");
}

/* Each number with a point in a message: NaN would pass every comparison that refuses. */
static void what_is_no_finite_number_is_refused(void **state)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    struct pl_rollout_group g = full(PL_STAGE_SCORED);
    struct pl_score *score = &rollouts[0].score;
    const struct {
        float *at;
        enum pl_stage stage; /* from which on it is in the message */
        const char *says;
    } rows[] = {
        {&g.temperature, PL_STAGE_PROMPT, "sampling"},
        {&g.top_p, PL_STAGE_PROMPT, "sampling"},
        {&g.min_p, PL_STAGE_PROMPT, "sampling"},
        {&g.generate_s, PL_STAGE_ROLLOUT, "it took"},
        {&logprobs[0][0], PL_STAGE_ROLLOUT, "log-probability 0 of sample 0"},
        {&logprobs[1][2], PL_STAGE_ROLLOUT, "log-probability 2 of sample 1"},
        {&score->format, PL_STAGE_SCORED, "a reward of sample 0 is not a number"},
        {&score->final, PL_STAGE_SCORED, "a reward of sample 0 is not a number"},
        {&score->intermediate, PL_STAGE_SCORED, "a reward of sample 0 is not a number"},
        {&score->extra, PL_STAGE_SCORED, "a reward of sample 0 is not a number"},
        {&rollouts[1].score.format, PL_STAGE_SCORED, "a reward of sample 1 is not a number"},
        {&segments[0].reward, PL_STAGE_SCORED, "segment 0 of sample 0"},
        {&segments[1].charge, PL_STAGE_SCORED, "segment 1 of sample 0"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t k = 0; k < sizeof odd / sizeof *odd; k++)
            for (int stage = rows[i].stage; stage <= PL_STAGE_SCORED; stage++) {
                const float was = *rows[i].at;

                *rows[i].at = odd[k];
                g.stage = (enum pl_stage)stage;
                g.rollouts = stage == PL_STAGE_PROMPT ? NULL : rollouts;
                refused(&g, rows[i].says);
                *rows[i].at = was;
            }
}

static void sizes_are_checked_before_anything_is_unpacked(void **state)
{
    const struct pl_rollout_group g = full(PL_STAGE_SCORED);
    struct pl_rollout_group_limits small = limits;
    struct pl_buf buf = encoded(&g);
    struct pl_error err = {0};
    struct pl_rollout_group back;

    (void)state;
    small.bytes = buf.len - 1;
    assert_int_equal(
        pl_rollout_group_decode(buf.data, buf.len, PL_STAGE_SCORED, &small, &back, &err),
        PL_EFORMAT);
    assert_non_null(strstr(err.text, "bytes; at most"));
    assert_int_equal(pl_rollout_group_decode("", 0, PL_STAGE_ROLLOUT, &limits, &back, &err),
                     PL_EFORMAT);
    assert_non_null(strstr(err.text, "without its prompt"));
    /* 300,000 empty samples would be 30 MB of structs */
    const size_t n = 300000;
    char *flood = malloc(2 * n);

    for (size_t i = 0; i < n; i++)
        memcpy(flood + 2 * i, "\x22\x00", 2);
    assert_int_equal(pl_rollout_group_decode(flood, 2 * n, PL_STAGE_ROLLOUT, &limits, &back, &err),
                     PL_EFORMAT);
    free(flood);
    pl_buf_release(&buf);
}

/* Cut and damaged messages: refused, or a group that is within its limits and encodes again. */
static void damaged_messages_do_no_harm(void **state)
{
    const struct pl_rollout_group g = full(PL_STAGE_SCORED);
    const struct pl_rng rng = {.seed = 3, .batch = (uint32_t)PL_RNG_TEST};
    struct pl_buf buf = encoded(&g);
    size_t taken = 0;

    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        struct pl_rollout_group back = {0};
        char *copy = malloc(buf.len);
        size_t len = buf.len;

        memcpy(copy, buf.data, len);
        if (i < buf.len)
            len = i;
        else
            for (uint32_t k = 0; k < 1 + i % 3; k++)
                copy[pl_rng_below(&rng, 8 * i + k, len)] ^=
                    (char)(1u << pl_rng_below(&rng, 8 * i + 4 + k, 8));
        if (pl_rollout_group_decode(copy, len, PL_STAGE_SCORED, &limits, &back, NULL) == PL_OK) {
            struct pl_buf again = encoded(&back);

            assert_true(back.samples <= 8 && back.prompt_len <= 100);
            pl_buf_release(&again);
            taken++;
        }
        pl_rollout_group_release(&back);
        free(copy);
    }
    assert_true(taken > 0 && taken < 20000);
    pl_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_comes_back),
        cmocka_unit_test(what_is_wrong_is_refused_by_name),
        cmocka_unit_test(what_is_no_finite_number_is_refused),
        cmocka_unit_test(sizes_are_checked_before_anything_is_unpacked),
        cmocka_unit_test(damaged_messages_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
