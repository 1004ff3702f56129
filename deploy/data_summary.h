/*
 * What was written: counted as it goes, then printed for people or for scripts.
 *
 *   {"puzzles": 200, "train": 150, "test": 50, "shapes": 93,
 *    "people": {"2": {"train": 75, "test": 25}, ...},
 *    "claims": {"telling-truth": 31, ...},
 *    "answers": {"interleave": {"count": 200, "careful": 70, "correct": 102,
 *                               "words_mean": 55.1, "words_max": 98}, ...}}
 *
 * Where there are no parts, all is counted as "train". Claims are counted by their outermost kind,
 * words as pl_kk_words() does.
 */
#ifndef PL_DEPLOY_DATA_SUMMARY_H
#define PL_DEPLOY_DATA_SUMMARY_H

#include "common/base/err.h"
#include "deploy/key_set.h"
#include "deploy/kk_answer.h"
#include "deploy/kk_set.h"

#include <stdio.h>

struct pl_data_summary {
    uint64_t puzzles[PL_KK_PARTS][PL_KK_PEOPLE_MAX + 1]; /* by people */
    uint64_t claims[PL_KK_KINDS];
    struct {
        uint64_t count, careful, correct, words, words_max;
    } answers[PL_KK_TEMPLATES];
    struct pl_key_set shapes;
};

/* Begin with a zeroed struct. PL_ENOMEM. */
int pl_data_summary_puzzle(struct pl_data_summary *summary, enum pl_kk_part part,
                           const struct pl_kk *puzzle);
void pl_data_summary_answer(struct pl_data_summary *summary, enum pl_method template, bool careful,
                            bool correct, size_t words);
void pl_data_summary_release(struct pl_data_summary *summary);

/* PL_EIO from the stream, PL_ENOMEM; the sentence says so. parts: tell train and test apart. */
int pl_data_summary_print(const struct pl_data_summary *summary, bool parts, FILE *out,
                          struct pl_error *err);
int pl_data_summary_json(const struct pl_data_summary *summary, FILE *out, struct pl_error *err);

#endif
