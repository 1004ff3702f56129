/*
 * Rows from files, one after the other.
 *
 *   FILE.csv    records under a first line of names (csv.h); a file without one is known by its
 *               last column, and has the names that the caller gives
 *   others      JSON lines: an object a line, LF or CRLF, blank lines are passed over; or, where
 *               the first character is '[', one array of objects; or, in FILE.json, one object over
 *               several lines
 *
 * A byte-order mark is passed over. A row is at most PL_IMPORT_ROW_BYTES_MAX bytes, an array 256
 * MiB. Errors name FILE:LINE, of an array FILE:#ROW.
 */
#ifndef PL_TASKS_IMPORT_FILES_H
#define PL_TASKS_IMPORT_FILES_H

#include "deploy/tasks/import.h"

struct pl_import_reader {
    const char *const *csv_columns; /* of a CSV file without a line of names, NULL at the end; NULL:
                                       there must be one. The last of such a file is a letter. */
    bool skip_bad; /* rows that are not as they should be are counted, and do not end it all */
    /* One row; PL_EFORMAT and PL_EUNSUPPORTED: it is bad. */
    int (*fn)(void *at, const struct pl_import_row *row, struct pl_error *err);
    /* NULL, or called after each row; bytes: of the file so far. A code ends it all. */
    int (*watch)(void *at, const char *what, size_t bytes, struct pl_error *err);
    void *at;

    uint64_t rows, bad;        /* so far */
    struct pl_error bad_first; /* of the first bad one */
};

/* All rows of a file. PL_ENOENT, PL_EIO, PL_ENOMEM; PL_EFORMAT, PL_EUNSUPPORTED: a bad row, or
 * there are no rows at all; what fn and watch returned. */
int pl_import_file(struct pl_import_reader *reader, const char *path, const char *stem,
                   struct pl_error *err);

/* The names without folders and endings, for ids; "x-2" for the second that would be "x". An array
 * of count strings, the caller's to end with pl_import_stems_free(). NULL: memory is out. */
char **pl_import_stems(char *const *paths, size_t count);
void pl_import_stems_free(char **stems, size_t count); /* NULL is fine */

#endif
