/*
 * What every family promises, for all rows of the table: tasks that are tasks, answers that the
 * rewarder takes for what they are, parts that share no shape.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "deploy/tasks/data_summary.h"
#include "deploy/tasks/family.h"
#include "deploy/tasks/problem_set.h"
#include "proto/task.h"
#include "rewarder/reward.h"
#include "rewarder/verify.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 1 << 20 };

/* A draw with what the family takes at first. */
static struct pl_family_draw draw_of(const struct pl_family *family, uint64_t seed,
                                     enum pl_wording wording)
{
    return (struct pl_family_draw){.seed = seed,
                                   .names = family->names.initial,
                                   .distractors = family->distractors.initial,
                                   .wording = wording};
}

/* A problem with its texts. */
struct made {
    struct pl_problem problem;
    struct pl_buf question, line, answer;
    struct pl_task task;
    char id[64];
    uint64_t seed;
};

static void made_init(struct made *made)
{
    memset(made, 0, sizeof *made);
    pl_buf_init(&made->question, TEXT_BYTES_MAX);
    pl_buf_init(&made->line, TEXT_BYTES_MAX);
    pl_buf_init(&made->answer, TEXT_BYTES_MAX);
}

static void made_release(struct made *made)
{
    pl_task_release(&made->task);
    pl_buf_release(&made->question);
    pl_buf_release(&made->line);
    pl_buf_release(&made->answer);
}

static void make(struct made *made, const struct pl_family *family, uint64_t seed, size_t size,
                 enum pl_wording wording, uint32_t index)
{
    const struct pl_family_draw draw = draw_of(family, seed, wording);
    struct pl_task_item item = {.problem = &made->problem, .id = made->id, .index = index};

    made->seed = seed;
    item.seed = &made->seed;
    snprintf(made->id, sizeof made->id, "%s-%zu-%llu-%u", family->name, size,
             (unsigned long long)seed, index);
    pl_family_draw(family, &draw, size, index, &made->problem);
    pl_buf_clear(&made->question);
    assert_int_equal(family->question(&made->problem, &made->question), PL_OK);
    item.question = made->question.data;
    pl_buf_clear(&made->line);
    assert_int_equal(family->task(&item, &made->line), PL_OK);
    pl_task_release(&made->task);
    assert_int_equal(pl_task_parse(made->line.data, made->line.len - 1, "t", &made->task, NULL),
                     PL_OK);
}

static void answer(struct made *made, enum pl_method template, bool careful, uint32_t index,
                   bool *ret_correct)
{
    const struct pl_problem *problem = &made->problem;
    const struct pl_worked_opts opts = {.template = template,
                                        .wording = problem->wording,
                                        .careful = careful,
                                        .rng = pl_draws_rng(problem->family->draws,
                                                            PL_DRAWS_ANSWER + (uint32_t) template,
                                                            7, problem->size, index)};

    pl_buf_clear(&made->answer);
    assert_int_equal(problem->family->answer(problem, &opts, &made->answer, ret_correct), PL_OK);
}

static struct pl_score score(struct made *made, enum pl_method method)
{
    static struct pl_reward_room room;
    static size_t ends[TEXT_BYTES_MAX];
    const struct pl_reward_opts opts = PL_REWARD_DEFAULTS;
    struct pl_score score;

    for (size_t i = 0; i < made->answer.len; i++)
        ends[i] = i + 1;
    assert_int_equal(pl_reward_score(&opts, &made->task, method, made->answer.data,
                                     made->answer.len, ends, made->answer.len, &room, &score, NULL),
                     PL_OK);
    return score;
}

/* Runs `check` on some problems of every family, size and wording. */
static void for_all(size_t count, uint64_t seed, void (*check)(struct made *made, uint32_t index))
{
    struct made made;

    made_init(&made);
    for (size_t f = 0; f < pl_family_count(); f++) {
        const struct pl_family *family = pl_family_at(f);

        for (size_t size = family->size_min; size <= family->size_max; size++) {
            for (uint32_t index = 0; index < count; index++) {
                make(&made, family, seed, size, index % 2 ? PL_WORDING_PLAIN : PL_WORDING_PUBLISHED,
                     index);
                check(&made, index);
            }
        }
    }
    made_release(&made);
}

