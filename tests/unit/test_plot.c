/* Plots: where ticks and marks lie, in numbers; gaps; what is kept of many points; escaping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "deploy/view/plot.h"
#include "deploy/view/ticks.h"
#include "tests/close.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- ticks ---- */

static struct pl_ticks ticks_of(double least, double most, size_t about, bool loose)
{
    const struct pl_ticks_ask ask = {.least = least, .most = most, .about = about, .loose = loose};
    struct pl_ticks t;

    pl_ticks_find(&ask, &t);
    assert_true(t.least < t.most && isfinite(t.least) && isfinite(t.most));
    assert_in_range(t.count, 1, PL_TICKS_MAX);
    for (size_t i = 0; i < t.count; i++) {
        assert_true(t.at[i] >= t.least - 1e-9 * t.step && t.at[i] <= t.most + 1e-9 * t.step);
        assert_true(i == 0 || t.at[i] > t.at[i - 1]);
    }
    return t;
}

static void written(const struct pl_ticks *t, const char *want)
{
    char all[256] = "", text[PL_TICK_TEXT];

    for (size_t i = 0; i < t->count; i++) {
        strcat(all, i ? " " : "");
        strcat(all, pl_ticks_text(t, t->at[i], text));
    }
    assert_string_equal(all, want);
}

static void ticks_are_round(void **state)
{
    (void)state;
    struct pl_ticks t = ticks_of(0.03, 0.87, 5, true);

    written(&t, "0 0.2 0.4 0.6 0.8 1.0");
    assert_true(t.least == 0.0 && t.most == 1.0);
    t = ticks_of(-1.9, 2.4, 4, true);
    written(&t, "-2 0 2 4");
    t = ticks_of(1, 60, 5, false);
    written(&t, "20 40 60");
    assert_true(t.least == 1.0 && t.most == 60.0); /* where the data end */
    t = ticks_of(0, 100000, 5, true);
    written(&t, "0 20k 40k 60k 80k 100k");
    t = ticks_of(0, 4e6, 4, true);
    written(&t, "0 1M 2M 3M 4M");
    t = ticks_of(0, 3e-5, 3, true);
    written(&t, "0 1e-05 2e-05 3e-05");
    t = ticks_of(0.2, 0.2004, 2, true);
    written(&t, "0.2000 0.2002 0.2004");
}

static void whole_ticks_have_no_fractions(void **state)
{
    (void)state;
    const struct pl_ticks_ask ask = {.least = 0, .most = 2, .about = 6, .whole = true};
    struct pl_ticks t;

    pl_ticks_find(&ask, &t);
    written(&t, "0 1 2");
}

static void odd_ranges_still_have_an_axis(void **state)
{
    (void)state;
    const double odd[] = {0, 1, -3, 1e-300, 5e-324, 1e308, -1e308, INFINITY, NAN};
    struct pl_ticks t;

    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
            (void)ticks_of(odd[i], odd[k], 5, true);
            (void)ticks_of(odd[i], odd[k], 1000, false);
        }
    t = ticks_of(0, 0, 4, true); /* a point */
    assert_true(t.least <= 0 && t.most >= 1);
    t = ticks_of(7, 7, 4, true);
    assert_true(t.least < 7 && t.most > 7);
}

static void log_ticks_are_powers(void **state)
{
    (void)state;
    struct pl_ticks_ask ask = {.least = 3e-6, .most = 0.02, .about = 4, .loose = true, .log = true};
    struct pl_ticks t;

    pl_ticks_find(&ask, &t);
    written(&t, "1e-06 0.0001 0.01");
    assert_true(t.least <= 3e-6 && t.most >= 0.02);
    pl_assert_close(pl_ticks_place(&t, sqrt(t.least * t.most)), 0.5, 1e-12, 0);
    ask = (struct pl_ticks_ask){.least = 1, .most = 80, .about = 4, .loose = true, .log = true};
    pl_ticks_find(&ask, &t);
    written(&t, "1 2 5 10 20 50 100");
    ask.least = -1; /* nothing of the kind on a log axis */
    pl_ticks_find(&ask, &t);
    assert_true(t.least > 0.0 && t.most >= 80.0);
    ask.least = ask.most = 1e-295;
    pl_ticks_find(&ask, &t);
    assert_true(t.least > 0.0 && t.most > t.least && t.count > 0);
}

