#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "deploy/tasks/kk_literal.h"
#include "deploy/tasks/kk_task.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 1 << 20 };

static void tasks_hold_what_they_should(void **state)
{
    static const char statements[] = "(('lying', 1), ('and', ('lying', 0), ('lying', 1)))";
    const uint64_t seed = UINT64_MAX;
    struct pl_kk puzzle = {.names = {"Zoey", "Max"}};
    struct pl_kk_task task = {
        .puzzle = &puzzle, .id = "a\"b", .question = "two\nlines", .seed = &seed, .index = 7};
    struct pl_buf row;
    char shape[40], want[1000];
    json_t *root;

    (void)state;
    pl_buf_init(&row, TEXT_BYTES_MAX);
    assert_int_equal(pl_kk_literal_parse(statements, strlen(statements), 2, &puzzle, NULL), PL_OK);
    assert_int_equal(pl_kk_solve(&puzzle, &puzzle.solution), 1);
    snprintf(shape, sizeof shape, "%016llx", (unsigned long long)pl_kk_shape(&puzzle));
    snprintf(want, sizeof want,
             "{\"id\": \"a\\\"b\", \"source\": \"kk\", \"question\": \"two\\nlines\", "
             "\"answer\": \"Zoey is a knight and Max is a knave\", \"aliases\": [], \"steps\": "
             "[{\"answer\": \"Zoey is a knight\", \"aliases\": []}, {\"answer\": \"Max is a "
             "knave\", \"aliases\": []}], \"ordered\": false, \"verifier\": \"kk\", \"meta\": "
             "{\"people\": 2, \"names\": [\"Zoey\", \"Max\"], \"solution\": [true, false], "
             "\"statements\": \"%s\", \"shape\": \"%s\", \"seed\": 18446744073709551615, "
             "\"index\": 7}}\n",
             statements, shape);
    assert_int_equal(pl_kk_task_print(&task, &row), PL_OK);
    assert_string_equal(row.data, want);
    root = json_loads(row.data, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    assert_int_equal(json_object_size(root), 9);
    json_decref(root);

    task.seed = NULL;
    pl_buf_clear(&row);
    assert_int_equal(pl_kk_task_print(&task, &row), PL_OK);
    assert_null(strstr(row.data, "seed"));
    for (size_t bytes = 0; bytes < row.len; bytes++) {
        struct pl_buf small;

        pl_buf_init(&small, bytes);
        assert_int_equal(pl_kk_task_print(&task, &small), PL_EFULL);
        pl_buf_release(&small);
    }
    pl_buf_release(&row);
}

#define ROW(names, solution, statements, more)                                                     \
    "{\"quiz\": \"Zoey and Max.\", \"names\": " names ", \"solution\": " solution                  \
    ", \"statements\": \"" statements "\"" more "}"
#define GOOD_NAMES    "[\"Zoey\", \"Max\"]"
#define GOOD_SOLUTION "[false, true]"
#define ONE_SOLUTION  "(('and', ('lying', 0), ('lying', 1)), ('or', ('lying', 0), ('lying', 1)))"

static void published_rows_are_checked(void **state)
{
    static const struct {
        const char *row;
        int code;
        const char *sentence;
    } cases[] = {
        {ROW(GOOD_NAMES, GOOD_SOLUTION, ONE_SOLUTION, ""), PL_OK, ""},
        {ROW(GOOD_NAMES, GOOD_SOLUTION, ONE_SOLUTION,
             ", \"solution_text\": \"Zoey is a knave, and Max is a knight.\", \"index\": 12, "
             "\"knight_knave\": {\"knight\": \"knight\", \"knave\": \"knave\"}"),
         PL_OK, ""},
        {"", PL_EFORMAT, "f:1: line 1, column 0: '[' or '{' expected near end of file"},
        {"[]", PL_EFORMAT, "f:1: expected an object"},
        {"{}", PL_EFORMAT, "f:1: 'names' is missing; expected an array"},
        {"{\"names\": 3}", PL_EFORMAT, "f:1: 'names' is something else; expected an array"},
        {"{\"names\": [\"Zoey\"]}", PL_EUNSUPPORTED, "f:1: 'names' has 1 people; expected 2 to 8"},
        {"{\"names\": [1,2,3,4,5,6,7,8,9]}", PL_EUNSUPPORTED,
         "f:1: 'names' has 9 people; expected 2 to 8"},
        {ROW("[\"Zoey\", 2]", GOOD_SOLUTION, ONE_SOLUTION, ""), PL_EFORMAT,
         "f:1: name 1 in 'names' is not a word of 1 to 31 letters that stands for a person"},
        {ROW("[\"Zoey\", \"\"]", GOOD_SOLUTION, ONE_SOLUTION, ""), PL_EFORMAT,
         "f:1: name 1 in 'names' is not a word of 1 to 31 letters that stands for a person"},
        {ROW("[\"Zoey\", \"M x\"]", GOOD_SOLUTION, ONE_SOLUTION, ""), PL_EFORMAT,
         "f:1: name 1 in 'names' is not a word of 1 to 31 letters that stands for a person"},
        {ROW("[\"Zoey\", \"KNIGHT\"]", GOOD_SOLUTION, ONE_SOLUTION, ""), PL_EFORMAT,
         "f:1: name 1 in 'names' is not a word of 1 to 31 letters that stands for a person"},
        {ROW("[\"Abcdefghijklmnopqrstuvwxyzabcdef\", \"Max\"]", GOOD_SOLUTION, ONE_SOLUTION, ""),
         PL_EFORMAT,
         "f:1: name 0 in 'names' is not a word of 1 to 31 letters that stands for a person"},
        {ROW("[\"Zoey\", \"zoey\"]", GOOD_SOLUTION, ONE_SOLUTION, ""), PL_EFORMAT,
         "f:1: the name 'zoey' is given to two people"},
        {ROW(GOOD_NAMES, "[false]", ONE_SOLUTION, ""), PL_EFORMAT,
         "f:1: 'solution' has 1 roles; expected 2, one a person"},
        {ROW(GOOD_NAMES, "[false, 1]", ONE_SOLUTION, ""), PL_EFORMAT,
         "f:1: role 1 in 'solution' is neither true nor false"},
        {ROW(GOOD_NAMES, "{}", ONE_SOLUTION, ""), PL_EFORMAT,
         "f:1: 'solution' is something else; expected an array"},
        {ROW(GOOD_NAMES, "[true, true]", ONE_SOLUTION, ""), PL_EFORMAT,
         "f:1: 'solution' says that Zoey is a knight; by the statements it is a knave"},
        {ROW(GOOD_NAMES, "[false, false]", ONE_SOLUTION, ""), PL_EFORMAT,
         "f:1: 'solution' says that Max is a knave; by the statements it is a knight"},
        {ROW(GOOD_NAMES, GOOD_SOLUTION, "(('lying', 1), ('lying', 0))", ""), PL_EFORMAT,
         "f:1: the statements have 2 solutions; expected one"},
        {ROW(GOOD_NAMES, GOOD_SOLUTION, "(('lying', 0), ('lying', 0))", ""), PL_EFORMAT,
         "f:1: the statements have 0 solutions; expected one"},
        {ROW(GOOD_NAMES, GOOD_SOLUTION, "(('lying', 1), ('lying', 7))", ""), PL_EFORMAT,
         "f:1: 'statements': byte 25: expected a person from 0 to 1, found a greater number"},
        {"{\"names\": " GOOD_NAMES ", \"solution\": " GOOD_SOLUTION ", \"statements\": []}",
         PL_EFORMAT, "f:1: 'statements' is an array; expected a string"},
        {"{\"names\": " GOOD_NAMES ", \"solution\": " GOOD_SOLUTION
         ", \"statements\": \"" ONE_SOLUTION "\"}",
         PL_EFORMAT, "f:1: key 'quiz' is missing; expected a string"},
        {"{\"quiz\": \"Zoey and Tom.\", \"names\": " GOOD_NAMES ", \"solution\": " GOOD_SOLUTION
         ", \"statements\": \"" ONE_SOLUTION "\"}",
         PL_EFORMAT, "f:1: 'quiz' does not mention Max"},
        {ROW(GOOD_NAMES, GOOD_SOLUTION, ONE_SOLUTION,
             ", \"solution_text\": \"Zoey is a knave, and Max is a knave.\""),
         PL_EFORMAT,
         "f:1: 'solution_text' is another; expected 'Zoey is a knave and Max is a knight'"},
        {ROW(GOOD_NAMES, GOOD_SOLUTION, ONE_SOLUTION, ", \"solution_text\": \"\""), PL_EFORMAT,
         "f:1: 'solution_text' is another; expected 'Zoey is a knave and Max is a knight'"},
        {ROW(GOOD_NAMES, GOOD_SOLUTION, ONE_SOLUTION,
             ", \"knight_knave\": {\"knight\": \"angel\", \"knave\": \"devil\"}"),
         PL_EUNSUPPORTED,
         "f:1: 'knight_knave' has another word for 'knight', which no verifier here knows"},
        {ROW(GOOD_NAMES, GOOD_SOLUTION, ONE_SOLUTION, ", \"index\": -1"), PL_EFORMAT,
         "f:1: 'index' is -1; expected 0 to 9223372036854775807"},
        {ROW(GOOD_NAMES, GOOD_SOLUTION, ONE_SOLUTION, ", \"names\": []"), PL_EFORMAT,
         "f:1: line 1, column 177: duplicate object key near '\"names\"'"},
    };
    struct pl_buf question;

    (void)state;
    pl_buf_init(&question, TEXT_BYTES_MAX);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pl_error err = {0};
        struct pl_kk puzzle;
        uint64_t index = 99;
        int rc = pl_kk_row_read(cases[i].row, strlen(cases[i].row), "f:1", &puzzle, &question,
                                &index, &err);

        assert_string_equal(err.text, cases[i].sentence);
        assert_int_equal(rc, cases[i].code);
        if (rc == PL_OK) {
            assert_string_equal(question.data, "Zoey and Max.");
            assert_int_equal(puzzle.solution, 2);
            assert_int_equal(index, i == 0 ? 99 : 12);
        }
    }
    pl_buf_release(&question);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_hold_what_they_should),
        cmocka_unit_test(published_rows_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
