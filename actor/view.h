/*
 * A response as a person sees it, while it streams: the sink between a pl_stream and a file.
 *
 *   with colour     thoughts dimmed, answers plain, tags left out, each part on a line of its own
 *   without         the text with its tags, or nobody could tell thoughts from answers
 *   raw             the text as it is, no matter the colour
 *
 * What a model writes is not to be trusted with a terminal: control characters but newline and tab,
 * and those that turn the direction of writing, are shown as what they are called (pl_visible()).
 * Only raw output that goes elsewhere than to a terminal is left alone.
 *
 * Always true:
 *   - a style that was begun is ended within the same write, so that a program that is killed
 *     leaves no dimmed terminal behind;
 *   - pl_view_flush() hands all that came since the last one to the file in one write.
 *
 * One thread owns a view.
 */
#ifndef PL_ACTOR_VIEW_H
#define PL_ACTOR_VIEW_H

#include "actor/stream.h"
#include "common/base/buf.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct pl_view {
    int fd;
    bool color, raw, escape;
    struct pl_buf out; /* not yet written */
    bool fresh;        /* nothing of this part was shown yet */
    bool line_start;   /* the cursor stands at the beginning of a line */
};

/* Colour as pl_term_color() decides for fd is the caller's to find out. */
void pl_view_init(struct pl_view *view, int fd, bool color, bool raw);
void pl_view_release(struct pl_view *view);

/* To be given to a stream. Its functions fail with PL_ENOMEM, PL_EFULL only. */
struct pl_sink pl_view_sink(struct pl_view *view);

/* PL_EIO. */
int pl_view_flush(struct pl_view *view, struct pl_error *err);

/* The response is over: end its last line, flush, and be ready for another. Errors of flush. */
int pl_view_end(struct pl_view *view, struct pl_error *err);

/*
 * Append well-formed UTF-8, harmless to a terminal: U+0000 to U+001F and U+007F, but for newline
 * and tab, as their symbols from U+2400 on, U+0080 to U+009F and the marks that turn the direction
 * of writing (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069) as "<U+009B>".
 * PL_ENOMEM, PL_EFULL.
 */
int pl_visible(struct pl_buf *buf, const char *text, size_t len);

#endif
