/*
 * The engine as its user meets it: what it asks for, what it refuses, how a job goes from waiting
 * to dropped, and in which order. What a sample is made of is compared to the bit with the same
 * request in an engine of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actor/engine_impl.h"
#include "tests/close.h"
#include "tests/little.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { V = 83, SLOTS = 8, POSITIONS = 128, CHUNK = 16, JOBS = 6 };

static struct pl_little little;

/* ---- what is asked of the system: the program is linked so that these stand before malloc's ----
 */

static _Atomic size_t asked_bytes, asked_calls;

void *__real_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);

static void count(size_t bytes)
{
    atomic_fetch_add(&asked_bytes, bytes);
    atomic_fetch_add(&asked_calls, 1);
}

void *__wrap_calloc(size_t n, size_t size)
{
    count(n * size);
    return __real_calloc(n, size);
}

void *__wrap_malloc(size_t size)
{
    count(size);
    return __real_malloc(size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    count(size);
    return __real_aligned_alloc(align, size);
}

/* ---- engines and requests ---- */

static struct pl_engine_opts usual(void)
{
    return (struct pl_engine_opts){.weights = little.weights,
                                   .slots = SLOTS,
                                   .positions = POSITIONS,
                                   .chunk_tokens = CHUNK,
                                   .jobs = JOBS};
}

static struct pl_engine *make_usual(void)
{
    const struct pl_engine_opts opts = usual();

    return pl_test_engine(&opts);
}

static uint32_t prompts[4][POSITIONS]; /* four lists of ids */

static struct pl_request ask(size_t which, size_t prompt_len, size_t samples, size_t tokens)
{
    return (struct pl_request){.prompt = prompts[which],
                               .prompt_len = prompt_len,
                               .samples = samples,
                               .new_tokens_max = tokens,
                               .sampling = PL_SAMPLING_PLAIN,
                               .rng = {.seed = 5, .prompt = (uint32_t)which}};
}

static void assert_alone(const struct pl_job *job, const struct pl_request *request)
{
    struct pl_fate want[PL_LITTLE_SAMPLES];

    pl_outcome_alone(little.weights, request, want);
    for (size_t s = 0; s < request->samples; s++)
        pl_assert_outcome(job, s, &want[s]);
}

static void assert_polled(struct pl_engine *engine, const struct pl_job *job, size_t sample)
{
    struct pl_job *got = NULL;
    size_t got_sample = 99;

    assert_true(pl_engine_poll(engine, &got, &got_sample));
    assert_ptr_equal(got, job);
    assert_int_equal(got_sample, sample);
}

static void assert_nothing_polled(struct pl_engine *engine)
{
    struct pl_job *got = NULL;
    size_t got_sample = 99;

    assert_false(pl_engine_poll(engine, &got, &got_sample));
    assert_null(got);
    assert_int_equal(got_sample, 99);
}

/* ---- the plan ---- */

static void plan_adds_up(void **state)
{
    (void)state;
    const struct pl_engine_opts opts = usual();
    const struct pl_kv_opts kv = {2, 2, 10, SLOTS * 4, SLOTS, POSITIONS};
    struct pl_engine_plan plan;
    struct pl_buf line;
    struct pl_error err;

    assert_int_equal(pl_engine_plan(&opts, &plan, &err), PL_OK);
    assert_int_equal(plan.weights_bytes, pl_weights_bytes(little.shape));
    assert_int_equal(plan.pages, SLOTS * 4); /* 128 positions are 4 pages */
    assert_int_equal(plan.kv_bytes, pl_kv_bytes(&kv));
    assert_int_equal(plan.rows, SLOTS + CHUNK);
    assert_int_equal(plan.logits_bytes, SLOTS * (V + 40) * 4);
    assert_int_equal(plan.rope_bytes, POSITIONS * 10 * 4);
    assert_int_equal(plan.total_bytes, plan.kv_bytes + plan.acts_bytes + plan.logits_bytes +
                                           plan.rope_bytes + plan.sampler_bytes + plan.other_bytes +
                                           plan.packed_bytes);
    assert_int_equal(plan.packed_bytes, (SLOTS + CHUNK) * 56 * 4);
    pl_buf_init(&line, 1000);
    assert_int_equal(pl_engine_plan_print(&plan, &line), PL_OK);
    assert_non_null(strstr(line.data, "plan weights_bytes="));
    assert_non_null(strstr(line.data, " kv_pages=32 "));
    assert_null(strchr(line.data, '\n'));
    pl_buf_release(&line);
    pl_buf_init(&line, 10);
    assert_int_equal(pl_engine_plan_print(&plan, &line), PL_EFULL);
    pl_buf_release(&line);
}

static void create_asks_for_what_the_plan_says(void **state)
{
    (void)state;
    struct pl_engine_opts opts = usual();
    struct pl_engine_plan plan;
    struct pl_engine *engine;

    for (int variant = 0; variant < 3; variant++) {
        opts.pages = variant == 1 ? 40 : 0;
        opts.keep_prefix = variant == 2;
        opts.positions = variant == 2 ? 1000 : POSITIONS;
        assert_int_equal(pl_engine_plan(&opts, &plan, NULL), PL_OK);
        asked_bytes = asked_calls = 0;
        engine = pl_test_engine(&opts);
        /* each call is rounded up to a line of 64 bytes */
        assert_in_range(asked_bytes, plan.total_bytes - plan.packed_bytes,
                        plan.total_bytes + 64 * asked_calls);
        pl_engine_destroy(engine);
    }
}

static void a_step_allocates_nothing(void **state)
{
    (void)state;
    struct pl_engine *engine = make_usual();
    struct pl_request request = ask(0, 40, 3, 30);

    (void)pl_test_submit(engine, &request);
    request.sampling = (struct pl_sampling){0.7f, 20, 0.9f, 0.05f};
    (void)pl_test_submit(engine, &request);
    asked_calls = 0;
    pl_test_run(engine);
    assert_int_equal(asked_calls, 0);
    pl_engine_destroy(engine);
}

static void assert_no_engine(const struct pl_engine_opts *opts, int code, const char *sentence)
{
    struct pl_engine *engine = NULL;
    struct pl_error err;

    assert_int_equal(pl_engine_create(opts, &engine, &err), code);
    assert_int_equal(err.code, code);
    assert_string_equal(err.text, sentence);
    assert_null(engine);
    assert_int_equal(pl_engine_create(opts, &engine, NULL), code);
}

static void impossible_engines_are_refused(void **state)
{
    (void)state;
    struct pl_engine_opts opts = usual();
    struct pl_rope *rope = NULL;
    struct pl_engine_plan plan;
    struct pl_error err;
    char text[600];

    opts.slots = 0;
    assert_no_engine(&opts, PL_EINVAL,
                     "engine: slots, positions, chunk_tokens and jobs must be from 1 (positions "
                     "from 2) to 16777216, found 0, 128, 16 and 6, and pages below 2^32, found 0");
    opts = usual(), opts.positions = 1;
    assert_int_equal(pl_engine_plan(&opts, &plan, &err), PL_EINVAL);
    opts = usual(), opts.chunk_tokens = 0;
    assert_int_equal(pl_engine_plan(&opts, &plan, &err), PL_EINVAL);
    opts = usual(), opts.jobs = 0;
    assert_int_equal(pl_engine_plan(&opts, &plan, &err), PL_EINVAL);
    opts = usual(), opts.slots = SIZE_MAX;
    assert_int_equal(pl_engine_plan(&opts, &plan, &err), PL_EINVAL);
    opts = usual(), opts.pages = (size_t)1 << 32;
    assert_int_equal(pl_engine_plan(&opts, &plan, &err), PL_EINVAL);

    assert_int_equal(pl_rope_create(&little.shape->config, POSITIONS - 1, &rope, &err), PL_OK);
    opts = usual(), opts.rope = rope;
    assert_no_engine(&opts, PL_EINVAL,
                     "engine: the rotary table has 127 positions, 128 are needed");
    pl_rope_destroy(rope);

    opts = usual();
    assert_int_equal(pl_engine_plan(&opts, &plan, &err), PL_OK);
    opts.bytes_max = plan.total_bytes - 1;
    snprintf(text, sizeof text,
             "engine: needs %zu bytes (cache %zu, activations %zu, logits %zu), the limit is %zu; "
             "fewer slots, positions, pages or chunk_tokens need less",
             plan.total_bytes, plan.kv_bytes, plan.acts_bytes, plan.logits_bytes,
             plan.total_bytes - 1);
    assert_no_engine(&opts, PL_ENOMEM, text);
    opts.bytes_max = plan.total_bytes;
    pl_engine_destroy(pl_test_engine(&opts));
    pl_engine_destroy(NULL);
}

static void a_borrowed_rotary_table_gives_the_same(void **state)
{
    (void)state;
    struct pl_engine_opts opts = usual();
    const struct pl_request request = ask(0, 9, 2, 12);
    struct pl_rope *rope = NULL;
    struct pl_error err;
    struct pl_engine *engine;
    struct pl_job *job;

    assert_int_equal(pl_rope_create(&little.shape->config, 300, &rope, &err), PL_OK);
    opts.rope = rope;
    engine = pl_test_engine(&opts);
    job = pl_test_submit(engine, &request);
    pl_test_run(engine);
    assert_alone(job, &request);
    assert_int_equal(engine->plan.rope_bytes, 0);
    pl_engine_destroy(engine);
    pl_rope_destroy(rope);
}

/* ---- requests ---- */

static void assert_refused(struct pl_engine *engine, const struct pl_request *request,
                           const char *sentence)
{
    struct pl_job *job = NULL;
    struct pl_error err;

    assert_int_equal(pl_engine_submit(engine, request, &job, &err), PL_EINVAL);
    assert_string_equal(err.text, sentence);
    assert_null(job);
    assert_true(pl_engine_idle(engine));
}

static void impossible_requests_are_refused(void **state)
{
    (void)state;
    struct pl_engine_opts opts = usual();
    struct pl_engine *engine;
    struct pl_request r;
    uint32_t bad[3] = {1, 2, V};

    opts.pages = 5;
    engine = pl_test_engine(&opts);
    r = ask(0, 0, 1, 1);
    assert_refused(engine, &r,
                   "request: prompt tokens, samples and new tokens must be at least 1, found 0, 1 "
                   "and 1");
    r = ask(0, 1, 0, 1);
    assert_refused(engine, &r,
                   "request: prompt tokens, samples and new tokens must be at least 1, found 1, 0 "
                   "and 1");
    r = ask(0, 1, 1, 0);
    assert_refused(engine, &r,
                   "request: prompt tokens, samples and new tokens must be at least 1, found 1, 1 "
                   "and 0");
    r = ask(0, 1, 9, 1);
    assert_refused(engine, &r, "request: 9 samples at once, the engine has 8 slots");
    r = ask(0, 100, 1, 29);
    assert_refused(engine, &r,
                   "request: 100 prompt and 29 new tokens, the engine has 128 positions");
    r = ask(0, 100, 1, SIZE_MAX - 50);
    assert_refused(engine, &r,
                   "request: 100 prompt and 18446744073709551565 new tokens, the engine has 128 "
                   "positions");
    r = ask(0, 64, 3, 34); /* 2 shared pages and 3 samples of 2 more */
    assert_refused(engine, &r, "request: needs 8 pages at its longest, the cache has 5");
    r = ask(0, 1, 1, 1), r.stop_count = 17;
    assert_refused(engine, &r, "request: 17 stop ids, at most 16 are possible");
    r = ask(0, 3, 1, 1), r.prompt = bad;
    assert_refused(engine, &r, "request: prompt token 2 is 83, the vocabulary has 83");
    r = ask(0, 3, 1, 1), r.sampling.temperature = -1.0f;
    assert_refused(engine, &r, "temperature must be 0 or from 0.001 to 1000, found -1");
    /* the longest that can run does */
    r = ask(0, 100, 1, 28);
    (void)pl_test_submit(engine, &r);
    pl_test_run(engine);
    pl_engine_destroy(engine);
}

static void no_more_jobs_than_stated(void **state)
{
    (void)state;
    const struct pl_request request = ask(0, 3, 1, 2);
    struct pl_engine *engine = make_usual();
    struct pl_job *jobs[JOBS], *more = NULL;
    struct pl_error err;

    for (size_t i = 0; i < JOBS; i++)
        jobs[i] = pl_test_submit(engine, &request);
    assert_int_equal(pl_engine_submit(engine, &request, &more, &err), PL_EFULL);
    assert_string_equal(err.text, "engine: 6 jobs are there already");
    pl_test_run(engine);
    assert_int_equal(pl_engine_submit(engine, &request, &more, &err), PL_EFULL); /* not dropped */
    pl_engine_drop(engine, &jobs[3]);
    assert_null(jobs[3]);
    pl_engine_drop(engine, &jobs[3]); /* NULL is fine */
    more = pl_test_submit(engine, &request);
    pl_test_run(engine);
    assert_alone(more, &request);
    pl_engine_destroy(engine);
}

/* ---- a job's way ---- */

static void greedy_is_the_best_of_a_forward_over_all(void **state)
{
    (void)state;
    enum { PROMPT = 37, NEW = 30, ALL = PROMPT + NEW };
    const struct pl_config *c = &little.shape->config;
    const struct pl_kv_opts kv_opts = {c->layers, c->kv_heads, c->head_dim, 3, 1, ALL};
    struct pl_request request = ask(2, PROMPT, 1, NEW);
    struct pl_fate got;
    struct pl_kv *kv = NULL;
    struct pl_rope *rope = NULL;
    struct pl_acts acts;
    float *block = pl_alloc(pl_acts_floats(c, ALL), 4), *x = pl_alloc(ALL * c->hidden, 4);
    float *h = pl_alloc(ALL * c->hidden, 4), *logits = pl_alloc(ALL * c->vocab, 4);
    uint32_t ids[ALL], positions[ALL], slot;

    request.sampling = PL_SAMPLING_GREEDY;
    pl_outcome_alone(little.weights, &request, &got);
    assert_int_equal(got.len, NEW);
    memcpy(ids, request.prompt, PROMPT * sizeof *ids);
    memcpy(ids + PROMPT, got.ids, NEW * sizeof *ids);
    for (uint32_t t = 0; t < ALL; t++)
        positions[t] = t;
    assert_int_equal(pl_kv_create(&kv_opts, &kv, NULL), PL_OK);
    assert_int_equal(pl_rope_create(c, ALL, &rope, NULL), PL_OK);
    assert_int_equal(pl_kv_claim(kv, ALL, ALL, 1, &slot), PL_OK);
    pl_kv_extend(kv, slot, ALL);
    const struct pl_span span = {pl_kv_table(kv, slot), 0, ALL, 0};
    const struct pl_batch batch = {
        .ids = ids, .positions = positions, .rows = ALL, .spans = &span, .span_count = 1};

    pl_acts_place(&acts, c, ALL, block);
    pl_forward(x, little.weights, rope, &batch, &kv->pages, &acts);
    pl_forward_head(logits, h, NULL, little.weights, x, NULL, ALL);
    for (size_t i = 0; i < NEW; i++) {
        const float *row = logits + (PROMPT - 1 + i) * V;
        const float logprob = (float)((double)row[got.ids[i]] - pl_logsumexp(row, V));

        for (size_t v = 0; v < V; v++)
            assert_true(row[v] < row[got.ids[i]] || (row[v] == row[got.ids[i]] && v >= got.ids[i]));
        pl_assert_same_bits(&got.logprobs[i], &logprob, 1);
    }
    pl_kv_destroy(kv);
    pl_rope_destroy(rope);
    free(block);
    free(x);
    free(h);
    free(logits);
}

static struct {
    const struct pl_job *job;
    void *user;
    size_t count, next[PL_LITTLE_SAMPLES];
    const struct pl_fate *want;
    size_t stop_sample, stop_after; /* say no after that many tokens of that sample */
} heard;

static bool hear(const struct pl_token *token)
{
    const struct pl_fate *want = &heard.want[token->sample];

    assert_ptr_equal(token->job, heard.job);
    assert_ptr_equal(token->user, heard.user);
    assert_int_equal(token->index, heard.next[token->sample]++);
    assert_int_equal(token->id, want->ids[token->index]);
    pl_assert_same_bits(&token->logprob, &want->logprobs[token->index], 1);
    /* it is there already when it is told */
    assert_int_equal(pl_job_sample(token->job, token->sample)->len, token->index + 1);
    heard.count++;
    return !(token->sample == heard.stop_sample && token->index + 1 >= heard.stop_after);
}

static void tokens_are_told_as_they_come(void **state)
{
    (void)state;
    struct pl_request request = ask(1, 20, 3, 11);
    struct pl_fate want[3];
    struct pl_engine *engine = make_usual();
    int me;

    pl_outcome_alone(little.weights, &request, want);
    request.on_token = hear;
    request.user = &me;
    memset(&heard, 0, sizeof heard);
    heard.want = want;
    heard.user = &me;
    heard.stop_after = SIZE_MAX;
    struct pl_job *job = pl_test_submit(engine, &request);

    heard.job = job;
    assert_ptr_equal(pl_job_user(job), &me);
    assert_int_equal(pl_job_samples(job), 3);
    pl_test_run(engine);
    assert_int_equal(heard.count, 3 * 11);
    assert_alone(job, &request);
    pl_engine_destroy(engine);
}

static void saying_no_ends_that_sample_alone(void **state)
{
    (void)state;
    struct pl_request request = ask(1, 20, 3, 11);
    struct pl_fate want[3];
    struct pl_engine *engine = make_usual();

    pl_outcome_alone(little.weights, &request, want);
    for (size_t after = 1; after <= 11; after += 5) {
        memset(&heard, 0, sizeof heard);
        heard.want = want;
        heard.stop_sample = 1;
        heard.stop_after = after;
        request.on_token = hear;
        struct pl_job *job = pl_test_submit(engine, &request);

        heard.job = job;
        pl_test_run(engine);
        for (size_t s = 0; s < 3; s++)
            pl_assert_outcome(job, s, &want[s]);
        assert_int_equal(pl_job_sample(job, 1)->len, after);
        /* at the limit it has ended anyway */
        assert_int_equal(pl_job_sample(job, 1)->finish,
                         after < 11 ? PL_FINISH_CANCELED : PL_FINISH_LENGTH);
        assert_int_equal(heard.count, 2 * 11 + after);
        pl_engine_drop(engine, &job);
    }
    pl_engine_destroy(engine);
}

static void samples_draw_by_their_index(void **state)
{
    (void)state;
    struct pl_request group = ask(3, 33, 4, 15), single = ask(3, 33, 1, 15);
    struct pl_engine *engine = make_usual();
    struct pl_job *together, *alone;
    struct pl_fate want;

    group.rng.sample = single.rng.sample = 7;
    together = pl_test_submit(engine, &group);
    pl_test_run(engine);
    for (size_t s = 0; s < 4; s++) {
        pl_outcome_alone(little.weights, &single, &want);
        pl_assert_outcome(together, s, &want);
        single.rng.sample++;
    }
    single.rng.sample = 7;
    single.rng.seed++;
    alone = pl_test_submit(engine, &single);
    pl_test_run(engine);
    assert_memory_not_equal(pl_job_sample(alone, 0)->ids, pl_job_sample(together, 0)->ids,
                            15 * sizeof(uint32_t));
    pl_engine_destroy(engine);
}

/* The first place at which an outcome has an id that it did not have before. */
static size_t first_new(const struct pl_fate *o, size_t from)
{
    for (size_t i = from; i < o->len; i++) {
        size_t j = 0;

        while (j < i && o->ids[j] != o->ids[i])
            j++;
        if (j == i)
            return i;
    }
    fail_msg("no new id from %zu on", from);
    return 0;
}

static void stop_ids_end_a_sample(void **state)
{
    (void)state;
    struct pl_request request = ask(0, 12, 1, 40);
    struct pl_engine *engine = make_usual();
    struct pl_fate whole;
    struct pl_job *job;

    pl_outcome_alone(little.weights, &request, &whole);
    for (size_t round = 0; round < 4; round++) {
        const size_t at = round == 0 ? 0 : first_new(&whole, round * 7);

        request.stop_count = round == 3 ? PL_STOP_IDS_MAX : 1;
        for (size_t i = 0; i < request.stop_count; i++)
            request.stop_ids[i] = 1000; /* no id at all: never drawn */
        request.stop_ids[request.stop_count - 1] = whole.ids[at];
        job = pl_test_submit(engine, &request);
        pl_test_run(engine);
        assert_int_equal(pl_job_sample(job, 0)->finish, PL_FINISH_STOP);
        assert_int_equal(pl_job_sample(job, 0)->len, at + 1); /* the stop token is part of it */
        assert_memory_equal(pl_job_sample(job, 0)->ids, whole.ids, (at + 1) * sizeof(uint32_t));
        pl_assert_same_bits(pl_job_sample(job, 0)->logprobs, whole.logprobs, at + 1);
        pl_engine_drop(engine, &job);
    }
    /* a stop token at the limit is a stop */
    const size_t at = first_new(&whole, 10);

    request.stop_ids[0] = whole.ids[at];
    request.stop_count = 1;
    request.new_tokens_max = at + 1;
    job = pl_test_submit(engine, &request);
    pl_test_run(engine);
    assert_int_equal(pl_job_sample(job, 0)->finish, PL_FINISH_STOP);
    pl_engine_destroy(engine);
}

static void steps_and_stats_count(void **state)
{
    (void)state;
    struct pl_engine *engine = make_usual();
    const struct pl_request request = ask(0, 40, 3, 5); /* chunks of 16: 16, 16, 8 */
    struct pl_job *job;
    struct pl_engine_stats stats;

    assert_true(pl_engine_idle(engine));
    assert_int_equal(pl_engine_step(engine), 0);
    job = pl_test_submit(engine, &request);
    assert_false(pl_engine_idle(engine));
    assert_int_equal(pl_engine_stats(engine).jobs_waiting, 1);
    assert_int_equal(pl_engine_step(engine), 16);
    stats = pl_engine_stats(engine);
    assert_int_equal(stats.jobs_waiting, 0);
    assert_int_equal(stats.jobs_running, 1);
    assert_int_equal(stats.step_draws, 0);
    assert_int_equal(stats.pages_used, 1);
    assert_int_equal(stats.pages_promised, 3); /* 44 positions: one page shared, one more each */
    assert_int_equal(pl_engine_step(engine), 16);
    assert_int_equal(pl_engine_step(engine), 8);
    stats = pl_engine_stats(engine);
    assert_int_equal(stats.step_prompt_rows, 8);
    assert_int_equal(stats.step_decode_rows, 0);
    assert_int_equal(stats.step_draws, 3); /* from one row of logits */
    assert_int_equal(stats.new_tokens, 3);
    assert_int_equal(stats.pages_used, 4);
    assert_int_equal(stats.pages_promised, 0);
    assert_int_equal(pl_engine_step(engine), 3);
    assert_int_equal(pl_engine_stats(engine).step_decode_rows, 3);
    assert_int_equal(pl_job_unfinished(job), 3);
    pl_test_run(engine);
    stats = pl_engine_stats(engine);
    assert_int_equal(stats.steps, 3 + 4);
    assert_int_equal(stats.prompt_tokens, 40);
    assert_int_equal(stats.reused_tokens, 0);
    assert_int_equal(stats.new_tokens, 15);
    assert_int_equal(stats.jobs_running, 0);
    assert_int_equal(stats.pages_used, 0);
    assert_int_equal(stats.pages_used_max, 4);
    assert_int_equal(pl_job_unfinished(job), 0);
    for (size_t s = 0; s < 3; s++)
        assert_polled(engine, job, s);
    assert_nothing_polled(engine);
    pl_engine_destroy(engine);
}

static void a_prompt_of_whole_pages_is_wholly_shared(void **state)
{
    (void)state;
    struct pl_engine *engine = make_usual();
    const struct pl_request request = ask(0, 2 * PL_PAGE, 5, 3), one = ask(1, PL_PAGE, 2, 1);
    struct pl_job *job = pl_test_submit(engine, &one);

    pl_test_run(engine);
    assert_int_equal(pl_engine_stats(engine).pages_used_max, 1);
    assert_alone(job, &one);
    job = pl_test_submit(engine, &request);
    pl_test_run(engine);
    assert_int_equal(pl_engine_stats(engine).pages_used_max, 2 + 5);
    assert_alone(job, &request);
    pl_engine_destroy(engine);
}

/* ---- waiting, cancelling, dropping ---- */

static void jobs_are_let_in_in_order(void **state)
{
    (void)state;
    struct pl_engine_opts opts = usual();
    struct pl_engine *engine;
    const struct pl_request first = ask(0, 30, 1, 35);    /* 2 of 4 pages */
    const struct pl_request big = ask(1, 33, 3, 31);      /* all 4 */
    const struct pl_request little_one = ask(2, 5, 1, 4); /* 1: would fit beside the first */
    struct pl_job *a, *b, *c;

    opts.pages = 4;
    engine = pl_test_engine(&opts);
    a = pl_test_submit(engine, &first);
    b = pl_test_submit(engine, &big);
    c = pl_test_submit(engine, &little_one);
    while (pl_job_unfinished(a) > 0) {
        pl_test_step(engine);
        assert_int_equal(pl_job_sample(b, 0)->len + pl_job_sample(c, 0)->len, 0);
        assert_int_equal(pl_engine_stats(engine).jobs_waiting, 2);
    }
    while (pl_job_unfinished(b) > 0) {
        pl_test_step(engine);
        assert_int_equal(pl_job_sample(c, 0)->len, 0); /* no page is left */
    }
    pl_test_run(engine);
    assert_polled(engine, a, 0);
    for (size_t s = 0; s < 3; s++)
        assert_polled(engine, b, s);
    assert_polled(engine, c, 0);
    assert_alone(a, &first);
    assert_alone(b, &big);
    assert_alone(c, &little_one);
    assert_int_equal(pl_engine_stats(engine).pages_used_max, 4);
    pl_engine_destroy(engine);
}

static void a_stream_of_small_jobs_starves_no_big_one(void **state)
{
    (void)state;
    struct pl_engine *engine = make_usual();
    const struct pl_request small = ask(0, 4, 1, 6), big = ask(1, 10, SLOTS, 9);
    struct pl_job *running[JOBS - 1] = {NULL}, *b;
    size_t steps = 0, more = 0;

    running[0] = pl_test_submit(engine, &small);
    pl_test_step(engine);
    b = pl_test_submit(engine, &big);
    while (pl_job_unfinished(b) > 0) { /* always some small ones behind it */
        for (size_t i = 0; i < JOBS - 1; i++) {
            if (running[i] && pl_job_unfinished(running[i]) > 0)
                continue;
            pl_engine_drop(engine, &running[i]);
            running[i] = pl_test_submit(engine, &small);
            more++;
        }
        pl_test_step(engine);
        assert_true(++steps < 20); /* 6 of the first, 10 of its own */
    }
    assert_int_equal(more, JOBS - 1); /* one for each place: those behind it all wait */
    assert_alone(b, &big);
    pl_test_run(engine);
    pl_engine_destroy(engine);
}

static void slots_are_waited_for_too(void **state)
{
    (void)state;
    struct pl_engine *engine = make_usual();
    const struct pl_request five = ask(0, 4, 5, 6), four = ask(1, 7, 4, 5);
    struct pl_job *a = pl_test_submit(engine, &five), *b = pl_test_submit(engine, &four);

    pl_test_step(engine);
    assert_int_equal(pl_engine_stats(engine).jobs_waiting, 1);
    pl_test_run(engine);
    assert_alone(a, &five);
    assert_alone(b, &four);
    pl_engine_destroy(engine);
}

/* Cancel the middle one of three jobs after `steps`; the others must not notice. */
static void cancel_after(size_t steps, enum pl_job_state expected)
{
    struct pl_engine_opts opts = usual();
    const struct pl_request requests[3] = {ask(0, 30, 2, 9), ask(1, 60, 3, 12), ask(2, 33, 2, 7)};
    struct pl_engine *engine;
    struct pl_job *jobs[3];

    opts.slots = 6; /* the third waits for the second */
    engine = pl_test_engine(&opts);
    for (size_t i = 0; i < 3; i++)
        jobs[i] = pl_test_submit(engine, &requests[i]);
    for (size_t i = 0; i < steps; i++)
        pl_test_step(engine);
    assert_int_equal(jobs[1]->state, expected);
    pl_engine_cancel(engine, jobs[1]);
    pl_kv_verify(engine->kv);
    assert_int_equal(pl_job_unfinished(jobs[1]), 0);
    assert_int_equal(jobs[1]->state, PL_JOB_FINISHED);
    for (size_t s = 0; s < 3; s++)
        assert_int_equal(pl_job_sample(jobs[1], s)->finish,
                         expected == PL_JOB_FINISHED ? PL_FINISH_LENGTH : PL_FINISH_CANCELED);
    pl_engine_cancel(engine, jobs[1]); /* once more changes nothing */
    pl_test_run(engine);
    for (size_t i = 0; i < 3; i++)
        assert_alone(jobs[i], &requests[i]);
    size_t polled = 0, sample;
    for (struct pl_job *job; pl_engine_poll(engine, &job, &sample);)
        polled++;
    assert_int_equal(polled, 7);
    assert_int_equal(engine->kv->free_count, engine->kv->pages.count);
    pl_engine_destroy(engine);
}

static void a_job_is_canceled_in_any_state(void **state)
{
    (void)state;
    cancel_after(0, PL_JOB_WAITING);
    cancel_after(2, PL_JOB_PREFILL);
    cancel_after(8, PL_JOB_DECODE);
    cancel_after(60 / 16 + 2 + 2 + 12, PL_JOB_FINISHED);
}

static void dropped_jobs_are_not_polled(void **state)
{
    (void)state;
    struct pl_engine *engine = make_usual();
    const struct pl_request r = ask(0, 3, 2, 2), waiting = ask(1, 50, 8, 40);
    struct pl_job *a = pl_test_submit(engine, &r), *b = pl_test_submit(engine, &r),
                  *c = pl_test_submit(engine, &r);
    struct pl_job *w = pl_test_submit(engine, &waiting);

    while (pl_job_unfinished(c) > 0)
        pl_test_step(engine);
    pl_engine_drop(engine, &b); /* from the middle of the finished */
    assert_polled(engine, a, 0);
    assert_polled(engine, a, 1);
    pl_engine_drop(engine, &a);
    assert_polled(engine, c, 0);
    pl_engine_drop(engine, &c); /* with its last sample still queued: the queue is empty now */
    assert_nothing_polled(engine);
    pl_test_step(engine);
    assert_int_equal(pl_engine_stats(engine).jobs_running, 1);
    pl_engine_drop(engine, &w); /* while it runs */
    pl_kv_verify(engine->kv);
    assert_true(pl_engine_idle(engine));
    assert_null(engine->jobs);
    assert_null(engine->jobs_last);
    assert_int_equal(engine->kv->free_count, engine->kv->pages.count);
    /* and it goes on as if nothing had been */
    a = pl_test_submit(engine, &r);
    pl_test_run(engine);
    assert_polled(engine, a, 0);
    assert_alone(a, &r);
    pl_engine_destroy(engine);
}

static void samples_come_up_in_the_order_they_finish(void **state)
{
    (void)state;
    struct pl_engine *engine = make_usual();
    const struct pl_request slow = ask(0, 3, 2, 9), quick = ask(1, 3, 2, 3);
    struct pl_job *a = pl_test_submit(engine, &slow), *b = pl_test_submit(engine, &quick);

    pl_test_run(engine);
    assert_polled(engine, b, 0);
    assert_polled(engine, b, 1);
    assert_polled(engine, a, 0);
    assert_polled(engine, a, 1);
    assert_nothing_polled(engine);
    pl_engine_destroy(engine);
}

static void names_of_endings(void **state)
{
    (void)state;
    assert_string_equal(pl_finish_name(PL_FINISH_NOT), "running");
    assert_string_equal(pl_finish_name(PL_FINISH_STOP), "stop");
    assert_string_equal(pl_finish_name(PL_FINISH_LENGTH), "length");
    assert_string_equal(pl_finish_name(PL_FINISH_CANCELED), "canceled");
    assert_string_equal(pl_finish_name(PL_FINISH_BROKEN), "broken");
}

static int set_up(void **state)
{
    const struct pl_config config = pl_little_config();

    (void)state;
    little = pl_little_create(&config, 1);
    for (uint32_t i = 0; i < 4; i++)
        pl_little_prompt(prompts[i], POSITIONS, i, V);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pl_little_destroy(&little);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan_adds_up),
        cmocka_unit_test(create_asks_for_what_the_plan_says),
        cmocka_unit_test(a_step_allocates_nothing),
        cmocka_unit_test(impossible_engines_are_refused),
        cmocka_unit_test(a_borrowed_rotary_table_gives_the_same),
        cmocka_unit_test(impossible_requests_are_refused),
        cmocka_unit_test(no_more_jobs_than_stated),
        cmocka_unit_test(greedy_is_the_best_of_a_forward_over_all),
        cmocka_unit_test(tokens_are_told_as_they_come),
        cmocka_unit_test(saying_no_ends_that_sample_alone),
        cmocka_unit_test(samples_draw_by_their_index),
        cmocka_unit_test(stop_ids_end_a_sample),
        cmocka_unit_test(steps_and_stats_count),
        cmocka_unit_test(a_prompt_of_whole_pages_is_wholly_shared),
        cmocka_unit_test(jobs_are_let_in_in_order),
        cmocka_unit_test(a_stream_of_small_jobs_starves_no_big_one),
        cmocka_unit_test(slots_are_waited_for_too),
        cmocka_unit_test(a_job_is_canceled_in_any_state),
        cmocka_unit_test(dropped_jobs_are_not_polled),
        cmocka_unit_test(samples_come_up_in_the_order_they_finish),
        cmocka_unit_test(names_of_endings),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
