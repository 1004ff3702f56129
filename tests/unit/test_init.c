/* Random weights: their distribution, their place in the random stream, the same on any threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/model/init.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static struct pl_error err;

/* Odd sizes, so that rows begin in the middle of a pair of normals and pieces in that of a row. */
static struct pl_weights *create(uint64_t seed, bool tied)
{
    const struct pl_config config = {
        .arch = PL_ARCH_QWEN2,
        .hidden = 75,
        .layers = 2,
        .heads = 3,
        .kv_heads = 1,
        .head_dim = 14,
        .ffn = 101,
        .vocab = 211,
        .positions_max = 99,
        .rope_theta = 1e4,
        .rms_eps = 1e-6f,
        .tied = tied,
        .qkv_bias = true,
        .init_range = 0.05,
        .bos = -1,
        .pad = -1,
    };
    struct pl_shape *shape = NULL;
    struct pl_weights *w = NULL;

    if (pl_shape_create(&config, &shape, &err) < 0 || pl_weights_create(shape, &w, &err) < 0 ||
        pl_weights_init(w, seed, NULL, &err) < 0)
        fail_msg("%s", err.text);
    return w;
}

static void destroy(struct pl_weights *w)
{
    struct pl_shape *shape = (struct pl_shape *)w->shape;

    pl_weights_destroy(w);
    pl_shape_destroy(shape);
}

static uint16_t *values_of(const struct pl_weights *w, const struct pl_tensor *t)
{
    uint16_t *values = malloc(pl_tensor_size(t) * sizeof *values);

    assert_non_null(values);
    pl_weights_get(w, t, 0, t->rows, values);
    return values;
}

/* Element e of tensor t is the (e mod 2)th normal of Philox (seed, PL_RNG_INIT, t, e / 2). */
static void every_value_has_its_place_in_the_stream(void **state)
{
    struct pl_weights *w = create(77, false);

    (void)state;
    for (size_t i = 0; i < w->shape->count; i++) {
        const struct pl_tensor *t = &w->shape->tensors[i];
        const struct pl_rng rng = {77, (uint32_t)PL_RNG_INIT, (uint32_t)i, 0};
        uint16_t *values = values_of(w, t);
        double pair[2];

        for (size_t e = 0; t->rank == 2 && e < pl_tensor_size(t); e++) {
            if (e % 2 == 0)
                pl_rng_normal(&rng, (uint32_t)(e / 2), pair);
            assert_int_equal(values[e], pl_bf16_round((float)(0.05 * pair[e % 2])));
        }
        free(values);
    }
    destroy(w);
}

static void norms_are_one_and_biases_zero(void **state)
{
    struct pl_weights *w = create(1, true);
    size_t vectors = 0;

    (void)state;
    for (size_t i = 0; i < w->shape->count; i++) {
        const struct pl_tensor *t = &w->shape->tensors[i];
        const uint16_t want = strstr(t->name, "norm") ? 0x3F80 : 0;
        uint16_t *values = values_of(w, t);

        for (size_t e = 0; t->rank == 1 && e < t->rows; e++)
            assert_int_equal(values[e], want);
        vectors += t->rank == 1;
        free(values);
    }
    assert_int_equal(vectors, 2 * (2 + 3) + 1);
    destroy(w);
}

/* Mean and deviation of every matrix, within four standard errors. */
static void matrices_are_normal(void **state)
{
    struct pl_weights *w = create(5, false);

    (void)state;
    for (size_t i = 0; i < w->shape->count; i++) {
        const struct pl_tensor *t = &w->shape->tensors[i];
        const double n = (double)pl_tensor_size(t);
        uint16_t *values = values_of(w, t);
        double sum = 0.0, squares = 0.0;

        for (size_t e = 0; e < pl_tensor_size(t); e++) {
            const double x = (double)pl_bf16_widen(values[e]);

            sum += x;
            squares += x * x;
        }
        free(values);
        if (t->rank == 1)
            continue;
        assert_true(fabs(sum / n) < 4.0 * 0.05 / sqrt(n));
        assert_true(fabs(sqrt(squares / n) - 0.05) < 4.0 * 0.05 / sqrt(2.0 * n));
    }
    destroy(w);
}

static bool same(const struct pl_weights *a, const struct pl_weights *b)
{
    return memcmp(a->memory, b->memory, pl_weights_bytes(a->shape)) == 0;
}

static void seeds_and_threads(void **state)
{
    const int threads = omp_get_max_threads();
    struct pl_weights *a = create(9, true), *b = create(9, true), *c = create(10, true);

    (void)state;
    assert_true(same(a, b));
    assert_false(same(a, c));
    for (int n = 1; n <= 5; n += 2) {
        omp_set_num_threads(n);
        assert_int_equal(pl_weights_init(c, 9, NULL, &err), PL_OK); /* over what was there */
        assert_true(same(a, c));
        assert_int_equal(pl_weights_init(c, 10, NULL, &err), PL_OK);
    }
    omp_set_num_threads(threads);
    destroy(c);
    destroy(b);
    destroy(a);
}

static void keep_last(void *at, uint64_t done, uint64_t total)
{
    uint64_t *last = at;

    assert_true(done >= last[0] && done <= total);
    last[0] = done;
    last[1] = total;
}

static void a_watch_sees_it_come(void **state)
{
    struct pl_weights *w = create(9, true);
    uint64_t last[2] = {0};

    (void)state;
    assert_int_equal(pl_weights_init(w, 1, &(struct pl_watch){last, keep_last}, &err), PL_OK);
    assert_int_equal(last[0], last[1]);
    assert_int_equal(last[1], 2 * w->shape->params);
    destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_has_its_place_in_the_stream),
        cmocka_unit_test(norms_are_one_and_biases_zero),
        cmocka_unit_test(matrices_are_normal),
        cmocka_unit_test(seeds_and_threads),
        cmocka_unit_test(a_watch_sees_it_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
