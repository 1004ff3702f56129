/*
 * The plots of a page about runs: which metrics, in which section, drawn how. One run has its
 * related metrics in one plot (the parts of the reward, the difficulties); several runs have a plot
 * for each metric, with a line each. Every plot has its numbers beside it.
 *
 * A metric that no run has is not drawn but named; one that has a single value at every step and is
 * of the kind where that says it all (staleness) is told in a sentence.
 */
#ifndef PL_VIEW_STORY_FIGURES_H
#define PL_VIEW_STORY_FIGURES_H

#include "common/base/buf.h"
#include "deploy/view/page.h"
#include "deploy/view/stories.h"

struct pl_story_page {
    struct pl_page page;
    const struct pl_stories *stories;
    struct pl_buf missing;   /* what was not drawn: "entropy, ttfa in ms, ..." */
    struct pl_buf constants; /* what never changed: "staleness 1; ..." */
    size_t plots;            /* drawn */
};

/* All sections with plots, in order. Errors are kept in the page. */
void pl_story_figures(struct pl_story_page *page);

/* The sections' ids and titles, for links; returns how many. */
size_t pl_story_sections(const char *const **ret_ids, const char *const **ret_titles);

#endif
