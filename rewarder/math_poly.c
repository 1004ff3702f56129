#include "rewarder/math_poly.h"
#include "common/base/check.h"
#include "common/base/err.h"

#include <string.h>

enum { ONE = PL_MATH_ONE, EXPONENT_MAX = 1 << 30, EXPANDED_MAX = 8 };

void pl_math_room_clear(struct pl_math_room *room)
{
    room->work = 0;
    room->bottom = 0;
    room->top = PL_MATH_TERMS_MAX;
    room->atom_count = 0;
}

bool pl_math_room_spent(const struct pl_math_room *room)
{
    return room->work >= PL_MATH_WORK_MAX;
}

/* --- terms --- */

static int compare_factors(const struct pl_math_term *a, const struct pl_math_term *b)
{
    for (uint32_t i = 0; i < a->count && i < b->count; i++) {
        const struct pl_math_factor *x = &a->factors[i], *y = &b->factors[i];

        if (x->atom != y->atom)
            return x->atom < y->atom ? -1 : 1;
        if (x->exponent != y->exponent)
            return x->exponent > y->exponent ? -1 : 1;
    }
    return a->count == b->count ? 0 : a->count > b->count ? -1 : 1;
}

static void drop_factor(struct pl_math_term *t, uint32_t i)
{
    t->count--;
    memmove(&t->factors[i], &t->factors[i + 1], (t->count - i) * sizeof *t->factors);
}

/* Multiply a term by a power of an atom. */
static int multiply_factor(struct pl_math_term *t, struct pl_math_factor f)
{
    uint32_t i = 0;

    while (i < t->count && t->factors[i].atom < f.atom)
        i++;
    if (i < t->count && t->factors[i].atom == f.atom) {
        const int64_t sum = (int64_t)t->factors[i].exponent + f.exponent;

        if (sum > EXPONENT_MAX || sum < -EXPONENT_MAX)
            return PL_EFULL;
        t->factors[i].exponent = (int32_t)sum;
        if (sum == 0)
            drop_factor(t, i);
        return PL_OK;
    }
    if (t->count == PL_MATH_FACTORS_MAX)
        return PL_EFULL;
    memmove(&t->factors[i + 1], &t->factors[i], (t->count - i) * sizeof *t->factors);
    t->factors[i] = f;
    t->count++;
    return PL_OK;
}

static int multiply_terms(struct pl_math_room *room, const struct pl_math_term *a,
                          const struct pl_math_term *b, struct pl_math_term *ret)
{
    int rc;

    *ret = *a;
    rc = pl_math_num_mul(&a->coef, &b->coef, &ret->coef, &room->work);
    for (uint32_t i = 0; rc == PL_OK && i < b->count; i++)
        rc = multiply_factor(ret, b->factors[i]);
    room->work += 8;
    return rc;
}

/* *n *= p^k. */
static int multiply_power(struct pl_math_room *room, struct pl_math_num *n,
                          const struct pl_math_int *p, int64_t k)
{
    struct pl_math_num power = {.over = *p, .under = pl_math_int_of(1)};

    if (pl_math_num_pow(&power, (uint32_t)(k < 0 ? -k : k), &power, &room->work) < 0)
        return PL_EFULL;
    if (k < 0)
        power = pl_math_num_inverse(&power);
    return pl_math_num_mul(n, &power, n, &room->work);
}

/* How often p divides n, which is divided by it. */
static int32_t divide_out(struct pl_math_room *room, struct pl_math_int *n,
                          const struct pl_math_int *p)
{
    struct pl_math_int quotient, rest;
    int32_t times = 0;

    for (;; times++) {
        pl_math_int_div(n, p, &quotient, &rest, &room->work);
        if (rest.count > 0)
            return times;
        *n = quotient;
    }
}

/* Whole powers of a prime go into the coefficient; if they do not fit, its share of the coefficient
 * goes into the exponent. */
static int settle_prime(struct pl_math_room *room, struct pl_math_term *t, uint32_t i)
{
    const struct pl_math_int *p = &room->atoms[t->factors[i].atom].prime;
    const int32_t e = t->factors[i].exponent, k = e >= 0 ? e / ONE : -((ONE - 1 - e) / ONE);
    struct pl_math_num coef = t->coef;
    int64_t exponent;

    if (k == 0)
        return PL_OK;
    if (multiply_power(room, &coef, p, k) == PL_OK) {
        t->coef = coef;
        t->factors[i].exponent = e - k * ONE;
        return PL_OK;
    }
    exponent = e + ONE * ((int64_t)divide_out(room, &t->coef.over, p) -
                          divide_out(room, &t->coef.under, p));
    if (exponent > EXPONENT_MAX || exponent < -EXPONENT_MAX)
        return PL_EFULL;
    t->factors[i].exponent = (int32_t)exponent;
    return PL_OK;
}

