/*
 * Safetensors: what is written reads back, and what is not as it says is refused with its sentence.
 * Headers are made by hand, so that nothing but the reader judges them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

#include "common/base/buf.h"
#include "common/model/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pl_error err;

/* A file in memory: header and `data` bytes 0, 1, 2, ... In memory of exactly its size, so that a
 * sanitizer sees a byte too much. */
struct file {
    unsigned char *bytes;
    size_t len;
};

static struct file file_of(const char *header, size_t header_len, size_t data)
{
    struct file f = {.len = 8 + header_len + data};
    const uint64_t n = header_len;

    f.bytes = malloc(f.len);
    assert_non_null(f.bytes);
    memcpy(f.bytes, &n, sizeof n);
    memcpy(f.bytes + 8, header, header_len);
    for (size_t i = 0; i < data; i++)
        f.bytes[8 + header_len + i] = (unsigned char)i;
    return f;
}

static void assert_file_refused(const struct file *f, int code, const char *sentence)
{
    struct pl_st st = {.count = 4711};
    int rc;

    err.text[0] = '\0';
    rc = pl_st_parse(f->bytes, f->len, "f", &st, &err);
    if (rc != code || strcmp(err.text, sentence) != 0)
        fail_msg("code %d: %s\nexpected %d: %s", rc, err.text, code, sentence);
    assert_int_equal(st.count, 4711); /* left alone */
}

static void assert_refused(const char *header, size_t data, int code, const char *sentence)
{
    struct file f = file_of(header, strlen(header), data);

    assert_file_refused(&f, code, sentence);
    free(f.bytes);
}

static void assert_accepted(const char *header, size_t data, size_t count)
{
    struct file f = file_of(header, strlen(header), data);
    struct pl_st st;

    if (pl_st_parse(f.bytes, f.len, "f", &st, &err) < 0)
        fail_msg("%s: %s", header, err.text);
    assert_int_equal(st.count, count);
    pl_st_close(&st);
    pl_st_close(&st); /* once more is harmless */
    free(f.bytes);
}

/* --- what is right --- */

