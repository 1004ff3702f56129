/*
 * A row is turned once into shifted logits z = (x - max) / temperature and weights w = exp(z).
 * Without cuts a token is found by its block's sum first. With cuts the row is first compacted to
 * the candidates that can survive at all, by a bound that is cheap to find, and the exact cut is
 * then selected among those by a radix descent over the bits of z, counting tokens (top-k) or mass
 * (top-p).
 */
#include "common/model/sampler.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/math/kernels.h"
#include "common/math/ops.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 1024,        /* weights summed in f32 before they go to an f64 total */
    TOPS = 64,           /* logits whose maximum stands for them where few can survive */
    RADIX_BUCKETS = 2048 /* 11 bits of a key at a time, then 11, then 10 */
};

static const float Z_LEAST = -1e4f; /* exp() of it is 0; keeps infinities out of the keys */

/* What one thread needs for one row. */
struct lane {
    float *z, *w;  /* (V), later compacted to the candidates */
    uint32_t *ids; /* (V) of the candidates, ascending */
    float *tops;   /* (V / TOPS, rounded up) */
    double *sums;  /* (V / BLOCK, rounded up) */
    double *mass;  /* (RADIX_BUCKETS) */
    size_t n;      /* candidates */
};

struct pl_sampler {
    size_t vocab, threads;
    struct lane *lanes;
};

static size_t parts(size_t n, size_t size)
{
    return (n + size - 1) / size;
}

int pl_sampling_check(const struct pl_sampling *s, struct pl_error *err)
{
    if (!(s->temperature == 0.0f || (s->temperature >= 1e-3f && s->temperature <= 1e3f)))
        return pl_fail(err, PL_EINVAL, "temperature must be 0 or from 0.001 to 1000, found %g",
                       (double)s->temperature);
    if (!(s->top_p >= 0.0f && s->top_p <= 1.0f))
        return pl_fail(err, PL_EINVAL, "top_p must be from 0 to 1, found %g", (double)s->top_p);
    if (!(s->min_p >= 0.0f && s->min_p <= 1.0f))
        return pl_fail(err, PL_EINVAL, "min_p must be from 0 to 1, found %g", (double)s->min_p);
    return PL_OK;
}

size_t pl_sampler_bytes(size_t vocab, size_t threads)
{
    const size_t lane = vocab * (2 * sizeof(float) + sizeof(uint32_t)) +
                        parts(vocab, TOPS) * sizeof(float) + parts(vocab, BLOCK) * sizeof(double) +
                        RADIX_BUCKETS * sizeof(double);

    return sizeof(struct pl_sampler) + threads * (sizeof(struct lane) + lane);
}

static int lane_init(struct lane *lane, size_t V)
{
    lane->z = pl_alloc(V, sizeof *lane->z);
    lane->w = pl_alloc(V, sizeof *lane->w);
    lane->ids = pl_alloc(V, sizeof *lane->ids);
    lane->tops = pl_alloc(parts(V, TOPS), sizeof *lane->tops);
    lane->sums = pl_alloc(parts(V, BLOCK), sizeof *lane->sums);
    lane->mass = pl_alloc(RADIX_BUCKETS, sizeof *lane->mass);
    return lane->z && lane->w && lane->ids && lane->tops && lane->sums && lane->mass ? PL_OK
                                                                                     : PL_ENOMEM;
}

int pl_sampler_create(size_t vocab, size_t threads, struct pl_sampler **ret_sampler,
                      struct pl_error *err)
{
    struct pl_sampler *sampler;

