/* State beside a model: back to the same bits, and nothing that is not exactly it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/model/safetensors.h"
#include "learner/state.h"
#include "tests/close.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct pl_config config = {
    .arch = PL_ARCH_QWEN2,
    .hidden = 40, /* no multiple of a panel */
    .layers = 2,
    .heads = 4,
    .kv_heads = 2,
    .head_dim = 10,
    .ffn = 50,
    .vocab = 70,
    .positions_max = 64,
    .rope_theta = 1e4,
    .rms_eps = 1e-6f,
    .qkv_bias = true,
    .init_range = 0.02,
    .bos = -1,
    .pad = -1,
};

static char folder[64], optimizer[128], trainer[128];
static struct pl_shape *shape;
static struct pl_weights *weights;
static float *master, *m, *v;
static float *good[3]; /* what they are when all is well */
static json_t *agree;

/* Values of the tensors alone: padding between them stays zero. */
static void fill(float *flat, uint32_t seed, float least)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];

        pl_test_fill(flat + t->offset, pl_tensor_size(t), seed + (uint32_t)i);
        for (size_t j = 0; j < pl_tensor_size(t); j++)
            flat[t->offset + j] = fmaxf(flat[t->offset + j], least);
    }
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/plait-state-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(optimizer, sizeof optimizer, "%s/optimizer.safetensors", folder);
    snprintf(trainer, sizeof trainer, "%s/trainer_state.json", folder);
    if (pl_shape_create(&config, &shape, NULL) < 0 || pl_weights_create(shape, &weights, NULL) < 0)
        return -1;
    for (uint32_t i = 0; i < 3; i++) {
        good[i] = calloc(shape->floats, sizeof(float));
        if (!good[i])
            return -1;
        fill(good[i], 100 * i, i < 2 ? -1.0f : 0.0f);
    }
    master = calloc(shape->floats, sizeof *master);
    m = calloc(shape->floats, sizeof *m);
    v = calloc(shape->floats, sizeof *v);
    agree = json_pack("{s:f, s:i, s:s}", "lr", 0.1, "seed", 7, "data", "10 rows");
    return master && m && v && agree ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(agree);
    for (size_t i = 0; i < 3; i++)
        free(good[i]);
    free(master);
    free(m);
    free(v);
    pl_weights_destroy(weights);
    pl_shape_destroy(shape);
    return pl_dir_remove(folder, NULL);
}

static const struct pl_train_state written = {
    .step = 42,
    .skipped = 2,
    .skipped_in_a_row = 1,
    .epoch = 3,
    .index = 5,
    .tokens = 123456789012,
    .eval_best = 0.1 + 0.2,
    .eval_best_step = 40,
    .core = "Zen",
};

/* Everything as it should be, in the folder and in memory. */
static void write_good(void)
{
    const struct pl_adamw_state adamw = {.master = master, .m = m, .v = v, .step = 40};
    struct pl_error err = {0};

    memcpy(master, good[0], shape->floats * sizeof *master);
    memcpy(m, good[1], shape->floats * sizeof *m);
    memcpy(v, good[2], shape->floats * sizeof *v);
    pl_weights_set_flat(weights, master);
    unlink(optimizer);
    unlink(trainer);
    assert_int_equal(pl_state_write(folder, &written, agree, shape, &adamw, &err), PL_OK);
}

static int read_with(const json_t *now, struct pl_error *err)
{
    struct pl_adamw_state adamw = {.master = calloc(shape->floats, sizeof(float)),
                                   .m = calloc(shape->floats, sizeof(float)),
                                   .v = calloc(shape->floats, sizeof(float))};
    struct pl_train_state state;
    int rc;

    assert_true(adamw.master && adamw.m && adamw.v);
    rc = pl_state_read(folder, now, weights, &adamw, &state, err);
    if (rc == PL_OK) {
        assert_int_equal(adamw.step, 40);
        pl_assert_same_bits(adamw.master, master, shape->floats);
        pl_assert_same_bits(adamw.m, m, shape->floats);
        pl_assert_same_bits(adamw.v, v, shape->floats);
        assert_memory_equal(&state, &written, sizeof state);
    }
    free(adamw.master);
    free(adamw.m);
    free(adamw.v);
    return rc;
}

