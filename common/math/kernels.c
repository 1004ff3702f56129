/*
 * The innermost loops of forward and backward, in terms of simd.h. Built once for each instruction
 * set; PL_KERNELS_SYMBOL names the table this build makes.
 *
 * The register tile of every product here: MR rows by NV vectors of 16 columns, one accumulator an
 * element, k ascending. Rows left over run in a tile of just as many rows, which changes no
 * element's chain.
 */
#include "common/math/kernels.h"

#include "common/math/mat.h"
#include "common/math/simd.h"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#define MR PL_SIMD_ROWS
#define NV PL_SIMD_VECTORS

enum { WIDE = 4 }; /* vectors of a tile of few rows, at most */

/* Run `call` with ROWS bound to a constant for each count of rows up to MR, so that it unrolls. */
#define CASE(n, call)                                                                              \
    case n: {                                                                                      \
        enum { ROWS = n };                                                                         \
        call;                                                                                      \
        break;                                                                                     \
    }
#define CASES_4(call) CASE(1, call) CASE(2, call) CASE(3, call) CASE(4, call)
#define CASES_6(call) CASES_4(call) CASE(5, call) CASE(6, call)
#define CASES_12(call)                                                                             \
    CASES_6(call)                                                                                  \
    CASE(7, call) CASE(8, call) CASE(9, call) CASE(10, call) CASE(11, call) CASE(12, call)
#if PL_SIMD_ROWS == 12
#define EACH_ROWS(rows, call)                                                                      \
    switch (rows) {                                                                                \
        CASES_12(call)                                                                             \
    }
#elif PL_SIMD_ROWS == 6
#define EACH_ROWS(rows, call)                                                                      \
    switch (rows) {                                                                                \
        CASES_6(call)                                                                              \
    }
#else
/* The plain set is read by people and built with sanitizers: it is not unrolled. */
#define EACH_ROWS(rows, call)                                                                      \
    {                                                                                              \
        const size_t ROWS = (rows);                                                                \
        call;                                                                                      \
    }
#endif

/* ---- forward product with packed bf16 weights ---- */

/* One vector of results out: c = init + chain, `lanes` of them. */
PL_INLINE void panel_out(float *c, vf chain, size_t lanes, const float *init)
{
    if (lanes >= PL_LANES)
        vf_store(c, vf_add(init ? vf_load(init) : vf_zero(), chain));
    else if (lanes > 0)
        vf_store_n(c, vf_add(init ? vf_load_n(init, lanes, 0.0f) : vf_zero(), chain), lanes);
}

/* Halves [half, half + halves) of a panel. */
PL_INLINE void panel_rows(size_t rows, size_t half, size_t halves, float *c, size_t ldc,
                          const float *a, const uint32_t *words, size_t K, size_t n,
                          const float *init, size_t ldinit)
{
    vf acc[MR][2];

    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < halves; v++)
            acc[i][v] = vf_zero();
    for (size_t k = 0; k < K; k++) {
        const uint32_t *line = words + k * PL_PANEL_WORDS;
        vf w[2];

        for (size_t v = 0; v < halves; v++)
            w[v] = half + v == 0 ? vf_widen_lo(line) : vf_widen_hi(line);
        for (size_t i = 0; i < rows; i++) {
            const vf x = vf_set1(a[k * rows + i]);

            for (size_t v = 0; v < halves; v++)
                acc[i][v] = vf_fma(x, w[v], acc[i][v]);
        }
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < halves; v++) {
            const size_t at = (half + v) * PL_LANES;

            panel_out(c + i * ldc + at, acc[i][v], n > at ? n - at : 0,
                      init ? init + i * ldinit + at : NULL);
        }
}

static void panel(float *c, size_t ldc, const float *a, const uint32_t *words, size_t M, size_t K,
                  size_t n, const float *init, size_t ldinit)
{
    for (size_t m = 0; m < M; m += MR) {
        const size_t rows = M - m < MR ? M - m : MR;
        const float *from = init ? init + m * ldinit : NULL;

        EACH_ROWS(rows, {
            if (ROWS * 2 <= MR * NV) {
                panel_rows(ROWS, 0, 2, c + m * ldc, ldc, a + m * K, words, K, n, from, ldinit);
            } else {
                panel_rows(ROWS, 0, 1, c + m * ldc, ldc, a + m * K, words, K, n, from, ldinit);
                panel_rows(ROWS, 1, 1, c + m * ldc, ldc, a + m * K, words, K, n, from, ldinit);
            }
        })
    }
}

