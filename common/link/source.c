/*
 * The source of weights: one thread answers all peers out of what is published. Versions are added
 * and dropped by the owner under a lock; an answer copies its chunk within it.
 */
#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/pulse.h"
#include "common/link/bcast.h"
#include "common/link/delta.h"
#include "common/link/door.h"
#include "common/link/seal.h"
#include "common/link/version.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>
#include <zstd.h>

enum {
    ANNOUNCE_MS = 2000,
    VERSIONS_MAX = 64,
    ENDPOINT_MAX = 256,
    SEND_HWM = 256,
    CURVE_THREADS = 2
};

struct version {
    uint64_t number, step;
    uint16_t *values;
    unsigned char hash[PL_WEIGHTS_HASH];
    size_t blocks;
    struct pl_chunk *snapshot;   /* (blocks) */
    struct pl_chunk *delta;      /* (blocks) from the version before; NULL: there is none */
    unsigned char **delta_bytes; /* (blocks) as sent */
    struct pl_buf manifest;      /* as it is sent */
};

struct pl_weights_source {
    struct pl_weights_source_opts opts;
    char *run;
    void *context, *pub, *router;
    struct pl_door *door; /* NULL: there are no keys */
    char pub_at[ENDPOINT_MAX], serve_at[ENDPOINT_MAX];
    int wake; /* eventfd: something was published, or it is to end */
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* all below */
    struct version *versions[VERSIONS_MAX];
    size_t count;
    bool stop;
    struct pl_weights_source_stats stats;
    uint16_t *spare; /* the owner's: room for the next version's values, of one that was dropped */
};

static void version_destroy(struct version *v)
{
    if (!v)
        return;
    for (size_t i = 0; v->delta_bytes && i < v->blocks; i++)
        free(v->delta_bytes[i]);
    free(v->delta_bytes);
    free(v->delta);
    free(v->snapshot);
    pl_buf_release(&v->manifest);
    free(v->values);
    free(v);
}

static struct version *find(struct pl_weights_source *s, uint64_t number)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->versions[i]->number == number)
            return s->versions[i];
    return NULL;
}

/* ---- the thread ---- */

static void announce(struct pl_weights_source *s)
{
    struct pl_announcement a = {0};
    struct pl_buf body, buf;

    pthread_mutex_lock(&s->lock);
    if (s->count > 0) {
        a.version = s->versions[s->count - 1]->number;
        memcpy(a.hash, s->versions[s->count - 1]->hash, sizeof a.hash);
        s->stats.announcements++;
    }
    pthread_mutex_unlock(&s->lock);
    if (a.version == 0)
        return;
    strcpy(a.run, s->run);
    a.life = s->opts.life;
    pl_buf_init(&body, PL_WEIGHTS_MESSAGE_MAX);
    pl_buf_init(&buf, PL_WEIGHTS_MESSAGE_MAX);
    if (pl_announcement_encode(&a, &body) == PL_OK &&
        pl_seal(s->opts.keys, PL_SEAL_ANNOUNCEMENT, &body, &buf) == PL_OK)
        (void)zmq_send(s->pub, buf.data, buf.len, ZMQ_DONTWAIT);
    pl_buf_release(&body);
    pl_buf_release(&buf);
}

/* The payload of an answer, copied under the lock; sets answer->error where there is none. */
static void find_payload(struct pl_weights_source *s, struct pl_weights_request *answer,
                         zmq_msg_t *payload)
{
    const void *bytes = NULL;
    size_t len = 0;
    const struct version *v;

    pthread_mutex_lock(&s->lock);
    v = find(s, answer->version);
    if (v && answer->what == PL_WEIGHTS_MANIFEST) {
        bytes = v->manifest.data;
        len = v->manifest.len;
        s->stats.manifests++;
    } else if (v && answer->chunk < v->blocks && answer->transfer <= (v->delta ? 1u : 0u)) {
        const bool snapshot = answer->transfer == 0;

        bytes = snapshot ? (unsigned char *)(v->values + answer->chunk * (size_t)PL_BLOCK_VALUES)
                         : v->delta_bytes[answer->chunk];
        len = (snapshot ? v->snapshot : v->delta)[answer->chunk].bytes;
        s->stats.chunks++;
    }
    if (!bytes) {
        answer->error = v ? PL_WEIGHTS_BAD_REQUEST : PL_WEIGHTS_ABSENT;
        s->stats.errors++;
    }
    s->stats.bytes += len;
    if (zmq_msg_init_size(payload, len) < 0) {
        zmq_msg_init(payload);
        answer->error = PL_WEIGHTS_ABSENT;
    } else if (len > 0) {
        memcpy(zmq_msg_data(payload), bytes, len);
    }
    pthread_mutex_unlock(&s->lock);
}

