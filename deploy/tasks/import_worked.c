#include "deploy/tasks/import_worked.h"

#include "common/app/term.h"
#include "deploy/tasks/import_write.h"
#include "deploy/tasks/sft_row.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_BYTES_MAX = 16 << 20, CELL_BYTES = 32 };

struct writing {
    const struct pl_import_set *set;
    const struct pl_data_writer_opts *opts;
    struct pl_import_worked *worked;
    char *instructions[PL_TEMPLATES];        /* in the order of opts->templates */
    struct pl_outfile outs[PL_IMPORT_PARTS]; /* stream NULL: standard output */
    struct pl_buf row, response;
};

/* One answer. */

struct story {
    const struct pl_task *task;
    const json_t *thoughts;
};

static void put_thought(struct pl_worked *out, const void *of, size_t n)
{
    const struct story *story = of;
    const char *thought = json_string_value(json_array_get(story->thoughts, n));

    pl_worked_begin(out);
    pl_worked_put(out, thought);
    if (isalnum((unsigned char)thought[strlen(thought) - 1])) /* solutions often end like that */
        pl_worked_end(out);
}

static void put_answer(struct pl_worked *out, const void *of, size_t n)
{
    const struct story *story = of;

    pl_worked_put(out, story->task->steps[n].answer);
}

static void put_final(struct pl_worked *out, const void *of)
{
    const struct story *story = of;

    pl_worked_put(out, story->task->final.answer);
}

static int put_row(struct writing *writing, const struct pl_import_item *item, size_t i,
                   const json_t *thoughts, struct pl_error *err)
{
    const enum pl_method template = writing->opts->templates[i];
    const struct pl_worked_opts how = {
        .template = template, .wording = PL_WORDING_PUBLISHED, .careful = true};
    const struct pl_worked_parts parts = {.answers = item->task.step_count,
                                          .last_tells = true,
                                          .thought = put_thought,
                                          .answer = put_answer,
                                          .final = put_final};
    const struct story story = {&item->task, thoughts};
    struct pl_sft_texts texts = {.kind = writing->opts->instruction,
                                 .instruction = writing->instructions[i],
                                 .question = item->task.question};
    FILE *out = writing->outs[item->part].stream ? writing->outs[item->part].stream : stdout;
    size_t words;
    int rc;

    pl_buf_clear(&writing->row);
    pl_buf_clear(&writing->response);
    rc = pl_worked_print(&how, &parts, &story, &writing->response);
    texts.response = writing->response.data;
    if (rc == PL_OK)
        rc = pl_sft_row_print(&texts, &writing->row);
    if (rc < 0)
        return pl_fail(err, rc, "task '%.200s': no room for its answer", item->task.id);
    words = pl_worked_words(writing->response.data, writing->response.len);
    writing->worked->answers[template].count++;
    writing->worked->answers[template].words += words;
    if (words > writing->worked->answers[template].words_max)
        writing->worked->answers[template].words_max = words;
    if (fwrite(writing->row.data, 1, writing->row.len, out) != writing->row.len)
        return pl_fail_errno(err, "write worked answers");
    return PL_OK;
}

static int put_item(struct writing *writing, const struct pl_import_item *item,
                    struct pl_error *err)
{
    json_t *thoughts = NULL;
    int rc;

    if (!item->worked) {
        writing->worked->missing++;
        return PL_OK;
    }
    rc = pl_json_parse(item->worked, strlen(item->worked), item->task.id, &thoughts, err);
    for (size_t i = 0; rc == PL_OK && i < writing->opts->template_count; i++)
        rc = put_row(writing, item, i, thoughts, err);
    json_decref(thoughts);
    return rc;
}

/* Files. */

static int open_part(struct writing *writing, enum pl_import_part part, const char *name,
                     struct pl_error *err)
{
    char *path = pl_strf("%s/%s", writing->opts->output, name);
    int rc;

    if (!path)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory for its path", writing->opts->output);
    rc = pl_outfile_open(path, &writing->outs[part], err);
    free(path);
    return rc;
}

static int open_all(struct writing *writing, struct pl_error *err)
{
    const struct pl_data_writer_opts *opts = writing->opts;
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < opts->template_count; i++)
        rc = pl_template_load(opts->folder, pl_method_name(opts->templates[i]), opts->instruction,
                              &writing->instructions[i], err);
    if (rc < 0 || strcmp(opts->output, "-") == 0)
        return rc;
    if (!opts->parts)
        return pl_outfile_open(opts->output, &writing->outs[PL_IMPORT_TRAIN], err);
    rc = pl_dir_make(opts->output, err);
    if (rc == PL_OK)
        rc = open_part(writing, PL_IMPORT_TRAIN, "train-answers.jsonl", err);
    if (rc == PL_OK)
        rc = open_part(writing, PL_IMPORT_TEST, "test-answers.jsonl", err);
    return rc;
}

