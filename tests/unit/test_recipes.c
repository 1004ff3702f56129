/*
 * Recipes: each says what its name says. What a recipe pays for fixed responses and what its
 * algorithm makes of fixed scores are worked out by hand (rewarder/reward.h, learner/advantage.h);
 * two recipes differ in what their methods differ in and in nothing else; those for Qwen2.5 are the
 * paper's table of settings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/run_conf.h"
#include "common/base/buf.h"
#include "deploy/paper/grid.h"
#include "learner/advantage.h"
#include "learner/policy.h"
#include "proto/rollout.h"
#include "rewarder/reward.h"
#include "rewarder/rewarder.h"
#include "tests/close.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const folders[] = {"small", "qwen2.5-0.5b", "qwen2.5-1.5b", "qwen2.5-7b"};
enum { FOLDERS = 4, SMALL = 0 };

/* ---- loading ---- */

/* NULL: there is no such recipe. */
static struct pl_run_conf *load(const char *folder, const char *name, char *const extra)
{
    char *assigned[] = {(char *)"run.dir=d", (char *)"model.path=m",
                        (char *)"data.train_files=[a.jsonl]", (char *)"data.val_files=[b.jsonl]",
                        extra};
    struct pl_run_conf *conf = calloc(1, sizeof *conf);
    struct pl_error err = {0};
    char path[1024];
    int rc;

    assert_non_null(conf);
    snprintf(path, sizeof path, "%s/deploy/recipes/%s/%s.yaml", getenv("PLAIT_TEST_SOURCE"), folder,
             name);
    rc = pl_run_conf_load(path, assigned, extra ? 5 : 4, conf, &err);
    if (rc == PL_OK)
        return conf;
    free(conf);
    if (rc != PL_ENOENT)
        fail_msg("%s", err.text);
    return NULL;
}

static void unload(struct pl_run_conf *conf)
{
    pl_run_conf_release(conf);
    free(conf);
}

/* ---- responses ---- */

#define T     "<think>t</think>"
#define A(x)  "<answer>" x "</answer>"
#define X     "Ann is a knight"
#define Y     "Bob is a knave"
#define Z     "Cy is a knight"
#define NO    "Bob is a knight"
#define FINAL A(X ", " Y " and " Z)
#define WRONG A(X ", " NO " and " Z)

static const struct pl_truth steps[] = {{.answer = X}, {.answer = Y}, {.answer = Z}};
static const struct pl_task task = {.id = "t",
                                    .verifier = "kk",
                                    .final = {.answer = X ", " Y " and " Z},
                                    .steps = steps,
                                    .step_count = 3};

enum { EARLY, LATE, LIED, GUESSED, DELAYED, DELAYED_LATE, ONCE, RESPONSES };

static const char *const responses[RESPONSES] = {
    [EARLY] = T A(X) T A(Y) T A(Z) T FINAL,           /* all right, in turn */
    [LATE] = T A(NO) T A(X) T FINAL,                  /* one of three, in the second place */
    [LIED] = T A(X) T A(Y) T A(Z) T WRONG,            /* all right, and then not */
    [GUESSED] = T A(X) T A(NO) T A(Y) T A(Z) T FINAL, /* all, and one that is wrong */
    [DELAYED] = T A(X) A(Y) A(Z) FINAL,
    [DELAYED_LATE] = T A(NO) A(X) FINAL,
    [ONCE] = T FINAL,
};

struct parts {
    double format, final, intermediate, extra;
};

/* Form and final answer; a broken form has no final reward. */
#define RIGHT(i, e)                                                                                \
    {                                                                                              \
        1, 2, i, e                                                                                 \
    }
#define FALSE_(i, e)                                                                               \
    {                                                                                              \
        1, -1.5, i, e                                                                              \
    }
#define BROKEN(i, e)                                                                               \
    {                                                                                              \
        -1, 0, i, e                                                                                \
    }

