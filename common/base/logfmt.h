/*
 * Lines of logs: `event key=value key="some words" ...`, written so that they can be read back.
 *
 * The format gives the line its structure, strings that are put into it are data: whatever they
 * hold, they stay within the value that they were put into and within the line.
 *
 *   in quotes, `reason="%s"`    " and \ become \" and \\; line feed, carriage return and tab
 *                              become \n, \r, \t
 *   elsewhere, `group=%s`       these, blanks and = become \x20, \x22, ...
 *   in both                     control characters, marks of direction and bytes that are not UTF-8
 *                               become \x1b, ...
 */
#ifndef PL_BASE_LOGFMT_H
#define PL_BASE_LOGFMT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * printf() into `text`, always NUL terminated; what has no room is cut off between characters, and
 * quotes are closed. Returns the length. The conversions d i u x X o c s p e f g a and %% are
 * there, with flags, width, precision and lengths; a string's width is not used.
 */
size_t pl_logfmt_vprint(char *text, size_t size, const char *fmt, va_list ap);
size_t pl_logfmt_print(char *text, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A piece of a line as it stands there, borrowed. */
struct pl_logfmt_field {
    const char *key; /* key_len 0: a word without one, the event in front */
    size_t key_len;
    const char *value; /* without its quotes */
    size_t value_len;
    bool quoted;
};

/* The next piece behind *at, which is moved on; false: there is none. Any text has pieces. */
bool pl_logfmt_next(const char **at, struct pl_logfmt_field *ret_field);

/* The value as it was put in, NUL terminated, and its length; what has no room is cut off. */
size_t pl_logfmt_value(const struct pl_logfmt_field *field, char *text, size_t size);

/* Whether it is written as JSON writes a number. */
bool pl_logfmt_is_number(const struct pl_logfmt_field *field);

#endif
