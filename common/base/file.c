#include "common/base/file.h"

#include "common/base/buf.h"
#include "common/base/failpoint.h"
#include "common/base/pulse.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    READ_BYTES = 16 << 20, /* read between two pulses */
    WRITE_BYTES = 8 << 20, /* written */
    FLUSH_BYTES =
        64 << 20, /* brought to the disk as one goes: what is left for the end is little */
};

/* An open descriptor of a regular file and its size, or an error that names the path. */
static int open_regular(const char *path, int *ret_fd, size_t *ret_len, struct pl_error *err)
{
    struct stat st;
    int rc;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return pl_fail_errno(err, "open '%s'", path);
    if (fstat(fd, &st) < 0) {
        rc = pl_fail_errno(err, "stat '%s'", path);
        close(fd);
        return rc;
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return pl_fail(err, PL_EFORMAT, "'%s' is not a regular file", path);
    }
    *ret_fd = fd;
    *ret_len = (size_t)st.st_size;
    return PL_OK;
}

int pl_file_read(const char *path, size_t bytes_max, char **ret_data, size_t *ret_len,
                 struct pl_error *err)
{
    size_t len = 0, got = 0;
    char *data = NULL;
    int fd, rc;

    rc = open_regular(path, &fd, &len, err);
    if (rc < 0)
        return rc;
    if (len > bytes_max) {
        rc = pl_fail(err, PL_EFORMAT, "'%s' has %zu bytes, more than the %zu expected at most",
                     path, len, bytes_max);
        goto out;
    }
    data = malloc(len + 1);
    if (!data) {
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for its %zu bytes", path, len);
        goto out;
    }
    while (got < len) {
        const ssize_t n =
            read(fd, data + got, len - got < READ_BYTES ? len - got : (size_t)READ_BYTES);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = pl_fail_errno(err, "read '%s'", path);
            goto out;
        }
        if (n == 0)
            break; /* it shrank while we read: hand over what is there */
        got += (size_t)n;
        pl_pulse();
    }
    data[got] = '\0';
    *ret_data = data;
    *ret_len = got;
    data = NULL;
    rc = PL_OK;
out:
    close(fd);
    free(data);
    return rc;
}

int pl_map_open(const char *path, struct pl_map *ret_map, struct pl_error *err)
{
    size_t len = 0;
    void *data = NULL;
    int fd, rc;

    rc = open_regular(path, &fd, &len, err);
    if (rc < 0)
        return rc;
    if (len > 0) {
        data = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            rc = pl_fail_errno(err, "map '%s'", path);
            close(fd);
            return rc;
        }
    }
    close(fd);
    ret_map->data = data;
    ret_map->len = len;
    return PL_OK;
}

void pl_map_close(struct pl_map *map)
{
    if (map->data)
        munmap((void *)map->data, map->len);
    *map = (struct pl_map){0};
}

void pl_map_drop(const struct pl_map *map, const void *from, size_t len)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t offset = (size_t)((const unsigned char *)from - map->data);
    const size_t first = (offset + page - 1) / page * page, end = (offset + len) / page * page;

    if (first < end)
        (void)madvise((void *)(map->data + first), end - first, MADV_DONTNEED); /* only a wish */
}

int pl_outfile_open(const char *path, struct pl_outfile *ret_out, struct pl_error *err)
{
    struct pl_outfile out = {.path = strdup(path), .tmp = pl_strf("%s.tmp", path)};
    struct stat st;
    int rc;

    if (!out.path || !out.tmp) {
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for the name", path);
        goto fail;
    }
    if (stat(out.path, &st) == 0 && !S_ISREG(st.st_mode)) { /* it would replace a device */
        rc = pl_fail(err, PL_EFORMAT, "'%s' is there already and is not a regular file", path);
        goto fail;
    }
    out.stream = fopen(out.tmp, "we");
    if (!out.stream) {
        rc = pl_fail_errno(err, "open '%s' for writing", out.tmp);
        goto fail;
    }
    *ret_out = out;
    return PL_OK;
fail:
    free(out.path);
    free(out.tmp);
    return rc;
}

