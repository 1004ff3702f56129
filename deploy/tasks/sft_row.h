/*
 * A row for `plait sft`: one JSON line with a question, the instruction of a method and an answer.
 *
 *   control  {"prompt": instruction and question, "response": answer}
 *   full     {"messages": [system: instruction, user: question, assistant: answer]}
 */
#ifndef PL_TASKS_SFT_ROW_H
#define PL_TASKS_SFT_ROW_H

#include "common/app/template.h"
#include "common/base/buf.h"

struct pl_sft_texts {
    enum pl_instruction kind;
    const char *instruction, *question, *response;
};

/* Adds the row and a newline to buf. PL_ENOMEM, PL_EFULL from it. */
int pl_sft_row_print(const struct pl_sft_texts *texts, struct pl_buf *buf);

#endif
