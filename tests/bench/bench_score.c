/*
 * Scoring, one JSON line a case: responses of 1 KB a second on one core.
 *
 *   bench_score [CASE ...]     all cases without a name
 *
 * score.tokens is what the rewarder does with a group of 16: parse the task, spell the tokens of
 * each response, find its segments, verify each answer against its truths, reward it. score.text is
 * one response that comes as text. The floor is 50,000 a second and core.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/check.h"
#include "common/text/ids.h"
#include "rewarder/scorer.h"
#include "tests/bench/bench.h"
#include "tests/mini_tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 16, BYTES = 1024, RUNS = 31, AT_ONCE = 20 };

static const double FLOOR_PER_S = 50000.0;

static const char line[] =
    "{\"id\":\"b\",\"source\":\"kk\",\"question\":\"q\",\"verifier\":\"kk\","
    "\"answer\":\"Ann is a knight, Bob is a knave, Cy is a knight and Dan is a knave\","
    "\"steps\":[{\"answer\":\"Ann is a knight\"},{\"answer\":\"Bob is a knave\"},"
    "{\"answer\":\"Cy is a knight\"}]}";

static const char *const answers[] = {"Ann is a knight", "Bob is a knave", "Cy is a knave",
                                      "Cy is a knight"};

static struct pl_task task;
static struct pl_tokenizer *tokenizer;
static struct pl_scorer *scorer;
static char texts[SAMPLES][BYTES + 1];
static struct pl_rollout rollouts[SAMPLES];
static struct pl_rollout_group group;

/* Thinking and intermediate answers, the final answer last; each fourth one has a broken form. */
static void write_text(char text[BYTES + 1], size_t sample)
{
    char end[160];
    size_t len = 0, end_len;

    snprintf(end, sizeof end, "<answer>%s, %s, Cy is a %s and Dan is a knave</answer>%s",
             answers[0], answers[1], sample % 2 ? "knight" : "knave",
             sample % 4 == 3 ? "and more" : "");
    end_len = strlen(end);
    for (size_t k = 0; k < 4; k++) {
        len += (size_t)sprintf(text + len, "<think>");
        while (len < (k + 1) * (BYTES - end_len) / 4 - 60)
            len += (size_t)sprintf(text + len, "if Ann < Bob then %zu; ", (len + sample) % 10);
        len += (size_t)sprintf(text + len, "</think>");
        if (k < 3)
            len += (size_t)sprintf(text + len, "<answer>%s</answer>", answers[(k + sample) % 4]);
    }
    memcpy(text + len, end, end_len + 1);
    PL_ASSERT(len + end_len <= BYTES);
}

static void prepare(void)
{
    const struct pl_reward_opts opts = PL_REWARD_DEFAULTS;
    struct pl_encoder *encoder = NULL;
    struct pl_error err = {0};

    tokenizer = pl_test_mini_load(&(struct pl_test_mini){.merges = pl_test_merges});
    if (pl_task_parse(line, strlen(line), "bench", &task, &err) < 0 ||
        pl_scorer_create(tokenizer, &opts, &scorer) < 0 ||
        pl_encoder_create(tokenizer, &encoder) < 0) {
        fprintf(stderr, "bench_score: %s\n", err.text);
        exit(1);
    }
    for (size_t i = 0; i < SAMPLES; i++) {
        struct pl_ids ids;

        write_text(texts[i], i);
        pl_ids_init(&ids, 4 * BYTES);
        PL_ASSERT(pl_tokenizer_encode(encoder, texts[i], strlen(texts[i]), PL_ENCODE_ALL, &ids,
                                      &err) == PL_OK);
        rollouts[i] =
            (struct pl_rollout){.ids = ids.data, .len = ids.len, .finish = PL_SAMPLE_LENGTH};
    }
    pl_encoder_destroy(encoder);
    group = (struct pl_rollout_group){.samples = SAMPLES,
                                      .new_tokens_max = BYTES,
                                      .method = PL_METHOD_INTERLEAVE,
                                      .task = line,
                                      .task_len = strlen(line),
                                      .rollouts = rollouts};
}

static void score_tokens(void)
{
    uint32_t right, formatted;
    struct pl_error err;

    group.stage = PL_STAGE_ROLLOUT;
    PL_ASSERT(pl_scorer_group(scorer, &group, "bench", &right, &formatted, &err) == PL_OK);
    PL_ASSERT(right == SAMPLES / 4 && formatted == SAMPLES - SAMPLES / 4);
}

static void score_text(void)
{
    struct pl_score score;
    struct pl_error err;

    for (size_t i = 0; i < SAMPLES; i++)
        PL_ASSERT(
            pl_scorer_responses(scorer, &task, PL_METHOD_INTERLEAVE,
                                &(struct pl_response){.text = texts[i], .len = strlen(texts[i])}, 1,
                                &score, &err) == PL_OK);
}

static void run(const char *name, void (*score)(void))
{
    double times[RUNS], per_s;
    size_t bytes = 0;

    score();
    for (size_t i = 0; i < RUNS; i++) {
        const double start = pl_bench_seconds();

        for (size_t k = 0; k < AT_ONCE; k++)
            score();
        times[i] = pl_bench_seconds() - start;
    }
    for (size_t i = 0; i < SAMPLES; i++)
        bytes += strlen(texts[i]);
    per_s = SAMPLES * AT_ONCE / pl_bench_median(times, RUNS);
    printf("{\"case\":\"%s\",\"responses_per_s_and_core\":%.0f,\"bytes\":%.0f,\"tokens\":%zu,"
           "\"floor\":%.0f,\"ratio\":%.2f}\n",
           name, per_s, (double)bytes / SAMPLES, rollouts[0].len, FLOOR_PER_S, per_s / FLOOR_PER_S);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*score)(void);
    } cases[] = {{"score.tokens", score_tokens}, {"score.text", score_text}};

    prepare();
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        bool wanted = argc == 1;

        for (int i = 1; i < argc; i++)
            wanted = wanted || strcmp(argv[i], cases[c].name) == 0;
        if (wanted)
            run(cases[c].name, cases[c].score);
    }
    for (size_t i = 0; i < SAMPLES; i++)
        free((void *)rollouts[i].ids);
    pl_scorer_destroy(scorer);
    pl_tokenizer_destroy(tokenizer);
    pl_task_release(&task);
    return 0;
}
