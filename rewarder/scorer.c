#include "rewarder/scorer.h"

#include "common/base/buf.h"
#include "common/base/pulse.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 64 << 20 };

struct pl_scorer {
    const struct pl_tokenizer *tokenizer;
    struct pl_reward_opts opts;
    struct pl_buf text;
    size_t *ends; /* (ends_cap) */
    size_t ends_cap;
    struct pl_reward_room *rooms; /* (rooms_cap), one a sample */
    size_t rooms_cap;
};

int pl_scorer_create(const struct pl_tokenizer *tokenizer, const struct pl_reward_opts *opts,
                     struct pl_scorer **ret_scorer)
{
    struct pl_scorer *s = calloc(1, sizeof *s);

    if (!s)
        return PL_ENOMEM;
    s->tokenizer = tokenizer;
    s->opts = *opts;
    s->opts.exec = NULL;
    s->opts.judge = NULL;
    pl_buf_init(&s->text, TEXT_MAX);
    if (pl_judge_create(&s->opts.judge) < 0 ||
        (opts->program.command && pl_exec_create(&opts->program, &s->opts.exec) < 0)) {
        pl_scorer_destroy(s);
        return PL_ENOMEM;
    }
    *ret_scorer = s;
    return PL_OK;
}

void pl_scorer_destroy(struct pl_scorer *scorer)
{
    if (!scorer)
        return;
    pl_exec_destroy(scorer->opts.exec);
    pl_judge_destroy(scorer->opts.judge);
    pl_buf_release(&scorer->text);
    free(scorer->ends);
    free(scorer->rooms);
    free(scorer);
}

/* Room for `samples` scores and `tokens` ends. */
static int reserve(struct pl_scorer *s, size_t samples, size_t tokens, struct pl_error *err)
{
    if (samples > s->rooms_cap) {
        struct pl_reward_room *rooms = realloc(s->rooms, samples * sizeof *rooms);

        if (!rooms)
            return pl_fail(err, PL_ENOMEM, "no memory to score %zu samples", samples);
        s->rooms = rooms;
        s->rooms_cap = samples;
    }
    if (tokens > s->ends_cap) {
        size_t *ends = realloc(s->ends, tokens * sizeof *ends);

        if (!ends)
            return pl_fail(err, PL_ENOMEM, "no memory to score %zu tokens", tokens);
        s->ends = ends;
        s->ends_cap = tokens;
    }
    return PL_OK;
}

/* The bytes of a response; the token that ended it is no text. */
static int spell(struct pl_scorer *s, const struct pl_rollout *r, size_t *ret_tokens,
                 struct pl_error *err)
{
    const size_t tokens = r->len - (r->finish == PL_SAMPLE_STOP);

    if (pl_tokenizer_spell(s->tokenizer, r->ids, tokens, &s->text, s->ends) < 0)
        return pl_fail(err, PL_ENOMEM, "no memory for the text of a response");
    *ret_tokens = tokens;
    return PL_OK;
}

/* A task begins, if it can be scored. */
static int begin_task(struct pl_scorer *s, const struct pl_task *task, struct pl_error *err)
{
    const struct pl_verifier *verifier;
    const int rc = pl_reward_check(&s->opts, task, err);

    if (rc < 0)
        return rc;
    verifier = pl_verifier_named(task->verifier);
    if (verifier->read && pl_judge_task(s->opts.judge, verifier, task) < 0)
        return pl_fail(err, PL_ENOMEM, "no memory for the truths of task '%.80s'", task->id);
    return PL_OK;
}

/* A score that came or did not; a program that is of no use is the greater trouble. */
static int settle(const struct pl_scorer *s, int rc, struct pl_error *err)
{
    const int broken = s->opts.exec ? pl_exec_broken(s->opts.exec, err) : PL_OK;

    return broken < 0 ? broken : rc;
}

int pl_scorer_group(struct pl_scorer *scorer, struct pl_rollout_group *group, const char *rewarder,
                    uint32_t *ret_right, uint32_t *ret_formatted, struct pl_error *err)
{
    struct pl_reward_opts opts = scorer->opts;
    size_t longest = 0;
    struct pl_task task;
    int rc = pl_task_parse(group->task, group->task_len, "a group's task", &task, err);

    if (rc < 0)
        return rc;
    rc = begin_task(scorer, &task, err);
    *ret_right = *ret_formatted = 0;
    for (size_t i = 0; i < group->samples; i++)
        longest = group->rollouts[i].len > longest ? group->rollouts[i].len : longest;
    if (rc == PL_OK)
        rc = reserve(scorer, group->samples, longest, err);
    opts.new_tokens_max = group->new_tokens_max;
    for (size_t i = 0; rc == PL_OK && i < group->samples; i++) {
        struct pl_rollout *r = &group->rollouts[i];
        size_t tokens = 0;

        rc = spell(scorer, r, &tokens, err);
        if (rc < 0)
            break;
        if (opts.program.pulse)
            opts.program.pulse(opts.program.at);
        rc = settle(scorer,
                    pl_reward_score(&opts, &task, group->method,
                                    scorer->text.data ? scorer->text.data : "", scorer->text.len,
                                    scorer->ends, tokens, &scorer->rooms[i], &r->score, err),
                    err);
        if (rc == PL_EAGAIN)
            pl_fail_in(err, rc, "sample %zu of %u of task '%.80s'", i + 1, group->samples, task.id);
        *ret_right += r->score.verdict == PL_VERDICT_RIGHT;
        *ret_formatted += r->score.format_ok;
        pl_pulse();
    }
    if (rc == PL_OK) {
        group->stage = PL_STAGE_SCORED;
        group->rewarder = rewarder;
    }
    pl_task_release(&task);
    return rc;
}

static int score_response(struct pl_scorer *s, const struct pl_task *task, enum pl_method method,
                          const struct pl_response *r, struct pl_reward_room *room,
                          struct pl_score *ret_score, struct pl_error *err)
{
    const struct pl_rollout rollout = {
        .ids = r->ids, .len = r->count, .finish = r->stopped ? PL_SAMPLE_STOP : PL_SAMPLE_LENGTH};
    struct pl_reward_opts opts = s->opts;
    size_t tokens = r->len;
    int rc = PL_OK;

    if (!r->text)
        rc = spell(s, &rollout, &tokens, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; r->text && i < tokens; i++)
        s->ends[i] = i + 1;
    if (r->text)
        opts.overlong_buffer = 0;
    return settle(s,
                  pl_reward_score(&opts, task, method, r->text ? r->text : s->text.data,
                                  r->text ? r->len : s->text.len, s->ends, tokens, room, ret_score,
                                  err),
                  err);
}

int pl_scorer_responses(struct pl_scorer *scorer, const struct pl_task *task, enum pl_method method,
                        const struct pl_response *responses, size_t count,
                        struct pl_score *ret_scores, struct pl_error *err)
{
    size_t longest = 0;
    int rc = begin_task(scorer, task, err);

    for (size_t i = 0; i < count; i++) {
        const size_t len = responses[i].text ? responses[i].len : responses[i].count;

        longest = len > longest ? len : longest;
    }
    if (rc == PL_OK)
        rc = reserve(scorer, count, longest, err);
    for (size_t i = 0; rc == PL_OK && i < count; i++) {
        rc = score_response(scorer, task, method, &responses[i], &scorer->rooms[i], &ret_scores[i],
                            err);
        if (rc == PL_EAGAIN)
            pl_fail_in(err, rc, "response %zu of %zu", i + 1, count);
    }
    return rc;
}
