#include "deploy/view/story_bars.h"

#include "common/base/err.h"
#include "deploy/view/plot.h"
#include "deploy/view/ticks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELL = 48, LEVELS_MAX = 32 };

/* The last is what is left of a step. */
const char *const pl_story_part_names[PL_STORY_PARTS] = {
    "waiting",         "reference",   "values",     "critic's update",
    "policy's update", "weights out", "checkpoint", "the rest"};

static const char *const part_metrics[PL_STORY_PARTS - 1] = {
    "timing_s/wait",           "timing_s/ref",          "timing_s/values",
    "timing_s/update_critic",  "timing_s/update_actor", "timing_s/update_weights",
    "timing_s/save_checkpoint"};

void pl_story_parts(const struct pl_run_story *run, double ret_parts[PL_STORY_PARTS])
{
    const struct pl_series *step = pl_run_story_metric(run, "timing_s/step", false);
    double left = step ? pl_series_mean_all(step) : NAN;

    for (size_t i = 0; i + 1 < PL_STORY_PARTS; i++) {
        const struct pl_series *s = pl_run_story_metric(run, part_metrics[i], false);

        ret_parts[i] = s ? pl_series_mean_all(s) : NAN;
        if (isfinite(ret_parts[i]))
            left -= ret_parts[i];
    }
    ret_parts[PL_STORY_PARTS - 1] = left < 0.0 ? 0.0 : left;
}

/* A table of rows x columns numbers under a plot. */
static void put_table(struct pl_story_page *p, const char *label, const char *const *rows,
                      size_t row_count, const char *const *columns, size_t column_count,
                      char (*text)[CELL])
{
    const size_t wide = column_count + 1;
    const char **cells = calloc(row_count * wide + 1, sizeof *cells);
    const char **heads = calloc(wide + 1, sizeof *heads);
    char *align = calloc(wide + 1, 1);

    if (cells && heads && align) {
        heads[0] = "";
        memset(align, 'r', wide);
        align[0] = 'l';
        for (size_t c = 0; c < column_count; c++)
            heads[1 + c] = columns[c];
        for (size_t r = 0; r < row_count; r++) {
            cells[r * wide] = rows[r];
            for (size_t c = 0; c < column_count; c++)
                cells[r * wide + 1 + c] = text[r * column_count + c];
        }
        pl_page_details(&p->page, "Numbers");
        pl_page_table(
            &p->page,
            &(struct pl_page_table){
                .label = label, .align = align, .heads = heads, .cells = cells, .rows = row_count});
        pl_page_details_end(&p->page);
    } else {
        pl_markup_keep(&p->page.m, PL_ENOMEM);
    }
    free(cells);
    free(heads);
    free(align);
}

/* ---- what a step's time goes into ---- */

/* Those that one run at least has: their numbers to ret_parts; returns how many. */
static size_t known_parts(const struct pl_story_page *p, size_t ret_parts[PL_STORY_PARTS])
{
    size_t count = 0;

    for (size_t i = 0; i < PL_STORY_PARTS; i++) {
        bool known = false;

        for (size_t r = 0; r < p->stories->count; r++) {
            double parts[PL_STORY_PARTS];

            pl_story_parts(&p->stories->runs[r], parts);
            known = known || isfinite(parts[i]);
        }
        if (known)
            ret_parts[count++] = i;
    }
    return count;
}

static void put_parts(struct pl_story_page *p)
{
    static const char title[] = "What a step's time goes into";
    const size_t runs = p->stories->count;
    size_t known[PL_STORY_PARTS];
    const size_t count = known_parts(p, known);
    double *values = calloc(runs * PL_STORY_PARTS, sizeof *values);
    const char **names = calloc(runs, sizeof *names), *parts[PL_STORY_PARTS];
    char(*text)[CELL] = calloc(runs * PL_STORY_PARTS, CELL);
    char id[PL_PAGE_ID];

    for (size_t i = 0; i < count; i++)
        parts[i] = pl_story_part_names[known[i]];
    for (size_t r = 0; values && names && text && r < runs; r++) {
        double all[PL_STORY_PARTS];

        names[r] = p->stories->names[r].in_plots;
        pl_story_parts(&p->stories->runs[r], all);
        for (size_t i = 0; i < count; i++) {
            values[r * count + i] = all[known[i]];
            (void)pl_number_text(all[known[i]], text[r * count + i]);
        }
    }
    if (!values || !names || !text) {
        pl_markup_keep(&p->page.m, PL_ENOMEM);
    } else if (count > 0) {
        pl_page_figure(&p->page, title, "seconds, means over the run; waiting: for samples", false);
        pl_markup_keep(
            &p->page.m,
            pl_plot_stack(&(struct pl_plot_stack){.frame = {.id = pl_page_id(&p->page, id),
                                                            .title = title,
                                                            .desc = "the numbers are in the table"},
                                                  .rows = names,
                                                  .row_count = runs,
                                                  .parts = parts,
                                                  .part_count = count,
                                                  .values = values,
                                                  .unit = "s"},
                          p->page.m.out));
        put_table(p, title, names, runs, parts, count, text);
        pl_page_figure_end(&p->page);
        p->plots++;
    }
    free(values);
    free(names);
    free(text);
}

/* ---- accuracy by difficulty, at the end ---- */

static void fill_levels(const struct pl_story_page *p, char levels[][PL_STORY_LEVEL], size_t count,
                        struct pl_plot_bar *bars, char (*text)[CELL])
{
    const size_t runs = p->stories->count;

