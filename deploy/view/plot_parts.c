#include "deploy/view/plot_parts.h"

#include "common/base/check.h"

#include <math.h>
#include <string.h>

static const char css[] =
#include <plot_css.inc> /* made from plot.css */
    ;

const char *pl_plot_css(void)
{
    return css;
}

double pl_plot_text_width(const char *text, size_t chars_max)
{
    const size_t chars = pl_markup_chars(text);

    return 6.6 * (double)(chars < chars_max ? chars : chars_max);
}

struct pl_plot_room pl_plot_begin(struct pl_markup *m, const struct pl_plot_frame *frame,
                                  size_t width, size_t height)
{
    const double top = frame->alone ? PL_PLOT_TITLE : 0.0;

    pl_markup_put(m, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot");
    pl_markup_put(m, frame->alone ? " lonely\" " : "\" ");
    if (frame->alone)
        pl_markup_printf(m, "width=\"%zu\" height=\"%zu\" ", width, height);
    pl_markup_printf(m, "viewBox=\"0 0 %zu %zu\" role=\"img\" aria-labelledby=\"", width, height);
    pl_markup_text(m, frame->id);
    pl_markup_put(m, "-t ");
    pl_markup_text(m, frame->id);
    pl_markup_put(m, "-d\"><title id=\"");
    pl_markup_text(m, frame->id);
    pl_markup_put(m, "-t\">");
    pl_markup_text(m, frame->title);
    pl_markup_put(m, "</title><desc id=\"");
    pl_markup_text(m, frame->id);
    pl_markup_put(m, "-d\">");
    pl_markup_text(m, frame->desc ? frame->desc : "");
    pl_markup_put(m, "</desc>\n");
    if (frame->alone) {
        pl_markup_put(m, "<style>\n");
        pl_markup_put(m, css);
        pl_markup_put(m, "</style>\n<text class=\"head\" x=\"8\" y=\"16\">");
        pl_markup_text(m, frame->title);
        pl_markup_put(m, "</text>\n");
    }
    return (struct pl_plot_room){PL_PLOT_EDGE, (double)width - PL_PLOT_EDGE, PL_PLOT_EDGE + top,
                                 (double)height - PL_PLOT_EDGE};
}

void pl_plot_end(struct pl_markup *m)
{
    pl_markup_put(m, "</svg>\n");
}

/* ---- marks and legends ---- */

/* Corners around 0, for a radius of 1; those of the circle are none. */
static const char *const shapes[PL_PLOT_COLORS] = {
    NULL,
    "-.9 -.9 .9 -.9 .9 .9 -.9 .9",
    "0 -1.15 1.05 .8 -1.05 .8",
    "0 -1.25 1.25 0 0 1.25 -1.25 0",
    "0 1.15 1.05 -.8 -1.05 -.8",
    "-.4 -1.2 .4 -1.2 .4 -.4 1.2 -.4 1.2 .4 .4 .4 .4 1.2 -.4 1.2 -.4 .4 -1.2 .4 -1.2 -.4 -.4 -.4",
    "-1.2 -.6 1.2 -.6 1.2 .6 -1.2 .6",
    "0 -1.2 1.1 -.3 .7 1 -.7 1 -1.1 -.3",
};

void pl_plot_mark(struct pl_markup *m, size_t color, double x, double y, double radius)
{
    const size_t k = color % PL_PLOT_COLORS;

    if (!shapes[k])
        pl_markup_printf(m, "<circle class=\"mark f%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"", k, x,
                         y, radius);
    else
        pl_markup_printf(m,
                         "<polygon class=\"mark f%zu\" transform=\"translate(%.1f %.1f) "
                         "scale(%.1f)\" style=\"stroke-width:%.2f\" points=\"%s\"",
                         k, x, y, radius, 1.0 / radius, shapes[k]);
}

enum { ROW = 16, SWATCH = 16, BETWEEN = 14 };

static double item_width(const struct pl_plot_legend *legend, size_t i)
{
    return SWATCH + 4 + pl_plot_text_width(legend->names[i], 3 * PL_PLOT_NAME_CHARS) + BETWEEN;
}

size_t pl_plot_legend_rows(const struct pl_plot_legend *legend, double width)
{
    size_t rows = legend->count > 0;
    double at = 0.0;

    for (size_t i = 0; i < legend->count; i++) {
        if (at > 0.0 && at + item_width(legend, i) - BETWEEN > width) {
            rows++;
            at = 0.0;
        }
        at += item_width(legend, i);
    }
    return rows;
}

void pl_plot_legend_put(struct pl_markup *m, const struct pl_plot_legend *legend,
                        struct pl_plot_room *room)
{
    double at = room->left;

    for (size_t i = 0; i < legend->count; i++) {
        const size_t color = (legend->colors ? legend->colors[i] : i) % PL_PLOT_COLORS;

        if (at > room->left && at + item_width(legend, i) - BETWEEN > room->right) {
            at = room->left;
            room->top += ROW;
        }
        pl_markup_printf(m,
                         "<rect class=\"part f%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%d\" "
                         "height=\"11\" rx=\"2\"/><text class=\"name\" x=\"%.1f\" y=\"%.1f\">",
                         color, at, room->top, SWATCH, at + SWATCH + 4, room->top + 10);
        pl_markup_short(m, legend->names[i], (size_t)3 * PL_PLOT_NAME_CHARS);
        pl_markup_put(m, "</text>\n");
        at += item_width(legend, i);
    }
    if (legend->count > 0)
        room->top += ROW + 4;
}

int pl_plot_key(size_t color, struct pl_buf *out)
{
    struct pl_markup m = {.out = out};
    const size_t k = color % PL_PLOT_COLORS;

    pl_markup_printf(
        &m,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot key\" viewBox=\"0 0 36 "
        "12\" aria-hidden=\"true\"><path class=\"curve s%zu\" d=\"M2 6H34\"/>",
        k);
    pl_plot_mark(&m, k, 18.0, 6.0, 4.0);
    pl_markup_put(&m, "/></svg>");
    return m.rc;
}

/* ---- axes ---- */

double pl_plot_ticks_width(const struct pl_ticks *ticks)
{
    double width = 0.0;

    for (size_t i = 0; i < ticks->count; i++) {
        char text[PL_TICK_TEXT];

        width =
            fmax(width, pl_plot_text_width(pl_ticks_text(ticks, ticks->at[i], text), PL_TICK_TEXT));
    }
    return width;
}

void pl_plot_grid_y(struct pl_markup *m, const struct pl_plot_room *room,
                    const struct pl_ticks *ticks)
{
    for (size_t i = 0; i < ticks->count; i++) {
        const double y = pl_plot_y(room, ticks, ticks->at[i]);
        char text[PL_TICK_TEXT];

        pl_markup_printf(m,
                         "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/><text x=\"%.1f\" y=\"%.1f\" "
                         "text-anchor=\"end\">%s</text>\n",
                         room->left, y, room->right, room->left - 5, y + 4,
                         pl_ticks_text(ticks, ticks->at[i], text));
    }
}

void pl_plot_grid_x(struct pl_markup *m, const struct pl_plot_room *room,
                    const struct pl_ticks *ticks, bool lines, const char *name)
{
    pl_markup_printf(m, "<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/>\n", room->left, room->bottom,
                     room->right);
    for (size_t i = 0; i < ticks->count; i++) {
        const double x = pl_plot_x(room, ticks, ticks->at[i]);
        char text[PL_TICK_TEXT];

        if (lines)
            pl_markup_printf(m, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>", x, room->top,
                             room->bottom);
        else
            pl_markup_printf(m, "<path class=\"axis\" d=\"M%.1f %.1fv4\"/>", x, room->bottom);
        pl_markup_printf(m, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", x,
                         room->bottom + 16, pl_ticks_text(ticks, ticks->at[i], text));
    }
    if (!name)
        return;
    pl_markup_printf(m, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                     (room->left + room->right) / 2.0, room->bottom + 30);
    pl_markup_text(m, name);
    pl_markup_put(m, "</text>\n");
}
