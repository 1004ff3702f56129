#include "common/text/tokenizer_write.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/text/bytelevel.h"
#include "common/text/pretok.h"

#include <stdlib.h>
#include <string.h>

/* In Jinja, what common/text/chat.c builds in. */
static const char chat_template[] =
    "{%- if messages[0]['role'] != 'system' %}"
    "{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
    "assistant.<|im_end|>\\n' }}"
    "{%- endif %}"
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}";

/* Takes `value` over; whether all went well is gathered in *ok. */
static void set(bool *ok, json_t *object, const char *key, json_t *value)
{
    *ok = json_object_set_new(object, key, value) == 0 && *ok;
}

static void append(bool *ok, json_t *array, json_t *value)
{
    *ok = json_array_append_new(array, value) == 0 && *ok;
}

static json_t *byte_level(void)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 0, "use_regex", 0);
}

static json_t *pre_tokenizer(void)
{
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers",
                     "type", "Split", "pattern", "Regex", PL_PRETOK_QWEN2, "behavior", "Isolated",
                     "invert", 0, byte_level());
}

static json_t *added_token(const struct pl_write_added *added)
{
    return json_pack("{s:s, s:b, s:b, s:b, s:b, s:b}", "content", added->content, "single_word", 0,
                     "lstrip", 0, "rstrip", 0, "normalized", 0, "special", (int)added->special);
}

/* A token in the alphabet of bytes, in `buf` behind what is there. */
static bool spell(const struct pl_bpe_learned *learned, size_t symbol, struct pl_buf *buf)
{
    size_t len;
    const char *bytes = pl_dict_key(&learned->tokens, symbol, &len);

    return pl_bytelevel_write(bytes, len, buf) == PL_OK;
}

static json_t *vocab(const struct pl_bpe_learned *learned)
{
    json_t *object = json_object();
    struct pl_buf buf;
    bool ok = true;

    pl_buf_init(&buf, UINT32_MAX);
    for (size_t i = 0; ok && i < learned->tokens.count; i++) {
        pl_buf_clear(&buf);
        ok = spell(learned, i, &buf);
        if (ok)
            set(&ok, object, buf.data, json_integer((json_int_t)i));
    }
    pl_buf_release(&buf);
    if (ok)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *merges(const struct pl_bpe_learned *learned)
{
    json_t *array = json_array();
    struct pl_buf buf;
    bool ok = true;

    pl_buf_init(&buf, UINT32_MAX);
    for (size_t i = 0; ok && i < learned->merges_count; i++) {
        pl_buf_clear(&buf);
        ok = spell(learned, learned->merges[i].left, &buf) && pl_buf_puts(&buf, " ") == PL_OK &&
             spell(learned, learned->merges[i].right, &buf);
        if (ok)
            append(&ok, array, json_string(buf.data));
    }
    pl_buf_release(&buf);
    if (ok)
        return array;
    json_decref(array);
    return NULL;
}

static json_t *model(const struct pl_bpe_learned *learned)
{
    return json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                     "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
                     "byte_fallback", 0, "ignore_merges", 0, "vocab", vocab(learned), "merges",
                     merges(learned));
}

static json_t *tokenizer_json(const struct pl_bpe_learned *learned,
                              const struct pl_write_added *added, size_t added_count)
{
    json_t *root = json_object(), *array = json_array();
    bool ok = true;

    for (size_t i = 0; i < added_count; i++) {
        json_t *token = json_pack("{s:I}", "id", (json_int_t)(learned->tokens.count + i));
        json_t *rest = added_token(&added[i]);

        ok = json_object_update(token, rest) == 0 && ok;
        json_decref(rest);
        append(&ok, array, token);
    }
    set(&ok, root, "version", json_string("1.0"));
    set(&ok, root, "truncation", json_null());
    set(&ok, root, "padding", json_null());
    set(&ok, root, "added_tokens", array);
    set(&ok, root, "normalizer", json_pack("{s:s}", "type", "NFC"));
    set(&ok, root, "pre_tokenizer", pre_tokenizer());
    set(&ok, root, "post_processor", byte_level());
    set(&ok, root, "decoder", byte_level());
    set(&ok, root, "model", model(learned));
    if (ok)
        return root;
    json_decref(root);
    return NULL;
}

static bool is_added(const struct pl_write_added *added, size_t count, const char *content)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(added[i].content, content) == 0)
            return true;
    }
    return false;
}

static json_t *named(const struct pl_write_added *added, size_t count, const char *content)
{
    return is_added(added, count, content) ? json_string(content) : json_null();
}

static json_t *config_json(size_t first_id, const struct pl_write_added *added, size_t count)
{
    json_t *root = json_object(), *decoder = json_object(), *additional = json_array();
    bool ok = true;

    for (size_t i = 0; i < count; i++) {
        char id[32];

        snprintf(id, sizeof id, "%zu", first_id + i);
        set(&ok, decoder, id, added_token(&added[i]));
        if (added[i].special)
            append(&ok, additional, json_string(added[i].content));
    }
    set(&ok, root, "add_prefix_space", json_false());
    set(&ok, root, "added_tokens_decoder", decoder);
    set(&ok, root, "additional_special_tokens", additional);
    set(&ok, root, "bos_token", json_null());
    if (is_added(added, count, "<|im_start|>") && is_added(added, count, "<|im_end|>"))
        set(&ok, root, "chat_template", json_string(chat_template));
    set(&ok, root, "clean_up_tokenization_spaces", json_false());
    set(&ok, root, "eos_token", named(added, count, "<|im_end|>"));
    set(&ok, root, "pad_token", named(added, count, "<|endoftext|>"));
    set(&ok, root, "tokenizer_class", json_string("PreTrainedTokenizerFast"));
    set(&ok, root, "unk_token", json_null());
    if (ok)
        return root;
    json_decref(root);
    return NULL;
}

static int save(const char *dir, const char *name, const json_t *root, struct pl_error *err)
{
    char *path = pl_strf("%s/%s", dir, name);
    int rc;

    if (path && root)
        rc = pl_json_save(path, root, 2, err);
    else
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory to write '%s'", dir, name);
    free(path);
    return rc;
}

int pl_tokenizer_write(const char *dir, const struct pl_bpe_learned *learned,
                       const struct pl_write_added *added, size_t added_count, struct pl_error *err)
{
    json_t *tokenizer = tokenizer_json(learned, added, added_count);
    json_t *config = config_json(learned->tokens.count, added, added_count);
    int rc = pl_dir_make(dir, err);

    if (rc == PL_OK)
        rc = save(dir, "tokenizer.json", tokenizer, err);
    if (rc == PL_OK)
        rc = save(dir, "tokenizer_config.json", config, err);
    json_decref(tokenizer);
    json_decref(config);
    return rc;
}
