/*
 * From a batch that Redis holds complete to rollouts that may be trained: what is not what was
 * asked for is refused and made anew, and nothing is left of actors in quarantine. What is of
 * another life of the run, or scored with other settings, is made anew too, and is nobody's fault.
 *
 * A rewarder has looked at every rollout before it scored it (proto/inspect.h). The learner looks
 * once more, because it alone knows what it fed, and so what lies between, Redis and the rewarders,
 * need not be believed; and it alone knows the hash of a version's weights.
 * Last it computes some of it again (audit.h): an actor whose numbers are not those of the weights
 * is quarantined, and what it made of batches that are not trained is made anew.
 */
#ifndef PL_LEARNER_TRUST_H
#define PL_LEARNER_TRUST_H

#include "common/link/queues.h"
#include "learner/audit.h"
#include "learner/feed.h"
#include "learner/rollouts.h"
#include "learner/trainer.h"

struct pl_trust {
    const struct pl_run_conf *conf;
    struct pl_feeder *feeder;
    struct pl_queues *stream;
    struct pl_audit *audit; /* NULL: nothing is computed again */
    struct pl_trainer *trainer;
    struct pl_pack *pack;
    uint64_t audited, unsound; /* groups since this start */
    bool mixed;                /* programs of several builds: it was said */
};

/* What is fed and not trained yet: training batches [step, end), evaluations. */
struct pl_trust_open {
    uint64_t step, end;
    const uint64_t *evals;
    size_t eval_count;
};

/*
 * As pl_rollouts_read(), of a training batch or of the evaluation at step `batch`; *ret_again: some
 * groups were refused, the batch is open again and nothing is read. Errors of pl_rollouts_read()
 * but PL_EFORMAT, and of pl_guard_refuse_scored().
 */
int pl_trust_read(struct pl_trust *trust, enum pl_purpose purpose, uint64_t batch,
                  const struct pl_ready *ready, const struct pl_rollouts_check *check,
                  struct pl_rollouts *ret_rollouts, bool *ret_again, struct pl_error *err);

struct pl_trust_audit {
    size_t groups, tokens, unsound; /* that were computed again; groups that are not sound */
    double most;                    /* |recorded - computed| log-probability */
};

/*
 * Compute again what an audit picks of a batch that was read, at the weights that it was sampled
 * with (NULL: the trainer's own), and, with audit.logp_difference, the log-probabilities of all of
 * it. *ret_again: an actor was quarantined, the batch is open again; the rollouts are the caller's
 * to release all the same. Errors of pl_guard_quarantine() and pl_audit_group().
 */
int pl_trust_audit(struct pl_trust *trust, enum pl_purpose purpose, uint64_t batch,
                   const struct pl_rollouts *rollouts, const struct pl_weights *weights,
                   const struct pl_trust_open *open, struct pl_trust_audit *ret_audit,
                   bool *ret_again, struct pl_error *err);
/* Whether it has anything to do. */
bool pl_trust_audits(const struct pl_trust *trust);

/* See to it that nothing is left of actors in quarantine in what is open. *ret_groups: groups that
 * are to be fed again. */
int pl_trust_sweep(struct pl_trust *trust, const struct pl_trust_open *open, size_t *ret_groups,
                   struct pl_error *err);

#endif
