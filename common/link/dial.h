/*
 * A connection to a server, as its client has it: a ZeroMQ socket with what a connection of plait
 * is set to, CURVE where there are keys, and a monitor that tells why the server does not let us
 * in.
 *
 * ZeroMQ never tries again where a server refuses a key or a mechanism; a dial does, over a socket
 * made anew, so that a key that is let in later is let in. One thread owns it.
 */
#ifndef PL_LINK_DIAL_H
#define PL_LINK_DIAL_H

#include "common/base/err.h"
#include "common/link/keys.h"

#include <stdbool.h>
#include <stdint.h>

struct pl_dial_opts {
    void *context;
    int type;                   /* ZMQ_DEALER, or ZMQ_SUB to everything */
    const char *endpoint;       /* borrowed, must live as long */
    const struct pl_keys *keys; /* borrowed; NULL: none */
    int64_t bytes_max;          /* of a message */
};

struct pl_dial {
    struct pl_dial_opts opts;
    void *socket; /* not the same one after pl_dial_check() */
    void *monitor;
    uint64_t again_ms; /* when to begin anew, 0: there is no need */
    unsigned refused;  /* in a row */
};

/* Ended with pl_dial_close(). PL_EINVAL: it cannot be connected to. PL_EIO. */
int pl_dial_open(struct pl_dial *dial, const struct pl_dial_opts *opts, struct pl_error *err);
void pl_dial_close(struct pl_dial *dial); /* zeroed is fine */

/* Begin anew at once. A failure leaves it as it is. */
void pl_dial_again(struct pl_dial *dial);

/*
 * Look whether the server refuses us, and begin anew when it is time to. PL_EINVAL: it does; the
 * sentence says why and what to do. Does not wait.
 */
int pl_dial_check(struct pl_dial *dial, uint64_t now_ms, struct pl_error *err);

#endif
