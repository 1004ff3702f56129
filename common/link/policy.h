/*
 * A policy on the wire: the flat array of bf16 values of a model, tensors in the order of its shape
 * (the order of a file), each row-major.
 */
#ifndef PL_LINK_POLICY_H
#define PL_LINK_POLICY_H

#include "common/link/bcast.h"
#include "common/model/weights.h"

/* The table of a shape; its tensors are the caller's, ended with free(). PL_ENOMEM. */
int pl_policy_table(const struct pl_shape *shape, struct pl_bcast_tensor **ret_tensors,
                    struct pl_bcast_table *ret_table);

/* Values of a flat f32 array (shape->floats), rounded to the nearest bf16. Uses all threads. */
void pl_policy_round(const struct pl_shape *shape, const float *flat, uint16_t *ret_values);

/* Set all tensors. Uses all threads. */
void pl_policy_install(const uint16_t *values, struct pl_weights *weights);

#endif
