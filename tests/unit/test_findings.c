/* Responses of an evaluation read back, their means against hand-computed ones, and intervals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "deploy/paper/findings.h"
#include "tests/close.h"
#include "tests/scratch.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TASKS_MAX = 512 };

/* ---- made-up answers ---- */

struct sheet {
    struct pl_answered list[TASKS_MAX];
    struct pl_answers answers;
};

static void put(struct sheet *s, const char *source, unsigned level, double pass)
{
    struct pl_answered *a = &s->list[s->answers.count++];

    assert_true(s->answers.count <= TASKS_MAX);
    memset(a, 0, sizeof *a);
    snprintf(a->source, sizeof a->source, "%s", source);
    a->level = level;
    for (int m = 0; m < PL_MEASURES; m++)
        a->values[m] = (float)NAN;
    a->values[PL_MEASURE_PASS] = (float)pass;
    s->answers.list = s->list;
}

/* `count` tasks of "t", of which the first `right` are answered rightly. */
static struct sheet *sheet_of(size_t count, size_t right)
{
    struct sheet *s = calloc(1, sizeof *s);

    assert_non_null(s);
    for (size_t i = 0; i < count; i++)
        put(s, "t", 1, i < right ? 1.0 : 0.0);
    return s;
}

static struct pl_finding_row row_of(const struct sheet *a, const struct sheet *b)
{
    struct pl_finding_row row = {.seeds = {&a->answers}, .count = 1};

    if (b)
        row.seeds[row.count++] = &b->answers;
    return row;
}

static const struct pl_slice all_t = {.source = "t", .least = 0, .most = 99, .weight = 1};

static struct pl_figure pass(const struct pl_finding_row *row)
{
    return pl_finding(row, PL_MEASURE_PASS, &all_t, 1);
}

static void assert_figure(struct pl_figure got, double value)
{
    pl_assert_close(got.value, value, 1e-6, 0);
    assert_true(got.low <= got.value && got.value <= got.high);
}

static void assert_nothing(struct pl_figure f)
{
    assert_true(isnan(f.value) && isnan(f.low) && isnan(f.high));
}

static double width(struct pl_figure f)
{
    assert_true(f.low <= f.high);
    return f.high - f.low;
}

/* ---- reading ---- */

#define LINE(verdict, format, steps, given, first, tokens)                                         \
    "{\"id\":\"x\",\"source\":\"kk\",\"level\":\"3\",\"verdict\":\"" verdict                       \
    "\",\"format_ok\":" format ",\"steps\":" steps ",\"steps_right\":" given                       \
    ",\"first_answer\":" first ",\"tokens\":" tokens "}\n"
#define GOOD LINE("right", "true", "2", "1", "5", "20")

static int read_text(const char *text, struct pl_answers *ret, struct pl_error *err)
{
    const char *path = pl_scratch("answers.jsonl");

    pl_scratch_text(path, text);
    return pl_answers_read(path, ret, err);
}

static void assert_values(const struct pl_answered *a, const double want[PL_MEASURES])
{
    for (int m = 0; m < PL_MEASURES; m++)
        if (isnan(want[m]) ? !isnan(a->values[m]) : fabs((double)a->values[m] - want[m]) > 1e-6)
            fail_msg("measure %d is %g, not %g", m, (double)a->values[m], want[m]);
}

