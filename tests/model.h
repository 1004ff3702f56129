/*
 * A tiny model with random weights and packs of random tokens, for tests of training. Included
 * after cmocka's headers; whatever fails here fails the test.
 */
#ifndef PL_TESTS_MODEL_H
#define PL_TESTS_MODEL_H

#include "common/model/weights.h"
#include "learner/batch.h"
#include "learner/trainer.h"

#include <stddef.h>
#include <stdint.h>

struct pl_test_model {
    struct pl_shape *shape;
    struct pl_weights *weights;
    float *flat; /* (shape->floats), the same values */
};

/*
 * Uniform weights that make every part of the model matter, by the rule of
 * tests/reference/golden.py: matrices within 2 / sqrt(cols), biases within 1/2, norms within 0.3 of
 * 1, as bf16.
 */
void pl_test_model_create(struct pl_test_model *model, const struct pl_config *config,
                          uint64_t seed);
void pl_test_model_destroy(struct pl_test_model *model);

/* The distance from w to the next bf16 value; 0 where w +- 2 of them has another exponent. */
float pl_test_step(float w);

/*
 * The slope of `loss` along a direction of such steps (shape->floats), by differences of fourth
 * order: at w - 2d, w - d, w + d, w + 2d. `moved` holds the weights that differ.
 */
double pl_test_slope_along(const struct pl_test_model *model, const float *direction,
                           struct pl_weights *moved,
                           double (*loss)(const void *at, const struct pl_weights *weights),
                           const void *at);

/* Lengths of a prompt and of its responses; the first response of 0 ends the list. */
enum { PL_TEST_GROUPS = 8, PL_TEST_RESPONSES = 4, PL_TEST_IDS = 1024 };
struct pl_test_lengths {
    size_t prompt, responses[PL_TEST_RESPONSES];
};

struct pl_test_batch {
    struct pl_group groups[PL_TEST_GROUPS];
    struct pl_pack_response responses[PL_TEST_GROUPS * PL_TEST_RESPONSES];
    uint32_t ids[PL_TEST_IDS];
    size_t group_count;
    size_t samples, tokens;       /* responses, and what is in them */
    struct pl_pack_limits limits; /* of a pack that holds all of it */
    size_t positions;             /* of the longest prompt and response */
};

void pl_test_batch_make(struct pl_test_batch *batch, const struct pl_test_lengths *lengths,
                        size_t count, size_t vocab, uint32_t seed);

/* Set samples, tokens, limits and positions from the groups. */
void pl_test_batch_measure(struct pl_test_batch *batch);

/*
 * The whole batch in as few packs of these limits as pl_pack_add() makes of it, in order. Returns
 * how many, at most `most`; each is ended with pl_pack_destroy().
 */
size_t pl_test_packs(const struct pl_test_batch *batch, const struct pl_pack_limits *limits,
                     struct pl_pack **ret_packs, size_t most);

#endif
