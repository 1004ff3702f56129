#include "common/link/dead.h"

#include "common/base/buf.h"
#include "common/link/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MS = 10000, AT_ONCE = 32 };

struct pl_dead {
    char *prefix;
    struct pl_redis *redis;
};

int pl_dead_open(const char *url, const struct pl_redis_access *access, const char *role,
                 const char *run, struct pl_dead **ret_dead, struct pl_error *err)
{
    const struct pl_redis_opts opts = {.url = url,
                                       .access = access ? *access : (struct pl_redis_access){0},
                                       .role = role,
                                       .client = "plait-dead",
                                       .patience_ms = 1,
                                       .answer_ms = ANSWER_MS};
    struct pl_dead *d = calloc(1, sizeof *d);
    int rc = PL_ENOMEM;

    if (d)
        d->prefix = pl_strf("plait:{%s}:", run);
    if (!d || !d->prefix)
        pl_fail(err, rc, "no memory to look at Redis");
    else
        rc = pl_redis_create(&opts, &d->redis, err);
    if (rc < 0) {
        pl_dead_close(d);
        return rc;
    }
    *ret_dead = d;
    return PL_OK;
}

void pl_dead_close(struct pl_dead *dead)
{
    if (!dead)
        return;
    pl_redis_destroy(dead->redis);
    free(dead->prefix);
    free(dead);
}

/* ---- reading ---- */

static void keep_field(struct pl_dead_entry *e, const char *name, const redisReply *value)
{
    if (strcmp(name, "id") == 0)
        e->group = value->str;
    else if (strcmp(name, "reason") == 0)
        e->reason = value->str;
    else if (strcmp(name, "where") == 0)
        e->where = value->str;
    else if (strcmp(name, "worker") == 0)
        e->worker = value->str;
    else if (strcmp(name, "deliveries") == 0)
        e->deliveries = strtoull(value->str, NULL, 10);
    else if (strcmp(name, "late") == 0)
        e->late = true;
    else if (strcmp(name, "parked") == 0)
        e->parked = true;
    else if (strcmp(name, "pb") == 0) {
        e->pb = value->str;
        e->pb_len = value->len;
    } else if (e->field_count < PL_DEAD_FIELDS_MAX)
        e->fields[e->field_count++] = (struct pl_field){name, value->str};
}

/* [id, [name, value, ...]]; false: it is not of that form. */
static bool read_entry(const redisReply *reply, struct pl_dead_entry *ret_entry)
{
    struct pl_dead_entry e = {.group = "", .reason = "", .worker = "", .where = ""};
    const redisReply *list;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2 || !reply->element[0]->str ||
        reply->element[1]->type != REDIS_REPLY_ARRAY)
        return false;
    snprintf(e.entry, sizeof e.entry, "%s", reply->element[0]->str);
    e.at_s = strtod(e.entry, NULL) / 1e3;
    list = reply->element[1];
    for (size_t i = 0; i + 1 < list->elements; i += 2)
        if (list->element[i]->str && list->element[i + 1]->str)
            keep_field(&e, list->element[i]->str, list->element[i + 1]);
    *ret_entry = e;
    return true;
}

/* Entries behind `from`, AT_ONCE at most. */
static int ask(struct pl_dead *d, const char *from, redisReply **ret_reply, struct pl_error *err)
{
    struct pl_redis_args args;
    char key[256], begin[64];
    int rc;

    snprintf(key, sizeof key, "%sdead", d->prefix);
    snprintf(begin, sizeof begin, "%s%s", from[0] ? "(" : "-", from);
    pl_redis_begin(&args, "XRANGE");
    pl_redis_word(&args, key);
    pl_redis_word(&args, begin);
    pl_redis_word(&args, "+");
    pl_redis_word(&args, "COUNT");
    pl_redis_count(&args, AT_ONCE);
    rc = pl_redis_call(d->redis, &args, ret_reply, err);
    if (rc == PL_OK && (*ret_reply)->type != REDIS_REPLY_ARRAY) {
        freeReplyObject(*ret_reply);
        rc = pl_fail(err, PL_EIO, "Redis gave 'XRANGE' an answer of an unexpected form");
    }
    return rc;
}

