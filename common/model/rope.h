/*
 * The table of rotary angles of a configuration, as Transformers computes them: frequencies and
 * position * frequency in float32, then cosine and sine.
 */
#ifndef PL_MODEL_ROPE_H
#define PL_MODEL_ROPE_H

#include "common/math/ops.h"
#include "common/model/config.h"

/* For positions 0 .. positions-1, at least one. Ended with pl_rope_destroy(). PL_ENOMEM. */
int pl_rope_create(const struct pl_config *config, size_t positions, struct pl_rope **ret_rope,
                   struct pl_error *err);
void pl_rope_destroy(struct pl_rope *rope); /* NULL is fine */

#endif
