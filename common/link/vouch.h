/*
 * Who made a rollout: an actor that has keys signs what it hands over, and a rewarder looks whether
 * the list (allow.h) names that key for it, so that an actor is more than the name it gives.
 *
 * A name with lines of its own in the list answers for itself alone: what it hands over must be
 * signed by one of those keys. Any other name must have signed with a key of the name "actor",
 * which those share that have none of their own; without such a line it is nobody.
 *
 * Signed are 48 bytes: "plait rollouts", padded with zeros to 16, and the SHA-256 of run, group and
 * actor, each with a zero behind it, and the rollouts as they are handed over. The signature stands
 * beside them in Redis, in hexadecimal, as field `signature`.
 */
#ifndef PL_LINK_VOUCH_H
#define PL_LINK_VOUCH_H

#include "common/base/err.h"
#include "common/link/keys.h"

#include <stddef.h>

enum { PL_VOUCH_HEX = 128 };

struct pl_vouched {
    const char *run, *group, *actor;
    const void *rollouts; /* the bytes */
    size_t len;
};

void pl_vouch_sign(const struct pl_keys *keys, const struct pl_vouched *what,
                   char ret_hex[PL_VOUCH_HEX + 1]);

/* Whom a rewarder knows; any thread may ask. */
struct pl_voucher;
/* Errors of pl_allow_open(). */
int pl_voucher_open(const char *list, struct pl_voucher **ret_voucher, struct pl_error *err);
void pl_voucher_close(struct pl_voucher *voucher); /* NULL is fine */

/* PL_EINVAL: it is not signed by who it says; the sentence says what is missing. */
int pl_voucher_check(struct pl_voucher *voucher, const struct pl_vouched *what, const char *hex,
                     struct pl_error *err);

#endif
