/*
 * A little model, and what the engine makes of each sample of a request when it has nothing else to
 * do, not even the other samples: what tests of generation compare with. Included after cmocka's
 * headers.
 */
#ifndef PL_TESTS_LITTLE_H
#define PL_TESTS_LITTLE_H

#include "actor/engine.h"

#include <stddef.h>
#include <stdint.h>

enum { PL_LITTLE_TOKENS = 96, PL_LITTLE_SAMPLES = 8 }; /* of an outcome, at most */

struct pl_little {
    struct pl_shape *shape;
    struct pl_weights *weights;
};

/* Two layers, two query heads to a key/value head, sizes that fill no vector, untied. */
struct pl_config pl_little_config(void);

/* Random weights whose logits differ by several units; fails the test where it cannot. */
struct pl_little pl_little_create(const struct pl_config *config, uint64_t seed);
void pl_little_destroy(struct pl_little *little);

/* Set one row of a tensor to one value, as a bf16. */
void pl_little_set_row(const struct pl_little *little, enum pl_role role, size_t layer, size_t row,
                       float value);

/* Engines and jobs where an error fails the test; a step also verifies the cache. */
struct pl_engine *pl_test_engine(const struct pl_engine_opts *opts);
struct pl_job *pl_test_submit(struct pl_engine *engine, const struct pl_request *request);
void pl_test_step(struct pl_engine *engine); /* of which there is something left to do */
void pl_test_run(struct pl_engine *engine);  /* until it is idle */

/* n ids below V, a different list for each seed. */
void pl_little_prompt(uint32_t *ids, size_t n, uint32_t seed, size_t V);

/* What became of one sample. */
struct pl_fate {
    uint32_t ids[PL_LITTLE_TOKENS];
    float logprobs[PL_LITTLE_TOKENS];
    size_t len;
    enum pl_finish finish;
};

/* Run each sample of the request in an engine of its own, on_token left out. ret: (samples). */
void pl_outcome_alone(const struct pl_weights *weights, const struct pl_request *request,
                      struct pl_fate *ret);

/*
 * The job's sample is `want` to the bit; or, where it was canceled, a beginning of it. Fails with
 * the place of the first difference.
 */
#define pl_assert_outcome(job, sample, want) pl_test_outcome(job, sample, want, __FILE__, __LINE__)
void pl_test_outcome(const struct pl_job *job, size_t sample, const struct pl_fate *want,
                     const char *file, int line);

#endif
