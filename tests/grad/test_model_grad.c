/*
 * The gradient of a whole model against differences of its loss. The model has bf16 values, so
 * weights move by whole steps of bf16: w - 2u, w - u, w + u, w + 2u, u the distance to the next
 * value, where all of these are values with the same exponent. The difference of fourth order over
 * them leaves little but the rounding errors of the loss.
 *
 * The loss is not a mean: each token has a slope of its own that depends on its log-probability and
 * on the entropy it was drawn from.
 */
#include "learner/trainer.h"

#include "common/base/buf.h"

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

/* f(logp, entropy) of token i is a logp + logp^2 / 16 + entropy^2 / 2. */
static double share(size_t i)
{
    return i % 3 == 0 ? 0.75 : -1.0 - (double)(i % 5) / 4.0;
}

static void set_slopes(void *at, const struct pl_slopes *s)
{
    for (size_t i = 0; i < s->n; i++) {
        s->dlogp[i] = (float)share(s->first + i) + s->logp[i] / 8.0f;
        s->dentropy[i] = s->entropy[i];
    }
}

static double loss_at(const struct setup *s, float steps)
{
    const size_t n = s->model.shape->floats;
    const float *logp, *entropy = NULL;
    float *flat = malloc(n * sizeof *flat);
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        flat[i] = s->model.flat[i] + steps * s->direction[i];
    pl_weights_set_flat(s->moved, flat);
    logp = pl_trainer_score(s->trainer, s->moved, s->pack, &entropy);
    for (size_t i = 0; i < s->pack->prediction_count; i++) {
        const double l = (double)logp[i], e = (double)entropy[i];

        sum += share(i) * l + l * l / 16.0 + e * e / 2.0;
    }
    free(flat);
    return sum;
}

/* The slope along the direction, by the gradient and by differences. */
static void compare(const struct setup *s, const char *what, double abs)
{
    const double near = loss_at(s, 1.0f) - loss_at(s, -1.0f);
    const double far = loss_at(s, 2.0f) - loss_at(s, -2.0f), slope = (8.0 * near - far) / 12.0;
    double want = 0.0;

    for (size_t i = 0; i < s->model.shape->floats; i++)
        want += (double)s->grad[i] * (double)s->direction[i];
    print_message("%-50s %12.8f, by differences %12.8f\n", what, want, slope);
    pl_assert_close(want, slope, abs, 5e-4);
}

/* The distance to the next bf16 value; 0 where w +- 2 of them has another exponent. */
static float step_of(float w)
{
    int exponent;
    const float fraction = frexpf(fabsf(w), &exponent), step = ldexpf(1.0f, exponent - 8);

    if (w == 0.0f || fraction < 0.5f + 2.0f / 256.0f || fraction > 1.0f - 3.0f / 256.0f)
        return 0.0f;
    return step;
}

static int setup(void **state)
{
    struct setup *s = calloc(1, sizeof *s);
    const struct pl_objective objective = {NULL, true, set_slopes};
    struct pl_error err;

    pl_test_model_create(&s->model, config, 8);
    pl_test_batch_make(&s->batch, LENGTHS, GROUPS, config->vocab, 8);
    assert_int_equal(pl_test_packs(&s->batch, &s->batch.limits, &s->pack, 1), 1);
    const struct pl_trainer_opts opts = {
        .limits = s->batch.limits,
        .positions = s->batch.positions,
        .adamw = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8},
    };

    if (pl_weights_create(s->model.shape, &s->moved, &err) < 0 ||
        pl_trainer_create(s->model.weights, &opts, &s->trainer, &err) < 0)
        fail_msg("%s", err.text);
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
            s->direction[j] = copysignf(step_of(s->model.flat[j]), s->grad[j]);
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
                                  ? copysignf(step_of(s->model.flat[i]), s->direction[i])
                                  : 0.0f;
        compare(s, "a random direction", 2e-4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(along_each_tensor),
        cmocka_unit_test(along_random_directions),
    };

    int failed;

    config = &LITTLE;
    elements = 100;
    failed = cmocka_run_group_tests_name("little", tests, setup, teardown);
    config = &WIDE;
    elements = 1000;
    return failed + cmocka_run_group_tests_name("wide", tests, setup, teardown);
}
