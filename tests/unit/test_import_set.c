#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deploy/tasks/import_parts.h"
#include "deploy/tasks/import_summary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Adds a task with the links given as a string of letters; true if it is new. */
static bool add(struct pl_import_set *set, const char *id, const char *question, const char *level,
                const char *links)
{
    struct pl_import_draft draft;
    enum pl_import_added added = PL_IMPORT_UNFIT;

    pl_import_draft_init(&draft);
    pl_buf_printf(&draft.line,
                  "{\"id\": \"%s\", \"question\": \"%s\", \"answer\": \"x\", \"verifier\": \"em\", "
                  "\"meta\": {\"level\": \"%s\"}}",
                  id, question, level);
    for (; *links; links++) {
        const char link[] = {*links, '\0'};

        pl_import_link(&draft, link);
    }
    assert_int_equal(pl_import_set_add(set, &draft, "f:1", &added, NULL), PL_OK);
    pl_import_draft_release(&draft);
    assert_int_not_equal(added, PL_IMPORT_UNFIT);
    return added == PL_IMPORT_NEW;
}

static void duplicates_are_told(void **state)
{
    struct pl_import_set set = {0};
    struct pl_import_draft draft;
    struct pl_error err = {0};
    enum pl_import_added added = PL_IMPORT_UNFIT;

    (void)state;
    assert_true(add(&set, "1", "How many are there?", "", ""));
    assert_false(add(&set, "2", " How  many\\tare\\u00a0there?\\n", "", ""));
    assert_true(add(&set, "2", "How manyare there?", "", "")); /* the id was not used up */
    assert_true(add(&set, "3", "how many are there?", "", ""));
    assert_int_equal(set.count, 3);

    pl_import_draft_init(&draft);
    pl_buf_puts(&draft.line, "{\"id\": \"3\", \"question\": \"new\", \"answer\": \"x\", "
                             "\"verifier\": \"em\"}");
    assert_int_equal(pl_import_set_add(&set, &draft, "f:9", &added, &err), PL_EFORMAT);
    assert_string_equal(err.text, "f:9: another row has the id '3' already");
    pl_buf_puts(&draft.key, "How many\nare there? "); /* a key counts in place of the question */
    assert_int_equal(pl_import_set_add(&set, &draft, "f:9", &added, &err), PL_OK);
    assert_int_equal(added, PL_IMPORT_DUPLICATE);
    pl_buf_clear(&draft.line);
    pl_buf_puts(&draft.line, "{\"id\": \"4\", \"question\": \"new\"}");
    assert_int_equal(pl_import_set_add(&set, &draft, "f:9", &added, &err), PL_EFORMAT);
    assert_string_equal(err.text, "f:9: key 'answer' is missing; expected a string");
    assert_int_equal(set.count, 3);
    pl_import_draft_release(&draft);
    pl_import_set_release(&set);
}

static void what_cannot_be_scored_is_told(void **state)
{
    static const struct {
        const char *line, *sentence;
    } cases[] = {
        {"{\"id\": \"4\", \"question\": \"q\", \"answer\": \"...\", \"verifier\": \"em\"}", NULL},
        {"{\"id\": \"4\", \"question\": \"q\", \"answer\": \"a few\", \"verifier\": "
         "\"number\"}",
         NULL},
        {"{\"id\": \"4\", \"question\": \"q\", \"answer\": \"A\", \"verifier\": "
         "\"choice\", \"meta\": {\"choices\": [\"~A\", \"A\"]}}",
         "f:9: its own answer, 'A', is not right by the verifier 'choice'"},
        {"{\"id\": \"4\", \"question\": \"q\", \"answer\": \"x\", \"verifier\": \"odd\"}",
         "f:9: task '4' asks for the unknown verifier 'odd'"},
        {"{\"id\": \"4\", \"question\": \"q\", \"answer\": \"x\", \"verifier\": \"em\", "
         "\"steps\": [{\"answer\": \"...\"}]}",
         NULL},
    };
    struct pl_import_set set = {0};
    struct pl_import_draft draft;

    (void)state;
    pl_import_draft_init(&draft);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum pl_import_added added = PL_IMPORT_NEW;
        struct pl_error err = {0};

        pl_buf_clear(&draft.line);
        pl_buf_puts(&draft.line, cases[i].line);
        assert_int_equal(pl_import_set_add(&set, &draft, "f:9", &added, &err), PL_OK);
        assert_int_equal(added, PL_IMPORT_UNFIT);
        assert_int_equal(err.code, PL_EFORMAT);
        assert_memory_equal(err.text, "f:9: ", 5);
        if (cases[i].sentence)
            assert_string_equal(err.text, cases[i].sentence);
    }
    assert_int_equal(set.count, 0);
    pl_import_draft_release(&draft);
    assert_true(add(&set, "4", "q", "", "")); /* neither id nor question was used up */
    pl_import_set_release(&set);
}

