#include "common/text/normal.h"

#include "common/base/check.h"
#include "common/base/err.h"
#include "common/text/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* One character becomes at most 18 by any decomposition (U+FDFA). */
enum { EXPANSION_MAX = 18, INSERTION_MAX = 24, CLASSES = 256 };

/* Characters of a stretch that is worked on, with room to sort them. */
struct work {
    utf8proc_int32_t *cps, *aside;
    size_t len, cap, aside_cap;
};

/*
 * Characters under this one stand for themselves in the form, have class 0, and combine with
 * nothing before them: text can be cut in front of them.
 */
static uint32_t inert_below(enum pl_form form)
{
    return form == PL_FORM_NFC ? 0x300 : 0x80;
}

/* The bytes at the front made of inert characters. All of those have at most two bytes. */
static size_t inert_len(enum pl_form form, const char *text, size_t len)
{
    const unsigned char limit = inert_below(form) == 0x300 ? 0xCC : 0x80; /* 0xCC leads U+0300 */
    size_t at = 0;
    uint64_t word;

    for (;;) {
        while (len - at >= sizeof word) {
            memcpy(&word, text + at, sizeof word);
            if (word & 0x8080808080808080u)
                break;
            at += sizeof word;
        }
        while (at < len && (unsigned char)text[at] < 0x80)
            at++;
        if (at >= len || (unsigned char)text[at] >= limit)
            return at;
        at += 2;
    }
}

bool pl_normal_quick(enum pl_form form, const char *text, size_t len)
{
    return inert_len(form, text, len) == len;
}

static int grow(utf8proc_int32_t **array, size_t *cap, size_t need)
{
    utf8proc_int32_t *more;
    size_t n = *cap ? *cap : 256;

    if (need <= *cap)
        return PL_OK;
    while (n < need)
        n *= 2;
    more = realloc(*array, n * sizeof *more);
    if (!more)
        return PL_ENOMEM;
    *array = more;
    *cap = n;
    return PL_OK;
}

static unsigned class_of(utf8proc_int32_t cp)
{
    return (unsigned)utf8proc_get_property(cp)->combining_class;
}

static void insertion_sort(utf8proc_int32_t *cps, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const utf8proc_int32_t cp = cps[i];
        const unsigned class = class_of(cp);
        size_t k = i;

        for (; k > 0 && class_of(cps[k - 1]) > class; k--)
            cps[k] = cps[k - 1];
        cps[k] = cp;
    }
}

static int counting_sort(struct work *work, utf8proc_int32_t *cps, size_t n)
{
    size_t start[CLASSES + 1] = {0};
    const int rc = grow(&work->aside, &work->aside_cap, n);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        start[(class_of(cps[i]) & 0xFF) + 1]++;
    for (size_t c = 0; c < CLASSES; c++)
        start[c + 1] += start[c];
    for (size_t i = 0; i < n; i++)
        work->aside[start[class_of(cps[i]) & 0xFF]++] = cps[i];
    memcpy(cps, work->aside, n * sizeof *cps);
    return PL_OK;
}

/* Canonical ordering: each run of characters of class > 0 sorted by class, equal ones in order. */
static int order(struct work *work)
{
    size_t at = 0;

    while (at < work->len) {
        size_t end = at;

        while (end < work->len && class_of(work->cps[end]) > 0)
            end++;
        if (end - at > INSERTION_MAX) {
            const int rc = counting_sort(work, work->cps + at, end - at);

            if (rc < 0)
                return rc;
        } else if (end - at > 1) {
            insertion_sort(work->cps + at, end - at);
        }
        at = end + 1;
    }
    return PL_OK;
}

static int decompose(enum pl_form form, const char *text, size_t len, struct work *work)
{
    const bool compat = form == PL_FORM_NFKC || form == PL_FORM_NFKD;
    const int options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compat ? UTF8PROC_COMPAT : 0);

    work->len = 0;
    for (size_t at = 0, n; at < len; at += n) {
        utf8proc_ssize_t made;
        int rc, boundary = 0;

        pl_utf8_step(text + at, len - at, &n);
        rc = grow(&work->cps, &work->cap, work->len + EXPANSION_MAX);
        if (rc < 0)
            return rc;
        made = utf8proc_decompose_char((utf8proc_int32_t)pl_utf8_decode(text + at, n),
                                       work->cps + work->len, EXPANSION_MAX,
                                       (utf8proc_option_t)options, &boundary);
        PL_ASSERT(made >= 0 && made <= EXPANSION_MAX);
        work->len += (size_t)made;
    }
    return order(work);
}

/* The end of the stretch at text that has to be worked on as one: where an inert character follows.
 */
static size_t stretch_len(enum pl_form form, const char *text, size_t len)
{
    size_t at = 0, n;

    while (at < len) {
        pl_utf8_step(text + at, len - at, &n);
        if (at > 0 && pl_utf8_decode(text + at, n) < inert_below(form))
            break;
        at += n;
    }
    return at;
}

static int stretch(enum pl_form form, const char *text, size_t len, struct work *work,
                   struct pl_buf *out)
{
    int rc = decompose(form, text, len, work);

    if (rc < 0)
        return rc;
    if (form == PL_FORM_NFC || form == PL_FORM_NFKC) {
        const utf8proc_ssize_t n =
            utf8proc_normalize_utf32(work->cps, (utf8proc_ssize_t)work->len,
                                     (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE));

        PL_ASSERT(n >= 0);
        work->len = (size_t)n;
    }
    for (size_t i = 0; rc == PL_OK && i < work->len; i++) {
        char bytes[4];
        const size_t n = pl_utf8_put((uint32_t)work->cps[i], bytes);

        rc = pl_buf_append(out, bytes, n);
    }
    return rc;
}

int pl_normal(enum pl_form form, const char *text, size_t len, struct pl_buf *out)
{
    struct work work = {0};
    size_t at = 0;
    int rc = PL_OK;

    while (rc == PL_OK && at < len) {
        size_t n = inert_len(form, text + at, len - at), start;

        /* The last inert character may take up what follows it, so it belongs to the stretch. */
        if (n > 0 && at + n < len) {
            pl_utf8_before(text, at + n, &start);
            n = start - at;
        }
        rc = pl_buf_append(out, text + at, n);
        at += n;
        if (rc == PL_OK && at < len) {
            n = stretch_len(form, text + at, len - at);
            rc = stretch(form, text + at, n, &work, out);
            at += n;
        }
    }
    free(work.cps);
    free(work.aside);
    return rc;
}
