#include "learner/batch.h"

#include "common/base/buf.h"
#include "common/base/check.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_MAX = 0x7FFFFFFF };

struct pl_pack_memory {
    uint32_t *ids, *positions;         /* (rows) */
    struct pl_span *spans, *stores;    /* (2 samples), (3 samples) */
    struct pl_cluster *clusters;       /* (samples) */
    struct pl_prediction *predictions; /* pl_pack_predictions_max() */
    uint32_t *tables;                  /* page tables, one after the other */
    size_t table_used, table_max;
};

/* A response has its prompt's shared pages and at most two more than its rows fill. */
size_t pl_pack_pages_max(const struct pl_pack_limits *limits)
{
    return limits->rows / PL_PAGE + 2 * limits->samples;
}

/* One more than its rows for each response. */
size_t pl_pack_predictions_max(const struct pl_pack_limits *limits)
{
    return limits->rows + limits->samples;
}

static size_t tables_max(const struct pl_pack_limits *limits)
{
    /* Every table is at most as long as its prompt and response need; a prompt is listed once more
     * for each response, which is bounded when it is added. */
    return (limits->samples + 1) * (limits->rows / PL_PAGE + 2);
}

size_t pl_pack_bytes(const struct pl_pack_limits *limits)
{
    return limits->rows * 2 * sizeof(uint32_t) +
           limits->samples * (5 * sizeof(struct pl_span) + sizeof(struct pl_cluster)) +
           pl_pack_predictions_max(limits) * sizeof(struct pl_prediction) +
           tables_max(limits) * sizeof(uint32_t);
}

void pl_pack_destroy(struct pl_pack *pack)
{
    if (!pack)
        return;
    if (pack->memory) {
        free(pack->memory->ids);
        free(pack->memory->positions);
        free(pack->memory->spans);
        free(pack->memory->stores);
        free(pack->memory->clusters);
        free(pack->memory->predictions);
        free(pack->memory->tables);
    }
    free(pack->memory);
    free(pack);
}

int pl_pack_create(const struct pl_pack_limits *limits, struct pl_pack **ret_pack,
                   struct pl_error *err)
{
    struct pl_pack *pack = NULL;
    struct pl_pack_memory *m;

    if (limits->rows == 0 || limits->samples == 0 || limits->rows > LIMIT_MAX ||
        limits->samples > LIMIT_MAX)
        return pl_fail(err, PL_EINVAL,
                       "a pack of %zu rows and %zu responses; both must be from 1 to %d",
                       limits->rows, limits->samples, LIMIT_MAX);
    pack = pl_alloc(1, sizeof *pack);
    if (!pack || !(m = pack->memory = pl_alloc(1, sizeof *m)))
        goto nomem;
    m->ids = pl_alloc(limits->rows, sizeof *m->ids);
    m->positions = pl_alloc(limits->rows, sizeof *m->positions);
    m->spans = pl_alloc(2 * limits->samples, sizeof *m->spans);
    m->stores = pl_alloc(3 * limits->samples, sizeof *m->stores);
    m->clusters = pl_alloc(limits->samples, sizeof *m->clusters);
    m->predictions = pl_alloc(pl_pack_predictions_max(limits), sizeof *m->predictions);
    m->table_max = tables_max(limits);
    m->tables = pl_alloc(m->table_max, sizeof *m->tables);
    if (!m->ids || !m->positions || !m->spans || !m->stores || !m->clusters || !m->predictions ||
        !m->tables)
        goto nomem;
    pack->limits = *limits;
    pack->temperature = 1.0f;
    pack->clusters = m->clusters;
    pack->predictions = m->predictions;
    pack->batch.ids = m->ids;
    pack->batch.positions = m->positions;
    pack->batch.spans = m->spans;
    pack->batch.stores = m->stores;
    *ret_pack = pack;
    return PL_OK;
nomem:
    pl_pack_destroy(pack);
    return pl_fail(err, PL_ENOMEM, "no memory for a pack of %zu rows and %zu responses",
                   limits->rows, limits->samples);
}

void pl_pack_clear(struct pl_pack *pack)
{
    pack->batch.rows = pack->batch.span_count = pack->batch.store_count = 0;
    pack->pages = pack->cluster_count = pack->samples = pack->prediction_count = 0;
    pack->memory->table_used = 0;
}

size_t pl_group_rows(const struct pl_group *group, size_t from, size_t to)
{
    size_t rows = group->prompt_len;

    for (size_t i = from; i < to; i++)
        rows += group->responses[i].len - 1;
    return rows;
}

