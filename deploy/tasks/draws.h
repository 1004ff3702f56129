/*
 * Random numbers for made-up problems. A draw is a function of what it is for (rng.h): the family,
 * the purpose, the size and index of the problem, and its position among the draws for that.
 */
#ifndef PL_TASKS_DRAWS_H
#define PL_TASKS_DRAWS_H

#include "common/base/rng.h"

#include <stddef.h>
#include <stdint.h>

enum pl_draws_family { PL_DRAWS_KK, PL_DRAWS_HOPS, PL_DRAWS_ARITH };

enum {
    PL_DRAWS_PROBLEM = 0, /* purposes: the problem itself, */
    PL_DRAWS_ANSWER = 1,  /* this and the method: a worked answer to it; 15 is the last */
    PL_DRAWS_PURPOSES = 16,
    PL_DRAWS_SIZES = 256,
};

/* Draws one after the other. */
struct pl_draws {
    struct pl_rng rng;
    uint32_t position;
};

/* purpose < PL_DRAWS_PURPOSES, size < PL_DRAWS_SIZES */
struct pl_rng pl_draws_rng(enum pl_draws_family family, uint32_t purpose, uint64_t seed,
                           size_t size, uint32_t index);

size_t pl_draws_below(struct pl_draws *draws, size_t n); /* 0 to n - 1 */

#endif
