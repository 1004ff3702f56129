#include "actor/gauge.h"

#include "actor/kv.h"
#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/math/gemm.h"
#include "common/model/forward.h"
#include "common/model/rope.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const size_t LIMIT = (size_t)1 << 24; /* keeps every product below far from overflow */

/* A sequence in the queue. Its last token is not computed: nothing comes after it. */
struct item {
    uint64_t tag;
    uint32_t *ids;   /* (len), and behind them: */
    float *logprobs; /* (len - from) */
    size_t len, from;
    size_t stored; /* positions computed, of len - 1 */
    uint32_t slot; /* when claimed */
    bool claimed;
};

/* A logit row that is wanted: row of the step, what it predicts, where that goes. */
struct want {
    uint32_t row, target;
    float *logprob;
};

struct pl_gauge {
    struct pl_gauge_opts opts;
    struct pl_rope *rope;
    struct pl_kv *kv;
    struct item *items; /* (sequences), the first `count` of them */
    size_t count;
    size_t queued; /* positions still to be computed, of all items */

    /* One step. */
    size_t rows, span_count, want_count;
    uint32_t *ids, *positions; /* (rows) */
    struct pl_span *spans;     /* (sequences) */
    struct want *wants;        /* (rows) */
    struct pl_acts acts;
    float *block, *x; /* x: (rows, C) */

    size_t chunk;        /* rows of logits at once */
    uint32_t *head_rows; /* (chunk) */
    float *h, *logits;   /* (chunk, C), (chunk, V) */
    double *lse;         /* (chunk) */
};

/* Values in the longest row that a matrix product reads. */
static size_t widest(const struct pl_config *c)
{
    const size_t q = c->heads * c->head_dim, most = q > c->hidden ? q : c->hidden;

    return most > c->ffn ? most : c->ffn;
}

static size_t chunk_of(const struct pl_gauge_opts *opts)
{
    const size_t row = opts->weights->shape->config.vocab * sizeof(float);
    const size_t fit = opts->logits_bytes / row;

    return fit < 1 ? 1 : fit < opts->rows ? fit : opts->rows;
}

/* The first item of a step may be as long as any; the others begin in it. */
static struct pl_kv_opts kv_opts(const struct pl_gauge_opts *opts)
{
    const struct pl_config *c = &opts->weights->shape->config;

    return (struct pl_kv_opts){
        .layers = c->layers,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .pages = pl_kv_pages_for(opts->positions) + pl_kv_pages_for(opts->rows) + opts->sequences,
        .slots = opts->sequences,
        .positions = opts->positions,
    };
}

int pl_gauge_plan(const struct pl_gauge_opts *opts, struct pl_gauge_plan *ret_plan,
                  struct pl_error *err)
{
    const struct pl_config *c = &opts->weights->shape->config;
    const size_t chunk = chunk_of(opts);
    struct pl_gauge_plan plan;
    struct pl_kv_opts kv;

    if (opts->positions < 1 || opts->positions > LIMIT || opts->rows < 1 || opts->rows > LIMIT ||
        opts->sequences < 1 || opts->sequences > LIMIT)
        return pl_fail(err, PL_EINVAL,
                       "gauge: positions, rows and sequences must be from 1 to %zu, found %zu, "
                       "%zu and %zu",
                       LIMIT, opts->positions, opts->rows, opts->sequences);
    kv = kv_opts(opts);
    plan.kv_bytes = pl_kv_bytes(&kv);
    if (plan.kv_bytes == SIZE_MAX)
        return pl_fail(err, PL_EINVAL, "gauge: a cache of %zu pages is beyond all memory",
                       kv.pages);
    plan.acts_bytes = (pl_acts_floats(c, opts->rows) + opts->rows * c->hidden) * sizeof(float);
    plan.logits_bytes = chunk * ((c->vocab + c->hidden) * sizeof(float) + sizeof(double));
    plan.other_bytes = pl_gemm_packed_bytes(opts->rows, widest(c)) +
                       opts->positions * c->head_dim * sizeof(float) +
                       opts->rows * (2 * sizeof(uint32_t) + sizeof(struct want)) +
                       opts->sequences * (sizeof(struct item) + sizeof(struct pl_span));
    plan.total_bytes = plan.kv_bytes + plan.acts_bytes + plan.logits_bytes + plan.other_bytes;
    *ret_plan = plan;
    return PL_OK;
}

