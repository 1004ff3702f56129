/*
 * One of several options, by letter or by text. verify.h says what is read as one. An answer names
 * a set of options: one of them, or those whose texts are the same; no option is no answer.
 */
#include "common/base/err.h"
#include "rewarder/em.h"
#include "rewarder/verify.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum { ANSWER_BYTES_MAX = 8192 }; /* longer is no answer */

struct span {
    const char *text;
    size_t len;
};

/* ---- words ---- */

static bool is_word_byte(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c >= 0x80 || c == '_';
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct span from(struct span s, size_t at)
{
    return (struct span){s.text + at, s.len - at};
}

/* The next word from *at on; false at the end. */
static bool next_word(struct span s, size_t *at, struct span *ret_word)
{
    size_t i = *at, end;

    while (i < s.len && !is_word_byte((unsigned char)s.text[i]))
        i++;
    for (end = i; end < s.len && is_word_byte((unsigned char)s.text[end]);)
        end++;
    *at = end;
    *ret_word = (struct span){s.text + i, end - i};
    return end > i;
}

/* Words that say no more than that an answer follows, or set it in another type. */
static bool is_filler(struct span word)
{
    static const char *const words[] = {
        "the",       "correct", "right", "best",   "final",  "answer", "option",
        "choice",    "letter",  "is",    "it",     "so",     "thus",   "hence",
        "therefore", "boxed",   "text",  "textbf", "mathrm", "mathbf", "s"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (word.len == strlen(words[i]) && strncasecmp(word.text, words[i], word.len) == 0)
            return true;
    return false;
}

/* The option that a word of one letter names, in either case; -1: none. */
static int letter_of(const struct pl_task *task, struct span word)
{
    const int index = word.len == 1 ? (word.text[0] | 0x20) - 'a' : -1;

    return index >= 0 && index < (int)task->choice_count ? index : -1;
}

static bool is_capital(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* ---- by text ---- */

static struct span trim(struct span s)
{
    while (s.len > 0 && is_blank(s.text[0]))
        s = from(s, 1);
    while (s.len > 0 && (is_blank(s.text[s.len - 1]) || s.text[s.len - 1] == '.'))
        s.len--;
    return s;
}

/* The same bytes, but for the amount of white space between words and what trim() takes. */
static bool same_bytes(struct span a, struct span b)
{
    size_t i = 0, k = 0;

    while (i < a.len && k < b.len) {
        if (is_blank(a.text[i]) && is_blank(b.text[k])) {
            while (is_blank(a.text[i])) /* trimmed: it ends in none */
                i++;
            while (is_blank(b.text[k]))
                k++;
        } else if (a.text[i++] != b.text[k++]) {
            return false;
        }
    }
    return i == a.len && k == b.len;
}

/* Options whose text this is. If it is none as it stands, then in em's form, in which several may
 * be alike whose difference is in signs that it leaves out: *ret_exact is false then. */
static unsigned by_text(const struct pl_task *task, struct span text, bool *ret_exact)
{
    const struct span trimmed = trim(text);
    struct pl_em given, option;
    unsigned set = 0;

    for (size_t i = 0; i < task->choice_count; i++)
        if (same_bytes(trimmed, trim((struct span){task->choices[i], strlen(task->choices[i])})) &&
            trimmed.len > 0)
            set |= 1u << i;
    *ret_exact = set != 0;
    if (set || !pl_em_read(text.text, text.len, &given))
        return set;
    for (size_t i = 0; i < task->choice_count; i++)
        if (pl_em_read(task->choices[i], strlen(task->choices[i]), &option) &&
            pl_em_equal(&given, &option))
            set |= 1u << i;
    return set;
}

static bool names_one(unsigned set, bool exact)
{
    return set != 0 && (exact || (set & (set - 1)) == 0);
}

/* ---- by letter ---- */

/* Whether another option's letter stands by itself in the text: a capital, but for A and I where
 * they are words of a sentence, or a letter in brackets. */
static bool mentions_other(const struct pl_task *task, struct span s, int index)
{
    struct span word;

    for (size_t at = 0; next_word(s, &at, &word);) {
        const int other = letter_of(task, word);
        const size_t begin = (size_t)(word.text - s.text);
        const char next = at < s.len ? s.text[at] : '\0';

        if (other < 0 || other == index)
            continue;
        if (begin > 0 && s.text[begin - 1] == '(' && next == ')')
            return true;
        if (!is_capital(word.text[0]))
            continue;
        if ((word.text[0] == 'A' || word.text[0] == 'I') && next == ' ' && at + 1 < s.len &&
            s.text[at + 1] >= 'a' && s.text[at + 1] <= 'z')
            continue;
        return true;
    }
    return false;
}

enum lead { LEAD_NONE, LEAD_BARE, LEAD_WITH_TEXT, LEAD_LETTER, LEAD_TWO };

/* Whether the bytes between words are brackets, quotes and the like, which say nothing; "~A" and
 * "A+" are other than A. */
static bool silent(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_blank(text[i]) && (!text[i] || !strchr("()[]{}*$\\\"'`:.,;!?", text[i])))
            return false;
    return true;
}

/* What closes a letter from the text behind it; a comma does so only behind a capital ("a, b"). */
static bool closes(char c, bool capital)
{
    return c == ')' || c == ']' || c == '}' || c == '.' || c == ':' || (c == ',' && capital);
}

/*
 * A letter in front, with nothing but fillers before it, and how it goes on: LEAD_BARE with nothing
 * more, LEAD_WITH_TEXT with the text of its option, LEAD_LETTER with other words, LEAD_TWO with
 * what contradicts it.
 */
static enum lead leading_letter(const struct pl_task *task, struct span s, int *ret_index)
{
    struct span word, rest;
    size_t at = 0, before;
    bool capital, closed = false, exact;
    unsigned set;

    do {
        before = at;
        if (!next_word(s, &at, &word) ||
            !silent(s.text + before, (size_t)(word.text - s.text) - before))
            return LEAD_NONE;
    } while (is_filler(word));
    *ret_index = letter_of(task, word);
    if (*ret_index < 0)
        return LEAD_NONE;
    capital = is_capital(word.text[0]);
    for (; at < s.len && (closes(s.text[at], capital) || s.text[at] == '*'); at++)
        closed = closed || s.text[at] != '*';
    rest = from(s, at);
    if (!next_word(rest, &(size_t){0}, &word))
        return silent(rest.text, rest.len) ? LEAD_BARE : LEAD_NONE;
    set = by_text(task, rest, &exact);
    if (set & 1u << *ret_index)
        return LEAD_WITH_TEXT;
    if (!closed)
        return LEAD_NONE;
    return set || mentions_other(task, rest, *ret_index) ? LEAD_TWO : LEAD_LETTER;
}

/* ---- both ---- */

/* What is named by the text as it stands. False: nothing, but a mark in it may help; true with an
 * empty set: it contradicts itself. */
static bool read_span(const struct pl_task *task, struct span s, unsigned *ret_set)
{
    bool exact;
    int index = 0;
    const enum lead lead = leading_letter(task, s, &index);
    const unsigned set = by_text(task, s, &exact);

    *ret_set = 0;
    if (exact) /* but "B", where the text of another option is "B", is neither */
        *ret_set = lead == LEAD_BARE && trim(s).len == 1 && !(set & 1u << index) ? 0 : set;
    else if (lead == LEAD_BARE || lead == LEAD_WITH_TEXT)
        *ret_set = 1u << index;
    else if (lead != LEAD_TWO && names_one(set, false)) /* em drops the A of "A) text" */
        *ret_set = set;
    else if (lead == LEAD_LETTER)
        *ret_set = 1u << index;
    else
        return lead == LEAD_TWO || set != 0;
    return true;
}

/* What stands behind the last mark; false: there is none. */
static bool behind_mark(struct span *s)
{
    static const char *const marks[] = {"\\boxed{", "answer is", "answer:"};

    for (size_t at = s->len + 1; at-- > 0;)
        for (size_t k = 0; k < sizeof marks / sizeof *marks; k++) {
            const size_t n = strlen(marks[k]);

            if (at >= n && strncasecmp(s->text + at - n, marks[k], n) == 0) {
                *s = from(*s, at);
                return true;
            }
        }
    return false;
}

/* Behind "\boxed{": up to the last brace. */
static struct span within_brace(struct span s)
{
    size_t end = s.len;

    while (end > 0 && s.text[end - 1] != '}')
        end--;
    return end > 0 ? (struct span){s.text, end - 1} : s;
}

static unsigned read_answer(const struct pl_task *task, const char *text, size_t len)
{
    const struct span all = {text, len};
    struct span s = all;
    bool contradicts, exact;
    unsigned set;

    if (len > ANSWER_BYTES_MAX)
        return 0;
    contradicts = read_span(task, s, &set);
    if (set || !behind_mark(&s))
        return set;
    if (s.text > text && s.text[-1] == '{')
        s = within_brace(s);
    if (contradicts) { /* "The answer is A, B in C" may still be an option, word by word */
        set = by_text(task, s, &exact);
        return exact ? set : 0;
    }
    if (!read_span(task, s, &set) || !names_one(set, false))
        return set;
    for (int i = 0; i < (int)task->choice_count; i++)
        if (set == 1u << i && mentions_other(task, (struct span){text, (size_t)(s.text - text)}, i))
            return 0;
    return set;
}

/* As an answer, but that a letter is a letter, even if it is some option's text. */
static unsigned read_truth(const struct pl_task *task)
{
    const struct span s = {task->final.answer, strlen(task->final.answer)};
    int index;

    if (s.len <= ANSWER_BYTES_MAX && leading_letter(task, s, &index) == LEAD_BARE)
        return 1u << index;
    return read_answer(task, s.text, s.len);
}

/* Intermediate answers have no options: they are texts. */
union form {
    unsigned set;
    struct pl_em em;
};

static bool read_form(const struct pl_text *text, void *ret_form)
{
    union form *form = ret_form;

    if (text->step)
        return pl_em_read(text->text, text->len, &form->em);
    form->set =
        text->truth ? read_truth(text->task) : read_answer(text->task, text->text, text->len);
    return form->set != 0;
}

static enum pl_verdict same_form(const void *truth, const void *answer, bool step, void *room,
                                 uint64_t *work)
{
    const union form *a = truth, *b = answer;

    (void)room;
    (void)work;
    return (step ? pl_em_equal(&a->em, &b->em) : (a->set & b->set) != 0) ? PL_VERDICT_RIGHT
                                                                         : PL_VERDICT_WRONG;
}

static int check(const struct pl_task *task, struct pl_error *err)
{
    if (task->choice_count == 0)
        return pl_fail(err, PL_EFORMAT,
                       "task '%.80s': the verifier 'choice' needs its options, 'meta.choices', as "
                       "a list of 2 to %d strings",
                       task->id, PL_TASK_CHOICES_MAX);
    if (!read_truth(task))
        return pl_fail(err, PL_EFORMAT,
                       "task '%.80s': the answer, '%.80s', is neither the letter nor the text of "
                       "one of its %zu options",
                       task->id, task->final.answer, task->choice_count);
    return pl_em_check_steps(task, err);
}

const struct pl_verifier pl_verify_choice = {.name = "choice",
                                             .form_bytes = sizeof(union form),
                                             .aliases = true,
                                             .read = read_form,
                                             .same = same_form,
                                             .check = check};
