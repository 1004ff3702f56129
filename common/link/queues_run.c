/*
 * The run as a whole, for its learner: whose it is, what is parked, what goes when the learner goes
 * back, and whose leases are given back when a worker is gone.
 */
#include "common/link/queues_impl.h"

#include "common/base/check.h"
#include "common/base/logfmt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCAN_COUNT = 1000,
    RECALL_MAX = 64,
    ROUNDS_MAX = 1000, /* each looks at the oldest entries of a queue */
};

/* ---- what is noted of the run ---- */

int pl_queues_recall(struct pl_queues *stream, const char *key, const char *const *names,
                     size_t count, char **ret_values, struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    char name[160];
    int rc;

    PL_ASSERT(count > 0 && count <= RECALL_MAX);
    for (size_t i = 0; i < count; i++)
        ret_values[i] = NULL;
    snprintf(name, sizeof name, "%s%s", stream->prefix, key);
    pl_redis_begin(&args, "HMGET");
    pl_redis_word(&args, name);
    for (size_t i = 0; i < count; i++)
        pl_redis_word(&args, names[i]);
    rc = pl_redis_call(stream->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != count)
        rc = pl_queues_odd(err, &args);
    for (size_t i = 0; rc == PL_OK && i < count; i++) {
        if (!reply->element[i]->str)
            continue;
        ret_values[i] = strdup(reply->element[i]->str);
        if (!ret_values[i])
            rc = pl_fail(err, PL_ENOMEM, "no memory for what Redis knows of the run");
    }
    for (size_t i = 0; rc < 0 && i < count; i++) {
        free(ret_values[i]);
        ret_values[i] = NULL;
    }
    freeReplyObject(reply);
    return rc;
}

/* ---- whose it is ---- */

int pl_queues_claim_run(struct pl_queues *stream, const char *token, uint64_t ms, bool *ret_ours,
                        char *holder, size_t size, struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    int rc;

    pl_queues_begin(stream, &args, "plait1_claim_run");
    pl_redis_word(&args, token);
    pl_redis_count(&args, ms);
    rc = pl_redis_call(stream->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    if (reply->str) {
        *ret_ours = strcmp(reply->str, token) == 0;
        snprintf(holder, size, "%s", reply->str);
    } else {
        rc = pl_queues_odd(err, &args);
    }
    freeReplyObject(reply);
    return rc;
}

int pl_queues_leave_run(struct pl_queues *stream, const char *token, struct pl_error *err)
{
    enum pl_outcome outcome;
    struct pl_redis_args args;

    pl_queues_begin(stream, &args, "plait1_leave_run");
    pl_redis_word(&args, token);
    return pl_queues_outcome(stream, &args, &outcome, err);
}

/* ---- batches that Redis has something of ---- */

/* Names of them, each once. */
struct batches {
    char (*list)[32];
    size_t count, room;
};

static int batches_add(struct batches *b, const char *name, struct pl_error *err)
{
    if (strlen(name) >= sizeof b->list[0] || name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
                                                               "0123456789")])
        return PL_OK; /* nobody made this one */
    for (size_t i = 0; i < b->count; i++)
        if (strcmp(b->list[i], name) == 0)
            return PL_OK;
    if (b->count == b->room) {
        const size_t room = 2 * b->room + 16;
        void *list = realloc(b->list, room * sizeof b->list[0]);

        if (!list)
            return pl_fail(err, PL_ENOMEM, "no memory for the names of batches");
        b->list = list;
        b->room = room;
    }
    snprintf(b->list[b->count++], sizeof b->list[0], "%s", name);
    return PL_OK;
}

static int batches_of_key(struct batches *b, const char *key, struct pl_error *err)
{
    static const char *const kinds[] = {"batch:", "groups:", "scored:", "begun:", "dropped:"};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strncmp(key, kinds[i], strlen(kinds[i])) == 0)
            return batches_add(b, key + strlen(kinds[i]), err);
    return PL_OK;
}

