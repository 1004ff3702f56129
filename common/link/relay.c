/*
 * One thread: it takes in what upstream sends, and questions, and then gives every peer the answers
 * that can be given. Nothing waits for anything: a question whose answer is not here stays with its
 * peer, and wants it from upstream.
 */
#include "common/link/relay.h"

#include "common/base/buf.h"
#include "common/base/check.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum {
    ANNOUNCE_MS = 2500, /* upstream repeats itself more often */
    TICK_MS = 25,       /* while something is wanted */
    REST_MS = 500,
    DRAIN_MS = 2000,
    ENDPOINT_MAX = 256,
    EVENT_MS = 1000, /* between two lines about what was refused */
    SHUT_OUT_MS = 60000,
};

struct pl_relay {
    struct pl_relay_opts opts;
    char *run, *upstream_pub, *upstream_serve;
    void *context, *pub;
    char pub_at[ENDPOINT_MAX];
    int wake; /* eventfd: a peer has taken something, or it is to end */
    pthread_t thread;
    bool running;
    /* the thread's */
    struct pl_upstream *upstream;
    struct pl_shelf *shelf;
    struct pl_downstream *downstream;
    struct pl_door *door;       /* NULL: there are no keys */
    struct pl_buf announcement; /* the last one, as it came */
    struct pl_announcement announced;
    uint64_t announced_ms;
    struct pl_item fetching; /* unasked: the next chunk of a version's changes; version 0: none */
    uint64_t event_ms,
        shut_out_ms; /* when the log was told last of what is refused, of us or by us */
    struct pl_relay_stats counts;
    pthread_mutex_t lock; /* all below */
    bool stop;
    struct pl_relay_stats stats;
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void wake(struct pl_relay *r)
{
    const uint64_t one = 1;

    PL_ASSERT(write(r->wake, &one, sizeof one) == sizeof one || errno == EAGAIN);
}

/* ---- what is wanted ---- */

static struct pl_item manifest_of(uint64_t version)
{
    return (struct pl_item){.version = version, .what = PL_WEIGHTS_MANIFEST};
}

/* What a question needs from upstream. false: it was tried, and will not come. */
static bool want(struct pl_relay *r, const struct pl_item *item)
{
    const struct pl_manifest *m = pl_shelf_manifest(r->shelf, item->version);
    const struct pl_item manifest = manifest_of(item->version);

    if (!m)
        return pl_upstream_want(r->upstream, &manifest, 0);
    if (pl_shelf_has(r->shelf, item) || item->transfer >= m->transfer_count ||
        item->chunk >= m->transfers[item->transfer].chunk_count)
        return true;
    return pl_upstream_want(r->upstream, item,
                            m->transfers[item->transfer].chunks[item->chunk].bytes);
}

/* Number of the transfer that is from the version before; 0: there is none, or it is too large to
 * be fetched unasked. */
static uint32_t changes_of(const struct pl_relay *r, const struct pl_manifest *m)
{
    for (uint32_t t = 1; t < m->transfer_count; t++) {
        size_t bytes = 0;

        for (size_t i = 0; i < m->transfers[t].chunk_count; i++)
            bytes += m->transfers[t].chunks[i].bytes;
        if (!m->transfers[t].snapshot && bytes <= r->opts.cache_bytes / 2)
            return t;
    }
    return 0;
}

/* The changes of the version that was announced, some at a time, behind what was asked for. */
static void fetch_changes(struct pl_relay *r)
{
    const struct pl_manifest *m = pl_shelf_manifest(r->shelf, r->fetching.version);

    if (r->fetching.version == 0 || !m)
        return;
    if (r->fetching.transfer == 0)
        r->fetching.transfer = changes_of(r, m);
    while (r->fetching.transfer > 0 && r->fetching.transfer < m->transfer_count &&
           r->fetching.chunk < m->transfers[r->fetching.transfer].chunk_count) {
        if (!pl_upstream_is_free(r->upstream))
            return;
        (void)want(r, &r->fetching);
        r->fetching.chunk++;
    }
    r->fetching.version = 0;
}

/* ---- announcements ---- */

static void announce(struct pl_relay *r)
{
    if (r->announcement.len == 0)
        return;
    r->announced_ms = now_ms();
    if (zmq_send(r->pub, r->announcement.data, r->announcement.len, ZMQ_DONTWAIT) >= 0)
        r->counts.announcements++;
}

static void say(struct pl_relay *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct pl_relay *r, const char *fmt, ...)
{
    char line[800];
    va_list args;

    if (!r->opts.event)
        return;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    r->opts.event(r->opts.at, line);
}

static void announced(void *at, const struct pl_announcement *what, const void *bytes, size_t len)
{
    struct pl_relay *r = at;
    const struct pl_manifest *m;
    const struct pl_item manifest = manifest_of(what->version);
    const bool other = !pl_life_same(&what->life, &r->announced.life);
    const bool news = other || what->version != r->announced.version ||
                      memcmp(what->hash, r->announced.hash, sizeof what->hash) != 0;

    pl_buf_clear(&r->announcement);
    if (pl_buf_append(&r->announcement, bytes, len) < 0)
        return;
    if (other) /* the run goes on differently: none of it is of use */
        pl_shelf_clear(r->shelf);
    r->announced = *what;
    r->counts.newest = what->version;
    announce(r);
    m = pl_shelf_manifest(r->shelf, what->version);
    if (m && memcmp(m->hash, what->hash, sizeof m->hash) != 0) {
        pl_shelf_forget(r->shelf, what->version);
        m = NULL;
    }
    if (news) {
        say(r, "weights event=announced version=%llu", (unsigned long long)what->version);
        r->fetching = (struct pl_item){.version = what->version, .what = PL_WEIGHTS_CHUNK};
    }
    if (!m)
        (void)pl_upstream_want(r->upstream, &manifest, 0);
}

/* ---- what comes from upstream ---- */

/* A manifest is of the life that was announced, and the announced one of its hash. */
static int check_announced(const struct pl_relay *r, uint64_t version, struct pl_error *err)
{
    const struct pl_manifest *m = pl_shelf_manifest(r->shelf, version);

    if (r->announced.version > 0 && !pl_life_same(&m->life, &r->announced.life)) {
        pl_shelf_forget(r->shelf, version);
        return pl_fail(err, PL_EFORMAT,
                       "the manifest of version %llu is of another life of the run",
                       (unsigned long long)version);
    }
    if (version != r->announced.version || memcmp(m->hash, r->announced.hash, sizeof m->hash) == 0)
        return PL_OK;
    pl_shelf_forget(r->shelf, version);
    return pl_fail(err, PL_EFORMAT, "the manifest of version %llu is not of the announced hash",
                   (unsigned long long)version);
}

static int came(void *at, const struct pl_item *item, const void *bytes, size_t len,
                struct pl_error *err)
{
    struct pl_relay *r = at;
    int rc;

