/*
 * Worked answers, read back from their text: tags, roles, and every step of every proof, checked by
 * trying all worlds. Nothing of the prover is used for that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/file.h"
#include "deploy/tasks/draws.h"
#include "deploy/tasks/kk_answer.h"
#include "deploy/tasks/kk_literal.h"
#include "deploy/tasks/kk_task.h"
#include "rewarder/reward.h"
#include "rewarder/verify.h"
#include "tests/kk_naive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 1 << 20, PARTS_MAX = 40 };

/* An answer split at its tags. */
struct parts {
    size_t count;
    struct {
        char kind; /* 't'hink, 'a'nswer */
        const char *text;
        size_t len;
    } at[PARTS_MAX];
};

/* Nothing may stand between tags, and none may be left open. */
static void split_tags(const char *text, struct parts *parts)
{
    static const char *const open[] = {"<think>", "<answer>"};
    static const char *const close[] = {"</think>", "</answer>"};

    parts->count = 0;
    while (*text) {
        const size_t kind = strncmp(text, open[1], strlen(open[1])) == 0;
        const char *end;

        assert_int_equal(strncmp(text, open[kind], strlen(open[kind])), 0);
        text += strlen(open[kind]);
        end = strstr(text, close[kind]);
        assert_non_null(end);
        assert_true(parts->count < PARTS_MAX);
        parts->at[parts->count].kind = kind ? 'a' : 't';
        parts->at[parts->count].text = text;
        parts->at[parts->count++].len = (size_t)(end - text);
        assert_null(memchr(text, '<', (size_t)(end - text)));
        text = end + strlen(close[kind]);
    }
}

/* Reads words off a text. */
static bool eat(const char **at, const char *words)
{
    if (strncmp(*at, words, strlen(words)) != 0)
        return false;
    *at += strlen(words);
    return true;
}

static size_t eat_name(const struct pl_kk *puzzle, const char **at)
{
    for (size_t i = 0; i < puzzle->people; i++) {
        const char *from = *at;

        if (eat(at, puzzle->names[i]) && !(**at >= 'a' && **at <= 'z'))
            return i;
        *at = from;
    }
    fail_msg("a name should stand here: %.40s", *at);
    return 0;
}

static bool eat_role(const char **at)
{
    if (eat(at, " is a knight"))
        return true;
    if (!eat(at, " is a knave"))
        fail_msg("a role should stand here: %.40s", *at);
    return false;
}

/* What is known at a point of a proof: the set of worlds not excluded, one for each supposition
 * that is open, and the roles stated so far there. */
struct level {
    bool possible[256];
    uint32_t known, knights;
    size_t person; /* supposed */
    bool knight;
    bool refuted;
};

struct checker {
    const struct pl_kk *puzzle;
    struct level levels[PL_KK_PEOPLE_MAX + 1];
    size_t depth, nested_max, steps;
    uint32_t proved; /* without any supposition */
};

static void checker_init(struct checker *c, const struct pl_kk *puzzle)
{
    memset(c, 0, sizeof *c);
    c->puzzle = puzzle;
    for (uint32_t world = 0; world < 1u << puzzle->people; world++)
        c->levels[0].possible[world] = true;
}

static void know(struct checker *c, size_t person, bool knight)
{
    struct level *level = &c->levels[c->depth];

    assert_false(level->known >> person & 1); /* no role is found twice */
    level->known |= 1u << person;
    level->knights |= (uint32_t)knight << person;
    for (uint32_t world = 0; world < 256; world++)
        if ((world >> person & 1) != knight)
            level->possible[world] = false;
    if (c->depth == 0)
        c->proved |= 1u << person;
}

static void suppose(struct checker *c, size_t person, bool knight)
{
    assert_true(c->depth < PL_KK_PEOPLE_MAX);
    c->levels[c->depth + 1] = c->levels[c->depth];
    c->depth++;
    c->levels[c->depth].person = person;
    c->levels[c->depth].knight = knight;
    know(c, person, knight);
    if (c->depth > c->nested_max)
        c->nested_max = c->depth;
}

