#include "actor/engine.h"

#include "actor/engine_impl.h"
#include "common/base/check.h"
#include "common/math/gemm.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

static size_t threads_most(void)
{
    const int most = omp_get_max_threads(), procs = omp_get_num_procs();

    return (size_t)(most > procs ? most : procs);
}

static size_t spans_max(const struct pl_engine_opts *opts)
{
    return opts->slots +
           opts->chunk_tokens; /* a prompt's span has at least one token of the chunk */
}

static struct pl_kv_opts kv_opts(const struct pl_engine_opts *opts, size_t pages)
{
    const struct pl_config *c = &opts->weights->shape->config;

    return (struct pl_kv_opts){.layers = c->layers,
                               .kv_heads = c->kv_heads,
                               .head_dim = c->head_dim,
                               .pages = pages,
                               .slots = opts->slots,
                               .positions = opts->positions};
}

/* Values in the longest row that a matrix product reads. */
static size_t widest(const struct pl_config *c)
{
    const size_t q = c->heads * c->head_dim, most = q > c->hidden ? q : c->hidden;

    return most > c->ffn ? most : c->ffn;
}

static int opts_check(const struct pl_engine_opts *opts, struct pl_error *err)
{
    static const size_t LIMIT = (size_t)1 << 24; /* keeps every product below far from overflow */

    if (opts->slots < 1 || opts->slots > LIMIT || opts->positions < 2 || opts->positions > LIMIT ||
        opts->chunk_tokens < 1 || opts->chunk_tokens > LIMIT || opts->jobs < 1 ||
        opts->jobs > LIMIT || opts->pages > UINT32_MAX)
        return pl_fail(
            err, PL_EINVAL,
            "engine: slots, positions, chunk_tokens and jobs must be from 1 (positions "
            "from 2) to %zu, found %zu, %zu, %zu and %zu, and pages below 2^32, found %zu",
            LIMIT, opts->slots, opts->positions, opts->chunk_tokens, opts->jobs, opts->pages);
    if (opts->rope && opts->rope->positions < opts->positions)
        return pl_fail(err, PL_EINVAL, "engine: the rotary table has %zu positions, %zu are needed",
                       opts->rope->positions, opts->positions);
    return PL_OK;
}

int pl_engine_plan(const struct pl_engine_opts *opts, struct pl_engine_plan *ret_plan,
                   struct pl_error *err)
{
    const struct pl_config *c = &opts->weights->shape->config;
    struct pl_engine_plan plan = {0};
    int rc = opts_check(opts, err);

    if (rc < 0)
        return rc;
    plan.weights_bytes = pl_weights_bytes(opts->weights->shape);
    plan.pages = opts->pages ? opts->pages : opts->slots * pl_kv_pages_for(opts->positions);

    const struct pl_kv_opts kv = kv_opts(opts, plan.pages);

    plan.kv_bytes = pl_kv_bytes(&kv);
    if (plan.kv_bytes == SIZE_MAX)
        return pl_fail(err, PL_EINVAL, "engine: a cache of %zu pages is beyond all memory",
                       plan.pages);
    plan.rows = opts->slots + opts->chunk_tokens;
    plan.acts_bytes = (pl_acts_floats(c, plan.rows) + plan.rows * c->hidden) * sizeof(float);
    plan.logits_bytes = opts->slots * (c->vocab + c->hidden) * sizeof(float);
    plan.rope_bytes = opts->rope ? 0 : opts->positions * c->head_dim * sizeof(float);
    plan.sampler_bytes = pl_sampler_bytes(c->vocab, threads_most());
    plan.other_bytes =
        sizeof(struct pl_engine) + plan.rows * 2 * sizeof(uint32_t) +
        spans_max(opts) * sizeof(struct pl_span) +
        opts->slots * (sizeof(uint32_t) + sizeof(struct pl_draw) + sizeof(struct pl_target)) +
        (opts->keep_prefix ? opts->positions * sizeof(uint32_t) : 0);
    plan.packed_bytes = pl_gemm_packed_bytes(plan.rows, widest(c));
    plan.total_bytes = plan.kv_bytes + plan.acts_bytes + plan.logits_bytes + plan.rope_bytes +
                       plan.sampler_bytes + plan.other_bytes + plan.packed_bytes;
    if (opts->bytes_max && plan.total_bytes > opts->bytes_max)
        return pl_fail(
            err, PL_ENOMEM,
            "engine: needs %zu bytes (cache %zu, activations %zu, logits %zu), the limit "
            "is %zu; fewer slots, positions, pages or chunk_tokens need less",
            plan.total_bytes, plan.kv_bytes, plan.acts_bytes, plan.logits_bytes, opts->bytes_max);
    *ret_plan = plan;
    return PL_OK;
}

