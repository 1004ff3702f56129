/* The grid of a reproduction: rows and recipes go together, and published figures are those of the
 * paper's tables, set by set, as they were typed in here once more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/run_conf.h"
#include "deploy/paper/grid.h"
#include "tests/close.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void names_are_found(void **state)
{
    (void)state;
    assert_true(pl_grid_count > 10);
    for (size_t i = 0; i < pl_grid_count; i++) {
        assert_ptr_equal(pl_grid_named(pl_grid[i].name), &pl_grid[i]); /* the first: unique */
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(pl_grid[k].title, pl_grid[i].title);
        assert_true(pl_grid[i].tables != 0);
    }
    assert_null(pl_grid_named("interleave-i"));
    assert_null(pl_grid_named(""));
}

static void every_trained_row_has_a_recipe(void **state)
{
    const char *source = getenv("PLAIT_TEST_SOURCE");
    size_t trained = 0;

    (void)state;
    if (!source) {
        print_message("skipped: PLAIT_TEST_SOURCE does not name the sources\n");
        skip();
    }
    for (size_t i = 0; i < pl_grid_count; i++) {
        char *const assigned[] = {(char *)"run.dir=d", (char *)"model.path=m",
                                  (char *)"data.train_files=a"};
        struct pl_run_conf conf;
        struct pl_error err = {0};
        char path[1024];

        if (pl_grid[i].kind != PL_GRID_TRAIN)
            continue;
        snprintf(path, sizeof path, "%s/deploy/recipes/small/%s.yaml", source, pl_grid[i].name);
        if (pl_run_conf_load(path, assigned, 3, &conf, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(conf.method, pl_grid[i].method);
        assert_string_equal(conf.name, pl_grid[i].name);
        pl_run_conf_release(&conf);
        trained++;
    }
    assert_true(trained >= 12);
}

static void seeds_are_for_the_main_table(void **state)
{
    static const char *const every[] = {"think-answer", "interleave", "interleave-ir"};
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < pl_grid_count; i++)
        n += pl_grid_every_seed(&pl_grid[i]);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(pl_grid_every_seed(pl_grid_named(every[i])));
}

/* ---- published ---- */

/* Pass@1 and ttfa of K&K, MuSiQue, GPQA, MMLU, MATH and their average; ttfa 0: none. */
static const struct {
    const char *name;
    double pass[6], ttfa[6];
} paper[] = {
    {"direct", {.060, .115, .051, .081, .278, .117}, {0}},
    {"cot", {.097, .195, .066, .167, .308, .167}, {0}},
    {"sft", {.223, .290, .046, .112, .263, .187}, {0}},
    {"think-answer", {.342, .675, .328, .434, .323, .420}, {.819, .763, .929, .913, .952, .875}},
    {"interleave", {.357, .700, .308, .429, .288, .416}, {.118, .210, .181, .189, .163, .172}},
    {"interleave-ir", {.533, .710, .489, .460, .313, .501}, {.132, .155, .192, .211, .157, .169}},
};

/* Only an average. */
static const struct {
    const char *name;
    double pass, ttfa; /* 0: none */
} averages[] = {
    {"interleave-ir-direct", .392, 0},
    {"interleave-ir-partial", .478, 0},
    {"interleave-ir-all", .489, 0},
    {"delayed", .317, .806},
    {"delayed-ir", .331, .811},
    {"interleave-ir-ppo", .501, .169},
    {"interleave-ir-reinforce-plus-plus", .486, .161},
};

static void assert_published(const char *name, int where, double got, double want)
{
    if (want > 0.0 ? !(fabs(got - want) < 1e-9) : !isnan(got))
        fail_msg("%s, place %d: published is %g, not %g", name, where, got, want);
}

static void published_figures_are_the_papers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof paper / sizeof *paper; i++) {
        const struct pl_grid_row *row = pl_grid_named(paper[i].name);
        const double *kinds[] = {paper[i].pass, paper[i].ttfa};

        assert_non_null(row);
        assert_true(row->tables & PL_GRID_MAIN);
        for (int k = 0; k < 2; k++) {
            const double *p = kinds[k];
            double got[PL_GRID_WHERES], mean = 0.0;

            for (int w = 0; w < PL_GRID_WHERES; w++)
                got[w] = k == 0 ? row->published[w].pass : row->published[w].ttfa;
            assert_published(row->name, PL_GRID_KK, got[PL_GRID_KK], p[0]);
            assert_published(row->name, PL_GRID_HOPS, got[PL_GRID_HOPS], p[1]);
            assert_published(row->name, PL_GRID_UNSEEN, got[PL_GRID_UNSEEN],
                             (p[2] + p[3] + p[4]) / 3);
            assert_published(row->name, PL_GRID_ALL, got[PL_GRID_ALL], p[5]);
            for (int set = 0; set < 5; set++)
                mean += p[set] / 5;
            pl_assert_close(mean, p[5], 0.00051, 0); /* as it is rounded */
            if (p[5] > 0.0)
                pl_assert_close((got[PL_GRID_KK] + got[PL_GRID_HOPS] + 3 * got[PL_GRID_UNSEEN]) / 5,
                                got[PL_GRID_ALL], 0.00051, 0);
        }
    }
    for (size_t i = 0; i < sizeof averages / sizeof *averages; i++) {
        const struct pl_grid_row *row = pl_grid_named(averages[i].name);

        assert_non_null(row);
        for (int w = 0; w < PL_GRID_ALL; w++)
            assert_true(isnan(row->published[w].pass) && isnan(row->published[w].ttfa));
        assert_published(row->name, PL_GRID_ALL, row->published[PL_GRID_ALL].pass,
                         averages[i].pass);
        assert_published(row->name, PL_GRID_ALL, row->published[PL_GRID_ALL].ttfa,
                         averages[i].ttfa);
    }
}

/* A row that is in neither list above has none; all are shares. */
static void others_are_not_published(void **state)
{
    const size_t known = sizeof paper / sizeof *paper + sizeof averages / sizeof *averages;
    size_t without = 0;

    (void)state;
    for (size_t i = 0; i < pl_grid_count; i++) {
        const struct pl_grid_published *p = pl_grid[i].published;
        bool any = false;

        for (int w = 0; w < PL_GRID_WHERES; w++) {
            assert_true(isnan(p[w].pass) || (p[w].pass > 0.0 && p[w].pass < 1.0));
            assert_true(isnan(p[w].ttfa) || (p[w].ttfa > 0.0 && p[w].ttfa < 1.0));
            any = any || !isnan(p[w].pass) || !isnan(p[w].ttfa);
        }
        without += !any;
        assert_true(any || pl_grid[i].tables == PL_GRID_BEYOND);
    }
    assert_int_equal(without + known, pl_grid_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(every_trained_row_has_a_recipe),
        cmocka_unit_test(seeds_are_for_the_main_table),
        cmocka_unit_test(published_figures_are_the_papers),
        cmocka_unit_test(others_are_not_published),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
