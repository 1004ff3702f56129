/*
 * Row invariance, from the forward pass up to the engine: what a sequence gives is the same to the
 * bit alone and in every batch of 2 to 130, wherever it stands in it, with its prompt shared or its
 * own, in chunks of 1 to 512, on any number of threads and on every instruction set there is;
 * greedy or sampled, ids and log-probabilities alike.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actor/invariance.h"
#include "common/base/buf.h"
#include "common/base/rng.h"
#include "common/math/kernels.h"
#include "tests/close.h"
#include "tests/little.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

static const char *const SETS[] = {"avx512", "avx2", "plain"};

enum { SET_COUNT = 3 };

/* ---- a crowd: sequences of which any number runs at once, all of them compared ---- */

enum { CROWD = 130, GROUP = 8, PROMPT_MAX = 41, TAIL_LONG = 25, PACE_MAX = 7 };

/*
 * Sequences of a group begin with the same prompt. want[i] are its logits alone, computed in one
 * piece with a prompt of its own.
 */
struct crowd {
    struct pl_little little;
    struct pl_rope *rope;
    struct pl_kv *kv;
    size_t V, T, rows_max;
    uint32_t *ids; /* (CROWD, T) */
    size_t prompt[CROWD], len[CROWD];
    float *want, *got; /* (CROWD, T, V) */
    uint32_t *batch_ids, *positions;
    float *x, *h, *block, *logits;
    struct pl_acts acts;
    uint32_t slots[CROWD];
    size_t at[CROWD]; /* tokens computed of the sequence at each place */
};

/* One batch: sequence (first + j) mod CROWD stands at place j of `size`. */
struct batch {
    size_t size, first;
    bool shared;
};

static size_t sequence(const struct batch *b, size_t place)
{
    return (b->first + place) % CROWD;
}

/* The place whose prompt the sequence at `place` takes over; itself where it computes its own. */
static size_t leader(const struct batch *b, size_t place)
{
    size_t lead = place;

    while (b->shared && lead > 0 && sequence(b, lead - 1) / GROUP == sequence(b, place) / GROUP)
        lead--;
    return lead;
}

/* How many tokens the next round computes of what stands there. */
static size_t pace(const struct crowd *c, const struct batch *b, size_t place, size_t round)
{
    const size_t i = sequence(b, place), at = c->at[place], lead = leader(b, place);
    const size_t left = at < c->prompt[i] ? c->prompt[i] - at : 0;

    if (round < i % 3 || at == c->len[i] || (lead != place && at == 0))
        return 0; /* comes late, is done, waits for its prompt */
    if (left == 0)
        return 1;
    return left < 1 + i % PACE_MAX ? left : 1 + i % PACE_MAX;
}

static void compute(struct crowd *c, const struct pl_batch *batch)
{
    pl_forward(c->x, c->little.weights, c->rope, batch, &c->kv->pages, &c->acts);
    pl_forward_head(c->logits, c->h, NULL, c->little.weights, c->x, NULL, batch->rows);
}

static bool run_round(struct crowd *c, const struct batch *b, size_t round)
{
    struct pl_span spans[CROWD];
    size_t rows = 0, count = 0;

    for (size_t j = 0; j < b->size; j++) {
        const size_t n = pace(c, b, j, round), pos = c->at[j];

        if (n == 0)
            continue;
        pl_kv_extend(c->kv, c->slots[j], pos + n);
        spans[count++] = (struct pl_span){pl_kv_table(c->kv, c->slots[j]), rows, n, pos};
        for (size_t t = pos; t < pos + n; t++, rows++) {
            c->batch_ids[rows] = c->ids[sequence(b, j) * c->T + t];
            c->positions[rows] = (uint32_t)t;
        }
    }
    if (rows == 0)
        return round < 3;
    assert_in_range(rows, 1, c->rows_max);
    compute(c, &(struct pl_batch){.ids = c->batch_ids,
                                  .positions = c->positions,
                                  .rows = rows,
                                  .spans = spans,
                                  .span_count = count});
    for (size_t j = 0, s = 0; j < b->size; j++) {
        const size_t n = pace(c, b, j, round);

        if (n == 0)
            continue;
        memcpy(c->got + (sequence(b, j) * c->T + spans[s].pos) * c->V,
               c->logits + spans[s].row * c->V, n * c->V * sizeof *c->got);
        c->at[j] += n;
        s++;
    }
    return true;
}

