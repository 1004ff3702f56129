/*
 * AdamW against its formula in double, element by element; clipping, decay of vectors, rounding to
 * bf16, gradients that are not finite, the same bits for any number of threads, bad options.
 */
#include "learner/adamw.h"

#include "common/base/buf.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/close.h"
#include "tests/model.h"

/* Rows of q, k, v and of gate and up share words of packed panels in the first, not in the second;
 * tensors are of one part and of several. */
static const struct pl_config ODD = {
    .hidden = 42,
    .layers = 1,
    .heads = 3,
    .kv_heads = 1,
    .head_dim = 10,
    .ffn = 801,
    .vocab = 1001,
    .positions_max = 8,
    .rope_theta = 1e4,
    .rms_eps = 1e-6f,
    .qkv_bias = true,
    .bos = -1,
    .pad = -1,
};
static const struct pl_config EVEN = {
    .hidden = 64,
    .layers = 1,
    .heads = 2,
    .kv_heads = 1,
    .head_dim = 32,
    .ffn = 1056,
    .vocab = 65,
    .positions_max = 8,
    .rope_theta = 1e4,
    .rms_eps = 1e-6f,
    .tied = true,
    .bos = -1,
    .pad = -1,
};
static const struct pl_adamw_opts OPTS = {.beta1 = 0.9, .beta2 = 0.97, .eps = 1e-4};

struct optimiser {
    struct pl_test_model model;
    struct pl_adamw *adamw;
    struct pl_adamw_state state;
    float *grad;
    double *master, *m, *v; /* what it should be */
};

static struct optimiser make(const struct pl_config *config, const struct pl_adamw_opts *opts)
{
    struct optimiser o = {.adamw = NULL};
    struct pl_error err;

    pl_test_model_create(&o.model, config, 5);
    if (pl_adamw_create(o.model.shape, opts, &o.adamw, &err) < 0)
        fail_msg("%s", err.text);

    const size_t n = o.model.shape->floats;

    o.state.master = pl_alloc(n, sizeof(float));
    o.state.m = pl_alloc(n, sizeof(float));
    o.state.v = pl_alloc(n, sizeof(float));
    o.grad = pl_alloc(n, sizeof(float));
    o.master = calloc(n, sizeof(double));
    o.m = calloc(n, sizeof(double));
    o.v = calloc(n, sizeof(double));
    memcpy(o.state.master, o.model.flat, n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        o.master[i] = (double)o.model.flat[i];
    return o;
}

static void unmake(struct optimiser *o)
{
    pl_adamw_destroy(o->adamw);
    pl_test_model_destroy(&o->model);
    free(o->state.master);
    free(o->state.m);
    free(o->state.v);
    free(o->grad);
    free(o->master);
    free(o->m);
    free(o->v);
}

/* A gradient of very different sizes, some of it zero; none in the padding. */
static double fill_grad(struct optimiser *o, uint32_t seed)
{
    const struct pl_shape *shape = o->model.shape;
    float *random = malloc(shape->floats * sizeof *random);
    double squares = 0.0;

    pl_test_fill(random, shape->floats, seed);
    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];

        for (size_t j = t->offset; j < t->offset + pl_tensor_size(t); j++) {
            o->grad[j] = j % 11 == 3 ? 0.0f : ldexpf(random[j], -(int)(j % 7) * 3);
            squares += (double)o->grad[j] * (double)o->grad[j];
        }
    }
    free(random);
    return sqrt(squares);
}

static double step(struct optimiser *o, double lr)
{
    struct pl_error err;
    double norm = 0.0;

    if (pl_adamw_step(o->adamw, &o->state, o->grad, lr, o->model.weights, &norm, &err) < 0)
        fail_msg("%s", err.text);
    return norm;
}

/* The formula of the header, for all elements; `scale` is what clipping makes of the gradient. */
static void formula(struct optimiser *o, const struct pl_adamw_opts *opts, const float *grad,
                    double scale, double lr, double t)
{
    const struct pl_shape *shape = o->model.shape;

    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *tensor = &shape->tensors[i];
        const double decay = tensor->rank == 2 || opts->decay_vectors ? opts->weight_decay : 0.0;

        for (size_t j = tensor->offset; j < tensor->offset + pl_tensor_size(tensor); j++) {
            const double g = (double)grad[j] * scale;

            o->m[j] = opts->beta1 * o->m[j] + (1.0 - opts->beta1) * g;
            o->v[j] = opts->beta2 * o->v[j] + (1.0 - opts->beta2) * g * g;

            const double mean = o->m[j] / (1.0 - pow(opts->beta1, t));
            const double square = o->v[j] / (1.0 - pow(opts->beta2, t));

            o->master[j] =
                o->master[j] * (1.0 - lr * decay) - lr * mean / (sqrt(square) + opts->eps);
        }
    }
}

