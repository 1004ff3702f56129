/*
 * Rotary angles. The numbers to compare with were computed with PyTorch 1.13, by the formulas of
 * Transformers' modeling_rope_utils.py, in float32:
 *
 *   plain   1 / theta ** (arange(0, D, 2).float() / D)
 *   llama3  wavelen = 2 pi / freq; where(wavelen > old / low, freq / factor, freq); between old /
 *           high and old / low: (1 - s) that / factor + s that, s = (old / wavelen - low) /
 *           (high - low)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/close.h"

#include "common/model/rope.h"

#include <math.h>

static struct pl_error err;

static struct pl_rope *create(const struct pl_config *config, size_t positions)
{
    struct pl_rope *rope = NULL;

    if (pl_rope_create(config, positions, &rope, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(rope->positions, positions);
    assert_int_equal(rope->half, config->head_dim / 2);
    return rope;
}

/* A frequency is the angle of position 1. The angle that the table has there is good to about one
 * unit in the last place of the larger of sine and cosine. */
static void assert_freq(const struct pl_rope *rope, size_t i, double want)
{
    const double angle =
        atan2((double)rope->sin[rope->half + i], (double)rope->cos[rope->half + i]);

    pl_assert_close(angle, want, 0.0, 1.5e-7);
}

static void plain_frequencies(void **state)
{
    static const struct {
        size_t i;
        double freq;
    } golden[] = {
        {0, 1.0}, {1, 0.649381638}, {7, 0.0486967526}, {16, 0.00100000005}, {31, 1.53992653e-06}};
    static const struct {
        size_t position, i;
        float cos, sin;
    } angles[] = {
        {0, 0, 1.0f, 0.0f},
        {0, 31, 1.0f, 0.0f},
        {1, 0, 0.540302336f, 0.841470957f},
        {1, 7, 0.998814523f, 0.0486775078f},
        {1000, 1, -0.599414825f, 0.800438523f},
        {1000, 16, 0.540302336f, 0.841470957f},
        {32767, 3, 0.829909921f, 0.557897389f},
        {32767, 31, 0.998727202f, 0.0504373647f},
    };
    const struct pl_config c = {.head_dim = 64, .rope_theta = 1e6};
    struct pl_rope *rope = create(&c, 32768);

    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++)
        assert_freq(rope, golden[i].i, golden[i].freq);
    for (size_t i = 0; i < sizeof angles / sizeof angles[0]; i++) {
        const size_t at = angles[i].position * rope->half + angles[i].i;

        pl_assert_close(rope->cos[at], angles[i].cos, 6e-8, 0.0); /* one unit in the last place */
        pl_assert_close(rope->sin[at], angles[i].sin, 6e-8, 0.0);
    }
    pl_rope_destroy(rope);
}

static void linear_scaling_divides(void **state)
{
    const struct pl_config plain = {.head_dim = 16, .rope_theta = 1e4};
    struct pl_config linear = plain;
    struct pl_rope *a, *b;

    (void)state;
    linear.rope_kind = PL_ROPE_LINEAR;
    linear.rope_factor = 4.0;
    a = create(&plain, 25);
    b = create(&linear, 100);
    for (size_t t = 0; t < 25; t++) { /* by a power of two it is exact */
        pl_assert_same_bits(b->cos + 4 * t * b->half, a->cos + t * a->half, a->half);
        pl_assert_same_bits(b->sin + 4 * t * b->half, a->sin + t * a->half, a->half);
    }
    pl_rope_destroy(b);
    pl_rope_destroy(a);
}

/* Llama 3.1: fast rotations kept, slow ones divided by 8, and those between. */
static void llama3_scaling(void **state)
{
    static const struct {
        size_t i;
        double freq;
    } golden[] = {
        {0, 1.0},
        {1, 0.814617217},
        {20, 0.0165604409},
        {28, 0.00321144611}, /* the last that is kept */
        {29, 0.00216657063},
        {30, 0.00137189368},
        {32, 0.000524846022},
        {34, 0.000178507791}, /* the last between */
        {35, 9.55621217e-05},
        {36, 7.78465546e-05},
        {50, 4.41153452e-06},
        {63, 3.06892588e-07},
    };
    const struct pl_config c = {.head_dim = 128,
                                .rope_theta = 5e5,
                                .rope_kind = PL_ROPE_LLAMA3,
                                .rope_factor = 8.0,
                                .rope_low_freq = 1.0,
                                .rope_high_freq = 4.0,
                                .rope_original_positions = 8192};
    struct pl_rope *rope = create(&c, 2);

    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++)
        assert_freq(rope, golden[i].i, golden[i].freq);
    pl_rope_destroy(rope);
}

static void too_many_positions_are_no_memory(void **state)
{
    const struct pl_config c = {.head_dim = 64, .rope_theta = 1e4};
    struct pl_rope *rope = NULL;

    (void)state;
    assert_int_equal(pl_rope_create(&c, SIZE_MAX / 64, &rope, &err), PL_ENOMEM);
    assert_string_equal(err.text,
                        "no memory for the rotary angles of 288230376151711743 positions");
    assert_int_equal(pl_rope_create(&c, SIZE_MAX, &rope, &err), PL_ENOMEM);
    assert_null(rope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_frequencies),
        cmocka_unit_test(linear_scaling_divides),
        cmocka_unit_test(llama3_scaling),
        cmocka_unit_test(too_many_positions_are_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
