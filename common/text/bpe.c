#include "common/text/bpe.h"

#include "common/base/check.h"

#include <stdlib.h>
#include <string.h>

enum { SHORT_MAX = 32 };

int pl_bpe_init(struct pl_bpe *bpe, size_t count)
{
    size_t n = 64;

    while (n / 2 < count + count / 8)
        n *= 2;
    *bpe = (struct pl_bpe){.unknown = PL_BPE_NONE, .slots_len = n};
    bpe->merges = malloc(n * sizeof *bpe->merges);
    if (!bpe->merges)
        return PL_ENOMEM;
    for (size_t i = 0; i < n; i++)
        bpe->merges[i] = (struct pl_bpe_merge){.pair = PL_BPE_FREE};
    for (size_t i = 0; i < 256; i++)
        bpe->byte_ids[i] = PL_BPE_NONE;
    return PL_OK;
}

void pl_bpe_release(struct pl_bpe *bpe)
{
    free(bpe->merges);
    *bpe = (struct pl_bpe){0};
}

static struct pl_bpe_merge *slot_of(const struct pl_bpe *bpe, uint64_t pair)
{
    const size_t mask = bpe->slots_len - 1;
    uint64_t hash = pair * 0x9E3779B97F4A7C15u;
    size_t slot;

    hash ^= hash >> 32;
    for (slot = hash & mask; bpe->merges[slot].pair != PL_BPE_FREE; slot = (slot + 1) & mask) {
        if (bpe->merges[slot].pair == pair)
            break;
    }
    return &bpe->merges[slot];
}

int pl_bpe_add(struct pl_bpe *bpe, uint32_t left, uint32_t right, uint32_t joined)
{
    const uint64_t pair = (uint64_t)left << 32 | right;
    struct pl_bpe_merge *slot = slot_of(bpe, pair);

    PL_ASSERT(bpe->count < bpe->slots_len / 2 && pair != PL_BPE_FREE);
    if (slot->pair == pair)
        return PL_EINVAL;
    *slot = (struct pl_bpe_merge){.pair = pair, .rank = (uint32_t)bpe->count, .joined = joined};
    bpe->count++;
    return PL_OK;
}

const struct pl_bpe_merge *pl_bpe_find(const struct pl_bpe *bpe, uint32_t left, uint32_t right)
{
    const struct pl_bpe_merge *slot = slot_of(bpe, (uint64_t)left << 32 | right);

    return slot->pair == PL_BPE_FREE ? NULL : slot;
}

void pl_bpe_work_release(struct pl_bpe_work *work)
{
    free(work->symbols);
    free(work->heap);
    *work = (struct pl_bpe_work){0};
}

/*
 * The first symbol of the bytes from *at on, and *at behind it. PL_BPE_NONE at the end. What has no
 * token is the unknown one, once for a run if they are fused.
 */
static uint32_t first_symbol(const struct pl_bpe *bpe, const char *piece, size_t len, size_t *at)
{
    uint32_t id;

    if (*at >= len)
        return PL_BPE_NONE;
    id = bpe->byte_ids[(unsigned char)piece[(*at)++]];
    if (id != PL_BPE_NONE)
        return id;
    PL_ASSERT(bpe->unknown != PL_BPE_NONE);
    while (bpe->fuse_unknown && *at < len &&
           bpe->byte_ids[(unsigned char)piece[*at]] == PL_BPE_NONE)
        (*at)++;
    return bpe->unknown;
}

struct neighbour {
    uint32_t rank, joined; /* of a symbol and the one behind it; rank PL_BPE_NONE: no merge */
};

static struct neighbour look(const struct pl_bpe *bpe, uint32_t left, uint32_t right)
{
    const struct pl_bpe_merge *merge = pl_bpe_find(bpe, left, right);

    return merge ? (struct neighbour){merge->rank, merge->joined}
                 : (struct neighbour){PL_BPE_NONE, PL_BPE_NONE};
}

/* Joins at the lowest rank by looking at all neighbours each time: quadratic, for short pieces. */
static int run_short(const struct pl_bpe *bpe, struct pl_bpe_work *work, const char *piece,
                     size_t len, struct pl_ids *out)
{
    uint32_t ids[SHORT_MAX];
    struct neighbour next[SHORT_MAX]; /* of ids[i] and ids[i + 1] */
    size_t n = 0;

    for (size_t at = 0; at < len;)
        ids[n++] = first_symbol(bpe, piece, len, &at);
    for (size_t i = 0; i + 1 < n; i++)
        next[i] = look(bpe, ids[i], ids[i + 1]);
    while (n > 1) {
        size_t best = 0;

        work->steps += n;
        for (size_t i = 1; i + 1 < n; i++) {
            if (next[i].rank < next[best].rank)
                best = i;
        }
        if (next[best].rank == PL_BPE_NONE)
            break;
        ids[best] = next[best].joined;
        n--;
        memmove(ids + best + 1, ids + best + 2, (n - best - 1) * sizeof *ids);
        if (best + 1 < n) {
            memmove(next + best + 1, next + best + 2, (n - best - 2) * sizeof *next);
            next[best] = look(bpe, ids[best], ids[best + 1]);
        }
        if (best > 0)
            next[best - 1] = look(bpe, ids[best - 1], ids[best]);
    }
    return pl_ids_append(out, ids, n);
}

