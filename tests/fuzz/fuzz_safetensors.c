/*
 * The safetensors reader: the tensors of a file that is taken have the bytes that their shapes ask
 * for, all within the data, each byte belonging to one of them; written out they are read again as
 * they were.
 */
#include "common/model/safetensors.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum {
    REFUSED = PL_FUZZ_CODE(PL_EFORMAT) | PL_FUZZ_CODE(PL_EUNSUPPORTED) | PL_FUZZ_CODE(PL_ENOMEM),
};

/* Computed otherwise than the reader does: 128 bits hold no more than three dimensions, so it
 * stops as soon as the product is over the file. */
static void check_size(const struct pl_st_entry *e, size_t file)
{
    __uint128_t bytes = pl_dtype_bytes(e->dtype);

    PL_ASSERT(e->rank <= PL_ST_RANK_MAX);
    for (size_t i = 0; i < e->rank; i++) {
        if (e->dims[i] == 0)
            bytes = 0;
    }
    for (size_t i = 0; i < e->rank && bytes <= file; i++)
        bytes *= e->dims[i];
    PL_ASSERT(bytes == e->bytes);
}

/* Counts how often each byte of the data belongs to a tensor. */
static void check_cover(const struct pl_st *st, const uint8_t *data, size_t size)
{
    uint8_t *owners = calloc(size + 1, 1);

    PL_ASSERT(owners);
    for (size_t i = 0; i < st->count; i++) {
        const struct pl_st_entry *e = &st->entries[i];

        PL_ASSERT(e->data >= data && e->data <= data + size);
        PL_ASSERT(e->bytes <= (size_t)(data + size - e->data));
        for (size_t j = 0; j < e->bytes; j++)
            owners[(size_t)(e->data - data) + j]++;
    }
    for (size_t i = 0; i < size; i++)
        PL_ASSERT(owners[i] == 1);
    free(owners);
}

static bool same_entry(const struct pl_st_entry *a, const struct pl_st_entry *b)
{
    return strcmp(a->name, b->name) == 0 && a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->dims, b->dims, a->rank * sizeof a->dims[0]) == 0 && a->bytes == b->bytes &&
           (a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0);
}

static void check_again(const struct pl_st *st)
{
    char *path = pl_fuzz_path("again.safetensors");
    struct pl_st_writer writer;
    struct pl_st again = {0};
    struct pl_error err = {0};

    PL_ASSERT(pl_st_writer_open(path, st->entries, st->count, st->metadata, &writer, &err) ==
              PL_OK);
    for (size_t i = 0; i < st->count; i++)
        PL_ASSERT(pl_st_writer_write(&writer, st->entries[i].data, st->entries[i].bytes, &err) ==
                  PL_OK);
    PL_ASSERT(pl_st_writer_commit(&writer, &err) == PL_OK);
    PL_ASSERT(pl_st_open(path, &again, &err) == PL_OK);
    PL_ASSERT(again.count == st->count);
    for (size_t i = 0; i < st->count; i++)
        PL_ASSERT(same_entry(&again.entries[i], &st->entries[i]));
    if (st->metadata)
        PL_ASSERT(json_equal(again.metadata, st->metadata));
    pl_st_close(&again);
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_error err = {0};
    struct pl_st st = {0};
    uint64_t header;
    const int rc = pl_st_parse(data, size, "fuzz", &st, &err);

    if (rc < 0) {
        pl_fuzz_refused(rc, &err, REFUSED);
        PL_ASSERT(!st.root && !st.entries);
        return 0;
    }
    memcpy(&header, data, sizeof header);
    PL_ASSERT(header <= size - sizeof header);
    for (size_t i = 0; i < st.count; i++) {
        PL_ASSERT(i == 0 || strcmp(st.entries[i - 1].name, st.entries[i].name) < 0);
        PL_ASSERT(pl_st_find(&st, st.entries[i].name) == &st.entries[i]);
        check_size(&st.entries[i], size);
    }
    PL_ASSERT(!pl_st_find(&st, "__metadata__"));
    check_cover(&st, data + sizeof header + header, size - sizeof header - header);
    check_again(&st);
    pl_st_close(&st);
    return 0;
}
