/*
 * Files with a secret of one line, such as a password. What is in them enters no error and no log.
 *
 * A name that does not begin with '/' is looked for in the folder $CREDENTIALS_DIRECTORY first, in
 * which systemd puts a unit's credentials.
 *
 * A file that others than its owner and its group can read, or others than its owner can write, is
 * refused: 0600, 0400 and 0440 are fine; 0440 is what a credential has, and a volume of secrets
 * with an fsGroup.
 */
#ifndef PL_BASE_SECRET_H
#define PL_BASE_SECRET_H

#include "common/base/err.h"

#include <stdbool.h>

enum { PL_SECRET_MAX = 1024 }; /* bytes of one */

/* Where the file is, from malloc(); NULL: no memory. */
char *pl_secret_path(const char *name);

/* PL_EINVAL: `path`, as pl_secret_path() gave it, may be read or written by too many. PL_ENOENT,
 * PL_EIO: it is not there, or not readable. */
int pl_secret_check(const char *path, struct pl_error *err);

/*
 * The line without its end, ended with pl_secret_free(). PL_ENOENT, PL_EIO; PL_EINVAL as above;
 * PL_EFORMAT: it is empty, too long, has several lines or zero bytes. PL_ENOMEM.
 */
int pl_secret_read(const char *name, char **ret_text, struct pl_error *err);
void pl_secret_free(char *text); /* overwritten first; NULL is fine */

/* Whether a text has somebody's password in an address: USER:PASSWORD@ behind "://", or anything
 * before an "@" behind "redis://" or "rediss://". Such a text is to be refused, and not shown. */
bool pl_secret_in_address(const char *text);

#endif
