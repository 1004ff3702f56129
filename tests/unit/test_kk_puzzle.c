#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "deploy/tasks/kk_literal.h"
#include "deploy/tasks/kk_puzzle.h"
#include "deploy/tasks/kk_text.h"
#include "deploy/tasks/problem_set.h"
#include "tests/kk_naive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static uint64_t fnv(uint64_t h, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        h = (h ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
    return h;
}

static void names_cannot_be_confused(void **state)
{
    (void)state;
    for (size_t i = 0; i < PL_KK_NAMES; i++) {
        const char *name = pl_kk_name(i);

        assert_in_range(name[0], 'A', 'Z');
        for (size_t k = 1; k < strlen(name); k++)
            assert_in_range(name[k], 'a', 'z');
        assert_true(strlen(name) < PL_KK_NAME_BYTES);
        for (size_t k = 0; k < PL_KK_NAMES; k++)
            assert_true(i == k || !strcasestr(pl_kk_name(k), name));
    }
}

/* Worlds against the slow way, on trees much larger than those of published puzzles. */
static void claims_mean_what_they_say(void **state)
{
    (void)state;
    for (size_t people = PL_KK_PEOPLE_MIN; people <= PL_KK_PEOPLE_MAX; people++) {
        for (uint32_t index = 0; index < 12; index++) {
            struct pl_kk puzzle;
            uint32_t solution = 0;
            const size_t count = pl_naive_random(people, 3 + 5 * index, index, &puzzle);

            assert_int_equal(pl_kk_solve(&puzzle, &solution), count);
            assert_true(count == 0 || solution == puzzle.solution);
            for (size_t i = 0; i < people; i++) {
                const struct pl_kk_worlds is_true = pl_kk_claim_worlds(&puzzle.claims[i]);
                const struct pl_kk_worlds rule = pl_kk_rule(&puzzle, i);

                for (uint32_t world = 0; world < 256; world++) {
                    const bool in = world < 1u << people;

                    assert_int_equal(is_true.bits[world / 64] >> (world % 64) & 1,
                                     pl_naive_true(&puzzle.claims[i], world));
                    assert_int_equal(rule.bits[world / 64] >> (world % 64) & 1,
                                     in && pl_naive_fits(&puzzle, i, world));
                }
            }
        }
    }
}

/* One claim as the published generator makes them. */
static void is_published_form(const struct pl_kk *puzzle, size_t speaker)
{
    const struct pl_kk_claim *claim = &puzzle->claims[speaker];
    const struct pl_kk_node *leaves = claim->nodes;

    assert_in_range(claim->count, 1, 3);
    assert_int_equal(claim->nodes[0].kind <= PL_KK_LYING, claim->count == 1);
    assert_int_equal(claim->nodes[0].kind == PL_KK_NOT, claim->count == 2);
    if (claim->count > 1) {
        assert_int_equal(claim->nodes[0].value, claim->count - 1);
        leaves++;
    }
    for (const struct pl_kk_node *leaf = leaves; leaf < claim->nodes + claim->count; leaf++) {
        assert_true(leaf->kind <= PL_KK_LYING);
        assert_true(leaf->value < puzzle->people);
        assert_false(leaf->kind == PL_KK_LYING && leaf->value == speaker);
    }
    if (claim->count == 3)
        assert_false(leaves[0].kind == leaves[1].kind && leaves[0].value == leaves[1].value);
}

static void puzzles_have_one_solution(void **state)
{
    (void)state;
    for (size_t people = PL_KK_PEOPLE_MIN; people <= PL_KK_PEOPLE_MAX; people++) {
        for (uint32_t index = 0; index < 60; index++) {
            struct pl_kk puzzle;
            uint32_t solution = 0;

            pl_kk_generate(9, people, index, PL_KK_NAMES, &puzzle);
            assert_int_equal(puzzle.people, people);
            assert_int_equal(pl_naive_solve(&puzzle, &solution), 1);
            assert_int_equal(puzzle.solution, solution);
            for (size_t i = 0; i < people; i++) {
                is_published_form(&puzzle, i);
                assert_true(puzzle.voices[i] < PL_KK_VOICES);
                for (size_t k = 0; k < i; k++)
                    assert_string_not_equal(puzzle.names[i], puzzle.names[k]);
            }
        }
    }
}

