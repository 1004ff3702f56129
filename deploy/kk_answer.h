/*
 * Worked answers to a puzzle: what a model is fine-tuned on before it is trained by reward.
 *
 *   interleave    <think>T1</think><answer>R1</answer><think>T2</think><answer>R2</answer> ...
 *                 <think>T</think><answer>S</answer>      each role as soon as it is proved
 *   think-answer  <think>T1 T2 ...</think><answer>S</answer>
 *   delayed       <think>T1 T2 ...</think><answer>R1</answer><answer>R2</answer> ...
 *                 <answer>S</answer>                      all thinking first
 *   direct        S
 *   cot           T1 T2 ... answer: S                     no tags
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
#ifndef PL_DEPLOY_KK_ANSWER_H
#define PL_DEPLOY_KK_ANSWER_H

#include "common/base/buf.h"
#include "deploy/kk_puzzle.h"
#include "deploy/kk_text.h"
#include "proto/rollout.h"

enum { PL_KK_TEMPLATES = PL_METHOD_COT + 1 }; /* a template asks for a method */

struct pl_kk_answer_opts {
    enum pl_method template;
    enum pl_kk_wording wording;
    bool careful;
    struct pl_rng rng; /* of a careless answer: positions 0 to 15 are used */
};

/* Adds the answer to buf. The puzzle must have exactly one solution, puzzle->solution.
 * PL_ENOMEM, PL_EFULL from buf. */
int pl_kk_answer(const struct pl_kk *puzzle, const struct pl_kk_answer_opts *opts,
                 struct pl_buf *buf, bool *ret_correct);

/* How long a text is: each tag, each run of letters and digits and each other sign is one word. */
size_t pl_kk_words(const char *text, size_t len);

#endif
