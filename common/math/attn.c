#include "common/math/attn.h"

#include "common/base/check.h"
#include "common/math/kernels.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum {
    ROWS_MAX = 48, /* query rows (query and head) worked on together: fits the first caches */
    DIM_MAX = 256, /* PL_HEAD_DIM_MAX */
    LANES = 16,
};

/* Query rows that meet the same pages of one key/value head. */
struct rows {
    size_t count, D, ldo;  /* ldo: D rounded up to whole vectors */
    size_t pos[ROWS_MAX];  /* of each row */
    size_t row[ROWS_MAX];  /* in the batch */
    size_t head[ROWS_MAX]; /* query head */
    float m[ROWS_MAX], l[ROWS_MAX];
    float q[ROWS_MAX * DIM_MAX]; /* scaled */
    float o[ROWS_MAX * DIM_MAX];
    float s[ROWS_MAX * PL_PAGE];
};

struct job {
    float *out, *lse;
    const float *q;
    size_t ldo, ldq, layer, heads;
    const struct pl_pages *pages;
};

void pl_attn_store(const struct pl_pages *pages, size_t layer, const struct pl_span *spans,
                   size_t span_count, const float *k, const float *v, size_t ld)
{
    const size_t D = pages->head_dim, G = pages->kv_heads;

    /* A thread takes whole (page, head) pairs, so that no line is written by two. */
#pragma omp parallel
    {
        const size_t threads = (size_t)omp_get_num_threads(), self = (size_t)omp_get_thread_num();
        size_t item = 0;

        for (size_t i = 0; i < span_count; i++) {
            const struct pl_span *sp = &spans[i];
            const size_t end = sp->pos + sp->rows;

            for (size_t t0 = sp->pos; t0 < end; t0 = (t0 / PL_PAGE + 1) * PL_PAGE)
                for (size_t g = 0; g < G; g++, item++) {
                    float *keys = pl_page_at(pages, layer, sp->pages[t0 / PL_PAGE], g);
                    float *values = keys + PL_PAGE * D;
                    const size_t stop = (t0 / PL_PAGE + 1) * PL_PAGE;

                    if (item % threads != self)
                        continue;
                    for (size_t t = t0; t < end && t < stop; t++) {
                        const size_t at = (sp->row + t - sp->pos) * ld + g * D, j = t % PL_PAGE;

                        for (size_t d = 0; d < D; d++)
                            keys[d * PL_PAGE + j] = k[at + d];
                        memcpy(values + j * D, v + at, D * sizeof *values);
                    }
                }
        }
    }
}

static void rows_add(struct rows *r, const struct job *job, size_t row, size_t pos, size_t head)
{
    const size_t i = r->count++;
    const float scale = 1.0f / sqrtf((float)r->D);
    const float *from = job->q + row * job->ldq + head * r->D;

    r->pos[i] = pos;
    r->row[i] = row;
    r->head[i] = head;
    r->m[i] = -INFINITY;
    r->l[i] = 0.0f;
    for (size_t d = 0; d < r->D; d++)
        r->q[i * r->D + d] = from[d] * scale;
    memset(r->o + i * r->ldo, 0, r->ldo * sizeof *r->o);
}

/* Pages [first, last] of a sequence against rows [from, from + count). */
static void rows_pages(struct rows *r, const struct job *job, const uint32_t *pages, size_t kv_head,
                       size_t first, size_t last, size_t from, size_t count)
{
    const struct pl_kernels *kern = pl_kernels();
    const size_t D = r->D;
    size_t valid[ROWS_MAX];

    for (size_t p = first; p <= last; p++) {
        const float *keys = pl_page_at(job->pages, job->layer, pages[p], kv_head);
        const size_t start = p * PL_PAGE;
        float *o = r->o + from * r->ldo;

        for (size_t i = 0; i < count; i++) {
            const size_t pos = r->pos[from + i];

            valid[i] = pos < start ? 0 : pos - start + 1 < PL_PAGE ? pos - start + 1 : PL_PAGE;
        }
        kern->tile(r->s, PL_PAGE, r->q + from * D, D, 1, keys, PL_PAGE, count, D, PL_PAGE, 0);
        kern->page_softmax(r->s, count, valid, r->m + from, r->l + from, o, r->ldo, D);
        kern->tile_chain(o, r->ldo, r->s, PL_PAGE, 1, keys + PL_PAGE * D, D, count, PL_PAGE,
                         r->ldo);
    }
}

