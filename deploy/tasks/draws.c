#include "deploy/tasks/draws.h"

#include "common/base/check.h"

struct pl_rng pl_draws_rng(enum pl_draws_family family, uint32_t purpose, uint64_t seed,
                           size_t size, uint32_t index)
{
    PL_ASSERT(purpose < PL_DRAWS_PURPOSES && size < PL_DRAWS_SIZES);
    const uint32_t stream = (uint32_t)family * PL_DRAWS_PURPOSES + purpose;

    return (struct pl_rng){seed, (uint32_t)PL_RNG_DATA, stream * PL_DRAWS_SIZES + (uint32_t)size,
                           index};
}

size_t pl_draws_below(struct pl_draws *draws, size_t n)
{
    return (size_t)pl_rng_below(&draws->rng, draws->position++, n);
}