/* What the named speaker's claim, together with the stated roles, leaves of `person`. */
static void by(struct checker *c, size_t speaker, size_t person, bool knight)
{
    const struct level *level = &c->levels[c->depth];
    bool can[2] = {false, false}, claim_can[2] = {false, false};

    assert_false(level->refuted);
    for (uint32_t world = 0; world < 1u << c->puzzle->people; world++) {
        if (!level->possible[world])
            continue;
        claim_can[pl_naive_true(&c->puzzle->claims[speaker], world)] = true;
        if (pl_naive_fits(c->puzzle, speaker, world))
            can[world >> person & 1] = true;
    }
    assert_true(can[knight] && !can[!knight]);
    /* No case distinction is hidden: the speaker's role is stated, or the claim's truth is plain.
     */
    if (person == speaker)
        assert_true(claim_can[knight] && !claim_can[!knight]);
    else
        assert_true(level->known >> speaker & 1);
    know(c, person, knight);
}

static void but(struct checker *c, size_t speaker)
{
    struct level *level = &c->levels[c->depth];

    assert_true(c->depth > 0);
    assert_true(level->known >> speaker & 1);
    for (uint32_t world = 0; world < 1u << c->puzzle->people; world++)
        assert_false(level->possible[world] && pl_naive_fits(c->puzzle, speaker, world));
    level->refuted = true;
}

static void so(struct checker *c, size_t person, bool knight)
{
    const struct level *level = &c->levels[c->depth];

    assert_true(c->depth > 0 && level->refuted);
    assert_int_equal(level->person, person);
    assert_int_equal(level->knight, !knight);
    c->depth--;
    know(c, person, knight);
}

/* `speaker` is quoted with the claim he or she made. */
static void eat_claim(const struct pl_kk *puzzle, size_t speaker, enum pl_wording wording,
                      const char **at)
{
    struct pl_buf claim;

    pl_buf_init(&claim, TEXT_BYTES_MAX);
    assert_int_equal(pl_kk_claim_text(puzzle, speaker, wording, &claim), PL_OK);
    assert_true(eat(at, claim.data));
    pl_buf_release(&claim);
}

static void check_sentence_plain(struct checker *c, const char **at)
{
    size_t speaker, person;

    assert_true(eat(at, " "));
    if (eat(at, "suppose ")) {
        person = eat_name(c->puzzle, at);
        suppose(c, person, eat_role(at));
    } else if (eat(at, "so ")) {
        person = eat_name(c->puzzle, at);
        so(c, person, eat_role(at));
    } else if (eat(at, "by ")) {
        speaker = eat_name(c->puzzle, at);
        assert_true(eat(at, " , "));
        person = eat_name(c->puzzle, at);
        by(c, speaker, person, eat_role(at));
    } else {
        assert_true(eat(at, "but "));
        speaker = eat_name(c->puzzle, at);
        assert_true(eat(at, " says "));
        eat_claim(c->puzzle, speaker, PL_WORDING_PLAIN, at);
        assert_true(eat(at, " , a contradiction"));
        but(c, speaker);
    }
    assert_true(eat(at, " ."));
}

/* The role that a sentence gives the speaker is the one that is known there. */
static void speaker_is(const struct checker *c, size_t speaker, bool knight)
{
    assert_true(c->levels[c->depth].known >> speaker & 1);
    assert_int_equal(c->levels[c->depth].knights >> speaker & 1, knight);
}

static void check_sentence_published(struct checker *c, const char **at)
{
    size_t speaker, person;
    bool knight;

    if (eat(at, "Suppose ")) {
        person = eat_name(c->puzzle, at);
        suppose(c, person, eat_role(at));
    } else if (eat(at, "So ")) {
        person = eat_name(c->puzzle, at);
        so(c, person, eat_role(at));
    } else if (eat(at, "What ")) {
        speaker = eat_name(c->puzzle, at);
        knight = eat(at, " says is true, so ");
        assert_true(knight || eat(at, " says is false, so "));
        assert_int_equal(eat_name(c->puzzle, at), speaker);
        assert_int_equal(eat_role(at), knight);
        by(c, speaker, speaker, knight);
    } else if (eat(at, "But ")) {
        speaker = eat_name(c->puzzle, at);
        knight = eat(at, ", a knight, says that ");
        assert_true(knight || eat(at, ", a knave, says that "));
        eat_claim(c->puzzle, speaker, PL_WORDING_PUBLISHED, at);
        assert_true(eat(at, knight ? ", which is false: a contradiction"
                                   : ", which is true: a contradiction"));
        speaker_is(c, speaker, knight);
        but(c, speaker);
    } else {
        speaker = eat_name(c->puzzle, at);
        knight = eat(at, " tells the truth, so ");
        assert_true(knight || eat(at, " lies, so "));
        speaker_is(c, speaker, knight);
        person = eat_name(c->puzzle, at);
        by(c, speaker, person, eat_role(at));
    }
    assert_true(eat(at, "."));
}

