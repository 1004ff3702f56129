/*
 * What is to be minimised, seen from the vocabulary projection: a function of the log-probabilities
 * (and entropies) of a pack's predictions, known by its slopes.
 */
#ifndef PL_LEARNER_OBJECTIVE_H
#define PL_LEARNER_OBJECTIVE_H

#include "learner/batch.h"

#include <stdbool.h>
#include <stddef.h>

/* Predictions [first, first + n) of a pack, in its order. */
struct pl_slopes {
    const struct pl_prediction *predictions; /* (n) */
    size_t first, n;
    const float *logp;    /* (n) log p(target), the number a sampler would have recorded */
    const float *entropy; /* (n) of the whole distribution in that row; NULL unless asked for */
    float *dlogp;         /* (n) to set: dL / dlogp */
    float *dentropy;      /* (n) to set: dL / dentropy; NULL unless asked for */
};

struct pl_objective {
    void *at;
    bool entropy; /* ask for entropies */
    /*
     * Called once for every stretch of predictions, in order, by one thread. Slopes are those of
     * the step's whole loss, so that micro-batches need no weighting when they are added.
     */
    void (*slopes)(void *at, const struct pl_slopes *slopes);
};

#endif