static void add_rows(struct pl_pack *pack, const uint32_t *ids, size_t n, size_t pos)
{
    const size_t row = pack->batch.rows;

    for (size_t i = 0; i < n; i++) {
        pack->memory->ids[row + i] = ids[i];
        pack->memory->positions[row + i] = (uint32_t)(pos + i);
    }
    pack->batch.rows += n;
}

static void add_prediction(struct pl_pack *pack, size_t row, uint32_t target, size_t sample,
                           size_t index)
{
    PL_ASSERT(pack->prediction_count < pl_pack_predictions_max(&pack->limits));
    pack->memory->predictions[pack->prediction_count++] =
        (struct pl_prediction){(uint32_t)row, target, (uint32_t)sample, (uint32_t)index};
}

static void add_span(struct pl_pack *pack, struct pl_span span)
{
    PL_ASSERT(pack->batch.span_count < 2 * pack->limits.samples);
    pack->memory->spans[pack->batch.span_count++] = span;
}

static void add_store(struct pl_pack *pack, struct pl_span span)
{
    PL_ASSERT(pack->batch.store_count < 3 * pack->limits.samples);
    pack->memory->stores[pack->batch.store_count++] = span;
}

/* A table of the pages for `positions` tokens, whose first `shared` are those of `prefix`. */
static const uint32_t *add_table(struct pl_pack *pack, const uint32_t *prefix, size_t shared,
                                 size_t positions)
{
    const size_t n = (positions + PL_PAGE - 1) / PL_PAGE;
    uint32_t *table = pack->memory->tables + pack->memory->table_used;

    PL_ASSERT(pack->memory->table_used + n <= pack->memory->table_max);
    pack->memory->table_used += n;
    for (size_t i = 0; i < n; i++)
        table[i] = i < shared ? prefix[i] : (uint32_t)pack->pages++;
    PL_ASSERT(pack->pages <= pl_pack_pages_max(&pack->limits));
    return table;
}

/* How many of the group's responses from `from` on fit beside what the pack holds. */
static size_t fitting(const struct pl_pack *pack, const struct pl_group *group, size_t from)
{
    size_t rows = pack->batch.rows + group->prompt_len, n = 0;

    while (from + n < group->count && pack->samples + n < pack->limits.samples) {
        PL_ASSERT(group->responses[from + n].len > 0);
        rows += group->responses[from + n].len - 1;
        if (rows > pack->limits.rows)
            break;
        n++;
    }
    return n;
}

size_t pl_pack_add(struct pl_pack *pack, const struct pl_group *group, size_t from, uint32_t sample)
{
    const size_t P = group->prompt_len, shared = P / PL_PAGE, tail = P % PL_PAGE;
    const size_t n = fitting(pack, group, from), row = pack->batch.rows;
    const size_t span = pack->batch.span_count;
    const uint32_t *prompt_pages = NULL;

    PL_ASSERT(P > 0 && from < group->count);
    if (n == 0 || (n < group->count - from && pack->batch.rows > 0))
        return 0;

    /* The prompt's own end lies in the first page of the first response that goes on. */
    for (size_t i = from; !prompt_pages && i < from + n; i++)
        if (group->responses[i].len > 1)
            prompt_pages = add_table(pack, NULL, 0, P + group->responses[i].len - 1);
    if (!prompt_pages)
        prompt_pages = add_table(pack, NULL, 0, P);
    add_rows(pack, group->prompt, P, 0);
    add_span(pack, (struct pl_span){prompt_pages, row, P, 0});
    add_store(pack, (struct pl_span){prompt_pages, row, P, 0});
    for (size_t i = from; i < from + n; i++)
        add_prediction(pack, row + P - 1, group->responses[i].ids[0], sample + (i - from), 0);

    bool first = true;
    for (size_t i = from; i < from + n; i++) {
        const struct pl_pack_response *r = &group->responses[i];
        const size_t at = pack->batch.rows, rows = r->len - 1;
        const uint32_t *pages = prompt_pages;

        if (rows == 0)
            continue;
        if (!first) {
            pages = add_table(pack, prompt_pages, shared, P + rows);
            if (tail > 0)
                add_store(pack, (struct pl_span){pages, row + P - tail, tail, P - tail});
        }
        first = false;
        add_rows(pack, r->ids, rows, P);
        add_span(pack, (struct pl_span){pages, at, rows, P});
        add_store(pack, (struct pl_span){pages, at, rows, P});
        for (size_t t = 0; t < rows; t++)
            add_prediction(pack, at + t, r->ids[t + 1], sample + (i - from), t + 1);
    }
    pack->memory->clusters[pack->cluster_count++] =
        (struct pl_cluster){span, pack->batch.span_count - span};
    pack->samples += n;
    return n;
}
