#include "tests/arith_naive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIED_MAX = 10000 };

/* What a sentence says: P = Q op R, of the words that its letters stand for. Its subject, of which
 * it says it first, is X. */
static const struct rule {
    const char *pattern;
    char p, op, q, r;
} rules[] = {
    {"X = L + R .", 'X', '+', 'L', 'R'},
    {"X = L - R .", 'L', '+', 'X', 'R'},
    {"X = L * R .", 'X', '*', 'L', 'R'},
    {"X had L _ and was given R more .", 'X', '+', 'L', 'R'},
    {"X found L _ in one box and R in another .", 'X', '+', 'L', 'R'},
    {"X has R more _ than L .", 'X', '+', 'L', 'R'},
    {"X has as many _ as L , and R besides .", 'X', '+', 'L', 'R'},
    {"X has L _ , and besides as many as R .", 'X', '+', 'L', 'R'},
    {"X has as many _ as L and R together .", 'X', '+', 'L', 'R'},
    {"put together , the _ of L and R are as many as those of X .", 'X', '+', 'L', 'R'},
    {"X had L _ and gave R of them away .", 'L', '+', 'X', 'R'},
    {"X bought L _ and lost R .", 'L', '+', 'X', 'R'},
    {"X has R fewer _ than L .", 'L', '+', 'X', 'R'},
    {"X had L _ and gave away as many as R has .", 'L', '+', 'X', 'R'},
    {"X and R have L _ together .", 'L', '+', 'X', 'R'},
    {"X has as many _ as L would have after giving away as many as R has .", 'L', '+', 'X', 'R'},
    {"X filled L boxes with R _ each .", 'X', '*', 'L', 'R'},
    {"X was given L _ on each of R days .", 'X', '*', 'L', 'R'},
    {"X has R times as many _ as L .", 'X', '*', 'L', 'R'},
    {"for each of the _ of L , X has R .", 'X', '*', 'L', 'R'},
    {"for each of the _ of L , X has as many as R has .", 'X', '*', 'L', 'R'},
    {"X has as many boxes as L has _ , and in each of them as many _ as R has .", 'X', '*', 'L',
     'R'},
};

static bool is_number(const char *word)
{
    return word[0] >= '0' && word[0] <= '9';
}

/* The amount a word stands for; NULL: not known yet. */
static const long *amount(const struct pl_naive_arith *in, const char *word, long *number)
{
    if (is_number(word)) {
        *number = atol(word);
        return number;
    }
    for (size_t i = 0; i < in->count; i++)
        if (strcmp(in->known[i].name, word) == 0)
            return &in->known[i].value;
    return NULL;
}

/* Every number is tried for the one amount that is not known. */
static bool solve(const struct rule *rule, char words[26][PL_WORD_BYTES],
                  struct pl_naive_arith *ret)
{
    const char *terms[3] = {words[rule->p - 'A'], words[rule->q - 'A'], words[rule->r - 'A']};
    const char *unknown = NULL;
    long value[3], number;
    size_t fits = 0;

    for (size_t i = 0; i < 3; i++) {
        const long *known = amount(ret, terms[i], &number);

        if (known)
            value[i] = *known;
        else if (unknown)
            return false;
        else
            unknown = terms[i];
    }
    if (!unknown || ret->count == PL_NAIVE_SUMS_MAX)
        return false;
    for (long tried = 0; tried < TRIED_MAX; tried++) {
        for (size_t i = 0; i < 3; i++)
            if (terms[i] == unknown)
                value[i] = tried;
        if (value[0] != (rule->op == '+' ? value[1] + value[2] : value[1] * value[2]))
            continue;
        if (fits++ == 0)
            ret->known[ret->count].value = tried;
    }
    strcpy(ret->known[ret->count++].name, unknown);
    ret->solutions *= fits;
    return true;
}

/* "n", or the name's own letter, which in plain wording tells its place. */
static const char *kind(const char *word)
{
    return is_number(word) ? "n" : word;
}

static void add_form(const struct pl_words *words, size_t at, struct pl_naive_arith *ret)
{
    const char *left = kind(words->word[at + 2]), *right = kind(words->word[at + 4]);
    const char *sign = words->word[at + 3];
    const size_t len = strlen(ret->form);

    if (sign[0] != '-' && strcmp(left, right) > 0) {
        const char *other = left;

        left = right;
        right = other;
    }
    snprintf(ret->form + len, sizeof ret->form - len, "%s%s%s;", left, sign, right);
}

static bool read_sentence(const struct pl_words *words, size_t *at, struct pl_naive_arith *ret)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        char found[26][PL_WORD_BYTES] = {""};
        size_t end;

        if (!pl_words_match(words, *at, rules[i].pattern, found, &end))
            continue;
        if (!solve(&rules[i], found, ret))
            continue; /* "X has 3 more than L" of somebody known: then it is about L */
        if (words->word[*at + 1][0] == '=')
            add_form(words, *at, ret);
        *at = end;
        return true;
    }
    return false;
}

bool pl_naive_arith(const char *question, struct pl_naive_arith *ret)
{
    static struct pl_words words;
    char found[26][PL_WORD_BYTES] = {""};
    long number;
    const long *known;
    size_t at = 0;

    *ret = (struct pl_naive_arith){.solutions = 1};
    if (!pl_words_split(question, &words))
        return false;
    while (read_sentence(&words, &at, ret))
        ;
    if (!pl_words_match(&words, at, "what is X ?", found, &at) &&
        !pl_words_match(&words, at, "how many _ does X have ?", found, &at))
        return false;
    known = amount(ret, found['X' - 'A'], &number);
    if (!known || at != words.count)
        return false;
    ret->answer = *known;
    return true;
}
