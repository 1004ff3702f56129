/* Log lines as they arrive on standard error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/log.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char got[8192];
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
    assert_int_equal(strlen(got), 2047); /* cut, and still with its end */
    assert_ptr_equal(strchr(got, '\n'), got + 2046);
    assert_matches("^" STAMP "info m+\n$");
    hear_from_now();
    pl_info("text=%s", "first\nsecond\r\tthird");
    heard();
    assert_matches("^" STAMP "info text=first second  third\n$");
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
        cmocka_unit_test(what_stands_there_gets_out_of_the_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
