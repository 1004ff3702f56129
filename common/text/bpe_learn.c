#include "common/text/bpe_learn.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/text/bytelevel.h"

#include <stdlib.h>

#define NONE UINT32_MAX
#define FREE UINT64_MAX

/* A place holds a symbol of a word; those of one word are next to one another. A place that has a
 * right neighbour is in the list of the pair they make. */
struct place {
    uint32_t symbol;        /* NONE: joined to the one before it */
    uint32_t left, right;   /* neighbours in the word, NONE at its ends */
    uint32_t before, after; /* in the list of the pair */
    uint32_t word;
};

struct pair {
    uint64_t key; /* left << 32 | right; FREE marks a free slot */
    uint64_t count;
    uint32_t first; /* place, of the left symbol */
    bool grown;     /* offered again after the merge that is under way */
};

struct offer {
    uint64_t count, key;
};

struct learn {
    const struct pl_words *words;
    const struct pl_bpe_learn_opts *opts;
    struct pl_bpe_learned *out;
    struct place *places;
    struct pair *pairs; /* hash table of pairs_len, a power of two, at most half full */
    size_t pairs_len, pairs_count;
    struct offer *heap; /* the most frequent pair first; counts in it may be too high */
    size_t heap_len, heap_cap;
    uint64_t *grown; /* keys */
    size_t grown_len, grown_cap;
};

static uint64_t key_of(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

static struct pair *slot_of(struct pair *pairs, size_t len, uint64_t key)
{
    uint64_t hash = key * 0x9E3779B97F4A7C15u;
    size_t at;

    hash ^= hash >> 32;
    for (at = hash & (len - 1); pairs[at].key != FREE; at = (at + 1) & (len - 1)) {
        if (pairs[at].key == key)
            break;
    }
    return &pairs[at];
}

static struct pair *find_pair(struct learn *learn, uint64_t key)
{
    struct pair *pair = slot_of(learn->pairs, learn->pairs_len, key);

    return pair->key == FREE ? NULL : pair;
}

/* A larger table, without the pairs that occur no more. */
static int grow_pairs(struct learn *learn)
{
    size_t live = 0, len = 1024;
    struct pair *pairs;

    for (size_t i = 0; i < learn->pairs_len; i++)
        live += learn->pairs[i].key != FREE && learn->pairs[i].count > 0;
    while (len < 4 * (live + 1))
        len *= 2;
    pairs = malloc(len * sizeof *pairs);
    if (!pairs)
        return PL_ENOMEM;
    for (size_t i = 0; i < len; i++)
        pairs[i].key = FREE;
    for (size_t i = 0; i < learn->pairs_len; i++) {
        if (learn->pairs[i].key != FREE && learn->pairs[i].count > 0)
            *slot_of(pairs, len, learn->pairs[i].key) = learn->pairs[i];
    }
    free(learn->pairs);
    learn->pairs = pairs;
    learn->pairs_len = len;
    learn->pairs_count = live;
    return PL_OK;
}

/* The pair, made if there is none. May move all pairs. */
static int want_pair(struct learn *learn, uint64_t key, struct pair **ret_pair)
{
    struct pair *pair;

    if (learn->pairs_count >= learn->pairs_len / 2) {
        const int rc = grow_pairs(learn);

        if (rc < 0)
            return rc;
    }
    pair = slot_of(learn->pairs, learn->pairs_len, key);
    if (pair->key == FREE) {
        *pair = (struct pair){.key = key, .first = NONE};
        learn->pairs_count++;
    }
    *ret_pair = pair;
    return PL_OK;
}

static bool above(const struct offer *a, const struct offer *b)
{
    return a->count > b->count || (a->count == b->count && a->key < b->key);
}

static int offer(struct learn *learn, struct offer offer)
{
    size_t at = learn->heap_len;

    if (at == learn->heap_cap) {
        const size_t cap = learn->heap_cap ? learn->heap_cap * 2 : 1024;
        struct offer *heap = realloc(learn->heap, cap * sizeof *heap);

        if (!heap)
            return PL_ENOMEM;
        learn->heap = heap;
        learn->heap_cap = cap;
    }
    learn->heap_len++;
    for (; at > 0 && above(&offer, &learn->heap[(at - 1) / 2]); at = (at - 1) / 2) {
        learn->heap[at] = learn->heap[(at - 1) / 2];
        learn->out->steps++;
    }
    learn->heap[at] = offer;
    return PL_OK;
}

static struct offer take(struct learn *learn)
{
    const struct offer top = learn->heap[0], last = learn->heap[--learn->heap_len];
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= learn->heap_len)
            break;
        if (child + 1 < learn->heap_len && above(&learn->heap[child + 1], &learn->heap[child]))
            child++;
        if (!above(&learn->heap[child], &last))
            break;
        learn->heap[at] = learn->heap[child];
        at = child;
        learn->out->steps++;
    }
    learn->heap[at] = last;
    return top;
}

