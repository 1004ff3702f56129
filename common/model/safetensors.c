#include "common/model/safetensors.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors data is little-endian and is read as it lies"
#endif

enum { LENGTH_BYTES = 8, NAME_SHOWN = 80 };

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {
    [PL_DTYPE_BOOL] = {"BOOL", 1},       [PL_DTYPE_U8] = {"U8", 1},
    [PL_DTYPE_I8] = {"I8", 1},           [PL_DTYPE_F8_E5M2] = {"F8_E5M2", 1},
    [PL_DTYPE_F8_E4M3] = {"F8_E4M3", 1}, [PL_DTYPE_F8_E8M0] = {"F8_E8M0", 1},
    [PL_DTYPE_I16] = {"I16", 2},         [PL_DTYPE_U16] = {"U16", 2},
    [PL_DTYPE_F16] = {"F16", 2},         [PL_DTYPE_BF16] = {"BF16", 2},
    [PL_DTYPE_I32] = {"I32", 4},         [PL_DTYPE_U32] = {"U32", 4},
    [PL_DTYPE_F32] = {"F32", 4},         [PL_DTYPE_I64] = {"I64", 8},
    [PL_DTYPE_U64] = {"U64", 8},         [PL_DTYPE_F64] = {"F64", 8},
    [PL_DTYPE_C64] = {"C64", 8},
};

enum { DTYPES = sizeof dtypes / sizeof dtypes[0] };

const char *pl_dtype_name(enum pl_dtype dtype)
{
    PL_ASSERT((size_t)dtype < DTYPES);
    return dtypes[dtype].name;
}

size_t pl_dtype_bytes(enum pl_dtype dtype)
{
    PL_ASSERT((size_t)dtype < DTYPES);
    return dtypes[dtype].bytes;
}

/* Bytes of an entry's shape and dtype; false when they do not fit into 64 bits. */
static bool entry_bytes(const struct pl_st_entry *e, uint64_t *ret_bytes)
{
    uint64_t bytes = pl_dtype_bytes(e->dtype);

    for (size_t i = 0; i < e->rank; i++) {
        if (__builtin_mul_overflow(bytes, e->dims[i], &bytes))
            return false;
    }
    *ret_bytes = bytes;
    return true;
}

/* --- reading --- */

/* Where errors come from: the document and the tensor in it. */
struct place {
    const char *what, *name;
};

#define REFUSE(err, code, at, fmt, ...)                                                            \
    pl_fail(err, code, "%s: tensor '%.*s': " fmt, (at)->what, NAME_SHOWN, (at)->name, __VA_ARGS__)

static int parse_dtype(const json_t *info, const struct place *at, enum pl_dtype *ret_dtype,
                       struct pl_error *err)
{
    const char *name = json_string_value(json_object_get(info, "dtype"));

    if (!name)
        return REFUSE(err, PL_EFORMAT, at, "%s", "it has no dtype");
    for (size_t i = 0; i < DTYPES; i++) {
        if (strcmp(dtypes[i].name, name) == 0) {
            *ret_dtype = (enum pl_dtype)i;
            return PL_OK;
        }
    }
    return REFUSE(err, PL_EUNSUPPORTED, at, "dtype '%.32s' is not known", name);
}

static int parse_dims(const json_t *info, const struct place *at, struct pl_st_entry *e,
                      struct pl_error *err)
{
    const json_t *shape = json_object_get(info, "shape"), *dim;
    size_t i;

    if (!json_is_array(shape))
        return REFUSE(err, PL_EFORMAT, at, "%s", "it has no shape");
    e->rank = json_array_size(shape);
    if (e->rank > PL_ST_RANK_MAX)
        return REFUSE(err, PL_EUNSUPPORTED, at, "it has %zu dimensions; expected %d at most",
                      e->rank, PL_ST_RANK_MAX);
    json_array_foreach(shape, i, dim)
    {
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return REFUSE(err, PL_EFORMAT, at, "shape[%zu] is not a size", i);
        e->dims[i] = (uint64_t)json_integer_value(dim);
    }
    return PL_OK;
}

static int parse_offsets(const json_t *info, const struct place *at, uint64_t data_bytes,
                         uint64_t ret_range[2], struct pl_error *err)
{
    const json_t *offsets = json_object_get(info, "data_offsets");

    if (!json_is_array(offsets) || json_array_size(offsets) != 2)
        return REFUSE(err, PL_EFORMAT, at, "%s", "it has no data_offsets of two numbers");
    for (size_t i = 0; i < 2; i++) {
        const json_t *n = json_array_get(offsets, i);

        if (!json_is_integer(n) || json_integer_value(n) < 0)
            return REFUSE(err, PL_EFORMAT, at, "data_offsets[%zu] is not an offset", i);
        ret_range[i] = (uint64_t)json_integer_value(n);
    }
    if (ret_range[1] < ret_range[0])
        return REFUSE(err, PL_EFORMAT, at,
                      "its data ends at %" PRIu64 ", before its begin %" PRIu64, ret_range[1],
                      ret_range[0]);
    if (ret_range[1] > data_bytes)
        return REFUSE(err, PL_EFORMAT, at,
                      "its data ends at %" PRIu64 " of %" PRIu64 " bytes: the file is cut short",
                      ret_range[1], data_bytes);
    return PL_OK;
}

