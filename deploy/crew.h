/*
 * The crew of a run on one machine: redis-server, rewarders, the learner, actors, as children of
 * one process. What dies is started again, a little later each time; what dies again and again ends
 * the run, because it would not get better.
 *
 * Children are in process groups of their own, so that Ctrl-C reaches only the parent, and end with
 * it whatever happens to it. Their logs are DIR/logs/<name>.log.
 */
#ifndef PL_DEPLOY_CREW_H
#define PL_DEPLOY_CREW_H

#include "common/app/run_conf.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PL_CREW_MAX = 256 };

struct pl_member {
    char name[64];
    char *program;
    char **argv;               /* NULL terminated */
    char *word;                /* the one of argv that is the member's own */
    pid_t pid;                 /* 0: not running */
    double started_s, again_s; /* again_s: when it is to be started again */
    unsigned deaths;           /* within the last minute of running */
    unsigned restarts;
    bool once; /* the learner: its end is the run's */
};

struct pl_crew {
    const struct pl_run_conf *conf;
    const char *config; /* file */
    char *const *assignments;
    size_t assignment_count;
    struct pl_member members[PL_CREW_MAX];
    size_t count;
    bool redis; /* members[0] is redis-server */
};

/* Find the programs, make folders. PL_ENOENT: a program is missing. PL_EIO, PL_ENOMEM. */
int pl_crew_init(struct pl_crew *crew, const struct pl_run_conf *conf, const char *config,
                 char *const *assignments, size_t assignment_count, struct pl_error *err);
void pl_crew_release(struct pl_crew *crew);

/* Start all; Redis first, and waits until it answers. */
int pl_crew_start(struct pl_crew *crew, struct pl_error *err);

/*
 * Look after them, without waiting. *ret_over: the learner is done. PL_EIO: a member died too
 * often, or the learner failed for good; its log is named.
 */
int pl_crew_tend(struct pl_crew *crew, bool *ret_over, struct pl_error *err);

/* SIGTERM to all but Redis, wait up to `seconds`, SIGKILL to the rest, then Redis. */
void pl_crew_stop(struct pl_crew *crew, double seconds);

#endif