/* Everything that goes into the files, hashed. If this changes, so do all made-up data sets: then
 * the new number belongs here and a word about it into the commit. */
static void puzzles_are_what_they_were(void **state)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    struct pl_kk puzzle, again;
    struct pl_buf buf;

    (void)state;
    pl_buf_init(&buf, 1 << 20);
    for (size_t people = PL_KK_PEOPLE_MIN; people <= PL_KK_PEOPLE_MAX; people++) {
        for (uint32_t index = 0; index < 8; index++) {
            pl_kk_generate(1, people, index, 16, &puzzle);
            assert_int_equal(pl_kk_question(&puzzle, PL_WORDING_PUBLISHED, &buf), PL_OK);
            assert_int_equal(pl_kk_question(&puzzle, PL_WORDING_PLAIN, &buf), PL_OK);
            assert_int_equal(pl_kk_literal_print(&puzzle, &buf), PL_OK);
            assert_int_equal(pl_kk_solution_text(&puzzle, puzzle.solution, &buf), PL_OK);
        }
    }
    h = fnv(h, buf.data, buf.len);
    print_message("%zu bytes, hash %016llx\n", buf.len, (unsigned long long)h);
    assert_true(h == UINT64_C(0xbda6868b5d394b21));
    pl_buf_release(&buf);

    /* The last one once more, with nothing made before it: equal; another seed, size or index: not.
     */
    pl_kk_generate(1, PL_KK_PEOPLE_MAX, 7, 16, &again);
    assert_memory_equal(&puzzle, &again, sizeof puzzle);
    pl_kk_generate(2, PL_KK_PEOPLE_MAX, 7, 16, &again);
    assert_true(pl_kk_key(&puzzle) != pl_kk_key(&again));
    pl_kk_generate(1, PL_KK_PEOPLE_MAX, 8, 16, &again);
    assert_true(pl_kk_key(&puzzle) != pl_kk_key(&again));
}

/* Shares of claims by outermost kind, and of knights, counted in the published rows of 3, 4 and 5
 * people (1,060 puzzles each). */
static void claims_are_distributed_as_published(void **state)
{
    static const double published[3][PL_KK_KINDS] = {
        {.087, .071, .134, .169, .169, .182, .187},
        {.084, .078, .153, .166, .171, .180, .168},
        {.081, .075, .152, .171, .173, .181, .167},
    };
    static const double knights[3] = {.541, .542, .514};
    enum { COUNT = 2500 };

    (void)state;
    for (size_t people = 3; people <= 5; people++) {
        size_t kinds[PL_KK_KINDS] = {0}, knight_count = 0;

        for (uint32_t index = 0; index < COUNT; index++) {
            struct pl_kk puzzle;

            pl_kk_generate(3, people, index, PL_KK_NAMES, &puzzle);
            for (size_t i = 0; i < people; i++) {
                kinds[puzzle.claims[i].nodes[0].kind]++;
                knight_count += puzzle.solution >> i & 1;
            }
        }
        for (size_t kind = 0; kind < PL_KK_KINDS; kind++) {
            const double share = (double)kinds[kind] / (double)(COUNT * people);

            print_message("%zu people, %-13s %.3f, published %.3f\n", people,
                          pl_kk_kind_name((enum pl_kk_kind)kind), share,
                          published[people - 3][kind]);
            assert_true(share > published[people - 3][kind] - .02);
            assert_true(share < published[people - 3][kind] + .02);
        }
        print_message("%zu people, knights %.3f\n", people,
                      (double)knight_count / (double)(COUNT * people));
        assert_true((double)knight_count / (double)(COUNT * people) > knights[people - 3] - .03);
        assert_true((double)knight_count / (double)(COUNT * people) < knights[people - 3] + .03);
    }
}

