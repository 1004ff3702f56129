/*
 * A table of text that is written into several kinds of document: Markdown, a page of HTML.
 */
#ifndef PL_VIEW_SHEET_H
#define PL_VIEW_SHEET_H

#include "common/base/buf.h"
#include "deploy/view/page.h"

#include <stddef.h>

enum { PL_SHEET_COLUMNS = 20, PL_SHEET_HEAD = 40 };

struct pl_sheet {
    const char *id, *title, *about;   /* borrowed */
    char align[PL_SHEET_COLUMNS + 1]; /* a letter a column: 'l' or 'r' */
    char heads[PL_SHEET_COLUMNS][PL_SHEET_HEAD];
    size_t columns;
    char **cells; /* (rows, columns), owned */
    size_t rows, count, cap;
    int rc; /* PL_OK, or PL_ENOMEM: a cell is missing */
};

void pl_sheet_init(struct pl_sheet *sheet, const char *id, const char *title, const char *about);
void pl_sheet_release(struct pl_sheet *sheet); /* zeroed is fine */

/* One more column, before any cell; the first is aligned left, others right. PL_ASSERTs that there
 * is room. */
void pl_sheet_column(struct pl_sheet *sheet, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The next cell, row by row. */
void pl_sheet_cell(struct pl_sheet *sheet, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "## title", the text about it, the table. PL_ENOMEM, PL_EFULL. */
int pl_sheet_markdown(const struct pl_sheet *sheet, struct pl_buf *out);

/* A section of a page, without its end. `keys`: as in struct pl_page_table. */
void pl_sheet_page(const struct pl_sheet *sheet, struct pl_page *page, const size_t *keys);

#endif
