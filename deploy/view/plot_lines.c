#include "deploy/view/plot_parts.h"

#include "common/base/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_STEP = 14, MARKS_MAX = 120, LABELS_MAX = 24 };

struct axes {
    struct pl_plot_room room;
    struct pl_ticks x, y;
    double aside; /* of the series that is drawn: marks of several would hide each other */
};

/* Where a step lies, in the view. */
static double x_of(const struct axes *a, double value)
{
    return pl_plot_x(&a->room, &a->x, value) + a->aside;
}

/* ---- the data's range ---- */

static bool drawn(const struct pl_plot_lines *plot, double value)
{
    return isfinite(value) && !(plot->y_log && value <= 0.0);
}

static void stretch(double range[2], double value)
{
    range[0] = isnan(range[0]) ? value : fmin(range[0], value);
    range[1] = isnan(range[1]) ? value : fmax(range[1], value);
}

static void find_ranges(const struct pl_plot_lines *plot, double x[2], double y[2])
{
    for (size_t s = 0; s < plot->count; s++) {
        const struct pl_plot_series *series = &plot->series[s];

        for (size_t i = 0; i < series->n; i++) {
            if (!drawn(plot, series->y[i]) || !isfinite(series->x[i]))
                continue;
            stretch(x, series->x[i]);
            stretch(y, series->y[i]);
            if (series->low && drawn(plot, series->low[i]))
                stretch(y, series->low[i]);
            if (series->high && drawn(plot, series->high[i]))
                stretch(y, series->high[i]);
        }
    }
    if (drawn(plot, plot->y_least))
        stretch(y, plot->y_least);
    if (drawn(plot, plot->y_most))
        stretch(y, plot->y_most);
}

/* Room on the right for the names. */
static double names_width(const struct pl_plot_lines *plot)
{
    double width = 0.0;

    for (size_t s = 0; s < plot->count; s++)
        if (plot->series[s].name)
            width =
                fmax(width, 12.0 + pl_plot_text_width(plot->series[s].name, PL_PLOT_NAME_CHARS));
    return width;
}

/* Whiskers at the ends would lie over the numbers of the axis. */
static void make_way(const struct pl_plot_lines *plot, double x[2])
{
    const double more = 0.03 * (x[1] - x[0]);

    for (size_t s = 0; s < plot->count; s++)
        if (plot->series[s].marks && plot->series[s].low) {
            x[0] -= more;
            x[1] += more;
            return;
        }
}

static void lay_out(const struct pl_plot_lines *plot, struct axes *a)
{
    double x[2] = {NAN, NAN}, y[2] = {NAN, NAN};

    find_ranges(plot, x, y);
    make_way(plot, x);
    a->room.bottom -= plot->x_name ? 26.0 : 12.0;
    pl_ticks_find(&(struct pl_ticks_ask){.least = y[0],
                                         .most = y[1],
                                         .about = (size_t)((a->room.bottom - a->room.top) / 40.0),
                                         .loose = true,
                                         .log = plot->y_log},
                  &a->y);
    a->room.left += pl_plot_ticks_width(&a->y) + 5.0;
    a->room.right -= fmax(names_width(plot), 6.0);
    pl_ticks_find(&(struct pl_ticks_ask){.least = x[0],
                                         .most = x[1],
                                         .about = (size_t)((a->room.right - a->room.left) / 60.0),
                                         .whole = plot->x_whole},
                  &a->x);
}

/* ---- points, thinned out to what can be seen ---- */

/* The points of one place: a point where there are few, else a unit's width. */
struct place {
    size_t begin, end;
    size_t first, least, most, last; /* drawn ones of them; none: first == end */
};

static bool shown(const struct pl_plot_lines *plot, const struct pl_plot_series *s, size_t i)
{
    return drawn(plot, s->y[i]) && isfinite(s->x[i]);
}

/* More points than there is room for: they are drawn by places, and thin. */
static bool is_dense(const struct axes *a, const struct pl_plot_series *s)
{
    return (double)s->n > 2.0 * (a->room.right - a->room.left);
}

