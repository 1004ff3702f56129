/*
 * Values over steps, however many, in bounded memory: cells of one step each until there are
 * PL_SERIES_CELLS, then of two, of four, ... A cell keeps the least and the most of its values, so
 * that no extreme is lost, and their sum, so that means stay exact.
 *
 * A value that is not finite takes its place and counts for nothing: a gap, while cells are of one
 * step.
 */
#ifndef PL_VIEW_SERIES_H
#define PL_VIEW_SERIES_H

#include <stddef.h>

enum { PL_SERIES_CELLS = 1024, PL_SERIES_RECENT = 20 };

struct pl_series_cell {
    double x_first, x_last;  /* steps */
    double sum, least, most; /* of n values; of none: 0, NaN, NaN */
    size_t n, places;        /* values that count; all of them */
};

struct pl_series {
    struct pl_series_cell *cells; /* (count) x ascends */
    size_t count, cap, per_cell;  /* places of a cell, but the last */
    double x_last;
    double recent[PL_SERIES_RECENT]; /* a ring: value number k is at k modulo its length */
    size_t places;                   /* values in all */
};

/* A zeroed series is empty. PL_EINVAL: x is not after the last one, or not finite: nothing was
 * added. PL_ENOMEM. */
int pl_series_add(struct pl_series *series, double x, double y);
void pl_series_release(struct pl_series *series); /* zeroed is fine */

double pl_series_x(const struct pl_series_cell *cell);    /* its middle */
double pl_series_mean(const struct pl_series_cell *cell); /* NaN: of nothing */

/* Of all values; of the last PL_SERIES_RECENT places; the last one that counts. NaN: there is none.
 */
double pl_series_mean_all(const struct pl_series *series);
double pl_series_mean_recent(const struct pl_series *series);
double pl_series_last(const struct pl_series *series);
double pl_series_least(const struct pl_series *series);
double pl_series_most(const struct pl_series *series);

/* The cell that holds step x; NULL: none does. */
const struct pl_series_cell *pl_series_find(const struct pl_series *series, double x);

/* Means over `window` cells around each, fewer at the ends: (count) to ret_y; NaN where the cell
 * itself is a gap. */
void pl_series_smooth(const struct pl_series *series, size_t window, double *ret_y);

#endif
