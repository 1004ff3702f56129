#include "common/model/outdir.h"

#include "common/base/buf.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* "a/b/" is "a/b": its neighbour is "a/b.tmp", not "a/b/.tmp". */
static char *without_slashes(const char *path)
{
    char *copy = strdup(path);
    size_t len = copy ? strlen(copy) : 0;

    while (len > 1 && copy[len - 1] == '/')
        copy[--len] = '\0';
    return copy;
}

/* The folder that holds `path`; ended with free(). */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static int check_target(const char *path, bool replace, struct pl_error *err)
{
    struct stat st;

    if (path[0] == '\0')
        return pl_fail(err, PL_EINVAL, "the name of the folder to write is empty");
    if (lstat(path, &st) < 0)
        return PL_OK;
    if (!S_ISDIR(st.st_mode))
        return pl_fail(err, PL_EINVAL, "'%s' is there already and is not a directory", path);
    if (!replace)
        return pl_fail(err, PL_EINVAL, "'%s' is there already", path);
    return PL_OK;
}

int pl_outdir_open(const char *path, bool replace, struct pl_outdir *ret_out, struct pl_error *err)
{
    struct pl_outdir out = {.path = without_slashes(path), .replace = replace};
    int rc;

    out.tmp = out.path ? pl_strf("%s.tmp", out.path) : NULL;
    if (!out.tmp)
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for the name", path);
    else
        rc = check_target(out.path, replace, err);
    if (rc == PL_OK)
        rc = pl_dir_remove(out.tmp, err);
    if (rc == PL_OK)
        rc = pl_dir_make(out.tmp, err);
    if (rc < 0) {
        free(out.path);
        free(out.tmp);
        return rc;
    }
    *ret_out = out;
    return PL_OK;
}

static int make_last(const char *parent, struct pl_error *err)
{
    (void)PL_FAILPOINT("folder.after_rename");
    return pl_dir_sync(parent, err);
}

/* Where a file system cannot exchange two names: for a moment the old folder is "<path>.old". It
 * goes when the new one's name lasts, or after a loss of power neither might be there. */
static int replace_in_steps(const struct pl_outdir *out, const char *parent, struct pl_error *err)
{
    char *old = pl_strf("%s.old", out->path);
    int rc = old ? PL_OK : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", out->path);

    if (rc == PL_OK) /* what another could not remove any more */
        rc = pl_dir_remove(old, err);
    if (rc == PL_OK && rename(out->path, old) < 0)
        rc = pl_fail_errno(err, "rename '%s' to '%s'", out->path, old);
    if (rc == PL_OK && rename(out->tmp, out->path) < 0) {
        rc = pl_fail_errno(err, "rename '%s' to '%s'", out->tmp, out->path);
        (void)rename(old, out->path); /* as it was, if that can be */
    }
    if (rc == PL_OK)
        rc = make_last(parent, err);
    if (rc == PL_OK)
        rc = pl_dir_remove(old, err);
    free(old);
    return rc;
}

/* What another could not remove any more, when it replaced the folder in steps. */
static int remove_old(const struct pl_outdir *out, struct pl_error *err)
{
    char *old = pl_strf("%s.old", out->path);
    const int rc = old ? pl_dir_remove(old, err)
                       : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", out->path);

    free(old);
    return rc;
}

/* And make the names last. */
static int move_in(const struct pl_outdir *out, const char *parent, struct pl_error *err)
{
    int rc;

    if (PL_FAILPOINT("folder.before_rename"))
        return pl_fail_errno(err, "rename '%s' to '%s'", out->tmp, out->path);
    if (rename(out->tmp, out->path) == 0) {
        rc = make_last(parent, err);
        return rc == PL_OK && out->replace ? remove_old(out, err) : rc;
    }
    if (!out->replace || (errno != EEXIST && errno != ENOTEMPTY))
        return pl_fail_errno(err, "rename '%s' to '%s'", out->tmp, out->path);
    if (renameat2(AT_FDCWD, out->tmp, AT_FDCWD, out->path, RENAME_EXCHANGE) == 0) {
        rc = make_last(parent, err); /* before the old one goes, for the same reason */
        return rc == PL_OK ? pl_dir_remove(out->tmp, err) : rc;
    }
    if (errno == EINVAL || errno == ENOSYS)
        return replace_in_steps(out, parent, err);
    return pl_fail_errno(err, "exchange '%s' and '%s'", out->tmp, out->path);
}

int pl_outdir_commit(struct pl_outdir *out, struct pl_error *err)
{
    char *parent = parent_of(out->path);
    int rc = parent ? pl_dir_sync(out->tmp, err)
                    : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", out->path);

    if (rc == PL_OK)
        rc = move_in(out, parent, err);
    free(parent);
    if (rc < 0) {
        pl_outdir_abort(out);
        return rc;
    }
    free(out->path);
    free(out->tmp);
    *out = (struct pl_outdir){0};
    return PL_OK;
}

void pl_outdir_abort(struct pl_outdir *out)
{
    if (out->tmp)
        pl_dir_remove(out->tmp, NULL);
    free(out->path);
    free(out->tmp);
    *out = (struct pl_outdir){0};
}

int pl_file_copy(const char *from, const char *to, const char *name, bool *ret_copied,
                 struct pl_error *err)
{
    enum { BYTES_MAX = 1 << 30 };
    char *source = pl_strf("%s/%s", from, name), *target = pl_strf("%s/%s", to, name);
    bool there = true;
    struct pl_outfile out;
    char *data = NULL;
    size_t len = 0;
    int rc = PL_OK;

    if (!source || !target)
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", from);
    if (rc == PL_OK)
        rc = pl_file_read(source, BYTES_MAX, &data, &len, err);
    if (rc == PL_ENOENT) {
        there = false;
        rc = PL_OK;
        goto done;
    }
    if (rc == PL_OK)
        rc = pl_outfile_open(target, &out, err);
    if (rc < 0)
        goto done;
    rc = pl_outfile_write(&out, data, len, err);
    if (rc < 0)
        pl_outfile_abort(&out);
    else
        rc = pl_outfile_commit(&out, err);
done:
    if (rc == PL_OK && ret_copied)
        *ret_copied = there;
    free(data);
    free(source);
    free(target);
    return rc;
}
