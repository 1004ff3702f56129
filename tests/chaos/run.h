/*
 * One run under a plan, from its start to its verdict; and its undisturbed twin, which is run once
 * for a seed and its weights' SHA-256 kept.
 *
 *   DIR/twin-<seed>-<steps>-<settings>.sha256
 *   DIR/<plan>-<seed>/         folder of the run: logs, history.jsonl, report.json
 */
#ifndef PL_CHAOS_RUN_H
#define PL_CHAOS_RUN_H

#include "tests/chaos/judge.h"

struct pl_run_opts {
    const char *build, *dir; /* absolute */
    const struct pl_plan *plan;
    uint64_t seed;
    size_t faults;   /* 0: as the plan says */
    uint64_t steps;  /* 0: as the plan says */
    double minutes;  /* it is over by then, whatever it is at */
    bool loud, keep; /* keep: the run's folder stays when all is well, too */
};

/* PL_OK: it was run, and *ret_good says how it was judged. Prints a line or some. */
int pl_chaos_run_plan(const struct pl_run_opts *opts, bool *ret_good, struct pl_error *err);

#endif
