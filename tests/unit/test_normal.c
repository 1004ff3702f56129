#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/rng.h"
#include "common/text/normal.h"
#include "common/text/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static const struct pl_rng rng = {.seed = 7, .batch = (uint32_t)PL_RNG_TEST};
static uint32_t draws;

static uint64_t below(uint64_t n)
{
    return pl_rng_below(&rng, draws++, n);
}

static void put(struct pl_buf *buf, uint32_t cp)
{
    char bytes[4];

    assert_int_equal(pl_buf_append(buf, bytes, pl_utf8_put(cp, bytes)), PL_OK);
}

static void expect(enum pl_form form, const struct pl_buf *text, const struct pl_buf *want)
{
    struct pl_buf got;

    pl_buf_init(&got, 1 << 24);
    assert_int_equal(pl_normal(form, text->data, text->len, &got), PL_OK);
    assert_int_equal(got.len, want->len);
    assert_memory_equal(got.data, want->data, want->len);
    pl_buf_release(&got);
}

static void characters(struct pl_buf *buf, const uint32_t *cps)
{
    pl_buf_init(buf, 1 << 10);
    for (; *cps; cps++)
        put(buf, *cps);
}

/* UAX #15, and composition exclusions. In the order of enum pl_form: NFC, NFD, NFKC, NFKD. */
static void forms_are_those_of_the_standard(void **state)
{
    static const uint32_t cases[][5][6] = {
        {{0x1E9B, 0x323}, {0x1E9B, 0x323}, {0x17F, 0x323, 0x307}, {0x1E69}, {0x73, 0x323, 0x307}},
        {{0xAC01}, {0xAC01}, {0x1100, 0x1161, 0x11A8}, {0xAC01}, {0x1100, 0x1161, 0x11A8}},
        {{0x2126}, {0x3A9}, {0x3A9}, {0x3A9}, {0x3A9}},
        {{0xFB01, 0xB2}, {0xFB01, 0xB2}, {0xFB01, 0xB2}, {'f', 'i', '2'}, {'f', 'i', '2'}},
        {{0x958}, {0x915, 0x93C}, {0x915, 0x93C}, {0x915, 0x93C}, {0x915, 0x93C}},
        {{0x344}, {0x308, 0x301}, {0x308, 0x301}, {0x308, 0x301}, {0x308, 0x301}},
        {{'a', 0x315, 0x300, 0x5AE, 'b'},
         {0xE0, 0x5AE, 0x315, 'b'},
         {'a', 0x5AE, 0x300, 0x315, 'b'},
         {0xE0, 0x5AE, 0x315, 'b'},
         {'a', 0x5AE, 0x300, 0x315, 'b'}},
        {{'A', 'b', 0x30A},
         {'A', 'b', 0x30A},
         {'A', 'b', 0x30A},
         {'A', 'b', 0x30A},
         {'A', 'b', 0x30A}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pl_buf text, want;

        characters(&text, cases[i][0]);
        for (int form = 0; form < 4; form++) {
            characters(&want, cases[i][form + 1]);
            expect((enum pl_form)form, &text, &want);
            pl_buf_release(&want);
        }
        pl_buf_release(&text);
    }
}

static uint32_t random_character(void)
{
    static const struct {
        uint32_t from, n;
    } ranges[] = {{0x20, 0x5F},     {0xA0, 0x260},    {0x300, 0x70},    {0x591, 0x30},
                  {0x900, 0x80},    {0x1100, 0x100},  {0x1E00, 0x200},  {0x2000, 0x200},
                  {0xAC00, 11172},  {0xF900, 0x200},  {0xFB00, 0x500},  {0xFF00, 0xF0},
                  {0x1D100, 0x100}, {0x1F100, 0x100}, {0x2F800, 0x220}, {0x20, 0x5F}};
    const size_t i = below(sizeof ranges / sizeof ranges[0]);

    return ranges[i].from + (uint32_t)below(ranges[i].n);
}

/* utf8proc's own way over whole strings, which here goes character by character. */
static void random_text_comes_out_as_from_utf8proc(void **state)
{
    static const int options[4] = {
        [PL_FORM_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [PL_FORM_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [PL_FORM_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [PL_FORM_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };

    (void)state;
    for (int round = 0; round < 3000; round++) {
        const size_t n = 1 + below(60);
        struct pl_buf text;

        pl_buf_init(&text, 1 << 10);
        for (size_t i = 0; i < n; i++)
            put(&text,
                round % 3 == 0 && i % 8 > 0 ? 0x300 + (uint32_t)below(0x50) : random_character());
        for (int form = 0; form < 4; form++) {
            utf8proc_uint8_t *made = NULL;
            const utf8proc_ssize_t len =
                utf8proc_map((const utf8proc_uint8_t *)text.data, (utf8proc_ssize_t)text.len, &made,
                             (utf8proc_option_t)options[form]);
            struct pl_buf want = {.data = (char *)made, .len = (size_t)len};

            assert_true(len >= 0);
            expect((enum pl_form)form, &text, &want);
            expect((enum pl_form)form, &want, &want); /* and stays so */
            if (pl_normal_quick((enum pl_form)form, text.data, text.len))
                assert_memory_equal(text.data, made, text.len);
            free(made);
        }
        pl_buf_release(&text);
    }
}

static void a_quick_look_knows_plain_text(void **state)
{
    static const char latin[] = "na\xC3\xAFve text, eight and more",
                      mark[] = "long text, e\xCC\x81";

    (void)state;
    for (int form = 0; form < 4; form++) {
        assert_true(pl_normal_quick((enum pl_form)form, "plain ASCII text\r\n", 18));
        assert_true(pl_normal_quick((enum pl_form)form, "", 0));
        assert_false(pl_normal_quick((enum pl_form)form, mark, sizeof mark - 1));
    }
    assert_true(pl_normal_quick(PL_FORM_NFC, latin, sizeof latin - 1));
    assert_false(pl_normal_quick(PL_FORM_NFD, latin, sizeof latin - 1));
}

/* An exchange sort would take some 10^10 steps, and this test its time limit. */
static void many_marks_are_put_in_order_at_once(void **state)
{
    enum { MARKS = 200000 };
    static const uint32_t marks[] = {0x334, 0x327, 0x31B, 0x316, 0x301, 0x315, 0x35C, 0x345};
    struct pl_buf text, want, got;
    size_t counts[8] = {0};

    (void)state;
    pl_buf_init(&text, 1 << 22);
    pl_buf_init(&want, 1 << 22);
    pl_buf_init(&got, 1 << 22);
    put(&text, 'x');
    put(&want, 'x');
    for (size_t i = 0; i < MARKS; i++) {
        const size_t k = below(8);

        counts[k]++;
        put(&text, marks[k]);
    }
    for (size_t k = 0; k < 8; k++) { /* their classes rise: 1, 202, 216, 220, 230, 232, 233, 240 */
        for (size_t i = 0; i < counts[k]; i++)
            put(&want, marks[k]);
    }
    assert_int_equal(pl_normal(PL_FORM_NFD, text.data, text.len, &got), PL_OK);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    pl_buf_clear(&got);
    assert_int_equal(pl_normal(PL_FORM_NFC, text.data, text.len, &got), PL_OK);
    pl_buf_release(&text);
    pl_buf_release(&want);
    pl_buf_release(&got);
}

static void a_full_buffer_is_an_error(void **state)
{
    struct pl_buf got;

    (void)state;
    pl_buf_init(&got, 10);
    assert_int_equal(pl_normal(PL_FORM_NFKC, "\xEF\xB7\xBA", 3, &got), PL_EFULL); /* U+FDFA */
    pl_buf_release(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_those_of_the_standard),
        cmocka_unit_test(random_text_comes_out_as_from_utf8proc),
        cmocka_unit_test(a_quick_look_knows_plain_text),
        cmocka_unit_test(many_marks_are_put_in_order_at_once),
        cmocka_unit_test(a_full_buffer_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
