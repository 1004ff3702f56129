/*
 * What commands of LaTeX, signs beyond ASCII and words of plain text become as tokens: tables.
 */
#ifndef PL_REWARDER_MATH_SIGN_H
#define PL_REWARDER_MATH_SIGN_H

#include "rewarder/math_token.h"

/* What is no token but changes how what is behind it is read. */
enum {
    PL_MATH_SIGN_SKIP = 1,  /* a blank */
    PL_MATH_SIGN_DELIMITER, /* \left and the like */
    PL_MATH_SIGN_TEXT,      /* \text and the like */
    PL_MATH_SIGN_FONT,      /* \mathbf and the like */
    PL_MATH_SIGN_ROMAN,     /* \mathrm: units are set in it, and e and i */
    PL_MATH_SIGN_CIRCLE,    /* \circ */
};

struct pl_math_entry {
    const char *name;
    uint16_t sign;    /* one of enum pl_math_sign, an ASCII sign, or one of those above */
    const char *text; /* of the token; NULL: the name itself */
};

/* NULL: nothing is known of it. */
const struct pl_math_entry *pl_math_sign_command(const char *name, size_t len);
const struct pl_math_entry *pl_math_sign_plain(const char *word, size_t len); /* in lower case */
/* The sign that the text begins with. */
const struct pl_math_entry *pl_math_sign_unicode(const char *text, size_t len);

#endif
