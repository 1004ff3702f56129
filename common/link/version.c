#include "common/link/version.h"

#include "common/base/check.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

void pl_sha256(const void *bytes, size_t len, unsigned char ret_hash[PL_WEIGHTS_HASH])
{
    unsigned n = 0;

    PL_ASSERT(EVP_Digest(bytes, len, ret_hash, &n, EVP_sha256(), NULL) == 1 &&
              n == PL_WEIGHTS_HASH);
}

void pl_chunks_hash(const struct pl_chunk *chunks, size_t count,
                    unsigned char ret_hash[PL_WEIGHTS_HASH])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned n = 0;

    PL_ASSERT(context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < count; i++)
        PL_ASSERT(EVP_DigestUpdate(context, chunks[i].hash, PL_WEIGHTS_HASH) == 1);
    PL_ASSERT(EVP_DigestFinal_ex(context, ret_hash, &n) == 1 && n == PL_WEIGHTS_HASH);
    EVP_MD_CTX_free(context);
}

int pl_values_hash(const uint16_t *values, size_t count, unsigned char ret_hash[PL_WEIGHTS_HASH])
{
    struct pl_chunks chunks;
    int rc = pl_chunks_make(values, count * sizeof *values, true, &chunks);

    if (rc < 0)
        return rc;
    pl_chunks_hash(chunks.list, chunks.count, ret_hash);
    pl_chunks_release(&chunks);
    return PL_OK;
}

void pl_values_copy(uint16_t *to, const uint16_t *from, size_t count)
{
    enum { BLOCK = 1 << 19 };
    const size_t blocks = (count + BLOCK - 1) / BLOCK;

#pragma omp parallel for schedule(static) if (blocks > 1)
    for (size_t i = 0; i < blocks; i++) {
        const size_t at = i * BLOCK, left = count - at;

        memcpy(to + at, from + at, (left < BLOCK ? left : BLOCK) * sizeof *to);
    }
}

/* In blocks, so that the compiler can look at many at once. */
int pl_values_check(const uint16_t *values, size_t count, size_t *ret_at)
{
    enum { BLOCK = 4096 };

    for (size_t from = 0; from < count; from += BLOCK) {
        const size_t end = from + BLOCK < count ? from + BLOCK : count;
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

void pl_chunks_release(struct pl_chunks *chunks)
{
    for (size_t i = 0; i < chunks->count && !chunks->raw; i++)
        free(chunks->bytes[i]);
    free(chunks->bytes);
    free(chunks->list);
    *chunks = (struct pl_chunks){0};
}

static int compress(const void *piece, size_t len, struct pl_chunk *chunk,
                    unsigned char **ret_bytes)
{
    const size_t most = ZSTD_compressBound(len);
    unsigned char *bytes = malloc(most), *fit;
    size_t used;

    if (!bytes)
        return PL_ENOMEM;
    used = ZSTD_compress(bytes, most, piece, len, 1);
    PL_ASSERT(!ZSTD_isError(used));
    fit = realloc(bytes, used);
    *ret_bytes = fit ? fit : bytes;
    chunk->bytes = (uint32_t)used;
    return PL_OK;
}

/* Chunk i of `bytes`, and its hash. */
static int make_chunk(const void *bytes, size_t len, size_t i, struct pl_chunks *chunks)
{
    unsigned char *piece = (unsigned char *)bytes + i * PL_CHUNK_BYTES;
    const size_t left = len - i * PL_CHUNK_BYTES;
    int rc = PL_OK;

    chunks->list[i].bytes = (uint32_t)(left < PL_CHUNK_BYTES ? left : PL_CHUNK_BYTES);
    if (chunks->raw)
        chunks->bytes[i] = piece;
    else
        rc = compress(piece, chunks->list[i].bytes, &chunks->list[i], &chunks->bytes[i]);
    if (rc == PL_OK)
        pl_sha256(chunks->bytes[i], chunks->list[i].bytes, chunks->list[i].hash);
    return rc;
}

int pl_chunks_make(const void *bytes, size_t len, bool raw, struct pl_chunks *ret_chunks)
{
    const size_t count = (len + PL_CHUNK_BYTES - 1) / PL_CHUNK_BYTES;
    struct pl_chunks chunks = {.raw = raw, .count = count};
    int failed = 0;

    chunks.list = calloc(count + 1, sizeof *chunks.list);
    chunks.bytes = calloc(count + 1, sizeof *chunks.bytes);
    if (!chunks.list || !chunks.bytes) {
        chunks.count = 0;
        failed = 1;
    }
#pragma omp parallel for schedule(dynamic) reduction(| : failed) if (count > 1)
    for (size_t i = 0; i < chunks.count; i++)
        failed |= make_chunk(bytes, len, i, &chunks) < 0;
    if (failed) {
        pl_chunks_release(&chunks);
        return PL_ENOMEM;
    }
    *ret_chunks = chunks;
    return PL_OK;
}
