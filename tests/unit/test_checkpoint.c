/* Model folders written: the same bits back, in one file or many, and what other tools look for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/model.h"
#include "tests/scratch.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/model/checkpoint.h"
#include "common/model/import.h"
#include "common/model/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pl_error err;

static struct pl_config small_config(enum pl_arch arch, bool tied)
{
    return (struct pl_config){
        .arch = arch,
        .hidden = 20,
        .layers = 2,
        .heads = 4,
        .kv_heads = 2,
        .head_dim = 6,
        .ffn = 37,
        .vocab = 71,
        .positions_max = 99,
        .rope_theta = 1e6,
        .rope_factor = 1.0,
        .rope_low_freq = 1.0,
        .rope_high_freq = 1.0,
        .rms_eps = 1e-5f,
        .tied = tied,
        .qkv_bias = arch == PL_ARCH_QWEN2,
        .init_range = 0.02,
        .bos = 1,
        .pad = -1,
        .eos = {5, 6},
        .eos_count = 2,
    };
}

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", err.text);
}

/* An empty folder. */
static const char *fresh(const char *name)
{
    const char *dir = pl_scratch(name);

    if (pl_path_exists(dir))
        must(pl_dir_remove(dir, &err));
    must(pl_dir_make(dir, &err));
    return dir;
}

/* The folder is the model, to the bit, and its configuration the same. */
static void assert_reads_back(const char *dir, const struct pl_test_model *model)
{
    struct pl_shape *shape = NULL;
    struct pl_weights *weights = NULL;
    json_t *a, *b;

    must(pl_model_load(dir, NULL, &shape, &weights, &err));
    assert_int_equal(pl_weights_bytes(shape), pl_weights_bytes(model->shape));
    assert_memory_equal(weights->memory, model->weights->memory, pl_weights_bytes(shape));
    a = pl_config_json(&shape->config);
    b = pl_config_json(&model->shape->config);
    assert_true(json_equal(a, b));
    json_decref(a);
    json_decref(b);
    pl_weights_destroy(weights);
    pl_shape_destroy(shape);
}

static json_t *read_json(const char *path)
{
    json_t *root = NULL;

    must(pl_json_load(path, 1 << 20, &root, &err));
    return root;
}

static void every_variant_reads_back(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct pl_config config = small_config(i & 1 ? PL_ARCH_LLAMA : PL_ARCH_QWEN2, i & 2);
        struct pl_test_model model;
        const char *dir = fresh("variant");

        if (i == 3) {
            config.rope_kind = PL_ROPE_LLAMA3;
            config.rope_factor = 8.0;
            config.rope_high_freq = 4.0;
            config.rope_original_positions = 64;
        }
        pl_test_model_create(&model, &config, (uint64_t)i);
        must(pl_model_write(dir, model.weights, NULL, PL_SHARD_DEFAULT, &err));
        assert_reads_back(dir, &model);
        pl_test_model_destroy(&model);
    }
}

/* Whatever the size of a shard: the same bits, no file larger but for one tensor, all in the
 * index. */
static void shards_read_back(void **state)
{
    static const struct {
        uint64_t bytes;
        size_t files;
    } cases[] = {{1, 27}, {3000, 8}, {9000, 3}};
    const struct pl_config config = small_config(PL_ARCH_QWEN2, false);
    struct pl_test_model model;

    (void)state;
    pl_test_model_create(&model, &config, 1);
    assert_int_equal(model.shape->count, 27);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *dir = fresh("shards");
        json_t *index, *map;
        size_t tensors = 0;

        must(pl_model_write(dir, model.weights, NULL, cases[i].bytes, &err));
        assert_reads_back(dir, &model);
        assert_false(pl_path_exists(pl_scratch_in(dir, "model.safetensors")));
        index = read_json(pl_scratch_in(dir, "model.safetensors.index.json"));
        map = json_object_get(index, "weight_map");
        assert_int_equal(json_object_size(map), 27);
        assert_int_equal(
            json_integer_value(json_object_get(json_object_get(index, "metadata"), "total_size")),
            2 * model.shape->params);
        for (size_t f = 0; f < cases[i].files; f++) {
            struct pl_st st;
            char name[64];
            size_t bytes = 0;

            snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", f + 1, cases[i].files);
            must(pl_st_open(pl_scratch_in(dir, name), &st, &err));
            for (size_t k = 0; k < st.count; k++) {
                bytes += st.entries[k].bytes;
                assert_string_equal(json_string_value(json_object_get(map, st.entries[k].name)),
                                    name);
            }
            assert_true(st.count > 0 && (bytes <= cases[i].bytes || st.count == 1));
            tensors += st.count;
            pl_st_close(&st);
        }
        assert_int_equal(tensors, 27);
        json_decref(index);
    }
    pl_test_model_destroy(&model);
}

