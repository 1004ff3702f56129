#include "common/link/delta.h"

#include <stdlib.h>
#include <string.h>

enum kind { KIND_NOTHING, KIND_ALL, KIND_SOME };

static size_t gap_bytes(size_t gap)
{
    size_t n = 1;

    for (; gap >= 0x80; gap >>= 7)
        n++;
    return n;
}

/* The first position from `at` on that differs, n: none does. Four values are looked at at once. */
static size_t next_change(const uint16_t *from, const uint16_t *to, size_t n, size_t at)
{
    for (; at + 4 <= n; at += 4) {
        uint64_t a, b;

        memcpy(&a, from + at, sizeof a);
        memcpy(&b, to + at, sizeof b);
        if (a != b)
            break;
    }
    while (at < n && from[at] == to[at])
        at++;
    return at;
}

/* How a tensor is written: first all are measured, then written to their places. */
struct piece {
    enum kind kind;
    size_t count, gaps; /* positions that differ, and bytes their gaps take */
    size_t at, bytes;   /* in the output */
};

static void measure(const uint16_t *from, const uint16_t *to, size_t n, struct piece *p)
{
    const size_t all = n * sizeof *to;
    size_t next = 0, some;

    for (size_t i = next_change(from, to, n, 0); i < n; i = next_change(from, to, n, next)) {
        p->gaps += gap_bytes(i - next);
        next = i + 1;
        p->count++;
    }
    some = sizeof(uint32_t) + p->gaps + p->count * sizeof *to;
    p->kind = p->count == 0                          ? KIND_NOTHING
              : all <= some || p->count > UINT32_MAX ? KIND_ALL
                                                     : KIND_SOME;
    p->bytes = 1 + (p->kind == KIND_NOTHING ? 0 : p->kind == KIND_ALL ? all : some);
}

static void put_some(const uint16_t *from, const uint16_t *to, size_t n, const struct piece *p,
                     unsigned char *at)
{
    const uint32_t count32 = (uint32_t)p->count;
    unsigned char *value = at + sizeof count32 + p->gaps;
    size_t next = 0;

    memcpy(at, &count32, sizeof count32);
    at += sizeof count32;
    for (size_t i = next_change(from, to, n, 0); i < n; i = next_change(from, to, n, next)) {
        size_t gap = i - next;

        for (; gap >= 0x80; gap >>= 7)
            *at++ = (unsigned char)(gap | 0x80);
        *at++ = (unsigned char)gap;
        memcpy(value, &to[i], sizeof *to);
        value += sizeof *to;
        next = i + 1;
    }
}

static void put(const uint16_t *from, const uint16_t *to, size_t n, const struct piece *p,
                char *out)
{
    unsigned char *at = (unsigned char *)out + p->at;

    *at++ = (unsigned char)p->kind;
    if (p->kind == KIND_ALL)
        memcpy(at, to, n * sizeof *to);
    else if (p->kind == KIND_SOME)
        put_some(from, to, n, p, at);
}

int pl_delta_encode(const struct pl_bcast_table *table, const uint16_t *from, const uint16_t *to,
                    struct pl_buf *out, uint64_t *ret_changed)
{
    struct piece *pieces = calloc(table->count + 1, sizeof *pieces);
    size_t total = 0;
    int rc;

    *ret_changed = 0;
    if (!pieces)
        return PL_ENOMEM;
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < table->count; i++) {
        const struct pl_bcast_tensor *t = &table->tensors[i];

        measure(from + t->first, to + t->first, t->count, &pieces[i]);
    }
    for (size_t i = 0; i < table->count; i++) {
        pieces[i].at = out->len + total;
        total += pieces[i].bytes;
        *ret_changed += pieces[i].count;
    }
    rc = pl_buf_reserve(out, total);
    if (rc == PL_OK) {
#pragma omp parallel for schedule(dynamic)
        for (size_t i = 0; i < table->count; i++) {
            const struct pl_bcast_tensor *t = &table->tensors[i];

            put(from + t->first, to + t->first, t->count, &pieces[i], out->data);
        }
        out->len += total;
        out->data[out->len] = '\0';
    }
    free(pieces);
    return rc;
}

struct reader {
    const unsigned char *at, *end;
};

static int take_gap(struct reader *r, size_t *ret_gap)
{
    size_t gap = 0;

    for (unsigned shift = 0; r->at < r->end && shift < 63; shift += 7) {
        const unsigned char byte = *r->at++;

        gap |= (size_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            *ret_gap = gap;
            return PL_OK;
        }
    }
    return PL_EFORMAT;
}

static int take_some(struct reader *r, uint16_t *values, size_t n)
{
    struct reader gaps, news;
    uint32_t count;
    size_t at = 0, gap = 0;

    if ((size_t)(r->end - r->at) < sizeof count)
        return PL_EFORMAT;
    memcpy(&count, r->at, sizeof count);
    r->at += sizeof count;
    gaps = *r;
    for (uint32_t i = 0; i < count; i++) /* where the values begin, and that all is in range */
        if (take_gap(r, &gap) < 0 || gap >= n - at)
            return PL_EFORMAT;
        else
            at += gap + 1;
    news = *r;
    if ((size_t)(news.end - news.at) / sizeof *values < count)
        return PL_EFORMAT;
    at = 0;
    for (uint32_t i = 0; i < count; i++) {
        (void)take_gap(&gaps, &gap);
        at += gap;
        memcpy(&values[at++], news.at, sizeof *values);
        news.at += sizeof *values;
    }
    *r = news;
    return PL_OK;
}

static int take_tensor(struct reader *r, uint16_t *values, size_t n)
{
    const size_t all = n * sizeof *values;

    if (r->at == r->end)
        return PL_EFORMAT;
    switch (*r->at++) {
    case KIND_NOTHING:
        return PL_OK;
    case KIND_ALL:
        if ((size_t)(r->end - r->at) < all)
            return PL_EFORMAT;
        memcpy(values, r->at, all);
        r->at += all;
        return PL_OK;
    case KIND_SOME:
        return take_some(r, values, n);
    default:
        return PL_EFORMAT;
    }
}

int pl_delta_apply(const struct pl_bcast_table *table, const void *bytes, size_t len,
                   uint16_t *values, struct pl_error *err)
{
    struct reader r = {bytes, (const unsigned char *)bytes + len};

    for (size_t i = 0; i < table->count; i++) {
        const struct pl_bcast_tensor *t = &table->tensors[i];

        if (take_tensor(&r, values + t->first, t->count) < 0)
            return pl_fail(err, PL_EFORMAT, "a delta of %zu bytes is broken at tensor '%s'", len,
                           t->name);
    }
    if (r.at != r.end)
        return pl_fail(err, PL_EFORMAT, "a delta of %zu bytes has %zu too many", len,
                       (size_t)(r.end - r.at));
    return PL_OK;
}