/* R = 0.5, N - 1 = 3: what is paid for one of three is 1/6, in the second place by time 1/12. */
#define INTERLEAVE_IR                                                                              \
    {                                                                                              \
        RIGHT(.5, 0), RIGHT(1.0 / 12, 0), FALSE_(0, 0), RIGHT(.5, 0), BROKEN(0, 0), BROKEN(0, 0),  \
            RIGHT(0, 0)                                                                            \
    }

struct recipe {
    const char *name;
    enum pl_method method;
    enum pl_advantage_kind small, large; /* estimator: in small, in qwen2.5-* */
    struct parts parts[RESPONSES];
    const char *parent;     /* the recipe that it differs from ... */
    const char *differs[4]; /* ... in these settings, besides run.name */
};

static const struct recipe recipes[] = {
    {"think-answer",
     PL_METHOD_THINK_ANSWER,
     PL_ADVANTAGE_GRPO,
     PL_ADVANTAGE_GAE,
     {BROKEN(0, 0), BROKEN(0, 0), BROKEN(0, 0), BROKEN(0, 0), BROKEN(0, 0), BROKEN(0, 0),
      RIGHT(0, 0)},
     "interleave",
     {"data.method"}},
    {"interleave",
     PL_METHOD_INTERLEAVE,
     PL_ADVANTAGE_GRPO,
     PL_ADVANTAGE_GAE,
     {RIGHT(0, 0), RIGHT(0, 0), FALSE_(0, 0), RIGHT(0, 0), BROKEN(0, 0), BROKEN(0, 0), RIGHT(0, 0)},
     "interleave-ir",
     {"reward.intermediate"}},
    {"interleave-ir",
     PL_METHOD_INTERLEAVE,
     PL_ADVANTAGE_GRPO,
     PL_ADVANTAGE_GAE,
     INTERLEAVE_IR,
     "interleave-ir",
     {NULL}},
    {"interleave-ir-partial",
     PL_METHOD_INTERLEAVE,
     PL_ADVANTAGE_GRPO,
     PL_ADVANTAGE_GAE,
     {RIGHT(.5, 0), RIGHT(1.0 / 6, 0), FALSE_(0, 0), RIGHT(.5, 0), BROKEN(0, 0), BROKEN(0, 0),
      RIGHT(0, 0)},
     "interleave-ir",
     {"reward.strategy"}},
    {"interleave-ir-all",
     PL_METHOD_INTERLEAVE,
     PL_ADVANTAGE_GRPO,
     PL_ADVANTAGE_GAE,
     {RIGHT(.5, 0), RIGHT(0, 0), FALSE_(0, 0), RIGHT(0, 0), BROKEN(0, 0), BROKEN(0, 0),
      RIGHT(0, 0)},
     "interleave-ir",
     {"reward.strategy"}},
    {"interleave-ir-direct", /* paid in any case, also what stood before the form broke */
     PL_METHOD_INTERLEAVE,
     PL_ADVANTAGE_GRPO,
     PL_ADVANTAGE_GAE,
     {RIGHT(.5, 0), RIGHT(1.0 / 6, 0), FALSE_(.5, 0), RIGHT(.5, 0), BROKEN(1.0 / 6, 0),
      BROKEN(0, 0), RIGHT(0, 0)},
     "interleave-ir-partial",
     {"reward.intermediate"}},
    {"delayed",
     PL_METHOD_DELAYED,
     PL_ADVANTAGE_GRPO,
     PL_ADVANTAGE_GAE,
     {BROKEN(0, 0), BROKEN(0, 0), BROKEN(0, 0), BROKEN(0, 0), RIGHT(0, 0), RIGHT(0, 0),
      RIGHT(0, 0)},
     "interleave",
     {"data.method"}},
    {"delayed-ir",
     PL_METHOD_DELAYED,
     PL_ADVANTAGE_GRPO,
     PL_ADVANTAGE_GAE,
     {BROKEN(0, 0), BROKEN(0, 0), BROKEN(0, 0), BROKEN(0, 0), RIGHT(.5, 0), RIGHT(1.0 / 12, 0),
      RIGHT(0, 0)},
     "interleave-ir",
     {"data.method"}},
    {"interleave-ir-ppo",
     PL_METHOD_INTERLEAVE,
     PL_ADVANTAGE_GAE,
     PL_ADVANTAGE_GAE,
     INTERLEAVE_IR,
     "interleave-ir",
     {"algorithm.adv_estimator"}},
    {"interleave-ir-grpo",
     PL_METHOD_INTERLEAVE,
     PL_ADVANTAGE_GRPO,
     PL_ADVANTAGE_GRPO,
     INTERLEAVE_IR,
     "interleave-ir",
     {"algorithm.adv_estimator"}},
    {"interleave-ir-reinforce-plus-plus",
     PL_METHOD_INTERLEAVE,
     PL_ADVANTAGE_RPP,
     PL_ADVANTAGE_RPP,
     INTERLEAVE_IR,
     "interleave-ir",
     {"algorithm.adv_estimator"}},
    {"interleave-ir-gdpo",
     PL_METHOD_INTERLEAVE,
     PL_ADVANTAGE_GDPO,
     PL_ADVANTAGE_GDPO,
     INTERLEAVE_IR,
     "interleave-ir",
     {"algorithm.adv_estimator"}},
    {"interleave-ir-segment",
     PL_METHOD_INTERLEAVE,
     PL_ADVANTAGE_GRPO,
     PL_ADVANTAGE_GAE,
     INTERLEAVE_IR,
     "interleave-ir",
     {"algorithm.segment_credit"}},
    {"interleave-ir-product", /* broken: nothing; wrong: what the form earns */
     PL_METHOD_INTERLEAVE,
     PL_ADVANTAGE_GRPO,
     PL_ADVANTAGE_GAE,
     {RIGHT(.5, 0),
      RIGHT(1.0 / 12, 0),
      {1, 0, 0, 0},
      RIGHT(.5, 0),
      {0, 0, 0, 0},
      {0, 0, 0, 0},
      RIGHT(0, 0)},
     "interleave-ir",
     {"reward.combine"}},
    {"interleave-ir-charge",
     PL_METHOD_INTERLEAVE,
     PL_ADVANTAGE_GRPO,
     PL_ADVANTAGE_GAE,
     {RIGHT(.5, 0), RIGHT(1.0 / 12, -.25), FALSE_(0, 0), RIGHT(.5, -.25), BROKEN(0, 0),
      BROKEN(0, -.25), RIGHT(0, 0)},
     "interleave-ir",
     {"reward.wrong_step"}},
};
enum { RECIPES = sizeof recipes / sizeof *recipes };

