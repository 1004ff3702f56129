/*
 * Reading goes in two passes. The first looks at names, shapes and types of all files and finds for
 * every tensor of the model the one entry that holds it; it needs no memory to speak of. Only when
 * nothing is missing and nothing left over are the weights asked for and the values read.
 */
#include "common/model/import.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/model/blocks.h"
#include "common/model/safetensors.h"

#include <inttypes.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { INDEX_BYTES_MAX = 64 << 20, NAME_SHOWN = 80 };

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";
static const char head_name[] = "lm_head.weight";

/* One safetensors file. */
struct shard {
    const char *name; /* borrowed from the index */
    char *path;
    struct pl_st st;
};

struct found {
    const struct pl_st_entry *entry; /* NULL: not yet */
    const struct shard *shard;
};

struct folder {
    const char *dir;
    const struct pl_shape *shape;
    json_t *index; /* NULL: a single file */
    char *index_path;
    struct shard *shards;
    size_t shard_count;
    struct found *found;    /* one for every tensor of the shape */
    struct found tied_head; /* an lm_head beside tied embeddings, if there is one */
};

static int no_memory(const struct folder *f, struct pl_error *err)
{
    return pl_fail(err, PL_ENOMEM, "'%s': no memory to list its files", f->dir);
}

/* --- first pass: where everything is --- */

/* Angles that old files store and everybody computes. */
static bool is_inv_freq(const struct pl_shape *shape, const char *name)
{
    static const char prefix[] = "model.layers.";
    char *rest = NULL;
    unsigned long layer;

    if (strcmp(name, "model.rotary_emb.inv_freq") == 0)
        return true;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return false;
    layer = strtoul(name + sizeof prefix - 1, &rest, 10);
    return layer < shape->config.layers && strcmp(rest, ".self_attn.rotary_emb.inv_freq") == 0;
}

static bool is_tied_head(const struct pl_shape *shape, const char *name)
{
    return shape->config.tied && strcmp(name, head_name) == 0;
}

static bool is_known(const struct pl_shape *shape, const char *name)
{
    return pl_shape_named(shape, name) || is_tied_head(shape, name) || is_inv_freq(shape, name);
}

static int check_type(const char *path, const struct pl_st_entry *e, const struct pl_tensor *t,
                      struct pl_error *err)
{
    char want[64], have[PL_ST_RANK_MAX * 22 + 1] = "";
    size_t used = 0;

    if (e->dtype != PL_DTYPE_F32 && e->dtype != PL_DTYPE_F16 && e->dtype != PL_DTYPE_BF16)
        return pl_fail(err, PL_EUNSUPPORTED,
                       "%s: tensor '%.*s' is of type %s; expected F32, F16 or BF16", path,
                       NAME_SHOWN, e->name, pl_dtype_name(e->dtype));
    if (e->rank == t->rank && e->dims[0] == t->rows && (t->rank == 1 || e->dims[1] == t->cols))
        return PL_OK;
    if (t->rank == 1)
        snprintf(want, sizeof want, "%zu", t->rows);
    else
        snprintf(want, sizeof want, "%zu, %zu", t->rows, t->cols);
    for (size_t i = 0; i < e->rank; i++)
        used += (size_t)snprintf(have + used, sizeof have - used, "%s%" PRIu64, i ? ", " : "",
                                 e->dims[i]);
    return pl_fail(err, PL_EFORMAT,
                   "%s: tensor '%.*s' has shape (%s); expected (%s) by config.json", path,
                   NAME_SHOWN, e->name, have, want);
}

/* Where the index puts a tensor; NULL when it does not list it. */
static const char *index_place(const struct folder *f, const char *name)
{
    const json_t *map = json_object_get(f->index, "weight_map");

    return json_string_value(json_object_get(map, name));
}

