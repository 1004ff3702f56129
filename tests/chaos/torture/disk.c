#include "tests/chaos/torture/disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/chaos/torture/results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 64 };

struct bytes {
    unsigned char *data;
    size_t len;
};

struct entry {
    char name[NAME];
    struct node *node;
};

struct entries {
    struct entry *items;
    size_t count, cap;
};

/* What was done to a folder and does not last yet. */
struct change {
    enum pl_op_kind kind; /* CREATE: a name for a node; UNLINK, RENAME, EXCHANGE */
    char name[NAME], other[NAME];
    struct node *node;
};

struct node {
    struct node *next; /* of all there are */
    bool is_folder;
    struct bytes now, kept;
    struct entries names_now, names_kept;
    struct change *changes;
    size_t change_count, change_cap;
};

struct pl_disk {
    char root[256];
    struct node *nodes, *top;
};

static void *grow(void *items, size_t count, size_t *cap, size_t size)
{
    if (count == *cap) {
        *cap = *cap ? 2 * *cap : 8;
        items = realloc(items, *cap * size);
        assert_non_null(items);
    }
    return items;
}

static struct node *make_node(struct pl_disk *disk, bool is_folder)
{
    struct node *node = calloc(1, sizeof *node);

    assert_non_null(node);
    node->is_folder = is_folder;
    node->next = disk->nodes;
    disk->nodes = node;
    return node;
}

struct pl_disk *pl_disk_create(const char *root)
{
    struct pl_disk *disk = calloc(1, sizeof *disk);

    assert_non_null(disk);
    snprintf(disk->root, sizeof disk->root, "%s", root);
    disk->top = make_node(disk, true);
    return disk;
}

void pl_disk_destroy(struct pl_disk *disk)
{
    while (disk->nodes) {
        struct node *node = disk->nodes;

        disk->nodes = node->next;
        free(node->now.data);
        free(node->kept.data);
        free(node->names_now.items);
        free(node->names_kept.items);
        free(node->changes);
        free(node);
    }
    free(disk);
}

/* ---- names ---- */

static struct entry *find(const struct entries *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    return NULL;
}

static void drop(struct entries *list, const char *name)
{
    struct entry *e = find(list, name);

    if (e)
        *e = list->items[--list->count];
}

static void put(struct entries *list, const char *name, struct node *node)
{
    struct entry *e = find(list, name);

    if (!e) {
        list->items = grow(list->items, list->count, &list->cap, sizeof *list->items);
        e = &list->items[list->count++];
        snprintf(e->name, sizeof e->name, "%s", name);
    }
    e->node = node;
}

/* One change, where it can be: of drawn ones those before it may be missing. */
static void change_names(struct entries *list, const struct change *c)
{
    struct entry *from = find(list, c->name), *to = find(list, c->other);
    struct node *node = from ? from->node : NULL;

    if (c->kind == PL_OP_CREATE) {
        put(list, c->name, c->node);
    } else if (c->kind == PL_OP_UNLINK) {
        drop(list, c->name);
    } else if (c->kind == PL_OP_EXCHANGE && from && to) {
        from->node = to->node;
        to->node = node;
    } else if (c->kind == PL_OP_RENAME && from) {
        drop(list, c->name);
        put(list, c->other, node);
    }
}

static void change(struct node *folder, const struct change *c)
{
    folder->changes =
        grow(folder->changes, folder->change_count, &folder->change_cap, sizeof *folder->changes);
    folder->changes[folder->change_count++] = *c;
    change_names(&folder->names_now, c);
}

/* The node at a path of the root, and the folder it is in; "x/.." is what x is in. */
static struct node *walk(const struct pl_disk *disk, const char *path, struct node **ret_folder,
                         char name[NAME])
{
    struct node *chain[16] = {disk->top};
    size_t depth = 0;
    const char *at = path + strlen(disk->root);

    assert_int_equal(strncmp(path, disk->root, strlen(disk->root)), 0);
    *ret_folder = NULL;
    while (*at) {
        const size_t len = strcspn(at, "/");
        struct entry *e;

        assert_true(len < NAME);
        if (len > 0 && !(len == 2 && strncmp(at, "..", 2) == 0)) {
            assert_non_null(chain[depth]);
            memcpy(name, at, len);
            name[len] = '\0';
            e = find(&chain[depth]->names_now, name);
            *ret_folder = chain[depth++];
            assert_true(depth < 16);
            chain[depth] = e ? e->node : NULL;
        } else if (len > 0) {
            assert_true(depth > 0);
            depth--;
        }
        at += len + (at[len] == '/');
    }
    return chain[depth];
}

/* ---- calls ---- */

static void copy(struct bytes *to, const struct bytes *from)
{
    to->data = realloc(to->data, from->len + 1);
    assert_non_null(to->data);
    if (from->len > 0)
        memcpy(to->data, from->data, from->len);
    to->len = from->len;
}

