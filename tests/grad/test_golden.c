/*
 * The training engine against PyTorch: logits, log-probabilities, entropies, the gradient of every
 * parameter and three AdamW steps, as tests/reference/golden.py wrote them to tests/data/.
 *
 * The reference goes through its sequences one by one, each with its whole prompt. Here they are
 * packed with shared prompts, whole and in micro-batches, with activations kept and recomputed, by
 * one thread and by two.
 */
#include "learner/trainer.h"

#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/model/forward.h"
#include "common/model/rope.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/close.h"
#include "tests/model.h"

enum { STEPS = 3, PACKS = 8, FILE_MAX = 1 << 20 };

static const char *const CASES[] = {"qwen2-tied",   "qwen2-untied", "qwen2-equal",
                                    "qwen2-linear", "llama-llama3", "llama-tied"};

struct golden {
    json_t *root;
    struct pl_test_model model;
    struct pl_test_batch batch;
    size_t first[PL_TEST_GROUPS * PL_TEST_RESPONSES]; /* of each response's tokens */
    float *logits, *logp, *entropy;                   /* in the order of responses' tokens */
    float *grad, *master;                             /* (shape->floats) */
};
static const char *name; /* of the case that runs */

/* ---- reading a file ---- */

static void must(int rc, const struct pl_error *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

static unsigned six_bits(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    assert_non_null(at);
    return (unsigned)(at - digits);
}

/* Base64 of n little-endian floats; (n) of memory from malloc() where ret is NULL. */
static float *floats_of(const json_t *object, const char *key, float *ret, size_t n)
{
    const char *text = json_string_value(json_object_get(object, key));
    uint32_t word = 0;

    assert_non_null(text);
    assert_int_equal(strlen(text), (n * 4 + 2) / 3 * 4);
    if (!ret)
        ret = malloc(n * sizeof *ret);
    assert_non_null(ret);
    for (size_t i = 0; i < n * 4; i++) {
        const size_t six = i * 8 / 6, into = i * 8 - six * 6;
        const uint32_t twelve = six_bits(text[six]) << 6 | six_bits(text[six + 1]);

        word |= (twelve >> (4 - into) & 0xFF) << (i % 4 * 8);
        if (i % 4 == 3) {
            memcpy(&ret[i / 4], &word, sizeof word);
            word = 0;
        }
    }
    return ret;
}

static size_t ids_of(const json_t *list, uint32_t *ids, size_t most)
{
    assert_true(json_array_size(list) > 0 && json_array_size(list) <= most);
    for (size_t i = 0; i < json_array_size(list); i++)
        ids[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    return json_array_size(list);
}

static void read_groups(struct golden *g)
{
    const json_t *groups = json_object_get(g->root, "groups"), *group, *response;
    struct pl_test_batch *b = &g->batch;
    size_t at = 0, sample = 0, i, j;

    b->group_count = json_array_size(groups);
    assert_true(b->group_count > 0 && b->group_count <= PL_TEST_GROUPS);
    json_array_foreach(groups, i, group)
    {
        const json_t *responses = json_object_get(group, "responses");

        b->groups[i] = (struct pl_group){b->ids + at, 0, b->responses + sample, 0};
        b->groups[i].prompt_len =
            ids_of(json_object_get(group, "prompt"), b->ids + at, PL_TEST_IDS - at);
        at += b->groups[i].prompt_len;
        assert_true(json_array_size(responses) <= PL_TEST_RESPONSES);
        json_array_foreach(responses, j, response)
        {
            const size_t n = ids_of(response, b->ids + at, PL_TEST_IDS - at);

            g->first[sample] = b->tokens;
            b->tokens += n;
            b->responses[sample++] = (struct pl_pack_response){b->ids + at, n};
            b->groups[i].count++;
            at += n;
        }
    }
    pl_test_batch_measure(b);
}

/* Every tensor of the model is there, by the name and shape that Transformers gives it. */
static void read_tensors(struct golden *g)
{
    const json_t *tensors = json_object_get(g->root, "tensors"), *tensor;
    const struct pl_shape *shape = g->model.shape;
    size_t i;

    g->grad = pl_alloc(shape->floats, sizeof *g->grad);
    g->master = pl_alloc(shape->floats, sizeof *g->master);
    assert_int_equal(json_array_size(tensors), shape->count);
    json_array_foreach(tensors, i, tensor)
    {
        const struct pl_tensor *t = &shape->tensors[i];
        const json_t *sizes = json_object_get(tensor, "shape");

        assert_string_equal(json_string_value(json_object_get(tensor, "name")), t->name);
        assert_int_equal(json_array_size(sizes), t->rank);
        assert_int_equal(json_integer_value(json_array_get(sizes, 0)), t->rows);
        if (t->rank == 2)
            assert_int_equal(json_integer_value(json_array_get(sizes, 1)), t->cols);
        floats_of(tensor, "grad", g->grad + t->offset, pl_tensor_size(t));
        floats_of(tensor, "master", g->master + t->offset, pl_tensor_size(t));
    }
}

static int setup(void **state)
{
    struct golden *g = calloc(1, sizeof *g);
    char *path = pl_strf("%s/tests/data/golden-%s.json", getenv("PLAIT_TEST_SOURCE"), name);
    struct pl_config config;
    struct pl_error err;
    size_t seed;

    must(pl_json_load(path, FILE_MAX, &g->root, &err), &err);
    must(pl_json_size(g->root, "seed", path, 0, 1 << 20, &seed, &err), &err);
    must(pl_config_parse(json_object_get(g->root, "config"), path, &config, &err), &err);
    pl_test_model_create(&g->model, &config, seed);
    read_groups(g);
    g->logits = floats_of(g->root, "logits", NULL, g->batch.tokens * config.vocab);
    g->logp = floats_of(g->root, "logp", NULL, g->batch.tokens);
    g->entropy = floats_of(g->root, "entropy", NULL, g->batch.tokens);
    read_tensors(g);
    free(path);
    *state = g;
    return 0;
}

static int teardown(void **state)
{
    struct golden *g = *state;

    pl_test_model_destroy(&g->model);
    json_decref(g->root);
    free(g->logits);
    free(g->logp);
    free(g->entropy);
    free(g->grad);
    free(g->master);
    free(g);
    return 0;
}

/* ---- comparing ---- */

/* |got - want| / |want| */
static double off(const float *got, const float *want, size_t n)
{
    double d = 0.0, size = 0.0;

    for (size_t i = 0; i < n; i++) {
        d += pow((double)got[i] - (double)want[i], 2.0);
        size += pow((double)want[i], 2.0);
    }
    return sqrt(d / size);
}

/*
 * Tensor by tensor: the norm of the difference is at most `rel` of the norm, and no element is off
 * by more than `rel` of itself and `floor` of the largest.
 */
static void assert_tensors_close(const struct pl_shape *shape, const float *got, const float *want,
                                 double rel, double floor, const char *what)
{
    double worst = 0.0;

    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];
        const float *g = got + t->offset, *w = want + t->offset;
        const double norm = off(g, w, pl_tensor_size(t));
        double most = 0.0;

        if (!(norm <= rel))
            fail_msg("%s: %s of %s is off by %.3g of its norm; allowed %.3g", name, what, t->name,
                     norm, rel);
        worst = norm > worst ? norm : worst;
        for (size_t j = 0; j < pl_tensor_size(t); j++)
            most = fmax(most, fabs((double)w[j]));
        for (size_t j = 0; j < pl_tensor_size(t); j++)
            if (!(fabs((double)g[j] - (double)w[j]) <= rel * fabs((double)w[j]) + floor * most))
                fail_msg("%s: %s of %s at %zu is %.9g; expected %.9g", name, what, t->name, j,
                         (double)g[j], (double)w[j]);
    }
    print_message("%s: %s is off by at most %.2g of a tensor's norm\n", name, what, worst);
}

