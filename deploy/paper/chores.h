/*
 * Chores: a list of commands of plait, run one after the other, each once. What is done is not done
 * again, so that the list can be stopped at any moment and run again: a command that was stopped
 * goes on where it was if it can.
 *
 *   DIR/done/<name>        the chore is done: "12.3 s" is in it, how long it took in its last run
 *   DIR/logs/<name>.log    what it printed on standard error, and on standard output unless that is
 *                          what it makes
 *   DIR/lock               held by us and by what we run: one list at a time works in DIR
 *
 * A chore is done when its command has left with 0 and what it makes is there. A command runs in a
 * process group of its own, gets SIGTERM when we are told to stop, and ends with us in any case.
 * One that has left with 0 all the same is done.
 */
#ifndef PL_PAPER_CHORES_H
#define PL_PAPER_CHORES_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_chore {
    const char *name;        /* a file's name: "think-answer-1" */
    const char *title;       /* for people: "think-answer, seed 1: training by reward" */
    const char *const *args; /* plait's, from argv[1] on, NULL at the end */
    const char *made;        /* what is there when it is done */
    bool prints;             /* `made` is what it prints on standard output */
    const char *watch;       /* a metrics.jsonl that grows by a line a step; NULL: none */
    uint64_t steps;          /* lines that it will have */
    uint64_t weight;         /* its part of all the work, in any unit */
};

struct pl_chores {
    const char *dir, *program; /* borrowed: the folder of it all, plait itself */
    struct pl_chore *list;
    size_t count, cap;
};

void pl_chores_init(struct pl_chores *chores, const char *dir, const char *program);
void pl_chores_release(struct pl_chores *chores);

/* Add a copy of a chore, all strings with it. PL_ENOMEM. */
int pl_chores_add(struct pl_chores *chores, const struct pl_chore *chore, struct pl_error *err);

/* Whether number i is done. */
bool pl_chores_is_done(const struct pl_chores *chores, size_t i);

/* How long number i took, in seconds, in the run that ended it; NaN: it is not done, or not told.
 */
double pl_chores_seconds(const struct pl_chores *chores, size_t i);

/*
 * Run what is not done yet, with a bar that has the whole's ETA, and a line for each that was done.
 * PL_EIO: one failed, its log is named, and the last lines of it are shown; or another process is
 * at work in DIR, or what it left there is still ending. PL_ECANCELED: a signal (signals.h).
 */
int pl_chores_run(struct pl_chores *chores, struct pl_error *err);

#endif
