/*
 * A tokenizer: byte-level BPE exactly as a tokenizer.json describes it. Text goes through these
 * stations:
 *
 *   added tokens cut out whole ─▶ normal form (normal.h) ─▶ pieces (pretok.h) ─▶ merges (bpe.h)
 *
 * Read-only once it is loaded: many threads may use it, each with a struct pl_encoder of its own.
 * Encoding is linear in the text, whatever the text.
 */
#ifndef PL_TEXT_TOKENIZER_H
#define PL_TEXT_TOKENIZER_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/text/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PL_TOKEN_NONE UINT32_MAX

struct pl_tokenizer;

/*
 * From DIR/tokenizer.json, or DIR/vocab.json and DIR/merges.txt where that is absent (then with
 * Qwen2's split expression and NFC, and the added tokens of DIR/tokenizer_config.json).
 * PL_ENOENT: neither is there. PL_EFORMAT: a file is not what it claims to be. PL_EUNSUPPORTED: it
 * asks for something that plait does not do. PL_EIO, PL_ENOMEM. Ended with pl_tokenizer_destroy().
 */
int pl_tokenizer_load(const char *dir, struct pl_tokenizer **ret_tokenizer, struct pl_error *err);

/* From the bytes of a tokenizer.json; `what` names them in errors. */
int pl_tokenizer_parse(const char *json, size_t len, const char *what,
                       struct pl_tokenizer **ret_tokenizer, struct pl_error *err);
void pl_tokenizer_destroy(struct pl_tokenizer *tokenizer); /* NULL is fine */

/* One more than the largest id. */
size_t pl_tokenizer_size(const struct pl_tokenizer *tokenizer);

/* The id of an added token by its content, or of a vocabulary entry by its bytes; PL_TOKEN_NONE. */
uint32_t pl_tokenizer_id(const struct pl_tokenizer *tokenizer, const char *token, size_t len);

/* The bytes a token stands for, borrowed; NULL for an id that is no token. */
const char *pl_tokenizer_bytes(const struct pl_tokenizer *tokenizer, uint32_t id, size_t *ret_len);

bool pl_tokenizer_is_special(const struct pl_tokenizer *tokenizer, uint32_t id);

/* Added tokens by number, in the order of the file; and how many merges there are. */
size_t pl_tokenizer_added_count(const struct pl_tokenizer *tokenizer);
uint32_t pl_tokenizer_added(const struct pl_tokenizer *tokenizer, size_t index);
size_t pl_tokenizer_merges(const struct pl_tokenizer *tokenizer);

/*
 * What the file's post_processor wants in front of a text that a model reads from its beginning
 * (<|begin_of_text|> and the like); borrowed, *ret_n is mostly 0. Encoding does not add it:
 * pl_chat_turn() does, and so must who scores plain text.
 */
const uint32_t *pl_tokenizer_front(const struct pl_tokenizer *tokenizer, size_t *ret_n);

/* What one thread needs to encode. Ended with pl_encoder_destroy(). PL_ENOMEM. */
struct pl_encoder;
int pl_encoder_create(const struct pl_tokenizer *tokenizer, struct pl_encoder **ret_encoder);
void pl_encoder_destroy(struct pl_encoder *encoder); /* NULL is fine */
const struct pl_tokenizer *pl_encoder_tokenizer(const struct pl_encoder *encoder);

enum pl_encode {
    PL_ENCODE_ALL,      /* added and special tokens in the text are tokens */
    PL_ENCODE_UNTRUSTED /* special tokens are spelled out; for text that others wrote */
};

/*
 * Append the ids of `len` bytes. What is no well-formed UTF-8 is taken as U+FFFD.
 * PL_EFULL: out is full. PL_EUNSUPPORTED: see pl_pretok_run(). PL_ENOMEM. On failure out is as it
 * was.
 */
int pl_tokenizer_encode(struct pl_encoder *encoder, const char *text, size_t len,
                        enum pl_encode how, struct pl_ids *out, struct pl_error *err);

/*
 * The same for text that is put together from parts of different trust: added tokens are looked for
 * in each part by itself, so that none comes about where two parts meet, and what lies between them
 * is then merged as if it had been one text. Errors as above.
 */
struct pl_text_part {
    const char *text;
    size_t len;
    enum pl_encode how;
};
int pl_tokenizer_encode_parts(struct pl_encoder *encoder, const struct pl_text_part *parts,
                              size_t n, struct pl_ids *out, struct pl_error *err);

/* Append the text of n ids, in UTF-8, with U+FFFD for bytes that make no character; with
 * skip_special, special tokens are left out. PL_EINVAL: an id is no token. PL_EFULL, PL_ENOMEM. */
int pl_tokenizer_decode(const struct pl_tokenizer *tokenizer, const uint32_t *ids, size_t n,
                        bool skip_special, struct pl_buf *out, struct pl_error *err);

/*
 * The bytes of n ids as they are, in place of what `out` holds; ends[i], where it is not NULL, is
 * where those of ids[i] end. An id that is no token is spelled U+FFFD. PL_EFULL, PL_ENOMEM.
 */
int pl_tokenizer_spell(const struct pl_tokenizer *tokenizer, const uint32_t *ids, size_t n,
                       struct pl_buf *out, size_t *ends);

/*
 * Decoding token by token: what push appends is always whole characters, and all that was pushed
 * so far ends up the same as pl_tokenizer_decode() of all of it.
 */
struct pl_decoder {
    const struct pl_tokenizer *tokenizer;
    bool skip_special;
    char held[4]; /* the beginning of a character */
    size_t held_len;
};
void pl_decoder_init(struct pl_decoder *decoder, const struct pl_tokenizer *tokenizer,
                     bool skip_special);
int pl_decoder_push(struct pl_decoder *decoder, uint32_t id, struct pl_buf *out,
                    struct pl_error *err);
int pl_decoder_finish(struct pl_decoder *decoder, struct pl_buf *out); /* U+FFFD for a rest */

#endif
