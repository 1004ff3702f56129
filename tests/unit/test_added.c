#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/rng.h"
#include "common/text/added.h"

#include <stdlib.h>
#include <string.h>

static const struct pl_rng rng = {.seed = 13, .batch = (uint32_t)PL_RNG_TEST};
static uint32_t draws;

static uint32_t below(uint32_t n)
{
    return (uint32_t)pl_rng_below(&rng, draws++, n);
}

/* Against looking at each place for each word. */
static void the_longest_leftmost_words_are_found(void **state)
{
    struct pl_matches matches = {0};

    (void)state;
    for (int round = 0; round < 400; round++) {
        const uint32_t letters = 1 + below(3), count = 1 + below(12);
        struct pl_matcher_word words[12];
        char store[12][10], text[300];
        struct pl_matcher matcher;

        for (uint32_t i = 0; i < count; i++) {
            words[i] = (struct pl_matcher_word){store[i], 1 + below(sizeof store[i])};
            for (size_t k = 0; k < words[i].len; k++)
                store[i][k] = (char)('a' + below(letters));
        }
        assert_int_equal(pl_matcher_build(&matcher, words, count), PL_OK);
        for (size_t k = 0; k < sizeof text; k++)
            text[k] = (char)('a' + below(letters + (round % 2)));
        assert_int_equal(pl_matcher_run(&matcher, text, sizeof text, &matches), PL_OK);
        size_t found = 0;

        for (size_t at = 0; at < sizeof text;) {
            size_t best = 0, which = 0;

            for (uint32_t i = 0; i < count; i++) {
                const size_t len = words[i].len;

                if (len > best && len <= sizeof text - at &&
                    memcmp(text + at, words[i].bytes, len) == 0) {
                    best = len;
                    which = i;
                }
            }
            if (best == 0) {
                at++;
                continue;
            }
            assert_true(found < matches.count);
            assert_int_equal(matches.items[found].start, at);
            assert_int_equal(matches.items[found].len, best);
            assert_int_equal(matches.items[found].word, which); /* the first of equal ones */
            found++;
            at += best;
        }
        assert_int_equal(found, matches.count);
        pl_matcher_release(&matcher);
    }
    pl_matches_release(&matches);
}

static void no_words_find_nothing(void **state)
{
    struct pl_matches matches = {0};
    struct pl_matcher matcher;

    (void)state;
    assert_int_equal(pl_matcher_build(&matcher, NULL, 0), PL_OK);
    assert_int_equal(pl_matcher_run(&matcher, "text", 4, &matches), PL_OK);
    assert_int_equal(matches.count, 0);
    pl_matcher_release(&matcher);
    pl_matches_release(&matches);
}

static void words_are_bounded(void **state)
{
    char *bytes = malloc(PL_MATCHER_BYTES_MAX);
    const struct pl_matcher_word words[] = {{bytes, PL_MATCHER_BYTES_MAX}, {bytes, 1}};
    struct pl_matcher matcher;

    (void)state;
    assert_non_null(bytes);
    assert_int_equal(pl_matcher_build(&matcher, words, 2), PL_EFULL);
    free(bytes);
}

/* Beginnings of a long word everywhere, which is what makes a search forward go back. */
static void steps_grow_with_the_text_whatever_the_words(void **state)
{
    enum { LEN = 20000, WORD = 2000 };
    static char word[WORD], text[LEN];
    const struct pl_matcher_word words[] = {{"a", 1}, {word, WORD}, {"aab", 3}};
    struct pl_matches matches = {0};
    struct pl_matcher matcher;

    (void)state;
    memset(text, 'a', LEN);
    for (int end = 0; end < 2; end++) { /* the odd letter at the word's end, or at its front */
        memset(word, 'a', WORD);
        word[end ? WORD - 1 : 0] = 'b';
        assert_int_equal(pl_matcher_build(&matcher, words, 3), PL_OK);
        matches.steps = 0;
        assert_int_equal(pl_matcher_run(&matcher, text, LEN, &matches), PL_OK);
        assert_int_equal(matches.count, LEN);
        assert_in_range(matches.steps, LEN, 2 * LEN);
        pl_matcher_release(&matcher);
    }
    pl_matches_release(&matches);
}

static void add(struct pl_added *added, const char *content, struct pl_added_token token)
{
    assert_int_equal(pl_added_add(added, content, strlen(content), token), PL_OK);
}

/* The normal form of these tests: small letters. */
static int small(const void *at, const char *text, size_t len, struct pl_buf *out)
{
    int rc = PL_OK;

    (void)at;
    for (size_t i = 0; rc == PL_OK && i < len; i++) {
        const char c = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];

        rc = pl_buf_append(out, &c, 1);
    }
    return rc;
}

static int show(void *at, const char *text, size_t len, const struct pl_added_token *token,
                struct pl_error *err)
{
    struct pl_buf *buf = at;

    (void)err;
    assert_true(len > 0);
    return token ? pl_buf_printf(buf, "{%u:%.*s}", token->id, (int)len, text)
                 : pl_buf_append(buf, text, len);
}

