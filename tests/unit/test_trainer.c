/*
 * The trainer: the same bits however a step is computed, scores that equal the training forward's,
 * a memory plan that is what it holds, steps that ask for nothing more, refused steps that leave no
 * trace, state that another trainer goes on from.
 *
 * mmap() and malloc() go through this file: what the plan asked for is counted, and lies just
 * before a page that nobody may touch.
 */
#include "learner/trainer.h"

#include "common/base/buf.h"
#include "common/math/kernels.h"
#include "learner/value.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tests/close.h"
#include "tests/model.h"

/* ---- counting memory ---- */

enum { PAGE = 4096, LINE = 64, MAPS = 64 };

static _Atomic size_t asked_calls, asked_bytes;
static struct {
    char *at, *base;
    size_t bytes, whole;
} maps[MAPS]; /* bytes is 0 where there is none */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__real_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *addr, size_t len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *addr, size_t len);

static void count(size_t bytes)
{
    atomic_fetch_add(&asked_calls, 1);
    atomic_fetch_add(&asked_bytes, bytes);
}

void *__wrap_malloc(size_t size)
{
    count(size);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    count(n * size);
    return __real_calloc(n, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    count(size);
    return __real_aligned_alloc(align, size);
}

void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    const size_t pages = (len + PAGE - 1) / PAGE * PAGE;
    size_t i = 0;

    while (i < MAPS && maps[i].bytes > 0)
        i++;
    assert_true(i < MAPS && len > 0);
    maps[i].base = __real_mmap64(addr, pages + PAGE, prot, flags, fd, offset);
    assert_true(maps[i].base != MAP_FAILED);
    assert_int_equal(mprotect(maps[i].base + pages, PAGE, PROT_NONE), 0);
    maps[i].at = maps[i].base + (pages - len) / LINE * LINE;
    maps[i].bytes = len;
    maps[i].whole = pages + PAGE;
    return maps[i].at;
}

int __wrap_munmap(void *addr, size_t len)
{
    size_t i = 0;

    while (i < MAPS && !(maps[i].bytes > 0 && maps[i].at == addr))
        i++;
    assert_true(i < MAPS);
    assert_int_equal(maps[i].bytes, len);
    maps[i].bytes = 0;
    return __real_munmap(maps[i].base, maps[i].whole);
}

static size_t mapped(void)
{
    size_t sum = 0;

    for (size_t i = 0; i < MAPS; i++)
        sum += maps[i].bytes;
    return sum;
}

/* ---- a model, two micro-batches ---- */

static const struct pl_config CONFIG = {
    .arch = PL_ARCH_QWEN2,
    .hidden = 36,
    .layers = 2,
    .heads = 6,
    .kv_heads = 2,
    .head_dim = 10,
    .ffn = 41,
    .vocab = 83,
    .positions_max = 512,
    .rope_theta = 1e4,
    .rms_eps = 1e-6f,
    .qkv_bias = true,
    .bos = -1,
    .pad = -1,
};
/* More rows that predict than the smallest chunk of logits has (192). */
static const struct pl_test_lengths LENGTHS[] = {
    {70, {33, 1, 71}}, {2, {1}}, {32, {40, 40, 5, 1}}, {1, {12}}};
enum { GROUPS = sizeof LENGTHS / sizeof *LENGTHS, PACKS = 4 };

struct setup {
    struct pl_test_model model;
    struct pl_test_batch batch;
    struct pl_pack *whole, *parts[PACKS]; /* the batch in one pack and in several */
    size_t part_count;
};

/* Slopes of -logp + logp^2 / 8 + entropy^2 / 4, divided by the number of tokens. */
static void set_slopes(void *at, const struct pl_slopes *s)
{
    const float tokens = (float)*(const size_t *)at;

    for (size_t i = 0; i < s->n; i++) {
        s->dlogp[i] = (-1.0f + s->logp[i] / 4.0f) / tokens;
        s->dentropy[i] = s->entropy[i] / 2.0f / tokens;
    }
}

static void bad_slopes(void *at, const struct pl_slopes *s)
{
    set_slopes(at, s);
    s->dlogp[s->n / 2] = NAN;
}

static struct pl_objective objective_of(const struct setup *s)
{
    return (struct pl_objective){(void *)&s->batch.tokens, true, set_slopes};
}

