#include "common/link/survey.h"

#include "common/link/reader.h"
#include "common/link/redis_pipe.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCAN_COUNT = 1000,
    SCANS_MAX = 1000,   /* of a Redis that holds much else */
    PENDING_MAX = 4096, /* whose ages are looked at, of each queue */
    PACE_ENTRIES = 24,
    METRICS_READ = 2 * PL_SURVEY_RECENT, /* entries: of steps, and of evaluations between them */
};

struct pl_surveyor {
    struct pl_reader reader;
    bool no_info, no_claim; /* this user may not ask that: it is not asked again */
    bool fcall;             /* FCALL instead of FCALL_RO, which it may not */
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

/* ---- lists ---- */

enum list { BATCHES, WORKERS, HOLDERS, REASONS, BARRED, PARKED };

/* Room for one more, zeroed; NULL: there is no memory. */
static void *one_more(void **list, size_t *count, size_t *cap, size_t size)
{
    char *room;

    if (*count == *cap) {
        const size_t wanted = *cap ? 2 * *cap : 32;
        void *grown = realloc(*list, wanted * size);

        if (!grown)
            return NULL;
        *list = grown;
        *cap = wanted;
    }
    room = (char *)*list + (*count)++ * size;
    memset(room, 0, size);
    return room;
}

#define ONE_MORE(v, name, which)                                                                   \
    one_more((void **)&(v)->name##s, &(v)->name##_count, &(v)->caps[which], sizeof *(v)->name##s)

void pl_survey_release(struct pl_survey *survey)
{
    free(survey->batches);
    free(survey->workers);
    free(survey->holders);
    free(survey->reasons);
    free(survey->barred);
    free(survey->parked);
    memset(survey, 0, sizeof *survey);
}

/* ---- asking ---- */

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

/* COMMAND prefix+key WORD..., NULL at the end, to be asked with others. */
static int add(struct pl_surveyor *s, struct pl_redis_pipe *pipe, struct pl_error *err,
               const char *command, const char *key, ...)
{
    char name[256];
    struct pl_redis_args args;
    const char *word;
    va_list words;

    snprintf(name, sizeof name, "%s%s", s->reader.prefix, key);
    pl_redis_begin(&args, command);
    pl_redis_word(&args, name);
    va_start(words, key);
    while ((word = va_arg(words, const char *)))
        pl_redis_word(&args, word);
    va_end(words);
    return pl_redis_pipe_add(pipe, &args, err);
}

static bool is_refused(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0;
}

/* The error of an answer that must be there. What Redis cannot do yet is said in words. */
static int fail_answer(const redisReply *reply, const char *what, struct pl_error *err)
{
    static const struct {
        const char *begin, *words;
    } rows[] = {
        {"LOADING", "Redis is loading its data from the disk, and answers when it has (LOADING)"},
        {"MASTERDOWN", "Redis is a replica that has lost its primary, and answers nothing "
                       "(MASTERDOWN)"},
        {"BUSY ", "Redis runs a script that does not end, and answers nothing else (BUSY)"},
        {"CLUSTERDOWN", "Redis is in a cluster that is down (CLUSTERDOWN)"},
        {"MOVED", "Redis is in a cluster, and the run's keys are on another node of it (MOVED): "
                  "name a Redis that is in none"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strncmp(reply->str, rows[i].begin, strlen(rows[i].begin)) == 0)
            return pl_fail(err, PL_EIO, "%s", rows[i].words);
    return pl_fail(err, is_refused(reply) ? PL_EINVAL : PL_EIO,
                   "Redis answers what is asked of '%s' with '%s'", what, reply->str);
}

static int out_of_memory(struct pl_error *err)
{
    return pl_fail(err, PL_ENOMEM, "no memory to look at Redis");
}

/* ---- the run and its ledger ---- */

static void read_run(struct pl_survey *v, const redisReply *run, const redisReply *policy)
{
    pl_reply_text(v->state, sizeof v->state, field(run, "state"));
    pl_reply_text(v->run_id, sizeof v->run_id, field(run, "run_id"));
    pl_reply_text(v->why, sizeof v->why, field(run, "why"));
    v->life = count(run, "life");
    pl_reply_text(v->build, sizeof v->build, field(run, "build"));
    v->step = count(run, "step");
    v->insecure = strcmp(field(run, "insecure"), "yes") == 0;
    v->version = count(policy, "version");
}

/* As the learner's functions read it, in one moment; false: they are not there. */
static bool read_exact(struct pl_survey *v, const redisReply *reply)
{
    enum { COUNTS = 11 };
    struct pl_ledger *l = &v->ledger;
    uint64_t n[COUNTS];

    if (!pl_reply_is_array(reply, COUNTS))
        return false;
    for (int i = 0; i < COUNTS; i++)
        n[i] = reply->element[i]->integer > 0 ? (uint64_t)reply->element[i]->integer : 0;
    if (n[5] > n[4] || n[7] > n[6])
        return false;
    *l = (struct pl_ledger){.fed = n[0],
                            .trained = n[1],
                            .dropped = n[2],
                            .scored = n[3],
                            .queued = n[4] - n[5],
                            .leased = n[5],
                            .rolled = n[6] - n[7],
                            .scoring = n[7],
                            .ready = n[8],
                            .dead = n[9],
                            .parked = n[10]};
    v->astray = (int64_t)(l->fed - l->trained - l->dropped - l->scored - n[4] - n[6] - l->parked);
    l->balanced = v->astray == 0;
    v->ledger_exact = true;
    return true;
}

static int read_ledger(struct pl_survey *v, const redisReply *hash, struct pl_error *err)
{
    static const char dropped[] = "dropped:";
    struct pl_ledger *l = &v->ledger;

    l->fed = count(hash, "fed");
    l->trained = count(hash, "trained");
    l->dropped = count(hash, "dropped");
    l->scored = count(hash, "scored");
    for (size_t i = 0; pl_reply_is_array(hash, 0) && i + 1 < hash->elements; i += 2) {
        const char *name = hash->element[i]->str;
        struct pl_survey_reason *r;

        if (!name || strncmp(name, dropped, strlen(dropped)) != 0)
            continue;
        r = ONE_MORE(v, reason, REASONS);
        if (!r)
            return out_of_memory(err);
        pl_reply_text(r->text, sizeof r->text, name + strlen(dropped));
        r->count = count(hash, name);
    }
    return PL_OK;
}

static int read_barred(struct pl_survey *v, const redisReply *hash, struct pl_error *err)
{
    for (size_t i = 0; pl_reply_is_array(hash, 0) && i + 1 < hash->elements; i += 2) {
        struct pl_survey_barred *b;

        if (!hash->element[i]->str || !hash->element[i + 1]->str)
            continue;
        b = one_more((void **)&v->barred, &v->barred_count, &v->caps[BARRED], sizeof *v->barred);
        if (!b)
            return out_of_memory(err);
        pl_reply_text(b->actor, sizeof b->actor, hash->element[i]->str);
        pl_reply_text(b->reason, sizeof b->reason, hash->element[i + 1]->str);
    }
    return PL_OK;
}

static int read_parked(struct pl_survey *v, const redisReply *hash, struct pl_error *err)
{
    for (size_t i = 0; pl_reply_is_array(hash, 0) && i + 1 < hash->elements; i += 2) {
        struct pl_survey_parked *p;

        if (!hash->element[i]->str)
            continue;
        p = one_more((void **)&v->parked, &v->parked_count, &v->caps[PARKED], sizeof *v->parked);
        if (!p)
            return out_of_memory(err);
        pl_reply_text(p->group, sizeof p->group, hash->element[i]->str);
    }
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
static void read_pace(struct pl_survey *v, const redisReply *entries)
{
    double gaps[PACE_ENTRIES], later = 0.0;
    size_t n = 0;

    for (size_t i = 0; pl_reply_is_array(entries, 0) && i < entries->elements; i++) {
        const redisReply *entry = entries->element[i];
        double at;

        if (!pl_reply_is_array(entry, 2) || !entry->element[0]->str ||
            !field(entry->element[1], "timing_s/step")[0])
            continue;
        at = strtod(entry->element[0]->str, NULL) / 1e3;
        if (isnan(v->learner_ahead_s))
            v->learner_ahead_s = real(entry->element[1], "clock") / 1e3 - at;
        if (isnan(v->last_step_s))
            v->last_step_s = fmax(0.0, v->now_s - at);
        if (later > 0.0 && n < PACE_ENTRIES)
            gaps[n++] = later - at;
        later = at;
        if (v->recent_count < PL_SURVEY_RECENT) {
            v->reward[v->recent_count] = real(entry->element[1], "critic/score/mean");
            v->accuracy[v->recent_count++] = real(entry->element[1], "interleave/accuracy");
        }
    }
    turn_round(v->reward, v->recent_count);
    turn_round(v->accuracy, v->recent_count);
    v->step_s = n > 0 ? mean_gap(gaps, n) : NAN;
}

/* ---- Redis itself ---- */

/* The value of "name:value" in INFO, up to the end of its line; "" it has none. */
static const char *info(const char *all, const char *name, char text[64])
{
    const size_t len = strlen(name);

    text[0] = '\0';
    for (const char *at = all; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (strncmp(at, name, len) == 0 && at[len] == ':') {
            snprintf(text, 64, "%.*s", (int)strcspn(at + len + 1, "\r\n"), at + len + 1);
            break;
        }
    return text;
}

static uint64_t info_count(const char *all, const char *name)
{
    char text[64];

    return strtoull(info(all, name, text), NULL, 10);
}

static bool info_is(const char *all, const char *name, const char *value)
{
    char text[64];

    return strcmp(info(all, name, text), value) == 0;
}

static void read_redis(struct pl_survey_redis *r, const char *all)
{
    char text[64];

    *r = (struct pl_survey_redis){
        .known = true,
        .replica = info_is(all, "role", "slave"),
        .primary_lost = info_is(all, "master_link_status", "down"),
        .cluster = info_is(all, "cluster_enabled", "1"),
        .file_failed =
            (info_is(all, "aof_enabled", "1") && info_is(all, "aof_last_write_status", "err")) ||
            info_is(all, "rdb_last_bgsave_status", "err"),
        .no_replicas = info_is(all, "min_slaves_good_slaves", "0"), /* is there where it counts */
        .evicted = info_count(all, "evicted_keys"),
        .used_bytes = info_count(all, "used_memory"),
        .most_bytes = info_count(all, "maxmemory"),
    };
    info(all, "maxmemory_policy", text);
    r->evicts = text[0] && strcmp(text, "noeviction") != 0;
}

void pl_survey_redis_trouble(const struct pl_survey_redis *redis, char *text, size_t size)
{
    const double mib = 1024.0 * 1024.0;

    text[0] = '\0';
    if (!redis->known)
        return;
    if (redis->replica)
        snprintf(text, size,
                 "Redis is a replica%s, which takes no hand-overs (READONLY): link.redis must name "
                 "the primary, or a name that follows it",
                 redis->primary_lost ? " that has lost its primary" : "");
    else if (redis->file_failed)
        snprintf(text, size,
                 "Redis could not write its file, and refuses hand-overs until it can (MISCONF): "
                 "make room on its disk");
    else if (redis->no_replicas)
        snprintf(text, size,
                 "Redis has no replica that keeps up, and refuses hand-overs without one "
                 "(NOREPLICAS): start it again, or lower min-replicas-to-write");
    else if (redis->most_bytes > 0 && (double)redis->used_bytes >= 0.99 * (double)redis->most_bytes)
        snprintf(
            text, size,
            "Redis is full, and refuses new work (OOM): it uses %.1f of %.1f MiB; give it more "
            "(redis-cli CONFIG SET maxmemory BYTES)",
            (double)redis->used_bytes / mib, (double)redis->most_bytes / mib);
}

void pl_survey_redis_risk(const struct pl_survey_redis *redis, char *text, size_t size)
{
    text[0] = '\0';
    if (!redis->known)
        return;
    if (redis->evicted > 0 && redis->evicts)
        snprintf(text, size,
                 "Redis has thrown away %llu keys, and throws away more when it is full: set "
                 "maxmemory-policy noeviction",
                 (unsigned long long)redis->evicted);
    else if (redis->evicts && redis->most_bytes > 0)
        snprintf(text, size,
                 "Redis throws away keys when it is full, those of the run too: set "
                 "maxmemory-policy noeviction");
    else if (redis->cluster)
        snprintf(text, size,
                 "Redis is in cluster mode: a run goes on only as long as its keys stay on this "
                 "node; name a Redis that is in no cluster");
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

static struct pl_survey_holder *find_holder(struct pl_survey *v, enum pl_queue queue,
                                            const char *worker)
{
    for (size_t i = 0; i < v->holder_count; i++) {
        struct pl_survey_holder *h = &v->holders[i];

        if (h->queue == queue && strcmp(h->worker, worker) == 0)
            return h;
    }
    return NULL;
}

/* One of [entry, consumer, milliseconds idle, deliveries]. */
static void add_pending(struct pl_survey *v, enum pl_queue queue, const redisReply *p)
{
    struct pl_survey_holder *h;
    double age_s, idle_s;

    if (!pl_reply_is_array(p, 3) || !p->element[0]->str || !p->element[1]->str)
        return;
    h = find_holder(v, queue, p->element[1]->str);
    if (!h)
        return;
    age_s = v->now_s - strtod(p->element[0]->str, NULL) / 1e3; /* an entry begins with its ms */
    idle_s = (double)p->element[2]->integer / 1000.0;
    h->oldest_s = fmax(h->oldest_s, age_s);
    h->silent_s = fmax(h->silent_s, idle_s);
}

/* [count, first, last, [[consumer, count], ...]]; an error: no worker came yet. */
static int read_holders(struct pl_survey *v, enum pl_queue queue, const redisReply *summary,
                        uint64_t *ret_leased, struct pl_error *err)
{
    const redisReply *list;

    *ret_leased = 0;
    if (!pl_reply_is_array(summary, 4))
        return PL_OK;
    *ret_leased = summary->element[0]->integer > 0 ? (uint64_t)summary->element[0]->integer : 0;
    list = summary->element[3];
    for (size_t i = 0; pl_reply_is_array(list, 0) && i < list->elements; i++) {
        const redisReply *pair = list->element[i];
        struct pl_survey_holder *h;

        if (!pl_reply_is_array(pair, 2) || !pair->element[0]->str || !pair->element[1]->str)
            continue;
        h = ONE_MORE(v, holder, HOLDERS);
        if (!h)
            return out_of_memory(err);
        h->queue = queue;
        snprintf(h->worker, sizeof h->worker, "%s", pair->element[0]->str);
        h->count = strtoull(pair->element[1]->str, NULL, 10);
    }
    return PL_OK;
}

/* replies: XLEN, XPENDING, XPENDING with entries, XRANGE of the first entry, which is the oldest:
 * entries are taken out when they are done with. */
static int read_queue(struct pl_survey *v, enum pl_queue queue, redisReply *const *replies,
                      struct pl_error *err)
{
    const uint64_t length = replies[0]->integer > 0 ? (uint64_t)replies[0]->integer : 0;
    const redisReply *pending = replies[2], *oldest = replies[3];
    uint64_t leased;
    int rc = read_holders(v, queue, replies[1], &leased, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; pl_reply_is_array(pending, 0) && i < pending->elements; i++)
        add_pending(v, queue, pending->element[i]);
    if (pl_reply_is_array(oldest, 1) && pl_reply_is_array(oldest->element[0], 2) &&
        oldest->element[0]->element[0]->str)
        v->oldest_s[queue] =
            fmax(0.0, v->now_s - strtod(oldest->element[0]->element[0]->str, NULL) / 1e3);
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

/* ---- what there is one of ---- */

/* "NAME HOST PID ...": who the learner is. */
static void read_claim(struct pl_survey *v, const redisReply *reply)
{
    char name[72] = "", host[64] = "";
    unsigned long long pid = 0;

    v->learner = reply->type == REDIS_REPLY_STRING;
    if (!v->learner || sscanf(reply->str, "%71s %63s %llu", name, host, &pid) < 1)
        return;
    pl_reply_text(v->presence.name, sizeof v->presence.name, name);
    pl_reply_text(v->presence.host, sizeof v->presence.host, host);
    v->presence.pid = pid;
}

enum one {
    RUN,
    POLICY,
    LEDGER,
    READY,
    DEAD,
    QUARANTINE,
    PARKED_GROUPS,
    METRICS,
    PROMPTS, /* four each */
    ROLLOUTS = PROMPTS + 4,
    NEEDED = ROLLOUTS + 4, /* what is behind it may be refused */
};

static int add_queue(struct pl_surveyor *s, struct pl_redis_pipe *pipe, enum pl_queue queue,
                     struct pl_error *err)
{
    const char *name = queue_names[queue], *group = group_names[queue];
    char most[16];
    int rc = add(s, pipe, err, "XLEN", name, NULL);

    snprintf(most, sizeof most, "%d", PENDING_MAX);
    if (rc == PL_OK)
        rc = add(s, pipe, err, "XPENDING", name, group, NULL);
    if (rc == PL_OK)
        rc = add(s, pipe, err, "XPENDING", name, group, "-", "+", most, NULL);
    if (rc == PL_OK)
        rc = add(s, pipe, err, "XRANGE", name, "-", "+", "COUNT", "1", NULL);
    return rc;
}

/* The function is given the prefix as its key, behind the number of keys. */
static int add_function(struct pl_surveyor *s, struct pl_redis_pipe *pipe, struct pl_error *err)
{
    struct pl_redis_args args;

    pl_redis_begin(&args, s->fcall ? "FCALL" : "FCALL_RO");
    pl_redis_word(&args, "plait1_ledger");
    pl_redis_word(&args, "1");
    pl_redis_word(&args, s->reader.prefix);
    return pl_redis_pipe_add(pipe, &args, err);
}

static int add_ones(struct pl_surveyor *s, struct pl_redis_pipe *pipe, struct pl_error *err)
{
    static const struct {
        const char *command, *key;
    } rows[] = {{"HGETALL", "run"},   {"HGETALL", "policy"}, {"HGETALL", "ledger"},
                {"XLEN", "ready"},    {"XLEN", "dead"},      {"HGETALL", "quarantine"},
                {"HGETALL", "parked"}};
    struct pl_redis_args args;
    char most[16];
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < sizeof rows / sizeof *rows; i++)
        rc = add(s, pipe, err, rows[i].command, rows[i].key, NULL);
    snprintf(most, sizeof most, "%d", METRICS_READ);
    if (rc == PL_OK)
        rc = add(s, pipe, err, "XREVRANGE", "metrics", "+", "-", "COUNT", most, NULL);
    if (rc == PL_OK)
        rc = add_queue(s, pipe, PL_QUEUE_PROMPTS, err);
    if (rc == PL_OK)
        rc = add_queue(s, pipe, PL_QUEUE_ROLLOUTS, err);
    if (rc == PL_OK)
        rc = add_function(s, pipe, err);
    if (rc == PL_OK && !s->no_claim)
        rc = add(s, pipe, err, "GET", "learner", NULL);
    if (rc == PL_OK && !s->no_info) {
        pl_redis_begin(&args, "INFO");
        rc = pl_redis_pipe_add(pipe, &args, err);
    }
    return rc;
}

/* Answers of which one may be that nobody came yet, as there are no groups of readers. */
static bool may_fail(size_t i)
{
    return i == PROMPTS + 1 || i == PROMPTS + 2 || i == ROLLOUTS + 1 || i == ROLLOUTS + 2;
}

static int take_ones(struct pl_surveyor *s, struct pl_survey *v, redisReply **r,
                     struct pl_error *err)
{
    size_t more = NEEDED;
    int rc;

    for (size_t i = 0; i < NEEDED; i++)
        if (r[i]->type == REDIS_REPLY_ERROR &&
            !(may_fail(i) && strncmp(r[i]->str, "NOGROUP", 7) == 0))
            return fail_answer(r[i], "the run", err);
    read_run(v, r[RUN], r[POLICY]);
    rc = read_ledger(v, r[LEDGER], err);
    v->ledger.ready = r[READY]->integer > 0 ? (uint64_t)r[READY]->integer : 0;
    v->ledger.dead = r[DEAD]->integer > 0 ? (uint64_t)r[DEAD]->integer : 0;
    if (rc == PL_OK)
        rc = read_barred(v, r[QUARANTINE], err);
    if (rc == PL_OK)
        rc = read_parked(v, r[PARKED_GROUPS], err);
    v->ledger.parked = v->parked_count;
    read_pace(v, r[METRICS]);
    if (rc == PL_OK)
        rc = read_queue(v, PL_QUEUE_PROMPTS, r + PROMPTS, err);
    if (rc == PL_OK)
        rc = read_queue(v, PL_QUEUE_ROLLOUTS, r + ROLLOUTS, err);
    if (!read_exact(v, r[more]) && is_refused(r[more]))
        s->fcall = true; /* the learner's own user may; from the next time on */
    more++;
    if (!s->no_claim) {
        read_claim(v, r[more]);
        s->no_claim = is_refused(r[more++]);
    }
    if (!s->no_info) {
        if (r[more]->type == REDIS_REPLY_STRING)
            read_redis(&v->redis, r[more]->str);
        s->no_info = is_refused(r[more]);
    }
    return rc;
}

static int read_ones(struct pl_surveyor *s, struct pl_survey *v, struct pl_error *err)
{
    struct pl_redis_pipe pipe = {0};
    int rc = add_ones(s, &pipe, err);

    if (rc == PL_OK)
        rc = pl_redis_pipe_ask(&pipe, s->reader.redis, err);
    if (rc == PL_OK)
        rc = take_ones(s, v, pipe.replies, err);
    pl_redis_pipe_release(&pipe);
    return rc;
}

/* ---- batches ---- */

static int take_batch(struct pl_survey *v, const char *name, const redisReply *hash,
                      const redisReply *groups, struct pl_error *err)
{
    static const char *const kinds[] = {"prompt", "rollout", "scored", "dead"};
    struct pl_survey_batch *b;
    uint64_t *counts[4];

    if (!field(hash, "state")[0]) /* it was retired since it was listed */
        return PL_OK;
    b = one_more((void **)&v->batches, &v->batch_count, &v->caps[BATCHES], sizeof *v->batches);
    if (!b)
        return out_of_memory(err);
    counts[0] = &b->prompts;
    counts[1] = &b->rollouts;
    counts[2] = &b->scored;
    counts[3] = &b->dead;
    snprintf(b->name, sizeof b->name, "%s", name);
    pl_reply_text(b->state, sizeof b->state, field(hash, "state"));
    b->expected = count(hash, "expected");
    b->samples = count(hash, "samples");
    b->right = count(hash, "right");
    b->formatted = count(hash, "formatted");
    b->accuracy = real(hash, "accuracy");
    b->gate = field(hash, "gate")[0] ? field(hash, "gate")[0] == '1' : -1;
    for (size_t i = 0; pl_reply_is_array(groups, 0) && i < groups->elements; i++)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            *counts[k] += groups->element[i]->str &&
                          strncmp(groups->element[i]->str, kinds[k], strlen(kinds[k])) == 0;
    return PL_OK;
}

/* ---- workers ---- */

static double since(const redisReply *hash, const char *name)
{
    const double clock_ms = real(hash, "clock"), at_ms = real(hash, name);

    return at_ms > 0.0 ? fmax(0.0, (clock_ms - at_ms) / 1e3) : NAN;
}

static void take_presence(struct pl_survey_learner *p, const redisReply *hash)
{
    p->beats = true;
    pl_reply_text(p->phase, sizeof p->phase, field(hash, "phase"));
    pl_reply_text(p->why, sizeof p->why, field(hash, "why"));
    p->phase_s = since(hash, "phase_since_ms");
    p->step = count(hash, "step");
    p->saved_step = count(hash, "saved_step");
    p->saved_s = since(hash, "saved_ms");
    p->beat = count(hash, "beat");
}

static int take_worker(struct pl_survey *v, const char *name, const redisReply *hash,
                       const redisReply *left, struct pl_error *err)
{
    struct pl_survey_worker *w;

    if (!field(hash, "role")[0]) /* it has gone since it was listed */
        return PL_OK;
    w = ONE_MORE(v, worker, WORKERS);
    if (!w)
        return out_of_memory(err);
    snprintf(w->name, sizeof w->name, "%s", name);
    pl_reply_text(w->role, sizeof w->role, field(hash, "role"));
    pl_reply_text(w->build, sizeof w->build, field(hash, "build"));
    w->version = count(hash, "version");
    w->groups = count(hash, "groups");
    w->leased = count(hash, "leased");
    w->tokens_per_s = real(hash, "tokens_per_s");
    w->clock_s = real(hash, "clock") / 1e3;
    pl_reply_text(w->host, sizeof w->host, field(hash, "host"));
    pl_reply_text(w->http, sizeof w->http, field(hash, "http"));
    w->pid = count(hash, "pid");
    w->rss_bytes = count(hash, "rss_bytes");
    w->since_s = (double)count(hash, "since_ms") / 1e3;
    w->restarts = field(hash, "restarts")[0] ? (int)count(hash, "restarts") : -1;
    w->barred = field(hash, "quarantined")[0] == '1';
    w->beat = count(hash, "beat");
    w->left_s = left->integer > 0 ? (double)left->integer / 1000.0 : 0.0;
    if (strcmp(w->role, "learner") == 0 && v->learner && strcmp(w->name, v->presence.name) == 0)
        take_presence(&v->presence, hash);
    return PL_OK;
}

/* ---- what there are many of ---- */

/* What stands behind `start` in `text`; NULL where it begins otherwise. */
static const char *behind(const char *text, const char *start)
{
    const size_t len = strlen(start);

    return strncmp(text, start, len) == 0 ? text + len : NULL;
}

struct names {
    char (*list)[96]; /* "batch:12", "worker:actor-1" */
    size_t count, cap;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int add_name(struct names *n, const char *key, struct pl_error *err)
{
    const char *batch = behind(key, "batch:"), *worker = behind(key, "worker:");
    char *room;

    if ((!batch || strlen(batch) >= sizeof((struct pl_survey_batch *)0)->name) &&
        (!worker || strlen(worker) >= sizeof((struct pl_survey_worker *)0)->name))
        return PL_OK;
    room = one_more((void **)&n->list, &n->count, &n->cap, sizeof *n->list);
    if (!room)
        return out_of_memory(err);
    snprintf(room, sizeof *n->list, "%s", key);
    return PL_OK;
}

static int list_names(struct pl_surveyor *s, struct names *names, struct pl_error *err)
{
    char cursor[32] = "0", pattern[128];
    size_t kept = 0;
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
                rc = add_name(names, key, err);
        }
        freeReplyObject(reply);
        if (strcmp(cursor, "0") == 0)
            break;
    }
    if (names->count > 0) /* SCAN may name a key twice */
        qsort(names->list, names->count, sizeof *names->list, by_name);
    for (size_t i = 0; i < names->count; i++)
        if (kept == 0 || strcmp(names->list[kept - 1], names->list[i]) != 0)
            memmove(names->list[kept++], names->list[i], sizeof *names->list);
    names->count = kept;
    return rc;
}

/* Two questions for each. */
static int ask_each(struct pl_surveyor *s, const struct names *names, struct pl_redis_pipe *pipe,
                    struct pl_error *err)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < names->count; i++) {
        const char *batch = behind(names->list[i], "batch:");
        char groups[96];

        rc = add(s, pipe, err, "HGETALL", names->list[i], NULL);
        if (rc == PL_OK && batch) {
            snprintf(groups, sizeof groups, "groups:%s", batch);
            rc = add(s, pipe, err, "HVALS", groups, NULL);
        } else if (rc == PL_OK) {
            rc = add(s, pipe, err, "PTTL", names->list[i], NULL);
        }
    }
    return rc == PL_OK ? pl_redis_pipe_ask(pipe, s->reader.redis, err) : rc;
}

static int read_many(struct pl_surveyor *s, struct pl_survey *v, struct pl_error *err)
{
    struct pl_redis_pipe pipe = {0};
    struct names names = {0};
    int rc = list_names(s, &names, err);

    if (rc == PL_OK)
        rc = ask_each(s, &names, &pipe, err);
    for (size_t i = 0; rc == PL_OK && i < names.count; i++) {
        const char *batch = behind(names.list[i], "batch:");
        const redisReply *first = pipe.replies[2 * i], *second = pipe.replies[2 * i + 1];

        if (first->type == REDIS_REPLY_ERROR && strncmp(first->str, "WRONGTYPE", 9) != 0)
            rc = fail_answer(first, names.list[i], err);
        else if (batch)
            rc = take_batch(v, batch, first, second, err);
        else
            rc = take_worker(v, behind(names.list[i], "worker:"), first, second, err);
    }
    pl_redis_pipe_release(&pipe);
    free(names.list);
    return rc;
}

/* ---- all of it ---- */

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

static void sort(void *list, size_t n, size_t size, int (*by)(const void *, const void *))
{
    if (n > 0)
        qsort(list, n, size, by);
}

int pl_surveyor_take(struct pl_surveyor *surveyor, struct pl_survey *ret_survey,
                     struct pl_error *err)
{
    struct pl_survey *v = ret_survey;
    double now_ms = 0.0;
    int rc;

    pl_survey_release(v);
    v->learner_ahead_s = v->last_step_s = v->presence.saved_s = NAN;
    rc = read_time(surveyor, &now_ms, err);
    v->now_s = now_ms / 1e3;
    if (rc == PL_OK)
        rc = read_ones(surveyor, v, err);
    if (rc == PL_OK)
        rc = read_many(surveyor, v, err);
    if (rc < 0) {
        pl_survey_release(v);
        return rc;
    }
    sort(v->batches, v->batch_count, sizeof *v->batches, by_batch);
    sort(v->workers, v->worker_count, sizeof *v->workers, by_worker);
    sort(v->holders, v->holder_count, sizeof *v->holders, by_holder);
    return PL_OK;
}
