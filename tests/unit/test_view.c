#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actor/view.h"

#include <fcntl.h>
#include <pty.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static void check_visible(const char *text, size_t len, const char *want)
{
    struct pl_buf buf;

    pl_buf_init(&buf, 1 << 16);
    assert_int_equal(pl_visible(&buf, text, len), PL_OK);
    assert_string_equal(buf.data, want);
    pl_buf_release(&buf);
}

static void control_characters_become_visible(void **state)
{
    (void)state;
    check_visible("plain \xC3\xA9 \xF0\x9F\x98\x80\n\tx", 16,
                  "plain \xC3\xA9 \xF0\x9F\x98\x80\n\tx");
    check_visible("\033[31mred\033]0;title\a", 18, "\u241b[31mred\u241b]0;title\u2407");
    check_visible("a\0b", 3, "a\u2400b");
    check_visible("over\rwrite\b\x7F", 12, "over\u240dwrite\u2408\u2421");
    check_visible("\xC2\x9B"
                  "31m",
                  5, "<U+009B>31m"); /* CSI in one character */
    check_visible("\xE2\x80\xAE"
                  "abc\xE2\x81\xA9",
                  9, "<U+202E>abc<U+2069>");
    check_visible("", 0, "");
    check_visible("\xC2\xA0\xE2\x80\x94", 5, "\xC2\xA0\xE2\x80\x94"); /* a wide blank, a dash */
}

/* Nothing that steers a terminal is let through, and everything else is. */
static void every_low_character_is_judged(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x100; c++) {
        const char text[2] = {(char)(c < 0x80   ? c
                                     : c < 0xC0 ? 0xC2
                                                : 0xC3),
                              (char)(c < 0xC0 ? c : c - 0x40)};
        const size_t len = c < 0x80 ? 1 : 2;
        const bool control = (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0);
        struct pl_buf buf;

        pl_buf_init(&buf, 64);
        assert_int_equal(pl_visible(&buf, text, len), PL_OK);
        assert_int_equal(buf.len != len || memcmp(buf.data, text, len) != 0, control);
        for (size_t i = 0; i < buf.len; i++) {
            const unsigned char byte = (unsigned char)buf.data[i];

            assert_true((byte >= 0x20 && byte != 0x7F) || byte == '\n' || byte == '\t');
        }
        pl_buf_release(&buf);
    }
}

/* What a view writes for a response that comes in these pieces; flushed after each. */
static const char *shown(int in, int out, bool color, bool raw, const char *const *pieces)
{
    static char text[4096];
    struct pl_view view;
    struct pl_sink sink;
    struct pl_stream stream;
    size_t len = 0;
    ssize_t n;

    pl_view_init(&view, in, color, raw);
    sink = pl_view_sink(&view);
    pl_stream_init(&stream, &sink, PL_PART_TEXT);
    for (; *pieces; pieces++) {
        assert_int_equal(pl_stream_push(&stream, *pieces, strlen(*pieces)), PL_OK);
        assert_int_equal(pl_view_flush(&view, NULL), PL_OK);
    }
    assert_int_equal(pl_stream_finish(&stream), PL_OK);
    assert_int_equal(pl_view_end(&view, NULL), PL_OK);
    pl_view_release(&view);
    do { /* a terminal hands on what was written when it likes to */
        n = read(out, text + len, sizeof text - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    } while (n > 0 && text[len - 1] != '\n');
    text[len] = '\0';
    return text;
}

static const char *piped(bool color, bool raw, const char *const *pieces)
{
    const char *text;
    int ends[2];

    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    text = shown(ends[1], ends[0], color, raw, pieces);
    close(ends[0]);
    close(ends[1]);
    return text;
}

#define PIECES(...)                                                                                \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void with_colour_thoughts_are_dim_and_tags_gone(void **state)
{
    (void)state;
    assert_string_equal(
        piped(true, false,
              PIECES("<think>\n", "so", " so\n", "</think>\n<ans", "wer>", "2</answer>")),
        "\033[2mso\033[0m\033[2m so\n\033[0m2\n");
    assert_string_equal(piped(true, false, PIECES("<think>a</think><answer>b</answer><answer>c")),
                        "\033[2ma\033[0m\nb\nc\n");
    assert_string_equal(piped(true, false, PIECES("<think>", "</think>", "x\n")), "x\n");
    assert_string_equal(piped(true, false, PIECES("  no", " tags\n\n", "at all\n")),
                        "no tags\n\nat all\n");
}

static void without_colour_the_tags_stay(void **state)
{
    (void)state;
    assert_string_equal(piped(false, false, PIECES("<think>a</th", "ink>\n<answer>b</answer>")),
                        "<think>a</think>\n<answer>b</answer>\n");
    assert_string_equal(piped(false, false, PIECES("  a\n")), "  a\n");
    assert_string_equal(piped(false, false, PIECES("")), "");
}

static void a_style_never_outlives_a_write(void **state)
{
    struct pl_view view;
    struct pl_sink sink;
    char text[64];
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    pl_view_init(&view, ends[1], true, false);
    sink = pl_view_sink(&view);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sink.text(sink.at, PL_PART_THINK, "a", 1), PL_OK);
        assert_int_equal(pl_view_flush(&view, NULL), PL_OK);
        assert_int_equal(read(ends[0], text, sizeof text), 9);
        assert_memory_equal(text, "\033[2ma\033[0m", 9);
    }
    pl_view_release(&view);
    close(ends[0]);
    close(ends[1]);
}

