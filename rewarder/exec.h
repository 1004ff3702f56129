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
 *   {"verdict": "right"}          or "wrong" or "unparsed";    {"correct": true} or false is taken
 * too
 *
 * in which other keys may stand. It may go on for the next question or end behind an answer; it
 * must have read the whole question before. A reward is a function of the response only where the
 * program's answer is one: it must not keep anything from one question for the next.
 *
 * What goes wrong has a name. A question that is not answered in time, by a program that ends, or
 * by a line that is no answer, has the verdict UNPARSED, is counted, and pl_exec_why() says why;
 * the program is killed and started again for the next response. The rest of the response is not
 * asked about, so that one response costs one time-out at most, and (1 + steps) of them in all.
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

struct pl_exec_opts {
    char *const
        *command;      /* program and arguments, NULL terminated; borrowed. NULL: there is none */
    double timeout_s;  /* of one question, and three times that to begin to read the first */
    size_t memory_max; /* address space in bytes, 0: no limit */
    /* Called before each question, for whoever has to show meanwhile that it lives; NULL: nobody.
     */
    void (*pulse)(void *at);
    void *at;
};

struct pl_exec;

/* Nothing is started before the first question. Ended with pl_exec_destroy(). PL_ENOMEM. */
int pl_exec_create(const struct pl_exec_opts *opts, struct pl_exec **ret_exec);
void pl_exec_destroy(struct pl_exec *exec); /* NULL is fine */

/* A response to this task begins. */
void pl_exec_begin(struct pl_exec *exec, const struct pl_task *task);

/* Compare text with a truth of the task: the final one (step 0) or the step-th. */
enum pl_verdict pl_exec_ask(struct pl_exec *exec, const struct pl_task *task, size_t step,
                            const char *text, size_t len);

/* What went wrong with this response, "" if nothing did; good until the next begins. */
const char *pl_exec_why(const struct pl_exec *exec);

/* Responses with which something went wrong, since it was created. */
uint64_t pl_exec_failures(const struct pl_exec *exec);

/*
 * Whether the program is of no use, to be asked after each response: PL_EIO, with its name and what
 * it did, if it could not be started or ended before it had read its question 3 times in a row, or
 * has not answered any of its first 16. What has been said is forgotten: it may be tried again.
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
