/*
 * The users of a Redis that serves runs: what each may do, as lines of an ACL file.
 *
 * Commands inside a function are checked against its caller. So each role has FCALL, and beside it
 * the commands that its functions call (common/link/functions.lua), each only on the keys that they
 * call it on, and only to read or to write where that is enough. None but admin has EVAL, SCRIPT,
 * FUNCTION, RESTORE, CONFIG, DEBUG, REPLICAOF, FLUSH*, KEYS, MONITOR, SHUTDOWN or their like.
 */
#ifndef PL_DEPLOY_REDIS_ROLES_H
#define PL_DEPLOY_REDIS_ROLES_H

#include "common/base/buf.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum pl_redis_role {
    PL_REDIS_LEARNER,
    PL_REDIS_ACTOR,
    PL_REDIS_REWARDER,
    PL_REDIS_RELAY,
    PL_REDIS_VIEWER,
    PL_REDIS_ADMIN,
    PL_REDIS_ROLES
};

const char *pl_redis_role_name(enum pl_redis_role role);
/* PL_REDIS_ROLES: none has the name. */
enum pl_redis_role pl_redis_role_of(const char *name);

enum { PL_REDIS_HASHES_MAX = 2, PL_REDIS_HASH = 65 };

/* A user's passwords, as SHA-256 in hex; any of them lets one in. "": none. */
struct pl_redis_user {
    char hashes[PL_REDIS_HASHES_MAX][PL_REDIS_HASH];
};

/* "user NAME ...", a line for the default user, who is off, and for each role. `run`: the one that
 * they may touch; "" all runs. PL_ENOMEM, PL_EFULL. */
int pl_redis_roles_print(const struct pl_redis_user users[PL_REDIS_ROLES], const char *run,
                         struct pl_buf *buf);

/*
 * The folder of users: DIR/users.acl, and a password for each user in DIR/NAME.password (0600). A
 * password that is there stays. One that is to be `renew`ed is made anew, and the one before it
 * counts too until users.acl is written the next time. PL_EINVAL: the run is none; PL_EIO,
 * PL_ENOMEM and errors of secret.h.
 */
int pl_redis_users_write(const char *dir, const char *run, const bool renew[PL_REDIS_ROLES],
                         struct pl_error *err);

#endif
