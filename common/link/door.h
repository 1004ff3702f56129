/*
 * The door of a ZeroMQ context: lets in whose CURVE key is in the list (allow.h), and counts and
 * says who was not. CURVE by itself lets in any key that a client makes up; a handler for ZAP (RFC
 * 27) decides, and sockets that have one refuse everybody where it is missing.
 *
 * A client that speaks no CURVE, or that knows another key of the server, never comes as far as
 * ZAP: a monitor of each socket counts those.
 *
 * Who is taken out of the list stays connected, as the handshake is over. So whoever answers
 * questions asks pl_door_knows() of each; then the next question is the first that is not answered.
 *
 * It has a thread of its own, and its memory does not grow with who knocks.
 */
#ifndef PL_LINK_DOOR_H
#define PL_LINK_DOOR_H

#include "common/base/err.h"
#include "common/link/keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

enum { PL_DOOR_SOCKETS_MAX = 4 };

struct pl_door_opts {
    const struct pl_keys *keys;         /* borrowed, must live as long */
    void *context;                      /* of ZeroMQ; it can have one door */
    void *sockets[PL_DOOR_SOCKETS_MAX]; /* of it, not yet bound: become CURVE servers */
    size_t count;
    void (*event)(void *at, const char *line); /* one refused, once a minute for each address; from
                                                  the door's thread; NULL: none */
    void *at;
};

struct pl_door;

/* PL_ENOENT, PL_EFORMAT: the list; PL_EIO: ZeroMQ, or no thread. PL_ENOMEM. */
int pl_door_open(const struct pl_door_opts *opts, struct pl_door **ret_door, struct pl_error *err);
/* While its sockets are still open, but nobody uses them any more. NULL is fine. */
void pl_door_close(struct pl_door *door);

/* Whether the sender of a frame (not of the one that is its address) is in the list now; any
 * thread. No door (NULL): everybody is. */
bool pl_door_knows(struct pl_door *door, zmq_msg_t *frame);

struct pl_door_stats {
    uint64_t accepted;
    uint64_t strangers; /* keys that are in no line */
    uint64_t plain;     /* no CURVE at all, or another mechanism */
    uint64_t wrong;     /* meant for another server's key */
    uint64_t broken;    /* went away in the middle, or spoke no ZeroMQ */
    uint64_t late;      /* questions of who was taken out of the list since */
};
struct pl_door_stats pl_door_stats(const struct pl_door *door); /* zeros for NULL */
uint64_t pl_door_refused(const struct pl_door_stats *stats);    /* all but accepted */

#endif
