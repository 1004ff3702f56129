#include "common/link/redis.h"

#include "common/base/check.h"
#include "common/base/failpoint.h"
#include "common/base/logfmt.h"
#include "common/base/secret.h"
#include "common/link/redis_url.h"
#include "common/link/redis_wire.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECT_MS = 2000,
    ANSWER_MS = 15000,
    PAUSE_FIRST_MS = 50,
    PAUSE_MOST_MS = 10000,
    PAUSE_LOCAL_MS = 500, /* on a unix socket, where nobody else is in the way */
    SLICE_MS = 50,        /* how soon a pause notices that it is to stop */
    SAY_MS = 60000,       /* how often a wait is said */
};

struct pl_redis {
    struct pl_redis_opts opts;
    struct pl_redis_url url;
    struct pl_redis_access access;
    char *client;
    struct pl_redis_wire *wire;
    uint64_t connects;
    uint64_t jitter;
    int met;           /* enum answer: what the last error asked for */
    bool down;         /* said so already */
    uint64_t said_ms;  /* when it was said last, and */
    uint64_t said;     /* a hash of what */
    uint64_t answered; /* commands that Redis has ever carried out for this user, a bit for each */
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

/* What is asked for must go with the address, so that nobody takes for safe what is not. */
static int check_access(const struct pl_redis *r, struct pl_error *err)
{
    const struct pl_redis_access *a = &r->access;

    if (r->url.password && (a->user[0] || a->password_file[0]))
        return pl_fail(err, PL_EINVAL,
                       "Redis at '%s': a user and a password are given by the address and by "
                       "redis.%s too; leave out one of them",
                       r->url.shown, a->user[0] ? "user" : "password_file");
    if (a->user[0] && !a->password_file[0])
        return pl_fail(err, PL_EINVAL,
                       "redis.user is '%s', but redis.password_file, which says how to be it, is "
                       "empty",
                       a->user);
    if (!r->url.tls && (a->tls_ca[0] || a->tls_cert[0] || a->tls_key[0]))
        return pl_fail(err, PL_EINVAL,
                       "redis.%s is given, but Redis at '%s' is not asked over TLS: write "
                       "rediss://HOST:PORT, or leave out redis.tls_*",
                       a->tls_ca[0]     ? "tls_ca"
                       : a->tls_cert[0] ? "tls_cert"
                                        : "tls_key",
                       r->url.shown);
    if (a->tls_key[0] && !a->tls_cert[0])
        return pl_fail(err, PL_EINVAL, "redis.tls_key is given, but no redis.tls_cert");
    return PL_OK;
}

int pl_redis_create(const struct pl_redis_opts *opts, struct pl_redis **ret_redis,
                    struct pl_error *err)
{
    struct pl_redis *r = calloc(1, sizeof *r);
    int rc;

