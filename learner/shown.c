#include "learner/shown.h"

#include "common/base/buf.h"
#include "common/link/survey.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

enum { SURVEY_S = 2 }; /* who looks more often is told the same again */

/* Names of metrics.jsonl, what they are here, and in words. */
static const struct {
    const char *figure, *name, *help;
} table[] = {
    {"critic/score/mean", "plait_reward_mean", "Mean reward of the last batch's samples."},
    {"critic/score/min", "plait_reward_min", "Least reward of the last batch's samples."},
    {"critic/score/max", "plait_reward_max", "Greatest reward of the last batch's samples."},
    {"interleave/reward_format", "plait_reward_format_mean", "What the form earned of it."},
    {"interleave/reward_final", "plait_reward_final_mean", "What the final answer earned of it."},
    {"interleave/reward_intermediate", "plait_reward_intermediate_mean",
     "What intermediate answers earned of it."},
    {"interleave/accuracy", "plait_accuracy_ratio", "Share of right final answers in the batch."},
    {"interleave/gate", "plait_gate_open", "1 where the batch's gate was open, else 0."},
    {"interleave/format_ok", "plait_format_ratio", "Share of samples of a valid form."},
    {"interleave/ttfa", "plait_ttfa_ratio",
     "Where in a response its first answer begins, as a share of its length."},
    {"interleave/ttfa_tokens", "plait_ttfa_tokens", "The same in tokens."},
    {"interleave/ttfa_right", "plait_ttfa_right_ratio",
     "Where in a response its first right answer begins, as a share of its length."},
    {"interleave/ttfa_right_tokens", "plait_ttfa_right_tokens", "The same in tokens."},
    {"interleave/num_answers", "plait_answers_mean", "Answers in a response."},
    {"interleave/intermediate_acc", "plait_intermediate_accuracy_ratio",
     "Share of right intermediate answers."},
    {"response_length/mean", "plait_response_length_mean_tokens", "Tokens of a response."},
    {"response_length/max", "plait_response_length_max_tokens", "Tokens of the longest."},
    {"response_length/clip_ratio", "plait_response_truncated_ratio",
     "Share of responses that were cut off at the limit."},
    {"frac_reward_zero_std", "plait_zero_spread_ratio",
     "Share of prompts whose samples all have the same reward."},
    {"actor/pg_loss", "plait_policy_loss", "Loss of the policy gradient."},
    {"actor/ppo_kl", "plait_ppo_kl", "Mean KL estimate of the policy to the one that sampled."},
    {"actor/kl_loss", "plait_kl_loss", "Its estimate in the loss, where it is in the loss."},
    {"actor/reward_kl_penalty", "plait_kl", "Mean KL estimate of the policy to the reference."},
    {"actor/entropy", "plait_entropy", "Mean entropy of the policy, in nats."},
    {"actor/grad_norm", "plait_grad_norm", "Norm of the gradient before it is clipped."},
    {"actor/lr", "plait_learning_rate", "Learning rate of the last step."},
    {"actor/pg_clipfrac", "plait_clipped_ratio", "Share of tokens whose ratio was clipped."},
    {"critic/vf_loss", "plait_value_loss", "Loss of the critic."},
    {"critic/vf_explained_var", "plait_value_explained_ratio",
     "Share of the returns' variance that the critic explains."},
    {"sampling/sampling_logp_difference/max", "plait_sampling_logp_difference_max",
     "Greatest difference of a log-probability as sampled and as computed again."},
    {"sampling/sampling_logp_difference/tokens", "plait_logp_compared_tokens",
     "Tokens of the last step whose log-probability was computed again by the version that sampled "
     "them."},
    {"sampling/sampling_logp_difference/off_tokens", "plait_logp_off_tokens",
     "Of those, tokens whose recorded log-probability is not the computed one to the bit."},
    {"training/off_policy/staleness", "plait_staleness_steps",
     "Steps by which the policy that sampled the batch was older."},
    {"training/dropped_groups", "plait_dropped_groups",
     "Groups that were dropped from batches since this start."},
    {"perf/throughput", "plait_throughput_tokens_per_second",
     "Tokens of the batch a second of its step."},
    {"timing_s/update_actor", "plait_update_seconds", "Time of the last step's update."},
    {"timing_s/update_weights", "plait_publish_seconds",
     "Time to publish the last step's version."},
    {"val-core/acc", "plait_evaluation_accuracy_ratio",
     "Share of right answers in the last evaluation."},
};

