/*
 * Random initial weights: matrices normal(0, initializer_range), norms 1, biases 0, as bf16 values.
 *
 * Element e of tensor t is the (e mod 2)th normal of Philox(seed, PL_RNG_INIT, t, e / 2), where t
 * counts in the order of the shape: the same for any number of threads.
 */
#ifndef PL_MODEL_INIT_H
#define PL_MODEL_INIT_H

#include "common/model/watch.h"
#include "common/model/weights.h"

/*
 * Sets every tensor of `weights`; `watch` is told the bytes that are set, two a value. PL_ENOMEM:
 * no memory for scratch, one panel a thread.
 */
int pl_weights_init(struct pl_weights *weights, uint64_t seed, const struct pl_watch *watch,
                    struct pl_error *err);

#endif
