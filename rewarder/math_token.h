/*
 * The signs of a mathematical answer: LaTeX, plain text or a mix of both becomes a list of tokens
 * in which what looks different and means the same is the same.
 *
 *   left out       \left \right \big.., spaces, \displaystyle, fonts, $ \( \) \[ \], quotes
 *   one sign       \dfrac \tfrac \frac; \cdot \times *; \div /; \le \leq <=; ^\circ ^{\circ}
 *                  degrees; the signs of Unicode for these
 *   numbers        12  1,234  1{,}234  10,\!000  .5  1.5e3  0.1\overline{6}, which is 0.1(6)
 *   names          a letter, a Greek letter, with primes
 *   words          letters in \text{} and the like, of two or more; in plain text four or more, a
 *                  unit after a number ("5 cm"), "and", "or", "yes", ...; in lower case
 *   functions      \sin, sin, \operatorname{sin}, ...
 *
 * A list has bounded room; nothing is allocated.
 */
#ifndef PL_REWARDER_MATH_TOKEN_H
#define PL_REWARDER_MATH_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PL_MATH_BYTES_MAX = 2048, PL_MATH_TOKENS_MAX = 640, PL_MATH_GROUPS_MAX = 64 };

/* A token is one ASCII sign, which is its kind, or one of these. */
enum pl_math_sign {
    PL_MATH_NUMBER = 256, /* text: see pl_math_num_read() */
    PL_MATH_LETTER,       /* text: "x", "alpha", "f'" */
    PL_MATH_WORD,         /* text, in lower case */
    PL_MATH_FUNCTION,     /* text: "sin" */
    PL_MATH_ACCENT,       /* text: "overline": a sign over what comes next */
    PL_MATH_BEGIN,        /* text: "pmatrix" */
    PL_MATH_END,
    PL_MATH_FRACTION,
    PL_MATH_ROOT,
    PL_MATH_BINOMIAL,
    PL_MATH_AT_MOST,
    PL_MATH_AT_LEAST,
    PL_MATH_UNEQUAL,
    PL_MATH_PLUS_MINUS,
    PL_MATH_MINUS_PLUS,
    PL_MATH_UNION,
    PL_MATH_IN,
    PL_MATH_ABOUT, /* nearly equal */
    PL_MATH_INFINITY,
    PL_MATH_SET_OPEN,
    PL_MATH_SET_CLOSE,
    PL_MATH_FLOOR_OPEN,
    PL_MATH_FLOOR_CLOSE,
    PL_MATH_CEIL_OPEN,
    PL_MATH_CEIL_CLOSE,
    PL_MATH_EMPTY,    /* the empty set */
    PL_MATH_DEGREE,   /* a small circle, raised */
    PL_MATH_NEXT_ROW, /* of a matrix */
    PL_MATH_DOTS,     /* ... */
    PL_MATH_OTHER,    /* text: a command or sign that means nothing here */
};

struct pl_math_token {
    uint16_t sign;
    uint16_t at, len; /* of its text */
    bool spaced;      /* there was a blank before it */
    bool text;        /* it was in \text{} or the like; a letter but e and i also in \mathrm{} */
};

struct pl_math_tokens {
    struct pl_math_token list[PL_MATH_TOKENS_MAX];
    size_t count;
    char text[PL_MATH_BYTES_MAX];
    size_t text_len;
    bool grouped; /* a comma was taken to be within a number: "1,234" */
    bool dots;    /* PL_MATH_DOTS is among them */
};

/*
 * `split`: commas between digits are never within a number, except as "{,}" and ",\!".
 * PL_EFULL: it is longer than there is room, or nested deeper.
 */
int pl_math_tokens_read(const char *text, size_t len, bool split, struct pl_math_tokens *ret);

/* Whether the lists are the same, but for braces around a single token. */
bool pl_math_tokens_same(const struct pl_math_tokens *a, const struct pl_math_tokens *b);

/* Whether the token's text is `text`; false beyond the end. */
bool pl_math_token_is(const struct pl_math_tokens *tokens, size_t i, uint16_t sign,
                      const char *text);

#endif
