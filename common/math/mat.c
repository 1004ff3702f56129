#include "common/math/mat.h"

#include "common/base/check.h"

size_t pl_mat_words(size_t rows, size_t cols)
{
    return (rows + PL_PANEL - 1) / PL_PANEL * PL_PANEL_WORDS * cols;
}

/* The word that holds row `row` at column 0; its half is the high one for lanes 16 to 31. */
static uint32_t *word_at(const struct pl_mat *mat, size_t row)
{
    return mat->words + row / PL_PANEL * PL_PANEL_WORDS * mat->cols + row % PL_PANEL_WORDS;
}

static unsigned shift_of(size_t row)
{
    return row % PL_PANEL < PL_PANEL_WORDS ? 0 : 16;
}

void pl_mat_set(const struct pl_mat *mat, size_t row, size_t n, const uint16_t *values)
{
    PL_ASSERT(row + n <= mat->rows);
    for (size_t r = row; r < row + n; r++, values += mat->cols) {
        uint32_t *at = word_at(mat, r);
        const unsigned shift = shift_of(r);
        const uint32_t keep = shift ? 0x0000FFFFu : 0xFFFF0000u;

        for (size_t k = 0; k < mat->cols; k++, at += PL_PANEL_WORDS)
            *at = (*at & keep) | (uint32_t)values[k] << shift;
    }
}

void pl_mat_get(const struct pl_mat *mat, size_t row, size_t n, uint16_t *ret_values)
{
    PL_ASSERT(row + n <= mat->rows);
    for (size_t r = row; r < row + n; r++, ret_values += mat->cols) {
        const uint32_t *at = word_at(mat, r);
        const unsigned shift = shift_of(r);

        for (size_t k = 0; k < mat->cols; k++, at += PL_PANEL_WORDS)
            ret_values[k] = (uint16_t)(*at >> shift);
    }
}

void pl_mat_rows(const struct pl_mat *mat, size_t row, size_t n, float *ret_rows)
{
    enum { BLOCK = 16 }; /* columns at a time: the lines they are in stay in the first cache */
    const size_t K = mat->cols;

    PL_ASSERT(row + n <= mat->rows);
    for (size_t k0 = 0; k0 < K; k0 += BLOCK)
        for (size_t i = 0; i < n; i++) {
            const uint32_t *at = word_at(mat, row + i) + k0 * PL_PANEL_WORDS;
            const unsigned shift = shift_of(row + i);
            const size_t end = K - k0 < BLOCK ? K : k0 + BLOCK;

            for (size_t k = k0; k < end; k++, at += PL_PANEL_WORDS)
                ret_rows[i * K + k] = pl_bf16_widen((uint16_t)(*at >> shift));
        }
}

/* Rows [row, end) of one panel: its lines are written once, whole where all 32 rows are given. */
static void set_panel_f32(const struct pl_mat *mat, size_t row, size_t end, const float *values)
{
    const size_t K = mat->cols;

    if (row % PL_PANEL != 0 || end - row != PL_PANEL) {
        for (size_t r = row; r < end; r++, values += K) {
            uint32_t *at = word_at(mat, r);
            const unsigned shift = shift_of(r);
            const uint32_t keep = shift ? 0x0000FFFFu : 0xFFFF0000u;

            for (size_t k = 0; k < K; k++, at += PL_PANEL_WORDS)
                *at = (*at & keep) | (uint32_t)pl_bf16_round(values[k]) << shift;
        }
        return;
    }
    uint32_t *line = word_at(mat, row);

    for (size_t k = 0; k < K; k++, line += PL_PANEL_WORDS)
        for (size_t i = 0; i < PL_PANEL_WORDS; i++)
            line[i] = (uint32_t)pl_bf16_round(values[i * K + k]) |
                      (uint32_t)pl_bf16_round(values[(i + PL_PANEL_WORDS) * K + k]) << 16;
}

void pl_mat_set_f32(const struct pl_mat *mat, size_t row, size_t n, const float *values)
{
    const size_t first = row / PL_PANEL, last = n > 0 ? (row + n - 1) / PL_PANEL + 1 : first;

    PL_ASSERT(row + n <= mat->rows);
#pragma omp parallel for schedule(static)
    for (size_t p = first; p < last; p++) {
        const size_t from = p * PL_PANEL > row ? p * PL_PANEL : row;
        const size_t end = (p + 1) * PL_PANEL < row + n ? (p + 1) * PL_PANEL : row + n;

        set_panel_f32(mat, from, end, values + (from - row) * mat->cols);
    }
}
