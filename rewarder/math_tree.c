/* Functions that call each other in circles go through enter(), which bounds their depth. */
#include "rewarder/math_tree.h"
#include "common/base/err.h"

#include <string.h>

struct parser {
    const struct pl_math_tokens *tokens;
    struct pl_math_tree *tree;
    size_t at;
    int depth;
    bool in_abs; /* a "|" closes */
    bool dollars;
    int rc; /* the first error; all functions return 0, no node, from then on */
};

/* The innermost tokens that a list ends at, and words that part its items. */
static uint16_t parse_item(struct parser *p);
static uint16_t parse_sum(struct parser *p);
static uint16_t parse_primary(struct parser *p);
static uint16_t parse_power(struct parser *p);

/* --- tokens --- */

static uint16_t sign_at(const struct parser *p, size_t ahead)
{
    return p->at + ahead < p->tokens->count ? p->tokens->list[p->at + ahead].sign : 0;
}

static uint16_t sign(const struct parser *p)
{
    return sign_at(p, 0);
}

static uint16_t no(struct parser *p, int rc)
{
    if (p->rc == PL_OK)
        p->rc = rc;
    return 0;
}

static bool take(struct parser *p, uint16_t wanted)
{
    if (sign(p) != wanted)
        return false;
    p->at++;
    return true;
}

static bool expect(struct parser *p, uint16_t wanted)
{
    if (take(p, wanted))
        return true;
    no(p, PL_EFORMAT);
    return false;
}

static bool joins(const struct parser *p)
{
    return pl_math_token_is(p->tokens, p->at, PL_MATH_WORD, "and") ||
           pl_math_token_is(p->tokens, p->at, PL_MATH_WORD, "or");
}

static bool is_whole(const struct parser *p, size_t ahead)
{
    const struct pl_math_token *t = &p->tokens->list[p->at + ahead];

    if (sign_at(p, ahead) != PL_MATH_NUMBER)
        return false;
    for (size_t i = 0; i < t->len; i++)
        if (p->tokens->text[t->at + i] < '0' || p->tokens->text[t->at + i] > '9')
            return false;
    return true;
}

/* --- nodes --- */

static uint16_t make(struct parser *p, enum pl_math_node_kind kind)
{
    struct pl_math_tree *t = p->tree;

    if (p->rc < 0 || t->count == PL_MATH_NODES_MAX)
        return no(p, PL_EFULL);
    t->nodes[t->count] = (struct pl_math_node){.kind = (uint8_t)kind};
    return t->count++;
}

/* Add a child; `last` is the one before it, 0 for the first. */
static void adopt(struct parser *p, uint16_t parent, uint16_t *last, uint16_t child,
                  uint16_t before)
{
    struct pl_math_node *nodes = p->tree->nodes;

    if (p->rc < 0)
        return;
    nodes[child].sign = before;
    if (*last)
        nodes[*last].next = child;
    else
        nodes[parent].child = child;
    nodes[parent].count++;
    *last = child;
}

static uint16_t make_over(struct parser *p, enum pl_math_node_kind kind, uint16_t first,
                          uint16_t second)
{
    const uint16_t node = make(p, kind);
    uint16_t last = 0;

    adopt(p, node, &last, first, 0);
    if (second)
        adopt(p, node, &last, second, 0);
    return p->rc < 0 ? 0 : node;
}

static void add_name(struct parser *p, const char *text, size_t len)
{
    struct pl_math_tree *t = p->tree;

    if (len > (size_t)(PL_MATH_NAMES_MAX - t->names_len)) {
        no(p, PL_EFULL);
        return;
    }
    memcpy(t->names + t->names_len, text, len);
    t->names_len = (uint16_t)(t->names_len + len);
}

static void add_token(struct parser *p, size_t i)
{
    const struct pl_math_token *t = &p->tokens->list[i];
    const char mark = (char)t->sign;

    if (t->sign < 128)
        add_name(p, &mark, 1);
    else if (t->len > 0)
        add_name(p, p->tokens->text + t->at, t->len);
    else
        no(p, PL_EFORMAT);
}

