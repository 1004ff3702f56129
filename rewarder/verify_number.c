/*
 * One number, compared exactly. verify.h says what counts as one; here is how it is found. The text
 * is first cut down to what stands behind its last mark; then all its numbers are read in one pass,
 * and must be one and the same. What looks like a number but is none (1.2.3, 0x1F, 5^2, 3/4/2020)
 * spoils the text instead of being read as something else.
 */
#include "common/base/err.h"
#include "common/text/utf8.h"
#include "rewarder/decimal.h"
#include "rewarder/verify.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

enum { ANSWER_BYTES_MAX = 1 << 16 }; /* longer is no answer */
enum { NUMBERS_MAX = 64, MIXED_DIGITS_MAX = 6, EXPONENT_DIGITS_MAX = 5 };

struct span {
    const char *text;
    size_t len;
};

struct number {
    struct pl_decimal top, bottom;
    bool percent;
};

static const struct pl_decimal one = {.digits = {1}, .len = 1};

/* ---- marks ---- */

/* What stands behind the last `mark` (upper and lower case alike); the whole where there is none.
 */
static bool behind(struct span *s, const char *mark)
{
    const size_t n = strlen(mark);
    const char last = mark[n - 1]; /* in lower case; most places are none by it */

    for (size_t at = s->len + 1; at-- > n;)
        if (((s->text[at - 1] | 0x20) == last || s->text[at - 1] == last) &&
            strncasecmp(s->text + at - n, mark, n) == 0) {
            *s = (struct span){s->text + at, s->len - at};
            return true;
        }
    return false;
}

/* Up to the brace that closes the one before the text. */
static void within_braces(struct span *s)
{
    size_t depth = 1;

    for (size_t i = 0; i < s->len; i++) {
        depth += s->text[i] == '{';
        depth -= s->text[i] == '}';
        if (depth == 0) {
            s->len = i;
            return;
        }
    }
}

/* ---- reading ---- */

struct reader {
    struct span s;
    size_t at;
    struct span word; /* the last one passed */
    bool spoilt;      /* by what is no number */
};

static unsigned char byte(const struct reader *r, size_t i)
{
    return i < r->s.len ? (unsigned char)r->s.text[i] : 0;
}

static bool digit(const struct reader *r, size_t i)
{
    return byte(r, i) >= '0' && byte(r, i) <= '9';
}

