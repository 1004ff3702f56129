/*
 * Answers made to hurt: a megabyte of anything, deep nesting, expressions that explode. They are no
 * answer or a wrong one, found out within the allowance of arithmetic (which counts words, not
 * time) and within a small stack.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "rewarder/math_same.h"
#include "rewarder/reward.h"
#include "rewarder/verify.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEGABYTE = 1 << 20, STACK_BYTES = 1 << 20, SLACK = PL_MATH_WORK_MAX / 10 };

static enum pl_verdict judge(const char *truth, const char *answer, size_t len)
{
    const struct pl_task task = {.id = "t", .final = {.answer = truth}};

    return pl_verify_final(&pl_verify_math, &task, answer, len);
}

/* `head`, then `part` again and again, in a megabyte without a NUL behind it, and `tail` at its
 * end.
 */
static char *repeated(const char *head, const char *part, const char *tail)
{
    const size_t head_len = strlen(head), part_len = strlen(part), tail_len = strlen(tail);
    char *text = malloc(MEGABYTE);

    assert_non_null(text);
    memcpy(text, head, head_len);
    for (size_t i = head_len; i < MEGABYTE; i++)
        text[i] = part[(i - head_len) % part_len];
    memcpy(text + MEGABYTE - tail_len, tail, tail_len);
    return text;
}

