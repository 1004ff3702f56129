#include "deploy/paper/results_tables.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 64, TIMES = 256 };

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* "0.53 (0.50-0.56)", "-" where there is none. */
static const char *share(char text[TEXT], struct pl_figure f)
{
    if (isnan(f.value))
        return "-";
    if (isnan(f.low))
        snprintf(text, TEXT, "%.3f", f.value);
    else
        snprintf(text, TEXT, "%.3f (%.3f-%.3f)", f.value, f.low, f.high);
    return text;
}

static const char *plain(char text[TEXT], double value)
{
    if (isnan(value))
        return "-";
    snprintf(text, TEXT, "%.3f", value);
    return text;
}

static const char *points(char text[TEXT], struct pl_figure f)
{
    if (isnan(f.value))
        return "-";
    snprintf(text, TEXT, "%+.1f (%+.1f to %+.1f)", 100 * f.value, 100 * f.low, 100 * f.high);
    return text;
}

static struct pl_figure at(const struct pl_results *x, const struct pl_finding_row *row,
                           enum pl_measure measure, enum pl_grid_where where)
{
    struct pl_slice slices[PL_FINDING_SLICES_MAX];
    const size_t n = pl_slice_where(x, where, slices);

    return pl_finding(row, measure, slices, n);
}

static void put_seeds(struct pl_sheet *s, const struct pl_finding_row *row)
{
    pl_sheet_cell(s, row->count > 0 ? "%zu" : "-", row->count);
}

/* ---- methods ---- */

static void put_method(const struct pl_results *x, struct pl_sheet *s, const char *title,
                       const struct pl_finding_row *row, const struct pl_grid_row *grid)
{
    char text[TEXT];

    pl_sheet_cell(s, "%s", title);
    put_seeds(s, row);
    for (int w = PL_GRID_KK; w < PL_GRID_WHERES; w++) {
        const enum pl_grid_where where = (enum pl_grid_where)w;

        pl_sheet_cell(s, "%s", share(text, at(x, row, PL_MEASURE_PASS, where)));
        pl_sheet_cell(s, "%s", plain(text, at(x, row, PL_MEASURE_TTFA, where).value));
    }
    for (int w = PL_GRID_KK; w < PL_GRID_WHERES; w++) {
        const struct pl_grid_published *p = grid ? &grid->published[w] : NULL;
        char ttfa[TEXT];

        if (w == PL_GRID_UNSEEN)
            continue;
        pl_sheet_cell(s, "%s / %s", plain(text, p ? p->pass : (double)NAN),
                      plain(ttfa, p ? p->ttfa : (double)NAN));
    }
}

static void add_columns(struct pl_sheet *s, const char *const *heads, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pl_sheet_column(s, "%s", heads[i]);
}

static void fill_methods(const struct pl_results *x, struct pl_sheet *s)
{
    static const char *const heads[] = {
        "method", "seeds",   "kk",   "ttfa",       "hops",           "ttfa",          "arith",
        "ttfa",   "average", "ttfa", "paper: K&K", "paper: MuSiQue", "paper: average"};

    pl_sheet_init(
        s, "methods", "Methods (the paper's Table 2)",
        "Pass@1 with 95 % intervals over tasks and seeds, and ttfa: the place of the first "
        "answer's first token as a share of the response. kk: puzzles of all sizes that "
        "were trained; hops: questions over facts; arith: chained arithmetic, read in "
        "worked answers and never trained by reward. direct, CoT and SFT are the warm "
        "start asked for that form, or fine-tuned further. Beside them Pass@1 / TTFT of "
        "the paper for Qwen2.5-1.5B-Instruct with PPO; hops stands where MuSiQue does.");
    add_columns(s, heads, sizeof heads / sizeof *heads);
    for (size_t i = 0; i < pl_grid_count; i++)
        if (pl_grid[i].tables & PL_GRID_MAIN)
            put_method(x, s, pl_grid[i].title, &x->rows[i], &pl_grid[i]);
    put_method(x, s, "think-answer, before", &x->before[PL_METHOD_THINK_ANSWER], NULL);
    put_method(x, s, "interleave, before", &x->before[PL_METHOD_INTERLEAVE], NULL);
}

