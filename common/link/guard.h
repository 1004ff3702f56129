/*
 * Who is not to be believed: groups that are not what was asked for, actors that are quarantined.
 * As in queues.h every call is one atomic, idempotent function.
 *
 *   strikes     actor -> how many of its groups were refused
 *   quarantine  actor -> why: it is leased nothing more, what it hands over is not taken, what it
 *               holds is anybody else's, and what it made of batches that are not trained is made
 *               anew. Lifting is for people: plait quarantine lift (quarantine.h).
 *
 * An actor is its worker's name; how well that is known, Redis' users and keys (vouch.h) decide.
 */
#ifndef PL_LINK_GUARD_H
#define PL_LINK_GUARD_H

#include "common/link/queues.h"

/* For `strikes` below: it is nobody's fault, and is not counted. */
#define PL_GUARD_BLAMELESS UINT32_MAX

/* What a rollout is the answer to. */
struct pl_asked {
    char actor[80]; /* who handed it over; "" where that is not known (any more) */
    void *pb;       /* the prompt as it was fed, owned; NULL as above */
    size_t pb_len;
};
int pl_guard_asked(struct pl_queues *stream, const struct pl_lease *lease,
                   struct pl_asked *ret_asked, struct pl_error *err);
void pl_asked_release(struct pl_asked *asked); /* zeroed is fine */

/*
 * What was made of a group is not what was asked for: it goes to `dead` with the reason, counts as
 * dropped, and the group is one that the learner feeds again. With `strikes` of them, 0: never, its
 * actor is quarantined for that reason. A rewarder says so of a rollout that it has leased, the
 * learner of a scored group as pl_queues_take() gave it.
 */
int pl_guard_refuse(struct pl_queues *stream, const struct pl_lease *lease, const char *reason,
                    uint32_t strikes, struct pl_error *err);
int pl_guard_refuse_scored(struct pl_queues *stream, const char *batch,
                           const struct pl_ready_group *group, const char *reason, uint32_t strikes,
                           struct pl_error *err);

/*
 * Quarantine an actor; with an empty reason only see to it that nothing is left of one that is in
 * quarantine. `batches`: those not trained yet. *ret_leases, *ret_groups: prompts that it held, and
 * groups that are to be made anew.
 */
int pl_guard_quarantine(struct pl_queues *stream, const char *actor, const char *reason,
                        const char *const *batches, size_t count, size_t *ret_leases,
                        size_t *ret_groups, struct pl_error *err);

/* Why this worker is quarantined, at most `size` bytes of it; "": it is not. */
int pl_guard_why(struct pl_queues *stream, char *ret_reason, size_t size, struct pl_error *err);

/* Call `each` for every actor in quarantine; what it returns other than PL_OK ends it. */
int pl_guard_each(struct pl_queues *stream,
                  int (*each)(void *at, const char *actor, const char *reason,
                              struct pl_error *err),
                  void *at, struct pl_error *err);

/* Out of quarantine, its strikes forgotten. *ret_was: whether it was in it. */
int pl_guard_lift(struct pl_queues *stream, const char *actor, bool *ret_was, struct pl_error *err);

#endif
