#include "common/link/shelf.h"

#include "common/base/check.h"
#include "common/link/seal.h"
#include "common/link/version.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { VERSIONS_MAX = 64 };

struct pl_blob {
    atomic_uint users;
    atomic_size_t *alive; /* of the shelf, which outlives what it gives out */
    size_t len;
    unsigned char bytes[];
};

/* A chunk that is here, in a ring of all of them: the one that was used last comes first. */
struct kept {
    struct kept *before, *after;
    struct version *version;
    struct kept **place; /* of the version */
    struct pl_blob *blob;
};

struct version {
    uint64_t number, used; /* used: the shelf's clock when it was last asked for */
    struct pl_manifest manifest;
    struct pl_blob *bytes; /* of the manifest, as it came */
    struct kept **chunks[PL_TRANSFERS_MAX];
    size_t cost, chunk_count; /* cost: without its chunks */
};

struct pl_shelf {
    char run[PL_WEIGHTS_NAME_MAX];
    const struct pl_keys *keys;
    size_t bytes_max;
    struct version *versions[VERSIONS_MAX];
    struct kept ring;
    uint64_t clock;
    atomic_size_t alive;
    struct pl_shelf_stats stats;
};

/* ---- blobs ---- */

static struct pl_blob *blob_new(struct pl_shelf *s, const void *bytes, size_t len)
{
    struct pl_blob *blob = malloc(sizeof *blob + len);

    if (!blob)
        return NULL;
    atomic_init(&blob->users, 1);
    blob->alive = &s->alive;
    blob->len = len;
    if (len > 0)
        memcpy(blob->bytes, bytes, len);
    atomic_fetch_add(blob->alive, len);
    return blob;
}

static struct pl_blob *blob_share(struct pl_blob *blob)
{
    atomic_fetch_add(&blob->users, 1);
    return blob;
}

const void *pl_blob_data(const struct pl_blob *blob)
{
    return blob->bytes;
}

size_t pl_blob_len(const struct pl_blob *blob)
{
    return blob->len;
}

void pl_blob_put(struct pl_blob *blob)
{
    if (!blob || atomic_fetch_sub(&blob->users, 1) > 1)
        return;
    atomic_fetch_sub(blob->alive, blob->len);
    free(blob);
}

bool pl_item_same(const struct pl_item *a, const struct pl_item *b)
{
    return a->version == b->version && a->what == b->what && a->transfer == b->transfer &&
           a->chunk == b->chunk;
}

/* ---- what is kept ---- */

static void unlink_kept(struct kept *k)
{
    k->before->after = k->after;
    k->after->before = k->before;
}

static void link_first(struct pl_shelf *s, struct kept *k)
{
    k->before = &s->ring;
    k->after = s->ring.after;
    s->ring.after->before = k;
    s->ring.after = k;
}

static void drop_chunk(struct pl_shelf *s, struct kept *k)
{
    unlink_kept(k);
    *k->place = NULL;
    k->version->chunk_count--;
    s->stats.chunks--;
    s->stats.bytes -= sizeof *k + sizeof *k->blob + k->blob->len;
    pl_blob_put(k->blob);
    free(k);
}

static void version_free(struct version *v)
{
    for (size_t t = 0; t < PL_TRANSFERS_MAX; t++)
        free(v->chunks[t]);
    pl_manifest_release(&v->manifest);
    pl_blob_put(v->bytes);
    free(v);
}

static void drop_version(struct pl_shelf *s, struct version **at)
{
    struct version *v = *at;

    for (size_t t = 0; t < v->manifest.transfer_count; t++)
        for (size_t i = 0; v->chunk_count > 0 && i < v->manifest.transfers[t].chunk_count; i++)
            if (v->chunks[t][i])
                drop_chunk(s, v->chunks[t][i]);
    s->stats.bytes -= v->cost;
    s->stats.versions--;
    version_free(v);
    *at = NULL;
}

static struct version **find(const struct pl_shelf *s, uint64_t number)
{
    for (size_t i = 0; i < VERSIONS_MAX; i++)
        if (s->versions[i] && s->versions[i]->number == number)
            return (struct version **)&s->versions[i];
    return NULL;
}

/* The version that was not asked for the longest; but not `but`. */
static struct version **oldest(struct pl_shelf *s, const struct version *but)
{
    struct version **found = NULL;

    for (size_t i = 0; i < VERSIONS_MAX; i++)
        if (s->versions[i] && s->versions[i] != but &&
            (!found || s->versions[i]->used < (*found)->used))
            found = &s->versions[i];
    return found;
}

/* Chunks first, then versions of which none is left; `but` stays. */
static bool make_place(struct pl_shelf *s, size_t bytes, const struct version *but)
{
    while (s->stats.bytes + bytes > s->bytes_max) {
        struct version **v;

        if (s->ring.before != &s->ring) {
            drop_chunk(s, s->ring.before);
            s->stats.evicted++;
            continue;
        }
        v = oldest(s, but);
        if (!v)
            return false;
        drop_version(s, v);
    }
    return true;
}

