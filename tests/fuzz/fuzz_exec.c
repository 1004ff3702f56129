/*
 * The lines between a rewarder and a user's verifier. What it prints is a verdict or refused; and a
 * question about any bytes is one line of JSON, which says them again where they are text.
 */
#include "common/base/json.h"
#include "common/text/utf8.h"
#include "rewarder/exec.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

enum { BYTES_MAX = 1 << 20 };

static void check_question(const char *text, size_t len)
{
    const struct pl_task task = {.id = "fuzz", .question = "q", .final = {.answer = "a"}};
    struct pl_buf line;
    json_t *root = NULL;

    pl_buf_init(&line, BYTES_MAX);
    PL_ASSERT(pl_exec_question(&task, 0, text, len, &line) == PL_OK);
    PL_ASSERT(memchr(line.data, '\n', line.len) == line.data + line.len - 1);
    PL_ASSERT(pl_utf8_valid(line.data, line.len));
    if (!memchr(text, '\0', len)) { /* which our own reader does not take */
        const json_t *response;

        PL_ASSERT(pl_json_parse(line.data, line.len, "a question", &root, NULL) == PL_OK);
        response = json_object_get(root, "response");
        if (pl_utf8_valid(text, len))
            PL_ASSERT(json_string_length(response) == len &&
                      memcmp(json_string_value(response), text, len) == 0);
        json_decref(root);
    }
    pl_buf_release(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum pl_verdict verdict = PL_VERDICT_NONE;
    struct pl_error err = {0};
    const int rc = pl_exec_answer((const char *)data, size, &verdict, &err);

    if (rc < 0) {
        pl_fuzz_refused(rc, &err, PL_FUZZ_CODE(PL_EFORMAT));
        PL_ASSERT(verdict == PL_VERDICT_NONE);
    } else {
        pl_fuzz_taken(true);
        PL_ASSERT(verdict >= PL_VERDICT_RIGHT && verdict <= PL_VERDICT_UNPARSED);
    }
    check_question((const char *)data, size);
    return 0;
}