/* Words. */

static void puzzles_read_well(void **state)
{
    static const char literal[] =
        "(('->', ('lying', 1), ('telling-truth', 0)), ('not', ('telling-truth', 2)), ('or', "
        "('not', ('and', ('lying', 0), ('lying', 1), ('not', ('lying', 2)))), ('<=>', ('lying', "
        "0), ('not', ('not', ('lying', 1))))))";
    struct pl_kk puzzle = {.names = {"Zoey", "Max", "Ivy"}, .voices = {0, 1, 11}};
    struct pl_buf buf;

    (void)state;
    pl_buf_init(&buf, 4096);
    assert_int_equal(pl_kk_literal_parse(literal, strlen(literal), 3, &puzzle, NULL), PL_OK);
    assert_int_equal(pl_kk_question(&puzzle, PL_WORDING_PUBLISHED, &buf), PL_OK);
    assert_string_equal(
        buf.data,
        "On an island every inhabitant is either a knight, who only ever tells the truth, or a "
        "knave, who only ever lies. You come across 3 of them: Zoey, Max and Ivy. Zoey remarked, "
        "\"If Max is a knave then Zoey is a knight.\" \"Ivy is not a knight,\" said Max. As Ivy "
        "tells it, (it is not the case that (Zoey is a knave and Max is a knave and Ivy is not a "
        "knave)) or (Zoey is a knave if and only if (it is not the case that Max is not a "
        "knave)). Who is a knight, and who is a knave?");
    pl_buf_clear(&buf);
    pl_kk_names_lower(&puzzle);
    assert_int_equal(pl_kk_question(&puzzle, PL_WORDING_PLAIN, &buf), PL_OK);
    assert_string_equal(buf.data,
                        " zoey says if max is a knave then zoey is a knight . max says ivy is not "
                        "a knight . ivy says ( not ( zoey is a knave and max is a knave and ivy is "
                        "not a knave ) ) or ( zoey is a knave iff ( not max is not a knave ) ) . "
                        "who is what ?");
    pl_buf_clear(&buf);
    assert_int_equal(pl_kk_solution_text(&puzzle, 5, &buf), PL_OK);
    assert_string_equal(buf.data, "zoey is a knight, max is a knave and ivy is a knight");
    puzzle.people = 2;
    pl_buf_clear(&buf);
    assert_int_equal(pl_kk_solution_text(&puzzle, 1, &buf), PL_OK);
    assert_string_equal(buf.data, "zoey is a knight and max is a knave");
    pl_buf_release(&buf);
}

/* Literals. */

static void literals_come_back_equal(void **state)
{
    struct pl_buf buf;

    (void)state;
    pl_buf_init(&buf, 1 << 16);
    for (uint32_t index = 0; index < 300; index++) {
        const size_t people = PL_KK_PEOPLE_MIN + index % 7;
        struct pl_kk puzzle, again = {0};

        pl_naive_random(people, 1 + index % PL_KK_NODES_MAX, index, &puzzle);
        pl_buf_clear(&buf);
        assert_int_equal(pl_kk_literal_print(&puzzle, &buf), PL_OK);
        assert_int_equal(pl_kk_literal_parse(buf.data, buf.len, people, &again, NULL), PL_OK);
        assert_int_equal(again.people, people);
        assert_memory_equal(puzzle.claims, again.claims, sizeof puzzle.claims);
        for (size_t len = 0; len < buf.len; len++) /* cut off anywhere */
            assert_int_equal(pl_kk_literal_parse(buf.data, len, people, &again, NULL), PL_EFORMAT);
    }
    pl_buf_release(&buf);
}

