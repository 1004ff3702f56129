/*
 * A fine-tuning job: from a model folder and JSON lines to a run's folder (rundir.h) with metrics,
 * checkpoints and the resulting model. The command line on top of it is sft.c.
 *
 *   pl_sft_prepare()   reads configuration, tokenizer and data; nothing large, nothing is written
 *   pl_sft_plan()      the memory that is to come
 *   pl_sft_start()     the run's folder, the weights, the trainer; resumes where it stands
 *   pl_sft_train()     steps, until all are done or a signal asks to stop
 *   pl_sft_finish()    DIR/model
 *   pl_sft_release()   in any state
 *
 * A job that is resumed, also after it was killed at any moment, ends with the same bytes of model,
 * optimiser and metrics (but for the time that steps took) as one that was left alone.
 *
 * Progress and remarks go to standard error, unless `quiet`.
 */
#ifndef PL_LEARNER_SFT_JOB_H
#define PL_LEARNER_SFT_JOB_H

#include "common/app/metrics.h"
#include "common/app/options.h"
#include "learner/rundir.h"
#include "learner/schedule.h"
#include "learner/sft_run.h"

enum { PL_SFT_DROP, PL_SFT_TRUNCATE };
#define PL_SFT_TOO_LONG "drop|truncate" /* in the order of the enum */
enum { PL_SFT_SPECIAL_TOKENS, PL_SFT_SPECIAL_TEXT };
#define PL_SFT_SPECIAL "tokens|text"
enum { PL_SFT_SHUFFLED, PL_SFT_FILE };
#define PL_SFT_ORDER "shuffled|file"

/* The options, one field each; sft.c says what they mean. */
struct pl_sft_conf {
    const char *model, *output;
    struct pl_option_list data; /* files */
    const char *template, *prompt_key, *response_key, *eval_file;
    size_t length_max;
    int too_long, special, order;
    size_t epochs, steps, batch, micro_tokens, seed;
    double lr, warmup_ratio, min_lr_ratio;
    size_t warmup_steps;
    int schedule;
    double weight_decay, beta1, beta2, eps, clip;
    size_t eval_every, save_every, keep;
    size_t memory_limit;
    bool resume, recompute, dry_run, quiet, json;
};

/* What the steps before have led to, for the summary. */
struct pl_sft_last {
    bool any; /* a step was taken by this process */
    double loss, eval_loss;
    bool evaluated;
};

struct pl_sft_job {
    const struct pl_sft_conf *conf; /* borrowed */
    char *checkpoint;               /* where it goes on, NULL: from the beginning */
    struct pl_config config;
    char *template; /* text of conf->template, NULL: the model's own */
    size_t template_len;
    uint32_t stop; /* the token that ends a response */
    struct pl_sft_data train, eval;
    json_t *agree; /* what a resumed run must agree with */
    struct pl_sft_opts opts;
    struct pl_schedule schedule; /* its `steps` are those of the whole run */
    /* from pl_sft_start() on */
    struct pl_rundir dir;
    struct pl_shape *shape;
    struct pl_weights *weights;
    struct pl_sft_run *run;
    struct pl_metrics *metrics;
    uint64_t saved_step; /* of the newest checkpoint, 0: none */
    struct pl_sft_last last;
};

/*
 * `command` gives the options' names for what must agree. Errors are those of reading the parts;
 * PL_EINVAL: options that contradict each other, a run that cannot begin or go on there
 * (pl_rundir_check()), or one that began with other options.
 */
int pl_sft_prepare(struct pl_sft_job *job, const struct pl_command *command,
                   const struct pl_sft_conf *conf, struct pl_error *err);

/* Into an empty plan. PL_ENOMEM. */
int pl_sft_plan(const struct pl_sft_job *job, struct pl_plan *plan, struct pl_error *err);

/* PL_EINVAL: the folder is not free. PL_EFORMAT and the like: a checkpoint or model does not load.
 */
int pl_sft_start(struct pl_sft_job *job, struct pl_error *err);

/*
 * PL_OK: all steps are done and saved. PL_ECANCELED: pl_signals_stop() asked to stop, and where it
 * stands is saved. PL_EINVAL: too many steps had to be skipped. PL_EIO, PL_ENOMEM: something could
 * not be written; the checkpoint before is whole, and the sentence names it.
 */
int pl_sft_train(struct pl_sft_job *job, struct pl_error *err);

/* Write DIR/model, unless it is there and no step was taken since. PL_EIO, PL_ENOMEM. */
int pl_sft_finish(struct pl_sft_job *job, struct pl_error *err);

void pl_sft_release(struct pl_sft_job *job); /* zeroed or released is fine */

#endif
