/*
 * Texts from files: blocks put together are the file, lines are the file without its line ends, and
 * what is read of JSON lines is what they say.
 *
 * The first byte of the input is the kind of file.
 */
#include "common/base/buf.h"
#include "common/base/json.h"
#include "deploy/text_source.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { REFUSED = PL_FUZZ_CODE(PL_EFORMAT) };

struct found {
    struct pl_buf all; /* texts; behind each of lines a newline */
    size_t count;
    uint64_t done;
    bool lines;
};

static int collect(void *at, const char *text, size_t len, uint64_t done, struct pl_error *err)
{
    struct found *found = at;

    (void)err;
    PL_ASSERT(done >= found->done);
    PL_ASSERT(pl_buf_append(&found->all, text, len) == PL_OK);
    if (found->lines)
        PL_ASSERT(!memchr(text, '\n', len) && pl_buf_append(&found->all, "\n", 1) == PL_OK);
    found->done = done;
    found->count++;
    return PL_OK;
}

/* The file with one newline behind each line, and no carriage return before it. */
static struct pl_buf plain_lines(struct pl_fuzz_in in)
{
    struct pl_buf out;

    pl_buf_init(&out, SIZE_MAX / 2);
    while (in.size > 0) {
        struct pl_fuzz_in line = pl_fuzz_cut(&in, '\n');

        if (line.size > 0 && line.data[line.size - 1] == '\r')
            line.size--;
        PL_ASSERT(pl_buf_append(&out, line.data, line.size) == PL_OK);
        PL_ASSERT(pl_buf_append(&out, "\n", 1) == PL_OK);
    }
    return out;
}

static void check(enum pl_text_kind kind, struct pl_fuzz_in in, const struct found *found)
{
    struct pl_buf lines;

    if (kind == PL_TEXT_WHOLE || kind == PL_TEXT_BLOCKS) {
        PL_ASSERT(found->all.len == in.size);
        PL_ASSERT(in.size == 0 || memcmp(found->all.data, in.data, in.size) == 0);
    } else if (kind == PL_TEXT_LINES) {
        lines = plain_lines(in);
        PL_ASSERT(found->all.len == lines.len);
        PL_ASSERT(lines.len == 0 || memcmp(found->all.data, lines.data, lines.len) == 0);
        pl_buf_release(&lines);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_fuzz_in in = {data, size};
    const enum pl_text_kind kind = (enum pl_text_kind)(pl_fuzz_byte(&in) % 4);
    char *path = pl_fuzz_path("text"), *fields[] = {(char *)"text", (char *)"more", NULL};
    const struct pl_text_source source = {path, kind, fields};
    struct found found = {.lines = kind == PL_TEXT_LINES};
    struct pl_error err = {0};
    int rc;

    pl_buf_init(&found.all, SIZE_MAX / 2);
    pl_fuzz_write("text", in.data, in.size);
    rc = pl_text_each(&source, collect, &found, &err);
    if (rc < 0)
        pl_fuzz_refused(rc, &err, REFUSED);
    else
        check(kind, in, &found);
    pl_buf_release(&found.all);
    free(path);
    return 0;
}
