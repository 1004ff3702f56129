/*
 * Final norm and value head against central differences in double: rows that predict several tokens
 * or none, more rows than a chunk has; the same bits on every instruction set and for any number of
 * threads.
 */
#include "learner/value.h"

#include "common/base/buf.h"
#include "learner/ops_grad.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/close.h"
#include "tests/model.h"
#include "tests/slope.h"

enum { C = 300, V = 19 }; /* more columns than one thread adds up at a time */

static const struct pl_test_lengths LENGTHS[] = {
    {4, {3, 1, 5, 1}}, {1, {9}}, {2, {1, 1}}, {6, {7}}};
enum { GROUPS = sizeof LENGTHS / sizeof *LENGTHS };

static const struct pl_config CONFIG = {
    .hidden = C,
    .layers = 1,
    .heads = 2,
    .kv_heads = 1,
    .head_dim = 6,
    .ffn = 12,
    .vocab = V,
    .positions_max = 64,
    .rope_theta = 1e4,
    .rms_eps = 0.01f,
    .tied = true,
    .bos = -1,
    .pad = -1,
};

/* The loss is a sum over predictions of a v + v^2 / 8, with a of each prediction's own. */
struct head {
    struct pl_test_model model;
    struct pl_pack *pack;
    size_t chunk;
    float x_f[64 * C], w_f[C + 1], a[64];
    double x[64 * C], w[C + 1], norm[C]; /* the same in double; w: weight, then bias */
};

static void set_slopes(void *at, const struct pl_slopes *s)
{
    const struct head *head = at;

    assert_true(!s->logp && !s->dlogp && !s->entropy && !s->dentropy);
    for (size_t i = 0; i < s->n; i++) {
        assert_true(s->predictions + i == head->pack->predictions + s->first + i);
        s->dvalue[i] = head->a[s->first + i] + s->value[i] / 4.0f;
    }
}

static double value_of(const struct head *s, size_t row)
{
    const double *x = s->x + row * C;
    double square = 0.0, v = 0.0;

    for (size_t c = 0; c < C; c++) {
        square += x[c] * x[c];
        v += s->w[c] * s->norm[c] * x[c];
    }
    return v / sqrt(square / C + (double)CONFIG.rms_eps) + s->w[C];
}

static double loss(const void *at)
{
    const struct head *s = at;
    double sum = 0.0;

    for (size_t p = 0; p < s->pack->prediction_count; p++) {
        const double v = value_of(s, s->pack->predictions[p].row);

        sum += (double)s->a[p] * v + v * v / 8.0;
    }
    return sum;
}

/* Values, dx, the gradient of the head and those of the model, one after the other. */
static size_t result_floats(const struct head *s)
{
    return s->pack->prediction_count + s->pack->batch.rows * C + C + 1 + s->model.shape->floats;
}

static void value_loss(const void *at, float *ret)
{
    const struct head *s = at;
    const size_t P = s->pack->prediction_count, R = s->pack->batch.rows;
    const struct pl_objective objective = {.at = (void *)s, .slopes = set_slopes};
    float *dx = ret + P, *dw = dx + R * C, *flat = dw + C + 1;
    const struct pl_value_head head = {.w = s->w_f, .b = s->w_f + C, .dw = dw, .db = dw + C};
    void *block = pl_alloc(pl_value_bytes(&CONFIG, s->chunk, P), 1);
    struct pl_layer_grads layers[1];
    struct pl_grads grads = {.layers = layers};
    struct pl_value_scratch scratch;

    pl_value_place(&scratch, &CONFIG, s->chunk, P, block);
    scratch.norm = pl_alloc(pl_rmsnorm_bwd_scratch(s->chunk, C), sizeof(float));
    pl_grads_place(&grads, s->model.shape, flat);
    pl_test_set(ret, P + R * C, NAN);                    /* set, all of it ... */
    pl_test_fill(dw, C + 1 + s->model.shape->floats, 9); /* ... and added to */
    pl_value_loss(ret, dx, &head, &grads, s->model.weights, s->x_f, s->pack, &objective, &scratch);
    free(block);
    free(scratch.norm);
}

static void check(struct head *s, const float *got)
{
    const size_t P = s->pack->prediction_count, R = s->pack->batch.rows;
    const size_t n = C + 1 + s->model.shape->floats;
    const size_t norm_at = pl_shape_find(s->model.shape, PL_ROLE_NORM_F, 0)->offset;
    const float *dx = got + P, *dw = dx + R * C, *flat = dw + C + 1;
    float *before = malloc(n * sizeof *before);

    pl_test_fill(before, n, 9);
    for (size_t p = 0; p < P; p++)
        pl_assert_close(got[p], value_of(s, s->pack->predictions[p].row), 1e-5, 1e-5);
    for (size_t i = 0; i < R * C; i += 7)
        pl_assert_close(dx[i], pl_test_slope(&s->x[i], loss, s), 2e-5, 1e-4);
    for (size_t i = 0; i < C + 1; i++)
        pl_assert_close(dw[i] - before[i], pl_test_slope(&s->w[i], loss, s), 5e-5, 1e-4);
    for (size_t c = 0; c < C; c++)
        pl_assert_close(flat[norm_at + c] - before[C + 1 + norm_at + c],
                        pl_test_slope(&s->norm[c], loss, s), 5e-5, 1e-4);
    for (size_t i = 0; i < s->model.shape->floats; i++) /* and nothing else */
        if (i < norm_at || i >= norm_at + C)
            assert_true(flat[i] == before[C + 1 + i]);
    free(before);
}

static void gradients_match_and_accumulate(void **state)
{
    static const size_t chunks[] = {1, 5, 16, 64};
    struct head *s = calloc(1, sizeof *s);
    struct pl_test_batch batch;
    float *first = NULL;

    (void)state;
    pl_test_model_create(&s->model, &CONFIG, 3);
    pl_test_batch_make(&batch, LENGTHS, GROUPS, V, 3);
    assert_int_equal(pl_test_packs(&batch, &batch.limits, &s->pack, 1), 1);
    assert_true(s->pack->batch.rows <= 64 && s->pack->prediction_count <= 64);
    pl_test_fill(s->x_f, 64 * C, 1);
    pl_test_fill(s->w_f, C + 1, 2);
    pl_test_fill(s->a, 64, 4);
    pl_test_widen(s->x, s->x_f, 64 * C);
    pl_test_widen(s->w, s->w_f, C + 1);
    pl_test_widen(s->norm, s->model.flat + pl_shape_find(s->model.shape, PL_ROLE_NORM_F, 0)->offset,
                  C);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        float *got = malloc(result_floats(s) * sizeof *got);

        s->chunk = chunks[i];
        value_loss(s, got);
        if (i == 0)
            check(s, got);
        else
            pl_assert_same_bits(got, first, s->pack->prediction_count); /* whatever the chunk */
        if (i == 2)
            check(s, got);
        pl_test_everywhere(value_loss, s, got, result_floats(s));
        if (first)
            free(got);
        else
            first = got;
    }
    free(first);
    pl_pack_destroy(s->pack);
    pl_test_model_destroy(&s->model);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients_match_and_accumulate)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
