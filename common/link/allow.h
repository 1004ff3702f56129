/*
 * Who may connect: the file DIR/allow, one line a key, which is reread when it changes.
 *
 *   NAME CURVE-PUBLIC [SIGN-PUBLIC]
 *
 * Lines that begin with '#' are comments. A name may have several lines: so a key is changed
 * without a gap (the new one is added, and the old one taken out when nobody uses it any more). A
 * client that only asks for scores needs no key to sign with.
 *
 * The memory it takes is fixed when it is opened. A file that changes to one that cannot be read,
 * or that names nobody, leaves the list as it was, and that is said.
 */
#ifndef PL_LINK_ALLOW_H
#define PL_LINK_ALLOW_H

#include "common/base/err.h"
#include "common/link/key_file.h"

#include <stdbool.h>
#include <stddef.h>

enum { PL_ALLOW_MAX = 4096, PL_ALLOW_BYTES_MAX = 1 << 20 };

struct pl_allowed {
    char name[PL_KEY_NAME_MAX];
    unsigned char curve[PL_KEY_BYTES], sign[PL_KEY_BYTES];
    bool signs; /* it has a key to sign with */
};

struct pl_allow;

/* Ended with pl_allow_close(). PL_ENOENT, PL_EIO, PL_EFORMAT: with file and line. PL_ENOMEM. */
int pl_allow_open(const char *path, struct pl_allow **ret_allow, struct pl_error *err);
void pl_allow_close(struct pl_allow *allow); /* NULL is fine */

/* Read it again if it is another file than before. An error is returned once for each change; the
 * list is as it was. */
int pl_allow_refresh(struct pl_allow *allow, struct pl_error *err);

size_t pl_allow_count(const struct pl_allow *allow);
const struct pl_allowed *pl_allow_at(const struct pl_allow *allow, size_t i);
/* NULL: it is in no line. Borrowed until the next refresh. */
const struct pl_allowed *pl_allow_find(const struct pl_allow *allow,
                                       const unsigned char curve[PL_KEY_BYTES]);

/* From text, to at most `max` entries. PL_EFORMAT, PL_EFULL. */
int pl_allow_parse(const char *text, size_t len, const char *path, struct pl_allowed *list,
                   size_t max, size_t *ret_count, struct pl_error *err);
/* The line of a key. PL_ENOMEM, PL_EFULL. */
int pl_allow_print(const struct pl_allowed *allowed, struct pl_buf *buf);

#endif
