#include "learner/value.h"

#include "common/base/check.h"
#include "common/model/forward.h"
#include "learner/grad_kernels.h"
#include "learner/ops_grad.h"

#include <stdio.h>
#include <string.h>

enum {
    CHUNK_MAX = 768,
    COLUMNS = 256, /* of the weight's gradient that one thread adds up at a time */
};

void pl_value_tensors(const struct pl_shape *shape, struct pl_tensor ret[PL_VALUE_TENSORS])
{
    const size_t C = shape->config.hidden;

    memset(ret, 0, PL_VALUE_TENSORS * sizeof *ret); /* they have no role in the model */
    ret[0].rank = 2;
    ret[0].rows = 1;
    ret[0].cols = C;
    ret[0].offset = shape->floats;
    snprintf(ret[0].name, sizeof ret[0].name, "score.weight");
    ret[1].rank = 1;
    ret[1].rows = ret[1].cols = 1;
    ret[1].offset = shape->floats + C;
    snprintf(ret[1].name, sizeof ret[1].name, "score.bias");
}

size_t pl_value_floats(const struct pl_config *config)
{
    return config->hidden + 1;
}

static size_t place(struct pl_value_scratch *s, const struct pl_config *c, size_t rows,
                    size_t predictions, void *block)
{
    const size_t chunk = rows < CHUNK_MAX ? rows : CHUNK_MAX;
    size_t used = 0;

    s->at.chunk = chunk;
    s->h = pl_head_take(block, &used, chunk * c->hidden * sizeof(float));
    s->dh = pl_head_take(block, &used, chunk * c->hidden * sizeof(float));
    s->rstd = pl_head_take(block, &used, chunk * sizeof(float));
    s->slope = pl_head_take(block, &used, chunk * sizeof(float));
    s->at.rows = pl_head_take(block, &used, chunk * sizeof(uint32_t));
    s->at.first = pl_head_take(block, &used, (chunk + 1) * sizeof(uint32_t));
    s->dvalue = pl_head_take(block, &used, predictions * sizeof(float));
    return used;
}

size_t pl_value_bytes(const struct pl_config *config, size_t rows, size_t predictions)
{
    struct pl_value_scratch none;

    return place(&none, config, rows, predictions, NULL);
}

void pl_value_place(struct pl_value_scratch *scratch, const struct pl_config *config, size_t rows,
                    size_t predictions, void *block)
{
    place(scratch, config, rows, predictions, block);
}

static void score_rows(float *value, const struct pl_value_head *head, const struct pl_weights *w,
                       const float *x, size_t n, const struct pl_value_scratch *s)
{
    const size_t C = w->shape->config.hidden;

    pl_forward_norm(s->h, s->rstd, w, x, s->at.rows, n);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n; i++) {
        const float v = pl_dot(head->w, s->h + i * C, C) + head->b[0];

        for (size_t p = s->at.first[i]; p < s->at.first[i + 1]; p++)
            value[p] = v;
    }
}

static void chunk_grad(float *dx, const struct pl_value_head *head, const struct pl_grads *grads,
                       const struct pl_weights *w, const float *x, size_t n,
                       const struct pl_value_scratch *s)
{
    const struct pl_grad_kernels *kern = pl_grad_kernels();
    const size_t C = w->shape->config.hidden;

    for (size_t i = 0; i < n; i++) {
        s->slope[i] = 0.0f;
        for (size_t p = s->at.first[i]; p < s->at.first[i + 1]; p++)
            s->slope[i] += s->dvalue[p];
        head->db[0] += s->slope[i];
    }
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < C; c++)
            s->dh[i * C + c] = s->slope[i] * head->w[c];
#pragma omp parallel for schedule(static)
    for (size_t c = 0; c < C; c += COLUMNS)
        for (size_t i = 0; i < n; i++)
            kern->axpy(head->dw + c, s->slope[i], s->h + i * C + c,
                       C - c < COLUMNS ? C - c : COLUMNS);
    pl_rmsnorm_bwd(dx, grads->norm_f, s->dh, x, w->norm_f, s->rstd, s->at.rows, n, C, s->norm);
}

void pl_value_score(float *value, const struct pl_value_head *head, const struct pl_weights *w,
                    const float *x, const struct pl_pack *pack,
                    const struct pl_value_scratch *scratch)
{
    for (size_t p = 0; p < pack->prediction_count;) {
        const size_t n = pl_head_rows_next(&scratch->at, pack, p);

        score_rows(value, head, w, x, n, scratch);
        p = scratch->at.first[n];
    }
}

void pl_value_loss(float *value, float *dx, const struct pl_value_head *head,
                   const struct pl_grads *grads, const struct pl_weights *w, const float *x,
                   const struct pl_pack *pack, const struct pl_objective *objective,
                   const struct pl_value_scratch *scratch)
{
    PL_ASSERT(!objective->entropy); /* there is no distribution here */
    memset(dx, 0, pack->batch.rows * w->shape->config.hidden * sizeof *dx);
    for (size_t p = 0; p < pack->prediction_count;) {
        const size_t n = pl_head_rows_next(&scratch->at, pack, p), end = scratch->at.first[n];

        score_rows(value, head, w, x, n, scratch);
        objective->slopes(objective->at, &(struct pl_slopes){
                                             .predictions = pack->predictions + p,
                                             .first = p,
                                             .n = end - p,
                                             .value = value + p,
                                             .dvalue = scratch->dvalue + p,
                                         });
        chunk_grad(dx, head, grads, w, x, n, scratch);
        p = end;
    }
}
