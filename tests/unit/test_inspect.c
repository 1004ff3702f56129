/* What an actor hands over against what was asked of it: every field, every version, every end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/inspect.h"

#include <math.h>
#include <string.h>

enum { LEN = 4, LIMIT = 4, STOP = 7 };

static const uint32_t stops[] = {STOP, 8}, others[] = {STOP, 9};
static uint32_t prompt[] = {1, 2, 3}, ids[2][LEN];
static uint64_t versions[2][LEN];
static float logprobs[LEN] = {-1, -1, -1, -1};
static struct pl_rollout rollouts[2];

/* The first sample ends by itself after three tokens, the second at the limit. */
static struct pl_rollout_group made(void)
{
    const uint32_t one[LEN] = {1, 2, STOP, 0}, two[LEN] = {1, 2, 3, 4};

    memcpy(ids[0], one, sizeof one);
    memcpy(ids[1], two, sizeof two);
    for (size_t s = 0; s < 2; s++) {
        for (size_t t = 0; t < LEN; t++)
            versions[s][t] = 5;
        rollouts[s] = (struct pl_rollout){.ids = ids[s],
                                          .logprobs = logprobs,
                                          .versions = versions[s],
                                          .len = s == 0 ? 3 : LEN,
                                          .versions_len = s == 0 ? 3 : 1,
                                          .finish = s == 0 ? PL_SAMPLE_STOP : PL_SAMPLE_LENGTH};
    }
    return (struct pl_rollout_group){.stage = PL_STAGE_ROLLOUT,
                                     .batch = 12,
                                     .index = 3,
                                     .version = 5,
                                     .seed = 1,
                                     .temperature = 1,
                                     .top_p = 1,
                                     .samples = 2,
                                     .new_tokens_max = LIMIT,
                                     .stop_ids = stops,
                                     .stop_count = 2,
                                     .prompt = prompt,
                                     .prompt_len = 3,
                                     .task = "{\"a\": 1}",
                                     .task_len = 8,
                                     .actor = "actor-1",
                                     .rollouts = rollouts};
}

static void refused(const struct pl_rollout_group *group, const struct pl_rollout_group *asked,
                    const char *sentence)
{
    const struct pl_inspect inspect = {.asked = asked, .actor = "actor-1", .version_max = 9};
    struct pl_error err = {0};

    assert_int_equal(pl_inspect_group(group, &inspect, &err), PL_EFORMAT);
    if (!strstr(err.text, sentence) || !strstr(err.text, "group 12:3 by actor 'actor-1'"))
        fail_msg("'%s' does not say '%s'", err.text, sentence);
}

static void taken(const struct pl_rollout_group *group, const struct pl_rollout_group *asked)
{
    const struct pl_inspect inspect = {.asked = asked, .actor = "actor-1", .version_max = 9};
    struct pl_error err = {0};

    if (pl_inspect_group(group, &inspect, &err) < 0)
        fail_msg("%s", err.text);
}

static void what_was_asked_for_is_taken(void **state)
{
    struct pl_rollout_group g = made(), asked = g;

    (void)state;
    taken(&g, &asked);
    assert_null(pl_prompt_difference(&g, &asked));
    rollouts[0].ids = ids[1]; /* an end at the limit is an end */
    rollouts[0].len = LEN;
    rollouts[0].versions_len = 1;
    ids[1][LEN - 1] = 8;
    rollouts[0].finish = rollouts[1].finish = PL_SAMPLE_STOP;
    taken(&g, &asked);
}

