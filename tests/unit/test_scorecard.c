/* Intervals of shares against known ones, the design effect, and which rows a scorecard has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deploy/view/scorecard.h"
#include "tests/close.h"

#include <math.h>
#include <string.h>

enum { SAMPLES_MAX = 4 };

/* Of R: prop.test(x, n, correct = FALSE)$conf.int */
static void wilson_is_as_published(void **state)
{
    static const struct {
        double share, n, low, high;
    } known[] = {
        {0.8, 10, 0.4901624715, 0.9433178485}, {0.5, 2, 0.0945312057, 0.9054687943},
        {0.25, 4, 0.0455872608, 0.6993581574}, {0.0, 2, 0.0, 0.6576197725},
        {1.0, 7, 0.6456695649, 1.0},           {0.5, 25, 0.3175224322, 0.6824775678},
    };

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const struct pl_interval in = pl_interval_wilson(known[i].share, known[i].n);

        pl_assert_close(in.low, known[i].low, 1e-9, 1e-9);
        pl_assert_close(in.high, known[i].high, 1e-9, 1e-9);
    }
}

/* A task of `samples` samples, the first `right` of which are. */
static void add(struct pl_scorecard *card, const char *source, const char *level, uint32_t samples,
                uint32_t right)
{
    const struct pl_task task = {.id = "t", .source = source, .level = level};
    struct pl_rollout rollouts[SAMPLES_MAX] = {0};
    const double ttfa_ms[SAMPLES_MAX] = {NAN, 10, 20, NAN};
    const struct pl_rollout_group group = {.samples = samples, .rollouts = rollouts};

    for (uint32_t i = 0; i < samples; i++) {
        rollouts[i].len = 10;
        rollouts[i].score.first_answer = rollouts[i].score.first_right = -1;
        rollouts[i].score.verdict = i < right ? PL_VERDICT_RIGHT : PL_VERDICT_WRONG;
    }
    assert_int_equal(pl_scorecard_add(card, &(struct pl_eval_done){&task, &group, ttfa_ms}), PL_OK);
}

static double design_effect(const uint32_t *right, size_t tasks, uint32_t samples)
{
    struct pl_scorecard card;
    struct pl_interval in, plain;
    double deff, share = 0.0;

    assert_int_equal(pl_scorecard_init(&card, samples), PL_OK);
    for (size_t i = 0; i < tasks; i++) {
        add(&card, "kk", "2", samples, right[i]);
        share += (double)right[i] / (double)(tasks * samples);
    }
    in = pl_scorecard_interval(&card, &card.rows[0], &deff);
    plain = pl_interval_wilson(share, (double)(tasks * samples) / deff);
    pl_assert_close(in.low, plain.low, 1e-12, 1e-12);
    pl_assert_close(in.high, plain.high, 1e-12, 1e-12);
    pl_scorecard_release(&card);
    return deff;
}

static void samples_that_are_alike_widen_the_interval(void **state)
{
    const uint32_t alike[] = {4, 4, 0, 0}, mixed[] = {1, 2, 2, 3}, between[] = {4, 2, 2, 0};
    const uint32_t all[] = {4, 4}, one[] = {2}, single[] = {1, 0, 0, 1};

    (void)state;
    pl_assert_close(design_effect(alike, 4, 4), 4.0, 1e-12, 1e-12);
    /* More alike between tasks than chance would have it: not under 1. */
    pl_assert_close(design_effect(mixed, 4, 4), 1.0, 1e-12, 1e-12);
    /* Task means 1, 1/2, 1/2, 0: (1/2) / 3 / 4 over (1/4) / 16. */
    pl_assert_close(design_effect(between, 4, 4), 8.0 / 3.0, 1e-12, 1e-12);
    pl_assert_close(design_effect(all, 2, 4), 4.0, 1e-12, 1e-12);
    pl_assert_close(design_effect(one, 1, 4), 4.0, 1e-12, 1e-12);
    pl_assert_close(design_effect(single, 4, 1), 1.0, 1e-12, 1e-12);
}

static void rows_are_sources_and_levels_in_order(void **state)
{
    static const char *const want[][2] = {
        {"kk", "2"}, {"kk", "9"}, {"kk", "10"}, {"musique", ""}, {"musique", "3"}};
    struct pl_scorecard card;

    (void)state;
    assert_int_equal(pl_scorecard_init(&card, 2), PL_OK);
    for (size_t i = 0; i < 20; i++) /* in no order, four times each */
        add(&card, want[i * 7 % 5][0], want[i * 7 % 5][1], 2, (uint32_t)(i % 3));
    assert_int_equal(card.count, 6);
    assert_int_equal(card.rows[0].tasks, 20);
    assert_int_equal(card.rows[0].tally.n, 40);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(card.rows[i + 1].source, want[i][0]);
        assert_string_equal(card.rows[i + 1].level, want[i][1]);
        assert_int_equal(card.rows[i + 1].tasks, 4);
    }
    assert_int_equal(card.rows[0].ttfa_ms.n, 20); /* of the two, one has an answer */
    pl_assert_close(pl_spread_mean(&card.rows[0].ttfa_ms), 10.0, 1e-12, 1e-12);
    pl_scorecard_release(&card);
}

/* Rows are named by their level, and by their source too where there are several. */
static void tables_name_what_differs(void **state)
{
    struct pl_scorecard card;
    char text[4096] = "";
    FILE *out = fmemopen(text, sizeof text, "w");

    (void)state;
    assert_non_null(out);
    assert_int_equal(pl_scorecard_init(&card, 1), PL_OK);
    add(&card, "kk", "2", 1, 1);
    assert_int_equal(pl_scorecard_print(&card, out, PL_COLOR_NEVER), PL_OK);
    add(&card, "kk", "", 1, 0);
    assert_int_equal(pl_scorecard_print(&card, out, PL_COLOR_NEVER), PL_OK);
    add(&card, "", "5", 1, 0);
    assert_int_equal(pl_scorecard_print(&card, out, PL_COLOR_NEVER), PL_OK);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "\nall      1   1.000"));
    assert_null(strstr(text, "\n2        1   1.000")); /* one level alone is all */
    assert_non_null(strstr(text, "\nno level      1   0.000"));
    assert_non_null(strstr(text, "\nno source 5      1   0.000"));
    assert_non_null(strstr(text, "\nkk 2             1   1.000"));
    pl_scorecard_release(&card);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wilson_is_as_published),
        cmocka_unit_test(samples_that_are_alike_widen_the_interval),
        cmocka_unit_test(rows_are_sources_and_levels_in_order),
        cmocka_unit_test(tables_name_what_differs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
