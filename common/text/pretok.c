#define PCRE2_CODE_UNIT_WIDTH 8

#include "common/text/pretok.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/text/utf8.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEPS_LEAST = 100000, /* a match may take this many steps, and 16 for each byte of the text */
    HEAP_KIB_MAX = 1 << 18,
};

struct pl_split {
    pcre2_code *code;
    bool jit;
};

struct pl_pretok_work {
    pcre2_match_data *match;
    pcre2_match_context *context;
    struct pl_buf prefixed; /* a piece with a space in front */
};

static void split_destroy(struct pl_split *split)
{
    if (split)
        pcre2_code_free(split->code);
    free(split);
}

void pl_pretok_release(struct pl_pretok *pretok)
{
    for (size_t i = 0; i < pretok->count; i++)
        split_destroy(pretok->splits[i]);
    *pretok = (struct pl_pretok){0};
}

static int split_compile(const char *pattern, bool literal, const char *shown,
                         struct pl_split *split, struct pl_error *err)
{
    const uint32_t options =
        literal ? PCRE2_UTF | PCRE2_LITERAL : PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    PCRE2_UCHAR text[160];
    PCRE2_SIZE at = 0;
    int code = 0;

    if (!context)
        return pl_fail(err, PL_ENOMEM, "no memory to compile the split pattern");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    split->code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &code, &at, context);
    pcre2_compile_context_free(context);
    if (!split->code && code == PCRE2_ERROR_HEAP_FAILED)
        return pl_fail(err, PL_ENOMEM, "no memory to compile the split pattern");
    if (!split->code) {
        pcre2_get_error_message(code, text, sizeof text);
        return pl_fail(err, PL_EFORMAT, "split pattern '%.200s': %s at byte %zu of '%.200s'", shown,
                       (const char *)text, at, pattern);
    }
    split->jit = pcre2_jit_compile(split->code, PCRE2_JIT_COMPLETE) == 0;
    return PL_OK;
}

int pl_pretok_add(struct pl_pretok *pretok, const char *pattern, bool literal, struct pl_error *err)
{
    struct pl_split *split = NULL;
    char *translated = NULL;
    int rc;

    if (pretok->count == PL_PRETOK_SPLITS_MAX)
        return pl_fail(err, PL_EFULL, "more than %d split patterns", PL_PRETOK_SPLITS_MAX);
    if (literal && pattern[0] == '\0')
        return pl_fail(err, PL_EFORMAT, "the string to split at is empty");
    if (!literal) {
        rc = pl_pretok_translate(pattern, &translated, err);
        if (rc < 0)
            return rc;
    }
    split = calloc(1, sizeof *split);
    if (!split) {
        rc = pl_fail(err, PL_ENOMEM, "no memory for a split pattern");
        goto out;
    }
    rc = split_compile(literal ? pattern : translated, literal, pattern, split, err);
    if (rc < 0)
        goto out;
    pretok->splits[pretok->count++] = split;
    split = NULL;
out:
    split_destroy(split);
    free(translated);
    return rc;
}

int pl_pretok_work_create(struct pl_pretok_work **ret_work)
{
    struct pl_pretok_work *work = calloc(1, sizeof *work);

    if (!work)
        return PL_ENOMEM;
    pl_buf_init(&work->prefixed, SIZE_MAX / 2);
    work->match = pcre2_match_data_create(1, NULL); /* of a match only where it is matters */
    work->context = pcre2_match_context_create(NULL);
    if (!work->match || !work->context) {
        pl_pretok_work_destroy(work);
        return PL_ENOMEM;
    }
    pcre2_set_heap_limit(work->context, HEAP_KIB_MAX);
    *ret_work = work;
    return PL_OK;
}

void pl_pretok_work_destroy(struct pl_pretok_work *work)
{
    if (!work)
        return;
    pcre2_match_data_free(work->match);
    pcre2_match_context_free(work->context);
    pl_buf_release(&work->prefixed);
    free(work);
}

