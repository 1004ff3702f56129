/*
 * The dead groups of a run: those that failed too often or could not be read, and what can be done
 * with them by hand. Reading asks for nothing but the stream; retrying and dropping are one atomic
 * function each (functions.lua), after which the ledger balances as before.
 */
#ifndef PL_LINK_DEAD_H
#define PL_LINK_DEAD_H

#include "common/base/err.h"
#include "common/base/redis_access.h"
#include "common/link/queues.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PL_DEAD_FIELDS_MAX = 16 };

/* Texts are as they came, NUL terminated, "" where there is none; nothing of them is to be trusted.
 */
struct pl_dead_entry {
    char entry[48];              /* the stream's id of it, "1795565778000-0" */
    const char *group;           /* "12:3" */
    const char *reason, *worker; /* why, and who found so or had it last */
    const char *where;           /* the queue it came from, "prompts" or "rollouts" */
    uint64_t deliveries;         /* how often it was leased */
    double at_s;                 /* since 1970, by the clock of Redis */
    bool late;                   /* its batch was over already: it counts nowhere */
    bool parked;                 /* its batch waits for it, until it is put back */
    struct pl_field fields[PL_DEAD_FIELDS_MAX]; /* what stood beside its message */
    size_t field_count;
    const void *pb; /* NULL: it has none */
    size_t pb_len;
};

struct pl_dead;

/* Does not connect yet. `access` may be NULL; `role` is what "{role}" stands for in it: "viewer" to
 * read, "admin" to change. PL_EINVAL: the url or the access is none; PL_ENOMEM. */
int pl_dead_open(const char *url, const struct pl_redis_access *access, const char *role,
                 const char *run, struct pl_dead **ret_dead, struct pl_error *err);
void pl_dead_close(struct pl_dead *dead); /* NULL is fine */

/*
 * Call `each` for every one, the oldest first, `most` at most (0: all). An entry lives for the
 * call. What `each` returns other than 0 ends it and is returned. PL_EIO: Redis does not answer, or
 * not so.
 */
int pl_dead_each(struct pl_dead *dead, size_t most,
                 int (*each)(void *at, const struct pl_dead_entry *entry), void *at,
                 struct pl_error *err);

enum pl_dead_outcome {
    PL_DEAD_DONE,
    PL_DEAD_GONE,       /* there is no such entry, or not any more; nothing was changed, as below */
    PL_DEAD_UNREADABLE, /* it does not say which group it is, or of which queue */
    PL_DEAD_RETIRED,    /* its batch is trained and retired */
    PL_DEAD_REPLACED,   /* its group was made another time */
    PL_DEAD_TAKEN,      /* its batch is complete without it, and the learner may have it */
};

/* One sentence's end about an outcome: "its batch is retired: ..."; "" of PL_DEAD_DONE. */
const char *pl_dead_outcome_text(enum pl_dead_outcome outcome);

/*
 * Back into the queue that it came from, as a new entry with no delivery. Its batch is open again
 * until the group is scored. Repeating is harmless: it is gone then.
 */
int pl_dead_retry(struct pl_dead *dead, const char *entry, enum pl_dead_outcome *ret_outcome,
                  struct pl_error *err);

/* Out of the stream for good. The group stays dropped, for `reason`; "": for the one it has. */
int pl_dead_drop(struct pl_dead *dead, const char *entry, const char *reason,
                 enum pl_dead_outcome *ret_outcome, struct pl_error *err);

#endif
