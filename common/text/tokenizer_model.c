/*
 * The parts of a tokenizer that both kinds of files describe: vocabulary, merges, added tokens.
 */
#include "common/base/check.h"
#include "common/text/bytelevel.h"
#include "common/text/tokenizer_impl.h"
#include "common/text/utf8.h"

#include <string.h>

static int no_memory(const char *what, struct pl_error *err)
{
    return pl_fail(err, PL_ENOMEM, "%s: no memory for the tokenizer", what);
}

static int id_of(const json_t *value, const char *token, const char *what, uint32_t *ret_id,
                 struct pl_error *err)
{
    const json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;

    if (id < 0 || id >= PL_VOCAB_SIZE_MAX)
        return pl_fail(err, PL_EFORMAT,
                       "%s: the id of token '%.100s' is not a whole number from 0 to %d", what,
                       token, PL_VOCAB_SIZE_MAX - 1);
    *ret_id = (uint32_t)id;
    return PL_OK;
}

/* An entry that is not in the alphabet of bytes stands for itself, and no piece becomes it. */
static int take_entry(struct pl_tokenizer *tokenizer, const char *token, const json_t *value,
                      struct pl_buf *bytes, const char *what, struct pl_error *err)
{
    const size_t len = strlen(token);
    uint32_t id = 0;
    bool all = false;
    int rc = id_of(value, token, what, &id, err);

    if (rc < 0)
        return rc;
    pl_buf_clear(bytes);
    if (pl_bytelevel_read(token, len, bytes, &all) < 0)
        return no_memory(what, err);
    all = all && len > 0;
    rc = all ? pl_vocab_add(&tokenizer->vocab, id, bytes->data, bytes->len, true)
             : pl_vocab_add(&tokenizer->vocab, id, token, len, false);
    if (rc == PL_EINVAL)
        return pl_fail(err, PL_EFORMAT, "%s: token '%.100s' has id %u, which another one has too",
                       what, token, id);
    if (rc == PL_EFULL)
        return pl_fail(err, PL_EFORMAT, "%s: token '%.100s' is too long", what, token);
    return rc < 0 ? no_memory(what, err) : PL_OK;
}

/* Each byte's token; and what stands for those that have none. */
static int take_bytes(struct pl_tokenizer *tokenizer, const json_t *vocab, const char *unknown,
                      const char *what, struct pl_error *err)
{
    const json_t *value = unknown ? json_object_get(vocab, unknown) : NULL;
    uint32_t id = 0;
    int missing = -1;

    for (int byte = 255; byte >= 0; byte--) {
        const char c = (char)byte;

        id = pl_vocab_find(&tokenizer->vocab, &c, 1);
        tokenizer->bpe.byte_ids[byte] = id == PL_VOCAB_NONE ? PL_BPE_NONE : id;
        if (id == PL_VOCAB_NONE)
            missing = byte;
    }
    if (missing >= 0 && !value)
        return pl_fail(err, PL_EUNSUPPORTED,
                       "%s: byte 0x%02X has no token in the vocabulary, and there is no unk_token",
                       what, (unsigned)missing);
    if (missing < 0)
        return PL_OK;
    if (id_of(value, unknown, what, &id, err) < 0)
        return PL_EFORMAT;
    tokenizer->bpe.unknown = id;
    return PL_OK;
}

int pl_tokenizer_take_vocab(struct pl_tokenizer *tokenizer, const json_t *vocab,
                            const char *unknown, size_t merges, const char *what,
                            struct pl_error *err)
{
    const char *token;
    json_t *value;
    struct pl_buf bytes;
    int rc = PL_OK;

    if (!json_is_object(vocab))
        return pl_fail(err, PL_EFORMAT, "%s: the vocabulary is not an object of tokens and ids",
                       what);
    pl_buf_init(&bytes, UINT32_MAX);
    json_object_foreach((json_t *)vocab, token, value)
    {
        rc = take_entry(tokenizer, token, value, &bytes, what, err);
        if (rc < 0)
            break;
    }
    pl_buf_release(&bytes);
    if (rc < 0)
        return rc;
    if (pl_bpe_init(&tokenizer->bpe, merges) < 0)
        return no_memory(what, err);
    return take_bytes(tokenizer, vocab, unknown, what, err);
}

static int look_up(const json_t *vocab, const char *token, const char *role, size_t rank,
                   const char *what, uint32_t *ret_id, struct pl_error *err)
{
    const json_t *value = json_object_get(vocab, token);

    if (!value)
        return pl_fail(err, PL_EFORMAT, "%s: merge %zu: %s, '%.100s', is not in the vocabulary",
                       what, rank, role, token);
    return id_of(value, token, what, ret_id, err);
}

int pl_tokenizer_take_merge(struct pl_tokenizer *tokenizer, const json_t *vocab, const char *left,
                            const char *right, struct pl_buf *scratch, const char *what,
                            struct pl_error *err)
{
    const size_t rank = tokenizer->bpe.count;
    uint32_t ids[3] = {0};
    int rc;

    pl_buf_clear(scratch);
    if (pl_buf_puts(scratch, left) < 0 || pl_buf_puts(scratch, right) < 0)
        return no_memory(what, err);
    rc = look_up(vocab, left, "its left half", rank, what, &ids[0], err);
    if (rc == PL_OK)
        rc = look_up(vocab, right, "its right half", rank, what, &ids[1], err);
    if (rc == PL_OK)
        rc = look_up(vocab, scratch->data, "what it makes", rank, what, &ids[2], err);
    if (rc < 0)
        return rc;
    if (pl_bpe_add(&tokenizer->bpe, ids[0], ids[1], ids[2]) < 0)
        return pl_fail(err, PL_EFORMAT, "%s: merge %zu, of '%.100s' and '%.100s', is there twice",
                       what, rank, left, right);
    return PL_OK;
}

