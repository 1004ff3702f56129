/* GSM8K's final numbers: each is right for itself however it is spelled, and wrong for all others.
 * Skipped where the data set is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/json.h"
#include "rewarder/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 16384, FILE_BYTES_MAX = 64 << 20, SOME = 12 };

struct row {
    char *solution;   /* the whole answer */
    const char *text; /* its final number, as it stands behind "####" */
    double value;
};

static struct row rows[ROWS_MAX];
static size_t row_count;

static enum pl_verdict judge(const char *truth, const char *answer)
{
    const struct pl_task task = {.id = "t", .final = {.answer = truth}};

    return pl_verify_final(&pl_verify_math, &task, answer, strlen(answer));
}

/* The number without its commas. */
static double value_of(const char *text)
{
    char plain[64];
    size_t len = 0;

    for (; *text && len + 1 < sizeof plain; text++)
        if (*text != ',')
            plain[len++] = *text;
    plain[len] = '\0';
    return strtod(plain, NULL);
}

static void add_row(const char *line, size_t len)
{
    struct row *row = &rows[row_count];
    json_t *root = NULL;
    const char *answer;

    assert_true(row_count < ROWS_MAX);
    assert_int_equal(pl_json_parse(line, len, "row", &root, NULL), 0);
    assert_int_equal(pl_json_string(root, "answer", "row", &answer, NULL), 0);
    row->solution = strdup(answer);
    assert_non_null(row->solution);
    row->text = strstr(row->solution, "#### ");
    assert_non_null(row->text);
    row->text += 5;
    row->value = value_of(row->text);
    row_count++;
    json_decref(root);
}

static int load(void **state)
{
    static const char *const names[] = {"test", "train"};
    const char *folder = getenv("PLAIT_TEST_DATA");

    (void)state;
    for (size_t i = 0; folder && i < 2; i++) {
        char path[4096], *data = NULL;
        size_t len = 0;

        snprintf(path, sizeof path, "%s/gsm8k/%s.jsonl", folder, names[i]);
        if (pl_file_read(path, FILE_BYTES_MAX, &data, &len, NULL) < 0)
            continue;
        for (const char *at = data, *end; (end = memchr(at, '\n', len - (size_t)(at - data)));
             at = end + 1)
            add_row(at, (size_t)(end - at));
        free(data);
    }
    return 0;
}

static int unload(void **state)
{
    (void)state;
    while (row_count > 0)
        free(rows[--row_count].solution);
    return 0;
}

static void need_rows(void)
{
    if (row_count > 0)
        return;
    print_message("skipped: there are no problems in PLAIT_TEST_DATA/gsm8k\n");
    skip();
}

/* With commas between its thousands. */
static void group(const char *digits, char *ret)
{
    const size_t len = strlen(digits), head = *digits == '-';

    for (size_t i = 0; i < len; i++) {
        if (i > head && (len - i) % 3 == 0)
            *ret++ = ',';
        *ret++ = digits[i];
    }
    *ret = '\0';
}

static void expect(enum pl_verdict want, const char *truth, const char *answer)
{
    if (judge(truth, answer) != want)
        fail_msg("'%s' for '%s' is not %s", answer, truth,
                 want == PL_VERDICT_RIGHT ? "right" : "wrong");
}

static void every_number_is_right_for_itself(void **state)
{
    static const char *const spellings[] = {"%s",
                                            "$%s",
                                            "\\$%s",
                                            "\\boxed{%s}",
                                            "$%s$",
                                            "%s.00",
                                            "$%s.00",
                                            "%s.",
                                            "x = %s",
                                            "#### %s",
                                            "%s apples",
                                            "\\frac{%s}{1}",
                                            "The answer is %s."};
    char plain[64], grouped[96], answer[160];

    (void)state;
    need_rows();
    for (size_t i = 0; i < row_count; i++) {
        const struct row *row = &rows[i];
        const bool whole = row->value == (double)(int64_t)row->value;

        snprintf(plain, sizeof plain, whole ? "%.0f" : "%.10g", row->value);
        group(plain, grouped);
        expect(PL_VERDICT_RIGHT, row->text, row->text);
        expect(PL_VERDICT_RIGHT, row->solution, plain);
        for (size_t k = i % 3; k < sizeof spellings / sizeof *spellings; k += 3) {
            if (!whole && strstr(spellings[k], "00"))
                continue;
            for (int commas = 0; commas < (whole ? 2 : 1); commas++) {
                const char *at = strchr(spellings[k], '%');

                snprintf(answer, sizeof answer, "%.*s%s%s", (int)(at - spellings[k]), spellings[k],
                         commas ? grouped : plain, at + 2);
                expect(PL_VERDICT_RIGHT, row->text, answer);
            }
        }
    }
    print_message("%zu numbers\n", row_count);
}

static void it_is_wrong_for_every_other(void **state)
{
    (void)state;
    need_rows();
    for (size_t i = 0; i < row_count; i++)
        for (size_t k = 1; k <= SOME; k++) {
            const struct row *a = &rows[i], *b = &rows[(i + k * k * k) % row_count];

            expect(a->value == b->value ? PL_VERDICT_RIGHT : PL_VERDICT_WRONG, a->text, b->text);
        }
}

static void every_solution_is_a_task(void **state)
{
    (void)state;
    need_rows();
    for (size_t i = 0; i < row_count; i++) {
        const struct pl_task task = {
            .id = "t", .verifier = "math", .final = {.answer = rows[i].solution}};

        assert_int_equal(pl_verifier_check(&task, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_is_right_for_itself),
        cmocka_unit_test(it_is_wrong_for_every_other),
        cmocka_unit_test(every_solution_is_a_task),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
