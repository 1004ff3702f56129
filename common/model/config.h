/*
 * What config.json says of a model: Qwen2 and Llama, which differ here only in the bias of the
 * query, key and value projections.
 *
 *   C hidden, L layers, H heads, G kv_heads, D head_dim, F ffn, V vocab
 *   H is a multiple of G; D is even; all sizes are within the limits below, so that no product of
 *   three of them overflows 64 bits.
 */
#ifndef PL_MODEL_CONFIG_H
#define PL_MODEL_CONFIG_H

#include "common/base/buf.h"
#include "common/base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PL_HIDDEN_MAX = 1 << 16,
    PL_LAYERS_MAX = 1 << 10,
    PL_HEADS_MAX = 1 << 10,
    PL_HEAD_DIM_MAX = 256,
    PL_FFN_MAX = 1 << 18,
    PL_VOCAB_MAX = 1 << 20,
    PL_POSITIONS_MAX = 1 << 21,
    PL_EOS_MAX = 8,
};

enum pl_arch { PL_ARCH_QWEN2, PL_ARCH_LLAMA };

enum pl_rope_kind { PL_ROPE_PLAIN, PL_ROPE_LINEAR, PL_ROPE_LLAMA3 };

struct pl_config {
    enum pl_arch arch;
    size_t hidden, layers, heads, kv_heads, head_dim, ffn, vocab; /* C L H G D F V */
    size_t positions_max;                                         /* max_position_embeddings */
    double rope_theta;
    enum pl_rope_kind rope_kind; /* the factors below are read only by the kinds that have them */
    double rope_factor, rope_low_freq, rope_high_freq;
    size_t rope_original_positions;
    float rms_eps;
    bool tied;         /* tie_word_embeddings: lm_head is embed_tokens */
    bool qkv_bias;     /* Qwen2: always; Llama: never, its attention_bias would bias o_proj too */
    double init_range; /* initializer_range, standard deviation of `plait model init` */
    int64_t bos, pad;  /* -1: none */
    int64_t eos[PL_EOS_MAX];
    size_t eos_count;
};

/*
 * From a parsed config.json. `what` names it in errors.
 * PL_EFORMAT: a field is missing, of the wrong type or out of range. PL_EUNSUPPORTED: an
 * architecture, activation, scaling, sliding window or bias that plait does not compute.
 */
int pl_config_parse(const json_t *root, const char *what, struct pl_config *ret_config,
                    struct pl_error *err);

/*
 * Where generation ends, from DIR/generation_config.json, which rules over config.json there, and
 * the other ids where config.json has none. No such file: nothing changes. PL_EFORMAT, PL_EIO,
 * PL_ENOMEM.
 */
int pl_config_generation(const char *model_dir, struct pl_config *config, struct pl_error *err);

/* DIR/config.json, then pl_config_generation(). PL_ENOENT: there is no config.json. */
int pl_config_load(const char *model_dir, struct pl_config *ret_config, struct pl_error *err);

/* Append all that a forward pass goes by, in words of one line: "qwen2 C=64 L=2 ...". PL_ENOMEM. */
int pl_config_sizes(const struct pl_config *config, struct pl_buf *out);

/* As Transformers writes it ("torch_dtype": "bfloat16"); a new reference, NULL when memory is out.
 */
json_t *pl_config_json(const struct pl_config *config);

/* Checks the limits and ratios stated above; what pl_config_parse() calls last. */
int pl_config_check(const struct pl_config *config, const char *what, struct pl_error *err);

#endif