static void assert_refused(int code, const char *sentence)
{
    struct pl_error err = {0};
    const int rc = read_with(agree, &err);

    if (rc != code || !strstr(err.text, sentence))
        print_error("%s: %s\n", pl_code_name(rc), err.text);
    assert_int_equal(rc, code);
    assert_non_null(strstr(err.text, sentence));
}

static void all_comes_back_to_the_bit(void **state)
{
    struct pl_error err = {0};

    (void)state;
    write_good();
    assert_int_equal(read_with(agree, &err), PL_OK);
}

static void other_programs_find_it_by_name(void **state)
{
    const struct pl_st_entry *e;
    struct pl_st st;

    (void)state;
    write_good();
    assert_int_equal(pl_st_open(optimizer, &st, NULL), PL_OK);
    assert_int_equal(st.count, 3 * shape->count);
    e = pl_st_find(&st, "model.layers.1.mlp.down_proj.weight.exp_avg");
    assert_non_null(e);
    assert_int_equal(e->dtype, PL_DTYPE_F32);
    assert_int_equal(e->rank, 2);
    assert_int_equal(e->dims[0], 40);
    assert_int_equal(e->dims[1], 50);
    e = pl_st_find(&st, "model.norm.weight.exp_avg_sq");
    assert_non_null(e);
    assert_int_equal(e->rank, 1);
    assert_memory_equal(e->data, v + pl_shape_named(shape, "model.norm.weight")->offset,
                        40 * sizeof(float));
    pl_st_close(&st);
}

static void no_evaluation_is_not_a_number(void **state)
{
    struct pl_train_state before = written, after;
    const struct pl_adamw_state adamw = {.master = master, .m = m, .v = v, .step = 40};

    (void)state;
    write_good();
    before.eval_best = NAN;
    assert_int_equal(pl_state_write(folder, &before, agree, shape, &adamw, NULL), PL_OK);
    assert_int_equal(pl_state_check(folder, agree, &after, NULL), PL_OK);
    assert_true(isnan(after.eval_best));
}

static void what_must_agree_is_compared(void **state)
{
    struct pl_error err = {0};
    json_t *now;

    (void)state;
    write_good();
    now = json_pack("{s:f, s:i, s:s}", "lr", nextafter(0.1, 1.0), "seed", 7, "data", "10 rows");
    assert_int_equal(read_with(now, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "lr was 0.10000000000000001 and is "
                                     "0.10000000000000002 now"));
    json_object_set_new(now, "lr", json_real(0.2));
    assert_int_equal(read_with(now, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "lr was 0.1 and is 0.2 now"));
    json_decref(now);
    now = json_pack("{s:f, s:i}", "lr", 0.1, "seed", 7);
    assert_int_equal(read_with(now, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "data was \"10 rows\" and is not known"));
    json_object_set_new(now, "data", json_string("10 rows"));
    assert_int_equal(read_with(now, &err), PL_OK);
    json_object_set_new(now, "beta1", json_real(0.9));
    assert_int_equal(read_with(now, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "beta1 was not known"));
    json_decref(now);
}

/* Change `key` of trainer_state.json. */
static void edit(const char *key, json_t *value)
{
    json_t *root = NULL;

    write_good();
    assert_int_equal(pl_json_load(trainer, 1 << 20, &root, NULL), PL_OK);
    if (value)
        json_object_set_new(root, key, value);
    else
        json_object_del(root, key);
    assert_int_equal(pl_json_save(trainer, root, 0, NULL), PL_OK);
    json_decref(root);
}

