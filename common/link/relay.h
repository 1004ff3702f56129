/*
 * A relay of weights: to a source it is a sink, to a sink a source. It passes announcements on as
 * they are, and serves manifests and chunks, as they travelled, out of a bounded cache; what is
 * missing it has from upstream, each thing once whoever asks.
 *
 *   upstream (learner or relay) ──PUB──▶ announcements, byte for byte ──PUB──▶ sinks and relays
 *                               ◀─DEALER── what is missing   ◀─ROUTER── questions
 *
 * Always:
 *   - what it serves is byte for byte what upstream sent, and has the SHA-256 that its manifest
 *     says; a manifest is that of the version that was announced;
 *   - a chunk is served as soon as it is there itself, whatever else of its version is;
 *   - what is absent, or does not come from upstream in some seconds, is said to be so;
 *   - the cache takes at most cache_bytes; what is on its way to a peer that does not take it is
 *     bounded for each (peers.h).
 *
 * The changes of a version that is announced are fetched at once, a snapshot when it is asked for.
 * A relay keeps no state: one that was started again is one with an empty cache. Upstream may be
 * gone: what is here is served on.
 *
 * With keys all connections are CURVE, upstream and down; who may connect is in its list (door.h).
 *
 * A relay has a thread of its own; functions here may be called from one other thread.
 */
#ifndef PL_LINK_RELAY_H
#define PL_LINK_RELAY_H

#include "common/base/err.h"
#include "common/link/downstream.h"
#include "common/link/shelf.h"
#include "common/link/upstream.h"

#include <stddef.h>
#include <stdint.h>

struct pl_relay_opts {
    const char *run;
    const char *pub, *serve;           /* of upstream */
    const char *pub_bind, *serve_bind; /* its own: "tcp://0.0.0.0:7721", "tcp://127.0.0.1:*" */
    const struct pl_keys *keys;        /* borrowed; those that connect, see keys.h; NULL: none */
    size_t cache_bytes;
    uint64_t silence_ms; /* of upstream, before what is wanted counts as absent; 0: 3000 */
    void (*event)(void *at,
                  const char *line); /* for the log, from the relay's thread; NULL: none */
    void *at;
};

struct pl_relay;
int pl_relay_create(const struct pl_relay_opts *opts, struct pl_relay **ret_relay,
                    struct pl_error *err);

/* Answers what was asked, for up to two seconds, and ends. NULL is fine. */
void pl_relay_destroy(struct pl_relay *relay);

/* Where it really listens (ports that were '*' are filled in); borrowed. */
const char *pl_relay_pub(const struct pl_relay *relay);
const char *pl_relay_serve(const struct pl_relay *relay);

struct pl_relay_stats {
    uint64_t newest;        /* version announced last, 0: none yet */
    uint64_t announcements; /* sent */
    uint64_t turns;         /* of its thread, two a second at least: it is alive */
    struct pl_upstream_stats upstream;
    struct pl_downstream_stats downstream;
    struct pl_shelf_stats cache;
    struct pl_door_stats door;
};
struct pl_relay_stats pl_relay_stats(const struct pl_relay *relay);

#endif
