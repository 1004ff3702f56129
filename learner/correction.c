#include "learner/correction.h"

#include "common/base/check.h"

#include <math.h>

static const double LOG_MAX = 20.0;

static double bounded_exp(double g)
{
    return exp(fmax(-LOG_MAX, fmin(LOG_MAX, g)));
}

static double gap(const float *old, const float *sampled, size_t t)
{
    return (double)old[t] - (double)sampled[t];
}

/* Sums, before they are divided by the number of tokens. */
static void measure(struct pl_correction_stats *s, double g)
{
    const double ratio = bounded_exp(g);

    s->kl -= g;
    s->k3_kl += ratio - 1.0 - g;
    s->chi2 += bounded_exp(2.0 * g);
    s->diff_max = fmax(s->diff_max, fabs(g));
}

void pl_correction_weigh(float *weight, const float *old, const float *sampled,
                         const struct pl_samples *samples, enum pl_correction_kind kind,
                         double most, struct pl_correction_stats *ret_stats)
{
    struct pl_correction_stats s = {.least = INFINITY};
    const double T = (double)samples->first[samples->count];
    double squares = 0.0;

    PL_ASSERT(kind == PL_CORRECTION_TOKEN || kind == PL_CORRECTION_SEQUENCE);
    for (size_t i = 0; i < samples->count; i++) {
        double sum = 0.0;

        for (size_t t = samples->first[i]; t < samples->first[i + 1]; t++)
            sum += gap(old, sampled, t);
        for (size_t t = samples->first[i]; t < samples->first[i + 1]; t++) {
            const double g = gap(old, sampled, t);
            const double free = bounded_exp(kind == PL_CORRECTION_TOKEN ? g : sum);
            const double w = fmin(free, most);

            weight[t] = (float)w;
            measure(&s, g);
            s.cut += free > most;
            s.mean += w;
            s.least = fmin(s.least, w);
            s.most = fmax(s.most, w);
            squares += w * w;
        }
    }
    s.mean /= T;
    s.cut /= T;
    s.kl /= T;
    s.k3_kl /= T;
    s.chi2 = s.chi2 / T - 1.0;
    s.ess = s.mean * s.mean * T / squares;
    *ret_stats = s;
}
