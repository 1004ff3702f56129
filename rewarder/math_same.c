#include "rewarder/math_same.h"
#include "common/base/err.h"
#include "rewarder/math_eval.h"
#include "rewarder/math_unit.h"

#include <string.h>

enum { ITEMS_MAX = 24 };

/* A node of one of the trees, with what its +- mean if that is `settled`. */
struct item {
    const struct pl_math_tree *tree;
    uint16_t node;
    bool settled, minus;
};

struct items {
    struct item list[ITEMS_MAX];
    size_t count;
    bool parted; /* there was something to take apart */
};

static int same(struct pl_math_room *room, struct item a, struct item b);

static const struct pl_math_node *of(struct item a)
{
    return &a.tree->nodes[a.node];
}

static bool is(struct item a, enum pl_math_node_kind kind)
{
    return of(a)->kind == kind;
}

static struct item with(struct item a, uint16_t node)
{
    a.node = node;
    return a;
}

static struct item child(struct item a, size_t i)
{
    uint16_t node = of(a)->child;

    while (i-- > 0)
        node = a.tree->nodes[node].next;
    return with(a, node);
}

static struct item next(struct item a)
{
    return with(a, of(a)->next);
}

/* As deep as the tree. */
static bool has_plus_minus(struct pl_math_room *room, struct item a)
{
    const uint16_t sign = of(a)->sign;

    room->work++;
    if (sign == PL_MATH_PLUS_MINUS || sign == PL_MATH_MINUS_PLUS)
        return true;
    for (struct item c = with(a, of(a)->child); c.node; c = next(c))
        if (has_plus_minus(room, c))
            return true;
    return false;
}

static bool same_text(struct item a, struct item b)
{
    const struct pl_math_node *x = of(a), *y = of(b);

    return x->end - x->begin == y->end - y->begin &&
           memcmp(a.tree->names + x->begin, b.tree->names + y->begin,
                  (size_t)(x->end - x->begin)) == 0;
}

/* --- expressions --- */

static int difference(struct pl_math_room *room, struct item left, struct item right,
                      struct pl_math_frac *ret)
{
    const struct pl_math_num less = pl_math_num_of(-1);
    struct pl_math_frac a, b;
    int rc = pl_math_eval(room, left.tree, left.node, left.minus, &a);

    if (rc == PL_OK)
        rc = pl_math_eval(room, right.tree, right.node, right.minus, &b);
    if (rc == PL_OK)
        rc = pl_math_frac_scale(room, b, &less, &b);
    return rc < 0 ? rc : pl_math_frac_add(room, a, b, ret);
}

static bool is_percentage(struct item a)
{
    if (is(a, PL_MATH_NODE_SUM) && of(a)->count == 1)
        a = child(a, 0);
    return is(a, PL_MATH_NODE_PERCENT);
}

static bool units_agree(struct item *a, struct item *b)
{
    struct item *const sides[] = {a, b};
    struct pl_math_unit units[2] = {{{0}, false}, {{0}, false}};

    for (size_t i = 0; i < 2; i++) {
        const struct pl_math_node *n = of(*sides[i]);

        if (n->kind != PL_MATH_NODE_UNIT)
            continue;
        units[i] = n->begin < n->end ? pl_math_unit_read(sides[i]->tree->tokens, n->begin, n->end)
                                     : pl_math_unit_named("dollars");
        *sides[i] = child(*sides[i], 0);
    }
    return pl_math_unit_agree(&units[0], &units[1]);
}

static int same_expression(struct pl_math_room *room, struct item a, struct item b)
{
    const struct pl_math_num hundred = pl_math_num_of(100);
    const bool percent = is_percentage(a), other = is_percentage(b);
    struct pl_math_frac x, y;
    int rc;

    rc = pl_math_eval(room, a.tree, a.node, a.minus, &x);
    if (rc == PL_OK)
        rc = pl_math_eval(room, b.tree, b.node, b.minus, &y);
    if (rc == PL_OK)
        rc = pl_math_frac_equal(room, x, y);
    if (rc != 0 || percent == other)
        return rc;
    rc = pl_math_frac_scale(room, percent ? x : y, &hundred, percent ? &x : &y);
    return rc < 0 ? rc : pl_math_frac_equal(room, x, y);
}

/* --- equations --- */

static bool is_equation(struct item a)
{
    if (!is(a, PL_MATH_NODE_RELATION))
        return false;
    for (struct item c = next(child(a, 0)); c.node; c = next(c))
        if (of(c)->sign != '=')
            return false;
    return true;
}

static bool all_names(struct item a)
{
    for (struct item c = with(a, of(a)->child); c.node; c = next(c))
        if (!is(c, PL_MATH_NODE_NAME))
            return false;
    return true;
}

