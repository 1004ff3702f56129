/*
 * Looking at a run's Redis without changing it, as the viewer: what survey, lookup and news ask
 * with. It waits for no Redis that is away: a question fails then, and may be asked again later.
 */
#ifndef PL_LINK_READER_H
#define PL_LINK_READER_H

#include "common/base/err.h"
#include "common/link/redis.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_reader {
    char *prefix; /* "plait:{RUN}:" */
    struct pl_redis *redis;
};

/* Does not connect yet. `access` may be NULL; the role in it is "viewer". PL_EINVAL: the url, the
 * access or the run is none; PL_ENOMEM. */
int pl_reader_open(const char *url, const struct pl_redis_access *access, const char *run,
                   const char *client, struct pl_reader *ret_reader, struct pl_error *err);
void pl_reader_close(struct pl_reader *reader); /* zeroed is fine */

/* COMMAND prefix+key WORD...; the words end with NULL, and may be NULL. *ret_reply is the caller's.
 * PL_EIO: Redis does not answer, or refuses. */
int pl_reader_ask(struct pl_reader *reader, redisReply **ret_reply, struct pl_error *err,
                  const char *command, const char *key, const char *const *words);

/* ---- answers ---- */

bool pl_reply_is_array(const redisReply *reply, size_t least);

/* A field of HGETALL's answer or of an entry of a stream, "" where there is none. */
const char *pl_reply_field(const redisReply *hash, const char *name);

/* A copy for terminals: control characters become '?'. */
void pl_reply_text(char *to, size_t size, const char *text);

#endif
