/*
 * What a model folder holds, found out without reading a value: which entry of which safetensors
 * file is which tensor of the model.
 *
 * An inventory that was opened is complete: every tensor of the shape has exactly one entry, of its
 * shape and of type F32, F16 or BF16, where model.safetensors.index.json says it is; nothing else
 * is in the files but rotary_emb.inv_freq buffers and, beside tied embeddings, an lm_head.
 *
 * Files are mapped: one that is cut short by someone else while it is read ends the program
 * (SIGBUS), as with everything that maps files.
 */
#ifndef PL_MODEL_INVENTORY_H
#define PL_MODEL_INVENTORY_H

#include "common/base/err.h"
#include "common/model/safetensors.h"
#include "common/model/shape.h"

#include <jansson.h>
#include <stddef.h>

/* One safetensors file. */
struct pl_model_file {
    const char *name; /* in the folder; borrowed from the index */
    char *path;
    struct pl_st st;
};

struct pl_place {
    const struct pl_st_entry *entry; /* NULL: nowhere */
    const struct pl_model_file *file;
};

struct pl_inventory {
    const char *dir;              /* borrowed */
    const struct pl_shape *shape; /* borrowed */
    struct pl_model_file *files;
    size_t file_count;
    struct pl_place *places;   /* of the shape's tensors, in their order */
    struct pl_place tied_head; /* an lm_head that must equal the embeddings, if there is one */
    json_t *index;             /* NULL: a single file */
    char *index_path;
};

/*
 * model.safetensors where it is there, else the files of model.safetensors.index.json. The shape is
 * that of the folder's configuration. Ended with pl_inventory_close().
 * PL_ENOENT: a file is missing. PL_EFORMAT, PL_EUNSUPPORTED: it is not complete as said above, and
 * the sentence names the tensor. PL_EIO, PL_ENOMEM.
 */
int pl_inventory_open(const char *dir, const struct pl_shape *shape,
                      struct pl_inventory *ret_inventory, struct pl_error *err);
void pl_inventory_close(struct pl_inventory *inventory); /* a zeroed one is fine */

/* Bytes of all tensors that a reader will look at. */
uint64_t pl_inventory_bytes(const struct pl_inventory *inventory);

#endif
