/*
 * Every call that reads or changes files, and every call for memory, fails in turn: while a
 * checkpoint, the best policy or a model is written, while a run is opened and resumed, while
 * settings are read. Each time:
 *
 *   - an error is one true sentence: it names a file and says what the system said, and lack of
 *     memory is said only where it was that;
 *   - nothing leaks, memory or descriptors;
 *   - the checkpoint before is whole and is gone on from, or the new one is;
 *   - done once more, it leaves the same bytes as if nothing had happened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

#include "tests/chaos/torture/faults.h"
#include "tests/chaos/torture/results.h"
#include "tests/chaos/torture/scene.h"
#include "tests/chaos/torture/tree.h"

#include "common/app/agreement.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/model/import.h"
#include "common/text/tokenizer.h"
#include "learner/identity.h"
#include "learner/result.h"

#include <errno.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct pl_scene scene;
static long gap;                /* to a second call for memory that fails */
static struct pl_tree trees[3]; /* of the run: nothing, after step 2, after step 2 and 4 */

/* ---- what is done ---- */

static int save_first(struct pl_error *err)
{
    return pl_scene_save(&scene, 0, 2, 0, err);
}

static int save_next(struct pl_error *err)
{
    return pl_scene_save(&scene, 2, 4, 1, err);
}

static int save_again(struct pl_error *err)
{
    return pl_scene_save(&scene, 4, 4, 0, err);
}

static int save_in_steps(struct pl_error *err)
{
    int rc;

    pl_faults_no_exchange(true);
    rc = save_again(err);
    pl_faults_no_exchange(false);
    return rc;
}

static int resume(struct pl_error *err)
{
    struct pl_scene_found found = {0};
    const int rc = pl_scene_resume(&scene, &found, err);

    if (rc == PL_OK && (found.torn || found.step != 4 || found.lines != 4 || found.best != 2)) {
        snprintf(err->text, sizeof err->text, "resumed at %d, torn: %d, %d lines, best %d",
                 (int)found.step, found.torn, (int)found.lines, (int)found.best);
        return PL_EINVAL;
    }
    return rc;
}

static int keep_best(struct pl_error *err)
{
    return pl_scene_keep_best(&scene, 4, 0.9, err);
}

static int write_model(struct pl_error *err)
{
    return pl_scene_write_model(&scene, 4, err);
}

static int write_result(struct pl_error *err)
{
    uint64_t step = 0;
    int rc = pl_result_write(&scene.conf, 4, scene.models.weights, err);

    if (rc == PL_OK)
        rc = pl_result_step(scene.run, &step, err);
    return rc == PL_OK && step != 4 ? pl_fail(err, PL_EINVAL, "the result is of another step") : rc;
}

/* Its run_id is drawn where it is not there. */
static int open_identity(struct pl_error *err)
{
    static const struct pl_prompts none;
    const struct pl_identity_opts opts = {
        .conf = &scene.conf, .models = &scene.models, .train = &none, .val = &none};
    struct pl_identity identity = {0};
    const int rc = pl_identity_open(&identity, &opts, err);

    pl_identity_close(&identity);
    return rc;
}

static int load_model(struct pl_error *err)
{
    struct pl_shape *shape = NULL;
    struct pl_weights *weights = NULL;
    struct pl_tokenizer *tokenizer = NULL;
    int rc = pl_model_load(scene.base, NULL, &shape, &weights, err);

    if (rc == PL_OK)
        rc = pl_tokenizer_load(scene.base, &tokenizer, err);
    pl_tokenizer_destroy(tokenizer);
    pl_weights_destroy(weights);
    pl_shape_destroy(shape);
    return rc;
}

static int load_settings(struct pl_error *err)
{
    struct pl_run_conf conf = {0};
    struct pl_buf text;
    json_t *rows = NULL;
    int rc = pl_run_conf_load(scene.yaml, NULL, 0, &conf, err);

    pl_buf_init(&text, 1 << 20);
    if (rc == PL_OK) {
        rc = pl_run_conf_print(&conf, true, &text);
        if (rc == PL_OK)
            rc = pl_agreement_bits(&conf, &rows);
        json_decref(rows);
        if (rc < 0)
            pl_fail(err, rc, "no memory for the settings");
        pl_run_conf_release(&conf);
    }
    pl_buf_release(&text);
    return rc;
}

static const struct operation {
    const char *name;
    int (*run)(struct pl_error *err);
    int from;     /* which tree it begins with */
    bool changes; /* the run's folder */
    uint64_t before,
        after; /* the steps that may be resumed at; `after` is the state that it saves */
} operations[] = {
    {"save the first checkpoint", save_first, 0, true, 0, 2},
    {"save the next checkpoint", save_next, 1, true, 2, 4},
    {"save a checkpoint once more", save_again, 2, true, 4, 4},
    {"the same without an exchange", save_in_steps, 2, true, 4, 4},
    {"resume", resume, 2, true, 4, 4},
    {"keep the best policy", keep_best, 2, true, 4, 4},
    {"write the model", write_model, 2, true, 4, 4},
    {"write the result", write_result, 2, true, 4, 4},
    {"make the run's id", open_identity, 1, true, 2, 2},
    {"read the run's id", open_identity, 2, true, 4, 4},
    {"load a model", load_model, 2, false, 4, 4},
    {"load the settings", load_settings, 2, false, 4, 4},
};

