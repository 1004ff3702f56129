/*
 * Model folders read: values of every type to the nearest bf16, shards by their index, and every
 * folder that is not as it should be refused with its sentence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/model.h"
#include "tests/scratch.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/model/import.h"
#include "common/model/safetensors.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS_MAX = 64 };

static struct pl_error err;

/* --- a folder, tensor by tensor --- */

struct part {
    char name[96];
    enum pl_dtype dtype;
    size_t rank;
    uint64_t dims[3];
    void *data;
    size_t bytes;
};

struct parts {
    struct part list[PARTS_MAX];
    size_t count;
};

static struct pl_config small_config(bool tied)
{
    return (struct pl_config){
        .arch = PL_ARCH_QWEN2,
        .hidden = 8,
        .layers = 2,
        .heads = 2,
        .kv_heads = 1,
        .head_dim = 4,
        .ffn = 37,
        .vocab = 50,
        .positions_max = 99,
        .rope_theta = 1e4,
        .rope_factor = 1.0,
        .rope_low_freq = 1.0,
        .rope_high_freq = 1.0,
        .rms_eps = 1e-6f,
        .tied = tied,
        .qkv_bias = true,
        .init_range = 0.02,
        .bos = -1,
        .pad = -1,
    };
}

static struct part *part_add(struct parts *parts, const char *name, enum pl_dtype dtype,
                             size_t rows, size_t cols)
{
    struct part *part = &parts->list[parts->count++];

    assert_true(parts->count <= PARTS_MAX);
    snprintf(part->name, sizeof part->name, "%s", name);
    part->dtype = dtype;
    part->rank = cols ? 2 : 1;
    part->dims[0] = rows;
    part->dims[1] = cols;
    part->bytes = rows * (cols ? cols : 1) * pl_dtype_bytes(dtype);
    part->data = calloc(1, part->bytes + 1);
    assert_non_null(part->data);
    return part;
}

static struct part *part_of(struct parts *parts, const char *name)
{
    for (size_t i = 0; i < parts->count; i++)
        if (strcmp(parts->list[i].name, name) == 0)
            return &parts->list[i];
    fail_msg("no part '%s'", name);
    return NULL;
}

static void part_remove(struct parts *parts, const char *name)
{
    struct part *part = part_of(parts, name);

    free(part->data);
    *part = parts->list[--parts->count];
}

/* The model's tensors as bf16, or as f32 values (which then are bf16 values too). */
static void parts_create(struct parts *parts, const struct pl_test_model *model,
                         enum pl_dtype dtype)
{
    parts->count = 0;
    for (size_t i = 0; i < model->shape->count; i++) {
        const struct pl_tensor *t = &model->shape->tensors[i];
        struct part *part = part_add(parts, t->name, dtype, t->rows, t->rank == 2 ? t->cols : 0);

        if (dtype == PL_DTYPE_F32)
            memcpy(part->data, model->flat + t->offset, part->bytes);
        else
            pl_weights_get(model->weights, t, 0, t->rows, part->data);
    }
}

static void parts_release(struct parts *parts)
{
    while (parts->count > 0)
        free(parts->list[--parts->count].data);
}

