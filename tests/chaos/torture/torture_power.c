/*
 * Power is lost after each call by which a run changes its folder: what is flushed stays, of the
 * rest anything may be missing, and names may be there before the bytes of their files. Whatever
 * there is, the run goes on from the last checkpoint that it called saved, or from the one it was
 * writing; never from nothing, never with other values; no line of metrics before it is missing;
 * the best policy is whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

#include "tests/chaos/torture/disk.h"
#include "tests/chaos/torture/faults.h"
#include "tests/chaos/torture/results.h"
#include "tests/chaos/torture/scene.h"
#include "tests/chaos/torture/tree.h"

#include "common/base/file.h"
#include "common/base/log.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { BEST = 1000 }; /* a mark of the best policy: this and its step */

static struct pl_scene scene;
static struct pl_error err;

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", err.text);
}

/* The whole run, as it marks what it has been told to be safe. */
static void record_run(struct pl_ops *ops)
{
    static const struct {
        uint64_t from, step;
        size_t keep;
    } saves[] = {{0, 1, 0}, {1, 3, 1}, {3, 5, 2}, {3, 5, 2}, {5, 6, 1}};

    pl_faults_record(ops);
    for (size_t i = 0; i < sizeof saves / sizeof saves[0]; i++) {
        pl_scene_set(&scene, saves[i].step);
        must(pl_scene_save(&scene, i == 3 ? 5 : saves[i].from, saves[i].step, saves[i].keep, &err));
        pl_faults_mark((size_t)saves[i].step);
        if (i % 2 == 0) {
            must(pl_scene_keep_best(&scene, saves[i].step, 0.1 * (double)(i + 1), &err));
            pl_faults_mark((size_t)(BEST + saves[i].step));
        }
    }
    pl_faults_record(NULL);
}

/* Trees that were looked at already, for the same that is safe. */
struct seen {
    uint64_t *hashes;
    size_t count, cap;
};

static bool is_new(struct seen *seen, const struct pl_tree *tree, uint64_t safe)
{
    uint64_t hash = safe;

    for (size_t i = 0; i < tree->count; i++) {
        hash = XXH3_64bits_withSeed(tree->leaves[i].name, strlen(tree->leaves[i].name), hash);
        hash = XXH3_64bits_withSeed(tree->leaves[i].bytes, tree->leaves[i].len, hash);
    }
    for (size_t i = 0; i < seen->count; i++)
        if (seen->hashes[i] == hash)
            return false;
    if (seen->count == seen->cap) {
        seen->cap = seen->cap ? 2 * seen->cap : 1024;
        seen->hashes = realloc(seen->hashes, seen->cap * sizeof *seen->hashes);
        assert_non_null(seen->hashes);
    }
    seen->hashes[seen->count++] = hash;
    return true;
}

struct safe {
    uint64_t step, next; /* saved, and perhaps saved */
    uint64_t best;       /* UINT64_MAX: none yet */
};

static uint64_t judge(const struct safe *safe, const char *where)
{
    struct pl_scene_found found = {0};
    uint64_t best = UINT64_MAX;

    if (pl_scene_resume(&scene, &found, &err) < 0)
        return pl_torture_wrong("%s: cannot go on: %s", where, err.text);
    if (found.torn)
        return pl_torture_wrong("%s: goes on with other values", where);
    if (found.step != safe->step && found.step != safe->next)
        return pl_torture_wrong("%s: goes on from step %d, and %d was safe", where, (int)found.step,
                                (int)safe->step);
    if (found.lines != found.step)
        return pl_torture_wrong("%s: %d lines of metrics at step %d", where, (int)found.lines,
                                (int)found.step);
    if (pl_scene_read_best(&scene, &best, &err) < 0)
        return pl_torture_wrong("%s: the best policy is not whole: %s", where, err.text);
    if (safe->best != UINT64_MAX && (best == UINT64_MAX || best < safe->best))
        return pl_torture_wrong("%s: the best policy is that of step %d, not %d", where, (int)best,
                                (int)safe->best);
    return 0;
}

/* The step that is being saved at call `at`: of the next mark. */
static uint64_t next_step(const struct pl_ops *ops, size_t at)
{
    for (size_t i = at; i < ops->count; i++)
        if (ops->items[i].kind == PL_OP_MARK && ops->items[i].at < BEST)
            return ops->items[i].at;
    return 0;
}

static void power_may_be_lost_at_any_call(void **state)
{
    const size_t drawn = pl_torture_is_long() ? 24 : 1, step = pl_torture_is_long() ? 1 : 3;
    struct pl_disk *disk = pl_disk_create(pl_scratch(""));
    struct safe safe = {.best = UINT64_MAX};
    struct pl_ops ops = {0};
    struct seen seen = {0};
    uint64_t cases = 0, wrong = 0;

    (void)state;
    record_run(&ops);
    assert_true(ops.count > 200);
    for (size_t i = 0; i < ops.count; i++) {
        const struct pl_op *op = &ops.items[i];

        pl_disk_apply(disk, op);
        if (op->kind == PL_OP_MARK && op->at >= BEST)
            safe.best = op->at - BEST;
        else if (op->kind == PL_OP_MARK)
            safe.step = op->at;
        safe.next = next_step(&ops, i);
        if (safe.next == 0)
            safe.next = safe.step;
        if (op->kind == PL_OP_WRITE || (i % step != 0 && op->kind != PL_OP_MARK))
            continue;
        for (size_t k = 0; k < PL_LOSS_DRAWN + drawn; k++) {
            const enum pl_loss loss = k < PL_LOSS_DRAWN ? (enum pl_loss)k : PL_LOSS_DRAWN;
            struct pl_tree tree = pl_disk_tree(disk, "run", loss, i * 1000 + k);
            char where[400];

            snprintf(where, sizeof where, "after call %zu (%d of '%s'), loss %d, seed %zu", i,
                     op->kind, op->path, loss, i * 1000 + k);
            if (is_new(&seen, &tree, safe.step * 64 + (safe.best & 63))) {
                pl_tree_put(&tree, scene.run);
                wrong += judge(&safe, where);
                cases++;
            }
            pl_tree_release(&tree);
        }
    }
    pl_torture_result("power", 0, cases, wrong, ", \"calls\": %zu", ops.count);
    pl_disk_destroy(disk);
    pl_ops_release(&ops);
    free(seen.hashes);
    assert_int_equal(wrong, 0);
}

static int set_up(void **state)
{
    if (access("/dev/shm", W_OK) == 0) /* many small files, and nothing to keep */
        setenv("TMPDIR", "/dev/shm", 0);
    if (pl_scratch_setup(state) != 0)
        return -1;
    omp_set_num_threads(1);
    pl_log_level_set(PL_LEVEL_ERROR);
    pl_scratch_text(pl_scratch("train.jsonl"), "");
    pl_scene_open(&scene);
    return 0;
}

static int tear_down(void **state)
{
    pl_scene_close(&scene);
    return pl_scratch_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(power_may_be_lost_at_any_call)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
