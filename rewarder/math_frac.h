/*
 * Quotients of polys (math_poly.h), and the atoms that are made of them.
 *
 * Always true: `under` is 1 or has at least two terms. Two quotients are equal if one's over times
 * the other's under is the same poly both ways round. Errors are those of math_poly.h.
 */
#ifndef PL_REWARDER_MATH_FRAC_H
#define PL_REWARDER_MATH_FRAC_H

#include "rewarder/math_poly.h"

/* The number of the atom, which is added if it is new. Its arg, if the kind has one, is copied. */
int pl_math_atom(struct pl_math_room *room, const struct pl_math_atom *atom, uint16_t *ret);

/* All of these put their result on top of the stack. */
int pl_math_frac_of(struct pl_math_room *room, const struct pl_math_num *n,
                    struct pl_math_frac *ret);
int pl_math_frac_atom(struct pl_math_room *room, uint16_t atom, int32_t exponent,
                      struct pl_math_frac *ret);
int pl_math_frac_term(struct pl_math_room *room, const struct pl_math_term *term,
                      struct pl_math_frac *ret);
int pl_math_frac_copy(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac *ret);
int pl_math_frac_add(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac b,
                     struct pl_math_frac *ret);
int pl_math_frac_mul(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac b,
                     struct pl_math_frac *ret);
int pl_math_frac_scale(struct pl_math_room *room, struct pl_math_frac a,
                       const struct pl_math_num *by, struct pl_math_frac *ret);
int pl_math_frac_inverse(struct pl_math_room *room, struct pl_math_frac a,
                         struct pl_math_frac *ret);

/* Move a result down to `mark`, an earlier room->bottom: all else above it is dropped. */
void pl_math_frac_keep(struct pl_math_room *room, uint32_t mark, struct pl_math_frac *frac);

bool pl_math_frac_zero(struct pl_math_frac a);
/* Whether it is one term without a denominator. Borrowed. */
const struct pl_math_term *pl_math_frac_single(const struct pl_math_room *room,
                                               struct pl_math_frac a);
/* Whether it is a rational number. */
bool pl_math_frac_number(const struct pl_math_room *room, struct pl_math_frac a,
                         struct pl_math_num *ret);
/* 1 equal, 0 not, or an error. The stack is left as it was. */
int pl_math_frac_equal(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac b);
/* Whether a = c b with a number c, and if `positive` c > 0; otherwise as pl_math_frac_equal(). */
int pl_math_frac_alike(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac b,
                       bool positive);

#endif
