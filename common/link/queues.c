#include "common/link/queues.h"

#include "common/base/check.h"
#include "common/base/logfmt.h"
#include "common/link/library.h"
#include "common/link/queues_impl.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

enum { FIELDS_MAX = 120, WAIT_SLICE_MS = 1000, METRICS_KEPT = 10000, GROUPS_MAX = 1 << 20 };

static const char *const queue_names[] = {"prompts", "rollouts"};
static const char *const group_names[] = {"actors", "rewarders"};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- opening ---- */

int pl_queues_odd(struct pl_error *err, const struct pl_redis_args *args)
{
    return pl_fail(err, PL_EIO, "Redis gave '%s' an answer of an unexpected form", args->words[0]);
}

static int make_group(struct pl_queues *s, enum pl_queue queue, struct pl_error *err)
{
    struct pl_redis_args args;
    struct pl_error met = {0};
    char key[160];
    int rc;

    snprintf(key, sizeof key, "%s%s", s->prefix, queue_names[queue]);
    pl_redis_begin(&args, "XGROUP");
    pl_redis_word(&args, "CREATE");
    pl_redis_word(&args, key);
    pl_redis_word(&args, group_names[queue]);
    pl_redis_word(&args, "0");
    pl_redis_word(&args, "MKSTREAM");
    rc = pl_redis_try(s->redis, &args, NULL, &met);
    if (rc < 0 && strstr(met.text, "BUSYGROUP"))
        return PL_OK;
    if (rc < 0 && strstr(met.text, "OOM command not allowed"))
        return PL_OK; /* full: it is asked whether it may write before whether the group is there;
                       * one that is not is NOGROUP later */
    return rc < 0 ? pl_fail(err, rc, "%s", met.text) : PL_OK;
}

/* Which group a program makes is that which it reads; one that reads none makes both, but for a
 * relay, which moves weights alone. */
static bool makes_group(const struct pl_queues *s, enum pl_queue queue)
{
    if (strcmp(s->role, "actor") == 0)
        return queue == PL_QUEUE_PROMPTS;
    if (strcmp(s->role, "rewarder") == 0)
        return queue == PL_QUEUE_ROLLOUTS;
    return strcmp(s->role, "relay") != 0;
}

static int mend(void *at, struct pl_error *err)
{
    struct pl_queues *s = at;
    int rc = pl_library_check_redis(s->redis, err);

    if (rc == PL_OK)
        rc = pl_library_ensure(s->redis, NULL, err);
    for (enum pl_queue q = PL_QUEUE_PROMPTS; rc == PL_OK && q <= PL_QUEUE_ROLLOUTS; q++)
        if (makes_group(s, q))
            rc = make_group(s, q, err);
    return rc;
}

static int check_name(const char *what, const char *name, struct pl_error *err)
{
    size_t n = 0;

    while (isalnum((unsigned char)name[n]) || (name[n] && strchr("-_.", name[n])))
        n++;
    if (n > 0 && n <= 64 && !name[n])
        return PL_OK;
    return pl_fail(err, PL_EINVAL,
                   "the %s '%.80s' is no name: 1 to 64 letters, digits, '-', '_' and '.' are", what,
                   name);
}

int pl_queues_open(const struct pl_queues_opts *opts, struct pl_queues **ret_stream,
                   struct pl_error *err)
{
    struct pl_queues *s = NULL;
    struct pl_redis_args args;
    char client[160];
    int rc = check_name("run", opts->run, err);

    if (rc == PL_OK)
        rc = check_name("worker", opts->worker, err);
    if (rc < 0)
        return rc;
    s = calloc(1, sizeof *s);
    if (!s)
        return pl_fail(err, PL_ENOMEM, "no memory for the queues");
    s->opts = *opts;
    s->prefix = pl_strf("plait:{%s}:", opts->run);
    s->worker = strdup(opts->worker);
    s->role = strdup(opts->role);
    s->url = strdup(opts->url);
    s->run = strdup(opts->run);
    s->jitter = now_ms();
    s->since_ms = 1000ull * (uint64_t)time(NULL);
    strcpy(s->reclaim[0].from, "0");
    strcpy(s->reclaim[1].from, "0");
    if (!s->prefix || !s->worker || !s->role || !s->url || !s->run) {
        rc = pl_fail(err, PL_ENOMEM, "no memory for the queues");
        goto fail;
    }
    snprintf(client, sizeof client, "plait-%s", s->worker);
    rc = pl_redis_create(&(struct pl_redis_opts){.url = s->url,
                                                 .access = opts->access,
                                                 .role = s->role,
                                                 .client = client,
                                                 .patience_ms = opts->patience_ms,
                                                 .stop = opts->stop,
                                                 .full = opts->full,
                                                 .event = opts->event,
                                                 .at = opts->at,
                                                 .mend = mend,
                                                 .mend_at = s},
                         &s->redis, err);
    if (rc < 0)
        goto fail;
    pl_redis_begin(&args, "PING");
    rc = pl_redis_call(s->redis, &args, NULL, err);
    if (rc < 0)
        goto fail;
    *ret_stream = s;
    return PL_OK;
fail:
    pl_queues_close(s);
    return rc;
}

