#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actor/stream.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/rng.h"
#include "common/text/utf8.h"

#include <stdio.h>
#include <string.h>

/* What a sink was given, written down: "text[...]think[...]", "!" where a tag stood; and all of it
 * in order. */
struct seen {
    struct pl_buf events, all;
    int last; /* part of the text event that is open, -1: none */
    int fail_at, calls;
};

static int see_text(void *at, enum pl_part part, const char *bytes, size_t len)
{
    struct seen *seen = at;

    if (++seen->calls == seen->fail_at)
        return PL_EIO;
    assert_true(len > 0);
    assert_true(pl_utf8_valid(bytes, len)); /* never half a character */
    if (seen->last != (int)part) {
        assert_int_equal(seen->last, -1); /* the part changes at tags only */
        pl_buf_printf(&seen->events, "%s[", pl_part_name(part));
    }
    seen->last = (int)part;
    assert_int_equal(pl_buf_append(&seen->events, bytes, len), PL_OK);
    assert_int_equal(pl_buf_append(&seen->all, bytes, len), PL_OK);
    return PL_OK;
}

static void close_event(struct seen *seen)
{
    if (seen->last >= 0)
        pl_buf_puts(&seen->events, "]");
    seen->last = -1;
}

static int see_tag(void *at, enum pl_part part, const char *bytes, size_t len)
{
    struct seen *seen = at;
    enum pl_part means;

    if (++seen->calls == seen->fail_at)
        return PL_EIO;
    close_event(seen);
    assert_true(pl_stream_is_tag(bytes, len, &means));
    assert_int_equal(means, part);
    pl_buf_puts(&seen->events, "!");
    return pl_buf_append(&seen->all, bytes, len);
}

static void begin(struct seen *seen, struct pl_stream *stream, enum pl_part part)
{
    const struct pl_sink sink = {seen, see_text, see_tag};

    *seen = (struct seen){.last = -1};
    pl_buf_init(&seen->events, 1 << 24);
    pl_buf_init(&seen->all, 1 << 24);
    pl_stream_init(stream, &sink, part);
}

static void end(struct seen *seen, struct pl_stream *stream)
{
    assert_int_equal(pl_stream_finish(stream), PL_OK);
    close_event(seen);
    assert_int_equal(stream->held_len, 0);
}

static void release(struct seen *seen)
{
    pl_buf_release(&seen->events);
    pl_buf_release(&seen->all);
}

/* Push text in pieces that end before the bytes `a` and `b`; the events must be `want`. */
static void check_cut(const char *text, size_t a, size_t b, const char *want)
{
    const size_t len = strlen(text);
    struct pl_stream stream;
    struct seen seen;

    begin(&seen, &stream, PL_PART_TEXT);
    assert_int_equal(pl_stream_push(&stream, text, a), PL_OK);
    assert_int_equal(pl_stream_push(&stream, text + a, b - a), PL_OK);
    assert_int_equal(pl_stream_push(&stream, text + b, len - b), PL_OK);
    end(&seen, &stream);
    assert_string_equal(seen.events.data ? seen.events.data : "", want);
    release(&seen);
}

static void tags_are_seen_however_the_text_is_cut(void **state)
{
    static const struct {
        const char *text, *events;
    } cases[] = {
        {"plain", "text[plain]"},
        {"<think>a</think><answer>b</answer>", "!think[a]!!answer[b]!"},
        {"x<think>a</think> <answer>b</answer>\n", "text[x]!think[a]!text[ ]!answer[b]!text[\n]"},
        {"<think></think>", "!!"},
        /* no tags, or not quite */
        {"<thinking> <Think> < think> <think >", "text[<thinking> <Think> < think> <think >]"},
        {"1 < 2, a<b></b>, </>, <", "text[1 < 2, a<b></b>, </>, <]"},
        {"<<think>>", "text[<]!think[>]"},
        {"</answe</answer>r>", "text[</answe]!text[r>]"},
        {"<th<th<think>", "text[<th<th]!"},
        {"<answer", "text[<answer]"},
        /* tags without partners */
        {"<answer>a<think>b</answer>c", "!answer[a]!think[b]!text[c]"},
        {"</think>a<think><think>b", "!text[a]!!think[b]"},
        /* characters */
        {"\xC3\xA9\xE2\x82\xAC<think>\xF0\x9F\x98\x80",
         "text[\xC3\xA9\xE2\x82\xAC]!think[\xF0\x9F\x98\x80]"},
        {"a\xF0\x9F\x98<think>\xE2\x82",
         "text[a" PL_UTF8_REPLACEMENT "]!think[" PL_UTF8_REPLACEMENT "]"},
        {"\xFF\xC0\x80z", "text[" PL_UTF8_REPLACEMENT PL_UTF8_REPLACEMENT PL_UTF8_REPLACEMENT "z]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t len = strlen(cases[i].text);

        for (size_t a = 0; a <= len; a++)
            for (size_t b = a; b <= len; b++)
                check_cut(cases[i].text, a, b, cases[i].events);
    }
}

static void nothing_waits_that_is_decided(void **state)
{
    static const char text[] = "ab<thx";
    static const size_t shown[] = {1, 2, 2, 2, 2, 6}; /* bytes that are out after each byte */
    struct pl_stream stream;
    struct seen seen;

    (void)state;
    begin(&seen, &stream, PL_PART_TEXT);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        assert_int_equal(pl_stream_push(&stream, text + i, 1), PL_OK);
        assert_int_equal(seen.all.len, shown[i]);
    }
    end(&seen, &stream);
    release(&seen);
}

