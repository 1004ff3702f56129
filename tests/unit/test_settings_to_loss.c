/*
 * From the setting to the number: a line of configuration, read as a run reads it, goes through one
 * step of training on fixed rollouts, and advantages, losses, clipped shares and KL coefficients
 * come out as a plain second computation here says. So a setting that is read but not used, or used
 * in the wrong place, fails.
 *
 * The rollouts: two prompts of four samples of one or two tokens, whose recorded log-probabilities
 * are shifted from those of the policy, so that ratios lie on both sides of 1, within and beyond
 * every clip. The reference is another model.
 */
#include "learner/update.h"

#include "common/model/checkpoint.h"
#include "common/model/import.h"
#include "rewarder/reward.h"
#include "rewarder/rewarder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/model.h"
#include "tests/scratch.h"

enum { V = 5, GROUPS = 2, SAMPLES = 4, N = GROUPS * SAMPLES, LEN = 2, ALL = V * V };

static const struct pl_config CONFIG = {
    .arch = PL_ARCH_QWEN2,
    .hidden = 24,
    .layers = 1,
    .heads = 2,
    .kv_heads = 1,
    .head_dim = 12,
    .ffn = 32,
    .vocab = V,
    .positions_max = 64,
    .rope_theta = 1e4,
    .rms_eps = 1e-6f,
    .qkv_bias = true,
    .init_range = 0.02,
    .bos = -1,
    .pad = -1,
};

/* ---- the rollouts ---- */

static const uint32_t PROMPT[GROUPS] = {0, 1};
static const uint32_t IDS[N][LEN] = {{2, 1}, {3, 0}, {4, 4}, {2, 2},
                                     {1, 3}, {0, 4}, {3, 3}, {2, 0}};
static const size_t LENS[N] = {2, 1, 2, 2, 1, 2, 2, 1};
static const double SCORES[N] = {2, -1.5, 0.5, 2, -2, 2.5, -1.5, 1};
/* log-probability of the policy less the recorded one, a token each */
static const double SHIFT[N][LEN] = {{0.10, 0.24}, {0.05, 0},    {-0.30, 0.21}, {-0.12, 0.50},
                                     {1.40, 0},    {0.26, -0.4}, {-0.35, 1.3},  {0.02, 0}};

/* ---- the second computation ---- */

enum estimator { GRPO, DR_GRPO, RLOO, RPP, RPP_BASELINE };
enum agg { TOKEN_MEAN, SEQ_SUM, SEQ_MEAN, SEQ_NORM };
enum kl { K1, ABS, K2, K3 };

/* A setting's meaning, said once more. */
struct meaning {
    enum estimator estimator;
    double clip_low, clip_high, clip_c;
    bool sequence_ratio;
    enum agg agg;
    double agg_scale, entropy, kl_loss;
    enum kl kl_loss_kind;
    double kl_reward; /* beta; 0: none */
    enum kl kl_reward_kind;
    double target, horizon; /* of an adaptive beta; 0: fixed */
};

struct numbers {
    double advantage[N][LEN];
    double pg_loss, kl_loss, entropy_loss; /* without their coefficients */
    double clipped, clipped_low, kl, beta;
};

/* What the models say: of every token its log-probability, and the entropy of the distribution. */
struct said {
    double logp[N][LEN], ref[N][LEN], entropy[N][LEN];
};

static double kl_of(enum kl kind, double logp, double ref)
{
    const double r = ref - logp;

    return kind == K1    ? -r
           : kind == ABS ? fabs(r)
           : kind == K2  ? r * r / 2
                         : fmin(exp(r) - r - 1, 10);
}

static double clip(double x, double least, double most)
{
    return fmin(fmax(x, least), most);
}

static size_t tokens_of(size_t from, size_t end)
{
    size_t n = 0;

    for (size_t i = from; i < end; i++)
        n += LENS[i];
    return n;
}

static void whiten(double x[N][LEN])
{
    const double n = (double)tokens_of(0, N);
    double mean = 0, var = 0;

    for (size_t i = 0; i < N; i++)
        for (size_t t = 0; t < LENS[i]; t++)
            mean += x[i][t] / n;
    for (size_t i = 0; i < N; i++)
        for (size_t t = 0; t < LENS[i]; t++)
            var += (x[i][t] - mean) * (x[i][t] - mean) / (n - 1);
    for (size_t i = 0; i < N; i++)
        for (size_t t = 0; t < LENS[i]; t++)
            x[i][t] = (x[i][t] - mean) / sqrt(var + 1e-8);
}

