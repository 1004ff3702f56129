/* Options: every way to name one, and what names none or two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rewarder/verify.h"

#include <stdlib.h>
#include <string.h>

static const char *const texts[] = {"The sky is blue", "h < c log2(N)", "h > c log2(N)",
                                    "Paris, France"};
static const char *const many[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

static struct pl_task task_of(const char *const *choices, size_t count, const char *answer)
{
    return (struct pl_task){.id = "t",
                            .verifier = "choice",
                            .choices = choices,
                            .choice_count = count,
                            .final = {.answer = answer}};
}

static enum pl_verdict final(const struct pl_task *task, const char *answer)
{
    return pl_verify_final(&pl_verify_choice, task, answer, strlen(answer));
}

/* Which option the answer names: the one that is right, all others wrong; -1: none. */
static int named(const char *const *choices, size_t count, const char *answer)
{
    static const char *const letters[] = {"A", "B", "C", "D", "E", "F", "G", "H", "I", "J"};
    int found = -1;
    size_t unparsed = 0;

    for (size_t i = 0; i < count; i++) {
        const struct pl_task task = task_of(choices, count, letters[i]);
        const enum pl_verdict verdict = final(&task, answer);

        assert_true(verdict != PL_VERDICT_RIGHT || found < 0);
        found = verdict == PL_VERDICT_RIGHT ? (int)i : found;
        unparsed += verdict == PL_VERDICT_UNPARSED;
    }
    assert_true(unparsed == (found < 0 ? count : 0));
    return found;
}

