/* See grad_kernels.h. PL_GRAD_SYMBOL names the table that this build makes. */
#include "learner/grad_kernels.h"

#include "common/math/mat.h"
#include "common/math/simd.h"

static void rmsnorm(float *dx, float *dw, const float *dy, const float *x, const float *w,
                    float rstd, size_t C)
{
    const size_t whole = C / PL_LANES * PL_LANES, rest = C - whole;
    vf acc = vf_zero();

    for (size_t c = 0; c < whole; c += PL_LANES)
        acc = vf_fma(vf_mul(vf_load(dy + c), vf_load(w + c)), vf_load(x + c), acc);
    if (rest > 0)
        acc = vf_fma(vf_mul(vf_load_n(dy + whole, rest, 0.0f), vf_load_n(w + whole, rest, 0.0f)),
                     vf_load_n(x + whole, rest, 0.0f), acc);

    const float mean = vf_sum(acc) / (float)C;
    const vf r = vf_set1(rstd), shrink = vf_set1(rstd * rstd * mean);

    for (size_t c = 0; c < C; c += PL_LANES) {
        const size_t n = c < whole ? PL_LANES : rest;
        const vf dy_c = c < whole ? vf_load(dy + c) : vf_load_n(dy + c, n, 0.0f);
        const vf x_c = c < whole ? vf_load(x + c) : vf_load_n(x + c, n, 0.0f);
        const vf w_c = c < whole ? vf_load(w + c) : vf_load_n(w + c, n, 0.0f);
        const vf at = c < whole ? vf_load(dx + c) : vf_load_n(dx + c, n, 0.0f);
        const vf dw_c = c < whole ? vf_load(dw + c) : vf_load_n(dw + c, n, 0.0f);
        const vf dx_c = vf_fma(r, vf_sub(vf_mul(dy_c, w_c), vf_mul(x_c, shrink)), at);
        const vf dw_n = vf_fma(dy_c, vf_mul(x_c, r), dw_c);

        if (c < whole) {
            vf_store(dx + c, dx_c);
            vf_store(dw + c, dw_n);
        } else {
            vf_store_n(dx + c, dx_c, n);
            vf_store_n(dw + c, dw_n, n);
        }
    }
}

static void rope(float *dx, const float *cos, const float *sin, size_t half)
{
    for (size_t i = 0; i < half; i += PL_LANES) {
        const size_t n = half - i < PL_LANES ? half - i : PL_LANES;
        const vf a = vf_load_n(dx + i, n, 0.0f), b = vf_load_n(dx + half + i, n, 0.0f);
        const vf c = vf_load_n(cos + i, n, 0.0f), s = vf_load_n(sin + i, n, 0.0f);

        vf_store_n(dx + i, vf_add(vf_mul(a, c), vf_mul(b, s)), n);
        vf_store_n(dx + half + i, vf_sub(vf_mul(b, c), vf_mul(a, s)), n);
    }
}

/* sigma = 1 / (1 + exp(-g)):  dgate = dy up sigma (1 + g (1 - sigma)),  dup = dy g sigma */
PL_INLINE void silu_grad(vf *ret_dgate, vf *ret_dup, vf dy, vf g, vf up)
{
    const vf one = vf_set1(1.0f);
    const vf sigma = vf_div(one, vf_add(one, vf_exp(vf_sub(vf_zero(), g))));

    *ret_dgate = vf_mul(vf_mul(dy, up), vf_mul(sigma, vf_fma(g, vf_sub(one, sigma), one)));
    *ret_dup = vf_mul(dy, vf_mul(g, sigma));
}

static void silu_mul(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                     size_t n)
{
    size_t i = 0;
    vf dg, du;

    for (; i + PL_LANES <= n; i += PL_LANES) {
        silu_grad(&dg, &du, vf_load(dy + i), vf_load(gate + i), vf_load(up + i));
        vf_store(dgate + i, dg);
        vf_store(dup + i, du);
    }
    if (i < n) {
        silu_grad(&dg, &du, vf_load_n(dy + i, n - i, 0.0f), vf_load_n(gate + i, n - i, 0.0f),
                  vf_load_n(up + i, n - i, 0.0f));
        vf_store_n(dgate + i, dg, n - i);
        vf_store_n(dup + i, du, n - i);
    }
}

