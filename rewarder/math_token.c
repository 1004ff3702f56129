#include "rewarder/math_token.h"
#include "common/base/err.h"
#include "rewarder/math_sign.h"
#include "rewarder/math_unit.h"

#include <string.h>

/* What a brace closes. */
enum group { GROUP_PLAIN, GROUP_TEXT, GROUP_FONT, GROUP_ROMAN };

struct reader {
    const char *in;
    size_t len, at;
    bool split, spaced;
    enum group groups[PL_MATH_GROUPS_MAX];
    size_t depth;
    enum group next; /* what the next opening brace opens */
    struct pl_math_tokens *out;
};

/* --- small things --- */

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* The byte `ahead` of where the reader is, -1 beyond the end. */
static int peek(const struct reader *r, size_t ahead)
{
    return ahead < r->len - r->at ? (unsigned char)r->in[r->at + ahead] : -1;
}

static bool looking_at(const struct reader *r, const char *text)
{
    const size_t len = strlen(text);

    return len <= r->len - r->at && memcmp(r->in + r->at, text, len) == 0;
}

static bool in_text(const struct reader *r)
{
    for (size_t i = r->depth; i > 0; i--)
        if (r->groups[i - 1] != GROUP_FONT && r->groups[i - 1] != GROUP_ROMAN)
            return r->groups[i - 1] == GROUP_TEXT;
    return false;
}

static bool in_font(const struct reader *r)
{
    return r->depth > 0 && r->groups[r->depth - 1] >= GROUP_FONT;
}

/* A letter in \mathrm{} is a unit if it is neither e nor i. */
static bool is_roman_unit(const struct reader *r, uint16_t sign, char letter)
{
    return sign == PL_MATH_LETTER && r->depth > 0 && r->groups[r->depth - 1] == GROUP_ROMAN &&
           letter != 'e' && letter != 'i';
}

static int emit(struct reader *r, uint16_t sign, const char *text, size_t len)
{
    struct pl_math_tokens *out = r->out;

    if (out->count == PL_MATH_TOKENS_MAX || len > PL_MATH_BYTES_MAX - out->text_len)
        return PL_EFULL;
    memcpy(out->text + out->text_len, text, len);
    out->list[out->count++] =
        (struct pl_math_token){sign, (uint16_t)out->text_len, (uint16_t)len, r->spaced,
                               in_text(r) || is_roman_unit(r, sign, *text)};
    out->text_len += len;
    out->dots = out->dots || sign == PL_MATH_DOTS;
    r->spaced = false;
    return PL_OK;
}

static int emit_lower(struct reader *r, uint16_t sign, const char *text, size_t len)
{
    struct pl_math_tokens *out = r->out;
    const int rc = emit(r, sign, text, len);

    for (size_t i = out->text_len - (rc == PL_OK ? len : 0); i < out->text_len; i++)
        out->text[i] = (char)lower(out->text[i]);
    return rc;
}

static uint16_t last_sign(const struct reader *r)
{
    return r->out->count ? r->out->list[r->out->count - 1].sign : 0;
}

static int emit_entry(struct reader *r, const struct pl_math_entry *e)
{
    const char *text = e->text ? e->text : e->name;

    return emit(r, e->sign, text, strlen(text));
}

/* --- numbers --- */

static size_t digits_at(const struct reader *r, size_t ahead)
{
    size_t n = 0;

    while (is_digit(peek(r, ahead + n)))
        n++;
    return n;
}

/* The length of what separates thousands here, 0: nothing does. */
static size_t separator(const struct reader *r, bool *ret_comma)
{
    static const char *const marks[] = {"{,}\\!", "{,}", ",\\! ", ",\\!", "\\,", ","};

    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const size_t len = strlen(marks[i]);

        *ret_comma = strcmp(marks[i], ",") == 0;
        if (looking_at(r, marks[i]) && digits_at(r, len) == 3 && !(*ret_comma && r->split))
            return len;
    }
    return 0;
}

/* Append `len` digits to the text of the token that is being made. */
static int take_digits(struct reader *r, size_t len)
{
    struct pl_math_tokens *out = r->out;

    if (len > PL_MATH_BYTES_MAX - out->text_len)
        return PL_EFULL;
    memcpy(out->text + out->text_len, r->in + r->at, len);
    out->text_len += len;
    out->list[out->count - 1].len += (uint16_t)len;
    r->at += len;
    return PL_OK;
}

static int take_text(struct reader *r, const char *text)
{
    struct pl_math_tokens *out = r->out;
    const size_t len = strlen(text);

    if (len > PL_MATH_BYTES_MAX - out->text_len)
        return PL_EFULL;
    memcpy(out->text + out->text_len, text, len);
    out->text_len += len;
    out->list[out->count - 1].len += (uint16_t)len;
    return PL_OK;
}

