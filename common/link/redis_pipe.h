/*
 * Many commands whose answers do not depend on one another, at the cost of a way there and back for
 * each hundred instead of each.
 *
 *   struct pl_redis_pipe pipe = {0};
 *   rc = pl_redis_pipe_add(&pipe, &args, err); ...
 *   rc = pl_redis_pipe_ask(&pipe, redis, err);
 *   ... pipe.replies[0] ...
 *   pl_redis_pipe_release(&pipe);
 */
#ifndef PL_LINK_REDIS_PIPE_H
#define PL_LINK_REDIS_PIPE_H

#include "common/base/err.h"
#include "common/link/redis.h"

struct pl_redis_pipe {
    char **commands; /* as they go over the wire */
    size_t *lens;
    size_t count, cap;
    redisReply **replies; /* one for each command, once they were asked; NULL before */
};

int pl_redis_pipe_add(struct pl_redis_pipe *pipe, const struct pl_redis_args *args,
                      struct pl_error *err); /* PL_ENOMEM */

/* Once. An answer that is an error is one of the replies. PL_EIO: the connection was lost, nothing
 * is repeated; PL_ENOMEM, and the errors of connecting. */
int pl_redis_pipe_ask(struct pl_redis_pipe *pipe, struct pl_redis *redis, struct pl_error *err);

void pl_redis_pipe_release(struct pl_redis_pipe *pipe); /* zeroed is fine */

#endif