static void check_thought(struct checker *c, enum pl_wording wording, const char *text, size_t len)
{
    const char *at = text;

    while (at < text + len) {
        if (wording == PL_WORDING_PLAIN)
            check_sentence_plain(c, &at);
        else
            check_sentence_published(c, &at);
        c->steps++;
        if (wording == PL_WORDING_PUBLISHED && at < text + len)
            assert_true(eat(&at, " "));
    }
    assert_ptr_equal(at, text + len);
    assert_int_equal(c->depth, 0);
}

/* One role; returns the person. */
static size_t read_answer(const struct pl_kk *puzzle, const char *text, size_t len,
                          bool *ret_knight)
{
    const char *at = text;
    size_t person;

    eat(&at, " ");
    person = eat_name(puzzle, &at);
    *ret_knight = eat_role(&at);
    assert_ptr_equal(at, text + len);
    return person;
}

/* All roles, in order. */
static uint32_t read_solution(const struct pl_kk *puzzle, const char *text, size_t len)
{
    const char *at = text;
    uint32_t world = 0;

    eat(&at, " ");
    for (size_t i = 0; i < puzzle->people; i++) {
        assert_int_equal(eat_name(puzzle, &at), i);
        world |= (uint32_t)eat_role(&at) << i;
        if (i + 1 < puzzle->people)
            assert_true(eat(&at, i + 2 < puzzle->people ? ", " : " and "));
    }
    assert_ptr_equal(at, text + len);
    return world;
}

/* The tags of a template, as letters. */
static void expect_tags(const struct parts *parts, enum pl_method template, size_t people)
{
    char got[PARTS_MAX + 1] = "", want[PARTS_MAX + 1] = "";

    for (size_t i = 0; i < parts->count; i++)
        got[i] = parts->at[i].kind;
    if (template == PL_METHOD_INTERLEAVE) {
        for (size_t i = 0; i < 2 * people + 2; i++)
            want[i] = i % 2 ? 'a' : 't';
    } else if (template == PL_METHOD_THINK_ANSWER) {
        strcpy(want, "ta");
    } else {
        want[0] = 't';
        memset(want + 1, 'a', people + 1);
    }
    assert_string_equal(got, want);
}

struct answer {
    struct pl_buf text;
    bool correct;
    size_t nested_max, steps;
};

static void answer_init(struct answer *answer)
{
    memset(answer, 0, sizeof *answer);
    pl_buf_init(&answer->text, TEXT_BYTES_MAX);
}

/* An answer with tags: read back, roles against each other, thoughts if careful. */
static void check_tagged(const struct pl_kk *puzzle, const struct pl_worked_opts *opts,
                         struct answer *answer)
{
    const char *last = opts->wording == PL_WORDING_PLAIN ? " that is all ." : "That is everybody.";
    struct checker c;
    struct parts parts;
    uint32_t given = 0, roles = 0, solution;

