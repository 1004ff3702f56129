/*
 * Actors in quarantine (guard.h), read and let out by hand.
 */
#ifndef PL_LINK_QUARANTINE_H
#define PL_LINK_QUARANTINE_H

#include "common/base/err.h"
#include "common/base/redis_access.h"

#include <stdbool.h>
#include <stdint.h>

/* Texts are as they came; nothing of them is to be trusted. They live for the call. */
struct pl_quarantined {
    const char *actor, *reason;
    uint64_t strikes; /* groups of it that were refused, of those that count */
};

struct pl_quarantine;

/* Does not connect yet. `access` may be NULL; `role` is what "{role}" stands for in it: "viewer" to
 * read, "admin" to change. PL_EINVAL: the url or the access is none; PL_ENOMEM. */
int pl_quarantine_open(const char *url, const struct pl_redis_access *access, const char *role,
                       const char *run, struct pl_quarantine **ret_quarantine,
                       struct pl_error *err);
void pl_quarantine_close(struct pl_quarantine *quarantine); /* NULL is fine */

/* Call `each` for every one. What it returns other than PL_OK ends it and is returned. PL_EIO:
 * Redis does not answer, or not so. */
int pl_quarantine_each(struct pl_quarantine *quarantine,
                       int (*each)(void *at, const struct pl_quarantined *one), void *at,
                       struct pl_error *err);

/* Out of quarantine, its strikes forgotten, an event about it. *ret_was: whether it was in it; it
 * is harmless where it was not. */
int pl_quarantine_lift(struct pl_quarantine *quarantine, const char *actor, bool *ret_was,
                       struct pl_error *err);

#endif
