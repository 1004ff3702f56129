/*
 * A scale: how large the problems, the model and the training of a reproduction are. A YAML file in
 * deploy/recipes/scales, over one table of rows (scale.c), which names each with its help.
 */
#ifndef PL_PAPER_SCALE_H
#define PL_PAPER_SCALE_H

#include "common/app/settings.h"
#include "common/base/err.h"

#include <stddef.h>

struct pl_scale {
    size_t names;
    struct pl_option_list people, people_unseen, hops, ops;
    size_t kk_train, kk_test, kk_unseen; /* problems; unseen: of sizes no model has seen */
    size_t hops_train, hops_test, distractors;
    size_t arith_train, arith_test; /* to read worked answers of; never trained by reward */
    double careful_share;           /* of the worked answers that the warm start reads */
    size_t tokens;                  /* of the tokenizer */
    size_t width, layers, heads, kv_heads, ffn, positions;
    double spread;                               /* of the first weights */
    size_t kk_school, hops_school, arith_school; /* problems whose answers are all proofs */
    size_t school_steps, school_rows;            /* optimiser steps on those, rows of each */
    double school_lr;
    size_t warm_steps, warm_rows; /* then on answers of all kinds */
    double warm_lr;
    size_t sft_steps, sft_rows; /* of the row "sft": after the warm start back to proofs */
    double sft_lr;
    size_t steps;                /* of training by reward */
    struct pl_option_list train; /* further settings of it, NAME=VALUE */
    size_t answer_tokens;        /* of a response in evaluations */
    struct pl_settings_text *text;
};

/* Errors of pl_settings_load(). Ended with pl_scale_release(). */
int pl_scale_load(const char *path, struct pl_scale *ret_scale, struct pl_error *err);
void pl_scale_release(struct pl_scale *scale);

/* The whole as YAML: what a reproduction's folder remembers. PL_ENOMEM, PL_EFULL from buf. */
int pl_scale_print(const struct pl_scale *scale, struct pl_buf *buf);

#endif
