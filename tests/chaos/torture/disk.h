/*
 * A disk that loses power: what recorded calls (faults.h) left on it for certain, and what may or
 * may not be there.
 *
 *   - bytes written to a file last from its fsync() on, under whatever name;
 *   - a name lasts (made, renamed, removed) from the fsync() of its folder on;
 *   - until then each may be there or not, by itself, in any order.
 *
 * This is less than ext4 or xfs promise and as much as POSIX does.
 */
#ifndef PL_TESTS_CHAOS_DISK_H
#define PL_TESTS_CHAOS_DISK_H

#include "tests/chaos/torture/faults.h"
#include "tests/chaos/torture/tree.h"

#include <stdint.h>

struct pl_disk;

struct pl_disk *pl_disk_create(const char *root); /* the folder that is there, and empty */
void pl_disk_destroy(struct pl_disk *disk);
void pl_disk_apply(struct pl_disk *disk, const struct pl_op *op);

enum pl_loss {
    PL_LOSS_ALL,   /* only what lasts is there */
    PL_LOSS_BYTES, /* all names are there, and files without what was not flushed */
    PL_LOSS_ZEROS, /* the same, as long as they were, with zeros there */
    PL_LOSS_NONE,  /* a kill */
    PL_LOSS_DRAWN, /* each name and file as it may be, by the seed */
    PL_LOSSES
};

/* What is found in folder `name` of the root after the power came back. */
struct pl_tree pl_disk_tree(const struct pl_disk *disk, const char *name, enum pl_loss loss,
                            uint64_t seed);

#endif
