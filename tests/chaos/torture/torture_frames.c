/*
 * Garbage to live services. A run is at work; to the sockets of its weights and of its scores come
 * greetings of ZMTP that are none, frames of absurd lengths, and messages that are no questions; to
 * the HTTP servers of its programs come requests that are none. And a Redis that answers whatever
 * it likes is asked by each function of the queues, and by each program. No program ends, memory
 * stays flat, and who asks rightly is still answered.
 *
 * Usage: torture_frames PLAIT [SEED]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/redis.h"
#include "tests/scratch.h"

#include "tests/chaos/torture/live.h"
#include "tests/chaos/torture/results.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/link/queues.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

enum { SERVICES_MAX = 8, BYTES_MAX = 4096, GROWTH_KB_MAX = 96 << 10 };

static uint64_t first_seed = 1;

/* ---- raw connections ---- */

static int dial_unix(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof at.sun_path, "%.107s", path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static int dial_tcp(const char *where)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    const char *colon = strrchr(where, ':');
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_port = htons((uint16_t)atoi(colon ? colon + 1 : "0"));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static size_t noise(unsigned char *bytes, size_t len, uint64_t *seed)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)pl_torture_draw(seed);
    return len;
}

static const unsigned char greeting[64] = {0xFF, 0,    0, 0, 0,   0,   0,   0,
                                           1,    0x7F, 3, 0, 'N', 'U', 'L', 'L'};

/* What a peer of ZMTP might begin with, right up to some place. */
static size_t make_zmtp(unsigned char *b, uint64_t *seed)
{
    static const unsigned char ready[] = "\x04\x29\x05READY\x0bSocket-Type\x00\x00\x00\x06"
                                         "DEALER\x08Identity\x00\x00\x00\x00";
    size_t n = 0;

    switch (pl_torture_below(seed, 6)) {
    case 0:
        return noise(b, 1 + pl_torture_below(seed, 200), seed);
    case 1:
        memcpy(b, greeting, sizeof greeting);
        b[pl_torture_below(seed, 64)] ^= (unsigned char)(1u << pl_torture_below(seed, 8));
        return pl_torture_below(seed, 65);
    case 2:
        memcpy(b, greeting, sizeof greeting);
        return 64 + noise(b + 64, pl_torture_below(seed, 200), seed);
    default:
        memcpy(b, greeting, sizeof greeting);
        memcpy(b + 64, ready, sizeof ready - 1);
        n = 64 + sizeof ready - 1;
    }
    for (uint32_t frames = 1 + pl_torture_below(seed, 4); frames > 0; frames--) {
        const bool is_long = pl_torture_below(seed, 2);
        const size_t len = pl_torture_below(seed, 200);

        b[n++] = (unsigned char)(pl_torture_below(seed, 4)
                                     ? (is_long ? 2 : 0) + pl_torture_below(seed, 2)
                                     : pl_torture_draw(seed));
        if (is_long) {
            const uint64_t said =
                pl_torture_below(seed, 2) ? len : (uint64_t)pl_torture_draw(seed) << 20;

            for (int i = 7; i >= 0; i--)
                b[n++] = (unsigned char)(said >> (8 * i));
        } else {
            b[n++] = (unsigned char)len;
        }
        n += noise(b + n, len, seed);
    }
    return n;
}

static size_t make_http(unsigned char *b, uint64_t *seed)
{
    static const char *const lines[] = {
        "GET /metrics HTTP/1.1\r\n",
        "GET / HTTP/9.9\r\n",
        "POST /livez HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        "GET /../../etc/passwd HTTP/1.0\r\n\r\n",
        "GET %00%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        "HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "\r\n\r\n\r\n",
        "PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
        "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"};
    size_t n = 0;

    if (pl_torture_below(seed, 4) == 0)
        return noise(b, 1 + pl_torture_below(seed, 400), seed);
    n = (size_t)sprintf((char *)b, "%s",
                        lines[pl_torture_below(seed, sizeof lines / sizeof lines[0])]);
    if (pl_torture_below(seed, 2))
        b[pl_torture_below(seed, (uint32_t)n)] ^= (unsigned char)(1u << pl_torture_below(seed, 8));
    if (pl_torture_below(seed, 3) == 0)
        n += noise(b + n, pl_torture_below(seed, 1000), seed);
    return n;
}

