#include "deploy/data_summary.h"

#include "common/app/term.h"

#include <jansson.h>

enum { CELL_BYTES = 32 };

int pl_data_summary_puzzle(struct pl_data_summary *summary, enum pl_kk_part part,
                           const struct pl_kk *puzzle)
{
    bool is_new;
    const int rc = pl_key_set_add(&summary->shapes, pl_kk_shape(puzzle), &is_new);

    if (rc < 0)
        return rc;
    summary->puzzles[part][puzzle->people]++;
    for (size_t i = 0; i < puzzle->people; i++)
        summary->claims[puzzle->claims[i].nodes[0].kind]++;
    return PL_OK;
}

void pl_data_summary_answer(struct pl_data_summary *summary, enum pl_method template, bool careful,
                            bool correct, size_t words)
{
    summary->answers[template].count++;
    summary->answers[template].careful += careful;
    summary->answers[template].correct += correct;
    summary->answers[template].words += words;
    if (words > summary->answers[template].words_max)
        summary->answers[template].words_max = words;
}

void pl_data_summary_release(struct pl_data_summary *summary)
{
    pl_key_set_release(&summary->shapes);
}

static uint64_t part_total(const struct pl_data_summary *summary, enum pl_kk_part part)
{
    uint64_t total = 0;

    for (size_t people = 0; people <= PL_KK_PEOPLE_MAX; people++)
        total += summary->puzzles[part][people];
    return total;
}

static double share(uint64_t some, uint64_t all)
{
    return all > 0 ? (double)some / (double)all : 0;
}

/* For people. */

/* A row of a table: a word and numbers, of which the last may be a text. */
static int add_counts(struct pl_table *table, const char *word, const uint64_t *counts, size_t n,
                      const char *last)
{
    char cells[5][CELL_BYTES];
    const char *row[8] = {word};

    for (size_t i = 0; i < n; i++) {
        snprintf(cells[i], sizeof cells[i], "%llu", (unsigned long long)counts[i]);
        row[1 + i] = cells[i];
    }
    row[1 + n] = last;
    return pl_table_add(table, row);
}

static int people_table(const struct pl_data_summary *summary, bool parts, struct pl_table *table)
{
    const char *head[] = {"people", parts ? "train" : "puzzles", parts ? "test" : NULL};
    const size_t columns = parts ? 2 : 1;
    uint64_t total[PL_KK_PARTS];
    int rc = pl_table_add(table, head);

    for (size_t people = 0; rc == PL_OK && people <= PL_KK_PEOPLE_MAX; people++) {
        const uint64_t counts[] = {summary->puzzles[PL_KK_TRAIN][people],
                                   summary->puzzles[PL_KK_TEST][people]};
        char word[CELL_BYTES];

        snprintf(word, sizeof word, "%zu", people);
        if (counts[0] + counts[1] > 0)
            rc = add_counts(table, word, counts, columns, NULL);
    }
    for (size_t part = 0; part < PL_KK_PARTS; part++)
        total[part] = part_total(summary, (enum pl_kk_part)part);
    return rc < 0 ? rc : add_counts(table, "all", total, columns, NULL);
}

static int claims_table(const struct pl_data_summary *summary, struct pl_table *table)
{
    static const char *const head[] = {"claims", "number", "share"};
    uint64_t total = 0;
    int rc = pl_table_add(table, head);

    for (size_t kind = 0; kind < PL_KK_KINDS; kind++)
        total += summary->claims[kind];
    for (size_t kind = 0; rc == PL_OK && kind < PL_KK_KINDS; kind++) {
        char text[CELL_BYTES];

        snprintf(text, sizeof text, "%.1f %%", 100 * share(summary->claims[kind], total));
        rc = add_counts(table, pl_kk_kind_name((enum pl_kk_kind)kind), &summary->claims[kind], 1,
                        text);
    }
    return rc;
}

static int answers_table(const struct pl_data_summary *summary, struct pl_table *table)
{
    static const char *const head[] = {"answers", "number",      "careful",
                                       "correct", "words, most", "words, mean"};
    int rc = pl_table_add(table, head);

    for (size_t i = 0; rc == PL_OK && i < PL_KK_TEMPLATES; i++) {
        const uint64_t counts[] = {summary->answers[i].count, summary->answers[i].careful,
                                   summary->answers[i].correct, summary->answers[i].words_max};
        char mean[CELL_BYTES];

        snprintf(mean, sizeof mean, "%.1f",
                 share(summary->answers[i].words, summary->answers[i].count));
        if (counts[0] > 0)
            rc = add_counts(table, pl_method_name((enum pl_method)i), counts, 4, mean);
    }
    return rc;
}

