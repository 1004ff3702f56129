#include "common/model/config.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_BYTES_MAX = 4 << 20 };

static const char *const arch_names[] = {[PL_ARCH_QWEN2] = "qwen2", [PL_ARCH_LLAMA] = "llama"};

static int parse_arch(const json_t *root, const char *what, struct pl_config *c,
                      struct pl_error *err)
{
    const char *name = NULL;
    int rc = pl_json_string(root, "model_type", what, &name, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof arch_names / sizeof arch_names[0]; i++) {
        if (strcmp(name, arch_names[i]) == 0) {
            c->arch = (enum pl_arch)i;
            c->qkv_bias = c->arch == PL_ARCH_QWEN2;
            return PL_OK;
        }
    }
    return pl_fail(err, PL_EUNSUPPORTED,
                   "%s: model_type '%.64s' is not one plait computes (qwen2, llama)", what, name);
}

/* A flag that must be off; one that is absent or null is. */
static int must_be_off(const json_t *root, const char *key, const char *what, const char *why,
                       struct pl_error *err)
{
    bool on = false;
    int rc;

    if (!pl_json_has(root, key))
        return PL_OK;
    rc = pl_json_bool(root, key, what, &on, err);
    if (rc < 0)
        return rc;
    if (on)
        return pl_fail(err, PL_EUNSUPPORTED, "%s: %s is true: plait does not compute %s", what, key,
                       why);
    return PL_OK;
}

static int check_layer_types(const json_t *root, const char *what, size_t layers,
                             struct pl_error *err)
{
    const json_t *types = json_object_get(root, "layer_types"), *type;
    size_t i;

    if (!pl_json_has(root, "layer_types"))
        return PL_OK;
    if (!json_is_array(types) || json_array_size(types) != layers)
        return pl_fail(err, PL_EFORMAT, "%s: layer_types is not an array of %zu strings", what,
                       layers);
    json_array_foreach(types, i, type)
    {
        if (!json_is_string(type))
            return pl_fail(err, PL_EFORMAT, "%s: layer_types[%zu] is not a string", what, i);
        if (strcmp(json_string_value(type), "full_attention") != 0)
            return pl_fail(err, PL_EUNSUPPORTED,
                           "%s: layer_types[%zu] is '%.64s': plait computes full_attention only",
                           what, i, json_string_value(type));
    }
    return PL_OK;
}

/* Stands in config.json itself, or with its rotary parameters. */
static int refuse_partial(const json_t *obj, const char *what, struct pl_error *err)
{
    double part = 1.0;
    int rc = PL_OK;

    if (pl_json_has(obj, "partial_rotary_factor"))
        rc = pl_json_real(obj, "partial_rotary_factor", what, 0, 1, &part, err);
    if (rc == PL_OK && part < 1.0)
        rc = pl_fail(err, PL_EUNSUPPORTED,
                     "%s: partial_rotary_factor is %g: plait rotates whole heads only", what, part);
    return rc;
}

/* What a config.json may say and plait does not compute; silence there would be wrong numbers. */
static int refuse_unsupported(const json_t *root, const char *what, const struct pl_config *c,
                              struct pl_error *err)
{
    const char *act = "silu";
    size_t tp = 1;
    int rc = must_be_off(root, "use_sliding_window", what, "sliding windows", err);

    if (rc == PL_OK && c->arch == PL_ARCH_LLAMA) {
        rc = must_be_off(root, "attention_bias", what, "attention with an output bias", err);
        if (rc == PL_OK)
            rc = must_be_off(root, "mlp_bias", what, "a feed-forward bias", err);
    }
    if (rc == PL_OK)
        rc = check_layer_types(root, what, c->layers, err);
    if (rc == PL_OK && pl_json_has(root, "hidden_act"))
        rc = pl_json_string(root, "hidden_act", what, &act, err);
    if (rc == PL_OK && pl_json_has(root, "pretraining_tp"))
        rc = pl_json_size(root, "pretraining_tp", what, 0, SIZE_MAX, &tp, err);
    if (rc == PL_OK)
        rc = refuse_partial(root, what, err);
    if (rc < 0)
        return rc;
    if (strcmp(act, "silu") != 0)
        return pl_fail(err, PL_EUNSUPPORTED, "%s: hidden_act is '%.64s': plait computes silu only",
                       what, act);
    if (tp > 1)
        return pl_fail(err, PL_EUNSUPPORTED,
                       "%s: pretraining_tp is %zu: plait computes unsplit projections only", what,
                       tp);
    if (pl_json_has(root, "quantization_config"))
        return pl_fail(err, PL_EUNSUPPORTED,
                       "%s: it has a quantization_config: plait reads F32, F16 and BF16 weights",
                       what);
    return PL_OK;
}

