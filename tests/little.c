#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/little.h"

#include "actor/engine_impl.h"
#include "actor/trial.h"
#include "common/base/rng.h"

#include <stdlib.h>
#include <string.h>

struct pl_config pl_little_config(void)
{
    struct pl_config config = pl_trial_config();

    config.hidden = 40;
    config.heads = 4;
    config.head_dim = 10;
    config.ffn = 56;
    config.vocab = 83;
    config.tied = false;
    return config;
}

static void must(int rc, const struct pl_error *err)
{
    if (rc != PL_OK)
        fail_msg("%s", err->text);
}

struct pl_little pl_little_create(const struct pl_config *config, uint64_t seed)
{
    struct pl_little little = {NULL, NULL};
    struct pl_error err;

    must(pl_trial_weights(config, seed, &little.shape, &little.weights, &err), &err);
    return little;
}

void pl_little_destroy(struct pl_little *little)
{
    pl_weights_destroy(little->weights);
    pl_shape_destroy(little->shape);
}

void pl_little_set_row(const struct pl_little *little, enum pl_role role, size_t layer, size_t row,
                       float value)
{
    const struct pl_tensor *tensor = pl_shape_find(little->shape, role, layer);
    uint16_t *row_values;

    assert_non_null(tensor);
    row_values = malloc(tensor->cols * sizeof *row_values);
    assert_non_null(row_values);
    for (size_t i = 0; i < tensor->cols; i++)
        row_values[i] = pl_bf16_round(value);
    pl_weights_set(little->weights, tensor, row, 1, row_values);
    free(row_values);
}

void pl_little_prompt(uint32_t *ids, size_t n, uint32_t seed, size_t V)
{
    const struct pl_rng rng = {.seed = seed, .batch = (uint32_t)PL_RNG_TEST, .prompt = 1};

    for (size_t i = 0; i < n; i++)
        ids[i] = (uint32_t)pl_rng_below(&rng, (uint32_t)i, V);
}

struct pl_engine *pl_test_engine(const struct pl_engine_opts *opts)
{
    struct pl_engine *engine = NULL;
    struct pl_error err;

    must(pl_engine_create(opts, &engine, &err), &err);
    return engine;
}

struct pl_job *pl_test_submit(struct pl_engine *engine, const struct pl_request *request)
{
    struct pl_job *job = NULL;
    struct pl_error err;

    must(pl_engine_submit(engine, request, &job, &err), &err);
    return job;
}

void pl_test_step(struct pl_engine *engine)
{
    assert_true(pl_engine_step(engine) > 0);
    pl_kv_verify(engine->kv);
}

void pl_test_run(struct pl_engine *engine)
{
    while (!pl_engine_idle(engine))
        pl_test_step(engine);
    assert_int_equal(pl_engine_step(engine), 0);
}

static void sample_alone(const struct pl_weights *weights, const struct pl_request *request,
                         struct pl_fate *ret)
{
    const struct pl_engine_opts opts = {.weights = weights,
                                        .slots = 1,
                                        .positions = request->prompt_len + request->new_tokens_max,
                                        .chunk_tokens = request->prompt_len,
                                        .jobs = 1};
    struct pl_engine *engine = pl_test_engine(&opts);
    struct pl_job *job = pl_test_submit(engine, request);
    const struct pl_sample *sample = pl_job_sample(job, 0);

    pl_test_run(engine);
    memset(ret, 0, sizeof *ret);
    memcpy(ret->ids, sample->ids, sample->len * sizeof *sample->ids);
    memcpy(ret->logprobs, sample->logprobs, sample->len * sizeof *sample->logprobs);
    ret->len = sample->len;
    ret->finish = sample->finish;
    pl_engine_destroy(engine);
}

void pl_outcome_alone(const struct pl_weights *weights, const struct pl_request *request,
                      struct pl_fate *ret)
{
    struct pl_request single = *request;

    assert_true(request->new_tokens_max <= PL_LITTLE_TOKENS);
    single.samples = 1;
    single.on_token = NULL;
    for (size_t s = 0; s < request->samples; s++) {
        single.rng.sample = request->rng.sample + (uint32_t)s;
        sample_alone(weights, &single, &ret[s]);
    }
}

void pl_test_outcome(const struct pl_job *job, size_t s, const struct pl_fate *want,
                     const char *file, int line)
{
    const struct pl_sample *got = pl_job_sample(job, s);
    const int whole = got->finish != PL_FINISH_CANCELED && got->finish != PL_FINISH_NOT;

    if (whole && (got->len != want->len || got->finish != want->finish)) {
        print_error("sample %zu has %zu tokens and ended with '%s'; expected %zu and '%s'\n", s,
                    got->len, pl_finish_name(got->finish), want->len, pl_finish_name(want->finish));
        _fail(file, line);
    }
    if (got->len > want->len) {
        print_error("sample %zu has %zu tokens; expected at most %zu\n", s, got->len, want->len);
        _fail(file, line);
    }
    for (size_t i = 0; i < got->len; i++) {
        if (got->ids[i] == want->ids[i] &&
            memcmp(&got->logprobs[i], &want->logprobs[i], sizeof *got->logprobs) == 0)
            continue;
        print_error("token %zu of sample %zu is %u (%.9g); expected %u (%.9g) to the bit\n", i, s,
                    got->ids[i], (double)got->logprobs[i], want->ids[i], (double)want->logprobs[i]);
        _fail(file, line);
    }
}
