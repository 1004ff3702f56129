#include "deploy/paper/gallery.h"

#include "common/base/file.h"

#include <stdlib.h>

enum { PLOT_MAX = 8 << 20 };

/* Either of the two, as what draws it sees it. */
union plot {
    struct pl_plot_lines lines;
    struct pl_plot_bars bars;
};

typedef int draw_fn(const union plot *plot, struct pl_buf *out);

static int draw_lines(const union plot *plot, struct pl_buf *out)
{
    return pl_plot_lines(&plot->lines, out);
}

static int draw_bars(const union plot *plot, struct pl_buf *out)
{
    return pl_plot_bars(&plot->bars, out);
}

void pl_gallery_begin(struct pl_gallery *gallery)
{
    if (gallery->page)
        pl_page_grid(gallery->page);
}

void pl_gallery_end(struct pl_gallery *gallery)
{
    if (gallery->page)
        pl_page_grid_end(gallery->page);
    else if (gallery->rc == PL_OK)
        gallery->rc = pl_buf_puts(gallery->markdown, "\n");
}

static int write_plot(const struct pl_gallery *g, const char *name, const struct pl_buf *svg)
{
    char *folder = pl_strf("%s/plots", g->dir), *path = pl_strf("%s/plots/%s.svg", g->dir, name);
    struct pl_outfile out = {0};
    int rc = folder && path ? pl_dir_make(folder, g->err)
                            : pl_fail(g->err, PL_ENOMEM, "no memory for the name of a file");

    if (rc == PL_OK)
        rc = pl_outfile_open(path, &out, g->err);
    if (rc == PL_OK)
        rc = pl_outfile_write(&out, svg->data, svg->len, g->err);
    if (rc == PL_OK)
        rc = pl_outfile_commit(&out, g->err);
    pl_outfile_abort(&out);
    free(path);
    free(folder);
    return rc;
}

static int hang_file(const struct pl_gallery *g, const char *name, draw_fn *draw,
                     const union plot *plot, const char *title)
{
    struct pl_buf svg;
    int rc;

    pl_buf_init(&svg, PLOT_MAX);
    rc = draw(plot, &svg);
    rc = rc < 0 ? pl_fail(g->err, rc, "no memory for the plot '%s'", title)
                : write_plot(g, name, &svg);
    pl_buf_release(&svg);
    if (rc == PL_OK && pl_buf_printf(g->markdown, "![%s](plots/%s.svg)\n", title, name) < 0)
        rc = pl_fail(g->err, PL_ENOMEM, "no memory to write results");
    return rc;
}

static void hang(struct pl_gallery *g, const char *name, draw_fn *draw, union plot *plot,
                 struct pl_plot_frame *frame)
{
    char id[PL_PAGE_ID];

    frame->id = g->page ? pl_page_id(g->page, id) : name;
    frame->alone = !g->page;
    if (g->page) {
        pl_page_figure(g->page, frame->title, frame->desc, false);
        pl_markup_keep(&g->page->m, draw(plot, g->page->m.out));
        pl_page_figure_end(g->page);
    } else if (g->rc == PL_OK) {
        g->rc = hang_file(g, name, draw, plot, frame->title);
    }
}

void pl_gallery_lines(struct pl_gallery *gallery, const char *name, struct pl_plot_lines plot)
{
    union plot any = {.lines = plot};

    hang(gallery, name, draw_lines, &any, &any.lines.frame);
}

void pl_gallery_bars(struct pl_gallery *gallery, const char *name, struct pl_plot_bars plot)
{
    union plot any = {.bars = plot};

    hang(gallery, name, draw_bars, &any, &any.bars.frame);
}