static int parse_sizes(const json_t *root, const char *what, struct pl_config *c,
                       struct pl_error *err)
{
    const struct {
        const char *key;
        size_t most, *ret;
    } sizes[] = {
        {"hidden_size", PL_HIDDEN_MAX, &c->hidden},
        {"num_hidden_layers", PL_LAYERS_MAX, &c->layers},
        {"num_attention_heads", PL_HEADS_MAX, &c->heads},
        {"intermediate_size", PL_FFN_MAX, &c->ffn},
        {"vocab_size", PL_VOCAB_MAX, &c->vocab},
    };
    int rc = PL_OK;

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] && rc == PL_OK; i++)
        rc = pl_json_size(root, sizes[i].key, what, 1, sizes[i].most, sizes[i].ret, err);
    if (rc < 0)
        return rc;
    c->kv_heads = c->heads;
    if (pl_json_has(root, "num_key_value_heads"))
        rc = pl_json_size(root, "num_key_value_heads", what, 1, PL_HEADS_MAX, &c->kv_heads, err);
    c->positions_max = c->arch == PL_ARCH_QWEN2 ? 32768 : 2048; /* Transformers' own defaults */
    if (rc == PL_OK && pl_json_has(root, "max_position_embeddings"))
        rc = pl_json_size(root, "max_position_embeddings", what, 1, PL_POSITIONS_MAX,
                          &c->positions_max, err);
    if (rc < 0)
        return rc;
    if (pl_json_has(root, "head_dim"))
        return pl_json_size(root, "head_dim", what, 1, PL_HEAD_DIM_MAX, &c->head_dim, err);
    if (c->hidden % c->heads != 0)
        return pl_fail(
            err, PL_EFORMAT,
            "%s: hidden_size %zu is not a multiple of num_attention_heads %zu, and there "
            "is no head_dim",
            what, c->hidden, c->heads);
    c->head_dim = c->hidden / c->heads;
    return PL_OK;
}

/* The object that says how positions are scaled: rope_parameters (Transformers 5), rope_scaling
 * (4). */
static int parse_rope_kind(const json_t *rope, const char *what, const char **ret_kind,
                           struct pl_error *err)
{
    *ret_kind = "default";
    if (!json_is_object(rope))
        return pl_fail(err, PL_EFORMAT, "%s: the rotary scaling is not an object", what);
    if (pl_json_has(rope, "rope_type"))
        return pl_json_string(rope, "rope_type", what, ret_kind, err);
    if (pl_json_has(rope, "type"))
        return pl_json_string(rope, "type", what, ret_kind, err);
    return PL_OK;
}

static int parse_llama3(const json_t *rope, const char *what, struct pl_config *c,
                        struct pl_error *err)
{
    int rc = pl_json_real(rope, "low_freq_factor", what, 1e-3, 1e6, &c->rope_low_freq, err);

    c->rope_kind = PL_ROPE_LLAMA3;
    if (rc == PL_OK)
        rc = pl_json_real(rope, "high_freq_factor", what, 1e-3, 1e6, &c->rope_high_freq, err);
    if (rc == PL_OK)
        rc = pl_json_size(rope, "original_max_position_embeddings", what, 1, PL_POSITIONS_MAX,
                          &c->rope_original_positions, err);
    return rc;
}

