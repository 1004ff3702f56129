/*
 * One connection to Redis, plain or TLS: a command goes, its answer comes, each within its time and
 * its bounds. What is wrong with the connection is an error; what Redis answers is not.
 *
 * An answer is read by hiredis, bounded here: PL_REDIS_BYTES_MAX in all, PL_REDIS_ELEMENTS_MAX
 * elements of lists in all, lists eight deep. One that is over is an error before its memory is
 * asked for.
 */
#ifndef PL_LINK_REDIS_WIRE_H
#define PL_LINK_REDIS_WIRE_H

#include "common/base/err.h"
#include "common/base/redis_access.h"
#include "common/link/redis_url.h"

#include <hiredis/hiredis.h>
#include <stddef.h>
#include <stdint.h>

#define PL_REDIS_BYTES_MAX    ((size_t)4 << 30)
#define PL_REDIS_ELEMENTS_MAX ((size_t)4 << 20)

struct pl_redis_wire_opts {
    const struct pl_redis_url *url;       /* used while it is opened */
    const struct pl_redis_access *access; /* its tls_* */
    uint64_t connect_ms;                  /* for the connection; TLS has 5 s more */
    uint64_t silence_ms;                  /* an answer is over when no byte came for so long */
    size_t bytes_max, elements_max;       /* of an answer; 0: as above */
};

struct pl_redis_wire;

/* PL_EIO: there is no connection. PL_EINVAL: no second try mends it (redis_tls.h). PL_ENOMEM. */
int pl_redis_wire_open(const struct pl_redis_wire_opts *opts, struct pl_redis_wire **ret_wire,
                       struct pl_error *err);
void pl_redis_wire_close(struct pl_redis_wire *wire); /* NULL is fine */

/* *ret_reply is the caller's, ended with freeReplyObject(); it may be an error of Redis'. After an
 * error the wire is good for nothing but to be closed. PL_EIO, PL_EINVAL, PL_ENOMEM. */
int pl_redis_wire_ask(struct pl_redis_wire *wire, int count, const char *const *words,
                      const size_t *lens, redisReply **ret_reply, struct pl_error *err);

/*
 * Commands one behind the other, `bytes` as redisFormatCommandArgv() makes them: they go together,
 * and their answers, in the same order, are *replies: the caller's, one each. On failure none is.
 */
int pl_redis_wire_ask_all(struct pl_redis_wire *wire, const char *bytes, size_t len, size_t count,
                          redisReply **replies, struct pl_error *err);

#endif
