/* config.json: published files, defaults, every refusal with its sentence, and the way back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

#include "common/base/json.h"
#include "common/model/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pl_error err;

/* The least that is a model. */
static const char qwen2[] = "{\"model_type\": \"qwen2\", \"hidden_size\": 64, "
                            "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
                            "\"intermediate_size\": 96, \"vocab_size\": 100}";
static const char llama[] = "{\"model_type\": \"llama\", \"hidden_size\": 64, "
                            "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
                            "\"intermediate_size\": 96, \"vocab_size\": 100}";

/* The document with `more`, an object, put over it. A member that is "-" is taken away. */
static json_t *with(const char *document, const char *more)
{
    json_t *root = json_loads(document, 0, NULL);
    json_t *object = json_loads(more, 0, NULL), *value;
    const char *key;

    assert_non_null(root);
    if (!object)
        fail_msg("the test's own JSON is wrong: %s", more);
    json_object_foreach(object, key, value)
    {
        if (json_is_string(value) && strcmp(json_string_value(value), "-") == 0)
            json_object_del(root, key);
        else
            json_object_set(root, key, value);
    }
    json_decref(object);
    return root;
}

static struct pl_config parsed(const char *document, const char *more)
{
    json_t *root = with(document, more);
    struct pl_config config;

    if (pl_config_parse(root, "cfg", &config, &err) < 0)
        fail_msg("%s: %s", more, err.text);
    json_decref(root);
    return config;
}

static void what_is_left_out_has_defaults(void **state)
{
    (void)state;
    struct pl_config c = parsed(qwen2, "{}");

    assert_int_equal(c.arch, PL_ARCH_QWEN2);
    assert_int_equal(c.hidden, 64);
    assert_int_equal(c.layers, 2);
    assert_int_equal(c.heads, 4);
    assert_int_equal(c.kv_heads, 4);
    assert_int_equal(c.head_dim, 16);
    assert_int_equal(c.ffn, 96);
    assert_int_equal(c.vocab, 100);
    assert_int_equal(c.positions_max, 32768);
    assert_true(c.rope_theta == 10000.0);
    assert_int_equal(c.rope_kind, PL_ROPE_PLAIN);
    assert_true(c.rms_eps == 1e-6f);
    assert_true(c.init_range == 0.02);
    assert_false(c.tied);
    assert_true(c.qkv_bias);
    assert_int_equal(c.bos, -1);
    assert_int_equal(c.pad, -1);
    assert_int_equal(c.eos_count, 0);
    c = parsed(llama, "{}");
    assert_int_equal(c.arch, PL_ARCH_LLAMA);
    assert_int_equal(c.positions_max, 2048);
    assert_false(c.qkv_bias);
}

static void what_is_there_counts(void **state)
{
    (void)state;
    struct pl_config c =
        parsed(qwen2, "{\"num_key_value_heads\": 2, \"head_dim\": 10, \"rms_norm_eps\": 1e-5,"
                      "\"max_position_embeddings\": 512, \"tie_word_embeddings\": true,"
                      "\"initializer_range\": 0.1, \"rope_theta\": 500, \"bos_token_id\": 1,"
                      "\"pad_token_id\": null, \"eos_token_id\": [7, 3, 7]}");

    assert_int_equal(c.kv_heads, 2);
    assert_int_equal(c.head_dim, 10);
    assert_true(c.rms_eps == 1e-5f);
    assert_int_equal(c.positions_max, 512);
    assert_true(c.tied);
    assert_true(c.init_range == 0.1);
    assert_true(c.rope_theta == 500.0);
    assert_int_equal(c.bos, 1);
    assert_int_equal(c.pad, -1);
    assert_int_equal(c.eos_count, 2); /* one that is there twice counts once */
    assert_int_equal(c.eos[0], 7);
    assert_int_equal(c.eos[1], 3);
    c = parsed(qwen2, "{\"bos_token_id\": -1, \"eos_token_id\": 9, \"num_key_value_heads\": null}");
    assert_int_equal(c.bos, -1);
    assert_int_equal(c.eos_count, 1);
    assert_int_equal(c.eos[0], 9);
    assert_int_equal(c.kv_heads, 4);
}