    checker_init(&c, puzzle);
    split_tags(answer->text.data, &parts);
    expect_tags(&parts, opts->template, puzzle->people);
    for (size_t i = 0; i + 1 < parts.count; i++) {
        if (parts.at[i].kind == 'a') {
            bool knight;
            const size_t person = read_answer(puzzle, parts.at[i].text, parts.at[i].len, &knight);

            assert_false(given >> person & 1);
            given |= 1u << person;
            roles |= (uint32_t)knight << person;
            if (opts->careful) /* an answer is what was proved, and it was proved just now */
                assert_true(c.proved >> person & 1);
            if (opts->careful && opts->template == PL_METHOD_INTERLEAVE)
                assert_int_equal(c.proved, given);
        } else if (opts->template == PL_METHOD_INTERLEAVE && i + 2 == parts.count) {
            assert_int_equal(parts.at[i].len, strlen(last));
            assert_memory_equal(parts.at[i].text, last, strlen(last));
        } else if (opts->careful) {
            check_thought(&c, opts->wording, parts.at[i].text, parts.at[i].len);
        }
    }
    solution = read_solution(puzzle, parts.at[parts.count - 1].text, parts.at[parts.count - 1].len);
    if (opts->template != PL_METHOD_THINK_ANSWER) {
        assert_int_equal(given, (1u << puzzle->people) - 1);
        assert_int_equal(roles, solution);
    }
    if (opts->careful)
        assert_int_equal(c.proved, (1u << puzzle->people) - 1);
    assert_int_equal(answer->correct, solution == puzzle->solution);
    assert_true(answer->correct || !opts->careful);
    answer->nested_max = c.nested_max;
    answer->steps = c.steps;
}

static void check_untagged(const struct pl_kk *puzzle, const struct pl_worked_opts *opts,
                           struct answer *answer)
{
    const char *lead = opts->wording == PL_WORDING_PLAIN ? " answer:" : "Answer:";
    const char *text = answer->text.data;
    size_t len = answer->text.len;
    struct checker c;
    uint32_t solution;

    assert_null(strchr(text, '<'));
    if (opts->template == PL_METHOD_COT) {
        const char *at = strstr(text, lead);

        assert_non_null(at);
        if (opts->careful) {
            checker_init(&c, puzzle);
            check_thought(&c, opts->wording, text,
                          (size_t)(at - text) - (opts->wording == PL_WORDING_PUBLISHED));
            assert_int_equal(c.proved, (1u << puzzle->people) - 1);
        }
        at += strlen(lead);
        len -= (size_t)(at - text) + (opts->wording == PL_WORDING_PUBLISHED); /* its full stop */
        text = at;
    }
    solution = read_solution(puzzle, text, len);
    assert_int_equal(answer->correct, solution == puzzle->solution);
    assert_true(answer->correct || !opts->careful);
}

static void make_and_check(const struct pl_kk *puzzle, const struct pl_worked_opts *opts,
                           struct answer *answer)
{
    pl_buf_clear(&answer->text);
    assert_int_equal(pl_kk_answer(puzzle, opts, &answer->text, &answer->correct), PL_OK);
    if (opts->template == PL_METHOD_DIRECT || opts->template == PL_METHOD_COT)
        check_untagged(puzzle, opts, answer);
    else
        check_tagged(puzzle, opts, answer);
}

static void every_step_of_a_careful_answer_holds(void **state)
{
    struct answer answer;

    (void)state;
    answer_init(&answer);
    for (size_t people = PL_KK_PEOPLE_MIN; people <= PL_KK_PEOPLE_MAX; people++) {
        for (uint32_t index = 0; index < 60; index++) {
            struct pl_worked_opts opts = {.careful = true};
            struct pl_kk puzzle;

            pl_kk_generate(11, people, index, PL_KK_NAMES, &puzzle);
            for (size_t i = 0; i < 2 * PL_TEMPLATES; i++) {
                opts.template = (enum pl_method)(i % PL_TEMPLATES);
                opts.wording = i < PL_TEMPLATES ? PL_WORDING_PUBLISHED : PL_WORDING_PLAIN;
                if (i == PL_TEMPLATES)
                    pl_kk_names_lower(&puzzle);
                make_and_check(&puzzle, &opts, &answer);
            }
        }
    }
    pl_buf_release(&answer.text);
}

