#include "rewarder/math_token.h"
#include "common/base/err.h"
#include "rewarder/math_unit.h"

#include <string.h>

/* What a brace closes. */
enum group { GROUP_PLAIN, GROUP_TEXT, GROUP_FONT };

struct reader {
    const char *in;
    size_t len, at;
    bool split, spaced;
    enum group groups[PL_MATH_GROUPS_MAX];
    size_t depth;
    enum group next; /* what the next opening brace opens */
    struct pl_math_tokens *out;
};

/* Kinds of commands beside the signs. */
enum { SKIP = 1, DELIMITER, TEXT, FONT, GREEK, PERCENT, CIRCLE, ARRAY_BEGIN };

/* What a command or a sign of Unicode becomes. `text` NULL: the name itself. */
struct entry {
    const char *name;
    uint16_t sign;
    const char *text;
};

static const struct entry commands[] = {
    {"left", DELIMITER, ""},
    {"right", DELIMITER, ""},
    {"big", DELIMITER, ""},
    {"Big", DELIMITER, ""},
    {"bigg", DELIMITER, ""},
    {"Bigg", DELIMITER, ""},
    {"bigl", DELIMITER, ""},
    {"bigr", DELIMITER, ""},
    {"Bigl", DELIMITER, ""},
    {"Bigr", DELIMITER, ""},
    {"biggl", DELIMITER, ""},
    {"biggr", DELIMITER, ""},
    {"displaystyle", SKIP, ""},
    {"textstyle", SKIP, ""},
    {"quad", SKIP, ""},
    {"qquad", SKIP, ""},
    {"limits", SKIP, ""},
    {"thinspace", SKIP, ""},
    {"text", TEXT, ""},
    {"textbf", TEXT, ""},
    {"textit", TEXT, ""},
    {"textrm", TEXT, ""},
    {"textnormal", TEXT, ""},
    {"mbox", TEXT, ""},
    {"hbox", TEXT, ""},
    {"mathrm", FONT, ""},
    {"mathbf", FONT, ""},
    {"mathit", FONT, ""},
    {"mathsf", FONT, ""},
    {"mathcal", FONT, ""},
    {"mathbb", FONT, ""},
    {"boldsymbol", FONT, ""},
    {"operatorname", FONT, ""},
    {"boxed", FONT, ""},
    {"fbox", FONT, ""},
    {"frac", PL_MATH_FRACTION, ""},
    {"dfrac", PL_MATH_FRACTION, ""},
    {"tfrac", PL_MATH_FRACTION, ""},
    {"cfrac", PL_MATH_FRACTION, ""},
    {"sqrt", PL_MATH_ROOT, ""},
    {"binom", PL_MATH_BINOMIAL, ""},
    {"dbinom", PL_MATH_BINOMIAL, ""},
    {"tbinom", PL_MATH_BINOMIAL, ""},
    {"cdot", '*', ""},
    {"times", '*', ""},
    {"ast", '*', ""},
    {"div", '/', ""},
    {"le", PL_MATH_AT_MOST, ""},
    {"leq", PL_MATH_AT_MOST, ""},
    {"leqslant", PL_MATH_AT_MOST, ""},
    {"ge", PL_MATH_AT_LEAST, ""},
    {"geq", PL_MATH_AT_LEAST, ""},
    {"geqslant", PL_MATH_AT_LEAST, ""},
    {"lt", '<', ""},
    {"gt", '>', ""},
    {"ne", PL_MATH_UNEQUAL, ""},
    {"neq", PL_MATH_UNEQUAL, ""},
    {"pm", PL_MATH_PLUS_MINUS, ""},
    {"mp", PL_MATH_MINUS_PLUS, ""},
    {"cup", PL_MATH_UNION, ""},
    {"in", PL_MATH_IN, ""},
    {"infty", PL_MATH_INFINITY, ""},
    {"emptyset", PL_MATH_EMPTY, ""},
    {"varnothing", PL_MATH_EMPTY, ""},
    {"lbrace", PL_MATH_SET_OPEN, ""},
    {"rbrace", PL_MATH_SET_CLOSE, ""},
    {"lbrack", '[', ""},
    {"rbrack", ']', ""},
    {"langle", '(', ""},
    {"rangle", ')', ""},
    {"lfloor", PL_MATH_FLOOR_OPEN, ""},
    {"rfloor", PL_MATH_FLOOR_CLOSE, ""},
    {"lceil", PL_MATH_CEIL_OPEN, ""},
    {"rceil", PL_MATH_CEIL_CLOSE, ""},
    {"vert", '|', ""},
    {"lvert", '|', ""},
    {"rvert", '|', ""},
    {"mid", '|', ""},
    {"colon", ':', ""},
    {"degree", PL_MATH_DEGREE, ""},
    {"circ", CIRCLE, ""},
    {"ldots", PL_MATH_DOTS, ""},
    {"cdots", PL_MATH_DOTS, ""},
    {"dots", PL_MATH_DOTS, ""},
    {"dotsc", PL_MATH_DOTS, ""},
    {"dotsb", PL_MATH_DOTS, ""},
    {"vdots", PL_MATH_DOTS, ""},
    {"overline", PL_MATH_ACCENT, NULL},
    {"bar", PL_MATH_ACCENT, NULL},
    {"vec", PL_MATH_ACCENT, NULL},
    {"hat", PL_MATH_ACCENT, NULL},
    {"widehat", PL_MATH_ACCENT, NULL},
    {"tilde", PL_MATH_ACCENT, NULL},
    {"overrightarrow", PL_MATH_ACCENT, NULL},
    {"begin", PL_MATH_BEGIN, ""},
    {"end", PL_MATH_END, ""},
    {"sin", PL_MATH_FUNCTION, NULL},
    {"cos", PL_MATH_FUNCTION, NULL},
    {"tan", PL_MATH_FUNCTION, NULL},
    {"cot", PL_MATH_FUNCTION, NULL},
    {"sec", PL_MATH_FUNCTION, NULL},
    {"csc", PL_MATH_FUNCTION, NULL},
    {"arcsin", PL_MATH_FUNCTION, NULL},
    {"arccos", PL_MATH_FUNCTION, NULL},
    {"arctan", PL_MATH_FUNCTION, NULL},
    {"sinh", PL_MATH_FUNCTION, NULL},
    {"cosh", PL_MATH_FUNCTION, NULL},
    {"tanh", PL_MATH_FUNCTION, NULL},
    {"log", PL_MATH_FUNCTION, NULL},
    {"ln", PL_MATH_FUNCTION, NULL},
    {"lg", PL_MATH_FUNCTION, NULL},
    {"exp", PL_MATH_FUNCTION, NULL},
    {"pi", PL_MATH_LETTER, NULL},
    {"alpha", PL_MATH_LETTER, NULL},
    {"beta", PL_MATH_LETTER, NULL},
    {"gamma", PL_MATH_LETTER, NULL},
    {"delta", PL_MATH_LETTER, NULL},
    {"epsilon", PL_MATH_LETTER, NULL},
    {"varepsilon", PL_MATH_LETTER, "epsilon"},
    {"theta", PL_MATH_LETTER, NULL},
    {"lambda", PL_MATH_LETTER, NULL},
    {"mu", PL_MATH_LETTER, NULL},
    {"rho", PL_MATH_LETTER, NULL},
    {"sigma", PL_MATH_LETTER, NULL},
    {"tau", PL_MATH_LETTER, NULL},
    {"phi", PL_MATH_LETTER, NULL},
    {"varphi", PL_MATH_LETTER, "phi"},
    {"psi", PL_MATH_LETTER, NULL},
    {"omega", PL_MATH_LETTER, NULL},
    {"Omega", PL_MATH_LETTER, NULL},
    {"Delta", PL_MATH_LETTER, NULL},
    {"ell", PL_MATH_LETTER, NULL},
};

