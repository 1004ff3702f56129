#include "learner/backward.h"

#include "common/base/check.h"
#include "common/base/pulse.h"
#include "common/math/gemm.h"
#include "learner/ops_grad.h"

#include <omp.h>

enum { ALIGN = 16 };

static size_t padded(size_t floats)
{
    return (floats + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static float *grad_of(const struct pl_shape *shape, enum pl_role role, size_t layer, float *flat)
{
    const struct pl_tensor *t = pl_shape_find(shape, role, layer);

    return t ? flat + t->offset : NULL;
}

/* What is multiplied as one matrix must lie as one in the flat array too. */
static void check_fused(const struct pl_shape *shape, size_t layer)
{
    const struct pl_config *c = &shape->config;
    const size_t q = c->heads * c->head_dim * c->hidden, kv = c->kv_heads * c->head_dim * c->hidden;
    const size_t at = pl_shape_find(shape, PL_ROLE_Q, layer)->offset;

    PL_ASSERT(pl_shape_find(shape, PL_ROLE_K, layer)->offset == at + q);
    PL_ASSERT(pl_shape_find(shape, PL_ROLE_V, layer)->offset == at + q + kv);
    PL_ASSERT(pl_shape_find(shape, PL_ROLE_UP, layer)->offset ==
              pl_shape_find(shape, PL_ROLE_GATE, layer)->offset + c->ffn * c->hidden);
}

void pl_grads_place(struct pl_grads *grads, const struct pl_shape *shape, float *flat)
{
    grads->flat = flat;
    grads->embed = grad_of(shape, PL_ROLE_EMBED, 0, flat);
    grads->head = shape->config.tied ? grads->embed : grad_of(shape, PL_ROLE_HEAD, 0, flat);
    grads->norm_f = grad_of(shape, PL_ROLE_NORM_F, 0, flat);
    for (size_t l = 0; l < shape->config.layers; l++) {
        check_fused(shape, l);
        grads->layers[l] = (struct pl_layer_grads){
            .qkv = grad_of(shape, PL_ROLE_Q, l, flat),
            .qkv_bias = grad_of(shape, PL_ROLE_Q_BIAS, l, flat),
            .o = grad_of(shape, PL_ROLE_O, l, flat),
            .gate_up = grad_of(shape, PL_ROLE_GATE, l, flat),
            .down = grad_of(shape, PL_ROLE_DOWN, l, flat),
            .norm1 = grad_of(shape, PL_ROLE_NORM1, l, flat),
            .norm2 = grad_of(shape, PL_ROLE_NORM2, l, flat),
        };
    }
}

static size_t gemm_floats(const struct pl_weights *w)
{
    const struct pl_layer *layer = &w->layers[0]; /* all have one shape */
    size_t most = pl_gemm_dx_scratch(&layer->qkv);

    most = larger(most, pl_gemm_dx_scratch(&layer->o));
    most = larger(most, pl_gemm_dx_scratch(&layer->gate_up));
    most = larger(most, pl_gemm_dx_scratch(&layer->down));
    return larger(most, pl_gemm_dx_scratch(&w->head));
}

static size_t place(struct pl_backward_scratch *scratch, const struct pl_weights *w, size_t R,
                    float *block)
{
    const struct pl_config *c = &w->shape->config;
    const size_t q = c->heads * c->head_dim, qkv = q + 2 * c->kv_heads * c->head_dim;
    const size_t threads = (size_t)omp_get_max_threads();
    const struct {
        float **at;
        size_t floats;
    } parts[] = {
        {&scratch->dh, R * larger(c->hidden, q)},
        {&scratch->dact, R * c->ffn},
        {&scratch->dqkv, R * qkv},
        {&scratch->attn, pl_attn_grad_scratch(threads, R, c->heads, c->head_dim)},
        {&scratch->gemm, gemm_floats(w)},
        {&scratch->norm, pl_rmsnorm_bwd_scratch(R, c->hidden)},
    };
    size_t used = 0;

    scratch->threads = threads;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].at = block ? block + used : NULL;
        used += padded(parts[i].floats);
    }
    return used;
}

size_t pl_backward_floats(const struct pl_weights *w, size_t R)
{
    struct pl_backward_scratch none;

    return place(&none, w, R, NULL);
}