int pl_dead_each(struct pl_dead *dead, size_t most,
                 int (*each)(void *at, const struct pl_dead_entry *entry), void *at,
                 struct pl_error *err)
{
    char from[48] = "";
    size_t n = 0, found = AT_ONCE;
    int rc = PL_OK;

    while (rc == PL_OK && found == AT_ONCE && (most == 0 || n < most)) {
        redisReply *reply;

        rc = ask(dead, from, &reply, err);
        if (rc < 0)
            break;
        found = reply->elements;
        for (size_t i = 0; rc == PL_OK && i < found && (most == 0 || n < most); i++) {
            struct pl_dead_entry entry;

            if (!read_entry(reply->element[i], &entry)) {
                rc = pl_fail(err, PL_EIO, "Redis gave 'XRANGE' an answer of an unexpected form");
                break;
            }
            n++;
            memcpy(from, entry.entry, sizeof from);
            rc = each(at, &entry);
        }
        freeReplyObject(reply);
    }
    return rc;
}

/* ---- changing ---- */

static const struct {
    const char *name, *text;
} outcomes[] = {
    [PL_DEAD_DONE] = {"DONE", ""},
    [PL_DEAD_GONE] = {"GONE", "it is not among the dead any more"},
    [PL_DEAD_UNREADABLE] = {"UNREADABLE",
                            "its entry does not say which group of which queue it is"},
    [PL_DEAD_RETIRED] = {"RETIRED", "its batch is over: trained, saved and retired, or unknown"},
    [PL_DEAD_REPLACED] = {"REPLACED", "its group was made another time meanwhile"},
    [PL_DEAD_TAKEN] = {"TAKEN",
                       "its batch is complete without it, and the learner may train on it"},
};

const char *pl_dead_outcome_text(enum pl_dead_outcome outcome)
{
    return outcomes[outcome].text;
}

static int call(struct pl_dead *d, const char *function, const char *entry, const char *reason,
                enum pl_dead_outcome *ret_outcome, struct pl_error *err)
{
    struct pl_redis_args args;
    struct pl_error met = {0};
    redisReply *reply;
    int rc;

    pl_redis_begin(&args, "FCALL");
    pl_redis_word(&args, function);
    pl_redis_word(&args, "1");
    pl_redis_word(&args, d->prefix);
    pl_redis_word(&args, entry);
    if (reason)
        pl_redis_word(&args, reason);
    rc = pl_redis_call(d->redis, &args, &reply, &met);
    if (rc < 0 && strstr(met.text, "Function not found"))
        return pl_fail(err, rc,
                       "Redis does not have the function '%s': plait redis init loads it, and so "
                       "does a worker of this version that may, when it connects",
                       function);
    if (rc < 0)
        return pl_fail(err, rc, "%s", met.text);
    rc = pl_fail(err, PL_EIO, "Redis gave '%s' the answer '%.80s'", function,
                 reply->str ? reply->str : "(none)");
    for (size_t i = 0; reply->str && i < sizeof outcomes / sizeof *outcomes; i++)
        if (strcmp(reply->str, outcomes[i].name) == 0) {
            *ret_outcome = (enum pl_dead_outcome)i;
            rc = PL_OK;
        }
    freeReplyObject(reply);
    return rc;
}

int pl_dead_retry(struct pl_dead *dead, const char *entry, enum pl_dead_outcome *ret_outcome,
                  struct pl_error *err)
{
    return call(dead, "plait1_retry", entry, NULL, ret_outcome, err);
}

int pl_dead_drop(struct pl_dead *dead, const char *entry, const char *reason,
                 enum pl_dead_outcome *ret_outcome, struct pl_error *err)
{
    return call(dead, "plait1_drop", entry, reason, ret_outcome, err);
}
