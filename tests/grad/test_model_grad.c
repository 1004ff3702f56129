/*
 * The gradient of a whole model against differences of its loss. The model has bf16 values, so
 * weights move by whole steps of bf16: w - 2u, w - u, w + u, w + 2u, u the distance to the next
 * value, where all of these are values with the same exponent. The difference of fourth order over
 * them leaves little but the rounding errors of the loss.
 *
 * The loss is not a mean: each token has a slope of its own that depends on its log-probability and
 * on the entropy it was drawn from, or on its value where the model has a value head. That head is
 * f32 and moves freely.
 */
#include "learner/trainer.h"

#include "common/base/buf.h"
#include "learner/value.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/close.h"
#include "tests/model.h"

static const struct pl_config LITTLE = {
    .arch = PL_ARCH_QWEN2,
    .hidden = 28,
    .layers = 3,
    .heads = 4,
    .kv_heads = 2,
    .head_dim = 6,
    .ffn = 37,
    .vocab = 53,
    .positions_max = 128,
    .rope_theta = 1e4,
    .rms_eps = 1e-5f,
    .tied = true,
    .qkv_bias = true,
    .bos = -1,
    .pad = -1,
};
/* Several tiles and blocks of every product each way. */
static const struct pl_config WIDE = {
    .arch = PL_ARCH_LLAMA,
    .hidden = 300,
    .layers = 1,
    .heads = 5,
    .kv_heads = 1,
    .head_dim = 94,
    .ffn = 491,
    .vocab = 521,
    .positions_max = 128,
    .rope_theta = 1e4,
    .rms_eps = 1e-5f,
    .bos = -1,
    .pad = -1,
};
static const struct pl_config *config; /* of the model that is looked at ... */
static size_t elements;                /* ... and how many elements of a tensor move at once */
static bool valued;                    /* with a value head in place of the vocabulary's */

static const struct pl_test_lengths LENGTHS[] = {{35, {6, 1, 8}}, {2, {33}}, {4, {1}}};
enum { GROUPS = sizeof LENGTHS / sizeof *LENGTHS };

struct setup {
    struct pl_test_model model;
    struct pl_weights *moved; /* the weights that differ */
    struct pl_test_batch batch;
    struct pl_pack *pack;
    struct pl_trainer *trainer;
    const float *grad; /* (shape->floats) */
    float *direction;  /* (shape->floats): steps of bf16, with a sign */
};

/* f(logp, entropy) of token i is a logp + logp^2 / 16 + entropy^2 / 2; f(value) alike. */
static double share(size_t i)
{
    return i % 3 == 0 ? 0.75 : -1.0 - (double)(i % 5) / 4.0;
}

static void set_slopes(void *at, const struct pl_slopes *s)
{
    for (size_t i = 0; i < s->n && valued; i++)
        s->dvalue[i] = (float)share(s->first + i) + s->value[i] / 8.0f;
    for (size_t i = 0; i < s->n && !valued; i++) {
        s->dlogp[i] = (float)share(s->first + i) + s->logp[i] / 8.0f;
        s->dentropy[i] = s->entropy[i];
    }
}

static double loss(const void *at, const struct pl_weights *weights)
{
    const struct setup *s = at;
    const float *entropy = NULL;
    const float *logp = pl_trainer_score(s->trainer, weights, s->pack, valued ? NULL : &entropy);
    double sum = 0.0;

    for (size_t i = 0; i < s->pack->prediction_count; i++) {
        const double l = (double)logp[i], e = valued ? 0.0 : (double)entropy[i];

        sum += share(i) * l + l * l / 16.0 + e * e / 2.0;
    }
    return sum;
}

/* The slope along the direction, by the gradient and by differences. */
static void compare(const struct setup *s, const char *what, double abs)
{
    const double slope = pl_test_slope_along(&s->model, s->direction, s->moved, loss, s);
    double want = 0.0;

    for (size_t i = 0; i < s->model.shape->floats; i++)
        want += (double)s->grad[i] * (double)s->direction[i];
    print_message("%-50s %12.8f, by differences %12.8f\n", what, want, slope);
    pl_assert_close(want, slope, abs, 5e-4);
}