static void expect(const struct pl_added *added, enum pl_added_round round, bool spell_special,
                   const char *text, const char *want)
{
    struct pl_matches matches = {0};
    struct pl_buf got;

    pl_buf_init(&got, 1 << 12);
    assert_int_equal(pl_buf_puts(&got, ""), PL_OK);
    assert_int_equal(
        pl_added_cut(added, round, spell_special, &matches, text, strlen(text), show, &got, NULL),
        PL_OK);
    assert_string_equal(got.data, want);
    pl_buf_release(&got);
    pl_matches_release(&matches);
}

static void tokens_are_cut_out(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"none", "none"},
        {"<s>", "{1:<s>}"},
        {"a<s>b<s><s>c", "a{1:<s>}b{1:<s>}{1:<s>}c"},
        {"<s><sx>", "{1:<s>}{2:<sx>}"},
        {"<<s>", "<{1:<s>}"},
        {"<s", "<s"},
        /* single_word: 3 */
        {"w ww w, [w] _w w1 \xC3\xA9w w", "{3:w} ww {3:w}, [{3:w}] _w w1 \xC3\xA9w {3:w}"},
        /* lstrip: 4, rstrip: 5 */
        {"a  l b", "a{4:  l} b"},
        {"l\xE3\x80\x80l", "{4:l}{4:\xE3\x80\x80l}"},
        {"a r \n b", "a {5:r \n }b"},
        {"r  l", "{5:r  }{4:l}"},
        /* one that was found and not taken hides those that lie over it */
        {"(w a(w", "{6:(w} a(w"},
    };
    struct pl_added added = {0};

    (void)state;
    add(&added, "<s>", (struct pl_added_token){.id = 1, .special = true});
    add(&added, "<sx>", (struct pl_added_token){.id = 2});
    add(&added, "w", (struct pl_added_token){.id = 3, .single_word = true});
    add(&added, "l", (struct pl_added_token){.id = 4, .lstrip = true});
    add(&added, "r", (struct pl_added_token){.id = 5, .rstrip = true});
    add(&added, "(w", (struct pl_added_token){.id = 6, .single_word = true});
    assert_int_equal(pl_added_seal(&added, small, NULL), PL_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect(&added, PL_ADDED_RAW, false, cases[i][0], cases[i][1]);
    expect(&added, PL_ADDED_RAW, true, "a<s><sx>", "a<s>{2:<sx>}");
    expect(&added, PL_ADDED_NORMALIZED, false, "<s>", "<s>");
    pl_added_release(&added);
}

static void normalized_tokens_have_a_round_of_their_own(void **state)
{
    struct pl_added added = {0};

    (void)state;
    add(&added, "ABC", (struct pl_added_token){.id = 1, .normalized = true});
    add(&added, "b", (struct pl_added_token){.id = 2});
    add(&added, "Abc", (struct pl_added_token){.id = 3, .normalized = true, .special = true});
    assert_int_equal(pl_added_seal(&added, small, NULL), PL_OK);
    expect(&added, PL_ADDED_RAW, false, "xABC b", "xABC {2:b}");
    expect(&added, PL_ADDED_NORMALIZED, false, "xabc", "x{3:abc}"); /* of equal ones, the special */
    expect(&added, PL_ADDED_NORMALIZED, true, "xabc", "xabc");
    assert_int_equal(pl_added_find(&added, "ABC", 3)->id, 1);
    assert_null(pl_added_find(&added, "abc", 3));
    assert_int_equal(pl_added_add(&added, "b", 1, (struct pl_added_token){.id = 9}), PL_EINVAL);
    pl_added_release(&added);
}

/* Each word takes the spaces behind it along, and each space is a word: looked through once. */
static int count(void *at, const char *text, size_t len, const struct pl_added_token *token,
                 struct pl_error *err)
{
    (void)text;
    (void)token;
    (void)err;
    *(size_t *)at += len > 0;
    return PL_OK;
}

static void stripping_spaces_is_not_quadratic(void **state)
{
    enum { LEN = 400000 };
    struct pl_matches matches = {0};
    struct pl_added added = {0};
    char *text = malloc(LEN);
    size_t calls = 0;

    (void)state;
    assert_non_null(text);
    memset(text, ' ', LEN);
    add(&added, " ", (struct pl_added_token){.id = 1, .rstrip = true, .lstrip = true});
    assert_int_equal(pl_added_seal(&added, small, NULL), PL_OK);
    assert_int_equal(
        pl_added_cut(&added, PL_ADDED_RAW, false, &matches, text, LEN, count, &calls, NULL), PL_OK);
    assert_int_equal(calls, LEN);
    pl_added_release(&added);
    pl_matches_release(&matches);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_leftmost_words_are_found),
        cmocka_unit_test(no_words_find_nothing),
        cmocka_unit_test(words_are_bounded),
        cmocka_unit_test(steps_grow_with_the_text_whatever_the_words),
        cmocka_unit_test(tokens_are_cut_out),
        cmocka_unit_test(normalized_tokens_have_a_round_of_their_own),
        cmocka_unit_test(stripping_spaces_is_not_quadratic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
