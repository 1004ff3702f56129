#include "common/link/missing.h"

#include "common/base/check.h"
#include "common/link/queues_impl.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELD_MAX = 1000, SCAN_COUNT = 1000, SCANS_MAX = 1000 };

static const char *const queue_names[] = {"prompts", "rollouts"};
static const char *const group_names[] = {"actors", "rewarders"};

static const char *text_of(const redisReply *reply)
{
    return reply && reply->str ? reply->str : "";
}

static size_t count_of(const redisReply *reply)
{
    return (size_t)strtoull(text_of(reply), NULL, 10);
}

static const redisReply *element(const redisReply *reply, size_t i)
{
    return reply && reply->type == REDIS_REPLY_ARRAY && i < reply->elements ? reply->element[i]
                                                                            : NULL;
}

static int ask(struct pl_queues *s, const char *command, const char *key, const char *const *words,
               size_t count, redisReply **ret_reply, struct pl_error *err)
{
    struct pl_redis_args args;
    char name[256];

    pl_redis_begin(&args, command);
    if (key) {
        snprintf(name, sizeof name, "%s%s", s->prefix, key);
        pl_redis_word(&args, name);
    }
    for (size_t i = 0; i < count; i++)
        pl_redis_word(&args, words[i]);
    return pl_redis_call(s->redis, &args, ret_reply, err);
}

/* Seconds since 1970 by the clock of Redis; 0: it does not say. */
static uint64_t redis_now(struct pl_queues *s)
{
    redisReply *reply;
    uint64_t now;

    if (ask(s, "TIME", NULL, NULL, 0, &reply, NULL) < 0)
        return 0;
    now = count_of(element(reply, 0));
    freeReplyObject(reply);
    return now;
}

/* Entries begin with when they were made, in milliseconds. */
static uint64_t age_s(const char *entry, uint64_t now)
{
    const uint64_t made = strtoull(entry, NULL, 10) / 1000;

    return now > made ? now - made : 0;
}

static void look_at(struct pl_missing *m, enum pl_missing_place place,
                    const struct pl_missing_group *group)
{
    if (m->counts[place]++ == 0 || group->queued_s > m->first[place].queued_s)
        m->first[place] = *group;
}

/* Who holds an entry, from XPENDING's rows [entry, consumer, idle, deliveries]. */
static bool holder_of(const redisReply *rows, const char *entry, struct pl_missing_group *group)
{
    for (size_t i = 0; rows && rows->type == REDIS_REPLY_ARRAY && i < rows->elements; i++) {
        const redisReply *row = rows->element[i];

        if (strcmp(text_of(element(row, 0)), entry) != 0 || !element(row, 2))
            continue;
        snprintf(group->worker, sizeof group->worker, "%s", text_of(element(row, 1)));
        group->silent_s = (uint64_t)element(row, 2)->integer / 1000;
        return true;
    }
    return false;
}

/* Field `reason` of an entry of dead. */
static void fill_reason(struct pl_queues *s, const char *entry, struct pl_missing_group *group)
{
    const char *const words[] = {entry, entry};
    const redisReply *fields;
    redisReply *reply;

    if (ask(s, "XRANGE", "dead", words, 2, &reply, NULL) < 0)
        return;
    fields = element(element(reply, 0), 1);
    for (size_t i = 0; element(fields, i + 1); i += 2)
        if (strcmp(text_of(element(fields, i)), "reason") == 0)
            snprintf(group->reason, sizeof group->reason, "%s", text_of(element(fields, i + 1)));
    freeReplyObject(reply);
}

/* One group's state: "prompt <entry>", "rollout <entry>", "scored", "dead <entry>", ... */
static void place_group(struct pl_queues *s, struct pl_missing *m, const char *batch,
                        const char *index, const char *state, redisReply *const pending[2],
                        uint64_t now)
{
    struct pl_missing_group group = {0};
    char kind[16] = "", entry[48] = "";

    (void)sscanf(state, "%15s %47s", kind, entry);
    snprintf(group.group, sizeof group.group, "%s:%s", batch, index);
    group.queued_s = entry[0] ? age_s(entry, now) : 0;
    if (strcmp(kind, "prompt") == 0) {
        const bool held = holder_of(pending[0], entry, &group);

        look_at(m, held ? PL_MISSING_HELD : PL_MISSING_QUEUED, &group);
    } else if (strcmp(kind, "rollout") == 0) {
        const bool held = holder_of(pending[1], entry, &group);

        look_at(m, held ? PL_MISSING_SCORING : PL_MISSING_ROLLED, &group);
    } else if (strcmp(kind, "parked") == 0) {
        fill_reason(s, entry, &group);
        look_at(m, PL_MISSING_PARKED, &group);
    } else {
        m->scored += strcmp(kind, "scored") == 0;
    }
}

