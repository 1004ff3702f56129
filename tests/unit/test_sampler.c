/* Drawing tokens, against a plain sampler in double precision that sorts the whole vocabulary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/math/kernels.h"
#include "common/model/sampler.h"
#include "tests/close.h"

#include <math.h>
#include <omp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { V_MAX = 151936, SEED = 77 };

static float logits[V_MAX];

struct token {
    double z;
    uint32_t id;
};

static int by_z_then_id(const void *a, const void *b)
{
    const struct token *x = a, *y = b;

    if (x->z != y->z)
        return x->z < y->z ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* What may be drawn: p[id] over V, 0 where it was cut. Also whether a cut was a matter of rounding.
 */
static bool reference(double *p, const float *x, size_t V, const struct pl_sampling *s)
{
    struct token *t = calloc(V, sizeof *t);
    double total = 0.0, kept = 0.0, best = 0.0, mass = 0.0;
    size_t n = V, m = 0;
    bool doubtful = false;

    assert_non_null(t);
    for (size_t i = 0; i < V; i++)
        t[i] = (struct token){(double)x[i], (uint32_t)i};
    qsort(t, V, sizeof *t, by_z_then_id);
    best = t[0].z;
    if (s->top_k > 0 && s->top_k < V) /* and all equal to the last */
        for (n = s->top_k; n < V && t[n].z == t[s->top_k - 1].z;)
            n++;
    for (size_t i = 0; i < n; i++)
        total += exp((t[i].z - best) / (double)s->temperature);
    for (; m < n; m++) {
        doubtful |= s->top_p < 1.0f && fabs(mass / total - (double)s->top_p) < 2e-6;
        if (m > 0 && s->top_p < 1.0f && mass >= (double)s->top_p * total)
            break;
        mass += exp((t[m].z - best) / (double)s->temperature);
    }
    memset(p, 0, V * sizeof *p);
    for (size_t i = 0; i < m; i++) {
        const double w = exp((t[i].z - best) / (double)s->temperature);

        doubtful |= s->min_p > 0.0f && fabs(w - (double)s->min_p) < 1e-6 * (double)s->min_p;
        if (w >= (double)s->min_p || t[i].z == best)
            p[t[i].id] = w;
    }
    for (size_t i = 0; i < V; i++)
        kept += p[i];
    for (size_t i = 0; i < V; i++)
        p[i] /= kept;
    free(t);
    return doubtful;
}

/* Of the tempered policy over the full vocabulary; of the untempered one where it is greedy. */
static double reference_logprob(const float *x, size_t V, uint32_t id, float temperature)
{
    const double T = temperature > 0.0f ? (double)temperature : 1.0;
    double max = (double)x[0], sum = 0.0;

    for (size_t i = 0; i < V; i++)
        max = fmax(max, (double)x[i]);
    for (size_t i = 0; i < V; i++)
        sum += exp(((double)x[i] - max) / T);
    return ((double)x[id] - max) / T - log(sum);
}

static struct pl_sampler *make(size_t V)
{
    struct pl_sampler *sampler = NULL;
    struct pl_error err;

    assert_int_equal(pl_sampler_create(V, 2, &sampler, &err), PL_OK);
    return sampler;
}

static struct pl_draw draw_at(struct pl_sampler *sampler, const float *x, struct pl_sampling s,
                              uint32_t position)
{
    struct pl_draw draw = {
        .logits = x, .sampling = s, .rng = {.seed = SEED, .sample = 3}, .position = position};
    struct pl_error err;

    assert_int_equal(pl_sampling_check(&s, &err), PL_OK);
    pl_sampler_draw(sampler, &draw, 1);
    return draw;
}

static void fill(size_t V, uint32_t seed, float scale)
{
    pl_test_fill(logits, V, seed);
    for (size_t i = 0; i < V; i++)
        logits[i] *= scale;
}

