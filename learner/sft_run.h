/*
 * Fine-tuning, step by step: which rows come next, their micro-batches, the update, evaluation.
 * Knows nothing of options, terminals or where files lie (sft_job.h).
 *
 * A step takes the next `batch` rows of the pass over the data, fewer at its end, and minimises the
 * mean cross entropy of their response tokens (pl_supervised in objective.h). So everything that is
 * to come is a function of weights, optimiser state, struct pl_train_state, data and options: a run
 * that is saved and restored goes on to the same bits. The number of threads, `recompute` and
 * evaluation do not enter them.
 */
#ifndef PL_LEARNER_SFT_RUN_H
#define PL_LEARNER_SFT_RUN_H

#include "learner/plan.h"
#include "learner/sft_data.h"
#include "learner/state.h"
#include "learner/trainer.h"

enum { PL_SFT_SKIPS_MAX = 5 }; /* steps in a row without a finite gradient, then a run gives up */

struct pl_sft_opts {
    size_t batch;        /* rows of a step, >= 1 */
    size_t micro_tokens; /* computed at a time; the longest row where that has more */
    bool shuffled;       /* each pass in an order of its own; else as in the file */
    uint64_t seed;
    bool recompute;
    struct pl_adamw_opts adamw;
};

struct pl_sft_run;

/* Steps of a pass over the data, the last perhaps with fewer rows. */
uint64_t pl_sft_steps_a_pass(const struct pl_sft_data *train, size_t batch);

/*
 * What a run adds to the weights, which may be an outline. `eval` is evaluated and may be NULL;
 * both hold rows, and their ids are counted too.
 */
void pl_sft_run_plan(const struct pl_weights *weights, const struct pl_sft_data *train,
                     const struct pl_sft_data *eval, const struct pl_sft_opts *opts,
                     struct pl_plan *plan);

/* Weights and data are borrowed. Stands before the first step. PL_EINVAL: an option out of range;
 * PL_ENOMEM. Ended with pl_sft_run_destroy(). */
int pl_sft_run_create(struct pl_weights *weights, const struct pl_sft_data *train,
                      const struct pl_sft_data *eval, const struct pl_sft_opts *opts,
                      struct pl_sft_run **ret_run, struct pl_error *err);
void pl_sft_run_destroy(struct pl_sft_run *run); /* NULL is fine */

/* Where it stands. */
const struct pl_train_state *pl_sft_run_state(const struct pl_sft_run *run);
double pl_sft_run_epoch(const struct pl_sft_run *run); /* passes done, with the part of this one */

struct pl_sft_step {
    double loss;              /* before the update */
    double grad_norm;         /* before clipping */
    size_t responses, tokens; /* tokens that were learnt, and that were computed */
    bool skipped;             /* the gradient was not finite: weights are as they were */
    struct pl_trainer_times times;
};

/*
 * One step at a learning rate. PL_EINVAL: it was the last of PL_SFT_SKIPS_MAX in a row that had to
 * be skipped; *ret_step is set in this case too.
 */
int pl_sft_run_step(struct pl_sft_run *run, double lr, struct pl_sft_step *ret_step,
                    struct pl_error *err);

/* The mean cross entropy of the response tokens of `eval`, and note it when it is the least so far.
 */
double pl_sft_run_evaluate(struct pl_sft_run *run);

/* Write and read the state beside a model folder: pl_state_write(), pl_state_read() and their
 * errors; PL_EFORMAT also when the place in the data is past its end. */
int pl_sft_run_save(const struct pl_sft_run *run, const char *dir, const json_t *agree,
                    struct pl_error *err);
int pl_sft_run_restore(struct pl_sft_run *run, const char *dir, const json_t *agree,
                       struct pl_error *err);

#endif
