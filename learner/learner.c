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
#include "learner/result.h"
#include "learner/schedule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PAST_MAX = 64,         /* batches before the last checkpoint that may not be retired */
    SMALL_ROOM = 16 << 20, /* bytes of run.dir's disk, for what a step writes for people */
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

/* What Redis says of the run is for people; one that is full is given room, or is told later. */
static int note_surely(struct pl_learner *l, const char *state, struct pl_error *err)
{
    int rc;

    do {
        rc = note_state(l, state, err);
    } while (rc == PL_EFULL && (rc = pl_learner_make_room(l, err)) == PL_OK);
    return rc;
}

static void say_step(const struct pl_learner *l, const struct pl_report_step *s)
{
    const struct pl_rollouts *r = s->rollouts;
    double reward = 0.0;

    for (size_t i = 0; i < r->samples; i++)
        reward += r->scores[i] / (double)r->samples;
    pl_info(
        "trained step=%llu batch=%llu reward=%.4f accuracy=%.4f gate=%d loss=%.5f grad_norm=%.4f "
        "tokens=%zu wait_s=%.2f step_s=%.2f logp_difference=%.3g compared=%zu",
        (unsigned long long)s->step, (unsigned long long)s->step - 1, reward, r->accuracy, r->gate,
        s->update->policy.pg_loss, s->update->grad_norm, r->tokens, s->wait_s, s->step_s,
        s->difference.tokens > 0 ? s->difference.most : s->correction_difference,
        s->difference.tokens);
    pl_vitals_status("step %llu of %zu, %.3g rollouts/s, reward %.3f", (unsigned long long)s->step,
                     l->conf->steps, (double)r->samples / s->step_s, reward);
}

/* Something is wrong with who sampled, with what lies between, or with this machine. */
static void say_difference(const struct pl_report_step *s)
{
    const struct pl_update_difference *d = &s->difference;
    char id[PL_ROLLOUT_GROUP_ID_MAX];

    if (d->off == 0)
        return;
    pl_rollout_group_id(&s->rollouts->groups[d->group], id);
    pl_warn("difference step=%llu tokens=%zu off_tokens=%zu most=%.3g first_group=%s actor=%s "
            "reason=\"log-probabilities were recorded that are not those of the version that "
            "sampled: the ratios of this step are wrong there; audit.share finds out who\"",
            (unsigned long long)s->step, d->tokens, d->off, d->most, id,
            s->rollouts->groups[d->group].actor);
}

/* What was compared before the update, and while it learnt. */
static void add_difference(struct pl_update_difference *sum, const struct pl_update_difference *d)
{
    if (sum->off == 0)
        sum->group = d->group;
    sum->most = fmax(sum->most, d->most);
    sum->tokens += d->tokens;
    sum->off += d->off;
}

/* The batch of this step, ready to be learnt. Nothing of the run has changed yet when it fails. */
static int take_step(struct pl_learner *l, struct pl_ready *ready, struct pl_rollouts *rollouts,
                     struct pl_report_step *report, struct pl_error *err)
{
    size_t fresh;
    int rc = pl_learner_feed(l, &fresh, err);

    if (rc == PL_OK || rc == PL_EFULL) /* what is there already does not need to be fed */
        rc = pl_learner_take_rollouts(l, ready, rollouts, report, err);
    if (rc < 0)
        return rc;
    if (rollouts->samples == 0)
        return pl_fail(err, PL_EFORMAT,
                       "all %zu groups of batch %s went to the dead; their reasons are in the "
                       "stream 'dead' of the run",
                       ready->dropped, ready->batch);
    if (l->conf->spare_groups > 0)
        rc = pl_refill(rollouts, l->conf->batch_groups, &report->refill, err);
    return rc;
}

/* The weights are those of the next step: from here on nothing may say otherwise. */
static void count_step(struct pl_learner *l, const struct pl_ready *ready,
                       const struct pl_rollouts *rollouts)
{
    l->point.accuracy = rollouts->accuracy;
    l->point.step++;
    l->point.train.tokens += rollouts->tokens;
    l->dropped += ready->dropped;
    l->held_bytes += pl_learner_bytes_of(ready);
    l->unpark_pause = 0.0;
    pl_presence_step(l->presence, l->point.step);
}

