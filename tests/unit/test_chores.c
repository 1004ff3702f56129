/*
 * Chores, with a small script in plait's place: its first argument says what it does. Order,
 * going on, what fails and what is said of it, signals to us, and our sudden death.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/signals.h"
#include "common/base/file.h"
#include "deploy/paper/chores.h"
#include "tests/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* WORK MADE: each run of it adds a line to ./order. */
static const char script[] =
    "#!/bin/sh\n"
    "cd \"$(dirname \"$0\")\" || exit 9\n"
    "echo \"$1 $2\" >>order\n"
    "case $1 in\n"
    "make) echo out; echo err >&2; echo made >\"$2\" ;;\n"
    "print) echo text ;;\n"
    "fail) for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do echo \"line $i.\"; done; exit 7 ;;\n"
    "torn) printf half; exit 1 ;;\n"
    "nothing) ;;\n"
    "killed) kill -KILL $$ ;;\n"
    "once) if [ -e again ]; then echo made >\"$2\"; else : >again; exit 3; fi ;;\n"
    "stop) sleep 20 & trap \"kill $!; echo told >told; exit 143\" TERM\n"
    "    kill -TERM $PPID; wait; exit 0 ;;\n"
    "finish) sleep 20 & trap \"kill $!; echo made >'$2'; exit 0\" TERM\n"
    "    kill -TERM $PPID; wait; exit 1 ;;\n"
    "linger) sleep 20 & trap \"kill $!;\n"
    "    while [ ! -e leave ]; do sleep 0.02; done; echo told >told; exit 143\" TERM\n"
    "    echo $$ >pid.part; mv pid.part pid; wait ;;\n"
    "tty) ls -l /proc/self/fd/0 | grep -q /dev/null && echo made >\"$2\" ;;\n"
    "esac\n";

static struct pl_chores chores;
static char program[512], folder[512], said[1 << 16];

/* A folder for one test, with the script in it. */
static void begin(const char *name)
{
    snprintf(folder, sizeof folder, "%s", pl_scratch(name));
    assert_int_equal(mkdir(folder, 0777), 0);
    snprintf(program, sizeof program, "%s", pl_scratch_in(folder, "plait"));
    pl_scratch_text(program, script);
    assert_int_equal(chmod(program, 0755), 0);
    pl_chores_init(&chores, folder, program);
}

static void end(void)
{
    pl_chores_release(&chores);
}

static bool is_there(const char *name)
{
    return pl_path_exists(pl_scratch_in(folder, name));
}

static void assert_holds(const char *name, const char *text)
{
    size_t len;
    char *got = pl_scratch_read(pl_scratch_in(folder, name), &len);

    assert_string_equal(got, text);
    free(got);
}

/* "NAME: WORK", which makes a file of its name. */
static void add(const char *name, const char *work, bool prints)
{
    char made[512], title[64];
    const char *const args[] = {work, made, NULL};
    struct pl_error err;

    snprintf(made, sizeof made, "%s", pl_scratch_in(folder, name));
    snprintf(title, sizeof title, "the %s", name);
    assert_int_equal(pl_chores_add(&chores,
                                   &(struct pl_chore){.name = name,
                                                      .title = title,
                                                      .args = args,
                                                      .made = made,
                                                      .prints = prints,
                                                      .weight = 1},
                                   &err),
                     PL_OK);
}

/* Run them; what goes to standard error is in `said`. */
static int run(struct pl_error *err)
{
    const char *path = pl_scratch_in(folder, "said");
    const int kept = dup(STDERR_FILENO), out = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);
    ssize_t n;
    int rc;

    *err = (struct pl_error){0};
    assert_true(kept >= 0 && out >= 0);
    fflush(stderr);
    dup2(out, STDERR_FILENO);
    rc = pl_chores_run(&chores, err);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    n = pread(out, said, sizeof said - 1, 0);
    assert_true(n >= 0);
    said[n] = '\0';
    close(out);
    return rc;
}

static void assert_says(const char *text)
{
    if (!strstr(said, text))
        fail_msg("it does not say '%s', but '%s'", text, said);
}

/* The sentence is `text`, in which "$" stands for the folder. */
static void assert_error(const struct pl_error *err, const char *text)
{
    const size_t before = strcspn(text, "$");
    char want[1024];

    snprintf(want, sizeof want, "%.*s%s%s", (int)before, text, text[before] ? folder : "",
             text[before] ? text + before + 1 : "");
    assert_string_equal(err->text, want);
}

