/*
 * Whether two answers are mathematically the same.
 *
 *   expressions   if their canonical forms are (math_poly.h, math_power.h): exactly, 0.33 is not
 *                 1/3 and 3.14 not pi; where a variable makes both defined, (x^2-1)/(x-1) is x+1
 *   percentages   p% is the same as p and as p/100, if the other one is no percentage: 50% as 50,
 *                 1/2 and 0.5; two percentages only if they are equal
 *   units         may be missing on one side, not differ (math_unit.h); degrees are left out
 *   equations     with a name alone on one side, or f(x), (x, y), or words ("the area"), are the
 *                 other side: x = 5 is 5, and x = 2 + 3 = 5 is 5 if all sides are; two equations
 *                 are the same if they have the same name and other side, or if left - right is, up
 *                 to a number other than 0: y = 2x + 1 is 2x - y + 1 = 0
 *   inequalities  of a name are intervals: x > 3 is (3, \infty), 1 <= x < 2 is [1, 2); two others
 *                 are the same if left - right is, up to a positive number; x in S is S
 *   intervals,    bracket by bracket and element by element; (1, 2) is a pair or an open interval,
 *   tuples        both at once; ratios 2:3 as they stand
 *   sets, lists   in any order, each element as often; a list "1, 2" or "1 and 2" is the set {1, 2}
 *                 but not the tuple (1, 2); unions in any order, "x < 1 or x > 2" is a union too
 *   a +- b        is the list of both
 *   matrices      entry by entry
 *   words         word by word, in lower case
 *
 * What it does not know, and takes for different: identities of trigonometry, squares of sums under
 * a root (sqrt(x^2 + 2 x + 1) is |x + 1|), roots of an order that does not divide 2520, numbers
 * over 115 digits unless they are powers, unions that overlap. Two such are the same if they are
 * spelled alike (pl_math_tokens_same()), which is for the caller to see.
 */
#ifndef PL_REWARDER_MATH_SAME_H
#define PL_REWARDER_MATH_SAME_H

#include "rewarder/math_frac.h"
#include "rewarder/math_tree.h"

/* 1: they are; 0: they are not; an error of math_poly.h: it could not be found out. Trees must last
 * as long as the room. */
int pl_math_same(struct pl_math_room *room, const struct pl_math_tree *a,
                 const struct pl_math_tree *b);

#endif