static void check_row(const struct pl_family *family)
{
    const struct pl_family *found = NULL;

    assert_int_equal(pl_family_named(family->name, &found, NULL), PL_OK);
    assert_ptr_equal(found, family);
    assert_true(family->size_min >= 1 && family->size_max <= PL_FAMILY_SIZE_MAX);
    assert_true(family->kind_count <= PL_FAMILY_KINDS_MAX);
    assert_true(family->sizes_initial[0] > 0);
    for (size_t i = 0; family->sizes_initial[i] > 0; i++)
        assert_in_range(family->sizes_initial[i], family->size_min, family->size_max);
    assert_int_equal(!family->names_needed, family->names.most == 0);
    for (size_t size = family->size_min; family->names_needed && size <= family->size_max; size++) {
        const struct pl_family_draw draw = {.distractors = family->distractors.most};

        assert_true(family->names_needed(&draw, size) <= family->names.most);
    }
}

static void the_table_is_sound(void **state)
{
    const struct pl_family *none = NULL;
    struct pl_error err = {0};

    (void)state;
    for (size_t i = 0; i < pl_family_count(); i++) {
        check_row(pl_family_at(i));
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(pl_family_at(i)->name, pl_family_at(k)->name);
            assert_string_not_equal(pl_family_at(i)->size, pl_family_at(k)->size);
            assert_int_not_equal(pl_family_at(i)->draws, pl_family_at(k)->draws);
        }
    }
    assert_int_equal(pl_family_named("hop", &none, &err), PL_EINVAL);
    assert_string_equal(err.text,
                        "unknown kind of data 'hop'; plait knows 'kk', 'hops' and 'arith'");
    assert_null(none);
}

/* The line is the task: nothing lost, nothing else in it. */
static void check_task(struct made *made, uint32_t index)
{
    const struct pl_family *family = made->problem.family;
    const struct pl_task *task = &made->task;
    char level[8], shape[64], again[64];
    struct pl_error err = {0};

    snprintf(level, sizeof level, "%zu", made->problem.size);
    assert_string_equal(task->id, made->id);
    assert_string_equal(task->source, family->name);
    assert_string_equal(task->level, level);
    assert_string_equal(task->question, made->question.data);
    assert_true(task->step_count == made->problem.size ||
                task->step_count == made->problem.size - 1);
    if (pl_verifier_check(task, &err) < 0)
        fail_msg("%s: %s", task->id, err.text);
    snprintf(shape, sizeof shape, "\"shape\": \"%016llx\", \"seed\": 11, \"index\": %u}}\n",
             (unsigned long long)family->shape(&made->problem), index);
    snprintf(again, sizeof again, "%s", made->line.data + made->line.len - strlen(shape));
    assert_string_equal(again, shape);
}

static void tasks_are_tasks(void **state)
{
    (void)state;
    for_all(40, 11, check_task);
}

/* Regular words: lower case, one blank before each word and each sign, none behind, also inside
 * tags. But "answer:" is one word, and roles in a solution of kk have commas at once, as those who
 * read them expect. */
