/*
 * Whether what an actor handed over is what was asked of it, as far as that can be told without
 * computing anything: decoding (rollout.h) has seen to sizes, ranges and finite numbers by then.
 *
 *   the prompt        every field of it, to the bit, the one that the learner fed
 *   the actor         the one that handed it over
 *   a response        ends with its first stop id, or, without any, at the limit of tokens; its
 *                     finish says which
 *   its versions      pinned: all tokens of the one asked for; newest: from the least asked for to
 *                     the last one that the run will have
 */
#ifndef PL_PROTO_INSPECT_H
#define PL_PROTO_INSPECT_H

#include "proto/rollout.h"

struct pl_inspect {
    const struct pl_rollout_group
        *asked;           /* stage prompt, or of what is beyond it nothing is read */
    const char *actor;    /* who handed it over; NULL: not known */
    uint64_t version_max; /* none of the run is newer */
};

/* The name of the first field in which the prompts of two groups differ; NULL: in none. */
const char *pl_prompt_difference(const struct pl_rollout_group *a,
                                 const struct pl_rollout_group *b);

/* A group of stage rollout or scored. PL_EFORMAT: it is not what was asked for; the sentence names
 * group, actor and what is wrong. */
int pl_inspect_group(const struct pl_rollout_group *group, const struct pl_inspect *inspect,
                     struct pl_error *err);

#endif
