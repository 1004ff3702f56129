/*
 * The alphabet of byte-level vocabularies: each of the 256 bytes is written as one printable
 * character, so that tokens can stand in JSON. The 188 printable Latin-1 characters stand for
 * themselves, the other bytes, in order, for U+0100, U+0101, ... A space is U+0120.
 */
#ifndef PL_TEXT_BYTELEVEL_H
#define PL_TEXT_BYTELEVEL_H

#include "common/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The character that stands for a byte. */
uint32_t pl_bytelevel_char(unsigned char byte);

/* The byte a character stands for, or -1. */
int pl_bytelevel_byte(uint32_t cp);

/* Append bytes as their characters, in UTF-8. PL_EFULL, PL_ENOMEM. */
int pl_bytelevel_write(const char *bytes, size_t len, struct pl_buf *out);

/*
 * Append the bytes that well-formed UTF-8 stands for; *ret_all says whether each character stood
 * for one. Where one did not, nothing is appended. PL_EFULL, PL_ENOMEM.
 */
int pl_bytelevel_read(const char *text, size_t len, struct pl_buf *out, bool *ret_all);

#endif
