/*
 * Comma-separated values as RFC 4180 has them: fields between commas, records between line ends
 * (CRLF or LF), quoted fields that may hold commas, line ends and doubled quotes. A quote in the
 * middle of a field that does not begin with one stands for itself, as other readers take it. A
 * byte-order mark at the beginning and blank lines are passed over.
 *
 * A record has at most PL_CSV_FIELDS_MAX fields and PL_CSV_RECORD_BYTES_MAX bytes.
 */
#ifndef PL_TASKS_CSV_H
#define PL_TASKS_CSV_H

#include "common/base/buf.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { PL_CSV_FIELDS_MAX = 1024, PL_CSV_RECORD_BYTES_MAX = 1 << 20 };

struct pl_csv {
    const char *what; /* how errors name the text, borrowed */
    const char *data; /* borrowed */
    size_t len;
    size_t at, line; /* where the next record begins; lines count from 1 */
};

struct pl_csv_record {
    struct pl_buf text;               /* the fields, each with a NUL behind it */
    size_t starts[PL_CSV_FIELDS_MAX]; /* of the fields in it */
    size_t count;
    size_t line; /* in which the record begins */
};

void pl_csv_init(struct pl_csv *csv, const char *what, const char *data, size_t len);

void pl_csv_record_init(struct pl_csv_record *record);
void pl_csv_record_release(struct pl_csv_record *record);

/*
 * The next record in place of what *record holds; *ret_found is false at the end. PL_EFORMAT names
 * the line: a quoted field does not end or goes on behind its quote, a field holds a NUL, a record
 * is larger than said above; reading cannot go on then. PL_ENOMEM.
 */
int pl_csv_next(struct pl_csv *csv, struct pl_csv_record *record, bool *ret_found,
                struct pl_error *err);

const char *pl_csv_field(const struct pl_csv_record *record, size_t i); /* i < count; borrowed */

#endif
