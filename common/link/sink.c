/*
 * The sink of weights: one thread that hears announcements and pulls versions, chunk by chunk with
 * a window of questions ahead; what has come is checked and put in place by all threads, while the
 * next chunks are on their way. A question that is not answered in time is asked again; a version
 * that does not come or is not what its hashes say is begun anew.
 */
#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/failpoint.h"
#include "common/base/logfmt.h"
#include "common/link/bcast.h"
#include "common/link/delta.h"
#include "common/link/dial.h"
#include "common/link/seal.h"
#include "common/link/version.h"

#include <errno.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
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
    SAY_MS = 60000, /* between two lines about what is forged */
};

/* A version that is there, whole and checked. */
struct ready {
    struct pl_life life;
    uint64_t version;
    uint16_t *values;
    unsigned char hash[PL_WEIGHTS_HASH];
};

enum phase { PHASE_IDLE, PHASE_MANIFEST, PHASE_CHUNKS };

/* What is wrong with a chunk. */
enum fault { FAULT_NONE, FAULT_HASH, FAULT_PACKED, FAULT_WHOLE, FAULT_INFINITE };

/* The version that is being pulled. */
struct pull {
    enum phase phase;
    uint64_t version;
    double started_s;
    struct pl_manifest manifest;
    const struct pl_transfer *transfer; /* of the manifest */
    const uint16_t *base;               /* what a delta is against; NULL: a snapshot */
    uint16_t *values;
    size_t next, done;    /* chunks asked for, and those that have come: answers come in order */
    uint64_t asked_bytes; /* of those asked for that have not come */
    zmq_msg_t come[WINDOW_MAX]; /* the last of those: not yet put in place */
    size_t come_count;
    uint64_t asked_ms; /* when the last question or answer was */
    unsigned tries;
    uint64_t not_before_ms;
};

/* What a thread works with while it puts chunks in place. */
struct bench {
    unsigned char *delta;
    ZSTD_DCtx *zstd;
};

struct pl_weights_sink {
    struct pl_weights_sink_opts opts;
    char *run, *pub, *serve;
    void *context;
    struct pl_dial sub, dealer;
    int wake;
    pthread_t thread;
    bool running;
    struct pull pull;      /* the thread's */
    struct bench *benches; /* the thread's: one for each thread that works for it */
    int bench_count;
    uint16_t *spare;     /* the thread's: values of a version that is not kept any more */
    uint64_t said_ms[2]; /* the thread's: when it last said that something is forged, or that it
                            is refused; 0: never */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct ready ready[VERSIONS_MAX + 1]; /* oldest first; the one that is lent is one more */
    size_t count;
    struct pl_life life;           /* the only one that counts */
    bool told;                     /* by the owner; else by what is announced */
    struct pl_life announced_life; /* with the version: what was announced last */
    uint64_t announced;
    uint64_t newest, wanted, lent; /* lent: the owner reads its values; 0: none */
    bool stop;
    char heard[320]; /* what went wrong last */
    struct pl_weights_sink_stats stats;
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static size_t blocks(const struct pl_weights_sink *s)
{
    return pl_blocks(s->opts.table.values);
}

static uint16_t *take_room(struct pl_weights_sink *s)
{
    uint16_t *room = s->spare ? s->spare : malloc(s->opts.table.values * sizeof *room);

    s->spare = NULL;
    return room;
}

static void give_room(struct pl_weights_sink *s, uint16_t *room)
{
    if (s->spare)
        free(room);
    else
        s->spare = room;
}

static const struct ready *find(const struct pl_weights_sink *s, uint64_t version)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->ready[i].version == version && pl_life_same(&s->ready[i].life, &s->life))
            return &s->ready[i];
    return NULL;
}

static void hear(struct pl_weights_sink *s, const char *what)
{
    pthread_mutex_lock(&s->lock);
    strncpy(s->heard, what, sizeof s->heard - 1);
    pthread_mutex_unlock(&s->lock);
}

