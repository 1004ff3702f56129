#include "rewarder/math_power.h"
#include "common/base/err.h"
#include "rewarder/math_factor.h"

#include <string.h>

enum { ONE = PL_MATH_ONE, WHOLE_MAX = 64, OVER_MAX = 100000 };

/* p / q in lowest terms, q a divisor of ONE. */
struct exponent {
    int64_t p, q;
};

/* --- powers of numbers --- */

/* *acc *= n^(p/q), over the primes of n. */
static int times_int_power(struct pl_math_room *room, struct pl_math_frac *acc,
                           const struct pl_math_int *n, struct exponent e)
{
    struct pl_math_atom atom = {.kind = PL_MATH_PRIME};
    struct pl_math_primes primes;
    uint16_t id;
    int rc = pl_math_factor_primes(room, *n, &primes);

    for (size_t i = 0; rc == PL_OK && i < primes.count; i++) {
        atom.prime = primes.n[i];
        rc = pl_math_atom(room, &atom, &id);
        if (rc == PL_OK)
            rc = pl_math_factor_times_atom(room, acc, id, primes.times[i] * e.p * (ONE / e.q));
    }
    return rc;
}

/* *acc *= |n|^(p/q). */
static int times_num_power(struct pl_math_room *room, struct pl_math_frac *acc,
                           const struct pl_math_num *n, struct exponent e)
{
    const int rc = times_int_power(room, acc, &n->over, e);

    return rc < 0 ? rc : times_int_power(room, acc, &n->under, (struct exponent){-e.p, e.q});
}

/* --- roots --- */

static int64_t common(int64_t a, int64_t b)
{
    while (b) {
        const int64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a < 0 ? -a : a;
}

/* *acc *= (atom^exponent)^(p/q). The sign of something real is lost in an even power: (x^2)^(1/2)
 * is |x|. */
static int times_factor_power(struct pl_math_room *room, struct pl_math_frac *acc,
                              struct pl_math_factor f, struct exponent e)
{
    const int64_t scaled = f.exponent * e.p, exponent = scaled / e.q;
    uint16_t atom = f.atom;
    int rc = PL_OK;

    if (scaled % e.q != 0 || room->atoms[atom].kind == PL_MATH_I)
        return PL_EUNSUPPORTED;
    if (f.exponent % (2 * ONE) == 0 && !pl_math_factor_is_positive(room, atom) &&
        exponent / common(exponent, ONE) % 2 != 0)
        rc = pl_math_factor_abs(room, atom, &atom);
    return rc < 0 ? rc : pl_math_factor_times_atom(room, acc, atom, exponent);
}

/* *acc *= (-1)^(p/q). */
static int times_sign_power(struct pl_math_room *room, struct pl_math_frac *acc, struct exponent e)
{
    const struct pl_math_atom atom = {.kind = PL_MATH_I};
    const struct pl_math_num less = pl_math_num_of(-1);
    uint16_t id;
    int rc;

    if (e.q % 2 == 1)
        return e.p % 2 ? pl_math_frac_scale(room, *acc, &less, acc) : PL_OK;
    if (e.q != 2)
        return PL_EUNSUPPORTED;
    rc = pl_math_atom(room, &atom, &id);
    return rc < 0 ? rc : pl_math_factor_times_atom(room, acc, id, e.p * ONE);
}

static int term_root(struct pl_math_room *room, struct pl_math_term t, struct exponent e,
                     struct pl_math_frac *ret)
{
    int rc = pl_math_factor_one(room, ret);

    if (rc == PL_OK && t.coef.negative)
        rc = times_sign_power(room, ret, e);
    if (rc == PL_OK)
        rc = times_num_power(room, ret, &t.coef, e);
    for (uint32_t i = 0; rc == PL_OK && i < t.count; i++)
        rc = times_factor_power(room, ret, t.factors[i], e);
    return rc;
}

static bool square_root(struct pl_math_room *room, const struct pl_math_num *n,
                        struct pl_math_num *ret)
{
    if (pl_math_num_zero(n)) {
        *ret = *n;
        return true;
    }
    ret->negative = false;
    return !n->negative && pl_math_int_root(&n->over, 2, &ret->over, &room->work) &&
           pl_math_int_root(&n->under, 2, &ret->under, &room->work);
}

/* Whether a term is the square root of a number, which is *ret. */
static bool is_root(struct pl_math_room *room, const struct pl_math_term *t,
                    struct pl_math_num *ret)
{
    if (t->count == 0 || pl_math_num_mul(&t->coef, &t->coef, ret, &room->work) < 0)
        return false;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct pl_math_atom *atom = &room->atoms[t->factors[i].atom];
        const struct pl_math_num prime = {.over = atom->prime, .under = pl_math_int_of(1)};

        if (atom->kind != PL_MATH_PRIME || t->factors[i].exponent != ONE / 2 ||
            pl_math_num_mul(ret, &prime, ret, &room->work) < 0)
            return false;
    }
    return true;
}

