/*
 * From the tree of an expression to its canonical form.
 */
#ifndef PL_REWARDER_MATH_EVAL_H
#define PL_REWARDER_MATH_EVAL_H

#include "rewarder/math_frac.h"
#include "rewarder/math_tree.h"

/*
 * `minus`: +- is minus and -+ plus, else the other way round. Degrees count within functions only
 * (sin 30 degrees), elsewhere they are a unit; other units are passed over; 5% is 1/20.
 *
 * The result is on top of the room's stack; the tree must last as long as the room is used. Errors
 * are those of math_poly.h; PL_EUNSUPPORTED also for what is no expression (an interval, words).
 */
int pl_math_eval(struct pl_math_room *room, const struct pl_math_tree *tree, uint16_t node,
                 bool minus, struct pl_math_frac *ret);

#endif
