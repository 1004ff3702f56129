/*
 * What memory each process of a run will hold: the rows of the plans that learner and actor print
 * when they start, computed by the same functions from the shapes alone, and what they hold beside
 * those. Lengths are the longest that the settings allow.
 *
 * Not counted: programs and their libraries, tokenizers, and files that are being read or written.
 */
#ifndef PL_PLAN_FOOTPRINT_H
#define PL_PLAN_FOOTPRINT_H

#include "common/app/run_conf.h"
#include "common/base/err.h"
#include "common/model/config.h"

#include <stddef.h>
#include <stdint.h>

enum pl_process {
    PL_PROCESS_LEARNER,
    PL_PROCESS_ACTOR,
    PL_PROCESS_REWARDER,
    PL_PROCESS_REDIS,
    PL_PROCESSES,
};
enum { PL_FOOTPRINT_ROWS = 64 };

const char *pl_process_name(enum pl_process process);

struct pl_footprint_row {
    enum pl_process process;
    const char *of, *what; /* of: a model, or ""; both static */
    uint64_t bytes;
};

struct pl_footprint {
    struct pl_footprint_row rows[PL_FOOTPRINT_ROWS]; /* by process */
    size_t count;
    uint64_t bytes[PL_PROCESSES];
    size_t processes[PL_PROCESSES]; /* that `plait up` starts */
};

/* `critic`: of gae, else not looked at. PL_EINVAL, PL_ENOMEM: as when the programs plan. */
int pl_footprint_of(const struct pl_run_conf *conf, const struct pl_config *policy,
                    const struct pl_config *critic, struct pl_footprint *ret_footprint,
                    struct pl_error *err);

/* What maxmemory of Redis should be at least: over 60 % of it the learner writes checkpoints early.
 */
uint64_t pl_footprint_maxmemory(const struct pl_footprint *footprint);
uint64_t pl_footprint_total(const struct pl_footprint *footprint); /* of all that plait up starts */

#endif
