/*
 * Truncated importance sampling between the policy that sampled a batch and the one that training
 * starts from, where they are not the same: each token's loss is weighed (policy.h).
 *
 *   g_t = old_t - sampled_t   log-probabilities: recomputed by the policy that trains, and recorded
 *                             while the token was drawn, whatever version drew it
 *   token     w_t = min(exp(clamp(g_t, +-20)), C)
 *   sequence  w_t = min(exp(clamp(sum over the sample of g, +-20)), C), the same for all its tokens
 *
 * The ratio that is clipped is then that of the update alone, logp - old: what the proximal policy
 * and the behaviour policy are to each other is in w (Hilton et al., arXiv 2110.00641; verl:
 * algorithm.rollout_correction, verl/trainer/ppo/rollout_corr_helper.py, whose names these are).
 */
#ifndef PL_LEARNER_CORRECTION_H
#define PL_LEARNER_CORRECTION_H

#include "common/app/run_conf.h"
#include "learner/advantage.h"

/* Over all T tokens. */
struct pl_correction_stats {
    double mean, least, most; /* w, truncated */
    double cut;               /* share of tokens whose weight was over C */
    double ess;               /* 1 / mean((w / mean w)^2): 1 when all weigh the same */
    double kl, k3_kl;         /* KL(sampled || old): mean(-g), mean(e^g - 1 - g) */
    double chi2;              /* mean(e^2g) - 1 */
    double diff_max;          /* |g| */
};

/* weight: (T), set. kind: token or sequence. g is clamped to +-20 wherever it is an exponent. */
void pl_correction_weigh(float *weight, const float *old, const float *sampled,
                         const struct pl_samples *samples, enum pl_correction_kind kind,
                         double most, struct pl_correction_stats *ret_stats);

#endif