static int setup(void **state)
{
    struct setup *s = calloc(1, sizeof *s);

    pl_test_model_create(&s->model, &CONFIG, 12);
    pl_test_batch_make(&s->batch, LENGTHS, GROUPS, CONFIG.vocab, 12);
    assert_int_equal(pl_test_packs(&s->batch, &s->batch.limits, &s->whole, 1), 1);
    s->part_count = pl_test_packs(&s->batch, &(struct pl_pack_limits){173, 5}, s->parts, PACKS);
    assert_true(s->part_count > 1);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct setup *s = *state;

    pl_pack_destroy(s->whole);
    for (size_t i = 0; i < s->part_count; i++)
        pl_pack_destroy(s->parts[i]);
    pl_test_model_destroy(&s->model);
    free(s);
    return 0;
}

static struct pl_trainer_opts opts_of(const struct setup *s, bool recompute)
{
    return (struct pl_trainer_opts){
        .limits = s->batch.limits,
        .positions = s->batch.positions,
        .recompute = recompute,
        .adamw = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .weight_decay = 0.1, .clip = 0.5},
    };
}

static struct pl_trainer *trainer_of(const struct setup *s, const struct pl_trainer_opts *opts)
{
    struct pl_trainer *trainer = NULL;
    struct pl_error err;

    if (pl_trainer_create(s->model.weights, opts, &trainer, &err) < 0)
        fail_msg("%s", err.text);
    return trainer;
}

/* End a trainer and set the weights back to what they were. */
static void end(const struct setup *s, struct pl_trainer *trainer)
{
    pl_trainer_destroy(trainer);
    pl_weights_set_flat(s->model.weights, s->model.flat);
}

