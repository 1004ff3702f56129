#include "deploy/view/plot_parts.h"

#include "common/base/check.h"

#include <math.h>

enum { BAR = 14, BAR_STEP = 20, HEADING = 20, AXIS = 22, STACK_STEP = 26 };

/* Longest of some names, in units, at most a good third of the width. */
static double names_width(const char *const *names, size_t count, size_t width)
{
    double most = 0.0;

    for (size_t i = 0; i < count; i++)
        most = fmax(most, pl_plot_text_width(names[i], (size_t)2 * PL_PLOT_NAME_CHARS));
    return fmin(most, 0.38 * (double)width);
}

static void put_name(struct pl_markup *m, double x, double y, const char *anchor, double width,
                     const char *name)
{
    pl_markup_printf(m, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y,
                     anchor);
    pl_markup_short(m, name, (size_t)(width / 6.6 + 0.5));
    pl_markup_put(m, "</text>\n");
}

/* ---- bars ---- */

static void find_axis(const struct pl_plot_bars *plot, struct pl_ticks *ticks)
{
    double least = isfinite(plot->least) ? plot->least : 0.0;
    double most = isfinite(plot->most) ? plot->most : 0.0;

    for (size_t i = 0; i < plot->group_count * plot->name_count; i++) {
        const struct pl_plot_bar *b = &plot->bars[i];
        const double values[] = {b->value, b->low, b->high, b->mark};

        for (size_t k = 0; k < 4; k++)
            if (isfinite(values[k])) {
                least = fmin(least, values[k]);
                most = fmax(most, values[k]);
            }
    }
    pl_ticks_find(&(struct pl_ticks_ask){.least = least, .most = most, .about = 4, .loose = true},
                  ticks);
}

/* With a halo, so that it is seen on the bar and beside it. */
static void put_interval(struct pl_markup *m, double low, double high, double middle)
{
    static const char *const looks[] = {"halo", "span"};

    for (size_t k = 0; k < 2; k++)
        pl_markup_printf(m, "<path class=\"%s\" d=\"M%.1f %.1fv8m0 -4H%.1fm0 -4v8\"/>", looks[k],
                         low, middle - 4, high);
}

/* Three digits: what an interval leaves of a value. */
static double shorter(double value)
{
    const double unit =
        value == 0.0 || !isfinite(value) ? 1.0 : pow(10.0, floor(log10(fabs(value))) - 2);

    return isfinite(value) ? round(value / unit) * unit : value;
}

