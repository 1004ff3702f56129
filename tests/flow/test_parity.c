/*
 * What was sampled is what is trained: the log-probabilities that the engine records while it
 * samples groups, against those that the training forward computes for the same tokens. Equal to
 * the bit, and so after optimiser steps too, whatever the packs, threads and instruction sets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actor/engine_impl.h"
#include "actor/trial.h"
#include "common/math/kernels.h"
#include "learner/trainer.h"
#include "tests/close.h"
#include "tests/little.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { GROUPS = 10, POSITIONS = 120, SAMPLES_MAX = GROUPS * PL_LITTLE_SAMPLES };

/* Rollouts of one round: what the engine gave, as groups to pack. */
struct rollouts {
    uint32_t prompts[GROUPS][POSITIONS];
    struct pl_fate outcomes[SAMPLES_MAX]; /* of all groups, one after the other */
    struct pl_pack_response responses[SAMPLES_MAX];
    struct pl_group groups[GROUPS];
    size_t samples, tokens;
};

struct difference {
    double most;           /* |recorded - trained| */
    size_t tokens, unlike; /* compared; other bits */
};

/* What each version is sampled and trained at. */
static float temperature_of(uint32_t version)
{
    static const float temperatures[] = {1.0f, 0.8f, 0.5f};

    return temperatures[version % 3];
}

static void sample(struct rollouts *r, struct pl_engine *engine, uint32_t version)
{
    const float T = temperature_of(version);
    static const size_t prompts[GROUPS] = {1, 5, 31, 32, 33, 64, 70, 2, 17, 50};
    static const size_t samples[GROUPS] = {4, 1, 8, 8, 5, 8, 3, 2, 7, 6};
    static const size_t lengths[GROUPS] = {40, 1, 33, 7, 32, 20, 50, 3, 31, 2};
    const size_t V = engine->weights->shape->config.vocab;
    struct pl_job *jobs[GROUPS];

    for (uint32_t g = 0; g < GROUPS; g++) {
        struct pl_request request = {.prompt = r->prompts[g],
                                     .prompt_len = prompts[g],
                                     .samples = samples[g],
                                     .new_tokens_max = lengths[g],
                                     .sampling = PL_SAMPLING_PLAIN,
                                     .rng = {.seed = 8, .batch = version, .prompt = g},
                                     .stop_ids = {3},
                                     .stop_count = 1};

        request.sampling.temperature = T;
        if (g % 4 == 2) /* recorded is the whole distribution all the same */
            request.sampling = (struct pl_sampling){T, 15, 0.9f, 0.02f};
        pl_little_prompt(r->prompts[g], prompts[g], 50 * version + g, V);
        jobs[g] = pl_test_submit(engine, &request);
    }
    pl_test_run(engine);
    r->samples = r->tokens = 0;
    for (size_t g = 0; g < GROUPS; g++) {
        r->groups[g] =
            (struct pl_group){r->prompts[g], prompts[g], r->responses + r->samples, samples[g]};
        for (size_t s = 0; s < samples[g]; s++, r->samples++) {
            const struct pl_sample *got = pl_job_sample(jobs[g], s);
            struct pl_fate *kept = &r->outcomes[r->samples];

            assert_in_range(got->len, 1, PL_LITTLE_TOKENS);
            memcpy(kept->ids, got->ids, got->len * sizeof *got->ids);
            memcpy(kept->logprobs, got->logprobs, got->len * sizeof *got->logprobs);
            r->responses[r->samples] = (struct pl_pack_response){kept->ids, got->len};
            r->tokens += got->len;
        }
        pl_engine_drop(engine, &jobs[g]);
    }
}

static void compare(struct difference *d, const struct rollouts *r, const struct pl_pack *pack,
                    const float *logp)
{
    for (size_t p = 0; p < pack->prediction_count; p++) {
        const struct pl_prediction *at = &pack->predictions[p];
        const float recorded = r->outcomes[at->sample].logprobs[at->index];
        const double off = fabs((double)recorded - (double)logp[p]);

        assert_int_equal(at->target, r->outcomes[at->sample].ids[at->index]);
        d->most = off > d->most || isnan(off) ? off : d->most;
        d->unlike += memcmp(&logp[p], &recorded, sizeof recorded) != 0;
    }
    d->tokens += pack->prediction_count;
}

static void report(const char *what, const struct difference *d)
{
    print_message("%s: %zu log-probabilities, %zu of other bits, largest difference %g\n", what,
                  d->tokens, d->unlike, d->most);
    assert_true(d->tokens > 0 && d->unlike == 0 && d->most == 0.0);
}

/* Some slopes, of both signs; that they are no good objective does not matter here. */
static void slopes(void *at, const struct pl_slopes *s)
{
    const size_t *tokens = at;

    for (size_t i = 0; i < s->n; i++)
        s->dlogp[i] = (s->predictions[i].sample % 3 == 0 ? -1.0f : 0.5f) / (float)*tokens;
}

/* All groups in packs of those limits, scored and, where asked for, accumulated. */
static void train(struct difference *d, struct rollouts *r, struct pl_trainer *trainer,
                  const struct pl_pack_limits *limits, uint32_t version, bool accumulate)
{
    struct pl_objective objective = {.at = &r->tokens, .slopes = slopes};
    struct pl_pack *pack = NULL;
    struct pl_error err;
    size_t before = d->tokens;
    uint32_t first = 0;

    assert_int_equal(pl_pack_create(limits, &pack, &err), PL_OK);
    assert_true(pack->temperature == 1.0f);
    pack->temperature = temperature_of(version);
    for (size_t g = 0, from = 0; g < GROUPS;) {
        const size_t added = pl_pack_add(pack, &r->groups[g], from, first + (uint32_t)from);

        from += added;
        if (from == r->groups[g].count) {
            first += (uint32_t)from;
            from = 0;
            g++;
        }
        if (added > 0 && from == 0 && g < GROUPS)
            continue;
        assert_true(pack->samples > 0);
        compare(d, r, pack, pl_trainer_score(trainer, NULL, pack, NULL));
        if (accumulate)
            compare(d, r, pack, pl_trainer_accumulate(trainer, pack, &objective));
        pl_pack_clear(pack);
    }
    assert_int_equal(d->tokens - before, r->tokens * (accumulate ? 2 : 1));
    pl_pack_destroy(pack);
}

