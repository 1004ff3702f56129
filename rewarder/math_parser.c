#include "rewarder/math_parser.h"
#include "common/base/err.h"

#include <string.h>

/* --- tokens --- */

uint16_t pl_math_parser_ahead(const struct pl_math_parser *p, size_t ahead)
{
    return p->at + ahead < p->tokens->count ? p->tokens->list[p->at + ahead].sign : 0;
}

uint16_t pl_math_parser_sign(const struct pl_math_parser *p)
{
    return pl_math_parser_ahead(p, 0);
}

uint16_t pl_math_parser_fail(struct pl_math_parser *p, int rc)
{
    if (p->rc == PL_OK)
        p->rc = rc;
    return 0;
}

bool pl_math_parser_take(struct pl_math_parser *p, uint16_t wanted)
{
    if (pl_math_parser_sign(p) != wanted)
        return false;
    p->at++;
    return true;
}

bool pl_math_parser_expect(struct pl_math_parser *p, uint16_t wanted)
{
    if (pl_math_parser_take(p, wanted))
        return true;
    pl_math_parser_fail(p, PL_EFORMAT);
    return false;
}

bool pl_math_parser_joins(const struct pl_math_parser *p)
{
    return pl_math_token_is(p->tokens, p->at, PL_MATH_WORD, "and") ||
           pl_math_token_is(p->tokens, p->at, PL_MATH_WORD, "or");
}

bool pl_math_parser_whole(const struct pl_math_parser *p, size_t ahead)
{
    const struct pl_math_token *t;

    if (pl_math_parser_ahead(p, ahead) != PL_MATH_NUMBER)
        return false;
    t = &p->tokens->list[p->at + ahead];
    for (size_t i = 0; i < t->len; i++)
        if (p->tokens->text[t->at + i] < '0' || p->tokens->text[t->at + i] > '9')
            return false;
    return true;
}

size_t pl_math_parser_whole_argument(const struct pl_math_parser *p, size_t ahead)
{
    if (pl_math_parser_ahead(p, ahead) == '{')
        return pl_math_parser_whole(p, ahead + 1) && pl_math_parser_ahead(p, ahead + 2) == '}' ? 3
                                                                                               : 0;
    return pl_math_parser_whole(p, ahead);
}

bool pl_math_parser_begins_factor(const struct pl_math_parser *p)
{
    switch (pl_math_parser_sign(p)) {
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

/* --- nodes --- */

uint16_t pl_math_parser_make(struct pl_math_parser *p, enum pl_math_node_kind kind)
{
    struct pl_math_tree *t = p->tree;

    if (p->rc < 0 || t->count == PL_MATH_NODES_MAX)
        return pl_math_parser_fail(p, PL_EFULL);
    t->nodes[t->count] = (struct pl_math_node){.kind = (uint8_t)kind};
    return t->count++;
}

void pl_math_parser_adopt(struct pl_math_parser *p, uint16_t parent, uint16_t *last, uint16_t child,
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

uint16_t pl_math_parser_make_over(struct pl_math_parser *p, enum pl_math_node_kind kind,
                                  uint16_t first, uint16_t second)
{
    const uint16_t node = pl_math_parser_make(p, kind);
    uint16_t last = 0;

    pl_math_parser_adopt(p, node, &last, first, 0);
    if (second)
        pl_math_parser_adopt(p, node, &last, second, 0);
    return p->rc < 0 ? 0 : node;
}

void pl_math_parser_add_name(struct pl_math_parser *p, const char *text, size_t len)
{
    struct pl_math_tree *t = p->tree;

    if (len > (size_t)(PL_MATH_NAMES_MAX - t->names_len)) {
        pl_math_parser_fail(p, PL_EFULL);
        return;
    }
    memcpy(t->names + t->names_len, text, len);
    t->names_len = (uint16_t)(t->names_len + len);
}

void pl_math_parser_add_token(struct pl_math_parser *p, size_t i)
{
    const struct pl_math_token *t = &p->tokens->list[i];
    const char mark = (char)t->sign;

    if (t->sign < 128)
        pl_math_parser_add_name(p, &mark, 1);
    else if (t->len > 0)
        pl_math_parser_add_name(p, p->tokens->text + t->at, t->len);
    else
        pl_math_parser_fail(p, PL_EFORMAT);
}

uint16_t pl_math_parser_make_named(struct pl_math_parser *p, enum pl_math_node_kind kind,
                                   const char *text, size_t len)
{
    const uint16_t node = pl_math_parser_make(p, kind), begin = p->tree->names_len;

    pl_math_parser_add_name(p, text, len);
    if (p->rc < 0)
        return 0;
    p->tree->nodes[node].begin = begin;
    p->tree->nodes[node].end = p->tree->names_len;
    return node;
}

bool pl_math_parser_enter(struct pl_math_parser *p)
{
    if (p->depth == PL_MATH_DEPTH_MAX)
        pl_math_parser_fail(p, PL_EFULL);
    else if (p->rc == PL_OK)
        p->depth++;
    return p->rc == PL_OK;
}

uint16_t pl_math_parser_leave(struct pl_math_parser *p, uint16_t node)
{
    p->depth--;
    return p->rc < 0 ? 0 : node;
}
