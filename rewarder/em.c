#include "rewarder/em.h"

#include "common/text/utf8.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

enum { EXPANSION_MAX = 24 }; /* one character becomes at most 18 (U+FDFA), and a blank */
enum { MARKS_MAX = 30 };     /* on one letter, as in Unicode's stream-safe text */

/* ---- characters: NFKD, cases folded, what looks alike made one ---- */

static bool is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

static unsigned class_of(uint32_t c)
{
    return (unsigned)utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
}

/* A mark goes before marks of a higher class. False: there are more of them than any text has. */
static bool put(struct pl_em *out, uint32_t c, size_t *marks)
{
    const unsigned class = c < 0x300 ? 0 : class_of(c);
    size_t at = out->len++;

    *marks = class > 0 ? *marks + 1 : 0;
    while (class > 0 && at > 0 && class_of(out->text[at - 1]) > class) {
        out->text[at] = out->text[at - 1];
        at--;
    }
    out->text[at] = c;
    return *marks <= MARKS_MAX;
}

static bool decompose(const char *text, size_t len, struct pl_em *out)
{
    const utf8proc_option_t options =
        (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT |
                            UTF8PROC_CASEFOLD | UTF8PROC_IGNORE | UTF8PROC_LUMP);
    size_t marks = 0;

    out->len = 0;
    for (size_t at = 0, n; at < len; at += n) {
        const bool good = pl_utf8_step(text + at, len - at, &n) == PL_UTF8_GOOD;
        const uint32_t c = good ? pl_utf8_decode(text + at, n) : 0xFFFD;
        utf8proc_int32_t made[EXPANSION_MAX];
        utf8proc_ssize_t count;
        int boundary = 0;

        if (out->len + EXPANSION_MAX > PL_EM_CHARACTERS_MAX)
            return false;
        if (c < 0x80) {
            out->text[out->len++] = c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
            marks = 0;
            continue;
        }
        count =
            utf8proc_decompose_char((utf8proc_int32_t)c, made, EXPANSION_MAX, options, &boundary);
        /* 2½ is no 21/2, and 10² no 102 */
        if (out->len > 0 && is_digit(out->text[out->len - 1]) &&
            utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_NO)
            out->text[out->len++] = ' ';
        for (utf8proc_ssize_t i = 0; i < count && i < EXPANSION_MAX; i++)
            if (!put(out, (uint32_t)made[i], &marks))
                return false;
    }
    return true;
}

/* ---- words ---- */

enum kind { KIND_LETTER, KIND_SPACE, KIND_PUNCTUATION };

static enum kind kind_of(uint32_t c)
{
    if (c < 0x80) {
        if (c <= ' ' || c == 0x7F)
            return KIND_SPACE;
        return is_digit(c) || (c >= 'a' && c <= 'z') ? KIND_LETTER : KIND_PUNCTUATION;
    }
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
    case UTF8PROC_CATEGORY_SC:
        return KIND_PUNCTUATION;
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
        return KIND_SPACE;
    default:
        return KIND_LETTER;
    }
}

/* From characters to words. */
struct words {
    const struct pl_em *in;
    struct pl_em *out;
    size_t begin; /* of the word under way, in out */
    bool articles, full;
};

static void emit(struct words *w, uint32_t c)
{
    if (w->out->len < PL_EM_CHARACTERS_MAX)
        w->out->text[w->out->len++] = c;
    else
        w->full = true;
}

static bool is_article(const uint32_t *word, size_t len)
{
    return (len == 1 && word[0] == 'a') || (len == 2 && word[0] == 'a' && word[1] == 'n') ||
           (len == 3 && word[0] == 't' && word[1] == 'h' && word[2] == 'e');
}

/* A word is done: a blank behind it, or it goes if it is an article. */
static void end_word(struct words *w)
{
    struct pl_em *out = w->out;

    if (out->len == w->begin)
        return;
    if (!w->articles && is_article(out->text + w->begin, out->len - w->begin))
        out->len = w->begin;
    else
        emit(w, ' ');
    w->begin = out->len;
}

static uint32_t at(const struct pl_em *in, size_t i)
{
    return i < in->len ? in->text[i] : 0;
}

static size_t digits_end(const struct pl_em *in, size_t i)
{
    while (is_digit(at(in, i)))
        i++;
    return i;
}

/* ",ddd" and no fourth digit */
static bool group_at(const struct pl_em *in, size_t i)
{
    return at(in, i) == ',' && digits_end(in, i + 1) == i + 4;
}

