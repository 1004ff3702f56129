#include "deploy/plan/rates.h"

#include "common/base/json.h"

#include <stdio.h>

enum { FILE_BYTES_MAX = 4 << 20 };

static const double FASTEST = 1e21; /* nothing is */

static const struct {
    const char *key;
    size_t place;
} rows[] = {
    {"peak_flops", offsetof(struct pl_rates, peak_flops)},
    {"read_bytes", offsetof(struct pl_rates, read_bytes)},
    {"forward_flops", offsetof(struct pl_rates, forward_flops)},
    {"backward_flops", offsetof(struct pl_rates, backward_flops)},
    {"attention_flops", offsetof(struct pl_rates, attention_flops)},
    {"attention_backward_flops", offsetof(struct pl_rates, attention_backward_flops)},
    {"decode_bytes", offsetof(struct pl_rates, decode_bytes)},
    {"decode_flops", offsetof(struct pl_rates, decode_flops)},
    {"decode_attention_flops", offsetof(struct pl_rates, decode_attention_flops)},
    {"optimizer_params", offsetof(struct pl_rates, optimizer_params)},
    {"publish_bytes", offsetof(struct pl_rates, publish_bytes)},
};

enum { ROWS = sizeof rows / sizeof *rows };

json_t *pl_rates_json(const struct pl_rates *rates)
{
    json_t *root = json_pack("{s:s, s:I, s:I, s:I, s:f}", "cpu", rates->cpu, "threads",
                             (json_int_t)rates->threads, "hidden", (json_int_t)rates->hidden, "ffn",
                             (json_int_t)rates->ffn, "waited", rates->waited);
    int rc = root ? 0 : -1;

    for (size_t i = 0; rc == 0 && i < ROWS; i++)
        rc = json_object_set_new(
            root, rows[i].key,
            json_real(*(const double *)(const void *)((const char *)rates + rows[i].place)));
    if (rc == 0)
        return root;
    json_decref(root);
    return NULL;
}

static int read_object(const json_t *object, const char *path, struct pl_rates *ret,
                       struct pl_error *err)
{
    struct pl_rates rates = {0};
    const char *cpu = NULL;
    int rc = pl_json_string(object, "cpu", path, &cpu, err);

    if (rc == PL_OK)
        rc = pl_json_size(object, "threads", path, 1, 1 << 20, &rates.threads, err);
    if (rc == PL_OK)
        rc = pl_json_size(object, "hidden", path, 1, PL_HIDDEN_MAX, &rates.hidden, err);
    if (rc == PL_OK)
        rc = pl_json_size(object, "ffn", path, 1, PL_FFN_MAX, &rates.ffn, err);
    if (rc == PL_OK && pl_json_has(object, "waited"))
        rc = pl_json_real(object, "waited", path, 0.0, 1.0, &rates.waited, err);
    for (size_t i = 0; rc == PL_OK && i < ROWS; i++)
        rc = pl_json_real(object, rows[i].key, path, 1.0, FASTEST,
                          (double *)(void *)((char *)&rates + rows[i].place), err);
    if (rc < 0)
        return rc;
    snprintf(rates.cpu, sizeof rates.cpu, "%s", cpu);
    *ret = rates;
    return PL_OK;
}

int pl_rates_load(const char *path, struct pl_rates *ret_rates, struct pl_error *err)
{
    json_t *root = NULL;
    const json_t *inner;
    int rc = pl_json_load(path, FILE_BYTES_MAX, &root, err);

    if (rc == PL_OK) {
        inner = json_object_get(root, "rates");
        rc = read_object(json_is_object(inner) ? inner : root, path, ret_rates, err);
    }
    json_decref(root);
    return rc;
}