static bool memory_create(struct pl_gauge *s)
{
    const struct pl_config *c = &s->opts.weights->shape->config;
    const size_t R = s->opts.rows;

    s->chunk = chunk_of(&s->opts);
    s->items = pl_alloc(s->opts.sequences, sizeof *s->items);
    s->ids = pl_alloc(R, sizeof *s->ids);
    s->positions = pl_alloc(R, sizeof *s->positions);
    s->spans = pl_alloc(s->opts.sequences, sizeof *s->spans);
    s->wants = pl_alloc(R, sizeof *s->wants);
    s->block = pl_alloc(pl_acts_floats(c, R), sizeof *s->block);
    s->x = pl_alloc(R * c->hidden, sizeof *s->x);
    s->head_rows = pl_alloc(s->chunk, sizeof *s->head_rows);
    s->h = pl_alloc(s->chunk * c->hidden, sizeof *s->h);
    s->logits = pl_alloc(s->chunk * c->vocab, sizeof *s->logits);
    s->lse = pl_alloc(s->chunk, sizeof *s->lse);
    if (!s->items || !s->ids || !s->positions || !s->spans || !s->wants || !s->block || !s->x ||
        !s->head_rows || !s->h || !s->logits || !s->lse || pl_gemm_reserve(R, widest(c)) < 0)
        return false;
    pl_acts_place(&s->acts, c, R, s->block);
    return true;
}

int pl_gauge_create(const struct pl_gauge_opts *opts, struct pl_gauge **ret_gauge,
                    struct pl_error *err)
{
    struct pl_gauge_plan plan;
    struct pl_gauge *s;
    struct pl_kv_opts kv;
    int rc = pl_gauge_plan(opts, &plan, err);

    if (rc < 0)
        return rc;
    s = calloc(1, sizeof *s);
    if (!s)
        return pl_fail(err, PL_ENOMEM, "gauge: no memory");
    s->opts = *opts;
    kv = kv_opts(opts);
    rc = pl_rope_create(&opts->weights->shape->config, opts->positions, &s->rope, err);
    if (rc == PL_OK)
        rc = pl_kv_create(&kv, &s->kv, err);
    if (rc == PL_OK && !memory_create(s))
        rc = pl_fail(err, PL_ENOMEM, "gauge: no memory for %zu bytes", plan.total_bytes);
    if (rc < 0)
        pl_gauge_destroy(s);
    else
        *ret_gauge = s;
    return rc;
}

void pl_gauge_destroy(struct pl_gauge *gauge)
{
    struct pl_gauge *s = gauge;

    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        free(s->items[i].ids);
    free(s->items);
    free(s->ids);
    free(s->positions);
    free(s->spans);
    free(s->wants);
    free(s->block);
    free(s->x);
    free(s->head_rows);
    free(s->h);
    free(s->logits);
    free(s->lse);
    pl_kv_destroy(s->kv);
    pl_rope_destroy(s->rope);
    free(s);
}

/* The next rows of an item, as many as are left in the step. False: no pages for it now. */
static bool batch_item(struct pl_gauge *s, struct item *item)
{
    const size_t left = item->len - 1 - item->stored, room = s->opts.rows - s->rows;
    const size_t n = left < room ? left : room, pos = item->stored;

    if (!item->claimed && pl_kv_claim(s->kv, 0, item->len - 1, 1, &item->slot) < 0)
        return false;
    item->claimed = true;
    pl_kv_extend(s->kv, item->slot, pos + n);
    s->spans[s->span_count++] = (struct pl_span){
        .pages = pl_kv_table(s->kv, item->slot), .row = s->rows, .rows = n, .pos = pos};
    for (size_t i = 0; i < n; i++) {
        const size_t next = pos + i + 1;

        s->ids[s->rows + i] = item->ids[pos + i];
        s->positions[s->rows + i] = (uint32_t)(pos + i);
        if (next >= item->from)
            s->wants[s->want_count++] = (struct want){(uint32_t)(s->rows + i), item->ids[next],
                                                      item->logprobs + (next - item->from)};
    }
    s->rows += n;
    item->stored += n;
    return true;
}