static const struct entry unicode[] = {
    {"\xC2\xA0", SKIP, ""},                 /* blank that does not break */
    {"\xE2\x80\x89", SKIP, ""},             /* thin space */
    {"\xE2\x80\xAF", SKIP, ""},             /* narrow blank that does not break */
    {"\xE2\x80\x9C", SKIP, ""},             /* quotes */
    {"\xE2\x80\x9D", SKIP, ""},             /* */
    {"\xE2\x82\xAC", SKIP, ""},             /* euro */
    {"\xC2\xA3", SKIP, ""},                 /* pound sterling */
    {"\xE2\x88\x92", '-', ""},              /* minus */
    {"\xE2\x80\x93", '-', ""},              /* en dash */
    {"\xC3\x97", '*', ""},                  /* times */
    {"\xC2\xB7", '*', ""},                  /* middle dot */
    {"\xE2\x8B\x85", '*', ""},              /* dot operator */
    {"\xC3\xB7", '/', ""},                  /* division */
    {"\xE2\x81\x84", '/', ""},              /* fraction slash */
    {"\xE2\x89\xA4", PL_MATH_AT_MOST, ""},  /* */
    {"\xE2\x89\xA5", PL_MATH_AT_LEAST, ""}, /* */
    {"\xE2\x89\xA0", PL_MATH_UNEQUAL, ""},
    {"\xC2\xB1", PL_MATH_PLUS_MINUS, ""},
    {"\xE2\x88\x93", PL_MATH_MINUS_PLUS, ""},
    {"\xE2\x88\xAA", PL_MATH_UNION, ""},
    {"\xE2\x88\x88", PL_MATH_IN, ""},
    {"\xE2\x88\x9E", PL_MATH_INFINITY, ""},
    {"\xE2\x88\x85", PL_MATH_EMPTY, ""},
    {"\xE2\x88\x9A", PL_MATH_ROOT, ""},
    {"\xC2\xB0", PL_MATH_DEGREE, ""},
    {"\xE2\x80\xA6", PL_MATH_DOTS, ""},
    {"\xCF\x80", PL_MATH_LETTER, "pi"},
    {"\xCE\xB1", PL_MATH_LETTER, "alpha"},
    {"\xCE\xB2", PL_MATH_LETTER, "beta"},
    {"\xCE\xB8", PL_MATH_LETTER, "theta"},
    {"\xCE\xBB", PL_MATH_LETTER, "lambda"},
};