static void a_megabyte_is_read_or_refused(void **state)
{
    static const struct {
        const char *head, *part, *tail;
        enum pl_verdict verdict;
    } texts[] = {
        {"", "{", "", PL_VERDICT_UNPARSED},
        {"", "}", "", PL_VERDICT_UNPARSED},
        {"", "{}", "", PL_VERDICT_UNPARSED},
        {"", "(", "", PL_VERDICT_UNPARSED},
        {"", "\\", "", PL_VERDICT_UNPARSED},
        {"", "\\{", "", PL_VERDICT_UNPARSED},
        {"", "$", "", PL_VERDICT_UNPARSED},
        {"", "*", "", PL_VERDICT_UNPARSED},
        {"", " ", "", PL_VERDICT_UNPARSED},
        {"", "a", "", PL_VERDICT_UNPARSED},
        {"", "9", "", PL_VERDICT_UNPARSED},
        {"", "#", "", PL_VERDICT_UNPARSED},
        {"5", ".", "", PL_VERDICT_UNPARSED},
        {"", "\\frac", "", PL_VERDICT_UNPARSED},
        {"", "\\sqrt{", "", PL_VERDICT_UNPARSED},
        {"", "\\boxed", "", PL_VERDICT_UNPARSED},
        {"", "\\boxed{", "", PL_VERDICT_UNPARSED},
        {"", "\\boxed{1", "}}}}", PL_VERDICT_WRONG},
        {"", "\\boxed ", "", PL_VERDICT_WRONG},
        {"", "\\boxed   ", "\\boxed   5", PL_VERDICT_RIGHT},
        {"\\boxed{", "{x}", "}", PL_VERDICT_UNPARSED},
        {"\\boxed{", " ", "5}", PL_VERDICT_RIGHT},
        {"\\boxed{", "{", "}", PL_VERDICT_UNPARSED},
        {"", "the answer is ", "", PL_VERDICT_WRONG},
        {"the answer is ", " ", "5", PL_VERDICT_RIGHT},
        {"", "anansanswanswe", "", PL_VERDICT_UNPARSED},
        {"", "\\boxed{4}", "\\boxed{5}", PL_VERDICT_RIGHT},
        {"", "####6\n", "####5\n", PL_VERDICT_RIGHT},
        {"\\boxed{5}", "\\text{", "", PL_VERDICT_RIGHT},
        {"", "\\begin{pmatrix}", "", PL_VERDICT_UNPARSED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *text = repeated(texts[i].head, texts[i].part, texts[i].tail);
        const enum pl_verdict verdict = judge("5", text, MEGABYTE);

        if (verdict != texts[i].verdict)
            fail_msg("verdict %d on '%s' and '%s', again and again", (int)verdict, texts[i].head,
                     texts[i].part);
        free(text);
    }
}

/* An answer made of `count` times `part`, then `middle`, then as often `close`. */
struct bomb {
    const char *part, *middle, *close;
    int count;
};

static const struct bomb bombs[] = {
    {"2^{", "2", "}", 20},
    {"\\sqrt{x+", "1", "}", 19},
    {"\\sqrt[3]{2+", "1", "}", 19},
    {"\\frac{1}{x+", "x", "}", 19},
    {"\\frac{1}{1+\\frac{x}{y", "", "}}+z", 9},
    {"(a+b+c+d)", "^9", "", 60},
    {"(x_1+y_1+2)(x_2+y_2+3)", "", "", 12},
    {"(1+\\sqrt{2})(1+\\sqrt{3})(1+\\sqrt{5})(1+\\sqrt{7})", "", "", 9},
    {"(1+\\sqrt{a+b})(1+\\sqrt{b+c})(1+\\sqrt{c+a})", "", "", 9},
    {"|a+b+c+d|", "", "", 30},
    {"\\frac{x}{y+z}+\\frac{y}{z+x}+", "1", "", 9},
    {"\\sqrt{1000003000000700000021}+", "1", "", 40},
    {"\\ln(1000003000000700000021)", "", "", 40},
    {"\\sqrt{\\ln(x+y+", "1", ")}", 9},
    {"1000!+", "1", "", 60},
    {"\\binom{1000}{500}+", "1", "", 40},
    {"9^{9^{9", "", "}}", 2},
    {"100000^{100000}", "", "", 20},
    {"e^{x+y+z+", "1", "}", 19},
    {"\\pm 1, ", "1", "", 23},
    {"1\\pm ", "1", "", 200},
    {"\\{1,2,3,", "4", "\\}", 20},
    {"((x+y)^2,", "1", ")", 20},
    {"1<", "2", "", 100},
    {"1=", "1", "", 200},
    {"5\\text{ cm/", "s", "}", 60},
    {"9999999999999999999999999999.5+", "1", "", 40},
    {"\\frac{1}{9999999967}+\\frac{1}{9999999943}+\\frac{1}{9999999929}+", "1", "", 20},
    {"(\\frac{x}{7}+\\frac{1}{3})^{32}(\\frac{x}{5}+\\frac{1}{2})^{32}", "(x+1)^{40}", "", 1},
    {"(x+1)^{64}(x+2)^{64}", "", "", 1},
    {"1=1<", "2", "", 100},
    {"(1=", "1", ")", 20},
    {"-", "1", "", 1000},
    {"(", "1", ")", 900},
    {"{", "1", "}", 60},
    {"|", "1", "|", 61},
};

static void write_bomb(const struct bomb *b, char *ret)
{
    char *at = ret;

    for (int i = 0; i < b->count; i++)
        at += strlen(strcpy(at, b->part));
    at += strlen(strcpy(at, b->middle));
    for (int i = 0; i < b->count; i++)
        at += strlen(strcpy(at, b->close));
}

struct reading {
    struct pl_math_tokens tokens;
    struct pl_math_tree tree;
};

static int read_text(const char *text, struct reading *ret)
{
    const int rc = pl_math_tokens_read(text, strlen(text), false, &ret->tokens);

    return rc < 0 ? rc : pl_math_tree_read(&ret->tokens, &ret->tree);
}

/* The arithmetic that comparing two texts took; 0: they have no trees. */
static uint64_t work_of(const char *a, const char *b)
{
    static struct reading x, y;
    static struct pl_math_room room;

    if (read_text(a, &x) < 0 || read_text(b, &y) < 0)
        return 0;
    pl_math_room_clear(&room);
    (void)pl_math_same(&room, &x.tree, &y.tree);
    return room.work;
}

static void bombs_stay_within_the_allowance(void **state)
{
    static char text[1 << 16], other[1 << 16];
    static struct pl_math_tokens tokens;
    uint64_t most = 0;

    (void)state;
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++)
        for (size_t k = 0; k <= sizeof bombs / sizeof *bombs; k++) {
            write_bomb(&bombs[i], text);
            strcpy(other, "5");
            if (k < sizeof bombs / sizeof *bombs)
                write_bomb(&bombs[k], other);
            const uint64_t work = work_of(text, other);

            most = work > most ? work : most;
            if (work > PL_MATH_WORK_MAX + SLACK)
                fail_msg("comparing '%.60s' and '%.60s' took %llu words", text, other,
                         (unsigned long long)work);
            if (pl_math_tokens_read(text, strlen(text), false, &tokens) == PL_OK)
                assert_int_equal(judge(text, text, strlen(text)), PL_VERDICT_RIGHT);
            if (k != i && strcmp(text, other) != 0 && k == sizeof bombs / sizeof *bombs)
                assert_int_not_equal(judge(other, text, strlen(text)), PL_VERDICT_RIGHT);
        }
    print_message("the most arithmetic for a pair: %llu words\n", (unsigned long long)most);
}

