/*
 * Training steps on rollouts that are made here: an actor and a rewarder of some lines let a tiny
 * model choose, by the same messages and the same learner as in a run.
 *
 * The game: two questions of one token, responses of two. The first token is an arm; it is right or
 * not, as the question has it. The second token says nothing. All reward comes at the end.
 */
#include "learner/update.h"

#include "common/base/rng.h"
#include "common/model/checkpoint.h"
#include "common/model/import.h"
#include "learner/savepoint.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/close.h"
#include "tests/model.h"
#include "tests/scratch.h"

enum { V = 5, QUESTIONS = 2, SAMPLES = 8, SAMPLES_MAX = 15, LEN = 2, PAIRS = V * V };

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
static size_t samples = SAMPLES; /* of a question; SAMPLES_MAX of both do not fit into a pack */
static const uint32_t QUESTION[QUESTIONS] = {0, 1}, RIGHT[QUESTIONS] = {2, 3};

/* A learner without processes. */
struct game {
    struct pl_run_conf conf;
    struct pl_shape *shape;
    struct pl_weights *weights, *reference;
    struct pl_shape *reference_shape;
    struct pl_trainer *trainer;
    struct pl_critic critic;
    struct pl_pack *pack;
    struct pl_update update;
    struct pl_update_stats stats; /* of the last step */
    uint64_t step;
};

static void must(int rc, const struct pl_error *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

/* `folder`: a model folder, or a checkpoint, whose critic is in critic/. */
static struct game *begin(const char *folder, bool checkpoint, char *const *settings, size_t count)
{
    struct game *g = calloc(1, sizeof *g);
    struct pl_error err = {0};

    assert_non_null(g);
    must(pl_run_conf_load(NULL, settings, count, &g->conf, &err), &err);
    must(pl_model_load(folder, NULL, &g->shape, &g->weights, &err), &err);
    must(pl_model_load(g->conf.model, NULL, &g->reference_shape, &g->reference, &err), &err);
    const struct pl_trainer_opts opts = {
        .limits = {40, PAIRS}, /* 15 samples of each question do not fit in together */
        .positions = 8,
        .adamw = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .clip = 1.0, .weight_decay = 0.01},
    };
    const bool critic = g->conf.estimator == PL_ADVANTAGE_GAE;

    must(pl_trainer_create(g->weights, &opts, &g->trainer, &err), &err);
    must(pl_pack_create(&opts.limits, &g->pack, &err), &err);
    if (critic) {
        char *path = checkpoint ? pl_savepoint_critic(folder) : strdup(folder);

        must(pl_critic_load(&g->critic, &g->conf, path, g->shape, &opts, &err), &err);
        must(pl_critic_open(&g->critic, g->trainer, &err), &err);
        free(path);
    }
    g->update = (struct pl_update){.conf = &g->conf,
                                   .trainer = g->trainer,
                                   .pack = g->pack,
                                   .reference = g->conf.kl_in_reward ? g->reference : NULL,
                                   .critic = critic ? &g->critic : NULL,
                                   .kl_coef = g->conf.kl_coef};
    return g;
}

static void end(struct game *g)
{
    pl_pack_destroy(g->pack);
    pl_critic_close(&g->critic);
    pl_trainer_destroy(g->trainer);
    pl_weights_destroy(g->reference);
    pl_shape_destroy(g->reference_shape);
    pl_weights_destroy(g->weights);
    pl_shape_destroy(g->shape);
    pl_run_conf_release(&g->conf);
    free(g);
}