static uint16_t make_named(struct parser *p, enum pl_math_node_kind kind, const char *text,
                           size_t len)
{
    const uint16_t node = make(p, kind), begin = p->tree->names_len;

    add_name(p, text, len);
    if (p->rc < 0)
        return 0;
    p->tree->nodes[node].begin = begin;
    p->tree->nodes[node].end = p->tree->names_len;
    return node;
}

static bool enter(struct parser *p)
{
    if (p->depth == PL_MATH_DEPTH_MAX)
        no(p, PL_EFULL);
    else if (p->rc == PL_OK)
        p->depth++;
    return p->rc == PL_OK;
}

static uint16_t leave(struct parser *p, uint16_t node)
{
    p->depth--;
    return p->rc < 0 ? 0 : node;
}

/* --- numbers and names --- */

/* "_2", "_{n+1}" behind a name or numeral: as text. */
static void add_index(struct parser *p)
{
    if (!take(p, '_'))
        return;
    add_name(p, "_", 1);
    if (take(p, '{')) {
        while (sign(p) && sign(p) != '}' && sign(p) != '{')
            add_token(p, p->at++);
        expect(p, '}');
    } else if (sign(p)) {
        add_token(p, p->at++);
    } else {
        no(p, PL_EFORMAT);
    }
}

static uint16_t parse_name(struct parser *p, enum pl_math_node_kind kind)
{
    const struct pl_math_token *t = &p->tokens->list[p->at++];
    const uint16_t node = make_named(p, kind, p->tokens->text + t->at, t->len);

    add_index(p);
    if (p->rc < 0)
        return 0;
    p->tree->nodes[node].end = p->tree->names_len;
    return node;
}

/* The tokens of one argument that is a whole number, braces or not; 0: it is none. */
static size_t whole_argument(const struct parser *p, size_t ahead)
{
    if (sign_at(p, ahead) == '{')
        return is_whole(p, ahead + 1) && sign_at(p, ahead + 2) == '}' ? 3 : 0;
    return is_whole(p, ahead);
}

/* Whether the fraction `ahead` has whole numbers only. */
static bool whole_fraction(const struct parser *p, size_t ahead)
{
    size_t first;

    if (sign_at(p, ahead) != PL_MATH_FRACTION)
        return is_whole(p, ahead) && sign_at(p, ahead + 1) == '/' && is_whole(p, ahead + 2) &&
               p->tokens->list[p->at + ahead].spaced;
    first = whole_argument(p, ahead + 1);
    if (first == 1 && p->tokens->list[p->at + ahead + 1].len == 2)
        return true; /* \frac12 */
    return first > 0 && whole_argument(p, ahead + 1 + first) > 0;
}

static uint16_t make_digits(struct parser *p, size_t token, size_t from, size_t len)
{
    return make_named(p, PL_MATH_NODE_NUMBER, p->tokens->text + p->tokens->list[token].at + from,
                      len);
}

static uint16_t parse_plain_number(struct parser *p)
{
    const size_t i = p->at++;

    return make_digits(p, i, 0, p->tokens->list[i].len);
}

static uint16_t make_quotient(struct parser *p, uint16_t over, uint16_t under)
{
    const uint16_t node = make(p, PL_MATH_NODE_PRODUCT);
    uint16_t last = 0;

    adopt(p, node, &last, over, '*');
    adopt(p, node, &last, under, '/');
    return p->rc < 0 ? 0 : node;
}

/* What \frac takes: a group, a digit, a letter, ... */
static uint16_t parse_argument(struct parser *p)
{
    if (sign(p) == PL_MATH_NUMBER && p->tokens->list[p->at].len > 1)
        return no(p, PL_EFORMAT); /* \frac{1}23: who knows */
    return parse_primary(p);
}

