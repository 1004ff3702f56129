#include "rewarder/math_power.h"
#include "common/base/check.h"
#include "common/base/err.h"

#include <string.h>

enum { ONE = PL_MATH_ONE, PRIMES_MAX = 40, WHOLE_MAX = 64, OVER_MAX = 100000, TRIAL_MAX = 1000 };

/* p / q in lowest terms, q >= 2 a divisor of ONE. */
struct exponent {
    int64_t p, q;
};

/* --- atoms and factors --- */

static int named(struct pl_math_room *room, const char *name, uint16_t *ret)
{
    const struct pl_math_atom atom = {PL_MATH_NAME, .name = name, .name_len = strlen(name)};

    return pl_math_atom(room, &atom, ret);
}

static bool is_named(const struct pl_math_room *room, uint16_t atom, const char *name)
{
    const struct pl_math_atom *a = &room->atoms[atom];

    return a->kind == PL_MATH_NAME && a->name_len == strlen(name) &&
           memcmp(a->name, name, a->name_len) == 0;
}

/* Whether only positive values are meant. */
static bool is_positive(const struct pl_math_room *room, uint16_t atom)
{
    const enum pl_math_kind kind = room->atoms[atom].kind;

    return kind == PL_MATH_PRIME || kind == PL_MATH_SUM || kind == PL_MATH_ABS ||
           kind == PL_MATH_POWER || is_named(room, atom, "pi") || is_named(room, atom, "e");
}

/* ret *= acc, both on the stack, acc the later one or the earlier. */
static int times(struct pl_math_room *room, struct pl_math_frac *acc, struct pl_math_frac by)
{
    return pl_math_frac_mul(room, *acc, by, acc);
}

static int times_atom(struct pl_math_room *room, struct pl_math_frac *acc, uint16_t atom,
                      int64_t exponent)
{
    struct pl_math_frac power;
    int rc;

    if (exponent > INT32_MAX / 2 || exponent < INT32_MIN / 2)
        return PL_EFULL;
    rc = pl_math_frac_atom(room, atom, (int32_t)exponent, &power);
    return rc < 0 ? rc : times(room, acc, power);
}

static int one(struct pl_math_room *room, struct pl_math_frac *ret)
{
    const struct pl_math_num n = pl_math_num_of(1);

    return pl_math_frac_of(room, &n, ret);
}

/* poly / 1. */
static int over_one(struct pl_math_room *room, struct pl_math_poly p, struct pl_math_frac *ret)
{
    int rc = one(room, ret);
    const struct pl_math_frac a = {p, ret->under};

    return rc < 0 ? rc : pl_math_frac_copy(room, a, ret);
}

/* Numbers whose product is n, with how often each is in it: primes, but for what is left over when
 * all below TRIAL_MAX are divided out. */
struct primes {
    struct pl_math_int n[PRIMES_MAX];
    int32_t times[PRIMES_MAX];
    size_t count;
};

static int add_prime(struct primes *found, const struct pl_math_int *n, int32_t how_often)
{
    if (found->count == PRIMES_MAX)
        return PL_EFULL;
    found->n[found->count] = *n;
    found->times[found->count++] = how_often;
    return PL_OK;
}