static bool next_place(const struct pl_plot_lines *plot, const struct axes *a,
                       const struct pl_plot_series *s, struct place *p)
{
    const bool dense = is_dense(a, s);
    double column;

    p->begin = p->end;
    if (p->begin == s->n)
        return false;
    column = floor(x_of(a, s->x[p->begin]));
    for (p->end = p->begin + 1; dense && p->end < s->n; p->end++)
        if (floor(x_of(a, s->x[p->end])) != column)
            break;
    p->first = p->least = p->most = p->last = p->end;
    for (size_t i = p->begin; i < p->end; i++) {
        if (!shown(plot, s, i))
            continue;
        if (p->first == p->end)
            p->first = p->least = p->most = i;
        p->least = s->y[i] < s->y[p->least] ? i : p->least;
        p->most = s->y[i] > s->y[p->most] ? i : p->most;
        p->last = i;
    }
    return true;
}

static void put_point(struct pl_markup *m, const struct axes *a, const struct pl_plot_series *s,
                      size_t i, char how)
{
    pl_markup_printf(m, "%c%.1f %.1f", how, x_of(a, s->x[i]), pl_plot_y(&a->room, &a->y, s->y[i]));
}

/* First, least, most and last in their order, each once. */
static void put_place(struct pl_markup *m, const struct axes *a, const struct pl_plot_series *s,
                      const struct place *p, bool fresh)
{
    const size_t low = p->least < p->most ? p->least : p->most;
    const size_t high = p->least < p->most ? p->most : p->least;
    const size_t list[] = {p->first, low, high, p->last};

    for (size_t k = 0; k < 4; k++)
        if (k == 0 || list[k] != list[k - 1])
            put_point(m, a, s, list[k], fresh && k == 0 ? 'M' : 'L');
}

static void put_curve(struct pl_markup *m, const struct pl_plot_lines *plot, const struct axes *a,
                      const struct pl_plot_series *s)
{
    struct place p = {0};
    bool fresh = true, alone = false;

    pl_markup_printf(m, "<path class=\"curve s%zu%s\" d=\"", s->color % PL_PLOT_COLORS,
                     s->faint         ? " pale"
                     : is_dense(a, s) ? " thin"
                                      : "");
    while (next_place(plot, a, s, &p)) {
        if (p.first == p.end) { /* a gap */
            if (alone)
                pl_markup_put(m, "h0");
            fresh = true;
            alone = false;
            continue;
        }
        put_place(m, a, s, &p, fresh);
        alone = fresh && p.first == p.last;
        fresh = false;
    }
    pl_markup_put(m, alone ? "h0\"/>\n" : "\"/>\n");
}

/* ---- intervals ---- */

static bool has_interval(const struct pl_plot_lines *plot, const struct pl_plot_series *s, size_t i)
{
    return s->low && s->high && shown(plot, s, i) && drawn(plot, s->low[i]) &&
           drawn(plot, s->high[i]);
}

/* The least low, or the most high, of a place; NaN: it has no interval. */
static double reach(const struct pl_plot_lines *plot, const struct pl_plot_series *s,
                    const struct place *p, bool high)
{
    double value = NAN;

    for (size_t i = p->begin; i < p->end; i++)
        if (has_interval(plot, s, i))
            value = high ? fmax(isnan(value) ? s->high[i] : value, s->high[i])
                         : fmin(isnan(value) ? s->low[i] : value, s->low[i]);
    return value;
}

/* One closed path for each stretch without a gap: `from` to `to` along the top and back below. */
static void put_stretch(struct pl_markup *m, const struct axes *a, const double *corners,
                        size_t count)
{
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        pl_markup_printf(m, "%c%.1f %.1f", i == 0 ? 'M' : 'L', corners[3 * i],
                         pl_plot_y(&a->room, &a->y, corners[3 * i + 2]));
    for (size_t i = count; i-- > 0;)
        pl_markup_printf(m, "L%.1f %.1f", corners[3 * i],
                         pl_plot_y(&a->room, &a->y, corners[3 * i + 1]));
    pl_markup_put(m, "Z");
}

