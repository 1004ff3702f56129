/*
 * The screen of `plait top`: a run at a moment on a terminal of any size, as lines of text.
 *
 *   demo  running  step 40 of 100  ETA 45s  version 41
 *   [==============================>                                        ]  40 %
 *   reward    ▁▂▂▃▅▆▇█   1.23   accuracy  ▁▁▂▃▃▄▅▆  0.457   0.75s a step, 1.30k tok/s
 *   waited for: The learner waits 80 % of a step for samples: ...
 *
 *   queue      waiting  leased  oldest lease   batch   sampled   scored  state
 *   ...
 *   worker       role      host    state     lag  tok/s  lease      memory  up
 *   ...
 *   events
 *   ...
 *   q quit  d dead  / filter  ? help
 *
 * Where the terminal is low, workers and events share what is left and scroll; where it is narrow,
 * columns are left out from the right. What others wrote is ASCII by then, and harmless.
 */
#ifndef PL_VIEW_TOP_H
#define PL_VIEW_TOP_H

#include "deploy/view/overview.h"

#include <jansson.h>

enum {
    PL_TOP_EVENTS = 64,
    PL_TOP_DEAD = 256,
    PL_TOP_ROWS = 400,
    PL_TOP_COLUMNS = 250,
    PL_TOP_BYTES = 3 * PL_TOP_COLUMNS + 1, /* of a line */
    PL_TOP_COLUMNS_LEAST = 40,
};

struct pl_top_event {
    double at_s;
    char event[24], text[320];
};

struct pl_top_dead {
    double at_s;
    char group[48], where[16], worker[72], reason[200];
    uint64_t deliveries;
};

/* What is shown: numbers and copies; what an overview borrows is NULL in it, and the lists of its
 * survey are its own. */
struct pl_top {
    struct pl_overview o;
    struct pl_top_event events[PL_TOP_EVENTS]; /* the newest, in order */
    size_t event_count;
    struct pl_top_dead dead[PL_TOP_DEAD]; /* the oldest, in order */
    size_t dead_count;
    double taken_s; /* since 1970, when it was looked at */
};

enum pl_top_page { PL_TOP_MAIN, PL_TOP_DEADS, PL_TOP_HELP };

/* How it is to be shown. */
struct pl_top_view {
    size_t columns, rows; /* rows 0: as many as it takes */
    bool utf8, keys;      /* keys: somebody may press them */
    enum pl_top_page page;
    char filter[48]; /* of workers and events, or dead groups: those that have it in any column */
    bool typing;     /* the filter, now */
    size_t offset;   /* rows of workers or dead groups that were scrolled past */
};

enum pl_top_look { PL_TOP_PLAIN, PL_TOP_BOLD, PL_TOP_DIM, PL_TOP_RED, PL_TOP_TITLE, PL_TOP_FOOT };

struct pl_top_screen {
    struct pl_top_line {
        char text[PL_TOP_BYTES]; /* of view->columns columns at most */
        enum pl_top_look look;
        size_t red_from; /* from this byte on it is a warning; 0: nothing is */
    } lines[PL_TOP_ROWS];
    size_t count;      /* view->rows, where that is given */
    size_t offset_max; /* to which it makes sense to scroll */
};

/* A pure function. Under PL_TOP_COLUMNS_LEAST columns or 8 rows lines are cut off. */
void pl_top_compose(const struct pl_top *top, const struct pl_top_view *view,
                    struct pl_top_screen *ret_screen);

/* The overview as JSON with `insecure`, `recent_steps`, `events` and `dead`; NULL: no memory. */
json_t *pl_top_json(const struct pl_top *top);

#endif
