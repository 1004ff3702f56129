/*
 * Which metrics are drawn, where and how: a row a figure. Data, no more.
 */
#ifndef PL_VIEW_STORY_SPECS_H
#define PL_VIEW_STORY_SPECS_H

#include <stddef.h>

enum pl_story_section {
    PL_STORY_ANSWERS,
    PL_STORY_REWARDS,
    PL_STORY_LATENCY,
    PL_STORY_POLICY,
    PL_STORY_SPEED,
    PL_STORY_SECTIONS
};

extern const char *const pl_story_section_ids[PL_STORY_SECTIONS];
extern const char *const pl_story_section_titles[PL_STORY_SECTIONS];
extern const char *const pl_story_section_abouts[PL_STORY_SECTIONS];

enum {
    PL_SPEC_SHARE = 1,   /* from 0 to 1 */
    PL_SPEC_COUNTED = 2, /* a share of samples whose final answers are right: it has an interval */
    PL_SPEC_EVAL = 4,    /* of evaluations */
    PL_SPEC_PLAIN = 8,   /* where it never changes, a sentence says it all */
    PL_SPEC_FROM_ZERO = 16,
    PL_SPEC_RATE = 32,  /* 0 or 1 at each step: only its mean over steps is drawn */
    PL_SPEC_EXACT = 64, /* set, not measured: each step as it is */
    PL_SPEC_LINES = 5,
};

struct pl_story_spec {
    enum pl_story_section section;
    unsigned flags;
    const char *title, *about;
    struct {
        const char *metric, *name; /* name: among the others of the figure */
    } lines[PL_SPEC_LINES];        /* up to the first without a metric */
};

extern const struct pl_story_spec pl_story_specs[];
extern const size_t pl_story_spec_count;

#endif
