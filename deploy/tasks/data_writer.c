#include "deploy/tasks/data_writer.h"

#include "common/base/check.h"
#include "common/base/json.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROW_BYTES_MAX = 16 << 20,
    CAREFUL_POSITION = PL_WORKED_DRAWS, /* of the draw that decides */
};

static int load_instructions(struct pl_data_writer *writer, struct pl_error *err)
{
    const struct pl_data_writer_opts *opts = &writer->opts;
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < opts->template_count; i++)
        rc = pl_template_load(opts->folder, pl_method_name(opts->templates[i]), opts->instruction,
                              &writer->instructions[i], err);
    return rc;
}

static int open_file(struct pl_data_writer *writer, const char *name, enum pl_data_part part,
                     enum pl_data_file file, struct pl_error *err)
{
    char *path = name ? pl_strf("%s/%s", writer->opts.output, name) : strdup(writer->opts.output);
    int rc;

    if (!path)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory for its path", writer->opts.output);
    rc = pl_outfile_open(path, &writer->files[part][file], err);
    free(path);
    return rc;
}

static int open_files(struct pl_data_writer *writer, struct pl_error *err)
{
    static const char *const names[PL_DATA_PARTS][PL_DATA_FILES] = {
        {"train.jsonl", "train-answers.jsonl"}, {"test.jsonl", "test-answers.jsonl"}};
    const bool answers = writer->opts.template_count > 0;
    int rc = PL_OK;

    if (!writer->opts.parts) {
        writer->to_stdout = strcmp(writer->opts.output, "-") == 0;
        if (writer->to_stdout)
            return PL_OK;
        return open_file(writer, NULL, PL_DATA_PART_TRAIN,
                         answers ? PL_DATA_ANSWERS : PL_DATA_TASKS, err);
    }
    rc = pl_dir_make(writer->opts.output, err);
    for (size_t part = 0; part < PL_DATA_PARTS; part++)
        for (size_t file = 0; rc == PL_OK && file < (answers ? 2 : 1); file++)
            rc = open_file(writer, names[part][file], (enum pl_data_part)part,
                           (enum pl_data_file)file, err);
    return rc;
}

int pl_data_writer_init(struct pl_data_writer *writer, const struct pl_data_writer_opts *opts,
                        struct pl_error *err)
{
    int rc;

    *writer = (struct pl_data_writer){.opts = *opts, .summary.family = opts->family};
    pl_buf_init(&writer->row, ROW_BYTES_MAX);
    pl_buf_init(&writer->response, ROW_BYTES_MAX);
    rc = load_instructions(writer, err);
    if (rc == PL_OK)
        rc = open_files(writer, err);
    if (rc < 0)
        pl_data_writer_release(writer);
    return rc;
}

void pl_data_writer_release(struct pl_data_writer *writer)
{
    for (size_t part = 0; part < PL_DATA_PARTS; part++)
        for (size_t file = 0; file < PL_DATA_FILES; file++)
            pl_outfile_abort(&writer->files[part][file]);
    for (size_t i = 0; i < PL_TEMPLATES; i++)
        free(writer->instructions[i]);
    pl_buf_release(&writer->row);
    pl_buf_release(&writer->response);
    pl_data_summary_release(&writer->summary);
    *writer = (struct pl_data_writer){0};
}

static int write_row(struct pl_data_writer *writer, enum pl_data_part part, enum pl_data_file file,
                     struct pl_error *err)
{
    const struct pl_buf *row = &writer->row;

    if (!writer->to_stdout)
        return pl_outfile_write(&writer->files[part][file], row->data, row->len, err);
    if (fwrite(row->data, 1, row->len, stdout) != row->len)
        return pl_fail_errno(err, "write to standard output");
    return PL_OK;
}

static int put_task(struct pl_data_writer *writer, enum pl_data_part part,
                    const struct pl_task_item *item, struct pl_error *err)
{
    int rc;

    pl_buf_clear(&writer->row);
    rc = item->problem->family->task(item, &writer->row);
    if (rc < 0)
        return pl_fail(err, rc, "task '%s': no room for the row", item->id);
    return write_row(writer, part, PL_DATA_TASKS, err);
}

