/* A job until anything large is held or written: data, schedule, what must agree, memory plan. */
#include "common/app/progress.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/math/gemm.h"
#include "common/model/checksums.h"
#include "learner/sft_job_impl.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TEMPLATE_BYTES_MAX = 1 << 20 };

/* Options that may differ when a run goes on: they enter no bits, or only through the data, which
 * is compared by itself. */
static const char *const free_options[] = {
    "MODEL",     "DATA",         "template", "prompt-key", "response-key",
    "eval-file", "output",       "resume",   "save-every", "keep",
    "recompute", "memory-limit", "dry-run",  "quiet",      "json",
};

/* --- the data --- */

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

static int read_file(const struct pl_sft_job *job, const char *path, struct text *text,
                     struct pl_sft_data *data, struct pl_error *err)
{
    const size_t count = data->count, dropped = data->dropped, truncated = data->truncated;
    const struct pl_progress_opts opts = {.what = "read", .unit = "B", .quiet = job->conf->quiet};
    struct pl_progress progress;
    int rc;

    pl_progress_begin(&progress, &opts);
    text->format.watch = pl_sft_show_bytes;
    text->format.watch_at = &progress;
    rc = pl_sft_data_read(path, &text->format, data, err);
    pl_progress_end(&progress);
    if (rc < 0)
        return rc;
    if (data->dropped > dropped)
        pl_sft_remark(job, "%s: %zu of %zu rows are dropped: they have more than %zu tokens", path,
                      data->dropped - dropped, data->dropped - dropped + data->count - count,
                      text->format.length_max);
    if (data->truncated > truncated)
        pl_sft_remark(job, "%s: %zu of %zu rows are cut to %zu tokens, without an end", path,
                      data->truncated - truncated, data->dropped - dropped + data->count - count,
                      text->format.length_max);
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
    for (size_t i = 0; rc == PL_OK && i < conf->data.count; i++)
        rc = read_file(job, conf->data.items[i], &text, &job->train, err);
    if (rc == PL_OK && pl_sft_has_eval(job))
        rc = read_file(job, conf->eval_file, &text, &job->eval, err);
    text_release(&text);
    return rc;
}

/* --- what is to be done --- */

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
                                  pl_sft_has_eval(job) ? data_json(&job->eval) : json_null());
    return failed ? pl_fail(err, PL_ENOMEM, "no memory for a copy of the options") : PL_OK;
}

/* Where a resumed run stands, before anything large is loaded. */
static int check_checkpoint(struct pl_sft_job *job, struct pl_error *err)
{
    struct pl_train_state state = {0};
    bool there = false;
    int rc = pl_checksums_check(job->checkpoint, &there, err);

    if (rc == PL_OK)
        rc = pl_state_check(job->checkpoint, job->agree, &state, err);
    if (rc < 0)
        return rc;
    if (!there)
        pl_sft_remark(job,
                      "'%s' has no %s, because an earlier plait wrote it: its bytes are not "
                      "checked",
                      job->checkpoint, PL_CHECKSUMS_FILE);
    if (state.step > job->schedule.steps)
        return pl_fail(err, PL_EFORMAT,
                       "'%s' is after step %" PRIu64 ", but the run has only %" PRIu64,
                       job->checkpoint, state.step, job->schedule.steps);
    if (strcmp(state.core, pl_blas_core()) != 0)
        pl_sft_remark(
            job,
            "the run went on OpenBLAS's kernels for %s so far, and goes on on those for %s: its "
            "bits may differ from now on",
            state.core, pl_blas_core());
    pl_sft_remark(job, "resuming after step %" PRIu64 " of %" PRIu64 " from %s", state.step,
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
        pl_sft_remark(job, "there is no checkpoint to resume from: the run begins");
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
        pl_sft_run_plan(outline, &job->train, pl_sft_has_eval(job) ? &job->eval : NULL, &job->opts,
                        plan);
    }
    pl_weights_destroy(outline);
    pl_shape_destroy(shape);
    return rc;
}