/*
 * sqrt(a + t) = sqrt(x) +- sqrt(y) where t^2 and d = sqrt(a^2 - t^2) are numbers, x, y = (a +-
 * d)/2. *ret_done: it is of this form.
 */
static int denest(struct pl_math_room *room, struct pl_math_poly p, bool *ret_done,
                  struct pl_math_frac *ret)
{
    const struct exponent half = {1, 2};
    const struct pl_math_num two = {.over = pl_math_int_of(1), .under = pl_math_int_of(2)};
    const struct pl_math_term *terms = room->terms + p.at;
    const struct pl_math_num *a;
    struct pl_math_num t2, d, halves[2];
    struct pl_math_term term = {.count = 0};
    struct pl_math_frac root, sum;
    uint32_t number;
    bool minus;
    int rc;

    *ret_done = false;
    if (p.count != 2 || (terms[0].count != 0) == (terms[1].count != 0))
        return PL_OK;
    number = terms[0].count != 0;
    a = &terms[number].coef;
    minus = terms[1 - number].coef.negative;
    if (a->negative || !is_root(room, &terms[1 - number], &t2))
        return PL_OK;
    t2.negative = true;
    if (pl_math_num_mul(a, a, &d, &room->work) < 0 ||
        pl_math_num_add(&d, &t2, &d, &room->work) < 0 || !square_root(room, &d, &d))
        return PL_OK;
    for (int i = 0; i < 2; i++) {
        rc = pl_math_num_add(a, &d, &halves[i], &room->work);
        if (rc == PL_OK)
            rc = pl_math_num_mul(&halves[i], &two, &halves[i], &room->work);
        if (rc < 0)
            return rc;
        d.negative = !pl_math_num_zero(&d);
    }
    term.coef = halves[0];
    rc = term_root(room, term, half, &sum);
    term.coef = halves[1];
    if (rc == PL_OK)
        rc = term_root(room, term, half, &root);
    halves[1] = pl_math_num_of(minus ? -1 : 1);
    if (rc == PL_OK)
        rc = pl_math_frac_scale(room, root, &halves[1], &root);
    *ret_done = true;
    return rc < 0 ? rc : pl_math_frac_add(room, sum, root, ret);
}

static int whole_power(struct pl_math_room *room, struct pl_math_frac base, uint32_t k,
                       struct pl_math_frac *ret);

static int sum_root(struct pl_math_room *room, struct pl_math_poly p, struct exponent e,
                    struct pl_math_frac *ret)
{
    struct pl_math_atom atom = {.kind = PL_MATH_SUM};
    struct pl_math_term factor = {.count = 0};
    struct pl_math_frac outer, inner;
    bool done = false;
    uint16_t id;
    int rc = e.p == 1 && e.q == 2 ? denest(room, p, &done, ret) : PL_OK;

    if (rc < 0 || done)
        return rc;
    rc = pl_math_factor_primitive(room, p, e.q % 2 == 1, &factor.coef, &inner);
    if (rc == PL_OK)
        rc = term_root(room, factor, e, &outer);
    atom.arg = inner;
    if (rc == PL_OK)
        rc = pl_math_atom(room, &atom, &id);
    if (rc == PL_OK)
        rc = whole_power(room, inner, (uint32_t)(e.p / e.q), ret);
    if (rc == PL_OK)
        rc = pl_math_factor_times_atom(room, ret, id, e.p % e.q * (ONE / e.q));
    return rc < 0 ? rc : pl_math_factor_times(room, ret, outer);
}

/* p^(p/q), p / q positive. */
static int poly_root(struct pl_math_room *room, struct pl_math_poly p, struct exponent e,
                     struct pl_math_frac *ret)
{
    if (p.count == 0) {
        const struct pl_math_num zero = pl_math_num_of(0);

        return pl_math_frac_of(room, &zero, ret);
    }
    return p.count == 1 ? term_root(room, room->terms[p.at], e, ret) : sum_root(room, p, e, ret);
}

