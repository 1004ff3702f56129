/*
 * Log-probabilities of token sequences that are there already: those that sampling would have
 * recorded, to the bit.
 *
 *   add ─▶ queue ─▶ steps of up to `rows` tokens, of several sequences ─▶ done, in the order added
 *
 * A sequence that is longer than a step goes on in the next, its keys and values in the cache; so
 * memory depends on the options alone, and a step's on no sequence but those in the queue.
 *
 * Big memory is asked for by create, as pl_gauge_plan() said. One thread owns a gauge; a step
 * uses all OpenMP threads.
 */
#ifndef PL_ACTOR_GAUGE_H
#define PL_ACTOR_GAUGE_H

#include "common/base/err.h"
#include "common/model/weights.h"

#include <stddef.h>
#include <stdint.h>

struct pl_scored {
    uint64_t tag;        /* given when it was added */
    const uint32_t *ids; /* (len) */
    size_t len, from;
    const float *logprobs; /* (len - from): of ids[from], ... each after all ids before it; NaN
                              where the model's logits are not finite */
};

struct pl_gauge_opts {
    const struct pl_weights *weights; /* borrowed: must live longer */
    size_t positions;                 /* tokens of the longest sequence */
    size_t rows;                      /* tokens in a step */
    size_t sequences;                 /* in the queue */
    size_t logits_bytes;              /* for logits; at least a row's are taken */
    /* A sequence is done: what it is given is borrowed for the call. Below 0 ends add or finish. */
    int (*done)(void *at, const struct pl_scored *scored, struct pl_error *err);
    void *at;
};

struct pl_gauge_plan {
    size_t kv_bytes, acts_bytes, logits_bytes, other_bytes;
    size_t total_bytes; /* of the above; the weights are there already */
};

/* PL_EINVAL: an option is 0 or too large to add up. */
int pl_gauge_plan(const struct pl_gauge_opts *opts, struct pl_gauge_plan *ret_plan,
                  struct pl_error *err);

struct pl_gauge;

/* Errors as of the plan; PL_ENOMEM. Ended with pl_gauge_destroy(). */
int pl_gauge_create(const struct pl_gauge_opts *opts, struct pl_gauge **ret_gauge,
                    struct pl_error *err);
void pl_gauge_destroy(struct pl_gauge *gauge); /* NULL is fine; what is queued is forgotten */

/*
 * Queue a sequence, whose ids are copied, and compute while there is enough for a whole step.
 * 1 <= from <= len: the first token has nothing before it. PL_EINVAL: an id is not below V, `from`
 * is out of range, or it is longer than `positions`; nothing was added. PL_ENOMEM; done's errors.
 */
int pl_gauge_add(struct pl_gauge *gauge, const uint32_t *ids, size_t len, size_t from, uint64_t tag,
                 struct pl_error *err);

/* Compute all that is queued. done's errors. */
int pl_gauge_finish(struct pl_gauge *gauge, struct pl_error *err);

#endif
