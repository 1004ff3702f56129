/*
 * Verifiers and the published rows of the sets they are for: every gold answer is right, every
 * alias, every gold intermediate answer; and the answers of other rows are wrong unless they are
 * the same by the verifier's rule, which is written down here a second time, plainly.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/rng.h"
#include "rewarder/verify.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 4096, STEPS_MAX = 8, ALIASES_MAX = 32, OTHERS = 10, FILE_MAX = 64 << 20 };

struct row {
    json_t *json; /* holds the texts */
    struct pl_task task;
    struct pl_truth steps[STEPS_MAX];
    const char *aliases[ALIASES_MAX];
    const char *choices[PL_TASK_CHOICES_MAX];
    char letter[2];
};

static struct row rows[ROWS_MAX];
static size_t row_count;

static const char *text_of(const json_t *obj, const char *key)
{
    const char *text = json_string_value(json_object_get(obj, key));

    assert_non_null(text);
    return text;
}

/* The file's rows, of which `fill` makes tasks (false: it is to be left out); else a skip. */
static void load(const char *name, bool (*fill)(struct row *row))
{
    const char *folder = getenv("PLAIT_TEST_DATA");
    char *path = pl_strf("%s/%s", folder ? folder : "", name), *data;
    struct pl_error err = {0};
    size_t len;

    row_count = 0;
    if (!folder || !pl_path_exists(path)) {
        print_message("skipped: there is no '%s'\n", path);
        free(path);
        skip();
    }
    if (pl_file_read(path, FILE_MAX, &data, &len, &err) < 0)
        fail_msg("%s", err.text);
    for (char *at = data, *end; at < data + len; at = end + 1) {
        struct row *row = &rows[row_count];

        end = memchr(at, '\n', (size_t)(data + len - at));
        end = end ? end : data + len;
        assert_true(row_count < ROWS_MAX);
        memset(row, 0, sizeof *row);
        if (pl_json_parse(at, (size_t)(end - at), path, &row->json, &err) < 0)
            fail_msg("%s", err.text);
        row->task.id = row->task.source = row->task.question = "";
        row->task.steps = row->steps;
        row->task.final.aliases = row->aliases;
        row->task.choices = row->choices;
        if (fill(row))
            row_count++;
        else
            json_decref(row->json);
    }
    free(data);
    free(path);
    assert_true(row_count > 0);
}

static void unload(void)
{
    for (size_t i = 0; i < row_count; i++)
        json_decref(rows[i].json);
    row_count = 0;
}

static enum pl_verdict final(const struct row *row, const char *answer)
{
    return pl_verify_final(pl_verifier_named(row->task.verifier), &row->task, answer,
                           strlen(answer));
}

static enum pl_verdict step(const struct row *row, size_t k, const char *answer)
{
    return pl_verify_step(pl_verifier_named(row->task.verifier), &row->task, &row->steps[k], answer,
                          strlen(answer));
}

static void expect_right(enum pl_verdict verdict, const char *answer)
{
    if (verdict != PL_VERDICT_RIGHT)
        fail_msg("'%s' is not right", answer);
}

/* Right exactly where the plain rule says that they are the same. */
static void expect_same(enum pl_verdict verdict, const char *truth, const char *answer, bool same)
{
    if (verdict != (same ? PL_VERDICT_RIGHT : PL_VERDICT_WRONG))
        fail_msg("'%s' where '%s' is true: verdict %d", answer, truth, (int)verdict);
}

/* Each row with some others, the same ones every time. */
static void each_other(void (*compare)(const struct row *row, const struct row *other))
{
    const struct pl_rng rng = {.seed = 5, .batch = (uint32_t)PL_RNG_TEST};
    uint32_t draw = 0;

    for (size_t i = 0; i < row_count; i++)
        for (size_t n = 0; n < OTHERS; n++)
            compare(&rows[i], &rows[pl_rng_below(&rng, draw++, row_count)]);
}

/* ---- em: MuSiQue ---- */

/* ASCII's letters in lower case and digits; words of a, an, the left out, others one blank apart.
 */
static void plain_form(const char *text, char form[1024])
{
    size_t len = 0, begin = 0;

    for (const char *at = text;; at++) {
        const unsigned char c = (unsigned char)*at;

        assert_true(len + 2 < 1024);
        if (c == '\0' || c == ' ') {
            form[len] = '\0';
            if (strcmp(form + begin, "a") == 0 || strcmp(form + begin, "an") == 0 ||
                strcmp(form + begin, "the") == 0)
                len = begin;
            else if (len > begin)
                form[len++] = ' ';
            begin = len;
        } else if (isalnum(c) || c >= 0x80) {
            form[len++] = (char)tolower(c);
        }
        if (c == '\0')
            break;
    }
    form[len] = '\0';
}

