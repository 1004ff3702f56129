/*
 * What Redis answers: a server that greets as a Redis does, and then says what the input says. Each
 * call either succeeds, with what it gives back within its bounds, or fails with a sentence;
 * nothing is read that was not sent.
 *
 * The first byte of the input is the call; the others are the server's answers to it, as they are.
 */
#include "common/link/queues.h"
#include "tests/fuzz/fuzz.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum call { LEASE, TAKE, WHOLE, FEED, FINISH, COMMIT, RENEW, LEDGER, NOTE, CALLS };

enum {
    REFUSED = PL_FUZZ_CODE(PL_EIO) | PL_FUZZ_CODE(PL_ENOENT) | PL_FUZZ_CODE(PL_ECANCELED) |
              PL_FUZZ_CODE(PL_EFORMAT) | PL_FUZZ_CODE(PL_EINVAL),
    LEASES = 3,
};

/* Answers to CLIENT, HELLO, FCALL plait1_code, FUNCTION LOAD, two XGROUP and PING. */
static const char greeting[] = "+OK\r\n"
                               "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n"
                               "$7\r\nversion\r\n$6\r\n7.0.15\r\n"
                               "-ERR Function not found\r\n"
                               "$6\r\nplait1\r\n"
                               "+OK\r\n"
                               "-BUSYGROUP it is there\r\n"
                               "+PONG\r\n";

static struct {
    int listening;
    char url[160];
    pthread_mutex_t lock;
    struct pl_fuzz_in says; /* the input that is being tried */
} server = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void say(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        const ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        at += n;
        len -= (size_t)n;
    }
}

/* Says all of it at once, and then nothing; what is asked is of no interest. */
static void *serve(void *unused)
{
    char asked[4096];
    int fd;

    (void)unused;
    while ((fd = accept(server.listening, NULL, NULL)) >= 0) {
        pthread_mutex_lock(&server.lock);
        say(fd, greeting, sizeof greeting - 1);
        say(fd, server.says.data, server.says.size);
        pthread_mutex_unlock(&server.lock);
        shutdown(fd, SHUT_WR);
        while (read(fd, asked, sizeof asked) > 0)
            ;
        close(fd);
    }
    return NULL;
}

static void open_server(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char *path = pl_fuzz_path("redis.sock");
    pthread_t thread;

    PL_ASSERT(strlen(path) < sizeof at.sun_path);
    strcpy(at.sun_path, path);
    snprintf(server.url, sizeof server.url, "unix://%s", path);
    free(path);
    server.listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    PL_ASSERT(server.listening >= 0);
    PL_ASSERT(bind(server.listening, (struct sockaddr *)&at, sizeof at) == 0);
    PL_ASSERT(listen(server.listening, 16) == 0);
    PL_ASSERT(pthread_create(&thread, NULL, serve, NULL) == 0);
    pthread_detach(thread);
}

/* No second try. */
static bool stop(void *unused)
{
    (void)unused;
    return true;
}

static int lease(struct pl_queues *q, struct pl_error *err)
{
    struct pl_lease l = {0};
    const int rc = pl_queues_lease(q, PL_QUEUE_PROMPTS, 0, &l, err);

    if (rc == PL_OK) {
        PL_ASSERT(memchr(l.entry, 0, sizeof l.entry) && memchr(l.group, 0, sizeof l.group));
        PL_ASSERT(l.pb && l.deliveries <= 5);
        for (size_t i = 0; i < l.pb_len; i++) /* all of it is there to be read */
            PL_ASSERT(((volatile char *)l.pb)[i] == ((volatile char *)l.pb)[i]);
    }
    pl_lease_release(&l);
    return rc;
}

static int take(struct pl_queues *q, struct pl_error *err)
{
    struct pl_ready ready = {0};
    const int rc = pl_queues_take(q, "3", 0, &ready, err);

    for (size_t i = 0; rc == PL_OK && i < ready.count; i++)
        PL_ASSERT(ready.groups[i].pb &&
                  (i == 0 || ready.groups[i].index >= ready.groups[i - 1].index));
    pl_ready_release(&ready);
    return rc;
}

static int renew(struct pl_queues *q, struct pl_error *err)
{
    const struct pl_lease l[LEASES] = {{.entry = "1-0"}, {.entry = "2-0"}, {.entry = "3-0"}};
    const struct pl_lease *const list[LEASES] = {&l[0], &l[1], &l[2]};
    bool lost[LEASES] = {false};
    size_t count = 0;
    const int rc = pl_queues_renew(q, PL_QUEUE_PROMPTS, list, LEASES, lost, &count, err);

    PL_ASSERT(rc < 0 || count == (size_t)lost[0] + lost[1] + lost[2]);
    return rc;
}

static int call(struct pl_queues *q, enum call which, struct pl_error *err)
{
    const struct pl_feed feed = {.batch = "3", .expected = 2, .after = "", .pb = "x", .pb_len = 1};
    const struct pl_lease l = {.entry = "1-0", .group = "3:1"};
    enum pl_outcome outcome = PL_OUTCOME_DONE;
    struct pl_ledger ledger;
    bool yes = false;

    switch (which) {
    case LEASE:
        return lease(q, err);
    case TAKE:
        return take(q, err);
    case WHOLE:
        return pl_queues_whole(q, "3", &yes, err);
    case FEED:
        return pl_queues_feed(q, &feed, &yes, err);
    case FINISH:
        return pl_queues_finish(q, &l, NULL, 0, "x", 1, &outcome, err);
    case COMMIT:
        return pl_queues_commit(q, &l, 1, 1, 1, "", "x", 1, &outcome, err);
    case RENEW:
        return renew(q, err);
    case LEDGER:
        return pl_queues_ledger(q, &ledger, err);
    case NOTE:
    case CALLS:
        return pl_queues_note(q, "run", &(struct pl_field){"a", "b"}, 1, err);
    }
    return PL_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_fuzz_in in = {data, size};
    const enum call which = (enum call)(pl_fuzz_byte(&in) % CALLS);
    struct pl_queues *q = NULL;
    struct pl_error err = {0};
    int rc;

    if (server.listening == 0)
        open_server();
    pthread_mutex_lock(&server.lock);
    server.says = in;
    pthread_mutex_unlock(&server.lock);
    rc = pl_queues_open(&(struct pl_queues_opts){.url = server.url,
                                                 .run = "r",
                                                 .worker = "w",
                                                 .role = "fuzz",
                                                 .lease_ms = 1000,
                                                 .deliveries_max = 5,
                                                 .stop = stop},
                        &q, &err);
    PL_ASSERT(rc == PL_OK); /* so far the server speaks well */
    rc = call(q, which, &err);
    pl_queues_close(q);
    pthread_mutex_lock(&server.lock); /* the input is gone after this call */
    server.says = (struct pl_fuzz_in){0};
    pthread_mutex_unlock(&server.lock);
    if (rc < 0 && !err.text[0]) /* nothing to lease, no batch: that is no error */
        pl_fuzz_taken(false);
    else if (rc < 0)
        pl_fuzz_refused(rc, &err, REFUSED);
    else
        pl_fuzz_taken(true);
    return 0;
}