int pl_outfile_write(struct pl_outfile *out, const void *bytes, size_t len, struct pl_error *err)
{
    for (size_t at = 0; at < len;) {
        const size_t n = len - at < WRITE_BYTES ? len - at : (size_t)WRITE_BYTES;

        if (PL_FAILPOINT("file.write") || fwrite((const char *)bytes + at, 1, n, out->stream) != n)
            return pl_fail_errno(err, "write '%s'", out->tmp);
        at += n;
        out->dirty += n;
        if (out->dirty >= FLUSH_BYTES) {
            if (fflush(out->stream) != 0 || fdatasync(fileno(out->stream)) < 0)
                return pl_fail_errno(err, "write '%s'", out->tmp);
            out->dirty = 0;
        }
        pl_pulse();
    }
    return PL_OK;
}

int pl_outfile_commit(struct pl_outfile *out, struct pl_error *err)
{
    const bool written = !ferror(out->stream) && !PL_FAILPOINT("file.before_flush") &&
                         fflush(out->stream) == 0 && fsync(fileno(out->stream)) == 0;
    int rc = PL_OK;

    if (!written)
        rc = pl_fail_errno(err, "write '%s'", out->tmp);
    if (fclose(out->stream) != 0 && rc == PL_OK)
        rc = pl_fail_errno(err, "close '%s'", out->tmp);
    out->stream = NULL;
    if (rc == PL_OK && (PL_FAILPOINT("file.before_rename") || rename(out->tmp, out->path) < 0))
        rc = pl_fail_errno(err, "rename '%s' to '%s'", out->tmp, out->path);
    if (rc < 0)
        unlink(out->tmp);
    else
        (void)PL_FAILPOINT("file.after_rename");
    free(out->path);
    free(out->tmp);
    *out = (struct pl_outfile){0};
    return rc;
}

void pl_outfile_abort(struct pl_outfile *out)
{
    if (out->stream)
        fclose(out->stream);
    if (out->tmp)
        unlink(out->tmp);
    free(out->path);
    free(out->tmp);
    *out = (struct pl_outfile){0};
}

int pl_dir_sync(const char *path, struct pl_error *err)
{
    int rc = PL_OK;
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return pl_fail_errno(err, "open directory '%s'", path);
    if (PL_FAILPOINT("folder.before_flush") || fsync(fd) < 0)
        rc = pl_fail_errno(err, "flush directory '%s'", path);
    close(fd);
    return rc;
}

int pl_dir_make(const char *path, struct pl_error *err)
{
    char *copy = strdup(path);
    struct stat st;
    int rc = PL_OK;

    if (!copy)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory for the name", path);
    for (char *at = copy + 1; copy[0] && rc == PL_OK; at++) {
        const char kept = *at;

        if (kept != '/' && kept != '\0')
            continue;
        *at = '\0';
        if (mkdir(copy, 0777) < 0 && errno != EEXIST)
            rc = pl_fail_errno(err, "make directory '%s'", copy);
        *at = kept;
        if (kept == '\0')
            break;
    }
    if (rc == PL_OK && stat(path, &st) < 0)
        rc = pl_fail_errno(err, "stat '%s'", path);
    else if (rc == PL_OK && !S_ISDIR(st.st_mode))
        rc = pl_fail(err, PL_EIO, "'%s' is there and is not a directory", path);
    free(copy);
    return rc;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

int pl_dir_remove(const char *path, struct pl_error *err)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
        return pl_fail_errno(err, "remove '%s'", path);
    return PL_OK;
}

bool pl_path_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

char *pl_program_folder(void)
{
    char path[4096];
    const ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    char *slash;

    if (len <= 0)
        return NULL;
    path[len] = '\0';
    slash = strrchr(path, '/');
    return slash ? strndup(path, (size_t)(slash - path)) : NULL;
}
