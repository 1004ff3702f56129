#include "actor/trial.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PACE_MAX = 7 }; /* prompt tokens a round of those that are not the subject */

struct pl_config pl_trial_config(void)
{
    return (struct pl_config){.arch = PL_ARCH_QWEN2,
                              .hidden = 72,
                              .layers = 2,
                              .heads = 6,
                              .kv_heads = 2,
                              .head_dim = 20,
                              .ffn = 300,
                              .vocab = 257,
                              .positions_max = 4096,
                              .rope_theta = 10000.0,
                              .rms_eps = 1e-6f,
                              .tied = true,
                              .qkv_bias = true,
                              .init_range = 0.02,
                              .bos = -1,
                              .pad = -1};
}

/* Matrices keep the size of what they multiply, biases and norms differ from element to element. */
static void fill(const struct pl_shape *shape, uint64_t seed, float *flat)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];
        const struct pl_rng rng = {
            .seed = seed, .batch = (uint32_t)PL_RNG_INIT, .prompt = (uint32_t)i};
        const bool norm =
            t->role == PL_ROLE_NORM1 || t->role == PL_ROLE_NORM2 || t->role == PL_ROLE_NORM_F;
        double scale = t->rank == 2 ? sqrt(3.0 / (double)t->cols) : 0.3;

        if (t->role == PL_ROLE_EMBED || t->role == PL_ROLE_HEAD)
            scale = 0.5;
        for (size_t j = 0; j < pl_tensor_size(t); j++) {
            const double u = 2.0 * pl_rng_unit(&rng, (uint32_t)j) - 1.0;

            flat[t->offset + j] = (float)(norm ? 1.0 + scale * u : scale * u);
        }
    }
}

int pl_trial_weights(const struct pl_config *config, uint64_t seed, struct pl_shape **ret_shape,
                     struct pl_weights **ret_weights, struct pl_error *err)
{
    struct pl_shape *shape = NULL;
    float *flat = NULL;
    int rc = pl_shape_create(config, &shape, err);

    if (rc < 0)
        return rc;
    flat = pl_alloc(shape->floats, sizeof *flat);
    rc = flat ? pl_weights_create(shape, ret_weights, err)
              : pl_fail(err, PL_ENOMEM, "trial: no memory for %zu weights", shape->floats);
    if (rc < 0) {
        pl_shape_destroy(shape);
    } else {
        fill(shape, seed, flat);
        pl_weights_set_flat(*ret_weights, flat);
        *ret_shape = shape;
    }
    free(flat);
    return rc;
}

static int memory_create(struct pl_trial *t, struct pl_error *err)
{
    const struct pl_config *c = &t->shape->config;
    const size_t R = t->rows_max, B = t->batch_max;

    t->ids = pl_alloc(B * t->tokens, sizeof *t->ids);
    t->batch_ids = pl_alloc(R, sizeof *t->batch_ids);
    t->positions = pl_alloc(R, sizeof *t->positions);
    t->spans = pl_alloc(B, sizeof *t->spans);
    t->slots = pl_alloc(B, sizeof *t->slots);
    t->at = pl_alloc(B, sizeof *t->at);
    t->x = pl_alloc(R * c->hidden, sizeof *t->x);
    t->h = pl_alloc(R * c->hidden, sizeof *t->h);
    t->block = pl_alloc(pl_acts_floats(c, R), sizeof *t->block);
    t->logits = pl_alloc(R * c->vocab, sizeof *t->logits);
    if (!t->ids || !t->batch_ids || !t->positions || !t->spans || !t->slots || !t->at || !t->x ||
        !t->h || !t->block || !t->logits)
        return pl_fail(err, PL_ENOMEM, "trial: no memory for %zu rows", R);
    pl_acts_place(&t->acts, c, R, t->block);
    return PL_OK;
}

int pl_trial_create(const struct pl_config *config, uint64_t seed, size_t batch_max, size_t tokens,
                    struct pl_trial **ret_trial, struct pl_error *err)
{
    const struct pl_kv_opts kv = {.layers = config->layers,
                                  .kv_heads = config->kv_heads,
                                  .head_dim = config->head_dim,
                                  .pages = batch_max * pl_kv_pages_for(tokens),
                                  .slots = batch_max,
                                  .positions = tokens};
    const struct pl_rng rng = {.seed = seed, .batch = (uint32_t)PL_RNG_TEST};
    struct pl_trial *t = calloc(1, sizeof *t);
    int rc;

    PL_ASSERT(batch_max > 0 && tokens > 1);
    if (!t)
        return pl_fail(err, PL_ENOMEM, "trial: no memory");
    t->batch_max = batch_max;
    t->tokens = tokens;
    t->rows_max = tokens + batch_max * PACE_MAX;
    rc = pl_trial_weights(config, seed, &t->shape, &t->weights, err);
    if (rc == PL_OK)
        rc = pl_rope_create(config, tokens, &t->rope, err);
    if (rc == PL_OK)
        rc = pl_kv_create(&kv, &t->kv, err);
    if (rc == PL_OK)
        rc = memory_create(t, err);
    if (rc < 0) {
        pl_trial_destroy(t);
        return rc;
    }
    for (size_t i = 0; i < batch_max * tokens; i++)
        t->ids[i] = (uint32_t)pl_rng_below(&rng, (uint32_t)i, config->vocab);
    *ret_trial = t;
    return PL_OK;
}

