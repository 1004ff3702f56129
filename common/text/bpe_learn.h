/*
 * Learning merges: again and again the pair of neighbours that occurs most often in the words
 * becomes one symbol. Of pairs that occur equally often, the one with the smaller left symbol, then
 * the smaller right one. Symbols are numbered: 0 to 255 are the bytes, in the order of the
 * characters that stand for them (bytelevel.h), each merge makes the next. So the merges depend on
 * the counts of the words alone, not on their order.
 *
 * Time and memory: every place in a word is in the list of its pair, counts change where a merge
 * changes neighbours, and a merge takes a place away. So the work is in proportion to the bytes of
 * the different words, times the logarithm of the number of pairs for the heap.
 */
#ifndef PL_TEXT_BPE_LEARN_H
#define PL_TEXT_BPE_LEARN_H

#include "common/base/err.h"
#include "common/text/dict.h"
#include "common/text/words.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_bpe_learn_opts {
    size_t tokens_max;    /* stop at so many, bytes included; 256 at least */
    uint64_t count_least; /* pairs that occur less often are left alone; 1 at least */

    /* Says that the bytes may not become a token; NULL: all may. */
    bool (*forbidden)(const void *at, const char *bytes, size_t len);
    const void *forbidden_at;

    /* Called after each merge with the number of tokens there are; a negative code ends it all. */
    int (*tick)(void *at, size_t tokens);
    void *tick_at;
};

struct pl_bpe_pair {
    uint32_t left, right;
};

/* Zeroed, it is empty. */
struct pl_bpe_learned {
    struct pl_dict tokens;      /* by symbol: its bytes */
    struct pl_bpe_pair *merges; /* in the order of their rank */
    size_t merges_count, merges_cap;
    uint64_t steps; /* places and heap entries looked at: what the time is proportional to */
};

/* PL_ENOMEM; PL_EFULL: the words have more than UINT32_MAX - 1 bytes together; what tick returned.
 * `learned` is to be released in any case. */
int pl_bpe_learn(const struct pl_words *words, const struct pl_bpe_learn_opts *opts,
                 struct pl_bpe_learned *learned);
void pl_bpe_learned_release(struct pl_bpe_learned *learned);

#endif
