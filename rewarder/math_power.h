/*
 * Powers and roots of canonical forms.
 *
 *   number roots    over their primes: sqrt(12) = 2 sqrt(3), 1/sqrt(2) = sqrt(2)/2, odd roots of
 *                   negative numbers are negative, sqrt(-4) = 2i; sqrt(3 + 2 sqrt(2)) = 1 + sqrt(2)
 *   variables       x^(1/2) and the like; sqrt(x^2) = |x|; sqrt(x y) = sqrt(x) sqrt(y), where the
 *                   right side is defined
 *   sums            common factors are taken out: sqrt(4 x + 8) = 2 sqrt(x + 2)
 *   exponents       that are no numbers: 2^(n+1) = 2 2^n, 4^n = (2^n)^2, 6^n = 2^n 3^n
 *
 * Results are put on the stack of the room; errors are those of math_poly.h.
 */
#ifndef PL_REWARDER_MATH_POWER_H
#define PL_REWARDER_MATH_POWER_H

#include "rewarder/math_frac.h"

int pl_math_power(struct pl_math_room *room, struct pl_math_frac base, struct pl_math_frac exponent,
                  struct pl_math_frac *ret);
/* base^(1/which). */
int pl_math_root(struct pl_math_room *room, struct pl_math_frac base, struct pl_math_frac which,
                 struct pl_math_frac *ret);

#endif