/* ---- difficulty ---- */

/* b: what is gained over it; NULL: a itself. */
static void put_sizes(struct pl_sheet *s, const struct pl_finding_row *a,
                      const struct pl_finding_row *b, const char *source, const unsigned *sizes,
                      size_t n)
{
    char text[TEXT];

    for (size_t i = 0; i < n; i++) {
        const struct pl_slice slice = {source, sizes[i], sizes[i], 1.0};

        if (b)
            pl_sheet_cell(s, "%s", points(text, pl_finding_gain(a, b, PL_MEASURE_PASS, &slice, 1)));
        else
            pl_sheet_cell(s, "%s", share(text, pl_finding(a, PL_MEASURE_PASS, &slice, 1)));
    }
}

static void put_difficulty(const struct pl_results *x, struct pl_sheet *s, const char *title,
                           const struct pl_finding_row *a, const struct pl_finding_row *b)
{
    pl_sheet_cell(s, "%s", title);
    put_sizes(s, a, b, "kk", x->people, x->people_count);
    put_sizes(s, a, b, "kk", x->unseen, x->unseen_count);
    put_sizes(s, a, b, "hops", x->hops, x->hops_count);
}

static void fill_difficulty(const struct pl_results *x, struct pl_sheet *s)
{
    const struct pl_finding_row *think = pl_results_row(x, "think-answer");
    const struct pl_finding_row *inter = pl_results_row(x, "interleave");
    const struct pl_finding_row *ir = pl_results_row(x, "interleave-ir");

    pl_sheet_init(
        s, "difficulty", "By difficulty",
        "Pass@1 by the size of the puzzle or question; then what is gained over "
        "think-answer, in points, on the same tasks. Puzzles of an unseen size were in no "
        "training.");
    pl_sheet_column(s, "method");
    for (size_t i = 0; i < x->people_count; i++)
        pl_sheet_column(s, "%u people", x->people[i]);
    for (size_t i = 0; i < x->unseen_count; i++)
        pl_sheet_column(s, "%u people, unseen", x->unseen[i]);
    for (size_t i = 0; i < x->hops_count; i++)
        pl_sheet_column(s, "%u hops", x->hops[i]);
    put_difficulty(x, s, "think-answer", think, NULL);
    put_difficulty(x, s, "interleave", inter, NULL);
    put_difficulty(x, s, "interleave + IR", ir, NULL);
    put_difficulty(x, s, "gain of interleave", inter, think);
    put_difficulty(x, s, "gain of interleave + IR", ir, think);
}

/* ---- ablations ---- */

/* What the paper has for a row in that table: our main rows are trained by GRPO, the paper's by
 * PPO, so that among algorithms its GRPO stands beside ours. */
static struct pl_grid_published published(const struct pl_grid_row *row, enum pl_grid_table table)
{
    static const struct pl_grid_published grpo = {.481, .171};

    return table == PL_GRID_ALGORITHMS && strcmp(row->name, "interleave-ir") == 0
               ? grpo
               : row->published[PL_GRID_ALL];
}

static void fill_rows(const struct pl_results *x, struct pl_sheet *s, enum pl_grid_table table)
{
    static const char *const heads[] = {"row",  "seeds",          "kk",         "hops", "average",
                                        "ttfa", "paper: average", "paper: ttfa"};
    char text[TEXT];

    add_columns(s, heads, sizeof heads / sizeof *heads);
    for (size_t i = 0; i < pl_grid_count; i++) {
        const struct pl_grid_row *grid = &pl_grid[i];
        const struct pl_finding_row *row = &x->rows[i];

        if (!(grid->tables & (unsigned)table))
            continue;
        pl_sheet_cell(s, "%s", grid->title);
        put_seeds(s, row);
        pl_sheet_cell(s, "%s", share(text, at(x, row, PL_MEASURE_PASS, PL_GRID_KK)));
        pl_sheet_cell(s, "%s", share(text, at(x, row, PL_MEASURE_PASS, PL_GRID_HOPS)));
        pl_sheet_cell(s, "%s", share(text, at(x, row, PL_MEASURE_PASS, PL_GRID_ALL)));
        pl_sheet_cell(s, "%s", plain(text, at(x, row, PL_MEASURE_TTFA, PL_GRID_ALL).value));
        pl_sheet_cell(s, "%s", plain(text, published(grid, table).pass));
        pl_sheet_cell(s, "%s", plain(text, published(grid, table).ttfa));
    }
}

