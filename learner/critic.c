#include "learner/critic.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/model/import.h"
#include "learner/walk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the loss ---- */

struct pl_value_token pl_value_error(double clip, double v, double old, double target)
{
    const double cut = v < old - clip ? old - clip : v > old + clip ? old + clip : v;
    const double free = (v - target) * (v - target), bound = (cut - target) * (cut - target);

    if (bound > free)
        return (struct pl_value_token){.loss = 0.5 * bound, .clipped = true};
    return (struct pl_value_token){.loss = 0.5 * free, .slope = v - target};
}

static void slopes(void *at, const struct pl_slopes *s)
{
    struct pl_value_loss *loss = at;
    const double T = (double)loss->tokens;

    PL_ASSERT(s->value && s->dvalue);
    for (size_t i = 0; i < s->n; i++) {
        const struct pl_prediction *p = &s->predictions[i];
        const size_t t = loss->first[p->sample] + p->index;
        const struct pl_value_token tok = pl_value_error(
            loss->clip, (double)s->value[i], (double)loss->old[t], (double)loss->returns[t]);

        PL_ASSERT(t < loss->first[p->sample + 1]);
        s->dvalue[i] = (float)(tok.slope / T);
        loss->loss += tok.loss / T;
        loss->value += (double)s->value[i];
        loss->clipped += tok.clipped;
        loss->seen++;
    }
}

struct pl_objective pl_value_objective(struct pl_value_loss *loss)
{
    PL_ASSERT(loss->tokens > 0);
    return (struct pl_objective){.at = loss, .slopes = slopes};
}

static double variance(const float *a, const float *b, size_t n)
{
    double sum = 0.0, squares = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] - (b ? (double)b[i] : 0.0);
    for (size_t i = 0; i < n; i++) {
        const double x = (double)a[i] - (b ? (double)b[i] : 0.0) - sum / (double)n;

        squares += x * x;
    }
    return squares / (double)(n - 1);
}

double pl_explained_variance(const float *returns, const float *values, size_t n)
{
    if (n < 2)
        return NAN;
    return 1.0 - variance(returns, values, n) / (variance(returns, NULL, n) + 1e-5);
}

/* ---- the model ---- */

/* Rows of a tensor that are copied at a time. */
enum { ROWS = 64 * PL_PANEL };

static int copy_tensors(const struct pl_weights *from, struct pl_weights *to, struct pl_error *err)
{
    const struct pl_shape *shape = to->shape;
    size_t cols = 1;
    uint16_t *values;

    for (size_t i = 0; i < shape->count; i++)
        cols = shape->tensors[i].cols > cols ? shape->tensors[i].cols : cols;
    values = pl_alloc(ROWS * cols, sizeof *values);
    if (!values)
        return pl_fail(err, PL_ENOMEM, "no memory to copy the critic's weights");
    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];
        const struct pl_tensor *of = pl_shape_find(from->shape, t->role, t->layer);

        PL_ASSERT(of && of->rows == t->rows && of->cols == t->cols);
        for (size_t row = 0; row < t->rows; row += ROWS) {
            const size_t n = t->rows - row < ROWS ? t->rows - row : ROWS;

            pl_weights_get(from, of, row, n, values);
            pl_weights_set(to, t, row, n, values);
        }
    }
    free(values);
    return PL_OK;
}

/* The same without a vocabulary projection, in place of what it is of. */
static int leave_out_head(struct pl_shape **shape, struct pl_weights **weights,
                          struct pl_error *err)
{
    struct pl_config config = (*shape)->config;
    struct pl_shape *less = NULL;
    struct pl_weights *copy = NULL;
    int rc;

    if (config.tied)
        return PL_OK;
    config.tied = true;
    rc = pl_shape_create(&config, &less, err);
    if (rc == PL_OK)
        rc = pl_weights_create(less, &copy, err);
    if (rc == PL_OK)
        rc = copy_tensors(*weights, copy, err);
    if (rc < 0) {
        pl_weights_destroy(copy);
        pl_shape_destroy(less);
        return rc;
    }
    pl_weights_destroy(*weights);
    pl_shape_destroy(*shape);
    *shape = less;
    *weights = copy;
    return PL_OK;
}

static double given_or(double given, double policys)
{
    return given < 0.0 ? policys : given;
}

/* The settings of its trainer, once its shape is there. */
static void settle(struct pl_critic *c, const struct pl_run_conf *conf,
                   const struct pl_shape *policy, const struct pl_trainer_opts *beside)
{
    c->opts = *beside;
    c->opts.value = true;
    c->opts.borrow = pl_trainer_can_borrow(&policy->config, &c->shape->config);
    c->opts.adamw.beta1 = given_or(conf->critic_beta1, conf->beta1);
    c->opts.adamw.beta2 = given_or(conf->critic_beta2, conf->beta2);
    c->opts.adamw.weight_decay = given_or(conf->critic_weight_decay, conf->weight_decay);
    c->opts.adamw.clip = conf->critic_grad_clip;
}

