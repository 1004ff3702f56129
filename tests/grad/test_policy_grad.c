/*
 * The policy gradient of a whole model against differences of the surrogate: the loss is computed
 * anew at moved weights, in double and from its formula, for every ratio, aggregation, KL estimate
 * and bonus. Ratios lie on all sides of the clips and away from their kinks.
 */
#include "learner/policy.h"
#include "learner/trainer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/close.h"
#include "tests/model.h"

static const struct pl_config CONFIG = {
    .arch = PL_ARCH_QWEN2,
    .hidden = 28,
    .layers = 2,
    .heads = 4,
    .kv_heads = 2,
    .head_dim = 6,
    .ffn = 37,
    .vocab = 31,
    .positions_max = 64,
    .rope_theta = 1e4,
    .rms_eps = 1e-5f,
    .tied = true,
    .qkv_bias = true,
    .bos = -1,
    .pad = -1,
};
static const struct pl_test_lengths LENGTHS[] = {{5, {6, 1, 4}}, {2, {9, 3}}, {3, {1, 7}}};
enum { GROUPS = sizeof LENGTHS / sizeof *LENGTHS, SAMPLES = 7, TOKENS = 31, PACKS = 4 };

struct setup {
    struct pl_test_model model;
    struct pl_weights *moved;
    struct pl_pack *packs[PACKS];
    size_t pack_count;
    struct pl_trainer *trainer;
    float *direction; /* (shape->floats) */
    size_t first[SAMPLES + 1];
    float start[TOKENS], old[TOKENS], ref[TOKENS], weight[TOKENS], advantage[TOKENS];
    float sequence[SAMPLES];
    struct pl_policy policy;
    enum pl_kl kl; /* whose slope is expected */
};

static double clamp(double x, double least, double most)
{
    return fmin(fmax(x, least), most);
}

static double kl_of(enum pl_kl kind, double d)
{
    return kind == PL_KL_K1    ? -d
           : kind == PL_KL_ABS ? fabs(d)
           : kind == PL_KL_K2  ? 0.5 * d * d
                               : exp(d) - d - 1.0;
}

/* Log-probabilities and entropies of all tokens at some weights. */
static void score(const struct setup *s, const struct pl_weights *w, float *logp, float *entropy)
{
    for (size_t k = 0; k < s->pack_count; k++) {
        const float *e = NULL, *l = pl_trainer_score(s->trainer, w, s->packs[k], &e);

        for (size_t i = 0; i < s->packs[k]->prediction_count; i++) {
            const struct pl_prediction *p = &s->packs[k]->predictions[i];

            logp[s->first[p->sample] + p->index] = l[i];
            entropy[s->first[p->sample] + p->index] = e[i];
        }
    }
}

static double token_loss(const struct setup *s, size_t t, double l, double logp, double entropy)
{
    const struct pl_policy_opts *o = &s->policy.opts;
    const double A = (double)s->advantage[t], rho = exp(l);
    double L = fmax(-A * rho, -A * clamp(rho, 1.0 - o->clip_low, 1.0 + o->clip_high));

    if (A < 0.0)
        L = fmin(L, -A * o->clip_c);
    L *= s->policy.batch.weight ? (double)s->weight[t] : 1.0;
    return L + o->kl_coef * kl_of(s->kl, (double)s->ref[t] - logp) - o->entropy_coef * entropy;
}

