#include "common/model/shape.h"

#include "common/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN_FLOATS = 16 };

/* One row of the list of a layer. */
struct part {
    enum pl_role role;
    const char *name;
    bool bias; /* only in models with qkv_bias */
};

/* Transformers' order (of a state dict), which is the order of pl_shape.tensors. */
static const struct part layer_parts[] = {
    {PL_ROLE_Q, "self_attn.q_proj.weight", false},
    {PL_ROLE_Q_BIAS, "self_attn.q_proj.bias", true},
    {PL_ROLE_K, "self_attn.k_proj.weight", false},
    {PL_ROLE_K_BIAS, "self_attn.k_proj.bias", true},
    {PL_ROLE_V, "self_attn.v_proj.weight", false},
    {PL_ROLE_V_BIAS, "self_attn.v_proj.bias", true},
    {PL_ROLE_O, "self_attn.o_proj.weight", false},
    {PL_ROLE_GATE, "mlp.gate_proj.weight", false},
    {PL_ROLE_UP, "mlp.up_proj.weight", false},
    {PL_ROLE_DOWN, "mlp.down_proj.weight", false},
    {PL_ROLE_NORM1, "input_layernorm.weight", false},
    {PL_ROLE_NORM2, "post_attention_layernorm.weight", false},
};

enum { LAYER_PARTS = sizeof layer_parts / sizeof layer_parts[0] };

static bool has_part(const struct pl_config *c, const struct part *part)
{
    return c->qkv_bias || !part->bias;
}

static size_t layer_count(const struct pl_config *c)
{
    size_t count = 0;

    for (size_t i = 0; i < LAYER_PARTS; i++)
        count += has_part(c, &layer_parts[i]);
    return count;
}

/* Rows and columns of a role; columns of a vector are 1. */
static void role_size(const struct pl_config *c, enum pl_role role, size_t *rows, size_t *cols)
{
    const size_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;

    *cols = c->hidden;
    switch (role) {
    case PL_ROLE_EMBED:
    case PL_ROLE_HEAD:
        *rows = c->vocab;
        break;
    case PL_ROLE_Q:
        *rows = q;
        break;
    case PL_ROLE_K:
    case PL_ROLE_V:
        *rows = kv;
        break;
    case PL_ROLE_Q_BIAS:
        *rows = q;
        *cols = 1;
        break;
    case PL_ROLE_K_BIAS:
    case PL_ROLE_V_BIAS:
        *rows = kv;
        *cols = 1;
        break;
    case PL_ROLE_O:
        *rows = c->hidden;
        *cols = q;
        break;
    case PL_ROLE_GATE:
    case PL_ROLE_UP:
        *rows = c->ffn;
        break;
    case PL_ROLE_DOWN:
        *rows = c->hidden;
        *cols = c->ffn;
        break;
    case PL_ROLE_NORM1:
    case PL_ROLE_NORM2:
    case PL_ROLE_NORM_F:
        *rows = c->hidden;
        *cols = 1;
        break;
    }
}

static bool is_vector(enum pl_role role)
{
    switch (role) {
    case PL_ROLE_NORM1:
    case PL_ROLE_NORM2:
    case PL_ROLE_NORM_F:
    case PL_ROLE_Q_BIAS:
    case PL_ROLE_K_BIAS:
    case PL_ROLE_V_BIAS:
        return true;
    default:
        return false;
    }
}

static struct pl_tensor *add(struct pl_shape *shape, enum pl_role role, size_t layer)
{
    struct pl_tensor *t = &shape->tensors[shape->count++];

    t->role = role;
    t->layer = layer;
    t->rank = is_vector(role) ? 1 : 2;
    role_size(&shape->config, role, &t->rows, &t->cols);
    shape->params += pl_tensor_size(t);
    return t;
}

static void list_tensors(struct pl_shape *shape)
{
    const struct pl_config *c = &shape->config;

    strcpy(add(shape, PL_ROLE_EMBED, 0)->name, "model.embed_tokens.weight");
    for (size_t l = 0; l < c->layers; l++) {
        for (size_t i = 0; i < LAYER_PARTS; i++) {
            const struct part *part = &layer_parts[i];
            struct pl_tensor *t;

            if (!has_part(c, part))
                continue;
            t = add(shape, part->role, l);
            snprintf(t->name, sizeof t->name, "model.layers.%zu.%s", l, part->name);
        }
    }
    strcpy(add(shape, PL_ROLE_NORM_F, 0)->name, "model.norm.weight");
    if (!c->tied)
        strcpy(add(shape, PL_ROLE_HEAD, 0)->name, "lm_head.weight");
}

