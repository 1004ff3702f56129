#include "common/model/weights.h"

#include "common/base/buf.h"
#include "common/base/check.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN_WORDS = 16 };

static size_t padded(size_t words)
{
    return (words + ALIGN_WORDS - 1) / ALIGN_WORDS * ALIGN_WORDS;
}

/* Take `words` 32-bit words from *at (NULL: only count them). */
static void *take(uint32_t **at, size_t *used, size_t words)
{
    void *p = *at;

    *used += padded(words);
    if (*at)
        *at += padded(words);
    return p;
}

static void mat_place(struct pl_mat *mat, size_t rows, size_t cols, uint32_t **at, size_t *used)
{
    *mat = (struct pl_mat){rows, cols, take(at, used, pl_mat_words(rows, cols))};
}

/* Lay everything out from `memory` on; returns the words it takes. With memory NULL it only counts.
 */
static size_t place(struct pl_weights *w, const struct pl_config *c, uint32_t *memory)
{
    const size_t qkv = (c->heads + 2 * c->kv_heads) * c->head_dim;
    uint32_t *at = memory;
    size_t used = 0;

    mat_place(&w->embed, c->vocab, c->hidden, &at, &used);
    for (size_t l = 0; l < c->layers; l++) {
        struct pl_layer layer = {0};

        mat_place(&layer.qkv, qkv, c->hidden, &at, &used);
        mat_place(&layer.o, c->hidden, c->heads * c->head_dim, &at, &used);
        mat_place(&layer.gate_up, 2 * c->ffn, c->hidden, &at, &used);
        mat_place(&layer.down, c->hidden, c->ffn, &at, &used);
        layer.norm1 = take(&at, &used, c->hidden);
        layer.norm2 = take(&at, &used, c->hidden);
        layer.qkv_bias = c->qkv_bias ? take(&at, &used, qkv) : NULL;
        if (w->layers)
            w->layers[l] = layer;
    }
    w->norm_f = take(&at, &used, c->hidden);
    if (c->tied)
        w->head = w->embed;
    else
        mat_place(&w->head, c->vocab, c->hidden, &at, &used);
    return used;
}

size_t pl_weights_bytes(const struct pl_shape *shape)
{
    struct pl_weights none = {0};

    return place(&none, &shape->config, NULL) * sizeof(uint32_t);
}

int pl_weights_outline(const struct pl_shape *shape, struct pl_weights **ret_weights,
                       struct pl_error *err)
{
    struct pl_weights *w = calloc(1, sizeof *w);

    if (w) {
        w->shape = shape;
        w->layers = calloc(shape->config.layers, sizeof *w->layers);
    }
    if (!w || !w->layers) {
        pl_weights_destroy(w);
        return pl_fail(err, PL_ENOMEM, "no memory for a list of %zu layers", shape->config.layers);
    }
    place(w, &shape->config, NULL);
    *ret_weights = w;
    return PL_OK;
}

int pl_weights_create(const struct pl_shape *shape, struct pl_weights **ret_weights,
                      struct pl_error *err)
{
    const size_t bytes = pl_weights_bytes(shape);
    struct pl_weights *w = NULL;
    int rc = pl_weights_outline(shape, &w, err);

    if (rc < 0)
        return rc;
    w->memory = pl_alloc(bytes, 1);
    if (!w->memory) {
        pl_weights_destroy(w);
        return pl_fail(err, PL_ENOMEM, "no memory for the weights: %zu bytes", bytes);
    }
    place(w, &shape->config, w->memory);
    *ret_weights = w;
    return PL_OK;
}

void pl_weights_destroy(struct pl_weights *weights)
{
    if (!weights)
        return;
    free(weights->memory);
    free(weights->layers);
    free(weights);
}

/* Where a tensor's values are: rows of a matrix from `row` on, or a vector. */
struct spot {
    const struct pl_mat *mat;
    size_t row;
    float *vector;
};

static struct spot spot_of(const struct pl_weights *w, const struct pl_tensor *t)
{
    const struct pl_config *c = &w->shape->config;
    const struct pl_layer *layer = &w->layers[t->layer];
    const size_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;

    switch (t->role) {
    case PL_ROLE_EMBED:
        return (struct spot){.mat = &w->embed};
    case PL_ROLE_NORM1:
        return (struct spot){.vector = layer->norm1};
    case PL_ROLE_Q:
        return (struct spot){.mat = &layer->qkv};
    case PL_ROLE_K:
        return (struct spot){.mat = &layer->qkv, .row = q};
    case PL_ROLE_V:
        return (struct spot){.mat = &layer->qkv, .row = q + kv};
    case PL_ROLE_Q_BIAS:
        return (struct spot){.vector = layer->qkv_bias};
    case PL_ROLE_K_BIAS:
        return (struct spot){.vector = layer->qkv_bias + q};
    case PL_ROLE_V_BIAS:
        return (struct spot){.vector = layer->qkv_bias + q + kv};
    case PL_ROLE_O:
        return (struct spot){.mat = &layer->o};
    case PL_ROLE_NORM2:
        return (struct spot){.vector = layer->norm2};
    case PL_ROLE_GATE:
        return (struct spot){.mat = &layer->gate_up};
    case PL_ROLE_UP:
        return (struct spot){.mat = &layer->gate_up, .row = c->ffn};
    case PL_ROLE_DOWN:
        return (struct spot){.mat = &layer->down};
    case PL_ROLE_NORM_F:
        return (struct spot){.vector = w->norm_f};
    case PL_ROLE_HEAD:
        return (struct spot){.mat = &w->head};
    }
    PL_ASSERT(!"a role that is in no model");
    return (struct spot){0};
}

void pl_weights_set(struct pl_weights *weights, const struct pl_tensor *tensor, size_t row,
                    size_t rows, const uint16_t *values)
{
    const struct spot at = spot_of(weights, tensor);

    PL_ASSERT(row + rows <= tensor->rows);
    if (at.mat) {
        pl_mat_set(at.mat, at.row + row, rows, values);
        return;
    }
    for (size_t r = 0; r < rows; r++)
        at.vector[row + r] = pl_bf16_widen(values[r]);
}

void pl_weights_get(const struct pl_weights *weights, const struct pl_tensor *tensor, size_t row,
                    size_t rows, uint16_t *ret_values)
{
    const struct spot at = spot_of(weights, tensor);

    PL_ASSERT(row + rows <= tensor->rows);
    if (at.mat) {
        pl_mat_get(at.mat, at.row + row, rows, ret_values);
        return;
    }
    for (size_t r = 0; r < rows; r++)
        ret_values[r] = pl_bf16_round(at.vector[row + r]);
}

/* Whole panels are packed by all threads at once (pl_mat_set_f32). */
void pl_weights_set_flat(struct pl_weights *weights, const float *flat)
{
    const struct pl_shape *shape = weights->shape;

    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];
        const struct spot at = spot_of(weights, t);

        if (at.mat) {
            pl_mat_set_f32(at.mat, at.row, t->rows, flat + t->offset);
            continue;
        }
        for (size_t r = 0; r < t->rows; r++)
            at.vector[r] = pl_bf16_widen(pl_bf16_round(flat[t->offset + r]));
    }
}

void pl_weights_get_flat(const struct pl_weights *weights, float *ret_flat)
{
    const struct pl_shape *shape = weights->shape;

    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];
        const struct spot at = spot_of(weights, t);

        if (at.mat)
            pl_mat_rows(at.mat, at.row, t->rows, ret_flat + t->offset);
        else
            memcpy(ret_flat + t->offset, at.vector, t->rows * sizeof *ret_flat);
    }
}
