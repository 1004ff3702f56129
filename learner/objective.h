/*
 * What is to be minimised, seen from the head: a function of what the head says of a pack's
 * predictions, known by its slopes. The vocabulary projection (head.h) says log-probabilities and
 * entropies, the value head (value.h) values.
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
    const float *value;   /* (n) of a value head, where the four above are NULL; else NULL */
    float *dvalue;        /* (n) to set: dL / dvalue */
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

/*
 * Supervised: the mean cross entropy over the N response tokens of the whole step.
 *
 *   L = -(1 / N) sum_p logp_p,   dL / dlogp_p = -1 / N
 *
 * Every token counts the same, whichever response it is in and however the step is split into
 * micro-batches: N is of the step, so it is told before the first of them.
 */
struct pl_supervised {
    size_t tokens;   /* N >= 1 */
    size_t seen;     /* predictions so far: N when the step is whole */
    double sum_logp; /* of those, added in their order */
};

void pl_supervised_begin(struct pl_supervised *supervised, size_t tokens);

/* `supervised` is borrowed and must stay where it is while the objective is used. */
struct pl_objective pl_supervised_objective(struct pl_supervised *supervised);

/* L, once all N predictions were seen, which it PL_ASSERTs. */
double pl_supervised_loss(const struct pl_supervised *supervised);

#endif
