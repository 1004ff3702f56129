/*
 * What was written: counted as it goes, then printed for people or for scripts.
 *
 *   {"puzzles": 200, "train": 150, "test": 50, "shapes": 93,
 *    "people": {"2": {"train": 75, "test": 25}, ...},
 *    "claims": {"telling-truth": 31, ...},
 *    "answers": {"interleave": {"count": 200, "careful": 70, "correct": 102,
 *                               "words_mean": 55.1, "words_max": 98}, ...}}
 *
 * "puzzles", "people", "claims" and its kinds are what the family (family.h) calls them. Where
 * there are no parts, all is counted as "train". Words are counted as pl_worked_words() does.
 */
#ifndef PL_TASKS_DATA_SUMMARY_H
#define PL_TASKS_DATA_SUMMARY_H

#include "common/base/err.h"
#include "deploy/tasks/family.h"
#include "deploy/tasks/key_set.h"
#include "deploy/tasks/problem_set.h"
#include "deploy/tasks/worked.h"

#include <stdio.h>

struct pl_data_summary {
    const struct pl_family *family;
    uint64_t problems[PL_DATA_PARTS][PL_FAMILY_SIZE_MAX + 1]; /* by size */
    uint64_t kinds[PL_FAMILY_KINDS_MAX];
    struct {
        uint64_t count, careful, correct, words, words_max;
    } answers[PL_TEMPLATES];
    struct pl_key_set shapes;
};

/* Begin with a struct that is zero but for the family, of which all problems are. PL_ENOMEM. */
int pl_data_summary_problem(struct pl_data_summary *summary, enum pl_data_part part,
                            const struct pl_problem *problem);
void pl_data_summary_answer(struct pl_data_summary *summary, enum pl_method template, bool careful,
                            bool correct, size_t words);
void pl_data_summary_release(struct pl_data_summary *summary);

/* PL_EIO from the stream, PL_ENOMEM; the sentence says so. parts: tell train and test apart. */
int pl_data_summary_print(const struct pl_data_summary *summary, bool parts, FILE *out,
                          struct pl_error *err);
int pl_data_summary_json(const struct pl_data_summary *summary, FILE *out, struct pl_error *err);

#endif
