/*
 * A file with a secret that is written or replaced, whole or not at all: never readable by others.
 * One that replaces another keeps its owner and its group, and lets the group read it where it did:
 * so Redis, which was given users.acl and its key, can read the new ones.
 */
#ifndef PL_DEPLOY_REDIS_PRIVATE_FILE_H
#define PL_DEPLOY_REDIS_PRIVATE_FILE_H

#include "common/base/err.h"
#include "common/base/file.h"

/* As pl_outfile_open(); ended as that says. */
int pl_private_open(const char *path, struct pl_outfile *ret_out, struct pl_error *err);

#endif
