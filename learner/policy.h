/*
 * The policy-gradient objective of a mini-batch, as slopes for the trainer (objective.h).
 *
 * Per response token, with l = logp - old clamped to +-20, rho = e^l, advantage A, weight w:
 *
 *   L = max(-A rho, -A clip(rho, 1 - clip_low, 1 + clip_high)),  A < 0: L = min(L, -A clip_c)
 *   loss = agg(w L) + kl_coef agg(kl(logp, ref)) - entropy_coef agg(entropy)
 *
 * GSPO: rho of a token is that of its whole sequence, exp(sum(logp - old) / len) capped at e^10,
 * and the gradient goes through it as through the token's own.
 *
 * agg over the mini-batch's n sequences, T tokens, sequence i of len_i:
 *   token-mean              sum / T
 *   seq-mean-token-sum      sum / n
 *   seq-mean-token-mean     sum_i (sum_t / len_i) / n
 *   seq-mean-token-sum-norm sum / (n scale)          (Dr.GRPO; scale: a fixed length)
 *
 * kl(logp, ref), d = ref - logp (k3: clamped to +-20, its value to +-10):
 *   k1 -d    abs |d|    k2 d^2 / 2    k3 e^d - d - 1 (verl: low_var_kl)
 *   with `straight` the value is that kind's and the gradient is k2's (verl: "k1+", "low_var_kl+")
 *
 * Schulman et al., arXiv 1707.06347; dual clip: Ye et al., arXiv 1912.09729; clip-higher: Yu et
 * al., arXiv 2503.14476; GSPO: Zheng et al., arXiv 2507.18071; verl/trainer/ppo/core_algos.py.
 */
#ifndef PL_LEARNER_POLICY_H
#define PL_LEARNER_POLICY_H

#include "learner/objective.h"

enum pl_agg { PL_AGG_TOKEN_MEAN, PL_AGG_SEQ_SUM, PL_AGG_SEQ_MEAN, PL_AGG_SEQ_NORM };
#define PL_AGG_CHOICES "token-mean|seq-mean-token-sum|seq-mean-token-mean|seq-mean-token-sum-norm"

enum pl_kl { PL_KL_K1, PL_KL_ABS, PL_KL_K2, PL_KL_K3 };
#define PL_KL_CHOICES "k1|abs|k2|low_var_kl"

enum pl_ratio { PL_RATIO_TOKEN, PL_RATIO_SEQUENCE };
#define PL_RATIO_CHOICES "vanilla|gspo"

struct pl_policy_opts {
    double clip_low, clip_high, clip_c; /* 0.2, 0.2, 3; clip_c over 1 */
    enum pl_ratio ratio;
    enum pl_agg agg;
    double agg_scale; /* seq-mean-token-sum-norm: the fixed length */
    double entropy_coef;
    double kl_coef; /* 0: no KL in the loss */
    enum pl_kl kl;
    bool straight;
};

/* A mini-batch. Sample i of the packs has tokens [first[i], first[i+1]) of these arrays. */
struct pl_policy_batch {
    const size_t *first;
    const float *old; /* log-probabilities before the update */
    const float *ref; /* of the reference policy; NULL: no KL */
    const float *advantage;
    const float *weight;      /* of truncated importance sampling; NULL: 1 */
    const float *sequence;    /* GSPO: sum(logp - old) / len of each sample; NULL otherwise */
    size_t sequences, tokens; /* n, T of the whole mini-batch */
};

/* Sums over the tokens seen so far; the metrics are quotients of them (verl's names). */
struct pl_policy_stats {
    double pg_loss, kl_loss, entropy_loss; /* aggregated: parts of the loss */
    double clipped, clipped_low, minus_l;  /* pg_clipfrac, pg_clipfrac_lower, ppo_kl: over tokens */
    double entropy;                        /* over tokens */
    double diff_max, ratio_max;            /* |logp - old|, rho */
    size_t tokens;
};

struct pl_policy {
    struct pl_policy_opts opts;
    struct pl_policy_batch batch;
    struct pl_policy_stats stats;
};

/* opts and batch are set by the caller, stats zeroed; `policy` must live while it is used. */
struct pl_objective pl_policy_objective(struct pl_policy *policy);

/* One token: loss before aggregation, and its slope by logp. What the objective is made of. */
struct pl_policy_token {
    double loss, slope;
    bool clipped, clipped_low;
};
struct pl_policy_token pl_policy_surrogate(const struct pl_policy_opts *opts, double l,
                                           double advantage);
/* Value and slope by logp of the KL estimate. */
double pl_kl_value(enum pl_kl kind, double logp, double ref);
double pl_kl_slope(enum pl_kl kind, bool straight, double logp, double ref);

/* beta <- beta (1 + clip(kl / target - 1, +-0.2) n / horizon), Ziegler et al., arXiv 1909.08593. */
double pl_kl_adapt(double beta, double kl, double target, double horizon, size_t n);

#endif
