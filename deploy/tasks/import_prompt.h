/*
 * The question in a prompt: a string, or messages of a chat.
 *
 * A system message is left out, because the instruction of the method takes its place; it goes in
 * front of the question where that was asked for (pl_import_conf.keep_system). An answer behind the
 * only question is left off; conversations of several turns make no task.
 */
#ifndef PL_TASKS_IMPORT_PROMPT_H
#define PL_TASKS_IMPORT_PROMPT_H

#include "deploy/tasks/import.h"

struct pl_import_prompt {
    struct pl_buf question;
    const char *left_out; /* why there is none; NULL: there is one */
    bool had_system;      /* a system message was left out */
};

/* The field `key` of a row. On success to be ended with pl_import_prompt_release(). PL_EFORMAT: it
 * is neither; PL_ENOMEM. */
int pl_import_prompt_read(const struct pl_import_conf *conf, const struct pl_import_row *row,
                          const char *key, struct pl_import_prompt *ret_prompt,
                          struct pl_error *err);
void pl_import_prompt_release(struct pl_import_prompt *prompt);

/* The truth of a row: a string or number, a list of them, the first of which is the answer, or an
 * object with such a list as "target". New references. PL_EFORMAT, PL_ENOMEM. */
int pl_import_truth(const struct pl_import_row *row, const json_t *obj, const char *key,
                    json_t **ret_answer, json_t **ret_aliases, struct pl_error *err);

/* The verifier of rows from `source` (a data set's name); "em" where that is not known. */
const char *pl_import_verifier(const char *source);

#endif