/* Four rows of four columns turned: out[k * ldo + i] = x[i * ldx + k]. */
PL_INLINE void pack_4x4(float *out, size_t ldo, const float *x, size_t ldx)
{
#if defined(__SSE__)
    __m128 a = _mm_loadu_ps(x), b = _mm_loadu_ps(x + ldx);
    __m128 c = _mm_loadu_ps(x + 2 * ldx), d = _mm_loadu_ps(x + 3 * ldx);

    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(out, a);
    _mm_storeu_ps(out + ldo, b);
    _mm_storeu_ps(out + 2 * ldo, c);
    _mm_storeu_ps(out + 3 * ldo, d);
#else
    for (size_t k = 0; k < 4; k++)
        for (size_t i = 0; i < 4; i++)
            out[k * ldo + i] = x[i * ldx + k];
#endif
}

PL_INLINE void pack_rows(size_t rows, float *out, const float *x, size_t ldx, size_t K)
{
    const size_t fours = rows / 4 * 4, K4 = K / 4 * 4;

    for (size_t k = 0; k < K4; k += 4) {
        for (size_t i = 0; i < fours; i += 4)
            pack_4x4(out + k * rows + i, rows, x + i * ldx + k, ldx);
        for (size_t i = fours; i < rows; i++)
            for (size_t j = k; j < k + 4; j++)
                out[j * rows + i] = x[i * ldx + j];
    }
    for (size_t k = K4; k < K; k++)
        for (size_t i = 0; i < rows; i++)
            out[k * rows + i] = x[i * ldx + k];
}

static void pack(float *out, const float *x, size_t ldx, size_t rows, size_t K)
{
    if (rows == MR)
        pack_rows(MR, out, x, ldx, K);
    else
        pack_rows(rows, out, x, ldx, K);
}

/* ---- products of plain f32 arrays ---- */

enum tile_start { FROM_ZERO, ADD_AFTER, FROM_C };

PL_INLINE void tile_rows(size_t rows, size_t vectors, enum tile_start start, float *c, size_t ldc,
                         const float *a, size_t rs, size_t cs, const float *b, size_t ldb, size_t K)
{
    vf acc[MR][WIDE];

    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < vectors; v++)
            acc[i][v] = start == FROM_C ? vf_load(c + i * ldc + v * PL_LANES) : vf_zero();
    for (size_t k = 0; k < K; k++) {
        vf y[WIDE];

        for (size_t v = 0; v < vectors; v++)
            y[v] = vf_load(b + k * ldb + v * PL_LANES);
        for (size_t i = 0; i < rows; i++) {
            const vf x = vf_set1(a[i * rs + k * cs]);

            for (size_t v = 0; v < vectors; v++)
                acc[i][v] = vf_fma(x, y[v], acc[i][v]);
        }
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < vectors; v++) {
            float *out = c + i * ldc + v * PL_LANES;

            vf_store(out, start == ADD_AFTER ? vf_add(vf_load(out), acc[i][v]) : acc[i][v]);
        }
}

/* All columns of some rows, as many vectors at a time as there are registers for. */
PL_INLINE void tile_cols(size_t rows, enum tile_start start, float *c, size_t ldc, const float *a,
                         size_t rs, size_t cs, const float *b, size_t ldb, size_t K, size_t N)
{
    const size_t wide = rows * 4 <= MR * NV ? 4 : rows * 2 <= MR * NV ? 2 : 1;
    size_t n = 0;

    for (; n + wide * PL_LANES <= N; n += wide * PL_LANES)
        tile_rows(rows, wide, start, c + n, ldc, a, rs, cs, b + n, ldb, K);
    for (; wide > 2 && n + 2 * PL_LANES <= N; n += 2 * PL_LANES)
        tile_rows(rows, 2, start, c + n, ldc, a, rs, cs, b + n, ldb, K);
    for (; n < N; n += PL_LANES)
        tile_rows(rows, 1, start, c + n, ldc, a, rs, cs, b + n, ldb, K);
}

