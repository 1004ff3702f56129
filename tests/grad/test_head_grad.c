/*
 * Final norm, vocabulary projection and loss against central differences in double: objectives of
 * log-probabilities and of entropies, rows that predict several tokens or none, chunks of any
 * number of rows, tied and untied; the same bits on every instruction set and for any number of
 * threads.
 */
#include "learner/head.h"

#include "common/base/buf.h"
#include "common/math/gemm.h"
#include "learner/ops_grad.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/close.h"
#include "tests/model.h"
#include "tests/slope.h"

enum { C = 20, V = 67 };

static const struct pl_test_lengths LENGTHS[] = {
    {4, {3, 1, 5, 1}}, {1, {9}}, {2, {1, 1}}, {6, {7}}};
enum { GROUPS = sizeof LENGTHS / sizeof *LENGTHS };

/*
 * The loss is a sum over predictions of f(logp) = a logp + logp^2 / 8 and, with entropies, of
 * g(entropy) = b entropy + entropy^2 / 4, with a and b of each prediction's own.
 */
struct head {
    struct pl_test_model model;
    struct pl_pack *pack;
    size_t chunk;
    bool entropy;
    const float *a, *b; /* (predictions) */
    const float *x_f;   /* (R, C) */
    double *x, *w, *norm;
    size_t row; /* the row looked at, or all: R */
    float temperature;
    bool plain; /* f(logp) = a logp alone */
};

static void set_slopes(void *at, const struct pl_slopes *s)
{
    const struct head *head = at;

    for (size_t i = 0; i < s->n; i++) {
        assert_true(s->predictions + i == head->pack->predictions + s->first + i);
        s->dlogp[i] = head->a[s->first + i] + (head->plain ? 0.0f : s->logp[i] / 4.0f);
        if (head->entropy)
            s->dentropy[i] = head->b[s->first + i] + s->entropy[i] / 2.0f;
    }
    assert_true((s->entropy != NULL) == head->entropy && (s->dentropy != NULL) == head->entropy);
}

/* Log-probabilities of the whole vocabulary in one row. */
static void row_logp(const struct head *s, size_t row, double *ret)
{
    const double eps = (double)s->model.shape->config.rms_eps;
    const double *x = s->x + row * C;
    double square = 0.0, sum = 0.0;

    for (size_t c = 0; c < C; c++)
        square += x[c] * x[c];
    for (size_t v = 0; v < V; v++) {
        ret[v] = 0.0;
        for (size_t c = 0; c < C; c++)
            ret[v] += s->w[v * C + c] * s->norm[c] * x[c];
        ret[v] /= sqrt(square / C + eps) * (double)s->temperature;
        sum += exp(ret[v]);
    }
    for (size_t v = 0; v < V; v++)
        ret[v] -= log(sum);
}

static double entropy_of(const double *logp)
{
    double sum = 0.0;

    for (size_t v = 0; v < V; v++)
        sum -= exp(logp[v]) * logp[v];
    return sum;
}

static double loss(const void *at)
{
    const struct head *s = at;
    double logp[V] = {0.0}, sum = 0.0;

    for (size_t p = 0; p < s->pack->prediction_count; p++) {
        const struct pl_prediction *of = &s->pack->predictions[p];

        if (s->row < s->pack->batch.rows && of->row != s->row)
            continue;
        if (p == 0 || of->row != of[-1].row || s->row == of->row)
            row_logp(s, of->row, logp);

        const double l = logp[of->target], e = entropy_of(logp);

        sum += (double)s->a[p] * l + l * l / 8.0;
        if (s->entropy)
            sum += (double)s->b[p] * e + e * e / 4.0;
    }
    return sum;
}

/* logp, entropy, dx and the gradients one after the other. */
static size_t result_floats(const struct head *s)
{
    return 2 * s->pack->prediction_count + s->pack->batch.rows * C + s->model.shape->floats;
}

static void head_loss(const void *at, float *ret)
{
    const struct head *s = at;
    const size_t P = s->pack->prediction_count, R = s->pack->batch.rows;
    const struct pl_config *config = &s->model.shape->config;
    const struct pl_objective objective = {(void *)s, s->entropy, set_slopes};
    float *dx = ret + 2 * P, *flat = dx + R * C;
    void *block = pl_alloc(pl_head_bytes(config, s->chunk, P), 1);
    struct pl_layer_grads layers[1];
    struct pl_grads grads = {.layers = layers};
    struct pl_head_scratch scratch;

    pl_head_place(&scratch, config, s->chunk, P, block);
    scratch.gemm = pl_alloc(pl_gemm_dx_scratch(&s->model.weights->head), sizeof(float));
    scratch.norm = pl_alloc(pl_rmsnorm_bwd_scratch(s->chunk, C), sizeof(float));
    pl_grads_place(&grads, s->model.shape, flat);
    pl_test_set(ret, 2 * P + R * C, NAN);          /* set, all of it ... */
    pl_test_fill(flat, s->model.shape->floats, 9); /* ... and added to */
    if (!s->entropy)
        pl_test_set(ret + P, P, 0.0f); /* left alone */
    pl_head_loss(ret, s->entropy ? ret + P : NULL, dx, &grads, s->model.weights, s->x_f, s->pack,
                 &objective, &scratch);
    free(block);
    free(scratch.gemm);
    free(scratch.norm);
}

