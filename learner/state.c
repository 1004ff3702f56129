#include "learner/state.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/json.h"
#include "common/base/pulse.h"
#include "common/model/safetensors.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 3, NAME_MAX_BYTES = 96, JSON_BYTES_MAX = 1 << 20, VERSION = 1 };

static const char *const part_names[PARTS] = {"master", "exp_avg", "exp_avg_sq"};
static const char format_name[] = "plait trainer state";

static float *part_of(const struct pl_adamw_state *adamw, size_t part)
{
    return part == 0 ? adamw->master : part == 1 ? adamw->m : adamw->v;
}

static void part_name(char name[NAME_MAX_BYTES], const struct pl_tensor *t, size_t part)
{
    snprintf(name, NAME_MAX_BYTES, "%s.%s", t->name, part_names[part]);
}

/* The tensors of the model, then those of the tail. */
static size_t tensor_count(const struct pl_shape *shape, const struct pl_adamw_state *adamw)
{
    return shape->count + adamw->tail_count;
}

static const struct pl_tensor *tensor_at(const struct pl_shape *shape,
                                         const struct pl_adamw_state *adamw, size_t i)
{
    return i < shape->count ? &shape->tensors[i] : &adamw->tail[i - shape->count];
}

static bool has_tensor(const struct pl_shape *shape, const struct pl_adamw_state *adamw,
                       const char *name)
{
    for (size_t i = 0; i < adamw->tail_count; i++)
        if (strcmp(adamw->tail[i].name, name) == 0)
            return true;
    return pl_shape_named(shape, name) != NULL;
}

/* Every value is a number, and a mean of squares is not negative. */
static int check_values(const float *x, const struct pl_tensor *t, size_t part, const char *where,
                        int code, struct pl_error *err)
{
    const size_t n = pl_tensor_size(t);
    bool good = true;

    for (size_t i = 0; i < n; i++)
        good &= isfinite(x[i]) && (part < 2 || x[i] >= 0.0f);
    pl_pulse();
    if (good)
        return PL_OK;
    return pl_fail(err, code, "'%s': '%s.%s' holds a value that is %s", where, t->name,
                   part_names[part], part < 2 ? "not finite" : "negative or not finite");
}

/* --- optimizer.safetensors --- */

static struct pl_st_entry entry_of(const struct pl_tensor *t, const char *name)
{
    return (struct pl_st_entry){
        .name = name, .dtype = PL_DTYPE_F32, .rank = t->rank, .dims = {t->rows, t->cols}};
}

static int write_values(struct pl_st_writer *writer, const struct pl_shape *shape,
                        const struct pl_adamw_state *adamw, struct pl_error *err)
{
    int rc = PL_OK;

    for (size_t i = 0; i < tensor_count(shape, adamw) && rc == PL_OK; i++) {
        const struct pl_tensor *t = tensor_at(shape, adamw, i);

        for (size_t part = 0; part < PARTS && rc == PL_OK; part++)
            rc = pl_st_writer_write(writer, part_of(adamw, part) + t->offset,
                                    pl_tensor_size(t) * sizeof(float), err);
    }
    return rc;
}

/* The list of tensors, with names in `names`. */
static void list_entries(const struct pl_shape *shape, const struct pl_adamw_state *adamw,
                         struct pl_st_entry *entries, char (*names)[NAME_MAX_BYTES])
{
    for (size_t i = 0; i < tensor_count(shape, adamw) * PARTS; i++) {
        const struct pl_tensor *t = tensor_at(shape, adamw, i / PARTS);

        part_name(names[i], t, i % PARTS);
        entries[i] = entry_of(t, names[i]);
    }
}

