#include "learner/rundir.h"

#include "common/base/buf.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/model/checksums.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { LATEST_BYTES_MAX = 256 };

static const char lock_name[] = "plait.lock", prefix[] = "global_step_", aside[] = ".tmp";

/* --- beginning --- */

/* What lies in a folder, as far as it matters here. */
struct contents {
    bool there, locked, others; /* the folder, plait.lock, anything else */
};

static int look(const char *path, struct contents *ret_contents, struct pl_error *err)
{
    struct contents contents = {0};
    DIR *dir = opendir(path);
    struct dirent *entry;
    int rc = PL_OK;

    if (!dir && errno == ENOENT) {
        *ret_contents = contents;
        return PL_OK;
    }
    if (!dir)
        return pl_fail_errno(err, "open folder '%s'", path);
    contents.there = true;
    while ((errno = 0, entry = readdir(dir))) {
        if (strcmp(entry->d_name, lock_name) == 0)
            contents.locked = true;
        else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            contents.others = true;
    }
    if (errno != 0)
        rc = pl_fail_errno(err, "read folder '%s'", path);
    closedir(dir);
    *ret_contents = contents;
    return rc;
}

int pl_rundir_check(const char *path, bool resume, struct pl_error *err)
{
    struct contents contents = {0};
    int rc = look(path, &contents, err);

    if (rc < 0 || !contents.others)
        return rc;
    if (!resume)
        return pl_fail(err, PL_EINVAL,
                       "'%s' is there already: go on with the run in it by --resume, or give "
                       "--output another folder",
                       path);
    if (!contents.locked)
        return pl_fail(err, PL_EINVAL,
                       "'%s' is not the folder of a run: it holds files, and no %s among them",
                       path, lock_name);
    return PL_OK;
}

/* A file system without locks, where nobody could hold one. Any other failure says nothing of who
 * else is there (ENOLCK, EIO, EINTR, ...: a server of files that does not answer). */
static bool knows_no_locks(int error)
{
    return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL;
}

static int take_lock(const char *path, int *ret_fd, bool *ret_unlocked, struct pl_error *err)
{
    char *name = pl_strf("%s/%s", path, lock_name);
    int rc = PL_OK, fd = -1;

    if (!name)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", path);
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        rc = pl_fail_errno(err, "open '%s' for writing", name);
    else if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        rc = errno == EWOULDBLOCK
                 ? pl_fail(err, PL_EINVAL, "another process is at work in '%s'", path)
             : knows_no_locks(errno)
                 ? (*ret_unlocked = true, PL_OK)
                 : pl_fail_errno(err, "lock '%s', so that no other process works there", name);
    if (rc < 0 && fd >= 0)
        close(fd);
    else
        *ret_fd = fd;
    free(name);
    return rc;
}

/* Make the folders, and make their names last. */
static int make(const char *path, struct pl_error *err)
{
    char *checkpoints = pl_strf("%s/checkpoints", path), *parent = pl_strf("%s/..", path);
    int rc = checkpoints && parent ? pl_dir_make(checkpoints, err)
                                   : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", path);

    if (rc == PL_OK)
        rc = pl_dir_sync(path, err);
    if (rc == PL_OK)
        rc = pl_dir_sync(parent, err);
    free(checkpoints);
    free(parent);
    return rc;
}

int pl_rundir_open(const char *path, bool resume, struct pl_rundir *ret_dir, struct pl_error *err)
{
    struct pl_rundir dir = {.path = strdup(path), .lock = -1};
    int rc = dir.path ? pl_rundir_check(path, resume, err)
                      : pl_fail(err, PL_ENOMEM, "'%s': no memory for the name", path);

    if (rc == PL_OK)
        rc = pl_dir_make(path, err);
    if (rc == PL_OK)
        rc = take_lock(path, &dir.lock, &dir.unlocked, err);
    if (rc == PL_OK) /* or what is made next might be there, and the lock not, after a power cut */
        rc = pl_dir_sync(path, err);
    if (rc == PL_OK) /* once more, because another may have begun and ended in between */
        rc = pl_rundir_check(path, resume, err);
    if (rc == PL_OK)
        rc = make(path, err);
    if (rc < 0)
        pl_rundir_close(&dir);
    else
        *ret_dir = dir;
    return rc;
}

void pl_rundir_close(struct pl_rundir *dir)
{
    if (dir->path && dir->lock >= 0)
        close(dir->lock);
    free(dir->path);
    *dir = (struct pl_rundir){.lock = -1};
}

/* --- checkpoints --- */

/* "global_step_12" is 12; false for every other name, "global_step_012" among them. With `tail`
 * that must follow. */
