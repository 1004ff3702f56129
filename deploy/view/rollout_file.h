/*
 * A file of rollouts as a run leaves them (learner/transcript.h), read line by line: how many of
 * its samples are right, by difficulty; how long they are; and some of them, right ones and wrong
 * ones, drawn by a seed. Memory is bounded, whatever the file's size.
 *
 * A line that is no JSON object is passed over. Bytes that are no UTF-8 become U+FFFD.
 */
#ifndef PL_VIEW_ROLLOUT_FILE_H
#define PL_VIEW_ROLLOUT_FILE_H

#include "common/base/err.h"
#include "deploy/view/scorecard.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PL_ROLLOUT_LEVELS = 64, /* difficulties told apart; later ones count in the first row alone */
    PL_ROLLOUT_PICKS = 32,  /* of right ones, and of wrong ones, at most */
    PL_ROLLOUT_LENGTHS = 8192, /* lengths from 0 on that are counted one by one */
};

/* [0]: all samples; the others as metrics name them: "kk-3" (source and level). */
struct pl_rollout_level {
    char name[64];
    size_t samples, right, tasks, samples_max; /* samples_max: of a task */
    double square_sum;                         /* over tasks, of their share of right ones */
    size_t task_samples, task_right;           /* of the task that is being read */
};

struct pl_rollout_pick {
    json_t *sample; /* the line */
    uint32_t rank;  /* the lowest of the file are kept */
    size_t line;
};

struct pl_rollout_file {
    struct pl_rollout_level levels[1 + PL_ROLLOUT_LEVELS];
    size_t level_count;                                /* at least 1, once something was read */
    struct pl_rollout_pick picks[2][PL_ROLLOUT_PICKS]; /* wrong, right; by rank */
    size_t pick_count[2], pick_max;
    uint64_t seed;
    size_t lines, passed_over;
    size_t lengths[2][PL_ROLLOUT_LENGTHS]; /* of wrong and of right ones; the last: and longer */
    char group[48];                        /* the task that is being read */
    size_t group_level;
};

/* For pick_max right samples and as many wrong ones. Some hundred kilobytes: from malloc(). */
void pl_rollout_file_init(struct pl_rollout_file *file, size_t pick_max, uint64_t seed);
void pl_rollout_file_release(struct pl_rollout_file *file); /* zeroed is fine */

/* One line, NUL behind it. PL_ENOMEM. */
int pl_rollout_file_line(struct pl_rollout_file *file, const char *line, size_t len);
void pl_rollout_file_end(struct pl_rollout_file *file); /* after the last line */

/* All of them. PL_ENOENT, PL_EIO, PL_ENOMEM. */
int pl_rollout_file_read(struct pl_rollout_file *file, const char *path, struct pl_error *err);

/* The row of a name; NULL: there is none. */
const struct pl_rollout_level *pl_rollout_file_level(const struct pl_rollout_file *file,
                                                     const char *name);

/* The interval of a share among samples such as those of a row; `times` as many of them. */
struct pl_interval pl_rollout_level_interval(const struct pl_rollout_level *level, double share,
                                             double times);

/* A member of a sample: "" and NaN where there is none of its type. */
const char *pl_sample_text(const json_t *sample, const char *key);
double pl_sample_number(const json_t *sample, const char *key);

#endif
