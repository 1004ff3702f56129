/* Sums and products, and the lists, relations and sides that are made of them. */
#include "rewarder/math_tree.h"
#include "common/base/err.h"
#include "rewarder/math_parser.h"

#include <string.h>

/* --- sums of products of powers --- */

/* A factor may have a sign of its own: 2 \cdot -3, 5 + -3. */
static uint16_t parse_factor(struct pl_math_parser *p)
{
    uint16_t node, last = 0;

    if (!pl_math_parser_take(p, '-'))
        return pl_math_parse_power(p);
    node = pl_math_parser_make(p, PL_MATH_NODE_SUM);
    pl_math_parser_adopt(p, node, &last, pl_math_parse_power(p), '-');
    return node;
}

/* A node with one child that is added, or multiplied, is that child. */
static uint16_t unwrap(const struct pl_math_parser *p, uint16_t node, uint16_t neutral)
{
    struct pl_math_node *n = &p->tree->nodes[node];

    if (p->rc < 0)
        return 0;
    return n->count == 1 && p->tree->nodes[n->child].sign == neutral ? n->child : node;
}

/* "2^{3} 5" and "2^n 5^n" are products, unlike "x2". */
static bool number_behind_power(const struct pl_math_parser *p, uint16_t last)
{
    return pl_math_parser_sign(p) == PL_MATH_NUMBER &&
           p->tree->nodes[last].kind == PL_MATH_NODE_POWER &&
           (p->tokens->list[p->at].spaced || p->tokens->list[p->at - 1].sign == '}');
}

static uint16_t parse_term(struct pl_math_parser *p)
{
    const uint16_t node = pl_math_parser_make(p, PL_MATH_NODE_PRODUCT);
    uint16_t last = 0;

    pl_math_parser_adopt(p, node, &last, parse_factor(p), '*');
    while (p->rc == PL_OK) {
        if (pl_math_parser_take(p, '*'))
            pl_math_parser_adopt(p, node, &last, parse_factor(p), '*');
        else if (pl_math_parser_take(p, '/'))
            pl_math_parser_adopt(p, node, &last, parse_factor(p), '/');
        else if (pl_math_parser_begins_factor(p) || number_behind_power(p, last))
            pl_math_parser_adopt(p, node, &last, pl_math_parse_power(p), '*');
        else
            break;
    }
    return unwrap(p, node, '*');
}

static bool is_sign(uint16_t s)
{
    return s == '+' || s == '-' || s == PL_MATH_PLUS_MINUS || s == PL_MATH_MINUS_PLUS;
}

uint16_t pl_math_parse_sum(struct pl_math_parser *p)
{
    uint16_t node, last = 0, before = '+';

    if (!pl_math_parser_enter(p))
        return 0;
    node = pl_math_parser_make(p, PL_MATH_NODE_SUM);
    if (is_sign(pl_math_parser_sign(p)))
        before = p->tokens->list[p->at++].sign;
    pl_math_parser_adopt(p, node, &last, parse_term(p), before);
    while (p->rc == PL_OK && is_sign(pl_math_parser_sign(p))) {
        before = p->tokens->list[p->at++].sign;
        pl_math_parser_adopt(p, node, &last, parse_term(p), before);
    }
    return pl_math_parser_leave(p, unwrap(p, node, '+'));
}

/* --- what is made of sums --- */

/* A word, or a letter in \text{}, that can be of a unit. */
static bool begins_unit(const struct pl_math_parser *p, size_t ahead)
{
    const uint16_t s = pl_math_parser_ahead(p, ahead);

    return s == PL_MATH_WORD || (s == PL_MATH_LETTER && p->tokens->list[p->at + ahead].text);
}

static void skip_unit(struct pl_math_parser *p)
{
    while (begins_unit(p, 0) && !pl_math_parser_joins(p)) {
        p->at++;
        if (pl_math_parser_sign(p) == '^' && pl_math_parser_whole(p, 1))
            p->at += 2;
        else if (pl_math_parser_sign(p) == '^' && pl_math_parser_whole_argument(p, 1) == 3)
            p->at += 4;
        if (pl_math_parser_sign(p) == '/' && begins_unit(p, 1))
            p->at++;
    }
}

/* "million" behind a number. */
static uint16_t parse_scale(struct pl_math_parser *p, uint16_t number)
{
    static const struct {
        const char *word, *digits;
    } scales[] = {{"hundred", "100"},
                  {"thousand", "1000"},
                  {"million", "1000000"},
                  {"billion", "1000000000"}};

    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
        if (pl_math_token_is(p->tokens, p->at, PL_MATH_WORD, scales[i].word)) {
            const uint16_t node = pl_math_parser_make(p, PL_MATH_NODE_PRODUCT);
            uint16_t last = 0;

            p->at++;
            pl_math_parser_adopt(p, node, &last, number, '*');
            pl_math_parser_adopt(p, node, &last,
                                 pl_math_parser_make_named(p, PL_MATH_NODE_NUMBER, scales[i].digits,
                                                           strlen(scales[i].digits)),
                                 '*');
            return node;
        }
    return number;
}

