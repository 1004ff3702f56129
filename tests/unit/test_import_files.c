#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deploy/tasks/import_files.h"
#include "tests/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Notes where each row is from and what it is; rows with a "bad" are bad. */
struct notes {
    struct pl_buf text;
    size_t bytes; /* the last that was told */
    bool stop;
};

static int take(void *at, const struct pl_import_row *row, struct pl_error *err)
{
    struct notes *notes = at;
    char *dump = json_dumps(row->json, JSON_COMPACT);
    const char *slash = strrchr(row->what, '/');
    int rc = PL_OK;

    assert_non_null(dump);
    if (json_object_get(row->json, "bad"))
        rc = pl_fail(err, PL_EUNSUPPORTED, "%s: bad", slash + 1);
    else
        pl_buf_printf(&notes->text, "%s %s %zu %.60s\n", slash + 1, row->stem, row->number, dump);
    free(dump);
    return rc;
}

static int watch(void *at, const char *what, size_t bytes, struct pl_error *err)
{
    struct notes *notes = at;

    assert_true(bytes >= notes->bytes);
    notes->bytes = bytes;
    return notes->stop ? pl_fail(err, PL_ECANCELED, "stopped at %s", strrchr(what, '/') + 1)
                       : PL_OK;
}

static const char *const columns[] = {"q", "a", NULL};

/* Reads `bytes` as a file of that name. */
static int read_file(const char *name, const void *bytes, size_t len,
                     struct pl_import_reader *reader, struct notes *notes, struct pl_error *err)
{
    const char *path = pl_scratch(name);

    *err = (struct pl_error){0};
    pl_scratch_write(path, bytes, len);
    pl_buf_clear(&notes->text);
    pl_buf_puts(&notes->text, "");
    notes->bytes = 0;
    reader->fn = take;
    reader->watch = watch;
    reader->at = notes;
    return pl_import_file(reader, path, "stem", err);
}

static void rows_are_found(void **state)
{
    static const struct {
        const char *name, *text, *want;
    } cases[] = {
        {"l.jsonl", "{\"a\": 1}\n{\"a\": 2}",
         "l.jsonl:1 stem 1 {\"a\":1}\nl.jsonl:2 stem 2 {\"a\":2}\n"},
        {"l.jsonl", "\xEF\xBB\xBF{\"a\": 1}\r\n\r\n \t\n{\"a\": 2}\r\n",
         "l.jsonl:1 stem 1 {\"a\":1}\nl.jsonl:4 stem 4 {\"a\":2}\n"},
        {"l.json", "{\"a\": 1}\n{\"a\": 2}\n",
         "l.json:1 stem 1 {\"a\":1}\nl.json:2 stem 2 {\"a\":2}\n"},
        {"o.json", "{\"a\":\n 1}\n", "o.json:1 stem 1 {\"a\":1}\n"},
        {"a.jsonl", " \n[{\"a\": 1},\n{\"a\":\n2}]\n",
         "a.jsonl:#1 stem 1 {\"a\":1}\na.jsonl:#2 stem 2 {\"a\":2}\n"},
        {"c.csv", "q,a\n1,2\n\"x\ny\",\"z\"\"\"\n5,6",
         "c.csv:2 stem 2 {\"q\":\"1\",\"a\":\"2\"}\nc.csv:3 stem 3 "
         "{\"q\":\"x\\ny\",\"a\":\"z\\\"\"}\nc.csv:5 stem 5 {\"q\":\"5\",\"a\":\"6\"}\n"},
        {"c.CSV", "\xEF\xBB\xBFx,y,z\r\n1,2,\r\n",
         "c.CSV:2 stem 2 {\"x\":\"1\",\"y\":\"2\",\"z\":\"\"}\n"},
        {"c.csv", "one,B\ntwo,C\n", /* no line of names */
         "c.csv:1 stem 1 {\"q\":\"one\",\"a\":\"B\"}\nc.csv:2 stem 2 "
         "{\"q\":\"two\",\"a\":\"C\"}\n"},
    };
    struct notes notes = {.stop = false};

    (void)state;
    pl_buf_init(&notes.text, 1 << 16);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pl_import_reader reader = {.csv_columns = columns};
        struct pl_error err;

        if (read_file(cases[i].name, cases[i].text, strlen(cases[i].text), &reader, &notes, &err) <
            0)
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_string_equal(notes.text.data, cases[i].want);
    }
    pl_buf_release(&notes.text);
}

