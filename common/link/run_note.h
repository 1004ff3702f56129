/*
 * What stands in Redis of the run itself, for everybody who takes part in it: the hash `run`.
 *
 *   run_id, life       which run, and which life of it (proto/life.h)
 *   base               from where this life began: "<life>:<step>" of its checkpoint, "0:0" without
 *   agree_sha256       of all that must agree; another one: look at `settings` again
 *   settings           "name: value" lines of what roles depend on, by the learner
 *   dir, host          the learner's folder
 *   build, blas        the learner's
 *   by                 what stood in the key `learner` when it was written
 *   state, step, why   of the learner
 *   saved_step         of its newest checkpoint; 0: it has none yet
 *
 * The learner writes it when it starts. Actors and rewarders compare their own lines with it, when
 * they connect and whenever life or agree_sha256 are others, and take no work before.
 */
#ifndef PL_LINK_RUN_NOTE_H
#define PL_LINK_RUN_NOTE_H

#include "common/base/err.h"
#include "common/link/queues.h"
#include "proto/life.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_run_note {
    bool there;          /* run_id and life are */
    bool used;           /* a learner was here, of a plait that notes no run_id perhaps */
    struct pl_life life; /* what follows is "" where it is not there */
    char base[64], agree[65], state[24];
    char *dir, *host, *settings; /* from malloc(), never NULL */
    uint64_t step, saved_step;
    bool current; /* written by the learner that is at work now */
};

/* PL_EFORMAT: run_id is no id. PL_ENOMEM; errors of pl_queues_recall(). Ended with
 * pl_run_note_release(). */
int pl_run_note_read(struct pl_queues *stream, struct pl_run_note *ret_note, struct pl_error *err);
void pl_run_note_release(struct pl_run_note *note); /* zeroed is fine */

struct pl_run_said {
    const struct pl_life *life;
    const char *base, *agree, *settings, *dir, *blas;
};
int pl_run_note_write(struct pl_queues *stream, const struct pl_run_said *said,
                      struct pl_error *err);

/*
 * The first of `lines` ("name: value") that `settings` has with another value; what settings does
 * not have is not compared. False: there is none; else `why` says both.
 */
bool pl_run_note_differs(const char *settings, const char *lines, char *why, size_t size);

/* ---- a role's part ---- */

/* One that belongs to a run as long as it agrees with it. */
struct pl_member {
    const char *lines;   /* its own, borrowed */
    struct pl_life life; /* of the run, once it agrees; its run_id is "" before */
    char agree[65];
    char why[512]; /* why it waits; "": it does not */
};

/*
 * Look at what Redis says of the run; where it has lost that, all stays as it was. PL_OK: `why` is
 * "" and life is the run's, which may be another one than before; or it is to wait, and take no
 * work: there is no run yet, or its learner is not at work and had other settings. PL_EINVAL: a
 * learner is at work, and the settings are others; the sentence names the first that differs.
 * Errors of pl_run_note_read().
 */
int pl_member_look(struct pl_member *member, struct pl_queues *stream, struct pl_error *err);

#endif