/* rope_scaling as Transformers 4 writes it, rope_parameters as 5 does. */
static void rotary_scaling(void **state)
{
    (void)state;
    struct pl_config c =
        parsed(llama, "{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4.0}}");

    assert_int_equal(c.rope_kind, PL_ROPE_LINEAR);
    assert_true(c.rope_factor == 4.0);
    c = parsed(llama, "{\"rope_theta\": 500000.0, \"rope_scaling\": {\"rope_type\": \"llama3\","
                      "\"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0,"
                      "\"original_max_position_embeddings\": 8192}}");
    assert_int_equal(c.rope_kind, PL_ROPE_LLAMA3);
    assert_true(c.rope_theta == 500000.0);
    assert_true(c.rope_factor == 8.0);
    assert_true(c.rope_low_freq == 1.0);
    assert_true(c.rope_high_freq == 4.0);
    assert_int_equal(c.rope_original_positions, 8192);
    c = parsed(llama, "{\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 123}}");
    assert_int_equal(c.rope_kind, PL_ROPE_PLAIN);
    assert_true(c.rope_theta == 123.0);
    c = parsed(llama, "{\"rope_scaling\": {\"type\": \"default\"}}");
    assert_int_equal(c.rope_kind, PL_ROPE_PLAIN);
    c = parsed(llama, "{\"rope_scaling\": null}");
    assert_int_equal(c.rope_kind, PL_ROPE_PLAIN);
}

struct refusal {
    const char *more;
    int code;
    const char *sentence; /* behind "cfg: " */
};

static void assert_refused(const char *document, const struct refusal *r)
{
    json_t *root = with(document, r->more);
    struct pl_config config = {.hidden = 4711};
    const int rc = pl_config_parse(root, "cfg", &config, &err);

    if (rc != r->code || err.code != rc)
        fail_msg("%s: code %d, not %d", r->more, rc, r->code);
    if (strncmp(err.text, "cfg: ", 5) != 0 || strcmp(err.text + 5, r->sentence) != 0)
        fail_msg("%s:\n      %s\nnot   cfg: %s", r->more, err.text, r->sentence);
    assert_int_equal(config.hidden, 4711); /* left alone */
    json_decref(root);
}

