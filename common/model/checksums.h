/*
 * Checksums of a folder's files, those of its folders included, in a file of their own:
 *
 *   # 3 files
 *   <32 hex digits>  config.json
 *   <32 hex digits>  critic/config.json
 *   ...
 *
 * XXH3 of 128 bits, one line a file, names in order: `xxh128sum -c checksums.xxh128` reads it too.
 * They find what a disk, a copy or a restored backup broke, not what somebody forged.
 */
#ifndef PL_MODEL_CHECKSUMS_H
#define PL_MODEL_CHECKSUMS_H

#include "common/base/err.h"

#include <stdbool.h>

#define PL_CHECKSUMS_FILE "checksums.xxh128"

/* Of all files in `dir`, at most three folders deep, and flushed: the last thing to write before
 * the folder gets its name. PL_EIO, PL_ENOMEM. */
int pl_checksums_write(const char *dir, struct pl_error *err);

/*
 * Whether the files are as they were. *ret_there: false where there is no such file, as in folders
 * of earlier versions, and nothing was compared. Files it does not name may be there too.
 * PL_EFORMAT: a file is missing or has other bytes, or the list itself is broken. PL_EIO,
 * PL_ENOMEM.
 */
int pl_checksums_check(const char *dir, bool *ret_there, struct pl_error *err);

#endif
