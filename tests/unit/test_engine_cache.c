/*
 * What the engine leaves in its cache and finds there again: a kept prefix, weights that give no
 * finite number, other weights, and a long random use of everything at once. Samples are compared
 * to the bit with the same request in an engine of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actor/engine_impl.h"
#include "common/base/rng.h"
#include "tests/close.h"
#include "tests/little.h"

#include <math.h>
#include <string.h>

enum { V = 83, POSITIONS = 200, POISON = 7 };

static struct pl_little little, poisoned; /* the latter: what token POISON embeds to is no number */

static uint32_t text[POSITIONS], other[POSITIONS];

static struct pl_engine_opts usual(void)
{
    return (struct pl_engine_opts){.weights = little.weights,
                                   .slots = 6,
                                   .positions = POSITIONS,
                                   .chunk_tokens = 24,
                                   .jobs = 8,
                                   .keep_prefix = true};
}

static struct pl_request ask(const uint32_t *prompt, size_t prompt_len, size_t samples,
                             size_t tokens)
{
    return (struct pl_request){.prompt = prompt,
                               .prompt_len = prompt_len,
                               .samples = samples,
                               .new_tokens_max = tokens,
                               .sampling = PL_SAMPLING_PLAIN,
                               .rng = {.seed = 9}};
}

static void assert_alone(const struct pl_weights *weights, const struct pl_job *job,
                         const struct pl_request *request)
{
    struct pl_fate want[PL_LITTLE_SAMPLES];

    pl_outcome_alone(weights, request, want);
    for (size_t s = 0; s < request->samples; s++)
        pl_assert_outcome(job, s, &want[s]);
}

/* Run one request to its end and check it; returns how much of its prompt was found. */
static size_t turn(struct pl_engine *engine, const struct pl_request *request, uint32_t *ret_ids)
{
    const uint64_t before = pl_engine_stats(engine).reused_tokens;
    const uint64_t computed = pl_engine_stats(engine).prompt_tokens;
    struct pl_job *job = pl_test_submit(engine, request);

    pl_test_run(engine);
    assert_alone(engine->weights, job, request);
    if (ret_ids)
        memcpy(ret_ids, pl_job_sample(job, 0)->ids, pl_job_sample(job, 0)->len * sizeof *ret_ids);
    pl_engine_drop(engine, &job);
    const size_t reused = (size_t)(pl_engine_stats(engine).reused_tokens - before);

    assert_int_equal(pl_engine_stats(engine).prompt_tokens - computed,
                     request->prompt_len - reused);
    return reused;
}

/* ---- a kept prefix ---- */

static void a_chat_goes_on_where_it_was(void **state)
{
    (void)state;
    const struct pl_engine_opts opts = usual();
    struct pl_engine *engine = pl_test_engine(&opts);
    uint32_t chat[POSITIONS];
    size_t len = 21;
    struct pl_request r;

    memcpy(chat, text, len * sizeof *chat);
    r = ask(chat, len, 1, 20);
    assert_int_equal(turn(engine, &r, chat + len), 0);
    for (size_t round = 0; round < 5; round++) {
        const size_t stored = len + 20 - 1; /* the last token was never fed back */

        len += 20;
        memcpy(chat + len, other + 9 * round, 9 * sizeof *chat); /* the user's next line */
        len += 9;
        r = ask(chat, len, 1, 20);
        assert_int_equal(turn(engine, &r, chat + len), stored);
    }
    pl_engine_destroy(engine);
}

static void a_prefix_is_cut_where_it_differs(void **state)
{
    (void)state;
    /* before, at and behind the borders of pages, and within what was generated */
    static const size_t places[] = {1, 2, 31, 32, 33, 63, 64, 65, 79, 80, 84, 88, 89, 90};
    const struct pl_engine_opts opts = usual();
    struct pl_engine *engine = pl_test_engine(&opts);
    uint32_t prompt[POSITIONS];

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        uint32_t all[POSITIONS];
        struct pl_request r = ask(text, 80, 1, 10);

        memcpy(all, text, 80 * sizeof *all);
        (void)turn(engine, &r, all + 80);
        memcpy(prompt, all, sizeof prompt);
        for (size_t t = places[i]; t < 120; t++)
            prompt[t] = (all[t < 90 ? t : 0] + 1) % V;
        r = ask(prompt, places[i] + 7, 1, 10);
        assert_int_equal(turn(engine, &r, NULL), places[i] < 89 ? places[i] : 89);
        /* a shorter one, all of which is there: its last token is computed anew */
        r = ask(prompt, places[i], 1, 3);
        assert_int_equal(turn(engine, &r, NULL), places[i] - 1);
    }
    pl_engine_destroy(engine);
}