static int parse_entry(const char *name, const json_t *info, const char *what,
                       const unsigned char *data, uint64_t data_bytes,
                       struct pl_st_entry *ret_entry, struct pl_error *err)
{
    const struct place at = {what, name};
    struct pl_st_entry e = {.name = name};
    uint64_t range[2] = {0, 0}, bytes = 0;
    int rc;

    if (!json_is_object(info) || json_object_size(info) != 3)
        return REFUSE(err, PL_EFORMAT, &at, "%s",
                      "expected an object of dtype, shape and data_offsets");
    rc = parse_dtype(info, &at, &e.dtype, err);
    if (rc == PL_OK)
        rc = parse_dims(info, &at, &e, err);
    if (rc == PL_OK)
        rc = parse_offsets(info, &at, data_bytes, range, err);
    if (rc < 0)
        return rc;
    if (!entry_bytes(&e, &bytes))
        return REFUSE(err, PL_EFORMAT, &at, "%s", "its shape overflows 64 bits");
    if (bytes != range[1] - range[0])
        return REFUSE(err, PL_EFORMAT, &at,
                      "it has %" PRIu64 " bytes of data, and its shape asks for %" PRIu64,
                      range[1] - range[0], bytes);
    e.data = data + range[0];
    e.bytes = (size_t)bytes;
    *ret_entry = e;
    return PL_OK;
}

static int parse_metadata(const json_t *metadata, const char *what, struct pl_error *err)
{
    const char *key;
    const json_t *value;

    if (!json_is_object(metadata))
        return pl_fail(err, PL_EFORMAT, "%s: __metadata__ is not an object", what);
    json_object_foreach((json_t *)metadata, key, value)
    {
        if (!json_is_string(value))
            return pl_fail(err, PL_EFORMAT, "%s: __metadata__ '%.*s' is not a string", what,
                           NAME_SHOWN, key);
    }
    return PL_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pl_st_entry *)a)->name, ((const struct pl_st_entry *)b)->name);
}