static void rows_finish(const struct rows *r, const struct job *job)
{
    for (size_t i = 0; i < r->count; i++) {
        float *out = job->out + r->row[i] * job->ldo + r->head[i] * r->D;

        for (size_t d = 0; d < r->D; d++)
            out[d] = r->o[i * r->ldo + d] / r->l[i];
        if (job->lse)
            job->lse[r->row[i] * job->heads + r->head[i]] = r->m[i] + logf(r->l[i]);
    }
}

/* Pages that spans [i, j) all begin with, not counting the one each ends in. */
static size_t shared_pages(const struct pl_span *spans, size_t i, size_t j)
{
    size_t common = spans[i].pos / PL_PAGE;

    for (size_t s = i + 1; s < j; s++) {
        size_t n = 0;

        common = spans[s].pos / PL_PAGE < common ? spans[s].pos / PL_PAGE : common;
        while (n < common && spans[s].pages[n] == spans[i].pages[n])
            n++;
        common = n;
    }
    return common;
}

/* Spans [i, j) of one row each: what they share together, then each its own pages. */
static void attend_together(struct rows *r, const struct job *job, const struct pl_span *spans,
                            size_t i, size_t j, size_t kv_head)
{
    const size_t per_kv = job->heads / job->pages->kv_heads;
    const size_t common = j - i > 1 ? shared_pages(spans, i, j) : 0;

    r->count = 0;
    for (size_t s = i; s < j; s++)
        for (size_t h = 0; h < per_kv; h++)
            rows_add(r, job, spans[s].row, spans[s].pos, kv_head * per_kv + h);
    if (common > 0)
        rows_pages(r, job, spans[i].pages, kv_head, 0, common - 1, 0, r->count);
    for (size_t s = i; s < j; s++)
        rows_pages(r, job, spans[s].pages, kv_head, common, spans[s].pos / PL_PAGE,
                   (s - i) * per_kv, per_kv);
    rows_finish(r, job);
}

/* Queries [from, from + count) of one span, heads of one key/value head in turn of at most ROWS_MAX
 * rows. */
static void attend_span(struct rows *r, const struct job *job, const struct pl_span *span,
                        size_t from, size_t count, size_t kv_head)
{
    const size_t per_kv = job->heads / job->pages->kv_heads;

    for (size_t h0 = 0; h0 < per_kv; h0 += ROWS_MAX) {
        r->count = 0;
        for (size_t t = from; t < from + count; t++)
            for (size_t h = h0; h < per_kv && h < h0 + ROWS_MAX; h++)
                rows_add(r, job, span->row + t, span->pos + t, kv_head * per_kv + h);
        rows_pages(r, job, span->pages, kv_head, 0, (span->pos + from + count - 1) / PL_PAGE, 0,
                   r->count);
        rows_finish(r, job);
    }
}

/* The end of the run of one-row spans from i on that begin with the same page, at most `most` of
 * them. */
static size_t run_end(const struct pl_span *spans, size_t span_count, size_t i, size_t most)
{
    size_t j = i + 1;

    while (j < span_count && j - i < most && spans[i].rows == 1 && spans[j].rows == 1 &&
           spans[j].pages[0] == spans[i].pages[0])
        j++;
    return j;
}