static bool parse_name(const char *name, const char *tail, uint64_t *ret_step)
{
    char *end = NULL, again[64];
    uint64_t step;

    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return false;
    errno = 0;
    step = strtoull(name + sizeof prefix - 1, &end, 10);
    snprintf(again, sizeof again, "%s%" PRIu64 "%s", prefix, step, tail);
    if (errno != 0 || strcmp(name, again) != 0)
        return false;
    *ret_step = step;
    return true;
}

struct steps {
    uint64_t *items;
    size_t count, cap;
};

static int add_step(struct steps *steps, uint64_t step)
{
    if (steps->count == steps->cap) {
        const size_t cap = steps->cap ? 2 * steps->cap : 16;
        uint64_t *items = realloc(steps->items, cap * sizeof *items);

        if (!items)
            return PL_ENOMEM;
        steps->items = items;
        steps->cap = cap;
    }
    steps->items[steps->count++] = step;
    return PL_OK;
}

/* Whole checkpoints up to `last`, and those that were left aside; none without a folder. */
static int find_steps(const char *folder, uint64_t last, struct steps *whole, struct steps *left,
                      struct pl_error *err)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    uint64_t step;
    int rc = PL_OK;

    if (!dir && errno == ENOENT)
        return PL_OK;
    if (!dir)
        return pl_fail_errno(err, "open folder '%s'", folder);
    while (rc == PL_OK && (errno = 0, entry = readdir(dir))) {
        if (parse_name(entry->d_name, "", &step) && step <= last)
            rc = add_step(whole, step);
        else if (parse_name(entry->d_name, aside, &step))
            rc = add_step(left, step);
    }
    if (rc < 0)
        pl_fail(err, rc, "'%s': no memory to list it", folder);
    else if (errno != 0)
        rc = pl_fail_errno(err, "read folder '%s'", folder);
    closedir(dir);
    return rc;
}

static int descending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x < y) - (x > y);
}

/*
 * There is no `latest`. One checkpoint alone counts: it may be the first, whose process died before
 * it wrote that file. Of several nobody but the user can say which one it was.
 */
static int without_marker(const char *path, char **ret_checkpoint, struct pl_error *err)
{
    char *folder = pl_strf("%s/checkpoints", path), *newest = NULL;
    struct steps whole = {0}, left = {0};
    bool sums;
    int rc = folder ? find_steps(folder, UINT64_MAX, &whole, &left, err)
                    : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", path);

    if (rc == PL_OK && whole.count > 0)
        qsort(whole.items, whole.count, sizeof *whole.items, descending);
    for (size_t i = 0; rc == PL_OK && i < whole.count && !newest; i++) {
        newest = pl_strf("%s/%s%" PRIu64, folder, prefix, whole.items[i]);
        if (!newest) {
            rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", path);
        } else if (whole.count > 1 && pl_checksums_check(newest, &sums, NULL) < 0) {
            free(newest);
            newest = NULL;
        }
    }
    if (rc == PL_OK && whole.count > 1)
        rc = pl_fail(err, PL_EFORMAT,
                     "'%s' holds %zu checkpoints, but not the file 'latest' that names the one to "
                     "go on from: write the name of one into it (the newest that is whole: %s)",
                     folder, whole.count, newest ? strrchr(newest, '/') + 1 : "none");
    if (rc == PL_OK) {
        *ret_checkpoint = newest;
        newest = NULL;
    }
    free(newest);
    free(whole.items);
    free(left.items);
    free(folder);
    return rc;
}

/* Where it was being replaced in two steps, the old one is still there under another name. */
static int find_replaced(char **checkpoint, struct pl_error *err)
{
    char *old;

    if (pl_path_exists(*checkpoint))
        return PL_OK;
    old = pl_strf("%s.old", *checkpoint);
    if (!old)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", *checkpoint);
    if (pl_path_exists(old)) {
        free(*checkpoint);
        *checkpoint = old;
    } else {
        free(old);
    }
    return PL_OK;
}