/* Put a place, whose right neighbour is known, into the list of its pair. */
static int enter(struct learn *learn, uint32_t at, bool during_merge)
{
    struct place *place = &learn->places[at];
    const uint64_t key = key_of(place->symbol, learn->places[place->right].symbol);
    struct pair *pair = NULL;
    int rc = want_pair(learn, key, &pair);

    if (rc < 0)
        return rc;
    learn->out->steps++;
    place->before = NONE;
    place->after = pair->first;
    if (pair->first != NONE)
        learn->places[pair->first].before = at;
    pair->first = at;
    pair->count += learn->words->counts[place->word];
    if (!during_merge || pair->grown)
        return PL_OK;
    pair->grown = true;
    if (learn->grown_len == learn->grown_cap) {
        const size_t cap = learn->grown_cap ? learn->grown_cap * 2 : 256;
        uint64_t *grown = realloc(learn->grown, cap * sizeof *grown);

        if (!grown)
            return PL_ENOMEM;
        learn->grown = grown;
        learn->grown_cap = cap;
    }
    learn->grown[learn->grown_len++] = key;
    return PL_OK;
}

/* Take a place out of the list of its pair. */
static void leave(struct learn *learn, uint32_t at)
{
    const struct place *place = &learn->places[at];
    struct pair *pair = find_pair(learn, key_of(place->symbol, learn->places[place->right].symbol));

    PL_ASSERT(pair && pair->count >= learn->words->counts[place->word]);
    learn->out->steps++;
    if (place->before != NONE)
        learn->places[place->before].after = place->after;
    else
        pair->first = place->after;
    if (place->after != NONE)
        learn->places[place->after].before = place->before;
    pair->count -= learn->words->counts[place->word];
}

/* Join a place and its right neighbour to `joined`. */
static int join(struct learn *learn, uint32_t at, uint32_t joined)
{
    struct place *places = learn->places;
    const uint32_t gone = places[at].right, left = places[at].left, right = places[gone].right;
    int rc = PL_OK;

    leave(learn, at);
    if (left != NONE)
        leave(learn, left);
    if (right != NONE)
        leave(learn, gone);
    places[at].symbol = joined;
    places[at].right = right;
    places[gone].symbol = NONE;
    if (right != NONE)
        places[right].left = at;
    if (left != NONE)
        rc = enter(learn, left, true);
    if (rc == PL_OK && right != NONE)
        rc = enter(learn, at, true);
    return rc;
}

/* In a run of one symbol, pairs lie over one another: they are joined from the left. */
static uint32_t run_start(const struct learn *learn, uint32_t at)
{
    const struct place *places = learn->places;
    const uint32_t symbol = places[at].symbol;

    while (places[at].left != NONE && places[places[at].left].symbol == symbol) {
        at = places[at].left;
        learn->out->steps++;
    }
    return at;
}

