#include "rewarder/math_number.h"
#include "common/base/check.h"
#include "common/base/err.h"

#include <string.h>

/* What a call costs beside its words, and what a division of a word does, in steps of work. */
enum { CALL = 8, DIVIDE = 8 };

/* --- natural numbers --- */

static void trim(struct pl_math_int *a)
{
    while (a->count > 0 && a->words[a->count - 1] == 0)
        a->count--;
}

struct pl_math_int pl_math_int_of(uint64_t n)
{
    struct pl_math_int a = {2, {(uint32_t)n, (uint32_t)(n >> 32)}};

    trim(&a);
    return a;
}

/* Of a number of at most two words. */
static uint64_t value(const struct pl_math_int *a)
{
    const uint64_t low = a->count > 0 ? a->words[0] : 0;

    return a->count > 1 ? (uint64_t)a->words[1] << 32 | low : low;
}

int pl_math_int_compare(const struct pl_math_int *a, const struct pl_math_int *b)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (uint32_t i = a->count; i > 0; i--)
        if (a->words[i - 1] != b->words[i - 1])
            return a->words[i - 1] < b->words[i - 1] ? -1 : 1;
    return 0;
}

bool pl_math_int_is(const struct pl_math_int *a, uint32_t n)
{
    return n == 0 ? a->count == 0 : a->count == 1 && a->words[0] == n;
}

bool pl_math_int_small(const struct pl_math_int *a, uint32_t most, uint32_t *ret)
{
    if (a->count > 1 || value(a) > most)
        return false;
    *ret = (uint32_t)value(a);
    return true;
}

