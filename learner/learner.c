#include "learner/learner.h"

#include "common/app/metrics.h"
#include "common/app/vitals.h"
#include "common/app/window.h"
#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/link/policy.h"
#include "common/math/gemm.h"
#include "common/model/checkpoint.h"
#include "common/text/tokenizer.h"
#include "learner/best.h"
#include "learner/feed.h"
#include "learner/models.h"
#include "learner/refill.h"
#include "learner/report.h"
#include "learner/savepoint.h"
#include "learner/schedule.h"
#include "learner/shown.h"
#include "learner/trust.h"
#include "learner/update.h"
#include "learner/versions.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    WAIT_MS = 200,
    FEED_AGAIN_S = 5, /* while waiting: what Redis may have lost is fed again */
    SLOW_S = 60,      /* a wait that is worth a line in the log */
    PAST_MAX = 64,    /* batches before the last checkpoint that may not be retired */
    PATIENCE_S = 20,  /* with a Redis that is gone, once asked to stop */
    MESSAGE_MAX = 256 << 20,
    SAMPLES_MAX = 4096,
};

struct learner {
    struct pl_daemon *daemon;
    const struct pl_run_conf *conf;
    struct pl_rundir dir;
    struct pl_tokenizer *tokenizer;
    struct pl_models models;
    struct pl_prompts train, val;
    struct pl_queues *stream;
    struct pl_feeder feeder;
    struct pl_trust trust;
    struct pl_keys *keys; /* NULL: none */
    struct pl_versions versions;
    struct pl_best best;
    struct pl_metrics *metrics;
    struct pl_shown *shown; /* NULL: there is no window */
    struct pl_update update;
    json_t *agree;
    struct pl_savepoint point;             /* step: batches trained; accuracy: of the last one */
    uint64_t saved;                        /* step of the last checkpoint */
    uint64_t evals_reported[PL_EVALS_MAX]; /* to be retired with the next checkpoint */
    size_t reported_count;
    uint64_t dropped;
    double save_s;  /* what checkpoints took since the last line of metrics */
    double asked_s; /* when it first saw that it is to stop; 0: not yet */
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- feeding ---- */

/* Everything that may be sampled by now: batches up to step + staleness, evaluations not yet in. */
static uint64_t feed_end(const struct learner *l)
{
    return min_u64(l->point.step + l->conf->staleness + 1, l->conf->steps);
}

static int feed(struct learner *l, size_t *ret_new, struct pl_error *err)
{
    const uint64_t step = l->point.step, end = feed_end(l);
    size_t fresh = 0;
    int rc = PL_OK;

    *ret_new = 0;
    for (size_t i = 0; rc == PL_OK && i < l->point.eval_count; i++) {
        rc = pl_feed_val(&l->feeder, l->point.evals[i], &fresh, err);
        *ret_new += fresh;
    }
    for (uint64_t b = step; rc == PL_OK && b < end; b++) {
        rc = pl_feed_train(&l->feeder, b, b == step ? l->point.accuracy : NAN, &fresh, err);
        *ret_new += fresh;
    }
    return rc;
}

static struct pl_trust_open what_is_open(const struct learner *l)
{
    return (struct pl_trust_open){l->point.step, feed_end(l), l->point.evals, l->point.eval_count};
}

/* Nothing of what is not trained yet stays that actors in quarantine made or hold. */
static int sweep(struct learner *l, struct pl_error *err)
{
    const struct pl_trust_open open = what_is_open(l);
    size_t groups = 0, fresh;
    int rc = pl_trust_sweep(&l->trust, &open, &groups, err);

    return rc == PL_OK && groups > 0 ? feed(l, &fresh, err) : rc;
}

static bool eval_is_due(const struct learner *l, uint64_t step)
{
    const struct pl_run_conf *c = l->conf;

    if (c->val_files.count == 0)
        return false;
    if (step == 0)
        return c->val_before_train;
    return step == c->steps || (c->test_freq > 0 && step % c->test_freq == 0);
}

/* The policy after so many steps: not, when it is the last one and nothing evaluates it. */
static bool is_sampled_with(const struct learner *l, uint64_t step)
{
    return step < l->conf->steps || eval_is_due(l, step);
}

/* Evaluate the policy as it is now. */
static void add_eval(struct learner *l)
{
    if (eval_is_due(l, l->point.step) && l->point.eval_count < PL_EVALS_MAX)
        l->point.evals[l->point.eval_count++] = l->point.step;
}

/* ---- batches ---- */

static struct pl_rollouts_check check_of(const struct learner *l, uint64_t version, bool newest)
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
static int keep_if_best(struct learner *l, uint64_t step, double accuracy, struct pl_error *err)
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
static bool weights_of(struct learner *l, uint64_t version, const struct pl_weights **ret_weights)
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
static int audit(struct learner *l, enum pl_purpose purpose, uint64_t batch, uint64_t version,
                 const struct pl_rollouts *rollouts, struct pl_trust_audit *ret_audit,
                 bool *ret_again, struct pl_error *err)
{
    const struct pl_trust_open open = what_is_open(l);
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

static void log_ready(const struct pl_ready *ready)
{
    pl_info("ready batch=%s gate=%s accuracy=%.4f previous=%.4f groups=%zu dropped=%zu",
            ready->batch, ready->gate ? "open" : "shut", ready->accuracy, ready->previous,
            ready->count, ready->dropped);
}

/* Report evaluations that are complete. */
static int take_evals(struct learner *l, uint64_t wait_ms, struct pl_error *err)
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
            log_ready(&ready);
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

/* The batch of this step; what is missing is fed until it comes. */
static int take_batch(struct learner *l, struct pl_ready *ret_ready, double *ret_wait_s,
                      struct pl_error *err)
{
    const double start = seconds();
    double fed = start, said = start;
    char name[32];
    bool whole = true;
    size_t fresh;

    snprintf(name, sizeof name, "%llu", (unsigned long long)l->point.step);
    for (;;) {
        int rc = pl_queues_take(l->stream, name, WAIT_MS, ret_ready, err);

        *ret_wait_s = seconds() - start;
        if (rc == PL_OK)
            log_ready(ret_ready);
        if (rc != PL_ENOENT)
            return rc;
        if (pl_daemon_stopping(NULL))
            return pl_fail(err, PL_ECANCELED, "stopped while waiting for batch %s", name);
        rc = take_evals(l, 0, err);
        if (rc == PL_OK)
            rc = pl_queues_whole(l->stream, name, &whole, err);
        if (rc == PL_OK && (!whole || seconds() - fed > FEED_AGAIN_S)) {
            fed = seconds();
            rc = sweep(l, err);
            if (rc == PL_OK)
                rc = feed(l, &fresh, err);
            if (rc == PL_OK && fresh > 0)
                pl_warn("fed event=again batch=%s groups=%zu reason=\"Redis had lost them, or they "
                        "were refused\"",
                        name, fresh);
        }
        if (rc < 0)
            return rc;
        if (seconds() - said > SLOW_S) {
            said = seconds();
            pl_warn("waiting event=slow batch=%s waited_s=%.0f reason=\"not all of its groups are "
                    "sampled and scored\"",
                    name, said - start);
        }
    }
}

static bool is_latest(const struct learner *l)
{
    return l->conf->rollout_mode == PL_ROLLOUT_LATEST;
}

/*
 * The batch of this step, read. In latest mode none of it is too old: what is, is made once more
 * and waited for.
 */
static int take_rollouts(struct learner *l, struct pl_ready *ret_ready,
                         struct pl_rollouts *ret_rollouts, struct pl_report_step *report,
                         struct pl_error *err)
{
    const uint64_t step = l->point.step, version = pl_feed_version(l->conf, step);
    const struct pl_rollouts_check check = check_of(l, version, is_latest(l));

    for (;;) {
        size_t groups = 0, samples = 0;
        double waited = 0.0;
        bool again = false;
        int rc = sweep(l, err);

        if (rc == PL_OK)
            rc = take_batch(l, ret_ready, &waited, err);
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
        if (rc == PL_OK && is_latest(l))
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
static double difference(struct learner *l, const struct pl_rollouts *rollouts, uint64_t version)
{
    const struct pl_weights *weights;

    if (rollouts->samples == 0 || !weights_of(l, version, &weights))
        return NAN;
    return pl_update_difference(&l->update, rollouts, weights);
}

/* ---- checkpoints ---- */

/* The older versions that batches and evaluations still to come are pinned to. */
static void list_behind(struct learner *l)
{
    struct pl_savepoint *p = &l->point;
    const uint64_t oldest = pl_feed_version(l->conf, p->step);

    p->behind_count = 0;
    for (size_t i = 0; i < l->versions.count; i++) {
        const struct pl_version *v = &l->versions.list[i];
        bool needed = v->number >= oldest && !is_latest(l);

        for (size_t k = 0; k < p->eval_count; k++)
            needed = needed || v->number == p->evals[k] + 1;
        if (!needed || v->number > p->step) /* the newest is the model itself */
            continue;
        PL_ASSERT(p->behind_count < PL_BEHIND_MAX);
        p->behind[p->behind_count++] = (struct pl_behind){v->number, (uint16_t *)v->values};
    }
}

static int retire(struct learner *l, const char *batch, struct pl_error *err)
{
    const int rc = pl_queues_retire(l->stream, batch, err);

    if (rc == PL_OK)
        pl_info("retired batch=%s step=%llu", batch, (unsigned long long)l->point.step);
    return rc;
}

/* Evaluations that are reported, and the checkpoint says so. */
static int retire_evals(struct learner *l, struct pl_error *err)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < l->reported_count; i++) {
        char name[32];

        snprintf(name, sizeof name, "e%llu", (unsigned long long)l->evals_reported[i]);
        rc = retire(l, name, err);
    }
    if (rc == PL_OK)
        l->reported_count = 0;
    return rc;
}

static int save(struct learner *l, struct pl_error *err)
{
    struct pl_savepoint *p = &l->point;
    const double start = seconds();
    int rc;

    if (l->saved == p->step && p->step > 0)
        return PL_OK;
    list_behind(l);
    p->kl_coef = l->update.kl_coef;
    p->train.skipped = l->update.skipped;
    rc = pl_models_save(&l->models, &l->dir, l->agree, l->versions.table.values, p, err);
    for (uint64_t b = l->saved; rc == PL_OK && b < p->step; b++) {
        char name[32];

        snprintf(name, sizeof name, "%llu", (unsigned long long)b);
        rc = retire(l, name, err);
    }
    if (rc == PL_OK)
        rc = retire_evals(l, err);
    if (rc < 0)
        return rc;
    l->saved = p->step;
    l->save_s += seconds() - start;
    pl_info("saved step=%llu seconds=%.2f", (unsigned long long)p->step, seconds() - start);
    return pl_rundir_prune(&l->dir, p->step, l->conf->keep, err);
}

/* ---- one step ---- */

static double critic_rate(const struct learner *l)
{
    const struct pl_run_conf *c = l->conf;
    const struct pl_schedule schedule = {.kind = (enum pl_schedule_kind)c->critic_schedule,
                                         .peak = c->critic_lr,
                                         .warmup = c->critic_warmup_steps,
                                         .steps = c->steps};

    return pl_schedule_lr(&schedule, l->point.step);
}

/* The policy's learning rate; its steps begin when the critic no longer learns alone. */
static double rate(const struct learner *l)
{
    const struct pl_run_conf *c = l->conf;
    const uint64_t alone = min_u64(c->critic_warmup, l->point.step);
    const struct pl_schedule schedule = {.kind = (enum pl_schedule_kind)c->schedule,
                                         .peak = c->lr,
                                         .warmup = c->warmup_steps,
                                         .steps = c->steps - min_u64(c->critic_warmup, c->steps)};

    return pl_schedule_lr(&schedule, l->point.step - alone);
}

static int note_state(struct learner *l, const char *state, struct pl_error *err)
{
    char step[32];
    const bool open = l->conf->insecure && !l->keys;
    const struct pl_field fields[] = {{"state", state},
                                      {"step", step},
                                      {"insecure", open ? "yes" : "no"},
                                      {"http", pl_window_address(l->daemon->window)}};

    snprintf(step, sizeof step, "%llu", (unsigned long long)l->point.step);
    pl_shown_state(l->shown, l->point.step,
                   l->versions.count > 0 ? l->versions.list[l->versions.count - 1].number : 0,
                   l->update.skipped);
    return pl_queues_note(l->stream, "run", fields, sizeof fields / sizeof *fields, err);
}

static void say_step(const struct learner *l, const struct pl_report_step *s)
{
    const struct pl_rollouts *r = s->rollouts;
    double reward = 0.0;

    for (size_t i = 0; i < r->samples; i++)
        reward += r->scores[i] / (double)r->samples;
    pl_info(
        "trained step=%llu batch=%llu reward=%.4f accuracy=%.4f gate=%d loss=%.5f grad_norm=%.4f "
        "tokens=%zu wait_s=%.2f step_s=%.2f logp_difference=%.3g",
        (unsigned long long)s->step, (unsigned long long)s->step - 1, reward, r->accuracy, r->gate,
        s->update->policy.pg_loss, s->update->grad_norm, r->tokens, s->wait_s, s->step_s,
        s->logp_difference);
    pl_vitals_status("step %llu of %zu, %.3g rollouts/s, reward %.3f", (unsigned long long)s->step,
                     l->conf->steps, (double)r->samples / s->step_s, reward);
}

static int train_step(struct learner *l, struct pl_error *err)
{
    const uint64_t step = l->point.step, version = pl_feed_version(l->conf, step);
    const double start = seconds();
    struct pl_report_step report = {.step = step + 1, .staleness = (size_t)(step + 1 - version)};
    struct pl_rollouts rollouts = {0};
    struct pl_update_stats stats = {0};
    struct pl_staleness ages;
    struct pl_ready ready = {0};
    double mark;
    size_t fresh;
    int rc = feed(l, &fresh, err);

    if (rc == PL_OK)
        rc = take_rollouts(l, &ready, &rollouts, &report, err);
    if (rc < 0)
        goto out;
    l->dropped += ready.dropped;
    if (rollouts.samples == 0) {
        rc = pl_fail(err, PL_EFORMAT,
                     "all %zu groups of batch %s went to the dead; their reasons are in the stream "
                     "'dead' of the run",
                     ready.dropped, ready.batch);
        goto out;
    }
    if (l->conf->spare_groups > 0) {
        rc = pl_refill(&rollouts, l->conf->batch_groups, &report.refill, err);
        if (rc < 0)
            goto out;
    }
    if (is_latest(l)) {
        pl_staleness_of(&rollouts, step + 1, &ages);
        report.ages = &ages;
        report.staleness = ages.most;
        report.staleness_max = l->conf->staleness_max;
    }
    report.logp_difference = is_latest(l) ? NAN : difference(l, &rollouts, version);
    l->update.critic_lr = critic_rate(l);
    l->update.critic_only = step < l->conf->critic_warmup;
    rc = pl_update_run(&l->update, &rollouts, rate(l), &stats, err);
    if (rc < 0)
        goto out;
    if (stats.corrected && is_latest(l)) /* no one version sampled it all: to the one that trains */
        report.logp_difference = stats.correction.diff_max;
    mark = seconds();
    if (is_sampled_with(l, step + 1))
        rc = pl_versions_publish(&l->versions, step + 2,
                                 pl_trainer_state(l->models.trainer)->master, err);
    if (rc < 0)
        goto out;
    report.publish_s = seconds() - mark;
    report.save_s = l->save_s;
    l->save_s = 0.0;
    report.previous = l->point.accuracy;
    l->point.accuracy = ready.accuracy;
    l->point.step = step + 1;
    l->point.train.tokens += rollouts.tokens;
    report.rollouts = &rollouts;
    report.update = &stats;
    report.kl_coef = l->update.kl_coef;
    report.dropped = l->dropped;
    report.step_s = seconds() - start;
    (void)pl_prompts_at(&l->train, l->conf->seed, step, l->conf->batch_groups, 0, &report.epoch);
    rc = pl_report_train(l->metrics, l->stream, &report, err);
    pl_shown_step(l->shown, step + 1, report.step_s, report.wait_s);
    if (rc == PL_OK && l->conf->rollouts_kept && step % l->conf->rollouts_kept == 0) {
        char name[32];

        snprintf(name, sizeof name, "%llu", (unsigned long long)step + 1);
        rc = pl_report_rollouts(l->conf->dir, name, &rollouts, l->tokenizer, err);
    }
    if (rc == PL_OK)
        say_step(l, &report);
out:
    pl_rollouts_release(&rollouts);
    pl_ready_release(&ready);
    return rc;
}

/* Versions that no batch and no evaluation will be pinned to any more. */
static void forget(struct learner *l)
{
    uint64_t oldest = pl_feed_version(l->conf, l->point.step);

    for (size_t i = 0; i < l->point.eval_count; i++)
        oldest = min_u64(oldest, l->point.evals[i] + 1);
    pl_versions_drop(&l->versions, oldest);
}

static int loop(struct learner *l, struct pl_error *err)
{
    const struct pl_run_conf *c = l->conf;
    size_t fresh;
    int rc = note_state(l, "running", err);

    while (rc == PL_OK && l->point.step < c->steps && !pl_daemon_stopping(NULL)) {
        rc = train_step(l, err);
        if (rc == PL_OK)
            add_eval(l);
        if (rc == PL_OK && (l->point.step % c->save_freq == 0 || l->point.step == c->steps))
            rc = save(l, err);
        if (rc == PL_OK)
            rc = take_evals(l, 0, err);
        /* Evaluations that lag too far behind would keep too many versions. */
        while (rc == PL_OK && l->point.eval_count > 0 && !pl_daemon_stopping(NULL) &&
               l->point.evals[0] + PL_VERSIONS_MAX / 2 < l->point.step + 1)
            rc = take_evals(l, WAIT_MS, err);
        forget(l);
        if (rc == PL_OK)
            rc = note_state(l, "running", err);
    }
    while (rc == PL_OK && l->point.eval_count > 0 && !pl_daemon_stopping(NULL)) {
        rc = sweep(l, err);
        if (rc == PL_OK)
            rc = feed(l, &fresh, err);
        if (rc == PL_OK)
            rc = take_evals(l, WAIT_MS, err);
    }
    if (rc == PL_ECANCELED)
        rc = PL_OK;
    if (rc == PL_OK && l->point.step > 0)
        rc = save(l, err);
    return rc;
}

/* The result, and that the run is over. */
static int finish(struct learner *l, struct pl_error *err)
{
    char *path;
    int rc;

    if (l->point.step < l->conf->steps || l->point.eval_count > 0)
        return note_state(l, "stopped", err);
    /* Evaluations that came in after the last checkpoint are retired without a new one. */
    rc = retire_evals(l, err);
    if (rc < 0)
        return rc;
    path = pl_strf("%s/model", l->conf->dir);
    rc = path ? pl_model_save(path, true, l->models.weights, l->conf->model, PL_SHARD_DEFAULT, err)
              : pl_fail(err, PL_ENOMEM, "no memory to write the model");
    free(path);
    return rc == PL_OK ? note_state(l, "finished", err) : rc;
}

/* The run is over; it is still there for who asks. */
static void stay(void)
{
    const struct timespec tick = {0, 200000000};

    while (!pl_daemon_stopping(NULL)) {
        pl_vitals_tick();
        nanosleep(&tick, NULL);
    }
}

/* ---- from start to end ---- */

static int open_prompts(struct learner *l, struct pl_error *err)
{
    const struct pl_run_conf *c = l->conf;
    const size_t vocab = l->models.shape->config.vocab;
    int rc = pl_tokenizer_load(c->model, &l->tokenizer, err);

    if (rc == PL_OK)
        rc = pl_prompts_load(c, &c->train_files, l->tokenizer, vocab, &l->train, err);
    if (rc == PL_OK && c->val_files.count > 0)
        rc = pl_prompts_load(c, &c->val_files, l->tokenizer, vocab, &l->val, err);
    if (rc == PL_OK)
        pl_info("tasks train=%zu train_left_out=%zu val=%zu val_left_out=%zu", l->train.count,
                l->train.left_out, l->val.count, l->val.left_out);
    return rc;
}

/* A Redis that is gone must not keep a learner that is to stop. */
static bool out_of_patience(void *at)
{
    struct learner *l = at;

    if (!pl_daemon_stopping(NULL))
        return false;
    if (l->asked_s <= 0.0)
        l->asked_s = seconds();
    return seconds() - l->asked_s > PATIENCE_S;
}

static int open_stream(struct learner *l, struct pl_error *err)
{
    const struct pl_run_conf *c = l->conf;
    char *redis = pl_run_conf_redis(c);
    const struct pl_queues_opts opts = {
        .url = redis,
        .access = c->access,
        .run = c->name,
        .worker = l->daemon->name,
        .role = "learner",
        .lease_ms = c->lease_s * 1000,
        .deliveries_max = (uint32_t)c->deliveries_max,
        .stop = out_of_patience, /* the step that is begun when a signal comes is finished */
        .at = l,
        .event = pl_daemon_event,
    };
    int rc = redis ? pl_queues_open(&opts, &l->stream, err)
                   : pl_fail(err, PL_ENOMEM, "no memory for the learner");

    free(redis);
    return rc;
}

/* The versions that batches to come are pinned to: from the checkpoint, then the policy itself. */
static int publish_first(struct learner *l, struct pl_error *err)
{
    struct pl_savepoint *p = &l->point;
    int rc = PL_OK;

    for (size_t i = 0; i < p->behind_count; i++) {
        if (rc == PL_OK)
            rc = pl_versions_publish_values(&l->versions, p->behind[i].version, p->behind[i].values,
                                            err);
        free(p->behind[i].values);
        p->behind[i].values = NULL;
    }
    if (rc == PL_OK)
        rc = pl_versions_publish(&l->versions, p->step + 1,
                                 pl_trainer_state(l->models.trainer)->master, err);
    return rc;
}

static int open_metrics(struct learner *l, struct pl_error *err)
{
    char *path = pl_strf("%s/metrics.jsonl", l->conf->dir);
    int rc = path ? pl_metrics_open(path, (int64_t)l->point.step, &l->metrics, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for the learner");

    free(path);
    return rc == PL_OK ? pl_metrics_events(l->metrics, err) : rc;
}

/*
 * What was begun before this start. Evaluations that the checkpoint calls open may be reported
 * since; batches and evaluations before it may not be retired yet, when the last learner died just
 * then or Redis went back a little.
 */
static int settle_past(struct learner *l, struct pl_error *err)
{
    struct pl_savepoint *p = &l->point;
    const uint64_t far = l->conf->save_freq + PAST_MAX;
    char *path = pl_strf("%s/metrics.jsonl", l->conf->dir);
    size_t open = 0;
    int rc = path ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory for the learner");

    for (size_t i = 0; rc == PL_OK && i < p->eval_count; i++) {
        bool reported = false;

        rc = pl_metrics_find(path, p->evals[i], "\"val-core/", &reported, err);
        if (!reported)
            p->evals[open++] = p->evals[i];
    }
    p->eval_count = open;
    for (uint64_t b = p->step > far ? p->step - far : 0; rc == PL_OK && b <= p->step; b++) {
        bool is_open = !eval_is_due(l, b);
        char name[32];

        for (size_t i = 0; i < p->eval_count; i++)
            is_open = is_open || p->evals[i] == b;
        snprintf(name, sizeof name, "e%llu", (unsigned long long)b);
        if (!is_open)
            rc = pl_queues_retire(l->stream, name, err);
        if (rc == PL_OK && b < p->step)
            rc = pl_queues_retire(l->stream, name + 1, err);
    }
    free(path);
    return rc;
}

static int write_config(struct learner *l, struct pl_error *err)
{
    char *path = pl_strf("%s/config.yaml", l->conf->dir);
    struct pl_outfile out;
    struct pl_buf text;
    int rc;

    pl_buf_init(&text, 1 << 20);
    rc = path ? pl_run_conf_print(l->conf, true, &text) : PL_ENOMEM;
    rc = rc < 0 ? pl_fail(err, rc, "no memory for the learner") : pl_outfile_open(path, &out, err);
    if (rc == PL_OK) {
        rc = pl_outfile_write(&out, text.data, text.len, err);
        if (rc == PL_OK)
            rc = pl_outfile_commit(&out, err);
        else
            pl_outfile_abort(&out);
    }
    pl_buf_release(&text);
    free(path);
    return rc;
}

static int open_all(struct learner *l, struct pl_error *err)
{
    const struct pl_run_conf *c = l->conf;
    char hash[65];
    int rc = pl_versions_keys(c, l->daemon->name, &l->keys, err);

    if (rc == PL_OK)
        rc = pl_rundir_open(c->dir, true, &l->dir, err);

    if (rc == PL_OK && pl_run_conf_hash(c, hash) < 0)
        rc = pl_fail(err, PL_ENOMEM, "no memory for the learner");
    if (rc == PL_OK) {
        l->agree = json_pack("{s:s}", "config_sha256", hash);
        snprintf(l->point.train.core, sizeof l->point.train.core, "%s", pl_blas_core());
        l->point.train.eval_best = NAN;
        rc = pl_models_open(&l->models, c, l->agree, &l->point, err);
    }
    if (rc == PL_OK)
        rc = pl_best_open(c->dir, &l->best, err);
    if (rc == PL_OK)
        rc = write_config(l, err);
    if (rc == PL_OK)
        rc = open_prompts(l, err);
    if (rc == PL_OK)
        rc = open_metrics(l, err);
    if (rc == PL_OK)
        rc = open_stream(l, err);
    if (rc == PL_OK)
        rc = pl_versions_init(&l->versions, c, l->keys, l->models.shape, l->stream, err);
    if (rc == PL_OK)
        rc = pl_shown_create(&(struct pl_shown_opts){.window = l->daemon->window,
                                                     .conf = c,
                                                     .source = l->versions.source},
                             &l->shown, err);
    if (rc == PL_OK && l->shown)
        pl_metrics_listen(l->metrics, pl_shown_figure, l->shown);
    if (rc == PL_OK && c->audit_share > 0.0)
        rc = pl_audit_create(&(struct pl_audit_opts){.dir = c->dir,
                                                     .share = c->audit_share,
                                                     .tolerance = c->audit_tolerance,
                                                     .vocab = l->models.shape->config.vocab,
                                                     .predictions = pl_pack_predictions_max(
                                                         &l->models.pack->limits)},
                             &l->trust.audit, err);
    if (rc < 0)
        return rc;
    pl_feeder_init(&l->feeder, c, &l->models.shape->config, l->stream, &l->train, &l->val);
    l->trust = (struct pl_trust){.audit = l->trust.audit,
                                 .conf = c,
                                 .feeder = &l->feeder,
                                 .stream = l->stream,
                                 .trainer = l->models.trainer,
                                 .pack = l->models.pack};
    l->saved = l->point.step;
    l->update = (struct pl_update){
        .conf = c,
        .trainer = l->models.trainer,
        .pack = l->models.pack,
        .reference = l->models.reference,
        .critic = pl_models_critic(&l->models),
        .kl_coef = l->point.step > 0 ? l->point.kl_coef : c->kl_coef,
        .skipped = l->point.train.skipped,
    };
    if (l->point.step == 0)
        add_eval(l);
    rc = settle_past(l, err);
    return rc == PL_OK ? publish_first(l, err) : rc;
}

static void close_all(struct learner *l)
{
    pl_shown_destroy(l->shown);
    pl_audit_destroy(l->trust.audit);
    pl_feeder_release(&l->feeder);
    pl_versions_release(&l->versions);
    pl_keys_destroy(l->keys);
    pl_queues_close(l->stream);
    pl_metrics_close(l->metrics);
    pl_best_release(&l->best);
    pl_models_close(&l->models);
    pl_prompts_release(&l->train);
    pl_prompts_release(&l->val);
    pl_tokenizer_destroy(l->tokenizer);
    json_decref(l->agree);
    pl_rundir_close(&l->dir);
}

int pl_learner_run(struct pl_daemon *daemon, struct pl_error *err)
{
    struct learner l = {.daemon = daemon, .conf = &daemon->conf};
    int rc = open_all(&l, err);

    if (rc == PL_OK) {
        pl_info("begin step=%llu of=%zu", (unsigned long long)l.point.step, l.conf->steps);
        pl_vitals_status("step %llu of %zu", (unsigned long long)l.point.step, l.conf->steps);
        pl_vitals_ready("start");
        rc = loop(&l, err);
    }
    if (rc == PL_OK)
        rc = finish(&l, err);
    if (rc == PL_OK && l.conf->learner_stays && !pl_daemon_stopping(NULL)) {
        pl_info("stay step=%llu reason=\"the run is over\"", (unsigned long long)l.point.step);
        pl_vitals_status("all %zu steps are done", l.conf->steps);
        stay();
    }
    close_all(&l);
    return rc;
}
