/*
 * Writing a model folder that loads elsewhere: names, shapes, dtype bf16, "format": "pt" and
 * configuration as Transformers writes them.
 *
 *   config.json, generation_config.json, model.safetensors, or
 *   model-00001-of-0000N.safetensors ... and model.safetensors.index.json when larger than a shard
 */
#ifndef PL_MODEL_CHECKPOINT_H
#define PL_MODEL_CHECKPOINT_H

#include "common/base/err.h"
#include "common/model/weights.h"

#include <stdbool.h>
#include <stdint.h>

enum { PL_SHARD_DEFAULT = 0 }; /* 5 GB, as Transformers */

/*
 * Write the files into an existing folder `dir` (often a struct pl_outdir's tmp).
 * `tokenizer_dir`: where tokenizer.json, tokenizer_config.json, vocab.json, merges.txt,
 * special_tokens_map.json, chat_template.jinja and prompt_template.txt are copied from, those of
 * them that are there; NULL: none. PL_EIO, PL_ENOMEM.
 */
int pl_model_write(const char *dir, const struct pl_weights *weights, const char *tokenizer_dir,
                   uint64_t shard_bytes, struct pl_error *err);

/* The same as a new folder, whole or not at all. PL_EINVAL: `dir` is there and replace is false. */
int pl_model_save(const char *dir, bool replace, const struct pl_weights *weights,
                  const char *tokenizer_dir, uint64_t shard_bytes, struct pl_error *err);

#endif
