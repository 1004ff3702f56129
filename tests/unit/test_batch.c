/*
 * Packing: what every row would see in attention is its own prompt and response and nothing else.
 * The pages are filled as the forward would, with token ids in place of keys, and read back along
 * the page tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "learner/batch.h"

#include <stdlib.h>
#include <string.h>

enum { IDS = 1 << 14, RESPONSES = 12 };
static const uint32_t NOTHING = UINT32_MAX;

/* A group with ids that are all different, so that a wrong place is a wrong id. */
struct made {
    struct pl_group group;
    struct pl_pack_response responses[RESPONSES];
    uint32_t first_sample; /* number of responses[0] */
};

static uint32_t counting[IDS];
static size_t counted;

static const uint32_t *take_ids(size_t n)
{
    const uint32_t *at = counting + counted;

    counted += n;
    assert_true(counted <= IDS);
    return at;
}

static int number_ids(void **state)
{
    (void)state;
    for (size_t i = 0; i < IDS; i++)
        counting[i] = (uint32_t)(1000 + i);
    return 0;
}

static void make(struct made *made, size_t prompt, const size_t *lens, size_t count)
{
    *made = (struct made){.group = {take_ids(prompt), prompt, made->responses, count}};
    for (size_t i = 0; i < count; i++)
        made->responses[i] = (struct pl_pack_response){take_ids(lens[i]), lens[i]};
}

static struct pl_pack *create(size_t rows, size_t samples)
{
    struct pl_pack *pack = NULL;

    assert_int_equal(pl_pack_create(&(struct pl_pack_limits){rows, samples}, &pack, NULL), PL_OK);
    return pack;
}

/* Keys of all pages as the forward stores them; storing twice must not change what is there. */
static uint32_t *fill_pages(const struct pl_pack *pack)
{
    uint32_t *pages = malloc(pack->pages * PL_PAGE * sizeof *pages);

    assert_non_null(pages);
    memset(pages, 0xFF, pack->pages * PL_PAGE * sizeof *pages);
    for (size_t s = 0; s < pack->batch.store_count; s++) {
        const struct pl_span *span = &pack->batch.stores[s];

        for (size_t i = 0; i < span->rows; i++) {
            const size_t t = span->pos + i;
            uint32_t *key;

            assert_true(span->pages[t / PL_PAGE] < pack->pages);
            key = &pages[span->pages[t / PL_PAGE] * PL_PAGE + t % PL_PAGE];
            assert_true(*key == NOTHING || *key == pack->batch.ids[span->row + i]);
            *key = pack->batch.ids[span->row + i];
        }
    }
    return pages;
}

static const struct made *of_sample(const struct made *made, size_t count, uint32_t sample)
{
    while (count > 1 && made[count - 1].first_sample > sample)
        count--;
    assert_true(sample - made[count - 1].first_sample < made[count - 1].group.count);
    return &made[count - 1];
}

/* What stands at position t of a prompt with its response. */
static uint32_t id_at(const struct pl_group *group, const struct pl_pack_response *response,
                      size_t t)
{
    return t < group->prompt_len ? group->prompt[t] : response->ids[t - group->prompt_len];
}

/* The span that asks for `row`; every row is in exactly one. */
static const struct pl_span *span_of(const struct pl_pack *pack, size_t row)
{
    const struct pl_span *found = NULL;

    for (size_t s = 0; s < pack->batch.span_count; s++) {
        const struct pl_span *span = &pack->batch.spans[s];

        if (row < span->row || row >= span->row + span->rows)
            continue;
        assert_null(found);
        found = span;
    }
    assert_non_null(found);
    return found;
}

/* Each prediction has the right target, and its row attends to exactly what stands before that. */
static void check_predictions(const struct pl_pack *pack, const struct made *made, size_t count)
{
    uint32_t *pages = fill_pages(pack);

    for (size_t p = 0; p < pack->prediction_count; p++) {
        const struct pl_prediction *at = &pack->predictions[p];
        const struct made *m = of_sample(made, count, at->sample);
        const struct pl_pack_response *r = &m->responses[at->sample - m->first_sample];
        const size_t pos = m->group.prompt_len + at->index - 1;
        const struct pl_span *span = span_of(pack, at->row);

        assert_true(p == 0 || pack->predictions[p - 1].row <= at->row);
        assert_true(at->index < r->len);
        assert_int_equal(at->target, r->ids[at->index]);
        assert_int_equal(pack->batch.positions[at->row], pos);
        assert_int_equal(span->pos + (at->row - span->row), pos);
        assert_int_equal(pack->batch.ids[at->row], id_at(&m->group, r, pos));
        for (size_t t = 0; t <= pos; t++)
            assert_int_equal(pages[span->pages[t / PL_PAGE] * PL_PAGE + t % PL_PAGE],
                             id_at(&m->group, r, t));
    }
    free(pages);
}

