/*
 * The porter: the actor's I/O thread. It leases ahead of the engine, keeps leases alive, hands over
 * what is done, and says that the actor lives. When it is to stop it gives back what has not begun.
 */
#ifndef PL_ACTOR_PORTER_H
#define PL_ACTOR_PORTER_H

#include "actor/errand.h"
#include "actor/shown.h"
#include "common/app/daemon.h"
#include "common/link/keys.h"

struct pl_porter;

/* Connects and starts the thread; `errands` is shared. `lines` (borrowed): what must agree with the
 * run (common/link/run_note.h); before it does nothing is leased. With keys (borrowed, NULL: none)
 * what is handed over is signed (common/link/vouch.h). `shown` is borrowed. Ended with
 * pl_porter_end(). */
int pl_porter_create(const struct pl_daemon *daemon, const struct pl_keys *keys,
                     struct pl_errands *errands, size_t vocab, const char *lines,
                     struct pl_actor_shown *shown, struct pl_porter **ret_porter,
                     struct pl_error *err);

/* The life of the run that it is a part of; false: of none yet. */
bool pl_porter_life(struct pl_porter *porter, struct pl_life *ret_life);

/* The version that the engine has now, for the heartbeat. */
void pl_porter_version(struct pl_porter *porter, uint64_t version);

/*
 * Hand over what is done, give back what is not, end. `failed`: the engine gave up, so that what it
 * was working on counts as tried. What the thread failed with, or PL_OK; PL_EINVAL: its settings
 * are not the run's.
 */
int pl_porter_end(struct pl_porter *porter, bool failed, struct pl_error *err);

#endif