/* Parts [first, end) as one file. */
static void parts_save(const struct parts *parts, size_t first, size_t end, const char *path)
{
    struct pl_st_entry entries[PARTS_MAX] = {{0}};
    struct pl_st_writer writer;

    for (size_t i = first; i < end; i++) {
        const struct part *p = &parts->list[i];

        entries[i - first] = (struct pl_st_entry){.name = p->name,
                                                  .dtype = p->dtype,
                                                  .rank = p->rank,
                                                  .dims = {p->dims[0], p->dims[1], p->dims[2]}};
    }
    if (pl_st_writer_open(path, entries, end - first, NULL, &writer, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = first; i < end; i++)
        assert_int_equal(
            pl_st_writer_write(&writer, parts->list[i].data, parts->list[i].bytes, &err), PL_OK);
    assert_int_equal(pl_st_writer_commit(&writer, &err), PL_OK);
}

/* An empty folder with the model's config.json. */
static const char *folder(const struct pl_config *config)
{
    const char *dir = pl_scratch("model");
    json_t *root = pl_config_json(config);

    if (pl_path_exists(dir))
        assert_int_equal(pl_dir_remove(dir, &err), PL_OK);
    assert_int_equal(pl_dir_make(dir, &err), PL_OK);
    assert_int_equal(pl_json_save(pl_scratch("model/config.json"), root, 0, &err), PL_OK);
    json_decref(root);
    return dir;
}

static void save_single(const struct parts *parts, const struct pl_config *config)
{
    folder(config);
    parts_save(parts, 0, parts->count, pl_scratch("model/model.safetensors"));
}

/* --- loading --- */

static int load(struct pl_shape **ret_shape, struct pl_weights **ret_weights)
{
    err.text[0] = '\0';
    return pl_model_load(pl_scratch("model"), NULL, ret_shape, ret_weights, &err);
}

static void assert_refused(int code, const char *sentence)
{
    struct pl_shape *shape = NULL;
    struct pl_weights *weights = NULL;
    const int rc = load(&shape, &weights);

    if (rc != code)
        fail_msg("code %d, not %d: %s", rc, code, err.text);
    pl_assert_says(&err, sentence);
    assert_true(!shape && !weights);
}

static void assert_loads_as(const struct pl_weights *want)
{
    struct pl_shape *shape = NULL;
    struct pl_weights *weights = NULL;

    if (load(&shape, &weights) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(pl_weights_bytes(shape), pl_weights_bytes(want->shape));
    assert_memory_equal(weights->memory, want->memory, pl_weights_bytes(shape));
    pl_weights_destroy(weights);
    pl_shape_destroy(shape);
}

/* What the tests below change and put back: a tied and an untied model, with their parts. */
struct given {
    struct pl_config config;
    struct pl_test_model model;
    struct parts parts;
};

static void given_create(struct given *g, bool tied, enum pl_dtype dtype)
{
    g->config = small_config(tied);
    pl_test_model_create(&g->model, &g->config, 1);
    parts_create(&g->parts, &g->model, dtype);
}

static void given_destroy(struct given *g)
{
    parts_release(&g->parts);
    pl_test_model_destroy(&g->model);
}

/* --- values --- */

static void bf16_comes_as_it_is(void **state)
{
    const int threads = omp_get_max_threads();
    struct given g;

    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        given_create(&g, tied, PL_DTYPE_BF16);
        save_single(&g.parts, &g.config);
        for (int n = 1; n <= 5; n += 2) {
            omp_set_num_threads(n);
            assert_loads_as(g.model.weights);
        }
        omp_set_num_threads(threads);
        given_destroy(&g);
    }
}

/* Data may begin at an odd byte: a header one space longer, and its length. */
static void data_need_not_be_aligned(void **state)
{
    const char *path;
    uint64_t header = 0;
    struct given g;
    size_t len = 0;
    char *bytes;

    (void)state;
    given_create(&g, false, PL_DTYPE_F32);
    save_single(&g.parts, &g.config);
    path = pl_scratch("model/model.safetensors");
    bytes = pl_scratch_read(path, &len);
    bytes = realloc(bytes, len + 1);
    assert_non_null(bytes);
    memcpy(&header, bytes, 8);
    memmove(bytes + 8 + header + 1, bytes + 8 + header, len - 8 - header);
    bytes[8 + header++] = ' ';
    memcpy(bytes, &header, 8);
    pl_scratch_write(path, bytes, len + 1);
    free(bytes);
    assert_loads_as(g.model.weights);
    given_destroy(&g);
}

static void f32_is_rounded(void **state)
{
    struct given g;

    (void)state;
    given_create(&g, false, PL_DTYPE_F32);
    for (size_t i = 0; i < g.parts.count; i++) {
        const struct part *part = &g.parts.list[i];
        float *x = part->data;

        for (size_t k = 0; k < part->bytes / sizeof *x; k++)
            x[k] *= 1.0f + 0.01f * (float)(k % 7); /* needs more bits than a bf16 has */
        memcpy(g.model.flat + g.model.shape->tensors[i].offset, x, part->bytes);
    }
    pl_weights_set_flat(g.model.weights, g.model.flat);
    save_single(&g.parts, &g.config);
    assert_loads_as(g.model.weights);
    given_destroy(&g);
}

/* The value of an IEEE binary16, from its definition. */
static double half_value(unsigned half)
{
    const int exponent = (int)(half >> 10 & 31);
    const double fraction = (double)(half & 1023) / 1024.0;
    const double x = exponent == 0 ? ldexp(fraction, -14) : ldexp(1.0 + fraction, exponent - 15);

    return half & 0x8000 ? -x : x;
}

/* All 63488 finite values, as an embedding of 992 x 64. */
static void every_f16_is_rounded(void **state)
{
    struct pl_shape *shape = NULL;
    struct pl_weights *weights = NULL;
    struct given g;
    uint16_t *halves, got[64];
    size_t n = 0;

    (void)state;
    g.config = small_config(true);
    g.config.hidden = 64;
    g.config.vocab = 992;
    pl_test_model_create(&g.model, &g.config, 1);
    parts_create(&g.parts, &g.model, PL_DTYPE_BF16);
    halves = part_of(&g.parts, "model.embed_tokens.weight")->data;
    part_of(&g.parts, "model.embed_tokens.weight")->dtype = PL_DTYPE_F16;
    for (unsigned half = 0; half < 0x10000; half++)
        if ((half & 0x7C00) != 0x7C00)
            halves[n++] = (uint16_t)half;
    assert_int_equal(n, 992 * 64);
    save_single(&g.parts, &g.config);
    if (load(&shape, &weights) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++) {
        if (i % 64 == 0)
            pl_weights_get(weights, &shape->tensors[0], i / 64, 1, got);
        if (got[i % 64] != pl_bf16_round((float)half_value(halves[i])))
            fail_msg("half %04x became %04x", halves[i], got[i % 64]);
    }
    pl_weights_destroy(weights);
    pl_shape_destroy(shape);
    given_destroy(&g);
}

static void values_that_are_no_numbers_are_refused(void **state)
{
    static const float wrong[] = {NAN, INFINITY, -INFINITY, 0x1.ffp127f};
    const int threads = omp_get_max_threads();
    struct given g;
    float *x;

    (void)state;
    given_create(&g, true, PL_DTYPE_F32);
    for (size_t i = 0; i < 4; i++) {
        x = part_of(&g.parts, "model.layers.1.self_attn.k_proj.weight")->data;
        x[5] = wrong[i];
        x[31] = wrong[3 - i]; /* the first is named */
        save_single(&g.parts, &g.config);
        assert_refused(PL_EFORMAT,
                       "$/model/model.safetensors: tensor "
                       "'model.layers.1.self_attn.k_proj.weight': value 5 is infinite or not a "
                       "number, as bf16");
        x[5] = x[31] = 0x1.fep127f; /* the largest that is one */
    }
    x = part_of(&g.parts, "model.embed_tokens.weight")->data;
    x[399] = NAN; /* in the last piece */
    save_single(&g.parts, &g.config);
    assert_refused(PL_EFORMAT, "$/model/model.safetensors: tensor 'model.embed_tokens.weight': "
                               "value 399 is infinite or not a number, as bf16");
    x[3] = NAN; /* and in the first: that is named, whoever reads which */
    save_single(&g.parts, &g.config);
    for (int n = 1; n <= 3; n++) {
        omp_set_num_threads(n);
        assert_refused(PL_EFORMAT, "$/model/model.safetensors: tensor "
                                   "'model.embed_tokens.weight': value 3 is infinite or not a "
                                   "number, as bf16");
    }
    omp_set_num_threads(threads);
    x[3] = x[399] = 0.0f;
    x = part_of(&g.parts, "model.norm.weight")->data;
    x[0] = INFINITY;
    save_single(&g.parts, &g.config);
    assert_refused(PL_EFORMAT, "$/model/model.safetensors: tensor 'model.norm.weight': value 0 is "
                               "infinite or not a number, as bf16");
    given_destroy(&g);
    given_create(&g, true, PL_DTYPE_BF16); /* the same bits as f16: 0x7C00 is infinite */
    part_of(&g.parts, "model.norm.weight")->dtype = PL_DTYPE_F16;
    ((uint16_t *)part_of(&g.parts, "model.norm.weight")->data)[3] = 0x7C00;
    save_single(&g.parts, &g.config);
    assert_refused(PL_EFORMAT, "$/model/model.safetensors: tensor 'model.norm.weight': value 3 is "
                               "infinite or not a number, as bf16");
    given_destroy(&g);
}

/* --- what is in the files --- */

static void missing_files(void **state)
{
    const struct pl_config config = small_config(true);

    (void)state;
    folder(&config);
    assert_refused(PL_ENOENT, "'$/model' holds neither model.safetensors nor "
                              "model.safetensors.index.json");
    assert_int_equal(remove(pl_scratch("model/config.json")), 0);
    assert_refused(PL_ENOENT, "open '$/model/config.json': No such file or directory");
}

static void missing_tensors(void **state)
{
    struct given g;

    (void)state;
    given_create(&g, false, PL_DTYPE_BF16);
    part_remove(&g.parts, "lm_head.weight");
    save_single(&g.parts, &g.config);
    assert_refused(PL_EFORMAT, "'$/model': tensor 'lm_head.weight' is missing, and config.json "
                               "does not say that tie_word_embeddings is true");
    part_remove(&g.parts, "model.layers.1.self_attn.v_proj.bias");
    save_single(&g.parts, &g.config);
    assert_refused(PL_EFORMAT,
                   "'$/model': tensor 'model.layers.1.self_attn.v_proj.bias' is missing");
    given_destroy(&g);
}

static void tensors_of_another_shape_or_type(void **state)
{
    struct given g;
    struct part *part;

    (void)state;
    given_create(&g, false, PL_DTYPE_BF16);
    part = part_of(&g.parts, "model.layers.0.mlp.up_proj.weight");
    part->dims[0] = 8;
    part->dims[1] = 37;
    save_single(&g.parts, &g.config);
    assert_refused(PL_EFORMAT,
                   "$/model/model.safetensors: tensor 'model.layers.0.mlp.up_proj.weight' has "
                   "shape [8, 37]; config.json makes that [37, 8]");
    part->dims[0] = 37;
    part->dims[1] = 4;
    part->bytes = 37 * 4 * 2;
    save_single(&g.parts, &g.config);
    assert_refused(PL_EFORMAT,
                   "$/model/model.safetensors: tensor 'model.layers.0.mlp.up_proj.weight' has "
                   "shape [37, 4]; config.json makes that [37, 8]");
    part->rank = 3;
    part->dims[1] = 8;
    part->dims[2] = 1;
    part->bytes = 37 * 8 * 2;
    save_single(&g.parts, &g.config);
    assert_refused(PL_EFORMAT,
                   "$/model/model.safetensors: tensor 'model.layers.0.mlp.up_proj.weight' has "
                   "shape [37, 8, 1]; config.json makes that [37, 8]");
    part->rank = 2;
    part = part_of(&g.parts, "model.norm.weight");
    part->rank = 0;
    part->bytes = 2;
    save_single(&g.parts, &g.config);
    assert_refused(PL_EFORMAT, "$/model/model.safetensors: tensor 'model.norm.weight' has shape "
                               "[]; config.json makes that [8]");
    part->rank = 1;
    part->bytes = 16;
    part->dtype = PL_DTYPE_I16;
    save_single(&g.parts, &g.config);
    assert_refused(PL_EUNSUPPORTED, "$/model/model.safetensors: tensor 'model.norm.weight' is of "
                                    "type I16; expected F32, F16 or BF16");
    given_destroy(&g);
}

static void tensors_that_are_none_of_the_models(void **state)
{
    static const char *const names[] = {
        "foo",
        "model.layers.2.input_layernorm.weight",
        "model.layers.2.self_attn.rotary_emb.inv_freq",
        "model.layers.0.self_attn.rotary_emb.inv_freq2",
        "model.layers.0.self_attn.o_proj.bias",
    };
    struct given g;

    (void)state;
    given_create(&g, false, PL_DTYPE_BF16);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char sentence[300];

        part_add(&g.parts, names[i], PL_DTYPE_F32, 2, 0);
        save_single(&g.parts, &g.config);
        snprintf(sentence, sizeof sentence,
                 "$/model/model.safetensors: tensor '%s' is none of those of the model that "
                 "config.json describes",
                 names[i]);
        assert_refused(PL_EFORMAT, sentence);
        part_remove(&g.parts, names[i]);
    }
    /* these are known, whatever they hold, and of no use */
    part_add(&g.parts, "model.layers.1.self_attn.rotary_emb.inv_freq", PL_DTYPE_F32, 2, 0);
    part_add(&g.parts, "model.rotary_emb.inv_freq", PL_DTYPE_I64, 1, 7);
    save_single(&g.parts, &g.config);
    assert_loads_as(g.model.weights);
    given_destroy(&g);
}