static int write_optimizer(const char *path, const struct pl_shape *shape,
                           const struct pl_adamw_state *adamw, struct pl_error *err)
{
    const size_t count = tensor_count(shape, adamw) * PARTS;
    struct pl_st_entry *entries = pl_alloc(count, sizeof *entries);
    char(*names)[NAME_MAX_BYTES] = pl_alloc(count, sizeof *names);
    char step[32];
    json_t *metadata;
    struct pl_st_writer writer;
    int rc;

    snprintf(step, sizeof step, "%" PRIu64, adamw->step);
    metadata = json_pack("{s:s, s:s}", "format", "plait-adamw", "step", step);
    if (!entries || !names || !metadata) {
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for its list of %zu tensors", path, count);
        goto out;
    }
    list_entries(shape, adamw, entries, names);
    rc = pl_st_writer_open(path, entries, count, metadata, &writer, err);
    if (rc < 0)
        goto out;
    rc = write_values(&writer, shape, adamw, err);
    if (rc < 0)
        pl_st_writer_abort(&writer);
    else
        rc = pl_st_writer_commit(&writer, err);
out:
    json_decref(metadata);
    free(entries);
    free(names);
    return rc;
}

static bool same_shape(const struct pl_st_entry *found, const struct pl_st_entry *want)
{
    if (found->dtype != want->dtype || found->rank != want->rank)
        return false;
    for (size_t i = 0; i < want->rank; i++)
        if (found->dims[i] != want->dims[i])
            return false;
    return true;
}

static int read_part(const char *path, const struct pl_st *st, const struct pl_tensor *t,
                     size_t part, float *values, struct pl_error *err)
{
    char name[NAME_MAX_BYTES];
    const struct pl_st_entry *found, want = entry_of(t, name);

    part_name(name, t, part);
    found = pl_st_find(st, name);
    if (!found)
        return pl_fail(err, PL_EFORMAT, "'%s': tensor '%s' is missing", path, name);
    if (!same_shape(found, &want))
        return pl_fail(err, PL_EFORMAT,
                       "'%s': tensor '%s' is not F32 of %zu by %zu; it belongs to another model",
                       path, name, t->rows, t->cols);
    memcpy(values, found->data, found->bytes);
    return check_values(values, t, part, path, PL_EFORMAT, err);
}

/* All that is expected was found; so whatever else there is can be named by not being expected. */
static int check_nothing_else(const char *path, const struct pl_st *st,
                              const struct pl_shape *shape, const struct pl_adamw_state *adamw,
                              struct pl_error *err)
{
    for (size_t i = 0; i < st->count && st->count > tensor_count(shape, adamw) * PARTS; i++) {
        const char *name = st->entries[i].name, *dot = strrchr(name, '.');
        char *tensor = dot ? strndup(name, (size_t)(dot - name)) : NULL;
        bool known = false;

        for (size_t part = 0; tensor && part < PARTS; part++)
            known |= strcmp(dot + 1, part_names[part]) == 0 && has_tensor(shape, adamw, tensor);
        free(tensor);
        if (!known)
            return pl_fail(err, PL_EFORMAT, "'%s': tensor '%.80s' is none of this model's", path,
                           name);
    }
    return PL_OK;
}

static int check_metadata(const char *path, const struct pl_st *st, uint64_t updates,
                          struct pl_error *err)
{
    const char *text = json_string_value(json_object_get(st->metadata, "step"));
    char want[32];

    snprintf(want, sizeof want, "%" PRIu64, updates);
    if (text && strcmp(text, want) == 0)
        return PL_OK;
    return pl_fail(err, PL_EFORMAT,
                   "'%s' was written after %.20s updates, but %s beside it counts %s; the two do "
                   "not belong together",
                   path, text ? text : "an unknown number of", PL_STATE_TRAINER, want);
}

static int read_optimizer(const char *path, const struct pl_shape *shape,
                          struct pl_adamw_state *adamw, struct pl_error *err)
{
    struct pl_st st = {0};
    int rc = pl_st_open(path, &st, err);

