/* The results of a reproduction: slices, claims that hold, fail or stay open, and the documents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "deploy/paper/results_page.h"
#include "deploy/view/sheet.h"
#include "tests/scratch.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pl_scale scale;
static struct pl_reproduce made;
static struct pl_error err;

static int setup(void **state)
{
    int rc = pl_scratch_setup(state);

    if (rc == 0) {
        pl_scratch_text(pl_scratch("small.yaml"),
                        "kk: {people: [2, 3, 4, 5], people_unseen: [6]}\nhops.hops: [2, 3]\n");
        assert_int_equal(pl_scale_load(pl_scratch("small.yaml"), &scale, &err), PL_OK);
        assert_int_equal(pl_dir_make(pl_scratch("evals"), &err), PL_OK);
        made = (struct pl_reproduce){
            .dir = pl_scratch(""), .scale = &scale, .seeds = {0, 1}, .seed_count = 2};
    }
    return rc;
}

static int teardown(void **state)
{
    pl_scale_release(&scale);
    return pl_scratch_teardown(state);
}

/* What an evaluation of 40 tasks of each size says: so many of 40 are right, by people; of the
 * others always half. The first answer comes after `first` of 100 tokens. */
static void measure(const char *name, const int right[4], int first)
{
    struct pl_buf buf;
    char path[256];

    pl_buf_init(&buf, 1 << 20);
    for (int size = 2; size <= 6; size++)
        for (int i = 0; i < 40; i++)
            pl_buf_printf(&buf,
                          "{\"source\": \"kk\", \"level\": \"%d\", \"tokens\": 100, "
                          "\"first_answer\": %d, \"steps\": 2, \"steps_right\": 1, \"verdict\": "
                          "\"%s\", \"format_ok\": true}\n",
                          size, first, i < (size < 6 ? right[size - 2] : 1) ? "right" : "wrong");
    for (int i = 0; i < 120; i++)
        pl_buf_printf(&buf,
                      "{\"source\": \"%s\", \"level\": \"%d\", \"tokens\": 50, \"first_answer\": "
                      "%d, \"steps\": 0, \"steps_right\": 0, \"verdict\": \"%s\", \"format_ok\": "
                      "true}\n",
                      i % 3 ? "hops" : "arith", 2 + i % 2, first / 2,
                      i % 4 < 2 ? "right" : "wrong");
    snprintf(path, sizeof path, "evals/%s.jsonl", name);
    pl_scratch_text(pl_scratch(path), buf.data);
    snprintf(path, sizeof path, "evals/%s.json", name);
    pl_scratch_text(pl_scratch(path), "{}\n");
    pl_buf_release(&buf);
}

static const struct pl_claim *claim_named(const struct pl_claim *claims, size_t count,
                                          const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(claims[i].name, name) == 0)
            return &claims[i];
    fail_msg("no claim '%s'", name);
    return NULL;
}

static void read_results(struct pl_results *results)
{
    if (pl_results_read(&made, results, &err) < 0)
        fail_msg("%s", err.text);
}

static void claims_are_judged_by_their_intervals(void **state)
{
    static const int think[4] = {30, 20, 10, 4}, inter[4] = {30, 20, 10, 4};
    static const int ir[4] = {32, 24, 22, 20}, worse[4] = {10, 5, 2, 1};
    struct pl_claim claims[PL_CLAIMS_MAX];
    struct pl_results results;
    size_t n;

    (void)state;
    for (int seed = 0; seed < 2; seed++) {
        char name[64];

        snprintf(name, sizeof name, "think-answer-%d", seed);
        measure(name, think, 80);
        snprintf(name, sizeof name, "interleave-%d", seed);
        measure(name, inter, 10);
        snprintf(name, sizeof name, "interleave-ir-%d", seed);
        measure(name, ir, 30);
    }
    measure("interleave-ir-partial-0", worse, 30);
    measure("interleave-ir-direct-0", ir, 30);
    read_results(&results);
    n = pl_claims(&results, claims);
    /* 1 - 10 / 80 */
    assert_true(fabs(claim_named(claims, n, "ttfa-cut")->figure.value - 0.875) < 1e-6);
    assert_int_equal(claim_named(claims, n, "ttfa-cut")->verdict, PL_CLAIM_HOLDS);
    /* 1 - 30 / 80 */
    assert_int_equal(claim_named(claims, n, "ttfa-cut-ir")->verdict, PL_CLAIM_FAILS);
    /* (2 + 4 + 12 + 16) / 160 on puzzles, of which a third counts in the average */
    assert_true(fabs(claim_named(claims, n, "ir-lifts-kk")->figure.value - 34.0 / 160) < 1e-6);
    assert_true(fabs(claim_named(claims, n, "ir-lifts")->figure.value - 34.0 / 480) < 1e-6);
    assert_int_equal(claim_named(claims, n, "ir-lifts-kk")->verdict, PL_CLAIM_HOLDS);
    assert_true(fabs(claim_named(claims, n, "equal-accuracy")->figure.value) < 1e-9);
    assert_int_equal(claim_named(claims, n, "equal-accuracy")->verdict, PL_CLAIM_HOLDS);
    /* 28 of 80 less 6 of 80 */
    assert_true(fabs(claim_named(claims, n, "ir-harder")->figure.value - 22.0 / 80) < 1e-6);
    assert_int_equal(claim_named(claims, n, "conditional-over-direct")->verdict, PL_CLAIM_FAILS);
    assert_int_equal(claim_named(claims, n, "delayed-loses")->verdict, PL_CLAIM_NOT_RUN);
    pl_results_release(&results);
}

