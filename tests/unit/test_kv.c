/* Pages of the cache: sharing, copies, promises, and that nothing leaks under random use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actor/kv.h"
#include "common/base/rng.h"
#include "tests/close.h"

#include <string.h>

enum { LAYERS = 2, HEADS = 3, DIM = 4, PAGES = 12, SLOTS = 6, POSITIONS = 4 * PL_PAGE };

static struct pl_kv *make(size_t pages)
{
    const struct pl_kv_opts opts = {LAYERS, HEADS, DIM, pages, SLOTS, POSITIONS};
    struct pl_kv *kv = NULL;
    struct pl_error err;

    assert_int_equal(pl_kv_create(&opts, &kv, &err), PL_OK);
    return kv;
}

/* Write a value that names the owner into position t of a slot, in every layer and head. */
static void mark(struct pl_kv *kv, uint32_t slot, size_t t, float value)
{
    const uint32_t page = pl_kv_table(kv, slot)[t / PL_PAGE];

    for (size_t l = 0; l < LAYERS; l++)
        for (size_t h = 0; h < HEADS; h++)
            for (size_t d = 0; d < DIM; d++) {
                float *keys = pl_page_at(&kv->pages, l, page, h), *values = keys + PL_PAGE * DIM;

                keys[d * PL_PAGE + t % PL_PAGE] = value + (float)(l * HEADS + h);
                values[t % PL_PAGE * DIM + d] = -value - (float)(l * HEADS + h);
            }
}

static void assert_marked(const struct pl_kv *kv, uint32_t slot, size_t t, float value)
{
    const uint32_t page = pl_kv_table(kv, slot)[t / PL_PAGE];

    for (size_t l = 0; l < LAYERS; l++)
        for (size_t h = 0; h < HEADS; h++)
            for (size_t d = 0; d < DIM; d++) {
                const float *keys = pl_page_at(&kv->pages, l, page, h);
                const float *values = keys + PL_PAGE * DIM;
                const float want = value + (float)(l * HEADS + h);

                assert_true(keys[d * PL_PAGE + t % PL_PAGE] == want);
                assert_true(values[t % PL_PAGE * DIM + d] == -want);
            }
}

static void bad_sizes_are_refused(void **state)
{
    (void)state;
    struct pl_kv *kv = NULL;
    struct pl_error err;
    struct pl_kv_opts opts = {LAYERS, HEADS, DIM, PAGES, SLOTS, 0};

    assert_int_equal(pl_kv_create(&opts, &kv, &err), PL_EINVAL);
    opts.positions = POSITIONS;
    opts.pages = (size_t)1 << 40;
    assert_int_equal(pl_kv_create(&opts, &kv, &err), PL_EINVAL);
    opts.pages = UINT32_MAX;
    opts.layers = opts.kv_heads = opts.head_dim = (size_t)1 << 20;
    assert_true(pl_kv_bytes(&opts) == SIZE_MAX);
    assert_int_equal(pl_kv_create(&opts, &kv, &err), PL_ENOMEM);
    assert_null(kv);
}

static void kernels_may_read_a_vector_past_the_last_row(void **state)
{
    (void)state;
    const struct pl_kv_opts opts = {LAYERS, HEADS, DIM, PAGES, SLOTS, POSITIONS};
    struct pl_kv *kv = make(PAGES);
    const float *last = pl_page_at(&kv->pages, LAYERS - 1, PAGES - 1, HEADS - 1);

    assert_true(pl_kv_bytes(&opts) >= pl_pages_floats(PAGES, LAYERS, HEADS, DIM) * sizeof(float));
    for (size_t i = 0; i < pl_page_floats(DIM) + 15; i++) /* a sanitizer sees where it ends */
        assert_true(last[i] == 0.0f);
    pl_kv_destroy(kv);
}

static void group_pages_count_shared_ones_once(void **state)
{
    (void)state;
    assert_int_equal(pl_kv_pages_group(1, 1, 1), 1);
    assert_int_equal(pl_kv_pages_group(PL_PAGE, PL_PAGE, 8), 1);         /* all shared */
    assert_int_equal(pl_kv_pages_group(PL_PAGE, PL_PAGE + 1, 8), 1 + 8); /* one new page each */
    assert_int_equal(pl_kv_pages_group(PL_PAGE - 1, PL_PAGE, 8), 8);     /* a partial page each */
    assert_int_equal(pl_kv_pages_group(2 * PL_PAGE + 5, 4 * PL_PAGE, 3), 2 + 3 * 2);
}