enum { FIGURES = sizeof table / sizeof *table };

/* Parts of the ledger: where each group that was ever fed is now. */
static const struct {
    const char *name;
    size_t offset;
} parts[] = {
    {"fed", offsetof(struct pl_ledger, fed)},
    {"trained", offsetof(struct pl_ledger, trained)},
    {"dropped", offsetof(struct pl_ledger, dropped)},
    {"queued", offsetof(struct pl_ledger, queued)},
    {"leased", offsetof(struct pl_ledger, leased)},
    {"rolled", offsetof(struct pl_ledger, rolled)},
    {"scoring", offsetof(struct pl_ledger, scoring)},
    {"scored", offsetof(struct pl_ledger, scored)},
    {"parked", offsetof(struct pl_ledger, parked)},
};

enum { PARTS = sizeof parts / sizeof *parts, QUEUES = 2 };

static const char *const queue_names[QUEUES] = {"prompts", "rollouts"};
static const char *const worker_roles[] = {"actor", "rewarder", "relay"};

enum { ROLES = sizeof worker_roles / sizeof *worker_roles };

struct pl_shown {
    struct pl_shown_opts opts;
    struct pl_meters *meters;
    struct pl_meter *figures[FIGURES];
    bool evaluation;     /* of which the line is that is being written */
    bool given[FIGURES]; /* by the line before, or this one so far */
    struct pl_meter *step, *steps, *version, *skipped, *step_s, *wait_s, *last;
    struct pl_meter *sent, *chunks, *manifests, *errors, *accepted, *rejected, *kept;
    struct pl_meter *disk_free, *disk_size;
    /* of the survey */
    struct pl_surveyor *surveyor;
    struct pl_survey survey;
    double surveyed_s;
    uint64_t newest;
    struct pl_meter *surveyed;
    struct pl_meter *depth[QUEUES], *ready, *pending[QUEUES], *oldest[QUEUES];
    struct pl_meter *dead, *parked, *astray, *pace, *ledger[PARTS], *workers[ROLES], *quarantined;
    struct pl_meter *lag_max, *lag_mean;
};

/* ---- made ---- */

static void make_queues(struct pl_shown *s)
{
    struct pl_meters *m = s->meters;
    static const char depth[] = "Groups in a queue, leased ones too; ready: batches.";

    s->surveyed = pl_meters_gauge(m, "plait_survey_up",
                                  "1 where Redis answered what is asked for these figures.", NULL);
    for (size_t q = 0; q < QUEUES; q++) {
        s->depth[q] = pl_meters_gauge(m, "plait_queue_depth", depth, "queue", queue_names[q], NULL);
        s->pending[q] = pl_meters_gauge(m, "plait_queue_pending", "Groups of it that are leased.",
                                        "queue", queue_names[q], NULL);
        s->oldest[q] = pl_meters_gauge(m, "plait_queue_oldest_seconds",
                                       "Age of the oldest group in a queue, leased or not.",
                                       "queue", queue_names[q], NULL);
    }
    s->ready = pl_meters_gauge(m, "plait_queue_depth", depth, "queue", "ready", NULL);
    s->dead = pl_meters_gauge(m, "plait_dead_groups",
                              "Groups that failed for good or were refused (plait dead).", NULL);
    s->parked = pl_meters_gauge(m, "plait_parked_groups",
                                "Groups that wait for another try because whoever computed them "
                                "ended; their batches wait for them (plait dead).",
                                NULL);
    s->astray = pl_meters_gauge(m, "plait_ledger_astray_groups",
                                "Groups that were fed and are nowhere in Redis; below 0: more are "
                                "there than were fed. 0 where the ledger balances.",
                                NULL);
    s->pace = pl_meters_gauge(m, "plait_step_pace_seconds",
                              "Time from one recent step to the next, by the clock of Redis; it "
                              "outlives the learner.",
                              NULL);
    for (size_t i = 0; i < PARTS; i++)
        s->ledger[i] = pl_meters_gauge(m, "plait_ledger_groups",
                                       "The run's ledger: fed, and what became of it.", "part",
                                       parts[i].name, NULL);
    for (size_t r = 0; r < ROLES; r++)
        s->workers[r] = pl_meters_gauge(m, "plait_workers", "Workers with a heartbeat.", "role",
                                        worker_roles[r], NULL);
    s->quarantined = pl_meters_gauge(m, "plait_actors_quarantined", "Actors in quarantine.", NULL);
    s->lag_max = pl_meters_gauge(m, "plait_policy_lag",
                                 "Versions by which actors' weights are behind the newest.", "stat",
                                 "max", NULL);
    s->lag_mean = pl_meters_gauge(m, "plait_policy_lag",
                                  "Versions by which actors' weights are behind the newest.",
                                  "stat", "mean", NULL);
}

