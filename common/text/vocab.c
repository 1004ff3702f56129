#include "common/text/vocab.h"

#include "common/base/err.h"

#include <stdlib.h>
#include <string.h>

void pl_vocab_release(struct pl_vocab *vocab)
{
    free(vocab->tokens);
    free(vocab->text);
    free(vocab->spelled_ids);
    pl_dict_release(&vocab->spelled);
    *vocab = (struct pl_vocab){0};
}

bool pl_vocab_has(const struct pl_vocab *vocab, uint32_t id)
{
    return id < vocab->size && vocab->tokens[id].there;
}

static int make_room(struct pl_vocab *vocab, uint32_t id, size_t len)
{
    if (id >= vocab->cap) {
        size_t cap = vocab->cap ? vocab->cap : 512;
        struct pl_vocab_token *tokens;

        while (cap <= id)
            cap *= 2;
        tokens = realloc(vocab->tokens, cap * sizeof *tokens);
        if (!tokens)
            return PL_ENOMEM;
        vocab->tokens = tokens;
        vocab->cap = cap;
    }
    if (!vocab->text || len > vocab->text_cap - vocab->text_len) {
        const size_t cap = (vocab->text_len + len) * 2 + 1024;
        char *text = realloc(vocab->text, cap);

        if (!text)
            return PL_ENOMEM;
        vocab->text = text;
        vocab->text_cap = cap;
    }
    return PL_OK;
}

static int spell(struct pl_vocab *vocab, uint32_t id, const char *bytes, size_t len)
{
    size_t entry;
    bool added;
    int rc = pl_dict_add(&vocab->spelled, bytes, len, &entry, &added);

    if (rc < 0 || !added)
        return rc < 0 ? rc : PL_EINVAL;
    if (entry >= vocab->spelled_cap) {
        const size_t cap = vocab->spelled_cap ? vocab->spelled_cap * 2 : 512;
        uint32_t *ids = realloc(vocab->spelled_ids, cap * sizeof *ids);

        if (!ids)
            return PL_ENOMEM;
        vocab->spelled_ids = ids;
        vocab->spelled_cap = cap;
    }
    vocab->spelled_ids[entry] = id;
    return PL_OK;
}

int pl_vocab_add(struct pl_vocab *vocab, uint32_t id, const char *bytes, size_t len, bool spelled)
{
    int rc;

    if (id >= PL_VOCAB_SIZE_MAX || len > UINT32_MAX)
        return PL_EFULL;
    if (pl_vocab_has(vocab, id))
        return PL_EINVAL;
    rc = make_room(vocab, id, len);
    if (rc == PL_OK && spelled)
        rc = spell(vocab, id, bytes, len);
    if (rc < 0)
        return rc;
    for (; vocab->size <= id; vocab->size++)
        vocab->tokens[vocab->size] = (struct pl_vocab_token){0};
    vocab->tokens[id] =
        (struct pl_vocab_token){.at = vocab->text_len, .len = (uint32_t)len, .there = true};
    if (len > 0)
        memcpy(vocab->text + vocab->text_len, bytes, len);
    vocab->text_len += len;
    return PL_OK;
}

const char *pl_vocab_bytes(const struct pl_vocab *vocab, uint32_t id, size_t *ret_len)
{
    if (!pl_vocab_has(vocab, id))
        return NULL;
    *ret_len = vocab->tokens[id].len;
    return vocab->text + vocab->tokens[id].at;
}

uint32_t pl_vocab_find(const struct pl_vocab *vocab, const char *bytes, size_t len)
{
    const size_t entry = pl_dict_find(&vocab->spelled, bytes, len);

    return entry == SIZE_MAX ? PL_VOCAB_NONE : vocab->spelled_ids[entry];
}
