/*
 * config.json: one that is taken keeps within the stated limits, comes back from what plait writes
 * of it field by field, and its table of tensors can be made.
 */
#include "common/base/json.h"
#include "common/model/config.h"
#include "common/model/shape.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REFUSED = PL_FUZZ_CODE(PL_EFORMAT) | PL_FUZZ_CODE(PL_EUNSUPPORTED) };

static void check_limits(const struct pl_config *c)
{
    PL_ASSERT(c->hidden >= 1 && c->hidden <= PL_HIDDEN_MAX);
    PL_ASSERT(c->layers >= 1 && c->layers <= PL_LAYERS_MAX);
    PL_ASSERT(c->heads >= 1 && c->heads <= PL_HEADS_MAX);
    PL_ASSERT(c->kv_heads >= 1 && c->heads % c->kv_heads == 0);
    PL_ASSERT(c->head_dim >= 2 && c->head_dim <= PL_HEAD_DIM_MAX && c->head_dim % 2 == 0);
    PL_ASSERT(c->ffn >= 1 && c->ffn <= PL_FFN_MAX);
    PL_ASSERT(c->vocab >= 1 && c->vocab <= PL_VOCAB_MAX);
    PL_ASSERT(c->positions_max >= 1 && c->positions_max <= PL_POSITIONS_MAX);
    PL_ASSERT(isfinite(c->rope_theta) && c->rope_theta >= 1);
    PL_ASSERT(isfinite(c->rms_eps) && c->rms_eps > 0);
    PL_ASSERT(isfinite(c->init_range) && c->init_range >= 0);
    PL_ASSERT(c->rope_kind == PL_ROPE_PLAIN || (isfinite(c->rope_factor) && c->rope_factor >= 1));
    PL_ASSERT(c->rope_kind != PL_ROPE_LLAMA3 || c->rope_low_freq < c->rope_high_freq);
    PL_ASSERT(c->bos >= -1 && c->bos < (int64_t)c->vocab);
    PL_ASSERT(c->pad >= -1 && c->pad < (int64_t)c->vocab);
    PL_ASSERT(c->eos_count <= PL_EOS_MAX);
    for (size_t i = 0; i < c->eos_count; i++)
        PL_ASSERT(c->eos[i] >= 0 && c->eos[i] < (int64_t)c->vocab);
}

static void check_same(const struct pl_config *a, const struct pl_config *b)
{
    PL_ASSERT(a->arch == b->arch && a->hidden == b->hidden && a->layers == b->layers);
    PL_ASSERT(a->heads == b->heads && a->kv_heads == b->kv_heads && a->head_dim == b->head_dim);
    PL_ASSERT(a->ffn == b->ffn && a->vocab == b->vocab && a->positions_max == b->positions_max);
    PL_ASSERT(a->rope_theta == b->rope_theta && a->rope_kind == b->rope_kind);
    if (a->rope_kind != PL_ROPE_PLAIN)
        PL_ASSERT(a->rope_factor == b->rope_factor);
    if (a->rope_kind == PL_ROPE_LLAMA3)
        PL_ASSERT(a->rope_low_freq == b->rope_low_freq && a->rope_high_freq == b->rope_high_freq &&
                  a->rope_original_positions == b->rope_original_positions);
    PL_ASSERT(a->rms_eps == b->rms_eps && a->init_range == b->init_range);
    PL_ASSERT(a->tied == b->tied && a->qkv_bias == b->qkv_bias);
    PL_ASSERT(a->bos == b->bos && a->pad == b->pad && a->eos_count == b->eos_count);
    PL_ASSERT(memcmp(a->eos, b->eos, a->eos_count * sizeof a->eos[0]) == 0);
}

/* Through a file, as a model folder has it. */
static void check_again(const struct pl_config *config)
{
    char *path = pl_fuzz_path("config.json");
    json_t *json = pl_config_json(config);
    struct pl_config again = {0};
    struct pl_error err = {0};

    PL_ASSERT(json);
    PL_ASSERT(pl_json_save(path, json, 2, &err) == PL_OK);
    PL_ASSERT(pl_config_load(pl_fuzz_dir(), &again, &err) == PL_OK);
    check_same(config, &again);
    json_decref(json);
    free(path);
}

static void check_shape(const struct pl_config *config)
{
    struct pl_shape *shape = NULL;
    struct pl_error err = {0};
    size_t params = 0, end = 0;

    PL_ASSERT(pl_shape_create(config, &shape, &err) == PL_OK);
    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];

        params += pl_tensor_size(t);
        if (t->offset + pl_tensor_size(t) > end)
            end = t->offset + pl_tensor_size(t);
    }
    PL_ASSERT(params == shape->params);
    PL_ASSERT(end <= shape->floats);
    PL_ASSERT(pl_shape_named(shape, shape->tensors[shape->count - 1].name) ==
              &shape->tensors[shape->count - 1]);
    pl_shape_destroy(shape);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_error err = {0};
    struct pl_config config;
    json_t *root = NULL;
    int rc = pl_json_parse((const char *)data, size, "fuzz", &root, &err);

    if (rc == PL_OK)
        rc = pl_config_parse(root, "fuzz", &config, &err);
    json_decref(root);
    if (rc < 0) {
        pl_fuzz_refused(rc, &err, REFUSED);
        return 0;
    }
    check_limits(&config);
    check_again(&config);
    check_shape(&config);
    return 0;
}
