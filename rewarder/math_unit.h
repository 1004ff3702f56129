/*
 * Units behind a number: "cm", "square inches", "miles per hour", "m^2", "apples".
 *
 * Two answers may differ in unit only if one has none, or one has a word that is no unit of measure
 * ("5 apples", "5 units").
 */
#ifndef PL_REWARDER_MATH_UNIT_H
#define PL_REWARDER_MATH_UNIT_H

#include "rewarder/math_token.h"

enum { PL_MATH_UNITS = 24 };

struct pl_math_unit {
    int8_t powers[PL_MATH_UNITS]; /* of units of measure; all 0: there is none */
    bool unknown;                 /* there is a word that is none */
};

/* Whether a word, in lower case, is a unit of measure or goes with one ("square", "per"). */
bool pl_math_unit_word(const char *word, size_t len);

/* The unit that tokens [begin, end) say. */
struct pl_math_unit pl_math_unit_read(const struct pl_math_tokens *tokens, size_t begin,
                                      size_t end);
struct pl_math_unit pl_math_unit_named(const char *word);
bool pl_math_unit_agree(const struct pl_math_unit *a, const struct pl_math_unit *b);

#endif
