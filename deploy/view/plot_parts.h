/* What the kinds of plots have in common; for plot*.c alone. */
#ifndef PL_VIEW_PLOT_PARTS_H
#define PL_VIEW_PLOT_PARTS_H

#include "deploy/view/markup.h"
#include "deploy/view/plot.h"
#include "deploy/view/ticks.h"

enum {
    PL_PLOT_TITLE = 22,      /* height of the title of a plot that is alone */
    PL_PLOT_EDGE = 8,        /* around all */
    PL_PLOT_NAME_CHARS = 16, /* of a name in a plot, at most */
};

/* The room that is left for marks, in units of the view. */
struct pl_plot_room {
    double left, right, top, bottom;
};

/* Width of a text, near enough to leave room for it. */
double pl_plot_text_width(const char *text, size_t chars_max);

/* <svg> with title and description, and its end. The room is all of the view but its edge, and the
 * title where it is alone. */
struct pl_plot_room pl_plot_begin(struct pl_markup *m, const struct pl_plot_frame *frame,
                                  size_t width, size_t height);
void pl_plot_end(struct pl_markup *m);

/* The mark of a colour around (x, y): circle, square, triangle, diamond, ... */
void pl_plot_mark(struct pl_markup *m, size_t color, double x, double y, double radius);

/* A legend of names in rows from the room's top, which moves down. `patch`: a patch of colour
 * instead of a line. */
struct pl_plot_legend {
    const char *const *names;
    const size_t *colors; /* NULL: 0, 1, 2, ... */
    size_t count;
};
size_t pl_plot_legend_rows(const struct pl_plot_legend *legend, double width);
void pl_plot_legend_put(struct pl_markup *m, const struct pl_plot_legend *legend,
                        struct pl_plot_room *room);

/* Lines of the y axis with their numbers left of the room; of the x axis under it. */
void pl_plot_grid_y(struct pl_markup *m, const struct pl_plot_room *room,
                    const struct pl_ticks *ticks);
void pl_plot_grid_x(struct pl_markup *m, const struct pl_plot_room *room,
                    const struct pl_ticks *ticks, bool lines, const char *name);

/* Room that the numbers of a y axis need. */
double pl_plot_ticks_width(const struct pl_ticks *ticks);

static inline double pl_plot_x(const struct pl_plot_room *room, const struct pl_ticks *ticks,
                               double value)
{
    return room->left + (room->right - room->left) * pl_ticks_place(ticks, value);
}

static inline double pl_plot_y(const struct pl_plot_room *room, const struct pl_ticks *ticks,
                               double value)
{
    return room->bottom - (room->bottom - room->top) * pl_ticks_place(ticks, value);
}

#endif
