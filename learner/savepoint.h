/*
 * A checkpoint of a run: a model folder with its optimiser (state.h), and
 *
 *   run_state.json     step, life, accuracy of the last batch, KL coefficient, evaluations that are
 *                      not reported yet
 *   policy-<v>.bf16    the values of each older version that batches still to come, or such
 *                      evaluations, are pinned to
 *   critic/            of gae: a model folder with its optimiser too; the value head is in the
 *                      optimiser alone, in f32
 *
 * so that a run that goes on from it feeds, samples and trains to the same bits.
 */
#ifndef PL_LEARNER_SAVEPOINT_H
#define PL_LEARNER_SAVEPOINT_H

#include "common/base/err.h"
#include "common/model/weights.h"
#include "learner/rundir.h"
#include "learner/state.h"

#include <stddef.h>
#include <stdint.h>

enum { PL_EVALS_MAX = 8, PL_BEHIND_MAX = 4 + PL_EVALS_MAX };

struct pl_behind {
    uint64_t version;
    uint16_t *values; /* of the policy, flat (common/link/policy.h) */
};

struct pl_savepoint {
    uint64_t step; /* batches trained */
    uint64_t life; /* of the run (proto/life.h) that trained the last of them; 0: none is trained */
    double accuracy;
    double kl_coef;
    struct pl_train_state train, critic;
    struct pl_behind behind[PL_BEHIND_MAX];
    size_t behind_count;
    uint64_t
        evals[PL_EVALS_MAX]; /* steps whose evaluation was fed and is not reported, ascending */
    size_t eval_count;
};

/* A model and what its optimiser knows. */
struct pl_savepoint_model {
    const struct pl_weights *weights;
    struct pl_adamw_state *adamw;
};

/*
 * Written aside, renamed, made the latest. `critic`: NULL where there is none. `agree`: what must
 * be the same when the run goes on.
 */
int pl_savepoint_write(const struct pl_rundir *dir, const struct pl_savepoint *point,
                       const json_t *agree, const struct pl_savepoint_model *policy,
                       const struct pl_savepoint_model *critic, const char *tokenizer_dir,
                       size_t values, struct pl_error *err);

/* The life of a checkpoint alone: 1 where it says none. Errors of pl_savepoint_read(). */
int pl_savepoint_life(const char *path, uint64_t *ret_life, struct pl_error *err);

/* Where the critic of a checkpoint is; from malloc(), NULL: no memory. */
char *pl_savepoint_critic(const char *path);

/*
 * From the folder of a checkpoint whose models are loaded already. `behind` values are the caller's
 * to free(). Errors of pl_state_read(); PL_EFORMAT where a file is not as written.
 */
int pl_savepoint_read(const char *path, const json_t *agree,
                      const struct pl_savepoint_model *policy,
                      const struct pl_savepoint_model *critic, size_t values,
                      struct pl_savepoint *ret_point, struct pl_error *err);

#endif
