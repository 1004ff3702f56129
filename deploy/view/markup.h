/*
 * Markup that is HTML and XML at once (HTML pages, SVG), and the one place where text is escaped
 * into it. What a model, a file or a person said goes through pl_markup_text() and nowhere else.
 *
 * A writer keeps the first error and does nothing after it, so that a page is written line by line
 * and asked once, at its end, whether all of it is there.
 *
 * Not for several threads at once.
 */
#ifndef PL_VIEW_MARKUP_H
#define PL_VIEW_MARKUP_H

#include "common/base/buf.h"

#include <stddef.h>

struct pl_markup {
    struct pl_buf *out; /* borrowed; added to */
    int rc;             /* PL_OK, or the first error: PL_EFULL, PL_ENOMEM */
};

void pl_markup_put(struct pl_markup *m, const char *markup); /* as it is */
void pl_markup_printf(struct pl_markup *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))); /* as it is: for numbers and words of our own */

/*
 * Text, good between tags and in quoted attributes: & < > " ' as entities; control characters but
 * line feed and tab as their pictures (U+2400 on); bytes that are no UTF-8, and characters that XML
 * does not know, as U+FFFD.
 */
void pl_markup_text(struct pl_markup *m, const char *text);
void pl_markup_text_n(struct pl_markup *m, const char *text, size_t len);

/* The same, at most `chars` characters of it, an ellipsis for the rest. */
void pl_markup_short(struct pl_markup *m, const char *text, size_t chars);

/* Keep the error of something else that wrote into `out`. */
void pl_markup_keep(struct pl_markup *m, int rc);

/* Characters of a text, as it will be shown. */
size_t pl_markup_chars(const char *text);

#endif