/* "\overline{36}" behind a decimal point; the digits repeat. */
static int read_repeated(struct reader *r)
{
    static const char mark[] = "\\overline{";
    size_t len;
    int rc;

    if (!looking_at(r, mark))
        return PL_OK;
    len = digits_at(r, sizeof mark - 1);
    if (len == 0 || peek(r, sizeof mark - 1 + len) != '}')
        return PL_OK;
    r->at += sizeof mark - 1;
    rc = take_text(r, "(");
    if (rc == PL_OK)
        rc = take_digits(r, len);
    if (rc == PL_OK)
        rc = take_text(r, ")");
    r->at++;
    return rc;
}

/* "e3", "E-3" behind a number. */
static int read_exponent(struct reader *r)
{
    const size_t sign = peek(r, 1) == '-' || peek(r, 1) == '+', digits = digits_at(r, 1 + sign);

    if (lower(peek(r, 0)) != 'e' || digits == 0 || is_letter(peek(r, 1 + sign + digits)))
        return PL_OK;
    return take_digits(r, 1 + sign + digits);
}

static int read_number(struct reader *r)
{
    size_t digits = digits_at(r, 0), mark;
    bool comma;
    int rc;

    rc = emit(r, PL_MATH_NUMBER, "", 0);
    if (rc == PL_OK)
        rc = take_digits(r, digits);
    while (rc == PL_OK && digits <= 3 && (mark = separator(r, &comma)) > 0) {
        r->out->grouped = r->out->grouped || comma;
        r->at += mark;
        digits = 3;
        rc = take_digits(r, digits);
    }
    if (rc == PL_OK && peek(r, 0) == '.' &&
        (is_digit(peek(r, 1)) || (peek(r, 1) == '\\' && peek(r, 2) == 'o'))) {
        rc = take_digits(r, 1 + digits_at(r, 1));
        if (rc == PL_OK)
            rc = read_repeated(r);
    }
    return rc < 0 ? rc : read_exponent(r);
}

/* --- words --- */

/* In \text{}: letters, apostrophes, dots within ("p.m."), and all beyond ASCII. */
static int read_text_word(struct reader *r)
{
    char word[64];
    size_t len = 0, letters = 0;

    for (int c; (c = peek(r, 0)) >= 0; r->at++) {
        if (c == '.' && letters > 0 && is_letter(peek(r, 1)))
            continue;
        if (!is_letter(c) && c < 0x80 && !(c == '\'' && letters > 0))
            break;
        letters++;
        if (len == sizeof word)
            return PL_EFULL;
        word[len++] = (char)c;
    }
    if (letters > 1 && peek(r, 0) == '.')
        r->at++;
    if (len > 1) {
        for (size_t i = 0; i < len; i++)
            word[i] = (char)lower(word[i]);
        const struct pl_math_entry *known = pl_math_sign_plain(word, len);

        if (known && known->sign != PL_MATH_ROOT && known->sign != PL_MATH_LETTER)
            return emit_entry(r, known);
    }
    return emit(r, len > 1 ? PL_MATH_WORD : PL_MATH_LETTER, word, len);
}

/* A number or a word is before this word, so that it can be a unit. */
static bool behind_number(const struct reader *r)
{
    const uint16_t sign = last_sign(r);

    return sign == PL_MATH_NUMBER || sign == PL_MATH_WORD || sign == '}' || sign == '/';
}

/* "Bob": names are words. */
static bool is_proper_name(const char *word, size_t len)
{
    bool proper = len >= 3 && word[0] <= 'Z';

    for (size_t i = 1; i < len; i++)
        proper = proper && word[i] >= 'a';
    return proper;
}

/* Letters outside of \text{}. */
static int read_letters(struct reader *r)
{
    const char *word = r->in + r->at;
    const struct pl_math_entry *known;
    char small[64];
    size_t len = 0;
    int rc = PL_OK;

    while (is_letter(peek(r, len)) && len < sizeof small) {
        small[len] = (char)lower(word[len]);
        len++;
    }
    if (len == 1 && peek(r, 1) == '.' && is_letter(peek(r, 2)) && peek(r, 3) == '.') {
        small[1] = (char)lower(peek(r, 2)); /* p.m. */
        r->at += 4;
        return emit(r, PL_MATH_WORD, small, 2);
    }
    r->at += len;
    known = pl_math_sign_command(word, len);
    if (known && known->sign == PL_MATH_FUNCTION)
        return emit_entry(r, known);
    known = pl_math_sign_plain(small, len);
    if (known)
        return emit_entry(r, known);
    if (len >= 4 || is_proper_name(word, len) ||
        (len >= 2 && (in_font(r) || (behind_number(r) && pl_math_unit_word(small, len)))))
        return emit_lower(r, PL_MATH_WORD, word, len);
    for (size_t i = 0; rc == PL_OK && i < len; i++)
        rc = emit(r, PL_MATH_LETTER, word + i, 1);
    return rc;
}

