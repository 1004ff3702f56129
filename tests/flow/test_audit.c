/*
 * Audits: what the engine sampled is sound to the bit, whatever the sampling; one other token, one
 * other log-probability, other weights or another seed are found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actor/engine_impl.h"
#include "actor/trial.h"
#include "learner/audit.h"
#include "tests/close.h"
#include "tests/little.h"
#include "tests/scratch.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

enum { GROUPS = 3, SAMPLES = 4, PROMPT = 9, LIMIT = 24, POSITIONS = 64, STOP = 3, BATCH = 7 };

static const struct pl_pack_limits LIMITS = {150, 3}; /* groups are split, too */

static struct pl_little little, other;
static struct pl_engine *engine;
static struct pl_trainer *trainer;
static struct pl_pack *pack;

static int set_up(void **state)
{
    const struct pl_config config = pl_little_config();
    struct pl_engine_opts opts = {
        .slots = 12, .positions = POSITIONS, .chunk_tokens = 5, .jobs = GROUPS};
    struct pl_error err = {0};

    if (pl_scratch_setup(state) != 0)
        return -1;
    little = pl_little_create(&config, 21);
    other = pl_little_create(&config, 22);
    opts.weights = little.weights;
    engine = pl_test_engine(&opts);
    if (pl_trainer_create(little.weights,
                          &(struct pl_trainer_opts){
                              .limits = LIMITS,
                              .positions = POSITIONS,
                              .adamw = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .clip = 1.0}},
                          &trainer, &err) < 0 ||
        pl_pack_create(&LIMITS, &pack, &err) < 0)
        fail_msg("%s", err.text);
    return 0;
}

static int tear_down(void **state)
{
    pl_pack_destroy(pack);
    pl_trainer_destroy(trainer);
    pl_engine_destroy(engine);
    pl_little_destroy(&little);
    pl_little_destroy(&other);
    return pl_scratch_teardown(state);
}

static struct pl_audit *audit_with(double share, double tolerance)
{
    const struct pl_audit_opts opts = {.dir = pl_scratch(""),
                                       .share = share,
                                       .tolerance = tolerance,
                                       .vocab = little.weights->shape->config.vocab,
                                       .predictions = pl_pack_predictions_max(&LIMITS)};
    struct pl_audit *audit = NULL;
    struct pl_error err = {0};

    if (pl_audit_create(&opts, &audit, &err) < 0)
        fail_msg("%s", err.text);
    return audit;
}

/* What an actor changes before it hands over; NULL: nothing. */
struct change {
    size_t group, sample, token;
    bool id, logprob;
    uint64_t seed; /* that it samples with */
};

static struct pl_job *submit(const struct pl_rollout_group *g, uint64_t seed)
{
    struct pl_request request = {
        .prompt = g->prompt,
        .prompt_len = g->prompt_len,
        .samples = g->samples,
        .new_tokens_max = g->new_tokens_max,
        .sampling = {g->temperature, g->top_k, g->top_p, g->min_p},
        .rng = pl_rollout_group_rng(g),
        .stop_ids = {STOP},
        .stop_count = 1,
    };

    request.rng.seed = seed;
    return pl_test_submit(engine, &request);
}

