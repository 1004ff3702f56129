/*
 * Tokenizers and the texts they meet. One that is taken gives ids that it has, the same every time,
 * and decodes them whole or one by one to the same well-formed text; no special token comes out of
 * text that others wrote. With a tokenizer that knows every byte, the text comes back in its normal
 * form.
 *
 * The input is a tokenizer.json, NUL, then a text; without a tokenizer.json a small one of the
 * tests is used. If it begins with "=== " it is vocab.json, merges.txt and tokenizer_config.json.
 */
#include "common/text/normal.h"
#include "common/text/tokenizer.h"
#include "common/text/utf8.h"
#include "tests/fuzz/fuzz.h"
#include "tests/mini_tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum {
    PARSE_REFUSED = PL_FUZZ_CODE(PL_EFORMAT) | PL_FUZZ_CODE(PL_EUNSUPPORTED) |
                    PL_FUZZ_CODE(PL_ENOENT) | PL_FUZZ_CODE(PL_ENOMEM),
    ENCODE_REFUSED = PL_FUZZ_CODE(PL_EUNSUPPORTED) | PL_FUZZ_CODE(PL_ENOMEM),
    IDS_MAX = 1 << 20,
};

static struct pl_encoder *encoder_of(const struct pl_tokenizer *tokenizer)
{
    struct pl_encoder *encoder = NULL;

    PL_ASSERT(pl_encoder_create(tokenizer, &encoder) == PL_OK);
    return encoder;
}

static bool same_ids(const struct pl_ids *a, const struct pl_ids *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, 4 * a->len) == 0);
}

static struct pl_buf decode(const struct pl_tokenizer *tokenizer, const struct pl_ids *ids)
{
    struct pl_buf out;
    struct pl_error err = {0};

    pl_buf_init(&out, SIZE_MAX / 2);
    PL_ASSERT(pl_tokenizer_decode(tokenizer, ids->data, ids->len, false, &out, &err) == PL_OK);
    PL_ASSERT(pl_utf8_valid(out.data, out.len));
    return out;
}

/* One by one, each time whole characters. */
static void check_decoder(const struct pl_tokenizer *tokenizer, const struct pl_ids *ids,
                          const struct pl_buf *whole)
{
    struct pl_decoder decoder;
    struct pl_buf out;

    pl_buf_init(&out, SIZE_MAX / 2);
    pl_decoder_init(&decoder, tokenizer, false);
    for (size_t i = 0; i < ids->len; i++) {
        const size_t before = out.len;

        PL_ASSERT(pl_decoder_push(&decoder, ids->data[i], &out, NULL) == PL_OK);
        PL_ASSERT(pl_utf8_valid(out.data + before, out.len - before));
    }
    PL_ASSERT(pl_decoder_finish(&decoder, &out) == PL_OK);
    PL_ASSERT(out.len == whole->len &&
              (out.len == 0 || memcmp(out.data, whole->data, out.len) == 0));
    pl_buf_release(&out);
}

/* With less room there is an error, and nothing is added. */
static void check_full(struct pl_encoder *encoder, struct pl_fuzz_in text, enum pl_encode how,
                       size_t needed)
{
    struct pl_ids few;
    struct pl_error err = {0};

    if (needed == 0)
        return;
    pl_ids_init(&few, needed - 1);
    PL_ASSERT(pl_tokenizer_encode(encoder, (const char *)text.data, text.size, how, &few, &err) ==
              PL_EFULL);
    PL_ASSERT(few.len == 0);
    pl_ids_release(&few);
}

/* The ids of the text, or false. */
static bool encode(struct pl_encoder *encoder, struct pl_fuzz_in text, enum pl_encode how,
                   struct pl_ids *ids)
{
    const struct pl_tokenizer *tokenizer = pl_encoder_tokenizer(encoder);
    struct pl_error err = {0};
    struct pl_ids again;
    struct pl_buf whole;
    int rc;

    pl_ids_init(ids, IDS_MAX);
    rc = pl_tokenizer_encode(encoder, (const char *)text.data, text.size, how, ids, &err);
    if (rc < 0) {
        pl_fuzz_refused(rc, &err, ENCODE_REFUSED);
        PL_ASSERT(ids->len == 0);
        return false;
    }
    for (size_t i = 0; i < ids->len; i++) {
        size_t len;

        PL_ASSERT(ids->data[i] < pl_tokenizer_size(tokenizer));
        PL_ASSERT(pl_tokenizer_bytes(tokenizer, ids->data[i], &len));
    }
    pl_ids_init(&again, IDS_MAX);
    PL_ASSERT(pl_tokenizer_encode(encoder, (const char *)text.data, text.size, how, &again, &err) ==
              PL_OK);
    PL_ASSERT(same_ids(ids, &again));
    whole = decode(tokenizer, ids);
    check_decoder(tokenizer, ids, &whole);
    check_full(encoder, text, how, ids->len);
    pl_buf_release(&whole);
    pl_ids_release(&again);
    return true;
}

/* --- the tokenizer of the tests --- */

static struct pl_buf nfc(const char *text, size_t len)
{
    struct pl_buf repaired, out;

    pl_buf_init(&repaired, SIZE_MAX / 2);
    pl_buf_init(&out, SIZE_MAX / 2);
    PL_ASSERT(pl_utf8_repair(text, len, &repaired) == PL_OK);
    PL_ASSERT(pl_normal(PL_FORM_NFC, repaired.data, repaired.len, &out) == PL_OK);
    pl_buf_release(&repaired);
    return out;
}

