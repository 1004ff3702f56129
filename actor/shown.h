/*
 * What an actor shows of itself (common/app/meters.h): groups and tokens handed over, how long they
 * waited and took, its weights, its leases. All of it is nothing where there is no window.
 */
#ifndef PL_ACTOR_SHOWN_H
#define PL_ACTOR_SHOWN_H

#include "common/app/meters.h"
#include "common/link/bcast.h"
#include "common/link/queues.h"
#include "proto/rollout.h"

enum { PL_ACTOR_OUTCOMES = PL_OUTCOMES };

struct pl_actor_shown {
    struct pl_meters *meters;
    struct pl_meter *deliveries[PL_ACTOR_OUTCOMES], *buried;
    struct pl_meter *rollouts_stop, *rollouts_length, *tokens, *tokens_rate;
    struct pl_meter *wait, *generate; /* histograms */
    struct pl_meter *leases, *lost, *returned, *quarantined;
    struct pl_meter *version, *install; /* of the weights */
    struct pl_meter *snapshots, *deltas, *bytes, *refused, *forged, *retries, *fetch;
    const struct pl_weights_sink *sink;
};

/* `meters` may be NULL. */
void pl_actor_shown_make(struct pl_actor_shown *shown, struct pl_meters *meters);

/* From now on also what the sink counts, until it is forgotten; it must live as long. */
void pl_actor_shown_sink(struct pl_actor_shown *shown, const struct pl_weights_sink *sink);
void pl_actor_shown_forget(struct pl_actor_shown *shown);

/* A group was handed over; `tokens` are those of its samples. */
void pl_actor_shown_group(struct pl_actor_shown *shown, const struct pl_rollout_group *group,
                          size_t tokens, enum pl_outcome outcome);

#endif
