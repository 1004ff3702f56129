/*
 * Puzzles as rows: the task that training and evaluation read, and the published row it may come
 * from. Each is one JSON object.
 *
 *   task  {"id": "kk-2-1-17", "source": "kk", "question": "...",
 *          "answer": "Zoey is a knight and Max is a knave", "aliases": [],
 *          "steps": [{"answer": "Zoey is a knight", "aliases": []}, ...], "ordered": false,
 *          "verifier": "kk",
 *          "meta": {"people": 2, "names": ["Zoey", "Max"], "solution": [true, false],
 *                   "statements": "(('lying', 1), ('not', ('telling-truth', 0)))",
 *                   "shape": "c0ffee...", "seed": 1, "index": 17}}
 *
 * The forms of the answers are those of kk_text.h. names, solution and statements are as in the
 * published rows, so that anyone can check that the solution follows and is the only one. seed is
 * missing where the puzzle was not made here.
 *
 *   published row  {"quiz": "...", "names": [...], "solution": [...], "statements": "(...)",
 *                   "solution_text": "...", "knight_knave": {...}, "index": 100, ...}
 */
#ifndef PL_TASKS_KK_TASK_H
#define PL_TASKS_KK_TASK_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "deploy/tasks/kk_puzzle.h"

#include <jansson.h>

struct pl_kk_task {
    const struct pl_kk *puzzle;
    const char *id, *question;
    const uint64_t *seed; /* NULL: the puzzle was not made here */
    uint64_t index;
};

/* Adds the task and a newline to buf. PL_ENOMEM, PL_EFULL from it. */
int pl_kk_task_print(const struct pl_kk_task *task, struct pl_buf *buf);

/*
 * One published row. `what` is how errors name it ("FILE:LINE"). The solution is proved again from
 * the statements; quiz, replaced in *question, and solution_text are only checked to fit it.
 * Without an "index" *ret_index is left alone.
 * PL_EFORMAT: the row is not one, or its solution is not the only one or another;
 * PL_EUNSUPPORTED: it has other numbers of people, longer claims or other words for knight and
 * knave than are taken here; PL_ENOMEM. On failure *ret_puzzle is of no use.
 */
int pl_kk_row_read(const char *line, size_t len, const char *what, struct pl_kk *ret_puzzle,
                   struct pl_buf *question, uint64_t *ret_index, struct pl_error *err);

/* The same of a row that has been parsed. */
int pl_kk_row_from(const json_t *row, const char *what, struct pl_kk *ret_puzzle,
                   struct pl_buf *question, uint64_t *ret_index, struct pl_error *err);

#endif
