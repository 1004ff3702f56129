#include "common/base/check.h"
#include "common/text/tokenizer_impl.h"
#include "common/text/utf8.h"

#include <stdlib.h>

enum { PIECE_BYTES_MAX = 1 << 30 };

struct pl_encoder {
    const struct pl_tokenizer *tokenizer;
    struct pl_pretok_work *pretok;
    struct pl_bpe_work bpe;
    struct pl_matches matches[PL_ADDED_ROUNDS];
    struct pl_buf repaired, normal, scratch;
    struct pl_buf pending; /* of parts: text since the last added token */
    struct pl_ids spelled;
    /* Of the call that is under way. */
    bool spell_special;
    bool pending_spell; /* some of the pending text is untrusted */
    struct pl_ids *out; /* NULL: pieces go to piece_fn instead, and added tokens nowhere */
    pl_piece_fn *piece_fn;
    void *piece_at;
};

int pl_encoder_create(const struct pl_tokenizer *tokenizer, struct pl_encoder **ret_encoder)
{
    struct pl_encoder *encoder = calloc(1, sizeof *encoder);

    if (!encoder)
        return PL_ENOMEM;
    encoder->tokenizer = tokenizer;
    pl_buf_init(&encoder->repaired, SIZE_MAX / 2);
    pl_buf_init(&encoder->normal, SIZE_MAX / 2);
    pl_buf_init(&encoder->scratch, SIZE_MAX / 2);
    pl_buf_init(&encoder->pending, SIZE_MAX / 2);
    pl_ids_init(&encoder->spelled, SIZE_MAX / 8);
    if (pl_pretok_work_create(&encoder->pretok) < 0) {
        pl_encoder_destroy(encoder);
        return PL_ENOMEM;
    }
    *ret_encoder = encoder;
    return PL_OK;
}

void pl_encoder_destroy(struct pl_encoder *encoder)
{
    if (!encoder)
        return;
    pl_pretok_work_destroy(encoder->pretok);
    pl_bpe_work_release(&encoder->bpe);
    for (size_t i = 0; i < PL_ADDED_ROUNDS; i++)
        pl_matches_release(&encoder->matches[i]);
    pl_buf_release(&encoder->repaired);
    pl_buf_release(&encoder->normal);
    pl_buf_release(&encoder->scratch);
    pl_buf_release(&encoder->pending);
    pl_ids_release(&encoder->spelled);
    free(encoder);
}

static int failed(const struct pl_encoder *encoder, int rc, struct pl_error *err)
{
    return rc == PL_EFULL ? pl_fail(err, rc, "the text has more than the %zu tokens allowed",
                                    encoder->out->len_max)
                          : pl_fail(err, rc, "no memory to encode the text");
}

const struct pl_tokenizer *pl_encoder_tokenizer(const struct pl_encoder *encoder)
{
    return encoder->tokenizer;
}

/* Special tokens that merging made of plain text, from `from` on, become the tokens of their bytes.
 */
static int spell_out(struct pl_encoder *encoder, size_t from)
{
    const struct pl_tokenizer *tokenizer = encoder->tokenizer;
    struct pl_ids *out = encoder->out;
    int rc;

    pl_ids_clear(&encoder->spelled);
    rc = pl_ids_append(&encoder->spelled, out->data + from, out->len - from);
    out->len = from;
    for (size_t i = 0; rc == PL_OK && i < encoder->spelled.len; i++) {
        const uint32_t id = encoder->spelled.data[i];
        const char *bytes;
        size_t len = 0;

        if (id == tokenizer->bpe.unknown || !pl_tokenizer_is_special(tokenizer, id)) {
            rc = pl_ids_push(out, id);
            continue;
        }
        bytes = pl_tokenizer_bytes(tokenizer, id, &len);
        for (size_t k = 0; rc == PL_OK && k < len; k++) {
            const uint32_t byte = tokenizer->bpe.byte_ids[(unsigned char)bytes[k]];

            rc = pl_ids_push(out, byte == PL_BPE_NONE ? tokenizer->bpe.unknown : byte);
        }
    }
    return rc;
}

static int encode_piece(void *at, const char *piece, size_t len, struct pl_error *err)
{
    struct pl_encoder *encoder = at;
    const struct pl_tokenizer *tokenizer = encoder->tokenizer;
    const size_t before = encoder->out->len;
    uint32_t id = PL_VOCAB_NONE;
    int rc;

    if (len > PIECE_BYTES_MAX)
        return pl_fail(err, PL_EUNSUPPORTED,
                       "a piece of the text has %zu bytes; at most %d are taken", len,
                       PIECE_BYTES_MAX);
    if (tokenizer->ignore_merges)
        id = pl_vocab_find(&tokenizer->vocab, piece, len);
    if (id != PL_VOCAB_NONE)
        rc = pl_ids_push(encoder->out, id);
    else
        rc = pl_bpe_run(&tokenizer->bpe, &encoder->bpe, piece, len, encoder->out);
    if (rc == PL_OK && encoder->spell_special && tokenizer->special_merged)
        rc = spell_out(encoder, before);
    return rc < 0 ? failed(encoder, rc, err) : PL_OK;
}

