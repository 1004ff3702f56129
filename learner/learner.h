/*
 * The learner daemon. For each step:
 *
 *   feed the batches that may be sampled by now ─▶ wait for this one ─▶ train ─▶ publish the new
 *   version ─▶ checkpoint, when it is time: then, and only then, retire what it contains
 *
 * The learner is the source of truth: what Redis lost is fed again, and comes back as the same
 * bytes, because prompts, versions and random numbers are functions of the configuration.
 */
#ifndef PL_LEARNER_LEARNER_H
#define PL_LEARNER_LEARNER_H

#include "common/app/daemon.h"

int pl_learner_run(struct pl_daemon *daemon, struct pl_error *err);

#endif
