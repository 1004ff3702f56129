#include "rewarder/math_eval.h"
#include "common/base/err.h"
#include "rewarder/math_function.h"
#include "rewarder/math_power.h"

#include <string.h>

enum { FACTORIAL_MAX = 1000 };

struct eval {
    struct pl_math_room *room;
    const struct pl_math_tree *tree;
    bool minus;
    int functions; /* how many we are within */
};

static int eval(struct eval *e, uint16_t node, struct pl_math_frac *ret);

static const struct pl_math_node *at(const struct eval *e, uint16_t node)
{
    return &e->tree->nodes[node];
}

static int small(struct eval *e, int64_t n, struct pl_math_frac *ret)
{
    const struct pl_math_num num = pl_math_num_of(n);

    return pl_math_frac_of(e->room, &num, ret);
}

static int eval_number(struct eval *e, const struct pl_math_node *n, struct pl_math_frac *ret)
{
    struct pl_math_num num;
    const int rc = pl_math_num_read(e->tree->names + n->begin, (size_t)(n->end - n->begin), &num,
                                    &e->room->work);

    return rc < 0 ? rc : pl_math_frac_of(e->room, &num, ret);
}

static int eval_named(struct eval *e, const char *name, size_t len, struct pl_math_frac *ret)
{
    struct pl_math_atom atom = {.kind = PL_MATH_NAME, .name = name, .name_len = len};
    uint16_t id;
    int rc;

    if (len == 1 && *name == 'i')
        atom.kind = PL_MATH_I;
    rc = pl_math_atom(e->room, &atom, &id);
    return rc < 0 ? rc : pl_math_frac_atom(e->room, id, PL_MATH_ONE, ret);
}

static bool is_minus(const struct eval *e, uint16_t sign)
{
    return sign == '-' || (sign == PL_MATH_PLUS_MINUS && e->minus) ||
           (sign == PL_MATH_MINUS_PLUS && !e->minus);
}

static int eval_sum(struct eval *e, const struct pl_math_node *n, struct pl_math_frac *ret)
{
    const struct pl_math_num less = pl_math_num_of(-1);
    const uint32_t mark = e->room->bottom;
    struct pl_math_frac part;
    int rc = small(e, 0, ret);

    for (uint16_t c = n->child; rc == PL_OK && c; c = at(e, c)->next) {
        rc = eval(e, c, &part);
        if (rc == PL_OK && is_minus(e, at(e, c)->sign))
            rc = pl_math_frac_scale(e->room, part, &less, &part);
        if (rc == PL_OK)
            rc = pl_math_frac_add(e->room, *ret, part, ret);
        if (rc == PL_OK)
            pl_math_frac_keep(e->room, mark, ret);
    }
    return rc;
}

static int eval_product(struct eval *e, const struct pl_math_node *n, struct pl_math_frac *ret)
{
    const uint32_t mark = e->room->bottom;
    struct pl_math_frac part;
    int rc = small(e, 1, ret);

    for (uint16_t c = n->child; rc == PL_OK && c; c = at(e, c)->next) {
        rc = eval(e, c, &part);
        if (rc == PL_OK && at(e, c)->sign == '/')
            rc = pl_math_frac_inverse(e->room, part, &part);
        if (rc == PL_OK)
            rc = pl_math_frac_mul(e->room, *ret, part, ret);
        if (rc == PL_OK)
            pl_math_frac_keep(e->room, mark, ret);
    }
    return rc;
}

/* The one child, or both. */
static int eval_children(struct eval *e, const struct pl_math_node *n, struct pl_math_frac *first,
                         struct pl_math_frac *second)
{
    const uint16_t next = at(e, n->child)->next;
    const int rc = eval(e, n->child, first);

    return rc < 0 || !next || !second ? rc : eval(e, next, second);
}

static int eval_power(struct eval *e, const struct pl_math_node *n, struct pl_math_frac *ret)
{
    struct pl_math_frac base, exponent;
    const int rc = eval_children(e, n, &base, &exponent);

    return rc < 0 ? rc : pl_math_power(e->room, base, exponent, ret);
}

