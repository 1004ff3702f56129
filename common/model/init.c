#include "common/model/init.h"

#include "common/base/buf.h"
#include "common/base/rng.h"
#include "common/model/blocks.h"

#include <omp.h>
#include <stdlib.h>

/* Elements [from, from + n) of the stream of a tensor; n and from are of any parity. */
static void fill_normal(uint16_t *values, uint64_t seed, size_t tensor, size_t from, size_t n,
                        double deviation)
{
    struct pl_rng rng = {seed, (uint32_t)PL_RNG_INIT, (uint32_t)tensor, 0};
    double pair[2] = {0};

    for (size_t i = 0; i < n; i++) {
        const size_t e = from + i;

        if (i == 0 || e % 2 == 0) {
            rng.sample = (uint32_t)(e / 2 >> 32);
            pl_rng_normal(&rng, (uint32_t)(e / 2), pair);
        }
        values[i] = pl_bf16_round((float)(deviation * pair[e % 2]));
    }
}

static void fill_vector(uint16_t *values, enum pl_role role, size_t n)
{
    const bool norm = role == PL_ROLE_NORM1 || role == PL_ROLE_NORM2 || role == PL_ROLE_NORM_F;
    const uint16_t value = pl_bf16_round(norm ? 1.0f : 0.0f);

    for (size_t i = 0; i < n; i++)
        values[i] = value;
}

struct maker {
    struct pl_weights *weights;
    uint64_t seed;
    uint16_t *scratch; /* a piece for each thread */
    size_t piece;      /* elements of the largest */
    const struct pl_watch *watch;
    uint64_t done, total; /* bytes */
};

static void report(struct maker *maker, size_t bytes)
{
    uint64_t done;

#pragma omp atomic capture
    done = maker->done += bytes;
    if (maker->watch && omp_get_thread_num() == 0)
        maker->watch->bytes(maker->watch->at, done, maker->total);
}

static void init_tensor(struct maker *maker, size_t index)
{
    struct pl_weights *w = maker->weights;
    const struct pl_tensor *t = &w->shape->tensors[index];
    const struct pl_blocks blocks = pl_blocks_of(&w->shape->config, t);
    const double deviation = w->shape->config.init_range;

#pragma omp parallel for schedule(dynamic) if (blocks.count > 1)
    for (size_t i = 0; i < blocks.count; i++) {
        uint16_t *values = maker->scratch + (size_t)omp_get_thread_num() * maker->piece;
        size_t rows;
        const size_t row = pl_blocks_row(&blocks, i, &rows), n = rows * t->cols;

        if (t->rank == 1)
            fill_vector(values, t->role, rows);
        else
            fill_normal(values, maker->seed, index, row * t->cols, n, deviation);
        pl_weights_set(w, t, row, rows, values);
        report(maker, n * sizeof *values);
    }
}

int pl_weights_init(struct pl_weights *weights, uint64_t seed, const struct pl_watch *watch,
                    struct pl_error *err)
{
    const size_t threads = (size_t)omp_get_max_threads();
    struct maker maker = {
        .weights = weights,
        .seed = seed,
        .piece = pl_blocks_elements(weights->shape),
        .watch = watch,
        .total = (uint64_t)weights->shape->params * sizeof(uint16_t),
    };

    maker.scratch = pl_alloc(threads * maker.piece, sizeof *maker.scratch);
    if (!maker.scratch)
        return pl_fail(err, PL_ENOMEM, "no memory for %zu threads to make weights", threads);
    for (size_t i = 0; i < weights->shape->count; i++)
        init_tensor(&maker, i);
    if (watch)
        watch->bytes(watch->at, maker.done, maker.total);
    free(maker.scratch);
    return PL_OK;
}
