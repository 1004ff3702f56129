/* Answers of Redis within their bounds and their time: a server that says what it is told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link/redis_wire.h"
#include "tests/scratch.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { SILENCE_MS = 1000 };

static struct pl_error err;

/* ---- the server: one connection at a time ---- */

static struct server {
    int listening, hold[2];
    pthread_t thread;
    const char *says;  /* in pieces of `piece` bytes, `pause_ms` apart */
    size_t len, piece; /* piece 0: all at once */
    unsigned pause_ms;
    bool first;  /* speaks, and closes, before it hears anything */
    bool drain;  /* hears 8 MiB before it speaks */
    bool closes; /* after it spoke; else it waits until it is let go */
} server;

static void nap(unsigned ms)
{
    const struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

static void hear(int fd, size_t least)
{
    char chunk[4096];

    for (size_t n = 0; n < least;) {
        const ssize_t got = read(fd, chunk, sizeof chunk);

        if (got <= 0)
            return;
        n += (size_t)got;
    }
}

static void *serve(void *unused)
{
    const int fd = accept(server.listening, NULL, NULL);
    char go;

    (void)unused;
    if (!server.first)
        hear(fd, server.drain ? (size_t)8 << 20 : 1);
    for (size_t at = 0; at < server.len;) {
        const size_t n =
            server.piece && server.piece < server.len - at ? server.piece : server.len - at;

        if (send(fd, server.says + at, n, MSG_NOSIGNAL) != (ssize_t)n)
            break;
        at += n;
        nap(at < server.len ? server.pause_ms : 0);
    }
    if (!server.closes)
        (void)!read(server.hold[0], &go, 1);
    close(fd);
    return NULL;
}

static struct pl_redis_wire *begin(size_t bytes_max, size_t elements_max)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct pl_redis_access none = {0};
    struct pl_redis_wire *wire = NULL;
    struct pl_redis_url url;
    char text[200];

    snprintf(at.sun_path, sizeof at.sun_path, "%s", pl_scratch("sock"));
    unlink(at.sun_path);
    server.listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.listening, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(server.listening, 1), 0);
    assert_int_equal(pipe(server.hold), 0);
    assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
    snprintf(text, sizeof text, "unix://%s", at.sun_path);
    assert_int_equal(pl_redis_url_parse(text, &url, &err), PL_OK);
    assert_int_equal(pl_redis_wire_open(&(struct pl_redis_wire_opts){.url = &url,
                                                                     .access = &none,
                                                                     .connect_ms = 2000,
                                                                     .silence_ms = SILENCE_MS,
                                                                     .bytes_max = bytes_max,
                                                                     .elements_max = elements_max},
                                        &wire, &err),
                     PL_OK);
    pl_redis_url_release(&url);
    if (server.first)
        nap(50);
    return wire;
}

static void end(struct pl_redis_wire *wire)
{
    pl_redis_wire_close(wire);
    close(server.hold[1]);
    pthread_join(server.thread, NULL);
    close(server.hold[0]);
    close(server.listening);
    server = (struct server){0};
}

static int ask(struct pl_redis_wire *wire, redisReply **ret_reply)
{
    const char *const words[] = {"PING"};
    const size_t lens[] = {4};

    return pl_redis_wire_ask(wire, 1, words, lens, ret_reply, &err);
}

static void says(const char *text)
{
    server.says = text;
    server.len = strlen(text);
}

/* What one answer comes to with these limits; the sentence, or "" where it is taken. */
static const char *answer(const char *text, size_t bytes_max, size_t elements_max)
{
    redisReply *reply = NULL;
    struct pl_redis_wire *wire;
    int rc;

    says(text);
    wire = begin(bytes_max, elements_max);
    rc = ask(wire, &reply);
    if (rc == PL_OK)
        freeReplyObject(reply);
    else
        assert_int_equal(rc, PL_EIO);
    end(wire);
    return rc == PL_OK ? "" : err.text;
}

/* ---- the tests ---- */

