#include "common/model/forward.h"

#include "common/base/check.h"
#include "common/base/pulse.h"
#include "common/math/gemm.h"

enum { ALIGN = 16 };

static size_t padded(size_t floats)
{
    return (floats + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t qkv_width(const struct pl_config *c)
{
    return (c->heads + 2 * c->kv_heads) * c->head_dim;
}

/* The buffers of struct pl_acts in order, with the floats that a row takes in each. */
static size_t place(struct pl_acts *acts, const struct pl_config *c, size_t R, float *block)
{
    const size_t q = c->heads * c->head_dim;
    struct {
        float **at;
        size_t width;
    } const parts[] = {
        {&acts->x, c->hidden},      {&acts->rstd1, 1},    {&acts->h1, c->hidden},
        {&acts->qkv, qkv_width(c)}, {&acts->att, q},      {&acts->lse, c->heads},
        {&acts->mid, c->hidden},    {&acts->rstd2, 1},    {&acts->h2, c->hidden},
        {&acts->gu, 2 * c->ffn},    {&acts->act, c->ffn},
    };
    size_t used = 0;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].at = block ? block + used : NULL;
        used += padded(parts[i].width * R);
    }
    return used;
}

size_t pl_acts_floats(const struct pl_config *config, size_t R)
{
    struct pl_acts none;

    return place(&none, config, R, NULL);
}

void pl_acts_place(struct pl_acts *acts, const struct pl_config *config, size_t R, float *block)
{
    place(acts, config, R, block);
}

void pl_forward_layer(float *x_next, const struct pl_weights *w, const struct pl_rope *rope,
                      size_t layer, const struct pl_batch *batch, const struct pl_pages *pages,
                      struct pl_acts *acts)
{
    const struct pl_config *c = &w->shape->config;
    const struct pl_layer *lw = &w->layers[layer];
    const size_t R = batch->rows, C = c->hidden, D = c->head_dim, H = c->heads, G = c->kv_heads;
    const size_t ld = qkv_width(c), F = c->ffn;
    const struct pl_span *stores = batch->stores ? batch->stores : batch->spans;
    const size_t store_count = batch->stores ? batch->store_count : batch->span_count;
    float *k = acts->qkv + H * D, *v = k + G * D;

    pl_rmsnorm(acts->h1, acts->rstd1, acts->x, lw->norm1, c->rms_eps, R, C);
    pl_gemm(acts->qkv, ld, acts->h1, C, &lw->qkv, R, lw->qkv_bias, 0);
    pl_rope_apply(acts->qkv, ld, rope, batch->positions, R, H + G);
    pl_attn_store(pages, layer, stores, store_count, k, v, ld);
    pl_attn(acts->att, H * D, acts->lse, acts->qkv, ld, pages, layer, batch->spans,
            batch->span_count, H);
    pl_pulse();
    pl_gemm(acts->mid, C, acts->att, H * D, &lw->o, R, acts->x, C);
    pl_rmsnorm(acts->h2, acts->rstd2, acts->mid, lw->norm2, c->rms_eps, R, C);
    pl_gemm(acts->gu, 2 * F, acts->h2, C, &lw->gate_up, R, NULL, 0);
    pl_silu_mul(acts->act, acts->gu, R, F);
    pl_gemm(x_next, C, acts->act, F, &lw->down, R, acts->mid, C);
    pl_pulse();
}

void pl_forward(float *x, const struct pl_weights *w, const struct pl_rope *rope,
                const struct pl_batch *batch, const struct pl_pages *pages, struct pl_acts *acts)
{
    struct pl_acts own = *acts;

    own.x = x;
    pl_embed(x, &w->embed, batch->ids, batch->rows);
    for (size_t l = 0; l < w->shape->config.layers; l++)
        pl_forward_layer(x, w, rope, l, batch, pages, &own);
}

void pl_forward_norm(float *h, float *rstd, const struct pl_weights *w, const float *x,
                     const uint32_t *rows, size_t n)
{
    const struct pl_config *c = &w->shape->config;
    const size_t C = c->hidden;

    for (size_t i = 0; i < n; i++)
        pl_rmsnorm(h + i * C, rstd ? rstd + i : NULL, x + (rows ? rows[i] : i) * C, w->norm_f,
                   c->rms_eps, 1, C);
}

void pl_forward_head(float *logits, float *h, float *rstd, const struct pl_weights *w,
                     const float *x, const uint32_t *rows, size_t n)
{
    const struct pl_config *c = &w->shape->config;

    pl_forward_norm(h, rstd, w, x, rows, n);
    pl_gemm(logits, c->vocab, h, c->hidden, &w->head, n, NULL, 0);
}
