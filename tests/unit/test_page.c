/* Pages: what is escaped and how, tags that match, contrasts of the palette, nothing fetched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "deploy/view/page.h"
#include "deploy/view/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pl_buf out;
static struct pl_page page;

static int setup(void **state)
{
    (void)state;
    pl_buf_init(&out, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pl_buf_release(&out);
    return 0;
}

static void escaped(const char *text, const char *want)
{
    struct pl_markup m = {.out = &out};

    pl_buf_clear(&out);
    pl_markup_text(&m, text);
    assert_int_equal(m.rc, PL_OK);
    assert_string_equal(out.data ? out.data : "", want);
}

static void text_is_escaped(void **state)
{
    (void)state;
    escaped("<script>alert(\"1\" & '2')</script>",
            "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;");
    escaped("a\tb\nc", "a\tb\nc");
    escaped("\x01\x1B[31m\x7F", "\xE2\x90\x81\xE2\x90\x9B[31m\xE2\x90\xA1");
    escaped("\r", "\xE2\x90\x8D");
    escaped("\xC2\x80\xEF\xBF\xBE", "\xEF\xBF\xBD\xEF\xBF\xBD");     /* U+0080, U+FFFE */
    escaped("a\xFF\xC3(", "a\xEF\xBF\xBD\xEF\xBF\xBD(");             /* no UTF-8 */
    escaped("\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"); /* a surrogate */
    escaped("\xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80", "\xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80");
    escaped("&lt;", "&amp;lt;");
}

static void short_texts_end_in_an_ellipsis(void **state)
{
    (void)state;
    struct pl_markup m = {.out = &out};

    pl_buf_clear(&out);
    pl_markup_short(&m, "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", 4);
    pl_markup_short(&m, "<<<<<", 4);
    assert_string_equal(out.data, "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9&lt;&lt;&lt;\xE2\x80\xA6");
    assert_int_equal(pl_markup_chars("a\xC3\xA9\xFF"), 3);
}

static void a_writer_keeps_its_first_error(void **state)
{
    (void)state;
    struct pl_buf small;
    struct pl_markup m = {.out = &small};

    pl_buf_init(&small, 4);
    pl_markup_put(&m, "abcd");
    assert_int_equal(m.rc, PL_OK);
    pl_markup_text(&m, "<");
    pl_markup_keep(&m, PL_ENOMEM);
    assert_int_equal(m.rc, PL_EFULL);
    assert_string_equal(small.data, "abcd");
    pl_buf_release(&small);
}

/* A page with one of everything, every text hostile. */
static const char bad[] = "</td><script>\"'&\x02\xFF";

static int make(size_t bytes_max)
{
    const char *words[] = {bad, bad, NULL, bad};
    const size_t keys[] = {0, 9};
    char id[PL_PAGE_ID];

    pl_buf_release(&out);
    pl_buf_init(&out, bytes_max);
    pl_page_begin(&page, &(struct pl_page_opts){.title = bad, .subtitle = bad, .css = ".a{}"},
                  &out);
    pl_page_links(&page, words, words, 2);
    pl_page_tiles(&page);
    pl_page_tile(&page, bad, bad, bad);
    pl_page_tiles_end(&page);
    pl_page_section(&page, pl_page_id(&page, id), bad, bad);
    pl_page_heading(&page, bad);
    pl_page_text(&page, bad);
    pl_page_note(&page, bad);
    pl_page_grid(&page);
    pl_page_figure(&page, bad, bad, true);
    pl_page_details(&page, bad);
    pl_page_table(&page, &(struct pl_page_table){.caption = bad,
                                                 .align = "lr",
                                                 .heads = words,
                                                 .cells = words,
                                                 .rows = 2,
                                                 .keys = keys});
    pl_page_details_end(&page);
    pl_page_figure_end(&page);
    pl_page_grid_end(&page);
    pl_page_facts(&page, words, words, 2);
    pl_page_section_end(&page);
    return pl_page_end(&page, bad);
}

