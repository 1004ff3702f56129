#include "common/math/ops.h"

#include "common/base/check.h"
#include "common/math/kernels.h"

#include <string.h>

enum {
    ROWS_SERIAL = 4096, /* floats: less than this is not worth waking the threads */
    LSE_BLOCK = 4096,   /* floats summed in f32 before they go to the f64 total */
};

void pl_embed(float *x, const struct pl_mat *w, const uint32_t *ids, size_t R)
{
    const size_t C = w->cols;

#pragma omp parallel for schedule(static) if (R * C > ROWS_SERIAL)
    for (size_t r = 0; r < R; r++)
        pl_mat_rows(w, ids[r], 1, x + r * C);
}

void pl_rmsnorm(float *y, float *rstd, const float *x, const float *w, float eps, size_t R,
                size_t C)
{
    const struct pl_kernels *kern = pl_kernels();

#pragma omp parallel for schedule(static) if (R * C > ROWS_SERIAL)
    for (size_t r = 0; r < R; r++)
        kern->rmsnorm(y + r * C, rstd ? rstd + r : NULL, x + r * C, w, eps, C);
}

void pl_rope_apply(float *x, size_t ldx, const struct pl_rope *rope, const uint32_t *positions,
                   size_t R, size_t heads)
{
    const struct pl_kernels *kern = pl_kernels();
    const size_t half = rope->half;

#pragma omp parallel for schedule(static) if (R * heads * half * 2 > ROWS_SERIAL)
    for (size_t r = 0; r < R; r++) {
        const size_t at = (size_t)positions[r] * half;

        PL_ASSERT(positions[r] < rope->positions);
        for (size_t h = 0; h < heads; h++)
            kern->rope(x + r * ldx + h * 2 * half, rope->cos + at, rope->sin + at, half);
    }
}

void pl_silu_mul(float *y, const float *gu, size_t R, size_t F)
{
    const struct pl_kernels *kern = pl_kernels();

#pragma omp parallel for schedule(static) if (R * F > ROWS_SERIAL)
    for (size_t r = 0; r < R; r++)
        kern->silu_mul(y + r * F, gu + r * 2 * F, gu + r * 2 * F + F, F);
}

/*
 * ln x for finite x > 0, in plain IEEE double operations, so that the same bits come out wherever
 * it runs: x = 2^e m with m in [sqrt(1/2), sqrt(2)), ln m = 2 artanh((m-1)/(m+1)) by its series.
 */
static double own_log(double x)
{
    static const double LN2 = 0.693147180559945309417;
    uint64_t bits;
    int e;
    double m, f, f2, sum = 0.0;

    memcpy(&bits, &x, sizeof bits);
    e = (int)(bits >> 52) - 1022;
    bits = (bits & 0x000FFFFFFFFFFFFFu) | (uint64_t)1022 << 52;
    memcpy(&m, &bits, sizeof m); /* in [1/2, 1) */
    if (m < 0.70710678118654752) {
        m *= 2.0;
        e--;
    }
    f = (m - 1.0) / (m + 1.0);
    f2 = f * f;
    for (int k = 23; k >= 1; k -= 2)
        sum = sum * f2 + 1.0 / k;
    return e * LN2 + 2.0 * f * sum;
}

void pl_temper(float *y, const float *x, float temperature, size_t V)
{
    const float inverse = temperature > 0.0f ? 1.0f / temperature : 1.0f;

    for (size_t v = 0; v < V; v++)
        y[v] = x[v] * inverse;
}

double pl_logsumexp(const float *x, size_t V)
{
    const struct pl_kernels *kern = pl_kernels();
    const float most = kern->max(x, V);
    double total = 0.0;

    for (size_t v = 0; v < V; v += LSE_BLOCK)
        total += (double)kern->exp_sum(NULL, x + v, most, V - v < LSE_BLOCK ? V - v : LSE_BLOCK);
    return (double)most + own_log(total);
}

void pl_logsumexp_rows(double *lse, const float *x, size_t R, size_t V)
{
#pragma omp parallel for schedule(static) if (R * V > ROWS_SERIAL)
    for (size_t r = 0; r < R; r++)
        lse[r] = pl_logsumexp(x + r * V, V);
}

void pl_exp_shifted(float *y, const float *x, float shift, size_t n)
{
    pl_kernels()->exp_shifted(y, x, shift, n);
}

float pl_max(const float *x, size_t n)
{
    return pl_kernels()->max(x, n);
}

float pl_sum(const float *x, size_t n)
{
    return pl_kernels()->sum(x, n);
}

float pl_dot(const float *x, const float *y, size_t n)
{
    return pl_kernels()->dot(x, y, n);
}
