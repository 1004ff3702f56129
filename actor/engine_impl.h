/* What engine.c (jobs) and step.c (batches) share. Nobody else includes this. */
#ifndef PL_ACTOR_ENGINE_IMPL_H
#define PL_ACTOR_ENGINE_IMPL_H

#include "actor/engine.h"
#include "actor/kv.h"
#include "common/model/forward.h"

enum pl_job_state { PL_JOB_WAITING, PL_JOB_PREFILL, PL_JOB_DECODE, PL_JOB_FINISHED };

/* A place in the queue of finished samples, part of the job so that finishing allocates nothing. */
struct pl_done {
    struct pl_done *next;
    struct pl_job *job;
    size_t sample;
};

/*
 * The samples of a running job hold slots[s] until they finish; during prefill all G slots are
 * claimed and slots[0] is being filled.
 */
struct pl_job {
    struct pl_job *prev, *next; /* in engine->jobs, in the order they came */
    struct pl_request request;  /* prompt points to own memory */
    enum pl_job_state state;
    size_t stored;             /* prompt positions in the cache */
    size_t unfinished;         /* samples */
    struct pl_sample *samples; /* (G) */
    struct pl_done *done;      /* (G) */
    uint32_t *slots;           /* (G) */
    void *memory;              /* prompt, ids and logprobs of all samples */
};

/* Where the draws of one row of logits go. */
struct pl_target {
    struct pl_job *job;
    size_t sample;
};

struct pl_engine {
    struct pl_engine_opts opts;
    struct pl_engine_plan plan;
    const struct pl_weights *weights;
    const struct pl_rope *rope;
    struct pl_rope *own_rope;
    struct pl_kv *kv;
    struct pl_sampler *sampler;

    struct pl_job *jobs, *jobs_last;
    size_t job_count; /* all that are not dropped */
    struct pl_done *finished, *finished_last;

    uint32_t *kept; /* (positions) ids whose keys and values are in kept_slot */
    size_t kept_len;
    uint32_t kept_slot; /* claimed when kept_len > 0 */

    /* One step's batch. */
    size_t rows, span_count, head_count, draw_count;
    uint32_t *ids, *positions; /* (plan.rows) */
    struct pl_span *spans;     /* (slots + jobs) */
    uint32_t *head_rows;       /* (slots) */
    struct pl_draw *draws;     /* (slots) */
    struct pl_target *targets; /* (slots) who asked for the draw */
    float *x;                  /* (plan.rows, C) */
    float *h;                  /* (slots, C) */
    float *logits;             /* (slots, V) */
    float *block;              /* what acts points into */
    struct pl_acts acts;
    struct pl_engine_stats stats;
};

/* Sample `s` ends: its slot is given back or kept, and it is queued for poll. */
void pl_job_finish(struct pl_engine *engine, struct pl_job *job, size_t s, enum pl_finish finish);

/* Give back the slot whose prefix was kept, if any. */
void pl_engine_forget(struct pl_engine *engine);

#endif
