/* Numbers, names, functions and groups: what sums and products are made of. */
#include "common/base/err.h"
#include "rewarder/math_parser.h"

#include <string.h>

/* --- numbers and names --- */

/* "_2", "_{n+1}" behind a name or numeral: as text. */
static void add_index(struct pl_math_parser *p)
{
    if (!pl_math_parser_take(p, '_'))
        return;
    pl_math_parser_add_name(p, "_", 1);
    if (pl_math_parser_take(p, '{')) {
        while (pl_math_parser_sign(p) && pl_math_parser_sign(p) != '}' &&
               pl_math_parser_sign(p) != '{')
            pl_math_parser_add_token(p, p->at++);
        pl_math_parser_expect(p, '}');
    } else if (pl_math_parser_sign(p)) {
        pl_math_parser_add_token(p, p->at++);
    } else {
        pl_math_parser_fail(p, PL_EFORMAT);
    }
}

static uint16_t parse_name(struct pl_math_parser *p, enum pl_math_node_kind kind)
{
    const struct pl_math_token *t = &p->tokens->list[p->at++];
    const uint16_t node = pl_math_parser_make_named(p, kind, p->tokens->text + t->at, t->len);

    add_index(p);
    if (p->rc < 0)
        return 0;
    p->tree->nodes[node].end = p->tree->names_len;
    return node;
}

/* Whether the fraction `ahead` has whole numbers only. */
static bool whole_fraction(const struct pl_math_parser *p, size_t ahead)
{
    size_t first;

    if (pl_math_parser_ahead(p, ahead) != PL_MATH_FRACTION)
        return pl_math_parser_whole(p, ahead) && pl_math_parser_ahead(p, ahead + 1) == '/' &&
               pl_math_parser_whole(p, ahead + 2) && p->tokens->list[p->at + ahead].spaced;
    first = pl_math_parser_whole_argument(p, ahead + 1);
    if (first == 1 && p->tokens->list[p->at + ahead + 1].len == 2)
        return true; /* \frac12 */
    return first > 0 && pl_math_parser_whole_argument(p, ahead + 1 + first) > 0;
}

static uint16_t make_digits(struct pl_math_parser *p, size_t token, size_t from, size_t len)
{
    return pl_math_parser_make_named(p, PL_MATH_NODE_NUMBER,
                                     p->tokens->text + p->tokens->list[token].at + from, len);
}

static uint16_t parse_plain_number(struct pl_math_parser *p)
{
    const size_t i = p->at++;

    return make_digits(p, i, 0, p->tokens->list[i].len);
}

static uint16_t make_quotient(struct pl_math_parser *p, uint16_t over, uint16_t under)
{
    const uint16_t node = pl_math_parser_make(p, PL_MATH_NODE_PRODUCT);
    uint16_t last = 0;

    pl_math_parser_adopt(p, node, &last, over, '*');
    pl_math_parser_adopt(p, node, &last, under, '/');
    return p->rc < 0 ? 0 : node;
}

/* What \frac takes: a group, a digit, a letter, ... */
static uint16_t parse_argument(struct pl_math_parser *p)
{
    if (pl_math_parser_sign(p) == PL_MATH_NUMBER && p->tokens->list[p->at].len > 1)
        return pl_math_parser_fail(p, PL_EFORMAT); /* \frac{1}23: who knows */
    return pl_math_parse_primary(p);
}

static uint16_t parse_fraction(struct pl_math_parser *p)
{
    const size_t i = p->at + 1;
    uint16_t over, under;

    p->at++;
    if (pl_math_parser_whole(p, 0) && p->tokens->list[i].len == 2) { /* \frac12 */
        over = make_digits(p, i, 0, 1);
        under = make_digits(p, i, 1, 1);
        p->at++;
    } else {
        over = parse_argument(p);
        under = parse_argument(p);
    }
    return make_quotient(p, over, under);
}

static uint16_t parse_number(struct pl_math_parser *p)
{
    uint16_t whole, part, node, last = 0;

    if (pl_math_parser_ahead(p, 1) == '_')
        return parse_name(p, PL_MATH_NODE_NAME);
    if (!pl_math_parser_whole(p, 0) || !whole_fraction(p, 1))
        return parse_plain_number(p);
    whole = parse_plain_number(p);
    if (pl_math_parser_sign(p) == PL_MATH_FRACTION) {
        part = parse_fraction(p);
    } else {
        part = parse_plain_number(p);
        p->at++;
        part = make_quotient(p, part, parse_plain_number(p));
    }
    node = pl_math_parser_make(p, PL_MATH_NODE_SUM);
    pl_math_parser_adopt(p, node, &last, whole, '+');
    pl_math_parser_adopt(p, node, &last, part, '+');
    return p->rc < 0 ? 0 : node;
}

