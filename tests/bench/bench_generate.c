/*
 * Generation of fixed shapes with random weights, one JSON line a case.
 *
 *   bench_generate [CASE ...]     all cases without a name
 *
 * A case is <model>.prefill.<tokens> or <model>.decode.b<batch>, model `small` or `half`. Decoding
 * follows a prompt of 128 tokens shared by groups of 8, samples at temperature 1, and counts a
 * whole step: forward, vocabulary projection, log-probability and draw.
 *
 * `ratio` is FLOP/s by 2 * parameters used per token, over OpenBLAS' sgemm in this process (the
 * higher of before and after). At batch 1 the bound is memory: `bandwidth_ratio` is bytes of bf16
 * weights read per second over the read bandwidth measured in this process.
 */
#include "actor/engine.h"
#include "common/app/machine.h"
#include "common/base/check.h"
#include "common/math/gemm.h"
#include "tests/bench/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT = 128, GROUP = 8, STEPS_MAX = 64 };

static const char *const CASES[] = {
    "small.prefill.512", "small.decode.b1",   "small.decode.b8",  "small.decode.b32",
    "small.decode.b64",  "small.decode.b128", "half.prefill.512", "half.decode.b1",
    "half.decode.b8",    "half.decode.b32",   "half.decode.b64",  "half.decode.b128",
};

struct figures {
    double tokens_per_s, flop_per_token, bytes_per_token;
};

static struct pl_engine *engine_for(const struct pl_weights *w, size_t slots, size_t positions)
{
    const struct pl_engine_opts opts = {
        .weights = w, .slots = slots, .positions = positions, .chunk_tokens = 512, .jobs = 64};
    struct pl_engine *engine = NULL;
    struct pl_error err;

    if (pl_engine_create(&opts, &engine, &err) < 0) {
        fprintf(stderr, "bench_generate: %s\n", err.text);
        exit(1);
    }
    return engine;
}

static struct pl_job *submit(struct pl_engine *engine, size_t V, size_t prompt_len, size_t samples,
                             size_t tokens, uint32_t prompt_seed)
{
    uint32_t prompt[4096];
    struct pl_request request = {.prompt = prompt,
                                 .prompt_len = prompt_len,
                                 .samples = samples,
                                 .new_tokens_max = tokens,
                                 .sampling = PL_SAMPLING_PLAIN,
                                 .rng = {.seed = 1, .prompt = prompt_seed}};
    struct pl_job *job = NULL;
    struct pl_error err;

    for (size_t i = 0; i < prompt_len; i++)
        prompt[i] = (uint32_t)((i + prompt_seed * 977) * 2654435761u >> 8) % (uint32_t)V;
    if (pl_engine_submit(engine, &request, &job, &err) < 0) {
        fprintf(stderr, "bench_generate: %s\n", err.text);
        exit(1);
    }
    return job;
}

static struct figures prefill(const struct pl_weights *w, size_t tokens)
{
    const struct pl_config *c = &w->shape->config;
    struct pl_engine *engine = engine_for(w, 1, tokens + 1);
    double times[7];
    const size_t runs = pl_bench_params_all(c) > 100000000 ? 5 : 7;

    for (size_t i = 0; i <= runs; i++) { /* the first warms up */
        struct pl_job *job = submit(engine, c->vocab, tokens, 1, 1, (uint32_t)i);
        const double start = pl_bench_seconds();

        PL_ASSERT(pl_engine_step(engine) == tokens);
        if (i > 0)
            times[i - 1] = pl_bench_seconds() - start;
        pl_engine_drop(engine, &job);
    }
    pl_engine_destroy(engine);
    /* the vocabulary projection is computed, and counted, for the last position only */
    return (struct figures){
        .tokens_per_s = (double)tokens / pl_bench_median(times, runs),
        .flop_per_token = 2.0 * ((double)pl_bench_params_body(c) +
                                 (double)(c->hidden * c->vocab) / (double)tokens),
    };
}

static struct figures decode(const struct pl_weights *w, size_t batch)
{
    const struct pl_config *c = &w->shape->config;
    const size_t steps = pl_bench_params_all(c) > 100000000 ? (batch >= 64 ? 5 : 12) : STEPS_MAX;
    const size_t group = batch < GROUP ? batch : GROUP;
    struct pl_engine *engine = engine_for(w, batch, PROMPT + steps + 8);
    double times[STEPS_MAX];

    for (size_t i = 0; i < batch; i += group)
        (void)submit(engine, c->vocab, PROMPT, group, steps + 8, (uint32_t)i);
    while (pl_engine_stats(engine).step_decode_rows < batch)
        PL_ASSERT(pl_engine_step(engine) > 0);
    for (size_t i = 0; i < steps; i++) {
        const double start = pl_bench_seconds();

        PL_ASSERT(pl_engine_step(engine) == batch);
        times[i] = pl_bench_seconds() - start;
    }
    pl_engine_destroy(engine);
    return (struct figures){
        .tokens_per_s = (double)batch / pl_bench_median(times, steps),
        .flop_per_token = 2.0 * (double)pl_bench_params_all(c),
        .bytes_per_token = 2.0 * (double)pl_bench_params_all(c) / (double)batch,
    };
}

static int run(const char *name)
{
    char model[16] = "", kind[16] = "", size[16] = "";
    struct pl_shape *shape = NULL;
    struct pl_weights *weights = NULL;
    struct pl_error err = {0};
    struct figures f;
    double peak, bandwidth = 0.0;

    if (sscanf(name, "%15[^.].%15[^.].%15s", model, kind, size) != 3 || !pl_bench_config(model)) {
        fprintf(stderr, "bench_generate: there is no case '%s'\n", name);
        return 2;
    }
    if (pl_shape_create(pl_bench_config(model), &shape, &err) < 0 ||
        pl_weights_create(shape, &weights, &err) < 0 ||
        pl_machine_bandwidth((size_t)256 << 20, 5, &bandwidth, &err) < 0) {
        fprintf(stderr, "bench_generate: %s\n", err.text);
        pl_shape_destroy(shape);
        return 1;
    }
    pl_bench_weights(weights);
    peak = pl_blas_peak_gflops();
    f = strcmp(kind, "prefill") == 0 ? prefill(weights, strtoul(size, NULL, 10))
                                     : decode(weights, strtoul(size + 1, NULL, 10));
    peak = fmax(peak, pl_blas_peak_gflops());
    printf("{\"case\":\"%s\",\"tokens_per_s\":%.1f,\"gflops\":%.1f,\"peak_gflops\":%.1f,"
           "\"ratio\":%.3f,\"read_gb_per_s\":%.1f,\"bandwidth_ratio\":%.3f,\"rss_bytes\":%zu}\n",
           name, f.tokens_per_s, 1e-9 * f.tokens_per_s * f.flop_per_token, peak,
           1e-9 * f.tokens_per_s * f.flop_per_token / peak, 1e-9 * bandwidth,
           f.tokens_per_s * f.bytes_per_token / bandwidth, pl_bench_rss_bytes());
    fflush(stdout);
    pl_weights_destroy(weights);
    pl_shape_destroy(shape);
    return 0;
}

int main(int argc, char **argv)
{
    int rc = 0;

    for (int i = 1; i < argc && rc == 0; i++)
        rc = run(argv[i]);
    for (size_t i = 0; argc == 1 && i < sizeof CASES / sizeof *CASES && rc == 0; i++)
        rc = run(CASES[i]);
    return rc;
}
