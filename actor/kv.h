/*
 * Key/value cache of many sequences: a pool of pages (common/math/attn.h) with reference counts,
 * and for each slot, a sequence in flight, the list of pages it reads.
 *
 * A page belongs to every sequence that begins with its PL_PAGE positions. Only full pages are
 * shared: a sequence that continues in the middle of a page gets its own copy of it, so that nobody
 * ever writes to a page that somebody else reads.
 *
 * Pages are promised before they are taken. pl_kv_claim() sets aside what a group of sequences can
 * need at worst, and pl_kv_extend() and pl_kv_fork() draw on that, so that they cannot fail: a
 * sequence that was let in never runs out half way.
 *
 * Always true between calls:
 *   - a page's reference count is the number of slots whose list names it; 0: it is on the free
 *     list;
 *   - the sum of what slots are still promised is at most the number of free pages;
 *   - only pl_kv_create() allocates; memory of pages is finite everywhere.
 *
 * One thread owns a cache; nothing here locks.
 */
#ifndef PL_ACTOR_KV_H
#define PL_ACTOR_KV_H

#include "common/base/err.h"
#include "common/math/attn.h"

#include <stddef.h>
#include <stdint.h>

struct pl_kv_opts {
    size_t layers, kv_heads, head_dim; /* L, G, D */
    size_t pages;                      /* in the pool */
    size_t slots;                      /* sequences at once */
    size_t positions;                  /* of the longest sequence */
};

struct pl_kv_slot {
    size_t held;     /* pages in the list */
    size_t promised; /* pages it may still take from the free list */
    int claimed;
};

struct pl_kv {
    struct pl_pages pages;
    size_t slot_count, table_len; /* table_len: pages of the longest sequence */
    uint32_t *tables;             /* (slot_count, table_len) */
    struct pl_kv_slot *slots;     /* (slot_count) */
    size_t slots_free;
    uint32_t *refs;              /* (pages.count) */
    uint32_t *free;              /* a stack of free_count page numbers */
    size_t free_count, promised; /* promised: sum over slots, at most free_count */
};

/* Pages that hold `positions` positions. */
static inline size_t pl_kv_pages_for(size_t positions)
{
    return (positions + PL_PAGE - 1) / PL_PAGE;
}

/*
 * Pages that `samples` sequences of at most `positions` positions need at worst when they share
 * their first `shared` positions.
 */
size_t pl_kv_pages_group(size_t shared, size_t positions, size_t samples);

/* Bytes that create will ask for; SIZE_MAX when the sizes are beyond all memory. */
size_t pl_kv_bytes(const struct pl_kv_opts *opts);

/*
 * On success *ret_kv is the caller's, to be ended with pl_kv_destroy().
 * PL_EINVAL: a size is 0 or beyond 32-bit page numbers. PL_ENOMEM.
 */
int pl_kv_create(const struct pl_kv_opts *opts, struct pl_kv **ret_kv, struct pl_error *err);
void pl_kv_destroy(struct pl_kv *kv); /* NULL is fine */

/*
 * Claim `samples` slots for sequences of at most `positions` positions that share the first
 * `shared` (at most `positions`). ret_slots: (samples) slot numbers; the first one is to be filled
 * with the shared part, the others forked from it. The lists are empty at first. PL_EFULL: not
 * enough free slots or pages now; try again when some were released. Nothing changed.
 */
int pl_kv_claim(struct pl_kv *kv, size_t shared, size_t positions, size_t samples,
                uint32_t *ret_slots);

/* Give the slot's list pages for positions [0, positions), within its claim. */
void pl_kv_extend(struct pl_kv *kv, uint32_t slot, size_t positions);

/*
 * Let `to`, claimed and still empty, begin with the first `positions` positions of `from`: full
 * pages by reference, the rest of them copied into a page of its own.
 */
void pl_kv_fork(struct pl_kv *kv, uint32_t from, uint32_t to, size_t positions);

/*
 * Keep the first `positions` positions of a slot none of whose pages are shared, and claim anew,
 * for a sequence of at most `positions_max` positions that begins like it. With positions_max =
 * positions the slot is only kept. PL_EFULL: not enough free pages now; the slot has shrunk all the
 * same.
 */
int pl_kv_adopt(struct pl_kv *kv, uint32_t slot, size_t positions, size_t positions_max);

/* Zero those of the slot's pages that nobody else reads: what is to be done before release if they
 * may hold NaN. */
void pl_kv_scrub(struct pl_kv *kv, uint32_t slot);

/* Give the slot back, with its references and what it was promised. */
void pl_kv_release(struct pl_kv *kv, uint32_t slot);

/* Pages in order. Borrowed until the slot is released; extend and fork do not move it. */
static inline const uint32_t *pl_kv_table(const struct pl_kv *kv, uint32_t slot)
{
    return kv->tables + slot * kv->table_len;
}

/* Aborts unless everything stated above holds. Linear in the cache: for tests. */
void pl_kv_verify(const struct pl_kv *kv);

#endif
