#include "common/text/tokenizer_impl.h"

#include "common/base/check.h"

#include <stdlib.h>
#include <string.h>

void pl_tokenizer_destroy(struct pl_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    pl_pretok_release(&tokenizer->pretok);
    pl_added_release(&tokenizer->added);
    pl_bpe_release(&tokenizer->bpe);
    pl_vocab_release(&tokenizer->vocab);
    free(tokenizer);
}

size_t pl_tokenizer_size(const struct pl_tokenizer *tokenizer)
{
    return tokenizer->vocab.size;
}

uint32_t pl_tokenizer_id(const struct pl_tokenizer *tokenizer, const char *token, size_t len)
{
    const struct pl_added_token *added = pl_added_find(&tokenizer->added, token, len);

    return added ? added->id : pl_vocab_find(&tokenizer->vocab, token, len);
}

const char *pl_tokenizer_bytes(const struct pl_tokenizer *tokenizer, uint32_t id, size_t *ret_len)
{
    return pl_vocab_bytes(&tokenizer->vocab, id, ret_len);
}

bool pl_tokenizer_is_special(const struct pl_tokenizer *tokenizer, uint32_t id)
{
    return pl_vocab_has(&tokenizer->vocab, id) && tokenizer->vocab.tokens[id].special;
}

size_t pl_tokenizer_added_count(const struct pl_tokenizer *tokenizer)
{
    return tokenizer->added.contents.count;
}

uint32_t pl_tokenizer_added(const struct pl_tokenizer *tokenizer, size_t index)
{
    PL_ASSERT(index < tokenizer->added.contents.count);
    return tokenizer->added.tokens[index].id;
}

size_t pl_tokenizer_merges(const struct pl_tokenizer *tokenizer)
{
    return tokenizer->bpe.count;
}

const uint32_t *pl_tokenizer_front(const struct pl_tokenizer *tokenizer, size_t *ret_n)
{
    *ret_n = tokenizer->front_count;
    return tokenizer->front;
}

int pl_tokenizer_normalize(const struct pl_tokenizer *tokenizer, const char *text, size_t len,
                           struct pl_buf *scratch, struct pl_buf *out)
{
    const size_t n = tokenizer->forms_count;
    int rc;

    if (n == 0)
        return pl_buf_append(out, text, len);
    for (size_t i = 0; i + 1 < n; i++) {
        struct pl_buf next;

        pl_buf_init(&next, SIZE_MAX / 2);
        rc = pl_normal(tokenizer->forms[i], text, len, &next);
        pl_buf_release(scratch);
        *scratch = next;
        if (rc < 0)
            return rc;
        text = scratch->data;
        len = scratch->len;
    }
    return pl_normal(tokenizer->forms[n - 1], text, len, out);
}
