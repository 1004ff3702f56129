/* Exact numbers: long division, fractions in lowest terms, roots, reading, and what does not fit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/rng.h"
#include "rewarder/math_number.h"

#include <string.h>

static uint64_t work;
static struct pl_rng rng = {.seed = 4, .batch = (uint32_t)PL_RNG_TEST};
static uint32_t drawn;

static uint64_t below(uint64_t n)
{
    return pl_rng_below(&rng, drawn++, n);
}

/* Of up to `words` words, many of which are those that make division go wrong. */
static struct pl_math_int any(uint32_t words)
{
    static const uint32_t special[] = {0, 1, UINT32_MAX, UINT32_MAX - 1, 0x80000000, 0x7FFFFFFF};
    struct pl_math_int n = {.count = 1 + (uint32_t)below(words)};

    for (uint32_t i = 0; i < n.count; i++)
        n.words[i] = below(2) ? special[below(6)] : (uint32_t)below(1ull << 32);
    while (n.count > 0 && n.words[n.count - 1] == 0)
        n.count--;
    return n;
}

static struct pl_math_num whole(struct pl_math_int n)
{
    return (struct pl_math_num){.over = n, .under = pl_math_int_of(1)};
}

static struct pl_math_num read(const char *text)
{
    struct pl_math_num n;

    if (pl_math_num_read(text, strlen(text), &n, &work) != PL_OK)
        fail_msg("'%s' is not read", text);
    return n;
}

static struct pl_math_num fraction(int64_t over, int64_t under)
{
    struct pl_math_num a = pl_math_num_of(over), b = pl_math_num_of(under);

    b = pl_math_num_inverse(&b);
    assert_int_equal(pl_math_num_mul(&a, &b, &a, &work), PL_OK);
    return a;
}

static bool same(struct pl_math_num a, struct pl_math_num b)
{
    return pl_math_num_equal(&a, &b);
}

static void a_quotient_times_the_divisor_and_the_rest_is_the_dividend(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        const struct pl_math_int a = any(PL_MATH_WORDS), b = any(PL_MATH_WORDS);
        struct pl_math_int quotient, rest;
        struct pl_math_num sum, r;

        if (b.count == 0)
            continue;
        pl_math_int_div(&a, &b, &quotient, &rest, &work);
        assert_true(pl_math_int_compare(&rest, &b) < 0);
        assert_int_equal(pl_math_int_mul(&quotient, &b, &quotient, &work), PL_OK);
        sum = whole(quotient);
        r = whole(rest);
        assert_int_equal(pl_math_num_add(&sum, &r, &sum, &work), PL_OK);
        assert_true(same(sum, whole(a)));
    }
}

static void the_greatest_divisor_of_multiples_holds_the_factor(void **state)
{
    (void)state;
    for (int i = 0; i < 3000; i++) {
        struct pl_math_int a = any(5), b = any(5), c = any(5), gcd, rest;

        if (a.count == 0 || b.count == 0 || c.count == 0)
            continue;
        gcd = pl_math_int_gcd(a, b, &work);
        assert_int_equal(pl_math_int_mul(&a, &c, &a, &work), PL_OK);
        assert_int_equal(pl_math_int_mul(&b, &c, &b, &work), PL_OK);
        assert_int_equal(pl_math_int_mul(&gcd, &c, &gcd, &work), PL_OK);
        c = pl_math_int_gcd(a, b, &work);
        assert_int_equal(pl_math_int_compare(&c, &gcd), 0);
        pl_math_int_div(&a, &c, NULL, &rest, &work);
        assert_int_equal(rest.count, 0);
    }
}

/* In 64 bits beside it. */
static void fractions_are_in_lowest_terms(void **state)
{
    (void)state;
    for (int i = 0; i < 3000; i++) {
        const int64_t a = (int64_t)below(2001) - 1000, b = 1 + (int64_t)below(1000);
        const int64_t c = (int64_t)below(2001) - 1000, d = 1 + (int64_t)below(1000);
        const struct pl_math_num x = fraction(a, b), y = fraction(c, d);
        struct pl_math_num sum, product;

        assert_int_equal(pl_math_num_add(&x, &y, &sum, &work), PL_OK);
        assert_int_equal(pl_math_num_mul(&x, &y, &product, &work), PL_OK);
        assert_true(same(sum, fraction(a * d + c * b, b * d)));
        assert_true(same(product, fraction(a * c, b * d)));
        sum = pl_math_num_of(0);
        assert_true(a * c != 0 || same(product, sum));
    }
    assert_true(same(fraction(6, -8), fraction(-3, 4)));
    assert_true(fraction(6, -8).negative);
    assert_false(fraction(0, -8).negative);
}