static int commit(struct writing *writing, struct pl_error *err)
{
    int rc = PL_OK;

    if (writing->opts->parts)
        rc = pl_import_write(writing->set, writing->opts->output, true, err);
    else if (strcmp(writing->opts->output, "-") == 0 && fflush(stdout) != 0)
        rc = pl_fail_errno(err, "write to standard output");
    for (size_t part = 0; part < PL_IMPORT_PARTS; part++)
        if (rc == PL_OK && writing->outs[part].stream)
            rc = pl_outfile_commit(&writing->outs[part], err);
    return rc;
}

int pl_import_worked_write(const struct pl_import_set *set, const struct pl_data_writer_opts *opts,
                           struct pl_import_worked *ret_worked, struct pl_error *err)
{
    struct writing writing = {.set = set, .opts = opts, .worked = ret_worked};
    uint64_t tasks = 0;
    int rc;

    *ret_worked = (struct pl_import_worked){.missing = 0};
    pl_buf_init(&writing.row, ROW_BYTES_MAX);
    pl_buf_init(&writing.response, ROW_BYTES_MAX);
    rc = open_all(&writing, err);
    for (size_t i = 0; rc == PL_OK && i < set->count; i++) {
        if (set->items[i].part == PL_IMPORT_NOWHERE)
            continue;
        tasks++;
        rc = put_item(&writing, &set->items[i], err);
    }
    if (rc == PL_OK && ret_worked->missing == tasks)
        rc = pl_fail(err, PL_EFORMAT, "none of the %llu tasks has a published solution",
                     (unsigned long long)tasks);
    if (rc == PL_OK)
        rc = commit(&writing, err);
    for (size_t part = 0; part < PL_IMPORT_PARTS; part++)
        pl_outfile_abort(&writing.outs[part]);
    for (size_t i = 0; i < PL_TEMPLATES; i++)
        free(writing.instructions[i]);
    pl_buf_release(&writing.row);
    pl_buf_release(&writing.response);
    return rc;
}

/* What is said about them. */

static double mean_of(const struct pl_import_worked *worked, size_t i)
{
    return (double)worked->answers[i].words / (double)worked->answers[i].count;
}

static int add_row(struct pl_table *table, const struct pl_import_worked *worked, size_t i)
{
    char count[CELL_BYTES], most[CELL_BYTES], mean[CELL_BYTES];
    const char *const row[] = {pl_method_name((enum pl_method)i), count, most, mean};

    snprintf(count, sizeof count, "%llu", (unsigned long long)worked->answers[i].count);
    snprintf(most, sizeof most, "%llu", (unsigned long long)worked->answers[i].words_max);
    snprintf(mean, sizeof mean, "%.1f", mean_of(worked, i));
    return pl_table_add(table, row);
}

int pl_import_worked_print(const struct pl_import_worked *worked, FILE *out, struct pl_error *err)
{
    static const char *const head[] = {"answers", "number", "words, most", "words, mean"};
    struct pl_table table;
    int rc;

    pl_table_init(&table, "lrrr");
    rc = pl_table_add(&table, head);
    for (size_t i = 0; rc == PL_OK && i < PL_TEMPLATES; i++)
        if (worked->answers[i].count > 0)
            rc = add_row(&table, worked, i);
    if (rc == PL_OK && fputc('\n', out) == EOF)
        rc = PL_EIO;
    if (rc == PL_OK)
        rc = pl_table_print(&table, out, PL_COLOR_AUTO);
    pl_table_release(&table);
    if (rc == PL_OK && worked->missing > 0 &&
        fprintf(out, "%llu tasks have no published solution\n",
                (unsigned long long)worked->missing) < 0)
        rc = PL_EIO;
    if (rc == PL_OK && fflush(out) != 0)
        rc = PL_EIO;
    return rc < 0 ? pl_fail(err, rc, "the summary could not be written") : PL_OK;
}

json_t *pl_import_worked_json(const struct pl_import_worked *worked)
{
    json_t *answers = json_object();

    for (size_t i = 0; i < PL_TEMPLATES; i++)
        if (worked->answers[i].count > 0)
            json_object_set_new(answers, pl_method_name((enum pl_method)i),
                                json_pack("{s:I, s:f, s:I}", "count",
                                          (json_int_t)worked->answers[i].count, "words_mean",
                                          mean_of(worked, i), "words_max",
                                          (json_int_t)worked->answers[i].words_max));
    return answers;
}
