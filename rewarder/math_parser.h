/*
 * Inside of math_tree: a parser that goes through tokens and makes nodes.
 *
 * The first error stays: from then on functions make and take nothing that counts, and what returns
 * a node returns 0. Functions that call each other in circles go through enter() and leave(), which
 * bound their depth.
 */
#ifndef PL_REWARDER_MATH_PARSER_H
#define PL_REWARDER_MATH_PARSER_H

#include "rewarder/math_tree.h"

struct pl_math_parser {
    const struct pl_math_tokens *tokens;
    struct pl_math_tree *tree;
    size_t at; /* the next token */
    int depth;
    bool in_abs;  /* a "|" closes */
    bool dollars; /* "\$" was met on this side */
    int rc;
};

/* --- tokens --- */

/* Signs of the next token and of the one `ahead` of it; 0 at the end. */
uint16_t pl_math_parser_sign(const struct pl_math_parser *p);
uint16_t pl_math_parser_ahead(const struct pl_math_parser *p, size_t ahead);
/* Pass over the next token if it is this one; `expect`: else fail. */
bool pl_math_parser_take(struct pl_math_parser *p, uint16_t wanted);
bool pl_math_parser_expect(struct pl_math_parser *p, uint16_t wanted);
/* The next token is "and" or "or". */
bool pl_math_parser_joins(const struct pl_math_parser *p);
/* The token `ahead` is a number of digits only. */
bool pl_math_parser_whole(const struct pl_math_parser *p, size_t ahead);
/* The tokens of such a number, in braces or not; 0: there is none. */
size_t pl_math_parser_whole_argument(const struct pl_math_parser *p, size_t ahead);
/* The next token can begin a factor that is multiplied without a sign. */
bool pl_math_parser_begins_factor(const struct pl_math_parser *p);

/* --- nodes --- */

uint16_t pl_math_parser_fail(struct pl_math_parser *p, int rc); /* returns 0 */
uint16_t pl_math_parser_make(struct pl_math_parser *p, enum pl_math_node_kind kind);
/* A node over one or two (second 0: one). */
uint16_t pl_math_parser_make_over(struct pl_math_parser *p, enum pl_math_node_kind kind,
                                  uint16_t first, uint16_t second);
/* A node with a text, to which more can be added as long as nothing else is named. */
uint16_t pl_math_parser_make_named(struct pl_math_parser *p, enum pl_math_node_kind kind,
                                   const char *text, size_t len);
void pl_math_parser_add_name(struct pl_math_parser *p, const char *text, size_t len);
void pl_math_parser_add_token(struct pl_math_parser *p, size_t i); /* the text of a token */
/* A child behind `*last`, 0 for the first, which it becomes; `before` is the sign before it. */
void pl_math_parser_adopt(struct pl_math_parser *p, uint16_t parent, uint16_t *last, uint16_t child,
                          uint16_t before);
bool pl_math_parser_enter(struct pl_math_parser *p); /* false: it has failed */
uint16_t pl_math_parser_leave(struct pl_math_parser *p, uint16_t node);

/* --- parts of the grammar in math_tree.h --- */

uint16_t pl_math_parse_item(struct pl_math_parser *p);
uint16_t pl_math_parse_sum(struct pl_math_parser *p);
uint16_t pl_math_parse_power(struct pl_math_parser *p);
uint16_t pl_math_parse_primary(struct pl_math_parser *p);

#endif