    if (rc == PL_OK)
        rc = check_metadata(path, &st, adamw->step, err);
    for (size_t i = 0; i < tensor_count(shape, adamw) && rc == PL_OK; i++) {
        const struct pl_tensor *t = tensor_at(shape, adamw, i);

        for (size_t part = 0; part < PARTS && rc == PL_OK; part++)
            rc = read_part(path, &st, t, part, part_of(adamw, part) + t->offset, err);
    }
    if (rc == PL_OK)
        rc = check_nothing_else(path, &st, shape, adamw, err);
    pl_st_close(&st);
    return rc;
}

/* The weights that a model folder gave are this master, rounded. */
static int check_weights(const char *path, const struct pl_weights *weights, const float *master,
                         struct pl_error *err)
{
    const struct pl_shape *shape = weights->shape;
    uint16_t *rows = NULL;
    size_t cols_max = 1;
    int rc = PL_OK;

    for (size_t i = 0; i < shape->count; i++)
        if (shape->tensors[i].cols > cols_max)
            cols_max = shape->tensors[i].cols;
    rows = pl_alloc(PL_PANEL * cols_max, sizeof *rows);
    if (!rows)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory to compare it with the weights", path);
    for (size_t i = 0; i < shape->count && rc == PL_OK; i++) {
        const struct pl_tensor *t = &shape->tensors[i];
        bool same = true;

        for (size_t row = 0; row < t->rows && same; row += PL_PANEL) {
            const size_t n = t->rows - row < PL_PANEL ? t->rows - row : PL_PANEL;
            const float *at = master + t->offset + row * t->cols;

            pl_weights_get(weights, t, row, n, rows);
            for (size_t j = 0; j < n * t->cols; j++)
                same &= rows[j] == pl_bf16_round(at[j]);
        }
        if (!same)
            rc = pl_fail(err, PL_EFORMAT,
                         "'%s': the master values of '%s' are not those of the model beside it; "
                         "the two do not belong together",
                         path, t->name);
    }
    free(rows);
    return rc;
}

/* --- trainer_state.json --- */

static int write_trainer(const char *path, const struct pl_train_state *s, uint64_t updates,
                         const json_t *agree, struct pl_error *err)
{
    json_t *root = json_pack(
        "{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:s, s:O}", "format", format_name,
        "version", VERSION, "global_step", (json_int_t)s->step, "updates", (json_int_t)updates,
        "skipped", (json_int_t)s->skipped, "skipped_in_a_row", (json_int_t)s->skipped_in_a_row,
        "epoch", (json_int_t)s->epoch, "index", (json_int_t)s->index, "tokens",
        (json_int_t)s->tokens, "best_val_loss",
        isnan(s->eval_best) ? json_null() : json_real(s->eval_best), "best_val_step",
        (json_int_t)s->eval_best_step, "blas_core", s->core, "must_agree", (json_t *)agree);
    int rc;

    rc = pl_json_save(path, root, 2, err);
    json_decref(root);
    return rc;
}

/* Counts are read in one go: key and place. */
struct count {
    const char *key;
    uint64_t *at;
};

static int read_counts(const json_t *root, const char *path, const struct count *counts, size_t n,
                       struct pl_error *err)
{
    int rc = PL_OK;

    for (size_t i = 0; i < n && rc == PL_OK; i++) {
        size_t value = 0;

        rc = pl_json_size(root, counts[i].key, path, 0, INT64_MAX, &value, err);
        *counts[i].at = value;
    }
    return rc;
}

static int check_format(const json_t *root, const char *path, struct pl_error *err)
{
    const char *format = NULL;
    size_t version = 0;
    int rc = pl_json_string(root, "format", path, &format, err);

    if (rc == PL_OK && strcmp(format, format_name) != 0)
        rc = pl_fail(err, PL_EFORMAT, "'%s': its format is '%.40s', not '%s'", path, format,
                     format_name);
    if (rc == PL_OK)
        rc = pl_json_size(root, "version", path, 0, INT64_MAX, &version, err);
    if (rc == PL_OK && version != VERSION)
        rc = pl_fail(err, PL_EFORMAT, "'%s': its version is %zu; this plait reads %d", path,
                     version, VERSION);
    return rc;
}

