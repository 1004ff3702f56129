/* Log lines as they arrive on standard error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/log.h"

#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char got[60000];
static int saved = -1, ends[2];

/* From here on standard error is a pipe. */
static void hear_from_now(void)
{
    fflush(stderr);
    assert_int_equal(pipe(ends), 0);
    saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
}

/* What was written since hear_from_now(), by how many writes at least: a line each. */
static void heard(void)
{
    ssize_t n;
    size_t len = 0;

    dup2(saved, STDERR_FILENO);
    close(saved);
    while (len < sizeof got - 1 && (n = read(ends[0], got + len, sizeof got - 1 - len)) > 0)
        len += (size_t)n;
    got[len] = '\0';
    close(ends[0]);
}

static void assert_matches(const char *pattern)
{
    regex_t re;

    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&re, got, 0, NULL, 0) != 0)
        fail_msg("'%s' does not match %s", got, pattern);
    regfree(&re);
}

#define STAMP "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "

static void a_line_has_time_level_and_words(void **state)
{
    (void)state;
    hear_from_now();
    pl_info("start port=%d name=%s", 80, "x");
    heard();
    assert_matches("^" STAMP "info start port=80 name=x\n$");
    hear_from_now();
    pl_warn("slow");
    pl_err("gone");
    heard();
    assert_matches("^" STAMP "warn slow\n" STAMP "error gone\n$");
}

static void levels_are_held_back(void **state)
{
    (void)state;
    hear_from_now();
    pl_debug("not by default");
    pl_log_level_set(PL_LEVEL_ERROR);
    pl_warn("nor this");
    pl_err("but this");
    pl_log_level_set(PL_LEVEL_DEBUG);
    pl_debug("and this");
    pl_log_level_set(PL_LEVEL_INFO);
    heard();
    assert_matches("^" STAMP "error but this\n" STAMP "debug and this\n$");
}

static void a_line_stays_one_line(void **state)
{
    (void)state;
    char many[5000];

    memset(many, 'm', sizeof many);
    many[sizeof many - 1] = '\0';
    hear_from_now();
    pl_info("%s", many);
    heard();
    assert_in_range(strlen(got), 1500, PL_LOG_LINE_MAX); /* cut, and still with its end */
    assert_ptr_equal(strchr(got, '\n'), got + strlen(got) - 1);
    assert_matches("^" STAMP "info m+\n$");
    hear_from_now();
    pl_info("text=%s", "first\nsecond\r\tthird");
    heard();
    assert_matches("^" STAMP "info text=first\\\\x0asecond\\\\x0d\\\\x09third\n$");
    pl_log_begin(&(struct pl_log_opts){.least = PL_LEVEL_INFO, .role = "actor", .id = "actor-1"});
    hear_from_now();
    pl_info("%s", many);
    pl_warn("slow reason=\"a \\\"b\\\"\"");
    heard();
    assert_matches("^" STAMP "info m+ id=actor-1\n" STAMP "warn slow reason=.* id=actor-1\n$");
    pl_log_begin(&(struct pl_log_opts){.least = PL_LEVEL_INFO});
}

/* ---- JSON ---- */

static const struct pl_log_opts as_json = {
    .format = PL_LOG_JSON, .least = PL_LEVEL_INFO, .role = "actor", .id = "actor-1", .run = "demo"};

/* The one object that was heard, its time taken out. */
static json_t *heard_object(void)
{
    json_error_t why;
    json_t *object;

    heard();
    object = json_loads(got, JSON_REJECT_DUPLICATES, &why);
    if (!object)
        fail_msg("'%s' is no object: %s", got, why.text);
    assert_matches("^\\{\"ts\":\"[-0-9T:.]{23}Z\",.*\\}\n$");
    assert_int_equal(json_object_del(object, "ts"), 0);
    return object;
}

static void assert_object(const char *want)
{
    json_t *object = heard_object(), *wanted = json_loads(want, 0, NULL);

    assert_non_null(wanted);
    if (!json_equal(object, wanted))
        fail_msg("'%s' is not %s", got, want);
    json_decref(object);
    json_decref(wanted);
}

static void a_line_is_an_object(void **state)
{
    (void)state;
    pl_log_begin(&as_json);
    hear_from_now();
    pl_info("finished group=%s version=%s tokens=%zu loss=%.5f x=%f reason=\"%s\"", "12:3", "13",
            (size_t)811, -1.5e-3, (double)NAN, "\"quoted\" \x1b[31m\n\xff \xe2\x82\xac");
    assert_object("{\"level\":\"info\",\"role\":\"actor\",\"id\":\"actor-1\",\"run\":\"demo\","
                  "\"event\":\"finished\",\"group\":\"12:3\",\"version\":13,\"tokens\":811,"
                  "\"loss\":-0.0015,\"x\":\"nan\","
                  "\"reason\":\"\\\"quoted\\\" \\u001b[31m\\n\\ufffd \xe2\x82\xac\"}");
    hear_from_now(); /* names are strings, keys in front are there once, events are put together */
    pl_warn("weights event=%s batch=%d name=%s role=%s id=%s level=%d left=", "late", 12, "7", "x",
            "y", 3);
    assert_object("{\"level\":\"warn\",\"role\":\"actor\",\"id\":\"actor-1\",\"run\":\"demo\","
                  "\"event\":\"weights.late\",\"batch\":\"12\",\"name\":\"7\",\"left\":\"\"}");
    hear_from_now();
    pl_log_line(PL_LEVEL_ERROR, "odd a=1 a=2 \"c d\" =x e=\"not closed");
    assert_object("{\"level\":\"error\",\"role\":\"actor\",\"id\":\"actor-1\",\"run\":\"demo\","
                  "\"event\":\"odd\",\"a\":1,\"e\":\"not closed\"}");
    pl_log_begin(&(struct pl_log_opts){.least = PL_LEVEL_INFO});
}

