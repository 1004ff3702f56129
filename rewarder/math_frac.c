#include "rewarder/math_frac.h"
#include "common/base/check.h"
#include "common/base/err.h"

#include <string.h>

enum { ONE = PL_MATH_ONE, EXPANDED_MAX = 8 };

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

    return pl_math_poly_term(room, &one, ret);
}

int pl_math_frac_term(struct pl_math_room *room, const struct pl_math_term *term,
                      struct pl_math_frac *ret)
{
    const int rc = pl_math_poly_term(room, term, &ret->over);

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
    const int rc = pl_math_poly_copy(room, a.over, &ret->over);

    return rc < 0 ? rc : pl_math_poly_copy(room, a.under, &ret->under);
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

        rc = pl_math_term_multiply(&inverse, (struct pl_math_factor){whole - f.exponent, f.atom});
        if (rc == PL_OK && whole)
            rc = pl_math_term_multiply(&below, (struct pl_math_factor){whole, f.atom});
    }
    if (rc == PL_OK)
        rc = pl_math_poly_term(room, &inverse, &ret->over);
    return rc < 0 ? rc : pl_math_poly_term(room, &below, &ret->under);
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
            rc = pl_math_poly_mul(room, q.over, inverse.over, &q.over);
        if (rc < 0)
            return rc;
        q.under = inverse.under;
    }
    rc = pl_math_poly_ratio(room, q.over, q.under, &alike, &ratio);
    if (rc < 0)
        return rc;
    return alike ? pl_math_frac_of(room, &ratio, ret) : pl_math_frac_copy(room, q, ret);
}

int pl_math_frac_add(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac b,
                     struct pl_math_frac *ret)
{
    struct pl_math_poly left, right, sum, under = a.under;
    int rc;

    if (pl_math_poly_same(room, a.under, b.under)) {
        rc = pl_math_poly_add(room, a.over, b.over, &sum);
    } else {
        rc = pl_math_poly_mul(room, a.over, b.under, &left);
        if (rc == PL_OK)
            rc = pl_math_poly_mul(room, b.over, a.under, &right);
        if (rc == PL_OK)
            rc = pl_math_poly_mul(room, a.under, b.under, &under);
        if (rc == PL_OK)
            rc = pl_math_poly_add(room, left, right, &sum);
    }
    return rc < 0 ? rc : quotient(room, sum, under, ret);
}

int pl_math_frac_mul(struct pl_math_room *room, struct pl_math_frac a, struct pl_math_frac b,
                     struct pl_math_frac *ret)
{
    struct pl_math_poly over, under;
    int rc = pl_math_poly_mul(room, a.over, b.over, &over);

    if (rc == PL_OK)
        rc = pl_math_poly_mul(room, a.under, b.under, &under);
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

    if (pl_math_poly_same(room, a.under, b.under))
        return pl_math_poly_same(room, a.over, b.over);
    rc = pl_math_poly_mul(room, a.over, b.under, &left);
    if (rc == PL_OK)
        rc = pl_math_poly_mul(room, b.over, a.under, &right);
    if (rc == PL_OK)
        rc = pl_math_poly_same(room, left, right);
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
    rc = pl_math_poly_mul(room, a.over, b.under, &left);
    if (rc == PL_OK)
        rc = pl_math_poly_mul(room, b.over, a.under, &right);
    if (rc == PL_OK)
        rc = pl_math_poly_ratio(room, left, right, &alike, &ratio);
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
        return pl_math_poly_same(room, a->arg.over, b->arg.over);
    case PL_MATH_POWER:
        return a->base == b->base && pl_math_poly_same(room, a->arg.over, b->arg.over);
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
