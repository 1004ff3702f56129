/* Which groups of a batch are trained, and that the arrays are then those of these groups alone. */
#include "learner/refill.h"

#include "learner/update.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SAMPLES = 2, GROUPS_MAX = 8, LEN = 3 };

/* A group whose samples have these rewards; its ids and log-probabilities tell its index. */
static void add(struct pl_ready *ready, uint32_t index, float a, float b)
{
    const float rewards[SAMPLES] = {a, b};
    const uint32_t prompt[] = {index, 7};
    const uint64_t version = 1;
    uint32_t ids[SAMPLES][LEN];
    float logprobs[SAMPLES][LEN];
    struct pl_rollout rollouts[SAMPLES];
    struct pl_buf buf;
    const struct pl_rollout_group group = {
        .stage = PL_STAGE_SCORED,
        .index = index,
        .version = version,
        .temperature = 1.0f,
        .top_p = 1.0f,
        .samples = SAMPLES,
        .new_tokens_max = LEN,
        .prompt = prompt,
        .prompt_len = 2,
        .task = "{}",
        .task_len = 2,
        .actor = "a",
        .rewarder = "r",
        .rollouts = rollouts,
    };

    for (uint32_t s = 0; s < SAMPLES; s++) {
        for (uint32_t t = 0; t < LEN; t++) {
            ids[s][t] = 10 * index + t;
            logprobs[s][t] = -(float)(10 * index + s);
        }
        rollouts[s] = (struct pl_rollout){
            .ids = ids[s],
            .logprobs = logprobs[s],
            .versions = &version,
            .len = LEN - (index + s) % 2, /* of different lengths */
            .versions_len = 1,
            .score = {.final = rewards[s], .first_answer = -1, .first_right = -1, .why = ""},
        };
    }
    pl_buf_init(&buf, 1 << 16);
    assert_int_equal(pl_rollout_group_encode(&group, &buf), PL_OK);
    ready->groups[ready->count++] = (struct pl_ready_group){index, buf.data, buf.len};
}

static struct pl_rollouts read_all(const struct pl_ready *ready)
{
    const struct pl_rollouts_check check = {
        .limits = {.bytes = 1 << 16, .samples = SAMPLES, .tokens = LEN, .vocab = 100},
        .version = 1};
    struct pl_rollouts rollouts = {0};
    struct pl_error err = {0};

    if (pl_rollouts_read(ready, &check, &rollouts, &err) < 0)
        fail_msg("%s", err.text);
    return rollouts;
}

/* Refill a batch of `groups`; what is left is what reading only `want` groups would have given. */
static struct pl_refill refilled(struct pl_ready *ready, size_t groups, const uint32_t *want,
                                 size_t count)
{
    struct pl_ready_group chosen[GROUPS_MAX];
    struct pl_ready less = {.gate = true, .groups = chosen, .count = count};
    struct pl_rollouts got = read_all(ready), expected;
    struct pl_refill refill;
    struct pl_error err = {0};

    for (size_t i = 0; i < got.tokens; i++)
        got.rewards[i] += 0.25; /* traces that must go */
    assert_int_equal(pl_refill(&got, groups, &refill, &err), PL_OK);
    for (size_t i = 0; i < count; i++)
        for (size_t g = 0; g < ready->count; g++)
            if (ready->groups[g].index == want[i])
                chosen[i] = ready->groups[g];
    expected = read_all(&less);
    assert_int_equal(got.group_count, count);
    assert_int_equal(got.samples, expected.samples);
    assert_int_equal(got.tokens, expected.tokens);
    assert_memory_equal(got.first, expected.first, (got.samples + 1) * sizeof *got.first);
    assert_memory_equal(got.group, expected.group, got.samples * sizeof *got.group);
    assert_memory_equal(got.group_first, expected.group_first,
                        (got.group_count + 1) * sizeof *got.group_first);
    assert_memory_equal(got.scores, expected.scores, got.samples * sizeof *got.scores);
    assert_memory_equal(got.components, expected.components,
                        3 * got.samples * sizeof *got.components);
    assert_memory_equal(got.rewards, expected.rewards, got.tokens * sizeof *got.rewards);
    assert_memory_equal(got.old, expected.old, got.tokens * sizeof *got.old);
    for (size_t g = 0; g < count; g++) {
        assert_int_equal(got.groups[g].index, want[g]);
        assert_int_equal(got.packs[g].prompt[0], want[g]);
        assert_int_equal(got.packs[g].responses[1].ids[0], 10 * want[g]);
        assert_ptr_equal(got.list[got.group_first[g]], &got.groups[g].rollouts[0]);
    }
    pl_rollouts_release(&got);
    pl_rollouts_release(&expected);
    return refill;
}

