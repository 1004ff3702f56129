/*
 * The sink of weights: one thread that hears announcements and pulls versions, chunk by chunk with
 * a window of questions ahead. A question that is not answered in time is asked again; a version
 * that does not come or is not what its hashes say is begun anew.
 */
#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/link/bcast.h"
#include "common/link/delta.h"
#include "common/link/version.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>
#include <zstd.h>

enum {
    WINDOW = 8,
    WINDOW_MAX = 64,
    VERSIONS = 3,
    VERSIONS_MAX = 16,
    TIMEOUT_MS = 1000, /* of one question */
    ABSENT_MS = 50,    /* before asking again for what was not there */
    TICK_MS = 25,
    TRIES_MAX = 40, /* time-outs in a row before the connection is made anew */
};

/* A version that is there, whole and checked. */
struct ready {
    uint64_t version;
    uint16_t *values;
    unsigned char hash[PL_WEIGHTS_HASH];
};

enum phase { PHASE_IDLE, PHASE_MANIFEST, PHASE_CHUNKS };

/* The version that is being pulled. */
struct pull {
    enum phase phase;
    uint64_t version;
    double started_s;
    struct pl_manifest manifest;
    size_t transfer;        /* which one of the manifest */
    unsigned char *payload; /* decompressed, or the snapshot's values */
    size_t payload_len, payload_cap;
    size_t next, done; /* chunks asked for, and put in place: answers come in order */
    uint64_t asked_ms; /* when the last question or answer was */
    unsigned tries;
    uint64_t not_before_ms;
};

struct pl_weights_sink {
    struct pl_weights_sink_opts opts;
    char *run, *pub, *serve;
    void *context, *sub, *dealer;
    int wake;
    pthread_t thread;
    bool running;
    struct pull pull; /* the thread's */
    void *spare;      /* the thread's: room_bytes() of a version that is not kept any more */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct ready ready[VERSIONS_MAX]; /* oldest first */
    size_t count;
    uint64_t newest, wanted;
    bool stop, woken;
    char heard[160]; /* what went wrong last */
    struct pl_weights_sink_stats stats;
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static size_t values_bytes(const struct pl_weights_sink *s)
{
    return s->opts.table.values * sizeof(uint16_t);
}

/* Of values, or of a transfer: a delta is never larger than the values and its framing. */
static size_t room_bytes(const struct pl_weights_sink *s)
{
    return values_bytes(s) + s->opts.table.count * 8 + 64;
}

static void *take_room(struct pl_weights_sink *s)
{
    void *room = s->spare ? s->spare : malloc(room_bytes(s));

    s->spare = NULL;
    return room;
}

static void give_room(struct pl_weights_sink *s, void *room)
{
    if (s->spare)
        free(room);
    else
        s->spare = room;
}

static const struct ready *find(const struct pl_weights_sink *s, uint64_t version)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->ready[i].version == version)
            return &s->ready[i];
    return NULL;
}

static void hear(struct pl_weights_sink *s, const char *what)
{
    pthread_mutex_lock(&s->lock);
    strncpy(s->heard, what, sizeof s->heard - 1);
    pthread_mutex_unlock(&s->lock);
}

/* ---- pulling ---- */

static void pull_end(struct pl_weights_sink *s)
{
    pl_manifest_release(&s->pull.manifest);
    free(s->pull.payload);
    s->pull = (struct pull){.not_before_ms = s->pull.not_before_ms};
}

/* Begin anew a little later. */
static void pull_fail(struct pl_weights_sink *s, const char *why, bool refused)
{
    hear(s, why);
    pthread_mutex_lock(&s->lock);
    s->stats.retries++;
    s->stats.refused += refused;
    pthread_mutex_unlock(&s->lock);
    s->pull.not_before_ms = now_ms() + ABSENT_MS;
    pull_end(s);
}

