/*
 * Which run this is, and what must agree for it to go on.
 *
 *   DIR/run_id           32 hex digits, drawn once for the folder; they enter no bits
 *   rows                 all that enters the bits, by name: settings that differ from their default
 *                        (common/app/agreement.h); hashes of the prompts that are trained on, of
 *                        tokenizer, instruction and template, of the weights that the run began
 *                        with; the processor's kernels and the OpenBLAS that has them. A checkpoint
 *                        keeps them.
 *   life                 a number that changes whenever the run goes on with a row that is another
 *                        than its checkpoint's, or from another past than what Redis holds of it
 *
 * A start goes one of these ways:
 *
 *   checkpoint and rows   Redis                       what is done
 *   ------------------    ------------------------    --------------------------------------------
 *   rows differ           any                         refused, each row named; or, where
 *                                                     trainer.resume says so, a new life
 *   agree                 of this run and life        it is rewound to the checkpoint's step
 *   agree                 of this run, another life,  a new life: what was fed, sampled and scored
 *                         or other rows               goes, and is made again
 *   there is none         of this run, which had      refused; or, where trainer.resume says so, it
 *                         saved a checkpoint          begins again, as if it had not
 *   agree                 of another run              refused, both folders named; or, where
 *                                                     run.takeover names it, all of that one goes
 *   agree                 empty                       the checkpoint's life goes on
 */
#ifndef PL_LEARNER_IDENTITY_H
#define PL_LEARNER_IDENTITY_H

#include "common/base/buf.h"
#include "common/link/queues.h"
#include "learner/models.h"
#include "learner/prompts.h"
#include "proto/life.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct pl_identity {
    struct pl_life life;
    json_t *rows;          /* what checkpoints keep */
    char base[64];         /* where this life began: "<life>:<step>" of a checkpoint, or "0:0" */
    char agree[65];        /* of all that is fed, evaluations and the roles' settings too */
    struct pl_buf roles;   /* "name: value" lines that actors and rewarders depend on */
    uint64_t rewarder_sum; /* of those of rewarders: scores carry it */
    char blas[128];
    char *dir; /* the folder, whole */
    /* of the checkpoint; 0 without one */
    uint64_t from_life, from_step;
    bool changed; /* a row is another than the checkpoint's, and that is meant */
};

struct pl_identity_opts {
    const struct pl_run_conf *conf;
    const char *checkpoint;         /* NULL: there is none */
    const struct pl_models *models; /* loaded */
    const struct pl_prompts *train, *val;
};

/*
 * Everything but what Redis knows; makes DIR/run_id where it is not there. PL_EINVAL: a row differs
 * from the checkpoint's, and trainer.resume is strict. PL_EFORMAT: run_id or the checkpoint are not
 * what they should be. PL_EIO, PL_ENOMEM. Ended with pl_identity_close(), also after a failure.
 */
int pl_identity_open(struct pl_identity *identity, const struct pl_identity_opts *opts,
                     struct pl_error *err);
void pl_identity_close(struct pl_identity *identity); /* zeroed is fine */

/*
 * Choose the life, bring Redis to the checkpoint's step, and tell everybody in it. PL_EINVAL: Redis
 * holds another run of this name, or knows of a checkpoint of this one that is not there. Errors of
 * the queues.
 */
int pl_identity_settle(struct pl_identity *identity, const struct pl_run_conf *conf,
                       struct pl_queues *stream, struct pl_error *err);

/* Tell it again, if Redis has lost any of it; where Redis went back to an earlier life, what it
 * holds from `step` on goes first. */
int pl_identity_keep(const struct pl_identity *identity, struct pl_queues *stream, uint64_t step,
                     struct pl_error *err);

#endif
