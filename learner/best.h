/*
 * The policy of the best evaluation so far: DIR/best, a model folder with
 *
 *   evaluation.json       {"step": N, "accuracy": X}
 *   checksums.xxh128      of all its files (checksums.h)
 *
 * which is there whole or not at all, and says by itself how good it is, so that no other file has
 * to agree with it when a run is stopped between two writes. Of equals it is the earliest step, in
 * whatever order evaluations come in.
 */
#ifndef PL_LEARNER_BEST_H
#define PL_LEARNER_BEST_H

#include "common/base/err.h"
#include "common/model/weights.h"

#include <stdbool.h>
#include <stdint.h>

struct pl_best {
    char *path;
    uint64_t step;
    double accuracy; /* below 0: there is none yet */
};

/* What is there, if any; what a dead process left aside goes. PL_EFORMAT: evaluation.json is not as
 * written; PL_EIO, PL_ENOMEM. Ended with pl_best_release(). */
int pl_best_open(const char *dir, struct pl_best *ret_best, struct pl_error *err);
void pl_best_release(struct pl_best *best); /* zeroed is fine */

bool pl_best_beaten(const struct pl_best *best, uint64_t step, double accuracy);

/* Put these weights in its place. PL_EIO, PL_ENOMEM: the old one is as it was. */
int pl_best_keep(struct pl_best *best, uint64_t step, double accuracy,
                 const struct pl_weights *weights, const char *tokenizer_dir, struct pl_error *err);

#endif
