/*
 * A process as others see it, in /proc: whether a number still means the process that it meant, and
 * whether that does anything.
 */
#ifndef PL_DEPLOY_CREW_PROCESS_H
#define PL_DEPLOY_CREW_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* When it was started, in clock ticks since the machine was; 0: there is no such process. With it a
 * number that was given out again is told from the process that had it before. */
uint64_t pl_process_started(pid_t pid);

/* Whether `pid` is the program `name` that was started then. */
bool pl_process_is(pid_t pid, uint64_t started, const char *name);

/* Who listens on a socket in the file system, 0: nobody, or somebody that is not known here. */
pid_t pl_process_behind(const char *socket_path);

/*
 * For how long a process has stood still, as seen by whoever asks again and again: no thread of it
 * ran and none waits for the disk. Zeroed before the first time; asking costs some files of /proc.
 */
struct pl_process_look {
    uint64_t ran;
    double moved_s; /* by the monotonic clock; 0: not asked yet */
};
double pl_process_still_s(struct pl_process_look *look, pid_t pid);

#endif
