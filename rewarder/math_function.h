/*
 * Functions of canonical forms.
 *
 *   |a|             of numbers the number, |3 - pi| = pi - 3; |-x| = |x|, |2 x - 2| = 2 |x - 1|
 *   logarithms      ln(8) = 3 ln(2), ln(x y) = ln(x) + ln(y), log_b(x) = ln(x)/ln(b)
 *   sin, cos, ...   sin(-x) = -sin(x), cos(-x) = cos(x); else a function of equal arguments is
 *                   equal, and no more is known of it
 *
 * Results are put on the stack of the room; errors are those of math_poly.h.
 */
#ifndef PL_REWARDER_MATH_FUNCTION_H
#define PL_REWARDER_MATH_FUNCTION_H

#include "rewarder/math_frac.h"

int pl_math_abs(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac *ret);
int pl_math_ln(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac *ret);
/* A function by its name, "ln", "log" and "lg" (to base 10) and "exp" among them; the name is kept.
 */
int pl_math_apply(struct pl_math_room *room, const char *name, size_t len, struct pl_math_frac arg,
                  struct pl_math_frac *ret);

#endif