static struct pl_trainer *trainer_create(struct pl_weights *weights,
                                         const struct pl_pack_limits *limits, bool recompute)
{
    const struct pl_trainer_opts opts = {
        .limits = *limits,
        .positions = POSITIONS,
        .recompute = recompute,
        .adamw = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .clip = 1.0},
    };
    struct pl_trainer *trainer = NULL;
    struct pl_error err;

    if (pl_trainer_create(weights, &opts, &trainer, &err) < 0)
        fail_msg("%s", err.text);
    return trainer;
}

static struct pl_engine *engine_create(const struct pl_weights *weights)
{
    const struct pl_engine_opts opts = {.weights = weights,
                                        .slots = 30,
                                        .positions = POSITIONS,
                                        .chunk_tokens = 37,
                                        .jobs = GROUPS};

    return pl_test_engine(&opts);
}

/* Everything in one pack; groups whole, a few at a time; and groups split. */
static const struct pl_pack_limits LIMITS[] = {{2500, SAMPLES_MAX}, {500, 20}, {150, 3}};

/* Sample, score, accumulate, step, and again with the weights that came out of it. */
static void sampled_is_trained(const char *what, const struct pl_config *config, size_t versions)
{
    static struct rollouts r;
    struct difference d = {0};
    struct pl_little little = pl_little_create(config, 11);
    struct pl_engine *engine = engine_create(little.weights);
    struct pl_trainer *plain = trainer_create(little.weights, &LIMITS[0], false);
    struct pl_trainer *thrifty = trainer_create(little.weights, &LIMITS[0], true);
    struct pl_step_stats stats;
    struct pl_error err;

    for (uint32_t version = 0; version < versions; version++) {
        const float first = version > 0 ? r.outcomes[0].logprobs[0] : 0.0f;

        sample(&r, engine, version);
        assert_true(r.outcomes[0].logprobs[0] != first);
        train(&d, &r, thrifty, &LIMITS[version % 3], version, false);
        train(&d, &r, plain, &LIMITS[(version + 1) % 3], version, true);
        train(&d, &r, plain, &LIMITS[(version + 2) % 3], version, false);
        if (pl_trainer_step(plain, 1e-2, &stats, &err) < 0)
            fail_msg("%s", err.text);
        assert_true(stats.grad_norm > 0.0);
        pl_engine_weights(engine, little.weights);
    }
    report(what, &d);
    pl_trainer_destroy(plain);
    pl_trainer_destroy(thrifty);
    pl_engine_destroy(engine);
    pl_little_destroy(&little);
}

static void untied_with_biases(void **state)
{
    const struct pl_config config = pl_little_config();

    (void)state;
    sampled_is_trained("untied", &config, 3);
}

static void tied(void **state)
{
    const struct pl_config config = pl_trial_config();

    (void)state;
    sampled_is_trained("tied", &config, 2);
}

static void llama_with_one_key_head(void **state)
{
    struct pl_config config = pl_little_config();

    (void)state;
    config.arch = PL_ARCH_LLAMA;
    config.qkv_bias = false;
    config.kv_heads = 1;
    config.vocab = 1100;
    sampled_is_trained("llama", &config, 2);
}

static void heads_of_128_in_sevens(void **state)
{
    struct pl_config config = pl_trial_config();

    (void)state;
    config.hidden = 300;
    config.heads = 7;
    config.kv_heads = 1;
    config.head_dim = 128;
    config.ffn = 520;
    config.vocab = 700;
    sampled_is_trained("heads of 128", &config, PL_TEST_SLOW ? 1 : 2);
}

/* The learner may have other processors than the actor. */
static void other_machines_agree(void **state)
{
    (void)state;
    static const char *const sets[] = {"avx512", "avx2", "plain"};
    static struct rollouts r;
    const struct pl_config config = pl_little_config();
    const struct pl_kernels *usual = pl_kernels();
    struct pl_little little = pl_little_create(&config, 12);
    struct pl_trainer *trainer = trainer_create(little.weights, &LIMITS[0], false);
    struct difference d = {0};

    for (size_t i = 0; i < 9; i++) {
        const struct pl_kernels *actor = pl_kernels_named(sets[i / 3]);
        const struct pl_kernels *learner = pl_kernels_named(sets[i % 3]);
        struct pl_engine *engine;

        if (!actor || !learner)
            continue;
        pl_kernels_use(actor);
        omp_set_num_threads(1 + (int)(i % 2));
        engine = engine_create(little.weights);
        sample(&r, engine, (uint32_t)i);
        pl_engine_destroy(engine);
        pl_kernels_use(learner);
        omp_set_num_threads(1 + (int)(i + 1) % 3);
        train(&d, &r, trainer, &LIMITS[i % 3], (uint32_t)i, true);
    }
    pl_kernels_use(usual);
    omp_set_num_threads(2);
    report("across sets and threads", &d);
    pl_trainer_destroy(trainer);
    pl_little_destroy(&little);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(untied_with_biases),      cmocka_unit_test(tied),
        cmocka_unit_test(llama_with_one_key_head), cmocka_unit_test(heads_of_128_in_sevens),
        cmocka_unit_test(other_machines_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