static void share_prompts(struct crowd *c, const struct batch *b)
{
    for (size_t j = 0; j < b->size; j++) {
        const size_t lead = leader(b, j), prompt = c->prompt[sequence(b, j)];

        if (lead == j || c->at[j] > 0 || c->at[lead] < prompt)
            continue;
        if (c->at[lead] > prompt)
            fail_msg("the leader at place %zu went on without its group", lead);
        pl_kv_fork(c->kv, c->slots[lead], c->slots[j], prompt);
        c->at[j] = prompt;
    }
}

static void claim(struct crowd *c, const struct batch *b)
{
    for (size_t j = 0, n; j < b->size; j += n) {
        const size_t i = sequence(b, j);

        for (n = 1; b->shared && j + n < b->size && leader(b, j + n) == j;)
            n++;
        assert_int_equal(pl_kv_claim(c->kv, n > 1 ? c->prompt[i] : 1, c->T, n, c->slots + j),
                         PL_OK);
    }
}

static void run_batch(struct crowd *c, const struct batch *b)
{
    memset(c->at, 0, sizeof c->at);
    memset(c->got, 0xFF, CROWD * c->T * c->V * sizeof *c->got); /* all NaN */
    claim(c, b);
    for (size_t round = 0; run_round(c, b, round); round++)
        share_prompts(c, b);
    pl_kv_verify(c->kv);
    for (size_t j = 0; j < b->size; j++)
        pl_kv_release(c->kv, c->slots[j]);
}

/* Rows of logits that were compared. */
static size_t compare(const struct crowd *c, const struct batch *b)
{
    size_t rows = 0;

    for (size_t j = 0; j < b->size; j++) {
        const size_t i = sequence(b, j), from = leader(b, j) == j ? 0 : c->prompt[i];
        const float *want = c->want + i * c->T * c->V, *got = c->got + i * c->T * c->V;

        for (size_t v = from * c->V; v < c->len[i] * c->V; v++) {
            if (memcmp(&want[v], &got[v], sizeof *want) == 0)
                continue;
            fail_msg("position %zu, logit %zu of sequence %zu is %.9g alone and %.9g at place %zu "
                     "of %zu with prompts %s, %d threads, kernels %s",
                     v / c->V, v % c->V, i, (double)want[v], (double)got[v], j, b->size,
                     b->shared ? "shared" : "of their own", omp_get_max_threads(),
                     pl_kernels()->name);
        }
        rows += c->len[i] - from;
    }
    return rows;
}

static size_t check(struct crowd *c, size_t size, size_t first, bool shared)
{
    const struct batch b = {size, first % CROWD, shared};

    run_batch(c, &b);
    return compare(c, &b);
}

/* Each sequence alone, all of it in one piece. */
static void compute_alone(struct crowd *c)
{
    for (size_t i = 0; i < CROWD; i++) {
        uint32_t slot;

        assert_int_equal(pl_kv_claim(c->kv, 1, c->T, 1, &slot), PL_OK);
        pl_kv_extend(c->kv, slot, c->len[i]);
        for (uint32_t t = 0; t < c->len[i]; t++)
            c->positions[t] = t;
        const struct pl_span span = {pl_kv_table(c->kv, slot), 0, c->len[i], 0};

        compute(c, &(struct pl_batch){.ids = c->ids + i * c->T,
                                      .positions = c->positions,
                                      .rows = c->len[i],
                                      .spans = &span,
                                      .span_count = 1});
        memcpy(c->want + i * c->T * c->V, c->logits, c->len[i] * c->V * sizeof *c->want);
        pl_kv_release(c->kv, slot);
    }
}

