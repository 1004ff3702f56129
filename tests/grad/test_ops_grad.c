/*
 * Backward of the row operators against central differences of their formulas in double, which the
 * forward operators are close to. Sizes that fill no vector and no block of rows; buffers that hold
 * something already; the same bits on every instruction set and for any number of threads.
 */
#include "learner/ops_grad.h"

#include "common/base/buf.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/close.h"
#include "tests/slope.h"

static float *fill(size_t n, uint32_t seed, float scale)
{
    float *x = pl_alloc(n, sizeof *x);

    assert_non_null(x);
    pl_test_fill(x, n, seed);
    for (size_t i = 0; i < n; i++)
        x[i] *= scale;
    return x;
}

static double *widen(const float *x, size_t n)
{
    double *wide = malloc(n * sizeof *wide);

    assert_non_null(wide);
    pl_test_widen(wide, x, n);
    return wide;
}

/* ---- RMSNorm ---- */

static const float EPS = 0.01f; /* large, so that it matters */

struct norm {
    size_t R, C, wide; /* x and dx have `wide` rows, of which R are used */
    const uint32_t *rows;
    const float *x, *w, *dy, *rstd;
    double *x_n, *w_all; /* in double: row n of x, and w */
    const double *x_all; /* (wide, C) */
    size_t n;
};

static double norm_row(const struct norm *s, const double *x, const float *dy)
{
    double square = 0.0, sum = 0.0;

    for (size_t c = 0; c < s->C; c++)
        square += x[c] * x[c];
    for (size_t c = 0; c < s->C; c++)
        sum += (double)dy[c] * x[c] * s->w_all[c];
    return sum / sqrt(square / (double)s->C + (double)EPS);
}

static double norm_of_row(const void *at)
{
    const struct norm *s = at;

    return norm_row(s, s->x_n, s->dy + s->n * s->C);
}

static double norm_of_all(const void *at)
{
    const struct norm *s = at;
    double sum = 0.0;

    for (size_t n = 0; n < s->R; n++)
        sum += norm_row(s, s->x_all + (s->rows ? s->rows[n] : n) * s->C, s->dy + n * s->C);
    return sum;
}

/* dx (wide, C) and dw (C) one after the other, onto what is there. */
static void norm_bwd(const void *at, float *ret)
{
    const struct norm *s = at;
    const size_t n = s->wide * s->C, floats = pl_rmsnorm_bwd_scratch(s->R, s->C);
    float *scratch = fill(floats, 77, 1e9f); /* nothing of it may count */

    pl_test_fill(ret, n + s->C, 4);
    pl_rmsnorm_bwd(ret, ret + n, s->dy, s->x, s->w, s->rstd, s->rows, s->R, s->C, scratch);
    free(scratch);
}

static void one_norm(size_t R, size_t C, bool chosen)
{
    const size_t wide = chosen ? 2 * R + 1 : R, n = wide * C;
    uint32_t *rows = malloc(R * sizeof *rows);
    float *x = fill(n, 1, 2.0f), *w = fill(C, 2, 1.0f), *dy = fill(R * C, 3, 1.0f);
    float *rstd = malloc(wide * sizeof *rstd), *y = malloc(n * sizeof *y);
    float *got = malloc((n + C) * sizeof *got), *before = fill(n + C, 4, 1.0f);
    double *x_all = widen(x, n), *w_all = widen(w, C);
    struct norm s = {R, C, wide, chosen ? rows : NULL, x, w, dy, rstd, NULL, w_all, x_all, 0};

    for (size_t i = 0; i < R; i++)
        rows[i] = (uint32_t)(2 * (R - i) - 1); /* every other row, from the last */
    for (size_t i = 0; i < R; i++) {
        const size_t row = chosen ? rows[i] : i;

        pl_rmsnorm(y + row * C, rstd + i, x + row * C, w, EPS, 1, C);
        s.n = i;
        s.x_n = x_all + row * C;
        pl_assert_close(pl_dot(y + row * C, dy + i * C, C), norm_of_row(&s), 1e-5, 1e-5);
    }
    norm_bwd(&s, got);
    for (size_t i = 0; i < R; i++) {
        const size_t row = chosen ? rows[i] : i;

        s.n = i;
        s.x_n = x_all + row * C;
        for (size_t c = 0; c < C; c++) {
            const double slope = pl_test_slope(&s.x_n[c], norm_of_row, &s);

            pl_assert_close(got[row * C + c] - before[row * C + c], slope, 1e-6, 1e-5);
            before[row * C + c] = got[row * C + c];
        }
    }
    pl_assert_same_bits(got, before, n); /* rows that were not chosen */
    for (size_t c = 0; c < C; c++)
        pl_assert_close(got[n + c] - before[n + c], pl_test_slope(&w_all[c], norm_of_all, &s), 2e-6,
                        1e-5);
    pl_test_everywhere(norm_bwd, &s, got, n + C);
    free(rows), free(x), free(w), free(dy), free(rstd), free(y), free(got), free(before);
    free(x_all), free(w_all);
}

