#include "deploy/tasks/import_summary.h"

#include "common/app/term.h"

#include <stdlib.h>
#include <string.h>

enum { CELL_BYTES = 48, LEVELS_MAX = 40 };

void pl_import_reasons_add(struct pl_import_reasons *reasons, const char *text)
{
    size_t i = 0;

    while (i < reasons->count && reasons->texts[i] != text)
        i++;
    if (i == PL_IMPORT_REASONS_MAX)
        return;
    if (i == reasons->count)
        reasons->texts[reasons->count++] = text;
    reasons->counts[i]++;
}

int pl_import_summary_measure(struct pl_import_summary *summary, const struct pl_import_set *set,
                              struct pl_ruler *ruler, struct pl_error *err)
{
    uint64_t lengths = 0, steps = 0, all = 0;

    summary->in_tokens = ruler->encoder != NULL;
    for (size_t i = 0; i < set->count; i++) {
        const struct pl_import_item *item = &set->items[i];
        size_t length = strlen(item->task.question);

        if (item->part == PL_IMPORT_NOWHERE)
            continue;
        if (summary->in_tokens) {
            const int rc = pl_ruler_length(ruler, item->task.question, length, &length, err);

            if (rc < 0)
                return pl_fail_in(err, rc, "task '%s'", item->task.id);
        }
        summary->tasks[item->part]++;
        if (item->note)
            pl_import_reasons_add(&summary->notes, item->note);
        lengths += length;
        steps += item->task.step_count;
        all++;
        if (length > summary->length_max)
            summary->length_max = length;
        if (item->task.step_count > summary->steps_max)
            summary->steps_max = item->task.step_count;
    }
    summary->length_mean = all > 0 ? (double)lengths / (double)all : 0;
    summary->steps_mean = all > 0 ? (double)steps / (double)all : 0;
    return PL_OK;
}

/* Levels of what is written, in numerical or alphabetical order. */

struct level {
    const char *name; /* borrowed from a task */
    uint64_t tasks[PL_IMPORT_PARTS];
};

struct levels {
    struct level rows[LEVELS_MAX];
    size_t count;
    struct level others; /* beyond LEVELS_MAX */
};

static int by_level(const void *a, const void *b)
{
    const struct level *x = a, *y = b;
    char *end_x, *end_y;
    const double at = strtod(x->name, &end_x), to = strtod(y->name, &end_y);

    if (end_x != x->name && end_y != y->name && at != to)
        return at < to ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void count_levels(const struct pl_import_set *set, struct levels *levels)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct pl_import_item *item = &set->items[i];
        struct level *level = &levels->others;
        size_t k = 0;

        if (item->part == PL_IMPORT_NOWHERE)
            continue;
        while (k < levels->count && strcmp(levels->rows[k].name, item->task.level) != 0)
            k++;
        if (k < LEVELS_MAX)
            level = &levels->rows[k];
        if (k == levels->count && k < LEVELS_MAX)
            *level = (struct level){.name = levels->rows[levels->count++].name = item->task.level};
        level->tasks[item->part]++;
    }
    qsort(levels->rows, levels->count, sizeof levels->rows[0], by_level);
}

/* For people. */

static int add_row(struct pl_table *table, const char *word, uint64_t a, uint64_t b)
{
    char first[CELL_BYTES], second[CELL_BYTES];
    const char *const row[] = {word, first, second};

    snprintf(first, sizeof first, "%llu", (unsigned long long)a);
    snprintf(second, sizeof second, "%llu", (unsigned long long)b);
    return pl_table_add(table, row);
}

static int add_if(struct pl_table *table, const char *word, uint64_t count)
{
    return count > 0 ? add_row(table, word, count, 0) : PL_OK;
}

static int fill_rows(const struct pl_import_summary *summary, struct pl_table *table)
{
    static const char *const head[] = {"rows", "number"};
    const struct pl_import_reasons *reasons = &summary->left_out;
    int rc = pl_table_add(table, head);

    if (rc == PL_OK)
        rc = add_row(table, "read", summary->rows, 0);
    if (rc == PL_OK)
        rc = add_if(table, "bad", summary->bad);
    for (size_t i = 0; rc == PL_OK && i < reasons->count; i++)
        rc = add_if(table, reasons->texts[i], reasons->counts[i]);
    if (rc == PL_OK)
        rc = add_if(table, "duplicates", summary->duplicates);
    if (rc == PL_OK)
        rc = add_if(table, "another level", summary->chosen.other_level);
    if (rc == PL_OK)
        rc = add_if(table, "share a component with the test part", summary->chosen.shared);
    if (rc == PL_OK)
        rc = add_if(table, "not drawn", summary->chosen.not_drawn);
    return rc < 0 ? rc
                  : add_row(table, "tasks",
                            summary->tasks[PL_IMPORT_TRAIN] + summary->tasks[PL_IMPORT_TEST], 0);
}

static int fill_levels(const struct pl_import_summary *summary, const struct pl_import_set *set,
                       struct pl_table *table)
{
    const char *const head[] = {"level", summary->parts ? "train" : "tasks",
                                summary->parts ? "test" : NULL};
    struct levels *levels = calloc(1, sizeof *levels);
    int rc = levels ? pl_table_add(table, head) : PL_ENOMEM;