static void fill_ablations(const struct pl_results *x, struct pl_sheet *sheets)
{
    pl_sheet_init(&sheets[0], "rewards", "Strategies of the intermediate reward",
                  "interleave pays none; interleave + IR is conditional and discounted by time.");
    fill_rows(x, &sheets[0], PL_GRID_REWARDS);
    pl_sheet_init(&sheets[1], "delayed", "Delayed answers",
                  "The intermediate answers come after all thinking.");
    fill_rows(x, &sheets[1], PL_GRID_DELAYED);
    pl_sheet_init(&sheets[2], "algorithms", "Algorithms",
                  "interleave + IR is trained by GRPO here.");
    fill_rows(x, &sheets[2], PL_GRID_ALGORITHMS);
    pl_sheet_init(&sheets[3], "beyond", "Beyond the paper", "Rewards that it does not have.");
    fill_rows(x, &sheets[3], PL_GRID_BEYOND);
}

/* ---- lengths ---- */

static bool gives_steps(enum pl_method method)
{
    return method == PL_METHOD_INTERLEAVE || method == PL_METHOD_DELAYED;
}

static void fill_lengths(const struct pl_results *x, struct pl_sheet *s)
{
    static const struct {
        const char *head;
        enum pl_measure measure;
        int decimals;
    } columns[] = {
        {"tokens", PL_MEASURE_LENGTH, 1},
        {"right ones", PL_MEASURE_LENGTH_RIGHT, 1},
        {"wrong ones", PL_MEASURE_LENGTH_WRONG, 1},
        {"first answer, tokens", PL_MEASURE_TTFA_TOKENS, 1},
        {"format", PL_MEASURE_FORMAT, 3},
        {"intermediate accuracy", PL_MEASURE_STEPS, 3},
        {"all steps right, of the right ones", PL_MEASURE_STEPS_ALL_RIGHT, 3},
    };
    const size_t count = sizeof columns / sizeof *columns;

    pl_sheet_init(
        s, "lengths", "Lengths, form, intermediate answers",
        "On puzzles that were trained. The last column: of the responses whose final answer is "
        "right, those whose intermediate answers are all right too; where that is 1, a reward for "
        "them that is paid only beside a right final answer adds the same to each.");
    pl_sheet_column(s, "row");
    for (size_t k = 0; k < count; k++)
        pl_sheet_column(s, "%s", columns[k].head);
    for (size_t i = 0; i < pl_grid_count; i++) {
        if (x->rows[i].count == 0)
            continue;
        pl_sheet_cell(s, "%s", pl_grid[i].title);
        for (size_t k = 0; k < count; k++) {
            const bool of_steps = columns[k].measure == PL_MEASURE_STEPS ||
                                  columns[k].measure == PL_MEASURE_STEPS_ALL_RIGHT;
            const double value = of_steps && !gives_steps(pl_grid[i].method)
                                     ? (double)NAN
                                     : at(x, &x->rows[i], columns[k].measure, PL_GRID_KK).value;

            pl_sheet_cell(s,
                          isnan(value)               ? "-"
                          : columns[k].decimals == 1 ? "%.1f"
                                                     : "%.3f",
                          value);
        }
    }
}

/* ---- claims ---- */

