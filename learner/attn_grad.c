#include "learner/attn_grad.h"

#include "common/base/check.h"
#include "common/base/pulse.h"
#include "common/math/kernels.h"
#include "learner/grad_kernels.h"

#include <math.h>
#include <omp.h>
#include <stdbool.h>
#include <string.h>

enum {
    KEYS = 64,    /* keys of a block */
    QUERIES = 96, /* query rows of a block, a multiple of every kernel's register tile */
    LANES = 16,
};

/* One thread's arrays; W is D rounded up to whole vectors, what is past D is zero. */
struct scratch {
    size_t W;
    float *k, *kt, *vt; /* (KEYS, W), (W, KEYS), (W, KEYS) */
    float *dk, *dv;     /* (KEYS, W) */
    float *q, *dout;    /* (QUERIES, W); q scaled */
    float *dq;          /* (QUERIES, W) */
    float *p, *ds;      /* (QUERIES, KEYS) */
};

/* One (cluster, key/value head), and the arrays of the call. */
struct work {
    const struct pl_attn_grad *at;
    float *dqkv;
    const float *qkv, *dout, *lse, *delta;
    size_t ld, ldo, kv_head;
    const struct pl_kernels *kern;
    const struct pl_grad_kernels *grad;
};

/* Keys [row, row + count) at positions from `pos` on. */
struct keys {
    size_t row, count, pos;
};

static size_t width(size_t head_dim)
{
    return (head_dim + LANES - 1) / LANES * LANES;
}

static size_t thread_floats(size_t W)
{
    return 5 * KEYS * W + 3 * QUERIES * W + 2 * QUERIES * KEYS;
}

size_t pl_attn_grad_scratch(size_t threads, size_t rows, size_t heads, size_t head_dim)
{
    const size_t delta = (rows * heads + LANES - 1) / LANES * LANES;

    return delta + threads * thread_floats(width(head_dim));
}

static struct scratch scratch_place(float *block, size_t W)
{
    struct scratch s = {.W = W, .k = block};

    s.kt = s.k + KEYS * W;
    s.vt = s.kt + KEYS * W;
    s.dk = s.vt + KEYS * W;
    s.dv = s.dk + KEYS * W;
    s.q = s.dv + KEYS * W;
    s.dout = s.q + QUERIES * W;
    s.dq = s.dout + QUERIES * W;
    s.p = s.dq + QUERIES * W;
    s.ds = s.p + QUERIES * KEYS;
    memset(block, 0, thread_floats(W) * sizeof *block);
    return s;
}

static void load_keys(const struct scratch *s, const struct work *w, const struct keys *keys)
{
    const size_t D = w->at->head_dim, H = w->at->heads, G = w->at->kv_heads;
    const float *k = w->qkv + keys->row * w->ld + (H + w->kv_head) * D;
    const float *v = k + G * D;

    if (keys->count < KEYS) { /* what an earlier block left must not meet a weight of zero as NaN */
        memset(s->kt, 0, KEYS * s->W * sizeof *s->kt);
        memset(s->vt, 0, KEYS * s->W * sizeof *s->vt);
        memset(s->k, 0, KEYS * s->W * sizeof *s->k);
    }
    for (size_t j = 0; j < keys->count; j++, k += w->ld, v += w->ld) {
        memcpy(s->k + j * s->W, k, D * sizeof *k);
        for (size_t d = 0; d < D; d++) {
            s->kt[d * KEYS + j] = k[d];
            s->vt[d * KEYS + j] = v[d];
        }
    }
    memset(s->dk, 0, KEYS * s->W * sizeof *s->dk);
    memset(s->dv, 0, KEYS * s->W * sizeof *s->dv);
}

static void load_queries(const struct scratch *s, const struct work *w, size_t row, size_t rows,
                         size_t head)
{
    const size_t D = w->at->head_dim;
    const float scale = 1.0f / sqrtf((float)D);

    for (size_t i = 0; i < rows; i++) {
        const float *q = w->qkv + (row + i) * w->ld + head * D;

        for (size_t d = 0; d < D; d++)
            s->q[i * s->W + d] = q[d] * scale; /* as the forward scales it */
        memcpy(s->dout + i * s->W, w->dout + (row + i) * w->ldo + head * D, D * sizeof *q);
    }
}

/* The first block of keys a row sees is at position 0 and sets dq; later ones add to it. */
static void store_dq(const struct scratch *s, const struct work *w, size_t row, size_t rows,
                     size_t head, bool first)
{
    const size_t D = w->at->head_dim;
    const float scale = 1.0f / sqrtf((float)D);

    for (size_t i = 0; i < rows; i++) {
        float *dq = w->dqkv + (row + i) * w->ld + head * D;

        if (first)
            for (size_t d = 0; d < D; d++)
                dq[d] = s->dq[i * s->W + d] * scale;
        else
            w->grad->axpy(dq, scale, s->dq + i * s->W, D);
    }
}

/* One block of queries of one head, the first at position `pos`, against the block of keys loaded.
 */
