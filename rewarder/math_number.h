/*
 * Exact numbers for comparing answers: natural numbers of at most PL_MATH_WORDS words, and
 * fractions of them in lowest terms.
 *
 * Always true of a fraction: under >= 1, over and under have no common divisor, zero is not
 * negative. So equal numbers are equal field by field.
 *
 * Nothing is allocated and nothing is rounded: a result that does not fit is PL_EFULL, and what is
 * returned then is not to be read. Each call adds what it did, in steps of about a machine word, to
 * *work; a caller that must end soon looks at that counter. Results may be the same object as an
 * argument.
 */
#ifndef PL_REWARDER_MATH_NUMBER_H
#define PL_REWARDER_MATH_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PL_MATH_WORDS = 12 }; /* 384 bits, 115 decimal digits */

struct pl_math_int {
    uint32_t count; /* words in use; the last of them is not 0 */
    uint32_t words[PL_MATH_WORDS];
};

struct pl_math_num {
    bool negative;
    struct pl_math_int over, under;
};

struct pl_math_int pl_math_int_of(uint64_t n);
int pl_math_int_compare(const struct pl_math_int *a, const struct pl_math_int *b);
bool pl_math_int_is(const struct pl_math_int *a, uint32_t n);
/* True, and the value, where it is at most `most`. */
bool pl_math_int_small(const struct pl_math_int *a, uint32_t most, uint32_t *ret);
/* PL_EFULL. */
int pl_math_int_mul(const struct pl_math_int *a, const struct pl_math_int *b,
                    struct pl_math_int *ret, uint64_t *work);
/* The rest of a divided by b >= 1. */
uint32_t pl_math_int_rest(const struct pl_math_int *a, uint32_t b, uint64_t *work);
/* b >= 1; either result may be NULL. */
void pl_math_int_div(const struct pl_math_int *a, const struct pl_math_int *b,
                     struct pl_math_int *ret_quotient, struct pl_math_int *ret_rest,
                     uint64_t *work);
struct pl_math_int pl_math_int_gcd(struct pl_math_int a, struct pl_math_int b, uint64_t *work);
/* Whether a (>= 1) is the k-th power (k >= 2) of a number, which is *ret then. */
bool pl_math_int_root(const struct pl_math_int *a, uint32_t k, struct pl_math_int *ret,
                      uint64_t *work);

struct pl_math_num pl_math_num_of(int64_t n);
bool pl_math_num_equal(const struct pl_math_num *a, const struct pl_math_num *b);
bool pl_math_num_zero(const struct pl_math_num *a);
bool pl_math_num_whole(const struct pl_math_num *a);

/* PL_EFULL. */
int pl_math_num_add(const struct pl_math_num *a, const struct pl_math_num *b,
                    struct pl_math_num *ret, uint64_t *work);
int pl_math_num_mul(const struct pl_math_num *a, const struct pl_math_num *b,
                    struct pl_math_num *ret, uint64_t *work);
int pl_math_num_pow(const struct pl_math_num *a, uint32_t k, struct pl_math_num *ret,
                    uint64_t *work);
/* 1 / a; a is not zero. */
struct pl_math_num pl_math_num_inverse(const struct pl_math_num *a);

/*
 * "12", "0.25", ".5", "0.1(6)" (the digits in parentheses repeat), "1.5e-3"; no sign in front.
 * PL_EFORMAT: it is none of these. PL_EFULL: it does not fit.
 */
int pl_math_num_read(const char *text, size_t len, struct pl_math_num *ret, uint64_t *work);

#endif
