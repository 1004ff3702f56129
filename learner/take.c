#include "learner/learner_impl.h"

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/link/policy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_MAX = 256 << 20, SAMPLES_MAX = 4096 };

static struct pl_rollouts_check check_of(const struct pl_learner *l, bool train, uint64_t version,
                                         bool newest)
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
        .gated = train && c->pay == 0, /* as it was fed (feed.c) */
        .previous = l->point.accuracy,
        .epsilon = c->gate_epsilon,
        .life = l->identity.life,
        .settings = l->identity.rewarder_sum,
    };
}

/* Before it is reported: an evaluation that is reported is not looked at again. */
static int keep_if_best(struct pl_learner *l, uint64_t step, double accuracy, struct pl_error *err)
{
    const struct pl_version *known = pl_versions_find(&l->versions, step + 1);
    int rc;

    if (!known || !pl_best_beaten(&l->best, step, accuracy))
        return PL_OK;
    rc = pl_learner_wait_room(l, 3 * l->models.shape->params, "the policy of an evaluation", err);
    if (rc < 0)
        return rc;
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

/* What Redis says of a batch is for people: it counts as the groups say that were read. */
static void compare(const struct pl_ready *ready, const struct pl_rollouts *r)
{
    if (!(fabs(ready->accuracy - r->accuracy) <= 1e-9))
        pl_warn("ready event=differs batch=%s accuracy=%.17g computed=%.17g reason=\"Redis holds "
                "another accuracy than its groups have; theirs counts\"",
                ready->batch, ready->accuracy, r->accuracy);
    if (ready->gate != r->gate)
        pl_warn(
            "ready event=differs batch=%s gate=%d computed=%d reason=\"Redis holds another gate "
            "than its groups and the batch before decide; theirs counts\"",
            ready->batch, ready->gate, r->gate);
}

uint64_t pl_learner_bytes_of(const struct pl_ready *ready)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < ready->count; i++)
        bytes += ready->groups[i].pb_len;
    return bytes;
}

int pl_learner_take(struct pl_learner *l, const char *name, uint64_t wait_ms,
                    struct pl_ready *ret_ready, struct pl_error *err)
{
    size_t fresh;
    int rc = pl_queues_take(l->stream, name, wait_ms, ret_ready, err);

    if (rc < 0 || ret_ready->count + ret_ready->dropped >= ret_ready->expected)
        return rc;
    pl_warn("lost batch=%s groups=%zu reason=\"Redis has lost scores of a batch that is complete; "
            "they are made again\"",
            name, ret_ready->expected - ret_ready->count - ret_ready->dropped);
    pl_ready_release(ret_ready);
    rc = pl_learner_feed(l, &fresh, err);
    return rc == PL_OK ? PL_ENOENT : rc;
}

/* An evaluation some of whose groups are dropped says nothing of the policy: it is told, and is
 * neither a figure nor the best. */
static int report_eval(struct pl_learner *l, uint64_t step, const char *name,
                       const struct pl_ready *ready, const struct pl_rollouts *rollouts,
                       struct pl_error *err)
{
    const bool whole = ready->dropped == 0 && rollouts->samples > 0;
    int rc = whole ? keep_if_best(l, step, rollouts->accuracy, err) : PL_OK;

    if (rc == PL_OK && whole)
        rc = pl_report_val(l->metrics, l->stream, step, rollouts, err);
    else if (rc == PL_OK)
        rc = pl_report_val_incomplete(l->metrics, l->stream, step, ready->dropped, err);
    if (rc == PL_EFULL) /* the line is in the file */
        rc = PL_OK;
    if (rc == PL_OK && l->conf->rollouts_kept && rollouts->samples > 0)
        pl_learner_write_rollouts(l, name, rollouts);
    if (rc == PL_OK && whole)
        pl_info("evaluated step=%llu batch=%s accuracy=%.4f samples=%zu", (unsigned long long)step,
                name, rollouts->accuracy, rollouts->samples);
    if (rc == PL_OK && !whole) {
        pl_warn("evaluated event=incomplete step=%llu batch=%s missing_groups=%zu of=%zu "
                "reason=\"they are among the dead (plait dead list says why): it is no evaluation, "
                "and not looked at for the best\"",
                (unsigned long long)step, name, ready->dropped, ready->expected);
        l->incomplete++;
        l->incomplete_step = step;
    }
    return rc;
}