/* Beside tied embeddings: equal ones, as bf16, are let in. */
static void a_head_beside_tied_embeddings(void **state)
{
    struct given g;
    struct part *head;

    (void)state;
    given_create(&g, true, PL_DTYPE_BF16);
    head = part_add(&g.parts, "lm_head.weight", PL_DTYPE_F32, 50, 8);
    memcpy(head->data, g.model.flat + g.model.shape->tensors[0].offset, head->bytes);
    save_single(&g.parts, &g.config);
    assert_loads_as(g.model.weights);
    ((float *)head->data)[333] *= 1.0001f; /* the same bf16 */
    save_single(&g.parts, &g.config);
    assert_loads_as(g.model.weights);
    ((float *)head->data)[333] *= 1.02f;
    save_single(&g.parts, &g.config);
    assert_refused(PL_EFORMAT,
                   "$/model/model.safetensors: tensor 'lm_head.weight' differs from "
                   "'model.embed_tokens.weight' at value 333, but config.json says that they are "
                   "one (tie_word_embeddings)");
    head->dims[0] = 25;
    head->dims[1] = 16;
    save_single(&g.parts, &g.config);
    assert_refused(PL_EFORMAT, "$/model/model.safetensors: tensor 'lm_head.weight' has shape [25, "
                               "16]; config.json makes that [50, 8]");
    given_destroy(&g);
}

