/* Text of others on a terminal: nothing of it moves the cursor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/rng.h"
#include "common/text/safe.h"
#include "common/text/utf8.h"

#include <string.h>

static void assert_safe(const char *text, bool lines, const char *want)
{
    struct pl_buf out;

    pl_buf_init(&out, 1 << 12);
    assert_int_equal(pl_text_safe(text, strlen(text), lines, &out), PL_OK);
    assert_string_equal(out.data ? out.data : "", want);
    pl_buf_release(&out);
}

static void what_is_harmless_stays(void **state)
{
    (void)state;
    assert_safe("", true, "");
    assert_safe("plain ~", true, "plain ~");
    assert_safe("Grüße 日本 \xF0\x9F\x98\x80", false, "Grüße 日本 \xF0\x9F\x98\x80");
    assert_safe("a\n\tb", true, "a\n\tb");
}

static void what_is_not_is_shown_as_what_it_is(void **state)
{
    (void)state;
    assert_safe("a\n\tb", false, "a\\x0a\\x09b");
    assert_safe("\033[2J\033]0;title\a\r", true, "\\x1b[2J\\x1b]0;title\\x07\\x0d");
    assert_safe("\x7f", true, "\\x7f");
    assert_safe("\xC2\x9B"
                "31m",
                true, "\\xc2\\x9b31m"); /* C1, the other CSI */
    assert_safe("\xE2\x80\xAE right to left", true, "\\u202e right to left");
    assert_safe("\xE2\x80\xA8|\xEF\xBB\xBF", true, "\\u2028|\\ufeff");
    assert_safe("\xFF\xC3(\xE2\x82", true, "\\xff\\xc3(\\xe2\\x82"); /* no UTF-8, or cut */
}

/* Whatever comes in, what comes out is UTF-8 of harmless characters. */
static void any_bytes(void **state)
{
    const struct pl_rng rng = {.seed = 7};

    (void)state;
    for (uint64_t round = 0; round < 500; round++) {
        char text[64];
        struct pl_buf out;
        size_t n;

        for (size_t i = 0; i < sizeof text; i++)
            text[i] = (char)pl_rng_below(&rng, (uint32_t)(64 * round + i), 256);
        pl_buf_init(&out, 1 << 12);
        assert_int_equal(pl_text_safe(text, sizeof text, false, &out), PL_OK);
        for (size_t at = 0; at < out.len; at += n) {
            assert_int_equal(pl_utf8_step(out.data + at, out.len - at, &n), PL_UTF8_GOOD);
            assert_false(pl_text_is_unsafe(pl_utf8_decode(out.data + at, n)));
        }
        pl_buf_release(&out);
    }
}

static void a_full_buffer_is_said(void **state)
{
    struct pl_buf out;

    (void)state;
    pl_buf_init(&out, 3);
    assert_int_equal(pl_text_safe("\033", 1, true, &out), PL_EFULL);
    pl_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_harmless_stays),
        cmocka_unit_test(what_is_not_is_shown_as_what_it_is),
        cmocka_unit_test(any_bytes),
        cmocka_unit_test(a_full_buffer_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