/* "f(": f, g, h always; P, Q and the like only as in P(x) or P(2). */
static bool is_function(const struct pl_math_parser *p)
{
    const struct pl_math_token *t = &p->tokens->list[p->at];
    const char letter = p->tokens->text[t->at];

    if (pl_math_parser_ahead(p, 1) != '(' || t->len > 2 ||
        (t->len == 2 && p->tokens->text[t->at + 1] != '\''))
        return false;
    if (strchr("fgh", letter))
        return true;
    return strchr("pqFGHPQRST", letter) &&
           (pl_math_parser_ahead(p, 2) == PL_MATH_LETTER ||
            pl_math_parser_ahead(p, 2) == PL_MATH_NUMBER) &&
           pl_math_parser_ahead(p, 3) == ')';
}

static uint16_t parse_letter(struct pl_math_parser *p)
{
    const struct pl_math_token *t = &p->tokens->list[p->at];
    uint16_t node, last = 0;

    if (!is_function(p))
        return parse_name(p, PL_MATH_NODE_NAME);
    node = pl_math_parser_make_named(p, PL_MATH_NODE_APPLY, p->tokens->text + t->at, t->len);
    p->at++;
    pl_math_parser_adopt(p, node, &last, pl_math_parse_primary(p), 0);
    return node;
}

/* --- functions --- */

static uint16_t parse_root(struct pl_math_parser *p)
{
    uint16_t which = 0, arg;

    p->at++;
    if (pl_math_parser_take(p, '[')) {
        which = pl_math_parse_sum(p);
        pl_math_parser_expect(p, ']');
    }
    arg = pl_math_parse_primary(p);
    return p->rc < 0 ? 0 : pl_math_parser_make_over(p, PL_MATH_NODE_ROOT, arg, which);
}

/* What a function is applied to: a group, or all factors up to a sign or the next function. */
static uint16_t parse_function_argument(struct pl_math_parser *p)
{
    uint16_t node, last = 0;

    if (pl_math_parser_sign(p) == '(' || pl_math_parser_sign(p) == '[' ||
        pl_math_parser_sign(p) == '{' || pl_math_parser_sign(p) == '|')
        return pl_math_parse_primary(p);
    node = pl_math_parser_make(p, PL_MATH_NODE_PRODUCT);
    do
        pl_math_parser_adopt(p, node, &last, pl_math_parse_power(p), '*');
    while (p->rc == PL_OK && pl_math_parser_begins_factor(p) &&
           pl_math_parser_sign(p) != PL_MATH_FUNCTION);
    return node;
}

/* An exponent or a sum of money may have a sign. */
static uint16_t parse_signed(struct pl_math_parser *p)
{
    uint16_t node, last = 0;

    if (!pl_math_parser_take(p, '-'))
        return pl_math_parse_primary(p);
    node = pl_math_parser_make(p, PL_MATH_NODE_SUM);
    pl_math_parser_adopt(p, node, &last, pl_math_parse_primary(p), '-');
    return node;
}

/* Whether the node is -1. */
static bool is_minus_one(const struct pl_math_parser *p, uint16_t node)
{
    const struct pl_math_node *n = &p->tree->nodes[node], *child = &p->tree->nodes[n->child];

    return n->kind == PL_MATH_NODE_SUM && n->count == 1 && child->sign == '-' &&
           child->kind == PL_MATH_NODE_NUMBER && child->end - child->begin == 1 &&
           p->tree->names[child->begin] == '1';
}

