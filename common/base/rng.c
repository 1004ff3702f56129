#include "common/base/rng.h"

#include <math.h>

enum { ROUNDS = 10 };

static const uint32_t MUL_0 = 0xD2511F53u, MUL_1 = 0xCD9E8D57u; /* the paper's constants */
static const uint32_t WEYL_0 = 0x9E3779B9u, WEYL_1 = 0xBB67AE85u;

void pl_rng_words(const struct pl_rng *rng, uint32_t position, uint32_t ret_words[4])
{
    uint32_t key_0 = (uint32_t)rng->seed, key_1 = (uint32_t)(rng->seed >> 32);
    uint32_t c0 = position, c1 = rng->sample, c2 = rng->prompt, c3 = rng->batch;

    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)MUL_0 * c0, p1 = (uint64_t)MUL_1 * c2;

        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ key_0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ key_1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        key_0 += WEYL_0;
        key_1 += WEYL_1;
    }
    ret_words[0] = c0;
    ret_words[1] = c1;
    ret_words[2] = c2;
    ret_words[3] = c3;
}

static double unit(uint32_t hi, uint32_t lo)
{
    return (double)(((uint64_t)hi << 32 | lo) >> 11) * 0x1p-53;
}

double pl_rng_unit(const struct pl_rng *rng, uint32_t position)
{
    uint32_t w[4];

    pl_rng_words(rng, position, w);
    return unit(w[0], w[1]);
}

void pl_rng_normal(const struct pl_rng *rng, uint32_t position, double ret_pair[2])
{
    static const double TWO_PI = 6.283185307179586476925286766559;
    uint32_t w[4];

    pl_rng_words(rng, position, w);
    const double radius = sqrt(-2.0 * log(1.0 - unit(w[0], w[1]))); /* 1 - u is in (0, 1] */
    const double angle = TWO_PI * unit(w[2], w[3]);

    ret_pair[0] = radius * cos(angle);
    ret_pair[1] = radius * sin(angle);
}

uint64_t pl_rng_below(const struct pl_rng *rng, uint32_t position, uint64_t n)
{
    uint32_t w[4];

    pl_rng_words(rng, position, w);
    return (uint64_t)((__extension__(unsigned __int128)((uint64_t)w[0] << 32 | w[1]) * n) >> 64);
}