/* By SCAN: a batch may have lost any of its keys, and there is no list of them to lose. */
static int batches_find(struct pl_queues *s, struct batches *ret_batches, struct pl_error *err)
{
    char cursor[32] = "0", pattern[160];
    int rc;

    snprintf(pattern, sizeof pattern, "%s*:*", s->prefix);
    do {
        struct pl_redis_args args;
        redisReply *reply;

        pl_redis_begin(&args, "SCAN");
        pl_redis_word(&args, cursor);
        pl_redis_word(&args, "MATCH");
        pl_redis_word(&args, pattern);
        pl_redis_word(&args, "COUNT");
        pl_redis_count(&args, SCAN_COUNT);
        rc = pl_redis_call(s->redis, &args, &reply, err);
        if (rc < 0)
            return rc;
        if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reply->element[0]->str ||
            reply->element[1]->type != REDIS_REPLY_ARRAY) {
            freeReplyObject(reply);
            return pl_queues_odd(err, &args);
        }
        snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
        for (size_t i = 0; rc == PL_OK && i < reply->element[1]->elements; i++) {
            const char *key = reply->element[1]->element[i]->str;

            if (key && strncmp(key, s->prefix, strlen(s->prefix)) == 0)
                rc = batches_of_key(ret_batches, key + strlen(s->prefix), err);
        }
        freeReplyObject(reply);
    } while (rc == PL_OK && strcmp(cursor, "0") != 0);
    return rc;
}

/* A call about some of the batches; what it answers is added up in two counts. */
enum { BATCHES_AT_ONCE = 200 };

static int rewind_some(struct pl_queues *s, uint64_t step, bool purge, const struct batches *b,
                       size_t from, struct pl_rewound *sum, struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    int rc;

    pl_queues_begin(s, &args, "plait1_rewind");
    pl_redis_count(&args, step);
    pl_redis_word(&args, purge ? "1" : "0");
    for (size_t i = from; i < b->count && i < from + BATCHES_AT_ONCE; i++)
        pl_redis_word(&args, b->list[i]);
    rc = pl_redis_call(s->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        sum->batches += (size_t)reply->element[0]->integer;
        sum->groups += (size_t)reply->element[1]->integer;
    } else {
        rc = pl_queues_odd(err, &args);
    }
    freeReplyObject(reply);
    return rc;
}

int pl_queues_rewind(struct pl_queues *stream, uint64_t step, bool purge,
                     struct pl_rewound *ret_rewound, struct pl_error *err)
{
    struct pl_rewound sum = {0};
    struct batches batches = {0};
    size_t from = 0;
    int rc = purge ? batches_find(stream, &batches, err) : PL_OK;

    while (rc == PL_OK && (from == 0 || from < batches.count)) {
        rc = rewind_some(stream, step, purge, &batches, from, &sum, err);
        from += BATCHES_AT_ONCE;
    }
    free(batches.list);
    if (rc == PL_OK)
        *ret_rewound = sum;
    return rc;
}

static int reconcile_some(struct pl_queues *s, const struct batches *b, size_t from,
                          uint64_t *scored, struct pl_reconciled *sum, struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    int rc;

    pl_queues_begin(s, &args, "plait1_reconcile");
    pl_redis_count(&args, *scored);
    pl_redis_word(&args, from + BATCHES_AT_ONCE >= b->count ? "1" : "0");
    for (size_t i = from; i < b->count && i < from + BATCHES_AT_ONCE; i++)
        pl_redis_word(&args, b->list[i]);
    rc = pl_redis_call(s->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3) {
        sum->lists += (size_t)reply->element[0]->integer;
        *scored = (uint64_t)reply->element[1]->integer;
        sum->lost = reply->element[2]->integer;
    } else {
        rc = pl_queues_odd(err, &args);
    }
    freeReplyObject(reply);
    return rc;
}

static int reconcile_all(struct pl_queues *s, const struct batches *b, struct pl_reconciled *sum,
                         struct pl_error *err)
{
    uint64_t scored = 0;
    size_t from = 0;
    int rc = PL_OK;

    while (rc == PL_OK && (from == 0 || from < b->count)) {
        rc = reconcile_some(s, b, from, &scored, sum, err);
        from += BATCHES_AT_ONCE;
    }
    return rc;
}

int pl_queues_reconcile(struct pl_queues *stream, struct pl_reconciled *ret_reconciled,
                        struct pl_error *err)
{
    struct pl_reconciled sum = {0};
    struct batches batches = {0};
    int rc = batches_find(stream, &batches, err);

    if (rc == PL_OK)
        rc = reconcile_all(stream, &batches, &sum, err);
    free(batches.list);
    if (rc == PL_OK)
        *ret_reconciled = sum;
    return rc;
}

/* ---- batches whose time is over ---- */

enum fate { KEPT, TRAINED, NOBODYS };

static bool is_listed(const uint64_t *list, size_t count, uint64_t number)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == number)
            return true;
    return false;
}

/* Batches and evaluations that are still to come are kept: a Redis that was ahead has some. */
static enum fate fate_of(const struct pl_queues_wanted *w, const char *name)
{
    const bool eval = name[0] == 'e';
    const char *digits = name + (eval ? 1 : 0);
    const size_t len = strlen(digits);
    uint64_t number;

