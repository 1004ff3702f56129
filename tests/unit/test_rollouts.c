/* A batch as arrays: where its rewards are, at the end of a response or at the answers that earned
 * them. */
#include "learner/rollouts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/close.h"

enum { LEN = 6 };

/* Answers that earned a tenth and a fifth (as floats no three tenths), one between that is charged
 * a quarter, the final one. */
static const struct pl_segment segments[] = {
    {.kind = PL_SEGMENT_THINK, .token_begin = 0, .token_end = 1, .step = -1},
    {.kind = PL_SEGMENT_ANSWER, .token_begin = 1, .token_end = 3, .reward = 0.1f},
    {.kind = PL_SEGMENT_ANSWER, .token_begin = 3, .token_end = 4, .step = -1, .charge = -0.25f},
    {.kind = PL_SEGMENT_ANSWER, .token_begin = 4, .token_end = 5, .step = 1, .reward = 0.2f},
    {.kind = PL_SEGMENT_ANSWER, .token_begin = 5, .token_end = 6, .step = -1},
};
/* Of no tokens, which a text cut in mid-token may leave; it earned something all the same. */
static const struct pl_segment empty[] = {
    {.kind = PL_SEGMENT_ANSWER, .token_begin = 0, .token_end = 0, .reward = 0.125f},
};

static struct pl_buf encode(uint32_t index, const struct pl_score scores[2])
{
    static const uint32_t prompt[] = {1}, ids[LEN] = {1, 2, 3, 4, 5, 6};
    static const float logprobs[LEN] = {-1, -1, -1, -1, -1, -1};
    static const uint64_t version = 1;
    struct pl_rollout rollouts[2];
    const struct pl_rollout_group group = {
        .stage = PL_STAGE_SCORED,
        .index = index,
        .version = version,
        .temperature = 1.0f,
        .top_p = 1.0f,
        .samples = 2,
        .new_tokens_max = LEN,
        .prompt = prompt,
        .prompt_len = 1,
        .task = "{}",
        .task_len = 2,
        .actor = "a",
        .rewarder = "r",
        .rollouts = rollouts,
    };
    struct pl_buf buf;

    for (size_t s = 0; s < 2; s++)
        rollouts[s] = (struct pl_rollout){.ids = ids,
                                          .logprobs = logprobs,
                                          .versions = &version,
                                          .len = s == 0 ? LEN : 2,
                                          .versions_len = 1,
                                          .score = scores[s]};
    pl_buf_init(&buf, 1 << 16);
    assert_int_equal(pl_rollout_group_encode(&group, &buf), PL_OK);
    return buf;
}

/* Two groups alike but for the charge of the second one's first sample, which is overlong too. */
static struct pl_rollouts read_two(bool gate, bool by_segment)
{
    struct pl_score scores[2] = {{.verdict = PL_VERDICT_RIGHT,
                                  .format = 1,
                                  .final = 2,
                                  .intermediate = 0.3f,
                                  .extra = -0.25f,
                                  .first_answer = 1,
                                  .first_right = 1,
                                  .segments = segments,
                                  .segment_count = 5,
                                  .why = ""},
                                 {.verdict = PL_VERDICT_WRONG,
                                  .format = -1,
                                  .intermediate = 0.125f,
                                  .first_answer = -1,
                                  .first_right = -1,
                                  .segments = empty,
                                  .segment_count = 1,
                                  .why = ""}};
    const struct pl_rollouts_check check = {
        .limits = {.bytes = 1 << 16, .samples = 2, .tokens = LEN, .vocab = 100},
        .version = 1,
        .by_segment = by_segment,
        .gated = !gate, /* a batch before it that nothing comes near to */
        .previous = 2.0};
    struct pl_ready_group groups[2];
    struct pl_ready ready = {.gate = !gate, .accuracy = 0.75, .groups = groups, .count = 2};
    struct pl_rollouts rollouts = {0};
    struct pl_error err = {0};
    struct pl_buf bufs[2];

    for (uint32_t g = 0; g < 2; g++) {
        scores[0].extra = g == 0 ? -0.25f : -0.75f;
        bufs[g] = encode(g, scores);
        groups[g] = (struct pl_ready_group){g, bufs[g].data, bufs[g].len};
    }
    if (pl_rollouts_read(&ready, &check, &rollouts, &err) < 0)
        fail_msg("%s", err.text);
    pl_buf_release(&bufs[0]);
    pl_buf_release(&bufs[1]);
    return rollouts;
}

static void are(const double *got, const double *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pl_assert_close(got[i], want[i], 1e-7, 0);
}

/* Redis holds 0.75 and the other gate: what was read counts. */
static void the_groups_decide(void **state)
{
    (void)state;
    for (int gate = 0; gate < 2; gate++) {
        struct pl_rollouts r = read_two(gate, false);

        assert_int_equal(r.samples, 4);
        assert_int_equal(r.right, 2);
        assert_true(r.accuracy == 0.5);
        assert_int_equal(r.gate, gate);
        pl_rollouts_release(&r);
    }
}

static void the_score_is_at_the_last_token(void **state)
{
    struct pl_rollouts r = read_two(true, false);
    const double want[] = {0, 0, 0, 0, 0, 3.05, 0, -0.875};

    (void)state;
    are(r.rewards, want, 8);
    assert_int_equal(r.answers, 0);
    pl_rollouts_release(&r);
}