/* "x", "f(x)", "f^{-1}(x)", "(x, y)". */
static bool is_head(struct item a)
{
    switch (of(a)->kind) {
    case PL_MATH_NODE_NAME:
        return true;
    case PL_MATH_NODE_SEQUENCE:
        return all_names(a);
    case PL_MATH_NODE_APPLY:
        return of(a)->count == 1 && of(a)->end - of(a)->begin <= 2;
    case PL_MATH_NODE_PRODUCT:
        return of(a)->count == 2 && is(child(a, 0), PL_MATH_NODE_POWER) &&
               is(child(child(a, 0), 0), PL_MATH_NODE_NAME) && is(child(a, 1), PL_MATH_NODE_NAME);
    default:
        return false;
    }
}

/* Which side is the head: the first or the last; -1: none. */
static int head_of(struct item a)
{
    const size_t last = of(a)->count - 1u;

    if (!is(a, PL_MATH_NODE_RELATION))
        return -1;
    return is_head(child(a, 0)) ? 0 : is_head(child(a, last)) ? (int)last : -1;
}

/* Whether all sides of an equation but its head are the same as the other answer. */
static int sides_same(struct pl_math_room *room, struct item equation, struct item other)
{
    const int head = head_of(equation);
    struct item side = child(equation, 0);
    int rc = 1;

    for (int i = 0; rc == 1 && side.node; i++, side = next(side))
        if (i != head)
            rc = same(room, side, other);
    return rc;
}

/* Of two relations whose sides differ by more than a number: 1 = 2 is not 3 = 4. */
static int same_difference(struct pl_math_room *room, struct item a, struct item b, bool swap,
                           bool positive)
{
    struct pl_math_frac x, y;
    struct pl_math_num n;
    int rc;

    if (of(a)->count != 2 || of(b)->count != 2)
        return 0;
    rc = difference(room, child(a, 0), child(a, 1), &x);
    if (rc == PL_OK)
        rc = difference(room, child(b, swap ? 1 : 0), child(b, swap ? 0 : 1), &y);
    if (rc < 0)
        return rc;
    return pl_math_frac_number(room, x, &n) ? 0 : pl_math_frac_alike(room, x, y, positive);
}

static int same_equations(struct pl_math_room *room, struct item a, struct item b)
{
    const int x = head_of(a), y = head_of(b);

    if (x >= 0 && y >= 0 && of(a)->count == 2 && of(b)->count == 2) {
        const int rc = same(room, child(a, (size_t)x), child(b, (size_t)y));

        if (rc == 1)
            return same(room, child(a, (size_t)(1 - x)), child(b, (size_t)(1 - y)));
    }
    if (of(a)->count != of(b)->count && (x < 0) == (y < 0))
        return of(a)->count < of(b)->count ? sides_same(room, b, child(a, x == 0 ? 1 : 0))
                                           : sides_same(room, a, child(b, y == 0 ? 1 : 0));
    return same_difference(room, a, b, false, false);
}

/* --- inequalities and intervals --- */

struct bound {
    struct item at;
    bool infinite, closed;
};

/* low < name < high; an interval has no name. */
struct span {
    struct item name;
    struct bound low, high;
};

static bool is_infinite(struct item a, bool minus)
{
    if (is(a, PL_MATH_NODE_SUM) && of(a)->count == 1) {
        a = child(a, 0);
        return is(a, PL_MATH_NODE_INFINITY) && (of(a)->sign == '-') == minus;
    }
    return is(a, PL_MATH_NODE_INFINITY) && !minus;
}

static bool is_less(uint16_t sign)
{
    return sign == '<' || sign == PL_MATH_AT_MOST;
}

static bool is_more(uint16_t sign)
{
    return sign == '>' || sign == PL_MATH_AT_LEAST;
}

static bool span_of_interval(struct item a, struct span *ret)
{
    const struct pl_math_node *n = of(a);

    if (n->count != 2 || n->open == ':')
        return false;
    *ret = (struct span){.name = with(a, 0),
                         .low = {.at = child(a, 0), .closed = n->open == '['},
                         .high = {.at = child(a, 1), .closed = n->close == ']'}};
    ret->low.infinite = is_infinite(ret->low.at, true);
    ret->high.infinite = is_infinite(ret->high.at, false);
    return true;
}