    if (levels)
        count_levels(set, levels);
    for (size_t i = 0; rc == PL_OK && i < levels->count; i++) {
        const struct level *level = &levels->rows[i];
        char name[CELL_BYTES];

        snprintf(name, sizeof name, "%s", level->name[0] ? level->name : "none");
        for (char *at = name; *at; at++)
            if ((unsigned char)*at < ' ' || *at == 0x7F) /* terminals obey some of these */
                *at = '?';
        rc = add_row(table, name, level->tasks[PL_IMPORT_TRAIN], level->tasks[PL_IMPORT_TEST]);
    }
    if (rc == PL_OK && levels->others.tasks[0] + levels->others.tasks[1] > 0)
        rc = add_row(table, "others", levels->others.tasks[PL_IMPORT_TRAIN],
                     levels->others.tasks[PL_IMPORT_TEST]);
    free(levels);
    return rc < 0 ? rc
                  : add_row(table, "all", summary->tasks[PL_IMPORT_TRAIN],
                            summary->tasks[PL_IMPORT_TEST]);
}

static int print_rest(const struct pl_import_summary *summary, FILE *out)
{
    int n = fprintf(out, "question: %.0f %s, at most %zu; steps: %.2f, at most %zu\n",
                    summary->length_mean, summary->in_tokens ? "tokens" : "bytes",
                    summary->length_max, summary->steps_mean, summary->steps_max);

    if (n >= 0 && summary->chosen.components > 0)
        n = fprintf(out, "components: %zu, none in both parts\n", summary->chosen.components);
    for (size_t i = 0; n >= 0 && i < summary->notes.count; i++)
        n = fprintf(out, "%llu tasks: %s\n", (unsigned long long)summary->notes.counts[i],
                    summary->notes.texts[i]);
    return n < 0 || fflush(out) != 0 ? PL_EIO : PL_OK;
}

int pl_import_summary_print(const struct pl_import_summary *summary,
                            const struct pl_import_set *set, FILE *out, struct pl_error *err)
{
    int rc = PL_OK;

    for (int i = 0; rc == PL_OK && i < 2; i++) {
        struct pl_table table;

        pl_table_init(&table, i == 1 && summary->parts ? "lrr" : "lr");
        rc = i == 0 ? fill_rows(summary, &table) : fill_levels(summary, set, &table);
        if (rc == PL_OK)
            rc = pl_table_print(&table, out, PL_COLOR_AUTO);
        pl_table_release(&table);
        if (rc == PL_OK && fputc('\n', out) == EOF)
            rc = PL_EIO;
    }
    if (rc == PL_OK)
        rc = print_rest(summary, out);
    return rc < 0 ? pl_fail(err, rc, "the summary could not be written") : PL_OK;
}

/* For scripts. */

static json_t *reasons_json(const struct pl_import_reasons *reasons)
{
    json_t *obj = json_object();

    for (size_t i = 0; i < reasons->count; i++)
        json_object_set_new(obj, reasons->texts[i], json_integer((json_int_t)reasons->counts[i]));
    return obj;
}

static json_t *level_json(const struct level *level)
{
    return json_pack("{s:I, s:I}", "train", (json_int_t)level->tasks[PL_IMPORT_TRAIN], "test",
                     (json_int_t)level->tasks[PL_IMPORT_TEST]);
}

static json_t *levels_json(const struct pl_import_set *set)
{
    struct levels *levels = calloc(1, sizeof *levels);
    json_t *obj = json_object();

    if (levels)
        count_levels(set, levels);
    for (size_t i = 0; levels && i < levels->count; i++)
        json_object_set_new(obj, levels->rows[i].name[0] ? levels->rows[i].name : "none",
                            level_json(&levels->rows[i]));
    if (levels && levels->others.tasks[0] + levels->others.tasks[1] > 0)
        json_object_set_new(obj, "others", level_json(&levels->others));
    free(levels);
    return obj;
}

json_t *pl_import_summary_json(const struct pl_import_summary *summary,
                               const struct pl_import_set *set)
{
    const uint64_t train = summary->tasks[PL_IMPORT_TRAIN], test = summary->tasks[PL_IMPORT_TEST];

    return json_pack(
        "{s:s, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:{s:s, s:f, s:I}, "
        "s:{s:f, s:I}}",
        "kind", summary->kind, "rows", (json_int_t)summary->rows, "duplicates",
        (json_int_t)summary->duplicates, "bad", (json_int_t)summary->bad, "left_out",
        reasons_json(&summary->left_out), "other_level", (json_int_t)summary->chosen.other_level,
        "not_drawn", (json_int_t)summary->chosen.not_drawn, "shared",
        (json_int_t)summary->chosen.shared, "components", (json_int_t)summary->chosen.components,
        "tasks", (json_int_t)(train + test), "train", (json_int_t)train, "test", (json_int_t)test,
        "levels", levels_json(set), "notes", reasons_json(&summary->notes), "question", "unit",
        summary->in_tokens ? "tokens" : "bytes", "mean", summary->length_mean, "max",
        (json_int_t)summary->length_max, "steps", "mean", summary->steps_mean, "max",
        (json_int_t)summary->steps_max);
}