static void check(const struct optimiser *o, double lr)
{
    const size_t n = o->model.shape->floats;
    float *weights = pl_alloc(n, sizeof *weights);

    pl_weights_get_flat(o->model.weights, weights);
    for (size_t i = 0; i < n; i++) {
        pl_assert_close(o->state.m[i], o->m[i], 1e-7, 1e-6);
        pl_assert_close(o->state.v[i], o->v[i], 1e-20, 1e-6);
        pl_assert_close(o->state.master[i], o->master[i], 5e-6 * lr, 4e-7);
        assert_true(weights[i] == pl_bf16_widen(pl_bf16_round(o->state.master[i])));
        assert_true(o->grad[i] == 0.0f);
    }
    free(weights);
}

/* Four steps at different rates; `clip` times each gradient's norm is the limit. */
static void follow(const struct pl_config *config, struct pl_adamw_opts opts)
{
    struct optimiser o = make(config, &opts);
    float *grad = malloc(o.model.shape->floats * sizeof *grad);

    for (int t = 1; t <= 4; t++) {
        const double lr = 0.01 / t, norm = fill_grad(&o, (uint32_t)t);
        const double scale = opts.clip > 0.0 ? fmin(1.0, opts.clip / norm) : 1.0;

        memcpy(grad, o.grad, o.model.shape->floats * sizeof *grad);
        pl_assert_close(step(&o, lr), norm, 0.0, 1e-12);
        assert_int_equal(o.state.step, t);
        formula(&o, &opts, grad, scale, lr, t);
        check(&o, lr);
    }
    free(grad);
    unmake(&o);
}

static void steps_follow_the_formula(void **state)
{
    (void)state;
    struct pl_adamw_opts opts = OPTS;

    follow(&ODD, opts);
    opts.beta1 = 0.0;
    opts.eps = 1e-8;
    follow(&EVEN, opts);
}

static void decay_takes_vectors_or_not(void **state)
{
    (void)state;
    struct pl_adamw_opts opts = OPTS;

    opts.weight_decay = 0.3;
    follow(&ODD, opts);
    opts.decay_vectors = true;
    follow(&EVEN, opts);
    follow(&ODD, opts);
}

static void clipping_scales_the_gradient(void **state)
{
    (void)state;
    struct pl_adamw_opts opts = OPTS;

    opts.weight_decay = 0.01;
    opts.clip = 0.05; /* far under every norm */
    follow(&ODD, opts);
    opts.clip = 1e4; /* over it: nothing is scaled */
    follow(&EVEN, opts);
}

/* The limit is compared with the norm and 1e-6, as torch.nn.utils.clip_grad_norm_() does. */
static void clipping_has_its_epsilon(void **state)
{
    (void)state;
    struct pl_adamw_opts opts = OPTS;
    struct optimiser o;

    opts.clip = 3e-6;
    o = make(&EVEN, &opts);
    o.grad[0] = 3e-6f;
    step(&o, 1e-3);
    pl_assert_close(o.state.m[0], 0.1 * 3e-6 * 3e-6 / 4e-6, 0.0, 1e-6);
    unmake(&o);
}

