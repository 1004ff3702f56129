/*
 * What a rewarder shows of itself (common/app/meters.h). All of it is nothing where there is no
 * window.
 */
#ifndef PL_REWARDER_SHOWN_H
#define PL_REWARDER_SHOWN_H

#include "common/app/meters.h"
#include "common/link/queues.h"
#include "proto/rollout.h"
#include "rewarder/desk.h"

enum { PL_REWARDER_OUTCOMES = PL_OUTCOMES };

struct pl_rewarder_shown {
    struct pl_meter *deliveries[PL_REWARDER_OUTCOMES], *buried;
    struct pl_meter *refused, *unverified;
    struct pl_meter *groups, *verdicts[PL_VERDICT_UNPARSED + 1];
    struct pl_meter *verify; /* histogram */
    struct pl_meters *meters;
    struct pl_meter *accepted, *rejected; /* at the desk's door */
    const struct pl_desk *desk;           /* NULL: there is none, or it has no keys */
};

/* `meters` may be NULL. */
void pl_rewarder_shown_make(struct pl_rewarder_shown *shown, struct pl_meters *meters);

/* A group was scored, and committed with this outcome. Threads: any. */
void pl_rewarder_shown_group(struct pl_rewarder_shown *shown, const struct pl_rollout_group *group,
                             enum pl_outcome outcome);

/* From now on also who came to a desk with keys, until it is forgotten; it must live as long. */
void pl_rewarder_shown_desk(struct pl_rewarder_shown *shown, const struct pl_desk *desk);
void pl_rewarder_shown_forget(struct pl_rewarder_shown *shown);

#endif