/* The group as the learner reads it, changed. */
static struct pl_buf encode(struct pl_rollout_group *g, const struct pl_job *job,
                            const struct change *c)
{
    static const uint64_t version = 1;
    struct pl_rollout rollouts[SAMPLES];
    uint32_t ids[SAMPLES][LIMIT];
    float logprobs[SAMPLES][LIMIT];
    struct pl_buf buf;

    for (size_t s = 0; s < SAMPLES; s++) {
        const struct pl_sample *made = pl_job_sample(job, s);

        memcpy(ids[s], made->ids, made->len * sizeof *made->ids);
        memcpy(logprobs[s], made->logprobs, made->len * sizeof *made->logprobs);
        rollouts[s] = (struct pl_rollout){
            .ids = ids[s],
            .logprobs = logprobs[s],
            .versions = &version,
            .len = made->len,
            .versions_len = 1,
            .finish = made->finish == PL_FINISH_STOP ? PL_SAMPLE_STOP : PL_SAMPLE_LENGTH,
            .score = {.first_answer = -1, .first_right = -1, .why = ""}};
    }
    if (c && c->group == g->index) {
        assert_true(c->token < rollouts[c->sample].len);
        if (c->id)
            ids[c->sample][c->token] ^= 1;
        if (c->logprob)
            logprobs[c->sample][c->token] = nextafterf(logprobs[c->sample][c->token], -INFINITY);
    }
    g->stage = PL_STAGE_SCORED;
    g->actor = "a";
    g->rewarder = "r";
    g->rollouts = rollouts;
    pl_buf_init(&buf, 1 << 20);
    assert_int_equal(pl_rollout_group_encode(g, &buf), PL_OK);
    return buf;
}

/* A batch by the engine: plain, with cuts, greedy. */
static struct pl_rollouts make(const struct change *change)
{
    static const float cuts[GROUPS][4] = {{1, 0, 1, 0}, {0.7f, 15, 0.9f, 0.02f}, {0, 0, 1, 0}};
    const size_t V = little.weights->shape->config.vocab;
    const struct pl_rollouts_check check = {
        .limits = {.bytes = 1 << 20, .samples = SAMPLES, .tokens = 64, .vocab = V}, .version = 1};
    uint32_t prompts[GROUPS][PROMPT];
    struct pl_ready_group groups[GROUPS];
    struct pl_ready ready = {.groups = groups, .count = GROUPS};
    struct pl_buf bufs[GROUPS];
    struct pl_rollouts rollouts = {0};
    struct pl_error err = {0};

