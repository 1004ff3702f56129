/*
 * Chained arithmetic, solved again from its words alone, by trying every number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "deploy/tasks/arith.h"
#include "deploy/tasks/arith_answer.h"
#include "deploy/tasks/draws.h"
#include "tests/arith_naive.h"

#include <string.h>

enum { TEXT_BYTES_MAX = 1 << 16, SIZES = PL_ARITH_MAX - PL_ARITH_MIN + 1 };

static void ask(const struct pl_arith *arith, enum pl_wording wording, struct pl_buf *text)
{
    pl_buf_clear(text);
    assert_int_equal(pl_arith_question(arith, wording, text), PL_OK);
}

static void problems_have_one_answer(void **state)
{
    struct pl_buf text;

    (void)state;
    pl_buf_init(&text, TEXT_BYTES_MAX);
    for (uint32_t index = 0; index < 1400; index++) {
        const size_t ops = PL_ARITH_MIN + index % SIZES;
        struct pl_arith arith;

        pl_arith_draw(3, ops, index, &arith);
        assert_int_equal(arith.ops, ops);
        for (int wording = 0; wording < 2; wording++) {
            struct pl_naive_arith naive;

            ask(&arith, (enum pl_wording)wording, &text);
            if (!pl_naive_arith(text.data, &naive))
                fail_msg("not understood: %s", text.data);
            assert_int_equal(naive.solutions, 1);
            assert_int_equal(naive.count, ops);
            for (size_t i = 0; i < ops; i++)
                assert_int_equal(naive.known[i].value, arith.steps[i].result);
            assert_int_equal(naive.answer, arith.steps[ops - 1].result);
        }
    }
    pl_buf_release(&text);
}

/* All that a problem promises of its numbers; and each operation and each form comes. */
static void numbers_keep_their_bounds(void **state)
{
    size_t forms[PL_ARITH_OPS][2][2] = {{{0}}}, ops[PL_ARITH_OPS] = {0}, steps = 0;

    (void)state;
    for (uint32_t index = 0; index < 20000; index++) {
        struct pl_arith arith;

        pl_arith_draw(UINT64_MAX, PL_ARITH_MIN + index % SIZES, index, &arith);
        for (size_t i = 0; i < arith.ops; i++) {
            const struct pl_arith_step *step = &arith.steps[i];
            bool goes_on = i == 0;

            assert_in_range(step->result, PL_ARITH_VALUE_MIN, PL_ARITH_VALUE_MAX);
            for (size_t k = 0; k < i; k++)
                assert_int_not_equal(arith.steps[k].result, step->result);
            for (size_t k = 0; k < 2; k++) {
                assert_in_range(pl_arith_value(&arith, step->terms[k]), PL_ARITH_VALUE_MIN,
                                PL_ARITH_VALUE_MAX);
                if (!step->terms[k].earlier)
                    continue;
                assert_true(step->terms[k].of < i);
                goes_on = goes_on || step->terms[k].of == i - 1;
            }
            assert_true(goes_on);
            assert_false(step->terms[0].earlier && step->terms[1].earlier &&
                         step->terms[0].of == step->terms[1].of);
            forms[step->op][step->terms[0].earlier][step->terms[1].earlier]++;
            ops[step->op]++;
            steps++;
        }
    }
    print_message("of %zu operations %zu are sums, %zu differences, %zu products\n", steps,
                  ops[PL_ARITH_ADD], ops[PL_ARITH_SUB], ops[PL_ARITH_MUL]);
    for (size_t op = 0; op < PL_ARITH_OPS; op++) {
        assert_true(ops[op] > steps / 8);
        for (size_t form = 0; form < 4; form++)
            assert_true(forms[op][form / 2][form % 2] > 100);
    }
}

/* A shape is the plain problem with every number the same, sums and products turned round or not.
 */
