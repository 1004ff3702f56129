/*
 * A relay's place among the workers of its run, so that plait status shows it. Redis is nothing to
 * the weights: where it cannot be reached the log says so once, and it is tried again, by a thread
 * that nothing waits for.
 */
#ifndef PL_RELAY_BEAT_H
#define PL_RELAY_BEAT_H

#include "common/app/daemon.h"
#include "common/link/relay.h"

struct pl_beat;

/* daemon and relay are borrowed. PL_EIO: no thread. PL_ENOMEM. */
int pl_beat_start(const struct pl_daemon *daemon, const struct pl_relay *relay,
                  struct pl_beat **ret_beat, struct pl_error *err);
/* A signal to stop has come, or it could not be started. NULL is fine. */
void pl_beat_stop(struct pl_beat *beat);

#endif
