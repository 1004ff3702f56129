/*
 * Training steps (forward, backward, AdamW) of fixed shapes with random weights, one JSON line a
 * case: tokens per second, GFLOP/s by the usual 6 * parameters * tokens, and their ratio to
 * OpenBLAS' sgemm in the same process, measured before and after, the higher.
 *
 *   bench_train [--parts] [CASE ...]     all cases without a name
 */
#include "common/base/check.h"
#include "common/math/gemm.h"
#include "common/model/shape.h"
#include "learner/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { PROMPT = 1 };

struct bench_case {
    const char *name;
    struct pl_config config;
    size_t sequences, tokens; /* of each */
    int warm, runs;
};

#define SMALL                                                                                      \
    {                                                                                              \
        .hidden = 256, .layers = 6, .heads = 4, .kv_heads = 2, .head_dim = 64, .ffn = 768,         \
        .vocab = 1024, .positions_max = 4096, .rope_theta = 1e6, .rms_eps = 1e-6f, .tied = true,   \
        .qkv_bias = true, .init_range = 0.02, .bos = -1, .pad = -1                                 \
    }
/* The published shape of Qwen2.5-0.5B. */
#define HALF                                                                                       \
    {                                                                                              \
        .hidden = 896, .layers = 24, .heads = 14, .kv_heads = 2, .head_dim = 64, .ffn = 4864,      \
        .vocab = 151936, .positions_max = 32768, .rope_theta = 1e6, .rms_eps = 1e-6f,              \
        .tied = true, .qkv_bias = true, .init_range = 0.02, .bos = -1, .pad = -1                   \
    }

static const struct bench_case CASES[] = {
    {"small.train.8x512", SMALL, 8, 512, 2, 5},
    {"half.train.2x256", HALF, 2, 256, 1, 2},
    {"half.train.4x512", HALF, 4, 512, 1, 1},
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void slopes(void *at, const struct pl_slopes *s)
{
    const size_t tokens = *(const size_t *)at;

    for (size_t i = 0; i < s->n; i++)
        s->dlogp[i] = -1.0f / (float)tokens;
}

/* Small pseudo-random weights; norms are 1. */
static void random_weights(struct pl_trainer *trainer, const struct pl_shape *shape)
{
    float *master = pl_trainer_state(trainer)->master;

    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];
        const size_t n = pl_tensor_size(t);

#pragma omp parallel for schedule(static)
        for (size_t j = 0; j < n; j++) {
            const uint32_t mix = ((uint32_t)j + (uint32_t)i * 977u) * 2654435761u;

            master[t->offset + j] =
                t->rank == 1 ? 1.0f : 0.04f * ((float)(mix >> 8) / 16777216.0f - 0.5f);
        }
    }
    pl_trainer_sync(trainer);
}

static void fill_pack(struct pl_pack *pack, const struct bench_case *c, uint32_t *ids)
{
    for (size_t i = 0; i < c->sequences * (c->tokens + 1); i++)
        ids[i] = (uint32_t)(i * 2654435761u >> 7) % (uint32_t)c->config.vocab;
    pl_pack_clear(pack);
    for (size_t s = 0; s < c->sequences; s++) {
        uint32_t *at = ids + s * (c->tokens + 1);
        const struct pl_pack_response response = {at + PROMPT, c->tokens + 1 - PROMPT};
        const struct pl_group group = {at, PROMPT, &response, 1};

        PL_ASSERT(pl_pack_add(pack, &group, 0, (uint32_t)s) == 1);
    }
}

static void print_parts(struct pl_trainer *trainer, double runs)
{
    const struct pl_trainer_times t = pl_trainer_times(trainer);

    fprintf(stderr, "  seconds a step: forward %.3f  head %.3f  backward %.3f  optimiser %.3f\n",
            t.forward / runs, t.head / runs, t.backward / runs, t.step / runs);
}

static int run(const struct bench_case *c, bool parts)
{
    const size_t tokens = c->sequences * c->tokens;
    const struct pl_trainer_opts opts = {
        .limits = {tokens, c->sequences},
        .positions = c->tokens + 1,
        .adamw = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01, .clip = 1.0},
    };
    const struct pl_objective objective = {.at = (void *)&tokens, .slopes = slopes};
    struct pl_shape *shape = NULL;
    struct pl_weights *weights = NULL;
    struct pl_trainer *trainer = NULL;
    struct pl_pack *pack = NULL;
    struct pl_error err = {0};
    struct pl_step_stats stats;
    struct rusage usage;
    uint32_t *ids = malloc(c->sequences * (c->tokens + 1) * sizeof *ids);
    const double before = pl_blas_peak_gflops();
    double start = 0.0, best = 1e30, mean = 0.0;
    int rc = PL_ENOMEM;

    if (!ids || (rc = pl_shape_create(&c->config, &shape, &err)) < 0 ||
        (rc = pl_weights_create(shape, &weights, &err)) < 0 ||
        (rc = pl_trainer_create(weights, &opts, &trainer, &err)) < 0 ||
        (rc = pl_pack_create(&opts.limits, &pack, &err)) < 0)
        goto out;
    random_weights(trainer, shape);
    fill_pack(pack, c, ids);
    PL_ASSERT(pack->batch.rows == tokens);
    for (int i = 0; i < c->warm + c->runs; i++) {
        if (i == c->warm)
            (void)pl_trainer_times(trainer);
        start = seconds();
        pl_trainer_accumulate(trainer, pack, &objective);
        rc = pl_trainer_step(trainer, 1e-6, &stats, &err);
        if (rc < 0)
            goto out;
        if (i >= c->warm) {
            mean += (seconds() - start) / c->runs;
            best = fmin(best, seconds() - start);
        }
    }
    const double peak = fmax(before, pl_blas_peak_gflops());
    const double gflops = 6e-9 * (double)shape->params * (double)tokens / mean;

    getrusage(RUSAGE_SELF, &usage);
    printf("{\"case\":\"%s\",\"tokens_per_s\":%.1f,\"gflops\":%.1f,\"peak_gflops\":%.1f,"
           "\"ratio\":%.3f,\"best_ratio\":%.3f,\"rss_bytes\":%ld}\n",
           c->name, (double)tokens / mean, gflops, peak, gflops / peak, gflops * mean / best / peak,
           usage.ru_maxrss * 1024L);
    fflush(stdout);
    if (parts)
        print_parts(trainer, c->runs);
    rc = PL_OK;
out:
    if (rc < 0)
        fprintf(stderr, "bench_train: %s: %s\n", c->name, err.text);
    pl_pack_destroy(pack);
    pl_trainer_destroy(trainer);
    pl_weights_destroy(weights);
    pl_shape_destroy(shape);
    free(ids);
    return rc;
}

static bool chosen(const char *name, int argc, char **argv)
{
    bool named = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0)
            return true;
        named = named || argv[i][0] != '-';
    }
    return !named;
}

int main(int argc, char **argv)
{
    bool parts = false;
    int rc = PL_OK;

    for (int i = 1; i < argc; i++)
        parts = parts || strcmp(argv[i], "--parts") == 0;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES && rc == PL_OK; i++)
        if (chosen(CASES[i].name, argc, argv))
            rc = run(&CASES[i], parts);
    return rc == PL_OK ? 0 : 1;
}
