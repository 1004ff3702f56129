/*
 * The whole lines of a file that may still grow: a line without its end, torn off by a crash or not
 * yet written, is none, nor is one that is longer than stated. Memory is that of the longest line.
 */
#ifndef PL_VIEW_LINES_H
#define PL_VIEW_LINES_H

#include "common/base/buf.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct pl_lines {
    FILE *file;
    char *path;
    struct pl_buf line;
    char *block; /* read from the file, [at, end) of it not looked at yet */
    size_t at, end;
    uint64_t bytes; /* handed out or passed over so far */
    size_t too_long;
    bool torn; /* at the end of the file there was a piece of a line */
};

/* Ended with pl_lines_close(), also after an error. PL_ENOENT, PL_EIO, PL_ENOMEM. */
int pl_lines_open(const char *path, size_t line_max, struct pl_lines *ret_lines,
                  struct pl_error *err);
void pl_lines_close(struct pl_lines *lines); /* zeroed is fine */

/* 1: *ret_line and *ret_len are the next line without its line feed, NUL behind it, good until the
 * next call. PL_OK: there is none by now. PL_EIO, PL_ENOMEM. */
int pl_lines_next(struct pl_lines *lines, const char **ret_line, size_t *ret_len,
                  struct pl_error *err);

#endif