static bool plainly_same(const char *a, const char *b)
{
    char one[1024], other[1024];

    plain_form(a, one);
    plain_form(b, other);
    return strcmp(one, other) == 0;
}

static bool same_as_truth(const struct pl_truth *truth, const char *answer)
{
    for (size_t i = 0; i < truth->alias_count; i++)
        if (plainly_same(truth->aliases[i], answer))
            return true;
    return plainly_same(truth->answer, answer);
}

static bool fill_musique(struct row *row)
{
    const json_t *aliases = json_object_get(row->json, "answer_aliases");
    const json_t *steps = json_object_get(row->json, "question_decomposition");
    const size_t count = json_array_size(steps);

    row->task.verifier = "em";
    row->task.final.answer = text_of(row->json, "answer");
    row->task.final.alias_count = json_array_size(aliases);
    assert_true(row->task.final.alias_count <= ALIASES_MAX && count >= 2 && count <= STEPS_MAX);
    for (size_t i = 0; i < row->task.final.alias_count; i++)
        row->aliases[i] = json_string_value(json_array_get(aliases, i));
    for (size_t i = 0; i < count; i++)
        row->steps[i].answer = text_of(json_array_get(steps, i), "answer");
    row->task.step_count = count;
    return true;
}

static void compare_musique(const struct row *row, const struct row *other)
{
    const char *answer = other->task.final.answer;
    const size_t k = other->task.step_count % row->task.step_count;

    expect_same(final(row, answer), row->task.final.answer, answer,
                same_as_truth(&row->task.final, answer));
    answer = other->steps[0].answer;
    expect_same(step(row, k, answer), row->steps[k].answer, answer,
                plainly_same(row->steps[k].answer, answer));
}

static void musique(const char *file)
{
    load(file, fill_musique);
    for (size_t i = 0; i < row_count; i++) {
        const struct row *row = &rows[i];
        struct pl_error err = {0};

        if (pl_verifier_check(&row->task, &err) < 0)
            fail_msg("%s", err.text);
        expect_right(final(row, row->task.final.answer), row->task.final.answer);
        for (size_t k = 0; k < row->task.final.alias_count; k++)
            expect_right(final(row, row->aliases[k]), row->aliases[k]);
        for (size_t k = 0; k < row->task.step_count; k++)
            expect_right(step(row, k, row->steps[k].answer), row->steps[k].answer);
    }
    each_other(compare_musique);
    unload();
}

static void musique_of_3_and_4_hops(void **state)
{
    (void)state;
    musique("musique/full_3-4hop.jsonl");
}

static void musique_of_2_hops(void **state)
{
    (void)state;
    musique("musique/full_2hop.jsonl");
}

static void musique_decompositions(void **state)
{
    (void)state;
    musique("musique/dev_decompositions.jsonl");
}

/* ---- number: GSM8K, whose answers are whole numbers ---- */

static bool fill_gsm8k(struct row *row)
{
    row->task.verifier = "number";
    row->task.final.answer = text_of(row->json, "answer");
    return true;
}

/* What stands behind the mark of a worked answer. */
static const char *gsm8k_number(const struct row *row)
{
    const char *mark = strstr(row->task.final.answer, "#### ");

    assert_non_null(mark);
    return mark + 5;
}

static long long plain_number(const char *text)
{
    long long value = 0;

    for (const char *at = text; *at; at++)
        if (isdigit((unsigned char)*at))
            value = 10 * value + (*at - '0');
        else
            assert_true(*at == ',' || (*at == '-' && at == text));
    return *text == '-' ? -value : value;
}

static void compare_gsm8k(const struct row *row, const struct row *other)
{
    const char *truth = gsm8k_number(row), *answer = gsm8k_number(other);
    const bool same = plain_number(truth) == plain_number(answer);

    expect_same(final(row, answer), truth, answer, same);
    expect_same(final(row, other->task.final.answer), truth, answer, same);
}

static void gsm8k(void **state)
{
    (void)state;
    load("gsm8k/test.jsonl", fill_gsm8k);
    for (size_t i = 0; i < row_count; i++) {
        const char *number = gsm8k_number(&rows[i]);
        char text[128];
        struct pl_error err = {0};

        if (pl_verifier_check(&rows[i].task, &err) < 0)
            fail_msg("%s", err.text);
        expect_right(final(&rows[i], number), number);
        expect_right(final(&rows[i], rows[i].task.final.answer), number);
        snprintf(text, sizeof text, "The answer is $%lld.00.", plain_number(number));
        expect_right(final(&rows[i], text), text);
    }
    each_other(compare_gsm8k);
    unload();
}

