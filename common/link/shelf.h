/*
 * What a relay has of the weights: manifests and chunks of some versions, byte for byte as they
 * travelled, under a bound of memory.
 *
 * Always:
 *   - a manifest that is kept is of its run and version and whole (pl_manifest_check()), and a
 *     chunk that is kept has the SHA-256 that its manifest says;
 *   - what is kept, with all that is needed to find it, takes at most bytes_max; what was used the
 *     longest time ago goes first. What was given out lives on until its last user has put it back.
 *
 * One thread owns a shelf; blobs may be put back by any.
 */
#ifndef PL_LINK_SHELF_H
#define PL_LINK_SHELF_H

#include "common/base/err.h"
#include "common/link/keys.h"
#include "proto/weights.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that several may read. */
struct pl_blob;
const void *pl_blob_data(const struct pl_blob *blob);
size_t pl_blob_len(const struct pl_blob *blob);
void pl_blob_put(struct pl_blob *blob); /* the last one frees it; NULL is fine */

/* One thing that can be asked for: a manifest (transfer and chunk 0), or a chunk. */
struct pl_item {
    uint64_t version;
    enum pl_weights_what what;
    uint32_t transfer, chunk;
};
bool pl_item_same(const struct pl_item *a, const struct pl_item *b);

struct pl_shelf;
/* keys: borrowed; whose learner must have signed a manifest, NULL: nobody. */
int pl_shelf_create(const char *run, const struct pl_keys *keys, size_t bytes_max,
                    struct pl_shelf **ret_shelf, struct pl_error *err);
void pl_shelf_destroy(struct pl_shelf *shelf); /* NULL is fine */

enum pl_found {
    PL_FOUND,             /* *ret_blob is the caller's, to be put back */
    PL_FOUND_NO_MANIFEST, /* of the version: nothing can be said about its chunks */
    PL_FOUND_MISSING,     /* it is in the manifest, and not here */
    PL_FOUND_NEVER,       /* the version has no such chunk */
};
enum pl_found pl_shelf_find(struct pl_shelf *shelf, const struct pl_item *item,
                            struct pl_blob **ret_blob);
bool pl_shelf_has(const struct pl_shelf *shelf, const struct pl_item *item);

/* Borrowed until the next call that adds or forgets; NULL: it is not here. */
const struct pl_manifest *pl_shelf_manifest(const struct pl_shelf *shelf, uint64_t version);

/*
 * Keep what came; bytes are copied. Keeping what is here already changes nothing.
 * PL_EFORMAT: it is not what it should be. PL_EINVAL: it is not the learner's. PL_ENOENT: a chunk
 * of a version, or a chunk number, that no manifest here has. PL_EFULL: it does not fit in
 * bytes_max, even with nothing else. PL_ENOMEM.
 */
int pl_shelf_add_manifest(struct pl_shelf *shelf, uint64_t version, const void *bytes, size_t len,
                          struct pl_error *err);
int pl_shelf_add_chunk(struct pl_shelf *shelf, const struct pl_item *item, const void *bytes,
                       size_t len, struct pl_error *err);

void pl_shelf_forget(struct pl_shelf *shelf, uint64_t version);
void pl_shelf_clear(struct pl_shelf *shelf); /* all versions */

struct pl_shelf_stats {
    size_t bytes, bytes_most; /* kept now, and the most there ever was */
    size_t alive;             /* of blobs: kept, or given out and not yet put back */
    size_t versions, chunks;
    uint64_t evicted; /* chunks that went to make place */
};
struct pl_shelf_stats pl_shelf_stats(const struct pl_shelf *shelf);

#endif