/* A peer that is gone or does not read loses its answer; it asks again. */
static void answer_peer(struct pl_weights_source *s, zmq_msg_t *peer, const void *question,
                        size_t len)
{
    struct pl_weights_request r;
    zmq_msg_t payload;
    struct pl_buf head;

    if (pl_weights_request_decode(question, len, false, &r, NULL) < 0 || strcmp(r.run, s->run) != 0)
        r = (struct pl_weights_request){.error = PL_WEIGHTS_BAD_REQUEST};
    if (r.error == PL_WEIGHTS_FINE)
        find_payload(s, &r, &payload);
    else
        zmq_msg_init(&payload);
    pl_buf_init(&head, PL_WEIGHTS_MESSAGE_MAX);
    if (pl_weights_request_encode(&r, true, &head) == PL_OK &&
        zmq_msg_send(peer, s->router, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
        zmq_send(s->router, head.data, head.len, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
        (void)zmq_msg_send(&payload, s->router, ZMQ_DONTWAIT);
    pl_buf_release(&head);
    zmq_msg_close(&payload);
}

/* All questions that have come: [peer][question], whatever else is dropped. */
static void serve(struct pl_weights_source *s)
{
    for (;;) {
        zmq_msg_t peer, part;
        bool question = false;

        zmq_msg_init(&peer);
        if (zmq_msg_recv(&peer, s->router, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&peer);
            return;
        }
        for (bool more = zmq_msg_more(&peer); more;) {
            zmq_msg_init(&part);
            if (zmq_msg_recv(&part, s->router, ZMQ_DONTWAIT) < 0) {
                zmq_msg_close(&part);
                break;
            }
            more = zmq_msg_more(&part);
            if (!question && !more && pl_door_knows(s->door, &part)) {
                answer_peer(s, &peer, zmq_msg_data(&part), zmq_msg_size(&part));
                question = true;
            }
            zmq_msg_close(&part);
        }
        zmq_msg_close(&peer);
    }
}

static bool is_to_stop(struct pl_weights_source *s)
{
    bool stop;

    pthread_mutex_lock(&s->lock);
    stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop;
}

static void *run(void *at)
{
    struct pl_weights_source *s = at;

    while (!is_to_stop(s)) {
        zmq_pollitem_t items[] = {{s->router, 0, ZMQ_POLLIN, 0},
                                  {s->pub, 0, ZMQ_POLLIN, 0},
                                  {NULL, s->wake, ZMQ_POLLIN, 0}};
        const int n = zmq_poll(items, 3, ANNOUNCE_MS);
        uint64_t count;
        char frame[64];

        if (n < 0 && errno != EINTR)
            break;
        if (items[0].revents)
            serve(s);
        if (items[1].revents) /* somebody subscribed, or left */
            while (zmq_recv(s->pub, frame, sizeof frame, ZMQ_DONTWAIT) >= 0)
                ;
        if (items[2].revents && read(s->wake, &count, sizeof count) < 0)
            continue;
        if (n == 0 || items[1].revents || items[2].revents)
            announce(s);
    }
    return NULL;
}

/* ---- the owner's side ---- */

static int open_socket(struct pl_weights_source *s, int type, void **ret_socket,
                       struct pl_error *err)
{
    const int linger = 0, hwm = SEND_HWM, yes = 1, verbose = 1;
    void *socket = zmq_socket(s->context, type);

    if (!socket)
        return pl_fail(err, PL_EIO, "a ZeroMQ socket: %s", zmq_strerror(errno));
    *ret_socket = socket;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof hwm);
    if (type == ZMQ_ROUTER)
        zmq_setsockopt(socket, ZMQ_ROUTER_MANDATORY, &yes, sizeof yes);
    else
        zmq_setsockopt(socket, ZMQ_XPUB_VERBOSE, &verbose, sizeof verbose);
    return PL_OK;
}

static int bind_socket(void *socket, const char *bind, char at[ENDPOINT_MAX], struct pl_error *err)
{
    size_t len = ENDPOINT_MAX;

    if (zmq_bind(socket, bind) < 0 || zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, at, &len) < 0)
        return pl_fail(err, PL_EIO, "bind '%s': %s", bind, zmq_strerror(errno));
    return PL_OK;
}

/* The door stands before anybody can come in. */
static int open_sockets(struct pl_weights_source *s, struct pl_error *err)
{
    const struct pl_weights_source_opts *o = &s->opts;
    int rc = open_socket(s, ZMQ_XPUB, &s->pub, err);

    if (rc == PL_OK)
        rc = open_socket(s, ZMQ_ROUTER, &s->router, err);
    if (rc == PL_OK && o->keys)
        rc = pl_door_open(&(struct pl_door_opts){.keys = o->keys,
                                                 .context = s->context,
                                                 .sockets = {s->pub, s->router},
                                                 .count = 2,
                                                 .event = o->event,
                                                 .at = o->at},
                          &s->door, err);
    if (rc == PL_OK)
        rc = bind_socket(s->pub, o->pub_bind, s->pub_at, err);
    return rc == PL_OK ? bind_socket(s->router, o->serve_bind, s->serve_at, err) : rc;
}

int pl_weights_source_create(const struct pl_weights_source_opts *opts,
                             struct pl_weights_source **ret_source, struct pl_error *err)
{
    struct pl_weights_source *s;
    int rc;

    if (opts->versions_max == 0 || opts->versions_max > VERSIONS_MAX ||
        strlen(opts->run) >= PL_WEIGHTS_NAME_MAX)
        return pl_fail(err, PL_EINVAL, "%zu versions to keep; 1 to %d are possible",
                       opts->versions_max, VERSIONS_MAX);
    s = calloc(1, sizeof *s);
    if (!s)
        return pl_fail(err, PL_ENOMEM, "no memory for the weights' source");
    s->opts = *opts;
    s->run = strdup(opts->run);
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->context = zmq_ctx_new();
    if (s->context && opts->keys) /* so that two peers are encrypted for at once */
        zmq_ctx_set(s->context, ZMQ_IO_THREADS, CURVE_THREADS);
    pthread_mutex_init(&s->lock, NULL);
    rc = s->run && s->wake >= 0 && s->context
             ? open_sockets(s, err)
             : pl_fail(err, PL_ENOMEM, "no memory for the weights' source");
    if (rc == PL_OK && pthread_create(&s->thread, NULL, run, s) != 0)
        rc = pl_fail(err, PL_EIO, "no thread for the weights' source");
    if (rc < 0) {
        pl_weights_source_destroy(s);
        return rc;
    }
    s->running = true;
    *ret_source = s;
    return PL_OK;
}

static void wake(struct pl_weights_source *s)
{
    const uint64_t one = 1;

    PL_ASSERT(write(s->wake, &one, sizeof one) == sizeof one || errno == EAGAIN);
}

void pl_weights_source_destroy(struct pl_weights_source *source)
{
    if (!source)
        return;
    if (source->running) {
        pthread_mutex_lock(&source->lock);
        source->stop = true;
        pthread_mutex_unlock(&source->lock);
        wake(source);
        pthread_join(source->thread, NULL);
    }
    pl_door_close(source->door);
    if (source->pub)
        zmq_close(source->pub);
    if (source->router)
        zmq_close(source->router);
    if (source->context)
        zmq_ctx_term(source->context);
    if (source->wake >= 0)
        close(source->wake);
    for (size_t i = 0; i < source->count; i++)
        version_destroy(source->versions[i]);
    pthread_mutex_destroy(&source->lock);
    free(source->spare);
    free(source->run);
    free(source);
}

const char *pl_weights_source_pub(const struct pl_weights_source *source)
{
    return source->pub_at;
}

const char *pl_weights_source_serve(const struct pl_weights_source *source)
{
    return source->serve_at;
}

/* What a thread works with while it makes blocks. */
struct bench {
    unsigned char *delta, *packed;
    ZSTD_CCtx *zstd;
};

static bool bench_open(struct bench *b)
{
    b->delta = malloc(pl_delta_room(PL_BLOCK_VALUES));
    b->packed = malloc(ZSTD_compressBound(pl_delta_max(PL_BLOCK_VALUES)));
    b->zstd = ZSTD_createCCtx();
    return b->delta && b->packed && b->zstd;
}

static void bench_close(struct bench *b)
{
    free(b->delta);
    free(b->packed);
    ZSTD_freeCCtx(b->zstd);
}

static int make_delta(struct version *v, const uint16_t *before, size_t i, size_t n,
                      struct bench *b)
{
    const uint16_t *values = v->values + i * PL_BLOCK_VALUES;
    const size_t len = pl_delta_encode(before + i * PL_BLOCK_VALUES, values, n, b->delta);
    const size_t most = ZSTD_compressBound(pl_delta_max(PL_BLOCK_VALUES));
    const size_t used = ZSTD_compressCCtx(b->zstd, b->packed, most, b->delta, len, 1);

    PL_ASSERT(!ZSTD_isError(used));
    v->delta_bytes[i] = malloc(used);
    if (!v->delta_bytes[i])
        return PL_ENOMEM;
    memcpy(v->delta_bytes[i], b->packed, used);
    v->delta[i].bytes = (uint32_t)used;
    pl_sha256(b->packed, used, v->delta[i].hash);
    v->delta[i].check = pl_block_check(values, n);
    return PL_OK;
}

/* Copy (where they are not in place) and hash all blocks of `values`, and say what is other than
 * `before` (NULL: no delta). */
static int make_blocks(const struct pl_weights_source *s, struct version *v, const uint16_t *values,
                       const uint16_t *before)
{
    int failed = 0;

#pragma omp parallel reduction(| : failed)
    {
        struct bench bench = {0};

        if (before)
            failed |= !bench_open(&bench);
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < v->blocks; i++) {
            const size_t n = pl_block_values(s->opts.table.values, i);

            v->snapshot[i].bytes = (uint32_t)(n * sizeof *values);
            if (values == v->values)
                pl_sha256(values + i * PL_BLOCK_VALUES, n * sizeof *values, v->snapshot[i].hash);
            else
                pl_block_copy(v->values + i * PL_BLOCK_VALUES, values + i * PL_BLOCK_VALUES, n,
                              v->snapshot[i].hash);
            if (before && !failed)
                failed |= make_delta(v, before, i, n, &bench) < 0;
            pl_pulse();
        }
        bench_close(&bench);
    }
    return failed ? PL_ENOMEM : PL_OK;
}