/* Note where a tensor of the model is, after a look at its place, shape and type. */
static int find_entry(struct folder *f, const struct shard *shard, const struct pl_st_entry *e,
                      struct pl_error *err)
{
    const bool tied_head = is_tied_head(f->shape, e->name);
    const struct pl_tensor *t =
        tied_head ? &f->shape->tensors[0] : pl_shape_named(f->shape, e->name);
    struct found *found;
    const char *place;
    int rc;

    if (!t && !is_inv_freq(f->shape, e->name))
        return pl_fail(err, PL_EFORMAT, "%s: tensor '%.*s' is none of the model's", shard->path,
                       NAME_SHOWN, e->name);
    if (f->index) {
        place = index_place(f, e->name);
        if (!place)
            return pl_fail(err, PL_EFORMAT, "%s: tensor '%.*s' is not in %s", shard->path,
                           NAME_SHOWN, e->name, index_name);
        if (strcmp(place, shard->name) != 0)
            return pl_fail(err, PL_EFORMAT, "%s: tensor '%.*s' is here, but %s says '%.*s'",
                           shard->path, NAME_SHOWN, e->name, index_name, NAME_SHOWN, place);
    }
    if (!t)
        return PL_OK;
    rc = check_type(shard->path, e, t, err);
    found = tied_head ? &f->tied_head : &f->found[t - f->shape->tensors];
    PL_ASSERT(!found->entry); /* names are unique in a file, and the index names one file */
    *found = (struct found){e, shard};
    return rc;
}

/* Nothing but the name of a file in the folder. */
static bool is_plain_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && !strchr(name, '/') && strlen(name) <= 255;
}

static int add_shard(struct folder *f, const char *name, struct pl_error *err)
{
    struct shard *shard;

    for (size_t i = f->shard_count; i-- > 0;) { /* most often it is the last one again */
        if (strcmp(f->shards[i].name, name) == 0)
            return PL_OK;
    }
    shard = &f->shards[f->shard_count];
    *shard = (struct shard){.name = name, .path = pl_strf("%s/%s", f->dir, name)};
    if (!shard->path)
        return no_memory(f, err);
    f->shard_count++;
    return PL_OK;
}

/* The files of the index. Names that are not the model's end it, so the list stays short. */
static int list_shards(struct folder *f, struct pl_error *err)
{
    json_t *map = json_object_get(f->index, "weight_map"), *place;
    const char *name;
    int rc = PL_OK;

    if (!json_is_object(map))
        return pl_fail(err, PL_EFORMAT, "%s: expected an object 'weight_map'", f->index_path);
    f->shards = calloc(json_object_size(map) + 1, sizeof *f->shards);
    if (!f->shards)
        return no_memory(f, err);
    json_object_foreach(map, name, place)
    {
        if (!is_known(f->shape, name))
            return pl_fail(err, PL_EFORMAT, "%s: tensor '%.*s' is none of the model's",
                           f->index_path, NAME_SHOWN, name);
        if (!json_is_string(place) || !is_plain_name(json_string_value(place)))
            return pl_fail(err, PL_EFORMAT,
                           "%s: tensor '%.*s' is in what is not the name of a file in the folder",
                           f->index_path, NAME_SHOWN, name);
        rc = add_shard(f, json_string_value(place), err);
        if (rc < 0)
            break;
    }
    return rc;
}

/* All that the index lists is there, and as many bytes as it says. */
static int check_index(const struct folder *f, struct pl_error *err)
{
    json_t *map = json_object_get(f->index, "weight_map"), *place;
    const json_t *metadata = json_object_get(f->index, "metadata");
    uint64_t bytes = 0;
    const char *name;
    size_t total, listed = 0;
    int rc;

    for (size_t i = 0; i < f->shard_count; i++) {
        const struct pl_st *st = &f->shards[i].st;

        listed += st->count;
        for (size_t k = 0; k < st->count; k++)
            bytes += st->entries[k].bytes;
    }
    if (listed != json_object_size(map)) {
        json_object_foreach(map, name, place)
        {
            size_t i = 0;

            while (strcmp(f->shards[i].name, json_string_value(place)) != 0)
                i++;
            if (!pl_st_find(&f->shards[i].st, name))
                return pl_fail(err, PL_EFORMAT, "%s: tensor '%.*s' is not in '%.*s'", f->index_path,
                               NAME_SHOWN, name, NAME_SHOWN, f->shards[i].name);
        }
    }
    if (!pl_json_has(metadata, "total_size"))
        return PL_OK;
    rc = pl_json_size(metadata, "total_size", f->index_path, 0, SIZE_MAX, &total, err);
    if (rc == PL_OK && total != bytes)
        rc = pl_fail(err, PL_EFORMAT,
                     "%s: total_size is %zu, and the tensors have %" PRIu64 " bytes", f->index_path,
                     total, bytes);
    return rc;
}