static void put_band(struct pl_markup *m, const struct pl_plot_lines *plot, const struct axes *a,
                     const struct pl_plot_series *s)
{
    double *corners = malloc((s->n + 1) * 3 * sizeof *corners); /* x, low, high */
    struct place p = {0};
    size_t count = 0;

    if (!corners) {
        pl_markup_keep(m, PL_ENOMEM);
        return;
    }
    pl_markup_printf(m, "<path class=\"band f%zu\" d=\"", s->color % PL_PLOT_COLORS);
    while (next_place(plot, a, s, &p)) {
        const double low = reach(plot, s, &p, false), high = reach(plot, s, &p, true);

        if (isnan(low)) {
            put_stretch(m, a, corners, count);
            count = 0;
            continue;
        }
        corners[3 * count] = x_of(a, s->x[p.begin]);
        corners[3 * count + 1] = low;
        corners[3 * count + 2] = high;
        count++;
    }
    put_stretch(m, a, corners, count);
    pl_markup_put(m, "\"/>\n");
    free(corners);
}

static void put_whisker(struct pl_markup *m, const struct axes *a, const struct pl_plot_series *s,
                        size_t i)
{
    const double x = x_of(a, s->x[i]);

    pl_markup_printf(m, "<path class=\"whisker s%zu\" d=\"M%.1f %.1fh6m-3 0V%.1fm-3 0h6\"/>\n",
                     s->color % PL_PLOT_COLORS, x - 3, pl_plot_y(&a->room, &a->y, s->low[i]),
                     pl_plot_y(&a->room, &a->y, s->high[i]));
}

/* Hovering tells the numbers. */
static void put_mark(struct pl_markup *m, const struct pl_plot_lines *plot, const struct axes *a,
                     const struct pl_plot_series *s, size_t i)
{
    char x[PL_TICK_TEXT], y[PL_TICK_TEXT], low[PL_TICK_TEXT], high[PL_TICK_TEXT];

    pl_plot_mark(m, s->color, x_of(a, s->x[i]), pl_plot_y(&a->room, &a->y, s->y[i]), 3.5);
    pl_markup_put(m, "><title>");
    if (s->name) {
        pl_markup_text(m, s->name);
        pl_markup_put(m, ", ");
    }
    pl_markup_text(m, plot->x_name ? plot->x_name : "at");
    pl_markup_printf(m, " %s: %s", pl_number_text(s->x[i], x), pl_number_text(s->y[i], y));
    if (has_interval(plot, s, i))
        pl_markup_printf(m, " (%s to %s)", pl_number_text(s->low[i], low),
                         pl_number_text(s->high[i], high));
    pl_markup_printf(m, "</title>%s\n",
                     s->color % PL_PLOT_COLORS == 0 ? "</circle>" : "</polygon>");
}

static void put_series(struct pl_markup *m, const struct pl_plot_lines *plot, const struct axes *a,
                       const struct pl_plot_series *s)
{
    const bool marks = s->marks && s->n <= MARKS_MAX;

    if (s->low && s->high && !marks)
        put_band(m, plot, a, s);
    for (size_t i = 0; marks && i < s->n; i++)
        if (has_interval(plot, s, i))
            put_whisker(m, a, s, i);
    put_curve(m, plot, a, s);
    for (size_t i = 0; marks && i < s->n; i++)
        if (shown(plot, s, i))
            put_mark(m, plot, a, s, i);
}

/* ---- names at the ends ---- */

struct label {
    const struct pl_plot_series *series;
    double x, y, at; /* the line's end; where the name stands */
};

static int by_height(const void *a, const void *b)
{
    const struct label *p = a, *q = b;

    return (p->y > q->y) - (p->y < q->y);
}

/* A line that ends well before the axis does has its name there, not at the edge. */
static bool ends_early(const struct axes *a, const struct label *l)
{
    return a->room.right - l->x > 48.0;
}

