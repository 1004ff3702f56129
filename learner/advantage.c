#include "learner/advantage.h"

#include <math.h>

static const double STD_FLOOR = 1e-6, VAR_FLOOR = 1e-8;

/* Samples [i, end) are the group that begins at i. */
static size_t group_end(const struct pl_samples *s, size_t i)
{
    size_t end = i + 1;

    while (end < s->count && s->group[end] == s->group[i])
        end++;
    return end;
}

static double mean_of(const double *scores, size_t i, size_t end)
{
    double sum = 0.0;

    if (end - i == 1)
        return 0.0;
    for (size_t j = i; j < end; j++)
        sum += scores[j];
    return sum / (double)(end - i);
}

static double std_of(const double *scores, size_t i, size_t end, double mean)
{
    double sum = 0.0;

    if (end - i == 1)
        return 1.0;
    for (size_t j = i; j < end; j++)
        sum += (scores[j] - mean) * (scores[j] - mean);
    return sqrt(sum / (double)(end - i - 1));
}

static void spread(float *adv, const struct pl_samples *s, size_t sample, double value)
{
    for (size_t t = s->first[sample]; t < s->first[sample + 1]; t++)
        adv[t] = (float)value;
}

void pl_advantage_grpo(float *adv, const double *scores, const struct pl_samples *samples,
                       bool by_std)
{
    for (size_t i = 0, end; i < samples->count; i = end) {
        end = group_end(samples, i);
        const double mean = mean_of(scores, i, end);
        const double scale = by_std ? std_of(scores, i, end, mean) + STD_FLOOR : 1.0;

        for (size_t j = i; j < end; j++)
            spread(adv, samples, j, (scores[j] - mean) / scale);
    }
}

void pl_advantage_rloo(float *adv, const double *scores, const struct pl_samples *samples)
{
    for (size_t i = 0, end; i < samples->count; i = end) {
        end = group_end(samples, i);
        const double n = (double)(end - i), mean = mean_of(scores, i, end);
        const double scale = end - i == 1 ? 1.0 : n / (n - 1.0);

        for (size_t j = i; j < end; j++)
            spread(adv, samples, j, scale * (scores[j] - mean));
    }
}

void pl_advantage_rpp(float *adv, const double *rewards, double gamma,
                      const struct pl_samples *samples)
{
    for (size_t i = 0; i < samples->count; i++) {
        double later = 0.0;

        for (size_t t = samples->first[i + 1]; t-- > samples->first[i];) {
            later = rewards[t] + gamma * later;
            adv[t] = (float)later;
        }
    }
    pl_whiten(adv, samples->first[samples->count]);
}

void pl_advantage_rpp_baseline(float *adv, const double *scores, const struct pl_samples *samples)
{
    pl_advantage_grpo(adv, scores, samples, false);
    pl_whiten(adv, samples->first[samples->count]);
}

void pl_advantage_gae(float *adv, float *returns, const double *rewards, const float *values,
                      double gamma, double lambda, const struct pl_samples *samples)
{
    for (size_t i = 0; i < samples->count; i++) {
        double value_next = 0.0, later = 0.0;

        for (size_t t = samples->first[i + 1]; t-- > samples->first[i];) {
            const double delta = rewards[t] + gamma * value_next - (double)values[t];

            later = delta + gamma * lambda * later;
            value_next = (double)values[t];
            adv[t] = (float)later;
            returns[t] = (float)(later + (double)values[t]);
        }
    }
    pl_whiten(adv, samples->first[samples->count]);
}

void pl_advantage_gdpo(float *adv, const double *components, const double *weights, size_t K,
                       const struct pl_samples *samples, float *scratch)
{
    const size_t T = samples->first[samples->count];

    for (size_t t = 0; t < T; t++)
        adv[t] = 0.0f;
    for (size_t k = 0; k < K; k++) {
        pl_advantage_grpo(scratch, components + k * samples->count, samples, true);
        for (size_t t = 0; t < T; t++)
            adv[t] += (float)weights[k] * scratch[t];
    }
    pl_whiten(adv, T);
}

