/*
 * Decimal numbers, exact: a sign, up to PL_DECIMAL_DIGITS digits and a power of ten. For telling
 * whether numbers and fractions are the same, without the rounding of floating point.
 *
 *   value = (-1)^negative digits 10^exponent,   digits without a zero in front or behind
 *
 * Zero has no digits, no sign and exponent 0, so that equal values are equal in every field.
 */
#ifndef PL_REWARDER_DECIMAL_H
#define PL_REWARDER_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>

enum { PL_DECIMAL_DIGITS = 40, PL_DECIMAL_EXPONENT_MAX = 9999 };

struct pl_decimal {
    unsigned char digits[PL_DECIMAL_DIGITS]; /* (len), 0 to 9, the highest first */
    size_t len;
    int exponent;
    bool negative;
};

/*
 * From text of digits and at most one point, all other bytes passed over (commas between groups of
 * thousands), times 10^exponent. False: there is no digit, more of them count than there is room
 * for, or the power of ten is out of +-PL_DECIMAL_EXPONENT_MAX.
 */
bool pl_decimal_read(const char *text, size_t len, long exponent, struct pl_decimal *ret_decimal);

bool pl_decimal_equal(const struct pl_decimal *a, const struct pl_decimal *b);

/* a b == c d */
bool pl_decimal_products_equal(const struct pl_decimal *a, const struct pl_decimal *b,
                               const struct pl_decimal *c, const struct pl_decimal *d);

#endif