static void check_forward(const struct head *s, const float *logp, const float *entropy)
{
    double want[V];

    for (size_t p = 0; p < s->pack->prediction_count; p++) {
        row_logp(s, s->pack->predictions[p].row, want);
        pl_assert_close(logp[p], want[s->pack->predictions[p].target], 3e-6, 1e-6);
        if (s->entropy)
            pl_assert_close(entropy[p], entropy_of(want), 3e-6, 1e-6);
    }
}

/* Slopes at x (R, C), at the norm (C) and at every STEPth weight, one after the other. */
enum { STEP = 7 };
static double *slopes_of(struct head *s)
{
    const size_t R = s->pack->batch.rows;
    double *slopes = malloc((R * C + C + V * C / STEP + 1) * sizeof *slopes), *at = slopes;

    for (s->row = 0; s->row < R; s->row++)
        for (size_t c = 0; c < C; c++)
            *at++ = pl_test_slope(&s->x[s->row * C + c], loss, s);
    for (size_t c = 0; c < C; c++)
        *at++ = pl_test_slope(&s->norm[c], loss, s);
    for (size_t i = 0; i < V * C; i += STEP)
        *at++ = pl_test_slope(&s->w[i], loss, s);
    return slopes;
}

static void check_gradient(const struct head *s, const double *slopes, const float *dx,
                           const float *flat)
{
    const size_t R = s->pack->batch.rows, floats = s->model.shape->floats;
    const enum pl_role role = s->model.shape->config.tied ? PL_ROLE_EMBED : PL_ROLE_HEAD;
    const size_t head_at = pl_shape_find(s->model.shape, role, 0)->offset;
    const size_t norm_at = pl_shape_find(s->model.shape, PL_ROLE_NORM_F, 0)->offset;
    float *before = malloc(floats * sizeof *before);

    pl_test_fill(before, floats, 9);
    for (size_t i = 0; i < R * C; i++)
        pl_assert_close(dx[i], *slopes++, 2e-6, 1e-5);
    for (size_t i = norm_at; i < norm_at + C; i++)
        pl_assert_close(flat[i], (double)before[i] + *slopes++, 1e-5, 1e-5);
    for (size_t i = head_at; i < head_at + V * C; i += STEP)
        pl_assert_close(flat[i], (double)before[i] + *slopes++, 5e-6, 1e-5);
    for (size_t i = 0; i < floats; i++) /* and nothing else */
        if ((i < head_at || i >= head_at + V * C) && (i < norm_at || i >= norm_at + C))
            assert_true(flat[i] == before[i]);
    free(before);
}

static void one_head(bool tied, bool with_entropy, float temperature)
{
    const struct pl_config config = {
        .hidden = C,
        .layers = 1,
        .heads = 2,
        .kv_heads = 1,
        .head_dim = 6,
        .ffn = 12,
        .vocab = V,
        .positions_max = 64,
        .rope_theta = 1e4,
        .rms_eps = 0.01f,
        .tied = tied,
        .bos = -1,
        .pad = -1,
    };
    static const size_t chunks[] = {1, 5, 16, 64};
    struct pl_test_batch batch;
    struct head s = {.entropy = with_entropy, .temperature = temperature};

    pl_test_model_create(&s.model, &config, 3);
    pl_test_batch_make(&batch, LENGTHS, GROUPS, V, 3);
    assert_int_equal(pl_test_packs(&batch, &batch.limits, &s.pack, 1), 1);
    s.pack->temperature = temperature;

    const size_t R = s.row = batch.limits.rows, P = s.pack->prediction_count;
    float *x = malloc(R * C * sizeof *x), *a = malloc(P * sizeof *a), *b = malloc(P * sizeof *b);
    float *first = NULL;
    double *slopes;

    pl_test_fill(x, R * C, 1);
    pl_test_fill(a, P, 2);
    pl_test_fill(b, P, 3);
    s.x_f = x;
    s.a = a;
    s.b = b;
    s.x = malloc(R * C * sizeof *s.x);
    s.w = malloc(V * C * sizeof *s.w);
    s.norm = malloc(C * sizeof *s.norm);
    pl_test_widen(s.x, x, R * C);
    pl_test_widen(s.w,
                  s.model.flat +
                      pl_shape_find(s.model.shape, tied ? PL_ROLE_EMBED : PL_ROLE_HEAD, 0)->offset,
                  V * C);
    pl_test_widen(s.norm, s.model.flat + pl_shape_find(s.model.shape, PL_ROLE_NORM_F, 0)->offset,
                  C);
    slopes = slopes_of(&s);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        float *got = malloc(result_floats(&s) * sizeof *got);

        s.chunk = chunks[i] < R ? chunks[i] : R;
        head_loss(&s, got);
        check_forward(&s, got, got + P);
        check_gradient(&s, slopes, got + 2 * P, got + 2 * P + R * C);
        pl_test_everywhere(head_loss, &s, got, result_floats(&s));
        if (!first)
            first = got;
        pl_assert_same_bits(got, first, 2 * P); /* whatever the chunk */
        if (got != first)
            free(got);
    }
    free(first);
    free(slopes);
    free(x);
    free(a);
    free(b);
    free(s.x);
    free(s.w);
    free(s.norm);
    pl_pack_destroy(s.pack);
    pl_test_model_destroy(&s.model);
}