static void full_pages_are_shared_and_the_last_one_copied(void **state)
{
    (void)state;
    struct pl_kv *kv = make(PAGES);
    const size_t prompt = PL_PAGE + 5;
    uint32_t s[3];

    assert_int_equal(pl_kv_claim(kv, prompt, 2 * PL_PAGE, 3, s), PL_OK);
    pl_kv_extend(kv, s[0], prompt);
    for (size_t t = 0; t < prompt; t++)
        mark(kv, s[0], t, (float)(100 * t));
    pl_kv_fork(kv, s[0], s[1], prompt);
    pl_kv_fork(kv, s[0], s[2], prompt);
    pl_kv_verify(kv);
    assert_int_equal(PAGES - kv->free_count, 1 + 3);
    for (size_t i = 1; i < 3; i++) {
        assert_int_equal(pl_kv_table(kv, s[i])[0], pl_kv_table(kv, s[0])[0]);
        assert_int_not_equal(pl_kv_table(kv, s[i])[1], pl_kv_table(kv, s[0])[1]);
    }
    for (size_t i = 0; i < 3; i++) { /* each goes on by itself */
        pl_kv_extend(kv, s[i], prompt + 1);
        mark(kv, s[i], prompt, (float)(7000 + 1000 * i));
    }
    for (size_t i = 0; i < 3; i++) {
        for (size_t t = 0; t < prompt; t++)
            assert_marked(kv, s[i], t, (float)(100 * t));
        assert_marked(kv, s[i], prompt, (float)(7000 + 1000 * i));
    }
    pl_kv_release(kv, s[0]); /* the others still read the shared page */
    pl_kv_verify(kv);
    assert_marked(kv, s[2], 3, 300.0f);
    pl_kv_release(kv, s[2]);
    pl_kv_release(kv, s[1]);
    pl_kv_verify(kv);
    assert_int_equal(kv->free_count, PAGES);
    pl_kv_destroy(kv);
}

static void claims_reserve_the_worst_case(void **state)
{
    (void)state;
    struct pl_kv *kv = make(4);
    uint32_t a[2], b[2];

    /* 3 of 4 pages are promised though none is taken */
    assert_int_equal(pl_kv_claim(kv, PL_PAGE, 2 * PL_PAGE, 2, a), PL_OK);
    assert_int_equal(kv->free_count, 4);
    assert_int_equal(kv->promised, 3);
    assert_int_equal(pl_kv_claim(kv, 1, PL_PAGE + 1, 1, b), PL_EFULL);
    assert_int_equal(kv->promised, 3); /* a refusal changes nothing */
    assert_int_equal(pl_kv_claim(kv, 1, PL_PAGE, 1, b), PL_OK);
    pl_kv_extend(kv, a[0], 2 * PL_PAGE);
    pl_kv_fork(kv, a[0], a[1], PL_PAGE);
    pl_kv_extend(kv, a[1], 2 * PL_PAGE);
    pl_kv_extend(kv, b[0], PL_PAGE);
    pl_kv_verify(kv);
    assert_int_equal(kv->free_count, 0);
    pl_kv_release(kv, a[0]); /* its second page only: the first is shared */
    assert_int_equal(kv->free_count, 1);
    pl_kv_release(kv, b[0]);
    pl_kv_release(kv, a[1]);
    pl_kv_verify(kv);
    assert_int_equal(kv->free_count, 4);
    pl_kv_destroy(kv);
}

