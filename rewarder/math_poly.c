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
int pl_math_term_multiply(struct pl_math_term *t, struct pl_math_factor f)
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
        rc = pl_math_term_multiply(ret, b->factors[i]);
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

int pl_math_poly_term(struct pl_math_room *room, const struct pl_math_term *t,
                      struct pl_math_poly *ret)
{
    *ret = begin(room);
    return emit(room, ret, *t, EXPANDED_MAX);
}

int pl_math_poly_copy(struct pl_math_room *room, struct pl_math_poly a, struct pl_math_poly *ret)
{
    if (room->bottom + a.count > room->top)
        return PL_EFULL;
    *ret = (struct pl_math_poly){room->bottom, a.count};
    memmove(room->terms + ret->at, room->terms + a.at, a.count * sizeof *room->terms);
    room->bottom += a.count;
    room->work += 8ull * a.count;
    return PL_OK;
}

int pl_math_poly_add(struct pl_math_room *room, struct pl_math_poly a, struct pl_math_poly b,
                     struct pl_math_poly *ret)
{
    int rc = pl_math_poly_copy(room, a, ret);

    for (uint32_t i = 0; rc == PL_OK && i < b.count; i++)
        rc = insert(room, ret, &room->terms[b.at + i]);
    return rc;
}

int pl_math_poly_mul(struct pl_math_room *room, struct pl_math_poly a, struct pl_math_poly b,
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

bool pl_math_poly_same(const struct pl_math_room *room, struct pl_math_poly a,
                       struct pl_math_poly b)
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
int pl_math_poly_ratio(struct pl_math_room *room, struct pl_math_poly a, struct pl_math_poly b,
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
