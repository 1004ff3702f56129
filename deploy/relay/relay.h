/*
 * The program plait-relay: a relay of weights (common/link/relay.h) with a configuration, a log and
 * a place among the run's workers in Redis, without which it works as well.
 */
#ifndef PL_RELAY_RELAY_H
#define PL_RELAY_RELAY_H

#include "common/app/daemon.h"

int pl_relay_run(struct pl_daemon *daemon, struct pl_error *err);

#endif
