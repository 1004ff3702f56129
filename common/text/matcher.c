#include "common/text/matcher.h"

#include "common/base/check.h"
#include "common/base/err.h"

#include <stdlib.h>

static struct pl_matcher_edge *edge_of(const struct pl_matcher *matcher, uint32_t parent,
                                       unsigned char byte)
{
    const uint64_t whose = (uint64_t)parent << 8 | byte;
    const size_t mask = matcher->edges_len - 1;
    uint64_t hash = whose * 0x9E3779B97F4A7C15u;
    size_t at;

    hash ^= hash >> 32;
    for (at = hash & mask; matcher->edges[at].node; at = (at + 1) & mask) {
        if (matcher->edges[at].whose == whose)
            break;
    }
    return &matcher->edges[at];
}

/* The child, or 0. */
static uint32_t child(const struct pl_matcher *matcher, uint32_t parent, unsigned char byte)
{
    return parent == 0 ? matcher->first[byte] : edge_of(matcher, parent, byte)->node;
}

static uint32_t make_child(struct pl_matcher *matcher, uint32_t parent, unsigned char byte)
{
    const uint32_t node = (uint32_t)matcher->count++;

    matcher->nodes[node] = (struct pl_matcher_node){
        .parent = parent, .byte = byte, .depth = matcher->nodes[parent].depth + 1};
    if (parent == 0)
        matcher->first[byte] = node;
    else
        *edge_of(matcher, parent, byte) =
            (struct pl_matcher_edge){.node = node, .whose = (uint64_t)parent << 8 | byte};
    return node;
}

/* From `node`, or the first of those it falls back to, along `byte`. */
static uint32_t follow(const struct pl_matcher *matcher, uint32_t node, unsigned char byte,
                       uint64_t *steps)
{
    for (;;) {
        const uint32_t next = child(matcher, node, byte);

        ++*steps;
        if (next || node == 0)
            return next;
        node = matcher->nodes[node].fail;
    }
}

static void add_word(struct pl_matcher *matcher, const struct pl_matcher_word *word, uint32_t index)
{
    uint32_t node = 0;

    for (size_t i = word->len; i > 0; i--) {
        const unsigned char byte = (unsigned char)word->bytes[i - 1];
        const uint32_t next = child(matcher, node, byte);

        node = next ? next : make_child(matcher, node, byte);
    }
    if (!matcher->nodes[node].word)
        matcher->nodes[node].word = index + 1;
}

/* Parents before children: a node falls back to one of less depth. */
static int link_up(struct pl_matcher *matcher, size_t depth_max)
{
    uint32_t *order = malloc(matcher->count * sizeof *order);
    size_t *start = calloc(depth_max + 2, sizeof *start);
    uint64_t steps = 0;

    if (!order || !start) {
        free(order);
        free(start);
        return PL_ENOMEM;
    }
    for (size_t i = 0; i < matcher->count; i++)
        start[matcher->nodes[i].depth + 1]++;
    for (size_t d = 0; d <= depth_max; d++)
        start[d + 1] += start[d];
    for (size_t i = 0; i < matcher->count; i++)
        order[start[matcher->nodes[i].depth]++] = (uint32_t)i;
    for (size_t i = 1; i < matcher->count; i++) {
        struct pl_matcher_node *node = &matcher->nodes[order[i]];

        if (node->parent != 0)
            node->fail = follow(matcher, matcher->nodes[node->parent].fail, node->byte, &steps);
        if (!node->word)
            node->word = matcher->nodes[node->fail].word;
    }
    free(order);
    free(start);
    return PL_OK;
}

int pl_matcher_build(struct pl_matcher *matcher, const struct pl_matcher_word *words, size_t n)
{
    size_t bytes = 0, longest = 0;
    int rc = PL_ENOMEM;

    *matcher = (struct pl_matcher){0};
    for (size_t i = 0; i < n; i++) {
        PL_ASSERT(words[i].len > 0);
        if (words[i].len > PL_MATCHER_BYTES_MAX - bytes)
            return PL_EFULL;
        bytes += words[i].len;
        longest = words[i].len > longest ? words[i].len : longest;
    }
    if (n == 0)
        return PL_OK;
    for (matcher->edges_len = 64; matcher->edges_len < 2 * bytes;)
        matcher->edges_len *= 2;
    matcher->nodes = calloc(bytes + 1, sizeof *matcher->nodes);
    matcher->edges = calloc(matcher->edges_len, sizeof *matcher->edges);
    matcher->lens = malloc(n * sizeof *matcher->lens);
    if (matcher->nodes && matcher->edges && matcher->lens) {
        matcher->count = 1;
        for (size_t i = 0; i < n; i++) {
            add_word(matcher, &words[i], (uint32_t)i);
            matcher->lens[i] = words[i].len;
        }
        rc = link_up(matcher, longest);
    }
    if (rc < 0)
        pl_matcher_release(matcher);
    return rc;
}

void pl_matcher_release(struct pl_matcher *matcher)
{
    free(matcher->nodes);
    free(matcher->edges);
    free(matcher->lens);
    *matcher = (struct pl_matcher){0};
}

static int push(struct pl_matches *matches, struct pl_match match)
{
    if (matches->count == matches->cap) {
        const size_t cap = matches->cap ? matches->cap * 2 : 64;
        struct pl_match *items = realloc(matches->items, cap * sizeof *items);

        if (!items)
            return PL_ENOMEM;
        matches->items = items;
        matches->cap = cap;
    }
    matches->items[matches->count++] = match;
    return PL_OK;
}

/* From the last to the first place of a match, pick those that do not lie over an earlier one. */
static void pick(struct pl_matches *matches)
{
    const size_t n = matches->count;
    size_t kept = 0, end = 0;

    for (size_t i = 0; i < n / 2; i++) {
        const struct pl_match match = matches->items[i];

        matches->items[i] = matches->items[n - 1 - i];
        matches->items[n - 1 - i] = match;
    }
    for (size_t i = 0; i < n; i++) {
        if (matches->items[i].start < end)
            continue;
        end = matches->items[i].start + matches->items[i].len;
        matches->items[kept++] = matches->items[i];
    }
    matches->count = kept;
}

int pl_matcher_run(const struct pl_matcher *matcher, const char *text, size_t len,
                   struct pl_matches *matches)
{
    uint32_t node = 0;
    int rc = PL_OK;

    matches->count = 0;
    if (matcher->count == 0)
        return PL_OK;
    for (size_t at = len; rc == PL_OK && at-- > 0;) {
        uint32_t word;

        node = follow(matcher, node, (unsigned char)text[at], &matches->steps);
        word = matcher->nodes[node].word;
        if (word)
            rc = push(matches, (struct pl_match){at, (uint32_t)matcher->lens[word - 1], word - 1});
    }
    pick(matches);
    return rc;
}

void pl_matches_release(struct pl_matches *matches)
{
    free(matches->items);
    *matches = (struct pl_matches){0};
}