static void a_group_takes_no_prefix_and_leaves_none(void **state)
{
    (void)state;
    const struct pl_engine_opts opts = usual();
    struct pl_engine *engine = pl_test_engine(&opts);
    const struct pl_request single = ask(text, 40, 1, 5), group = ask(text, 40, 3, 5);

    assert_int_equal(turn(engine, &single, NULL), 0);
    assert_int_equal(turn(engine, &group, NULL), 0);
    assert_int_equal(turn(engine, &single, NULL), 39); /* the first one's is still there */
    pl_engine_destroy(engine);
}

static void a_kept_prefix_gives_way(void **state)
{
    (void)state;
    struct pl_engine_opts opts = usual();
    struct pl_engine *engine;
    const struct pl_request single = ask(text, 40, 1, 5);
    const struct pl_request wide = ask(other, 5, 6, 5), longest = ask(other, 150, 1, 40);
    const struct pl_request onward = ask(text, 130, 1, 60);

    opts.pages = 7;
    engine = pl_test_engine(&opts);
    assert_int_equal(turn(engine, &single, NULL), 0);
    assert_int_equal(turn(engine, &wide, NULL), 0); /* needs every slot */
    assert_int_equal(turn(engine, &single, NULL), 0);
    assert_int_equal(turn(engine, &longest, NULL), 0); /* needs every page, begins otherwise */
    assert_int_equal(turn(engine, &single, NULL), 0);
    assert_int_equal(turn(engine, &onward, NULL), 40); /* and this one begins like it */
    pl_engine_destroy(engine);
}

static void a_prefix_without_room_to_grow_is_given_up(void **state)
{
    (void)state;
    struct pl_engine_opts opts = usual();
    struct pl_engine *engine;
    const struct pl_request single = ask(text, 40, 1, 5), grown = ask(text, 60, 1, 60);
    const struct pl_request beside = ask(other, 5, 2, 90); /* 6 of the other pages */
    struct pl_job *b, *g;

    opts.pages = 9;
    engine = pl_test_engine(&opts);
    assert_int_equal(turn(engine, &single, NULL), 0);
    b = pl_test_submit(engine, &beside);
    pl_test_step(engine);
    g = pl_test_submit(engine, &grown); /* 4 pages: 2 kept, 1 free, so it waits */
    pl_test_step(engine);
    assert_int_equal(pl_engine_stats(engine).jobs_waiting, 1);
    assert_int_equal(engine->kept_len, 0);
    pl_test_run(engine);
    assert_alone(little.weights, b, &beside);
    assert_alone(little.weights, g, &grown);
    pl_engine_destroy(engine);
}

static void a_canceled_job_leaves_what_it_has_computed(void **state)
{
    (void)state;
    const struct pl_engine_opts opts = usual();
    struct pl_engine *engine = pl_test_engine(&opts);
    const struct pl_request r = ask(text, 40, 1, 30);
    struct pl_job *job = pl_test_submit(engine, &r);

    while (pl_job_sample(job, 0)->len < 10)
        pl_test_step(engine);
    pl_engine_drop(engine, &job);
    pl_kv_verify(engine->kv);
    assert_int_equal(turn(engine, &r, NULL), 39);
    /* but not in the middle of its prompt */
    const struct pl_request fresh = ask(other, 100, 1, 3);

    job = pl_test_submit(engine, &fresh);
    pl_test_step(engine);
    pl_engine_drop(engine, &job);
    pl_kv_verify(engine->kv);
    assert_int_equal(turn(engine, &fresh, NULL), 0);
    pl_engine_destroy(engine);
}

static void without_the_option_nothing_is_kept(void **state)
{
    (void)state;
    struct pl_engine_opts opts = usual();
    struct pl_engine *engine;
    const struct pl_request r = ask(text, 40, 1, 5);

    opts.keep_prefix = false;
    engine = pl_test_engine(&opts);
    assert_int_equal(turn(engine, &r, NULL), 0);
    assert_int_equal(turn(engine, &r, NULL), 0);
    assert_int_equal(engine->kv->free_count, engine->kv->pages.count);
    pl_engine_destroy(engine);
}

