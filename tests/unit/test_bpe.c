#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/text/bpe.h"

#include <stdlib.h>
#include <string.h>

enum { MERGES = 200, LEN_MAX = 300 };

static const struct pl_rng rng = {.seed = 11, .batch = (uint32_t)PL_RNG_TEST};
static uint32_t draws;

static uint32_t below(uint32_t n)
{
    return (uint32_t)pl_rng_below(&rng, draws++, n);
}

/* Bytes 0 to letters-1 are tokens; merges join what is there so far. */
static void make(struct pl_bpe *bpe, uint32_t letters, size_t merges)
{
    assert_int_equal(pl_bpe_init(bpe, merges), PL_OK);
    for (uint32_t i = 0; i < letters; i++)
        bpe->byte_ids[i] = i;
    for (uint32_t id = letters; bpe->count < merges; id++) {
        while (pl_bpe_add(bpe, below(id), below(id), id) < 0)
            ;
    }
}

/* The lowest rank, leftmost first, looked for anew each time. */
static size_t merge_plainly(const struct pl_bpe *bpe, uint32_t *ids, size_t n)
{
    for (;;) {
        const struct pl_bpe_merge *best = NULL;
        size_t at = 0;

        for (size_t i = 0; i + 1 < n; i++) {
            const struct pl_bpe_merge *merge = pl_bpe_find(bpe, ids[i], ids[i + 1]);

            if (merge && (!best || merge->rank < best->rank)) {
                best = merge;
                at = i;
            }
        }
        if (!best)
            return n;
        ids[at] = best->joined;
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
    }
}

/* Pieces on both sides of the length at which the heap takes over. */
static void merges_go_by_rank_from_the_left(void **state)
{
    struct pl_bpe_work work = {0};

    (void)state;
    for (int round = 0; round < 40; round++) {
        const uint32_t letters = 1 + below(4);
        struct pl_bpe bpe;
        struct pl_ids got;

        make(&bpe, letters, 1 + below(MERGES));
        pl_ids_init(&got, LEN_MAX);
        for (int i = 0; i < 50; i++) {
            const size_t len = 1 + below(i % 2 ? LEN_MAX : 40);
            uint32_t want[LEN_MAX];
            char piece[LEN_MAX];
            size_t n;

            for (size_t k = 0; k < len; k++)
                want[k] = (unsigned char)(piece[k] = (char)below(letters));
            n = merge_plainly(&bpe, want, len);
            pl_ids_clear(&got);
            assert_int_equal(pl_bpe_run(&bpe, &work, piece, len, &got), PL_OK);
            assert_int_equal(got.len, n);
            assert_memory_equal(got.data, want, n * sizeof *want);
        }
        pl_ids_release(&got);
        pl_bpe_release(&bpe);
    }
    pl_bpe_work_release(&work);
}

static void nothing_gives_nothing(void **state)
{
    struct pl_bpe_work work = {0};
    struct pl_bpe bpe;
    struct pl_ids got;

    (void)state;
    make(&bpe, 2, 1);
    pl_ids_init(&got, 1);
    assert_int_equal(pl_bpe_run(&bpe, &work, "", 0, &got), PL_OK);
    assert_int_equal(got.len, 0);
    pl_bpe_release(&bpe);
}

static void a_pair_has_one_rank(void **state)
{
    struct pl_bpe bpe;

    (void)state;
    assert_int_equal(pl_bpe_init(&bpe, 2), PL_OK);
    assert_int_equal(pl_bpe_add(&bpe, 1, 2, 3), PL_OK);
    assert_int_equal(pl_bpe_add(&bpe, 1, 2, 4), PL_EINVAL);
    assert_int_equal(pl_bpe_add(&bpe, 2, 1, 4), PL_OK);
    assert_int_equal(pl_bpe_find(&bpe, 1, 2)->joined, 3);
    assert_int_equal(pl_bpe_find(&bpe, 2, 1)->rank, 1);
    assert_null(pl_bpe_find(&bpe, 3, 1));
    pl_bpe_release(&bpe);
}

