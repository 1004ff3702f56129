/*
 * What came of models that answered the same tasks: means with intervals, and differences between
 * models. Read from what `plait eval --out` writes.
 *
 * A row is a model trained with one seed or several. Its figure is a weighted sum, over slices of
 * the tasks, of the mean of a measure over the tasks of the slice and the seeds of the row. Weights
 * that sum to 1 make an average in which a large set of tasks counts no more than a small one;
 * weights 1 and -1 make a contrast between easy tasks and hard ones.
 *
 * Intervals are of a bootstrap on two levels (95 %, percentiles): seeds are drawn anew with
 * replacement, and tasks within each slice. In a comparison of two rows both see the same tasks
 * (they are alike hard for both), and each draws its own seeds. Draws are Philox of a fixed seed:
 * the same answers give the same intervals.
 */
#ifndef PL_PAPER_FINDINGS_H
#define PL_PAPER_FINDINGS_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pl_measure {
    PL_MEASURE_PASS,   /* the final answer is right */
    PL_MEASURE_FORMAT, /* the form is valid */
    PL_MEASURE_TTFA,   /* place of the first answer's first token / tokens; only where it is */
    PL_MEASURE_TTFA_TOKENS,
    PL_MEASURE_STEPS, /* share of intermediate answers given; only where the task has some */
    PL_MEASURE_STEPS_ALL_RIGHT, /* all of them given; only where the final answer is right too */
    PL_MEASURE_LENGTH,          /* tokens of the response */
    PL_MEASURE_LENGTH_RIGHT,
    PL_MEASURE_LENGTH_WRONG,
    PL_MEASURES,
};

/* One response. */
struct pl_answered {
    char source[24];           /* the beginning of a longer one */
    unsigned level;            /* how hard, a number; 0: not said */
    float values[PL_MEASURES]; /* NaN: not of this response */
};

/* All responses of an evaluation, in the order of its tasks, one a task. */
struct pl_answers {
    struct pl_answered *list;
    size_t count;
};

/* PL_ENOENT, PL_EIO, PL_ENOMEM; PL_EFORMAT: a line is no response, with its number. Ended with
 * pl_answers_release(). */
int pl_answers_read(const char *path, struct pl_answers *ret_answers, struct pl_error *err);
void pl_answers_release(struct pl_answers *answers); /* zeroed is fine */

enum { PL_FINDING_SEEDS_MAX = 16, PL_FINDING_SLICES_MAX = 16 };

/* A model, by seeds: borrowed. count 0: it was not run. */
struct pl_finding_row {
    const struct pl_answers *seeds[PL_FINDING_SEEDS_MAX];
    size_t count;
};

struct pl_slice {
    const char *source;
    unsigned least, most; /* levels */
    double weight;
};

/* NaN where there is nothing to see: no seeds; a slice without a response that counts; responses
 * that are not to the same tasks, one for one. An interval is NaN where that is so in more than
 * half of the draws. */
struct pl_figure {
    double value, low, high;
};

struct pl_figure pl_finding(const struct pl_finding_row *row, enum pl_measure measure,
                            const struct pl_slice *slices, size_t count);
/* a less b. */
struct pl_figure pl_finding_gain(const struct pl_finding_row *a, const struct pl_finding_row *b,
                                 enum pl_measure measure, const struct pl_slice *slices,
                                 size_t count);
/* 1 - a / b: by what share a is less. NaN where b is 0. */
struct pl_figure pl_finding_cut(const struct pl_finding_row *a, const struct pl_finding_row *b,
                                enum pl_measure measure, const struct pl_slice *slices,
                                size_t count);

/* What a row's seeds come to, each by itself: low is the least, high the most, value high - low;
 * seeds that have nothing to see are left out. */
struct pl_figure pl_finding_spread(const struct pl_finding_row *row, enum pl_measure measure,
                                   const struct pl_slice *slices, size_t count);

#endif
