/*
 * A set of problems of one family without duplicates, in two parts: training and test.
 *
 * The sizes take turns: problem k of a part has sizes[k mod count]. What keeps the parts from each
 * other is
 *
 *   by shape    one in PL_HELD_OUT of all shapes (family.h) belongs to the test part, whatever the
 *               seed: no test problem is a training problem in disguise, of this or another set
 *   by problem  the parts hold different problems, but may share shapes
 *
 * A part does not depend on how much is taken of the other as long as the split is by shape.
 */
#ifndef PL_TASKS_PROBLEM_SET_H
#define PL_TASKS_PROBLEM_SET_H

#include "common/base/err.h"
#include "deploy/tasks/family.h"
#include "deploy/tasks/key_set.h"

enum { PL_HELD_OUT = 5 };

enum pl_data_part { PL_DATA_PART_TRAIN, PL_DATA_PART_TEST, PL_DATA_PARTS };
enum pl_split { PL_SPLIT_SHAPE, PL_SPLIT_PROBLEM, PL_SPLIT_NONE };
#define PL_SPLIT_CHOICES "shape|puzzle"

struct pl_problem_set_opts {
    const struct pl_family *family;
    struct pl_family_draw draw;
    size_t sizes[PL_FAMILY_SIZES], count; /* count >= 1 */
    enum pl_split split; /* PL_SPLIT_NONE: there is one part, PL_DATA_PART_TRAIN, of all shapes */
};

struct pl_problem_set {
    struct pl_problem_set_opts opts;
    struct pl_key_set seen;
    uint64_t taken[PL_DATA_PARTS];
    uint32_t next[PL_DATA_PARTS][PL_FAMILY_SIZES]; /* the index to look at next */
};

void pl_problem_set_init(struct pl_problem_set *set, const struct pl_problem_set_opts *opts);
void pl_problem_set_release(struct pl_problem_set *set);

/*
 * The next problem of a part and its index, from which pl_family_draw() makes it again.
 * PL_EFULL: no more problems of that size were found that are not in the set already. PL_ENOMEM.
 */
int pl_problem_set_next(struct pl_problem_set *set, enum pl_data_part part,
                        struct pl_problem *ret_problem, uint32_t *ret_index, struct pl_error *err);

#endif
