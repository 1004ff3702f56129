/*
 * Audits: what an actor says it sampled is computed again.
 *
 * Sampling is a pure function of weights, prompt and counters, and a row's logits have the same
 * bits in decoding and in training. So a group need not be generated once more: one forward pass
 * over its own tokens gives the logits of every position, from which the one token is drawn that
 * generation draws there, with the same number (common/model/sampler.h). If each is the token that
 * was recorded, with the log-probability that was recorded, to the bit, then by induction from the
 * first one this is what generating the group gives; if not, somebody used other weights, other
 * numbers, or chose.
 *
 * The learner does it itself, behind the back of everybody: no actor can tell, before or after,
 * which groups are looked at, no other actor need be believed or waited for, and what dies with the
 * learner is done again with the batch. Nothing that is trained depends on it.
 *
 *   audited: HMAC-SHA256(key, "purpose batch index") / 2^64 < share
 *
 * The key is drawn once a run and kept in DIR/audit.key, which only the learner's user can read:
 * whoever knew it would be honest in just those groups. Philox of the run's seed would not do; the
 * seed travels with every prompt.
 *
 *   sound: every id is the one drawn, every |recorded - computed| log-probability is 0; with a
 *          tolerance t over 0: at most t, and of n tokens no more than 2 + 4 n t are others than
 *          those drawn (logits that are off by t move a draw with probability t at most)
 */
#ifndef PL_LEARNER_AUDIT_H
#define PL_LEARNER_AUDIT_H

#include "common/base/err.h"
#include "learner/rollouts.h"
#include "learner/trainer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_audit_opts {
    const char *dir;         /* of the run, for the key */
    double share, tolerance; /* [0, 1] */
    size_t vocab;
    size_t predictions; /* of a pack, at most */
};

struct pl_audit;

/* Reads the key, or draws one. PL_EIO, PL_ENOMEM. Ended with pl_audit_destroy(). */
int pl_audit_create(const struct pl_audit_opts *opts, struct pl_audit **ret_audit,
                    struct pl_error *err);
void pl_audit_destroy(struct pl_audit *audit); /* NULL is fine */

bool pl_audit_picks(const struct pl_audit *audit, enum pl_purpose purpose, uint64_t batch,
                    uint32_t index);

struct pl_audit_finding {
    size_t tokens, ids_off; /* looked at; others than those drawn */
    double most, sum;       /* |recorded - computed| log-probability */
    bool sound;
    char what[160]; /* the first thing that is wrong, in words; "" where nothing is */
};

/*
 * Look at group g of a batch at the weights that it was sampled with (NULL: the trainer's own).
 * PL_EINVAL: its sampling is none.
 */
int pl_audit_group(struct pl_audit *audit, const struct pl_rollouts *rollouts, size_t g,
                   struct pl_trainer *trainer, struct pl_pack *pack,
                   const struct pl_weights *weights, struct pl_audit_finding *ret_finding,
                   struct pl_error *err);

#endif