void pl_queues_close(struct pl_queues *stream)
{
    if (!stream)
        return;
    pl_redis_destroy(stream->redis);
    free(stream->prefix);
    free(stream->worker);
    free(stream->role);
    free(stream->url);
    free(stream->run);
    free(stream);
}

/* ---- calls of the library ---- */

void pl_queues_begin(const struct pl_queues *s, struct pl_redis_args *args, const char *function)
{
    pl_redis_begin(args, "FCALL");
    pl_redis_word(args, function);
    pl_redis_word(args, "1");
    pl_redis_word(args, s->prefix);
}

static void add_fields(struct pl_redis_args *args, const struct pl_field *fields, size_t count)
{
    PL_ASSERT(count <= FIELDS_MAX);
    pl_redis_count(args, count);
    for (size_t i = 0; i < count; i++) {
        pl_redis_word(args, fields[i].name);
        pl_redis_word(args, fields[i].value);
    }
}

int pl_queues_outcome(struct pl_queues *s, const struct pl_redis_args *args,
                      enum pl_outcome *ret_outcome, struct pl_error *err)
{
    static const char *const names[] = {"DONE", "REPEATED", "RETIRED", "REFUSED", "COMPLETE"};
    redisReply *reply;
    int rc = pl_redis_call(s->redis, args, &reply, err);

    if (rc < 0)
        return rc;
    rc = PL_EIO;
    s->completed = reply->str && strcmp(reply->str, names[PL_OUTCOME_REFUSED + 1]) == 0;
    if (s->completed) {
        *ret_outcome = PL_OUTCOME_DONE;
        rc = PL_OK;
    }
    for (int i = PL_OUTCOME_DONE; reply->str && i <= PL_OUTCOME_REFUSED; i++)
        if (strcmp(reply->str, names[i]) == 0) {
            *ret_outcome = (enum pl_outcome)i;
            rc = PL_OK;
        }
    if (rc < 0)
        pl_fail(err, rc, "Redis gave '%s' the answer '%.80s'", args->words[1],
                reply->str ? reply->str : "(none)");
    freeReplyObject(reply);
    return rc;
}

int pl_queues_place(const char *group, struct pl_queues_place *ret_place, struct pl_error *err)
{
    if (sscanf(group, "%31[a-z0-9]:%15[0-9]", ret_place->batch, ret_place->index) == 2)
        return PL_OK;
    return pl_fail(err, PL_EFORMAT, "'%.48s' is no id of a group", group);
}

int pl_queues_feed(struct pl_queues *stream, const struct pl_feed *feed, bool *ret_new,
                   struct pl_error *err)
{
    struct pl_redis_args args;
    enum pl_outcome outcome = PL_OUTCOME_DONE;
    int rc;

    pl_queues_begin(stream, &args, "plait1_feed");
    pl_redis_word(&args, feed->batch);
    pl_redis_count(&args, feed->index);
    pl_redis_count(&args, feed->expected);
    pl_redis_word(&args, feed->after);
    pl_redis_real(&args, feed->previous);
    pl_redis_real(&args, feed->epsilon);
    pl_redis_word(&args, feed->gated ? "1" : "0");
    add_fields(&args, feed->fields, feed->field_count);
    pl_redis_bytes(&args, feed->pb, feed->pb_len);
    rc = pl_queues_outcome(stream, &args, &outcome, err);
    if (rc == PL_OK && outcome == PL_OUTCOME_RETIRED)
        return pl_fail(
            err, PL_EUNSUPPORTED,
            "batch %s of the run '%s' is retired in Redis: a learner that was further on "
            "has trained and saved it; rewind the queues to this learner's step",
            feed->batch, stream->run);
    if (rc == PL_OK)
        *ret_new = outcome == PL_OUTCOME_DONE;
    return rc;
}