static void places_stay_within_the_axis(void **state)
{
    (void)state;
    const struct pl_ticks t = ticks_of(0, 10, 5, true);

    pl_assert_close(pl_ticks_place(&t, 2.5), 0.25, 1e-12, 0);
    assert_true(pl_ticks_place(&t, -3) == 0.0 && pl_ticks_place(&t, INFINITY) == 1.0);
    assert_true(pl_ticks_place(&t, NAN) == 0.0);
}

static void numbers_have_four_digits(void **state)
{
    (void)state;
    const struct {
        double value;
        const char *text;
    } cases[] = {{0.46, "0.46"},
                 {12.34567, "12.35"},
                 {-1.5, "-1.5"},
                 {12345.6, "12346"},
                 {1.23456e-5, "1.235e-05"},
                 {0, "0"},
                 {-0.0, "0"},
                 {NAN, "-"},
                 {INFINITY, "-"},
                 {1e300, "1e+300"},
                 {0.00123456, "0.001235"}};
    char text[PL_TICK_TEXT];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(pl_number_text(cases[i].value, text), cases[i].text);
}

/* ---- lines ---- */

static struct pl_buf svg;

static int setup(void **state)
{
    (void)state;
    pl_buf_init(&svg, 1 << 22);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pl_buf_release(&svg);
    return 0;
}

static void has(const char *text)
{
    if (!strstr(svg.data, text))
        fail_msg("not there: %s\n%.4000s", text, svg.data);
}

static void lacks(const char *text)
{
    if (strstr(svg.data, text))
        fail_msg("there: %s", text);
}

static void draw(const struct pl_plot_series *series, size_t count)
{
    const struct pl_plot_lines plot = {.frame = {.id = "a", .title = "T", .desc = "D"},
                                       .x_name = "step",
                                       .y_least = 0,
                                       .y_most = NAN,
                                       .series = series,
                                       .count = count};

    pl_buf_clear(&svg);
    assert_int_equal(pl_plot_lines(&plot, &svg), PL_OK);
    assert_null(strstr(svg.data, "nan"));
    assert_null(strstr(svg.data, "inf"));
}

/* The path of the line of a colour, in numbers: how many subpaths, points. */
struct path {
    size_t moves, points;
    double x[4096], y[4096];
};

static struct path path;

static void read_path(const char *of)
{
    const char *at = strstr(svg.data, of);
    char how;
    int n;

    assert_non_null(at);
    at = strstr(at, "d=\"") + 3;
    path.moves = path.points = 0;
    while (sscanf(at, "%c%lf %lf%n", &how, &path.x[path.points], &path.y[path.points], &n) == 3 &&
           (how == 'M' || how == 'L')) {
        path.moves += how == 'M';
        path.points++;
        at += n;
        if (strncmp(at, "h0", 2) == 0)
            at += 2;
    }
}

static void points_lie_where_they_belong(void **state)
{
    (void)state;
    const double x[] = {0, 10, 20}, y[] = {0, 0.5, 1.0};
    const struct pl_plot_series s = {.x = x, .y = y, .n = 3};

    draw(&s, 1);
    read_path("class=\"curve s0\"");
    assert_int_equal(path.points, 3);
    assert_int_equal(path.moves, 1);
    /* 360 by 210, an edge of 8, 26 below for the axis; numbers of three letters on the left. */
    pl_assert_close(path.y[0], 210 - 8 - 26, 0.06, 0);
    pl_assert_close(path.y[2], 8, 0.06, 0);
    pl_assert_close(path.y[1], (path.y[0] + path.y[2]) / 2, 0.11, 0);
    pl_assert_close(path.x[0], 8 + 3 * 6.6 + 5, 0.06, 0);
    pl_assert_close(path.x[2], 360 - 8 - 6, 0.06, 0);
    pl_assert_close(path.x[1], (path.x[0] + path.x[2]) / 2, 0.11, 0);
    has(">0.5</text>");
    has(">1.0</text>");
    has(">step</text>");
}