    if (!r)
        return pl_fail(err, PL_ENOMEM, "no memory for a connection to Redis");
    (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    r->opts = *opts;
    r->client = strdup(opts->client);
    r->jitter = (uint64_t)getpid() * 2654435761u + now_ms();
    rc = r->client
             ? pl_redis_access_copy(&opts->access, opts->role ? opts->role : "", &r->access, err)
             : pl_fail(err, PL_ENOMEM, "no memory for a connection to Redis");
    if (rc == PL_OK)
        rc = pl_redis_url_parse(opts->url, &r->url, err);
    if (rc == PL_OK)
        rc = check_access(r, err);
    if (rc < 0) {
        pl_redis_destroy(r);
        return rc;
    }
    *ret_redis = r;
    return PL_OK;
}

static void hang_up(struct pl_redis *r)
{
    pl_redis_wire_close(r->wire);
    r->wire = NULL;
}

void pl_redis_destroy(struct pl_redis *redis)
{
    if (!redis)
        return;
    hang_up(redis);
    free(redis->client);
    pl_redis_access_release(&redis->access);
    pl_redis_url_release(&redis->url);
    free(redis);
}

const char *pl_redis_shown(const struct pl_redis *redis)
{
    return redis->url.shown;
}

const char *pl_redis_user(const struct pl_redis *redis)
{
    const char *user = redis->url.user ? redis->url.user : redis->access.user;

    return user[0] ? user : "default";
}

/* A line for the log: "redis event=<event> <name>=<text>". */
static void tell(struct pl_redis *r, const char *event, const char *name, const char *text)
{
    char line[1024];

    if (!r->opts.event)
        return;
    pl_logfmt_print(line, sizeof line, "redis event=%s %s=\"%s\"", event, name, text);
    r->opts.event(r->opts.at, line);
}

/* What an answer that is an error asks for. */
enum answer {
    ANSWER_FINAL,
    ANSWER_WAIT,
    ANSWER_FULL,
    ANSWER_RECONNECT,
    ANSWER_MEND,
    ANSWER_REFUSED
};

/* NOPERM of a command that a function calls, as Redis 7.0 says it. */
static const char in_function[] = "ERR The user executing the script";

static enum answer kind_of(const char *text)
{
    static const struct {
        const char *begin;
        enum answer answer;
    } rows[] = {
        {"LOADING", ANSWER_WAIT},
        {"BUSY ", ANSWER_WAIT},
        {"MISCONF", ANSWER_WAIT},
        {"OOM", ANSWER_FULL},
        {"TRYAGAIN", ANSWER_WAIT},
        {"CLUSTERDOWN", ANSWER_WAIT},
        {"NOREPLICAS", ANSWER_WAIT},
        {"UNBLOCKED", ANSWER_MEND},
        {"NOGROUP", ANSWER_MEND},
        {"ERR Function not", ANSWER_MEND},
        {"READONLY", ANSWER_RECONNECT},
        {"MASTERDOWN", ANSWER_RECONNECT},
        {"ERR max number of clients", ANSWER_RECONNECT},
        {"WRONGPASS", ANSWER_REFUSED},
        {"NOAUTH", ANSWER_REFUSED},
        {"NOPERM", ANSWER_REFUSED},
        {"ERR AUTH", ANSWER_REFUSED},
        {in_function, ANSWER_REFUSED},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strncmp(text, rows[i].begin, strlen(rows[i].begin)) == 0)
            return rows[i].answer;
    return ANSWER_FINAL;
}

/* Redis knows who this is, and does not let it in, or not do this: what a person is to do. */
static int fail_refused(const struct pl_redis *r, const struct pl_redis_args *args,
                        const char *said, struct pl_error *err)
{
    const char *user = pl_redis_user(r), *file = r->access.password_file;
    const bool function = strcmp(args->words[0], "FCALL") == 0 && args->count > 1;

    if (strncmp(said, "NOAUTH", 6) == 0)
        return pl_fail(err, PL_EINVAL,
                       "Redis at '%s' lets nobody in without a user and a password (NOAUTH): set "
                       "redis.user and redis.password_file",
                       r->url.shown);
    if (strncmp(said, "WRONGPASS", 9) == 0)
        return pl_fail(err, PL_EINVAL,
                       "Redis at '%s' does not know the user '%s' by the password in %s%s%s "
                       "(WRONGPASS): take the file that plait redis acl made with the users.acl "
                       "of that Redis, and have it read users.acl again (redis-cli ACL LOAD)",
                       r->url.shown, user, file[0] ? "'" : "its address", file, file[0] ? "'" : "");
    if (strncmp(said, "NOPERM", 6) == 0 || strncmp(said, in_function, sizeof in_function - 1) == 0)
        return pl_fail(err, PL_EINVAL,
                       "Redis at '%s' does not let the user '%s' run '%s%s%s' (%s): be the user "
                       "of this program's role (redis.user), of the users.acl of this version "
                       "(plait redis acl)",
                       r->url.shown, user, args->words[0], function ? " " : "",
                       function ? args->words[1] : "", said);
    return pl_fail(err, PL_EINVAL,
                   "Redis at '%s' has no user with a password, but redis.password_file or the "
                   "address gives one (%s)",
                   r->url.shown, said);
}

#ifdef PL_FAILPOINTS
/* What failpoints call a command: "plait1_feed" is "feed". */
static const char *point_of(const struct pl_redis_args *args)
{
    const char *function = args->count > 1 ? strchr(args->words[1], '_') : NULL;

    return strcmp(args->words[0], "FCALL") == 0 && function ? function + 1 : args->words[0];
}
#endif

/* One try; *ret_answer: what an error asks for. */
static int try_once(struct pl_redis *r, const struct pl_redis_args *args, redisReply **ret_reply,
                    enum answer *ret_answer, struct pl_error *err)
{
    struct pl_error met = {0};
    redisReply *reply = NULL;
    int rc;

