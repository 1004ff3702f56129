#include "common/link/keys.h"

#include "common/base/buf.h"
#include "common/base/check.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

static void take_public(const struct pl_key_file *file, struct pl_public *ret)
{
    memcpy(ret->curve, file->values[PL_KEY_CURVE_PUBLIC], sizeof ret->curve);
    memcpy(ret->sign, file->values[PL_KEY_SIGN_PUBLIC], sizeof ret->sign);
}

static void take_secret(const struct pl_key_file *file, struct pl_keys *k)
{
    struct pl_key_file public;
    unsigned char again[PL_KEY_BYTES];

    pl_key_file_public(file, &public);
    take_public(&public, &k->own);
    memcpy(k->curve_secret, file->values[PL_KEY_CURVE_SECRET], sizeof k->curve_secret);
    PL_ASSERT(crypto_sign_seed_keypair(again, k->sign_secret, file->values[PL_KEY_SIGN_SECRET]) ==
              0);
}

static int read_own(const struct pl_keys_opts *o, struct pl_keys *k, struct pl_error *err)
{
    const char *const names[] = {o->name, o->role};
    struct pl_key_file file = {0};
    int rc = PL_ENOENT;

    for (size_t i = 0; rc == PL_ENOENT && i < 2; i++) {
        char *path = pl_strf("%s/%s.key", o->dir, names[i]);

        snprintf(k->name, sizeof k->name, "%s", names[i]);
        rc = path ? pl_key_file_read(path, true, &file, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for keys");
        free(path);
    }
    if (rc == PL_ENOENT)
        return pl_fail(err, rc,
                       "'link.keys' is '%s', where there is neither '%s.key' nor '%s.key'; plait "
                       "keygen makes them",
                       o->dir, o->name, o->role);
    if (rc == PL_OK)
        take_secret(&file, k);
    pl_key_file_wipe(&file);
    return rc;
}

static int read_public(const struct pl_keys_opts *o, const char *name, struct pl_public *ret,
                       struct pl_error *err)
{
    char *path = pl_strf("%s/%s.pub", o->dir, name);
    struct pl_key_file file;
    int rc = path ? pl_key_file_read(path, false, &file, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for keys");

    if (rc == PL_OK)
        take_public(&file, ret);
    else if (rc == PL_ENOENT)
        pl_fail(err, rc,
                "'%s' is not there: it is what '%s' is known by; copy it from where plait "
                "keygen made it",
                path, name);
    free(path);
    return rc;
}

int pl_keys_load(const struct pl_keys_opts *opts, struct pl_keys **ret_keys, struct pl_error *err)
{
    struct pl_keys *k;
    int rc;

    if (!opts->dir[0]) {
        *ret_keys = NULL;
        return PL_OK;
    }
    k = calloc(1, sizeof *k);
    if (k)
        k->allow = pl_strf("%s/allow", opts->dir);
    rc = k && k->allow ? pl_key_name_check(opts->name, err)
                       : pl_fail(err, PL_ENOMEM, "no memory for keys");
    if (rc == PL_OK && opts->peer)
        rc = pl_key_name_check(opts->peer, err);
    if (rc == PL_OK)
        rc = read_own(opts, k, err);
    if (rc == PL_OK && opts->peer) {
        k->connects = true;
        rc = read_public(opts, "learner", &k->learner, err);
        if (rc == PL_OK)
            rc = read_public(opts, opts->peer, &k->peer, err);
    }
    if (rc < 0) {
        pl_keys_destroy(k);
        return rc;
    }
    *ret_keys = k;
    return PL_OK;
}

void pl_keys_destroy(struct pl_keys *keys)
{
    if (!keys)
        return;
    free(keys->allow);
    sodium_memzero(keys, sizeof *keys);
    free(keys);
}