/* By where it begins; one without bytes comes before one that begins at the same place. */
static int by_data(const void *a, const void *b)
{
    const struct pl_st_entry *x = a, *y = b;

    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Each byte of the data belongs to exactly one tensor. */
static int check_cover(struct pl_st *st, const unsigned char *data, uint64_t data_bytes,
                       const char *what, struct pl_error *err)
{
    uint64_t at = 0;

    qsort(st->entries, st->count, sizeof *st->entries, by_data);
    for (size_t i = 0; i < st->count; i++) {
        const struct pl_st_entry *e = &st->entries[i];
        const uint64_t begin = (uint64_t)(e->data - data);

        if (begin != at)
            return pl_fail(err, PL_EFORMAT,
                           "%s: tensor '%.*s' begins at %" PRIu64 " of the data; expected %" PRIu64
                           ", because tensors follow each other without gap or overlap",
                           what, NAME_SHOWN, e->name, begin, at);
        at += e->bytes;
    }
    if (at != data_bytes)
        return pl_fail(err, PL_EFORMAT,
                       "%s: the tensors end at %" PRIu64 " of %" PRIu64 " bytes of data", what, at,
                       data_bytes);
    qsort(st->entries, st->count, sizeof *st->entries, by_name);
    return PL_OK;
}

/* The bytes of the header, looked at before a JSON parser is let at them. */
static int check_header(const unsigned char *bytes, size_t len, const char *what, size_t *ret_len,
                        struct pl_error *err)
{
    uint64_t header_len = 0;
    size_t values = 0;

    if (len < LENGTH_BYTES)
        return pl_fail(err, PL_EFORMAT, "%s: %zu bytes are too few for a safetensors file", what,
                       len);
    memcpy(&header_len, bytes, LENGTH_BYTES);
    if (header_len > PL_ST_HEADER_MAX)
        return pl_fail(err, PL_EFORMAT, "%s: a header of %" PRIu64 " bytes; expected %d at most",
                       what, header_len, PL_ST_HEADER_MAX);
    if (header_len > len - LENGTH_BYTES)
        return pl_fail(err, PL_EFORMAT,
                       "%s: a header of %" PRIu64 " bytes in a file of %zu: it is cut short", what,
                       header_len, len);
    if (header_len == 0 || bytes[LENGTH_BYTES] != '{')
        return pl_fail(err, PL_EFORMAT, "%s: the header does not begin with '{'", what);
    for (size_t i = 0; i < header_len; i++) {
        const unsigned char c = bytes[LENGTH_BYTES + i];

        values += c == ',' || c == '[' || c == '{';
    }
    if (values > PL_ST_VALUES_MAX)
        return pl_fail(err, PL_EFORMAT, "%s: the header holds %zu values; expected %d at most",
                       what, values, PL_ST_VALUES_MAX);
    *ret_len = (size_t)header_len;
    return PL_OK;
}

static int parse_entries(struct pl_st *st, const char *what, const unsigned char *data,
                         uint64_t data_bytes, struct pl_error *err)
{
    const char *key;
    json_t *value;
    int rc = PL_OK;

    st->entries = calloc(json_object_size(st->root) + 1, sizeof *st->entries);
    if (!st->entries)
        return pl_fail(err, PL_ENOMEM, "%s: no memory for %zu tensors", what,
                       json_object_size(st->root));
    json_object_foreach(st->root, key, value)
    {
        if (strcmp(key, "__metadata__") == 0) {
            rc = parse_metadata(value, what, err);
            st->metadata = value;
        } else {
            rc = parse_entry(key, value, what, data, data_bytes, &st->entries[st->count], err);
            st->count += rc == PL_OK;
        }
        if (rc < 0)
            return rc;
    }
    return check_cover(st, data, data_bytes, what, err);
}

int pl_st_parse(const unsigned char *bytes, size_t len, const char *what, struct pl_st *ret_st,
                struct pl_error *err)
{
    struct pl_st st = {0};
    size_t header_len = 0;
    int rc = check_header(bytes, len, what, &header_len, err);

    if (rc == PL_OK)
        rc = pl_json_parse((const char *)bytes + LENGTH_BYTES, header_len, what, &st.root, err);
    if (rc == PL_OK)
        rc = parse_entries(&st, what, bytes + LENGTH_BYTES + header_len,
                           len - LENGTH_BYTES - header_len, err);
    if (rc < 0)
        pl_st_close(&st);
    else
        *ret_st = st;
    return rc;
}

int pl_st_open(const char *path, struct pl_st *ret_st, struct pl_error *err)
{
    struct pl_map map = {0};
    int rc = pl_map_open(path, &map, err);

    if (rc < 0)
        return rc;
    rc = pl_st_parse(map.data, map.len, path, ret_st, err);
    if (rc < 0)
        pl_map_close(&map);
    else
        ret_st->map = map;
    return rc;
}

void pl_st_close(struct pl_st *st)
{
    free(st->entries);
    json_decref(st->root);
    pl_map_close(&st->map);
    *st = (struct pl_st){0};
}

const struct pl_st_entry *pl_st_find(const struct pl_st *st, const char *name)
{
    const struct pl_st_entry key = {.name = name};

    if (st->count == 0)
        return NULL;
    return bsearch(&key, st->entries, st->count, sizeof *st->entries, by_name);
}

/* --- writing --- */

static int put_metadata(struct pl_buf *buf, const json_t *metadata, struct pl_error *err)
{
    const char *key, *comma = "";
    json_t *value;
    int rc = pl_buf_puts(buf, "{\"__metadata__\":{");

    if (!metadata)
        return rc < 0 ? rc : pl_buf_puts(buf, "\"format\":\"pt\"}");
    json_object_foreach((json_t *)metadata, key, value)
    {
        if (!json_is_string(value))
            return pl_fail(err, PL_EINVAL, "metadata '%.*s' is not a string", NAME_SHOWN, key);
        if (rc == PL_OK)
            rc = pl_buf_puts(buf, comma);
        if (rc == PL_OK)
            rc = pl_json_quote(buf, key, strlen(key));
        if (rc == PL_OK)
            rc = pl_buf_puts(buf, ":");
        if (rc == PL_OK)
            rc = pl_json_quote(buf, json_string_value(value), json_string_length(value));
        comma = ",";
    }
    return rc < 0 ? rc : pl_buf_puts(buf, "}");
}

static int put_entry(struct pl_buf *buf, const struct pl_st_entry *e, uint64_t *end)
{
    const uint64_t begin = *end;
    uint64_t bytes;
    int rc = pl_buf_puts(buf, ",");

    if (!entry_bytes(e, &bytes) || __builtin_add_overflow(*end, bytes, end) || *end > INT64_MAX)
        return PL_EINVAL;
    if (rc == PL_OK)
        rc = pl_json_quote(buf, e->name, strlen(e->name));
    if (rc == PL_OK)
        rc = pl_buf_printf(buf, ":{\"dtype\":\"%s\",\"shape\":[", pl_dtype_name(e->dtype));
    for (size_t i = 0; i < e->rank && rc == PL_OK; i++)
        rc = pl_buf_printf(buf, "%s%" PRIu64, i ? "," : "", e->dims[i]);
    if (rc == PL_OK)
        rc = pl_buf_printf(buf, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin, *end);
    return rc;
}

/* Two tensors of one name would make a header that nobody reads. */
static int check_names(const struct pl_st_entry *entries, size_t count, struct pl_error *err)
{
    struct pl_st_entry *sorted = calloc(count + 1, sizeof *sorted);
    int rc = PL_OK;

    if (!sorted)
        return pl_fail(err, PL_ENOMEM, "no memory for %zu names", count);
    if (count)
        memcpy(sorted, entries, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 0; i < count && rc == PL_OK; i++) {
        if (i > 0 && strcmp(sorted[i - 1].name, sorted[i].name) == 0)
            rc =
                pl_fail(err, PL_EINVAL, "tensor '%.*s' is there twice", NAME_SHOWN, sorted[i].name);
        else if (strcmp(sorted[i].name, "__metadata__") == 0)
            rc = pl_fail(err, PL_EINVAL, "a tensor cannot be called __metadata__");
    }
    free(sorted);
    return rc;
}

/* The length and the JSON, padded so that the data begins at a multiple of 8. */
static int make_header(const struct pl_st_entry *entries, size_t count, const json_t *metadata,
                       struct pl_buf *buf, uint64_t *ret_data_bytes, struct pl_error *err)
{
    static const char zeros[LENGTH_BYTES];
    struct pl_error why = {0};
    uint64_t end = 0, header_len;
    int rc = check_names(entries, count, &why);

    if (rc == PL_OK)
        rc = pl_buf_append(buf, zeros, LENGTH_BYTES);
    if (rc == PL_OK)
        rc = put_metadata(buf, metadata, &why);
    for (size_t i = 0; i < count && rc == PL_OK; i++) {
        rc = put_entry(buf, &entries[i], &end);
        if (rc == PL_EINVAL)
            pl_fail(&why, rc, "tensor '%.*s' overflows the file", NAME_SHOWN, entries[i].name);
    }
    if (rc == PL_OK)
        rc = pl_buf_puts(buf, "}");
    while (rc == PL_OK && buf->len % LENGTH_BYTES != 0)
        rc = pl_buf_puts(buf, " ");
    if (rc < 0)
        return pl_fail(err, rc, "%s", why.code ? why.text : "no memory for the header");
    header_len = buf->len - LENGTH_BYTES;
    memcpy(buf->data, &header_len, LENGTH_BYTES);
    *ret_data_bytes = end;
    return PL_OK;
}

int pl_st_writer_open(const char *path, const struct pl_st_entry *entries, size_t count,
                      const json_t *metadata, struct pl_st_writer *ret_writer, struct pl_error *err)
{
    struct pl_st_writer writer = {0};
    struct pl_buf buf;
    int rc;

    pl_buf_init(&buf, LENGTH_BYTES + PL_ST_HEADER_MAX);
    rc = make_header(entries, count, metadata, &buf, &writer.bytes_left, err);
    if (rc < 0)
        pl_fail_in(err, rc, "'%s'", path);
    if (rc == PL_OK)
        rc = pl_outfile_open(path, &writer.out, err);
    if (rc == PL_OK) {
        rc = pl_outfile_write(&writer.out, buf.data, buf.len, err);
        if (rc < 0)
            pl_outfile_abort(&writer.out);
    }
    if (rc == PL_OK)
        *ret_writer = writer;
    pl_buf_release(&buf);
    return rc;
}

int pl_st_writer_write(struct pl_st_writer *writer, const void *bytes, size_t len,
                       struct pl_error *err)
{
    PL_ASSERT(len <= writer->bytes_left);
    writer->bytes_left -= len;
    return pl_outfile_write(&writer->out, bytes, len, err);
}

int pl_st_writer_commit(struct pl_st_writer *writer, struct pl_error *err)
{
    int rc;

    if (writer->bytes_left > 0) {
        rc = pl_fail(err, PL_EINVAL, "'%s': %" PRIu64 " bytes of its tensors were not written",
                     writer->out.path, writer->bytes_left);
        pl_st_writer_abort(writer);
        return rc;
    }
    return pl_outfile_commit(&writer->out, err);
}

void pl_st_writer_abort(struct pl_st_writer *writer)
{
    pl_outfile_abort(&writer->out);
    writer->bytes_left = 0;
}