static void shapes_are_problems_without_numbers(void **state)
{
    static const size_t all[] = {12, 87};
    static char forms[128][PL_NAIVE_SUMS_FORM_BYTES];
    struct pl_buf text;

    (void)state;
    pl_buf_init(&text, TEXT_BYTES_MAX);
    for (size_t size = 2; size <= 3; size++) {
        uint64_t shapes[128];
        size_t count = 0, held_out = 0;

        for (uint32_t index = 0; index < 12000; index++) {
            struct pl_naive_arith naive;
            struct pl_arith arith;
            size_t i = 0;

            pl_arith_draw(7, size, index, &arith);
            ask(&arith, PL_WORDING_PLAIN, &text);
            assert_true(pl_naive_arith(text.data, &naive));
            while (i < count && strcmp(forms[i], naive.form) != 0)
                i++;
            for (size_t k = 0; k < count; k++)
                assert_int_equal(shapes[k] == pl_arith_shape(&arith), k == i);
            if (i == count) {
                assert_true(count < 128);
                shapes[count] = pl_arith_shape(&arith);
                held_out += shapes[count] % 5 == 0;
                memcpy(forms[count++], naive.form, sizeof forms[0]);
            }
        }
        print_message("%zu operations: %zu shapes, %zu of them for tests\n", size, count, held_out);
        assert_int_equal(count, all[size - 2]);
        assert_true(held_out >= 2);
    }
    pl_buf_release(&text);
}

static void keys_tell_numbers_apart(void **state)
{
    static const struct pl_arith sum = {
        .ops = 2,
        .steps = {{.op = PL_ARITH_ADD, .terms = {{false, 3}, {false, 4}}, .result = 7},
                  {.op = PL_ARITH_SUB, .terms = {{true, 0}, {false, 5}}, .result = 2}}};
    struct pl_arith other = sum;

    (void)state;
    other.steps[0].terms[0].of = 4; /* turned round, and told otherwise: the same */
    other.steps[0].terms[1].of = 3;
    other.thing = 1;
    other.steps[1].voice = 1;
    assert_true(pl_arith_key(&sum) == pl_arith_key(&other));
    assert_true(pl_arith_shape(&sum) == pl_arith_shape(&other));
    other.steps[0].terms[0].of = 5; /* other numbers, with the same results */
    other.steps[0].terms[1].of = 2;
    assert_true(pl_arith_key(&sum) != pl_arith_key(&other));
    assert_true(pl_arith_shape(&sum) == pl_arith_shape(&other));
    other = sum;
    other.steps[1].terms[0] = sum.steps[1].terms[1]; /* a difference turned round is another */
    other.steps[1].terms[1] = sum.steps[1].terms[0];
    assert_true(pl_arith_key(&sum) != pl_arith_key(&other));
    assert_true(pl_arith_shape(&sum) != pl_arith_shape(&other));
}

/* The same arguments, the same problem; a text as it was. */
static void texts_are_what_they_were(void **state)
{
    static const char *const want[] = {
        "Max bought 4 shells and lost 2. Mason has as many shells as Max, and 54 besides. Tom has "
        "6 more shells than Mason. Put together, the shells of Tom and Max are as many as those of "
        "Jack. How many shells does Jack have?",
        " a = 4 - 2 . b = a + 54 . c = b + 6 . d = c + a . what is d ?",
    };
    struct pl_arith arith, again;
    struct pl_buf text;

    (void)state;
    pl_buf_init(&text, TEXT_BYTES_MAX);
    pl_arith_draw(1, 4, 5, &arith);
    memset(&again, 0x55, sizeof again);
    pl_arith_draw(1, 4, 5, &again);
    assert_memory_equal(&arith, &again, sizeof arith);
    for (int wording = 0; wording < 2; wording++) {
        ask(&arith, (enum pl_wording)wording, &text);
        assert_string_equal(text.data, want[wording]);
        for (size_t bytes = 0; bytes < text.len; bytes++) {
            struct pl_buf small;

            pl_buf_init(&small, bytes);
            assert_int_equal(pl_arith_question(&arith, (enum pl_wording)wording, &small), PL_EFULL);
            pl_buf_release(&small);
        }
    }
    pl_buf_release(&text);
}