static bool span_of(struct item a, struct span *ret)
{
    struct item sides[3] = {a, a, a};
    const struct pl_math_node *n = of(a);
    uint16_t sign;

    if (n->kind == PL_MATH_NODE_SEQUENCE)
        return span_of_interval(a, ret);
    if (n->kind != PL_MATH_NODE_RELATION || n->count > 3)
        return false;
    for (size_t i = 0; i < n->count; i++)
        sides[i] = child(a, i);
    sign = of(sides[1])->sign;
    if (!is_less(sign) && !is_more(sign))
        return false;
    *ret = (struct span){.low = {.infinite = true}, .high = {.infinite = true}};
    if (n->count == 3) {
        const uint16_t second = of(sides[2])->sign;

        if (!is(sides[1], PL_MATH_NODE_NAME) || is_less(sign) != is_less(second) ||
            is_more(sign) != is_more(second))
            return false;
        ret->name = sides[1];
        *(is_less(sign) ? &ret->low : &ret->high) =
            (struct bound){sides[0], false, sign == PL_MATH_AT_MOST || sign == PL_MATH_AT_LEAST};
        *(is_less(sign) ? &ret->high : &ret->low) = (struct bound){
            sides[2], false, second == PL_MATH_AT_MOST || second == PL_MATH_AT_LEAST};
        ret->low.infinite = is_infinite(ret->low.at, true);
        ret->high.infinite = is_infinite(ret->high.at, false);
        return true;
    }
    const bool first = is(sides[0], PL_MATH_NODE_NAME);

    if (!first && !is(sides[1], PL_MATH_NODE_NAME))
        return false;
    ret->name = sides[first ? 0 : 1];
    *(first == is_less(sign) ? &ret->high : &ret->low) = (struct bound){
        sides[first ? 1 : 0], false, sign == PL_MATH_AT_MOST || sign == PL_MATH_AT_LEAST};
    return true;
}

static int same_bound(struct pl_math_room *room, const struct bound *a, const struct bound *b)
{
    if (a->infinite || b->infinite)
        return a->infinite && b->infinite;
    return a->closed == b->closed ? same(room, a->at, b->at) : 0;
}

static int same_span(struct pl_math_room *room, const struct span *a, const struct span *b)
{
    int rc = a->name.node && b->name.node ? same_text(a->name, b->name) : 1;

    if (rc == 1)
        rc = same_bound(room, &a->low, &b->low);
    return rc == 1 ? same_bound(room, &a->high, &b->high) : rc;
}

static int same_relations(struct pl_math_room *room, struct item a, struct item b)
{
    struct span x, y;
    int rc = 0;

    if (span_of(a, &x) && span_of(b, &y))
        rc = same_span(room, &x, &y);
    if (rc != 0 || !is(a, PL_MATH_NODE_RELATION) || !is(b, PL_MATH_NODE_RELATION))
        return rc;
    const uint16_t sign = of(child(a, 1))->sign, other = of(child(b, 1))->sign;

    if (sign == PL_MATH_UNEQUAL || other == PL_MATH_UNEQUAL)
        return sign == other ? same_difference(room, a, b, false, false) : 0;
    if ((sign == '<' || sign == '>') != (other == '<' || other == '>'))
        return 0;
    return same_difference(room, a, b, is_less(sign) != is_less(other), true);
}

/* --- what has parts --- */

static int add_item(struct pl_math_room *room, struct items *items, struct item a)
{
    const bool both = !a.settled && has_plus_minus(room, a);

    if (items->count + (both ? 2 : 1) > ITEMS_MAX)
        return PL_EFULL;
    a.settled = a.settled || both;
    items->list[items->count++] = a;
    a.minus = true;
    if (both)
        items->list[items->count++] = a;
    items->parted = items->parted || both;
    return PL_OK;
}

/* The elements of a list, set or union; both values of what has a +-. */
static int take_apart(struct pl_math_room *room, struct item a, struct items *ret)
{
    int rc = PL_OK;

    ret->count = 0;
    ret->parted = is(a, PL_MATH_NODE_LIST) || is(a, PL_MATH_NODE_SET) || is(a, PL_MATH_NODE_UNION);
    if (!ret->parted)
        return add_item(room, ret, a);
    for (struct item c = with(a, of(a)->child); rc == PL_OK && c.node; c = next(c))
        rc = add_item(room, ret, c);
    return rc;
}

/* Whether the elements are equations of different names: their order says which is which. */
static bool is_assignment(const struct items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        const struct item a = items->list[i];

        if (!is_equation(a) || head_of(a) != 0 || !is(child(a, 0), PL_MATH_NODE_NAME))
            return false;
        if (i > 0 && same_text(child(a, 0), child(items->list[i - 1], 0)))
            return false;
    }
    return items->count > 1;
}

