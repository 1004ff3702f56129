#include "deploy/view/scorecard.h"

#include "common/base/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pl_interval pl_interval_wilson(double share, double n)
{
    const double z = 1.959963984540054; /* of the normal distribution at 0.975 */
    const double over = 1.0 + z * z / n;
    const double middle = (share + z * z / (2.0 * n)) / over;
    const double half = z / over * sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n));

    return (struct pl_interval){fmax(0.0, middle - half), fmin(1.0, middle + half)};
}

struct pl_interval pl_interval_clustered(double share, double n, double tasks, double square_sum,
                                         double samples_max, double *ret_deff)
{
    const double alone = share * (1.0 - share) / n;
    double deff = 1.0;

    if (samples_max > 1.0) {
        const double spread = square_sum - tasks * share * share; /* around the mean */

        deff = alone > 0.0 && tasks > 1.0 ? spread / (tasks - 1.0) / tasks / alone : samples_max;
        deff = fmin(fmax(deff, 1.0), samples_max);
    }
    if (ret_deff)
        *ret_deff = deff;
    return pl_interval_wilson(share, n / deff);
}

struct pl_interval pl_scorecard_interval(const struct pl_scorecard *card,
                                         const struct pl_scorecard_row *row, double *ret_deff)
{
    const double n = (double)row->tally.n;

    return pl_interval_clustered((double)row->tally.right / n, n, (double)row->tasks,
                                 row->mean_square_sum, (double)card->samples, ret_deff);
}

/* ---- rows ---- */

int pl_scorecard_init(struct pl_scorecard *card, size_t samples)
{
    *card = (struct pl_scorecard){.cap = 8, .samples = samples};
    card->rows = calloc(card->cap, sizeof *card->rows);
    card->count = 1;
    return card->rows ? PL_OK : PL_ENOMEM;
}

void pl_scorecard_release(struct pl_scorecard *card)
{
    for (size_t i = 0; card->rows && i < card->count; i++) {
        free(card->rows[i].source);
        free(card->rows[i].level);
    }
    free(card->rows);
    *card = (struct pl_scorecard){0};
}

/* By source, then by level, numbers in levels as numbers. */
static int order(const struct pl_scorecard_row *row, const struct pl_task *task)
{
    const int source = strcmp(row->source, task->source);

    return source ? source : strverscmp(row->level, task->level);
}

/* The row of a task, made where it is to stand. */
static struct pl_scorecard_row *row_of(struct pl_scorecard *card, const struct pl_task *task)
{
    struct pl_scorecard_row row = {0};
    size_t i = 1;

    while (i < card->count && order(&card->rows[i], task) < 0)
        i++;
    if (i < card->count && order(&card->rows[i], task) == 0)
        return &card->rows[i];
    if (card->count == card->cap) {
        struct pl_scorecard_row *rows = realloc(card->rows, 2 * card->cap * sizeof *rows);

        if (!rows)
            return NULL;
        card->rows = rows;
        card->cap *= 2;
    }
    row.source = strdup(task->source);
    row.level = strdup(task->level);
    if (!row.source || !row.level) {
        free(row.source);
        free(row.level);
        return NULL;
    }
    memmove(card->rows + i + 1, card->rows + i, (card->count - i) * sizeof row);
    card->rows[i] = row;
    card->count++;
    return &card->rows[i];
}

static void add(struct pl_scorecard_row *row, const struct pl_eval_done *done)
{
    const struct pl_rollout_group *g = done->group;
    double right = 0.0;

    for (size_t s = 0; s < g->samples; s++) {
        const struct pl_rollout *r = &g->rollouts[s];

        pl_tally_add(&row->tally, r, (double)pl_score_reward(&r->score, true), true);
        if (!isnan(done->ttfa_ms[s]))
            pl_spread_add(&row->ttfa_ms, done->ttfa_ms[s]);
        right += r->score.verdict == PL_VERDICT_RIGHT;
    }
    row->tasks++;
    row->mean_square_sum += right / g->samples * (right / g->samples);
}

int pl_scorecard_add(struct pl_scorecard *card, const struct pl_eval_done *done)
{
    struct pl_scorecard_row *row = row_of(card, done->task);

    if (!row)
        return PL_ENOMEM;
    add(row, done);
    add(&card->rows[0], done);
    return PL_OK;
}

/* ---- for scripts ---- */

static double share(size_t part, size_t of)
{
    return of > 0 ? (double)part / (double)of : NAN;
}

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *row_json(const struct pl_scorecard *card, const struct pl_scorecard_row *row)
{
    const struct pl_tally *t = &row->tally;
    double deff;
    const struct pl_interval in = pl_scorecard_interval(card, row, &deff);
    json_t *json = json_pack(
        "{s:I, s:I, s:f, s:[f,f], s:f, s:I, s:I, s:I, s:f, s:f}", "tasks", (json_int_t)row->tasks,
        "samples", (json_int_t)t->n, "pass_at_1", share(t->right, t->n), "interval", in.low,
        in.high, "design_effect", deff, "right", (json_int_t)t->right, "unparsed",
        (json_int_t)t->unparsed, "truncated", (json_int_t)t->clipped, "truncated_rate",
        share(t->clipped, t->n), "format_rate", share(t->formatted, t->n));
    const double answered = (double)t->with_answer, right = (double)t->with_right;
    const struct {
        const char *name;
        double value;
    } reals[] = {
        {"intermediate_accuracy", share(t->steps_right, t->steps)},
        {"answers", share(t->answers, t->n)},
        {"reward", pl_spread_mean(&t->score)},
        {"ttfa", t->ttfa / answered},
        {"ttfa_tokens", t->ttfa_tokens / answered},
        {"ttfa_ms", pl_spread_mean(&row->ttfa_ms)},
        {"ttfa_right", t->ttfa_right / right},
        {"ttfa_right_tokens", t->ttfa_right_tokens / right},
        {"response_length", pl_spread_mean(&t->length)},
        {"response_length_right", pl_spread_mean(&t->right_length)},
        {"response_length_wrong", pl_spread_mean(&t->wrong_length)},
    };

    if (json && row->source)
        json_object_set_new(json, "source", json_string(row->source));
    if (json && row->level)
        json_object_set_new(json, "level", json_string(row->level));
    for (size_t i = 0; json && i < sizeof reals / sizeof *reals; i++)
        json_object_set_new(json, reals[i].name, real(reals[i].value));
    return json;
}