int pl_engine_plan_print(const struct pl_engine_plan *plan, struct pl_buf *buf)
{
    return pl_buf_printf(buf,
                         "plan weights_bytes=%zu kv_bytes=%zu kv_pages=%zu acts_bytes=%zu "
                         "acts_rows=%zu logits_bytes=%zu rope_bytes=%zu sampler_bytes=%zu "
                         "packed_bytes=%zu other_bytes=%zu total_bytes=%zu",
                         plan->weights_bytes, plan->kv_bytes, plan->pages, plan->acts_bytes,
                         plan->rows, plan->logits_bytes, plan->rope_bytes, plan->sampler_bytes,
                         plan->packed_bytes, plan->other_bytes,
                         plan->total_bytes + plan->weights_bytes);
}

static int memory_create(struct pl_engine *e, struct pl_error *err)
{
    const struct pl_config *c = &e->weights->shape->config;
    const size_t R = e->plan.rows, slots = e->opts.slots;

    e->ids = pl_alloc(R, sizeof *e->ids);
    e->positions = pl_alloc(R, sizeof *e->positions);
    e->spans = pl_alloc(spans_max(&e->opts), sizeof *e->spans);
    e->head_rows = pl_alloc(slots, sizeof *e->head_rows);
    e->draws = pl_alloc(slots, sizeof *e->draws);
    e->targets = pl_alloc(slots, sizeof *e->targets);
    e->x = pl_alloc(R * c->hidden, sizeof *e->x);
    e->h = pl_alloc(slots * c->hidden, sizeof *e->h);
    e->logits = pl_alloc(slots * c->vocab, sizeof *e->logits);
    e->block = pl_alloc(pl_acts_floats(c, R), sizeof *e->block);
    if (e->opts.keep_prefix)
        e->kept = pl_alloc(e->opts.positions, sizeof *e->kept);
    if (!e->ids || !e->positions || !e->spans || !e->head_rows || !e->draws || !e->targets ||
        !e->x || !e->h || !e->logits || !e->block || (e->opts.keep_prefix && !e->kept) ||
        pl_gemm_reserve(R, widest(c)) < 0)
        return pl_fail(err, PL_ENOMEM, "engine: no memory for %zu bytes", e->plan.total_bytes);
    pl_acts_place(&e->acts, c, R, e->block);
    return PL_OK;
}

int pl_engine_create(const struct pl_engine_opts *opts, struct pl_engine **ret_engine,
                     struct pl_error *err)
{
    struct pl_engine_plan plan;
    struct pl_engine *e;
    struct pl_kv_opts kv;
    int rc = pl_engine_plan(opts, &plan, err);

    if (rc < 0)
        return rc;
    e = calloc(1, sizeof *e);
    if (!e)
        return pl_fail(err, PL_ENOMEM, "engine: no memory");
    e->opts = *opts;
    e->plan = plan;
    e->weights = opts->weights;
    e->rope = opts->rope;
    if (!e->rope) {
        rc = pl_rope_create(&opts->weights->shape->config, opts->positions, &e->own_rope, err);
        if (rc < 0)
            goto fail;
        e->rope = e->own_rope;
    }
    kv = kv_opts(opts, plan.pages);
    rc = pl_kv_create(&kv, &e->kv, err);
    if (rc < 0)
        goto fail;
    rc = pl_sampler_create(opts->weights->shape->config.vocab, threads_most(), &e->sampler, err);
    if (rc < 0)
        goto fail;
    rc = memory_create(e, err);
    if (rc < 0)
        goto fail;
    *ret_engine = e;
    return PL_OK;
fail:
    pl_engine_destroy(e);
    return rc;
}

static void job_free(struct pl_job *job)
{
    free(job->memory);
    free(job->samples);
    free(job->done);
    free(job->slots);
    free(job);
}

void pl_engine_destroy(struct pl_engine *e)
{
    if (!e)
        return;
    while (e->jobs) {
        struct pl_job *next = e->jobs->next;

        job_free(e->jobs);
        e->jobs = next;
    }
    free(e->kept);
    free(e->block);
    free(e->logits);
    free(e->h);
    free(e->x);
    free(e->targets);
    free(e->draws);
    free(e->head_rows);
    free(e->spans);
    free(e->positions);
    free(e->ids);
    pl_sampler_destroy(e->sampler);
    pl_kv_destroy(e->kv);
    pl_rope_destroy(e->own_rope);
    free(e);
}

static void go_on_with(struct pl_engine *e, const struct pl_weights *weights)
{
    const struct pl_config *old = &e->weights->shape->config, *new = &weights->shape->config;

    PL_ASSERT(old->hidden == new->hidden && old->layers == new->layers &&
              old->heads == new->heads && old->kv_heads == new->kv_heads &&
              old->head_dim == new->head_dim && old->ffn == new->ffn && old->vocab == new->vocab);
    pl_engine_forget(e);
    e->weights = weights;
}

