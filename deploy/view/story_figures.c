#include "deploy/view/story_figures.h"

#include "common/base/err.h"
#include "deploy/view/curve.h"
#include "deploy/view/plot.h"
#include "deploy/view/story_bars.h"
#include "deploy/view/story_specs.h"
#include "deploy/view/ticks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CURVES_MAX = 64, NUMBER_ROWS = 24, CELL = 48 };

size_t pl_story_sections(const char *const **ret_ids, const char *const **ret_titles)
{
    *ret_ids = pl_story_section_ids;
    *ret_titles = pl_story_section_titles;
    return PL_STORY_SECTIONS;
}

/* ---- one figure ---- */

struct figure {
    const char *title, *about;
    unsigned flags;
    struct pl_curve curves[CURVES_MAX];
    size_t count;
};

static void add_curve(struct pl_story_page *p, struct figure *f, const struct pl_series *series,
                      const char *name, size_t color, const struct pl_rollout_level *level)
{
    const struct pl_curve_ask ask = {.name = name,
                                     .color = color,
                                     .series = series,
                                     .level = level,
                                     .eval = f->flags & PL_SPEC_EVAL,
                                     .exact = f->flags & PL_SPEC_EXACT,
                                     .raw = p->stories->count == 1 && !(f->flags & PL_SPEC_RATE)};
    int rc;

    if (!series || series->count == 0 || isnan(pl_series_least(series)) || f->count == CURVES_MAX)
        return;
    rc = pl_curve_make(&ask, &f->curves[f->count]);
    pl_markup_keep(&p->page.m, rc);
    f->count += rc == PL_OK;
}

static void release(struct figure *f)
{
    for (size_t i = 0; i < f->count; i++)
        pl_curve_release(&f->curves[i]);
    f->count = 0;
}

/* Samples such as those behind the value: of the last file of the kind. */
static const struct pl_rollout_level *level_of(const struct pl_run_story *run, unsigned flags)
{
    const struct pl_rollout_file *file = flags & PL_SPEC_EVAL ? run->eval : run->train;

    return (flags & PL_SPEC_COUNTED) && file ? &file->levels[0] : NULL;
}

/* "think-answer: 0.122 at step 0, 0.46 at step 60, between 0.1 and 0.5." */
static void describe(const struct figure *f, struct pl_buf *desc)
{
    pl_buf_clear(desc);
    for (size_t i = 0; i < f->count; i++) {
        const struct pl_curve *c = &f->curves[i];
        const double first = pl_series_mean(&c->ask.series->cells[0]);
        char t[6][PL_TICK_TEXT];

        (void)pl_buf_printf(desc, "%s%s%s%s at step %s, %s at step %s; from %s to %s.",
                            i > 0 ? " " : "", c->ask.name ? c->ask.name : "",
                            c->ask.name ? ": " : "", pl_number_text(first, t[0]),
                            pl_number_text(c->ask.series->cells[0].x_first, t[1]),
                            pl_number_text(pl_series_last(c->ask.series), t[2]),
                            pl_number_text(c->ask.series->x_last, t[3]),
                            pl_number_text(pl_series_least(c->ask.series), t[4]),
                            pl_number_text(pl_series_most(c->ask.series), t[5]));
    }
}

static void put_plot(struct pl_story_page *p, const struct figure *f)
{
    struct pl_plot_series lines[2 * CURVES_MAX];
    char id[PL_PAGE_ID];
    struct pl_buf desc;
    struct pl_plot_lines plot = {.x_name = "step", .x_whole = true, .series = lines};

    pl_buf_init(&desc, 1 << 16);
    describe(f, &desc);
    plot.frame = (struct pl_plot_frame){
        .id = pl_page_id(&p->page, id), .title = f->title, .desc = desc.data ? desc.data : ""};
    plot.y_least = f->flags & (PL_SPEC_SHARE | PL_SPEC_FROM_ZERO) ? 0.0 : NAN;
    plot.y_most = NAN;
    for (size_t i = 0; i < f->count; i++) /* pale ones first: they lie under all others */
        if (pl_curve_lines(&f->curves[i], &lines[plot.count]) == 2)
            plot.count++;
    for (size_t i = 0; i < f->count; i++) {
        struct pl_plot_series two[2];
        const size_t n = pl_curve_lines(&f->curves[i], two);

        lines[plot.count++] = two[n - 1];
    }
    pl_markup_keep(&p->page.m, pl_plot_lines(&plot, p->page.m.out));
    pl_buf_release(&desc);
    p->plots++;
}

