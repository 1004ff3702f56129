/*
 * The results of a reproduction as documents: one page of HTML with plots, Markdown, JSON.
 */
#ifndef PL_PAPER_RESULTS_PAGE_H
#define PL_PAPER_RESULTS_PAGE_H

#include "deploy/paper/claims.h"
#include "deploy/paper/results.h"

/* Write DIR/results.html, results.json, and results.md with the plots that it shows, DIR/plots/.
 * PL_EIO, PL_ENOMEM, PL_EFULL. */
int pl_results_write(const struct pl_results *results, struct pl_error *err);

#endif
