/*
 * Knights and Knaves. An answer is read word by word: a name puts its person in line, a role is
 * given to all persons in line; small words, numbers and punctuation join them. Any other word
 * ("not", "maybe", "or") makes it no answer, as does a person named twice: hedging is not an
 * answer.
 */
#include "common/base/err.h"
#include "rewarder/verify.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum { PEOPLE_MAX = 32, STEP_BYTES_MAX = 256, FINAL_BYTES_MAX = 8192 }; /* longer is no answer */

enum role { ROLE_NONE, ROLE_KNIGHT, ROLE_KNAVE };

struct word {
    const char *text;
    size_t len;
};

/* Who is what. Names are borrowed from the truth. */
struct roles {
    struct word names[PEOPLE_MAX];
    enum role roles[PEOPLE_MAX];
    size_t count;
};

static bool is_letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '\'' || c >= 0x80;
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

/* The next word from *at on, numbers left out; false at the end. */
static bool next_word(const char *text, size_t len, size_t *at, struct word *ret_word)
{
    size_t i = *at, end;

    while (i < len && !is_letter((unsigned char)text[i]))
        i++;
    for (end = i;
         end < len && (is_letter((unsigned char)text[end]) || is_digit((unsigned char)text[end]));)
        end++;
    *at = end;
    *ret_word = (struct word){text + i, end - i};
    return end > i;
}

static bool same(struct word a, const char *b, size_t len)
{
    return a.len == len && strncasecmp(a.text, b, len) == 0;
}

static enum role role_of(struct word w)
{
    if (same(w, "knight", 6) || same(w, "knights", 7))
        return ROLE_KNIGHT;
    if (same(w, "knave", 5) || same(w, "knaves", 6))
        return ROLE_KNAVE;
    return ROLE_NONE;
}

static bool joins(struct word w)
{
    return same(w, "is", 2) || same(w, "are", 3) || same(w, "a", 1) || same(w, "and", 3) ||
           same(w, "both", 4) || same(w, "all", 3);
}

static size_t find(const struct roles *r, struct word w)
{
    size_t i = 0;

    while (i < r->count && !same(w, r->names[i].text, r->names[i].len))
        i++;
    return i;
}

/*
 * Read `text`. With `known`, its names are the only ones; else every word that is no role and does
 * not join is a name (a truth). False: it is no answer.
 */
static bool read_roles(const char *text, size_t len, const struct roles *known, struct roles *ret)
{
    size_t at = 0, given = 0; /* people [given, count) wait for their role */
    struct word w;

    ret->count = 0;
    while (next_word(text, len, &at, &w)) {
        const enum role role = role_of(w);

        if (role != ROLE_NONE) {
            if (given == ret->count)
                return false;
            while (given < ret->count)
                ret->roles[given++] = role;
        } else if (!known || find(known, w) < known->count) {
            if (!known && joins(w))
                continue;
            if (ret->count == PEOPLE_MAX || find(ret, w) < ret->count)
                return false;
            ret->names[ret->count++] = w;
        } else if (!joins(w)) {
            return false;
        }
    }
    return ret->count > 0 && given == ret->count;
}

static bool equal(const struct roles *a, const struct roles *b)
{
    for (size_t i = 0; i < a->count; i++) {
        const size_t at = find(b, a->names[i]);

        if (at == b->count || a->roles[i] != b->roles[at])
            return false;
    }
    return true;
}

/* An answer names the people of the final truth and no others; an intermediate one names one of
 * them. */
static bool read_form(const struct pl_text *text, void *ret_form)
{
    struct roles *roles = ret_form;

    if (text->truth)
        return read_roles(text->text, text->len, NULL, roles);
    return text->final && text->len <= (text->step ? STEP_BYTES_MAX : FINAL_BYTES_MAX) &&
           read_roles(text->text, text->len, text->final, roles) &&
           (text->step ? roles->count == 1
                       : roles->count == ((const struct roles *)text->final)->count);
}

/* An intermediate answer is one person's role; it is wrong for every other person's truth. */
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
    struct roles truth, one;

    if (!read_roles(task->final.answer, strlen(task->final.answer), NULL, &truth))
        return pl_fail(err, PL_EFORMAT,
                       "task '%s': the answer '%.80s' does not say of each person once whether it "
                       "is a knight or a knave",
                       task->id, task->final.answer);
    for (size_t i = 0; i < task->step_count; i++) {
        const char *answer = task->steps[i].answer;

        if (!read_roles(answer, strlen(answer), NULL, &one) || one.count != 1 ||
            !equal(&one, &truth))
            return pl_fail(err, PL_EFORMAT,
                           "task '%s': step %zu, '%.80s', is not the role that one person has in "
                           "the answer '%.80s'",
                           task->id, i + 1, answer, task->final.answer);
    }
    return PL_OK;
}

const struct pl_verifier pl_verify_kk = {.name = "kk",
                                         .form_bytes = sizeof(struct roles),
                                         .read = read_form,
                                         .same = same_form,
                                         .check = check};
