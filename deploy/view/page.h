/*
 * A page of HTML that is one file: its style is in it, nothing is fetched, no script is needed, and
 * none would run (its policy forbids all but its own style). It is well-formed XML as well. It
 * reads on a phone of 360 pixels, on paper (A4), in light and dark; what is wider than the screen,
 * such as a table, scrolls by itself. The look is in page.css and plot.css.
 *
 *   pl_page_begin(&page, &(struct pl_page_opts){.title = "Runs"}, &buf);
 *   pl_page_section(&page, "answers", "Answers", "How often the final answer is right.");
 *   pl_page_grid(&page);
 *   pl_page_figure(&page, "Accuracy", "of the samples of a step", false);
 *   pl_markup_keep(&page.m, pl_plot_lines(&plot, page.m.out));
 *   pl_page_details(&page, "Numbers");
 *   pl_page_table(&page, &table);
 *   pl_page_details_end(&page);
 *   pl_page_figure_end(&page);
 *   pl_page_grid_end(&page);
 *   pl_page_section_end(&page);
 *   rc = pl_page_end(&page, "made by ...");
 *
 * Texts are escaped wherever they are given; page.m writes what else there is. An error is kept and
 * told by pl_page_end(). What is begun is ended by the caller, in order.
 */
#ifndef PL_VIEW_PAGE_H
#define PL_VIEW_PAGE_H

#include "deploy/view/markup.h"

#include <stdbool.h>
#include <stddef.h>

struct pl_page {
    struct pl_markup m;
    size_t ids; /* given out */
};

struct pl_page_opts {
    const char *title;    /* of the window, and at the top */
    const char *subtitle; /* under it; NULL: none */
    const char *css;      /* rules of this page, behind the common ones; NULL: none. Our own text */
};

void pl_page_begin(struct pl_page *page, const struct pl_page_opts *opts, struct pl_buf *out);
/* PL_OK, or the first error of all that was written: PL_EFULL, PL_ENOMEM. */
int pl_page_end(struct pl_page *page, const char *footer);

/* A word for an id that the page has not yet: "p1", "p2", ... */
enum { PL_PAGE_ID = 24 };
const char *pl_page_id(struct pl_page *page, char id[PL_PAGE_ID]);

/* Links to sections, in a row. ids are words, names are text. */
void pl_page_links(struct pl_page *page, const char *const *ids, const char *const *names,
                   size_t count);

/* A heading with what follows; `about` may be NULL. */
void pl_page_section(struct pl_page *page, const char *id, const char *title, const char *about);
void pl_page_section_end(struct pl_page *page);

void pl_page_heading(struct pl_page *page, const char *title); /* within a section */
void pl_page_text(struct pl_page *page, const char *text);     /* a paragraph */
void pl_page_note(struct pl_page *page, const char *text);     /* a smaller one */

/* Figures side by side, as many as there is room for. */
void pl_page_grid(struct pl_page *page);
void pl_page_grid_end(struct pl_page *page);

/* A plot with a caption above it; the plot is written in between. `wide`: over all columns. */
void pl_page_figure(struct pl_page *page, const char *title, const char *about, bool wide);
void pl_page_figure_end(struct pl_page *page);

/* What is folded until it is asked for. */
void pl_page_details(struct pl_page *page, const char *summary);
void pl_page_details_end(struct pl_page *page);

struct pl_page_table {
    const char *caption; /* NULL: none */
    const char *label;   /* what it is, to a screen reader, where there is no caption */
    const char *align;   /* a letter a column: 'l' left, 'r' right: how many columns there are */
    const char *const *heads;
    const char *const *cells; /* (rows, columns); NULL: empty */
    size_t rows;
    const size_t *keys; /* (rows) a plot's colour whose sample stands in front; NULL: none */
    bool keys_across;   /* (columns - 1) they stand at the heads of columns instead */
};
void pl_page_table(struct pl_page *page, const struct pl_page_table *table);

/* What is put in between stands side by side where there is room for both. */
void pl_page_pair(struct pl_page *page);
void pl_page_pair_next(struct pl_page *page);
void pl_page_pair_end(struct pl_page *page);

/* Words and what they are, side by side. */
void pl_page_facts(struct pl_page *page, const char *const *words, const char *const *values,
                   size_t count);

/* A large figure with a word under it; several stand in a row (between pl_page_tiles and _end). */
void pl_page_tiles(struct pl_page *page);
void pl_page_tile(struct pl_page *page, const char *figure, const char *word, const char *more);
void pl_page_tiles_end(struct pl_page *page);

#endif