/* token_rewards: the score at the last token, less what the KL takes of each. */
static void advantages(const struct meaning *m, const double scores[N],
                       double token_rewards[N][LEN], double adv[N][LEN])
{
    for (size_t i = 0; i < N; i++) {
        const size_t from = i / SAMPLES * SAMPLES;
        double mean = 0, var = 0, others = 0;

        for (size_t k = from; k < from + SAMPLES; k++) {
            mean += scores[k] / SAMPLES;
            others += k == i ? 0 : scores[k] / (SAMPLES - 1);
        }
        for (size_t k = from; k < from + SAMPLES; k++)
            var += (scores[k] - mean) * (scores[k] - mean) / (SAMPLES - 1);
        for (size_t t = 0; t < LENS[i]; t++) {
            double to_come = 0;

            for (size_t k = t; k < LENS[i]; k++)
                to_come += token_rewards[i][k];
            adv[i][t] = m->estimator == GRPO   ? (scores[i] - mean) / (sqrt(var) + 1e-6)
                        : m->estimator == RLOO ? scores[i] - others
                        : m->estimator == RPP  ? to_come
                                               : scores[i] - mean;
        }
    }
    if (m->estimator == RPP || m->estimator == RPP_BASELINE)
        whiten(adv);
}

static double weight_of(const struct meaning *m, size_t i)
{
    const double n = N, len = (double)LENS[i];

    return m->agg == TOKEN_MEAN ? 1.0 / (double)tokens_of(0, N)
           : m->agg == SEQ_SUM  ? 1 / n
           : m->agg == SEQ_MEAN ? 1 / (n * len)
                                : 1 / (n * m->agg_scale);
}

static struct numbers compute(const struct meaning *m, const struct said *said)
{
    struct numbers x = {.beta = m->kl_reward};
    double scores[N], rewards[N][LEN] = {{0}};

    for (size_t i = 0; i < N; i++) {
        double sum = 0;

        scores[i] = SCORES[i];
        rewards[i][LENS[i] - 1] = SCORES[i];
        for (size_t t = 0; t < LENS[i] && m->kl_reward > 0; t++) {
            /* of the recorded log-probability, which is what was sampled from */
            const double kl =
                kl_of(m->kl_reward_kind, said->logp[i][t] - SHIFT[i][t], said->ref[i][t]);

            rewards[i][t] -= m->kl_reward * kl;
            scores[i] -= m->kl_reward * kl;
            sum += kl / (double)LENS[i];
        }
        x.kl += sum / N;
    }
    if (m->target > 0)
        x.beta *= 1 + clip(x.kl / m->target - 1, -0.2, 0.2) * N / m->horizon;
    advantages(m, scores, rewards, x.advantage);
    for (size_t i = 0; i < N; i++) {
        const double mean_shift = (SHIFT[i][0] + SHIFT[i][1]) / (double)LENS[i];

        for (size_t t = 0; t < LENS[i]; t++) {
            const double a = x.advantage[i][t];
            const double ratio = exp(m->sequence_ratio ? mean_shift : SHIFT[i][t]);
            const double cut = clip(ratio, 1 - m->clip_low, 1 + m->clip_high);
            double loss = fmax(-a * ratio, -a * cut);

            x.clipped += -a * cut > -a * ratio;
            if (a < 0 && loss > -a * m->clip_c) {
                loss = -a * m->clip_c;
                x.clipped_low++;
            }
            x.pg_loss += weight_of(m, i) * loss;
            x.kl_loss +=
                weight_of(m, i) * kl_of(m->kl_loss_kind, said->logp[i][t], said->ref[i][t]);
            x.entropy_loss += weight_of(m, i) * said->entropy[i][t];
        }
    }
    return x;
}

/* ---- the learner ---- */

struct bench {
    struct pl_run_conf conf;
    struct pl_shape *shape, *reference_shape;
    struct pl_weights *weights, *reference;
    struct pl_trainer *trainer;
    struct pl_pack *pack;
};