static void make_weights(struct pl_shown *s)
{
    static const char doors[] = "Peers that came to fetch weights with a key, by what was said.";
    struct pl_meters *m = s->meters;

    s->sent = pl_meters_counter(m, "plait_weights_sent_bytes_total",
                                "Bytes of weights that were sent.", NULL);
    s->chunks = pl_meters_counter(m, "plait_weights_chunks_total", "Chunks of weights sent.", NULL);
    s->manifests = pl_meters_counter(m, "plait_weights_manifests_total",
                                     "Manifests sent: versions that somebody fetched.", NULL);
    s->errors = pl_meters_counter(m, "plait_weights_errors_total",
                                  "Questions for weights that are not there, or are none.", NULL);
    s->accepted =
        pl_meters_counter(m, "plait_connections_total", doors, "result", "accepted", NULL);
    s->rejected = pl_meters_counter(m, "plait_connections_total", doors, "result", "refused", NULL);
    s->kept =
        pl_meters_gauge(m, "plait_weights_versions_kept", "Versions that can be fetched.", NULL);
}

/*
 * When the run came any further last, before this program has done a step: a learner that dies in
 * each step must not look as if it had just made one. Its last checkpoint says so; without one, the
 * file that was made with the folder.
 */
static double last_progress_s(const char *dir)
{
    char *latest = pl_strf("%s/checkpoints/latest", dir), *id = pl_strf("%s/run_id", dir);
    struct stat st;
    double at = (double)time(NULL);

    if ((latest && stat(latest, &st) == 0) || (id && stat(id, &st) == 0))
        at = (double)st.st_mtim.tv_sec;
    free(latest);
    free(id);
    return at;
}

static void make(struct pl_shown *s)
{
    static const double seconds[] = {0.1, 0.25, 0.5, 1,   2.5, 5,    10,   20,
                                     30,  60,   120, 300, 600, 1800, 3600, 7200};
    const size_t n = sizeof seconds / sizeof *seconds;
    struct pl_meters *m = s->meters;

    for (size_t i = 0; i < FIGURES; i++)
        s->figures[i] = pl_meters_gauge(m, table[i].name, table[i].help, NULL);
    s->step = pl_meters_gauge(m, "plait_step", "Steps of the run that are done.", NULL);
    s->steps = pl_meters_gauge(m, "plait_steps_planned", "Steps that the run is to have.", NULL);
    pl_meter_set(s->steps, (double)s->opts.conf->steps);
    s->version = pl_meters_gauge(m, "plait_policy_version", "Newest version of the policy.", NULL);
    s->skipped = pl_meters_counter(m, "plait_updates_skipped_total",
                                   "Optimiser steps whose gradient was not finite.", NULL);
    s->step_s =
        pl_meters_histogram(m, "plait_step_duration_seconds",
                            "Time of a step, the wait for its batch in it.", seconds, n, NULL);
    s->wait_s = pl_meters_histogram(m, "plait_step_wait_seconds",
                                    "Time that a step waited for its batch.", seconds, n, NULL);
    s->last = pl_meters_gauge(m, "plait_last_step_timestamp_seconds",
                              "When the last step was done, in seconds since 1970; before the "
                              "first of this start: when the last checkpoint was written, or the "
                              "run began.",
                              NULL);
    pl_meter_set(s->last, last_progress_s(s->opts.conf->dir));
    s->disk_free = pl_meters_gauge(m, "plait_run_dir_free_bytes",
                                   "Bytes that can still be written to run.dir's disk.", NULL);
    s->disk_size = pl_meters_gauge(m, "plait_run_dir_size_bytes", "Size of run.dir's disk.", NULL);
    make_weights(s);
    make_queues(s);
}

