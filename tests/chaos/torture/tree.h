/*
 * Folders in memory: taken, put back, compared. Their files are small.
 */
#ifndef PL_TESTS_CHAOS_TREE_H
#define PL_TESTS_CHAOS_TREE_H

#include <stdbool.h>
#include <stddef.h>

struct pl_leaf {
    char name[200]; /* from the folder on; a folder ends in '/' */
    unsigned char *bytes;
    size_t len;
};

struct pl_tree {
    struct pl_leaf *leaves; /* by name */
    size_t count, cap;
};

struct pl_tree pl_tree_take(const char *dir);                  /* empty where there is none */
void pl_tree_put(const struct pl_tree *tree, const char *dir); /* instead of what is there */
void pl_tree_release(struct pl_tree *tree);

/* The bytes of a file, NULL: it has none of that name. */
struct pl_leaf *pl_tree_find(const struct pl_tree *tree, const char *name);
void pl_tree_add(struct pl_tree *tree, const char *name, const void *bytes, size_t len);

/* The first name in which the two differ, apart from lock, run_id (drawn) and TensorBoard's events;
 * NULL: none. */
const char *pl_tree_other(const struct pl_tree *a, const struct pl_tree *b);

#endif
