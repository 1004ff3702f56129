/* The policy of the best evaluation: what replaces it, what is there after a start anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/model/import.h"
#include "learner/best.h"
#include "tests/model.h"
#include "tests/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pl_error err;

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", err.text);
}

static struct pl_test_model make(uint64_t seed)
{
    const struct pl_config config = {
        .arch = PL_ARCH_QWEN2,
        .hidden = 8,
        .layers = 1,
        .heads = 2,
        .kv_heads = 1,
        .head_dim = 4,
        .ffn = 12,
        .vocab = 20,
        .positions_max = 16,
        .rope_theta = 1e6,
        .rope_factor = 1.0,
        .rope_low_freq = 1.0,
        .rope_high_freq = 1.0,
        .rms_eps = 1e-5f,
        .tied = true,
        .qkv_bias = true,
        .init_range = 0.02,
        .bos = -1,
        .pad = -1,
        .eos = {3},
        .eos_count = 1,
    };
    struct pl_test_model model;

    pl_test_model_create(&model, &config, seed);
    return model;
}

static void expect(uint64_t step, double accuracy, const struct pl_test_model *model)
{
    struct pl_shape *shape = NULL;
    struct pl_weights *weights = NULL;
    struct pl_best best;

    must(pl_best_open(pl_scratch(""), &best, &err));
    assert_int_equal(best.step, step);
    assert_true(best.accuracy >= accuracy && best.accuracy <= accuracy);
    must(pl_model_load(best.path, NULL, &shape, &weights, &err));
    assert_memory_equal(weights->memory, model->weights->memory, pl_weights_bytes(shape));
    pl_weights_destroy(weights);
    pl_shape_destroy(shape);
    pl_best_release(&best);
}

static void the_best_is_kept(void **state)
{
    struct pl_test_model first = make(1), second = make(2);
    struct pl_best best;

    (void)state;
    must(pl_best_open(pl_scratch(""), &best, &err));
    assert_true(pl_best_beaten(&best, 0, 0.0)); /* by anything, at first */
    must(pl_best_keep(&best, 0, 0.25, first.weights, NULL, &err));
    expect(0, 0.25, &first);
    assert_false(pl_best_beaten(&best, 20, 0.25)); /* of equals the earliest */
    assert_true(pl_best_beaten(&best, 20, 0.5));
    must(pl_best_keep(&best, 20, 0.5, second.weights, NULL, &err));
    expect(20, 0.5, &second);
    assert_true(pl_best_beaten(&best, 10, 0.5)); /* which may come in later */
    assert_false(pl_best_beaten(&best, 20, 0.5));
    assert_false(pl_best_beaten(&best, 10, 0.25));
    pl_best_release(&best);
    pl_test_model_destroy(&first);
    pl_test_model_destroy(&second);
}

static void what_says_nothing_is_refused(void **state)
{
    struct pl_best best = {.step = 7};

    (void)state;
    pl_scratch_text(pl_scratch("best/evaluation.json"), "{\"step\": 20}");
    assert_int_equal(pl_best_open(pl_scratch(""), &best, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "best/evaluation.json"));
    assert_int_equal(best.step, 7);
    assert_int_equal(remove(pl_scratch("best/evaluation.json")), 0);
    assert_int_equal(pl_best_open(pl_scratch(""), &best, &err), PL_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_is_kept),
        cmocka_unit_test(what_says_nothing_is_refused),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