static struct pl_score score(const struct pl_run_conf *conf, const char *text)
{
    struct pl_reward_room *room = malloc(sizeof *room);
    struct pl_reward_opts opts;
    size_t ends[1024];
    const size_t len = strlen(text);
    struct pl_score s;

    assert_true(room && len <= 1024);
    for (size_t i = 0; i < len; i++)
        ends[i] = i + 1; /* a token a byte */
    pl_rewarder_opts(conf, &opts);
    opts.new_tokens_max = conf->response_tokens_max;
    assert_int_equal(pl_reward_score(&opts, &task, (enum pl_method)conf->method, text, len, ends,
                                     len, room, &s, NULL),
                     PL_OK);
    s.segments = NULL; /* in the room */
    free(room);
    return s;
}

static void assert_part(const struct recipe *r, size_t response, const char *part, double got,
                        double want)
{
    if (fabs(got - want) > 1e-6)
        fail_msg("%s: response %zu: %s is %g, not %g", r->name, response, part, got, want);
}

static void recipes_pay_what_they_say(void **state)
{
    size_t loaded = 0;

    (void)state;
    for (size_t f = 0; f < FOLDERS; f++)
        for (size_t i = 0; i < RECIPES; i++) {
            const struct recipe *r = &recipes[i];
            struct pl_run_conf *conf = load(folders[f], r->name, NULL);

            if (!conf)
                continue;
            assert_int_equal(conf->method, r->method);
            assert_int_equal(conf->estimator, f == SMALL ? r->small : r->large);
            assert_string_equal(conf->name, r->name);
            for (size_t k = 0; k < RESPONSES; k++) {
                const struct pl_score s = score(conf, responses[k]);
                const struct parts *p = &r->parts[k];

                assert_part(r, k, "format", (double)s.format, p->format);
                assert_part(r, k, "final", (double)s.final, p->final);
                assert_part(r, k, "intermediate", (double)s.intermediate, p->intermediate);
                assert_part(r, k, "extra", (double)s.extra, p->extra);
                assert_part(r, k, "reward", (double)pl_score_reward(&s, true),
                            p->format + p->final + p->intermediate + p->extra);
            }
            loaded++;
            unload(conf);
        }
    assert_int_equal(loaded, 4 * (RECIPES - 2) + 1 + 3); /* -ppo is in small, -grpo in the others */
}