/* ---- choice: MMLU-Redux, whose options are looked up by number ---- */

static bool fill_mmlu(struct row *row)
{
    const json_t *choices = json_object_get(row->json, "choices");
    const json_int_t answer = json_integer_value(json_object_get(row->json, "answer"));

    row->task.verifier = "choice";
    row->task.choice_count = json_array_size(choices);
    assert_int_equal(row->task.choice_count, 4);
    for (size_t i = 0; i < 4; i++) {
        row->choices[i] = json_string_value(json_array_get(choices, i));
        assert_non_null(row->choices[i]);
    }
    assert_in_range(answer, 0, 3);
    row->letter[0] = (char)('A' + answer);
    row->task.final.answer = row->letter;
    return true;
}

/* An option whose text is a letter, as in some questions of logic and algebra. */
static bool is_letter(const char *text)
{
    return strlen(text) == 1 && toupper((unsigned char)text[0]) >= 'A' &&
           toupper((unsigned char)text[0]) <= 'D';
}

/* Two options of one text; a full stop at the end makes no difference. */
static bool same_option(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);

    n -= n > 0 && a[n - 1] == '.';
    m -= m > 0 && b[m - 1] == '.';
    return n == m && memcmp(a, b, n) == 0;
}

/* The answers with option i of a row, by letter, by text and by both. */
static void choose(const struct row *row, size_t i)
{
    const size_t gold = (size_t)(row->letter[0] - 'A');
    const char letter = (char)('A' + (int)i), *text = row->choices[i];
    const bool same = same_option(text, row->choices[gold]);
    char answer[2048];

    snprintf(answer, sizeof answer, "(%c)", letter);
    expect_same(final(row, answer), row->letter, answer, i == gold);
    snprintf(answer, sizeof answer, "%c) %s", letter, text);
    expect_same(final(row, answer), row->letter, answer, i == gold);
    for (size_t k = 0; k < 4; k++) { /* a letter with another's text */
        snprintf(answer, sizeof answer, "%c) %s", (char)('A' + (int)k), text);
        if (!same_option(text, row->choices[k]) && final(row, answer) == PL_VERDICT_RIGHT)
            fail_msg("'%s' is right where '%s' is", answer, row->choices[gold]);
    }
    snprintf(answer, sizeof answer, " %s\n", text);
    if (is_letter(text) && toupper((unsigned char)text[0]) != letter) {
        assert_int_equal(final(row, answer), PL_VERDICT_UNPARSED);
        return;
    }
    expect_same(final(row, answer), row->letter, answer, same);
    snprintf(answer, sizeof answer, "The correct answer is %s", text);
    expect_same(final(row, answer), row->letter, answer, same);
}

/* Texts of another question's options. */
static void compare_mmlu(const struct row *row, const struct row *other)
{
    for (size_t i = 0; i < 4; i++) {
        const char *text = other->choices[i];
        bool known = strchr(text, '.') && strpbrk(text, "0123456789"); /* 0.60 is 0.6 */

        for (size_t k = 0; k < 4; k++)
            known = known || plainly_same(text, row->choices[k]);
        if (!known && strlen(text) > 1 && final(row, text) == PL_VERDICT_RIGHT)
            fail_msg("'%s' is right of a question that has it not", text);
    }
}

static void mmlu(void **state)
{
    (void)state;
    load("mmlu_redux/six_subjects.jsonl", fill_mmlu);
    for (size_t i = 0; i < row_count; i++) {
        struct pl_error err = {0};
        char letter[8];

        if (pl_verifier_check(&rows[i].task, &err) < 0)
            fail_msg("%s", err.text);
        for (size_t k = 0; k < 4; k++)
            choose(&rows[i], k);
        rows[i].task.final.answer = rows[i].choices[rows[i].letter[0] - 'A'];
        if (is_letter(rows[i].task.final.answer)) /* a truth of one letter is a letter */
            continue;
        if (pl_verifier_check(&rows[i].task, &err) < 0)
            fail_msg("%s", err.text);
        snprintf(letter, sizeof letter, "(%s)", rows[i].letter);
        expect_right(final(&rows[i], letter), letter);
    }
    each_other(compare_mmlu);
    unload();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(musique_of_3_and_4_hops),
        cmocka_unit_test(musique_of_2_hops),
        cmocka_unit_test(musique_decompositions),
        cmocka_unit_test(gsm8k),
        cmocka_unit_test(mmlu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
