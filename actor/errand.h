/*
 * Errands: the groups an actor has leased, between its I/O thread and its engine. A list under one
 * lock.
 */
#ifndef PL_ACTOR_ERRAND_H
#define PL_ACTOR_ERRAND_H

#include "actor/lineage.h"
#include "common/link/queues.h"
#include "proto/rollout.h"

#include <pthread.h>
#include <stdbool.h>

enum pl_errand_state {
    PL_ERRAND_LEASED,
    PL_ERRAND_RUNNING,
    PL_ERRAND_DONE,
    PL_ERRAND_REFUSED, /* its weights do not come, or its life of the run is over: to be given back
                        */
};

struct pl_errand {
    struct pl_errand *next;
    enum pl_errand_state state; /* under the lock */
    bool begun; /* under the lock: the queues know that it is computed, so that it may be */
    struct pl_lease lease;
    struct pl_rollout_group group; /* leased: stage prompt; done: stage rollout */
    void *rollouts;                /* memory of what was made */
    double leased_s, started_s;    /* of CLOCK_MONOTONIC */
    struct pl_job *job;            /* running: the engine's */
    struct pl_lineage lineage;     /* of `newest`: what older versions drew */
};

struct pl_errands {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something was leased or done, or it is to stop */
    struct pl_errand *first;
    uint64_t changes;      /* how often `changed` was signalled */
    size_t count, samples; /* not yet done: groups and their samples */
    bool stop;             /* no more will be leased */
    bool failed;           /* one of the two sides gave up */
    bool leave;            /* what runs is not to be finished */
    bool asking;           /* something could run if the queues knew of it */
};

void pl_errands_init(struct pl_errands *errands);
void pl_errands_release(struct pl_errands *errands); /* and all that is in it */

void pl_errands_add(struct pl_errands *errands, struct pl_errand *errand); /* takes it over */

/* Whether the entry of a lease is in it already. */
bool pl_errands_has(struct pl_errands *errands, const struct pl_lease *lease);

/* A group is pinned to one version, or wants the newest: any from its least one on will do, also
 * while it is sampled. */

/* The first leased one that a version of this life will do for and of which the queues know that it
 * is begun, now running; NULL: there is none. `pinned`: only what is pinned to it. Where there are
 * others that the version will do for, pl_errands_asking() says so, and the I/O thread is told. */
struct pl_errand *pl_errands_begin(struct pl_errands *errands, const struct pl_life *life,
                                   uint64_t version, bool pinned);
bool pl_errands_asking(struct pl_errands *errands);

/* What the I/O thread does then: for each leased one that a version will do for and that is not
 * begun yet, in turn, pl_errands_begun() or pl_errands_drop(); at the end NULL, and nobody asks. */
struct pl_errand *pl_errands_unbegun(struct pl_errands *errands, uint64_t version);
void pl_errands_begun(struct pl_errands *errands, struct pl_errand *errand);

/* Whether something leased is not begun yet. */
bool pl_errands_waiting(struct pl_errands *errands);

/* The least version after `after` that something leased is pinned to; the least of all where there
 * is no such, 0 where nothing leased is pinned. */
uint64_t pl_errands_version(struct pl_errands *errands, uint64_t after);

/* The least version that will do for something leased that wants the newest; 0: there is none. */
uint64_t pl_errands_least(struct pl_errands *errands);

/* Whether anything pinned is leased or running. */
bool pl_errands_pinned(struct pl_errands *errands);

/* Refuse what is leased and a version would do for. How many these are. */
size_t pl_errands_refuse(struct pl_errands *errands, uint64_t version);

/*
 * What is of another life of the run than `life` is of no use. What is leased is refused; then what
 * runs, one by one: its job, which the caller ends; NULL: none of it does any more.
 */
struct pl_job *pl_errands_outlived(struct pl_errands *errands, const struct pl_life *life);

void pl_errands_done(struct pl_errands *errands, struct pl_errand *errand);

/* Take one out of the list that is in `state`, NULL: none. The caller ends it. */
struct pl_errand *pl_errands_take(struct pl_errands *errands, enum pl_errand_state state);
void pl_errand_destroy(struct pl_errand *errand);

/* End one whose lease is another's by now, unless it is begun: false. */
bool pl_errands_drop(struct pl_errands *errands, struct pl_errand *errand);

/* No more will be leased; `failed`: a side gave up. */
void pl_errands_stop(struct pl_errands *errands, bool failed);

/* What runs is given back instead of being finished. */
void pl_errands_leave(struct pl_errands *errands);

/* Something changed that is not in it. */
void pl_errands_tell(struct pl_errands *errands);

/* Wait up to `ms` for a change after pl_errands_changes() gave `seen`. */
uint64_t pl_errands_changes(struct pl_errands *errands);
void pl_errands_wait(struct pl_errands *errands, uint64_t seen, unsigned ms);

#endif