static uint16_t parse_fraction(struct parser *p)
{
    const size_t i = p->at + 1;
    uint16_t over, under;

    p->at++;
    if (is_whole(p, 0) && p->tokens->list[i].len == 2) { /* \frac12 */
        over = make_digits(p, i, 0, 1);
        under = make_digits(p, i, 1, 1);
        p->at++;
    } else {
        over = parse_argument(p);
        under = parse_argument(p);
    }
    return make_quotient(p, over, under);
}

static uint16_t parse_number(struct parser *p)
{
    uint16_t whole, part, node, last = 0;

    if (sign_at(p, 1) == '_')
        return parse_name(p, PL_MATH_NODE_NAME);
    if (!is_whole(p, 0) || !whole_fraction(p, 1))
        return parse_plain_number(p);
    whole = parse_plain_number(p);
    if (sign(p) == PL_MATH_FRACTION) {
        part = parse_fraction(p);
    } else {
        part = parse_plain_number(p);
        p->at++;
        part = make_quotient(p, part, parse_plain_number(p));
    }
    node = make(p, PL_MATH_NODE_SUM);
    adopt(p, node, &last, whole, '+');
    adopt(p, node, &last, part, '+');
    return p->rc < 0 ? 0 : node;
}

/* "f(": f, g, h always; P, Q and the like only as in P(x) or P(2). */
static bool is_function(const struct parser *p)
{
    const struct pl_math_token *t = &p->tokens->list[p->at];
    const char letter = p->tokens->text[t->at];

    if (sign_at(p, 1) != '(' || t->len > 2 || (t->len == 2 && p->tokens->text[t->at + 1] != '\''))
        return false;
    if (strchr("fgh", letter))
        return true;
    return strchr("pqFGHPQRST", letter) &&
           (sign_at(p, 2) == PL_MATH_LETTER || sign_at(p, 2) == PL_MATH_NUMBER) &&
           sign_at(p, 3) == ')';
}

static uint16_t parse_letter(struct parser *p)
{
    const struct pl_math_token *t = &p->tokens->list[p->at];
    uint16_t node, last = 0;

    if (!is_function(p))
        return parse_name(p, PL_MATH_NODE_NAME);
    node = make_named(p, PL_MATH_NODE_APPLY, p->tokens->text + t->at, t->len);
    p->at++;
    adopt(p, node, &last, parse_primary(p), 0);
    return node;
}

/* --- functions --- */

/* Whether a token can begin a factor that is multiplied without a sign. */
static bool begins_factor(const struct parser *p)
{
    switch (sign(p)) {
    case PL_MATH_LETTER:
        return !p->tokens->list[p->at].text;
    case '|':
        return !p->in_abs;
    case '(':
    case '[':
    case '{':
    case PL_MATH_FRACTION:
    case PL_MATH_ROOT:
    case PL_MATH_BINOMIAL:
    case PL_MATH_FUNCTION:
    case PL_MATH_ACCENT:
    case PL_MATH_INFINITY:
    case PL_MATH_FLOOR_OPEN:
    case PL_MATH_CEIL_OPEN:
        return true;
    default:
        return false;
    }
}

static uint16_t parse_root(struct parser *p)
{
    uint16_t which = 0, arg;

    p->at++;
    if (take(p, '[')) {
        which = parse_sum(p);
        expect(p, ']');
    }
    arg = parse_primary(p);
    return p->rc < 0 ? 0 : make_over(p, PL_MATH_NODE_ROOT, arg, which);
}

/* What a function is applied to: a group, or all factors up to a sign or the next function. */
static uint16_t parse_function_argument(struct parser *p)
{
    uint16_t node, last = 0;

    if (sign(p) == '(' || sign(p) == '[' || sign(p) == '{' || sign(p) == '|')
        return parse_primary(p);
    node = make(p, PL_MATH_NODE_PRODUCT);
    do
        adopt(p, node, &last, parse_power(p), '*');
    while (p->rc == PL_OK && begins_factor(p) && sign(p) != PL_MATH_FUNCTION);
    return node;
}

