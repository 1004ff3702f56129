#include "deploy/view/eval.h"

#include "actor/engine.h"
#include "common/base/buf.h"
#include "rewarder/scorer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHUNK_TOKENS = 256, TOKEN_BYTES = sizeof(uint32_t) + 2 * sizeof(float) };

/* A task in flight, or done and waiting for its turn. */
struct work {
    struct eval *all;
    size_t index;    /* of the task */
    size_t finished; /* samples seen to be */
    /* (samples) and behind it their ids, log-probabilities and times: NULL until all are done */
    struct pl_rollout *rollouts;
    size_t tokens;  /* of all of them, once they are done */
    float *times_s; /* (samples, new_tokens_max) when each token came, since begun_s; NULL then */
    double begun_s;
};

struct eval {
    const struct pl_eval_opts *opts;
    struct pl_engine *engine;
    struct pl_scorer *scorer;
    struct work **works;          /* (count), NULL: not begun, or handed over */
    size_t slots;                 /* samples at once */
    size_t begun, handed, flying; /* tasks begun and handed over; samples in the engine */
    size_t finished;              /* samples */
    double *ttfa_ms;              /* (samples) */
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void work_destroy(struct work *w)
{
    if (!w)
        return;
    free(w->rollouts);
    free(w->times_s);
    free(w);
}

/* Task i, to be sampled. */
static struct pl_rollout_group group_of(const struct pl_eval_opts *o, size_t i)
{
    const struct pl_prompt *prompt = &o->prompts[i];