    if (vocab == 0 || vocab > UINT32_MAX || threads == 0)
        return pl_fail(err, PL_EINVAL,
                       "sampler: a vocabulary of %zu and %zu threads are impossible", vocab,
                       threads);
    sampler = calloc(1, sizeof *sampler);
    if (sampler)
        sampler->lanes = calloc(threads, sizeof *sampler->lanes);
    if (!sampler || !sampler->lanes) {
        free(sampler);
        return pl_fail(err, PL_ENOMEM, "sampler: no memory");
    }
    sampler->vocab = vocab;
    sampler->threads = threads;
    for (size_t t = 0; t < threads; t++) {
        if (lane_init(&sampler->lanes[t], vocab) < 0) {
            pl_sampler_destroy(sampler);
            return pl_fail(err, PL_ENOMEM, "sampler: no memory for %zu bytes",
                           pl_sampler_bytes(vocab, threads));
        }
    }
    *ret_sampler = sampler;
    return PL_OK;
}

void pl_sampler_destroy(struct pl_sampler *sampler)
{
    if (!sampler)
        return;
    for (size_t t = 0; t < sampler->threads; t++) {
        struct lane *lane = &sampler->lanes[t];

        free(lane->z);
        free(lane->w);
        free(lane->ids);
        free(lane->tops);
        free(lane->sums);
        free(lane->mass);
    }
    free(sampler->lanes);
    free(sampler);
}

/* The first id whose logit is `max`. Blocks are compared whole, which the compiler vectorises. */
static uint32_t first_equal(const float *x, size_t V, float max)
{
    for (size_t at = 0; at < V; at += BLOCK) {
        const size_t end = at + BLOCK < V ? at + BLOCK : V;
        int found = 0;

        for (size_t i = at; i < end; i++)
            found |= x[i] == max;
        for (size_t i = at; found && i < end; i++)
            if (x[i] == max)
                return (uint32_t)i;
    }
    return 0;
}

/* z, w and the sums of w by blocks; returns their total. */
static double weigh(struct lane *lane, const float *x, size_t V, float max, float temperature)
{
    const struct pl_kernels *kern = pl_kernels();
    const float inverse = 1.0f / temperature;
    double total = 0.0;

    for (size_t b = 0; b < parts(V, BLOCK); b++) {
        const size_t at = b * BLOCK, n = V - at < BLOCK ? V - at : BLOCK;
        float *z = lane->z + at;

        for (size_t i = 0; i < n; i++) {
            const float scaled = (x[at + i] - max) * inverse;

            z[i] = scaled < Z_LEAST ? Z_LEAST : scaled;
        }
        lane->sums[b] = (double)kern->exp_sum(lane->w + at, z, 0.0f, n);
        total += lane->sums[b];
    }
    return total;
}

/* The first of n entries at which the running sum of weights passes `target`; the last of any
 * weight if none. */
static size_t pass(const float *w, size_t n, double target)
{
    double sum = 0.0;
    size_t last = 0;

    for (size_t i = 0; i < n; i++) {
        sum += (double)w[i];
        if (sum > target)
            return i;
        if (w[i] > 0.0f)
            last = i;
    }
    return last;
}

static uint32_t draw_plain(const struct lane *lane, size_t V, double total, double unit)
{
    const double target = unit * total;
    double sum = 0.0;
    size_t b = 0, last = 0;

    for (; b < parts(V, BLOCK) && sum + lane->sums[b] <= target; b++) {
        sum += lane->sums[b];
        if (lane->sums[b] > 0.0)
            last = b;
    }
    if (b == parts(V, BLOCK)) /* rounding: unit * total came out as the whole total */
        return (uint32_t)(last * BLOCK + pass(lane->w + last * BLOCK,
                                              V - last * BLOCK < BLOCK ? V - last * BLOCK : BLOCK,
                                              INFINITY));
    const size_t at = b * BLOCK, n = V - at < BLOCK ? V - at : BLOCK;

    return (uint32_t)(at + pass(lane->w + at, n, target - sum));
}

/* Floats in the order of unsigned integers; -0 counts as 0. */
static uint32_t order(float value)
{
    const union {
        float f;
        uint32_t word;
    } u = {.f = value + 0.0f};

    return u.word & 0x80000000u ? ~u.word : u.word | 0x80000000u;
}

