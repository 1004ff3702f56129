/*
 * Messages of the weights protocol (common/link/bcast.h) as plain structs, checked when decoded.
 */
#ifndef PL_PROTO_WEIGHTS_H
#define PL_PROTO_WEIGHTS_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "proto/life.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PL_WEIGHTS_HASH = 32, /* SHA-256 */
    PL_WEIGHTS_CHUNK_MAX = (1 << 20) + 4096,
    PL_WEIGHTS_MESSAGE_MAX = 16 << 20,
    PL_WEIGHTS_CHUNKS_MAX = 1 << 17,
    PL_WEIGHTS_ENDPOINTS_MAX = 8,
    PL_WEIGHTS_NAME_MAX = 128,
    PL_SIGNATURE_BYTES = 64, /* Ed25519 */
};

struct pl_chunk {
    uint32_t bytes;                      /* as sent, 1 to PL_WEIGHTS_CHUNK_MAX */
    unsigned char hash[PL_WEIGHTS_HASH]; /* of those */
    uint64_t check;                      /* of a delta: XXH3-64 of the values that come of it */
};

/* One way to have a version: all of it, or what is different from version `against`. */
struct pl_transfer {
    bool snapshot;
    uint64_t against;
    struct pl_chunk *chunks;
    size_t chunk_count;
};

enum { PL_TRANSFERS_MAX = 2 };

struct pl_manifest {
    char run[PL_WEIGHTS_NAME_MAX];
    struct pl_life life;
    uint64_t version, step;
    unsigned char hash[PL_WEIGHTS_HASH]; /* of all values' bytes, little-endian */
    uint64_t values;
    struct pl_transfer transfers[PL_TRANSFERS_MAX];
    size_t transfer_count;
};

int pl_manifest_encode(const struct pl_manifest *manifest, struct pl_buf *out);
/* Ended with pl_manifest_release(). PL_EFORMAT, PL_ENOMEM. */
int pl_manifest_decode(const void *bytes, size_t len, struct pl_manifest *ret_manifest,
                       struct pl_error *err);
void pl_manifest_release(struct pl_manifest *manifest); /* zeroed is fine */

struct pl_announcement {
    char run[PL_WEIGHTS_NAME_MAX];
    struct pl_life life;
    uint64_t version;
    unsigned char hash[PL_WEIGHTS_HASH]; /* of the version's values */
};
int pl_announcement_encode(const struct pl_announcement *announcement, struct pl_buf *out);
int pl_announcement_decode(const void *bytes, size_t len, struct pl_announcement *ret,
                           struct pl_error *err);

/* A manifest or an announcement as it travels. */
struct pl_sealed {
    unsigned char *body; /* from malloc() */
    size_t len;
    bool has_signature;
    unsigned char signature[PL_SIGNATURE_BYTES];
};
/* body is only read. PL_ENOMEM, PL_EFULL. */
int pl_sealed_encode(const struct pl_sealed *sealed, struct pl_buf *out);
/* Ended with pl_sealed_release(). PL_EFORMAT, PL_ENOMEM. */
int pl_sealed_decode(const void *bytes, size_t len, struct pl_sealed *ret_sealed,
                     struct pl_error *err);
void pl_sealed_release(struct pl_sealed *sealed); /* zeroed is fine */

enum pl_weights_what { PL_WEIGHTS_MANIFEST, PL_WEIGHTS_CHUNK };
enum pl_weights_error { PL_WEIGHTS_FINE, PL_WEIGHTS_ABSENT, PL_WEIGHTS_BAD_REQUEST };

/* A question, and with `error` and a payload frame behind it, its answer. */
struct pl_weights_request {
    char run[PL_WEIGHTS_NAME_MAX]; /* empty in answers */
    uint64_t version;
    enum pl_weights_what what;
    uint32_t transfer, chunk;
    enum pl_weights_error error; /* in answers */
};
int pl_weights_request_encode(const struct pl_weights_request *request, bool answer,
                              struct pl_buf *out);
int pl_weights_request_decode(const void *bytes, size_t len, bool answer,
                              struct pl_weights_request *ret_request, struct pl_error *err);

#endif
