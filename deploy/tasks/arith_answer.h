/*
 * Worked answers to chained arithmetic, in the forms of worked.h: the result of each operation in
 * turn, the last is the final one. An answer is a number and nothing else.
 *
 *   plain       b = a * 2 = 7 * 2 = 14 .
 *   published   Ben has 7 * 2 = 14 apples.
 *
 * A careful thought works it out. A careless one guesses a number that has the right tens, each of
 * ten with the same chance, so that each answer, and the final one, is right once in ten.
 */
#ifndef PL_TASKS_ARITH_ANSWER_H
#define PL_TASKS_ARITH_ANSWER_H

#include "common/base/buf.h"
#include "deploy/tasks/arith.h"
#include "deploy/tasks/worked.h"

enum { PL_ARITH_GUESSES = 10 };

/* Adds the answer to buf. PL_ENOMEM, PL_EFULL from it. */
int pl_arith_answer(const struct pl_arith *arith, const struct pl_worked_opts *opts,
                    struct pl_buf *buf, bool *ret_correct);

#endif
