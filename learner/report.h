/*
 * What a step leaves for people and programs: a line of metrics.jsonl and an entry of the stream
 * `metrics` by verl's names, and the rollouts as JSON lines with their rewards.
 */
#ifndef PL_LEARNER_REPORT_H
#define PL_LEARNER_REPORT_H

#include "common/app/metrics.h"
#include "common/link/queues.h"
#include "common/text/tokenizer.h"
#include "learner/refill.h"
#include "learner/rollouts.h"
#include "learner/stale.h"
#include "learner/trust.h"
#include "learner/update.h"

struct pl_report_step {
    uint64_t step; /* steps done, this one included */
    uint64_t epoch;
    const struct pl_rollouts *rollouts;
    const struct pl_update_stats *update;
    struct pl_refill refill;                /* all 0 where there are no spare prompts */
    double previous;                        /* accuracy before */
    struct pl_update_difference difference; /* recorded against computed; tokens 0: not measured */
    double correction_difference; /* the most that a correction lies between; NaN: none does */
    double wait_s, publish_s, save_s, step_s, kl_coef;
    size_t staleness;
    const struct pl_staleness *ages; /* latest mode; else NULL */
    size_t staleness_max;
    size_t evicted; /* samples that were too old and were made once more */
    uint64_t dropped;
    struct pl_trust_audit audit; /* all 0 where there was none */
};

int pl_report_train(struct pl_metrics *metrics, struct pl_queues *stream,
                    const struct pl_report_step *step, struct pl_error *err);

/* An evaluation: val-core/<source>/acc/mean@N and its like, by source and by level. */
int pl_report_val(struct pl_metrics *metrics, struct pl_queues *stream, uint64_t step,
                  const struct pl_rollouts *rollouts, struct pl_error *err);

/* One some of whose groups are missing: how many, and no figure. */
int pl_report_val_incomplete(struct pl_metrics *metrics, struct pl_queues *stream, uint64_t step,
                             size_t missing, struct pl_error *err);

/* DIR/rollouts/<name>.jsonl, whole or not at all: one line a sample. */
int pl_report_rollouts(const char *dir, const char *name, const struct pl_rollouts *rollouts,
                       const struct pl_tokenizer *tokenizer, struct pl_error *err);

/* Leave the `most` newest of them. */
int pl_report_prune(const char *dir, size_t most, struct pl_error *err);

#endif
