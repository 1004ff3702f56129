/*
 * A folder of keys, as `plait keygen` makes it: NAME.key and NAME.pub for each name, and `allow`
 * with a line for each. Nothing that is there is ever overwritten.
 */
#ifndef PL_LINK_KEY_FOLDER_H
#define PL_LINK_KEY_FOLDER_H

#include "common/base/err.h"

#include <stddef.h>

/*
 * Make the folder (mode 0700 if it is not there) and all in it. PL_EINVAL: a name is none, or comes
 * twice, or one of the files is there already: then nothing is made. PL_EIO, PL_ENOMEM: what was
 * made is taken away again.
 */
int pl_key_folder_make(const char *dir, char *const *names, size_t count, struct pl_error *err);

/* Add keys to a folder that has a list. Errors as above, PL_ENOENT: there is no list. */
int pl_key_folder_add(const char *dir, char *const *names, size_t count, struct pl_error *err);

#endif