static int read_fields(const json_t *root, const char *path, struct pl_train_state *s,
                       struct pl_error *err)
{
    uint64_t updates = 0;
    const struct count counts[] = {
        {"global_step", &s->step}, {"updates", &updates},
        {"skipped", &s->skipped},  {"skipped_in_a_row", &s->skipped_in_a_row},
        {"epoch", &s->epoch},      {"index", &s->index},
        {"tokens", &s->tokens},    {"best_val_step", &s->eval_best_step},
    };
    const char *core = NULL;
    int rc = read_counts(root, path, counts, sizeof counts / sizeof counts[0], err);

    s->eval_best = NAN;
    if (rc == PL_OK && pl_json_has(root, "best_val_loss"))
        rc = pl_json_real(root, "best_val_loss", path, -HUGE_VAL, HUGE_VAL, &s->eval_best, err);
    if (rc == PL_OK)
        rc = pl_json_string(root, "blas_core", path, &core, err);
    if (rc < 0)
        return rc;
    snprintf(s->core, sizeof s->core, "%s", core);
    if (s->skipped > s->step || s->skipped_in_a_row > s->skipped || updates != s->step - s->skipped)
        return pl_fail(err, PL_EFORMAT,
                       "'%s': %" PRIu64 " steps, %" PRIu64 " of them skipped, cannot be %" PRIu64
                       " updates",
                       path, s->step, s->skipped, updates);
    return PL_OK;
}

/* Two values as JSON, with as few digits as tell them apart. */
static void value_texts(const json_t *was, const json_t *is, char *ret_texts[2])
{
    const json_t *const values[] = {was, is};
    size_t digits = 15;

    do {
        for (size_t i = 0; i < 2; i++) {
            free(ret_texts[i]);
            ret_texts[i] =
                values[i] ? json_dumps(values[i], JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits))
                          : strdup("not known");
        }
        digits += 2;
    } while (digits <= 17 && ret_texts[0] && ret_texts[1] &&
             strcmp(ret_texts[0], ret_texts[1]) == 0);
}

/* Long values, such as hashes, by their beginning. */
static int add_difference(const char *key, const json_t *was, const json_t *is, struct pl_buf *out)
{
    enum { SHOWN = 60 };
    char *texts[2] = {NULL, NULL};
    int rc = out->len > 0 ? pl_buf_puts(out, "; ") : PL_OK;

    value_texts(was, is, texts);
    if (rc == PL_OK)
        rc = pl_buf_printf(out, "%s was %.*s and is %.*s now", key, SHOWN,
                           texts[0] ? texts[0] : "?", SHOWN, texts[1] ? texts[1] : "?");
    free(texts[0]);
    free(texts[1]);
    return rc;
}

int pl_state_differences(const json_t *was, const json_t *is, struct pl_buf *out, size_t *ret_count)
{
    const char *key;
    json_t *value;
    int rc = PL_OK;

    *ret_count = 0;
    json_object_foreach((json_t *)is, key, value)
    {
        if (rc < 0 || json_equal(value, json_object_get(was, key)))
            continue;
        rc = add_difference(key, json_object_get(was, key), value, out);
        ++*ret_count;
    }
    json_object_foreach((json_t *)was, key, value)
    {
        if (rc < 0 || json_object_get(is, key))
            continue;
        rc = add_difference(key, value, NULL, out);
        ++*ret_count;
    }
    return rc;
}

static int check_agree(const json_t *root, const char *path, const json_t *agree,
                       struct pl_error *err)
{
    const json_t *before = json_object_get(root, "must_agree");
    struct pl_buf text;
    size_t count = 0;
    int rc;