static void what_is_not_finite_is_a_gap(void **state)
{
    (void)state;
    const double x[] = {0, 1, 2, 3, 4, 5, 6}, y[] = {1, 2, NAN, 3, INFINITY, 2, 1};
    const struct pl_plot_series s = {.x = x, .y = y, .n = 7, .color = 1};

    draw(&s, 1);
    read_path("class=\"curve s1\"");
    assert_int_equal(path.points, 5);
    assert_int_equal(path.moves, 3);
    has("h0M"); /* the lone point in the middle is a dot */
}

static void nothing_to_draw_is_no_error(void **state)
{
    (void)state;
    const double x[] = {0, NAN}, y[] = {NAN, 1};
    const struct pl_plot_series none[] = {{.x = x, .y = y, .n = 2, .name = "x"}, {.n = 0}};

    draw(none, 2);
    has("d=\"\"/>");
    draw(none, 0);
    has("</svg>");
}

static void extremes_outlive_thinning(void **state)
{
    (void)state;
    enum { N = 100000 };
    double *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    double least = INFINITY, most = -INFINITY;
    const struct pl_plot_series s = {.x = x, .y = y, .n = N};

    for (size_t i = 0; i < N; i++) {
        x[i] = (double)i;
        y[i] = 5.0 + sin((double)i / 1000.0);
    }
    y[31415] = 10.0; /* one point of a hundred thousand */
    y[92653] = 0.0;
    draw(&s, 1);
    read_path("class=\"curve s0 thin\"");
    assert_in_range(path.points, 300, 4 * 360);
    for (size_t i = 0; i < path.points; i++) {
        least = fmin(least, path.y[i]);
        most = fmax(most, path.y[i]);
        assert_true(i == 0 || path.x[i] >= path.x[i - 1]);
    }
    pl_assert_close(least, 8, 0.06, 0);  /* 10: the top of the axis */
    pl_assert_close(most, 176, 0.06, 0); /* 0: its foot */
    free(x);
    free(y);
}

static void intervals_are_bands_or_whiskers(void **state)
{
    (void)state;
    const double x[] = {0, 1, 2, 3}, y[] = {1, 2, 1, 2}, low[] = {0.5, 1.5, NAN, 1.5},
                 high[] = {1.5, 2.5, 1.5, 4.0};
    struct pl_plot_series s = {.x = x, .y = y, .low = low, .high = high, .n = 4, .color = 2};

    draw(&s, 1);
    read_path("class=\"band f2\"");
    assert_int_equal(path.points,
                     4); /* two points there and back; the last is a stretch by itself */
    assert_int_equal(path.moves, 1);
    lacks("whisker s2");
    has(">4</text>"); /* the axis holds the interval */
    s.marks = true;
    draw(&s, 1);
    lacks("class=\"band");
    has("class=\"whisker s2\"");
    has("<title>step 3: 2 (1.5 to 4)</title></polygon>");
    has("<title>step 2: 1</title>");
}

static void a_log_axis_leaves_out_what_it_cannot_show(void **state)
{
    (void)state;
    const double x[] = {0, 1, 2, 3}, y[] = {1e-4, 0.0, 1e-2, 1.0};
    const struct pl_plot_series s = {.x = x, .y = y, .n = 4};
    const struct pl_plot_lines plot = {.frame = {.id = "a", .title = "T"},
                                       .y_least = NAN,
                                       .y_most = NAN,
                                       .y_log = true,
                                       .series = &s,
                                       .count = 1};

    pl_buf_clear(&svg);
    assert_int_equal(pl_plot_lines(&plot, &svg), PL_OK);
    read_path("class=\"curve s0\"");
    assert_int_equal(path.moves, 2);
    assert_int_equal(path.points, 3);
    pl_assert_close(path.y[1], (path.y[0] + path.y[2]) / 2, 0.11, 0); /* 1e-2 is half-way */
}

static void names_do_not_lie_on_each_other(void **state)
{
    (void)state;
    const double x[] = {0, 1}, y[] = {1, 1};
    struct pl_plot_series s[6];
    double at[6];
    size_t count = 0;

    for (size_t i = 0; i < 6; i++)
        s[i] = (struct pl_plot_series){.name = "run", .x = x, .y = y, .n = 2, .color = i};
    draw(s, 6);
    for (const char *p = svg.data; (p = strstr(p, "<text class=\"tag")) != NULL; p++)
        assert_int_equal(sscanf(strstr(p, " y=\""), " y=\"%lf", &at[count++]), 1);
    assert_int_equal(count, 6);
    for (size_t i = 1; i < 6; i++)
        assert_true(at[i] - at[i - 1] >= 13.9);
    assert_true(at[0] > 8 && at[5] < 210);
}