static int factor(struct pl_math_room *room, struct pl_math_int n, struct primes *ret)
{
    static const uint32_t orders[] = {2, 3, 5, 7};
    struct pl_math_int quotient, rest, root;
    uint32_t small;
    int rc = PL_OK;

    ret->count = 0;
    for (uint32_t d = 2; rc == PL_OK && d < TRIAL_MAX && !pl_math_int_is(&n, 1);
         d += d == 2 ? 1 : 2) {
        const struct pl_math_int divisor = pl_math_int_of(d);
        int32_t how_often = 0;

        if (pl_math_int_small(&n, d * d - 1, &small))
            break; /* what is left is prime */
        for (;; how_often++) {
            pl_math_int_div(&n, &divisor, &quotient, &rest, &room->work);
            if (rest.count > 0)
                break;
            n = quotient;
        }
        if (how_often > 0)
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

/* *acc *= n^(p/q), over the primes of n. */
static int times_int_power(struct pl_math_room *room, struct pl_math_frac *acc,
                           const struct pl_math_int *n, struct exponent e)
{
    struct pl_math_atom atom = {.kind = PL_MATH_PRIME};
    struct primes primes;
    uint16_t id;
    int rc = factor(room, *n, &primes);

    for (size_t i = 0; rc == PL_OK && i < primes.count; i++) {
        atom.prime = primes.n[i];
        rc = pl_math_atom(room, &atom, &id);
        if (rc == PL_OK)
            rc = times_atom(room, acc, id, primes.times[i] * e.p * (ONE / e.q));
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

/* |atom| as an atom. */
static int abs_atom(struct pl_math_room *room, uint16_t inner, uint16_t *ret)
{
    struct pl_math_atom atom = {.kind = PL_MATH_ABS};
    const int rc = pl_math_frac_atom(room, inner, ONE, &atom.arg);

    return rc < 0 ? rc : pl_math_atom(room, &atom, ret);
}

static int64_t common(int64_t a, int64_t b)
{
    while (b) {
        const int64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a < 0 ? -a : a;
}

/* *acc *= (atom^exponent)^(p/q). An even power of something real loses its sign: (x^2)^(1/2) is
 * |x|.
 */
static int times_factor_power(struct pl_math_room *room, struct pl_math_frac *acc,
                              struct pl_math_factor f, struct exponent e)
{
    const int64_t scaled = f.exponent * e.p, exponent = scaled / e.q;
    uint16_t atom = f.atom;
    int rc = PL_OK;

    if (scaled % e.q != 0 || room->atoms[atom].kind == PL_MATH_I)
        return PL_EUNSUPPORTED;
    if (f.exponent % (2 * ONE) == 0 && !is_positive(room, atom) &&
        exponent / common(exponent, ONE) % 2 != 0)
        rc = abs_atom(room, atom, &atom);
    return rc < 0 ? rc : times_atom(room, acc, atom, exponent);
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
    return rc < 0 ? rc : times_atom(room, acc, id, e.p * ONE);
}

static int term_root(struct pl_math_room *room, struct pl_math_term t, struct exponent e,
                     struct pl_math_frac *ret)
{
    int rc = one(room, ret);

    if (rc == PL_OK && t.coef.negative)
        rc = times_sign_power(room, ret, e);
    if (rc == PL_OK)
        rc = times_num_power(room, ret, &t.coef, e);
    for (uint32_t i = 0; rc == PL_OK && i < t.count; i++)
        rc = times_factor_power(room, ret, t.factors[i], e);
    return rc;
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

/* p as *ret_content times *ret, a sum without common factors; its first sign is made positive if
 * `sign`. */
static int primitive(struct pl_math_room *room, struct pl_math_poly p, bool sign,
                     struct pl_math_num *ret_content, struct pl_math_frac *ret)
{
    struct pl_math_num inverse;
    int rc = content(room, p, ret_content);

    if (rc < 0)
        return rc;
    ret_content->negative = sign && room->terms[p.at].coef.negative;
    inverse = pl_math_num_inverse(ret_content);
    rc = over_one(room, p, ret);
    return rc < 0 ? rc : pl_math_frac_scale(room, *ret, &inverse, ret);
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
    rc = primitive(room, p, e.q % 2 == 1, &factor.coef, &inner);
    if (rc == PL_OK)
        rc = term_root(room, factor, e, &outer);
    atom.arg = inner;
    if (rc == PL_OK)
        rc = pl_math_atom(room, &atom, &id);
    if (rc == PL_OK)
        rc = whole_power(room, inner, (uint32_t)(e.p / e.q), ret);
    if (rc == PL_OK)
        rc = times_atom(room, ret, id, e.p % e.q * (ONE / e.q));
    return rc < 0 ? rc : times(room, ret, outer);
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
    int rc = one(room, ret);

    if (rc == PL_OK)
        rc = times_num_power(room, ret, &t->coef, e);
    if (rc == PL_OK && t->coef.negative && k % 2)
        rc = pl_math_frac_scale(room, *ret, &less, ret);
    for (uint32_t i = 0; rc == PL_OK && i < t->count; i++)
        rc = times_atom(room, ret, t->factors[i].atom, (int64_t)t->factors[i].exponent * k);
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
    rc = one(room, ret);
    for (; rc == PL_OK && k > 0; k >>= 1) {
        if (k & 1)
            rc = times(room, ret, square);
        if (rc == PL_OK && k > 1)
            rc = times(room, &square, square);
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
    return rc < 0 ? rc : times_atom(room, acc, id, (c->negative ? -1 : 1) * (exponent * p / q));
}

/* *acc *= n^(c m), n >= 1. */
static int times_int_symbolic(struct pl_math_room *room, struct pl_math_frac *acc,
                              const struct pl_math_int *n, int32_t sign,
                              const struct pl_math_num *c, struct pl_math_frac m)
{
    struct pl_math_atom atom = {.kind = PL_MATH_PRIME};
    struct primes primes;
    uint16_t id;
    int rc = factor(room, *n, &primes);

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
        rc = primitive(room, p, false, &t.coef, &atom.arg);
        if (rc == PL_OK)
            rc = pl_math_atom(room, &atom, &id);
        if (rc == PL_OK)
            rc = times_symbolic(room, acc, id, ONE, c, m);
    }
    if (rc == PL_OK && t.coef.negative) {
        rc = named(room, "-1", &id);
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
    int rc = one(room, ret);

    for (uint32_t i = 0; rc == PL_OK && i < exponent.over.count; i++) {
        struct pl_math_term t = room->terms[exponent.over.at + i];
        struct pl_math_num c = t.coef;

        if (t.count == 0) {
            rc = number_power(room, base, &c, &part);
            if (rc == PL_OK)
                rc = times(room, ret, part);
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

/* --- functions --- */

static bool has_i(const struct pl_math_room *room, struct pl_math_poly p)
{
    for (uint32_t i = 0; i < p.count; i++)
        for (uint32_t k = 0; k < room->terms[p.at + i].count; k++)
            if (room->atoms[room->terms[p.at + i].factors[k].atom].kind == PL_MATH_I)
                return true;
    return false;
}

static int poly_abs(struct pl_math_room *room, struct pl_math_poly p, struct pl_math_frac *ret)
{
    struct pl_math_atom atom = {.kind = PL_MATH_ABS};
    struct pl_math_num factor;
    struct pl_math_term t;
    uint16_t id;
    int rc;

    if (has_i(room, p))
        return PL_EUNSUPPORTED;
    if (p.count > 1) {
        rc = primitive(room, p, true, &factor, &atom.arg);
        factor.negative = false;
        if (rc == PL_OK)
            rc = pl_math_atom(room, &atom, &id);
        if (rc == PL_OK)
            rc = pl_math_frac_atom(room, id, ONE, ret);
        return rc < 0 ? rc : pl_math_frac_scale(room, *ret, &factor, ret);
    }
    if (p.count == 0)
        return over_one(room, p, ret);
    t = room->terms[p.at];
    t.coef.negative = false;
    rc = pl_math_frac_of(room, &t.coef, ret);
    for (uint32_t i = 0; rc == PL_OK && i < t.count; i++) {
        id = t.factors[i].atom;
        if (!is_positive(room, id) && t.factors[i].exponent % (2 * ONE) != 0)
            rc = abs_atom(room, id, &id);
        if (rc == PL_OK)
            rc = times_atom(room, ret, id, t.factors[i].exponent);
    }
    return rc;
}

int pl_math_abs(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac *ret)
{
    struct pl_math_frac under;
    int rc = poly_abs(room, a.over, ret);

    if (rc == PL_OK)
        rc = poly_abs(room, a.under, &under);
    if (rc == PL_OK)
        rc = pl_math_frac_inverse(room, under, &under);
    return rc < 0 ? rc : times(room, ret, under);
}

/* A function of which nothing is known. */
static int opaque(struct pl_math_room *room, const char *name, size_t len, struct pl_math_frac arg,
                  struct pl_math_frac *ret)
{
    const struct pl_math_atom atom = {
        .kind = PL_MATH_APPLY, .name = name, .name_len = len, .arg = arg};
    uint16_t id;
    const int rc = pl_math_atom(room, &atom, &id);

    return rc < 0 ? rc : pl_math_frac_atom(room, id, ONE, ret);
}

/* ln of an atom other than e. */
static int atom_ln(struct pl_math_room *room, uint16_t atom, struct pl_math_frac *ret)
{
    const struct pl_math_num prime = {.over = room->atoms[atom].prime, .under = pl_math_int_of(1)};
    struct pl_math_frac arg;
    const int rc = room->atoms[atom].kind == PL_MATH_PRIME
                       ? pl_math_frac_of(room, &prime, &arg)
                       : pl_math_frac_atom(room, atom, ONE, &arg);

    return rc < 0 ? rc : opaque(room, "ln", 2, arg, ret);
}

/* *sum += by ln(atom); ln(b^m) is m ln(b). */
static int add_ln(struct pl_math_room *room, struct pl_math_frac *sum, uint16_t atom,
                  const struct pl_math_num *by)
{
    const struct pl_math_atom *a = &room->atoms[atom];
    const bool power = a->kind == PL_MATH_POWER;
    const uint16_t base = power ? a->base : atom;
    struct pl_math_frac ln, m;
    int rc = is_named(room, base, "e") ? one(room, &ln) : atom_ln(room, base, &ln);

    if (rc == PL_OK && power) {
        rc = over_one(room, a->arg.over, &m);
        if (rc == PL_OK)
            rc = times(room, &ln, m);
    }
    if (rc == PL_OK)
        rc = pl_math_frac_scale(room, ln, by, &ln);
    return rc < 0 ? rc : pl_math_frac_add(room, *sum, ln, sum);
}

static int add_ln_int(struct pl_math_room *room, struct pl_math_frac *sum,
                      const struct pl_math_int *n, int32_t sign)
{
    struct pl_math_atom atom = {.kind = PL_MATH_PRIME};
    struct primes primes;
    uint16_t id;
    int rc = factor(room, *n, &primes);

    for (size_t i = 0; rc == PL_OK && i < primes.count; i++) {
        const struct pl_math_num by = pl_math_num_of((int64_t)sign * primes.times[i]);

        atom.prime = primes.n[i];
        rc = pl_math_atom(room, &atom, &id);
        if (rc == PL_OK)
            rc = add_ln(room, sum, id, &by);
    }
    return rc;
}

/* ln of a product, its coefficient positive. */
static int term_ln(struct pl_math_room *room, const struct pl_math_term *t,
                   struct pl_math_frac *ret)
{
    const struct pl_math_num zero = pl_math_num_of(0);
    const struct pl_math_num unit = {.over = pl_math_int_of(1), .under = pl_math_int_of(ONE)};
    struct pl_math_num by;
    int rc = pl_math_frac_of(room, &zero, ret);

    if (rc == PL_OK)
        rc = add_ln_int(room, ret, &t->coef.over, 1);
    if (rc == PL_OK)
        rc = add_ln_int(room, ret, &t->coef.under, -1);
    for (uint32_t i = 0; rc == PL_OK && i < t->count; i++) {
        by = pl_math_num_of(t->factors[i].exponent);
        rc = pl_math_num_mul(&by, &unit, &by, &room->work);
        if (rc == PL_OK)
            rc = add_ln(room, ret, t->factors[i].atom, &by);
    }
    return rc;
}

static int poly_ln(struct pl_math_room *room, struct pl_math_poly p, struct pl_math_frac *ret)
{
    struct pl_math_term t = {.count = 0};
    struct pl_math_frac inner;
    int rc;

    if (p.count == 0)
        return PL_EUNSUPPORTED;
    if (p.count == 1 && !room->terms[p.at].coef.negative) {
        t = room->terms[p.at];
        return term_ln(room, &t, ret);
    }
    rc = primitive(room, p, false, &t.coef, &inner);
    if (rc == PL_OK)
        rc = opaque(room, "ln", 2, inner, &inner);
    if (rc == PL_OK)
        rc = term_ln(room, &t, ret);
    return rc < 0 ? rc : pl_math_frac_add(room, *ret, inner, ret);
}

int pl_math_ln(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac *ret)
{
    const struct pl_math_num less = pl_math_num_of(-1);
    struct pl_math_frac under;
    int rc = poly_ln(room, a.over, ret);

    if (rc == PL_OK)
        rc = poly_ln(room, a.under, &under);
    if (rc == PL_OK)
        rc = pl_math_frac_scale(room, under, &less, &under);
    return rc < 0 ? rc : pl_math_frac_add(room, *ret, under, ret);
}

static int log10_of(struct pl_math_room *room, struct pl_math_frac arg, struct pl_math_frac *ret)
{
    const struct pl_math_num ten = pl_math_num_of(10);
    struct pl_math_frac base;
    int rc = pl_math_ln(room, arg, ret);

    if (rc == PL_OK)
        rc = pl_math_frac_of(room, &ten, &base);
    if (rc == PL_OK)
        rc = pl_math_ln(room, base, &base);
    if (rc == PL_OK)
        rc = pl_math_frac_inverse(room, base, &base);
    return rc < 0 ? rc : times(room, ret, base);
}

static int exp_of(struct pl_math_room *room, struct pl_math_frac arg, struct pl_math_frac *ret)
{
    struct pl_math_frac e;
    uint16_t id;
    int rc = named(room, "e", &id);

    if (rc == PL_OK)
        rc = pl_math_frac_atom(room, id, ONE, &e);
    return rc < 0 ? rc : pl_math_power(room, e, arg, ret);
}

static bool one_of(const char *name, size_t len, const char *const *names)
{
    for (; *names; names++)
        if (strlen(*names) == len && memcmp(*names, name, len) == 0)
            return true;
    return false;
}

int pl_math_apply(struct pl_math_room *room, const char *name, size_t len, struct pl_math_frac arg,
                  struct pl_math_frac *ret)
{
    static const char *const ln[] = {"ln", NULL}, *const log[] = {"log", "lg", NULL};
    static const char *const exp[] = {"exp", NULL};
    static const char *const odd[] = {"sin",  "tan",    "cot",    "csc", "sinh",
                                      "tanh", "arcsin", "arctan", NULL};
    static const char *const even[] = {"cos", "sec", "cosh", NULL};
    const struct pl_math_num less = pl_math_num_of(-1);
    bool minus;
    int rc = PL_OK;

    if (one_of(name, len, ln))
        return pl_math_ln(room, arg, ret);
    if (one_of(name, len, log))
        return log10_of(room, arg, ret);
    if (one_of(name, len, exp))
        return exp_of(room, arg, ret);
    minus = arg.over.count > 0 && room->terms[arg.over.at].coef.negative &&
            (one_of(name, len, odd) || one_of(name, len, even));
    if (minus)
        rc = pl_math_frac_scale(room, arg, &less, &arg);
    if (rc == PL_OK)
        rc = opaque(room, name, len, arg, ret);
    if (rc == PL_OK && minus && one_of(name, len, odd))
        rc = pl_math_frac_scale(room, *ret, &less, ret);
    return rc;
}