/* Clusters are the spans group by group: one from position 0 on, which all others continue. */
static void check_clusters(const struct pl_pack *pack)
{
    size_t spans = 0;

    for (size_t c = 0; c < pack->cluster_count; c++) {
        const struct pl_cluster *cluster = &pack->clusters[c];
        const struct pl_span *first = &pack->batch.spans[cluster->span];

        assert_int_equal(cluster->span, spans);
        assert_true(cluster->count > 0);
        assert_int_equal(first->pos, 0);
        for (size_t s = 1; s < cluster->count; s++)
            assert_int_equal(first[s].pos, first->rows);
        spans += cluster->count;
    }
    assert_int_equal(spans, pack->batch.span_count);
}

static void check(const struct pl_pack *pack, const struct made *made, size_t count)
{
    assert_true(pack->batch.rows <= pack->limits.rows);
    assert_true(pack->samples <= pack->limits.samples);
    assert_true(pack->pages <= pl_pack_pages_max(&pack->limits));
    assert_true(pack->prediction_count <= pl_pack_predictions_max(&pack->limits));
    check_clusters(pack);
    check_predictions(pack, made, count);
}

static void one_prompt_and_its_response(void **state)
{
    struct pl_pack *pack = create(100, 4);
    struct made made;

    (void)state;
    counted = 0;
    make(&made, 3, (size_t[]){4}, 1);
    assert_int_equal(pl_pack_add(pack, &made.group, 0, 0), 1);
    /* the last token predicts nothing: 3 + 4 - 1 rows, a prediction for each response token */
    assert_int_equal(pack->batch.rows, 6);
    assert_int_equal(pack->prediction_count, 4);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(pack->batch.ids[i], 1000 + i);
        assert_int_equal(pack->batch.positions[i], i);
    }
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(pack->predictions[i].row, 2 + i);
        assert_int_equal(pack->predictions[i].target, 1003 + i);
        assert_int_equal(pack->predictions[i].index, i);
    }
    assert_int_equal(pack->pages, 1);
    check(pack, &made, 1);
    pl_pack_destroy(pack);
}

static void a_prompt_is_computed_once_and_its_full_pages_shared(void **state)
{
    struct pl_pack *pack = create(1000, 4);
    struct made made;

    (void)state;
    counted = 0;
    /* two full pages and 5 over: 2 shared + 1 for each of the three with rows of their own */
    make(&made, 2 * PL_PAGE + 5, (size_t[]){2, 1, 20, 3}, 4);
    assert_int_equal(pl_pack_add(pack, &made.group, 0, 0), 4);
    assert_int_equal(pack->batch.rows, made.group.prompt_len + 1 + 0 + 19 + 2);
    assert_int_equal(pack->batch.rows, pl_group_rows(&made.group, 0, 4));
    assert_int_equal(pack->prediction_count, 2 + 1 + 20 + 3);
    assert_int_equal(pack->pages, 2 + 3);
    assert_int_equal(pack->cluster_count, 1);
    check(pack, &made, 1);
    pl_pack_destroy(pack);
}

static void prompts_around_the_end_of_a_page(void **state)
{
    (void)state;
    for (size_t prompt = PL_PAGE - 1; prompt <= PL_PAGE + 1; prompt++)
        for (size_t len = 1; len <= PL_PAGE + 2; len += len < 3 ? 1 : PL_PAGE - 2) {
            struct pl_pack *pack = create(500, 3);
            struct made made;

            counted = 0;
            make(&made, prompt, (size_t[]){len, 1, len}, 3);
            assert_int_equal(pl_pack_add(pack, &made.group, 0, 0), 3);
            check(pack, &made, 1);
            pl_pack_destroy(pack);
        }
}

static void what_does_not_fit_waits(void **state)
{
    struct pl_pack *pack = create(20, 8);
    struct made a, b;

    (void)state;
    counted = 0;
    make(&a, 10, (size_t[]){5}, 1);
    make(&b, 5, (size_t[]){1, 4}, 2);
    assert_int_equal(pl_pack_add(pack, &a.group, 0, 0), 1);
    assert_int_equal(pack->batch.rows, 14);
    assert_int_equal(pl_pack_add(pack, &b.group, 0, 1), 0); /* 8 more rows: not begun */
    assert_int_equal(pack->batch.rows, 14);
    assert_int_equal(pack->samples, 1);
    pl_pack_clear(pack);
    b.first_sample = 1;
    assert_int_equal(pl_pack_add(pack, &b.group, 0, 1), 2);
    check(pack, &b, 1);
    pl_pack_destroy(pack);
}