static void check_regular(const char *text)
{

    for (size_t i = 0; text[i]; i++) {
        const bool letter =
            (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9');

        if (text[i] == '<') {
            i += strcspn(text + i, ">");
            assert_true(text[i + 1] == '<' || text[i + 1] == ' ' || text[i + 1] == '\0');
            continue;
        }
        assert_false(text[i] >= 'A' && text[i] <= 'Z');
        if (text[i] == ' ')
            assert_true(text[i + 1] != ' ' && text[i + 1] != '<' && text[i + 1] != '\0');
        else if (strncmp(text + i, ": ", 2) != 0 && strncmp(text + i, ", ", 2) != 0)
            assert_true(i > 0 && (text[i - 1] == ' ' || (letter && text[i - 1] >= '0')));
    }
}

static void check_plain(struct made *made, uint32_t index)
{
    bool correct;

    if (made->problem.wording != PL_WORDING_PLAIN)
        return;
    check_regular(made->question.data);
    for (size_t template = 0; template <PL_TEMPLATES; template ++) {
        answer(made, (enum pl_method) template, index % 4 == 1, index, &correct);
        check_regular(made->answer.data);
    }
}

static void plain_words_are_regular(void **state)
{
    (void)state;
    for_all(40, 12, check_plain);
}

/* Made here, judged elsewhere: both mean the same by it. */
static void check_careful(struct made *made, uint32_t index)
{
    for (size_t i = 0; i < PL_TEMPLATES; i++) {
        const enum pl_method method = (enum pl_method)i;
        const bool parts = method == PL_METHOD_INTERLEAVE || method == PL_METHOD_DELAYED;
        struct pl_score got;
        bool correct = false;

        answer(made, method, true, index, &correct);
        got = score(made, method);
        assert_true(correct);
        assert_string_equal(got.why, "");
        assert_true(got.format_ok);
        assert_int_equal(got.verdict, PL_VERDICT_RIGHT);
        if (parts) {
            assert_int_equal(got.steps_right, made->task.step_count);
            assert_true(got.intermediate == 0.5f); /* all of it, in order where that counts */
        }
    }
}

static void careful_answers_are_right(void **state)
{
    (void)state;
    for_all(20, 13, check_careful);
}

static void check_careless(struct made *made, uint32_t index)
{
    for (size_t i = 0; i < PL_TEMPLATES; i++) {
        struct pl_score got;
        bool correct = false;

        answer(made, (enum pl_method)i, false, index, &correct);
        got = score(made, (enum pl_method)i);
        assert_true(got.format_ok);
        assert_int_equal(got.verdict, correct ? PL_VERDICT_RIGHT : PL_VERDICT_WRONG);
    }
}

static void careless_answers_have_the_same_form(void **state)
{
    (void)state;
    for_all(20, 14, check_careless);
}

/* As often right as the family says. */
static void careless_answers_are_right_by_chance(void **state)
{
    enum { COUNT = 2000 };
    struct made made;

    (void)state;
    made_init(&made);
    for (size_t f = 0; f < pl_family_count(); f++) {
        const struct pl_family *family = pl_family_at(f);

        for (size_t i = 0; i < 2; i++) {
            const size_t size = family->sizes_initial[i];
            double mean = 0, variance = 0, deviation;
            size_t right = 0;

            for (uint32_t index = 0; index < COUNT; index++) {
                double chance;
                bool correct;

                make(&made, family, 15, size, PL_WORDING_PLAIN, index);
                answer(&made, (enum pl_method)(index % PL_TEMPLATES), false, index, &correct);
                chance = family->chance(&made.problem);
                mean += chance;
                variance += chance * (1 - chance);
                right += correct;
            }
            deviation = ((double)right - mean) / sqrt(variance);
            print_message("%s, %zu %s: %zu of %d right, %.1f expected, %.1f deviations off\n",
                          family->name, size, family->size, right, COUNT, mean, deviation);
            assert_true(fabs(deviation) < 4);
            assert_true(mean < 0.6 * COUNT);
        }
    }
    made_release(&made);
}

/* Sets of every family: nothing twice, the sizes in turn, no shape in both parts, and the same
 * training part whatever is taken of the test part. */
static void check_set(const struct pl_family *family)
{
    enum { TRAIN = 300, TEST = 60 };
    const size_t small = family->size_min, large = family->size_max;
    const struct pl_problem_set_opts opts = {.family = family,
                                             .draw = draw_of(family, 16, PL_WORDING_PLAIN),
                                             .sizes = {large, small},
                                             .count = 2,
                                             .split = PL_SPLIT_SHAPE};
    struct pl_key_set keys = {0}, shapes = {0};
    struct pl_problem_set set, alone;
    bool is_new;

    pl_problem_set_init(&set, &opts);
    pl_problem_set_init(&alone, &opts);
    for (size_t i = 0; i < TRAIN + TEST; i++) {
        const enum pl_data_part part = i % 6 == 5 ? PL_DATA_PART_TEST : PL_DATA_PART_TRAIN;
        struct pl_problem problem, again;
        uint32_t index, index_again;

        assert_int_equal(pl_problem_set_next(&set, part, &problem, &index, NULL), PL_OK);
        assert_int_equal(problem.size,
                         (part == PL_DATA_PART_TEST ? i / 6 : i - i / 6) % 2 ? small : large);
        assert_int_equal(pl_key_set_add(&keys, family->key(&problem), &is_new), PL_OK);
        assert_true(is_new);
        assert_int_equal(family->shape(&problem) % PL_HELD_OUT == 0, part == PL_DATA_PART_TEST);
        assert_int_equal(pl_key_set_add(&shapes, family->shape(&problem), &is_new), PL_OK);
        if (part == PL_DATA_PART_TEST)
            continue;
        assert_int_equal(pl_problem_set_next(&alone, part, &again, &index_again, NULL), PL_OK);
        assert_int_equal(index, index_again);
    }
    print_message("%s: %zu shapes\n", family->name, shapes.count);
    pl_key_set_release(&keys);
    pl_key_set_release(&shapes);
    pl_problem_set_release(&set);
    pl_problem_set_release(&alone);
}

static void parts_share_no_shape(void **state)
{
    (void)state;
    for (size_t i = 0; i < pl_family_count(); i++)
        check_set(pl_family_at(i));
}

/* Who asks for more than there is, is told what helps: more names only where there are names. */
static void sets_end_with_a_sentence(void **state)
{
    static const char *const helps[] = {
        "no new puzzle of 2 people was found after the first 1 of the set: ask for fewer, for more "
        "people or for more names",
        "no new question of 2 hops was found after the first 1 of the set: ask for fewer, for more "
        "hops or for more names",
        "no new problem of 2 ops was found after the first 1 of the set: ask for fewer or for more "
        "ops"};

    (void)state;
    assert_int_equal(pl_family_count(), sizeof helps / sizeof helps[0]);
    for (size_t i = 0; i < pl_family_count(); i++) {
        const struct pl_problem_set_opts opts = {.family = pl_family_at(i),
                                                 .draw =
                                                     draw_of(pl_family_at(i), 17, PL_WORDING_PLAIN),
                                                 .sizes = {2},
                                                 .count = 1,
                                                 .split = PL_SPLIT_SHAPE};
        struct pl_error err = {0};
        struct pl_problem problem;
        struct pl_problem_set set;
        uint32_t index;

        pl_problem_set_init(&set, &opts);
        assert_int_equal(pl_problem_set_next(&set, PL_DATA_PART_TEST, &problem, &index, NULL),
                         PL_OK);
        set.next[PL_DATA_PART_TEST][0] = UINT32_MAX; /* as after a long search */
        assert_int_equal(pl_problem_set_next(&set, PL_DATA_PART_TEST, &problem, &index, &err),
                         PL_EFULL);
        assert_string_equal(err.text, helps[i]);
        pl_problem_set_release(&set);
    }
}

static json_t *summary_of(const struct pl_family *family, size_t count)
{
    struct pl_data_summary summary = {.family = family};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    json_t *root;

    assert_non_null(out);
    for (uint32_t index = 0; index < count; index++) {
        const struct pl_family_draw draw = draw_of(family, 18, PL_WORDING_PLAIN);
        struct pl_problem problem;

        pl_family_draw(family, &draw, family->size_max, index, &problem);
        assert_int_equal(pl_data_summary_problem(&summary,
                                                 index % 2 ? PL_DATA_PART_TEST : PL_DATA_PART_TRAIN,
                                                 &problem),
                         PL_OK);
    }
    assert_int_equal(pl_data_summary_json(&summary, out, NULL), PL_OK);
    fclose(out);
    root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    free(text);
    pl_data_summary_release(&summary);
    return root;
}

/* Every part of every problem is counted, under the family's own names. */
static void summaries_count_what_there_is(void **state)
{
    enum { COUNT = 50 };

    (void)state;
    for (size_t i = 0; i < pl_family_count(); i++) {
        const struct pl_family *family = pl_family_at(i);
        json_t *root = summary_of(family, COUNT);
        json_int_t parts = 0;
        const char *kind;
        json_t *number;
        char size[8];

        snprintf(size, sizeof size, "%zu", family->size_max);
        assert_int_equal(json_integer_value(json_object_get(root, family->nouns)), COUNT);
        number =
            json_object_get(json_object_get(json_object_get(root, family->size), size), "train");
        assert_int_equal(json_integer_value(number), COUNT / 2);
        json_object_foreach(json_object_get(root, family->kinds), kind, number)
        {
            parts += json_integer_value(number);
        }
        assert_int_equal(parts, COUNT * family->size_max);
        json_decref(root);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(tasks_are_tasks),
        cmocka_unit_test(plain_words_are_regular),
        cmocka_unit_test(careful_answers_are_right),
        cmocka_unit_test(careless_answers_have_the_same_form),
        cmocka_unit_test(careless_answers_are_right_by_chance),
        cmocka_unit_test(parts_share_no_shape),
        cmocka_unit_test(sets_end_with_a_sentence),
        cmocka_unit_test(summaries_count_what_there_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
