/*
 * A model folder whose files were cut: at every byte of every file that counts, an error and no
 * crash, and never a model.
 *
 * One cut is none: behind the closing brace of a JSON document there is only its last line break,
 * and without that it is the same document.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/mini_tokenizer.h"
#include "tests/model.h"
#include "tests/scratch.h"

#include "common/base/file.h"
#include "common/model/checkpoint.h"
#include "common/model/import.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct pl_error err;

static bool loads_model(const char *dir)
{
    struct pl_shape *shape = NULL;
    struct pl_weights *weights = NULL;
    const int rc = pl_model_load(dir, NULL, &shape, &weights, &err);

    assert_int_equal(rc == PL_OK, shape && weights);
    pl_weights_destroy(weights);
    pl_shape_destroy(shape);
    return rc == PL_OK;
}

static bool loads_tokenizer(const char *dir)
{
    struct pl_tokenizer *tokenizer = NULL;
    const int rc = pl_tokenizer_load(dir, &tokenizer, &err);

    assert_int_equal(rc == PL_OK, tokenizer != NULL);
    pl_tokenizer_destroy(tokenizer);
    return rc == PL_OK;
}

/* Cut DIR/name from its end to nothing, byte by byte; then put it back. */
static void cut(const char *dir, const char *name, bool json, bool (*loads)(const char *dir))
{
    char path[600];
    size_t len = 0, whole;
    char *bytes;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    bytes = pl_scratch_read(path, &len);
    whole = len;
    while (json && bytes[whole - 1] == '\n')
        whole--;
    assert_true(whole > 0 && whole + 1 >= len);
    assert_true(loads(dir));
    for (size_t left = len; left-- > 0;) {
        assert_int_equal(truncate(path, (off_t)left), 0);
        err = (struct pl_error){0};
        if (loads(dir) != (left >= whole))
            fail_msg("%s at %zu of %zu bytes: %s", name, left, len, err.text);
        if (left >= whole)
            continue;
        if (err.code != PL_EFORMAT || !strstr(err.text, name))
            fail_msg("%s at %zu of %zu bytes: code %d: %s", name, left, len, err.code, err.text);
    }
    pl_scratch_write(path, bytes, len);
    assert_true(loads(dir));
    free(bytes);
}

/* Made as small as it can be: 1 layer, 13 tensors, 3 shards. */
static const char *folder(const char *name, uint64_t shard_bytes)
{
    const struct pl_config config = {
        .arch = PL_ARCH_QWEN2,
        .hidden = 4,
        .layers = 1,
        .heads = 1,
        .kv_heads = 1,
        .head_dim = 2,
        .ffn = 3,
        .vocab = 5,
        .positions_max = 9,
        .rope_theta = 1e4,
        .rms_eps = 1e-6f,
        .tied = true,
        .qkv_bias = true,
        .init_range = 0.02,
        .bos = 1,
        .pad = 0,
        .eos = {2, 3},
        .eos_count = 2,
    };
    const char *dir = pl_scratch(name);
    struct pl_test_model model;

    pl_test_model_create(&model, &config, 1);
    if (pl_model_save(dir, false, model.weights, NULL, shard_bytes, &err) < 0)
        fail_msg("%s", err.text);
    pl_test_model_destroy(&model);
    return dir;
}

static void config_files(void **state)
{
    const char *dir = folder("configs", PL_SHARD_DEFAULT);

    (void)state;
    cut(dir, "config.json", true, loads_model);
    cut(dir, "generation_config.json", true, loads_model);
}

static void a_single_file(void **state)
{
    (void)state;
    cut(folder("single", PL_SHARD_DEFAULT), "model.safetensors", false, loads_model);
}

static void shards_and_their_index(void **state)
{
    const char *dir = folder("shards", 100);

    (void)state;
    assert_true(pl_path_exists(pl_scratch("shards/model-00003-of-00003.safetensors")));
    cut(dir, "model.safetensors.index.json", true, loads_model);
    cut(dir, "model-00001-of-00003.safetensors", false, loads_model);
    cut(dir, "model-00003-of-00003.safetensors", false, loads_model);
}

static void a_tokenizer(void **state)
{
    static const char *const merges[] = {"t h", "th e", NULL};
    const struct pl_test_mini mini = {.merges = merges};
    const char *dir = pl_scratch("tokenizer");

    (void)state;
    assert_int_equal(pl_dir_make(dir, &err), PL_OK);
    pl_test_mini_save(&mini, dir);
    cut(dir, "tokenizer.json", true, loads_tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_files),
        cmocka_unit_test(a_single_file),
        cmocka_unit_test(shards_and_their_index),
        cmocka_unit_test(a_tokenizer),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