static int same_items(struct pl_math_room *room, const struct items *a, const struct items *b)
{
    const bool ordered = is_assignment(a) != is_assignment(b);
    bool used[ITEMS_MAX] = {false};
    int error = 0;

    if (a->count != b->count)
        return 0;
    for (size_t i = 0; i < a->count; i++) {
        bool found = false;

        for (size_t k = ordered ? i : 0; !found && k < (ordered ? i + 1 : b->count); k++) {
            const int rc = used[k] ? 0 : same(room, a->list[i], b->list[k]);

            error = rc < 0 ? rc : error;
            found = rc == 1;
            used[k] = used[k] || found;
        }
        if (!found)
            return error;
    }
    return 1;
}

/* Child by child, in order. */
static int same_children(struct pl_math_room *room, struct item a, struct item b)
{
    struct item x = with(a, of(a)->child), y = with(b, of(b)->child);
    int rc = of(a)->count == of(b)->count;

    for (; rc == 1 && x.node; x = next(x), y = next(y))
        rc = same(room, x, y);
    return rc;
}

static int same_words(struct item a, struct item b)
{
    const struct pl_math_node *x = of(a), *y = of(b);
    const struct pl_math_tokens *s = a.tree->tokens, *t = b.tree->tokens;

    if (x->end - x->begin != y->end - y->begin)
        return 0;
    for (uint16_t i = 0; i < x->end - x->begin; i++) {
        const struct pl_math_token *v = &s->list[x->begin + i], *w = &t->list[y->begin + i];

        if (v->len != w->len || memcmp(s->text + v->at, t->text + w->at, v->len) != 0)
            return 0;
    }
    return 1;
}

/* "x in S" is S. */
static struct item without_in(struct item a)
{
    return is(a, PL_MATH_NODE_RELATION) && of(a)->count == 2 &&
                   of(child(a, 1))->sign == PL_MATH_IN && is(child(a, 0), PL_MATH_NODE_NAME)
               ? child(a, 1)
               : a;
}

static int same_whole(struct pl_math_room *room, struct item a, struct item b)
{
    const enum pl_math_node_kind kind = of(a)->kind;

    if (kind == PL_MATH_NODE_RELATION || is(b, PL_MATH_NODE_RELATION))
        return is_equation(a) && is_equation(b)   ? same_equations(room, a, b)
               : is_equation(a) || is_equation(b) ? 0
                                                  : same_relations(room, a, b);
    if (!units_agree(&a, &b))
        return 0;
    switch ((enum pl_math_node_kind)of(a)->kind) {
    case PL_MATH_NODE_SEQUENCE:
        return is(b, PL_MATH_NODE_SEQUENCE) && of(a)->open == of(b)->open &&
                       of(a)->close == of(b)->close
                   ? same_children(room, a, b)
                   : 0;
    case PL_MATH_NODE_MATRIX:
        return is(b, PL_MATH_NODE_MATRIX) && of(a)->open == of(b)->open &&
                       of(a)->columns == of(b)->columns
                   ? same_children(room, a, b)
                   : 0;
    case PL_MATH_NODE_WORDS:
        return is(b, PL_MATH_NODE_WORDS) ? same_words(a, b) : 0;
    default:
        if (is(b, PL_MATH_NODE_SEQUENCE) || is(b, PL_MATH_NODE_MATRIX) || is(b, PL_MATH_NODE_WORDS))
            return 0;
        return same_expression(room, a, b);
    }
}

/* Each turn goes down in one of the trees at least. */
static int same(struct pl_math_room *room, struct item a, struct item b)
{
    const uint32_t mark = room->bottom;
    struct items x, y;
    int rc;

    room->work += 8 + of(a)->count + of(b)->count;
    if (pl_math_room_spent(room))
        return PL_EFULL;
    a = without_in(a);
    b = without_in(b);
    if (is_equation(a) != is_equation(b)) {
        rc = is_equation(a) ? sides_same(room, a, b) : sides_same(room, b, a);
        if (rc != 0)
            return rc;
    }
    if ((is(a, PL_MATH_NODE_UNION) && is(b, PL_MATH_NODE_SET)) ||
        (is(b, PL_MATH_NODE_UNION) && is(a, PL_MATH_NODE_SET)))
        return 0;
    rc = take_apart(room, a, &x);
    if (rc == PL_OK)
        rc = take_apart(room, b, &y);
    if (rc == PL_OK)
        rc = x.parted || y.parted ? same_items(room, &x, &y) : same_whole(room, a, b);
    room->bottom = mark;
    return rc;
}

int pl_math_same(struct pl_math_room *room, const struct pl_math_tree *a,
                 const struct pl_math_tree *b)
{
    return same(room, (struct item){a, a->root, false, false},
                (struct item){b, b->root, false, false});
}
