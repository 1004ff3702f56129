#include "common/link/delta.h"

#include "common/base/check.h"

#include <stdbool.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum kind { KIND_NOTHING, KIND_ALL, KIND_SOME };

enum {
    HEAD = 1 + sizeof(uint32_t),
    GROUP = 1024, /* values between two looks at whether positions are still worth it */
};

size_t pl_delta_max(size_t n)
{
    return 1 + n * sizeof(uint16_t);
}

/* Gaps in front, values behind the most that gaps can be where positions are still worth it. */
size_t pl_delta_room(size_t n)
{
    return 2 * n * sizeof(uint16_t) + HEAD + GROUP * (5 + sizeof(uint16_t));
}

static unsigned char *put_gap(unsigned char *at, size_t gap)
{
    for (; gap >= 0x80; gap >>= 7)
        *at++ = (unsigned char)(gap | 0x80);
    *at++ = (unsigned char)gap;
    return at;
}

/* What is being written: gaps in front, values behind. */
struct writer {
    unsigned char *gap, *value;
    size_t next; /* behind the last position that differs */
    uint32_t count;
};

static inline void put(struct writer *w, size_t at, const uint16_t *to)
{
    w->gap = put_gap(w->gap, at - w->next);
    memcpy(w->value, to + at, sizeof *to);
    w->value += sizeof *to;
    w->next = at + 1;
    w->count++;
}

/* Which of 64 values differ, a bit each: without a branch, which changes here and there would make
 * a processor guess wrong. */
static inline uint64_t differ(const uint16_t *from, const uint16_t *to)
{
    uint64_t same = 0;

#ifdef __SSE2__
    for (unsigned i = 0; i < 64; i += 16) {
        const __m128i *a = (const __m128i *)(const void *)(from + i);
        const __m128i *b = (const __m128i *)(const void *)(to + i);
        const __m128i low = _mm_cmpeq_epi16(_mm_loadu_si128(a), _mm_loadu_si128(b));
        const __m128i high = _mm_cmpeq_epi16(_mm_loadu_si128(a + 1), _mm_loadu_si128(b + 1));

        same |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_packs_epi16(low, high)) << i;
    }
#else
    for (unsigned i = 0; i < 64; i++)
        same |= (uint64_t)(from[i] == to[i]) << i;
#endif
    return ~same;
}

/* Those of the values [at, end) that differ. */
static void put_some(struct writer *w, const uint16_t *from, const uint16_t *to, size_t at,
                     size_t end)
{
    for (; at + 64 <= end; at += 64)
        for (uint64_t bits = differ(from + at, to + at); bits != 0; bits &= bits - 1)
            put(w, at + (unsigned)__builtin_ctzll(bits), to);
    for (; at < end; at++)
        if (from[at] != to[at])
            put(w, at, to);
}

size_t pl_delta_encode(const uint16_t *from, const uint16_t *to, size_t n, unsigned char *out)
{
    const size_t all = n * sizeof *to;
    unsigned char *const values = out + n * sizeof *to + HEAD + GROUP * 5;
    struct writer w = {.gap = out + HEAD, .value = values};
    size_t some = 0;

    PL_ASSERT(n <= UINT32_MAX);
    for (size_t at = 0; at < n && (at == 0 || HEAD + some < all); at += GROUP) {
        put_some(&w, from, to, at, at + GROUP < n ? at + GROUP : n);
        some = (size_t)(w.gap - out - HEAD) + (size_t)(w.value - values);
    }
    if (w.count == 0) {
        out[0] = KIND_NOTHING;
        return 1;
    }
    if (HEAD + some >= all) {
        out[0] = KIND_ALL;
        memcpy(out + 1, to, all);
        return 1 + all;
    }
    out[0] = KIND_SOME;
    memcpy(out + 1, &w.count, sizeof w.count);
    memmove(w.gap, values, w.count * sizeof *to);
    return HEAD + some;
}

struct reader {
    const unsigned char *at, *end;
};

static bool take_gap(struct reader *r, size_t *ret_gap)
{
    size_t gap = 0;

    for (unsigned shift = 0; r->at < r->end && shift < 35; shift += 7) {
        const unsigned char byte = *r->at++;

        gap |= (size_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            *ret_gap = gap;
            return true;
        }
    }
    return false;
}

static int apply_some(struct reader r, uint16_t *values, size_t n)
{
    struct reader gaps;
    uint32_t count;
    size_t at = 0, gap = 0;

    if ((size_t)(r.end - r.at) < sizeof count)
        return PL_EFORMAT;
    memcpy(&count, r.at, sizeof count);
    r.at += sizeof count;
    gaps = r;
    for (uint32_t i = 0; i < count; i++) { /* where the values begin, and that all is in range */
        if (!take_gap(&r, &gap) || gap >= n - at)
            return PL_EFORMAT;
        at += gap + 1;
    }
    if ((size_t)(r.end - r.at) != count * sizeof *values)
        return PL_EFORMAT;
    at = 0;
    for (uint32_t i = 0; i < count; i++) {
        (void)take_gap(&gaps, &gap);
        at += gap;
        memcpy(&values[at++], r.at, sizeof *values);
        r.at += sizeof *values;
    }
    return PL_OK;
}

int pl_delta_apply(const void *bytes, size_t len, uint16_t *values, size_t n)
{
    struct reader r = {bytes, (const unsigned char *)bytes + len};

    if (len == 0)
        return PL_EFORMAT;
    switch (*r.at++) {
    case KIND_NOTHING:
        return len == 1 ? PL_OK : PL_EFORMAT;
    case KIND_ALL:
        if (len != 1 + n * sizeof *values)
            return PL_EFORMAT;
        memcpy(values, r.at, n * sizeof *values);
        return PL_OK;
    case KIND_SOME:
        return apply_some(r, values, n);
    default:
        return PL_EFORMAT;
    }
}
