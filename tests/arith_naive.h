/*
 * Chained arithmetic the slow way, for tests: each sentence is a condition on the one amount in it
 * that is not known yet, and every number is tried.
 */
#ifndef PL_TESTS_ARITH_NAIVE_H
#define PL_TESTS_ARITH_NAIVE_H

#include "tests/words.h"

enum { PL_NAIVE_SUMS_MAX = 16, PL_NAIVE_SUMS_FORM_BYTES = 256 };

struct pl_naive_arith {
    size_t count; /* amounts, in the order of the text */
    struct {
        char name[PL_WORD_BYTES];
        long value;
    } known[PL_NAIVE_SUMS_MAX];
    size_t solutions; /* the product of how many numbers each sentence leaves: one, let us hope */
    long answer;      /* of the name that the question asks for */
    /* Of plain wording: which names and signs, a number being "n", a sum or product turned round so
     * that numbers come last, then earlier names. */
    char form[PL_NAIVE_SUMS_FORM_BYTES];
};

/* false: a sentence is not understood, or speaks of more than one amount that is not known. */
bool pl_naive_arith(const char *question, struct pl_naive_arith *ret);

#endif
