#include "common/model/checkpoint.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/model/outdir.h"
#include "common/model/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 20, GENERATION_BYTES_MAX = 4 << 20, NAME_MAX_BYTES = 64 };

static const uint64_t SHARD_BYTES = 5000000000;
static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";
static const char generation_name[] = "generation_config.json";

/* Tensors [first, end) of the shape go into one file. */
struct range {
    size_t first, end;
};

static uint64_t tensor_bytes(const struct pl_tensor *t)
{
    return (uint64_t)pl_tensor_size(t) * sizeof(uint16_t);
}

/* The longest range from `first` on that fits; a tensor larger than a shard has one to itself. */
static struct range next_range(const struct pl_shape *shape, size_t first, uint64_t shard_bytes)
{
    struct range range = {first, first};
    uint64_t bytes = 0;

    while (range.end < shape->count) {
        bytes += tensor_bytes(&shape->tensors[range.end]);
        if (bytes > shard_bytes && range.end > first)
            break;
        range.end++;
    }
    return range;
}

static size_t count_ranges(const struct pl_shape *shape, uint64_t shard_bytes)
{
    size_t count = 0;

    for (size_t at = 0; at < shape->count; count++)
        at = next_range(shape, at, shard_bytes).end;
    return count;
}

static char *file_name(char name[NAME_MAX_BYTES], size_t index, size_t count)
{
    if (count == 1)
        snprintf(name, NAME_MAX_BYTES, "%s", single_name);
    else
        snprintf(name, NAME_MAX_BYTES, "model-%05zu-of-%05zu.safetensors", index + 1, count);
    return name;
}

/* Rows of a tensor that make a piece: whole panels of 32. */
static size_t piece_rows(const struct pl_tensor *t)
{
    const size_t panels = PIECE_BYTES / (PL_PANEL * t->cols * sizeof(uint16_t));

    return (panels ? panels : 1) * PL_PANEL;
}

static int write_tensor(struct pl_st_writer *writer, const struct pl_weights *w,
                        const struct pl_tensor *t, uint16_t *scratch, struct pl_error *err)
{
    const size_t step = piece_rows(t);
    int rc = PL_OK;

    for (size_t row = 0; row < t->rows && rc == PL_OK; row += step) {
        const size_t rows = t->rows - row < step ? t->rows - row : step;

#pragma omp parallel for schedule(static) if (rows > PL_PANEL)
        for (size_t r = 0; r < rows; r += PL_PANEL)
            pl_weights_get(w, t, row + r, rows - r < PL_PANEL ? rows - r : PL_PANEL,
                           scratch + r * t->cols);
        rc = pl_st_writer_write(writer, scratch, rows * t->cols * sizeof *scratch, err);
    }
    return rc;
}

static int write_tensors(const char *path, const struct pl_weights *w, struct range range,
                         struct pl_st_entry *entries, uint16_t *scratch, struct pl_error *err)
{
    const struct pl_tensor *tensors = &w->shape->tensors[range.first];
    const size_t count = range.end - range.first;
    struct pl_st_writer writer;
    int rc;

    for (size_t i = 0; i < count; i++)
        entries[i] = (struct pl_st_entry){
            .name = tensors[i].name,
            .dtype = PL_DTYPE_BF16,
            .rank = tensors[i].rank,
            .dims = {tensors[i].rows, tensors[i].cols},
        };
    rc = pl_st_writer_open(path, entries, count, NULL, &writer, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count && rc == PL_OK; i++)
        rc = write_tensor(&writer, w, &tensors[i], scratch, err);
    if (rc == PL_OK)
        return pl_st_writer_commit(&writer, err);
    pl_st_writer_abort(&writer);
    return rc;
}

static size_t scratch_elements(const struct pl_shape *shape)
{
    size_t most = 0;

    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];
        const size_t step = piece_rows(t), n = (t->rows < step ? t->rows : step) * t->cols;

        most = n > most ? n : most;
    }
    return most;
}

static int write_files(const char *dir, const struct pl_weights *w, uint64_t shard_bytes,
                       struct pl_error *err)
{
    const struct pl_shape *shape = w->shape;
    const size_t count = count_ranges(shape, shard_bytes);
    struct pl_st_entry *entries = calloc(shape->count, sizeof *entries);
    uint16_t *scratch = pl_alloc(scratch_elements(shape), sizeof *scratch);
    struct range range = {0, 0};
    int rc = PL_OK;

    if (!entries || !scratch)
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory to write its tensors", dir);
    for (size_t i = 0; i < count && rc == PL_OK; i++) {
        char name[NAME_MAX_BYTES];
        char *path = pl_strf("%s/%s", dir, file_name(name, i, count));

        range = next_range(shape, range.end, shard_bytes);
        rc = path ? write_tensors(path, w, range, entries, scratch, err)
                  : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir);
        free(path);
    }
    free(scratch);
    free(entries);
    return rc;
}