static void what_is_wrong_is_told_by_place(void **state)
{
    static const struct {
        const char *name, *text;
        size_t len; /* 0: up to the NUL */
        const char *sentence;
    } cases[] = {
        {"l.jsonl", "", 0, "'$/l.jsonl' has no rows"},
        {"c.csv", "", 0, "'$/c.csv' has no rows"},
        {"c.csv", "q,a\n", 0, "'$/c.csv' has no rows"},
        {"a.json", "[]", 0, "'$/a.json' has no rows"},
        {"l.jsonl", "\xEF\xBB\xBF", 0, "'$/l.jsonl' has no rows"},
        {"l.jsonl", "{}\n{\"a\": }\n", 0,
         "$/l.jsonl:2: line 1, column 7: unexpected token near '}'"},
        {"l.jsonl", "{\"a\": \"\xE9\"}\n", 0,
         "$/l.jsonl:1: line 1, column 7: unable to decode byte 0xe9 near '\"'"},
        {"l.jsonl", "{\"a\": 1, \"a\": 2}\n", 0,
         "$/l.jsonl:1: line 1, column 12: duplicate object key near '\"a\"'"},
        {"l.jsonl", "{}\n\0\n", 5,
         "$/l.jsonl:2: line 1, column 1: '[' or '{' expected near end of file"},
        {"l.jsonl", "{}\n[]\n", 0, "$/l.jsonl:2: a row is a JSON object, and this is none"},
        {"l.jsonl", "{\"bad\": 1}", 0, "l.jsonl:1: bad"},
        {"a.json", "[{}, 3]", 0, "$/a.json:#2: a row is a JSON object, and this is none"},
        {"a.json", "[{},", 0, "$/a.json: line 1, column 4: ']' expected near end of file"},
        {"o.json", "{\n\"a\": 1", 0, "$/o.json: line 2, column 6: '}' expected near end of file"},
        {"c.csv", "q,a\n1\n", 0, "$/c.csv:2: 1 fields; expected 2, one a column"},
        {"c.csv", "q,a\n1,2,3\n", 0, "$/c.csv:2: 3 fields; expected 2, one a column"},
        {"c.csv", "q,q\n1,2\n", 0, "$/c.csv:1: columns 1 and 2 have the same name"},
        {"c.csv", "q,a\n1,\xE9\n", 0, "$/c.csv:2: field 2 is not UTF-8"},
        {"c.csv", "\xE9,a\n1,2\n", 0, "$/c.csv:2: field 1 is not UTF-8"},
        {"c.csv", "q,a\n1,\"2\n", 0, "$/c.csv:2: a quoted field has no closing quote"},
    };
    struct notes notes = {.stop = false};

    (void)state;
    pl_buf_init(&notes.text, 1 << 16);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pl_import_reader reader = {.csv_columns = columns};
        struct pl_error err;
        const int rc =
            read_file(cases[i].name, cases[i].text,
                      cases[i].len ? cases[i].len : strlen(cases[i].text), &reader, &notes, &err);

        assert_true(rc == PL_EFORMAT || rc == PL_EUNSUPPORTED);
        pl_assert_says(&err, cases[i].sentence);
    }
    pl_buf_release(&notes.text);
}

