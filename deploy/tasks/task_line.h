/*
 * The line of a made-up task, for families whose answers are words or numbers:
 *
 *   {"id": "hops-2-1-17", "source": "hops", "question": "...", "answer": "tane", "aliases": [],
 *    "steps": [{"answer": "mell", "aliases": []}], "ordered": true, "verifier": "em",
 *    "meta": {"level": 2, "hops": 2, ..., "shape": "c0ffee...", "seed": 1, "index": 17}}
 *
 * level is the size, once more under its own name. seed is missing where the problem was not made
 * here.
 */
#ifndef PL_TASKS_TASK_LINE_H
#define PL_TASKS_TASK_LINE_H

#include "deploy/tasks/family.h"

struct pl_task_line {
    const char *verifier;
    size_t answers; /* intermediate ones; the final answer comes behind them */
    /* Adds answer n, which has nothing that JSON must escape. */
    int (*answer)(const struct pl_task_item *item, size_t n, struct pl_buf *buf);
    /* Adds what meta has of the family's own, each `, "name": value`; NULL: nothing. */
    int (*meta)(const struct pl_task_item *item, struct pl_buf *buf);
};

/* Adds the task and a newline to buf. PL_ENOMEM, PL_EFULL from it. */
int pl_task_line_print(const struct pl_task_item *item, const struct pl_task_line *line,
                       struct pl_buf *buf);

#endif
