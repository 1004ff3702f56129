#include "common/link/version.h"

#include "common/base/check.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

size_t pl_blocks(size_t values)
{
    return (values + PL_BLOCK_VALUES - 1) / PL_BLOCK_VALUES;
}

size_t pl_block_values(size_t values, size_t block)
{
    const size_t left = values - block * PL_BLOCK_VALUES;

    return left < PL_BLOCK_VALUES ? left : PL_BLOCK_VALUES;
}

static EVP_MD_CTX *hash_begin(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    PL_ASSERT(context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
    return context;
}

static void hash_end(EVP_MD_CTX *context, unsigned char ret_hash[PL_WEIGHTS_HASH])
{
    unsigned n = 0;

    PL_ASSERT(EVP_DigestFinal_ex(context, ret_hash, &n) == 1 && n == PL_WEIGHTS_HASH);
    EVP_MD_CTX_free(context);
}

void pl_sha256(const void *bytes, size_t len, unsigned char ret_hash[PL_WEIGHTS_HASH])
{
    EVP_MD_CTX *context = hash_begin();

    PL_ASSERT(EVP_DigestUpdate(context, bytes, len) == 1);
    hash_end(context, ret_hash);
}

uint64_t pl_block_check(const uint16_t *values, size_t count)
{
    return XXH3_64bits(values, count * sizeof *values);
}

void pl_block_copy(uint16_t *to, const void *from, size_t values,
                   unsigned char ret_hash[PL_WEIGHTS_HASH])
{
    enum { PIECE = 1 << 15 }; /* bytes that stay in the first cache until they are hashed */
    const size_t bytes = values * sizeof *to;
    EVP_MD_CTX *context = hash_begin();

    for (size_t at = 0; at < bytes; at += PIECE) {
        const size_t n = bytes - at < PIECE ? bytes - at : PIECE;

        memcpy((char *)to + at, (const char *)from + at, n);
        PL_ASSERT(EVP_DigestUpdate(context, (char *)to + at, n) == 1);
    }
    hash_end(context, ret_hash);
}

/* In groups, so that the compiler can look at many at once. */
int pl_values_check(const uint16_t *values, size_t count, size_t *ret_at)
{
    enum { GROUP = 4096 };

    for (size_t from = 0; from < count; from += GROUP) {
        const size_t end = from + GROUP < count ? from + GROUP : count;
        unsigned found = 0;

        for (size_t i = from; i < end; i++)
            found |= (values[i] & 0x7F80) == 0x7F80;
        for (size_t i = from; found && i < end; i++)
            if ((values[i] & 0x7F80) == 0x7F80) {
                *ret_at = i;
                return PL_EFORMAT;
            }
    }
    return PL_OK;
}

void pl_chunks_hash(const struct pl_chunk *blocks, size_t count,
                    unsigned char ret_hash[PL_WEIGHTS_HASH])
{
    EVP_MD_CTX *context = hash_begin();

    for (size_t i = 0; i < count; i++)
        PL_ASSERT(EVP_DigestUpdate(context, blocks[i].hash, PL_WEIGHTS_HASH) == 1);
    hash_end(context, ret_hash);
}

int pl_values_hash(const uint16_t *values, size_t count, unsigned char ret_hash[PL_WEIGHTS_HASH])
{
    const size_t blocks = pl_blocks(count);
    struct pl_chunk *list = calloc(blocks + 1, sizeof *list);

    if (!list)
        return PL_ENOMEM;
#pragma omp parallel for schedule(dynamic) if (blocks > 1)
    for (size_t i = 0; i < blocks; i++)
        pl_sha256(values + i * PL_BLOCK_VALUES, pl_block_values(count, i) * sizeof *values,
                  list[i].hash);
    pl_chunks_hash(list, blocks, ret_hash);
    free(list);
    return PL_OK;
}

int pl_manifest_check(const struct pl_manifest *manifest, const char *run, uint64_t version,
                      struct pl_error *err)
{
    const struct pl_manifest *m = manifest;
    unsigned char hash[PL_WEIGHTS_HASH];
    size_t blocks;

    if (strcmp(m->run, run) != 0 || m->version != version || m->transfer_count == 0 ||
        !m->transfers[0].snapshot || m->values > (uint64_t)PL_WEIGHTS_CHUNKS_MAX * PL_BLOCK_VALUES)
        return pl_fail(err, PL_EFORMAT, "the manifest is of another run, version or shape");
    blocks = pl_blocks(m->values);
    for (size_t t = 0; t < m->transfer_count; t++)
        if (m->transfers[t].chunk_count != blocks)
            return pl_fail(err, PL_EFORMAT,
                           "the manifest has a transfer of %zu chunks; %zu are expected",
                           m->transfers[t].chunk_count, blocks);
    for (size_t i = 0; i < blocks; i++)
        if (m->transfers[0].chunks[i].bytes != pl_block_values(m->values, i) * sizeof(uint16_t))
            return pl_fail(err, PL_EFORMAT, "chunk %zu of the snapshot has %u bytes", i,
                           m->transfers[0].chunks[i].bytes);
    pl_chunks_hash(m->transfers[0].chunks, blocks, hash);
    if (memcmp(hash, m->hash, sizeof hash) != 0)
        return pl_fail(err, PL_EFORMAT, "the weights do not have the hash that was promised");
    return PL_OK;
}
