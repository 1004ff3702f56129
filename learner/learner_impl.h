/*
 * What the learner's loop (learner.c), its waiting (wait.c), its reading of batches (take.c) and
 * its checkpoints (saving.c) share. One thread owns it.
 */
#ifndef PL_LEARNER_LEARNER_IMPL_H
#define PL_LEARNER_LEARNER_IMPL_H

#include "common/app/daemon.h"
#include "common/app/metrics.h"
#include "common/base/check.h"
#include "common/link/missing.h"
#include "common/text/tokenizer.h"
#include "learner/best.h"
#include "learner/feed.h"
#include "learner/identity.h"
#include "learner/models.h"
#include "learner/presence.h"
#include "learner/report.h"
#include "learner/savepoint.h"
#include "learner/shown.h"
#include "learner/trust.h"
#include "learner/update.h"
#include "learner/versions.h"

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
    struct pl_identity identity;
    struct pl_presence *presence;
    struct pl_stop stop;
    struct pl_savepoint point; /* step: batches trained; accuracy: of the last one */
    uint64_t saved;            /* step of the last checkpoint */
    uint64_t retired;          /* batches before it have gone from Redis */
    uint64_t held_bytes;       /* of groups in Redis that are trained or reported */
    uint64_t *evals_reported;  /* since the last checkpoint, with which they are retired */
    size_t reported_count, reported_cap;
    size_t incomplete;        /* evaluations that could not be made, since this start */
    uint64_t incomplete_step; /* of the last of them */
    uint64_t dropped;
    bool leaves;                    /* it ends for an error */
    bool torn;                      /* an update ended half way: its weights are of no step */
    bool room_unknown;              /* this user may not ask how much memory Redis has */
    double saved_at;                /* when the last checkpoint was written, or this start */
    double save_s;                  /* what checkpoints took since the last line of metrics */
    double asked_s;                 /* when it first saw that it is to stop; 0: not yet */
    double unpark_at, unpark_pause; /* when parked groups are put back; 0: none is */
    double books_at;                /* when the ledger was looked at last */
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

/* ---- waiting (wait.c) ---- */

/*
 * The batch of this step; what is missing is fed until it comes. PL_ECANCELED: it is to stop.
 * PL_EINVAL: another learner has taken the run.
 */
int pl_learner_wait_batch(struct pl_learner *l, struct pl_ready *ret_ready, double *ret_wait_s,
                          struct pl_error *err);
/* The same of evaluations, until at most `most` are left, and none before step `oldest`. */
int pl_learner_wait_evals(struct pl_learner *l, size_t most, uint64_t oldest, struct pl_error *err);
/* What Redis holds and what is said of it agree again: now and then, with `all` whatever there is.
 */
int pl_learner_keep_books(struct pl_learner *l, bool all, struct pl_error *err);
/* After a call failed with PL_EFULL: a checkpoint, if that frees anything; else a pause. */
int pl_learner_make_room(struct pl_learner *l, struct pl_error *err);

/* ---- reading (take.c) ---- */

void pl_learner_log_ready(const struct pl_ready *ready);
/* pl_queues_take(), of a batch all of whose scores are there. */
int pl_learner_take(struct pl_learner *l, const char *name, uint64_t wait_ms,
                    struct pl_ready *ret_ready, struct pl_error *err);
uint64_t pl_learner_bytes_of(const struct pl_ready *ready);
/* Report evaluations that are complete. */
int pl_learner_take_evals(struct pl_learner *l, uint64_t wait_ms, struct pl_error *err);
/* The batch of this step, read. In latest mode none of it is too old: what is, is made once more
 * and waited for. */
int pl_learner_take_rollouts(struct pl_learner *l, struct pl_ready *ret_ready,
                             struct pl_rollouts *ret_rollouts, struct pl_report_step *report,
                             struct pl_error *err);
/* Recorded against computed log-probabilities at the version that sampled: a part of them now, each
 * in its turn, or (update.own) all while they are learnt. */
void pl_learner_difference(struct pl_learner *l, const struct pl_rollouts *rollouts,
                           uint64_t version, struct pl_update_difference *difference);
void pl_learner_write_rollouts(struct pl_learner *l, const char *name,
                               const struct pl_rollouts *rollouts);

/* ---- checkpoints (saving.c) ---- */

/* Until the disk of run.dir has room for so much: older checkpoints go, then it waits, and says so.
 * PL_EIO: it is to stop, and there is no room. */
int pl_learner_wait_room(struct pl_learner *l, uint64_t bytes, const char *what,
                         struct pl_error *err);
/* Whether a checkpoint would let anything go from Redis. */
bool pl_learner_holds(const struct pl_learner *l);
bool pl_learner_save_is_due(struct pl_learner *l);
int pl_learner_note_reported(struct pl_learner *l, uint64_t step, struct pl_error *err);
/*
 * The checkpoint of the last finished step, if it is not there yet; what it contains, and what was
 * reported before it, goes from Redis. Errors of writing: the last checkpoint is as it was.
 */
int pl_learner_save(struct pl_learner *l, struct pl_error *err);

#endif
