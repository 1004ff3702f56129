#include "deploy/run_arg.h"

#include "common/base/buf.h"
#include "common/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int pl_run_arg_load_anywhere(const char *run, const struct pl_option_list *assignments,
                             struct pl_run_conf *ret_conf, struct pl_error *err)
{
    char *path = is_folder(run) ? pl_strf("%s/config.yaml", run) : NULL;
    int rc;

    if (path && !pl_path_exists(path))
        rc = pl_fail(err, PL_ENOENT,
                     "'%s' is not the folder of a run: it has no config.yaml (the learner writes "
                     "it when it begins)",
                     run);
    else
        rc = pl_run_conf_load(path ? path : run, assignments->items, assignments->count, ret_conf,
                              err);
    if (rc == PL_OK && path)
        ret_conf->dir = run; /* wherever it is seen from */
    free(path);
    return rc;
}

int pl_run_arg_load(const char *run, const struct pl_option_list *assignments,
                    struct pl_run_conf *ret_conf, struct pl_error *err)
{
    int rc = pl_run_arg_load_anywhere(run, assignments, ret_conf, err);

    if (rc == PL_OK && !is_folder(ret_conf->dir)) {
        rc = pl_fail(err, PL_ENOENT, "there is no run in '%s' yet", ret_conf->dir);
        pl_run_conf_release(ret_conf);
    }
    return rc;
}

int pl_run_arg_print(json_t *json, struct pl_error *err)
{
    int rc = PL_OK;

    if (!json)
        rc = pl_fail(err, PL_ENOMEM, "no memory to print the result");
    else if (json_dumpf(json, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) < 0 ||
             putchar('\n') == EOF || fflush(stdout) != 0)
        rc = pl_fail_errno(err, "write the result");
    json_decref(json);
    return rc;
}