static void crowd_ids(struct crowd *c)
{
    static const size_t prompts[] = {1, 2, 31, 32, 33, 7, PROMPT_MAX, 20};

    for (size_t i = 0; i < CROWD; i++) {
        const size_t g = i / GROUP;

        c->prompt[i] = prompts[g % (sizeof prompts / sizeof *prompts)];
        /* some go on into a third page, with a second one of their own under it */
        c->len[i] = c->prompt[i] + (c->prompt[i] == PROMPT_MAX ? TAIL_LONG : 3) + i % 6;
        pl_little_prompt(c->ids + i * c->T, c->T, (uint32_t)(1000 + g), c->V);
        pl_little_prompt(c->ids + i * c->T + c->prompt[i], c->T - c->prompt[i], (uint32_t)i, c->V);
    }
}

static void crowd_release(struct crowd *c)
{
    free(c->ids);
    free(c->want);
    free(c->got);
    free(c->batch_ids);
    free(c->positions);
    free(c->x);
    free(c->h);
    free(c->block);
    free(c->logits);
    pl_kv_destroy(c->kv);
    pl_rope_destroy(c->rope);
    pl_little_destroy(&c->little);
}

static void crowd_init(struct crowd *c, const struct pl_config *config)
{
    const size_t T = PROMPT_MAX + TAIL_LONG + 6, R = CROWD * PACE_MAX;
    const struct pl_kv_opts kv = {
        config->layers, config->kv_heads, config->head_dim, CROWD * pl_kv_pages_for(T), CROWD, T};
    struct pl_error err;

    memset(c, 0, sizeof *c);
    c->little = pl_little_create(config, 3);
    c->V = config->vocab;
    c->T = T;
    c->rows_max = R;
    assert_int_equal(pl_rope_create(config, T, &c->rope, &err), PL_OK);
    assert_int_equal(pl_kv_create(&kv, &c->kv, &err), PL_OK);
    c->ids = pl_alloc(CROWD * T, sizeof *c->ids);
    c->want = pl_alloc(CROWD * T * c->V, sizeof *c->want);
    c->got = pl_alloc(CROWD * T * c->V, sizeof *c->got);
    c->batch_ids = pl_alloc(R, sizeof *c->batch_ids);
    c->positions = pl_alloc(R, sizeof *c->positions);
    c->x = pl_alloc(R * config->hidden, sizeof *c->x);
    c->h = pl_alloc(R * config->hidden, sizeof *c->h);
    c->block = pl_alloc(pl_acts_floats(config, R), sizeof *c->block);
    c->logits = pl_alloc(R * c->V, sizeof *c->logits);
    pl_acts_place(&c->acts, config, R, c->block);
    crowd_ids(c);
    compute_alone(c);
}

/* Odd sizes; a product of more than one block of k, heads in threes. */
static struct pl_config crowd_config(void)
{
    struct pl_config config = pl_trial_config();

    config.hidden = 40;
    config.head_dim = 10;
    config.ffn = 260;
    config.vocab = 70;
    return config;
}

static void every_size_and_every_place(void **state)
{
    (void)state;
    const struct pl_config config = crowd_config();
    const size_t stride = PL_TEST_SLOW ? 9 : 1;
    struct crowd c;
    size_t pairs = 0, rows = 0;

    crowd_init(&c, &config);
    for (size_t size = 2; size <= CROWD; size += size < 14 ? 1 : stride) {
        /* at each place another sequence each time */
        rows += check(&c, size, size * 37, false) + check(&c, size, size * 53 + 1, true);
        pairs += 2 * size;
    }
    rows += check(&c, CROWD, 0, true) + check(&c, CROWD, 0, false);
    print_message("%zu pairs of size and place, %zu rows of logits\n", pairs, rows);
    crowd_release(&c);
}

/* One and the same sequence goes through all places. */
static void one_sequence_at_every_place(void **state)
{
    (void)state;
    const struct pl_config config = crowd_config();
    const size_t most = PL_TEST_SLOW ? 7 : 18;
    struct crowd c;

    crowd_init(&c, &config);
    for (size_t size = 2; size <= most; size++)
        for (size_t place = 0; place < size; place++)
            check(&c, size, 4 * GROUP + 3 + CROWD - place, (size + place) % 2 == 0);
    for (size_t place = 0; place < CROWD; place += PL_TEST_SLOW ? 50 : 13)
        check(&c, CROWD, 4 * GROUP + 3 + CROWD - place, place % 2 == 0);
    crowd_release(&c);
}