    if (item->what == PL_WEIGHTS_CHUNK) {
        rc = pl_shelf_add_chunk(r->shelf, item, bytes, len, err);
    } else {
        rc = pl_shelf_add_manifest(r->shelf, item->version, bytes, len, err);
        if (rc == PL_OK)
            rc = check_announced(r, item->version, err);
        if (rc == PL_OK)
            pl_downstream_repeat(r->downstream, item->version);
    }
    if (rc < 0 && rc != PL_ENOENT && now_ms() >= r->event_ms + EVENT_MS) {
        r->event_ms = now_ms();
        say(r, "weights event=refused version=%llu reason=\"%s\"",
            (unsigned long long)item->version, err->text);
    }
    return rc;
}

static void failed(void *at, const struct pl_item *item, bool other)
{
    struct pl_relay *r = at;

    if (other) /* who asks next is given what upstream has now */
        pl_shelf_forget(r->shelf, item->version);
}

static void shut_out(void *at, const char *why)
{
    struct pl_relay *r = at;

    if (r->shut_out_ms > 0 && now_ms() < r->shut_out_ms + SHUT_OUT_MS)
        return;
    r->shut_out_ms = now_ms();
    say(r, "upstream event=refused reason=\"%s\"", why);
}

/* ---- what peers ask ---- */

static enum pl_answer find(void *at, const struct pl_item *item, struct pl_blob **ret_blob)
{
    struct pl_relay *r = at;

