/*
 * A task: one JSON line of a data set.
 *
 *   {"id": "kk-3-0", "source": "kk", "question": "...", "answer": "...", "aliases": [],
 *    "steps": [{"answer": "...", "aliases": []}], "ordered": false, "verifier": "kk", "meta": {}}
 *
 * question, answer and verifier must be there; steps are the intermediate truths g_1 .. g_(N-1), in
 * their order; `ordered` says whether that order counts. `meta` is free; of a question with options
 * they are the list meta.choices, in the order of their letters A, B, ...
 */
#ifndef PL_PROTO_TASK_H
#define PL_PROTO_TASK_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct pl_truth {
    const char *answer;
    const char *const *aliases;
    size_t alias_count;
};

struct pl_task {
    const char *id, *source, *question, *verifier;
    struct pl_truth final;
    const struct pl_truth *steps;
    size_t step_count;
    bool ordered;
    /* meta.choices; none where that is no list of 2 to PL_TASK_CHOICES_MAX strings */
    const char *const *choices;
    size_t choice_count;
    const char
        *level;       /* meta.level or meta.people as text, "" without: what results are split by */
    const char *line; /* the whole line, for sending on */
    size_t line_len;
    void *memory;
};

enum { PL_TASK_BYTES_MAX = 1 << 20, PL_TASK_STEPS_MAX = 64, PL_TASK_ALIASES_MAX = 64 };
enum { PL_TASK_CHOICES_MAX = 10 };

/* `what` names the line in errors ("tasks.jsonl:12"). Ended with pl_task_release(). PL_EFORMAT,
 * PL_ENOMEM. */
int pl_task_parse(const char *line, size_t len, const char *what, struct pl_task *ret_task,
                  struct pl_error *err);
void pl_task_release(struct pl_task *task); /* zeroed is fine */

/* All lines of a file; ended with pl_tasks_release(). PL_EFORMAT names the line. */
struct pl_tasks {
    struct pl_task *tasks;
    size_t count;
};
int pl_tasks_load(const char *path, struct pl_tasks *ret_tasks, struct pl_error *err);
void pl_tasks_release(struct pl_tasks *tasks);

#endif