/* ---- what recipes differ in ---- */

static bool is_one_of(const char *line, size_t len, const char *const words[4])
{
    for (size_t i = 0; i < 4 && words[i]; i++)
        if (strlen(words[i]) == len && memcmp(line, words[i], len) == 0)
            return true;
    return false;
}

/* What the base says of a critic counts where there is one: elsewhere it is as if it were not said.
 */
static bool goes_with_the_critic(const struct recipe *r, const char *line)
{
    return r->differs[0] && strcmp(r->differs[0], "algorithm.adv_estimator") == 0 &&
           strncmp(line, "critic.optim.", 13) == 0;
}

/* The lines of two configurations in turn; each that differs must be of a setting that is named. */
static size_t count_differing(const struct recipe *r, const char *a, const char *b)
{
    size_t differing = 0;

    while (*a && *b) {
        const size_t n = strcspn(a, "\n"), m = strcspn(b, "\n"), key = strcspn(a, ":");

        if (!goes_with_the_critic(r, a) && (n != m || memcmp(a, b, n) != 0)) {
            if (!is_one_of(a, key, r->differs) && strncmp(a, "run.name:", 9) != 0)
                fail_msg("%s and %s differ in '%.*s'", r->name, r->parent, (int)n, a);
            differing += strncmp(a, "run.name:", 9) != 0;
        }
        a += n + 1;
        b += m + 1;
    }
    assert_true(!*a && !*b);
    return differing;
}

static void recipes_differ_in_their_method_alone(void **state)
{
    (void)state;
    for (size_t f = 0; f < FOLDERS; f++)
        for (size_t i = 0; i < RECIPES; i++) {
            const struct recipe *r = &recipes[i];
            struct pl_run_conf *conf = load(folders[f], r->name, NULL), *parent;
            struct pl_buf text, parents;
            size_t want = 0;

            if (!conf)
                continue;
            parent = load(folders[f], r->parent, NULL);
            assert_non_null(parent);
            pl_buf_init(&text, 1 << 16);
            pl_buf_init(&parents, 1 << 16);
            assert_int_equal(pl_run_conf_print(conf, false, &text), PL_OK);
            assert_int_equal(pl_run_conf_print(parent, false, &parents), PL_OK);
            while (want < 4 && r->differs[want])
                want++;
            assert_int_equal(count_differing(r, text.data, parents.data), want);
            pl_buf_release(&text);
            pl_buf_release(&parents);
            unload(parent);
            unload(conf);
        }
}

/* "NAME=VALUE" of a configuration, as it is printed. */
static void take_setting(const struct pl_run_conf *conf, const char *name, char assigned[128])
{
    struct pl_buf text;
    char key[64];
    const char *at;

    pl_buf_init(&text, 1 << 16);
    assert_int_equal(pl_run_conf_print(conf, false, &text), PL_OK);
    snprintf(key, sizeof key, "\n%s: ", name);
    at = strstr(text.data, key);
    assert_non_null(at);
    at += strlen(key);
    snprintf(assigned, 128, "%s=%.*s", name, (int)strcspn(at, "\n"), at);
    pl_buf_release(&text);
}