/* As redis.sha1hex() gives it. */
int pl_queues_sha1(const void *bytes, size_t len, char ret_hex[PL_QUEUES_SHA1],
                   struct pl_error *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (EVP_Digest(bytes, len, digest, &n, EVP_sha1(), NULL) != 1)
        return pl_fail(err, PL_ENOMEM, "no memory for the hash of a group");
    for (unsigned i = 0; i < n && 2 * i + 2 < PL_QUEUES_SHA1; i++)
        snprintf(ret_hex + (size_t)2 * i, 3, "%02x", digest[i]);
    return PL_OK;
}

int pl_queues_redo(struct pl_queues *stream, const struct pl_redo *redo, struct pl_error *err)
{
    struct pl_redis_args args;
    enum pl_outcome outcome = PL_OUTCOME_DONE;
    char hex[PL_QUEUES_SHA1];
    int rc = pl_queues_sha1(redo->scored, redo->scored_len, hex, err);

    if (rc < 0)
        return rc;
    pl_queues_begin(stream, &args, "plait1_redo");
    pl_redis_word(&args, redo->batch);
    pl_redis_count(&args, redo->index);
    pl_redis_word(&args, hex);
    pl_redis_count(&args, redo->samples);
    pl_redis_count(&args, redo->right);
    pl_redis_count(&args, redo->formatted);
    pl_redis_word(&args, redo->reason);
    add_fields(&args, redo->fields, redo->field_count);
    pl_redis_bytes(&args, redo->pb, redo->pb_len);
    return pl_queues_outcome(stream, &args, &outcome, err);
}

int pl_queues_finish(struct pl_queues *stream, const struct pl_lease *lease,
                     const struct pl_field *fields, size_t count, const void *pb, size_t pb_len,
                     enum pl_outcome *ret_outcome, struct pl_error *err)
{
    struct pl_redis_args args;
    struct pl_queues_place place;
    int rc = pl_queues_place(lease->group, &place, err);

    if (rc < 0)
        return rc;
    pl_queues_begin(stream, &args, "plait1_finish");
    pl_redis_word(&args, place.batch);
    pl_redis_word(&args, place.index);
    pl_redis_word(&args, lease->entry);
    pl_redis_word(&args, stream->worker);
    add_fields(&args, fields, count);
    pl_redis_bytes(&args, pb, pb_len);
    return pl_queues_outcome(stream, &args, ret_outcome, err);
}

int pl_queues_commit(struct pl_queues *stream, const struct pl_lease *lease, uint32_t samples,
                     uint32_t right, uint32_t formatted, const char *text, const void *pb,
                     size_t pb_len, enum pl_outcome *ret_outcome, struct pl_error *err)
{
    struct pl_redis_args args;
    struct pl_queues_place place;
    int rc = pl_queues_place(lease->group, &place, err);

    if (rc < 0)
        return rc;
    pl_queues_begin(stream, &args, "plait1_commit");
    pl_redis_word(&args, place.batch);
    pl_redis_word(&args, place.index);
    pl_redis_word(&args, lease->entry);
    pl_redis_count(&args, samples);
    pl_redis_count(&args, right);
    pl_redis_count(&args, formatted);
    pl_redis_word(&args, text);
    pl_redis_bytes(&args, pb, pb_len);
    return pl_queues_outcome(stream, &args, ret_outcome, err);
}

bool pl_queues_completed(const struct pl_queues *stream)
{
    return stream->completed;
}

const char *pl_outcome_name(enum pl_outcome outcome)
{
    static const char *const names[] = {"done", "repeated", "retired", "refused"};

    return names[outcome];
}

int pl_queues_bury(struct pl_queues *stream, enum pl_queue queue, const struct pl_lease *lease,
                   const char *reason, struct pl_error *err)
{
    struct pl_redis_args args;
    enum pl_outcome outcome = PL_OUTCOME_DONE;
    struct pl_queues_place place;
    int rc = pl_queues_place(lease->group, &place, err);

    if (rc < 0)
        return rc;
    pl_queues_begin(stream, &args, "plait1_bury");
    pl_redis_word(&args, queue_names[queue]);
    pl_redis_word(&args, place.batch);
    pl_redis_word(&args, place.index);
    pl_redis_word(&args, lease->entry);
    pl_redis_word(&args, reason);
    pl_redis_word(&args, stream->worker);
    pl_redis_count(&args, lease->deliveries);
    pl_redis_bytes(&args, lease->pb, lease->pb_len);
    return pl_queues_outcome(stream, &args, &outcome, err);
}