static void bad_rows_can_be_passed_over(void **state)
{
    static const struct {
        const char *name, *text;
        uint64_t rows, bad;
        const char *want, *first;
    } cases[] = {
        {"l.jsonl", "{\"a\": 1}\n{\n{\"bad\": 1}\n3\n{\"a\": 2}\n", 5, 3,
         "l.jsonl:1 stem 1 {\"a\":1}\nl.jsonl:5 stem 5 {\"a\":2}\n",
         "$/l.jsonl:2: line 1, column 1: string or '}' expected near end of file"},
        {"a.json", "[{\"bad\": 1}, {\"a\": 1}]", 2, 1, "a.json:#2 stem 2 {\"a\":1}\n",
         "a.json:#1: bad"},
        {"c.csv", "q,a\n1\n2,x\n", 2, 1, "c.csv:3 stem 3 {\"q\":\"2\",\"a\":\"x\"}\n",
         "$/c.csv:2: 1 fields; expected 2, one a column"},
    };
    struct notes notes = {.stop = false};

    (void)state;
    pl_buf_init(&notes.text, 1 << 16);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pl_import_reader reader = {.csv_columns = columns, .skip_bad = true};
        struct pl_error err;

        assert_int_equal(
            read_file(cases[i].name, cases[i].text, strlen(cases[i].text), &reader, &notes, &err),
            PL_OK);
        assert_string_equal(notes.text.data, cases[i].want);
        assert_int_equal(reader.rows, cases[i].rows);
        assert_int_equal(reader.bad, cases[i].bad);
        pl_assert_says(&reader.bad_first, cases[i].first);
    }
    pl_buf_release(&notes.text);
}

static void sizes_are_bounded(void **state)
{
    enum { BYTES = PL_IMPORT_ROW_BYTES_MAX };
    struct notes notes = {.stop = false};
    struct pl_import_reader reader = {.csv_columns = NULL};
    struct pl_error err;
    char *row = malloc(BYTES + 2);

    (void)state;
    assert_non_null(row);
    pl_buf_init(&notes.text, 1 << 16);
    memset(row, 'x', BYTES + 2);
    memcpy(row, "{\"a\": \"", 7);
    memcpy(row + BYTES - 2, "\"}", 2);
    assert_int_equal(read_file("l.jsonl", row, BYTES, &reader, &notes, &err), PL_OK);
    memset(row + BYTES - 2, 'x', 2);
    memcpy(row + BYTES - 1, "\"}", 2);
    assert_int_equal(read_file("l.jsonl", row, BYTES + 1, &reader, &notes, &err), PL_EFORMAT);
    pl_assert_says(&err, "$/l.jsonl:1: the line has 1048577 bytes, more than the 1048576 expected");
    memset(row, ',', BYTES); /* a million columns */
    assert_int_equal(read_file("c.csv", row, BYTES, &reader, &notes, &err), PL_EFORMAT);
    pl_assert_says(&err, "$/c.csv:1: the record has more than the 1024 fields expected");
    free(row);
    pl_buf_release(&notes.text);
}

static void watching_can_end_it(void **state)
{
    static const char text[] = "{\"a\": 1}\n{\"a\": 2}\n";
    struct notes notes = {.stop = true};
    struct pl_import_reader reader = {.csv_columns = NULL};
    struct pl_error err;

    (void)state;
    pl_buf_init(&notes.text, 1 << 16);
    assert_int_equal(read_file("l.jsonl", text, strlen(text), &reader, &notes, &err), PL_ECANCELED);
    assert_string_equal(err.text, "stopped at l.jsonl:1");
    assert_int_equal(notes.bytes, 9);
    notes.stop = false;
    assert_int_equal(read_file("l.jsonl", text, strlen(text), &reader, &notes, &err), PL_OK);
    assert_int_equal(notes.bytes, strlen(text));
    pl_buf_release(&notes.text);
}

static void files_have_names_of_their_own(void **state)
{
    static char paths[][64] = {"a/x.v1.jsonl", "y.csv", "x.json",      ".hidden.jsonl",
                               "b/y",          "c/x",   "caf\xE9.json"};
    static const char *const want[] = {
        "x", "y", "x-2", ".hidden.jsonl", "y-2", "x-3", "caf\xEF\xBF\xBD"};
    enum { N = sizeof want / sizeof want[0] };
    char *list[N + 1] = {NULL};
    char **stems;

    (void)state;
    for (size_t i = 0; i < N; i++)
        list[i] = paths[i];
    stems = pl_import_stems(list, N);
    assert_non_null(stems);
    for (size_t i = 0; i < N; i++)
        assert_string_equal(stems[i], want[i]);
    pl_import_stems_free(stems, N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_found),
        cmocka_unit_test(what_is_wrong_is_told_by_place),
        cmocka_unit_test(bad_rows_can_be_passed_over),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(watching_can_end_it),
        cmocka_unit_test(files_have_names_of_their_own),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
