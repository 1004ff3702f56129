/*
 * Worked answers from published data sets, as rows for `plait sft`, one for each template
 * (worked.h). The thoughts are what was published:
 *
 *   gsm8k, math  the solution
 *   musique      for each sub-question the question, the paragraph that tells and the answer
 *
 * A task without them has no row. Puzzles of kk have answers of their own (data_writer.h).
 *
 *   one part    `output` is a file or "-": the rows, in place of the tasks
 *   two parts   train-answers.jsonl and test-answers.jsonl beside the tasks
 */
#ifndef PL_TASKS_IMPORT_WORKED_H
#define PL_TASKS_IMPORT_WORKED_H

#include "deploy/tasks/data_writer.h"
#include "deploy/tasks/import_set.h"

struct pl_import_worked {
    struct {
        uint64_t count, words, words_max; /* as pl_worked_words() has them */
    } answers[PL_TEMPLATES];
    uint64_t missing; /* tasks without */
};

/* Writes rows, and with parts the tasks, all of them or nothing. Of opts: output, parts, templates,
 * folder and instruction. PL_EFORMAT: no task has a worked answer; errors of files and
 * instructions. */
int pl_import_worked_write(const struct pl_import_set *set, const struct pl_data_writer_opts *opts,
                           struct pl_import_worked *ret_worked, struct pl_error *err);

/* PL_EIO, PL_ENOMEM. */
int pl_import_worked_print(const struct pl_import_worked *worked, FILE *out, struct pl_error *err);

/* {"cot": {"count": 9, "words_mean": 80.5, "words_max": 120}}; a new reference, NULL: no memory. */
json_t *pl_import_worked_json(const struct pl_import_worked *worked);

#endif