static void rmsnorm_bwd_is_right(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{1, 1}, {2, 15}, {31, 16}, {32, 3}, {33, 17}, {70, 131}};

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int chosen = 0; chosen < 2; chosen++)
            one_norm(shapes[i][0], shapes[i][1], chosen);
}

/* ---- rotary angles ---- */

struct turn {
    size_t R, heads, ld;
    struct pl_rope rope;
    const uint32_t *positions;
    const float *dy;
    const double *x;
};

static double turned(const void *at)
{
    const struct turn *s = at;
    const size_t half = s->rope.half;
    double sum = 0.0;

    for (size_t r = 0; r < s->R; r++)
        for (size_t h = 0; h < s->heads; h++)
            for (size_t i = 0; i < half; i++) {
                const size_t a = r * s->ld + h * 2 * half + i, b = a + half;
                const double c = (double)s->rope.cos[s->positions[r] * half + i];
                const double sine = (double)s->rope.sin[s->positions[r] * half + i];

                sum += (double)s->dy[a] * (s->x[a] * c - s->x[b] * sine);
                sum += (double)s->dy[b] * (s->x[b] * c + s->x[a] * sine);
            }
    return sum;
}

static void turn_bwd(const void *at, float *ret)
{
    const struct turn *s = at;

    memcpy(ret, s->dy, s->R * s->ld * sizeof *ret);
    pl_rope_bwd(ret, s->ld, &s->rope, s->positions, s->R, s->heads);
}

static void one_turn(size_t R, size_t heads, size_t half)
{
    enum { POSITIONS = 7 };
    const size_t ld = heads * 2 * half + 5, n = R * ld;
    uint32_t *positions = malloc(R * sizeof *positions);
    float *dy = fill(n, 1, 1.0f), *got = malloc(n * sizeof *got), *forward = fill(n, 2, 1.0f);
    float *angles = fill(2 * POSITIONS * half, 3, 1.0f);
    double *x = widen(forward, n), sum = 0.0;
    const struct turn s = {
        R, heads, ld, {POSITIONS, half, angles, angles + POSITIONS * half}, positions, dy, x};

    for (size_t r = 0; r < R; r++)
        positions[r] = (uint32_t)(r * 3 % POSITIONS);
    pl_rope_apply(forward, ld, &s.rope, positions, R, heads);
    for (size_t i = 0; i < n; i++)
        sum += i % ld < heads * 2 * half ? (double)forward[i] * (double)dy[i] : 0.0;
    pl_assert_close(sum, turned(&s), 1e-5, 1e-5);
    turn_bwd(&s, got);
    for (size_t i = 0; i<n; i += R> 10 ? 37 : 1)
        if (i % ld < heads * 2 * half)
            pl_assert_close(got[i], pl_test_slope(&x[i], turned, &s), 1e-6, 1e-5);
        else /* what lies past the heads is left alone */
            assert_true(got[i] == dy[i]);
    pl_test_everywhere(turn_bwd, &s, got, n);
    free(positions), free(dy), free(got), free(forward), free(angles), free(x);
}

static void rope_bwd_is_right(void **state)
{
    (void)state;
    one_turn(1, 1, 1);
    one_turn(3, 2, 5);
    one_turn(4, 3, 16);
    one_turn(5, 1, 23);
    one_turn(40, 3, 24);
}

/* ---- SwiGLU ---- */

struct glu {
    size_t R, F;
    const float *dy, *gu_f;
    double *gu;
    size_t at; /* the gate looked at */
    bool in_place;
};

