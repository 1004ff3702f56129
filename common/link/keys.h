/*
 * The keys that one program uses, out of a folder that `plait keygen` made: its own, the public
 * ones of whom it connects to, and the list of who may connect to it.
 *
 *   DIR/NAME.key      its own, else DIR/ROLE.key (key_file.h)
 *   DIR/learner.pub   whose signature is believed
 *   DIR/PEER.pub      who answers where it connects to: the learner, or a relay
 *   DIR/allow         who may connect (allow.h)
 *
 * With keys every ZeroMQ connection is CURVE: who binds knows its clients by the list, who connects
 * knows the server by its public key; and what a learner publishes is signed (seal.h), so that it
 * may come by way of a relay. Read once and not changed: any thread may use it.
 */
#ifndef PL_LINK_KEYS_H
#define PL_LINK_KEYS_H

#include "common/base/err.h"
#include "common/link/key_file.h"

#include <stdbool.h>

struct pl_public {
    unsigned char curve[PL_KEY_BYTES], sign[PL_KEY_BYTES];
};

struct pl_keys {
    char name[PL_KEY_NAME_MAX]; /* of the file that is used: NAME or ROLE */
    unsigned char curve_secret[PL_KEY_BYTES];
    unsigned char sign_secret[2 * PL_KEY_BYTES]; /* as libsodium has it: seed and public key */
    struct pl_public own;
    bool connects;            /* the next two are there */
    struct pl_public peer;    /* who answers */
    struct pl_public learner; /* who signs */
    char *allow;              /* path of the list */
};

struct pl_keys_opts {
    const char *dir;  /* setting link.keys; "": there are none */
    const char *name; /* "actor-3" */
    const char *role; /* "actor" */
    const char *peer; /* "learner", "relay"; NULL: it connects to nobody */
};

/* Ended with pl_keys_destroy(); NULL where there are none. PL_ENOENT: a file is not there. PL_EIO;
 * PL_EFORMAT: a file is no key file, or others may read it. PL_EINVAL: a name is none. PL_ENOMEM.
 */
int pl_keys_load(const struct pl_keys_opts *opts, struct pl_keys **ret_keys, struct pl_error *err);
void pl_keys_destroy(struct pl_keys *keys); /* wiped first; NULL is fine */

#endif
