#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/daemon.h"
#include "common/app/vitals.h"
#include "common/base/log.h"
#include "common/base/pulse.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { EVERY_MS = 30 }; /* a third of WATCHDOG_USEC here */

/* The service manager's side: a socket of an abstract name, or of a path. */
static int manager = -1;
static char path[64];

static void begin(bool abstract, const char *watchdog_pid)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char name[80], usec[32];

    snprintf(path, sizeof path, "/tmp/plait-vitals-%ld", (long)getpid());
    snprintf(name, sizeof name, "%s%s", abstract ? "@" : "", path + (abstract ? 1 : 0));
    memcpy(at.sun_path, name, strlen(name));
    if (abstract)
        at.sun_path[0] = '\0';
    else
        unlink(path);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(manager >= 0);
    assert_int_equal(bind(manager, (struct sockaddr *)&at,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
    snprintf(usec, sizeof usec, "%d", 3 * EVERY_MS * 1000);
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("WATCHDOG_USEC", usec, 1);
    if (watchdog_pid)
        setenv("WATCHDOG_PID", watchdog_pid, 1);
    pl_vitals_start();
}

static void end(void)
{
    pl_vitals_end();
    close(manager);
    unlink(path);
}

/* All datagrams that are there, a '|' after each. */
static const char *heard(void)
{
    static char all[4096];
    size_t len = 0;
    ssize_t n;

    while ((n = recv(manager, all + len, sizeof all - 2 - len, MSG_DONTWAIT)) >= 0) {
        len += (size_t)n;
        all[len++] = '|';
    }
    all[len] = '\0';
    return all;
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;

    for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
        n++;
    return n;
}

static void sleep_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* How long it really took, in milliseconds: more, on a busy machine. */
static long tick_for(long ms)
{
    struct timespec begin, end;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (long i = 0; i < ms; i += 2) {
        pl_vitals_tick();
        sleep_ms(2);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
}

/* It ticks until it is heard, for ten seconds at most: a machine may be busy. */
static bool is_fed(void (*tick)(void))
{
    for (int i = 0; i < 5000; i++) {
        tick();
        sleep_ms(2);
        if (strstr(heard(), "WATCHDOG=1|"))
            return true;
    }
    return false;
}

static void ready_is_said_once_with_nothing_against_it(void **state)
{
    struct pl_vitals now;

    (void)state;
    begin(false, NULL);
    pl_vitals_unready("redis", "refused");
    pl_vitals_ready("start");
    assert_null(strstr(heard(), "READY"));
    pl_vitals_read(&now);
    assert_false(now.started);
    assert_false(now.ready);
    assert_string_equal(now.reason, "redis: refused");
    pl_vitals_ready("redis");
    pl_vitals_read(&now);
    assert_true(now.started && now.ready);
    assert_string_equal(now.reason, "");
    assert_int_equal(count(heard(), "READY=1|"), 1);
    pl_vitals_unready("redis", "gone");
    pl_vitals_read(&now);
    assert_true(now.started && !now.ready);
    pl_vitals_ready("redis");
    pl_vitals_ready("never was");
    assert_int_equal(count(heard(), "READY"), 0);
    end();
}

static void the_watchdog_is_fed_by_ticks_alone(void **state)
{
    size_t n;
    long took;

    (void)state;
    begin(true, NULL);
    tick_for(2 * EVERY_MS);
    assert_null(strstr(heard(), "WATCHDOG")); /* it is not ready yet */
    pl_vitals_ready("start");
    took = tick_for(10 * EVERY_MS);
    n = count(heard(), "WATCHDOG=1|");
    assert_in_range(n, 2, took / EVERY_MS + 1);
    sleep_ms(4 * EVERY_MS);
    assert_null(strstr(heard(), "WATCHDOG"));
    assert_true(is_fed(pl_pulse)); /* what the floors below call */
    end();
}

static void another_process_s_watchdog_is_not_fed(void **state)
{
    (void)state;
    begin(true, "1");
    pl_vitals_ready("start");
    tick_for(4 * EVERY_MS);
    assert_null(strstr(heard(), "WATCHDOG"));
    end();
}

static pthread_barrier_t both;

static void *hang(void *unused)
{
    (void)unused;
    pl_vitals_watch("worker");
    pthread_barrier_wait(&both); /* it is watched */
    pthread_barrier_wait(&both); /* it may end */
    pl_vitals_unwatch();
    return NULL;
}

static void *stray(void *unused)
{
    (void)unused;
    tick_for(3 * EVERY_MS);
    return NULL;
}

static void a_thread_that_hangs_is_not_covered_by_one_that_ticks(void **state)
{
    struct pl_vitals now;
    pthread_t thread;

    (void)state;
    begin(true, NULL);
    pl_vitals_ready("start");
    pthread_barrier_init(&both, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, hang, NULL), 0);
    pthread_barrier_wait(&both);
    tick_for(2 * EVERY_MS); /* at most one that its own beginning is good for */
    (void)heard();
    tick_for(4 * EVERY_MS);
    assert_null(strstr(heard(), "WATCHDOG"));
    pl_vitals_read(&now);
    assert_string_equal(now.silent, "worker");
    assert_true(now.tick_age_s >= 0.004 * EVERY_MS);
    pthread_barrier_wait(&both);
    pthread_join(thread, NULL);
    assert_true(is_fed(pl_vitals_tick));
    pl_vitals_read(&now);
    assert_string_equal(now.silent, "main");
    pthread_barrier_destroy(&both);
    end();
}

static void a_thread_that_hangs_gets_no_more_time(void **state)
{
    pthread_t thread;

    (void)state;
    begin(true, NULL); /* and it does not become ready, as when it drains */
    pthread_barrier_init(&both, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, hang, NULL), 0);
    pthread_barrier_wait(&both);
    for (int i = 0; i < 2; i++) { /* at most one that its own beginning is good for */
        tick_for(EVERY_MS);
        sleep_ms(5100);
    }
    (void)heard();
    tick_for(EVERY_MS);
    assert_null(strstr(heard(), "EXTEND"));
    pthread_barrier_wait(&both);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&both);
    end();
}

