/*
 * What of a batch is not there yet, and where it is: for the sentence that a learner says while it
 * waits. Read, never written; the commands are not one transaction.
 */
#ifndef PL_LINK_MISSING_H
#define PL_LINK_MISSING_H

#include "common/link/queues.h"

enum pl_missing_place {
    PL_MISSING_QUEUED,  /* a prompt that nobody holds */
    PL_MISSING_HELD,    /* by an actor */
    PL_MISSING_ROLLED,  /* a rollout that no rewarder holds */
    PL_MISSING_SCORING, /* held by a rewarder */
    PL_MISSING_PARKED,  /* it failed too often, and waits to be put back */
    PL_MISSING_UNFED,   /* lost, or refused and not fed again yet */
    PL_MISSING_PLACES,
};

struct pl_missing_group {
    char group[48];    /* "12:3" */
    char worker[80];   /* who holds it; "": nobody */
    char reason[256];  /* parked: why */
    uint64_t queued_s; /* since it was put where it is, by the clock of Redis */
    uint64_t silent_s; /* held: since its holder last took or renewed it */
};

struct pl_missing {
    char
        state[16]; /* of the batch: "open", "complete" (its gate waits for the one before), "ready";
                      "": it is not there */
    size_t expected, scored, dropped;
    size_t counts[PL_MISSING_PLACES];
    struct pl_missing_group first[PL_MISSING_PLACES]; /* the one that is there longest */
};

int pl_missing_look(struct pl_queues *stream, const char *batch, struct pl_missing *ret_missing,
                    struct pl_error *err);

/* Workers with a heartbeat. */
int pl_missing_workers(struct pl_queues *stream, size_t *ret_actors, size_t *ret_rewarders,
                       struct pl_error *err);

#endif
