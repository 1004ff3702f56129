/*
 * The verifier "exec": a program of the user's decides. It is started once for each thread that
 * scores and asked by lines of JSON (child.h says how it is kept from doing harm):
 *
 *   {"id": "...", "question": "...", "answer": "...", "aliases": [...], "response": "...",
 *    "step": null, "meta": {...}}
 *
 * `response` is what stands in an answer segment; `answer` and `aliases` are the truth that it is
 * to be compared with: the final one, or, where `step` is a number, that intermediate one, from 1.
 * It answers each with one line
 *
 *   {"verdict": "right"}     or "wrong" or "unparsed"; {"correct": true} or false is taken too
 *
 * in which other keys may stand. It may go on for the next question or end behind an answer; it
 * must have read the whole question before. A reward is a function of the response only where the
 * program's answer is one: it must not keep anything from one question for the next.
 *
 * A program that does not answer has decided nothing: no cut-off in seconds decides a reward. Where
 * a question is not answered in time, by a program that ends, or by a line that is no answer, the
 * program is killed and asked once more, by a new process, PL_EXEC_TRIES times in all; then the
 * response has no verdict, is counted, and pl_exec_why() says why. The rest of it is not asked
 * about. What is to be made of that is the caller's; never a reward.
 *
 * A question that would be longer than PL_EXEC_QUESTION_MAX bytes is not asked: by that rule, which
 * holds on each machine, its answer is UNPARSED.
 *
 * One thread owns it.
 */
#ifndef PL_REWARDER_EXEC_H
#define PL_REWARDER_EXEC_H

#include "common/base/buf.h"
#include "proto/rollout.h"
#include "proto/task.h"

#include <stddef.h>
#include <stdint.h>

enum { PL_EXEC_TRIES = 3, PL_EXEC_QUESTION_MAX = 8 << 20 };

struct pl_exec_opts {
    char *const
        *command;      /* program and arguments, NULL terminated; borrowed. NULL: there is none */
    double timeout_s;  /* of one question, and three times that to begin to read the first */
    size_t memory_max; /* address space in bytes, 0: no limit */
    void (*pulse)(void *at); /* called before each try; NULL: nobody has to show that it lives */
    void *at;
};

struct pl_exec;

/* Nothing is started before the first question. Ended with pl_exec_destroy(). PL_ENOMEM. */
int pl_exec_create(const struct pl_exec_opts *opts, struct pl_exec **ret_exec);
void pl_exec_destroy(struct pl_exec *exec); /* NULL is fine */

/* A response begins. */
void pl_exec_begin(struct pl_exec *exec);

/* Compare text with a truth of the task: the final one (step 0) or the step-th. NONE: the program
 * did not say, here or earlier in this response. */
enum pl_verdict pl_exec_ask(struct pl_exec *exec, const struct pl_task *task, size_t step,
                            const char *text, size_t len);

/* Why this response has no verdict, "" where it has; good until the next begins. */
const char *pl_exec_why(const struct pl_exec *exec);

/* Responses without a verdict, since it was created. */
uint64_t pl_exec_failures(const struct pl_exec *exec);

/*
 * Whether the program is of no use, to be asked after each response: PL_EIO, with its name and what
 * it did, if it could not be started or ended before it had read its question 3 times in a row, or
 * has not answered any time of the first 16 that it was asked. What has been said is forgotten: it
 * may be tried again.
 */
int pl_exec_broken(struct pl_exec *exec, struct pl_error *err);

/* ---- the lines ---- */

/* Append the question, its end included. PL_EFULL, PL_ENOMEM. */
int pl_exec_question(const struct pl_task *task, size_t step, const char *text, size_t len,
                     struct pl_buf *out);

/* PL_EFORMAT: the line is no answer. */
int pl_exec_answer(const char *line, size_t len, enum pl_verdict *ret_verdict,
                   struct pl_error *err);

#endif
