#include "common/link/downstream.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/link/peers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum {
    TURN_MAX = 256, /* messages taken in one turn */
    ENDPOINT_MAX = 256,
    MESSAGE_MAX = 1024, /* bytes of a question, or of an answer's head */
    IDLE_MS = 60000,    /* after which a peer is forgotten */
};

struct pl_downstream {
    struct pl_downstream_opts opts;
    void *router;
    char at[ENDPOINT_MAX];
    struct pl_door *door; /* NULL: everybody is let in */
    struct pl_peers peers;
    atomic_bool stalled; /* somebody waits for credit */
    struct pl_downstream_stats stats;
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- answers ---- */

/* What is on its way to a peer. */
struct parcel {
    struct pl_downstream *from;
    struct pl_peer *peer;
    struct pl_blob *blob; /* NULL: an error has nothing else */
    size_t bytes;
};

/* Parcels made so far, by all. ZeroMQ orders the thread that made one and the one that has it
 * taken; by this a sanitizer, which does not see into ZeroMQ, knows of it too. */
static atomic_uint made;

/* Called by ZeroMQ, on a thread of its own, when a peer has taken it or is gone. */
static void taken(void *data, void *hint)
{
    const unsigned seen = atomic_load(&made);
    struct parcel *parcel = hint;
    struct pl_downstream *d = parcel->from;
    const uint64_t one = 1;

    (void)data;
    (void)seen;
    pl_blob_put(parcel->blob);
    pl_peer_taken(parcel->peer, parcel->bytes);
    free(parcel);
    if (atomic_exchange(&d->stalled, false))
        PL_ASSERT(write(d->opts.wake, &one, sizeof one) == sizeof one || errno == EAGAIN);
}

/* Takes the blob over. false: the peer is gone, or there is no memory. */
static bool answer(struct pl_downstream *d, struct pl_peer *peer, const struct pl_item *item,
                   enum pl_weights_error error, struct pl_blob *blob)
{
    const struct pl_weights_request head = {.version = item->version,
                                            .what = item->what,
                                            .transfer = item->transfer,
                                            .chunk = item->chunk,
                                            .error = error};
    const size_t len = blob ? pl_blob_len(blob) : 0;
    struct parcel *parcel = malloc(sizeof *parcel);
    struct pl_buf buf;
    zmq_msg_t payload;
    bool sent;

