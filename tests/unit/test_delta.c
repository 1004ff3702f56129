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

enum { VALUES = 70000 };

static const struct pl_bcast_tensor tensors[] = {{.name = "a", .first = 0, .count = 60000},
                                                 {.name = "b", .first = 60000, .count = 1},
                                                 {.name = "c", .first = 60001, .count = 9999}};
static const struct pl_bcast_table table = {tensors, 3, VALUES};
static uint16_t from[VALUES], to[VALUES], got[VALUES];

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

static struct pl_buf encode(void)
{
    struct pl_buf buf;
    uint64_t changed = 0, differ = 0;

    pl_buf_init(&buf, 1 << 20);
    assert_int_equal(pl_delta_encode(&table, from, to, &buf, &changed), PL_OK);
    for (size_t i = 0; i < VALUES; i++)
        differ += from[i] != to[i];
    assert_int_equal(changed, differ);
    return buf;
}

static void what_changed_comes_back_and_twice_is_harmless(void **state)
{
    static const uint32_t every[] = {0, 1, 2, 3, 10, 100, 5000, 60000};

    (void)state;
    for (size_t i = 0; i < sizeof every / sizeof *every; i++) {
        struct pl_buf buf;

        fill(every[i]);
        buf = encode();
        memcpy(got, from, sizeof got);
        assert_int_equal(pl_delta_apply(&table, buf.data, buf.len, got, NULL), PL_OK);
        assert_memory_equal(got, to, sizeof got);
        assert_int_equal(pl_delta_apply(&table, buf.data, buf.len, got, NULL), PL_OK);
        assert_memory_equal(got, to, sizeof got);
        assert_true(buf.len <= sizeof to + 3); /* never larger than all of it */
        if (every[i] == 0)
            assert_int_equal(buf.len, 3);
        if (every[i] == 100)
            assert_true(buf.len < sizeof to / 25); /* 3 bytes each for a hundredth */
        pl_buf_release(&buf);
    }
}

static void the_last_and_the_first_value_can_change(void **state)
{
    struct pl_buf buf;

    (void)state;
    fill(0);
    to[0] ^= 7;
    to[59999] ^= 7;
    to[60000] ^= 7;
    to[VALUES - 1] ^= 7;
    buf = encode();
    memcpy(got, from, sizeof got);
    assert_int_equal(pl_delta_apply(&table, buf.data, buf.len, got, NULL), PL_OK);
    assert_memory_equal(got, to, sizeof got);
    pl_buf_release(&buf);
}

static void what_is_broken_is_refused(void **state)
{
    const struct pl_rng rng = {.seed = 6, .batch = (uint32_t)PL_RNG_TEST};
    struct pl_error err = {0};
    struct pl_buf buf;

    (void)state;
    fill(1000);
    buf = encode();
    for (size_t len = 0; len < buf.len; len++) /* cut anywhere */
        assert_int_equal(pl_delta_apply(&table, buf.data, len, got, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "broken at tensor 'c'"));
    pl_buf_append(&buf, "x", 1);
    assert_int_equal(pl_delta_apply(&table, buf.data, buf.len, got, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "1 too many"));
    for (uint32_t i = 0; i < 3000; i++) { /* damaged: no crash, no write outside */
        char *copy = malloc(buf.len);

        memcpy(copy, buf.data, buf.len);
        copy[pl_rng_below(&rng, 2 * i, buf.len)] = (char)pl_rng_below(&rng, 2 * i + 1, 256);
        (void)pl_delta_apply(&table, copy, buf.len, got, NULL);
        free(copy);
    }
    pl_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_changed_comes_back_and_twice_is_harmless),
        cmocka_unit_test(the_last_and_the_first_value_can_change),
        cmocka_unit_test(what_is_broken_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
