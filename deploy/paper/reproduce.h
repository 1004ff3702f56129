/*
 * What a reproduction does: the chores (chores.h) that make problems, a tokenizer, a small model
 * with a warm start, train it by reward in each way of the grid (grid.h), and measure each.
 *
 *   DIR/scale.yaml          what it was made with: another scale needs another folder
 *   DIR/data/               problems and worked answers: kk, kk-unseen, hops, arith, school-*
 *   DIR/tokenizer, base, school/model, warm-start/model
 *   DIR/runs/<row>-<seed>/  a run's folder (plait up; the row "sft": plait sft)
 *   DIR/evals/<row>-<seed>.json, .jsonl    what plait eval says of it, and every response
 *   DIR/done, DIR/logs      see chores.h
 *
 * The model goes to school first, where all worked answers are proofs, so that it can reason; then
 * it reads answers of which most are guesses, so that it mostly does not: training by reward has to
 * find out which pays. That, the warm start, and with it the rows that are not trained by reward,
 * has no seed of its own (it stands for the published model that the paper begins with): their
 * <seed> is the first.
 */
#ifndef PL_PAPER_REPRODUCE_H
#define PL_PAPER_REPRODUCE_H

#include "deploy/paper/chores.h"
#include "deploy/paper/grid.h"
#include "deploy/paper/scale.h"

#include <stdint.h>

enum { PL_REPRODUCE_SEEDS_MAX = 16 };

struct pl_reproduce {
    const char *dir, *recipes; /* folders; recipes: where small/ and methods/ are */
    const struct pl_scale *scale;
    uint64_t seeds[PL_REPRODUCE_SEEDS_MAX];
    size_t seed_count;                                      /* at least 1 */
    bool (*wants)(const struct pl_grid_row *row, void *at); /* NULL: all rows */
    void *wants_at;
};

/* How many seeds a row is run with: all, or 1. */
size_t pl_reproduce_seeds(const struct pl_reproduce *r, const struct pl_grid_row *row);

/* "<row>-<seed>" of seed number s; the model before training by reward is the row NULL, "before-
 * <method>". From malloc(), NULL: no memory. */
char *pl_reproduce_name(const struct pl_reproduce *r, const struct pl_grid_row *row, size_t s);
char *pl_reproduce_before(enum pl_method method);

/* Make the folder and the small files that commands need; PL_EINVAL: it was made with another
 * scale. PL_EIO, PL_ENOMEM. */
int pl_reproduce_open(const struct pl_reproduce *r, struct pl_error *err);

/* Add all chores. PL_ENOMEM. */
int pl_reproduce_plan(const struct pl_reproduce *r, struct pl_chores *chores, struct pl_error *err);

#endif
