/*
 * Sixteen floats at once, the same on every instruction set: one 512-bit register, two of 256 bits,
 * or an array. Kernels written in these operations give the same bits everywhere, because each lane
 * does the same IEEE operations in the same order.
 *
 * Which set is meant is decided by the compiler's flags: kernels.c is built once for each.
 */
#ifndef PL_MATH_SIMD_H
#define PL_MATH_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PL_INLINE static inline __attribute__((always_inline))

enum { PL_LANES = 16 };

#if defined(__AVX512F__) && defined(__AVX512DQ__)

#include <immintrin.h>

#define PL_SIMD_NAME    "avx512"
#define PL_SIMD_ROWS    12 /* rows of a register tile ... */
#define PL_SIMD_VECTORS 2  /* ... and its vectors: 12 x 2 accumulators of 32 registers */

typedef __m512 vf;

PL_INLINE vf vf_zero(void)
{
    return _mm512_setzero_ps();
}
PL_INLINE vf vf_set1(float x)
{
    return _mm512_set1_ps(x);
}
PL_INLINE vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
PL_INLINE void vf_store(float *p, vf a)
{
    _mm512_storeu_ps(p, a);
}
PL_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
PL_INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
PL_INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
PL_INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
PL_INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
PL_INLINE vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
PL_INLINE vf vf_fma(vf a, vf b, vf c) /* a b + c */
{
    return _mm512_fmadd_ps(a, b, c);
}
PL_INLINE vf vf_round(vf a) /* to the nearest integer, ties to even */
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
PL_INLINE vf vf_pow2(vf n) /* 2^n for whole n in [-126, 127]; something finite for NaN */
{
    const __m512i whole = _mm512_cvtps_epi32(n);

    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_add_epi32(whole, _mm512_set1_epi32(127)), 23));
}
PL_INLINE vf vf_zero_below(vf y, vf x, float bound) /* x < bound ? 0 : y, lane by lane */
{
    const __mmask16 keep = _mm512_cmp_ps_mask(x, _mm512_set1_ps(bound), _CMP_NLT_UQ);

    return _mm512_maskz_mov_ps(keep, y);
}
PL_INLINE vf vf_widen_lo(const uint32_t *words) /* the low halves of 16 words as f32 */
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(words), 16));
}
PL_INLINE vf vf_widen_hi(const uint32_t *words)
{
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_loadu_si512(words), _mm512_set1_epi32((int)0xFFFF0000u)));
}
PL_INLINE vf vf_load_n(const float *p, size_t n, float fill) /* n <= 16 lanes, the rest `fill` */
{
    return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), (__mmask16)((1u << n) - 1u), p);
}
PL_INLINE void vf_store_n(float *p, vf a, size_t n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), a);
}

#elif defined(__AVX2__) && defined(__FMA__)

#include <immintrin.h>

#define PL_SIMD_NAME    "avx2"
#define PL_SIMD_ROWS    6 /* 6 x 1 pairs are 12 accumulators of 16 registers: */
#define PL_SIMD_VECTORS 1 /* a panel's halves are done one after the other */

typedef struct {
    __m256 a, b;
} vf;

#define PL_PAIR(call_a, call_b) ((vf){call_a, call_b})