static void responses_are_read(void **state)
{
    struct pl_answers a = {0};
    struct pl_error err = {0};

    (void)state;
    if (read_text(GOOD LINE("wrong", "false", "0", "0", "-1", "8")
                      LINE("unparsed", "true", "3", "3", "0", "0") /* no tokens at all */
                  "{\"source\":\"a-source-with-a-very-long-name\",\"level\":\"\",\"verdict\":"
                  "\"none\",\"format_ok\":true,\"steps\":0,\"steps_right\":0,"
                  "\"first_answer\":4,\"tokens\":4}", /* no newline behind the last */
                  &a, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(a.count, 4);
    assert_string_equal(a.list[0].source, "kk");
    assert_int_equal(a.list[0].level, 3);
    assert_values(&a.list[0], (const double[]){1, 1, 0.25, 5, 0.5, 0, 20, 20, NAN});
    assert_values(&a.list[1], (const double[]){0, 0, NAN, NAN, NAN, NAN, 8, NAN, 8});
    assert_values(&a.list[2], (const double[]){0, 1, NAN, NAN, 1, NAN, 0, NAN, 0});
    assert_values(&a.list[3], (const double[]){0, 1, 1, 4, NAN, NAN, 4, NAN, 4});
    assert_string_equal(a.list[3].source, "a-source-with-a-very-lo");
    assert_int_equal(a.list[3].level, 0);
    /* which is found by its whole name */
    assert_figure(pl_finding(&(struct pl_finding_row){.seeds = {&a}, .count = 1}, PL_MEASURE_LENGTH,
                             &(struct pl_slice){"a-source-with-a-very-long-name", 0, 9, 1}, 1),
                  4);
    pl_answers_release(&a);
    assert_int_equal(a.count, 0);
    assert_int_equal(read_text("", &a, &err), PL_OK);
    assert_int_equal(a.count, 0);
    pl_answers_release(&a);
    pl_answers_release(&a);
    assert_int_equal(pl_answers_read(pl_scratch("nowhere"), &a, &err), PL_ENOENT);
}

static void what_is_no_response_is_named_by_its_line(void **state)
{
    static const struct {
        const char *text;
        size_t line;
    } rows[] = {
        {"{\"source\":\"kk\",\"level\":\"3\",\"verd", 1}, /* torn */
        {GOOD "\n" GOOD, 2},
        {GOOD GOOD "nonsense\n", 3},
        {GOOD "[1]\n", 2},
        {GOOD "{}\n", 2},
        {GOOD "{\"level\":\"\",\"verdict\":\"right\",\"format_ok\":true,\"steps\":0,"
              "\"steps_right\":0,\"first_answer\":1,\"tokens\":4}\n",
         2}, /* no source */
        {"{\"source\":\"a\",\"verdict\":\"right\",\"format_ok\":true,\"steps\":0,"
         "\"steps_right\":0,\"first_answer\":1,\"tokens\":4}\n",
         1}, /* no level */
        {"{\"source\":\"a\",\"level\":\"\",\"format_ok\":true,\"steps\":0,\"steps_right\":0,"
         "\"first_answer\":1,\"tokens\":4}\n",
         1}, /* no verdict */
        {"{\"source\":\"a\",\"level\":\"\",\"verdict\":\"right\",\"steps\":0,\"steps_right\":0,"
         "\"first_answer\":1,\"tokens\":4}\n",
         1}, /* no format_ok */
        {LINE("right", "1", "2", "1", "5", "20"), 1},
        {LINE("right", "true", "\"2\"", "1", "5", "20"), 1},
        {LINE("right", "true", "2", "null", "5", "20"), 1},
        {LINE("right", "true", "2", "1", "null", "20"), 1},
        {LINE("right", "true", "2", "1", "5", "-1"), 1},
        {LINE("right", "true", "2", "3", "5", "20"), 1},  /* more right than there are */
        {LINE("right", "true", "2", "1", "21", "20"), 1}, /* behind the end */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pl_answers a = {0};
        struct pl_error err = {0};
        char says[64];

        snprintf(says, sizeof says, "line %zu: expected a response", rows[i].line);
        if (read_text(rows[i].text, &a, &err) != PL_EFORMAT || !strstr(err.text, says))
            fail_msg("row %zu: '%s' does not say '%s'", i, err.text, says);
        assert_null(a.list);
    }
}

/* ---- figures ---- */

/* Two seeds of five tasks, in three slices. */
static void means_are_weighted_sums_over_slices(void **state)
{
    struct sheet a = {0}, b = {0};
    const struct pl_slice kk = {"kk", 2, 3, 1}, easy = {"kk", 2, 2, -1}, hard = {"kk", 3, 3, 1};
    const struct pl_slice both[] = {{"kk", 2, 3, 0.25}, {"hops", 0, 9, 0.75}};
    const struct pl_slice contrast[] = {hard, easy};
    struct pl_finding_row one = row_of(&a, NULL), two = row_of(&a, &b);

    (void)state;
    put(&a, "kk", 2, 1);
    put(&b, "kk", 2, 1);
    put(&a, "kk", 2, 0);
    put(&b, "kk", 2, 1);
    put(&a, "kk", 3, 1);
    put(&b, "kk", 3, 0);
    put(&a, "hops", 2, 0);
    put(&b, "hops", 2, 1);
    put(&a, "kk", 4, 1); /* in no slice */
    put(&b, "kk", 4, 1);
    assert_figure(pl_finding(&one, PL_MEASURE_PASS, &kk, 1), 2.0 / 3);
    assert_figure(pl_finding(&two, PL_MEASURE_PASS, &kk, 1), 4.0 / 6);
    assert_figure(pl_finding(&one, PL_MEASURE_PASS, both, 2), 0.25 * 2 / 3);
    assert_figure(pl_finding(&two, PL_MEASURE_PASS, both, 2), 0.25 * 2 / 3 + 0.75 * 0.5);
    assert_figure(pl_finding(&one, PL_MEASURE_PASS, contrast, 2), 1 - 0.5);
    assert_figure(pl_finding(&two, PL_MEASURE_PASS, contrast, 2), 0.5 - 0.75);
    /* What a response does not have does not count: two seeds have ttfa of three kk tasks. */
    a.list[0].values[PL_MEASURE_TTFA] = 0.25F;
    a.list[2].values[PL_MEASURE_TTFA] = 0.75F;
    b.list[1].values[PL_MEASURE_TTFA] = 0.125F;
    assert_figure(pl_finding(&one, PL_MEASURE_TTFA, &kk, 1), 0.5);
    assert_figure(pl_finding(&two, PL_MEASURE_TTFA, &kk, 1), 1.125 / 3);
    /* The least and the most of the seeds. */
    const struct pl_figure spread = pl_finding_spread(&two, PL_MEASURE_PASS, both, 2);

    pl_assert_close(spread.low, 0.25 * 2 / 3, 1e-9, 0);
    pl_assert_close(spread.high, 0.25 * 2 / 3 + 0.75, 1e-9, 0);
    pl_assert_close(spread.value, 0.75, 1e-9, 0);
    pl_assert_close(pl_finding_spread(&one, PL_MEASURE_PASS, both, 2).value, 0, 0, 0);
}

static void rows_are_compared(void **state)
{
    struct sheet *good = sheet_of(40, 30), *bad = sheet_of(40, 20);
    const struct pl_finding_row a = row_of(good, NULL), b = row_of(bad, NULL), none = {.count = 0};
    const struct pl_finding_row three = {.seeds = {&good->answers, &bad->answers, &bad->answers},
                                         .count = 3};

    (void)state;
    assert_figure(pl_finding_gain(&a, &b, PL_MEASURE_PASS, &all_t, 1), 0.25);
    assert_figure(pl_finding_gain(&b, &a, PL_MEASURE_PASS, &all_t, 1), -0.25);
    assert_figure(pl_finding_cut(&b, &a, PL_MEASURE_PASS, &all_t, 1), 1.0 / 3);
    assert_figure(pl_finding_cut(&a, &b, PL_MEASURE_PASS, &all_t, 1), -0.5);
    assert_figure(pl_finding_gain(&a, &three, PL_MEASURE_PASS, &all_t, 1),
                  0.75 - (0.75 + 0.5 + 0.5) / 3);
    assert_nothing(pl_finding_gain(&a, &none, PL_MEASURE_PASS, &all_t, 1));
    assert_nothing(pl_finding_gain(&none, &a, PL_MEASURE_PASS, &all_t, 1));
    free(good);
    free(bad);
}

static void nothing_to_see_is_not_a_number(void **state)
{
    struct sheet *some = sheet_of(10, 5), *zero = sheet_of(10, 0), *fewer = sheet_of(9, 5);
    struct sheet *other = sheet_of(10, 5), *rare = sheet_of(40, 20);
    const struct pl_finding_row a = row_of(some, NULL), z = row_of(zero, NULL), none = {.count = 0};
    const struct pl_slice empty[] = {all_t, {"u", 0, 99, 1}}, level[] = {{"t", 2, 99, 1}};
    struct pl_figure f;

    (void)state;
    assert_nothing(pass(&none));
    assert_nothing(pl_finding_spread(&none, PL_MEASURE_PASS, &all_t, 1));
    assert_nothing(pl_finding(&a, PL_MEASURE_PASS, empty, 2)); /* one empty slice empties all */
    assert_nothing(pl_finding(&a, PL_MEASURE_PASS, level, 1));
    assert_nothing(pl_finding(&a, PL_MEASURE_TTFA, &all_t, 1)); /* tasks, but none has it */
    assert_nothing(pl_finding_spread(&a, PL_MEASURE_TTFA, &all_t, 1));
    assert_nothing(pl_finding_cut(&a, &z, PL_MEASURE_PASS, &all_t, 1)); /* over 0 */
    assert_figure(pl_finding_cut(&z, &a, PL_MEASURE_PASS, &all_t, 1), 1);
    /* Other tasks: fewer, of another source, of another level. */
    assert_nothing(pass(&(struct pl_finding_row){{&some->answers, &fewer->answers}, 2}));
    assert_nothing(pl_finding_spread(&(struct pl_finding_row){{&some->answers, &fewer->answers}, 2},
                                     PL_MEASURE_PASS, &all_t, 1));
    assert_nothing(pl_finding_gain(&a, &(struct pl_finding_row){{&fewer->answers}, 1},
                                   PL_MEASURE_PASS, &all_t, 1));
    strcpy(other->list[3].source, "u");
    assert_nothing(pl_finding_gain(&(struct pl_finding_row){{&other->answers}, 1}, &a,
                                   PL_MEASURE_PASS, &all_t, 1));
    strcpy(other->list[3].source, "t");
    other->list[3].level = 2;
    assert_nothing(pass(&(struct pl_finding_row){{&some->answers, &other->answers}, 2}));
    /* One seed that has it is enough for a spread; one task of 40 that has it is in too few draws
     * (1 - 0.975^40 = 0.64 is enough, so that it is on the safe side) or in most. */
    other->list[3].level = 1;
    other->list[0].values[PL_MEASURE_TTFA] = 0.5F;
    f = pl_finding_spread(&(struct pl_finding_row){{&some->answers, &other->answers}, 2},
                          PL_MEASURE_TTFA, &all_t, 1);
    assert_true(f.value <= 0.0 && f.low >= 0.5 && f.high <= 0.5);
    rare->list[7].values[PL_MEASURE_TTFA] = 0.5F;
    f = pl_finding(&(struct pl_finding_row){{&rare->answers}, 1}, PL_MEASURE_TTFA, &all_t, 1);
    assert_true(f.value >= 0.5 && f.low >= 0.5 && f.high <= 0.5);
    /* In a row of three seeds of which one has it on one task, it is in 45 % of the draws. */
    f = pl_finding(&(struct pl_finding_row){{&some->answers, &some->answers, &other->answers}, 3},
                   PL_MEASURE_TTFA, &all_t, 1);
    assert_true(f.value >= 0.5 && isnan(f.low) && isnan(f.high));
    free(some);
    free(zero);
    free(fewer);
    free(other);
    free(rare);
}

/* ---- intervals ---- */

static void alike_rows_differ_by_nothing(void **state)
{
    struct sheet *a = sheet_of(50, 17), *b = sheet_of(50, 17), *c = sheet_of(50, 30);
    const struct pl_finding_row one = row_of(a, NULL), same = row_of(b, NULL);
    const struct pl_finding_row two = row_of(a, c);
    struct pl_figure f = pl_finding_gain(&one, &same, PL_MEASURE_PASS, &all_t, 1);

    (void)state;
    assert_true(f.value >= 0 && f.value <= 0 && f.low >= 0 && f.low <= 0 && f.high >= 0 &&
                f.high <= 0);
    f = pl_finding_cut(&one, &same, PL_MEASURE_PASS, &all_t, 1);
    assert_true(f.value >= 0 && f.value <= 0 && f.low >= 0 && f.low <= 0 && f.high >= 0 &&
                f.high <= 0);
    /* With two seeds each draws its own: no difference, and no certainty. */
    f = pl_finding_gain(&two, &two, PL_MEASURE_PASS, &all_t, 1);
    assert_true(f.value >= 0 && f.value <= 0 && f.low < -0.1 && f.high > 0.1);
    free(a);
    free(b);
    free(c);
}

/* Rows that are right on the same tasks but some are compared task by task: much narrower than two
 * that have nothing to do with each other would be. */
static void a_comparison_sees_the_same_tasks(void **state)
{
    struct sheet *a = sheet_of(400, 200), *b = sheet_of(400, 220);
    const struct pl_finding_row x = row_of(a, NULL), y = row_of(b, NULL);
    const struct pl_figure f = pl_finding_gain(&y, &x, PL_MEASURE_PASS, &all_t, 1);

    (void)state;
    assert_figure(f, 0.05);
    /* 20 of 400 differ: sd = sqrt(0.05 0.95 / 400) = 0.0109; were they apart it would be 0.035 */
    assert_in_range((int)(1e4 * width(f)), (int)(1e4 * 0.75 * 3.92 * 0.0109),
                    (int)(1e4 * 1.25 * 3.92 * 0.0109));
    free(a);
    free(b);
}

static void more_tasks_are_more_certain(void **state)
{
    struct sheet *few = sheet_of(100, 50), *many = sheet_of(400, 200);
    const struct pl_finding_row a = row_of(few, NULL), b = row_of(many, NULL);
    const double ratio = width(pass(&a)) / width(pass(&b));

    (void)state;
    assert_true(ratio > 1.6 && ratio < 2.4); /* sqrt(4) */
    pl_assert_close(width(pass(&a)), 3.92 * sqrt(0.25 / 100), 0.03, 0);
    free(few);
    free(many);
}

static void seeds_that_differ_are_less_certain(void **state)
{
    struct sheet *low = sheet_of(400, 120), *middle = sheet_of(400, 200),
                 *high = sheet_of(400, 280);
    const struct pl_finding_row even = row_of(middle, middle), apart = row_of(low, high);

    (void)state;
    pl_assert_close(pass(&even).value, pass(&apart).value, 1e-9, 0);
    assert_true(width(pass(&apart)) > 3.0 * width(pass(&even)));
    assert_true(pass(&apart).low < 0.35 && pass(&apart).high > 0.65);
    free(low);
    free(middle);
    free(high);
}

/* Where the truth is known it is in most intervals, and not in all. */
static void intervals_cover_what_they_should(void **state)
{
    enum { TRIALS = 200, N = 60 };
    const double p = 0.3;
    size_t covered = 0;

    (void)state;
    for (uint32_t trial = 0; trial < TRIALS; trial++) {
        const struct pl_rng rng = {.seed = 11, .batch = (uint32_t)PL_RNG_TEST, .sample = trial};
        struct sheet *s = calloc(1, sizeof *s);
        struct pl_finding_row row;
        struct pl_figure f;

        assert_non_null(s);
        for (uint32_t i = 0; i < N; i++)
            put(s, "t", 1, pl_rng_unit(&rng, i) < p ? 1.0 : 0.0);
        row = row_of(s, NULL);
        f = pass(&row);
        covered += f.low <= p && p <= f.high;
        free(s);
    }
    /* 95 % of 200 is 190, with a deviation of 3; a percentile interval of 60 covers a little less.
     */
    assert_in_range(covered, 178, 198);
}

static void the_same_answers_give_the_same_intervals(void **state)
{
    struct sheet *a = sheet_of(90, 31), *b = sheet_of(90, 40);
    const struct pl_finding_row two = row_of(a, b), one = row_of(b, NULL);
    const struct pl_figure f = pass(&two), again = pass(&two);
    const struct pl_figure g = pl_finding_gain(&two, &one, PL_MEASURE_PASS, &all_t, 1);
    const struct pl_figure g_again = pl_finding_gain(&two, &one, PL_MEASURE_PASS, &all_t, 1);

    (void)state;
    assert_memory_equal(&f, &again, sizeof f);
    assert_memory_equal(&g, &g_again, sizeof g);
    assert_true(width(f) > 0 && width(g) > 0);
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(responses_are_read),
        cmocka_unit_test(what_is_no_response_is_named_by_its_line),
        cmocka_unit_test(means_are_weighted_sums_over_slices),
        cmocka_unit_test(rows_are_compared),
        cmocka_unit_test(nothing_to_see_is_not_a_number),
        cmocka_unit_test(alike_rows_differ_by_nothing),
        cmocka_unit_test(a_comparison_sees_the_same_tasks),
        cmocka_unit_test(more_tasks_are_more_certain),
        cmocka_unit_test(seeds_that_differ_are_less_certain),
        cmocka_unit_test(intervals_cover_what_they_should),
        cmocka_unit_test(the_same_answers_give_the_same_intervals),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
