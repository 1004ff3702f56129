/*
 * From Oniguruma's syntax to PCRE2's. Taken are the constructs that mean the same in both, and \s
 * and \S, which are written out; all else is refused by name.
 */
#include "common/base/buf.h"
#include "common/text/pretok.h"

#include <stdlib.h>
#include <string.h>

enum { PATTERN_BYTES_MAX = 16384, DEPTH_MAX = 100 };

struct scan {
    const char *pattern, *p;
    struct pl_buf *out;
    bool in_class;
    size_t depth, class_start;
    struct pl_error *err;
};

static int refuse(const struct scan *scan, const char *what)
{
    return pl_fail(scan->err, PL_EUNSUPPORTED,
                   "split pattern '%.200s': %s at byte %zu is not supported", scan->pattern, what,
                   (size_t)(scan->p - scan->pattern));
}

static int put(struct scan *scan, const char *text, size_t n)
{
    if (pl_buf_append(scan->out, text, n) < 0)
        return pl_fail(scan->err, PL_ENOMEM, "no memory for a split pattern");
    scan->p += n;
    return PL_OK;
}

/* Replace the n bytes at p. */
static int put_as(struct scan *scan, const char *text, size_t n)
{
    if (pl_buf_puts(scan->out, text) < 0)
        return pl_fail(scan->err, PL_ENOMEM, "no memory for a split pattern");
    scan->p += n;
    return PL_OK;
}

/* \p{Name} or \P{Name}; both engines know the same names of categories and scripts. */
static int property(struct scan *scan)
{
    const char *p = scan->p + 2;

    if (*p != '{')
        return refuse(scan, "a property without braces");
    if (*++p == '^')
        p++;
    while ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_')
        p++;
    if (*p != '}')
        return refuse(scan, "a property of this form");
    return put(scan, scan->p, (size_t)(p + 1 - scan->p));
}

static int escape(struct scan *scan)
{
    const char c = scan->p[1];

    if (c == 's')
        return put_as(scan, "\\p{White_Space}", 2);
    if (c == 'S')
        return put_as(scan, "\\P{White_Space}", 2);
    if (c == 'p' || c == 'P')
        return property(scan);
    if (c != '\0' && strchr("dDrntf", c))
        return put(scan, scan->p, 2);
    if (c != '\0' && strchr("\\^$.[]|()?*+{}-/'\"#&~!%,:;<=>@_` ", c))
        return put(scan, scan->p, 2);
    return refuse(scan, "this escape");
}

static int in_class(struct scan *scan)
{
    const char *p = scan->p;

    if (*p == '[')
        return refuse(scan, "a '[' within a class");
    if (p[0] == '&' && p[1] == '&')
        return refuse(scan, "'&&' within a class");
    if (*p == ']') {
        if ((size_t)(p - scan->pattern) == scan->class_start)
            return refuse(scan, "an empty class");
        scan->in_class = false;
    }
    return *p == '\\' ? escape(scan) : put(scan, p, 1);
}

static int group(struct scan *scan)
{
    static const char *const heads[] = {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};

    if (++scan->depth > DEPTH_MAX)
        return refuse(scan, "so deep a nesting");
    if (scan->p[1] == '*')
        return refuse(scan, "'(*'");
    if (scan->p[1] != '?')
        return put(scan, scan->p, 1);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        if (strncmp(scan->p, heads[i], strlen(heads[i])) == 0)
            return put(scan, scan->p, strlen(heads[i]));
    }
    return refuse(scan, "this kind of group");
}

/* {n}, {n,} and {n,m}; "{,m}" and a brace that stands for itself differ. */
static int counted(struct scan *scan)
{
    const char *p = scan->p + 1;

    if (*p < '0' || *p > '9')
        return refuse(scan, "this brace");
    p += strspn(p, "0123456789");
    if (*p == ',')
        p++;
    p += strspn(p, "0123456789");
    if (*p != '}')
        return refuse(scan, "this brace");
    if (p[1] == '+')
        return refuse(scan, "'+' behind '{...}'");
    return put(scan, scan->p, (size_t)(p + 1 - scan->p));
}

static int outside_class(struct scan *scan)
{
    switch (*scan->p) {
    case '\\':
        return escape(scan);
    case '[': {
        const size_t n = scan->p[1] == '^' ? 2 : 1;

        scan->in_class = true;
        scan->class_start = (size_t)(scan->p - scan->pattern) + n;
        return put(scan, scan->p, n);
    }
    case '(':
        return group(scan);
    case ')':
        if (scan->depth > 0)
            scan->depth--;
        return put(scan, scan->p, 1);
    case '{':
        return counted(scan);
    case '^':
    case '$':
        return refuse(scan, "an anchor");
    default:
        return put(scan, scan->p, 1);
    }
}

int pl_pretok_translate(const char *pattern, char **ret_pattern, struct pl_error *err)
{
    struct pl_buf out;
    struct scan scan = {.pattern = pattern, .p = pattern, .out = &out, .err = err};
    int rc;

    pl_buf_init(&out, 16 * PATTERN_BYTES_MAX);
    if (strlen(pattern) > PATTERN_BYTES_MAX)
        return pl_fail(err, PL_EUNSUPPORTED, "a split pattern of %zu bytes; at most %d are taken",
                       strlen(pattern), PATTERN_BYTES_MAX);
    if (pattern[0] == '\0')
        return pl_fail(err, PL_EFORMAT, "the split pattern is empty");
    do
        rc = scan.in_class ? in_class(&scan) : outside_class(&scan);
    while (rc == PL_OK && *scan.p);
    if (rc < 0) {
        pl_buf_release(&out);
        return rc;
    }
    *ret_pattern = out.data;
    return PL_OK;
}