static int read_batch(struct pl_queues *s, const char *batch, struct pl_missing *m,
                      struct pl_error *err)
{
    static const char *const words[] = {"state", "expected", "dropped"};
    redisReply *reply;
    char key[64];
    int rc;

    snprintf(key, sizeof key, "batch:%s", batch);
    rc = ask(s, "HMGET", key, words, 3, &reply, err);
    if (rc < 0)
        return rc;
    snprintf(m->state, sizeof m->state, "%s", text_of(element(reply, 0)));
    m->expected = count_of(element(reply, 1));
    m->dropped = count_of(element(reply, 2));
    freeReplyObject(reply);
    return PL_OK;
}

static int read_pending(struct pl_queues *s, enum pl_queue queue, redisReply **ret_rows,
                        struct pl_error *err)
{
    char most[16];
    const char *const words[] = {group_names[queue], "-", "+", most};

    snprintf(most, sizeof most, "%d", HELD_MAX);
    return ask(s, "XPENDING", queue_names[queue], words, 4, ret_rows, err);
}

int pl_missing_look(struct pl_queues *stream, const char *batch, struct pl_missing *ret_missing,
                    struct pl_error *err)
{
    redisReply *pending[2] = {NULL, NULL}, *groups = NULL;
    struct pl_missing m = {0};
    size_t known = 0;
    uint64_t now = 0;
    char key[64];
    int rc = read_batch(stream, batch, &m, err);

    snprintf(key, sizeof key, "groups:%s", batch);
    for (enum pl_queue q = PL_QUEUE_PROMPTS; rc == PL_OK && q <= PL_QUEUE_ROLLOUTS; q++)
        rc = read_pending(stream, q, &pending[q], err);
    if (rc == PL_OK)
        rc = ask(stream, "HGETALL", key, NULL, 0, &groups, err);
    if (rc == PL_OK)
        now = redis_now(stream);
    for (size_t i = 0; rc == PL_OK && element(groups, i + 1); i += 2, known++)
        place_group(stream, &m, batch, text_of(element(groups, i)), text_of(element(groups, i + 1)),
                    pending, now);
    if (m.expected > known)
        m.counts[PL_MISSING_UNFED] = m.expected - known;
    freeReplyObject(pending[0]);
    freeReplyObject(pending[1]);
    freeReplyObject(groups);
    if (rc == PL_OK)
        *ret_missing = m;
    return rc;
}

int pl_missing_workers(struct pl_queues *stream, size_t *ret_actors, size_t *ret_rewarders,
                       struct pl_error *err)
{
    const size_t prefix = strlen(stream->prefix);
    char cursor[32] = "0", match[256], count[16];
    const char *const words[] = {cursor, "MATCH", match, "COUNT", count};
    size_t actors = 0, rewarders = 0;
    int rc = PL_OK, scans = 0;

    snprintf(match, sizeof match, "%sworker:*", stream->prefix);
    snprintf(count, sizeof count, "%d", SCAN_COUNT);
    do {
        redisReply *reply;

        rc = ask(stream, "SCAN", NULL, words, sizeof words / sizeof *words, &reply, err);
        if (rc < 0)
            return rc;
        for (size_t i = 0; rc == PL_OK && element(element(reply, 1), i); i++) {
            static const char *const role[] = {"role"};
            const char *key = text_of(element(element(reply, 1), i));
            redisReply *of;

            if (strlen(key) <= prefix)
                continue;
            rc = ask(stream, "HMGET", key + prefix, role, 1, &of, err);
            if (rc < 0)
                break;
            actors += strcmp(text_of(element(of, 0)), "actor") == 0;
            rewarders += strcmp(text_of(element(of, 0)), "rewarder") == 0;
            freeReplyObject(of);
        }
        snprintf(cursor, sizeof cursor, "%s", text_of(element(reply, 0)));
        freeReplyObject(reply);
    } while (rc == PL_OK && cursor[0] && strcmp(cursor, "0") != 0 && ++scans < SCANS_MAX);
    *ret_actors = actors;
    *ret_rewarders = rewarders;
    return rc;
}
