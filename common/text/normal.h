/*
 * Unicode normalization in time linear in the text, whatever the text: the properties and the
 * composition are utf8proc's, the canonical ordering of combining marks is done here by counting
 * sort, because an exchange sort takes quadratic time on a megabyte of shuffled marks.
 */
#ifndef PL_TEXT_NORMAL_H
#define PL_TEXT_NORMAL_H

#include "common/base/buf.h"

#include <stdbool.h>
#include <stddef.h>

enum pl_form { PL_FORM_NFC, PL_FORM_NFD, PL_FORM_NFKC, PL_FORM_NFKD };

/* True when a quick look shows that the text is in the form already; false may mean either. */
bool pl_normal_quick(enum pl_form form, const char *text, size_t len);

/*
 * Append the text in the given form; `text` is well-formed UTF-8. PL_EFULL, PL_ENOMEM.
 * Threads may call this at the same time.
 */
int pl_normal(enum pl_form form, const char *text, size_t len, struct pl_buf *out);

#endif
