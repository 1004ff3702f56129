/*
 * What an evaluation came to: one row for all tasks and one for each difficulty of each source.
 *
 * The interval of Pass@1 is Wilson's at 95 %. Samples of one task are alike, so that with several
 * of them N samples tell less than N independent ones would: the interval is that of N / deff
 * samples, deff being the variance between the tasks' means over the one that independent samples
 * would have (Kish's design effect), not under 1 and not over the samples of a task. Where all
 * samples are right, or none, there is nothing to see it by, and the tasks are what counts.
 */
#ifndef PL_VIEW_SCORECARD_H
#define PL_VIEW_SCORECARD_H

#include "common/app/term.h"
#include "deploy/view/eval.h"
#include "learner/tally.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

struct pl_interval {
    double low, high;
};

/* Wilson's interval at 95 % of a share seen in n samples, which need not be whole; n > 0. */
struct pl_interval pl_interval_wilson(double share, double n);

/*
 * The interval of the share of n samples that are right, where tasks have up to samples_max each
 * and square_sum adds up, over the tasks, the squares of the share of their samples that are right.
 * tasks, n > 0. *ret_deff (may be NULL): the design effect.
 */
struct pl_interval pl_interval_clustered(double share, double n, double tasks, double square_sum,
                                         double samples_max, double *ret_deff);

struct pl_scorecard_row {
    char *source, *level; /* NULL: the row of all */
    struct pl_tally tally;
    size_t tasks;
    double mean_square_sum; /* over tasks, of the share of their samples that are right */
    struct pl_spread ttfa_ms;
};

struct pl_scorecard {
    struct pl_scorecard_row *rows; /* [0] is all; the others by source and level */
    size_t count, cap;
    size_t samples; /* of a task */
};

/* PL_ENOMEM. Ended with pl_scorecard_release(). */
int pl_scorecard_init(struct pl_scorecard *card, size_t samples);
void pl_scorecard_release(struct pl_scorecard *card); /* zeroed is fine */

/* PL_ENOMEM. */
int pl_scorecard_add(struct pl_scorecard *card, const struct pl_eval_done *done);

/* The interval of a row, which holds a task at least. *ret_deff (may be NULL): the design effect.
 */
struct pl_interval pl_scorecard_interval(const struct pl_scorecard *card,
                                         const struct pl_scorecard_row *row, double *ret_deff);

/*
 * {"overall": ROW, "levels": [ROW with "source" and "level", ...]}; a new reference, NULL: memory
 * is out. What a row has no samples for is null.
 */
json_t *pl_scorecard_json(const struct pl_scorecard *card);

/* Two tables: what was answered, and when. PL_EIO, PL_ENOMEM. */
int pl_scorecard_print(const struct pl_scorecard *card, FILE *out, enum pl_color color);

#endif
