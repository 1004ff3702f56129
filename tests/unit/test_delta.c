/* Deltas of weights: what was encoded comes back, small where little changed, refused where broken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/link/delta.h"

#include <stdlib.h>
#include <string.h>

enum { VALUES = 70001 };

static uint16_t from[VALUES], to[VALUES], got[VALUES];
static unsigned char *delta; /* of exactly the room that is asked for */

static void fill(uint32_t every)
{
    const struct pl_rng rng = {.seed = 5, .batch = (uint32_t)PL_RNG_TEST};

    for (uint32_t i = 0; i < VALUES; i++) {
        from[i] = (uint16_t)pl_rng_below(&rng, i, 65536);
        to[i] = from[i];
        if (every && pl_rng_below(&rng, VALUES + i, every) == 0)
            to[i] ^= 1;
    }
}

/* Of the first n values. */
static size_t encode(size_t n)
{
    size_t len;

    free(delta);
    delta = malloc(pl_delta_room(n));
    assert_non_null(delta);
    len = pl_delta_encode(from, to, n, delta);
    assert_true(len <= pl_delta_max(n));
    return len;
}

static void what_changed_comes_back_and_twice_is_harmless(void **state)
{
    static const uint32_t every[] = {0, 1, 2, 3, 10, 100, 5000, 60000};

    (void)state;
    for (size_t i = 0; i < sizeof every / sizeof *every; i++) {
        size_t len;

        fill(every[i]);
        len = encode(VALUES);
        memcpy(got, from, sizeof got);
        for (int twice = 0; twice < 2; twice++) {
            assert_int_equal(pl_delta_apply(delta, len, got, VALUES), PL_OK);
            assert_memory_equal(got, to, sizeof got);
        }
        if (every[i] == 0)
            assert_int_equal(len, 1);
        if (every[i] == 1)
            assert_int_equal(len, 1 + sizeof to); /* dense where that is smaller */
        if (every[i] == 100)
            assert_true(len < sizeof to / 25); /* 3 bytes each for a hundredth */
    }
}

static void any_single_value_can_change(void **state)
{
    static const size_t counts[] = {1, 2, 3, 63, 64, 65, 127, 128, 1023, 1024, 1025, 2000};

    (void)state;
    fill(0);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (size_t i = 0; i < counts[c]; i++) {
            size_t len;

            to[i] ^= 7;
            len = encode(counts[c]);
            assert_true(len <= 9 || counts[c] < 5);
            memcpy(got, from, sizeof got);
            assert_int_equal(pl_delta_apply(delta, len, got, counts[c]), PL_OK);
            assert_memory_equal(got, to, sizeof got);
            to[i] ^= 7;
        }
}

static void what_is_broken_is_refused(void **state)
{
    const struct pl_rng rng = {.seed = 6, .batch = (uint32_t)PL_RNG_TEST};
    size_t len;

    (void)state;
    fill(1000);
    len = encode(VALUES);
    for (size_t cut = 0; cut < len; cut++) /* cut anywhere */
        assert_int_equal(pl_delta_apply(delta, cut, got, VALUES), PL_EFORMAT);
    assert_int_equal(pl_delta_apply(delta, len, got, 60000), PL_EFORMAT); /* too few values */
    for (uint32_t i = 0; i < 3000; i++) { /* damaged: no crash, no write outside */
        unsigned char *copy = malloc(len);

        assert_non_null(copy);
        memcpy(copy, delta, len);
        copy[pl_rng_below(&rng, 2 * i, (uint32_t)len)] =
            (unsigned char)pl_rng_below(&rng, 2 * i + 1, 256);
        (void)pl_delta_apply(copy, len, got, VALUES);
        free(copy);
    }
    free(delta);
    delta = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_changed_comes_back_and_twice_is_harmless),
        cmocka_unit_test(any_single_value_can_change),
        cmocka_unit_test(what_is_broken_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
