#include "learner/savepoint.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/model/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN_STATE "run_state.json"

static int write_behind(const char *dir, const struct pl_behind *b, size_t values,
                        struct pl_error *err)
{
    char *path = pl_strf("%s/policy-%llu.bf16", dir, (unsigned long long)b->version);
    struct pl_outfile out;
    int rc = path ? pl_outfile_open(path, &out, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for a checkpoint");

    if (rc == PL_OK) {
        rc = pl_outfile_write(&out, b->values, values * sizeof *b->values, err);
        if (rc == PL_OK)
            rc = pl_outfile_commit(&out, err);
        else
            pl_outfile_abort(&out);
    }
    free(path);
    return rc;
}

static int write_run_state(const char *dir, const struct pl_savepoint *point, struct pl_error *err)
{
    json_t *behind = json_array(), *evals = json_array();
    json_t *root =
        json_pack("{s:I, s:I, s:f, s:f, s:o, s:o}", "step", (json_int_t)point->step, "life",
                  (json_int_t)(point->life ? point->life : 1), "accuracy", point->accuracy,
                  "kl_coef", point->kl_coef, "behind", behind, "evals", evals);
    char *path = pl_strf("%s/" RUN_STATE, dir);
    int rc;

    if (!isfinite(point->accuracy) || !isfinite(point->kl_coef))
        rc = pl_fail(err, PL_EINVAL, "'%s': accuracy %g or KL coefficient %g is no number", dir,
                     point->accuracy, point->kl_coef);
    else
        rc = root && path ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory for a checkpoint");
    for (size_t i = 0; root && i < point->behind_count; i++)
        json_array_append_new(behind, json_integer((json_int_t)point->behind[i].version));
    for (size_t i = 0; root && i < point->eval_count; i++)
        json_array_append_new(evals, json_integer((json_int_t)point->evals[i]));
    if (rc == PL_OK)
        rc = pl_json_save(path, root, 2, err);
    json_decref(root);
    free(path);
    return rc;
}

char *pl_savepoint_critic(const char *path)
{
    return pl_strf("%s/critic", path);
}

/* A folder in the folder, on disk before the outer one gets its name. */
static int write_critic(const char *dir, const struct pl_savepoint *point, const json_t *agree,
                        const struct pl_savepoint_model *critic, struct pl_error *err)
{
    char *path = pl_savepoint_critic(dir);
    int rc = path ? pl_dir_make(path, err) : pl_fail(err, PL_ENOMEM, "no memory for a checkpoint");

    if (rc == PL_OK)
        rc = pl_model_write(path, critic->weights, NULL, PL_SHARD_DEFAULT, err);
    if (rc == PL_OK)
        rc =
            pl_state_write(path, &point->critic, agree, critic->weights->shape, critic->adamw, err);
    if (rc == PL_OK)
        rc = pl_dir_sync(path, err);
    free(path);
    return rc;
}

int pl_savepoint_write(const struct pl_rundir *dir, const struct pl_savepoint *point,
                       const json_t *agree, const struct pl_savepoint_model *policy,
                       const struct pl_savepoint_model *critic, const char *tokenizer_dir,
                       size_t values, struct pl_error *err)
{
    struct pl_outdir out;
    int rc = pl_rundir_begin(dir, point->step, &out, err);

    if (rc < 0)
        return rc;
    rc = pl_model_write(out.tmp, policy->weights, tokenizer_dir, PL_SHARD_DEFAULT, err);
    if (rc == PL_OK)
        rc = pl_state_write(out.tmp, &point->train, agree, policy->weights->shape, policy->adamw,
                            err);
    if (rc == PL_OK && critic)
        rc = write_critic(out.tmp, point, agree, critic, err);
    for (size_t i = 0; rc == PL_OK && i < point->behind_count; i++)
        rc = write_behind(out.tmp, &point->behind[i], values, err);
    if (rc == PL_OK)
        rc = write_run_state(out.tmp, point, err);
    if (rc == PL_OK)
        return pl_rundir_commit(dir, point->step, &out, err);
    pl_outdir_abort(&out);
    return rc;
}

static int read_behind(const char *dir, uint64_t version, size_t values, struct pl_behind *ret,
                       struct pl_error *err)
{
    char *path = pl_strf("%s/policy-%llu.bf16", dir, (unsigned long long)version);
    const size_t bytes = values * sizeof *ret->values;
    char *data = NULL;
    size_t len = 0;
    int rc = path ? pl_file_read(path, bytes, &data, &len, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for a checkpoint");

    if (rc == PL_OK && len != bytes) {
        rc = pl_fail(err, PL_EFORMAT, "'%s' has %zu bytes; %zu are expected", path, len, bytes);
        free(data);
    } else if (rc == PL_OK) {
        *ret = (struct pl_behind){version, (uint16_t *)(void *)data};
    }
    free(path);
    return rc;
}

/* Ascending steps, none after `step`. */
static int read_evals(const json_t *evals, const char *file, uint64_t step,
                      struct pl_savepoint *point, struct pl_error *err)
{
    if (!json_is_array(evals) || json_array_size(evals) > PL_EVALS_MAX)
        return pl_fail(err, PL_EFORMAT, "'%s': 'evals' must be a list of at most %d steps", file,
                       PL_EVALS_MAX);
    for (size_t i = 0; i < json_array_size(evals); i++) {
        const json_t *item = json_array_get(evals, i);
        const json_int_t at = json_is_integer(item) ? json_integer_value(item) : -1;

        if (at < 0 || (uint64_t)at > step || (i > 0 && (uint64_t)at <= point->evals[i - 1]))
            return pl_fail(err, PL_EFORMAT, "'%s': 'evals' are steps up to %llu, ascending", file,
                           (unsigned long long)step);
        point->evals[point->eval_count++] = (uint64_t)at;
    }
    return PL_OK;
}

/* Those from before lives were counted were in the first. */
static int read_life(const json_t *root, const char *file, uint64_t *ret_life, struct pl_error *err)
{
    size_t life = 1;
    int rc = PL_OK;

    if (pl_json_has(root, "life"))
        rc = pl_json_size(root, "life", file, 1, SIZE_MAX / 2, &life, err);
    *ret_life = life;
    return rc;
}

int pl_savepoint_life(const char *path, uint64_t *ret_life, struct pl_error *err)
{
    char *file = pl_strf("%s/" RUN_STATE, path);
    json_t *root = NULL;
    int rc = file ? pl_json_load(file, 1 << 20, &root, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for a checkpoint");

    if (rc == PL_OK)
        rc = read_life(root, file, ret_life, err);
    json_decref(root);
    free(file);
    return rc;
}

static int read_run_state(const char *path, size_t values, struct pl_savepoint *point,
                          struct pl_error *err)
{
    char *file = pl_strf("%s/" RUN_STATE, path);
    const json_t *behind;
    json_t *root = NULL;
    size_t step = 0;
    int rc = file ? pl_json_load(file, 1 << 20, &root, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for a checkpoint");

    if (rc == PL_OK)
        rc = pl_json_size(root, "step", file, 0, SIZE_MAX / 2, &step, err);
    if (rc == PL_OK)
        rc = read_life(root, file, &point->life, err);
    if (rc == PL_OK)
        rc = pl_json_real(root, "accuracy", file, 0.0, 1.0, &point->accuracy, err);
    if (rc == PL_OK)
        rc = pl_json_real(root, "kl_coef", file, 0.0, 1e12, &point->kl_coef, err);
    point->step = step;
    behind = json_object_get(root, "behind");
    if (rc == PL_OK && (!json_is_array(behind) || json_array_size(behind) > PL_BEHIND_MAX))
        rc = pl_fail(err, PL_EFORMAT, "'%s': 'behind' must be a list of at most %d versions", file,
                     PL_BEHIND_MAX);
    for (size_t i = 0; rc == PL_OK && i < json_array_size(behind); i++) {
        const json_t *version = json_array_get(behind, i);

        rc = json_is_integer(version) && json_integer_value(version) > 0
                 ? read_behind(path, (uint64_t)json_integer_value(version), values,
                               &point->behind[i], err)
                 : pl_fail(err, PL_EFORMAT, "'%s': 'behind' holds no version", file);
        point->behind_count += rc == PL_OK;
    }
    if (rc == PL_OK)
        rc = read_evals(json_object_get(root, "evals"), file, step, point, err);
    json_decref(root);
    free(file);
    return rc;
}

static int read_critic(const char *dir, const json_t *agree,
                       const struct pl_savepoint_model *critic, struct pl_train_state *ret_state,
                       struct pl_error *err)
{
    char *path = pl_savepoint_critic(dir);
    int rc = path ? pl_state_read(path, agree, critic->weights, critic->adamw, ret_state, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for a checkpoint");

    free(path);
    return rc;
}

int pl_savepoint_read(const char *path, const json_t *agree,
                      const struct pl_savepoint_model *policy,
                      const struct pl_savepoint_model *critic, size_t values,
                      struct pl_savepoint *ret_point, struct pl_error *err)
{
    struct pl_savepoint point = {0};
    int rc = pl_state_read(path, agree, policy->weights, policy->adamw, &point.train, err);

    if (rc == PL_OK && critic)
        rc = read_critic(path, agree, critic, &point.critic, err);
    if (rc == PL_OK)
        rc = read_run_state(path, values, &point, err);
    if (rc < 0) {
        for (size_t i = 0; i < point.behind_count; i++)
            free(point.behind[i].values);
        return rc;
    }
    *ret_point = point;
    return PL_OK;
}