/* Many elements that are each costly, and differ from all others: the allowance ends it, and what
 * could not be found out is not right. */
static void the_allowance_ends_what_would_take_long(void **state)
{
    static char one[4096], two[4096];
    char part[100];
    int len_one = 0, len_two = 0;

    (void)state;
    for (int i = 0; i < 22; i++) {
        snprintf(part, sizeof part, "%s(x+y+z+%d)^8", i ? "," : "", i);
        len_one += (int)strlen(strcpy(one + len_one, part));
        snprintf(part, sizeof part, "%s(x+y-z+%d)^8", i ? "," : "", 40 - i);
        len_two += (int)strlen(strcpy(two + len_two, part));
    }
    assert_in_range(work_of(one, two), PL_MATH_WORK_MAX, PL_MATH_WORK_MAX + SLACK);
    assert_int_equal(judge(one, two, (size_t)len_two), PL_VERDICT_WRONG);
    assert_int_equal(judge(one, one, (size_t)len_one), PL_VERDICT_RIGHT);
}

/* One allowance for all aliases together: what is the same but for its spelling is found before it
 * is spent, not behind. Spelled the same it is always found. */
static void aliases_share_the_allowance(void **state)
{
    static const char costly[] = "(x+y+z+w)^5(x+2y)^3", turned[] = "(y+x+w+z)^5(2y+x)^3";
    const char *aliases[PL_TASK_ALIASES_MAX];
    const struct pl_task task = {
        .final = {.answer = "5", .aliases = aliases, .alias_count = PL_TASK_ALIASES_MAX}};
    const size_t last = PL_TASK_ALIASES_MAX - 1;

    (void)state;
    assert_in_range(work_of(costly, turned), PL_MATH_WORK_MAX / 60, PL_MATH_WORK_MAX / 2);
    for (size_t i = 0; i <= last; i++)
        aliases[i] = "(x+y+z-w)^5(x-2y)^3";
    assert_int_equal(pl_verify_final(&pl_verify_math, &task, costly, strlen(costly)),
                     PL_VERDICT_WRONG);
    aliases[0] = turned;
    assert_int_equal(pl_verify_final(&pl_verify_math, &task, costly, strlen(costly)),
                     PL_VERDICT_RIGHT);
    aliases[0] = aliases[1];
    aliases[last] = turned;
    assert_int_equal(pl_verify_final(&pl_verify_math, &task, costly, strlen(costly)),
                     PL_VERDICT_WRONG);
    aliases[last] = costly;
    assert_int_equal(pl_verify_final(&pl_verify_math, &task, costly, strlen(costly)),
                     PL_VERDICT_RIGHT);
}