static void a_template_may_have_begun_the_part(void **state)
{
    struct pl_stream stream;
    struct seen seen;

    (void)state;
    begin(&seen, &stream, PL_PART_THINK);
    assert_int_equal(pl_stream_push(&stream, "a</think>b", 10), PL_OK);
    end(&seen, &stream);
    assert_string_equal(seen.events.data, "think[a]!text[b]");
    release(&seen);
}

/* The same by another way: look for the first tag in the whole text, again and again. */
static void split(const char *text, struct pl_buf *out)
{
    static const char *const tags[] = {"<think>", "</think>", "<answer>", "</answer>"};
    static const enum pl_part parts[] = {PL_PART_THINK, PL_PART_TEXT, PL_PART_ANSWER, PL_PART_TEXT};
    enum pl_part part = PL_PART_TEXT;

    for (;;) {
        const char *first = NULL;
        size_t which = 0;

        for (size_t i = 0; i < 4; i++) {
            const char *at = strstr(text, tags[i]);

            if (at && (!first || at < first)) {
                first = at;
                which = i;
            }
        }
        const size_t len = first ? (size_t)(first - text) : strlen(text);

        if (len > 0)
            pl_buf_printf(out, "%s[%.*s]", pl_part_name(part), (int)len, text);
        if (!first)
            return;
        pl_buf_puts(out, "!");
        part = parts[which];
        text = first + strlen(tags[which]);
    }
}

static void random_text_comes_out_as_it_went_in(void **state)
{
    static const char *const bits[] = {"<",       "</",       "think",    "answer",       ">",
                                       "<think>", "</think>", "<answer>", "</answer>",    "a b",
                                       "\n",      "\xC3",     "\xA9",     "\xF0\x9F\x98", "\x80"};
    const struct pl_rng rng = {.seed = 5, .batch = (uint32_t)PL_RNG_TEST};
    uint32_t position = 0;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct pl_buf text, whole, want;
        struct pl_stream stream;
        struct seen seen;

        pl_buf_init(&text, 1 << 20);
        pl_buf_init(&whole, 1 << 20);
        pl_buf_init(&want, 1 << 20);
        for (uint64_t n = pl_rng_below(&rng, position++, 24); n > 0; n--)
            pl_buf_puts(&text, bits[pl_rng_below(&rng, position++, 15)]);
        begin(&seen, &stream, PL_PART_TEXT);
        for (size_t at = 0; at < text.len;) {
            size_t n = 1 + (size_t)pl_rng_below(&rng, position++, 9);

            n = n < text.len - at ? n : text.len - at;
            assert_int_equal(pl_stream_push(&stream, text.data + at, n), PL_OK);
            assert_true(stream.held_len < PL_TAG_BYTES_MAX);
            at += n;
        }
        end(&seen, &stream);
        assert_int_equal(pl_utf8_repair(text.data ? text.data : "", text.len, &whole), PL_OK);
        assert_int_equal(seen.all.len, whole.len);
        if (whole.len > 0) {
            assert_memory_equal(seen.all.data, whole.data, whole.len);
            split(whole.data, &want);
            assert_string_equal(seen.events.data, want.data);
        }
        release(&seen);
        pl_buf_release(&text);
        pl_buf_release(&whole);
        pl_buf_release(&want);
    }
}

static void a_million_tags_are_nothing_special(void **state)
{
    struct pl_stream stream;
    struct seen seen;

    (void)state;
    begin(&seen, &stream, PL_PART_TEXT);
    for (int i = 0; i < 1000000; i++)
        assert_int_equal(pl_stream_push(&stream, i & 1 ? "<think>" : "<", i & 1 ? 7 : 1), PL_OK);
    end(&seen, &stream);
    assert_int_equal(seen.all.len, 4000000);
    assert_int_equal(seen.calls, 1000000);
    release(&seen);
}

static void errors_of_the_sink_end_the_push(void **state)
{
    (void)state;
    for (int fail_at = 1; fail_at <= 5; fail_at++) {
        struct pl_stream stream;
        struct seen seen;

        begin(&seen, &stream, PL_PART_TEXT);
        seen.fail_at = fail_at;
        assert_int_equal(pl_stream_push(&stream, "a<think>b</think>c", 18), PL_EIO);
        assert_int_equal(seen.calls, fail_at); /* and nobody is called again */
        release(&seen);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_are_seen_however_the_text_is_cut),
        cmocka_unit_test(nothing_waits_that_is_decided),
        cmocka_unit_test(a_template_may_have_begun_the_part),
        cmocka_unit_test(random_text_comes_out_as_it_went_in),
        cmocka_unit_test(a_million_tags_are_nothing_special),
        cmocka_unit_test(errors_of_the_sink_end_the_push),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
