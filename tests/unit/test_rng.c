/* Philox against the published vectors, and the draws made of it against what they should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "tests/close.h"

#include <math.h>

/* philox4x32-10 of Random123 1.14.0, tests/kat_vectors: counter, key, words. */
static void published_vectors(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], words[4];
    } kat[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    for (size_t i = 0; i < sizeof kat / sizeof *kat; i++) {
        const struct pl_rng rng = {.seed = (uint64_t)kat[i].key[1] << 32 | kat[i].key[0],
                                   .sample = kat[i].counter[1],
                                   .prompt = kat[i].counter[2],
                                   .batch = kat[i].counter[3]};
        uint32_t words[4];

        pl_rng_words(&rng, kat[i].counter[0], words);
        for (size_t j = 0; j < 4; j++)
            assert_int_equal(words[j], kat[i].words[j]);
    }
}

/* Changing any part of where a draw is used changes it. */
static void every_part_of_the_place_counts(void **state)
{
    (void)state;
    const struct pl_rng base = {.seed = 1, .batch = 2, .prompt = 3, .sample = 4};
    struct pl_rng other[5] = {base, base, base, base, base};
    const uint64_t first = pl_rng_below(&base, 5, UINT64_MAX);

    other[0].seed++;
    other[1].seed += (uint64_t)1 << 32;
    other[2].batch++;
    other[3].prompt++;
    other[4].sample++;
    for (size_t i = 0; i < 5; i++)
        assert_true(pl_rng_below(&other[i], 5, UINT64_MAX) != first);
    assert_true(pl_rng_below(&base, 6, UINT64_MAX) != first);
    assert_true(pl_rng_below(&base, 5, UINT64_MAX) == first);
}

static void units_are_uniform(void **state)
{
    (void)state;
    enum { N = 40000, BINS = 16 };
    const struct pl_rng rng = {.seed = 17, .batch = (uint32_t)PL_RNG_TEST};
    size_t bins[BINS] = {0};
    uint32_t w[4];

    for (uint32_t i = 0; i < N; i++) {
        const double u = pl_rng_unit(&rng, i);

        assert_true(u >= 0.0 && u < 1.0);
        assert_true(u * 0x1p53 == floor(u * 0x1p53)); /* 53 bits */
        bins[(size_t)(u * BINS)]++;
        pl_rng_words(&rng, i, w);
        assert_int_equal((uint32_t)(u * 0x1p32), w[0]); /* of words 0 and 1 */
    }
    for (size_t b = 0; b < BINS; b++) /* within five standard deviations, which are 48 */
        pl_assert_close(bins[b], (double)N / BINS, 5 * sqrt((double)N / BINS), 0.0);
}

static void normals_have_their_moments(void **state)
{
    (void)state;
    enum { N = 40000 };
    const struct pl_rng rng = {.seed = 18, .batch = (uint32_t)PL_RNG_TEST};
    double sum[2] = {0}, square[2] = {0}, fourth = 0.0, product = 0.0;

    for (uint32_t i = 0; i < N; i++) {
        double pair[2];

        pl_rng_normal(&rng, i, pair);
        for (size_t j = 0; j < 2; j++) {
            assert_true(isfinite(pair[j]));
            sum[j] += pair[j] / N;
            square[j] += pair[j] * pair[j] / N;
            fourth += pow(pair[j], 4) / (2 * N);
        }
        product += pair[0] * pair[1] / N;
    }
    for (size_t j = 0; j < 2; j++) {
        pl_assert_close(sum[j], 0.0, 0.02, 0.0);
        pl_assert_close(square[j], 1.0, 0.03, 0.0);
    }
    pl_assert_close(fourth, 3.0, 0.2, 0.0);
    pl_assert_close(product, 0.0, 0.02, 0.0);
}

static void below_covers_its_range_evenly(void **state)
{
    (void)state;
    enum { N = 30000 };
    const struct pl_rng rng = {.seed = 19, .batch = (uint32_t)PL_RNG_TEST};
    size_t counts[7] = {0};

    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(pl_rng_below(&rng, i, 1), 0);
        assert_true(pl_rng_below(&rng, i, UINT64_MAX) < UINT64_MAX);
        counts[pl_rng_below(&rng, i, 7)]++;
    }
    for (size_t k = 0; k < 7; k++)
        pl_assert_close(counts[k], N / 7.0, 5 * sqrt(N / 7.0), 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(every_part_of_the_place_counts),
        cmocka_unit_test(units_are_uniform),
        cmocka_unit_test(normals_have_their_moments),
        cmocka_unit_test(below_covers_its_range_evenly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