static int optional_bool(const json_t *entry, const char *key, const char *what, bool *ret,
                         struct pl_error *err)
{
    *ret = false;
    return pl_json_has(entry, key) ? pl_json_bool(entry, key, what, ret, err) : PL_OK;
}

static int read_flags(const json_t *entry, const char *what, struct pl_added_token *token,
                      struct pl_error *err)
{
    int rc = optional_bool(entry, "special", what, &token->special, err);

    if (rc == PL_OK)
        rc = optional_bool(entry, "single_word", what, &token->single_word, err);
    if (rc == PL_OK)
        rc = optional_bool(entry, "lstrip", what, &token->lstrip, err);
    if (rc == PL_OK)
        rc = optional_bool(entry, "rstrip", what, &token->rstrip, err);
    if (rc == PL_OK && pl_json_has(entry, "normalized"))
        return pl_json_bool(entry, "normalized", what, &token->normalized, err);
    token->normalized = !token->special;
    return rc;
}

/* A content that is in the vocabulary has the id it has there; any other gets an id of its own. */
static int place(struct pl_tokenizer *tokenizer, const json_t *vocab, const char *content,
                 uint32_t id, const char *what, struct pl_error *err)
{
    const json_t *there = json_object_get(vocab, content);
    int rc;

    if (there && json_integer_value(there) != (json_int_t)id)
        return pl_fail(err, PL_EFORMAT,
                       "%s: added token '%.100s' has id %u, but id %lld in the vocabulary", what,
                       content, id, (long long)json_integer_value(there));
    if (there)
        return PL_OK;
    rc = pl_vocab_add(&tokenizer->vocab, id, content, strlen(content), false);
    if (rc == PL_EINVAL)
        return pl_fail(err, PL_EFORMAT,
                       "%s: added token '%.100s' has id %u, which another token has too", what,
                       content, id);
    return rc < 0 ? no_memory(what, err) : PL_OK;
}

int pl_tokenizer_take_added(struct pl_tokenizer *tokenizer, const json_t *vocab,
                            const json_t *entry, size_t id, const char *what, struct pl_error *err)
{
    struct pl_added_token token = {.id = (uint32_t)id};
    const char *content = "";
    size_t len;
    int rc = pl_json_string(entry, "content", what, &content, err);

    if (rc == PL_OK)
        rc = read_flags(entry, what, &token, err);
    if (rc < 0)
        return rc;
    len = strlen(content);
    if (len == 0 || id >= PL_VOCAB_SIZE_MAX)
        return pl_fail(err, PL_EFORMAT,
                       "%s: added token '%.100s' with id %zu; expected a content that is not "
                       "empty and an id under %d",
                       what, content, id, PL_VOCAB_SIZE_MAX);
    rc = place(tokenizer, vocab, content, token.id, what, err);
    if (rc < 0)
        return rc;
    rc = pl_added_add(&tokenizer->added, content, len, token);
    if (rc == PL_EINVAL)
        return pl_fail(err, PL_EFORMAT, "%s: added token '%.100s' is there twice", what, content);
    if (rc < 0)
        return no_memory(what, err);
    tokenizer->vocab.tokens[id].special = token.special;
    return PL_OK;
}

static int normalize(const void *at, const char *text, size_t len, struct pl_buf *out)
{
    struct pl_buf scratch;
    int rc;

    pl_buf_init(&scratch, SIZE_MAX / 2);
    rc = pl_tokenizer_normalize(at, text, len, &scratch, out);
    pl_buf_release(&scratch);
    return rc;
}

/* Special tokens that pieces can become must be such that they can be spelled out. */
static int check_special(struct pl_tokenizer *tokenizer, const char *what, struct pl_error *err)
{
    for (size_t i = 0; i < tokenizer->added.contents.count; i++) {
        const struct pl_added_token *token = &tokenizer->added.tokens[i];
        const char *bytes, *content;
        size_t len = 0, content_len;

        bytes = pl_vocab_bytes(&tokenizer->vocab, token->id, &len);
        PL_ASSERT(bytes != NULL);
        if (!token->special || pl_vocab_find(&tokenizer->vocab, bytes, len) != token->id)
            continue;
        tokenizer->special_merged = true;
        content = pl_dict_key(&tokenizer->added.contents, i, &content_len);
        if (len == 1)
            return pl_fail(err, PL_EUNSUPPORTED,
                           "%s: special token '%.*s' is also the token of a single byte", what,
                           (int)content_len, content);
    }
    return PL_OK;
}

int pl_tokenizer_seal(struct pl_tokenizer *tokenizer, const char *what, struct pl_error *err)
{
    int rc = check_special(tokenizer, what, err);

    for (size_t i = 0; rc == PL_OK && i < tokenizer->front_count; i++) {
        if (!pl_vocab_has(&tokenizer->vocab, tokenizer->front[i]))
            rc = pl_fail(err, PL_EFORMAT, "%s: the post_processor adds id %u, which is no token",
                         what, tokenizer->front[i]);
    }
    if (rc < 0)
        return rc;
    rc = pl_added_seal(&tokenizer->added, normalize, tokenizer);
    if (rc == PL_EFULL)
        return pl_fail(err, PL_EUNSUPPORTED, "%s: the added tokens have more than %d bytes", what,
                       PL_MATCHER_BYTES_MAX);
    return rc < 0 ? no_memory(what, err) : PL_OK;
}
