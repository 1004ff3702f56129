#include "rewarder/decimal.h"

#include <string.h>

/* Digits of a product, the highest first, without a zero in front or behind. */
struct product {
    unsigned char digits[2 * PL_DECIMAL_DIGITS];
    size_t len;
    int exponent;
    bool negative;
};

bool pl_decimal_read(const char *text, size_t len, long exponent, struct pl_decimal *ret_decimal)
{
    struct pl_decimal d = {.negative = false};
    size_t zeros = 0, behind = 0; /* zeros not yet written down; digits behind the point */
    bool seen = false, point = false;
    long power;

    for (size_t i = 0; i < len; i++) {
        const char c = text[i];

        point = point || c == '.';
        if (c < '0' || c > '9')
            continue;
        seen = true;
        behind += point;
        if (c == '0') {
            zeros += d.len > 0;
            continue;
        }
        if (zeros >= PL_DECIMAL_DIGITS || d.len + zeros >= PL_DECIMAL_DIGITS)
            return false;
        d.len += zeros; /* they are zero already */
        zeros = 0;
        d.digits[d.len++] = (unsigned char)(c - '0');
    }
    if (d.len == 0) {
        *ret_decimal = d;
        return seen;
    }
    power = exponent - (long)behind + (long)zeros;
    if (power < -PL_DECIMAL_EXPONENT_MAX || power > PL_DECIMAL_EXPONENT_MAX)
        return false;
    d.exponent = (int)power;
    *ret_decimal = d;
    return true;
}

bool pl_decimal_equal(const struct pl_decimal *a, const struct pl_decimal *b)
{
    return a->len == b->len && a->exponent == b->exponent && a->negative == b->negative &&
           memcmp(a->digits, b->digits, a->len) == 0;
}

static struct product multiply(const struct pl_decimal *a, const struct pl_decimal *b)
{
    unsigned sums[2 * PL_DECIMAL_DIGITS] = {0}; /* the lowest last */
    const size_t n = a->len + b->len;
    struct product p = {.negative = a->negative != b->negative};
    size_t first = 0, last = n;

    if (a->len == 0 || b->len == 0)
        return (struct product){.len = 0};
    for (size_t i = 0; i < a->len; i++)
        for (size_t k = 0; k < b->len; k++)
            sums[i + k + 1] += (unsigned)a->digits[i] * b->digits[k];
    for (size_t i = n - 1; i > 0; i--) {
        sums[i - 1] += sums[i] / 10;
        sums[i] %= 10;
    }
    while (sums[first] == 0)
        first++;
    while (sums[last - 1] == 0)
        last--;
    for (size_t i = first; i < last; i++)
        p.digits[p.len++] = (unsigned char)sums[i];
    p.exponent = a->exponent + b->exponent + (int)(n - last);
    return p;
}

bool pl_decimal_products_equal(const struct pl_decimal *a, const struct pl_decimal *b,
                               const struct pl_decimal *c, const struct pl_decimal *d)
{
    const struct product one = multiply(a, b), other = multiply(c, d);

    return one.len == other.len && one.exponent == other.exponent &&
           one.negative == other.negative && memcmp(one.digits, other.digits, one.len) == 0;
}
