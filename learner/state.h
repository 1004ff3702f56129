/*
 * What a training run needs beside a model folder to go on to the same bits:
 *
 *   optimizer.safetensors   for every tensor NAME of the model and of the optimiser's tail
 *                           (adamw.h), in F32 and in its shape:
 *                           NAME.master, NAME.exp_avg, NAME.exp_avg_sq
 *   trainer_state.json      how far the run is, and what must be the same when it goes on
 *
 * Always: the weights of the model folder are the master values rounded to bf16, both files count
 * the same updates, and every value is finite. It is checked when they are written and when they
 * are read.
 */
#ifndef PL_LEARNER_STATE_H
#define PL_LEARNER_STATE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/model/weights.h"
#include "learner/adamw.h"

#include <jansson.h>
#include <stdint.h>

#define PL_STATE_OPTIMIZER "optimizer.safetensors"
#define PL_STATE_TRAINER   "trainer_state.json"

enum { PL_STATE_CORE_MAX = 64 };

struct pl_train_state {
    uint64_t step;             /* steps taken, skipped ones among them */
    uint64_t skipped;          /* of them, those whose gradient was not finite */
    uint64_t skipped_in_a_row; /* of those, the ones since the last update */
    uint64_t epoch, index;   /* the next row: which pass over the data, which place in its order */
    uint64_t tokens;         /* computed so far, prompts and responses */
    double eval_best;        /* least evaluation loss, NaN when there was none */
    uint64_t eval_best_step; /* its step */
    /* What the backward's matrix products ran on: another one may round in another way. */
    char core[PL_STATE_CORE_MAX];
};

/*
 * Write both files into an existing folder. `agree`: an object of all that enters the bits and is
 * not in the files. PL_EINVAL: a value is not finite, and nothing was written. PL_EIO, PL_ENOMEM.
 */
int pl_state_write(const char *dir, const struct pl_train_state *state, const json_t *agree,
                   const struct pl_shape *shape, const struct pl_adamw_state *adamw,
                   struct pl_error *err);

/*
 * Read and check trainer_state.json alone, before anything large is loaded.
 * PL_EINVAL: something in `agree` (NULL: nothing is compared) is not as it was when the file was
 * written; the sentence names all that is not, with both values. PL_EFORMAT, PL_ENOENT, PL_EIO,
 * PL_ENOMEM.
 */
int pl_state_check(const char *dir, const json_t *agree, struct pl_train_state *ret_state,
                   struct pl_error *err);

/* What had to agree when the file was written: a new reference. Errors as above. */
int pl_state_agreed(const char *dir, json_t **ret_rows, struct pl_error *err);

/*
 * Append what differs between two objects, in the order of `is`: "NAME was 1 and is 2 now; ...",
 * where what only one of them has is "not known" in the other. *ret_count: how many. PL_ENOMEM.
 */
int pl_state_differences(const json_t *was, const json_t *is, struct pl_buf *out,
                         size_t *ret_count);

/*
 * Read and check both. The arrays of *adamw are filled; on failure what they hold is of no use.
 * Errors of pl_state_check(), and PL_EFORMAT where a value is not finite or the files are not of
 * these weights.
 */
int pl_state_read(const char *dir, const json_t *agree, const struct pl_weights *weights,
                  struct pl_adamw_state *adamw, struct pl_train_state *ret_state,
                  struct pl_error *err);

#endif