/* --- shards --- */

/* a.safetensors has the first half of the parts, b.safetensors the rest; the index says so. */
static json_t *save_shards(const struct parts *parts, const struct pl_config *config)
{
    json_t *map = json_object();
    size_t bytes = 0, half = parts->count / 2;

    folder(config);
    parts_save(parts, 0, half, pl_scratch("model/a.safetensors"));
    parts_save(parts, half, parts->count, pl_scratch("model/b.safetensors"));
    for (size_t i = 0; i < parts->count; i++) {
        json_object_set_new(map, parts->list[i].name,
                            json_string(i < half ? "a.safetensors" : "b.safetensors"));
        bytes += parts->list[i].bytes;
    }
    return json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)bytes, "weight_map",
                     map);
}

/* The index with `more` put over its weight_map and, where it is not NULL, `metadata`. */
static void save_index(const json_t *index, const char *more, const char *metadata)
{
    json_t *copy = json_deep_copy(index), *over = json_loads(more, 0, NULL);

    if (!over)
        fail_msg("the test's own JSON is wrong: %s", more);
    json_object_update(json_object_get(copy, "weight_map"), over);
    if (metadata)
        json_object_set_new(copy, "metadata", json_loads(metadata, 0, NULL));
    assert_int_equal(pl_json_save(pl_scratch("model/model.safetensors.index.json"), copy, 0, &err),
                     PL_OK);
    json_decref(over);
    json_decref(copy);
}

