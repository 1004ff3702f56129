/*
 * Generation with continuous batching: prompts in, samples out.
 *
 * A job is one prompt of which G samples are wanted. It waits until the cache can hold all of them
 * at their longest, is prefilled once in chunks, and then its samples grow by one token a step,
 * beside those of other jobs, until a stop token, the limit or a cancellation ends them one by one.
 *
 *   submit ─▶ waiting ─▶ prefill ─▶ decoding ─▶ finished ─▶ poll ... drop
 *
 * One step is one forward pass over one token of every sample that is decoding and up to
 * `chunk_tokens` prompt tokens. The vocabulary projection runs only for rows a token is drawn from.
 *
 * Always true:
 *   - what a sample is depends on (weights, prompt, sampling, rng, its index, limit and stop ids)
 *     alone: to the bit the same whatever else runs, in what order, chunk size or on how many
 *     threads; unless the weights were changed under it by pl_engine_refresh();
 *   - jobs are let in in the order they came, so that none starves;
 *   - big memory is asked for once, by create, as pl_engine_plan() said; a submit allocates the
 *     job's own few kilobytes, a step nothing;
 *   - rows of a job's samples stand next to each other, so that attention reads their prompt once.
 *
 * One thread owns an engine; the step itself uses all OpenMP threads.
 */
#ifndef PL_ACTOR_ENGINE_H
#define PL_ACTOR_ENGINE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/model/rope.h"
#include "common/model/sampler.h"
#include "common/model/weights.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PL_STOP_IDS_MAX = 16 };

struct pl_engine_opts {
    const struct pl_weights *weights; /* borrowed: must live longer */
    const struct pl_rope *rope; /* borrowed, of at least `positions`; NULL: the engine makes one */
    size_t slots;               /* samples at once */
    size_t positions;           /* prompt and response of the longest sample, in tokens */
    size_t pages;               /* of the cache; 0: as many as `slots` longest samples need */
    size_t chunk_tokens;        /* prompt tokens a step */
    size_t jobs;                /* not yet dropped at once */
    size_t bytes_max;           /* refuse a plan over it; 0: none */
    /* Keep the last single-sample job's cache for one that begins alike: a chat. */
    bool keep_prefix;
};

/* What create will ask for, in bytes. The weights are there already. */
struct pl_engine_plan {
    size_t weights_bytes;
    size_t pages, kv_bytes;
    size_t rows, acts_bytes; /* rows of the largest step; their activations */
    size_t logits_bytes, rope_bytes, sampler_bytes, other_bytes;
    size_t packed_bytes; /* of the matrix product, shared by the process: asked for once */
    size_t total_bytes;  /* of the above, without weights_bytes */
};

/* PL_EINVAL: a size is 0 or too large to add up. PL_ENOMEM: the total is over bytes_max. */
int pl_engine_plan(const struct pl_engine_opts *opts, struct pl_engine_plan *ret_plan,
                   struct pl_error *err);

/* Add the plan as `plan key=value ...`, one line without an end, to buf. Errors of buf. */
int pl_engine_plan_print(const struct pl_engine_plan *plan, struct pl_buf *buf);

struct pl_engine;

/*
 * On success *ret_engine is the caller's, to be ended with pl_engine_destroy(), which ends all its
 * jobs too. Errors as of the plan; PL_ENOMEM.
 */
int pl_engine_create(const struct pl_engine_opts *opts, struct pl_engine **ret_engine,
                     struct pl_error *err);
void pl_engine_destroy(struct pl_engine *engine); /* NULL is fine */

/*
 * Go on with another version of the weights, of the same shape. Only legal when pl_engine_idle();
 * forgets a kept prefix.
 */
void pl_engine_weights(struct pl_engine *engine, const struct pl_weights *weights);

/*
 * Go on with another version of the weights although samples grow: what they have in the cache
 * stays as the old one computed it, what they draw from now on is the new one's over that, with the
 * log-probabilities that it has there. What a sample is then depends on when this was called.
 * Not with keep_prefix.
 */
