/*
 * The crew of a run on one machine: redis-server, rewarders, the learner, actors, as children of
 * one process, which alone is at work in the run's folder (run_lock.h).
 *
 * What dies is started again, a little later each time, but for two things that another start would
 * not mend: a program that ends with status 2 has said what a person must change; and a learner (or
 * Redis) that dies again and again without a step between makes no progress. Both end the run, with
 * the program's own sentence. An actor or a rewarder that dies again and again ends nothing: others
 * may do its work, and the learner waits, trains or saves meanwhile. It is started every minute.
 *
 * A learner is never killed while it does anything: what it has trained since its last checkpoint
 * would be lost. It is asked to stop and waited for.
 *
 * Children are in process groups of their own, so that Ctrl-C reaches only the parent, and are
 * asked to stop when it ends, whatever ends it. Their logs are DIR/logs/<name>.log (crew_log.h).
 */
#ifndef PL_DEPLOY_CREW_H
#define PL_DEPLOY_CREW_H

#include "common/app/run_conf.h"
#include "common/base/err.h"
#include "deploy/run_lock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PL_CREW_MAX = PL_RUN_CHILDREN_MAX };

enum pl_crew_role { PL_CREW_REDIS, PL_CREW_LEARNER, PL_CREW_REWARDER, PL_CREW_ACTOR };

struct pl_member {
    enum pl_crew_role role;
    char name[64], program[32]; /* "actor-1", "plait-actor" */
    char *path;                 /* of the program */
    char **argv;                /* NULL terminated */
    char *word, *log;           /* the one of argv that is the member's own; its log */
    pid_t pid;                  /* 0: not running */
    uint64_t started;           /* crew_process.h */
    uint64_t logged;            /* bytes of its log when it was started */
    double started_s, again_s;  /* again_s: when it is to be started again */
    unsigned deaths;            /* in a row: without a minute of life, or a step, between */
    unsigned restarts;
    uint64_t died_at; /* the learner: progress of the run at its last death */
};

struct pl_crew {
    const struct pl_run_conf *conf;
    const char *config; /* file */
    char *const *assignments;
    size_t assignment_count;
    /* A sentence for a person; and what the learner does, "saving for 3 s", "" for not known, may
     * take a second. Set by the owner before the start; NULL: nobody listens, or knows. */
    void (*say)(void *at, const char *sentence);
    void (*doing)(void *at, char *text, size_t size);
    void *at;
    uint64_t step; /* the newest that was seen in the metrics; the owner sets it */
    struct pl_run_lock lock;
    struct pl_run_child left[PL_RUN_CHILDREN_MAX]; /* by a supervisor that was killed */
    size_t left_count;
    struct pl_member members[PL_CREW_MAX];
    size_t count;
    bool redis; /* members[0] is redis-server */
    double bounded_s;
};

/*
 * Take the run's lock, make its folders, find the programs; nothing is started and no file of
 * another process touched. PL_EINVAL: another plait up is at work there, or the folder is not that
 * of a run. PL_ENOENT: a program is missing. PL_EIO, PL_ENOMEM. Ended with pl_crew_release() in any
 * case.
 */
int pl_crew_init(struct pl_crew *crew, const struct pl_run_conf *conf, const char *config,
                 char *const *assignments, size_t assignment_count, struct pl_error *err);
void pl_crew_release(struct pl_crew *crew);

/*
 * Start all, Redis first; before that what an earlier plait up left is waited for, however long it
 * takes. PL_ECANCELED: a signal asked to stop. PL_EINVAL: somebody else's learner is at work here.
 * PL_EIO, PL_ENOMEM.
 */
int pl_crew_start(struct pl_crew *crew, struct pl_error *err);

/*
 * Look after them, without waiting. *ret_over: the learner is done, and the model is that of the
 * last step. PL_EINVAL: a member ended with status 2; PL_EIO: one died too often. The sentence has
 * what it said.
 */
int pl_crew_tend(struct pl_crew *crew, bool *ret_over, struct pl_error *err);

/* A line for a screen about members that die again and again; false: there are none. */
bool pl_crew_trouble(const struct pl_crew *crew, char *text, size_t size);

/*
 * SIGTERM to all but Redis, and wait: for the learner as long as it does anything, for the others
 * as long as they may drain, or for some seconds where `in_vain`; then Redis. PL_EIO: the learner
 * ended with an error; the sentence has it.
 */
int pl_crew_stop(struct pl_crew *crew, bool in_vain, struct pl_error *err);

/* The step of the last checkpoint, 0: there is none. */
uint64_t pl_crew_saved(const struct pl_crew *crew);

#endif