/* A tensor of more than one piece of the writer (1 MiB). */
static void large_tensors_read_back(void **state)
{
    struct pl_config config = small_config(PL_ARCH_LLAMA, true);
    struct pl_test_model model;
    const char *dir = fresh("large");

    (void)state;
    config.vocab = 1111;
    config.hidden = 500;
    config.layers = 1;
    pl_test_model_create(&model, &config, 1);
    must(pl_model_write(dir, model.weights, NULL, PL_SHARD_DEFAULT, &err));
    assert_reads_back(dir, &model);
    pl_test_model_destroy(&model);
}

static void assert_text(const json_t *root, const char *key, const char *want)
{
    assert_string_equal(json_string_value(json_object_get(root, key)), want);
}

/* Transformers, vLLM and llama.cpp's converter look at these. */
static void what_other_tools_look_for(void **state)
{
    const struct pl_config config = small_config(PL_ARCH_QWEN2, true);
    struct pl_test_model model;
    struct pl_st st;
    const char *dir = fresh("tools");
    json_t *root, *want;

    (void)state;
    pl_test_model_create(&model, &config, 1);
    must(pl_model_write(dir, model.weights, NULL, PL_SHARD_DEFAULT, &err));
    root = read_json(pl_scratch_in(dir, "config.json"));
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(root, "architectures"), 0)),
        "Qwen2ForCausalLM");
    assert_text(root, "model_type", "qwen2");
    assert_text(root, "torch_dtype", "bfloat16");
    assert_text(root, "hidden_act", "silu");
    assert_true(json_is_true(json_object_get(root, "tie_word_embeddings")));
    assert_int_equal(json_integer_value(json_object_get(root, "num_key_value_heads")), 2);
    assert_true(json_real_value(json_object_get(root, "rms_norm_eps")) == 1e-5);
    json_decref(root);
    root = read_json(pl_scratch_in(dir, "generation_config.json"));
    want = json_pack("{s:i, s:[i, i]}", "bos_token_id", 1, "eos_token_id", 5, 6);
    assert_true(json_equal(root, want));
    json_decref(want);
    json_decref(root);
    must(pl_st_open(pl_scratch_in(dir, "model.safetensors"), &st, &err));
    assert_text(st.metadata, "format", "pt");
    assert_null(pl_st_find(&st, "lm_head.weight"));
    assert_int_equal(st.count, model.shape->count);
    for (size_t i = 0; i < st.count; i++)
        assert_int_equal(st.entries[i].dtype, PL_DTYPE_BF16);
    pl_st_close(&st);
    pl_test_model_destroy(&model);
}

/* Settings for sampling go along; the ids are those of the model. */
static void generation_settings_go_along(void **state)
{
    const struct pl_config config = small_config(PL_ARCH_QWEN2, true);
    struct pl_test_model model;
    const char *from = fresh("from"), *dir = fresh("gen");
    json_t *root, *want;

    (void)state;
    pl_test_model_create(&model, &config, 1);
    pl_scratch_text(pl_scratch_in(from, "generation_config.json"),
                    "{\"temperature\": 0.7, \"top_k\": 20, \"eos_token_id\": 9,"
                    " \"pad_token_id\": 9}");
    must(pl_model_write(dir, model.weights, from, PL_SHARD_DEFAULT, &err));
    root = read_json(pl_scratch_in(dir, "generation_config.json"));
    want = json_pack("{s:f, s:i, s:[i, i], s:i}", "temperature", 0.7, "top_k", 20, "eos_token_id",
                     5, 6, "bos_token_id", 1);
    assert_true(json_equal(root, want));
    json_decref(want);
    json_decref(root);
    pl_scratch_text(pl_scratch_in(from, "generation_config.json"), "[]");
    assert_int_equal(pl_model_write(dir, model.weights, from, PL_SHARD_DEFAULT, &err), PL_EFORMAT);
    pl_assert_says(&err, "$/from/generation_config.json: expected an object");
    pl_test_model_destroy(&model);
}