static int check_complete(const struct folder *f, struct pl_error *err)
{
    for (size_t i = 0; i < f->shape->count; i++) {
        const struct pl_tensor *t = &f->shape->tensors[i];

        if (f->found[i].entry)
            continue;
        return pl_fail(
            err, PL_EFORMAT, "'%s': tensor '%s' is in none of its files%s", f->dir, t->name,
            t->role == PL_ROLE_HEAD ? "; config.json does not say tie_word_embeddings: true" : "");
    }
    return PL_OK;
}

/* model.safetensors where it is there, as others choose, else the index. */
static int choose_files(struct folder *f, struct pl_error *err)
{
    char *single = pl_strf("%s/%s", f->dir, single_name);
    int rc;

    f->index_path = pl_strf("%s/%s", f->dir, index_name);
    if (!single || !f->index_path) {
        rc = no_memory(f, err);
    } else if (pl_path_exists(single)) {
        f->shards = calloc(1, sizeof *f->shards);
        rc = f->shards ? add_shard(f, single_name, err) : no_memory(f, err);
    } else if (pl_path_exists(f->index_path)) {
        rc = pl_json_load(f->index_path, INDEX_BYTES_MAX, &f->index, err);
        if (rc == PL_OK)
            rc = list_shards(f, err);
    } else {
        rc = pl_fail(err, PL_ENOENT, "'%s' holds neither %s nor %s", f->dir, single_name,
                     index_name);
    }
    free(single);
    return rc;
}

static int find_all(struct folder *f, struct pl_error *err)
{
    int rc = choose_files(f, err);

    for (size_t i = 0; i < f->shard_count && rc == PL_OK; i++) {
        struct shard *shard = &f->shards[i];

        rc = pl_st_open(shard->path, &shard->st, err);
        for (size_t k = 0; rc == PL_OK && k < shard->st.count; k++)
            rc = find_entry(f, shard, &shard->st.entries[k], err);
    }
    if (rc == PL_OK && f->index)
        rc = check_index(f, err);
    if (rc == PL_OK)
        rc = check_complete(f, err);
    return rc;
}

static void folder_release(struct folder *f)
{
    for (size_t i = 0; i < f->shard_count; i++) {
        pl_st_close(&f->shards[i].st);
        free(f->shards[i].path);
    }
    free(f->shards);
    free(f->found);
    free(f->index_path);
    json_decref(f->index);
}

/* --- second pass: values --- */

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
    const struct pl_import_watch *watch;
    uint64_t done, total; /* bytes */
};

static void tell(const struct reader *reader, uint64_t done)
{
    if (reader->watch && omp_get_thread_num() == 0)
        reader->watch->bytes(reader->watch->at, done, reader->total);
}

/*
 * Set a tensor, or with `compare` only look whether it is what the weights have. Returns the first
 * element that is not finite, or that differs; the size of the tensor when all is well.
 */