static void a_trainer_state_that_cannot_be_is_refused(void **state)
{
    (void)state;
    edit("format", json_string("something"));
    assert_refused(PL_EFORMAT, "its format is 'something'");
    edit("version", json_integer(2));
    assert_refused(PL_EFORMAT, "its version is 2; this plait reads 1");
    edit("index", NULL);
    assert_refused(PL_EFORMAT, "key 'index' is missing");
    edit("epoch", json_integer(-1));
    assert_refused(PL_EFORMAT, "'epoch' is -1");
    edit("skipped", json_integer(43));
    assert_refused(PL_EFORMAT, "42 steps, 43 of them skipped");
    edit("skipped_in_a_row", json_integer(3));
    assert_refused(PL_EFORMAT, "42 steps, 2 of them skipped");
    edit("updates", json_integer(41));
    assert_refused(PL_EFORMAT, "cannot be 41 updates");
    edit("best_val_loss", json_string("low"));
    assert_refused(PL_EFORMAT, "'best_val_loss' is a string");
    edit("must_agree", json_array());
    assert_refused(PL_EFORMAT, "'must_agree' is not an object");
    write_good();
    unlink(trainer);
    assert_refused(PL_ENOENT, trainer);
}

static void files_of_two_times_do_not_mix(void **state)
{
    struct pl_train_state later = written;
    const struct pl_adamw_state adamw = {.master = master, .m = m, .v = v, .step = 41};
    char *kept, *aside = pl_strf("%s/aside", folder);
    const uint16_t other = 0x3F80;
    size_t len;

    (void)state;
    write_good();
    assert_int_equal(rename(optimizer, aside), 0);
    later.step++;
    assert_int_equal(pl_state_write(folder, &later, agree, shape, &adamw, NULL), PL_OK);
    assert_int_equal(rename(aside, optimizer), 0);
    assert_refused(PL_EFORMAT, "was written after 40 updates");

    write_good(); /* the weights of another step */
    pl_weights_set(weights, &shape->tensors[shape->count - 1], 69, 1, (uint16_t[40]){other, other});
    assert_refused(PL_EFORMAT, "master values of 'lm_head.weight' are not those of the model");

    write_good(); /* and cut short anywhere */
    assert_int_equal(pl_file_read(optimizer, 1 << 24, &kept, &len, NULL), PL_OK);
    for (size_t cut = 0; cut < len; cut += 1 + len / 50) {
        assert_int_equal(truncate(optimizer, (off_t)(len - 1 - cut)), 0);
        assert_refused(PL_EFORMAT, optimizer);
    }
    free(kept);
    unlink(optimizer);
    assert_refused(PL_ENOENT, optimizer);
    free(aside);
}

/* Write optimizer.safetensors anew with one tensor changed, left out or added. */
static void rewrite(const char *name, const char *new_name, enum pl_dtype dtype, float value,
                    size_t at)
{
    json_t *metadata = json_pack("{s:s}", "step", "40");
    struct pl_st_writer writer;
    struct pl_st st;
    size_t n = 0;

    write_good();
    assert_int_equal(pl_st_open(optimizer, &st, NULL), PL_OK);
    struct pl_st_entry *entries = calloc(st.count + 1, sizeof *entries);
    assert_non_null(entries);
    for (size_t i = 0; i < st.count; i++) {
        const bool it = strcmp(st.entries[i].name, name) == 0;

        if (it && !new_name)
            continue;
        entries[n] = st.entries[i];
        if (it) {
            entries[n].name = new_name;
            entries[n].dtype = dtype;
        }
        n++;
    }
    assert_int_equal(pl_st_writer_open(optimizer, entries, n, metadata, &writer, NULL), PL_OK);
    for (size_t i = 0; i < n; i++) {
        char *copy = malloc(entries[i].bytes);

        assert_non_null(copy);
        memcpy(copy, entries[i].data, entries[i].bytes);
        if (new_name && strcmp(entries[i].name, new_name) == 0)
            memcpy(copy + at * sizeof value, &value, sizeof value);
        assert_int_equal(pl_st_writer_write(&writer, copy, entries[i].bytes, NULL), PL_OK);
        free(copy);
    }
    assert_int_equal(pl_st_writer_commit(&writer, NULL), PL_OK);
    pl_st_close(&st);
    free(entries);
    json_decref(metadata);
}

