/*
 * A small model with random weights and a way to run one of its sequences, the subject, among
 * others: what `plait doctor` and the tests prove row invariance with.
 *
 *   T tokens of every sequence, V vocabulary
 */
#ifndef PL_ACTOR_TRIAL_H
#define PL_ACTOR_TRIAL_H

#include "actor/kv.h"
#include "common/base/err.h"
#include "common/model/forward.h"
#include "common/model/rope.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_trial {
    struct pl_shape *shape;
    struct pl_weights *weights;
    struct pl_rope *rope;
    struct pl_kv *kv;
    size_t batch_max, tokens; /* sequences at once, T */
    size_t rows_max;
    uint32_t *ids;                   /* (batch_max, T); row 0 is the subject's */
    uint32_t *batch_ids, *positions; /* (rows_max) */
    struct pl_span *spans;           /* (batch_max) */
    uint32_t *slots;                 /* (batch_max) */
    size_t *at;                      /* (batch_max) tokens computed of each sequence */
    float *x, *h, *block, *logits;   /* logits: (rows_max, V) */
    struct pl_acts acts;
};

/* Odd sizes: three query heads to a key/value head, more than one block in a product, a padded
 * panel. */
struct pl_config pl_trial_config(void);

/*
 * Random weights for a configuration, such that logits differ by several units. Ended with
 * pl_weights_destroy() and then pl_shape_destroy(). PL_ENOMEM; errors of the configuration.
 */
int pl_trial_weights(const struct pl_config *config, uint64_t seed, struct pl_shape **ret_shape,
                     struct pl_weights **ret_weights, struct pl_error *err);

/* Ended with pl_trial_destroy(). T is at least 2. PL_ENOMEM; errors of the configuration. */
int pl_trial_create(const struct pl_config *config, uint64_t seed, size_t batch_max, size_t tokens,
                    struct pl_trial **ret_trial, struct pl_error *err);
void pl_trial_destroy(struct pl_trial *trial); /* NULL is fine */

/*
 * The subject is number `at` of `batch` sequences. Its first `prompt` tokens (1 to T) come in
 * chunks of `chunk`, the rest one by one, while the others go on at their own pace. With `shared`,
 * all sequences begin with the subject's prompt, which number 0 computes for all.
 */
struct pl_trial_case {
    size_t batch, at, prompt, chunk;
    bool shared;
};

/* Logits of the subject's T positions, (T, V). */
void pl_trial_run(struct pl_trial *trial, const struct pl_trial_case *how, float *ret_logits);

#endif
