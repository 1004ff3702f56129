/*
 * The training forward: common/model/forward.h over the rows of a pack, keeping for the backward
 * what every layer computed, or only what entered it.
 *
 *   keep:      one struct pl_acts a layer
 *   recompute: acts[l].x of every layer, and one set of all the other arrays; the backward computes
 *              a layer again, to the same bits, before it goes through it
 */
#ifndef PL_LEARNER_FORWARD_H
#define PL_LEARNER_FORWARD_H

#include "common/model/forward.h"

#include <stdbool.h>
#include <stddef.h>

struct pl_tape {
    bool recompute;
    size_t layers;
    struct pl_acts *acts; /* (L) */
    float *x_out;         /* (R, C) after the last layer */
    struct pl_pages pages;
};

/* Floats that a tape of R rows needs beside its pages, and its pointers set into such a block. */
size_t pl_tape_floats(const struct pl_config *config, size_t R, bool recompute);
void pl_tape_place(struct pl_tape *tape, const struct pl_config *config, size_t R, bool recompute,
                   float *block);

/* What enters layer `layer`, or what leaves the last one. */
float *pl_tape_x(const struct pl_tape *tape, size_t layer);

/* All layers. batch->rows is at most R. */
void pl_tape_forward(const struct pl_tape *tape, const struct pl_weights *w,
                     const struct pl_rope *rope, const struct pl_batch *batch);

#endif
