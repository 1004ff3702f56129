#include "learner/policy.h"

#include "common/base/check.h"

#include <math.h>

static const double LOG_RATIO_MAX = 20.0, KL_MAX = 10.0, GSPO_MAX = 10.0;

static double clamp(double x, double least, double most)
{
    return x < least ? least : x > most ? most : x;
}

struct pl_policy_token pl_policy_surrogate(const struct pl_policy_opts *opts, double l,
                                           double advantage)
{
    const double bounded = clamp(l, -LOG_RATIO_MAX, LOG_RATIO_MAX), rho = exp(bounded);
    const double free = -advantage * rho;
    const double cut = -advantage * clamp(rho, 1.0 - opts->clip_low, 1.0 + opts->clip_high);
    const double most = -advantage * opts->clip_c;
    struct pl_policy_token out = {.loss = free, .clipped = cut > free};

    if (bounded >= l && bounded <= l)
        out.slope = free; /* d rho / d logp = rho */
    if (out.clipped) {
        out.loss = cut;
        out.slope = 0.0;
    }
    if (advantage < 0.0 && most < out.loss) {
        out.clipped_low = true;
        out.loss = most;
        out.slope = 0.0;
    }
    return out;
}

double pl_kl_value(enum pl_kl kind, double logp, double ref)
{
    const double d = ref - logp, bounded = clamp(d, -LOG_RATIO_MAX, LOG_RATIO_MAX);

    switch (kind) {
    case PL_KL_K1:
        return -d;
    case PL_KL_ABS:
        return fabs(d);
    case PL_KL_K2:
        return 0.5 * d * d;
    case PL_KL_K3:
        break;
    }
    return clamp(exp(bounded) - bounded - 1.0, -KL_MAX, KL_MAX);
}

double pl_kl_slope(enum pl_kl kind, bool straight, double logp, double ref)
{
    const double d = ref - logp;

    if (straight || kind == PL_KL_K2)
        return -d;
    if (kind == PL_KL_K1)
        return 1.0;
    if (kind == PL_KL_ABS)
        return d > 0.0 ? -1.0 : d < 0.0 ? 1.0 : 0.0;
    if (fabs(d) > LOG_RATIO_MAX || exp(d) - d - 1.0 > KL_MAX)
        return 0.0;
    return 1.0 - exp(d);
}

double pl_kl_adapt(double beta, double kl, double target, double horizon, size_t n)
{
    return beta * (1.0 + clamp(kl / target - 1.0, -0.2, 0.2) * (double)n / horizon);
}

/* What a token's loss is multiplied with in the aggregate. */
static double share(const struct pl_policy *p, uint32_t sample)
{
    const struct pl_policy_batch *b = &p->batch;
    const double n = (double)b->sequences;

    switch (p->opts.agg) {
    case PL_AGG_TOKEN_MEAN:
        return 1.0 / (double)b->tokens;
    case PL_AGG_SEQ_SUM:
        return 1.0 / n;
    case PL_AGG_SEQ_MEAN:
        return 1.0 / (n * (double)(b->first[sample + 1] - b->first[sample]));
    case PL_AGG_SEQ_NORM:
        break;
    }
    return 1.0 / (n * p->opts.agg_scale);
}

static void slopes(void *at, const struct pl_slopes *s)
{
    struct pl_policy *p = at;
    const struct pl_policy_batch *b = &p->batch;
    struct pl_policy_stats *stats = &p->stats;

    for (size_t i = 0; i < s->n; i++) {
        const struct pl_prediction *at_i = &s->predictions[i];
        const size_t t = b->first[at_i->sample] + at_i->index;
        const double logp = (double)s->logp[i], l = logp - (double)b->old[t];
        const double agg = share(p, at_i->sample), w = b->weight ? (double)b->weight[t] : 1.0;
        const double of = p->opts.ratio == PL_RATIO_SEQUENCE
                              ? fmin((double)b->sequence[at_i->sample], GSPO_MAX)
                              : l;
        const struct pl_policy_token tok =
            pl_policy_surrogate(&p->opts, of, (double)b->advantage[t]);
        double slope = agg * w * tok.slope;

        PL_ASSERT(t < b->first[at_i->sample + 1]);
        stats->pg_loss += agg * w * tok.loss;
        if (b->ref && p->opts.kl_coef > 0.0) {
            const double ref = (double)b->ref[t];

            stats->kl_loss += agg * pl_kl_value(p->opts.kl, logp, ref);
            slope += agg * p->opts.kl_coef * pl_kl_slope(p->opts.kl, p->opts.straight, logp, ref);
        }
        if (s->entropy) {
            stats->entropy += (double)s->entropy[i];
            stats->entropy_loss += agg * (double)s->entropy[i];
        }
        s->dlogp[i] = (float)slope;
        if (s->dentropy)
            s->dentropy[i] = (float)(-p->opts.entropy_coef * agg);
        stats->clipped += tok.clipped;
        stats->clipped_low += tok.clipped_low;
        stats->minus_l -= l;
        stats->diff_max = fmax(stats->diff_max, fabs(l));
        stats->ratio_max = fmax(stats->ratio_max, exp(fmin(of, LOG_RATIO_MAX)));
        stats->tokens++;
    }
}

struct pl_objective pl_policy_objective(struct pl_policy *policy)
{
    PL_ASSERT(policy->batch.sequences > 0 && policy->batch.tokens > 0);
    PL_ASSERT(policy->opts.clip_c > 1.0);
    PL_ASSERT(policy->opts.ratio == PL_RATIO_TOKEN || policy->batch.sequence);
    return (struct pl_objective){
        .at = policy, .entropy = policy->opts.entropy_coef > 0.0, .slopes = slopes};
}
