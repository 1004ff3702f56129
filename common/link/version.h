/* A published version as the source keeps it and the sink has got it: what both share. */
#ifndef PL_LINK_VERSION_H
#define PL_LINK_VERSION_H

#include "common/link/bcast.h"
#include "proto/weights.h"

#include <stdbool.h>

/* SHA-256, by OpenSSL (which uses the processor's instructions for it). */
void pl_sha256(const void *bytes, size_t len, unsigned char ret_hash[PL_WEIGHTS_HASH]);

/*
 * The hash of a version: SHA-256 over the SHA-256 of each piece of PL_CHUNK_BYTES of its values. So
 * all threads can hash at once, and a snapshot's chunks need not be hashed twice. PL_ENOMEM.
 */
int pl_values_hash(const uint16_t *values, size_t count, unsigned char ret_hash[PL_WEIGHTS_HASH]);
/* The same out of the hashes of a snapshot's chunks. */
void pl_chunks_hash(const struct pl_chunk *chunks, size_t count,
                    unsigned char ret_hash[PL_WEIGHTS_HASH]);

/* memcpy() by all threads. */
void pl_values_copy(uint16_t *to, const uint16_t *from, size_t count);

/* PL_EFORMAT: value number *ret_at is infinite or no number. */
int pl_values_check(const uint16_t *values, size_t count, size_t *ret_at);

/* One transfer's bytes in chunks, each compressed by itself. */
struct pl_chunks {
    struct pl_chunk *list;
    unsigned char **bytes;
    size_t count;
    bool raw; /* bytes are borrowed */
};
/* `raw`: chunks are pieces of `bytes` as they are, which must live as long (a snapshot); else each
 * is compressed. Uses all threads. PL_ENOMEM. */
int pl_chunks_make(const void *bytes, size_t len, bool raw, struct pl_chunks *ret_chunks);
void pl_chunks_release(struct pl_chunks *chunks);

#endif
