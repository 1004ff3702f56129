/*
 * The critic of PPO: a model of its own that says, before each response token, what return is still
 * to be expected. A trunk of any architecture with the policy's vocabulary (critic.model.path;
 * empty: the policy's own first weights) under a value head (value.h), learnt together by an AdamW
 * of their own, with one norm of the gradient over both.
 *
 *   v = V(token), v_old the same before the update, R its return (advantage.h, gae):
 *   L = 1/2 max((v - R)^2, (clip(v, v_old +- c) - R)^2),  loss = sum over tokens of L / T
 *
 * over the T response tokens of a mini-batch, c = critic.cliprange_value (verl:
 * compute_value_loss with token-mean; Schulman et al., arXiv 1707.06347).
 *
 * The vocabulary projection of the folder it starts from has nothing to do here: it is left out,
 * and in files the embedding stands for it. While the critic works the policy does not: where the
 * two have the same sizes it borrows the activations of the policy's trainer.
 *
 * Values come from the critic as it is when the batch is trained, whichever version sampled it.
 */
#ifndef PL_LEARNER_CRITIC_H
#define PL_LEARNER_CRITIC_H

#include "common/app/run_conf.h"
#include "common/model/weights.h"
#include "learner/objective.h"
#include "learner/rollouts.h"
#include "learner/trainer.h"
#include "learner/walk.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the loss ---- */

struct pl_value_token {
    double loss, slope; /* before aggregation, and its slope by v */
    bool clipped;
};
struct pl_value_token pl_value_error(double clip, double v, double old, double target);

/* A mini-batch. Sample i of the packs has tokens [first[i], first[i+1]) of the arrays. */
struct pl_value_loss {
    double clip;
    const size_t *first;
    const float *old, *returns;
    size_t tokens; /* T >= 1 of the whole mini-batch */
    /* sums over the tokens seen so far, zeroed by the caller */
    double loss, value; /* of L / T, of v */
    size_t clipped, seen;
};

struct pl_objective pl_value_objective(struct pl_value_loss *loss); /* borrowed */

/* ---- the model ---- */

struct pl_critic {
    const struct pl_run_conf *conf;
    struct pl_shape *shape;
    struct pl_weights *weights;
    struct pl_trainer_opts opts;
    struct pl_trainer *trainer;
    uint64_t skipped;     /* optimiser steps whose gradient was not finite */
    struct pl_stop *stop; /* NULL: it is never told to stop */
};

/*
 * The trunk from a folder, and what its trainer will be: for packs as the policy's are
 * (`beside`), with the settings of the critic. PL_EINVAL: its vocabulary is not the policy's.
 * Errors of pl_model_load(). Ended with pl_critic_close(), also after a failure.
 */
int pl_critic_load(struct pl_critic *critic, const struct pl_run_conf *conf, const char *dir,
                   const struct pl_shape *policy, const struct pl_trainer_opts *beside,
                   struct pl_error *err);

/* The same with sizes alone (pl_weights_outline()), for a plan; `config`: of the folder. */
int pl_critic_outline(struct pl_critic *critic, const struct pl_run_conf *conf,
                      const struct pl_config *config, const struct pl_shape *policy,
                      const struct pl_trainer_opts *beside, struct pl_error *err);

/* What pl_critic_open() will hold, and the weights. */
void pl_critic_plan(const struct pl_critic *critic, struct pl_plan *plan);

/* Its trainer, which takes turns with the policy's. */
int pl_critic_open(struct pl_critic *critic, struct pl_trainer *policy, struct pl_error *err);
void pl_critic_close(struct pl_critic *critic); /* zeroed is fine */

/* ---- a step ---- */

struct pl_critic_stats {
    double loss, clipfrac, value; /* mean over mini-batches, over tokens; of the last epoch */
    double explained;             /* 1 - var(R - v_old) / (var(R) + 1e-5), with T - 1 */
    double grad_norm, lr;         /* mean over optimiser steps; of the last */
    size_t steps;                 /* optimiser steps */
};

/* rollouts->values: v_old of all tokens. False: it was told to stop. */
bool pl_critic_values(struct pl_critic *critic, struct pl_rollouts *rollouts, struct pl_pack *pack);

/* Learn rollouts->returns, at this learning rate. PL_EINVAL: the gradient was not finite in every
 * optimiser step. PL_ECANCELED: it was told to stop; what was accumulated is dropped. */
int pl_critic_update(struct pl_critic *critic, const struct pl_rollouts *rollouts,
                     struct pl_pack *pack, double lr, struct pl_critic_stats *ret_stats,
                     struct pl_error *err);

/* 1 - var(returns - values) / (var(returns) + 1e-5), variances with n - 1; NaN for n < 2. */
double pl_explained_variance(const float *returns, const float *values, size_t n);

#endif