PL_INLINE void tile_all(enum tile_start start, float *c, size_t ldc, const float *a, size_t rs,
                        size_t cs, const float *b, size_t ldb, size_t M, size_t K, size_t N)
{
    for (size_t m = 0; m < M; m += MR) {
        const size_t rows = M - m < MR ? M - m : MR;
        const float *from = a + m * rs;
        float *out = c + m * ldc;

        EACH_ROWS(rows, tile_cols(ROWS, start, out, ldc, from, rs, cs, b, ldb, K, N))
    }
}

static void tile(float *c, size_t ldc, const float *a, size_t rs, size_t cs, const float *b,
                 size_t ldb, size_t M, size_t K, size_t N, int add)
{
    if (add)
        tile_all(ADD_AFTER, c, ldc, a, rs, cs, b, ldb, M, K, N);
    else
        tile_all(FROM_ZERO, c, ldc, a, rs, cs, b, ldb, M, K, N);
}

static void tile_chain(float *c, size_t ldc, const float *a, size_t rs, size_t cs, const float *b,
                       size_t ldb, size_t M, size_t K, size_t N)
{
    tile_all(FROM_C, c, ldc, a, rs, cs, b, ldb, M, K, N);
}

/* ---- attention ---- */

static void page_softmax(float *s, size_t rows, const size_t *valid, float *m, float *l, float *o,
                         size_t ldo, size_t D)
{
    for (size_t r = 0; r < rows; r++) {
        float *s_r = s + r * PL_PANEL, *o_r = o + r * ldo;
        const size_t n = valid[r], n_lo = n < PL_LANES ? n : PL_LANES;

        if (n == 0) { /* the page lies behind this row: no weight, and nothing changes */
            vf_store(s_r, vf_zero());
            vf_store(s_r + PL_LANES, vf_zero());
            continue;
        }
        const vf lo = vf_load_n(s_r, n_lo, -INFINITY);
        const vf hi = vf_load_n(s_r + PL_LANES, n - n_lo, -INFINITY);
        const float top = vf_hmax(vf_max(lo, hi));
        const float most = top > m[r] ? top : m[r];
        const vf shift = vf_set1(most);
        const vf p_lo = vf_exp(vf_sub(lo, shift)), p_hi = vf_exp(vf_sub(hi, shift));

        vf_store(s_r, p_lo);
        vf_store(s_r + PL_LANES, p_hi);
        if (most != m[r]) {
            float lanes[PL_LANES];
            vf alpha;

            vf_store(lanes,
                     vf_exp(vf_sub(vf_set1(m[r]), shift))); /* exp(-inf) = 0 on the first page */
            alpha = vf_set1(lanes[0]);
            l[r] *= lanes[0];
            for (size_t d = 0; d < D; d += PL_LANES)
                vf_store(o_r + d, vf_mul(vf_load(o_r + d), alpha));
        }
        l[r] += vf_sum(vf_add(p_lo, p_hi));
        m[r] = most;
    }
}

/* ---- rows ---- */

static void rmsnorm(float *y, float *rstd, const float *x, const float *w, float eps, size_t C)
{
    vf acc = vf_zero();
    size_t c = 0;

    for (; c + PL_LANES <= C; c += PL_LANES) {
        const vf v = vf_load(x + c);

        acc = vf_fma(v, v, acc);
    }
    if (c < C) {
        const vf v = vf_load_n(x + c, C - c, 0.0f);

        acc = vf_fma(v, v, acc);
    }
    const float r = 1.0f / sqrtf(vf_sum(acc) / (float)C + eps);
    const vf scale = vf_set1(r);

    for (c = 0; c + PL_LANES <= C; c += PL_LANES)
        vf_store(y + c, vf_mul(vf_mul(vf_load(x + c), scale), vf_load(w + c)));
    if (c < C)
        vf_store_n(
            y + c,
            vf_mul(vf_mul(vf_load_n(x + c, C - c, 0.0f), scale), vf_load_n(w + c, C - c, 0.0f)),
            C - c);
    if (rstd)
        *rstd = r;
}

