/*
 * A small tokenizer.json that tests make themselves: the 256 bytes as ids 0 to 255, the merges that
 * are given behind them, then added tokens. Included after cmocka's headers.
 */
#ifndef PL_TESTS_MINI_TOKENIZER_H
#define PL_TESTS_MINI_TOKENIZER_H

#include "common/text/tokenizer.h"

/* Pieces of JSON; NULL is what Qwen2 has there. */
struct pl_test_mini {
    const char *const *merges; /* "a b" in the alphabet of bytes, NULL at the end */
    const char *normalizer, *pre_tokenizer, *decoder, *post_processor;
    const char *model; /* more members of the model: "\"ignore_merges\":true," */
    const char *added; /* entries of added_tokens; NULL: <|endoftext|>, <|im_start|>, <|im_end|> */
    int skip_byte;     /* this byte gets no entry; 0: none (NUL always has one) */
    bool pairs;        /* merges as ["a", "b"] */
};

/* From malloc(). Fails the test when memory is out. */
char *pl_test_mini_json(const struct pl_test_mini *mini);

/* Loaded; fails the test, with the sentence, when it cannot be. */
struct pl_tokenizer *pl_test_mini_load(const struct pl_test_mini *mini);

/* Writes DIR/tokenizer.json. */
void pl_test_mini_save(const struct pl_test_mini *mini, const char *dir);

/* Common merges: "th", "the", " the", "in", "ing", " a", "er", ... */
extern const char *const pl_test_merges[];

#endif
