#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static _Atomic int answers; /* given so far */
static _Atomic bool slow_begun, slow_may_end;

static bool answer(void *at, const char *path, struct pl_http_answer *a)
{
    atomic_fetch_add(&answers, 1);
    if (strcmp(path, "/slow") == 0) {
        atomic_store(&slow_begun, true);
        while (!atomic_load(&slow_may_end))
            usleep(1000);
    } else if (strcmp(path, "/bad") == 0) {
        a->status = 503;
    } else if (strcmp(path, "/big") == 0) {
        for (int i = 0; i < 100000; i++)
            assert_int_equal(pl_buf_puts(&a->body, "0123456789"), 0);
        return true;
    } else if (strcmp(path, "/empty") == 0) {
        return true;
    } else if (strcmp(path, "/good") != 0) {
        return false;
    }
    assert_int_equal(pl_buf_printf(&a->body, "at %s\n", (const char *)at), 0);
    return true;
}

static struct pl_http *open_at(const char *listen)
{
    struct pl_http *h = NULL;
    struct pl_error err = {0};
    const struct pl_http_opts opts = {.listen = listen, .answer = answer, .at = (void *)"home"};
    const int rc = pl_http_create(&opts, &h, &err);

    if (rc < 0)
        print_error("%s\n", err.text);
    assert_int_equal(rc, PL_OK);
    return h;
}

static unsigned port_of(const struct pl_http *h)
{
    return (unsigned)strtoul(strrchr(pl_http_address(h), ':') + 1, NULL, 10);
}

static int dial(unsigned port)
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {20, 0};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

/* All that comes until the other side closes; into a buffer of its own. */
static const char *hear(int fd)
{
    static char text[2 << 20];
    size_t len = 0;

    for (;;) {
        const ssize_t n = recv(fd, text + len, sizeof text - 1 - len, 0);

        if (n <= 0)
            break;
        len += (size_t)n;
    }
    text[len] = '\0';
    close(fd);
    return text;
}

static const char *ask(unsigned port, const char *request)
{
    const int fd = dial(port);

    (void)!send(fd, request, strlen(request), MSG_NOSIGNAL);
    return hear(fd);
}

