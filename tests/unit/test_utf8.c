#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/text/utf8.h"

#include <stdlib.h>
#include <string.h>

/* Beginnings of well-formed characters, marked by writing all characters down. */
static unsigned char is_start[3][1 << 24];

static size_t write_down(uint32_t cp, unsigned char bytes[4]) /* RFC 3629, section 3 */
{
    if (cp < 0x80) {
        bytes[0] = (unsigned char)cp;
        return 1;
    }
    if (cp < 0x800) {
        bytes[0] = (unsigned char)(0xC0 + cp / 64);
        bytes[1] = (unsigned char)(0x80 + cp % 64);
        return 2;
    }
    if (cp < 0x10000) {
        bytes[0] = (unsigned char)(0xE0 + cp / 4096);
        bytes[1] = (unsigned char)(0x80 + cp / 64 % 64);
        bytes[2] = (unsigned char)(0x80 + cp % 64);
        return 3;
    }
    bytes[0] = (unsigned char)(0xF0 + cp / 262144);
    bytes[1] = (unsigned char)(0x80 + cp / 4096 % 64);
    bytes[2] = (unsigned char)(0x80 + cp / 64 % 64);
    bytes[3] = (unsigned char)(0x80 + cp % 64);
    return 4;
}

static size_t key(const unsigned char *bytes, size_t n)
{
    size_t k = 0;

    for (size_t i = 0; i < n; i++)
        k = k << 8 | bytes[i];
    return k;
}

static void every_character_goes_there_and_back(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        unsigned char want[4];
        char got[4];
        size_t n, len = 0;

        if (cp >= 0xD800 && cp < 0xE000)
            continue;
        n = write_down(cp, want);
        for (size_t i = 1; i < n; i++)
            is_start[i - 1][key(want, i)] = 1;
        if (pl_utf8_put(cp, got) != n || memcmp(got, want, n) != 0 ||
            pl_utf8_step(got, n, &len) != PL_UTF8_GOOD || len != n || pl_utf8_decode(got, n) != cp)
            fail_msg("U+%04X", cp);
    }
}

/* How many bytes at the front begin some character, and whether they are a whole one. */
static size_t by_definition(const unsigned char *bytes, size_t n, enum pl_utf8_kind *ret_kind)
{
    size_t len = 0;

    *ret_kind = PL_UTF8_BAD;
    if (bytes[0] < 0x80) {
        *ret_kind = PL_UTF8_GOOD;
        return 1;
    }
    while (len < n && len < 3 && is_start[len][key(bytes, len + 1)])
        len++;
    if (len == 0)
        return 1;
    if (len == n) {
        *ret_kind = PL_UTF8_SHORT;
        return len;
    }
    /* The next byte ends a character of which all before it is a beginning, or fits nothing. */
    const size_t want = bytes[0] < 0xE0 ? 2 : bytes[0] < 0xF0 ? 3 : 4;

    if (len + 1 == want && (bytes[len] & 0xC0) == 0x80) {
        *ret_kind = PL_UTF8_GOOD;
        return want;
    }
    return len;
}

static void bad_bytes_are_taken_as_the_standard_says(void **state)
{
    static const unsigned char edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F,
                                          0xA0, 0xBF, 0xC0, 0xC2, 0xED, 0xF4, 0xFF};
    enum { EDGES = sizeof edges };

    (void)state;
    for (size_t i = 0; i < 65536 * EDGES * EDGES; i++) {
        const size_t a = i % 65536, b = i / 65536;
        const unsigned char bytes[4] = {(unsigned char)(a >> 8), (unsigned char)a, edges[b % EDGES],
                                        edges[b / EDGES]};

        for (size_t n = b == 0 ? 1 : 4; n <= 4; n++) {
            enum pl_utf8_kind want;
            size_t len = 0;
            const size_t want_len = by_definition(bytes, n, &want);
            const enum pl_utf8_kind kind = pl_utf8_step((const char *)bytes, n, &len);

            if (kind != want || len != want_len)
                fail_msg("%02X %02X %02X %02X, %zu of them: %d and %zu bytes, not %d and %zu",
                         bytes[0], bytes[1], bytes[2], bytes[3], n, (int)kind, len, (int)want,
                         want_len);
        }
    }
}

