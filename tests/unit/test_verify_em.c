/* Exact match: what one text may look like, and what is another text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rewarder/em.h"
#include "rewarder/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum pl_verdict compare(const char *truth, const char *answer)
{
    const struct pl_task task = {.id = "t", .verifier = "em", .final = {.answer = truth}};
    const enum pl_verdict verdict = pl_verify_final(&pl_verify_em, &task, answer, strlen(answer));

    /* an intermediate answer is compared by the same rule */
    assert_int_equal(pl_verify_step(&pl_verify_em, &task, &task.final, answer, strlen(answer)),
                     verdict);
    return verdict;
}

static void texts_that_are_one(void **state)
{
    static const char *const rows[][2] = {
        {"Paris", "paris"},
        {"Paris", "  PARIS.\n"},
        {"Paris", "**Paris**"},
        {"Paris", "\"Paris\""},
        {"the Beatles", "Beatles"},
        {"The  Beatles", "a beatles, the"},
        {"U.S.", "US"},
        {"Guns N' Roses", "guns n\xE2\x80\x99 roses"}, /* U+2019 */
        {"well-known", "well\xE2\x80\x93known"},       /* U+2013 */
        {"Beyonc\xC3\xA9", "beyonce\xCC\x81"},         /* composed, decomposed */
        {"q\xCC\xA3\xCC\x87", "Q\xCC\x87\xCC\xA3"},    /* marks in another order */
        {"stra\xC3\x9F"
         "e",
         "STRASSE"},
        {"\xCE\x9F\xCE\x94\xCE\x9F\xCE\xA3", "\xCE\xBF\xCE\xB4\xCE\xBF\xCF\x82"}, /* final sigma */
        {"\xEF\xAC\x81ne", "fine"},                                               /* ligature */
        {"\xEF\xBC\x97\xEF\xBC\x92", "72"},                                       /* wide digits */
        {"New York", "new\xC2\xA0york"},                                          /* no-break */
        {"co\xC2\xADoperate", "cooperate"},                                       /* soft hyphen */
        {"1,000", "1000"},
        {"1,234,567.50", "1234567.5"},
        {"3.0", "3"},
        {"$5", "5"},
        {"\xE2\x82\xAC"
         "5",
         "5"},
        {".5", "0.5"},
        {".50 m", "0.5 m"},
        {"-5", "\xE2\x88\x92"
               "5"}, /* U+2212 */
        {"-$5", "-5"},
        {"+5", "5"},
        {"-0.0", "0"},
        {"1990-91", "1990\xE2\x80\x93"
                    "91"},
        {"covid-19", "COVID19"},
        {"1990.", "1990"},
        {"2\xC2\xBD", "2 1/2"},
        {"A", "a."},
        {"The The", "the the"},
        {"\xE4\xB8\x9C\xE4\xBA\xAC\xE3\x80\x82", "\xE4\xB8\x9C\xE4\xBA\xAC"}, /* 东京。 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (compare(rows[i][0], rows[i][1]) != PL_VERDICT_RIGHT ||
            compare(rows[i][1], rows[i][0]) != PL_VERDICT_RIGHT)
            fail_msg("'%s' and '%s' are not one", rows[i][0], rows[i][1]);
}

static void texts_that_are_two(void **state)
{
    static const char *const rows[][2] = {
        {"Paris", "Paris, France"},
        {"Paris", "Paris London"},
        {"Paris", "Pariss"},
        {"Paris", "in Paris"},
        {"Beyonce", "Beyonc\xC3\xA9"},
        {"New York", "NewYork"},
        {"Beatle", "Beatles"},
        {"theatre", "atre"},
        {"3.5", "35"},
        {"-5", "5"},
        {"1,00", "100"},
        {"1,2", "12"},
        {"1.2.3", "123"},
        {"1.2.3", "12.3"},
        {"1990-91", "199091"},
        {"1990--91", "199091"},
        {"10:30", "1030"},
        {"10\xC2\xB2", "102"},
        {"2\xC2\xBD", "21/2"},
        {"007", "7"},
        {"1,0000", "10000"},
        {"0.5", "5"},
        {"\xE2\x88\x9A"
         "2",
         "2"}, /* a root is no punctuation */
        {"A", "the"},
        {"x\xFF", "x"}, /* no UTF-8 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (compare(rows[i][0], rows[i][1]) != PL_VERDICT_WRONG ||
            compare(rows[i][1], rows[i][0]) != PL_VERDICT_WRONG)
            fail_msg("'%s' and '%s' are not two", rows[i][0], rows[i][1]);
}

static void what_is_no_answer(void **state)
{
    static const char *const texts[] = {"",     " \n\t",   "...", "?!", "\xE2\x80\xA6",
                                        "\"\"", "\xC2\xAD"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (compare("Paris", texts[i]) != PL_VERDICT_UNPARSED)
            fail_msg("'%s' was taken as an answer", texts[i]);
}

/* 30 marks are one text in whatever order; more are none. */
static void marks_on_a_letter(void **state)
{
    char one[128] = "x", other[128] = "x";

    (void)state;
    for (size_t i = 0; i < 15; i++) {
        strcat(one, "\xCC\xA3\xCC\x87"); /* below, above */
        strcat(other, "\xCC\x87");
    }
    for (size_t i = 0; i < 15; i++)
        strcat(other, "\xCC\xA3");
    assert_int_equal(compare(one, other), PL_VERDICT_RIGHT);
    strcat(one, "\xCC\x87");
    assert_int_equal(compare(other, one), PL_VERDICT_UNPARSED);
    strcpy(one + strlen(one) - 2, "y\xCC\x87");
    assert_int_equal(compare(other, one), PL_VERDICT_WRONG);
}

static void aliases_count(void **state)
{
    static const char *const aliases[] = {"", "City of Light", "Lutetia"};
    const struct pl_task task = {
        .id = "t",
        .final = {.answer = "Paris", .aliases = aliases, .alias_count = 3},
    };

    (void)state;
    assert_int_equal(pl_verify_final(&pl_verify_em, &task, "lutetia", 7), PL_VERDICT_RIGHT);
    assert_int_equal(pl_verify_final(&pl_verify_em, &task, "the city of light", 17),
                     PL_VERDICT_RIGHT);
    assert_int_equal(pl_verify_final(&pl_verify_em, &task, "city", 4), PL_VERDICT_WRONG);
    assert_int_equal(pl_verify_final(&pl_verify_em, &task, "", 0), PL_VERDICT_UNPARSED);
}

static void truths_must_have_a_form(void **state)
{
    const struct pl_truth steps[] = {{.answer = "x"}, {.answer = "?"}};
    struct pl_task task = {.id = "t", .final = {.answer = "Paris"}, .steps = steps};
    struct pl_error err = {0};
    char *longer = malloc(PL_EM_BYTES_MAX + 2);

    (void)state;
    assert_int_equal(pl_verify_em.check(&task, &err), PL_OK);
    task.step_count = 2;
    assert_int_equal(pl_verify_em.check(&task, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "task 't': the answer of step 2, '?'"));
    task.step_count = 0;
    task.final.answer = "--";
    assert_int_equal(pl_verify_em.check(&task, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "the answer, '--'"));
    memset(longer, 'x', PL_EM_BYTES_MAX + 1);
    longer[PL_EM_BYTES_MAX + 1] = '\0';
    task.final.answer = longer;
    assert_int_equal(pl_verify_em.check(&task, &err), PL_EFORMAT);
    longer[PL_EM_BYTES_MAX] = '\0';
    assert_int_equal(pl_verify_em.check(&task, &err), PL_OK);
    free(longer);
}

/* Long ones are none; those that are let through and grow most stay within their room. */
static void bounds(void **state)
{
    static const char *const pieces[] = {
        "x",     "1.",       ".5",
        "1,000", "a ",       "\xCC\x81",
        "-",     "\xC2\xBD", "\xEF\xB7\xBA" /* U+FDFA: 18 characters */,
        "\xFF",  "1"};
    const size_t n = 1 << 20;
    char *text = malloc(n);

    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        const size_t len = strlen(pieces[i]);
        struct pl_em em;

        for (size_t at = 0; at < n; at++)
            text[at] = pieces[i][at % len];
        assert_false(pl_em_read(text, n, &em));
        assert_false(pl_em_read(text, PL_EM_BYTES_MAX + 1, &em));
        if (pl_em_read(text, PL_EM_BYTES_MAX - PL_EM_BYTES_MAX % len, &em))
            assert_in_range(em.len, 1, PL_EM_CHARACTERS_MAX);
        else
            assert_true(strcmp(pieces[i], "-") == 0 || (unsigned char)pieces[i][0] >= 0xC2);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_that_are_one),
        cmocka_unit_test(texts_that_are_two),
        cmocka_unit_test(what_is_no_answer),
        cmocka_unit_test(marks_on_a_letter),
        cmocka_unit_test(aliases_count),
        cmocka_unit_test(truths_must_have_a_form),
        cmocka_unit_test(bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
