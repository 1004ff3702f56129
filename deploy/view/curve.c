#include "deploy/view/curve.h"

#include "common/base/err.h"

#include <math.h>
#include <stdlib.h>

/* A twelfth of the run, where there are steps enough that this says something. */
size_t pl_curve_window(const struct pl_series *series)
{
    const size_t n = series->count;

    if (n < 30)
        return 1;
    return (n / 12 < 51 ? n / 12 : 51) | 1;
}

/* Intervals of the means: of as many samples as their windows have. */
static void find_intervals(struct pl_curve *c)
{
    const struct pl_series *s = c->ask.series;

    for (size_t i = 0; i < c->n; i++) {
        const size_t half = c->window / 2;
        const size_t from = i > half ? i - half : 0;
        const size_t to = i + half + 1 < c->n ? i + half + 1 : c->n;
        struct pl_interval in;
        size_t steps = 0;

        for (size_t k = from; k < to; k++)
            steps += s->cells[k].n;
        in = pl_rollout_level_interval(c->ask.level, c->y[i], fmax((double)steps, 1.0));
        c->low[i] = in.low;
        c->high[i] = in.high;
    }
}

int pl_curve_make(const struct pl_curve_ask *ask, struct pl_curve *ret_curve)
{
    const struct pl_series *s = ask->series;
    struct pl_curve c = {
        .ask = *ask, .n = s->count, .window = ask->eval || ask->exact ? 1 : pl_curve_window(s)};
    const size_t n = s->count + 1;
    double *memory = malloc(7 * n * sizeof *memory);

    if (!memory)
        return PL_ENOMEM;
    c.memory = memory;
    c.x = memory;
    c.y = memory + n;
    c.raw = memory + 2 * n;
    c.low = ask->level ? memory + 3 * n : NULL;
    c.high = ask->level ? memory + 4 * n : NULL;
    c.least = s->per_cell > 1 ? memory + 5 * n : NULL;
    c.most = s->per_cell > 1 ? memory + 6 * n : NULL;
    for (size_t i = 0; i < c.n; i++) {
        c.x[i] = pl_series_x(&s->cells[i]);
        c.raw[i] = pl_series_mean(&s->cells[i]);
        if (c.least) {
            c.least[i] = s->cells[i].least;
            c.most[i] = s->cells[i].most;
        }
    }
    pl_series_smooth(s, c.window, c.y);
    if (c.low)
        find_intervals(&c);
    *ret_curve = c;
    return PL_OK;
}

void pl_curve_release(struct pl_curve *curve)
{
    free(curve->memory);
    *curve = (struct pl_curve){0};
}

size_t pl_curve_lines(const struct pl_curve *curve, struct pl_plot_series ret_lines[2])
{
    const struct pl_curve *c = curve;
    const struct pl_plot_series base = {.x = c->x, .n = c->n, .color = c->ask.color};
    size_t count = 0;

    if (c->ask.raw && (c->window > 1 || c->least)) {
        ret_lines[0] = base;
        ret_lines[0].y = c->raw;
        ret_lines[0].low = c->least;
        ret_lines[0].high = c->most;
        ret_lines[0].faint = true;
        count++;
    }
    ret_lines[count] = base;
    ret_lines[count].name = c->ask.name;
    ret_lines[count].y = c->y;
    ret_lines[count].low = c->low;
    ret_lines[count].high = c->high;
    ret_lines[count].marks = c->ask.eval;
    return count + 1;
}
