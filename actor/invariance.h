/*
 * Proof of row invariance on the machine it runs on: the logits of a sequence are the same to the
 * bit alone and in any batch, wherever it stands in it, whatever the chunk size, with its prompt
 * shared or not, on any number of threads and on every instruction set the machine has.
 *
 * For `plait doctor`:
 *
 *   struct pl_invariance found;
 *   rc = pl_invariance_check(&found, err);
 *   if (rc == PL_OK && !found.equal)
 *       ... found.difference is a sentence that says where ...
 *
 * It takes one to two seconds, a small random model of a few hundred kilobytes, and no files.
 */
#ifndef PL_ACTOR_INVARIANCE_H
#define PL_ACTOR_INVARIANCE_H

#include "actor/trial.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct pl_invariance {
    bool equal;      /* every bit of every row */
    size_t cases;    /* ways in which the sequence was run */
    size_t rows;     /* rows of logits compared with those of the sequence alone */
    int threads_max; /* 1 to this many were tried */
    double seconds;
    char checked[256];    /* a sentence: what was tried */
    char difference[256]; /* a sentence: the first difference; empty when equal */
};

/*
 * Changes the number of OpenMP threads and the kernel set while it runs and puts both back; nothing
 * else may compute at the same time. PL_OK whether equal or not. PL_ENOMEM: it could not be tried.
 */
int pl_invariance_check(struct pl_invariance *ret_result, struct pl_error *err);

/*
 * Run one case of a trial with `threads` threads and the named kernel set (NULL: the usual one) and
 * compare it with `want`, (T, V). Fills in *result, whose first difference it keeps. `got` is room
 * for (T, V). A kernel set that this machine lacks is no case.
 */
void pl_invariance_case(struct pl_invariance *result, struct pl_trial *trial,
                        const struct pl_trial_case *how, int threads, const char *kernels,
                        const float *want, float *got);

#endif