static void a_thread_that_is_not_watched_feeds_nothing(void **state)
{
    pthread_t thread;

    (void)state;
    begin(true, NULL);
    pl_vitals_ready("start");
    (void)heard();
    assert_int_equal(pthread_create(&thread, NULL, stray, NULL), 0);
    pthread_join(thread, NULL);
    assert_string_equal(heard(), "");
    end();
}

static void the_status_is_sent_at_most_once_a_second(void **state)
{
    struct pl_vitals now;
    const char *all;

    (void)state;
    begin(false, NULL);
    pl_vitals_status("step %d\nof %d", 1, 9);
    pl_vitals_ready("start");
    all = heard();
    assert_non_null(strstr(all, "STATUS=not ready: start: it is starting|"));
    assert_non_null(strstr(all, "READY=1|STATUS=step 1 of 9|"));
    for (int i = 2; i <= 9; i++)
        pl_vitals_status("step %d of 9", i);
    assert_null(strstr(heard(), "STATUS"));
    pl_vitals_read(&now);
    assert_string_equal(now.status, "step 9 of 9");
    sleep_ms(1100);
    pl_vitals_tick();
    assert_int_equal(count(heard(), "STATUS=step 9 of 9|"), 1);
    end();
}

static void ticks_push_the_time_out_back_until_it_is_ready_and_while_it_drains(void **state)
{
    const char *all;

    (void)state;
    begin(false, NULL);
    tick_for(EVERY_MS);
    assert_int_equal(count(heard(), "EXTEND_TIMEOUT_USEC=60000000|"), 1);
    pl_vitals_ready("start");
    (void)heard();
    tick_for(EVERY_MS);
    assert_null(strstr(heard(), "EXTEND"));
    sleep_ms(5100);
    pl_vitals_draining();
    pl_vitals_draining();
    tick_for(EVERY_MS);
    all = heard();
    assert_int_equal(count(all, "STOPPING=1|"), 1);
    assert_int_equal(count(all, "EXTEND_TIMEOUT_USEC=60000000|"), 1);
    end();
}

static void children_are_not_told(void **state)
{
    (void)state;
    begin(false, NULL);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    assert_null(getenv("WATCHDOG_PID"));
    end();
}

static void a_name_that_is_none_is_passed_over(void **state)
{
    static const char *const names[] = {"relative", "@", "/", ""};
    char longer[300];

    (void)state;
    memset(longer, 'x', sizeof longer - 1);
    longer[0] = '/';
    longer[sizeof longer - 1] = '\0';
    for (size_t i = 0; i < 5; i++) {
        setenv("NOTIFY_SOCKET", i < 4 ? names[i] : longer, 1);
        pl_vitals_start();
        pl_vitals_ready("start");
        pl_vitals_tick();
        pl_vitals_end();
    }
}

/* Of a line of the link: as redis.c makes it. */
static void a_redis_that_is_waited_for_stands_against_being_ready(void **state)
{
    struct pl_vitals now;

    (void)state;
    pl_log_level_set(PL_LEVEL_ERROR);
    begin(false, NULL);
    pl_vitals_ready("start");
    pl_daemon_event(NULL, "redis event=waiting reason=\"Redis at 'x': Connection refused\"");
    pl_vitals_read(&now);
    assert_false(now.ready);
    assert_string_equal(now.reason, "redis: reason=\"Redis at 'x': Connection refused\"");
    pl_daemon_event(NULL, "redis event=mended what=\"groups\"");
    pl_vitals_read(&now);
    assert_false(now.ready);
    pl_daemon_event(NULL, "redis event=connected url=\"x\"");
    pl_vitals_read(&now);
    assert_true(now.ready);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ready_is_said_once_with_nothing_against_it),
        cmocka_unit_test(the_watchdog_is_fed_by_ticks_alone),
        cmocka_unit_test(another_process_s_watchdog_is_not_fed),
        cmocka_unit_test(a_thread_that_hangs_is_not_covered_by_one_that_ticks),
        cmocka_unit_test(a_thread_that_hangs_gets_no_more_time),
        cmocka_unit_test(a_thread_that_is_not_watched_feeds_nothing),
        cmocka_unit_test(the_status_is_sent_at_most_once_a_second),
        cmocka_unit_test(ticks_push_the_time_out_back_until_it_is_ready_and_while_it_drains),
        cmocka_unit_test(children_are_not_told),
        cmocka_unit_test(a_name_that_is_none_is_passed_over),
        cmocka_unit_test(a_redis_that_is_waited_for_stands_against_being_ready),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