static void literals_may_be_written_freely(void **state)
{
    static const char text[] = " ( ( \"and\" ,('lying',01 ,)\t,\n('telling-truth', 0), ) ,"
                               "('not',('lying',0),),)\r\n";
    struct pl_kk puzzle = {0};
    struct pl_buf buf;

    (void)state;
    pl_buf_init(&buf, 4096);
    assert_int_equal(pl_kk_literal_parse(text, strlen(text), 2, &puzzle, NULL), PL_OK);
    assert_int_equal(pl_kk_literal_print(&puzzle, &buf), PL_OK);
    assert_string_equal(buf.data,
                        "(('and', ('lying', 1), ('telling-truth', 0)), ('not', ('lying', 0)))");
    pl_buf_release(&buf);
}

static void bad_literals_are_refused(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *sentence;
    } cases[] = {
        {"", PL_EFORMAT, "byte 0: expected '(', found the end"},
        {"[", PL_EFORMAT, "byte 0: expected '(', found '['"},
        {"()", PL_EFORMAT, "byte 1: expected '(', found ')'"},
        {"(\x01", PL_EFORMAT, "byte 1: expected '(', found byte 0x01"},
        {"(('lying', 1)", PL_EFORMAT, "byte 13: expected ',' or ')', found the end"},
        {"(('lying', 1),)", PL_EFORMAT, "expected 2 claims, found 1"},
        {"(('lying', 1), ('lying', 0), ('lying', 0))", PL_EFORMAT,
         "byte 29: expected 2 claims, found more"},
        {"(('lying', 2), ('lying', 0))", PL_EFORMAT,
         "byte 11: expected a person from 0 to 1, found a greater number"},
        {"(('lying', 99999999999999999999), ('lying', 0))", PL_EFORMAT,
         "byte 11: expected a person from 0 to 1, found a greater number"},
        {"(('lying', -1), ('lying', 0))", PL_EFORMAT,
         "byte 11: expected the number of a person, found '-'"},
        {"(('lying', 1, 1), ('lying', 0))", PL_EFORMAT, "byte 14: expected ')', found '1'"},
        {"(('lying' 1), ('lying', 0))", PL_EFORMAT, "byte 10: expected ',', found '1'"},
        {"(('LYING', 1), ('lying', 0))", PL_EFORMAT,
         "byte 2: expected 'telling-truth', 'lying', 'not', 'and', 'or', '->' or '<=>', found "
         "another kind"},
        {"((lying, 1), ('lying', 0))", PL_EFORMAT,
         "byte 2: expected the kind of a claim in quotes, found 'l'"},
        {"(('lying\", 1), ('lying', 0))", PL_EFORMAT,
         "byte 2: expected 'telling-truth', 'lying', 'not', 'and', 'or', '->' or '<=>', found "
         "another kind"},
        {"(('not', ('lying', 1), ('lying', 0)), ('lying', 0))", PL_EFORMAT,
         "byte 35: 'not' takes 1 part, found 2"},
        {"(('and', ('lying', 1)), ('lying', 0))", PL_EFORMAT,
         "byte 21: 'and' and 'or' take 2 parts or more, found 1"},
        {"(('->', ('lying', 1), ('lying', 0), ('lying', 0)), ('lying', 0))", PL_EFORMAT,
         "byte 48: '->' and '<=>' take 2 parts, found 3"},
        {"(('<=>', ('lying', 1),), ('lying', 0))", PL_EFORMAT,
         "byte 22: '->' and '<=>' take 2 parts, found 1"},
        {"(('and', 1, 0), ('lying', 0))", PL_EFORMAT, "byte 9: expected '(', found '1'"},
        {"(('not', ('lying', 1)) ('lying', 0))", PL_EFORMAT,
         "byte 23: expected ',' or ')', found '('"},
        {"(('lying', 1), ('lying', 0)) x", PL_EFORMAT, "byte 29: expected the end, found 'x'"},
        {"(('lying', 1), ('lying', 0)))", PL_EFORMAT, "byte 28: expected the end, found ')'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pl_kk puzzle = {.people = 7};
        struct pl_error err = {0};

        assert_int_equal(
            pl_kk_literal_parse(cases[i].text, strlen(cases[i].text), 2, &puzzle, &err),
            cases[i].code);
        assert_string_equal(err.text, cases[i].sentence);
        assert_int_equal(puzzle.people, 7);
    }
}

