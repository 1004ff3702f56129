#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/vitals.h"
#include "common/app/window.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct pl_window *window;

static int setup(void **state)
{
    const struct pl_window_opts opts = {
        .listen = "127.0.0.1:0", .run = "demo", .role = "actor", .worker = "actor-1"};

    (void)state;
    pl_vitals_start();
    return pl_window_open(&opts, &window, NULL);
}

static int teardown(void **state)
{
    (void)state;
    pl_window_close(window);
    pl_vitals_end();
    return 0;
}

/* The answer to GET `path`, its status first; until the next call. */
static const char *get(const char *path)
{
    static char text[1 << 16];
    const char *port = strrchr(pl_window_address(window), ':') + 1;
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char request[128];
    size_t len = 0;
    ssize_t n;

    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", path);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    while ((n = recv(fd, text + len, sizeof text - 1 - len, 0)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(fd);
    return strchr(text, ' ') + 1;
}

#define assert_answer(path, status, body)                                                          \
    do {                                                                                           \
        const char *got_ = get(path);                                                              \
        assert_int_equal(strtol(got_, NULL, 10), status);                                          \
        assert_string_equal(strstr(got_, "\r\n\r\n") + 4, body);                                   \
    } while (0)

static void probes_follow_the_vital_signs(void **state)
{
    (void)state;
    assert_answer("/livez", 200, "alive\n");
    assert_answer("/startupz", 503, "start: it is starting\n");
    assert_answer("/readyz", 503, "start: it is starting\n");
    pl_vitals_unready("weights", "none came yet");
    pl_vitals_ready("start");
    assert_answer("/startupz", 503, "weights: none came yet\n");
    assert_non_null(strstr(get("/metrics"), "plait_up{run=\"demo\",state=\"starting\"} 1\n"));
    pl_vitals_ready("weights");
    pl_window_startup(window, "weights: none");
    assert_answer("/startupz", 503, "weights: none\n");
    assert_answer("/readyz", 200, "ready\n");
    assert_non_null(strstr(get("/metrics"), "plait_up{run=\"demo\",state=\"starting\"} 1\n"));
    pl_window_startup(window, NULL);
    assert_answer("/startupz", 200, "started\n");
    assert_answer("/readyz", 200, "ready\n");
    assert_non_null(strstr(get("/metrics"), "plait_up{run=\"demo\",state=\"ready\"} 1\n"));
    pl_vitals_unready("redis", "reason=\"gone\"");
    assert_answer("/startupz", 200, "started\n");
    assert_answer("/readyz", 503, "redis: reason=\"gone\"\n");
    assert_non_null(strstr(get("/metrics"), "plait_up{run=\"demo\",state=\"unready\"} 1\n"));
    assert_non_null(strstr(get("/metrics"), "plait_up{run=\"demo\",state=\"ready\"} 0\n"));
    pl_vitals_ready("redis");
    assert_answer("/readyz", 200, "ready\n");
    pl_vitals_draining();
    assert_answer("/readyz", 503, "draining\n");
    assert_answer("/livez", 200, "alive\n");
    assert_non_null(strstr(get("/metrics"), "plait_up{run=\"demo\",state=\"draining\"} 1\n"));
}

/* A thread that is watched and silent for longer than its bound; the time is made up. */
static double ahead_s;

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    const int rc = __real_clock_gettime(clock, ret);

    ret->tv_sec += (time_t)ahead_s;
    return rc;
}

static void a_silent_thread_is_not_alive(void **state)
{
    (void)state;
    pl_vitals_tick();
    ahead_s = PL_WINDOW_SILENT_S - 2;
    assert_answer("/livez", 200, "alive\n");
    ahead_s = PL_WINDOW_SILENT_S + 5;
    assert_answer("/livez", 503, "main has not come any further for 35 s; 30 s are its bound\n");
    pl_vitals_tick();
    assert_answer("/livez", 200, "alive\n");
    ahead_s = 0.0;
    pl_vitals_tick();
}

static void metrics_of_every_daemon(void **state)
{
    const char *said;

    (void)state;
    pl_meter_add(pl_meters_counter(pl_window_meters(window), "plait_x_total", "X.", NULL), 2);
    said = get("/metrics");
    assert_int_equal(strtol(said, NULL, 10), 200);
    assert_non_null(strstr(said, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_non_null(strstr(said, "\nplait_build_info{run=\"demo\",version=\"" PL_VERSION
                                 "\",build=\"unknown\",role=\"actor\",worker=\"actor-1\"} 1\n"));
    assert_non_null(strstr(said, "\nplait_x_total{run=\"demo\"} 2\n"));
    assert_non_null(strstr(said, "\nprocess_resident_memory_bytes "));
    assert_non_null(strstr(said, "\nplait_memory_limit_bytes{run=\"demo\"} "));
    assert_non_null(strstr(said, "\nplait_memory_available_bytes{run=\"demo\"} "));
    assert_non_null(strstr(said, "\nplait_tick_age_seconds{run=\"demo\"} "));
    assert_int_equal(strtol(get("/metricsx"), NULL, 10), 404);
}

static void without_an_address_there_is_no_window(void **state)
{
    const struct pl_window_opts opts = {.listen = ""};
    struct pl_window *none = (void *)&opts;

    (void)state;
    assert_int_equal(pl_window_open(&opts, &none, NULL), PL_OK);
    assert_null(none);
    assert_null(pl_window_meters(none));
    assert_string_equal(pl_window_address(none), "");
    pl_window_startup(none, "x");
    pl_window_close(none);
}

static void a_wrong_address_names_its_setting(void **state)
{
    const struct pl_window_opts opts = {
        .listen = "here", .run = "demo", .role = "actor", .worker = "a"};
    struct pl_error err = {0};
    struct pl_window *none;

    (void)state;
    assert_int_equal(pl_window_open(&opts, &none, &err), PL_EINVAL);
    assert_null(none);
    assert_int_equal(strncmp(err.text, "http.listen: 'here' is no address", 33), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(probes_follow_the_vital_signs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_silent_thread_is_not_alive, setup, teardown),
        cmocka_unit_test_setup_teardown(metrics_of_every_daemon, setup, teardown),
        cmocka_unit_test(without_an_address_there_is_no_window),
        cmocka_unit_test(a_wrong_address_names_its_setting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
