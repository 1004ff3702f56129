#include "deploy/view/story_page.h"

#include "common/app/term.h"
#include "common/base/err.h"
#include "deploy/view/page.h"
#include "deploy/view/story_figures.h"
#include "deploy/view/story_samples.h"
#include "deploy/view/ticks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char css[] =
#include <story_css.inc> /* made from story.css */
    ;

enum { FACTS = 11, FACT = 256, CELL = 64 };

const char *pl_story_time(int64_t at_s, char text[PL_STORY_TIME])
{
    const time_t at = (time_t)at_s;
    struct tm tm;

    if (at_s <= 0 || at_s > INT64_C(253402300799) || !gmtime_r(&at, &tm) ||
        strftime(text, PL_STORY_TIME, "%Y-%m-%d %H:%M UTC", &tm) == 0)
        strcpy(text, "-");
    return text;
}

/*
 * (count, columns) cells, a row a run, whose first column is its name: as a list of words for one
 * run, with a column a run for a few, with a row a run for many.
 */
static void put_side_by_side(struct pl_story_page *p, const char *label, const char *const *words,
                             const char *const *cells, size_t columns)
{
    enum { FEW = 8 };
    const size_t count = p->stories->count;
    const char **turned = calloc(columns * (count + 1), sizeof *turned);
    size_t *keys = calloc(count, sizeof *keys);
    char align[64] = "l";
    const char *heads[1 + FEW] = {""};
    struct pl_page_table table = {.label = label, .heads = words, .cells = cells, .rows = count};

    if (!turned || !keys) {
        pl_markup_keep(&p->page.m, PL_ENOMEM);
        goto out;
    }
    for (size_t r = 0; r < count; r++)
        keys[r] = r;
    table.keys = keys;
    table.align = align;
    memset(align, 'l', count <= FEW ? count + 1 : columns);
    if (count == 1) {
        pl_page_facts(&p->page, words + 1, cells + 1, columns - 1);
    } else if (count <= FEW) {
        for (size_t r = 0; r < count; r++)
            heads[1 + r] = p->stories->names[r].full;
        for (size_t c = 1; c < columns; c++) {
            turned[(c - 1) * (count + 1)] = words[c];
            for (size_t r = 0; r < count; r++)
                turned[(c - 1) * (count + 1) + 1 + r] = cells[r * columns + c];
        }
        table.heads = heads;
        table.cells = turned;
        table.rows = columns - 1;
        table.keys_across = true;
        pl_page_table(&p->page, &table);
    } else {
        pl_page_table(&p->page, &table);
    }
out:
    free(turned);
    free(keys);
}

/* ---- what a run is ---- */

static const char *const fact_words[FACTS] = {"run",   "method", "algorithm", "intermediate reward",
                                              "steps", "seed",   "model",     "batch",
                                              "began", "ended",  "folder"};

static const char *or_dash(const char *text)
{
    return text[0] ? text : "-";
}

/* Texts are cut to FACT bytes; escaping mends what is cut within a character. */
static void find_facts(const struct pl_stories *stories, size_t r, char facts[FACTS][FACT])
{
    const struct pl_run_story *run = &stories->runs[r];
    const char *algorithm = pl_run_story_setting(run, "algorithm.adv_estimator");
    const char *paid = pl_run_story_setting(run, "reward.intermediate");
    const char *most = pl_run_story_setting(run, "trainer.total_training_steps");
    char when[PL_STORY_TIME], steps[PL_TICK_TEXT];

    snprintf(facts[0], FACT, "%s", stories->names[r].full);
    snprintf(facts[1], FACT, "%s", or_dash(pl_run_story_setting(run, "data.method")));
    snprintf(facts[2], FACT, "%s%s", or_dash(algorithm),
             strcmp(algorithm, "gae") == 0 ? " (PPO with a critic)" : "");
    snprintf(facts[3], FACT, "%s%s%s", or_dash(paid), paid[0] && strcmp(paid, "none") ? ", " : "",
             strcmp(paid, "none") ? pl_run_story_setting(run, "reward.strategy") : "");
    snprintf(facts[4], FACT, "%s%s%s", pl_number_text(run->last_step, steps), most[0] ? " of " : "",
             most);
    snprintf(facts[5], FACT, "%s", or_dash(pl_run_story_setting(run, "run.seed")));
    snprintf(facts[6], FACT, "%s", or_dash(pl_run_story_setting(run, "model.path")));
    snprintf(facts[7], FACT, "%s prompts, %s samples each",
             or_dash(pl_run_story_setting(run, "data.train_batch_size")),
             or_dash(pl_run_story_setting(run, "rollout.n")));
    snprintf(facts[8], FACT, "%s", pl_story_time(run->began_s, when));
    snprintf(facts[9], FACT, "%s%s", pl_story_time(run->ended_s, when),
             run->finished ? "" : " (not finished)");
    snprintf(facts[10], FACT, "%s", run->dir);
}