static void must(int rc, const struct pl_error *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

static void save_model(const char *name, uint32_t seed)
{
    struct pl_test_model model;
    struct pl_error err = {0};

    pl_test_model_create(&model, &CONFIG, seed);
    must(pl_model_save(pl_scratch(name), true, model.weights, NULL, PL_SHARD_DEFAULT, &err), &err);
    pl_test_model_destroy(&model);
}

static void begin(struct bench *b, const char *yaml)
{
    static char *const none[] = {NULL};
    struct pl_error err = {0};
    char text[2048];

    snprintf(text, sizeof text,
             "run.dir: /nowhere\nmodel.path: %s\ndata: {train_files: [none], train_batch_size: 2, "
             "max_response_length: 7}\nactor.optim.lr: 0.01\n%s\n",
             pl_scratch("policy"), yaml);
    pl_scratch_text(pl_scratch("run.yaml"), text);
    *b = (struct bench){0};
    must(pl_run_conf_load(pl_scratch("run.yaml"), none, 0, &b->conf, &err), &err);
    must(pl_model_load(pl_scratch("policy"), NULL, &b->shape, &b->weights, &err), &err);
    must(pl_model_load(pl_scratch("reference"), NULL, &b->reference_shape, &b->reference, &err),
         &err);
    const struct pl_trainer_opts opts = {
        .limits = {40, ALL},
        .positions = 8,
        .adamw = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8},
    };

    must(pl_trainer_create(b->weights, &opts, &b->trainer, &err), &err);
    must(pl_pack_create(&opts.limits, &b->pack, &err), &err);
}

static void end(struct bench *b)
{
    pl_pack_destroy(b->pack);
    pl_trainer_destroy(b->trainer);
    pl_weights_destroy(b->reference);
    pl_shape_destroy(b->reference_shape);
    pl_weights_destroy(b->weights);
    pl_shape_destroy(b->shape);
    pl_run_conf_release(&b->conf);
}

/* log p(first), log p(second | first) of every pair, behind a prompt. */
static void look(struct bench *b, const struct pl_weights *weights, size_t prompt, double first[V],
                 double second[V][V])
{
    uint32_t ids[ALL][LEN];
    struct pl_pack_response responses[ALL];
    const struct pl_group group = {&PROMPT[prompt], 1, responses, ALL};
    const float *logp;

    for (uint32_t i = 0; i < ALL; i++) {
        ids[i][0] = i / V;
        ids[i][1] = i % V;
        responses[i] = (struct pl_pack_response){ids[i], LEN};
    }
    pl_pack_clear(b->pack);
    assert_int_equal(pl_pack_add(b->pack, &group, 0, 0), ALL);
    logp = pl_trainer_score(b->trainer, weights, b->pack, NULL);
    for (size_t i = 0; i < b->pack->prediction_count; i++) {
        const struct pl_prediction *p = &b->pack->predictions[i];

        if (p->index == 0)
            first[p->sample / V] = (double)logp[i];
        else
            second[p->sample / V][p->sample % V] = (double)logp[i];
    }
}

static double entropy_of(const double logp[V])
{
    double sum = 0;

    for (size_t i = 0; i < V; i++)
        sum -= exp(logp[i]) * logp[i];
    return sum;
}

static void listen(struct bench *b, struct said *said)
{
    for (size_t g = 0; g < GROUPS; g++) {
        double first[V], second[V][V], ref_first[V], ref_second[V][V];

        look(b, NULL, g, first, second);
        look(b, b->reference, g, ref_first, ref_second);
        for (size_t i = g * SAMPLES; i < (g + 1) * SAMPLES; i++) {
            const uint32_t *ids = IDS[i];

            said->logp[i][0] = first[ids[0]];
            said->logp[i][1] = second[ids[0]][ids[1]];
            said->ref[i][0] = ref_first[ids[0]];
            said->ref[i][1] = ref_second[ids[0]][ids[1]];
            said->entropy[i][0] = entropy_of(first);
            said->entropy[i][1] = entropy_of(second[ids[0]]);
        }
    }
}

/* As a rewarder hands it over. */
static void encode(size_t g, const struct said *said, struct pl_buf *out)
{
    static const uint64_t version = 1;
    float logprobs[SAMPLES][LEN];
    struct pl_rollout rollouts[SAMPLES];
    const struct pl_rollout_group group = {
        .stage = PL_STAGE_SCORED,
        .index = (uint32_t)g,
        .version = version,
        .temperature = 1.0f,
        .top_p = 1.0f,
        .samples = SAMPLES,
        .new_tokens_max = LEN,
        .prompt = &PROMPT[g],
        .prompt_len = 1,
        .task = "{}",
        .task_len = 2,
        .actor = "a",
        .rewarder = "r",
        .rollouts = rollouts,
    };

    for (size_t k = 0; k < SAMPLES; k++) {
        const size_t i = g * SAMPLES + k;

        for (size_t t = 0; t < LEN; t++)
            logprobs[k][t] = (float)(said->logp[i][t] - SHIFT[i][t]);
        rollouts[k] = (struct pl_rollout){
            .ids = (uint32_t *)IDS[i],
            .logprobs = logprobs[k],
            .versions = &version,
            .len = LENS[i],
            .versions_len = 1,
            .finish = PL_SAMPLE_LENGTH,
            .score = {.final = (float)SCORES[i],
                      .verdict = PL_VERDICT_RIGHT,
                      .first_answer = -1,
                      .first_right = -1,
                      .why = ""},
        };
    }
    assert_int_equal(pl_rollout_group_encode(&group, out), PL_OK);
}

