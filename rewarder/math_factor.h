/*
 * What powers and functions are computed with: factors of numbers, common factors of sums, and
 * products built up atom by atom. Results are put on the stack of the room; errors are those of
 * math_poly.h.
 */
#ifndef PL_REWARDER_MATH_FACTOR_H
#define PL_REWARDER_MATH_FACTOR_H

#include "rewarder/math_frac.h"

enum { PL_MATH_PRIMES_MAX = 40 };

/* Numbers whose product is n, with how often each is in it. All are prime, but for the last: what
 * is left when the primes below 1000 are divided out, of which only roots are taken. */
struct pl_math_primes {
    struct pl_math_int n[PL_MATH_PRIMES_MAX];
    int32_t times[PL_MATH_PRIMES_MAX];
    size_t count;
};
int pl_math_factor_primes(struct pl_math_room *room, struct pl_math_int n,
                          struct pl_math_primes *ret);

/* p as *ret_content times *ret, whose coefficients are whole and have no common divisor. The
 * content is positive; with `sign` it is negative if the first coefficient of p is. */
int pl_math_factor_primitive(struct pl_math_room *room, struct pl_math_poly p, bool sign,
                             struct pl_math_num *ret_content, struct pl_math_frac *ret);

/* The atoms of a name, and of |inner|. */
int pl_math_factor_named(struct pl_math_room *room, const char *name, uint16_t *ret);
int pl_math_factor_abs(struct pl_math_room *room, uint16_t inner, uint16_t *ret);
bool pl_math_factor_is_named(const struct pl_math_room *room, uint16_t atom, const char *name);
/* Whether only positive values of it are meant. */
bool pl_math_factor_is_positive(const struct pl_math_room *room, uint16_t atom);

int pl_math_factor_one(struct pl_math_room *room, struct pl_math_frac *ret);
int pl_math_factor_over_one(struct pl_math_room *room, struct pl_math_poly p,
                            struct pl_math_frac *ret); /* p / 1 */
/* *acc *= by. */
int pl_math_factor_times(struct pl_math_room *room, struct pl_math_frac *acc,
                         struct pl_math_frac by);
int pl_math_factor_times_atom(struct pl_math_room *room, struct pl_math_frac *acc, uint16_t atom,
                              int64_t exponent);

#endif