static void segments_have_what_they_earned(void **state)
{
    const double open[] = {0, 0, 0.1, -0.25, 0.2, 3, 0, -0.875, 0, 0, 0.1, -0.25, 0.2, 2.5};
    const double shut[] = {0, 0, 0, -0.25, 0, 3, 0, -1, 0, 0, 0, -0.25, 0, 2.5};

    (void)state;
    for (int gate = 0; gate < 2; gate++) {
        struct pl_rollouts r = read_two(gate, true), plain = read_two(gate, false);

        are(r.rewards, gate ? open : shut, 14);
        are(r.scores, plain.scores, 4);
        are(r.components, plain.components, 3 * 4);
        for (size_t i = 0; i < r.samples; i++) {
            double sum = 0.0;

            for (size_t t = r.first[i]; t < r.first[i + 1]; t++)
                sum += r.rewards[t];
            pl_assert_close(sum, r.scores[i], 1e-12, 0); /* no rounding of floats in it */
        }
        assert_int_equal(r.answers, 10);
        assert_int_equal(r.answer_first[2], 5);
        assert_int_equal(r.answer_end[0], 3);
        assert_int_equal(r.answer_end[4], 6); /* the one of no tokens ends where it begins */
        pl_rollouts_release(&r);
        pl_rollouts_release(&plain);
    }
}

/* What stands behind the last answer of two samples is equal to the bit where it should be,
 * whatever they earned before; a hundred millionth between them would be taken for a spread. */
static void what_is_left_at_the_end_has_no_traces_of_rounding(void **state)
{
    struct pl_rollouts r = read_two(true, true);

    (void)state;
    r.left[0] = r.scores[0];
    for (size_t a = r.answer_first[0]; a < r.answer_first[1]; a++)
        r.left[0] -= r.answer_sum[a];
    pl_assert_close(r.left[0], 3.0, 1e-12, 0);
    pl_rollouts_release(&r);
}

static void groups_that_stay_keep_their_places(void **state)
{
    const bool keep[] = {false, true};
    const double want[] = {0, 0, 0.1, -0.25, 0.2, 2.5, 0, -0.875};
    struct pl_rollouts r = read_two(true, true);

    (void)state;
    pl_rollouts_keep(&r, keep);
    assert_int_equal(r.tokens, 8);
    are(r.rewards, want, 8);
    assert_int_equal(r.answer_first[2], 5);
    assert_int_equal(r.answer_end[2], 5);
    pl_rollouts_release(&r);
}

static int note_blame(void *at, const struct pl_ready_group *group, const char *why, bool blameless,
                      struct pl_error *err)
{
    (void)err;
    assert_int_equal(group->index, 3);
    assert_non_null(strstr(why, "no message"));
    *(int *)at += blameless ? 1 : 100;
    return PL_OK;
}

/* A score that cannot be read was written by a rewarder, or by somebody as one: that is nothing
 * against the actor. */
static void a_score_that_is_none_blames_no_actor(void **state)
{
    struct pl_ready_group group = {3, "nan", 3};
    const struct pl_ready ready = {.batch = "0", .count = 1, .groups = &group};
    struct pl_rollouts r = {0};
    struct pl_error err = {0};
    int blame = 0;
    const struct pl_rollouts_check check = {
        .limits = {.bytes = 1 << 20, .samples = 8, .tokens = 64, .vocab = 32},
        .version = 1,
        .bad = note_blame,
        .at = &blame};

    (void)state;
    assert_int_equal(pl_rollouts_read(&ready, &check, &r, &err), PL_EFORMAT);
    assert_int_equal(blame, 1);
}

static int note_bad(void *at, const struct pl_ready_group *group, const char *why, bool blameless,
                    struct pl_error *err)
{
    char *said = at;

    (void)group;
    (void)err;
    snprintf(said, 300, "%s: %s", blameless ? "blameless" : "blamed", why);
    return PL_OK;
}

/* What is of another life of the run, or was scored with other settings, is not its actor's fault,
 * whatever else is wrong with it. */
static void who_is_of_another_life_is_not_blamed(void **state)
{
    static const struct pl_score scores[2] = {
        {.why = "", .first_answer = -1, .first_right = -1},
        {.why = "", .first_answer = -1, .first_right = -1},
    };
    static const unsigned char other_hash[32] = {1};
    struct pl_buf buf = encode(0, scores);
    struct pl_ready_group group = {0, buf.data, buf.len};
    struct pl_ready ready = {.groups = &group, .count = 1};
    struct pl_rollouts rollouts = {0};
    struct pl_error err = {0};
    char said[300] = "";
    struct pl_rollouts_check check = {
        .limits = {.bytes = 1 << 16, .samples = 2, .tokens = LEN, .vocab = 100},
        .version = 1,
        .hash = other_hash,
        .bad = note_bad,
        .at = said};

    (void)state;
    assert_int_equal(pl_rollouts_read(&ready, &check, &rollouts, &err), PL_EFORMAT);
    assert_non_null(strstr(said, "blamed: group 0:0: actor 'a' sampled with weights that are not"));
    check.life = (struct pl_life){"00112233445566778899aabbccddeeff", 2};
    assert_int_equal(pl_rollouts_read(&ready, &check, &rollouts, &err), PL_EFORMAT);
    assert_non_null(strstr(said, "blameless: group 0:0 was fed in life 0 of run (none)"));
    check.life.run_id[0] = '\0';
    check.settings = 7;
    assert_int_equal(pl_rollouts_read(&ready, &check, &rollouts, &err), PL_EFORMAT);
    assert_non_null(strstr(said, "blameless: group 0:0 was scored by 'r' with other settings"));
    pl_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_groups_decide),
        cmocka_unit_test(the_score_is_at_the_last_token),
        cmocka_unit_test(segments_have_what_they_earned),
        cmocka_unit_test(what_is_left_at_the_end_has_no_traces_of_rounding),
        cmocka_unit_test(groups_that_stay_keep_their_places),
        cmocka_unit_test(a_score_that_is_none_blames_no_actor),
        cmocka_unit_test(who_is_of_another_life_is_not_blamed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
