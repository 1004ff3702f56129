#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define PCRE2_CODE_UNIT_WIDTH 8

#include "common/base/buf.h"
#include "common/base/rng.h"
#include "common/text/pretok.h"
#include "common/text/utf8.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

static int collect(void *at, const char *piece, size_t len, struct pl_error *err)
{
    struct pl_buf *buf = at;

    (void)err;
    assert_true(len > 0);
    assert_int_equal(pl_buf_puts(buf, buf->len > 0 ? "|" : ""), PL_OK);
    assert_int_equal(pl_buf_append(buf, piece, len), PL_OK);
    return PL_OK;
}

static void expect_pieces(const struct pl_pretok *pretok, const char *text, const char *want)
{
    struct pl_pretok_work *work = NULL;
    struct pl_error err = {0};
    struct pl_buf got;

    pl_buf_init(&got, 1 << 16);
    assert_int_equal(pl_pretok_work_create(&work), PL_OK);
    if (pl_pretok_run(pretok, work, text, strlen(text), collect, &got, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(got.data ? got.data : "", want);
    pl_pretok_work_destroy(work);
    pl_buf_release(&got);
}

static void add(struct pl_pretok *pretok, const char *pattern, bool literal)
{
    struct pl_error err = {0};

    if (pl_pretok_add(pretok, pattern, literal, &err) < 0)
        fail_msg("%s", err.text);
}

static void text_is_cut_as_qwen2_cuts_it(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"Hello, world!", "Hello|,| world|!"},
        {"I'm you'LL he'd dogs'", "I|'m| you|'LL| he|'d| dogs|'"},
        {"x=12345", "x|=|1|2|3|4|5"},
        {"a  b   c", "a| | b|  | c"},
        {"end  ", "end|  "},
        {"one\n\ntwo \r\n three", "one|\n\n|two| \r\n| three"},
        {"(a) -b.c ++\n\nd", "(a|)| -|b|.c| ++\n\n|d"},
        {"\t\tint x;", "\t|\tint| x|;"},
        {"\xE2\x80\x9Cquoted\xE2\x80\x9D \xC2\xBD", "\xE2\x80\x9Cquoted|\xE2\x80\x9D| |\xC2\xBD"},
        {"\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE4\xB8\x96",
         "\xE4\xBD\xA0\xE5\xA5\xBD|\xEF\xBC\x8C\xE4\xB8\x96"},
        {"a\xC2\xA0\xC2\xA0"
         "b",
         "a|\xC2\xA0|\xC2\xA0"
         "b"},                                /* no-break space is \s */
        {"!\xE1\xA0\x8E!", "!\xE1\xA0\x8E!"}, /* U+180E, which PCRE2 counts as \s, is not */
        {"a\v\x1C", "a|\v|\x1C"},             /* a line tabulation is, U+001C is not */
        {"e\xCC\x81", "e|\xCC\x81"},          /* marks are no letters */
    };
    struct pl_pretok pretok = {0};

    (void)state;
    add(&pretok, PL_PRETOK_QWEN2, false);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_pieces(&pretok, cases[i][0], cases[i][1]);
    pl_pretok_release(&pretok);
}

static void text_is_cut_as_gpt2_cuts_it(void **state)
{
    struct pl_pretok pretok = {0};

    (void)state;
    add(&pretok, PL_PRETOK_GPT2, false);
    expect_pieces(&pretok, "I'm 12345  you'LL\n\n(a)", "I|'m| 12345| | you|'|LL|\n|\n|(|a|)");
    pl_pretok_release(&pretok);
}

static void patterns_come_one_after_another(void **state)
{
    struct pl_pretok pretok = {0};

    (void)state;
    add(&pretok, "a.b", true); /* a string: the dot is a dot */
    add(&pretok, "\\p{N}", false);
    add(&pretok, "[x-z]+", false);
    expect_pieces(&pretok, "xa.bqa-b12yz!", "x|a.b|qa-b|1|2|yz|!");
    pl_pretok_release(&pretok);
}

static void without_patterns_text_stays_whole(void **state)
{
    const struct pl_pretok pretok = {0};

    (void)state;
    expect_pieces(&pretok, "a b", "a b");
    expect_pieces(&pretok, "", "");
}

/* Before its own split, or behind all of them: as the place of ByteLevel says. */
static void a_space_is_put_in_front(void **state)
{
    struct pl_pretok pretok = {.prefix_space = true};

    (void)state;
    expect_pieces(&pretok, "ab", " ab");
    expect_pieces(&pretok, " ab", " ab");
    add(&pretok, " ?[a-z]+", false); /* prefix_at 0 */
    expect_pieces(&pretok, "ab!cd", " ab|!|cd");
    pretok.prefix_at = 1;
    expect_pieces(&pretok, "ab!cd", " ab| !| cd");
    add(&pretok, "[c]", false);
    expect_pieces(&pretok, "ab!cd", " ab| !| |c|d");
    pl_pretok_release(&pretok);
}

