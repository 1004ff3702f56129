#include "deploy/tasks/data_summary.h"

#include "common/app/term.h"
#include "common/base/check.h"

#include <jansson.h>

enum { CELL_BYTES = 32 };

int pl_data_summary_problem(struct pl_data_summary *summary, enum pl_data_part part,
                            const struct pl_problem *problem)
{
    const struct pl_family *family = summary->family;
    bool is_new;
    int rc;

    PL_ASSERT(problem->family == family);
    rc = pl_key_set_add(&summary->shapes, family->shape(problem), &is_new);
    if (rc < 0)
        return rc;
    summary->problems[part][problem->size]++;
    family->count(problem, summary->kinds);
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

static uint64_t part_total(const struct pl_data_summary *summary, enum pl_data_part part)
{
    uint64_t total = 0;

    for (size_t size = 0; size <= PL_FAMILY_SIZE_MAX; size++)
        total += summary->problems[part][size];
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

static int sizes_table(const struct pl_data_summary *summary, bool parts, struct pl_table *table)
{
    const char *head[] = {summary->family->size, parts ? "train" : summary->family->nouns,
                          parts ? "test" : NULL};
    const size_t columns = parts ? 2 : 1;
    uint64_t total[PL_DATA_PARTS];
    int rc = pl_table_add(table, head);

    for (size_t size = 0; rc == PL_OK && size <= PL_FAMILY_SIZE_MAX; size++) {
        const uint64_t counts[] = {summary->problems[PL_DATA_PART_TRAIN][size],
                                   summary->problems[PL_DATA_PART_TEST][size]};
        char word[CELL_BYTES];

        snprintf(word, sizeof word, "%zu", size);
        if (counts[0] + counts[1] > 0)
            rc = add_counts(table, word, counts, columns, NULL);
    }
    for (size_t part = 0; part < PL_DATA_PARTS; part++)
        total[part] = part_total(summary, (enum pl_data_part)part);
    return rc < 0 ? rc : add_counts(table, "all", total, columns, NULL);
}

static int kinds_table(const struct pl_data_summary *summary, struct pl_table *table)
{
    const char *const head[] = {summary->family->kinds, "number", "share"};
    uint64_t total = 0;
    int rc = pl_table_add(table, head);

    for (size_t kind = 0; kind < summary->family->kind_count; kind++)
        total += summary->kinds[kind];
    for (size_t kind = 0; rc == PL_OK && kind < summary->family->kind_count; kind++) {
        char text[CELL_BYTES];

        snprintf(text, sizeof text, "%.1f %%", 100 * share(summary->kinds[kind], total));
        rc = add_counts(table, summary->family->kind_name(kind), &summary->kinds[kind], 1, text);
    }
    return rc;
}

static int answers_table(const struct pl_data_summary *summary, struct pl_table *table)
{
    static const char *const head[] = {"answers", "number",      "careful",
                                       "correct", "words, most", "words, mean"};
    int rc = pl_table_add(table, head);

    for (size_t i = 0; rc == PL_OK && i < PL_TEMPLATES; i++) {
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
    for (size_t i = 0; i < PL_TEMPLATES; i++)
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
        rc = i == 0   ? sizes_table(summary, parts, &table)
             : i == 1 ? kinds_table(summary, &table)
                      : answers_table(summary, &table);
        if (rc == PL_OK)
            rc = pl_table_print(&table, out, PL_COLOR_AUTO);
        pl_table_release(&table);
        if (rc == PL_OK && fputc('\n', out) == EOF)
            rc = PL_EIO;
    }
    if (rc == PL_OK &&
        fprintf(out, "%zu shapes of %s\n", summary->shapes.count, summary->family->noun) < 0)
        rc = PL_EIO;
    if (rc == PL_OK && fflush(out) != 0)
        rc = PL_EIO;
    return rc < 0 ? pl_fail(err, rc, "the summary could not be written") : PL_OK;
}

/* For scripts. */

static json_t *sizes_json(const struct pl_data_summary *summary)
{
    json_t *sizes = json_object();

    for (size_t i = 0; i <= PL_FAMILY_SIZE_MAX; i++) {
        const json_int_t train = (json_int_t)summary->problems[PL_DATA_PART_TRAIN][i];
        const json_int_t test = (json_int_t)summary->problems[PL_DATA_PART_TEST][i];
        char word[CELL_BYTES];

        snprintf(word, sizeof word, "%zu", i);
        if (train + test > 0)
            json_object_set_new(sizes, word, json_pack("{s:I, s:I}", "train", train, "test", test));
    }
    return sizes;
}

static json_t *kinds_json(const struct pl_data_summary *summary)
{
    json_t *kinds = json_object();

    for (size_t i = 0; i < summary->family->kind_count; i++)
        json_object_set_new(kinds, summary->family->kind_name(i),
                            json_integer((json_int_t)summary->kinds[i]));
    return kinds;
}

static json_t *answers_json(const struct pl_data_summary *summary)
{
    json_t *answers = json_object();

    for (size_t i = 0; i < PL_TEMPLATES; i++) {
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
    const struct pl_family *family = summary->family;
    const uint64_t train = part_total(summary, PL_DATA_PART_TRAIN),
                   test = part_total(summary, PL_DATA_PART_TEST);
    json_t *root =
        json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o}", family->nouns, (json_int_t)(train + test),
                  "train", (json_int_t)train, "test", (json_int_t)test, "shapes",
                  (json_int_t)summary->shapes.count, family->size, sizes_json(summary),
                  family->kinds, kinds_json(summary), "answers", answers_json(summary));
    int rc;

    if (!root)
        return pl_fail(err, PL_ENOMEM, "no memory for the summary");
    rc = json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (rc < 0 || fputc('\n', out) == EOF || fflush(out) != 0)
        return pl_fail(err, PL_EIO, "the summary could not be written");
    return PL_OK;
}