static uint16_t parse_function(struct pl_math_parser *p)
{
    const struct pl_math_token *t = &p->tokens->list[p->at++];
    const char *name = p->tokens->text + t->at;
    uint16_t base = 0, exponent = 0, node, last = 0;
    bool inverse = false;

    if (pl_math_parser_take(p, '_'))
        base = pl_math_parse_primary(p);
    if (pl_math_parser_take(p, '^')) {
        exponent = parse_signed(p);
        inverse = p->rc == PL_OK && is_minus_one(p, exponent) && t->len == 3;
    }
    node = pl_math_parser_make_named(p, PL_MATH_NODE_APPLY, inverse ? "arc" : "", inverse ? 3 : 0);
    pl_math_parser_add_name(p, name, t->len);
    if (p->rc < 0)
        return 0;
    p->tree->nodes[node].end = p->tree->names_len;
    pl_math_parser_adopt(p, node, &last, parse_function_argument(p), 0);
    if (base)
        pl_math_parser_adopt(p, node, &last, base, 0);
    return exponent && !inverse ? pl_math_parser_make_over(p, PL_MATH_NODE_POWER, node, exponent)
                                : node;
}

static uint16_t parse_accent(struct pl_math_parser *p)
{
    const struct pl_math_token *t = &p->tokens->list[p->at++];
    const uint16_t node =
        pl_math_parser_make_named(p, PL_MATH_NODE_APPLY, p->tokens->text + t->at, t->len);
    uint16_t last = 0;

    pl_math_parser_adopt(p, node, &last, pl_math_parse_primary(p), 0);
    return node;
}

/* --- groups --- */

/* Items up to a closing token, which is taken; they become children of a node of this kind. */
static uint16_t parse_items(struct pl_math_parser *p, enum pl_math_node_kind kind, uint16_t close,
                            uint16_t other_close)
{
    const bool in_abs = p->in_abs;
    const uint16_t node = pl_math_parser_make(p, kind);
    uint16_t last = 0;

    p->in_abs = false;
    do
        pl_math_parser_adopt(p, node, &last, pl_math_parse_item(p), ',');
    while (p->rc == PL_OK && (pl_math_parser_take(p, ',') || pl_math_parser_take(p, ';')));
    p->in_abs = in_abs;
    if (p->rc == PL_OK)
        p->tree->nodes[node].close = (char)pl_math_parser_sign(p);
    if (!pl_math_parser_take(p, close) && !pl_math_parser_take(p, other_close))
        return pl_math_parser_fail(p, PL_EFORMAT);
    return p->rc < 0 ? 0 : node;
}

/* "(", "[" and "{": around one item they only group. */
static uint16_t parse_group(struct pl_math_parser *p)
{
    const char open = (char)pl_math_parser_sign(p);
    const bool brace = open == '{';
    uint16_t node;
    struct pl_math_node *n;

    p->at++;
    node = parse_items(p, brace ? PL_MATH_NODE_SET : PL_MATH_NODE_SEQUENCE, brace ? '}' : ')',
                       brace ? '}' : ']');
    n = &p->tree->nodes[node];
    if (p->rc < 0)
        return 0;
    n->open = open;
    if (n->count > 1)
        return node;
    if (!brace && (open == '(') != (n->close == ')'))
        return pl_math_parser_fail(p, PL_EFORMAT);
    p->tree->nodes[n->child].sign = 0;
    return n->child;
}

static uint16_t parse_between(struct pl_math_parser *p, enum pl_math_node_kind kind, uint16_t close)
{
    const bool in_abs = p->in_abs;
    uint16_t inner;

    p->at++;
    p->in_abs = close == '|';
    inner = pl_math_parse_sum(p);
    p->in_abs = in_abs;
    pl_math_parser_expect(p, close);
    return p->rc < 0 ? 0 : pl_math_parser_make_over(p, kind, inner, 0);
}

static uint16_t parse_set(struct pl_math_parser *p)
{
    p->at++;
    if (pl_math_parser_take(p, PL_MATH_SET_CLOSE))
        return pl_math_parser_make(p, PL_MATH_NODE_SET);
    return parse_items(p, PL_MATH_NODE_SET, PL_MATH_SET_CLOSE, PL_MATH_SET_CLOSE);
}

static uint16_t parse_binomial(struct pl_math_parser *p)
{
    uint16_t n, k;

    p->at++;
    n = parse_argument(p);
    k = parse_argument(p);
    return p->rc < 0 ? 0 : pl_math_parser_make_over(p, PL_MATH_NODE_BINOMIAL, n, k);
}