static void slots_run_out_too(void **state)
{
    (void)state;
    struct pl_kv *kv = make(PAGES);
    uint32_t s[SLOTS];

    assert_int_equal(pl_kv_claim(kv, 1, 2, SLOTS - 1, s), PL_OK);
    assert_int_equal(pl_kv_claim(kv, 1, 2, 2, s), PL_EFULL);
    assert_int_equal(pl_kv_claim(kv, 1, 2, 1, s + SLOTS - 1), PL_OK);
    for (size_t i = 0; i < SLOTS; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(s[i], s[j]);
    pl_kv_destroy(kv);
}

static void an_unused_promise_is_returned(void **state)
{
    (void)state;
    struct pl_kv *kv = make(4);
    uint32_t s[1];

    assert_int_equal(pl_kv_claim(kv, 1, 4 * PL_PAGE, 1, s), PL_OK);
    pl_kv_extend(kv, s[0], 1);
    pl_kv_release(kv, s[0]);
    assert_int_equal(kv->promised, 0);
    assert_int_equal(pl_kv_claim(kv, 1, 4 * PL_PAGE, 1, s), PL_OK);
    pl_kv_destroy(kv);
}

static void a_slot_is_adopted_with_its_beginning(void **state)
{
    (void)state;
    struct pl_kv *kv = make(4);
    uint32_t s[1], other[1];

    assert_int_equal(pl_kv_claim(kv, 1, 4 * PL_PAGE, 1, s), PL_OK);
    pl_kv_extend(kv, s[0], 3 * PL_PAGE);
    mark(kv, s[0], PL_PAGE + 1, 5.0f);
    assert_int_equal(pl_kv_adopt(kv, s[0], PL_PAGE + 2, 3 * PL_PAGE), PL_OK);
    pl_kv_verify(kv);
    assert_int_equal(kv->slots[s[0]].held, 2);
    assert_int_equal(kv->promised, 1);
    assert_marked(kv, s[0], PL_PAGE + 1, 5.0f);
    assert_int_equal(pl_kv_claim(kv, 1, 1, 1, other), PL_OK);
    assert_int_equal(pl_kv_adopt(kv, s[0], PL_PAGE, 4 * PL_PAGE), PL_EFULL);
    pl_kv_verify(kv);
    pl_kv_destroy(kv);
}

static void scrubbing_spares_shared_pages(void **state)
{
    (void)state;
    struct pl_kv *kv = make(PAGES);
    uint32_t s[2];

    assert_int_equal(pl_kv_claim(kv, PL_PAGE, 2 * PL_PAGE, 2, s), PL_OK);
    pl_kv_extend(kv, s[0], PL_PAGE + 1);
    mark(kv, s[0], 0, 3.0f);
    mark(kv, s[0], PL_PAGE, 4.0f);
    pl_kv_fork(kv, s[0], s[1], PL_PAGE);
    pl_kv_scrub(kv, s[0]);
    assert_marked(kv, s[1], 0, 3.0f);
    for (size_t l = 0; l < LAYERS; l++) {
        const float *page = pl_page_at(&kv->pages, l, pl_kv_table(kv, s[0])[1], 0);

        for (size_t i = 0; i < HEADS * pl_page_floats(DIM); i++)
            assert_true(page[i] == 0.0f);
    }
    pl_kv_destroy(kv);
}

static void random_use_keeps_the_books_balanced(void **state)
{
    (void)state;
    enum { STEPS = 4000 };
    const struct pl_rng rng = {.seed = 20, .batch = (uint32_t)PL_RNG_TEST};
    struct pl_kv *kv = make(PAGES);
    struct group {
        uint32_t slots[3];
        size_t samples, shared, most, len; /* samples 0: none */
    } groups[SLOTS] = {0};
    size_t refused = 0, let_in = 0;

    print_message("seed %d\n", (int)rng.seed);
    for (uint32_t i = 0; i < STEPS; i++) {
        uint32_t w[4];
        struct group *g;

        pl_rng_words(&rng, i, w);
        g = &groups[w[0] % SLOTS];
        if (g->samples == 0) {
            g->most = 1 + w[1] % POSITIONS;
            g->shared = 1 + w[2] % g->most;
            g->len = 0;
            const size_t samples = 1 + w[3] % 3;

            if (pl_kv_claim(kv, g->shared, g->most, samples, g->slots) < 0)
                refused++;
            else
                let_in++, g->samples = samples;
        } else if (g->len == 0) {
            pl_kv_extend(kv, g->slots[0], g->shared);
            for (size_t s = 1; s < g->samples; s++)
                pl_kv_fork(kv, g->slots[0], g->slots[s], g->shared);
            g->len = g->shared;
        } else if (g->len < g->most && w[1] % 8 != 0) {
            g->len += 1 + w[2] % (g->most - g->len);
            for (size_t s = 0; s < g->samples; s++)
                pl_kv_extend(kv, g->slots[s], g->len);
        } else {
            while (g->samples > 0)
                pl_kv_release(kv, g->slots[--g->samples]);
        }
        pl_kv_verify(kv);
    }
    assert_true(refused > 100 && let_in > 100);
    for (size_t i = 0; i < SLOTS; i++)
        while (groups[i].samples > 0)
            pl_kv_release(kv, groups[i].slots[--groups[i].samples]);
    pl_kv_verify(kv);
    assert_int_equal(kv->free_count, PAGES);
    assert_int_equal(kv->slots_free, SLOTS);
    pl_kv_destroy(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_sizes_are_refused),
        cmocka_unit_test(kernels_may_read_a_vector_past_the_last_row),
        cmocka_unit_test(group_pages_count_shared_ones_once),
        cmocka_unit_test(full_pages_are_shared_and_the_last_one_copied),
        cmocka_unit_test(claims_reserve_the_worst_case),
        cmocka_unit_test(slots_run_out_too),
        cmocka_unit_test(an_unused_promise_is_returned),
        cmocka_unit_test(a_slot_is_adopted_with_its_beginning),
        cmocka_unit_test(scrubbing_spares_shared_pages),
        cmocka_unit_test(random_use_keeps_the_books_balanced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