static void powers_and_their_roots(void **state)
{
    struct pl_math_int root, two = pl_math_int_of(2);

    (void)state;
    for (uint32_t k = 2; k <= 7; k++)
        for (int i = 0; i < 50; i++) {
            const struct pl_math_num n = pl_math_num_of(2 + (int64_t)below(1 << 30));
            struct pl_math_num power, more = pl_math_num_of(1);

            assert_int_equal(pl_math_num_pow(&n, k, &power, &work), PL_OK);
            assert_true(pl_math_int_root(&power.over, k, &root, &work));
            assert_int_equal(pl_math_int_compare(&root, &n.over), 0);
            assert_int_equal(pl_math_num_add(&power, &more, &power, &work), PL_OK);
            assert_false(pl_math_int_root(&power.over, k, &root, &work));
            assert_int_equal(pl_math_int_compare(&root, &n.over), 0); /* left alone */
        }
    assert_false(pl_math_int_root(&two, 2, &two, &work));
    two = pl_math_int_of(4);
    assert_true(pl_math_int_root(&two, 2, &two, &work)); /* in place */
    assert_true(pl_math_int_is(&two, 2));
}

static void numbers_are_read(void **state)
{
    static const char *const bad[] = {"",     ".",    "1.2.3", "1,2", "x",   "1e",    "e5",
                                      "0.()", "0.(3", "0.3)",  "-1",  "1e+", "0.(3)4"};
    struct pl_math_num n;

    (void)state;
    assert_true(same(read("0"), pl_math_num_of(0)));
    assert_true(same(read("007"), pl_math_num_of(7)));
    assert_true(same(read("12.50"), fraction(25, 2)));
    assert_true(same(read(".5"), fraction(1, 2)));
    assert_true(same(read("5."), pl_math_num_of(5)));
    assert_true(same(read("0.(3)"), fraction(1, 3)));
    assert_true(same(read("2.1(6)"), fraction(13, 6)));
    assert_true(same(read("0.(142857)"), fraction(1, 7)));
    assert_true(same(read("1.5e3"), pl_math_num_of(1500)));
    assert_true(same(read("25E-2"), fraction(1, 4)));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (pl_math_num_read(bad[i], strlen(bad[i]), &n, &work) != PL_EFORMAT)
            fail_msg("'%s' was read", bad[i]);
}

static void what_does_not_fit_is_said(void **state)
{
    const struct pl_math_num two = pl_math_num_of(2), one = pl_math_num_of(1);
    struct pl_math_num n, third = fraction(1, 3);
    char digits[200];

    (void)state;
    assert_int_equal(pl_math_num_pow(&two, 32 * PL_MATH_WORDS - 1, &n, &work), PL_OK);
    assert_int_equal(pl_math_num_mul(&n, &two, &third, &work), PL_EFULL);
    assert_int_equal(pl_math_num_pow(&two, 32 * PL_MATH_WORDS, &third, &work), PL_EFULL);
    assert_int_equal(pl_math_num_pow(&two, UINT32_MAX, &third, &work), PL_EFULL);
    assert_int_equal(pl_math_num_pow(&one, UINT32_MAX, &n, &work), PL_OK);
    memset(digits, '9', sizeof digits);
    assert_int_equal(pl_math_num_read(digits, 115, &n, &work), PL_OK);
    assert_int_equal(pl_math_num_read(digits, 116, &n, &work), PL_EFULL);
    assert_int_equal(pl_math_num_read("1e115", 5, &n, &work), PL_OK);
    assert_int_equal(pl_math_num_read("1e116", 5, &n, &work), PL_EFULL);
    assert_int_equal(pl_math_num_read("1e99999999999", 13, &n, &work), PL_EFULL);
}

/* The largest number plus one: all words carry. */
static void a_carry_out_of_the_last_word_does_not_fit(void **state)
{
    struct pl_math_num n = {.under = pl_math_int_of(1)}, one = pl_math_num_of(1);
    const struct pl_math_num less = pl_math_num_of(-1);

    (void)state;
    n.over.count = PL_MATH_WORDS;
    memset(n.over.words, 0xFF, sizeof n.over.words);
    assert_int_equal(pl_math_num_add(&n, &one, &one, &work), PL_EFULL);
    assert_int_equal(pl_math_num_add(&n, &less, &n, &work), PL_OK);
    assert_int_equal(n.over.words[0], UINT32_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quotient_times_the_divisor_and_the_rest_is_the_dividend),
        cmocka_unit_test(the_greatest_divisor_of_multiples_holds_the_factor),
        cmocka_unit_test(fractions_are_in_lowest_terms),
        cmocka_unit_test(powers_and_their_roots),
        cmocka_unit_test(numbers_are_read),
        cmocka_unit_test(what_does_not_fit_is_said),
        cmocka_unit_test(a_carry_out_of_the_last_word_does_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
