/*
 * The folder of a training run.
 *
 *   DIR/metrics.jsonl
 *   DIR/checkpoints/global_step_N/   a model folder with its trainer's state (state.h), and
 *                                    checksums of all that (checksums.h)
 *   DIR/checkpoints/latest           "global_step_N": where the run goes on
 *   DIR/model/                       the result, once there is one
 *   DIR/plait.lock                   locked by the process at work here
 *
 * Always, whenever a process or the machine dies: a folder or file is under its name whole or not
 * at all, and `latest` names a checkpoint that is there. What a dead process left aside ends in
 * ".tmp" and goes away by itself.
 */
#ifndef PL_LEARNER_RUNDIR_H
#define PL_LEARNER_RUNDIR_H

#include "common/base/err.h"
#include "common/model/outdir.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_rundir {
    char *path;
    int lock;      /* descriptor of plait.lock */
    bool unlocked; /* the file system has no locks: two processes may be at work, unseen */
};

/*
 * Whether a run may begin or go on in `path`, before anything costly is done; changes nothing.
 * PL_EINVAL: `resume` is false and something is there already; or it is true and what is there is
 * not the folder of a run. A folder that is not there or empty is fine in both cases.
 */
int pl_rundir_check(const char *path, bool resume, struct pl_error *err);

/*
 * The same, then make the folder and lock it, until pl_rundir_close() or the process ends.
 * PL_EINVAL as above, or another process holds the lock. PL_EIO, PL_ENOMEM.
 */
int pl_rundir_open(const char *path, bool resume, struct pl_rundir *ret_dir, struct pl_error *err);
void pl_rundir_close(struct pl_rundir *dir); /* zeroed or closed is fine */

/*
 * Path of the checkpoint that `latest` names, NULL when there is none yet; ended with free().
 * Without that file the one checkpoint that is there counts. PL_EFORMAT: the file names none, or
 * one that is not there; or it is gone and there are several. PL_EIO, PL_ENOMEM.
 */
int pl_rundir_latest(const char *path, char **ret_checkpoint, struct pl_error *err);

/* Begin the checkpoint of a step: files go into ret_out->tmp. One that is there is replaced.
 * PL_EIO, PL_ENOMEM. */
int pl_rundir_begin(const struct pl_rundir *dir, uint64_t step, struct pl_outdir *ret_out,
                    struct pl_error *err);

/* Put it in its place, with checksums, and make it the latest. PL_EIO, PL_ENOMEM: `latest` is as it
 * was. */
int pl_rundir_commit(const struct pl_rundir *dir, uint64_t step, struct pl_outdir *out,
                     struct pl_error *err);

/*
 * Remove all but the `keep` last checkpoints up to `step` (0: keep all), and what dead processes
 * left aside. Later ones stay: they are of a run that was set back by hand. PL_EIO, PL_ENOMEM.
 */
int pl_rundir_prune(const struct pl_rundir *dir, uint64_t step, size_t keep, struct pl_error *err);

#endif