static int eval_root(struct eval *e, const struct pl_math_node *n, struct pl_math_frac *ret)
{
    struct pl_math_frac base, which;
    int rc = eval_children(e, n, &base, &which);

    if (rc == PL_OK && n->count == 1)
        rc = small(e, 2, &which);
    return rc < 0 ? rc : pl_math_root(e->room, base, which, ret);
}

static int eval_apply(struct eval *e, const struct pl_math_node *n, struct pl_math_frac *ret)
{
    const char *name = e->tree->names + n->begin;
    struct pl_math_frac arg, base;
    int rc;

    e->functions++;
    rc = eval_children(e, n, &arg, &base);
    e->functions--;
    if (rc < 0)
        return rc;
    if (n->count == 1)
        return pl_math_apply(e->room, name, (size_t)(n->end - n->begin), arg, ret);
    if (n->end - n->begin != 3 || memcmp(name, "log", 3) != 0)
        return PL_EUNSUPPORTED;
    rc = pl_math_ln(e->room, base, &base);
    if (rc == PL_OK)
        rc = pl_math_frac_inverse(e->room, base, &base);
    if (rc == PL_OK)
        rc = pl_math_ln(e->room, arg, &arg);
    return rc < 0 ? rc : pl_math_frac_mul(e->room, arg, base, ret);
}

/* A whole number from 0 to FACTORIAL_MAX. */
static bool is_count(const struct eval *e, struct pl_math_frac a, uint32_t *ret)
{
    struct pl_math_num n;

    return pl_math_frac_number(e->room, a, &n) && !n.negative && pl_math_num_whole(&n) &&
           pl_math_int_small(&n.over, FACTORIAL_MAX, ret);
}

/* from (from + 1) ... to, divided by 1 2 ... if `divide`, so that it is whole at each step. */
static int product(struct eval *e, uint32_t from, uint32_t to, bool divide,
                   struct pl_math_frac *ret)
{
    struct pl_math_num n = pl_math_num_of(1);

    for (uint32_t i = from; i <= to; i++) {
        const struct pl_math_num factor = pl_math_num_of(i);
        struct pl_math_num by = pl_math_num_of(divide ? i - from + 1 : 1);

        by = pl_math_num_inverse(&by);
        if (pl_math_num_mul(&n, &factor, &n, &e->room->work) < 0 ||
            pl_math_num_mul(&n, &by, &n, &e->room->work) < 0)
            return PL_EFULL;
    }
    return pl_math_frac_of(e->room, &n, ret);
}

static int eval_factorial(struct eval *e, const struct pl_math_node *n, struct pl_math_frac *ret)
{
    struct pl_math_frac arg;
    uint32_t count;
    const int rc = eval_children(e, n, &arg, NULL);

    if (rc < 0)
        return rc;
    return is_count(e, arg, &count) ? product(e, 1, count, false, ret)
                                    : pl_math_apply(e->room, "!", 1, arg, ret);
}

static int eval_binomial(struct eval *e, const struct pl_math_node *n, struct pl_math_frac *ret)
{
    struct pl_math_frac from, choose;
    uint32_t all, some;
    const int rc = eval_children(e, n, &from, &choose);

    if (rc < 0)
        return rc;
    if (!is_count(e, from, &all) || !is_count(e, choose, &some))
        return PL_EUNSUPPORTED;
    if (some > all)
        return small(e, 0, ret);
    some = some > all - some ? all - some : some;
    return product(e, all - some + 1, all, true, ret);
}

/* Of a number, rounded; of anything else a function. */
static int eval_rounded(struct eval *e, const struct pl_math_node *n, bool up,
                        struct pl_math_frac *ret)
{
    const struct pl_math_num more = pl_math_num_of(1), less = pl_math_num_of(-1);
    struct pl_math_frac arg;
    struct pl_math_num num, rounded = {.under = pl_math_int_of(1)};
    struct pl_math_int rest;
    int rc = eval_children(e, n, &arg, NULL);