static int parse_rope(const json_t *root, const char *what, struct pl_config *c,
                      struct pl_error *err)
{
    const char *key = pl_json_has(root, "rope_parameters") ? "rope_parameters" : "rope_scaling";
    const json_t *rope = json_object_get(root, key);
    const char *kind = NULL;
    int rc = PL_OK;

    c->rope_theta = 10000.0;
    c->rope_kind = PL_ROPE_PLAIN;
    c->rope_factor = c->rope_low_freq = c->rope_high_freq = 1.0;
    if (pl_json_has(root, "rope_theta"))
        rc = pl_json_real(root, "rope_theta", what, 1.0, 1e18, &c->rope_theta, err);
    if (rc < 0 || !pl_json_has(root, key))
        return rc;
    rc = parse_rope_kind(rope, what, &kind, err);
    if (rc == PL_OK && pl_json_has(rope, "rope_theta"))
        rc = pl_json_real(rope, "rope_theta", what, 1.0, 1e18, &c->rope_theta, err);
    if (rc == PL_OK)
        rc = refuse_partial(rope, what, err);
    if (rc < 0 || strcmp(kind, "default") == 0)
        return rc;
    if (strcmp(kind, "linear") != 0 && strcmp(kind, "llama3") != 0)
        return pl_fail(err, PL_EUNSUPPORTED,
                       "%s: %s of type '%.64s': plait computes default, linear and llama3", what,
                       key, kind);
    c->rope_kind = PL_ROPE_LINEAR;
    rc = pl_json_real(rope, "factor", what, 1.0, 1e6, &c->rope_factor, err);
    if (rc == PL_OK && strcmp(kind, "llama3") == 0)
        rc = parse_llama3(rope, what, c, err);
    return rc;
}

/* An id, absent, null or -1 for none. */
static int parse_id(const json_t *root, const char *key, const char *what, int64_t *ret_id,
                    struct pl_error *err)
{
    const json_t *id = json_object_get(root, key);

    if (!pl_json_has(root, key))
        return PL_OK;
    if (!json_is_integer(id) || json_integer_value(id) < -1 ||
        json_integer_value(id) >= PL_VOCAB_MAX)
        return pl_fail(err, PL_EFORMAT, "%s: '%s' is not the id of a token", what, key);
    *ret_id = json_integer_value(id);
    return PL_OK;
}

static int add_eos(const json_t *id, const char *what, struct pl_config *c, struct pl_error *err)
{
    if (!json_is_integer(id) || json_integer_value(id) < 0 ||
        json_integer_value(id) >= PL_VOCAB_MAX)
        return pl_fail(err, PL_EFORMAT, "%s: 'eos_token_id' holds what is not the id of a token",
                       what);
    for (size_t i = 0; i < c->eos_count; i++) {
        if (c->eos[i] == json_integer_value(id))
            return PL_OK;
    }
    if (c->eos_count == PL_EOS_MAX)
        return pl_fail(err, PL_EUNSUPPORTED, "%s: 'eos_token_id' lists more than %d tokens", what,
                       PL_EOS_MAX);
    c->eos[c->eos_count++] = json_integer_value(id);
    return PL_OK;
}

/* One id or a list of them, instead of those known before; nothing when the key is absent or null.
 */
static int parse_eos(const json_t *root, const char *what, struct pl_config *c,
                     struct pl_error *err)
{
    const json_t *eos = json_object_get(root, "eos_token_id"), *id;
    size_t i;
    int rc = PL_OK;

    if (!pl_json_has(root, "eos_token_id"))
        return PL_OK;
    c->eos_count = 0;
    if (!json_is_array(eos))
        return add_eos(eos, what, c, err);
    json_array_foreach(eos, i, id)
    {
        rc = add_eos(id, what, c, err);
        if (rc < 0)
            break;
    }
    return rc;
}

static int parse_rest(const json_t *root, const char *what, struct pl_config *c,
                      struct pl_error *err)
{
    double eps = 1e-6;
    int rc = PL_OK;