/* The tail is learnt as a matrix and a vector of the model would be, under the same limit. */
static void a_tail_is_learnt_with_the_rest(void **state)
{
    (void)state;
    struct pl_adamw_opts opts = OPTS;

    opts.weight_decay = 0.3;
    opts.clip = 0.5;
    struct optimiser o = make(&ODD, &opts);
    const size_t n = o.model.shape->floats;
    const struct pl_tensor tail[] = {{.rank = 2, .rows = 1, .cols = 5, .offset = n},
                                     {.rank = 1, .rows = 1, .cols = 1, .offset = n + 5}};
    struct pl_adamw_state state_too = {.step = 2, .tail = tail, .tail_count = 2};
    float *grad = pl_alloc(n + 6, sizeof *grad);
    struct pl_error err;
    double norm = 0.0;

    assert_int_equal(pl_adamw_floats(o.model.shape, &o.state), n);
    assert_int_equal(pl_adamw_floats(o.model.shape, &state_too), n + 6);
    state_too.master = pl_alloc(n + 6, sizeof(float));
    state_too.m = pl_alloc(n + 6, sizeof(float));
    state_too.v = pl_alloc(n + 6, sizeof(float));
    for (size_t i = 0; i < 6; i++) {
        state_too.master[n + i] = 1.0f + (float)i / 4.0f;
        grad[n + i] = 2.0f;
    }
    grad[0] = 5.0f; /* sqrt(25 + 6 * 4) = 7 */
    if (pl_adamw_step(o.adamw, &state_too, grad, 0.1, o.model.weights, &norm, &err) < 0)
        fail_msg("%s", err.text);
    pl_assert_close(norm, 7.0, 0.0, 1e-7);
    for (size_t i = 0; i < 6; i++) {
        const double g = 2.0 * 0.5 / 7.0, b1 = 1.0 - pow(0.9, 3.0), b2 = 1.0 - pow(0.97, 3.0);
        const double keep = i < 5 ? 1.0 - 0.1 * 0.3 : 1.0;

        pl_assert_close(state_too.master[n + i],
                        (1.0 + (double)i / 4.0) * keep -
                            0.1 * (0.1 * g / b1) / (sqrt(0.03 * g * g / b2) + 1e-4),
                        1e-7, 1e-6);
        assert_true(grad[n + i] == 0.0f);
    }
    grad[n + 5] = NAN; /* refused for the sake of the tail alone */
    assert_int_equal(pl_adamw_step(o.adamw, &state_too, grad, 0.1, o.model.weights, &norm, &err),
                     PL_EINVAL);
    assert_true(grad[n + 5] == 0.0f);
    free(state_too.master);
    free(state_too.m);
    free(state_too.v);
    free(grad);
    unmake(&o);
}

static void bad_gradient_changes_nothing(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    struct pl_adamw_opts opts = OPTS;
    struct optimiser o;

    opts.weight_decay = 0.1;
    opts.clip = 1.0;
    o = make(&ODD, &opts);
    fill_grad(&o, 1);
    step(&o, 0.01);

    const size_t n = o.model.shape->floats;
    float *before[4], *weights = pl_alloc(n, sizeof *weights);
    const float *const now[] = {o.state.master, o.state.m, o.state.v};

    for (size_t i = 0; i < 4; i++)
        before[i] = pl_alloc(n, sizeof(float));
    for (size_t i = 0; i < 3; i++)
        memcpy(before[i], now[i], n * sizeof(float));
    pl_weights_get_flat(o.model.weights, before[3]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct pl_error err = {0};
        double norm = 0.0;

        fill_grad(&o, 2);
        o.grad[i * 1000 + 7] = bad[i];
        assert_int_equal(
            pl_adamw_step(o.adamw, &o.state, o.grad, 0.01, o.model.weights, &norm, &err),
            PL_EINVAL);
        assert_int_equal(err.code, PL_EINVAL);
        assert_non_null(strstr(err.text, "the step is refused and the weights are as they were"));
        assert_false(isfinite(norm));
        assert_int_equal(o.state.step, 1);
        for (size_t j = 0; j < 3; j++)
            pl_assert_same_bits(now[j], before[j], n);
        pl_weights_get_flat(o.model.weights, weights);
        pl_assert_same_bits(weights, before[3], n);
        for (size_t j = 0; j < n; j++)
            assert_true(o.grad[j] == 0.0f);
    }
    fill_grad(&o, 3); /* and the next one counts again */
    step(&o, 0.01);
    assert_int_equal(o.state.step, 2);
    for (size_t i = 0; i < 4; i++)
        free(before[i]);
    free(weights);
    unmake(&o);
}

static void threads_change_nothing(const struct pl_config *config)
{
    struct pl_adamw_opts opts = OPTS;
    float *first = NULL, *first_weights = NULL;

    opts.weight_decay = 0.1;
    opts.clip = 1.0;
    for (int threads = 1; threads <= 4; threads++) {
        omp_set_num_threads(threads);

        struct optimiser o = make(config, &opts);
        const size_t n = o.model.shape->floats;
        float *weights = pl_alloc(n, sizeof *weights);

        omp_set_num_threads(1 + threads % 3); /* not what it was created with */
        for (uint32_t t = 1; t <= 2; t++) {
            fill_grad(&o, t);
            step(&o, 0.01);
        }
        pl_weights_get_flat(o.model.weights, weights);
        if (!first) {
            first = pl_alloc(n, sizeof *first);
            memcpy(first, o.state.master, n * sizeof *first);
            first_weights = pl_alloc(n, sizeof *first);
            memcpy(first_weights, weights, n * sizeof *first);
        }
        pl_assert_same_bits(o.state.master, first, n);
        pl_assert_same_bits(weights, first_weights, n);
        free(weights);
        unmake(&o);
    }
    free(first);
    free(first_weights);
    omp_set_num_threads(2);
}