/* An empty match is a place to cut, and the search goes on. */
static void empty_matches_end(void **state)
{
    struct pl_pretok pretok = {0};

    (void)state;
    add(&pretok, "(?=b)|c", false);
    expect_pieces(&pretok,
                  "aabac\xC3\xA9"
                  "b",
                  "aa|ba|c|\xC3\xA9|b");
    pl_pretok_release(&pretok);
}

static void expressions_are_translated(void **state)
{
    static const char *const cases[][2] = {
        {"\\s+|[^\\s\\p{L}]", "\\p{White_Space}+|[^\\p{White_Space}\\p{L}]"},
        {"\\S(?!\\S)", "\\P{White_Space}(?!\\P{White_Space})"},
        {"(?i:'s)|\\p{N}{1,3}|\\p{^Han}", "(?i:'s)|\\p{N}{1,3}|\\p{^Han}"},
        {"(?>a)(?<=b)(?<!c)\\d\\D\\r\\n\\t\\.\\[", "(?>a)(?<=b)(?<!c)\\d\\D\\r\\n\\t\\.\\["},
        {"a{2}b{3,}c{4,5}d*+", "a{2}b{3,}c{4,5}d*+"},
        {"(a)?[a-z^]", "(a)?[a-z^]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pl_error err = {0};
        char *made = NULL;

        if (pl_pretok_translate(cases[i][0], &made, &err) < 0)
            fail_msg("%s", err.text);
        assert_string_equal(made, cases[i][1]);
        free(made);
    }
}

static void what_differs_is_refused(void **state)
{
    static const struct {
        const char *pattern;
        int code;
        const char *what;
    } cases[] = {
        {"", PL_EFORMAT, "is empty"},
        {"^a", PL_EUNSUPPORTED, "an anchor at byte 0"},
        {"a$", PL_EUNSUPPORTED, "an anchor at byte 1"},
        {"[[:alpha:]]", PL_EUNSUPPORTED, "a '[' within a class at byte 1"},
        {"[a&&b]", PL_EUNSUPPORTED, "'&&' within a class"},
        {"[]a]", PL_EUNSUPPORTED, "an empty class"},
        {"[^]a]", PL_EUNSUPPORTED, "an empty class"},
        {"\\h", PL_EUNSUPPORTED, "this escape"},
        {"\\w", PL_EUNSUPPORTED, "this escape"},
        {"a\\", PL_EUNSUPPORTED, "this escape at byte 1"},
        {"\\pL", PL_EUNSUPPORTED, "a property without braces"},
        {"\\p{L", PL_EUNSUPPORTED, "a property of this form"},
        {"(?m:a)", PL_EUNSUPPORTED, "this kind of group"},
        {"(?P<x>a)", PL_EUNSUPPORTED, "this kind of group"},
        {"(*ACCEPT)", PL_EUNSUPPORTED, "'(*'"},
        {"a{,3}", PL_EUNSUPPORTED, "this brace"},
        {"a{2}+", PL_EUNSUPPORTED, "'+' behind '{...}'"},
        {"(a", PL_EFORMAT, "missing closing parenthesis"},
        {"a)", PL_EFORMAT, "unmatched closing parenthesis"},
        {"[a", PL_EFORMAT, "missing terminating ]"},
        {"*a", PL_EFORMAT, "quantifier does not follow"},
        {"\\p{Nonesuch}", PL_EFORMAT, "unknown property"},
        {"(?<=a*)b", PL_EFORMAT, "lookbehind assertion is not fixed length"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pl_pretok pretok = {0};
        struct pl_error err = {0};

        assert_int_equal(pl_pretok_add(&pretok, cases[i].pattern, false, &err), cases[i].code);
        if (!strstr(err.text, cases[i].what))
            fail_msg("'%s' should say '%s'", err.text, cases[i].what);
        assert_int_equal(pretok.count, 0);
    }
}

static void deep_and_long_patterns_are_refused(void **state)
{
    struct pl_pretok pretok = {0};
    struct pl_error err = {0};
    char *text = calloc(1, 20000);

    (void)state;
    assert_non_null(text);
    memset(text, '(', 101);
    assert_int_equal(pl_pretok_add(&pretok, text, false, &err), PL_EUNSUPPORTED);
    assert_non_null(strstr(err.text, "so deep a nesting"));
    memset(text, 'a', 16385);
    assert_int_equal(pl_pretok_add(&pretok, text, false, &err), PL_EUNSUPPORTED);
    assert_non_null(strstr(err.text, "16385 bytes"));
    free(text);
    for (int i = 0; i < PL_PRETOK_SPLITS_MAX; i++)
        add(&pretok, "a", false);
    assert_int_equal(pl_pretok_add(&pretok, "a", false, &err), PL_EFULL);
    pl_pretok_release(&pretok);
    assert_int_equal(pl_pretok_add(&pretok, "", true, &err), PL_EFORMAT);
}

/* A pattern that takes exponential time ends in an error, and the next text is cut all the same. */
static void a_match_has_a_limit(void **state)
{
    struct pl_pretok pretok = {0};
    struct pl_pretok_work *work = NULL;
    struct pl_error err = {0};
    struct pl_buf got;
    char text[64];

    (void)state;
    add(&pretok, "(?:a|aa)+[bd]", false);
    memset(text, 'a', sizeof text);
    pl_buf_init(&got, 1 << 16);
    assert_int_equal(pl_pretok_work_create(&work), PL_OK);
    assert_int_equal(pl_pretok_run(&pretok, work, text, sizeof text, collect, &got, &err),
                     PL_EUNSUPPORTED);
    assert_non_null(strstr(err.text, "takes too many steps at byte 0 of 64"));
    pl_buf_clear(&got);
    assert_int_equal(pl_pretok_run(&pretok, work, "aab", 3, collect, &got, &err), PL_OK);
    assert_string_equal(got.data, "aab");
    pl_pretok_work_destroy(work);
    pl_buf_release(&got);
    pl_pretok_release(&pretok);
}

/* Pieces of a long text may have a limit of their own, the text keeps its one: here, a match over
 * 200 kB takes more steps than the least limit, before and after shorter pieces were cut. */
static void inner_pieces_leave_the_limit_alone(void **state)
{
    enum { LEN = 200000 };
    struct pl_pretok pretok = {0};
    struct pl_pretok_work *work = NULL;
    struct pl_error err = {0};
    struct pl_buf got;
    char *text = malloc(2 * LEN + 4);

    (void)state;
    assert_non_null(text);
    memset(text, 'a', 2 * LEN);
    memcpy(text, "xb", 2);
    text[LEN] = 'b';
    add(&pretok, "(?:a|[ac])+?b|x", false);
    add(&pretok, "b", false);
    pl_buf_init(&got, 1 << 20);
    assert_int_equal(pl_pretok_work_create(&work), PL_OK);
    if (pl_pretok_run(&pretok, work, text, LEN + 1, collect, &got, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(got.len, LEN + 1 + 3);
    pl_pretok_work_destroy(work);
    pl_buf_release(&got);
    pl_pretok_release(&pretok);
    free(text);
}

static int stop(void *at, const char *piece, size_t len, struct pl_error *err)
{
    (void)piece;
    (void)len;
    return ++*(int *)at == 2 ? pl_fail(err, PL_ECANCELED, "enough") : PL_OK;
}

static void a_callers_error_ends_it(void **state)
{
    struct pl_pretok pretok = {0};
    struct pl_pretok_work *work = NULL;
    struct pl_error err = {0};
    int calls = 0;

    (void)state;
    add(&pretok, PL_PRETOK_QWEN2, false);
    assert_int_equal(pl_pretok_work_create(&work), PL_OK);
    assert_int_equal(pl_pretok_run(&pretok, work, "a b c d", 7, stop, &calls, &err), PL_ECANCELED);
    assert_string_equal(err.text, "enough");
    assert_int_equal(calls, 2);
    pl_pretok_work_destroy(work);
    pl_pretok_release(&pretok);
}

/* Items of an expression that are tried, and bytes of text gone over in between, there or back. */
struct tally {
    uint64_t steps;
    PCRE2_SIZE at;
};

static int count_step(pcre2_callout_block *block, void *at)
{
    struct tally *tally = at;
    const PCRE2_SIZE here = block->current_position;

    tally->steps += 1 + (here > tally->at ? here - tally->at : tally->at - here);
    tally->at = here;
    return 0;
}

/* What PCRE2 does with the translated expression to cut up a text. */
static uint64_t steps_of(const char *pattern, const char *text, size_t len)
{
    struct pl_error err = {0};
    char *made = NULL;
    int code = 0;
    PCRE2_SIZE where = 0, from = 0;
    struct tally tally = {0};

    assert_int_equal(pl_pretok_translate(pattern, &made, &err), PL_OK);
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)made, PCRE2_ZERO_TERMINATED,
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_AUTO_CALLOUT, &code, &where, NULL);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);

    assert_true(re && data && context);
    pcre2_set_callout(context, count_step, &tally);
    while (from < len &&
           pcre2_match(re, (PCRE2_SPTR)text, len, from, PCRE2_NO_UTF_CHECK, data, context) >= 0)
        from = pcre2_get_ovector_pointer(data)[1];
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
    pcre2_code_free(re);
    free(made);
    return tally.steps;
}

static void fill(char *text, size_t len, const char *unit)
{
    for (size_t i = 0, n = strlen(unit); i < len; i++)
        text[i] = unit[i % n];
}

/* Twice the text, twice the steps: with any of these patterns over any of these texts. */
static void steps_grow_with_the_text_not_its_square(void **state)
{
    static const char *const patterns[] = {PL_PRETOK_QWEN2, PL_PRETOK_GPT2};
    static const char *const units[] = {
        "a",   " ",      "\n", "\r",  "'",    "!",   " \n",      "\n ",      "1",  "'s",    " !",
        "\t ", "\t\t\n", "a ", "!\n", " a\n", "  a", "\xC2\xA0", "\xCC\x81", "'l", " \t\r", "\xFF"};
    enum { LEN = 4096 };
    static char text[2 * LEN];

    (void)state;
    memset(text, 'a', sizeof text); /* what the measure says where it is the square */
    assert_true(steps_of("a*b|a", text, LEN / 4) * 3 < steps_of("a*b|a", text, LEN / 2));
    for (size_t p = 0; p < 2; p++) {
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            const char *unit = units[i][0] == '\xFF' ? "a" : units[i];
            uint64_t once, twice;

            fill(text, sizeof text, unit);
            if (unit != units[i]) { /* spaces, and a letter only at the very end */
                memset(text, ' ', sizeof text);
                text[LEN - 1] = text[2 * LEN - 1] = 'a';
            }
            once = steps_of(patterns[p], text, LEN);
            twice = steps_of(patterns[p], text, 2 * LEN);
            if (once < LEN || once > 64 * LEN || twice > 2 * once + 64)
                fail_msg("pattern %zu, text of '%s': %llu steps, then %llu", p, units[i],
                         (unsigned long long)once, (unsigned long long)twice);
        }
    }
}