enum { MANY = 240 };

/* Levels "1" to "3" in turn; no links. */
static void fill_plain(struct pl_import_set *set)
{
    for (size_t i = 0; i < MANY; i++) {
        char id[16], level[4];

        snprintf(id, sizeof id, "t%zu", i);
        snprintf(level, sizeof level, "%zu", 1 + i % 3);
        add(set, id, id, level, "");
    }
}

static size_t count_part(const struct pl_import_set *set, enum pl_import_part part,
                         const char *level)
{
    size_t n = 0;

    for (size_t i = 0; i < set->count; i++)
        n += set->items[i].part == part && (!level || strcmp(set->items[i].task.level, level) == 0);
    return n;
}

static void exactly_as_many_as_asked_for(void **state)
{
    static char three[] = "3", one[] = "1";
    static char *const levels[] = {three, one};
    static const struct {
        struct pl_import_choice choice;
        size_t train, test, of_3;
        size_t other_level;
    } cases[] = {
        {{.count = 0}, MANY, 0, MANY / 3, 0},
        {{.count = 17}, 17, 0, SIZE_MAX, 0},
        {{.count = 17, .per_level = true}, 51, 0, 17, 0},
        {{.parts = true, .train = 200, .test = 40}, 200, 40, MANY / 3, 0},
        {{.parts = true, .train = 0, .test = 40}, 0, 40, SIZE_MAX, 0},
        {{.parts = true, .train = 60, .test = 20, .per_level = true}, 180, 60, 80, 0},
        {{.levels = levels, .level_count = 1}, 80, 0, 80, 160},
        {{.levels = levels, .level_count = 2, .count = 3}, 3, 0, SIZE_MAX, 80},
        {{.parts = true, .train = 5, .test = 5, .components = true}, 5, 5, SIZE_MAX, 0},
    };
    struct pl_import_set set = {0};

    (void)state;
    fill_plain(&set);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pl_import_chosen chosen = {0};

        assert_int_equal(pl_import_choose(&set, &cases[i].choice, &chosen, NULL), PL_OK);
        assert_int_equal(count_part(&set, PL_IMPORT_TRAIN, NULL), cases[i].train);
        assert_int_equal(count_part(&set, PL_IMPORT_TEST, NULL), cases[i].test);
        if (cases[i].of_3 != SIZE_MAX)
            assert_int_equal(count_part(&set, PL_IMPORT_TRAIN, "3") +
                                 count_part(&set, PL_IMPORT_TEST, "3"),
                             cases[i].of_3);
        assert_int_equal(chosen.other_level, cases[i].other_level);
        assert_int_equal(chosen.not_drawn,
                         MANY - cases[i].other_level - cases[i].train - cases[i].test);
    }
    pl_import_set_release(&set);
}

static void too_many_are_refused(void **state)
{
    static char nine[] = "9";
    static char *const levels[] = {nine};
    static const struct {
        struct pl_import_choice choice;
        const char *sentence;
    } cases[] = {
        {{.count = 241}, "241 tasks are asked for, there are 240"},
        {{.parts = true, .train = 200, .test = 41}, "241 tasks are asked for, there are 240"},
        {{.parts = true, .train = 80, .test = 1, .per_level = true},
         "81 tasks of level '1' are asked for, there are 80"},
        {{.levels = levels, .level_count = 1},
         "none of the 240 tasks has the level '9'; there are '1', '2', '3'"},
    };
    struct pl_import_set set = {0};

    (void)state;
    fill_plain(&set);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pl_import_choice choice = cases[i].choice;
        struct pl_import_chosen chosen;
        struct pl_error err = {0};

        for (int k = 0; k < 2; k++) {
            choice.seed = (uint64_t)k;
            if (choice.per_level) /* which of the levels is named depends on the draw */
                continue;
            assert_int_equal(pl_import_choose(&set, &choice, &chosen, &err), PL_EINVAL);
            assert_string_equal(err.text, cases[i].sentence);
        }
        if (choice.per_level) {
            assert_int_equal(pl_import_choose(&set, &choice, &chosen, &err), PL_EINVAL);
            assert_non_null(strstr(err.text, "81 tasks of level '"));
            assert_non_null(strstr(err.text, "' are asked for, there are 80"));
        }
    }
    pl_import_set_release(&set);
}

static void parts_of(const struct pl_import_set *set, char parts[MANY])
{
    for (size_t i = 0; i < set->count; i++)
        parts[strtoul(set->items[i].task.id + 1, NULL, 10)] = (char)('a' + set->items[i].part);
}