static void log_probabilities(void **state)
{
    (void)state;
    one_head(false, false, 1.0f);
    one_head(true, false, 1.0f);
}

static void log_probabilities_and_entropies(void **state)
{
    (void)state;
    one_head(false, true, 1.0f);
    one_head(true, true, 1.0f);
}

static void at_the_temperature_of_the_samples(void **state)
{
    (void)state;
    one_head(false, true, 0.8f);
    one_head(true, true, 0.5f);
    one_head(false, false, 1.7f);
}

/* All arms of a bandit: one prompt, a response of each token of the vocabulary. */
static struct pl_pack *pack_of_all_arms(const uint32_t *prompt, size_t prompt_len)
{
    static uint32_t arms[V];
    static struct pl_pack_response responses[V];
    const struct pl_pack_limits limits = {prompt_len, V};
    const struct pl_group group = {prompt, prompt_len, responses, V};
    struct pl_pack *pack = NULL;
    struct pl_error err;

    for (uint32_t v = 0; v < V; v++) {
        arms[v] = v;
        responses[v] = (struct pl_pack_response){&arms[v], 1};
    }
    assert_int_equal(pl_pack_create(&limits, &pack, &err), PL_OK);
    assert_int_equal(pl_pack_add(pack, &group, 0, 0), V);
    return pack;
}

/*
 * Samples come from softmax(u / T), found here in double. Under that distribution the expected
 * gradient of the log-probability is 0, sum_v pi_T(v) d log pi_T(v) = 0: a reward that is the same
 * for all arms teaches nothing. It is not so for a gradient at another temperature.
 */
static void the_expected_gradient_is_zero_where_it_was_sampled(void **state)
{
    (void)state;
    static const float temperatures[] = {0.5f, 0.8f, 1.0f};
    static const uint32_t prompt[] = {3, 1, 4};
    enum { R = sizeof prompt / sizeof *prompt };
    const struct pl_config config = {
        .hidden = C,
        .layers = 1,
        .heads = 2,
        .kv_heads = 1,
        .head_dim = 6,
        .ffn = 12,
        .vocab = V,
        .positions_max = 64,
        .rope_theta = 1e4,
        .rms_eps = 0.01f,
        .tied = true,
        .bos = -1,
        .pad = -1,
    };
    float x[R * C], drawn[V];
    struct head s = {.chunk = R, .pack = pack_of_all_arms(prompt, R), .a = drawn, .plain = true};
    double wide[R * C], w[V * C], norm[C], logp[V];

    pl_test_model_create(&s.model, &config, 3);
    pl_test_fill(x, R * C, 5);
    pl_test_widen(wide, x, R * C);
    pl_test_widen(w, s.model.flat + pl_shape_find(s.model.shape, PL_ROLE_EMBED, 0)->offset, V * C);
    pl_test_widen(norm, s.model.flat + pl_shape_find(s.model.shape, PL_ROLE_NORM_F, 0)->offset, C);
    s.x_f = x;
    s.x = wide;
    s.w = w;
    s.norm = norm;
    for (size_t i = 0; i < sizeof temperatures / sizeof *temperatures; i++)
        for (size_t k = 0; k < sizeof temperatures / sizeof *temperatures; k++) {
            float *got = malloc(result_floats(&s) * sizeof *got);
            double most = 0.0;

            s.temperature = temperatures[i];
            row_logp(&s, R - 1, logp);
            for (size_t v = 0; v < V; v++)
                drawn[v] = (float)exp(logp[v]);
            s.pack->temperature = temperatures[k];
            head_loss(&s, got);
            for (size_t c = 0; c < R * C; c++)
                most = fmax(most, fabs((double)got[2 * V + c]));
            if (i == k)
                assert_true(most < 1e-6);
            else
                assert_true(most > 1e-3);
            free(got);
        }
    pl_pack_destroy(s.pack);
    pl_test_model_destroy(&s.model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_probabilities),
        cmocka_unit_test(log_probabilities_and_entropies),
        cmocka_unit_test(at_the_temperature_of_the_samples),
        cmocka_unit_test(the_expected_gradient_is_zero_where_it_was_sampled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
