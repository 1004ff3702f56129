#include "common/link/seal.h"

#include "common/base/check.h"
#include "common/link/version.h"

#include <sodium.h>
#include <string.h>

enum { KIND_BYTES = 16, SIGNED_BYTES = KIND_BYTES + PL_WEIGHTS_HASH };

static const char *const kinds[] = {
    [PL_SEAL_MANIFEST] = "plait manifest", [PL_SEAL_ANNOUNCEMENT] = "plait announce"};
static const char *const nouns[] = {
    [PL_SEAL_MANIFEST] = "manifest", [PL_SEAL_ANNOUNCEMENT] = "announcement"};

static void digest(enum pl_seal_kind kind, const void *body, size_t len,
                   unsigned char ret[SIGNED_BYTES])
{
    memset(ret, 0, KIND_BYTES);
    memcpy(ret, kinds[kind], strlen(kinds[kind]));
    pl_sha256(body, len, ret + KIND_BYTES);
}

int pl_seal(const struct pl_keys *keys, enum pl_seal_kind kind, const struct pl_buf *body,
            struct pl_buf *out)
{
    struct pl_sealed s = {.body = (unsigned char *)body->data, .len = body->len};
    unsigned char said[SIGNED_BYTES];

    if (keys) {
        digest(kind, body->data, body->len, said);
        s.has_signature = true;
        PL_ASSERT(crypto_sign_detached(s.signature, NULL, said, sizeof said, keys->sign_secret) ==
                  0);
    }
    return pl_sealed_encode(&s, out);
}

int pl_unseal(const struct pl_keys *keys, enum pl_seal_kind kind, const void *bytes, size_t len,
              struct pl_sealed *ret_sealed, struct pl_error *err)
{
    struct pl_sealed s;
    unsigned char said[SIGNED_BYTES];
    int rc = pl_sealed_decode(bytes, len, &s, err);

    if (rc < 0)
        return rc;
    if (keys) {
        PL_ASSERT(keys->connects);
        digest(kind, s.body, s.len, said);
        if (!s.has_signature)
            rc = pl_fail(err, PL_EINVAL,
                         "the %s of the weights is not signed, and this end has learner.pub: does "
                         "the learner run with 'link.keys'?",
                         nouns[kind]);
        else if (crypto_sign_verify_detached(s.signature, said, sizeof said, keys->learner.sign) <
                 0)
            rc = pl_fail(err, PL_EINVAL,
                         "the %s of the weights is not signed by the learner of learner.pub",
                         nouns[kind]);
    }
    if (rc < 0) {
        pl_sealed_release(&s);
        return rc;
    }
    *ret_sealed = s;
    return PL_OK;
}