static void a_line_that_ends_early_is_named_where_it_ends(void **state)
{
    (void)state;
    const double x[] = {0, 50, 100}, y[] = {1, 2, 3};
    const struct pl_plot_series s[] = {{.name = "long", .x = x, .y = y, .n = 3},
                                       {.name = "short", .x = x, .y = y, .n = 2, .color = 1}};
    const char *tag;
    double at;

    draw(s, 2);
    read_path("class=\"curve s1\"");
    tag = strstr(svg.data, "<text class=\"tag f1\"");
    assert_non_null(tag);
    assert_int_equal(sscanf(tag, "<text class=\"tag f1\" x=\"%lf", &at), 1);
    pl_assert_close(at, path.x[1] + 6, 0.11, 0);
    lacks("class=\"lead\"");
}

static void texts_are_escaped(void **state)
{
    (void)state;
    const double x[] = {0, 1}, y[] = {1, 2};
    const struct pl_plot_series s = {
        .name = "<i>&\"'\x01\xFF", .x = x, .y = y, .n = 2, .marks = true};
    const struct pl_plot_lines plot = {
        .frame = {.id = "\"><script>", .title = "</title><script>", .desc = "]]>&"},
        .x_name = "<x>",
        .y_least = NAN,
        .y_most = NAN,
        .series = &s,
        .count = 1};

    pl_buf_clear(&svg);
    assert_int_equal(pl_plot_lines(&plot, &svg), PL_OK);
    lacks("<script");
    lacks("<i>");
    lacks("<x>");
    lacks("]]>");
    has("&lt;i&gt;&amp;&quot;&#39;\xE2\x90\x81\xEF\xBF\xBD");
    has("&lt;/title&gt;&lt;script&gt;");
}

static void a_plot_alone_carries_its_style(void **state)
{
    (void)state;
    struct pl_plot_lines plot = {.frame = {.id = "a", .title = "Alone", .alone = true}};

    pl_buf_clear(&svg);
    assert_int_equal(pl_plot_lines(&plot, &svg), PL_OK);
    has("width=\"360\" height=\"210\"");
    has("prefers-color-scheme: dark");
    has(">Alone</text>");
    plot.frame.alone = false;
    pl_buf_clear(&svg);
    assert_int_equal(pl_plot_lines(&plot, &svg), PL_OK);
    lacks("<style>");
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    const struct pl_plot_lines plot = {.frame = {.id = "a", .title = "T"}};
    struct pl_buf small;

    pl_buf_init(&small, 100);
    assert_int_equal(pl_plot_lines(&plot, &small), PL_EFULL);
    pl_buf_release(&small);
}

/* ---- bars, stacks, counts ---- */

static void bars_are_as_long_as_their_values(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b"}, *const groups[] = {"first", "second <"};
    const struct pl_plot_bar bars[] = {
        {0.25, NAN, NAN, NAN}, {0.5, 0.4, 0.6, 0.75}, {NAN, NAN, NAN, NAN}, {1.0, NAN, NAN, NAN}};
    const struct pl_plot_bars plot = {.frame = {.id = "b", .title = "B", .desc = "D"},
                                      .groups = groups,
                                      .group_count = 2,
                                      .names = names,
                                      .name_count = 2,
                                      .bars = bars,
                                      .least = NAN,
                                      .most = NAN,
                                      .mark_name = "published"};
    double width[3];
    size_t count = 0;

    pl_buf_clear(&svg);
    assert_int_equal(pl_plot_bars(&plot, &svg), PL_OK);
    for (const char *p = svg.data; (p = strstr(p, "<rect class=\"f")) != NULL; p++)
        assert_int_equal(sscanf(strstr(p, "width=\""), "width=\"%lf", &width[count++]), 1);
    assert_int_equal(count, 3); /* none for NaN */
    pl_assert_close(width[0] * 2, width[1], 0.2, 0);
    pl_assert_close(width[0] * 4, width[2], 0.4, 0);
    has("class=\"span\"");
    has(">second &lt;</text>");
    has(">-</text>");
    has(">published</text>");
    assert_null(strstr(svg.data, "nan"));
}