/* ---- forward ---- */

struct predicting {
    uint32_t rows[PL_TEST_IDS]; /* of the pack, that predict golden token i */
};

static struct predicting predicting_rows(const struct golden *g, const struct pl_pack *pack)
{
    struct predicting p;

    assert_int_equal(pack->prediction_count, g->batch.tokens);
    for (size_t i = 0; i < pack->prediction_count; i++) {
        const struct pl_prediction *at = &pack->predictions[i];

        p.rows[g->first[at->sample] + at->index] = at->row;
    }
    return p;
}

static void logits_are_close(void **state)
{
    const struct golden *g = *state;
    const struct pl_config *c = &g->model.shape->config;
    const size_t R = g->batch.limits.rows, n = g->batch.tokens;
    float *acts_memory = pl_alloc(pl_acts_floats(c, R), 4), *x = pl_alloc(R * c->hidden, 4);
    float *h = pl_alloc(n * c->hidden, 4), *logits = pl_alloc(n * c->vocab, 4);
    const size_t page_count = pl_pack_pages_max(&g->batch.limits);
    const struct pl_pages pages = {
        page_count, 1, c->kv_heads, c->head_dim,
        pl_alloc(pl_pages_floats(page_count, 1, c->kv_heads, c->head_dim), 4)};
    struct pl_pack *pack = NULL;
    struct pl_rope *rope = NULL;
    struct pl_acts acts;
    struct pl_error err;

    assert_int_equal(pl_test_packs(&g->batch, &g->batch.limits, &pack, 1), 1);
    must(pl_rope_create(c, g->batch.positions, &rope, &err), &err);
    pl_acts_place(&acts, c, R, acts_memory);
    pl_forward(x, g->model.weights, rope, &pack->batch, &pages, &acts);
    const struct predicting p = predicting_rows(g, pack);
    pl_forward_head(logits, h, NULL, g->model.weights, x, p.rows, n);

    const double worst = pl_test_relative(logits, g->logits, n * c->vocab);

    print_message("%s: logits are off by at most %.2g of the largest\n", name, worst);
    assert_true(worst <= 1e-5);
    assert_true(off(logits, g->logits, n * c->vocab) <= 1e-5);
    pl_rope_destroy(rope);
    pl_pack_destroy(pack);
    free(pages.data);
    free(logits);
    free(h);
    free(x);
    free(acts_memory);
}