static void same_bits_for_any_threads(void **state)
{
    (void)state;
    threads_change_nothing(&ODD);
    threads_change_nothing(&EVEN);
}

static void norm_is_summed_in_double(void **state)
{
    (void)state;
    enum { MOST = (1 << 24) + 70000 }; /* more than is summed between two joins */
    static const size_t sizes[] = {0, 1, 15, 17, 65535, 65536, 65537, 200003};
    float *x = pl_alloc(MOST, sizeof *x);
    double first;

    pl_test_fill(x, 200003, 1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        double sum = 0.0;

        for (size_t j = 0; j < sizes[i]; j++)
            sum += (double)x[j] * (double)x[j];
        first = pl_norm(x, sizes[i]);
        pl_assert_close(first, sqrt(sum), 0.0, 1e-13);
        for (int threads = 1; threads <= 3; threads++) {
            omp_set_num_threads(threads);
            assert_true(pl_norm(x, sizes[i]) == first);
        }
    }
    /* Many blocks: another order of few of them now and then comes to the same number. */
    pl_test_fill(x, (size_t)48 << 16, 2);
    for (size_t blocks = 16; blocks <= 48; blocks++) {
        omp_set_num_threads(1);
        first = pl_norm(x, blocks << 16);
        for (int threads = 2; threads <= 4; threads++) {
            omp_set_num_threads(threads);
            assert_true(pl_norm(x, blocks << 16) == first);
        }
    }
    omp_set_num_threads(2);
    memset(x, 0, ((size_t)48 << 16) * sizeof *x);
    x[0] = 1e30f; /* its square is over the largest float */
    x[1 << 24] = -2e30f;
    x[MOST - 1] = 2e30f;
    pl_assert_close(pl_norm(x, MOST), 3e30, 0.0, 1e-6);
    free(x);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct pl_adamw_opts opts;
        const char *says;
    } bad[] = {
        {{.beta1 = 1.0, .beta2 = 0.9, .eps = 1e-8}, "AdamW's betas are 1 and 0.9"},
        {{.beta1 = -0.1, .beta2 = 0.9, .eps = 1e-8}, "AdamW's betas are -0.1 and 0.9"},
        {{.beta1 = 0.9, .beta2 = 1.5, .eps = 1e-8}, "AdamW's betas are 0.9 and 1.5"},
        {{.beta1 = NAN, .beta2 = 0.9, .eps = 1e-8}, "AdamW's betas"},
        {{.beta1 = 0.9, .beta2 = 0.9, .eps = 0.0}, "AdamW's eps is 0"},
        {{.beta1 = 0.9, .beta2 = 0.9, .eps = NAN}, "AdamW's eps"},
        {{.beta1 = 0.9, .beta2 = 0.9, .eps = 1e-8, .weight_decay = -0.5}, "weight decay -0.5"},
        {{.beta1 = 0.9, .beta2 = 0.9, .eps = 1e-8, .clip = -1.0}, "clipping norm -1"},
        {{.beta1 = 0.9, .beta2 = 0.9, .eps = 1e-8, .clip = NAN}, "clipping norm"},
    };
    struct pl_shape *shape = NULL;
    struct pl_adamw *adamw = NULL;
    struct pl_error err;

    assert_int_equal(pl_shape_create(&EVEN, &shape, &err), PL_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(pl_adamw_create(shape, &bad[i].opts, &adamw, &err), PL_EINVAL);
        assert_non_null(strstr(err.text, bad[i].says));
        assert_null(adamw);
    }
    pl_adamw_destroy(NULL);
    pl_shape_destroy(shape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_follow_the_formula),
        cmocka_unit_test(decay_takes_vectors_or_not),
        cmocka_unit_test(clipping_scales_the_gradient),
        cmocka_unit_test(clipping_has_its_epsilon),
        cmocka_unit_test(a_tail_is_learnt_with_the_rest),
        cmocka_unit_test(bad_gradient_changes_nothing),
        cmocka_unit_test(same_bits_for_any_threads),
        cmocka_unit_test(norm_is_summed_in_double),
        cmocka_unit_test(bad_options_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