static void shards_are_read_by_their_index(void **state)
{
    struct given g;
    json_t *index;

    (void)state;
    given_create(&g, false, PL_DTYPE_BF16);
    index = save_shards(&g.parts, &g.config);
    save_index(index, "{}", NULL);
    assert_loads_as(g.model.weights);
    save_index(index, "{}", "{}"); /* total_size may be missing */
    assert_loads_as(g.model.weights);
    json_object_del(index, "metadata");
    save_index(index, "{}", NULL);
    assert_loads_as(g.model.weights);
    /* a single file goes first, as it does elsewhere */
    save_index(index, "{\"foo\": \"a.safetensors\"}", NULL);
    parts_save(&g.parts, 0, g.parts.count, pl_scratch("model/model.safetensors"));
    assert_loads_as(g.model.weights);
    json_decref(index);
    given_destroy(&g);
}

static void wrong_indices(void **state)
{
    static const char *const names[] = {
        "", ".", "..", ".hidden", "/etc/passwd", "../model/a", "a/b", "a.safetensors/"};
    static const char index_path[] = "model/model.safetensors.index.json";
    struct given g;
    json_t *index;

    (void)state;
    given_create(&g, false, PL_DTYPE_BF16);
    index = save_shards(&g.parts, &g.config);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char more[200];

        snprintf(more, sizeof more, "{\"model.norm.weight\": \"%s\"}", names[i]);
        save_index(index, more, NULL);
        assert_refused(PL_EFORMAT, "$/model/model.safetensors.index.json: tensor "
                                   "'model.norm.weight': expected the name of a file in the same "
                                   "folder");
    }
    save_index(index, "{\"model.norm.weight\": 1}", NULL);
    assert_refused(PL_EFORMAT, "$/model/model.safetensors.index.json: tensor 'model.norm.weight': "
                               "expected the name of a file in the same folder");
    save_index(index, "{\"foo\": \"a.safetensors\"}", NULL);
    assert_refused(PL_EFORMAT, "$/model/model.safetensors.index.json: tensor 'foo' is none of "
                               "those of the model that config.json describes");
    save_index(index, "{}", "{\"total_size\": 1}");
    assert_refused(PL_EFORMAT, "$/model/model.safetensors.index.json: total_size is 1, but its "
                               "tensors have 6064 bytes");
    save_index(index, "{}", "{\"total_size\": 1.5}");
    assert_refused(PL_EFORMAT, "$/model/model.safetensors.index.json: 'total_size' is a number; "
                               "expected an integer");
    pl_scratch_text(pl_scratch(index_path), "{\"weight_map\": []}");
    assert_refused(PL_EFORMAT, "$/model/model.safetensors.index.json: expected an object that "
                               "holds an object 'weight_map'");
    pl_scratch_text(pl_scratch(index_path), "[]");
    assert_refused(PL_EFORMAT, "$/model/model.safetensors.index.json: expected an object that "
                               "holds an object 'weight_map'");
    pl_scratch_text(pl_scratch(index_path), "{\"weight_map\": {}}");
    assert_refused(PL_EFORMAT, "'$/model': tensor 'model.embed_tokens.weight' is missing");
    pl_scratch_text(pl_scratch(index_path), "{\"weight_map\": {\"model.norm.weight\": \"a\", "
                                            "\"model.norm.weight\": \"b\"}}");
    assert_refused(PL_EFORMAT, "$/model/model.safetensors.index.json: line 1, column 61: "
                               "duplicate object key near '\"model.norm.weight\"'");
    json_decref(index);
    given_destroy(&g);
}

