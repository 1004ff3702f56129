#include "deploy/tasks/task_line.h"

#include "common/base/json.h"

#include <string.h>

static int put_quoted(struct pl_buf *buf, const char *before, const char *text)
{
    const int rc = pl_buf_puts(buf, before);

    return rc < 0 ? rc : pl_json_quote(buf, text, strlen(text));
}

static int put_truth(const struct pl_task_item *item, const struct pl_task_line *line, size_t n,
                     const char *before, struct pl_buf *buf)
{
    int rc = pl_buf_printf(buf, "%s\"answer\": \"", before);

    if (rc == PL_OK)
        rc = line->answer(item, n, buf);
    return rc < 0 ? rc : pl_buf_puts(buf, "\", \"aliases\": []");
}

static int put_steps(const struct pl_task_item *item, const struct pl_task_line *line,
                     struct pl_buf *buf)
{
    int rc = pl_buf_puts(buf, ", \"steps\": [");

    for (size_t n = 0; rc == PL_OK && n < line->answers; n++) {
        rc = put_truth(item, line, n, n == 0 ? "{" : ", {", buf);
        if (rc == PL_OK)
            rc = pl_buf_puts(buf, "}");
    }
    return rc < 0 ? rc : pl_buf_puts(buf, "]");
}

static int put_meta(const struct pl_task_item *item, const struct pl_task_line *line,
                    struct pl_buf *buf)
{
    const struct pl_problem *problem = item->problem;
    int rc = pl_buf_printf(buf, ", \"meta\": {\"level\": %zu, \"%s\": %zu", problem->size,
                           problem->family->size, problem->size);

    if (rc == PL_OK && line->meta)
        rc = line->meta(item, buf);
    if (rc == PL_OK)
        rc = pl_buf_printf(buf, ", \"shape\": \"%016llx\"",
                           (unsigned long long)problem->family->shape(problem));
    if (rc == PL_OK && item->seed)
        rc = pl_buf_printf(buf, ", \"seed\": %llu", (unsigned long long)*item->seed);
    return rc < 0 ? rc : pl_buf_printf(buf, ", \"index\": %llu}", (unsigned long long)item->index);
}

int pl_task_line_print(const struct pl_task_item *item, const struct pl_task_line *line,
                       struct pl_buf *buf)
{
    int rc = put_quoted(buf, "{\"id\": ", item->id);

    if (rc == PL_OK)
        rc = put_quoted(buf, ", \"source\": ", item->problem->family->name);
    if (rc == PL_OK)
        rc = put_quoted(buf, ", \"question\": ", item->question);
    if (rc == PL_OK)
        rc = put_truth(item, line, line->answers, ", ", buf);
    if (rc == PL_OK)
        rc = put_steps(item, line, buf);
    if (rc == PL_OK) /* each step is about what was found before */
        rc = pl_buf_printf(buf, ", \"ordered\": true, \"verifier\": \"%s\"", line->verifier);
    if (rc == PL_OK)
        rc = put_meta(item, line, buf);
    return rc < 0 ? rc : pl_buf_puts(buf, "}\n");
}
