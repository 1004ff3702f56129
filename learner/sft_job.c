#include "learner/sft_job.h"

#include "common/app/progress.h"
#include "common/app/signals.h"
#include "common/app/term.h"
#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/math/gemm.h"
#include "common/model/checkpoint.h"
#include "common/model/import.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEMPLATE_BYTES_MAX = 1 << 20 };

/* Options that may differ when a run goes on: they enter no bits, or only through the data, which
 * is compared by itself. */
static const char *const free_options[] = {
    "MODEL",     "DATA",         "template", "prompt-key", "response-key",
    "eval-file", "output",       "resume",   "save-every", "keep",
    "recompute", "memory-limit", "dry-run",  "quiet",      "json",
};

static void remark(const struct pl_sft_job *job, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A line on standard error, for people. */
static void remark(const struct pl_sft_job *job, const char *fmt, ...)
{
    va_list args;

    if (job->conf->quiet)
        return;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
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

static bool has_eval(const struct pl_sft_job *job)
{
    return job->conf->eval_file != NULL;
}

/* --- prepare: the data --- */

/* What text is read with; only while data is read. */
struct text {
    struct pl_tokenizer *tokenizer;
    struct pl_chat *chat;
    struct pl_encoder *encoder;
    struct pl_sft_format format;
};

static void text_release(struct text *text)
{
    pl_sft_format_release(&text->format);
    pl_encoder_destroy(text->encoder);
    pl_chat_destroy(text->chat);
    pl_tokenizer_destroy(text->tokenizer);
}

/* A template that is named is kept, because the model that comes out goes with it. */
static int load_template(struct pl_sft_job *job, struct text *text, struct pl_error *err)
{
    const struct pl_sft_conf *conf = job->conf;
    int rc;

    if (!conf->template)
        return pl_chat_load(NULL, conf->model, text->tokenizer, &text->chat, err);
    rc = pl_file_read(conf->template, TEMPLATE_BYTES_MAX, &job->template, &job->template_len, err);
    if (rc < 0)
        return rc;
    return pl_chat_parse(job->template, job->template_len, conf->template, &text->chat, err);
}

static int load_text(struct pl_sft_job *job, struct text *text, struct pl_error *err)
{
    const struct pl_sft_conf *conf = job->conf;
    int rc = pl_tokenizer_load(conf->model, &text->tokenizer, err);

    if (rc < 0)
        return rc;
    if (pl_tokenizer_size(text->tokenizer) > job->config.vocab)
        return pl_fail(err, PL_EINVAL,
                       "'%s': its tokenizer has %zu tokens, but the model's vocabulary is %zu",
                       conf->model, pl_tokenizer_size(text->tokenizer), job->config.vocab);
    rc = load_template(job, text, err);
    if (rc < 0)
        return rc;
    rc = pl_encoder_create(text->tokenizer, &text->encoder);
    if (rc < 0)
        return pl_fail(err, rc, "no memory for an encoder");
    text->format = (struct pl_sft_format){
        .chat = text->chat,
        .encoder = text->encoder,
        .prompt_key = conf->prompt_key,
        .response_key = conf->response_key,
        .responses = conf->special == PL_SFT_SPECIAL_TEXT ? PL_ENCODE_UNTRUSTED : PL_ENCODE_ALL,
        .length_max = conf->length_max ? conf->length_max : job->config.positions_max,
        .truncate = conf->too_long == PL_SFT_TRUNCATE,
    };
    return pl_sft_format_ends(&text->format, &job->config, &job->stop, err);
}

static void show_bytes(void *at, uint64_t done, uint64_t total)
{
    struct pl_progress *progress = at;

    progress->opts.total = total;
    pl_progress_update(progress, done, done, NULL);
}

static int read_file(const struct pl_sft_job *job, const char *path, struct text *text,
                     struct pl_sft_data *data, struct pl_error *err)
{
    const struct pl_progress_opts opts = {.what = "read", .unit = "B", .quiet = job->conf->quiet};
    struct pl_progress progress;
    int rc;

    pl_progress_begin(&progress, &opts);
    text->format.watch = show_bytes;
    text->format.watch_at = &progress;
    rc = pl_sft_data_read(path, &text->format, data, err);
    pl_progress_end(&progress);
    if (rc < 0)
        return rc;
    if (data->dropped > 0)
        remark(job, "%s: %zu of %zu rows are dropped: they have more than %zu tokens", path,
               data->dropped, data->dropped + data->count, text->format.length_max);
    if (data->truncated > 0)
        remark(job, "%s: %zu of %zu rows are cut to %zu tokens, without an end", path,
               data->truncated, data->dropped + data->count, text->format.length_max);
    return PL_OK;
}

static int read_data(struct pl_sft_job *job, struct pl_error *err)
{
    const struct pl_sft_conf *conf = job->conf;
    struct text text = {0};
    int rc;

    if (conf->length_max > job->config.positions_max)
        return pl_fail(err, PL_EINVAL,
                       "--max-length %zu is over the %zu positions that the model has",
                       conf->length_max, job->config.positions_max);
    rc = load_text(job, &text, err);
    if (rc == PL_OK)
        rc = read_file(job, conf->data, &text, &job->train, err);
    if (rc == PL_OK && has_eval(job))
        rc = read_file(job, conf->eval_file, &text, &job->eval, err);
    text_release(&text);
    return rc;
}

/* --- prepare: what is to be done --- */

static void set_schedule(struct pl_sft_job *job)
{
    const struct pl_sft_conf *conf = job->conf;
    const uint64_t a_pass = pl_sft_steps_a_pass(&job->train, conf->batch);
    const uint64_t steps = conf->steps ? conf->steps : conf->epochs * a_pass;

    job->schedule = (struct pl_schedule){
        .kind = (enum pl_schedule_kind)conf->schedule,
        .peak = conf->lr,
        .floor_ratio = conf->min_lr_ratio,
        .warmup = conf->warmup_steps ? conf->warmup_steps
                                     : (uint64_t)ceil(conf->warmup_ratio * (double)steps),
        .steps = steps,
    };
    job->opts = (struct pl_sft_opts){
        .batch = conf->batch,
        .micro_tokens = conf->micro_tokens,
        .shuffled = conf->order == PL_SFT_SHUFFLED,
        .seed = conf->seed,
        .recompute = conf->recompute,
        .adamw =
            {
                .beta1 = conf->beta1,
                .beta2 = conf->beta2,
                .eps = conf->eps,
                .weight_decay = conf->weight_decay,
                .clip = conf->clip,
            },
    };
}

/* "1000 rows, 0123456789abcdef" */
static json_t *data_json(const struct pl_sft_data *data)
{
    char text[64];

    snprintf(text, sizeof text, "%zu rows, %016" PRIx64, data->count, pl_sft_data_hash(data));
    return json_string(text);
}

static int set_agree(struct pl_sft_job *job, const struct pl_command *command, struct pl_error *err)
{
    int failed = 0;

    job->agree = pl_options_json(command, job->conf);
    if (!job->agree)
        return pl_fail(err, PL_ENOMEM, "the options hold what is not UTF-8, or memory is out");
    for (size_t i = 0; i < sizeof free_options / sizeof free_options[0]; i++)
        failed |= json_object_del(job->agree, free_options[i]);
    PL_ASSERT(!failed); /* each of them is an option */
    failed |= json_object_set_new(job->agree, "the data", data_json(&job->train));
    failed |= json_object_set_new(job->agree, "the evaluation data",
                                  has_eval(job) ? data_json(&job->eval) : json_null());
    return failed ? pl_fail(err, PL_ENOMEM, "no memory for a copy of the options") : PL_OK;
}

/* Where a resumed run stands, before anything large is loaded. */
static int check_checkpoint(struct pl_sft_job *job, struct pl_error *err)
{
    struct pl_train_state state = {0};
    int rc = pl_state_check(job->checkpoint, job->agree, &state, err);

    if (rc < 0)
        return rc;
    if (state.step > job->schedule.steps)
        return pl_fail(err, PL_EFORMAT,
                       "'%s' is after step %" PRIu64 ", but the run has only %" PRIu64,
                       job->checkpoint, state.step, job->schedule.steps);
    if (strcmp(state.core, pl_blas_core()) != 0)
        remark(job,
               "the run went on OpenBLAS's kernels for %s so far, and goes on on those for %s: its "
               "bits may differ from now on",
               state.core, pl_blas_core());
    remark(job, "resuming after step %" PRIu64 " of %" PRIu64 " from %s", state.step,
           job->schedule.steps, job->checkpoint);
    return PL_OK;
}

int pl_sft_prepare(struct pl_sft_job *job, const struct pl_command *command,
                   const struct pl_sft_conf *conf, struct pl_error *err)
{
    int rc = PL_OK;

    *job = (struct pl_sft_job){.conf = conf, .dir.lock = -1};
    pl_sft_data_init(&job->train);
    pl_sft_data_init(&job->eval);
    if (conf->output)
        rc = pl_rundir_check(conf->output, conf->resume, err);
    if (rc == PL_OK && conf->output && conf->resume)
        rc = pl_rundir_latest(conf->output, &job->checkpoint, err);
    if (rc == PL_OK)
        rc = pl_config_load(job->checkpoint ? job->checkpoint : conf->model, &job->config, err);
    if (rc == PL_OK)
        rc = read_data(job, err);
    if (rc < 0)
        return rc;
    set_schedule(job);
    rc = set_agree(job, command, err);
    if (rc == PL_OK && job->checkpoint)
        rc = check_checkpoint(job, err);
    else if (rc == PL_OK && conf->resume)
        remark(job, "there is no checkpoint to resume from: the run begins");
    return rc;
}

int pl_sft_plan(const struct pl_sft_job *job, struct pl_plan *plan, struct pl_error *err)
{
    struct pl_shape *shape = NULL;
    struct pl_weights *outline = NULL;
    int rc = pl_shape_create(&job->config, &shape, err);

    if (rc == PL_OK)
        rc = pl_weights_outline(shape, &outline, err);
    if (rc == PL_OK) {
        pl_plan_add(plan, "weights (bf16)", pl_weights_bytes(shape), NULL);
        pl_sft_run_plan(outline, &job->train, has_eval(job) ? &job->eval : NULL, &job->opts, plan);
    }
    pl_weights_destroy(outline);
    pl_shape_destroy(shape);
    return rc;
}

/* --- start --- */

static int load_weights(struct pl_sft_job *job, struct pl_error *err)
{
    const struct pl_progress_opts opts = {.what = "load", .unit = "B", .quiet = job->conf->quiet};
    struct pl_progress progress;
    const struct pl_import_watch watch = {&progress, show_bytes};
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
    remark(job, "responses end with token %" PRIu32 ", which becomes one of the model's eos tokens",
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
    return rc;
}

int pl_sft_start(struct pl_sft_job *job, struct pl_error *err)
{
    const struct pl_sft_conf *conf = job->conf;
    int rc = pl_rundir_open(conf->output, conf->resume, &job->dir, err);

    if (rc == PL_OK)
        rc = load_weights(job, err);
    if (rc < 0)
        return rc;
    name_stop(job);
    rc = pl_sft_run_create(job->weights, &job->train, has_eval(job) ? &job->eval : NULL, &job->opts,
                           &job->run, err);
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

    if (!has_eval(job) || !(every(job->conf->eval_every, step) || step == job->schedule.steps))
        return -1.0;
    job->last.eval_loss = pl_sft_run_evaluate(job->run);
    job->last.evaluated = true;
    pl_progress_hide(progress);
    remark(job, "step %" PRIu64 ": val/loss %.4g", step, job->last.eval_loss);
    return seconds() - start;
}

static void tell_skipped(const struct pl_sft_job *job, const struct pl_sft_step *step,
                         struct pl_progress *progress)
{
    const struct pl_train_state *state = pl_sft_run_state(job->run);

    if (!step->skipped)
        return;
    pl_progress_hide(progress);
    remark(job,
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
