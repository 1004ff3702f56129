#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/progress.h"

#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* A clock that the test turns. */
static double clock_s;

static double read_clock(void *at)
{
    return *(double *)at;
}

/* All that can be read from fd now; fd does not block. */
static const char *drain(int fd)
{
    static char text[1 << 16];
    size_t len = 0;
    ssize_t n;

    while ((n = read(fd, text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    return text;
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;

    for (; (text = strstr(text, word)) != NULL; text++)
        n++;
    return n;
}

static struct pl_progress_opts opts_for(int fd)
{
    clock_s = 100;
    return (struct pl_progress_opts){.what = "train",
                                     .unit = "tok",
                                     .total = 100,
                                     .fd = fd,
                                     .now = read_clock,
                                     .now_at = &clock_s};
}

static void shares_and_rarer_lines(void **state)
{
    struct pl_progress progress;
    struct pl_progress_opts opts;
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    opts = opts_for(ends[1]);
    opts.unit = NULL;
    opts.total = 1000;
    opts.percent = true;
    opts.line_s = 60;
    pl_progress_begin(&progress, &opts);
    clock_s = 110;
    pl_progress_update(&progress, 125, 0, "a title");
    assert_string_equal(drain(ends[0]), "train  12.5 %  ETA 1:10  a title\n");
    clock_s = 169;
    pl_progress_update(&progress, 500, 0, NULL);
    assert_string_equal(drain(ends[0]), "");
    clock_s = 170;
    pl_progress_update(&progress, 1000, 0, NULL);
    assert_string_equal(drain(ends[0]), "train  100.0 %  ETA 0s\n");
    pl_progress_end(&progress);
    close(ends[0]);
    close(ends[1]);
}

static void lines_into_a_pipe(void **state)
{
    struct pl_progress progress;
    struct pl_progress_opts opts;
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    opts = opts_for(ends[1]);
    pl_progress_begin(&progress, &opts);
    clock_s = 101.9;
    pl_progress_update(&progress, 9, 900, NULL);
    assert_string_equal(drain(ends[0]), "");
    clock_s = 102;
    pl_progress_update(&progress, 10, 1000, "loss 0.5");
    assert_string_equal(drain(ends[0]), "train  10/100  500 tok/s  ETA 18s  loss 0.5\n");
    for (int i = 0; i < 99; i++) {
        clock_s += 0.1;
        pl_progress_update(&progress, 11, 1000, NULL);
    }
    assert_string_equal(drain(ends[0]), "");
    clock_s = 112;
    pl_progress_update(&progress, 100, 12000, NULL);
    assert_string_equal(drain(ends[0]), "train  100/100  1.00k tok/s  ETA 0s\n");
    pl_progress_end(&progress);
    assert_string_equal(drain(ends[0]), "");
    close(ends[0]);
    close(ends[1]);
}

static void short_work_and_quiet_show_nothing(void **state)
{
    struct pl_progress progress;
    struct pl_progress_opts opts;
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    opts = opts_for(ends[1]);
    pl_progress_begin(&progress, &opts);
    for (uint64_t i = 0; i <= 100; i++) {
        clock_s += 0.019;
        pl_progress_update(&progress, i, i, NULL);
    }
    pl_progress_end(&progress);
    opts = opts_for(ends[1]);
    opts.quiet = true;
    pl_progress_begin(&progress, &opts);
    clock_s += 50;
    pl_progress_update(&progress, 1, 1, NULL);
    pl_progress_end(&progress);
    assert_string_equal(drain(ends[0]), "");
    close(ends[0]);
    close(ends[1]);
}

/* A terminal of `columns` columns whose output comes back as it was written. */
static void open_terminal(unsigned short columns, int *ret_ours, int *ret_theirs)
{
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    struct termios raw;

    assert_int_equal(openpty(ret_ours, ret_theirs, NULL, NULL, &size), 0);
    assert_int_equal(tcgetattr(*ret_theirs, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(*ret_theirs, TCSANOW, &raw), 0);
    assert_int_equal(fcntl(*ret_ours, F_SETFL, O_NONBLOCK), 0);
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "1", 1);
}

static void bar_on_a_terminal(void **state)
{
    struct pl_progress progress;
    struct pl_progress_opts opts;
    size_t bars = 0;
    int ours, theirs;

    (void)state;
    open_terminal(80, &ours, &theirs);
    opts = opts_for(theirs);
    pl_progress_begin(&progress, &opts);
    clock_s = 102;
    pl_progress_update(&progress, 50, 1000, "loss 0.5");
    assert_string_equal(drain(ours), "\r\033[Ktrain  [==============>               ]  "
                                     "50/100  500 tok/s  ETA 2s  loss 0.5");
    for (int i = 0; i < 1000; i++) { /* ten seconds: a hundred bars at most */
        clock_s += 0.01;
        pl_progress_update(&progress, 51, 1000, NULL);
        bars += count(drain(ours), "train");
    }
    assert_in_range(bars, 80, 100);
    pl_progress_hide(&progress);
    assert_string_equal(drain(ours), "\r\033[K");
    pl_progress_hide(&progress);
    assert_string_equal(drain(ours), "");
    pl_progress_update(&progress, 52, 1000, NULL); /* drawn again at once */
    assert_int_equal(count(drain(ours), "train"), 1);
    pl_progress_end(&progress);
    assert_string_equal(drain(ours), "\r\033[K");
    pl_progress_end(&progress);
    assert_string_equal(drain(ours), "");
    close(ours);
    close(theirs);
}

static void bar_never_wraps(void **state)
{
    static const unsigned short widths[] = {20, 21, 40, 45, 60, 79, 80, 200};
    char note[300];

    (void)state;
    memset(note, 'n', sizeof note - 1);
    note[sizeof note - 1] = '\0';
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        for (int with_note = 0; with_note < 2; with_note++) {
            struct pl_progress progress;
            struct pl_progress_opts opts;
            int ours, theirs;

            open_terminal(widths[i], &ours, &theirs);
            opts = opts_for(theirs);
            pl_progress_begin(&progress, &opts);
            clock_s = 110;
            pl_progress_update(&progress, 33, 123456, with_note ? note : NULL);
            assert_in_range(strlen(drain(ours)), 10, widths[i] - 1 + strlen("\r\033[K"));
            pl_progress_end(&progress);
            close(ours);
            close(theirs);
        }
    }
}

static void colour_only_where_wanted(void **state)
{
    struct pl_progress progress;
    struct pl_progress_opts opts;
    int ours, theirs;

    (void)state;
    open_terminal(80, &ours, &theirs);
    unsetenv("NO_COLOR");
    opts = opts_for(theirs);
    pl_progress_begin(&progress, &opts);
    clock_s = 110;
    pl_progress_update(&progress, 33, 1, NULL);
    assert_int_equal(count(drain(ours), "\033[1m"), 1);
    pl_progress_end(&progress);
    drain(ours);
    setenv("TERM", "dumb", 1); /* plain lines, no bar */
    opts = opts_for(theirs);
    pl_progress_begin(&progress, &opts);
    clock_s = 110;
    pl_progress_update(&progress, 33, 1, NULL);
    assert_int_equal(count(drain(ours), "\033"), 0);
    pl_progress_end(&progress);
    close(ours);
    close(theirs);
}

static void resumed_work_is_timed_from_where_it_began(void **state)
{
    struct pl_progress progress;
    struct pl_progress_opts opts;
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    opts = opts_for(ends[1]);
    opts.done = 80;
    opts.unit = NULL;
    pl_progress_begin(&progress, &opts);
    clock_s = 110;
    pl_progress_update(&progress, 90, 0, NULL);
    assert_string_equal(drain(ends[0]), "train  90/100  ETA 10s\n");
    opts = opts_for(ends[1]);
    opts.total = 0; /* not known how many */
    pl_progress_begin(&progress, &opts);
    clock_s = 110;
    pl_progress_update(&progress, 90, 25, NULL);
    assert_string_equal(drain(ends[0]), "train  90  2.50 tok/s\n");
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_into_a_pipe),
        cmocka_unit_test(shares_and_rarer_lines),
        cmocka_unit_test(short_work_and_quiet_show_nothing),
        cmocka_unit_test(bar_on_a_terminal),
        cmocka_unit_test(bar_never_wraps),
        cmocka_unit_test(colour_only_where_wanted),
        cmocka_unit_test(resumed_work_is_timed_from_where_it_began),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
