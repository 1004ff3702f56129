/* Runs side by side: their names, what differs, what they came to; what a sample's answers earned.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "deploy/view/story_bars.h"
#include "deploy/view/story_page.h"
#include "tests/close.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pl_stories stories;

static struct pl_run_story *add(const char *dir)
{
    struct pl_run_story *run = &stories.runs[stories.count++];

    *run = (struct pl_run_story){.dir = strdup(dir), .last_step = NAN};
    run->best_step = run->best_accuracy = NAN;
    return run;
}

static void set(struct pl_run_story *run, const char *key, const char *value)
{
    run->settings = realloc(run->settings, (run->setting_count + 1) * sizeof *run->settings);
    run->settings[run->setting_count++] = (struct pl_run_setting){strdup(key), strdup(value)};
}

static void line(struct pl_run_story *run, const char *text)
{
    assert_int_equal(pl_run_story_line(run, text, strlen(text)), PL_OK);
}

static int setup(void **state)
{
    (void)state;
    return pl_stories_init(&stories, 32) < 0;
}

static int teardown(void **state)
{
    (void)state;
    pl_stories_release(&stories);
    return 0;
}

static void named(size_t i, const char *full, const char *in_plots)
{
    assert_string_equal(stories.names[i].full, full);
    assert_string_equal(stories.names[i].in_plots, in_plots);
}

static void names_differ(void **state)
{
    (void)state;
    set(add("runs/a"), "run.name", "demo");
    set(add("runs/b"), "run.name", "demo");
    set(add("else/b"), "run.name", "demo");
    pl_stories_name(&stories);
    named(0, "demo", "demo");
    named(1, "b", "b");
    named(2, "demo (2)", "demo (2)");
}

static void long_names_are_shown_by_what_differs(void **state)
{
    (void)state;
    add("runs/knights-interleave-seed-0");
    add("runs/knights-interleave-seed-42");
    pl_stories_name(&stories);
    named(0, "knights-interleave-seed-0",
          "\xE2\x80\xA6"
          "0");
    named(1, "knights-interleave-seed-42",
          "\xE2\x80\xA6"
          "42");
    add("runs/think-answer");
    pl_stories_name(&stories);
    named(0, "knights-interleave-seed-0", "A");
    named(2, "think-answer", "C");
}

static void names_are_cut_between_characters(void **state)
{
    (void)state;
    char name[200] = "";

    for (int i = 0; i < 60; i++)
        strcat(name, "\xE4\xBD\xA0");
    set(add("runs/a"), "run.name", name);
    pl_stories_name(&stories);
    assert_int_equal(strlen(stories.names[0].full), 60);
    assert_int_equal(strlen(stories.names[0].in_plots) % 3, 0);
}

static void put_key(void *at, const char *key)
{
    strcat(strcat(at, key), " ");
}

static void only_what_differs_is_told(void **state)
{
    (void)state;
    struct pl_run_story *a = add("a"), *b = add("b");
    char keys[256] = "";

    set(a, "run.name", "a");
    set(b, "run.name", "b");
    set(a, "run.seed", "1");
    set(b, "run.seed", "2");
    set(a, "same", "x");
    set(b, "same", "x");
    set(b, "new", "y");
    pl_stories_differences(&stories, put_key, keys);
    assert_string_equal(keys, "run.seed new ");
}

static double figure(enum pl_story_figure f)
{
    return pl_story_figure(&stories.runs[0], f).value;
}

static void figures_are_of_the_last_evaluation(void **state)
{
    (void)state;
    struct pl_run_story *run = add("a");
    struct pl_story_value v;

    for (size_t f = 0; f < PL_STORY_FIGURES; f++)
        assert_true(isnan(figure((enum pl_story_figure)f)));
    for (int i = 1; i <= 40; i++) {
        char text[256];

        snprintf(
            text, sizeof text,
            "{\"training/global_step\": %d, \"interleave/accuracy\": %g, \"timing_s/step\": 2, "
            "\"perf/total_num_tokens\": 100, \"critic/score/mean\": %d, "
            "\"interleave/ttfa\": 0.9}",
            i, i <= 20 ? 0.1 : 0.3, i);
        line(run, text);
    }
    assert_true(figure(PL_STORY_ACCURACY) == figure(PL_STORY_TRAIN_ACCURACY));
    line(run, "{\"training/global_step\": 0, \"val-core/acc\": 0.125}"); /* the order is theirs */
    line(run, "{\"training/global_step\": 40, \"val-core/acc\": 0.25, \"interleave/ttfa\": 0.5}");
    run->eval = calloc(1, sizeof *run->eval);
    run->eval->level_count = 1;
    run->eval->levels[0] = (struct pl_rollout_level){
        .samples = 400, .right = 100, .tasks = 400, .samples_max = 1, .square_sum = 100};
    v = pl_story_figure(run, PL_STORY_ACCURACY);
    pl_assert_close(v.value, 0.25, 1e-12, 0);
    /* Wilson, 100 of 400 */
    pl_assert_close(v.low, 0.2101, 5e-5, 0);
    pl_assert_close(v.high, 0.2947, 5e-5, 0);
    pl_assert_close(figure(PL_STORY_BEFORE), 0.125, 1e-12, 0);
    pl_assert_close(figure(PL_STORY_TRAIN_ACCURACY), 0.3, 1e-12, 0);
    pl_assert_close(figure(PL_STORY_REWARD), 30.5, 1e-12, 0);
    pl_assert_close(figure(PL_STORY_TTFA), 0.5, 1e-12, 0);
    pl_assert_close(figure(PL_STORY_TOKENS_PER_S), 50, 1e-12, 0);
    pl_assert_close(figure(PL_STORY_TOKENS), 4000, 1e-12, 0);
    pl_assert_close(figure(PL_STORY_STEPS), 40, 0, 0);
    assert_true(isnan(figure(PL_STORY_WALL_S)));
}