void pl_engine_weights(struct pl_engine *e, const struct pl_weights *weights)
{
    PL_ASSERT(pl_engine_idle(e));
    go_on_with(e, weights);
}

void pl_engine_refresh(struct pl_engine *e, const struct pl_weights *weights)
{
    PL_ASSERT(!e->opts.keep_prefix);
    go_on_with(e, weights);
}

const char *pl_finish_name(enum pl_finish finish)
{
    switch (finish) {
    case PL_FINISH_NOT:
        return "running";
    case PL_FINISH_STOP:
        return "stop";
    case PL_FINISH_LENGTH:
        return "length";
    case PL_FINISH_CANCELED:
        return "canceled";
    case PL_FINISH_BROKEN:
        return "broken";
    }
    return "?";
}

static int request_check(const struct pl_engine *e, const struct pl_request *r,
                         struct pl_error *err)
{
    const size_t V = e->weights->shape->config.vocab;

    if (r->prompt_len < 1 || r->samples < 1 || r->new_tokens_max < 1)
        return pl_fail(err, PL_EINVAL,
                       "request: prompt tokens, samples and new tokens must be at least 1, found "
                       "%zu, %zu and %zu",
                       r->prompt_len, r->samples, r->new_tokens_max);
    if (r->samples > e->opts.slots)
        return pl_fail(err, PL_EINVAL, "request: %zu samples at once, the engine has %zu slots",
                       r->samples, e->opts.slots);
    if (r->prompt_len > e->opts.positions || r->new_tokens_max > e->opts.positions - r->prompt_len)
        return pl_fail(err, PL_EINVAL,
                       "request: %zu prompt and %zu new tokens, the engine has %zu positions",
                       r->prompt_len, r->new_tokens_max, e->opts.positions);
    if (pl_kv_pages_group(r->prompt_len, r->prompt_len + r->new_tokens_max - 1, r->samples) >
        e->plan.pages)
        return pl_fail(
            err, PL_EINVAL, "request: needs %zu pages at its longest, the cache has %zu",
            pl_kv_pages_group(r->prompt_len, r->prompt_len + r->new_tokens_max - 1, r->samples),
            e->plan.pages);
    if (r->stop_count > PL_STOP_IDS_MAX)
        return pl_fail(err, PL_EINVAL, "request: %zu stop ids, at most %d are possible",
                       r->stop_count, PL_STOP_IDS_MAX);
    for (size_t i = 0; i < r->prompt_len; i++)
        if (r->prompt[i] >= V)
            return pl_fail(err, PL_EINVAL,
                           "request: prompt token %zu is %u, the vocabulary has %zu", i,
                           r->prompt[i], V);
    return pl_sampling_check(&r->sampling, err);
}

static struct pl_job *job_create(const struct pl_request *r)
{
    const size_t per_sample = r->new_tokens_max;
    struct pl_job *job = calloc(1, sizeof *job);
    uint32_t *words;

    if (!job)
        return NULL;
    job->samples = calloc(r->samples, sizeof *job->samples);
    job->done = calloc(r->samples, sizeof *job->done);
    job->slots = calloc(r->samples, sizeof *job->slots);
    job->memory = calloc(r->prompt_len + 2 * r->samples * per_sample, sizeof *words);
    if (!job->samples || !job->done || !job->slots || !job->memory) {
        job_free(job);
        return NULL;
    }
    words = job->memory;
    memcpy(words, r->prompt, r->prompt_len * sizeof *words);
    job->request = *r;
    job->request.prompt = words;
    job->unfinished = r->samples;
    words += r->prompt_len;
    for (size_t s = 0; s < r->samples; s++) {
        job->samples[s].ids = words + 2 * s * per_sample;
        job->samples[s].logprobs = (float *)(words + (2 * s + 1) * per_sample);
        job->done[s] = (struct pl_done){.job = job, .sample = s};
    }
    return job;
}

int pl_engine_submit(struct pl_engine *e, const struct pl_request *request, struct pl_job **ret_job,
                     struct pl_error *err)
{
    int rc = request_check(e, request, err);
    struct pl_job *job;

    if (rc < 0)
        return rc;
    if (e->job_count >= e->opts.jobs)
        return pl_fail(err, PL_EFULL, "engine: %zu jobs are there already", e->job_count);
    job = job_create(request);
    if (!job)
        return pl_fail(err, PL_ENOMEM, "engine: no memory for a job of %zu samples",
                       request->samples);
    job->prev = e->jobs_last;
    *(e->jobs_last ? &e->jobs_last->next : &e->jobs) = job;
    e->jobs_last = job;
    e->job_count++;
    *ret_job = job;
    return PL_OK;
}

