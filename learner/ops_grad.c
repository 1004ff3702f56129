#include "learner/ops_grad.h"

#include "common/math/kernels.h"
#include "learner/grad_kernels.h"

#include <string.h>

enum {
    NORM_ROWS = 32, /* rows summed by one thread into one partial dw; fixed, so that the bits are */
    EMBED_COLS = 64, /* columns of dw that one thread adds to */
    SERIAL = 4096,   /* floats: less than this is not worth waking the threads */
};

extern const struct pl_grad_kernels pl_grad_kernels_plain;
#ifdef PL_X86
extern const struct pl_grad_kernels pl_grad_kernels_avx2, pl_grad_kernels_avx512;
#endif

const struct pl_grad_kernels *pl_grad_kernels(void)
{
#ifdef PL_X86
    const char *name = pl_kernels()->name;

    if (strcmp(name, "avx512") == 0)
        return &pl_grad_kernels_avx512;
    if (strcmp(name, "avx2") == 0)
        return &pl_grad_kernels_avx2;
#endif
    return &pl_grad_kernels_plain;
}

static size_t norm_blocks(size_t R)
{
    return (R + NORM_ROWS - 1) / NORM_ROWS;
}

size_t pl_rmsnorm_bwd_scratch(size_t R, size_t C)
{
    return norm_blocks(R) * C;
}

void pl_rmsnorm_bwd(float *dx, float *dw, const float *dy, const float *x, const float *w,
                    const float *rstd, const uint32_t *rows, size_t R, size_t C, float *scratch)
{
    const struct pl_grad_kernels *kern = pl_grad_kernels();

#pragma omp parallel for schedule(static) if (R * C > SERIAL)
    for (size_t block = 0; block < norm_blocks(R); block++) {
        float *part = scratch + block * C;

        memset(part, 0, C * sizeof *part);
        for (size_t n = block * NORM_ROWS; n < R && n < (block + 1) * NORM_ROWS; n++) {
            const size_t at = rows ? rows[n] : n;

            kern->rmsnorm(dx + at * C, part, dy + n * C, x + at * C, w, rstd[n], C);
        }
    }
    for (size_t block = 0; block < norm_blocks(R); block++)
        kern->axpy(dw, 1.0f, scratch + block * C, C);
}

void pl_rope_bwd(float *dx, size_t ldx, const struct pl_rope *rope, const uint32_t *positions,
                 size_t R, size_t heads)
{
    const struct pl_grad_kernels *kern = pl_grad_kernels();
    const size_t half = rope->half;

#pragma omp parallel for schedule(static) if (R * heads * half * 2 > SERIAL)
    for (size_t r = 0; r < R; r++) {
        const size_t at = (size_t)positions[r] * half;

        for (size_t h = 0; h < heads; h++)
            kern->rope(dx + r * ldx + h * 2 * half, rope->cos + at, rope->sin + at, half);
    }
}

void pl_silu_mul_bwd(float *dgu, const float *dy, const float *gu, size_t R, size_t F)
{
    const struct pl_grad_kernels *kern = pl_grad_kernels();

#pragma omp parallel for schedule(static) if (R * F > SERIAL)
    for (size_t r = 0; r < R; r++) {
        const float *gate = gu + r * 2 * F;
        float *dgate = dgu + r * 2 * F;

        kern->silu_mul(dgate, dgate + F, dy + r * F, gate, gate + F, F);
    }
}

void pl_embed_bwd(float *dw, const float *dx, const uint32_t *ids, size_t R, size_t C)
{
    const struct pl_grad_kernels *kern = pl_grad_kernels();

    /* Ids repeat, so threads share out columns, and each takes all rows in order. */
#pragma omp parallel for schedule(static) if (R * C > SERIAL)
    for (size_t c = 0; c < C; c += EMBED_COLS)
        for (size_t r = 0; r < R; r++)
            kern->axpy(dw + (size_t)ids[r] * C + c, 1.0f, dx + r * C + c,
                       C - c < EMBED_COLS ? C - c : EMBED_COLS);
}
