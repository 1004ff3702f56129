#include "deploy/paper/results_plots.h"

#include "common/base/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BARS = 16, POINTS = 16 };

static struct pl_plot_bar bar_of(struct pl_figure f, double published)
{
    return (struct pl_plot_bar){f.value, f.low, f.high, published};
}

/* ---- Pass@1 and ttfa by method ---- */

/* Rows of a table as bars, in the places [first, last]. */
static void bars(const struct pl_results *x, struct pl_gallery *gallery, const char *table,
                 unsigned rows_of, enum pl_measure measure)
{
    static const char *const places[PL_GRID_WHERES] = {"kk", "hops", "arith (unseen)", "average"};
    struct pl_plot_bar all[PL_GRID_WHERES * BARS];
    const char *names[BARS];
    const bool pass = measure == PL_MEASURE_PASS;
    char name[64];
    size_t n = 0, rows[BARS];

    for (size_t i = 0; i < pl_grid_count && n < BARS; i++)
        if ((pl_grid[i].tables & rows_of) && x->rows[i].count > 0) {
            names[n] = pl_grid[i].title;
            rows[n++] = i;
        }
    if (n == 0)
        return;
    for (int w = 0; w < PL_GRID_WHERES; w++)
        for (size_t k = 0; k < n; k++) {
            struct pl_slice slices[PL_FINDING_SLICES_MAX];
            const size_t count = pl_slice_where(x, (enum pl_grid_where)w, slices);
            const struct pl_grid_published *p = &pl_grid[rows[k]].published[w];

            all[(size_t)w * n + k] = bar_of(pl_finding(&x->rows[rows[k]], measure, slices, count),
                                            pass ? p->pass : p->ttfa);
        }
    snprintf(name, sizeof name, "%s-%s", table, pass ? "pass" : "ttfa");
    pl_gallery_bars(gallery, name,
                    (struct pl_plot_bars){
                        .frame = {.title = pass ? "Pass@1" : "Time to the first answer",
                                  .desc = pass ? "share of right final answers"
                                               : "as a share of the response: less is sooner"},
                        .groups = places,
                        .group_count = PL_GRID_WHERES,
                        .names = names,
                        .name_count = n,
                        .bars = all,
                        .least = 0.0,
                        .most = 1.0,
                        .mark_name = "published"});
}

/* ---- Pass@1 by size ---- */

struct line {
    double x[POINTS], y[POINTS], low[POINTS], high[POINTS];
    size_t n;
};

static void add_sizes(struct line *l, const struct pl_finding_row *row, const char *source,
                      const unsigned *sizes, size_t n)
{
    for (size_t i = 0; i < n && l->n < POINTS; i++, l->n++) {
        const struct pl_slice slice = {source, sizes[i], sizes[i], 1.0};
        const struct pl_figure f = pl_finding(row, PL_MEASURE_PASS, &slice, 1);

        l->x[l->n] = sizes[i];
        l->y[l->n] = f.value;
        l->low[l->n] = f.low;
        l->high[l->n] = f.high;
    }
}

static void by_size(const struct pl_results *x, struct pl_gallery *gallery, bool hops)
{
    static const char *const names[] = {"think-answer", "interleave", "interleave-ir"};
    struct pl_plot_series series[3];
    struct line lines[3] = {0};
    size_t count = 0;

    for (size_t k = 0; k < 3; k++) {
        const struct pl_finding_row *row = pl_results_row(x, names[k]);

        if (row->count == 0)
            continue;
        if (hops) {
            add_sizes(&lines[count], row, "hops", x->hops, x->hops_count);
        } else {
            add_sizes(&lines[count], row, "kk", x->people, x->people_count);
            add_sizes(&lines[count], row, "kk", x->unseen, x->unseen_count);
        }
        series[count] = (struct pl_plot_series){.name = pl_grid_named(names[k])->title,
                                                .x = lines[count].x,
                                                .y = lines[count].y,
                                                .low = lines[count].low,
                                                .high = lines[count].high,
                                                .n = lines[count].n,
                                                .color = k,
                                                .marks = true};
        count++;
    }
    if (count == 0)
        return;
    pl_gallery_lines(
        gallery, hops ? "difficulty-hops" : "difficulty-people",
        (struct pl_plot_lines){
            .frame = {.title = hops ? "Pass@1 by hops" : "Pass@1 by people",
                      .desc = hops ? "questions over facts" : "puzzles; the last sizes are unseen"},
            .x_name = hops ? "hops" : "people",
            .y_least = 0.0,
            .y_most = 1.0,
            .x_whole = true,
            .series = series,
            .count = count});
}

void pl_results_plots(const struct pl_results *results, const char *table,
                      struct pl_gallery *gallery)
{
    static const struct {
        const char *table;
        unsigned rows;
    } tables[] = {{"methods", PL_GRID_MAIN},
                  {"rewards", PL_GRID_REWARDS},
                  {"delayed", PL_GRID_DELAYED},
                  {"algorithms", PL_GRID_ALGORITHMS},
                  {"beyond", PL_GRID_BEYOND}};

    pl_gallery_begin(gallery);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (strcmp(table, tables[i].table) == 0) {
            bars(results, gallery, table, tables[i].rows, PL_MEASURE_PASS);
            bars(results, gallery, table, tables[i].rows, PL_MEASURE_TTFA);
        }
    if (strcmp(table, "difficulty") == 0) {
        by_size(results, gallery, false);
        by_size(results, gallery, true);
    }
    pl_gallery_end(gallery);
}
