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

int pl_values_check(const uint16_t *values, size_t count, size_t *ret_at)
{
    for (size_t i = 0; i < count; i++)
        if ((values[i] & 0x7F80) == 0x7F80) {
            *ret_at = i;
            return PL_EFORMAT;
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

int pl_chunks_make(const void *bytes, size_t len, bool raw, struct pl_chunks *ret_chunks)
{
    const size_t count = (len + PL_CHUNK_BYTES - 1) / PL_CHUNK_BYTES;
    struct pl_chunks chunks = {.raw = raw};
    int rc = PL_OK;

    chunks.list = calloc(count + 1, sizeof *chunks.list);
    chunks.bytes = calloc(count + 1, sizeof *chunks.bytes);
    if (!chunks.list || !chunks.bytes)
        rc = PL_ENOMEM;
    for (size_t i = 0; rc == PL_OK && i < count; i++) {
        unsigned char *piece = (unsigned char *)bytes + i * PL_CHUNK_BYTES;
        const size_t left = len - i * PL_CHUNK_BYTES;

        chunks.list[i].bytes = (uint32_t)(left < PL_CHUNK_BYTES ? left : PL_CHUNK_BYTES);
        chunks.bytes[i] = piece;
        if (!raw)
            rc = compress(piece, chunks.list[i].bytes, &chunks.list[i], &chunks.bytes[i]);
        if (rc < 0)
            break;
        pl_sha256(chunks.bytes[i], chunks.list[i].bytes, chunks.list[i].hash);
        chunks.count++;
    }
    if (rc < 0) {
        pl_chunks_release(&chunks);
        return rc;
    }
    *ret_chunks = chunks;
    return PL_OK;
}
