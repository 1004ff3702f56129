#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deploy/tasks/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The fields of all records, each in brackets, a line a record with its number. */
static int show(const char *text, size_t len, char *out, size_t cap, struct pl_error *err)
{
    struct pl_csv_record *record = malloc(sizeof *record);
    struct pl_csv csv;
    bool found = true;
    size_t at = 0;
    int rc;

    assert_non_null(record);
    pl_csv_record_init(record);
    pl_csv_init(&csv, "f", text, len);
    for (;;) {
        rc = pl_csv_next(&csv, record, &found, err);
        if (rc < 0 || !found)
            break;
        at += (size_t)snprintf(out + at, cap - at, "%zu:", record->line);
        for (size_t i = 0; i < record->count; i++)
            at += (size_t)snprintf(out + at, cap - at, "[%s]", pl_csv_field(record, i));
        at += (size_t)snprintf(out + at, cap - at, ";");
    }
    out[at] = '\0';
    pl_csv_record_release(record);
    free(record);
    return rc;
}

static void records_are_told_apart(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},
        {"\n\r\n\n", ""},
        {"a", "1:[a];"},
        {"a,b\nc,d\n", "1:[a][b];2:[c][d];"},
        {"a,b\r\nc,d", "1:[a][b];2:[c][d];"},
        {"a,b\r", "1:[a][b];"},
        {",\n", "1:[][];"},
        {"a,\n,b", "1:[a][];2:[][b];"},
        {"\xEF\xBB\xBFx,y\n1,2\n", "1:[x][y];2:[1][2];"},
        {"\n\na\n\nb\n", "3:[a];5:[b];"},
        {"\"a,b\",\"c\"\"d\"\n", "1:[a,b][c\"d];"},
        {"\"two\nlines\",x\ny,z\n", "1:[two\nlines][x];3:[y][z];"},
        {"\"two\r\nlines\"\r\ny\r\n", "1:[two\r\nlines];3:[y];"},
        {"\"\",\"\"\"\"\n", "1:[][\"];"},
        {"\"\"", "1:[];"},
        {"\"\"\n\"\"\n", "1:[];2:[];"},
        {"a\"b,c\"\"\n", "1:[a\"b][c\"\"];"},
        {"a\rb,c\n", "1:[a\rb][c];"},
        {" \"a\",b\n", "1:[ \"a\"][b];"},
        {"caf\xC3\xA9,\xE9\n", "1:[caf\xC3\xA9][\xE9];"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t len = strlen(cases[i].text);
        char *exact = malloc(len + 1), out[256]; /* reading past the end is found */

        assert_non_null(exact);
        memcpy(exact, cases[i].text, len);
        assert_int_equal(show(exact, len, out, sizeof out, NULL), PL_OK);
        assert_string_equal(out, cases[i].want);
        free(exact);
    }
}

static void what_is_no_csv_is_refused(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *sentence;
    } cases[] = {
        {"a,\"b", 4, "f:1: a quoted field has no closing quote"},
        {"a\n\"b\n\n,\"\"", 10, "f:2: a quoted field has no closing quote"},
        {"\"", 1, "f:1: a quoted field has no closing quote"},
        {"\"a\"b,c\n", 7, "f:1: expected a comma or the end of the line behind a closing quote"},
        {"x\n\"a\n\" ,c\n", 10,
         "f:3: expected a comma or the end of the line behind a closing quote"},
        {"a,b\0c\n", 6, "f:1: a field holds a NUL byte"},
        {"a,\"b\0c\"\n", 8, "f:1: a field holds a NUL byte"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pl_error err = {0};
        char out[256];

        assert_int_equal(show(cases[i].text, cases[i].len, out, sizeof out, &err), PL_EFORMAT);
        assert_string_equal(err.text, cases[i].sentence);
    }
}

static void size_is_bounded(void **state)
{
    enum { BYTES = 2 << 20 };
    static const char *const sentences[] = {
        "f:1: the record has more than the 1024 fields expected",
        "f:1: the record has more than the 1048576 bytes expected",
        "f:1: the record has more than the 1048576 bytes expected",
    };
    char *text = malloc(BYTES), out[8];

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < 3; i++) {
        struct pl_error err = {0};

        memset(text, i == 0 ? ',' : 'x', BYTES); /* a million columns; a field of 2 MiB */
        if (i == 2)
            text[0] = text[BYTES - 1] = '"';
        assert_int_equal(show(text, BYTES, out, sizeof out, &err), PL_EFORMAT);
        assert_string_equal(err.text, sentences[i]);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_told_apart),
        cmocka_unit_test(what_is_no_csv_is_refused),
        cmocka_unit_test(size_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
