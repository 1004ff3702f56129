/* Numbers: what is one, what is the same one, what is none. And the exact decimals under it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rewarder/decimal.h"
#include "rewarder/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum pl_verdict compare(const char *truth, const char *answer)
{
    const struct pl_task task = {.id = "t", .verifier = "number", .final = {.answer = truth}};
    const enum pl_verdict verdict =
        pl_verify_final(&pl_verify_number, &task, answer, strlen(answer));

    assert_int_equal(pl_verify_step(&pl_verify_number, &task, &task.final, answer, strlen(answer)),
                     verdict);
    return verdict;
}

static void the_same_number(void **state)
{
    static const char *const rows[][2] = {
        {"72", "72"},
        {"#### 72", "72"},
        {"72", "48 + 24 = 72\n#### 72"},
        {"72", "72.00"},
        {"72", "$72.00"},
        {"72", "\\$72"},
        {"72", "72 dollars"},
        {"72", "72km"},
        {"72", "\xE2\x82\xAC"
               "72"},
        {"72", "Rs.72"},
        {"72", "072"},
        {"72", "+72"},
        {"72", "7.2e1"},
        {"72", "0.72E+2"},
        {"72", "7200e-2"},
        {"72", "\\boxed{72}"},
        {"72", "2 of 3 are \\boxed{\\text{about } {72}} or 5"},
        {"72", "$72$"},
        {"72", "The answer is 72."},
        {"72", "3 and 4, so the final Answer: **72**"},
        {"72", "72, or 72.0, or 144/2"},
        {"72", "48 + 24 = 72"},
        {"72", "x = 9 * 8 = 72 clips"},
        {"72", "The answer is 48 + 24 = 72"},
        {"72", "72 is the answer: sure"},
        {"72", "2^3 * 9 = 72"},
        {"18", "H2O weighs 18 g"},
        {"-1,234.5", "-1234.50"},
        {"1234567", "1,234,567"},
        {"-5", "\xE2\x88\x92"
               "5"}, /* U+2212 */
        {"-5", "\xE2\x80\x93"
               "5"}, /* U+2013 */
        {"-5", "minus 5"},
        {"-5", "it is Negative $5"},
        {"-5", "-$5"},
        {"-5", "$-5"},
        {"-5", "x=-5"},
        {"-5", "(-5)"},
        {"0", "-0"},
        {"0", "0/7"},
        {"1/2", "0.5"},
        {"1/2", ".5"},
        {"1/2", "-.5e0 + 1 = 2 / 4"},
        {"1/2", "0.1/.2"},
        {"1/3", "2/6"},
        {"1.5", "1 1/2"},
        {"-1.5", "-1 1/2"},
        {"3/2", "1 2/4 miles"},
        {"1/2", "50%"},
        {"50", "50%"},
        {"50%", "0.5"},
        {"50%", "50"},
        {"50", "50 \\%"},
        {"50", "50 percent"},
        {"50%", "50 percent"},
        {"12345678901234567890.000000001", "12,345,678,901,234,567,890.0000000010"},
        {"1e30", "1000000000000000000000000000000"},
        {"5", "...5"},
        {"5", "It is 5!"},
        {"5", "No.5"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (compare(rows[i][0], rows[i][1]) != PL_VERDICT_RIGHT ||
            compare(rows[i][1], rows[i][0]) != PL_VERDICT_RIGHT)
            fail_msg("'%s' is not '%s'", rows[i][1], rows[i][0]);
}

