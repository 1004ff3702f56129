/* What a relay shows to Prometheus: names are the learner's and the actors' where the thing is the
 * same. */
#ifndef PL_RELAY_SHOWN_H
#define PL_RELAY_SHOWN_H

#include "common/app/window.h"
#include "common/link/relay.h"

struct pl_relay_shown;

/* *ret_shown: NULL where there is no window. Both are borrowed. PL_ENOMEM. */
int pl_relay_shown_make(struct pl_window *window, const struct pl_relay *relay,
                        struct pl_relay_shown **ret_shown, struct pl_error *err);
void pl_relay_shown_forget(struct pl_relay_shown *shown); /* before the relay ends; NULL is fine */

#endif