static void charge(struct pl_shelf *s, size_t bytes)
{
    s->stats.bytes += bytes;
    PL_ASSERT(s->stats.bytes <= s->bytes_max);
    if (s->stats.bytes > s->stats.bytes_most)
        s->stats.bytes_most = s->stats.bytes;
}

/* ---- what the owner does ---- */

int pl_shelf_create(const char *run, const struct pl_keys *keys, size_t bytes_max,
                    struct pl_shelf **ret_shelf, struct pl_error *err)
{
    struct pl_shelf *s;

    if (strlen(run) >= PL_WEIGHTS_NAME_MAX)
        return pl_fail(err, PL_EINVAL, "the name of the run has %zu bytes; at most %d are allowed",
                       strlen(run), PL_WEIGHTS_NAME_MAX - 1);
    s = calloc(1, sizeof *s);
    if (!s)
        return pl_fail(err, PL_ENOMEM, "no memory for the relay's cache");
    strcpy(s->run, run);
    s->keys = keys;
    s->bytes_max = bytes_max;
    s->ring.before = s->ring.after = &s->ring;
    atomic_init(&s->alive, 0);
    *ret_shelf = s;
    return PL_OK;
}

void pl_shelf_destroy(struct pl_shelf *shelf)
{
    if (!shelf)
        return;
    for (size_t i = 0; i < VERSIONS_MAX; i++)
        if (shelf->versions[i])
            drop_version(shelf, &shelf->versions[i]);
    PL_ASSERT(atomic_load(&shelf->alive) == 0); /* all that was given out is back */
    free(shelf);
}

/* Where a chunk is or would be; NULL: the version has no such chunk. */
static struct kept **place_of(const struct version *v, const struct pl_item *item)
{
    if (item->transfer >= v->manifest.transfer_count ||
        item->chunk >= v->manifest.transfers[item->transfer].chunk_count)
        return NULL;
    return &v->chunks[item->transfer][item->chunk];
}

enum pl_found pl_shelf_find(struct pl_shelf *shelf, const struct pl_item *item,
                            struct pl_blob **ret_blob)
{
    struct version **v = find(shelf, item->version);
    struct kept **place;

    if (!v)
        return PL_FOUND_NO_MANIFEST;
    (*v)->used = ++shelf->clock;
    if (item->what == PL_WEIGHTS_MANIFEST) {
        *ret_blob = blob_share((*v)->bytes);
        return PL_FOUND;
    }
    place = place_of(*v, item);
    if (!place)
        return PL_FOUND_NEVER;
    if (!*place)
        return PL_FOUND_MISSING;
    unlink_kept(*place);
    link_first(shelf, *place);
    *ret_blob = blob_share((*place)->blob);
    return PL_FOUND;
}

bool pl_shelf_has(const struct pl_shelf *shelf, const struct pl_item *item)
{
    struct version **v = find(shelf, item->version);
    struct kept **place = v && item->what == PL_WEIGHTS_CHUNK ? place_of(*v, item) : NULL;

    return v && (item->what == PL_WEIGHTS_MANIFEST || (place && *place));
}

const struct pl_manifest *pl_shelf_manifest(const struct pl_shelf *shelf, uint64_t version)
{
    struct version **v = find(shelf, version);

    return v ? &(*v)->manifest : NULL;
}

/* What a version takes without its chunks. */
static size_t cost_of(const struct pl_manifest *m, size_t len)
{
    size_t cost = sizeof(struct version) + sizeof(struct pl_blob) + len;

    for (size_t t = 0; t < m->transfer_count; t++)
        cost +=
            (m->transfers[t].chunk_count + 1) * (sizeof(struct pl_chunk) + sizeof(struct kept *));
    return cost;
}

static int version_new(struct pl_shelf *s, struct pl_manifest *manifest, const void *bytes,
                       size_t len, struct version **ret_version)
{
    struct version *v = calloc(1, sizeof *v);

    if (!v)
        return PL_ENOMEM;
    v->number = manifest->version;
    v->used = ++s->clock;
    v->cost = cost_of(manifest, len);
    v->manifest = *manifest;
    *manifest = (struct pl_manifest){0};
    v->bytes = blob_new(s, bytes, len);
    for (size_t t = 0; t < v->manifest.transfer_count; t++)
        v->chunks[t] = calloc(v->manifest.transfers[t].chunk_count + 1, sizeof *v->chunks[t]);
    for (size_t t = 0; t < v->manifest.transfer_count; t++)
        if (!v->bytes || !v->chunks[t]) {
            version_free(v);
            return PL_ENOMEM;
        }
    *ret_version = v;
    return PL_OK;
}

/* Where one more version can be: there are few of them, and the oldest ones go. */
static struct version **free_place(struct pl_shelf *s)
{
    struct version **old;

