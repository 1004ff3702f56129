#include "common/link/queues.h"

#include "common/base/build.h"
#include "common/base/check.h"
#include "common/base/logfmt.h"
#include "common/link/library.h"
#include "common/link/queues_impl.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

enum {
    FIELDS_MAX = 120,
    WAIT_SLICE_MS = 1000,
    METRICS_KEPT = 10000,
    GROUPS_MAX = 1 << 20,
    SUSPICIOUS = 2,
    RECLAIM_MS = 2000 /* and up to as much again: how often leases that ended are looked for */
};

const char *const pl_queue_names[] = {"prompts", "rollouts"};
const char *const pl_queue_readers[] = {"actors", "rewarders"};

uint64_t pl_queues_now_ms(void)
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

    snprintf(key, sizeof key, "%s%s", s->prefix, pl_queue_names[queue]);
    pl_redis_begin(&args, "XGROUP");
    pl_redis_word(&args, "CREATE");
    pl_redis_word(&args, key);
    pl_redis_word(&args, pl_queue_readers[queue]);
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

static int make_life(struct pl_queues *s, struct pl_error *err)
{
    unsigned char bytes[(PL_QUEUES_LIFE - 1) / 2];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return pl_fail_errno(err, "random numbers for the queues");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(s->life + 2 * i, 3, "%02x", bytes[i]);
    return PL_OK;
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
    rc = make_life(s, err);
    if (rc < 0)
        goto fail;
    s->jitter = pl_queues_now_ms();
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
    for (int i = 0; i < 2; i++)
        free(stream->pulses[i]);
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
    static const char *const names[] = {"DONE",    "REPEATED", "RETIRED",
                                        "REFUSED", "LOST",     "COMPLETE"};
    redisReply *reply;
    int rc = pl_redis_call(s->redis, args, &reply, err);

    if (rc < 0)
        return rc;
    rc = PL_EIO;
    s->completed = reply->str && strcmp(reply->str, names[PL_OUTCOME_LOST + 1]) == 0;
    if (s->completed) {
        *ret_outcome = PL_OUTCOME_DONE;
        rc = PL_OK;
    }
    for (int i = PL_OUTCOME_DONE; reply->str && i <= PL_OUTCOME_LOST; i++)
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
    pl_redis_word(&args, stream->worker);
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
    static const char *const names[] = {"done", "repeated", "retired", "refused", "lost"};

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
    pl_redis_word(&args, pl_queue_names[queue]);
    pl_redis_word(&args, place.batch);
    pl_redis_word(&args, place.index);
    pl_redis_word(&args, lease->entry);
    pl_redis_word(&args, reason);
    pl_redis_word(&args, stream->worker);
    pl_redis_count(&args, lease->deliveries);
    pl_redis_bytes(&args, lease->pb, lease->pb_len);
    return pl_queues_outcome(stream, &args, &outcome, err);
}

static int give_back(struct pl_queues *stream, enum pl_queue queue, const struct pl_lease *lease,
                     const char *reason, struct pl_error *err)
{
    struct pl_redis_args args;
    enum pl_outcome outcome = PL_OUTCOME_DONE;
    struct pl_queues_place place;
    int rc = pl_queues_place(lease->group, &place, err);

    if (rc < 0)
        return rc;
    pl_queues_begin(stream, &args, "plait1_give_back");
    pl_redis_word(&args, pl_queue_names[queue]);
    pl_redis_word(&args, place.batch);
    pl_redis_word(&args, place.index);
    pl_redis_word(&args, lease->entry);
    pl_redis_word(&args, stream->worker);
    pl_redis_word(&args, reason);
    pl_redis_count(&args, stream->opts.deliveries_max);
    return pl_queues_outcome(stream, &args, &outcome, err);
}

int pl_queues_return(struct pl_queues *stream, enum pl_queue queue, const struct pl_lease *lease,
                     struct pl_error *err)
{
    return give_back(stream, queue, lease, "", err);
}

int pl_queues_set_back(struct pl_queues *stream, enum pl_queue queue, const struct pl_lease *lease,
                       const char *reason, struct pl_error *err)
{
    return give_back(stream, queue, lease, reason, err);
}