/* A megabyte of what opens and never closes, of digits, of blanks: an error, at once. */
static void hostile_literals_are_refused(void **state)
{
    static const char *const patterns[] = {
        "(", "('not', ", "('and', ('lying', 0), ", "'", " ", "(('lying', 0", "(('"};
    enum { LEN = 1 << 20 };
    char *text = malloc(LEN);
    struct pl_kk puzzle;
    struct pl_error err;

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        const size_t len = strlen(patterns[i]);
        int rc;

        text[0] = '(';
        for (size_t at = 1; at < LEN; at++)
            text[at] = patterns[i][(at - 1) % len];
        rc = pl_kk_literal_parse(text, LEN, 8, &puzzle, &err);
        assert_int_equal(rc, i == 1 || i == 2 ? PL_EUNSUPPORTED : PL_EFORMAT);
    }
    memset(text, '0', LEN);
    memcpy(text, "(('lying', ", 11);
    assert_int_equal(pl_kk_literal_parse(text, LEN, 8, &puzzle, &err), PL_EFORMAT);
    assert_string_equal(err.text, "byte 1048576: expected ')', found the end");
    free(text);
}

/* Shapes. */

enum { FORM_BYTES = 160 };

/* The claim of `speaker` with people renumbered, denials of one person written the short way and
 * the two parts of an and, or, if-and-only-if in alphabetical order. Published forms only. */
static void claim_form(const struct pl_kk *puzzle, size_t speaker, const size_t *number, char *form)
{
    const struct pl_kk_claim *claim = &puzzle->claims[speaker];
    const size_t kind = claim->nodes[0].kind;
    const struct pl_kk_node *leaf = claim->nodes + (kind > PL_KK_LYING);
    char parts[2][8];

    if (kind <= PL_KK_NOT) {
        const bool lying = (leaf->kind == PL_KK_LYING) != (kind == PL_KK_NOT);

        sprintf(form, "%d%zu ", lying, number[leaf->value]);
        return;
    }
    for (size_t i = 0; i < 2; i++)
        sprintf(parts[i], "%u%zu", leaf[i].kind, number[leaf[i].value]);
    if (kind != PL_KK_IMPLIES && strcmp(parts[0], parts[1]) > 0)
        sprintf(form, "%zu:%s,%s ", kind, parts[1], parts[0]);
    else
        sprintf(form, "%zu:%s,%s ", kind, parts[0], parts[1]);
}

/* The least form over all orders of three people: equal exactly for puzzles in disguise. */
static void least_form(const struct pl_kk *puzzle, char best[FORM_BYTES])
{
    static const size_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                        {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

    memset(best, 0x7f, FORM_BYTES - 1);
    best[FORM_BYTES - 1] = '\0';
    for (size_t order = 0; order < 6; order++) {
        char form[FORM_BYTES] = "";

        for (size_t place = 0; place < 3; place++)
            for (size_t i = 0; i < 3; i++)
                if (orders[order][i] == place)
                    claim_form(puzzle, i, orders[order], form + strlen(form));
        if (strcmp(form, best) < 0)
            strcpy(best, form);
    }
}

struct shaped {
    char form[FORM_BYTES];
    uint64_t shape;
};

static int by_form(const void *a, const void *b)
{
    return strcmp(((const struct shaped *)a)->form, ((const struct shaped *)b)->form);
}

static int by_shape(const void *a, const void *b)
{
    const uint64_t x = ((const struct shaped *)a)->shape, y = ((const struct shaped *)b)->shape;

    return x < y ? -1 : x > y;
}

static void shapes_see_through_disguises(void **state)
{
    enum { COUNT = 2500 };
    struct shaped *all = calloc(COUNT, sizeof *all);
    size_t shared = 0;

    (void)state;
    assert_non_null(all);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct pl_kk puzzle;

        pl_kk_generate(4, 3, i, PL_KK_NAMES, &puzzle);
        least_form(&puzzle, all[i].form);
        all[i].shape = pl_kk_shape(&puzzle);
    }
    qsort(all, COUNT, sizeof *all, by_form); /* one form, one shape */
    for (size_t i = 1; i < COUNT; i++) {
        if (strcmp(all[i - 1].form, all[i].form) == 0) {
            assert_true(all[i - 1].shape == all[i].shape);
            shared++;
        }
    }
    qsort(all, COUNT, sizeof *all, by_shape); /* one shape, one form */
    for (size_t i = 1; i < COUNT; i++) {
        if (all[i - 1].shape == all[i].shape)
            assert_string_equal(all[i - 1].form, all[i].form);
    }
    print_message("%d puzzles, %zu of them disguises of another\n", COUNT, shared);
    assert_in_range(shared, COUNT / 20, COUNT / 2); /* or nothing was tested */
    free(all);
}