static void parts_fill_their_row(void **state)
{
    (void)state;
    static const char *const rows[] = {"a", "b"}, *const parts[] = {"x", "y", "z"};
    const double values[] = {1, 2, 1, 2, NAN, -3};
    const struct pl_plot_stack plot = {.frame = {.id = "s", .title = "S"},
                                       .rows = rows,
                                       .row_count = 2,
                                       .parts = parts,
                                       .part_count = 3,
                                       .values = values,
                                       .unit = "s"};
    size_t count = 0;

    pl_buf_clear(&svg);
    assert_int_equal(pl_plot_stack(&plot, &svg), PL_OK);
    for (const char *p = svg.data; (p = strstr(p, "height=\"18\"")) != NULL; p++)
        count++;
    assert_int_equal(count, 4); /* NaN and what is below 0 are nothing */
    has(">25 %</text>");
    has(">50 %</text>");
    has(">100 %</text>");
    has(">4 s</text>");
    has("<title>y: 2s</title>");
}

static void bins_hold_whole_numbers_in_the_middle(void **state)
{
    (void)state;
    double edges[PL_PLOT_BINS_MAX + 1];

    assert_int_equal(pl_plot_bins(0, 3, 10, true, edges), 4);
    assert_true(edges[0] == 0 && edges[4] == 4);
    assert_int_equal(pl_plot_bins(12, 181, 10, true, edges), 10);
    assert_true(edges[0] == 0 && edges[10] == 200);
    assert_int_equal(pl_plot_bins(NAN, NAN, 10, false, edges), 10);
}

static void counts_lie_on_top_of_each_other(void **state)
{
    (void)state;
    static const char *const names[] = {"right", "wrong"};
    const double edges[] = {0, 1, 2}, counts[] = {4, 0, 4, 8};
    const size_t colors[] = {2, 1};
    const struct pl_plot_counts plot = {.frame = {.id = "h", .title = "H"},
                                        .edges = edges,
                                        .n = 2,
                                        .names = names,
                                        .counts = counts,
                                        .colors = colors,
                                        .name_count = 2};
    double y[3], h[3];
    size_t count = 0;

    pl_buf_clear(&svg);
    assert_int_equal(pl_plot_counts(&plot, &svg), PL_OK);
    for (const char *p = strchr(svg.data, '8'); (p = strstr(p, "<rect class=\"part f")) != NULL;
         p++)
        if (!strstr(p, "rx=") || strstr(p, "rx=") > strchr(p, '>')) {
            assert_int_equal(sscanf(strstr(p, "y=\""), "y=\"%lf", &y[count]), 1);
            assert_int_equal(sscanf(strstr(p, "height=\""), "height=\"%lf", &h[count++]), 1);
        }
    assert_int_equal(count, 3);
    pl_assert_close(h[0], h[1], 0.11, 0);
    pl_assert_close(h[2], h[0] + h[1], 0.11, 0);
    pl_assert_close(y[1] + h[1], y[0], 0.11, 0);
    pl_assert_close(y[2], y[1], 0.11, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_are_round),
        cmocka_unit_test(whole_ticks_have_no_fractions),
        cmocka_unit_test(odd_ranges_still_have_an_axis),
        cmocka_unit_test(log_ticks_are_powers),
        cmocka_unit_test(places_stay_within_the_axis),
        cmocka_unit_test(numbers_have_four_digits),
        cmocka_unit_test(points_lie_where_they_belong),
        cmocka_unit_test(what_is_not_finite_is_a_gap),
        cmocka_unit_test(nothing_to_draw_is_no_error),
        cmocka_unit_test(extremes_outlive_thinning),
        cmocka_unit_test(intervals_are_bands_or_whiskers),
        cmocka_unit_test(a_log_axis_leaves_out_what_it_cannot_show),
        cmocka_unit_test(names_do_not_lie_on_each_other),
        cmocka_unit_test(a_line_that_ends_early_is_named_where_it_ends),
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(a_plot_alone_carries_its_style),
        cmocka_unit_test(a_full_buffer_is_told),
        cmocka_unit_test(bars_are_as_long_as_their_values),
        cmocka_unit_test(parts_fill_their_row),
        cmocka_unit_test(bins_hold_whole_numbers_in_the_middle),
        cmocka_unit_test(counts_lie_on_top_of_each_other),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