static void put_figure(struct pl_sheet *s, const struct pl_claim *c)
{
    const struct pl_figure *f = &c->figure;

    if (isnan(f->value) || isnan(f->low)) {
        pl_sheet_cell(s, "-");
        pl_sheet_cell(s, "-");
    } else if (c->unit == PL_CLAIM_PERCENT) {
        pl_sheet_cell(s, "%.1f %%", 100 * f->value);
        pl_sheet_cell(s, "%.1f to %.1f %%", 100 * f->low, 100 * f->high);
    } else {
        const double by = c->unit == PL_CLAIM_POINTS ? 100 : 1;

        pl_sheet_cell(s, "%+.1f", by * f->value);
        pl_sheet_cell(s, "%+.1f to %+.1f", by * f->low, by * f->high);
    }
}

static void fill_claims(const struct pl_claim *claims, size_t count, struct pl_sheet *s)
{
    static const char *const heads[] = {"the paper claims", "here", "figure", "95 % interval",
                                        "of what"};

    pl_sheet_init(s, "claims", "What holds",
                  "A claim holds where the whole interval is on its side, does not where the whole "
                  "interval is on the other; else it is not decided. Shares in %, differences of "
                  "Pass@1 in points.");
    add_columns(s, heads, sizeof heads / sizeof *heads);
    s->align[1] = s->align[4] = 'l'; /* words */
    for (size_t i = 0; i < count; i++) {
        const struct pl_claim *c = &claims[i];

        pl_sheet_cell(s, "%s", c->text);
        pl_sheet_cell(s, "%s", pl_claim_word(c->verdict));
        put_figure(s, c);
        pl_sheet_cell(s, "%s", c->what);
    }
}

/* ---- how it was made ---- */

/* Chores by what their names begin with. */
static void fill_made(const struct pl_results *x, struct pl_sheet *s)
{
    static const char *const heads[] = {"what was done", "times", "median, s", "in all, min"};
    static const struct {
        const char *begins, *title;
    } kinds[] = {
        {"data-", "problems and worked answers"},
        {"tokenizer", "a tokenizer"},
        {"school", "school: worked answers that are proofs"},
        {"warm-start", "warm start: worked answers of all kinds"},
        {"sft", "the row SFT, fine-tuned"},
        {"train-", "training by reward"},
        {"eval-", "measuring"},
    };

    pl_sheet_init(s, "made", "How long it took",
                  "Wall time of the commands that were run, one after the other; what was stopped "
                  "and went on counts from there.");
    add_columns(s, heads, sizeof heads / sizeof *heads);
    for (size_t k = 0; x->chores && k < sizeof kinds / sizeof *kinds; k++) {
        const size_t len = strlen(kinds[k].begins);
        double took[TIMES], sum = 0.0;
        size_t n = 0;

        for (size_t i = 0; i < x->chores->count && n < TIMES; i++) {
            const double seconds = strncmp(x->chores->list[i].name, kinds[k].begins, len) == 0
                                       ? pl_chores_seconds(x->chores, i)
                                       : (double)NAN;

            if (isnan(seconds))
                continue;
            took[n++] = seconds;
            sum += seconds;
        }
        if (n == 0)
            continue;
        qsort(took, n, sizeof *took, by_value);
        pl_sheet_cell(s, "%s", kinds[k].title);
        pl_sheet_cell(s, "%zu", n);
        pl_sheet_cell(s, "%.1f", took[n / 2]);
        pl_sheet_cell(s, "%.1f", sum / 60);
    }
}

int pl_results_tables(const struct pl_results *results, const struct pl_claim *claims,
                      size_t claim_count, struct pl_sheet ret_sheets[PL_RESULTS_TABLES])
{
    int rc = PL_OK;

    fill_claims(claims, claim_count, &ret_sheets[0]);
    fill_methods(results, &ret_sheets[1]);
    fill_difficulty(results, &ret_sheets[2]);
    fill_ablations(results, &ret_sheets[3]);
    fill_lengths(results, &ret_sheets[7]);
    fill_made(results, &ret_sheets[8]);
    for (size_t i = 0; rc == PL_OK && i < PL_RESULTS_TABLES; i++)
        rc = ret_sheets[i].rc;
    return rc;
}
