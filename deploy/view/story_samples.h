/*
 * Rollouts on a page: the question, the response in its segments, thinking dimmed and answers
 * boxed, each with its verdict and what it earned; the whole reward and its parts; why it is as it
 * is.
 */
#ifndef PL_VIEW_STORY_SAMPLES_H
#define PL_VIEW_STORY_SAMPLES_H

#include "deploy/view/story_figures.h"

/* The section, of all runs that have rollouts; errors are kept in the page. */
void pl_story_samples(struct pl_story_page *page);

#endif
