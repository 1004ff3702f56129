#include "deploy/view/page.h"

#include "deploy/view/plot.h"

#include <stdio.h>
#include <string.h>

static const char css[] =
#include <page_css.inc> /* made from page.css */
    ;

void pl_page_begin(struct pl_page *page, const struct pl_page_opts *opts, struct pl_buf *out)
{
    struct pl_markup *m = &page->m;

    *page = (struct pl_page){.m = {.out = out}};
    pl_markup_put(m, "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\" "
                     "xml:lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                     "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
                     "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                     "style-src 'unsafe-inline'\"/>\n<title>");
    pl_markup_text(m, opts->title);
    pl_markup_put(m, "</title>\n<style>\n");
    pl_markup_put(m, pl_plot_css());
    pl_markup_put(m, css);
    pl_markup_put(m, opts->css ? opts->css : "");
    pl_markup_put(m, "</style>\n</head>\n<body>\n<header>\n<h1>");
    pl_markup_text(m, opts->title);
    pl_markup_put(m, "</h1>\n");
    if (opts->subtitle) {
        pl_markup_put(m, "<p class=\"sub\">");
        pl_markup_text(m, opts->subtitle);
        pl_markup_put(m, "</p>\n");
    }
    pl_markup_put(m, "</header>\n<main>\n");
}

int pl_page_end(struct pl_page *page, const char *footer)
{
    struct pl_markup *m = &page->m;

    pl_markup_put(m, "</main>\n<footer>");
    pl_markup_text(m, footer);
    pl_markup_put(m, "</footer>\n</body>\n</html>\n");
    return m->rc;
}

const char *pl_page_id(struct pl_page *page, char id[PL_PAGE_ID])
{
    snprintf(id, PL_PAGE_ID, "p%zu", ++page->ids);
    return id;
}

/* <tag class="name">text</tag> */
static void put_text(struct pl_page *page, const char *begin, const char *text, const char *end)
{
    pl_markup_put(&page->m, begin);
    pl_markup_text(&page->m, text);
    pl_markup_put(&page->m, end);
}

void pl_page_links(struct pl_page *page, const char *const *ids, const char *const *names,
                   size_t count)
{
    pl_markup_put(&page->m, "<nav aria-label=\"sections\">");
    for (size_t i = 0; i < count; i++) {
        put_text(page, "<a href=\"#", ids[i], "\">");
        put_text(page, "", names[i], "</a>\n");
    }
    pl_markup_put(&page->m, "</nav>\n");
}

void pl_page_section(struct pl_page *page, const char *id, const char *title, const char *about)
{
    put_text(page, "<section id=\"", id, "\">\n");
    put_text(page, "<h2>", title, "</h2>\n");
    if (about)
        put_text(page, "<p class=\"about\">", about, "</p>\n");
}

void pl_page_section_end(struct pl_page *page)
{
    pl_markup_put(&page->m, "</section>\n");
}

void pl_page_heading(struct pl_page *page, const char *title)
{
    put_text(page, "<h3>", title, "</h3>\n");
}

void pl_page_text(struct pl_page *page, const char *text)
{
    put_text(page, "<p>", text, "</p>\n");
}

void pl_page_note(struct pl_page *page, const char *text)
{
    put_text(page, "<p class=\"note\">", text, "</p>\n");
}

void pl_page_grid(struct pl_page *page)
{
    pl_markup_put(&page->m, "<div class=\"grid\">\n");
}

void pl_page_grid_end(struct pl_page *page)
{
    pl_markup_put(&page->m, "</div>\n");
}

void pl_page_figure(struct pl_page *page, const char *title, const char *about, bool wide)
{
    pl_markup_put(&page->m, wide ? "<figure class=\"broad\">" : "<figure>");
    put_text(page, "<figcaption><b>", title, "</b>");
    put_text(page, "<span>", about ? about : "", "</span></figcaption>\n");
}

void pl_page_figure_end(struct pl_page *page)
{
    pl_markup_put(&page->m, "</figure>\n");
}

void pl_page_details(struct pl_page *page, const char *summary)
{
    put_text(page, "<details><summary>", summary, "</summary>\n");
}

void pl_page_details_end(struct pl_page *page)
{
    pl_markup_put(&page->m, "</details>\n");
}

/* ---- tables ---- */

static void put_cell(struct pl_page *page, const struct pl_page_table *table, size_t row,
                     size_t column)
{
    const char *cell = table->cells[row * strlen(table->align) + column];
    const char *tag = column == 0 ? "th" : "td";

    pl_markup_printf(&page->m, "<%s%s%s>", tag, column == 0 ? " scope=\"row\"" : "",
                     table->align[column] == 'r' ? " class=\"r\"" : "");
    if (column == 0 && table->keys && !table->keys_across)
        pl_markup_keep(&page->m, pl_plot_key(table->keys[row], page->m.out));
    pl_markup_text(&page->m, cell ? cell : "");
    pl_markup_printf(&page->m, "</%s>", tag);
}

void pl_page_table(struct pl_page *page, const struct pl_page_table *table)
{
    const size_t columns = strlen(table->align);
    struct pl_markup *m = &page->m;

    put_text(page, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"",
             table->caption ? table->caption
             : table->label ? table->label
                            : "table",
             "\">\n<table>\n");
    if (table->caption)
        put_text(page, "<caption>", table->caption, "</caption>\n");
    pl_markup_put(m, "<thead><tr>");
    for (size_t c = 0; c < columns; c++) {
        pl_markup_printf(m, "<th scope=\"col\"%s>", table->align[c] == 'r' ? " class=\"r\"" : "");
        if (c > 0 && table->keys && table->keys_across)
            pl_markup_keep(m, pl_plot_key(table->keys[c - 1], m->out));
        pl_markup_text(m, table->heads[c]);
        pl_markup_put(m, "</th>");
    }
    pl_markup_put(m, "</tr></thead>\n<tbody>\n");
    for (size_t r = 0; r < table->rows; r++) {
        pl_markup_put(m, "<tr>");
        for (size_t c = 0; c < columns; c++)
            put_cell(page, table, r, c);
        pl_markup_put(m, "</tr>\n");
    }
    pl_markup_put(m, "</tbody>\n</table>\n</div>\n");
}

void pl_page_pair(struct pl_page *page)
{
    pl_markup_put(&page->m, "<div class=\"pair\">\n<div>\n");
}

void pl_page_pair_next(struct pl_page *page)
{
    pl_markup_put(&page->m, "</div>\n<div>\n");
}

void pl_page_pair_end(struct pl_page *page)
{
    pl_markup_put(&page->m, "</div>\n</div>\n");
}

void pl_page_facts(struct pl_page *page, const char *const *words, const char *const *values,
                   size_t count)
{
    pl_markup_put(&page->m, "<dl class=\"facts\">\n");
    for (size_t i = 0; i < count; i++) {
        put_text(page, "<dt>", words[i], "</dt>");
        put_text(page, "<dd>", values[i], "</dd>\n");
    }
    pl_markup_put(&page->m, "</dl>\n");
}

void pl_page_tiles(struct pl_page *page)
{
    pl_markup_put(&page->m, "<div class=\"tiles\">\n");
}

void pl_page_tile(struct pl_page *page, const char *figure, const char *word, const char *more)
{
    put_text(page, "<div><b>", figure, "</b>");
    put_text(page, "<span>", word, "</span>");
    if (more)
        put_text(page, "<span>", more, "</span>");
    pl_markup_put(&page->m, "</div>\n");
}

void pl_page_tiles_end(struct pl_page *page)
{
    pl_markup_put(&page->m, "</div>\n");
}
