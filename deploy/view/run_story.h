/*
 * What the folder of a run tells: its settings, every metric over its steps, its last rollouts,
 * when it began and ended. A run may still be at work, or have died: what is not there is missing,
 * a torn last line is no line. Memory is bounded, some megabytes, however many steps there are.
 *
 * Metrics of steps and those of evaluations are apart, as lines of metrics.jsonl are; an evaluation
 * is a line with a key "val-...".
 */
#ifndef PL_VIEW_RUN_STORY_H
#define PL_VIEW_RUN_STORY_H

#include "common/base/err.h"
#include "deploy/view/rollout_file.h"
#include "deploy/view/series.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PL_RUN_METRICS = 512, PL_RUN_METRIC_NAME = 200 };

struct pl_run_metric {
    char *name;
    bool eval;
    struct pl_series series;
};

struct pl_run_setting {
    char *key, *value; /* a list is "[a, b]" */
};

struct pl_run_story {
    char *dir;
    struct pl_run_setting *settings; /* as config.yaml has them */
    size_t setting_count, setting_cap;
    char settings_why[320];        /* "", or why there are none, or only what lines show */
    struct pl_run_metric *metrics; /* in the order in which they first came */
    size_t metric_count, guess;
    double last_step;          /* of any line; NaN: there is none */
    size_t lines, passed_over; /* of metrics.jsonl; those that are no JSON, or come a second time */
    bool torn;                 /* the last line has no end */
    bool finished;             /* its model is there */
    int64_t began_s, ended_s;  /* since 1970; 0: not known */
    double best_step, best_accuracy;      /* NaN: not known */
    struct pl_rollout_file *train, *eval; /* the last of each; NULL: there is none */
    uint64_t train_step, eval_step;
};

struct pl_run_story_opts {
    size_t picks;                               /* rollouts kept, right ones and wrong ones each */
    uint64_t seed;                              /* by which they are drawn */
    void (*progress)(void *at, uint64_t bytes); /* after some lines, bytes read so far; NULL */
    void *at;
};

/*
 * PL_ENOENT: it is not the folder of a run: neither config.yaml nor metrics.jsonl is there. PL_EIO,
 * PL_ENOMEM. On success ended with pl_run_story_release().
 */
int pl_run_story_read(const char *dir, const struct pl_run_story_opts *opts,
                      struct pl_run_story *ret_story, struct pl_error *err);
void pl_run_story_release(struct pl_run_story *story); /* zeroed is fine */

/* One line of metrics.jsonl. PL_ENOMEM; a line that says nothing is counted and passed over. */
int pl_run_story_line(struct pl_run_story *story, const char *line, size_t len);

/* NULL: the run has none of that name. */
const struct pl_series *pl_run_story_metric(const struct pl_run_story *story, const char *name,
                                            bool eval);

/* "" where the run says nothing of it. */
const char *pl_run_story_setting(const struct pl_run_story *story, const char *key);

/* run.name, or the folder's name. */
const char *pl_run_story_name(const struct pl_run_story *story);

#endif