/* --- powers --- */

/* A power too large for a coefficient, as 2^2024: its primes stay below their exponents. */
static int large_power(struct pl_math_room *room, const struct pl_math_term *t, uint32_t k,
                       struct pl_math_frac *ret)
{
    const struct exponent e = {k, 1};
    const struct pl_math_num less = pl_math_num_of(-1);
    int rc = pl_math_factor_one(room, ret);

    if (rc == PL_OK)
        rc = times_num_power(room, ret, &t->coef, e);
    if (rc == PL_OK && t->coef.negative && k % 2)
        rc = pl_math_frac_scale(room, *ret, &less, ret);
    for (uint32_t i = 0; rc == PL_OK && i < t->count; i++)
        rc = pl_math_factor_times_atom(room, ret, t->factors[i].atom,
                                       (int64_t)t->factors[i].exponent * k);
    return rc;
}

static int whole_power(struct pl_math_room *room, struct pl_math_frac base, uint32_t k,
                       struct pl_math_frac *ret)
{
    const struct pl_math_term *single = pl_math_frac_single(room, base);
    struct pl_math_frac square = base;
    struct pl_math_num coef;
    int rc;

    if (single && k > 0) {
        struct pl_math_term t = *single;

        if (pl_math_num_pow(&t.coef, k, &coef, &room->work) < 0)
            return large_power(room, &t, k, ret);
        t.coef = coef;
        for (uint32_t i = 0; i < t.count; i++) {
            const int64_t exponent = (int64_t)t.factors[i].exponent * k;

            if (exponent > INT32_MAX / 2 || exponent < INT32_MIN / 2)
                return PL_EFULL;
            t.factors[i].exponent = (int32_t)exponent;
        }
        return pl_math_frac_term(room, &t, ret);
    }
    if (k > WHOLE_MAX)
        return PL_EFULL;
    rc = pl_math_factor_one(room, ret);
    for (; rc == PL_OK && k > 0; k >>= 1) {
        if (k & 1)
            rc = pl_math_factor_times(room, ret, square);
        if (rc == PL_OK && k > 1)
            rc = pl_math_factor_times(room, &square, square);
    }
    return rc;
}

static int number_power(struct pl_math_room *room, struct pl_math_frac base,
                        const struct pl_math_num *n, struct pl_math_frac *ret)
{
    struct pl_math_frac over, under;
    uint32_t p, q;
    int rc = PL_OK;

    if (pl_math_frac_zero(base) && (n->negative || pl_math_num_zero(n)))
        return PL_EUNSUPPORTED;
    if (!pl_math_int_small(&n->over, OVER_MAX, &p))
        return PL_EFULL;
    if (!pl_math_int_small(&n->under, ONE, &q) || ONE % q != 0)
        return PL_EUNSUPPORTED;
    if (n->negative)
        rc = pl_math_frac_inverse(room, base, &base);
    if (rc < 0)
        return rc;
    if (q == 1)
        return whole_power(room, base, p, ret);
    rc = poly_root(room, base.over, (struct exponent){p, q}, &over);
    if (rc == PL_OK)
        rc = poly_root(room, base.under, (struct exponent){p, q}, &under);
    if (rc == PL_OK)
        rc = pl_math_frac_inverse(room, under, &under);
    return rc < 0 ? rc : pl_math_frac_mul(room, over, under, ret);
}

/* *acc *= atom^(exponent c m): m a product without coefficient, over one. */
static int times_symbolic(struct pl_math_room *room, struct pl_math_frac *acc, uint16_t base,
                          int64_t exponent, const struct pl_math_num *c, struct pl_math_frac m)
{
    const struct pl_math_atom atom = {.kind = PL_MATH_POWER, .base = base, .arg = m};
    uint32_t p, q;
    uint16_t id;
    int rc;

    if (!pl_math_int_small(&c->over, OVER_MAX, &p) || !pl_math_int_small(&c->under, ONE, &q))
        return PL_EFULL;
    if (exponent * p % q != 0)
        return PL_EUNSUPPORTED;
    rc = pl_math_atom(room, &atom, &id);
    return rc < 0 ? rc
                  : pl_math_factor_times_atom(room, acc, id,
                                              (c->negative ? -1 : 1) * (exponent * p / q));
}

