/* The form of a response: what is valid, and why the rest is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rewarder/segments.h"

#include <stdlib.h>
#include <string.h>

#define T(x) "<think>" x "</think>"
#define A(x) "<answer>" x "</answer>"

struct row {
    const char *text;
    unsigned valid;  /* bits: 1 interleave, 2 think-answer, 4 delayed */
    const char *why; /* for interleave; NULL: valid */
};

static const struct row rows[] = {
    {T("a") A("b"), 7, NULL},
    {" " T("a") "\n" A(" b ") "\n", 7, NULL},
    {T("") A("b"), 7, NULL},
    {T("a") A("b") T("c") A("d"), 1, NULL},
    {T("a") A("b") A("c"), 4, "no thinking before a further <answer>"},
    {"", 0, "no tags"},
    {" \n", 0, "no tags"},
    {"a", 0, "text outside of tags"},
    {A("b"), 0, "nothing was thought before <answer>"},
    {T("a"), 0, "no answer after the last <think>"},
    {T("a") A("b") T("c"), 0, "no answer after the last <think>"},
    {T("a") T("b") A("c"), 0, "no answer between two of <think>"},
    {T("a") A(""), 0, "an empty <answer>"},
    {T("a") A(" \n "), 0, "an empty <answer>"},
    {T("a") A("\xE2\x80\x8B"), 0, "an empty <answer>"},                     /* zero-width space */
    {T("a") A("\xC2\xA0\xE2\x80\xAE\xEF\xBB\xBF"), 0, "an empty <answer>"}, /* no-break, RLO, BOM */
    {T("a") A("\xE3\x85\xA4 \xCC\x81"), 0, "an empty <answer>"},      /* Hangul filler, an accent */
    {T("a") A("b") T("c") A("\xE2\xA0\x80"), 0, "an empty <answer>"}, /* blank of Braille */
    {T("a") A("."), 7, NULL},
    {T("a") A("\xE2\x80\x8B"
              "b"),
     7, NULL},
    {T("a") "x" A("b"), 0, "text outside of tags"},
    {T("a") A("b") "x", 0, "text outside of tags"},
    {"<think>a<answer>b</answer>", 0, "<answer> inside <think>"},
    {T("a") "<answer>b<think>c</think></answer>", 0, "<think> inside <answer>"},
    {T("a") "<answer>b<answer>c</answer></answer>", 0, "<answer> inside <answer>"},
    {"<think>a</answer>", 0, "</answer> inside <think>"},
    {"<think>a", 0, "<think> is never closed"},
    {T("a") "<answer>b", 0, "<answer> is never closed"},
    {"</think>", 0, "</think> of nothing that is open"},
    {T("a") A("b") "</answer>", 0, "</answer> of nothing that is open"},
    {"<Think>a</Think>" A("b"), 0, "text outside of tags"},
    {"<think >a</think>" A("b"), 0, "text outside of tags"},
    {T("a < b </ think> <answers>") A("<b>"), 7, NULL},
    {T("\xff\xfe\xc3") A("\x80"), 7, NULL},
};

static void the_table_of_forms(void **state)
{
    static const enum pl_method methods[] = {PL_METHOD_INTERLEAVE, PL_METHOD_THINK_ANSWER,
                                             PL_METHOD_DELAYED};
    struct pl_segments *s = malloc(sizeof *s);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t m = 0; m < 3; m++) {
            pl_segments_parse(rows[i].text, strlen(rows[i].text), methods[m], s);
            if (s->valid != (rows[i].valid >> m & 1))
                fail_msg("row %zu, method %zu: valid is %d", i, m, s->valid);
            if (m == 0 && rows[i].why)
                assert_string_equal(s->why, rows[i].why);
            assert_true(s->valid == (s->why[0] == '\0'));
        }
    free(s);
}

static void pieces_are_trimmed_and_keep_their_tags(void **state)
{
    const char text[] = T(" one ") " " A("\ntwo words\t");
    struct pl_segments *s = malloc(sizeof *s);

    (void)state;
    pl_segments_parse(text, sizeof text - 1, PL_METHOD_INTERLEAVE, s);
    assert_true(s->valid);
    assert_int_equal(s->count, 2);
    assert_memory_equal(text + s->pieces[0].begin, "one", s->pieces[0].end - s->pieces[0].begin);
    assert_int_equal(s->pieces[1].kind, PL_SEGMENT_ANSWER);
    assert_int_equal(s->pieces[1].end - s->pieces[1].begin, 9);
    assert_memory_equal(text + s->pieces[1].tag_begin, "<answer>", 8);
    assert_int_equal(s->pieces[1].tag_end, sizeof text - 1);
    free(s);
}

static void what_came_before_the_break_is_kept(void **state)
{
    const char text[] = T("a") A("b") T("c") A("d") "oops";
    struct pl_segments *s = malloc(sizeof *s);

    (void)state;
    pl_segments_parse(text, sizeof text - 1, PL_METHOD_INTERLEAVE, s);
    assert_false(s->valid);
    assert_int_equal(s->count, 4);
    assert_int_equal(s->at, sizeof text - 1 - 4);
    free(s);
}

