#include "common/link/quarantine.h"

#include "common/base/buf.h"
#include "common/link/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MS = 10000, EVENTS_KEPT = 200 /* as in functions.lua */ };

struct pl_quarantine {
    char *prefix;
    struct pl_redis *redis;
};

int pl_quarantine_open(const char *url, const struct pl_redis_access *access, const char *role,
                       const char *run, struct pl_quarantine **ret_quarantine, struct pl_error *err)
{
    const struct pl_redis_opts opts = {.url = url,
                                       .access = access ? *access : (struct pl_redis_access){0},
                                       .role = role,
                                       .client = "plait-quarantine",
                                       .patience_ms = 1,
                                       .answer_ms = ANSWER_MS};
    struct pl_quarantine *q = calloc(1, sizeof *q);
    int rc = PL_ENOMEM;

    if (q)
        q->prefix = pl_strf("plait:{%s}:", run);
    if (!q || !q->prefix)
        pl_fail(err, rc, "no memory to look at Redis");
    else
        rc = pl_redis_create(&opts, &q->redis, err);
    if (rc < 0) {
        pl_quarantine_close(q);
        return rc;
    }
    *ret_quarantine = q;
    return PL_OK;
}

void pl_quarantine_close(struct pl_quarantine *quarantine)
{
    if (!quarantine)
        return;
    pl_redis_destroy(quarantine->redis);
    free(quarantine->prefix);
    free(quarantine);
}

/* COMMAND prefix+key [field]; what was asked is for the caller to end with freeReplyObject(). */
static int ask(struct pl_quarantine *q, const char *command, const char *key, const char *field,
               redisReply **ret_reply, struct pl_error *err)
{
    struct pl_redis_args args;
    char name[256];

    snprintf(name, sizeof name, "%s%s", q->prefix, key);
    pl_redis_begin(&args, command);
    pl_redis_word(&args, name);
    if (field)
        pl_redis_word(&args, field);
    return pl_redis_call(q->redis, &args, ret_reply, err);
}

static int strikes_of(struct pl_quarantine *q, const char *actor, uint64_t *ret_strikes,
                      struct pl_error *err)
{
    redisReply *reply;
    int rc = ask(q, "HGET", "strikes", actor, &reply, err);

    if (rc < 0)
        return rc;
    *ret_strikes = reply->str ? strtoull(reply->str, NULL, 10) : 0;
    freeReplyObject(reply);
    return PL_OK;
}

int pl_quarantine_each(struct pl_quarantine *quarantine,
                       int (*each)(void *at, const struct pl_quarantined *one), void *at,
                       struct pl_error *err)
{
    redisReply *reply;
    int rc = ask(quarantine, "HGETALL", "quarantine", NULL, &reply, err);

    if (rc < 0)
        return rc;
    if (reply->type != REDIS_REPLY_ARRAY)
        rc = pl_fail(err, PL_EIO, "Redis gave 'HGETALL' an answer of an unexpected form");
    for (size_t i = 0; rc == PL_OK && i + 1 < reply->elements; i += 2) {
        struct pl_quarantined one = {reply->element[i]->str, reply->element[i + 1]->str, 0};

        if (!one.actor || !one.reason)
            continue;
        rc = strikes_of(quarantine, one.actor, &one.strikes, err);
        if (rc == PL_OK)
            rc = each(at, &one);
    }
    freeReplyObject(reply);
    return rc;
}

/* As the functions of Redis note what happens. */
static int note_lifted(struct pl_quarantine *q, const char *actor, struct pl_error *err)
{
    struct pl_redis_args args;
    char name[256];

    snprintf(name, sizeof name, "%sevents", q->prefix);
    pl_redis_begin(&args, "XADD");
    pl_redis_word(&args, name);
    pl_redis_word(&args, "MAXLEN");
    pl_redis_word(&args, "~");
    pl_redis_count(&args, EVENTS_KEPT);
    pl_redis_word(&args, "*");
    pl_redis_word(&args, "event");
    pl_redis_word(&args, "lifted");
    pl_redis_word(&args, "actor");
    pl_redis_word(&args, actor);
    return pl_redis_call(q->redis, &args, NULL, err);
}

int pl_quarantine_lift(struct pl_quarantine *quarantine, const char *actor, bool *ret_was,
                       struct pl_error *err)
{
    redisReply *reply;
    int rc = ask(quarantine, "HDEL", "strikes", actor, &reply, err); /* or it is back at once */

    if (rc < 0)
        return rc;
    freeReplyObject(reply);
    rc = ask(quarantine, "HDEL", "quarantine", actor, &reply, err);
    if (rc < 0)
        return rc;
    *ret_was = reply->integer > 0;
    freeReplyObject(reply);
    return *ret_was ? note_lifted(quarantine, actor, err) : PL_OK;
}
