/*
 * Byte-pair merging: the bytes of a piece become symbols, and of all neighbours that some merge
 * joins, the pair of lowest rank, leftmost first, is joined until none is left.
 *
 * Time is O(n log n) in the bytes of a piece. Short pieces, which nearly all are, are scanned
 * instead, which is faster.
 *
 * A pl_bpe is read by many threads once it is built; each brings a pl_bpe_work.
 */
#ifndef PL_TEXT_BPE_H
#define PL_TEXT_BPE_H

#include "common/base/err.h"
#include "common/text/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PL_BPE_NONE UINT32_MAX

struct pl_bpe_merge {
    uint64_t pair; /* left << 32 | right; PL_BPE_FREE marks a free slot */
    uint32_t rank, joined;
};
#define PL_BPE_FREE UINT64_MAX

struct pl_bpe {
    uint32_t byte_ids[256];      /* the token of each byte, PL_BPE_NONE: there is none */
    uint32_t unknown;            /* stands for bytes without a token; PL_BPE_NONE: must not occur */
    bool fuse_unknown;           /* a run of them is one token */
    struct pl_bpe_merge *merges; /* hash table of slots_len, a power of two, over half free */
    size_t slots_len, count;
};

struct pl_bpe_symbol {
    uint32_t id;
    uint32_t prev, next; /* positions; PL_BPE_NONE at the ends */
};
struct pl_bpe_offer {
    uint32_t rank, at, joined;
};

/* Zeroed, it is ready; grows to the longest piece. */
struct pl_bpe_work {
    struct pl_bpe_symbol *symbols;
    struct pl_bpe_offer *heap;
    size_t symbols_cap, heap_cap, heap_len;
    uint64_t steps; /* heap moves and symbols looked at so far: what the time is proportional to */
};

/* Room for `count` merges, no byte with a token. PL_ENOMEM. */
int pl_bpe_init(struct pl_bpe *bpe, size_t count);
void pl_bpe_release(struct pl_bpe *bpe); /* zeroed is fine */

/* The next rank. PL_EINVAL: the pair has one already. PL_ASSERTs that there is room. */
int pl_bpe_add(struct pl_bpe *bpe, uint32_t left, uint32_t right, uint32_t joined);

/* The merge of a pair, or NULL. */
const struct pl_bpe_merge *pl_bpe_find(const struct pl_bpe *bpe, uint32_t left, uint32_t right);

/* Append the ids of a piece of at most UINT32_MAX / 2 bytes. PL_EFULL, PL_ENOMEM. */
int pl_bpe_run(const struct pl_bpe *bpe, struct pl_bpe_work *work, const char *piece, size_t len,
               struct pl_ids *out);
void pl_bpe_work_release(struct pl_bpe_work *work);

#endif
