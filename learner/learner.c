#include "learner/learner.h"

#include "common/app/vitals.h"
#include "common/app/window.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/math/gemm.h"
#include "common/model/checkpoint.h"
#include "learner/learner_impl.h"
#include "learner/refill.h"
#include "learner/report.h"
#include "learner/schedule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PAST_MAX = 64,   /* batches before the last checkpoint that may not be retired */
    PATIENCE_S = 20, /* with a Redis that is gone, once asked to stop */
};

double pl_learner_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- one step ---- */

static double critic_rate(const struct pl_learner *l)
{
    const struct pl_run_conf *c = l->conf;
    const struct pl_schedule schedule = {.kind = (enum pl_schedule_kind)c->critic_schedule,
                                         .peak = c->critic_lr,
                                         .warmup = c->critic_warmup_steps,
                                         .steps = c->steps};

    return pl_schedule_lr(&schedule, l->point.step);
}

/* The policy's learning rate; its steps begin when the critic no longer learns alone. */
static double rate(const struct pl_learner *l)
{
    const struct pl_run_conf *c = l->conf;
    const uint64_t alone = min_u64(c->critic_warmup, l->point.step);
    const struct pl_schedule schedule = {.kind = (enum pl_schedule_kind)c->schedule,
                                         .peak = c->lr,
                                         .warmup = c->warmup_steps,
                                         .steps = c->steps - min_u64(c->critic_warmup, c->steps)};

    return pl_schedule_lr(&schedule, l->point.step - alone);
}

static int note_state(struct pl_learner *l, const char *state, struct pl_error *err)
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

static void say_step(const struct pl_learner *l, const struct pl_report_step *s)
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

static int train_step(struct pl_learner *l, struct pl_error *err)
{
    const uint64_t step = l->point.step, version = pl_feed_version(l->conf, step);
    const double start = pl_learner_seconds();
    struct pl_report_step report = {.step = step + 1, .staleness = (size_t)(step + 1 - version)};
    struct pl_rollouts rollouts = {0};
    struct pl_update_stats stats = {0};
    struct pl_staleness ages;
    struct pl_ready ready = {0};
    double mark;
    size_t fresh;
    int rc = pl_learner_feed(l, &fresh, err);

    if (rc == PL_OK)
        rc = pl_learner_take_rollouts(l, &ready, &rollouts, &report, err);
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
    if (pl_learner_is_latest(l)) {
        pl_staleness_of(&rollouts, step + 1, &ages);
        report.ages = &ages;
        report.staleness = ages.most;
        report.staleness_max = l->conf->staleness_max;
    }
    report.logp_difference =
        pl_learner_is_latest(l) ? NAN : pl_learner_difference(l, &rollouts, version);
    l->update.critic_lr = critic_rate(l);
    l->update.critic_only = step < l->conf->critic_warmup;
    rc = pl_update_run(&l->update, &rollouts, rate(l), &stats, err);
    if (rc < 0)
        goto out;
    if (stats.corrected &&
        pl_learner_is_latest(l)) /* no one version sampled it all: to the one that trains */
        report.logp_difference = stats.correction.diff_max;
    mark = pl_learner_seconds();
    if (pl_learner_is_sampled_with(l, step + 1))
        rc = pl_versions_publish(&l->versions, step + 2,
                                 pl_trainer_state(l->models.trainer)->master, err);
    if (rc < 0)
        goto out;
    report.publish_s = pl_learner_seconds() - mark;
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
    report.step_s = pl_learner_seconds() - start;
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
static void forget(struct pl_learner *l)
{
    uint64_t oldest = pl_feed_version(l->conf, l->point.step);

    for (size_t i = 0; i < l->point.eval_count; i++)
        oldest = min_u64(oldest, l->point.evals[i] + 1);
    pl_versions_drop(&l->versions, oldest);
}

static int loop(struct pl_learner *l, struct pl_error *err)
{
    const struct pl_run_conf *c = l->conf;
    size_t fresh;
    int rc = note_state(l, "running", err);

    while (rc == PL_OK && l->point.step < c->steps && !pl_daemon_stopping(NULL)) {
        rc = train_step(l, err);
        if (rc == PL_OK)
            pl_learner_add_eval(l);
        if (rc == PL_OK && (l->point.step % c->save_freq == 0 || l->point.step == c->steps))
            rc = pl_learner_save(l, err);
        if (rc == PL_OK)
            rc = pl_learner_take_evals(l, 0, err);
        /* Evaluations that lag too far behind would keep too many versions. */
        while (rc == PL_OK && l->point.eval_count > 0 && !pl_daemon_stopping(NULL) &&
               l->point.evals[0] + PL_VERSIONS_MAX / 2 < l->point.step + 1)
            rc = pl_learner_take_evals(l, PL_LEARNER_WAIT_MS, err);
        forget(l);
        if (rc == PL_OK)
            rc = note_state(l, "running", err);
    }
    while (rc == PL_OK && l->point.eval_count > 0 && !pl_daemon_stopping(NULL)) {
        rc = pl_learner_sweep(l, err);
        if (rc == PL_OK)
            rc = pl_learner_feed(l, &fresh, err);
        if (rc == PL_OK)
            rc = pl_learner_take_evals(l, PL_LEARNER_WAIT_MS, err);
    }
    if (rc == PL_ECANCELED)
        rc = PL_OK;
    if (rc == PL_OK && l->point.step > 0)
        rc = pl_learner_save(l, err);
    return rc;
}

/* The result, and that the run is over. */
static int finish(struct pl_learner *l, struct pl_error *err)
{
    char *path;
    int rc;

    if (l->point.step < l->conf->steps || l->point.eval_count > 0)
        return note_state(l, "stopped", err);
    /* Evaluations that came in after the last checkpoint are retired without a new one. */
    rc = pl_learner_retire_evals(l, err);
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

static int open_prompts(struct pl_learner *l, struct pl_error *err)
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
    struct pl_learner *l = at;

    if (!pl_daemon_stopping(NULL))
        return false;
    if (l->asked_s <= 0.0)
        l->asked_s = pl_learner_seconds();
    return pl_learner_seconds() - l->asked_s > PATIENCE_S;
}

static int open_stream(struct pl_learner *l, struct pl_error *err)
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
static int publish_first(struct pl_learner *l, struct pl_error *err)
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

static int open_metrics(struct pl_learner *l, struct pl_error *err)
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
static int settle_past(struct pl_learner *l, struct pl_error *err)
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
        bool is_open = !pl_learner_eval_is_due(l, b);
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

static int write_config(struct pl_learner *l, struct pl_error *err)
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

static int open_all(struct pl_learner *l, struct pl_error *err)
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
        pl_learner_add_eval(l);
    rc = settle_past(l, err);
    return rc == PL_OK ? publish_first(l, err) : rc;
}

static void close_all(struct pl_learner *l)
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
    struct pl_learner l = {.daemon = daemon, .conf = &daemon->conf};
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