static int make_manifest(struct pl_weights_source *s, struct version *v, struct pl_error *err)
{
    struct pl_manifest m = {.version = v->number,
                            .step = v->step,
                            .values = s->opts.table.values,
                            .transfer_count = v->delta ? 2 : 1};
    struct pl_buf body;
    int rc;

    strcpy(m.run, s->run);
    m.life = s->opts.life;
    memcpy(m.hash, v->hash, sizeof m.hash);
    m.transfers[0] =
        (struct pl_transfer){.snapshot = true, .chunks = v->snapshot, .chunk_count = v->blocks};
    m.transfers[1] = (struct pl_transfer){
        .against = v->number - 1, .chunks = v->delta, .chunk_count = v->blocks};
    pl_buf_init(&body, PL_WEIGHTS_MESSAGE_MAX);
    pl_buf_init(&v->manifest, PL_WEIGHTS_MESSAGE_MAX);
    rc = pl_manifest_encode(&m, &body);
    if (rc == PL_OK)
        rc = pl_seal(s->opts.keys, PL_SEAL_MANIFEST, &body, &v->manifest);
    pl_buf_release(&body);
    return rc < 0 ? pl_fail(err, rc, "no memory for the manifest of version %llu",
                            (unsigned long long)v->number)
                  : PL_OK;
}

