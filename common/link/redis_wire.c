#include "common/link/redis_wire.h"

#include "common/link/redis_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 16 << 10, HANDSHAKE_MS = 5000 };

#if HIREDIS_MAJOR >= 1
typedef size_t pl_redis_elements;
#else
typedef int pl_redis_elements;
#endif

struct pl_redis_wire {
    redisContext *c; /* made the connection, holds its descriptor, is never asked */
    struct pl_redis_tls *tls;
    redisReader *reader;
    redisReplyObjectFunctions fn; /* the reader's own, but that lists are counted */
    void *(*create_array)(const redisReadTask *, pl_redis_elements);
    uint64_t silence_ms;
    size_t bytes_max, elements_max;
    size_t bytes, elements; /* of the answer that is being read */
    bool full, answered;
    bool unnamed; /* TLS without a certificate of one's own */
};

/* ---- reading within bounds ---- */

static void *count_array(const redisReadTask *task, pl_redis_elements elements)
{
    struct pl_redis_wire *w = task->privdata;

    if (elements > 0 && (size_t)elements > w->elements_max - w->elements) {
        w->full = true;
        return NULL;
    }
    w->elements += elements > 0 ? (size_t)elements : 0;
    return w->create_array(task, elements);
}

static int make_reader(struct pl_redis_wire *w, struct pl_error *err)
{
    w->reader = redisReaderCreateWithFunctions(w->c->reader->fn);
    if (!w->reader)
        return pl_fail(err, PL_ENOMEM, "no memory to read what Redis answers");
    w->fn = *w->reader->fn;
    w->create_array = w->fn.createArray;
    w->fn.createArray = count_array;
    w->reader->fn = &w->fn;
    w->reader->privdata = w;
    return PL_OK;
}

/* The answer, if all of it is here; else *ret_reply is NULL. */
static int parse(struct pl_redis_wire *w, redisReply **ret_reply, struct pl_error *err)
{
    void *reply = NULL;

    if (redisReaderGetReply(w->reader, &reply) == REDIS_OK) {
        *ret_reply = reply;
        return PL_OK;
    }
    if (w->full)
        return pl_fail(err, PL_EIO, "Redis answers with more than %zu elements", w->elements_max);
    return pl_fail(err, PL_EIO, "Redis does not speak as it should: %s", w->reader->errstr);
}

static int take_in(struct pl_redis_wire *w, const char *bytes, size_t len, struct pl_error *err)
{
    w->bytes += len;
    if (w->bytes > w->bytes_max)
        return pl_fail(err, PL_EIO, "Redis answers with more than %zu bytes", w->bytes_max);
    return redisReaderFeed(w->reader, bytes, len) == REDIS_OK
               ? PL_OK
               : pl_fail(err, PL_ENOMEM, "no memory for what Redis answers");
}

/* ---- bytes ---- */

static int fail_closed(const struct pl_redis_wire *w, struct pl_error *err)
{
    if (w->answered || w->tls)
        return pl_fail(err, PL_EIO, "the connection was closed");
    return pl_fail(err, PL_EIO,
                   "the connection was closed before anything was said: a port for TLS does that "
                   "(rediss://, not redis://)");
}

/* More than 0: bytes; 0: later, when poll() finds *ret_events. */
static int receive(struct pl_redis_wire *w, void *to, int size, short *ret_events,
                   struct pl_error *err)
{
    ssize_t n;

    if (w->tls)
        return pl_redis_tls_read(w->tls, to, size, ret_events, err);
    *ret_events = POLLIN;
    n = recv(w->c->fd, to, (size_t)size, 0);
    if (n > 0)
        return (int)n;
    if (n == 0 || errno == ECONNRESET || errno == EPIPE)
        return fail_closed(w, err);
    return errno == EAGAIN || errno == EINTR ? 0 : pl_fail_errno(err, "the connection was lost");
}

static int send_some(struct pl_redis_wire *w, const void *from, int size, short *ret_events,
                     struct pl_error *err)
{
    ssize_t n;

    if (w->tls)
        return pl_redis_tls_write(w->tls, from, size, ret_events, err);
    *ret_events = POLLOUT;
    n = send(w->c->fd, from, (size_t)size, MSG_NOSIGNAL);
    if (n > 0)
        return (int)n;
    if (n < 0 && (errno == ECONNRESET || errno == EPIPE))
        return fail_closed(w, err);
    return errno == EAGAIN || errno == EINTR ? 0 : pl_fail_errno(err, "the connection was lost");
}

static int await(struct pl_redis_wire *w, short events, struct pl_error *err)
{
    struct pollfd at = {.fd = w->c->fd, .events = events};
    const int n = poll(&at, 1, (int)w->silence_ms);

    if (n == 0)
        return pl_fail(err, PL_EIO, "no answer in %.3g s", (double)w->silence_ms / 1000.0);
    return n < 0 && errno != EINTR ? pl_fail_errno(err, "wait for an answer") : PL_OK;
}

static int send_all(struct pl_redis_wire *w, const char *from, size_t len, struct pl_error *err)
{
    while (len > 0) {
        short events = 0;
        int n = send_some(w, from, len < CHUNK ? (int)len : CHUNK, &events, err);

        if (n < 0)
            return n;
        if (n == 0) {
            n = await(w, events, err);
            if (n < 0)
                return n;
            continue;
        }
        from += n;
        len -= (size_t)n;
    }
    return PL_OK;
}