static int join_all(struct learn *learn, uint64_t key, uint32_t joined)
{
    const uint32_t left = (uint32_t)(key >> 32), right = (uint32_t)key;
    int rc = PL_OK;

    for (;;) {
        const struct pair *pair = find_pair(learn, key); /* anew: joining may move it */
        uint32_t at;

        if (!pair || pair->first == NONE)
            return PL_OK;
        at = left == right ? run_start(learn, pair->first) : pair->first;
        while (rc == PL_OK && at != NONE && learn->places[at].symbol == left &&
               learn->places[at].right != NONE &&
               learn->places[learn->places[at].right].symbol == right) {
            rc = join(learn, at, joined);
            at = left == right ? learn->places[at].right : NONE;
        }
        if (rc < 0)
            return rc;
    }
}

/* What grew is offered with its new count. */
static int offer_grown(struct learn *learn)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < learn->grown_len; i++) {
        struct pair *pair = find_pair(learn, learn->grown[i]);

        if (!pair) /* grown and gone again */
            continue;
        pair->grown = false;
        if (pair->count >= learn->opts->count_least)
            rc = offer(learn, (struct offer){pair->count, pair->key});
    }
    learn->grown_len = 0;
    return rc;
}

/*
 * The symbol that a pair makes; NONE if it must not. It is always new: wherever the same bytes
 * stand and no symbol lies over their ends, the merges so far have made the same symbols of them,
 * so that two pairs that make the same bytes cannot both occur.
 */
static int joined_symbol(struct learn *learn, uint64_t key, struct pl_buf *bytes,
                         uint32_t *ret_symbol)
{
    const struct pl_bpe_learn_opts *opts = learn->opts;
    struct pl_dict *tokens = &learn->out->tokens;
    size_t len, entry = 0;
    const char *part = pl_dict_key(tokens, (size_t)(key >> 32), &len);
    bool is_new = false;
    int rc;

    pl_buf_clear(bytes);
    rc = pl_buf_append(bytes, part, len);
    part = pl_dict_key(tokens, (uint32_t)key, &len);
    if (rc == PL_OK)
        rc = pl_buf_append(bytes, part, len);
    if (rc < 0)
        return rc;
    if (opts->forbidden && opts->forbidden(opts->forbidden_at, bytes->data, bytes->len)) {
        *ret_symbol = NONE;
        return PL_OK;
    }
    rc = pl_dict_add(tokens, bytes->data, bytes->len, &entry, &is_new);
    if (rc < 0)
        return rc;
    PL_ASSERT(is_new);
    *ret_symbol = (uint32_t)entry;
    return PL_OK;
}

static int note(struct pl_bpe_learned *learned, uint64_t key)
{
    if (learned->merges_count == learned->merges_cap) {
        const size_t cap = learned->merges_cap ? learned->merges_cap * 2 : 1024;
        struct pl_bpe_pair *merges = realloc(learned->merges, cap * sizeof *merges);

        if (!merges)
            return PL_ENOMEM;
        learned->merges = merges;
        learned->merges_cap = cap;
    }
    learned->merges[learned->merges_count++] =
        (struct pl_bpe_pair){(uint32_t)(key >> 32), (uint32_t)key};
    return PL_OK;
}

static int merge_top(struct learn *learn, uint64_t key, struct pl_buf *bytes)
{
    const struct pl_bpe_learn_opts *opts = learn->opts;
    uint32_t joined = NONE;
    int rc = joined_symbol(learn, key, bytes, &joined);

    if (rc < 0 || joined == NONE) /* a forbidden pair is off the heap, and stays in the words */
        return rc;
    rc = note(learn->out, key);
    if (rc == PL_OK)
        rc = join_all(learn, key, joined);
    if (rc == PL_OK)
        rc = offer_grown(learn);
    if (rc == PL_OK && opts->tick)
        rc = opts->tick(opts->tick_at, learn->out->tokens.count);
    return rc;
}

