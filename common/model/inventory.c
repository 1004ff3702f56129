#include "common/model/inventory.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDEX_BYTES_MAX = 64 << 20, NAME_SHOWN = 80, FILE_NAME_MAX = 255 };

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";

static int no_memory(const struct pl_inventory *inv, struct pl_error *err)
{
    return pl_fail(err, PL_ENOMEM, "'%s': no memory to list its files", inv->dir);
}

/* --- which names a file may have in it --- */

static bool is_tied_head(const struct pl_shape *shape, const char *name)
{
    return shape->config.tied && strcmp(name, "lm_head.weight") == 0;
}

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

static bool is_known(const struct pl_shape *shape, const char *name)
{
    return pl_shape_named(shape, name) || is_tied_head(shape, name) || is_inv_freq(shape, name);
}

static int unknown_tensor(const char *path, const char *name, struct pl_error *err)
{
    return pl_fail(err, PL_EFORMAT,
                   "%s: tensor '%.*s' is none of those of the model that config.json describes",
                   path, NAME_SHOWN, name);
}

/* --- the index --- */

static json_t *weight_map(const struct pl_inventory *inv)
{
    return json_object_get(inv->index, "weight_map");
}

/* Nothing but the name of a file in the folder. */
static bool is_plain_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && !strchr(name, '/') && strlen(name) <= FILE_NAME_MAX;
}

/* The file called `name`; NULL when it is not in the list. */
static struct pl_model_file *find_file(const struct pl_inventory *inv, const char *name)
{
    for (size_t i = inv->file_count; i-- > 0;) { /* the last one is the likeliest */
        if (strcmp(inv->files[i].name, name) == 0)
            return &inv->files[i];
    }
    return NULL;
}

static int add_file(struct pl_inventory *inv, const char *name, struct pl_error *err)
{
    char *path = pl_strf("%s/%s", inv->dir, name);

    if (!path)
        return no_memory(inv, err);
    inv->files[inv->file_count++] = (struct pl_model_file){.name = name, .path = path};
    return PL_OK;
}

/* The files of the index. A name that is not the model's ends it, so that the list stays short. */
static int list_files(struct pl_inventory *inv, struct pl_error *err)
{
    json_t *map = weight_map(inv), *place;
    const char *name;
    int rc = PL_OK;

    if (!json_is_object(map))
        return pl_fail(err, PL_EFORMAT, "%s: expected an object that holds an object 'weight_map'",
                       inv->index_path);
    inv->files = calloc(json_object_size(map) + 1, sizeof *inv->files);
    if (!inv->files)
        return no_memory(inv, err);
    json_object_foreach(map, name, place)
    {
        if (!is_known(inv->shape, name))
            return unknown_tensor(inv->index_path, name, err);
        if (!json_is_string(place) || !is_plain_name(json_string_value(place)))
            return pl_fail(err, PL_EFORMAT,
                           "%s: tensor '%.*s': expected the name of a file in the same folder",
                           inv->index_path, NAME_SHOWN, name);
        if (!find_file(inv, json_string_value(place)))
            rc = add_file(inv, json_string_value(place), err);
        if (rc < 0)
            return rc;
    }
    return PL_OK;
}

/* The index puts this entry into this file. */
static int check_listed(const struct pl_inventory *inv, const struct pl_model_file *file,
                        const char *name, struct pl_error *err)
{
    const char *place = json_string_value(json_object_get(weight_map(inv), name));

    if (!place)
        return pl_fail(err, PL_EFORMAT, "%s: tensor '%.*s' is not in %s", file->path, NAME_SHOWN,
                       name, index_name);
    if (strcmp(place, file->name) != 0)
        return pl_fail(err, PL_EFORMAT, "%s: tensor '%.*s' is here too; %s puts it into '%.*s'",
                       file->path, NAME_SHOWN, name, index_name, NAME_SHOWN, place);
    return PL_OK;
}

/* The index's entries are in the files, which have as many bytes as it says. */
static int check_index(const struct pl_inventory *inv, struct pl_error *err)
{
    const json_t *metadata = json_object_get(inv->index, "metadata"), *place;
    uint64_t bytes = 0;
    const char *name;
    size_t total = 0;
    int rc;

    json_object_foreach(weight_map(inv), name, place)
    {
        const struct pl_model_file *file = find_file(inv, json_string_value(place));
        const struct pl_st_entry *entry = pl_st_find(&file->st, name);

        if (!entry)
            return pl_fail(err, PL_EFORMAT, "%s: tensor '%.*s' is not in %s, where %s puts it",
                           inv->index_path, NAME_SHOWN, name, file->path, index_name);
        bytes += entry->bytes;
    }
    if (!pl_json_has(metadata, "total_size"))
        return PL_OK;
    rc = pl_json_size(metadata, "total_size", inv->index_path, 0, SIZE_MAX, &total, err);
    if (rc == PL_OK && total != bytes)
        rc = pl_fail(err, PL_EFORMAT,
                     "%s: total_size is %zu, but its tensors have %" PRIu64 " bytes",
                     inv->index_path, total, bytes);
    return rc;
}

/* --- the entries --- */

static int check_type(const char *path, const struct pl_st_entry *e, const struct pl_tensor *t,
                      struct pl_error *err)
{
    char want[48], have[PL_ST_RANK_MAX * 24] = "";
    size_t used = 0;

