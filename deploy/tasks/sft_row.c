#include "deploy/tasks/sft_row.h"

#include "common/base/err.h"
#include "common/base/json.h"

#include <stdlib.h>
#include <string.h>

static int put_quoted(struct pl_buf *buf, const char *before, const char *text)
{
    const int rc = pl_buf_puts(buf, before);

    return rc < 0 ? rc : pl_json_quote(buf, text, strlen(text));
}

static int print_pair(const struct pl_sft_texts *texts, struct pl_buf *buf)
{
    char *prompt = pl_strf("%s%s", texts->instruction, texts->question);
    int rc = prompt ? put_quoted(buf, "{\"prompt\": ", prompt) : PL_ENOMEM;

    if (rc == PL_OK)
        rc = put_quoted(buf, ", \"response\": ", texts->response);
    free(prompt);
    return rc < 0 ? rc : pl_buf_puts(buf, "}\n");
}

static int print_messages(const struct pl_sft_texts *texts, struct pl_buf *buf)
{
    int rc =
        put_quoted(buf, "{\"messages\": [{\"role\": \"system\", \"content\": ", texts->instruction);

    if (rc == PL_OK)
        rc = put_quoted(buf, "}, {\"role\": \"user\", \"content\": ", texts->question);
    if (rc == PL_OK)
        rc = put_quoted(buf, "}, {\"role\": \"assistant\", \"content\": ", texts->response);
    return rc < 0 ? rc : pl_buf_puts(buf, "}]}\n");
}

int pl_sft_row_print(const struct pl_sft_texts *texts, struct pl_buf *buf)
{
    return texts->kind == PL_INSTRUCTION_FULL ? print_messages(texts, buf) : print_pair(texts, buf);
}
