/*
 * Questions of several hops, answered again from their words alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "deploy/tasks/draws.h"
#include "deploy/tasks/hops.h"
#include "deploy/tasks/hops_answer.h"
#include "deploy/tasks/key_set.h"
#include "tests/hops_naive.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 1 << 16 };

static void ask(const struct pl_hops *hops, enum pl_wording wording, struct pl_buf *text)
{
    pl_buf_clear(text);
    assert_int_equal(pl_hops_question(hops, wording, text), PL_OK);
}

static void assert_name(const struct pl_hops *hops, size_t entity, const char *name)
{
    struct pl_buf text;

    pl_buf_init(&text, TEXT_BYTES_MAX);
    assert_int_equal(pl_hops_name(hops, entity, PL_WORDING_PLAIN, &text), PL_OK);
    assert_string_equal(text.data, name);
    pl_buf_release(&text);
}

/* What the words say is what the question was made for: one way to one answer, by these steps. */
static void check_solved(const struct pl_hops *hops, const char *question)
{
    struct pl_naive_hops naive;

    assert_true(pl_naive_hops(question, &naive));
    assert_int_equal(naive.facts_count, hops->hops + hops->distractors);
    assert_int_equal(naive.ways, 1);
    assert_int_equal(naive.found_count, hops->hops);
    assert_int_equal(naive.who,
                     hops->entity[hops->steps[hops->hops - 1].fact.object].type == PL_HOPS_PERSON);
    for (size_t i = 0; i < hops->hops; i++) {
        assert_name(hops, hops->steps[i].fact.object, naive.found[i]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(naive.found[i], naive.found[k]);
    }
    for (size_t i = 0; i < naive.facts_count; i++)
        for (size_t k = 0; k < i; k++)
            assert_false(strcmp(naive.facts[i].relation, naive.facts[k].relation) == 0 &&
                         strcmp(naive.facts[i].subjects[0], naive.facts[k].subjects[0]) == 0 &&
                         strcmp(naive.facts[i].subjects[1], naive.facts[k].subjects[1]) == 0);
}

static void questions_have_one_answer(void **state)
{
    static const size_t distractors[] = {0, 1, 4, PL_HOPS_DISTRACTORS_MAX};
    struct pl_buf text;

    (void)state;
    pl_buf_init(&text, TEXT_BYTES_MAX);
    for (uint32_t index = 0; index < 4000; index++) {
        const size_t size = PL_HOPS_MIN + index % (PL_HOPS_MAX - PL_HOPS_MIN + 1);
        const size_t around = distractors[index / 5 % 4];
        struct pl_hops hops;

        pl_hops_draw(3, size, around, PL_HOPS_NAMES, index, &hops);
        assert_int_equal(hops.hops, size);
        for (int wording = 0; wording < 2; wording++) {
            ask(&hops, (enum pl_wording)wording, &text);
            check_solved(&hops, text.data);
        }
    }
    pl_buf_release(&text);
}

/* Takes the sentence that says what step `n` found out of a plain text. */
static void strike(const struct pl_hops *hops, size_t n, struct pl_buf *text)
{
    const struct pl_hops_fact *fact = &hops->steps[n].fact;
    struct pl_buf sentence;
    char *at;

    pl_buf_init(&sentence, TEXT_BYTES_MAX);
    assert_int_equal(pl_buf_puts(&sentence, " "), PL_OK);
    assert_int_equal(
        pl_hops_subject(hops, fact->relation, fact->subjects, PL_WORDING_PLAIN, &sentence), PL_OK);
    assert_int_equal(pl_buf_puts(&sentence, " is "), PL_OK);
    at = strstr(text->data, sentence.data);
    assert_non_null(at);
    memmove(at, strchr(at, '.') + 1, strlen(strchr(at, '.') + 1) + 1);
    text->len = strlen(text->data);
    pl_buf_release(&sentence);
}

static void every_hop_is_needed(void **state)
{
    struct pl_naive_hops naive;
    struct pl_buf text;

    (void)state;
    pl_buf_init(&text, TEXT_BYTES_MAX);
    for (uint32_t index = 0; index < 500; index++) {
        const size_t size = PL_HOPS_MIN + index % (PL_HOPS_MAX - PL_HOPS_MIN + 1);
        struct pl_hops hops;

        pl_hops_draw(4, size, 6, PL_HOPS_NAMES, index, &hops);
        for (size_t n = 0; n < size; n++) {
            ask(&hops, PL_WORDING_PLAIN, &text);
            strike(&hops, n, &text);
            assert_true(pl_naive_hops(text.data, &naive));
            assert_int_equal(naive.facts_count, size + 6 - 1);
            assert_int_equal(naive.ways, 0);
        }
    }
    pl_buf_release(&text);
}

/* Who goes by the last relation, by a name of the question, or by the place in the text, is lost.
 */
static void shortcuts_do_not_pay(void **state)
{
    enum { COUNT = 2000, FACTS = 8 };
    size_t last = 0, beside_given = 0, alike = 0;

    (void)state;
    for (uint32_t index = 0; index < COUNT; index++) {
        struct pl_hops hops;
        size_t same = 0, shared = 0;

        pl_hops_draw(5, 3, FACTS - 3, PL_HOPS_NAMES, index, &hops);
        const struct pl_hops_fact *answer = &hops.steps[2].fact;

        for (size_t i = 0; i < hops.facts_count; i++) {
            same += hops.facts[i].relation == answer->relation;
            shared += hops.facts[i].subjects[0] == hops.steps[0].fact.subjects[0];
        }
        assert_true(same >= 2);
        assert_true(pl_hops_alike(&hops, answer->object) >= 2);
        for (size_t n = 0; n < 3; n++)
            assert_true(pl_hops_alike(&hops, hops.steps[n].fact.object) >= 2);
        alike += pl_hops_alike(&hops, answer->object);
        beside_given += shared > 1;
        last += hops.facts[FACTS - 1].relation == answer->relation &&
                hops.facts[FACTS - 1].object == answer->object;
    }
    print_message("the fact that answers comes last in %zu of %d, one to guess among %.2f, "
                  "another fact about the first name in %zu\n",
                  last, COUNT, (double)alike / COUNT, beside_given);
    assert_in_range(last, 190, 310); /* of 8 places: 250, 4 standard deviations */
    assert_true(beside_given > COUNT / 5);
}

/* Few names are enough, and none beyond them comes. */
static void names_are_bounded(void **state)
{
    static const struct {
        size_t hops, distractors;
    } cases[] = {{2, 0}, {2, 4}, {3, 0}, {3, 8}, {6, 6}, {6, PL_HOPS_DISTRACTORS_MAX}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t names = pl_hops_names_needed(cases[i].hops, cases[i].distractors);
        size_t most = 0;

        for (uint32_t index = 0; index < 300; index++) {
            bool met[PL_HOPS_NAMES] = {false};
            struct pl_hops hops;

            pl_hops_draw(6, cases[i].hops, cases[i].distractors, names, index, &hops);
            for (size_t k = 0; k < hops.entities; k++) {
                assert_true(hops.entity[k].name < names);
                assert_false(met[hops.entity[k].name]);
                met[hops.entity[k].name] = true;
            }
            if (hops.entities > most)
                most = hops.entities;
        }
        assert_true(most <= names);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void names_are_unlike_each_other(void **state)
{
    static char names[PL_HOPS_NAMES][16];
    struct pl_hops hops = {.entities = PL_HOPS_NAMES};
    struct pl_buf text;

    (void)state;
    pl_buf_init(&text, TEXT_BYTES_MAX);
    for (size_t i = 0; i < PL_HOPS_NAMES; i++) {
        hops.entity[i].name = (uint8_t)i;
        pl_buf_clear(&text);
        assert_int_equal(pl_hops_name(&hops, i, PL_WORDING_PUBLISHED, &text), PL_OK);
        assert_true(text.len < PL_HOPS_NAME_BYTES);
        assert_true(isupper((unsigned char)text.data[0]));
        memcpy(names[i], text.data, text.len + 1);
    }
    for (size_t i = 0; i < PL_HOPS_NAMES; i++)
        for (size_t k = 0; k < PL_HOPS_NAMES; k++)
            assert_true(i == k || !strstr(names[i], names[k]));
    qsort(names, PL_HOPS_NAMES, sizeof names[0], by_text);
    assert_string_equal(names[0], "Babo");
    pl_buf_release(&text);
}

/* A shape is the question without its names, no more and no less; all there are come. */
static void shapes_are_questions_without_names(void **state)
{
    static const size_t all[] = {36, 117, 405};
    static char forms[512][PL_NAIVE_FORM_BYTES];
    struct pl_buf text;

    (void)state;
    pl_buf_init(&text, TEXT_BYTES_MAX);
    for (size_t size = 2; size <= 4; size++) {
        uint64_t shapes[512];
        size_t count = 0, held_out = 0;

        for (uint32_t index = 0; index < 12000; index++) {
            struct pl_naive_hops naive;
            struct pl_hops hops;
            size_t i = 0;

            pl_hops_draw(7, size, index % 3, 24, index, &hops);
            ask(&hops, PL_WORDING_PLAIN, &text);
            assert_true(pl_naive_hops(text.data, &naive));
            while (i < count && strcmp(forms[i], naive.form) != 0)
                i++;
            for (size_t k = 0; k < count; k++)
                assert_int_equal(shapes[k] == pl_hops_shape(&hops), k == i);
            if (i == count) {
                assert_true(count < 512);
                shapes[count] = pl_hops_shape(&hops);
                held_out += shapes[count] % 5 == 0;
                memcpy(forms[count++], naive.form, sizeof forms[0]);
            }
        }
        print_message("%zu hops: %zu shapes, %zu of them for tests\n", size, count, held_out);
        assert_int_equal(count, all[size - 2]);
        assert_true(held_out >= 4);
    }
    pl_buf_release(&text);
}

/* MuSiQue's graphs: with three hops one branch, with four three of them. */
static void graphs_come_as_often_as_they_should(void **state)
{
    enum { COUNT = 2000 };

    (void)state;
    for (size_t size = 2; size <= PL_HOPS_MAX; size++) {
        size_t branches = 0, meets[PL_HOPS_MAX] = {0}, lefts[PL_HOPS_MAX] = {0};

        for (uint32_t index = 0; index < COUNT; index++) {
            struct pl_hops hops;

            pl_hops_draw(8, size, 0, PL_HOPS_NAMES, index, &hops);
            branches += pl_hops_branches(&hops);
            for (size_t n = 0; n < size; n++) {
                const struct pl_hops_step *step = &hops.steps[n];

                if (pl_hops_relation(step->fact.relation)->subjects < 2)
                    continue;
                meets[n]++;
                lefts[step->earlier[0]]++;
                assert_int_equal(step->earlier[1], n - 1);
            }
        }
        if (size == 2) {
            assert_int_equal(branches, 0);
            continue;
        }
        assert_in_range(branches, COUNT / 2 - 90, COUNT / 2 + 90);
        for (size_t n = 2; n < size; n++)
            assert_true(meets[n] > 0);
        for (size_t n = 0; n + 2 < size; n++)
            assert_true(lefts[n] > 0);
        assert_int_equal(meets[0] + meets[1], 0);
    }
}

static void keys_tell_ways_apart(void **state)
{
    struct pl_hops one, other;

    (void)state;
    pl_hops_draw(9, 3, 4, PL_HOPS_NAMES, 1, &one);
    other = one;
    other.facts_count = 3; /* what stands around does not matter */
    other.facts[0] = one.facts[1];
    assert_true(pl_hops_key(&one) == pl_hops_key(&other));
    for (size_t n = 0; n < 3; n++) {
        other = one;
        other.entity[other.steps[n].fact.object].name = PL_HOPS_NAMES - 1;
        assert_true(pl_hops_key(&one) != pl_hops_key(&other));
        other = one;
        other.steps[n].fact.relation ^= 1;
        assert_true(pl_hops_key(&one) != pl_hops_key(&other));
        assert_true(pl_hops_shape(&one) != pl_hops_shape(&other));
    }
}

/* The same arguments, the same question; a text as it was. */
static void texts_are_what_they_were(void **state)
{
    static const char *const want[] = {
        "Read these notes. The border of Solek is Deven. Gobo is the envoy of Tamor to Lupur. "
        "Filek's source is Tamor. The envoy of Kanel to Tamor is Bapur. Gomor's source is Radan. "
        "The source of Deven is Kanel. By these notes, who is the envoy of the source of the "
        "border of Solek to the source of Filek?",
        " the border of solek is deven . the envoy of tamor to lupur is gobo . the source of filek "
        "is tamor . the envoy of kanel to tamor is bapur . the source of gomor is radan . the "
        "source of deven is kanel . who is the envoy of the source of the border of solek to the "
        "source of filek ?",
    };
    struct pl_hops hops, again;
    struct pl_buf text;

    (void)state;
    pl_buf_init(&text, TEXT_BYTES_MAX);
    pl_hops_draw(1, 4, 2, 16, 2, &hops);
    memset(&again, 0x55, sizeof again);
    pl_hops_draw(1, 4, 2, 16, 2, &again);
    assert_memory_equal(&hops, &again, sizeof hops);
    for (int wording = 0; wording < 2; wording++) {
        ask(&hops, (enum pl_wording)wording, &text);
        assert_string_equal(text.data, want[wording]);
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
         "<think> the border of solek is deven .</think><answer> deven</answer><think> the source "
         "of deven is kanel .</think><answer> kanel</answer><think> the source of filek is tamor "
         ".</think><answer> tamor</answer><think> the envoy of kanel to tamor is bapur "
         ".</think><answer> bapur</answer>"},
        {PL_METHOD_COT, PL_WORDING_PUBLISHED, true,
         "The notes say that the border of Solek is Deven. The notes say that the source of Deven "
         "is Kanel. The notes say that the source of Filek is Tamor. The notes say that the envoy "
         "of Kanel to Tamor is Bapur. Answer: Bapur."},
        {PL_METHOD_INTERLEAVE, PL_WORDING_PLAIN, false,
         "<think> i guess the border of solek is filek .</think><answer> filek</answer><think> "
         "lupur sounds like the source of filek .</think><answer> lupur</answer><think> i guess "
         "the source of filek is solek .</think><answer> solek</answer><think> i guess the envoy "
         "of lupur to solek is bapur .</think><answer> bapur</answer>"},
        {PL_METHOD_THINK_ANSWER, PL_WORDING_PUBLISHED, false,
         "<think>My guess is that the border of Solek is Deven. Solek sounds to me like the source "
         "of Deven. My guess is that the source of Filek is Solek. My guess is that the envoy of "
         "Solek to Solek is Gobo.</think><answer>Gobo</answer>"},
    };
    struct pl_hops hops;
    struct pl_buf text;

    (void)state;
    pl_buf_init(&text, TEXT_BYTES_MAX);
    pl_hops_draw(1, 4, 2, 16, 2, &hops);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct pl_worked_opts opts = {.template = cases[i].template,
                                            .wording = cases[i].wording,
                                            .careful = cases[i].careful,
                                            .rng =
                                                pl_draws_rng(PL_DRAWS_HOPS, 1, 2, 4, (uint32_t)i)};
        bool correct;

        pl_buf_clear(&text);
        assert_int_equal(pl_hops_answer(&hops, &opts, &text, &correct), PL_OK);
        assert_string_equal(text.data, cases[i].text);
        if (cases[i].careful)
            assert_true(correct);
        for (size_t bytes = 0; bytes < text.len; bytes++) {
            struct pl_buf small;

            pl_buf_init(&small, bytes);
            assert_int_equal(pl_hops_answer(&hops, &opts, &small, &correct), PL_EFULL);
            pl_buf_release(&small);
        }
    }
    pl_buf_release(&text);
}

/* Each guess is one of its type, each as often as the other, whatever was guessed before. */
static void guesses_are_fair(void **state)
{
    enum { COUNT = 6000 };
    size_t met[PL_HOPS_NAMES] = {0}, alike, right = 0;
    struct pl_hops hops;
    struct pl_buf text;

    (void)state;
    pl_buf_init(&text, TEXT_BYTES_MAX);
    pl_hops_draw(2, 3, 5, PL_HOPS_NAMES, 0, &hops);
    const size_t answer = hops.steps[2].fact.object;

    alike = pl_hops_alike(&hops, answer);
    for (uint32_t index = 0; index < COUNT; index++) {
        const struct pl_worked_opts opts = {.template = PL_METHOD_DIRECT,
                                            .wording = PL_WORDING_PUBLISHED,
                                            .rng = pl_draws_rng(PL_DRAWS_HOPS, 1, 3, 3, index)};
        bool correct;
        size_t which = 0;

        pl_buf_clear(&text);
        assert_int_equal(pl_hops_answer(&hops, &opts, &text, &correct), PL_OK);
        for (;; which++) {
            struct pl_buf name;
            bool same;

            assert_true(which < hops.entities);
            pl_buf_init(&name, TEXT_BYTES_MAX);
            assert_int_equal(pl_hops_name(&hops, which, PL_WORDING_PUBLISHED, &name), PL_OK);
            same = strcmp(name.data, text.data) == 0;
            pl_buf_release(&name);
            if (same)
                break;
        }
        assert_int_equal(hops.entity[which].type, hops.entity[answer].type);
        assert_int_equal(correct, which == answer);
        met[which]++;
        right += correct;
    }
    for (size_t i = 0; i < hops.entities; i++) {
        const double want = (double)COUNT / (double)alike;

        if (hops.entity[i].type == hops.entity[answer].type) /* some 4 standard deviations */
            assert_true((double)met[i] > .85 * want && (double)met[i] < 1.15 * want);
    }
    print_message("one of %zu, right in %zu of %d\n", alike, right, COUNT);
    pl_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_have_one_answer),
        cmocka_unit_test(every_hop_is_needed),
        cmocka_unit_test(shortcuts_do_not_pay),
        cmocka_unit_test(names_are_bounded),
        cmocka_unit_test(names_are_unlike_each_other),
        cmocka_unit_test(shapes_are_questions_without_names),
        cmocka_unit_test(graphs_come_as_often_as_they_should),
        cmocka_unit_test(keys_tell_ways_apart),
        cmocka_unit_test(texts_are_what_they_were),
        cmocka_unit_test(answers_are_what_they_were),
        cmocka_unit_test(guesses_are_fair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
