/*
 * Plots of runs that are not lines over steps: what a step's time goes into, accuracy by difficulty
 * at the end, the lengths of the last rollouts, how old they were.
 */
#ifndef PL_VIEW_STORY_BARS_H
#define PL_VIEW_STORY_BARS_H

#include "deploy/view/story_figures.h"

/* Those of a section, by its id; errors are kept in the page. */
void pl_story_bars(struct pl_story_page *page, const char *section);

/* Seconds of a step, means over the run: parts that add up to its whole. */
enum { PL_STORY_PARTS = 8 };
extern const char *const pl_story_part_names[PL_STORY_PARTS];
void pl_story_parts(const struct pl_run_story *run, double ret_parts[PL_STORY_PARTS]);

#endif