void pl_backward_place(struct pl_backward_scratch *scratch, const struct pl_weights *w, size_t R,
                       float *block)
{
    place(scratch, w, R, block);
}

/* x_next = mid + down(silu(gate(h2)) up(h2)),  h2 = norm2(mid);  dx: of x_next in, of mid out */
static void backward_mlp(float *dx, const struct pl_layer_grads *g, const struct pl_layer *w,
                         const struct pl_config *c, size_t R, const struct pl_acts *acts,
                         const struct pl_backward_scratch *s)
{
    const size_t C = c->hidden, F = c->ffn;

    pl_gemm_dw(g->down, dx, C, acts->act, F, R, C, F);
    pl_gemm_dx(s->dact, F, dx, C, &w->down, R, 0.0f, s->gemm);
    pl_silu_mul_bwd(acts->gu, s->dact, acts->gu, R, F);
    pl_gemm_dw(g->gate_up, acts->gu, 2 * F, acts->h2, C, R, 2 * F, C);
    pl_gemm_dx(s->dh, C, acts->gu, 2 * F, &w->gate_up, R, 0.0f, s->gemm);
    pl_rmsnorm_bwd(dx, g->norm2, s->dh, acts->mid, w->norm2, acts->rstd2, NULL, R, C, s->norm);
    pl_pulse();
}

/* mid = x + o(attention(rope(qkv(h1)))),  h1 = norm1(x);  dx: of mid in, of x out */
static void backward_attention(float *dx, const struct pl_layer_grads *g, const struct pl_layer *w,
                               const struct pl_config *c, const struct pl_rope *rope,
                               const struct pl_pack *pack, const struct pl_acts *acts,
                               const struct pl_backward_scratch *s)
{
    const size_t R = pack->batch.rows, C = c->hidden, H = c->heads, G = c->kv_heads;
    const size_t D = c->head_dim, ld = (H + 2 * G) * D;
    const struct pl_attn_grad attn = {
        .spans = pack->batch.spans,
        .clusters = pack->clusters,
        .cluster_count = pack->cluster_count,
        .heads = H,
        .kv_heads = G,
        .head_dim = D,
        .rows = R,
        .threads = s->threads,
        .scratch = s->attn,
    };

    pl_gemm_dw(g->o, dx, C, acts->att, H * D, R, C, H * D);
    pl_gemm_dx(s->dh, H * D, dx, C, &w->o, R, 0.0f, s->gemm);
    pl_attn_bwd(s->dqkv, acts->qkv, acts->att, s->dh, acts->lse, &attn);
    pl_pulse();
    pl_rope_bwd(s->dqkv, ld, rope, pack->batch.positions, R, H + G);
    if (g->qkv_bias)
        pl_gemm_db(g->qkv_bias, s->dqkv, ld, R, ld);
    pl_gemm_dw(g->qkv, s->dqkv, ld, acts->h1, C, R, ld, C);
    pl_gemm_dx(s->dh, C, s->dqkv, ld, &w->qkv, R, 0.0f, s->gemm);
    pl_rmsnorm_bwd(dx, g->norm1, s->dh, acts->x, w->norm1, acts->rstd1, NULL, R, C, s->norm);
}

void pl_backward(float *dx, const struct pl_grads *grads, const struct pl_weights *w,
                 const struct pl_rope *rope, const struct pl_pack *pack, const struct pl_tape *tape,
                 const struct pl_backward_scratch *scratch)
{
    const struct pl_config *c = &w->shape->config;

    for (size_t l = tape->layers; l-- > 0;) {
        /* The last layer's arrays are still those of the forward. What leaves a layer is written
         * again where it was, with the same bits. */
        if (tape->recompute && l + 1 < tape->layers)
            pl_forward_layer(pl_tape_x(tape, l + 1), w, rope, l, &pack->batch, &tape->pages,
                             &tape->acts[l]);
        backward_mlp(dx, &grads->layers[l], &w->layers[l], c, pack->batch.rows, &tape->acts[l],
                     scratch);
        backward_attention(dx, &grads->layers[l], &w->layers[l], c, rope, pack, &tape->acts[l],
                           scratch);
    }
    pl_embed_bwd(grads->embed, dx, pack->batch.ids, pack->batch.rows, c->hidden);
}
