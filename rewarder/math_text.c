#include "rewarder/math_text.h"

#include <string.h>
#include <strings.h>

struct span {
    const char *text;
    size_t len;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Whether a backslash makes the byte at `at` a sign of its own: an odd number is before it. */
static bool escaped(const char *text, size_t at)
{
    size_t n = 0;

    while (n < at && text[at - n - 1] == '\\')
        n++;
    return n % 2 == 1;
}

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static bool starts(const char *text, size_t len, const char *head)
{
    const size_t n = strlen(head);

    return len >= n && strncasecmp(text, head, n) == 0;
}

/* "\boxed" or "\fbox" at `at`: where it ends, 0: there is none. */
static size_t box_at(struct span s, size_t at)
{
    const char *text = s.text + at;
    const size_t len = s.len - at;

    if (len >= 6 && memcmp(text, "\\boxed", 6) == 0)
        return at + 6;
    return len >= 5 && memcmp(text, "\\fbox", 5) == 0 ? at + 5 : 0;
}

/* Closing braces that wait for their opening one, the nearest in front; those further away than
 * there is room for are only counted. */
enum { CLOSERS_MAX = 128 };

struct closers {
    size_t at[CLOSERS_MAX];
    size_t first, kept; /* a ring */
};

static void push(struct closers *c, size_t at)
{
    c->first = (c->first + CLOSERS_MAX - 1) % CLOSERS_MAX;
    c->at[c->first] = at;
    if (c->kept < CLOSERS_MAX)
        c->kept++;
}

static bool pop(struct closers *c, size_t *ret)
{
    if (c->kept == 0)
        return false;
    *ret = c->at[c->first];
    c->first = (c->first + 1) % CLOSERS_MAX;
    c->kept--;
    return true;
}

/* From the end to the front, so that the first balanced box met is the last. *ret_any: a box, or
 * the beginning of one, is there. */
static bool find_box(struct span s, struct span *ret, bool *ret_any)
{
    struct closers closers = {.kept = 0};
    size_t end = 0;

    *ret_any = false;
    for (size_t i = s.len; i > 0; i--) {
        const char c = s.text[i - 1];
        size_t content;

        if (c == '}' && !escaped(s.text, i - 1)) {
            push(&closers, i - 1);
        } else if (c == '{' && !escaped(s.text, i - 1)) {
            size_t name = i - 1; /* blanks may lie between; they are few, or the box is none */

            while (name > 0 && i - 1 - name < 8 && is_blank(s.text[name - 1]))
                name--;
            if (pop(&closers, &end) && ((name >= 6 && box_at(s, name - 6) == name) ||
                                        (name >= 5 && box_at(s, name - 5) == name))) {
                *ret = (struct span){s.text + i, end - i};
                return true;
            }
        } else if (c == '\\' && (content = box_at(s, i - 1)) > 0) {
            *ret_any = true;
            end = content;
            while (end < s.len && end - content < 8 && is_blank(s.text[end]))
                end++;
            if (end < s.len && s.text[end] != '{' &&
                (end > content || (s.text[end] >= '0' && s.text[end] <= '9'))) { /* "\boxed 5" */
                content = end;
                while (end < s.len && s.text[end] != '$' && s.text[end] != '\n')
                    end++;
                *ret = (struct span){s.text + content, end - content};
                return true;
            }
        }
    }
    return false;
}

static struct span behind(struct span s, size_t at)
{
    return (struct span){s.text + at, s.len - at};
}

/* Behind the last "####", up to the line's end. */
static bool find_hashes(struct span s, struct span *ret)
{
    for (size_t i = s.len; i >= 4; i--)
        if (s.text[i - 1] == '#' && memcmp(s.text + i - 4, "####", 4) == 0) {
            const char *end = memchr(s.text + i, '\n', s.len - i);

            *ret = behind(s, i);
            if (end)
                ret->len = (size_t)(end - ret->text);
            return true;
        }
    return false;
}

static bool find_said(struct span s, struct span *ret)
{
    static const char *const heads[] = {"answer is:", "answer is", "answer:", "answer :"};

    for (size_t i = s.len; i > 0; i--)
        if (lower(s.text[i - 1]) == 'a' && i < s.len && lower(s.text[i]) == 'n')
            for (size_t k = 0; k < sizeof heads / sizeof *heads; k++)
                if (starts(s.text + i - 1, s.len - i + 1, heads[k])) {
                    *ret = behind(s, i - 1 + strlen(heads[k]));
                    return true;
                }
    return false;
}

/* How much of the beginning is a mark of a formula or of bold print. */
static size_t mark_before(struct span s)
{
    if (s.len >= 2 && (memcmp(s.text, "**", 2) == 0 || memcmp(s.text, "$$", 2) == 0 ||
                       memcmp(s.text, "\\(", 2) == 0 || memcmp(s.text, "\\[", 2) == 0))
        return 2;
    return is_blank(s.text[0]);
}

/* And of the end, with the punctuation there; "..." stays. */
static size_t mark_behind(struct span s)
{
    const char last = s.text[s.len - 1], before = s.len >= 2 ? s.text[s.len - 2] : ' ';

    switch (last) {
    case '*':
        return before == '*' ? 2 : 0;
    case ')':
    case ']':
        return before == '\\' && !escaped(s.text, s.len - 2) ? 2 : 0;
    case '.':
        return before != '.';
    case '$':
    case ',':
    case ';':
        return before != '\\' || !escaped(s.text, s.len - 1);
    default:
        return is_blank(last);
    }
}

/* One end at a time: marks may be left over on one side only. */
static void take_off(struct span *s)
{
    size_t n;

    while (s->len > 0 && (n = mark_before(*s)) > 0)
        *s = behind(*s, n);
    while (s->len > 0 && (n = mark_behind(*s)) > 0)
        s->len -= n;
}

bool pl_math_text_find(const char *text, size_t len, const char **ret_answer, size_t *ret_len)
{
    struct span s = {text, len}, answer = s;
    bool any;

    if (!find_box(s, &answer, &any)) {
        if (any)
            return false;
        if (!find_hashes(s, &answer) && !find_said(s, &answer))
            answer = s;
    }
    take_off(&answer);
    *ret_answer = answer.text;
    *ret_len = answer.len;
    return answer.len > 0;
}