/* One step; advantages, and what it says of itself. */
static struct numbers train(struct bench *b, const struct said *said, double *ret_grad_norm)
{
    const struct pl_rollouts_check check = {
        .limits = {.bytes = 1 << 20, .samples = SAMPLES, .tokens = LEN, .vocab = V}, .version = 1};
    struct pl_ready_group groups[GROUPS];
    const struct pl_ready ready = {.batch = "b", .gate = true, .count = GROUPS, .groups = groups};
    struct pl_update update = {
        .conf = &b->conf,
        .trainer = b->trainer,
        .pack = b->pack,
        .reference = b->conf.kl_in_reward || b->conf.use_kl_loss ? b->reference : NULL,
        .kl_coef = b->conf.kl_in_reward ? b->conf.kl_coef : 0,
    };
    struct pl_update_stats stats;
    struct pl_rollouts rollouts = {0};
    struct pl_buf bufs[GROUPS];
    struct pl_error err = {0};
    struct numbers x;

    for (size_t g = 0; g < GROUPS; g++) {
        pl_buf_init(&bufs[g], 1 << 20);
        encode(g, said, &bufs[g]);
        groups[g] = (struct pl_ready_group){(uint32_t)g, bufs[g].data, bufs[g].len};
    }
    must(pl_rollouts_read(&ready, &check, &rollouts, &err), &err);
    must(pl_update_run(&update, &rollouts, b->conf.lr, &stats, &err), &err);
    x = (struct numbers){.pg_loss = stats.policy.pg_loss,
                         .kl_loss = stats.policy.kl_loss,
                         .entropy_loss = stats.policy.entropy_loss,
                         .clipped = stats.policy.clipped,
                         .clipped_low = stats.policy.clipped_low,
                         .kl = stats.kl,
                         .beta = update.kl_coef};
    for (size_t i = 0; i < N; i++)
        for (size_t t = 0; t < LENS[i]; t++)
            x.advantage[i][t] = (double)rollouts.advantages[rollouts.first[i] + t];
    *ret_grad_norm = stats.grad_norm;
    pl_rollouts_release(&rollouts);
    for (size_t g = 0; g < GROUPS; g++)
        pl_buf_release(&bufs[g]);
    return x;
}

static void near(const char *yaml, const char *what, double got, double want)
{
    if (!(fabs(got - want) <= 2e-5 * (1 + fabs(want))))
        fail_msg("%s: %s is %.7g, not %.7g", yaml, what, got, want);
}

/* ---- the settings ---- */

struct row {
    const char *yaml;
    struct meaning meaning;
    const char *changes; /* a: advantages, p: pg_loss, k: kl_loss, e: entropy, b: beta, g: the
                            gradient, each against the usual settings */
};

