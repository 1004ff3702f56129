/*
 * Canonical forms for comparing answers: sums of products, of which math_frac.h makes quotients.
 *
 *   atom     a variable, a prime number under a root, i, pi, a function applied to something
 *   term     coefficient * atom^exponent * atom^exponent ...; exponents are multiples of
 *            1 / PL_MATH_ONE, so that roots are powers
 *   poly     a sum of terms, in the order of their atoms, no two alike, no coefficient 0
 *
 * What holds of a term in a poly, so that equal numbers look alike:
 *   - a prime's exponent lies in [0, 1), the rest of it is in the coefficient (unless that would
 *     not fit: then the exponent holds all of that prime);
 *   - i is there at most once; a sum under a root has an exponent in (0, 1), |f| one in (0, 2).
 *
 * Products of roots of different primes are independent over the rationals, with i as well, so a
 * number made of them is zero only if its poly is empty.
 *
 * A room holds everything: fixed size, some 200 KB, no allocation. Polys lie on a stack in it; what
 * atoms are made of lies at its other end and stays. A comparison has one room, so that an atom
 * that occurs on both sides is the same.
 *
 * Errors of all functions here: PL_EFULL, it is too large for the room, or too much work was done;
 * PL_EUNSUPPORTED, it is nothing that can be brought into this form (a division by zero, a root of
 * unity). On an error what was on the stack above the arguments is of no use.
 */
#ifndef PL_REWARDER_MATH_POLY_H
#define PL_REWARDER_MATH_POLY_H

#include "rewarder/math_number.h"

enum {
    PL_MATH_ONE = 2520, /* the exponent 1; roots of order 2 to 10 and some more divide it */
    PL_MATH_FACTORS_MAX = 8,
    PL_MATH_TERMS_MAX = 1024, /* in a room */
    PL_MATH_POLY_MAX = 160,   /* in one poly */
    PL_MATH_ATOMS_MAX = 64,
    PL_MATH_WORK_MAX = 1500000, /* words of arithmetic in a room's life: a few milliseconds */
};

struct pl_math_factor {
    int32_t exponent; /* not 0 */
    uint16_t atom;
};

struct pl_math_term {
    struct pl_math_num coef;
    struct pl_math_factor factors[PL_MATH_FACTORS_MAX]; /* by atom, ascending */
    uint32_t count;
};

struct pl_math_poly {
    uint32_t at, count; /* in the room's terms */
};

struct pl_math_frac {
    struct pl_math_poly over, under;
};

enum pl_math_kind {
    PL_MATH_NAME,  /* a variable or constant */
    PL_MATH_I,     /* i^2 = -1 */
    PL_MATH_PRIME, /* of value `prime`: a factor of a number under a root */
    PL_MATH_SUM,   /* arg, a sum under a root */
    PL_MATH_ABS,   /* |arg| */
    PL_MATH_POWER, /* name^arg where the exponent arg is no number, as 2^n; name: an atom's number
                    */
    PL_MATH_APPLY, /* the function `name` of arg */
};

struct pl_math_atom {
    enum pl_math_kind kind;
    const char *name; /* borrowed */
    size_t name_len;
    uint16_t base; /* of a POWER */
    struct pl_math_int prime;
    struct pl_math_frac arg;
};

struct pl_math_room {
    uint64_t work;
    uint32_t bottom, top; /* terms [0, bottom) are the stack, [top, TERMS_MAX) stay */
    uint32_t atom_count;
    struct pl_math_atom atoms[PL_MATH_ATOMS_MAX];
    struct pl_math_term terms[PL_MATH_TERMS_MAX];
};

void pl_math_room_clear(struct pl_math_room *room);
bool pl_math_room_spent(const struct pl_math_room *room); /* PL_MATH_WORK_MAX is reached */

/* t *= f. */
int pl_math_term_multiply(struct pl_math_term *t, struct pl_math_factor f);

/* All of these put their result on top of the stack. */
int pl_math_poly_term(struct pl_math_room *room, const struct pl_math_term *t,
                      struct pl_math_poly *ret);
int pl_math_poly_copy(struct pl_math_room *room, struct pl_math_poly a, struct pl_math_poly *ret);
int pl_math_poly_add(struct pl_math_room *room, struct pl_math_poly a, struct pl_math_poly b,
                     struct pl_math_poly *ret);
int pl_math_poly_mul(struct pl_math_room *room, struct pl_math_poly a, struct pl_math_poly b,
                     struct pl_math_poly *ret);

bool pl_math_poly_same(const struct pl_math_room *room, struct pl_math_poly a,
                       struct pl_math_poly b);
/* Whether a = c b, and c, for polys that are not zero. */
int pl_math_poly_ratio(struct pl_math_room *room, struct pl_math_poly a, struct pl_math_poly b,
                       bool *ret_alike, struct pl_math_num *ret_ratio);

#endif