    if (!parcel) {
        pl_blob_put(blob);
        return false;
    }
    *parcel = (struct parcel){d, peer, blob, len};
    atomic_fetch_add(&made, 1);
    if (zmq_msg_init_data(&payload, blob ? (void *)pl_blob_data(blob) : parcel, len, taken,
                          parcel) < 0) {
        pl_blob_put(blob);
        free(parcel);
        return false;
    }
    pl_peer_sent(peer, len);
    pl_buf_init(&buf, MESSAGE_MAX);
    sent = pl_weights_request_encode(&head, true, &buf) == PL_OK &&
           zmq_send(d->router, peer->id, peer->id_len, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
           zmq_send(d->router, buf.data, buf.len, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
           zmq_msg_send(&payload, d->router, ZMQ_DONTWAIT) >= 0;
    pl_buf_release(&buf);
    if (!sent)
        zmq_msg_close(&payload); /* and with it the parcel */
    return sent;
}

static bool answer_found(struct pl_downstream *d, struct pl_peer *peer, const struct pl_item *item,
                         struct pl_blob *blob)
{
    const size_t len = pl_blob_len(blob);

    if (!answer(d, peer, item, PL_WEIGHTS_FINE, blob))
        return false;
    d->stats.manifests += item->what == PL_WEIGHTS_MANIFEST;
    d->stats.chunks += item->what == PL_WEIGHTS_CHUNK;
    d->stats.bytes += len;
    return true;
}

static bool has_credit(struct pl_downstream *d, const struct pl_peer *peer)
{
    if (pl_peer_has_credit(peer))
        return true;
    atomic_store(&d->stalled, true);
    return pl_peer_has_credit(peer); /* it may have taken something meanwhile */
}

/* The first question of a peer, if there is an answer to it now. false: it waits, or is gone. */
static bool answer_first(struct pl_downstream *d, struct pl_peer *peer)
{
    const struct pl_item item = *pl_peer_question(peer, 0);
    struct pl_blob *blob = NULL;
    bool sent = false;

    switch (d->opts.find(d->opts.at, &item, &blob)) {
    case PL_ANSWER_HERE:
        sent = answer_found(d, peer, &item, blob);
        break;
    case PL_ANSWER_ABSENT:
        d->stats.absent++;
        sent = answer(d, peer, &item, PL_WEIGHTS_ABSENT, NULL);
        break;
    case PL_ANSWER_NEVER:
        d->stats.refused++;
        sent = answer(d, peer, &item, PL_WEIGHTS_BAD_REQUEST, NULL);
        break;
    case PL_ANSWER_LATER:
        return false;
    }
    if (sent)
        pl_peer_answered(peer);
    else
        pl_peer_hush(peer);
    return sent;
}

void pl_downstream_answer(struct pl_downstream *downstream)
{
    struct pl_downstream *d = downstream;

    for (size_t i = 0; i < d->peers.count; i++) {
        struct pl_peer *peer = d->peers.list[i];

        while (pl_peer_question(peer, 0) && has_credit(d, peer) && answer_first(d, peer))
            ;
    }
    pl_peers_forget(&d->peers, now_ms(), IDLE_MS);
}

/* ---- questions ---- */

static void take_question(struct pl_downstream *d, zmq_msg_t *peer_id, zmq_msg_t *question,
                          bool whole)
{
    struct pl_peer *peer =
        pl_peers_find(&d->peers, zmq_msg_data(peer_id), zmq_msg_size(peer_id), now_ms());
    struct pl_weights_request q = {0};
    struct pl_item item = {0};
    const bool good = whole &&
                      pl_weights_request_decode(zmq_msg_data(question), zmq_msg_size(question),
                                                false, &q, NULL) == PL_OK &&
                      strcmp(q.run, d->opts.run) == 0;

    if (good) {
        item = (struct pl_item){q.version, q.what, q.transfer, q.chunk};
        if (q.what == PL_WEIGHTS_MANIFEST)
            item.transfer = item.chunk = 0;
    }
    if (good && peer && pl_peer_ask(peer, &item)) {
        d->opts.asked(d->opts.at, &item);
        return;
    }
    d->stats.refused++;
    if (!good && peer && pl_peer_has_credit(peer))
        (void)answer(d, peer, &item, PL_WEIGHTS_BAD_REQUEST, NULL);
}

/* [peer][question]. */
static bool take_message(struct pl_downstream *d)
{
    zmq_msg_t peer, question, rest;
    unsigned parts = 1;

    zmq_msg_init(&peer);
    zmq_msg_init(&question);
    if (zmq_msg_recv(&peer, d->router, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&peer);
        zmq_msg_close(&question);
        return false;
    }
    if (zmq_msg_more(&peer) && zmq_msg_recv(&question, d->router, ZMQ_DONTWAIT) >= 0)
        parts = 2;
    for (bool more = parts == 2 && zmq_msg_more(&question); more; parts++) {
        zmq_msg_init(&rest);
        more = zmq_msg_recv(&rest, d->router, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&rest);
        zmq_msg_close(&rest);
    }
    if (parts == 1 || pl_door_knows(d->door, &question))
        take_question(d, &peer, &question, parts == 2);
    zmq_msg_close(&peer);
    zmq_msg_close(&question);
    return true;
}

void pl_downstream_take(struct pl_downstream *downstream)
{
    for (unsigned i = 0; i < TURN_MAX && take_message(downstream); i++)
        ;
}

void pl_downstream_repeat(struct pl_downstream *downstream, uint64_t version)
{
    const struct pl_item *q;

    for (size_t i = 0; i < downstream->peers.count; i++)
        for (size_t n = 0; (q = pl_peer_question(downstream->peers.list[i], n)); n++)
            if (q->version == version)
                downstream->opts.asked(downstream->opts.at, q);
}

bool pl_downstream_is_quiet(const struct pl_downstream *downstream)
{
    for (size_t i = 0; i < downstream->peers.count; i++)
        if (downstream->peers.list[i]->count > 0 ||
            atomic_load(&downstream->peers.list[i]->answers) > 0)
            return false;
    return true;
}

struct pl_downstream_stats pl_downstream_stats(const struct pl_downstream *downstream)
{
    struct pl_downstream_stats stats = downstream->stats;

    stats.peers = downstream->peers.count;
    stats.waiting = 0;
    for (size_t i = 0; i < stats.peers; i++) {
        const size_t bytes = atomic_load(&downstream->peers.list[i]->bytes);

        stats.waiting = bytes > stats.waiting ? bytes : stats.waiting;
    }
    return stats;
}

/* ---- from start to end ---- */

int pl_downstream_create(const struct pl_downstream_opts *opts,
                         struct pl_downstream **ret_downstream, struct pl_error *err)
{
    const int linger = 0, yes = 1, none = 0;
    const int64_t most = MESSAGE_MAX;
    struct pl_downstream *d = calloc(1, sizeof *d);

    if (!d)
        return pl_fail(err, PL_ENOMEM, "no memory for the relay");
    d->opts = *opts;
    atomic_init(&d->stalled, false);
    d->router = zmq_socket(opts->context, ZMQ_ROUTER);
    if (!d->router) {
        pl_downstream_destroy(d);
        return pl_fail(err, PL_EIO, "a ZeroMQ socket: %s", zmq_strerror(errno));
    }
    zmq_setsockopt(d->router, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(d->router, ZMQ_MAXMSGSIZE, &most, sizeof most);
    zmq_setsockopt(d->router, ZMQ_SNDHWM, &none, sizeof none); /* credit bounds what is sent */
    zmq_setsockopt(d->router, ZMQ_ROUTER_MANDATORY, &yes, sizeof yes);
    *ret_downstream = d;
    return PL_OK;
}

int pl_downstream_bind(struct pl_downstream *downstream, const char *bind, struct pl_door *door,
                       struct pl_error *err)
{
    struct pl_downstream *d = downstream;
    size_t len = ENDPOINT_MAX;

    d->door = door;
    if (zmq_bind(d->router, bind) < 0 ||
        zmq_getsockopt(d->router, ZMQ_LAST_ENDPOINT, d->at, &len) < 0)
        return pl_fail(err, PL_EIO, "bind '%s': %s", bind, zmq_strerror(errno));
    return PL_OK;
}

void pl_downstream_close(struct pl_downstream *downstream)
{
    if (downstream && downstream->router)
        zmq_close(downstream->router);
    if (downstream)
        downstream->router = NULL;
}

void pl_downstream_destroy(struct pl_downstream *downstream)
{
    if (!downstream)
        return;
    pl_peers_release(&downstream->peers);
    free(downstream);
}

const char *pl_downstream_endpoint(const struct pl_downstream *downstream)
{
    return downstream->at;
}

void *pl_downstream_socket(const struct pl_downstream *downstream)
{
    return downstream->router;
}
