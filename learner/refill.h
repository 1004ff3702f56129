/*
 * Refilling: prompts whose samples all have the same reward teach nothing where samples of one
 * prompt are compared with each other (DAPO's dynamic sampling: Yu et al., arXiv 2503.14476). So
 * every batch of N prompts may be sampled with some to spare, drawn by counters (prompts.h):
 *
 *   of all N + spare groups, those that teach something, in order of index, N at most, are trained;
 *   when none does, the first N
 *
 * Which they are follows from the batch alone: what is trained has the same bits whoever sampled it
 * and in whatever order it came. A spare also takes the place of a group that went to the dead. The
 * accuracy that the gate compares is of all that were sampled.
 */
#ifndef PL_LEARNER_REFILL_H
#define PL_LEARNER_REFILL_H

#include "common/base/err.h"
#include "learner/rollouts.h"

#include <stddef.h>

struct pl_refill {
    size_t sampled;     /* groups before */
    size_t zero_spread; /* of them, those that teach nothing */
    size_t refilled;    /* spare groups that are trained */
};

/* Leave the others out of `rollouts`. `groups`: N. PL_ENOMEM. */
int pl_refill(struct pl_rollouts *rollouts, size_t groups, struct pl_refill *ret_refill,
              struct pl_error *err);

#endif