/* Log-probabilities of every arm, and of every second token after it. */
static void look(struct game *g, size_t question, float arm[V], float then[V][V])
{
    uint32_t ids[PAIRS][LEN];
    struct pl_pack_response responses[PAIRS];
    const struct pl_group group = {&QUESTION[question], 1, responses, PAIRS};
    const float *logp;

    for (uint32_t i = 0; i < PAIRS; i++) {
        ids[i][0] = i / V;
        ids[i][1] = i % V;
        responses[i] = (struct pl_pack_response){ids[i], LEN};
    }
    pl_pack_clear(g->pack);
    assert_int_equal(pl_pack_add(g->pack, &group, 0, 0), PAIRS);
    logp = pl_trainer_score(g->trainer, NULL, g->pack, NULL);
    for (size_t i = 0; i < g->pack->prediction_count; i++) {
        const struct pl_prediction *p = &g->pack->predictions[i];

        if (p->index == 0)
            arm[p->sample / V] = logp[i];
        else
            then[p->sample / V][p->sample % V] = logp[i];
    }
}

static double right_share(struct game *g, size_t question)
{
    float arm[V], then[V][V];

    look(g, question, arm, then);
    return exp((double)arm[RIGHT[question]]);
}

static uint32_t draw(const float *logp, double u)
{
    uint32_t i = 0;

    for (double sum = exp((double)logp[0]); i + 1 < V && sum < u; sum += exp((double)logp[i]))
        i++;
    return i;
}

/* Sampled, scored and encoded as an actor and a rewarder would. */
static void play(struct game *g, size_t question, struct pl_buf *out)
{
    uint32_t ids[SAMPLES_MAX][LEN];
    float arm[V], then[V][V], logprobs[SAMPLES_MAX][LEN];
    const uint64_t version = g->step + 1;
    struct pl_rollout rollouts[SAMPLES_MAX];
    struct pl_rollout_group group = {
        .stage = PL_STAGE_SCORED,
        .batch = g->step,
        .index = (uint32_t)question,
        .version = version,
        .temperature = 1.0f,
        .top_p = 1.0f,
        .samples = (uint32_t)samples,
        .new_tokens_max = LEN,
        .prompt = &QUESTION[question],
        .prompt_len = 1,
        .task = "{}",
        .task_len = 2,
        .actor = "a",
        .rewarder = "r",
        .rollouts = rollouts,
    };

    look(g, question, arm, then);
    for (size_t i = 0; i < samples; i++) {
        const struct pl_rng rng = {g->conf.seed, (uint32_t)g->step, (uint32_t)question,
                                   (uint32_t)i};
        const uint32_t a = draw(arm, pl_rng_unit(&rng, 0)), b = draw(then[a], pl_rng_unit(&rng, 1));

        ids[i][0] = a;
        ids[i][1] = b;
        logprobs[i][0] = arm[a];
        logprobs[i][1] = then[a][b];
        rollouts[i] = (struct pl_rollout){
            .ids = ids[i],
            .logprobs = logprobs[i],
            .versions = &version,
            .len = LEN,
            .versions_len = 1,
            .finish = PL_SAMPLE_LENGTH,
            .score = {.final = a == RIGHT[question] ? 2.0f : -1.0f,
                      .verdict = a == RIGHT[question] ? PL_VERDICT_RIGHT : PL_VERDICT_WRONG,
                      .first_answer = -1,
                      .first_right = -1,
                      .why = ""},
        };
    }
    assert_int_equal(pl_rollout_group_encode(&group, out), PL_OK);
}

/* What update a batch of rollouts meets, before it. */
struct meddle {
    struct pl_stop *stop;
    /* NULL: nothing */
    void (*look)(struct game *g, struct pl_rollouts *rollouts);
};

static int try_step(struct game *g, const struct meddle *meddle)
{
    const struct pl_rollouts_check check = {
        .limits = {.bytes = 1 << 20, .samples = SAMPLES_MAX, .tokens = LEN, .vocab = V},
        .version = g->step + 1};
    struct pl_ready_group groups[QUESTIONS];
    struct pl_ready ready = {.batch = "b", .gate = true, .count = QUESTIONS, .groups = groups};
    struct pl_rollouts rollouts = {0};
    struct pl_buf bufs[QUESTIONS];
    struct pl_error err = {0};
    int rc;

    for (size_t q = 0; q < QUESTIONS; q++) {
        pl_buf_init(&bufs[q], 1 << 20);
        play(g, q, &bufs[q]);
        groups[q] = (struct pl_ready_group){(uint32_t)q, bufs[q].data, bufs[q].len};
    }
    must(pl_rollouts_read(&ready, &check, &rollouts, &err), &err);
    g->update.critic_only = g->step < g->conf.critic_warmup;
    g->update.critic_lr = g->conf.critic_lr;
    g->update.stop = meddle->stop;
    if (meddle->look)
        meddle->look(g, &rollouts);
    rc = pl_update_run(&g->update, &rollouts, g->conf.lr, &g->stats, &err);
    if (rc != PL_ECANCELED)
        must(rc, &err);
    g->step += rc == PL_OK;
    pl_rollouts_release(&rollouts);
    for (size_t q = 0; q < QUESTIONS; q++)
        pl_buf_release(&bufs[q]);
    return rc;
}