static void refused_of_both(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"{\"model_type\": \"-\"}", PL_EFORMAT, "key 'model_type' is missing; expected a string"},
        {"{\"model_type\": 3}", PL_EFORMAT, "'model_type' is an integer; expected a string"},
        {"{\"model_type\": \"gpt2\"}", PL_EUNSUPPORTED,
         "model_type 'gpt2' is not one plait computes (qwen2, llama)"},
        {"{\"hidden_size\": \"-\"}", PL_EFORMAT,
         "key 'hidden_size' is missing; expected an integer"},
        {"{\"hidden_size\": 0}", PL_EFORMAT, "'hidden_size' is 0; expected 1 to 65536"},
        {"{\"hidden_size\": 65537}", PL_EFORMAT, "'hidden_size' is 65537; expected 1 to 65536"},
        {"{\"hidden_size\": 64.0}", PL_EFORMAT, "'hidden_size' is a number; expected an integer"},
        {"{\"num_hidden_layers\": 1025}", PL_EFORMAT,
         "'num_hidden_layers' is 1025; expected 1 to 1024"},
        {"{\"num_attention_heads\": -4}", PL_EFORMAT,
         "'num_attention_heads' is -4; expected 1 to 1024"},
        {"{\"intermediate_size\": 262145}", PL_EFORMAT,
         "'intermediate_size' is 262145; expected 1 to 262144"},
        {"{\"vocab_size\": 9223372036854775807}", PL_EFORMAT,
         "'vocab_size' is 9223372036854775807; expected 1 to 1048576"},
        {"{\"num_key_value_heads\": 0}", PL_EFORMAT,
         "'num_key_value_heads' is 0; expected 1 to 1024"},
        {"{\"num_key_value_heads\": 3}", PL_EFORMAT,
         "num_attention_heads 4 is not a multiple of num_key_value_heads 3"},
        {"{\"max_position_embeddings\": 2097153}", PL_EFORMAT,
         "'max_position_embeddings' is 2097153; expected 1 to 2097152"},
        {"{\"head_dim\": 258}", PL_EFORMAT, "'head_dim' is 258; expected 1 to 256"},
        {"{\"head_dim\": 7}", PL_EFORMAT, "the head size 7 is odd"},
        {"{\"hidden_size\": 66}", PL_EFORMAT,
         "hidden_size 66 is not a multiple of num_attention_heads 4, and there is no head_dim"},
        {"{\"hidden_size\": 1100}", PL_EFORMAT, "head_dim is 275; expected 1 to 256"},
        {"{\"use_sliding_window\": true}", PL_EUNSUPPORTED,
         "use_sliding_window is true: plait does not compute sliding windows"},
        {"{\"use_sliding_window\": 1}", PL_EFORMAT,
         "'use_sliding_window' is an integer; expected true or false"},
        {"{\"layer_types\": 1}", PL_EFORMAT, "layer_types is not an array of 2 strings"},
        {"{\"layer_types\": [\"full_attention\"]}", PL_EFORMAT,
         "layer_types is not an array of 2 strings"},
        {"{\"layer_types\": [\"full_attention\", 1]}", PL_EFORMAT,
         "layer_types[1] is not a string"},
        {"{\"layer_types\": [\"full_attention\", \"sliding_attention\"]}", PL_EUNSUPPORTED,
         "layer_types[1] is 'sliding_attention': plait computes full_attention only"},
        {"{\"hidden_act\": \"gelu\"}", PL_EUNSUPPORTED,
         "hidden_act is 'gelu': plait computes silu only"},
        {"{\"pretraining_tp\": 2}", PL_EUNSUPPORTED,
         "pretraining_tp is 2: plait computes unsplit projections only"},
        {"{\"partial_rotary_factor\": 0.5}", PL_EUNSUPPORTED,
         "partial_rotary_factor is 0.5: plait rotates whole heads only"},
        {"{\"rope_parameters\": {\"partial_rotary_factor\": 0.25}}", PL_EUNSUPPORTED,
         "partial_rotary_factor is 0.25: plait rotates whole heads only"},
        {"{\"quantization_config\": {}}", PL_EUNSUPPORTED,
         "it has a quantization_config: plait reads F32, F16 and BF16 weights"},
        {"{\"rope_theta\": 0.5}", PL_EFORMAT, "'rope_theta' is 0.5; expected 1 to 1e+18"},
        {"{\"rope_scaling\": 2}", PL_EFORMAT, "the rotary scaling is not an object"},
        {"{\"rope_scaling\": {\"type\": 1}}", PL_EFORMAT,
         "'type' is an integer; expected a string"},
        {"{\"rope_scaling\": {\"rope_type\": \"yarn\"}}", PL_EUNSUPPORTED,
         "rope_scaling of type 'yarn': plait computes default, linear and llama3"},
        {"{\"rope_scaling\": {\"type\": \"linear\"}}", PL_EFORMAT,
         "key 'factor' is missing; expected a number"},
        {"{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0.5}}", PL_EFORMAT,
         "'factor' is 0.5; expected 1 to 1e+06"},
        {"{\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8}}", PL_EFORMAT,
         "key 'low_freq_factor' is missing; expected a number"},
        {"{\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4,"
         "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 64}}",
         PL_EFORMAT,
         "llama3 scaling from 4 to 4 over 64 positions; expected low_freq_factor below "
         "high_freq_factor"},
        {"{\"rms_norm_eps\": 0}", PL_EFORMAT, "'rms_norm_eps' is 0; expected 1e-30 to 1"},
        {"{\"initializer_range\": -1}", PL_EFORMAT, "'initializer_range' is -1; expected 0 to 10"},
        {"{\"tie_word_embeddings\": \"yes\"}", PL_EFORMAT,
         "'tie_word_embeddings' is a string; expected true or false"},
        {"{\"bos_token_id\": -2}", PL_EFORMAT, "'bos_token_id' is not the id of a token"},
        {"{\"bos_token_id\": 1.5}", PL_EFORMAT, "'bos_token_id' is not the id of a token"},
        {"{\"bos_token_id\": 100}", PL_EFORMAT, "bos_token_id 100 is not below vocab_size 100"},
        {"{\"pad_token_id\": 100}", PL_EFORMAT, "pad_token_id 100 is not below vocab_size 100"},
        {"{\"eos_token_id\": \"</s>\"}", PL_EFORMAT,
         "'eos_token_id' holds what is not the id of a token"},
        {"{\"eos_token_id\": [1, -1]}", PL_EFORMAT,
         "'eos_token_id' holds what is not the id of a token"},
        {"{\"eos_token_id\": [1, 100]}", PL_EFORMAT,
         "eos_token_id 100 is not below vocab_size 100"},
        {"{\"eos_token_id\": [1, 2, 3, 4, 5, 6, 7, 8, 9]}", PL_EUNSUPPORTED,
         "'eos_token_id' lists more than 8 tokens"},
    };

    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        assert_refused(qwen2, &refusals[i]);
        if (i >= 3) /* not the model_type */
            assert_refused(llama, &refusals[i]);
    }
}

