#include "common/link/peers.h"

#include "common/base/check.h"

#include <stdlib.h>
#include <string.h>

void pl_peers_release(struct pl_peers *peers)
{
    for (size_t i = 0; i < peers->count; i++) {
        PL_ASSERT(atomic_load(&peers->list[i]->answers) == 0);
        free(peers->list[i]);
    }
    peers->count = 0;
}

struct pl_peer *pl_peers_find(struct pl_peers *peers, const void *id, size_t len, uint64_t now_ms)
{
    struct pl_peer *p;

    for (size_t i = 0; i < peers->count; i++) {
        p = peers->list[i];
        if (p->id_len == len && memcmp(p->id, id, len) == 0) {
            p->heard_ms = now_ms;
            return p;
        }
    }
    if (peers->count == PL_PEERS_MAX || len > PL_PEER_ID_MAX)
        return NULL;
    p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    memcpy(p->id, id, len);
    p->id_len = len;
    p->heard_ms = now_ms;
    atomic_init(&p->bytes, 0);
    atomic_init(&p->answers, 0);
    peers->list[peers->count++] = p;
    return p;
}

void pl_peers_forget(struct pl_peers *peers, uint64_t now_ms, uint64_t idle_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < peers->count; i++) {
        struct pl_peer *p = peers->list[i];

        if (p->count == 0 && atomic_load(&p->answers) == 0 && now_ms - p->heard_ms >= idle_ms)
            free(p);
        else
            peers->list[kept++] = p;
    }
    peers->count = kept;
}

const struct pl_item *pl_peer_question(const struct pl_peer *peer, size_t number)
{
    if (number >= peer->count)
        return NULL;
    return &peer->questions[(peer->first + number) % PL_PEER_QUESTIONS];
}

bool pl_peer_ask(struct pl_peer *peer, const struct pl_item *item)
{
    for (size_t i = 0; i < peer->count; i++)
        if (pl_item_same(pl_peer_question(peer, i), item))
            return true;
    if (peer->count == PL_PEER_QUESTIONS)
        return false;
    peer->questions[(peer->first + peer->count++) % PL_PEER_QUESTIONS] = *item;
    return true;
}

void pl_peer_answered(struct pl_peer *peer)
{
    PL_ASSERT(peer->count > 0);
    peer->first = (peer->first + 1) % PL_PEER_QUESTIONS;
    peer->count--;
}

void pl_peer_hush(struct pl_peer *peer)
{
    peer->count = 0;
    peer->heard_ms = 0;
}

bool pl_peer_has_credit(const struct pl_peer *peer)
{
    return atomic_load(&((struct pl_peer *)peer)->answers) < PL_PEER_ANSWERS &&
           atomic_load(&((struct pl_peer *)peer)->bytes) < PL_PEER_BYTES;
}

void pl_peer_sent(struct pl_peer *peer, size_t bytes)
{
    atomic_fetch_add(&peer->bytes, bytes);
    atomic_fetch_add(&peer->answers, 1);
}

/* The count last: when it is 0 the owner may forget the peer. */
void pl_peer_taken(struct pl_peer *peer, size_t bytes)
{
    atomic_fetch_sub(&peer->bytes, bytes);
    atomic_fetch_sub(&peer->answers, 1);
}