bool pl_engine_idle(const struct pl_engine *e)
{
    for (const struct pl_job *job = e->jobs; job; job = job->next)
        if (job->state != PL_JOB_FINISHED)
            return false;
    return true;
}

bool pl_engine_poll(struct pl_engine *e, struct pl_job **ret_job, size_t *ret_sample)
{
    struct pl_done *done = e->finished;

    if (!done)
        return false;
    e->finished = done->next;
    if (!e->finished)
        e->finished_last = NULL;
    *ret_job = done->job;
    *ret_sample = done->sample;
    return true;
}

const struct pl_sample *pl_job_sample(const struct pl_job *job, size_t sample)
{
    PL_ASSERT(sample < job->request.samples);
    return &job->samples[sample];
}

size_t pl_job_samples(const struct pl_job *job)
{
    return job->request.samples;
}

size_t pl_job_unfinished(const struct pl_job *job)
{
    return job->unfinished;
}

void *pl_job_user(const struct pl_job *job)
{
    return job->request.user;
}

void pl_engine_forget(struct pl_engine *e)
{
    if (e->kept_len > 0)
        pl_kv_release(e->kv, e->kept_slot);
    e->kept_len = 0;
}

/* What the cache holds of a single sample: its prompt and all new tokens but the last, which was
 * not fed back. */
static void keep(struct pl_engine *e, const struct pl_job *job)
{
    const struct pl_sample *sample = &job->samples[0];
    const size_t stored = job->stored + (sample->len > 0 ? sample->len - 1 : 0);

    pl_engine_forget(e);
    memcpy(e->kept, job->request.prompt, job->stored * sizeof *e->kept);
    memcpy(e->kept + job->stored, sample->ids, (stored - job->stored) * sizeof *e->kept);
    e->kept_slot = job->slots[0];
    e->kept_len = stored;
    const int rc = pl_kv_adopt(e->kv, e->kept_slot, stored, stored);

    PL_ASSERT(rc == PL_OK); /* it asks for no new page */
}

/* Whether the slot's pages may hold what is not finite, which nobody may read even with weight 0.
 */
static bool tainted(const struct pl_job *job, enum pl_finish finish)
{
    return finish == PL_FINISH_BROKEN || job->state == PL_JOB_PREFILL; /* not yet seen by a draw */
}

void pl_job_finish(struct pl_engine *e, struct pl_job *job, size_t s, enum pl_finish finish)
{
    struct pl_done *done = &job->done[s];

    PL_ASSERT(job->samples[s].finish == PL_FINISH_NOT && finish != PL_FINISH_NOT);
    job->samples[s].finish = finish;
    if (job->state != PL_JOB_WAITING) {
        const bool scrub = tainted(job, finish);

        if (scrub)
            pl_kv_scrub(e->kv, job->slots[s]);
        if (e->kept && job->request.samples == 1 && !scrub)
            keep(e, job);
        else
            pl_kv_release(e->kv, job->slots[s]);
    }
    if (--job->unfinished == 0)
        job->state = PL_JOB_FINISHED;
    *(e->finished_last ? &e->finished_last->next : &e->finished) = done;
    e->finished_last = done;
}

void pl_engine_cancel(struct pl_engine *e, struct pl_job *job)
{
    for (size_t s = 0; s < job->request.samples; s++)
        if (job->samples[s].finish == PL_FINISH_NOT)
            pl_job_finish(e, job, s, PL_FINISH_CANCELED);
}

/* Take the job's samples out of the queue that poll reads. */
static void unqueue(struct pl_engine *e, const struct pl_job *job)
{
    struct pl_done **at = &e->finished, *last = NULL;

    while (*at) {
        if ((*at)->job == job) {
            *at = (*at)->next;
        } else {
            last = *at;
            at = &last->next;
        }
    }
    e->finished_last = last;
}

void pl_engine_drop(struct pl_engine *e, struct pl_job **job)
{
    struct pl_job *j = *job;

    if (!j)
        return;
    pl_engine_cancel(e, j);
    unqueue(e, j);
    *(j->prev ? &j->prev->next : &e->jobs) = j->next;
    *(j->next ? &j->next->prev : &e->jobs_last) = j->prev;
    e->job_count--;
    job_free(j);
    *job = NULL;
}

struct pl_engine_stats pl_engine_stats(const struct pl_engine *e)
{
    struct pl_engine_stats stats = e->stats;

    for (const struct pl_job *job = e->jobs; job; job = job->next) {
        stats.jobs_waiting += job->state == PL_JOB_WAITING;
        stats.jobs_running += job->state == PL_JOB_PREFILL || job->state == PL_JOB_DECODE;
    }
    stats.pages_used = e->kv->pages.count - e->kv->free_count;
    stats.pages_promised = e->kv->promised;
    return stats;
}