/* ---- trainer ---- */

/* How a step is computed. */
struct way {
    struct pl_pack_limits limits;
    bool recompute;
    int threads;
};

static struct pl_trainer *trainer_of(const struct golden *g, const struct way *way,
                                     const struct pl_adamw_opts *adamw)
{
    const struct pl_trainer_opts opts = {
        .limits = way->limits,
        .positions = g->batch.positions,
        .recompute = way->recompute,
        .adamw = *adamw,
    };
    struct pl_trainer *trainer = NULL;
    struct pl_error err;

    omp_set_num_threads(way->threads);
    must(pl_trainer_create(g->model.weights, &opts, &trainer, &err), &err);
    return trainer;
}

/* Forward and backward of the whole batch in packs; log-probabilities in the golden order. */
static size_t accumulate(const struct golden *g, struct pl_trainer *trainer,
                         const struct pl_pack_limits *limits, struct pl_supervised *mean,
                         float *ret_logp)
{
    const struct pl_objective objective = pl_supervised_objective(mean);
    struct pl_pack *packs[PACKS] = {NULL};
    const size_t count = pl_test_packs(&g->batch, limits, packs, PACKS);

    pl_supervised_begin(mean, g->batch.tokens);

    for (size_t p = 0; p < count; p++) {
        const float *logp = pl_trainer_accumulate(trainer, packs[p], &objective);

        for (size_t i = 0; i < packs[p]->prediction_count; i++) {
            const struct pl_prediction *at = &packs[p]->predictions[i];

            ret_logp[g->first[at->sample] + at->index] = logp[i];
        }
        pl_pack_destroy(packs[p]);
    }
    return count;
}

/* Log-probabilities and gradient one way; returns the number of packs. */
static size_t compute(const struct golden *g, const struct way *way, float *ret_logp,
                      float *ret_grad)
{
    static const struct pl_adamw_opts any = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    struct pl_trainer *trainer = trainer_of(g, way, &any);
    struct pl_supervised mean;
    const size_t packs = accumulate(g, trainer, &way->limits, &mean, ret_logp);

    memcpy(ret_grad, pl_trainer_grad(trainer), g->model.shape->floats * sizeof *ret_grad);
    pl_trainer_destroy(trainer);
    return packs;
}

static void log_probabilities_are_close(void **state)
{
    const struct golden *g = *state;
    const struct way way = {g->batch.limits, false, 2};
    struct pl_trainer *trainer =
        trainer_of(g, &way, &(struct pl_adamw_opts){.beta1 = 0.9, .beta2 = 0.9, .eps = 1e-8});
    struct pl_pack *pack = NULL;
    const float *entropy = NULL, *logp;

    assert_int_equal(pl_test_packs(&g->batch, &way.limits, &pack, 1), 1);
    logp = pl_trainer_score(trainer, NULL, pack, &entropy);
    for (size_t i = 0; i < pack->prediction_count; i++) {
        const size_t at = g->first[pack->predictions[i].sample] + pack->predictions[i].index;

        pl_assert_close(logp[i], g->logp[at], 5e-6, 1e-5);
        pl_assert_close(entropy[i], g->entropy[at], 5e-6, 1e-5);
    }
    pl_pack_destroy(pack);
    pl_trainer_destroy(trainer);
}

/*
 * The gradient is right in one pack, in packs that split groups, and in packs of one response each;
 * for each of these the bits are the same for one thread and two, with activations kept and not.
 * The log-probabilities have the same bits in all of them.
 */