/* The names at the edge, or those of lines that end early, by height. */
static size_t find_labels(const struct pl_plot_lines *plot, const struct axes *a, bool early,
                          struct label labels[LABELS_MAX])
{
    size_t count = 0;

    for (size_t s = 0; s < plot->count && count < LABELS_MAX; s++) {
        const struct pl_plot_series *series = &plot->series[s];
        struct label *l = &labels[count];
        size_t i = series->n;

        while (i > 0 && !shown(plot, series, i - 1))
            i--;
        if (!series->name || i == 0)
            continue;
        l->series = series;
        l->x = pl_plot_x(&a->room, &a->x, series->x[i - 1]);
        l->y = l->at = pl_plot_y(&a->room, &a->y, series->y[i - 1]);
        count += ends_early(a, l) == early;
    }
    qsort(labels, count, sizeof *labels, by_height);
    return count;
}

/* No two closer than a line of text: down from the top, then up from the bottom. */
static void part_labels(const struct axes *a, struct label *labels, size_t count)
{
    double edge = a->room.bottom - 2.0;

    for (size_t i = 1; i < count; i++)
        labels[i].at = fmax(labels[i].at, labels[i - 1].at + LABEL_STEP);
    for (size_t i = count; i-- > 0; edge = labels[i].at - LABEL_STEP)
        labels[i].at = fmin(labels[i].at, edge);
}

static void put_label(struct pl_markup *m, const struct axes *a, const struct label *l, bool early)
{
    const double x = early ? l->x + 6.0 : a->room.right + 10.0;

    if (!early && (fabs(l->at - l->y) > 3.0 || x - l->x > 14.0))
        pl_markup_printf(m, "<path class=\"lead\" d=\"M%.1f %.1fL%.1f %.1f\"/>", l->x + 3, l->y,
                         x - 1, l->at);
    pl_markup_printf(m, "<text class=\"tag f%zu\" x=\"%.1f\" y=\"%.1f\">",
                     l->series->color % PL_PLOT_COLORS, x, l->at + 4);
    pl_markup_short(m, l->series->name, PL_PLOT_NAME_CHARS);
    pl_markup_put(m, "</text>\n");
}

static void put_labels(struct pl_markup *m, const struct pl_plot_lines *plot, const struct axes *a)
{
    for (int early = 0; early < 2; early++) {
        struct label labels[LABELS_MAX];
        const size_t count = find_labels(plot, a, early, labels);

        part_labels(a, labels, count);
        for (size_t i = 0; i < count; i++)
            put_label(m, a, &labels[i], early);
    }
}

/* Series with whiskers stand beside each other, three units apart, eighteen in all. */
static double aside_of(const struct pl_plot_lines *plot, size_t s)
{
    size_t before = 0, all = 0;

    for (size_t i = 0; i < plot->count; i++) {
        const bool whiskers = plot->series[i].marks && plot->series[i].low;

        before += whiskers && i < s;
        all += whiskers;
    }
    if (all < 2 || !plot->series[s].marks || !plot->series[s].low)
        return 0.0;
    return ((double)before - (double)(all - 1) / 2.0) * fmin(3.0, 18.0 / (double)all);
}

int pl_plot_lines(const struct pl_plot_lines *plot, struct pl_buf *out)
{
    const size_t width = plot->frame.width ? plot->frame.width : PL_PLOT_WIDTH;
    const size_t height = plot->frame.height ? plot->frame.height : PL_PLOT_HEIGHT;
    struct pl_markup m = {.out = out};
    struct axes a;

    a.aside = 0.0;
    a.room = pl_plot_begin(&m, &plot->frame, width, height);
    lay_out(plot, &a);
    pl_plot_grid_y(&m, &a.room, &a.y);
    pl_plot_grid_x(&m, &a.room, &a.x, false, plot->x_name);
    for (size_t s = 0; s < plot->count; s++) {
        a.aside = aside_of(plot, s);
        put_series(&m, plot, &a, &plot->series[s]);
    }
    a.aside = 0.0;
    put_labels(&m, plot, &a);
    pl_plot_end(&m);
    return m.rc;
}