/* "\begin{pmatrix} a & b \\ c & d \end{pmatrix}", all rows of the same length. */
static uint16_t parse_matrix(struct pl_math_parser *p)
{
    static const char *const kinds[] = {"pmatrix", "bmatrix", "matrix", "array", "vmatrix"};
    const uint16_t node = pl_math_parser_make(p, PL_MATH_NODE_MATRIX);
    uint16_t last = 0, columns = 0, column = 0;
    size_t kind = 0;

    while (kind < 5 && !pl_math_token_is(p->tokens, p->at, PL_MATH_BEGIN, kinds[kind]))
        kind++;
    if (kind == 5)
        return pl_math_parser_fail(p, PL_EFORMAT);
    p->at++;
    while (p->rc == PL_OK && pl_math_parser_sign(p) != PL_MATH_END) {
        pl_math_parser_adopt(p, node, &last, pl_math_parse_sum(p), ',');
        column++;
        if (pl_math_parser_take(p, '&'))
            continue;
        if (columns && column != columns)
            pl_math_parser_fail(p, PL_EFORMAT);
        columns = column;
        column = 0;
        if (!pl_math_parser_take(p, PL_MATH_NEXT_ROW))
            break;
    }
    if (!pl_math_parser_expect(p, PL_MATH_END) || column != 0 || columns == 0)
        return pl_math_parser_fail(p, PL_EFORMAT);
    p->tree->nodes[node].columns = columns;
    p->tree->nodes[node].open = kinds[kind][0] == 'v' ? 'v' : 'm';
    return node;
}

static uint16_t parse_dollars(struct pl_math_parser *p)
{
    p->at++;
    p->dollars = true;
    return parse_signed(p);
}

uint16_t pl_math_parse_primary(struct pl_math_parser *p)
{
    uint16_t node;

    if (!pl_math_parser_enter(p))
        return 0;
    switch (pl_math_parser_sign(p)) {
    case PL_MATH_NUMBER:
        node = parse_number(p);
        break;
    case PL_MATH_LETTER:
        node = parse_letter(p);
        break;
    case '(':
    case '[':
    case '{':
        node = parse_group(p);
        break;
    case PL_MATH_SET_OPEN:
        node = parse_set(p);
        break;
    case PL_MATH_FRACTION:
        node = parse_fraction(p);
        break;
    case PL_MATH_ROOT:
        node = parse_root(p);
        break;
    case PL_MATH_BINOMIAL:
        node = parse_binomial(p);
        break;
    case PL_MATH_FUNCTION:
        node = parse_function(p);
        break;
    case PL_MATH_ACCENT:
        node = parse_accent(p);
        break;
    case '|':
        node = parse_between(p, PL_MATH_NODE_ABS, '|');
        break;
    case PL_MATH_FLOOR_OPEN:
        node = parse_between(p, PL_MATH_NODE_FLOOR, PL_MATH_FLOOR_CLOSE);
        break;
    case PL_MATH_CEIL_OPEN:
        node = parse_between(p, PL_MATH_NODE_CEIL, PL_MATH_CEIL_CLOSE);
        break;
    case PL_MATH_INFINITY:
        p->at++;
        node = pl_math_parser_make(p, PL_MATH_NODE_INFINITY);
        break;
    case PL_MATH_EMPTY:
        p->at++;
        node = pl_math_parser_make(p, PL_MATH_NODE_SET);
        break;
    case PL_MATH_BEGIN:
        node = parse_matrix(p);
        break;
    case '$':
        node = parse_dollars(p);
        break;
    default:
        node = pl_math_parser_fail(p, PL_EFORMAT);
    }
    return pl_math_parser_leave(p, node);
}

/* --- powers --- */

uint16_t pl_math_parse_power(struct pl_math_parser *p)
{
    uint16_t node = pl_math_parse_primary(p);
    bool raised = false;

    while (p->rc == PL_OK) {
        if (pl_math_parser_take(p, '!')) {
            node = pl_math_parser_make_over(p, PL_MATH_NODE_FACTORIAL, node, 0);
        } else if (pl_math_parser_take(p, '%')) {
            node = pl_math_parser_make_over(p, PL_MATH_NODE_PERCENT, node, 0);
        } else if (pl_math_parser_take(p, PL_MATH_DEGREE)) {
            node = pl_math_parser_make_over(p, PL_MATH_NODE_DEGREE, node, 0);
        } else if (!raised && pl_math_parser_take(p, '^')) {
            const uint16_t exponent = parse_signed(p);

            raised = true;
            node = p->rc < 0 ? 0 : pl_math_parser_make_over(p, PL_MATH_NODE_POWER, node, exponent);
        } else {
            break;
        }
    }
    return node;
}
