/*
 * How long a text is, in tokens: counted with a tokenizer, or estimated without one.
 */
#ifndef PL_TASKS_RULER_H
#define PL_TASKS_RULER_H

#include "common/base/err.h"
#include "common/text/tokenizer.h"

/* The estimate: a token for every so many bytes, rounded up. Qwen2.5's tokenizer takes 4.2 bytes of
 * MuSiQue's paragraphs to a token, and 3.95 of GSM8K's questions. */
enum { PL_RULER_BYTES = 4 };

struct pl_ruler {
    struct pl_tokenizer *tokenizer; /* NULL: lengths are estimated */
    struct pl_encoder *encoder;
    struct pl_ids ids;
};

/* The tokenizer of a folder; NULL: none. Errors of pl_tokenizer_load(). Then ruler is zeroed. */
int pl_ruler_open(struct pl_ruler *ruler, const char *folder, struct pl_error *err);
void pl_ruler_close(struct pl_ruler *ruler); /* zeroed is fine */

/* Special tokens are taken for text. PL_EFORMAT: it has millions of tokens; PL_EUNSUPPORTED,
 * PL_ENOMEM. */
int pl_ruler_length(struct pl_ruler *ruler, const char *text, size_t len, size_t *ret_tokens,
                    struct pl_error *err);

#endif
