#include "rewarder/reward.h"

#include "rewarder/verify.h"

#include <stdio.h>
#include <string.h>

/* What is being scored, and what was found out on the way. */
struct work {
    const struct pl_reward_opts *opts;
    const struct pl_task *task;
    const struct pl_verifier *verifier;
    const char *text;
    struct pl_reward_room *room;
    struct pl_judge *judge; /* NULL: a program is asked */
    int rc;                 /* PL_EAGAIN, PL_ENOMEM: there is no verdict, and no score */
    size_t answers, last;   /* answer segments, and the place of the last one among all segments */
    size_t given_at[PL_TASK_STEPS_MAX]; /* k_j of each intermediate truth, 0: not given */
    size_t right, wrong;                /* intermediate answers */
    bool in_order;                      /* the k-th intermediate answer is g_k, for each so far */
};

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The segments of the score; only the last answer can be the final one. */
static void list_segments(struct work *w, const size_t *ends, size_t tokens)
{
    const struct pl_segments *found = &w->room->found;

    for (size_t i = 0; i < found->count; i++) {
        const struct pl_piece *p = &found->pieces[i];
        struct pl_segment *s = &w->room->segments[i];

        *s = (struct pl_segment){.kind = p->kind, .step = -1, .verdict = PL_VERDICT_NONE};
        pl_segments_tokens(ends, tokens, p->tag_begin, p->tag_end, &s->token_begin, &s->token_end);
        if (p->kind == PL_SEGMENT_ANSWER) {
            w->answers++;
            w->last = i;
        }
    }
}

/* An answer comes up: it is read once, whatever it is compared with. */
static void read_answer(struct work *w, const struct pl_piece *p, bool step)
{
    if (w->judge && w->rc == PL_OK)
        w->rc = pl_judge_answer(w->judge, w->text + p->begin, p->end - p->begin, step);
}

/* It against a truth: the final one (step 0) or the step-th. NONE: there is no verdict. */
static enum pl_verdict verify(struct work *w, size_t step, const struct pl_piece *p)
{
    enum pl_verdict verdict = PL_VERDICT_NONE;

    if (w->rc < 0)
        return PL_VERDICT_NONE;
    if (w->judge)
        w->rc = pl_judge_compare(w->judge, step, &verdict);
    else
        verdict = pl_exec_ask(w->opts->exec, w->task, step, w->text + p->begin, p->end - p->begin);
    if (verdict == PL_VERDICT_NONE && w->rc == PL_OK)
        w->rc = PL_EAGAIN;
    return verdict;
}

/* The first truth, not yet given, that the k-th answer matches. */
static void match_step(struct work *w, const struct pl_piece *p, size_t k, struct pl_segment *s)
{
    const size_t steps = min_size(w->task->step_count, PL_TASK_STEPS_MAX);

    s->verdict = PL_VERDICT_UNPARSED;
    if (k <= PL_REWARD_ANSWERS_MAX)
        read_answer(w, p, true);
    for (size_t j = 0; j < steps && k <= PL_REWARD_ANSWERS_MAX && w->rc == PL_OK; j++) {
        const enum pl_verdict verdict = verify(w, j + 1, p);

        if (verdict == PL_VERDICT_RIGHT && w->given_at[j] > 0)
            continue; /* it was given before: once more is one too many */
        if (verdict != PL_VERDICT_UNPARSED)
            s->verdict = verdict;
        if (verdict == PL_VERDICT_RIGHT) {
            w->given_at[j] = k;
            w->in_order = w->in_order && j + 1 == k;
            w->right++;
            s->step = (int32_t)j;
            return;
        }
    }
    w->wrong++;
    w->in_order = false;
    s->charge = (float)(0.0 - w->opts->wrong_step);
}

/* All answers but the last, in turn. With an invalid form there is no final one. */
static void match_steps(struct work *w)
{
    const struct pl_segments *found = &w->room->found;
    size_t k = 0;

    w->in_order = true;
    for (size_t i = 0; i < found->count; i++) {
        if (found->pieces[i].kind != PL_SEGMENT_ANSWER || (found->valid && i == w->last))
            continue;
        match_step(w, &found->pieces[i], ++k, &w->room->segments[i]);
    }
}