/* dy silu(g) u of one pair: nothing else depends on it. */
static double glu_of_pair(const void *at)
{
    const struct glu *s = at;
    const double g = s->gu[s->at], u = s->gu[s->at + s->F];

    return (double)s->dy[s->at / (2 * s->F) * s->F + s->at % (2 * s->F)] * g / (1.0 + exp(-g)) * u;
}

static void glu_bwd(const void *at, float *ret)
{
    const struct glu *s = at;

    memcpy(ret, s->gu_f, s->R * 2 * s->F * sizeof *ret);
    pl_silu_mul_bwd(ret, s->dy, s->in_place ? ret : s->gu_f, s->R, s->F);
}

static void one_glu(size_t R, size_t F)
{
    const size_t n = R * 2 * F;
    float *dy = fill(R * F, 1, 1.0f), *gu_f = fill(n, 2, 1.0f), *got = malloc(n * sizeof *got);
    float *y = malloc(R * F * sizeof *y);
    struct glu s = {R, F, dy, gu_f, NULL, 0, false};

    for (size_t r = 0; r < R; r++)
        for (size_t f = 0; f < F; f++)
            gu_f[r * 2 * F + f] *= f % 3 == 0 ? 40.0f : 3.0f;
    s.gu = widen(gu_f, n);
    pl_silu_mul(y, gu_f, R, F);
    glu_bwd(&s, got);
    for (size_t r = 0; r < R; r++)
        for (size_t f = 0; f < F; f++) {
            s.at = r * 2 * F + f;
            pl_assert_close(dy[r * F + f] * y[r * F + f], glu_of_pair(&s), 1e-6, 1e-5);
            pl_assert_close(got[s.at], pl_test_slope(&s.gu[s.at], glu_of_pair, &s), 1e-6, 1e-5);
            pl_assert_close(got[s.at + F], pl_test_slope(&s.gu[s.at + F], glu_of_pair, &s), 1e-6,
                            1e-5);
        }
    for (int i = 0; i < 2; i++) {
        s.in_place = i;
        pl_test_everywhere(glu_bwd, &s, got, n);
    }
    free(dy), free(gu_f), free(got), free(y), free(s.gu);
}

static void silu_mul_bwd_is_right(void **state)
{
    (void)state;
    one_glu(1, 1);
    one_glu(3, 15);
    one_glu(2, 16);
    one_glu(7, 49);
    one_glu(33, 130);
}

/* ---- embedding ---- */

struct embed {
    size_t V, C, R;
    const uint32_t *ids;
    const float *dx;
};

static void embed_bwd(const void *at, float *ret)
{
    const struct embed *s = at;

    pl_test_fill(ret, s->V * s->C, 4);
    pl_embed_bwd(ret, s->dx, s->ids, s->R, s->C);
}

/* x is linear in W: the slope at W[v,c] is the sum of dx[r,c] over the rows of that id. */
static void one_embed(size_t V, size_t C, size_t R)
{
    uint32_t *ids = malloc(R * sizeof *ids);
    float *dx = fill(R * C, 1, 1.0f), *got = malloc(V * C * sizeof *got),
          *before = fill(V * C, 4, 1);
    const struct embed s = {V, C, R, ids, dx};

    for (size_t r = 0; r < R; r++)
        ids[r] = (uint32_t)(r * r % V); /* some never, some often */
    embed_bwd(&s, got);
    for (size_t v = 0; v < V; v++)
        for (size_t c = 0; c < C; c++) {
            double want = (double)before[v * C + c];

            for (size_t r = 0; r < R; r++)
                want += ids[r] == v ? (double)dx[r * C + c] : 0.0;
            pl_assert_close(got[v * C + c], want, 1e-5, 1e-6);
        }
    pl_test_everywhere(embed_bwd, &s, got, V * C);
    free(ids), free(dx), free(got), free(before);
}

static void embed_bwd_is_right(void **state)
{
    (void)state;
    one_embed(1, 1, 1);
    one_embed(3, 63, 5);
    one_embed(7, 64, 9);
    one_embed(29, 131, 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rmsnorm_bwd_is_right),
        cmocka_unit_test(rope_bwd_is_right),
        cmocka_unit_test(silu_mul_bwd_is_right),
        cmocka_unit_test(embed_bwd_is_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