    c->init_range = 0.02;
    c->bos = c->pad = -1;
    if (pl_json_has(root, "rms_norm_eps"))
        rc = pl_json_real(root, "rms_norm_eps", what, 1e-30, 1.0, &eps, err);
    c->rms_eps = (float)eps;
    if (rc == PL_OK && pl_json_has(root, "initializer_range"))
        rc = pl_json_real(root, "initializer_range", what, 0.0, 10.0, &c->init_range, err);
    if (rc == PL_OK && pl_json_has(root, "tie_word_embeddings"))
        rc = pl_json_bool(root, "tie_word_embeddings", what, &c->tied, err);
    if (rc == PL_OK)
        rc = parse_id(root, "bos_token_id", what, &c->bos, err);
    if (rc == PL_OK)
        rc = parse_id(root, "pad_token_id", what, &c->pad, err);
    if (rc == PL_OK)
        rc = parse_eos(root, what, c, err);
    return rc;
}

int pl_config_parse(const json_t *root, const char *what, struct pl_config *ret_config,
                    struct pl_error *err)
{
    struct pl_config c = {0};
    int rc = parse_arch(root, what, &c, err);

    if (rc == PL_OK)
        rc = parse_sizes(root, what, &c, err);
    if (rc == PL_OK)
        rc = refuse_unsupported(root, what, &c, err);
    if (rc == PL_OK)
        rc = parse_rope(root, what, &c, err);
    if (rc == PL_OK)
        rc = parse_rest(root, what, &c, err);
    if (rc == PL_OK)
        rc = pl_config_check(&c, what, err);
    if (rc == PL_OK)
        *ret_config = c;
    return rc;
}

int pl_config_generation(const char *model_dir, struct pl_config *config, struct pl_error *err)
{
    char *path = pl_strf("%s/generation_config.json", model_dir);
    struct pl_config c = *config;
    json_t *root = NULL;
    int rc = PL_OK;

    if (!path)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", model_dir);
    if (!pl_path_exists(path))
        goto out;
    rc = pl_json_load(path, CONFIG_BYTES_MAX, &root, err);
    if (rc == PL_OK && !json_is_object(root))
        rc = pl_fail(err, PL_EFORMAT, "%s: expected an object", path);
    if (rc == PL_OK)
        rc = parse_eos(root, path, &c, err);
    if (rc == PL_OK && c.bos < 0)
        rc = parse_id(root, "bos_token_id", path, &c.bos, err);
    if (rc == PL_OK && c.pad < 0)
        rc = parse_id(root, "pad_token_id", path, &c.pad, err);
    if (rc == PL_OK)
        rc = pl_config_check(&c, path, err);
    if (rc == PL_OK)
        *config = c;
out:
    json_decref(root);
    free(path);
    return rc;
}

int pl_config_load(const char *model_dir, struct pl_config *ret_config, struct pl_error *err)
{
    char *path = pl_strf("%s/config.json", model_dir);
    struct pl_config c = {0};
    json_t *root = NULL;
    int rc;

    if (!path)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", model_dir);
    rc = pl_json_load(path, CONFIG_BYTES_MAX, &root, err);
    if (rc == PL_OK)
        rc = pl_config_parse(root, path, &c, err);
    if (rc == PL_OK)
        rc = pl_config_generation(model_dir, &c, err);
    if (rc == PL_OK)
        *ret_config = c;
    json_decref(root);
    free(path);
    return rc;
}

static int check_limits(const struct pl_config *c, const char *what, struct pl_error *err)
{
    const struct {
        const char *name;
        size_t value, most;
    } sizes[] = {
        {"hidden_size", c->hidden, PL_HIDDEN_MAX},
        {"num_hidden_layers", c->layers, PL_LAYERS_MAX},
        {"num_attention_heads", c->heads, PL_HEADS_MAX},
        {"num_key_value_heads", c->kv_heads, PL_HEADS_MAX},
        {"head_dim", c->head_dim, PL_HEAD_DIM_MAX},
        {"intermediate_size", c->ffn, PL_FFN_MAX},
        {"vocab_size", c->vocab, PL_VOCAB_MAX},
        {"max_position_embeddings", c->positions_max, PL_POSITIONS_MAX},
    };

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].most)
            return pl_fail(err, PL_EFORMAT, "%s: %s is %zu; expected 1 to %zu", what, sizes[i].name,
                           sizes[i].value, sizes[i].most);
    }
    return PL_OK;
}