/* NFC of the decoded text, since added tokens cut the text before it is brought into normal form.
 */
static void check_round_trip(const struct pl_tokenizer *tokenizer, struct pl_fuzz_in text,
                             const struct pl_ids *ids)
{
    struct pl_buf expected = nfc((const char *)text.data, text.size);
    struct pl_buf decoded = decode(tokenizer, ids), found = nfc(decoded.data, decoded.len);

    PL_ASSERT(found.len == expected.len);
    PL_ASSERT(found.len == 0 || memcmp(found.data, expected.data, found.len) == 0);
    pl_buf_release(&expected);
    pl_buf_release(&decoded);
    pl_buf_release(&found);
}

/* In two parts, cut between two characters and not within what looks like an added token. */
static void check_parts(struct pl_encoder *encoder, struct pl_fuzz_in text,
                        const struct pl_ids *whole)
{
    const char *bytes = (const char *)text.data;
    size_t at = text.size / 2;
    struct pl_ids ids;

    while (at < text.size && (text.data[at] & 0xC0) == 0x80)
        at++;
    if (memmem(bytes, text.size, "<|", 2) || !pl_utf8_valid(bytes, text.size))
        return;
    const struct pl_text_part parts[] = {{bytes, at, PL_ENCODE_ALL},
                                         {bytes + at, text.size - at, PL_ENCODE_UNTRUSTED}};
    pl_ids_init(&ids, IDS_MAX);
    PL_ASSERT(pl_tokenizer_encode_parts(encoder, parts, 2, &ids, NULL) == PL_OK);
    PL_ASSERT(same_ids(&ids, whole));
    pl_ids_release(&ids);
}

static void check_known(struct pl_fuzz_in text)
{
    static struct pl_tokenizer *known;
    static struct pl_encoder *encoder;
    struct pl_ids ids;

    if (!known) {
        known = pl_test_mini_load(&(struct pl_test_mini){.merges = pl_test_merges});
        encoder = encoder_of(known);
    }
    PL_ASSERT(encode(encoder, text, PL_ENCODE_UNTRUSTED, &ids));
    for (size_t i = 0; i < ids.len; i++)
        PL_ASSERT(!pl_tokenizer_is_special(known, ids.data[i]));
    check_round_trip(known, text, &ids);
    pl_ids_release(&ids);
    PL_ASSERT(encode(encoder, text, PL_ENCODE_ALL, &ids));
    check_round_trip(known, text, &ids);
    check_parts(encoder, text, &ids);
    pl_ids_release(&ids);
}

/* --- any tokenizer --- */

static void check_front(const struct pl_tokenizer *tokenizer)
{
    size_t n = 0, len;
    const uint32_t *front = pl_tokenizer_front(tokenizer, &n);

    for (size_t i = 0; i < n; i++)
        PL_ASSERT(pl_tokenizer_bytes(tokenizer, front[i], &len));
    PL_ASSERT(!pl_tokenizer_bytes(tokenizer, (uint32_t)pl_tokenizer_size(tokenizer), &len));
    PL_ASSERT(!pl_tokenizer_bytes(tokenizer, PL_TOKEN_NONE, &len));
}

/* Special tokens may come out of untrusted text only as the token for unknown bytes. */
static void check_untrusted(const struct pl_tokenizer *tokenizer, const struct pl_ids *ids)
{
    uint32_t unknown = PL_TOKEN_NONE;

    for (size_t i = 0; i < ids->len; i++) {
        if (!pl_tokenizer_is_special(tokenizer, ids->data[i]))
            continue;
        PL_ASSERT(unknown == PL_TOKEN_NONE || unknown == ids->data[i]);
        unknown = ids->data[i];
    }
}

static void check_any(const struct pl_tokenizer *tokenizer, struct pl_fuzz_in text)
{
    struct pl_encoder *encoder = encoder_of(tokenizer);
    struct pl_ids ids;

    check_front(tokenizer);
    (void)encode(encoder, text, PL_ENCODE_ALL, &ids);
    pl_ids_release(&ids);
    if (encode(encoder, text, PL_ENCODE_UNTRUSTED, &ids))
        check_untrusted(tokenizer, &ids);
    pl_ids_release(&ids);
    pl_encoder_destroy(encoder);
}

static int load(struct pl_fuzz_in json, struct pl_tokenizer **ret_tokenizer, struct pl_error *err)
{
    static const char *const names[] = {"tokenizer.json", "vocab.json", "merges.txt",
                                        "tokenizer_config.json"};

    if (json.size < 4 || memcmp(json.data, "=== ", 4) != 0)
        return pl_tokenizer_parse((const char *)json.data, json.size, "fuzz", ret_tokenizer, err);
    pl_fuzz_unpack(json, names, 4);
    return pl_tokenizer_load(pl_fuzz_dir(), ret_tokenizer, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_fuzz_in in = {data, size};
    const struct pl_fuzz_in json = pl_fuzz_cut(&in, '\0');
    struct pl_tokenizer *tokenizer = NULL;
    struct pl_error err = {0};
    int rc;

    if (json.size == 0) {
        check_known(in);
        return 0;
    }
    rc = load(json, &tokenizer, &err);
    if (rc < 0) {
        pl_fuzz_refused(rc, &err, PARSE_REFUSED);
        PL_ASSERT(!tokenizer);
        return 0;
    }
    check_any(tokenizer, in);
    pl_tokenizer_destroy(tokenizer);
    return 0;
}