/* ---- filled in when somebody looks ---- */

static double seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fill_weights(struct pl_shown *s)
{
    const struct pl_weights_source_stats w = pl_weights_source_stats(s->opts.source);

    pl_meter_rise(s->sent, (double)w.bytes);
    pl_meter_rise(s->chunks, (double)w.chunks);
    pl_meter_rise(s->manifests, (double)w.manifests);
    pl_meter_rise(s->errors, (double)w.errors);
    pl_meter_rise(s->accepted, (double)w.door.accepted);
    pl_meter_rise(s->rejected, (double)pl_door_refused(&w.door));
    pl_meter_set(s->kept, (double)w.kept);
}

static void fill_disk(struct pl_shown *s)
{
    struct statvfs disk;

    if (statvfs(s->opts.conf->dir, &disk) < 0)
        return;
    pl_meter_set(s->disk_free, (double)disk.f_bavail * (double)disk.f_frsize);
    pl_meter_set(s->disk_size, (double)disk.f_blocks * (double)disk.f_frsize);
}

/* What Redis did not tell is not known any more. */
static void forget_queues(struct pl_shown *s)
{
    for (size_t q = 0; q < QUEUES; q++) {
        pl_meter_unset(s->depth[q]);
        pl_meter_unset(s->pending[q]);
        pl_meter_unset(s->oldest[q]);
    }
    for (size_t i = 0; i < PARTS; i++)
        pl_meter_unset(s->ledger[i]);
    for (size_t r = 0; r < ROLES; r++)
        pl_meter_unset(s->workers[r]);
    pl_meter_unset(s->parked);
    pl_meter_unset(s->astray);
    pl_meter_unset(s->pace);
    pl_meter_unset(s->ready);
    pl_meter_unset(s->dead);
    pl_meter_unset(s->quarantined);
    pl_meter_unset(s->lag_max);
    pl_meter_unset(s->lag_mean);
}

static void fill_workers(struct pl_shown *s)
{
    const struct pl_survey *v = &s->survey;
    double behind = 0.0, most = 0.0;
    size_t sampling = 0;

    for (size_t r = 0; r < ROLES; r++) {
        size_t n = 0;

        for (size_t i = 0; i < v->worker_count; i++)
            n += strcmp(v->workers[i].role, worker_roles[r]) == 0;
        pl_meter_set(s->workers[r], (double)n);
    }
    for (size_t i = 0; i < v->worker_count; i++) {
        const struct pl_survey_worker *w = &v->workers[i];
        const double lag = v->version > w->version ? (double)(v->version - w->version) : 0.0;

        if (strcmp(w->role, "actor") != 0 || w->version == 0)
            continue;
        sampling++;
        behind += lag;
        most = lag > most ? lag : most;
    }
    if (sampling > 0) {
        pl_meter_set(s->lag_max, most);
        pl_meter_set(s->lag_mean, behind / (double)sampling);
    }
}

static void fill_queues(struct pl_shown *s)
{
    const struct pl_survey *v = &s->survey;
    const struct pl_ledger *l = &v->ledger;
    const double now = seconds_now();
    int rc;

    if (s->surveyed_s > 0.0 && now - s->surveyed_s < SURVEY_S)
        return;
    rc = pl_surveyor_take(s->surveyor, &s->survey, NULL);
    s->surveyed_s = seconds_now();
    forget_queues(s);
    pl_meter_set(s->surveyed, rc == PL_OK);
    if (rc < 0)
        return;
    pl_meter_set(s->depth[PL_QUEUE_PROMPTS], (double)(l->queued + l->leased));
    pl_meter_set(s->depth[PL_QUEUE_ROLLOUTS], (double)(l->rolled + l->scoring));
    pl_meter_set(s->pending[PL_QUEUE_PROMPTS], (double)l->leased);
    pl_meter_set(s->pending[PL_QUEUE_ROLLOUTS], (double)l->scoring);
    for (size_t q = 0; q < QUEUES; q++)
        pl_meter_set(s->oldest[q], v->oldest_s[q]);
    pl_meter_set(s->ready, (double)l->ready);
    pl_meter_set(s->dead, (double)l->dead);
    pl_meter_set(s->parked, (double)v->parked_count);
    if (v->ledger_exact)
        pl_meter_set(s->astray, (double)v->astray);
    if (isfinite(v->step_s))
        pl_meter_set(s->pace, v->step_s);
    pl_meter_set(s->quarantined, (double)v->barred_count);
    for (size_t i = 0; i < PARTS; i++) {
        uint64_t n;

        memcpy(&n, (const char *)l + parts[i].offset, sizeof n);
        pl_meter_set(s->ledger[i], (double)n);
    }
    fill_workers(s);
}

