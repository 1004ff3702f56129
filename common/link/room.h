/*
 * How much memory Redis has left for the queues.
 */
#ifndef PL_LINK_ROOM_H
#define PL_LINK_ROOM_H

#include "common/link/queues.h"

struct pl_room {
    uint64_t used, most; /* bytes; most 0: it has no limit (maxmemory) */
};

/* PL_EINVAL: the user may not ask (INFO). Errors of pl_redis_call(). */
int pl_room_look(struct pl_queues *stream, struct pl_room *ret_room, struct pl_error *err);

/* For tests: from the text that INFO memory answers. */
struct pl_room pl_room_parse(const char *info);

#endif
