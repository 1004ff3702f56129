/*
 * Rewards: a table of responses with every component by every strategy, worked out by hand from the
 * formulas of appendix C; then what must hold of any response.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "rewarder/reward.h"
#include "tests/close.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T     "<think>t</think>"
#define A(x)  "<answer>" x "</answer>"
#define X     "Ann is a knight"
#define Y     "Bob is a knave"
#define Z     "Cy is a knight"
#define FINAL A(X ", " Y " and " Z)
#define WRONG A(X ", Bob is a knight and " Z)
#define BAD   A("who knows")

static const struct pl_truth steps[] = {{.answer = X}, {.answer = Y}, {.answer = Z}};
static const struct pl_task task = {.id = "t",
                                    .verifier = "kk",
                                    .final = {.answer = X ", " Y " and " Z},
                                    .steps = steps,
                                    .step_count = 3};

struct row {
    const char *text;
    double format, final;
    double all, partial, time; /* intermediate, with the condition on the final answer */
    double direct;             /* time-discounted, whatever the final answer */
    unsigned right;            /* intermediate answers */
};

/* R = 0.5, N - 1 = 3: a third of R is 1/6 */
static const struct row rows[] = {
    {T FINAL, 1, 2, 0, 0, 0, 0, 0},
    {T WRONG, 1, -1.5, 0, 0, 0, 0, 0},
    {T BAD, 1, -2, 0, 0, 0, 0, 0},
    {FINAL, -1, 0, 0, 0, 0, 0, 0}, /* invalid: no final reward */
    {T A(X) T A(Y) T A(Z) T FINAL, 1, 2, 0.5, 0.5, 0.5, 0.5, 3},
    {T A(Z) T A(X) T A(Y) T FINAL, 1, 2, 0.5, 0.5, 0.5, 0.5, 3}, /* no order in this task */
    {T A(X) T FINAL, 1, 2, 0, 1.0 / 6, 1.0 / 6, 1.0 / 6, 1},
    {T A("Bob is a knight") T A(X) T FINAL, 1, 2, 0, 1.0 / 6, 1.0 / 12, 1.0 / 12, 1}, /* k = 2 */
    {T A(X) T A(Z) T FINAL, 1, 2, 0, 2.0 / 6, (1 + 0.5) / 6, (1 + 0.5) / 6, 2},
    {T A(X) T A(X) T A(Y) T FINAL, 1, 2, 0, 2.0 / 6, (1 + 1.0 / 3) / 6, (1 + 1.0 / 3) / 6, 2},
    /* all were given, with a wrong one between: all-or-none pays nothing, the others in full */
    {T A(X) T A("Bob is a knight") T A(Y) T A(Z) T FINAL, 1, 2, 0, 0.5, 0.5, 0.5, 3},
    {T A(X) T A(Y) T A(Z) T WRONG, 1, -1.5, 0, 0, 0, 0.5, 3},
    {T A(X) T A(Y) T A(Z) T BAD, 1, -2, 0, 0, 0, 0.5, 3},
    {T A(X) T A(Y) T FINAL "x", -1, 0, 0, 0, 0, (1 + 0.5) / 6, 2}, /* broken behind the answers */
    {T A(X ", " Y " and " Z) T FINAL, 1, 2, 0, 0, 0, 0, 0},        /* listing all is no step */
};

static struct pl_score score(const struct pl_reward_opts *opts, const struct pl_task *of,
                             const char *text, struct pl_reward_room *room)
{
    size_t ends[2048];
    const size_t len = strlen(text);
    struct pl_score s;

    for (size_t i = 0; i < len; i++)
        ends[i] = i + 1; /* a token a byte */
    assert_int_equal(
        pl_reward_score(opts, of, PL_METHOD_INTERLEAVE, text, len, ends, len, room, &s, NULL),
        PL_OK);
    return s;
}