/* ---- its numbers ---- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Steps of all curves, each once, evenly thinned out to NUMBER_ROWS; returns how many. */
static size_t find_steps(const struct figure *f, double ret_steps[NUMBER_ROWS])
{
    size_t all = 0, kept = 0, rows = 0;
    double *steps;

    for (size_t i = 0; i < f->count; i++)
        all += f->curves[i].n;
    steps = malloc((all + 1) * sizeof *steps);
    if (!steps)
        return 0;
    all = 0;
    for (size_t i = 0; i < f->count; i++)
        for (size_t k = 0; k < f->curves[i].n; k++)
            steps[all++] = f->curves[i].ask.series->cells[k].x_last;
    qsort(steps, all, sizeof *steps, by_value);
    for (size_t i = 0; i < all; i++)
        if (kept == 0 || steps[i] != steps[kept - 1])
            steps[kept++] = steps[i];
    for (size_t i = 0; i < NUMBER_ROWS && kept > 0; i++) {
        const size_t at = kept <= NUMBER_ROWS ? i : i * (kept - 1) / (NUMBER_ROWS - 1);

        if (at < kept)
            ret_steps[rows++] = steps[at];
    }
    free(steps);
    return rows;
}

static void put_number(const struct pl_curve *c, double step, char cell[CELL])
{
    const struct pl_series_cell *at = pl_series_find(c->ask.series, step);
    const size_t i = at ? (size_t)(at - c->ask.series->cells) : 0;
    char y[PL_TICK_TEXT], low[PL_TICK_TEXT], high[PL_TICK_TEXT];

    if (!at)
        snprintf(cell, CELL, "%s", "");
    else if (c->low && isfinite(c->low[i]))
        snprintf(cell, CELL, "%s (%s to %s)", pl_number_text(c->y[i], y),
                 pl_number_text(round(c->low[i] * 1000) / 1000, low),
                 pl_number_text(round(c->high[i] * 1000) / 1000, high));
    else
        snprintf(cell, CELL, "%s", pl_number_text(c->y[i], y));
}

static void put_numbers(struct pl_story_page *p, const struct figure *f)
{
    const size_t columns = 1 + f->count;
    double steps[NUMBER_ROWS];
    const size_t rows = find_steps(f, steps);
    char(*text)[CELL] = calloc(rows * columns + 1, CELL);
    const char **cells = calloc(rows * columns + 1, sizeof *cells);
    const char *heads[1 + CURVES_MAX] = {"step"};
    char align[2 + CURVES_MAX] = "r";

    for (size_t i = 0; i < f->count; i++) {
        heads[1 + i] = f->curves[i].ask.name ? f->curves[i].ask.name : "value";
        strcat(align, "r");
    }
    for (size_t i = 0; text && cells && i < rows * columns; i++) {
        const size_t row = i / columns, column = i % columns;

        cells[i] = text[i];
        if (column == 0)
            (void)pl_number_text(steps[row], text[i]);
        else
            put_number(&f->curves[column - 1], steps[row], text[i]);
    }
    if (text && cells) {
        pl_page_details(&p->page, "Numbers");
        pl_page_table(
            &p->page,
            &(struct pl_page_table){
                .align = align, .heads = heads, .cells = cells, .rows = rows, .label = f->title});
        pl_page_details_end(&p->page);
    } else {
        pl_markup_keep(&p->page.m, PL_ENOMEM);
    }
    free(text);
    free(cells);
}