int pl_queues_begin_work(struct pl_queues *stream, enum pl_queue queue,
                         const struct pl_lease *lease, enum pl_outcome *ret_outcome,
                         struct pl_error *err)
{
    struct pl_redis_args args;
    struct pl_queues_place place;
    int rc = pl_queues_place(lease->group, &place, err);

    if (rc < 0)
        return rc;
    pl_queues_begin(stream, &args, "plait1_begin");
    pl_redis_word(&args, pl_queue_names[queue]);
    pl_redis_word(&args, place.batch);
    pl_redis_word(&args, place.index);
    pl_redis_word(&args, lease->entry);
    pl_redis_word(&args, stream->worker);
    pl_redis_word(&args, stream->life);
    return pl_queues_outcome(stream, &args, ret_outcome, err);
}

void pl_queues_holding(struct pl_queues *stream, size_t count)
{
    stream->holding = count;
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
        pl_redis_word(&args, pl_queue_names[queue]);
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

/* From [field, value, ...]. */
static int lease_from(const char *entry, const redisReply *fields, struct pl_lease *ret_lease,
                      struct pl_error *err)
{
    const redisReply *id, *pb, *signature;
    struct pl_lease lease = {.deliveries = 1};

    if (!is_array(fields, 2))
        return pl_fail(err, PL_EIO, "Redis gave an entry of an unexpected form");
    snprintf(lease.entry, sizeof lease.entry, "%s", entry);
    id = field_of(fields, "id");
    pb = field_of(fields, "pb");
    signature = field_of(fields, "signature");
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

/* XREADGROUP of new entries. PL_ENOENT: none. */
static int read_group(struct pl_queues *s, enum pl_queue queue, uint64_t wait_ms,
                      struct pl_lease *ret_lease, struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    char key[160];
    int rc;

    snprintf(key, sizeof key, "%s%s", s->prefix, pl_queue_names[queue]);
    pl_redis_begin(&args, "XREADGROUP");
    pl_redis_word(&args, "GROUP");
    pl_redis_word(&args, pl_queue_readers[queue]);
    pl_redis_word(&args, s->worker);
    pl_redis_word(&args, "COUNT");
    pl_redis_word(&args, "1");
    if (wait_ms > 0) {
        pl_redis_word(&args, "BLOCK");
        pl_redis_count(&args, wait_ms);
    }
    pl_redis_word(&args, "STREAMS");
    pl_redis_word(&args, key);
    pl_redis_word(&args, ">");
    rc = pl_redis_call(s->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    rc = PL_ENOENT;
    if (is_array(reply, 1) && is_array(reply->element[0], 2) &&
        is_array(reply->element[0]->element[1], 1)) {
        const redisReply *entry = reply->element[0]->element[1]->element[0];

        rc = is_array(entry, 2) && entry->element[0]->str
                 ? lease_from(entry->element[0]->str, entry->element[1], ret_lease, err)
                 : pl_queues_odd(err, &args);
    }
    freeReplyObject(reply);
    return rc;
}

/* Lines of what the function did on the way: "parked group=12:3 ...". */
static void tell_all(const struct pl_queues *s, const redisReply *lines)
{
    for (size_t i = 0; s->opts.event && i < lines->elements; i++)
        if (lines->element[i]->str)
            s->opts.event(s->opts.at, lines->element[i]->str);
}

/*
 * plait1_lease: what is to be done again, of this worker's own and of what others have abandoned;
 * or whether `fresh`, a lease that it was just given, is good. PL_ENOENT: there is nothing, or it
 * is not.
 */
static int ask_lease(struct pl_queues *s, enum pl_queue queue, struct pl_lease *fresh,
                     struct pl_lease *ret_lease, struct pl_error *err)
{
    enum { ENTRY, ENDED, FROM, LEFT, SAID, FIELDS };
    struct pl_queues_reclaim *r = &s->reclaim[queue];
    const bool again = !fresh && r->left && s->holding == 0;
    struct pl_redis_args args;
    redisReply *reply;
    int rc;

    pl_queues_begin(s, &args, "plait1_lease");
    pl_redis_word(&args, pl_queue_names[queue]);
    pl_redis_word(&args, s->worker);
    pl_redis_word(&args, s->life);
    pl_redis_count(&args, s->opts.lease_ms);
    pl_redis_count(&args, s->opts.deliveries_max);
    pl_redis_count(&args, s->holding);
    pl_redis_word(&args, again ? "0" : r->from);
    pl_redis_word(&args, fresh ? fresh->entry : "");
    rc = pl_redis_call(s->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    if (!is_array(reply, FIELDS) || !reply->element[ENTRY]->str || !reply->element[FROM]->str ||
        !is_array(reply->element[SAID], 0) || reply->element[ENDED]->integer < 0 ||
        reply->element[ENDED]->integer >= (long long)s->opts.deliveries_max) {
        freeReplyObject(reply);
        return pl_queues_odd(err, &args);
    }
    tell_all(s, reply->element[SAID]);
    r->left = (r->left && !again) || reply->element[LEFT]->integer == 1;
    if (!fresh)
        snprintf(r->from, sizeof r->from, "%s", reply->element[FROM]->str);
    rc = PL_ENOENT;
    if (reply->element[ENTRY]->str[0]) {
        rc = PL_OK;
        if (!fresh)
            rc = lease_from(reply->element[ENTRY]->str,
                            reply->elements > FIELDS ? reply->element[FIELDS] : NULL, ret_lease,
                            err);
        else
            *ret_lease = *fresh;
    }
    if (rc == PL_OK) {
        ret_lease->deliveries = (uint32_t)reply->element[ENDED]->integer + 1;
        s->alone = reply->element[ENDED]->integer >= SUSPICIOUS;
    }
    freeReplyObject(reply);
    return rc;
}

/* An entry that was leased before, by this worker or another. */
static int lease_again(struct pl_queues *s, enum pl_queue queue, struct pl_lease *ret_lease,
                       struct pl_error *err)
{
    struct pl_queues_reclaim *r = &s->reclaim[queue];
    int rc;

    if (!r->from[0] && !(r->left && s->holding == 0) && pl_queues_now_ms() < r->next_ms)
        return PL_ENOENT;
    rc = ask_lease(s, queue, NULL, ret_lease, err);
    if (rc == PL_ENOENT) { /* all were looked at: a lease that ends waits no longer than this */
        const uint64_t pause =
            s->opts.lease_ms / 4 < RECLAIM_MS ? s->opts.lease_ms / 4 : RECLAIM_MS;

        s->jitter = s->jitter * 6364136223846793005ull + 1442695040888963407ull;
        r->next_ms = pl_queues_now_ms() + pause + (s->jitter >> 33) % (pause + 1);
    }
    return rc;
}

/* *ret_next: one came, but it is not for this worker. */
static int lease_fresh(struct pl_queues *s, enum pl_queue queue, uint64_t wait_ms,
                       struct pl_lease *ret_lease, bool *ret_next, struct pl_error *err)
{
    struct pl_lease fresh = {0};
    int rc = read_group(s, queue, wait_ms, &fresh, err);

    if (rc < 0)
        return rc;
    rc = ask_lease(s, queue, &fresh, ret_lease, err);
    *ret_next = rc == PL_ENOENT;
    if (rc < 0)
        pl_lease_release(&fresh);
    return rc;
}

/* With one that is suspicious nothing else is held that it could take along. */
static bool is_alone(struct pl_queues *s)
{
    s->alone = s->alone && s->holding > 0;
    return s->alone;
}

static void pause_ms(uint64_t ms)
{
    const struct timespec pause = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

int pl_queues_lease(struct pl_queues *stream, enum pl_queue queue, uint64_t wait_ms,
                    struct pl_lease *ret_lease, struct pl_error *err)
{
    const uint64_t end = pl_queues_now_ms() + wait_ms;

    for (;;) {
        struct pl_lease lease = {0};
        const uint64_t now = pl_queues_now_ms(), left = now < end ? end - now : 0;
        const uint64_t slice = left < WAIT_SLICE_MS ? left : WAIT_SLICE_MS;
        bool next = false;
        int rc = PL_ENOENT;

        if (is_alone(stream)) {
            pause_ms(slice);
        } else {
            rc = lease_again(stream, queue, &lease, err);
            if (rc == PL_ENOENT)
                rc = lease_fresh(stream, queue, slice, &lease, &next, err);
        }
        if (rc != PL_ENOENT) {
            if (rc == PL_OK)
                *ret_lease = lease;
            return rc;
        }
        if (!next && pl_queues_now_ms() >= end)
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

static int by_index(const void *a, const void *b)
{
    const struct pl_ready_group *x = a, *y = b;

    return (x->index > y->index) - (x->index < y->index);
}

static bool share_of(const redisReply *value, double *ret)
{
    char *end;

    if (!value->str || !value->str[0])
        return false;
    *ret = strtod(value->str, &end);
    return !*end && *ret >= 0.0 && *ret <= 1.0;
}

/* Written as we write it: "07" is not 7. */
static bool number_of(const redisReply *value, size_t most, size_t *ret)
{
    if (!value->str || !value->str[0] || strlen(value->str) > 9 ||
        value->str[strspn(value->str, "0123456789")] || (value->str[0] == '0' && value->str[1]))
        return false;
    *ret = strtoul(value->str, NULL, 10);
    return *ret <= most;
}

/* What a batch came to is no such thing: whoever wrote it, it is counted again from its groups. */
static int count_again(struct pl_queues *s, const char *batch, struct pl_error *err)
{
    enum pl_outcome outcome;
    struct pl_redis_args args;

    pl_queues_begin(s, &args, "plait1_recount");
    pl_redis_word(&args, batch);
    return pl_queues_outcome(s, &args, &outcome, err);
}

/* HMGET of the batch; PL_ENOENT unless it is ready. */
static int batch_state(struct pl_queues *s, const char *batch, struct pl_ready *ready,
                       struct pl_error *err)
{
    enum { STATE, GATE, ACCURACY, PREVIOUS, EXPECTED, DROPPED, NAMES };
    static const char *const names[] = {"state",    "gate",     "accuracy",
                                        "previous", "expected", "dropped"};
    struct pl_redis_args args;
    redisReply *reply, **f;
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
    f = is_array(reply, NAMES) ? reply->element : NULL;
    if (!f) {
        rc = pl_queues_odd(err, &args);
    } else if (f[STATE]->str && strcmp(f[STATE]->str, "ready") == 0) {
        if (f[GATE]->str && share_of(f[ACCURACY], &ready->accuracy) &&
            share_of(f[PREVIOUS], &ready->previous) &&
            number_of(f[EXPECTED], GROUPS_MAX, &ready->expected) &&
            number_of(f[DROPPED], ready->expected, &ready->dropped)) {
            snprintf(ready->batch, sizeof ready->batch, "%s", batch);
            ready->gate = strcmp(f[GATE]->str, "1") == 0;
            rc = PL_OK;
        } else {
            rc = count_again(s, batch, err);
            rc = rc == PL_OK ? PL_ENOENT : rc;
        }
    }
    freeReplyObject(reply);
    return rc;
}

/* HGETALL of a hash of the batch. */
static int fetch_hash(struct pl_queues *s, const char *kind, const char *batch,
                      redisReply **ret_reply, struct pl_error *err)
{
    struct pl_redis_args args;
    char key[160];
    int rc;

    snprintf(key, sizeof key, "%s%s:%s", s->prefix, kind, batch);
    pl_redis_begin(&args, "HGETALL");
    pl_redis_word(&args, key);
    rc = pl_redis_call(s->redis, &args, ret_reply, err);
    if (rc == PL_OK && !is_array(*ret_reply, 0)) {
        freeReplyObject(*ret_reply);
        rc = pl_queues_odd(err, &args);
    }
    return rc;
}

/* Of all groups of the batch, those that count as scored; and as dropped, where somebody who may
 * has said so (dropped:<b>), whatever is written of them elsewhere. */
static int list_groups(struct pl_queues *s, const struct pl_ready *ready, bool *scored,
                       size_t *ret_dropped, struct pl_error *err)
{
    redisReply *groups, *dropped = NULL;
    size_t index;
    int rc = fetch_hash(s, "groups", ready->batch, &groups, err);

    if (rc == PL_OK && ready->dropped > 0) {
        rc = fetch_hash(s, "dropped", ready->batch, &dropped, err);
        if (rc < 0)
            freeReplyObject(groups);
    }
    if (rc < 0)
        return rc;
    *ret_dropped = 0;
    for (size_t i = 0; i + 1 < groups->elements; i += 2) {
        const char *at = groups->element[i + 1]->str;

        if (!at || !number_of(groups->element[i], ready->expected, &index) ||
            index >= ready->expected)
            continue;
        scored[index] = strcmp(at, "scored") == 0;
        if (dropped && (strcmp(at, "dead") == 0 || strncmp(at, "dead ", 5) == 0))
            *ret_dropped += field_of(dropped, groups->element[i]->str) != NULL;
    }
    freeReplyObject(groups);
    if (dropped)
        freeReplyObject(dropped);
    return PL_OK;
}

/* PL_ENOENT: some of its scores are not there (any more); feeding has them made again. What else
 * stands in the hash is for people, or nobody's. */
static int fetch_groups(struct pl_queues *s, struct pl_ready *ready, struct pl_error *err)
{
    bool *scored = calloc(ready->expected + 1, sizeof *scored);
    redisReply *reply;
    size_t dropped = 0;
    int rc;

    ready->groups = calloc(ready->expected + 1, sizeof *ready->groups);
    rc = scored && ready->groups
             ? list_groups(s, ready, scored, &dropped, err)
             : pl_fail(err, PL_ENOMEM, "no memory for the groups of batch %s", ready->batch);
    if (rc == PL_OK)
        rc = fetch_hash(s, "scored", ready->batch, &reply, err);
    if (rc < 0)
        goto out;
    ready->memory = reply;
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *value = reply->element[i + 1];
        size_t index;

        if (!number_of(reply->element[i], ready->expected, &index) || index >= ready->expected ||
            !scored[index] || value->type != REDIS_REPLY_STRING)
            continue;
        ready->groups[ready->count++] =
            (struct pl_ready_group){(uint32_t)index, value->str, (size_t)value->len};
    }
    rc = dropped == ready->dropped && ready->count + dropped == ready->expected ? PL_OK : PL_ENOENT;
    qsort(ready->groups, ready->count, sizeof *ready->groups, by_index);
out:
    free(scored);
    return rc;
}

/* Pauses of 1 to 16 ms, an eighth of what was waited: neither late nor busy. */
static void look_again_in(uint64_t waited_ms)
{
    pause_ms(waited_ms / 8 < 1 ? 1 : waited_ms / 8 > 16 ? 16 : waited_ms / 8);
}

int pl_queues_take(struct pl_queues *stream, const char *batch, uint64_t wait_ms,
                   struct pl_ready *ret_ready, struct pl_error *err)
{
    const uint64_t start = pl_queues_now_ms(), end = start + wait_ms;

    for (;;) {
        struct pl_ready ready = {0};
        int rc = batch_state(stream, batch, &ready, err);

        if (rc == PL_OK)
            rc = fetch_groups(stream, &ready, err);
        if (rc == PL_OK)
            *ret_ready = ready;
        else
            pl_ready_release(&ready);
        if (rc != PL_ENOENT)
            return rc;
        if (pl_queues_now_ms() >= end)
            return PL_ENOENT;
        if (stream->opts.stop && stream->opts.stop(stream->opts.at))
            return pl_fail(err, PL_ECANCELED, "stopped while waiting for batch %s", batch);
        look_again_in(pl_queues_now_ms() - start);
    }
}

int pl_queues_whole(struct pl_queues *stream, const char *batch, bool *ret_whole,
                    struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    int rc;

    pl_queues_begin(stream, &args, "plait1_whole");
    pl_redis_word(&args, batch);
    rc = pl_redis_call(stream->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    *ret_whole = reply->integer == 1;
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
    char host[65] = "", pid[24], since[24], bytes[24], clock[32], beat[24];
    const struct pl_field fields[] = {{"role", s->role},
                                      {"host", host},
                                      {"pid", pid},
                                      {"since_ms", since},
                                      {"rss_bytes", bytes},
                                      {"clock", clock_text(clock)},
                                      {"restarts", restarts ? restarts : ""},
                                      {"beat", beat},
                                      {"build", pl_build()}};

    if (gethostname(host, sizeof host - 1) < 0)
        host[0] = '\0';
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    snprintf(since, sizeof since, "%llu", (unsigned long long)s->since_ms);
    snprintf(bytes, sizeof bytes, "%llu", resident());
    snprintf(beat, sizeof beat, "%llu", (unsigned long long)++s->beats);
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
