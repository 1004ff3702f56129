/*
 * Draw tokens from rows of logits.
 *
 * Cuts come in the order in which Transformers applies its warpers, each on what the one before
 * left:
 *
 *   temperature  logits / temperature; 0: the largest logit, ties to the lowest id, no cut applies
 *   top_k        keep the k largest, and all that equal the k-th; 0: off
 *   top_p        keep the fewest largest whose share of the mass left by top_k is at least p, equal
 *                ones by ascending id; at least one; 1: off
 *   min_p        keep those at least min_p times as likely as the likeliest; 0: off
 *
 * (vLLM applies min_p before top_k and top_p. The result differs only where min_p and top_p are
 * both on.) One token is then drawn in proportion to what is left, by inversion over ascending ids
 * with the number pl_rng_unit(rng, position), position being the token's index in its response.
 *
 * The log-probability recorded is that of the tempered policy over the full vocabulary, before any
 * cut: with y = pl_temper(logits), (float)(y - pl_logsumexp(y)). The learner's ratio, gradient, KL
 * and entropy are of the same policy (learner/head.h). Greedy draws record temperature 1.
 *
 * A draw is a pure function of (logits, sampling, rng, position): the same token on every machine,
 * instruction set and number of threads. Nothing here sorts a vocabulary or allocates after create.
 */
#ifndef PL_MODEL_SAMPLER_H
#define PL_MODEL_SAMPLER_H

#include "common/base/err.h"
#include "common/base/rng.h"

#include <stddef.h>
#include <stdint.h>

struct pl_sampling {
    float temperature; /* 0, or 1e-3 to 1e3 */
    uint32_t top_k;    /* 0: off; more than V is all of them */
    float top_p;       /* [0, 1]; 1: off; 0 keeps one */
    float min_p;       /* [0, 1]; 0: off */
};

/* Temperature 1, no cuts: what a policy is trained with. */
#define PL_SAMPLING_PLAIN  ((struct pl_sampling){.temperature = 1.0f, .top_p = 1.0f})
#define PL_SAMPLING_GREEDY ((struct pl_sampling){.temperature = 0.0f, .top_p = 1.0f})

/* PL_EINVAL: a value is out of the range stated above, or not a number. */
int pl_sampling_check(const struct pl_sampling *sampling, struct pl_error *err);

struct pl_draw {
    const float *logits; /* (V), read */
    struct pl_sampling sampling;
    struct pl_rng rng;
    uint32_t position;
    /* results */
    uint32_t id;
    float logprob;
    int broken; /* 1: a logit was not a finite number; id is 0 and logprob means nothing */
};

struct pl_sampler;

size_t pl_sampler_bytes(size_t vocab, size_t threads);

/* Scratch for up to `threads` rows at once. Ended with pl_sampler_destroy(). PL_EINVAL: a 0.
 * PL_ENOMEM. */
int pl_sampler_create(size_t vocab, size_t threads, struct pl_sampler **ret_sampler,
                      struct pl_error *err);
void pl_sampler_destroy(struct pl_sampler *sampler); /* NULL is fine */

/*
 * Fill in the results of n draws, in parallel; several may name the same logits. Their sampling
 * must have passed pl_sampling_check().
 */
void pl_sampler_draw(struct pl_sampler *sampler, struct pl_draw *draws, size_t n);

#endif