/* Claims far beyond published ones, where no single supposition is enough. */
static void hard_puzzles_are_proved_by_nested_suppositions(void **state)
{
    const struct pl_worked_opts opts = {.careful = true, .wording = PL_WORDING_PLAIN};
    size_t count = 0, nested = 0, deepest = 0, longest = 0;
    struct answer answer;

    (void)state;
    answer_init(&answer);
    for (uint32_t index = 0; index < 600; index++) {
        const size_t people = 4 + index % 5;
        struct pl_kk puzzle;
        const size_t solutions = index % 2 ? pl_naive_parity(people, index, &puzzle)
                                           : pl_naive_random(people, 64, index, &puzzle);

        if (solutions != 1)
            continue;
        make_and_check(&puzzle, &opts, &answer);
        count++;
        nested += answer.nested_max > 1;
        deepest = answer.nested_max > deepest ? answer.nested_max : deepest;
        longest = answer.steps > longest ? answer.steps : longest;
    }
    print_message("%zu proofs, %zu of them nested, %zu suppositions deep, %zu steps at most\n",
                  count, nested, deepest, longest);
    assert_true(count > 100 && nested > 50 && deepest >= 4);
    pl_buf_release(&answer.text);
}

/* Small models pay for every word: what the search for short proofs reached is kept. */
static void proofs_are_short(void **state)
{
    static const double words_mean_max[] = {63.4, 92.3};
    struct answer answer;

    (void)state;
    answer_init(&answer);
    for (size_t people = 2; people <= 3; people++) {
        const struct pl_worked_opts opts = {.careful = true, .wording = PL_WORDING_PLAIN};
        enum { COUNT = 1000 };
        size_t words = 0;

        for (uint32_t index = 0; index < COUNT; index++) {
            struct pl_kk puzzle;

            pl_kk_generate(17, people, index, PL_KK_NAMES, &puzzle);
            make_and_check(&puzzle, &opts, &answer);
            words += pl_worked_words(answer.text.data, answer.text.len);
        }
        print_message("%zu people: %.1f words\n", people, (double)words / COUNT);
        assert_true((double)words / COUNT < words_mean_max[people - 2]);
    }
    pl_buf_release(&answer.text);
}

static void a_proof_reads_well(void **state)
{
    static const char literal[] = "(('not', ('telling-truth', 1)), ('<=>', ('telling-truth', 1), "
                                  "('lying', 0)))";
    struct pl_kk puzzle = {.names = {"Zoey", "Oliver"}};
    struct pl_worked_opts opts = {.careful = true};
    struct answer answer;

    (void)state;
    answer_init(&answer);
    assert_int_equal(pl_kk_literal_parse(literal, strlen(literal), 2, &puzzle, NULL), PL_OK);
    assert_int_equal(pl_kk_solve(&puzzle, &puzzle.solution), 1);
    make_and_check(&puzzle, &opts, &answer);
    assert_string_equal(
        answer.text.data,
        "<think>Suppose Zoey is a knight. Zoey tells the truth, so Oliver is a knave. But Oliver, "
        "a knave, says that Oliver is a knight if and only if Zoey is a knave, which is true: a "
        "contradiction. So Zoey is a knave.</think><answer>Zoey is a knave</answer><think>Zoey "
        "lies, so Oliver is a knight.</think><answer>Oliver is a knight</answer><think>That is "
        "everybody.</think><answer>Zoey is a knave and Oliver is a knight</answer>");
    opts.template = PL_METHOD_COT;
    opts.wording = PL_WORDING_PLAIN;
    pl_kk_names_lower(&puzzle);
    make_and_check(&puzzle, &opts, &answer);
    assert_string_equal(answer.text.data,
                        " suppose zoey is a knight . by zoey , oliver is a knave . but oliver says "
                        "oliver is a knight iff zoey is a knave , a contradiction . so zoey is a "
                        "knave . by zoey , oliver is a knight . answer: zoey is a knave and "
                        "oliver is a knight");
    assert_int_equal(pl_worked_words(answer.text.data, answer.text.len), 55);
    pl_buf_release(&answer.text);
}

