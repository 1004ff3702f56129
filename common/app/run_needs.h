/*
 * Settings that have an effect only where another one says so: the critic's with gae, the
 * coefficient of a KL that is asked for, ... One that is given where it does nothing is refused,
 * with the sentence that says what it needs, so that nobody believes in it. One that comes from an
 * inherited file, which serves many runs, becomes its default.
 */
#ifndef PL_APP_RUN_NEEDS_H
#define PL_APP_RUN_NEEDS_H

#include "common/app/run_conf.h"

struct pl_run_need {
    const char *name;  /* of the setting */
    const char *needs; /* "'algorithm.adv_estimator' gae" */
    bool (*is_met)(const struct pl_run_conf *conf);
    /* For tests: another value than the default, and assignments that meet what it needs. */
    const char *value;
    const char *with[4];
};

const struct pl_run_need *pl_run_needs(size_t *ret_count);

/* PL_EINVAL: a setting is given that has no effect. PL_ENOMEM. */
int pl_run_needs_check(struct pl_run_conf *conf, struct pl_error *err);

#endif
