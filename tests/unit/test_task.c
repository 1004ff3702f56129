/* Tasks: what a line may be, and the sentence for what it may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char full[] =
    "{\"id\": \"kk-1\", \"source\": \"kk\", \"question\": \"Who?\", \"answer\": \"Zo\\u00eb is a "
    "knight\", \"aliases\": [\"Z\", \"\"], \"steps\": [{\"answer\": \"one\"}, {\"answer\": "
    "\"two\", \"aliases\": [\"2\"]}], \"ordered\": true, \"verifier\": \"kk\", \"meta\": "
    "{\"people\": 3}}";

static void a_full_task(void **state)
{
    struct pl_task t;

    (void)state;
    assert_int_equal(pl_task_parse(full, strlen(full), "x", &t, NULL), PL_OK);
    assert_string_equal(t.id, "kk-1");
    assert_string_equal(t.question, "Who?");
    assert_string_equal(t.final.answer, "Zo\xc3\xab is a knight");
    assert_int_equal(t.final.alias_count, 2);
    assert_string_equal(t.final.aliases[0], "Z");
    assert_string_equal(t.final.aliases[1], "");
    assert_int_equal(t.step_count, 2);
    assert_string_equal(t.steps[0].answer, "one");
    assert_int_equal(t.steps[0].alias_count, 0);
    assert_string_equal(t.steps[1].aliases[0], "2");
    assert_true(t.ordered);
    assert_string_equal(t.level, "3");
    assert_string_equal(t.line, full);
    pl_task_release(&t);
    pl_task_release(&t);
}

static void what_may_be_left_out(void **state)
{
    const char line[] = "{\"question\": \"q\", \"answer\": \"a\", \"verifier\": \"em\"}";
    struct pl_task t;

    (void)state;
    assert_int_equal(pl_task_parse(line, strlen(line), "x", &t, NULL), PL_OK);
    assert_string_equal(t.id, "");
    assert_string_equal(t.level, "");
    assert_true(!t.ordered && t.step_count == 0 && t.final.alias_count == 0);
    pl_task_release(&t);
}

static void choices_are_a_list_of_strings(void **state)
{
    static const struct {
        const char *meta;
        size_t count;
    } rows[] = {
        {"{\"choices\": [\"x\", \"\"]}", 2},
        {"{\"choices\": [\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}", 10},
        {"{\"choices\": [\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"\"]}", 0},
        {"{\"choices\": [\"x\"]}", 0},
        {"{\"choices\": [\"x\", 1]}", 0},
        {"{\"choices\": {\"text\": [\"x\", \"y\"]}}", 0},
        {"{}", 0},
        {"[]", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[512];
        struct pl_task t;

        snprintf(line, sizeof line,
                 "{\"question\": \"q\", \"answer\": \"a\", \"aliases\": [\"b\"], \"verifier\": "
                 "\"choice\", \"meta\": %s}",
                 rows[i].meta);
        assert_int_equal(pl_task_parse(line, strlen(line), "x", &t, NULL), PL_OK);
        assert_int_equal(t.choice_count, rows[i].count);
        assert_string_equal(t.final.aliases[0], "b");
        if (t.choice_count == 2) {
            assert_string_equal(t.choices[0], "x");
            assert_string_equal(t.choices[1], "");
        }
        pl_task_release(&t);
    }
}

static void sentences(void **state)
{
    static const char *const rows[][2] = {
        {"", "x: "},
        {"[]", "is a JSON object"},
        {"{\"answer\": \"a\", \"verifier\": \"kk\"}", "question"},
        {"{\"question\": \"q\", \"verifier\": \"kk\"}", "answer"},
        {"{\"question\": \"q\", \"answer\": \"a\"}", "verifier"},
        {"{\"question\": 7, \"answer\": \"a\", \"verifier\": \"kk\"}", "question"},
        {"{\"question\": \"q\", \"answer\": \"a\", \"verifier\": \"kk\", \"steps\": {}}",
         "'steps'"},
        {"{\"question\": \"q\", \"answer\": \"a\", \"verifier\": \"kk\", \"steps\": [1]}",
         "item 1 of 'steps'"},
        {"{\"question\": \"q\", \"answer\": \"a\", \"verifier\": \"kk\", \"steps\": [{}]}",
         "answer"},
        {"{\"question\": \"q\", \"answer\": \"a\", \"verifier\": \"kk\", \"aliases\": [1]}",
         "item 1 of 'aliases'"},
        {"{\"question\": \"q\", \"answer\": \"a\", \"verifier\": \"kk\", \"ordered\": 1}",
         "ordered"},
        {"{\"question\": \"q\", \"question\": \"q\", \"answer\": \"a\"}", "duplicate"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pl_task t = {0};
        struct pl_error err = {0};

        assert_int_equal(pl_task_parse(rows[i][0], strlen(rows[i][0]), "x", &t, &err), PL_EFORMAT);
        if (!strstr(err.text, rows[i][1]))
            fail_msg("row %zu: '%s' does not say '%s'", i, err.text, rows[i][1]);
        assert_null(t.memory);
    }
}

static void files_name_their_lines(void **state)
{
    char path[] = "/tmp/plait-task-XXXXXX";
    const int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    struct pl_tasks tasks = {0};
    struct pl_error err = {0};

    (void)state;
    fprintf(f, "%s\n\n%s\n", full, full);
    fflush(f);
    assert_int_equal(pl_tasks_load(path, &tasks, &err), PL_OK);
    assert_int_equal(tasks.count, 2);
    pl_tasks_release(&tasks);
    fprintf(f, "{\"question\": \"q\"}");
    fclose(f);
    assert_int_equal(pl_tasks_load(path, &tasks, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, ":4: "));
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(pl_tasks_load(path, &tasks, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "no task"));
    unlink(path);
    assert_int_equal(pl_tasks_load(path, &tasks, &err), PL_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_task),
        cmocka_unit_test(what_may_be_left_out),
        cmocka_unit_test(choices_are_a_list_of_strings),
        cmocka_unit_test(sentences),
        cmocka_unit_test(files_name_their_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