static void refused_of_llama_alone(void **state)
{
    (void)state;
    static const struct refusal attention = {
        "{\"attention_bias\": true}", PL_EUNSUPPORTED,
        "attention_bias is true: plait does not compute attention with an output bias"};
    static const struct refusal mlp = {
        "{\"mlp_bias\": true}", PL_EUNSUPPORTED,
        "mlp_bias is true: plait does not compute a feed-forward bias"};

    assert_refused(llama, &attention);
    assert_refused(llama, &mlp);
    parsed(llama, "{\"attention_bias\": false, \"mlp_bias\": null}");
    parsed(qwen2, "{\"attention_bias\": true}"); /* says nothing there */
}

static void what_is_no_object_is_refused(void **state)
{
    (void)state;
    json_t *root = json_loads("[1]", 0, NULL);
    struct pl_config config;

    assert_int_equal(pl_config_parse(root, "cfg", &config, &err), PL_EFORMAT);
    assert_string_equal(err.text, "cfg: expected an object that holds 'model_type'");
    json_decref(root);
}

/* What a program fills in by hand goes through the same checks. */
static void made_by_hand_it_is_checked_too(void **state)
{
    (void)state;
    const struct pl_config good = parsed(llama, "{}");
    struct pl_config c = good;

    assert_int_equal(pl_config_check(&c, "cfg", &err), PL_OK);
    c.layers = 0;
    assert_int_equal(pl_config_check(&c, "cfg", &err), PL_EFORMAT);
    assert_string_equal(err.text, "cfg: num_hidden_layers is 0; expected 1 to 1024");
    c = good;
    c.rms_eps = 0.0f;
    assert_int_equal(pl_config_check(&c, "cfg", &err), PL_EFORMAT);
    assert_string_equal(err.text, "cfg: rms_norm_eps is 0; expected more than 0, at most 1");
    c = good;
    c.rope_theta = 0.0;
    assert_int_equal(pl_config_check(&c, "cfg", &err), PL_EFORMAT);
    assert_string_equal(err.text, "cfg: rope_theta is 0; expected 1 to 1e18");
    c = good;
    c.init_range = 11.0;
    assert_int_equal(pl_config_check(&c, "cfg", &err), PL_EFORMAT);
    assert_string_equal(err.text, "cfg: initializer_range is 11; expected 0 to 10");
    c = good;
    c.rope_kind = PL_ROPE_LINEAR;
    c.rope_factor = 0.5;
    assert_int_equal(pl_config_check(&c, "cfg", &err), PL_EFORMAT);
    assert_string_equal(err.text, "cfg: the rotary factor is 0.5; expected 1 to 1e6");
    c = good;
    c.eos_count = PL_EOS_MAX + 1;
    assert_int_equal(pl_config_check(&c, "cfg", &err), PL_EFORMAT);
    assert_string_equal(err.text, "cfg: 9 eos tokens; expected 8 at most");
}

