/*
 * Questions over facts the slow way, for tests: from the words of the question alone, every way to
 * read it, every fact that fits.
 */
#ifndef PL_TESTS_HOPS_NAIVE_H
#define PL_TESTS_HOPS_NAIVE_H

#include "tests/words.h"

enum { PL_NAIVE_HOPS_MAX = 8, PL_NAIVE_FACTS_MAX = 64, PL_NAIVE_FORM_BYTES = 256 };

struct pl_naive_fact {
    char relation[PL_WORD_BYTES], subjects[2][PL_WORD_BYTES], object[PL_WORD_BYTES];
};

struct pl_naive_hops {
    size_t facts_count;
    struct pl_naive_fact facts[PL_NAIVE_FACTS_MAX];
    /* How many ways there are to an answer, different answers or not, and one of them: what was
     * found on it, the answer last. */
    size_t ways, found_count;
    char found[PL_NAIVE_HOPS_MAX][PL_WORD_BYTES];
    bool who;                       /* the question asks "who" */
    char form[PL_NAIVE_FORM_BYTES]; /* the question without its names */
};

/* false: there is a sentence that is neither a fact nor a question. */
bool pl_naive_hops(const char *question, struct pl_naive_hops *ret);

#endif
