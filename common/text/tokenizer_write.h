/*
 * Learned merges as files: DIR/tokenizer.json and DIR/tokenizer_config.json in the layout of
 * Hugging Face's libraries. <|im_end|> and <|endoftext|>, where they are among the added tokens,
 * are named there as what ends an answer and what fills up, and with <|im_start|> comes ChatML as
 * the template of conversations.
 */
#ifndef PL_TEXT_TOKENIZER_WRITE_H
#define PL_TEXT_TOKENIZER_WRITE_H

#include "common/base/err.h"
#include "common/text/bpe_learn.h"

#include <stdbool.h>
#include <stddef.h>

struct pl_write_added {
    const char *content;
    bool special;
};

/* Makes DIR if need be. Each file shows up whole or not at all. PL_EIO, PL_ENOMEM. */
int pl_tokenizer_write(const char *dir, const struct pl_bpe_learned *learned,
                       const struct pl_write_added *added, size_t added_count,
                       struct pl_error *err);

#endif
