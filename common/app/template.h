/*
 * Instructions: files NAME.txt (for chat models) and NAME.control.txt (one control token) in a
 * folder; templates/README.md tells what they say.
 */
#ifndef PL_APP_TEMPLATE_H
#define PL_APP_TEMPLATE_H

#include "common/base/err.h"

enum pl_instruction { PL_INSTRUCTION_CONTROL, PL_INSTRUCTION_FULL };

/*
 * The instruction of a template, without the white space around it, the caller's to free().
 * folder NULL: $PLAIT_TEMPLATES, or the one that came with plait, looked for from where the program
 * lies: installed, and in a build folder.
 * PL_ENOENT: there is no such file; PL_EFORMAT: it is empty, too large or holds a NUL; PL_EIO,
 * PL_ENOMEM.
 */
int pl_template_load(const char *folder, const char *name, enum pl_instruction instruction,
                     char **ret_text, struct pl_error *err);

/* The same from a file. */
int pl_template_read(const char *path, char **ret_text, struct pl_error *err);

#endif
