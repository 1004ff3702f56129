#include "rewarder/math_function.h"
#include "common/base/err.h"
#include "rewarder/math_factor.h"
#include "rewarder/math_power.h"

#include <math.h>
#include <string.h>

enum { ONE = PL_MATH_ONE };

static bool has_i(const struct pl_math_room *room, struct pl_math_poly p)
{
    for (uint32_t i = 0; i < p.count; i++)
        for (uint32_t k = 0; k < room->terms[p.at + i].count; k++)
            if (room->atoms[room->terms[p.at + i].factors[k].atom].kind == PL_MATH_I)
                return true;
    return false;
}

static double approximate(const struct pl_math_int *n)
{
    double sum = 0.0;

    for (uint32_t i = n->count; i > 0; i--)
        sum = sum * 4294967296.0 + n->words[i - 1];
    return sum;
}

/* A term of numbers only, to some 14 digits. */
static bool approximate_term(const struct pl_math_room *room, const struct pl_math_term *t,
                             double *ret)
{
    double product = approximate(&t->coef.over) / approximate(&t->coef.under);

    for (uint32_t i = 0; i < t->count; i++) {
        const struct pl_math_atom *atom = &room->atoms[t->factors[i].atom];
        const double base = atom->kind == PL_MATH_PRIME ? approximate(&atom->prime)
                            : pl_math_factor_is_named(room, t->factors[i].atom, "pi") ? acos(-1.0)
                            : pl_math_factor_is_named(room, t->factors[i].atom, "e")  ? exp(1.0)
                                                                                      : 0.0;

        if (base == 0.0)
            return false;
        product *= pow(base, (double)t->factors[i].exponent / ONE);
    }
    *ret = t->coef.negative ? -product : product;
    return true;
}

/* The sign of a sum of numbers, where it is beyond doubt: a sum that is not 0 is far from it next
 * to its terms, or 0 is returned. */
static int sign_of(const struct pl_math_room *room, struct pl_math_poly p)
{
    double sum = 0.0, size = 0.0, term;

    for (uint32_t i = 0; i < p.count; i++) {
        if (!approximate_term(room, &room->terms[p.at + i], &term))
            return 0;
        sum += term;
        size += fabs(term);
    }
    return !(size < 1e300) || fabs(sum) < 1e-9 * size ? 0 : sum < 0.0 ? -1 : 1;
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
    if (p.count > 1 && sign_of(room, p) != 0) {
        factor = pl_math_num_of(sign_of(room, p));
        rc = pl_math_factor_over_one(room, p, ret);
        return rc < 0 ? rc : pl_math_frac_scale(room, *ret, &factor, ret);
    }
    if (p.count > 1) {
        rc = pl_math_factor_primitive(room, p, true, &factor, &atom.arg);
        factor.negative = false;
        if (rc == PL_OK)
            rc = pl_math_atom(room, &atom, &id);
        if (rc == PL_OK)
            rc = pl_math_frac_atom(room, id, ONE, ret);
        return rc < 0 ? rc : pl_math_frac_scale(room, *ret, &factor, ret);
    }
    if (p.count == 0)
        return pl_math_factor_over_one(room, p, ret);
    t = room->terms[p.at];
    t.coef.negative = false;
    rc = pl_math_frac_of(room, &t.coef, ret);
    for (uint32_t i = 0; rc == PL_OK && i < t.count; i++) {
        id = t.factors[i].atom;
        if (!pl_math_factor_is_positive(room, id) && t.factors[i].exponent % (2 * ONE) != 0)
            rc = pl_math_factor_abs(room, id, &id);
        if (rc == PL_OK)
            rc = pl_math_factor_times_atom(room, ret, id, t.factors[i].exponent);
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
    return rc < 0 ? rc : pl_math_factor_times(room, ret, under);
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
    int rc = pl_math_factor_is_named(room, base, "e") ? pl_math_factor_one(room, &ln)
                                                      : atom_ln(room, base, &ln);

    if (rc == PL_OK && power) {
        rc = pl_math_factor_over_one(room, a->arg.over, &m);
        if (rc == PL_OK)
            rc = pl_math_factor_times(room, &ln, m);
    }
    if (rc == PL_OK)
        rc = pl_math_frac_scale(room, ln, by, &ln);
    return rc < 0 ? rc : pl_math_frac_add(room, *sum, ln, sum);
}

static int add_ln_int(struct pl_math_room *room, struct pl_math_frac *sum,
                      const struct pl_math_int *n, int32_t sign)
{
    struct pl_math_atom atom = {.kind = PL_MATH_PRIME};
    struct pl_math_primes primes;
    uint16_t id;
    int rc = pl_math_factor_primes(room, *n, &primes);

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
    rc = pl_math_factor_primitive(room, p, false, &t.coef, &inner);
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
    return rc < 0 ? rc : pl_math_factor_times(room, ret, base);
}

static int exp_of(struct pl_math_room *room, struct pl_math_frac arg, struct pl_math_frac *ret)
{
    struct pl_math_frac e;
    uint16_t id;
    int rc = pl_math_factor_named(room, "e", &id);

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