/* ---- what is done ---- */

static void each_once_and_in_order(void **state)
{
    struct pl_error err;

    (void)state;
    begin("order-of-all");
    add("a", "make", false);
    add("b", "print", true);
    add("c", "make", false);
    assert_false(pl_chores_is_done(&chores, 0));
    assert_true(isnan(pl_chores_seconds(&chores, 0)));
    if (run(&err) != PL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(strncmp(said, "[1/3] the a  0.", 15), 0);
    assert_says("s\n[2/3] the b  0.");
    assert_says("s\n[3/3] the c  0.");
    assert_null(strstr(said, "before"));
    for (size_t i = 0; i < 3; i++)
        assert_true(pl_chores_is_done(&chores, i));
    assert_holds("a", "made\n");
    assert_holds("b", "text\n");
    assert_holds("logs/a.log", "out\nerr\n");
    assert_holds("logs/b.log", "");
    assert_false(is_there("b.part"));
    assert_true(pl_chores_seconds(&chores, 0) >= 0.0 && pl_chores_seconds(&chores, 0) < 60.0);
    pl_scratch_text(pl_scratch_in(folder, "done/b"), "12.5 s\n");
    pl_scratch_text(pl_scratch_in(folder, "done/c"), ""); /* marked without it */
    assert_true(pl_chores_seconds(&chores, 1) == 12.5);
    assert_true(isnan(pl_chores_seconds(&chores, 2)));

    /* Once more: nothing is done, and one line says so. */
    pl_scratch_text(pl_scratch_in(folder, "order"), "");
    assert_int_equal(run(&err), PL_OK);
    assert_string_equal(said, "3 of 3 were done before\n");
    assert_holds("order", "");

    /* What is no longer there is made again, and so is what has no mark. */
    assert_int_equal(unlink(pl_scratch_in(folder, "c")), 0);
    assert_int_equal(unlink(pl_scratch_in(folder, "done/b")), 0);
    assert_int_equal(run(&err), PL_OK);
    assert_int_equal(strncmp(said, "1 of 3 were done before\n[2/3] the b", 35), 0);
    assert_true(is_there("c"));
    end();
}

static void commands_have_no_input(void **state)
{
    struct pl_error err;

    (void)state;
    begin("input");
    add("a", "tty", false);
    if (run(&err) != PL_OK)
        fail_msg("%s", err.text);
    end();
}

/* ---- what is not ---- */

static void one_that_fails_ends_it(void **state)
{
    struct pl_error err;

    (void)state;
    begin("fails");
    add("a", "make", false);
    add("b", "fail", false);
    add("c", "make", false);
    assert_int_equal(run(&err), PL_EIO);
    assert_error(&err, "the b: failed with status 7; see '$/logs/b.log'");
    assert_says("line 4.\nline 5.\n"); /* the last twelve of fifteen */
    assert_says("line 15.\n");
    assert_null(strstr(said, "line 3."));
    assert_true(pl_chores_is_done(&chores, 0) && !pl_chores_is_done(&chores, 1));
    assert_false(is_there("c") || is_there("done/b"));
    end();
}

static void one_that_failed_is_tried_again(void **state)
{
    struct pl_error err;
    char *order;
    size_t len;

    (void)state;
    begin("again");
    add("a", "make", false);
    add("b", "once", false);
    assert_int_equal(run(&err), PL_EIO);
    assert_int_equal(run(&err), PL_OK);
    assert_says("1 of 2 were done before\n[2/2] the b  ");
    order = pl_scratch_read(pl_scratch_in(folder, "order"), &len);
    assert_int_equal(strncmp(order, "make ", 5), 0);
    assert_non_null(strstr(order, "\nonce "));
    assert_null(strstr(order + 1, "make ")); /* a: once in all */
    free(order);
    end();
}

static void promises_are_kept(void **state)
{
    struct pl_error err;

    (void)state;
    begin("nothing");
    add("a", "nothing", false);
    assert_int_equal(run(&err), PL_EIO);
    assert_non_null(strstr(err.text, "the a: did not make '"));
    assert_non_null(strstr(err.text, "/logs/a.log'"));
    assert_false(is_there("done/a"));
    end();
}

static void one_that_is_killed_is_named_by_its_signal(void **state)
{
    struct pl_error err;

    (void)state;
    begin("killed");
    add("a", "killed", false);
    assert_int_equal(run(&err), PL_EIO);
    assert_error(&err, "the a: ended by signal 9; see '$/logs/a.log'");
    end();
}

static void what_is_half_printed_is_not_there(void **state)
{
    struct pl_error err;

    (void)state;
    begin("torn");
    add("a", "torn", true);
    assert_int_equal(run(&err), PL_EIO);
    assert_false(is_there("a"));
    assert_holds("a.part", "half");
    pl_chores_release(&chores);
    pl_chores_init(&chores, folder, program);
    add("a", "print", true);
    assert_false(pl_chores_is_done(&chores, 0));
    assert_int_equal(run(&err), PL_OK);
    assert_holds("a", "text\n");
    assert_false(is_there("a.part"));
    end();
}

static void a_program_that_is_not_there(void **state)
{
    struct pl_error err;

    (void)state;
    begin("no-program");
    add("a", "make", false);
    assert_int_equal(unlink(program), 0);
    assert_int_equal(run(&err), PL_EIO);
    assert_error(&err, "the a: failed with status 127; see '$/logs/a.log'");
    end();
}

/* ---- signals ---- */

static void a_signal_reaches_the_command_and_ends_all(void **state)
{
    struct pl_error err;

    (void)state;
    begin("stopped");
    add("a", "make", false);
    add("b", "stop", false);
    add("c", "make", false);
    pl_signals_catch();
    assert_int_equal(run(&err), PL_ECANCELED);
    assert_int_equal(pl_signals_stop(), SIGTERM);
    pl_signals_default();
    assert_error(&err, "stopped in 'the b'; the same command goes on");
    assert_holds("told", "told\n");
    assert_false(is_there("c") || is_there("done/b"));

    /* And later it goes on. */
    pl_signals_forget();
    pl_chores_release(&chores);
    pl_chores_init(&chores, folder, program);
    add("a", "make", false);
    add("b", "make", false);
    add("c", "make", false);
    assert_int_equal(run(&err), PL_OK);
    assert_says("1 of 3 were done before\n[2/3] the b  ");
    end();
}

/* One that is told to stop and ends well has done its work; nothing further begins. */
static void one_that_ends_well_is_done_all_the_same(void **state)
{
    struct pl_error err;

    (void)state;
    begin("finishes");
    add("a", "finish", false);
    add("b", "make", false);
    pl_signals_catch();
    assert_int_equal(run(&err), PL_ECANCELED);
    pl_signals_default();
    pl_signals_forget();
    assert_true(pl_chores_is_done(&chores, 0));
    assert_false(is_there("b"));
    end();
}

static void wait_for(const char *name)
{
    for (int i = 0; i < 6000 && !is_there(name); i++)
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    if (!is_there(name))
        fail_msg("'%s' does not come", name);
}

/* We are killed: the command is told, and as long as it lives nobody else begins. */
static void a_command_ends_with_us(void **state)
{
    struct pl_error err;
    int status, rc = PL_OK;
    pid_t child;

    (void)state;
    begin("orphan");
    add("a", "linger", false);
    child = fork();
    if (child == 0)
        _exit(pl_chores_run(&chores, NULL) == PL_OK ? 0 : 1);
    assert_true(child > 0);
    wait_for("pid");
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    rc = run(&err); /* it is told, and takes its time */
    assert_int_equal(rc, PL_EIO);
    assert_error(&err, "'$' is in use: another process is at work there, or ends");
    assert_false(is_there("told"));
    pl_scratch_text(pl_scratch_in(folder, "leave"), "");
    wait_for("told");
    pl_chores_release(&chores);
    pl_chores_init(&chores, folder, program);
    add("a", "make", false);
    for (int i = 0; i < 6000 && (rc = run(&err)) != PL_OK; i++)
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    assert_int_equal(rc, PL_OK);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_once_and_in_order),
        cmocka_unit_test(commands_have_no_input),
        cmocka_unit_test(one_that_fails_ends_it),
        cmocka_unit_test(one_that_failed_is_tried_again),
        cmocka_unit_test(promises_are_kept),
        cmocka_unit_test(one_that_is_killed_is_named_by_its_signal),
        cmocka_unit_test(what_is_half_printed_is_not_there),
        cmocka_unit_test(a_program_that_is_not_there),
        cmocka_unit_test(a_signal_reaches_the_command_and_ends_all),
        cmocka_unit_test(one_that_ends_well_is_done_all_the_same),
        cmocka_unit_test(a_command_ends_with_us),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
