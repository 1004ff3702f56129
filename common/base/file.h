/*
 * Files, whole: read with a cap, mapped read-only, written aside and renamed into place.
 */
#ifndef PL_BASE_FILE_H
#define PL_BASE_FILE_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * The whole file, plus a NUL behind it, from malloc(); the caller frees it.
 * PL_ENOENT, PL_EIO, PL_ENOMEM; PL_EFORMAT: it is not a regular file or larger than bytes_max.
 */
int pl_file_read(const char *path, size_t bytes_max, char **ret_data, size_t *ret_len,
                 struct pl_error *err);

/* A read-only private mapping. An empty file maps to data = NULL, len = 0. */
struct pl_map {
    const unsigned char *data;
    size_t len;
};
int pl_map_open(const char *path, struct pl_map *ret_map, struct pl_error *err);
void pl_map_close(struct pl_map *map); /* a zeroed map is fine */

/* `len` bytes from `from` on, within the map, are not needed soon: their memory may go, and comes
 * back from the file when they are read again. */
void pl_map_drop(const struct pl_map *map, const void *from, size_t len);

/*
 * Write aside ("<path>.tmp"), flush, rename: the file shows up under its name whole or not at all.
 *
 *   struct pl_outfile out;
 *   rc = pl_outfile_open(path, &out, err);
 *   ... pl_outfile_write(&out, bytes, len, err) ...
 *   rc = pl_outfile_commit(&out, err);     (or pl_outfile_abort(&out))
 *
 * After commit or abort `out` holds nothing. Errors name the path. PL_EFORMAT: what is there under
 * the name is a folder, a device or the like.
 */
struct pl_outfile {
    FILE *stream; /* may be written to directly; commit notices its errors */
    char *path, *tmp;
    size_t dirty; /* bytes since the last flush, by pl_outfile_write() */
};
int pl_outfile_open(const char *path, struct pl_outfile *ret_out, struct pl_error *err);
int pl_outfile_write(struct pl_outfile *out, const void *bytes, size_t len, struct pl_error *err);
int pl_outfile_commit(struct pl_outfile *out, struct pl_error *err);
void pl_outfile_abort(struct pl_outfile *out); /* zeroed, committed or aborted is fine */

/* The folder this program lies in, the caller's to free(). NULL when the kernel does not tell or
 * memory is out. */
char *pl_program_folder(void);

/* fsync() of a directory, so that renames in it last. */
int pl_dir_sync(const char *path, struct pl_error *err);

/* mkdir -p. A directory that is there already is fine. */
int pl_dir_make(const char *path, struct pl_error *err);

/* Remove a directory and the plain files and directories in it, not following links. One that is
 * not there is fine. */
int pl_dir_remove(const char *path, struct pl_error *err);

/* False where there is nothing. True also where that cannot be known: who opens it is told why. */
bool pl_path_exists(const char *path);

#endif