static void other_weights_forget_the_prefix(void **state)
{
    (void)state;
    const struct pl_config config = pl_little_config();
    const struct pl_engine_opts opts = usual();
    struct pl_engine *engine = pl_test_engine(&opts);
    struct pl_little second = pl_little_create(&config, 2);
    const struct pl_request r = ask(text, 40, 1, 25);

    assert_int_equal(turn(engine, &r, NULL), 0);
    pl_engine_weights(engine, second.weights);
    assert_int_equal(turn(engine, &r, NULL), 0); /* compared with the second's own */
    assert_int_equal(turn(engine, &r, NULL), 39);
    pl_engine_weights(engine, little.weights);
    assert_int_equal(turn(engine, &r, NULL), 0);
    pl_engine_destroy(engine);
    pl_little_destroy(&second);
}

/*
 * Other weights under samples that grow. What was drawn stays; the next token is drawn by the new
 * weights over the old cache, which is what they say of it when they are given it as it is.
 */
static void other_weights_go_on_with_what_grows(void **state)
{
    (void)state;
    enum { G = 3, NEW = 20, BEFORE = 7 };
    const struct pl_config config = pl_little_config();
    struct pl_engine_opts opts = usual();
    struct pl_little second = pl_little_create(&config, 2);
    const struct pl_request r = ask(text, 40, G, NEW);
    struct pl_fate alone[G];
    struct pl_engine *engine, *same;
    struct pl_job *job, *twin;

    opts.keep_prefix = false;
    pl_outcome_alone(little.weights, &r, alone);
    engine = pl_test_engine(&opts);
    same = pl_test_engine(&opts);
    job = pl_test_submit(engine, &r);
    twin = pl_test_submit(same, &r);
    while (pl_job_sample(job, 0)->len < BEFORE) {
        pl_test_step(engine);
        pl_test_step(same);
        pl_engine_refresh(same, little.weights); /* by themselves: nothing changes */
    }
    pl_engine_refresh(engine, second.weights);
    pl_test_run(engine);
    pl_test_run(same);
    for (size_t s = 0; s < G; s++) {
        const struct pl_sample *got = pl_job_sample(job, s);

        pl_assert_outcome(twin, s, &alone[s]);
        assert_int_equal(got->len, NEW);
        assert_memory_equal(got->ids, alone[s].ids, BEFORE * sizeof *got->ids);
        pl_assert_same_bits(got->logprobs, alone[s].logprobs, BEFORE);
        assert_true(got->logprobs[BEFORE] < alone[s].logprobs[BEFORE] ||
                    got->logprobs[BEFORE] > alone[s].logprobs[BEFORE]);
    }
    pl_engine_drop(engine, &job); /* and what comes behind knows nothing of it */
    pl_outcome_alone(second.weights, &r, alone);
    job = pl_test_submit(engine, &r);
    pl_test_run(engine);
    for (size_t s = 0; s < G; s++)
        pl_assert_outcome(job, s, &alone[s]);
    pl_engine_destroy(engine);
    pl_engine_destroy(same);
    pl_little_destroy(&second);
}

/* ---- weights that give no finite number ---- */

static void assert_cache_finite(const struct pl_engine *engine)
{
    const struct pl_pages *p = &engine->kv->pages;
    const size_t n = p->count * p->layers * p->kv_heads * pl_page_floats(p->head_dim);

    for (size_t i = 0; i < n; i++)
        if (!isfinite(p->data[i]))
            fail_msg("float %zu of the cache is %g", i, (double)p->data[i]);
}

static void poison_avoided(uint32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = ids[i] == POISON ? POISON + 1 : ids[i];
}

