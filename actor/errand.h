/*
 * Errands: the groups an actor has leased, between its I/O thread and its engine. A list under one
 * lock.
 */
#ifndef PL_ACTOR_ERRAND_H
#define PL_ACTOR_ERRAND_H

#include "common/link/queues.h"
#include "proto/rollout.h"

#include <pthread.h>
#include <stdbool.h>

enum pl_errand_state { PL_ERRAND_LEASED, PL_ERRAND_RUNNING, PL_ERRAND_DONE };

struct pl_errand {
    struct pl_errand *next;
    enum pl_errand_state state; /* under the lock */
    struct pl_lease lease;
    struct pl_rollout_group group; /* leased: stage prompt; done: stage rollout */
    void *rollouts;                /* memory of what was made */
    double started_s;
};

struct pl_errands {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something was leased or done, or it is to stop */
    struct pl_errand *first;
    size_t count, samples; /* not yet done: groups and their samples */
    bool stop;             /* no more will be leased */
    bool failed;           /* one of the two sides gave up */
};

void pl_errands_init(struct pl_errands *errands);
void pl_errands_release(struct pl_errands *errands); /* and all that is in it */

void pl_errands_add(struct pl_errands *errands, struct pl_errand *errand); /* takes it over */

/* The first leased one, now running; NULL: there is none. `version`: only of that one, 0: any. */
struct pl_errand *pl_errands_begin(struct pl_errands *errands, uint64_t version);

void pl_errands_done(struct pl_errands *errands, struct pl_errand *errand);

/* Take one out of the list that is in `state`, NULL: none. The caller ends it. */
struct pl_errand *pl_errands_take(struct pl_errands *errands, enum pl_errand_state state);
void pl_errand_destroy(struct pl_errand *errand);

/* Wait up to `ms` for a change. */
void pl_errands_wait(struct pl_errands *errands, unsigned ms);

#endif
