#include "common/link/survey.h"

#include "common/link/reader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCAN_COUNT = 1000,
    SCANS_MAX = 1000, /* of a Redis that holds much else */
    PENDING_MAX = 4096,
    PACE_ENTRIES = 24,
    METRICS_READ = 2 * PL_SURVEY_RECENT, /* entries: of steps, and of evaluations between them */
};

struct pl_surveyor {
    struct pl_reader reader;
};

static const char *const queue_names[] = {"prompts", "rollouts"};
static const char *const group_names[] = {"actors", "rewarders"};

int pl_surveyor_create(const char *url, const struct pl_redis_access *access, const char *run,
                       struct pl_surveyor **ret_surveyor, struct pl_error *err)
{
    struct pl_surveyor *s = calloc(1, sizeof *s);
    int rc = s ? pl_reader_open(url, access, run, "plait-survey", &s->reader, err)
               : pl_fail(err, PL_ENOMEM, "no memory to look at Redis");

    if (rc < 0)
        free(s);
    else
        *ret_surveyor = s;
    return rc;
}

void pl_surveyor_destroy(struct pl_surveyor *surveyor)
{
    if (!surveyor)
        return;
    pl_reader_close(&surveyor->reader);
    free(surveyor);
}

/* ---- asking ---- */

static int ask(struct pl_surveyor *s, redisReply **ret_reply, struct pl_error *err,
               const char *command, const char *key, const char *const *words)
{
    return pl_reader_ask(&s->reader, ret_reply, err, command, key, words);
}

static const char *field(const redisReply *hash, const char *name)
{
    return pl_reply_field(hash, name);
}

static uint64_t count(const redisReply *hash, const char *name)
{
    return strtoull(field(hash, name), NULL, 10);
}

static double real(const redisReply *hash, const char *name)
{
    const char *text = field(hash, name);

    return text[0] ? strtod(text, NULL) : NAN;
}

/* ---- the run and its ledger ---- */

static int read_run(struct pl_surveyor *s, struct pl_survey *v, struct pl_error *err)
{
    redisReply *reply;
    int rc = ask(s, &reply, err, "HGETALL", "run", NULL);

    if (rc < 0)
        return rc;
    pl_reply_text(v->state, sizeof v->state, field(reply, "state"));
    v->step = count(reply, "step");
    v->insecure = strcmp(field(reply, "insecure"), "yes") == 0;
    freeReplyObject(reply);
    rc = ask(s, &reply, err, "HGETALL", "policy", NULL);
    if (rc < 0)
        return rc;
    v->version = count(reply, "version");
    freeReplyObject(reply);
    return PL_OK;
}

static int read_ledger(struct pl_surveyor *s, struct pl_survey *v, struct pl_error *err)
{
    static const char dropped[] = "dropped:";
    struct pl_ledger *l = &v->ledger;
    redisReply *reply;
    int rc = ask(s, &reply, err, "HGETALL", "ledger", NULL);

    if (rc < 0)
        return rc;
    l->fed = count(reply, "fed");
    l->trained = count(reply, "trained");
    l->dropped = count(reply, "dropped");
    l->scored = count(reply, "scored");
    for (size_t i = 0; pl_reply_is_array(reply, 0) && i + 1 < reply->elements; i += 2) {
        const char *name = reply->element[i]->str;

        if (!name || strncmp(name, dropped, strlen(dropped)) != 0 ||
            v->reason_count == PL_SURVEY_REASONS_MAX)
            continue;
        pl_reply_text(v->reasons[v->reason_count].text, sizeof v->reasons[0].text,
                      name + strlen(dropped));
        v->reasons[v->reason_count++].count = count(reply, name);
    }
    freeReplyObject(reply);
    rc = pl_reader_count(&s->reader, "XLEN", "ready", &l->ready, err);
    return rc == PL_OK ? pl_reader_count(&s->reader, "XLEN", "dead", &l->dead, err) : rc;
}

