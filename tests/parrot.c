#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/parrot.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/math/mat.h"
#include "common/model/checkpoint.h"
#include "tests/mini_tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 384, ROW_OF_NONE = ROWS - 1 }; /* of the model; tokens are fewer */

/* What the scripts come to. */
struct plan {
    uint32_t next[ROWS];
    size_t tokens;
    struct pl_buf added; /* as tokenizer.json has them */
};

static void must(int rc, const struct pl_error *err)
{
    if (rc != PL_OK)
        fail_msg("%s", err->text);
}

static void add_token(struct plan *plan, const char *content, size_t len, bool special)
{
    struct pl_buf *buf = &plan->added;

    assert_true(plan->tokens < ROW_OF_NONE);
    assert_int_equal(
        pl_buf_printf(buf, "%s{\"id\":%zu,\"content\":", buf->len > 0 ? "," : "", plan->tokens++),
        PL_OK);
    assert_int_equal(pl_json_quote(buf, content, len), PL_OK);
    assert_int_equal(
        pl_buf_printf(buf, ",\"special\":%s,\"normalized\":false}", special ? "true" : "false"),
        PL_OK);
}

/* The id of a piece; one that was not there before becomes an added token. */
static uint32_t piece_id(struct plan *plan, const char *piece, size_t len)
{
    unsigned byte;

    if (len == 1)
        return (unsigned char)piece[0];
    if (len == 4 && sscanf(piece, "\\x%2x", &byte) == 1)
        return byte;
    if (len == 5 && memcmp(piece, "\\none", 5) == 0)
        return ROW_OF_NONE;
    if (len == 7 && memcmp(piece, "<|end|>", 7) == 0)
        return PL_PARROT_END;
    const bool special = piece[0] == '!';

    add_token(plan, piece + special, len - special, special);
    return (uint32_t)plan->tokens - 1;
}

static void add_script(struct plan *plan, const char *script)
{
    uint32_t last = (unsigned char)script[0], first = 0;

    assert_int_equal(script[1], '=');
    for (const char *at = script + 2; *at;) {
        const size_t len = strcspn(at, "~");
        uint32_t id;

        if (len == 1 && *at == '*') {
            plan->next[last] = first;
            return;
        }
        id = piece_id(plan, at, len);
        plan->next[last] = id;
        first = first ? first : id;
        last = id;
        at += len + (at[len] == '~');
    }
    plan->next[last] = PL_PARROT_STOP;
}

static void make_plan(struct plan *plan, const char *const *scripts, size_t count)
{
    *plan = (struct plan){.tokens = PL_PARROT_STOP};
    for (size_t i = 0; i < ROWS; i++)
        plan->next[i] = PL_PARROT_STOP;
    pl_buf_init(&plan->added, 1 << 20);
    add_token(plan, "<|endoftext|>", 13, true);
    add_token(plan, "<|end|>", 7, true);
    for (size_t i = 0; i < count; i++)
        add_script(plan, scripts[i]);
}

static struct pl_config parrot_config(size_t positions)
{
    return (struct pl_config){.arch = PL_ARCH_QWEN2,
                              .hidden = ROWS,
                              .layers = 1,
                              .heads = 2,
                              .kv_heads = 1,
                              .head_dim = 8,
                              .ffn = 16,
                              .vocab = ROWS,
                              .positions_max = positions,
                              .rope_theta = 10000,
                              .rope_factor = 1,
                              .rms_eps = 1e-6f,
                              .qkv_bias = true,
                              .init_range = 0.02,
                              .bos = -1,
                              .pad = -1,
                              .eos = {PL_PARROT_STOP},
                              .eos_count = 1};
}

static void set_row(struct pl_weights *weights, enum pl_role role, size_t row, size_t at)
{
    const struct pl_tensor *tensor = pl_shape_find(weights->shape, role, 0);
    uint16_t values[ROWS] = {0};

    values[at] = pl_bf16_round(1.0f);
    pl_weights_set(weights, tensor, row, 1, values);
}

static void set_norm(struct pl_weights *weights, enum pl_role role)
{
    const struct pl_tensor *tensor = pl_shape_find(weights->shape, role, 0);
    uint16_t values[ROWS];

    for (size_t i = 0; i < ROWS; i++)
        values[i] = pl_bf16_round(1.0f);
    pl_weights_set(weights, tensor, 0, tensor->rows, values);
}

/*
 * A token is a direction of its own. Attention and feed-forward add nothing, for all their matrices
 * are zero, so that a
 * successor's logit is sqrt(ROWS), about 20, and all others are 0.
 */
static void set_weights(struct pl_weights *weights, const struct plan *plan)
{
    const struct pl_tensor *head = pl_shape_find(weights->shape, PL_ROLE_HEAD, 0);

    set_norm(weights, PL_ROLE_NORM1);
    set_norm(weights, PL_ROLE_NORM2);
    set_norm(weights, PL_ROLE_NORM_F);
    for (size_t id = 0; id < ROWS; id++)
        set_row(weights, PL_ROLE_EMBED, id, id);
    for (size_t row = 0; row < ROWS; row++) { /* 1 under each token that it follows */
        uint16_t values[ROWS];

        for (size_t id = 0; id < ROWS; id++)
            values[id] = pl_bf16_round(plan->next[id] == row ? 1.0f : 0.0f);
        pl_weights_set(weights, head, row, 1, values);
    }
}

void pl_parrot_create(struct pl_parrot *parrot, const char *const *scripts, size_t count,
                      size_t positions)
{
    const struct pl_config config = parrot_config(positions);
    struct plan *plan = malloc(sizeof *plan);
    struct pl_test_mini mini = {0};
    struct pl_error err;

    assert_non_null(plan);
    make_plan(plan, scripts, count);
    mini.added = plan->added.data;
    parrot->json = pl_test_mini_json(&mini);
    must(pl_tokenizer_parse(parrot->json, strlen(parrot->json), "parrot", &parrot->tokenizer, &err),
         &err);
    must(pl_shape_create(&config, &parrot->shape, &err), &err);
    must(pl_weights_create(parrot->shape, &parrot->weights, &err), &err);
    set_weights(parrot->weights, plan);
    pl_buf_release(&plan->added);
    free(plan);
}

void pl_parrot_destroy(struct pl_parrot *parrot)
{
    pl_weights_destroy(parrot->weights);
    pl_shape_destroy(parrot->shape);
    pl_tokenizer_destroy(parrot->tokenizer);
    free(parrot->json);
}

void pl_parrot_save(const struct pl_parrot *parrot, const char *dir)
{
    char *path = pl_strf("%s/tokenizer.json", dir);
    struct pl_outfile out;
    struct pl_error err;

    assert_non_null(path);
    must(pl_model_save(dir, false, parrot->weights, NULL, PL_SHARD_DEFAULT, &err), &err);
    must(pl_outfile_open(path, &out, &err), &err);
    must(pl_outfile_write(&out, parrot->json, strlen(parrot->json), &err), &err);
    must(pl_outfile_commit(&out, &err), &err);
    free(path);
}
