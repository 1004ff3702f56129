/*
 * Advantage estimators: pure functions from rewards to one advantage a response token.
 *
 *   n samples in groups of the same prompt; sample i has tokens [first[i], first[i+1]) of T in all
 *   s_i the score of sample i, r_t the reward of token t (where a token carries one)
 *   mean, std over a group are over its samples, std with n - 1; a group of one has mean 0, std 1
 *
 * Formulas as in verl, verl/trainer/ppo/core_algos.py, which names them alike. Sums run in double,
 * in the order of the samples.
 */
#ifndef PL_LEARNER_ADVANTAGE_H
#define PL_LEARNER_ADVANTAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_samples {
    size_t count;        /* n */
    const size_t *first; /* (n + 1), first[n] = T */
    const size_t *group; /* (n) ascending without gaps from 0 */
};

/*
 * Credit by segment: what samples earn on the way, so that an answer is not credited with what was
 * earned before it. Sample i has answers [first[i], first[i+1]); answer a ends before token end[a]
 * and has earned part[a] of the sample's score.
 *
 *   token t of sample i is in stage k(t), the number of i's answers that end at or before t
 *   G_i,k = s_i - sum of the parts of i's first k answers: what is still to come at stage k;
 *           beyond its last answer: as at its last
 *   A_t   = E(G_1,k .. G_n,k)_i with k = k(t), n the samples of the group, E the estimator
 *
 * that is, GRPO, Dr.GRPO, RLOO compare at every stage what is still to come with what the group's
 * samples still had to come after as many answers, each sample counted once. At stage 0 this is
 * E(s)_i, and everywhere where nothing is earned on the way. A stage in which all have the same to
 * come has advantage 0. What belongs to no answer (format, final, overlong, KL) comes at the end.
 * REINFORCE++ and GAE need none of this: their rewards are a token's (rollouts.h).
 */
struct pl_stages {
    const size_t *first; /* (n + 1) */
    const size_t *end;   /* (first[n]) ascending within a sample */
    const double *part;  /* (first[n]); NULL: nothing is earned on the way */
};

/* The order of verl's algorithm.adv_estimator choices as plait offers them. */
#define PL_ADVANTAGE_CHOICES                                                                       \
    "gae|grpo|dr_grpo|rloo|reinforce_plus_plus|reinforce_plus_plus_baseline|gdpo"
enum pl_advantage_kind {
    PL_ADVANTAGE_GAE,
    PL_ADVANTAGE_GRPO,
    PL_ADVANTAGE_DR_GRPO,
    PL_ADVANTAGE_RLOO,
    PL_ADVANTAGE_RPP,
    PL_ADVANTAGE_RPP_BASELINE,
    PL_ADVANTAGE_GDPO,
};

/* A = (s_i - mean) / (std + 1e-6) on every token; without by_std (Dr.GRPO): s_i - mean.
 * Shao et al., arXiv 2402.03300; Liu et al., arXiv 2503.20783. */
void pl_advantage_grpo(float *adv, const double *scores, const struct pl_samples *samples,
                       bool by_std);

/* A = n_g / (n_g - 1) (s_i - mean); a group of one: s_i. Ahmadian et al., arXiv 2402.14740. */
void pl_advantage_rloo(float *adv, const double *scores, const struct pl_samples *samples);

/* R_t = r_t + gamma R_(t+1) within a sample, A = whiten(R). Hu et al., arXiv 2501.03262. */
void pl_advantage_rpp(float *adv, const double *rewards, double gamma,
                      const struct pl_samples *samples);

/* A = whiten(s_i - mean), a token each. */
void pl_advantage_rpp_baseline(float *adv, const double *scores, const struct pl_samples *samples);

/*
 * delta_t = r_t + gamma V_(t+1) - V_t, L_t = delta_t + gamma lambda L_(t+1), V and L behind the
 * last token 0; returns R_t = L_t + V_t, A = whiten(L). Schulman et al., arXiv 1506.02438.
 */
void pl_advantage_gae(float *adv, float *returns, const double *rewards, const float *values,
                      double gamma, double lambda, const struct pl_samples *samples);

/*
 * A = whiten(sum_k w_k A_k) with A_k the GRPO advantage of reward component k alone; components:
 * (K, n). Each component is normalised by itself, so that one of large spread (format) does not
 * drown one of small spread (intermediate answers). scratch: (T).
 */
void pl_advantage_gdpo(float *adv, const double *components, const double *weights, size_t K,
                       const struct pl_samples *samples, float *scratch);

enum pl_baseline {
    PL_BASELINE_STD,   /* (G - mean) / (std + 1e-6) */
    PL_BASELINE_MEAN,  /* G - mean */
    PL_BASELINE_OTHERS /* n_g / (n_g - 1) (G - mean); a group of one: G */
};
/* The above with E by `baseline`; left: (n), scratch. */
void pl_advantage_staged(float *adv, const double *scores, const struct pl_stages *stages,
                         enum pl_baseline baseline, const struct pl_samples *samples, double *left);

/* As pl_advantage_gdpo(), each component k by its own stages[k]. */
void pl_advantage_gdpo_staged(float *adv, const double *components, const double *weights, size_t K,
                              const struct pl_stages *stages, const struct pl_samples *samples,
                              float *scratch, double *left);

/* x <- (x - mean) (var + 1e-8)^(-1/2) over T values, var with T - 1; one value becomes 0. */
void pl_whiten(float *x, size_t T);

/* Whether samples [from, end) all have the same score. */
bool pl_zero_spread(const double *scores, size_t from, size_t end);

/* Groups of which that is true (verl and TRL: frac_reward_zero_std). */
size_t pl_zero_spread_groups(const double *scores, const struct pl_samples *samples);

#endif
