/* Weights: what is set comes out to the bit, where panels are shared too; rounding; pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/close.h"

#include "common/base/buf.h"
#include "common/base/rng.h"
#include "common/model/blocks.h"
#include "common/model/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct pl_error err;

/* 20 query rows, then 10 and 10: k and v begin inside a panel; gate and up share one as well. */
static struct pl_config little(bool tied)
{
    return (struct pl_config){
        .arch = PL_ARCH_QWEN2,
        .hidden = 33,
        .layers = 2,
        .heads = 2,
        .kv_heads = 1,
        .head_dim = 10,
        .ffn = 41,
        .vocab = 70,
        .positions_max = 99,
        .rope_theta = 1e4,
        .rms_eps = 1e-6f,
        .tied = tied,
        .qkv_bias = true,
        .bos = -1,
        .pad = -1,
    };
}

static void create(const struct pl_config *c, struct pl_shape **ret_shape,
                   struct pl_weights **ret_weights)
{
    if (pl_shape_create(c, ret_shape, &err) < 0 ||
        pl_weights_create(*ret_shape, ret_weights, &err) < 0)
        fail_msg("%s", err.text);
}

/* Any bits, for every tensor others; but no NaN, which a vector's float would not keep in kind. */
static uint16_t *bits_for(const struct pl_tensor *t, uint32_t seed)
{
    const struct pl_rng rng = {seed, (uint32_t)PL_RNG_TEST, t->role, (uint32_t)t->layer};
    uint16_t *bits = malloc(pl_tensor_size(t) * sizeof *bits);
    uint32_t words[4];

    assert_non_null(bits);
    for (size_t i = 0; i < pl_tensor_size(t); i++) {
        if (i % 4 == 0)
            pl_rng_words(&rng, (uint32_t)i, words);
        bits[i] = (uint16_t)words[i % 4];
        if ((bits[i] & 0x7F80) == 0x7F80)
            bits[i] &= 0x807F; /* a subnormal, then */
    }
    return bits;
}

static void assert_holds(const struct pl_weights *w, const struct pl_tensor *t, uint32_t seed)
{
    uint16_t *want = bits_for(t, seed), *got = malloc(pl_tensor_size(t) * sizeof *got);

    assert_non_null(got);
    pl_weights_get(w, t, 0, t->rows, got);
    for (size_t i = 0; i < pl_tensor_size(t); i++)
        if (got[i] != want[i])
            fail_msg("%s, value %zu: %04x, not %04x", t->name, i, got[i], want[i]);
    free(got);
    free(want);
}

/* All tensors set, in an order of no meaning and in pieces of `rows`; then each holds its own. */
static void set_all(struct pl_weights *w, uint32_t seed, size_t rows)
{
    for (size_t n = w->shape->count, i = 0; i < n; i++) {
        const struct pl_tensor *t = &w->shape->tensors[i * 7 % n];
        uint16_t *bits = bits_for(t, seed);

        for (size_t row = 0; row < t->rows; row += rows) {
            const size_t some = t->rows - row < rows ? t->rows - row : rows;

            pl_weights_set(w, t, row, some, bits + row * t->cols);
        }
        free(bits);
    }
}

static void what_is_set_comes_out(void **state)
{
    static const size_t pieces[] = {1, 7, 32, 1000};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const struct pl_config c = little(i % 2 == 0);
        struct pl_shape *shape;
        struct pl_weights *w;

        create(&c, &shape, &w);
        assert_true(shape->count % 7 != 0); /* so that the order meets all of them */
        set_all(w, 1, 1000);
        set_all(w, 2, pieces[i]); /* over what was there */
        for (size_t k = 0; k < shape->count; k++)
            assert_holds(w, &shape->tensors[k], 2);
        pl_weights_destroy(w);
        pl_shape_destroy(shape);
    }
}

/* The kernels' view: fused matrices hold the rows in order, a tied head is the embedding. */
static void matrices_hold_the_tensors(void **state)
{
    const struct pl_config c = little(true);
    const size_t rows[] = {20, 10, 10};
    const enum pl_role roles[] = {PL_ROLE_Q, PL_ROLE_K, PL_ROLE_V};
    struct pl_shape *shape;
    struct pl_weights *w;
    uint16_t got[33];

    (void)state;
    create(&c, &shape, &w);
    set_all(w, 3, 1000);
    assert_ptr_equal(w->head.words, w->embed.words);
    assert_int_equal(w->layers[1].qkv.rows, 40);
    for (size_t i = 0, first = 0; i < 3; first += rows[i++]) {
        uint16_t *want = bits_for(pl_shape_find(shape, roles[i], 1), 3);

        for (size_t r = 0; r < rows[i]; r++) {
            pl_mat_get(&w->layers[1].qkv, first + r, 1, got);
            assert_memory_equal(got, want + r * 33, sizeof got);
        }
        free(want);
    }
    uint16_t *up = bits_for(pl_shape_find(shape, PL_ROLE_UP, 0), 3);
    uint16_t *v_bias = bits_for(pl_shape_find(shape, PL_ROLE_V_BIAS, 1), 3);

    pl_mat_get(&w->layers[0].gate_up, 41 + 40, 1, got);
    assert_memory_equal(got, up + 40 * 33, sizeof got);
    assert_true(w->layers[1].qkv_bias[39] == pl_bf16_widen(v_bias[9]));
    free(v_bias);
    free(up);
    pl_weights_destroy(w);
    pl_shape_destroy(shape);
}

static void an_untied_head_is_its_own(void **state)
{
    const struct pl_config c = little(false);
    struct pl_shape *shape;
    struct pl_weights *w;

    (void)state;
    create(&c, &shape, &w);
    assert_ptr_not_equal(w->head.words, w->embed.words);
    pl_weights_destroy(w);
    pl_shape_destroy(shape);
}