static void weights(float *s, float *dp, float lse, float delta, size_t valid, size_t n)
{
    const vf shift = vf_set1(lse), mean = vf_set1(delta);
    size_t j = 0;

    for (; j + PL_LANES <= valid; j += PL_LANES) {
        const vf p = vf_exp(vf_sub(vf_load(s + j), shift));

        vf_store(s + j, p);
        vf_store(dp + j, vf_mul(p, vf_sub(vf_load(dp + j), mean)));
    }
    if (j < valid) {
        const vf p = vf_exp(vf_sub(vf_load_n(s + j, valid - j, -INFINITY), shift));

        vf_store(s + j, p);
        vf_store(dp + j, vf_mul(p, vf_sub(vf_load_n(dp + j, valid - j, 0.0f), mean)));
        j += PL_LANES;
    }
    for (; j < n; j += PL_LANES) {
        vf_store(s + j, vf_zero());
        vf_store(dp + j, vf_zero());
    }
}

static void softmax(float *x, float lse, float a, float b, size_t n)
{
    const vf shift = vf_set1(lse), at = vf_set1(a), slope = vf_set1(-b);
    size_t i = 0;

    for (; i + PL_LANES <= n; i += PL_LANES) {
        const vf logp = vf_sub(vf_load(x + i), shift);

        vf_store(x + i, vf_mul(vf_fma(slope, logp, at), vf_exp(logp)));
    }
    if (i < n) {
        const vf logp = vf_sub(vf_load_n(x + i, n - i, 0.0f), shift);

        vf_store_n(x + i, vf_mul(vf_fma(slope, logp, at), vf_exp(logp)), n - i);
    }
}

static double neg_entropy(const float *x, float lse, size_t n)
{
    enum { BLOCK = 4096 }; /* floats summed in f32 before they go to the f64 total */
    const vf shift = vf_set1(lse);
    double total = 0.0;

    for (size_t at = 0; at < n; at += BLOCK) {
        const size_t end = n - at < BLOCK ? n : at + BLOCK;
        vf acc = vf_zero();
        size_t i = at;

        for (; i + PL_LANES <= end; i += PL_LANES) {
            const vf logp = vf_sub(vf_load(x + i), shift);

            acc = vf_fma(vf_exp(logp), logp, acc);
        }
        if (i < end) { /* lanes past the end weigh exp(-100) = 0 */
            const vf logp = vf_sub(vf_load_n(x + i, end - i, lse - 100.0f), shift);

            acc = vf_fma(vf_exp(logp), logp, acc);
        }
        total += (double)vf_sum(acc);
    }
    return total;
}

static void axpy(float *y, float a, const float *x, size_t n)
{
    const vf scale = vf_set1(a);
    size_t i = 0;

    for (; i + PL_LANES <= n; i += PL_LANES)
        vf_store(y + i, vf_fma(scale, vf_load(x + i), vf_load(y + i)));
    if (i < n)
        vf_store_n(y + i,
                   vf_fma(scale, vf_load_n(x + i, n - i, 0.0f), vf_load_n(y + i, n - i, 0.0f)),
                   n - i);
}

/* Sixteen lanes, then the tree of vf_sum(), in double. */
static double squares(const float *x, size_t n)
{
    double lanes[PL_LANES] = {0.0};
    size_t i = 0;

    for (; i + PL_LANES <= n; i += PL_LANES)
        for (size_t j = 0; j < PL_LANES; j++)
            lanes[j] += (double)x[i + j] * (double)x[i + j];
    for (size_t j = 0; i < n; i++, j++)
        lanes[j] += (double)x[i] * (double)x[i];
    for (size_t half = PL_LANES / 2; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++)
            lanes[j] += lanes[j + half];
    return lanes[0];
}

/* The operations and their order are those of torch.optim.AdamW in f32. */
static void adamw(float *restrict master, float *restrict m, float *restrict v,
                  float *restrict grad, uint16_t *restrict bf16, const struct pl_adamw_step *step,
                  size_t n)
{
    const struct pl_adamw_step s = *step;

    for (size_t i = 0; i < n; i++) {
        const float g = grad[i] * s.grad_scale;
        const float m_i = m[i] + s.lerp1 * (g - m[i]);
        const float v_i = v[i] * s.beta2 + s.lerp2 * g * g;
        const float root = sqrtf(v_i) / s.root_bias2 + s.eps;

        grad[i] = 0.0f;
        m[i] = m_i;
        v[i] = v_i;
        master[i] = master[i] * s.keep + s.minus_lr * m_i / root;
    }
    if (bf16)
        for (size_t i = 0; i < n; i++)
            bf16[i] = pl_bf16_round(master[i]);
}

extern const struct pl_grad_kernels PL_GRAD_SYMBOL;
const struct pl_grad_kernels PL_GRAD_SYMBOL = {
    .name = PL_SIMD_NAME,
    .rmsnorm = rmsnorm,
    .rope = rope,
    .silu_mul = silu_mul,
    .weights = weights,
    .softmax = softmax,
    .neg_entropy = neg_entropy,
    .axpy = axpy,
    .squares = squares,
    .adamw = adamw,
};
