/*
 * metrics.jsonl of a run, followed while it grows: each line once, the newest of each kind, what
 * the recent steps took, the evaluations. A learner that resumes makes the file anew, shorter; then
 * it is read again from its beginning.
 */
#ifndef PL_VIEW_HISTORY_H
#define PL_VIEW_HISTORY_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum { PL_HISTORY_RECENT = 20, PL_HISTORY_EVALS = 64 };

struct pl_history_pace {           /* of one step, or means; NaN: not said */
    double step_s, wait_s, tokens; /* seconds in all and waiting; response tokens */
    double reward, accuracy, format, ttfa, length, gate;
    double no_signal;  /* share of groups whose rewards are all alike */
    double off_tokens; /* whose log-probabilities were recorded otherwise than they are computed */
};

struct pl_history_eval {
    uint64_t step;
    double accuracy, format, ttfa; /* NaN: it says none */
};

struct pl_history {
    char *path;
    FILE *file; /* open while there may be more to read at once */
    off_t at;
    ino_t inode;
    json_t *step, *eval;                              /* the newest lines; NULL: none */
    struct pl_history_pace recent[PL_HISTORY_RECENT]; /* a ring; the newest is the count's last */
    size_t steps;                                     /* lines of steps read */
    struct pl_history_eval evals[PL_HISTORY_EVALS];   /* the newest, in order */
    size_t eval_count;
};

enum pl_history_line { PL_HISTORY_NONE, PL_HISTORY_STEP, PL_HISTORY_EVAL };

void pl_history_init(struct pl_history *history, const char *dir);
void pl_history_release(struct pl_history *history);

/* The next line, or that there is none by now. A line that is no JSON object is passed over. */
enum pl_history_line pl_history_next(struct pl_history *history);

/* Means over those of the recent steps that say it; NaN where none does. */
struct pl_history_pace pl_history_mean(const struct pl_history *history);

/* A number of a line, NaN where it has none or is NULL. */
double pl_history_number(const json_t *line, const char *name);

#endif