uint16_t *pl_weights_source_room(struct pl_weights_source *source)
{
    if (!source->spare)
        source->spare = malloc(source->opts.table.values * sizeof *source->spare);
    return source->spare;
}

/* A version with room for its values and all about them. PL_ENOMEM. */
static int version_create(struct pl_weights_source *s, uint64_t number, bool delta,
                          struct version **ret_version)
{
    struct version *v = calloc(1, sizeof *v);

    if (!v)
        return PL_ENOMEM;
    v->number = number;
    v->blocks = pl_blocks(s->opts.table.values);
    v->values = pl_weights_source_room(s);
    s->spare = NULL;
    v->snapshot = calloc(v->blocks + 1, sizeof *v->snapshot);
    if (delta) {
        v->delta = calloc(v->blocks + 1, sizeof *v->delta);
        v->delta_bytes = calloc(v->blocks + 1, sizeof *v->delta_bytes);
    }
    if (!v->values || !v->snapshot || (delta && (!v->delta || !v->delta_bytes))) {
        version_destroy(v);
        return PL_ENOMEM;
    }
    *ret_version = v;
    return PL_OK;
}

int pl_weights_source_publish(struct pl_weights_source *source, uint64_t version, uint64_t step,
                              const uint16_t *values, unsigned char ret_hash[PL_HASH_BYTES],
                              struct pl_error *err)
{
    const struct version *before;
    struct version *v = NULL;
    int rc = PL_OK;