/* An exponent or a sum of money may have a sign. */
static uint16_t parse_signed(struct parser *p)
{
    uint16_t node, last = 0;

    if (!take(p, '-'))
        return parse_primary(p);
    node = make(p, PL_MATH_NODE_SUM);
    adopt(p, node, &last, parse_primary(p), '-');
    return node;
}

/* Whether the node is -1. */
static bool is_minus_one(const struct parser *p, uint16_t node)
{
    const struct pl_math_node *n = &p->tree->nodes[node], *child = &p->tree->nodes[n->child];

    return n->kind == PL_MATH_NODE_SUM && n->count == 1 && child->sign == '-' &&
           child->kind == PL_MATH_NODE_NUMBER && child->end - child->begin == 1 &&
           p->tree->names[child->begin] == '1';
}

static uint16_t parse_function(struct parser *p)
{
    const struct pl_math_token *t = &p->tokens->list[p->at++];
    const char *name = p->tokens->text + t->at;
    uint16_t base = 0, exponent = 0, node, last = 0;
    bool inverse = false;

    if (take(p, '_'))
        base = parse_primary(p);
    if (take(p, '^')) {
        exponent = parse_signed(p);
        inverse = p->rc == PL_OK && is_minus_one(p, exponent) && t->len == 3;
    }
    node = make_named(p, PL_MATH_NODE_APPLY, inverse ? "arc" : "", inverse ? 3 : 0);
    add_name(p, name, t->len);
    if (p->rc < 0)
        return 0;
    p->tree->nodes[node].end = p->tree->names_len;
    adopt(p, node, &last, parse_function_argument(p), 0);
    if (base)
        adopt(p, node, &last, base, 0);
    return exponent && !inverse ? make_over(p, PL_MATH_NODE_POWER, node, exponent) : node;
}

static uint16_t parse_accent(struct parser *p)
{
    const struct pl_math_token *t = &p->tokens->list[p->at++];
    const uint16_t node = make_named(p, PL_MATH_NODE_APPLY, p->tokens->text + t->at, t->len);
    uint16_t last = 0;

    adopt(p, node, &last, parse_primary(p), 0);
    return node;
}

/* --- groups --- */

/* Items up to a closing token, which is taken; they become children of a node of this kind. */
static uint16_t parse_items(struct parser *p, enum pl_math_node_kind kind, uint16_t close,
                            uint16_t other_close)
{
    const bool in_abs = p->in_abs;
    const uint16_t node = make(p, kind);
    uint16_t last = 0;

    p->in_abs = false;
    do
        adopt(p, node, &last, parse_item(p), ',');
    while (p->rc == PL_OK && (take(p, ',') || take(p, ';')));
    p->in_abs = in_abs;
    if (p->rc == PL_OK)
        p->tree->nodes[node].close = (char)sign(p);
    if (!take(p, close) && !take(p, other_close))
        return no(p, PL_EFORMAT);
    return p->rc < 0 ? 0 : node;
}

/* "(", "[" and "{": around one item they only group. */
static uint16_t parse_group(struct parser *p)
{
    const char open = (char)sign(p);
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
        return no(p, PL_EFORMAT);
    p->tree->nodes[n->child].sign = 0;
    return n->child;
}

static uint16_t parse_between(struct parser *p, enum pl_math_node_kind kind, uint16_t close)
{
    const bool in_abs = p->in_abs;
    uint16_t inner;

    p->at++;
    p->in_abs = close == '|';
    inner = parse_sum(p);
    p->in_abs = in_abs;
    expect(p, close);
    return p->rc < 0 ? 0 : make_over(p, kind, inner, 0);
}