/* ---- whole responses ---- */

enum { RESPONSE_MAX = 1 << 16 };

static uint64_t work_of_response(const struct pl_task *task, const char *text,
                                 struct pl_score *ret_score)
{
    static struct pl_reward_room room;
    static size_t ends[RESPONSE_MAX];
    struct pl_reward_opts opts = PL_REWARD_DEFAULTS;
    const size_t len = strlen(text);
    uint64_t work;

    assert_true(len <= RESPONSE_MAX);
    for (size_t i = 0; i < len; i++)
        ends[i] = i + 1;
    assert_int_equal(pl_judge_create(&opts.judge), PL_OK);
    assert_int_equal(pl_judge_task(opts.judge, &pl_verify_math, task), PL_OK);
    assert_int_equal(pl_reward_score(&opts, task, PL_METHOD_INTERLEAVE, text, len, ends, len, &room,
                                     ret_score, NULL),
                     PL_OK);
    work = pl_judge_work(opts.judge);
    pl_judge_destroy(opts.judge);
    return work;
}

/* 125 answers against 64 truths of 8 aliases each: what each comparison was allowed once, and took
 * 20 s in all, is allowed once for all of them. */
static void answers_of_a_response_share_an_allowance(void **state)
{
    enum { STEPS = 64, ALIASES = 8, ANSWERS = 125 };
    static char texts[STEPS][ALIASES + 1][64], response[RESPONSE_MAX];
    static const char *aliases[STEPS][ALIASES];
    static struct pl_truth steps[STEPS];
    const struct pl_task task = {.id = "t",
                                 .source = "s",
                                 .question = "q",
                                 .verifier = "math",
                                 .final = {.answer = "7"},
                                 .steps = steps,
                                 .step_count = STEPS};
    struct pl_score score;
    size_t len = 0, compared = 0;
    uint64_t work;

    (void)state;
    for (size_t i = 0; i < STEPS; i++) {
        for (size_t k = 0; k <= ALIASES; k++)
            snprintf(texts[i][k], sizeof texts[i][k], "(x+%zuy+%zuz+1)^{12}", i + 2, k + 2);
        for (size_t k = 0; k < ALIASES; k++)
            aliases[i][k] = texts[i][k + 1];
        steps[i] = (struct pl_truth){texts[i][0], aliases[i], ALIASES};
    }
    for (size_t i = 0; i < ANSWERS; i++) /* the last that is compared is right, as it is spelled */
        len += (size_t)snprintf(
            response + len, sizeof response - len, "<think></think><answer>%s</answer>",
            i == PL_REWARD_ANSWERS_MAX - 1 || i == ANSWERS - 1 ? texts[i == ANSWERS - 1][3]
                                                               : "(x+y+z+1)^{12}");
    snprintf(response + len, sizeof response - len, "<think></think><answer>7.0</answer>");
    work = work_of_response(&task, response, &score);
    assert_in_range(work, PL_MATH_WORK_MAX, 2 * (PL_MATH_WORK_MAX + SLACK) + strlen(response));
    assert_int_equal(score.verdict, PL_VERDICT_RIGHT); /* of an allowance of its own */
    assert_int_equal(score.steps_right, 1);
    for (size_t i = 0; i < score.segment_count; i++)
        compared += score.segments[i].kind == PL_SEGMENT_ANSWER &&
                    score.segments[i].verdict != PL_VERDICT_UNPARSED;
    assert_int_equal(compared, PL_REWARD_ANSWERS_MAX + 1);
    assert_int_equal(score.segments[2 * PL_REWARD_ANSWERS_MAX - 1].verdict, PL_VERDICT_RIGHT);
}