    if (!json_is_object(before))
        return pl_fail(err, PL_EFORMAT, "'%s': 'must_agree' is not an object", path);
    if (!agree)
        return PL_OK;
    pl_buf_init(&text, JSON_BYTES_MAX);
    rc = pl_state_differences(before, agree, &text, &count);
    if (rc < 0)
        rc = pl_fail(err, rc, "'%s': no memory to compare it", path);
    else if (count > 0)
        rc = pl_fail(err, PL_EINVAL, "'%s': %s; a run goes on only as it began", path, text.data);
    pl_buf_release(&text);
    return rc;
}

int pl_state_check(const char *dir, const json_t *agree, struct pl_train_state *ret_state,
                   struct pl_error *err)
{
    char *path = pl_strf("%s/%s", dir, PL_STATE_TRAINER);
    struct pl_train_state state = {0};
    json_t *root = NULL;
    int rc = path ? pl_json_load(path, JSON_BYTES_MAX, &root, err)
                  : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir);

    if (rc == PL_OK)
        rc = check_format(root, path, err);
    if (rc == PL_OK)
        rc = read_fields(root, path, &state, err);
    if (rc == PL_OK)
        rc = check_agree(root, path, agree, err);
    if (rc == PL_OK)
        *ret_state = state;
    json_decref(root);
    free(path);
    return rc;
}

int pl_state_agreed(const char *dir, json_t **ret_rows, struct pl_error *err)
{
    char *path = pl_strf("%s/%s", dir, PL_STATE_TRAINER);
    json_t *root = NULL;
    int rc = path ? pl_json_load(path, JSON_BYTES_MAX, &root, err)
                  : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir);

    if (rc == PL_OK)
        rc = check_format(root, path, err);
    if (rc == PL_OK)
        rc = check_agree(root, path, NULL, err);
    if (rc == PL_OK)
        *ret_rows = json_incref(json_object_get(root, "must_agree"));
    json_decref(root);
    free(path);
    return rc;
}

/* --- both --- */

static int check_finite(const char *dir, const struct pl_shape *shape,
                        const struct pl_adamw_state *adamw, struct pl_error *err)
{
    int rc = PL_OK;

    for (size_t i = 0; i < tensor_count(shape, adamw) * PARTS && rc == PL_OK; i++) {
        const struct pl_tensor *t = tensor_at(shape, adamw, i / PARTS);

        rc = check_values(part_of(adamw, i % PARTS) + t->offset, t, i % PARTS, dir, PL_EINVAL, err);
    }
    return rc;
}

int pl_state_write(const char *dir, const struct pl_train_state *state, const json_t *agree,
                   const struct pl_shape *shape, const struct pl_adamw_state *adamw,
                   struct pl_error *err)
{
    char *optimizer = pl_strf("%s/%s", dir, PL_STATE_OPTIMIZER);
    char *trainer = pl_strf("%s/%s", dir, PL_STATE_TRAINER);
    int rc;

    PL_ASSERT(state->skipped <= state->step && state->step - state->skipped == adamw->step);
    if (!optimizer || !trainer)
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir);
    else
        rc = check_finite(dir, shape, adamw, err);
    if (rc == PL_OK)
        rc = write_optimizer(optimizer, shape, adamw, err);
    if (rc == PL_OK)
        rc = write_trainer(trainer, state, adamw->step, agree, err);
    free(optimizer);
    free(trainer);
    return rc;
}

int pl_state_read(const char *dir, const json_t *agree, const struct pl_weights *weights,
                  struct pl_adamw_state *adamw, struct pl_train_state *ret_state,
                  struct pl_error *err)
{
    char *path = pl_strf("%s/%s", dir, PL_STATE_OPTIMIZER);
    struct pl_train_state state;
    int rc = path ? pl_state_check(dir, agree, &state, err)
                  : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir);

    if (rc < 0)
        goto out;
    adamw->step = state.step - state.skipped;
    rc = read_optimizer(path, weights->shape, adamw, err);
    if (rc == PL_OK)
        rc = check_weights(path, weights, adamw->master, err);
    if (rc == PL_OK)
        *ret_state = state;
out:
    free(path);
    return rc;
}