static void put_runs(struct pl_story_page *p)
{
    const size_t count = p->stories->count;
    char(*facts)[FACT] = calloc(count * FACTS, FACT);
    const char **cells = calloc(count * FACTS, sizeof *cells);

    if (facts && cells) {
        for (size_t r = 0; r < count; r++)
            find_facts(p->stories, r, &facts[r * FACTS]);
        for (size_t i = 0; i < count * FACTS; i++)
            cells[i] = facts[i];
        put_side_by_side(p, "runs", fact_words, cells, FACTS);
    } else {
        pl_markup_keep(&p->page.m, PL_ENOMEM);
    }
    free(facts);
    free(cells);
}

/* Names in plots that are not the runs' own. */
static void put_letters(struct pl_story_page *p)
{
    struct pl_buf text;

    pl_buf_init(&text, 1 << 16);
    for (size_t r = 0; r < p->stories->count; r++)
        if (strcmp(p->stories->names[r].in_plots, p->stories->names[r].full) != 0)
            (void)pl_buf_printf(&text, "%s%s is %s", text.len > 0 ? "; " : "In plots, ",
                                p->stories->names[r].in_plots, p->stories->names[r].full);
    if (text.len > 0 && p->stories->count > 1)
        pl_page_note(&p->page, text.data);
    pl_buf_release(&text);
}

/* What could not be read of them. */
static void put_troubles(struct pl_story_page *p)
{
    for (size_t r = 0; r < p->stories->count; r++) {
        const struct pl_run_story *run = &p->stories->runs[r];
        char text[640];

        if (run->settings_why[0]) {
            snprintf(text, sizeof text, "%s: settings as far as they can be read: %s",
                     p->stories->names[r].full, run->settings_why);
            pl_page_note(&p->page, text);
        }
        if (run->passed_over > 0 || run->torn) {
            snprintf(text, sizeof text,
                     "%s: of metrics.jsonl %zu lines were passed over: no JSON with a step, or a "
                     "step that came before%s.",
                     p->stories->names[r].full, run->passed_over,
                     run->torn ? "; the last one is not whole yet" : "");
            pl_page_note(&p->page, text);
        }
    }
}

/* ---- what they came to ---- */

static bool is_share(enum pl_story_figure figure)
{
    return figure == PL_STORY_ACCURACY || figure == PL_STORY_BEFORE || figure == PL_STORY_BEST ||
           figure == PL_STORY_TRAIN_ACCURACY || figure == PL_STORY_FORMAT ||
           figure == PL_STORY_INTERMEDIATE || figure == PL_STORY_TTFA;
}

static void write_value(const struct pl_story_value *v, enum pl_story_figure figure,
                        char cell[CELL])
{
    char text[PL_TICK_TEXT], human[PL_HUMAN_MAX];

    if (!isfinite(v->value))
        snprintf(cell, CELL, "-");
    else if (figure == PL_STORY_WALL_S)
        snprintf(cell, CELL, "%s", pl_human_seconds(human, v->value));
    else if (figure == PL_STORY_TOKENS || figure == PL_STORY_TOKENS_PER_S)
        snprintf(cell, CELL, "%s", pl_human_count(human, v->value));
    else if (isfinite(v->low))
        snprintf(cell, CELL, "%.3f (%.3f to %.3f)", v->value, v->low, v->high);
    else if (is_share(figure))
        snprintf(cell, CELL, "%.3f", v->value);
    else
        snprintf(cell, CELL, "%s", pl_number_text(v->value, text));
}

