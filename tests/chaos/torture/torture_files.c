/*
 * A run's folder is broken or restored from a backup: bits flipped, files cut, extended, zeroed,
 * exchanged and lost; parts of it older or newer than others. Each time one sentence says what is
 * wrong and where, or nothing is lost: the run goes on from a whole checkpoint, with the values
 * that were saved, to the bytes that it would have had.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

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

enum { COPIES = 3, LAST = 8 };

static struct pl_scene scene;
static struct pl_tree copies[COPIES]; /* of the run after 2, 4 and 6 steps */
static struct pl_tree end;            /* after the last, when nothing was disturbed */
static struct pl_error err;

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", err.text);
}

static uint64_t step_of(size_t copy)
{
    return 2 * (copy + 1);
}

/* ---- broken files ---- */

static const char *const ways[] = {"a bit", "some bits", "cut", "longer", "zeros", "lost", "older"};
enum { WAYS = sizeof ways / sizeof ways[0] };

static bool is_broken_here(const struct pl_leaf *leaf)
{
    return leaf->name[strlen(leaf->name) - 1] != '/' && !strstr(leaf->name, "tfevents") &&
           strcmp(leaf->name, "plait.lock") != 0;
}

static void flip(unsigned char *bytes, size_t len, uint64_t *seed)
{
    if (len > 0)
        bytes[pl_torture_below(seed, (uint32_t)len)] ^=
            (unsigned char)(1u << pl_torture_below(seed, 8));
}

/* The file as it is then; false: it is not there. */
static bool break_file(const struct pl_leaf *leaf, size_t way, uint64_t *seed, unsigned char *bytes,
                       size_t *len)
{
    const struct pl_leaf *other = pl_tree_find(&copies[0], leaf->name);

    memcpy(bytes, leaf->bytes, leaf->len);
    *len = leaf->len;
    switch (way) {
    case 0:
        flip(bytes, *len, seed);
        break;
    case 1:
        for (int i = 0; i < 5; i++)
            flip(bytes, *len, seed);
        break;
    case 2:
        *len = *len ? pl_torture_below(seed, (uint32_t)*len) : 0;
        break;
    case 3:
        for (size_t n = 1 + pl_torture_below(seed, 64); n > 0; n--)
            bytes[(*len)++] = (unsigned char)pl_torture_draw(seed);
        break;
    case 4: {
        const size_t at = *len ? pl_torture_below(seed, (uint32_t)*len) : 0;

        for (size_t i = at; i < *len && i < at + 512; i++)
            bytes[i] = 0;
        break;
    }
    case 5:
        return false;
    default: /* the same file of the first copy, or of the checkpoint before */
        if (!other && strstr(leaf->name, "global_step_4/")) {
            char name[200];

            snprintf(name, sizeof name, "%s", leaf->name);
            *strstr(name, "_4/") = '_';
            strstr(name, "step_")[5] = '2';
            other = pl_tree_find(&copies[0], name);
        }
        if (other) {
            memcpy(bytes, other->bytes, other->len);
            *len = other->len;
        }
    }
    return true;
}

static uint64_t wrong(const struct pl_leaf *leaf, size_t way, uint64_t seed, const char *what,
                      const char *more)
{
    return pl_torture_wrong("'%s', %s, seed %llu: %s%s", leaf->name, ways[way],
                            (unsigned long long)seed, what, more);
}

static bool is_sentence(void)
{
    return err.text[0] && !strchr(err.text, '\n') && strchr(err.text, '/') &&
           !strstr(err.text, "memory");
}

static void broken_files_are_found_or_do_no_harm(void **state)
{
    const uint64_t cases = pl_torture_is_long() ? 20000 : 1200;
    unsigned char *bytes = malloc(1 << 20);
    uint64_t bad = 0, found_count = 0, harmless = 0, best;

    (void)state;
    assert_non_null(bytes);
    for (uint64_t i = 0; i < cases; i++) {
        uint64_t seed = i;
        const struct pl_leaf *leaf;
        const size_t way = i % WAYS;
        struct pl_scene_found found = {0};
        const char *path;
        size_t len;

        do
            leaf = &copies[1].leaves[pl_torture_below(&seed, (uint32_t)copies[1].count)];
        while (!is_broken_here(leaf));
        pl_tree_put(&copies[1], scene.run);
        path = pl_scratch_in(scene.run, leaf->name);
        if (break_file(leaf, way, &seed, bytes, &len))
            pl_scratch_write(path, bytes, len);
        else
            assert_int_equal(unlink(path), 0);
        if (strcmp(leaf->name, "config.yaml") == 0) {
            struct pl_run_conf conf = {0};

            if (pl_run_conf_load(path, NULL, 0, &conf, &err) == PL_OK)
                pl_run_conf_release(&conf);
            else if (!is_sentence())
                bad += wrong(leaf, way, i, "no sentence: ", err.text);
        }
        if (pl_scene_resume(&scene, &found, &err) < 0) {
            found_count++;
            if (!is_sentence())
                bad += wrong(leaf, way, i, "no sentence: ", err.text);
            continue;
        }
        harmless++;
        if (found.torn || (found.step != 4 && found.step != 2))
            bad += wrong(leaf, way, i, "it goes on with other values", "");
        if (found.lines != found.step && found.last >= found.step)
            bad += wrong(leaf, way, i, "lines of metrics are missing, unsaid", "");
        if (pl_scene_read_best(&scene, &best, &err) < 0 && !is_sentence())
            bad += wrong(leaf, way, i, "no sentence: ", err.text);
    }
    free(bytes);
    pl_torture_result("files", 0, cases, bad, ", \"detected\": %llu, \"harmless\": %llu",
                      (unsigned long long)found_count, (unsigned long long)harmless);
    assert_int_equal(bad, 0);
}