static void tensors_are_checked(void **state)
{
    static const char bias[] = "model.layers.0.self_attn.k_proj.bias.exp_avg_sq";
    static const char norm[] = "model.norm.weight.exp_avg";

    (void)state;
    rewrite(bias, bias, PL_DTYPE_F32, v[pl_shape_find(shape, PL_ROLE_K_BIAS, 0)->offset], 0);
    assert_refused(PL_OK, ""); /* rewriting by itself changes nothing */
    rewrite(bias, NULL, PL_DTYPE_F32, 0, 0);
    assert_refused(PL_EFORMAT, "exp_avg_sq' is missing");
    rewrite(bias, "something.master", PL_DTYPE_F32, 0, 0);
    assert_refused(PL_EFORMAT, "k_proj.bias.exp_avg_sq' is missing");
    rewrite(bias, bias, PL_DTYPE_I32, 0, 0);
    assert_refused(PL_EFORMAT, "is not F32 of 20 by 1");
    rewrite(bias, bias, PL_DTYPE_F32, NAN, 19);
    assert_refused(PL_EFORMAT, "negative or not finite");
    rewrite(bias, bias, PL_DTYPE_F32, -1e-30f, 7);
    assert_refused(PL_EFORMAT, "negative or not finite");
    rewrite(norm, norm, PL_DTYPE_F32, INFINITY, 39);
    assert_refused(PL_EFORMAT, "'model.norm.weight.exp_avg' holds a value that is not finite");
    rewrite(norm, norm, PL_DTYPE_F32, m[pl_shape_named(shape, "model.norm.weight")->offset], 0);
    assert_refused(PL_OK, "");
}

static void another_models_state_is_refused(void **state)
{
    struct pl_config more = config;
    struct pl_shape *large;
    struct pl_train_state s = written;
    float *zeros;

    (void)state;
    write_good();
    more.layers = 3;
    assert_int_equal(pl_shape_create(&more, &large, NULL), PL_OK);
    zeros = calloc(large->floats, sizeof *zeros);
    assert_non_null(zeros);
    const struct pl_adamw_state adamw = {.master = zeros, .m = zeros, .v = zeros, .step = 40};
    assert_int_equal(pl_state_write(folder, &s, agree, large, &adamw, NULL), PL_OK);
    assert_refused(PL_EFORMAT, "model.layers.2.");
    assert_refused(PL_EFORMAT, "is none of this model's");
    free(zeros);
    pl_shape_destroy(large);
}

static void what_is_not_finite_is_not_written(void **state)
{
    const struct pl_adamw_state adamw = {.master = master, .m = m, .v = v, .step = 40};
    struct pl_error err = {0};

    (void)state;
    write_good();
    unlink(optimizer);
    unlink(trainer);
    v[shape->tensors[3].offset] = INFINITY;
    assert_int_equal(pl_state_write(folder, &written, agree, shape, &adamw, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, shape->tensors[3].name));
    assert_false(pl_path_exists(optimizer));
    assert_false(pl_path_exists(trainer));
}

static void a_folder_that_cannot_be_written_is_named(void **state)
{
    const struct pl_adamw_state adamw = {.master = master, .m = m, .v = v, .step = 40};
    struct pl_error err = {0};

    (void)state;
    write_good();
    assert_int_equal(pl_state_write("/nowhere/at/all", &written, agree, shape, &adamw, &err),
                     PL_ENOENT);
    assert_non_null(strstr(err.text, "/nowhere/at/all/optimizer.safetensors"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_comes_back_to_the_bit),
        cmocka_unit_test(other_programs_find_it_by_name),
        cmocka_unit_test(no_evaluation_is_not_a_number),
        cmocka_unit_test(what_must_agree_is_compared),
        cmocka_unit_test(a_trainer_state_that_cannot_be_is_refused),
        cmocka_unit_test(files_of_two_times_do_not_mix),
        cmocka_unit_test(tensors_are_checked),
        cmocka_unit_test(another_models_state_is_refused),
        cmocka_unit_test(what_is_not_finite_is_not_written),
        cmocka_unit_test(a_folder_that_cannot_be_written_is_named),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