static void flush(struct node *node)
{
    if (!node->is_folder) {
        copy(&node->kept, &node->now);
        return;
    }
    node->names_kept.count = 0;
    for (size_t i = 0; i < node->names_now.count; i++)
        put(&node->names_kept, node->names_now.items[i].name, node->names_now.items[i].node);
    node->change_count = 0;
}

static void write_bytes(struct node *node, const struct pl_op *op)
{
    const size_t end = op->at + op->len;

    if (end > node->now.len) {
        node->now.data = realloc(node->now.data, end);
        assert_non_null(node->now.data);
        memset(node->now.data + node->now.len, 0, end - node->now.len);
        node->now.len = end;
    }
    memcpy(node->now.data + op->at, op->bytes, op->len);
}

void pl_disk_apply(struct pl_disk *disk, const struct pl_op *op)
{
    struct change c = {.kind = op->kind};
    struct node *folder, *other_folder, *node;

    if (op->kind == PL_OP_MARK)
        return;
    node = walk(disk, op->path, &folder, c.name);
    switch (op->kind) {
    case PL_OP_CREATE:
        if (node) {
            node->now.len = 0;
            return;
        }
        c.node = make_node(disk, false);
        change(folder, &c);
        return;
    case PL_OP_MKDIR:
        c.kind = PL_OP_CREATE;
        c.node = make_node(disk, true);
        change(folder, &c);
        return;
    case PL_OP_WRITE:
        assert_non_null(node);
        write_bytes(node, op);
        return;
    case PL_OP_SYNC:
        assert_non_null(node);
        flush(node);
        return;
    case PL_OP_UNLINK:
        change(folder, &c);
        return;
    case PL_OP_RENAME:
    case PL_OP_EXCHANGE:
        walk(disk, op->other, &other_folder, c.other);
        assert_ptr_equal(folder, other_folder); /* plait moves nothing to another folder */
        change(folder, &c);
        return;
    case PL_OP_MARK:
        return;
    }
}

/* ---- after the power came back ---- */

static void add_file(const struct node *node, enum pl_loss loss, uint64_t *state, const char *name,
                     struct pl_tree *tree)
{
    struct bytes b = {0};

    if (loss == PL_LOSS_DRAWN)
        loss = (enum pl_loss)(pl_torture_below(state, PL_LOSS_DRAWN + 1));
    if (loss == PL_LOSS_ALL || loss == PL_LOSS_BYTES) {
        copy(&b, &node->kept);
    } else {
        copy(&b, &node->now);
        if (loss == PL_LOSS_ZEROS)
            for (size_t i = 0; i < b.len; i++)
                b.data[i] = i < node->kept.len ? node->kept.data[i] : 0;
        else if (loss == PL_LOSS_DRAWN && b.len > 0 &&
                 (node->kept.len != b.len || memcmp(node->kept.data, b.data, b.len) != 0))
            b.len = pl_torture_below(state, (uint32_t)b.len);
    }
    pl_tree_add(tree, name, b.data, b.len);
    free(b.data);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static void add_folder(const struct node *node, enum pl_loss loss, uint64_t *state,
                       const char *prefix, struct pl_tree *tree)
{
    struct entries list = {0};
    const struct entries *from =
        loss == PL_LOSS_ALL || loss == PL_LOSS_DRAWN ? &node->names_kept : &node->names_now;

    for (size_t i = 0; i < from->count; i++)
        put(&list, from->items[i].name, from->items[i].node);
    for (size_t i = 0; loss == PL_LOSS_DRAWN && i < node->change_count; i++)
        if (pl_torture_below(state, 2))
            change_names(&list, &node->changes[i]);
    if (list.count > 0)
        qsort(list.items, list.count, sizeof *list.items, by_name);
    for (size_t i = 0; i < list.count; i++) {
        char name[200];

        snprintf(name, sizeof name, "%s%s%s", prefix, list.items[i].name,
                 list.items[i].node->is_folder ? "/" : "");
        if (list.items[i].node->is_folder) {
            pl_tree_add(tree, name, "", 0);
            add_folder(list.items[i].node, loss, state, name, tree);
        } else {
            add_file(list.items[i].node, loss, state, name, tree);
        }
    }
    free(list.items);
}

struct pl_tree pl_disk_tree(const struct pl_disk *disk, const char *name, enum pl_loss loss,
                            uint64_t seed)
{
    struct pl_tree tree = {0};
    const bool kept = loss == PL_LOSS_ALL || (loss == PL_LOSS_DRAWN && pl_torture_below(&seed, 2));
    struct entry *e = find(kept ? &disk->top->names_kept : &disk->top->names_now, name);

    if (e) {
        pl_tree_add(&tree, "./", "", 0);
        add_folder(e->node, loss, &seed, "", &tree);
    }
    return tree;
}
