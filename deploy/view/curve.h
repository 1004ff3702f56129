/*
 * A metric of a run made ready to be drawn and told: what a plot's line is made from, its mean over
 * the steps around where it is noisy, its interval where samples are counted.
 */
#ifndef PL_VIEW_CURVE_H
#define PL_VIEW_CURVE_H

#include "deploy/view/plot.h"
#include "deploy/view/rollout_file.h"
#include "deploy/view/series.h"

#include <stdbool.h>
#include <stddef.h>

struct pl_curve_ask {
    const char *name; /* at its end; NULL: none */
    size_t color;
    const struct pl_series *series;
    const struct pl_rollout_level *level; /* samples such as these are behind each value, which is a
                                             share; NULL: no interval */
    bool eval;                            /* few and apart: marked, not smoothed */
    bool exact;                           /* not smoothed */
    bool raw;                             /* a smoothed line has the unsmoothed one under it */
};

struct pl_curve {
    struct pl_curve_ask ask;
    double *x, *y, *raw, *low, *high; /* (n) low, high: of y where there is a level, else NULL */
    double *least, *most;             /* (n) of a cell, where cells are of several steps; NULL */
    size_t n, window;                 /* window: cells in a mean, 1: not smoothed */
    void *memory;
};

/* PL_ENOMEM. Borrows what was asked; ended with pl_curve_release(). */
int pl_curve_make(const struct pl_curve_ask *ask, struct pl_curve *ret_curve);
void pl_curve_release(struct pl_curve *curve); /* zeroed is fine */

/* Lines of a plot, borrowed from the curve; returns how many, 1 or 2. */
size_t pl_curve_lines(const struct pl_curve *curve, struct pl_plot_series ret_lines[2]);

/* Cells that a mean of a smoothed curve is over, 1: too few to smooth. */
size_t pl_curve_window(const struct pl_series *series);

#endif