static uint16_t parse_set(struct parser *p)
{
    p->at++;
    if (take(p, PL_MATH_SET_CLOSE))
        return make(p, PL_MATH_NODE_SET);
    return parse_items(p, PL_MATH_NODE_SET, PL_MATH_SET_CLOSE, PL_MATH_SET_CLOSE);
}

static uint16_t parse_binomial(struct parser *p)
{
    uint16_t n, k;

    p->at++;
    n = parse_argument(p);
    k = parse_argument(p);
    return p->rc < 0 ? 0 : make_over(p, PL_MATH_NODE_BINOMIAL, n, k);
}

/* "\begin{pmatrix} a & b \\ c & d \end{pmatrix}", all rows of the same length. */
static uint16_t parse_matrix(struct parser *p)
{
    static const char *const kinds[] = {"pmatrix", "bmatrix", "matrix", "array", "vmatrix"};
    const uint16_t node = make(p, PL_MATH_NODE_MATRIX);
    uint16_t last = 0, columns = 0, column = 0;
    size_t kind = 0;

    while (kind < 5 && !pl_math_token_is(p->tokens, p->at, PL_MATH_BEGIN, kinds[kind]))
        kind++;
    if (kind == 5)
        return no(p, PL_EFORMAT);
    p->at++;
    while (p->rc == PL_OK && sign(p) != PL_MATH_END) {
        adopt(p, node, &last, parse_sum(p), ',');
        column++;
        if (take(p, '&'))
            continue;
        if (columns && column != columns)
            no(p, PL_EFORMAT);
        columns = column;
        column = 0;
        if (!take(p, PL_MATH_NEXT_ROW))
            break;
    }
    if (!expect(p, PL_MATH_END) || column != 0 || columns == 0)
        return no(p, PL_EFORMAT);
    p->tree->nodes[node].columns = columns;
    p->tree->nodes[node].open = kinds[kind][0] == 'v' ? 'v' : 'm';
    return node;
}

static uint16_t parse_dollars(struct parser *p)
{
    p->at++;
    p->dollars = true;
    return parse_signed(p);
}

static uint16_t parse_primary(struct parser *p)
{
    uint16_t node;

    if (!enter(p))
        return 0;
    switch (sign(p)) {
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
        node = make(p, PL_MATH_NODE_INFINITY);
        break;
    case PL_MATH_EMPTY:
        p->at++;
        node = make(p, PL_MATH_NODE_SET);
        break;
    case PL_MATH_BEGIN:
        node = parse_matrix(p);
        break;
    case '$':
        node = parse_dollars(p);
        break;
    default:
        node = no(p, PL_EFORMAT);
    }
    return leave(p, node);
}

/* --- sums of products of powers --- */

static uint16_t parse_power(struct parser *p)
{
    uint16_t node = parse_primary(p);
    bool raised = false;

    while (p->rc == PL_OK) {
        if (take(p, '!')) {
            node = make_over(p, PL_MATH_NODE_FACTORIAL, node, 0);
        } else if (take(p, '%')) {
            node = make_over(p, PL_MATH_NODE_PERCENT, node, 0);
        } else if (take(p, PL_MATH_DEGREE)) {
            node = make_over(p, PL_MATH_NODE_DEGREE, node, 0);
        } else if (!raised && take(p, '^')) {
            const uint16_t exponent = parse_signed(p);

            raised = true;
            node = p->rc < 0 ? 0 : make_over(p, PL_MATH_NODE_POWER, node, exponent);
        } else {
            break;
        }
    }
    return node;
}

/* A factor may have a sign of its own: 2 \cdot -3, 5 + -3. */
static uint16_t parse_factor(struct parser *p)
{
    uint16_t node, last = 0;

    if (!take(p, '-'))
        return parse_power(p);
    node = make(p, PL_MATH_NODE_SUM);
    adopt(p, node, &last, parse_power(p), '-');
    return node;
}