/* For the log, at most once a minute for each kind. */
enum said { SAY_FORGED, SAY_REFUSED };

static void say(struct pl_weights_sink *s, enum said kind, const char *why)
{
    static const char *const kinds[] = {"forged", "refused"};
    const uint64_t now = now_ms();
    char line[768];

    hear(s, why);
    if (!s->opts.event || (s->said_ms[kind] && now - s->said_ms[kind] < SAY_MS))
        return;
    s->said_ms[kind] = now;
    pl_logfmt_print(line, sizeof line, "weights event=%s reason=\"%s\"", kinds[kind], why);
    s->opts.event(s->opts.at, line);
}

/* ---- pulling ---- */

static void drop_come(struct pull *p)
{
    for (size_t i = 0; i < p->come_count; i++)
        zmq_msg_close(&p->come[i]);
    p->come_count = 0;
}

static void pull_end(struct pl_weights_sink *s)
{
    drop_come(&s->pull);
    pl_manifest_release(&s->pull.manifest);
    if (s->pull.values)
        give_room(s, s->pull.values);
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

static uint32_t transfer_number(const struct pull *p)
{
    return p->transfer ? (uint32_t)(p->transfer - p->manifest.transfers) : 0;
}

static void ask(struct pl_weights_sink *s, enum pl_weights_what what, size_t chunk)
{
    struct pl_weights_request r = {.version = s->pull.version,
                                   .what = what,
                                   .transfer = transfer_number(&s->pull),
                                   .chunk = (uint32_t)chunk};
    struct pl_buf buf;

    strcpy(r.run, s->run);
    pl_buf_init(&buf, PL_WEIGHTS_MESSAGE_MAX);
    s->pull.asked_ms = now_ms();
    if (pl_weights_request_encode(&r, false, &buf) < 0 ||
        zmq_send(s->dealer.socket, buf.data, buf.len, ZMQ_DONTWAIT) < 0)
        s->pull.asked_ms -= TIMEOUT_MS - ABSENT_MS; /* not connected yet: soon again */
    pl_buf_release(&buf);
}

static void ask_chunks(struct pl_weights_sink *s)
{
    const uint64_t window = (s->opts.window ? s->opts.window : WINDOW) * (uint64_t)PL_CHUNK_BYTES;
    struct pull *p = &s->pull;

    while (p->next < blocks(s) && p->next < p->done + WINDOW_MAX &&
           (p->next == p->done || p->asked_bytes + p->transfer->chunks[p->next].bytes <= window)) {
        p->asked_bytes += p->transfer->chunks[p->next].bytes;
        ask(s, PL_WEIGHTS_CHUNK, p->next++);
    }
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

static void forget(struct pl_weights_sink *s, size_t i)
{
    give_room(s, s->ready[i].values);
    s->count--;
    memmove(s->ready + i, s->ready + i + 1, (s->count - i) * sizeof *s->ready);
}

/* What is of another life of the run. Between two pulls: none of it is a base. */
static void forget_others(struct pl_weights_sink *s)
{
    for (size_t i = 0; i < s->count;)
        if (pl_life_same(&s->ready[i].life, &s->life))
            i++;
        else
            forget(s, i);
}

/* Forget the oldest versions but the one that is lent, until one more may be kept. */
static void make_place(struct pl_weights_sink *s)
{
    const size_t most = s->opts.versions_max ? s->opts.versions_max : VERSIONS;
    size_t lent = 0;

    for (size_t i = 0; i < s->count; i++)
        lent += s->ready[i].version == s->lent;
    for (size_t i = 0; s->count - lent >= most;) {
        if (s->ready[i].version == s->lent) {
            i++;
            continue;
        }
        forget(s, i);
    }
}

/* All chunks are there and in place: hand the version out. */
static void pull_finish(struct pl_weights_sink *s)
{
    struct pull *p = &s->pull;
    struct ready new = {.life = p->manifest.life, .version = p->version, .values = p->values};
    size_t at;

    (void)PL_FAILPOINT("weights.whole");
    memcpy(new.hash, p->manifest.hash, sizeof new.hash);
    pthread_mutex_lock(&s->lock);
    if (!pl_life_same(&new.life, &s->life)) { /* which has ended meanwhile */
        pthread_mutex_unlock(&s->lock);
        pull_end(s);
        return;
    }
    p->values = NULL;
    forget_others(s);
    make_place(s);
    for (at = s->count; at > 0 && s->ready[at - 1].version > new.version; at--)
        s->ready[at] = s->ready[at - 1];
    s->ready[at] = new;
    s->count++;
    if (p->base)
        s->stats.deltas++;
    else
        s->stats.snapshots++;
    s->stats.last_s = (double)now_ms() * 1e-3 - p->started_s;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pull_end(s);
}

/* Whether a manifest is of what was asked for, and of the model that is here. */
static int check_manifest(struct pl_weights_sink *s, struct pl_error *err)
{
    bool same;

    if (s->pull.manifest.values != s->opts.table.values)
        return pl_fail(err, PL_EFORMAT, "the manifest is of another run, version or shape");
    pthread_mutex_lock(&s->lock);
    same = pl_life_same(&s->pull.manifest.life, &s->life);
    pthread_mutex_unlock(&s->lock);
    if (!same)
        return pl_fail(err, PL_ENOENT, "the source has this version of another life of the run");
    return pl_manifest_check(&s->pull.manifest, s->run, s->pull.version, err);
}

/* The delta from a version that is here, or the snapshot. */
static void choose_transfer(struct pl_weights_sink *s)
{
    struct pull *p = &s->pull;

    p->transfer = &p->manifest.transfers[0];
    pthread_mutex_lock(&s->lock);
    for (size_t t = 1; t < p->manifest.transfer_count; t++) {
        const struct pl_transfer *transfer = &p->manifest.transfers[t];
        const struct ready *base = transfer->snapshot ? NULL : find(s, transfer->against);

        /* Only this thread forgets versions, between two pulls: the base stays. */
        if (base) {
            p->transfer = transfer;
            p->base = base->values;
        }
    }
    pthread_mutex_unlock(&s->lock);
}

/* What is in a signed message; what is not of the learner is counted, and said. */
static int unseal(struct pl_weights_sink *s, enum pl_seal_kind kind, const void *bytes, size_t len,
                  struct pl_sealed *ret_sealed, struct pl_error *err)
{
    const int rc = pl_unseal(s->opts.keys, kind, bytes, len, ret_sealed, err);

    if (rc != PL_EINVAL)
        return rc;
    pthread_mutex_lock(&s->lock);
    s->stats.forged++;
    pthread_mutex_unlock(&s->lock);
    say(s, SAY_FORGED, err->text);
    return rc;
}

/* The manifest that came, checked. */
static int read_manifest(struct pl_weights_sink *s, const void *bytes, size_t len,
                         struct pl_error *err)
{
    struct pl_sealed sealed = {0};
    int rc = unseal(s, PL_SEAL_MANIFEST, bytes, len, &sealed, err);

    if (rc == PL_OK)
        rc = pl_manifest_decode(sealed.body, sealed.len, &s->pull.manifest, err);
    pl_sealed_release(&sealed);
    return rc == PL_OK ? check_manifest(s, err) : rc;
}

static void take_manifest(struct pl_weights_sink *s, const void *bytes, size_t len)
{
    struct pull *p = &s->pull;
    struct pl_error err = {0};

    const int rc = read_manifest(s, bytes, len, &err);

    if (rc < 0) {
        pull_fail(s, err.text, rc != PL_ENOENT);
        return;
    }
    choose_transfer(s);
    p->values = take_room(s);
    if (!p->values) {
        pull_fail(s, "no memory for a version of the weights", false);
        return;
    }
    p->phase = PHASE_CHUNKS;
    ask_chunks(s);
    if (blocks(s) == 0)
        pull_finish(s);
}

/* What changed in a block, over a copy of it. */
static enum fault apply_block(const struct pull *p, size_t i, size_t n, const void *bytes,
                              size_t len, struct bench *b)
{
    uint16_t *values = p->values + i * PL_BLOCK_VALUES;
    const size_t most = pl_delta_max(PL_BLOCK_VALUES);
    const size_t used = ZSTD_decompressDCtx(b->zstd, b->delta, most, bytes, len);

    memcpy(values, p->base + i * PL_BLOCK_VALUES, n * sizeof *values);
    if (ZSTD_isError(used) || pl_delta_apply(b->delta, used, values, n) < 0)
        return FAULT_PACKED;
    return pl_block_check(values, n) == p->transfer->chunks[i].check ? FAULT_NONE : FAULT_WHOLE;
}

/* Put chunk i in place, as block i of the values, if it is what the manifest says. */
static enum fault put_block(const struct pl_weights_sink *s, size_t i, const void *bytes,
                            size_t len, struct bench *b)
{
    const struct pull *p = &s->pull;
    const size_t n = pl_block_values(s->opts.table.values, i);
    const struct pl_chunk *chunk = &p->transfer->chunks[i];
    uint16_t *values = p->values + i * PL_BLOCK_VALUES;
    unsigned char hash[PL_WEIGHTS_HASH];
    enum fault fault = FAULT_NONE;
    size_t at;

    if (len != chunk->bytes)
        return FAULT_HASH;
    if (p->base)
        pl_sha256(bytes, len, hash);
    else
        pl_block_copy(values, bytes, n, hash);
    if (memcmp(hash, chunk->hash, sizeof hash) != 0)
        return FAULT_HASH;
    if (p->base)
        fault = apply_block(p, i, n, bytes, len, b);
    if (fault == FAULT_NONE && pl_values_check(values, n, &at) < 0)
        fault = FAULT_INFINITE;
    return fault;
}

static bool open_benches(struct pl_weights_sink *s)
{
    bool fine;

    s->bench_count = omp_get_max_threads();
    s->benches = calloc((size_t)s->bench_count, sizeof *s->benches);
    fine = s->benches;
    for (int i = 0; fine && i < s->bench_count; i++) {
        s->benches[i].delta = malloc(pl_delta_max(PL_BLOCK_VALUES));
        s->benches[i].zstd = ZSTD_createDCtx();
        fine = s->benches[i].delta && s->benches[i].zstd;
    }
    return fine;
}

static void close_benches(struct pl_weights_sink *s)
{
    for (int i = 0; s->benches && i < s->bench_count; i++) {
        free(s->benches[i].delta);
        ZSTD_freeDCtx(s->benches[i].zstd);
    }
    free(s->benches);
}

/* Put all that has come in place. */
static void put_blocks(struct pl_weights_sink *s)
{
    static const char *const faults[] = {
        [FAULT_HASH] = "a chunk of the weights is not what its hash says",
        [FAULT_PACKED] = "a chunk of the weights cannot be unpacked",
        [FAULT_WHOLE] = "a block of the weights is not what its check says",
        [FAULT_INFINITE] = "a value of the weights is not finite",
    };
    struct pull *p = &s->pull;
    const size_t first = p->done - p->come_count;
    int fault = FAULT_NONE;
    uint64_t bytes = 0;

    if (p->come_count == 0)
        return;
#pragma omp parallel for schedule(dynamic) num_threads(s->bench_count)                             \
    reduction(max : fault) reduction(+ : bytes) if (p->come_count > 1)
    for (size_t i = 0; i < p->come_count; i++) {
        const int f = put_block(s, first + i, zmq_msg_data(&p->come[i]), zmq_msg_size(&p->come[i]),
                                &s->benches[omp_get_thread_num()]);

        fault = f > fault ? f : fault;
        bytes += zmq_msg_size(&p->come[i]);
    }
    drop_come(p);
    if (fault != FAULT_NONE) {
        pull_fail(s, faults[fault], true);
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->stats.bytes += bytes;
    pthread_mutex_unlock(&s->lock);
    if (p->done == blocks(s))
        pull_finish(s);
}

/* A chunk has come: the next one can be asked for. Takes the message over, or leaves it. */
static void take_chunk(struct pl_weights_sink *s, const struct pl_weights_request *answer,
                       zmq_msg_t *payload)
{
    struct pull *p = &s->pull;

    if (answer->transfer != transfer_number(p) || answer->chunk != p->done || p->done >= blocks(s))
        return; /* of an earlier question, asked twice */
    (void)PL_FAILPOINT("weights.chunk");
    zmq_msg_init(&p->come[p->come_count]);
    zmq_msg_move(&p->come[p->come_count++], payload);
    p->asked_bytes -= p->transfer->chunks[p->done++].bytes;
    p->tries = 0;
    p->asked_ms = now_ms();
    ask_chunks(s);
    if (p->come_count == WINDOW_MAX)
        put_blocks(s);
}

static void take_answer(struct pl_weights_sink *s, const void *head, size_t head_len,
                        zmq_msg_t *payload)
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
        take_manifest(s, zmq_msg_data(payload), zmq_msg_size(payload));
    else if (answer.what == PL_WEIGHTS_CHUNK && s->pull.phase == PHASE_CHUNKS)
        take_chunk(s, &answer, payload);
}

/* ---- the thread ---- */

static void take_announcement(struct pl_weights_sink *s, const void *bytes, size_t len)
{
    struct pl_sealed sealed = {0};
    struct pl_announcement a;
    struct pl_error err;

    if (unseal(s, PL_SEAL_ANNOUNCEMENT, bytes, len, &sealed, &err) == PL_OK &&
        pl_announcement_decode(sealed.body, sealed.len, &a, NULL) == PL_OK &&
        strcmp(a.run, s->run) == 0) {
        pthread_mutex_lock(&s->lock);
        s->announced_life = a.life;
        s->announced = a.version;
        if (!s->told && !pl_life_same(&a.life, &s->life)) {
            s->life = a.life;
            s->newest = 0;
        }
        if (pl_life_same(&a.life, &s->life))
            s->newest = a.version > s->newest ? a.version : s->newest;
        pthread_mutex_unlock(&s->lock);
    }
    pl_sealed_release(&sealed);
}

static void take_announcements(struct pl_weights_sink *s)
{
    zmq_msg_t m;

    for (;;) {
        zmq_msg_init(&m);
        if (zmq_msg_recv(&m, s->sub.socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&m);
            return;
        }
        take_announcement(s, zmq_msg_data(&m), zmq_msg_size(&m));
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
        if (zmq_msg_recv(&head, s->dealer.socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&head);
            zmq_msg_close(&payload);
            return;
        }
        if (zmq_msg_more(&head))
            whole = zmq_msg_recv(&payload, s->dealer.socket, ZMQ_DONTWAIT) >= 0;
        for (bool more = whole && zmq_msg_more(&payload); more;) {
            zmq_msg_init(&rest);
            more = zmq_msg_recv(&rest, s->dealer.socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&rest);
            zmq_msg_close(&rest);
        }
        if (whole)
            take_answer(s, zmq_msg_data(&head), zmq_msg_size(&head), &payload);
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
    if (p->tries > 0 && !s->dealer.refused)
        hear(s, "the source does not answer");
    if (++p->tries % TRIES_MAX == 0)
        pl_dial_again(&s->dealer);
    pthread_mutex_lock(&s->lock);
    s->stats.retries++;
    pthread_mutex_unlock(&s->lock);
    if (p->phase == PHASE_MANIFEST) {
        ask(s, PL_WEIGHTS_MANIFEST, 0);
        return;
    }
    p->next = p->done;
    p->asked_bytes = 0;
    ask_chunks(s);
}

/* Whether the source lets us in. */
static void check_doors(struct pl_weights_sink *s)
{
    struct pl_error err;

    if (pl_dial_check(&s->sub, now_ms(), &err) < 0 || pl_dial_check(&s->dealer, now_ms(), &err) < 0)
        say(s, SAY_REFUSED, err.text);
}

static void *run(void *at)
{
    struct pl_weights_sink *s = at;
    bool stop = false;

    while (!stop) {
        zmq_pollitem_t items[] = {{s->sub.socket, 0, ZMQ_POLLIN, 0},
                                  {s->dealer.socket, 0, ZMQ_POLLIN, 0},
                                  {NULL, s->wake, ZMQ_POLLIN, 0}};
        uint64_t count;

        if (zmq_poll(items, 3, s->pull.phase == PHASE_IDLE ? ABSENT_MS : TICK_MS) < 0 &&
            errno != EINTR)
            break;
        if (items[0].revents)
            take_announcements(s);
        if (items[1].revents) {
            take_answers(s);
            put_blocks(s);
        }
        if (items[2].revents)
            (void)!read(s->wake, &count, sizeof count);
        check_time(s);
        check_doors(s);
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

static int open_dials(struct pl_weights_sink *s, struct pl_error *err)
{
    struct pl_dial_opts opts = {.context = s->context,
                                .type = ZMQ_SUB,
                                .endpoint = s->pub,
                                .keys = s->opts.keys,
                                .bytes_max = PL_WEIGHTS_MESSAGE_MAX};
    int rc = pl_dial_open(&s->sub, &opts, err);

    opts.type = ZMQ_DEALER;
    opts.endpoint = s->serve;
    return rc == PL_OK ? pl_dial_open(&s->dealer, &opts, err) : rc;
}

int pl_weights_sink_create(const struct pl_weights_sink_opts *opts,
                           struct pl_weights_sink **ret_sink, struct pl_error *err)
{
    pthread_condattr_t attr;
    struct pl_weights_sink *s;
    int rc;

    PL_ASSERT(!opts->keys || opts->keys->connects);
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
    if (!s->run || !s->pub || !s->serve || s->wake < 0 || !s->context || !open_benches(s)) {
        pl_weights_sink_destroy(s);
        return pl_fail(err, PL_ENOMEM, "no memory for the weights' sink");
    }
    rc = open_dials(s, err);
    if (rc < 0) {
        pl_weights_sink_destroy(s);
        return rc;
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
    pl_dial_close(&sink->sub);
    pl_dial_close(&sink->dealer);
    if (sink->context)
        zmq_ctx_term(sink->context);
    if (sink->wake >= 0)
        close(sink->wake);
    close_benches(sink);
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

void pl_weights_sink_life(struct pl_weights_sink *sink, const struct pl_life *life)
{
    pthread_mutex_lock(&sink->lock);
    sink->told = true;
    sink->lent = 0;
    if (!pl_life_same(&sink->life, life)) {
        sink->life = *life;
        sink->newest = pl_life_same(&sink->announced_life, life) ? sink->announced : 0;
    }
    pthread_mutex_unlock(&sink->lock);
    wake(sink);
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
                        const uint16_t **ret_values, unsigned char ret_hash[PL_HASH_BYTES],
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
    sink->lent = 0;
    found = find(sink, version);
    if (!found)
        wake(sink);
    while (!found && rc == PL_OK) {
        rc = pthread_cond_timedwait(&sink->changed, &sink->lock, &end) == ETIMEDOUT ? PL_ENOENT
                                                                                    : PL_OK;
        found = find(sink, version);
    }
    sink->wanted = 0;
    if (found) {
        *ret_values = found->values;
        sink->lent = version;
        memcpy(ret_hash, found->hash, PL_WEIGHTS_HASH);
        rc = PL_OK;
    } else {
        rc = pl_fail(err, PL_ENOENT,
                     "version %llu of the weights did not come in time; newest announced: %llu%s%s",
                     (unsigned long long)version, (unsigned long long)sink->newest,
                     sink->heard[0] ? "; " : "", sink->heard);
    }
    pthread_mutex_unlock(&sink->lock);
    return rc;
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