static void ask(struct pl_weights_sink *s, enum pl_weights_what what, size_t chunk)
{
    struct pl_weights_request r = {.version = s->pull.version,
                                   .what = what,
                                   .transfer = (uint32_t)s->pull.transfer,
                                   .chunk = (uint32_t)chunk};
    struct pl_buf buf;

    strcpy(r.run, s->run);
    pl_buf_init(&buf, PL_WEIGHTS_MESSAGE_MAX);
    s->pull.asked_ms = now_ms();
    if (pl_weights_request_encode(&r, false, &buf) < 0 ||
        zmq_send(s->dealer, buf.data, buf.len, ZMQ_DONTWAIT) < 0)
        s->pull.asked_ms -= TIMEOUT_MS - ABSENT_MS; /* not connected yet: soon again */
    pl_buf_release(&buf);
}

static void ask_chunks(struct pl_weights_sink *s)
{
    const struct pl_transfer *t = &s->pull.manifest.transfers[s->pull.transfer];
    const size_t window = s->opts.window ? s->opts.window : WINDOW;

    while (s->pull.next < t->chunk_count && s->pull.next < s->pull.done + window)
        ask(s, PL_WEIGHTS_CHUNK, s->pull.next++);
}

/* The version that is to be pulled next, 0: none. What is asked for goes before what is newest. */
static uint64_t next_version(struct pl_weights_sink *s)
{
    uint64_t version = 0;

    pthread_mutex_lock(&s->lock);
    if (s->wanted && !find(s, s->wanted))
        version = s->wanted;
    else if (s->newest && !find(s, s->newest))
        version = s->newest;
    pthread_mutex_unlock(&s->lock);
    return version;
}

static void pull_begin(struct pl_weights_sink *s)
{
    const uint64_t version = now_ms() < s->pull.not_before_ms ? 0 : next_version(s);

    if (version == 0)
        return;
    s->pull.version = version;
    s->pull.phase = PHASE_MANIFEST;
    s->pull.started_s = (double)now_ms() * 1e-3;
    ask(s, PL_WEIGHTS_MANIFEST, 0);
}

