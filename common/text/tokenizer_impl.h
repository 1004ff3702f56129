/* What the files that build a tokenizer and those that use it share. Nobody else includes this. */
#ifndef PL_TEXT_TOKENIZER_IMPL_H
#define PL_TEXT_TOKENIZER_IMPL_H

#include "common/base/json.h"
#include "common/text/added.h"
#include "common/text/bpe.h"
#include "common/text/normal.h"
#include "common/text/pretok.h"
#include "common/text/tokenizer.h"
#include "common/text/vocab.h"

enum { PL_FORMS_MAX = 4, PL_FRONT_MAX = 4 };

/*
 * Always true once it is loaded:
 *   - each byte has a token, or bpe.unknown is one;
 *   - what bpe and added give is in vocab;
 *   - a special token that text could be merged into (special_merged) is no single byte, so that it
 *     can be spelled out.
 */
struct pl_tokenizer {
    struct pl_vocab vocab; /* all tokens, added ones too */
    struct pl_bpe bpe;
    struct pl_added added;
    struct pl_pretok pretok;
    enum pl_form forms[PL_FORMS_MAX]; /* one after another */
    size_t forms_count;
    uint32_t front[PL_FRONT_MAX]; /* see pl_tokenizer_front() */
    size_t front_count;
    bool bytelevel, decoder; /* seen in the file */
    bool ignore_merges;      /* a piece that is a token is that token, whatever its merges */
    bool special_merged;     /* some special token is a vocabulary entry that pieces can become */
};

/* All of those below: `what` names the document; a sentence on each failure; PL_EFORMAT,
 * PL_EUNSUPPORTED, PL_ENOMEM. */

/* Vocabulary (token: id) and the tokens of the bytes; unknown may be NULL. The merges follow. */
int pl_tokenizer_take_vocab(struct pl_tokenizer *tokenizer, const json_t *vocab,
                            const char *unknown, size_t merges, const char *what,
                            struct pl_error *err);

/* The next merge, of two vocabulary entries; `scratch` is any buffer. */
int pl_tokenizer_take_merge(struct pl_tokenizer *tokenizer, const json_t *vocab, const char *left,
                            const char *right, struct pl_buf *scratch, const char *what,
                            struct pl_error *err);

/* An entry of added_tokens, or of added_tokens_decoder. */
int pl_tokenizer_take_added(struct pl_tokenizer *tokenizer, const json_t *vocab,
                            const json_t *entry, size_t id, const char *what, struct pl_error *err);

/* When all is in. */
int pl_tokenizer_seal(struct pl_tokenizer *tokenizer, const char *what, struct pl_error *err);

/* Append the text in the tokenizer's normal form; `scratch` is any buffer. PL_EFULL, PL_ENOMEM; no
 * sentence. */
int pl_tokenizer_normalize(const struct pl_tokenizer *tokenizer, const char *text, size_t len,
                           struct pl_buf *scratch, struct pl_buf *out);

/* Call fn for the pieces that would be merged; added tokens are left out. The tokenizer needs no
 * merges for this. PL_EUNSUPPORTED, PL_ENOMEM, what fn returns. */
int pl_tokenizer_pieces(struct pl_encoder *encoder, const char *text, size_t len, pl_piece_fn *fn,
                        void *at, struct pl_error *err);

#endif