static void a_group_over_the_limit_is_split(void **state)
{
    const size_t lens[] = {6, 6, 6, 6, 6};
    size_t from = 0, packs = 0;
    struct pl_pack *pack = create(20, 8);
    struct made made;

    (void)state;
    counted = 0;
    make(&made, 10, lens, 5);
    while (from < 5) { /* 10 rows of prompt and two responses of 5 */
        const size_t n = pl_pack_add(pack, &made.group, from, (uint32_t)from);

        assert_int_equal(n, from < 4 ? 2 : 1);
        check(pack, &made, 1);
        pl_pack_clear(pack);
        from += n;
        packs++;
    }
    assert_int_equal(packs, 3);
    pl_pack_destroy(pack);
}

static void limits_of_rows_and_responses(void **state)
{
    struct pl_pack *pack = create(20, 2);
    struct made made;

    (void)state;
    counted = 0;
    make(&made, 16, (size_t[]){6}, 1);
    assert_int_equal(pl_pack_add(pack, &made.group, 0, 0), 0); /* 21 rows, even when alone */
    assert_int_equal(pack->batch.rows, 0);
    make(&made, 16, (size_t[]){5}, 1);
    assert_int_equal(pl_pack_add(pack, &made.group, 0, 0), 1);
    check(pack, &made, 1);
    pl_pack_clear(pack);
    make(&made, 1, (size_t[]){1, 1, 1}, 3);
    assert_int_equal(pl_pack_add(pack, &made.group, 0, 0), 2);
    check(pack, &made, 1);
    assert_int_equal(pl_pack_add(pack, &made.group, 2, 2), 0);
    pl_pack_destroy(pack);
}

static void bad_limits_are_refused(void **state)
{
    struct pl_pack *pack = NULL;
    struct pl_error err;

    (void)state;
    assert_int_equal(pl_pack_create(&(struct pl_pack_limits){0, 1}, &pack, &err), PL_EINVAL);
    assert_int_equal(pl_pack_create(&(struct pl_pack_limits){1, 0}, &pack, &err), PL_EINVAL);
    assert_int_equal(pl_pack_create(&(struct pl_pack_limits){(size_t)1 << 31, 1}, &pack, &err),
                     PL_EINVAL);
    assert_non_null(strstr(err.text, "2147483648 rows"));
    assert_null(pack);
    pl_pack_destroy(NULL);
}

static size_t draw(uint32_t *position, size_t least, size_t most)
{
    const struct pl_rng rng = {.seed = 5, .batch = (uint32_t)PL_RNG_TEST};

    return least + (size_t)pl_rng_below(&rng, (*position)++, most - least + 1);
}

static void many_random_groups(void **state)
{
    enum { GROUPS = 6 };
    static struct made made[GROUPS];
    struct pl_pack *pack = create(200, 16);
    uint32_t at = 0;
    size_t split = 0, shared = 0;

    (void)state;
    for (int round = 0; round < 60; round++) {
        uint32_t sample = 0;

        counted = 0;
        pl_pack_clear(pack); /* used again: nothing of the round before is left */
        for (size_t g = 0; g < GROUPS; g++) {
            const size_t count = draw(&at, 1, 5), prompt = draw(&at, 1, 3 * PL_PAGE);
            size_t lens[RESPONSES];

            for (size_t i = 0; i < count; i++)
                lens[i] = draw(&at, 0, 2) == 0 ? 1 : draw(&at, 1, 2 * PL_PAGE);
            make(&made[g], prompt, lens, count);
            made[g].first_sample = sample;
            sample += (uint32_t)count;
            for (size_t from = 0; from < count;) {
                const size_t n =
                    pl_pack_add(pack, &made[g].group, from, made[g].first_sample + (uint32_t)from);

                shared += n > 1;
                if (n > 0) {
                    check(pack, made, g + 1);
                    from += n;
                    split += from < count;
                    continue;
                }
                assert_true(pack->batch.rows > 0);
                pl_pack_clear(pack);
            }
        }
    }
    assert_true(shared > 20 && split > 0); /* what this test is about did happen */
    pl_pack_destroy(pack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_prompt_and_its_response),
        cmocka_unit_test(a_prompt_is_computed_once_and_its_full_pages_shared),
        cmocka_unit_test(prompts_around_the_end_of_a_page),
        cmocka_unit_test(what_does_not_fit_waits),
        cmocka_unit_test(a_group_over_the_limit_is_split),
        cmocka_unit_test(limits_of_rows_and_responses),
        cmocka_unit_test(bad_limits_are_refused),
        cmocka_unit_test(many_random_groups),
    };

    return cmocka_run_group_tests(tests, number_ids, NULL);
}