    if (len == 0 || len > 18 || digits[strspn(digits, "0123456789")] ||
        (digits[0] == '0' && len > 1))
        return NOBODYS;
    number = strtoull(digits, NULL, 10);
    if (eval && (is_listed(w->evals, w->eval_count, number) ||
                 is_listed(w->reported, w->reported_count, number)))
        return KEPT;
    if (eval ? number <= w->step : number < w->saved)
        return TRAINED;
    return eval ? (number <= w->steps ? KEPT : NOBODYS) : (number < w->steps ? KEPT : NOBODYS);
}

static int forsake(struct pl_queues *s, const char *batch, struct pl_error *err)
{
    enum pl_outcome outcome;
    struct pl_redis_args args;

    pl_queues_begin(s, &args, "plait1_forsake");
    pl_redis_word(&args, batch);
    return pl_queues_outcome(s, &args, &outcome, err);
}

/* What is kept stays in the list. */
static int part_with(struct pl_queues *s, const struct pl_queues_wanted *w, struct batches *b,
                     size_t *ret_gone, struct pl_error *err)
{
    size_t kept = 0;
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < b->count; i++) {
        const enum fate fate = fate_of(w, b->list[i]);

        if (fate == TRAINED)
            rc = pl_queues_retire(s, b->list[i], err);
        else if (fate == NOBODYS)
            rc = forsake(s, b->list[i], err);
        else
            memmove(b->list[kept++], b->list[i], sizeof b->list[0]);
    }
    *ret_gone = b->count - kept;
    b->count = kept;
    return rc;
}

int pl_queues_tidy(struct pl_queues *stream, const struct pl_queues_wanted *wanted,
                   size_t *ret_batches, struct pl_reconciled *ret_reconciled, struct pl_error *err)
{
    struct pl_reconciled sum = {0}, now = {0};
    struct batches batches = {0};
    size_t gone = 0;
    int rc = batches_find(stream, &batches, err);

    if (rc == PL_OK)
        rc = part_with(stream, wanted, &batches, &gone, err);
    for (int i = 0; rc == PL_OK && i < ROUNDS_MAX && (i == 0 || now.lists > 0); i++) {
        now = (struct pl_reconciled){0};
        rc = reconcile_all(stream, &batches, &now, err);
        sum.lost += now.lost;
        sum.lists += now.lists;
    }
    free(batches.list);
    if (rc < 0)
        return rc;
    *ret_batches = gone;
    *ret_reconciled = sum;
    return PL_OK;
}

/* ---- what is parked ---- */

int pl_queues_parked(struct pl_queues *stream, struct pl_parked *list, size_t max,
                     size_t *ret_count, struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    int rc;

    pl_queues_begin(stream, &args, "plait1_parked");
    pl_redis_count(&args, max);
    rc = pl_redis_call(stream->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    *ret_count = 0;
    if (reply->type != REDIS_REPLY_ARRAY)
        rc = pl_queues_odd(err, &args);
    for (size_t i = 0; rc == PL_OK && i + 1 < reply->elements; i += 2) {
        const char *group = reply->element[i]->str, *entry = reply->element[i + 1]->str;

        if (!group || !entry)
            continue;
        if (*ret_count < max) {
            snprintf(list[*ret_count].group, sizeof list->group, "%s", group);
            snprintf(list[*ret_count].entry, sizeof list->entry, "%s", entry);
        }
        ++*ret_count;
    }
    freeReplyObject(reply);
    return rc;
}

int pl_queues_unpark(struct pl_queues *stream, const struct pl_parked *parked, bool *ret_done,
                     struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    int rc;

    pl_queues_begin(stream, &args, "plait1_unpark");
    pl_redis_word(&args, parked->entry);
    rc = pl_redis_call(stream->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    if (reply->str)
        *ret_done = strcmp(reply->str, "DONE") == 0;
    else
        rc = pl_queues_odd(err, &args);
    freeReplyObject(reply);
    return rc;
}

/* ---- workers that are gone ---- */

int pl_queues_release(struct pl_queues *stream, const char *consumer, size_t *ret_count,
                      struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    int rc;

    pl_queues_begin(stream, &args, "plait1_release");
    pl_redis_word(&args, consumer);
    rc = pl_redis_call(stream->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    *ret_count = (size_t)reply->integer;
    freeReplyObject(reply);
    return PL_OK;
}

static struct pl_queues_pulse *pulse_of(struct pl_queues *s, enum pl_queue queue,
                                        const char *consumer)
{
    struct pl_queues_pulse *list = s->pulses[queue];
    const size_t n = s->pulse_count[queue];

    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].consumer, consumer) == 0)
            return &list[i];
    list = realloc(list, (n + 1) * sizeof *list);
    if (!list)
        return NULL;
    s->pulses[queue] = list;
    s->pulse_count[queue]++;
    list[n] = (struct pl_queues_pulse){.since_ms = pl_queues_now_ms()};
    snprintf(list[n].consumer, sizeof list[n].consumer, "%s", consumer);
    return &list[n];
}

