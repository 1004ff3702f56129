/*
 * AdamW with a float32 master copy of the parameters (Loshchilov and Hutter, arXiv 1711.05101), the
 * operations in the order of torch.optim.AdamW:
 *
 *   g <- g min(1, clip / (|g| + 1e-6)),  |g| over all parameters
 *   p <- p (1 - lr decay),  m <- m + (1 - beta1) (g - m),  v <- beta2 v + (1 - beta2) g^2
 *   p <- p - lr / (1 - beta1^t)  m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 *
 * master, m, v, grad: flat arrays of shape->floats, and behind them those of the tail: tensors that
 * are learnt and clipped with the others but belong to no weights (a value head), and so are never
 * rounded. One pass over memory reads the four, writes them back with grad set to zero, and rounds
 * the new values into the weights while they are in the cache. The same bits for any number of
 * threads.
 */
#ifndef PL_LEARNER_ADAMW_H
#define PL_LEARNER_ADAMW_H

#include "common/base/err.h"
#include "common/model/weights.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_adamw_opts {
    double beta1, beta2, eps;
    double weight_decay;
    bool decay_vectors; /* norms and biases too; else only matrices, the embedding among them */
    double clip;        /* largest norm of the gradient, 0: no limit */
};

struct pl_adamw;

struct pl_adamw_state {
    float *master, *m, *v;        /* pl_adamw_floats() each, borrowed */
    uint64_t step;                /* updates done: t of the last one */
    const struct pl_tensor *tail; /* from offset shape->floats on, without gaps; borrowed */
    size_t tail_count;
};

/* Length of the flat arrays. */
size_t pl_adamw_floats(const struct pl_shape *shape, const struct pl_adamw_state *state);

/*
 * `shape` is borrowed. PL_EINVAL: a beta is not in [0, 1), eps is not over 0, weight_decay or clip
 * is negative. PL_ENOMEM. Ended with pl_adamw_destroy().
 */
int pl_adamw_create(const struct pl_shape *shape, const struct pl_adamw_opts *opts,
                    struct pl_adamw **ret_adamw, struct pl_error *err);
void pl_adamw_destroy(struct pl_adamw *adamw); /* NULL is fine */

/*
 * One update at learning rate lr; `grad` is zero afterwards. *ret_norm: |g| before clipping.
 * PL_EINVAL: |g| is not finite; nothing was changed but that grad is zero.
 */
int pl_adamw_step(struct pl_adamw *adamw, struct pl_adamw_state *state, float *grad, double lr,
                  struct pl_weights *weights, double *ret_norm, struct pl_error *err);

/* The Euclidean norm of n values in double, summed in blocks of a fixed size. */
double pl_norm(const float *x, size_t n);

#endif