/* ---- the run ---- */

struct service {
    char at[256];
    bool http;
};

static struct service services[SERVICES_MAX];
static size_t service_count;

static void find_services(void)
{
    static const char *const sockets[] = {"announce.sock", "serve.sock", "rewarder-1.sock"};
    static const char *const names[] = {"learner", "actor-1", "rewarder-1"};

    service_count = 0;
    for (size_t i = 0; i < 3; i++) {
        snprintf(services[service_count++].at, sizeof services[0].at, "%s/%s", pl_scratch("run"),
                 sockets[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        char log[64], *text, *http;

        snprintf(log, sizeof log, "run/logs/%s.log", names[i]);
        text = pl_live_log(log);
        http = strstr(text, " http=");
        if (http && sscanf(http, " http=%200s", services[service_count].at) == 1)
            services[service_count++].http = true;
        free(text);
    }
}

static bool is_up(void)
{
    for (size_t i = 0; i < service_count; i++) {
        const int fd = services[i].http ? dial_tcp(services[i].at) : dial_unix(services[i].at);

        if (fd < 0)
            return false;
        close(fd);
    }
    return service_count == 6;
}

/* Kilobytes that the programs of this run hold, by name of their parent. */
static long memory_of(pid_t parent)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    long sum = 0;

    while (dir && (entry = readdir(dir))) {
        char path[300], line[200];
        long kb = 0;
        int up = 0;
        FILE *in;

        snprintf(path, sizeof path, "/proc/%.20s/status", entry->d_name);
        in = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        while (in && fgets(line, sizeof line, in)) {
            (void)sscanf(line, "PPid: %d", &up);
            (void)sscanf(line, "VmRSS: %ld", &kb);
        }
        if (in)
            fclose(in);
        if (up == parent)
            sum += kb;
    }
    if (dir)
        closedir(dir);
    return sum;
}

static bool answers_http(const char *at)
{
    static const char question[] = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    char answer[256] = "";
    const int fd = dial_tcp(at);
    ssize_t n = -1;

    if (fd >= 0 && send(fd, question, sizeof question - 1, MSG_NOSIGNAL) > 0)
        n = recv(fd, answer, sizeof answer - 1, 0);
    if (fd >= 0)
        close(fd);
    return n > 12 && strncmp(answer + 8, " 200", 4) == 0;
}

/* Messages that are no questions, by a proper peer. */
static uint64_t send_messages(void *context, const char *path, uint64_t count, uint64_t *seed)
{
    void *dealer = zmq_socket(context, ZMQ_DEALER);
    const int linger = 0, timeout = 2000;
    unsigned char bytes[512];
    char endpoint[300];
    uint64_t sent = 0;

    snprintf(endpoint, sizeof endpoint, "ipc://%.255s", path);
    zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(dealer, ZMQ_SNDTIMEO, &timeout, sizeof timeout);
    assert_int_equal(zmq_connect(dealer, endpoint), 0);
    for (; sent < count; sent++) {
        const bool more = pl_torture_below(seed, 8) == 0;
        zmq_msg_t m;

        if (zmq_send(dealer, bytes, noise(bytes, pl_torture_below(seed, 60), seed),
                     more ? ZMQ_SNDMORE : 0) < 0)
            break;
        if (more && zmq_send(dealer, bytes, pl_torture_below(seed, 60), 0) < 0)
            break;
        while (sent % 64 == 0) { /* what it answers is read, or it might wait for us */
            zmq_msg_init(&m);
            if (zmq_msg_recv(&m, dealer, ZMQ_DONTWAIT) < 0) {
                zmq_msg_close(&m);
                break;
            }
            zmq_msg_close(&m);
        }
    }
    zmq_close(dealer);
    return sent;
}

static void live_services_stand_garbage(void **state)
{
    const uint64_t raw = pl_torture_is_long() ? 60000 : 1200;
    const uint64_t messages = pl_torture_is_long() ? 480000 : 10000;
    uint64_t seed = first_seed, wrong = 0, count = 0;
    unsigned char bytes[BYTES_MAX];
    void *context = zmq_ctx_new();
    double start = pl_live_seconds();
    long before, after;
    int status = 0;
    pid_t run;

    (void)state;
    pl_live_prepare(4, "workers.learner_stays: true\nlink.score: ipc\n"
                       "http.listen: \"127.0.0.1:0\"\n");
    run = pl_live_start("run.log", "up run.yaml run.dir=run");
    do {
        pl_live_pause(20);
        find_services();
    } while (!is_up() && pl_live_seconds() - start < 60.0 && !pl_live_over(&run, &status));
    if (!is_up()) {
        pl_live_tell("run.log", "run");
        for (size_t i = 0; i < service_count; i++)
            print_message("%s\n", services[i].at);
        fail_msg("the services did not come");
    }
    before = memory_of(run);
    for (uint64_t i = 0; i < raw; i++) {
        const struct service *s = &services[i % service_count];
        const int fd = s->http ? dial_tcp(s->at) : dial_unix(s->at);
        size_t n;

        if (fd < 0) {
            wrong += pl_torture_wrong("seed %llu, connection %llu: '%s' is gone",
                                      (unsigned long long)first_seed, (unsigned long long)i, s->at);
            break;
        }
        n = s->http ? make_http(bytes, &seed) : make_zmtp(bytes, &seed);
        (void)!send(fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        close(fd);
        count++;
    }
    for (size_t i = 0; i < 3 && wrong == 0; i++)
        count += send_messages(context, services[i].at, i == 0 ? 100 : messages, &seed);
    after = memory_of(run);
    for (size_t i = 3; i < service_count && wrong == 0; i++) {
        bool good = false;

        for (start = pl_live_seconds(); !good && pl_live_seconds() - start < 20.0;
             pl_live_pause(20))
            good = answers_http(services[i].at);
        if (!good)
            wrong += pl_torture_wrong("'%s' does not answer any more", services[i].at);
    }
    for (start = pl_live_seconds();
         pl_live_count("run/metrics.jsonl", "pg_loss") < 4 && pl_live_seconds() - start < 60.0;)
        pl_live_pause(20);
    if (pl_live_count("run/metrics.jsonl", "pg_loss") < 4)
        wrong += pl_torture_wrong("the run makes no progress");
    if (pl_live_over(&run, &status) || pl_live_count("run.log", "event=died") > 0)
        wrong += pl_torture_wrong("seed %llu: programs ended", (unsigned long long)first_seed);
    if (after - before > GROWTH_KB_MAX)
        wrong += pl_torture_wrong("memory went from %ld to %ld kB", before, after);
    pl_live_end(&run);
    if (wrong > 0)
        pl_live_tell("run.log", "run");
    zmq_ctx_term(context);
    pl_torture_result("frames", first_seed, count, wrong, ", \"grown_kb\": %ld", after - before);
    assert_int_equal(wrong, 0);
}

/* ---- a Redis that answers as it likes ---- */

struct liar {
    int listener;
    const char *real; /* where a real Redis is */
    uint64_t seed, answers;
    uint32_t percent; /* of answers that are nonsense; others are +OK */
    atomic_bool stop;
};

static int put_reply(char *b, size_t room, uint64_t *seed, int depth)
{
    static const char *const words[] = {"PONG",     "OK",     "plait1",
                                        "0-0",      "1-1",    "",
                                        "nan",      "-1",     "99999999999999999999",
                                        "group",    "prompt", "pb",
                                        "0:0",      "e0:1",   "role",
                                        "accuracy", "1e309",  "learner"};
    const char *word = words[pl_torture_below(seed, sizeof words / sizeof words[0])];

    switch (pl_torture_below(seed, depth < 4 ? 9 : 7)) {
    case 0:
        return snprintf(b, room, "+%s\r\n", word);
    case 1: {
        static const char *const errors[] = {"ERR no",     "OOM no",    "LOADING x",   "NOGROUP x",
                                             "READONLY x", "MISCONF x", "WRONGTYPE x", "NOSCRIPT",
                                             "BUSY x",     ""};

        return snprintf(b, room, "-%s\r\n", errors[pl_torture_below(seed, 10)]);
    }
    case 2:
        return snprintf(b, room, ":%lld\r\n",
                        (long long)((uint64_t)pl_torture_draw(seed) << pl_torture_below(seed, 33)));
    case 3:
        return snprintf(b, room, "$-1\r\n");
    case 4:
        return snprintf(b, room, "*-1\r\n");
    case 5:
    case 6:
        return snprintf(b, room, "$%zu\r\n%s\r\n", strlen(word), word);
    default: {
        const uint32_t n = pl_torture_below(seed, 6);
        int at = snprintf(b, room, "*%u\r\n", n);

        for (uint32_t i = 0; i < n && (size_t)at + 256 < room; i++)
            at += put_reply(b + at, room - (size_t)at, seed, depth + 1);
        return at;
    }
    }
}

/* Not even RESP, now and then. */
static int put_answer(struct liar *l, char *b, size_t room)
{
    if (pl_torture_below(&l->seed, 100) >= l->percent)
        return snprintf(b, room, "+OK\r\n");
    if (pl_torture_below(&l->seed, 40) == 0)
        return (int)noise((unsigned char *)b, 1 + pl_torture_below(&l->seed, 60), &l->seed);
    if (pl_torture_below(&l->seed, 40) == 0)
        return snprintf(b, room, "*%u\r\n", pl_torture_draw(&l->seed) % 3000000000u);
    if (pl_torture_below(&l->seed, 40) == 0)
        return snprintf(b, room, "$%u\r\nx", pl_torture_draw(&l->seed) % 3000000000u);
    return put_reply(b, room, &l->seed, 0);
}

static void *lie_on(void *at)
{
    struct liar *l = at;
    struct pollfd fds[64] = {{.fd = l->listener, .events = POLLIN}};
    static char in[1 << 16], out[1 << 16];
    nfds_t n = 1;

    while (!l->stop) {
        if (poll(fds, n, 20) <= 0)
            continue;
        if (fds[0].revents && n < 64) {
            const int fd = accept(l->listener, NULL, NULL);

            if (fd >= 0)
                fds[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
        }
        for (nfds_t i = 1; i < n; i++) {
            ssize_t got;
            int len;

            if (!fds[i].revents)
                continue;
            got = recv(fds[i].fd, in, sizeof in, MSG_DONTWAIT);
            len = got > 0 ? put_answer(l, out, sizeof out) : 0;
            if (got <= 0 || send(fds[i].fd, out, (size_t)len, MSG_NOSIGNAL) < 0) {
                close(fds[i].fd);
                fds[i--] = fds[--n];
                continue;
            }
            l->answers++;
        }
    }
    for (nfds_t i = 1; i < n; i++)
        close(fds[i].fd);
    return NULL;
}

/* Bytes of an answer that a real Redis gave, changed on their way. */
static ssize_t change_answer(struct liar *l, char *b, ssize_t len, size_t room)
{
    const uint32_t most = (uint32_t)(len < 64 ? len : 64);

    if (pl_torture_below(&l->seed, 1000) >= l->percent)
        return len;
    l->answers++;
    switch (pl_torture_below(&l->seed, 4)) {
    case 0:
        return put_reply(b, room, &l->seed, 0);
    case 1: /* another type, or another first digit */
        b[pl_torture_below(&l->seed, 2) % most] =
            "+-:$*_#,(0123456789"[pl_torture_below(&l->seed, 19)];
        return len;
    case 2:
        b[pl_torture_below(&l->seed, most)] ^= (char)(1 << pl_torture_below(&l->seed, 7));
        return len;
    default: /* another number in it */
        for (ssize_t i = 0; i < len; i++)
            if (b[i] >= '0' && b[i] <= '9' && pl_torture_below(&l->seed, 8) == 0) {
                b[i] = (char)('0' + pl_torture_below(&l->seed, 10));
                break;
            }
        return len;
    }
}

/* Between programs and a real Redis. */
static void *stand_between(void *at)
{
    enum { PAIRS = 48 };
    struct liar *l = at;
    struct pollfd fds[1 + 2 * PAIRS] = {{.fd = l->listener, .events = POLLIN}};
    static char b[1 << 16];
    nfds_t n = 1;

    while (!l->stop) {
        if (poll(fds, n, 20) <= 0)
            continue;
        if (fds[0].revents && n + 2 <= 1 + 2 * PAIRS) {
            const int client = accept(l->listener, NULL, NULL), server = dial_unix(l->real);

            if (client >= 0 && server >= 0) {
                fds[n++] = (struct pollfd){.fd = client, .events = POLLIN};
                fds[n++] = (struct pollfd){.fd = server, .events = POLLIN};
            }
        }
        for (nfds_t i = 1; i < n; i++) {
            const bool is_server = i % 2 == 0;
            const nfds_t first = is_server ? i - 1 : i;
            ssize_t got, sent = 0, done;

            if (!fds[i].revents)
                continue;
            got = recv(fds[i].fd, b, sizeof b, MSG_DONTWAIT);
            if (got > 0 && is_server)
                got = change_answer(l, b, got, sizeof b);
            while (got > 0 && sent < got) {
                done = send(fds[is_server ? first : first + 1].fd, b + sent, (size_t)(got - sent),
                            MSG_NOSIGNAL);
                if (done <= 0)
                    got = 0;
                else
                    sent += done;
            }
            if (got <= 0) {
                close(fds[first].fd);
                close(fds[first + 1].fd);
                fds[first] = fds[n - 2];
                fds[first + 1] = fds[n - 1];
                n -= 2;
                i = first - 1;
            }
        }
    }
    for (nfds_t i = 1; i < n; i++)
        close(fds[i].fd);
    return NULL;
}

static int listen_at(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof at.sun_path, "%.107s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

/* Each program against it: it waits or says one sentence, and is never ended by a signal. */
static void programs_stand_a_lying_redis(void **state)
{
    static const char *const words[] = {
        "status run.yaml run.dir=lied",     "top --once run.yaml run.dir=lied",
        "dead ls run.yaml run.dir=lied",    "quarantine ls run.yaml run.dir=lied",
        "redis init run.yaml run.dir=lied",
    };
    const uint64_t rounds = pl_torture_is_long() ? 40 : 1;
    struct liar liar = {.seed = first_seed, .percent = 60};
    uint64_t wrong = 0;
    pthread_t thread;
    char path[200], up_words[300];
    double start;
    int status = 0;
    pid_t up;

    (void)state;
    snprintf(path, sizeof path, "%s", pl_scratch("liar.sock"));
    snprintf(up_words, sizeof up_words, "up run.yaml run.dir=lied link.redis=unix://%s", path);
    liar.listener = listen_at(path);
    assert_int_equal(pthread_create(&thread, NULL, lie_on, &liar), 0);
    for (uint64_t i = 0; i < rounds; i++) {
        for (size_t k = 0; k < sizeof words / sizeof words[0]; k++) {
            char command[400];
            pid_t child;

            snprintf(command, sizeof command, "%s link.redis=unix://%s", words[k], path);
            start = pl_live_seconds();
            child = pl_live_start("lied.log", command);
            while (!pl_live_over(&child, &status) && pl_live_seconds() - start < 20.0)
                pl_live_pause(2);
            if (child != 0)
                pl_live_end(&child);
            else if (WIFSIGNALED(status) || WEXITSTATUS(status) >= 126)
                wrong += pl_torture_wrong("seed %llu, round %llu: plait %s: status %#x: %s",
                                          (unsigned long long)first_seed, (unsigned long long)i,
                                          words[k], (unsigned)status, pl_live_log("lied.log"));
        }
    }
    up = pl_live_start("lied.log", up_words);
    for (start = pl_live_seconds(); !pl_live_over(&up, &status) &&
                                    pl_live_seconds() - start < (pl_torture_is_long() ? 60 : 2);)
        pl_live_pause(20);
    pl_live_end(&up);
    if (pl_live_count("lied.log", "was ended by signal") > 0) {
        wrong += pl_torture_wrong("seed %llu: a program was ended by a signal",
                                  (unsigned long long)first_seed);
        pl_live_tell("lied.log", "lied");
    }
    liar.stop = true;
    pthread_join(thread, NULL);
    close(liar.listener);
    unlink(path);
    pl_torture_result("lying-redis", first_seed, liar.answers, wrong, ", \"programs\": %llu",
                      (unsigned long long)(rounds * sizeof words / sizeof words[0]));
    assert_int_equal(wrong, 0);
}

/* A whole run, again and again, some of whose answers are changed: a program may say that it cannot
 * go on, but none is ended by a signal. */
static void programs_stand_changed_answers(void **state)
{
    const double most_s = pl_torture_is_long() ? 120.0 : 3.0, start = pl_live_seconds();
    struct liar liar = {.seed = first_seed, .percent = 5};
    struct pl_test_redis redis = {.more = NULL};
    uint64_t wrong = 0, runs = 0;
    char path[200], words[600];
    pthread_t thread;

    (void)state;
    pl_test_redis_start(&redis);
    liar.real = redis.url + strlen("unix://");
    snprintf(path, sizeof path, "%s", pl_scratch("between.sock"));
    liar.listener = listen_at(path);
    assert_int_equal(pthread_create(&thread, NULL, stand_between, &liar), 0);
    for (; pl_live_seconds() - start < most_s && wrong == 0; runs++) {
        const double began = pl_live_seconds();
        char log[64], dir[64];
        int status = 0;
        pid_t up;

        snprintf(log, sizeof log, "between-%d.log", (int)runs);
        snprintf(dir, sizeof dir, "between-%d", (int)runs);
        snprintf(words, sizeof words,
                 "up run.yaml run.dir=%s run.name=b%d workers.learner_stays=false "
                 "trainer.total_training_steps=40 link.redis=unix://%s",
                 dir, (int)runs, path);
        up = pl_live_start(log, words);
        while (!pl_live_over(&up, &status) && pl_live_seconds() - began < 15.0 &&
               pl_live_seconds() - start < most_s)
            pl_live_pause(10);
        pl_live_end(&up);
        if (pl_live_count(log, "was ended by signal") > 0) {
            wrong += pl_torture_wrong("seed %llu, run %d: a program was ended by a signal",
                                      (unsigned long long)first_seed, (int)runs);
            pl_live_tell(log, dir);
        }
    }
    liar.stop = true;
    pthread_join(thread, NULL);
    close(liar.listener);
    unlink(path);
    pl_test_redis_end(&redis);
    pl_torture_result("changed-answers", first_seed, liar.answers, wrong, ", \"runs\": %llu",
                      (unsigned long long)runs);
    assert_int_equal(wrong, 0);
}

static int set_up(void **state)
{
    if (!pl_test_redis_there()) {
        printf("skipped: redis-server is not installed\n");
        exit(77);
    }
    return pl_scratch_setup(state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_services_stand_garbage),
        cmocka_unit_test(programs_stand_a_lying_redis),
        cmocka_unit_test(programs_stand_changed_answers),
    };

    if (argc < 2)
        return 2;
    pl_live_plait(argv[1]);
    if (argc > 2)
        first_seed = strtoull(argv[2], NULL, 10);
    return cmocka_run_group_tests(tests, set_up, pl_scratch_teardown);
}