static void step(struct game *g)
{
    assert_int_equal(try_step(g, &(struct meddle){0}), PL_OK);
}

/* ---- settings ---- */

static char model_path[256];

static void save_model(void)
{
    struct pl_test_model model;
    struct pl_error err = {0};

    pl_test_model_create(&model, &CONFIG, 12);
    snprintf(model_path, sizeof model_path, "model.path=%s", pl_scratch("model"));
    must(pl_model_save(pl_scratch("model"), true, model.weights, NULL, PL_SHARD_DEFAULT, &err),
         &err);
    pl_test_model_destroy(&model);
}

#define COMMON                                                                                     \
    model_path, (char *)"run.dir=/nowhere", (char *)"data.train_files=none",                       \
        (char *)"data.train_batch_size=2", (char *)"actor.optim.lr=0.01", (char *)"run.seed=3"
#define CRITIC        (char *)"algorithm.adv_estimator=gae", (char *)"critic.optim.lr=0.02"
#define ALL(settings) (settings), sizeof(settings) / sizeof *(settings)

static bool same(const float *a, const float *b, size_t n)
{
    return memcmp(a, b, n * sizeof *a) == 0;
}

static void same_state(const struct pl_adamw_state *a, const struct pl_adamw_state *b, size_t n)
{
    assert_int_equal(a->step, b->step);
    pl_assert_same_bits(a->master, b->master, n);
    pl_assert_same_bits(a->m, b->m, n);
    pl_assert_same_bits(a->v, b->v, n);
}

/* Everything that a step changes. */
static void same_games(struct game *a, struct game *b)
{
    same_state(pl_trainer_state(a->trainer), pl_trainer_state(b->trainer), a->shape->floats);
    same_state(pl_trainer_state(a->critic.trainer), pl_trainer_state(b->critic.trainer),
               pl_adamw_floats(a->critic.shape, pl_trainer_state(a->critic.trainer)));
}

/* ---- tests ---- */

/* Steps until both questions are answered rightly nineteen times of twenty. */
static void solve(char *const *settings, size_t count, const char *name)
{
    struct game *g = begin(pl_scratch("model"), false, settings, count);
    const double start[] = {right_share(g, 0), right_share(g, 1)};

    assert_true(start[0] < 0.5 && start[1] < 0.5);
    while (g->step < 60 && (right_share(g, 0) < 0.95 || right_share(g, 1) < 0.95))
        step(g);
    print_message("%-22s from %.3f, %.3f to %.3f, %.3f in %d steps\n", name, start[0], start[1],
                  right_share(g, 0), right_share(g, 1), (int)g->step);
    assert_true(right_share(g, 0) >= 0.95 && right_share(g, 1) >= 0.95);
    end(g);
}

static void every_algorithm_finds_the_right_arm(void **state)
{
    static char *const ppo[] = {COMMON, CRITIC, (char *)"algorithm.lam=0.9"};
    static char *const grpo[] = {COMMON, (char *)"algorithm.adv_estimator=grpo"};
    static char *const rpp[] = {COMMON, (char *)"algorithm.adv_estimator=reinforce_plus_plus"};

    (void)state;
    solve(ALL(ppo), "PPO");
    solve(ALL(grpo), "GRPO");
    solve(ALL(rpp), "REINFORCE++");
}

