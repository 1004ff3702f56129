#include "learner/learner_impl.h"

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/link/policy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_MAX = 256 << 20, SAMPLES_MAX = 4096 };

static struct pl_rollouts_check check_of(const struct pl_learner *l, uint64_t version, bool newest)
{
    const struct pl_run_conf *c = l->conf;
    const struct pl_version *known = pl_versions_find(&l->versions, version);

    return (struct pl_rollouts_check){
        .limits = {.bytes = MESSAGE_MAX,
                   .samples = SAMPLES_MAX,
                   .tokens = c->prompt_tokens_max > c->response_tokens_max ? c->prompt_tokens_max
                                                                           : c->response_tokens_max,
                   .vocab = l->models.shape->config.vocab},
        .version = version,
        .newest = newest,
        .hash = known ? known->hash : NULL,
        .by_segment = c->segment_credit,
    };
}

/* Before it is reported: an evaluation that is reported is not looked at again. */
static int keep_if_best(struct pl_learner *l, uint64_t step, double accuracy, struct pl_error *err)
{
    const struct pl_version *known = pl_versions_find(&l->versions, step + 1);
    int rc;

    if (!known || !pl_best_beaten(&l->best, step, accuracy))
        return PL_OK;
    pl_policy_install(known->values, l->models.past);
    rc = pl_best_keep(&l->best, step, accuracy, l->models.past, l->conf->model, err);
    if (rc == PL_OK)
        pl_info("kept event=best step=%llu accuracy=%.4f", (unsigned long long)step, accuracy);
    return rc;
}

/* The policy as it was at a version: NULL is the trainer's own. False: it is gone. */
static bool weights_of(struct pl_learner *l, uint64_t version,
                       const struct pl_weights **ret_weights)
{
    const struct pl_version *known = pl_versions_find(&l->versions, version);

    *ret_weights = NULL;
    if (known && version != l->point.step + 1) {
        pl_policy_install(known->values, l->models.past);
        *ret_weights = l->models.past;
    }
    return known != NULL;
}

/* Some of a batch that was read is computed again. *ret_again: not all of it may be used, and the
 * batch is open again. */
static int audit(struct pl_learner *l, enum pl_purpose purpose, uint64_t batch, uint64_t version,
                 const struct pl_rollouts *rollouts, struct pl_trust_audit *ret_audit,
                 bool *ret_again, struct pl_error *err)
{
    const struct pl_trust_open open = pl_learner_open_work(l);
    const struct pl_weights *weights;

    *ret_again = false;
    if (!pl_trust_audits(&l->trust) || rollouts->samples == 0)
        return PL_OK;
    if (!weights_of(l, version, &weights)) {
        pl_warn("audit event=skipped batch=%s%llu reason=\"version %llu is gone\"",
                purpose == PL_PURPOSE_EVALUATE ? "e" : "", (unsigned long long)batch,
                (unsigned long long)version);
        return PL_OK;
    }
    return pl_trust_audit(&l->trust, purpose, batch, rollouts, weights, &open, ret_audit, ret_again,
                          err);
}