void pl_engine_refresh(struct pl_engine *engine, const struct pl_weights *weights);

struct pl_job;

/* One new token. A response's ids include the stop token that ended it. */
struct pl_token {
    const struct pl_job *job;
    void *user; /* the request's */
    size_t sample, index;
    uint32_t id;
    float logprob;
};

struct pl_request {
    const uint32_t *prompt; /* copied */
    size_t prompt_len;      /* at least 1 */
    size_t samples;         /* G, at least 1 */
    size_t new_tokens_max;  /* at least 1 */
    struct pl_sampling sampling;
    /* Sample s draws with rng.sample + s, at position = index of the new token. */
    struct pl_rng rng;
    uint32_t stop_ids[PL_STOP_IDS_MAX];
    size_t stop_count;
    void *user; /* handed back by pl_job_user() and in tokens */
    /*
     * Called within a step for each new token, in order; false ends that sample as canceled. It
     * must not call the engine. NULL: none.
     */
    bool (*on_token)(const struct pl_token *token);
};

enum pl_finish {
    PL_FINISH_NOT,      /* waiting or growing */
    PL_FINISH_STOP,     /* its last id is one of stop_ids */
    PL_FINISH_LENGTH,   /* new_tokens_max ids */
    PL_FINISH_CANCELED, /* by pl_engine_cancel() or on_token */
    PL_FINISH_BROKEN,   /* the weights gave a logit that is not a finite number */
};

/* "stop", "length", "canceled", "broken"; "running" for PL_FINISH_NOT. */
const char *pl_finish_name(enum pl_finish finish);

struct pl_sample {
    uint32_t *ids;   /* (len) */
    float *logprobs; /* (len), over the full vocabulary, untempered */
    size_t len;
    enum pl_finish finish;
};

/*
 * *ret_job is the engine's, until pl_engine_drop().
 * PL_EINVAL: the request is out of range (an id not below V, a limit, sampling), or can never run
 * here: more samples than slots, longer than `positions`, more pages than the cache has. PL_EFULL:
 * `jobs` are there already; drop one first. PL_ENOMEM.
 */
int pl_engine_submit(struct pl_engine *engine, const struct pl_request *request,
                     struct pl_job **ret_job, struct pl_error *err);

/* One forward pass. Returns the rows computed; 0: there is nothing left to do. */
size_t pl_engine_step(struct pl_engine *engine);

/* True when no job is waiting or running. */
bool pl_engine_idle(const struct pl_engine *engine);

/*
 * The next sample that finished since the last call, in the order they finished: true and its job
 * and index, or false when there is none. Dropped jobs' samples do not come up.
 */
bool pl_engine_poll(struct pl_engine *engine, struct pl_job **ret_job, size_t *ret_sample);

/* What there is of a sample; grows with steps. Borrowed until the job is dropped. */
const struct pl_sample *pl_job_sample(const struct pl_job *job, size_t sample);
size_t pl_job_samples(const struct pl_job *job);
size_t pl_job_unfinished(const struct pl_job *job); /* samples not yet finished */
void *pl_job_user(const struct pl_job *job);

/* Finish what is unfinished of the job as canceled, at once; its memory stays. Not in on_token. */
void pl_engine_cancel(struct pl_engine *engine, struct pl_job *job);

/* End the job and its memory; cancels it first where need be. Not within on_token. */
void pl_engine_drop(struct pl_engine *engine, struct pl_job **job);

/* Counted since create; `step_*` are of the last step. */
struct pl_engine_stats {
    uint64_t steps;
    uint64_t prompt_tokens; /* computed */
    uint64_t reused_tokens; /* found in a kept prefix instead */
    uint64_t new_tokens;
    size_t step_decode_rows, step_prompt_rows, step_draws;
    size_t jobs_waiting, jobs_running;
    size_t pages_used, pages_used_max, pages_promised;
};
struct pl_engine_stats pl_engine_stats(const struct pl_engine *engine);

#endif
