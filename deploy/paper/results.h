/*
 * What a reproduction has measured so far: the answers of every row of the grid, by seeds, and the
 * slices of the tasks that its tables are about.
 */
#ifndef PL_PAPER_RESULTS_H
#define PL_PAPER_RESULTS_H

#include "deploy/paper/findings.h"
#include "deploy/paper/reproduce.h"

enum { PL_RESULTS_SIZES_MAX = 8 };

struct pl_results {
    const struct pl_reproduce *reproduce;
    const struct pl_chores *chores; /* what was run, set by the caller; NULL: not told */
    struct pl_answers (*answers)[PL_REPRODUCE_SEEDS_MAX]; /* (rows of the grid) */
    struct pl_finding_row *rows;                          /* (rows of the grid) */
    struct pl_answers before_answers[PL_METHOD_COT + 1];
    struct pl_finding_row before[PL_METHOD_COT + 1]; /* the warm start, by the form asked for */
    unsigned people[PL_RESULTS_SIZES_MAX], unseen[PL_RESULTS_SIZES_MAX], hops[PL_RESULTS_SIZES_MAX];
    size_t people_count, unseen_count, hops_count;
};

/* Read what is there; what was not measured yet has no seeds. PL_EFORMAT, PL_EIO, PL_ENOMEM. Ended
 * with pl_results_release(). */
int pl_results_read(const struct pl_reproduce *r, struct pl_results *ret_results,
                    struct pl_error *err);
void pl_results_release(struct pl_results *results); /* zeroed is fine */

const struct pl_finding_row *pl_results_row(const struct pl_results *results, const char *name);

/* Slices: each returns how many it has written. */
size_t pl_slice_where(const struct pl_results *results, enum pl_grid_where where,
                      struct pl_slice ret[PL_FINDING_SLICES_MAX]);
size_t pl_slice_people(unsigned least, unsigned most, struct pl_slice ret[PL_FINDING_SLICES_MAX]);
/* Harder puzzles less easier ones: the larger half of the sizes less the smaller half. */
size_t pl_slice_harder(const struct pl_results *results,
                       struct pl_slice ret[PL_FINDING_SLICES_MAX]);

#endif