static void samples_of_one_task_widen_the_interval(void **state)
{
    (void)state;
    struct pl_rollout_level level = {
        .samples = 400, .right = 100, .tasks = 50, .samples_max = 8, .square_sum = 12.5};
    struct pl_interval in = pl_rollout_level_interval(&level, 0.25, 1.0);

    /* Tasks are all right or all wrong: 50 independent ones. */
    pl_assert_close(in.low, pl_interval_wilson(0.25, 50).low, 1e-3, 0);
    level.square_sum = 50 * 0.0625; /* each task has a quarter: as good as independent */
    in = pl_rollout_level_interval(&level, 0.25, 1.0);
    pl_assert_close(in.low, pl_interval_wilson(0.25, 400).low, 1e-9, 0);
    in = pl_rollout_level_interval(&level, 0.25, 4.0);
    pl_assert_close(in.high, pl_interval_wilson(0.25, 1600).high, 1e-9, 0);
    assert_true(isnan(pl_rollout_level_interval(&level, NAN, 1.0).low));
    level.samples = 0;
    assert_true(isnan(pl_rollout_level_interval(&level, 0.25, 1.0).low));
}

static void difficulties_come_in_order_without_their_sum(void **state)
{
    (void)state;
    struct pl_run_story *a = add("a"), *b = add("b");
    char levels[8][PL_STORY_LEVEL];

    line(a, "{\"training/global_step\": 0, \"val-core/acc\": 0.5, \"val-core/kk/acc/mean@4\": 0.5, "
            "\"val-core/kk-10/acc/mean@4\": 0.1, \"val-core/kk-9/acc/mean@4\": 0.2, "
            "\"val-core/hops/acc/mean@4\": 0.7}");
    line(b, "{\"training/global_step\": 0, \"val-core/kk-2/acc/mean@1\": 0.9}");
    assert_int_equal(pl_stories_levels(&stories, 8, levels), 4);
    assert_string_equal(levels[0], "hops");
    assert_string_equal(levels[1], "kk-2");
    assert_string_equal(levels[2], "kk-9");
    assert_string_equal(levels[3], "kk-10");
    pl_assert_close(pl_story_level_value(a, "kk-9").value, 0.2, 1e-12, 0);
    assert_true(isnan(pl_story_level_value(b, "kk-9").value));
    assert_int_equal(pl_stories_levels(&stories, 2, levels), 1); /* those there is room for */
}

static void parts_add_up_to_a_step(void **state)
{
    (void)state;
    double parts[PL_STORY_PARTS], sum = 0.0;

    line(add("a"), "{\"training/global_step\": 1, \"timing_s/step\": 10, \"timing_s/wait\": 4, "
                   "\"timing_s/update_actor\": 5, \"timing_s/gen\": 100}");
    pl_story_parts(&stories.runs[0], parts);
    for (size_t i = 0; i < PL_STORY_PARTS; i++)
        sum += isfinite(parts[i]) ? parts[i] : 0.0;
    pl_assert_close(sum, 10, 1e-12, 0);
    pl_assert_close(parts[PL_STORY_PARTS - 1], 1, 1e-12, 0);
}

static void times_are_written_in_utc(void **state)
{
    (void)state;
    char text[PL_STORY_TIME];

    assert_string_equal(pl_story_time(1795570081, text), "2026-11-25 01:28 UTC");
    assert_string_equal(pl_story_time(0, text), "-");
    assert_string_equal(pl_story_time(INT64_MAX, text), "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_differ, setup, teardown),
        cmocka_unit_test_setup_teardown(long_names_are_shown_by_what_differs, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_cut_between_characters, setup, teardown),
        cmocka_unit_test_setup_teardown(only_what_differs_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(figures_are_of_the_last_evaluation, setup, teardown),
        cmocka_unit_test_setup_teardown(samples_of_one_task_widen_the_interval, setup, teardown),
        cmocka_unit_test_setup_teardown(difficulties_come_in_order_without_their_sum, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(parts_add_up_to_a_step, setup, teardown),
        cmocka_unit_test_setup_teardown(times_are_written_in_utc, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
