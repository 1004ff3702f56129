#include "common/model/rope.h"

#include "common/base/buf.h"
#include "common/base/check.h"

#include <math.h>
#include <stdlib.h>

static const double TWO_PI = 6.283185307179586476925286766559;

/* theta^(-2i/D). As elsewhere the power is rounded to float before it is inverted. */
static float plain_freq(const struct pl_config *c, size_t i)
{
    const float exponent = (float)(2 * i) / (float)c->head_dim;

    return 1.0f / (float)pow((double)(float)c->rope_theta, (double)exponent);
}

/*
 * Llama 3: slow rotations (a wavelength over original / low) are slowed by `factor`, fast ones
 * (under original / high) are kept, those between are interpolated. Divisions of a number by a
 * vector are products with the reciprocal there, and so they are here.
 */
static float llama3_freq(const struct pl_config *c, float freq)
{
    const float factor = (float)c->rope_factor;
    const double low = c->rope_low_freq, high = c->rope_high_freq;
    const double original = (double)c->rope_original_positions;
    const float wavelength = 1.0f / freq * (float)TWO_PI;

    if (wavelength > (float)(original / low))
        return freq / factor;
    if (wavelength < (float)(original / high))
        return freq;
    const float ratio = 1.0f / wavelength * (float)original;
    const float smooth = (ratio - (float)low) / (float)(high - low);

    return (1.0f - smooth) * freq / factor + smooth * freq;
}

static float inv_freq(const struct pl_config *c, size_t i)
{
    const float freq = plain_freq(c, i);

    switch (c->rope_kind) {
    case PL_ROPE_LINEAR:
        return freq / (float)c->rope_factor;
    case PL_ROPE_LLAMA3:
        return llama3_freq(c, freq);
    case PL_ROPE_PLAIN:
        break;
    }
    return freq;
}

int pl_rope_create(const struct pl_config *config, size_t positions, struct pl_rope **ret_rope,
                   struct pl_error *err)
{
    const size_t half = config->head_dim / 2;
    struct pl_rope *rope = calloc(1, sizeof *rope);

    PL_ASSERT(positions > 0);
    if (rope && half <= SIZE_MAX / positions) {
        rope->positions = positions;
        rope->half = half;
        rope->cos = pl_alloc(positions * half, sizeof *rope->cos);
        rope->sin = pl_alloc(positions * half, sizeof *rope->sin);
    }
    if (!rope || !rope->cos || !rope->sin) {
        pl_rope_destroy(rope);
        return pl_fail(err, PL_ENOMEM, "no memory for the rotary angles of %zu positions",
                       positions);
    }
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < half; i++) {
        const float freq = inv_freq(config, i);

        for (size_t t = 0; t < positions; t++) {
            const float angle = (float)t * freq;

            rope->cos[t * half + i] = (float)cos((double)angle);
            rope->sin[t * half + i] = (float)sin((double)angle);
        }
    }
    *ret_rope = rope;
    return PL_OK;
}

void pl_rope_destroy(struct pl_rope *rope)
{
    if (!rope)
        return;
    free(rope->cos);
    free(rope->sin);
    free(rope);
}