    if (e->dtype != PL_DTYPE_F32 && e->dtype != PL_DTYPE_F16 && e->dtype != PL_DTYPE_BF16)
        return pl_fail(err, PL_EUNSUPPORTED,
                       "%s: tensor '%.*s' is of type %s; expected F32, F16 or BF16", path,
                       NAME_SHOWN, e->name, pl_dtype_name(e->dtype));
    if (e->rank == t->rank && e->dims[0] == t->rows && (t->rank == 1 || e->dims[1] == t->cols))
        return PL_OK;
    snprintf(want, sizeof want, t->rank == 1 ? "[%zu]" : "[%zu, %zu]", t->rows, t->cols);
    for (size_t i = 0; i < e->rank; i++)
        used += (size_t)snprintf(have + used, sizeof have - used, "%s%" PRIu64, i ? ", " : "",
                                 e->dims[i]);
    return pl_fail(err, PL_EFORMAT, "%s: tensor '%.*s' has shape [%s]; config.json makes that %s",
                   path, NAME_SHOWN, e->name, have, want);
}

/* Note which tensor of the model an entry is, after a look at its place, shape and type. */
static int take_entry(struct pl_inventory *inv, const struct pl_model_file *file,
                      const struct pl_st_entry *e, struct pl_error *err)
{
    const struct pl_tensor *t = pl_shape_named(inv->shape, e->name);
    struct pl_place *place;
    int rc = PL_OK;

    if (t) {
        place = &inv->places[t - inv->shape->tensors];
    } else if (is_tied_head(inv->shape, e->name)) {
        place = &inv->tied_head;
        t = pl_shape_find(inv->shape, PL_ROLE_EMBED, 0);
    } else if (is_inv_freq(inv->shape, e->name)) {
        place = NULL;
    } else {
        return unknown_tensor(file->path, e->name, err);
    }
    if (inv->index)
        rc = check_listed(inv, file, e->name, err);
    if (rc == PL_OK && place)
        rc = check_type(file->path, e, t, err);
    if (rc == PL_OK && place) {
        PL_ASSERT(!place->entry); /* a name is once in a file, and the index names one file */
        *place = (struct pl_place){e, file};
    }
    return rc;
}

static int check_complete(const struct pl_inventory *inv, struct pl_error *err)
{
    for (size_t i = 0; i < inv->shape->count; i++) {
        const struct pl_tensor *t = &inv->shape->tensors[i];

        if (!inv->places[i].entry)
            return pl_fail(err, PL_EFORMAT, "'%s': tensor '%s' is missing%s", inv->dir, t->name,
                           t->role == PL_ROLE_HEAD
                               ? ", and config.json does not say that tie_word_embeddings is true"
                               : "");
    }
    return PL_OK;
}

/* model.safetensors where it is there, as others choose, else the index. */
static int choose_files(struct pl_inventory *inv, struct pl_error *err)
{
    char *single = pl_strf("%s/%s", inv->dir, single_name);
    int rc;

    inv->index_path = pl_strf("%s/%s", inv->dir, index_name);
    if (!single || !inv->index_path) {
        rc = no_memory(inv, err);
    } else if (pl_path_exists(single)) {
        inv->files = calloc(1, sizeof *inv->files);
        rc = inv->files ? add_file(inv, single_name, err) : no_memory(inv, err);
    } else if (pl_path_exists(inv->index_path)) {
        rc = pl_json_load(inv->index_path, INDEX_BYTES_MAX, &inv->index, err);
        if (rc == PL_OK)
            rc = list_files(inv, err);
    } else {
        rc = pl_fail(err, PL_ENOENT, "'%s' holds neither %s nor %s", inv->dir, single_name,
                     index_name);
    }
    free(single);
    return rc;
}

int pl_inventory_open(const char *dir, const struct pl_shape *shape,
                      struct pl_inventory *ret_inventory, struct pl_error *err)
{
    struct pl_inventory inv = {.dir = dir, .shape = shape};
    int rc;

    inv.places = calloc(shape->count, sizeof *inv.places);
    rc = inv.places ? choose_files(&inv, err) : no_memory(&inv, err);
    for (size_t i = 0; i < inv.file_count && rc == PL_OK; i++) {
        struct pl_model_file *file = &inv.files[i];

        rc = pl_st_open(file->path, &file->st, err);
        for (size_t k = 0; rc == PL_OK && k < file->st.count; k++)
            rc = take_entry(&inv, file, &file->st.entries[k], err);
    }
    if (rc == PL_OK && inv.index)
        rc = check_index(&inv, err);
    if (rc == PL_OK)
        rc = check_complete(&inv, err);
    if (rc < 0)
        pl_inventory_close(&inv);
    else
        *ret_inventory = inv;
    return rc;
}

void pl_inventory_close(struct pl_inventory *inventory)
{
    for (size_t i = 0; i < inventory->file_count; i++) {
        pl_st_close(&inventory->files[i].st);
        free(inventory->files[i].path);
    }
    free(inventory->files);
    free(inventory->places);
    free(inventory->index_path);
    json_decref(inventory->index);
    *inventory = (struct pl_inventory){0};
}

uint64_t pl_inventory_bytes(const struct pl_inventory *inventory)
{
    uint64_t bytes = inventory->tied_head.entry ? inventory->tied_head.entry->bytes : 0;

    for (size_t i = 0; i < inventory->shape->count; i++)
        bytes += inventory->places[i].entry->bytes;
    return bytes;
}
