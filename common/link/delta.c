#include "common/link/delta.h"

#include <string.h>

enum kind { KIND_NOTHING, KIND_ALL, KIND_SOME };

static size_t gap_bytes(size_t gap)
{
    size_t n = 1;

    for (; gap >= 0x80; gap >>= 7)
        n++;
    return n;
}

/* Positions that differ, and bytes their gaps take. */
static size_t count_changes(const uint16_t *from, const uint16_t *to, size_t n, size_t *ret_bytes)
{
    size_t count = 0, next = 0, bytes = 0;

    for (size_t i = 0; i < n; i++)
        if (from[i] != to[i]) {
            bytes += gap_bytes(i - next);
            next = i + 1;
            count++;
        }
    *ret_bytes = bytes;
    return count;
}

static int put_some(const uint16_t *from, const uint16_t *to, size_t n, size_t count,
                    struct pl_buf *out)
{
    const uint32_t count32 = (uint32_t)count;
    unsigned char *at;
    size_t next = 0;

    memcpy(out->data + out->len, &count32, sizeof count32);
    at = (unsigned char *)out->data + out->len + sizeof count32;
    for (size_t i = 0; i < n; i++) {
        size_t gap = i - next;

        if (from[i] == to[i])
            continue;
        for (; gap >= 0x80; gap >>= 7)
            *at++ = (unsigned char)(gap | 0x80);
        *at++ = (unsigned char)gap;
        next = i + 1;
    }
    for (size_t i = 0; i < n; i++)
        if (from[i] != to[i]) {
            memcpy(at, &to[i], sizeof *to);
            at += sizeof *to;
        }
    out->len = (size_t)((char *)at - out->data);
    return PL_OK;
}

static int put_tensor(const uint16_t *from, const uint16_t *to, size_t n, struct pl_buf *out,
                      uint64_t *changed)
{
    size_t gaps, some;
    const size_t count = count_changes(from, to, n, &gaps);
    const size_t all = n * sizeof *to;
    char kind = KIND_SOME;
    int rc;

    some = sizeof(uint32_t) + gaps + count * sizeof *to;
    *changed += count;
    if (count == 0)
        kind = KIND_NOTHING;
    else if (all <= some || count > UINT32_MAX)
        kind = KIND_ALL;
    rc = pl_buf_append(out, &kind, 1);
    if (rc == PL_OK && kind == KIND_ALL)
        rc = pl_buf_append(out, to, all);
    if (rc == PL_OK && kind == KIND_SOME) {
        rc = pl_buf_reserve(out, some);
        if (rc == PL_OK)
            rc = put_some(from, to, n, count, out);
    }
    return rc;
}

int pl_delta_encode(const struct pl_bcast_table *table, const uint16_t *from, const uint16_t *to,
                    struct pl_buf *out, uint64_t *ret_changed)
{
    int rc = PL_OK;

    *ret_changed = 0;
    for (size_t i = 0; rc == PL_OK && i < table->count; i++) {
        const struct pl_bcast_tensor *t = &table->tensors[i];

        rc = put_tensor(from + t->first, to + t->first, t->count, out, ret_changed);
    }
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
