#include "learner/sft.h"

#include "common/app/machine.h"
#include "common/app/signals.h"
#include "common/app/term.h"
#include "common/base/buf.h"
#include "learner/sft_job.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 1 << 20 };

#define C struct pl_sft_conf

static const struct pl_option options[] = {
    PL_ARG(C, model, "MODEL", "folder of the model to begin with, and of its tokenizer"),
    PL_ARG_LIST(C, data, "DATA", 1, "JSON lines to learn from"),
    PL_OPTION_STRING(C, output, "output", "DIR", NULL,
                     "folder of the run: metrics.jsonl and the same for TensorBoard, checkpoints, "
                     "and at last the model"),
    PL_OPTION_FLAG(C, resume, "resume", 0,
                   "go on from the latest checkpoint in the folder, to the same bits; begin where "
                   "there is none"),

    PL_OPTION_GROUP("Data"),
    PL_OPTION_STRING(
        C, template, "template", "FILE", NULL,
        "text with {{user}} and perhaps {{system}} and {{answer}}, put around prompts; "
        "default: prompt_template.txt in MODEL, else ChatML where the tokenizer has "
        "it, else the prompt alone"),
    PL_OPTION_STRING(C, prompt_key, "prompt-key", "KEY", "prompt", "where a row has its prompt"),
    PL_OPTION_STRING(C, response_key, "response-key", "KEY", "response",
                     "where a row has its response"),
    PL_OPTION_SIZE(C, length_max, "max-length", "N", "0", 0, 1 << 24,
                   "tokens of a prompt and its response, 0: as many as the model has positions"),
    PL_OPTION_CHOICE(C, too_long, "too-long", "drop", PL_SFT_TOO_LONG,
                     "what is done with rows that have more, and counted: left out, or the "
                     "response cut"),
    PL_OPTION_CHOICE(C, special, "special", "tokens", PL_SFT_SPECIAL,
                     "what special tokens in responses are; in prompts they are always text"),
    PL_OPTION_CHOICE(C, order, "order", "shuffled", PL_SFT_ORDER,
                     "order of the rows in a pass: shuffled anew each time, or as in the file"),

    PL_OPTION_GROUP("Steps"),
    PL_OPTION_SIZE(C, epochs, "epochs", "N", "1", 1, 1000000, "passes over the data"),
    PL_OPTION_SIZE(C, steps, "steps", "N", "0", 0, 1000000000,
                   "optimiser steps, whatever the passes; 0: as --epochs says"),
    PL_OPTION_SIZE(C, batch, "batch-size", "N", "32", 1, 1 << 20, "rows of a step"),
    PL_OPTION_SIZE(C, micro_tokens, "micro-batch-tokens", "N", "4096", 1, 1 << 30,
                   "tokens computed at a time, which memory grows with; at least the longest row"),
    PL_OPTION_SEED(C, seed, "seed", "42", "seed of the shuffles"),

    PL_OPTION_GROUP("Optimiser (AdamW)"),
    PL_OPTION_REAL(C, lr, "lr", "X", "1e-5", 0, 1e30, "learning rate at the peak"),
    PL_OPTION_CHOICE(C, schedule, "lr-schedule", "cosine", PL_SCHEDULE_CHOICES,
                     "how it falls from the warm-up to the end"),
    PL_OPTION_REAL(C, warmup_ratio, "warmup-ratio", "X", "0.03", 0, 1,
                   "part of all steps in which it climbs to the peak"),
    PL_OPTION_SIZE(C, warmup_steps, "warmup-steps", "N", "0", 0, 1000000000,
                   "steps of that; 0: as --warmup-ratio says"),
    PL_OPTION_REAL(C, min_lr_ratio, "min-lr-ratio", "X", "0", 0, 1,
                   "what it falls to, as a part of --lr"),
    PL_OPTION_REAL(C, weight_decay, "weight-decay", "X", "0.01", 0, 1e6,
                   "decoupled decay of matrices; norms and biases have none"),
    PL_OPTION_REAL(C, beta1, "beta1", "X", "0.9", 0, 0.9999999, "decay of the first moment"),
    PL_OPTION_REAL(C, beta2, "beta2", "X", "0.95", 0, 0.9999999, "decay of the second moment"),
    PL_OPTION_REAL(C, eps, "eps", "X", "1e-8", 1e-30, 1, "added to the root of the second moment"),
    PL_OPTION_REAL(C, clip, "clip-grad", "X", "1", 0, 1e30,
                   "largest norm of the gradient, 0: no limit"),

    PL_OPTION_GROUP("Evaluation and checkpoints"),
    PL_OPTION_STRING(C, eval_file, "eval-file", "FILE", NULL,
                     "JSON lines to evaluate on: mean loss of a response token"),
    PL_OPTION_SIZE(C, eval_every, "eval-every", "N", "0", 0, 1000000000,
                   "steps between evaluations, 0: only at the end"),
    PL_OPTION_SIZE(C, save_every, "save-every", "N", "0", 0, 1000000000,
                   "steps between checkpoints, 0: only at the end and when stopped"),
    PL_OPTION_SIZE(C, keep, "keep", "N", "2", 0, 1000000000,
                   "checkpoints to keep, the last ones; 0: all"),

    PL_OPTION_GROUP("Machine"),
    PL_OPTION_FLAG(C, recompute, "recompute", 0,
                   "compute activations twice instead of keeping them: less memory, same bits"),
    PL_OPTION_SIZE(C, memory_limit, "memory-limit", "BYTES", "0", 0, 0,
                   "refuse to take more than this (16G); 0: what the machine has"),
    PL_OPTION_FLAG(C, dry_run, "dry-run", 0,
                   "read the data, print options and memory plan, and stop"),
    PL_OPTION_FLAG(C, quiet, "quiet", 'q', "no progress and remarks on standard error"),
    PL_OPTION_FLAG(C, json, "json", 0, "print the result as one JSON object, for scripts"),
};