    for (size_t i = 0; i < count * runs; i++) {
        const struct pl_story_value v =
            pl_story_level_value(&p->stories->runs[i % runs], levels[i / runs]);
        char t[3][PL_TICK_TEXT];

        bars[i] = (struct pl_plot_bar){v.value, v.low, v.high, NAN};
        snprintf(text[i], CELL, isfinite(v.low) ? "%s (%.3f to %.3f)" : "%s",
                 pl_number_text(v.value, t[0]), v.low, v.high);
    }
}

static void put_levels(struct pl_story_page *p)
{
    static const char title[] = "Accuracy by difficulty, last evaluation";
    const size_t runs = p->stories->count;
    char levels[LEVELS_MAX][PL_STORY_LEVEL];
    const char *groups[LEVELS_MAX];
    const size_t count = pl_stories_levels(p->stories, LEVELS_MAX, levels);
    struct pl_plot_bar *bars = calloc(count * runs + 1, sizeof *bars);
    const char **names = calloc(runs, sizeof *names);
    char(*text)[CELL] = calloc(count * runs + 1, CELL);
    char id[PL_PAGE_ID];

    if (!bars || !names || !text)
        pl_markup_keep(&p->page.m, PL_ENOMEM);
    if (bars && names && text && count > 0 && runs > 1) {
        for (size_t r = 0; r < runs; r++)
            names[r] = p->stories->names[r].in_plots;
        for (size_t i = 0; i < count; i++)
            groups[i] = levels[i];
        fill_levels(p, levels, count, bars, text);
        pl_page_figure(&p->page, title,
                       "share of samples whose final answer is right; 95 % interval", false);
        pl_markup_keep(
            &p->page.m,
            pl_plot_bars(&(struct pl_plot_bars){.frame = {.id = pl_page_id(&p->page, id),
                                                          .title = title,
                                                          .desc = "the numbers are in the table"},
                                                .groups = groups,
                                                .group_count = count,
                                                .names = names,
                                                .name_count = runs,
                                                .bars = bars,
                                                .least = 0,
                                                .most = NAN},
                         p->page.m.out));
        put_table(p, title, groups, count, names, runs, text);
        pl_page_figure_end(&p->page);
        p->plots++;
    }
    free(bars);
    free(names);
    free(text);
}

/* ---- lengths of the last rollouts ---- */

/* Counts by bins of right ones, then of wrong ones; returns how many bins, 0: there are none. */
static size_t bin_lengths(const struct pl_rollout_file *file, double edges[PL_PLOT_BINS_MAX + 1],
                          double counts[2 * PL_PLOT_BINS_MAX])
{
    size_t least = PL_ROLLOUT_LENGTHS, most = 0, bins;

    for (size_t i = 0; i < PL_ROLLOUT_LENGTHS; i++)
        if (file->lengths[0][i] + file->lengths[1][i] > 0) {
            least = i < least ? i : least;
            most = i;
        }
    if (least == PL_ROLLOUT_LENGTHS)
        return 0;
    bins = pl_plot_bins((double)least, (double)most, 10, true, edges);
    for (size_t k = 0; k < 2 * bins; k++)
        counts[k] = 0.0;
    for (size_t i = least; i <= most; i++) {
        size_t bin = 0;

        while (bin + 1 < bins && (double)i >= edges[bin + 1])
            bin++;
        counts[bin] += (double)file->lengths[1][i];
        counts[bins + bin] += (double)file->lengths[0][i];
    }
    return bins;
}

static void put_lengths(struct pl_story_page *p, size_t run)
{
    static const char *const names[] = {"right", "wrong"};
    static const size_t colors[] = {0, 1};
    const struct pl_run_story *story = &p->stories->runs[run];
    double edges[PL_PLOT_BINS_MAX + 1], counts[2 * PL_PLOT_BINS_MAX];
    const size_t bins = story->train ? bin_lengths(story->train, edges, counts) : 0;
    char rows[PL_PLOT_BINS_MAX][CELL], text[2 * PL_PLOT_BINS_MAX][CELL], title[160], about[80];
    const char *row_names[PL_PLOT_BINS_MAX];
    char id[PL_PAGE_ID];

    if (bins == 0)
        return;
    snprintf(title, sizeof title, "Response lengths%s%s", p->stories->count > 1 ? ": " : "",
             p->stories->count > 1 ? p->stories->names[run].full : "");
    snprintf(about, sizeof about, "samples of step %llu, by tokens",
             (unsigned long long)story->train_step);
    for (size_t b = 0; b < bins; b++) {
        snprintf(rows[b], CELL, "%.0f to %.0f", edges[b], edges[b + 1] - 1);
        row_names[b] = rows[b];
        for (size_t k = 0; k < 2; k++)
            snprintf(text[2 * b + k], CELL, "%.0f", counts[k * bins + b]);
    }
    pl_page_figure(&p->page, title, about, false);
    pl_markup_keep(&p->page.m,
                   pl_plot_counts(
                       &(struct pl_plot_counts){
                           .frame = {.id = pl_page_id(&p->page, id), .title = title, .desc = about},
                           .x_name = "tokens",
                           .edges = edges,
                           .n = bins,
                           .names = names,
                           .counts = counts,
                           .colors = colors,
                           .name_count = 2},
                       p->page.m.out));
    put_table(p, title, row_names, bins, names, 2, text);
    pl_page_figure_end(&p->page);
    p->plots++;
}

void pl_story_bars(struct pl_story_page *page, const char *section)
{
    if (strcmp(section, "answers") == 0)
        put_levels(page);
    if (strcmp(section, "speed") == 0)
        put_parts(page);
    for (size_t r = 0; strcmp(section, "latency") == 0 && r < page->stories->count && r < 8; r++)
        put_lengths(page, r);
}