static double intermediate(const struct work *w)
{
    const size_t steps = w->task->step_count;
    const double R = w->opts->base;
    double sum = 0.0;

    if (steps == 0)
        return 0.0;
    switch (w->opts->strategy) {
    case PL_REWARD_ALL:
        return w->right == steps && w->wrong == 0 && (!w->task->ordered || w->in_order) ? R : 0.0;
    case PL_REWARD_PARTIAL:
        return R * (double)w->right / (double)steps;
    case PL_REWARD_TIME:
        break;
    }
    if (w->right == steps)
        return R;
    for (size_t j = 0; j < min_size(steps, PL_TASK_STEPS_MAX); j++)
        sum += w->given_at[j] > 0 ? 1.0 / (double)w->given_at[j] : 0.0;
    return R * sum / (double)steps;
}

/* What each intermediate answer earned of `paid`, which is what intermediate() said or nothing. */
static void share_out(struct work *w, double paid)
{
    const double each = w->opts->base / (double)w->task->step_count;
    const bool discounted = w->opts->strategy == PL_REWARD_TIME && w->right < w->task->step_count;

    for (size_t i = 0; paid > 0.0 && i < w->room->found.count; i++) {
        struct pl_segment *s = &w->room->segments[i];

        if (s->step >= 0)
            s->reward = (float)(discounted ? each / (double)w->given_at[s->step] : each);
    }
}

/* DAPO: from new_tokens_max - buffer on, down to -factor at new_tokens_max. */
static double overlong(const struct pl_reward_opts *opts, size_t tokens)
{
    const size_t buffer = opts->overlong_buffer;

    if (buffer == 0 || tokens + buffer <= opts->new_tokens_max)
        return 0.0;
    return -(double)(tokens + buffer - opts->new_tokens_max) / (double)buffer *
           opts->overlong_factor;
}

static void score_final(struct work *w, struct pl_score *score)
{
    const struct pl_reward_opts *o = w->opts;
    const struct pl_piece *p = &w->room->found.pieces[w->last];

    read_answer(w, p, false);
    score->verdict = verify(w, 0, p);
    w->room->segments[w->last].verdict = score->verdict;
    score->final = (float)(o->lambda_final * (score->verdict == PL_VERDICT_RIGHT   ? o->right
                                              : score->verdict == PL_VERDICT_WRONG ? o->wrong
                                                                                   : o->unparsed));
    if (score->verdict != PL_VERDICT_UNPARSED)
        return;
    snprintf(w->room->why, sizeof w->room->why, "the final answer cannot be read: %.*s",
             (int)min_size(p->end - p->begin, 60), w->text + p->begin);
    for (char *at = w->room->why; *at; at++)
        if (*at < ' ' || *at > '~') /* it may be cut within a character, and is for a log */
            *at = '?';
}

/* The product form: an invalid form makes everything 0, and of the final reward a gain counts. What
 * is left of the intermediate reward. */
static double multiply(struct pl_score *score, double paid)
{
    score->format = score->format_ok ? score->format : 0.0f;
    score->final = score->final > 0.0f ? score->final : 0.0f;
    return score->format_ok ? paid : 0.0;
}

int pl_reward_check(const struct pl_reward_opts *opts, const struct pl_task *task,
                    struct pl_error *err)
{
    const int rc = pl_verifier_check(task, err);

    if (rc == PL_OK && pl_verifier_named(task->verifier) == &pl_verify_exec &&
        !opts->program.command)
        return pl_fail(err, PL_EINVAL,
                       "task '%.80s' asks for the verifier 'exec', but 'reward.exec.command' names "
                       "no program",
                       task->id);
    return rc;
}

