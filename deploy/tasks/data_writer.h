/*
 * Where made or imported problems go: tasks, or worked answers (worked.h) as rows for fine-tuning,
 * one for each template.
 *
 *   one part    `output` is a file, "-" standard output: tasks, or, with templates, answers
 *   two parts   `output` is a folder: train.jsonl and test.jsonl with tasks, and, with templates,
 *               train-answers.jsonl and test-answers.jsonl
 *
 * Files show up under their names whole, at the commit, or not at all. A row for fine-tuning is
 *
 *   {"prompt": control token and question, "response": answer}                            or
 *   {"messages": [system: full instruction, user: question, assistant: answer]}
 */
#ifndef PL_TASKS_DATA_WRITER_H
#define PL_TASKS_DATA_WRITER_H

#include "common/app/template.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/file.h"
#include "deploy/tasks/data_summary.h"
#include "deploy/tasks/family.h"
#include "deploy/tasks/worked.h"

struct pl_data_writer_opts {
    const struct pl_family *family; /* of all problems */
    const char *output;
    bool parts;
    enum pl_method templates[PL_TEMPLATES];
    size_t template_count; /* 0: tasks only */
    const char *folder;    /* of the instructions, see pl_template_load() */
    enum pl_instruction instruction;
    double careful_share; /* of the answers, each template by itself, by draws from seed */
    uint64_t seed;
};

enum pl_data_file { PL_DATA_TASKS, PL_DATA_ANSWERS, PL_DATA_FILES };

struct pl_data_writer {
    struct pl_data_writer_opts opts;
    struct pl_outfile files[PL_DATA_PARTS][PL_DATA_FILES]; /* stream NULL: not written */
    bool to_stdout;
    char *instructions[PL_TEMPLATES]; /* in the order of opts.templates */
    struct pl_buf row, response;
    struct pl_data_summary summary;
};

/* Loads the instructions and opens the files; the folder is made if need be. Errors are theirs.
 * On success to be ended with pl_data_writer_release(), after a commit or without. */
int pl_data_writer_init(struct pl_data_writer *writer, const struct pl_data_writer_opts *opts,
                        struct pl_error *err);

/* A problem of opts.family. Its index, and opts.seed, decide what is guessed. */
int pl_data_writer_put(struct pl_data_writer *writer, enum pl_data_part part,
                       const struct pl_task_item *item, struct pl_error *err);

int pl_data_writer_commit(struct pl_data_writer *writer, struct pl_error *err);

/* Print the summary: to standard output, or standard error if that takes the rows. */
int pl_data_writer_report(const struct pl_data_writer *writer, bool json, struct pl_error *err);

void pl_data_writer_release(struct pl_data_writer *writer);

#endif
