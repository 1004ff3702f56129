/*
 * A key file: what `plait keygen` writes, for people to read and for one program to hold.
 *
 *   NAME.key   curve-secret, sign-secret            nobody but the program may read it
 *   NAME.pub   curve-public, sign-public            anybody may
 *
 * A line is a word and its value, or a comment that begins with '#'. CURVE keys are in Z85, as
 * every ZeroMQ library takes them; Ed25519 keys in hexadecimal, the secret one being the seed.
 *
 * Who may read a secret one: see pl_key_file_modes().
 */
#ifndef PL_LINK_KEY_FILE_H
#define PL_LINK_KEY_FILE_H

#include "common/base/buf.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

enum {
    PL_KEY_BYTES = 32,
    PL_KEY_Z85 = 40, /* characters of a CURVE key */
    PL_KEY_NAME_MAX = 64,
    PL_KEY_FILE_MAX = 16 << 10
};

enum pl_key_word {
    PL_KEY_CURVE_SECRET,
    PL_KEY_SIGN_SECRET,
    PL_KEY_CURVE_PUBLIC,
    PL_KEY_SIGN_PUBLIC,
    PL_KEY_WORDS
};

struct pl_key_file {
    unsigned char values[PL_KEY_WORDS][PL_KEY_BYTES];
    bool has[PL_KEY_WORDS];
};

/* Whether a key may have this name: letters, digits, '-', '_', '.', the first no '.'. PL_EINVAL. */
int pl_key_name_check(const char *name, struct pl_error *err);

/* From text; `path` is for the sentence, which never shows a value. PL_EFORMAT. */
int pl_key_file_parse(const char *text, size_t len, const char *path, struct pl_key_file *ret_file,
                      struct pl_error *err);
/* Add lines of what it has. PL_ENOMEM, PL_EFULL. */
int pl_key_file_print(const struct pl_key_file *file, struct pl_buf *buf);

/* New secrets. PL_EIO: there are no random numbers to be had. */
int pl_key_file_make(struct pl_key_file *ret_secret, struct pl_error *err);

/* The public halves of a file that has the secret ones. */
void pl_key_file_public(const struct pl_key_file *secret, struct pl_key_file *ret_public);

/*
 * Whether a secret file of this owner and mode may be used: nobody else can read it, or only those
 * whom root chose. That is
 *   - it is ours, and group and others have no right to it (0600, 0400); or
 *   - it is root's and we are not root, others have no right to it and its group at most reads it:
 *     root gave it to us by group (a Kubernetes secret with fsGroup is root:GROUP 0440); or
 *   - it lies in $CREDENTIALS_DIRECTORY, which systemd made for this program alone (there 0400, or
 *     0440 where an access list lets us read it), and others have no right to it.
 *
 * PL_EFORMAT with the chmod to type.
 */
int pl_key_file_modes(const char *path, const struct stat *st, struct pl_error *err);

/*
 * Read and parse one; a secret one must pass pl_key_file_modes() and have both secrets, another
 * both public keys. PL_ENOENT: it is not there. PL_EIO, PL_EFORMAT.
 */
int pl_key_file_read(const char *path, bool secret, struct pl_key_file *ret_file,
                     struct pl_error *err);
void pl_key_file_wipe(struct pl_key_file *file);

#endif