/* Parts depend on the seed and the question, not on the order in which rows come. */
static void draws_depend_on_the_seed_alone(void **state)
{
    struct pl_import_choice choice = {.parts = true, .train = 100, .test = 40};
    struct pl_import_set set = {0}, back = {0};
    struct pl_import_chosen chosen;
    char first[MANY], second[MANY];
    size_t differ = 0;

    (void)state;
    fill_plain(&set);
    for (size_t i = set.count; i-- > 0;)
        add(&back, set.items[i].task.id, set.items[i].task.question, set.items[i].task.level, "");
    assert_int_equal(pl_import_choose(&set, &choice, &chosen, NULL), PL_OK);
    assert_int_equal(pl_import_choose(&back, &choice, &chosen, NULL), PL_OK);
    parts_of(&set, first);
    parts_of(&back, second);
    assert_memory_equal(first, second, MANY);
    choice.train = 3; /* the test part stays as it is */
    assert_int_equal(pl_import_choose(&set, &choice, &chosen, NULL), PL_OK);
    parts_of(&set, second);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(first[i] == 'a' + PL_IMPORT_TEST, second[i] == 'a' + PL_IMPORT_TEST);
    choice.seed = 1;
    assert_int_equal(pl_import_choose(&set, &choice, &chosen, NULL), PL_OK);
    parts_of(&set, second);
    for (size_t i = 0; i < MANY; i++)
        differ += (first[i] == 'a' + PL_IMPORT_TEST) != (second[i] == 'a' + PL_IMPORT_TEST);
    assert_in_range(differ, 30, 80);
    pl_import_set_release(&set);
    pl_import_set_release(&back);
}

/* 40 tasks in chains of 1 to 7 that share a letter from one to the next, some over two levels. */
static size_t fill_chains(struct pl_import_set *set, size_t chains[64])
{
    size_t n = 0;

    for (size_t chain = 0; n < 40; chain++) {
        for (size_t i = 0; i <= chain % 7 && n < 40; i++) {
            char id[16], links[4];

            /* link i of a chain is also in its next task */
            snprintf(id, sizeof id, "t%zu", n);
            snprintf(links, sizeof links, "%c%c", (char)('0' + n), (char)('0' + n + 1));
            if (i == chain % 7)
                links[1] = '\0';
            chains[n++] = chain;
            add(set, id, id, i % 2 ? "4" : "3", links);
        }
    }
    return n;
}

static void components_stay_together(void **state)
{
    size_t chains[64];
    struct pl_import_set set = {0};
    const size_t n = fill_chains(&set, chains);

    (void)state;
    assert_int_equal(n, 40);
    for (uint64_t seed = 0; seed < 200; seed++) {
        const bool per_level = seed % 2;
        const struct pl_import_choice choice = {.seed = seed,
                                                .parts = true,
                                                .train = per_level ? 4 : 12,
                                                .test = 1 + seed / 2 % (per_level ? 5 : 13),
                                                .per_level = per_level,
                                                .components = true};
        struct pl_import_chosen chosen = {0};
        struct pl_error err = {0};
        bool in[2][64] = {{false}};
        const int rc = pl_import_choose(&set, &choice, &chosen, &err);

        if (rc < 0)
            fail_msg("seed %u: %s", (unsigned)seed, err.text);
        assert_int_equal(chosen.components, 12);
        for (size_t k = 0; k < 2; k++) {
            const char *level = per_level ? k ? "3" : "4" : NULL;

            assert_int_equal(count_part(&set, PL_IMPORT_TRAIN, level), choice.train);
            assert_int_equal(count_part(&set, PL_IMPORT_TEST, level), choice.test);
        }
        for (size_t i = 0; i < n; i++)
            if (set.items[i].part != PL_IMPORT_NOWHERE)
                in[set.items[i].part][chains[i]] = true;
        for (size_t i = 0; i < 64; i++)
            assert_false(in[0][i] && in[1][i]);
    }
    pl_import_set_release(&set);
}