/* Save `root`, which is given up, as DIR/name. NULL stands for no memory. */
static int save_json(const char *dir, const char *name, json_t *root, struct pl_error *err)
{
    char *path = pl_strf("%s/%s", dir, name);
    int rc;

    if (!path)
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory to write %s", dir, name);
    else
        rc = pl_json_save(path, root, 2, err);
    json_decref(root);
    free(path);
    return rc;
}

static int write_index(const char *dir, const struct pl_shape *shape, uint64_t shard_bytes,
                       struct pl_error *err)
{
    const size_t count = count_ranges(shape, shard_bytes);
    const json_int_t total = (json_int_t)(shape->params * sizeof(uint16_t));
    json_t *map = json_object();
    struct range range = {0, 0};
    bool whole = map != NULL;

    for (size_t i = 0; i < count; i++) {
        char name[NAME_MAX_BYTES];

        file_name(name, i, count);
        range = next_range(shape, range.end, shard_bytes);
        for (size_t t = range.first; t < range.end; t++)
            whole &= json_object_set_new(map, shape->tensors[t].name, json_string(name)) == 0;
    }
    if (!whole) {
        json_decref(map);
        return save_json(dir, index_name, NULL, err);
    }
    return save_json(
        dir, index_name,
        json_pack("{s:{s:I}, s:o}", "metadata", "total_size", total, "weight_map", map), err);
}

/* Settings for sampling go along; where generation begins and ends is what the model says. */
static int write_generation(const char *dir, const struct pl_config *config, const char *from,
                            struct pl_error *err)
{
    static const char *const ids[] = {"bos_token_id", "eos_token_id", "pad_token_id"};
    char *path = from ? pl_strf("%s/%s", from, generation_name) : NULL;
    json_t *root = NULL, *model = pl_config_json(config);
    bool whole = model != NULL;
    int rc = PL_OK;

    if (from && !path)
        whole = false;
    if (path)
        rc = pl_json_load(path, GENERATION_BYTES_MAX, &root, err);
    if (!path || rc == PL_ENOENT) {
        rc = PL_OK;
        root = json_object();
    }
    if (rc == PL_OK && root && !json_is_object(root))
        rc = pl_fail(err, PL_EFORMAT, "%s: expected an object", path);
    free(path);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0] && whole && rc == PL_OK; i++) {
        json_t *id = json_object_get(model, ids[i]);

        if (json_is_null(id))
            json_object_del(root, ids[i]);
        else
            whole = json_object_set(root, ids[i], id) == 0;
    }
    json_decref(model);
    if (rc == PL_OK && whole)
        return save_json(dir, generation_name, root, err);
    json_decref(root);
    return rc < 0 ? rc : save_json(dir, generation_name, NULL, err);
}

/* What an earlier model in the folder left there and a reader would take for this one's. */
static int remove_stale(const char *dir, const char *name, struct pl_error *err)
{
    char *path = pl_strf("%s/%s", dir, name);
    int rc = PL_OK;

    if (!path)
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir);
    else if (unlink(path) < 0 && errno != ENOENT)
        rc = pl_fail_errno(err, "remove '%s'", path);
    free(path);
    return rc;
}

static int copy_tokenizer(const char *dir, const char *from, struct pl_error *err)
{
    static const char *const names[] = {
        "tokenizer.json",          "tokenizer_config.json", "vocab.json",          "merges.txt",
        "special_tokens_map.json", "chat_template.jinja",   "prompt_template.txt",
    };
    int rc = PL_OK;

    for (size_t i = 0; i < sizeof names / sizeof names[0] && rc == PL_OK; i++)
        rc = pl_file_copy(from, dir, names[i], NULL, err);
    return rc;
}

int pl_model_write(const char *dir, const struct pl_weights *weights, const char *tokenizer_dir,
                   uint64_t shard_bytes, struct pl_error *err)
{
    const struct pl_shape *shape = weights->shape;
    const uint64_t each = shard_bytes == PL_SHARD_DEFAULT ? SHARD_BYTES : shard_bytes;
    const bool single = count_ranges(shape, each) == 1;
    int rc = remove_stale(dir, single ? index_name : single_name, err);

    if (rc == PL_OK)
        rc = write_files(dir, weights, each, err);
    if (rc == PL_OK && !single)
        rc = write_index(dir, shape, each, err);
    if (rc == PL_OK)
        rc = save_json(dir, "config.json", pl_config_json(&shape->config), err);
    if (rc == PL_OK)
        rc = write_generation(dir, &shape->config, tokenizer_dir, err);
    if (rc == PL_OK && tokenizer_dir)
        rc = copy_tokenizer(dir, tokenizer_dir, err);
    return rc;
}

int pl_model_save(const char *dir, bool replace, const struct pl_weights *weights,
                  const char *tokenizer_dir, uint64_t shard_bytes, struct pl_error *err)
{
    struct pl_outdir out;
    int rc = pl_outdir_open(dir, replace, &out, err);

    if (rc < 0)
        return rc;
    rc = pl_model_write(out.tmp, weights, tokenizer_dir, shard_bytes, err);
    if (rc == PL_OK)
        return pl_outdir_commit(&out, err);
    pl_outdir_abort(&out);
    return rc;
}
