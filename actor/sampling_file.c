#include "actor/sampling_file.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"

#include <stdlib.h>

enum { FILE_BYTES_MAX = 1 << 20, TOP_K_MISSING = 50 };

static int parse_drawn(const json_t *root, const char *what, struct pl_sampling *sampling,
                       struct pl_error *err)
{
    double temperature = 1, top_p = 1, min_p = 0;
    size_t top_k = TOP_K_MISSING;
    int rc = PL_OK;

    if (pl_json_has(root, "temperature"))
        rc = pl_json_real(root, "temperature", what, 0, 1e3, &temperature, err);
    if (rc == PL_OK && pl_json_has(root, "top_k"))
        rc = pl_json_size(root, "top_k", what, 0, UINT32_MAX, &top_k, err);
    if (rc == PL_OK && pl_json_has(root, "top_p"))
        rc = pl_json_real(root, "top_p", what, 0, 1, &top_p, err);
    if (rc == PL_OK && pl_json_has(root, "min_p"))
        rc = pl_json_real(root, "min_p", what, 0, 1, &min_p, err);
    if (rc < 0)
        return rc;
    *sampling = (struct pl_sampling){.temperature = (float)temperature,
                                     .top_k = (uint32_t)top_k,
                                     .top_p = (float)top_p,
                                     .min_p = (float)min_p};
    rc = pl_sampling_check(sampling, err);
    return rc < 0 ? pl_fail_in(err, PL_EFORMAT, "%s", what) : PL_OK;
}

static int parse(const json_t *root, const char *what, struct pl_sampling_file *file,
                 struct pl_error *err)
{
    bool drawn = false;
    int rc = PL_OK;

    if (!json_is_object(root))
        return pl_fail(err, PL_EFORMAT, "%s: expected an object", what);
    if (pl_json_has(root, "do_sample"))
        rc = pl_json_bool(root, "do_sample", what, &drawn, err);
    if (rc == PL_OK && pl_json_has(root, "repetition_penalty"))
        rc = pl_json_real(root, "repetition_penalty", what, 0, 1e3, &file->repetition_penalty, err);
    if (rc == PL_OK && drawn)
        rc = parse_drawn(root, what, &file->sampling, err);
    return rc;
}

int pl_sampling_load(const char *model_dir, struct pl_sampling_file *ret_file, struct pl_error *err)
{
    struct pl_sampling_file file = {PL_SAMPLING_GREEDY, 1};
    char *path = pl_strf("%s/generation_config.json", model_dir);
    json_t *root = NULL;
    int rc = PL_OK;

    if (!path)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", model_dir);
    if (pl_path_exists(path)) {
        rc = pl_json_load(path, FILE_BYTES_MAX, &root, err);
        if (rc == PL_OK)
            rc = parse(root, path, &file, err);
    }
    if (rc == PL_OK)
        *ret_file = file;
    json_decref(root);
    free(path);
    return rc;
}