static int check_ids(const struct pl_config *c, const char *what, struct pl_error *err)
{
    const int64_t vocab = (int64_t)c->vocab;

    if (c->bos < -1 || c->bos >= vocab)
        return pl_fail(err, PL_EFORMAT, "%s: bos_token_id %lld is not below vocab_size %zu", what,
                       (long long)c->bos, c->vocab);
    if (c->pad < -1 || c->pad >= vocab)
        return pl_fail(err, PL_EFORMAT, "%s: pad_token_id %lld is not below vocab_size %zu", what,
                       (long long)c->pad, c->vocab);
    if (c->eos_count > PL_EOS_MAX)
        return pl_fail(err, PL_EFORMAT, "%s: %zu eos tokens; expected %d at most", what,
                       c->eos_count, PL_EOS_MAX);
    for (size_t i = 0; i < c->eos_count; i++) {
        if (c->eos[i] < 0 || c->eos[i] >= vocab)
            return pl_fail(err, PL_EFORMAT, "%s: eos_token_id %lld is not below vocab_size %zu",
                           what, (long long)c->eos[i], c->vocab);
    }
    return PL_OK;
}

int pl_config_check(const struct pl_config *config, const char *what, struct pl_error *err)
{
    const struct pl_config *c = config;
    int rc = check_limits(c, what, err);

    if (rc < 0)
        return rc;
    if (c->heads % c->kv_heads != 0)
        return pl_fail(err, PL_EFORMAT,
                       "%s: num_attention_heads %zu is not a multiple of num_key_value_heads %zu",
                       what, c->heads, c->kv_heads);
    if (c->head_dim % 2 != 0)
        return pl_fail(err, PL_EFORMAT, "%s: the head size %zu is odd", what, c->head_dim);
    if (!(c->rope_theta >= 1.0 && c->rope_theta <= 1e18))
        return pl_fail(err, PL_EFORMAT, "%s: rope_theta is %g; expected 1 to 1e18", what,
                       c->rope_theta);
    if (!(c->rms_eps > 0.0f && c->rms_eps <= 1.0f))
        return pl_fail(err, PL_EFORMAT, "%s: rms_norm_eps is %g; expected more than 0, at most 1",
                       what, (double)c->rms_eps);
    if (!(c->init_range >= 0.0 && c->init_range <= 10.0))
        return pl_fail(err, PL_EFORMAT, "%s: initializer_range is %g; expected 0 to 10", what,
                       c->init_range);
    if (c->rope_kind != PL_ROPE_PLAIN && !(c->rope_factor >= 1.0 && c->rope_factor <= 1e6))
        return pl_fail(err, PL_EFORMAT, "%s: the rotary factor is %g; expected 1 to 1e6", what,
                       c->rope_factor);
    if (c->rope_kind == PL_ROPE_LLAMA3 &&
        !(c->rope_low_freq >= 1e-3 && c->rope_high_freq > c->rope_low_freq &&
          c->rope_high_freq <= 1e6 && c->rope_original_positions >= 1))
        return pl_fail(
            err, PL_EFORMAT,
            "%s: llama3 scaling from %g to %g over %zu positions; expected low_freq_factor "
            "below high_freq_factor",
            what, c->rope_low_freq, c->rope_high_freq, c->rope_original_positions);
    return check_ids(c, what, err);
}

static json_t *rope_json(const struct pl_config *c)
{
    if (c->rope_kind == PL_ROPE_LINEAR)
        return json_pack("{s:s, s:f}", "rope_type", "linear", "factor", c->rope_factor);
    if (c->rope_kind == PL_ROPE_LLAMA3)
        return json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor",
                         c->rope_factor, "low_freq_factor", c->rope_low_freq, "high_freq_factor",
                         c->rope_high_freq, "original_max_position_embeddings",
                         (json_int_t)c->rope_original_positions);
    return json_null();
}

