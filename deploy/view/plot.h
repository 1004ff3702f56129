/*
 * Plots as SVG: pure functions from numbers to markup, added to a buffer. They are drawn at the
 * size at which they are read, so that letters stay letters on a phone: 360 units wide, in columns
 * of a page as many as fit. No script, no font, nothing fetched.
 *
 *   pl_plot_lines    values over steps or the like, with intervals as bands or whiskers
 *   pl_plot_bars     groups of bars with intervals, and marks of what others measured
 *   pl_plot_stack    bars made of parts, in shares of a whole or in units
 *   pl_plot_counts   a histogram
 *
 * Colours are eight, told apart by people who see colours differently, of a contrast of 4.5 at
 * least to white and to the dark page; each has a dash and a mark of its own besides, so that
 * nothing is told by colour alone. They and all else that a plot looks like are in plot.css, which
 * a page takes in once (pl_plot_css()); a plot that is a file of its own (`alone`) carries it.
 *
 * All texts are escaped. Each plot is an image to a screen reader, with its title and description;
 * the numbers belong beside it, as a table. Errors: PL_EFULL and PL_ENOMEM from the buffer; then
 * part of a plot may be in it.
 */
#ifndef PL_VIEW_PLOT_H
#define PL_VIEW_PLOT_H

#include "common/base/buf.h"

#include <stdbool.h>
#include <stddef.h>

enum { PL_PLOT_COLORS = 8, PL_PLOT_WIDTH = 360, PL_PLOT_HEIGHT = 210 };

struct pl_plot_frame {
    const char *id;       /* a word of its own within the page: letters, digits, '-' */
    const char *title;    /* one line; drawn where the plot is alone, else the page's to show */
    const char *desc;     /* what there is to see, for those who do not */
    size_t width, height; /* 0: the above; bars, stacks: the height is what they need */
    bool alone;           /* a file of its own */
};

/*
 * A line: its name stands at its end. Where y is not finite is a gap; a point between gaps is a
 * dot. Of more points than the plot has room for the least and the most of each place are drawn, so
 * that no extreme is lost. x ascends. All is borrowed for the call.
 */
struct pl_plot_series {
    const char *name; /* NULL: none */
    const double *x, *y;
    const double *low, *high; /* an interval around each y; NULL: none; not finite: none there */
    size_t n;
    size_t color; /* modulo PL_PLOT_COLORS */
    bool faint;   /* thin and pale: what lies under a smoother line */
    bool marks;   /* a mark at each point, the interval a whisker; else the interval is a band */
};

struct pl_plot_lines {
    struct pl_plot_frame frame;
    const char *x_name;     /* under the axis; NULL: nothing */
    double y_least, y_most; /* the axis reaches there at least; NaN: no further than data */
    bool x_whole;           /* x are whole numbers, such as steps */
    bool y_log;             /* values that are not above 0 are gaps */
    const struct pl_plot_series *series;
    size_t count; /* 0: an empty plot */
};

int pl_plot_lines(const struct pl_plot_lines *plot, struct pl_buf *out);

/* Rows of bars, a group of them under each heading: they lie, so that names have room. */
struct pl_plot_bar {
    double value, low, high; /* NaN: no bar; no interval */
    double mark;             /* a diamond at what it is compared with; NaN: none */
};

struct pl_plot_bars {
    struct pl_plot_frame frame;
    const char *const *groups;      /* (G) headings; NULL: one group without */
    size_t group_count;             /* G, at least 1 */
    const char *const *names;       /* (B) of the bars of a group */
    const size_t *colors;           /* (B) NULL: 0, 1, 2, ... */
    size_t name_count;              /* B */
    const struct pl_plot_bar *bars; /* (G, B) */
    double least, most;             /* of the axis at least; NaN: 0; what the data ask */
    const char *mark_name;          /* "published"; NULL: marks are not explained */
};

int pl_plot_bars(const struct pl_plot_bars *plot, struct pl_buf *out);

/* Bars made of parts; values below 0 or not finite count as 0. A row's share stands in a part where
 * there is room, its sum at the end. */
struct pl_plot_stack {
    struct pl_plot_frame frame;
    const char *const *rows; /* (R) */
    size_t row_count;
    const char *const *parts; /* (P) at most PL_PLOT_COLORS */
    size_t part_count;
    const double *values; /* (R, P) */
    const char *unit;     /* behind a row's sum: "s" */
};

int pl_plot_stack(const struct pl_plot_stack *plot, struct pl_buf *out);

/* A histogram: bin k reaches from edges[k] to edges[k + 1]; the counts of several series lie on top
 * of each other. */
struct pl_plot_counts {
    struct pl_plot_frame frame;
    const char *x_name;
    const double *edges;      /* (n + 1) ascending */
    size_t n;                 /* at least 1 */
    const char *const *names; /* (S) at most PL_PLOT_COLORS; NULL: not named */
    const double *counts;     /* (S, n) */
    const size_t *colors;     /* (S) NULL: 0, 1, 2, ... */
    size_t name_count;        /* S */
};

int pl_plot_counts(const struct pl_plot_counts *plot, struct pl_buf *out);

/* Edges of about `about` bins of a width of 1, 2 or 5 times a power of ten over [least, most],
 * whole ones where `whole`; returns how many bins, 1 to PL_PLOT_BINS_MAX. */
enum { PL_PLOT_BINS_MAX = 64 };
size_t pl_plot_bins(double least, double most, size_t about, bool whole,
                    double ret_edges[PL_PLOT_BINS_MAX + 1]);

/* What plots look like, as text of a style sheet. */
const char *pl_plot_css(void);

/* A sample of a series' line and mark, for a legend beside plots: a small SVG. */
int pl_plot_key(size_t color, struct pl_buf *out);

#endif
