/* Scores of sequences that are there: what sampling recorded, to the bit, however they are packed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/close.h"
#include "tests/little.h"

#include "actor/gauge.h"
#include "common/base/check.h"

#include <math.h>
#include <string.h>

enum { COUNT = 9, LONGEST = PL_LITTLE_TOKENS + 40 };

/* Sequences: prompt and what was sampled after it, with the log-probabilities it recorded. */
struct sequence {
    uint32_t ids[LONGEST];
    float logprobs[PL_LITTLE_TOKENS];
    size_t len, from;
};

struct given {
    struct pl_little little;
    struct sequence sequences[COUNT];
};

static void sample(struct given *g)
{
    for (size_t i = 0; i < COUNT; i++) {
        struct sequence *s = &g->sequences[i];
        struct pl_request request = {.prompt = s->ids,
                                     .prompt_len = 1 + i * i % 37,
                                     .samples = 1,
                                     .new_tokens_max = 1 + 11 * i,
                                     .sampling = PL_SAMPLING_PLAIN,
                                     .rng = {.seed = i}};
        struct pl_fate outcome;

        pl_little_prompt(s->ids, request.prompt_len, (uint32_t)i, g->little.shape->config.vocab);
        pl_outcome_alone(g->little.weights, &request, &outcome);
        assert_int_equal(outcome.len, request.new_tokens_max);
        memcpy(s->ids + request.prompt_len, outcome.ids, outcome.len * sizeof *s->ids);
        memcpy(s->logprobs, outcome.logprobs, outcome.len * sizeof *s->logprobs);
        s->from = request.prompt_len;
        s->len = s->from + outcome.len;
    }
}

/* --- the gauge's side --- */

struct seen {
    const struct given *given;
    size_t next; /* tag expected */
    int end_at;  /* fail there */
};

static int see(void *at, const struct pl_scored *scored, struct pl_error *err)
{
    struct seen *seen = at;
    const struct sequence *want = &seen->given->sequences[scored->tag % COUNT];

    assert_int_equal(scored->tag, seen->next++);
    assert_int_equal(scored->len, want->len);
    assert_int_equal(scored->from, want->from);
    assert_memory_equal(scored->ids, want->ids, want->len * sizeof *want->ids);
    pl_assert_same_bits(scored->logprobs, want->logprobs, want->len - want->from);
    return (int)scored->tag == seen->end_at ? pl_fail(err, PL_ECANCELED, "enough") : PL_OK;
}

static struct pl_gauge *create(const struct given *g, struct seen *seen, size_t rows,
                               size_t sequences, size_t logits_bytes)
{
    const struct pl_gauge_opts opts = {.weights = g->little.weights,
                                       .positions = LONGEST,
                                       .rows = rows,
                                       .sequences = sequences,
                                       .logits_bytes = logits_bytes,
                                       .done = see,
                                       .at = seen};
    struct pl_gauge *gauge = NULL;
    struct pl_error err;

    *seen = (struct seen){.given = g, .end_at = -1};
    if (pl_gauge_create(&opts, &gauge, &err) < 0)
        fail_msg("%s", err.text);
    return gauge;
}

static int add(struct pl_gauge *gauge, const struct given *g, size_t i, struct pl_error *err)
{
    const struct sequence *s = &g->sequences[i % COUNT];

    return pl_gauge_add(gauge, s->ids, s->len, s->from, i, err);
}

static void same_bits_as_sampling_however_packed(void **state)
{
    static const struct {
        size_t rows, sequences, logits_bytes;
    } cases[] = {{1, 1, 0}, {7, 3, 700}, {33, 64, 5000}, {512, 4, 1 << 20}, {512, 64, 1 << 20}};
    const struct given *g = *state;
    struct seen seen;
    struct pl_error err;

    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct pl_gauge *gauge =
            create(g, &seen, cases[c].rows, cases[c].sequences, cases[c].logits_bytes);

        for (size_t i = 0; i < 2 * COUNT; i++)
            assert_int_equal(add(gauge, g, i, &err), PL_OK);
        assert_int_equal(pl_gauge_finish(gauge, &err), PL_OK);
        assert_int_equal(seen.next, 2 * COUNT);
        assert_int_equal(pl_gauge_finish(gauge, &err), PL_OK); /* nothing more */
        pl_gauge_destroy(gauge);
    }
}

static void wrong_sequences_are_refused_and_harmless(void **state)
{
    const struct given *g = *state;
    const uint32_t ids[] = {1, 2, 83}, many[LONGEST + 1] = {0};
    struct seen seen;
    struct pl_gauge *gauge = create(g, &seen, 16, 4, 4096);
    struct pl_error err;

    assert_int_equal(pl_gauge_add(gauge, ids, 3, 1, 0, &err), PL_EINVAL);
    assert_string_equal(err.text, "token 2 has the id 83, which is not below the vocabulary's 83");
    assert_int_equal(pl_gauge_add(gauge, ids, 2, 0, 0, &err), PL_EINVAL);
    assert_int_equal(pl_gauge_add(gauge, ids, 2, 3, 0, &err), PL_EINVAL);
    assert_string_equal(err.text, "of 2 tokens those from 3 on cannot be scored: the first has "
                                  "nothing before it");
    assert_int_equal(pl_gauge_add(gauge, many, LONGEST + 1, 1, 0, &err), PL_EINVAL);
    assert_string_equal(err.text, "there are 137 tokens; expected 136 at most");
    assert_int_equal(add(gauge, g, 0, &err), PL_OK);
    assert_int_equal(pl_gauge_finish(gauge, &err), PL_OK);
    assert_int_equal(seen.next, 1);
    pl_gauge_destroy(gauge);
}