static void letters_and_texts(void **state)
{
    static const struct {
        const char *answer;
        int option;
    } rows[] = {
        {"B", 1},
        {"b", 1},
        {" B\n", 1},
        {"(B)", 1},
        {"(b)", 1},
        {"[B]", 1},
        {"B.", 1},
        {"B)", 1},
        {"'B'", 1},
        {"**B**", 1},
        {"$B$", 1},
        {"\\boxed{B}", 1},
        {"\\boxed{\\text{B}}", 1},
        {"$\\boxed{\\textbf{(B)}}$.", 1},
        {"option B", 1},
        {"Choice b", 1},
        {"Answer: B", 1},
        {"answer:B", 1},
        {"The correct answer is B.", 1},
        {"It's B.", 1},
        {"So the answer is a", 0},
        {"A", 0},
        {"a.", 0},
        {"B) h < c log2(N)", 1},
        {"B. h < c log2(N).", 1},
        {"(B) h  <  c log2(N)", 1},
        {"B: h < c log2(N)", 1},
        {"B h < c log2(N)", 1},
        {"**B.** because it is the lower bound", 1},
        {"(B), as a tree of height h shows", 1},
        {"B, since I say so", 1},
        {"The answer is (D) Paris", 3},
        {"D. paris, FRANCE", 3},
        {"h < c log2(N)", 1},
        {"h > c log2(N)", 2},
        {"h >  c\nlog2(N).", 2},
        {"sky is blue", 0},
        {"the SKY is blue!", 0},
        {"Paris France", 3},
        {"The answer is h > c log2(N)", 2},
        {"I think of a tree, so the answer is C.", 2},
        {"Counting leaves gives \\boxed{C}", 2},
        {"Counting leaves gives \\boxed{h > c log2(N)}.", 2},
        {"A tree is wide. Answer: (C)", 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (named(texts, 4, rows[i].answer) != rows[i].option)
            fail_msg("'%s' names option %d", rows[i].answer, named(texts, 4, rows[i].answer));
}

static void what_names_none_or_two(void **state)
{
    static const char *const answers[] = {
        "",
        "?",
        "E",
        "~B",
        "-B",
        "B+",
        "B = x",
        "(E)",
        "BC",
        "4",
        "B or C",
        "B, C",
        "B and C",
        "(B) or (C)",
        "(B) or (c)",
        "B. C.",
        "Answer: B. Answer: C",
        "Not (B), so the answer is C",
        "B) h > c log2(N)", /* that is C's text */
        "B h > c log2(N)",  /* the same without a mark */
        "The answer is (B) Paris, France",
        "h c log2(N)", /* in em's form that is B's and C's */
        "h = c log2(N)",
        "blue",
        "A dog",
        "A) paris france",
        "A strictly binary tree",
        "Paris",
        "the answer is",
        "Because it is B",
    };

    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (named(texts, 4, answers[i]) >= 0)
            fail_msg("'%s' names option %d", answers[i], named(texts, 4, answers[i]));
}

static void texts_that_are_letters(void **state)
{
    static const char *const crossed[] = {"B", "A", "x", "C"};
    static const char *const straight[] = {"A", "B", "none of them"};

    (void)state;
    assert_int_equal(named(crossed, 4, "B"), -1); /* option B, or option A, which is "B"? */
    assert_int_equal(named(crossed, 4, "(B)"), 1);
    assert_int_equal(named(crossed, 4, "(B) A"), 1);
    assert_int_equal(named(crossed, 4, "(B) B"), -1);
    assert_int_equal(named(crossed, 4, "D"), 3);
    assert_int_equal(named(crossed, 4, "x"), 2);
    assert_int_equal(named(straight, 3, "B"), 1);
    assert_int_equal(named(straight, 3, "none of them"), 2);
}

static void texts_that_are_alike(void **state)
{
    static const char *const choices[] = {"x + 1", "x - 1", "x - 1", "y"};
    struct pl_task task = task_of(choices, 4, "C");

    (void)state;
    assert_int_equal(final(&task, "x - 1"), PL_VERDICT_RIGHT); /* B and C cannot be told apart */
    assert_int_equal(final(&task, "C"), PL_VERDICT_RIGHT);
    assert_int_equal(final(&task, "C) x - 1"), PL_VERDICT_RIGHT);
    assert_int_equal(final(&task, "B"), PL_VERDICT_WRONG);
    assert_int_equal(final(&task, "x + 1"), PL_VERDICT_WRONG);
    assert_int_equal(final(&task, "x 1"), PL_VERDICT_UNPARSED);
}

static void ten_options(void **state)
{
    (void)state;
    assert_int_equal(named(many, 10, "J"), 9);
    assert_int_equal(named(many, 10, "(I)"), 8);
    assert_int_equal(named(many, 10, "9"), 9);
    assert_int_equal(named(many, 10, "B) 1"), 1);
    assert_int_equal(named(many, 10, "B) 2"), -1);
    assert_int_equal(named(many, 10, "B: I think so"), 1);
    assert_int_equal(named(many, 9, "J"), -1);
}

static void truths_and_steps(void **state)
{
    const struct pl_truth steps[] = {{.answer = "The leaves"}, {.answer = "!"}};
    struct pl_task task = task_of(texts, 4, "h > c log2(N)");
    struct pl_error err = {0};

    (void)state;
    task.steps = steps;
    task.step_count = 1;
    assert_int_equal(pl_verify_choice.check(&task, &err), PL_OK);
    assert_int_equal(final(&task, "C"), PL_VERDICT_RIGHT);
    assert_int_equal(final(&task, "B"), PL_VERDICT_WRONG);
    assert_int_equal(pl_verify_step(&pl_verify_choice, &task, steps, "leaves", 6),
                     PL_VERDICT_RIGHT);
    assert_int_equal(pl_verify_step(&pl_verify_choice, &task, steps, "C", 1), PL_VERDICT_WRONG);
    task.step_count = 2;
    assert_int_equal(pl_verify_choice.check(&task, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "step 2"));
    task = task_of(texts, 4, "E");
    assert_int_equal(pl_verify_choice.check(&task, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "'E', is neither the letter nor the text of one of its 4"));
    task = task_of(texts, 0, "A");
    assert_int_equal(pl_verify_choice.check(&task, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "'meta.choices'"));
    assert_int_equal(final(&task, "A"), PL_VERDICT_UNPARSED);
}

static void bounds(void **state)
{
    static const char *const pieces[] = {"B ",   "B", "(", "answer is ", "\\boxed{",
                                         "the ", ".", " ", "\xC3\xA9"};
    const struct pl_task task = task_of(texts, 4, "A");
    const size_t n = 1 << 20;
    char *text = malloc(n);

    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        for (size_t at = 0; at < n; at++)
            text[at] = pieces[i][at % strlen(pieces[i])];
        assert_int_equal(pl_verify_final(&pl_verify_choice, &task, text, n), PL_VERDICT_UNPARSED);
        assert_int_equal(pl_verify_final(&pl_verify_choice, &task, text, 8190),
                         PL_VERDICT_UNPARSED);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_and_texts),
        cmocka_unit_test(what_names_none_or_two),
        cmocka_unit_test(texts_that_are_letters),
        cmocka_unit_test(texts_that_are_alike),
        cmocka_unit_test(ten_options),
        cmocka_unit_test(truths_and_steps),
        cmocka_unit_test(bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