/* The end of the fraction whose point is at i; i where there is none: 1.2.3 is no number. */
static size_t fraction_end(const struct pl_em *in, size_t i)
{
    const size_t stop = digits_end(in, i + 1);

    if (at(in, i) != '.' || stop == i + 1 || (at(in, stop) == '.' && is_digit(at(in, stop + 1))))
        return i;
    return stop;
}

/* Whether a number begins at i: at a digit, or at a point with a fraction behind it. */
static bool number_at(const struct pl_em *in, size_t i)
{
    return is_digit(at(in, i)) || fraction_end(in, i) > i;
}

/* The number at i; returns where it ends. */
static size_t number(struct words *w, size_t i, bool negative)
{
    const struct pl_em *in = w->in;
    size_t whole = digits_end(in, i), end, last; /* of the digits before the point; of all */
    bool zero = true;

    if (whole > i && whole - i <= 3 && in->text[i] != '0')
        while (group_at(in, whole))
            whole += 4;
    end = last = fraction_end(in, whole);
    while (last > whole && (in->text[last - 1] == '0' || last == whole + 1))
        last--; /* the last zeros, and the point */
    for (size_t k = i; k < last; k++)
        zero = zero && (!is_digit(in->text[k]) || in->text[k] == '0');
    if (negative && !zero)
        emit(w, '-');
    if (whole == i)
        emit(w, '0');
    for (size_t k = i; k < last; k++)
        if (in->text[k] != ',')
            emit(w, in->text[k]);
    return end;
}

static bool currency_at(const struct pl_em *in, size_t i)
{
    return i < in->len &&
           (in->text[i] == '$' ||
            (in->text[i] >= 0x80 &&
             utf8proc_category((utf8proc_int32_t)in->text[i]) == UTF8PROC_CATEGORY_SC));
}

/* A minus in front of a number, where no word is under way; *ret_at is where the number begins. */
static bool minus_at(const struct words *w, size_t i, size_t *ret_at)
{
    size_t next = i + 1;

    if (w->in->text[i] != '-' || w->out->len > w->begin)
        return false;
    next += currency_at(w->in, next);
    *ret_at = next;
    return number_at(w->in, next);
}

/* Punctuation at i that stands, maybe with more, between two digits. */
static bool divides(const struct pl_em *in, size_t i)
{
    size_t next = i + 1;

    if (i == 0 || !is_digit(in->text[i - 1]))
        return false;
    while (next < in->len && kind_of(in->text[next]) == KIND_PUNCTUATION)
        next++;
    return is_digit(at(in, next));
}

static void read_words(struct words *w)
{
    const struct pl_em *in = w->in;

    w->out->len = w->begin = 0;
    for (size_t i = 0, next; i < in->len;) {
        const uint32_t c = in->text[i];
        const bool fresh = w->out->len == w->begin; /* no word is under way */
        const enum kind kind = kind_of(c);

        if (is_digit(c) || (fresh && number_at(in, i))) {
            i = number(w, i, false);
        } else if (minus_at(w, i, &next)) {
            i = number(w, next, true);
        } else {
            if (kind == KIND_LETTER)
                emit(w, c);
            else if (kind == KIND_SPACE || divides(in, i))
                end_word(w);
            i++;
        }
    }
    end_word(w);
    if (w->out->len > 0 && w->out->text[w->out->len - 1] == ' ')
        w->out->len--;
}

bool pl_em_read(const char *text, size_t len, struct pl_em *ret_em)
{
    struct pl_em characters;
    struct words words = {.in = &characters, .out = ret_em};

    if (len > PL_EM_BYTES_MAX || !decompose(text, len, &characters))
        return false;
    read_words(&words);
    if (ret_em->len == 0) {
        words.articles = true;
        read_words(&words);
    }
    return ret_em->len > 0 && !words.full;
}

bool pl_em_equal(const struct pl_em *a, const struct pl_em *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len * sizeof *a->text) == 0;
}

/* ---- truths ---- */

int pl_em_check(const struct pl_task *task, const struct pl_truth *truth, const char *what,
                struct pl_error *err)
{
    struct pl_em em;

    if (pl_em_read(truth->answer, strlen(truth->answer), &em))
        return PL_OK;
    return pl_fail(err, PL_EFORMAT,
                   "task '%.80s': %s, '%.80s', has nothing but punctuation in it, or more than %d "
                   "bytes",
                   task->id, what, truth->answer, PL_EM_BYTES_MAX);
}

int pl_em_check_steps(const struct pl_task *task, struct pl_error *err)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < task->step_count; i++) {
        char what[48];

        snprintf(what, sizeof what, "the answer of step %zu", i + 1);
        rc = pl_em_check(task, &task->steps[i], what, err);
    }
    return rc;
}