/* --- commands --- */

static void skip_blanks(struct reader *r)
{
    while (peek(r, 0) == ' ' || peek(r, 0) == '\n' || peek(r, 0) == '\t')
        r->at++;
}

/* The name in "\begin{name}", and the columns of an array. */
static int read_environment(struct reader *r, uint16_t sign)
{
    const char *name;
    size_t len = 0;
    int rc;

    if (peek(r, 0) != '{')
        return emit(r, PL_MATH_OTHER, "begin", 5);
    name = r->in + r->at + 1;
    while (peek(r, 1 + len) >= 0 && peek(r, 1 + len) != '}')
        len++;
    r->at += peek(r, 1 + len) < 0 ? 1 + len : 2 + len;
    rc = emit(r, sign, name, len);
    if (rc == PL_OK && sign == PL_MATH_BEGIN && len == 5 && memcmp(name, "array", 5) == 0 &&
        peek(r, 0) == '{')
        while (peek(r, 0) >= 0 && r->in[r->at++] != '}')
            continue;
    return rc;
}

/* "^\circ" and "^{\circ}" are a degree. */
static int read_circle(struct reader *r)
{
    struct pl_math_tokens *out = r->out;
    const size_t n = out->count;

    if (last_sign(r) == '^') {
        out->count--;
        return emit(r, PL_MATH_DEGREE, "", 0);
    }
    skip_blanks(r);
    if (n >= 2 && last_sign(r) == '{' && out->list[n - 2].sign == '^' && peek(r, 0) == '}') {
        r->at++;
        r->depth--;
        out->count -= 2;
        return emit(r, PL_MATH_DEGREE, "", 0);
    }
    return emit(r, PL_MATH_OTHER, "circ", 4);
}

static int read_named(struct reader *r, const char *name, size_t len)
{
    const struct pl_math_entry *e = pl_math_sign_command(name, len);

    if (!e)
        return emit(r, PL_MATH_OTHER, name, len);
    skip_blanks(r);
    switch (e->sign) {
    case PL_MATH_SIGN_DELIMITER:
        if (peek(r, 0) == '.')
            r->at++;
        return PL_OK;
    case PL_MATH_SIGN_SKIP:
        r->spaced = true;
        return PL_OK;
    case PL_MATH_SIGN_TEXT:
    case PL_MATH_SIGN_FONT:
    case PL_MATH_SIGN_ROMAN:
        if (peek(r, 0) == '{')
            r->next = e->sign == PL_MATH_SIGN_TEXT   ? GROUP_TEXT
                      : e->sign == PL_MATH_SIGN_FONT ? GROUP_FONT
                                                     : GROUP_ROMAN;
        return PL_OK;
    case PL_MATH_SIGN_CIRCLE:
        return read_circle(r);
    case PL_MATH_BEGIN:
    case PL_MATH_END:
        return read_environment(r, e->sign);
    default:
        return emit_entry(r, e);
    }
}

static int read_command(struct reader *r)
{
    const char *name = r->in + r->at + 1;
    size_t len = 0;
    int c;

    r->at++;
    while (is_letter(peek(r, len)))
        len++;
    r->at += len;
    if (len > 0)
        return read_named(r, name, len);
    c = peek(r, 0);
    if (c < 0)
        return emit(r, PL_MATH_OTHER, "\\", 1);
    r->at++;
    switch (c) {
    case '\\':
        return emit(r, PL_MATH_NEXT_ROW, "", 0);
    case '{':
        return emit(r, PL_MATH_SET_OPEN, "", 0);
    case '}':
        return emit(r, PL_MATH_SET_CLOSE, "", 0);
    case '%':
    case '$':
        return emit(r, (uint16_t)c, "", 0);
    case ',':
    case ';':
    case ':':
    case ' ':
    case '\n':
        r->spaced = true;
        return PL_OK;
    case '!':
    case '(':
    case ')':
    case '[':
    case ']':
        return PL_OK;
    default:
        return emit(r, PL_MATH_OTHER, name, 1);
    }
}

/* --- all of it --- */

static int read_brace(struct reader *r, int c)
{
    enum group group;

    if (looking_at(r, "{:}") || looking_at(r, "{,}")) {
        r->at += 3;
        return emit(r, (uint16_t)r->in[r->at - 2], "", 0);
    }
    r->at++;
    if (c == '{') {
        if (r->depth == PL_MATH_GROUPS_MAX)
            return PL_EFULL;
        group = r->next;
        r->next = GROUP_PLAIN;
        if (group == GROUP_PLAIN && in_text(r))
            group = GROUP_TEXT;
        r->groups[r->depth++] = group;
    } else {
        group = r->depth > 0 ? r->groups[--r->depth] : GROUP_PLAIN;
    }
    if (group == GROUP_PLAIN)
        return emit(r, (uint16_t)c, "", 0);
    r->spaced = r->spaced || group == GROUP_TEXT;
    return PL_OK;
}

