/*
 * Logs of anybody as `plait trace` reads them: whatever the lines are, the story can be put in
 * order and told, and what is told moves no cursor. A line that is put into another one comes back
 * out of it as it was. Taken are logs that say something of group 12:3.
 */
#include "common/base/logfmt.h"
#include "deploy/view/trace_page.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { LINE = 4096, TEXT_MAX = 1 << 26 };

/* In quotes and as a word. */
static void check_back(const char *line)
{
    char text[4 * LINE + 64], value[LINE + 1];
    struct pl_logfmt_field f;
    const char *at = text;

    if (strlen(line) > LINE)
        return;
    pl_logfmt_print(text, sizeof text, "event a=\"%s\" b=%d", line, 7);
    PL_ASSERT(pl_logfmt_next(&at, &f) && f.key_len == 0 && f.value_len == 5);
    PL_ASSERT(pl_logfmt_next(&at, &f) && f.key_len == 1 && f.quoted);
    PL_ASSERT(pl_logfmt_value(&f, value, sizeof value) == strlen(line) && strcmp(value, line) == 0);
    PL_ASSERT(pl_logfmt_next(&at, &f) && pl_logfmt_is_number(&f) && !pl_logfmt_next(&at, &f));
    pl_logfmt_print(text, sizeof text, "a=%s", line);
    at = text;
    PL_ASSERT(pl_logfmt_next(&at, &f) && !f.quoted && !pl_logfmt_next(&at, &f));
    PL_ASSERT(pl_logfmt_value(&f, value, sizeof value) == strlen(line) && strcmp(value, line) == 0);
}

static void check_told(const struct pl_trace *trace)
{
    const struct pl_trace_page page = {
        .run = "demo", .trace = trace, .redis_why = "it is not there"};
    struct pl_buf text;
    json_t *json;

    pl_buf_init(&text, TEXT_MAX);
    PL_ASSERT(pl_trace_page_print(&page, PL_COLOR_NEVER, &text, NULL) == PL_OK);
    for (size_t i = 0; i < text.len; i++)
        PL_ASSERT((unsigned char)text.data[i] >= ' ' || text.data[i] == '\n');
    json = pl_trace_page_json(&page);
    PL_ASSERT(json);
    json_decref(json);
    pl_buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_fuzz_in in = {data, size};
    struct pl_trace trace;

    PL_ASSERT(pl_trace_init(&trace, "12:3", NULL) == PL_OK);
    while (in.size > 0) {
        char *line = pl_fuzz_string(pl_fuzz_cut(&in, '\n'));

        PL_ASSERT(line && pl_trace_line(&trace, "file", line) == PL_OK);
        check_back(line);
        free(line);
    }
    pl_fuzz_taken(trace.count > 0);
    pl_trace_conclude(&trace);
    check_told(&trace);
    pl_trace_release(&trace);
    return 0;
}
