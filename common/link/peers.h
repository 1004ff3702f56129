/*
 * Who asks a relay: of each peer the questions that it waits for, in their order, and how much of
 * what it was answered still lies here because it has not taken it. Answers leave in the order of
 * the questions, as a sink expects them.
 *
 * Always:
 *   - a peer has at most PL_PEER_QUESTIONS questions, no two of them the same;
 *   - it has at most PL_PEER_ANSWERS answers on their way to it, and a new one only while those
 *     take less than PL_PEER_BYTES: that, and one chunk, is what a peer that does not read costs.
 *
 * One thread owns the peers; pl_peer_taken() may be called by any.
 */
#ifndef PL_LINK_PEERS_H
#define PL_LINK_PEERS_H

#include "common/link/shelf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PL_PEERS_MAX = 1024,
    PL_PEER_ID_MAX = 255, /* ZeroMQ's most */
    PL_PEER_QUESTIONS = 128,
    PL_PEER_ANSWERS = 128,
    PL_PEER_BYTES = 16 << 20,
};

struct pl_peer {
    unsigned char id[PL_PEER_ID_MAX];
    size_t id_len;
    uint64_t heard_ms;
    struct pl_item questions[PL_PEER_QUESTIONS]; /* a ring */
    size_t first, count;
    atomic_size_t bytes, answers; /* on their way to it */
};

struct pl_peers {
    struct pl_peer *list[PL_PEERS_MAX];
    size_t count;
};

void pl_peers_release(struct pl_peers *peers); /* zeroed is fine; nothing may be on its way */

/* The peer of that id, a new one if need be. NULL: there are too many, or no memory. */
struct pl_peer *pl_peers_find(struct pl_peers *peers, const void *id, size_t len, uint64_t now_ms);

/* Forget those that have not asked for anything for idle_ms and wait for nothing. */
void pl_peers_forget(struct pl_peers *peers, uint64_t now_ms, uint64_t idle_ms);

/* One more question; one that is there already changes nothing. false: it has too many. */
bool pl_peer_ask(struct pl_peer *peer, const struct pl_item *item);
const struct pl_item *pl_peer_question(const struct pl_peer *peer, size_t number); /* NULL: none */
void pl_peer_answered(struct pl_peer *peer); /* the first question is done with */
void pl_peer_hush(struct pl_peer *peer);     /* it is gone: it asks nothing any more */

/* Whether it may be sent something now; then what is sent; and once it is taken. */
bool pl_peer_has_credit(const struct pl_peer *peer);
void pl_peer_sent(struct pl_peer *peer, size_t bytes);
void pl_peer_taken(struct pl_peer *peer, size_t bytes); /* the peer may be gone right after it */

#endif