static int read_beyond_ascii(struct reader *r)
{
    static const char *const raised[] = {"\xC2\xB2", "\xC2\xB3"};
    const struct pl_math_entry *e;

    for (size_t i = 0; i < 2; i++)
        if (looking_at(r, raised[i])) {
            r->at += 2;
            const int rc = emit(r, '^', "", 0);

            return rc < 0 ? rc : emit(r, PL_MATH_NUMBER, i == 0 ? "2" : "3", 1);
        }
    e = pl_math_sign_unicode(r->in + r->at, r->len - r->at);
    if (e) {
        r->at += strlen(e->name);
        if (e->sign != PL_MATH_SIGN_SKIP)
            return emit_entry(r, e);
        r->spaced = true;
        return PL_OK;
    }
    r->at++;
    return emit(r, PL_MATH_OTHER, r->in + r->at - 1, 1);
}

/* Signs of more than one byte, and those that need a look around. */
static int read_sign(struct reader *r, int c)
{
    static const struct pl_math_entry long_signs[] = {
        {"...", PL_MATH_DOTS, ""},
        {"<=", PL_MATH_AT_MOST, ""},
        {">=", PL_MATH_AT_LEAST, ""},
        {"+/-", PL_MATH_PLUS_MINUS, ""},
        {"**", '^', ""},
    };

    for (size_t i = 0; i < sizeof long_signs / sizeof *long_signs; i++)
        if (looking_at(r, long_signs[i].name)) {
            r->at += strlen(long_signs[i].name);
            return emit_entry(r, &long_signs[i]);
        }
    r->at++;
    if (c == '\'' && last_sign(r) == PL_MATH_LETTER && !r->spaced)
        return take_text(r, "'");
    if (c == '.' && last_sign(r) == PL_MATH_WORD && !is_digit(peek(r, 0)))
        return PL_OK; /* "24 sq. ft." */
    if (c < ' ' || !strchr("+-*/^_()[],;:|=<>!&%", c))
        return emit(r, PL_MATH_OTHER, r->in + r->at - 1, 1);
    return emit(r, (uint16_t)c, "", 0);
}

static int read_one(struct reader *r)
{
    const int c = peek(r, 0);

    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '~' || c == '"' || c == '`' ||
        c == '$') {
        r->spaced = r->spaced || c != '$';
        r->at++;
        return PL_OK;
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(r, 1))))
        return read_number(r);
    if (in_text(r) && (is_letter(c) || c >= 0x80))
        return read_text_word(r);
    if (is_letter(c))
        return read_letters(r);
    if (c == '\\')
        return read_command(r);
    if (c == '{' || c == '}')
        return read_brace(r, c);
    return c >= 0x80 ? read_beyond_ascii(r) : read_sign(r, c);
}

int pl_math_tokens_read(const char *text, size_t len, bool split, struct pl_math_tokens *ret)
{
    struct reader r = {.in = text, .len = len, .split = split, .out = ret};
    int rc = PL_OK;

    ret->count = 0;
    ret->text_len = 0;
    ret->grouped = false;
    ret->dots = false;
    if (len > PL_MATH_BYTES_MAX)
        return PL_EFULL;
    while (rc == PL_OK && r.at < r.len)
        rc = read_one(&r);
    return rc;
}

/* The next token from *i on, braces around a single token left out; NULL at the end. */
static const struct pl_math_token *next_token(const struct pl_math_tokens *t, size_t *i)
{
    while (*i < t->count) {
        const struct pl_math_token *token = &t->list[(*i)++];
        const bool opens = token->sign == '{' && *i + 1 < t->count && token[2].sign == '}';
        const bool closes = token->sign == '}' && *i >= 3 && token[-2].sign == '{';

        if (!opens && !closes)
            return token;
    }
    return NULL;
}

bool pl_math_tokens_same(const struct pl_math_tokens *a, const struct pl_math_tokens *b)
{
    size_t i = 0, k = 0;

    for (;;) {
        const struct pl_math_token *x = next_token(a, &i), *y = next_token(b, &k);

        if (!x || !y)
            return !x && !y;
        if (x->sign != y->sign || x->len != y->len ||
            memcmp(a->text + x->at, b->text + y->at, x->len) != 0)
            return false;
    }
}

bool pl_math_token_is(const struct pl_math_tokens *tokens, size_t i, uint16_t sign,
                      const char *text)
{
    const struct pl_math_token *t = &tokens->list[i];

    return i < tokens->count && t->sign == sign && t->len == strlen(text) &&
           memcmp(tokens->text + t->at, text, t->len) == 0;
}