static void every_set_and_number_of_threads(void **state)
{
    (void)state;
    static const size_t sizes[] = {2, 3, 5, 6, 7, 12, 13, 24, 25, 33, 50, 97, CROWD};
    const struct pl_config config = crowd_config();
    const struct pl_kernels *usual = pl_kernels();
    struct crowd c;

    crowd_init(&c, &config); /* `want` is that of the usual set and two threads */
    for (size_t s = 0; s < SET_COUNT; s++) {
        const struct pl_kernels *set = pl_kernels_named(SETS[s]);
        const bool plain = strcmp(SETS[s], "plain") == 0;

        if (!set) {
            print_message("this machine has no %s\n", SETS[s]);
            continue;
        }
        pl_kernels_use(set);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int threads = 1; threads <= 3; threads++) {
                if ((plain || PL_TEST_SLOW) && (i % 3 != 0 || i / 3 % 3 + 1 != (size_t)threads))
                    continue;
                if (plain && sizes[i] > 40) /* its loops are slow */
                    continue;
                omp_set_num_threads(threads);
                check(&c, sizes[i], i * 11 + s, (i + (size_t)threads) % 2 == 0);
            }
    }
    pl_kernels_use(usual);
    omp_set_num_threads(2);
    crowd_release(&c);
}

/* Qwen2's larger shapes: heads of 128, seven query heads to a key/value head. */
static void heads_of_128_in_sevens(void **state)
{
    (void)state;
    static const size_t sizes[] = {2, 7, 13, 40, CROWD};
    struct pl_config config = pl_trial_config();
    struct crowd c;

    config.hidden = 448;
    config.heads = 14;
    config.head_dim = 128;
    config.ffn = 600;
    config.vocab = 500;
    config.layers = PL_TEST_SLOW ? 1 : 2;
    crowd_init(&c, &config);
    for (size_t i = 0; i < (PL_TEST_SLOW ? 3 : sizeof sizes / sizeof *sizes); i++) {
        omp_set_num_threads(1 + (int)i % 3);
        check(&c, sizes[i], i * 29, i % 2 == 0);
    }
    omp_set_num_threads(2);
    crowd_release(&c);
}

/* ---- chunks ---- */

static void every_chunk_size(void **state)
{
    (void)state;
    enum { TOKENS = 520, PROMPT = 515, BATCH = 4 };
    const struct pl_trial_case alone = {1, 0, TOKENS, TOKENS, false};
    struct pl_invariance found = {.equal = true};
    struct pl_config config = crowd_config();
    struct pl_trial *trial = NULL;
    struct pl_error err;
    float *want, *got;

    config.layers = 1;
    config.heads = 3;
    config.kv_heads = 1;
    config.ffn = 64;
    config.vocab = 40;
    assert_int_equal(pl_trial_create(&config, 4, BATCH, TOKENS, &trial, &err), PL_OK);
    want = pl_alloc(TOKENS * config.vocab, sizeof *want);
    got = pl_alloc(TOKENS * config.vocab, sizeof *got);
    pl_trial_run(trial, &alone, want);
    for (size_t chunk = 1; chunk <= 512; chunk += PL_TEST_SLOW && chunk > 1 ? 31 : 1) {
        const struct pl_trial_case how = {1 + chunk % BATCH, chunk % BATCH, PROMPT, chunk,
                                          chunk % 3 == 0};

        pl_invariance_case(&found, trial, &how, 1 + (int)(chunk / 2 % 2), NULL, want, got);
        if (!found.equal)
            fail_msg("%s", found.difference);
    }
    print_message("%zu cases, %zu rows\n", found.cases, found.rows);
    free(want);
    free(got);
    pl_trial_destroy(trial);
}

/* ---- the engine ---- */

enum { JOBS = 24, POSITIONS = 130 };

static uint32_t prompts[JOBS][POSITIONS];
static struct pl_request requests[JOBS];
static struct pl_fate wants[JOBS][PL_LITTLE_SAMPLES];