/* A prompt with POISON at `at` beside two others: nothing of it reaches them, now or later. */
static void infect(size_t at, size_t samples)
{
    struct pl_engine_opts opts = usual();
    uint32_t prompt[POSITIONS];
    const struct pl_request bad = ask(prompt, 70, samples, 20);
    const struct pl_request good = ask(text, 50, 2, 20);
    struct pl_engine *engine;
    struct pl_job *before, *broken, *after;

    opts.weights = poisoned.weights;
    opts.pages = 12; /* so that pages are used again */
    engine = pl_test_engine(&opts);
    memcpy(prompt, other, sizeof prompt);
    prompt[at] = POISON;
    before = pl_test_submit(engine, &good);
    broken = pl_test_submit(engine, &bad);
    after = pl_test_submit(engine, &good);
    pl_test_run(engine);
    for (size_t s = 0; s < samples; s++) {
        assert_int_equal(pl_job_sample(broken, s)->finish, PL_FINISH_BROKEN);
        assert_int_equal(pl_job_sample(broken, s)->len, 0);
    }
    assert_alone(poisoned.weights, before, &good);
    assert_alone(poisoned.weights, after, &good);
    assert_cache_finite(engine);
    /* a prefix that is no number is not kept; asked once more it is as broken as before */
    pl_engine_drop(engine, &broken);
    broken = pl_test_submit(engine, &bad);
    pl_test_run(engine);
    assert_int_equal(pl_job_sample(broken, 0)->finish, PL_FINISH_BROKEN);
    assert_cache_finite(engine);
    pl_engine_destroy(engine);
}

static void a_broken_prompt_infects_nobody(void **state)
{
    (void)state;
    static const size_t places[] = {0, 1, 31, 32, 63, 68, 69};

    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (size_t samples = 1; samples <= 3; samples += 2)
            infect(places[i], samples);
}

static void a_prompt_dropped_before_its_first_draw_infects_nobody(void **state)
{
    (void)state;
    struct pl_engine_opts opts = usual();
    uint32_t prompt[POSITIONS];
    const struct pl_request bad = ask(prompt, 100, 2, 5), good = ask(text, 90, 1, 20);
    struct pl_engine *engine;
    struct pl_job *job;

    opts.weights = poisoned.weights;
    opts.pages = 6;
    engine = pl_test_engine(&opts);
    memcpy(prompt, other, sizeof prompt);
    prompt[3] = POISON;
    job = pl_test_submit(engine, &bad);
    pl_test_step(engine);
    pl_engine_drop(engine, &job);
    assert_cache_finite(engine);
    assert_int_equal(turn(engine, &good, NULL), 0);
    pl_engine_destroy(engine);
}

/* A token that is drawn half way and cannot be gone on from ends its own sample alone. */
static void a_sample_breaks_alone(void **state)
{
    (void)state;
    enum { G = 6, NEW = 60 };
    struct pl_engine_opts opts = usual();
    const struct pl_request r = ask(text, 40, G, NEW);
    struct pl_fate sound[G];
    struct pl_engine *engine;
    struct pl_job *job;
    size_t broken = 0;

    pl_outcome_alone(little.weights, &r, sound);
    opts.weights = poisoned.weights;
    engine = pl_test_engine(&opts);
    job = pl_test_submit(engine, &r);
    pl_test_run(engine);
    for (size_t s = 0; s < G; s++) {
        const struct pl_sample *got = pl_job_sample(job, s);
        size_t len = 0;

        while (len < NEW && sound[s].ids[len] != POISON)
            len++;
        len = len < NEW ? len + 1 : NEW;
        assert_int_equal(got->len, len);
        assert_memory_equal(got->ids, sound[s].ids, len * sizeof *got->ids);
        pl_assert_same_bits(got->logprobs, sound[s].logprobs, len);
        assert_int_equal(got->finish, len < NEW ? PL_FINISH_BROKEN : PL_FINISH_LENGTH);
        broken += got->finish == PL_FINISH_BROKEN;
    }
    print_message("%zu of %d samples met the poison\n", broken, G);
    assert_in_range(broken, 1, G - 1);
    assert_cache_finite(engine);
    pl_engine_destroy(engine);
}

/* Weights that are finite and too large: a key overflows, and no draw may come out of it. */
static void an_overflow_is_broken_too(void **state)
{
    (void)state;
    const struct pl_config config = pl_little_config();
    const struct pl_engine_opts opts = usual();
    const struct pl_request r = ask(text, 50, 2, 9);

    for (size_t layer = 0; layer < 2; layer++) {
        static const enum pl_role roles[] = {PL_ROLE_K, PL_ROLE_V, PL_ROLE_Q, PL_ROLE_O,
                                             PL_ROLE_GATE};

        for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
            struct pl_little huge = pl_little_create(&config, 1);
            struct pl_engine *engine;
            struct pl_job *job;

            for (size_t row = 0; row < 4; row++)
                pl_little_set_row(&huge, roles[i], layer, row, 3e38f);
            engine = pl_test_engine(&opts);
            pl_engine_weights(engine, huge.weights);
            job = pl_test_submit(engine, &r);
            pl_test_run(engine);
            assert_int_equal(pl_job_sample(job, 0)->finish, PL_FINISH_BROKEN);
            assert_int_equal(pl_job_sample(job, 1)->finish, PL_FINISH_BROKEN);
            assert_cache_finite(engine);
            pl_engine_destroy(engine);
            pl_little_destroy(&huge);
        }
    }
}