static bool begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void paths_are_answered(void **state)
{
    struct pl_http *h = open_at("127.0.0.1:0");
    const unsigned port = port_of(h);
    const char *said;

    (void)state;
    said = ask(port, "GET /good HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(begins(said, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(said, "Connection: close\r\n"));
    assert_non_null(strstr(said, "Content-Type: text/plain; charset=utf-8\r\n"));
    assert_non_null(strstr(said, "\r\n\r\nat home\n"));
    said = ask(port, "GET /good?x=1&y HTTP/1.0\r\n\r\n");
    assert_true(begins(said, "HTTP/1.0 200 OK\r\n") || begins(said, "HTTP/1.1 200 OK\r\n"));
    said = ask(port, "HEAD /good HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(begins(said, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(said, "Content-Length: 8\r\n"));
    assert_null(strstr(said, "at home"));
    assert_true(begins(ask(port, "GET /bad HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 503 "));
    assert_true(begins(ask(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 404 "));
    assert_true(begins(ask(port, "GET /good/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"),
                       "HTTP/1.1 404 "));
    said = ask(port, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(strlen(strstr(said, "\r\n\r\n") + 4), 1000000);
    assert_true(begins(ask(port, "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\n"));
    pl_http_destroy(h);
}

static void other_methods_are_not(void **state)
{
    static const char *const requests[] = {
        "POST /good HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nabc",
        "PUT /good HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        "DELETE /good HTTP/1.1\r\nHost: x\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        "get /good HTTP/1.1\r\nHost: x\r\n\r\n",
    };
    struct pl_http *h = open_at("127.0.0.1:0");
    const int before = atomic_load(&answers);

    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        const char *said = ask(port_of(h), requests[i]);

        assert_true(begins(said, "HTTP/1.1 405 "));
        assert_non_null(strstr(said, "Allow: GET, HEAD\r\n"));
    }
    assert_int_equal(atomic_load(&answers), before);
    pl_http_destroy(h);
}

/* Whatever comes: an error or nothing, and the next one is served. */
static void hostile_requests(void **state)
{
    enum { LONG = 1 << 20 };
    struct pl_http *h = open_at("127.0.0.1:0");
    char *text = malloc(LONG + 64);
    int nothing;
    const char *said;

    (void)state;
    assert_non_null(text);
    memset(text, 'a', LONG); /* a line that does not end */
    text[LONG] = '\0';
    said = ask(port_of(h), text);
    assert_true(!said[0] || begins(said, "HTTP/1.1 4") || begins(said, "HTTP/1.0 4"));
    memcpy(text, "GET /", 5); /* a path without end */
    said = ask(port_of(h), text);
    assert_true(!said[0] || begins(said, "HTTP/1.1 4") || begins(said, "HTTP/1.0 4"));
    memcpy(text, "GET /good HTTP/1.1\r\nX: ", 23); /* a header without end */
    said = ask(port_of(h), text);
    assert_true(!said[0] || begins(said, "HTTP/1.1 4"));
    for (size_t i = 20; i + 6 < LONG; i += 6) /* headers without end */
        memcpy(text + i, "a: b\r\n", 6);
    said = ask(port_of(h), text);
    assert_true(!said[0] || begins(said, "HTTP/1.1 4"));
    for (size_t i = 0; i < LONG; i++) /* noise */
        text[i] = (char)((i * 2654435761u) >> 13 | 1);
    said = ask(port_of(h), text);
    assert_true(!said[0] || begins(said, "HTTP/1."));
    nothing = dial(port_of(h));
    (void)!send(nothing, "\r\n\r\n\r\n", 6, MSG_NOSIGNAL);
    close(nothing);
    close(dial(port_of(h)));
    free(text);
    assert_true(begins(ask(port_of(h), "GET /good HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 "));
    pl_http_destroy(h);
}

/* More that say nothing, or a byte now and then, than may be open. */
static void slow_clients_keep_nobody_out(void **state)
{
    enum { SLOW = 100 };
    struct pl_http *h = open_at("127.0.0.1:0");
    int slow[SLOW];
    char byte;
    unsigned left = 0;

    (void)state;
    for (int i = 0; i < SLOW; i++) {
        slow[i] = dial(port_of(h));
        (void)!send(slow[i], "GET /good HT", i % 2 ? 12 : 0, MSG_NOSIGNAL);
    }
    for (int i = 0; i < 20; i++)
        assert_true(
            begins(ask(port_of(h), "GET /good HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 "));
    for (int i = 0; i < SLOW; i++)
        left += recv(slow[i], &byte, 1, MSG_DONTWAIT) < 0; /* it would wait: still open */
    assert_true(left < PL_HTTP_CONNECTIONS);
    for (int i = 0; i < SLOW; i++)
        close(slow[i]);
    pl_http_destroy(h);
}

static void a_silent_connection_ends(void **state)
{
    struct pl_http *h = open_at("127.0.0.1:0");
    const time_t start = time(NULL);
    const int fd = dial(port_of(h));

    (void)state;
    (void)!send(fd, "GET /go", 7, MSG_NOSIGNAL);
    (void)hear(fd);
    assert_in_range(time(NULL) - start, PL_HTTP_SILENT_S - 2, 60); /* for ever, but for that */
    pl_http_destroy(h);
}

static void *ask_slow(void *at)
{
    const int fd = dial(*(unsigned *)at);
    char *said = calloc(1, 4096);

    assert_non_null(said);
    (void)!send(fd, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n", 31, MSG_NOSIGNAL);
    for (size_t len = 0; len < 4095;) {
        const ssize_t n = recv(fd, said + len, 4095 - len, 0);

        if (n <= 0)
            break;
        len += (size_t)n;
    }
    close(fd);
    return said;
}

static void an_answer_that_takes_long_keeps_nobody_waiting(void **state)
{
    struct pl_http *h = open_at("127.0.0.1:0");
    unsigned port = port_of(h);
    pthread_t thread;
    void *said;

    (void)state;
    atomic_store(&slow_begun, false);
    atomic_store(&slow_may_end, false);
    assert_int_equal(pthread_create(&thread, NULL, ask_slow, &port), 0);
    while (!atomic_load(&slow_begun))
        usleep(1000);
    assert_true(begins(ask(port, "GET /good HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 "));
    atomic_store(&slow_may_end, true);
    pthread_join(thread, &said);
    assert_true(begins(said, "HTTP/1.1 200 "));
    free(said);
    pl_http_destroy(h);
}

static void a_range_gives_the_first_free_port(void **state)
{
    struct pl_http *first = open_at("127.0.0.1:0"), *second, *third = NULL;
    const unsigned port = port_of(first);
    struct pl_error err = {0};
    struct pl_http_opts opts = {.answer = answer, .at = (void *)"home"};
    char range[64], both[64], one[64];

    (void)state;
    snprintf(range, sizeof range, "127.0.0.1:%u-%u", port, port + 50 < 65536 ? port + 50 : 65535);
    second = open_at(range);
    assert_true(port_of(second) > port);
    assert_true(port_of(second) <= port + 50);
    snprintf(one, sizeof one, "127.0.0.1:%u", port);
    opts.listen = one;
    assert_int_equal(pl_http_create(&opts, &third, &err), PL_EIO);
    assert_non_null(strstr(err.text, "the port is in use by other programs"));
    if (port_of(second) == port + 1) {
        snprintf(both, sizeof both, "127.0.0.1:%u-%u", port, port + 1);
        opts.listen = both;
        assert_int_equal(pl_http_create(&opts, &third, &err), PL_EIO);
        assert_non_null(strstr(err.text, "all of the ports are in use by other programs"));
    }
    pl_http_destroy(first); /* and its port is free again */
    third = open_at(one);
    pl_http_destroy(second);
    pl_http_destroy(third);
}

static void version_6(void **state)
{
    struct pl_http *h = NULL;
    const struct pl_http_opts opts = {.listen = "[::1]:0", .answer = answer, .at = (void *)"home"};
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    int fd;

    (void)state;
    if (pl_http_create(&opts, &h, NULL) < 0)
        skip(); /* a machine without it */
    assert_true(begins(pl_http_address(h), "[::1]:"));
    at.sin6_port = htons((uint16_t)port_of(h));
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    (void)!send(fd, "GET /good HTTP/1.0\r\n\r\n", 22, MSG_NOSIGNAL);
    assert_non_null(strstr(hear(fd), "at home"));
    pl_http_destroy(h);
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const bad[] = {
        "9640",
        ":9640",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:65536",
        "127.0.0.1:9640-",
        "127.0.0.1:9641-9640",
        "127.0.0.1:0-10",
        "::1:9640",
        "127.0.0.1:9640-9699x",
        "[]:9640",
        "127.0.0.1:-1",
        "127.0.0.1: 9640",
        "127.0.0.1:9640-70000",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct pl_http_opts opts = {.listen = bad[i], .answer = answer};
        struct pl_http *h = NULL;
        struct pl_error err = {0};

        assert_int_equal(pl_http_create(&opts, &h, &err), PL_EINVAL);
        assert_null(h);
        assert_non_null(strstr(err.text, "is no address to listen on; HOST:PORT"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_answered),
        cmocka_unit_test(other_methods_are_not),
        cmocka_unit_test(hostile_requests),
        cmocka_unit_test(slow_clients_keep_nobody_out),
        cmocka_unit_test(a_silent_connection_ends),
        cmocka_unit_test(an_answer_that_takes_long_keeps_nobody_waiting),
        cmocka_unit_test(a_range_gives_the_first_free_port),
        cmocka_unit_test(version_6),
        cmocka_unit_test(what_is_no_address_is_refused),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