/* What a sample's advantage is made of, for samples [i, end): (G - mean) * times / by. */
struct scale {
    double mean, times, by;
};

static struct scale scale_of(enum pl_baseline baseline, const double *left, size_t i, size_t end)
{
    const double n = (double)(end - i);
    struct scale scale = {.mean = mean_of(left, i, end), .times = 1.0, .by = 1.0};

    if (baseline == PL_BASELINE_STD)
        scale.by = std_of(left, i, end, scale.mean) + STD_FLOOR;
    else if (baseline == PL_BASELINE_OTHERS && end - i > 1)
        scale.times = n / (n - 1.0);
    return scale;
}

/* Samples [i, end), one group: stage by stage, until none has an answer left. */
static void stage_group(float *adv, const struct pl_stages *stages, enum pl_baseline baseline,
                        const struct pl_samples *s, double *left, size_t i, size_t end)
{
    bool more = true;

    for (size_t k = 0; more; k++) {
        const struct scale scale = scale_of(baseline, left, i, end);

        more = false;
        for (size_t j = i; j < end; j++) {
            const size_t a = stages->first[j] + k, answers = stages->first[j + 1];

            if (a > answers)
                continue;
            const size_t from = k > 0 ? stages->end[a - 1] : s->first[j];
            const size_t to = a < answers ? stages->end[a] : s->first[j + 1];

            for (size_t t = from; t < to; t++)
                adv[t] = (float)(scale.times * (left[j] - scale.mean) / scale.by);
            if (a < answers) { /* this stage's scale is made already */
                left[j] -= stages->part ? stages->part[a] : 0.0;
                more = true;
            }
        }
    }
}

void pl_advantage_staged(float *adv, const double *scores, const struct pl_stages *stages,
                         enum pl_baseline baseline, const struct pl_samples *samples, double *left)
{
    for (size_t j = 0; j < samples->count; j++)
        left[j] = scores[j];
    for (size_t i = 0, end; i < samples->count; i = end) {
        end = group_end(samples, i);
        stage_group(adv, stages, baseline, samples, left, i, end);
    }
}

void pl_advantage_gdpo_staged(float *adv, const double *components, const double *weights, size_t K,
                              const struct pl_stages *stages, const struct pl_samples *samples,
                              float *scratch, double *left)
{
    const size_t T = samples->first[samples->count];

    for (size_t t = 0; t < T; t++)
        adv[t] = 0.0f;
    for (size_t k = 0; k < K; k++) {
        pl_advantage_staged(scratch, components + k * samples->count, &stages[k], PL_BASELINE_STD,
                            samples, left);
        for (size_t t = 0; t < T; t++)
            adv[t] += (float)weights[k] * scratch[t];
    }
    pl_whiten(adv, T);
}

void pl_whiten(float *x, size_t T)
{
    double sum = 0.0, squares = 0.0;

    if (T == 0)
        return;
    for (size_t t = 0; t < T; t++)
        sum += (double)x[t];
    const double mean = sum / (double)T;

    for (size_t t = 0; t < T; t++)
        squares += ((double)x[t] - mean) * ((double)x[t] - mean);
    const double scale = T > 1 ? 1.0 / sqrt(squares / (double)(T - 1) + VAR_FLOOR) : 0.0;

    for (size_t t = 0; t < T; t++)
        x[t] = (float)(((double)x[t] - mean) * scale);
}

bool pl_zero_spread(const double *scores, size_t from, size_t end)
{
    for (size_t i = from + 1; i < end; i++)
        if (scores[i] < scores[from] || scores[i] > scores[from])
            return false;
    return true;
}

size_t pl_zero_spread_groups(const double *scores, const struct pl_samples *samples)
{
    size_t count = 0;

    for (size_t i = 0, end; i < samples->count; i = end) {
        end = group_end(samples, i);
        count += pl_zero_spread(scores, i, end);
    }
    return count;
}