/* ---- everything at once ---- */

enum { KINDS = 14, LIVE = 9, OPERATIONS = 1000 };

struct kind {
    uint32_t prompt[POSITIONS];
    struct pl_request request;
    struct pl_fate want[5];
};

static struct kind kinds[KINDS];

struct live {
    struct pl_job *job;
    const struct kind *kind;
    size_t polled;
};

static bool quit_sometimes(const struct pl_token *token)
{
    return (token->id * 31 + token->index) % 97 != 0;
}

static void make_kinds(const struct pl_weights *weights, uint64_t seed)
{
    const struct pl_rng rng = {.seed = seed, .batch = (uint32_t)PL_RNG_TEST, .prompt = 2};

    for (uint32_t i = 0; i < KINDS; i++) {
        struct kind *k = &kinds[i];
        uint32_t w[4];

        pl_rng_words(&rng, i, w);
        const size_t shared = w[0] % 60; /* several begin alike */

        pl_little_prompt(k->prompt, POSITIONS, i, V);
        memcpy(k->prompt, text, shared * sizeof *k->prompt);
        k->request = ask(k->prompt, 1 + w[1] % 90, i % 3 == 0 ? 1 : 1 + w[2] % 5, 1 + w[3] % 40);
        k->request.rng.prompt = i;
        if (i % 4 == 1)
            k->request.sampling = PL_SAMPLING_GREEDY;
        else if (i % 4 == 2)
            k->request.sampling = (struct pl_sampling){1.3f, 30, 0.95f, 0.01f};
        k->request.stop_ids[0] = w[2] % V;
        k->request.stop_count = i % 2;
        pl_outcome_alone(weights, &k->request, k->want);
    }
}

static void verify(const struct pl_engine *engine)
{
    size_t count = 0, slots = 0;
    bool waiting = false;

    pl_kv_verify(engine->kv);
    for (const struct pl_job *job = engine->jobs; job; job = job->next) {
        assert_ptr_equal(job->next ? job->next->prev : engine->jobs_last, job);
        assert_true((job->unfinished == 0) == (job->state == PL_JOB_FINISHED));
        /* in order: nobody runs who came behind one that waits */
        waiting |= job->state == PL_JOB_WAITING;
        assert_false(waiting && (job->state == PL_JOB_PREFILL || job->state == PL_JOB_DECODE));
        if (job->state == PL_JOB_PREFILL || job->state == PL_JOB_DECODE)
            slots += job->unfinished;
        count++;
    }
    assert_int_equal(count, engine->job_count);
    assert_int_equal(engine->kv->slot_count - engine->kv->slots_free,
                     slots + (engine->kept_len > 0));
}

static void assert_live(const struct live *live)
{
    for (size_t s = 0; s < live->kind->request.samples; s++)
        pl_assert_outcome(live->job, s, &live->kind->want[s]);
}

static void poll_all(struct pl_engine *engine, struct live *live)
{
    struct pl_job *job;
    size_t sample;

    while (pl_engine_poll(engine, &job, &sample)) {
        struct live *at = pl_job_user(job);

        assert_in_range(at - live, 0, LIVE - 1);
        assert_ptr_equal(at->job, job);
        assert_int_not_equal(pl_job_sample(job, sample)->finish, PL_FINISH_NOT);
        at->polled++;
    }
}