static void ranges_are_checked(void **state)
{
    (void)state;
    static const struct pl_sampling bad[] = {
        {.temperature = -1.0f, .top_p = 1.0f},
        {.temperature = 1e-4f, .top_p = 1.0f},
        {.temperature = 2e3f, .top_p = 1.0f},
        {.temperature = NAN, .top_p = 1.0f},
        {.temperature = INFINITY, .top_p = 1.0f},
        {.temperature = 1.0f, .top_p = 1.5f},
        {.temperature = 1.0f, .top_p = NAN},
        {.temperature = 1.0f, .top_p = 1.0f, .min_p = -0.1f},
        {.temperature = 1.0f, .top_p = 1.0f, .min_p = 2.0f},
    };
    struct pl_error err;
    struct pl_sampler *sampler = NULL;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(pl_sampling_check(&bad[i], &err), PL_EINVAL);
    assert_int_equal(pl_sampler_create(0, 1, &sampler, &err), PL_EINVAL);
    assert_int_equal(pl_sampler_create(1, 0, &sampler, &err), PL_EINVAL);
    assert_null(sampler);
}

static void greedy_takes_the_lowest_of_equals(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 15, 101, 1023, 1024, 1025, 5000};

    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const size_t V = sizes[k];
        struct pl_sampler *sampler = make(V);

        for (size_t at = 0; at < V; at += V < 200 ? 1 : 97) {
            fill(V, (uint32_t)V, 3.0f);
            logits[at] = 9.0f;
            for (size_t i = at; i < V; i += 1 + at % 5)
                logits[i] = 9.0f;
            const struct pl_draw d = draw_at(sampler, logits, PL_SAMPLING_GREEDY, 0);

            assert_int_equal(d.id, at);
            pl_assert_close(d.logprob, reference_logprob(logits, V, d.id, 0.0f), 1e-6, 1e-6);
        }
        pl_sampler_destroy(sampler);
    }
}

/*
 * With the reference's distribution the token is found by hand: the first id at which the
 * cumulative probability passes the same random number. Near an edge of two ids both are right.
 */
static void assert_drawn(struct pl_sampler *sampler, size_t V, struct pl_sampling s, size_t draws)
{
    double *p = calloc(V, sizeof *p);
    const bool doubtful = reference(p, logits, V, &s);

    if (doubtful) {
        free(p);
        return;
    }
    for (uint32_t position = 0; position < draws; position++) {
        const struct pl_draw d = draw_at(sampler, logits, s, position);
        const double unit = pl_rng_unit(&d.rng, position);
        double before = 0.0;

        assert_false(d.broken);
        assert_true(d.id < V && p[d.id] > 0.0);
        for (size_t i = 0; i < d.id; i++)
            before += p[i];
        assert_true(unit >= before - 1e-5 && unit <= before + p[d.id] + 1e-5);
        pl_assert_close(d.logprob, reference_logprob(logits, V, d.id, s.temperature), 1e-5, 1e-6);
    }
    free(p);
}

static void every_cut_agrees_with_the_plain_sampler(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 7, 64, 101, 1024, 1025, 4099};
    static const uint32_t ks[] = {0, 1, 2, 5, 50, 1000, 100000};
    static const float tops[] = {1.0f, 0.0f, 0.1f, 0.5f, 0.95f, 0.999f};
    static const float mins[] = {0.0f, 0.05f, 0.5f, 1.0f};
    static const float temperatures[] = {1.0f, 0.3f, 2.5f};

    for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
        struct pl_sampler *sampler = make(sizes[n]);

        fill(sizes[n], (uint32_t)n + 1, 6.0f);
        for (size_t k = 0; k < sizeof ks / sizeof *ks; k++)
            for (size_t t = 0; t < sizeof tops / sizeof *tops; t++)
                for (size_t m = 0; m < sizeof mins / sizeof *mins; m++)
                    for (size_t e = 0; e < sizeof temperatures / sizeof *temperatures; e++)
                        assert_drawn(sampler, sizes[n],
                                     (struct pl_sampling){temperatures[e], ks[k], tops[t], mins[m]},
                                     6);
        pl_sampler_destroy(sampler);
    }
}

/* Logits on a coarse grid: many equal values on every cut. */
static void cuts_through_equal_logits_agree(void **state)
{
    (void)state;
    enum { V = 700 };
    struct pl_sampler *sampler = make(V);

    fill(V, 5, 4.0f);
    for (size_t i = 0; i < V; i++)
        logits[i] = roundf(logits[i]);
    for (uint32_t k = 0; k < V; k += 1 + k / 3)
        for (float top = 0.03f; top < 1.0f; top += 0.139f)
            assert_drawn(sampler, V, (struct pl_sampling){0.7f, k, top, 0.0f}, 8);
    pl_sampler_destroy(sampler);
}

