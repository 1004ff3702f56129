#include "common/base/check.h"
#include "common/text/tokenizer_impl.h"
#include "common/text/utf8.h"

#include <string.h>

void pl_decoder_init(struct pl_decoder *decoder, const struct pl_tokenizer *tokenizer,
                     bool skip_special)
{
    *decoder = (struct pl_decoder){.tokenizer = tokenizer, .skip_special = skip_special};
}

static int add_bytes(struct pl_decoder *decoder, const char *bytes, size_t len, struct pl_buf *out)
{
    int rc = PL_OK;
    size_t n;

    /* A character that began in an earlier token ends, or turns out bad, within a few bytes. */
    while (rc == PL_OK && decoder->held_len > 0 && len > 0) {
        enum pl_utf8_kind kind;

        PL_ASSERT(decoder->held_len < sizeof decoder->held);
        decoder->held[decoder->held_len] = *bytes;
        kind = pl_utf8_step(decoder->held, decoder->held_len + 1, &n);
        if (kind == PL_UTF8_BAD) { /* the new byte is no part of it, and begins anew */
            rc = pl_buf_puts(out, PL_UTF8_REPLACEMENT);
            decoder->held_len = 0;
            break;
        }
        bytes++;
        len--;
        decoder->held_len++;
        if (kind == PL_UTF8_GOOD) {
            rc = pl_buf_append(out, decoder->held, n);
            decoder->held_len = 0;
        }
    }
    for (size_t at = 0; rc == PL_OK && at < len; at += n) {
        switch (pl_utf8_step(bytes + at, len - at, &n)) {
        case PL_UTF8_GOOD:
            rc = pl_buf_append(out, bytes + at, n);
            break;
        case PL_UTF8_BAD:
            rc = pl_buf_puts(out, PL_UTF8_REPLACEMENT);
            break;
        case PL_UTF8_SHORT:
            memcpy(decoder->held, bytes + at, n);
            decoder->held_len = n;
            break;
        }
    }
    return rc;
}

/* Undo what was appended. */
static void cut_back(struct pl_buf *out, size_t len)
{
    out->len = len;
    if (out->data)
        out->data[len] = '\0';
}

int pl_decoder_push(struct pl_decoder *decoder, uint32_t id, struct pl_buf *out,
                    struct pl_error *err)
{
    const struct pl_decoder before = *decoder;
    const size_t before_len = out->len;
    size_t len = 0;
    const char *bytes = pl_tokenizer_bytes(decoder->tokenizer, id, &len);
    int rc;

    if (!bytes)
        return pl_fail(err, PL_EINVAL, "token id %u: the tokenizer has no such token", id);
    if (decoder->skip_special && pl_tokenizer_is_special(decoder->tokenizer, id))
        return PL_OK;
    rc = add_bytes(decoder, bytes, len, out);
    if (rc == PL_OK)
        return PL_OK;
    *decoder = before;
    cut_back(out, before_len);
    return rc == PL_EFULL
               ? pl_fail(err, rc, "the text has more than the %zu bytes allowed", out->bytes_max)
               : pl_fail(err, rc, "no memory for the text of the tokens");
}

int pl_decoder_finish(struct pl_decoder *decoder, struct pl_buf *out)
{
    const int rc = decoder->held_len > 0 ? pl_buf_puts(out, PL_UTF8_REPLACEMENT) : PL_OK;

    if (rc == PL_OK)
        decoder->held_len = 0;
    return rc;
}

int pl_tokenizer_decode(const struct pl_tokenizer *tokenizer, const uint32_t *ids, size_t n,
                        bool skip_special, struct pl_buf *out, struct pl_error *err)
{
    const size_t before = out->len;
    struct pl_decoder decoder;
    int rc = PL_OK;

    pl_decoder_init(&decoder, tokenizer, skip_special);
    for (size_t i = 0; rc == PL_OK && i < n; i++)
        rc = pl_decoder_push(&decoder, ids[i], out, err);
    if (rc == PL_OK) {
        rc = pl_decoder_finish(&decoder, out);
        if (rc < 0)
            pl_fail(err, rc, "no room for the text of the tokens");
    }
    if (rc < 0)
        cut_back(out, before);
    return rc;
}

/* Most tokens are short: they are copied 16 bytes at a time, over what the next one writes. */
static void copy_token(char *to, const struct pl_vocab *vocab, const struct pl_vocab_token *t)
{
    enum { SHORT = 16 };

    if (t->len <= SHORT && vocab->text_len - t->at >= SHORT)
        memcpy(to, vocab->text + t->at, SHORT);
    else
        memcpy(to, vocab->text + t->at, t->len);
}

int pl_tokenizer_spell(const struct pl_tokenizer *tokenizer, const uint32_t *ids, size_t n,
                       struct pl_buf *out, size_t *ends)
{
    static const char missing[16] = PL_UTF8_REPLACEMENT;
    const struct pl_vocab *vocab = &tokenizer->vocab;
    size_t total = 0;
    char *to;
    int rc;

    pl_buf_clear(out);
    for (size_t i = 0; i < n; i++) {
        const bool there = ids[i] < vocab->size && vocab->tokens[ids[i]].there;

        total += there ? vocab->tokens[ids[i]].len : strlen(missing);
        if (ends)
            ends[i] = total;
    }
    rc = pl_buf_reserve(out, total + sizeof missing);
    if (rc < 0)
        return rc;
    to = out->data;
    for (size_t i = 0; i < n; i++) {
        const bool there = ids[i] < vocab->size && vocab->tokens[ids[i]].there;

        if (there)
            copy_token(to, vocab, &vocab->tokens[ids[i]]);
        else
            memcpy(to, missing, sizeof missing);
        to += there ? vocab->tokens[ids[i]].len : strlen(missing);
    }
    *to = '\0';
    out->len = total;
    return PL_OK;
}