static void plain_forms(void **state)
{
    struct pl_segments *s = malloc(sizeof *s);

    (void)state;
    pl_segments_parse(" 42 \n", 5, PL_METHOD_DIRECT, s);
    assert_true(s->valid && s->count == 1 && s->pieces[0].begin == 1 && s->pieces[0].end == 3);
    pl_segments_parse("  ", 2, PL_METHOD_DIRECT, s);
    assert_false(s->valid);
    pl_segments_parse(T("a") A("b"), strlen(T("a") A("b")), PL_METHOD_DIRECT, s);
    assert_false(s->valid);
    assert_string_equal(s->why, "<think> where no tags are asked for");
    const char cot[] = "the Answer: no. so ANSWER: yes";

    pl_segments_parse(cot, sizeof cot - 1, PL_METHOD_COT, s);
    assert_true(s->valid && s->count == 1);
    assert_memory_equal(cot + s->pieces[0].begin, "yes", 3);
    pl_segments_parse("answer:", 7, PL_METHOD_COT, s);
    assert_false(s->valid);
    pl_segments_parse("none", 4, PL_METHOD_COT, s);
    assert_string_equal(s->why, "nothing behind \"answer:\"");
    free(s);
}

static void a_million_tags_are_one_invalid_form(void **state)
{
    const size_t n = 1000000;
    char *text = malloc(n * 8);
    struct pl_segments *s = malloc(sizeof *s);

    (void)state;
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * 8, i % 2 ? "</think>" : "<answer>", 8);
    pl_segments_parse(text, n * 8, PL_METHOD_INTERLEAVE, s);
    assert_false(s->valid);
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * 8, "<think> ", 8);
    memcpy(text, T("a") A("b"), strlen(T("a") A("b")));
    pl_segments_parse(text, n * 8, PL_METHOD_INTERLEAVE, s);
    assert_false(s->valid);
    /* one segment too many */
    size_t at = 0;

    while (at + 34 < n * 8) {
        memcpy(text + at, T("a") A("b"), 34);
        at += strlen(T("a") A("b"));
    }
    pl_segments_parse(text, at, PL_METHOD_INTERLEAVE, s);
    assert_false(s->valid);
    assert_int_equal(s->count, PL_PIECES_MAX);
    assert_string_equal(s->why, "too many segments, at <think>");
    free(s);
    free(text);
}

static void bytes_become_tokens(void **state)
{
    const size_t ends[] = {3, 3, 7, 8,
                           12}; /* token 1 is empty, as a token of half a character is */
    uint32_t begin, end;

    (void)state;
    pl_segments_tokens(ends, 5, 0, 3, &begin, &end);
    assert_true(begin == 0 && end == 1);
    pl_segments_tokens(ends, 5, 3, 7, &begin, &end);
    assert_true(begin == 2 && end == 3);
    pl_segments_tokens(ends, 5, 2, 9, &begin, &end);
    assert_true(begin == 0 && end == 5);
    pl_segments_tokens(ends, 5, 12, 12, &begin, &end);
    assert_true(begin == 5 && end == 5);
}

static void what_is_seen_of_a_text(void **state)
{
    static const struct {
        const char *text;
        enum pl_seen seen;
    } texts[] = {
        {"", PL_SEEN_NOTHING},
        {" \t\n\v\f\r\x7F\x01", PL_SEEN_NOTHING},
        {"\xC2\x85\xC2\xA0\xE2\x80\x83\xE3\x80\x80\xE1\x9A\x80", PL_SEEN_NOTHING}, /* White_Space */
        {"\xE2\x80\x8B\xE2\x80\x8D\xE2\x81\xA0\xC2\xAD\xE2\x80\x8F", PL_SEEN_NOTHING}, /* Cf */
        {"\xCC\x80\xE2\x83\x9D\xEF\xB8\x8F", PL_SEEN_NOTHING},     /* marks, a variation selector */
        {"\xEE\x80\x80\xF4\x8F\xBF\xBD\xCD\xB8", PL_SEEN_NOTHING}, /* private use, unassigned */
        {"\xE1\x85\x9F\xE1\x85\xA0\xEF\xBE\xA0", PL_SEEN_NOTHING}, /* fillers */
        {".", PL_SEEN_POINTS},
        {"...\xE2\x80\xA6 -- {} (),;:!?", PL_SEEN_POINTS},
        {"\xC2\xBF\xE3\x80\x82", PL_SEEN_POINTS},
        {"\xFF\x80\xC3", PL_SEEN_POINTS},
        {"\xEF\xBF\xBD", PL_SEEN_POINTS},
        {"a", PL_SEEN_TEXT},
        {"\xE2\x80\x8B.7", PL_SEEN_TEXT},
        {"+", PL_SEEN_TEXT},
        {"\xE2\x88\x85", PL_SEEN_TEXT}, /* the empty set */
        {"\xC2\xBD", PL_SEEN_TEXT},
        {"\xE4\xB8\x9C", PL_SEEN_TEXT},
        {"e\xCC\x81", PL_SEEN_TEXT},
        {"\xF0\x9F\x91\x8D", PL_SEEN_TEXT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (pl_segments_seen(texts[i].text, strlen(texts[i].text)) != texts[i].seen)
            fail_msg("row %zu, '%s': %d", i, texts[i].text,
                     (int)pl_segments_seen(texts[i].text, strlen(texts[i].text)));
    assert_int_equal(pl_segments_seen("\0a", 2), PL_SEEN_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_seen_of_a_text),
        cmocka_unit_test(the_table_of_forms),
        cmocka_unit_test(pieces_are_trimmed_and_keep_their_tags),
        cmocka_unit_test(what_came_before_the_break_is_kept),
        cmocka_unit_test(plain_forms),
        cmocka_unit_test(a_million_tags_are_one_invalid_form),
        cmocka_unit_test(bytes_become_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
