/*
 * A set of puzzles without duplicates, in two parts: training and test.
 *
 * The sizes take turns: puzzle k of a part has people[k mod sizes] people. What keeps the parts
 * from each other is
 *
 *   by shape    one in PL_KK_HELD_OUT of all shapes (kk_puzzle.h) belongs to the test part,
 * whatever the seed: no test puzzle is a training puzzle in disguise, of this or another set by
 * puzzle   the parts hold different puzzles, but may share shapes
 *
 * A part does not depend on how much is taken of the other as long as the split is by shape.
 */
#ifndef PL_DEPLOY_KK_SET_H
#define PL_DEPLOY_KK_SET_H

#include "common/base/err.h"
#include "deploy/key_set.h"
#include "deploy/kk_puzzle.h"

enum { PL_KK_HELD_OUT = 5, PL_KK_SIZES = PL_KK_PEOPLE_MAX - PL_KK_PEOPLE_MIN + 1 };

enum pl_kk_part { PL_KK_TRAIN, PL_KK_TEST, PL_KK_PARTS };
enum pl_kk_split { PL_KK_BY_SHAPE, PL_KK_BY_PUZZLE, PL_KK_WHOLE };
#define PL_KK_SPLIT_CHOICES "shape|puzzle"

struct pl_kk_set_opts {
    uint64_t seed;
    size_t people[PL_KK_SIZES], sizes; /* sizes >= 1 */
    size_t names;                      /* see pl_kk_generate() */
    enum pl_kk_split split; /* PL_KK_WHOLE: there is one part, PL_KK_TRAIN, of all shapes */
};

struct pl_kk_set {
    struct pl_kk_set_opts opts;
    struct pl_key_set seen;
    uint64_t taken[PL_KK_PARTS];
    uint32_t next[PL_KK_PARTS][PL_KK_SIZES]; /* the index to look at next */
};

void pl_kk_set_init(struct pl_kk_set *set, const struct pl_kk_set_opts *opts);
void pl_kk_set_release(struct pl_kk_set *set);

/*
 * The next puzzle of a part and its index, from which pl_kk_generate() makes it again.
 * PL_EFULL: no more puzzles of that size were found that are not in the set already. PL_ENOMEM.
 */
int pl_kk_set_next(struct pl_kk_set *set, enum pl_kk_part part, struct pl_kk *ret_puzzle,
                   uint32_t *ret_index, struct pl_error *err);

#endif
