#include "learner/sft_job.h"

#include "common/app/progress.h"
#include "common/app/signals.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/model/checkpoint.h"
#include "common/model/import.h"
#include "learner/sft_job_impl.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void pl_sft_remark(const struct pl_sft_job *job, const char *fmt, ...)
{
    va_list args;

    if (job->conf->quiet)
        return;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

void pl_sft_show_bytes(void *at, uint64_t done, uint64_t total)
{
    struct pl_progress *progress = at;

    progress->opts.total = total;
    pl_progress_update(progress, done, done, NULL);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void pl_sft_release(struct pl_sft_job *job)
{
    pl_metrics_close(job->metrics);
    pl_sft_run_destroy(job->run);
    pl_weights_destroy(job->weights);
    pl_shape_destroy(job->shape);
    pl_rundir_close(&job->dir);
    pl_sft_data_release(&job->train);
    pl_sft_data_release(&job->eval);
    json_decref(job->agree);
    free(job->template);
    free(job->checkpoint);
    *job = (struct pl_sft_job){.dir.lock = -1};
}

/* --- start --- */

static int load_weights(struct pl_sft_job *job, struct pl_error *err)
{
    const struct pl_progress_opts opts = {.what = "load", .unit = "B", .quiet = job->conf->quiet};
    struct pl_progress progress;
    const struct pl_watch watch = {&progress, pl_sft_show_bytes};
    int rc;

    pl_progress_begin(&progress, &opts);
    rc = pl_model_load(job->checkpoint ? job->checkpoint : job->conf->model, &watch, &job->shape,
                       &job->weights, err);
    pl_progress_end(&progress);
    return rc;
}

/* Whoever generates with the model that comes out must stop where its responses end. */
static void name_stop(struct pl_sft_job *job)
{
    struct pl_config *config = &job->shape->config;

    for (size_t i = 0; i < config->eos_count; i++)
        if (config->eos[i] == job->stop)
            return;
    if (config->eos_count < PL_EOS_MAX)
        config->eos[config->eos_count++] = job->stop;
    pl_sft_remark(
        job, "responses end with token %" PRIu32 ", which becomes one of the model's eos tokens",
        job->stop);
}

static int open_metrics(struct pl_sft_job *job, struct pl_error *err)
{
    const int64_t step =
        job->checkpoint ? (int64_t)pl_sft_run_state(job->run)->step : PL_METRICS_FRESH;
    char *path = pl_strf("%s/metrics.jsonl", job->dir.path);
    int rc = path ? pl_metrics_open(path, step, &job->metrics, err)
                  : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", job->dir.path);

    free(path);
    return rc == PL_OK ? pl_metrics_events(job->metrics, err) : rc;
}

int pl_sft_start(struct pl_sft_job *job, struct pl_error *err)
{
    const struct pl_sft_conf *conf = job->conf;
    int rc = pl_rundir_open(conf->output, conf->resume, &job->dir, err);

    if (rc == PL_OK && job->dir.unlocked)
        pl_sft_remark(job,
                      "the file system of '%s' has no locks: see to it that no other process works "
                      "there",
                      conf->output);
    if (rc == PL_OK)
        rc = load_weights(job, err);
    if (rc < 0)
        return rc;
    name_stop(job);
    rc = pl_sft_run_create(job->weights, &job->train, pl_sft_has_eval(job) ? &job->eval : NULL,
                           &job->opts, &job->run, err);
    if (rc == PL_OK && job->checkpoint) {
        rc = pl_sft_run_restore(job->run, job->checkpoint, job->agree, err);
        job->saved_step = pl_sft_run_state(job->run)->step;
    }
    if (rc == PL_OK)
        rc = open_metrics(job, err);
    if (rc == PL_OK && job->checkpoint) /* what the process before could not come to */
        rc = pl_rundir_prune(&job->dir, job->saved_step, conf->keep, err);
    return rc;
}

/* --- what is written --- */

static int write_template(const struct pl_sft_job *job, const char *dir, struct pl_error *err)
{
    char *path = pl_strf("%s/" PL_CHAT_FILE, dir);
    struct pl_outfile out;
    int rc = path ? pl_outfile_open(path, &out, err)
                  : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir);

    if (rc == PL_OK) {
        rc = pl_outfile_write(&out, job->template, job->template_len, err);
        if (rc < 0)
            pl_outfile_abort(&out);
        else
            rc = pl_outfile_commit(&out, err);
    }
    free(path);
    return rc;
}

static int write_model(const struct pl_sft_job *job, const char *dir, struct pl_error *err)
{
    int rc = pl_model_write(dir, job->weights, job->conf->model, PL_SHARD_DEFAULT, err);

    if (rc == PL_OK && job->template)
        rc = write_template(job, dir, err);
    return rc;
}

/* Lines of metrics first: a checkpoint stands for all of them up to its step. */
static int save(struct pl_sft_job *job, struct pl_error *err)
{
    const uint64_t step = pl_sft_run_state(job->run)->step;
    struct pl_outdir out;
    int rc = pl_metrics_sync(job->metrics, err);

    if (rc == PL_OK)
        rc = pl_rundir_begin(&job->dir, step, &out, err);
    if (rc < 0)
        return rc;
    rc = write_model(job, out.tmp, err);
    if (rc == PL_OK)
        rc = pl_sft_run_save(job->run, out.tmp, job->agree, err);
    if (rc < 0) {
        pl_outdir_abort(&out);
        return rc;
    }
    rc = pl_rundir_commit(&job->dir, step, &out, err);
    if (rc < 0)
        return rc;
    job->saved_step = step;
    return pl_rundir_prune(&job->dir, step, job->conf->keep, err);
}

/* Names as verl has them. What depends on the clock comes last. */
static int write_metrics(struct pl_sft_job *job, const struct pl_sft_step *step, double lr,
                         double took_s, double eval_s, struct pl_error *err)
{
    struct pl_metrics *m = job->metrics;
    const struct pl_train_state *state = pl_sft_run_state(job->run);

    pl_metrics_begin(m, state->step);
    pl_metrics_real(m, "training/epoch", pl_sft_run_epoch(job->run));
    pl_metrics_real(m, "train/loss", step->loss);
    pl_metrics_real(m, "train/grad_norm", step->grad_norm);
    pl_metrics_real(m, "train/lr", lr);
    pl_metrics_count(m, "train/skipped_steps", state->skipped);
    pl_metrics_count(m, "train/response_tokens", step->responses);
    pl_metrics_count(m, "train/total_tokens", state->tokens);
    if (eval_s >= 0.0)
        pl_metrics_real(m, "val/loss", job->last.eval_loss);
    pl_metrics_count(m, "perf/total_num_tokens", step->tokens);
    pl_metrics_real(m, "perf/throughput", (double)step->tokens / took_s);
    pl_metrics_real(m, "perf/time_per_step", took_s);
    pl_metrics_real(m, "timing_s/forward", step->times.forward);
    pl_metrics_real(m, "timing_s/head", step->times.head);
    pl_metrics_real(m, "timing_s/backward", step->times.backward);
    pl_metrics_real(m, "timing_s/optimizer", step->times.step);
    if (eval_s >= 0.0)
        pl_metrics_real(m, "timing_s/testing", eval_s);
    return pl_metrics_end(m, err);
}

/* --- train --- */

static bool every(size_t n, uint64_t step)
{
    return n > 0 && step % n == 0;
}

/* Seconds it took, negative when it was not yet time. */
static double evaluate(struct pl_sft_job *job, struct pl_progress *progress)
{
    const uint64_t step = pl_sft_run_state(job->run)->step;
    const double start = seconds();

    if (!pl_sft_has_eval(job) ||
        !(every(job->conf->eval_every, step) || step == job->schedule.steps))
        return -1.0;
    job->last.eval_loss = pl_sft_run_evaluate(job->run);
    job->last.evaluated = true;
    pl_progress_hide(progress);
    pl_sft_remark(job, "step %" PRIu64 ": val/loss %.4g", step, job->last.eval_loss);
    return seconds() - start;
}

static void tell_skipped(const struct pl_sft_job *job, const struct pl_sft_step *step,
                         struct pl_progress *progress)
{
    const struct pl_train_state *state = pl_sft_run_state(job->run);

    if (!step->skipped)
        return;
    pl_progress_hide(progress);
    pl_sft_remark(job,
                  "step %" PRIu64
                  ": the gradient is not finite (loss %g): the step is skipped, the %" PRIu64
                  ". in a row of %" PRIu64 " in all",
                  state->step, step->loss, state->skipped_in_a_row, state->skipped);
}

/* One step with all that belongs to it, but for the checkpoint. */
static int take_step(struct pl_sft_job *job, struct pl_progress *progress, uint64_t *tokens,
                     struct pl_error *err)
{
    const struct pl_train_state *state = pl_sft_run_state(job->run);
    const double lr = pl_schedule_lr(&job->schedule, state->step), start = seconds();
    struct pl_sft_step step;
    char note[64];
    double took_s, eval_s;
    int rc = pl_sft_run_step(job->run, lr, &step, err);

    took_s = fmax(seconds() - start, 1e-9);
    tell_skipped(job, &step, progress);
    if (rc < 0)
        return rc;
    job->last.any = true;
    job->last.loss = step.loss;
    eval_s = evaluate(job, progress);
    rc = write_metrics(job, &step, lr, took_s, eval_s, err);
    *tokens += step.tokens;
    snprintf(note, sizeof note, "loss %.4g", step.loss);
    pl_progress_update(progress, state->step, *tokens, note);
    return rc;
}

static int canceled(const struct pl_sft_job *job, struct pl_error *err)
{
    return pl_fail(err, PL_ECANCELED,
                   "stopped by %s after step %" PRIu64 " of %" PRIu64
                   ", which is saved; the same command with --resume goes on",
                   pl_signals_stop() == SIGINT ? "SIGINT" : "SIGTERM",
                   pl_sft_run_state(job->run)->step, job->schedule.steps);
}

/* Put behind the sentence where the run can go on. */
static int say_where(const struct pl_sft_job *job, int rc, struct pl_error *err)
{
    char text[sizeof err->text];

    if (!err)
        return rc;
    memcpy(text, err->text, sizeof text);
    if (job->saved_step == 0)
        return pl_fail(err, rc, "%s; no checkpoint had been written yet", text);
    return pl_fail(err, rc,
                   "%s; the checkpoint '%s/checkpoints/global_step_%" PRIu64
                   "' is whole, and the same command with --resume goes on from it",
                   text, job->dir.path, job->saved_step);
}

int pl_sft_train(struct pl_sft_job *job, struct pl_error *err)
{
    const struct pl_train_state *state = pl_sft_run_state(job->run);
    const uint64_t steps = job->schedule.steps;
    const struct pl_progress_opts opts = {.what = "sft",
                                          .unit = "tok",
                                          .done = state->step,
                                          .total = steps,
                                          .quiet = job->conf->quiet};
    struct pl_progress progress;
    uint64_t tokens = 0;
    int rc = PL_OK;

    pl_progress_begin(&progress, &opts);
    while (rc == PL_OK && state->step < steps) {
        rc = take_step(job, &progress, &tokens, err);
        if (rc == PL_OK && (state->step == steps || every(job->conf->save_every, state->step)))
            rc = save(job, err);
        if (rc < 0 || state->step == steps || !pl_signals_stop())
            continue;
        if (job->saved_step != state->step)
            rc = save(job, err);
        if (rc == PL_OK)
            rc = canceled(job, err);
    }
    pl_progress_end(&progress);
    return rc == PL_OK || rc == PL_ECANCELED ? rc : say_where(job, rc, err);
}

/* --- finish --- */

int pl_sft_finish(struct pl_sft_job *job, struct pl_error *err)
{
    char *path = pl_strf("%s/model", job->dir.path);
    struct pl_outdir out;
    int rc = PL_OK;

    if (!path)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", job->dir.path);
    if (!job->last.any && pl_path_exists(path)) /* the process before has done it */
        goto out;
    rc = pl_outdir_open(path, true, &out, err);
    if (rc == PL_OK) {
        rc = write_model(job, out.tmp, err);
        if (rc < 0)
            pl_outdir_abort(&out);
        else
            rc = pl_outdir_commit(&out, err);
    }
    if (rc < 0)
        say_where(job, rc, err);
out:
    free(path);
    return rc;
}
