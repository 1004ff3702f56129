/* What a run's folder tells: torn and broken lines, what is missing, many steps in little memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "deploy/view/lines.h"
#include "deploy/view/run_story.h"
#include "tests/close.h"
#include "tests/scratch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- series ---- */

static void extremes_outlive_any_number_of_steps(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct pl_series s = {0};
    double sum = 0.0, y = 0.0;
    size_t n = 0;

    for (size_t i = 1; i <= N; i++) {
        y = i == 31415 ? 100.0 : i == 92653 ? -100.0 : (double)(i % 10);
        sum += y;
        assert_int_equal(pl_series_add(&s, (double)i, y), PL_OK);
        assert_in_range(s.count, 1, PL_SERIES_CELLS);
    }
    assert_int_equal(s.per_cell, 128); /* the power of two by which they fit */
    assert_true(pl_series_most(&s) == 100.0 && pl_series_least(&s) == -100.0);
    assert_true(pl_series_find(&s, 31415)->most == 100.0);
    assert_true(pl_series_find(&s, 92653)->least == -100.0);
    pl_assert_close(pl_series_mean_all(&s), sum / N, 1e-12, 1e-12);
    pl_assert_close(pl_series_last(&s), y, 0, 0);
    pl_assert_close(pl_series_mean_recent(&s), 4.5, 1e-12, 0);
    for (size_t i = 0; i < s.count; i++) {
        assert_true(s.cells[i].x_first <= s.cells[i].x_last);
        assert_true(i == 0 || s.cells[i].x_first == s.cells[i - 1].x_last + 1);
        n += s.cells[i].n;
    }
    assert_int_equal(n, N);
    pl_series_release(&s);
}

static void gaps_stay_gaps(void **state)
{
    (void)state;
    struct pl_series s = {0};
    double smooth[5];
    const double y[] = {1, NAN, 3, INFINITY, 5};

    for (size_t i = 0; i < 5; i++)
        assert_int_equal(pl_series_add(&s, (double)i, y[i]), PL_OK);
    assert_true(isnan(pl_series_mean(&s.cells[1])) && isnan(pl_series_mean(&s.cells[3])));
    pl_series_smooth(&s, 3, smooth);
    assert_true(smooth[0] == 1 && isnan(smooth[1]) && smooth[2] == 3 && isnan(smooth[3]));
    pl_series_smooth(&s, 5, smooth);
    assert_true(smooth[0] == 2 && smooth[2] == 3 && smooth[4] == 4);
    assert_true(pl_series_last(&s) == 5 && pl_series_mean_all(&s) == 3);
    pl_series_release(&s);
    assert_true(isnan(pl_series_last(&s)) && isnan(pl_series_mean_all(&s)));
    assert_null(pl_series_find(&s, 0));
}

static void steps_only_go_on(void **state)
{
    (void)state;
    struct pl_series s = {0};

    assert_int_equal(pl_series_add(&s, 5, 1), PL_OK);
    assert_int_equal(pl_series_add(&s, 5, 2), PL_EINVAL);
    assert_int_equal(pl_series_add(&s, 4, 2), PL_EINVAL);
    assert_int_equal(pl_series_add(&s, NAN, 2), PL_EINVAL);
    assert_int_equal(s.count, 1);
    assert_null(pl_series_find(&s, 4));
    assert_non_null(pl_series_find(&s, 5));
    pl_series_release(&s);
}

/* ---- lines ---- */

