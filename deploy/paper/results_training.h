/*
 * What training looked like: metrics over the steps of the main rows, one plot each, the first seed
 * of each row; and what the paper claims of it.
 */
#ifndef PL_PAPER_RESULTS_TRAINING_H
#define PL_PAPER_RESULTS_TRAINING_H

#include "deploy/paper/claims.h"
#include "deploy/paper/gallery.h"
#include "deploy/paper/results.h"

/* Rows that were not run have no line. */
void pl_results_training(const struct pl_results *results, struct pl_gallery *gallery);

/*
 * Claims that go by the curves of interleave-ir; how many were written, at most 2. The figure is
 * the mean over its seeds, the interval from the least to the most of them.
 *
 *   format-first  steps by which the format rate has done nine tenths of its rise before accuracy
 *                 has; not seen where the warm start knows the format already
 *   gate-fades    rate of open gates in the first third of the steps less in the last
 */
size_t pl_claims_of_training(const struct pl_results *results,
                             struct pl_claim ret_claims[PL_CLAIMS_MAX]);

#endif