static void rope(float *x, const float *cos, const float *sin, size_t half)
{
    for (size_t i = 0; i < half; i += PL_LANES) {
        const size_t n = half - i < PL_LANES ? half - i : PL_LANES;
        const vf a = vf_load_n(x + i, n, 0.0f), b = vf_load_n(x + half + i, n, 0.0f);
        const vf c = vf_load_n(cos + i, n, 0.0f), s = vf_load_n(sin + i, n, 0.0f);

        vf_store_n(x + i, vf_sub(vf_mul(a, c), vf_mul(b, s)), n);
        vf_store_n(x + half + i, vf_add(vf_mul(b, c), vf_mul(a, s)), n);
    }
}

PL_INLINE vf silu(vf g)
{
    return vf_div(g, vf_add(vf_set1(1.0f), vf_exp(vf_sub(vf_zero(), g))));
}

static void silu_mul(float *y, const float *gate, const float *up, size_t n)
{
    size_t i = 0;

    for (; i + PL_LANES <= n; i += PL_LANES)
        vf_store(y + i, vf_mul(silu(vf_load(gate + i)), vf_load(up + i)));
    if (i < n)
        vf_store_n(y + i,
                   vf_mul(silu(vf_load_n(gate + i, n - i, 0.0f)), vf_load_n(up + i, n - i, 0.0f)),
                   n - i);
}

static void exp_shifted(float *y, const float *x, float shift, size_t n)
{
    const vf s = vf_set1(shift);
    size_t i = 0;

    for (; i + PL_LANES <= n; i += PL_LANES)
        vf_store(y + i, vf_exp(vf_sub(vf_load(x + i), s)));
    if (i < n)
        vf_store_n(y + i, vf_exp(vf_sub(vf_load_n(x + i, n - i, -INFINITY), s)), n - i);
}

static float exp_sum(float *y, const float *x, float shift, size_t n)
{
    const vf s = vf_set1(shift);
    vf acc = vf_zero();
    size_t i = 0;

    for (; i + PL_LANES <= n; i += PL_LANES) {
        const vf e = vf_exp(vf_sub(vf_load(x + i), s));

        if (y)
            vf_store(y + i, e);
        acc = vf_add(acc, e);
    }
    if (i < n) {
        const vf e = vf_exp(vf_sub(vf_load_n(x + i, n - i, -INFINITY), s));

        if (y)
            vf_store_n(y + i, e, n - i);
        acc = vf_add(acc, e);
    }
    return vf_sum(acc);
}

static float max_of(const float *x, size_t n)
{
    vf most = vf_set1(-INFINITY);
    size_t i = 0;

    for (; i + PL_LANES <= n; i += PL_LANES)
        most = vf_max(vf_load(x + i), most);
    if (i < n)
        most = vf_max(vf_load_n(x + i, n - i, -INFINITY), most);
    return vf_hmax(most);
}

static float sum_of(const float *x, size_t n)
{
    vf acc = vf_zero();
    size_t i = 0;

    for (; i + PL_LANES <= n; i += PL_LANES)
        acc = vf_add(acc, vf_load(x + i));
    if (i < n)
        acc = vf_add(acc, vf_load_n(x + i, n - i, 0.0f));
    return vf_sum(acc);
}

static float dot(const float *x, const float *y, size_t n)
{
    vf acc = vf_zero();
    size_t i = 0;

    for (; i + PL_LANES <= n; i += PL_LANES)
        acc = vf_fma(vf_load(x + i), vf_load(y + i), acc);
    if (i < n)
        acc = vf_fma(vf_load_n(x + i, n - i, 0.0f), vf_load_n(y + i, n - i, 0.0f), acc);
    return vf_sum(acc);
}

extern const struct pl_kernels PL_KERNELS_SYMBOL;
const struct pl_kernels PL_KERNELS_SYMBOL = {
    .name = PL_SIMD_NAME,
    .tile = tile,
    .tile_chain = tile_chain,
    .rows_max = MR,
    .panel = panel,
    .pack = pack,
    .page_softmax = page_softmax,
    .rmsnorm = rmsnorm,
    .rope = rope,
    .silu_mul = silu_mul,
    .exp_shifted = exp_shifted,
    .exp_sum = exp_sum,
    .max = max_of,
    .sum = sum_of,
    .dot = dot,
};