static void compute_head(struct pl_gauge *s)
{
    const size_t V = s->opts.weights->shape->config.vocab;

    for (size_t at = 0; at < s->want_count; at += s->chunk) {
        const struct want *wants = s->wants + at;
        const size_t n = s->want_count - at < s->chunk ? s->want_count - at : s->chunk;

        for (size_t i = 0; i < n; i++)
            s->head_rows[i] = wants[i].row;
        pl_forward_head(s->logits, s->h, NULL, s->opts.weights, s->x, s->head_rows, n);
        pl_logsumexp_rows(s->lse, s->logits, n, V);
        for (size_t i = 0; i < n; i++) {
            const double z = (double)s->logits[i * V + wants[i].target];
            const double logprob = z - s->lse[i];

            *wants[i].logprob = isfinite(logprob) ? (float)logprob : NAN;
        }
    }
}

/* Hand over the items that are done, which are the first ones, and close the gap. */
static int deliver(struct pl_gauge *s, struct pl_error *err)
{
    size_t n = 0;
    int rc = PL_OK;

    while (n < s->count && s->items[n].stored + 1 == s->items[n].len && rc == PL_OK) {
        struct item *item = &s->items[n++];

        if (item->claimed) {
            pl_kv_scrub(s->kv, item->slot); /* what is not finite must not stay there */
            pl_kv_release(s->kv, item->slot);
        }
        rc = s->opts.done(s->opts.at,
                          &(struct pl_scored){.tag = item->tag,
                                              .ids = item->ids,
                                              .len = item->len,
                                              .from = item->from,
                                              .logprobs = item->logprobs},
                          err);
        free(item->ids);
    }
    s->count -= n;
    memmove(s->items, s->items + n, s->count * sizeof *s->items);
    return rc;
}

static int step(struct pl_gauge *s, struct pl_error *err)
{
    const struct pl_weights *w = s->opts.weights;

    s->rows = s->span_count = s->want_count = 0;
    for (size_t i = 0; i < s->count && s->rows < s->opts.rows; i++) {
        if (s->items[i].stored + 1 < s->items[i].len && !batch_item(s, &s->items[i]))
            break;
    }
    if (s->rows > 0) {
        const struct pl_batch batch = {.ids = s->ids,
                                       .positions = s->positions,
                                       .rows = s->rows,
                                       .spans = s->spans,
                                       .span_count = s->span_count};

        pl_forward(s->x, w, s->rope, &batch, &s->kv->pages, &s->acts);
        compute_head(s);
        s->queued -= s->rows;
    }
    PL_ASSERT(s->rows > 0 || s->queued == 0); /* the first item always fits */
    return deliver(s, err);
}

static int check(const struct pl_gauge *s, const uint32_t *ids, size_t len, size_t from,
                 struct pl_error *err)
{
    const size_t V = s->opts.weights->shape->config.vocab;

    if (from < 1 || from > len)
        return pl_fail(err, PL_EINVAL,
                       "of %zu tokens those from %zu on cannot be scored: the first has nothing "
                       "before it",
                       len, from);
    if (len > s->opts.positions)
        return pl_fail(err, PL_EINVAL, "there are %zu tokens; expected %zu at most", len,
                       s->opts.positions);
    for (size_t i = 0; i < len; i++) {
        if (ids[i] >= V)
            return pl_fail(err, PL_EINVAL,
                           "token %zu has the id %lu, which is not below the vocabulary's %zu", i,
                           (unsigned long)ids[i], V);
    }
    return PL_OK;
}

int pl_gauge_add(struct pl_gauge *gauge, const uint32_t *ids, size_t len, size_t from, uint64_t tag,
                 struct pl_error *err)
{
    struct pl_gauge *s = gauge;
    struct item item = {.tag = tag, .len = len, .from = from};
    int rc = check(s, ids, len, from, err);

    if (from == len)
        item.stored = len - 1; /* nothing is asked for */

    if (rc < 0)
        return rc;
    item.ids = malloc(len * sizeof *item.ids + (len - from) * sizeof *item.logprobs);
    if (!item.ids)
        return pl_fail(err, PL_ENOMEM, "no memory for %zu tokens", len);
    memcpy(item.ids, ids, len * sizeof *ids);
    item.logprobs = (float *)(void *)(item.ids + len);
    PL_ASSERT(s->count < s->opts.sequences);
    s->items[s->count++] = item;
    s->queued += len - 1 - item.stored;
    while (rc == PL_OK && (s->queued >= s->opts.rows || s->count == s->opts.sequences))
        rc = step(s, err);
    return rc;
}

int pl_gauge_finish(struct pl_gauge *gauge, struct pl_error *err)
{
    int rc = PL_OK;

    while (rc == PL_OK && gauge->count > 0)
        rc = step(gauge, err);
    return rc;
}