static int make_response(struct pl_data_writer *writer, enum pl_method template,
                         const struct pl_task_item *item)
{
    const struct pl_family *family = item->problem->family;
    struct pl_worked_opts opts = {.template = template, .wording = item->problem->wording};
    bool correct = false;
    int rc;

    opts.rng = pl_draws_rng(family->draws, PL_DRAWS_ANSWER + (uint32_t) template, writer->opts.seed,
                            item->problem->size, (uint32_t)item->index);
    opts.careful = pl_rng_unit(&opts.rng, CAREFUL_POSITION) < writer->opts.careful_share;
    pl_buf_clear(&writer->response);
    rc = family->answer(item->problem, &opts, &writer->response, &correct);
    if (rc == PL_OK)
        pl_data_summary_answer(&writer->summary, template, opts.careful, correct,
                               pl_worked_words(writer->response.data, writer->response.len));
    return rc;
}

static int put_quoted(struct pl_buf *row, const char *before, const char *text)
{
    const int rc = pl_buf_puts(row, before);

    return rc < 0 ? rc : pl_json_quote(row, text, strlen(text));
}

/* {"prompt", "response"} behind a control token, which is part of the prompt. */
static int print_pair(struct pl_buf *row, const char *token, const char *question,
                      const char *response)
{
    char *prompt = pl_strf("%s%s", token, question);
    int rc = prompt ? put_quoted(row, "{\"prompt\": ", prompt) : PL_ENOMEM;

    if (rc == PL_OK)
        rc = put_quoted(row, ", \"response\": ", response);
    free(prompt);
    return rc < 0 ? rc : pl_buf_puts(row, "}\n");
}

/* {"messages"} with the full instruction as the system's. */
static int print_messages(struct pl_buf *row, const char *instruction, const char *question,
                          const char *response)
{
    int rc = put_quoted(row, "{\"messages\": [{\"role\": \"system\", \"content\": ", instruction);

    question += question[0] == ' '; /* plain wording begins with one */
    if (rc == PL_OK)
        rc = put_quoted(row, "}, {\"role\": \"user\", \"content\": ", question);
    if (rc == PL_OK)
        rc = put_quoted(row, "}, {\"role\": \"assistant\", \"content\": ", response);
    return rc < 0 ? rc : pl_buf_puts(row, "}]}\n");
}

static int put_answer(struct pl_data_writer *writer, enum pl_data_part part, size_t i,
                      const struct pl_task_item *item, struct pl_error *err)
{
    const char *instruction = writer->instructions[i];
    int rc = make_response(writer, writer->opts.templates[i], item);

    pl_buf_clear(&writer->row);
    if (rc == PL_OK)
        rc = writer->opts.instruction == PL_INSTRUCTION_FULL
                 ? print_messages(&writer->row, instruction, item->question, writer->response.data)
                 : print_pair(&writer->row, instruction, item->question, writer->response.data);
    if (rc < 0)
        return pl_fail(err, rc, "task '%s': no room for its answer", item->id);
    return write_row(writer, part, PL_DATA_ANSWERS, err);
}

int pl_data_writer_put(struct pl_data_writer *writer, enum pl_data_part part,
                       const struct pl_task_item *item, struct pl_error *err)
{
    int rc = pl_data_summary_problem(&writer->summary, part, item->problem);

    PL_ASSERT(part == PL_DATA_PART_TRAIN || writer->opts.parts);
    if (rc < 0)
        return pl_fail(err, rc, "no memory to count %s", item->problem->family->nouns);
    if (writer->opts.parts || writer->opts.template_count == 0)
        rc = put_task(writer, part, item, err);
    for (size_t i = 0; rc == PL_OK && i < writer->opts.template_count; i++)
        rc = put_answer(writer, part, i, item, err);
    return rc;
}

int pl_data_writer_commit(struct pl_data_writer *writer, struct pl_error *err)
{
    if (writer->to_stdout && fflush(stdout) != 0)
        return pl_fail_errno(err, "write to standard output");
    for (size_t part = 0; part < PL_DATA_PARTS; part++) {
        for (size_t file = 0; file < PL_DATA_FILES; file++) {
            const int rc = writer->files[part][file].stream
                               ? pl_outfile_commit(&writer->files[part][file], err)
                               : PL_OK;

            if (rc < 0)
                return rc;
        }
    }
    return PL_OK;
}

int pl_data_writer_report(const struct pl_data_writer *writer, bool json, struct pl_error *err)
{
    FILE *out = writer->to_stdout ? stderr : stdout;

    return json ? pl_data_summary_json(&writer->summary, out, err)
                : pl_data_summary_print(&writer->summary, writer->opts.parts, out, err);
}