static bool letter(const struct reader *r, size_t i)
{
    const unsigned char c = byte(r, i);

    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static size_t digits_end(const struct reader *r, size_t i)
{
    while (digit(r, i))
        i++;
    return i;
}

static bool is_word(struct span w, const char *word)
{
    return w.len == strlen(word) && strncasecmp(w.text, word, w.len) == 0;
}

static bool ends_in(const struct reader *r, size_t i, const char *bytes)
{
    const size_t n = strlen(bytes);

    return i >= n && memcmp(r->s.text + i - n, bytes, n) == 0;
}

/* Where the currency before i begins ("$", "\$", "€"), else i. */
static size_t before_currency(const struct reader *r, size_t i)
{
    static const char *const signs[] = {"\\$",      "$",        "\xE2\x82\xAC",
                                        "\xC2\xA3", "\xC2\xA5", "\xE2\x82\xB9"}; /* € £ ¥ ₹ */

    for (size_t k = 0; k < sizeof signs / sizeof *signs; k++)
        if (ends_in(r, i, signs[k]))
            return i - strlen(signs[k]);
    return i;
}

/* A minus before the number at i: a sign with nothing before it that it would be taken from, or the
 * word. */
static bool negative_at(const struct reader *r, size_t i)
{
    static const char *const signs[] = {"-", "\xE2\x88\x92", "\xE2\x80\x93"}; /* U+2212, U+2013 */
    size_t at = before_currency(r, i);

    for (size_t k = 0; k < sizeof signs / sizeof *signs; k++)
        if (ends_in(r, at, signs[k])) {
            const size_t before = at - strlen(signs[k]);

            return before == 0 || (!digit(r, before - 1) && !letter(r, before - 1) &&
                                   !strchr(")]}%", byte(r, before - 1)));
        }
    while (at > 0 && byte(r, at - 1) == ' ')
        at--;
    return r->word.text && r->word.text + r->word.len == r->s.text + at &&
           (is_word(r->word, "minus") || is_word(r->word, "negative"));
}

/* Digits, in groups of thousands or not, a fraction, a power of ten; false: they are no number. */
static bool read_decimal(struct reader *r, struct pl_decimal *ret_decimal)
{
    const size_t begin = r->at;
    size_t end = digits_end(r, begin), power;
    long exponent = 0;

    if (end > begin && end - begin <= 3 && byte(r, begin) != '0')
        while (byte(r, end) == ',' && digits_end(r, end + 1) == end + 4)
            end += 4;
    if (byte(r, end) == '.' && digit(r, end + 1))
        end = digits_end(r, end + 1);
    r->at = power = end;
    if (byte(r, power) == 'e' || byte(r, power) == 'E') {
        power++;
        power += byte(r, power) == '-' || byte(r, power) == '+';
        r->at = digits_end(r, power);
        if (r->at == power)
            r->at = end; /* a unit that begins with e */
        else if (r->at - power > EXPONENT_DIGITS_MAX)
            return false;
    }
    for (size_t i = power; i < r->at; i++)
        exponent = 10 * exponent + (byte(r, i) - '0');
    if (r->at > end && byte(r, end + 1) == '-')
        exponent = -exponent;
    return pl_decimal_read(r->s.text + begin, end - begin, exponent, ret_decimal);
}

static size_t blanks_end(const struct reader *r, size_t i)
{
    while (byte(r, i) == ' ')
        i++;
    return i;
}

/* Where `/ digit` stands at i, blanks around it left out, the place of the digit; else 0. */
static size_t slash_at(const struct reader *r, size_t i)
{
    const size_t slash = blanks_end(r, i), next = blanks_end(r, slash + 1);

    return byte(r, slash) == '/' && (digit(r, next) || (byte(r, next) == '.' && digit(r, next + 1)))
               ? next
               : 0;
}

static unsigned long whole(const struct reader *r, size_t begin, size_t end)
{
    unsigned long value = 0;

    for (size_t i = begin; i < end; i++)
        value = 10 * value + (unsigned long)(byte(r, i) - '0');
    return value;
}

/* "1 1/2": the whole number from begin to r->at, a blank and a fraction less than 1. Its numerator
 * as text goes through the same reading as any other. */
static bool read_mixed(struct reader *r, size_t begin, struct number *n)
{
    const size_t top = r->at + 1, slash = digits_end(r, top), bottom = slash + 1;
    const size_t end = digits_end(r, bottom);
    unsigned long w, t, b;
    char text[24];
    size_t len = 0;

    if (digits_end(r, begin) != r->at || byte(r, r->at) != ' ' || slash == top ||
        byte(r, slash) != '/' || end == bottom || r->at - begin > MIXED_DIGITS_MAX ||
        slash - top > MIXED_DIGITS_MAX || end - bottom > MIXED_DIGITS_MAX)
        return false;
    w = whole(r, begin, r->at);
    t = whole(r, top, slash);
    b = whole(r, bottom, end);
    if (t == 0 || t >= b)
        return false;
    for (unsigned long value = w * b + t; value > 0; value /= 10)
        text[sizeof text - ++len] = (char)('0' + value % 10);
    r->at = end;
    return pl_decimal_read(text + sizeof text - len, len, 0, &n->top) &&
           pl_decimal_read(r->s.text + bottom, end - bottom, 0, &n->bottom);
}

static bool percent_at(const struct reader *r, size_t i)
{
    const size_t at = blanks_end(r, i);

    if (byte(r, at) == '%' || (byte(r, at) == '\\' && byte(r, at + 1) == '%'))
        return true;
    return at + 7 <= r->s.len && strncasecmp(r->s.text + at, "percent", 7) == 0;
}

/* What may not stand right behind a number. */
static bool spoils(const struct reader *r, size_t i)
{
    if (byte(r, i) == '^' || (byte(r, i) == '.' && digit(r, i + 1)) || slash_at(r, i))
        return true;
    if (byte(r, i) == 0xCF && byte(r, i + 1) == 0x80) /* pi */
        return true;
    if (!letter(r, i))
        return false;
    while (letter(r, i))
        i++;
    return digit(r, i); /* 0x1F */
}

/* The number at r->at; false: it is none. r->at is behind what was read in any case. */
static bool read_number(struct reader *r, struct number *n)
{
    const size_t begin = r->at;
    const bool negative = negative_at(r, begin);
    size_t bottom;

    n->bottom = one;
    if (!read_decimal(r, &n->top))
        return false;
    bottom = slash_at(r, r->at);
    if (bottom) {
        r->at = bottom;
        if (!read_decimal(r, &n->bottom) || n->bottom.len == 0)
            return false;
    } else {
        (void)read_mixed(r, begin, n);
    }
    n->top.negative = negative && n->top.len > 0;
    n->percent = percent_at(r, r->at);
    return !spoils(r, r->at);
}

/* Words that make a number another one. */
static bool changes(struct span word)
{
    static const char *const words[] = {"sqrt", "frac", "dfrac", "tfrac", "pi"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (is_word(word, words[i]))
            return true;
    return false;
}

/* The same of characters beyond ASCII: a root, a half, a square, digits of other scripts. */
static bool changes_character(uint32_t c)
{
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);

    return c == 0x221A || category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
           category == UTF8PROC_CATEGORY_NO;
}

/* A digit, or the point of a fraction without digits before it. */
static bool number_at(const struct reader *r, size_t i)
{
    if (digit(r, i))
        return true;
    return byte(r, i) == '.' && digit(r, i + 1) &&
           (i == 0 || (!digit(r, i - 1) && !letter(r, i - 1) && byte(r, i - 1) != '.'));
}

/* The next number; false at the end, or where the text is spoilt. */
static bool next_number(struct reader *r, struct number *ret_number)
{
    while (r->at < r->s.len && !r->spoilt) {
        const size_t i = r->at;
        size_t n = 1;

        if (number_at(r, i)) {
            r->spoilt = !read_number(r, ret_number);
            while (letter(r, r->at)) /* its unit */
                r->at++;
            return !r->spoilt;
        }
        if (letter(r, i)) {
            while (letter(r, r->at) || digit(r, r->at))
                r->at++;
            r->word = (struct span){r->s.text + i, r->at - i};
            r->spoilt = changes(r->word);
            continue;
        }
        if (byte(r, i) >= 0x80 && pl_utf8_step(r->s.text + i, r->s.len - i, &n) == PL_UTF8_GOOD)
            r->spoilt = changes_character(pl_utf8_decode(r->s.text + i, n));
        r->at += n;
    }
    return false;
}

/* ---- comparing ---- */

static bool equal(const struct number *a, const struct number *b)
{
    struct pl_decimal hundredth = a->percent ? a->top : b->top;

    if (pl_decimal_equal(&a->top, &b->top) && pl_decimal_equal(&a->bottom, &b->bottom))
        return true;
    if (pl_decimal_products_equal(&a->top, &b->bottom, &b->top, &a->bottom))
        return true;
    if (a->percent == b->percent)
        return false;
    hundredth.exponent -= hundredth.len > 0 ? 2 : 0;
    return pl_decimal_products_equal(a->percent ? &hundredth : &a->top, &b->bottom,
                                     b->percent ? &hundredth : &b->top, &a->bottom);
}

/* The one number of a text. *ret_none: there was none at all. */
static bool one_number(struct span s, struct number *ret_number, bool *ret_none)
{
    struct reader r = {.s = s};
    struct number next;
    size_t count = 0;

    *ret_none = false;
    while (next_number(&r, &next)) {
        if (count == 0)
            *ret_number = next;
        else if (count == NUMBERS_MAX || next.percent != ret_number->percent ||
                 !equal(&next, ret_number))
            return false;
        count++;
    }
    *ret_none = count == 0 && !r.spoilt;
    return count > 0 && !r.spoilt;
}

static bool read_answer(const char *text, size_t len, struct number *ret_number)
{
    const struct span all = {text, len};
    struct span s = all;
    bool none;

    if (len > ANSWER_BYTES_MAX)
        return false;
    behind(&s, "####");
    if (behind(&s, "\\boxed{"))
        within_braces(&s);
    else if (!behind(&s, "answer is"))
        behind(&s, "answer:");
    if (one_number(s, ret_number, &none))
        return true;
    if (none && s.len < all.len) { /* "72 is the answer: sure" */
        s = all;
        if (one_number(s, ret_number, &none))
            return true;
    }
    return behind(&s, "=") && one_number(s, ret_number, &none);
}

static bool read_form(const struct pl_text *text, void *ret_form)
{
    return read_answer(text->text, text->len, ret_form);
}

static enum pl_verdict same_form(const void *truth, const void *answer, bool step, void *room,
                                 uint64_t *work)
{
    (void)step;
    (void)room;
    (void)work;
    return equal(answer, truth) ? PL_VERDICT_RIGHT : PL_VERDICT_WRONG;
}

static int check(const struct pl_task *task, struct pl_error *err)
{
    struct number n;

    if (!read_answer(task->final.answer, strlen(task->final.answer), &n))
        return pl_fail(err, PL_EFORMAT, "task '%.80s': the answer, '%.80s', is not one number",
                       task->id, task->final.answer);
    for (size_t i = 0; i < task->step_count; i++)
        if (!read_answer(task->steps[i].answer, strlen(task->steps[i].answer), &n))
            return pl_fail(err, PL_EFORMAT,
                           "task '%.80s': the answer of step %zu, '%.80s', is not one number",
                           task->id, i + 1, task->steps[i].answer);
    return PL_OK;
}

const struct pl_verifier pl_verify_number = {.name = "number",
                                             .form_bytes = sizeof(struct number),
                                             .aliases = true,
                                             .read = read_form,
                                             .same = same_form,
                                             .check = check};