static bool before(const struct pl_bpe_offer *a, const struct pl_bpe_offer *b)
{
    return a->rank < b->rank || (a->rank == b->rank && a->at < b->at);
}

/* Offers come to at most three for each symbol, so that the heap is made large enough at once. */
static void push(struct pl_bpe_work *work, struct pl_bpe_offer offer)
{
    size_t at = work->heap_len++;

    PL_ASSERT(at < work->heap_cap);
    for (; at > 0 && before(&offer, &work->heap[(at - 1) / 2]); at = (at - 1) / 2) {
        work->heap[at] = work->heap[(at - 1) / 2];
        work->steps++;
    }
    work->heap[at] = offer;
}

static struct pl_bpe_offer pop(struct pl_bpe_work *work)
{
    const struct pl_bpe_offer top = work->heap[0], last = work->heap[--work->heap_len];
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= work->heap_len)
            break;
        if (child + 1 < work->heap_len && before(&work->heap[child + 1], &work->heap[child]))
            child++;
        if (!before(&work->heap[child], &last))
            break;
        work->heap[at] = work->heap[child];
        at = child;
        work->steps++;
    }
    work->heap[at] = last;
    return top;
}

/* The pair at a symbol and the one behind it, if some merge joins it. */
static void offer(const struct pl_bpe *bpe, struct pl_bpe_work *work, uint32_t at)
{
    const struct pl_bpe_symbol *symbol = &work->symbols[at];
    const struct pl_bpe_merge *merge;

    work->steps++;
    if (symbol->next == PL_BPE_NONE)
        return;
    merge = pl_bpe_find(bpe, symbol->id, work->symbols[symbol->next].id);
    if (merge)
        push(work, (struct pl_bpe_offer){merge->rank, at, merge->joined});
}

static int reserve(struct pl_bpe_work *work, size_t len)
{
    if (len > work->symbols_cap) {
        struct pl_bpe_symbol *symbols = realloc(work->symbols, len * sizeof *symbols);

        if (!symbols)
            return PL_ENOMEM;
        work->symbols = symbols;
        work->symbols_cap = len;
    }
    if (3 * len > work->heap_cap) {
        struct pl_bpe_offer *heap = realloc(work->heap, 3 * len * sizeof *heap);

        if (!heap)
            return PL_ENOMEM;
        work->heap = heap;
        work->heap_cap = 3 * len;
    }
    return PL_OK;
}

/* An offer is stale when its pair was joined or changed since: a joined-over symbol has no id. */
static bool stale(const struct pl_bpe *bpe, const struct pl_bpe_work *work,
                  const struct pl_bpe_offer *best)
{
    const struct pl_bpe_symbol *symbol = &work->symbols[best->at];
    const struct pl_bpe_merge *merge;

    if (symbol->id == PL_BPE_NONE || symbol->next == PL_BPE_NONE)
        return true;
    merge = pl_bpe_find(bpe, symbol->id, work->symbols[symbol->next].id);
    return !merge || merge->rank != best->rank;
}

static void join(struct pl_bpe_work *work, uint32_t at, uint32_t joined)
{
    struct pl_bpe_symbol *symbol = &work->symbols[at];
    const uint32_t gone = symbol->next, next = work->symbols[gone].next;

    symbol->id = joined;
    symbol->next = next;
    work->symbols[gone].id = PL_BPE_NONE;
    if (next != PL_BPE_NONE)
        work->symbols[next].prev = at;
}

static int run_long(const struct pl_bpe *bpe, struct pl_bpe_work *work, const char *piece,
                    size_t len, struct pl_ids *out)
{
    uint32_t n = 0;
    int rc = reserve(work, len);

    if (rc < 0)
        return rc;
    for (size_t at = 0; at < len; n++)
        work->symbols[n] = (struct pl_bpe_symbol){first_symbol(bpe, piece, len, &at), n - 1, n + 1};
    work->symbols[0].prev = PL_BPE_NONE;
    work->symbols[n - 1].next = PL_BPE_NONE;
    work->heap_len = 0;
    for (uint32_t i = 0; i < n; i++)
        offer(bpe, work, i);
    while (work->heap_len > 0) {
        const struct pl_bpe_offer best = pop(work);

        if (stale(bpe, work, &best))
            continue;
        join(work, best.at, best.joined);
        offer(bpe, work, best.at);
        if (work->symbols[best.at].prev != PL_BPE_NONE)
            offer(bpe, work, work->symbols[best.at].prev);
    }
    for (uint32_t i = 0; rc == PL_OK && i != PL_BPE_NONE; i = work->symbols[i].next)
        rc = pl_ids_push(out, work->symbols[i].id);
    return rc;
}

int pl_bpe_run(const struct pl_bpe *bpe, struct pl_bpe_work *work, const char *piece, size_t len,
               struct pl_ids *out)
{
    PL_ASSERT(len <= UINT32_MAX / 2);
    if (len == 0)
        return PL_OK;
    return len <= SHORT_MAX ? run_short(bpe, work, piece, len, out)
                            : run_long(bpe, work, piece, len, out);
}