/* What the rewarder makes of an answer, a token being a byte. */
static struct pl_score reward(const struct pl_kk *puzzle, enum pl_method method,
                              const struct pl_buf *text)
{
    static struct pl_reward_room room;
    static size_t ends[1 << 16];
    const struct pl_kk_task made = {.puzzle = puzzle, .id = "t", .question = "q"};
    const struct pl_reward_opts opts = PL_REWARD_DEFAULTS;
    struct pl_score score;
    struct pl_task task;
    struct pl_buf line;

    pl_buf_init(&line, TEXT_BYTES_MAX);
    assert_int_equal(pl_kk_task_print(&made, &line), PL_OK);
    assert_int_equal(pl_task_parse(line.data, line.len - 1, "t", &task, NULL), PL_OK);
    assert_int_equal(pl_verify_kk.check(&task, NULL), PL_OK);
    assert_true(text->len <= sizeof ends / sizeof ends[0]);
    for (size_t i = 0; i < text->len; i++)
        ends[i] = i + 1;
    assert_int_equal(pl_reward_score(&opts, &task, method, text->data, text->len, ends, text->len,
                                     &room, &score, NULL),
                     PL_OK);
    pl_task_release(&task);
    pl_buf_release(&line);
    return score;
}

/* Tasks and answers are made here and judged elsewhere: both mean the same by them. */
static void the_rewarder_agrees(void **state)
{
    struct answer answer;

    (void)state;
    answer_init(&answer);
    for (uint32_t index = 0; index < 7 * PL_TEMPLATES * 4 * 4; index++) {
        const size_t people = 2 + index % 7;
        const enum pl_method method = (enum pl_method)(index / 7 % PL_TEMPLATES);
        const bool parts = method == PL_METHOD_INTERLEAVE || method == PL_METHOD_DELAYED;
        const struct pl_worked_opts opts = {.template = method,
                                            .wording = index / 35 % 2 ? PL_WORDING_PLAIN
                                                                      : PL_WORDING_PUBLISHED,
                                            .careful = index / 70 % 2,
                                            .rng = pl_draws_rng(PL_DRAWS_KK, 1, 19, people, index)};
        struct pl_score score;
        struct pl_kk puzzle;

        pl_kk_generate(19, people, index, PL_KK_NAMES, &puzzle);
        if (opts.wording == PL_WORDING_PLAIN)
            pl_kk_names_lower(&puzzle);
        make_and_check(&puzzle, &opts, &answer);
        score = reward(&puzzle, method, &answer.text);
        if (answer.correct)
            assert_string_equal(score.why, "");
        assert_true(score.format_ok);
        assert_int_equal(score.verdict, answer.correct ? PL_VERDICT_RIGHT : PL_VERDICT_WRONG);
        if (parts)
            assert_int_equal(score.steps_right == people, answer.correct);
        if (parts && opts.careful)
            assert_true(score.intermediate == 0.5f); /* all of it */
    }
    pl_buf_release(&answer.text);
}

static void careless_answers_are_right_by_chance(void **state)
{
    enum { COUNT = 3000 };
    struct answer answer, again;

    (void)state;
    answer_init(&answer);
    answer_init(&again);
    for (size_t people = 2; people <= 3; people++) {
        size_t correct[PL_TEMPLATES] = {0};

        for (uint32_t index = 0; index < COUNT; index++) {
            const enum pl_method template = (enum pl_method)(index % PL_TEMPLATES);
            const struct pl_worked_opts opts = {
                .template = template,
                .wording = index % 2 ? PL_WORDING_PLAIN : PL_WORDING_PUBLISHED,
                .rng = pl_draws_rng(PL_DRAWS_KK, PL_DRAWS_ANSWER + (uint32_t) template, 13, people,
                                    index)};
            struct pl_kk puzzle;

            pl_kk_generate(13, people, index, PL_KK_NAMES, &puzzle);
            make_and_check(&puzzle, &opts, &answer);
            correct[template] += answer.correct;
            make_and_check(&puzzle, &opts, &again);
            assert_string_equal(answer.text.data, again.text.data);
        }
        for (size_t i = 0; i < PL_TEMPLATES; i++) {
            const double share = (double)correct[i] / (COUNT / PL_TEMPLATES);

            print_message("%zu people, %s: %.3f right\n", people, pl_method_name((enum pl_method)i),
                          share);
            assert_true(share > (people == 2 ? .19 : .08)); /* 3.4 standard deviations */
            assert_true(share < (people == 2 ? .31 : .17));
        }
    }
    pl_buf_release(&answer.text);
    pl_buf_release(&again.text);
}

