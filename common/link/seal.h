/*
 * What a learner publishes as it travels: the bytes of a manifest or an announcement, and its
 * Ed25519 signature of them (message Sealed in proto/plait.proto). Who has the learner's public key
 * believes it whichever way it came; so a relay keeps and passes on the very bytes.
 *
 * Signed are 48 bytes: the kind, padded with zeros to 16 ("plait manifest", "plait announce"), and
 * the SHA-256 of the body. A body names its run and version, so that one of another run or version
 * is seen to be that.
 *
 * Without keys there is no signature, and none is asked for.
 */
#ifndef PL_LINK_SEAL_H
#define PL_LINK_SEAL_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/link/keys.h"
#include "proto/weights.h"

enum pl_seal_kind { PL_SEAL_MANIFEST, PL_SEAL_ANNOUNCEMENT };

/* Add body, signed with the secret key of `keys` (NULL: not signed), to out. PL_ENOMEM, PL_EFULL.
 */
int pl_seal(const struct pl_keys *keys, enum pl_seal_kind kind, const struct pl_buf *body,
            struct pl_buf *out);

/*
 * The body of what came, signed by the learner of `keys` (NULL: not looked at); ended with
 * pl_sealed_release(). PL_EFORMAT: it is no such message. PL_EINVAL: it is not signed, or not by
 * the learner. PL_ENOMEM.
 */
int pl_unseal(const struct pl_keys *keys, enum pl_seal_kind kind, const void *bytes, size_t len,
              struct pl_sealed *ret_sealed, struct pl_error *err);

#endif