static void what_components_forbid_is_refused(void **state)
{
    const struct pl_import_choice whole = {
        .parts = true, .train = 3, .test = 2, .components = true};
    const struct pl_import_choice rows = {.parts = true, .train = 3, .test = 2};
    const struct pl_import_choice cut = {.parts = true, .train = 1, .test = 3, .components = true};
    struct pl_import_set set = {0};
    struct pl_import_chosen chosen = {0};
    struct pl_error err = {0};

    (void)state;
    add(&set, "1", "1", "", "ab");
    add(&set, "2", "2", "", "bc");
    add(&set, "3", "3", "", "xd");
    add(&set, "4", "4", "", "dca"); /* all one component */
    add(&set, "5", "5", "", "");
    assert_int_equal(pl_import_choose(&set, &whole, &chosen, &err), PL_EINVAL);
    assert_string_equal(err.text,
                        "5 tasks are in 2 components; beside those to test on, which share nothing "
                        "with the others, 3 of those to train on are missing: ask for fewer, or "
                        "give --split row");
    assert_int_equal(pl_import_choose(&set, &rows, &chosen, &err), PL_OK);
    add(&set, "6", "6", "", "");
    add(&set, "7", "7", "", "zz");
    /* three single tasks to test on: the component is to train on */
    assert_int_equal(pl_import_choose(&set, &cut, &chosen, &err), PL_OK);
    assert_int_equal(chosen.shared, 0);
    assert_int_equal(set.items[4].part, PL_IMPORT_TEST);
    assert_int_equal(set.items[5].part, PL_IMPORT_TEST);
    assert_int_equal(set.items[6].part, PL_IMPORT_TEST);
    pl_import_set_release(&set);

    add(&set, "1", "1", "", "a");
    add(&set, "2", "2", "", "a");
    add(&set, "3", "3", "", "b");
    add(&set, "4", "4", "", "b");
    add(&set, "5", "5", "", "b");
    /* One of two is tested on, and the other goes nowhere. */
    assert_int_equal(pl_import_choose(&set,
                                      &(struct pl_import_choice){
                                          .parts = true, .train = 3, .test = 1, .components = true},
                                      &chosen, &err),
                     PL_OK);
    assert_int_equal(chosen.shared, 1);
    assert_int_equal(chosen.not_drawn, 0);
    assert_int_equal(count_part(&set, PL_IMPORT_TRAIN, NULL), 3);
    assert_int_equal(set.items[2].part, PL_IMPORT_TRAIN);
    pl_import_set_release(&set);
}

static void summaries_say_what_is_there(void **state)
{
    static const char first[] = "reason", second[] = "another";
    struct pl_import_summary summary = {.kind = "math", .parts = true, .rows = 9, .duplicates = 2};
    struct pl_import_set set = {0};
    struct pl_ruler ruler = {0};
    char *text = NULL, *dump;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    json_t *root;

    (void)state;
    assert_non_null(out);
    pl_import_reasons_add(&summary.left_out, first);
    pl_import_reasons_add(&summary.left_out, second);
    pl_import_reasons_add(&summary.left_out, first);
    add(&set, "1", "four", "10", "");
    add(&set, "2", "eight...", "9", "");
    add(&set, "3", "nine.....", "9\\u001b[31m", "");
    add(&set, "4", "not written", "7", "");
    set.items[1].part = PL_IMPORT_TEST;
    set.items[1].note = first;
    set.items[3].part = PL_IMPORT_NOWHERE;
    assert_int_equal(pl_import_summary_measure(&summary, &set, &ruler, NULL), PL_OK);
    assert_int_equal(pl_import_summary_print(&summary, &set, out, NULL), PL_OK);
    fclose(out);
    assert_string_equal(text, "rows        number\n"
                              "read             9\n"
                              "reason           2\n"
                              "another          1\n"
                              "duplicates       2\n"
                              "tasks            3\n"
                              "\n"
                              "level   train  test\n"
                              "9           0     1\n"
                              "9?[31m      1     0\n"
                              "10          1     0\n"
                              "all         2     1\n"
                              "\n"
                              "question: 7 bytes, at most 9; steps: 0.00, at most 0\n"
                              "1 tasks: reason\n");
    root = pl_import_summary_json(&summary, &set);
    assert_non_null(root);
    dump = json_dumps(root, JSON_REAL_PRECISION(3));
    assert_string_equal(
        dump, "{\"kind\": \"math\", \"rows\": 9, \"duplicates\": 2, \"bad\": 0, \"left_out\": "
              "{\"reason\": 2, \"another\": 1}, \"other_level\": 0, \"not_drawn\": 0, \"shared\": "
              "0, \"components\": 0, \"tasks\": 3, \"train\": 2, \"test\": 1, \"levels\": {\"9\": "
              "{\"train\": 0, \"test\": 1}, \"9\\u001B[31m\": {\"train\": 1, \"test\": 0}, \"10\": "
              "{\"train\": 1, \"test\": 0}}, \"notes\": {\"reason\": 1}, \"question\": {\"unit\": "
              "\"bytes\", \"mean\": 7.0, \"max\": 9}, \"steps\": {\"mean\": 0.0, \"max\": 0}}");
    free(dump);
    free(text);
    json_decref(root);
    pl_import_set_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(duplicates_are_told),
        cmocka_unit_test(what_cannot_be_scored_is_told),
        cmocka_unit_test(exactly_as_many_as_asked_for),
        cmocka_unit_test(too_many_are_refused),
        cmocka_unit_test(draws_depend_on_the_seed_alone),
        cmocka_unit_test(components_stay_together),
        cmocka_unit_test(what_components_forbid_is_refused),
        cmocka_unit_test(summaries_say_what_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