static void a_file_is_read(void **state)
{
    static const char header[] =
        "{\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[8,20]},"
        "\"__metadata__\":{\"format\":\"pt\",\"x\":\"\"},"
        "\"a\":{\"shape\":[2],\"data_offsets\":[0,8],\"dtype\":\"F32\"},"
        "\"\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[20,21]},"
        "\"none\":{\"dtype\":\"I64\",\"shape\":[7,0],\"data_offsets\":[8,8]}}  ";
    struct file f = file_of(header, sizeof header - 1, 21);
    const struct pl_st_entry *e;
    struct pl_st st;

    (void)state;
    if (pl_st_parse(f.bytes, f.len, "f", &st, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(st.count, 4);
    assert_string_equal(json_string_value(json_object_get(st.metadata, "format")), "pt");
    e = pl_st_find(&st, "b");
    assert_non_null(e);
    assert_true(e->dtype == PL_DTYPE_BF16 && e->rank == 2 && e->dims[0] == 2 && e->dims[1] == 3);
    assert_int_equal(e->bytes, 12);
    assert_int_equal(e->data[0], 8);
    e = pl_st_find(&st, "a");
    assert_true(e && e->dtype == PL_DTYPE_F32 && e->rank == 1 && e->bytes == 8 && e->data[7] == 7);
    e = pl_st_find(&st, "");
    assert_true(e && e->rank == 0 && e->bytes == 1 && e->data[0] == 20);
    e = pl_st_find(&st, "none");
    assert_true(e && e->bytes == 0 && e->dims[0] == 7 && e->dims[1] == 0);
    assert_null(pl_st_find(&st, "c"));
    for (size_t i = 1; i < st.count; i++)
        assert_true(strcmp(st.entries[i - 1].name, st.entries[i].name) < 0);
    pl_st_close(&st);
    assert_null(pl_st_find(&st, "a"));
    free(f.bytes);
}

static void small_files_are_read(void **state)
{
    (void)state;
    assert_accepted("{}", 0, 0);
    assert_accepted("{}      ", 0, 0);
    assert_accepted("{\"__metadata__\":{}}", 0, 0);
    /* without bytes, any number of tensors may be at one place */
    assert_accepted("{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},"
                    "\"b\":{\"dtype\":\"F32\",\"shape\":[3,0,5],\"data_offsets\":[0,0]},"
                    "\"c\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                    "\"d\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[1,1]}}",
                    1, 4);
    /* 2^63 - 1 rows of nothing */
    assert_accepted("{\"a\":{\"dtype\":\"U8\",\"shape\":[9223372036854775807,0],"
                    "\"data_offsets\":[0,0]}}",
                    0, 1);
}

/* Names of the format's types and their sizes. */
static void every_type_has_its_size(void **state)
{
    static const struct {
        const char *name;
        size_t bytes;
    } types[] = {
        {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"F8_E8M0", 1},
        {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},     {"U32", 4},
        {"F32", 4},  {"I64", 8}, {"U64", 8}, {"F64", 8},     {"C64", 8},
    };
    char header[200];

    (void)state;
    assert_int_equal(sizeof types / sizeof types[0], PL_DTYPE_C64 + 1);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        assert_string_equal(pl_dtype_name((enum pl_dtype)i), types[i].name);
        assert_int_equal(pl_dtype_bytes((enum pl_dtype)i), types[i].bytes);
        snprintf(header, sizeof header,
                 "{\"a\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%zu]}}", types[i].name,
                 3 * types[i].bytes);
        assert_accepted(header, 3 * types[i].bytes, 1);
    }
}

/* --- what is wrong --- */

static void wrong_frames(void **state)
{
    struct file f = file_of("{}", 2, 0);
    uint64_t n;

    (void)state;
    for (size_t len = 0; len < 8; len++) {
        char sentence[80];
        struct file cut = {f.bytes, len};

        snprintf(sentence, sizeof sentence, "f: %zu bytes are too few for a safetensors file", len);
        assert_file_refused(&cut, PL_EFORMAT, sentence);
    }
    n = 3;
    memcpy(f.bytes, &n, 8);
    assert_file_refused(&f, PL_EFORMAT, "f: a header of 3 bytes in a file of 10: it is cut short");
    n = 0;
    memcpy(f.bytes, &n, 8);
    assert_file_refused(&f, PL_EFORMAT, "f: the header does not begin with '{'");
    n = 100000001;
    memcpy(f.bytes, &n, 8);
    assert_file_refused(&f, PL_EFORMAT,
                        "f: a header of 100000001 bytes; expected 100000000 at most");
    n = UINT64_MAX;
    memcpy(f.bytes, &n, 8);
    assert_file_refused(&f, PL_EFORMAT,
                        "f: a header of 18446744073709551615 bytes; expected 100000000 at most");
    free(f.bytes);
    assert_refused("[]", 0, PL_EFORMAT, "f: the header does not begin with '{'");
    assert_refused(" {}", 0, PL_EFORMAT, "f: the header does not begin with '{'");
    assert_refused("{}", 1, PL_EFORMAT, "f: the tensors end at 0 of 1 bytes of data");
}

/* A small header can ask a JSON parser for a hundred times its size. */
static void a_header_of_too_many_values(void **state)
{
    const size_t values = PL_ST_VALUES_MAX + 1;
    char *header = malloc(2 * values + 8);
    struct file f;

    (void)state;
    assert_non_null(header);
    memcpy(header, "{\"a\":[", 6);
    for (size_t i = 0; i < values; i++)
        memcpy(header + 6 + 2 * i, "1,", 2);
    memcpy(header + 6 + 2 * values - 1, "]}", 2);
    f = file_of(header, 6 + 2 * values + 1, 0);
    free(header);
    assert_file_refused(&f, PL_EFORMAT,
                        "f: the header holds 1048578 values; expected 1048576 at most");
    free(f.bytes);
}

static void wrong_json(void **state)
{
    static const char twice[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                                "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";

    (void)state;
    assert_refused("{", 0, PL_EFORMAT,
                   "f: line 1, column 1: string or '}' expected near end of file");
    assert_refused("{} x", 0, PL_EFORMAT, "f: line 1, column 4: end of file expected near 'x'");
    assert_refused(twice, 1, PL_EFORMAT, "f: line 1, column 56: duplicate object key near '\"a\"'");
    assert_refused("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 0, PL_EFORMAT,
                   "f: line 1, column 26: duplicate object key near '\"dtype\"'");
    assert_refused("{\"\\u0000\":1}", 0, PL_EFORMAT,
                   "f: line 1, column 9: NUL byte in object key not supported near "
                   "'\"\\u0000\"'");
}

static void wrong_entries(void **state)
{
    static const struct {
        const char *entry; /* of "a" */
        int code;
        const char *sentence; /* behind "f: tensor 'a': " */
    } cases[] = {
        {"1", PL_EFORMAT, "expected an object of dtype, shape and data_offsets"},
        {"{}", PL_EFORMAT, "expected an object of dtype, shape and data_offsets"},
        {"{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}", PL_EFORMAT,
         "expected an object of dtype, shape and data_offsets"},
        {"{\"dtype\":8,\"shape\":[1],\"data_offsets\":[0,1]}", PL_EFORMAT, "it has no dtype"},
        {"{\"dtipe\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}", PL_EFORMAT, "it has no dtype"},
        {"{\"dtype\":\"F4\",\"shape\":[1],\"data_offsets\":[0,1]}", PL_EUNSUPPORTED,
         "dtype 'F4' is not known"},
        {"{\"dtype\":\"u8\",\"shape\":[1],\"data_offsets\":[0,1]}", PL_EUNSUPPORTED,
         "dtype 'u8' is not known"},
        {"{\"dtype\":\"U8\",\"shape\":1,\"data_offsets\":[0,1]}", PL_EFORMAT, "it has no shape"},
        {"{\"dtype\":\"U8\",\"shape\":[1.0],\"data_offsets\":[0,1]}", PL_EFORMAT,
         "shape[0] is not a size"},
        {"{\"dtype\":\"U8\",\"shape\":[1,-1],\"data_offsets\":[0,1]}", PL_EFORMAT,
         "shape[1] is not a size"},
        {"{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}", PL_EUNSUPPORTED,
         "it has 9 dimensions; expected 8 at most"},
        {"{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}", PL_EFORMAT,
         "it has no data_offsets of two numbers"},
        {"{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}", PL_EFORMAT,
         "it has no data_offsets of two numbers"},
        {"{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,\"1\"]}", PL_EFORMAT,
         "data_offsets[1] is not an offset"},
        {"{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[-1,0]}", PL_EFORMAT,
         "data_offsets[0] is not an offset"},
        /* end before begin */
        {"{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}", PL_EFORMAT,
         "its data ends at 0, before its begin 1"},
        {"{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[9223372036854775807,0]}", PL_EFORMAT,
         "its data ends at 0, before its begin 9223372036854775807"},
        /* past the end */
        {"{\"dtype\":\"U8\",\"shape\":[9],\"data_offsets\":[0,9]}", PL_EFORMAT,
         "its data ends at 9 of 8 bytes: the file is cut short"},
        {"{\"dtype\":\"U8\",\"shape\":[9223372036854775807],\"data_offsets\":"
         "[0,9223372036854775807]}",
         PL_EFORMAT, "its data ends at 9223372036854775807 of 8 bytes: the file is cut short"},
        /* offsets shorter and longer than shape x dtype */
        {"{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,8]}", PL_EFORMAT,
         "it has 8 bytes of data, and its shape asks for 16"},
        {"{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,8]}", PL_EFORMAT,
         "it has 8 bytes of data, and its shape asks for 4"},
        {"{\"dtype\":\"F32\",\"shape\":[2,0],\"data_offsets\":[0,8]}", PL_EFORMAT,
         "it has 8 bytes of data, and its shape asks for 0"},
        /* modulo 2^64 the product of the shape is 4, and so it would fit */
        {"{\"dtype\":\"BF16\",\"shape\":[4194305,4194305,211106198978564],\"data_offsets\":[0,8]}",
         PL_EFORMAT, "its shape overflows 64 bits"},
        /* the product fits, with the type's size it does not */
        {"{\"dtype\":\"F64\",\"shape\":[2305843009213693953],\"data_offsets\":[0,8]}", PL_EFORMAT,
         "its shape overflows 64 bits"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char header[300], sentence[300];

        snprintf(header, sizeof header, "{\"a\":%s}", cases[i].entry);
        snprintf(sentence, sizeof sentence, "f: tensor 'a': %s", cases[i].sentence);
        assert_refused(header, 8, cases[i].code, sentence);
    }
}

/* Each byte of the data belongs to one tensor. */
static void wrong_covers(void **state)
{
#define U8(name, n, begin, end)                                                                    \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" #n "],\"data_offsets\":[" #begin "," #end "]}"
    (void)state;
    /* the same bytes twice */
    assert_refused("{" U8("a", 8, 0, 8) "," U8("b", 8, 0, 8) "}", 8, PL_EFORMAT,
                   "f: tensor 'b' begins at 0 of the data; expected 8, because tensors follow each "
                   "other without gap or overlap");
    assert_refused("{" U8("a", 5, 0, 5) "," U8("b", 4, 4, 8) "}", 8, PL_EFORMAT,
                   "f: tensor 'b' begins at 4 of the data; expected 5, because tensors follow each "
                   "other without gap or overlap");
    /* a hole in front, between, behind */
    assert_refused("{" U8("a", 7, 1, 8) "}", 8, PL_EFORMAT,
                   "f: tensor 'a' begins at 1 of the data; expected 0, because tensors follow each "
                   "other without gap or overlap");
    assert_refused("{" U8("b", 4, 4, 8) "," U8("a", 3, 0, 3) "}", 8, PL_EFORMAT,
                   "f: tensor 'b' begins at 4 of the data; expected 3, because tensors follow each "
                   "other without gap or overlap");
    assert_refused("{" U8("a", 7, 0, 7) "}", 8, PL_EFORMAT,
                   "f: the tensors end at 7 of 8 bytes of data");
    /* one without bytes in the midst of another */
    assert_refused("{" U8("a", 8, 0, 8) "," U8("b", 0, 5, 5) "}", 8, PL_EFORMAT,
                   "f: tensor 'b' begins at 5 of the data; expected 8, because tensors follow each "
                   "other without gap or overlap");
#undef U8
}

static void wrong_metadata(void **state)
{
    (void)state;
    assert_refused("{\"__metadata__\":[]}", 0, PL_EFORMAT, "f: __metadata__ is not an object");
    assert_refused("{\"__metadata__\":{\"a\":1}}", 0, PL_EFORMAT,
                   "f: __metadata__ 'a' is not a string");
    assert_refused("{\"__metadata__\":{\"a\":{}}}", 0, PL_EFORMAT,
                   "f: __metadata__ 'a' is not a string");
}

/* What a file is called in, a terminal does not obey. */
static void names_are_shown_harmless_and_short(void **state)
{
    char header[400];

    (void)state;
    assert_refused("{\"x\\u001b[2J\\n\\u009b5m\":1}", 0, PL_EFORMAT,
                   "f: tensor 'x?[2J???5m': expected an object of dtype, shape and data_offsets");
    snprintf(header, sizeof header, "{\"%0200d\":1}", 0);
    assert_refused(header, 0, PL_EFORMAT,
                   "f: tensor '"
                   "0000000000000000000000000000000000000000"
                   "0000000000000000000000000000000000000000"
                   "': expected an object of dtype, shape and data_offsets");
}

/* --- writing --- */

static const struct pl_st_entry written[] = {
    {.name = "z.weight", .dtype = PL_DTYPE_BF16, .rank = 2, .dims = {2, 3}},
    {.name = "a \"quoted\"", .dtype = PL_DTYPE_U8, .rank = 1, .dims = {5}},
    {.name = "scalar", .dtype = PL_DTYPE_F64, .rank = 0},
    {.name = "none", .dtype = PL_DTYPE_F32, .rank = 2, .dims = {0, 4}},
};
enum { WRITTEN = sizeof written / sizeof written[0], WRITTEN_BYTES = 12 + 5 + 8 };

static void write_pieces(const char *path, size_t piece, const json_t *metadata)
{
    struct pl_st_writer writer;
    unsigned char bytes[WRITTEN_BYTES];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(3 * i);
    if (pl_st_writer_open(path, written, WRITTEN, metadata, &writer, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t at = 0; at < sizeof bytes; at += piece) {
        const size_t n = sizeof bytes - at < piece ? sizeof bytes - at : piece;

        assert_int_equal(pl_st_writer_write(&writer, bytes + at, n, &err), PL_OK);
    }
    assert_int_equal(pl_st_writer_commit(&writer, &err), PL_OK);
    pl_st_writer_abort(&writer); /* harmless */
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= 40; piece += 13) {
        const char *path = pl_scratch("written.safetensors");
        struct pl_st st;
        size_t at = 0;

        write_pieces(path, piece, NULL);
        assert_int_equal(pl_st_open(path, &st, &err), PL_OK);
        assert_int_equal(st.count, WRITTEN);
        for (size_t i = 0; i < WRITTEN; i++) {
            const struct pl_st_entry *e = pl_st_find(&st, written[i].name);

            assert_true(e && e->dtype == written[i].dtype && e->rank == written[i].rank);
            assert_memory_equal(e->dims, written[i].dims, e->rank * sizeof e->dims[0]);
            for (size_t k = 0; k < e->bytes; k++)
                assert_int_equal(e->data[k], 3 * at++);
        }
        assert_int_equal(at, WRITTEN_BYTES);
        assert_int_equal(json_object_size(st.metadata), 1);
        assert_string_equal(json_string_value(json_object_get(st.metadata, "format")), "pt");
        pl_st_close(&st);
    }
}

/* And whatever the length of the header, data begins at a multiple of 8, as the format asks for. */
static void metadata_is_written(void **state)
{
    (void)state;
    for (size_t n = 0; n < 8; n++) {
        json_t *metadata = json_pack("{s:s#, s:s}", "step", "1234567", (int)n, "a \"b\"", "\n");
        uint64_t header = 0;
        struct pl_st st;

        write_pieces(pl_scratch("meta.safetensors"), 100, metadata);
        assert_int_equal(pl_st_open(pl_scratch("meta.safetensors"), &st, &err), PL_OK);
        assert_true(json_equal(st.metadata, metadata));
        memcpy(&header, st.map.data, sizeof header);
        assert_int_equal(header % 8, 0);
        assert_int_equal(st.map.data[8], '{');
        pl_st_close(&st);
        json_decref(metadata);
    }
}

static void assert_writer_refuses(const struct pl_st_entry *entries, size_t count,
                                  const json_t *metadata, const char *sentence)
{
    const char *path = pl_scratch("no.safetensors");
    struct pl_st_writer writer;

    assert_int_equal(pl_st_writer_open(path, entries, count, metadata, &writer, &err), PL_EINVAL);
    pl_assert_says(&err, sentence);
    assert_false(pl_path_exists(path));
    assert_false(pl_path_exists(pl_scratch("no.safetensors.tmp")));
}

static void what_nobody_could_read_is_not_written(void **state)
{
    const struct pl_st_entry twice[] = {{.name = "b"}, {.name = "a"}, {.name = "b"}};
    const struct pl_st_entry meta = {.name = "__metadata__"};
    const struct pl_st_entry large[] = {
        {.name = "a", .dtype = PL_DTYPE_F64, .rank = 1, .dims = {UINT64_MAX / 16}},
        {.name = "b", .dtype = PL_DTYPE_U8, .rank = 2, .dims = {2, UINT64_MAX / 4}}};
    json_t *metadata = json_pack("{s:i}", "step", 12);

    (void)state;
    assert_writer_refuses(twice, 3, NULL, "'$/no.safetensors': tensor 'b' is there twice");
    assert_writer_refuses(&meta, 1, NULL,
                          "'$/no.safetensors': a tensor cannot be called __metadata__");
    assert_writer_refuses(large, 2, NULL, "'$/no.safetensors': tensor 'b' overflows the file");
    assert_writer_refuses(twice, 2, metadata,
                          "'$/no.safetensors': metadata 'step' is not a string");
    json_decref(metadata);
}

/* Too few bytes: an error, and nothing is left under the name. */
static void a_file_is_there_whole_or_not_at_all(void **state)
{
    const char *path = pl_scratch("whole.safetensors");
    struct pl_st_writer writer = {0};
    struct pl_st st = {0};

    (void)state;
    assert_int_equal(pl_st_writer_open(path, written, WRITTEN, NULL, &writer, &err), PL_OK);
    assert_int_equal(pl_st_writer_write(&writer, "0123456789", 10, &err), PL_OK);
    assert_int_equal(pl_st_writer_commit(&writer, &err), PL_EINVAL);
    pl_assert_says(&err, "'$/whole.safetensors': 15 bytes of its tensors were not written");
    assert_int_equal(pl_st_open(path, &st, &err), PL_ENOENT);
    pl_assert_says(&err, "open '$/whole.safetensors': No such file or directory");
    assert_int_equal(pl_st_writer_open(path, written, WRITTEN, NULL, &writer, &err), PL_OK);
    pl_st_writer_abort(&writer);
    assert_false(pl_path_exists(pl_scratch("whole.safetensors.tmp")));
    assert_int_equal(pl_st_writer_open(pl_scratch("no/x"), written, 1, NULL, &writer, &err),
                     PL_ENOENT);
    pl_assert_says(&err, "open '$/no/x.tmp' for writing: No such file or directory");
    pl_scratch_text(pl_scratch("empty"), "");
    assert_int_equal(pl_st_open(pl_scratch("empty"), &st, &err), PL_EFORMAT);
    pl_assert_says(&err, "$/empty: 0 bytes are too few for a safetensors file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(small_files_are_read),
        cmocka_unit_test(every_type_has_its_size),
        cmocka_unit_test(wrong_frames),
        cmocka_unit_test(a_header_of_too_many_values),
        cmocka_unit_test(wrong_json),
        cmocka_unit_test(wrong_entries),
        cmocka_unit_test(wrong_covers),
        cmocka_unit_test(wrong_metadata),
        cmocka_unit_test(names_are_shown_harmless_and_short),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(metadata_is_written),
        cmocka_unit_test(what_nobody_could_read_is_not_written),
        cmocka_unit_test(a_file_is_there_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
