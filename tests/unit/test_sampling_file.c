#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actor/sampling_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/plait-sampling-XXXXXX", path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/generation_config.json", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static int load(const char *json, struct pl_sampling_file *ret_file, struct pl_error *err)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(json, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return pl_sampling_load(folder, ret_file, err);
}

static void what_is_asked_for_is_given(void **state)
{
    static const struct {
        const char *json;
        struct pl_sampling want;
        double penalty;
    } cases[] = {
        {"{}", {0, 0, 1, 0}, 1},
        {"{\"do_sample\": false, \"temperature\": 0.7, \"top_k\": 5}", {0, 0, 1, 0}, 1},
        {"{\"temperature\": 0.7, \"top_p\": 0.5}", {0, 0, 1, 0}, 1}, /* do_sample is false */
        {"{\"do_sample\": true}", {1, 50, 1, 0}, 1},
        {"{\"do_sample\": true, \"temperature\": 0.7, \"top_k\": 20, \"top_p\": 0.8, "
         "\"repetition_penalty\": 1.1, \"eos_token_id\": [7, 8]}",
         {0.7f, 20, 0.8f, 0},
         1.1},
        {"{\"do_sample\": true, \"temperature\": null, \"top_k\": 0, \"min_p\": 0.1}",
         {1, 0, 1, 0.1f},
         1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pl_sampling_file file;
        struct pl_error err;

        assert_int_equal(load(cases[i].json, &file, &err), PL_OK);
        assert_true(file.sampling.temperature == cases[i].want.temperature);
        assert_int_equal(file.sampling.top_k, cases[i].want.top_k);
        assert_true(file.sampling.top_p == cases[i].want.top_p);
        assert_true(file.sampling.min_p == cases[i].want.min_p);
        assert_true(file.repetition_penalty == cases[i].penalty);
    }
}

static void without_a_file_it_is_greedy(void **state)
{
    struct pl_sampling_file file;

    (void)state;
    unlink(path);
    assert_int_equal(pl_sampling_load(folder, &file, NULL), PL_OK);
    assert_true(file.sampling.temperature == 0 && file.sampling.top_p == 1);
    assert_true(file.repetition_penalty == 1);
}

static void nonsense_is_refused_and_named(void **state)
{
    static const struct {
        const char *json, *named;
    } cases[] = {
        {"{\"do_sample\": 1}", "do_sample"},
        {"{\"do_sample\": true, \"temperature\": \"hot\"}", "temperature"},
        {"{\"do_sample\": true, \"temperature\": -1}", "temperature"},
        {"{\"do_sample\": true, \"temperature\": 1e-9}", "temperature"},
        {"{\"do_sample\": true, \"top_k\": -5}", "top_k"},
        {"{\"do_sample\": true, \"top_k\": 4294967296}", "top_k"},
        {"{\"do_sample\": true, \"top_p\": 1.5}", "top_p"},
        {"{\"do_sample\": true, \"min_p\": 2}", "min_p"},
        {"{\"repetition_penalty\": []}", "repetition_penalty"},
        {"[true]", "expected an object"},
        {"{\"do_sample\": true", "line 1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pl_sampling_file file = {.repetition_penalty = 77};
        struct pl_error err;

        assert_int_equal(load(cases[i].json, &file, &err), PL_EFORMAT);
        assert_non_null(strstr(err.text, path));
        assert_non_null(strstr(err.text, cases[i].named));
        assert_true(file.repetition_penalty == 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_for_is_given),
        cmocka_unit_test(without_a_file_it_is_greedy),
        cmocka_unit_test(nonsense_is_refused_and_named),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
