/*
 * A tokenizer learned from text: text is counted in words, as the finished tokenizer will cut it
 * (NFC, Qwen2's expression, added tokens cut out), and merges are learned from the counts.
 *
 *   pl_bpe_trainer_create(&opts, &trainer, err)
 *   pl_bpe_trainer_feed(trainer, text, len, err)      as often as there is text
 *   pl_bpe_trainer_learn(trainer, tick, at, err)
 *   pl_bpe_trainer_save(trainer, dir, err)
 *
 * Ids: the 256 bytes, then the merges, then the added tokens. The same text in the same order gives
 * the same tokenizer; its parts in another order too, as long as no words had to be forgotten.
 *
 * Memory grows with the number of different words, which is bounded: about 50 bytes for each word,
 * and while it learns 30 for each byte of one.
 */
#ifndef PL_TEXT_BPE_TRAIN_H
#define PL_TEXT_BPE_TRAIN_H

#include "common/base/err.h"
#include "common/text/tokenizer_write.h"

#include <stddef.h>
#include <stdint.h>

struct pl_bpe_trainer_opts {
    size_t size;                        /* tokens to aim for, bytes and added ones included */
    size_t words_max;                   /* different words that are kept; see words.h */
    uint64_t count_least;               /* a pair that occurs less often is no merge; 1 at least */
    const struct pl_write_added *added; /* read, not kept, by create() */
    size_t added_count;
};

struct pl_bpe_trainer_stats {
    uint64_t bytes;                  /* fed */
    uint64_t words, words_forgotten; /* occurrences */
    uint64_t words_too_long;
    size_t different; /* words kept */
    size_t tokens;    /* learned, with bytes and added ones; fewer than `size` if text ran out */
};

struct pl_bpe_trainer;

/*
 * PL_EINVAL: size has no room for the bytes and the added tokens or is over PL_VOCAB_SIZE_MAX, an
 * added token is empty, no UTF-8 or there twice. PL_ENOMEM. Ended with pl_bpe_trainer_destroy().
 */
int pl_bpe_trainer_create(const struct pl_bpe_trainer_opts *opts,
                          struct pl_bpe_trainer **ret_trainer, struct pl_error *err);
void pl_bpe_trainer_destroy(struct pl_bpe_trainer *trainer); /* NULL is fine */

/* Count the words of a text that ends where words end, like at a line break that text follows.
 * PL_EUNSUPPORTED: see pl_pretok_run(). PL_ENOMEM. */
int pl_bpe_trainer_feed(struct pl_bpe_trainer *trainer, const char *text, size_t len,
                        struct pl_error *err);

/* Once. `tick` (may be NULL) is called after each merge with the tokens that there are and are
 * wanted; what it returns, if negative, ends the learning. PL_ENOMEM; PL_EFULL: too much text. */
int pl_bpe_trainer_learn(struct pl_bpe_trainer *trainer,
                         int (*tick)(void *at, size_t tokens, size_t size), void *at,
                         struct pl_error *err);

/* See pl_tokenizer_write(). */
int pl_bpe_trainer_save(const struct pl_bpe_trainer *trainer, const char *dir,
                        struct pl_error *err);

void pl_bpe_trainer_stats(const struct pl_bpe_trainer *trainer,
                          struct pl_bpe_trainer_stats *ret_stats);

#endif