static int publish(struct pl_learner *l, double *ret_s, struct pl_error *err)
{
    const double start = pl_learner_seconds();
    const uint64_t step = l->point.step;
    int rc = PL_OK;

    pl_presence_phase(l->presence, "publishing");
    if (pl_learner_is_sampled_with(l, step))
        rc = pl_versions_publish(&l->versions, step + 1,
                                 pl_trainer_state(l->models.trainer)->master, err);
    *ret_s = pl_learner_seconds() - start;
    return rc == PL_EFULL ? PL_OK : rc; /* it is published; what Redis says of it is for people */
}

static int report_step(struct pl_learner *l, struct pl_report_step *report, struct pl_error *err)
{
    const uint64_t step = l->point.step;
    int rc;

    report->save_s = l->save_s;
    l->save_s = 0.0;
    report->kl_coef = l->update.kl_coef;
    report->dropped = l->dropped;
    (void)pl_prompts_at(&l->train, l->conf->seed, step - 1, l->conf->batch_groups, 0,
                        &report->epoch);
    rc = pl_report_train(l->metrics, l->stream, report, err);
    if (rc == PL_EFULL) /* the line is in the file */
        rc = PL_OK;
    pl_shown_step(l->shown, step, report->step_s, report->wait_s);
    /* Also where Redis did not answer: after a checkpoint of this step nobody would write them. */
    if (l->conf->rollouts_kept && (step - 1) % l->conf->rollouts_kept == 0) {
        char name[32];

        snprintf(name, sizeof name, "%llu", (unsigned long long)step);
        pl_learner_write_rollouts(l, name, report->rollouts);
    }
    if (rc == PL_OK || rc == PL_ECANCELED) /* the line is in the file */
        say_step(l, report);
    return rc;
}

/* In latest mode no one version has sampled it all. */
static void note_ages(struct pl_learner *l, const struct pl_rollouts *rollouts,
                      struct pl_staleness *ages, struct pl_report_step *report)
{
    if (!pl_learner_is_latest(l))
        return;
    pl_staleness_of(rollouts, l->point.step + 1, ages);
    report->ages = ages;
    report->staleness = ages->most;
    report->staleness_max = l->conf->staleness_max;
}

/* PL_EFULL: Redis is full, and nothing was trained. PL_ECANCELED: it is to stop; l->torn says
 * whether the weights are still those of a step. */