#define PPO                                                                                        \
    COMMON, CRITIC, (char *)"algorithm.lam=0.9", (char *)"algorithm.use_kl_in_reward=yes",         \
        (char *)"actor.ppo_mini_batch_size=1", (char *)"actor.ppo_epochs=2",                       \
        (char *)"critic.ppo_epochs=3", (char *)"critic.cliprange_value=0.2"

/* While the policy stands still, the critic comes to know what it is worth. */
static void a_critic_learns_alone_first(void **state)
{
    static char *const settings[] = {PPO, (char *)"trainer.critic_warmup=12"};
    struct game *g = begin(pl_scratch("model"), false, ALL(settings));
    const struct pl_adamw_state *policy = pl_trainer_state(g->trainer);
    const size_t n = g->shape->floats;
    float *before = malloc(n * sizeof *before);
    double first = 0.0;

    (void)state;
    memcpy(before, policy->master, n * sizeof *before);
    for (size_t i = 0; i < 12; i++) {
        step(g);
        first = i == 0 ? g->stats.critic.loss : first;
        assert_int_equal(g->stats.steps, 0);
        assert_int_equal(g->stats.critic.steps, 2 * 3); /* mini-batches, epochs */
    }
    assert_true(same(before, policy->master, n) && policy->step == 0);
    assert_int_equal(pl_trainer_state(g->critic.trainer)->step, 12 * 6);
    assert_true(g->stats.critic.loss < 0.8 * first);
    assert_true(g->stats.critic.explained > 0.3);
    step(g);
    assert_int_equal(g->stats.steps, 2 * 2);
    assert_int_equal(policy->step, 4);
    assert_false(same(before, policy->master, n));
    free(before);
    end(g);
}

/* At zero the head says 0 of everything, so that advantages are whitened returns. */
static void values_begin_at_zero(void **state)
{
    static char *const settings[] = {COMMON, CRITIC};
    struct game *g = begin(pl_scratch("model"), false, ALL(settings));

    (void)state;
    step(g);
    pl_assert_close(g->stats.critic.value, 0.0, 0.0, 0.0);
    pl_assert_close(g->stats.critic.explained, 0.0, 1e-4, 0.0);
    assert_true(g->stats.critic.clipfrac <= 0.0 && g->stats.critic.loss > 0.1);
    end(g);
}

static void any_number_of_threads_learns_the_same(void **state)
{
    static char *const settings[] = {PPO};
    const int threads = omp_get_max_threads();
    struct game *first = NULL;

    (void)state;
    for (int n = 1; n <= 3; n++) {
        struct game *g;

        omp_set_num_threads(n);
        g = begin(pl_scratch("model"), false, ALL(settings));
        for (size_t i = 0; i < 4; i++)
            step(g);
        if (first) {
            same_games(g, first);
            end(g);
        } else {
            first = g;
        }
    }
    omp_set_num_threads(threads);
    end(first);
}

/* Asked for the n-th time before the first optimiser step, or ever after it, it is to stop. */
struct stopper {
    size_t asked, at;
    bool after;
};

static bool stops(void *at, bool stepped)
{
    struct stopper *s = at;

    return stepped ? s->after : s->asked++ >= s->at;
}

/* Stopped between any two packs before its first step an update has not been: what comes after it
 * is what would have come. Returns how often it was stopped. */
static size_t stop_everywhere(char *const *settings, size_t count)
{
    struct game *a = begin(pl_scratch("model"), false, settings, count);
    struct game *b = begin(pl_scratch("model"), false, settings, count);
    size_t stopped = 0;

    for (size_t round = 0; round < 3; round++) {
        int rc = PL_ECANCELED;

        step(a);
        for (size_t n = 0; rc == PL_ECANCELED; n++) {
            struct stopper stopper = {.at = n};
            struct pl_stop stop = {.asked = stops, .at = &stopper};

            rc = try_step(b, &(struct meddle){.stop = &stop});
            stopped += rc == PL_ECANCELED;
            assert_true(rc == PL_OK || !stop.stepped);
        }
        same_state(pl_trainer_state(a->trainer), pl_trainer_state(b->trainer), a->shape->floats);
        if (a->update.critic)
            same_games(a, b);
        assert_true(a->update.kl_coef == b->update.kl_coef);
        assert_true(a->update.skipped == b->update.skipped);
    }
    end(a);
    end(b);
    return stopped;
}