/* The index and the files say different things. */
static void indices_that_disagree_with_the_files(void **state)
{
    struct given g;
    json_t *index;

    (void)state;
    given_create(&g, false, PL_DTYPE_BF16);
    index = save_shards(&g.parts, &g.config);
    /* lm_head is in b; the index says a, or says nothing */
    save_index(index, "{\"lm_head.weight\": \"a.safetensors\"}", NULL);
    assert_refused(PL_EFORMAT, "$/model/b.safetensors: tensor 'lm_head.weight' is here too; "
                               "model.safetensors.index.json puts it into 'a.safetensors'");
    json_object_del(json_object_get(index, "weight_map"), "lm_head.weight");
    save_index(index, "{}", NULL);
    assert_refused(PL_EFORMAT, "$/model/b.safetensors: tensor 'lm_head.weight' is not in "
                               "model.safetensors.index.json");
    json_decref(index);
    /* a file that is listed is not there, or lacks its tensor */
    index = save_shards(&g.parts, &g.config);
    save_index(index, "{\"lm_head.weight\": \"c.safetensors\"}", NULL);
    assert_refused(PL_EFORMAT, "$/model/b.safetensors: tensor 'lm_head.weight' is here too; "
                               "model.safetensors.index.json puts it into 'c.safetensors'");
    parts_save(&g.parts, g.parts.count / 2, g.parts.count - 1, pl_scratch("model/b.safetensors"));
    assert_string_equal(g.parts.list[g.parts.count - 1].name, "lm_head.weight");
    assert_refused(PL_ENOENT, "open '$/model/c.safetensors': No such file or directory");
    save_index(index, "{}", NULL);
    assert_refused(PL_EFORMAT, "$/model/model.safetensors.index.json: tensor 'lm_head.weight' is "
                               "not in $/model/b.safetensors, where "
                               "model.safetensors.index.json puts it");
    /* one tensor in both */
    parts_save(&g.parts, 0, g.parts.count, pl_scratch("model/b.safetensors"));
    assert_refused(PL_EFORMAT,
                   "$/model/b.safetensors: tensor 'model.embed_tokens.weight' is here too; "
                   "model.safetensors.index.json puts it into 'a.safetensors'");
    json_decref(index);
    given_destroy(&g);
}

