/*
 * A text as its words, for tests that solve a problem by what is written alone: lower case, each
 * sign a word of its own, "Dora's" as "dora" and "'s".
 */
#ifndef PL_TESTS_WORDS_H
#define PL_TESTS_WORDS_H

#include <stdbool.h>
#include <stddef.h>

enum { PL_WORDS_MAX = 512, PL_WORD_BYTES = 16 };

struct pl_words {
    size_t count;
    char word[PL_WORDS_MAX][PL_WORD_BYTES];
};

/* false: more words, or longer ones, than there is room for. */
bool pl_words_split(const char *text, struct pl_words *ret_words);

/*
 * Whether the words from `at` on are those of a pattern, blanks between them. A capital letter
 * stands for any word, which is stored in found[letter - 'A'], or for the same word if that is not
 * empty; "_" stands for any word, too. *ret_end is the place behind them.
 */
bool pl_words_match(const struct pl_words *words, size_t at, const char *pattern,
                    char found[26][PL_WORD_BYTES], size_t *ret_end);

#endif