static void a_stop_before_the_first_step_changes_nothing(void **state)
{
    static char *const ppo[] = {PPO, (char *)"algorithm.kl_ctrl.type=adaptive",
                                (char *)"algorithm.kl_ctrl.horizon=100"};
    static char *const grpo[] = {COMMON, (char *)"actor.ppo_mini_batch_size=1"};
    static char *const gspo[] = {COMMON, (char *)"actor.policy_loss.loss_mode=gspo"};
    static char *const corrected[] = {COMMON,
                                      (char *)"algorithm.rollout_correction.rollout_is=token"};

    (void)state;
    samples = SAMPLES_MAX;
    assert_true(stop_everywhere(ALL(ppo)) >= 3 * 5); /* reference, values, the critic's packs */
    assert_true(stop_everywhere(ALL(grpo)) >= 3);
    assert_true(stop_everywhere(ALL(gspo)) >= 3 * 4);
    assert_true(stop_everywhere(ALL(corrected)) >= 3 * 4);
    samples = SAMPLES;
}

/* After it, it says so. */
static void a_stop_after_a_step_is_told(void **state)
{
    static char *const grpo[] = {COMMON, (char *)"actor.ppo_mini_batch_size=1"};
    struct game *g = begin(pl_scratch("model"), false, ALL(grpo));
    struct stopper stopper = {.at = SIZE_MAX, .after = true};
    struct pl_stop stop = {.asked = stops, .at = &stopper};

    (void)state;
    assert_int_equal(try_step(g, &(struct meddle){.stop = &stop}), PL_ECANCELED);
    assert_true(stop.stepped);
    end(g);
}

/* ---- what was recorded against what is computed ---- */

static size_t bad_group;

static void record_another(struct game *g, struct pl_rollouts *r)
{
    const size_t last = r->first[r->group_first[bad_group + 1]] - 1;
    struct pl_update_difference sum = {0};
    uint64_t packs = 0;

    r->sampled[last] = nextafterf(r->sampled[last], -100.0f);
    while (sum.tokens < r->tokens) { /* each pack in its turn */
        struct pl_update_difference d = {0};

        pl_update_compare(&g->update, r, NULL, 0, packs, &d);
        assert_true(d.tokens > 0);
        sum.tokens += d.tokens;
        sum.off += d.off;
        if (d.off > 0)
            assert_int_equal(d.group, bad_group);
        packs++;
    }
    assert_int_equal(sum.tokens, r->tokens);
    assert_int_equal(sum.off, 1);
    assert_true(packs > 1);
    sum = (struct pl_update_difference){0}; /* and round again */
    pl_update_compare(&g->update, r, NULL, 0, packs, &sum);
    assert_true(sum.tokens > 0 && sum.tokens < r->tokens);
}

/* One bit of one log-probability, in whichever pack it is: in turn, and all while it is learnt. */
static void a_wrong_bit_is_found_wherever_it_is(void **state)
{
    static char *const whole[] = {COMMON};
    static char *const halves[] = {COMMON, (char *)"actor.ppo_mini_batch_size=1"};

    (void)state;
    samples = SAMPLES_MAX;
    for (bad_group = 0; bad_group < QUESTIONS; bad_group++) {
        struct game *g = begin(pl_scratch("model"), false, ALL(whole));

        g->update.own = true;
        assert_int_equal(try_step(g, &(struct meddle){.look = record_another}), PL_OK);
        assert_int_equal(g->stats.difference.tokens, QUESTIONS * samples * LEN);
        assert_int_equal(g->stats.difference.off, 1);
        assert_int_equal(g->stats.difference.group, bad_group);
        assert_true(g->stats.difference.most > 0.0);
        step(g);
        assert_int_equal(g->stats.difference.off, 0);
        end(g);
        g = begin(pl_scratch("model"), false, ALL(halves));
        g->update.own = true;
        step(g); /* what is learnt second is not of the policy that sampled it any more */
        assert_int_equal(g->stats.difference.tokens, samples * LEN);
        assert_int_equal(g->stats.difference.off, 0);
        end(g);
    }
    samples = SAMPLES;
}