static size_t read_tensor(struct reader *reader, const struct pl_tensor *t,
                          const struct pl_st_entry *e, bool compare)
{
    const struct pl_blocks blocks = pl_blocks_of(&reader->weights->shape->config, t);
    const size_t element = pl_dtype_bytes(e->dtype);
    size_t wrong = pl_tensor_size(t);

#pragma omp parallel for schedule(dynamic) reduction(min : wrong)
    for (size_t i = 0; i < blocks.count; i++) {
        uint16_t *values = reader->scratch + 2 * reader->piece * (size_t)omp_get_thread_num();
        uint16_t *have = values + reader->piece;
        size_t rows, at;
        const size_t row = pl_blocks_row(&blocks, i, &rows), n = rows * t->cols;
        uint64_t done;

        to_bf16(values, e->data + row * t->cols * element, e->dtype, n);
        if (compare) {
            pl_weights_get(reader->weights, t, row, rows, have);
            at = first_other(values, have, n);
        } else {
            pl_weights_set(reader->weights, t, row, rows, values);
            at = first_broken(values, n);
        }
        if (at < n && row * t->cols + at < wrong)
            wrong = row * t->cols + at;
#pragma omp atomic capture
        done = reader->done += n * element;
        tell(reader, done);
    }
    return wrong;
}

static int read_all(struct reader *reader, const struct folder *f, struct pl_error *err)
{
    const struct pl_tensor *embed = &f->shape->tensors[0];
    size_t wrong;

    for (size_t i = 0; i < f->shape->count; i++) {
        const struct pl_tensor *t = &f->shape->tensors[i];

        wrong = read_tensor(reader, t, f->found[i].entry, false);
        if (wrong < pl_tensor_size(t))
            return pl_fail(err, PL_EFORMAT,
                           "%s: tensor '%s': value %zu is infinite or not a number (as bf16)",
                           f->found[i].shard->path, t->name, wrong);
    }
    if (!f->tied_head.entry)
        return PL_OK;
    wrong = read_tensor(reader, embed, f->tied_head.entry, true);
    if (wrong < pl_tensor_size(embed))
        return pl_fail(err, PL_EFORMAT,
                       "%s: tensor '%s' differs from '%s' at value %zu, and config.json says that "
                       "they are one (tie_word_embeddings)",
                       f->tied_head.shard->path, head_name, embed->name, wrong);
    return PL_OK;
}

static int read_weights(const struct folder *f, const struct pl_import_watch *watch,
                        struct pl_weights *weights, struct pl_error *err)
{
    struct reader reader = {.weights = weights, .watch = watch};
    int rc;

    reader.piece = pl_blocks_elements(f->shape);
    reader.scratch =
        pl_alloc((size_t)omp_get_max_threads(), 2 * reader.piece * sizeof *reader.scratch);
    if (!reader.scratch)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory to read it", f->dir);
    for (size_t i = 0; i < f->shape->count; i++)
        reader.total += f->found[i].entry->bytes;
    reader.total += f->tied_head.entry ? f->tied_head.entry->bytes : 0;
    rc = read_all(&reader, f, err);
    if (rc == PL_OK)
        tell(&reader, reader.done);
    free(reader.scratch);
    return rc;
}

int pl_model_load(const char *dir, const struct pl_import_watch *watch, struct pl_shape **ret_shape,
                  struct pl_weights **ret_weights, struct pl_error *err)
{
    struct pl_config config;
    struct pl_shape *shape = NULL;
    struct pl_weights *weights = NULL;
    struct folder f = {.dir = dir};
    int rc = pl_config_load(dir, &config, err);

    if (rc == PL_OK)
        rc = pl_shape_create(&config, &shape, err);
    if (rc < 0)
        return rc;
    f.shape = shape;
    f.found = calloc(shape->count, sizeof *f.found);
    rc = f.found ? find_all(&f, err) : no_memory(&f, err);
    if (rc == PL_OK)
        rc = pl_weights_create(shape, &weights, err);
    if (rc == PL_OK)
        rc = read_weights(&f, watch, weights, err);
    folder_release(&f);
    if (rc < 0) {
        pl_weights_destroy(weights);
        pl_shape_destroy(shape);
        return rc;
    }
    *ret_shape = shape;
    *ret_weights = weights;
    return PL_OK;
}