PL_INLINE vf vf_zero(void)
{
    return PL_PAIR(_mm256_setzero_ps(), _mm256_setzero_ps());
}
PL_INLINE vf vf_set1(float x)
{
    return PL_PAIR(_mm256_set1_ps(x), _mm256_set1_ps(x));
}
PL_INLINE vf vf_load(const float *p)
{
    return PL_PAIR(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8));
}
PL_INLINE void vf_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}
PL_INLINE vf vf_add(vf x, vf y)
{
    return PL_PAIR(_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b));
}
PL_INLINE vf vf_sub(vf x, vf y)
{
    return PL_PAIR(_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b));
}
PL_INLINE vf vf_mul(vf x, vf y)
{
    return PL_PAIR(_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b));
}
PL_INLINE vf vf_div(vf x, vf y)
{
    return PL_PAIR(_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b));
}
PL_INLINE vf vf_max(vf x, vf y)
{
    return PL_PAIR(_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b));
}
PL_INLINE vf vf_min(vf x, vf y)
{
    return PL_PAIR(_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b));
}
PL_INLINE vf vf_fma(vf x, vf y, vf z)
{
    return PL_PAIR(_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b));
}
PL_INLINE vf vf_round(vf x)
{
    return PL_PAIR(_mm256_round_ps(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                   _mm256_round_ps(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
PL_INLINE __m256 pl_pow2_half(__m256 n)
{
    const __m256i whole = _mm256_cvtps_epi32(n);

    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_add_epi32(whole, _mm256_set1_epi32(127)), 23));
}
PL_INLINE vf vf_pow2(vf n)
{
    return PL_PAIR(pl_pow2_half(n.a), pl_pow2_half(n.b));
}
PL_INLINE vf vf_zero_below(vf y, vf x, float bound)
{
    const __m256 limit = _mm256_set1_ps(bound);

    return PL_PAIR(_mm256_and_ps(y.a, _mm256_cmp_ps(x.a, limit, _CMP_NLT_UQ)),
                   _mm256_and_ps(y.b, _mm256_cmp_ps(x.b, limit, _CMP_NLT_UQ)));
}
PL_INLINE __m256i pl_words_half(const uint32_t *words)
{
    return _mm256_loadu_si256((const __m256i *)words);
}
PL_INLINE vf vf_widen_lo(const uint32_t *words)
{
    return PL_PAIR(_mm256_castsi256_ps(_mm256_slli_epi32(pl_words_half(words), 16)),
                   _mm256_castsi256_ps(_mm256_slli_epi32(pl_words_half(words + 8), 16)));
}
PL_INLINE vf vf_widen_hi(const uint32_t *words)
{
    const __m256i mask = _mm256_set1_epi32((int)0xFFFF0000u);

    return PL_PAIR(_mm256_castsi256_ps(_mm256_and_si256(pl_words_half(words), mask)),
                   _mm256_castsi256_ps(_mm256_and_si256(pl_words_half(words + 8), mask)));
}
PL_INLINE vf vf_load_n(const float *p, size_t n, float fill)
{
    float lanes[PL_LANES];

    for (size_t i = 0; i < PL_LANES; i++)
        lanes[i] = i < n ? p[i] : fill;
    return vf_load(lanes);
}
PL_INLINE void vf_store_n(float *p, vf x, size_t n)
{
    float lanes[PL_LANES];

    vf_store(lanes, x);
    memcpy(p, lanes, n * sizeof *p);
}

#else

#define PL_SIMD_NAME    "plain"
#define PL_SIMD_ROWS    4
#define PL_SIMD_VECTORS 2

typedef struct {
    float f[PL_LANES];
} vf;

#define PL_EACH(r, expr)                                                                           \
    do {                                                                                           \
        for (size_t i = 0; i < PL_LANES; i++)                                                      \
            (r).f[i] = (expr);                                                                     \
    } while (0)

PL_INLINE vf vf_set1(float x)
{
    vf r;

    PL_EACH(r, x);
    return r;
}
PL_INLINE vf vf_zero(void)
{
    return vf_set1(0.0f);
}
PL_INLINE vf vf_load(const float *p)
{
    vf r;

    PL_EACH(r, p[i]);
    return r;
}
PL_INLINE void vf_store(float *p, vf a)
{
    memcpy(p, a.f, sizeof a.f);
}
PL_INLINE vf vf_add(vf a, vf b)
{
    PL_EACH(a, a.f[i] + b.f[i]);
    return a;
}
PL_INLINE vf vf_sub(vf a, vf b)
{
    PL_EACH(a, a.f[i] - b.f[i]);
    return a;
}
PL_INLINE vf vf_mul(vf a, vf b)
{
    PL_EACH(a, a.f[i] * b.f[i]);
    return a;
}
PL_INLINE vf vf_div(vf a, vf b)
{
    PL_EACH(a, a.f[i] / b.f[i]);
    return a;
}
PL_INLINE vf vf_max(vf a, vf b) /* b where they are unordered, as the registers do */
{
    PL_EACH(a, a.f[i] > b.f[i] ? a.f[i] : b.f[i]);
    return a;
}
PL_INLINE vf vf_min(vf a, vf b)
{
    PL_EACH(a, a.f[i] < b.f[i] ? a.f[i] : b.f[i]);
    return a;
}
PL_INLINE vf vf_fma(vf a, vf b, vf c)
{
    PL_EACH(a, fmaf(a.f[i], b.f[i], c.f[i]));
    return a;
}
PL_INLINE vf vf_round(vf a)
{
    PL_EACH(a, rintf(a.f[i]));
    return a;
}
PL_INLINE vf vf_pow2(vf n)
{
    for (size_t i = 0; i < PL_LANES; i++) {
        const int32_t whole = isnan(n.f[i]) ? 0 : (int32_t)n.f[i];
        const uint32_t word = (uint32_t)(whole + 127) << 23;

        memcpy(&n.f[i], &word, sizeof word);
    }
    return n;
}
PL_INLINE vf vf_zero_below(vf y, vf x, float bound)
{
    PL_EACH(y, x.f[i] < bound ? 0.0f : y.f[i]);
    return y;
}
PL_INLINE vf pl_from_words(const uint32_t *words, unsigned shift, uint32_t mask)
{
    vf r;

    for (size_t i = 0; i < PL_LANES; i++) {
        const uint32_t word = words[i] << shift & mask;

        memcpy(&r.f[i], &word, sizeof word);
    }
    return r;
}
PL_INLINE vf vf_widen_lo(const uint32_t *words)
{
    return pl_from_words(words, 16, 0xFFFFFFFFu);
}
PL_INLINE vf vf_widen_hi(const uint32_t *words)
{
    return pl_from_words(words, 0, 0xFFFF0000u);
}
PL_INLINE vf vf_load_n(const float *p, size_t n, float fill)
{
    vf r;

    PL_EACH(r, i < n ? p[i] : fill);
    return r;
}
PL_INLINE void vf_store_n(float *p, vf a, size_t n)
{
    memcpy(p, a.f, n * sizeof *p);
}

#endif

/* The fixed tree: lanes i and i+8, then i and i+4, i+2, i+1. */
PL_INLINE float vf_sum(vf x)
{
    float s[PL_LANES];

    vf_store(s, x);
    for (size_t half = PL_LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            s[i] += s[i + half];
    return s[0];
}

PL_INLINE float vf_hmax(vf x)
{
    float s[PL_LANES];

    vf_store(s, x);
    for (size_t half = PL_LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            s[i] = s[i] > s[i + half] ? s[i] : s[i + half];
    return s[0];
}

/*
 * exp(x): x = n ln 2 + r, |r| <= ln 2 / 2, polynomial of degree 6 in r with the coefficients of
 * Cephes' expf (S. Moshier), 2^n by its exponent. Within 2 ulp; exp(0) = 1; 0 below -87.3. NaN
 * stays NaN (where one is met, min and max give their second operand): a broken score must not look
 * like a masked one.
 */
PL_INLINE vf vf_exp(vf x)
{
    const float least = -87.3f;
    const vf bounded = vf_max(vf_set1(least), vf_min(vf_set1(88.3f), x));
    const vf n = vf_round(vf_mul(bounded, vf_set1(1.44269504088896341f)));
    const vf r = vf_fma(n, vf_set1(2.12194440e-4f), vf_fma(n, vf_set1(-0.693359375f), bounded));
    vf p = vf_set1(1.9875691500e-4f);

    p = vf_fma(p, r, vf_set1(1.3981999507e-3f));
    p = vf_fma(p, r, vf_set1(8.3334519073e-3f));
    p = vf_fma(p, r, vf_set1(4.1665795894e-2f));
    p = vf_fma(p, r, vf_set1(1.6666665459e-1f));
    p = vf_fma(p, r, vf_set1(5.0000001201e-1f));
    p = vf_add(vf_fma(p, vf_mul(r, r), r), vf_set1(1.0f));
    return vf_zero_below(vf_mul(p, vf_pow2(n)), x, least);
}

#endif
