/*
 * A memory plan: what big arrays a program will hold, in bytes, printed and checked before the
 * first is asked for, then asked for at once. Pages are touched when they are allocated, on huge
 * pages where the system grants them, so that no step meets a page fault.
 */
#ifndef PL_LEARNER_PLAN_H
#define PL_LEARNER_PLAN_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { PL_PLAN_ROWS = 32 };

struct pl_plan_row {
    const char *what; /* borrowed */
    size_t bytes;
    void **at; /* set by pl_plan_allocate(); NULL: memory that someone else holds, only counted */
    void *memory;
};

struct pl_plan {
    struct pl_plan_row rows[PL_PLAN_ROWS];
    size_t count;
    size_t held; /* bytes of its rows that are there already */
};

void pl_plan_init(struct pl_plan *plan);
void pl_plan_add(struct pl_plan *plan, const char *what, size_t bytes, void **at);
size_t pl_plan_total(const struct pl_plan *plan);

/* A table of what and bytes with the total last. PL_EIO, PL_ENOMEM. */
int pl_plan_print(const struct pl_plan *plan, FILE *out, struct pl_error *err);

/*
 * PL_ENOMEM: the total is over bytes_max (0: no such limit), or what is not held yet over what the
 * machine has to give now; the sentence names the largest part.
 */
int pl_plan_check(const struct pl_plan *plan, uint64_t bytes_max, struct pl_error *err);

/* All rows with a place, zeroed. PL_ENOMEM: nothing is held. Ended with pl_plan_release(). */
int pl_plan_allocate(struct pl_plan *plan, struct pl_error *err);
void pl_plan_release(struct pl_plan *plan); /* also when nothing was allocated */

#endif