/* Also: what is in the queue when a gauge ends is freed. */
static void the_receiver_can_end_it(void **state)
{
    const struct given *g = *state;
    struct seen seen;
    struct pl_gauge *gauge = create(g, &seen, 64, 2, 4096);
    struct pl_error err;
    int rc = PL_OK;

    seen.end_at = 2;
    for (size_t i = 0; i < COUNT && rc == PL_OK; i++)
        rc = add(gauge, g, i, &err);
    assert_int_equal(rc, PL_ECANCELED);
    assert_string_equal(err.text, "enough");
    assert_int_equal(seen.next, 3);
    pl_gauge_destroy(gauge);
}

static int see_empty(void *at, const struct pl_scored *scored, struct pl_error *err)
{
    size_t *count = at;

    (void)err;
    assert_int_equal(scored->tag, (*count)++);
    assert_int_equal(scored->from, scored->len);
    return PL_OK;
}

static void sequences_with_nothing_to_score_come_back(void **state)
{
    const struct given *g = *state;
    const uint32_t ids[] = {5, 6, 7};
    size_t count = 0;
    const struct pl_gauge_opts opts = {.weights = g->little.weights,
                                       .positions = 3,
                                       .rows = 2,
                                       .sequences = 2,
                                       .done = see_empty,
                                       .at = &count};
    struct pl_gauge *gauge = NULL;
    struct pl_error err;

    assert_int_equal(pl_gauge_create(&opts, &gauge, &err), PL_OK);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(pl_gauge_add(gauge, ids, 1 + i % 3, 1 + i % 3, i, &err), PL_OK);
    assert_int_equal(pl_gauge_finish(gauge, &err), PL_OK);
    assert_int_equal(count, 5);
    pl_gauge_destroy(gauge);
}

/* A sequence whose numbers are not finite: NaN for it, and the next ones in the same pages are
 * well. */
static int see_broken(void *at, const struct pl_scored *scored, struct pl_error *err)
{
    size_t *count = at;

    (void)err;
    for (size_t i = 0; i < scored->len - scored->from; i++)
        assert_true((isnan(scored->logprobs[i]) != 0) == (scored->tag % 2 == 0));
    (*count)++;
    return PL_OK;
}

static void broken_numbers_do_not_spread(void **state)
{
    struct pl_config config = pl_little_config();
    struct pl_little little = pl_little_create(&config, 3);
    uint32_t bad[40], good[40];
    size_t count = 0;
    const struct pl_gauge_opts opts = {.weights = little.weights,
                                       .positions = 40,
                                       .rows = 8,
                                       .sequences = 1,
                                       .done = see_broken,
                                       .at = &count};
    struct pl_gauge *gauge = NULL;
    struct pl_error err;

    (void)state;
    pl_little_set_row(&little, PL_ROLE_EMBED, 0, 9, INFINITY);
    for (size_t i = 0; i < 40; i++) {
        bad[i] = 9;
        good[i] = (uint32_t)(i % 9);
    }
    assert_int_equal(pl_gauge_create(&opts, &gauge, &err), PL_OK);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pl_gauge_add(gauge, i % 2 ? good : bad, 40, 1, i, &err), PL_OK);
    assert_int_equal(pl_gauge_finish(gauge, &err), PL_OK);
    assert_int_equal(count, 4);
    pl_gauge_destroy(gauge);
    pl_little_destroy(&little);
}

static void options_out_of_range_are_refused(void **state)
{
    const struct given *g = *state;
    struct pl_gauge_opts opts = {.weights = g->little.weights, .positions = 1, .rows = 1};
    struct pl_gauge *gauge = NULL;
    struct pl_error err;

    assert_int_equal(pl_gauge_create(&opts, &gauge, &err), PL_EINVAL);
    assert_string_equal(err.text, "gauge: positions, rows and sequences must be from 1 to "
                                  "16777216, found 1, 1 and 0");
    assert_null(gauge);
}

static int setup(void **state)
{
    static struct given given;
    const struct pl_config config = pl_little_config();

    given.little = pl_little_create(&config, 1);
    sample(&given);
    *state = &given;
    return 0;
}

static int teardown(void **state)
{
    struct given *g = *state;

    pl_little_destroy(&g->little);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_as_sampling_however_packed),
        cmocka_unit_test(wrong_sequences_are_refused_and_harmless),
        cmocka_unit_test(the_receiver_can_end_it),
        cmocka_unit_test(sequences_with_nothing_to_score_come_back),
        cmocka_unit_test(broken_numbers_do_not_spread),
        cmocka_unit_test(options_out_of_range_are_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