static void hostile_text_never_reaches_a_terminal(void **state)
{
    static const char *const pieces[] = {"<think>\033", "[2J</think>",
                                         "\xC2\x9B"
                                         "1A\r",
                                         NULL};
    struct termios plain;
    int ours, theirs;

    (void)state;
    assert_string_equal(piped(false, false, pieces), "<think>\u241b[2J</think><U+009B>1A\u240d\n");
    assert_string_equal(piped(true, false, pieces),
                        "\033[2m\u241b\033[0m\033[2m[2J\033[0m\n<U+009B>1A\u240d\n");
    /* raw: bytes for a file, but not for a terminal */
    assert_string_equal(piped(false, true, pieces), "<think>\033[2J</think>\xC2\x9B"
                                                    "1A\r\n");
    assert_string_equal(piped(true, true, pieces), "<think>\033[2J</think>\xC2\x9B"
                                                   "1A\r\n");
    assert_int_equal(openpty(&ours, &theirs, NULL, NULL, NULL), 0);
    assert_int_equal(tcgetattr(theirs, &plain), 0);
    cfmakeraw(&plain);
    assert_int_equal(tcsetattr(theirs, TCSANOW, &plain), 0);
    assert_string_equal(shown(theirs, ours, false, true, pieces),
                        "<think>\u241b[2J</think><U+009B>1A\u240d\n");
    close(ours);
    close(theirs);
}

static void a_file_that_takes_no_more_is_an_error(void **state)
{
    struct pl_error err = {0};
    struct pl_view view;
    struct pl_sink sink;
    const int full = open("/dev/full", O_WRONLY);

    (void)state;
    assert_true(full >= 0);
    pl_view_init(&view, full, false, false);
    sink = pl_view_sink(&view);
    assert_int_equal(pl_view_end(&view, &err), PL_OK); /* nothing to write */
    assert_int_equal(sink.text(sink.at, PL_PART_TEXT, "a", 1), PL_OK);
    assert_int_equal(pl_view_flush(&view, &err), PL_EIO);
    assert_string_equal(err.text, "write the answer: No space left on device");
    pl_view_release(&view);
    close(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_characters_become_visible),
        cmocka_unit_test(every_low_character_is_judged),
        cmocka_unit_test(with_colour_thoughts_are_dim_and_tags_gone),
        cmocka_unit_test(without_colour_the_tags_stay),
        cmocka_unit_test(a_style_never_outlives_a_write),
        cmocka_unit_test(hostile_text_never_reaches_a_terminal),
        cmocka_unit_test(a_file_that_takes_no_more_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
