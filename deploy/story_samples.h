/*
 * Rollouts on a page: the question, the response in its segments, thinking dimmed and answers
 * boxed, each with its verdict and what it earned; the whole reward and its parts; why it is as it
 * is.
 */
#ifndef PL_DEPLOY_STORY_SAMPLES_H
#define PL_DEPLOY_STORY_SAMPLES_H

#include "deploy/story_figures.h"

/* The section, of all runs that have rollouts; errors are kept in the page. */
void pl_story_samples(struct pl_story_page *page);

/*
 * What each answer earned of a sample's intermediate reward, by the run's settings (reward.base,
 * reward.strategy): count values to ret_earned, for the members of "segments" in their order, 0 for
 * those that earned nothing. false: the parts do not add up to what the sample says; then nothing
 * is told of parts.
 */
bool pl_story_earned(const struct pl_run_story *run, const json_t *sample, size_t count,
                     double *ret_earned);

#endif
