/*
 * The models of a run: the policy and its trainer, PPO's critic, the reference, and room for an
 * older version of the policy. They come from the newest checkpoint, or from the folder to start
 * from, and go into checkpoints.
 */
#ifndef PL_LEARNER_MODELS_H
#define PL_LEARNER_MODELS_H

#include "common/app/run_conf.h"
#include "common/model/weights.h"
#include "learner/critic.h"
#include "learner/rundir.h"
#include "learner/savepoint.h"
#include "learner/trainer.h"

#include <jansson.h>

struct pl_models {
    const struct pl_run_conf *conf;
    struct pl_shape *shape;
    struct pl_weights *weights; /* the policy */
    struct pl_trainer *trainer;
    struct pl_critic critic; /* of gae; else zeroed */
    struct pl_shape *reference_shape;
    struct pl_weights *reference; /* the model the run began with; NULL: no KL anywhere */
    struct pl_weights *past;      /* room for an older version; NULL: none is ever needed */
    struct pl_pack *pack;         /* as large as the trainers take */
};

/*
 * The weights, of a checkpoint (NULL: there is none yet, and the run begins). Errors of
 * pl_model_load() and pl_critic_load(). Ended with pl_models_close(), also after a failure.
 */
int pl_models_load(struct pl_models *models, const struct pl_run_conf *conf, const char *checkpoint,
                   struct pl_error *err);
/*
 * Then: say what memory will be held and check it, ask for it, and read where the checkpoint stands
 * into *point; what it must agree with is not looked at (identity.h). PL_ENOMEM: over
 * run.memory_max, or more than the machine has. Errors of pl_savepoint_read().
 */
int pl_models_ready(struct pl_models *models, const char *checkpoint, struct pl_savepoint *point,
                    struct pl_error *err);
void pl_models_close(struct pl_models *models); /* zeroed is fine */

/*
 * Sizes alone, of a policy and (for gae) a critic of these configurations: what a plan needs. Ended
 * with pl_models_close(), also after a failure. PL_ENOMEM; errors of pl_shape_create().
 */
int pl_models_outline(struct pl_models *models, const struct pl_run_conf *conf,
                      const struct pl_config *policy, const struct pl_config *critic,
                      struct pl_error *err);

/* The memory that is held for models; the plan's first *ret_policy rows are of the policy, the
 * others of the critic. What pl_models_ready() says and checks. */
void pl_models_plan(const struct pl_models *models, struct pl_plan *plan, size_t *ret_policy);

/* The critic; NULL: the run has none. */
struct pl_critic *pl_models_critic(struct pl_models *models);

/*
 * A checkpoint of them at `point`, in which the counts of optimiser steps are set here from what
 * was skipped: point->train.skipped, critic.skipped. `values`: of an older version.
 */
int pl_models_save(struct pl_models *models, const struct pl_rundir *dir, const json_t *agree,
                   size_t values, struct pl_savepoint *point, struct pl_error *err);

/* What pl_models_save() will write, about: rather too much than too little. `behind`: older
 * versions in it. */
uint64_t pl_models_checkpoint_bytes(const struct pl_models *models, size_t behind);

#endif