static int add(const struct pl_math_int *a, const struct pl_math_int *b, struct pl_math_int *ret,
               uint64_t *work)
{
    const uint32_t count = a->count > b->count ? a->count : b->count;
    struct pl_math_int sum;
    uint64_t carry = 0;

    for (uint32_t i = 0; i < count; i++) {
        carry += (i < a->count ? a->words[i] : 0ull) + (i < b->count ? b->words[i] : 0ull);
        sum.words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    *work += count + CALL;
    sum.count = count;
    if (carry) {
        if (count == PL_MATH_WORDS)
            return PL_EFULL;
        sum.words[sum.count++] = (uint32_t)carry;
    }
    *ret = sum;
    return PL_OK;
}

/* a - b, where a >= b. */
static void subtract(const struct pl_math_int *a, const struct pl_math_int *b,
                     struct pl_math_int *ret, uint64_t *work)
{
    struct pl_math_int rest = {.count = a->count};
    uint64_t borrow = 0;

    for (uint32_t i = 0; i < a->count; i++) {
        const uint64_t take = (i < b->count ? b->words[i] : 0ull) + borrow;

        borrow = a->words[i] < take;
        rest.words[i] = (uint32_t)(a->words[i] - take);
    }
    PL_ASSERT(!borrow);
    *work += a->count + CALL;
    trim(&rest);
    *ret = rest;
}

int pl_math_int_mul(const struct pl_math_int *a, const struct pl_math_int *b,
                    struct pl_math_int *ret, uint64_t *work)
{
    uint32_t words[2 * PL_MATH_WORDS] = {0}, count = a->count + b->count;

    for (uint32_t i = 0; i < a->count; i++) {
        uint64_t carry = 0;

        for (uint32_t j = 0; j < b->count; j++) {
            carry += (uint64_t)a->words[i] * b->words[j] + words[i + j];
            words[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        words[i + b->count] = (uint32_t)carry;
    }
    *work += (uint64_t)a->count * b->count + CALL;
    while (count > 0 && words[count - 1] == 0)
        count--;
    if (count > PL_MATH_WORDS)
        return PL_EFULL;
    ret->count = count;
    memcpy(ret->words, words, count * sizeof *words);
    return PL_OK;
}

static uint32_t divide_small(const struct pl_math_int *a, uint32_t b, struct pl_math_int *ret,
                             uint64_t *work)
{
    uint64_t rest = 0;

    *ret = *a;
    for (uint32_t i = a->count; i > 0; i--) {
        rest = rest << 32 | ret->words[i - 1];
        ret->words[i - 1] = (uint32_t)(rest / b);
        rest %= b;
    }
    *work += (uint64_t)DIVIDE * a->count + CALL;
    trim(ret);
    return (uint32_t)rest;
}

/* u -= q v, v shifted up `at` words; true when that went below zero. */
static bool take_away(uint32_t *u, const struct pl_math_int *v, uint32_t at, uint64_t q)
{
    uint64_t carry = 0, borrow = 0;

    for (uint32_t i = 0; i <= v->count; i++) {
        const uint64_t product = (i < v->count ? q * v->words[i] : 0) + carry;
        const uint64_t take = (uint32_t)product + borrow;

        carry = product >> 32;
        borrow = u[at + i] < take;
        u[at + i] = (uint32_t)(u[at + i] - take);
    }
    return borrow;
}

static void give_back(uint32_t *u, const struct pl_math_int *v, uint32_t at)
{
    uint64_t carry = 0;

    for (uint32_t i = 0; i <= v->count; i++) {
        carry += (uint64_t)u[at + i] + (i < v->count ? v->words[i] : 0);
        u[at + i] = (uint32_t)carry;
        carry >>= 32;
    }
}

/* a shifted up by less than a word, into count + 1 words. */
static void shift_up(const struct pl_math_int *a, uint32_t bits, uint32_t *ret)
{
    ret[a->count] = 0;
    for (uint32_t i = a->count; i > 0; i--) {
        ret[i] |= bits ? a->words[i - 1] >> (32 - bits) : 0;
        ret[i - 1] = a->words[i - 1] << bits;
    }
}

/* Schoolbook division by two words or more (Knuth, volume 2, 4.3.1, algorithm D). */
static void divide_long(const struct pl_math_int *a, const struct pl_math_int *b,
                        struct pl_math_int *quotient, struct pl_math_int *rest)
{
    const uint32_t n = b->count, steps = a->count - n;
    const uint32_t bits = (uint32_t)__builtin_clz(b->words[n - 1]);
    uint32_t u[PL_MATH_WORDS + 1], shifted[PL_MATH_WORDS + 1];
    struct pl_math_int v = {.count = n};

    shift_up(a, bits, u);
    shift_up(b, bits, shifted);
    memcpy(v.words, shifted, n * sizeof *shifted);
    quotient->count = steps + 1;
    for (uint32_t j = steps + 1; j > 0; j--) {
        const uint64_t high = (uint64_t)u[j - 1 + n] << 32 | u[j - 2 + n];
        uint64_t q = high / v.words[n - 1], left = high % v.words[n - 1];

        while (q >> 32 || q * v.words[n - 2] > (left << 32 | u[j - 3 + n])) {
            q--;
            left += v.words[n - 1];
            if (left >> 32)
                break;
        }
        if (take_away(u, &v, j - 1, q)) {
            q--;
            give_back(u, &v, j - 1);
        }
        quotient->words[j - 1] = (uint32_t)q;
    }
    trim(quotient);
    rest->count = n;
    for (uint32_t i = 0; i < n; i++)
        rest->words[i] = bits ? u[i] >> bits | u[i + 1] << (32 - bits) : u[i];
    trim(rest);
}

void pl_math_int_div(const struct pl_math_int *a, const struct pl_math_int *b,
                     struct pl_math_int *ret_quotient, struct pl_math_int *ret_rest, uint64_t *work)
{
    struct pl_math_int quotient, rest;

    PL_ASSERT(b->count > 0);
    if (a->count <= 2 && b->count <= 2) {
        quotient = pl_math_int_of(value(a) / value(b));
        rest = pl_math_int_of(value(a) % value(b));
        *work += 2 * DIVIDE + CALL;
    } else if (pl_math_int_compare(a, b) < 0) {
        quotient = pl_math_int_of(0);
        rest = *a;
        *work += CALL;
    } else if (b->count == 1) {
        rest = pl_math_int_of(divide_small(a, b->words[0], &quotient, work));
    } else {
        divide_long(a, b, &quotient, &rest);
        *work += (a->count - b->count + 1) * (2ull * b->count + 2 * DIVIDE) + 2 * CALL;
    }
    if (ret_quotient)
        *ret_quotient = quotient;
    if (ret_rest)
        *ret_rest = rest;
}

uint32_t pl_math_int_rest(const struct pl_math_int *a, uint32_t b, uint64_t *work)
{
    uint64_t rest = 0;

    for (uint32_t i = a->count; i > 0; i--)
        rest = (rest << 32 | a->words[i - 1]) % b;
    *work += (uint64_t)DIVIDE * a->count + 1;
    return (uint32_t)rest;
}

struct pl_math_int pl_math_int_gcd(struct pl_math_int a, struct pl_math_int b, uint64_t *work)
{
    struct pl_math_int rest;

    while (b.count > 0 && (a.count > 2 || b.count > 2)) {
        pl_math_int_div(&a, &b, NULL, &rest, work);
        a = b;
        b = rest;
        *work += 8;
    }
    if (b.count > 0) {
        uint64_t x = value(&a), y = value(&b);

        while (y) {
            const uint64_t z = x % y;

            x = y;
            y = z;
            *work += DIVIDE;
        }
        return pl_math_int_of(x);
    }
    return a;
}

static uint32_t bits_of(const struct pl_math_int *a)
{
    return a->count ? 32 * a->count - (uint32_t)__builtin_clz(a->words[a->count - 1]) : 0;
}

static int power(const struct pl_math_int *a, uint32_t k, struct pl_math_int *ret, uint64_t *work)
{
    struct pl_math_int square = *a, product = pl_math_int_of(1);

    if (a->count == 0 || pl_math_int_is(a, 1) || k == 0) {
        *ret = k == 0 ? product : *a;
        return PL_OK;
    }
    for (;;) {
        if (k & 1 && pl_math_int_mul(&product, &square, &product, work) < 0)
            return PL_EFULL;
        k >>= 1;
        if (!k)
            break;
        if (pl_math_int_mul(&square, &square, &square, work) < 0)
            return PL_EFULL;
    }
    *ret = product;
    return PL_OK;
}

/* One bit after the other, from above. */
bool pl_math_int_root(const struct pl_math_int *a, uint32_t k, struct pl_math_int *ret,
                      uint64_t *work)
{
    struct pl_math_int root = {0}, with, product;

    PL_ASSERT(a->count > 0 && k >= 2);
    root.count = PL_MATH_WORDS;
    for (uint32_t bit = (bits_of(a) + k - 1) / k; bit > 0; bit--) {
        with = root;
        with.words[(bit - 1) / 32] |= 1u << ((bit - 1) % 32);
        trim(&with);
        if (power(&with, k, &product, work) == PL_OK && pl_math_int_compare(&product, a) <= 0)
            root.words[(bit - 1) / 32] |= 1u << ((bit - 1) % 32);
    }
    trim(&root);
    if (power(&root, k, &product, work) < 0 || pl_math_int_compare(&product, a) != 0)
        return false;
    *ret = root;
    return true;
}

/* --- fractions --- */

struct pl_math_num pl_math_num_of(int64_t n)
{
    const uint64_t size = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;

    return (struct pl_math_num){n < 0, pl_math_int_of(size), pl_math_int_of(1)};
}

bool pl_math_num_equal(const struct pl_math_num *a, const struct pl_math_num *b)
{
    return a->negative == b->negative && pl_math_int_compare(&a->over, &b->over) == 0 &&
           pl_math_int_compare(&a->under, &b->under) == 0;
}

bool pl_math_num_zero(const struct pl_math_num *a)
{
    return a->over.count == 0;
}

bool pl_math_num_whole(const struct pl_math_num *a)
{
    return pl_math_int_is(&a->under, 1);
}

/* Divide both by what they have in common. */
static void reduce(struct pl_math_int *a, struct pl_math_int *b, uint64_t *work)
{
    const struct pl_math_int common = pl_math_int_gcd(*a, *b, work);

    if (common.count == 0 || pl_math_int_is(&common, 1))
        return;
    pl_math_int_div(a, &common, a, NULL, work);
    pl_math_int_div(b, &common, b, NULL, work);
}

int pl_math_num_add(const struct pl_math_num *a, const struct pl_math_num *b,
                    struct pl_math_num *ret, uint64_t *work)
{
    struct pl_math_int a_under = a->under, b_under = b->under, left, right;
    struct pl_math_num sum = {.negative = a->negative};
    int rc;

    reduce(&a_under, &b_under, work);
    if (pl_math_int_mul(&a->over, &b_under, &left, work) < 0 ||
        pl_math_int_mul(&b->over, &a_under, &right, work) < 0 ||
        pl_math_int_mul(&a->under, &b_under, &sum.under, work) < 0)
        return PL_EFULL;
    if (a->negative == b->negative) {
        rc = add(&left, &right, &sum.over, work);
        if (rc < 0)
            return rc;
    } else if (pl_math_int_compare(&left, &right) >= 0) {
        subtract(&left, &right, &sum.over, work);
    } else {
        subtract(&right, &left, &sum.over, work);
        sum.negative = b->negative;
    }
    sum.negative = sum.negative && sum.over.count > 0;
    reduce(&sum.over, &sum.under, work);
    *ret = sum;
    return PL_OK;
}

int pl_math_num_mul(const struct pl_math_num *a, const struct pl_math_num *b,
                    struct pl_math_num *ret, uint64_t *work)
{
    struct pl_math_num x = *a, y = *b, product;

    if (pl_math_num_zero(a) || pl_math_num_zero(b)) {
        *ret = pl_math_num_of(0);
        return PL_OK;
    }
    reduce(&x.over, &y.under, work);
    reduce(&y.over, &x.under, work);
    product.negative = a->negative != b->negative;
    if (pl_math_int_mul(&x.over, &y.over, &product.over, work) < 0 ||
        pl_math_int_mul(&x.under, &y.under, &product.under, work) < 0)
        return PL_EFULL;
    *ret = product;
    return PL_OK;
}

int pl_math_num_pow(const struct pl_math_num *a, uint32_t k, struct pl_math_num *ret,
                    uint64_t *work)
{
    struct pl_math_num result = {.negative = a->negative && k % 2};

    if (power(&a->over, k, &result.over, work) < 0 || power(&a->under, k, &result.under, work) < 0)
        return PL_EFULL;
    *ret = result;
    return PL_OK;
}

struct pl_math_num pl_math_num_inverse(const struct pl_math_num *a)
{
    PL_ASSERT(a->over.count > 0);
    return (struct pl_math_num){a->negative, a->under, a->over};
}

/* --- reading --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Append the digits from text[*at] on to the natural number; *ret_count says how many. */
static int read_digits(const char *text, size_t len, size_t *at, struct pl_math_int *n,
                       uint32_t *ret_count, uint64_t *work)
{
    const struct pl_math_int ten = pl_math_int_of(10);

    for (*ret_count = 0; *at < len && is_digit(text[*at]); ++*at, ++*ret_count) {
        const struct pl_math_int digit = pl_math_int_of((uint64_t)(text[*at] - '0'));

        if (pl_math_int_mul(n, &ten, n, work) < 0 || add(n, &digit, n, work) < 0)
            return PL_EFULL;
    }
    return PL_OK;
}

static int ten_to(uint32_t k, struct pl_math_num *ret, uint64_t *work)
{
    const struct pl_math_num ten = pl_math_num_of(10);

    return pl_math_num_pow(&ten, k, ret, work);
}

/* *n += digits / (scale (10^count - 1)), the part that repeats. */
static int read_repeated(const char *text, size_t len, size_t *at, struct pl_math_num *n,
                         const struct pl_math_num *scale, uint64_t *work)
{
    const struct pl_math_num less = pl_math_num_of(-1);
    struct pl_math_num part = pl_math_num_of(0), nines;
    uint32_t count;

    ++*at;
    if (read_digits(text, len, at, &part.over, &count, work) < 0 || ten_to(count, &nines, work) < 0)
        return PL_EFULL;
    if (count == 0 || *at == len || text[(*at)++] != ')')
        return PL_EFORMAT;
    if (pl_math_num_add(&nines, &less, &nines, work) < 0 ||
        pl_math_num_mul(&nines, scale, &nines, work) < 0)
        return PL_EFULL;
    nines = pl_math_num_inverse(&nines);
    if (pl_math_num_mul(&part, &nines, &part, work) < 0)
        return PL_EFULL;
    return pl_math_num_add(n, &part, n, work);
}

static int read_exponent(const char *text, size_t len, size_t *at, struct pl_math_num *n,
                         uint64_t *work)
{
    struct pl_math_int exponent = {0};
    struct pl_math_num scale;
    bool negative = false;
    uint32_t count, k;

    ++*at;
    if (*at < len && (text[*at] == '-' || text[*at] == '+'))
        negative = text[(*at)++] == '-';
    if (read_digits(text, len, at, &exponent, &count, work) < 0)
        return PL_EFULL;
    if (count == 0)
        return PL_EFORMAT;
    if (!pl_math_int_small(&exponent, 1000, &k) || ten_to(k, &scale, work) < 0)
        return PL_EFULL;
    if (negative)
        scale = pl_math_num_inverse(&scale);
    return pl_math_num_mul(n, &scale, n, work);
}

int pl_math_num_read(const char *text, size_t len, struct pl_math_num *ret, uint64_t *work)
{
    struct pl_math_num n = pl_math_num_of(0), scale;
    uint32_t whole, decimals = 0;
    size_t at = 0;
    int rc;

    rc = read_digits(text, len, &at, &n.over, &whole, work);
    if (rc == PL_OK && at < len && text[at] == '.') {
        at++;
        rc = read_digits(text, len, &at, &n.over, &decimals, work);
    }
    if (rc < 0)
        return rc;
    if (ten_to(decimals, &scale, work) < 0)
        return PL_EFULL;
    n.under = scale.over;
    reduce(&n.over, &n.under, work);
    if (at < len && text[at] == '(')
        rc = read_repeated(text, len, &at, &n, &scale, work);
    else if (whole + decimals == 0)
        rc = PL_EFORMAT;
    if (rc == PL_OK && at < len && (text[at] == 'e' || text[at] == 'E'))
        rc = read_exponent(text, len, &at, &n, work);
    if (rc < 0)
        return rc;
    if (at < len)
        return PL_EFORMAT;
    *ret = n;
    return PL_OK;
}
