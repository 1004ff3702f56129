#include "tests/chaos/torture/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

#include "common/base/file.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct pl_tree *taken;
static size_t prefix;

void pl_tree_add(struct pl_tree *tree, const char *name, const void *bytes, size_t len)
{
    struct pl_leaf *leaf;

    if (tree->count == tree->cap) {
        tree->cap = tree->cap ? 2 * tree->cap : 64;
        tree->leaves = realloc(tree->leaves, tree->cap * sizeof *tree->leaves);
        assert_non_null(tree->leaves);
    }
    leaf = &tree->leaves[tree->count++];
    snprintf(leaf->name, sizeof leaf->name, "%s", name);
    leaf->len = len;
    leaf->bytes = malloc(len + 1);
    assert_non_null(leaf->bytes);
    if (len > 0)
        memcpy(leaf->bytes, bytes, len);
}

static int take_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    char name[256], *bytes;
    size_t len;

    (void)st;
    (void)ftw;
    if (strlen(path) <= prefix)
        return 0;
    snprintf(name, sizeof name, "%s%s", path + prefix, kind == FTW_D ? "/" : "");
    if (kind == FTW_D) {
        pl_tree_add(taken, name, "", 0);
    } else {
        bytes = pl_scratch_read(path, &len);
        pl_tree_add(taken, name, bytes, len);
        free(bytes);
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pl_leaf *)a)->name, ((const struct pl_leaf *)b)->name);
}

struct pl_tree pl_tree_take(const char *dir)
{
    struct pl_tree tree = {0};

    taken = &tree;
    prefix = strlen(dir) + 1;
    if (pl_path_exists(dir))
        assert_int_equal(nftw(dir, take_one, 16, FTW_PHYS), 0);
    if (tree.count > 0)
        qsort(tree.leaves, tree.count, sizeof *tree.leaves, by_name);
    return tree;
}

void pl_tree_put(const struct pl_tree *tree, const char *dir)
{
    char path[512];

    if (pl_path_exists(dir))
        assert_int_equal(pl_dir_remove(dir, NULL), 0);
    if (tree->count > 0)
        assert_int_equal(pl_dir_make(dir, NULL), 0);
    for (size_t i = 0; i < tree->count; i++) {
        const struct pl_leaf *leaf = &tree->leaves[i];

        if (strcmp(leaf->name, "./") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, leaf->name);
        if (path[strlen(path) - 1] == '/')
            assert_int_equal(mkdir(path, 0777), 0);
        else
            pl_scratch_write(path, leaf->bytes, leaf->len);
    }
}

void pl_tree_release(struct pl_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        free(tree->leaves[i].bytes);
    free(tree->leaves);
    *tree = (struct pl_tree){0};
}

struct pl_leaf *pl_tree_find(const struct pl_tree *tree, const char *name)
{
    for (size_t i = 0; i < tree->count; i++)
        if (strcmp(tree->leaves[i].name, name) == 0)
            return &tree->leaves[i];
    return NULL;
}

static bool is_compared(const char *name)
{
    return !strstr(name, "events.out.tfevents") && strcmp(name, "plait.lock") != 0 &&
           strcmp(name, "run_id") != 0;
}

const char *pl_tree_other(const struct pl_tree *a, const struct pl_tree *b)
{
    size_t i = 0, k = 0;

    for (;;) {
        const struct pl_leaf *x, *y;

        while (i < a->count && !is_compared(a->leaves[i].name))
            i++;
        while (k < b->count && !is_compared(b->leaves[k].name))
            k++;
        if (i == a->count || k == b->count)
            return i < a->count ? a->leaves[i].name : k < b->count ? b->leaves[k].name : NULL;
        x = &a->leaves[i++];
        y = &b->leaves[k++];
        if (strcmp(x->name, y->name) != 0)
            return strcmp(x->name, y->name) < 0 ? x->name : y->name;
        if (x->len != y->len || memcmp(x->bytes, y->bytes, x->len) != 0)
            return x->name;
    }
}
