#include "common/link/guard.h"

#include "common/base/check.h"
#include "common/link/queues_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCHES_MAX = 64 };

static void key_of(const struct pl_queues *s, const char *name, const char *batch, char key[160])
{
    snprintf(key, 160, "%s%s%s", s->prefix, name, batch);
}

void pl_asked_release(struct pl_asked *asked)
{
    free(asked->pb);
    *asked = (struct pl_asked){0};
}

int pl_guard_asked(struct pl_queues *stream, const struct pl_lease *lease,
                   struct pl_asked *ret_asked, struct pl_error *err)
{
    char key[160], actor[32], asked[32];
    struct pl_queues_place place;
    struct pl_redis_args args;
    struct pl_asked found = {0};
    redisReply *reply;
    int rc = pl_queues_place(lease->group, &place, err);

    if (rc < 0)
        return rc;
    key_of(stream, "scored:", place.batch, key);
    snprintf(actor, sizeof actor, "%s:actor", place.index);
    snprintf(asked, sizeof asked, "%s:asked", place.index);
    pl_redis_begin(&args, "HMGET");
    pl_redis_word(&args, key);
    pl_redis_word(&args, actor);
    pl_redis_word(&args, asked);
    rc = pl_redis_call(stream->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        freeReplyObject(reply);
        return pl_queues_odd(err, &args);
    }
    if (reply->element[0]->str)
        snprintf(found.actor, sizeof found.actor, "%s", reply->element[0]->str);
    if (reply->element[1]->str) {
        found.pb_len = (size_t)reply->element[1]->len;
        found.pb = malloc(found.pb_len + 1);
        if (found.pb)
            memcpy(found.pb, reply->element[1]->str, found.pb_len);
        else
            rc = pl_fail(err, PL_ENOMEM, "no memory for the prompt of group %s", lease->group);
    }
    freeReplyObject(reply);
    if (rc == PL_OK)
        *ret_asked = found;
    return rc;
}

static int refuse(struct pl_queues *s, const struct pl_queues_place *place, const char *entry,
                  const char *sha1, const char *reason, uint32_t strikes, const void *pb,
                  size_t pb_len, struct pl_error *err)
{
    enum pl_outcome outcome = PL_OUTCOME_DONE;
    struct pl_redis_args args;

    pl_queues_begin(s, &args, "plait1_refuse");
    pl_redis_word(&args, place->batch);
    pl_redis_word(&args, place->index);
    pl_redis_word(&args, entry);
    pl_redis_word(&args, sha1);
    pl_redis_word(&args, reason);
    pl_redis_word(&args, s->worker);
    if (strikes == PL_GUARD_BLAMELESS)
        pl_redis_word(&args, "-1");
    else
        pl_redis_count(&args, strikes);
    pl_redis_bytes(&args, pb, pb_len);
    return pl_queues_outcome(s, &args, &outcome, err);
}

int pl_guard_refuse(struct pl_queues *stream, const struct pl_lease *lease, const char *reason,
                    uint32_t strikes, struct pl_error *err)
{
    struct pl_queues_place place;
    int rc = pl_queues_place(lease->group, &place, err);

    return rc < 0 ? rc
                  : refuse(stream, &place, lease->entry, "", reason, strikes, lease->pb,
                           lease->pb_len, err);
}

int pl_guard_refuse_scored(struct pl_queues *stream, const char *batch,
                           const struct pl_ready_group *group, const char *reason, uint32_t strikes,
                           struct pl_error *err)
{
    struct pl_queues_place place;
    char sha1[PL_QUEUES_SHA1];
    int rc = pl_queues_sha1(group->pb, group->pb_len, sha1, err);

    if (rc < 0)
        return rc;
    snprintf(place.batch, sizeof place.batch, "%s", batch);
    snprintf(place.index, sizeof place.index, "%lu", (unsigned long)group->index);
    return refuse(stream, &place, "", sha1, reason, strikes, group->pb, group->pb_len, err);
}

int pl_guard_quarantine(struct pl_queues *stream, const char *actor, const char *reason,
                        const char *const *batches, size_t count, size_t *ret_leases,
                        size_t *ret_groups, struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    int rc;

    PL_ASSERT(count <= BATCHES_MAX);
    pl_queues_begin(stream, &args, "plait1_quarantine");
    pl_redis_word(&args, actor);
    pl_redis_word(&args, reason);
    for (size_t i = 0; i < count; i++)
        pl_redis_word(&args, batches[i]);
    rc = pl_redis_call(stream->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        rc = pl_queues_odd(err, &args);
    } else {
        *ret_leases = (size_t)reply->element[0]->integer;
        *ret_groups = (size_t)reply->element[1]->integer;
    }
    freeReplyObject(reply);
    return rc;
}

int pl_guard_why(struct pl_queues *stream, char *ret_reason, size_t size, struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    char key[160];
    int rc;

    key_of(stream, "quarantine", "", key);
    pl_redis_begin(&args, "HGET");
    pl_redis_word(&args, key);
    pl_redis_word(&args, stream->worker);
    rc = pl_redis_call(stream->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    snprintf(ret_reason, size, "%s", reply->str ? reply->str : "");
    if (reply->str && !reply->str[0])
        snprintf(ret_reason, size, "no reason was given");
    freeReplyObject(reply);
    return PL_OK;
}

int pl_guard_each(struct pl_queues *stream,
                  int (*each)(void *at, const char *actor, const char *reason,
                              struct pl_error *err),
                  void *at, struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    char key[160];
    int rc;

    key_of(stream, "quarantine", "", key);
    pl_redis_begin(&args, "HGETALL");
    pl_redis_word(&args, key);
    rc = pl_redis_call(stream->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    if (reply->type != REDIS_REPLY_ARRAY)
        rc = pl_queues_odd(err, &args);
    for (size_t i = 0; rc == PL_OK && i + 1 < reply->elements; i += 2)
        if (reply->element[i]->str && reply->element[i + 1]->str)
            rc = each(at, reply->element[i]->str, reply->element[i + 1]->str, err);
    freeReplyObject(reply);
    return rc;
}

int pl_guard_lift(struct pl_queues *stream, const char *actor, bool *ret_was, struct pl_error *err)
{
    static const char *const names[] = {"strikes", "quarantine"};
    struct pl_redis_args args;
    redisReply *reply;
    int rc = PL_OK;

    for (int i = 0; rc == PL_OK && i < 2; i++) {
        char key[160];

        key_of(stream, names[i], "", key);
        pl_redis_begin(&args, "HDEL");
        pl_redis_word(&args, key);
        pl_redis_word(&args, actor);
        rc = pl_redis_call(stream->redis, &args, &reply, err);
        if (rc < 0)
            break;
        *ret_was = reply->integer > 0;
        freeReplyObject(reply);
    }
    return rc;
}
