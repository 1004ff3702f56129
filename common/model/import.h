/*
 * Reading a model folder as Hugging Face lays it out: config.json, generation_config.json where
 * there is one, and model.safetensors or its shards with model.safetensors.index.json.
 *
 * Tensors of F32, F16 or BF16 become bf16 values (rounded to nearest even). Every size in a file is
 * checked before it is trusted: a folder that lacks a tensor, has one of another shape, has one
 * that is none of the model's (but for rotary_emb.inv_freq buffers and an lm_head equal to tied
 * embeddings), or holds a value that is not finite, is refused with a sentence that names it.
 */
#ifndef PL_MODEL_IMPORT_H
#define PL_MODEL_IMPORT_H

#include "common/base/err.h"
#include "common/model/watch.h"
#include "common/model/weights.h"

/*
 * `watch` is told the bytes read. On success both are the caller's: weights first, then shape, are
 * to be destroyed. PL_ENOENT: a file is missing. PL_EFORMAT, PL_EUNSUPPORTED: a file is not as said
 * above. PL_EIO, PL_ENOMEM.
 */
int pl_model_load(const char *dir, const struct pl_watch *watch, struct pl_shape **ret_shape,
                  struct pl_weights **ret_weights, struct pl_error *err);

#endif
