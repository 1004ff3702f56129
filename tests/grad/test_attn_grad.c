/*
 * Backward of attention over packs (prompts shared by their responses, several groups, grouped
 * query heads) against central differences of the softmax in double. Spans are longer and shorter
 * than the blocks it works in; the same bits on every instruction set and for any number of
 * threads.
 */
#include "learner/attn_grad.h"

#include "common/base/buf.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/close.h"
#include "tests/model.h"
#include "tests/slope.h"

/* Blocks have 64 keys and 96 queries. */
static const struct pl_test_lengths LENGTHS[] = {
    {70, {31, 1, 102}}, {3, {66, 4}}, {65, {1, 1}}, {1, {2}}, {64, {98}},
};
enum { GROUPS = sizeof LENGTHS / sizeof *LENGTHS };

struct attention {
    size_t H, G, D, R, ld;
    const struct pl_pack *pack;
    float *qkv, *dout, *out, *lse;
    double *x;                        /* qkv in double */
    const struct pl_cluster *cluster; /* what is looked at: of one group, ... */
    size_t head, heads;               /* ... heads [head, head + heads), ... */
    size_t row;                       /* ... one row, or all: R */
    double along;                     /* and how far x is moved along `direction` */
    double *direction;                /* (R, ld) */
    size_t from, count;               /* the part of x and direction that moves */
};

static double x_at(const struct attention *s, size_t i)
{
    return i >= s->from && i < s->from + s->count ? s->x[i] + s->along * s->direction[i] : s->x[i];
}

/* Key rows of a span seen by its row i are those of the first span, then its own up to i. */
static size_t key_row(const struct pl_span *first, const struct pl_span *own, size_t j)
{
    return j < own->pos ? first->row + j : own->row + j - own->pos;
}

/* sum_d dout o of one row and head */
static double row_head(const struct attention *s, const struct pl_span *first,
                       const struct pl_span *own, size_t i, size_t h)
{
    const size_t row = own->row + i, seen = own->pos + i + 1, D = s->D;
    const size_t q = row * s->ld + h * D, g = h / (s->H / s->G);
    double weights = 0.0, sum = 0.0, q_d[64];

    for (size_t d = 0; d < D; d++)
        q_d[d] = x_at(s, q + d) / sqrt((double)D);
    for (size_t j = 0; j < seen; j++) {
        const size_t k = key_row(first, own, j) * s->ld + (s->H + g) * D, v = k + s->G * D;
        double score = 0.0, value = 0.0;

        for (size_t d = 0; d < D; d++) {
            score += q_d[d] * x_at(s, k + d);
            value += (double)s->dout[(row * s->H + h) * D + d] * x_at(s, v + d);
        }
        weights += exp(score);
        sum += exp(score) * value;
    }
    return sum / weights;
}

static double looked_at(const void *at)
{
    const struct attention *s = at;
    const struct pl_span *spans = s->pack->batch.spans + s->cluster->span;
    double sum = 0.0;

    for (size_t i = 0; i < s->cluster->count; i++)
        for (size_t t = 0; t < spans[i].rows; t++)
            for (size_t h = s->head; h < s->head + s->heads; h++)
                if (s->row == s->R || s->row == spans[i].row + t)
                    sum += row_head(s, &spans[0], &spans[i], t, h);
    return sum;
}

static double everything(const void *at)
{
    struct attention s = *(const struct attention *)at;
    double sum = 0.0;

    for (size_t i = 0; i < s.pack->cluster_count; i++) {
        s.cluster = &s.pack->clusters[i];
        sum += looked_at(&s);
    }
    return sum;
}

static void attn_bwd(const void *at, float *ret)
{
    const struct attention *s = at;
    const size_t threads = (size_t)omp_get_max_threads();
    const size_t floats = pl_attn_grad_scratch(threads, s->R, s->H, s->D);
    const struct pl_attn_grad grad = {
        .spans = s->pack->batch.spans,
        .clusters = s->pack->clusters,
        .cluster_count = s->pack->cluster_count,
        .heads = s->H,
        .kv_heads = s->G,
        .head_dim = s->D,
        .rows = s->R,
        .threads = threads,
        .scratch = pl_alloc(floats, sizeof(float)),
    };

    pl_test_set(grad.scratch, floats, NAN); /* nothing of it may count */
    pl_test_set(ret, s->R * s->ld, NAN);    /* all of it is set */
    pl_attn_bwd(ret, s->qkv, s->out, s->dout, s->lse, &grad);
    free(grad.scratch);
}

static void forward(struct attention *s)
{
    const struct pl_batch *b = &s->pack->batch;
    const size_t count = s->pack->pages;
    const struct pl_pages pages = {count, 1, s->G, s->D,
                                   pl_alloc(pl_pages_floats(count, 1, s->G, s->D), sizeof(float))};
    const float *k = s->qkv + s->H * s->D;
    double sum = 0.0;

    pl_attn_store(&pages, 0, b->stores, b->store_count, k, k + s->G * s->D, s->ld);
    pl_attn(s->out, s->H * s->D, s->lse, s->qkv, s->ld, &pages, 0, b->spans, b->span_count, s->H);
    free(pages.data);
    for (size_t i = 0; i < s->R * s->H * s->D; i++)
        sum += (double)s->out[i] * (double)s->dout[i];
    pl_assert_close(sum, everything(s), 1e-4, 1e-5);
}

