/*
 * What a run will take, put together for people and for scripts: memory of its processes
 * (footprint.h), work and time of a step (costs.h), and what that comes to on so many machines.
 */
#ifndef PL_PLAN_ESTIMATE_H
#define PL_PLAN_ESTIMATE_H

#include "common/app/machine.h"
#include "common/app/term.h"
#include "deploy/plan/costs.h"
#include "deploy/plan/footprint.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum { PL_ESTIMATE_MACHINES = 16 };

struct pl_estimate {
    const struct pl_run_conf *conf;
    const struct pl_shape *policy;
    struct pl_machine machine; /* this one */
    struct pl_footprint footprint;
    struct pl_footprint less; /* with the settings that need the least memory */
    size_t less_rows;         /* of which this is actor.ppo_max_token_len */
    struct pl_costs costs;
    bool timed;    /* rates are known; else there are no times */
    bool measured; /* here and now, not read from a file */
    struct pl_rates rates;
    double network; /* bytes a second */
    double changed; /* share of values that a step of the optimiser changes */
    struct pl_costs_machines machines[PL_ESTIMATE_MACHINES];
    size_t machine_count;
    size_t enough; /* machines, beyond which more help little */
};

/* Tables and sentences. PL_ENOMEM, PL_EIO. */
int pl_estimate_print(const struct pl_estimate *estimate, FILE *out, enum pl_color color,
                      struct pl_error *err);

/* A new reference; NULL: no memory. */
json_t *pl_estimate_json(const struct pl_estimate *estimate);

#endif