static void make_requests(const struct pl_weights *weights)
{
    static const size_t lens[] = {1, 3, 31, 32, 33, 50, 64, 90};
    const size_t V = weights->shape->config.vocab;

    for (uint32_t i = 0; i < JOBS; i++) {
        struct pl_request *r = &requests[i];

        pl_little_prompt(prompts[i], POSITIONS, i / 2, V); /* two of each */
        *r = (struct pl_request){.prompt = prompts[i],
                                 .prompt_len = lens[i % 8],
                                 .samples = 1 + i % PL_LITTLE_SAMPLES,
                                 .new_tokens_max = 5 + i,
                                 .sampling = PL_SAMPLING_PLAIN,
                                 .rng = {.seed = 12, .batch = 1, .prompt = i}};
        if (i % 3 == 1)
            r->sampling = PL_SAMPLING_GREEDY;
        if (i % 6 == 2)
            r->sampling = (struct pl_sampling){0.8f, 20, 0.95f, 0.02f};
        if (i % 4 == 0) {
            r->stop_ids[0] = i;
            r->stop_count = 1;
        }
        pl_outcome_alone(weights, r, wants[i]);
    }
}

/* All requests at once, in an order that `first` and `by` give. */
static void run_together(const struct pl_engine_opts *opts, size_t first, size_t by)
{
    struct pl_engine *engine = pl_test_engine(opts);
    struct pl_job *jobs[JOBS];

    for (size_t i = 0; i < JOBS; i++) {
        const size_t k = (first + i * by) % JOBS;

        jobs[k] = pl_test_submit(engine, &requests[k]);
        if (i % 5 == 4) /* some come while others run */
            pl_test_step(engine);
    }
    pl_test_run(engine);
    for (size_t k = 0; k < JOBS; k++)
        for (size_t s = 0; s < requests[k].samples; s++)
            pl_assert_outcome(jobs[k], s, &wants[k][s]);
    pl_engine_destroy(engine);
}

static void generation_is_the_same_whatever_else_runs(void **state)
{
    (void)state;
    static const struct {
        size_t slots, chunk, pages, first, by;
        int threads;
    } ways[] = {
        {130, 512, 0, 0, 1, 2},  {130, 64, 0, 7, 5, 1},   {130, 1, 0, 3, 7, 2},
        {9, 33, 0, 0, 1, 2},     {8, 2, 20, 5, 11, 1},    {40, 17, 50, 1, 13, 3},
        {20, 32, 30, 20, 23, 2}, {64, 100, 0, 11, 17, 1},
    };
    const struct pl_config config = crowd_config();
    struct pl_little little = pl_little_create(&config, 5);

    make_requests(little.weights);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i += PL_TEST_SLOW ? 3 : 1) {
        const struct pl_engine_opts opts = {.weights = little.weights,
                                            .slots = ways[i].slots,
                                            .positions = POSITIONS,
                                            .pages = ways[i].pages,
                                            .chunk_tokens = ways[i].chunk,
                                            .jobs = JOBS,
                                            .keep_prefix = i % 2 == 1};

        omp_set_num_threads(ways[i].threads);
        run_together(&opts, ways[i].first, ways[i].by);
    }
    omp_set_num_threads(2);
    pl_little_destroy(&little);
}

static void generation_is_the_same_on_every_set(void **state)
{
    (void)state;
    const struct pl_config config = crowd_config();
    const struct pl_kernels *usual = pl_kernels();
    struct pl_little little = pl_little_create(&config, 6);
    const struct pl_engine_opts opts = {.weights = little.weights,
                                        .slots = 70,
                                        .positions = POSITIONS,
                                        .chunk_tokens = 40,
                                        .jobs = JOBS};

    make_requests(little.weights);
    for (size_t s = 0; s < SET_COUNT; s++) {
        if (!pl_kernels_named(SETS[s]))
            continue;
        pl_kernels_use(pl_kernels_named(SETS[s]));
        run_together(&opts, s, 5);
    }
    pl_kernels_use(usual);
    pl_little_destroy(&little);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_and_every_place),
        cmocka_unit_test(one_sequence_at_every_place),
        cmocka_unit_test(every_set_and_number_of_threads),
        cmocka_unit_test(heads_of_128_in_sevens),
        cmocka_unit_test(every_chunk_size),
        cmocka_unit_test(generation_is_the_same_whatever_else_runs),
        cmocka_unit_test(generation_is_the_same_on_every_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