/* A node with one child that is added, or multiplied, is that child. */
static uint16_t unwrap(const struct parser *p, uint16_t node, uint16_t neutral)
{
    struct pl_math_node *n = &p->tree->nodes[node];

    if (p->rc < 0)
        return 0;
    return n->count == 1 && p->tree->nodes[n->child].sign == neutral ? n->child : node;
}

/* "2^{3} 5" and "2^n 5^n" are products, unlike "x2". */
static bool number_behind_power(const struct parser *p, uint16_t last)
{
    return sign(p) == PL_MATH_NUMBER && p->tree->nodes[last].kind == PL_MATH_NODE_POWER &&
           (p->tokens->list[p->at].spaced || p->tokens->list[p->at - 1].sign == '}');
}

static uint16_t parse_term(struct parser *p)
{
    const uint16_t node = make(p, PL_MATH_NODE_PRODUCT);
    uint16_t last = 0;

    adopt(p, node, &last, parse_factor(p), '*');
    while (p->rc == PL_OK) {
        if (take(p, '*'))
            adopt(p, node, &last, parse_factor(p), '*');
        else if (take(p, '/'))
            adopt(p, node, &last, parse_factor(p), '/');
        else if (begins_factor(p) || number_behind_power(p, last))
            adopt(p, node, &last, parse_power(p), '*');
        else
            break;
    }
    return unwrap(p, node, '*');
}

static bool is_sign(uint16_t s)
{
    return s == '+' || s == '-' || s == PL_MATH_PLUS_MINUS || s == PL_MATH_MINUS_PLUS;
}

static uint16_t parse_sum(struct parser *p)
{
    uint16_t node, last = 0, before = '+';

    if (!enter(p))
        return 0;
    node = make(p, PL_MATH_NODE_SUM);
    if (is_sign(sign(p)))
        before = p->tokens->list[p->at++].sign;
    adopt(p, node, &last, parse_term(p), before);
    while (p->rc == PL_OK && is_sign(sign(p))) {
        before = p->tokens->list[p->at++].sign;
        adopt(p, node, &last, parse_term(p), before);
    }
    return leave(p, unwrap(p, node, '+'));
}

/* --- what is made of sums --- */

/* A word, or a letter in \text{}, that can be of a unit. */
static bool begins_unit(const struct parser *p, size_t ahead)
{
    const uint16_t s = sign_at(p, ahead);

    return s == PL_MATH_WORD || (s == PL_MATH_LETTER && p->tokens->list[p->at + ahead].text);
}

static void skip_unit(struct parser *p)
{
    while (begins_unit(p, 0) && !joins(p)) {
        p->at++;
        if (sign(p) == '^' && is_whole(p, 1))
            p->at += 2;
        else if (sign(p) == '^' && whole_argument(p, 1) == 3)
            p->at += 4;
        if (sign(p) == '/' && begins_unit(p, 1))
            p->at++;
    }
}

/* "million" behind a number. */
static uint16_t parse_scale(struct parser *p, uint16_t number)
{
    static const struct {
        const char *word, *digits;
    } scales[] = {{"hundred", "100"},
                  {"thousand", "1000"},
                  {"million", "1000000"},
                  {"billion", "1000000000"}};

    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
        if (pl_math_token_is(p->tokens, p->at, PL_MATH_WORD, scales[i].word)) {
            const uint16_t node = make(p, PL_MATH_NODE_PRODUCT);
            uint16_t last = 0;

            p->at++;
            adopt(p, node, &last, number, '*');
            adopt(p, node, &last,
                  make_named(p, PL_MATH_NODE_NUMBER, scales[i].digits, strlen(scales[i].digits)),
                  '*');
            return node;
        }
    return number;
}

static uint16_t parse_ratio(struct parser *p, uint16_t first)
{
    const uint16_t node = make(p, PL_MATH_NODE_SEQUENCE);
    uint16_t last = 0;

    adopt(p, node, &last, first, ':');
    while (p->rc == PL_OK && take(p, ':'))
        adopt(p, node, &last, parse_sum(p), ':');
    p->tree->nodes[node].open = p->tree->nodes[node].close = ':';
    return node;
}

