/*
 * Worked answers to a puzzle, in the forms of worked.h: intermediate answers are roles, each as
 * soon as it is proved, the final one is the solution.
 *
 *   interleave    <think>T1</think><answer>R1</answer><think>T2</think><answer>R2</answer> ...
 *                 <think>that is all</think><answer>S</answer>
 *
 * R is a role and S the solution, as kk_text.h fixes them. What a verifier may rely on:
 *   - the last answer is S, about all people in the order of their names; `direct` is nothing but
 *     S, and in `cot` S is all that follows "answer:", but for a full stop;
 *   - every other answer is one R, each person's once, in the order of proof, which is free;
 *   - white space around an answer means nothing; there is none between tags.
 *
 * T is a thought. A careful one is a part of the proof of kk_proof.h, in words:
 *
 *   plain       suppose zoey is a knave . by zoey , max is a knight . but max says zoey is a
 *               knight , a contradiction . so zoey is a knight .
 *   published   Suppose Zoey is a knave. Zoey lies, so Max is a knight. But Max, a knight, says
 *               that Zoey is a knight, which is false: a contradiction. So Zoey is a knight.
 *
 * A careless one has a role that a fair coin decides and a reason that is none, so that all n roles
 * are right once in 2^n. Its form is that of the careful one.
 */
#ifndef PL_TASKS_KK_ANSWER_H
#define PL_TASKS_KK_ANSWER_H

#include "common/base/buf.h"
#include "deploy/tasks/kk_puzzle.h"
#include "deploy/tasks/kk_text.h"
#include "deploy/tasks/worked.h"

/* Adds the answer to buf. The puzzle must have exactly one solution, puzzle->solution.
 * PL_ENOMEM, PL_EFULL from buf. */
int pl_kk_answer(const struct pl_kk *puzzle, const struct pl_worked_opts *opts, struct pl_buf *buf,
                 bool *ret_correct);

#endif
