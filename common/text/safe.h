/*
 * Text that somebody else wrote, for a terminal: what would move the cursor, change colours,
 * reverse the direction of writing or is no UTF-8 is shown as what it is, "\x1b", "\u202e". The
 * rest stays.
 */
#ifndef PL_TEXT_SAFE_H
#define PL_TEXT_SAFE_H

#include "common/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether a character changes more than its own place on a terminal: C0, DEL, C1, marks of
 * direction, separators of lines. */
bool pl_text_is_unsafe(uint32_t cp);

/* Append the text; line ends and tabs stay as they are where `lines`. PL_EFULL, PL_ENOMEM. */
int pl_text_safe(const char *text, size_t len, bool lines, struct pl_buf *out);

#endif