static void whatever_is_given_is_escaped(void **state)
{
    (void)state;
    size_t count = 0;

    assert_int_equal(make(1 << 20), PL_OK);
    assert_null(strstr(out.data, "<script"));
    assert_null(strchr(out.data, '\x02'));
    assert_null(strchr(out.data, '\xFF'));
    for (const char *p = out.data; (p = strstr(p, "&lt;script&gt;&quot;&#39;&amp;")) != NULL; p++)
        count++;
    assert_int_equal(count, 30);
    assert_non_null(strstr(out.data, "class=\"curve s1\"")); /* the tenth colour is the second */
}

/* Tags are closed in the order in which they are opened, as XML has it. */
static void tags_match(void **state)
{
    (void)state;
    char open[64][32];
    size_t depth = 0;

    assert_int_equal(make(1 << 20), PL_OK);
    for (const char *p = strstr(out.data, "<html"); (p = strchr(p, '<')) != NULL;) {
        const char *end = strchr(p, '>');
        const size_t name = strcspn(p + 1 + (p[1] == '/'), " >/");

        assert_non_null(end);
        if (p[1] == '/') {
            assert_true(depth > 0);
            depth--;
            assert_int_equal(strlen(open[depth]), name);
            assert_memory_equal(open[depth], p + 2, name);
        } else if (end[-1] != '/') {
            assert_true(depth < 64 && name < 32);
            snprintf(open[depth++], 32, "%.*s", (int)name, p + 1);
        }
        p = end;
    }
    assert_int_equal(depth, 0);
}

static void nothing_is_fetched(void **state)
{
    (void)state;
    assert_int_equal(make(1 << 20), PL_OK);
    for (const char *p = out.data; (p = strstr(p, "://")) != NULL; p++)
        assert_true(strncmp(p, "://www.w3.org/1999/xhtml\"", 25) == 0 ||
                    strncmp(p, "://www.w3.org/2000/svg\"", 23) == 0); /* names, not places */
    assert_null(strstr(out.data, "url("));
    assert_null(strstr(out.data, "@import"));
    assert_null(strstr(out.data, "src="));
    assert_null(strstr(out.data, "<link"));
    assert_non_null(strstr(out.data, "default-src 'none'"));
}

static void a_page_that_does_not_fit_is_told(void **state)
{
    (void)state;
    assert_int_equal(make(2000), PL_EFULL);
    assert_int_equal(make(0), PL_EFULL);
}

/* ---- contrast (WCAG 2.1, 1.4.3) ---- */

static double luminance(unsigned rgb)
{
    const double weights[] = {0.2126, 0.7152, 0.0722};
    double sum = 0.0;

    for (size_t i = 0; i < 3; i++) {
        const double c = (double)(rgb >> (16 - 8 * i) & 0xFF) / 255.0;

        sum += weights[i] * (c <= 0.03928 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4));
    }
    return sum;
}

/* The colour of a name in the style sheet, from `at` on. */
static unsigned color(const char *at, const char *name)
{
    char key[16];
    unsigned rgb;

    snprintf(key, sizeof key, "--%s: #", name);
    at = strstr(at, key);
    assert_non_null(at);
    assert_int_equal(sscanf(at + strlen(key), "%6x", &rgb), 1);
    return rgb;
}

static void readable(const char *scheme)
{
    const char *const names[] = {"ink", "soft", "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"};
    const char *const papers[] = {"paper", "tint"};

    for (size_t p = 0; p < 2; p++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            const double a = luminance(color(scheme, papers[p]));
            const double b = luminance(color(scheme, names[i]));
            const double ratio = (fmax(a, b) + 0.05) / (fmin(a, b) + 0.05);

            if (ratio < 4.5)
                fail_msg("%s on %s: %.2f", names[i], papers[p], ratio);
        }
}

static void every_colour_is_readable(void **state)
{
    (void)state;
    const char *css = pl_plot_css();

    readable(css);
    readable(strstr(css, "prefers-color-scheme: dark"));
    readable(strstr(css, "@media print"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(short_texts_end_in_an_ellipsis),
        cmocka_unit_test(a_writer_keeps_its_first_error),
        cmocka_unit_test(whatever_is_given_is_escaped),
        cmocka_unit_test(tags_match),
        cmocka_unit_test(nothing_is_fetched),
        cmocka_unit_test(a_page_that_does_not_fit_is_told),
        cmocka_unit_test(every_colour_is_readable),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
