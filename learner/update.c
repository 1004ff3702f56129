#include "learner/update.h"

#include "common/base/check.h"
#include "learner/walk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- what was recorded against what is computed ---- */

static void compare_pack(const struct pl_rollouts *r, const struct pl_pack *pack, const float *logp,
                         struct pl_update_difference *d)
{
    for (size_t i = 0; i < pack->prediction_count; i++) {
        const struct pl_prediction *p = &pack->predictions[i];
        const float recorded = r->sampled[r->first[p->sample] + p->index];
        const double off = fabs((double)logp[i] - (double)recorded);

        d->tokens++;
        if (logp[i] == recorded)
            continue;
        if (d->off++ == 0)
            d->group = r->group[p->sample];
        d->most = isnan(off) ? INFINITY : fmax(d->most, off);
    }
}

static size_t mini_groups(const struct pl_run_conf *c)
{
    return c->mini_groups ? c->mini_groups : c->batch_groups;
}

size_t pl_update_compared(const struct pl_update *update, const struct pl_rollouts *rollouts)
{
    const size_t mini = mini_groups(update->conf);

    if (!update->own || update->critic_only)
        return 0;
    return mini < rollouts->group_count ? mini : rollouts->group_count;
}

void pl_update_compare(struct pl_update *update, const struct pl_rollouts *rollouts,
                       const struct pl_weights *weights, size_t first, uint64_t turn,
                       struct pl_update_difference *difference)
{
    const struct pl_walk begin = {.group = first, .end = rollouts->group_count};
    struct pl_walk walk = begin;
    uint64_t packs = 0;

    while (pl_walk_next(&walk, rollouts, update->pack))
        packs++;
    if (packs == 0)
        return;
    walk = begin;
    for (uint64_t i = 0; i <= turn % packs; i++)
        (void)pl_walk_next(&walk, rollouts, update->pack);
    compare_pack(rollouts, update->pack,
                 pl_trainer_score(update->trainer, weights, update->pack, NULL), difference);
}

/* ---- between who sampled and who trains ---- */

static int stopped(struct pl_error *err)
{
    return pl_fail(err, PL_ECANCELED, "stopped while the policy learnt");
}

static int correct(struct pl_update *u, struct pl_rollouts *r, struct pl_update_stats *stats,
                   struct pl_error *err)
{
    const enum pl_correction_kind kind = pl_run_conf_correction(u->conf);
    const struct pl_samples samples = pl_rollouts_samples(r);

    if (kind == PL_CORRECTION_NONE || r->samples == 0)
        return PL_OK;
    if (!pl_walk_score(r, 0, r->group_count, u->pack, u->trainer, NULL, u->stop, r->old))
        return stopped(err);
    pl_correction_weigh(r->weight, r->old, r->sampled, &samples, kind, u->conf->correction_max,
                        &stats->correction);
    stats->corrected = true;
    return PL_OK;
}

/* ---- rewards and advantages ---- */

/* r_t = score_t - beta kl_t; the controller then adapts (verl: apply_kl_penalty). */
static void charge_kl(struct pl_update *u, struct pl_rollouts *r, struct pl_update_stats *stats)
{
    const struct pl_run_conf *c = u->conf;
    double mean = 0.0;

    for (size_t i = 0; i < r->samples; i++) {
        double sum = 0.0;

        for (size_t t = r->first[i]; t < r->first[i + 1]; t++) {
            const double kl =
                pl_kl_value((enum pl_kl)c->kl_penalty, (double)r->old[t], (double)r->ref[t]);

            sum += kl;
            r->rewards[t] -= u->kl_coef * kl;
            r->scores[i] -= u->kl_coef * kl;
        }
        mean += sum / (double)(r->first[i + 1] - r->first[i]) / (double)r->samples;
    }
    stats->kl = mean;
    if (c->kl_ctrl == 1)
        u->kl_coef = pl_kl_adapt(u->kl_coef, mean, c->kl_target, c->kl_horizon, r->samples);
}

static void gdpo_weights(const struct pl_run_conf *c, double weights[3])
{
    for (size_t k = 0; k < 3; k++)
        weights[k] = strtod(c->gdpo_weights.items[k], NULL);
}

/* Where samples are compared and credit goes by segment; false: the estimator takes rewards of
 * tokens, which are placed so already. */
