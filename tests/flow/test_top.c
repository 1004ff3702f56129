/*
 * `plait top` on a terminal that is none: it draws, answers keys and a change of size, and leaves
 * the terminal as it was, however it ends: by a key, by a signal that asks, by one that kills.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/redis.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

static const char *plait;
static struct pl_test_redis redis;
static char config[128], got[1 << 20];
static size_t len;
static int master = -1, slave = -1;
static pid_t child;
static struct termios before;

static void begin(const char *term, const char *no_color)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    char setting[160];

    assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
    assert_int_equal(tcgetattr(slave, &before), 0);
    len = 0;
    got[0] = '\0';
    snprintf(setting, sizeof setting, "link.redis=%s", redis.url);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(master);
        login_tty(slave);
        setenv("TERM", term, 1);
        setenv("NO_COLOR", no_color, 1);
        setenv("LC_ALL", "C.UTF-8", 1);
        execl(plait, plait, "top", config, setting, "--interval=0.2", (char *)NULL);
        _exit(127);
    }
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What is written within so long, or until `words` are there. */
static bool hear(const char *words, double within)
{
    const double end = seconds() + within;

    while (seconds() < end) {
        struct pollfd p = {.fd = master, .events = POLLIN};
        ssize_t n;

        if (words && strstr(got, words))
            return true;
        if (poll(&p, 1, 50) <= 0 || !(p.revents & POLLIN))
            continue;
        n = read(master, got + len, sizeof got - 1 - len);
        if (n > 0)
            len += (size_t)n;
        got[len] = '\0';
        assert_true(len + 1 < sizeof got);
    }
    return words && strstr(got, words);
}

static void wait_for(const char *words)
{
    if (!hear(words, 30.0))
        fail_msg("'%s' did not come; %zu bytes did", words, len);
}

static void press(const char *keys)
{
    len = 0;
    got[0] = '\0';
    assert_int_equal(write(master, keys, strlen(keys)), strlen(keys));
}

/* It ends, and what it ends with; the terminal is as it was. */
static int end(bool drawn)
{
    struct termios after;
    int status = 0;
    double within = seconds() + 30.0;

    while (waitpid(child, &status, WNOHANG) == 0) {
        hear(NULL, 0.05);
        if (seconds() > within) {
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
            fail_msg("it does not end");
        }
    }
    hear(NULL, 0.2);
    assert_int_equal(tcgetattr(slave, &after), 0);
    assert_int_equal(after.c_lflag, before.c_lflag);
    assert_int_equal(after.c_iflag, before.c_iflag);
    assert_int_equal(after.c_oflag, before.c_oflag);
    if (drawn) {
        const char *out = strstr(got, "\033[?1049l"), *on = strstr(got, "\033[?25h");

        assert_non_null(out); /* back from the other screen, with the cursor */
        assert_non_null(on);
    }
    close(master);
    close(slave);
    return status;
}

static void it_draws_answers_and_ends(void **state)
{
    int status;

    (void)state;
    begin("xterm-256color", "");
    wait_for("\033[?1049h");
    wait_for("step 7 of 100");
    wait_for("actor-1");
    wait_for("INSECURE");
    wait_for("quarantined");
    assert_non_null(strstr(got, "\033[31m")); /* in red */
    assert_null(strstr(got, "\033[5m"));      /* an event would like to blink */
    press("?");
    wait_for("Nothing here changes the run.");
    press("?");
    wait_for("rollouts");
    press("d");
    wait_for("delivered_too_often");
    press("d/rew");
    wait_for("Enter keeps it");
    press("\n");
    wait_for("Escape ends the filter");
    press("q");
    status = end(true);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void it_takes_another_size(void **state)
{
    struct winsize size = {.ws_row = 40, .ws_col = 130};

    (void)state;
    begin("xterm-256color", "");
    wait_for("step 7 of 100");
    hear(NULL, 0.3);
    len = 0;
    got[0] = '\0';
    assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
    wait_for("restarts"); /* a column that only a wide terminal has */
    press("q");
    end(true);
}

static void no_color_is_none(void **state)
{
    (void)state;
    begin("xterm-256color", "1");
    wait_for("quarantined");
    hear(NULL, 0.5);
    assert_null(strstr(got, "\033[31m"));
    assert_null(strstr(got, "\033[36m"));
    press("q");
    end(true);
    begin("vt100", "");
    wait_for("quarantined");
    assert_null(strstr(got, "\033[31m"));
    press("q");
    end(false); /* it has no other screen */
}

static void any_end_leaves_the_terminal_as_it_was(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGABRT, SIGSEGV};

    (void)state;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        int status;

        begin("xterm-256color", "");
        wait_for("step 7 of 100");
        assert_int_equal(kill(child, signals[i]), 0);
        status = end(true);
        if (i < 2)
            assert_int_equal(status, 0);
        else
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signals[i]);
    }
}

static void a_terminal_that_is_none_is_refused(void **state)
{
    int status;

    (void)state;
    begin("dumb", "");
    wait_for("--once prints");
    status = end(false);
    assert_int_equal(WEXITSTATUS(status), 1);
    begin("no-such-terminal", "");
    wait_for("--once prints");
    status = end(false);
    assert_int_equal(WEXITSTATUS(status), 1);
}

/* Redis goes, and comes back. */
static void it_waits_for_redis(void **state)
{
    (void)state;
    begin("xterm-256color", "");
    wait_for("step 7 of 100");
    pl_test_redis_kill(&redis);
    wait_for("Redis does not answer");
    pl_test_redis_again(&redis);
    len = 0;
    got[0] = '\0';
    wait_for("prompts");
    press("q");
    end(true);
}

static int make_run(void **state)
{
    static const char *const commands[] = {
        "HSET plait:{demo}:run state running step 7 insecure yes",
        "HSET plait:{demo}:policy version 8",
        "HSET plait:{demo}:worker:actor-1 role actor version 8 groups 3 host here",
        "HSET plait:{demo}:worker:rewarder-1 role rewarder groups 3",
        "HSET plait:{demo}:quarantine actor-1 lies",
        "XADD plait:{demo}:dead * id 5:1 reason delivered_too_often where prompts worker actor-1",
        "XADD plait:{demo}:dead 9999999999999-0 id 5:2 reason x where prompts worker actor-1",
        "XADD plait:{demo}:events * event buried group 5:1 reason \033[5mblink",
    };
    FILE *file;

    (void)state;
    pl_test_redis_start(&redis);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        pl_test_redis_say(&redis, commands[i]);
    snprintf(config, sizeof config, "%s/run.yaml", redis.dir);
    file = fopen(config, "w");
    assert_non_null(file);
    fprintf(file,
            "run: {name: demo, dir: %s/elsewhere}\nmodel.path: m\n"
            "data.train_files: [t]\ntrainer.total_training_steps: 100\n",
            redis.dir);
    fclose(file);
    return 0;
}

static int end_run(void **state)
{
    (void)state;
    unlink(config);
    pl_test_redis_end(&redis);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_draws_answers_and_ends),
        cmocka_unit_test(it_takes_another_size),
        cmocka_unit_test(no_color_is_none),
        cmocka_unit_test(any_end_leaves_the_terminal_as_it_was),
        cmocka_unit_test(a_terminal_that_is_none_is_refused),
        cmocka_unit_test(it_waits_for_redis),
    };

    if (argc != 2) {
        fprintf(stderr, "usage: test_top PLAIT\n");
        return 2;
    }
    plait = argv[1];
    if (!pl_test_redis_there()) {
        printf("skipped: redis-server is not installed\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, make_run, end_run);
}
