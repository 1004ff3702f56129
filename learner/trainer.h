/*
 * The trainer: everything one optimiser step needs, held from start to end. Packs are accumulated,
 * then a step is taken; neither allocates.
 *
 *   pl_trainer_plan(...)        what it will hold, to be printed and checked
 *   pl_trainer_create(...)      the memory
 *   for each micro-batch: pl_trainer_accumulate(trainer, pack, &objective)
 *   pl_trainer_step(trainer, lr, &stats, err)
 *
 * Same weights, packs and objective: the same bits, for any number of threads and with
 * recomputation or without. How a batch is split into packs does enter the bits, because sums are
 * split with it.
 *
 * One thread owns a trainer; inside it all OpenMP threads work.
 */
#ifndef PL_LEARNER_TRAINER_H
#define PL_LEARNER_TRAINER_H

#include "learner/adamw.h"
#include "learner/batch.h"
#include "learner/objective.h"
#include "learner/plan.h"

#include <stdbool.h>
#include <stddef.h>

struct pl_trainer_opts {
    struct pl_pack_limits limits; /* of the largest pack */
    size_t positions;             /* of the longest prompt and response */
    bool recompute;               /* activations: computed again instead of kept */
    size_t logits_bytes;          /* for a chunk of logits; 0: 256 MiB */
    bool value;                   /* a value head (value.h) in place of the vocabulary projection */
    bool borrow; /* gradient, activations and scratch are another trainer's: `lender` */
    struct pl_trainer *lender; /* not needed for a plan */
    struct pl_adamw_opts adamw;
};

struct pl_trainer;

/* Whether a trainer of model b can use the gradient, activations and scratch of one of model a. */
bool pl_trainer_can_borrow(const struct pl_config *a, const struct pl_config *b);

/* What a trainer adds to the weights it works on. The plan's rows have no place yet. */
void pl_trainer_plan(const struct pl_weights *weights, const struct pl_trainer_opts *opts,
                     struct pl_plan *plan);

/*
 * `weights` is borrowed and is what steps change. Master values are those of the weights, moments
 * zero; a value head begins at zero. A lender must live longer, have the same limits and way to
 * recompute, and a model that can be borrowed from; the two then take turns, call by call, and one
 * takes its step before the other accumulates.
 * PL_EINVAL: an option out of range; PL_ENOMEM. Ended with pl_trainer_destroy().
 */
int pl_trainer_create(struct pl_weights *weights, const struct pl_trainer_opts *opts,
                      struct pl_trainer **ret_trainer, struct pl_error *err);
void pl_trainer_destroy(struct pl_trainer *trainer); /* NULL is fine */

/*
 * Forward, objective, backward; gradients are added. Returns the log-probabilities (of a value
 * head: the values) of the pack's predictions, in their order, borrowed until the next call.
 * PL_ASSERTs that the pack is within the limits.
 */
const float *pl_trainer_accumulate(struct pl_trainer *trainer, const struct pl_pack *pack,
                                   const struct pl_objective *objective);

/* Only what that returns, at other weights of the same shape (NULL: its own); entropies unless
 * NULL, which it must be with a value head. */
const float *pl_trainer_score(struct pl_trainer *trainer, const struct pl_weights *weights,
                              const struct pl_pack *pack, const float **ret_entropy);

/* The same with somebody who sees the logits; not with a value head. */
struct pl_head_watch;
const float *pl_trainer_watch(struct pl_trainer *trainer, const struct pl_weights *weights,
                              const struct pl_pack *pack, const struct pl_head_watch *watch);

struct pl_step_stats {
    double grad_norm; /* before clipping */
    double lr;
};

/* PL_EINVAL: the gradient is not finite: no update, the gradient is dropped, and the next step may
 * go on. */
int pl_trainer_step(struct pl_trainer *trainer, double lr, struct pl_step_stats *ret_stats,
                    struct pl_error *err);

/* Drop what was accumulated since the last step, as if it had not been. */
void pl_trainer_abandon(struct pl_trainer *trainer);

/* Master, moments and count, for checkpoints. After writing to them call pl_trainer_sync(). */
struct pl_adamw_state *pl_trainer_state(struct pl_trainer *trainer);
void pl_trainer_sync(struct pl_trainer *trainer); /* weights from the master */

/* The accumulated gradient (pl_adamw_floats()), for tests and inspection. */
const float *pl_trainer_grad(const struct pl_trainer *trainer);

/* Seconds spent since the last call of this function, by part. */
struct pl_trainer_times {
    double forward, head, backward, step;
};
struct pl_trainer_times pl_trainer_times(struct pl_trainer *trainer);

#endif
