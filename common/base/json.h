/*
 * Reading JSON that comes from outside, through jansson: duplicate keys, trailing bytes and NULs in
 * strings are refused, nesting is bounded (jansson stops at 2048). The getters below check type and
 * range and name the key they found wrong; `what` is how errors name the document, usually its
 * path.
 *
 * Getters return PL_OK and set *ret, or PL_EFORMAT: the key is missing, of another type or out of
 * range. Strings are borrowed from the document.
 */
#ifndef PL_BASE_JSON_H
#define PL_BASE_JSON_H

#include "common/base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An object or array from `len` bytes; ended with json_decref(). PL_EFORMAT says line and column.
 * PL_ENOMEM. */
int pl_json_parse(const char *data, size_t len, const char *what, json_t **ret_root,
                  struct pl_error *err);

/* The same from a file of at most bytes_max bytes. PL_ENOENT where there is none. */
int pl_json_load(const char *path, size_t bytes_max, json_t **ret_root, struct pl_error *err);

/* Write `root` (indented by `indent` spaces, keys in insertion order, numbers exact, newline at the
 * end), aside and renamed. PL_EIO; PL_ENOMEM: also when memory was out while this thread built it,
 * because parts may be missing then, or `root` is NULL. It is told once. */
int pl_json_save(const char *path, const json_t *root, int indent, struct pl_error *err);

int pl_json_size(const json_t *obj, const char *key, const char *what, size_t least, size_t most,
                 size_t *ret, struct pl_error *err);
int pl_json_real(const json_t *obj, const char *key, const char *what, double least, double most,
                 double *ret, struct pl_error *err); /* integers are taken too */
int pl_json_bool(const json_t *obj, const char *key, const char *what, bool *ret,
                 struct pl_error *err);
int pl_json_string(const json_t *obj, const char *key, const char *what, const char **ret,
                   struct pl_error *err);

/* True if the key is there and not null: `if (pl_json_has(...)) rc = pl_json_size(...)`. */
bool pl_json_has(const json_t *obj, const char *key);

/* Bytes of the well-formed UTF-8 character at `text`, of which there are `len`; 0: there is none.
 */
size_t pl_json_char(const char *text, size_t len);

/* Add "text" as a JSON string, quotes and escapes included, to a buffer. Control characters are
 * escaped, U+007F to U+009F too; invalid UTF-8 becomes U+FFFD. */
struct pl_buf;
int pl_json_quote(struct pl_buf *buf, const char *text, size_t len);

#endif
