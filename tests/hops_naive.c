#include "tests/hops_naive.h"

#include <string.h>

enum { READINGS_MAX = 64 };

/* A way to read the words up to `end`, and what it comes to. */
struct reading {
    size_t end, found_count;
    char value[PL_WORD_BYTES];
    char found[PL_NAIVE_HOPS_MAX][PL_WORD_BYTES];
};

struct readings {
    size_t count;
    struct reading at[READINGS_MAX];
};

static void add(struct readings *readings, const struct reading *reading)
{
    if (readings->count < READINGS_MAX)
        readings->at[readings->count++] = *reading;
}

/* Every fact of a relation and its subjects, second NULL: one subject. */
static void look_up(const struct pl_naive_hops *in, const char *relation,
                    const struct reading *first, const struct reading *second,
                    struct readings *readings)
{
    for (size_t i = 0; i < in->facts_count; i++) {
        const struct pl_naive_fact *fact = &in->facts[i];
        struct reading reading = *first;

        if (strcmp(fact->relation, relation) != 0 || strcmp(fact->subjects[0], first->value) != 0 ||
            strcmp(fact->subjects[1], second ? second->value : "") != 0)
            continue;
        if (second) {
            reading.end = second->end;
            for (size_t k = 0; k < second->found_count; k++)
                memcpy(reading.found[reading.found_count++], second->found[k], PL_WORD_BYTES);
        }
        memcpy(reading.value, fact->object, PL_WORD_BYTES);
        memcpy(reading.found[reading.found_count++], fact->object, PL_WORD_BYTES);
        add(readings, &reading);
    }
}

/* A name, or "the RELATION of" something, or of something "to" something. */
static void read_nested(const struct pl_naive_hops *in, const struct pl_words *words, size_t at,
                        struct readings *readings)
{
    char relation[26][PL_WORD_BYTES] = {""};
    static struct readings empty;
    struct readings first = empty, second;
    size_t end;

    if (!pl_words_match(words, at, "the R of", relation, &end)) {
        struct reading name = {.end = at + 1};

        memcpy(name.value, words->word[at], PL_WORD_BYTES);
        add(readings, &name);
        return;
    }
    read_nested(in, words, end, &first);
    for (size_t i = 0; i < first.count; i++) {
        look_up(in, relation['R' - 'A'], &first.at[i], NULL, readings);
        if (first.at[i].end >= words->count || strcmp(words->word[first.at[i].end], "to") != 0)
            continue;
        second = empty;
        read_nested(in, words, first.at[i].end + 1, &second);
        for (size_t k = 0; k < second.count; k++)
            look_up(in, relation['R' - 'A'], &first.at[i], &second.at[k], readings);
    }
}

static bool read_fact(const struct pl_words *words, size_t *at, struct pl_naive_hops *ret)
{
    static const char *const patterns[] = {"the R of A is C .", "the R of A to B is C .",
                                           "C is the R of A .", "C is the R of A to B .",
                                           "A 's R is C .",     "A 's R to B is C ."};
    size_t end;

    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        char found[26][PL_WORD_BYTES] = {""};
        struct pl_naive_fact *fact = &ret->facts[ret->facts_count];

        if (!pl_words_match(words, *at, patterns[i], found, &end))
            continue;
        if (ret->facts_count == PL_NAIVE_FACTS_MAX)
            return false;
        memcpy(fact->relation, found['R' - 'A'], PL_WORD_BYTES);
        memcpy(fact->subjects[0], found['A' - 'A'], PL_WORD_BYTES);
        memcpy(fact->subjects[1], found['B' - 'A'], PL_WORD_BYTES);
        memcpy(fact->object, found['C' - 'A'], PL_WORD_BYTES);
        ret->facts_count++;
        *at = end;
        return true;
    }
    return false;
}

/* The question from `at` on, with a sign for each name. */
static void set_form(const struct pl_words *words, size_t at, struct pl_naive_hops *ret)
{
    size_t len = 0;

    ret->form[0] = '\0';
    for (; at + 1 < words->count; at++) {
        const bool known =
            strcmp(words->word[at], "the") == 0 || strcmp(words->word[at], "of") == 0 ||
            strcmp(words->word[at], "to") == 0 || strcmp(words->word[at + 1], "of") == 0;
        const char *word = known ? words->word[at] : "_";

        if (len + strlen(word) + 2 > PL_NAIVE_FORM_BYTES)
            return;
        memcpy(ret->form + len, word, strlen(word));
        len += strlen(word);
        memcpy(ret->form + len++, " ", 2);
    }
}

bool pl_naive_hops(const char *question, struct pl_naive_hops *ret)
{
    static struct pl_words words;
    char none[26][PL_WORD_BYTES] = {""};
    struct readings readings = {0};
    size_t at = 0;

    *ret = (struct pl_naive_hops){0};
    if (!pl_words_split(question, &words))
        return false;
    pl_words_match(&words, at, "read these notes .", none, &at);
    while (read_fact(&words, &at, ret))
        ;
    pl_words_match(&words, at, "by these notes ,", none, &at);
    ret->who = pl_words_match(&words, at, "who is", none, &at);
    if (!ret->who && !pl_words_match(&words, at, "what is", none, &at))
        return false;
    set_form(&words, at, ret);
    read_nested(ret, &words, at, &readings);
    for (size_t i = 0; i < readings.count; i++) {
        const struct reading *reading = &readings.at[i];

        if (reading->end + 1 != words.count || strcmp(words.word[reading->end], "?") != 0)
            continue;
        ret->ways++;
        ret->found_count = reading->found_count;
        memcpy(ret->found, reading->found, sizeof ret->found);
    }
    return true;
}