static bool estimate_staged(const struct pl_run_conf *c, struct pl_rollouts *r)
{
    const struct pl_samples s = pl_rollouts_samples(r);
    const struct pl_stages stages = pl_rollouts_stages(r, r->answer_sum);
    double weights[3];

    switch ((enum pl_advantage_kind)c->estimator) {
    case PL_ADVANTAGE_GAE:
    case PL_ADVANTAGE_RPP:
        return false;
    case PL_ADVANTAGE_GRPO:
        pl_advantage_staged(r->advantages, r->scores, &stages,
                            c->norm_by_std ? PL_BASELINE_STD : PL_BASELINE_MEAN, &s, r->left);
        break;
    case PL_ADVANTAGE_DR_GRPO:
        pl_advantage_staged(r->advantages, r->scores, &stages, PL_BASELINE_MEAN, &s, r->left);
        break;
    case PL_ADVANTAGE_RLOO:
        pl_advantage_staged(r->advantages, r->scores, &stages, PL_BASELINE_OTHERS, &s, r->left);
        break;
    case PL_ADVANTAGE_RPP_BASELINE:
        pl_advantage_staged(r->advantages, r->scores, &stages, PL_BASELINE_MEAN, &s, r->left);
        pl_whiten(r->advantages, r->tokens);
        break;
    case PL_ADVANTAGE_GDPO: {
        const struct pl_stages by_component[] = {pl_rollouts_stages(r, NULL),
                                                 pl_rollouts_stages(r, r->answer_charge),
                                                 pl_rollouts_stages(r, r->answer_paid)};

        gdpo_weights(c, weights);
        pl_advantage_gdpo_staged(r->advantages, r->components, weights, 3, by_component, &s,
                                 r->scratch, r->left);
        break;
    }
    }
    return true;
}

static void estimate(struct pl_update *u, struct pl_rollouts *r)
{
    const struct pl_run_conf *c = u->conf;
    const struct pl_samples s = pl_rollouts_samples(r);
    double weights[3];

    if (r->by_segment && estimate_staged(c, r))
        return;
    switch ((enum pl_advantage_kind)c->estimator) {
    case PL_ADVANTAGE_GRPO:
        pl_advantage_grpo(r->advantages, r->scores, &s, c->norm_by_std);
        break;
    case PL_ADVANTAGE_DR_GRPO:
        pl_advantage_grpo(r->advantages, r->scores, &s, false);
        break;
    case PL_ADVANTAGE_RLOO:
        pl_advantage_rloo(r->advantages, r->scores, &s);
        break;
    case PL_ADVANTAGE_RPP:
        pl_advantage_rpp(r->advantages, r->rewards, c->gamma, &s);
        break;
    case PL_ADVANTAGE_RPP_BASELINE:
        pl_advantage_rpp_baseline(r->advantages, r->scores, &s);
        break;
    case PL_ADVANTAGE_GDPO:
        gdpo_weights(c, weights);
        pl_advantage_gdpo(r->advantages, r->components, weights, 3, &s, r->scratch);
        break;
    case PL_ADVANTAGE_GAE:
        pl_advantage_gae(r->advantages, r->returns, r->rewards, r->values, c->gamma, c->lambda, &s);
        break;
    }
}

/* ---- mini-batches ---- */

static struct pl_policy_opts policy_opts(const struct pl_run_conf *c)
{
    return (struct pl_policy_opts){
        .clip_low = c->clip_low,
        .clip_high = c->clip_high,
        .clip_c = c->clip_c,
        .ratio = (enum pl_ratio)c->loss_mode,
        .agg = (enum pl_agg)c->loss_agg,
        .agg_scale = c->loss_scale > 0.0 ? c->loss_scale : (double)c->response_tokens_max,
        .entropy_coef = c->entropy_coef,
        .kl_coef = c->use_kl_loss ? c->kl_loss_coef : 0.0,
        .kl = (enum pl_kl)c->kl_loss_type,
    };
}

/* GSPO's ratio needs all of a sequence's log-probabilities before the first slope. */
static bool sequence_ratios(struct pl_update *u, const struct pl_rollouts *r, size_t g, size_t end,
                            float *sequence)
{
    if (!pl_walk_score(r, g, end, u->pack, u->trainer, NULL, u->stop, r->scratch))
        return false;
    for (size_t i = r->group_first[g]; i < r->group_first[end]; i++) {
        double sum = 0.0;

        for (size_t t = r->first[i]; t < r->first[i + 1]; t++)
            sum += (double)r->scratch[t] - (double)r->old[t];
        sequence[i] = (float)(sum / (double)(r->first[i + 1] - r->first[i]));
    }
    return true;
}

static void add_stats(struct pl_policy_stats *all, const struct pl_policy_stats *s)
{
    all->pg_loss += s->pg_loss;
    all->kl_loss += s->kl_loss;
    all->entropy_loss += s->entropy_loss;
    all->clipped += s->clipped;
    all->clipped_low += s->clipped_low;
    all->minus_l += s->minus_l;
    all->entropy += s->entropy;
    all->diff_max = fmax(all->diff_max, s->diff_max);
    all->ratio_max = fmax(all->ratio_max, s->ratio_max);
    all->tokens += s->tokens;
}

