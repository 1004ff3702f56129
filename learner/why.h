/*
 * Why a batch or an evaluation is not there yet, in one sentence that is true: how many groups are
 * missing, where each of them is, and whether anybody is there to work on them.
 */
#ifndef PL_LEARNER_WHY_H
#define PL_LEARNER_WHY_H

#include "common/link/missing.h"

#include <stddef.h>

/* From what was found; `what`: "batch 12", "evaluation e12". */
void pl_why_text(const char *what, const struct pl_missing *missing, size_t actors,
                 size_t rewarders, char *ret_text, size_t size);

/* The same of what was looked at, with the workers that are there. `name`: of the batch in Redis,
 * "12" or "e12". Errors of pl_missing_workers(). */
int pl_why_waiting(struct pl_queues *stream, const char *name, const struct pl_missing *missing,
                   char *ret_text, size_t size, struct pl_error *err);

#endif
