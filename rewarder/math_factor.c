#include "rewarder/math_factor.h"
#include "common/base/err.h"

#include <string.h>

enum { ONE = PL_MATH_ONE, TRIAL_MAX = 1000 };

int pl_math_factor_named(struct pl_math_room *room, const char *name, uint16_t *ret)
{
    const struct pl_math_atom atom = {PL_MATH_NAME, .name = name, .name_len = strlen(name)};

    return pl_math_atom(room, &atom, ret);
}

bool pl_math_factor_is_named(const struct pl_math_room *room, uint16_t atom, const char *name)
{
    const struct pl_math_atom *a = &room->atoms[atom];

    return a->kind == PL_MATH_NAME && a->name_len == strlen(name) &&
           memcmp(a->name, name, a->name_len) == 0;
}

bool pl_math_factor_is_positive(const struct pl_math_room *room, uint16_t atom)
{
    const enum pl_math_kind kind = room->atoms[atom].kind;

    return kind == PL_MATH_PRIME || kind == PL_MATH_SUM || kind == PL_MATH_ABS ||
           kind == PL_MATH_POWER || pl_math_factor_is_named(room, atom, "pi") ||
           pl_math_factor_is_named(room, atom, "e");
}

int pl_math_factor_times(struct pl_math_room *room, struct pl_math_frac *acc,
                         struct pl_math_frac by)
{
    return pl_math_frac_mul(room, *acc, by, acc);
}

int pl_math_factor_times_atom(struct pl_math_room *room, struct pl_math_frac *acc, uint16_t atom,
                              int64_t exponent)
{
    struct pl_math_frac power;
    int rc;

    if (exponent > INT32_MAX / 2 || exponent < INT32_MIN / 2)
        return PL_EFULL;
    rc = pl_math_frac_atom(room, atom, (int32_t)exponent, &power);
    return rc < 0 ? rc : pl_math_factor_times(room, acc, power);
}

int pl_math_factor_one(struct pl_math_room *room, struct pl_math_frac *ret)
{
    const struct pl_math_num n = pl_math_num_of(1);

    return pl_math_frac_of(room, &n, ret);
}

int pl_math_factor_over_one(struct pl_math_room *room, struct pl_math_poly p,
                            struct pl_math_frac *ret)
{
    int rc = pl_math_factor_one(room, ret);
    const struct pl_math_frac a = {p, ret->under};

    return rc < 0 ? rc : pl_math_frac_copy(room, a, ret);
}

static int add_prime(struct pl_math_primes *found, const struct pl_math_int *n, int32_t how_often)
{
    if (found->count == PL_MATH_PRIMES_MAX)
        return PL_EFULL;
    found->n[found->count] = *n;
    found->times[found->count++] = how_often;
    return PL_OK;
}

int pl_math_factor_primes(struct pl_math_room *room, struct pl_math_int n,
                          struct pl_math_primes *ret)
{
    static const uint32_t orders[] = {2, 3, 5, 7};
    struct pl_math_int root;
    uint32_t small;
    int rc = PL_OK;

    ret->count = 0;
    for (uint32_t d = 2; rc == PL_OK && d < TRIAL_MAX && !pl_math_int_is(&n, 1);
         d += d == 2 ? 1 : 2) {
        struct pl_math_int divisor;
        int32_t how_often = 0;

        if (pl_math_int_small(&n, d * d - 1, &small))
            break; /* what is left is prime */
        if (pl_math_int_rest(&n, d, &room->work) > 0)
            continue;
        divisor = pl_math_int_of(d);
        do {
            pl_math_int_div(&n, &divisor, &n, NULL, &room->work);
            how_often++;
        } while (pl_math_int_rest(&n, d, &room->work) == 0);
        rc = add_prime(ret, &divisor, how_often);
    }
    if (rc < 0 || pl_math_int_is(&n, 1))
        return rc;
    if (!pl_math_int_small(&n, TRIAL_MAX * TRIAL_MAX, &small))
        for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
            if (pl_math_int_root(&n, orders[i], &root, &room->work))
                return add_prime(ret, &root, (int32_t)orders[i]);
    return add_prime(ret, &n, 1);
}

int pl_math_factor_abs(struct pl_math_room *room, uint16_t inner, uint16_t *ret)
{
    struct pl_math_atom atom = {.kind = PL_MATH_ABS};
    const int rc = pl_math_frac_atom(room, inner, ONE, &atom.arg);

    return rc < 0 ? rc : pl_math_atom(room, &atom, ret);
}

/* The largest number that leaves whole coefficients without a common divisor, positive. */
static int content(struct pl_math_room *room, struct pl_math_poly p, struct pl_math_num *ret)
{
    struct pl_math_num c = {.under = pl_math_int_of(1)};

    for (uint32_t i = 0; i < p.count; i++) {
        const struct pl_math_num *coef = &room->terms[p.at + i].coef;
        struct pl_math_int shared = pl_math_int_gcd(c.under, coef->under, &room->work), rest;

        c.over = pl_math_int_gcd(c.over, coef->over, &room->work);
        pl_math_int_div(&coef->under, &shared, &rest, NULL, &room->work);
        if (pl_math_int_mul(&c.under, &rest, &c.under, &room->work) < 0)
            return PL_EFULL;
    }
    *ret = c;
    return PL_OK;
}

int pl_math_factor_primitive(struct pl_math_room *room, struct pl_math_poly p, bool sign,
                             struct pl_math_num *ret_content, struct pl_math_frac *ret)
{
    struct pl_math_num inverse;
    int rc = content(room, p, ret_content);

    if (rc < 0)
        return rc;
    ret_content->negative = sign && room->terms[p.at].coef.negative;
    inverse = pl_math_num_inverse(ret_content);
    rc = pl_math_factor_over_one(room, p, ret);
    return rc < 0 ? rc : pl_math_frac_scale(room, *ret, &inverse, ret);
}
