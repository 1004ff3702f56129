#include "common/link/redis.h"

#include "common/base/buf.h"
#include "common/base/check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECT_S = 2,
    ANSWER_S = 15,
    PAUSE_FIRST_MS = 50,
    PAUSE_MOST_MS = 10000,
    PAUSE_LOCAL_MS = 500, /* on a unix socket, where nobody else is in the way */
    SLICE_MS = 50,        /* how soon a pause notices that it is to stop */
};

struct pl_redis {
    struct pl_redis_opts opts;
    char *url, *client;
    char *shown;                               /* the url without its password, for people */
    const char *path, *host, *user, *password; /* into url's copy */
    int port, db;
    redisContext *c;
    uint64_t connects;
    uint64_t jitter;
    bool down; /* said so already */
};

void pl_redis_begin(struct pl_redis_args *args, const char *command)
{
    args->count = args->numbers_used = 0;
    pl_redis_word(args, command);
}

void pl_redis_bytes(struct pl_redis_args *args, const void *bytes, size_t len)
{
    PL_ASSERT(args->count < PL_REDIS_ARGS_MAX);
    args->words[args->count] = bytes;
    args->lens[args->count++] = len;
}

void pl_redis_word(struct pl_redis_args *args, const char *word)
{
    pl_redis_bytes(args, word, strlen(word));
}

static char *number_room(struct pl_redis_args *args)
{
    PL_ASSERT(args->numbers_used < 16);
    return args->numbers[args->numbers_used++];
}

void pl_redis_count(struct pl_redis_args *args, uint64_t value)
{
    char *room = number_room(args);

    snprintf(room, sizeof args->numbers[0], "%llu", (unsigned long long)value);
    pl_redis_word(args, room);
}

