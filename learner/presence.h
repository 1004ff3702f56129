/*
 * The learner as others see it in Redis, kept up by a small thread with a connection of its own,
 * so that it is seen in long steps too:
 *
 *   learner         who the run's learner is (pl_queues_claim_run())
 *   worker:<name>   its heartbeat: phase, phase_since_ms, step, saved_step, saved_ms, why, and
 *                   `beat`, which grows as long as the learner does anything at all
 *   run             `why`: one sentence when the learner makes no progress, else ""
 *
 * The functions below are the learner's thread's; they wait for nobody.
 */
#ifndef PL_LEARNER_PRESENCE_H
#define PL_LEARNER_PRESENCE_H

#include "common/app/run_conf.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { PL_PRESENCE_WHY_MAX = 512 };

struct pl_presence;

struct pl_presence_opts {
    const struct pl_run_conf *conf;
    const char *name;       /* of the worker */
    const char *redis;      /* URL */
    bool (*stop)(void *at); /* asked while another learner is watched, by the caller's thread */
    void *at;
    uint64_t claim_ms, beat_ms; /* 0: 10 s, 1 s */
};

/*
 * Become the run's learner, and begin to beat. One that died is recognised at once on its own host,
 * and elsewhere when its claim ends. PL_EINVAL: another learner is at work for this run; the
 * sentence says which. PL_ECANCELED: stop said so. Errors of pl_queues_open(). Ended with
 * pl_presence_close(), which gives the run up.
 */
int pl_presence_open(const struct pl_presence_opts *opts, struct pl_presence **ret_presence,
                     struct pl_error *err);
void pl_presence_close(struct pl_presence *presence); /* NULL is fine */

/* "starting", "waiting", "training", "publishing", "saving", "evaluating", "finished". NULL
 * presences are fine, here and below. */
void pl_presence_phase(struct pl_presence *presence, const char *phase);
void pl_presence_step(struct pl_presence *presence, uint64_t step);
void pl_presence_saved(struct pl_presence *presence, uint64_t step); /* just now */
void pl_presence_why(struct pl_presence *presence, const char *why); /* "": it makes progress */

/* PL_EINVAL: another learner has taken the run, while this one did not answer for long; it must
 * leave, and write nothing more. */
int pl_presence_check(struct pl_presence *presence, struct pl_error *err);

#endif
