#include "learner/result.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/model/checkpoint.h"
#include "common/model/outdir.h"

#include <stdlib.h>
#include <string.h>

enum { JSON_BYTES_MAX = 1 << 16, ID_BYTES_MAX = 256 };

/* The folder's run_id; *ret_id is NULL where it has none. */
static int read_id(const char *dir, char **ret_id, struct pl_error *err)
{
    char *path = pl_strf("%s/run_id", dir);
    size_t len = 0;
    int rc = path ? pl_file_read(path, ID_BYTES_MAX, ret_id, &len, err)
                  : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir);

    if (rc == PL_OK)
        (*ret_id)[strcspn(*ret_id, "\r\n")] = '\0';
    free(path);
    return rc == PL_ENOENT ? PL_OK : rc;
}

static int write_note(const struct pl_run_conf *conf, const char *folder, uint64_t step,
                      struct pl_error *err)
{
    char *path = pl_strf("%s/" PL_RESULT_FILE, folder), *id = NULL;
    json_t *root = NULL;
    int rc =
        path ? read_id(conf->dir, &id, err) : pl_fail(err, PL_ENOMEM, "no memory for '%s'", folder);

    if (rc == PL_OK) /* one that is no text is left out, as one that is not there */
        root = json_pack("{s:s, s:I, s:s*}", "run", conf->name, "step", (json_int_t)step, "run_id",
                         id);
    if (rc == PL_OK)
        rc = pl_json_save(path, root, 2, err);
    json_decref(root);
    free(id);
    free(path);
    return rc;
}

int pl_result_write(const struct pl_run_conf *conf, uint64_t step, const struct pl_weights *weights,
                    struct pl_error *err)
{
    char *path = pl_strf("%s/model", conf->dir);
    struct pl_outdir out;
    int rc = path ? pl_outdir_open(path, true, &out, err)
                  : pl_fail(err, PL_ENOMEM, "no memory to write the model");

    free(path);
    if (rc < 0)
        return rc;
    rc = pl_model_write(out.tmp, weights, conf->model, PL_SHARD_DEFAULT, err);
    if (rc == PL_OK)
        rc = write_note(conf, out.tmp, step, err);
    if (rc == PL_OK)
        return pl_outdir_commit(&out, err);
    pl_outdir_abort(&out);
    return rc;
}

/* *ret_id: of whose run, "" where it does not say; its owner is *ret_root. */
static int read_note(const char *dir, json_t **ret_root, uint64_t *ret_step, const char **ret_id,
                     struct pl_error *err)
{
    char *path = pl_strf("%s/model/" PL_RESULT_FILE, dir);
    json_t *root = NULL;
    size_t step = 0;
    int rc = path ? pl_json_load(path, JSON_BYTES_MAX, &root, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for '%s'", dir);

    *ret_id = "";
    if (rc == PL_OK)
        rc = pl_json_size(root, "step", path, 0, SIZE_MAX / 2, &step, err);
    if (rc == PL_OK && pl_json_has(root, "run_id"))
        rc = pl_json_string(root, "run_id", path, ret_id, err);
    if (rc == PL_OK) {
        *ret_step = step;
        *ret_root = root;
    } else {
        json_decref(root);
    }
    free(path);
    return rc;
}

int pl_result_step(const char *dir, uint64_t *ret_step, struct pl_error *err)
{
    json_t *root = NULL;
    const char *id;
    const int rc = read_note(dir, &root, ret_step, &id, err);

    json_decref(root);
    return rc;
}

bool pl_result_is_of(const char *dir, uint64_t step)
{
    char *own = NULL;
    json_t *root = NULL;
    uint64_t of = 0;
    const char *id;
    const bool is = read_id(dir, &own, NULL) == PL_OK &&
                    read_note(dir, &root, &of, &id, NULL) == PL_OK && of == step &&
                    strcmp(id, own ? own : "") == 0;

    json_decref(root);
    free(own);
    return is;
}