json_t *pl_scorecard_json(const struct pl_scorecard *card)
{
    json_t *levels = json_array();

    for (size_t i = 1; levels && i < card->count; i++)
        json_array_append_new(levels, row_json(card, &card->rows[i]));
    return json_pack("{s:o, s:o}", "overall", row_json(card, &card->rows[0]), "levels", levels);
}

/* ---- for people ---- */

enum { ANSWERS = 7, LENGTHS = 8, COLUMNS = 8, CELL = 64 };

/* Sources are named only where there are several. */
static void name_row(const struct pl_scorecard *card, size_t i, char cell[CELL])
{
    const struct pl_scorecard_row *row = &card->rows[i];
    const bool one_source = strcmp(card->rows[1].source, card->rows[card->count - 1].source) == 0;

    if (i == 0)
        snprintf(cell, CELL, "all");
    else if (one_source)
        snprintf(cell, CELL, "%.24s", row->level[0] ? row->level : "no level");
    else
        snprintf(cell, CELL, "%.16s%s%.16s", row->source[0] ? row->source : "no source",
                 row->level[0] ? " " : "", row->level);
}

static void put(char cell[CELL], int decimals, double value)
{
    if (isfinite(value))
        snprintf(cell, CELL, "%.*f", decimals, value);
    else
        snprintf(cell, CELL, "-");
}

/* What was answered. */
static void fill_answers(const struct pl_scorecard *card, size_t i, char cells[COLUMNS][CELL])
{
    const struct pl_scorecard_row *row = &card->rows[i];
    const struct pl_tally *t = &row->tally;
    const struct pl_interval in = pl_scorecard_interval(card, row, NULL);

    name_row(card, i, cells[0]);
    snprintf(cells[1], CELL, "%zu", row->tasks);
    put(cells[2], 3, share(t->right, t->n));
    snprintf(cells[3], CELL, "%.3f to %.3f", in.low, in.high);
    put(cells[4], 3, share(t->formatted, t->n));
    put(cells[5], 3, share(t->steps_right, t->steps));
    put(cells[6], 3, share(t->clipped, t->n));
}

/* When, and in how many words. */
static void fill_lengths(const struct pl_scorecard *card, size_t i, char cells[COLUMNS][CELL])
{
    const struct pl_scorecard_row *row = &card->rows[i];
    const struct pl_tally *t = &row->tally;

    name_row(card, i, cells[0]);
    put(cells[1], 3, t->ttfa / (double)t->with_answer);
    put(cells[2], 1, t->ttfa_tokens / (double)t->with_answer);
    put(cells[3], 1, pl_spread_mean(&row->ttfa_ms));
    put(cells[4], 3, t->ttfa_right / (double)t->with_right);
    put(cells[5], 1, pl_spread_mean(&t->length));
    put(cells[6], 1, pl_spread_mean(&t->right_length));
    put(cells[7], 1, pl_spread_mean(&t->wrong_length));
}

static int print_table(const struct pl_scorecard *card, size_t columns, const char *const *heading,
                       void (*fill)(const struct pl_scorecard *card, size_t i,
                                    char cells[COLUMNS][CELL]),
                       FILE *out, enum pl_color color)
{
    const size_t rows = card->count > 2 ? card->count : 1; /* one difficulty alone is all */
    struct pl_table table;
    int rc;

    pl_table_init(&table, columns == ANSWERS ? "lrrrrrr" : "lrrrrrrr");
    rc = pl_table_add(&table, heading);
    for (size_t i = 0; rc == PL_OK && i < rows; i++) {
        char cells[COLUMNS][CELL] = {{0}};
        const char *list[COLUMNS];

        fill(card, i, cells);
        for (size_t c = 0; c < columns; c++)
            list[c] = cells[c];
        rc = pl_table_add(&table, list);
    }
    if (rc == PL_OK)
        rc = pl_table_print(&table, out, color);
    pl_table_release(&table);
    return rc;
}

int pl_scorecard_print(const struct pl_scorecard *card, FILE *out, enum pl_color color)
{
    static const char *const answers[ANSWERS] = {
        "", "tasks", "Pass@1", "95 % interval", "format", "intermediate", "truncated"};
    static const char *const lengths[LENGTHS] = {"",           "ttfa",   "ttfa tok", "ttfa ms",
                                                 "ttfa right", "length", "if right", "if wrong"};
    int rc = print_table(card, ANSWERS, answers, fill_answers, out, color);

    if (rc == PL_OK && fputc('\n', out) == EOF)
        rc = PL_EIO;
    return rc == PL_OK ? print_table(card, LENGTHS, lengths, fill_lengths, out, color) : rc;
}