static void put_figure(struct pl_story_page *p, const struct figure *f)
{
    bool interval = false;
    char about[200];

    for (size_t i = 0; i < f->count; i++)
        interval = interval || f->curves[i].low;
    snprintf(about, sizeof about, "%s%s", f->about,
             interval ? (f->about[0] ? "; 95 % interval" : "95 % interval") : "");
    pl_page_figure(&p->page, f->title, about, false);
    put_plot(p, f);
    put_numbers(p, f);
    pl_page_figure_end(&p->page);
}

/* ---- what is not drawn ---- */

static void list(struct pl_buf *buf, const char *between, const char *text)
{
    if (buf->len > 0)
        (void)pl_buf_puts(buf, between);
    (void)pl_buf_puts(buf, text);
}

static bool never_changes(const struct figure *f)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct pl_series *s = f->curves[i].ask.series;

        if (pl_series_least(s) != pl_series_most(s))
            return false;
    }
    return true;
}

/* "Staleness 1" or "Staleness 1 (a), 0 (b)" */
static void tell_constant(struct pl_story_page *p, const struct figure *f)
{
    bool same = true;
    char text[PL_TICK_TEXT];

    for (size_t i = 1; i < f->count; i++)
        same = same &&
               pl_series_least(f->curves[i].ask.series) == pl_series_least(f->curves[0].ask.series);
    list(&p->constants, "; ", f->title);
    for (size_t i = 0; i < (same ? 1 : f->count); i++) {
        (void)pl_buf_printf(&p->constants, "%s %s", i > 0 ? "," : "",
                            pl_number_text(pl_series_least(f->curves[i].ask.series), text));
        if (!same && f->curves[i].ask.name)
            (void)pl_buf_printf(&p->constants, " (%s)", f->curves[i].ask.name);
    }
}

static void finish(struct pl_story_page *p, struct figure *f)
{
    if (f->count == 0)
        list(&p->missing, ", ", f->title);
    else if ((f->flags & PL_SPEC_PLAIN) && never_changes(f))
        tell_constant(p, f);
    else
        put_figure(p, f);
    release(f);
}

/* ---- from metrics to figures ---- */

static const char *run_name(const struct pl_story_page *p, size_t run)
{
    return p->stories->count > 1 ? p->stories->names[run].in_plots : NULL;
}

/* One run: all its lines in one plot. */
static void draw_together(struct pl_story_page *p, const struct pl_story_spec *spec)
{
    const struct pl_run_story *run = &p->stories->runs[0];
    struct figure f = {spec->title, spec->about, spec->flags, .count = 0};
    size_t lines = 0;

    for (size_t i = 0; i < PL_SPEC_LINES && spec->lines[i].metric; i++)
        lines += pl_stories_have(p->stories, spec->lines[i].metric, spec->flags & PL_SPEC_EVAL);
    for (size_t i = 0; i < PL_SPEC_LINES && spec->lines[i].metric; i++)
        add_curve(p, &f,
                  pl_run_story_metric(run, spec->lines[i].metric, spec->flags & PL_SPEC_EVAL),
                  lines > 1 ? spec->lines[i].name : NULL, i, level_of(run, spec->flags));
    finish(p, &f);
}

/* Several runs: a plot for each metric. */
static void draw_apart(struct pl_story_page *p, const struct pl_story_spec *spec)
{
    const bool eval = spec->flags & PL_SPEC_EVAL, named = spec->lines[1].metric != NULL;
    bool any = false;

    for (size_t i = 0; i < PL_SPEC_LINES && spec->lines[i].metric; i++)
        any = any || pl_stories_have(p->stories, spec->lines[i].metric, eval);
    if (!any) {
        list(&p->missing, ", ", spec->title);
        return;
    }
    for (size_t i = 0; i < PL_SPEC_LINES && spec->lines[i].metric; i++) {
        struct figure f = {spec->title, spec->about, spec->flags, .count = 0};
        char title[128];

        snprintf(title, sizeof title, "%s%s%s", spec->title, named ? ": " : "",
                 named ? spec->lines[i].name : "");
        f.title = title;
        for (size_t r = 0; r < p->stories->count; r++) {
            const struct pl_run_story *run = &p->stories->runs[r];

            add_curve(p, &f, pl_run_story_metric(run, spec->lines[i].metric, eval), run_name(p, r),
                      r, level_of(run, spec->flags));
        }
        finish(p, &f);
    }
}