int pl_queues_return(struct pl_queues *stream, enum pl_queue queue, const struct pl_lease *lease,
                     struct pl_error *err)
{
    struct pl_redis_args args;
    enum pl_outcome outcome = PL_OUTCOME_DONE;
    struct pl_queues_place place;
    int rc = pl_queues_place(lease->group, &place, err);

    if (rc < 0)
        return rc;
    pl_queues_begin(stream, &args, "plait1_give_back");
    pl_redis_word(&args, queue_names[queue]);
    pl_redis_word(&args, place.batch);
    pl_redis_word(&args, place.index);
    pl_redis_word(&args, lease->entry);
    return pl_queues_outcome(stream, &args, &outcome, err);
}

int pl_queues_retire(struct pl_queues *stream, const char *batch, struct pl_error *err)
{
    struct pl_redis_args args;
    enum pl_outcome outcome = PL_OUTCOME_DONE;

    pl_queues_begin(stream, &args, "plait1_retire");
    pl_redis_word(&args, batch);
    return pl_queues_outcome(stream, &args, &outcome, err);
}

int pl_queues_renew(struct pl_queues *stream, enum pl_queue queue,
                    const struct pl_lease *const *leases, size_t count, bool *lost,
                    size_t *ret_lost, struct pl_error *err)
{
    enum { AT_ONCE = 100 };

    *ret_lost = 0;
    for (size_t from = 0; from < count; from += AT_ONCE) {
        const size_t n = count - from < AT_ONCE ? count - from : AT_ONCE;
        struct pl_redis_args args;
        redisReply *reply;
        int rc;

        pl_queues_begin(stream, &args, "plait1_renew");
        pl_redis_word(&args, queue_names[queue]);
        pl_redis_word(&args, stream->worker);
        for (size_t i = 0; i < n; i++)
            pl_redis_word(&args, leases[from + i]->entry);
        rc = pl_redis_call(stream->redis, &args, &reply, err);
        if (rc < 0)
            return rc;
        if (reply->type != REDIS_REPLY_ARRAY || reply->elements != n)
            rc = pl_queues_odd(err, &args);
        for (size_t i = 0; rc == PL_OK && i < n; i++) {
            const bool gone = reply->element[i]->integer != 0;

            *ret_lost += gone;
            if (lost)
                lost[from + i] = gone;
        }
        freeReplyObject(reply);
        if (rc < 0)
            return rc;
    }
    return PL_OK;
}

/* ---- leases ---- */

void pl_lease_release(struct pl_lease *lease)
{
    free(lease->pb);
    *lease = (struct pl_lease){0};
}

static const redisReply *field_of(const redisReply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        if (fields->element[i]->str && strcmp(fields->element[i]->str, name) == 0)
            return fields->element[i + 1];
    return NULL;
}

static bool is_array(const redisReply *reply, size_t least)
{
    return reply && reply->type == REDIS_REPLY_ARRAY && reply->elements >= least;
}

/* From [entry, [field, value, ...]]. */
static int lease_from(const redisReply *entry, struct pl_lease *ret_lease, struct pl_error *err)
{
    const redisReply *id, *pb, *signature;
    struct pl_lease lease = {.deliveries = 1};

    if (!is_array(entry, 2) || !entry->element[0]->str)
        return pl_fail(err, PL_EIO, "Redis gave an entry of an unexpected form");
    snprintf(lease.entry, sizeof lease.entry, "%s", entry->element[0]->str);
    if (!is_array(entry->element[1], 2))
        return pl_fail(err, PL_EFORMAT, "entry %s is gone though it is still leased", lease.entry);
    id = field_of(entry->element[1], "id");
    pb = field_of(entry->element[1], "pb");
    signature = field_of(entry->element[1], "signature");
    snprintf(lease.signature, sizeof lease.signature, "%s",
             signature && signature->str ? signature->str : "");
    snprintf(lease.group, sizeof lease.group, "%s", id && id->str ? id->str : "?:?");
    lease.pb_len = pb && pb->type == REDIS_REPLY_STRING ? (size_t)pb->len : 0;
    lease.pb = malloc(lease.pb_len + 1);
    if (!lease.pb)
        return pl_fail(err, PL_ENOMEM, "no memory for group %s: %zu bytes", lease.group,
                       lease.pb_len);
    if (lease.pb_len > 0)
        memcpy(lease.pb, pb->str, lease.pb_len);
    *ret_lease = lease;
    return PL_OK;
}