#undef C

static const struct pl_command command = {
    .name = "plait sft",
    .about = "Fine-tunes a model on prompts and responses, and learns the responses only. Each "
             "line of DATA is an object {\"prompt\": \"...\", \"response\": \"...\"}, or "
             "{\"messages\": [{\"role\": \"user\", \"content\": \"...\"}, ...]} whose last message "
             "is the assistant's.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "Example:\n"
             "  plait sft base train.jsonl --output run --epochs 3 --lr 1e-4 --save-every 100\n"
             "  plait chat run/model\n\n"
             "A run that was stopped or died goes on with the same command and --resume. One\n"
             "process at a time works in the folder: a second one says so and ends with\n"
             "status 1.\n",
};

/* --- what is going to be done --- */

static void print_facts(const struct pl_sft_job *job, FILE *out)
{
    const struct pl_sft_conf *conf = job->conf;
    char tokens[PL_HUMAN_MAX];

    fprintf(out, "data     %zu rows, %s tokens of responses, the longest row %zu tokens",
            job->train.count, pl_human_count(tokens, (double)job->train.responses),
            job->train.longest);
    if (conf->eval_file)
        fprintf(out, "; to evaluate on %zu rows", job->eval.count);
    fprintf(out,
            "\nsteps    %" PRIu64 " of %zu rows (%" PRIu64 " a pass), the first %" PRIu64
            " to warm up\n",
            job->schedule.steps, conf->batch, pl_sft_steps_a_pass(&job->train, conf->batch),
            job->schedule.warmup);
}

static int print_options(FILE *out, const struct pl_sft_conf *conf)
{
    struct pl_buf text;
    int rc;

    pl_buf_init(&text, TEXT_BYTES_MAX);
    rc = pl_options_print(&command, conf, &text);
    if (rc == PL_OK)
        fprintf(out, "%s\n", text.data);
    pl_buf_release(&text);
    return rc;
}

static json_t *plan_json(const struct pl_plan *plan)
{
    json_t *object = json_object();
    int failed = object == NULL;

    for (size_t i = 0; i < plan->count && !failed; i++)
        failed = json_object_set_new(object, plan->rows[i].what,
                                     json_integer((json_int_t)plan->rows[i].bytes));
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}

/* One object on standard output, and its reference is given up. */
static int print_json(json_t *root)
{
    const int failed = !root || json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));

    json_decref(root);
    return failed || putchar('\n') == EOF ? PL_EIO : PL_OK;
}

static int dry_run(const struct pl_sft_job *job, const struct pl_plan *plan, struct pl_error *err)
{
    int rc;

    if (job->conf->json) {
        rc = print_json(
            json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:I}", "options",
                      pl_options_json(&command, job->conf), "rows", (json_int_t)job->train.count,
                      "response_tokens", (json_int_t)job->train.responses, "longest_row",
                      (json_int_t)job->train.longest, "steps", (json_int_t)job->schedule.steps,
                      "warmup_steps", (json_int_t)job->schedule.warmup, "memory", plan_json(plan),
                      "memory_bytes", (json_int_t)pl_plan_total(plan)));
    } else {
        rc = print_options(stdout, job->conf);
        print_facts(job, stdout);
        putchar('\n');
        if (rc == PL_OK)
            rc = pl_plan_print(plan, stdout, err);
    }
    if (rc < 0 || fflush(stdout) != 0)
        return pl_fail_errno(err, "write the plan");
    return PL_OK;
}

