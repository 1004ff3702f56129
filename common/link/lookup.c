#include "common/link/lookup.h"

#include "common/link/queues_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t count(const redisReply *hash, const char *name)
{
    return strtoull(pl_reply_field(hash, name), NULL, 10);
}

static double real(const redisReply *hash, const char *name)
{
    const char *text = pl_reply_field(hash, name);

    return text[0] ? strtod(text, NULL) : NAN;
}

/* HGET key field; "" where there is none. */
static int ask_text(struct pl_reader *r, const char *key, const char *field, char *ret_text,
                    size_t size, struct pl_error *err)
{
    const char *const words[] = {field, NULL};
    redisReply *reply;
    int rc = pl_reader_ask(r, &reply, err, "HGET", key, words);

    if (rc < 0)
        return rc;
    pl_reply_text(ret_text, size, reply->str ? reply->str : "");
    freeReplyObject(reply);
    return PL_OK;
}

/* "rollout 1795565778000-0" in two. */
static int read_state(struct pl_reader *r, const struct pl_queues_place *at, struct pl_lookup *l,
                      struct pl_error *err)
{
    char key[64], text[80];
    int rc;

    snprintf(key, sizeof key, "groups:%s", at->batch);
    rc = ask_text(r, key, at->index, text, sizeof text, err);
    if (rc == PL_OK)
        (void)sscanf(text, "%15s %47s", l->state, l->entry);
    return rc;
}

static int read_time(struct pl_reader *r, double *ret_ms, struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    int rc;

    pl_redis_begin(&args, "TIME");
    rc = pl_redis_call(r->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    if (pl_reply_is_array(reply, 2) && reply->element[0]->str && reply->element[1]->str)
        *ret_ms = 1e3 * strtod(reply->element[0]->str, NULL) +
                  1e-3 * strtod(reply->element[1]->str, NULL);
    freeReplyObject(reply);
    return PL_OK;
}

/* Who has its entry. */
static int read_lease(struct pl_reader *r, const char *queue, const char *readers,
                      struct pl_lookup *l, struct pl_error *err)
{
    const char *const words[] = {readers, l->entry, l->entry, "1", NULL};
    struct pl_error met = {0};
    redisReply *reply;
    double now_ms = 0.0;
    int rc = read_time(r, &now_ms, err);

    if (rc < 0)
        return rc;
    l->queued_s = (now_ms - strtod(l->entry, NULL)) / 1e3;
    rc = pl_reader_ask(r, &reply, &met, "XPENDING", queue, words);
    if (rc < 0)
        return strstr(met.text, "NOGROUP") ? PL_OK : pl_fail(err, rc, "%s", met.text);
    if (pl_reply_is_array(reply, 1) && pl_reply_is_array(reply->element[0], 4) &&
        reply->element[0]->element[1]->str) {
        const redisReply *p = reply->element[0];

        l->leased = true;
        pl_reply_text(l->owner, sizeof l->owner, p->element[1]->str);
        l->silent_s = (double)p->element[2]->integer / 1e3;
        l->deliveries = (uint64_t)p->element[3]->integer;
    }
    freeReplyObject(reply);
    return PL_OK;
}

static int read_batch(struct pl_reader *r, const char *name, struct pl_lookup_batch *b,
                      struct pl_error *err)
{
    const char *const words[] = {name, NULL};
    redisReply *reply;
    char key[64];
    int rc;

    snprintf(key, sizeof key, "batch:%s", name);
    rc = pl_reader_ask(r, &reply, err, "HGETALL", key, NULL);
    if (rc < 0)
        return rc;
    pl_reply_text(b->state, sizeof b->state, pl_reply_field(reply, "state"));
    b->expected = count(reply, "expected");
    b->fed = count(reply, "fed");
    b->arrived = count(reply, "arrived");
    b->dropped = count(reply, "dropped");
    b->accuracy = real(reply, "accuracy");
    b->previous = real(reply, "previous");
    b->gate = pl_reply_field(reply, "gate")[0] ? pl_reply_field(reply, "gate")[0] == '1' : -1;
    freeReplyObject(reply);
    rc = pl_reader_ask(r, &reply, err, "SISMEMBER", "retired", words);
    if (rc < 0)
        return rc;
    b->retired = reply->integer == 1;
    freeReplyObject(reply);
    return PL_OK;
}

static int read_scored(struct pl_reader *r, const struct pl_queues_place *at, struct pl_lookup *l,
                       struct pl_error *err)
{
    char key[64], field[32];
    int rc;

    snprintf(key, sizeof key, "scored:%s", at->batch);
    snprintf(field, sizeof field, "%s:actor", at->index);
    rc = ask_text(r, key, field, l->actor, sizeof l->actor, err);
    if (rc < 0)
        return rc;
    snprintf(field, sizeof field, "%s:text", at->index);
    return ask_text(r, key, field, l->text, sizeof l->text, err);
}

static int read_run(struct pl_reader *r, struct pl_lookup *l, struct pl_error *err)
{
    redisReply *reply;
    int rc = pl_reader_ask(r, &reply, err, "HGETALL", "run", NULL);

    if (rc < 0)
        return rc;
    pl_reply_text(l->run_state, sizeof l->run_state, pl_reply_field(reply, "state"));
    l->step = count(reply, "step");
    freeReplyObject(reply);
    return PL_OK;
}

int pl_lookup_group(struct pl_reader *reader, const char *group, struct pl_lookup *ret_lookup,
                    struct pl_error *err)
{
    struct pl_queues_place at;
    struct pl_lookup l = {0};
    int rc = pl_queues_place(group, &at, err);

    if (rc == PL_OK)
        rc = read_run(reader, &l, err);
    if (rc == PL_OK)
        rc = read_state(reader, &at, &l, err);
    if (rc == PL_OK && strcmp(l.state, "prompt") == 0)
        rc = read_lease(reader, "prompts", "actors", &l, err);
    if (rc == PL_OK && strcmp(l.state, "rollout") == 0)
        rc = read_lease(reader, "rollouts", "rewarders", &l, err);
    if (rc == PL_OK)
        rc = read_scored(reader, &at, &l, err);
    if (rc == PL_OK)
        rc = read_batch(reader, at.batch, &l.batch, err);
    if (rc == PL_OK)
        *ret_lookup = l;
    return rc;
}
