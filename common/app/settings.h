/*
 * Settings from a YAML file, over the same table of rows that options use (options.h), whose names
 * may have dots: nested maps are dotted names, so that
 *
 *   actor:
 *     optim: {lr: 1e-6}          and          actor.optim.lr: 1e-6
 *
 * are one. Lists are sequences, or words with commas; variables and assignments take both too
 * ("data.train_files=[a, b]"), and quotes around a word. `inherit: other.yaml` at the top (by its
 * path from the file) is read first. Order of precedence: the default of the row, inherited files,
 * the file, the variable PLAIT_<NAME>, an assignment "name=value"; all through the same checks.
 * What is unknown is an error that names the nearest known name; so is a name that is there twice
 * in a file.
 */
#ifndef PL_APP_SETTINGS_H
#define PL_APP_SETTINGS_H

#include "common/app/options.h"
#include "common/base/buf.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct pl_settings_text; /* strings that a conf borrows */

/*
 * Fill conf from `path` (NULL: no file) and `count` assignments. Ended with pl_settings_release(),
 * which frees its lists and strings. PL_ENOENT, PL_EIO; PL_EFORMAT: not YAML, with line and column;
 * PL_EINVAL: an unknown name or a value out of its range, with file and line. PL_ENOMEM. On failure
 * nothing is held.
 */
int pl_settings_load(const struct pl_command *table, const char *path, char *const *assignments,
                     size_t count, void *conf, struct pl_settings_text **ret_text,
                     struct pl_error *err);
void pl_settings_release(const struct pl_command *table, void *conf, struct pl_settings_text *text);

/* Whether a setting was given by the file itself, a variable or an assignment: not by default, nor
 * by a file that is inherited. */
bool pl_settings_given(const struct pl_settings_text *text, const char *name);

/* Whether its value is its default; `scratch`: a zeroed conf, zeroed again then. PL_ENOMEM. */
int pl_settings_is_default(const struct pl_command *table, const char *name, const void *conf,
                           void *scratch, bool *ret_same);

/* Give it its default again. PL_ENOMEM. */
int pl_settings_reset(const struct pl_command *table, const char *name, void *conf,
                      struct pl_error *err);

/*
 * Each word of a file as it stands, whether or not it is a setting that is known, in the order of
 * the file; items of a list one by one. PL_ENOENT, PL_EIO, PL_EFORMAT, PL_ENOMEM as above; then
 * nothing was handed out.
 */
int pl_settings_each(const char *path,
                     void (*each)(void *at, const char *key, const char *value, bool item),
                     void *at, struct pl_error *err);

/* Every default of the table, neither a file's nor a variable's; ended with pl_settings_release().
 */
int pl_settings_defaults(const struct pl_command *table, void *conf,
                         struct pl_settings_text **ret_text, struct pl_error *err);

/* Append the value of one row, as pl_settings_print() writes it. PL_ENOMEM, PL_EFULL. */
int pl_settings_value(const struct pl_option *option, const void *conf, struct pl_buf *buf);

/* All settings as YAML that reads back to the same; with `comments` each under its help. */
int pl_settings_print(const struct pl_command *table, const void *conf, bool comments,
                      struct pl_buf *buf);

#endif