/* --- the watch --- */

struct watched {
    uint64_t done, total;
    size_t calls;
};

static void watch(void *at, uint64_t done, uint64_t total)
{
    struct watched *w = at;

    assert_true(done >= w->done && done <= total);
    assert_true(w->calls == 0 || total == w->total);
    *w = (struct watched){done, total, w->calls + 1};
}

/* Whichever thread is the last: the end is told. */
static void a_watch_sees_it_come(void **state)
{
    struct given g;

    (void)state;
    given_create(&g, false, PL_DTYPE_F32);
    save_single(&g.parts, &g.config);
    for (int i = 0; i < 30; i++) {
        struct watched w = {0};
        const struct pl_watch hook = {&w, watch};
        struct pl_shape *shape = NULL;
        struct pl_weights *weights = NULL;

        assert_int_equal(pl_model_load(pl_scratch("model"), &hook, &shape, &weights, &err), PL_OK);
        assert_true(w.calls > 0);
        assert_int_equal(w.total, g.model.shape->params * sizeof(float));
        assert_int_equal(w.done, w.total);
        pl_weights_destroy(weights);
        pl_shape_destroy(shape);
    }
    given_destroy(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf16_comes_as_it_is),
        cmocka_unit_test(data_need_not_be_aligned),
        cmocka_unit_test(f32_is_rounded),
        cmocka_unit_test(every_f16_is_rounded),
        cmocka_unit_test(values_that_are_no_numbers_are_refused),
        cmocka_unit_test(missing_files),
        cmocka_unit_test(missing_tensors),
        cmocka_unit_test(tensors_of_another_shape_or_type),
        cmocka_unit_test(tensors_that_are_none_of_the_models),
        cmocka_unit_test(a_head_beside_tied_embeddings),
        cmocka_unit_test(shards_are_read_by_their_index),
        cmocka_unit_test(wrong_indices),
        cmocka_unit_test(indices_that_disagree_with_the_files),
        cmocka_unit_test(a_watch_sees_it_come),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