static json_t *id_json(int64_t id)
{
    return id < 0 ? json_null() : json_integer(id);
}

static json_t *eos_json(const struct pl_config *c)
{
    json_t *list;

    if (c->eos_count <= 1)
        return id_json(c->eos_count ? c->eos[0] : -1);
    list = json_array();
    for (size_t i = 0; i < c->eos_count; i++)
        json_array_append_new(list, json_integer(c->eos[i]));
    return list;
}

/* The decimal number with the fewest digits that is this float: 1e-06, not 9.99999997e-07. */
static double shortest(float x)
{
    char text[32];
    double decimal = (double)x;

    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        decimal = strtod(text, NULL);
        if ((float)decimal == x)
            break;
    }
    return decimal;
}

/* What one architecture's file has and the other's has not. */
static json_t *arch_json(const struct pl_config *c)
{
    if (c->arch == PL_ARCH_LLAMA)
        return json_pack("{s:b, s:b, s:i}", "attention_bias", 0, "mlp_bias", 0, "pretraining_tp",
                         1);
    return json_pack("{s:b, s:n, s:I}", "use_sliding_window", 0, "sliding_window",
                     "max_window_layers", (json_int_t)c->layers);
}

json_t *pl_config_json(const struct pl_config *config)
{
    const struct pl_config *c = config;
    const char *arch = c->arch == PL_ARCH_QWEN2 ? "Qwen2ForCausalLM" : "LlamaForCausalLM";
    json_t *more = arch_json(c);
    json_t *root = json_pack(
        "{s:[s], s:f, s:o, s:o, s:I, s:s, s:I, s:f, s:I, s:I, s:s, s:I, s:I, s:I, s:o, s:f, s:o, "
        "s:f, s:b, s:s, s:b, s:I}",
        "architectures", arch, "attention_dropout", 0.0, "bos_token_id", id_json(c->bos),
        "eos_token_id", eos_json(c), "head_dim", (json_int_t)c->head_dim, "hidden_act", "silu",
        "hidden_size", (json_int_t)c->hidden, "initializer_range", c->init_range,
        "intermediate_size", (json_int_t)c->ffn, "max_position_embeddings",
        (json_int_t)c->positions_max, "model_type", arch_names[c->arch], "num_attention_heads",
        (json_int_t)c->heads, "num_hidden_layers", (json_int_t)c->layers, "num_key_value_heads",
        (json_int_t)c->kv_heads, "pad_token_id", id_json(c->pad), "rms_norm_eps",
        shortest(c->rms_eps), "rope_scaling", rope_json(c), "rope_theta", c->rope_theta,
        "tie_word_embeddings", (int)c->tied, "torch_dtype", "bfloat16", "use_cache", 1,
        "vocab_size", (json_int_t)c->vocab);

    if (!root || !more || json_object_update(root, more) < 0) {
        json_decref(root);
        root = NULL;
    }
    json_decref(more);
    return root;
}

int pl_config_sizes(const struct pl_config *config, struct pl_buf *out)
{
    const struct pl_config *c = config;
    int rc =
        pl_buf_printf(out, "%s C=%zu L=%zu H=%zu G=%zu D=%zu F=%zu V=%zu theta=%.9g eps=%.9g%s%s",
                      c->arch == PL_ARCH_QWEN2 ? "qwen2" : "llama", c->hidden, c->layers, c->heads,
                      c->kv_heads, c->head_dim, c->ffn, c->vocab, c->rope_theta, (double)c->rms_eps,
                      c->tied ? " tied" : "", c->qkv_bias ? " bias" : "");

    if (rc == PL_OK && c->rope_kind != PL_ROPE_PLAIN)
        rc = pl_buf_printf(out, " rope=%d,%.9g,%.9g,%.9g,%zu", (int)c->rope_kind, c->rope_factor,
                           c->rope_low_freq, c->rope_high_freq, c->rope_original_positions);
    return rc;
}