static double loss(const void *at, const struct pl_weights *weights)
{
    const struct setup *s = at;
    const struct pl_policy_opts *o = &s->policy.opts;
    float logp[TOKENS], entropy[TOKENS];
    double sum = 0.0;

    score(s, weights, logp, entropy);
    for (size_t i = 0; i < SAMPLES; i++) {
        const double len = (double)(s->first[i + 1] - s->first[i]);
        double mean = 0.0, all = 0.0;

        for (size_t t = s->first[i]; t < s->first[i + 1]; t++)
            mean += ((double)logp[t] - (double)s->old[t]) / len;
        for (size_t t = s->first[i]; t < s->first[i + 1]; t++)
            all += token_loss(
                s, t, o->ratio == PL_RATIO_SEQUENCE ? mean : (double)logp[t] - (double)s->old[t],
                (double)logp[t], (double)entropy[t]);
        sum += o->agg == PL_AGG_TOKEN_MEAN ? all / TOKENS
               : o->agg == PL_AGG_SEQ_SUM  ? all / SAMPLES
               : o->agg == PL_AGG_SEQ_MEAN ? all / len / SAMPLES
                                           : all / o->agg_scale / SAMPLES;
    }
    return sum;
}

/* Ratios and advantages: those of a token, or (GSPO) alike in a whole sequence. */
static void spread(struct setup *s, bool by_sequence)
{
    static const double ratios[] = {1.04, 0.5, 1.8, 5.0, 0.98};
    static const float advantages[] = {1.0f, -0.7f, -1.3f, 0.8f, 0.5f, -0.4f, 1.7f};

    for (size_t i = 0; i < SAMPLES; i++) {
        double sum = 0.0;

        for (size_t t = s->first[i]; t < s->first[i + 1]; t++) {
            const size_t at = by_sequence ? i : t;

            s->old[t] = s->start[t] - (float)log(ratios[at % 5]) +
                        (by_sequence ? 0.03f * (float)((int)(t % 3) - 1) : 0.0f);
            s->advantage[t] = advantages[at % 7];
            s->weight[t] = 0.5f + 0.25f * (float)(t % 4);
            s->ref[t] = s->start[t] + (t % 2 ? 0.4f : -0.6f) + 0.01f * (float)t;
            sum += (double)s->start[t] - (double)s->old[t];
        }
        s->sequence[i] = (float)(sum / (double)(s->first[i + 1] - s->first[i]));
    }
}

static void compare(struct setup *s, const char *what)
{
    const size_t n = s->model.shape->floats;
    const struct pl_objective objective = pl_policy_objective(&s->policy);
    const struct pl_policy_opts *o = &s->policy.opts;
    struct pl_step_stats step;
    const float *grad = pl_trainer_grad(s->trainer);

    memset(&s->policy.stats, 0, sizeof s->policy.stats);
    for (size_t k = 0; k < s->pack_count; k++)
        (void)pl_trainer_accumulate(s->trainer, s->packs[k], &objective);
    assert_int_equal(s->policy.stats.tokens, TOKENS);
    if (!o->straight)
        pl_assert_close(s->policy.stats.pg_loss + o->kl_coef * s->policy.stats.kl_loss -
                            o->entropy_coef * s->policy.stats.entropy_loss,
                        loss(s, s->model.weights), 1e-6, 1e-6);
    for (uint32_t seed = 0; seed < 4; seed++) {
        double want = 0.0, slope;

        pl_test_fill(s->direction, n, 50 + seed);
        for (size_t i = 0; i < n; i++) {
            s->direction[i] = fabsf(s->direction[i]) < 0.03f
                                  ? copysignf(pl_test_step(s->model.flat[i]), grad[i])
                                  : 0.0f; /* along the gradient: no sum that cancels */
            want += (double)grad[i] * (double)s->direction[i];
        }
        slope = pl_test_slope_along(&s->model, s->direction, s->moved, loss, s);
        print_message("%-28s %12.8f, by differences %12.8f\n", what, want, slope);
        pl_assert_close(want, slope, 1e-6, 1e-4);
    }
    assert_int_equal(pl_trainer_step(s->trainer, 0.0, &step, NULL), PL_OK); /* forgets it */
}