#define AS_USUAL                                                                                   \
    .estimator = GRPO, .clip_low = 0.2, .clip_high = 0.2, .clip_c = 3, .agg = TOKEN_MEAN,          \
    .kl_loss_kind = K3, .kl_reward_kind = K1

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const struct row rows[] = {
    {"", {AS_USUAL}, ""},
    /* estimators */
    {"algorithm.norm_adv_by_std_in_grpo: no", {AS_USUAL, .estimator = DR_GRPO}, "apg"},
    {"algorithm.adv_estimator: rloo", {AS_USUAL, .estimator = RLOO}, "apg"},
    {"algorithm.adv_estimator: reinforce_plus_plus", {AS_USUAL, .estimator = RPP}, "apg"},
    {"algorithm.adv_estimator: reinforce_plus_plus_baseline",
     {AS_USUAL, .estimator = RPP_BASELINE},
     "apg"},
    /* Dr.GRPO: no std, a fixed length; the length is that of the longest response unless said */
    {"algorithm.adv_estimator: dr_grpo\nactor.loss_agg_mode: seq-mean-token-sum-norm",
     {AS_USUAL, .estimator = DR_GRPO, .agg = SEQ_NORM, .agg_scale = 7},
     "apg"},
    {"actor: {loss_agg_mode: seq-mean-token-sum-norm, loss_scale_factor: 11}",
     {AS_USUAL, .agg = SEQ_NORM, .agg_scale = 11},
     "pg"},
    {"actor.loss_agg_mode: seq-mean-token-sum", {AS_USUAL, .agg = SEQ_SUM}, "pg"},
    {"actor.loss_agg_mode: seq-mean-token-mean", {AS_USUAL, .agg = SEQ_MEAN}, "pg"},
    /* clips */
    {"actor.clip_ratio_high: 0.28", {AS_USUAL, .clip_high = 0.28}, "pg"},
    {"actor.clip_ratio_low: 0.3", {AS_USUAL, .clip_low = 0.3}, "pg"},
    {"actor.clip_ratio_c: 3.9", {AS_USUAL, .clip_c = 3.9}, "pg"},
    /* GSPO, with its own clips */
    {"actor.policy_loss.loss_mode: gspo", {AS_USUAL, .sequence_ratio = true}, "pg"},
    {"actor: {policy_loss.loss_mode: gspo, loss_agg_mode: seq-mean-token-mean, clip_ratio_low: "
     "3e-4, clip_ratio_high: 4e-4}",
     {AS_USUAL, .sequence_ratio = true, .agg = SEQ_MEAN, .clip_low = 3e-4, .clip_high = 4e-4},
     "pg"},
    /* entropy */
    {"actor.entropy_coeff: 0.4", {AS_USUAL, .entropy = 0.4}, "eg"},
    /* KL in the loss */
    {"actor: {use_kl_loss: yes, kl_loss_coef: 0.5}", {AS_USUAL, .kl_loss = 0.5}, "kg"},
    {"actor: {use_kl_loss: yes, kl_loss_coef: 0.7, kl_loss_type: k1}",
     {AS_USUAL, .kl_loss = 0.7, .kl_loss_kind = K1},
     "kg"},
    {"actor: {use_kl_loss: yes, kl_loss_coef: 0.7, kl_loss_type: abs}",
     {AS_USUAL, .kl_loss = 0.7, .kl_loss_kind = ABS},
     "kg"},
    {"actor: {use_kl_loss: yes, kl_loss_coef: 0.7, kl_loss_type: k2}",
     {AS_USUAL, .kl_loss = 0.7, .kl_loss_kind = K2},
     "kg"},
    /* KL in the reward, fixed and adaptive: up by the most, down, and by a little */
    {"algorithm: {use_kl_in_reward: yes, kl_ctrl.kl_coef: 0.3}",
     {AS_USUAL, .kl_reward = 0.3},
     "apbg"},
    {"algorithm: {use_kl_in_reward: yes, kl_ctrl.kl_coef: 0.3, kl_penalty: k2, adv_estimator: "
     "reinforce_plus_plus}",
     {AS_USUAL, .kl_reward = 0.3, .kl_reward_kind = K2, .estimator = RPP},
     "apbg"},
    {"algorithm: {use_kl_in_reward: yes, kl_penalty: low_var_kl, kl_ctrl: {type: adaptive, "
     "kl_coef: 0.3, target_kl: 0.001, horizon: 20}}",
     {AS_USUAL, .kl_reward = 0.3, .kl_reward_kind = K3, .target = 0.001, .horizon = 20},
     "apbg"},
    {"algorithm: {use_kl_in_reward: yes, kl_penalty: abs, kl_ctrl: {type: adaptive, kl_coef: "
     "0.3, target_kl: 50, horizon: 40}}",
     {AS_USUAL, .kl_reward = 0.3, .kl_reward_kind = ABS, .target = 50, .horizon = 40},
     "apbg"},
};
#pragma GCC diagnostic pop
enum { ROWS = sizeof rows / sizeof *rows };

static bool changes(const struct row *row, char what)
{
    return strchr(row->changes, what) != NULL;
}

static void assert_changes(const struct row *row, char letter, double usual, double now)
{
    if (changes(row, letter) != (fabs(usual - now) > 1e-4))
        fail_msg("%s: '%c' was %g and is %g", row->yaml, letter, usual, now);
}