static void fill(void *at)
{
    struct pl_shown *s = at;

    fill_weights(s);
    fill_disk(s);
    fill_queues(s);
}

/* ---- from start to end ---- */

/* It asks Redis as the learner, over a connection of its own. */
static int open_surveyor(struct pl_shown *s, struct pl_error *err)
{
    const struct pl_run_conf *c = s->opts.conf;
    struct pl_redis_access access = {0};
    char *redis = pl_run_conf_redis(c);
    int rc = redis ? pl_redis_access_copy(&c->access, "learner", &access, err)
                   : pl_fail(err, PL_ENOMEM, "no memory for what the learner shows");

    if (rc == PL_OK)
        rc = pl_surveyor_create(redis, &access, c->name, &s->surveyor, err);
    pl_redis_access_release(&access);
    free(redis);
    return rc;
}

int pl_shown_create(const struct pl_shown_opts *opts, struct pl_shown **ret_shown,
                    struct pl_error *err)
{
    struct pl_shown *s;
    int rc;

    *ret_shown = NULL;
    if (!pl_window_meters(opts->window))
        return PL_OK;
    s = calloc(1, sizeof *s);
    if (!s)
        return pl_fail(err, PL_ENOMEM, "no memory for what the learner shows");
    s->opts = *opts;
    s->meters = pl_window_meters(opts->window);
    rc = open_surveyor(s, err);
    if (rc < 0) {
        free(s);
        return rc;
    }
    make(s);
    pl_meters_fill(s->meters, fill, s);
    *ret_shown = s;
    return PL_OK;
}

void pl_shown_destroy(struct pl_shown *shown)
{
    if (!shown)
        return;
    pl_meters_forget(shown->meters, fill, shown);
    pl_surveyor_destroy(shown->surveyor);
    pl_survey_release(&shown->survey);
    free(shown);
}

/* ---- what the learner says ---- */

void pl_shown_figure(void *shown, const char *name, double value)
{
    struct pl_shown *s = shown;

    /* Evaluations have figures by the same names; what a line is of stands at its start. A figure
     * that the last line did not have, as nothing was there to take it of, is not the one before's;
     * it goes now, and not the others with it, so that who looks in between finds those. */
    if (strcmp(name, "training/epoch") == 0) {
        s->evaluation = false;
        for (size_t i = 0; i < FIGURES; i++) {
            if (!s->given[i] && strncmp(table[i].figure, "val-", 4) != 0)
                pl_meter_unset(s->figures[i]);
            s->given[i] = false;
        }
    } else if (strncmp(name, "val-core/", 9) == 0) {
        s->evaluation = true;
    }
    for (size_t i = 0; i < FIGURES; i++)
        if (strcmp(table[i].figure, name) == 0 &&
            s->evaluation == (strncmp(name, "val-", 4) == 0)) {
            pl_meter_set(s->figures[i], value);
            s->given[i] = true;
        }
}

void pl_shown_step(struct pl_shown *shown, uint64_t step, double step_s, double wait_s)
{
    if (!shown)
        return;
    pl_meter_set(shown->step, (double)step);
    pl_meter_see(shown->step_s, step_s);
    pl_meter_see(shown->wait_s, wait_s);
    pl_meter_set(shown->last, (double)time(NULL));
}

void pl_shown_state(struct pl_shown *shown, uint64_t step, uint64_t version, uint64_t skipped)
{
    if (!shown)
        return;
    pl_meter_set(shown->step, (double)step);
    if (version > 0)
        pl_meter_set(shown->version, (double)version);
    pl_meter_rise(shown->skipped, (double)skipped);
}