static void lines_are_whole_and_not_too_long(void **state)
{
    (void)state;
    enum { LONG = 200000 };
    const char *path = pl_scratch("lines");
    char *text = malloc(LONG + 64), *end = text;
    const char *line;
    struct pl_lines lines;
    size_t len;

    end += sprintf(end, "one\n\n");
    memset(end, 'x', LONG);
    end += LONG;
    end += sprintf(end, "\ntwo\ntorn");
    pl_scratch_write(path, text, (size_t)(end - text));
    free(text);
    assert_int_equal(pl_lines_open(path, 1000, &lines, NULL), PL_OK);
    assert_int_equal(pl_lines_next(&lines, &line, &len, NULL), 1);
    assert_string_equal(line, "one");
    assert_int_equal(pl_lines_next(&lines, &line, &len, NULL), 1);
    assert_int_equal(len, 0);
    assert_int_equal(pl_lines_next(&lines, &line, &len, NULL), 1);
    assert_string_equal(line, "two"); /* what is too long is passed over */
    assert_int_equal(pl_lines_next(&lines, &line, &len, NULL), PL_OK);
    assert_int_equal(lines.too_long, 1);
    assert_true(lines.torn);
    assert_in_range(lines.line.cap, 1, 4096);
    pl_lines_close(&lines);
    assert_int_equal(pl_lines_open(pl_scratch("nowhere"), 10, &lines, NULL), PL_ENOENT);
    pl_lines_close(&lines);
}

/* ---- folders ---- */

static const struct pl_run_story_opts opts = {.picks = 2, .seed = 1};
static struct pl_run_story story;
static struct pl_error err;

static const char *fresh(const char *name)
{
    const char *dir = pl_scratch(name);

    assert_int_equal(pl_dir_remove(dir, NULL) == PL_OK || !pl_path_exists(dir), 1);
    assert_int_equal(pl_dir_make(dir, NULL), PL_OK);
    return dir;
}

static void put(const char *dir, const char *name, const char *text)
{
    pl_scratch_text(pl_scratch_in(dir, name), text);
}

static void read_it(const char *dir)
{
    const int rc = pl_run_story_read(dir, &opts, &story, &err);

    if (rc < 0)
        fail_msg("%s", err.text);
}

static double last(const char *name, bool eval)
{
    const struct pl_series *s = pl_run_story_metric(&story, name, eval);

    return s ? pl_series_last(s) : -999.0;
}

static void a_folder_that_is_no_run_is_refused(void **state)
{
    (void)state;
    assert_int_equal(pl_run_story_read(fresh("none"), &opts, &story, &err), PL_ENOENT);
    pl_assert_says(&err, "'$/none' is not the folder of a run: it has neither config.yaml nor "
                         "metrics.jsonl");
}

static void little_is_enough(void **state)
{
    (void)state;
    const char *dir = fresh("little");

    put(dir, "config.yaml", "run.name: demo\n");
    read_it(dir);
    assert_string_equal(pl_run_story_name(&story), "demo");
    assert_int_equal(story.metric_count, 0);
    assert_true(isnan(story.last_step) && isnan(story.best_step) && !story.finished);
    assert_true(!story.train && !story.eval);
    pl_run_story_release(&story);

    dir = fresh("bare");
    put(dir, "metrics.jsonl", "");
    read_it(dir);
    assert_string_equal(pl_run_story_name(&story), "bare");
    assert_string_equal(pl_run_story_setting(&story, "run.seed"), "");
    assert_non_null(strstr(story.settings_why, "config.yaml"));
    pl_run_story_release(&story);
}

static void broken_lines_are_passed_over(void **state)
{
    (void)state;
    const char *dir = fresh("broken");

    put(dir, "metrics.jsonl",
        "{\"training/global_step\": 0, \"val-core/acc\": 0.25, \"a\": 7}\n"
        "{\"training/global_step\": 1, \"a\": 1, \"b\": null, \"text\": \"x\"}\n"
        "no JSON\n"
        "[1, 2]\n"
        "{\"a\": 5}\n"
        "{\"training/global_step\": \"2\", \"a\": 5}\n"
        "{\"training/global_step\": 1, \"a\": 6}\n"
        "\n"
        "{\"training/global_step\": 2, \"a\": 2, \"b\": 3.5}\n"
        "{\"training/global_step\": 3, \"a\": 3, \"b\"");
    read_it(dir);
    assert_true(last("a", false) == 2 && last("b", false) == 3.5); /* the torn one is none yet */
    assert_true(last("a", true) == 7 && last("val-core/acc", true) == 0.25); /* apart */
    assert_true(last("text", false) == -999.0 && last("training/global_step", false) == -999.0);
    assert_int_equal(story.passed_over, 6);
    assert_true(story.torn && story.last_step == 2);
    assert_true(isnan(pl_series_mean(&pl_run_story_metric(&story, "b", false)->cells[0])));
    pl_run_story_release(&story);
}

