/*
 * What the learner shows of itself and of its run (common/app/meters.h): its steps, what each came
 * to, its weights on their way, its disk; and, asked of Redis when somebody looks, the queues, the
 * ledger and the workers. All of it is nothing where there is no window.
 *
 * Figures of a step are those of metrics.jsonl; a table in shown.c says which, and as what.
 */
#ifndef PL_LEARNER_SHOWN_H
#define PL_LEARNER_SHOWN_H

#include "common/app/run_conf.h"
#include "common/app/window.h"
#include "common/base/err.h"
#include "common/link/bcast.h"

#include <stdint.h>

struct pl_shown;

struct pl_shown_opts {
    struct pl_window *window;
    const struct pl_run_conf *conf; /* borrowed, as the next one */
    const struct pl_weights_source *source;
};

/* *ret_shown: NULL where there is no window, which all functions here take. PL_ENOMEM; errors of
 * pl_surveyor_create(). Ended with pl_shown_destroy(), before what is borrowed. */
int pl_shown_create(const struct pl_shown_opts *opts, struct pl_shown **ret_shown,
                    struct pl_error *err);
void pl_shown_destroy(struct pl_shown *shown);

/* One figure of a line of metrics.jsonl; for pl_metrics_listen(). Those that the table does not
 * name are passed over. */
void pl_shown_figure(void *shown, const char *name, double value);

/* A step was done: how long it took, of which it waited. */
void pl_shown_step(struct pl_shown *shown, uint64_t step, double step_s, double wait_s);

/* Steps done at the start, the policy's newest version, optimiser steps without a finite
 * gradient. */
void pl_shown_state(struct pl_shown *shown, uint64_t step, uint64_t version, uint64_t skipped);

#endif
