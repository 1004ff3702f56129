#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void the_first_signal_asks(void **state)
{
    static const int numbers[] = {SIGINT, SIGTERM};

    (void)state;
    pl_signals_catch();
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pl_signals_stop(), 0);
        raise(numbers[i]);
        assert_int_equal(pl_signals_stop(), numbers[i]);
        pl_signals_forget();
    }
    pl_signals_default();
}

/* Run body() in a child whose standard error is thrown away; its wait status. */
static int in_child(void (*body)(void))
{
    int status = 0;
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        close(STDERR_FILENO);
        body();
        _exit(99);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void two_signals(void)
{
    pl_signals_catch();
    raise(SIGTERM);
    raise(SIGINT);
}

/* As Slurm sends them, and an admin who is in a hurry: the checkpoint that is begun is finished. */
static void terms_repeated(void)
{
    pl_signals_catch();
    raise(SIGINT);
    raise(SIGTERM);
    raise(SIGTERM);
    _exit(pl_signals_stop() == SIGINT ? 7 : 8);
}

static void a_signal_forgotten_then_another(void)
{
    pl_signals_catch();
    raise(SIGINT);
    pl_signals_forget();
    raise(SIGINT);
    _exit(pl_signals_stop() == SIGINT ? 7 : 8);
}

static void signal_after_the_end(void)
{
    pl_signals_catch();
    pl_signals_default();
    raise(SIGTERM);
}

/* Whether a process waits for something: there is one thing that it can wait for. */
static bool sleeps(pid_t pid)
{
    char path[64], text[256] = "", *at;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    f = fopen(path, "r");
    if (!f)
        return true;
    (void)!fread(text, 1, sizeof text - 1, f);
    fclose(f);
    at = strrchr(text, ')');
    return at && at[1] == ' ' && at[2] == 'S';
}

/* A read that waits must come back, or a prompt could not be left. */
static void read_is_interrupted(void)
{
    char byte;
    int ends[2];

    pl_signals_catch();
    if (pipe(ends) < 0)
        _exit(8);
    if (fork() == 0) {
        while (!sleeps(getppid()))
            usleep(1000);
        kill(getppid(), SIGINT);
        _exit(0);
    }
    alarm(60); /* kills a read that goes on waiting */
    _exit(read(ends[0], &byte, 1) < 0 && errno == EINTR && pl_signals_stop() == SIGINT ? 7 : 8);
}

static void the_second_signal_leaves_at_once(void **state)
{
    int status = in_child(two_signals);

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 128 + SIGINT);
    status = in_child(a_signal_forgotten_then_another);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void a_repeated_sigterm_changes_nothing(void **state)
{
    const int status = in_child(terms_repeated);

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void defaults_come_back(void **state)
{
    const int status = in_child(signal_after_the_end);

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void waiting_reads_return(void **state)
{
    const int status = in_child(read_is_interrupted);

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_signal_asks),
        cmocka_unit_test(the_second_signal_leaves_at_once),
        cmocka_unit_test(a_repeated_sigterm_changes_nothing),
        cmocka_unit_test(defaults_come_back),
        cmocka_unit_test(waiting_reads_return),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