static const struct recipe *named(const char *name)
{
    for (size_t i = 0; i < RECIPES; i++)
        if (strcmp(recipes[i].name, name) == 0)
            return &recipes[i];
    fail_msg("there is no recipe '%s'", name);
    return NULL;
}

/* How many parts of rewards a recipe, with one setting as in its parent, has otherwise than itself;
 * all are its parent's. */
static size_t count_changed(const struct recipe *r, const struct pl_run_conf *changed)
{
    const struct recipe *parent = named(r->parent);
    size_t n = 0;

    for (size_t k = 0; k < RESPONSES; k++) {
        const struct pl_score s = score(changed, responses[k]);
        const double got[] = {(double)s.format, (double)s.final, (double)s.intermediate,
                              (double)s.extra};
        const struct parts *p = &parent->parts[k], *own = &r->parts[k];
        const double want[] = {p->format, p->final, p->intermediate, p->extra};
        const double was[] = {own->format, own->final, own->intermediate, own->extra};

        for (size_t i = 0; i < 4; i++) {
            assert_part(parent, k, "a part", got[i], want[i]);
            n += fabs(want[i] - was[i]) > 0.01;
        }
    }
    return n;
}

/* With its one setting as it is in the recipe it comes from, it pays what that one pays. */
static void the_setting_of_a_recipe_is_what_it_does(void **state)
{
    size_t seen = 0;

    (void)state;
    for (size_t i = 0; i < RECIPES; i++) {
        const struct recipe *r = &recipes[i];
        struct pl_run_conf *parent = load("small", r->parent, NULL), *changed;
        char assigned[128];

        assert_non_null(parent);
        if (r->differs[0] && strncmp(r->differs[0], "algorithm.", 10) != 0) {
            take_setting(parent, r->differs[0], assigned);
            changed = load("small", r->name, assigned);
            assert_non_null(changed);
            if (count_changed(r, changed) == 0)
                fail_msg("%s pays as %s does", r->name, r->parent);
            seen++;
            unload(changed);
        }
        unload(parent);
    }
    assert_int_equal(seen, 9); /* the others are algorithms, see below, and interleave-ir itself */
}

/* ---- what their algorithms make of scores ---- */

/* Four samples of a prompt, of 2, 1, 1 and 1 tokens. */
static const size_t first[] = {0, 2, 3, 4, 5}, group[] = {0, 0, 0, 0};
static const struct pl_samples samples = {4, first, group};
static const int sampled[] = {EARLY, LATE, LIED, ONCE};
enum { N = 4, TOKENS = 5 };

/* As learner/update.c does; values of the critic: 0.5 everywhere. */
static void advantages(const struct pl_run_conf *conf, float adv[TOKENS])
{
    static const float values[TOKENS] = {0.5F, 0.5F, 0.5F, 0.5F, 0.5F};
    double scores[N], components[3 * N], rewards[TOKENS] = {0}, weights[3];
    float scratch[TOKENS];

    for (size_t i = 0; i < N; i++) {
        const struct pl_score s = score(conf, responses[sampled[i]]);

        scores[i] = (double)pl_score_reward(&s, true);
        rewards[first[i + 1] - 1] = scores[i];
        components[i] = (double)s.format;
        components[N + i] = (double)s.final;
        components[2 * N + i] = (double)s.intermediate;
    }
    switch ((enum pl_advantage_kind)conf->estimator) {
    case PL_ADVANTAGE_GRPO:
        pl_advantage_grpo(adv, scores, &samples, conf->norm_by_std);
        return;
    case PL_ADVANTAGE_RPP:
        pl_advantage_rpp(adv, rewards, conf->gamma, &samples);
        return;
    case PL_ADVANTAGE_GAE:
        pl_advantage_gae(adv, scratch, rewards, values, conf->gamma, conf->lambda, &samples);
        return;
    case PL_ADVANTAGE_GDPO:
        assert_int_equal(conf->gdpo_weights.count, 3);
        for (size_t k = 0; k < 3; k++)
            weights[k] = strtod(conf->gdpo_weights.items[k], NULL);
        pl_advantage_gdpo(adv, components, weights, 3, &samples, scratch);
        return;
    case PL_ADVANTAGE_DR_GRPO:
    case PL_ADVANTAGE_RLOO:
    case PL_ADVANTAGE_RPP_BASELINE:
        break;
    }
    fail_msg("no recipe has estimator %d", conf->estimator);
}

