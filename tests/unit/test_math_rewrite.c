/*
 * Seeded rewritings: an expression is written in another form and must be accepted; the same with
 * one number changed must be refused. What is right is computed beside the verifier in plain
 * integers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/rng.h"
#include "rewarder/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 400, DEGREE = 4 };

static struct pl_rng rng = {.seed = 7, .batch = (uint32_t)PL_RNG_TEST};
static uint32_t drawn;

static int64_t below(int64_t n)
{
    return (int64_t)pl_rng_below(&rng, drawn++, (uint64_t)n);
}

static void expect(enum pl_verdict want, const char *truth, const char *answer)
{
    const struct pl_task task = {.id = "t", .final = {.answer = truth}};

    if (pl_verify_final(&pl_verify_math, &task, answer, strlen(answer)) != want)
        fail_msg("'%s' for '%s' is not %s", answer, truth,
                 want == PL_VERDICT_RIGHT ? "right" : "wrong");
}

static void both_ways(enum pl_verdict want, const char *a, const char *b)
{
    expect(want, a, b);
    expect(want, b, a);
}

/* --- fractions --- */

struct fraction {
    int64_t over, under;
};

/* A sum, product or quotient of small fractions, written down; under is not 0, nothing is reduced.
 */
static struct fraction write_expression(struct pl_buf *out, int depth)
{
    static const char *const forms[] = {"(%s)+(%s)", "(%s)-(%s)", "\\left(%s\\right)\\cdot(%s)",
                                        "\\frac{%s}{%s}"};
    struct pl_buf left = {.bytes_max = 4096}, right = {.bytes_max = 4096};
    struct fraction a, b, r;
    int64_t form = below(4);

    if (depth == 0) {
        r = (struct fraction){below(19) - 9, 1 + below(6)};
        assert_int_equal(r.under == 1
                             ? pl_buf_printf(out, "%lld", (long long)r.over)
                             : pl_buf_printf(out, "%s\\frac{%lld}{%lld}", r.over < 0 ? "-" : "",
                                             (long long)llabs(r.over), (long long)r.under),
                         0);
        return r;
    }
    a = write_expression(&left, depth - 1);
    b = write_expression(&right, depth - 1);
    if (b.over == 0 && form == 3)
        form = 0;
    r = form == 2   ? (struct fraction){a.over * b.over, a.under * b.under}
        : form == 3 ? (struct fraction){a.over * b.under, a.under * b.over}
                    : (struct fraction){a.over * b.under + (form ? -1 : 1) * b.over * a.under,
                                        a.under * b.under};
    for (const char *at = forms[form], *part = left.data; *at; at++) {
        if (*at != '%') {
            assert_int_equal(pl_buf_append(out, at, 1), 0);
            continue;
        }
        assert_int_equal(pl_buf_printf(out, "%s", part), 0);
        part = right.data;
        at++;
    }
    pl_buf_release(&left);
    pl_buf_release(&right);
    return r;
}

static void fractions(void **state)
{
    char plain[100];

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct pl_buf text = {.bytes_max = 4096};
        const struct fraction f = write_expression(&text, 1 + (int)below(2));

        snprintf(plain, sizeof plain, "%lld/%lld", (long long)f.over, (long long)f.under);
        both_ways(PL_VERDICT_RIGHT, plain, text.data);
        snprintf(plain, sizeof plain, "%lld/%lld", (long long)f.over + 1, (long long)f.under);
        both_ways(PL_VERDICT_WRONG, plain, text.data);
        pl_buf_release(&text);
    }
}

/* --- polynomials in x and y --- */

struct poly {
    int64_t c[DEGREE + 1][DEGREE + 1]; /* of x^i y^k */
};

static void write_terms(struct pl_buf *out, const struct poly *p)
{
    const size_t count = sizeof p->c / sizeof **p->c;
    const size_t first = (size_t)below((int64_t)count);

    assert_int_equal(pl_buf_printf(out, "0"), 0);
    for (size_t n = 0; n < count; n++) { /* in an order that begins anywhere */
        const size_t at = (first + 7 * n) % count, i = at / (DEGREE + 1), k = at % (DEGREE + 1);
        const int64_t c = p->c[i][k];

        if (c != 0)
            assert_int_equal(below(2) ? pl_buf_printf(out, "%+lldx^{%zu}y^%zu", (long long)c, i, k)
                                      : pl_buf_printf(out, "%cy^%zu\\cdot %lld x^%zu",
                                                      c < 0 ? '-' : '+', k, (long long)llabs(c), i),
                             0);
    }
}

static struct poly multiply(const struct poly *a, const struct poly *b)
{
    struct poly r = {{{0}}};

