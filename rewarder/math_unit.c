#include "rewarder/math_unit.h"

#include <string.h>

enum base {
    METRE,
    CENTIMETRE,
    MILLIMETRE,
    KILOMETRE,
    INCH,
    FOOT,
    YARD,
    MILE,
    SECOND,
    MINUTE,
    HOUR,
    DAY,
    WEEK,
    MONTH,
    YEAR,
    GRAM,
    KILOGRAM,
    POUND,
    OUNCE,
    LITRE,
    MILLILITRE,
    GALLON,
    DOLLAR,
    CENT,
    BASES,
    SQUARE, /* of what comes next */
    CUBIC,
    SQUARED, /* of what came last */
    CUBED,
    PER,
};

static const struct {
    const char *word;
    enum base base;
} words[] = {
    {"m", METRE},
    {"meter", METRE},
    {"meters", METRE},
    {"metre", METRE},
    {"metres", METRE},
    {"cm", CENTIMETRE},
    {"centimeter", CENTIMETRE},
    {"centimeters", CENTIMETRE},
    {"centimetre", CENTIMETRE},
    {"centimetres", CENTIMETRE},
    {"mm", MILLIMETRE},
    {"millimeter", MILLIMETRE},
    {"millimeters", MILLIMETRE},
    {"km", KILOMETRE},
    {"kilometer", KILOMETRE},
    {"kilometers", KILOMETRE},
    {"kilometre", KILOMETRE},
    {"kilometres", KILOMETRE},
    {"in", INCH},
    {"inch", INCH},
    {"inches", INCH},
    {"ft", FOOT},
    {"foot", FOOT},
    {"feet", FOOT},
    {"yd", YARD},
    {"yard", YARD},
    {"yards", YARD},
    {"mi", MILE},
    {"mile", MILE},
    {"miles", MILE},
    {"s", SECOND},
    {"sec", SECOND},
    {"second", SECOND},
    {"seconds", SECOND},
    {"min", MINUTE},
    {"mins", MINUTE},
    {"minute", MINUTE},
    {"minutes", MINUTE},
    {"h", HOUR},
    {"hr", HOUR},
    {"hrs", HOUR},
    {"hour", HOUR},
    {"hours", HOUR},
    {"day", DAY},
    {"days", DAY},
    {"week", WEEK},
    {"weeks", WEEK},
    {"month", MONTH},
    {"months", MONTH},
    {"yr", YEAR},
    {"yrs", YEAR},
    {"year", YEAR},
    {"years", YEAR},
    {"g", GRAM},
    {"gram", GRAM},
    {"grams", GRAM},
    {"kg", KILOGRAM},
    {"kilogram", KILOGRAM},
    {"kilograms", KILOGRAM},
    {"lb", POUND},
    {"lbs", POUND},
    {"pound", POUND},
    {"pounds", POUND},
    {"oz", OUNCE},
    {"ounce", OUNCE},
    {"ounces", OUNCE},
    {"l", LITRE},
    {"liter", LITRE},
    {"liters", LITRE},
    {"litre", LITRE},
    {"litres", LITRE},
    {"ml", MILLILITRE},
    {"milliliter", MILLILITRE},
    {"milliliters", MILLILITRE},
    {"gal", GALLON},
    {"gallon", GALLON},
    {"gallons", GALLON},
    {"dollar", DOLLAR},
    {"dollars", DOLLAR},
    {"usd", DOLLAR},
    {"cent", CENT},
    {"cents", CENT},
    {"sq", SQUARE},
    {"square", SQUARE},
    {"cu", CUBIC},
    {"cubic", CUBIC},
    {"squared", SQUARED},
    {"cubed", CUBED},
    {"per", PER},
};

_Static_assert((int)BASES == (int)PL_MATH_UNITS, "a power for each unit of measure");

static enum base base_of(const char *word, size_t len)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].word) == len && memcmp(words[i].word, word, len) == 0)
            return words[i].base;
    return BASES;
}

bool pl_math_unit_word(const char *word, size_t len)
{
    return base_of(word, len) != BASES || (len == 3 && memcmp(word, "mph", 3) == 0);
}

struct pl_math_unit pl_math_unit_named(const char *word)
{
    struct pl_math_unit unit = {{0}, false};
    const enum base base = base_of(word, strlen(word));

    if (base < BASES)
        unit.powers[base] = 1;
    else
        unit.unknown = true;
    return unit;
}

/* What a reader of units is in the middle of. */
struct reading {
    struct pl_math_unit unit;
    int sign, power; /* of the next unit */
    enum base last;
    int last_power;
};

static void take_word(struct reading *r, const char *word, size_t len)
{
    const enum base base = base_of(word, len);

    if (len == 3 && memcmp(word, "mph", 3) == 0) {
        r->unit.powers[MILE] = 1;
        r->unit.powers[HOUR] = -1;
    } else if (base == SQUARE || base == CUBIC) {
        r->power = base == SQUARE ? 2 : 3;
    } else if (base == PER) {
        r->sign = -1;
    } else if (base == BASES) {
        r->unit.unknown = true;
        r->last = BASES;
    } else if (base < BASES) {
        r->last = base;
        r->last_power = r->sign * r->power;
        r->unit.powers[base] = (int8_t)r->last_power;
        r->power = 1;
    } else if (r->last < BASES) {
        r->unit.powers[r->last] = (int8_t)(r->last_power * (base == SQUARED ? 2 : 3));
    }
}

struct pl_math_unit pl_math_unit_read(const struct pl_math_tokens *tokens, size_t begin, size_t end)
{
    struct reading r = {{{0}, false}, 1, 1, BASES, 0};

    for (size_t i = begin; i < end; i++) {
        const struct pl_math_token *t = &tokens->list[i];
        const char *text = tokens->text + t->at;

        if (t->sign == PL_MATH_WORD || t->sign == PL_MATH_LETTER)
            take_word(&r, text, t->len);
        else if (t->sign == '/')
            r.sign = -1;
        else if (t->sign == PL_MATH_NUMBER && t->len == 1 && r.last < BASES)
            r.unit.powers[r.last] = (int8_t)(r.last_power * (*text - '0'));
    }
    return r.unit;
}

bool pl_math_unit_agree(const struct pl_math_unit *a, const struct pl_math_unit *b)
{
    static const int8_t none[PL_MATH_UNITS];

    return a->unknown || b->unknown || memcmp(a->powers, none, sizeof none) == 0 ||
           memcmp(b->powers, none, sizeof none) == 0 ||
           memcmp(a->powers, b->powers, sizeof none) == 0;
}