/* Groups [g, end): one optimiser step. */
static int mini_batch(struct pl_update *u, struct pl_rollouts *r, size_t g, size_t end, double lr,
                      float *sequence, struct pl_update_stats *stats, struct pl_error *err)
{
    const size_t i = r->group_first[g], j = r->group_first[end];
    struct pl_policy policy = {
        .opts = policy_opts(u->conf),
        .batch = {.first = r->first,
                  .old = r->old,
                  .ref = u->conf->use_kl_loss ? r->ref : NULL,
                  .advantage = r->advantages,
                  .weight = stats->corrected ? r->weight : NULL,
                  .sequences = j - i,
                  .tokens = r->first[j] - r->first[i]},
    };
    const bool compare = u->own && stats->tried == 0;
    struct pl_walk walk = {.group = g, .end = end};
    struct pl_objective objective;
    struct pl_step_stats step = {0};
    int rc;

    if (policy.opts.ratio == PL_RATIO_SEQUENCE) {
        if (!sequence_ratios(u, r, g, end, sequence))
            return stopped(err);
        policy.batch.sequence = sequence;
    }
    objective = pl_policy_objective(&policy);
    while (pl_walk_next(&walk, r, u->pack)) {
        const float *logp;

        if (pl_stop_asked(u->stop)) {
            pl_trainer_abandon(u->trainer);
            return stopped(err);
        }
        logp = pl_trainer_accumulate(u->trainer, u->pack, &objective);
        if (compare)
            compare_pack(r, u->pack, logp, &stats->difference);
    }
    stats->tried++;
    if (u->stop)
        u->stop->stepped = true;
    rc = pl_trainer_step(u->trainer, lr, &step, err);
    add_stats(&stats->policy, &policy.stats);
    if (rc < 0) {
        u->skipped++;
        return rc;
    }
    stats->grad_norm += step.grad_norm;
    stats->lr = step.lr;
    stats->steps++;
    return PL_OK;
}

/* All mini-batches, as often as there are epochs. */
static int learn(struct pl_update *u, struct pl_rollouts *r, double lr,
                 struct pl_update_stats *stats, struct pl_error *err)
{
    const struct pl_run_conf *c = u->conf;
    const size_t mini = mini_groups(c);
    const double minis = fmax(1.0, (double)((r->group_count + mini - 1) / mini));
    float *sequence = calloc(r->samples + 1, sizeof *sequence);
    int rc = PL_OK;

    if (!sequence)
        return pl_fail(err, PL_ENOMEM, "no memory for %zu samples", r->samples);
    for (size_t epoch = 0; rc != PL_ECANCELED && epoch < c->epochs; epoch++) {
        memset(&stats->policy, 0, sizeof stats->policy);
        for (size_t g = 0; rc != PL_ECANCELED && g < r->group_count; g += mini)
            rc = mini_batch(u, r, g, g + mini < r->group_count ? g + mini : r->group_count, lr,
                            sequence, stats, err);
    }
    free(sequence);
    if (rc == PL_ECANCELED) /* a gradient that is not finite is no error of the batch */
        return rc;
    if (stats->steps == 0 && r->group_count > 0)
        return pl_fail(err, PL_EINVAL, "no optimiser step of the batch had a finite gradient");
    stats->grad_norm /= stats->steps > 0 ? (double)stats->steps : 1.0;
    stats->policy.pg_loss /= minis;
    stats->policy.kl_loss /= minis;
    stats->policy.entropy_loss /= minis;
    return PL_OK;
}

/* Seconds since *mark, which becomes now. */
static double lap(double *mark)
{
    const double now = seconds(), s = now - *mark;

    *mark = now;
    return s;
}

int pl_update_run(struct pl_update *update, struct pl_rollouts *rollouts, double lr,
                  struct pl_update_stats *ret_stats, struct pl_error *err)
{
    struct pl_update *u = update;
    struct pl_rollouts *r = rollouts;
    const struct pl_samples samples = pl_rollouts_samples(r);
    const double kl_coef = u->kl_coef;
    struct pl_update_stats stats = {0};
    double mark = seconds();
    int rc;

    PL_ASSERT((u->conf->estimator == PL_ADVANTAGE_GAE) == (u->critic != NULL));
    PL_ASSERT(u->critic || !u->critic_only);
    if (u->stop)
        u->stop->stepped = false;
    if (u->critic)
        u->critic->stop = u->stop;
    rc = correct(u, r, &stats, err);
    stats.old_s = lap(&mark);
    if (rc == PL_OK && u->reference &&
        !pl_walk_score(r, 0, r->group_count, u->pack, u->trainer, u->reference, u->stop, r->ref))
        rc = stopped(err);
    stats.reference_s = lap(&mark);
    if (rc == PL_OK && u->critic && !pl_critic_values(u->critic, r, u->pack))
        rc = stopped(err);
    stats.values_s = lap(&mark);
    if (rc < 0)
        return rc;
    stats.zero_spread = pl_zero_spread_groups(r->scores, &samples);
    if (u->conf->kl_in_reward)
        charge_kl(u, r, &stats);
    estimate(u, r);
    stats.adv_s = lap(&mark);
    if (u->critic)
        rc = pl_critic_update(u->critic, r, u->pack, u->critic_lr, &stats.critic, err);
    stats.critic_s = lap(&mark);
    if (rc == PL_OK && !u->critic_only)
        rc = learn(u, r, lr, &stats, err);
    stats.update_s = lap(&mark);
    if (rc == PL_OK)
        *ret_stats = stats;
    else if (rc == PL_ECANCELED)
        u->kl_coef = kl_coef;
    return rc;
}