/* Accuracy by difficulty: lines of one run; or a plot for each difficulty. */
static void draw_levels(struct pl_story_page *p)
{
    enum { LEVELS_MAX = 32 };
    static const char about[] = "share of an evaluation's samples whose final answer is right";
    char levels[LEVELS_MAX][PL_STORY_LEVEL];
    const size_t count = pl_stories_levels(p->stories, LEVELS_MAX, levels);
    const bool one = p->stories->count == 1;
    struct figure f = {"Accuracy by difficulty", about,
                       PL_SPEC_SHARE | PL_SPEC_EVAL | PL_SPEC_COUNTED, .count = 0};

    for (size_t i = 0; i < count; i++) {
        char title[128];

        snprintf(title, sizeof title, "Accuracy: %s", levels[i]);
        for (size_t r = 0; r < p->stories->count; r++) {
            const struct pl_run_story *run = &p->stories->runs[r];

            add_curve(p, &f, pl_story_level(run, levels[i]), one ? levels[i] : run_name(p, r),
                      one ? i : r, run->eval ? pl_rollout_file_level(run->eval, levels[i]) : NULL);
        }
        f.title = one ? f.title : title;
        if (!one)
            finish(p, &f);
    }
    if (one || count == 0)
        finish(p, &f);
}

/* Which steps a point of a line stands for. */
static void tell_means(struct pl_story_page *p)
{
    size_t least = SIZE_MAX, most = 0;
    bool cells = false;
    char text[200], upto[32] = "";

    for (size_t r = 0; r < p->stories->count; r++) {
        const struct pl_series *s =
            pl_run_story_metric(&p->stories->runs[r], "critic/score/mean", false);
        const size_t steps = s ? pl_curve_window(s) * (s->per_cell ? s->per_cell : 1) : 1;

        cells = cells || (s && s->per_cell > 1);
        least = steps < least ? steps : least;
        most = steps > most ? steps : most;
    }
    if (most < 2)
        return;
    if (least < most)
        snprintf(upto, sizeof upto, " to %zu", most);
    snprintf(text, sizeof text,
             "Lines over training steps are means over the %zu%s steps around%s. Evaluations are "
             "shown one by one.",
             least, upto,
             p->stories->count > 1 ? ""
             : cells               ? "; pale: least and most of neighbours"
                                   : "; pale: each step");
    pl_page_note(&p->page, text);
}

static void draw_section(struct pl_story_page *p, enum pl_story_section section)
{
    pl_page_section(&p->page, pl_story_section_ids[section], pl_story_section_titles[section],
                    pl_story_section_abouts[section]);
    if (section == PL_STORY_ANSWERS)
        tell_means(p);
    pl_page_grid(&p->page);
    for (size_t i = 0; i < pl_story_spec_count; i++) {
        if (pl_story_specs[i].section != section)
            continue;
        if (p->stories->count == 1)
            draw_together(p, &pl_story_specs[i]);
        else
            draw_apart(p, &pl_story_specs[i]);
        if (pl_story_specs[i].flags & PL_SPEC_EVAL)
            draw_levels(p);
    }
    pl_story_bars(p, pl_story_section_ids[section]);
    pl_page_grid_end(&p->page);
    pl_page_section_end(&p->page);
}

void pl_story_figures(struct pl_story_page *page)
{
    pl_buf_init(&page->missing, 1 << 16);
    pl_buf_init(&page->constants, 1 << 16);
    for (enum pl_story_section s = 0; s < PL_STORY_SECTIONS; s++)
        draw_section(page, s);
}
