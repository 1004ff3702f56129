/*
 * Counter-based randomness: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A draw is a pure function of where it is used, so no generator state travels
 * or is lost: key = seed, counter = (batch, prompt, sample, position).
 *
 * Two uses of one seed must differ in the counter. What is not a rollout (initial weights, data
 * order, tests) sets `batch` to one of the PL_RNG_* streams, which no batch number reaches.
 */
#ifndef PL_BASE_RNG_H
#define PL_BASE_RNG_H

#include <stdint.h>

enum {
    PL_RNG_INIT = -1,      /* initial weights: prompt = tensor, sample:position = element / 2 */
    PL_RNG_SHUFFLE = -2,   /* data order: prompt = epoch */
    PL_RNG_TEST = -3,      /* test data */
    PL_RNG_CHAT = -4,      /* interactive sampling: prompt = turn */
    PL_RNG_DATA = -5,      /* made-up tasks: prompt = size and purpose, sample = index */
    PL_RNG_SPARE = -6,     /* spare prompts: prompt = batch, sample = which of them */
    PL_RNG_BOOTSTRAP = -7, /* intervals of results: sample = replicate */
    PL_RNG_SHOW = -8,      /* what is shown of many: sample:position = which of them */
};

struct pl_rng {
    uint64_t seed;
    uint32_t batch, prompt, sample;
};

/* Four uniform 32-bit words for `position`. */
void pl_rng_words(const struct pl_rng *rng, uint32_t position, uint32_t ret_words[4]);

/* Uniform in [0, 1) with 53 random bits, from words 0 and 1 at `position`. */
double pl_rng_unit(const struct pl_rng *rng, uint32_t position);

/* Two independent standard normal values at `position` (Box-Muller over words 0..3). */
void pl_rng_normal(const struct pl_rng *rng, uint32_t position, double ret_pair[2]);

/* Uniform in [0, n), n >= 1, without modulo bias worth naming (64-bit multiply). */
uint64_t pl_rng_below(const struct pl_rng *rng, uint32_t position, uint64_t n);

#endif