/*
 * The key of the entry at which the running amount, from the largest z down, reaches `target`. The
 * amount is mass where w is given, else a count. *ret_above: the amount of strictly larger keys.
 */
static uint32_t select_key(double *mass, const float *z, const float *w, size_t n, double target,
                           double *ret_above)
{
    static const int shifts[] = {21, 10, 0};
    uint32_t prefix = 0, known = 0;
    double above = 0.0;

    for (size_t level = 0; level < 3; level++) {
        const uint32_t bits = level < 2 ? RADIX_BUCKETS - 1 : RADIX_BUCKETS / 2 - 1;
        uint32_t chosen = UINT32_MAX;

        memset(mass, 0, RADIX_BUCKETS * sizeof *mass);
        for (size_t i = 0; i < n; i++) {
            const uint32_t key = order(z[i]);

            if ((key & known) == prefix)
                mass[key >> shifts[level] & bits] += w ? (double)w[i] : 1.0;
        }
        for (uint32_t b = bits + 1; b-- > 0;) {
            if (mass[b] <= 0.0)
                continue;
            if (chosen != UINT32_MAX)
                above += mass[chosen];
            chosen = b;
            if (above + mass[b] >= target)
                break;
        }
        PL_ASSERT(chosen !=
                  UINT32_MAX); /* z = 0 has weight 1, and a chosen bucket is never empty */
        prefix |= chosen << shifts[level];
        known |= bits << shifts[level];
    }
    *ret_above = above;
    return prefix;
}

/* Compact the row to entries whose `by` (z or w) is at least `floor`; blocks without one are
 * skipped. */
static void gather(struct lane *lane, const float *by, size_t V, float floor)
{
    const struct pl_kernels *kern = pl_kernels();
    size_t n = 0;

    for (size_t at = 0; at < V; at += TOPS) {
        const size_t end = V - at < TOPS ? V : at + TOPS;

        if (kern->max(by + at, end - at) < floor)
            continue;
        for (size_t i = at; i < end; i++) {
            if (by[i] < floor)
                continue;
            lane->ids[n] = (uint32_t)i;
            lane->z[n] = lane->z[i]; /* n <= i: nothing unread is overwritten */
            lane->w[n] = lane->w[i];
            n++;
        }
    }
    lane->n = n;
}

/*
 * Keep the candidates above `key`, and of those equal to it, by ascending id, as many as it takes
 * to make up `left`; at least one.
 */
static void keep(struct lane *lane, uint32_t key, double left)
{
    size_t n = 0, equal = 0;

    for (size_t i = 0; i < lane->n; i++) {
        const uint32_t k = order(lane->z[i]);

        if (k < key || (k == key && equal > 0 && left <= 0.0))
            continue;
        if (k == key) {
            left -= (double)lane->w[i];
            equal++;
        }
        lane->ids[n] = lane->ids[i];
        lane->z[n] = lane->z[i];
        lane->w[n++] = lane->w[i];
    }
    lane->n = n;
}

/* The k-th largest of the maxima of small blocks bounds the k-th largest of all from below. */
static void cut_top_k(struct lane *lane, size_t V, size_t k)
{
    const struct pl_kernels *kern = pl_kernels();
    const size_t blocks = parts(V, TOPS);
    float floor = -INFINITY;
    double above;

    if (k <= blocks) {
        for (size_t b = 0; b < blocks; b++)
            lane->tops[b] =
                kern->max(lane->z + b * TOPS, V - b * TOPS < TOPS ? V - b * TOPS : TOPS);
        const uint32_t key = select_key(lane->mass, lane->tops, NULL, blocks, (double)k, &above);

        floor = INFINITY;
        for (size_t b = 0; b < blocks; b++)
            if (order(lane->tops[b]) >= key && lane->tops[b] < floor)
                floor = lane->tops[b];
    }
    gather(lane, lane->z, V, floor);
    keep(lane, select_key(lane->mass, lane->z, NULL, lane->n, (double)k, &above), INFINITY);
}