struct run {
    const struct pl_pretok *pretok;
    struct pl_pretok_work *work;
    pl_piece_fn *fn;
    void *at;
};

/* 1: a match, 0: none, else a code. The text was checked to be UTF-8 before. */
static int match(const struct pl_split *split, struct pl_pretok_work *work, const char *text,
                 size_t len, size_t from, size_t *ret_start, size_t *ret_end, struct pl_error *err)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(work->match);
    int n = PCRE2_ERROR_JIT_STACKLIMIT;

    /* Each time, since matches in shorter pieces may come in between. */
    pcre2_set_match_limit(work->context, len > (UINT32_MAX - STEPS_LEAST) / 16
                                             ? UINT32_MAX
                                             : (uint32_t)len * 16 + STEPS_LEAST);
    if (split->jit)
        n = pcre2_jit_match(split->code, (PCRE2_SPTR)text, len, from, PCRE2_NO_UTF_CHECK,
                            work->match, work->context);
    if (n == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter keeps its stack on the heap */
        n = pcre2_match(split->code, (PCRE2_SPTR)text, len, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                        work->match, work->context);
    if (n == PCRE2_ERROR_NOMATCH)
        return 0;
    if (n == PCRE2_ERROR_NOMEMORY)
        return pl_fail(err, PL_ENOMEM, "no memory to split the text at byte %zu", from);
    if (n < 0)
        return pl_fail(err, PL_EUNSUPPORTED,
                       "the split pattern takes too many steps at byte %zu of %zu (PCRE2 error %d)",
                       from, len, n);
    *ret_start = at[0];
    *ret_end = at[1];
    if (*ret_start < from || *ret_end < *ret_start)
        return pl_fail(err, PL_EUNSUPPORTED,
                       "the split pattern gives a match that ends before it starts, at byte %zu",
                       from);
    return 1;
}

static int cut(const struct run *run, size_t level, const char *text, size_t len,
               struct pl_error *err);

/* To the pattern of a level, or if there is none to the caller. A space is put in front at one
 * level only, so that there is one buffer for it. */
static int pass_on(const struct run *run, size_t level, const char *text, size_t len,
                   struct pl_error *err)
{
    struct pl_buf *buf = &run->work->prefixed;

    if (len == 0)
        return PL_OK;
    if (run->pretok->prefix_space && level == run->pretok->prefix_at && text[0] != ' ') {
        pl_buf_clear(buf);
        if (pl_buf_puts(buf, " ") < 0 || pl_buf_append(buf, text, len) < 0)
            return pl_fail(err, PL_ENOMEM, "no memory for a piece of %zu bytes", len);
        text = buf->data;
        len = buf->len;
    }
    return level < run->pretok->count ? cut(run, level, text, len, err)
                                      : run->fn(run->at, text, len, err);
}

/* The recursion is as deep as there are patterns. */
static int cut(const struct run *run, size_t level, const char *text, size_t len,
               struct pl_error *err)
{
    size_t done = 0, from = 0, start = 0, end = 0;
    int rc = PL_OK;

    while (from < len) {
        rc = match(run->pretok->splits[level], run->work, text, len, from, &start, &end, err);
        if (rc <= 0)
            break;
        rc = pass_on(run, level + 1, text + done, start - done, err);
        if (rc == PL_OK)
            rc = pass_on(run, level + 1, text + start, end - start, err);
        if (rc < 0)
            break;
        done = from = end;
        if (start == end &&
            from < len) { /* an empty match: the search goes on behind a character */
            size_t n;

            pl_utf8_step(text + from, len - from, &n);
            from += n;
        }
    }
    return rc < 0 ? rc : pass_on(run, level + 1, text + done, len - done, err);
}

int pl_pretok_run(const struct pl_pretok *pretok, struct pl_pretok_work *work, const char *text,
                  size_t len, pl_piece_fn *fn, void *at, struct pl_error *err)
{
    const struct run run = {pretok, work, fn, at};

    return pass_on(&run, 0, text, len, err);
}