static void nothing_measured_is_no_error(void **state)
{
    struct pl_claim claims[PL_CLAIMS_MAX];
    struct pl_results results;
    struct pl_reproduce none = made;
    size_t n;

    (void)state;
    none.dir = pl_scratch("none");
    assert_int_equal(pl_dir_make(none.dir, &err), PL_OK);
    assert_int_equal(pl_results_read(&none, &results, &err), PL_OK);
    n = pl_claims(&results, claims);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(claims[i].verdict, PL_CLAIM_NOT_RUN);
    assert_int_equal(pl_results_write(&results, &err), PL_OK);
    pl_results_release(&results);
}

/* An evaluation of other tasks cannot be compared. */
static void rows_must_have_answered_the_same_tasks(void **state)
{
    struct pl_results results;

    (void)state;
    pl_scratch_text(
        pl_scratch("evals/delayed-0.jsonl"),
        "{\"source\": \"kk\", \"level\": \"2\", \"tokens\": 1, \"first_answer\": 0, "
        "\"steps\": 0, \"steps_right\": 0, \"verdict\": \"right\", \"format_ok\": true}\n");
    pl_scratch_text(pl_scratch("evals/delayed-0.json"), "{}\n");
    assert_int_equal(pl_results_read(&made, &results, &err), PL_EFORMAT);
    pl_assert_says(&err, "'$/evals': row 'delayed' has answered 1 tasks, others 320");
    assert_int_equal(remove(pl_scratch("evals/delayed-0.json")), 0); /* not measured to the end */
    read_results(&results);
    assert_int_equal(pl_results_row(&results, "delayed")->count, 0);
    pl_results_release(&results);
}

static void documents_say_it(void **state)
{
    struct pl_results results;
    char *text, *page;
    json_t *json;
    size_t len;

    (void)state;
    read_results(&results);
    assert_int_equal(pl_results_write(&results, &err), PL_OK);
    pl_results_release(&results);
    text = pl_scratch_read(pl_scratch("results.md"), &len);
    assert_non_null(strstr(text, "| Interleaving brings the first answer at least 80 % earlier. | "
                                 "holds | 87.5 % | 87.5 to 87.5 % |"));
    assert_non_null(strstr(text, "![Pass@1](plots/methods-pass.svg)\n"));
    assert_non_null(strstr(text, "| think-answer | 2 | 0.400 ("));
    assert_non_null(strstr(text, "0.342 / 0.819"));
    /* of two steps one is right: of no right response all */
    assert_non_null(
        strstr(text, "| interleave | 100.0 | 100.0 | 100.0 | 10.0 | 1.000 | 0.500 | 0.000 |"));
    free(text);
    text = pl_scratch_read(pl_scratch("plots/methods-pass.svg"), &len);
    assert_non_null(strstr(text, "class=\"plot lonely\""));
    assert_non_null(strstr(text, "published"));
    free(text);
    json = json_load_file(pl_scratch("results.json"), 0, NULL);
    assert_non_null(json);
    double pass = 0.0;
    assert_int_equal(json_unpack(json, "{s:{s:{s:{s:{s:F}}}}}", "rows", "interleave-ir", "kk",
                                 "pass_at_1", "value", &pass),
                     0);
    assert_true(fabs(pass - 98.0 / 160) < 1e-5);
    json_decref(json);
    page = pl_scratch_read(pl_scratch("results.html"), &len);
    assert_non_null(strstr(page, "<svg"));
    free(page);
}

static void a_sheet_escapes_what_would_end_a_cell(void **state)
{
    struct pl_sheet sheet;
    struct pl_buf buf;

    (void)state;
    pl_buf_init(&buf, 4096);
    pl_sheet_init(&sheet, "s", "Sheet", "About.");
    pl_sheet_column(&sheet, "name");
    pl_sheet_column(&sheet, "%d", 7);
    pl_sheet_cell(&sheet, "a|b");
    pl_sheet_cell(&sheet, "%.1f", 0.25);
    assert_int_equal(pl_sheet_markdown(&sheet, &buf), PL_OK);
    assert_string_equal(buf.data, "## Sheet\n\nAbout.\n\n| name | 7 |\n|---|---:|\n"
                                  "| a\\|b | 0.2 |\n\n");
    pl_sheet_release(&sheet);
    pl_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_are_judged_by_their_intervals),
        cmocka_unit_test(nothing_measured_is_no_error),
        cmocka_unit_test(rows_must_have_answered_the_same_tasks),
        cmocka_unit_test(documents_say_it),
        cmocka_unit_test(a_sheet_escapes_what_would_end_a_cell),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
