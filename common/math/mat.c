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
    PL_ASSERT(row + n <= mat->rows);
    for (size_t r = row; r < row + n; r++, ret_rows += mat->cols) {
        const uint32_t *at = word_at(mat, r);
        const unsigned shift = shift_of(r);

        for (size_t k = 0; k < mat->cols; k++, at += PL_PANEL_WORDS)
            ret_rows[k] = pl_bf16_widen((uint16_t)(*at >> shift));
    }
}
