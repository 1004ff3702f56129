/*
 * Finds given words in text: of all that could stand at a place the longest, leftmost first, none
 * over another. Linear in the text whatever the text and the words, which a search forward with its
 * steps back is not: it goes from the end to the front, through an Aho-Corasick automaton of the
 * words reversed, and so learns for each place the longest word that begins there; then it picks
 * from the front.
 *
 * A built matcher is only read: threads share it, each with a pl_matches of its own.
 */
#ifndef PL_TEXT_MATCHER_H
#define PL_TEXT_MATCHER_H

#include <stddef.h>
#include <stdint.h>

enum { PL_MATCHER_BYTES_MAX = 1 << 22 }; /* of all words together */

struct pl_matcher_word {
    const char *bytes;
    size_t len; /* 1 or more */
};

struct pl_matcher_node {
    uint32_t parent, fail, depth;
    uint32_t word;      /* the longest word that ends here, + 1; 0: none */
    unsigned char byte; /* that leads here from the parent */
};

struct pl_matcher_edge {
    uint32_t node;  /* 0 is the root, to which no edge leads: free */
    uint64_t whose; /* parent << 8 | byte */
};

/* Zeroed, it finds nothing. */
struct pl_matcher {
    struct pl_matcher_node *nodes;
    size_t count;
    struct pl_matcher_edge *edges; /* hash table of edges_len, a power of two, half free */
    size_t edges_len;
    uint32_t first[256]; /* the root's children; 0: none */
    size_t *lens;        /* of the words */
};

struct pl_match {
    size_t start;
    uint32_t len, word;
};

/* Zeroed, it is ready. */
struct pl_matches {
    struct pl_match *items; /* count of them, by start */
    size_t count, cap;
    uint64_t steps; /* nodes looked at so far: what the time is proportional to */
};

/*
 * The words are read and not kept; of equal ones the first counts. PL_EFULL: they have more than
 * PL_MATCHER_BYTES_MAX bytes. PL_ENOMEM. Ended with pl_matcher_release().
 */
int pl_matcher_build(struct pl_matcher *matcher, const struct pl_matcher_word *words, size_t n);
void pl_matcher_release(struct pl_matcher *matcher);

/* Replaces what is in `matches`. PL_ENOMEM. */
int pl_matcher_run(const struct pl_matcher *matcher, const char *text, size_t len,
                   struct pl_matches *matches);
void pl_matches_release(struct pl_matches *matches);

#endif