    for (int i = 0; i <= DEGREE; i++)
        for (int k = 0; k <= DEGREE; k++)
            for (int m = 0; m <= i; m++)
                for (int n = 0; n <= k; n++)
                    r.c[i][k] += a->c[m][n] * b->c[i - m][k - n];
    return r;
}

static void products_of_sums(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct poly p = {{{1}}};
        struct pl_buf product = {.bytes_max = 4096}, sum = product, other = product;

        for (int64_t factors = 1 + below(DEGREE); factors > 0; factors--) {
            const int64_t a = below(9) - 4, b = below(9) - 4, c = 1 + below(9);
            struct poly factor = {{{0}}};

            factor.c[0][0] = c;
            factor.c[1][0] = a;
            factor.c[0][1] = b;
            p = multiply(&p, &factor);
            assert_int_equal(pl_buf_printf(&product, "(%lld%+lldx%+lldy)", (long long)c,
                                           (long long)a, (long long)b),
                             0);
        }
        write_terms(&sum, &p);
        both_ways(PL_VERDICT_RIGHT, product.data, sum.data);
        p.c[below(3)][below(3)] += 1;
        write_terms(&other, &p);
        both_ways(PL_VERDICT_WRONG, product.data, other.data);
        pl_buf_release(&product);
        pl_buf_release(&sum);
        pl_buf_release(&other);
    }
}

/* --- roots --- */

static void roots(void **state)
{
    static const long long square_free[] = {2, 3, 5, 6, 7, 10, 11, 13, 30, 101};
    char whole[200], parts[200], other[200];

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        const long long a = below(19) - 9, b = 1 + below(9), d = 2 + below(8), k = 2 + below(12);
        const long long n = square_free[below(10)], m = square_free[below(10)];

        snprintf(whole, sizeof whole, "\\frac{%lld+%lld\\sqrt{%lld}}{%lld}", a, b, n * k * k, d);
        snprintf(parts, sizeof parts, "\\frac{%lld}{%lld}\\sqrt{%lld}+%lld/%lld", b * k, d, n, a,
                 d);
        both_ways(PL_VERDICT_RIGHT, whole, parts);
        snprintf(other, sizeof other, "\\frac{%lld}{%lld}\\sqrt{%lld}+%lld/%lld", b * k, d, n,
                 a + 1, d);
        both_ways(PL_VERDICT_WRONG, whole, other);
        /* 1 / (a sqrt n + k) = (a sqrt n - k) / (a^2 n - k^2), where that is not 0 */
        if (a == 0 || a * a * n == k * k)
            continue;
        snprintf(whole, sizeof whole, "\\frac{1}{%lld\\sqrt{%lld}+%lld}", a, n, k);
        snprintf(parts, sizeof parts, "(%lld\\sqrt{%lld}-%lld)/(%lld)", a, n, k, a * a * n - k * k);
        both_ways(PL_VERDICT_RIGHT, whole, parts);
        /* sqrt(n + m +- 2 sqrt(n m)) = sqrt n +- sqrt m, the larger one first */
        if (n <= m)
            continue;
        snprintf(whole, sizeof whole, "\\sqrt{%lld-2\\sqrt{%lld}}", n + m, n * m);
        snprintf(parts, sizeof parts, "\\sqrt{%lld}-\\sqrt{%lld}", n, m);
        both_ways(PL_VERDICT_RIGHT, whole, parts);
        snprintf(parts, sizeof parts, "\\sqrt{%lld}+\\sqrt{%lld}", n, m);
        both_ways(PL_VERDICT_WRONG, whole, parts);
    }
}

/* --- sets and tuples --- */

static void orders(void **state)
{
    char set[200], shuffled[200], tuple[200], turned[200];

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        const long long a = below(50), b = 50 + below(50), c = 100 + below(50);

        snprintf(set, sizeof set, "\\{%lld, %lld, %lld\\}", a, b, c);
        snprintf(shuffled, sizeof shuffled, "\\left\\{%lld, \\frac{%lld}{2}, %lld\\right\\}", c,
                 2 * a, b);
        snprintf(tuple, sizeof tuple, "(%lld, %lld, %lld)", a, b, c);
        snprintf(turned, sizeof turned, "(%lld, %lld, %lld)", b, c, a);
        both_ways(PL_VERDICT_RIGHT, set, shuffled);
        both_ways(PL_VERDICT_WRONG, set, tuple);
        both_ways(PL_VERDICT_WRONG, tuple, turned);
        snprintf(shuffled, sizeof shuffled, "\\{%lld, %lld, %lld\\}", c, a, b + 1);
        both_ways(PL_VERDICT_WRONG, set, shuffled);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fractions),
        cmocka_unit_test(products_of_sums),
        cmocka_unit_test(roots),
        cmocka_unit_test(orders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