static void all_equal_logits_are_uniform(void **state)
{
    (void)state;
    enum { V = 1000 };
    struct pl_sampler *sampler = make(V);

    for (size_t i = 0; i < V; i++)
        logits[i] = -3.5f;
    for (uint32_t position = 0; position < 500; position++) {
        const double unit = pl_rng_unit(&(struct pl_rng){.seed = SEED, .sample = 3}, position);
        struct pl_sampling s = PL_SAMPLING_PLAIN;
        struct pl_draw d = draw_at(sampler, logits, s, position);

        assert_true(fabs((double)d.id - floor(unit * V)) <= 1.0);
        pl_assert_close(d.logprob, -log((double)V), 1e-6, 0);
        s.top_k = 10; /* all equal the tenth */
        assert_int_equal(draw_at(sampler, logits, s, position).id, d.id);
        s.top_k = 0;
        s.top_p = 0.25f; /* the first quarter of the ids */
        d = draw_at(sampler, logits, s, position);
        assert_true(fabs((double)d.id - floor(unit * V / 4)) <= 1.0);
    }
    pl_sampler_destroy(sampler);
}

static void extremes_do_not_break_it(void **state)
{
    (void)state;
    enum { V = 333 };
    struct pl_sampler *sampler = make(V);
    static const struct pl_sampling all[] = {
        {0.0f, 0, 1.0f, 0.0f},   {1.0f, 0, 1.0f, 0.0f},       {1e-3f, 0, 1.0f, 0.0f},
        {1e3f, 0, 1.0f, 0.0f},   {1.0f, 5, 1.0f, 0.0f},       {1.0f, 0, 0.9f, 0.0f},
        {1.0f, 0, 1.0f, 0.1f},   {1e-3f, 7, 0.5f, 0.2f},      {1e3f, V + 9, 0.5f, 1.0f},
        {1.0f, 0, 1e-30f, 0.0f}, {1.0f, 0, 0.9999999f, 0.0f}, {1.0f, UINT32_MAX, 0.0f, 0.0f},
    };

    for (size_t i = 0; i < V; i++)
        logits[i] = i % 2 ? 1e30f : -1e30f;
    logits[200] = 1.5e30f;
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        const struct pl_draw d = draw_at(sampler, logits, all[k], (uint32_t)k);

        assert_false(d.broken);
        assert_int_equal(d.id, 200);
        assert_true(d.logprob == 0.0f);
    }
    for (size_t i = 0; i < V; i++)
        logits[i] = -1e30f;
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        const struct pl_draw d = draw_at(sampler, logits, all[k], (uint32_t)k);

        assert_false(d.broken);
        assert_true(d.id < V);
    }
    pl_sampler_destroy(sampler);
}

static void what_is_not_finite_is_reported(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    enum { V = 257 };
    struct pl_sampler *sampler = make(V);

    for (size_t k = 0; k < 3; k++)
        for (size_t at = 0; at < V; at += 51) {
            fill(V, 3, 1.0f);
            logits[at] = bad[k];
            assert_true(draw_at(sampler, logits, PL_SAMPLING_GREEDY, 0).broken);
            assert_true(draw_at(sampler, logits, PL_SAMPLING_PLAIN, 0).broken);
        }
    pl_sampler_destroy(sampler);
}

