/*
 * A version of the weights as the source keeps it and the sink gets it: its values in blocks of
 * PL_CHUNK_BYTES. A snapshot's chunk is a block as it is, a delta's chunk is what changed in a
 * block (delta.h), compressed; so each can be made, checked and put in place by itself, by any
 * thread.
 */
#ifndef PL_LINK_VERSION_H
#define PL_LINK_VERSION_H

#include "common/link/bcast.h"
#include "proto/weights.h"

enum { PL_BLOCK_VALUES = PL_CHUNK_BYTES / 2 };

size_t pl_blocks(size_t values);                     /* of so many values */
size_t pl_block_values(size_t values, size_t block); /* in one of them: all but the last are full */

/* SHA-256, by OpenSSL (which uses the processor's instructions for it). */
void pl_sha256(const void *bytes, size_t len, unsigned char ret_hash[PL_WEIGHTS_HASH]);

/* XXH3-64: against faults of a machine or of ours, ten times as fast; not against a stranger. */
uint64_t pl_block_check(const uint16_t *values, size_t count);

/* memcpy() of a block and its hash, on one way through the memory. */
void pl_block_copy(uint16_t *to, const void *from, size_t values,
                   unsigned char ret_hash[PL_WEIGHTS_HASH]);

/* PL_EFORMAT: value number *ret_at is infinite or no number. */
int pl_values_check(const uint16_t *values, size_t count, size_t *ret_at);

/* The hash of a version: SHA-256 over the SHA-256 of each block. */
void pl_chunks_hash(const struct pl_chunk *blocks, size_t count,
                    unsigned char ret_hash[PL_WEIGHTS_HASH]);
/* The same of values. PL_ENOMEM. */
int pl_values_hash(const uint16_t *values, size_t count, unsigned char ret_hash[PL_WEIGHTS_HASH]);

/*
 * Whether a manifest is of this version of this run, and whole: the snapshot comes first, each
 * transfer has a chunk for each block, and the hashes of the snapshot's chunks make up that of the
 * version. PL_EFORMAT.
 */
int pl_manifest_check(const struct pl_manifest *manifest, const char *run, uint64_t version,
                      struct pl_error *err);

#endif