static void every_setting_reaches_the_loss(void **state)
{
    struct numbers usual = {0};
    double usual_norm = 0;

    (void)state;
    for (size_t r = 0; r < ROWS; r++) {
        const struct row *row = &rows[r];
        const struct meaning *m = &row->meaning;
        struct numbers got, want;
        struct said said;
        struct bench b;
        double norm;

        begin(&b, row->yaml);
        listen(&b, &said);
        got = train(&b, &said, &norm);
        want = compute(m, &said);
        end(&b);
        for (size_t i = 0; i < N; i++)
            for (size_t t = 0; t < LENS[i]; t++)
                near(row->yaml, "an advantage", got.advantage[i][t], want.advantage[i][t]);
        near(row->yaml, "pg_loss", got.pg_loss, want.pg_loss);
        near(row->yaml, "kl_loss", got.kl_loss, m->kl_loss > 0 ? want.kl_loss : 0);
        near(row->yaml, "entropy_loss", got.entropy_loss, m->entropy > 0 ? want.entropy_loss : 0);
        near(row->yaml, "clipped", got.clipped, want.clipped);
        near(row->yaml, "clipped_low", got.clipped_low, want.clipped_low);
        near(row->yaml, "kl", got.kl, want.kl);
        near(row->yaml, "beta", got.beta, want.beta);
        if (r == 0) {
            usual = got;
            usual_norm = norm;
            assert_true(got.clipped > 1 && got.clipped_low >= 1);
        }
        assert_changes(row, 'a', usual.advantage[0][0], got.advantage[0][0]);
        assert_changes(row, 'p', usual.pg_loss, got.pg_loss);
        assert_changes(row, 'k', usual.kl_loss, got.kl_loss);
        assert_changes(row, 'e', usual.entropy_loss, got.entropy_loss);
        assert_changes(row, 'b', usual.beta, got.beta);
        assert_changes(row, 'g', usual_norm, norm);
    }
}

/* The norm of the gradient of one step. */
static double norm_with(const char *yaml)
{
    struct said said;
    struct bench b;
    double norm;

    begin(&b, yaml);
    listen(&b, &said);
    (void)train(&b, &said, &norm);
    end(&b);
    return norm;
}

/* That the gradient is the loss' is asked elsewhere; here, that coefficients are in it. */
static void coefficients_weigh_their_parts(void **state)
{
    /* so large that the rest does not count */
    static const struct {
        const char *once, *twice;
    } pairs[] = {
        {"actor.entropy_coeff: 500", "actor.entropy_coeff: 1000"},
        {"actor: {use_kl_loss: yes, kl_loss_coef: 500}",
         "actor: {use_kl_loss: yes, kl_loss_coef: 1000}"},
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const double ratio = norm_with(pairs[i].twice) / norm_with(pairs[i].once);

        if (fabs(ratio - 2) > 0.01)
            fail_msg("%s: the gradient grows by %g", pairs[i].twice, ratio);
    }
}

/* reward.overlong_buffer: nothing up to the buffer, then linear to the whole penalty at the end. */
static void overlong_responses_pay(void **state)
{
    static const struct {
        size_t tokens;
        double extra;
    } cases[] = {{2, 0}, {3, 0}, {4, -0.75}, {5, -1.5}, {7, -3}};
    static const struct pl_task task = {.id = "t", .verifier = "em", .final = {.answer = "x"}};
    struct pl_reward_room *room = malloc(sizeof *room);
    size_t ends[7];
    struct bench b;

    (void)state;
    assert_non_null(room);
    begin(&b, "reward.overlong_buffer: {len: 4, penalty_factor: 3}"); /* of 7 */
    for (size_t i = 0; i < 7; i++)
        ends[i] = i + 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pl_reward_opts opts;
        char text[8];
        struct pl_score s;

        memset(text, 'a', sizeof text);
        pl_rewarder_opts(&b.conf, &opts);
        opts.new_tokens_max = b.conf.response_tokens_max;
        assert_int_equal(pl_reward_score(&opts, &task, (enum pl_method)b.conf.method, text,
                                         cases[i].tokens, ends, cases[i].tokens, room, &s, NULL),
                         PL_OK);
        near("reward.overlong_buffer", "extra", (double)s.extra, cases[i].extra);
    }
    end(&b);
    free(room);
}

static int setup(void **state)
{
    const int rc = pl_scratch_setup(state);

    if (rc == 0) {
        save_model("policy", 12);
        save_model("reference", 13);
    }
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_reaches_the_loss),
        cmocka_unit_test(coefficients_weigh_their_parts),
        cmocka_unit_test(overlong_responses_pay),
    };

    return cmocka_run_group_tests(tests, setup, pl_scratch_teardown);
}
