#include "deploy/tasks/csv.h"

#include "common/base/check.h"

#include <string.h>

void pl_csv_init(struct pl_csv *csv, const char *what, const char *data, size_t len)
{
    *csv = (struct pl_csv){.what = what, .data = data, .len = len, .line = 1};
    if (len >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0)
        csv->at = 3;
}

void pl_csv_record_init(struct pl_csv_record *record)
{
    *record = (struct pl_csv_record){0};
    pl_buf_init(&record->text, PL_CSV_RECORD_BYTES_MAX);
}

void pl_csv_record_release(struct pl_csv_record *record)
{
    pl_buf_release(&record->text);
}

const char *pl_csv_field(const struct pl_csv_record *record, size_t i)
{
    PL_ASSERT(i < record->count);
    return record->text.data + record->starts[i];
}

static int add(const struct pl_csv *csv, struct pl_csv_record *record, const char *bytes,
               size_t len, struct pl_error *err)
{
    int rc;

    if (memchr(bytes, '\0', len))
        return pl_fail(err, PL_EFORMAT, "%s:%zu: a field holds a NUL byte", csv->what,
                       record->line);
    rc = pl_buf_append(&record->text, bytes, len);
    if (rc == PL_EFULL)
        return pl_fail(err, PL_EFORMAT, "%s:%zu: the record has more than the %d bytes expected",
                       csv->what, record->line, PL_CSV_RECORD_BYTES_MAX);
    return rc < 0 ? pl_fail(err, rc, "%s:%zu: no memory for a record", csv->what, record->line)
                  : PL_OK;
}

static size_t count_lines(const char *bytes, size_t len)
{
    size_t lines = 0;

    for (const char *at = bytes; (at = memchr(at, '\n', len - (size_t)(at - bytes))); at++)
        lines++;
    return lines;
}

/* From the opening quote to behind the closing one. */
static int read_quoted(struct pl_csv *csv, struct pl_csv_record *record, struct pl_error *err)
{
    const size_t line = csv->line;

    for (csv->at++;;) {
        const char *from = csv->data + csv->at;
        const char *quote = memchr(from, '"', csv->len - csv->at);
        const size_t len = quote ? (size_t)(quote - from) : 0;
        bool doubled;
        int rc;

        if (!quote)
            return pl_fail(err, PL_EFORMAT, "%s:%zu: a quoted field has no closing quote",
                           csv->what, line);
        csv->line += count_lines(from, len);
        csv->at += len + 1;
        doubled = csv->at < csv->len && csv->data[csv->at] == '"';
        rc = add(csv, record, from, len + doubled, err); /* one of the two quotes */
        if (rc < 0 || !doubled)
            return rc;
        csv->at++;
    }
}

/* Bytes up to the next comma, line end or the end. */
static size_t plain_len(const struct pl_csv *csv)
{
    size_t at = csv->at;

    while (at < csv->len && csv->data[at] != ',' && csv->data[at] != '\n' &&
           !(csv->data[at] == '\r' && (at + 1 == csv->len || csv->data[at + 1] == '\n')))
        at++;
    return at - csv->at;
}

/* True if a line end was there and is behind now. */
static bool take_line_end(struct pl_csv *csv)
{
    if (csv->at < csv->len && csv->data[csv->at] == '\r' &&
        (csv->at + 1 == csv->len || csv->data[csv->at + 1] == '\n'))
        csv->at++;
    else if (csv->at < csv->len && csv->data[csv->at] != '\n')
        return false;
    csv->line++;
    csv->at += csv->at < csv->len;
    return true;
}

static int read_field(struct pl_csv *csv, struct pl_csv_record *record, struct pl_error *err)
{
    int rc;

    if (record->count == PL_CSV_FIELDS_MAX)
        return pl_fail(err, PL_EFORMAT, "%s:%zu: the record has more than the %d fields expected",
                       csv->what, record->line, PL_CSV_FIELDS_MAX);
    record->starts[record->count++] = record->text.len;
    if (csv->at < csv->len && csv->data[csv->at] == '"') {
        rc = read_quoted(csv, record, err);
        if (rc == PL_OK && plain_len(csv) > 0)
            rc = pl_fail(err, PL_EFORMAT,
                         "%s:%zu: expected a comma or the end of the line behind a closing quote",
                         csv->what, csv->line);
    } else {
        const size_t len = plain_len(csv);

        rc = add(csv, record, csv->data + csv->at, len, err);
        csv->at += len;
    }
    if (rc == PL_OK && pl_buf_append(&record->text, "", 1) < 0) /* the NUL */
        rc = pl_fail(err, PL_EFORMAT, "%s:%zu: the record has more than the %d bytes expected",
                     csv->what, record->line, PL_CSV_RECORD_BYTES_MAX);
    return rc;
}

int pl_csv_next(struct pl_csv *csv, struct pl_csv_record *record, bool *ret_found,
                struct pl_error *err)
{
    int rc;

    pl_buf_clear(&record->text);
    record->count = 0;
    *ret_found = false;
    while (csv->at < csv->len && take_line_end(csv)) /* blank lines */
        ;
    if (csv->at == csv->len)
        return PL_OK;
    record->line = csv->line;
    for (;;) {
        rc = read_field(csv, record, err);
        if (rc < 0)
            return rc;
        if (take_line_end(csv))
            break;
        csv->at++; /* the comma */
    }
    *ret_found = true;
    return PL_OK;
}
