/*
 * The lock of a run's supervisor, DIR/plait-up.lock: one `plait up` at a time is at work in a
 * folder. It is held for the life of the process that took it and inherited by no child, so that
 * whatever ends that process lets it go. (plait.lock is the learner's: it outlives a supervisor
 * that is killed.)
 *
 * The file says in words who holds it, and which children it started. When a supervisor is killed
 * its children live on for a while; the next one finds them here, each with when it was started, so
 * that a number that was given to another process since is not taken for one of them.
 */
#ifndef PL_DEPLOY_RUN_LOCK_H
#define PL_DEPLOY_RUN_LOCK_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PL_RUN_CHILDREN_MAX = 256 };

struct pl_run_child {
    char name[64], program[32]; /* "actor-1", "plait-actor" */
    pid_t pid;
    uint64_t started; /* crew_process.h */
};

struct pl_run_lock {
    int fd;
    char *path;
    char since[40]; /* when it was taken */
};

/*
 * Take it, in a folder that is there. *ret_left: the children of the one who held it last that are
 * still there, PL_RUN_CHILDREN_MAX at most. PL_EINVAL: another process holds it; the sentence says
 * who. PL_EIO: there cannot be a lock; PL_ENOMEM.
 */
int pl_run_lock_take(const char *dir, struct pl_run_lock *ret_lock, struct pl_run_child *ret_left,
                     size_t *ret_left_count, struct pl_error *err);
void pl_run_lock_release(struct pl_run_lock *lock); /* zeroed with fd -1 is fine */

/* Which children there are now. A disk that is full is no error: they are only told of. */
void pl_run_lock_note(const struct pl_run_lock *lock, const struct pl_run_child *children,
                      size_t count);

/* Whether the learner's own lock in `dir` is held; *ret_pid: by whom, 0: not known. */
bool pl_run_has_learner(const char *dir, pid_t *ret_pid);

#endif
