#include "learner/forward.h"

enum { ALIGN = 16 }; /* floats of a cache line */

static size_t padded(size_t floats)
{
    return (floats + ALIGN - 1) / ALIGN * ALIGN;
}

size_t pl_tape_floats(const struct pl_config *config, size_t R, bool recompute)
{
    const size_t x = padded(R * config->hidden), acts = padded(pl_acts_floats(config, R));

    return recompute ? acts + (config->layers + 1) * x : config->layers * acts + x;
}

void pl_tape_place(struct pl_tape *tape, const struct pl_config *config, size_t R, bool recompute,
                   float *block)
{
    const size_t x = padded(R * config->hidden), acts = padded(pl_acts_floats(config, R));

    tape->recompute = recompute;
    tape->layers = config->layers;
    tape->x_out = block;
    block += x;
    for (size_t l = 0; l < config->layers; l++) {
        if (!recompute) {
            pl_acts_place(&tape->acts[l], config, R, block + l * acts);
            continue;
        }
        pl_acts_place(&tape->acts[l], config, R, block);
        tape->acts[l].x = block + acts + l * x;
    }
}

float *pl_tape_x(const struct pl_tape *tape, size_t layer)
{
    return layer < tape->layers ? tape->acts[layer].x : tape->x_out;
}

void pl_tape_forward(const struct pl_tape *tape, const struct pl_weights *w,
                     const struct pl_rope *rope, const struct pl_batch *batch)
{
    pl_embed(pl_tape_x(tape, 0), &w->embed, batch->ids, batch->rows);
    for (size_t l = 0; l < tape->layers; l++)
        pl_forward_layer(pl_tape_x(tape, l + 1), w, rope, l, batch, &tape->pages, &tape->acts[l]);
}