static void block(const struct scratch *s, const struct work *w, const struct keys *keys,
                  size_t row, size_t rows, size_t pos, size_t head)
{
    const size_t W = s->W, D = w->at->head_dim;
    const size_t n = (keys->count + LANES - 1) / LANES * LANES;

    load_queries(s, w, row, rows, head);
    w->kern->tile(s->p, KEYS, s->q, W, 1, s->kt, KEYS, rows, D, n, 0);
    w->kern->tile(s->ds, KEYS, s->dout, W, 1, s->vt, KEYS, rows, D, n, 0);
    for (size_t i = 0; i < rows; i++) {
        const size_t seen = pos + i + 1 - keys->pos, at = (row + i) * w->at->heads + head;

        w->grad->weights(s->p + i * KEYS, s->ds + i * KEYS, w->lse[at], w->delta[at],
                         seen < keys->count ? seen : keys->count, n);
    }
    w->kern->tile(s->dq, W, s->ds, KEYS, 1, s->k, W, rows, n, W, 0);
    w->kern->tile(s->dv, W, s->p, 1, KEYS, s->dout, W, n, rows, W, 1);
    w->kern->tile(s->dk, W, s->ds, 1, KEYS, s->q, W, n, rows, W, 1);
    store_dq(s, w, row, rows, head, keys->pos == 0);
}

/* All rows of a span that see the block of keys, skipping those before it. */
static void span_block(const struct scratch *s, const struct work *w, const struct keys *keys,
                       const struct pl_span *span)
{
    const size_t per_kv = w->at->heads / w->at->kv_heads;
    const size_t from = keys->pos > span->pos ? keys->pos - span->pos : 0;

    for (size_t h = w->kv_head * per_kv; h < (w->kv_head + 1) * per_kv; h++)
        for (size_t i = from; i < span->rows; i += QUERIES)
            block(s, w, keys, span->row + i, span->rows - i < QUERIES ? span->rows - i : QUERIES,
                  span->pos + i, h);
}

static void store_keys(const struct scratch *s, const struct work *w, const struct keys *keys)
{
    const size_t D = w->at->head_dim, H = w->at->heads, G = w->at->kv_heads;

    for (size_t j = 0; j < keys->count; j++) {
        float *dk = w->dqkv + (keys->row + j) * w->ld + (H + w->kv_head) * D;

        memcpy(dk, s->dk + j * s->W, D * sizeof *dk);
        memcpy(dk + G * D, s->dv + j * s->W, D * sizeof *dk);
    }
}

static void cluster_head(const struct scratch *s, const struct work *w,
                         const struct pl_cluster *cluster)
{
    const struct pl_span *spans = w->at->spans + cluster->span;

    PL_ASSERT(spans[0].pos == 0);
    for (size_t owner = 0; owner < cluster->count; owner++) {
        const struct pl_span *span = &spans[owner];

        PL_ASSERT(owner == 0 || span->pos == spans[0].rows);
        for (size_t j = 0; j < span->rows; j += KEYS) {
            const struct keys keys = {span->row + j, span->rows - j < KEYS ? span->rows - j : KEYS,
                                      span->pos + j};

            load_keys(s, w, &keys);
            span_block(s, w, &keys, span);
            for (size_t other = 1; owner == 0 && other < cluster->count; other++)
                span_block(s, w, &keys, &spans[other]);
            store_keys(s, w, &keys);
        }
    }
}

void pl_attn_bwd(float *dqkv, const float *qkv, const float *out, const float *dout,
                 const float *lse, const struct pl_attn_grad *at)
{
    const size_t H = at->heads, G = at->kv_heads, D = at->head_dim, W = width(D);
    const size_t jobs = at->cluster_count * G;
    const struct pl_kernels *kern = pl_kernels();
    float *delta = at->scratch;
    float *threads = delta + (at->rows * H + LANES - 1) / LANES * LANES;

    PL_ASSERT(H % G == 0 && at->threads > 0);
#pragma omp parallel num_threads((int)at->threads)
    {
        const struct scratch s =
            scratch_place(threads + (size_t)omp_get_thread_num() * thread_floats(W), W);

#pragma omp for schedule(static)
        for (size_t r = 0; r < at->rows; r++)
            for (size_t h = 0; h < H; h++)
                delta[r * H + h] = kern->dot(dout + (r * H + h) * D, out + (r * H + h) * D, D);
#pragma omp for schedule(dynamic, 1)
        for (size_t job = 0; job < jobs; job++) {
            const struct work w = {
                .at = at,
                .dqkv = dqkv,
                .qkv = qkv,
                .dout = dout,
                .lse = lse,
                .delta = delta,
                .ld = (H + 2 * G) * D,
                .ldo = H * D,
                .kv_head = job % G,
                .kern = kern,
                .grad = pl_grad_kernels(),
            };

            cluster_head(&s, &w, &at->clusters[job / G]);
            pl_pulse();
        }
    }
}