/* Each field of the prompt by itself. */
static void another_prompt_is_refused_by_name(void **state)
{
    const struct pl_rollout_group asked = made();
    const uint32_t longer[] = {1, 2, 3, 4}, other[] = {1, 2, 4};
    struct pl_rollout_group g;

    (void)state;
#define DIFFERS(change, name)                                                                      \
    do {                                                                                           \
        g = asked;                                                                                 \
        change;                                                                                    \
        assert_string_equal(pl_prompt_difference(&g, &asked), name);                               \
        refused(&g, &asked, "its " name " is not what was asked for");                             \
    } while (0)
    DIFFERS(g.purpose = PL_PURPOSE_EVALUATE, "purpose");
    DIFFERS(g.batch = 11, "batch");
    DIFFERS(g.index = 4, "index");
    DIFFERS(g.prompt = other, "prompt");
    DIFFERS((g.prompt = longer, g.prompt_len = 4), "prompt");
    DIFFERS(g.prompt_len = 2, "prompt");
    DIFFERS(g.task = "{\"a\": 2}", "task");
    DIFFERS(g.task_len = 7, "task");
    DIFFERS(g.version = 6, "version");
    DIFFERS(g.newest = true, "version");
    DIFFERS(g.samples = 1, "number of samples");
    DIFFERS(g.seed = 2, "seed");
    DIFFERS(g.method = PL_METHOD_COT, "method");
    DIFFERS(g.temperature = nextafterf(1, 2), "temperature");
    DIFFERS(g.top_k = 1, "top_k");
    DIFFERS(g.top_p = 0.5f, "top_p");
    DIFFERS(g.min_p = -0.0f, "min_p");
    DIFFERS(g.new_tokens_max = LIMIT + 1, "limit of tokens");
    DIFFERS(g.stop_ids = others, "stop ids");
    DIFFERS(g.stop_count = 1, "stop ids");
#undef DIFFERS
}

static void another_actor_is_refused(void **state)
{
    struct pl_rollout_group g = made();
    const struct pl_rollout_group asked = g;

    (void)state;
    g.actor = "actor-2";
    refused(&g, &asked, "it says that it is by 'actor-2'");
}

static void ends_are_where_they_must_be(void **state)
{
    struct pl_rollout_group g = made();
    const struct pl_rollout_group asked = g;

    (void)state;
    ids[0][1] = 8;
    refused(&g, &asked, "sample 0 ends with token 1, id 8, yet has 3 tokens");
    g = made();
    ids[1][0] = STOP;
    refused(&g, &asked, "sample 1 ends with token 0, id 7, yet has 4 tokens");
    g = made();
    rollouts[0].len = 2;
    rollouts[0].versions_len = 1;
    refused(&g, &asked,
            "sample 0 ends after 2 tokens with id 2, which is no end, and the limit is 4");
    g = made();
    rollouts[0].finish = PL_SAMPLE_LENGTH;
    refused(&g, &asked,
            "sample 0 is said to have ended at the limit, but its last id, 7, is an end");
    g = made();
    rollouts[1].finish = PL_SAMPLE_STOP;
    refused(&g, &asked, "sample 1 is said to have ended by itself, but its last id, 4, is none");
}

static void versions_are_those_asked_for(void **state)
{
    struct pl_rollout_group g = made(), asked = g;

    (void)state;
    versions[0][2] = 6;
    refused(&g, &asked, "sample 0 is of version 6, asked for was version 5");
    versions[0][0] = 4;
    refused(&g, &asked, "sample 0 is of version 4, asked for was version 5");
    g = made();
    versions[1][0] = 6; /* one for all */
    refused(&g, &asked, "sample 1 is of version 6");
    g = made();
    g.newest = true;
    asked = g;
    versions[0][2] = versions[1][0] = 9;
    taken(&g, &asked);
    versions[0][2] = 10;
    refused(&g, &asked, "sample 0 is of versions 5 to 10, asked for was 5 at least, and 9 is");
    versions[0][2] = 9;
    versions[0][0] = 4;
    refused(&g, &asked, "sample 0 is of versions 4 to 9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_asked_for_is_taken),
        cmocka_unit_test(another_prompt_is_refused_by_name),
        cmocka_unit_test(another_actor_is_refused),
        cmocka_unit_test(ends_are_where_they_must_be),
        cmocka_unit_test(versions_are_those_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