/* *acc *= n^(c m), n >= 1. */
static int times_int_symbolic(struct pl_math_room *room, struct pl_math_frac *acc,
                              const struct pl_math_int *n, int32_t sign,
                              const struct pl_math_num *c, struct pl_math_frac m)
{
    struct pl_math_atom atom = {.kind = PL_MATH_PRIME};
    struct pl_math_primes primes;
    uint16_t id;
    int rc = pl_math_factor_primes(room, *n, &primes);

    for (size_t i = 0; rc == PL_OK && i < primes.count; i++) {
        atom.prime = primes.n[i];
        rc = pl_math_atom(room, &atom, &id);
        if (rc == PL_OK)
            rc = times_symbolic(room, acc, id, (int64_t)sign * primes.times[i] * ONE, c, m);
    }
    return rc;
}

/* *acc *= p^(c m). */
static int times_poly_symbolic(struct pl_math_room *room, struct pl_math_frac *acc,
                               struct pl_math_poly p, const struct pl_math_num *c,
                               struct pl_math_frac m)
{
    struct pl_math_atom atom = {.kind = PL_MATH_SUM};
    struct pl_math_term t = {.count = 0};
    uint16_t id;
    int rc = PL_OK;

    if (p.count == 0)
        return PL_EUNSUPPORTED;
    if (p.count == 1) {
        t = room->terms[p.at];
    } else {
        rc = pl_math_factor_primitive(room, p, false, &t.coef, &atom.arg);
        if (rc == PL_OK)
            rc = pl_math_atom(room, &atom, &id);
        if (rc == PL_OK)
            rc = times_symbolic(room, acc, id, ONE, c, m);
    }
    if (rc == PL_OK && t.coef.negative) {
        rc = pl_math_factor_named(room, "-1", &id);
        if (rc == PL_OK)
            rc = times_symbolic(room, acc, id, ONE, c, m);
    }
    if (rc == PL_OK)
        rc = times_int_symbolic(room, acc, &t.coef.over, 1, c, m);
    if (rc == PL_OK)
        rc = times_int_symbolic(room, acc, &t.coef.under, -1, c, m);
    for (uint32_t i = 0; rc == PL_OK && i < t.count; i++)
        rc = times_symbolic(room, acc, t.factors[i].atom, t.factors[i].exponent, c, m);
    return rc;
}

/* base^exponent term by term of the exponent. */
static int symbolic_power(struct pl_math_room *room, struct pl_math_frac base,
                          struct pl_math_frac exponent, struct pl_math_frac *ret)
{
    struct pl_math_frac part;
    int rc = pl_math_factor_one(room, ret);

    for (uint32_t i = 0; rc == PL_OK && i < exponent.over.count; i++) {
        struct pl_math_term t = room->terms[exponent.over.at + i];
        struct pl_math_num c = t.coef;

        if (t.count == 0) {
            rc = number_power(room, base, &c, &part);
            if (rc == PL_OK)
                rc = pl_math_factor_times(room, ret, part);
            continue;
        }
        t.coef = pl_math_num_of(1);
        rc = pl_math_frac_term(room, &t, &part);
        if (rc == PL_OK)
            rc = times_poly_symbolic(room, ret, base.over, &c, part);
        c.negative = !c.negative;
        if (rc == PL_OK)
            rc = times_poly_symbolic(room, ret, base.under, &c, part);
    }
    return rc;
}

int pl_math_power(struct pl_math_room *room, struct pl_math_frac base, struct pl_math_frac exponent,
                  struct pl_math_frac *ret)
{
    const struct pl_math_num n_one = pl_math_num_of(1);
    const struct pl_math_term *under = room->terms + exponent.under.at;
    struct pl_math_num n;

    if (pl_math_frac_number(room, exponent, &n))
        return number_power(room, base, &n, ret);
    if (exponent.under.count != 1 || under->count != 0 || !pl_math_num_equal(&under->coef, &n_one))
        return PL_EUNSUPPORTED;
    return symbolic_power(room, base, exponent, ret);
}

int pl_math_root(struct pl_math_room *room, struct pl_math_frac base, struct pl_math_frac which,
                 struct pl_math_frac *ret)
{
    const int rc = pl_math_frac_inverse(room, which, &which);

    return rc < 0 ? rc : pl_math_power(room, base, which, ret);
}