static double step(struct pl_trainer *trainer)
{
    struct pl_step_stats stats = {0};
    struct pl_error err;

    if (pl_trainer_step(trainer, 0.003, &stats, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(stats.lr == 0.003);
    return stats.grad_norm;
}

/* One step over all parts; log-probabilities of all of them one after the other. */
static double step_over_parts(const struct setup *s, struct pl_trainer *trainer, float *ret_logp)
{
    const struct pl_objective objective = objective_of(s);

    for (size_t i = 0; i < s->part_count; i++) {
        const size_t n = s->parts[i]->prediction_count;
        const float *logp = pl_trainer_accumulate(trainer, s->parts[i], &objective);

        if (ret_logp) {
            memcpy(ret_logp, logp, n * sizeof *logp);
            ret_logp += n;
        }
    }
    return step(trainer);
}

/* ---- tests ---- */

/* What two steps leave behind. */
struct outcome {
    float *state[4]; /* master, m, v, weights */
    float *logp;     /* of both steps */
    double norms[2];
};

static struct outcome two_steps(const struct setup *s, const struct pl_trainer_opts *opts,
                                int threads_after)
{
    struct pl_trainer *trainer = trainer_of(s, opts);
    const struct pl_adamw_state *state = pl_trainer_state(trainer);
    const float *const arrays[] = {state->master, state->m, state->v};
    const size_t floats = s->model.shape->floats;
    struct outcome o = {.logp = pl_alloc(2 * s->batch.tokens, sizeof(float))};

    omp_set_num_threads(threads_after);
    for (size_t i = 0; i < 2; i++)
        o.norms[i] = step_over_parts(s, trainer, o.logp + i * s->batch.tokens);
    assert_int_equal(state->step, 2);
    for (size_t i = 0; i < 4; i++) {
        o.state[i] = pl_alloc(floats, sizeof(float));
        if (i < 3)
            memcpy(o.state[i], arrays[i], floats * sizeof(float));
        else
            pl_weights_get_flat(s->model.weights, o.state[i]);
    }
    end(s, trainer);
    return o;
}

static void outcome_release(struct outcome *o)
{
    for (size_t i = 0; i < 4; i++)
        free(o->state[i]);
    free(o->logp);
}

static void same_bits_however_computed(void **state)
{
    const struct setup *s = *state;
    static const char *const sets[] = {"plain", "avx2", "avx512"};
    const struct pl_kernels *before = pl_kernels();
    struct pl_trainer_opts opts = opts_of(s, false);
    struct outcome first = two_steps(s, &opts, 2);

    assert_true(first.norms[0] > opts.adamw.clip); /* or clipping would not be seen */
    for (int way = 0; way < 13; way++) {
        const char *set = sets[(way + 5) / 6];
        struct outcome o;

        if (!pl_kernels_named(set))
            continue;
        pl_kernels_use(pl_kernels_named(set));
        omp_set_num_threads(1 + way % 3); /* when it is created, and another number later on */
        opts.recompute = way / 3 % 2;
        o = two_steps(s, &opts, 1 + (way + way / 3) % 3);
        for (size_t i = 0; i < 4; i++)
            pl_assert_same_bits(o.state[i], first.state[i], s->model.shape->floats);
        pl_assert_same_bits(o.logp, first.logp, 2 * s->batch.tokens);
        assert_true(o.norms[0] == first.norms[0] && o.norms[1] == first.norms[1]);
        outcome_release(&o);
    }
    pl_kernels_use(before);
    omp_set_num_threads(2);
    outcome_release(&first);
}

/* The chunk of logits splits sums of the gradient, but no log-probability knows of it. */
static void chunks_of_logits_do_not_matter(void **state)
{
    const struct setup *s = *state;
    const struct pl_objective objective = objective_of(s);
    const size_t floats = s->model.shape->floats, n = s->batch.tokens;
    struct pl_trainer_opts opts = opts_of(s, false);
    struct pl_trainer *one = trainer_of(s, &opts), *several;
    const float *want = pl_trainer_accumulate(one, s->whole, &objective), *got;

    opts.logits_bytes = 1;
    several = trainer_of(s, &opts);
    got = pl_trainer_accumulate(several, s->whole, &objective);
    pl_assert_same_bits(got, want, n);
    assert_true(pl_test_relative(pl_trainer_grad(several), pl_trainer_grad(one), floats) < 1e-5);
    assert_true(memcmp(pl_trainer_grad(several), pl_trainer_grad(one), floats * 4) != 0);
    pl_trainer_destroy(one);
    pl_trainer_destroy(several);
}

static void score_equals_the_training_forward(void **state)
{
    const struct setup *s = *state;
    const struct pl_objective objective = objective_of(s);
    const size_t floats = s->model.shape->floats, n = s->batch.tokens;
    struct pl_weights *others = NULL;
    struct pl_error err;

    assert_int_equal(pl_weights_create(s->model.shape, &others, &err), PL_OK);
    for (int recompute = 0; recompute < 2; recompute++) {
        const struct pl_trainer_opts opts = opts_of(s, recompute);
        struct pl_trainer *trainer = trainer_of(s, &opts);
        float *logp = pl_alloc(n, 4), *moved = pl_alloc(n, 4), *grad = pl_alloc(floats, 4);
        const float *entropy = NULL;

        memcpy(logp, pl_trainer_accumulate(trainer, s->whole, &objective), n * 4);
        memcpy(grad, pl_trainer_grad(trainer), floats * 4);
        pl_assert_same_bits(pl_trainer_score(trainer, NULL, s->whole, &entropy), logp, n);
        for (size_t i = 0; i < n; i++)
            assert_true(entropy[i] > 0.0f && entropy[i] < logf((float)CONFIG.vocab));

        step(trainer); /* the trainer's own weights move, the others are where they were */
        pl_weights_set_flat(others, s->model.flat);
        memcpy(moved, pl_trainer_score(trainer, NULL, s->whole, NULL), n * 4);
        assert_true(memcmp(moved, logp, n * 4) != 0);
        pl_assert_same_bits(pl_trainer_score(trainer, others, s->whole, NULL), logp, n);
        pl_assert_same_bits(pl_trainer_accumulate(trainer, s->whole, &objective), moved, n);

        pl_trainer_sync(trainer); /* a score between two packs leaves the gradient alone */
        memcpy(grad, pl_trainer_grad(trainer), floats * 4);
        pl_trainer_score(trainer, others, s->whole, &entropy);
        pl_assert_same_bits(pl_trainer_grad(trainer), grad, floats);
        free(logp);
        free(moved);
        free(grad);
        end(s, trainer);
    }
    pl_weights_destroy(others);
}

static void plan_is_what_is_held(void **state)
{
    const struct setup *s = *state;

    for (int recompute = 0; recompute < 2; recompute++) {
        const struct pl_trainer_opts opts = opts_of(s, recompute);
        const size_t rope = opts.positions * CONFIG.head_dim * sizeof(float);
        struct pl_trainer *trainer;
        struct pl_plan plan;
        size_t calls, bytes;

        pl_plan_init(&plan);
        pl_trainer_plan(s->model.weights, &opts, &plan);
        for (size_t i = 0; i < plan.count; i++)
            assert_true(plan.rows[i].at == NULL && plan.rows[i].bytes > 0);
        assert_int_equal(mapped(), 0);
        bytes = asked_bytes;
        trainer = trainer_of(s, &opts);
        assert_int_equal(mapped() + rope, pl_plan_total(&plan));
        assert_in_range(asked_bytes - bytes, rope, rope + (256 << 10)); /* lists, but no arrays */

        step_over_parts(s, trainer, NULL);
        calls = asked_calls;
        bytes = mapped();
        step_over_parts(s, trainer, NULL);
        pl_trainer_score(trainer, NULL, s->whole, NULL);
        assert_int_equal(asked_calls, calls);
        assert_int_equal(mapped(), bytes);
        end(s, trainer);
        assert_int_equal(mapped(), 0);
    }
}

static void recomputing_takes_less(void **state)
{
    const struct setup *s = *state;
    size_t totals[2];

    for (int recompute = 0; recompute < 2; recompute++) {
        const struct pl_trainer_opts opts = opts_of(s, recompute);
        struct pl_plan plan;

        pl_plan_init(&plan);
        pl_trainer_plan(s->model.weights, &opts, &plan);
        totals[recompute] = pl_plan_total(&plan);
    }
    assert_true(totals[1] < totals[0]);
}

/* ---- a value head ---- */

static void value_slopes(void *at, const struct pl_slopes *s)
{
    const float tokens = (float)*(const size_t *)at;

    for (size_t i = 0; i < s->n; i++)
        s->dvalue[i] = (s->value[i] - (float)(i % 5)) / tokens;
}

/*
 * Master values after some steps, from malloc(): beside another trainer that works in between, or
 * alone, holding all it needs itself.
 */
static float *value_steps(const struct setup *s, struct pl_trainer *lender)
{
    const struct pl_objective objective = {(void *)&s->batch.tokens, false, value_slopes};
    struct pl_trainer_opts opts = opts_of(s, false);
    struct pl_trainer *trainer;
    const size_t floats = s->model.shape->floats + pl_value_floats(&CONFIG);
    float *master = malloc(floats * sizeof *master);
    struct pl_step_stats stats;
    struct pl_plan plan;
    size_t before;

    opts.value = true;
    opts.borrow = lender != NULL;
    opts.lender = lender;
    pl_plan_init(&plan);
    pl_trainer_plan(s->model.weights, &opts, &plan);
    before = mapped();
    trainer = trainer_of(s, &opts);
    assert_int_equal(mapped() - before + opts.positions * CONFIG.head_dim * sizeof(float),
                     pl_plan_total(&plan));
    for (size_t step = 0; step < 3; step++) {
        for (size_t i = 0; i < s->part_count; i++)
            pl_trainer_accumulate(trainer, s->parts[i], &objective);
        if (lender)
            pl_trainer_score(lender, NULL, s->whole, NULL);
        assert_int_equal(pl_trainer_step(trainer, 0.01, &stats, NULL), PL_OK);
    }
    assert_int_equal(pl_adamw_floats(s->model.shape, pl_trainer_state(trainer)), floats);
    memcpy(master, pl_trainer_state(trainer)->master, floats * sizeof *master);
    end(s, trainer);
    return master;
}

static void a_borrower_computes_the_same(void **state)
{
    const struct setup *s = *state;
    const struct pl_trainer_opts opts = opts_of(s, false);
    const size_t floats = s->model.shape->floats + pl_value_floats(&CONFIG);
    float *alone = value_steps(s, NULL), *beside;
    struct pl_trainer *lender = trainer_of(s, &opts);

    beside = value_steps(s, lender);
    pl_assert_same_bits(beside, alone, floats);
    assert_true(alone[floats - 1] != 0.0f); /* it did learn */
    free(alone);
    free(beside);
    end(s, lender);
}

static void refused_step_leaves_no_trace(void **state)
{
    const struct setup *s = *state;
    const struct pl_objective good = objective_of(s), bad = {good.at, true, bad_slopes};
    const struct pl_trainer_opts opts = opts_of(s, false);
    struct pl_step_stats stats;
    struct pl_error err;
    struct outcome want = two_steps(s, &opts, 2);
    struct pl_trainer *trainer = trainer_of(s, &opts);

    /* A slope that is no number, then weights that are none: keys and values are none as well. */
    for (int i = 0; i < 2; i++) {
        const struct pl_tensor *t = pl_shape_find(s->model.shape, PL_ROLE_NORM1, 0);
        const uint16_t nan = pl_bf16_round(NAN);

        if (i == 1)
            pl_weights_set(s->model.weights, t, 3, 1, &nan);
        pl_trainer_accumulate(trainer, s->whole, i == 0 ? &bad : &good);
        assert_int_equal(pl_trainer_step(trainer, 0.003, &stats, &err), PL_EINVAL);
        assert_non_null(strstr(err.text, "the step is refused"));
        assert_false(isfinite(stats.grad_norm));
        assert_int_equal(pl_trainer_state(trainer)->step, 0);
        pl_trainer_sync(trainer);
    }
    for (size_t i = 0; i < 2; i++)
        assert_true(step_over_parts(s, trainer, NULL) == want.norms[i]);
    pl_assert_same_bits(pl_trainer_state(trainer)->master, want.state[0], s->model.shape->floats);
    outcome_release(&want);
    end(s, trainer);
}

/* Master, moments and count of one trainer, set into another: its second step is the same. */
static void state_goes_on_elsewhere(void **state)
{
    const struct setup *s = *state;
    const struct pl_trainer_opts opts = opts_of(s, false);
    const size_t bytes = s->model.shape->floats * sizeof(float);
    struct outcome want = two_steps(s, &opts, 2);
    struct pl_trainer *one = trainer_of(s, &opts), *other;
    struct pl_adamw_state *to;

    step_over_parts(s, one, NULL);
    pl_weights_set_flat(s->model.weights, s->model.flat); /* forgotten */
    other = trainer_of(s, &opts);
    to = pl_trainer_state(other);
    memcpy(to->master, pl_trainer_state(one)->master, bytes);
    memcpy(to->m, pl_trainer_state(one)->m, bytes);
    memcpy(to->v, pl_trainer_state(one)->v, bytes);
    to->step = pl_trainer_state(one)->step;
    pl_trainer_sync(other);
    pl_trainer_destroy(one);
    assert_true(step_over_parts(s, other, NULL) == want.norms[1]);
    pl_assert_same_bits(to->master, want.state[0], s->model.shape->floats);
    outcome_release(&want);
    end(s, other);
}

static void bad_options_are_refused(void **state)
{
    const struct setup *s = *state;

    for (int i = 0; i < 4; i++) {
        struct pl_trainer_opts opts = opts_of(s, false);
        struct pl_trainer *trainer = NULL;
        struct pl_error err;
        size_t *const sizes[] = {&opts.limits.rows, &opts.limits.samples, &opts.positions};

        if (i < 3)
            *sizes[i] = 0;
        else
            opts.adamw.eps = 0.0;
        assert_int_equal(pl_trainer_create(s->model.weights, &opts, &trainer, &err), PL_EINVAL);
        assert_non_null(strstr(err.text, i < 3 ? "none may be 0" : "eps is 0"));
        assert_null(trainer);
        assert_int_equal(mapped(), 0);
    }
    pl_trainer_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_however_computed),
        cmocka_unit_test(chunks_of_logits_do_not_matter),
        cmocka_unit_test(score_equals_the_training_forward),
        cmocka_unit_test(plan_is_what_is_held),
        cmocka_unit_test(recomputing_takes_less),
        cmocka_unit_test(a_borrower_computes_the_same),
        cmocka_unit_test(refused_step_leaves_no_trace),
        cmocka_unit_test(state_goes_on_elsewhere),
        cmocka_unit_test(bad_options_are_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
