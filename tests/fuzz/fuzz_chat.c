/*
 * Prompt templates: the ids of a turn decode to the template with the texts put in, and the special
 * tokens among them are those of the template, whatever is put in.
 *
 * The input is a template, NUL, a user's text, NUL, a system's text.
 */
#include "common/text/chat.h"
#include "common/text/normal.h"
#include "common/text/utf8.h"
#include "tests/fuzz/fuzz.h"
#include "tests/mini_tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum { REFUSED = PL_FUZZ_CODE(PL_EFORMAT), IDS_MAX = 1 << 20 };

static struct pl_tokenizer *tokenizer;
static struct pl_encoder *encoder;

static void set_up(void)
{
    if (tokenizer)
        return;
    tokenizer = pl_test_mini_load(&(struct pl_test_mini){.merges = pl_test_merges});
    PL_ASSERT(pl_encoder_create(tokenizer, &encoder) == PL_OK);
}

static struct pl_buf nfc(const struct pl_buf *text)
{
    struct pl_buf out;

    pl_buf_init(&out, SIZE_MAX / 2);
    PL_ASSERT(pl_normal(PL_FORM_NFC, text->data, text->len, &out) == PL_OK);
    return out;
}

/* Append the template's text before `mark`, which is taken as well; all of it where there is none.
 */
static bool put_until(struct pl_buf *out, const char **at, const char *mark)
{
    const char *found = strstr(*at, mark);
    const size_t len = found ? (size_t)(found - *at) : strlen(*at);

    PL_ASSERT(pl_buf_append(out, *at, len) == PL_OK);
    *at += len + (found ? strlen(mark) : 0);
    return found != NULL;
}

/* What a first turn says, put together from the template's text. */
static struct pl_buf spell_out(const char *template, const char *system, struct pl_fuzz_in user)
{
    struct pl_buf out;

    pl_buf_init(&out, SIZE_MAX / 2);
    if (strstr(template, "{{system}}")) {
        (void)put_until(&out, &template, "{{system}}");
        PL_ASSERT(pl_utf8_repair(system, strlen(system), &out) == PL_OK);
    }
    PL_ASSERT(put_until(&out, &template, "{{user}}"));
    PL_ASSERT(pl_utf8_repair((const char *)user.data, user.size, &out) == PL_OK);
    (void)put_until(&out, &template, "{{answer}}");
    return out;
}

static void check_text(const struct pl_ids *ids, const char *template, const char *system,
                       struct pl_fuzz_in user)
{
    struct pl_buf text = spell_out(template, system, user), decoded, expected, found;

    pl_buf_init(&decoded, SIZE_MAX / 2);
    PL_ASSERT(pl_tokenizer_decode(tokenizer, ids->data, ids->len, false, &decoded, NULL) == PL_OK);
    expected = nfc(&text);
    found = nfc(&decoded);
    PL_ASSERT(expected.len == found.len);
    PL_ASSERT(found.len == 0 || memcmp(expected.data, found.data, found.len) == 0);
    pl_buf_release(&text);
    pl_buf_release(&decoded);
    pl_buf_release(&expected);
    pl_buf_release(&found);
}

static int turn(const struct pl_chat *chat, bool first, const char *system, struct pl_fuzz_in user,
                struct pl_ids *ids)
{
    struct pl_error err = {0};
    int rc;

    pl_ids_init(ids, IDS_MAX);
    rc = pl_chat_turn(chat, encoder, first, system, (const char *)user.data, user.size, ids, &err);
    if (rc < 0) {
        PL_ASSERT(rc == PL_EINVAL && first && system && !pl_chat_has_system(chat));
        PL_ASSERT(ids->len == 0 && err.code == rc);
    }
    return rc;
}

/* The special tokens of both, in order, are the same. */
static void check_special(const struct pl_ids *a, const struct pl_ids *b)
{
    size_t i = 0, j = 0;

    for (;;) {
        while (i < a->len && !pl_tokenizer_is_special(tokenizer, a->data[i]))
            i++;
        while (j < b->len && !pl_tokenizer_is_special(tokenizer, b->data[j]))
            j++;
        PL_ASSERT((i == a->len) == (j == b->len));
        if (i == a->len)
            return;
        PL_ASSERT(a->data[i] == b->data[j]);
        i++;
        j++;
    }
}

static void check_turns(const struct pl_chat *chat, const char *template, const char *system,
                        struct pl_fuzz_in user)
{
    const struct pl_fuzz_in nothing = {(const uint8_t *)"", 0};
    struct pl_ids ids, plain;

    if (turn(chat, true, system, user, &ids) == PL_OK) {
        check_text(&ids, template, system, user);
        PL_ASSERT(turn(chat, true, pl_chat_has_system(chat) ? "" : NULL, nothing, &plain) == PL_OK);
        check_special(&ids, &plain);
        pl_ids_release(&plain);
    }
    pl_ids_release(&ids);
    PL_ASSERT(turn(chat, false, system, user, &ids) == PL_OK);
    PL_ASSERT(turn(chat, false, NULL, nothing, &plain) == PL_OK);
    check_special(&ids, &plain);
    pl_ids_release(&plain);
    pl_ids_release(&ids);
    pl_ids_init(&ids, IDS_MAX);
    PL_ASSERT(pl_chat_close(chat, encoder, &ids, NULL) == PL_OK);
    pl_ids_release(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_fuzz_in in = {data, size};
    const struct pl_fuzz_in text = pl_fuzz_cut(&in, '\0'), user = pl_fuzz_cut(&in, '\0');
    char *template = pl_fuzz_string(text), *system = pl_fuzz_string(in);
    struct pl_chat *chat = NULL;
    struct pl_error err = {0};
    int rc;

    set_up();
    rc = pl_chat_parse((const char *)text.data, text.size, "fuzz", &chat, &err);
    if (rc < 0)
        pl_fuzz_refused(rc, &err, REFUSED);
    else
        check_turns(chat, template, pl_chat_has_system(chat) ? system : NULL, user);
    pl_chat_destroy(chat);
    free(template);
    free(system);
    return 0;
}