void pl_attn(float *out, size_t ldo, float *lse, const float *q, size_t ldq,
             const struct pl_pages *pages, size_t layer, const struct pl_span *spans,
             size_t span_count, size_t heads)
{
    const struct job job = {out, lse, q, ldo, ldq, layer, heads, pages};
    const size_t G = pages->kv_heads, D = pages->head_dim, per_kv = heads / G;
    const size_t together = per_kv < ROWS_MAX ? ROWS_MAX / per_kv : 1; /* queries at a time */

    PL_ASSERT(D <= DIM_MAX && heads % G == 0);
#pragma omp parallel
    {
        const size_t threads = (size_t)omp_get_num_threads(), self = (size_t)omp_get_thread_num();
        struct rows r; /* 100 KiB: only what is used is set */
        size_t item = 0;

        r.D = D;
        r.ldo = (D + LANES - 1) / LANES * LANES;

        for (size_t i = 0; i < span_count;) {
            const struct pl_span *sp = &spans[i];

            if (sp->rows == 1 && per_kv <= ROWS_MAX) {
                const size_t j = run_end(spans, span_count, i, together);

                for (size_t g = 0; g < G; g++, item++)
                    if (item % threads == self)
                        attend_together(&r, &job, spans, i, j, g);
                i = j;
                continue;
            }
            for (size_t from = 0; from < sp->rows; from += together)
                for (size_t g = 0; g < G; g++, item++)
                    if (item % threads == self)
                        attend_span(&r, &job, sp, from,
                                    sp->rows - from < together ? sp->rows - from : together, g);
            i++;
        }
    }
}

/* ---- the plain form ---- */

static void plain_row(const struct job *job, const struct pl_span *span, size_t t, size_t head)
{
    const size_t D = job->pages->head_dim, pos = span->pos + t, row = span->row + t;
    const size_t kv_head = head / (job->heads / job->pages->kv_heads);
    const float scale = 1.0f / sqrtf((float)D);
    float m = -INFINITY, l = 0.0f, o[DIM_MAX] = {0};

    for (size_t p = 0; p <= pos / PL_PAGE; p++) {
        const float *keys = pl_page_at(job->pages, job->layer, span->pages[p], kv_head);
        const float *values = keys + PL_PAGE * D;
        const size_t n = pos - p * PL_PAGE + 1 < PL_PAGE ? pos - p * PL_PAGE + 1 : PL_PAGE;
        float s[PL_PAGE] = {0}, pair[LANES] = {0}, most = m, alpha;

        for (size_t j = 0; j < n; j++) {
            for (size_t d = 0; d < D; d++)
                s[j] = fmaf(job->q[row * job->ldq + head * D + d] * scale, keys[d * PL_PAGE + j],
                            s[j]);
            most = s[j] > most ? s[j] : most;
        }
        pl_kernels_named("plain")->exp_shifted(&alpha, &m, most, 1);
        pl_kernels_named("plain")->exp_shifted(s, s, most, n);
        for (size_t j = 0; j < LANES; j++)
            pair[j] = (j < n ? s[j] : 0.0f) + (j + LANES < n ? s[j + LANES] : 0.0f);
        l = l * alpha + pl_kernels_named("plain")->sum(pair, LANES);
        for (size_t d = 0; d < D; d++) {
            o[d] *= alpha;
            for (size_t j = 0; j < n; j++)
                o[d] = fmaf(s[j], values[j * D + d], o[d]);
        }
        m = most;
    }
    for (size_t d = 0; d < D; d++)
        job->out[row * job->ldo + head * D + d] = o[d] / l;
    if (job->lse)
        job->lse[row * job->heads + head] = m + logf(l);
}

void pl_attn_plain(float *out, size_t ldo, float *lse, const float *q, size_t ldq,
                   const struct pl_pages *pages, size_t layer, const struct pl_span *spans,
                   size_t span_count, size_t heads)
{
    const struct job job = {out, lse, q, ldo, ldq, layer, heads, pages};

    for (size_t i = 0; i < span_count; i++)
        for (size_t t = 0; t < spans[i].rows; t++)
            for (size_t h = 0; h < heads; h++)
                plain_row(&job, &spans[i], t, h);
}