static int train_step(struct pl_learner *l, struct pl_error *err)
{
    const uint64_t step = l->point.step, version = pl_feed_version(l->conf, step);
    const double start = pl_learner_seconds();
    struct pl_rollouts rollouts = {0};
    struct pl_update_stats stats = {0};
    struct pl_report_step report = {.step = step + 1,
                                    .staleness = (size_t)(step + 1 - version),
                                    .rollouts = &rollouts,
                                    .update = &stats,
                                    .previous = l->point.accuracy,
                                    .correction_difference = NAN};
    struct pl_error late = {0};
    struct pl_staleness ages;
    struct pl_ready ready = {0};
    int rc = take_step(l, &ready, &rollouts, &report, err), published;

    if (rc < 0)
        goto out;
    pl_presence_phase(l->presence, "training");
    note_ages(l, &rollouts, &ages, &report);
    l->update.critic_lr = critic_rate(l);
    l->update.critic_only = step < l->conf->critic_warmup;
    pl_learner_difference(l, &rollouts, version, &report.difference);
    rc = pl_update_run(&l->update, &rollouts, rate(l), &stats, err);
    l->torn = rc < 0 && l->stop.stepped;
    if (rc < 0)
        goto out;
    add_difference(&report.difference, &stats.difference);
    if (stats.corrected && pl_learner_is_latest(l)) /* to the one that trains */
        report.correction_difference = stats.correction.diff_max;
    count_step(l, &ready, &rollouts);
    published = publish(l, &report.publish_s, &late);
    report.step_s = pl_learner_seconds() - start;
    rc = report_step(l, &report, err); /* whatever publishing came to: the step is done */
    if (rc == PL_OK)
        say_difference(&report);
    if (rc == PL_OK && published < 0)
        rc = pl_fail(err, published, "%s", late.text);
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

/* A step, once there is room for what it leaves and for the evaluation of its policy. */
static int step_on(struct pl_learner *l, struct pl_error *err)
{
    const uint64_t next = l->point.step + 1;
    const uint64_t oldest = next > PL_VERSIONS_MAX / 2 ? next - PL_VERSIONS_MAX / 2 : 0;
    int rc = pl_learner_wait_room(l, SMALL_ROOM, "a step", err);

    /* Evaluations that lag too far behind would keep too many versions. */
    if (rc == PL_OK)
        rc = pl_learner_wait_evals(l, PL_EVALS_MAX - 1, oldest, err);
    forget(l);
    if (rc == PL_OK)
        rc = train_step(l, err);
    if (rc == PL_EFULL) /* nothing was trained: once there is room, all of it again */
        return pl_learner_make_room(l, err);
    if (l->point.step == next)
        pl_learner_add_eval(l); /* before any checkpoint of this step, whatever else failed */
    if (rc == PL_OK && pl_learner_save_is_due(l))
        rc = pl_learner_save(l, err);
    if (rc == PL_OK)
        rc = pl_learner_take_evals(l, 0, err);
    if (rc == PL_OK)
        rc = pl_learner_keep_books(l, false, err);
    forget(l);
    return rc == PL_OK ? note_surely(l, "running", err) : rc;
}

static int loop(struct pl_learner *l, struct pl_error *err)
{
    int rc = note_surely(l, "running", err);

    while (rc == PL_OK && l->point.step < l->conf->steps && !pl_daemon_stopping(NULL)) {
        rc = pl_presence_check(l->presence, err);
        if (rc == PL_OK)
            rc = step_on(l, err);
        if (rc == PL_EFULL) /* evaluations that could not be fed; they come again */
            rc = pl_learner_make_room(l, err);
    }
    if (rc == PL_OK && l->point.step == l->conf->steps)
        rc = pl_learner_wait_evals(l, 0, 0, err);
    return rc;
}

/* Behind a checkpoint of a step nobody would write its line of metrics any more: one that a disk
 * did not take has the step made again. */
static bool is_reported(const struct pl_learner *l)
{
    char *path = pl_strf("%s/metrics.jsonl", l->conf->dir);
    struct pl_error met = {0};
    bool found = false;

    if (path && pl_metrics_find(path, l->point.step, "pg_loss", &found, &met) < 0)
        pl_warn("metrics event=unreadable reason=\"%s\"", met.text);
    free(path);
    return found;
}

/*
 * Whatever ended the loop: a step that is done is not lost, unless its weights are half of another,
 * or another learner has the run.
 */
static int save_last(struct pl_learner *l, int ended, struct pl_error *err)
{
    struct pl_error met = {0}, other = {0};
    int rc = ended == PL_ECANCELED ? PL_OK : ended;

    if (l->torn)
        pl_warn("abandoned step=%llu saved_step=%llu reason=\"the update was stopped after its "
                "first optimiser step: the run goes on from the last checkpoint\"",
                (unsigned long long)l->point.step + 1, (unsigned long long)l->saved);
    else if (ended == PL_ECANCELED)
        pl_info("stopping step=%llu saved_step=%llu", (unsigned long long)l->point.step,
                (unsigned long long)l->saved);
    if (l->torn || l->point.step == 0 || pl_presence_check(l->presence, &other) < 0)
        return rc;
    if (rc < 0 && l->point.step > l->saved && !is_reported(l)) {
        pl_warn("abandoned step=%llu saved_step=%llu reason=\"its line of metrics could not be "
                "written: the run goes on from the last checkpoint\"",
                (unsigned long long)l->point.step, (unsigned long long)l->saved);
        return rc;
    }
    l->leaves = rc < 0; /* what Redis holds is the next start's */
    if (l->point.step > l->saved || rc == PL_OK) {
        const int saved = pl_learner_save(l, &met);

        if (saved < 0 && rc < 0)
            pl_warn("saving event=failed step=%llu reason=\"%s\"",
                    (unsigned long long)l->point.step, met.text);
        else if (saved < 0)
            rc = pl_fail(err, saved, "%s", met.text);
    }
    return rc;
}

/* The result, and that the run is over. */
static int finish(struct pl_learner *l, struct pl_error *err)
{
    const uint64_t step = l->point.step;
    char why[PL_PRESENCE_WHY_MAX];
    int rc;

    if (l->torn || step < l->conf->steps || l->point.eval_count > 0) {
        pl_presence_phase(l->presence, "stopped");
        rc = note_state(l, "stopped", err);
        return rc == PL_ECANCELED || rc == PL_EFULL ? PL_OK : rc; /* a Redis that is gone */
    }
    rc = pl_learner_wait_room(l, 3 * l->models.shape->params, "the result", err);
    if (rc == PL_OK)
        rc = pl_result_write(l->conf, step, l->models.weights, err);
    if (rc == PL_OK)
        rc = note_surely(l, "finished", err);
    pl_presence_phase(l->presence, "finished");
    if (rc == PL_OK && l->incomplete > 0) {
        snprintf(why, sizeof why,
                 "%zu evaluations could not be made whole, the last at step %llu: groups of them "
                 "are among the dead (plait dead list)",
                 l->incomplete, (unsigned long long)l->incomplete_step);
        pl_presence_why(l->presence, why);
        pl_warn("finished event=incomplete reason=\"%s\"", why);
    }
    return rc;
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

/* Between packs: an update that has stepped goes on to its end, for so long; else it ends at once.
 */
static bool asked_to_stop(void *at, bool stepped)
{
    struct pl_learner *l = at;

    if (!pl_daemon_stopping(NULL))
        return false;
    if (l->asked_s <= 0.0)
        l->asked_s = pl_learner_seconds();
    return !stepped || pl_learner_seconds() - l->asked_s > (double)l->conf->learner_drain_s;
}

/* A full Redis is the learner's to help: with a checkpoint it lets go of what is trained. */
static bool is_full(void *unused)
{
    (void)unused;
    return true;
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
        .stop = pl_daemon_stopping,
        .full = is_full,
        .event = pl_daemon_event,
    };
    int rc = redis ? pl_queues_open(&opts, &l->stream, err)
                   : pl_fail(err, PL_ENOMEM, "no memory for the learner");

    free(redis);
    return rc;
}

static int open_presence(struct pl_learner *l, struct pl_error *err)
{
    char *redis = pl_run_conf_redis(l->conf);
    int rc = redis ? pl_presence_open(&(struct pl_presence_opts){.conf = l->conf,
                                                                 .name = l->daemon->name,
                                                                 .redis = redis,
                                                                 .stop = pl_daemon_stopping},
                                      &l->presence, err)
                   : pl_fail(err, PL_ENOMEM, "no memory for the learner");

    free(redis);
    if (rc == PL_OK) {
        pl_presence_step(l->presence, l->point.step);
        if (l->point.step > 0)
            pl_presence_saved(l->presence, l->point.step);
    }
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
        if (rc == PL_EFULL)
            rc = PL_OK;
        free(p->behind[i].values);
        p->behind[i].values = NULL;
    }
    if (rc == PL_OK)
        rc = pl_versions_publish(&l->versions, p->step + 1,
                                 pl_trainer_state(l->models.trainer)->master, err);
    return rc == PL_EFULL ? PL_OK : rc; /* Redis alone does not know of it */
}