/* Nothing is lost, whatever the text. */
static void pieces_make_up_the_text(void **state)
{
    const struct pl_rng rng = {.seed = 3, .batch = (uint32_t)PL_RNG_TEST};
    static const uint32_t some[] = {' ',    '\n',   '\r',    '\t',   '\'',   's',
                                    'L',    '1',    '!',     0xE9,   0x301,  0xA0,
                                    0x3000, 0x4E00, 0x1F600, 0x180E, 0x2028, 0x660};
    struct pl_pretok pretok = {0};

    (void)state;
    add(&pretok, PL_PRETOK_QWEN2, false);
    for (uint32_t round = 0, draw = 0; round < 2000; round++) {
        char text[200];
        size_t len = 0;
        struct pl_buf got;
        struct pl_pretok_work *work = NULL;
        char *w;

        for (size_t n = pl_rng_below(&rng, draw++, 40); n > 0; n--)
            len += pl_utf8_put(some[pl_rng_below(&rng, draw++, sizeof some / sizeof some[0])],
                               text + len);
        pl_buf_init(&got, 4096);
        assert_int_equal(pl_pretok_work_create(&work), PL_OK);
        assert_int_equal(pl_pretok_run(&pretok, work, text, len, collect, &got, NULL), PL_OK);
        w = got.data;
        for (const char *p = got.data; p && *p; p++)
            if (*p != '|')
                *w++ = *p;
        assert_int_equal(got.data ? (size_t)(w - got.data) : 0, len);
        assert_memory_equal(got.data ? got.data : "", text, len);
        pl_pretok_work_destroy(work);
        pl_buf_release(&got);
    }
    pl_pretok_release(&pretok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_cut_as_qwen2_cuts_it),
        cmocka_unit_test(text_is_cut_as_gpt2_cuts_it),
        cmocka_unit_test(patterns_come_one_after_another),
        cmocka_unit_test(without_patterns_text_stays_whole),
        cmocka_unit_test(a_space_is_put_in_front),
        cmocka_unit_test(empty_matches_end),
        cmocka_unit_test(expressions_are_translated),
        cmocka_unit_test(what_differs_is_refused),
        cmocka_unit_test(deep_and_long_patterns_are_refused),
        cmocka_unit_test(a_match_has_a_limit),
        cmocka_unit_test(inner_pieces_leave_the_limit_alone),
        cmocka_unit_test(a_callers_error_ends_it),
        cmocka_unit_test(steps_grow_with_the_text_not_its_square),
        cmocka_unit_test(pieces_make_up_the_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
