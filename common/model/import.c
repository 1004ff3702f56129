/*
 * The inventory (inventory.h) comes first and needs no memory to speak of. Only when nothing is
 * missing and nothing left over are the weights asked for and the values read.
 */
#include "common/model/import.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/pulse.h"
#include "common/model/blocks.h"
#include "common/model/inventory.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* IEEE binary16, exactly. */
static float half_widen(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, rest = half & 0x7FFFu;
    union {
        uint32_t word;
        float f;
    } u;

    if (rest >= 0x7C00u) /* infinite, not a number */
        u.word = 0x7F800000u | rest << 13;
    else if (rest >= 0x0400u)
        u.word = (rest << 13) + 0x38000000u;
    else /* rest units of 2^-24 */
        u.f = (float)rest * 0x1p-24f;
    u.word |= sign;
    return u.f;
}

/* n values as they lie in a file, perhaps not aligned, to bf16. */
static void to_bf16(uint16_t *values, const unsigned char *data, enum pl_dtype dtype, size_t n)
{
    switch (dtype) {
    case PL_DTYPE_F32:
        for (size_t i = 0; i < n; i++) {
            float x;

            memcpy(&x, data + i * sizeof x, sizeof x);
            values[i] = pl_bf16_round(x);
        }
        break;
    case PL_DTYPE_F16:
        for (size_t i = 0; i < n; i++) {
            uint16_t half;

            memcpy(&half, data + i * sizeof half, sizeof half);
            values[i] = pl_bf16_round(half_widen(half));
        }
        break;
    default:
        PL_ASSERT(dtype == PL_DTYPE_BF16);
        memcpy(values, data, n * sizeof *values);
    }
}

/* The first of n values that is infinite or not a number; n: none. */
static size_t first_broken(const uint16_t *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((values[i] & 0x7F80u) == 0x7F80u)
            return i;
    }
    return n;
}

/* The first of n values that differs; n: none. */
static size_t first_other(const uint16_t *a, const uint16_t *b, size_t n)
{
    size_t i = 0;

    while (i < n && a[i] == b[i])
        i++;
    return i;
}

struct reader {
    struct pl_weights *weights;
    uint16_t *scratch; /* two pieces for each thread */
    size_t piece;      /* elements of the largest */
    const struct pl_watch *watch;
    uint64_t done, total; /* bytes */
};

/* Rows of a tensor that one thread reads. */
struct piece {
    const struct pl_tensor *tensor;
    size_t row, rows;
    const unsigned char *data;
    enum pl_dtype dtype;
};

/* Returns the first value of the piece that is not as it should be, or the piece's size. */
static size_t read_piece(const struct reader *reader, const struct piece *p, bool compare)
{
    uint16_t *values = reader->scratch + 2 * reader->piece * (size_t)omp_get_thread_num();
    uint16_t *have = values + reader->piece;
    const size_t n = p->rows * p->tensor->cols;

    to_bf16(values, p->data, p->dtype, n);
    if (compare) {
        pl_weights_get(reader->weights, p->tensor, p->row, p->rows, have);
        return first_other(values, have, n);
    }
    pl_weights_set(reader->weights, p->tensor, p->row, p->rows, values);
    return first_broken(values, n);
}

static void report(struct reader *reader, size_t bytes)
{
    uint64_t done;

#pragma omp atomic capture
    done = reader->done += bytes;
    if (reader->watch && omp_get_thread_num() == 0)
        reader->watch->bytes(reader->watch->at, done, reader->total);
}

/*
 * Set a tensor, or with `compare` only look whether it is what the weights have. Returns the first
 * value that is not finite, or that differs; the size of the tensor when all is well.
 */