/* x as whitening makes it: mean 0, variance 1 with n - 1. */
static void whiten(double *x, size_t n)
{
    double mean = 0.0, square = 0.0;

    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean) / (double)(n - 1);
    for (size_t i = 0; i < n; i++)
        x[i] = (x[i] - mean) / sqrt(square);
}

/*
 * interleave-ir pays 3.5, 3 + 1/12, -0.5, 3. GRPO: less the mean, 2.270833, over the standard
 * deviation; REINFORCE++ and PPO (gamma = lambda = 1, so that a token's return is its sample's
 * score, and the values of the critic cancel but for a shift that whitening takes off again)
 * whiten over tokens, of which the first sample has two. GDPO: format has no spread; final 2, 2,
 * -1.5, 2: mean 1.125, deviation 1.75; intermediate 0.5, 1/12, 0, 0: mean 7/48.
 */
static void want_advantages(enum pl_advantage_kind kind, double want[TOKENS])
{
    static const double scores[] = {3.5, 3.5, 3 + 1.0 / 12, -0.5, 3}; /* a token each */
    static const double paid[] = {0.5, 0.5, 1.0 / 12, 0, 0}, final[] = {2, 2, 2, -1.5, 2};
    const double mean = (3.5 + 3 + 1.0 / 12 - 0.5 + 3) / 4, mean_paid = 7.0 / 48;
    double square = 0.0, square_paid = 0.0;

    for (size_t t = 1; t < TOKENS; t++) {
        square += (scores[t] - mean) * (scores[t] - mean) / 3;
        square_paid += (paid[t] - mean_paid) * (paid[t] - mean_paid) / 3;
    }
    for (size_t t = 0; t < TOKENS; t++)
        want[t] = kind == PL_ADVANTAGE_GRPO ? (scores[t] - mean) / sqrt(square)
                  : kind == PL_ADVANTAGE_GDPO
                      ? (final[t] - 1.125) / 1.75 + (paid[t] - mean_paid) / sqrt(square_paid)
                      : scores[t];
    if (kind != PL_ADVANTAGE_GRPO)
        whiten(want, TOKENS);
}

static void algorithms_make_of_scores_what_they_should(void **state)
{
    static const struct {
        const char *folder, *name;
        enum pl_advantage_kind kind;
    } rows[] = {
        {"small", "interleave-ir", PL_ADVANTAGE_GRPO},
        {"small", "interleave-ir-ppo", PL_ADVANTAGE_GAE},
        {"small", "interleave-ir-reinforce-plus-plus", PL_ADVANTAGE_RPP},
        {"small", "interleave-ir-gdpo", PL_ADVANTAGE_GDPO},
        {"qwen2.5-1.5b", "interleave-ir", PL_ADVANTAGE_GAE},
        {"qwen2.5-1.5b", "interleave-ir-grpo", PL_ADVANTAGE_GRPO},
        {"qwen2.5-1.5b", "interleave-ir-reinforce-plus-plus", PL_ADVANTAGE_RPP},
        {"qwen2.5-1.5b", "interleave-ir-gdpo", PL_ADVANTAGE_GDPO},
    };
    static char *const others[] = {(char *)"algorithm.adv_estimator=grpo",
                                   (char *)"algorithm.adv_estimator=gdpo"};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pl_run_conf *conf = load(rows[i].folder, rows[i].name, NULL), *other;
        double want[TOKENS], apart = 0.0;
        float adv[TOKENS], with_other[TOKENS];

        assert_non_null(conf);
        want_advantages(rows[i].kind, want);
        advantages(conf, adv);
        for (size_t t = 0; t < TOKENS; t++)
            pl_assert_close(adv[t], want[t], 1e-5, 1e-5);
        /* Another estimator would have made something else of them. */
        other = load(rows[i].folder, rows[i].name, others[rows[i].kind == PL_ADVANTAGE_GRPO]);
        assert_non_null(other);
        advantages(other, with_other);
        for (size_t t = 0; t < TOKENS; t++)
            apart = fmax(apart, fabs((double)adv[t] - (double)with_other[t]));
        assert_true(apart > 0.02);
        unload(other);
        unload(conf);
    }
}

