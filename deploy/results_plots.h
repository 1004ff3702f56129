/*
 * The plots of a reproduction, beside its tables.
 */
#ifndef PL_DEPLOY_RESULTS_PLOTS_H
#define PL_DEPLOY_RESULTS_PLOTS_H

#include "deploy/page.h"
#include "deploy/results.h"

/* Those that go with a table, by its id: a grid of figures, or nothing. */
void pl_results_plots(const struct pl_results *results, const char *table, struct pl_page *page);

#endif
