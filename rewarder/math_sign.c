#include "rewarder/math_sign.h"

#include <string.h>

static const struct pl_math_entry commands[] = {
    {"left", PL_MATH_SIGN_DELIMITER, ""},
    {"right", PL_MATH_SIGN_DELIMITER, ""},
    {"big", PL_MATH_SIGN_DELIMITER, ""},
    {"Big", PL_MATH_SIGN_DELIMITER, ""},
    {"bigg", PL_MATH_SIGN_DELIMITER, ""},
    {"Bigg", PL_MATH_SIGN_DELIMITER, ""},
    {"bigl", PL_MATH_SIGN_DELIMITER, ""},
    {"bigr", PL_MATH_SIGN_DELIMITER, ""},
    {"Bigl", PL_MATH_SIGN_DELIMITER, ""},
    {"Bigr", PL_MATH_SIGN_DELIMITER, ""},
    {"biggl", PL_MATH_SIGN_DELIMITER, ""},
    {"biggr", PL_MATH_SIGN_DELIMITER, ""},
    {"displaystyle", PL_MATH_SIGN_SKIP, ""},
    {"textstyle", PL_MATH_SIGN_SKIP, ""},
    {"quad", PL_MATH_SIGN_SKIP, ""},
    {"qquad", PL_MATH_SIGN_SKIP, ""},
    {"limits", PL_MATH_SIGN_SKIP, ""},
    {"thinspace", PL_MATH_SIGN_SKIP, ""},
    {"text", PL_MATH_SIGN_TEXT, ""},
    {"textbf", PL_MATH_SIGN_TEXT, ""},
    {"textit", PL_MATH_SIGN_TEXT, ""},
    {"textrm", PL_MATH_SIGN_TEXT, ""},
    {"textnormal", PL_MATH_SIGN_TEXT, ""},
    {"mbox", PL_MATH_SIGN_TEXT, ""},
    {"hbox", PL_MATH_SIGN_TEXT, ""},
    {"mathrm", PL_MATH_SIGN_ROMAN, ""},
    {"mathbf", PL_MATH_SIGN_FONT, ""},
    {"mathit", PL_MATH_SIGN_FONT, ""},
    {"mathsf", PL_MATH_SIGN_FONT, ""},
    {"mathcal", PL_MATH_SIGN_FONT, ""},
    {"mathbb", PL_MATH_SIGN_FONT, ""},
    {"boldsymbol", PL_MATH_SIGN_FONT, ""},
    {"operatorname", PL_MATH_SIGN_FONT, ""},
    {"boxed", PL_MATH_SIGN_FONT, ""},
    {"fbox", PL_MATH_SIGN_FONT, ""},
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
    {"approx", PL_MATH_ABOUT, ""},
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
    {"circ", PL_MATH_SIGN_CIRCLE, ""},
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

static const struct pl_math_entry unicode[] = {
    {"\xC2\xA0", PL_MATH_SIGN_SKIP, ""},     /* blank that does not break */
    {"\xE2\x80\x89", PL_MATH_SIGN_SKIP, ""}, /* thin space */
    {"\xE2\x80\xAF", PL_MATH_SIGN_SKIP, ""}, /* narrow blank that does not break */
    {"\xE2\x80\x9C", PL_MATH_SIGN_SKIP, ""}, /* quotes */
    {"\xE2\x80\x9D", PL_MATH_SIGN_SKIP, ""}, /* */
    {"\xE2\x82\xAC", PL_MATH_SIGN_SKIP, ""}, /* euro */
    {"\xC2\xA3", PL_MATH_SIGN_SKIP, ""},     /* pound sterling */
    {"\xE2\x88\x92", '-', ""},               /* minus */
    {"\xE2\x80\x93", '-', ""},               /* en dash */
    {"\xC3\x97", '*', ""},                   /* times */
    {"\xC2\xB7", '*', ""},                   /* middle dot */
    {"\xE2\x8B\x85", '*', ""},               /* dot operator */
    {"\xC3\xB7", '/', ""},                   /* division */
    {"\xE2\x81\x84", '/', ""},               /* fraction slash */
    {"\xE2\x89\xA4", PL_MATH_AT_MOST, ""},   /* */
    {"\xE2\x89\xA5", PL_MATH_AT_LEAST, ""},  /* */
    {"\xE2\x89\xA0", PL_MATH_UNEQUAL, ""},
    {"\xC2\xB1", PL_MATH_PLUS_MINUS, ""},
    {"\xE2\x88\x93", PL_MATH_MINUS_PLUS, ""},
    {"\xE2\x88\xAA", PL_MATH_UNION, ""},
    {"\xE2\x88\x88", PL_MATH_IN, ""},
    {"\xE2\x89\x88", PL_MATH_ABOUT, ""},
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
static const struct pl_math_entry plain[] = {
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

static const struct pl_math_entry *find(const struct pl_math_entry *table, size_t count,
                                        const char *name, size_t len)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
            return &table[i];
    return NULL;
}

const struct pl_math_entry *pl_math_sign_command(const char *name, size_t len)
{
    return find(commands, sizeof commands / sizeof *commands, name, len);
}

const struct pl_math_entry *pl_math_sign_plain(const char *word, size_t len)
{
    return find(plain, sizeof plain / sizeof *plain, word, len);
}

const struct pl_math_entry *pl_math_sign_unicode(const char *text, size_t len)
{
    for (size_t i = 0; i < sizeof unicode / sizeof *unicode; i++) {
        const size_t n = strlen(unicode[i].name);

        if (n <= len && memcmp(unicode[i].name, text, n) == 0)
            return &unicode[i];
    }
    return NULL;
}