static void words_are_counted(void **state)
{
    static const struct {
        const char *text;
        size_t words;
    } cases[] = {
        {"", 0},
        {" ", 0},
        {"zoey", 1},
        {" zoey is a knight .", 5},
        {"<think> zoey's word, 12 .</think><answer>x</answer>", 12},
        {"<|interleave|> a", 2},
        {"<think", 2},
        {"a<b>c", 3},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(pl_worked_words(cases[i].text, strlen(cases[i].text)), cases[i].words);
}

static void a_buffer_too_small_is_an_error(void **state)
{
    const struct pl_worked_opts opts = {.careful = true};
    struct pl_kk puzzle;
    struct pl_buf small;
    bool correct;

    (void)state;
    pl_kk_generate(1, 8, 0, PL_KK_NAMES, &puzzle);
    for (size_t bytes = 0; bytes < 300; bytes++) {
        pl_buf_init(&small, bytes);
        assert_int_equal(pl_kk_answer(&puzzle, &opts, &small, &correct), PL_EFULL);
        assert_true(small.len <= bytes);
        pl_buf_release(&small);
    }
}

/* Every real row: read, solution agrees, and proved step by step. */

static size_t check_file(const char *path, size_t *nested)
{
    const struct pl_worked_opts opts = {.careful = true};
    struct answer answer;
    struct pl_buf question;
    struct pl_map map;
    size_t count = 0;

    answer_init(&answer);
    pl_buf_init(&question, TEXT_BYTES_MAX);
    assert_int_equal(pl_map_open(path, &map, NULL), PL_OK);
    for (size_t at = 0; at < map.len;) {
        const char *line = (const char *)map.data + at;
        const size_t len = (size_t)((const char *)memchr(line, '\n', map.len - at) - line);
        struct pl_error err = {0};
        struct pl_kk puzzle;
        uint32_t solution;
        uint64_t index;
        char what[600];

        at += len + 1;
        snprintf(what, sizeof what, "%s:%zu", path, ++count);
        if (pl_kk_row_read(line, len, what, &puzzle, &question, &index, &err) != PL_OK)
            fail_msg("%s", err.text);
        assert_int_equal(pl_naive_solve(&puzzle, &solution), 1);
        assert_int_equal(solution, puzzle.solution);
        make_and_check(&puzzle, &opts, &answer);
        *nested += answer.nested_max > 1;
    }
    pl_map_close(&map);
    pl_buf_release(&question);
    pl_buf_release(&answer.text);
    return count;
}

static void published_puzzles_are_read_and_proved(void **state)
{
    static const char *const parts[] = {"train", "test", "hftest"};
    const char *data = getenv("PLAIT_TEST_DATA");
    size_t count = 0, files = 0, nested = 0;

    (void)state;
    for (size_t people = PL_KK_PEOPLE_MIN; data && people <= PL_KK_PEOPLE_MAX; people++) {
        for (size_t part = 0; part < 3; part++) {
            char path[512];

            snprintf(path, sizeof path, "%s/kk/people%zu_%s.jsonl", data, people, parts[part]);
            if (!pl_path_exists(path))
                continue;
            count += check_file(path, &nested);
            files++;
        }
    }
    if (files == 0) {
        print_message("skipped: there are no published puzzles in PLAIT_TEST_DATA/kk\n");
        skip();
    }
    print_message("%zu rows of %zu files, %zu proofs nested\n", count, files, nested);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_of_a_careful_answer_holds),
        cmocka_unit_test(hard_puzzles_are_proved_by_nested_suppositions),
        cmocka_unit_test(proofs_are_short),
        cmocka_unit_test(a_proof_reads_well),
        cmocka_unit_test(the_rewarder_agrees),
        cmocka_unit_test(careless_answers_are_right_by_chance),
        cmocka_unit_test(words_are_counted),
        cmocka_unit_test(a_buffer_too_small_is_an_error),
        cmocka_unit_test(published_puzzles_are_read_and_proved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