static void another_number(void **state)
{
    static const char *const rows[][2] = {
        {"72", "-72"},
        {"72", "7.2"},
        {"72", "720"},
        {"72", "72.0000000001"},
        {"72", "72 is not it, the answer is 73"},
        {"72", "#### 73"},
        {"72", "72 = 73"},
        {"5", "-5"},
        {"5", "minus 5"},
        {"-5", "#5"},
        {"12345678901234567890", "12345678901234567891"},
        {"0.1", "0.10000000000000000001"},
        {"1/3", "0.3333333333333333333333333333333333"},
        {"1/3", "0.33"},
        {"1/2", "2"},
        {"0.5", "5%"},
        {"0.5%", "50%"},
        {"1 1/2", "1/2"},
        {"1e30", "1e31"},
        {"123", "0.123"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (compare(rows[i][0], rows[i][1]) != PL_VERDICT_WRONG ||
            compare(rows[i][1], rows[i][0]) != PL_VERDICT_WRONG)
            fail_msg("'%s' and '%s' are not two numbers", rows[i][0], rows[i][1]);
}

static void no_one_number(void **state)
{
    static const char *const texts[] = {
        "",
        "seventy-two",
        "H2O",
        "72 or 73",
        "72, 73",
        "1,2",
        "1,0000 and",
        "0,123",
        "12,34",
        "1234,567",
        "1,234,5",
        "5-7",
        "5 - 7",
        "$5-$7",
        "10:30",
        "1.2.3",
        "72.5.1",
        "3/4/2020",
        "0x1F",
        "3x2",
        "5^2",
        "72/0",
        "1 3/2",
        ("\xE2\x88\x9A"
         "4"), /* a root */
        "sqrt(4)",
        "\\sqrt{4}",
        "\\frac{1}{1}",
        "2\xCF\x80", /* pi */
        "2\\pi",
        "1\xC2\xBD",    /* a half */
        "5\xC2\xB2",    /* a square */
        "\xEF\xBC\x97", /* a wide 7 */
        "50% or 50",    /* a hundredth of it, or not? */
        "72 = 73 or 74",
        "The answer is 72 or 73",
        "1e99999",
        "1e123456",
        "12345678901234567890123456789012345678901",
        "-",
        ".",
        "=",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (compare("72", texts[i]) != PL_VERDICT_UNPARSED)
            fail_msg("'%s' was taken as a number", texts[i]);
}

static void aliases_and_checks(void **state)
{
    static const char *const aliases[] = {"none", "six", "73"};
    const struct pl_truth steps[] = {{.answer = "1"}, {.answer = "1 or 2"}};
    struct pl_task task = {
        .id = "t", .final = {.answer = "72", .aliases = aliases, .alias_count = 3}, .steps = steps};
    struct pl_error err = {0};

    (void)state;
    assert_int_equal(pl_verify_final(&pl_verify_number, &task, "73", 2), PL_VERDICT_RIGHT);
    assert_int_equal(pl_verify_final(&pl_verify_number, &task, "74", 2), PL_VERDICT_WRONG);
    assert_int_equal(pl_verify_number.check(&task, &err), PL_OK);
    task.step_count = 2;
    assert_int_equal(pl_verify_number.check(&task, &err), PL_EFORMAT);
    assert_non_null(
        strstr(err.text, "task 't': the answer of step 2, '1 or 2', is not one number"));
    task.final.answer = "none";
    assert_int_equal(pl_verify_number.check(&task, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "the answer, 'none'"));
}

/* Long texts are refused; the longest that are read hold as many numbers as there is room for. */
static void bounds(void **state)
{
    static const char *const pieces[] = {"1",        "1/2 ", "0.50 ",  "1/",     "-",
                                         " ",        "=",    "x",      "1,000,", "answer is ",
                                         "\\boxed{", "####", "minus ", "\xCF"};
    const size_t n = 1 << 20;
    char *text = malloc(n);

    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        const struct pl_task task = {.id = "t", .final = {.answer = "1/2"}};

        for (size_t at = 0; at < n; at++)
            text[at] = pieces[i][at % strlen(pieces[i])];
        for (size_t len = n; len >= 1 << 16; len /= 2)
            assert_int_equal(pl_verify_final(&pl_verify_number, &task, text, len),
                             PL_VERDICT_UNPARSED);
    }
    free(text);
}

static struct pl_decimal decimal(const char *text, long exponent)
{
    struct pl_decimal d;

    assert_true(pl_decimal_read(text, strlen(text), exponent, &d));
    return d;
}

static void decimals(void **state)
{
    struct pl_decimal a = decimal("0,012.3400", 2), b = decimal("1234", 0), none;
    const struct pl_decimal zero = decimal("000.00", 7), nines = decimal("9999999999"
                                                                         "9999999999"
                                                                         "9999999999"
                                                                         "9999999999",
                                                                         0);

    (void)state;
    assert_true(pl_decimal_equal(&a, &b));
    assert_int_equal(a.len, 4);
    assert_int_equal(a.exponent, 0);
    assert_int_equal(zero.len, 0);
    assert_int_equal(zero.exponent, 0);
    b.negative = true;
    assert_false(pl_decimal_equal(&a, &b));
    assert_true(pl_decimal_products_equal(&a, &b, &b, &a));
    assert_true(pl_decimal_products_equal(&a, &a, &b, &b)); /* minus times minus */
    assert_false(pl_decimal_products_equal(&a, &a, &a, &b));
    assert_true(pl_decimal_products_equal(&a, &zero, &zero, &b));
    assert_false(pl_decimal_products_equal(&a, &zero, &a, &a));
    assert_true(pl_decimal_products_equal(&nines, &nines, &nines, &nines));
    a = decimal("25", 0);
    b = decimal("4", 0);
    assert_true(
        pl_decimal_products_equal(&a, &b, &(struct pl_decimal){.digits = {1}, .len = 1},
                                  &(struct pl_decimal){.digits = {1}, .len = 1, .exponent = 2}));
    assert_false(pl_decimal_read("", 0, 0, &none));
    assert_false(pl_decimal_read(".", 1, 0, &none));
    assert_false(pl_decimal_read("1", 1, 10000, &none));
    assert_true(pl_decimal_read("0", 1, 10000, &none));
    assert_false(pl_decimal_read("1", 1, -10000, &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_number), cmocka_unit_test(another_number),
        cmocka_unit_test(no_one_number),   cmocka_unit_test(aliases_and_checks),
        cmocka_unit_test(bounds),          cmocka_unit_test(decimals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