static void put_tiles(struct pl_story_page *p)
{
    static const struct {
        enum pl_story_figure figure;
        const char *word;
    } tiles[] = {{PL_STORY_ACCURACY, "accuracy, last evaluation"},
                 {PL_STORY_BEFORE, "accuracy before training"},
                 {PL_STORY_TTFA, "ttfa, share of a response"},
                 {PL_STORY_LENGTH, "tokens of a response"},
                 {PL_STORY_REWARD, "reward, last 20 steps"},
                 {PL_STORY_TOKENS_PER_S, "tokens a second"}};

    pl_page_tiles(&p->page);
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
        struct pl_story_value v = pl_story_figure(&p->stories->runs[0], tiles[i].figure);
        char figure[CELL], more[CELL] = "";

        if (!isfinite(v.value))
            continue;
        if (isfinite(v.low))
            snprintf(more, sizeof more, "95 %%: %.3f to %.3f", v.low, v.high);
        v.low = NAN;
        write_value(&v, tiles[i].figure, figure);
        pl_page_tile(&p->page, figure, tiles[i].word, more[0] ? more : NULL);
    }
    pl_page_tiles_end(&p->page);
}

static void put_finals(struct pl_story_page *p)
{
    const size_t count = p->stories->count, columns = PL_STORY_FIGURES + 1;
    char(*text)[CELL] = calloc(count * columns, CELL);
    const char **cells = calloc(count * columns, sizeof *cells);
    const char *heads[PL_STORY_FIGURES + 1] = {"run"};

    for (size_t f = 0; f < PL_STORY_FIGURES; f++)
        heads[1 + f] = pl_story_figure_head((enum pl_story_figure)f);
    for (size_t i = 0; text && cells && i < count * columns; i++) {
        const size_t r = i / columns, c = i % columns;
        struct pl_story_value v;

        cells[i] = c > 0 ? text[i] : p->stories->names[r].full;
        if (c == 0)
            continue;
        v = pl_story_figure(&p->stories->runs[r], (enum pl_story_figure)(c - 1));
        write_value(&v, (enum pl_story_figure)(c - 1), text[i]);
    }
    if (text && cells)
        put_side_by_side(p, "figures", heads, cells, columns);
    else
        pl_markup_keep(&p->page.m, PL_ENOMEM);
    free(text);
    free(cells);
}

/* ---- settings ---- */

struct rows {
    const struct pl_stories *stories;
    const char **cells; /* a key and its values */
    size_t count, cap;
    bool full;
};

static void add_row(void *at, const char *key)
{
    struct rows *rows = at;
    const size_t columns = rows->stories->count + 1;

    if (rows->count == rows->cap) {
        const size_t cap = rows->cap ? 2 * rows->cap : 32;
        const char **cells = realloc(rows->cells, cap * columns * sizeof *cells);

        if (!cells) {
            rows->full = true;
            return;
        }
        rows->cells = cells;
        rows->cap = cap;
    }
    rows->cells[rows->count * columns] = key;
    for (size_t r = 0; r < rows->stories->count; r++)
        rows->cells[rows->count * columns + 1 + r] =
            pl_run_story_setting(&rows->stories->runs[r], key);
    rows->count++;
}

static void put_rows(struct pl_story_page *p, const struct rows *rows, const char *label)
{
    const size_t columns = rows->stories->count + 1;
    const char **heads = calloc(columns, sizeof *heads);
    char *align = calloc(columns + 1, 1);

    if (heads && align && !rows->full) {
        memset(align, 'l', columns);
        heads[0] = "setting";
        for (size_t r = 0; r < rows->stories->count; r++)
            heads[1 + r] = p->stories->names[r].full;
        pl_page_table(&p->page, &(struct pl_page_table){.label = label,
                                                        .align = align,
                                                        .heads = heads,
                                                        .cells = rows->cells,
                                                        .rows = rows->count});
    } else {
        pl_markup_keep(&p->page.m, PL_ENOMEM);
    }
    free(heads);
    free(align);
}

static void put_differences(struct pl_story_page *p)
{
    struct rows rows = {.stories = p->stories};

    if (p->stories->count < 2)
        return;
    pl_stories_differences(p->stories, add_row, &rows);
    pl_page_heading(&p->page, "Settings that differ");
    if (rows.count > 0)
        put_rows(p, &rows, "settings that differ");
    else
        pl_page_text(&p->page, "None.");
    free(rows.cells);
}

