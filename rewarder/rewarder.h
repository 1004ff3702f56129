/*
 * The rewarder daemon: threads that lease rollout groups, score them and commit them into their
 * batches. A group that cannot be decoded or scored goes to the dead, with the reason.
 */
#ifndef PL_REWARDER_REWARDER_H
#define PL_REWARDER_REWARDER_H

#include "common/app/daemon.h"

int pl_rewarder_run(struct pl_daemon *daemon, struct pl_error *err);

/* The reward's settings out of a run's. */
struct pl_reward_opts;
void pl_rewarder_opts(const struct pl_run_conf *conf, struct pl_reward_opts *ret_opts);

#endif
