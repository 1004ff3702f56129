/*
 * A matrix of bf16 values packed for y = x W^T.
 *
 *   W is (N, K). Panel p holds rows 32p .. 32p+31, padded with zero rows at the end:
 *   words[(p * K + k) * 16 + i]:  low half  = W[32p + i][k],  high half = W[32p + 16 + i][k]
 *
 * One 64-byte line per (panel, k), so that a kernel streams it from front to back and widens both
 * halves with one shift and one mask.
 */
#ifndef PL_MATH_MAT_H
#define PL_MATH_MAT_H

#include <stddef.h>
#include <stdint.h>

enum { PL_PANEL = 32, PL_PANEL_WORDS = 16 };

struct pl_mat {
    size_t rows, cols; /* N, K */
    uint32_t *words;   /* pl_mat_words(N, K) of them, 64-byte aligned; borrowed */
};

size_t pl_mat_words(size_t rows, size_t cols);

/* Rows [row, row + n) from (n, K) bf16 values. Ranges that share a panel must not be set at once.
 */
void pl_mat_set(const struct pl_mat *mat, size_t row, size_t n, const uint16_t *values);
void pl_mat_get(const struct pl_mat *mat, size_t row, size_t n, uint16_t *ret_values);

/* The same from f32 values (n, K), each rounded to the nearest bf16; uses all threads. */
void pl_mat_set_f32(const struct pl_mat *mat, size_t row, size_t n, const float *values);

/* Rows [row, row + n) widened to f32, row-major (n, K). */
void pl_mat_rows(const struct pl_mat *mat, size_t row, size_t n, float *ret_rows);

/* bf16 and f32: widening is exact, rounding is to nearest even, NaN stays NaN. */
static inline float pl_bf16_widen(uint16_t value)
{
    const union {
        uint32_t word;
        float f;
    } u = {.word = (uint32_t)value << 16};

    return u.f;
}

static inline uint16_t pl_bf16_round(float x)
{
    const union {
        float f;
        uint32_t word;
    } u = {.f = x};

    if ((u.word & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(u.word >> 16 | 0x40);
    return (uint16_t)((u.word + 0x7FFF + (u.word >> 16 & 1)) >> 16);
}

#endif