/* XREADGROUP: own history behind `from`, or new entries where it is ">". PL_ENOENT: none. */
static int read_group(struct pl_queues *s, enum pl_queue queue, const char *from, uint64_t wait_ms,
                      struct pl_lease *ret_lease, struct pl_error *err)
{
    const bool fresh = strcmp(from, ">") == 0;
    struct pl_redis_args args;
    redisReply *reply;
    char key[160];
    int rc;

    snprintf(key, sizeof key, "%s%s", s->prefix, queue_names[queue]);
    pl_redis_begin(&args, "XREADGROUP");
    pl_redis_word(&args, "GROUP");
    pl_redis_word(&args, group_names[queue]);
    pl_redis_word(&args, s->worker);
    pl_redis_word(&args, "COUNT");
    pl_redis_word(&args, "1");
    if (fresh && wait_ms > 0) {
        pl_redis_word(&args, "BLOCK");
        pl_redis_count(&args, wait_ms);
    }
    pl_redis_word(&args, "STREAMS");
    pl_redis_word(&args, key);
    pl_redis_word(&args, from);
    rc = pl_redis_call(s->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    rc = PL_ENOENT;
    if (is_array(reply, 1) && is_array(reply->element[0], 2) &&
        is_array(reply->element[0]->element[1], 1))
        rc = lease_from(reply->element[0]->element[1]->element[0], ret_lease, err);
    freeReplyObject(reply);
    return rc;
}

/* One abandoned entry of another worker. */
static int claim(struct pl_queues *s, enum pl_queue queue, struct pl_lease *ret_lease,
                 struct pl_error *err)
{
    char key[160], cursor[48] = "0-0";
    int rc = PL_ENOENT;