int pl_critic_outline(struct pl_critic *critic, const struct pl_run_conf *conf,
                      const struct pl_config *config, const struct pl_shape *policy,
                      const struct pl_trainer_opts *beside, struct pl_error *err)
{
    struct pl_config trunk = *config;
    int rc;

    trunk.tied = true;
    critic->conf = conf;
    rc = pl_shape_create(&trunk, &critic->shape, err);
    if (rc == PL_OK)
        rc = pl_weights_outline(critic->shape, &critic->weights, err);
    if (rc == PL_OK)
        settle(critic, conf, policy, beside);
    return rc;
}

int pl_critic_load(struct pl_critic *critic, const struct pl_run_conf *conf, const char *dir,
                   const struct pl_shape *policy, const struct pl_trainer_opts *beside,
                   struct pl_error *err)
{
    struct pl_critic *c = critic;
    int rc = pl_model_load(dir, NULL, &c->shape, &c->weights, err);

    c->conf = conf;
    if (rc == PL_OK && c->shape->config.vocab != policy->config.vocab)
        rc = pl_fail(err, PL_EINVAL,
                     "'%s': the critic's vocabulary has %zu tokens, the policy's %zu; the two must "
                     "read the same text",
                     dir, c->shape->config.vocab, policy->config.vocab);
    if (rc == PL_OK)
        rc = leave_out_head(&c->shape, &c->weights, err);
    if (rc < 0)
        return rc;
    settle(c, conf, policy, beside);
    return PL_OK;
}

void pl_critic_plan(const struct pl_critic *critic, struct pl_plan *plan)
{
    pl_plan_add(plan, "weights (bf16)", pl_weights_bytes(critic->shape), NULL);
    pl_trainer_plan(critic->weights, &critic->opts, plan);
}

int pl_critic_open(struct pl_critic *critic, struct pl_trainer *policy, struct pl_error *err)
{
    critic->opts.lender = policy;
    return pl_trainer_create(critic->weights, &critic->opts, &critic->trainer, err);
}

void pl_critic_close(struct pl_critic *critic)
{
    pl_trainer_destroy(critic->trainer);
    pl_weights_destroy(critic->weights);
    pl_shape_destroy(critic->shape);
    *critic = (struct pl_critic){0};
}

/* ---- a step ---- */

bool pl_critic_values(struct pl_critic *critic, struct pl_rollouts *rollouts, struct pl_pack *pack)
{
    return pl_walk_score(rollouts, 0, rollouts->group_count, pack, critic->trainer, NULL,
                         critic->stop, rollouts->values);
}

/* Groups [g, end): one optimiser step. */
static int mini_batch(struct pl_critic *c, const struct pl_rollouts *r, size_t g, size_t end,
                      struct pl_pack *pack, double lr, struct pl_critic_stats *stats,
                      struct pl_error *err)
{
    struct pl_value_loss loss = {
        .clip = c->conf->critic_clip,
        .first = r->first,
        .old = r->values,
        .returns = r->returns,
        .tokens = r->first[r->group_first[end]] - r->first[r->group_first[g]],
    };
    const struct pl_objective objective = pl_value_objective(&loss);
    struct pl_walk walk = {.group = g, .end = end};
    struct pl_step_stats step = {0};
    int rc;

    while (pl_walk_next(&walk, r, pack)) {
        if (pl_stop_asked(c->stop)) {
            pl_trainer_abandon(c->trainer);
            return pl_fail(err, PL_ECANCELED, "stopped while the critic learnt");
        }
        (void)pl_trainer_accumulate(c->trainer, pack, &objective);
    }
    PL_ASSERT(loss.seen == loss.tokens);
    if (c->stop)
        c->stop->stepped = true;
    rc = pl_trainer_step(c->trainer, lr, &step, err);
    stats->loss += loss.loss;
    stats->clipfrac += (double)loss.clipped / (double)loss.tokens;
    stats->value += loss.value / (double)loss.tokens;
    if (rc < 0) {
        c->skipped++;
        return rc;
    }
    stats->grad_norm += step.grad_norm;
    stats->lr = step.lr;
    stats->steps++;
    return PL_OK;
}

int pl_critic_update(struct pl_critic *critic, const struct pl_rollouts *rollouts,
                     struct pl_pack *pack, double lr, struct pl_critic_stats *ret_stats,
                     struct pl_error *err)
{
    const struct pl_run_conf *c = critic->conf;
    const struct pl_rollouts *r = rollouts;
    const size_t mini = c->mini_groups ? c->mini_groups : c->batch_groups;
    const double minis = fmax(1.0, (double)((r->group_count + mini - 1) / mini));
    struct pl_critic_stats stats = {0};

    stats.explained = pl_explained_variance(r->returns, r->values, r->tokens);
    for (size_t epoch = 0; epoch < c->critic_epochs; epoch++) {
        stats.loss = stats.clipfrac = stats.value = 0.0;
        for (size_t g = 0; g < r->group_count; g += mini)
            if (mini_batch(critic, r, g, g + mini < r->group_count ? g + mini : r->group_count,
                           pack, lr, &stats, err) == PL_ECANCELED)
                return PL_ECANCELED;
    }
    if (stats.steps == 0 && r->group_count > 0)
        return pl_fail(err, PL_EINVAL,
                       "no optimiser step of the critic had a finite gradient in this batch");
    stats.loss /= minis;
    stats.clipfrac /= minis;
    stats.value /= minis;
    stats.grad_norm /= stats.steps > 0 ? (double)stats.steps : 1.0;
    *ret_stats = stats;
    return PL_OK;
}