static void gradients_are_close(void **state)
{
    const struct golden *g = *state;
    const struct pl_pack_limits limits[] = {g->batch.limits, {64, 2}, {g->batch.positions, 1}};
    const size_t floats = g->model.shape->floats, tokens = g->batch.tokens;
    float *grad = pl_alloc(floats, 4), *same = pl_alloc(floats, 4);
    float *logp = pl_alloc(tokens, 4), *first = pl_alloc(tokens, 4);
    size_t packs = 0;

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        const size_t n = compute(g, &(struct way){limits[i], false, 2}, logp, grad);

        assert_true(n > packs); /* each finer than the one before */
        packs = n;
        if (i == 0)
            memcpy(first, logp, tokens * sizeof *first);
        pl_assert_same_bits(logp, first, tokens);
        assert_tensors_close(g->model.shape, grad, g->grad, 3e-5, 1e-5, "gradient");
        for (int way = 1; way < 4; way++) {
            compute(g, &(struct way){limits[i], way & 1, 1 + (way >> 1)}, logp, same);
            pl_assert_same_bits(logp, first, tokens);
            pl_assert_same_bits(same, grad, floats);
        }
    }
    omp_set_num_threads(2);
    free(grad);
    free(same);
    free(logp);
    free(first);
}

/* ---- optimiser ---- */

static double number(const json_t *object, const char *key)
{
    double value = 0.0;
    struct pl_error err;

    must(pl_json_real(object, key, name, -1e30, 1e30, &value, &err), &err);
    return value;
}

static void take_steps(const struct golden *g, struct pl_trainer *trainer, const struct way *way)
{
    const json_t *lr = json_object_get(json_object_get(g->root, "adamw"), "lr");
    float *logp = pl_alloc(g->batch.tokens, sizeof *logp);

    for (size_t s = 0; s < STEPS; s++) {
        const json_t *step = json_array_get(json_object_get(g->root, "steps"), s);
        struct pl_step_stats stats;
        struct pl_supervised mean;
        struct pl_error err;

        accumulate(g, trainer, &way->limits, &mean, logp);
        must(pl_trainer_step(trainer, json_number_value(json_array_get(lr, s)), &stats, &err),
             &err);
        pl_assert_close(pl_supervised_loss(&mean), number(step, "loss"), 0.0, 1e-5);
        pl_assert_close(stats.grad_norm, number(step, "norm"), 0.0, 2e-5);
    }
    free(logp);
}

/* What a flat array has moved by since the start. */
static float *moved(const struct golden *g, const float *to)
{
    float *by = pl_alloc(g->model.shape->floats, sizeof *by);

    for (size_t i = 0; i < g->model.shape->floats; i++)
        by[i] = to[i] - g->model.flat[i];
    return by;
}

/* The weights are the master's values rounded to bf16. */
static void assert_rounded(const struct golden *g, const float *master)
{
    float *seen = pl_alloc(g->model.shape->floats, sizeof *seen);

    pl_weights_get_flat(g->model.weights, seen);
    for (size_t i = 0; i < g->model.shape->floats; i++)
        assert_true(seen[i] == pl_bf16_widen(pl_bf16_round(master[i])));
    free(seen);
}

/*
 * What the master has moved by: the start is the same number on both sides. A rounding error can
 * round a weight to the other of two bf16 values, which moves its row's gradient by some 1e-4.
 */
static void three_steps_are_close(void **state)
{
    const struct golden *g = *state;
    const json_t *o = json_object_get(g->root, "adamw");
    const struct pl_adamw_opts opts = {
        .beta1 = number(o, "beta1"),
        .beta2 = number(o, "beta2"),
        .eps = number(o, "eps"),
        .weight_decay = number(o, "weight_decay"),
        .decay_vectors = json_is_true(json_object_get(o, "decay_vectors")),
        .clip = number(o, "clip"),
    };
    const size_t floats = g->model.shape->floats;
    const bool tight = opts.eps >= 1e-5; /* else noise is worth a step where there is no gradient */
    float *want = moved(g, g->master), *first = NULL;

    for (int i = 0; i < 4; i++) {
        const struct way way = {g->batch.limits, i & 1, 1 + (i >> 1)};
        struct pl_trainer *trainer = trainer_of(g, &way, &opts);
        const float *master = pl_trainer_state(trainer)->master;
        float *by;

        take_steps(g, trainer, &way);
        by = moved(g, master);
        if (i == 0) {
            assert_tensors_close(g->model.shape, by, want, tight ? 5e-4 : 1e-2, tight ? 5e-3 : 3e-2,
                                 "update");
            first = by;
        }
        pl_assert_same_bits(by, first, floats);
        assert_rounded(g, master);
        if (by != first)
            free(by);
        pl_trainer_destroy(trainer);
        pl_weights_set_flat(g->model.weights, g->model.flat);
    }
    omp_set_num_threads(2);
    free(first);
    free(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_close),
        cmocka_unit_test(log_probabilities_are_close),
        cmocka_unit_test(gradients_are_close),
        cmocka_unit_test(three_steps_are_close),
    };
    int failed = 0;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        name = CASES[i];
        failed += cmocka_run_group_tests_name(name, tests, setup, teardown);
    }
    return failed;
}
