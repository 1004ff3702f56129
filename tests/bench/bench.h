/*
 * What the benchmarks share: the shapes they measure, random weights, the clock, memory.
 */
#ifndef PL_TESTS_BENCH_BENCH_H
#define PL_TESTS_BENCH_BENCH_H

#include "common/model/weights.h"

#include <stddef.h>

/* "small": 5 M parameters, vocabulary 1024. "half": Qwen2.5-0.5B's published shape. NULL: neither.
 */
const struct pl_config *pl_bench_config(const char *name);

/* Fast pseudo-random values of a useful size, norms 1, biases 0. */
void pl_bench_weights(struct pl_weights *weights);

double pl_bench_seconds(void);   /* monotonic */
size_t pl_bench_rss_bytes(void); /* the most this process held at once */

/* Sorts x; the middle of n >= 1 values. */
double pl_bench_median(double *x, size_t n);

/* Parameters that a token's matrix products use, without and with the vocabulary projection. */
size_t pl_bench_params_body(const struct pl_config *config);
size_t pl_bench_params_all(const struct pl_config *config);

#endif
