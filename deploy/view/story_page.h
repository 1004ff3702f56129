/*
 * The page of one or several runs: what they are and where they differ, what they came to, all
 * their metrics as plots with their numbers, sample rollouts, their settings.
 */
#ifndef PL_VIEW_STORY_PAGE_H
#define PL_VIEW_STORY_PAGE_H

#include "common/base/buf.h"
#include "deploy/view/stories.h"

#include <jansson.h>
#include <stddef.h>

/* Add the page to out. `title` NULL: from the runs' names. *ret_plots (may be NULL): how many there
 * are. PL_EFULL, PL_ENOMEM. */
int pl_story_page(const struct pl_stories *stories, const char *title, struct pl_buf *out,
                  size_t *ret_plots);

/* The same figures for programs; a new reference. NULL: memory is out. */
json_t *pl_story_json(const struct pl_stories *stories);

/* "2026-11-25 01:28 UTC"; "-" where it is not known. */
enum { PL_STORY_TIME = 32 };
const char *pl_story_time(int64_t at_s, char text[PL_STORY_TIME]);

#endif
