#include "deploy/tasks/ruler.h"

enum { TOKENS_MAX = 4 << 20 };

int pl_ruler_open(struct pl_ruler *ruler, const char *folder, struct pl_error *err)
{
    int rc;

    *ruler = (struct pl_ruler){0};
    if (!folder)
        return PL_OK;
    rc = pl_tokenizer_load(folder, &ruler->tokenizer, err);
    if (rc < 0)
        return rc;
    rc = pl_encoder_create(ruler->tokenizer, &ruler->encoder);
    if (rc < 0) {
        pl_ruler_close(ruler);
        return pl_fail(err, rc, "'%s': no memory to encode text", folder);
    }
    pl_ids_init(&ruler->ids, TOKENS_MAX);
    return PL_OK;
}

void pl_ruler_close(struct pl_ruler *ruler)
{
    pl_ids_release(&ruler->ids);
    pl_encoder_destroy(ruler->encoder);
    pl_tokenizer_destroy(ruler->tokenizer);
    *ruler = (struct pl_ruler){0};
}

int pl_ruler_length(struct pl_ruler *ruler, const char *text, size_t len, size_t *ret_tokens,
                    struct pl_error *err)
{
    int rc;

    if (!ruler->encoder) {
        *ret_tokens = (len + PL_RULER_BYTES - 1) / PL_RULER_BYTES;
        return PL_OK;
    }
    pl_ids_clear(&ruler->ids);
    rc = pl_tokenizer_encode(ruler->encoder, text, len, PL_ENCODE_UNTRUSTED, &ruler->ids, err);
    if (rc == PL_EFULL)
        rc = pl_fail(err, PL_EFORMAT, "a text of %zu bytes has more than %d tokens", len,
                     TOKENS_MAX);
    *ret_tokens = ruler->ids.len;
    return rc;
}