/* Words of plain text that are not read letter by letter. */
static const struct entry plain[] = {
    {"sqrt", PL_MATH_ROOT, ""},
    {"pi", PL_MATH_LETTER, NULL},
    {"infinity", PL_MATH_INFINITY, ""},
    {"infty", PL_MATH_INFINITY, ""},
    {"percent", '%', ""},
    {"degrees", PL_MATH_DEGREE, ""},
    {"degree", PL_MATH_DEGREE, ""},
    {"and", PL_MATH_WORD, NULL},
    {"or", PL_MATH_WORD, NULL},
    {"yes", PL_MATH_WORD, NULL},
    {"no", PL_MATH_WORD, NULL},
    {"odd", PL_MATH_WORD, NULL},
    {"all", PL_MATH_WORD, NULL},
    {"dne", PL_MATH_WORD, NULL},
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
        if (r->groups[i - 1] != GROUP_FONT)
            return r->groups[i - 1] == GROUP_TEXT;
    return false;
}

static bool in_font(const struct reader *r)
{
    return r->depth > 0 && r->groups[r->depth - 1] == GROUP_FONT;
}

static int emit(struct reader *r, uint16_t sign, const char *text, size_t len)
{
    struct pl_math_tokens *out = r->out;

    if (out->count == PL_MATH_TOKENS_MAX || len > PL_MATH_BYTES_MAX - out->text_len)
        return PL_EFULL;
    memcpy(out->text + out->text_len, text, len);
    out->list[out->count++] =
        (struct pl_math_token){sign, (uint16_t)out->text_len, (uint16_t)len, r->spaced, in_text(r)};
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

static const struct entry *find(const struct entry *table, size_t count, const char *name,
                                size_t len)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
            return &table[i];
    return NULL;
}

#define FIND(table, name, len) find(table, sizeof(table) / sizeof *(table), name, len)

static int emit_entry(struct reader *r, const struct entry *e)
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
    static const char *const marks[] = {"{,}\\!", "{,}", ",\\!", "\\,", ","};

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
        const struct entry *known = FIND(plain, word, len);

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
    const struct entry *known;
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
    known = FIND(commands, word, len);
    if (known && known->sign == PL_MATH_FUNCTION)
        return emit_entry(r, known);
    known = FIND(plain, small, len);
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
    const struct entry *e = FIND(commands, name, len);

    if (!e)
        return emit(r, PL_MATH_OTHER, name, len);
    skip_blanks(r);
    switch (e->sign) {
    case DELIMITER:
        if (peek(r, 0) == '.')
            r->at++;
        return PL_OK;
    case SKIP:
        r->spaced = true;
        return PL_OK;
    case TEXT:
    case FONT:
        if (peek(r, 0) == '{')
            r->next = e->sign == TEXT ? GROUP_TEXT : GROUP_FONT;
        return PL_OK;
    case CIRCLE:
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

    for (size_t i = 0; i < 2; i++)
        if (looking_at(r, raised[i])) {
            r->at += 2;
            const int rc = emit(r, '^', "", 0);

            return rc < 0 ? rc : emit(r, PL_MATH_NUMBER, i == 0 ? "2" : "3", 1);
        }
    for (size_t i = 0; i < sizeof unicode / sizeof *unicode; i++)
        if (looking_at(r, unicode[i].name)) {
            r->at += strlen(unicode[i].name);
            if (unicode[i].sign != SKIP)
                return emit_entry(r, &unicode[i]);
            r->spaced = true;
            return PL_OK;
        }
    r->at++;
    return emit(r, PL_MATH_OTHER, r->in + r->at - 1, 1);
}

/* Signs of more than one byte, and those that need a look around. */
static int read_sign(struct reader *r, int c)
{
    static const struct entry long_signs[] = {
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
    if (c < ' ' || !strchr("+-*/^_()[],;:|=<>!&%", c))
        return emit(r, PL_MATH_OTHER, r->in + r->at - 1, 1);
    return emit(r, (uint16_t)c, "", 0);
}

static int read_one(struct reader *r)
{
    const int c = peek(r, 0);

    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '~' || c == '"' || c == '$') {
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