    switch (pl_shelf_find(r->shelf, item, ret_blob)) {
    case PL_FOUND:
        return PL_ANSWER_HERE;
    case PL_FOUND_NEVER:
        return PL_ANSWER_NEVER;
    default:
        return want(r, item) ? PL_ANSWER_LATER : PL_ANSWER_ABSENT;
    }
}

static void asked(void *at, const struct pl_item *item)
{
    (void)want(at, item);
}

/* Somebody subscribed, or left. */
static bool take_subscription(struct pl_relay *r)
{
    char frame[64];

    return zmq_recv(r->pub, frame, sizeof frame, ZMQ_DONTWAIT) >= 0;
}

/* ---- the thread ---- */

static void publish_stats(struct pl_relay *r)
{
    r->counts.turns++;
    r->counts.downstream = pl_downstream_stats(r->downstream);
    r->counts.upstream = pl_upstream_stats(r->upstream);
    r->counts.door = pl_door_stats(r->door);
    r->counts.cache = pl_shelf_stats(r->shelf);
    pthread_mutex_lock(&r->lock);
    r->stats = r->counts;
    pthread_mutex_unlock(&r->lock);
}

static bool is_to_stop(struct pl_relay *r)
{
    bool stop;

    pthread_mutex_lock(&r->lock);
    stop = r->stop;
    pthread_mutex_unlock(&r->lock);
    return stop;
}

static void wait_for_any(struct pl_relay *r, bool draining)
{
    zmq_pollitem_t items[] = {{pl_upstream_sub(r->upstream), 0, ZMQ_POLLIN, 0},
                              {pl_upstream_dealer(r->upstream), 0, ZMQ_POLLIN, 0},
                              {r->pub, 0, ZMQ_POLLIN, 0},
                              {NULL, r->wake, ZMQ_POLLIN, 0},
                              {pl_downstream_socket(r->downstream), 0, ZMQ_POLLIN, 0}};
    uint64_t count;

    (void)zmq_poll(items, draining ? 4 : 5,
                   draining || pl_upstream_is_busy(r->upstream) ? TICK_MS : REST_MS);
    if (items[3].revents)
        (void)!read(r->wake, &count, sizeof count);
}

static void *run(void *at)
{
    struct pl_relay *r = at;
    uint64_t drained_ms = 0;

    for (;;) {
        const bool draining = drained_ms > 0;
        bool subscribed = false;

        wait_for_any(r, draining);
        if (!draining)
            pl_downstream_take(r->downstream);
        while (take_subscription(r))
            subscribed = true;
        if (subscribed || now_ms() >= r->announced_ms + ANNOUNCE_MS)
            announce(r);
        pl_upstream_turn(r->upstream);
        fetch_changes(r);
        pl_downstream_answer(r->downstream);
        publish_stats(r);
        if (!draining && is_to_stop(r))
            drained_ms = now_ms() + DRAIN_MS;
        if (drained_ms > 0 && (pl_downstream_is_quiet(r->downstream) || now_ms() >= drained_ms))
            return NULL;
    }
}

/* ---- the owner's side ---- */

static int open_pub(struct pl_relay *r, struct pl_error *err)
{
    const int linger = 0, yes = 1;

    r->pub = zmq_socket(r->context, ZMQ_XPUB);
    if (!r->pub)
        return pl_fail(err, PL_EIO, "a ZeroMQ socket: %s", zmq_strerror(errno));
    zmq_setsockopt(r->pub, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(r->pub, ZMQ_XPUB_VERBOSE, &yes, sizeof yes);
    return PL_OK;
}

/* The door stands before anybody can come in. */
static int open_doors(struct pl_relay *r, struct pl_error *err)
{
    const struct pl_door_opts door = {.keys = r->opts.keys,
                                      .context = r->context,
                                      .sockets = {r->pub, pl_downstream_socket(r->downstream)},
                                      .count = 2,
                                      .event = r->opts.event,
                                      .at = r->opts.at};
    size_t len = sizeof r->pub_at;
    int rc = r->opts.keys ? pl_door_open(&door, &r->door, err) : PL_OK;

    if (rc == PL_OK && (zmq_bind(r->pub, r->opts.pub_bind) < 0 ||
                        zmq_getsockopt(r->pub, ZMQ_LAST_ENDPOINT, r->pub_at, &len) < 0))
        rc = pl_fail(err, PL_EIO, "bind '%s': %s", r->opts.pub_bind, zmq_strerror(errno));
    return rc == PL_OK ? pl_downstream_bind(r->downstream, r->opts.serve_bind, r->door, err) : rc;
}

static int open_all(struct pl_relay *r, struct pl_error *err)
{
    const struct pl_upstream_opts upstream = {.context = r->context,
                                              .run = r->run,
                                              .pub = r->upstream_pub,
                                              .serve = r->upstream_serve,
                                              .keys = r->opts.keys,
                                              .silence_ms = r->opts.silence_ms,
                                              .at = r,
                                              .announced = announced,
                                              .came = came,
                                              .failed = failed,
                                              .shut_out = shut_out};
    const struct pl_downstream_opts downstream = {.context = r->context,
                                                  .run = r->run,
                                                  .wake = r->wake,
                                                  .at = r,
                                                  .find = find,
                                                  .asked = asked};
    int rc = open_pub(r, err);

    if (rc == PL_OK)
        rc = pl_downstream_create(&downstream, &r->downstream, err);
    if (rc == PL_OK)
        rc = open_doors(r, err);
    if (rc == PL_OK)
        rc = pl_shelf_create(r->run, r->opts.keys, r->opts.cache_bytes, &r->shelf, err);
    if (rc == PL_OK)
        rc = pl_upstream_create(&upstream, &r->upstream, err);
    if (rc == PL_OK && pthread_create(&r->thread, NULL, run, r) != 0)
        rc = pl_fail(err, PL_EIO, "no thread for the relay");
    r->running = rc == PL_OK;
    return rc;
}

int pl_relay_create(const struct pl_relay_opts *opts, struct pl_relay **ret_relay,
                    struct pl_error *err)
{
    struct pl_relay *r = calloc(1, sizeof *r);
    int rc;

    if (!r)
        return pl_fail(err, PL_ENOMEM, "no memory for the relay");
    r->opts = *opts;
    r->run = strdup(opts->run);
    r->upstream_pub = strdup(opts->pub);
    r->upstream_serve = strdup(opts->serve);
    r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r->context = zmq_ctx_new();
    pthread_mutex_init(&r->lock, NULL);
    pl_buf_init(&r->announcement, PL_WEIGHTS_MESSAGE_MAX);
    rc = r->run && r->upstream_pub && r->upstream_serve && r->wake >= 0 && r->context
             ? open_all(r, err)
             : pl_fail(err, PL_ENOMEM, "no memory for the relay");
    if (rc < 0) {
        pl_relay_destroy(r);
        return rc;
    }
    *ret_relay = r;
    return PL_OK;
}

void pl_relay_destroy(struct pl_relay *relay)
{
    if (!relay)
        return;
    if (relay->running) {
        pthread_mutex_lock(&relay->lock);
        relay->stop = true;
        pthread_mutex_unlock(&relay->lock);
        wake(relay);
        pthread_join(relay->thread, NULL);
    }
    pl_door_close(relay->door);
    pl_upstream_destroy(relay->upstream);
    if (relay->pub)
        zmq_close(relay->pub);
    pl_downstream_close(relay->downstream);
    if (relay->context)
        zmq_ctx_term(relay->context);
    if (relay->wake >= 0)
        close(relay->wake);
    pl_downstream_destroy(relay->downstream);
    pl_shelf_destroy(relay->shelf);
    pl_buf_release(&relay->announcement);
    pthread_mutex_destroy(&relay->lock);
    free(relay->run);
    free(relay->upstream_pub);
    free(relay->upstream_serve);
    free(relay);
}

const char *pl_relay_pub(const struct pl_relay *relay)
{
    return relay->pub_at;
}

const char *pl_relay_serve(const struct pl_relay *relay)
{
    return pl_downstream_endpoint(relay->downstream);
}

struct pl_relay_stats pl_relay_stats(const struct pl_relay *relay)
{
    struct pl_relay *r = (struct pl_relay *)relay;
    struct pl_relay_stats stats;

    pthread_mutex_lock(&r->lock);
    stats = r->stats;
    pthread_mutex_unlock(&r->lock);
    return stats;
}