void pl_trial_destroy(struct pl_trial *t)
{
    if (!t)
        return;
    free(t->logits);
    free(t->block);
    free(t->h);
    free(t->x);
    free(t->at);
    free(t->slots);
    free(t->spans);
    free(t->positions);
    free(t->batch_ids);
    free(t->ids);
    pl_kv_destroy(t->kv);
    pl_rope_destroy(t->rope);
    pl_weights_destroy(t->weights);
    pl_shape_destroy(t->shape);
    free(t);
}

/* Sequence i's token at a position. The subject's ids stand in row 0, whatever its place in the
 * batch. */
static uint32_t id_at(const struct pl_trial *t, const struct pl_trial_case *how, size_t i,
                      size_t pos)
{
    const size_t row = i == how->at ? 0 : i < how->at ? i + 1 : i;

    if (how->shared && pos < how->prompt)
        return t->ids[pos];
    return t->ids[row * t->tokens + pos];
}

/* How many tokens of sequence i the next round computes. */
static size_t pace(const struct pl_trial *t, const struct pl_trial_case *how, size_t i)
{
    const size_t at = t->at[i];
    const bool leads = i == how->at || (how->shared && i == 0);
    const size_t chunk = leads ? how->chunk : 1 + i % PACE_MAX;
    /* those that are not the subject have prompts and lengths of their own */
    const size_t prompt = leads || how->shared ? how->prompt : 1 + i * 5 % t->tokens;
    const size_t len = i == how->at ? t->tokens : t->tokens - i % 3;

    if (how->shared && i > 0 && at == 0)
        return 0; /* waits for number 0 */
    if (at >= len)
        return 0;
    if (at >= prompt)
        return 1;
    return prompt - at < chunk ? prompt - at : chunk;
}

static void compute(struct pl_trial *t, size_t rows, size_t span_count)
{
    const struct pl_batch batch = {.ids = t->batch_ids,
                                   .positions = t->positions,
                                   .rows = rows,
                                   .spans = t->spans,
                                   .span_count = span_count};

    pl_forward(t->x, t->weights, t->rope, &batch, &t->kv->pages, &t->acts);
    pl_forward_head(t->logits, t->h, NULL, t->weights, t->x, NULL, rows);
}

/* One forward over the next tokens of every sequence; the subject's logits go to ret_logits. */
static void round_run(struct pl_trial *t, const struct pl_trial_case *how, float *ret_logits)
{
    const size_t V = t->shape->config.vocab;
    size_t rows = 0, spans = 0, subject_row = 0, subject_rows = 0, subject_pos = 0;

    for (size_t i = 0; i < how->batch; i++) {
        const size_t n = pace(t, how, i), pos = t->at[i];

        if (n == 0)
            continue;
        pl_kv_extend(t->kv, t->slots[i], pos + n);
        t->spans[spans++] = (struct pl_span){
            .pages = pl_kv_table(t->kv, t->slots[i]), .row = rows, .rows = n, .pos = pos};
        if (i == how->at || (how->shared && i == 0 && pos < how->prompt)) {
            subject_row = rows;
            subject_rows = n;
            subject_pos = pos;
        }
        for (size_t j = 0; j < n; j++, rows++) {
            t->batch_ids[rows] = id_at(t, how, i, pos + j);
            t->positions[rows] = (uint32_t)(pos + j);
        }
        t->at[i] += n;
    }
    compute(t, rows, spans);
    memcpy(ret_logits + subject_pos * V, t->logits + subject_row * V,
           subject_rows * V * sizeof *ret_logits);
}

void pl_trial_run(struct pl_trial *t, const struct pl_trial_case *how, float *ret_logits)
{
    PL_ASSERT(how->batch >= 1 && how->batch <= t->batch_max && how->at < how->batch);
    PL_ASSERT(how->prompt >= 1 && how->prompt <= t->tokens && how->chunk >= 1);
    memset(t->at, 0, t->batch_max * sizeof *t->at);
    if (how->shared) {
        const int rc = pl_kv_claim(t->kv, how->prompt, t->tokens, how->batch, t->slots);

        PL_ASSERT(rc == PL_OK);
    } else {
        for (size_t i = 0; i < how->batch; i++) {
            const int rc = pl_kv_claim(t->kv, t->tokens, t->tokens, 1, &t->slots[i]);

            PL_ASSERT(rc == PL_OK);
        }
    }
    while (t->at[how->at] < t->tokens) {
        round_run(t, how, ret_logits);
        for (size_t i = 1; how->shared && t->at[0] == how->prompt && i < how->batch; i++) {
            if (t->at[i] > 0)
                continue;
            pl_kv_fork(t->kv, t->slots[0], t->slots[i], how->prompt);
            t->at[i] = how->prompt;
        }
    }
    for (size_t i = 0; i < how->batch; i++)
        pl_kv_release(t->kv, t->slots[i]);
}