static void put_settings(struct pl_story_page *p)
{
    pl_page_section(&p->page, "settings", "Settings",
                    "All of them, as each run's config.yaml has them.");
    for (size_t r = 0; r < p->stories->count; r++) {
        const struct pl_stories one = {
            .runs = &p->stories->runs[r], .names = &p->stories->names[r], .count = 1};
        struct rows rows = {.stories = &one};

        for (size_t i = 0; i < one.runs->setting_count; i++)
            add_row(&rows, one.runs->settings[i].key);
        pl_page_details(&p->page, one.names->full);
        put_rows(p, &rows, "settings");
        pl_page_details_end(&p->page);
        free(rows.cells);
    }
    pl_page_section_end(&p->page);
}

/* ---- the page ---- */

static void put_links(struct pl_story_page *p)
{
    const char *const *ids, *const *titles;
    const size_t count = pl_story_sections(&ids, &titles);
    const char *all_ids[16] = {"runs"}, *all_titles[16] = {"Runs"};

    for (size_t i = 0; i < count; i++) {
        all_ids[1 + i] = ids[i];
        all_titles[1 + i] = titles[i];
    }
    all_ids[1 + count] = "samples";
    all_titles[1 + count] = "Sample rollouts";
    all_ids[2 + count] = "settings";
    all_titles[2 + count] = "Settings";
    pl_page_links(&p->page, all_ids, all_titles, count + 3);
}

static void put_left_out(struct pl_story_page *p)
{
    if (p->constants.len > 0) {
        pl_markup_put(&p->page.m, "<p class=\"note\">The same at every step, and so not drawn: ");
        pl_markup_text(&p->page.m, p->constants.data);
        pl_markup_put(&p->page.m, ".</p>\n");
    }
    if (p->missing.len > 0) {
        pl_markup_put(&p->page.m, "<p class=\"note\">Not among the metrics, and so left out: ");
        pl_markup_text(&p->page.m, p->missing.data);
        pl_markup_put(&p->page.m, ".</p>\n");
    }
}

static void put_intro(struct pl_story_page *p)
{
    const bool one = p->stories->count == 1;

    if (one)
        put_tiles(p);
    put_links(p);
    pl_page_section(&p->page, "runs", one ? "The run" : "Runs", NULL);
    if (one)
        pl_page_pair(&p->page);
    put_runs(p);
    if (one)
        pl_page_pair_next(&p->page);
    else
        pl_page_heading(&p->page, "Figures");
    put_finals(p);
    if (one)
        pl_page_pair_end(&p->page);
    put_letters(p);
    put_troubles(p);
    pl_page_note(
        &p->page,
        "Accuracy, form, intermediate answers, ttfa and lengths are of the last "
        "evaluation; \xE2\x80\x9Cin training\xE2\x80\x9D and the reward are of the last 20 "
        "steps; speed is of all. In parentheses: Wilson's 95 % interval, for as many "
        "independent samples as those of the last evaluation are worth. ttfa: the place of "
        "the first answer's first token, as a share of the response.");
    put_differences(p);
    pl_page_section_end(&p->page);
}

/* "a, b, c", or how many there are. */
static void join_names(const struct pl_stories *stories, char *text, size_t size)
{
    size_t len = 0;

    for (size_t r = 0; r < stories->count && len < size; r++)
        len += (size_t)snprintf(text + len, size - len, "%s%s", r > 0 ? ", " : "",
                                stories->names[r].full);
    if (len >= size)
        snprintf(text, size, "%zu runs", stories->count);
}

int pl_story_page(const struct pl_stories *stories, const char *title, struct pl_buf *out,
                  size_t *ret_plots)
{
    struct pl_story_page p = {.stories = stories};
    char own[PL_STORY_NAME + 32], footer[96];
    int rc;

    if (stories->count == 1)
        snprintf(own, sizeof own, "%s", stories->names[0].full);
    else
        join_names(stories, own, sizeof own);
    pl_page_begin(&p.page,
                  &(struct pl_page_opts){.title = title ? title : own,
                                         .subtitle = stories->count == 1
                                                         ? "a run of plait, training by reward"
                                                         : "runs of plait, training by reward",
                                         .css = css},
                  out);
    put_intro(&p);
    pl_story_figures(&p);
    put_left_out(&p);
    pl_story_samples(&p);
    put_settings(&p);
    snprintf(footer, sizeof footer, "Made by plait report, version %s.", PL_VERSION);
    rc = pl_page_end(&p.page, footer);
    pl_buf_release(&p.missing);
    pl_buf_release(&p.constants);
    if (ret_plots)
        *ret_plots = p.plots;
    return rc;
}