/* The Unicode Standard 15.0, tables 3-8 to 3-11. */
static void repair_puts_one_mark_for_each_maximal_subpart(void **state)
{
    static const char *const cases[][2] = {
        {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "????????A"},
        {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", "????????A"},
        {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", "?????A??B"},
        {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "????A"},
        {"plain \xC3\xA9", "plain \xC3\xA9"},
        {"a long stretch of it, then \xE2\x82", "a long stretch of it, then ?"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pl_buf got, want;

        pl_buf_init(&got, 100);
        pl_buf_init(&want, 100);
        for (const char *p = cases[i][1]; *p; p++)
            assert_int_equal(*p == '?' ? pl_buf_puts(&want, PL_UTF8_REPLACEMENT)
                                       : pl_buf_append(&want, p, 1),
                             PL_OK);
        assert_int_equal(pl_utf8_repair(cases[i][0], strlen(cases[i][0]), &got), PL_OK);
        assert_string_equal(got.data, want.data);
        assert_true(pl_utf8_valid(got.data, got.len));
        assert_int_equal(pl_utf8_valid(cases[i][0], strlen(cases[i][0])),
                         strcmp(cases[i][0], want.data) == 0);
        pl_buf_release(&got);
        pl_buf_release(&want);
    }
}

static void repair_stops_at_a_full_buffer(void **state)
{
    struct pl_buf got;

    (void)state;
    pl_buf_init(&got, 5);
    assert_int_equal(pl_utf8_repair("abc\xFF", 4, &got), PL_EFULL);
    pl_buf_release(&got);
}

/* PropList.txt: White_Space has 25 characters. */
static void white_space_is_what_unicode_lists(void **state)
{
    size_t n = 0;

    (void)state;
    for (uint32_t cp = 0; cp < 0x110000; cp++)
        n += pl_utf8_is_space(cp);
    assert_int_equal(n, 25);
    assert_true(pl_utf8_is_space(0x85) && pl_utf8_is_space(0xA0) && pl_utf8_is_space(0x3000));
    assert_false(pl_utf8_is_space(0x200B) || pl_utf8_is_space(0x180E) || pl_utf8_is_space(0xFEFF));
}

static void word_characters(void **state)
{
    static const uint32_t words[] = {'a',    'Z',    '0',    '_',    0xE9,   0x300, 0x3B1,
                                     0x4E00, 0x200D, 0x2163, 0x24D0, 0xFF10, 0x203F};
    static const uint32_t others[] = {' ', '-', '<', 0xB2, 0xBD, 0x2028, 0x20AC, 0x1F600, 0xFFFD};

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!pl_utf8_is_word(words[i]))
            fail_msg("U+%04X", words[i]);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (pl_utf8_is_word(others[i]))
            fail_msg("U+%04X", others[i]);
}

static void the_character_before(void **state)
{
    static const char text[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
    static const struct {
        size_t at, start;
        uint32_t cp;
    } cases[] = {{1, 0, 'a'}, {3, 1, 0xE9}, {6, 3, 0x20AC}, {10, 6, 0x1F600}};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        size_t start = 99;

        assert_int_equal(pl_utf8_before(text, cases[i].at, &start), cases[i].cp);
        assert_int_equal(start, cases[i].start);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_goes_there_and_back),
        cmocka_unit_test(bad_bytes_are_taken_as_the_standard_says),
        cmocka_unit_test(repair_puts_one_mark_for_each_maximal_subpart),
        cmocka_unit_test(repair_stops_at_a_full_buffer),
        cmocka_unit_test(white_space_is_what_unicode_lists),
        cmocka_unit_test(word_characters),
        cmocka_unit_test(the_character_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
