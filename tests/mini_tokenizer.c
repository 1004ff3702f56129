#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/text/bytelevel.h"
#include "common/text/pretok.h"
#include "tests/mini_tokenizer.h"

#include <stdlib.h>
#include <string.h>

const char *const pl_test_merges[] = {"t h",   "th e", "Ġ the", "i n",   "in g",   "Ġ a",
                                      "e r",   "o n",  "Ġ Ġ",   "ĠĠ ĠĠ", "Ã ©",    "a a",
                                      "aa aa", "l l",  "ll o",  "h e",   "he llo", NULL};

static const char default_added[] =
    "{\"id\":%zu,\"content\":\"<|endoftext|>\",\"special\":true,\"normalized\":false},"
    "{\"id\":%zu,\"content\":\"<|im_start|>\",\"special\":true,\"normalized\":false},"
    "{\"id\":%zu,\"content\":\"<|im_end|>\",\"special\":true,\"normalized\":false}";

static void entry(struct pl_buf *buf, const char *token, size_t len, size_t id)
{
    assert_int_equal(pl_buf_puts(buf, id > 0 ? "," : ""), 0);
    assert_int_equal(pl_json_quote(buf, token, len), 0);
    assert_int_equal(pl_buf_printf(buf, ":%zu", id), 0);
}

/* Returns the number of ids. */
static size_t put_vocab(struct pl_buf *buf, const struct pl_test_mini *mini)
{
    size_t id = 0;

    for (int byte = 0; byte < 256; byte++, id++) {
        const char c = (char)byte;
        struct pl_buf token;

        pl_buf_init(&token, 16);
        assert_int_equal(pl_bytelevel_write(&c, 1, &token), 0);
        if (byte == 0 || byte != mini->skip_byte)
            entry(buf, token.data, token.len, id);
        pl_buf_release(&token);
    }
    for (size_t i = 0; mini->merges && mini->merges[i]; i++, id++) {
        char token[64];
        const char *space = strchr(mini->merges[i], ' ');
        const size_t left = (size_t)(space - mini->merges[i]);

        snprintf(token, sizeof token, "%.*s%s", (int)left, mini->merges[i], space + 1);
        entry(buf, token, strlen(token), id);
    }
    return id;
}

static void put_merges(struct pl_buf *buf, const struct pl_test_mini *mini)
{
    for (size_t i = 0; mini->merges && mini->merges[i]; i++) {
        const char *merge = mini->merges[i], *space = strchr(merge, ' ');

        assert_int_equal(pl_buf_puts(buf, i > 0 ? "," : ""), 0);
        if (!mini->pairs) {
            assert_int_equal(pl_json_quote(buf, merge, strlen(merge)), 0);
            continue;
        }
        assert_int_equal(pl_buf_puts(buf, "["), 0);
        assert_int_equal(pl_json_quote(buf, merge, (size_t)(space - merge)), 0);
        assert_int_equal(pl_buf_puts(buf, ","), 0);
        assert_int_equal(pl_json_quote(buf, space + 1, strlen(space + 1)), 0);
        assert_int_equal(pl_buf_puts(buf, "]"), 0);
    }
}

static const char *text_or(const char *text, const char *otherwise)
{
    return text ? text : otherwise;
}

char *pl_test_mini_json(const struct pl_test_mini *mini)
{
    static const char level[] = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                                "\"trim_offsets\":false,\"use_regex\":false}";
    struct pl_buf buf;
    size_t id;

    pl_buf_init(&buf, 1 << 22);
    assert_int_equal(pl_buf_printf(&buf, "{\"version\":\"1.0\",\"normalizer\":%s,",
                                   text_or(mini->normalizer, "{\"type\":\"NFC\"}")),
                     0);
    if (mini->pre_tokenizer) {
        assert_int_equal(pl_buf_printf(&buf, "\"pre_tokenizer\":%s,", mini->pre_tokenizer), 0);
    } else {
        assert_int_equal(pl_buf_puts(&buf, "\"pre_tokenizer\":{\"type\":\"Sequence\","
                                           "\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":"
                                           "{\"Regex\":"),
                         0);
        assert_int_equal(pl_json_quote(&buf, PL_PRETOK_QWEN2, strlen(PL_PRETOK_QWEN2)), 0);
        assert_int_equal(
            pl_buf_printf(&buf, "},\"behavior\":\"Isolated\",\"invert\":false},%s]},", level), 0);
    }
    assert_int_equal(pl_buf_printf(&buf, "\"post_processor\":%s,\"decoder\":%s,",
                                   text_or(mini->post_processor, level),
                                   text_or(mini->decoder, level)),
                     0);
    assert_int_equal(
        pl_buf_printf(&buf, "\"model\":{\"type\":\"BPE\",%s\"vocab\":{", text_or(mini->model, "")),
        0);
    id = put_vocab(&buf, mini);
    assert_int_equal(pl_buf_puts(&buf, "},\"merges\":["), 0);
    put_merges(&buf, mini);
    assert_int_equal(pl_buf_puts(&buf, "]},\"added_tokens\":["), 0);
    assert_int_equal(mini->added ? pl_buf_puts(&buf, mini->added)
                                 : pl_buf_printf(&buf, default_added, id, id + 1, id + 2),
                     0);
    assert_int_equal(pl_buf_puts(&buf, "]}\n"), 0);
    return buf.data;
}

struct pl_tokenizer *pl_test_mini_load(const struct pl_test_mini *mini)
{
    char *json = pl_test_mini_json(mini);
    struct pl_tokenizer *tokenizer = NULL;
    struct pl_error err = {0};

    if (pl_tokenizer_parse(json, strlen(json), "mini", &tokenizer, &err) < 0)
        fail_msg("%s", err.text);
    free(json);
    return tokenizer;
}

void pl_test_mini_save(const struct pl_test_mini *mini, const char *dir)
{
    char *json = pl_test_mini_json(mini);
    char *path = pl_strf("%s/tokenizer.json", dir);
    struct pl_outfile out;
    struct pl_error err = {0};

    assert_non_null(path);
    if (pl_outfile_open(path, &out, &err) < 0 ||
        pl_outfile_write(&out, json, strlen(json), &err) < 0 || pl_outfile_commit(&out, &err) < 0)
        fail_msg("%s", err.text);
    free(path);
    free(json);
}
