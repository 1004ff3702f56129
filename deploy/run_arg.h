/* The argument RUN of commands that look at a run: its folder, or its configuration. */
#ifndef PL_DEPLOY_RUN_ARG_H
#define PL_DEPLOY_RUN_ARG_H

#include "common/app/run_conf.h"

#include <jansson.h>

/*
 * A folder's own configuration is the one that the learner wrote into it. `run` is borrowed for as
 * long as *ret_conf lives, which is ended with pl_run_conf_release(). PL_ENOENT: it is no run, or
 * none that has begun; else as pl_run_conf_load().
 */
int pl_run_arg_load(const char *run, const struct pl_option_list *assignments,
                    struct pl_run_conf *ret_conf, struct pl_error *err);

/* The same, but for a run whose folder may be on another machine, where a configuration is given.
 */
int pl_run_arg_load_anywhere(const char *run, const struct pl_option_list *assignments,
                             struct pl_run_conf *ret_conf, struct pl_error *err);

/* One object to standard output; drops the reference. NULL is PL_ENOMEM. */
int pl_run_arg_print(json_t *json, struct pl_error *err);

#endif