static int merge_on(struct learn *learn)
{
    const struct pl_bpe_learn_opts *opts = learn->opts;
    struct pl_buf bytes;
    int rc = PL_OK;

    pl_buf_init(&bytes, UINT32_MAX);
    while (rc == PL_OK && learn->heap_len > 0 && learn->out->tokens.count < opts->tokens_max) {
        struct offer top = take(learn);
        const struct pair *pair = find_pair(learn, top.key);

        learn->out->steps++;
        if (!pair || pair->count < opts->count_least)
            continue;
        if (pair->count != top.count) { /* it occurs less often by now */
            top.count = pair->count;
            rc = offer(learn, top);
            continue;
        }
        rc = merge_top(learn, top.key, &bytes);
    }
    pl_buf_release(&bytes);
    return rc;
}

/* The byte of each symbol, and the other way round. */
static int number_bytes(struct pl_bpe_learned *learned, uint32_t symbols[256])
{
    for (uint32_t cp = 0, symbol = 0; symbol < 256; cp++) {
        const int byte = pl_bytelevel_byte(cp);
        const char c = (char)byte;
        size_t entry;
        int rc;

        if (byte < 0)
            continue;
        rc = pl_dict_add(&learned->tokens, &c, 1, &entry, NULL);
        if (rc < 0)
            return rc;
        PL_ASSERT(entry == symbol);
        symbols[byte] = symbol++;
    }
    return PL_OK;
}

static void place_word(struct learn *learn, size_t word, uint32_t start,
                       const uint32_t symbols[256])
{
    size_t len;
    const char *bytes = pl_dict_key(&learn->words->dict, word, &len);

    for (uint32_t i = 0; i < len; i++) {
        learn->places[start + i] = (struct place){
            .symbol = symbols[(unsigned char)bytes[i]],
            .left = i > 0 ? start + i - 1 : NONE,
            .right = i + 1 < len ? start + i + 1 : NONE,
            .word = (uint32_t)word,
        };
    }
}

static int lay_out(struct learn *learn, const uint32_t symbols[256])
{
    const size_t n = learn->words->dict.count;
    size_t bytes = 0;
    uint32_t start = 0;

    for (size_t i = 0; i < n; i++)
        bytes += learn->words->dict.entries[i].len;
    if (bytes >= NONE)
        return PL_EFULL;
    learn->places = malloc((bytes + 1) * sizeof *learn->places);
    if (!learn->places)
        return PL_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        place_word(learn, i, start, symbols);
        start += learn->words->dict.entries[i].len;
    }
    for (uint32_t at = 0; at < bytes; at++) {
        const int rc = learn->places[at].right == NONE ? PL_OK : enter(learn, at, false);

        if (rc < 0)
            return rc;
    }
    return PL_OK;
}

static int offer_all(struct learn *learn)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < learn->pairs_len; i++) {
        const struct pair *pair = &learn->pairs[i];

        if (pair->key != FREE && pair->count >= learn->opts->count_least)
            rc = offer(learn, (struct offer){pair->count, pair->key});
    }
    return rc;
}

int pl_bpe_learn(const struct pl_words *words, const struct pl_bpe_learn_opts *opts,
                 struct pl_bpe_learned *learned)
{
    struct learn learn = {.words = words, .opts = opts, .out = learned};
    uint32_t symbols[256];
    int rc;

    PL_ASSERT(opts->tokens_max >= 256 && opts->count_least >= 1);
    *learned = (struct pl_bpe_learned){0};
    rc = number_bytes(learned, symbols);
    if (rc == PL_OK)
        rc = grow_pairs(&learn);
    if (rc == PL_OK)
        rc = lay_out(&learn, symbols);
    if (rc == PL_OK)
        rc = offer_all(&learn);
    if (rc == PL_OK)
        rc = merge_on(&learn);
    free(learn.places);
    free(learn.pairs);
    free(learn.heap);
    free(learn.grown);
    return rc;
}

void pl_bpe_learned_release(struct pl_bpe_learned *learned)
{
    pl_dict_release(&learned->tokens);
    free(learned->merges);
    *learned = (struct pl_bpe_learned){0};
}
