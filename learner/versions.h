/*
 * The versions of the policy that are still needed: by batches that are pinned to them, and by
 * evaluations. Each is kept as it was published, with its hash.
 */
#ifndef PL_LEARNER_VERSIONS_H
#define PL_LEARNER_VERSIONS_H

#include "common/link/bcast.h"
#include "common/link/queues.h"
#include "common/model/weights.h"

#include <stddef.h>
#include <stdint.h>

enum { PL_VERSIONS_MAX = 16 };

struct pl_run_conf;

struct pl_version {
    uint64_t number;
    const uint16_t *values; /* the source's */
    unsigned char hash[PL_HASH_BYTES];
};

struct pl_versions {
    struct pl_weights_source *source;
    struct pl_queues *stream;
    struct pl_bcast_tensor *tensors;
    struct pl_bcast_table table;
    const struct pl_shape *shape;
    struct pl_version list[PL_VERSIONS_MAX]; /* oldest first */
    size_t count;
};

/*
 * The keys of the learner `name`, NULL where the run has none; ended with pl_keys_destroy().
 * PL_EINVAL: the network would reach what the learner binds, and there are none, nor does
 * link.insecure say that this is meant. Errors of pl_keys_load().
 */
int pl_versions_keys(const struct pl_run_conf *conf, const char *name, struct pl_keys **ret_keys,
                     struct pl_error *err);

/* Endpoints are taken from `conf`; what is published is of `life`; keys (NULL: none) are borrowed.
 * Ended with pl_versions_release(). */
int pl_versions_init(struct pl_versions *versions, const struct pl_run_conf *conf,
                     const struct pl_life *life, const struct pl_keys *keys,
                     const struct pl_shape *shape, struct pl_queues *stream, struct pl_error *err);
void pl_versions_release(struct pl_versions *versions); /* zeroed is fine */

/* Publish a version from the flat f32 master values (rounded), or from values as they are. */
int pl_versions_publish(struct pl_versions *versions, uint64_t number, const float *master,
                        struct pl_error *err);
int pl_versions_publish_values(struct pl_versions *versions, uint64_t number,
                               const uint16_t *values, struct pl_error *err);

/* Forget those below `number`. */
void pl_versions_drop(struct pl_versions *versions, uint64_t number);

const struct pl_version *pl_versions_find(const struct pl_versions *versions, uint64_t number);

#endif