    snprintf(key, sizeof key, "%s%s", s->prefix, queue_names[queue]);
    do {
        struct pl_redis_args args;
        redisReply *reply;

        pl_redis_begin(&args, "XAUTOCLAIM");
        pl_redis_word(&args, key);
        pl_redis_word(&args, group_names[queue]);
        pl_redis_word(&args, s->worker);
        pl_redis_count(&args, s->opts.lease_ms);
        pl_redis_word(&args, cursor);
        pl_redis_word(&args, "COUNT");
        pl_redis_word(&args, "1");
        rc = pl_redis_call(s->redis, &args, &reply, err);
        if (rc < 0)
            return rc;
        rc = PL_ENOENT;
        if (!is_array(reply, 2) || !reply->element[0]->str)
            rc = pl_queues_odd(err, &args);
        else if (is_array(reply->element[1], 1))
            rc = lease_from(reply->element[1]->element[0], ret_lease, err);
        if (rc == PL_ENOENT)
            snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
        freeReplyObject(reply);
    } while (rc == PL_ENOENT && strcmp(cursor, "0-0") != 0);
    return rc;
}

static int count_deliveries(struct pl_queues *s, enum pl_queue queue, struct pl_lease *lease,
                            struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    char key[160];
    int rc;

    snprintf(key, sizeof key, "%s%s", s->prefix, queue_names[queue]);
    pl_redis_begin(&args, "XPENDING");
    pl_redis_word(&args, key);
    pl_redis_word(&args, group_names[queue]);
    pl_redis_word(&args, lease->entry);
    pl_redis_word(&args, lease->entry);
    pl_redis_word(&args, "1");
    rc = pl_redis_call(s->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    if (is_array(reply, 1) && is_array(reply->element[0], 4))
        lease->deliveries = (uint32_t)reply->element[0]->element[3]->integer;
    freeReplyObject(reply);
    return PL_OK;
}

/* An entry that was leased before, by this worker or another. */
static int lease_again(struct pl_queues *s, enum pl_queue queue, struct pl_lease *ret_lease,
                       struct pl_error *err)
{
    struct pl_queues_reclaim *r = &s->reclaim[queue];
    int rc = PL_ENOENT;

    if (r->from[0]) {
        rc = read_group(s, queue, r->from, 0, ret_lease, err);
        if (rc == PL_OK)
            snprintf(r->from, sizeof r->from, "%s", ret_lease->entry);
        else if (rc == PL_ENOENT)
            r->from[0] = '\0';
    }
    if (rc == PL_ENOENT && now_ms() >= r->next_ms) {
        rc = claim(s, queue, ret_lease, err);
        if (rc == PL_ENOENT) { /* all were looked at: again in about half a lease */
            s->jitter = s->jitter * 6364136223846793005ull + 1442695040888963407ull;
            r->next_ms =
                now_ms() + s->opts.lease_ms / 4 + (s->jitter >> 33) % (s->opts.lease_ms / 2 + 1);
        }
    }
    if (rc == PL_OK) {
        rc = count_deliveries(s, queue, ret_lease, err);
        if (rc < 0)
            pl_lease_release(ret_lease);
    }
    return rc;
}

static void tell_buried(const struct pl_queues *s, enum pl_queue queue,
                        const struct pl_lease *lease, const char *reason)
{
    char line[512];

    if (!s->opts.event)
        return;
    pl_logfmt_print(line, sizeof line, "buried group=%s queue=%s deliveries=%u reason=\"%s\"",
                    lease->group, queue_names[queue], lease->deliveries, reason);
    s->opts.event(s->opts.at, line);
}

int pl_queues_lease(struct pl_queues *stream, enum pl_queue queue, uint64_t wait_ms,
                    struct pl_lease *ret_lease, struct pl_error *err)
{
    const uint64_t end = now_ms() + wait_ms;

    for (;;) {
        struct pl_lease lease = {0};
        const uint64_t now = now_ms(), left = now < end ? end - now : 0;
        int rc = lease_again(stream, queue, &lease, err);

        if (rc == PL_OK && lease.deliveries > stream->opts.deliveries_max) {
            rc = pl_queues_bury(stream, queue, &lease, "delivered too often", err);
            if (rc == PL_OK)
                tell_buried(stream, queue, &lease, "delivered too often");
            pl_lease_release(&lease);
            if (rc < 0)
                return rc;
            continue;
        }
        if (rc == PL_ENOENT)
            rc = read_group(stream, queue, ">", left < WAIT_SLICE_MS ? left : WAIT_SLICE_MS, &lease,
                            err);
        if (rc != PL_ENOENT) {
            if (rc == PL_OK)
                *ret_lease = lease;
            return rc;
        }
        if (now_ms() >= end)
            return PL_ENOENT;
        if (stream->opts.stop && stream->opts.stop(stream->opts.at))
            return pl_fail(err, PL_ECANCELED, "stopped while waiting for work");
    }
}

/* ---- batches ---- */

void pl_ready_release(struct pl_ready *ready)
{
    if (ready->memory)
        freeReplyObject(ready->memory);
    free(ready->groups);
    *ready = (struct pl_ready){0};
}

/* HMGET of the batch; PL_ENOENT unless it is ready. */
static int batch_state(struct pl_queues *s, const char *batch, struct pl_ready *ready,
                       struct pl_error *err)
{
    static const char *const names[] = {"state",    "gate",     "accuracy",
                                        "previous", "expected", "dropped"};
    enum { NAMES = sizeof names / sizeof *names };
    struct pl_redis_args args;
    redisReply *reply;
    char key[160];
    int rc;

    snprintf(key, sizeof key, "%sbatch:%s", s->prefix, batch);
    pl_redis_begin(&args, "HMGET");
    pl_redis_word(&args, key);
    for (int i = 0; i < NAMES; i++)
        pl_redis_word(&args, names[i]);
    rc = pl_redis_call(s->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    rc = PL_ENOENT;
    if (!is_array(reply, NAMES)) {
        rc = pl_queues_odd(err, &args);
    } else if (reply->element[0]->str && strcmp(reply->element[0]->str, "ready") == 0) {
        rc = PL_OK;
        for (int i = 1; i < NAMES; i++)
            if (!reply->element[i]->str)
                rc = pl_queues_odd(err, &args);
    }
    if (rc == PL_OK) {
        snprintf(ready->batch, sizeof ready->batch, "%s", batch);
        ready->gate = strcmp(reply->element[1]->str, "1") == 0;
        ready->accuracy = strtod(reply->element[2]->str, NULL);
        ready->previous = strtod(reply->element[3]->str, NULL);
        ready->expected = strtoul(reply->element[4]->str, NULL, 10);
        ready->dropped = strtoul(reply->element[5]->str, NULL, 10);
    }
    freeReplyObject(reply);
    return rc;
}

static int by_index(const void *a, const void *b)
{
    const struct pl_ready_group *x = a, *y = b;

    return (x->index > y->index) - (x->index < y->index);
}

static int fetch_groups(struct pl_queues *s, struct pl_ready *ready, struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    char key[160];
    int rc;

    snprintf(key, sizeof key, "%sscored:%s", s->prefix, ready->batch);
    pl_redis_begin(&args, "HGETALL");
    pl_redis_word(&args, key);
    rc = pl_redis_call(s->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    if (!is_array(reply, 0) || reply->elements / 2 > GROUPS_MAX) {
        freeReplyObject(reply);
        return pl_queues_odd(err, &args);
    }
    ready->memory = reply;
    ready->groups = calloc(reply->elements / 2 + 1, sizeof *ready->groups);
    if (!ready->groups) {
        pl_ready_release(ready);
        return pl_fail(err, PL_ENOMEM, "no memory for the groups of batch %s", ready->batch);
    }
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *name = reply->element[i], *value = reply->element[i + 1];
        char *end;
        unsigned long index;

        if (name->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING) {
            pl_ready_release(ready);
            return pl_queues_odd(err, &args);
        }
        index = strtoul(name->str, &end, 10);
        if (*end || name->str[0] < '0' || name->str[0] > '9' || index > UINT32_MAX)
            continue; /* "3:text" is for people, and what else is there is nobody's */
        ready->groups[ready->count++] =
            (struct pl_ready_group){(uint32_t)index, value->str, (size_t)value->len};
    }
    qsort(ready->groups, ready->count, sizeof *ready->groups, by_index);
    return PL_OK;
}

/* Pauses of 1 to 16 ms, an eighth of what was waited: neither late nor busy. */
static void look_again_in(uint64_t waited_ms)
{
    const uint64_t ms = waited_ms / 8 < 1 ? 1 : waited_ms / 8 > 16 ? 16 : waited_ms / 8;
    const struct timespec pause = {0, (long)ms * 1000000};

    nanosleep(&pause, NULL);
}

int pl_queues_take(struct pl_queues *stream, const char *batch, uint64_t wait_ms,
                   struct pl_ready *ret_ready, struct pl_error *err)
{
    const uint64_t start = now_ms(), end = start + wait_ms;
    struct pl_ready ready = {0};

    for (;;) {
        int rc = batch_state(stream, batch, &ready, err);

        if (rc == PL_OK)
            rc = fetch_groups(stream, &ready, err);
        if (rc == PL_OK)
            *ret_ready = ready;
        if (rc != PL_ENOENT)
            return rc;
        if (now_ms() >= end)
            return PL_ENOENT;
        if (stream->opts.stop && stream->opts.stop(stream->opts.at))
            return pl_fail(err, PL_ECANCELED, "stopped while waiting for batch %s", batch);
        look_again_in(now_ms() - start);
    }
}

int pl_queues_whole(struct pl_queues *stream, const char *batch, bool *ret_whole,
                    struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    char key[160];
    int rc;

    snprintf(key, sizeof key, "%sbatch:%s", stream->prefix, batch);
    pl_redis_begin(&args, "HMGET");
    pl_redis_word(&args, key);
    pl_redis_word(&args, "fed");
    pl_redis_word(&args, "expected");
    rc = pl_redis_call(stream->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    *ret_whole = is_array(reply, 2) && reply->element[0]->str && reply->element[1]->str &&
                 strcmp(reply->element[0]->str, reply->element[1]->str) == 0;
    freeReplyObject(reply);
    return PL_OK;
}

/* ---- for people ---- */

int pl_queues_note(struct pl_queues *stream, const char *key, const struct pl_field *fields,
                   size_t count, struct pl_error *err)
{
    struct pl_redis_args args;
    char name[160];

    PL_ASSERT(count <= FIELDS_MAX);
    snprintf(name, sizeof name, "%s%s", stream->prefix, key);
    pl_redis_begin(&args, "HSET");
    pl_redis_word(&args, name);
    for (size_t i = 0; i < count; i++) {
        pl_redis_word(&args, fields[i].name);
        pl_redis_word(&args, fields[i].value);
    }
    return pl_redis_call(stream->redis, &args, NULL, err);
}

/* Milliseconds since 1970 by this machine's clock, beside what Redis dates by its own. */
static const char *clock_text(char text[32])
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    snprintf(text, 32, "%lld", (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000);
    return text;
}

int pl_queues_metrics(struct pl_queues *stream, const struct pl_field *fields, size_t count,
                      struct pl_error *err)
{
    struct pl_redis_args args;
    char name[160], clock[32];

    PL_ASSERT(count <= FIELDS_MAX);
    snprintf(name, sizeof name, "%smetrics", stream->prefix);
    pl_redis_begin(&args, "XADD");
    pl_redis_word(&args, name);
    pl_redis_word(&args, "MAXLEN");
    pl_redis_word(&args, "~");
    pl_redis_count(&args, METRICS_KEPT);
    pl_redis_word(&args, "*");
    for (size_t i = 0; i < count; i++) {
        pl_redis_word(&args, fields[i].name);
        pl_redis_word(&args, fields[i].value);
    }
    pl_redis_word(&args, "clock");
    pl_redis_word(&args, clock_text(clock));
    return pl_redis_call(stream->redis, &args, NULL, err);
}

/* Bytes of memory that this process has, 0: not known. */
static unsigned long long resident(void)
{
    unsigned long long all, pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (!file)
        return 0;
    if (fscanf(file, "%llu %llu", &all, &pages) != 2)
        pages = 0;
    fclose(file);
    return pages * (unsigned long long)sysconf(_SC_PAGESIZE);
}

/* What people want to know of any process: where it is, since when, what it takes. */
static int note_process(struct pl_queues *s, const char *key, struct pl_error *err)
{
    static const char restarts_name[] = "PLAIT_RESTARTS"; /* whoever starts it again may say so */
    const char *restarts = getenv(restarts_name);
    char host[65] = "", pid[24], since[24], bytes[24], clock[32];
    const struct pl_field fields[] = {{"role", s->role},
                                      {"host", host},
                                      {"pid", pid},
                                      {"since_ms", since},
                                      {"rss_bytes", bytes},
                                      {"clock", clock_text(clock)},
                                      {"restarts", restarts ? restarts : ""}};

    if (gethostname(host, sizeof host - 1) < 0)
        host[0] = '\0';
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    snprintf(since, sizeof since, "%llu", (unsigned long long)s->since_ms);
    snprintf(bytes, sizeof bytes, "%llu", resident());
    return pl_queues_note(s, key, fields, sizeof fields / sizeof *fields, err);
}

int pl_queues_heartbeat(struct pl_queues *stream, const struct pl_field *fields, size_t count,
                        struct pl_error *err)
{
    struct pl_redis_args args;
    char name[160], key[256];
    int rc;

    snprintf(name, sizeof name, "worker:%s", stream->worker);
    rc = pl_queues_note(stream, name, fields, count, err);
    if (rc == PL_OK)
        rc = note_process(stream, name, err);
    if (rc < 0)
        return rc;
    snprintf(key, sizeof key, "%s%s", stream->prefix, name);
    pl_redis_begin(&args, "PEXPIRE");
    pl_redis_word(&args, key);
    pl_redis_count(&args, 3 * stream->opts.lease_ms);
    return pl_redis_call(stream->redis, &args, NULL, err);
}

/* Of an entry that was deleted by hand Redis still says who had it. */
static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

int pl_queues_ledger(struct pl_queues *stream, struct pl_ledger *ret_ledger, struct pl_error *err)
{
    enum { COUNTS = 11 };
    uint64_t n[COUNTS];
    struct pl_redis_args args;
    struct pl_ledger l;
    redisReply *reply;
    int rc;

    pl_queues_begin(stream, &args, "plait1_ledger");
    rc = pl_redis_call(stream->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    if (!is_array(reply, COUNTS)) {
        freeReplyObject(reply);
        return pl_queues_odd(err, &args);
    }
    for (int i = 0; i < COUNTS; i++)
        n[i] = (uint64_t)reply->element[i]->integer;
    freeReplyObject(reply);
    l = (struct pl_ledger){.fed = n[0],
                           .trained = n[1],
                           .dropped = n[2],
                           .scored = n[3],
                           .queued = n[4] - least(n[4], n[5]),
                           .leased = least(n[4], n[5]),
                           .rolled = n[6] - least(n[6], n[7]),
                           .scoring = least(n[6], n[7]),
                           .ready = n[8],
                           .dead = n[9],
                           .parked = n[10]};
    l.balanced = l.fed == l.trained + l.dropped + l.queued + l.leased + l.rolled + l.scoring +
                              l.scored + l.parked;
    *ret_ledger = l;
    return PL_OK;
}
