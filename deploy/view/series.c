#include "deploy/view/series.h"

#include "common/base/err.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void take_in(struct pl_series_cell *cell, const struct pl_series_cell *more)
{
    cell->x_last = more->x_last;
    cell->sum += more->sum;
    cell->least = fmin(cell->least, more->least); /* fmin() passes over NaN */
    cell->most = fmax(cell->most, more->most);
    cell->n += more->n;
    cell->places += more->places;
}

/* Room for one more: twice the memory, or half the cells. */
static int make_room(struct pl_series *s)
{
    if (s->count < s->cap)
        return PL_OK;
    if (s->cap < PL_SERIES_CELLS) {
        const size_t cap = s->cap ? 2 * s->cap : 16;
        struct pl_series_cell *cells = realloc(s->cells, cap * sizeof *cells);

        if (!cells)
            return PL_ENOMEM;
        s->cells = cells;
        s->cap = cap;
        return PL_OK;
    }
    for (size_t i = 0; i < s->count / 2; i++) {
        s->cells[i] = s->cells[2 * i];
        take_in(&s->cells[i], &s->cells[2 * i + 1]);
    }
    s->count /= 2;
    s->per_cell *= 2;
    return PL_OK;
}

int pl_series_add(struct pl_series *series, double x, double y)
{
    struct pl_series *s = series;
    const bool counts = isfinite(y);
    const struct pl_series_cell one = {.x_first = x,
                                       .x_last = x,
                                       .sum = counts ? y : 0.0,
                                       .least = counts ? y : NAN,
                                       .most = counts ? y : NAN,
                                       .n = counts,
                                       .places = 1};

    if (!isfinite(x) || (s->places > 0 && x <= s->x_last))
        return PL_EINVAL;
    if (s->per_cell == 0)
        s->per_cell = 1;
    if (s->count > 0 && s->cells[s->count - 1].places < s->per_cell) {
        take_in(&s->cells[s->count - 1], &one);
    } else {
        const int rc = make_room(s);

        if (rc < 0)
            return rc;
        s->cells[s->count++] = one;
    }
    s->recent[s->places++ % PL_SERIES_RECENT] = y;
    s->x_last = x;
    return PL_OK;
}

void pl_series_release(struct pl_series *series)
{
    free(series->cells);
    *series = (struct pl_series){0};
}

double pl_series_x(const struct pl_series_cell *cell)
{
    return cell->x_first + (cell->x_last - cell->x_first) / 2.0;
}

double pl_series_mean(const struct pl_series_cell *cell)
{
    return cell->n > 0 ? cell->sum / (double)cell->n : NAN;
}

double pl_series_mean_all(const struct pl_series *series)
{
    double sum = 0.0;
    size_t n = 0;

    for (size_t i = 0; i < series->count; i++) {
        sum += series->cells[i].sum;
        n += series->cells[i].n;
    }
    return n > 0 ? sum / (double)n : NAN;
}

double pl_series_mean_recent(const struct pl_series *series)
{
    const size_t held = series->places < PL_SERIES_RECENT ? series->places : PL_SERIES_RECENT;
    double sum = 0.0;
    size_t n = 0;

    for (size_t i = 0; i < held; i++)
        if (isfinite(series->recent[i])) {
            sum += series->recent[i];
            n++;
        }
    return n > 0 ? sum / (double)n : NAN;
}

double pl_series_last(const struct pl_series *series)
{
    const size_t held = series->places < PL_SERIES_RECENT ? series->places : PL_SERIES_RECENT;

    for (size_t back = 1; back <= held; back++) {
        const double value = series->recent[(series->places - back) % PL_SERIES_RECENT];

        if (isfinite(value))
            return value;
    }
    return NAN;
}

double pl_series_least(const struct pl_series *series)
{
    double least = NAN;

    for (size_t i = 0; i < series->count; i++)
        least = fmin(least, series->cells[i].least);
    return least;
}

double pl_series_most(const struct pl_series *series)
{
    double most = NAN;

    for (size_t i = 0; i < series->count; i++)
        most = fmax(most, series->cells[i].most);
    return most;
}

const struct pl_series_cell *pl_series_find(const struct pl_series *series, double x)
{
    size_t low = 0, high = series->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (series->cells[middle].x_last < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low < series->count && series->cells[low].x_first <= x ? &series->cells[low] : NULL;
}

void pl_series_smooth(const struct pl_series *series, size_t window, double *ret_y)
{
    const size_t half = window / 2;

    for (size_t i = 0; i < series->count; i++) {
        const size_t from = i > half ? i - half : 0;
        const size_t to = i + half + 1 < series->count ? i + half + 1 : series->count;
        double sum = 0.0;
        size_t n = 0;

        for (size_t k = from; k < to; k++) {
            sum += series->cells[k].sum;
            n += series->cells[k].n;
        }
        ret_y[i] = series->cells[i].n > 0 ? sum / (double)n : NAN;
    }
}
