/*
 * Several runs side by side: names that differ, the settings that differ, and the figures that each
 * came to. What pages and JSON of runs are made from.
 */
#ifndef PL_VIEW_STORIES_H
#define PL_VIEW_STORIES_H

#include "deploy/view/run_story.h"

#include <stdbool.h>
#include <stddef.h>

enum { PL_STORY_NAME = 96, PL_STORY_SHORT = 40, PL_STORY_LEVEL = 64 };

struct pl_story_names {
    char full[PL_STORY_NAME];      /* its own among the runs */
    char in_plots[PL_STORY_SHORT]; /* the same, or what differs of it, or a letter */
};

struct pl_stories {
    struct pl_run_story *runs; /* (count) */
    struct pl_story_names *names;
    size_t count, cap;
};

/* Room for `cap` runs. PL_ENOMEM. Ended with pl_stories_release(). */
int pl_stories_init(struct pl_stories *stories, size_t cap);
void pl_stories_release(struct pl_stories *stories); /* zeroed is fine */

/* Once all runs[0 .. count) are read. */
void pl_stories_name(struct pl_stories *stories);

/* ---- figures ---- */

enum pl_story_figure {
    PL_STORY_STEPS,
    PL_STORY_ACCURACY, /* of the last evaluation, with its interval; else of the last steps */
    PL_STORY_BEFORE,   /* of the evaluation before the first step */
    PL_STORY_BEST,     /* of the best evaluation */
    PL_STORY_BEST_STEP,
    PL_STORY_TRAIN_ACCURACY, /* of the last steps */
    PL_STORY_FORMAT,         /* these as PL_STORY_ACCURACY */
    PL_STORY_INTERMEDIATE,
    PL_STORY_TTFA,
    PL_STORY_TTFA_TOKENS,
    PL_STORY_LENGTH,
    PL_STORY_LENGTH_RIGHT,
    PL_STORY_LENGTH_WRONG,
    PL_STORY_REWARD, /* of the last steps */
    PL_STORY_STEP_S, /* means of all steps */
    PL_STORY_TOKENS_PER_S,
    PL_STORY_TOKENS, /* of all steps */
    PL_STORY_WALL_S, /* from begin to end, pauses included */
    PL_STORY_FIGURES
};

/* "accuracy", "last_evaluation_accuracy", ...: for programs; and for people. */
const char *pl_story_figure_key(enum pl_story_figure figure);
const char *pl_story_figure_head(enum pl_story_figure figure);

struct pl_story_value {
    double value, low, high; /* NaN: not known; no interval */
};

struct pl_story_value pl_story_figure(const struct pl_run_story *run, enum pl_story_figure figure);

/* ---- difficulties ---- */

/* Names of the difficulties of all runs' evaluations, "kk-3", by source and number; at most `most`.
 * Those that are the sum of others ("kk") are left out. */
size_t pl_stories_levels(const struct pl_stories *stories, size_t most,
                         char ret_levels[][PL_STORY_LEVEL]);

/* The accuracy of a difficulty over evaluations; NULL: the run has none. */
const struct pl_series *pl_story_level(const struct pl_run_story *run, const char *level);

/* The last value of it with its interval. */
struct pl_story_value pl_story_level_value(const struct pl_run_story *run, const char *level);

/* ---- settings ---- */

/* Calls back for each key that is not the same in all runs, in order; values are "" where a run has
 * none. Names and folders of runs are no difference. */
void pl_stories_differences(const struct pl_stories *stories,
                            void (*each)(void *at, const char *key), void *at);

/* Whether the metric is one that a run's lines have ("training/global_step" is none). */
bool pl_stories_have(const struct pl_stories *stories, const char *metric, bool eval);

#endif