/* Sets. */

static void sets_hold_no_puzzle_twice(void **state)
{
    const struct pl_problem_set_opts opts = {.family = &pl_family_kk,
                                             .draw = {.seed = 5, .names = 3},
                                             .sizes = {2, 3},
                                             .count = 2,
                                             .split = PL_SPLIT_PROBLEM};
    enum { COUNT = 1500 };
    static struct pl_kk puzzles[COUNT];
    struct pl_problem_set set;
    size_t disguised = 0;

    (void)state;
    pl_problem_set_init(&set, &opts);
    for (size_t i = 0; i < COUNT; i++) {
        const enum pl_data_part part = i < COUNT - 100 ? PL_DATA_PART_TRAIN : PL_DATA_PART_TEST;
        struct pl_problem drawn;
        struct pl_kk again;
        uint32_t index;

        assert_int_equal(pl_problem_set_next(&set, part, &drawn, &index, NULL), PL_OK);
        puzzles[i] = drawn.of.kk;
        assert_int_equal(puzzles[i].people, 2 + i % 2);
        pl_kk_generate(5, puzzles[i].people, index, 3, &again);
        assert_memory_equal(&again, &puzzles[i], sizeof again);
        for (size_t k = 0; k < i; k++) {
            assert_false(puzzles[k].people == puzzles[i].people &&
                         memcmp(puzzles[k].names, puzzles[i].names, sizeof puzzles[i].names) == 0 &&
                         memcmp(puzzles[k].claims, puzzles[i].claims, sizeof puzzles[i].claims) ==
                             0);
            disguised +=
                part == PL_DATA_PART_TEST && pl_kk_shape(&puzzles[k]) == pl_kk_shape(&puzzles[i]);
        }
    }
    assert_true(disguised > 0); /* this split does not promise more */
    pl_problem_set_release(&set);
}

static void parts_share_no_shape(void **state)
{
    struct pl_key_set shapes[PL_DATA_PARTS] = {{0}};

    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) { /* two training sets, then two test sets */
        const enum pl_data_part part = seed < 2 ? PL_DATA_PART_TRAIN : PL_DATA_PART_TEST;
        const struct pl_problem_set_opts opts = {.family = &pl_family_kk,
                                                 .draw = {.seed = seed, .names = 48},
                                                 .sizes = {3, 2},
                                                 .count = 2,
                                                 .split = PL_SPLIT_SHAPE};
        struct pl_problem_set set;

        pl_problem_set_init(&set, &opts);
        for (size_t i = 0; i < 800; i++) {
            struct pl_problem problem;
            uint32_t index;
            bool is_new;

            assert_int_equal(pl_problem_set_next(&set, part, &problem, &index, NULL), PL_OK);
            assert_int_equal(problem.of.kk.people, 3 - i % 2);
            assert_int_equal(pl_key_set_add(&shapes[part], pl_kk_shape(&problem.of.kk), &is_new),
                             PL_OK);
            if (part == PL_DATA_PART_TRAIN || !is_new)
                continue;
            assert_int_equal(
                pl_key_set_add(&shapes[PL_DATA_PART_TRAIN], pl_kk_shape(&problem.of.kk), &is_new),
                PL_OK);
            assert_true(is_new);
        }
        pl_problem_set_release(&set);
    }
    print_message("%zu shapes, %zu of them for tests\n", shapes[PL_DATA_PART_TRAIN].count,
                  shapes[PL_DATA_PART_TEST].count);
    assert_true(shapes[PL_DATA_PART_TEST].count > 50);
    for (size_t part = 0; part < PL_DATA_PARTS; part++)
        pl_key_set_release(&shapes[part]);
}