/* What pl_config_json() writes reads back as the same, in each variant. */
static void written_and_read_again_it_is_the_same(void **state)
{
    (void)state;
    static const char *const variants[] = {
        "{}",
        "{\"tie_word_embeddings\": true, \"num_key_value_heads\": 2, \"head_dim\": 10}",
        "{\"eos_token_id\": 5, \"bos_token_id\": 1, \"pad_token_id\": 2}",
        "{\"eos_token_id\": [5, 6, 7], \"rms_norm_eps\": 1.2345678e-5, \"initializer_range\": 0.3}",
        "{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.5}, \"rope_theta\": 1000000.0}",
        ("{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0,"
         " \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192}}"),
    };

    for (size_t i = 0; i < 2 * (sizeof variants / sizeof variants[0]); i++) {
        const struct pl_config c = parsed(i % 2 ? llama : qwen2, variants[i / 2]);
        struct pl_config again;
        json_t *root = pl_config_json(&c);

        assert_non_null(root);
        memset(&again, 0xA5, sizeof again);
        if (pl_config_parse(root, "again", &again, &err) < 0)
            fail_msg("%s", err.text);
        json_decref(root);
        assert_int_equal(again.arch, c.arch);
        assert_memory_equal(&again.hidden, &c.hidden, 7 * sizeof c.hidden);
        assert_int_equal(again.positions_max, c.positions_max);
        assert_true(again.rope_theta == c.rope_theta && again.rope_kind == c.rope_kind);
        assert_true(again.rope_factor == c.rope_factor && again.rope_low_freq == c.rope_low_freq);
        assert_true(again.rope_high_freq == c.rope_high_freq);
        assert_int_equal(again.rope_original_positions, c.rope_original_positions);
        assert_true(again.rms_eps == c.rms_eps && again.init_range == c.init_range);
        assert_int_equal(again.tied, c.tied);
        assert_int_equal(again.qkv_bias, c.qkv_bias);
        assert_true(again.bos == c.bos && again.pad == c.pad);
        assert_int_equal(again.eos_count, c.eos_count);
        assert_memory_equal(again.eos, c.eos, c.eos_count * sizeof c.eos[0]);
    }
}

/* --- folders --- */

static void generation_config_rules_where_it_says_something(void **state)
{
    (void)state;
    struct pl_config c;
    json_t *root = with(qwen2, "{\"eos_token_id\": 5, \"bos_token_id\": 1}");
    char *text = json_dumps(root, 0);

    pl_scratch_text(pl_scratch("config.json"), text);
    assert_int_equal(pl_config_load(pl_scratch(""), &c, &err), PL_OK);
    assert_true(c.eos_count == 1 && c.eos[0] == 5 && c.bos == 1 && c.pad == -1);
    pl_scratch_text(pl_scratch("generation_config.json"),
                    "{\"eos_token_id\": [8, 9], \"bos_token_id\": 2, \"pad_token_id\": 3,"
                    " \"temperature\": 0.7}");
    assert_int_equal(pl_config_load(pl_scratch(""), &c, &err), PL_OK);
    assert_true(c.eos_count == 2 && c.eos[0] == 8 && c.eos[1] == 9);
    assert_true(c.bos == 1 && c.pad == 3); /* config.json's first, then the other's */
    pl_scratch_text(pl_scratch("generation_config.json"), "{\"eos_token_id\": null}");
    assert_int_equal(pl_config_load(pl_scratch(""), &c, &err), PL_OK);
    assert_true(c.eos_count == 1 && c.eos[0] == 5);
    json_decref(root);
    free(text);
}