static bool has_answers(const struct pl_data_summary *summary)
{
    for (size_t i = 0; i < PL_KK_TEMPLATES; i++)
        if (summary->answers[i].count > 0)
            return true;
    return false;
}

int pl_data_summary_print(const struct pl_data_summary *summary, bool parts, FILE *out,
                          struct pl_error *err)
{
    int rc = PL_OK;

    for (int i = 0; rc == PL_OK && i < (has_answers(summary) ? 3 : 2); i++) {
        static const char *const columns[] = {"lrr", "lrr", "lrrrrr"};
        struct pl_table table;

        pl_table_init(&table, i == 0 && !parts ? "lr" : columns[i]);
        rc = i == 0   ? people_table(summary, parts, &table)
             : i == 1 ? claims_table(summary, &table)
                      : answers_table(summary, &table);
        if (rc == PL_OK)
            rc = pl_table_print(&table, out, PL_COLOR_AUTO);
        pl_table_release(&table);
        if (rc == PL_OK && fputc('\n', out) == EOF)
            rc = PL_EIO;
    }
    if (rc == PL_OK && fprintf(out, "%zu shapes of puzzle\n", summary->shapes.count) < 0)
        rc = PL_EIO;
    if (rc == PL_OK && fflush(out) != 0)
        rc = PL_EIO;
    return rc < 0 ? pl_fail(err, rc, "the summary could not be written") : PL_OK;
}

/* For scripts. */

static json_t *people_json(const struct pl_data_summary *summary)
{
    json_t *people = json_object();

    for (size_t i = 0; i <= PL_KK_PEOPLE_MAX; i++) {
        const json_int_t train = (json_int_t)summary->puzzles[PL_KK_TRAIN][i];
        const json_int_t test = (json_int_t)summary->puzzles[PL_KK_TEST][i];
        char word[CELL_BYTES];

        snprintf(word, sizeof word, "%zu", i);
        if (train + test > 0)
            json_object_set_new(people, word,
                                json_pack("{s:I, s:I}", "train", train, "test", test));
    }
    return people;
}

static json_t *claims_json(const struct pl_data_summary *summary)
{
    json_t *claims = json_object();

    for (size_t i = 0; i < PL_KK_KINDS; i++)
        json_object_set_new(claims, pl_kk_kind_name((enum pl_kk_kind)i),
                            json_integer((json_int_t)summary->claims[i]));
    return claims;
}

static json_t *answers_json(const struct pl_data_summary *summary)
{
    json_t *answers = json_object();

    for (size_t i = 0; i < PL_KK_TEMPLATES; i++) {
        if (summary->answers[i].count == 0)
            continue;
        json_object_set_new(answers, pl_method_name((enum pl_method)i),
                            json_pack("{s:I, s:I, s:I, s:f, s:I}", "count",
                                      (json_int_t)summary->answers[i].count, "careful",
                                      (json_int_t)summary->answers[i].careful, "correct",
                                      (json_int_t)summary->answers[i].correct, "words_mean",
                                      share(summary->answers[i].words, summary->answers[i].count),
                                      "words_max", (json_int_t)summary->answers[i].words_max));
    }
    return answers;
}

int pl_data_summary_json(const struct pl_data_summary *summary, FILE *out, struct pl_error *err)
{
    const uint64_t train = part_total(summary, PL_KK_TRAIN), test = part_total(summary, PL_KK_TEST);
    json_t *root =
        json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "puzzles", (json_int_t)(train + test),
                  "train", (json_int_t)train, "test", (json_int_t)test, "shapes",
                  (json_int_t)summary->shapes.count, "people", people_json(summary), "claims",
                  claims_json(summary), "answers", answers_json(summary));
    int rc;

    if (!root)
        return pl_fail(err, PL_ENOMEM, "no memory for the summary");
    rc = json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (rc < 0 || fputc('\n', out) == EOF || fflush(out) != 0)
        return pl_fail(err, PL_EIO, "the summary could not be written");
    return PL_OK;
}