    /* The list is changed by this thread only: reading it needs no lock here. */
    if (source->count > 0 && version <= source->versions[source->count - 1]->number)
        return pl_fail(err, PL_EINVAL, "version %llu is not newer than %llu",
                       (unsigned long long)version,
                       (unsigned long long)source->versions[source->count - 1]->number);
    if (source->count == source->opts.versions_max)
        return pl_fail(err, PL_EFULL, "%zu versions are kept already; drop one first",
                       source->count);
    before = version > 0 ? find(source, version - 1) : NULL;
    rc = version_create(source, version, before, &v);
    if (rc == PL_OK) {
        v->step = step;
        rc = make_blocks(source, v, values, before ? before->values : NULL);
    }
    if (rc < 0) {
        version_destroy(v);
        return pl_fail(err, rc, "no memory for version %llu: %zu bytes",
                       (unsigned long long)version, source->opts.table.values * sizeof *values);
    }
    pl_chunks_hash(v->snapshot, v->blocks, v->hash);
    rc = make_manifest(source, v, err);
    if (rc < 0) {
        version_destroy(v);
        return rc;
    }
    memcpy(ret_hash, v->hash, sizeof v->hash);
    pthread_mutex_lock(&source->lock);
    source->versions[source->count++] = v;
    pthread_mutex_unlock(&source->lock);
    wake(source);
    return PL_OK;
}

const uint16_t *pl_weights_source_values(const struct pl_weights_source *source, uint64_t version)
{
    const struct version *v = find((struct pl_weights_source *)source, version);

    return v ? v->values : NULL;
}

/* The oldest one, taken out; NULL: none is below `version`. */
static struct version *take_below(struct pl_weights_source *s, uint64_t version)
{
    struct version *v = NULL;

    pthread_mutex_lock(&s->lock);
    if (s->count > 0 && s->versions[0]->number < version) {
        v = s->versions[0];
        s->count--;
        memmove(s->versions, s->versions + 1, s->count * sizeof *s->versions);
    }
    pthread_mutex_unlock(&s->lock);
    return v;
}

void pl_weights_source_drop(struct pl_weights_source *source, uint64_t version)
{
    struct version *v;

    while ((v = take_below(source, version))) {
        if (!source->spare) {
            source->spare = v->values;
            v->values = NULL;
        }
        version_destroy(v);
    }
}

struct pl_weights_source_stats pl_weights_source_stats(const struct pl_weights_source *source)
{
    struct pl_weights_source *s = (struct pl_weights_source *)source;
    struct pl_weights_source_stats stats;

    pthread_mutex_lock(&s->lock);
    stats = s->stats;
    stats.kept = s->count;
    pthread_mutex_unlock(&s->lock);
    stats.door = pl_door_stats(s->door);
    return stats;
}