static void put_bar(struct pl_markup *m, const struct pl_plot_bar *b, size_t color,
                    const struct pl_plot_room *room, const struct pl_ticks *axis, double top)
{
    const double from = pl_plot_x(room, axis, 0.0), to = pl_plot_x(room, axis, b->value);
    const double middle = top + BAR / 2.0;
    char text[PL_TICK_TEXT];

    if (isfinite(b->value))
        pl_markup_printf(m,
                         "<rect class=\"f%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" "
                         "rx=\"1.5\"/>",
                         color % PL_PLOT_COLORS, fmin(from, to), top, fmax(fabs(to - from), 1.0),
                         BAR);
    if (isfinite(b->value) && isfinite(b->low) && isfinite(b->high))
        put_interval(m, pl_plot_x(room, axis, b->low), pl_plot_x(room, axis, b->high), middle);
    if (isfinite(b->mark))
        pl_markup_printf(m,
                         "<polygon class=\"than\" transform=\"translate(%.1f %.1f)\" "
                         "points=\"0 -6 6 0 0 6 -6 0\"/>",
                         pl_plot_x(room, axis, b->mark), middle);
    pl_markup_printf(m,
                     "<text class=\"name\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                     room->right + 46, middle + 4, pl_number_text(shorter(b->value), text));
}

static void put_mark_key(struct pl_markup *m, const char *name, struct pl_plot_room *room)
{
    pl_markup_printf(m,
                     "<polygon class=\"than\" transform=\"translate(%.1f %.1f)\" "
                     "points=\"0 -6 6 0 0 6 -6 0\"/>",
                     room->left + 7, room->top + 5);
    put_name(m, room->left + 20, room->top + 10, "start", 260.0, name);
    room->top += BAR_STEP;
}

int pl_plot_bars(const struct pl_plot_bars *plot, struct pl_buf *out)
{
    const size_t width = plot->frame.width ? plot->frame.width : PL_PLOT_WIDTH;
    const size_t height =
        (size_t)2 * PL_PLOT_EDGE + (plot->frame.alone ? PL_PLOT_TITLE : 0) +
        (plot->mark_name ? BAR_STEP : 0) + AXIS +
        plot->group_count * (plot->name_count * BAR_STEP + (plot->groups ? HEADING : 0));
    const double names = names_width(plot->names, plot->name_count, width);
    struct pl_markup m = {.out = out};
    struct pl_ticks axis;
    struct pl_plot_room room;
    double at;

    PL_ASSERT(plot->group_count > 0);
    find_axis(plot, &axis);
    room = pl_plot_begin(&m, &plot->frame, width, height);
    if (plot->mark_name)
        put_mark_key(&m, plot->mark_name, &room);
    at = room.top;
    room.left += names + 6.0;
    room.right -= 46.0;
    room.bottom -= 14.0;
    pl_plot_grid_x(&m, &room, &axis, true, NULL);
    for (size_t g = 0; g < plot->group_count; g++) {
        if (plot->groups) {
            pl_markup_printf(&m, "<text class=\"head\" x=\"%d\" y=\"%.1f\">", PL_PLOT_EDGE,
                             at + 13);
            pl_markup_short(&m, plot->groups[g], (size_t)3 * PL_PLOT_NAME_CHARS);
            pl_markup_put(&m, "</text>\n");
            at += HEADING;
        }
        for (size_t b = 0; b < plot->name_count; b++, at += BAR_STEP) {
            put_name(&m, room.left - 6, at + 11, "end", names, plot->names[b]);
            put_bar(&m, &plot->bars[g * plot->name_count + b], plot->colors ? plot->colors[b] : b,
                    &room, &axis, at);
        }
    }
    pl_plot_end(&m);
    return m.rc;
}

/* ---- stacks ---- */

static double part_of(const struct pl_plot_stack *plot, size_t row, size_t part)
{
    const double value = plot->values[row * plot->part_count + part];

    return isfinite(value) && value > 0.0 ? value : 0.0;
}

static double sum_of(const struct pl_plot_stack *plot, size_t row)
{
    double sum = 0.0;

    for (size_t p = 0; p < plot->part_count; p++)
        sum += part_of(plot, row, p);
    return sum;
}

static void put_row(struct pl_markup *m, const struct pl_plot_stack *plot, size_t row,
                    const struct pl_plot_room *room, double most, double top)
{
    const double sum = sum_of(plot, row);
    double x = room->left;
    char text[PL_TICK_TEXT];

    for (size_t p = 0; p < plot->part_count; p++) {
        const double part = part_of(plot, row, p);
        const double wide = most > 0.0 ? (room->right - room->left) * part / most : 0.0;

        if (wide < 0.05)
            continue;
        pl_markup_printf(m,
                         "<rect class=\"part f%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                         "height=\"18\"><title>",
                         p % PL_PLOT_COLORS, x, top, wide);
        pl_markup_text(m, plot->parts[p]);
        pl_markup_printf(m, ": %s", pl_number_text(part, text));
        pl_markup_text(m, plot->unit ? plot->unit : "");
        pl_markup_put(m, "</title></rect>");
        if (wide >= 34.0)
            pl_markup_printf(
                m, "<text class=\"on\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.0f %%</text>",
                x + wide / 2.0, top + 13, 100.0 * part / sum);
        x += wide;
    }
    pl_markup_printf(m, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\">%s ", x + 5, top + 13,
                     pl_number_text(sum, text));
    pl_markup_text(m, plot->unit ? plot->unit : "");
    pl_markup_put(m, "</text>\n");
}

int pl_plot_stack(const struct pl_plot_stack *plot, struct pl_buf *out)
{
    const size_t width = plot->frame.width ? plot->frame.width : PL_PLOT_WIDTH;
    const struct pl_plot_legend legend = {.names = plot->parts, .count = plot->part_count};
    const size_t rows = pl_plot_legend_rows(&legend, (double)width - 2 * PL_PLOT_EDGE);
    const size_t height = (size_t)2 * PL_PLOT_EDGE + (plot->frame.alone ? PL_PLOT_TITLE : 0) +
                          16 * rows + 4 + STACK_STEP * plot->row_count;
    const double names =
        plot->row_count > 1 ? names_width(plot->rows, plot->row_count, width) + 6.0 : 0.0;
    struct pl_markup m = {.out = out};
    struct pl_plot_room room;
    double most = 0.0;

    PL_ASSERT(plot->part_count <= PL_PLOT_COLORS);
    room = pl_plot_begin(&m, &plot->frame, width, height);
    pl_plot_legend_put(&m, &legend, &room);
    room.left += names;
    room.right -= 56.0;
    for (size_t r = 0; r < plot->row_count; r++)
        most = fmax(most, sum_of(plot, r));
    for (size_t r = 0; r < plot->row_count; r++, room.top += STACK_STEP) {
        if (names > 0.0)
            put_name(&m, room.left - 6, room.top + 13, "end", names - 6.0, plot->rows[r]);
        put_row(&m, plot, r, &room, most, room.top);
    }
    pl_plot_end(&m);
    return m.rc;
}

/* ---- histograms ---- */

size_t pl_plot_bins(double least, double most, size_t about, bool whole,
                    double ret_edges[PL_PLOT_BINS_MAX + 1])
{
    struct pl_ticks t;
    size_t bins;

    /* From half below to half above, so that a whole number is within its bin. */
    pl_ticks_find(&(struct pl_ticks_ask){.least = least,
                                         .most = whole ? most + 1.0 : most,
                                         .about = about < 10 ? about : 10,
                                         .whole = whole,
                                         .loose = true},
                  &t);
    bins = (size_t)fmin(fmax(round((t.most - t.least) / t.step), 1.0), PL_PLOT_BINS_MAX);
    for (size_t i = 0; i <= bins; i++)
        ret_edges[i] = t.least + (double)i * t.step;
    return bins;
}

static double height_of(const struct pl_plot_counts *plot, size_t bin, size_t series)
{
    const double count = plot->counts[series * plot->n + bin];

    return isfinite(count) && count > 0.0 ? count : 0.0;
}

static void put_bin(struct pl_markup *m, const struct pl_plot_counts *plot, size_t bin,
                    const struct pl_plot_room *room, const struct pl_ticks *x,
                    const struct pl_ticks *y)
{
    const double left = pl_plot_x(room, x, plot->edges[bin]);
    const double right = pl_plot_x(room, x, plot->edges[bin + 1]);
    double sum = 0.0;

    for (size_t s = 0; s < plot->name_count; s++) {
        const double under = pl_plot_y(room, y, sum);
        double top;

        sum += height_of(plot, bin, s);
        top = pl_plot_y(room, y, sum);
        if (under - top > 0.05)
            pl_markup_printf(m,
                             "<rect class=\"part f%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                             "height=\"%.1f\"/>",
                             (plot->colors ? plot->colors[s] : s) % PL_PLOT_COLORS, left, top,
                             fmax(right - left, 1.0), under - top);
    }
}

int pl_plot_counts(const struct pl_plot_counts *plot, struct pl_buf *out)
{
    const size_t width = plot->frame.width ? plot->frame.width : PL_PLOT_WIDTH;
    const size_t height = plot->frame.height ? plot->frame.height : PL_PLOT_HEIGHT;
    const struct pl_plot_legend legend = {plot->names, plot->colors, plot->name_count};
    struct pl_markup m = {.out = out};
    struct pl_plot_room room;
    struct pl_ticks x, y;
    double most = 0.0;

    PL_ASSERT(plot->n > 0);
    for (size_t b = 0; b < plot->n; b++) {
        double sum = 0.0;

        for (size_t s = 0; s < plot->name_count; s++)
            sum += height_of(plot, b, s);
        most = fmax(most, sum);
    }
    room = pl_plot_begin(&m, &plot->frame, width, height);
    if (plot->names)
        pl_plot_legend_put(&m, &legend, &room);
    room.bottom -= plot->x_name ? 26.0 : 12.0;
    pl_ticks_find(
        &(struct pl_ticks_ask){
            .most = most > 0.0 ? most : 1.0, .about = 4, .loose = true, .whole = true},
        &y);
    room.left += pl_plot_ticks_width(&y) + 5.0;
    room.right -= 12.0; /* half of the last number */
    pl_ticks_find(
        &(struct pl_ticks_ask){.least = plot->edges[0], .most = plot->edges[plot->n], .about = 6},
        &x);
    pl_plot_grid_y(&m, &room, &y);
    for (size_t b = 0; b < plot->n; b++)
        put_bin(&m, plot, b, &room, &x, &y);
    pl_plot_grid_x(&m, &room, &x, false, plot->x_name);
    pl_plot_end(&m);
    return m.rc;
}
