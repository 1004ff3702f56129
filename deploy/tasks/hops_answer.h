/*
 * Worked answers to a question of several hops, in the forms of worked.h: the answer to every
 * sub-question in turn, the last is the final one. An answer is a name and nothing else.
 *
 *   plain       the capital of dora is mell .
 *   published   The notes say that the capital of Dora is Mell.
 *
 * A careful thought repeats the fact that answers the sub-question. A careless one names anybody of
 * the right type who is in the text, each of n with the same chance, so that each answer, and the
 * final one, is right once in n (pl_hops_alike()); it goes on from there.
 */
#ifndef PL_TASKS_HOPS_ANSWER_H
#define PL_TASKS_HOPS_ANSWER_H

#include "common/base/buf.h"
#include "deploy/tasks/hops.h"
#include "deploy/tasks/worked.h"

/* Adds the answer to buf. PL_ENOMEM, PL_EFULL from it. */
int pl_hops_answer(const struct pl_hops *hops, const struct pl_worked_opts *opts,
                   struct pl_buf *buf, bool *ret_correct);

#endif
