/*
 * How often each word occurs. The number of different words is bounded: when there are too many,
 * the rarest are forgotten until half are left, those of one count all together, so that what is
 * kept depends on the text and its order alone.
 */
#ifndef PL_TEXT_WORDS_H
#define PL_TEXT_WORDS_H

#include "common/text/dict.h"

#include <stddef.h>
#include <stdint.h>

enum { PL_WORD_BYTES_MAX = 256 };

struct pl_words {
    struct pl_dict dict; /* entry i is the word that occurs counts[i] times */
    uint64_t *counts;
    size_t cap, words_max;
    uint64_t total;     /* words counted, with those forgotten */
    uint64_t forgotten; /* of those: words forgotten */
    uint64_t too_long;  /* words over PL_WORD_BYTES_MAX, which are not counted */
};

void pl_words_init(struct pl_words *words, size_t words_max); /* 16 at least */
void pl_words_release(struct pl_words *words);                /* zeroed is fine */

/* PL_ENOMEM. */
int pl_words_add(struct pl_words *words, const char *word, size_t len);

#endif