static double slope(struct attention *s, double (*f)(const void *at), size_t from, size_t count)
{
    s->from = from;
    s->count = count;
    return pl_test_slope(&s->along, f, s);
}

/* Slopes of everything along random directions. */
static void check_directions(struct attention *s, const float *got)
{
    const size_t n = s->R * s->ld;

    for (uint32_t seed = 0; seed < 3; seed++) {
        float *random = malloc(n * sizeof *random);
        double want = 0.0;

        pl_test_fill(random, n, 10 + seed);
        for (size_t i = 0; i < n; i++) {
            s->direction[i] = (double)random[i];
            want += s->direction[i] * (double)got[i];
        }
        pl_assert_close(want, slope(s, everything, 0, n), 1e-5, 1e-5);
        free(random);
    }
}

/* The slope along a direction of part `part` of a row: query heads, then keys', then values'. */
static void check_part(struct attention *s, const float *got, size_t row, size_t part)
{
    const size_t i = row * s->ld + part * s->D;
    double want = 0.0;

    for (size_t d = 0; d < s->D; d++) {
        s->direction[i + d] = d % 3 == 0 ? -1.0 : 0.5 + (double)d / (double)s->D;
        want += s->direction[i + d] * (double)got[i + d];
    }
    pl_assert_close(want, slope(s, looked_at, i, s->D), 5e-6, 2e-5);
}

/* A row's queries have to do with that row and head alone. */
static void check_queries(struct attention *s, const float *got, size_t row)
{
    s->row = row;
    s->heads = 1;
    for (s->head = 0; s->head < s->H; s->head++)
        check_part(s, got, row, s->head);
}

/* Its keys and values with all rows and the query heads of their group. */
static void check_keys(struct attention *s, const float *got, size_t row)
{
    s->row = s->R;
    s->heads = s->H / s->G;
    for (size_t part = 0; part < 2 * s->G; part++) {
        s->head = part % s->G * s->heads;
        check_part(s, got, row, s->H + part);
    }
}

/* Rows at the borders of spans and blocks, and some between. */
static bool chosen(const struct pl_span *span, size_t t)
{
    return t == 0 || t + 1 == span->rows || t == 63 || t == 64 || t == 95 || t == 96 ||
           t % 31 == 13;
}

static void one_attention(size_t H, size_t G, size_t D)
{
    struct attention s = {.H = H, .G = G, .D = D, .ld = (H + 2 * G) * D};
    struct pl_test_batch batch;
    struct pl_pack *pack = NULL;
    float *got;

    pl_test_batch_make(&batch, LENGTHS, GROUPS, 50, 1);
    assert_int_equal(pl_test_packs(&batch, &batch.limits, &pack, 1), 1);
    s.pack = pack;
    s.R = s.row = batch.limits.rows;
    s.heads = H;
    s.qkv = pl_alloc(s.R * s.ld, sizeof(float));
    s.dout = pl_alloc(s.R * H * D, sizeof(float));
    s.out = pl_alloc(s.R * H * D, sizeof(float));
    s.lse = pl_alloc(s.R * H, sizeof(float));
    s.x = malloc(s.R * s.ld * sizeof *s.x);
    s.direction = calloc(s.R * s.ld, sizeof *s.direction);
    got = malloc(s.R * s.ld * sizeof *got);
    pl_test_fill(s.qkv, s.R * s.ld, 1);
    pl_test_fill(s.dout, s.R * H * D, 2);
    for (size_t i = 0; i < s.R * s.ld; i++)
        s.qkv[i] *= 2.0f; /* scores of some units: weights that are not all alike */
    pl_test_widen(s.x, s.qkv, s.R * s.ld);
    forward(&s);
    attn_bwd(&s, got);
    check_directions(&s, got);
    for (size_t c = 0; c < pack->cluster_count; c++) {
        s.cluster = &pack->clusters[c];
        for (size_t i = s.cluster->span; i < s.cluster->span + s.cluster->count; i++)
            for (size_t t = 0; t < pack->batch.spans[i].rows; t++) {
                check_queries(&s, got, pack->batch.spans[i].row + t);
                if (chosen(&pack->batch.spans[i], t))
                    check_keys(&s, got, pack->batch.spans[i].row + t);
            }
    }
    pl_test_everywhere(attn_bwd, &s, got, s.R * s.ld);
    pl_pack_destroy(pack);
    free(s.qkv);
    free(s.dout);
    free(s.out);
    free(s.lse);
    free(s.x);
    free(s.direction);
    free(got);
}

static void one_kv_head_for_two(void **state)
{
    (void)state;
    one_attention(4, 2, 10);
}

static void one_kv_head_for_each(void **state)
{
    (void)state;
    one_attention(3, 3, 7);
}

static void one_kv_head_for_all(void **state)
{
    (void)state;
    one_attention(5, 1, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_kv_head_for_two),
        cmocka_unit_test(one_kv_head_for_each),
        cmocka_unit_test(one_kv_head_for_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
