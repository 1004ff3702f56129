/*
 * What the learner's loop (learner.c), its waiting (wait.c), its reading of batches (take.c) and
 * its checkpoints (saving.c) share. One thread owns it.
 */
#ifndef PL_LEARNER_LEARNER_IMPL_H
#define PL_LEARNER_LEARNER_IMPL_H

#include "common/app/daemon.h"
#include "common/app/metrics.h"
#include "common/text/tokenizer.h"
#include "learner/best.h"
#include "learner/feed.h"
#include "learner/models.h"
#include "learner/report.h"
#include "learner/savepoint.h"
#include "learner/shown.h"
#include "learner/trust.h"
#include "learner/update.h"
#include "learner/versions.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PL_LEARNER_WAIT_MS = 200 };

struct pl_learner {
    struct pl_daemon *daemon;
    const struct pl_run_conf *conf;
    struct pl_rundir dir;
    struct pl_tokenizer *tokenizer;
    struct pl_models models;
    struct pl_prompts train, val;
    struct pl_queues *stream;
    struct pl_feeder feeder;
    struct pl_trust trust;
    struct pl_keys *keys; /* NULL: none */
    struct pl_versions versions;
    struct pl_best best;
    struct pl_metrics *metrics;
    struct pl_shown *shown; /* NULL: there is no window */
    struct pl_update update;
    json_t *agree;
    struct pl_savepoint point;             /* step: batches trained; accuracy: of the last one */
    uint64_t saved;                        /* step of the last checkpoint */
    uint64_t evals_reported[PL_EVALS_MAX]; /* to be retired with the next checkpoint */
    size_t reported_count;
    uint64_t dropped;
    double save_s;  /* what checkpoints took since the last line of metrics */
    double asked_s; /* when it first saw that it is to stop; 0: not yet */
};

double pl_learner_seconds(void); /* monotonic */

/* ---- feeding (wait.c) ---- */

/* Everything that may be sampled by now: batches up to step + staleness, evaluations not yet in. */
uint64_t pl_learner_feed_end(const struct pl_learner *l);
int pl_learner_feed(struct pl_learner *l, size_t *ret_new, struct pl_error *err);
struct pl_trust_open pl_learner_open_work(const struct pl_learner *l);
/* Nothing of what is not trained yet stays that actors in quarantine made or hold. */
int pl_learner_sweep(struct pl_learner *l, struct pl_error *err);

bool pl_learner_eval_is_due(const struct pl_learner *l, uint64_t step);
/* The policy after so many steps: not, when it is the last one and nothing evaluates it. */
bool pl_learner_is_sampled_with(const struct pl_learner *l, uint64_t step);
/* Evaluate the policy as it is now. */
void pl_learner_add_eval(struct pl_learner *l);
bool pl_learner_is_latest(const struct pl_learner *l);

/* The batch of this step; what is missing is fed until it comes. */
int pl_learner_wait_batch(struct pl_learner *l, struct pl_ready *ret_ready, double *ret_wait_s,
                          struct pl_error *err);

/* ---- reading (take.c) ---- */

void pl_learner_log_ready(const struct pl_ready *ready);
/* Report evaluations that are complete. */
int pl_learner_take_evals(struct pl_learner *l, uint64_t wait_ms, struct pl_error *err);
/* The batch of this step, read. In latest mode none of it is too old: what is, is made once more
 * and waited for. */
int pl_learner_take_rollouts(struct pl_learner *l, struct pl_ready *ret_ready,
                             struct pl_rollouts *ret_rollouts, struct pl_report_step *report,
                             struct pl_error *err);
/* Recorded against computed log-probabilities, at the version that sampled. NaN: it is gone. */
double pl_learner_difference(struct pl_learner *l, const struct pl_rollouts *rollouts,
                             uint64_t version);

/* ---- checkpoints (saving.c) ---- */

/* Evaluations that are reported, and the checkpoint says so. */
int pl_learner_retire_evals(struct pl_learner *l, struct pl_error *err);
int pl_learner_save(struct pl_learner *l, struct pl_error *err);

#endif