enum { OPERATIONS = sizeof operations / sizeof operations[0] };

static struct pl_tree wanted[OPERATIONS]; /* what each leaves */

/* ---- judging ---- */

struct sum {
    uint64_t cases, refused, wrong;
};

static uint64_t wrong(const struct operation *op, enum pl_fault fault, long at, const char *what,
                      const char *more)
{
    return pl_torture_wrong("%s, %s at call %ld (%s): %s%s", op->name, pl_fault_names[fault], at,
                            pl_faults_met(), what, more);
}

/* Whether an error is true: of the system's errors the sentence has the words. */
static uint64_t judge_sentence(const struct operation *op, enum pl_fault fault, long at, int rc,
                               const struct pl_error *err)
{
    const char *said = fault == PL_FAULT_ENOSPC  ? strerror(ENOSPC)
                       : fault == PL_FAULT_EINTR ? strerror(EINTR)
                                                 : strerror(EIO);

    if (!err->text[0] || err->code != rc || strchr(err->text, '\n'))
        return wrong(op, fault, at, "no sentence: ", err->text);
    if (fault == PL_FAULT_MEMORY)
        return rc == PL_ENOMEM && (strstr(err->text, "memory"))
                   ? 0
                   : wrong(op, fault, at, "not said as lack of memory: ", err->text);
    if (rc == PL_ENOMEM || strstr(err->text, "memory"))
        return wrong(op, fault, at, "called lack of memory: ", err->text);
    if (!strstr(err->text, "'/"))
        return wrong(op, fault, at, "names no file: ", err->text);
    if (fault == PL_FAULT_SHORT) /* half of it was taken: what follows says why */
        return 0;
    return strstr(err->text, said) || strstr(err->text, strerror(EIO))
               ? 0
               : wrong(op, fault, at, "does not say why: ", err->text);
}

/* What stands is whole: the checkpoint before, or the new one; the best policy too. */
static uint64_t judge_state(const struct operation *op, enum pl_fault fault, long at)
{
    struct pl_scene_found found = {0};
    struct pl_error err = {0};
    uint64_t best;

    if (pl_scene_read_best(&scene, &best, &err) < 0)
        return wrong(op, fault, at, "the best policy is not whole: ", err.text);
    if (pl_scene_resume(&scene, &found, &err) < 0)
        return wrong(op, fault, at, "cannot be resumed: ", err.text);
    if (found.torn || (found.step != op->before && found.step != op->after))
        return wrong(op, fault, at, "resumed with other state", "");
    return found.lines == found.step ? 0 : wrong(op, fault, at, "metrics are missing", "");
}

/* Once more, and the same bytes. */
static uint64_t judge_retry(const struct operation *op, enum pl_fault fault, long at)
{
    struct pl_error err = {0};
    struct pl_tree tree;
    const char *other;
    uint64_t bad = 0;

    pl_scene_set(&scene, op->after);
    /* Lack of memory for JSON may be told once more (common/base/json.h). */
    if (op->run(&err) < 0 &&
        (fault != PL_FAULT_MEMORY || err.code != PL_ENOMEM || op->run(&err) < 0))
        return wrong(op, fault, at, "once more: ", err.text);
    tree = pl_tree_take(scene.run);
    other = pl_tree_other(&wanted[op - operations], &tree);
    if (other)
        bad = wrong(op, fault, at, "once more, and another ", other);
    pl_tree_release(&tree);
    return bad;
}

/* One case. False: there are fewer calls than `at`. */
static bool one(const struct operation *op, enum pl_fault fault, long at, bool whole,
                struct sum *sum)
{
    struct pl_error err = {0};
    long calls, blocks, descriptors;
    int rc;

