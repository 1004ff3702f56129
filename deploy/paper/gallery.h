/*
 * Where the plots of results go: into a page of HTML, or each into a file of its own that Markdown
 * links to.
 *
 *   page       figures of a page, with title and description above them
 *   files      DIR/plots/<name>.svg, and "![title](plots/<name>.svg)" in the Markdown
 *
 * `name` is a word of its own within the gallery. An error is kept: of a page by the page, of files
 * here (rc, with its sentence in err).
 */
#ifndef PL_PAPER_GALLERY_H
#define PL_PAPER_GALLERY_H

#include "common/base/err.h"
#include "deploy/view/page.h"
#include "deploy/view/plot.h"

struct pl_gallery {
    struct pl_page *page; /* or NULL, and: */
    const char *dir;
    struct pl_buf *markdown;
    struct pl_error *err;
    int rc; /* PL_OK, PL_EIO, PL_ENOMEM, PL_EFULL */
};

/* Plots that belong together stand in between. */
void pl_gallery_begin(struct pl_gallery *gallery);
void pl_gallery_end(struct pl_gallery *gallery);

/* frame.id and frame.alone are set here; frame.title and frame.desc are shown. */
void pl_gallery_lines(struct pl_gallery *gallery, const char *name, struct pl_plot_lines plot);
void pl_gallery_bars(struct pl_gallery *gallery, const char *name, struct pl_plot_bars plot);

#endif