static void the_table_of_rewards(void **state)
{
    struct pl_reward_room *room = malloc(sizeof *room);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        const double by_strategy[] = {r->all, r->partial, r->time};
        struct pl_reward_opts opts = PL_REWARD_DEFAULTS;
        struct pl_score s;

        for (int strategy = PL_REWARD_ALL; strategy <= PL_REWARD_TIME; strategy++) {
            opts.strategy = (enum pl_reward_strategy)strategy;
            s = score(&opts, &task, r->text, room);
            pl_assert_close(s.format, r->format, 0, 0);
            pl_assert_close(s.final, r->final, 0, 0);
            pl_assert_close(s.intermediate, by_strategy[strategy], 1e-6, 0);
            pl_assert_close(s.extra, 0, 0, 0);
            assert_int_equal(s.steps_right, r->right);
            pl_assert_close(pl_score_reward(&s, true), r->format + r->final + by_strategy[strategy],
                            1e-6, 0);
            pl_assert_close(pl_score_reward(&s, false), r->format + r->final, 1e-6, 0);
        }
        opts.pay = PL_REWARD_DIRECT;
        pl_assert_close(score(&opts, &task, r->text, room).intermediate, r->direct, 1e-6, 0);
        opts.pay = PL_REWARD_NONE;
        pl_assert_close(score(&opts, &task, r->text, room).intermediate, 0, 0, 0);
    }
    free(room);
}

/* What each answer segment of a response earned, and what it is charged, in turn. */
struct shares {
    const char *text;
    enum pl_reward_strategy strategy;
    enum pl_reward_pay pay;
    double reward[5], charge[5];
};

/* R / (N-1) = 1/6; a wrong intermediate answer is charged 0.25 */
static const struct shares shares[] = {
    {T A(X) T A("no") T A(Z) T FINAL,
     PL_REWARD_PARTIAL,
     PL_REWARD_CONDITIONAL,
     {1.0 / 6, 0, 1.0 / 6},
     {0, -0.25}},
    {T A(X) T A("no") T A(Z) T FINAL,
     PL_REWARD_TIME,
     PL_REWARD_CONDITIONAL,
     {1.0 / 6, 0, 1.0 / 18},
     {0, -0.25}},
    {T A(X) T A("no") T A(Z) T FINAL, PL_REWARD_ALL, PL_REWARD_CONDITIONAL, {0}, {0, -0.25}},
    {T A(X) T A("Bob is a knight") T A(Z) T A(Y) T FINAL,
     PL_REWARD_TIME,
     PL_REWARD_CONDITIONAL,
     {1.0 / 6, 0, 1.0 / 6, 1.0 / 6},
     {0, -0.25}}, /* all were given: no discount */
    {T A(Z) T A(X) T A(Y) T FINAL,
     PL_REWARD_ALL,
     PL_REWARD_CONDITIONAL,
     {1.0 / 6, 1.0 / 6, 1.0 / 6},
     {0}},
    {T A(X) T A(X) T A(Y) T FINAL,
     PL_REWARD_TIME,
     PL_REWARD_CONDITIONAL,
     {1.0 / 6, 0, 1.0 / 18},
     {0, -0.25}}, /* once more is wrong */
    {T A(X) T A("no") T WRONG, PL_REWARD_TIME, PL_REWARD_CONDITIONAL, {0}, {0, -0.25}},
    {T A(X) T A("no") T WRONG, PL_REWARD_TIME, PL_REWARD_DIRECT, {1.0 / 6}, {0, -0.25}},
    {T A(X) T A("no") T FINAL, PL_REWARD_TIME, PL_REWARD_NONE, {0}, {0, -0.25}},
    {T A("no") T A(Y) "x", PL_REWARD_TIME, PL_REWARD_DIRECT, {0, 1.0 / 12}, {-0.25}},
};

static void segments_share_what_was_paid(void **state)
{
    struct pl_reward_room *room = malloc(sizeof *room);

    (void)state;
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        const struct shares *r = &shares[i];
        struct pl_reward_opts opts = PL_REWARD_DEFAULTS;
        double paid = 0.0, charged = 0.0;
        struct pl_score s;
        size_t k = 0;

        opts.strategy = r->strategy;
        opts.pay = r->pay;
        opts.wrong_step = 0.25;
        s = score(&opts, &task, r->text, room);
        for (size_t n = 0; n < s.segment_count; n++) {
            const bool answer = s.segments[n].kind == PL_SEGMENT_ANSWER;

            pl_assert_close(s.segments[n].reward, answer ? r->reward[k] : 0.0, 1e-6, 0);
            pl_assert_close(s.segments[n].charge, answer ? r->charge[k] : 0.0, 0, 0);
            paid += (double)s.segments[n].reward;
            charged += (double)s.segments[n].charge;
            k += answer;
        }
        pl_assert_close(paid, s.intermediate, 1e-6, 0);
        pl_assert_close(charged, s.extra, 1e-6, 0);
    }
    free(room);
}