static uint16_t parse_side(struct parser *p)
{
    const bool dollars = p->dollars;
    uint16_t node, unit;
    size_t begin;

    p->dollars = false;
    node = parse_sum(p);
    if (p->rc == PL_OK)
        node = parse_scale(p, node);
    if (p->rc == PL_OK && sign(p) == ':')
        node = parse_ratio(p, node);
    begin = p->at;
    if (p->rc == PL_OK)
        skip_unit(p);
    if (p->rc == PL_OK && (p->at > begin || p->dollars)) {
        unit = make_over(p, PL_MATH_NODE_UNIT, node, 0);
        if (p->rc == PL_OK) {
            p->tree->nodes[unit].begin = (uint16_t)begin;
            p->tree->nodes[unit].end = (uint16_t)p->at;
        }
        node = unit;
    }
    p->dollars = dollars;
    return p->rc < 0 ? 0 : node;
}

static uint16_t parse_union(struct parser *p)
{
    uint16_t node = parse_side(p), first = node, last = 0;

    if (p->rc < 0 || sign(p) != PL_MATH_UNION)
        return node;
    node = make(p, PL_MATH_NODE_UNION);
    adopt(p, node, &last, first, PL_MATH_UNION);
    while (p->rc == PL_OK && take(p, PL_MATH_UNION))
        adopt(p, node, &last, parse_side(p), PL_MATH_UNION);
    return node;
}

static bool is_relation(uint16_t s)
{
    return s == '=' || s == '<' || s == '>' || s == PL_MATH_AT_MOST || s == PL_MATH_AT_LEAST ||
           s == PL_MATH_UNEQUAL || s == PL_MATH_IN;
}

static uint16_t parse_relation(struct parser *p)
{
    uint16_t node = parse_union(p), first = node, last = 0;

    if (p->rc < 0 || !is_relation(sign(p)))
        return node;
    node = make(p, PL_MATH_NODE_RELATION);
    adopt(p, node, &last, first, 0);
    while (p->rc == PL_OK && is_relation(sign(p))) {
        const uint16_t before = p->tokens->list[p->at++].sign;

        adopt(p, node, &last, parse_union(p), before);
    }
    return node;
}

static uint16_t parse_item(struct parser *p)
{
    const size_t begin = p->at;
    uint16_t node;

    if (!enter(p))
        return 0;
    while (sign(p) == PL_MATH_WORD && !joins(p))
        p->at++;
    if (p->at == begin || take(p, '=') || take(p, PL_MATH_IN))
        return leave(p, parse_relation(p)); /* "the area = 5" */
    node = make(p, PL_MATH_NODE_WORDS);
    if (p->rc == PL_OK) {
        p->tree->nodes[node].begin = (uint16_t)begin;
        p->tree->nodes[node].end = (uint16_t)p->at;
    }
    return leave(p, node);
}

int pl_math_tree_read(const struct pl_math_tokens *tokens, struct pl_math_tree *ret)
{
    struct parser p = {.tokens = tokens, .tree = ret};
    uint16_t node, last = 0, list;

    ret->tokens = tokens;
    ret->count = 1;
    ret->nodes[0] = (struct pl_math_node){.kind = PL_MATH_NODE_WORDS};
    ret->names_len = 0;
    node = parse_item(&p);
    if (p.rc == PL_OK && p.at < tokens->count) {
        list = make(&p, PL_MATH_NODE_LIST);
        adopt(&p, list, &last, node, ',');
        while (p.rc == PL_OK && p.at < tokens->count) {
            bool parted = take(&p, ',') || take(&p, ';');

            if (joins(&p)) {
                p.at++;
                parted = true;
            }
            if (!parted)
                return PL_EFORMAT;
            adopt(&p, list, &last, parse_item(&p), ',');
        }
        node = list;
    }
    ret->root = node;
    return p.rc;
}
