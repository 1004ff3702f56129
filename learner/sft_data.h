/*
 * What fine-tuning learns from: rows of token ids, a prompt and the response to it.
 *
 * They are read from JSON lines, each of which is one of
 *
 *   {"prompt": "...", "response": "..."}
 *   {"messages": [{"role": "system"|"user"|"assistant", "content": "..."}, ...]}
 *
 * where other keys are of no interest, empty lines are skipped, and the last message is the
 * assistant's: it is the response, all before it the prompt. The template (common/text/chat.h)
 * makes the prompt's ids, as `plait chat` would. A response ends with what the template ends an
 * answer with, and with the model's end token where that would not stop generation.
 *
 * The file is mapped and read line by line, so that the text is never held in memory, only its ids:
 * one array for all rows.
 */
#ifndef PL_LEARNER_SFT_DATA_H
#define PL_LEARNER_SFT_DATA_H

#include "common/base/err.h"
#include "common/model/config.h"
#include "common/text/chat.h"
#include "common/text/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_sft_row {
    size_t at;                         /* of the prompt in the ids; the response is right behind */
    uint32_t prompt_len, response_len; /* both >= 1 */
};

struct pl_sft_data {
    struct pl_ids ids;
    struct pl_sft_row *rows;
    size_t count, cap;
    size_t responses;          /* tokens of all responses: what a pass over the data learns */
    size_t longest;            /* tokens of the longest row */
    size_t dropped, truncated; /* rows that were too long */
};

void pl_sft_data_init(struct pl_sft_data *data);
void pl_sft_data_release(struct pl_sft_data *data); /* zeroed or released is fine */

/* Add a row; both lengths >= 1. PL_EFULL: a length is over 2^31, or there are 2^32 - 1 rows.
 * PL_ENOMEM. */
int pl_sft_data_add(struct pl_sft_data *data, const uint32_t *prompt, size_t prompt_len,
                    const uint32_t *response, size_t response_len);

/* How text becomes rows. */
struct pl_sft_format {
    const struct pl_chat *chat;
    struct pl_encoder *encoder;
    const char *prompt_key, *response_key;
    enum pl_encode responses; /* whether special tokens in an assistant's text are tokens */
    size_t length_max;        /* tokens of a row */
    bool truncate; /* cut the end of a response that is too long; else the row is dropped */
    /* Called after each line with the bytes of the file that are read and all it has; NULL: not. */
    void (*watch)(void *at, uint64_t done, uint64_t total);
    void *watch_at;
    struct pl_ids end;        /* behind the response that is learnt */
    struct pl_ids end_before; /* behind answers that are part of the prompt */
};

/*
 * Set `end` and `end_before` from chat and encoder, which are set; they are ended with
 * pl_sft_format_release(). *ret_stop is the token that will stop generation.
 * PL_EINVAL: neither the template nor the model has an end. Errors of pl_tokenizer_encode().
 */
int pl_sft_format_ends(struct pl_sft_format *format, const struct pl_config *config,
                       uint32_t *ret_stop, struct pl_error *err);
void pl_sft_format_release(struct pl_sft_format *format); /* zeroed or released is fine */

/*
 * Add the rows of a file. A row is cut only if its prompt leaves room for one token of the
 * response, and has no end then; otherwise it is dropped. PL_EFORMAT: a line is not as described;
 * the sentence names file and line. PL_EINVAL: there are no rows, or none short enough. PL_ENOENT,
 * PL_EIO, PL_ENOMEM; errors of pl_chat_turn().
 */
int pl_sft_data_read(const char *path, struct pl_sft_format *format, struct pl_sft_data *data,
                     struct pl_error *err);

/* 64 bits that differ when a row or their order does. */
uint64_t pl_sft_data_hash(const struct pl_sft_data *data);

/* The order of n rows in a pass over the data, uniform among all n! orders: a Fisher-Yates shuffle
 * whose draws are Philox of (seed, PL_RNG_SHUFFLE, epoch, place). */
void pl_sft_order(uint32_t *order, size_t n, uint64_t seed, uint64_t epoch);

#endif
