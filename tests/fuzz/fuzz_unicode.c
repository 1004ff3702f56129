/*
 * Bytes made well-formed UTF-8, and its normal forms: what comes out is well formed, doing it again
 * changes nothing, the four forms go with each other as the standard says (UAX 15), and utf8proc's
 * own normalization gives the same.
 *
 * The first byte of the input chooses the form.
 */
#include "common/base/buf.h"
#include "common/text/normal.h"
#include "common/text/utf8.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static bool same(const struct pl_buf *a, const struct pl_buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static struct pl_buf repair(const char *text, size_t len)
{
    struct pl_buf out;

    pl_buf_init(&out, SIZE_MAX / 2);
    PL_ASSERT(pl_utf8_repair(text, len, &out) == PL_OK);
    PL_ASSERT(pl_utf8_valid(out.data, out.len));
    return out;
}

static struct pl_buf normal(enum pl_form form, const struct pl_buf *text)
{
    struct pl_buf out;

    pl_buf_init(&out, SIZE_MAX / 2);
    PL_ASSERT(pl_normal(form, text->data, text->len, &out) == PL_OK);
    PL_ASSERT(pl_utf8_valid(out.data, out.len));
    return out;
}

/* Characters taken one after the other are the text; utf8proc takes the same ones for good. */
static void check_steps(const char *text, size_t len)
{
    size_t n;

    for (size_t at = 0; at < len; at += n) {
        const enum pl_utf8_kind kind = pl_utf8_step(text + at, len - at, &n);
        utf8proc_int32_t cp = -1;
        char back[4];

        PL_ASSERT(n >= 1 && n <= 4 && n <= len - at);
        const utf8proc_ssize_t theirs = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                                         (utf8proc_ssize_t)(len - at), &cp);
        PL_ASSERT((kind == PL_UTF8_GOOD) == (theirs > 0));
        if (kind != PL_UTF8_GOOD)
            continue;
        PL_ASSERT((size_t)theirs == n && (uint32_t)cp == pl_utf8_decode(text + at, n));
        PL_ASSERT(pl_utf8_put((uint32_t)cp, back) == n && memcmp(back, text + at, n) == 0);
    }
}

/* Composition of the decomposition is composition, and the other way round. */
static void check_forms(const struct pl_buf *text)
{
    static const enum pl_form pairs[][2] = {
        {PL_FORM_NFC, PL_FORM_NFD},  {PL_FORM_NFD, PL_FORM_NFC},   {PL_FORM_NFKC, PL_FORM_NFD},
        {PL_FORM_NFKD, PL_FORM_NFC}, {PL_FORM_NFKC, PL_FORM_NFKD}, {PL_FORM_NFKD, PL_FORM_NFKC}};

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct pl_buf once = normal(pairs[i][0], text);
        struct pl_buf first = normal(pairs[i][1], text), both = normal(pairs[i][0], &first);

        PL_ASSERT(same(&once, &both));
        pl_buf_release(&once);
        pl_buf_release(&first);
        pl_buf_release(&both);
    }
}

static void check_utf8proc(enum pl_form form, const struct pl_buf *text, const struct pl_buf *ours)
{
    static const utf8proc_option_t options[] = {
        [PL_FORM_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [PL_FORM_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [PL_FORM_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [PL_FORM_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    utf8proc_uint8_t *theirs = NULL;
    const utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text->data,
                                            (utf8proc_ssize_t)text->len, &theirs, options[form]);

    PL_ASSERT(n >= 0 && (size_t)n == ours->len);
    PL_ASSERT(n == 0 || memcmp(theirs, ours->data, (size_t)n) == 0);
    free(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_fuzz_in in = {data, size};
    const enum pl_form form = (enum pl_form)(pl_fuzz_byte(&in) % 4);
    const char *raw = (const char *)in.data;
    struct pl_buf text = repair(raw, in.size), again, once, twice;

    PL_ASSERT(pl_utf8_valid(raw, in.size) ==
              (text.len == in.size && (in.size == 0 || memcmp(text.data, raw, in.size) == 0)));
    check_steps(raw, in.size);
    again = repair(text.data, text.len);
    PL_ASSERT(same(&text, &again));

    once = normal(form, &text);
    twice = normal(form, &once);
    PL_ASSERT(same(&once, &twice));
    if (pl_normal_quick(form, text.data, text.len))
        PL_ASSERT(same(&once, &text));
    check_forms(&text);
    check_utf8proc(form, &text, &once);
    pl_buf_release(&text);
    pl_buf_release(&again);
    pl_buf_release(&once);
    pl_buf_release(&twice);
    return 0;
}