static void every_aggregation(void **state)
{
    static const char *const names[] = {"token-mean", "seq-mean-token-sum", "seq-mean-token-mean",
                                        "seq-mean-token-sum-norm"};
    struct setup *s = *state;

    spread(s, false);
    for (int agg = PL_AGG_TOKEN_MEAN; agg <= PL_AGG_SEQ_NORM; agg++) {
        s->policy.opts.agg = (enum pl_agg)agg;
        compare(s, names[agg]);
    }
    s->policy.batch.weight = s->weight;
    compare(s, "with weights");
}

static void ratios_of_sequences(void **state)
{
    struct setup *s = *state;

    spread(s, true);
    s->policy.opts.ratio = PL_RATIO_SEQUENCE;
    s->policy.batch.sequence = s->sequence;
    s->policy.opts.agg = PL_AGG_SEQ_MEAN;
    compare(s, "gspo, seq-mean-token-mean");
    s->policy.opts.agg = PL_AGG_TOKEN_MEAN;
    compare(s, "gspo, token-mean");
}

static void every_kl_and_the_entropy(void **state)
{
    static const char *const names[] = {"k1", "abs", "k2", "low_var_kl"};
    struct setup *s = *state;

    spread(s, false);
    s->policy.opts.kl_coef = 0.7;
    s->policy.batch.ref = s->ref;
    for (int kl = PL_KL_K1; kl <= PL_KL_K3; kl++) {
        s->policy.opts.kl = s->kl = (enum pl_kl)kl;
        compare(s, names[kl]);
    }
    s->policy.opts.straight = true; /* low_var_kl's value, k2's slope */
    s->kl = PL_KL_K2;
    compare(s, "low_var_kl+");
    s->policy.opts.straight = false;
    s->kl = PL_KL_K3;
    s->policy.opts.entropy_coef = 0.3;
    compare(s, "low_var_kl and entropy");
}

static int setup(void **state)
{
    struct setup *s = calloc(1, sizeof *s);
    struct pl_test_batch batch;
    struct pl_pack_limits limits;
    struct pl_error err;
    float entropy[TOKENS];

    pl_test_model_create(&s->model, &CONFIG, 8);
    pl_test_batch_make(&batch, LENGTHS, GROUPS, CONFIG.vocab, 8);
    assert_int_equal(batch.samples, SAMPLES);
    assert_int_equal(batch.tokens, TOKENS);
    for (size_t i = 0; i < SAMPLES; i++)
        s->first[i + 1] = s->first[i] + batch.responses[i].len;
    limits = batch.limits;
    limits.rows = 16; /* several packs: gradients add up */
    s->pack_count = pl_test_packs(&batch, &limits, s->packs, PACKS);
    assert_true(s->pack_count > 1);
    const struct pl_trainer_opts opts = {
        .limits = limits,
        .positions = batch.positions,
        .adamw = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8},
    };

    if (pl_weights_create(s->model.shape, &s->moved, &err) < 0 ||
        pl_trainer_create(s->model.weights, &opts, &s->trainer, &err) < 0)
        fail_msg("%s", err.text);
    s->direction = calloc(s->model.shape->floats, sizeof *s->direction);
    score(s, NULL, s->start, entropy);
    s->policy = (struct pl_policy){
        .opts = {.clip_low = 0.2, .clip_high = 0.28, .clip_c = 3.0, .agg_scale = 11.0},
        .batch = {.first = s->first,
                  .old = s->old,
                  .advantage = s->advantage,
                  .sequences = SAMPLES,
                  .tokens = TOKENS},
    };
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct setup *s = *state;

    pl_trainer_destroy(s->trainer);
    for (size_t k = 0; k < s->pack_count; k++)
        pl_pack_destroy(s->packs[k]);
    pl_weights_destroy(s->moved);
    pl_test_model_destroy(&s->model);
    free(s->direction);
    free(s);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_aggregation, setup, teardown),
        cmocka_unit_test_setup_teardown(ratios_of_sequences, setup, teardown),
        cmocka_unit_test_setup_teardown(every_kl_and_the_entropy, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