/* sum (seen - expected)^2 / expected over tokens expected at least 5 times, the others together. */
static void frequencies_match(size_t V, struct pl_sampling s)
{
    enum { DRAWS = 40000 };
    struct pl_sampler *sampler = make(V);
    double *p = calloc(V, sizeof *p), chi2 = 0.0, rest = 0.0;
    size_t *seen = calloc(V, sizeof *seen), rest_seen = 0, cells = 0;

    (void)reference(p, logits, V, &s);
    for (uint32_t i = 0; i < DRAWS; i++)
        seen[draw_at(sampler, logits, s, i).id]++;
    for (size_t i = 0; i < V; i++) {
        const double want = p[i] * DRAWS;

        if (want < 5.0) {
            rest += want;
            rest_seen += seen[i];
            continue;
        }
        chi2 += ((double)seen[i] - want) * ((double)seen[i] - want) / want;
        cells++;
    }
    if (rest >= 5.0) {
        chi2 += ((double)rest_seen - rest) * ((double)rest_seen - rest) / rest;
        cells++;
    }
    /* mean cells - 1, variance 2 (cells - 1): four deviations */
    const double freedom = (double)cells - 1.0;

    print_message("seed %d: chi-square %.1f over %zu cells\n", SEED, chi2, cells);
    assert_true(cells > 10);
    assert_true(chi2 < freedom + 4.0 * sqrt(2.0 * freedom));
    assert_true(chi2 > freedom - 4.0 * sqrt(2.0 * freedom)); /* too even is not random either */
    free(seen);
    free(p);
    pl_sampler_destroy(sampler);
}

static void frequencies_are_those_of_the_softmax(void **state)
{
    (void)state;
    fill(101, 9, 3.0f);
    frequencies_match(101, PL_SAMPLING_PLAIN);
    frequencies_match(101, (struct pl_sampling){0.6f, 30, 1.0f, 0.0f});
    frequencies_match(101, (struct pl_sampling){1.3f, 0, 0.8f, 0.0f});
    frequencies_match(101, (struct pl_sampling){1.0f, 0, 1.0f, 0.1f});
    fill(3000, 10, 2.0f);
    frequencies_match(3000, PL_SAMPLING_PLAIN);
}

/* A whole vocabulary of the size that is used, on each instruction set and number of threads: one
 * token. */
static void a_draw_is_the_same_everywhere(void **state)
{
    (void)state;
    static const char *const sets[] = {"plain", "avx2", "avx512"};
    static const struct pl_sampling all[] = {
        {0.0f, 0, 1.0f, 0.0f}, {1.0f, 0, 1.0f, 0.0f},  {0.7f, 50, 1.0f, 0.0f},
        {0.7f, 0, 0.9f, 0.0f}, {1.0f, 0, 1.0f, 0.05f}, {0.8f, 1000, 0.95f, 0.02f},
    };
    enum { KINDS = sizeof all / sizeof *all, DRAWS = 5 * KINDS };
    const struct pl_kernels *usual = pl_kernels();
    const int threads_usual = omp_get_max_threads();
    struct pl_sampler *sampler = make(V_MAX);
    struct pl_draw first[DRAWS], draws[DRAWS];
    bool have = false;

    fill(V_MAX, 4, 8.0f);
    for (size_t k = 0; k < 3; k++) {
        if (!pl_kernels_named(sets[k]))
            continue;
        pl_kernels_use(pl_kernels_named(sets[k]));
        for (int threads = 1; threads <= 2; threads++) {
            omp_set_num_threads(threads);
            for (size_t i = 0; i < DRAWS; i++)
                draws[i] = (struct pl_draw){.logits = logits,
                                            .sampling = all[i % KINDS],
                                            .rng = {.seed = SEED},
                                            .position = (uint32_t)i};
            pl_sampler_draw(sampler, draws, DRAWS);
            if (!have)
                memcpy(first, draws, sizeof draws);
            have = true;
            for (size_t i = 0; i < DRAWS; i++) {
                assert_int_equal(draws[i].id, first[i].id);
                assert_memory_equal(&draws[i].logprob, &first[i].logprob, sizeof(float));
            }
        }
    }
    pl_kernels_use(usual);
    omp_set_num_threads(threads_usual);
    for (size_t k = 0; k < KINDS; k++)
        if (all[k].temperature > 0.0f)
            assert_drawn(sampler, V_MAX, all[k], 3);
    pl_sampler_destroy(sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_checked),
        cmocka_unit_test(greedy_takes_the_lowest_of_equals),
        cmocka_unit_test(every_cut_agrees_with_the_plain_sampler),
        cmocka_unit_test(cuts_through_equal_logits_agree),
        cmocka_unit_test(all_equal_logits_are_uniform),
        cmocka_unit_test(extremes_do_not_break_it),
        cmocka_unit_test(what_is_not_finite_is_reported),
        cmocka_unit_test(frequencies_are_those_of_the_softmax),
        cmocka_unit_test(a_draw_is_the_same_everywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