/* Give `role` of `layer` its place; at the next multiple of 16 unless it goes on with a group. */
static void place(struct pl_shape *shape, enum pl_role role, size_t layer, bool joins)
{
    struct pl_tensor *t = (struct pl_tensor *)pl_shape_find(shape, role, layer);

    if (!t)
        return;
    if (!joins)
        shape->floats = (shape->floats + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    t->offset = shape->floats;
    shape->floats += pl_tensor_size(t);
}

static void place_tensors(struct pl_shape *shape)
{
    place(shape, PL_ROLE_EMBED, 0, false);
    for (size_t l = 0; l < shape->config.layers; l++) {
        place(shape, PL_ROLE_Q, l, false);
        place(shape, PL_ROLE_K, l, true);
        place(shape, PL_ROLE_V, l, true);
        place(shape, PL_ROLE_Q_BIAS, l, false);
        place(shape, PL_ROLE_K_BIAS, l, true);
        place(shape, PL_ROLE_V_BIAS, l, true);
        place(shape, PL_ROLE_O, l, false);
        place(shape, PL_ROLE_GATE, l, false);
        place(shape, PL_ROLE_UP, l, true);
        place(shape, PL_ROLE_DOWN, l, false);
        place(shape, PL_ROLE_NORM1, l, false);
        place(shape, PL_ROLE_NORM2, l, false);
    }
    place(shape, PL_ROLE_NORM_F, 0, false);
    place(shape, PL_ROLE_HEAD, 0, false);
    shape->floats = (shape->floats + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
}

int pl_shape_create(const struct pl_config *config, struct pl_shape **ret_shape,
                    struct pl_error *err)
{
    struct pl_shape *shape;
    size_t count;
    int rc = pl_config_check(config, "model", err);

    if (rc < 0)
        return rc;
    count = 2 + config->layers * layer_count(config) + !config->tied;
    shape = calloc(1, sizeof *shape);
    if (shape)
        shape->tensors = calloc(count, sizeof *shape->tensors);
    if (!shape || !shape->tensors) {
        pl_shape_destroy(shape);
        return pl_fail(err, PL_ENOMEM, "no memory for a table of %zu tensors", count);
    }
    shape->config = *config;
    list_tensors(shape);
    PL_ASSERT(shape->count == count);
    place_tensors(shape);
    *ret_shape = shape;
    return PL_OK;
}

void pl_shape_destroy(struct pl_shape *shape)
{
    if (!shape)
        return;
    free(shape->tensors);
    free(shape);
}

/* Where a role is among the rows of a layer; LAYER_PARTS when it is in no layer. */
static size_t part_index(const struct pl_config *c, enum pl_role role)
{
    size_t at = 0;

    for (size_t i = 0; i < LAYER_PARTS; i++) {
        if (!has_part(c, &layer_parts[i]))
            continue;
        if (layer_parts[i].role == role)
            return at;
        at++;
    }
    return LAYER_PARTS;
}

const struct pl_tensor *pl_shape_find(const struct pl_shape *shape, enum pl_role role, size_t layer)
{
    const struct pl_config *c = &shape->config;
    const size_t per_layer = layer_count(c), norm_f = 1 + c->layers * per_layer;
    size_t part;

    switch (role) {
    case PL_ROLE_EMBED:
        return layer == 0 ? &shape->tensors[0] : NULL;
    case PL_ROLE_NORM_F:
        return layer == 0 ? &shape->tensors[norm_f] : NULL;
    case PL_ROLE_HEAD:
        return layer == 0 && !c->tied ? &shape->tensors[norm_f + 1] : NULL;
    default:
        part = part_index(c, role);
        if (part == LAYER_PARTS || layer >= c->layers)
            return NULL;
        return &shape->tensors[1 + layer * per_layer + part];
    }
}

/* Tensors of one layer lie together, so that a name with a layer in it is looked for only there. */
const struct pl_tensor *pl_shape_named(const struct pl_shape *shape, const char *name)
{
    static const char prefix[] = "model.layers.";
    const size_t per_layer = layer_count(&shape->config);
    size_t begin = 0, end = shape->count;

    if (strncmp(name, prefix, sizeof prefix - 1) == 0) {
        const unsigned long layer = strtoul(name + sizeof prefix - 1, NULL, 10);

        if (layer >= shape->config.layers)
            return NULL;
        begin = 1 + layer * per_layer;
        end = begin + per_layer;
    }
    for (size_t i = begin; i < end; i++) {
        if (strcmp(shape->tensors[i].name, name) == 0)
            return &shape->tensors[i];
        if (i == 0 && end == shape->count)
            i = shape->config.layers * per_layer; /* past the layers, to model.norm */
    }
    return NULL;
}