/* --- what was done --- */

static json_t *real_or_null(bool there, double value)
{
    return there && isfinite(value) ? json_real(value) : json_null();
}

static int summary_json(const struct pl_sft_job *job)
{
    const struct pl_train_state *state = pl_sft_run_state(job->run);
    const bool best = !isnan(state->eval_best);
    char model[4096];

    snprintf(model, sizeof model, "%s/model", job->dir.path);
    return print_json(json_pack(
        "{s:s, s:I, s:f, s:o, s:o, s:o, s:o, s:I, s:I}", "model", model, "training/global_step",
        (json_int_t)state->step, "training/epoch", pl_sft_run_epoch(job->run), "train/loss",
        real_or_null(job->last.any, job->last.loss), "val/loss",
        real_or_null(job->last.evaluated, job->last.eval_loss), "best_val_loss",
        real_or_null(best, state->eval_best), "best_val_step",
        best ? json_integer((json_int_t)state->eval_best_step) : json_null(), "train/skipped_steps",
        (json_int_t)state->skipped, "train/total_tokens", (json_int_t)state->tokens));
}

static void summary(const struct pl_sft_job *job)
{
    const struct pl_train_state *state = pl_sft_run_state(job->run);
    char tokens[PL_HUMAN_MAX];

    printf("%" PRIu64 " steps, %.4g passes, %s tokens", state->step, pl_sft_run_epoch(job->run),
           pl_human_count(tokens, (double)state->tokens));
    if (state->skipped > 0)
        printf(", %" PRIu64 " steps skipped", state->skipped);
    if (job->last.any)
        printf("; loss %.4g", job->last.loss);
    if (job->last.evaluated)
        printf("; val/loss %.4g", job->last.eval_loss);
    if (!isnan(state->eval_best))
        printf(", the best %.4g after step %" PRIu64, state->eval_best, state->eval_best_step);
    printf("\n%s/model\n", job->dir.path);
}

static int print_summary(const struct pl_sft_job *job, struct pl_error *err)
{
    int rc = PL_OK;

    if (job->conf->json)
        rc = summary_json(job);
    else
        summary(job);
    return rc < 0 || fflush(stdout) != 0 ? pl_fail_errno(err, "write the summary") : PL_OK;
}

/* --- the command --- */

static int show_plan(const struct pl_sft_job *job, const struct pl_plan *plan, struct pl_error *err)
{
    if (job->conf->quiet)
        return PL_OK;
    print_facts(job, stderr);
    return pl_plan_print(plan, stderr, err);
}

static int run(struct pl_sft_job *job, const struct pl_sft_conf *conf, struct pl_error *err)
{
    struct pl_plan plan;
    int rc = pl_sft_prepare(job, &command, conf, err);

    pl_plan_init(&plan);
    if (rc == PL_OK)
        rc = pl_sft_plan(job, &plan, err);
    if (rc == PL_OK)
        rc = conf->dry_run ? dry_run(job, &plan, err) : show_plan(job, &plan, err);
    if (rc == PL_OK)
        rc = pl_plan_check(&plan, conf->memory_limit, err);
    if (rc < 0 || conf->dry_run)
        return rc;
    rc = pl_sft_start(job, err);
    if (rc < 0)
        return rc;
    pl_signals_catch(); /* until here there is nothing to lose, and a signal ends it at once */
    rc = pl_sft_train(job, err);
    if (rc == PL_OK)
        rc = pl_sft_finish(job, err);
    if (rc == PL_OK)
        rc = print_summary(job, err);
    return rc;
}

int pl_cmd_sft(int argc, char **argv)
{
    struct pl_sft_conf conf;
    struct pl_sft_job job = {.dir.lock = -1};
    struct pl_error err = {0};
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    if (!conf.output && !conf.dry_run) {
        fprintf(stderr,
                "%s: option '--output' is missing: the folder of the run.\n"
                "Try '%s --help'.\n",
                command.name, command.name);
        pl_options_release(&command, &conf);
        return PL_STATUS_USAGE;
    }
    pl_machine_use_threads(0);
    rc = run(&job, &conf, &err);
    status = rc == PL_OK          ? PL_STATUS_OK
             : rc == PL_ECANCELED ? 128 + pl_signals_stop()
                                  : PL_STATUS_FAILED;
    if (rc < 0)
        pl_command_failed(&command, &err);
    pl_sft_release(&job);
    pl_options_release(&command, &conf);
    return status;
}
