#include "deploy/view/markup.h"

#include "common/base/err.h"
#include "common/text/utf8.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void pl_markup_keep(struct pl_markup *m, int rc)
{
    if (m->rc == PL_OK)
        m->rc = rc;
}

void pl_markup_put(struct pl_markup *m, const char *markup)
{
    if (m->rc == PL_OK)
        m->rc = pl_buf_puts(m->out, markup);
}

void pl_markup_printf(struct pl_markup *m, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof text)
        pl_markup_keep(m, PL_EINVAL);
    else
        pl_markup_put(m, text);
}

/* What XML 1.0 does not know at all, or has no look. */
static uint32_t shown_as(uint32_t cp)
{
    if (cp < 0x20 && cp != '\n' && cp != '\t')
        return 0x2400 + cp;
    if (cp == 0x7F)
        return 0x2421;
    if ((cp >= 0x80 && cp < 0xA0) || (cp & 0xFFFE) == 0xFFFE || (cp >= 0xFDD0 && cp <= 0xFDEF))
        return 0xFFFD;
    return cp;
}

static void put_char(struct pl_markup *m, uint32_t cp)
{
    char bytes[4];

    switch (cp) {
    case '&':
        pl_markup_put(m, "&amp;");
        break;
    case '<':
        pl_markup_put(m, "&lt;");
        break;
    case '>':
        pl_markup_put(m, "&gt;");
        break;
    case '"':
        pl_markup_put(m, "&quot;");
        break;
    case '\'':
        pl_markup_put(m, "&#39;");
        break;
    default:
        if (m->rc == PL_OK)
            m->rc = pl_buf_append(m->out, bytes, pl_utf8_put(shown_as(cp), bytes));
    }
}

/* At most `chars` characters; how many bytes they were. */
static size_t put_text(struct pl_markup *m, const char *text, size_t len, size_t chars)
{
    size_t at = 0;

    while (at < len && chars > 0 && m->rc == PL_OK) {
        size_t n;
        const enum pl_utf8_kind kind = pl_utf8_step(text + at, len - at, &n);

        put_char(m, kind == PL_UTF8_GOOD ? pl_utf8_decode(text + at, n) : 0xFFFD);
        at += n;
        chars--;
    }
    return at;
}

void pl_markup_text_n(struct pl_markup *m, const char *text, size_t len)
{
    put_text(m, text, len, SIZE_MAX);
}

void pl_markup_text(struct pl_markup *m, const char *text)
{
    pl_markup_text_n(m, text, strlen(text));
}

size_t pl_markup_chars(const char *text)
{
    const size_t len = strlen(text);
    size_t chars = 0;

    for (size_t at = 0, n = 1; at < len; at += n, chars++)
        (void)pl_utf8_step(text + at, len - at, &n);
    return chars;
}

void pl_markup_short(struct pl_markup *m, const char *text, size_t chars)
{
    const size_t len = strlen(text);

    if (pl_markup_chars(text) <= chars) {
        put_text(m, text, len, SIZE_MAX);
        return;
    }
    put_text(m, text, len, chars > 0 ? chars - 1 : 0);
    pl_markup_put(m, "\xE2\x80\xA6");
}
