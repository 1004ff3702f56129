/*
 * Failpoints: named places right before and after each step that must be durable or atomic, at
 * which a test kills the process or has the step fail. Nothing of this is compiled in unless the
 * build has -Dfailpoints=true: then PL_FAILPOINT(name) is the constant 0 and the name is not in the
 * program.
 *
 *   if (PL_FAILPOINT("checkpoint.before_rename") || rename(tmp, path) < 0)
 *       rc = pl_fail_errno(err, "rename '%s' to '%s'", tmp, path);
 *
 * What happens where is said by the environment, for each start of a program by itself:
 *
 *   PLAIT_FAILPOINTS="checkpoint.before_rename=kill@3,feed.after=error@2+"
 *
 *   kill@N     SIGKILL to itself at the N-th time that it comes by
 *   error@N    the step fails there with EIO, as if the system had said so
 *   full@N     the same with ENOSPC
 *   stall@N    it sleeps for a second there
 *   ...@N+     at the N-th time and each time from then on
 *
 * PLAIT_FAILPOINTS_FILE names a file that all processes of a test count into, one slot for each
 * point; it outlives those that are killed.
 */
#ifndef PL_BASE_FAILPOINT_H
#define PL_BASE_FAILPOINT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef PL_FAILPOINTS
#define PL_FAILPOINT(name)          pl_failpoint(name)
#define PL_FAILPOINT_OF(what, when) pl_failpoint_of(what, when)
#else
#define PL_FAILPOINT(name)          0
#define PL_FAILPOINT_OF(what, when) 0
#endif

/* Whether the step is to fail here; errno says how. Any thread may come by. */
bool pl_failpoint(const char *name);
bool pl_failpoint_of(const char *what, const char *when); /* the point "what.when" */

/* The file of counts: PL_FAILPOINT_SLOTS of these. */
enum { PL_FAILPOINT_SLOTS = 256, PL_FAILPOINT_NAME = 48 };

struct pl_failpoint_slot {
    _Atomic uint32_t state; /* 0: free, 1: being named, 2: in use */
    uint32_t unused;
    _Atomic uint64_t hits;  /* came by */
    _Atomic uint64_t fired; /* and something was done to it */
    char name[PL_FAILPOINT_NAME];
};

#endif