    if (op->changes)
        pl_tree_put(&trees[op->from], scene.run);
    pl_scene_set(&scene, op->after);
    blocks = pl_faults_blocks();
    descriptors = pl_faults_descriptors();
    pl_faults_begin(fault, at);
    pl_faults_again(gap);
    rc = op->run(&err);
    calls = pl_faults_end();
    pl_faults_no_exchange(false);
    if (calls < at)
        return false;
    sum->cases++;
    sum->refused += rc < 0;
    if (rc < 0 && fault != PL_FAULT_DEAD)
        sum->wrong += judge_sentence(op, fault, at, rc, &err);
    /* libyaml and libcrypto lose a block when they have no memory for the next one. */
    if (pl_faults_blocks() != blocks && !strstr(pl_faults_met(), "libyaml") &&
        !strstr(pl_faults_met(), "libcrypto"))
        sum->wrong += wrong(op, fault, at, "memory leaks", "");
    if (pl_faults_descriptors() != descriptors)
        sum->wrong += wrong(op, fault, at, "a descriptor leaks", "");
    if (op->changes && whole) {
        sum->wrong += judge_state(op, fault, at);
        sum->wrong += judge_retry(op, fault, at);
    } else if (rc == PL_OK && op->changes) {
        struct pl_tree tree = pl_tree_take(scene.run);
        const char *other = pl_tree_other(&wanted[op - operations], &tree);

        if (other)
            sum->wrong += wrong(op, fault, at, "it calls itself done, and another ", other);
        pl_tree_release(&tree);
    }
    return true;
}

static void torture(enum pl_fault fault, long step, long whole_every, struct sum *sum)
{
    for (size_t i = 0; i < OPERATIONS; i++) {
        const uint64_t before = sum->cases;

        for (long at = 1;
             one(&operations[i], fault, at, (long)(sum->cases % (uint64_t)whole_every) == 0, sum);
             at += step)
            continue;
        assert_true(sum->cases > before);
    }
}

static void any_call_to_files_may_fail(void **state)
{
    const bool is_long = pl_torture_is_long();

    (void)state;
    for (enum pl_fault fault = PL_FAULT_EIO; fault <= PL_FAULT_DEAD; fault++) {
        struct sum sum = {0};
        char name[32];

        snprintf(name, sizeof name, "io-%s", pl_fault_names[fault]);
        torture(fault, is_long ? 1 : pl_faults_has_memory() ? 5 : 13, 1, &sum);
        pl_torture_result(name, 0, sum.cases, sum.wrong, ", \"refused\": %llu",
                          (unsigned long long)sum.refused);
        assert_int_equal(sum.wrong, 0);
    }
}

/* Once, from some time on, or twice. */
static void any_call_for_memory_may_fail(void **state)
{
    static const long gaps[] = {0, -1, 1, 2, 3, 5, 17};
    const size_t count = pl_torture_is_long() ? sizeof gaps / sizeof gaps[0] : 3;
    struct sum sum = {0};

    (void)state;
    if (!pl_faults_has_memory())
        skip();
    for (size_t i = 0; i < count; i++) {
        gap = gaps[i];
        torture(PL_FAULT_MEMORY, pl_torture_is_long() ? 1 : 41, pl_torture_is_long() ? 8 : 4, &sum);
    }
    gap = 0;
    pl_torture_result("memory", 0, sum.cases, sum.wrong, ", \"refused\": %llu",
                      (unsigned long long)sum.refused);
    assert_int_equal(sum.wrong, 0);
}

static int set_up(void **state)
{
    struct pl_error err = {0};

    if (access("/dev/shm", W_OK) == 0) /* many small files, and nothing to keep */
        setenv("TMPDIR", "/dev/shm", 0);
    if (pl_scratch_setup(state) != 0)
        return -1;
    omp_set_num_threads(1);
    pl_log_level_set(PL_LEVEL_ERROR);
    errno = EIO; /* libc makes some things once */
    pl_fail_errno(&err, "a first '%s'", "error");
    pl_scratch_text(pl_scratch("train.jsonl"), "");
    pl_scene_open(&scene);
    pl_scene_set(&scene, 2);
    assert_int_equal(save_first(&err), 0);
    assert_int_equal(pl_scene_keep_best(&scene, 2, 0.5, &err), 0);
    trees[1] = pl_tree_take(scene.run);
    pl_scratch_text(pl_scratch_in(scene.run, "run_id"), "0123456789abcdef0123456789abcdef\n");
    pl_scene_set(&scene, 4);
    assert_int_equal(pl_scene_save(&scene, 2, 4, 0, &err), 0);
    trees[2] = pl_tree_take(scene.run);
    for (size_t i = 0; i < OPERATIONS; i++) { /* and all that is made once is made */
        for (int twice = 0; twice < 2; twice++) {
            pl_tree_put(&trees[operations[i].from], scene.run);
            pl_scene_set(&scene, operations[i].after);
            if (operations[i].run(&err) < 0)
                fail_msg("%s: %s", operations[i].name, err.text);
        }
        wanted[i] = pl_tree_take(scene.run);
    }
    return 0;
}

static int tear_down(void **state)
{
    for (size_t i = 0; i < 3; i++)
        pl_tree_release(&trees[i]);
    for (size_t i = 0; i < OPERATIONS; i++)
        pl_tree_release(&wanted[i]);
    pl_scene_close(&scene);
    return pl_scratch_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_call_to_files_may_fail),
        cmocka_unit_test(any_call_for_memory_may_fail),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