static void soak(const struct pl_weights *weights, uint64_t seed)
{
    const struct pl_engine_opts opts = {.weights = weights,
                                        .slots = 7,
                                        .positions = 140,
                                        .pages = 17,
                                        .chunk_tokens = 13,
                                        .jobs = LIVE,
                                        .keep_prefix = true};
    const struct pl_rng rng = {.seed = seed, .batch = (uint32_t)PL_RNG_TEST, .prompt = 3};
    struct pl_engine *engine = pl_test_engine(&opts);
    struct live live[LIVE] = {{0}};
    size_t endings[5] = {0}, full = 0, waited = 0;

    make_kinds(weights, seed);
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        uint32_t w[4];

        pl_rng_words(&rng, i, w);
        struct live *at = &live[w[0] % LIVE];

        if (!at->job) {
            at->kind = &kinds[w[1] % KINDS];
            struct pl_request request = at->kind->request;

            request.user = at;
            request.on_token = w[2] % 4 == 0 ? quit_sometimes : NULL;
            at->job = pl_test_submit(engine, &request);
            at->polled = 0;
        } else if (pl_job_unfinished(at->job) == 0 || w[1] % 50 == 0) {
            assert_live(at);
            if (pl_job_unfinished(at->job) == 0 && w[1] % 2)
                poll_all(engine, live);
            for (size_t s = 0; s < at->kind->request.samples; s++)
                endings[pl_job_sample(at->job, s)->finish]++;
            pl_engine_drop(engine, &at->job);
        } else if (w[1] % 50 == 1) {
            pl_engine_cancel(engine, at->job);
        }
        full += engine->job_count == LIVE;
        (void)pl_engine_step(engine);
        waited += pl_engine_stats(engine).jobs_waiting > 0;
        verify(engine);
    }
    pl_test_run(engine);
    poll_all(engine, live);
    for (size_t i = 0; i < LIVE; i++) {
        if (!live[i].job)
            continue;
        assert_live(&live[i]);
        assert_int_equal(live[i].polled, live[i].kind->request.samples);
        pl_engine_drop(engine, &live[i].job);
    }
    print_message("seed %d: dropped running %zu, stop %zu, length %zu, canceled %zu, broken %zu; "
                  "%zu prompt tokens found in the cache\n",
                  (int)seed, endings[PL_FINISH_NOT], endings[PL_FINISH_STOP],
                  endings[PL_FINISH_LENGTH], endings[PL_FINISH_CANCELED], endings[PL_FINISH_BROKEN],
                  (size_t)pl_engine_stats(engine).reused_tokens);
    assert_true(endings[PL_FINISH_NOT] > 5 && endings[PL_FINISH_STOP] > 5);
    assert_true(endings[PL_FINISH_LENGTH] > 50 && endings[PL_FINISH_CANCELED] > 5);
    assert_true((endings[PL_FINISH_BROKEN] > 5) == (weights == poisoned.weights));
    assert_true(full > 50 && waited > 50 && pl_engine_stats(engine).reused_tokens > 100);
    pl_engine_forget(engine);
    verify(engine);
    assert_int_equal(engine->kv->free_count, 17);
    assert_cache_finite(engine);
    pl_engine_destroy(engine);
}

static void random_use(void **state)
{
    (void)state;
    soak(little.weights, 31);
}

static void random_use_with_weights_that_break(void **state)
{
    (void)state;
    soak(poisoned.weights, 32);
}

static int set_up(void **state)
{
    const struct pl_config config = pl_little_config();

    (void)state;
    little = pl_little_create(&config, 1);
    poisoned = pl_little_create(&config, 1);
    pl_little_set_row(&poisoned, PL_ROLE_EMBED, 0, POISON, NAN);
    pl_little_prompt(text, POSITIONS, 100, V);
    pl_little_prompt(other, POSITIONS, 101, V);
    poison_avoided(text, POSITIONS);
    poison_avoided(other, POSITIONS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pl_little_destroy(&little);
    pl_little_destroy(&poisoned);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_goes_on_where_it_was),
        cmocka_unit_test(a_prefix_is_cut_where_it_differs),
        cmocka_unit_test(a_group_takes_no_prefix_and_leaves_none),
        cmocka_unit_test(a_kept_prefix_gives_way),
        cmocka_unit_test(a_prefix_without_room_to_grow_is_given_up),
        cmocka_unit_test(a_canceled_job_leaves_what_it_has_computed),
        cmocka_unit_test(without_the_option_nothing_is_kept),
        cmocka_unit_test(other_weights_forget_the_prefix),
        cmocka_unit_test(other_weights_go_on_with_what_grows),
        cmocka_unit_test(a_broken_prompt_infects_nobody),
        cmocka_unit_test(a_prompt_dropped_before_its_first_draw_infects_nobody),
        cmocka_unit_test(a_sample_breaks_alone),
        cmocka_unit_test(an_overflow_is_broken_too),
        cmocka_unit_test(random_use),
        cmocka_unit_test(random_use_with_weights_that_break),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