/* What an honest response needs is a small part of it, even of algebra in another spelling. */
static void an_honest_response_has_enough(void **state)
{
    static const char *const pairs[][2] = {
        {"x^2+2x+1", "(x+1)^2"},
        {"\\frac{1}{2}", "0.5"},
        {"\\sqrt{8}", "2\\sqrt2"},
        {"(1,\\infty)", "x>1"},
        {"\\{1,2,3\\}", "3, 2, 1"},
        {"\\frac{x^2-1}{x-1}", "x+1"},
        {"2x-y+1=0", "y=2x+1"},
        {"12\\text{ cm}", "12"},
        {"\\frac{3\\pi}{4}", "0.75\\pi"},
        {"\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
         "\\begin{pmatrix}1&\\sqrt4\\\\3&2^2\\end{pmatrix}"},
        {"(a+b)^3", "a^3+3a^2b+3ab^2+b^3"},
        {"1\\pm\\sqrt{5}", "1+\\sqrt5, 1-\\sqrt5"},
        {"\\frac{1}{1+\\sqrt{2}}", "\\sqrt{2}-1"},
        {"10!", "3628800"},
        {"e^{2x}", "e^x e^x"},
        {"x^4-y^4", "(x-y)(x+y)(x^2+y^2)"},
    };
    enum { STEPS = sizeof pairs / sizeof *pairs };
    static char response[RESPONSE_MAX];
    struct pl_truth steps[STEPS];
    const struct pl_task task = {.id = "t",
                                 .source = "s",
                                 .question = "q",
                                 .verifier = "math",
                                 .final = {.answer = "7"},
                                 .steps = steps,
                                 .step_count = STEPS};
    struct pl_score score;
    size_t len = 0;
    uint64_t work;

    (void)state;
    for (size_t i = 0; i < STEPS; i++) {
        steps[i] = (struct pl_truth){.answer = pairs[i][0]};
        len += (size_t)snprintf(response + len, sizeof response - len,
                                "<think></think><answer>%s</answer>", pairs[STEPS - 1 - i][1]);
    }
    snprintf(response + len, sizeof response - len, "<think></think><answer>7</answer>");
    work = work_of_response(&task, response, &score);
    print_message("an honest response: %llu words\n", (unsigned long long)work);
    assert_int_equal(score.steps_right, STEPS);
    assert_true(work < PL_MATH_WORK_MAX / 8);
}

static void *judge_all(void *arg)
{
    static const struct bomb nested[] = {
        {"((1,2),", "3", ")", 20},
        {"\\sqrt{x+", "1", "}", 19},
        {"\\{\\{1,2\\},", "3", "\\}", 20},
        {"\\frac{1}{x+", "x", "}", 19},
        {"2^{", "2", "}", 60},
        {"(", "1", ")", 900},
    };
    char text[8192], with_blanks[8200];
    int *wrong = arg;

    for (size_t i = 0; i < sizeof nested / sizeof *nested; i++) {
        write_bomb(&nested[i], text);
        snprintf(with_blanks, sizeof with_blanks, "+0+%s", text);
        *wrong += judge(text, text, strlen(text)) == PL_VERDICT_WRONG;
        *wrong += judge(text, with_blanks, strlen(with_blanks)) == PL_VERDICT_NONE;
    }
    return NULL;
}

static void a_small_stack_is_enough(void **state)
{
    pthread_t threads[2];
    pthread_attr_t attr;
    int wrong[2] = {0, 0};

    (void)state;
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstacksize(&attr, STACK_BYTES), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], &attr, judge_all, &wrong[i]), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(wrong[i], 0);
    }
    assert_int_equal(pthread_attr_destroy(&attr), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_megabyte_is_read_or_refused),
        cmocka_unit_test(bombs_stay_within_the_allowance),
        cmocka_unit_test(the_allowance_ends_what_would_take_long),
        cmocka_unit_test(aliases_share_the_allowance),
        cmocka_unit_test(answers_of_a_response_share_an_allowance),
        cmocka_unit_test(an_honest_response_has_enough),
        cmocka_unit_test(a_small_stack_is_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