/* All zero at first; a flat array in and out, every value rounded to the nearest bf16. */
static void flat_arrays_are_rounded(void **state)
{
    const struct pl_config c = little(false);
    struct pl_shape *shape;
    struct pl_weights *w;
    float *in, *out;

    (void)state;
    create(&c, &shape, &w);
    in = pl_alloc(shape->floats, sizeof *in);
    out = pl_alloc(shape->floats, sizeof *out);
    assert_true(in && out);
    pl_test_set(out, shape->floats, 9.0f);
    pl_weights_get_flat(w, out);
    for (size_t i = 0; i < shape->count; i++)
        for (size_t k = 0; k < pl_tensor_size(&shape->tensors[i]); k++)
            assert_true(out[shape->tensors[i].offset + k] == 0.0f);
    pl_test_fill(in, shape->floats, 5);
    pl_weights_set_flat(w, in);
    pl_test_set(out, shape->floats, 9.0f);
    pl_weights_get_flat(w, out);
    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];

        for (size_t k = t->offset; k < t->offset + pl_tensor_size(t); k++) {
            const float ulp = ldexpf(1.0f, ilogbf(in[k]) - 7);

            assert_true(out[k] == nearbyintf(in[k] / ulp) * ulp);
        }
    }
    free(in);
    free(out);
    pl_weights_destroy(w);
    pl_shape_destroy(shape);
}

static void bf16_is_rounded_to_nearest_even(void **state)
{
    static const struct {
        float in;
        uint16_t want;
    } cases[] = {
        {0.0f, 0x0000},
        {-0.0f, 0x8000},
        {1.0f, 0x3F80},
        {-2.0f, 0xC000},
        {0x1.01p0f, 0x3F80},     /* half way, down to even */
        {0x1.03p0f, 0x3F82},     /* half way, up to even */
        {0x1.010002p0f, 0x3F81}, /* over half way */
        {0x1.00fffep0f, 0x3F80}, /* under it */
        {0x1.ffp0f, 0x4000},     /* up into the next power */
        {0x1p-149f, 0x0000},     /* the least float */
        {0x1p-133f, 0x0001},     /* the least bf16 */
        {0x1.fep127f, 0x7F7F},   /* the largest bf16 */
        {0x1.fefffep127f, 0x7F7F},
        {0x1.ffp127f, 0x7F80}, /* too large: infinite */
        {INFINITY, 0x7F80},
        {-INFINITY, 0xFF80},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (pl_bf16_round(cases[i].in) != cases[i].want)
            fail_msg("%a: %04x, not %04x", (double)cases[i].in, pl_bf16_round(cases[i].in),
                     cases[i].want);
    assert_true(isnan(pl_bf16_widen(pl_bf16_round(NAN))));
    for (uint32_t bits = 0; bits < 0x10000; bits++) /* widened and rounded it is the same */
        if ((bits & 0x7F80) != 0x7F80)
            assert_int_equal(pl_bf16_round(pl_bf16_widen((uint16_t)bits)), bits);
}

/* Pieces are all the rows, once, and no two of them share a panel of the matrix they lie in. */
static void pieces_share_no_panel(void **state)
{
    struct pl_config c = little(false);

    (void)state;
    for (size_t head_dim = 2; head_dim <= 70; head_dim += 2) {
        struct pl_shape *shape = NULL;

        c.head_dim = head_dim;
        c.ffn = 3 * head_dim + 1;
        assert_int_equal(pl_shape_create(&c, &shape, &err), PL_OK);
        for (size_t i = 0; i < shape->count; i++) {
            const struct pl_tensor *t = &shape->tensors[i];
            const struct pl_blocks blocks = pl_blocks_of(&c, t);
            const size_t shift = pl_blocks_shift(&c, t->role);
            size_t at = 0, panel = SIZE_MAX;

            for (size_t k = 0; k < blocks.count; k++) {
                size_t rows = 0;

                assert_int_equal(pl_blocks_row(&blocks, k, &rows), at);
                assert_true(rows > 0 && rows * t->cols <= pl_blocks_elements(shape));
                if (t->rank == 2) {
                    assert_true((shift + at) / PL_PANEL != panel);
                    panel = (shift + at + rows - 1) / PL_PANEL;
                }
                at += rows;
            }
            assert_int_equal(at, t->rows);
        }
        pl_shape_destroy(shape);
    }
}

static void an_outline_is_sizes_alone(void **state)
{
    const struct pl_config c = little(true);
    struct pl_shape *shape;
    struct pl_weights *w, *outline = NULL;

    (void)state;
    create(&c, &shape, &w);
    assert_int_equal(pl_weights_outline(shape, &outline, &err), PL_OK);
    assert_null(outline->embed.words);
    assert_null(outline->layers[1].qkv_bias);
    assert_int_equal(outline->layers[1].gate_up.rows, w->layers[1].gate_up.rows);
    assert_int_equal(outline->layers[1].down.cols, w->layers[1].down.cols);
    assert_true(pl_weights_bytes(shape) >= shape->params * sizeof(uint16_t));
    pl_weights_destroy(outline);
    pl_weights_destroy(w);
    pl_shape_destroy(shape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_set_comes_out),
        cmocka_unit_test(matrices_hold_the_tensors),
        cmocka_unit_test(an_untied_head_is_its_own),
        cmocka_unit_test(flat_arrays_are_rounded),
        cmocka_unit_test(bf16_is_rounded_to_nearest_even),
        cmocka_unit_test(pieces_share_no_panel),
        cmocka_unit_test(an_outline_is_sizes_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