static int take_token(struct pl_encoder *encoder, const struct pl_added_token *token,
                      struct pl_error *err)
{
    const int rc = encoder->out ? pl_ids_push(encoder->out, token->id) : PL_OK;

    return rc < 0 ? failed(encoder, rc, err) : PL_OK;
}

static int cut_normal(void *at, const char *text, size_t len, const struct pl_added_token *token,
                      struct pl_error *err)
{
    struct pl_encoder *encoder = at;

    if (token)
        return take_token(encoder, token, err);
    return pl_pretok_run(&encoder->tokenizer->pretok, encoder->pretok, text, len,
                         encoder->out ? encode_piece : encoder->piece_fn,
                         encoder->out ? encoder : encoder->piece_at, err);
}

static bool is_normal(const struct pl_tokenizer *tokenizer, const char *text, size_t len)
{
    for (size_t i = 0; i < tokenizer->forms_count; i++) {
        if (!pl_normal_quick(tokenizer->forms[i], text, len))
            return false;
    }
    return true;
}

static int cut_raw(void *at, const char *text, size_t len, const struct pl_added_token *token,
                   struct pl_error *err)
{
    struct pl_encoder *encoder = at;
    const struct pl_tokenizer *tokenizer = encoder->tokenizer;

    if (token)
        return take_token(encoder, token, err);
    if (!is_normal(tokenizer, text, len)) {
        pl_buf_clear(&encoder->normal);
        if (pl_tokenizer_normalize(tokenizer, text, len, &encoder->scratch, &encoder->normal) < 0)
            return pl_fail(err, PL_ENOMEM, "no memory to normalize %zu bytes", len);
        text = encoder->normal.data;
        len = encoder->normal.len;
    }
    return pl_added_cut(&tokenizer->added, PL_ADDED_NORMALIZED, encoder->spell_special,
                        &encoder->matches[PL_ADDED_NORMALIZED], text, len, cut_normal, encoder,
                        err);
}

/* Added tokens of the first round are cut out of one text, whose rest goes to fn. */
static int cut_text(struct pl_encoder *encoder, const char *text, size_t len, enum pl_encode how,
                    pl_cut_fn *fn, struct pl_error *err)
{
    encoder->spell_special = how == PL_ENCODE_UNTRUSTED;
    if (!pl_utf8_valid(text, len)) {
        pl_buf_clear(&encoder->repaired);
        if (pl_utf8_repair(text, len, &encoder->repaired) < 0)
            return pl_fail(err, PL_ENOMEM, "no memory to repair %zu bytes of UTF-8", len);
        text = encoder->repaired.data;
        len = encoder->repaired.len;
    }
    return pl_added_cut(&encoder->tokenizer->added, PL_ADDED_RAW, encoder->spell_special,
                        &encoder->matches[PL_ADDED_RAW], text, len, fn, encoder, err);
}

int pl_tokenizer_encode(struct pl_encoder *encoder, const char *text, size_t len,
                        enum pl_encode how, struct pl_ids *out, struct pl_error *err)
{
    const size_t before = out->len;
    int rc;

    encoder->out = out;
    rc = cut_text(encoder, text, len, how, cut_raw, err);
    if (rc < 0)
        out->len = before;
    return rc;
}

int pl_tokenizer_pieces(struct pl_encoder *encoder, const char *text, size_t len, pl_piece_fn *fn,
                        void *at, struct pl_error *err)
{
    encoder->out = NULL;
    encoder->piece_fn = fn;
    encoder->piece_at = at;
    return cut_text(encoder, text, len, PL_ENCODE_ALL, cut_raw, err);
}

static int flush(struct pl_encoder *encoder, struct pl_error *err)
{
    const bool spell_special = encoder->spell_special;
    int rc = PL_OK;

    encoder->spell_special = encoder->pending_spell;
    if (encoder->pending.len > 0)
        rc = cut_raw(encoder, encoder->pending.data, encoder->pending.len, NULL, err);
    encoder->spell_special = spell_special;
    encoder->pending_spell = false;
    pl_buf_clear(&encoder->pending);
    return rc;
}

static int collect(void *at, const char *text, size_t len, const struct pl_added_token *token,
                   struct pl_error *err)
{
    struct pl_encoder *encoder = at;
    int rc;

    if (token) {
        rc = flush(encoder, err);
        return rc < 0 ? rc : take_token(encoder, token, err);
    }
    encoder->pending_spell = encoder->pending_spell || encoder->spell_special;
    if (pl_buf_append(&encoder->pending, text, len) < 0)
        return pl_fail(err, PL_ENOMEM, "no memory to put together %zu bytes", len);
    return PL_OK;
}

int pl_tokenizer_encode_parts(struct pl_encoder *encoder, const struct pl_text_part *parts,
                              size_t n, struct pl_ids *out, struct pl_error *err)
{
    const size_t before = out->len;
    int rc = PL_OK;

    encoder->out = out;
    encoder->pending_spell = false;
    pl_buf_clear(&encoder->pending);
    for (size_t i = 0; rc == PL_OK && i < n; i++)
        rc = cut_text(encoder, parts[i].text, parts[i].len, parts[i].how, collect, err);
    if (rc == PL_OK)
        rc = flush(encoder, err);
    if (rc < 0)
        out->len = before;
    return rc;
}