    for (size_t i = 0; i < VERSIONS_MAX; i++)
        if (!s->versions[i])
            return &s->versions[i];
    old = oldest(s, NULL);
    drop_version(s, old);
    return old;
}

static int read_manifest(const struct pl_shelf *s, uint64_t version, const void *bytes, size_t len,
                         struct pl_manifest *ret_manifest, struct pl_error *err)
{
    struct pl_sealed sealed = {0};
    int rc = pl_unseal(s->keys, PL_SEAL_MANIFEST, bytes, len, &sealed, err);

    if (rc == PL_OK)
        rc = pl_manifest_decode(sealed.body, sealed.len, ret_manifest, err);
    pl_sealed_release(&sealed);
    return rc == PL_OK ? pl_manifest_check(ret_manifest, s->run, version, err) : rc;
}

int pl_shelf_add_manifest(struct pl_shelf *shelf, uint64_t version, const void *bytes, size_t len,
                          struct pl_error *err)
{
    struct pl_manifest manifest = {0};
    struct version *v = NULL;
    int rc = PL_OK;

    if (find(shelf, version))
        return PL_OK;
    rc = read_manifest(shelf, version, bytes, len, &manifest, err);
    if (rc == PL_OK && !make_place(shelf, cost_of(&manifest, len), NULL))
        rc = pl_fail(err, PL_EFULL,
                     "the manifest of version %llu takes %zu bytes, and all of the cache has %zu",
                     (unsigned long long)version, cost_of(&manifest, len), shelf->bytes_max);
    if (rc == PL_OK && version_new(shelf, &manifest, bytes, len, &v) < 0)
        rc = pl_fail(err, PL_ENOMEM, "no memory for the manifest of version %llu",
                     (unsigned long long)version);
    if (rc == PL_OK) {
        *free_place(shelf) = v;
        shelf->stats.versions++;
        charge(shelf, v->cost);
    }
    pl_manifest_release(&manifest);
    return rc;
}

/* Whether it is the chunk of which the manifest has length and hash. */
static int check_chunk(const struct version *v, const struct pl_item *item, const void *bytes,
                       size_t len, struct pl_error *err)
{
    const struct pl_chunk *chunk = &v->manifest.transfers[item->transfer].chunks[item->chunk];
    unsigned char hash[PL_WEIGHTS_HASH];

    if (len != chunk->bytes)
        return pl_fail(err, PL_EFORMAT,
                       "chunk %u of transfer %u of version %llu has %zu bytes; its manifest says "
                       "%u",
                       item->chunk, item->transfer, (unsigned long long)item->version, len,
                       chunk->bytes);
    pl_sha256(bytes, len, hash);
    if (memcmp(hash, chunk->hash, sizeof hash) != 0)
        return pl_fail(err, PL_EFORMAT,
                       "chunk %u of transfer %u of version %llu is not what its hash says",
                       item->chunk, item->transfer, (unsigned long long)item->version);
    return PL_OK;
}

int pl_shelf_add_chunk(struct pl_shelf *shelf, const struct pl_item *item, const void *bytes,
                       size_t len, struct pl_error *err)
{
    struct version **v = find(shelf, item->version);
    struct kept **place = v ? place_of(*v, item) : NULL;
    struct kept *k;
    int rc;

    if (!place)
        return pl_fail(err, PL_ENOENT, "chunk %u of version %llu is in no manifest that is here",
                       item->chunk, (unsigned long long)item->version);
    if (*place)
        return PL_OK;
    rc = check_chunk(*v, item, bytes, len, err);
    if (rc < 0)
        return rc;
    if (!make_place(shelf, sizeof *k + sizeof *k->blob + len, *v))
        return pl_fail(err, PL_EFULL, "a chunk of %zu bytes, and all of the cache has %zu", len,
                       shelf->bytes_max);
    k = calloc(1, sizeof *k);
    if (k)
        k->blob = blob_new(shelf, bytes, len);
    if (!k || !k->blob) {
        free(k);
        return pl_fail(err, PL_ENOMEM, "no memory for a chunk of %zu bytes", len);
    }
    k->version = *v;
    k->place = place;
    *place = k;
    link_first(shelf, k);
    (*v)->chunk_count++;
    shelf->stats.chunks++;
    charge(shelf, sizeof *k + sizeof *k->blob + len);
    return PL_OK;
}

void pl_shelf_forget(struct pl_shelf *shelf, uint64_t version)
{
    struct version **v = find(shelf, version);

    if (v)
        drop_version(shelf, v);
}

void pl_shelf_clear(struct pl_shelf *shelf)
{
    for (size_t i = 0; i < VERSIONS_MAX; i++)
        if (shelf->versions[i])
            drop_version(shelf, &shelf->versions[i]);
}

struct pl_shelf_stats pl_shelf_stats(const struct pl_shelf *shelf)
{
    struct pl_shelf_stats stats = shelf->stats;

    stats.alive = atomic_load(&((struct pl_shelf *)shelf)->alive);
    return stats;
}
