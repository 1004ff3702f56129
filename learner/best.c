#include "learner/best.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/model/checkpoint.h"
#include "common/model/checksums.h"
#include "common/model/outdir.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define EVALUATION "evaluation.json"

enum { JSON_BYTES_MAX = 1 << 16 };

static int read_evaluation(struct pl_best *best, const char *path, struct pl_error *err)
{
    json_t *root = NULL;
    size_t step = 0;
    int rc = pl_json_load(path, JSON_BYTES_MAX, &root, err);

    if (rc == PL_OK)
        rc = pl_json_size(root, "step", path, 0, SIZE_MAX / 2, &step, err);
    if (rc == PL_OK)
        rc = pl_json_real(root, "accuracy", path, 0.0, 1.0, &best->accuracy, err);
    if (rc == PL_OK)
        best->step = step;
    json_decref(root);
    return rc;
}

int pl_best_open(const char *dir, struct pl_best *ret_best, struct pl_error *err)
{
    struct pl_best best = {.path = pl_strf("%s/best", dir), .accuracy = -1.0};
    char *file = best.path ? pl_strf("%s/" EVALUATION, best.path) : NULL;
    struct stat st;
    bool checked;
    char *left = best.path ? pl_strf("%s.tmp", best.path) : NULL;
    int rc = file && left ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory for '%s/best'", dir);

    if (rc == PL_OK)
        rc = read_evaluation(&best, file, err);
    if (rc == PL_ENOENT && lstat(best.path, &st) < 0 && errno == ENOENT) /* there is none yet */
        rc = PL_OK;
    else if (rc == PL_OK)
        rc = pl_checksums_check(best.path, &checked, err);
    if (rc == PL_OK) /* by a process that died */
        rc = pl_dir_remove(left, err);
    free(file);
    free(left);
    if (rc < 0)
        pl_best_release(&best);
    else
        *ret_best = best;
    return rc;
}

void pl_best_release(struct pl_best *best)
{
    free(best->path);
    *best = (struct pl_best){.accuracy = -1.0};
}

bool pl_best_beaten(const struct pl_best *best, uint64_t step, double accuracy)
{
    return accuracy > best->accuracy || (accuracy >= best->accuracy && step < best->step);
}

static int write_evaluation(const char *dir, uint64_t step, double accuracy, struct pl_error *err)
{
    json_t *root = json_pack("{s:I, s:f}", "step", (json_int_t)step, "accuracy", accuracy);
    char *path = pl_strf("%s/" EVALUATION, dir);
    const int rc = path ? pl_json_save(path, root, 2, err)
                        : pl_fail(err, PL_ENOMEM, "no memory for '%s'", dir);

    json_decref(root);
    free(path);
    return rc;
}

int pl_best_keep(struct pl_best *best, uint64_t step, double accuracy,
                 const struct pl_weights *weights, const char *tokenizer_dir, struct pl_error *err)
{
    struct pl_outdir out;
    int rc = pl_outdir_open(best->path, true, &out, err);

    if (rc < 0)
        return rc;
    rc = pl_model_write(out.tmp, weights, tokenizer_dir, PL_SHARD_DEFAULT, err);
    if (rc == PL_OK)
        rc = write_evaluation(out.tmp, step, accuracy, err);
    if (rc == PL_OK)
        rc = pl_checksums_write(out.tmp, err);
    if (rc < 0) {
        pl_outdir_abort(&out);
        return rc;
    }
    rc = pl_outdir_commit(&out, err);
    if (rc == PL_OK) {
        best->step = step;
        best->accuracy = accuracy;
    }
    return rc;
}
