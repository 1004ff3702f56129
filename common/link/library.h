/*
 * The hand-overs as functions of Redis (functions.lua), and which of them Redis holds: one of them,
 * plait1_code, answers with the SHA-256 of the text that all were made from.
 *
 * They are loaded only where they are missing or others, because a user with few rights may not:
 * the user `admin` does it once (plait redis init).
 */
#ifndef PL_LINK_LIBRARY_H
#define PL_LINK_LIBRARY_H

#include "common/base/err.h"
#include "common/link/redis.h"

#include <stdbool.h>

enum { PL_LIBRARY_HASH = 65 };

/* In hex, of this program's functions. PL_ENOMEM. */
int pl_library_hash(char ret_hex[PL_LIBRARY_HASH], struct pl_error *err);

/* Of those that Redis holds; "" none. Asks by `command`, FCALL or FCALL_RO, with one try. */
int pl_library_held(struct pl_redis *redis, const char *command, char ret_hex[PL_LIBRARY_HASH],
                    struct pl_error *err);

/*
 * See to it that Redis holds this program's functions, with one try: for use within `mend`.
 * *ret_loaded, which may be NULL: they were not there. PL_EUNSUPPORTED: they are not, and the user
 * may not load them. Errors of pl_redis_try().
 */
int pl_library_ensure(struct pl_redis *redis, bool *ret_loaded, struct pl_error *err);

/* Whether Redis is 7.0.5 or later, by HELLO. PL_EUNSUPPORTED: it is older. */
int pl_library_check_redis(struct pl_redis *redis, struct pl_error *err);

#endif