static int open_metrics(struct pl_learner *l, struct pl_error *err)
{
    char *path = pl_strf("%s/metrics.jsonl", l->conf->dir);
    int rc = path ? pl_metrics_open(path, (int64_t)l->point.step, &l->metrics, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for the learner");

    free(path);
    if (rc == PL_OK && pl_metrics_last(l->metrics) < l->point.step)
        pl_warn("metrics event=missing last=%llu step=%llu reason=\"metrics.jsonl ends before the "
                "checkpoint: it was lost, or an older copy was restored\"",
                (unsigned long long)pl_metrics_last(l->metrics), (unsigned long long)l->point.step);
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

        rc = pl_metrics_find(path, p->evals[i], "\"val-", &reported, err);
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

/*
 * The models as the newest checkpoint has them, or as they begin; and whether this is the run that
 * made it. Before anything is changed: nothing of another run is written over.
 */
static int open_models(struct pl_learner *l, struct pl_error *err)
{
    const struct pl_run_conf *c = l->conf;
    char *checkpoint = NULL;
    int rc = pl_rundir_latest(c->dir, &checkpoint, err);

    snprintf(l->point.train.core, sizeof l->point.train.core, "%s", pl_blas_core());
    l->point.train.eval_best = NAN;
    if (rc == PL_OK)
        rc = pl_models_load(&l->models, c, checkpoint, err);
    if (rc == PL_OK)
        rc = open_prompts(l, err);
    if (rc == PL_OK)
        rc = pl_identity_open(&l->identity,
                              &(struct pl_identity_opts){.conf = c,
                                                         .checkpoint = checkpoint,
                                                         .models = &l->models,
                                                         .train = &l->train,
                                                         .val = &l->val},
                              err);
    if (rc == PL_OK)
        rc = pl_models_ready(&l->models, checkpoint, &l->point, err);
    l->identity.from_step = l->point.step;
    free(checkpoint);
    return rc;
}

static int open_all(struct pl_learner *l, struct pl_error *err)
{
    const struct pl_run_conf *c = l->conf;
    int rc = pl_versions_keys(c, l->daemon->name, &l->keys, err);

    if (rc == PL_OK)
        rc = pl_rundir_open(c->dir, true, &l->dir, err);
    if (rc == PL_OK && l->dir.unlocked)
        pl_warn("start event=unlocked dir=\"%s\" reason=\"its file system has no locks: see to it "
                "that no other process works there\"",
                c->dir);
    if (rc == PL_OK)
        rc = open_models(l, err);
    if (rc == PL_OK)
        rc = open_stream(l, err);
    if (rc == PL_OK) /* only the run's learner may change what Redis holds */
        rc = open_presence(l, err);
    if (rc == PL_OK)
        rc = pl_identity_settle(&l->identity, c, l->stream, err);
    l->point.life = l->identity.life.number;
    if (rc == PL_OK)
        rc = pl_best_open(c->dir, &l->best, err);
    if (rc == PL_OK)
        rc = write_config(l, err);
    if (rc == PL_OK)
        rc = open_metrics(l, err);
    if (rc == PL_OK)
        rc = pl_versions_init(&l->versions, c, &l->identity.life, l->keys, l->models.shape,
                              l->stream, err);
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
    l->feeder.life = l->identity.life;
    l->trust = (struct pl_trust){.audit = l->trust.audit,
                                 .conf = c,
                                 .feeder = &l->feeder,
                                 .stream = l->stream,
                                 .trainer = l->models.trainer,
                                 .pack = l->models.pack};
    l->saved = l->retired = l->point.step;
    l->saved_at = pl_learner_seconds();
    l->stop = (struct pl_stop){.asked = asked_to_stop, .at = l};
    l->update = (struct pl_update){
        .conf = c,
        .trainer = l->models.trainer,
        .pack = l->models.pack,
        .reference = l->models.reference,
        .critic = pl_models_critic(&l->models),
        .kl_coef = l->point.step > 0 ? l->point.kl_coef : c->kl_coef,
        .skipped = l->point.train.skipped,
        .stop = &l->stop,
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
    pl_presence_close(l->presence);
    pl_queues_close(l->stream);
    pl_metrics_close(l->metrics);
    pl_best_release(&l->best);
    pl_models_close(&l->models);
    pl_prompts_release(&l->train);
    pl_prompts_release(&l->val);
    pl_tokenizer_destroy(l->tokenizer);
    pl_identity_close(&l->identity);
    free(l->evals_reported);
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
        rc = save_last(&l, loop(&l, err), err);
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
