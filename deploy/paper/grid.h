/*
 * The grid of a reproduction: the rows of the paper's tables (Xie et al., arXiv 2505.19640), each a
 * recipe, with the figures that the paper has for it.
 */
#ifndef PL_PAPER_GRID_H
#define PL_PAPER_GRID_H

#include "proto/rollout.h"

#include <stdbool.h>
#include <stddef.h>

enum pl_grid_kind {
    PL_GRID_BASE,  /* the warm start itself, asked in this form */
    PL_GRID_SFT,   /* fine-tuned on worked answers that are all proofs */
    PL_GRID_TRAIN, /* trained by reward: recipes/small/<name>.yaml */
};

/* Which tables a row stands in: a bit each. */
enum pl_grid_table {
    PL_GRID_MAIN = 1,       /* methods: the paper's table 2 */
    PL_GRID_REWARDS = 2,    /* strategies of the intermediate reward */
    PL_GRID_DELAYED = 4,    /* delayed answers */
    PL_GRID_ALGORITHMS = 8, /* PPO, GRPO, REINFORCE++ */
    PL_GRID_BEYOND = 16,    /* what the paper does not have */
};

/* Published for Qwen2.5-1.5B-Instruct under PPO: Pass@1 and ttfa (there: TTFT). NaN: not
 * published. */
struct pl_grid_published {
    double pass, ttfa;
};

/* Where: K&K, MuSiQue, the mean of GPQA, MMLU and MATH, the average over all five. */
enum pl_grid_where {
    PL_GRID_KK,
    PL_GRID_HOPS,
    PL_GRID_UNSEEN,
    PL_GRID_ALL,
    PL_GRID_WHERES,
};

struct pl_grid_row {
    const char *name;  /* of its recipe */
    const char *title; /* in tables */
    enum pl_grid_kind kind;
    enum pl_method method;
    unsigned tables; /* bits of enum pl_grid_table */
    struct pl_grid_published published[PL_GRID_WHERES];
};

extern const struct pl_grid_row pl_grid[];
extern const size_t pl_grid_count;

const struct pl_grid_row *pl_grid_named(const char *name); /* NULL: there is none */

/* Rows of the main table are run with every seed, the others with the first. */
bool pl_grid_every_seed(const struct pl_grid_row *row);

#endif