static void release(struct pl_ready *ready)
{
    for (size_t g = 0; g < ready->count; g++)
        free((void *)ready->groups[g].pb);
    ready->count = 0;
}

static void check(const struct pl_refill *r, size_t sampled, size_t zero, size_t refills)
{
    assert_int_equal(r->sampled, sampled);
    assert_int_equal(r->zero_spread, zero);
    assert_int_equal(r->refilled, refills);
}

/* Three prompts and three to spare. */
static void spares_take_the_place_of_what_teaches_nothing(void **state)
{
    struct pl_ready_group groups[GROUPS_MAX];
    struct pl_ready ready = {.gate = true, .groups = groups};
    struct pl_refill r;

    (void)state;
    add(&ready, 0, 1.0f, 1.0f);
    add(&ready, 1, 1.0f, 0.0f);
    add(&ready, 2, 0.0f, 0.0f);
    add(&ready, 3, 2.0f, 2.0f); /* a spare that teaches nothing either */
    add(&ready, 4, 0.0f, 1.0f);
    add(&ready, 5, -1.0f, 1.0f);
    r = refilled(&ready, 3, (const uint32_t[]){1, 4, 5}, 3);
    check(&r, 6, 3, 2);
    r = refilled(&ready, 2, (const uint32_t[]){1, 4}, 2); /* no more than there should be */
    check(&r, 6, 3, 1);
    release(&ready);
}

static void a_batch_that_teaches_all_through_stays(void **state)
{
    struct pl_ready_group groups[GROUPS_MAX];
    struct pl_ready ready = {.gate = true, .groups = groups};
    struct pl_refill r;

    (void)state;
    for (uint32_t i = 0; i < 5; i++)
        add(&ready, i, 1.0f, 0.0f);
    r = refilled(&ready, 3, (const uint32_t[]){0, 1, 2}, 3);
    check(&r, 5, 0, 0);
    release(&ready);
}

static void too_few_that_teach_are_all_there_is(void **state)
{
    struct pl_ready_group groups[GROUPS_MAX];
    struct pl_ready ready = {.gate = true, .groups = groups};
    struct pl_refill r;

    (void)state;
    add(&ready, 0, 1.0f, 1.0f);
    add(&ready, 2, 1.0f, 1.0f); /* 1 went to the dead */
    add(&ready, 3, 1.0f, 0.0f);
    r = refilled(&ready, 3, (const uint32_t[]){3}, 1);
    check(&r, 3, 2, 1);
    release(&ready);
    add(&ready, 0, 1.0f, 1.0f); /* and with none at all, the batch as it is */
    add(&ready, 1, 0.0f, 0.0f);
    add(&ready, 2, 1.0f, 1.0f);
    r = refilled(&ready, 2, (const uint32_t[]){0, 1}, 2);
    check(&r, 3, 3, 0);
    release(&ready);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spares_take_the_place_of_what_teaches_nothing),
        cmocka_unit_test(a_batch_that_teaches_all_through_stays),
        cmocka_unit_test(too_few_that_teach_are_all_there_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