static int settle_i(struct pl_math_term *t, uint32_t i)
{
    const int32_t e = t->factors[i].exponent;
    int32_t turns;

    if (e % ONE != 0)
        return PL_EUNSUPPORTED;
    turns = (e / ONE % 4 + 4) % 4;
    t->coef.negative = t->coef.negative != (turns >= 2);
    t->factors[i].exponent = turns % 2 * ONE;
    return PL_OK;
}

static int settle(struct pl_math_room *room, struct pl_math_term *t)
{
    int rc = PL_OK;

    for (uint32_t i = 0; rc == PL_OK && i < t->count;) {
        const enum pl_math_kind kind = room->atoms[t->factors[i].atom].kind;

        if (kind == PL_MATH_PRIME)
            rc = settle_prime(room, t, i);
        else if (kind == PL_MATH_I)
            rc = settle_i(t, i);
        if (t->factors[i].exponent == 0)
            drop_factor(t, i);
        else
            i++;
    }
    return rc;
}

/* --- sums --- */

/* The poly on top of the stack gets one more term, which is settled and has nothing to expand. */
static int insert(struct pl_math_room *room, struct pl_math_poly *acc, const struct pl_math_term *t)
{
    struct pl_math_term *terms = room->terms + acc->at;
    uint32_t low = 0, high = acc->count;

    PL_ASSERT(acc->at + acc->count == room->bottom);
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        const int order = compare_factors(&terms[middle], t);

        room->work += 4;
        if (order == 0) {
            if (pl_math_num_add(&terms[middle].coef, &t->coef, &terms[middle].coef, &room->work) <
                0)
                return PL_EFULL;
            if (pl_math_num_zero(&terms[middle].coef)) {
                acc->count--;
                room->bottom--;
                memmove(&terms[middle], &terms[middle + 1], (acc->count - middle) * sizeof *terms);
                room->work += 8ull * (acc->count - middle);
            }
            return PL_OK;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (acc->count == PL_MATH_POLY_MAX || room->bottom == room->top)
        return PL_EFULL;
    memmove(&terms[low + 1], &terms[low], (acc->count - low) * sizeof *terms);
    room->work += 8ull * (acc->count - low);
    terms[low] = *t;
    acc->count++;
    room->bottom++;
    return PL_OK;
}

/* The factor that must be multiplied out: f^e with e >= 1 of a sum, |f|^e with e >= 2. */
static bool find_expandable(const struct pl_math_room *room, const struct pl_math_term *t,
                            uint32_t *ret)
{
    for (*ret = 0; *ret < t->count; ++*ret) {
        const enum pl_math_kind kind = room->atoms[t->factors[*ret].atom].kind;
        const int32_t e = t->factors[*ret].exponent;

        if ((kind == PL_MATH_SUM && e >= ONE) || (kind == PL_MATH_ABS && e >= 2 * ONE))
            return true;
    }
    return false;
}

/* Add a term to the poly on top of the stack. Sums under roots hold only atoms older than
 * themselves, so multiplying them out ends; `left` bounds it all the same. */
static int emit(struct pl_math_room *room, struct pl_math_poly *acc, struct pl_math_term t,
                int left)
{
    struct pl_math_term product;
    struct pl_math_poly f;
    bool twice;
    uint32_t i;
    int rc;

    rc = settle(room, &t);
    if (rc < 0)
        return rc;
    if (pl_math_room_spent(room))
        return PL_EFULL;
    if (pl_math_num_zero(&t.coef))
        return PL_OK;
    if (!find_expandable(room, &t, &i))
        return insert(room, acc, &t);
    if (left == 0)
        return PL_EFULL;
    f = room->atoms[t.factors[i].atom].arg.over;
    twice = room->atoms[t.factors[i].atom].kind == PL_MATH_ABS;
    t.factors[i].exponent -= twice ? 2 * ONE : ONE;
    if (t.factors[i].exponent == 0)
        drop_factor(&t, i);
    for (uint32_t k = 0; k < f.count; k++) {
        for (uint32_t m = 0; m < (twice ? f.count : 1); m++) {
            rc = multiply_terms(room, &t, &room->terms[f.at + k], &product);
            if (rc == PL_OK && twice)
                rc = multiply_terms(room, &product, &room->terms[f.at + m], &product);
            if (rc == PL_OK)
                rc = emit(room, acc, product, left - 1);
            if (rc < 0)
                return rc;
        }
    }
    return PL_OK;
}

static struct pl_math_poly begin(const struct pl_math_room *room)
{
    return (struct pl_math_poly){room->bottom, 0};
}

static int poly_term(struct pl_math_room *room, const struct pl_math_term *t,
                     struct pl_math_poly *ret)
{
    *ret = begin(room);
    return emit(room, ret, *t, EXPANDED_MAX);
}

static int poly_copy(struct pl_math_room *room, struct pl_math_poly a, struct pl_math_poly *ret)
{
    if (room->bottom + a.count > room->top)
        return PL_EFULL;
    *ret = (struct pl_math_poly){room->bottom, a.count};
    memmove(room->terms + ret->at, room->terms + a.at, a.count * sizeof *room->terms);
    room->bottom += a.count;
    room->work += 8ull * a.count;
    return PL_OK;
}

static int poly_add(struct pl_math_room *room, struct pl_math_poly a, struct pl_math_poly b,
                    struct pl_math_poly *ret)
{
    int rc = poly_copy(room, a, ret);

    for (uint32_t i = 0; rc == PL_OK && i < b.count; i++)
        rc = insert(room, ret, &room->terms[b.at + i]);
    return rc;
}

static int poly_mul(struct pl_math_room *room, struct pl_math_poly a, struct pl_math_poly b,
                    struct pl_math_poly *ret)
{
    struct pl_math_term product;
    int rc = PL_OK;

    *ret = begin(room);
    for (uint32_t i = 0; rc == PL_OK && i < a.count; i++)
        for (uint32_t k = 0; rc == PL_OK && k < b.count; k++) {
            rc = multiply_terms(room, &room->terms[a.at + i], &room->terms[b.at + k], &product);
            if (rc == PL_OK)
                rc = emit(room, ret, product, EXPANDED_MAX);
        }
    return rc;
}

static bool same_poly(const struct pl_math_room *room, struct pl_math_poly a, struct pl_math_poly b)
{
    const struct pl_math_term *x = room->terms + a.at, *y = room->terms + b.at;

    if (a.count != b.count)
        return false;
    for (uint32_t i = 0; i < a.count; i++)
        if (compare_factors(&x[i], &y[i]) != 0 || !pl_math_num_equal(&x[i].coef, &y[i].coef))
            return false;
    return true;
}

/* Whether a = c b, for polys that are not zero. */
static int poly_ratio(struct pl_math_room *room, struct pl_math_poly a, struct pl_math_poly b,
                      bool *ret_alike, struct pl_math_num *ret_ratio)
{
    const struct pl_math_term *x = room->terms + a.at, *y = room->terms + b.at;
    struct pl_math_num ratio;

    *ret_alike = false;
    if (a.count != b.count)
        return PL_OK;
    for (uint32_t i = 0; i < a.count; i++) {
        struct pl_math_num one = pl_math_num_inverse(&y[i].coef);

        if (compare_factors(&x[i], &y[i]) != 0)
            return PL_OK;
        if (pl_math_num_mul(&x[i].coef, &one, &one, &room->work) < 0)
            return PL_EFULL;
        if (i > 0 && !pl_math_num_equal(&one, &ratio))
            return PL_OK;
        ratio = one;
    }
    *ret_alike = a.count > 0;
    if (*ret_alike)
        *ret_ratio = ratio;
    return PL_OK;
}

/* --- quotients --- */

bool pl_math_frac_zero(struct pl_math_frac a)
{
    return a.over.count == 0;
}

static bool is_one(const struct pl_math_room *room, struct pl_math_poly p)
{
    const struct pl_math_num one = pl_math_num_of(1);
    const struct pl_math_term *t = room->terms + p.at;

    return p.count == 1 && t->count == 0 && pl_math_num_equal(&t->coef, &one);
}

const struct pl_math_term *pl_math_frac_single(const struct pl_math_room *room,
                                               struct pl_math_frac a)
{
    return a.over.count == 1 && is_one(room, a.under) ? room->terms + a.over.at : NULL;
}

bool pl_math_frac_number(const struct pl_math_room *room, struct pl_math_frac a,
                         struct pl_math_num *ret)
{
    const struct pl_math_term *t = pl_math_frac_single(room, a);

    if (t && t->count == 0)
        *ret = t->coef;
    else if (a.over.count == 0)
        *ret = pl_math_num_of(0);
    else
        return false;
    return true;
}

static int poly_one(struct pl_math_room *room, struct pl_math_poly *ret)
{
    const struct pl_math_term one = {.coef = pl_math_num_of(1)};

    return poly_term(room, &one, ret);
}

int pl_math_frac_term(struct pl_math_room *room, const struct pl_math_term *term,
                      struct pl_math_frac *ret)
{
    const int rc = poly_term(room, term, &ret->over);

    return rc < 0 ? rc : poly_one(room, &ret->under);
}

int pl_math_frac_of(struct pl_math_room *room, const struct pl_math_num *n,
                    struct pl_math_frac *ret)
{
    const struct pl_math_term term = {.coef = *n};

    return pl_math_frac_term(room, &term, ret);
}

int pl_math_frac_atom(struct pl_math_room *room, uint16_t atom, int32_t exponent,
                      struct pl_math_frac *ret)
{
    const struct pl_math_term term = {
        .coef = pl_math_num_of(1), .factors = {{exponent, atom}}, .count = exponent != 0};

    return pl_math_frac_term(room, &term, ret);
}

int pl_math_frac_copy(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac *ret)
{
    const int rc = poly_copy(room, a.over, &ret->over);

    return rc < 0 ? rc : poly_copy(room, a.under, &ret->under);
}

void pl_math_frac_keep(struct pl_math_room *room, uint32_t mark, struct pl_math_frac *frac)
{
    struct pl_math_poly *const parts[] = {&frac->over, &frac->under};

    PL_ASSERT(frac->over.at >= mark && frac->under.at >= frac->over.at + frac->over.count);
    for (size_t i = 0; i < 2; i++) {
        memmove(room->terms + mark, room->terms + parts[i]->at,
                parts[i]->count * sizeof *room->terms);
        parts[i]->at = mark;
        mark += parts[i]->count;
        room->work += 8ull * parts[i]->count;
    }
    room->bottom = mark;
}

/* 1 / t as term / poly: a root of a sum in t becomes one in the numerator, the sum stays below. */
static int invert_term(struct pl_math_room *room, const struct pl_math_term *t,
                       struct pl_math_frac *ret)
{
    struct pl_math_term inverse = {.coef = pl_math_num_inverse(&t->coef)};
    struct pl_math_term below = {.coef = pl_math_num_of(1)};
    int rc = PL_OK;

    for (uint32_t i = 0; rc == PL_OK && i < t->count; i++) {
        const struct pl_math_factor f = t->factors[i];
        const enum pl_math_kind kind = room->atoms[f.atom].kind;
        const int32_t whole = kind == PL_MATH_SUM ? ONE : kind == PL_MATH_ABS ? 2 * ONE : 0;

        rc = multiply_factor(&inverse, (struct pl_math_factor){whole - f.exponent, f.atom});
        if (rc == PL_OK && whole)
            rc = multiply_factor(&below, (struct pl_math_factor){whole, f.atom});
    }
    if (rc == PL_OK)
        rc = poly_term(room, &inverse, &ret->over);
    return rc < 0 ? rc : poly_term(room, &below, &ret->under);
}

/* over / under brought into the form of a frac. */
static int quotient(struct pl_math_room *room, struct pl_math_poly over, struct pl_math_poly under,
                    struct pl_math_frac *ret)
{
    struct pl_math_frac inverse, q = {over, under};
    struct pl_math_num ratio;
    bool alike;
    int rc;

    if (under.count == 0)
        return PL_EUNSUPPORTED;
    if (over.count == 0) {
        ratio = pl_math_num_of(0);
        return pl_math_frac_of(room, &ratio, ret);
    }
    /* A denominator of one term goes up; |f| leaves a denominator f^2, which may be such a one
     * again, made of atoms older than |f|. */
    for (int left = EXPANDED_MAX; q.under.count == 1 && !is_one(room, q.under); left--) {
        if (left == 0)
            return PL_EFULL;
        rc = invert_term(room, room->terms + q.under.at, &inverse);
        if (rc == PL_OK)
            rc = poly_mul(room, q.over, inverse.over, &q.over);
        if (rc < 0)
            return rc;
        q.under = inverse.under;
    }
    rc = poly_ratio(room, q.over, q.under, &alike, &ratio);
    if (rc < 0)
        return rc;
    return alike ? pl_math_frac_of(room, &ratio, ret) : pl_math_frac_copy(room, q, ret);
}

int pl_math_frac_add(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac b,
                     struct pl_math_frac *ret)
{
    struct pl_math_poly left, right, sum, under = a.under;
    int rc;

    if (same_poly(room, a.under, b.under)) {
        rc = poly_add(room, a.over, b.over, &sum);
    } else {
        rc = poly_mul(room, a.over, b.under, &left);
        if (rc == PL_OK)
            rc = poly_mul(room, b.over, a.under, &right);
        if (rc == PL_OK)
            rc = poly_mul(room, a.under, b.under, &under);
        if (rc == PL_OK)
            rc = poly_add(room, left, right, &sum);
    }
    return rc < 0 ? rc : quotient(room, sum, under, ret);
}

int pl_math_frac_mul(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac b,
                     struct pl_math_frac *ret)
{
    struct pl_math_poly over, under;
    int rc = poly_mul(room, a.over, b.over, &over);

    if (rc == PL_OK)
        rc = poly_mul(room, a.under, b.under, &under);
    return rc < 0 ? rc : quotient(room, over, under, ret);
}

int pl_math_frac_scale(struct pl_math_room *room, struct pl_math_frac a,
                       const struct pl_math_num *by, struct pl_math_frac *ret)
{
    struct pl_math_frac factor;
    const int rc = pl_math_frac_of(room, by, &factor);

    return rc < 0 ? rc : pl_math_frac_mul(room, a, factor, ret);
}

int pl_math_frac_inverse(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac *ret)
{
    return quotient(room, a.under, a.over, ret);
}

int pl_math_frac_equal(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac b)
{
    const uint32_t mark = room->bottom;
    struct pl_math_poly left, right;
    int rc;

    if (same_poly(room, a.under, b.under))
        return same_poly(room, a.over, b.over);
    rc = poly_mul(room, a.over, b.under, &left);
    if (rc == PL_OK)
        rc = poly_mul(room, b.over, a.under, &right);
    if (rc == PL_OK)
        rc = same_poly(room, left, right);
    room->bottom = mark;
    return rc;
}

int pl_math_frac_alike(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac b,
                       bool positive)
{
    const uint32_t mark = room->bottom;
    struct pl_math_poly left, right;
    struct pl_math_num ratio;
    bool alike = false;
    int rc;

    if (a.over.count == 0 || b.over.count == 0)
        return a.over.count == b.over.count;
    rc = poly_mul(room, a.over, b.under, &left);
    if (rc == PL_OK)
        rc = poly_mul(room, b.over, a.under, &right);
    if (rc == PL_OK)
        rc = poly_ratio(room, left, right, &alike, &ratio);
    room->bottom = mark;
    return rc < 0 ? rc : alike && !(positive && ratio.negative);
}

/* --- atoms --- */

static int same_atom(struct pl_math_room *room, const struct pl_math_atom *a,
                     const struct pl_math_atom *b)
{
    if (a->kind != b->kind)
        return 0;
    switch (a->kind) {
    case PL_MATH_NAME:
        return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
    case PL_MATH_I:
        return 1;
    case PL_MATH_PRIME:
        return pl_math_int_compare(&a->prime, &b->prime) == 0;
    case PL_MATH_SUM:
    case PL_MATH_ABS:
        return same_poly(room, a->arg.over, b->arg.over);
    case PL_MATH_POWER:
        return a->base == b->base && same_poly(room, a->arg.over, b->arg.over);
    case PL_MATH_APPLY:
        break;
    }
    return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0
               ? pl_math_frac_equal(room, a->arg, b->arg)
               : 0;
}

/* Copy a poly to the other end of the room. */
static int stay(struct pl_math_room *room, struct pl_math_poly *p)
{
    if (room->bottom + p->count > room->top)
        return PL_EFULL;
    room->top -= p->count;
    memcpy(room->terms + room->top, room->terms + p->at, p->count * sizeof *room->terms);
    p->at = room->top;
    room->work += 8ull * p->count;
    return PL_OK;
}

int pl_math_atom(struct pl_math_room *room, const struct pl_math_atom *atom, uint16_t *ret)
{
    struct pl_math_atom *own = &room->atoms[room->atom_count];
    const bool has_arg = atom->kind >= PL_MATH_SUM;
    int rc = 0;

    for (uint16_t i = 0; i < room->atom_count; i++) {
        rc = same_atom(room, &room->atoms[i], atom);
        if (rc < 0)
            return rc;
        if (rc) {
            *ret = i;
            return PL_OK;
        }
    }
    room->work += 4ull * room->atom_count;
    if (room->atom_count == PL_MATH_ATOMS_MAX)
        return PL_EFULL;
    *own = *atom;
    rc = has_arg ? stay(room, &own->arg.over) : PL_OK;
    if (rc == PL_OK && atom->kind == PL_MATH_APPLY)
        rc = stay(room, &own->arg.under);
    if (rc < 0)
        return rc;
    *ret = (uint16_t)room->atom_count++;
    return PL_OK;
}