static void sets_end_when_puzzles_do(void **state)
{
    const struct pl_problem_set_opts opts = {.family = &pl_family_kk,
                                             .draw = {.seed = 1, .names = 2},
                                             .sizes = {2},
                                             .count = 1,
                                             .split = PL_SPLIT_NONE};
    struct pl_problem_set set;
    struct pl_problem problem;
    struct pl_error err = {0};
    uint32_t index;
    size_t count = 0;
    char sentence[200];

    (void)state;
    pl_problem_set_init(&set, &opts);
    while (pl_problem_set_next(&set, PL_DATA_PART_TRAIN, &problem, &index, &err) == PL_OK)
        count++;
    assert_int_equal(err.code, PL_EFULL);
    snprintf(sentence, sizeof sentence,
             "no new puzzle of 2 people was found after the first %zu of the set: ask for fewer, "
             "for more people or for more names",
             count);
    assert_string_equal(err.text, sentence);

    /* All there are: two orders of names, and every pair of claims of published form with one
     * solution, counted by trying them all. */
    size_t pairs = 0;
    struct pl_kk_claim claims[2][64] = {{{0}}};

    for (uint8_t speaker = 0; speaker < 2; speaker++) {
        const uint8_t other = 1 - speaker;
        const struct pl_kk_node leaves[3] = {
            {PL_KK_TRUTHFUL, speaker}, {PL_KK_TRUTHFUL, other}, {PL_KK_LYING, other}};
        size_t n = 0;

        for (size_t a = 0; a < 3; a++) {
            claims[speaker][n++] = (struct pl_kk_claim){1, {leaves[a]}};
            claims[speaker][n++] = (struct pl_kk_claim){2, {{PL_KK_NOT, 1}, leaves[a]}};
            for (size_t b = 0; b < 3; b++)
                for (uint8_t kind = PL_KK_AND; a != b && kind <= PL_KK_EQUALS; kind++)
                    claims[speaker][n++] =
                        (struct pl_kk_claim){3, {{kind, 2}, leaves[a], leaves[b]}};
        }
        assert_int_equal(n, 30);
    }
    for (size_t a = 0; a < 30; a++) {
        for (size_t b = 0; b < 30; b++) {
            const struct pl_kk pair = {.people = 2, .claims = {claims[0][a], claims[1][b]}};
            uint32_t solution;

            pairs += pl_naive_solve(&pair, &solution) == 1;
        }
    }
    assert_int_equal(count, 2 * pairs);
    pl_problem_set_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_cannot_be_confused),
        cmocka_unit_test(claims_mean_what_they_say),
        cmocka_unit_test(puzzles_have_one_solution),
        cmocka_unit_test(puzzles_are_what_they_were),
        cmocka_unit_test(claims_are_distributed_as_published),
        cmocka_unit_test(puzzles_read_well),
        cmocka_unit_test(literals_come_back_equal),
        cmocka_unit_test(literals_may_be_written_freely),
        cmocka_unit_test(bad_literals_are_refused),
        cmocka_unit_test(hostile_literals_are_refused),
        cmocka_unit_test(shapes_see_through_disguises),
        cmocka_unit_test(sets_hold_no_puzzle_twice),
        cmocka_unit_test(parts_share_no_shape),
        cmocka_unit_test(sets_end_when_puzzles_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