static int setup(void **state)
{
    struct setup *s = calloc(1, sizeof *s);
    const struct pl_objective objective = {NULL, !valued, set_slopes};
    struct pl_error err;

    pl_test_model_create(&s->model, config, 8);
    pl_test_batch_make(&s->batch, LENGTHS, GROUPS, config->vocab, 8);
    assert_int_equal(pl_test_packs(&s->batch, &s->batch.limits, &s->pack, 1), 1);
    const struct pl_trainer_opts opts = {
        .limits = s->batch.limits,
        .positions = s->batch.positions,
        .value = valued,
        .adamw = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8},
    };

    if (pl_weights_create(s->model.shape, &s->moved, &err) < 0 ||
        pl_trainer_create(s->model.weights, &opts, &s->trainer, &err) < 0)
        fail_msg("%s", err.text);
    if (valued)
        pl_test_fill(pl_trainer_state(s->trainer)->master + s->model.shape->floats,
                     pl_value_floats(config), 5);
    s->direction = calloc(s->model.shape->floats, sizeof *s->direction);
    pl_trainer_accumulate(s->trainer, s->pack, &objective);
    s->grad = pl_trainer_grad(s->trainer);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct setup *s = *state;

    pl_trainer_destroy(s->trainer);
    pl_pack_destroy(s->pack);
    pl_weights_destroy(s->moved);
    pl_test_model_destroy(&s->model);
    free(s->direction);
    free(s);
    return 0;
}

/* Each tensor alone, some of its elements, each along its slope. */
static void along_each_tensor(void **state)
{
    struct setup *s = *state;

    for (size_t i = 0; i < s->model.shape->count; i++) {
        const struct pl_tensor *t = &s->model.shape->tensors[i];
        const size_t end = t->offset + pl_tensor_size(t), step = pl_tensor_size(t) / elements + 1;

        memset(s->direction, 0, s->model.shape->floats * sizeof *s->direction);
        for (size_t j = t->offset; j < end; j += step)
            s->direction[j] = copysignf(pl_test_step(s->model.flat[j]), s->grad[j]);
        compare(s, t->name, 6e-5);
    }
}

/* Some elements of all tensors at once, half of them one way and half the other. */
static void along_random_directions(void **state)
{
    struct setup *s = *state;
    const size_t n = s->model.shape->floats;
    const float share_moved = 16.0f * (float)elements / (float)n;

    for (uint32_t seed = 0; seed < 6; seed++) {
        pl_test_fill(s->direction, n, 100 + seed);
        for (size_t i = 0; i < n; i++)
            s->direction[i] = fabsf(s->direction[i]) < share_moved
                                  ? copysignf(pl_test_step(s->model.flat[i]), s->direction[i])
                                  : 0.0f;
        compare(s, "a random direction", 2e-4);
    }
}

/* The value head itself, each element of it. */
static void along_the_head(void **state)
{
    struct setup *s = *state;
    const size_t at = s->model.shape->floats;
    float *head = pl_trainer_state(s->trainer)->master;

    memset(s->direction, 0, at * sizeof *s->direction);
    for (size_t i = at; i < at + pl_value_floats(config); i++) {
        const float middle = head[i], h = 0.03125f;

        head[i] = middle + h;
        const double up = loss(s, s->model.weights);
        head[i] = middle - h;
        const double down = loss(s, s->model.weights);

        head[i] = middle;
        pl_assert_close(s->grad[i], (up - down) / (2.0 * (double)h), 1e-3, 1e-3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(along_each_tensor),
        cmocka_unit_test(along_random_directions),
    };

    const struct CMUnitTest with_head[] = {
        cmocka_unit_test(along_each_tensor),
        cmocka_unit_test(along_random_directions),
        cmocka_unit_test(along_the_head),
    };
    int failed;

    config = &LITTLE;
    elements = 100;
    failed = cmocka_run_group_tests_name("little", tests, setup, teardown);
    valued = true;
    failed += cmocka_run_group_tests_name("value", with_head, setup, teardown);
    valued = false;
    config = &WIDE;
    elements = 1000;
    return failed + cmocka_run_group_tests_name("wide", tests, setup, teardown);
}
