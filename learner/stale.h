/*
 * Latest mode: how old what was sampled is, and what is too old to be trained.
 *
 *   staleness of a sample = version that trains - version that drew its oldest token, at least 0
 *
 * (a learner that went back to a checkpoint may meet versions that it has not come to yet: their
 * log-probabilities are as good). A group of which a sample is older than rollout.staleness_max is
 * made once more: it counts as dropped, with the reason "stale", and as fed.
 */
#ifndef PL_LEARNER_STALE_H
#define PL_LEARNER_STALE_H

#include "learner/feed.h"
#include "learner/rollouts.h"

enum { PL_STALENESS_MAX = 8 }; /* the most that rollout.staleness_max may be */

struct pl_staleness {
    size_t samples, least, most;
    double mean;
    size_t counts[PL_STALENESS_MAX + 1]; /* samples of each; none is over */
};

/* Of samples none of which is too old. `version`: the one that trains. */
void pl_staleness_of(const struct pl_rollouts *rollouts, uint64_t version,
                     struct pl_staleness *ret_staleness);

/*
 * Have those groups of batch `batch`, just taken, made once more that have a token of a version
 * below `least`. *ret_groups, *ret_samples: how many these are; with any, the batch is open again.
 * Errors of pl_queues_redo().
 */
int pl_stale_redo(struct pl_feeder *feeder, uint64_t batch, const struct pl_ready *ready,
                  const struct pl_rollouts *rollouts, uint64_t least, size_t *ret_groups,
                  size_t *ret_samples, struct pl_error *err);

#endif
