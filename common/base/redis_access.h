/*
 * As whom a program connects to Redis, and what it trusts there: settings (common/app) that the
 * connection (common/link) goes by. Texts that are NULL or "" mean: none.
 *
 * "{role}" in the user and in the names of files stands for what the program is: learner, actor,
 * rewarder, relay; viewer for what only reads, admin for what changes a run by hand. So one
 * configuration serves them all.
 */
#ifndef PL_BASE_REDIS_ACCESS_H
#define PL_BASE_REDIS_ACCESS_H

#include "common/base/err.h"

struct pl_redis_access {
    const char *user;          /* none: Redis' own "default" */
    const char *password_file; /* secret.h; read at each connect, so that it may change */
    const char *tls_ca;        /* PEM: who may vouch for Redis; none: who the system trusts */
    const char *tls_cert;      /* PEM: the program's own certificate, ... */
    const char *tls_key;       /* ... and its key */
};

/* A copy with "{role}" replaced, ended with pl_redis_access_release(). `from` may be NULL: none of
 * all. PL_ENOMEM. On failure *ret_access holds nothing. */
int pl_redis_access_copy(const struct pl_redis_access *from, const char *role,
                         struct pl_redis_access *ret_access, struct pl_error *err);
void pl_redis_access_release(struct pl_redis_access *access); /* zeroed is fine */

#endif