/* "xx" has no token: the unknown one stands for each byte of it, or for the run. */
static void bytes_without_a_token_are_unknown(void **state)
{
    static const uint32_t each[] = {0, 9, 9, 1, 9}, fused[] = {0, 9, 1, 9};
    struct pl_bpe_work work = {0};
    struct pl_bpe bpe;
    struct pl_ids got;
    char longer[64];

    (void)state;
    assert_int_equal(pl_bpe_init(&bpe, 1), PL_OK);
    assert_int_equal(pl_bpe_add(&bpe, 9, 1, 5), PL_OK); /* unknown joins too, if a merge says so */
    bpe.byte_ids['a'] = 0;
    bpe.byte_ids['b'] = 1;
    bpe.byte_ids['c'] = 2;
    bpe.unknown = 9;
    pl_ids_init(&got, 100);
    assert_int_equal(pl_bpe_run(&bpe, &work, "axxbx", 5, &got), PL_OK);
    assert_int_equal(got.len, 4);
    assert_int_equal(got.data[2], 5);
    pl_ids_clear(&got);
    pl_bpe_release(&bpe);

    assert_int_equal(pl_bpe_init(&bpe, 0), PL_OK);
    bpe.byte_ids['a'] = 0;
    bpe.byte_ids['b'] = 1;
    bpe.unknown = 9;
    assert_int_equal(pl_bpe_run(&bpe, &work, "axxbx", 5, &got), PL_OK);
    assert_int_equal(got.len, 5);
    assert_memory_equal(got.data, each, sizeof each);
    bpe.fuse_unknown = true;
    pl_ids_clear(&got);
    assert_int_equal(pl_bpe_run(&bpe, &work, "axxbx", 5, &got), PL_OK);
    assert_int_equal(got.len, 4);
    assert_memory_equal(got.data, fused, sizeof fused);
    memset(longer, 'x', sizeof longer); /* by the heap */
    longer[0] = 'a';
    pl_ids_clear(&got);
    assert_int_equal(pl_bpe_run(&bpe, &work, longer, sizeof longer, &got), PL_OK);
    assert_int_equal(got.len, 2);
    pl_ids_release(&got);
    pl_bpe_work_release(&work);
    pl_bpe_release(&bpe);
}

static void a_full_list_is_an_error(void **state)
{
    struct pl_bpe_work work = {0};
    struct pl_bpe bpe;
    struct pl_ids got;
    char piece[100] = {0};

    (void)state;
    make(&bpe, 1, 1);
    pl_ids_init(&got, 3);
    assert_int_equal(pl_bpe_run(&bpe, &work, piece, 20, &got), PL_EFULL);
    assert_int_equal(pl_bpe_run(&bpe, &work, piece, 100, &got), PL_EFULL);
    pl_ids_release(&got);
    pl_bpe_work_release(&work);
    pl_bpe_release(&bpe);
}

static uint64_t steps_for(const struct pl_bpe *bpe, const char *unit, size_t len)
{
    struct pl_bpe_work work = {0};
    struct pl_ids got;
    char *piece = malloc(len);
    uint64_t steps;

    assert_non_null(piece);
    for (size_t i = 0, n = strlen(unit); i < len; i++)
        piece[i] = (char)(unit[i % n] - 'a');
    pl_ids_init(&got, len);
    assert_int_equal(pl_bpe_run(bpe, &work, piece, len, &got), PL_OK);
    steps = work.steps;
    pl_ids_release(&got);
    pl_bpe_work_release(&work);
    free(piece);
    return steps;
}

/* Sixteen times the piece: sixteen times the steps, and a little for the heap's depth. */
static void steps_grow_as_n_log_n(void **state)
{
    static const char *const units[] = {"a", "ab", "aab", "abcd", "dcba", "abababac"};
    enum { LEN = 1 << 12 };
    struct pl_bpe bpe;

    (void)state;
    assert_int_equal(pl_bpe_init(&bpe, 40), PL_OK);
    for (uint32_t i = 0; i < 4; i++)
        bpe.byte_ids[i] = i;
    for (uint32_t i = 0; i < 16; i++) /* a b, ab ab, ...: doubles each time; and so with a */
        assert_int_equal(pl_bpe_add(&bpe, i ? 9 + i : 0, i ? 9 + i : 1, 10 + i), PL_OK);
    for (uint32_t i = 0; i < 16; i++)
        assert_int_equal(pl_bpe_add(&bpe, i ? 39 + i : 0, i ? 39 + i : 0, 40 + i), PL_OK);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const uint64_t once = steps_for(&bpe, units[i], LEN);
        const uint64_t more = steps_for(&bpe, units[i], 16 * LEN);

        assert_true(once >= LEN);
        if (more > 24 * once)
            fail_msg("'%s': %llu steps, then %llu", units[i], (unsigned long long)once,
                     (unsigned long long)more);
    }
    pl_bpe_release(&bpe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_go_by_rank_from_the_left),
        cmocka_unit_test(nothing_gives_nothing),
        cmocka_unit_test(a_pair_has_one_rank),
        cmocka_unit_test(bytes_without_a_token_are_unknown),
        cmocka_unit_test(a_full_list_is_an_error),
        cmocka_unit_test(steps_grow_as_n_log_n),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