static void elements(void **state)
{
    (void)state;
    assert_string_equal(answer("*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n", 0, 4), "");
    assert_string_equal(answer("*2\r\n*2\r\n:1\r\n:2\r\n:3\r\n", 0, 4), "");
    assert_string_equal(answer("*0\r\n", 0, 4), "");
    assert_string_equal(answer("*-1\r\n", 0, 4), "");
    assert_string_equal(answer("*5\r\n", 0, 4), "Redis answers with more than 4 elements");
    assert_string_equal(answer("*2\r\n*2\r\n:1\r\n:2\r\n*1\r\n", 0, 4),
                        "Redis answers with more than 4 elements");
    assert_string_equal(answer("*2000000000\r\n", 0, 0),
                        "Redis answers with more than 4194304 elements");
}

static void bytes(void **state)
{
    (void)state;
    assert_string_equal(answer("$5\r\nhello\r\n", 11, 0), "");
    assert_string_equal(answer("$6\r\nhello!\r\n", 11, 0), "Redis answers with more than 11 bytes");
    assert_string_equal(answer("$99999999\r\nhello!", 11, 0),
                        "Redis answers with more than 11 bytes");
}

static void depth(void **state)
{
    (void)state;
    assert_string_equal(answer("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", 0, 0), "");
    assert_non_null(
        strstr(answer("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", 0, 0),
               "Redis does not speak as it should"));
    assert_non_null(strstr(answer("HTTP/1.1 400\r\n", 0, 0), "Redis does not speak as it should"));
}

/* The limits are of one answer, not of all of them. */
static void one_after_another(void **state)
{
    struct pl_redis_wire *wire;

    (void)state;
    says("*3\r\n:1\r\n:2\r\n:3\r\n*3\r\n:4\r\n:5\r\n:6\r\n");
    server.piece = 16;
    server.pause_ms = 50;
    wire = begin(40, 4);
    for (int i = 0; i < 2; i++) {
        redisReply *reply = NULL;

        assert_int_equal(ask(wire, &reply), PL_OK);
        assert_int_equal(reply->elements, 3);
        assert_int_equal(reply->element[0]->integer, 1 + 3 * i);
        freeReplyObject(reply);
    }
    end(wire);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void silence(void **state)
{
    const double from = seconds();

    (void)state;
    assert_string_equal(answer("$100\r\nhalf of it", 0, 0), "no answer in 1 s");
    assert_true(seconds() - from >= 0.99 && seconds() - from < 10.0);
}

/* Slow, but never silent for so long. */
static void slow(void **state)
{
    const double from = seconds();

    (void)state;
    server.piece = 1;
    server.pause_ms = 120;
    assert_string_equal(answer("$5\r\nhello\r\n", 0, 0), "");
    assert_true(seconds() - from > 1e-3 * SILENCE_MS);
}

static void closed(void **state)
{
    (void)state;
    server.closes = true;
    assert_non_null(
        strstr(answer("", 0, 0), "was closed before anything was said: a port for TLS"));
    server.closes = true;
    assert_non_null(strstr(answer("$100\r\nhalf", 0, 0), "the connection was closed"));
}

/* What is said before the connection is cut is heard, though nobody hears the question. */
static void turned_away(void **state)
{
    redisReply *reply = NULL;
    struct pl_redis_wire *wire;

    (void)state;
    says("-ERR max number of clients reached\r\n");
    server.first = server.closes = true;
    wire = begin(0, 0);
    assert_int_equal(ask(wire, &reply), PL_OK);
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    assert_string_equal(reply->str, "ERR max number of clients reached");
    freeReplyObject(reply);
    end(wire);
}

/* More than the socket takes at once, to a server that takes its time. */
static void large(void **state)
{
    const size_t len = ((size_t)8 << 20) - 16; /* and with the words before it just over 8 MiB */
    char *big = malloc(len);
    const char *const words[] = {"SET", "x", big};
    const size_t lens[] = {3, 1, len};
    redisReply *reply = NULL;
    struct pl_redis_wire *wire;

    (void)state;
    assert_non_null(big);
    memset(big, 'x', len);
    says("+OK\r\n");
    server.drain = true;
    wire = begin(0, 0);
    assert_int_equal(pl_redis_wire_ask(wire, 3, words, lens, &reply, &err), PL_OK);
    freeReplyObject(reply);
    end(wire);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements),
        cmocka_unit_test(bytes),
        cmocka_unit_test(depth),
        cmocka_unit_test(silence),
        cmocka_unit_test(one_after_another),
        cmocka_unit_test(slow),
        cmocka_unit_test(closed),
        cmocka_unit_test(turned_away),
        cmocka_unit_test(large),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