/* Keep a version; the oldest that nobody waits for makes room. */
static void keep(struct pl_weights_sink *s, uint16_t *values)
{
    const size_t most = s->opts.versions_max ? s->opts.versions_max : VERSIONS;
    struct ready new = {.version = s->pull.version, .values = values};
    size_t at;

    memcpy(new.hash, s->pull.manifest.hash, sizeof new.hash);
    pthread_mutex_lock(&s->lock);
    if (s->count == most) {
        give_room(s, s->ready[0].values);
        s->count--;
        memmove(s->ready, s->ready + 1, s->count * sizeof *s->ready);
    }
    for (at = s->count; at > 0 && s->ready[at - 1].version > new.version; at--)
        s->ready[at] = s->ready[at - 1];
    s->ready[at] = new;
    s->count++;
    if (s->pull.manifest.transfers[s->pull.transfer].snapshot)
        s->stats.snapshots++;
    else
        s->stats.deltas++;
    s->stats.last_s = (double)now_ms() * 1e-3 - s->pull.started_s;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* A snapshot is its values; its chunks' hashes are those that the manifest promised. */
static int take_snapshot(struct pl_weights_sink *s, uint16_t **ret_values, struct pl_error *err)
{
    struct pull *p = &s->pull;
    const struct pl_transfer *t = &p->manifest.transfers[p->transfer];
    unsigned char hash[PL_WEIGHTS_HASH];

    if (p->payload_len != values_bytes(s))
        return pl_fail(err, PL_EFORMAT, "a snapshot of %zu bytes; %zu are expected", p->payload_len,
                       values_bytes(s));
    pl_chunks_hash(t->chunks, t->chunk_count, hash);
    if (memcmp(hash, p->manifest.hash, sizeof hash) != 0)
        return pl_fail(err, PL_EFORMAT, "the weights do not have the hash that was promised");
    *ret_values = (uint16_t *)(void *)p->payload;
    p->payload = NULL;
    return PL_OK;
}

/* What changed, over a copy of the version before. *ret_values may be set on failure too. */
static int take_delta(struct pl_weights_sink *s, uint16_t **ret_values, struct pl_error *err)
{
    struct pull *p = &s->pull;
    const struct pl_transfer *t = &p->manifest.transfers[p->transfer];
    unsigned char hash[PL_WEIGHTS_HASH];
    uint16_t *values = take_room(s);
    const struct ready *base;
    int rc;

    *ret_values = values;
    if (!values)
        return pl_fail(err, PL_ENOMEM, "no memory for a version of the weights");
    pthread_mutex_lock(&s->lock);
    base = find(s, t->against);
    pthread_mutex_unlock(&s->lock);
    if (!base) /* only this thread changes what is kept, so that it stays while it is copied */
        return pl_fail(err, PL_ENOENT, "the version a delta is against is gone");
    pl_values_copy(values, base->values, s->opts.table.values);
    rc = pl_delta_apply(&s->opts.table, p->payload, p->payload_len, values, err);
    if (rc == PL_OK && pl_values_hash(values, s->opts.table.values, hash) < 0)
        rc = pl_fail(err, PL_ENOMEM, "no memory for a version of the weights");
    if (rc == PL_OK && memcmp(hash, p->manifest.hash, sizeof hash) != 0)
        rc = pl_fail(err, PL_EFORMAT, "the weights do not have the hash that was promised");
    return rc;
}

/* All chunks are there: put the values together, check them, hand them out. */
static void pull_finish(struct pl_weights_sink *s)
{
    struct pl_error err = {0};
    uint16_t *values = NULL;
    size_t at;
    int rc = s->pull.manifest.transfers[s->pull.transfer].snapshot ? take_snapshot(s, &values, &err)
                                                                   : take_delta(s, &values, &err);

    if (rc == PL_OK && pl_values_check(values, s->opts.table.values, &at) < 0)
        rc = pl_fail(&err, PL_EFORMAT, "value %zu of the weights is not finite", at);
    if (rc < 0) {
        if (values)
            give_room(s, values);
        pull_fail(s, err.text, rc == PL_EFORMAT);
        return;
    }
    keep(s, values);
    pull_end(s);
}

static bool make_room(struct pl_weights_sink *s)
{
    const bool snapshot = s->pull.manifest.transfers[s->pull.transfer].snapshot;

    s->pull.payload_cap = room_bytes(s);
    s->pull.payload = snapshot ? take_room(s) : malloc(room_bytes(s));
    return s->pull.payload != NULL;
}

static void take_manifest(struct pl_weights_sink *s, const void *bytes, size_t len)
{
    struct pull *p = &s->pull;
    struct pl_error err = {0};
    bool has_base = false;

    if (pl_manifest_decode(bytes, len, &p->manifest, &err) < 0) {
        pull_fail(s, err.text, true);
        return;
    }
    if (strcmp(p->manifest.run, s->run) != 0 || p->manifest.version != p->version ||
        p->manifest.values != s->opts.table.values || p->manifest.transfer_count == 0) {
        pull_fail(s, "the manifest is of another run, version or shape", true);
        return;
    }
    p->transfer = 0;
    for (size_t t = 0; t < p->manifest.transfer_count; t++) {
        pthread_mutex_lock(&s->lock);
        has_base = !p->manifest.transfers[t].snapshot && find(s, p->manifest.transfers[t].against);
        pthread_mutex_unlock(&s->lock);
        if (has_base)
            p->transfer = t;
    }
    if (!make_room(s)) {
        pull_fail(s, "no memory for a version of the weights", false);
        return;
    }
    p->phase = PHASE_CHUNKS;
    ask_chunks(s);
    if (p->manifest.transfers[p->transfer].chunk_count == 0)
        pull_finish(s);
}

/* A chunk's bytes behind what is there: as they are, or decompressed. */
static bool append(struct pull *p, bool raw, const void *bytes, size_t len)
{
    unsigned char *to = p->payload + p->payload_len;
    const size_t left = p->payload_cap - p->payload_len;
    size_t used = len;

    if (raw && len <= left)
        memcpy(to, bytes, len);
    else if (raw)
        return false;
    else
        used = ZSTD_decompress(to, left, bytes, len);
    if (!raw && ZSTD_isError(used))
        return false;
    p->payload_len += used;
    return true;
}

static void take_chunk(struct pl_weights_sink *s, const struct pl_weights_request *answer,
                       const void *bytes, size_t len)
{
    struct pull *p = &s->pull;
    const struct pl_transfer *t = &p->manifest.transfers[p->transfer];
    unsigned char hash[PL_WEIGHTS_HASH];

    if (answer->transfer != p->transfer || answer->chunk != p->done)
        return; /* of an earlier question, asked twice */
    pl_sha256(bytes, len, hash);
    if (len != t->chunks[p->done].bytes ||
        memcmp(hash, t->chunks[p->done].hash, sizeof hash) != 0) {
        pull_fail(s, "a chunk of the weights is not what its hash says", true);
        return;
    }
    if (!append(p, t->snapshot, bytes, len)) {
        pull_fail(s, "a chunk of the weights cannot be unpacked", true);
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->stats.bytes += len;
    pthread_mutex_unlock(&s->lock);
    p->done++;
    p->tries = 0;
    p->asked_ms = now_ms();
    if (p->done == t->chunk_count)
        pull_finish(s);
    else
        ask_chunks(s);
}

static void take_answer(struct pl_weights_sink *s, const void *head, size_t head_len,
                        const void *payload, size_t len)
{
    struct pl_weights_request answer;

    if (s->pull.phase == PHASE_IDLE ||
        pl_weights_request_decode(head, head_len, true, &answer, NULL) < 0 ||
        answer.version != s->pull.version)
        return;
    if (answer.error != PL_WEIGHTS_FINE) {
        pull_fail(s,
                  answer.error == PL_WEIGHTS_ABSENT ? "the source does not have it"
                                                    : "the source calls the question bad",
                  false);
        return;
    }
    if (answer.what == PL_WEIGHTS_MANIFEST && s->pull.phase == PHASE_MANIFEST)
        take_manifest(s, payload, len);
    else if (answer.what == PL_WEIGHTS_CHUNK && s->pull.phase == PHASE_CHUNKS)
        take_chunk(s, &answer, payload, len);
}

/* ---- the thread ---- */

static void *open_dealer(struct pl_weights_sink *s)
{
    const int linger = 0, immediate = 1, ivl = 100, ivl_max = 5000;
    const int64_t most = PL_WEIGHTS_MESSAGE_MAX;
    void *socket = zmq_socket(s->context, ZMQ_DEALER);

    if (!socket)
        return NULL;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_IMMEDIATE, &immediate, sizeof immediate);
    zmq_setsockopt(socket, ZMQ_RECONNECT_IVL, &ivl, sizeof ivl);
    zmq_setsockopt(socket, ZMQ_RECONNECT_IVL_MAX, &ivl_max, sizeof ivl_max);
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
    if (zmq_connect(socket, s->serve) < 0) {
        zmq_close(socket);
        return NULL;
    }
    return socket;
}

static void take_announcements(struct pl_weights_sink *s)
{
    struct pl_announcement a;
    zmq_msg_t m;

    for (;;) {
        zmq_msg_init(&m);
        if (zmq_msg_recv(&m, s->sub, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&m);
            return;
        }
        if (pl_announcement_decode(zmq_msg_data(&m), zmq_msg_size(&m), &a, NULL) == PL_OK &&
            strcmp(a.run, s->run) == 0) {
            pthread_mutex_lock(&s->lock);
            s->newest = a.version > s->newest ? a.version : s->newest;
            pthread_mutex_unlock(&s->lock);
        }
        zmq_msg_close(&m);
    }
}

/* All answers that have come: [head][payload]. */
static void take_answers(struct pl_weights_sink *s)
{
    for (;;) {
        zmq_msg_t head, payload, rest;
        bool whole = false;

        zmq_msg_init(&head);
        zmq_msg_init(&payload);
        if (zmq_msg_recv(&head, s->dealer, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&head);
            zmq_msg_close(&payload);
            return;
        }
        if (zmq_msg_more(&head))
            whole = zmq_msg_recv(&payload, s->dealer, ZMQ_DONTWAIT) >= 0;
        for (bool more = whole && zmq_msg_more(&payload); more;) {
            zmq_msg_init(&rest);
            more = zmq_msg_recv(&rest, s->dealer, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&rest);
            zmq_msg_close(&rest);
        }
        if (whole)
            take_answer(s, zmq_msg_data(&head), zmq_msg_size(&head), zmq_msg_data(&payload),
                        zmq_msg_size(&payload));
        zmq_msg_close(&head);
        zmq_msg_close(&payload);
    }
}

/* A question was not answered: ask again, at last over a connection made anew. */
static void check_time(struct pl_weights_sink *s)
{
    struct pull *p = &s->pull;

    if (p->phase == PHASE_IDLE || now_ms() < p->asked_ms + TIMEOUT_MS)
        return;
    if (p->tries > 0)
        hear(s, "the source does not answer");
    if (++p->tries % TRIES_MAX == 0) {
        void *anew = open_dealer(s);

        if (anew) {
            zmq_close(s->dealer);
            s->dealer = anew;
        }
    }
    pthread_mutex_lock(&s->lock);
    s->stats.retries++;
    pthread_mutex_unlock(&s->lock);
    if (p->phase == PHASE_MANIFEST) {
        ask(s, PL_WEIGHTS_MANIFEST, 0);
        return;
    }
    p->next = p->done;
    ask_chunks(s);
}

static void *run(void *at)
{
    struct pl_weights_sink *s = at;
    bool stop = false;

    while (!stop) {
        zmq_pollitem_t items[] = {{s->sub, 0, ZMQ_POLLIN, 0},
                                  {s->dealer, 0, ZMQ_POLLIN, 0},
                                  {NULL, s->wake, ZMQ_POLLIN, 0}};
        uint64_t count;

        if (zmq_poll(items, 3, s->pull.phase == PHASE_IDLE ? ABSENT_MS : TICK_MS) < 0 &&
            errno != EINTR)
            break;
        if (items[0].revents)
            take_announcements(s);
        if (items[1].revents)
            take_answers(s);
        if (items[2].revents)
            (void)!read(s->wake, &count, sizeof count);
        check_time(s);
        if (s->pull.phase == PHASE_IDLE)
            pull_begin(s);
        pthread_mutex_lock(&s->lock);
        stop = s->stop;
        pthread_mutex_unlock(&s->lock);
    }
    pull_end(s);
    return NULL;
}

/* ---- the owner's side ---- */

int pl_weights_sink_create(const struct pl_weights_sink_opts *opts,
                           struct pl_weights_sink **ret_sink, struct pl_error *err)
{
    const int linger = 0;
    pthread_condattr_t attr;
    struct pl_weights_sink *s;

    if (opts->window > WINDOW_MAX || opts->versions_max > VERSIONS_MAX ||
        strlen(opts->run) >= PL_WEIGHTS_NAME_MAX)
        return pl_fail(err, PL_EINVAL, "a window of %zu chunks and %zu versions; at most %d and %d",
                       opts->window, opts->versions_max, WINDOW_MAX, VERSIONS_MAX);
    s = calloc(1, sizeof *s);
    if (!s)
        return pl_fail(err, PL_ENOMEM, "no memory for the weights' sink");
    s->opts = *opts;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    s->run = strdup(opts->run);
    s->pub = strdup(opts->pub);
    s->serve = strdup(opts->serve);
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->context = zmq_ctx_new();
    if (s->context)
        s->sub = zmq_socket(s->context, ZMQ_SUB);
    if (!s->run || !s->pub || !s->serve || s->wake < 0 || !s->sub) {
        pl_weights_sink_destroy(s);
        return pl_fail(err, PL_ENOMEM, "no memory for the weights' sink");
    }
    zmq_setsockopt(s->sub, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(s->sub, ZMQ_SUBSCRIBE, "", 0);
    s->dealer = open_dealer(s);
    if (!s->dealer || zmq_connect(s->sub, s->pub) < 0) {
        pl_fail(err, PL_EINVAL, "connect '%s' and '%s': %s", s->pub, s->serve, zmq_strerror(errno));
        pl_weights_sink_destroy(s);
        return PL_EINVAL;
    }
    if (pthread_create(&s->thread, NULL, run, s) != 0) {
        pl_weights_sink_destroy(s);
        return pl_fail(err, PL_EIO, "no thread for the weights' sink");
    }
    s->running = true;
    *ret_sink = s;
    return PL_OK;
}

static void wake(struct pl_weights_sink *s)
{
    const uint64_t one = 1;

    PL_ASSERT(write(s->wake, &one, sizeof one) == sizeof one || errno == EAGAIN);
}

void pl_weights_sink_destroy(struct pl_weights_sink *sink)
{
    if (!sink)
        return;
    if (sink->running) {
        pthread_mutex_lock(&sink->lock);
        sink->stop = true;
        pthread_mutex_unlock(&sink->lock);
        wake(sink);
        pthread_join(sink->thread, NULL);
    }
    if (sink->sub)
        zmq_close(sink->sub);
    if (sink->dealer)
        zmq_close(sink->dealer);
    if (sink->context)
        zmq_ctx_term(sink->context);
    if (sink->wake >= 0)
        close(sink->wake);
    free(sink->spare);
    for (size_t i = 0; i < sink->count; i++)
        free(sink->ready[i].values);
    pthread_mutex_destroy(&sink->lock);
    pthread_cond_destroy(&sink->changed);
    free(sink->run);
    free(sink->pub);
    free(sink->serve);
    free(sink);
}

uint64_t pl_weights_sink_newest(const struct pl_weights_sink *sink)
{
    struct pl_weights_sink *s = (struct pl_weights_sink *)sink;
    uint64_t newest;

    pthread_mutex_lock(&s->lock);
    newest = s->newest;
    pthread_mutex_unlock(&s->lock);
    return newest;
}

int pl_weights_sink_get(struct pl_weights_sink *sink, uint64_t version, uint64_t wait_ms,
                        uint16_t *values, unsigned char ret_hash[PL_HASH_BYTES],
                        struct pl_error *err)
{
    const struct ready *found;
    struct timespec end;
    int rc = PL_OK;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)(wait_ms / 1000);
    end.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&sink->lock);
    sink->wanted = version;
    sink->woken = false;
    found = find(sink, version);
    if (!found)
        wake(sink);
    while (!found && rc == PL_OK && !sink->woken) {
        rc = pthread_cond_timedwait(&sink->changed, &sink->lock, &end) == ETIMEDOUT ? PL_ENOENT
                                                                                    : PL_OK;
        found = find(sink, version);
    }
    sink->wanted = 0;
    if (found) {
        pl_values_copy(values, found->values, sink->opts.table.values);
        memcpy(ret_hash, found->hash, PL_WEIGHTS_HASH);
        rc = PL_OK;
    } else if (rc == PL_OK) {
        rc = pl_fail(err, PL_ECANCELED, "woken while waiting for version %llu of the weights",
                     (unsigned long long)version);
    } else {
        rc = pl_fail(err, PL_ENOENT,
                     "version %llu of the weights did not come in time; newest announced: %llu%s%s",
                     (unsigned long long)version, (unsigned long long)sink->newest,
                     sink->heard[0] ? "; " : "", sink->heard);
    }
    pthread_mutex_unlock(&sink->lock);
    return rc;
}

void pl_weights_sink_wake(struct pl_weights_sink *sink)
{
    pthread_mutex_lock(&sink->lock);
    sink->woken = true;
    pthread_cond_broadcast(&sink->changed);
    pthread_mutex_unlock(&sink->lock);
}

struct pl_weights_sink_stats pl_weights_sink_stats(const struct pl_weights_sink *sink)
{
    struct pl_weights_sink *s = (struct pl_weights_sink *)sink;
    struct pl_weights_sink_stats stats;

    pthread_mutex_lock(&s->lock);
    stats = s->stats;
    pthread_mutex_unlock(&s->lock);
    return stats;
}