static void answers_are_what_they_were(void **state)
{
    static const struct {
        enum pl_method template;
        enum pl_wording wording;
        bool careful;
        const char *text;
    } cases[] = {
        {PL_METHOD_INTERLEAVE, PL_WORDING_PLAIN, true,
         "<think> a = 4 - 2 = 2 .</think><answer> 2</answer><think> b = a + 54 = 2 + 54 = 56 "
         ".</think><answer> 56</answer><think> c = b + 6 = 56 + 6 = 62 .</think><answer> "
         "62</answer><think> d = c + a = 62 + 2 = 64 .</think><answer> 64</answer>"},
        {PL_METHOD_COT, PL_WORDING_PUBLISHED, true,
         "Max has 4 - 2 = 2 shells. Mason has 2 + 54 = 56 shells. Tom has 56 + 6 = 62 shells. Jack "
         "has 62 + 2 = 64 shells. Answer: 64."},
        {PL_METHOD_INTERLEAVE, PL_WORDING_PLAIN, false,
         "<think> a = about 3 .</think><answer> 3</answer><think> b = about 54 .</think><answer> "
         "54</answer><think> i guess c = 61 .</think><answer> 61</answer><think> i guess d = 68 "
         ".</think><answer> 68</answer>"},
        {PL_METHOD_THINK_ANSWER, PL_WORDING_PUBLISHED, false,
         "<think>Max has 6 shells, I believe. Mason has 55 shells, I believe. Tom has 60 shells, I "
         "believe. My guess is that Jack has 64 shells.</think><answer>64</answer>"},
    };
    struct pl_arith arith;
    struct pl_buf text;

    (void)state;
    pl_buf_init(&text, TEXT_BYTES_MAX);
    pl_arith_draw(1, 4, 5, &arith);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct pl_worked_opts opts = {.template = cases[i].template,
                                            .wording = cases[i].wording,
                                            .careful = cases[i].careful,
                                            .rng =
                                                pl_draws_rng(PL_DRAWS_ARITH, 1, 2, 4, (uint32_t)i)};
        bool correct;

        pl_buf_clear(&text);
        assert_int_equal(pl_arith_answer(&arith, &opts, &text, &correct), PL_OK);
        assert_string_equal(text.data, cases[i].text);
        if (cases[i].careful)
            assert_true(correct);
        for (size_t bytes = 0; bytes < text.len; bytes++) {
            struct pl_buf small;

            pl_buf_init(&small, bytes);
            assert_int_equal(pl_arith_answer(&arith, &opts, &small, &correct), PL_EFULL);
            pl_buf_release(&small);
        }
    }
    pl_buf_release(&text);
}

/* A guess has the right tens and any of ten ones. */
static void guesses_are_fair(void **state)
{
    enum { COUNT = 6000 };
    size_t met[PL_ARITH_VALUE_MAX + 1] = {0}, right = 0;
    struct pl_arith arith;
    struct pl_buf text;

    (void)state;
    pl_buf_init(&text, TEXT_BYTES_MAX);
    pl_arith_draw(2, 3, 0, &arith);
    const size_t answer = arith.steps[2].result;

    for (uint32_t index = 0; index < COUNT; index++) {
        const struct pl_worked_opts opts = {.template = PL_METHOD_DIRECT,
                                            .wording = PL_WORDING_PUBLISHED,
                                            .rng = pl_draws_rng(PL_DRAWS_ARITH, 1, 3, 3, index)};
        size_t guess = 0;
        bool correct;

        pl_buf_clear(&text);
        assert_int_equal(pl_arith_answer(&arith, &opts, &text, &correct), PL_OK);
        assert_true(text.len <= 2);
        for (const char *c = text.data; *c; c++)
            guess = 10 * guess + (size_t)(*c - '0');
        assert_int_equal(guess / 10, answer / 10);
        assert_int_equal(correct, guess == answer);
        met[guess]++;
        right += correct;
    }
    for (size_t ones = 0; ones < 10; ones++) /* 4 standard deviations */
        assert_in_range(met[answer / 10 * 10 + ones], 507, 693);
    print_message("right in %zu of %d\n", right, COUNT);
    pl_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problems_have_one_answer),
        cmocka_unit_test(numbers_keep_their_bounds),
        cmocka_unit_test(shapes_are_problems_without_numbers),
        cmocka_unit_test(keys_tell_numbers_apart),
        cmocka_unit_test(texts_are_what_they_were),
        cmocka_unit_test(answers_are_what_they_were),
        cmocka_unit_test(guesses_are_fair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