static void settings_are_read_as_they_stand(void **state)
{
    (void)state;
    const char *dir = fresh("settings");

    put(dir, "config.yaml",
        "# ---- Run ----\nrun: {name: \"a \\\"b\\\"\", seed: 3}\ndata.files: [x, y, z]\n"
        "data.val_files: []\nunknown.key: 1\n");
    read_it(dir);
    assert_string_equal(pl_run_story_name(&story), "a \"b\"");
    assert_string_equal(pl_run_story_setting(&story, "run.seed"), "3");
    assert_string_equal(pl_run_story_setting(&story, "data.files"), "[x, y, z]");
    assert_string_equal(pl_run_story_setting(&story, "unknown.key"), "1");
    assert_string_equal(story.settings_why, "");
    pl_run_story_release(&story);

    put(dir, "config.yaml", "run.name: \x01 bad \xFF\nrun.seed: 4\n- [\n"); /* no YAML at all */
    read_it(dir);
    assert_string_equal(pl_run_story_name(&story), "\x01 bad \xEF\xBF\xBD");
    assert_string_equal(pl_run_story_setting(&story, "run.seed"), "4");
    assert_non_null(strstr(story.settings_why, "config.yaml"));
    pl_run_story_release(&story);
}

#define SAMPLE(group, verdict, level, tokens)                                                      \
    "{\"group\": \"" group "\", \"verdict\": \"" verdict                                           \
    "\", \"source\": \"kk\", \"level\": \"" level "\", \"tokens\": " tokens "}\n"

static void the_last_rollouts_are_counted(void **state)
{
    (void)state;
    const char *dir = fresh("rollouts");
    char rollouts[512];
    const struct pl_rollout_level *level;

    put(dir, "metrics.jsonl", "{\"training/global_step\": 10, \"a\": 1}\n");
    snprintf(rollouts, sizeof rollouts, "%s", pl_scratch_in(dir, "rollouts"));
    assert_int_equal(pl_dir_make(rollouts, NULL), PL_OK);
    put(rollouts, "9.jsonl", SAMPLE("9:0", "right", "2", "5"));
    put(rollouts, "10.jsonl",
        SAMPLE("10:0", "right", "2", "5") SAMPLE("10:0", "wrong", "2", "7")
            SAMPLE("10:1", "none", "3", "9") SAMPLE("10:1", "none", "3", "99999"));
    put(rollouts, "e10.jsonl", SAMPLE("e10:0", "right", "2", "5") "broken\n");
    put(rollouts, "99.jsonl.tmp", "{}\n");
    put(rollouts, "x1.jsonl", "{}\n");
    read_it(dir);
    assert_int_equal(story.train_step, 10);
    assert_int_equal(story.eval_step, 10);
    level = &story.train->levels[0];
    assert_int_equal(level->samples, 4);
    assert_int_equal(level->tasks, 2);
    assert_int_equal(level->samples_max, 2);
    assert_int_equal(level->right, 1);
    pl_assert_close(level->square_sum, 0.25, 1e-12, 0);
    level = pl_rollout_file_level(story.train, "kk-3");
    assert_int_equal(level->samples, 2);
    assert_int_equal(level->tasks, 1);
    assert_null(pl_rollout_file_level(story.train, "kk-4"));
    assert_int_equal(story.train->lengths[1][5], 1);
    assert_int_equal(story.train->lengths[0][PL_ROLLOUT_LENGTHS - 1], 1);
    assert_int_equal(story.train->pick_count[1], 1);
    assert_int_equal(story.train->pick_count[0], 2); /* one of each task */
    assert_int_equal(story.eval->passed_over, 1);
    pl_run_story_release(&story);
}