    return (struct pl_rollout_group){
        .stage = PL_STAGE_ROLLOUT,
        .purpose = PL_PURPOSE_EVALUATE,
        .index = (uint32_t)i,
        .seed = o->seed,
        .method = o->method,
        .temperature = o->sampling.temperature,
        .top_p = o->sampling.top_p,
        .min_p = o->sampling.min_p,
        .top_k = o->sampling.top_k,
        .samples = (uint32_t)o->samples,
        .new_tokens_max = (uint32_t)o->new_tokens_max,
        .prompt = prompt->ids,
        .prompt_len = prompt->len,
        .task = prompt->task->line,
        .task_len = prompt->task->line_len,
        .actor = "eval",
    };
}

/* ---- into the engine ---- */

static bool note_time(const struct pl_token *token)
{
    struct work *w = token->user;

    w->times_s[token->sample * w->all->opts->new_tokens_max + token->index] =
        (float)(seconds() - w->begun_s);
    return true;
}

static int submit(struct eval *e, struct pl_error *err)
{
    const struct pl_eval_opts *o = e->opts;
    const struct pl_config *config = &o->weights->shape->config;
    const struct pl_rollout_group group = group_of(o, e->begun);
    struct work *w = calloc(1, sizeof *w);
    struct pl_request request = {
        .prompt = group.prompt,
        .prompt_len = group.prompt_len,
        .samples = o->samples,
        .new_tokens_max = o->new_tokens_max,
        .sampling = o->sampling,
        .rng = pl_rollout_group_rng(&group),
        .stop_count = config->eos_count,
        .user = w,
        .on_token = note_time,
    };
    struct pl_job *job;

    if (w)
        w->times_s = pl_alloc(o->samples * o->new_tokens_max, sizeof *w->times_s);
    if (!w || !w->times_s) {
        work_destroy(w);
        return pl_fail(err, PL_ENOMEM, "no memory for task '%.80s'", o->prompts[e->begun].task->id);
    }
    for (size_t i = 0; i < config->eos_count; i++)
        request.stop_ids[i] = (uint32_t)config->eos[i];
    w->all = e;
    w->index = e->begun;
    w->begun_s = seconds();
    e->works[e->begun++] = w;
    e->flying += o->samples;
    return pl_engine_submit(e->engine, &request, &job, err);
}

/* ---- out of it ---- */

static int collect(struct eval *e, const struct pl_job *job, struct work *w, struct pl_error *err)
{
    const size_t n = pl_job_samples(job);
    size_t tokens = 0;
    uint32_t *ids;
    float *logprobs, *times;

    for (size_t i = 0; i < n; i++) {
        tokens += pl_job_sample(job, i)->len;
        if (pl_job_sample(job, i)->finish == PL_FINISH_BROKEN)
            return pl_fail(err, PL_EFORMAT,
                           "the model gives a logit that is not a number, in task '%.80s'",
                           e->opts->prompts[w->index].task->id);
    }
    w->rollouts = pl_alloc(1, n * sizeof *w->rollouts + tokens * TOKEN_BYTES);
    if (!w->rollouts)
        return pl_fail(err, PL_ENOMEM, "no memory for the responses to task '%.80s'",
                       e->opts->prompts[w->index].task->id);
    ids = (uint32_t *)(w->rollouts + n);
    logprobs = (float *)(ids + tokens);
    times = logprobs + tokens;
    for (size_t i = 0; i < n; i++) {
        const struct pl_sample *s = pl_job_sample(job, i);

        memcpy(ids, s->ids, s->len * sizeof *ids);
        memcpy(logprobs, s->logprobs, s->len * sizeof *logprobs);
        memcpy(times, w->times_s + i * e->opts->new_tokens_max, s->len * sizeof *times);
        w->rollouts[i] = (struct pl_rollout){
            .ids = ids,
            .logprobs = logprobs,
            .len = s->len,
            .finish = s->finish == PL_FINISH_STOP ? PL_SAMPLE_STOP : PL_SAMPLE_LENGTH,
        };
        ids += s->len;
        logprobs += s->len;
        times += s->len;
    }
    free(w->times_s);
    w->times_s = NULL;
    w->tokens = tokens;
    return PL_OK;
}

/* A sample is finished; its job is dropped with the last. */
static int take(struct eval *e, struct pl_job *job, struct pl_error *err)
{
    struct work *w = pl_job_user(job);
    int rc;

    w->finished++;
    e->finished++;
    if (pl_job_unfinished(job) > 0)
        return PL_OK;
    e->finished += e->opts->samples - w->finished; /* others of the same step do not come up */
    rc = collect(e, job, w, err);
    pl_engine_drop(e->engine, &job);
    e->flying -= e->opts->samples;
    return rc;
}

static int reap(struct eval *e, struct pl_error *err)
{
    struct pl_job *job;
    size_t sample;
    int rc = PL_OK;

    while (rc == PL_OK && pl_engine_poll(e->engine, &job, &sample))
        rc = take(e, job, err);
    return rc;
}

/* ---- scores, in the order of tasks ---- */

static int hand_over(struct eval *e, struct pl_error *err)
{
    const struct pl_eval_opts *o = e->opts;
    struct work *w = e->works[e->handed];
    struct pl_rollout_group group = group_of(o, w->index);
    const struct pl_eval_done done = {o->prompts[w->index].task, &group, e->ttfa_ms};
    uint32_t right, formatted;
    int rc;

    group.rollouts = w->rollouts;
    rc = pl_scorer_group(e->scorer, &group, "eval", &right, &formatted, err);
    if (rc == PL_EAGAIN) /* counted as wrong it would be a result that nobody measured */
        pl_fail_in(err, rc, "without a verdict there is no result");
    for (size_t i = 0; rc == PL_OK && i < o->samples; i++) {
        const int32_t first = w->rollouts[i].score.first_answer;
        const float *times_s = w->rollouts[i].logprobs + w->tokens; /* they lie behind these */

        e->ttfa_ms[i] = first < 0 ? NAN : 1e3 * (double)times_s[first];
    }
    if (rc == PL_OK)
        rc = o->done(o->at, &done, err);
    work_destroy(w);
    e->works[e->handed++] = NULL;
    return rc;
}

static int generate(struct eval *e, struct pl_error *err)
{
    const struct pl_eval_opts *o = e->opts;
    int rc = PL_OK;

    while (rc == PL_OK && e->handed < o->count) {
        while (rc == PL_OK && e->begun < o->count && e->flying + o->samples <= e->slots)
            rc = submit(e, err);
        if (rc < 0)
            break;
        pl_engine_step(e->engine);
        rc = reap(e, err);
        while (rc == PL_OK && e->handed < e->begun && e->works[e->handed]->rollouts)
            rc = hand_over(e, err);
        if (rc == PL_OK && !o->goes_on(o->at, e->finished, pl_engine_stats(e->engine).new_tokens))
            rc = pl_fail(err, PL_ECANCELED, "stopped after %zu of %zu tasks", e->handed, o->count);
    }
    return rc;
}

/* ---- from start to end ---- */

static int open_engine(struct eval *e, struct pl_error *err)
{
    const struct pl_eval_opts *o = e->opts;
    const size_t fit = o->slots > o->samples ? o->slots / o->samples : 1;
    const size_t tasks = fit < o->count ? fit : o->count;
    struct pl_engine_opts opts = {
        .weights = o->weights,
        .slots = tasks * o->samples,
        .chunk_tokens = CHUNK_TOKENS,
        .jobs = tasks,
        .bytes_max = o->bytes_max,
    };

    for (size_t i = 0; i < o->count; i++)
        opts.positions = o->prompts[i].len > opts.positions ? o->prompts[i].len : opts.positions;
    opts.positions += o->new_tokens_max;
    e->slots = opts.slots;
    if (o->bytes_max > 0) { /* beside what the engine plans for: tokens in flight and their times */
        const uint64_t own = (uint64_t)opts.slots * o->new_tokens_max * TOKEN_BYTES;

        if (own >= o->bytes_max)
            return pl_fail(err, PL_ENOMEM,
                           "%zu samples at once of up to %zu tokens do not fit the memory; choose "
                           "fewer, or shorter ones",
                           opts.slots, o->new_tokens_max);
        opts.bytes_max = o->bytes_max - own;
    }
    return pl_engine_create(&opts, &e->engine, err);
}

static int check(const struct pl_eval_opts *o, struct pl_error *err)
{
    int rc = pl_sampling_check(&o->sampling, err);

    if (rc == PL_OK && (o->count == 0 || o->samples == 0 || o->new_tokens_max == 0))
        rc = pl_fail(err, PL_EINVAL, "nothing to generate");
    for (size_t i = 0; rc == PL_OK && i < o->count; i++)
        rc = pl_reward_check(o->reward, o->prompts[i].task, err);
    return rc;
}

int pl_eval_run(const struct pl_eval_opts *opts, struct pl_error *err)
{
    struct eval e = {.opts = opts};
    int rc = check(opts, err);

    if (rc < 0)
        return rc;
    e.works = calloc(opts->count, sizeof *e.works);
    e.ttfa_ms = calloc(opts->samples, sizeof *e.ttfa_ms);
    if (!e.works || !e.ttfa_ms || pl_scorer_create(opts->tokenizer, opts->reward, &e.scorer) < 0)
        rc = pl_fail(err, PL_ENOMEM, "no memory for %zu tasks", opts->count);
    if (rc == PL_OK)
        rc = open_engine(&e, err);
    if (rc == PL_OK)
        rc = generate(&e, err);
    pl_engine_destroy(e.engine);
    pl_scorer_destroy(e.scorer);
    for (size_t i = 0; e.works && i < opts->count; i++)
        work_destroy(e.works[i]);
    free(e.works);
    free(e.ttfa_ms);
    return rc;
}