void pl_redis_real(struct pl_redis_args *args, double value)
{
    char *room = number_room(args);

    snprintf(room, sizeof args->numbers[0], "%.17g", value);
    pl_redis_word(args, room);
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* host[:port][/db] behind "redis://[user:password@]". */
static int parse_tcp(struct pl_redis *r, char *at, struct pl_error *err)
{
    char *end, *sign = strrchr(at, '@'), *slash, *colon;

    if (sign) {
        *sign = '\0';
        colon = strchr(at, ':');
        if (!colon)
            return pl_fail(err, PL_EINVAL, "Redis address: 'user:password@' is expected");
        *colon = '\0';
        r->user = at;
        r->password = colon + 1;
        at = sign + 1;
    }
    slash = strchr(at, '/');
    if (slash) {
        *slash = '\0';
        r->db = (int)strtol(slash + 1, &end, 10);
        if (*end || r->db < 0)
            return pl_fail(err, PL_EINVAL, "Redis address: '%s' is no database number", slash + 1);
    }
    colon = strrchr(at, ':');
    r->port = 6379;
    if (colon) {
        *colon = '\0';
        r->port = (int)strtol(colon + 1, &end, 10);
        if (*end || r->port < 1 || r->port > 65535)
            return pl_fail(err, PL_EINVAL, "Redis address: '%s' is no port", colon + 1);
    }
    r->host = at;
    return *at ? PL_OK : pl_fail(err, PL_EINVAL, "Redis address: the host is missing");
}

static int parse_url(struct pl_redis *r, struct pl_error *err)
{
    char *end;

    if (strncmp(r->url, "unix://", 7) == 0 && r->url[7] == '/') {
        r->path = r->url + 7;
        return PL_OK;
    }
    if (strncmp(r->url, "redis://", 8) == 0)
        return parse_tcp(r, r->url + 8, err);
    r->port = (int)strtol(r->url, &end, 10);
    r->host = "127.0.0.1";
    if (r->url[0] && !*end && r->port > 0 && r->port < 65536)
        return PL_OK;
    return pl_fail(
        err, PL_EINVAL,
        "'%s' is no address of Redis; unix:///PATH, redis://[USER:PASSWORD@]HOST[:PORT], "
        "or a port is expected",
        r->shown);
}

static char *without_password(const char *url)
{
    const char *sign = strrchr(url, '@');

    return sign && strncmp(url, "redis://", 8) == 0 ? pl_strf("redis://...%s", sign) : strdup(url);
}

int pl_redis_create(const struct pl_redis_opts *opts, struct pl_redis **ret_redis,
                    struct pl_error *err)
{
    struct pl_redis *r = calloc(1, sizeof *r);
    int rc;

    if (!r)
        return pl_fail(err, PL_ENOMEM, "no memory for a connection to Redis");
    (void)signal(SIGPIPE, SIG_IGN); /* hiredis writes without MSG_NOSIGNAL */
    r->opts = *opts;
    r->url = strdup(opts->url);
    r->client = strdup(opts->client);
    r->shown = without_password(opts->url);
    r->jitter = (uint64_t)getpid() * 2654435761u + now_ms();
    rc = r->url && r->client && r->shown
             ? parse_url(r, err)
             : pl_fail(err, PL_ENOMEM, "no memory for a connection to Redis");
    if (rc < 0) {
        pl_redis_destroy(r);
        return rc;
    }
    *ret_redis = r;
    return PL_OK;
}

static void hang_up(struct pl_redis *r)
{
    if (r->c)
        redisFree(r->c);
    r->c = NULL;
}

void pl_redis_destroy(struct pl_redis *redis)
{
    if (!redis)
        return;
    hang_up(redis);
    free(redis->url);
    free(redis->client);
    free(redis->shown);
    free(redis);
}

uint64_t pl_redis_connects(const struct pl_redis *redis)
{
    return redis->connects;
}

/* A line for the log: "redis event=<event> <name>=<text>". */
static void tell(struct pl_redis *r, const char *event, const char *name, const char *text)
{
    char line[1024];

    if (!r->opts.event)
        return;
    snprintf(line, sizeof line, "redis event=%s %s=\"%s\"", event, name, text);
    r->opts.event(r->opts.at, line);
}

/* What an answer that is an error asks for. */
enum answer { ANSWER_FINAL, ANSWER_WAIT, ANSWER_RECONNECT, ANSWER_MEND };

static enum answer kind_of(const char *text)
{
    static const struct {
        const char *begin;
        enum answer answer;
    } rows[] = {
        {"LOADING", ANSWER_WAIT},          {"BUSY ", ANSWER_WAIT},
        {"MISCONF", ANSWER_WAIT},          {"OOM", ANSWER_WAIT},
        {"TRYAGAIN", ANSWER_WAIT},         {"CLUSTERDOWN", ANSWER_WAIT},
        {"UNBLOCKED", ANSWER_MEND},        {"NOGROUP", ANSWER_MEND},
        {"ERR Function not", ANSWER_MEND}, {"READONLY", ANSWER_RECONNECT},
        {"MASTERDOWN", ANSWER_RECONNECT},  {"ERR max number of clients", ANSWER_RECONNECT},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strncmp(text, rows[i].begin, strlen(rows[i].begin)) == 0)
            return rows[i].answer;
    return ANSWER_FINAL;
}

int pl_redis_try(struct pl_redis *redis, const struct pl_redis_args *args, redisReply **ret_reply,
                 struct pl_error *err)
{
    redisReply *reply;

    if (!redis->c)
        return pl_fail(err, PL_EIO, "not connected to Redis");
    reply = redisCommandArgv(redis->c, args->count, (const char **)args->words, args->lens);
    if (!reply) {
        const int rc =
            pl_fail(err, PL_EIO, "the connection to Redis was lost: %s", redis->c->errstr);

        hang_up(redis);
        return rc;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        const int rc =
            pl_fail(err, PL_EIO, "Redis answers '%s' with '%s'", args->words[0], reply->str);

        freeReplyObject(reply);
        return rc;
    }
    if (ret_reply)
        *ret_reply = reply;
    else
        freeReplyObject(reply);
    return PL_OK;
}

static int greet(struct pl_redis *r, struct pl_error *err)
{
    struct pl_redis_args args;
    int rc = PL_OK;

    if (r->password) {
        pl_redis_begin(&args, "AUTH");
        if (r->user[0])
            pl_redis_word(&args, r->user);
        pl_redis_word(&args, r->password);
        rc = pl_redis_try(r, &args, NULL, err);
    }
    if (rc == PL_OK && r->db > 0) {
        pl_redis_begin(&args, "SELECT");
        pl_redis_count(&args, (uint64_t)r->db);
        rc = pl_redis_try(r, &args, NULL, err);
    }
    if (rc == PL_OK) {
        pl_redis_begin(&args, "CLIENT");
        pl_redis_word(&args, "SETNAME");
        pl_redis_word(&args, r->client);
        rc = pl_redis_try(r, &args, NULL, err);
    }
    return rc;
}

static int dial(struct pl_redis *r, struct pl_error *err)
{
    const uint64_t answer_ms = r->opts.answer_ms ? r->opts.answer_ms : 1000 * ANSWER_S;
    const struct timeval patience = {CONNECT_S, 0};
    const struct timeval answer = {(time_t)(answer_ms / 1000),
                                   (suseconds_t)(answer_ms % 1000 * 1000)};
    int rc;

    r->c = r->path ? redisConnectUnixWithTimeout(r->path, patience)
                   : redisConnectWithTimeout(r->host, r->port, patience);
    if (!r->c || r->c->err) {
        rc = pl_fail(err, PL_EIO, "Redis at '%s': %s", r->shown, r->c ? r->c->errstr : "no memory");
        hang_up(r);
        return rc;
    }
    redisSetTimeout(r->c, answer);
    if (!r->path)
        redisEnableKeepAlive(r->c);
    rc = greet(r, err);
    if (rc == PL_OK && r->opts.mend)
        rc = r->opts.mend(r->opts.mend_at, err);
    if (rc < 0) {
        hang_up(r);
        return rc;
    }
    r->connects++;
    if (r->down)
        tell(r, "connected", "url", r->shown);
    r->down = false;
    return PL_OK;
}

/* Wait for about `ms`; false when it is time to stop, or patience ends at `deadline`. */
static int wait_a_while(struct pl_redis *r, uint64_t ms, uint64_t deadline, struct pl_error *err)
{
    const uint64_t end = now_ms() + ms;

    do {
        const struct timespec slice = {0, SLICE_MS * 1000000L};

        if (r->opts.stop && r->opts.stop(r->opts.at))
            return pl_fail(err, PL_ECANCELED, "stopped while waiting for Redis");
        if (deadline && now_ms() > deadline)
            return PL_EIO; /* err says what the last try met */
        nanosleep(&slice, NULL);
    } while (now_ms() < end);
    return PL_OK;
}

/* Decorrelated jitter: 50 ms to three times the last pause. */
static uint64_t next_pause(struct pl_redis *r, uint64_t last)
{
    const uint64_t limit = r->path ? PAUSE_LOCAL_MS : PAUSE_MOST_MS;
    const uint64_t most = 3 * last < limit ? 3 * last : limit;

    r->jitter = r->jitter * 6364136223846793005ull + 1442695040888963407ull;
    return PAUSE_FIRST_MS + (r->jitter >> 33) % (most - PAUSE_FIRST_MS + 1);
}

/* Whether trying again can help; mends what can be mended. */
static bool may_help(struct pl_redis *r, const struct pl_error *met, bool *ret_at_once)
{
    const char *said = strstr(met->text, "' with '");
    const enum answer answer = said ? kind_of(said + 8) : ANSWER_RECONNECT;
    struct pl_error ignored;

    *ret_at_once = false;
    if (answer == ANSWER_MEND && r->c && r->opts.mend)
        *ret_at_once = r->opts.mend(r->opts.mend_at, &ignored) == PL_OK;
    if (answer == ANSWER_RECONNECT)
        hang_up(r);
    return answer != ANSWER_FINAL;
}

int pl_redis_call(struct pl_redis *redis, const struct pl_redis_args *args, redisReply **ret_reply,
                  struct pl_error *err)
{
    const uint64_t patience = redis->opts.patience_ms;
    const uint64_t deadline = patience ? now_ms() + patience : 0;
    uint64_t pause = PAUSE_FIRST_MS;
    int mended = 0;

    for (;;) {
        struct pl_error met = {0};
        bool at_once;
        int rc = redis->c ? PL_OK : dial(redis, &met);

        if (rc == PL_OK)
            rc = pl_redis_try(redis, args, ret_reply, &met);
        if (rc == PL_OK)
            return PL_OK;
        if (rc != PL_EIO || !may_help(redis, &met, &at_once))
            return pl_fail(err, rc, "%s", met.text);
        if (!redis->down && !at_once)
            tell(redis, "waiting", "reason", met.text);
        redis->down = redis->down || !at_once;
        if (at_once && mended++ < 3)
            continue;
        pause = next_pause(redis, pause);
        rc = wait_a_while(redis, pause, deadline, err);
        if (rc == PL_EIO)
            return pl_fail(err, PL_EIO, "%s", met.text);
        if (rc < 0)
            return rc;
    }
}