static void rollouts_are_drawn_by_a_seed(void **state)
{
    (void)state;
    static struct pl_rollout_file a, b, c;
    struct pl_rollout_file *files[] = {&a, &b, &c};
    const uint64_t seeds[] = {1, 1, 2};
    bool same = true;

    for (size_t f = 0; f < 3; f++) {
        pl_rollout_file_init(files[f], 4, seeds[f]);
        for (int i = 0; i < 1000; i++) {
            char line[128];
            const int len =
                snprintf(line, sizeof line, "{\"group\": \"1:%d\", \"verdict\": \"%s\"}", i / 2,
                         i % 3 ? "wrong" : "right");

            assert_int_equal(pl_rollout_file_line(files[f], line, (size_t)len), PL_OK);
        }
        pl_rollout_file_end(files[f]);
        for (size_t k = 0; k < 2; k++) {
            assert_int_equal(files[f]->pick_count[k], 4);
            for (size_t i = 1; i < 4; i++)
                assert_true(files[f]->picks[k][i - 1].rank <= files[f]->picks[k][i].rank);
        }
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(a.picks[1][i].line, b.picks[1][i].line);
        assert_int_equal(a.picks[1][i].line % 3, 0);
        assert_int_not_equal(a.picks[0][i].line % 3, 0);
        same = same && a.picks[1][i].line == c.picks[1][i].line;
    }
    assert_false(same);
    for (size_t f = 0; f < 3; f++)
        pl_rollout_file_release(files[f]);
}

static void samples_may_be_anything(void **state)
{
    (void)state;
    static struct pl_rollout_file f;
    const char *lines[] = {"{}",
                           "[]",
                           "\"\xFF\"",
                           "{\"group\": 7, \"verdict\": [], \"tokens\": -1e300}",
                           "{\"group\": \"\xFF\", \"response\": \"\xC3\x28\", \"tokens\": 1e300}",
                           "{\"source\": \"\\u0000\", \"level\": null}"};

    pl_rollout_file_init(&f, 8, 0);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_int_equal(pl_rollout_file_line(&f, lines[i], strlen(lines[i])), PL_OK);
    pl_rollout_file_end(&f);
    assert_int_equal(f.lines, 6);
    assert_int_equal(f.passed_over, 3); /* U+0000 is in no text of ours */
    assert_int_equal(f.levels[0].samples, 3);
    assert_string_equal(pl_sample_text(f.picks[0][0].sample, "nothing"), "");
    pl_rollout_file_release(&f);
}

static void begin_end_and_best_are_found(void **state)
{
    (void)state;
    const char *dir = fresh("times");
    char at[512];

    put(dir, "metrics.jsonl", "");
    put(dir, "events.out.tfevents.1000000200.1.host.1", "");
    put(dir, "events.out.tfevents.1000000100.1.host.1", "");
    put(dir, "events.out.tfevents.nonsense", "");
    snprintf(at, sizeof at, "%s", pl_scratch_in(dir, "best"));
    assert_int_equal(pl_dir_make(at, NULL), PL_OK);
    put(at, "evaluation.json", "{\"step\": 20, \"accuracy\": 0.5}");
    read_it(dir);
    assert_true(story.began_s == 1000000100 && story.ended_s > 1000000200 && !story.finished);
    assert_true(story.best_step == 20 && story.best_accuracy == 0.5);
    pl_run_story_release(&story);
    snprintf(at, sizeof at, "%s", pl_scratch_in(dir, "model"));
    assert_int_equal(pl_dir_make(at, NULL), PL_OK);
    put(at, "config.json", "{}");
    read_it(dir);
    assert_true(story.finished);
    pl_run_story_release(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extremes_outlive_any_number_of_steps),
        cmocka_unit_test(gaps_stay_gaps),
        cmocka_unit_test(steps_only_go_on),
        cmocka_unit_test(lines_are_whole_and_not_too_long),
        cmocka_unit_test(a_folder_that_is_no_run_is_refused),
        cmocka_unit_test(little_is_enough),
        cmocka_unit_test(broken_lines_are_passed_over),
        cmocka_unit_test(settings_are_read_as_they_stand),
        cmocka_unit_test(the_last_rollouts_are_counted),
        cmocka_unit_test(rollouts_are_drawn_by_a_seed),
        cmocka_unit_test(samples_may_be_anything),
        cmocka_unit_test(begin_end_and_best_are_found),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