static size_t read_tensor(struct reader *reader, const struct pl_tensor *t,
                          const struct pl_place *place, bool compare)
{
    const struct pl_st_entry *e = place->entry;
    const struct pl_blocks blocks = pl_blocks_of(&reader->weights->shape->config, t);
    const size_t row_bytes = t->cols * pl_dtype_bytes(e->dtype);
    size_t wrong = pl_tensor_size(t);

#pragma omp parallel for schedule(dynamic) reduction(min : wrong) if (blocks.count > 1)
    for (size_t i = 0; i < blocks.count; i++) {
        size_t rows;
        const size_t row = pl_blocks_row(&blocks, i, &rows), first = row * t->cols;
        const struct piece piece = {t, row, rows, e->data + row * row_bytes, e->dtype};
        const size_t at = first + read_piece(reader, &piece, compare);

        if (at < first + rows * t->cols && at < wrong)
            wrong = at;
        report(reader, rows * row_bytes);
        pl_pulse();
    }
    pl_map_drop(&place->file->st.map, e->data, e->bytes);
    return wrong;
}

static int read_all(struct reader *reader, const struct pl_inventory *inv, struct pl_error *err)
{
    const struct pl_tensor *embed = pl_shape_find(inv->shape, PL_ROLE_EMBED, 0);
    size_t wrong;

    for (size_t i = 0; i < inv->shape->count; i++) {
        const struct pl_tensor *t = &inv->shape->tensors[i];

        wrong = read_tensor(reader, t, &inv->places[i], false);
        if (wrong < pl_tensor_size(t))
            return pl_fail(err, PL_EFORMAT,
                           "%s: tensor '%s': value %zu is infinite or not a number, as bf16",
                           inv->places[i].file->path, t->name, wrong);
    }
    if (!inv->tied_head.entry)
        return PL_OK;
    wrong = read_tensor(reader, embed, &inv->tied_head, true);
    if (wrong < pl_tensor_size(embed))
        return pl_fail(err, PL_EFORMAT,
                       "%s: tensor '%s' differs from '%s' at value %zu, but config.json says that "
                       "they are one (tie_word_embeddings)",
                       inv->tied_head.file->path, inv->tied_head.entry->name, embed->name, wrong);
    return PL_OK;
}

static int read_weights(const struct pl_inventory *inv, const struct pl_watch *watch,
                        struct pl_weights *weights, struct pl_error *err)
{
    struct reader reader = {.weights = weights, .watch = watch, .total = pl_inventory_bytes(inv)};
    int rc;

    reader.piece = pl_blocks_elements(inv->shape);
    reader.scratch =
        pl_alloc((size_t)omp_get_max_threads(), 2 * reader.piece * sizeof *reader.scratch);
    if (!reader.scratch)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory to read it", inv->dir);
    rc = read_all(&reader, inv, err);
    if (rc == PL_OK && watch)
        watch->bytes(watch->at, reader.done, reader.total);
    free(reader.scratch);
    return rc;
}

/* The folder's tensors as weights of a shape that is there. */
static int load_weights(const char *dir, const struct pl_watch *watch, const struct pl_shape *shape,
                        struct pl_weights **ret_weights, struct pl_error *err)
{
    struct pl_inventory inv = {0};
    struct pl_weights *weights = NULL;
    int rc = pl_inventory_open(dir, shape, &inv, err);

    if (rc < 0)
        return rc;
    rc = pl_weights_create(shape, &weights, err);
    if (rc == PL_OK)
        rc = read_weights(&inv, watch, weights, err);
    pl_inventory_close(&inv);
    if (rc < 0)
        pl_weights_destroy(weights);
    else
        *ret_weights = weights;
    return rc;
}

int pl_model_load(const char *dir, const struct pl_watch *watch, struct pl_shape **ret_shape,
                  struct pl_weights **ret_weights, struct pl_error *err)
{
    struct pl_config config;
    struct pl_shape *shape = NULL;
    int rc = pl_config_load(dir, &config, err);

    if (rc == PL_OK)
        rc = pl_shape_create(&config, &shape, err);
    if (rc == PL_OK)
        rc = load_weights(dir, watch, shape, ret_weights, err);
    if (rc < 0)
        pl_shape_destroy(shape);
    else
        *ret_shape = shape;
    return rc;
}