/* F (1 + max(final, 0) + intermediate), F = 0 where the form is invalid. */
static void the_product_form(void **state)
{
    static const struct {
        const char *text;
        double conditional, direct, none, shut; /* shut: conditional, by a gate that is */
        unsigned wrong;                         /* intermediate answers */
    } products[] = {
        {T FINAL, 3, 3, 3, 3, 0},
        {T A(X) T A(Y) T A(Z) T FINAL, 3.5, 3.5, 3, 3, 0},
        {T A("no") T A(X) T FINAL, 3 + 1.0 / 12, 3 + 1.0 / 12, 3, 3, 1},
        {T A(X) T A(Y) T A(Z) T WRONG, 1, 1.5, 1, 1, 0}, /* the sum: -0.5; direct: 0 */
        {T A(X) T BAD, 1, 1 + 1.0 / 6, 1, 1, 0},
        {T A(X) T A(Y) T FINAL "x", 0, 0, 0, 0, 1}, /* the sum: -1; direct: -0.75 */
        {FINAL, 0, 0, 0, 0, 0},                     /* it broke before there was an answer */
    };
    struct pl_reward_room *room = malloc(sizeof *room);

    (void)state;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        const double by_pay[] = {products[i].conditional, products[i].direct, products[i].none};
        struct pl_reward_opts opts = PL_REWARD_DEFAULTS;
        struct pl_score s;

        opts.combine = PL_REWARD_PRODUCT;
        for (int pay = PL_REWARD_CONDITIONAL; pay <= PL_REWARD_NONE; pay++) {
            double shared = 0.0;

            opts.pay = (enum pl_reward_pay)pay;
            s = score(&opts, &task, products[i].text, room);
            pl_assert_close(pl_score_reward(&s, true), by_pay[pay], 1e-6, 0);
            for (size_t n = 0; n < s.segment_count; n++)
                shared += (double)s.segments[n].reward;
            pl_assert_close(shared, s.intermediate, 1e-6, 0);
            if (pay == PL_REWARD_CONDITIONAL)
                pl_assert_close(pl_score_reward(&s, false), products[i].shut, 1e-6, 0);
        }
        opts.wrong_step = 0.5; /* charges stay outside */
        opts.pay = PL_REWARD_CONDITIONAL;
        s = score(&opts, &task, products[i].text, room);
        pl_assert_close(pl_score_reward(&s, true), by_pay[0] + (double)s.extra, 1e-6, 0);
        pl_assert_close(s.extra, -0.5 * products[i].wrong, 0, 0);
    }
    free(room);
}

static void order_counts_where_the_task_says_so(void **state)
{
    struct pl_reward_room *room = malloc(sizeof *room);
    struct pl_reward_opts opts = PL_REWARD_DEFAULTS;
    struct pl_task ordered = task;

    (void)state;
    ordered.ordered = true;
    opts.strategy = PL_REWARD_ALL;
    pl_assert_close(score(&opts, &ordered, T A(X) T A(Y) T A(Z) T FINAL, room).intermediate, 0.5, 0,
                    0);
    pl_assert_close(score(&opts, &ordered, T A(Y) T A(X) T A(Z) T FINAL, room).intermediate, 0, 0,
                    0);
    free(room);
}

