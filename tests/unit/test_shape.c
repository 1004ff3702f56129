/* The table of tensors: names and order as Transformers has them, places, and the way to a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/shape.h"

#include <stdio.h>
#include <string.h>

static struct pl_error err;

/* Every size is another one, so that a mistaken one shows. */
static struct pl_config config(enum pl_arch arch, bool tied)
{
    return (struct pl_config){
        .arch = arch,
        .hidden = 19,
        .layers = 12,
        .heads = 4,
        .kv_heads = 2,
        .head_dim = 6,
        .ffn = 14,
        .vocab = 50,
        .positions_max = 99,
        .rope_theta = 1e4,
        .rms_eps = 1e-6f,
        .tied = tied,
        .qkv_bias = arch == PL_ARCH_QWEN2,
        .bos = -1,
        .pad = -1,
    };
}

static struct pl_shape *create(enum pl_arch arch, bool tied)
{
    const struct pl_config c = config(arch, tied);
    struct pl_shape *shape = NULL;

    if (pl_shape_create(&c, &shape, &err) < 0)
        fail_msg("%s", err.text);
    return shape;
}

struct row {
    const char *name; /* in a layer: what follows "model.layers.N." */
    size_t rank, rows, cols;
    bool bias;
};

static const struct row layer_rows[] = {
    {"self_attn.q_proj.weight", 2, 24, 19, false},
    {"self_attn.q_proj.bias", 1, 24, 1, true},
    {"self_attn.k_proj.weight", 2, 12, 19, false},
    {"self_attn.k_proj.bias", 1, 12, 1, true},
    {"self_attn.v_proj.weight", 2, 12, 19, false},
    {"self_attn.v_proj.bias", 1, 12, 1, true},
    {"self_attn.o_proj.weight", 2, 19, 24, false},
    {"mlp.gate_proj.weight", 2, 14, 19, false},
    {"mlp.up_proj.weight", 2, 14, 19, false},
    {"mlp.down_proj.weight", 2, 19, 14, false},
    {"input_layernorm.weight", 1, 19, 1, false},
    {"post_attention_layernorm.weight", 1, 19, 1, false},
};

static void assert_row(const struct pl_tensor *t, const char *name, const struct row *want)
{
    assert_string_equal(t->name, name);
    assert_int_equal(t->rank, want->rank);
    assert_int_equal(t->rows, want->rows);
    assert_int_equal(t->cols, want->cols);
}

static void assert_table(const struct pl_shape *shape)
{
    static const struct row embed = {.rank = 2, .rows = 50, .cols = 19};
    static const struct row norm = {.rank = 1, .rows = 19, .cols = 1};
    const struct pl_tensor *t = shape->tensors;
    char name[64];
    size_t params = 0;

    assert_row(t++, "model.embed_tokens.weight", &embed);
    for (size_t l = 0; l < 12; l++)
        for (size_t i = 0; i < sizeof layer_rows / sizeof layer_rows[0]; i++) {
            if (layer_rows[i].bias && !shape->config.qkv_bias)
                continue;
            snprintf(name, sizeof name, "model.layers.%zu.%s", l, layer_rows[i].name);
            assert_int_equal(t->layer, l);
            assert_row(t++, name, &layer_rows[i]);
        }
    assert_row(t++, "model.norm.weight", &norm);
    if (!shape->config.tied)
        assert_row(t++, "lm_head.weight", &embed);
    assert_int_equal(t - shape->tensors, shape->count);
    for (size_t i = 0; i < shape->count; i++)
        params += pl_tensor_size(&shape->tensors[i]);
    assert_int_equal(params, shape->params);
}

/* Places: none shares a float with another, groups begin at multiples of 16, gaps are under 16. */
static void assert_places(const struct pl_shape *shape)
{
    static unsigned char taken[1 << 16];
    size_t run = 0;

    assert_true(shape->floats <= sizeof taken && shape->floats % 16 == 0);
    memset(taken, 0, sizeof taken);
    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];

        assert_true(t->offset + pl_tensor_size(t) <= shape->floats);
        for (size_t k = 0; k < pl_tensor_size(t); k++)
            assert_int_equal(taken[t->offset + k]++, 0);
    }
    for (size_t i = 0; i < shape->floats; i++) {
        run = taken[i] ? 0 : run + 1;
        assert_true(run < 16);
    }
}

static const struct pl_tensor *find(const struct pl_shape *shape, enum pl_role role, size_t layer)
{
    const struct pl_tensor *t = pl_shape_find(shape, role, layer);

    assert_non_null(t);
    assert_int_equal(t->role, role);
    assert_int_equal(t->layer, layer);
    return t;
}