    for (uint32_t i = 0; i < GROUPS; i++) {
        struct pl_rollout_group g = {.batch = BATCH,
                                     .index = i,
                                     .version = 1,
                                     .seed = 5,
                                     .temperature = cuts[i][0],
                                     .top_k = (uint32_t)cuts[i][1],
                                     .top_p = cuts[i][2],
                                     .min_p = cuts[i][3],
                                     .samples = SAMPLES,
                                     .new_tokens_max = LIMIT,
                                     .prompt = prompts[i],
                                     .prompt_len = PROMPT,
                                     .task = "{}",
                                     .task_len = 2};
        struct pl_job *job;

        pl_little_prompt(prompts[i], PROMPT, 60 + i, V);
        job = submit(&g, change && change->seed ? change->seed : g.seed);
        pl_test_run(engine);
        bufs[i] = encode(&g, job, change);
        groups[i] = (struct pl_ready_group){i, bufs[i].data, bufs[i].len};
        pl_engine_drop(engine, &job);
    }
    if (pl_rollouts_read(&ready, &check, &rollouts, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < GROUPS; i++)
        pl_buf_release(&bufs[i]);
    return rollouts;
}

static struct pl_audit_finding look(struct pl_audit *audit, const struct pl_rollouts *r, size_t g,
                                    const struct pl_weights *weights)
{
    struct pl_audit_finding f;
    struct pl_error err = {0};

    if (pl_audit_group(audit, r, g, trainer, pack, weights, &f, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(f.sound == !f.what[0]);
    return f;
}

static void what_was_sampled_is_sound_to_the_bit(void **state)
{
    struct pl_audit *audit = audit_with(1, 0);
    struct pl_rollouts r = make(NULL);
    size_t tokens = 0;

    (void)state;
    for (size_t g = 0; g < GROUPS; g++) {
        const struct pl_audit_finding f = look(audit, &r, g, NULL);

        if (!f.sound)
            fail_msg("group %zu: %s", g, f.what);
        assert_true(f.ids_off == 0 && f.most <= 0.0 && f.sum <= 0.0);
        tokens += f.tokens;
    }
    assert_int_equal(tokens, r.tokens);
    assert_true(tokens > 100);
    pl_rollouts_release(&r);
    pl_audit_destroy(audit);
}

static void unsound(const struct change *change, const struct pl_weights *weights, const char *what)
{
    struct pl_audit *audit = audit_with(1, 0);
    struct pl_rollouts r = make(change);
    const struct pl_audit_finding f = look(audit, &r, change->group, weights);

    if (f.sound || !strstr(f.what, what))
        fail_msg("'%s' does not say '%s'", f.what, what);
    for (size_t g = 0; !weights && !change->seed && g < GROUPS; g++)
        assert_true(g == change->group || look(audit, &r, g, NULL).sound);
    pl_rollouts_release(&r);
    pl_audit_destroy(audit);
}

static void one_other_token_is_found(void **state)
{
    (void)state;
    unsound(&(struct change){.group = 0, .sample = 3, .token = 0, .id = true}, NULL,
            "token 0 of sample 3 is id");
    unsound(&(struct change){.group = 1, .sample = 0, .token = 2, .id = true}, NULL,
            "token 2 of sample 0 is id");
    unsound(&(struct change){.group = 2, .sample = 1, .token = 1, .id = true}, NULL,
            "token 1 of sample 1 is id");
}

static void one_other_log_probability_is_found(void **state)
{
    const struct change change = {.group = 1, .sample = 2, .token = 1, .logprob = true};
    struct pl_audit *lenient = audit_with(1, 1e-5);
    struct pl_rollouts r = make(&change);
    struct pl_audit_finding f;

    (void)state;
    unsound(&change, NULL, "the log-probability of token 1 of sample 2 is");
    f = look(lenient, &r, 1, NULL);
    assert_true(f.sound && f.most > 0.0);
    pl_rollouts_release(&r);
    pl_audit_destroy(lenient);
}

static void other_weights_and_another_seed_are_found(void **state)
{
    (void)state;
    for (size_t g = 0; g < GROUPS; g++)
        unsound(&(struct change){.group = g}, other.weights, "sample");
    unsound(&(struct change){.group = 0, .seed = 6}, NULL, "is id");
    unsound(&(struct change){.group = 1, .seed = 6}, NULL, "is id");
}

static size_t picked(const struct pl_audit *audit, enum pl_purpose purpose, bool *ret)
{
    size_t n = 0;

    for (uint32_t i = 0; i < 4000; i++) {
        ret[i] = pl_audit_picks(audit, purpose, i / 16, i % 16);
        n += ret[i];
    }
    return n;
}

static void groups_are_picked_by_the_key(void **state)
{
    static bool first[4000], again[4000], evals[4000], new[4000];
    struct pl_audit *audit = audit_with(0.25, 0);
    struct stat st;

    (void)state;
    assert_in_range(picked(audit, PL_PURPOSE_TRAIN, first), 880, 1120);
    assert_in_range(picked(audit, PL_PURPOSE_EVALUATE, evals), 880, 1120);
    assert_memory_not_equal(first, evals, sizeof first);
    pl_audit_destroy(audit);
    assert_int_equal(stat(pl_scratch("audit.key"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    audit = audit_with(0.25, 0); /* the same run goes on */
    picked(audit, PL_PURPOSE_TRAIN, again);
    assert_memory_equal(first, again, sizeof first);
    pl_audit_destroy(audit);
    pl_scratch_text(pl_scratch("audit.key"), "torn");
    audit = audit_with(0.25, 0);
    assert_in_range(picked(audit, PL_PURPOSE_TRAIN, new), 880, 1120);
    assert_memory_not_equal(first, new, sizeof first);
    pl_audit_destroy(audit);
    audit = audit_with(1, 0);
    assert_int_equal(picked(audit, PL_PURPOSE_TRAIN, new), 4000);
    pl_audit_destroy(audit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sampled_is_sound_to_the_bit),
        cmocka_unit_test(one_other_token_is_found),
        cmocka_unit_test(one_other_log_probability_is_found),
        cmocka_unit_test(other_weights_and_another_seed_are_found),
        cmocka_unit_test(groups_are_picked_by_the_key),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