static void settings_scale_what_they_say(void **state)
{
    struct pl_reward_room *room = malloc(sizeof *room);
    struct pl_reward_opts opts = PL_REWARD_DEFAULTS;
    const char *text = T A("Bob is a knight") T A(X) T FINAL;
    struct pl_score s;

    (void)state;
    opts.lambda_format = 0.5;
    opts.lambda_final = 2;
    opts.base = 3;
    opts.wrong_step = 0.25;
    s = score(&opts, &task, text, room);
    pl_assert_close(s.format, 0.5, 0, 0);
    pl_assert_close(s.final, 4, 0, 0);
    pl_assert_close(s.intermediate, 0.5, 1e-6, 0); /* 3 / 3 / 2 */
    pl_assert_close(s.extra, -0.25, 0, 0);
    opts.wrong_step = 0;
    opts.overlong_buffer = 20;
    opts.overlong_factor = 2;
    opts.new_tokens_max = strlen(text) + 5; /* 15 of 20 into the buffer */
    pl_assert_close(score(&opts, &task, text, room).extra, -1.5, 1e-6, 0);
    opts.new_tokens_max = strlen(text) + 20;
    pl_assert_close(score(&opts, &task, text, room).extra, 0, 0, 0);
    free(room);
}

static void segments_say_what_they_were_worth(void **state)
{
    struct pl_reward_room *room = malloc(sizeof *room);
    const struct pl_reward_opts opts = PL_REWARD_DEFAULTS;
    const struct pl_score s = score(&opts, &task, T A(Y) T A("Ann is a knave") T FINAL, room);
    const uint32_t t = (uint32_t)strlen(T);

    (void)state;
    assert_int_equal(s.segment_count, 6);
    assert_int_equal(s.segments[1].step, 1);
    assert_int_equal(s.segments[1].verdict, PL_VERDICT_RIGHT);
    assert_int_equal(s.segments[1].token_begin, t);
    assert_int_equal(s.segments[1].token_end, t + strlen(A(Y)));
    assert_int_equal(s.segments[3].step, -1);
    assert_int_equal(s.segments[3].verdict, PL_VERDICT_WRONG);
    assert_int_equal(s.segments[5].verdict, PL_VERDICT_RIGHT);
    assert_int_equal(s.first_answer, t + strlen("<answer>"));
    assert_int_equal(s.first_right, s.first_answer);
    free(room);
}

/* What is empty, or says nothing, is no answer that one waited for; what is wrong is none that one
 * wanted. */
static void when_the_first_answer_comes(void **state)
{
    static const struct pl_truth empty_set[] = {{.answer = "\\{\\}"}};
    static const struct pl_task math = {.id = "m",
                                        .source = "m",
                                        .question = "q",
                                        .verifier = "math",
                                        .final = {.answer = "2"},
                                        .steps = empty_set,
                                        .step_count = 1};
    static const struct {
        const struct pl_task *task;
        const char *before; /* an answer in front, in tags */
        const char *text;   /* and all that follows */
        bool first, right;  /* whether the one in front is the first answer, the first right one */
        bool later;         /* whether what follows has a right one */
    } cases[] = {
        {&task, A("."), T FINAL, false, false, true},
        {&task, A("..."), T FINAL, false, false, true},
        {&task, A("\xE2\x80\x8B."), T FINAL, false, false, true},
        {&task, A("?!\xFF"), T FINAL, false, false, true},
        {&task, A("x"), T FINAL, true, false, true},
        {&task, A("Ann is a knave"), T FINAL, true, false, true},
        {&task, A(Y), T FINAL, true, true, true},
        {&task, A(Y), T BAD, true, true, true},
        {&task, A("x"), T WRONG, true, false, false},
        {&math, A("\\{\\}"), T A("2"), true, true, true}, /* right, though of points alone */
        {&math, A("()"), T A("2"), false, false, true},
    };
    static const char *const empty[] = {
        "",                                 /* nothing */
        " \n\t",                            /* blanks */
        "\xE2\x80\x8B",                     /* a zero-width space */
        "\xC2\xA0\xE2\x80\xAE\xEF\xBB\xBF", /* no-break, right-to-left, byte order */
        "\xE3\x85\xA4",
        "\xE2\xA0\x80",
        "\xC2\xAD", /* fillers of Hangul, Braille, hyphens */
    };
    struct pl_reward_room *room = malloc(sizeof *room);
    const struct pl_reward_opts opts = PL_REWARD_DEFAULTS;
    const int32_t first = (int32_t)strlen(T "<answer>");

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        struct pl_score s;
        int32_t second;

        snprintf(text, sizeof text, T "%s%s", cases[i].before, cases[i].text);
        second = (int32_t)strlen(T T "<answer>") + (int32_t)strlen(cases[i].before);
        s = score(&opts, cases[i].task, text, room);
        if (s.first_answer != (cases[i].first ? first : second) ||
            s.first_right != (cases[i].right   ? first
                              : cases[i].later ? second
                                               : -1))
            fail_msg("row %zu: first at %d, first right at %d", i, s.first_answer, s.first_right);
    }
    /* Of an empty one there is no form, and what comes behind it is not looked at. */
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        char text[512];
        struct pl_score s;

        snprintf(text, sizeof text, T A("%s") T FINAL, empty[i]);
        s = score(&opts, &task, text, room);
        if (s.first_answer != -1 || s.first_right != -1 || s.format_ok)
            fail_msg("empty row %zu: first at %d, first right at %d", i, s.first_answer,
                     s.first_right);
    }
    assert_int_equal(score(&opts, &task, "x", room).first_right, -1);
    free(room);
}

