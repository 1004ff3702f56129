/*
 * One training step on a batch of rollouts: advantages, then mini-batches of clipped policy
 * gradient, each an optimiser step.
 *
 *   PPO (gae): the critic's values, advantages and returns from them, then the critic learns
 *   for each epoch, for each mini-batch of groups: gradient of policy.h's loss over its packs,
 *   AdamW
 *
 * The old log-probabilities of the ratio are those recorded while sampling, over the full
 * vocabulary at the temperature that was sampled with; those of the policy that learns and of the
 * reference are at the same one. With staleness the behaviour policy is the proximal one. With
 * correction (algorithm.rollout_correction.rollout_is) they are computed anew by the policy as it
 * is before the batch, and what lies between is a weight (correction.h).
 */
#ifndef PL_LEARNER_UPDATE_H
#define PL_LEARNER_UPDATE_H

#include "common/app/run_conf.h"
#include "learner/correction.h"
#include "learner/critic.h"
#include "learner/policy.h"
#include "learner/rollouts.h"
#include "learner/trainer.h"
#include "learner/walk.h"

struct pl_update {
    const struct pl_run_conf *conf;
    struct pl_trainer *trainer;
    struct pl_pack *pack;
    const struct pl_weights *reference; /* NULL: no KL anywhere */
    struct pl_critic *critic;           /* gae; else NULL */
    double critic_lr;                   /* of this step */
    bool critic_only;                   /* this step the policy stays as it is */
    double kl_coef;                     /* of the KL in the reward; adapts */
    uint64_t skipped;                   /* optimiser steps whose gradient was not finite */
    bool own; /* the policy as it is now sampled the batch: what the first mini-batch's forward
                 computes is compared with what was recorded */
    struct pl_stop *stop; /* NULL: it is never told to stop */
};

/* What was recorded while sampling against what is computed at the same version. */
struct pl_update_difference {
    double most;        /* |recorded - computed| log-probability */
    size_t tokens, off; /* that were compared; of them those that differ at all */
    size_t group;       /* of the first that differs */
};

struct pl_update_stats {
    struct pl_policy_stats policy; /* of all mini-batches of the last epoch; losses: their mean */
    double grad_norm, lr;          /* mean over optimiser steps; of the last */
    size_t steps, tried;           /* optimiser steps of the policy; those not finite too */
    struct pl_critic_stats critic;
    struct pl_correction_stats correction; /* where there is one */
    bool corrected;
    size_t zero_spread;                     /* groups whose samples all have the same reward */
    double kl;                              /* mean KL estimate to the reference, of the reward */
    struct pl_update_difference difference; /* of `own`; tokens 0: nothing was compared */
    double old_s, reference_s, values_s, adv_s, critic_s, update_s;
};

/*
 * PL_EINVAL: the gradient of policy or critic was not finite in every optimiser step of the batch.
 * PL_ECANCELED: it was told to stop. Unless update->stop->stepped says that an optimiser step was
 * made, nothing has changed: not a bit of weights, moments, counts and coefficients; else policy
 * and critic are of no step, and must not be saved.
 */
int pl_update_run(struct pl_update *update, struct pl_rollouts *rollouts, double lr,
                  struct pl_update_stats *ret_stats, struct pl_error *err);

/*
 * Compare one pack of groups [first, ...), at `weights` (NULL: the trainer's own): pack number
 * `turn` modulo their count, so that steps in turn come round to every group. What it finds is
 * added to *difference.
 */
void pl_update_compare(struct pl_update *update, const struct pl_rollouts *rollouts,
                       const struct pl_weights *weights, size_t first, uint64_t turn,
                       struct pl_update_difference *difference);
/* Groups that an update of `own` compares while it learns. */
size_t pl_update_compared(const struct pl_update *update, const struct pl_rollouts *rollouts);

#endif