    *ret_answer = ANSWER_RECONNECT;
    if (!r->wire)
        return pl_fail(err, PL_EIO, "not connected to Redis");
    rc = PL_FAILPOINT_OF(point_of(args), "before")
             ? pl_fail(&met, PL_EIO, "a failpoint says so")
             : pl_redis_wire_ask(r->wire, args->count, args->words, args->lens, &reply, &met);
    if (rc == PL_OK && PL_FAILPOINT_OF(point_of(args), "after")) { /* done, and nobody knows */
        freeReplyObject(reply);
        reply = NULL;
        rc = pl_fail(&met, PL_EIO, "a failpoint says so");
    }
    if (rc < 0) {
        hang_up(r);
        return pl_fail(err, rc, "the connection to Redis at '%s' was lost: %s", r->url.shown,
                       met.text);
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        *ret_answer = kind_of(reply->str);
        rc = *ret_answer == ANSWER_REFUSED
                 ? fail_refused(r, args, reply->str, err)
                 : pl_fail(err, PL_EIO, "Redis answers '%s' with '%s'", args->words[0], reply->str);
        freeReplyObject(reply);
        return rc;
    }
    if (ret_reply)
        *ret_reply = reply;
    else
        freeReplyObject(reply);
    return PL_OK;
}

int pl_redis_try(struct pl_redis *redis, const struct pl_redis_args *args, redisReply **ret_reply,
                 struct pl_error *err)
{
    enum answer answer = ANSWER_RECONNECT;
    const int rc = try_once(redis, args, ret_reply, &answer, err);

