/*
 * UTF-8 (RFC 3629) at the level of bytes, and the few classes of characters that added tokens ask
 * about. What is not well formed becomes U+FFFD, one for each maximal subpart, as the Unicode
 * standard (3.9, "U+FFFD Substitution of Maximal Subparts") and the usual decoders have it.
 */
#ifndef PL_TEXT_UTF8_H
#define PL_TEXT_UTF8_H

#include "common/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PL_UTF8_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

enum pl_utf8_kind {
    PL_UTF8_GOOD,  /* a whole character */
    PL_UTF8_BAD,   /* bytes that no continuation can make well formed: one U+FFFD */
    PL_UTF8_SHORT, /* the text ends within what could still become a character */
};

/* What stands at text[0..len), len >= 1; *ret_len is how many bytes it is, 1 to 4. */
enum pl_utf8_kind pl_utf8_step(const char *text, size_t len, size_t *ret_len);

/* The character of n bytes that pl_utf8_step() called good. */
uint32_t pl_utf8_decode(const char *text, size_t n);

/* The bytes of a character (a Unicode scalar value); returns how many, 1 to 4. */
size_t pl_utf8_put(uint32_t cp, char ret_bytes[4]);

bool pl_utf8_valid(const char *text, size_t len);

/* Append the text with U+FFFD for what is not well formed. PL_EFULL, PL_ENOMEM. */
int pl_utf8_repair(const char *text, size_t len, struct pl_buf *out);

bool pl_utf8_is_space(uint32_t cp); /* White_Space */
bool pl_utf8_is_word(uint32_t cp);  /* letters, marks, decimal digits, connectors: \w */

/* The character before text + at (at >= 1, text well formed) and where it begins. */
uint32_t pl_utf8_before(const char *text, size_t at, size_t *ret_start);

#endif
