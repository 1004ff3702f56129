/*
 * A batch in packs: its groups in order, as many responses at a time as a pack takes. What is
 * computed of a token does not depend on where a pack ends; sums of gradients do.
 */
#ifndef PL_LEARNER_WALK_H
#define PL_LEARNER_WALK_H

#include "learner/rollouts.h"
#include "learner/trainer.h"

#include <stdbool.h>
#include <stddef.h>

struct pl_walk {
    size_t group, response; /* where it goes on */
    size_t end;             /* groups [group, end) */
};

/* Fill the pack with what comes next and was sampled at one temperature, which becomes the pack's.
 * False: there was nothing left. */
bool pl_walk_next(struct pl_walk *walk, const struct pl_rollouts *rollouts, struct pl_pack *pack);

/*
 * A long computation that may be told to stop: asked between packs. `stepped` is set when the first
 * optimiser step is tried; before that nothing has changed that a checkpoint holds.
 */
struct pl_stop {
    bool (*asked)(void *at, bool stepped);
    void *at;
    bool stepped;
};
bool pl_stop_asked(const struct pl_stop *stop); /* NULL: never */

/*
 * What the trainer says of all tokens of groups [g, end) at `weights` (NULL: its own), to
 * out[first[sample] + index]: log-probabilities, or values. False: it was told to stop, and `out`
 * is not filled.
 */
bool pl_walk_score(const struct pl_rollouts *rollouts, size_t g, size_t end, struct pl_pack *pack,
                   struct pl_trainer *trainer, const struct pl_weights *weights,
                   const struct pl_stop *stop, float *out);

#endif
