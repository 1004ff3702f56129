#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/term.h"
#include "common/base/err.h"

#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void sizes_and_times_read_well(void **state)
{
    char text[PL_HUMAN_MAX];

    (void)state;
    assert_string_equal(pl_human_bytes(text, 0), "0 B");
    assert_string_equal(pl_human_bytes(text, 1023), "1023 B");
    assert_string_equal(pl_human_bytes(text, 1024), "1.0 KiB");
    assert_string_equal(pl_human_bytes(text, (1 << 20) - 1), "1.0 MiB");
    assert_string_equal(pl_human_bytes(text, UINT64_MAX), "16.0 EiB");
    assert_string_equal(pl_human_count(text, 0), "0");
    assert_string_equal(pl_human_count(text, 12), "12");
    assert_string_equal(pl_human_count(text, 999.6), "1.00k");
    assert_string_equal(pl_human_count(text, 12345), "12.3k");
    assert_string_equal(pl_human_count(text, 4.56e6), "4.56M");
    assert_string_equal(pl_human_count(text, 0.25), "0.25");
    assert_string_equal(pl_human_seconds(text, 0.345), "0.34s");
    assert_string_equal(pl_human_seconds(text, 12.4), "12s");
    assert_string_equal(pl_human_seconds(text, 59.7), "1:00");
    assert_string_equal(pl_human_seconds(text, 3599.7), "1:00:00");
    assert_string_equal(pl_human_seconds(text, 7385), "2:03:05");
    assert_string_equal(pl_human_seconds(text, 86400 * 4 + 3 * 3600 + 59), "4d 03h");
    assert_string_equal(pl_human_seconds(text, -1), "?");
}

static void colour_follows_terminal_and_wishes(void **state)
{
    struct winsize size = {.ws_row = 24, .ws_col = 133};
    int ours, theirs, ends[2];

    (void)state;
    assert_int_equal(openpty(&ours, &theirs, NULL, NULL, &size), 0);
    assert_int_equal(pipe(ends), 0);
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    unsetenv("COLUMNS");
    assert_true(pl_term_color(theirs, PL_COLOR_AUTO));
    assert_false(pl_term_color(ends[1], PL_COLOR_AUTO));
    assert_true(pl_term_color(ends[1], PL_COLOR_ALWAYS));
    assert_false(pl_term_color(theirs, PL_COLOR_NEVER));
    assert_int_equal(pl_term_width(theirs), 133);
    assert_int_equal(pl_term_width(ends[1]), 80);
    setenv("NO_COLOR", "1", 1);
    assert_false(pl_term_color(theirs, PL_COLOR_AUTO));
    assert_true(pl_term_can_redraw(theirs));
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    assert_false(pl_term_color(theirs, PL_COLOR_AUTO));
    assert_false(pl_term_can_redraw(theirs));
    setenv("COLUMNS", "99", 1);
    assert_int_equal(pl_term_width(ends[1]), 99);
    setenv("COLUMNS", "3", 1);
    assert_int_equal(pl_term_width(ends[1]), 20);
    unsetenv("COLUMNS");
    assert_string_equal(pl_term_style(theirs, PL_COLOR_NEVER).bold, "");
    assert_string_equal(pl_term_style(theirs, PL_COLOR_ALWAYS).reset, "\033[0m");
    close(ours);
    close(theirs);
    close(ends[0]);
    close(ends[1]);
}

static void table_columns_line_up(void **state)
{
    const char *rows[][3] = {
        {"name", "size", "what"}, {"a", "12", "x"}, {"w\xc3\xb6rter", "3", NULL}, {"b", NULL, "y"}};
    struct pl_table table;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    pl_table_init(&table, "lrl");
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pl_table_add(&table, rows[i]), PL_OK);
    assert_int_equal(pl_table_print(&table, out, PL_COLOR_NEVER), PL_OK);
    fclose(out);
    assert_string_equal(text, "name    size  what\n"
                              "a         12  x\n"
                              "w\xc3\xb6rter     3\n"
                              "b             y\n");
    free(text);
    for (size_t i = 0; i < 100; i++) /* past the first allocation */
        assert_int_equal(pl_table_add(&table, rows[1]), PL_OK);
    assert_int_equal(table.rows, 104);
    pl_table_release(&table);
    pl_table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_times_read_well),
        cmocka_unit_test(colour_follows_terminal_and_wishes),
        cmocka_unit_test(table_columns_line_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
