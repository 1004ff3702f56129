/*
 * A folder that shows up under its name whole or not at all: written aside as "<path>.tmp",
 * flushed, renamed.
 *
 *   struct pl_outdir out;
 *   rc = pl_outdir_open(path, replace, &out, err);
 *   ... write files into out.tmp ...
 *   rc = pl_outdir_commit(&out, err);     (or pl_outdir_abort(&out))
 *
 * After commit or abort `out` holds nothing. A "<path>.tmp" left by a process that died is removed
 * by the next open. One writer at a time to a path.
 */
#ifndef PL_MODEL_OUTDIR_H
#define PL_MODEL_OUTDIR_H

#include "common/base/err.h"

#include <stdbool.h>

struct pl_outdir {
    char *path, *tmp;
    bool replace;
};

/*
 * Makes the parents of `path` and an empty "<path>.tmp". PL_EINVAL: `path` is there already and
 * replace is false, or it is there and is no directory. PL_EIO, PL_ENOMEM.
 */
int pl_outdir_open(const char *path, bool replace, struct pl_outdir *ret_out, struct pl_error *err);

/*
 * A folder that is replaced changes places with the new one in one step, then is removed. (On a
 * file system that cannot do that, two steps: whoever dies between them leaves the old folder as
 * "<path>.old".) PL_EIO, PL_ENOMEM.
 */
int pl_outdir_commit(struct pl_outdir *out, struct pl_error *err);
void pl_outdir_abort(struct pl_outdir *out); /* zeroed, committed or aborted is fine */

/*
 * Copy the regular file `name` of folder `from` into folder `to`, at most 1 GiB; one that is not
 * there is no error, *ret_copied says so (may be NULL).
 */
int pl_file_copy(const char *from, const char *to, const char *name, bool *ret_copied,
                 struct pl_error *err);

#endif