int pl_rundir_latest(const char *path, char **ret_checkpoint, struct pl_error *err)
{
    char *marker = pl_strf("%s/checkpoints/latest", path), *name = NULL, *checkpoint = NULL;
    size_t len = 0;
    uint64_t step;
    int rc = marker ? pl_file_read(marker, LATEST_BYTES_MAX, &name, &len, err)
                    : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", path);

    if (rc == PL_ENOENT)
        rc = without_marker(path, ret_checkpoint, err);
    if (rc < 0 || !name)
        goto out;
    name[strcspn(name, "\r\n")] = '\0';
    checkpoint = pl_strf("%s/checkpoints/%s", path, name);
    if (!checkpoint)
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", path);
    else if (!parse_name(name, "", &step))
        rc = pl_fail(err, PL_EFORMAT,
                     "'%s' holds '%.80s'; the name of a checkpoint, %sN, is expected", marker, name,
                     prefix);
    else
        rc = find_replaced(&checkpoint, err);
    if (rc == PL_OK && !pl_path_exists(checkpoint))
        rc = pl_fail(err, PL_EFORMAT,
                     "'%s' names '%s', which is not there; write the name of one that is into it",
                     marker, name);
    if (rc == PL_OK) {
        *ret_checkpoint = checkpoint;
        checkpoint = NULL;
    }
out:
    free(checkpoint);
    free(name);
    free(marker);
    return rc;
}

static char *checkpoint_path(const struct pl_rundir *dir, uint64_t step, const char *tail)
{
    return pl_strf("%s/checkpoints/%s%" PRIu64 "%s", dir->path, prefix, step, tail);
}

int pl_rundir_begin(const struct pl_rundir *dir, uint64_t step, struct pl_outdir *ret_out,
                    struct pl_error *err)
{
    char *path = checkpoint_path(dir, step, "");
    int rc = path ? pl_outdir_open(path, true, ret_out, err)
                  : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir->path);

    free(path);
    return rc;
}

static int write_latest(const struct pl_rundir *dir, uint64_t step, struct pl_error *err)
{
    char *folder = pl_strf("%s/checkpoints", dir->path);
    char *path = pl_strf("%s/checkpoints/latest", dir->path);
    struct pl_outfile out;
    char line[64];
    int rc;

    snprintf(line, sizeof line, "%s%" PRIu64 "\n", prefix, step);
    rc = folder && path ? pl_outfile_open(path, &out, err)
                        : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir->path);
    if (rc < 0)
        goto out;
    rc = pl_outfile_write(&out, line, strlen(line), err);
    if (rc < 0)
        pl_outfile_abort(&out);
    else
        rc = pl_outfile_commit(&out, err);
    if (rc == PL_OK)
        rc = pl_dir_sync(folder, err);
out:
    free(folder);
    free(path);
    return rc;
}

int pl_rundir_commit(const struct pl_rundir *dir, uint64_t step, struct pl_outdir *out,
                     struct pl_error *err)
{
    int rc =
        PL_FAILPOINT("checkpoint.before") ? pl_fail_errno(err, "write '%s'", out->path) : PL_OK;

    if (rc == PL_OK)
        rc = pl_checksums_write(out->tmp, err);
    if (rc < 0)
        pl_outdir_abort(out);
    else
        rc = pl_outdir_commit(out, err);
    (void)PL_FAILPOINT("checkpoint.before_latest");
    if (rc == PL_OK)
        rc = write_latest(dir, step, err);
    (void)PL_FAILPOINT("checkpoint.after");
    return rc;
}

/* --- pruning --- */

/* With its name taken away first, and for good: a folder that is half removed is never under it. */
static int remove_one(const struct pl_rundir *dir, const char *folder, uint64_t step, bool whole,
                      struct pl_error *err)
{
    char *path = checkpoint_path(dir, step, ""), *tmp = checkpoint_path(dir, step, aside);
    int rc = PL_OK;

    if (!path || !tmp)
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir->path);
    else if (whole && rename(path, tmp) < 0)
        rc = pl_fail_errno(err, "rename '%s' to '%s'", path, tmp);
    else if (whole)
        rc = pl_dir_sync(folder, err);
    if (rc == PL_OK)
        rc = pl_dir_remove(tmp, err);
    free(path);
    free(tmp);
    return rc;
}

int pl_rundir_prune(const struct pl_rundir *dir, uint64_t step, size_t keep, struct pl_error *err)
{
    char *folder = pl_strf("%s/checkpoints", dir->path);
    struct steps whole = {0}, left = {0};
    int rc = folder ? find_steps(folder, step, &whole, &left, err)
                    : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir->path);

    if (rc == PL_OK && whole.count > 0)
        qsort(whole.items, whole.count, sizeof *whole.items, descending);
    for (size_t i = 0; i < left.count && rc == PL_OK; i++)
        rc = remove_one(dir, folder, left.items[i], false, err);
    for (size_t i = keep; keep > 0 && i < whole.count && rc == PL_OK; i++)
        rc = remove_one(dir, folder, whole.items[i], true, err);
    free(whole.items);
    free(left.items);
    free(folder);
    return rc;
}