static void wrong_folders_are_refused(void **state)
{
    (void)state;
    struct pl_config c = {.hidden = 4711};

    assert_int_equal(pl_config_load(pl_scratch("none"), &c, &err), PL_ENOENT);
    pl_assert_says(&err, "open '$/none/config.json': No such file or directory");
    pl_scratch_text(pl_scratch("config.json"), qwen2);
    pl_scratch_text(pl_scratch("generation_config.json"), "[]");
    assert_int_equal(pl_config_load(pl_scratch(""), &c, &err), PL_EFORMAT);
    pl_assert_says(&err, "$/generation_config.json: expected an object");
    pl_scratch_text(pl_scratch("generation_config.json"), "{\"eos_token_id\": [1, 100]}");
    assert_int_equal(pl_config_load(pl_scratch(""), &c, &err), PL_EFORMAT);
    pl_assert_says(&err, "$/generation_config.json: eos_token_id 100 is not below vocab_size 100");
    assert_int_equal(c.hidden, 4711);
}

/* On failure nothing of the file is taken over. */
static void a_wrong_generation_config_changes_nothing(void **state)
{
    (void)state;
    struct pl_config c = parsed(qwen2, "{\"eos_token_id\": 5}");

    pl_scratch_text(pl_scratch("generation_config.json"), "{\"eos_token_id\": [1, 2, 100]}");
    assert_int_equal(pl_config_generation(pl_scratch(""), &c, &err), PL_EFORMAT);
    assert_true(c.eos_count == 1 && c.eos[0] == 5);
}

/* Published files; the values are those of the model cards. */
static void published_files_are_read(void **state)
{
    static const struct {
        const char *name;
        size_t hidden, layers, heads, kv_heads, ffn, vocab;
        bool tied;
    } files[] = {
        {"0.5b", 896, 24, 14, 2, 4864, 151936, true},
        {"1.5b", 1536, 28, 12, 2, 8960, 151936, true},
        {"7b", 3584, 28, 28, 4, 18944, 152064, false},
    };
    const char *data = getenv("PLAIT_TEST_DATA");

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct pl_config c;
        json_t *root = NULL;
        char path[600];

        snprintf(path, sizeof path, "%s/qwen2.5-tokenizer/config-qwen2.5-%s-instruct.json",
                 data ? data : "", files[i].name);
        if (!data || pl_json_load(path, 1 << 20, &root, &err) == PL_ENOENT) {
            print_message("skipped: there is no '%s'\n", path);
            skip();
        }
        assert_int_equal(pl_config_parse(root, path, &c, &err), PL_OK);
        json_decref(root);
        assert_int_equal(c.arch, PL_ARCH_QWEN2);
        assert_int_equal(c.hidden, files[i].hidden);
        assert_int_equal(c.layers, files[i].layers);
        assert_int_equal(c.heads, files[i].heads);
        assert_int_equal(c.kv_heads, files[i].kv_heads);
        assert_int_equal(c.head_dim, i == 0 ? 64 : 128);
        assert_int_equal(c.ffn, files[i].ffn);
        assert_int_equal(c.vocab, files[i].vocab);
        assert_int_equal(c.tied, files[i].tied);
        assert_int_equal(c.positions_max, 32768);
        assert_true(c.rope_theta == 1e6 && c.rms_eps == 1e-6f);
        assert_true(c.bos == 151643 && c.eos_count == 1 && c.eos[0] == 151645);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_out_has_defaults),
        cmocka_unit_test(what_is_there_counts),
        cmocka_unit_test(rotary_scaling),
        cmocka_unit_test(refused_of_both),
        cmocka_unit_test(refused_of_llama_alone),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(made_by_hand_it_is_checked_too),
        cmocka_unit_test(written_and_read_again_it_is_the_same),
        cmocka_unit_test(generation_config_rules_where_it_says_something),
        cmocka_unit_test(wrong_folders_are_refused),
        cmocka_unit_test(a_wrong_generation_config_changes_nothing),
        cmocka_unit_test(published_files_are_read),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