static void a_long_line_is_an_object_too(void **state)
{
    char many[5000];
    json_t *object;

    (void)state;
    memset(many, '\x01', sizeof many);
    many[sizeof many - 1] = '\0';
    pl_log_begin(&as_json);
    hear_from_now();
    pl_info("event a=\"%s\" b=1", many);
    object = heard_object();
    assert_in_range(json_string_length(json_object_get(object, "a")), 400, 2000);
    json_decref(object);
    pl_log_begin(&(struct pl_log_opts){.least = PL_LEVEL_INFO});
}

/* ---- the journal ---- */

static void the_journal_is_told_priorities(void **state)
{
    struct stat st;
    char at[64];

    (void)state;
    for (int same = 0; same < 2; same++) {
        hear_from_now();
        assert_int_equal(fstat(STDERR_FILENO, &st), 0);
        snprintf(at, sizeof at, "%llu:%llu", (unsigned long long)st.st_dev,
                 (unsigned long long)st.st_ino + (same ? 0 : 1));
        setenv("JOURNAL_STREAM", at, 1);
        pl_log_begin(&(struct pl_log_opts){.least = PL_LEVEL_DEBUG});
        pl_debug("d%d", same);
        pl_info("i%d", same);
        pl_warn("w%d", same);
        pl_err("e%d", same);
        heard();
        if (same)
            assert_matches("^<7>" STAMP "debug d1\n<6>" STAMP "info i1\n<4>" STAMP
                           "warn w1\n<3>" STAMP "error e1\n$");
        else
            assert_matches("^" STAMP "debug d0\n" STAMP "info i0\n" STAMP "warn w0\n" STAMP
                           "error e0\n$");
    }
    unsetenv("JOURNAL_STREAM");
    pl_log_begin(&(struct pl_log_opts){.least = PL_LEVEL_INFO});
}

/* ---- lines alike ---- */

static size_t count_of(const char *word)
{
    size_t n = 0;

    for (const char *at = got; (at = strstr(at, word)); at++)
        n++;
    return n;
}

static void lines_alike_are_counted(void **state)
{
    (void)state;
    hear_from_now();
    for (int i = 0; i < 40; i++) {
        pl_warn("redis event=lost reason=\"%s\"", "gone \"away\"");
        pl_info("finished group=12:%d", i); /* others are written, however many there are */
    }
    pl_log_end();
    heard();
    assert_int_equal(count_of(" redis event=lost"), PL_LOG_ALIKE);
    assert_int_equal(count_of("finished group="), 40);
    assert_matches("warn repeated times=35 line=\"redis event=lost "
                   "reason=\\\\\"gone \\\\\\\\\\\\\"away\\\\\\\\\\\\\"\\\\\"\"\n");
    hear_from_now();
    pl_warn(
        "redis event=lost reason=\"gone \\\"away\\\"\""); /* it was told of: from the beginning */
    pl_log_end();
    heard();
    assert_int_equal(count_of("repeated"), 0);
    assert_int_equal(count_of("redis event=lost"), 1);
}

/* ---- threads ---- */

enum { THREADS = 8, LINES = 40 };

static void *log_some(void *at)
{
    for (int i = 0; i < LINES; i++)
        pl_info("line thread=%d n=%d", *(const int *)at, i);
    return NULL;
}

static void lines_of_threads_stay_whole(void **state)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];

    (void)state;
    pl_log_begin(&as_json);
    hear_from_now();
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_some, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    heard();
    assert_int_equal(count_of("\n"), THREADS * LINES);
    assert_int_equal(count_of("{\"ts\":"), THREADS * LINES);
    for (char *line = strtok(got, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

        assert_non_null(object);
        json_decref(object);
    }
    pl_log_begin(&(struct pl_log_opts){.least = PL_LEVEL_INFO});
}

static void count_lines(void *at)
{
    static const char mark[] = "[out of the way]";

    ++*(int *)at;
    assert_int_equal(write(STDERR_FILENO, mark, sizeof mark - 1), sizeof mark - 1);
}

static void what_stands_there_gets_out_of_the_way(void **state)
{
    int lines = 0;

    (void)state;
    pl_log_before(count_lines, &lines);
    hear_from_now();
    pl_warn("one");
    pl_debug("held back");
    pl_log_before(NULL, NULL);
    pl_warn("two");
    heard();
    assert_int_equal(lines, 1);
    assert_matches("^\\[out of the way\\]" STAMP "warn one\n" STAMP "warn two\n$");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_and_words),
        cmocka_unit_test(levels_are_held_back),
        cmocka_unit_test(a_line_stays_one_line),
        cmocka_unit_test(a_line_is_an_object),
        cmocka_unit_test(a_long_line_is_an_object_too),
        cmocka_unit_test(the_journal_is_told_priorities),
        cmocka_unit_test(lines_alike_are_counted),
        cmocka_unit_test(lines_of_threads_stay_whole),
        cmocka_unit_test(what_stands_there_gets_out_of_the_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
