/*
 * Tokens by id, and back: what bytes an id stands for, and which id is spelled by given bytes.
 *
 * Ids may have holes. An id that stands for bytes which no text is cut into is there but not
 * spelled by them; two ids may then stand for the same bytes.
 *
 * Reading is safe from several threads, adding is not.
 */
#ifndef PL_TEXT_VOCAB_H
#define PL_TEXT_VOCAB_H

#include "common/base/buf.h"
#include "common/text/dict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PL_VOCAB_SIZE_MAX = 1 << 22 }; /* ids are under this */

#define PL_VOCAB_NONE UINT32_MAX

struct pl_vocab_token {
    size_t at; /* of its bytes in text */
    uint32_t len;
    bool there, special;
};

/* Zeroed, it is empty. */
struct pl_vocab {
    struct pl_vocab_token *tokens; /* size of them, by id */
    size_t size, cap;              /* one more than the largest id; room */
    char *text;
    size_t text_len, text_cap;
    struct pl_dict spelled;
    uint32_t *spelled_ids; /* by entry of spelled */
    size_t spelled_cap;
};

void pl_vocab_release(struct pl_vocab *vocab);

/*
 * Say what an id stands for; with `spelled`, the bytes are found by pl_vocab_find() too.
 * PL_EINVAL: the id, or with `spelled` the bytes, have been added before. PL_EFULL: the id is not
 * under PL_VOCAB_SIZE_MAX, or there are over 4 GiB of bytes. PL_ENOMEM.
 */
int pl_vocab_add(struct pl_vocab *vocab, uint32_t id, const char *bytes, size_t len, bool spelled);

bool pl_vocab_has(const struct pl_vocab *vocab, uint32_t id);

/* The bytes of an id, borrowed until the next add; NULL when it is not there. */
const char *pl_vocab_bytes(const struct pl_vocab *vocab, uint32_t id, size_t *ret_len);

/* The id spelled by the bytes, or PL_VOCAB_NONE. */
uint32_t pl_vocab_find(const struct pl_vocab *vocab, const char *bytes, size_t len);

#endif
