/*
 * The plots of a reproduction, beside its tables.
 */
#ifndef PL_PAPER_RESULTS_PLOTS_H
#define PL_PAPER_RESULTS_PLOTS_H

#include "deploy/paper/gallery.h"
#include "deploy/paper/results.h"

/* Those that go with a table, by its id: a grid of figures, or nothing. */
void pl_results_plots(const struct pl_results *results, const char *table,
                      struct pl_gallery *gallery);

#endif
