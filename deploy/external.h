/*
 * Commands that are programs of their own: `plait foo` runs `plait-foo`, looked for beside plait
 * itself, in ../libexec/plait from there, and in PATH, in this order.
 */
#ifndef PL_DEPLOY_EXTERNAL_H
#define PL_DEPLOY_EXTERNAL_H

#include "common/base/err.h"

#include <stddef.h>

/* The path of `plait-<name>`, the caller's to free(). PL_ENOENT: there is none; no sentence.
 * PL_ENOMEM. */
int pl_external_find(const char *name, char **ret_path);

/* Replace this process. Only returns when that failed: PL_EIO and what the system said. */
int pl_external_run(const char *path, char **argv, struct pl_error *err);

/* Calls visit() with the name of each external command, without "plait-"; one that is found in
 * two places is visited twice. Folders that cannot be read are passed over. */
void pl_external_each(void (*visit)(void *at, const char *name), void *at);

#endif
