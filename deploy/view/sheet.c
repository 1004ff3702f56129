#include "deploy/view/sheet.h"

#include "common/base/check.h"
#include "common/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pl_sheet_init(struct pl_sheet *sheet, const char *id, const char *title, const char *about)
{
    *sheet = (struct pl_sheet){.id = id, .title = title, .about = about};
}

void pl_sheet_column(struct pl_sheet *sheet, const char *format, ...)
{
    va_list args;

    PL_ASSERT(sheet->columns < PL_SHEET_COLUMNS && sheet->count == 0);
    va_start(args, format);
    vsnprintf(sheet->heads[sheet->columns], PL_SHEET_HEAD, format, args);
    va_end(args);
    sheet->align[sheet->columns] = sheet->columns == 0 ? 'l' : 'r';
    sheet->columns++;
}

void pl_sheet_release(struct pl_sheet *sheet)
{
    for (size_t i = 0; i < sheet->count; i++)
        free(sheet->cells[i]);
    free(sheet->cells);
    *sheet = (struct pl_sheet){0};
}

void pl_sheet_cell(struct pl_sheet *sheet, const char *format, ...)
{
    const size_t columns = sheet->columns;
    char *text = NULL;
    va_list args;

    if (sheet->rc < 0)
        return;
    if (sheet->count == sheet->cap) {
        const size_t cap = sheet->cap ? 2 * sheet->cap : 8 * columns;
        char **cells = realloc(sheet->cells, cap * sizeof *cells);

        if (!cells) {
            sheet->rc = PL_ENOMEM;
            return;
        }
        sheet->cells = cells;
        sheet->cap = cap;
    }
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    if (!text) {
        sheet->rc = PL_ENOMEM;
        return;
    }
    sheet->cells[sheet->count++] = text;
    sheet->rows = sheet->count / columns;
}

/* A cell of a Markdown table: a bar would end it. */
static int put_cell(struct pl_buf *out, const char *text)
{
    int rc = pl_buf_puts(out, "| ");

    for (; rc == PL_OK && *text; text++)
        rc = *text == '|' ? pl_buf_puts(out, "\\|") : pl_buf_append(out, text, 1);
    return rc == PL_OK ? pl_buf_puts(out, " ") : rc;
}

int pl_sheet_markdown(const struct pl_sheet *sheet, struct pl_buf *out)
{
    const size_t columns = sheet->columns;
    int rc = sheet->rc;

    if (rc == PL_OK)
        rc = pl_buf_printf(out, "## %s\n\n%s\n\n", sheet->title, sheet->about);
    for (size_t i = 0; rc == PL_OK && i < columns; i++)
        rc = put_cell(out, sheet->heads[i]);
    if (rc == PL_OK)
        rc = pl_buf_puts(out, "|\n");
    for (size_t i = 0; rc == PL_OK && i < columns; i++)
        rc = pl_buf_puts(out, sheet->align[i] == 'r' ? "|---:" : "|---");
    if (rc == PL_OK)
        rc = pl_buf_puts(out, "|\n");
    for (size_t i = 0; rc == PL_OK && i < sheet->rows * columns; i++) {
        rc = put_cell(out, sheet->cells[i]);
        if (rc == PL_OK && (i + 1) % columns == 0)
            rc = pl_buf_puts(out, "|\n");
    }
    return rc == PL_OK ? pl_buf_puts(out, "\n") : rc;
}

void pl_sheet_page(const struct pl_sheet *sheet, struct pl_page *page, const size_t *keys)
{
    const char *heads[PL_SHEET_COLUMNS];
    const struct pl_page_table table = {
        .align = sheet->align,
        .heads = heads,
        .cells = (const char *const *)sheet->cells,
        .rows = sheet->rows,
        .keys = keys,
    };

    for (size_t i = 0; i < sheet->columns; i++)
        heads[i] = sheet->heads[i];
    pl_markup_keep(&page->m, sheet->rc);
    pl_page_section(page, sheet->id, sheet->title, sheet->about);
    pl_page_table(page, &table);
}
