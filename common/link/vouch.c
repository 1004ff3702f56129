#include "common/link/vouch.h"

#include "common/base/check.h"
#include "common/link/allow.h"
#include "common/link/version.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { KIND_BYTES = 16, SIGNED_BYTES = KIND_BYTES + PL_WEIGHTS_HASH };

static const char kind[] = "plait rollouts", shared[] = "actor";

struct pl_voucher {
    pthread_mutex_t lock;
    struct pl_allow *allow;
};

static void digest(const struct pl_vouched *what, unsigned char ret[SIGNED_BYTES])
{
    const char *const words[] = {what->run, what->group, what->actor};
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned n = 0;

    memset(ret, 0, KIND_BYTES);
    memcpy(ret, kind, sizeof kind);
    PL_ASSERT(context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        PL_ASSERT(EVP_DigestUpdate(context, words[i], strlen(words[i]) + 1) == 1);
    PL_ASSERT(EVP_DigestUpdate(context, what->rollouts, what->len) == 1);
    PL_ASSERT(EVP_DigestFinal_ex(context, ret + KIND_BYTES, &n) == 1 && n == PL_WEIGHTS_HASH);
    EVP_MD_CTX_free(context);
}

void pl_vouch_sign(const struct pl_keys *keys, const struct pl_vouched *what,
                   char ret_hex[PL_VOUCH_HEX + 1])
{
    unsigned char said[SIGNED_BYTES], signature[crypto_sign_BYTES];

    digest(what, said);
    PL_ASSERT(crypto_sign_detached(signature, NULL, said, sizeof said, keys->sign_secret) == 0);
    sodium_bin2hex(ret_hex, PL_VOUCH_HEX + 1, signature, sizeof signature);
}

int pl_voucher_open(const char *list, struct pl_voucher **ret_voucher, struct pl_error *err)
{
    struct pl_voucher *v = calloc(1, sizeof *v);
    int rc;

    if (!v)
        return pl_fail(err, PL_ENOMEM, "no memory for the list of actors' keys");
    pthread_mutex_init(&v->lock, NULL);
    rc = sodium_init() < 0 ? pl_fail(err, PL_EIO, "libsodium finds no source of random numbers")
                           : pl_allow_open(list, &v->allow, err);
    if (rc < 0) {
        pl_voucher_close(v);
        return rc;
    }
    *ret_voucher = v;
    return PL_OK;
}

void pl_voucher_close(struct pl_voucher *voucher)
{
    if (!voucher)
        return;
    pl_allow_close(voucher->allow);
    pthread_mutex_destroy(&voucher->lock);
    free(voucher);
}

/* Whether one of the keys of `name` made the signature; *ret_known: it has some. */
static bool is_signed(const struct pl_allow *allow, const char *name,
                      const unsigned char said[SIGNED_BYTES],
                      const unsigned char signature[crypto_sign_BYTES], bool *ret_known)
{
    bool is = false;

    *ret_known = false;
    for (size_t i = 0; !is && i < pl_allow_count(allow); i++) {
        const struct pl_allowed *line = pl_allow_at(allow, i);

        if (strcmp(line->name, name) != 0)
            continue;
        *ret_known = true;
        is = line->signs &&
             crypto_sign_verify_detached(signature, said, SIGNED_BYTES, line->sign) == 0;
    }
    return is;
}

int pl_voucher_check(struct pl_voucher *voucher, const struct pl_vouched *what, const char *hex,
                     struct pl_error *err)
{
    unsigned char said[SIGNED_BYTES], signature[crypto_sign_BYTES];
    bool own, known, fine;
    size_t len = 0;

    if (sodium_hex2bin(signature, sizeof signature, hex, strlen(hex), NULL, &len, NULL) < 0 ||
        len != sizeof signature)
        return pl_fail(err, PL_EINVAL,
                       "what actor '%s' handed over is not signed: does it run with 'link.keys'?",
                       what->actor);
    digest(what, said);
    pthread_mutex_lock(&voucher->lock);
    (void)pl_allow_refresh(voucher->allow, NULL); /* one that breaks leaves the list as it was */
    fine = is_signed(voucher->allow, what->actor, said, signature, &own);
    known = own;
    if (!own)
        fine = is_signed(voucher->allow, shared, said, signature, &known);
    pthread_mutex_unlock(&voucher->lock);
    if (fine)
        return PL_OK;
    if (!known)
        return pl_fail(err, PL_EINVAL, "the list of keys names neither actor '%s' nor '%s'",
                       what->actor, shared);
    return pl_fail(err, PL_EINVAL,
                   "what is said to be of actor '%s' is not signed by a key that the list has for "
                   "'%s'",
                   what->actor, own ? what->actor : shared);
}