    if (rc < 0)
        return rc;
    if (!pl_math_frac_number(e->room, arg, &num))
        return pl_math_apply(e->room, up ? "ceil" : "floor", up ? 4 : 5, arg, ret);
    pl_math_int_div(&num.over, &num.under, &rounded.over, &rest, &e->room->work);
    rounded.negative = num.negative && rounded.over.count > 0;
    if (rest.count > 0 && num.negative != up)
        rc = pl_math_num_add(&rounded, up ? &more : &less, &rounded, &e->room->work);
    return rc < 0 ? rc : pl_math_frac_of(e->room, &rounded, ret);
}

static int eval_scaled(struct eval *e, const struct pl_math_node *n, struct pl_math_frac *ret)
{
    const struct pl_math_num hundredth = {.over = pl_math_int_of(1), .under = pl_math_int_of(100)};
    struct pl_math_frac degree;
    int rc = eval_children(e, n, ret, NULL);

    if (rc == PL_OK && n->kind == PL_MATH_NODE_PERCENT)
        return pl_math_frac_scale(e->room, *ret, &hundredth, ret);
    if (rc < 0 || e->functions == 0)
        return rc;
    rc = eval_named(e, "degree", 6, &degree);
    return rc < 0 ? rc : pl_math_frac_mul(e->room, *ret, degree, ret);
}

static int eval_kind(struct eval *e, const struct pl_math_node *n, struct pl_math_frac *ret)
{
    int rc;

    switch ((enum pl_math_node_kind)n->kind) {
    case PL_MATH_NODE_NUMBER:
        return eval_number(e, n, ret);
    case PL_MATH_NODE_NAME:
        return eval_named(e, e->tree->names + n->begin, (size_t)(n->end - n->begin), ret);
    case PL_MATH_NODE_INFINITY:
        return eval_named(e, "infinity", 8, ret);
    case PL_MATH_NODE_SUM:
        return eval_sum(e, n, ret);
    case PL_MATH_NODE_PRODUCT:
        return eval_product(e, n, ret);
    case PL_MATH_NODE_POWER:
        return eval_power(e, n, ret);
    case PL_MATH_NODE_ROOT:
        return eval_root(e, n, ret);
    case PL_MATH_NODE_APPLY:
        return eval_apply(e, n, ret);
    case PL_MATH_NODE_FACTORIAL:
        return eval_factorial(e, n, ret);
    case PL_MATH_NODE_BINOMIAL:
        return eval_binomial(e, n, ret);
    case PL_MATH_NODE_ABS:
        rc = eval_children(e, n, ret, NULL);
        return rc < 0 ? rc : pl_math_abs(e->room, *ret, ret);
    case PL_MATH_NODE_FLOOR:
    case PL_MATH_NODE_CEIL:
        return eval_rounded(e, n, n->kind == PL_MATH_NODE_CEIL, ret);
    case PL_MATH_NODE_DEGREE:
    case PL_MATH_NODE_PERCENT:
        return eval_scaled(e, n, ret);
    case PL_MATH_NODE_UNIT:
        return eval_children(e, n, ret, NULL);
    case PL_MATH_NODE_WORDS:
    case PL_MATH_NODE_SEQUENCE:
    case PL_MATH_NODE_SET:
    case PL_MATH_NODE_LIST:
    case PL_MATH_NODE_UNION:
    case PL_MATH_NODE_RELATION:
    case PL_MATH_NODE_MATRIX:
        break;
    }
    return PL_EUNSUPPORTED;
}

/* As deep as the tree, which is bounded. */
static int eval(struct eval *e, uint16_t node, struct pl_math_frac *ret)
{
    const uint32_t mark = e->room->bottom;
    int rc;

    if (pl_math_room_spent(e->room))
        return PL_EFULL;
    rc = eval_kind(e, at(e, node), ret);
    if (rc == PL_OK)
        pl_math_frac_keep(e->room, mark, ret);
    return rc;
}

int pl_math_eval(struct pl_math_room *room, const struct pl_math_tree *tree, uint16_t node,
                 bool minus, struct pl_math_frac *ret)
{
    struct eval e = {room, tree, minus, 0};
    const uint32_t mark = room->bottom;
    const int rc = eval(&e, node, ret);

    if (rc < 0)
        room->bottom = mark;
    return rc;
}