static int read_barred(struct pl_surveyor *s, struct pl_survey *v, struct pl_error *err)
{
    redisReply *reply;
    int rc = ask(s, &reply, err, "HGETALL", "quarantine", NULL);

    if (rc < 0)
        return rc;
    for (size_t i = 0; pl_reply_is_array(reply, 0) && i + 1 < reply->elements; i += 2) {
        struct pl_survey_barred *b = &v->barred[v->barred_count];

        if (!reply->element[i]->str || !reply->element[i + 1]->str ||
            v->barred_count == PL_SURVEY_BARRED_MAX)
            continue;
        pl_reply_text(b->actor, sizeof b->actor, reply->element[i]->str);
        pl_reply_text(b->reason, sizeof b->reason, reply->element[i + 1]->str);
        v->barred_count++;
    }
    freeReplyObject(reply);
    return PL_OK;
}

/* Whether a client named plait-learner is connected. */
static int read_clients(struct pl_surveyor *s, struct pl_survey *v, struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    int rc;

    pl_redis_begin(&args, "CLIENT");
    pl_redis_word(&args, "LIST");
    rc = pl_redis_call(s->reader.redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    v->learner = reply->str && strstr(reply->str, " name=plait-learner ");
    freeReplyObject(reply);
    return PL_OK;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Mean of the gaps, but for those in which the run was not at work. */
static double mean_gap(double *gaps, size_t n)
{
    enum { STOPPED = 20 }; /* times the median */
    double sum = 0.0;
    size_t used = 0;

    qsort(gaps, n, sizeof *gaps, by_size);
    for (size_t i = 0; i < n && gaps[i] <= STOPPED * gaps[n / 2]; i++, used++)
        sum += gaps[i];
    return used > 0 ? sum / (double)used : NAN;
}

static void turn_round(double *list, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        const double kept = list[i];

        list[i] = list[n - 1 - i];
        list[n - 1 - i] = kept;
    }
}

/* Entries of steps in the stream of metrics: their ids begin with when they were written. */
static int read_pace(struct pl_surveyor *s, struct pl_survey *v, struct pl_error *err)
{
    char most[16];
    const char *const words[] = {"+", "-", "COUNT", most, NULL};
    double gaps[PACE_ENTRIES], later = 0.0;
    redisReply *reply;
    size_t n = 0;
    int rc;

    snprintf(most, sizeof most, "%d", METRICS_READ);
    rc = ask(s, &reply, err, "XREVRANGE", "metrics", words);
    if (rc < 0)
        return rc;
    for (size_t i = 0; pl_reply_is_array(reply, 0) && i < reply->elements; i++) {
        const redisReply *entry = reply->element[i];
        double at;

        if (!pl_reply_is_array(entry, 2) || !entry->element[0]->str ||
            !field(entry->element[1], "timing_s/step")[0])
            continue;
        at = strtod(entry->element[0]->str, NULL) / 1e3;
        if (isnan(v->learner_ahead_s))
            v->learner_ahead_s = real(entry->element[1], "clock") / 1e3 - at;
        if (later > 0.0 && n < PACE_ENTRIES)
            gaps[n++] = later - at;
        later = at;
        if (v->recent_count < PL_SURVEY_RECENT) {
            v->reward[v->recent_count] = real(entry->element[1], "critic/score/mean");
            v->accuracy[v->recent_count++] = real(entry->element[1], "interleave/accuracy");
        }
    }
    freeReplyObject(reply);
    turn_round(v->reward, v->recent_count);
    turn_round(v->accuracy, v->recent_count);
    v->step_s = n > 0 ? mean_gap(gaps, n) : NAN;
    return PL_OK;
}

/* ---- queues and who holds what of them ---- */

static int read_time(struct pl_surveyor *s, double *ret_ms, struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    int rc;

    pl_redis_begin(&args, "TIME");
    rc = pl_redis_call(s->reader.redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    if (pl_reply_is_array(reply, 2) && reply->element[0]->str && reply->element[1]->str)
        *ret_ms = 1e3 * strtod(reply->element[0]->str, NULL) +
                  1e-3 * strtod(reply->element[1]->str, NULL);
    freeReplyObject(reply);
    return PL_OK;
}

static struct pl_survey_holder *holder_of(struct pl_survey *v, enum pl_queue queue,
                                          const char *worker)
{
    struct pl_survey_holder *h;

    for (size_t i = 0; i < v->holder_count; i++) {
        h = &v->holders[i];
        if (h->queue == queue && strcmp(h->worker, worker) == 0)
            return h;
    }
    if (v->holder_count == PL_SURVEY_HOLDERS_MAX)
        return NULL;
    h = &v->holders[v->holder_count++];
    *h = (struct pl_survey_holder){.queue = queue};
    snprintf(h->worker, sizeof h->worker, "%s", worker);
    return h;
}

/* One of [entry, consumer, milliseconds idle, deliveries]. */
static void add_pending(struct pl_survey *v, enum pl_queue queue, const redisReply *p,
                        double now_ms)
{
    struct pl_survey_holder *h;
    double age_s, idle_s;

    if (!pl_reply_is_array(p, 3) || !p->element[0]->str || !p->element[1]->str)
        return;
    h = holder_of(v, queue, p->element[1]->str);
    if (!h)
        return;
    age_s = (now_ms - strtod(p->element[0]->str, NULL)) / 1000.0; /* an entry begins with its ms */
    idle_s = (double)p->element[2]->integer / 1000.0;
    h->count++;
    h->oldest_s = age_s > h->oldest_s ? age_s : h->oldest_s;
    h->silent_s = idle_s > h->silent_s ? idle_s : h->silent_s;
}

/* Entries are taken out when they are done with, so the first is the oldest. */
static int read_oldest(struct pl_surveyor *s, struct pl_survey *v, enum pl_queue queue,
                       double now_ms, struct pl_error *err)
{
    static const char *const words[] = {"-", "+", "COUNT", "1", NULL};
    redisReply *reply;
    int rc = ask(s, &reply, err, "XRANGE", queue_names[queue], words);

    if (rc < 0)
        return rc;
    if (pl_reply_is_array(reply, 1) && pl_reply_is_array(reply->element[0], 2) &&
        reply->element[0]->element[0]->str)
        v->oldest_s[queue] =
            fmax(0.0, (now_ms - strtod(reply->element[0]->element[0]->str, NULL)) / 1e3);
    freeReplyObject(reply);
    return PL_OK;
}

static int read_queue(struct pl_surveyor *s, struct pl_survey *v, enum pl_queue queue,
                      double now_ms, struct pl_error *err)
{
    char most[16];
    const char *const words[] = {group_names[queue], "-", "+", most, NULL};
    uint64_t length = 0, leased = 0;
    struct pl_error met = {0};
    redisReply *reply;
    int rc = pl_reader_count(&s->reader, "XLEN", queue_names[queue], &length, err);

    if (rc < 0)
        return rc;
    snprintf(most, sizeof most, "%d", PENDING_MAX);
    rc = ask(s, &reply, &met, "XPENDING", queue_names[queue], words);
    if (rc < 0 && !strstr(met.text, "NOGROUP")) /* no worker came yet */
        return pl_fail(err, rc, "%s", met.text);
    if (rc == PL_OK) {
        leased = pl_reply_is_array(reply, 0) ? reply->elements : 0;
        for (size_t i = 0; i < leased; i++)
            add_pending(v, queue, reply->element[i], now_ms);
        freeReplyObject(reply);
    }
    leased = leased < length ? leased : length;
    if (queue == PL_QUEUE_PROMPTS) {
        v->ledger.leased = leased;
        v->ledger.queued = length - leased;
    } else {
        v->ledger.scoring = leased;
        v->ledger.rolled = length - leased;
    }
    return PL_OK;
}

/* ---- batches ---- */

static int read_groups(struct pl_surveyor *s, struct pl_survey_batch *b, struct pl_error *err)
{
    static const char *const kinds[] = {"prompt", "rollout", "scored", "dead"};
    uint64_t *const counts[] = {&b->prompts, &b->rollouts, &b->scored, &b->dead};
    redisReply *reply;
    char key[64];
    int rc;

    snprintf(key, sizeof key, "groups:%s", b->name);
    rc = ask(s, &reply, err, "HVALS", key, NULL);
    if (rc < 0)
        return rc;
    for (size_t i = 0; pl_reply_is_array(reply, 0) && i < reply->elements; i++)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            *counts[k] += reply->element[i]->str &&
                          strncmp(reply->element[i]->str, kinds[k], strlen(kinds[k])) == 0;
    freeReplyObject(reply);
    return PL_OK;
}

static int read_batch(struct pl_surveyor *s, struct pl_survey *v, const char *name,
                      struct pl_error *err)
{
    struct pl_survey_batch b = {.gate = -1};
    redisReply *reply;
    char key[64];
    int rc;

    if (v->batch_count == PL_SURVEY_BATCHES_MAX || strlen(name) >= sizeof b.name)
        return PL_OK;
    snprintf(b.name, sizeof b.name, "%s", name);
    snprintf(key, sizeof key, "batch:%s", name);
    rc = ask(s, &reply, err, "HGETALL", key, NULL);
    if (rc < 0)
        return rc;
    pl_reply_text(b.state, sizeof b.state, field(reply, "state"));
    b.expected = count(reply, "expected");
    b.samples = count(reply, "samples");
    b.right = count(reply, "right");
    b.formatted = count(reply, "formatted");
    b.accuracy = real(reply, "accuracy");
    if (field(reply, "gate")[0])
        b.gate = field(reply, "gate")[0] == '1';
    freeReplyObject(reply);
    rc = read_groups(s, &b, err);
    if (rc == PL_OK && b.state[0]) /* it may have been retired since it was listed */
        v->batches[v->batch_count++] = b;
    return rc;
}

/* ---- workers ---- */

static int read_worker(struct pl_surveyor *s, struct pl_survey *v, const char *name,
                       struct pl_error *err)
{
    struct pl_survey_worker w = {0};
    redisReply *reply;
    uint64_t left_ms = 0;
    char key[96];
    int rc;

    if (v->worker_count == PL_SURVEY_WORKERS_MAX || strlen(name) >= sizeof w.name)
        return PL_OK;
    snprintf(w.name, sizeof w.name, "%s", name);
    snprintf(key, sizeof key, "worker:%s", name);
    rc = ask(s, &reply, err, "HGETALL", key, NULL);
    if (rc < 0)
        return rc;
    pl_reply_text(w.role, sizeof w.role, field(reply, "role"));
    w.version = count(reply, "version");
    w.groups = count(reply, "groups");
    w.leased = count(reply, "leased");
    w.tokens_per_s = real(reply, "tokens_per_s");
    w.clock_s = real(reply, "clock") / 1e3;
    pl_reply_text(w.host, sizeof w.host, field(reply, "host"));
    pl_reply_text(w.http, sizeof w.http, field(reply, "http"));
    w.pid = count(reply, "pid");
    w.rss_bytes = count(reply, "rss_bytes");
    w.since_s = (double)count(reply, "since_ms") / 1e3;
    w.restarts = field(reply, "restarts")[0] ? (int)count(reply, "restarts") : -1;
    w.barred = field(reply, "quarantined")[0] == '1';
    pl_reply_text(w.phase, sizeof w.phase, field(reply, "phase"));
    if (field(reply, "phase_since_ms")[0])
        w.phase_s = fmax(0.0, v->now_s - (double)count(reply, "phase_since_ms") / 1e3);
    freeReplyObject(reply);
    rc = pl_reader_count(&s->reader, "PTTL", key, &left_ms, err);
    w.left_s = (double)left_ms / 1000.0;
    if (rc == PL_OK && w.role[0]) /* it may have gone since it was listed */
        v->workers[v->worker_count++] = w;
    return rc;
}

/* ---- all of it ---- */

/* What stands behind `start` in `text`; NULL where it begins otherwise. */
static const char *behind(const char *text, const char *start)
{
    const size_t len = strlen(start);

    return strncmp(text, start, len) == 0 ? text + len : NULL;
}

/* SCAN may name a key twice. */
static bool batch_was_read(const struct pl_survey *v, const char *name)
{
    for (size_t i = 0; i < v->batch_count; i++)
        if (strcmp(v->batches[i].name, name) == 0)
            return true;
    return false;
}

static bool worker_was_read(const struct pl_survey *v, const char *name)
{
    for (size_t i = 0; i < v->worker_count; i++)
        if (strcmp(v->workers[i].name, name) == 0)
            return true;
    return false;
}

/* `key` without the prefix. */
static int read_key(struct pl_surveyor *s, struct pl_survey *v, const char *key,
                    struct pl_error *err)
{
    const char *batch = behind(key, "batch:"), *worker = behind(key, "worker:");

    if (batch && !batch_was_read(v, batch))
        return read_batch(s, v, batch, err);
    return worker && !worker_was_read(v, worker) ? read_worker(s, v, worker, err) : PL_OK;
}

static int read_keys(struct pl_surveyor *s, struct pl_survey *v, struct pl_error *err)
{
    char cursor[32] = "0", pattern[128];
    int rc = PL_OK;

    snprintf(pattern, sizeof pattern, "%s*:*", s->reader.prefix);
    for (int n = 0; rc == PL_OK && n < SCANS_MAX; n++) {
        struct pl_redis_args args;
        redisReply *reply;

        pl_redis_begin(&args, "SCAN");
        pl_redis_word(&args, cursor);
        pl_redis_word(&args, "MATCH");
        pl_redis_word(&args, pattern);
        pl_redis_word(&args, "COUNT");
        pl_redis_count(&args, SCAN_COUNT);
        rc = pl_redis_call(s->reader.redis, &args, &reply, err);
        if (rc < 0)
            return rc;
        if (!pl_reply_is_array(reply, 2) || !reply->element[0]->str) {
            freeReplyObject(reply);
            return pl_fail(err, PL_EIO, "Redis gave 'SCAN' an answer of an unexpected form");
        }
        snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
        for (size_t i = 0; rc == PL_OK && i < reply->element[1]->elements; i++) {
            const char *text = reply->element[1]->element[i]->str;
            const char *key = text ? behind(text, s->reader.prefix) : NULL;

            if (key)
                rc = read_key(s, v, key, err);
        }
        freeReplyObject(reply);
        if (strcmp(cursor, "0") == 0)
            break;
    }
    return rc;
}

static int by_batch(const void *a, const void *b)
{
    const struct pl_survey_batch *x = a, *y = b;
    const bool x_eval = x->name[0] == 'e', y_eval = y->name[0] == 'e';

    return x_eval != y_eval ? x_eval - y_eval : strverscmp(x->name, y->name);
}

static int by_worker(const void *a, const void *b)
{
    const struct pl_survey_worker *x = a, *y = b;
    const int role = strcmp(x->role, y->role);

    return role ? role : strverscmp(x->name, y->name);
}

static int by_holder(const void *a, const void *b)
{
    const struct pl_survey_holder *x = a, *y = b;

    return x->queue != y->queue ? (int)x->queue - (int)y->queue : strverscmp(x->worker, y->worker);
}

int pl_surveyor_take(struct pl_surveyor *surveyor, struct pl_survey *ret_survey,
                     struct pl_error *err)
{
    struct pl_survey *v = ret_survey;
    double now_ms = 0.0;
    int rc;

    memset(v, 0, sizeof *v);
    v->learner_ahead_s = NAN;
    rc = read_time(surveyor, &now_ms, err);
    v->now_s = now_ms / 1e3;
    if (rc == PL_OK)
        rc = read_run(surveyor, v, err);
    if (rc == PL_OK)
        rc = read_ledger(surveyor, v, err);
    if (rc == PL_OK)
        rc = read_barred(surveyor, v, err);
    for (enum pl_queue q = PL_QUEUE_PROMPTS; rc == PL_OK && q <= PL_QUEUE_ROLLOUTS; q++) {
        rc = read_queue(surveyor, v, q, now_ms, err);
        if (rc == PL_OK)
            rc = read_oldest(surveyor, v, q, now_ms, err);
    }
    if (rc == PL_OK)
        rc = read_pace(surveyor, v, err);
    if (rc == PL_OK)
        rc = read_clients(surveyor, v, err);
    if (rc == PL_OK)
        rc = read_keys(surveyor, v, err);
    if (rc < 0)
        return rc;
    qsort(v->batches, v->batch_count, sizeof *v->batches, by_batch);
    qsort(v->workers, v->worker_count, sizeof *v->workers, by_worker);
    qsort(v->holders, v->holder_count, sizeof *v->holders, by_holder);
    return PL_OK;
}