static int read_reply(struct pl_redis_wire *w, redisReply **ret_reply, struct pl_error *err)
{
    redisReply *reply = NULL;
    char chunk[CHUNK];
    int rc = parse(w, &reply, err);

    while (rc == PL_OK && !reply) {
        short events = 0;
        const int n = receive(w, chunk, sizeof chunk, &events, err);

        rc = n < 0 ? n : n > 0 ? take_in(w, chunk, (size_t)n, err) : await(w, events, err);
        if (rc == PL_OK && n > 0)
            rc = parse(w, &reply, err);
    }
    if (rc == PL_OK)
        *ret_reply = reply;
    return rc;
}

/* Whether Redis sent an error before it hung up: too many clients, or the like. */
static bool said_why(struct pl_redis_wire *w, redisReply **ret_reply)
{
    redisReply *reply = NULL;

    if (read_reply(w, &reply, NULL) < 0)
        return false;
    if (reply->type == REDIS_REPLY_ERROR) {
        *ret_reply = reply;
        return true;
    }
    freeReplyObject(reply);
    return false;
}

int pl_redis_wire_ask(struct pl_redis_wire *wire, int count, const char *const *words,
                      const size_t *lens, redisReply **ret_reply, struct pl_error *err)
{
    char *command = NULL;
    const int len = redisFormatCommandArgv(&command, count, (const char **)words, lens);
    struct pl_error met = {0};
    int rc;

    if (len < 0)
        return pl_fail(err, PL_ENOMEM, "no memory to ask Redis");
    wire->bytes = wire->elements = 0;
    rc = send_all(wire, command, (size_t)len, &met);
    redisFreeCommand(command);
    if (rc == PL_EIO && !wire->tls && said_why(wire, ret_reply))
        return PL_OK;
    if (rc == PL_OK)
        rc = read_reply(wire, ret_reply, &met);
    /* Where Redis cuts before its reason is read, this is the reason. */
    if (rc == PL_EIO && wire->unnamed && !wire->answered)
        return pl_fail(err, rc,
                       "%s before anything was said: where Redis demands a certificate of its "
                       "clients, set redis.tls_cert and redis.tls_key",
                       met.text);
    wire->answered = wire->answered || rc == PL_OK;
    return rc < 0 ? pl_fail(err, rc, "%s", met.text) : PL_OK;
}

int pl_redis_wire_ask_all(struct pl_redis_wire *wire, const char *bytes, size_t len, size_t count,
                          redisReply **replies, struct pl_error *err)
{
    size_t n = 0;
    int rc;

    wire->bytes = wire->elements = 0;
    rc = send_all(wire, bytes, len, err);
    while (rc == PL_OK && n < count) {
        rc = read_reply(wire, &replies[n], err);
        n += rc == PL_OK;
    }
    while (rc < 0 && n > 0) {
        freeReplyObject(replies[--n]);
        replies[n] = NULL;
    }
    return rc;
}

/* ---- opening ---- */

static int connect_to(struct pl_redis_wire *w, const struct pl_redis_url *url, uint64_t connect_ms,
                      struct pl_error *err)
{
    const struct timeval patience = {(time_t)(connect_ms / 1000),
                                     (suseconds_t)(connect_ms % 1000 * 1000)};
    int flags;

    w->c = url->path ? redisConnectUnixWithTimeout(url->path, patience)
                     : redisConnectWithTimeout(url->host, url->port, patience);
    if (!w->c || w->c->err)
        return pl_fail(err, PL_EIO, "%s", w->c ? w->c->errstr : "no memory");
    if (!url->path)
        redisEnableKeepAlive(w->c);
    flags = fcntl(w->c->fd, F_GETFL);
    if (flags < 0 || fcntl(w->c->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return pl_fail_errno(err, "set up the connection");
    return PL_OK;
}

int pl_redis_wire_open(const struct pl_redis_wire_opts *opts, struct pl_redis_wire **ret_wire,
                       struct pl_error *err)
{
    struct pl_redis_wire *w = calloc(1, sizeof *w);
    int rc;

    if (!w)
        return pl_fail(err, PL_ENOMEM, "no memory for a connection");
    w->silence_ms = opts->silence_ms;
    w->unnamed = opts->url->tls && !(opts->access->tls_cert && opts->access->tls_cert[0]);
    w->bytes_max = opts->bytes_max ? opts->bytes_max : PL_REDIS_BYTES_MAX;
    w->elements_max = opts->elements_max ? opts->elements_max : PL_REDIS_ELEMENTS_MAX;
    rc = connect_to(w, opts->url, opts->connect_ms, err);
    if (rc == PL_OK)
        rc = make_reader(w, err);
    if (rc == PL_OK && opts->url->tls)
        rc = pl_redis_tls_open(w->c->fd, opts->url->host, opts->access, HANDSHAKE_MS, &w->tls, err);
    if (rc < 0)
        pl_redis_wire_close(w);
    else
        *ret_wire = w;
    return rc;
}

void pl_redis_wire_close(struct pl_redis_wire *wire)
{
    if (!wire)
        return;
    pl_redis_tls_close(wire->tls);
    if (wire->reader)
        redisReaderFree(wire->reader);
    if (wire->c)
        redisFree(wire->c);
    free(wire);
}
