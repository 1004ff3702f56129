/*
 * CSV. What is taken, written again with every field in quotes, is the same; no field holds a NUL;
 * reading goes on to the end and never back.
 */
#include "common/base/buf.h"
#include "deploy/tasks/csv.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 64 << 20, REFUSED = PL_FUZZ_CODE(PL_EFORMAT) };

static void quote(const struct pl_csv_record *record, struct pl_buf *out)
{
    for (size_t i = 0; i < record->count; i++) {
        PL_ASSERT(pl_buf_puts(out, i > 0 ? ",\"" : "\"") == PL_OK);
        for (const char *at = pl_csv_field(record, i); *at; at++)
            PL_ASSERT(pl_buf_append(out, "\"\"", *at == '"') == PL_OK &&
                      pl_buf_append(out, at, 1) == PL_OK);
        PL_ASSERT(pl_buf_puts(out, "\"") == PL_OK);
    }
    PL_ASSERT(pl_buf_puts(out, "\r\n") == PL_OK);
}

/* All records, quoted; a code where it ends before the end. */
static int read_all(const char *data, size_t size, struct pl_csv_record *record, struct pl_buf *out,
                    struct pl_error *err)
{
    struct pl_csv csv;
    bool found = true;
    int rc = PL_OK;

    pl_csv_init(&csv, "fuzz", data, size);
    while (rc == PL_OK && found) {
        const size_t at = csv.at, line = csv.line;

        rc = pl_csv_next(&csv, record, &found, err);
        PL_ASSERT(csv.at <= size && (!found || rc < 0 || csv.at > at));
        if (rc < 0 || !found)
            break;
        PL_ASSERT(record->count > 0 && record->count <= PL_CSV_FIELDS_MAX);
        PL_ASSERT(record->line >= line && csv.line > record->line);
        PL_ASSERT(record->text.len <= PL_CSV_RECORD_BYTES_MAX);
        quote(record, out);
    }
    PL_ASSERT(rc < 0 || csv.at == size);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_csv_record *record = malloc(sizeof *record);
    struct pl_error err = {0};
    struct pl_buf once, twice;
    int rc;

    PL_ASSERT(record);
    pl_csv_record_init(record);
    pl_buf_init(&once, TEXT_BYTES_MAX);
    pl_buf_init(&twice, TEXT_BYTES_MAX);
    PL_ASSERT(pl_buf_puts(&once, "") == PL_OK && pl_buf_puts(&twice, "") == PL_OK);
    rc = read_all((const char *)data, size, record, &once, &err);
    if (rc < 0) {
        pl_fuzz_refused(rc, &err, REFUSED);
    } else {
        pl_fuzz_taken(true);
    }
    PL_ASSERT(read_all(once.data, once.len, record, &twice, NULL) == PL_OK);
    PL_ASSERT(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    pl_buf_release(&once);
    pl_buf_release(&twice);
    pl_csv_record_release(record);
    free(record);
    return 0;
}