static void tokenizer_files_go_along(void **state)
{
    static const char *const names[] = {
        "tokenizer.json",          "tokenizer_config.json", "vocab.json",          "merges.txt",
        "special_tokens_map.json", "chat_template.jinja",   "prompt_template.txt",
    };
    enum { NAMES = sizeof names / sizeof names[0] };
    const struct pl_config config = small_config(PL_ARCH_QWEN2, true);
    struct pl_test_model model;
    const char *from = fresh("tok"), *dir = fresh("with");

    (void)state;
    pl_test_model_create(&model, &config, 1);
    pl_scratch_text(pl_scratch_in(from, "other.txt"), "x");
    for (size_t i = 0; i < NAMES; i += 2) /* only some are there */
        pl_scratch_text(pl_scratch_in(from, names[i]), names[i]);
    must(pl_model_write(dir, model.weights, from, PL_SHARD_DEFAULT, &err));
    for (size_t i = 0; i < NAMES; i++) {
        char *text;
        size_t len;

        assert_int_equal(pl_path_exists(pl_scratch_in(dir, names[i])), i % 2 == 0);
        if (i % 2)
            continue;
        text = pl_scratch_read(pl_scratch_in(dir, names[i]), &len);
        assert_string_equal(text, names[i]);
        free(text);
    }
    assert_false(pl_path_exists(pl_scratch_in(dir, "other.txt")));
    pl_test_model_destroy(&model);
}

/* Over an earlier model in the folder: none of its files may be taken for one of this one. */
static void an_earlier_model_does_not_show_through(void **state)
{
    const struct pl_config config = small_config(PL_ARCH_QWEN2, false);
    struct pl_test_model first, second;
    const char *dir = fresh("over");

    (void)state;
    pl_test_model_create(&first, &config, 1);
    pl_test_model_create(&second, &config, 2);
    must(pl_model_write(dir, first.weights, NULL, PL_SHARD_DEFAULT, &err));
    must(pl_model_write(dir, second.weights, NULL, 3000, &err));
    assert_reads_back(dir, &second);
    must(pl_model_write(dir, first.weights, NULL, PL_SHARD_DEFAULT, &err));
    assert_false(pl_path_exists(pl_scratch_in(dir, "model.safetensors.index.json")));
    assert_reads_back(dir, &first);
    pl_test_model_destroy(&second);
    pl_test_model_destroy(&first);
}

static void saved_whole_or_not_at_all(void **state)
{
    const struct pl_config config = small_config(PL_ARCH_LLAMA, false);
    struct pl_test_model first, second;
    const char *dir = pl_scratch("saved"), *from = fresh("broken");

    (void)state;
    pl_test_model_create(&first, &config, 1);
    pl_test_model_create(&second, &config, 2);
    pl_scratch_text(pl_scratch_in(from, "generation_config.json"), "{");
    assert_int_equal(pl_model_save(dir, false, first.weights, from, PL_SHARD_DEFAULT, &err),
                     PL_EFORMAT);
    assert_false(pl_path_exists(dir));
    must(pl_model_save(dir, false, first.weights, NULL, PL_SHARD_DEFAULT, &err));
    assert_reads_back(dir, &first);
    assert_int_equal(pl_model_save(dir, false, second.weights, NULL, PL_SHARD_DEFAULT, &err),
                     PL_EINVAL);
    pl_assert_says(&err, "'$/saved' is there already");
    assert_int_equal(pl_model_save(dir, true, second.weights, from, PL_SHARD_DEFAULT, &err),
                     PL_EFORMAT);
    assert_reads_back(dir, &first); /* as it was */
    must(pl_model_save(dir, true, second.weights, NULL, PL_SHARD_DEFAULT, &err));
    assert_reads_back(dir, &second);
    assert_false(pl_path_exists(pl_scratch("saved.tmp")));
    assert_int_equal(
        pl_model_write(pl_scratch("nowhere"), first.weights, NULL, PL_SHARD_DEFAULT, &err),
        PL_ENOENT);
    pl_assert_says(&err, "open '$/nowhere/model.safetensors.tmp' for writing: No such file or "
                         "directory");
    pl_test_model_destroy(&second);
    pl_test_model_destroy(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_variant_reads_back),
        cmocka_unit_test(shards_read_back),
        cmocka_unit_test(large_tensors_read_back),
        cmocka_unit_test(what_other_tools_look_for),
        cmocka_unit_test(generation_settings_go_along),
        cmocka_unit_test(tokenizer_files_go_along),
        cmocka_unit_test(an_earlier_model_does_not_show_through),
        cmocka_unit_test(saved_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
