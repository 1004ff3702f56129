/*
 * The rows of a pack that predict, a chunk at a time: what every head (head.h, value.h) goes by.
 * Each row is met once, with all its predictions.
 */
#ifndef PL_LEARNER_HEAD_ROWS_H
#define PL_LEARNER_HEAD_ROWS_H

#include "learner/batch.h"

#include <stddef.h>
#include <stdint.h>

struct pl_head_rows {
    size_t chunk;    /* rows at a time */
    uint32_t *rows;  /* (chunk) which rows of the pack */
    uint32_t *first; /* (chunk + 1) where the predictions of each begin, and the last one's end */
};

/* The chunk that begins with prediction p. Returns its rows: 0 at the end of the pack. */
size_t pl_head_rows_next(const struct pl_head_rows *rows, const struct pl_pack *pack, size_t p);

/* Lay out arrays behind each other on cache lines: the next `bytes` of `block`, or NULL where there
 * is no block and only *used is to be known. */
void *pl_head_take(void *block, size_t *used, size_t bytes);

#endif