struct models {
    struct pl_savepoint_model policy, critic;
};

static struct models models_of(const struct game *g)
{
    return (struct models){{g->weights, pl_trainer_state(g->trainer)},
                           {g->critic.weights, pl_trainer_state(g->critic.trainer)}};
}

static void save(struct game *g, const struct pl_rundir *dir, const json_t *agree)
{
    const struct pl_adamw_state *policy = pl_trainer_state(g->trainer);
    const struct pl_adamw_state *critic = pl_trainer_state(g->critic.trainer);
    const struct models models = models_of(g);
    struct pl_savepoint point = {.step = g->step, .kl_coef = g->update.kl_coef};
    struct pl_error err = {0};

    point.train.step = policy->step;
    point.critic.step = critic->step + 1;
    point.critic.skipped = point.critic.skipped_in_a_row = 1;
    point.train.eval_best = point.critic.eval_best = NAN;
    must(pl_savepoint_write(dir, &point, agree, &models.policy, &models.critic, NULL, 0, &err),
         &err);
}

static void a_checkpoint_goes_on_to_the_same_bits(void **state)
{
    static char *const settings[] = {PPO};
    struct game *g = begin(pl_scratch("model"), false, ALL(settings)), *again;
    json_t *agree = json_pack("{s:s}", "config", "c");
    struct models models;
    struct pl_savepoint point;
    struct pl_rundir dir = {0};
    struct pl_error err = {0};
    char *path = NULL;

    (void)state;
    must(pl_rundir_open(pl_scratch("run"), true, &dir, &err), &err);
    for (size_t i = 0; i < 3; i++)
        step(g);
    save(g, &dir, agree);
    must(pl_rundir_latest(pl_scratch("run"), &path, &err), &err);
    again = begin(path, true, ALL(settings));
    models = models_of(again);
    must(pl_savepoint_read(path, agree, &models.policy, &models.critic, 0, &point, &err), &err);
    same_games(again, g);
    assert_int_equal(point.critic.skipped, 1);
    again->step = point.step;
    again->update.kl_coef = point.kl_coef;
    for (size_t i = 0; i < 3; i++) {
        step(g);
        step(again);
    }
    same_games(again, g);

    end(again);
    end(g);

    /* And not without the critic's optimiser, which the value head is in. */
    again = begin(path, true, ALL(settings));
    models = models_of(again);
    assert_int_equal(unlink(pl_scratch_in(path, "critic/optimizer.safetensors")), 0);
    assert_int_equal(
        pl_savepoint_read(path, agree, &models.policy, &models.critic, 0, &point, &err), PL_ENOENT);
    assert_non_null(strstr(err.text, "critic/optimizer.safetensors"));
    end(again);
    free(path);
    json_decref(agree);
    pl_rundir_close(&dir);
}

static int set_up(void **state)
{
    const int rc = pl_scratch_setup(state);

    if (rc == 0)
        save_model();
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_algorithm_finds_the_right_arm),
        cmocka_unit_test(a_critic_learns_alone_first),
        cmocka_unit_test(values_begin_at_zero),
        cmocka_unit_test(any_number_of_threads_learns_the_same),
        cmocka_unit_test(a_stop_before_the_first_step_changes_nothing),
        cmocka_unit_test(a_stop_after_a_step_is_told),
        cmocka_unit_test(a_wrong_bit_is_found_wherever_it_is),
        cmocka_unit_test(a_checkpoint_goes_on_to_the_same_bits),
    };

    return cmocka_run_group_tests(tests, set_up, pl_scratch_teardown);
}