/* ---- the paper's settings ---- */

#define assert_real(got, want) pl_assert_close(got, want, 0, 1e-12)

static void recipes_for_qwen_are_the_papers_settings(void **state)
{
    (void)state;
    for (size_t f = 1; f < FOLDERS; f++)
        for (size_t i = 0; i < RECIPES; i++) {
            struct pl_run_conf *c = load(folders[f], recipes[i].name, NULL);

            if (!c)
                continue;
            assert_real(c->lr, 1e-6);
            if (c->estimator == PL_ADVANTAGE_GAE)
                assert_real(c->critic_lr, 1e-6);
            assert_int_equal(c->schedule, 0); /* constant, and of the critic */
            assert_int_equal(c->critic_schedule, 0);
            assert_int_equal(c->warmup_steps, 0);
            assert_int_equal(c->batch_groups, 16);
            assert_int_equal(c->samples, 8);
            assert_int_equal(c->mini_groups * c->samples, 32);
            assert_true(c->use_kl_loss && !c->kl_in_reward);
            assert_real(c->kl_loss_coef, 0.001);
            assert_int_equal(c->kl_loss_type, PL_KL_K3);
            assert_int_equal(c->prompt_tokens_max, 3096);
            assert_int_equal(c->response_tokens_max, 2548);
            assert_true(c->pack_tokens >= 3096 + 2548);
            assert_real(c->temperature, 0.8);
            assert_int_equal(c->staleness, 0);
            assert_real(c->gate_epsilon, 0.05);
            assert_int_equal(c->critic_warmup, 0);
            assert_int_equal(c->steps, 2000);
            assert_in_range(c->save_freq, 100, 200);
            assert_in_range(c->test_freq, 100, 200);
            assert_real(c->reward_base, 0.5);
            assert_real(c->lambda_format, 1);
            assert_real(c->lambda_final, 1);
            unload(c);
        }
}

/* ---- none is forgotten ---- */

static bool is_known(const char *name, size_t len)
{
    if (len == 4 && memcmp(name, "base", 4) == 0)
        return true;
    for (size_t i = 0; i < RECIPES; i++)
        if (strlen(recipes[i].name) == len && memcmp(recipes[i].name, name, len) == 0)
            return true;
    return false;
}

static void every_recipe_is_in_the_table(void **state)
{
    (void)state;
    for (size_t f = 0; f < FOLDERS; f++) {
        struct dirent *entry;
        char path[1024];
        size_t seen = 0;
        DIR *dir;

        snprintf(path, sizeof path, "%s/deploy/recipes/%s", getenv("PLAIT_TEST_SOURCE"),
                 folders[f]);
        dir = opendir(path);
        assert_non_null(dir);
        while ((entry = readdir(dir))) {
            const char *dot = strstr(entry->d_name, ".yaml");

            if (!dot)
                continue;
            if (!is_known(entry->d_name, (size_t)(dot - entry->d_name)))
                fail_msg("%s/%s is in no table of this test", folders[f], entry->d_name);
            seen++;
        }
        closedir(dir);
        assert_int_equal(seen, RECIPES); /* base, and all but one */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipes_pay_what_they_say),
        cmocka_unit_test(recipes_differ_in_their_method_alone),
        cmocka_unit_test(the_setting_of_a_recipe_is_what_it_does),
        cmocka_unit_test(algorithms_make_of_scores_what_they_should),
        cmocka_unit_test(recipes_for_qwen_are_the_papers_settings),
        cmocka_unit_test(every_recipe_is_in_the_table),
    };

    if (!getenv("PLAIT_TEST_SOURCE")) {
        printf("skipped: PLAIT_TEST_SOURCE does not name the sources\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