/* The judge of the calling thread knows the task already, or one is made for this call. */
static int open_judge(const struct pl_reward_opts *opts, struct work *w, struct pl_judge **ret_own)
{
    int rc = PL_OK;

    *ret_own = NULL;
    if (w->verifier == &pl_verify_exec)
        return PL_OK;
    w->judge = opts->judge;
    if (!w->judge) {
        rc = pl_judge_create(ret_own);
        w->judge = *ret_own;
        if (rc == PL_OK)
            rc = pl_judge_task(w->judge, w->verifier, w->task);
    }
    if (rc == PL_OK)
        pl_judge_response(w->judge);
    return rc;
}

/* Nothing of a response whose verdict is not known is a score. */
static int no_verdict(const struct work *w, struct pl_error *err)
{
    if (w->rc == PL_EAGAIN)
        return pl_fail(err, PL_EAGAIN, "%s",
                       w->opts->exec ? pl_exec_why(w->opts->exec) : "there is no verifier to ask");
    return pl_fail(err, w->rc, "no memory to score an answer");
}

/* The token at which the first answer begins that says something, or that is right; -1: none. What
 * is right says something, whatever it looks like ("{}" is a set). */
static int32_t first_answer(const struct work *w, bool right, const size_t *ends, size_t tokens)
{
    const struct pl_segments *found = &w->room->found;

    for (size_t i = 0; i < found->count; i++) {
        const struct pl_piece *p = &found->pieces[i];
        const bool is_right = w->room->segments[i].verdict == PL_VERDICT_RIGHT;
        uint32_t begin, end;

        if (p->kind != PL_SEGMENT_ANSWER ||
            (!is_right &&
             (right || pl_segments_seen(w->text + p->begin, p->end - p->begin) != PL_SEEN_TEXT)))
            continue;
        pl_segments_tokens(ends, tokens, p->begin, p->end, &begin, &end);
        return (int32_t)begin;
    }
    return -1;
}

int pl_reward_score(const struct pl_reward_opts *opts, const struct pl_task *task,
                    enum pl_method method, const char *text, size_t len, const size_t *ends,
                    size_t tokens, struct pl_reward_room *room, struct pl_score *ret_score,
                    struct pl_error *err)
{
    struct work w = {.opts = opts,
                     .task = task,
                     .verifier = pl_verifier_named(task->verifier),
                     .text = text,
                     .room = room};
    struct pl_score score = {.verdict = PL_VERDICT_NONE, .why = room->why};
    struct pl_segments *found = &room->found;
    struct pl_judge *own;
    double paid;

    *ret_score = (struct pl_score){.why = ""};
    w.rc = open_judge(opts, &w, &own);
    if (opts->exec)
        pl_exec_begin(opts->exec);
    else if (!w.judge && w.rc == PL_OK)
        w.rc = PL_EAGAIN;
    pl_segments_parse(text, len, method, found);
    room->why[0] = '\0';
    list_segments(&w, ends, tokens);
    score.format_ok = found->valid;
    score.format = (float)(found->valid ? opts->lambda_format : -opts->lambda_format);
    if (found->valid)
        score_final(&w, &score);
    else
        snprintf(room->why, sizeof room->why, "%s", found->why);
    match_steps(&w);
    pl_judge_destroy(own);
    if (w.rc < 0)
        return no_verdict(&w, err);
    paid = opts->pay == PL_REWARD_NONE ? 0.0 : intermediate(&w);
    if (opts->pay == PL_REWARD_CONDITIONAL && score.verdict != PL_VERDICT_RIGHT)
        paid = 0.0;
    if (opts->combine == PL_REWARD_PRODUCT)
        paid = multiply(&score, paid);
    share_out(&w, paid);
    score.intermediate = (float)paid;
    score.extra = (float)(overlong(opts, tokens) - opts->wrong_step * (double)w.wrong);
    score.steps = (uint32_t)task->step_count;
    score.steps_right = (uint32_t)w.right;
    score.segments = room->segments;
    score.segment_count = found->count;
    score.first_answer = first_answer(&w, false, ends, tokens);
    score.first_right = first_answer(&w, true, ends, tokens);
    *ret_score = score;
    return PL_OK;
}