static int take_eval(struct pl_learner *l, uint64_t step, uint64_t wait_ms, struct pl_error *err)
{
    const struct pl_rollouts_check check = check_of(l, false, step + 1, false);
    struct pl_rollouts rollouts = {0};
    struct pl_trust_audit audited;
    struct pl_ready ready = {0};
    bool again = false;
    char name[32];
    int rc;

    snprintf(name, sizeof name, "e%llu", (unsigned long long)step);
    rc = pl_learner_take(l, name, wait_ms, &ready, err);
    if (rc == PL_OK)
        pl_learner_log_ready(&ready);
    if (rc == PL_OK)
        rc = pl_trust_read(&l->trust, PL_PURPOSE_EVALUATE, step, &ready, &check, &rollouts, &again,
                           err);
    if (rc == PL_OK && !again)
        rc = audit(l, PL_PURPOSE_EVALUATE, step, step + 1, &rollouts, &audited, &again, err);
    if (rc == PL_OK && again) /* it is fed with the next batch, or while one is waited for */
        rc = PL_ENOENT;
    if (rc == PL_OK) {
        compare(&ready, &rollouts);
        rc = report_eval(l, step, name, &ready, &rollouts, err);
    }
    if (rc == PL_OK) {
        l->held_bytes += pl_learner_bytes_of(&ready);
        rc = pl_learner_note_reported(l, step, err);
    }
    pl_rollouts_release(&rollouts);
    pl_ready_release(&ready);
    return rc;
}

int pl_learner_take_evals(struct pl_learner *l, uint64_t wait_ms, struct pl_error *err)
{
    struct pl_savepoint *p = &l->point;

    for (size_t i = 0; i < p->eval_count;) {
        const int rc = take_eval(l, p->evals[i], wait_ms, err);

        if (rc < 0 && rc != PL_ENOENT)
            return rc;
        if (rc == PL_ENOENT) {
            i++;
            continue;
        }
        p->eval_count--;
        memmove(p->evals + i, p->evals + i + 1, (p->eval_count - i) * sizeof *p->evals);
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
    const struct pl_rollouts_check check = check_of(l, true, version, pl_learner_is_latest(l));

    for (;;) {
        size_t groups = 0, samples = 0;
        double waited = 0.0;
        bool again = false;
        int rc = pl_learner_sweep(l, err);

        if (rc == PL_OK && pl_daemon_stopping(NULL))
            rc = pl_fail(err, PL_ECANCELED, "stopped before batch %llu", (unsigned long long)step);
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
        if (rc == PL_OK && groups == 0)
            compare(ret_ready, ret_rollouts);
        if (rc < 0 || groups == 0)
            return rc;
        pl_warn("dropped event=stale batch=%s groups=%zu samples=%zu older_than=%llu",
                ret_ready->batch, groups, samples, (unsigned long long)version);
        report->evicted += samples;
        pl_rollouts_release(ret_rollouts);
        pl_ready_release(ret_ready);
    }
}

void pl_learner_difference(struct pl_learner *l, const struct pl_rollouts *rollouts,
                           uint64_t version, struct pl_update_difference *difference)
{
    const uint64_t step = l->point.step;
    const struct pl_weights *weights;
    size_t first;

    *difference = (struct pl_update_difference){0};
    l->update.own = !pl_learner_is_latest(l) && version == step + 1;
    first = pl_update_compared(&l->update, rollouts);
    if (pl_learner_is_latest(l) || first == rollouts->group_count ||
        !weights_of(l, version, &weights))
        return;
    pl_update_compare(&l->update, rollouts, weights, first, step, difference);
}

/* They are for people: a disk that is full costs the file, not the run. */
void pl_learner_write_rollouts(struct pl_learner *l, const char *name,
                               const struct pl_rollouts *rollouts)
{
    struct pl_error err = {0};
    int rc = pl_report_rollouts(l->conf->dir, name, rollouts, l->tokenizer, &err);

    if (rc == PL_OK && l->conf->rollouts_max > 0)
        rc = pl_report_prune(l->conf->dir, l->conf->rollouts_max, &err);
    if (rc < 0)
        pl_warn("rollouts event=not_written name=%s reason=\"%s\"", name, err.text);
}