/* ---- backups ---- */

static bool is_part(const char *name, size_t part)
{
    static const char *const parts[] = {"checkpoints/", "checkpoints/latest", "metrics.jsonl",
                                        "best/"};
    const bool latest = strcmp(name, parts[1]) == 0;

    return part == 1 ? latest : strncmp(name, parts[part], strlen(parts[part])) == 0 && !latest;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pl_leaf *)a)->name, ((const struct pl_leaf *)b)->name);
}

/* Checkpoints, latest, metrics and best policy each of one of the copies. */
static struct pl_tree mix(const size_t from[4])
{
    struct pl_tree tree = {0};

    for (size_t part = 0; part < 4; part++) {
        const struct pl_tree *copy = &copies[from[part]];

        for (size_t i = 0; i < copy->count; i++)
            if (is_part(copy->leaves[i].name, part))
                pl_tree_add(&tree, copy->leaves[i].name, copy->leaves[i].bytes,
                            copy->leaves[i].len);
    }
    pl_tree_add(&tree, "plait.lock", "", 0);
    qsort(tree.leaves, tree.count, sizeof *tree.leaves, by_name);
    return tree;
}

/* From where the run stands to the end, as the learner would. */
static void go_on(uint64_t from)
{
    for (uint64_t step = from + 2; step <= LAST; step += 2) {
        pl_scene_set(&scene, step);
        must(pl_scene_save(&scene, step - 2, step, 0, &err));
        must(pl_scene_keep_best(&scene, step, 0.1 * (double)step, &err));
    }
}

static void a_restored_backup_goes_on_or_is_refused(void **state)
{
    uint64_t cases = 0, refused = 0, bad = 0;

    (void)state;
    for (size_t mixed = 0; mixed < 81; mixed++) {
        const size_t from[4] = {mixed % 3, mixed / 3 % 3, mixed / 9 % 3, mixed / 27};
        struct pl_tree tree = mix(from), now;
        struct pl_scene_found found = {0};
        const char *other;

        pl_tree_put(&tree, scene.run);
        pl_tree_release(&tree);
        cases++;
        if (pl_scene_resume(&scene, &found, &err) < 0) {
            refused++;
            if (from[1] <= from[0] || !is_sentence()) /* `latest` names one that is there */
                bad += pl_torture_wrong("copies %zu %zu %zu %zu: %s", from[0], from[1], from[2],
                                        from[3], err.text);
            continue;
        }
        if (found.torn || found.step != step_of(from[1]))
            bad += pl_torture_wrong("copies %zu %zu %zu %zu: goes on from step %d", from[0],
                                    from[1], from[2], from[3], (int)found.step);
        /* older metrics: that lines are missing is known, for the log */
        if ((found.last < found.step) != (from[2] < from[1]))
            bad += pl_torture_wrong("copies %zu %zu %zu %zu: the last line is of step %d", from[0],
                                    from[1], from[2], from[3], (int)found.last);
        go_on(found.step);
        now = pl_tree_take(scene.run);
        if (from[2] < from[1]) { /* all but the lines that are gone */
            struct pl_leaf *lines = pl_tree_find(&now, "metrics.jsonl");
            const struct pl_leaf *all = pl_tree_find(&end, "metrics.jsonl");

            lines->bytes = realloc(lines->bytes, all->len + 1);
            lines->len = all->len;
            memcpy(lines->bytes, all->bytes, all->len);
        }
        other = pl_tree_other(&end, &now);
        if (other)
            bad += pl_torture_wrong("copies %zu %zu %zu %zu: another '%s' in the end", from[0],
                                    from[1], from[2], from[3], other);
        pl_tree_release(&now);
    }
    pl_torture_result("backups", 0, cases, bad, ", \"refused\": %llu", (unsigned long long)refused);
    assert_int_equal(bad, 0);
}

static int set_up(void **state)
{
    char *text;
    size_t len;

    if (access("/dev/shm", W_OK) == 0) /* many small files, and nothing to keep */
        setenv("TMPDIR", "/dev/shm", 0);
    if (pl_scratch_setup(state) != 0)
        return -1;
    omp_set_num_threads(1);
    pl_log_level_set(PL_LEVEL_ERROR);
    pl_scratch_text(pl_scratch("train.jsonl"), "");
    pl_scene_open(&scene);
    for (size_t i = 0; i < COPIES; i++) {
        const uint64_t step = step_of(i);

        pl_scene_set(&scene, step);
        must(pl_scene_save(&scene, step - 2, step, 0, &err));
        must(pl_scene_keep_best(&scene, step, 0.1 * (double)step, &err));
        if (i == 0) {
            text = pl_scratch_read(scene.yaml, &len);
            pl_scratch_write(pl_scratch_in(scene.run, "config.yaml"), text, len);
            free(text);
        }
        copies[i] = pl_tree_take(scene.run);
    }
    assert_int_equal(unlink(pl_scratch_in(scene.run, "config.yaml")), 0);
    go_on(step_of(COPIES - 1));
    end = pl_tree_take(scene.run);
    return 0;
}

static int tear_down(void **state)
{
    for (size_t i = 0; i < COPIES; i++)
        pl_tree_release(&copies[i]);
    pl_tree_release(&end);
    pl_scene_close(&scene);
    return pl_scratch_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_files_are_found_or_do_no_harm),
        cmocka_unit_test(a_restored_backup_goes_on_or_is_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