/* The beat of worker:<name>; "": it has none. */
static int read_beat(struct pl_queues *s, const char *name, char ret_beat[24], struct pl_error *err)
{
    static const char *const names[] = {"beat"};
    char key[128], *beat = NULL;
    int rc;

    snprintf(key, sizeof key, "worker:%s", name);
    rc = pl_queues_recall(s, key, names, 1, &beat, err);
    snprintf(ret_beat, 24, "%s", beat ? beat : "");
    free(beat);
    return rc;
}

/* A consumer is a worker, or one of its threads: "rewarder-1.2" is of rewarder-1. */
static int take_pulse(struct pl_queues *s, struct pl_queues_pulse *p, struct pl_error *err)
{
    char beat[24], worker[80];
    int rc = read_beat(s, p->consumer, beat, err);

    memcpy(worker, p->consumer, sizeof worker);
    if (rc == PL_OK && !beat[0] && strrchr(worker, '.')) {
        *strrchr(worker, '.') = '\0';
        rc = read_beat(s, worker, beat, err);
    }
    if (rc == PL_OK && strcmp(beat, p->beat) != 0) {
        memcpy(p->beat, beat, sizeof beat);
        p->since_ms = pl_queues_now_ms();
    }
    p->seen = true;
    return rc;
}

/* XINFO CONSUMERS: [name, ..., ...] of each. */
static int take_pulses(struct pl_queues *s, enum pl_queue queue, struct pl_error *err)
{
    struct pl_redis_args args;
    struct pl_error met = {0};
    redisReply *reply;
    char key[160];
    int rc;

    snprintf(key, sizeof key, "%s%s", s->prefix, pl_queue_names[queue]);
    pl_redis_begin(&args, "XINFO");
    pl_redis_word(&args, "CONSUMERS");
    pl_redis_word(&args, key);
    pl_redis_word(&args, pl_queue_readers[queue]);
    rc = pl_redis_call(s->redis, &args, &reply, &met);
    if (rc < 0) /* the queue is gone, and nobody holds anything of it */
        return strstr(met.text, "no such key") ? PL_OK : pl_fail(err, rc, "%s", met.text);
    for (size_t i = 0; rc == PL_OK && i < reply->elements; i++) {
        const redisReply *fields = reply->element[i];
        struct pl_queues_pulse *p;

        if (fields->type != REDIS_REPLY_ARRAY || fields->elements < 2 || !fields->element[1]->str)
            continue;
        p = pulse_of(s, queue, fields->element[1]->str);
        rc = p ? take_pulse(s, p, err)
               : pl_fail(err, PL_ENOMEM, "no memory for the workers of a queue");
    }
    freeReplyObject(reply);
    return rc;
}

static void tell_released(const struct pl_queues *s, const char *consumer, size_t count,
                          uint64_t silent_ms)
{
    char line[256];

    if (!s->opts.event)
        return;
    pl_logfmt_print(line, sizeof line,
                    "released worker=%s groups=%zu silent_s=%llu reason=\"its heartbeat stands "
                    "still\"",
                    consumer, count, (unsigned long long)silent_ms / 1000);
    s->opts.event(s->opts.at, line);
}

int pl_queues_release_silent(struct pl_queues *stream, uint64_t silent_ms, size_t *ret_count,
                             struct pl_error *err)
{
    int rc = PL_OK;

    *ret_count = 0;
    for (enum pl_queue q = PL_QUEUE_PROMPTS; rc == PL_OK && q <= PL_QUEUE_ROLLOUTS; q++) {
        size_t kept = 0;

        for (size_t i = 0; i < stream->pulse_count[q]; i++)
            stream->pulses[q][i].seen = false;
        rc = take_pulses(stream, q, err);
        for (size_t i = 0; rc == PL_OK && i < stream->pulse_count[q]; i++) {
            const struct pl_queues_pulse p = stream->pulses[q][i];
            size_t count = 0;

            if (p.seen && pl_queues_now_ms() - p.since_ms < silent_ms)
                stream->pulses[q][kept++] = p;
            else if (p.seen)
                rc = pl_queues_release(stream, p.consumer, &count, err);
            if (count > 0)
                tell_released(stream, p.consumer, count, silent_ms);
            *ret_count += count;
        }
        if (rc == PL_OK)
            stream->pulse_count[q] = kept;
    }
    return rc;
}
