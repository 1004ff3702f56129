/*
 * The form in which texts are compared: that of SQuAD's exact match (lower case; punctuation, the
 * articles a, an, the, and spare white space left out), of Unicode text, and with numbers kept
 * apart, which SQuAD's own joins (3.5 and 35, -5 and 5):
 *
 *   "The  Beatles!"   beatles            "1,000.50"    1000.5
 *   "U.S."            us                 "-5", "−5"    -5      (U+2212 as well)
 *   "straße, ﬁne"     strasse fine       "1990-91"     1990 91
 *
 *   - characters are those of Unicode's NFKD, its cases folded, so that composed and decomposed,
 *     wide and narrow forms are one; what is to be ignored (soft hyphens, joiners) is left out;
 *   - a number is digits, in groups of three with commas or without, and a fraction behind a point;
 *     its commas go, as do a plus, a fraction's last zeros and the zero fraction; a minus counts
 *     where nothing stands before it in the word; .5 is 0.5;
 *   - other punctuation between two digits becomes white space, elsewhere it goes, as do currency
 *     signs and all that Python's string.punctuation has ($ + < = > ^ ` | ~ % too);
 *   - a text of articles alone keeps them ("A" is a).
 *
 * Time is linear in a text and bounded, because a long one has no such form; memory is fixed.
 */
#ifndef PL_REWARDER_EM_H
#define PL_REWARDER_EM_H

#include "proto/rollout.h"
#include "proto/task.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PL_EM_BYTES_MAX = 4096, PL_EM_CHARACTERS_MAX = 8192 };

struct pl_em {
    uint32_t text[PL_EM_CHARACTERS_MAX]; /* (len) characters; words with one blank between */
    size_t len;
};

/* False: nothing is left of the text, or it is of more than PL_EM_BYTES_MAX bytes, grows beyond
 * PL_EM_CHARACTERS_MAX characters, or has more than 30 marks on one letter. Bytes that are no UTF-8
 * count as U+FFFD. */
bool pl_em_read(const char *text, size_t len, struct pl_em *ret_em);

bool pl_em_equal(const struct pl_em *a, const struct pl_em *b);

/* Whether truths have a form. PL_EFORMAT; `what` is how the sentence calls that truth. */
int pl_em_check(const struct pl_task *task, const struct pl_truth *truth, const char *what,
                struct pl_error *err);
int pl_em_check_steps(const struct pl_task *task, struct pl_error *err);

#endif
