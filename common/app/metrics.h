/*
 * metrics.jsonl: one JSON object a line, written whole with one write() and so never torn by a
 * crash of this process. Each line begins with "training/global_step".
 *
 *   rc = pl_metrics_open("run/metrics.jsonl", resumed_step, &metrics, err);
 *   pl_metrics_begin(metrics, step);
 *   pl_metrics_real(metrics, "train/loss", loss);
 *   rc = pl_metrics_end(metrics, err);
 *
 * One thread owns a writer.
 */
#ifndef PL_APP_METRICS_H
#define PL_APP_METRICS_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct pl_metrics;

enum { PL_METRICS_FRESH = -1 };

/*
 * Open for appending. With step >= 0 lines of later steps and a torn last line are dropped first,
 * so that a resumed run continues where its checkpoint stands (the file is made anew and renamed;
 * one that is not there is begun). With PL_METRICS_FRESH what was in the file goes. PL_EIO,
 * PL_ENOMEM; PL_EFORMAT: a line before the last is not a JSON object with a step.
 */
int pl_metrics_open(const char *path, int64_t step, struct pl_metrics **ret_metrics,
                    struct pl_error *err);
/* The step of the last line that stays; 0: there is none. Before the step it was opened at, lines
 * are missing: the file was lost, or an older copy was restored. */
uint64_t pl_metrics_last(const struct pl_metrics *metrics);
void pl_metrics_close(struct pl_metrics *metrics); /* NULL is fine */

/*
 * Write all numbers as TensorBoard's events too, into a file beside this one (events.h), which
 * takes the place of earlier ones behind the step that was given to pl_metrics_open(). Its errors.
 */
int pl_metrics_events(struct pl_metrics *metrics, struct pl_error *err);

/* Hand each number of all lines to come to `each` too, when it is put; NULL: nobody. */
void pl_metrics_listen(struct pl_metrics *metrics,
                       void (*each)(void *at, const char *name, double value), void *at);

/* Whether the file has a line of `step` in which `word` stands; one that is not there has none.
 * PL_EIO; PL_EFORMAT: such a line is not what this file holds. */
int pl_metrics_find(const char *path, uint64_t step, const char *word, bool *ret_found,
                    struct pl_error *err);

/* Between begin and end; a line that is begun anew is forgotten. Values that are not finite become
 * null. */
void pl_metrics_begin(struct pl_metrics *metrics, uint64_t step);
void pl_metrics_real(struct pl_metrics *metrics, const char *name, double value);
void pl_metrics_count(struct pl_metrics *metrics, const char *name, uint64_t value);
void pl_metrics_text(struct pl_metrics *metrics, const char *name, const char *value);

/* Write the line. PL_EIO; PL_ENOMEM: memory ran out since begin; nothing was written. */
int pl_metrics_end(struct pl_metrics *metrics, struct pl_error *err);

/* Flush all lines to the disk, before a checkpoint that counts on them. PL_EIO. */
int pl_metrics_sync(struct pl_metrics *metrics, struct pl_error *err);

#endif
