/*
 * Safetensors files: a header of JSON that names tensors, then their bytes, little-endian.
 *
 *   u64 n | n bytes of JSON, padded with spaces | data
 *   JSON: {"name": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [begin, end]}, ...,
 *          "__metadata__": {"key": "text"}}
 *
 * What a struct pl_st holds was checked: the header is at most PL_ST_HEADER_MAX bytes and has no
 * key twice; every dtype is known; end - begin is the product of the shape and the size of the
 * dtype, without overflow; the tensors cover the data from first to last byte, without a hole and
 * without sharing one. Data may begin at any address: read it through memcpy().
 */
#ifndef PL_MODEL_SAFETENSORS_H
#define PL_MODEL_SAFETENSORS_H

#include "common/base/err.h"
#include "common/base/file.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PL_ST_HEADER_MAX = 100000000, /* bytes, the format's own limit */
    PL_ST_VALUES_MAX = 1 << 20, /* JSON values in a header, so that it cannot ask for much memory */
    PL_ST_RANK_MAX = 8,
};

enum pl_dtype {
    PL_DTYPE_BOOL,
    PL_DTYPE_U8,
    PL_DTYPE_I8,
    PL_DTYPE_F8_E5M2,
    PL_DTYPE_F8_E4M3,
    PL_DTYPE_F8_E8M0,
    PL_DTYPE_I16,
    PL_DTYPE_U16,
    PL_DTYPE_F16,
    PL_DTYPE_BF16,
    PL_DTYPE_I32,
    PL_DTYPE_U32,
    PL_DTYPE_F32,
    PL_DTYPE_I64,
    PL_DTYPE_U64,
    PL_DTYPE_F64,
    PL_DTYPE_C64,
};

const char *pl_dtype_name(enum pl_dtype dtype); /* "BF16" */
size_t pl_dtype_bytes(enum pl_dtype dtype);     /* of one element */

struct pl_st_entry {
    const char *name; /* borrowed from the reader, or from the caller of the writer */
    enum pl_dtype dtype;
    size_t rank; /* 0: a scalar */
    uint64_t dims[PL_ST_RANK_MAX];
    const unsigned char *data; /* read only: in the mapping */
    size_t bytes;              /* read only: of data */
};

struct pl_st {
    struct pl_map map;           /* of a file that was opened; empty after pl_st_parse() */
    json_t *root;                /* keeps the names */
    struct pl_st_entry *entries; /* sorted by name */
    size_t count;
    const json_t *metadata; /* an object of strings, in root; NULL: none */
};

/*
 * Map and check a file; ended with pl_st_close(). PL_ENOENT, PL_EIO, PL_ENOMEM; PL_EFORMAT: the
 * file is not as described above, or cut short. PL_EUNSUPPORTED: a dtype or rank nobody here knows.
 * On failure *ret_st is left alone.
 */
int pl_st_open(const char *path, struct pl_st *ret_st, struct pl_error *err);

/* The same from `len` bytes that stay the caller's and must live as long; `what` names them in
 * errors. */
int pl_st_parse(const unsigned char *bytes, size_t len, const char *what, struct pl_st *ret_st,
                struct pl_error *err);

void pl_st_close(struct pl_st *st); /* a zeroed one is fine */

const struct pl_st_entry *pl_st_find(const struct pl_st *st, const char *name); /* NULL: none */

/*
 * Write a file: its tensors are told first, then come their bytes in the same order, in pieces of
 * any size; written aside and renamed by commit.
 */
struct pl_st_writer {
    struct pl_outfile out;
    uint64_t bytes_left; /* of data, still to be written */
};

/*
 * Only name, dtype, rank and dims of the entries are read. `metadata`: an object of strings; NULL
 * writes {"format": "pt"}, as Transformers wants it. PL_EINVAL: the entries' bytes overflow, a name
 * is there twice, or metadata is not of strings; PL_EIO, PL_ENOMEM.
 */
int pl_st_writer_open(const char *path, const struct pl_st_entry *entries, size_t count,
                      const json_t *metadata, struct pl_st_writer *ret_writer,
                      struct pl_error *err);
int pl_st_writer_write(struct pl_st_writer *writer, const void *bytes, size_t len,
                       struct pl_error *err);
/* PL_EINVAL: not all the bytes that the header promises were written; nothing is left on disk then.
 */
int pl_st_writer_commit(struct pl_st_writer *writer, struct pl_error *err);
void pl_st_writer_abort(struct pl_st_writer *writer); /* zeroed or committed is fine */

#endif
