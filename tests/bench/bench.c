#include "tests/bench/bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const struct {
    const char *name;
    struct pl_config config;
} CONFIGS[] = {
    {"small",
     {.hidden = 256,
      .layers = 6,
      .heads = 4,
      .kv_heads = 2,
      .head_dim = 64,
      .ffn = 768,
      .vocab = 1024,
      .positions_max = 4096,
      .rope_theta = 1e6,
      .rms_eps = 1e-6f,
      .tied = true,
      .qkv_bias = true,
      .init_range = 0.02,
      .bos = -1,
      .pad = -1}},
    {"half",
     {.hidden = 896,
      .layers = 24,
      .heads = 14,
      .kv_heads = 2,
      .head_dim = 64,
      .ffn = 4864,
      .vocab = 151936,
      .positions_max = 32768,
      .rope_theta = 1e6,
      .rms_eps = 1e-6f,
      .tied = true,
      .qkv_bias = true,
      .init_range = 0.02,
      .bos = -1,
      .pad = -1}},
};

const struct pl_config *pl_bench_config(const char *name)
{
    for (size_t i = 0; i < sizeof CONFIGS / sizeof *CONFIGS; i++)
        if (strcmp(CONFIGS[i].name, name) == 0)
            return &CONFIGS[i].config;
    return NULL;
}

static void fill(const struct pl_mat *mat)
{
    const size_t words = pl_mat_words(mat->rows, mat->cols);

#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < words; i++) {
        const uint32_t mix = (uint32_t)i * 2654435761u;

        mat->words[i] =
            0x3C003C00u | (mix & 0x807F807Fu); /* signs and fractions, size 1/128 to 1/64 */
    }
}

void pl_bench_weights(struct pl_weights *weights)
{
    const struct pl_config *c = &weights->shape->config;

    fill(&weights->embed);
    fill(&weights->head);
    for (size_t i = 0; i < c->hidden; i++)
        weights->norm_f[i] = 1.0f;
    for (size_t l = 0; l < c->layers; l++) {
        const struct pl_layer *layer = &weights->layers[l];

        fill(&layer->qkv);
        fill(&layer->o);
        fill(&layer->gate_up);
        fill(&layer->down);
        for (size_t i = 0; i < c->hidden; i++)
            layer->norm1[i] = layer->norm2[i] = 1.0f;
    }
}

double pl_bench_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

size_t pl_bench_rss_bytes(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_maxrss * 1024;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double pl_bench_median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, ascending);
    return n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}

size_t pl_bench_params_body(const struct pl_config *c)
{
    const size_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;

    return c->layers * (c->hidden * (2 * q + 2 * kv) + 3 * c->hidden * c->ffn);
}

size_t pl_bench_params_all(const struct pl_config *c)
{
    return pl_bench_params_body(c) + c->hidden * c->vocab;
}
