/* What the screens of `plait top` are put together from: lines, texts of others, tables. */
#ifndef PL_VIEW_TOP_PARTS_H
#define PL_VIEW_TOP_PARTS_H

#include "deploy/view/top.h"

enum { PL_TOP_CELL = 96, PL_TOP_CELLS = 16 };

/* What is being composed. */
struct pl_top_draft {
    const struct pl_top *top;
    const struct pl_top_view *view;
    struct pl_top_screen *screen;
    size_t columns;
};

/* What others wrote: harmless, one column a byte. */
void pl_top_copy(char *to, size_t size, const char *text);

/* Cut after so many columns; a character is a column. */
void pl_top_cut(char *text, size_t columns);
size_t pl_top_width(const char *text);

/* One line more, cut to the screen's width. */
void pl_top_add(struct pl_top_draft *draft, enum pl_top_look look, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct pl_top_column {
    const char *name; /* NULL: the last one is before it */
    size_t least;     /* columns of the terminal from which on it is shown */
    bool right;       /* numbers; those keep their width, words give way */
};

struct pl_top_sheet {
    const struct pl_top_column *columns;
    size_t widths[PL_TOP_CELLS];
    char (*rows)[PL_TOP_CELLS][PL_TOP_CELL];
    size_t row_count;
};

/* Its heading and rows from `from` on, `most` lines in all; red[row] says which are. */
void pl_top_add_sheet(struct pl_top_draft *draft, struct pl_top_sheet *sheet, size_t from,
                      size_t most, const bool *red);

/* Whether one of `count` cells, shown or not, has the filter's text in it; upper and lower case are
 * alike. */
bool pl_top_passes(const struct pl_top_draft *draft, const char (*cells)[PL_TOP_CELL],
                   size_t count);

#endif
