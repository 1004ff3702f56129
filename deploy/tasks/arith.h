/*
 * Chained arithmetic: 2 to 8 operations, each of which goes on from the result of the one before.
 *
 *   a = 3 + 4 . b = a * 2 . c = b - a . what is c ?
 *
 * An operation is +, - or *. The first is of two numbers; each of the others of the last result and
 * either a number or another earlier result, in either order. In published wording it is a story of
 * people who have apples, or the like, one person a result.
 *
 * Always true of what pl_arith_draw() returned:
 *   - numbers and results are 2 to 99, and no two results are the same.
 *
 * Nothing here allocates or keeps state; threads may use it freely.
 */
#ifndef PL_TASKS_ARITH_H
#define PL_TASKS_ARITH_H

#include "common/base/buf.h"
#include "deploy/tasks/wording.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PL_ARITH_MIN = 2, PL_ARITH_MAX = 8, PL_ARITH_VALUE_MIN = 2, PL_ARITH_VALUE_MAX = 99 };

enum pl_arith_op { PL_ARITH_ADD, PL_ARITH_SUB, PL_ARITH_MUL, PL_ARITH_OPS };

struct pl_arith_term {
    bool earlier; /* of: the number of a step; otherwise a number itself */
    uint8_t of;
};

struct pl_arith_step {
    enum pl_arith_op op;
    struct pl_arith_term terms[2];
    uint8_t result;
    uint8_t person, voice; /* of the story: a name, and how it is told */
};

struct pl_arith {
    size_t ops;
    struct pl_arith_step steps[PL_ARITH_MAX];
    uint8_t thing; /* of the story: what is counted */
};

const char *pl_arith_sign(enum pl_arith_op op); /* "+", "-", "*" */

/* Problem `index`, a pure function of the arguments. */
void pl_arith_draw(uint64_t seed, size_t ops, uint32_t index, struct pl_arith *ret_arith);

/* The value of a term. */
size_t pl_arith_value(const struct pl_arith *arith, struct pl_arith_term term);

/* The same number for problems with the same numbers and operations, turned round or not. */
uint64_t pl_arith_key(const struct pl_arith *arith);

/* The same number for problems that are one but for their numbers, and for sums and products turned
 * round. There are 12 shapes of 2 operations, 87 of 3. */
uint64_t pl_arith_shape(const struct pl_arith *arith);

/* Text. These add to buf: PL_OK, PL_ENOMEM, PL_EFULL. */

/* The whole problem. */
int pl_arith_question(const struct pl_arith *arith, enum pl_wording wording, struct pl_buf *buf);

/* What the result of a step is called: "b" or "Ben". */
int pl_arith_name(const struct pl_arith *arith, size_t step, enum pl_wording wording,
                  struct pl_buf *buf);
const char *pl_arith_thing(const struct pl_arith *arith); /* "apples" */

#endif
