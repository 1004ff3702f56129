#include "learner/head.h"

#include "common/base/check.h"
#include "common/base/pulse.h"
#include "common/math/gemm.h"
#include "learner/grad_kernels.h"
#include "learner/ops_grad.h"

#include <string.h>

enum {
    BLOCK_ROWS = 192, /* chunks are whole blocks of rows, which the products like best */
    CHUNK_MAX = 768,
};

size_t pl_head_chunk(const struct pl_config *config, size_t bytes, size_t rows)
{
    size_t chunk = bytes / sizeof(float) / config->vocab / BLOCK_ROWS * BLOCK_ROWS;

    chunk = chunk < BLOCK_ROWS ? BLOCK_ROWS : chunk > CHUNK_MAX ? CHUNK_MAX : chunk;
    return chunk < rows ? chunk : rows;
}

static size_t place(struct pl_head_scratch *s, const struct pl_config *c, size_t chunk,
                    size_t predictions, void *block)
{
    size_t used = 0;

    s->at.chunk = chunk;
    s->logits = pl_head_take(block, &used, chunk * c->vocab * sizeof(float));
    s->h = pl_head_take(block, &used, chunk * c->hidden * sizeof(float));
    s->dh = pl_head_take(block, &used, chunk * c->hidden * sizeof(float));
    s->rstd = pl_head_take(block, &used, chunk * sizeof(float));
    s->lse = pl_head_take(block, &used, chunk * sizeof(double));
    s->entropy = pl_head_take(block, &used, chunk * sizeof(float));
    s->at.rows = pl_head_take(block, &used, chunk * sizeof(uint32_t));
    s->at.first = pl_head_take(block, &used, (chunk + 1) * sizeof(uint32_t));
    s->dlogp = pl_head_take(block, &used, predictions * sizeof(float));
    s->dentropy = pl_head_take(block, &used, predictions * sizeof(float));
    return used;
}

size_t pl_head_bytes(const struct pl_config *config, size_t chunk, size_t predictions)
{
    struct pl_head_scratch none;

    return place(&none, config, chunk, predictions, NULL);
}

void pl_head_place(struct pl_head_scratch *scratch, const struct pl_config *config, size_t chunk,
                   size_t predictions, void *block)
{
    place(scratch, config, chunk, predictions, block);
}

/* Logits of the chunk's rows. */
static void project_rows(const struct pl_weights *w, const float *x, size_t n,
                         const struct pl_head_scratch *s)
{
    pl_forward_head(s->logits, s->h, s->rstd, w, x, s->at.rows, n);
}

static bool tempers(const struct pl_pack *pack)
{
    return pack->temperature > 0.0f && pack->temperature != 1.0f;
}

/* The logits become tempered; log-probabilities and entropies are of those. */
static void score_rows(float *logp, float *entropy, const struct pl_pack *pack, size_t V, size_t n,
                       const struct pl_head_scratch *s)
{
    const struct pl_grad_kernels *kern = pl_grad_kernels();

#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n; i++) {
        float *z = s->logits + i * V;

        if (tempers(pack))
            pl_temper(z, z, pack->temperature, V);
        s->lse[i] = pl_logsumexp(z, V);
        if (entropy)
            s->entropy[i] = (float)-kern->neg_entropy(z, (float)s->lse[i], V);
        for (size_t p = s->at.first[i]; p < s->at.first[i + 1]; p++) {
            logp[p] = (float)((double)z[pack->predictions[p].target] - s->lse[i]);
            if (entropy)
                entropy[p] = s->entropy[i];
        }
    }
    pl_pulse();
}

/* Logits of one row to their gradient. */
static void row_grad(float *z, size_t V, size_t i, const struct pl_pack *pack, bool entropy,
                     const struct pl_head_scratch *s)
{
    float slope = 0.0f, entropy_slope = 0.0f;

    for (size_t p = s->at.first[i]; p < s->at.first[i + 1]; p++) {
        slope += s->dlogp[p];
        if (entropy)
            entropy_slope += s->dentropy[p];
    }
    const float shift = entropy ? entropy_slope * s->entropy[i] : 0.0f;

    pl_grad_kernels()->softmax(z, (float)s->lse[i], -slope - shift, entropy_slope, V);
    for (size_t p = s->at.first[i]; p < s->at.first[i + 1]; p++)
        z[pack->predictions[p].target] += s->dlogp[p];
    if (tempers(pack))
        pl_temper(z, z, pack->temperature, V); /* du = dz / T */
}

static void chunk_grad(float *dx, const struct pl_grads *grads, const struct pl_weights *w,
                       const float *x, const struct pl_pack *pack, size_t n, bool entropy,
                       const struct pl_head_scratch *s)
{
    const size_t V = w->shape->config.vocab, C = w->shape->config.hidden;

#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n; i++)
        row_grad(s->logits + i * V, V, i, pack, entropy, s);
    pl_gemm_dx(s->dh, C, s->logits, V, &w->head, n, 0.0f, s->gemm);
    pl_pulse();
    pl_gemm_dw(grads->head, s->logits, V, s->h, C, n, V, C);
    pl_rmsnorm_bwd(dx, grads->norm_f, s->dh, x, w->norm_f, s->rstd, s->at.rows, n, C, s->norm);
    pl_pulse();
}

void pl_head_score(float *logp, float *entropy, const struct pl_weights *w, const float *x,
                   const struct pl_pack *pack, const struct pl_head_scratch *scratch)
{
    for (size_t p = 0; p < pack->prediction_count;) {
        const size_t n = pl_head_rows_next(&scratch->at, pack, p);

        project_rows(w, x, n, scratch);
        score_rows(logp, entropy, pack, w->shape->config.vocab, n, scratch);
        p = scratch->at.first[n];
    }
}

void pl_head_watched(float *logp, const struct pl_weights *w, const float *x,
                     const struct pl_pack *pack, const struct pl_head_watch *watch,
                     const struct pl_head_scratch *scratch)
{
    for (size_t p = 0; p < pack->prediction_count;) {
        const size_t n = pl_head_rows_next(&scratch->at, pack, p);

        project_rows(w, x, n, scratch);
        watch->rows(watch->at, scratch->logits, scratch->at.first, n);
        score_rows(logp, NULL, pack, w->shape->config.vocab, n, scratch);
        p = scratch->at.first[n];
    }
}

void pl_head_loss(float *logp, float *entropy, float *dx, const struct pl_grads *grads,
                  const struct pl_weights *w, const float *x, const struct pl_pack *pack,
                  const struct pl_objective *objective, const struct pl_head_scratch *scratch)
{
    const bool with_entropy = objective->entropy;

    PL_ASSERT(!with_entropy || entropy);
    memset(dx, 0, pack->batch.rows * w->shape->config.hidden * sizeof *dx);
    for (size_t p = 0; p < pack->prediction_count;) {
        const size_t n = pl_head_rows_next(&scratch->at, pack, p), end = scratch->at.first[n];

        project_rows(w, x, n, scratch);
        score_rows(logp, with_entropy ? entropy : NULL, pack, w->shape->config.vocab, n, scratch);
        objective->slopes(objective->at,
                          &(struct pl_slopes){
                              .predictions = pack->predictions + p,
                              .first = p,
                              .n = end - p,
                              .logp = logp + p,
                              .entropy = with_entropy ? entropy + p : NULL,
                              .dlogp = scratch->dlogp + p,
                              .dentropy = with_entropy ? scratch->dentropy + p : NULL,
                          });
        chunk_grad(dx, grads, w, x, pack, n, with_entropy, scratch);
        p = end;
    }
}
