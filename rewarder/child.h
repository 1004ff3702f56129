/*
 * A program that is asked by lines: one line goes to its standard input, one line of its standard
 * output is the answer. It is a program of the user's and may be given what a model wrote, so it
 * can do little harm and cannot hold anything up:
 *
 *   - it runs in a session of its own, under a small process that watches it: whatever it started
 *     becomes a child of that one, and is killed with it, however it hid (other sessions, other
 *     parents, signals that are ignored). The watcher does so when it is told to, and when the
 *     program that asks ends for whatever reason, SIGKILL too: a pipe between them closes then.
 *     What the kernel will not let die (it waits for a disk that is gone) is left after 10 s;
 *   - it inherits no descriptor but standard error, no signal mask or handler, and of the
 *     environment PATH, HOME and TMPDIR, beside LANG=C.UTF-8;
 *   - address space, processor time of a question (the time it has, on every processor), files
 *     (1 GiB each, 256 open) and core dumps are limited, and the processes of the user to 4096; it
 *     gains no privileges by running other programs;
 *   - pipes never block: a program that does not read or does not write runs into the deadline.
 *
 * One thread owns a child; several threads may have one each.
 */
#ifndef PL_REWARDER_CHILD_H
#define PL_REWARDER_CHILD_H

#include "common/base/buf.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PL_CHILD_LINE_MAX = 1 << 16 }; /* of an answer, in bytes */

struct pl_child {
    pid_t pid;     /* 0: there is none */
    pid_t watcher; /* its parent, a child of ours */
    int in, out;   /* our ends of its standard input and output */
    int exit_fd;   /* readable when it is gone: its wait status comes by it */
    int life_fd;   /* closed: the watcher is to end everything */
    size_t lines;  /* answered */
};

/*
 * Start `command` (NULL terminated, found by PATH), which may have memory_max bytes of address
 * space (0: no limit). Ended with pl_child_stop(). PL_EIO, PL_ENOENT, PL_ENOMEM: it cannot be
 * started; the sentence names it.
 */
int pl_child_start(char *const *command, size_t memory_max, struct pl_child *ret_child,
                   struct pl_error *err);
void pl_child_stop(struct pl_child *child); /* zeroed or stopped is fine */

enum pl_child_outcome {
    PL_CHILD_ANSWERED,  /* the line is in the buffer, without its end */
    PL_CHILD_LATE,      /* not before the deadline */
    PL_CHILD_ASLEEP,    /* a new one had not begun to read the question before its deadline */
    PL_CHILD_GONE,      /* it ended, or closed its output, before the line was whole */
    PL_CHILD_UNTOUCHED, /* the same, and it had read nothing of the question */
    PL_CHILD_GARBAGE,   /* too long a line, more than one, or one before the question was read */
    PL_CHILD_STALE,     /* it had written something, or was gone, before it was asked */
};

/*
 * Ask `line` (its end included) and wait for the answer for `seconds`; of a new child these count
 * from when it begins to read, for which it has start_s: it may have much to load first. After all
 * but PL_CHILD_ANSWERED the child is stopped, and `why` says what happened ("it ended with status
 * 3"). `answer` is cleared first and needs room for PL_CHILD_LINE_MAX bytes.
 */
enum pl_child_outcome pl_child_ask(struct pl_child *child, const char *line, size_t len,
                                   double seconds, double start_s, struct pl_buf *answer,
                                   char why[96]);

#endif
