/*
 * Pre-tokenization: an expression is translated and run or refused with a reason, and the pieces of
 * any text put together are the text. The two expressions that models have never fail.
 *
 * The input is expressions, one a line (a line that begins with '=' is a string to split at; an
 * empty one puts a space in front from there on), then NUL, then the text.
 */
#include "common/base/buf.h"
#include "common/text/pretok.h"
#include "common/text/utf8.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum {
    ADD_REFUSED = PL_FUZZ_CODE(PL_EFORMAT) | PL_FUZZ_CODE(PL_EUNSUPPORTED) |
                  PL_FUZZ_CODE(PL_EFULL) | PL_FUZZ_CODE(PL_ENOMEM),
    RUN_REFUSED = PL_FUZZ_CODE(PL_EUNSUPPORTED) | PL_FUZZ_CODE(PL_ENOMEM),
};

struct pieces {
    const char *text; /* what is still to come */
    size_t left;
    bool spaces; /* pieces may have a space in front that the text has not */
};

static int take(void *at, const char *piece, size_t len, struct pl_error *err)
{
    struct pieces *pieces = at;

    (void)err;
    PL_ASSERT(len > 0);
    if (pieces->spaces && piece[0] == ' ' && pieces->left > 0 && pieces->text[0] != ' ') {
        piece++;
        len--;
    }
    PL_ASSERT(len <= pieces->left && memcmp(pieces->text, piece, len) == 0);
    pieces->text += len;
    pieces->left -= len;
    return PL_OK;
}

static int run(const struct pl_pretok *pretok, const struct pl_buf *text, struct pl_error *err)
{
    struct pieces pieces = {text->data, text->len, pretok->prefix_space};
    struct pl_pretok_work *work = NULL;
    int rc;

    PL_ASSERT(pl_pretok_work_create(&work) == PL_OK);
    rc = pl_pretok_run(pretok, work, text->data, text->len, take, &pieces, err);
    PL_ASSERT(rc < 0 || pieces.left == 0);
    pl_pretok_work_destroy(work);
    return rc;
}

static void check_known(const struct pl_buf *text)
{
    static struct pl_pretok known[2]; /* compiled once */
    struct pl_error err = {0};

    for (size_t i = 0; i < 2; i++) {
        if (known[i].count == 0)
            PL_ASSERT(pl_pretok_add(&known[i], i ? PL_PRETOK_GPT2 : PL_PRETOK_QWEN2, false, &err) ==
                      PL_OK);
        PL_ASSERT(run(&known[i], text, &err) == PL_OK);
    }
}

/* One line of the input. */
static int add(struct pl_pretok *pretok, const char *line, struct pl_error *err)
{
    char *translated = NULL;
    const size_t count = pretok->count;
    int rc;

    if (line[0] == '\0') {
        pretok->prefix_space = true;
        pretok->prefix_at = pretok->count;
        return PL_OK;
    }
    if (line[0] == '=')
        return pl_pretok_add(pretok, line + 1, true, err);
    rc = pl_pretok_translate(line, &translated, err);
    PL_ASSERT((rc == PL_OK) == (translated != NULL));
    free(translated);
    if (rc == PL_OK)
        rc = pl_pretok_add(pretok, line, false, err);
    PL_ASSERT(pretok->count == count + (rc == PL_OK));
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_fuzz_in in = {data, size}, lines = pl_fuzz_cut(&in, '\0');
    struct pl_pretok pretok = {0};
    struct pl_error err = {0};
    struct pl_buf text;
    int rc = PL_OK;

    pl_buf_init(&text, SIZE_MAX / 2);
    PL_ASSERT(pl_utf8_repair((const char *)in.data, in.size, &text) == PL_OK);
    check_known(&text);
    while (rc == PL_OK && lines.size > 0) {
        char *line = pl_fuzz_string(pl_fuzz_cut(&lines, '\n'));

        rc = add(&pretok, line, &err);
        free(line);
    }
    if (rc < 0) {
        pl_fuzz_refused(rc, &err, ADD_REFUSED);
    } else {
        rc = run(&pretok, &text, &err);
        if (rc < 0)
            pl_fuzz_refused(rc, &err, RUN_REFUSED);
    }
    pl_pretok_release(&pretok);
    pl_buf_release(&text);
    return 0;
}