/* Report evaluations that are complete. */
int pl_learner_take_evals(struct pl_learner *l, uint64_t wait_ms, struct pl_error *err)
{
    for (size_t i = 0; i < l->point.eval_count;) {
        const uint64_t step = l->point.evals[i];
        const struct pl_rollouts_check check = check_of(l, step + 1, false);
        struct pl_rollouts rollouts = {0};
        struct pl_trust_audit audited;
        struct pl_ready ready = {0};
        bool again = false;
        char name[32];
        int rc;

        snprintf(name, sizeof name, "e%llu", (unsigned long long)step);
        rc = pl_queues_take(l->stream, name, wait_ms, &ready, err);
        if (rc == PL_ENOENT) {
            i++;
            continue;
        }
        if (rc == PL_OK)
            pl_learner_log_ready(&ready);
        if (rc == PL_OK)
            rc = pl_trust_read(&l->trust, PL_PURPOSE_EVALUATE, step, &ready, &check, &rollouts,
                               &again, err);
        if (rc == PL_OK && !again)
            rc = audit(l, PL_PURPOSE_EVALUATE, step, step + 1, &rollouts, &audited, &again, err);
        if (rc == PL_OK && again) { /* it is fed with the next batch, or while one is waited for */
            pl_rollouts_release(&rollouts);
            pl_ready_release(&ready);
            i++;
            continue;
        }
        if (rc == PL_OK)
            rc = keep_if_best(l, step, rollouts.accuracy, err);
        if (rc == PL_OK)
            rc = pl_report_val(l->metrics, l->stream, step, &rollouts, err);
        if (rc == PL_OK && l->conf->rollouts_kept)
            rc = pl_report_rollouts(l->conf->dir, name, &rollouts, l->tokenizer, err);
        if (rc == PL_OK)
            pl_info("evaluated step=%llu batch=%s accuracy=%.4f samples=%zu",
                    (unsigned long long)step, name, rollouts.accuracy, rollouts.samples);
        pl_rollouts_release(&rollouts);
        pl_ready_release(&ready);
        if (rc < 0)
            return rc;
        PL_ASSERT(l->reported_count < PL_EVALS_MAX);
        l->evals_reported[l->reported_count++] = step;
        l->point.eval_count--;
        memmove(l->point.evals + i, l->point.evals + i + 1,
                (l->point.eval_count - i) * sizeof *l->point.evals);
    }
    return PL_OK;
}

/*
 * The batch of this step, read. In latest mode none of it is too old: what is, is made once more
 * and waited for.
 */
int pl_learner_take_rollouts(struct pl_learner *l, struct pl_ready *ret_ready,
                             struct pl_rollouts *ret_rollouts, struct pl_report_step *report,
                             struct pl_error *err)
{
    const uint64_t step = l->point.step, version = pl_feed_version(l->conf, step);
    const struct pl_rollouts_check check = check_of(l, version, pl_learner_is_latest(l));

    for (;;) {
        size_t groups = 0, samples = 0;
        double waited = 0.0;
        bool again = false;
        int rc = pl_learner_sweep(l, err);

        if (rc == PL_OK)
            rc = pl_learner_wait_batch(l, ret_ready, &waited, err);
        report->wait_s += waited;
        if (rc == PL_OK)
            rc = pl_trust_read(&l->trust, PL_PURPOSE_TRAIN, step, ret_ready, &check, ret_rollouts,
                               &again, err);
        if (rc == PL_OK && !again)
            rc = audit(l, PL_PURPOSE_TRAIN, step, version, ret_rollouts, &report->audit, &again,
                       err);
        if (rc == PL_OK && again) {
            pl_rollouts_release(ret_rollouts);
            pl_ready_release(ret_ready);
            continue;
        }
        if (rc == PL_OK && pl_learner_is_latest(l))
            rc = pl_stale_redo(&l->feeder, step, ret_ready, ret_rollouts, version, &groups,
                               &samples, err);
        if (rc < 0 || groups == 0)
            return rc;
        pl_warn("dropped event=stale batch=%s groups=%zu samples=%zu older_than=%llu",
                ret_ready->batch, groups, samples, (unsigned long long)version);
        report->evicted += samples;
        pl_rollouts_release(ret_rollouts);
        pl_ready_release(ret_ready);
    }
}

/* Recorded against computed log-probabilities, at the version that sampled. NaN: it is gone. */
double pl_learner_difference(struct pl_learner *l, const struct pl_rollouts *rollouts,
                             uint64_t version)
{
    const struct pl_weights *weights;

    if (rollouts->samples == 0 || !weights_of(l, version, &weights))
        return NAN;
    return pl_update_difference(&l->update, rollouts, weights);
}
