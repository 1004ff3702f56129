/* The verifier of Knights and Knaves: what is right, what is wrong, what is no answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rewarder/verify.h"

#include <stdlib.h>
#include <string.h>

static const struct pl_truth steps[] = {{.answer = "Ella is a knight"},
                                        {.answer = "Isabella is a knave"},
                                        {.answer = "Jack is a knight"}};
static const struct pl_task task = {
    .id = "t",
    .verifier = "kk",
    .final = {.answer = "Ella is a knight, Isabella is a knave, and Jack is a knight."},
    .steps = steps,
    .step_count = 3,
};

static enum pl_verdict final(const char *answer)
{
    return pl_verify_final(pl_verifier_named("kk"), &task, answer, strlen(answer));
}

static enum pl_verdict step(size_t i, const char *answer)
{
    return pl_verify_step(pl_verifier_named("kk"), &task, &steps[i], answer, strlen(answer));
}

static void final_answers(void **state)
{
    (void)state;
    assert_int_equal(final("Ella is a knight, Isabella is a knave and Jack is a knight"),
                     PL_VERDICT_RIGHT);
    assert_int_equal(final("(1) Ella is a knight\n(2) Isabella is a knave\n(3) Jack is a knight"),
                     PL_VERDICT_RIGHT);
    assert_int_equal(final("jack is a KNIGHT. isabella is a knave; ella is a knight"),
                     PL_VERDICT_RIGHT);
    assert_int_equal(final("Ella and Jack are knights and Isabella is a knave"), PL_VERDICT_RIGHT);
    assert_int_equal(final("Ella is a knave, Isabella is a knave and Jack is a knight"),
                     PL_VERDICT_WRONG);
    assert_int_equal(final("Isabella is a knight, Ella is a knave and Jack is a knight"),
                     PL_VERDICT_WRONG);
}

static void what_is_no_final_answer(void **state)
{
    static const char *const texts[] = {
        "",
        "knight",
        "Ella",
        "Ella is a knight",
        "Ella is a knight, Isabella is a knave",
        "Ella is not a knave, Isabella is a knave and Jack is a knight",
        "Ella is a knight or a knave, Isabella is a knave and Jack is a knight",
        "Ella is a knight, Ella is a knave, Isabella is a knave, Jack is a knight",
        "Ella is a knight, Isabella is a knave, Jack is a knight, Ella is a knight",
        "Ella is a knight knave, Isabella is a knave and Jack is a knight",
        "Ella is a knight, Isabella is a knave and Jackson is a knight",
        "Ella is a knight, Isabella is a knave and Jack",
        "maybe Ella is a knight, Isabella is a knave and Jack is a knight",
        "Ella is a knight1, Isabella is a knave and Jack is a knight",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (final(texts[i]) != PL_VERDICT_UNPARSED)
            fail_msg("'%s' was taken as an answer", texts[i]);
}

static void intermediate_answers(void **state)
{
    (void)state;
    assert_int_equal(step(0, "Ella is a knight"), PL_VERDICT_RIGHT);
    assert_int_equal(step(0, "Ella is a knave"), PL_VERDICT_WRONG);
    assert_int_equal(step(0, "Isabella is a knave"), PL_VERDICT_WRONG); /* another's truth */
    assert_int_equal(step(1, "isabella is a knave."), PL_VERDICT_RIGHT);
    assert_int_equal(step(0, "Ella is a knight and Jack is a knight"), PL_VERDICT_UNPARSED);
    assert_int_equal(step(0, "Zoe is a knight"), PL_VERDICT_UNPARSED);
    assert_int_equal(step(0, ""), PL_VERDICT_UNPARSED);
}

static void tasks_that_cannot_be_verified_are_refused(void **state)
{
    const struct pl_truth other[] = {{.answer = "Ella is a knave"}};
    struct pl_task bad = task;
    struct pl_error err;

    (void)state;
    assert_int_equal(pl_verify_kk.check(&task, &err), PL_OK);
    bad.final.answer = "forty-two";
    assert_int_equal(pl_verify_kk.check(&bad, &err), PL_EFORMAT);
    bad = task;
    bad.steps = other;
    bad.step_count = 1;
    assert_int_equal(pl_verify_kk.check(&bad, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "step 1, 'Ella is a knave'"));
    assert_null(pl_verifier_named("no such"));
}

static void a_megabyte_is_read_or_refused_at_once(void **state)
{
    const size_t n = 1 << 20;
    char *text = malloc(n);

    (void)state;
    memset(text, 'a', n);
    assert_int_equal(pl_verify_final(&pl_verify_kk, &task, text, n), PL_VERDICT_UNPARSED);
    for (size_t i = 0; i + 4 <= n; i += 4)
        memcpy(text + i, "and ", 4);
    assert_int_equal(pl_verify_final(&pl_verify_kk, &task, text, n), PL_VERDICT_UNPARSED);
    assert_int_equal(pl_verify_step(&pl_verify_kk, &task, &steps[0], text, n), PL_VERDICT_UNPARSED);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(final_answers),
        cmocka_unit_test(what_is_no_final_answer),
        cmocka_unit_test(intermediate_answers),
        cmocka_unit_test(tasks_that_cannot_be_verified_are_refused),
        cmocka_unit_test(a_megabyte_is_read_or_refused_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