/* Random responses of pieces: bounded rewards, and white space between segments changes nothing. */
static void what_holds_of_any_response(void **state)
{
    static const char *const parts[] = {T,     A(X),  A(Y),      A(Z),        A("Bob is a knight"),
                                        FINAL, WRONG, "<think>", "</answer>", "stray"};
    const struct pl_rng rng = {.seed = 7, .batch = (uint32_t)PL_RNG_TEST};
    struct pl_reward_room *room = malloc(sizeof *room);

    (void)state;
    for (uint32_t i = 0; i < 3000; i++) {
        struct pl_reward_opts opts = PL_REWARD_DEFAULTS;
        char text[1024] = "", spaced[1200] = "";
        struct pl_score a, b;

        opts.strategy = (enum pl_reward_strategy)(i % 3);
        opts.pay = (enum pl_reward_pay)(i / 3 % 3);
        opts.combine = (enum pl_reward_combine)(i / 9 % 2);
        opts.wrong_step = i / 18 % 2 ? 0.125 : 0;
        for (uint32_t n = 0; n < 1 + i % 9; n++) {
            const uint64_t pick = pl_rng_below(&rng, i * 16 + n, 10);

            strcat(text, parts[pick]);
            strcat(strcat(spaced, parts[pick]), pick < 7 ? " \n" : "");
        }
        a = score(&opts, &task, text, room);
        assert_true(a.format >= -1 && a.format <= 1 && a.final >= -2 && a.final <= 2);
        assert_true(a.intermediate >= 0 && a.intermediate <= 0.5f + 1e-6f && a.extra <= 0);
        assert_true(a.steps_right <= 3);
        b = score(&opts, &task, spaced, room);
        assert_true(!(a.format < b.format) && !(a.format > b.format));
        assert_true(!(a.final < b.final) && !(a.final > b.final));
        assert_true(!(a.intermediate < b.intermediate) && !(a.intermediate > b.intermediate));
    }
    free(room);
}

/* Naming every role of every person: no more than the formula states, and nothing from "all". */
static void guessing_every_role_pays_what_the_formula_says(void **state)
{
    struct pl_reward_room *room = malloc(sizeof *room);
    struct pl_reward_opts opts = PL_REWARD_DEFAULTS;
    const char *guess = T A("Ann is a knave") T A(X) T A("Bob is a knight") T A(Y)
        T A("Cy is a knave") T A(Z) T FINAL;

    (void)state;
    pl_assert_close(score(&opts, &task, guess, room).intermediate, 0.5, 0, 0); /* as published */
    opts.strategy = PL_REWARD_ALL;
    pl_assert_close(score(&opts, &task, guess, room).intermediate, 0, 0, 0);
    opts.strategy = PL_REWARD_TIME;
    opts.wrong_step = 0.2; /* the charge against it */
    pl_assert_close(score(&opts, &task, guess, room).extra, -0.6, 1e-6, 0);
    free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_rewards),
        cmocka_unit_test(segments_share_what_was_paid),
        cmocka_unit_test(the_product_form),
        cmocka_unit_test(order_counts_where_the_task_says_so),
        cmocka_unit_test(settings_scale_what_they_say),
        cmocka_unit_test(segments_say_what_they_were_worth),
        cmocka_unit_test(when_the_first_answer_comes),
        cmocka_unit_test(what_holds_of_any_response),
        cmocka_unit_test(guessing_every_role_pays_what_the_formula_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