/* Mass of the candidates; sequential, so that it is the same on every machine. */
static double candidates_mass(const struct lane *lane)
{
    double sum = 0.0;

    for (size_t i = 0; i < lane->n; i++)
        sum += (double)lane->w[i];
    return sum;
}

static void cut_top_p(struct lane *lane, double total, double p)
{
    double above;
    const double target = p * total;
    const uint32_t key = select_key(lane->mass, lane->z, lane->w, lane->n, target, &above);

    keep(lane, key, target - above);
}

static void cut_min_p(struct lane *lane, float least)
{
    size_t n = 0;

    for (size_t i = 0; i < lane->n; i++) {
        if (lane->w[i] < least && lane->z[i] < 0.0f)
            continue;
        lane->ids[n] = lane->ids[i];
        lane->z[n] = lane->z[i];
        lane->w[n++] = lane->w[i];
    }
    lane->n = n;
}

/* Leaves in the lane what may be drawn, ids ascending. `total` is the mass of the whole row. */
static void cut(struct lane *lane, size_t V, const struct pl_sampling *s, double total)
{
    const int by_count = s->top_k > 0 && s->top_k < V, by_mass = s->top_p < 1.0f;

    if (by_count) {
        cut_top_k(lane, V, s->top_k);
        total = candidates_mass(lane);
    } else if (by_mass) {
        /* All that weigh less than the removed share, spread evenly, are together within that
         * share. */
        const double floor = 0.999 * (1.0 - (double)s->top_p) * total / (double)V;

        gather(lane, lane->w, V, floor < 1.0 ? (float)floor : 1.0f);
    } else {
        gather(lane, lane->w, V, 0.999f * s->min_p);
    }
    if (by_mass)
        cut_top_p(lane, total, (double)s->top_p);
    if (s->min_p > 0.0f)
        cut_min_p(lane, s->min_p);
    PL_ASSERT(lane->n > 0); /* the largest logit survives every cut */
}

static void draw_one(struct lane *lane, size_t V, struct pl_draw *draw)
{
    const struct pl_sampling *s = &draw->sampling;
    const float *x = draw->logits;

    draw->id = 0;
    draw->logprob = -INFINITY;
    draw->broken = !isfinite(pl_sum(x, V)); /* any infinity or NaN gets into the sum */
    if (draw->broken)
        return;
    const float max = pl_max(x, V);

    if (s->temperature == 0.0f) {
        draw->id = first_equal(x, V, max);
    } else {
        const double total = weigh(lane, x, V, max, s->temperature);
        const double unit = pl_rng_unit(&draw->rng, draw->position);

        if ((s->top_k == 0 || s->top_k >= V) && s->top_p >= 1.0f && s->min_p <= 0.0f) {
            draw->id = draw_plain(lane, V, total, unit);
        } else {
            cut(lane, V, s, total);
            draw->id = lane->ids[pass(lane->w, lane->n, unit * candidates_mass(lane))];
        }
    }
    if (s->temperature != 0.0f && s->temperature != 1.0f) {
        pl_temper(lane->w, x, s->temperature, V); /* the weights have been drawn from */
        x = lane->w;
    }
    draw->logprob = (float)((double)x[draw->id] - pl_logsumexp(x, V));
    if (!isfinite(draw->logprob)) { /* a logit too large to be divided by the temperature */
        draw->id = 0;
        draw->broken = 1;
    }
}

void pl_sampler_draw(struct pl_sampler *sampler, struct pl_draw *draws, size_t n)
{
    const size_t most = (size_t)omp_get_max_threads();
    const size_t threads = most < sampler->threads ? most : sampler->threads;

#pragma omp parallel for schedule(dynamic, 1) num_threads((int)threads) if (n > 1)
    for (size_t i = 0; i < n; i++)
        draw_one(&sampler->lanes[omp_get_thread_num()], sampler->vocab, &draws[i]);
}