static uint16_t parse_ratio(struct pl_math_parser *p, uint16_t first)
{
    const uint16_t node = pl_math_parser_make(p, PL_MATH_NODE_SEQUENCE);
    uint16_t last = 0;

    pl_math_parser_adopt(p, node, &last, first, ':');
    while (p->rc == PL_OK && pl_math_parser_take(p, ':'))
        pl_math_parser_adopt(p, node, &last, pl_math_parse_sum(p), ':');
    p->tree->nodes[node].open = p->tree->nodes[node].close = ':';
    return node;
}

static uint16_t parse_side(struct pl_math_parser *p)
{
    const bool dollars = p->dollars;
    uint16_t node, unit;
    size_t begin;

    p->dollars = false;
    node = pl_math_parse_sum(p);
    if (p->rc == PL_OK)
        node = parse_scale(p, node);
    if (p->rc == PL_OK && pl_math_parser_sign(p) == ':')
        node = parse_ratio(p, node);
    begin = p->at;
    if (p->rc == PL_OK)
        skip_unit(p);
    if (p->rc == PL_OK && (p->at > begin || p->dollars)) {
        unit = pl_math_parser_make_over(p, PL_MATH_NODE_UNIT, node, 0);
        if (p->rc == PL_OK) {
            p->tree->nodes[unit].begin = (uint16_t)begin;
            p->tree->nodes[unit].end = (uint16_t)p->at;
        }
        node = unit;
    }
    p->dollars = dollars;
    return p->rc < 0 ? 0 : node;
}

static uint16_t parse_union(struct pl_math_parser *p)
{
    uint16_t node = parse_side(p), first = node, last = 0;

    if (p->rc < 0 || pl_math_parser_sign(p) != PL_MATH_UNION)
        return node;
    node = pl_math_parser_make(p, PL_MATH_NODE_UNION);
    pl_math_parser_adopt(p, node, &last, first, PL_MATH_UNION);
    while (p->rc == PL_OK && pl_math_parser_take(p, PL_MATH_UNION))
        pl_math_parser_adopt(p, node, &last, parse_side(p), PL_MATH_UNION);
    return node;
}

static bool is_relation(uint16_t s)
{
    return s == '=' || s == '<' || s == '>' || s == PL_MATH_AT_MOST || s == PL_MATH_AT_LEAST ||
           s == PL_MATH_UNEQUAL || s == PL_MATH_IN;
}

/* "6\sqrt{2} \approx 8.49": what is behind is read and left out. */
static uint16_t parse_exact(struct pl_math_parser *p)
{
    const uint16_t node = parse_union(p);

    while (p->rc == PL_OK && pl_math_parser_take(p, PL_MATH_ABOUT))
        (void)parse_union(p);
    return p->rc < 0 ? 0 : node;
}

static uint16_t parse_relation(struct pl_math_parser *p)
{
    uint16_t node = parse_exact(p), first = node, last = 0;

    if (p->rc < 0 || !is_relation(pl_math_parser_sign(p)))
        return node;
    node = pl_math_parser_make(p, PL_MATH_NODE_RELATION);
    pl_math_parser_adopt(p, node, &last, first, 0);
    while (p->rc == PL_OK && is_relation(pl_math_parser_sign(p))) {
        const uint16_t before = p->tokens->list[p->at++].sign;

        pl_math_parser_adopt(p, node, &last, parse_exact(p), before);
    }
    return node;
}

uint16_t pl_math_parse_item(struct pl_math_parser *p)
{
    const size_t begin = p->at;
    uint16_t node;

    if (!pl_math_parser_enter(p))
        return 0;
    while (pl_math_parser_sign(p) == PL_MATH_WORD && !pl_math_parser_joins(p))
        p->at++;
    if (p->at == begin || pl_math_parser_take(p, '=') || pl_math_parser_take(p, PL_MATH_IN))
        return pl_math_parser_leave(p, parse_relation(p)); /* "the area = 5" */
    node = pl_math_parser_make(p, PL_MATH_NODE_WORDS);
    if (p->rc == PL_OK) {
        p->tree->nodes[node].begin = (uint16_t)begin;
        p->tree->nodes[node].end = (uint16_t)p->at;
    }
    return pl_math_parser_leave(p, node);
}

int pl_math_tree_read(const struct pl_math_tokens *tokens, struct pl_math_tree *ret)
{
    struct pl_math_parser p = {.tokens = tokens, .tree = ret};
    uint16_t node, last = 0, list;

    ret->tokens = tokens;
    ret->count = 1;
    ret->nodes[0] = (struct pl_math_node){.kind = PL_MATH_NODE_WORDS};
    ret->names_len = 0;
    node = pl_math_parse_item(&p);
    if (p.rc == PL_OK && p.at < tokens->count) {
        list = pl_math_parser_make(&p, PL_MATH_NODE_LIST);
        pl_math_parser_adopt(&p, list, &last, node, ',');
        while (p.rc == PL_OK && p.at < tokens->count) {
            bool parted = pl_math_parser_take(&p, ',') || pl_math_parser_take(&p, ';');

            if (pl_math_parser_joins(&p)) {
                p.at++;
                parted = true;
            }
            if (!parted)
                return PL_EFORMAT;
            pl_math_parser_adopt(&p, list, &last, pl_math_parse_item(&p), ',');
        }
        node = list;
    }
    ret->root = node;
    return p.rc;
}