    redis->met = answer;
    return rc;
}

/* AUTH, where there is a password. */
static int say_who(struct pl_redis *r, struct pl_error *err)
{
    const char *user = r->url.user ? r->url.user : r->access.user;
    struct pl_redis_args args;
    char *secret = NULL;
    int rc = PL_OK;

    if (!r->url.password && !r->access.password_file[0])
        return PL_OK;
    if (!r->url.password)
        rc = pl_secret_read(r->access.password_file, &secret, err);
    if (rc < 0)
        return pl_fail_in(err, rc, "redis.password_file");
    pl_redis_begin(&args, "AUTH");
    if (user[0])
        pl_redis_word(&args, user);
    pl_redis_word(&args, secret ? secret : r->url.password);
    rc = pl_redis_try(r, &args, NULL, err);
    pl_secret_free(secret);
    return rc;
}

static int greet(struct pl_redis *r, struct pl_error *err)
{
    struct pl_redis_args args;
    int rc = say_who(r, err);

    if (rc == PL_OK && r->url.db > 0) {
        pl_redis_begin(&args, "SELECT");
        pl_redis_count(&args, (uint64_t)r->url.db);
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
    const struct pl_redis_wire_opts opts = {
        .url = &r->url,
        .access = &r->access,
        .connect_ms = CONNECT_MS,
        .silence_ms = r->opts.answer_ms ? r->opts.answer_ms : ANSWER_MS,
    };
    int rc = pl_redis_wire_open(&opts, &r->wire, err);

    r->met = ANSWER_RECONNECT;
    if (rc < 0)
        return pl_fail_in(err, rc, "Redis at '%s'", r->url.shown);
    rc = greet(r, err);
    if (rc == PL_OK && r->opts.mend)
        rc = r->opts.mend(r->opts.mend_at, err);
    if (rc < 0) {
        hang_up(r);
        return rc;
    }
    r->connects++;
    if (r->down)
        tell(r, "connected", "url", r->url.shown);
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
    const uint64_t limit = r->url.path ? PAUSE_LOCAL_MS : PAUSE_MOST_MS;
    const uint64_t most = 3 * last < limit ? 3 * last : limit;

    r->jitter = r->jitter * 6364136223846793005ull + 1442695040888963407ull;
    return PAUSE_FIRST_MS + (r->jitter >> 33) % (most - PAUSE_FIRST_MS + 1);
}

/* Whether trying again can help after what was met; mends what can be mended. What only `mend` says
 * is wrong for good goes to *err. */
static bool may_help(struct pl_redis *r, bool *ret_at_once, int *ret_rc, struct pl_error *err)
{
    const enum answer answer = r->met;

    *ret_at_once = false;
    if (answer == ANSWER_MEND && r->wire && r->opts.mend) {
        struct pl_error why = {0};
        const int rc = r->opts.mend(r->opts.mend_at, &why);

        *ret_at_once = rc == PL_OK;
        if (rc < 0 && rc != PL_EIO) {
            *ret_rc = pl_fail(err, rc, "%s", why.text);
            return false;
        }
    }
    if (answer == ANSWER_RECONNECT)
        hang_up(r);
    return answer != ANSWER_FINAL;
}

static uint64_t hash_of(const char *text)
{
    uint64_t hash = 14695981039346656037ull;

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211ull;
    return hash;
}

/* One of 64, by the command, or by the function that it calls. */
static uint64_t bit_of(const struct pl_redis_args *args)
{
    const bool function = strcmp(args->words[0], "FCALL") == 0 && args->count > 1;

    return 1ull << (hash_of(args->words[function]) >> 58);
}

/*
 * Who one is let one in before, and do this: a password is being changed, rights are read again, a
 * certificate has run out. Others mend that, and what is in hand must not be lost over it.
 */
static bool is_mended_by_others(struct pl_redis *r, const struct pl_redis_args *args, int rc)
{
    if ((rc != PL_EINVAL && rc != PL_ENOENT && rc != PL_EUNSUPPORTED) || r->connects == 0)
        return false;
    if (r->wire && !(r->answered & bit_of(args))) /* it was never let do this */
        return false;
    if (r->wire)
        hang_up(r); /* another connection is another user, once that is mended */
    return r->answered != 0;
}

/* Once, then when there is another reason, and once a minute. */
static void say_waiting(struct pl_redis *r, bool at_once, const char *reason)
{
    const uint64_t now = now_ms(), hash = hash_of(reason);

    if (at_once)
        return;
    if (!r->down)
        tell(r, "waiting", "reason", reason);
    else if (now - r->said_ms >= SAY_MS || hash != r->said)
        tell(r, "waits", "reason", reason);
    else
        return;
    r->down = true;
    r->said_ms = now;
    r->said = hash;
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
        bool at_once = false;
        int rc = redis->wire ? PL_OK : dial(redis, &met);

        if (rc == PL_OK)
            rc = pl_redis_try(redis, args, ret_reply, &met);
        if (rc == PL_OK) {
            if (redis->down) /* it refused, and does not any more */
                tell(redis, "connected", "url", redis->url.shown);
            redis->down = false;
            redis->answered |= bit_of(args);
            return PL_OK;
        }
        if (redis->met == ANSWER_FULL && redis->wire && redis->opts.full &&
            redis->opts.full(redis->opts.at))
            return pl_fail(err, PL_EFULL, "%s", met.text);
        if (!is_mended_by_others(redis, args, rc) &&
            (rc != PL_EIO || !may_help(redis, &at_once, &rc, &met)))
            return pl_fail(err, rc, "%s", met.text);
        say_waiting(redis, at_once, met.text);
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

int pl_redis_ask_all(struct pl_redis *redis, const char *bytes, size_t len, size_t count,
                     redisReply **replies, struct pl_error *err)
{
    struct pl_error met = {0};
    int rc = redis->wire ? PL_OK : dial(redis, err);

    if (rc < 0)
        return rc;
    rc = pl_redis_wire_ask_all(redis->wire, bytes, len, count, replies, &met);
    if (rc < 0) {
        hang_up(redis);
        pl_fail(err, rc, "the connection to Redis at '%s' was lost: %s", redis->url.shown,
                met.text);
    }
    return rc;
}