/* What is multiplied as one matrix lies together. */
static void assert_fused(const struct pl_shape *shape)
{
    for (size_t l = 0; l < shape->config.layers; l++) {
        const struct pl_tensor *q = find(shape, PL_ROLE_Q, l), *k = find(shape, PL_ROLE_K, l);
        const struct pl_tensor *v = find(shape, PL_ROLE_V, l);
        const struct pl_tensor *gate = find(shape, PL_ROLE_GATE, l);

        assert_int_equal(q->offset % 16, 0);
        assert_int_equal(k->offset, q->offset + pl_tensor_size(q));
        assert_int_equal(v->offset, k->offset + pl_tensor_size(k));
        assert_int_equal(gate->offset % 16, 0);
        assert_int_equal(find(shape, PL_ROLE_UP, l)->offset, gate->offset + pl_tensor_size(gate));
        if (!shape->config.qkv_bias)
            continue;
        assert_int_equal(find(shape, PL_ROLE_Q_BIAS, l)->offset % 16, 0);
        assert_int_equal(find(shape, PL_ROLE_K_BIAS, l)->offset,
                         find(shape, PL_ROLE_Q_BIAS, l)->offset + q->rows);
        assert_int_equal(find(shape, PL_ROLE_V_BIAS, l)->offset,
                         find(shape, PL_ROLE_K_BIAS, l)->offset + k->rows);
    }
}

static void assert_found(const struct pl_shape *shape)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];

        assert_ptr_equal(pl_shape_find(shape, t->role, t->layer), t);
        assert_ptr_equal(pl_shape_named(shape, t->name), t);
    }
}

static void every_variant_has_its_table(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct pl_shape *shape = create(i & 1 ? PL_ARCH_QWEN2 : PL_ARCH_LLAMA, i & 2);

        assert_table(shape);
        assert_places(shape);
        assert_fused(shape);
        assert_found(shape);
        pl_shape_destroy(shape);
    }
}

static void what_is_not_there_is_not_found(void **state)
{
    static const char *const names[] = {
        "",
        "model",
        "model.embed_tokens.weigh",
        "model.embed_tokens.weight2",
        "lm_head.weight",
        "model.layers.",
        "model.layers.0",
        "model.layers.0.",
        "model.layers.0.self_attn.q_proj.bias",
        "model.layers.00.input_layernorm.weight",
        "model.layers.+1.input_layernorm.weight",
        "model.layers. 1.input_layernorm.weight",
        "model.layers.-1.input_layernorm.weight",
        "model.layers.12.input_layernorm.weight",
        "model.layers.18446744073709551616.input_layernorm.weight",
        "model.layers.x.input_layernorm.weight",
        "model.layers.1.mlp.up_proj.weight ",
        "model.norm.bias",
    };
    struct pl_shape *shape = create(PL_ARCH_LLAMA, true);

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (pl_shape_named(shape, names[i]))
            fail_msg("found: '%s'", names[i]);
    assert_null(pl_shape_find(shape, PL_ROLE_HEAD, 0));
    assert_null(pl_shape_find(shape, PL_ROLE_V_BIAS, 0));
    assert_null(pl_shape_find(shape, PL_ROLE_Q, 12));
    assert_null(pl_shape_find(shape, PL_ROLE_EMBED, 1));
    assert_null(pl_shape_find(shape, PL_ROLE_NORM_F, 1));
    pl_shape_destroy(shape);
    shape = create(PL_ARCH_LLAMA, false);
    assert_null(pl_shape_find(shape, PL_ROLE_HEAD, 1));
    assert_non_null(pl_shape_named(shape, "lm_head.weight"));
    pl_shape_destroy(shape);
}

/* Parameter counts of published models. */
static void published_sizes(void **state)
{
    static const struct {
        size_t hidden, layers, heads, kv_heads, ffn, vocab, params;
        bool tied;
    } models[] = {
        {896, 24, 14, 2, 4864, 151936, 494032768, true},     /* Qwen2.5-0.5B */
        {1536, 28, 12, 2, 8960, 151936, 1543714304, true},   /* Qwen2.5-1.5B */
        {3584, 28, 28, 4, 18944, 152064, 7615616512, false}, /* Qwen2.5-7B */
    };

    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        struct pl_config c = config(PL_ARCH_QWEN2, models[i].tied);
        struct pl_shape *shape = NULL;

        c.hidden = models[i].hidden;
        c.layers = models[i].layers;
        c.heads = models[i].heads;
        c.kv_heads = models[i].kv_heads;
        c.head_dim = c.hidden / c.heads;
        c.ffn = models[i].ffn;
        c.vocab = models[i].vocab;
        assert_int_equal(pl_shape_create(&c, &shape, &err), PL_OK);
        assert_int_equal(shape->params, models[i].params);
        pl_shape_destroy(shape);
    }
}

static void a_wrong_configuration_makes_no_shape(void **state)
{
    struct pl_config c = config(PL_ARCH_LLAMA, false);
    struct pl_shape *shape = NULL;

    (void)state;
    c.kv_heads = 3;
    assert_int_equal(pl_shape_create(&c, &shape, &err), PL_EFORMAT);
    assert_string_equal(err.text,
                        "model: num_attention_heads 4 is not a multiple of num_key_value_heads 3");
    assert_null(shape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_variant_has_its_table),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(published_sizes),
        cmocka_unit_test(a_wrong_configuration_makes_no_shape),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
