#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/model.h"

#include "common/base/buf.h"
#include "common/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double uniform(const struct pl_rng *rng, size_t i)
{
    return 2.0 * pl_rng_unit(rng, (uint32_t)i) - 1.0;
}

static double value_of(const struct pl_tensor *t, double u)
{
    switch (t->role) {
    case PL_ROLE_NORM1:
    case PL_ROLE_NORM2:
    case PL_ROLE_NORM_F:
        return 1.0 + 0.3 * u;
    case PL_ROLE_Q_BIAS:
    case PL_ROLE_K_BIAS:
    case PL_ROLE_V_BIAS:
        return 0.5 * u;
    default:
        return u * (2.0 / sqrt((double)t->cols));
    }
}

void pl_test_model_create(struct pl_test_model *model, const struct pl_config *config,
                          uint64_t seed)
{
    struct pl_error err;

    if (pl_shape_create(config, &model->shape, &err) < 0 ||
        pl_weights_create(model->shape, &model->weights, &err) < 0)
        fail_msg("%s", err.text);
    model->flat = pl_alloc(model->shape->floats, sizeof *model->flat);
    assert_non_null(model->flat);
    for (size_t i = 0; i < model->shape->count; i++) {
        const struct pl_tensor *t = &model->shape->tensors[i];
        const struct pl_rng rng = {seed, (uint32_t)PL_RNG_TEST, (uint32_t)i, 0};

        for (size_t j = 0; j < pl_tensor_size(t); j++)
            model->flat[t->offset + j] =
                pl_bf16_widen(pl_bf16_round((float)value_of(t, uniform(&rng, j))));
    }
    pl_weights_set_flat(model->weights, model->flat);
}

void pl_test_model_destroy(struct pl_test_model *model)
{
    pl_weights_destroy(model->weights);
    pl_shape_destroy(model->shape);
    free(model->flat);
}

float pl_test_step(float w)
{
    int exponent;
    const float fraction = frexpf(fabsf(w), &exponent), step = ldexpf(1.0f, exponent - 8);

    if (w == 0.0f || fraction < 0.5f + 2.0f / 256.0f || fraction > 1.0f - 3.0f / 256.0f)
        return 0.0f;
    return step;
}

double pl_test_slope_along(const struct pl_test_model *model, const float *direction,
                           struct pl_weights *moved,
                           double (*loss)(const void *at, const struct pl_weights *weights),
                           const void *at)
{
    static const float steps[] = {1.0f, -1.0f, 2.0f, -2.0f};
    const size_t n = model->shape->floats;
    float *flat = malloc(n * sizeof *flat);
    double f[4];

    assert_non_null(flat);
    for (size_t k = 0; k < 4; k++) {
        for (size_t i = 0; i < n; i++)
            flat[i] = model->flat[i] + steps[k] * direction[i];
        pl_weights_set_flat(moved, flat);
        f[k] = loss(at, moved);
    }
    free(flat);
    return (8.0 * (f[0] - f[1]) - (f[2] - f[3])) / 12.0;
}

void pl_test_batch_measure(struct pl_test_batch *batch)
{
    batch->samples = batch->tokens = batch->positions = 0;
    batch->limits = (struct pl_pack_limits){0, 0};
    for (size_t g = 0; g < batch->group_count; g++) {
        const struct pl_group *group = &batch->groups[g];

        batch->limits.rows += pl_group_rows(group, 0, group->count);
        batch->samples += group->count;
        for (size_t i = 0; i < group->count; i++) {
            const size_t whole = group->prompt_len + group->responses[i].len;

            batch->tokens += group->responses[i].len;
            batch->positions = whole > batch->positions ? whole : batch->positions;
        }
    }
    batch->limits.samples = batch->samples;
}

void pl_test_batch_make(struct pl_test_batch *batch, const struct pl_test_lengths *lengths,
                        size_t count, size_t vocab, uint32_t seed)
{
    const struct pl_rng rng = {.seed = seed, .batch = (uint32_t)PL_RNG_TEST, .prompt = 1000};
    size_t at = 0, sample = 0;

    assert_true(count <= PL_TEST_GROUPS);
    for (size_t i = 0; i < PL_TEST_IDS; i++)
        batch->ids[i] = (uint32_t)pl_rng_below(&rng, (uint32_t)i, vocab);
    for (size_t g = 0; g < count; g++) {
        struct pl_group *group = &batch->groups[g];

        *group =
            (struct pl_group){batch->ids + at, lengths[g].prompt, batch->responses + sample, 0};
        at += lengths[g].prompt;
        for (size_t i = 0; i < PL_TEST_RESPONSES && lengths[g].responses[i] > 0; i++) {
            batch->responses[sample++] =
                (struct pl_pack_response){batch->ids + at, lengths[g].responses[i]};
            at += lengths[g].responses[i];
            group->count++;
        }
    }
    assert_true(at <= PL_TEST_IDS);
    batch->group_count = count;
    pl_test_batch_measure(batch);
}

size_t pl_test_packs(const struct pl_test_batch *batch, const struct pl_pack_limits *limits,
                     struct pl_pack **ret_packs, size_t most)
{
    uint32_t sample = 0;
    size_t count = 0;

    for (size_t g = 0; g < batch->group_count; g++)
        for (size_t from = 0; from < batch->groups[g].count;) {
            size_t n =
                count > 0 ? pl_pack_add(ret_packs[count - 1], &batch->groups[g], from, sample) : 0;

            if (n == 0) {
                struct pl_error err;

                assert_true(count < most);
                if (pl_pack_create(limits, &ret_packs[count], &err) < 0)
                    fail_msg("%s", err.text);
                n = pl_pack_add(ret_packs[count++], &batch->groups[g], from, sample);
                assert_true(n > 0);
            }
            from += n;
            sample += (uint32_t)n;
        }
    return count;
}
