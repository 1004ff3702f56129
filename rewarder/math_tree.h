/*
 * The tree of an answer, of bounded size and depth.
 *
 *   answer    item { ("," | ";" | "and" | "or") item }          a list
 *   item      words | [words ("=" | "in")] relation
 *   relation  exact { ("=" | "<" | "<=" | ">" | ">=" | "!=" | "in") exact }
 *   exact     union { "approx" union }                           the first counts
 *   union     side { "cup" side }
 *   side      sum [unit] | sum ":" sum { ":" sum }
 *   sum       [sign] term { sign term }                          sign: + - +- -+
 *   term      ["-"] power { ["*" | "/"] ["-"] power }            1/2x is (1/2)x
 *   power     primary { "!" | "%" | "degree" | "^" exponent }
 *   primary   number | name | "infinity" | frac | root | binomial | function
 *             | "(" answer ")"        one item: itself; more: a tuple or an interval, as are [ ] [ )
 *             | "\{" answer "\}"      a set; so are braces around more than one item
 *             | "|" sum "|" | floor | ceil | matrix | "\$" primary
 *   number    digits; with a fraction of digits after it a mixed number: 1\frac{1}{2}, 1 1/2; with
 *             an index a numeral of that base, 101_2, which is a name and nothing more
 *   name      a letter with its index; f g h applied to something, f(x), is a function
 *
 * x^12 is x^{12}; \frac12 is \frac{1}{2}; \sin 2x + 1 is \sin(2x) + 1; \sin^{-1} is the arcsine.
 * What has no place in this ("x2", "5 is it", an unknown command) is no tree.
 */
#ifndef PL_REWARDER_MATH_TREE_H
#define PL_REWARDER_MATH_TREE_H

#include "rewarder/math_token.h"

enum { PL_MATH_NODES_MAX = 512, PL_MATH_DEPTH_MAX = 64, PL_MATH_NAMES_MAX = 1024 };

enum pl_math_node_kind {
    PL_MATH_NODE_NUMBER,   /* text */
    PL_MATH_NODE_NAME,     /* text */
    PL_MATH_NODE_INFINITY, /* */
    PL_MATH_NODE_SUM,      /* children, each with + - PLUS_MINUS MINUS_PLUS before it */
    PL_MATH_NODE_PRODUCT,  /* children, each with * or / before it */
    PL_MATH_NODE_POWER,    /* first child ^ second */
    PL_MATH_NODE_ROOT,     /* of the first child; the second, if there: which */
    PL_MATH_NODE_APPLY,    /* the function `text` of the first child; the second: base of a log */
    PL_MATH_NODE_FACTORIAL,
    PL_MATH_NODE_BINOMIAL, /* two children */
    PL_MATH_NODE_ABS,
    PL_MATH_NODE_FLOOR,
    PL_MATH_NODE_CEIL,
    PL_MATH_NODE_DEGREE,
    PL_MATH_NODE_PERCENT,
    PL_MATH_NODE_UNIT,     /* a child and the tokens [begin, end) of its unit; none: dollars */
    PL_MATH_NODE_WORDS,    /* tokens [begin, end) */
    PL_MATH_NODE_SEQUENCE, /* children between open and close, ':' for ratios */
    PL_MATH_NODE_SET,
    PL_MATH_NODE_LIST,
    PL_MATH_NODE_UNION,
    PL_MATH_NODE_RELATION, /* children, each but the first with a sign before it */
    PL_MATH_NODE_MATRIX,   /* children row by row, `columns` in each */
};

struct pl_math_node {
    uint8_t kind;
    char open, close;        /* of a sequence; open of a matrix: its environment's first letter */
    uint16_t sign;           /* before it, in its parent */
    uint16_t child, next;    /* 0: none */
    uint16_t count, columns; /* children */
    uint16_t begin, end;     /* tokens, or the place of a text in names */
};

struct pl_math_tree {
    const struct pl_math_tokens *tokens;
    uint16_t root;
    uint16_t count;
    struct pl_math_node nodes[PL_MATH_NODES_MAX]; /* 0 is not used */
    char names[PL_MATH_NAMES_MAX];
    uint16_t names_len;
};

/* The tokens are kept. PL_EFORMAT: no tree. PL_EFULL: it is larger or deeper than there is room. */
int pl_math_tree_read(const struct pl_math_tokens *tokens, struct pl_math_tree *ret);

#endif
