#include "deploy/cmd_eval.h"

#include "common/app/machine.h"
#include "common/app/options.h"
#include "common/app/progress.h"
#include "common/app/run_conf.h"
#include "common/app/signals.h"
#include "common/app/term.h"
#include "common/base/json.h"
#include "common/model/import.h"
#include "deploy/view/eval.h"
#include "deploy/view/scorecard.h"
#include "learner/transcript.h"
#include "rewarder/rewarder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 1024, TEXT_BYTES_MAX = 64 << 20 };

struct conf {
    const char *model, *config, *instruction, *template, *out;
    struct pl_option_list data;
    int method, color; /* method: 0 for "auto" */
    size_t samples, max_tokens, max_prompt, limit, seed, slots, threads;
    double temperature, top_p, top_k;
    bool json, quiet;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, model, "MODEL", "folder of the model"),
    PL_OPTION_GROUP("What is asked"),
    PL_OPTION_LIST(struct conf, data, "data", "FILE", NULL, "task files, JSON lines"),
    PL_OPTION_STRING(struct conf, config, "config", "FILE", NULL,
                     "settings of a run, such as its config.yaml: what is not given here comes "
                     "from it, rewards too"),
    PL_OPTION_CHOICE(struct conf, method, "method", "auto", "auto|" PL_METHOD_WORDS,
                     "form of response that counts as valid; auto: the configuration's, or "
                     "interleave"),
    PL_OPTION_STRING(struct conf, instruction, "instruction", "auto|none|FILE", NULL,
                     "what the model is told before the question: data.instruction of plait up; "
                     "without it the configuration's, or auto, plait's for the method"),
    PL_OPTION_STRING(struct conf, template, "template", "FILE", NULL,
                     "prompt template, instead of the model's"),
    PL_OPTION_SIZE(struct conf, limit, "limit", "N", "0", 0, 0, "take the first N tasks; 0: all"),
    PL_OPTION_SIZE(struct conf, max_prompt, "max-prompt", "N", "0", 0, PL_POSITIONS_MAX,
                   "tokens; longer tasks are left out and counted; 0: the configuration's, or "
                   "what the model has room for"),
    PL_OPTION_SIZE(struct conf, max_tokens, "max-tokens", "N", "0", 0, PL_POSITIONS_MAX,
                   "tokens of a response; 0: the configuration's, or 512 or half of what the model "
                   "has room for"),
    PL_OPTION_GROUP("Drawing"),
    PL_OPTION_SIZE(struct conf, samples, "n", "N", "0", 0, 4096,
                   "samples of a task; 0: the configuration's, or 1"),
    PL_OPTION_REAL(struct conf, temperature, "temperature", "X", "-1", -1, 1000,
                   "0 takes the likeliest token; -1: the configuration's, or 0 for one sample and "
                   "1 for more"),
    PL_OPTION_REAL(struct conf, top_p, "top-p", "X", "-1", -1, 1,
                   "draw from the fewest tokens that are this likely together; -1: the "
                   "configuration's, or 1"),
    PL_OPTION_REAL(struct conf, top_k, "top-k", "N", "-1", -1, 4294967295.0,
                   "draw from the N likeliest tokens, 0 from all; -1: the configuration's, or 0"),
    PL_OPTION_SEED(struct conf, seed, "seed", "0",
                   "the same seed gives the same responses, whatever the threads and slots"),
    PL_OPTION_GROUP("Output"),
    PL_OPTION_FLAG(struct conf, json, "json", 0, "print one JSON object, for scripts"),
    PL_OPTION_STRING(struct conf, out, "out", "FILE", NULL,
                     "write every response with its segments and scores, as JSON lines"),
    PL_OPTION_FLAG(struct conf, quiet, "quiet", 'q', "show no progress"),
    PL_OPTION_CHOICE(struct conf, color, "color", "auto", PL_COLOR_CHOICES,
                     "whether to colour the table"),
    PL_OPTION_GROUP("Resources"),
    PL_OPTION_SIZE(struct conf, slots, "slots", "N", "64", 1, 4096,
                   "samples at once: more are faster together, and each slower"),
    PL_OPTION_SIZE(struct conf, threads, "threads", "N", "0", 0, THREADS_MAX,
                   "0: one for each processor"),
};

static const struct pl_command command = {
    .name = "plait eval",
    .about = "Measures a model on tasks: generates responses and scores them by the rules of "
             "training, overall and by difficulty.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "Pass@1        share of samples whose final answer is right, with Wilson's 95 %\n"
             "              interval. With --n above 1 it is widened for samples of a task\n"
             "              being alike (design effect, between 1 and N).\n"
             "format        share of responses of a valid form, of which alone a final\n"
             "              answer is taken\n"
             "intermediate  share of the tasks' intermediate answers that were given\n"
             "truncated     share of responses that reached --max-tokens\n"
             "ttfa          time to the first answer: its first token over the response's\n"
             "              length; in tokens; in milliseconds since the task's begin,\n"
             "              while --slots samples run (1: as one user would wait). Over\n"
             "              the responses that have an answer: one with letters, digits\n"
             "              or symbols in it\n"
             "ttfa right    the same, of the first answer that is right, intermediate ones\n"
             "              too, over the responses that have one: guesses do not lower it\n"
             "length        tokens of a response, and of the right and the wrong ones\n\n"
             "All but milliseconds and seconds is the same each time, for the same model,\n"
             "tasks, seed and settings.\n\n"
             "  plait eval runs/demo/model --config runs/demo/config.yaml\n"
             "  plait eval small --data tasks/test.jsonl --method think-answer --json\n",
};

struct session {
    const struct conf *conf;
    struct pl_run_conf run; /* the configuration's settings, and what was given over them */
    const struct pl_option_list *data;
    struct pl_settings_text *text;
    struct pl_tokenizer *tokenizer;
    struct pl_shape *shape;
    struct pl_weights *weights;
    struct pl_prompts prompts;
    struct pl_sampling sampling;
    size_t tasks; /* taken */
    struct pl_scorecard card;
    struct pl_outfile out;
    struct pl_buf buf; /* a prompt, a segment */
    struct pl_progress progress;
    double seconds;
    uint64_t tokens;
};

/* ---- settings ---- */

/* What was given goes before the configuration's. */
static void choose(struct session *s)
{
    const struct conf *c = s->conf;
    struct pl_run_conf *r = &s->run;

    r->model = c->model;
    r->seed = c->seed;
    s->data = c->data.count > 0 ? &c->data : &r->val_files;
    if (c->method > 0)
        r->method = c->method - 1;
    if (c->instruction)
        r->instruction = c->instruction;
    if (c->template)
        r->template_file = c->template;
    if (c->samples > 0)
        r->val_samples = c->samples;
    if (c->max_tokens > 0)
        r->response_tokens_max = c->max_tokens;
    if (c->max_prompt > 0)
        r->prompt_tokens_max = c->max_prompt;
    if (c->limit > 0)
        r->val_tasks_max = c->limit;
    if (c->temperature >= 0)
        r->val_temperature = c->temperature;
    else if (!c->config)
        r->val_temperature = r->val_samples > 1 ? 1 : 0;
    if (c->top_p >= 0)
        r->top_p = c->top_p;
    if (c->top_k >= 0)
        r->top_k = (size_t)c->top_k;
    s->sampling = (struct pl_sampling){.temperature = (float)r->val_temperature,
                                       .top_k = (uint32_t)r->top_k,
                                       .top_p = (float)r->top_p,
                                       .min_p = (float)r->min_p};
}

/* A prompt and a response must fit the model. */
static int choose_lengths(struct session *s, struct pl_error *err)
{
    const size_t most = s->shape->config.positions_max;
    size_t response = s->run.response_tokens_max;

    if (s->conf->max_tokens == 0 && !s->conf->config && response > most / 2)
        response = s->run.response_tokens_max = most / 2;
    if (response >= most)
        return pl_fail(err, PL_EINVAL,
                       "a response may have %zu tokens; the model has %zu positions, one of which "
                       "a prompt needs (--max-tokens)",
                       response, most);
    if (s->conf->max_prompt == 0 &&
        (!s->conf->config || s->run.prompt_tokens_max > most - response))
        s->run.prompt_tokens_max = most - response;
    if (s->run.prompt_tokens_max > most - response)
        return pl_fail(err, PL_EINVAL,
                       "--max-prompt is %zu; beside a response of %zu tokens the model has room "
                       "for %zu",
                       s->run.prompt_tokens_max, response, most - response);
    return PL_OK;
}

/* ---- loading ---- */

static void show_load(void *at, uint64_t done, uint64_t total)
{
    struct pl_progress *progress = at;

    progress->opts.total = total;
    pl_progress_update(progress, done, done, NULL);
}

static int load_model(struct session *s, struct pl_error *err)
{
    struct pl_progress progress;
    const struct pl_watch watch = {&progress, show_load};
    int rc;

    pl_progress_begin(&progress, &(struct pl_progress_opts){
                                     .what = "load", .unit = "B", .quiet = s->conf->quiet});
    rc = pl_model_load(s->conf->model, &watch, &s->shape, &s->weights, err);
    pl_progress_end(&progress);
    return rc;
}

static int load(struct session *s, struct pl_error *err)
{
    int rc = pl_tokenizer_load(s->conf->model, &s->tokenizer, err);

    if (rc == PL_OK)
        rc = load_model(s, err);
    if (rc == PL_OK)
        rc = choose_lengths(s, err);
    if (rc == PL_OK)
        rc = pl_prompts_load(&s->run, s->data, s->tokenizer, s->shape->config.vocab, &s->prompts,
                             err);
    if (rc < 0)
        return rc;
    s->tasks = s->prompts.count;
    if (s->run.val_tasks_max > 0 && s->run.val_tasks_max < s->tasks)
        s->tasks = s->run.val_tasks_max;
    if (s->prompts.left_out > 0)
        fprintf(stderr, "tasks left out: %zu; their prompts have more than %zu tokens\n",
                s->prompts.left_out, s->run.prompt_tokens_max);
    if (pl_scorecard_init(&s->card, s->run.val_samples) < 0)
        return pl_fail(err, PL_ENOMEM, "no memory for %zu tasks", s->tasks);
    return s->conf->out ? pl_outfile_open(s->conf->out, &s->out, err) : PL_OK;
}

/* ---- responses ---- */

/* A line as the rollouts of a run have it, with its task and the text of each segment. */
static int write_sample(struct session *s, const struct pl_eval_done *done, size_t i,
                        const char *prompt, struct pl_error *err)
{
    const struct pl_rollout *r = &done->group->rollouts[i];
    json_t *json = NULL, *segment;
    size_t k;
    int rc = pl_transcript_sample(done->group, i, (double)pl_score_reward(&r->score, true), true,
                                  prompt, s->tokenizer, &json, err);

    if (rc < 0)
        return rc;
    pl_transcript_task(json, done->task);
    json_array_foreach(json_object_get(json, "segments"), k, segment)
    {
        const struct pl_segment *g = &r->score.segments[k];

        rc = pl_transcript_text(s->tokenizer, r->ids + g->token_begin,
                                g->token_end - g->token_begin, &s->buf, err);
        if (rc < 0)
            break;
        json_object_set_new(segment, "text", json_string(s->buf.data ? s->buf.data : ""));
    }
    if (rc < 0) {
        json_decref(json);
        return rc;
    }
    return pl_transcript_write(&s->out, json, err);
}

static int write_task(struct session *s, const struct pl_eval_done *done, struct pl_error *err)
{
    const struct pl_rollout_group *g = done->group;
    char *prompt = NULL;
    int rc = pl_transcript_text(s->tokenizer, g->prompt, g->prompt_len, &s->buf, err);

    if (rc == PL_OK) {
        prompt = strdup(s->buf.data ? s->buf.data : "");
        rc = prompt ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory to write responses");
    }
    for (size_t i = 0; rc == PL_OK && i < g->samples; i++)
        rc = write_sample(s, done, i, prompt, err);
    free(prompt);
    return rc;
}

static int task_done(void *at, const struct pl_eval_done *done, struct pl_error *err)
{
    struct session *s = at;

    if (pl_scorecard_add(&s->card, done) < 0)
        return pl_fail(err, PL_ENOMEM, "no memory for what task '%.80s' came to", done->task->id);
    return s->conf->out ? write_task(s, done, err) : PL_OK;
}

static bool show(void *at, size_t samples, uint64_t tokens)
{
    struct session *s = at;
    const struct pl_tally *t = &s->card.rows[0].tally;
    char note[48] = "";

    if (t->n > 0)
        snprintf(note, sizeof note, "Pass@1 %.3f", (double)t->right / (double)t->n);
    s->tokens = tokens;
    pl_progress_update(&s->progress, samples, tokens, note);
    return !pl_signals_stop();
}

static int measure(struct session *s, struct pl_error *err)
{
    struct pl_reward_opts reward;
    struct pl_machine machine;
    struct pl_eval_opts opts = {
        .weights = s->weights,
        .tokenizer = s->tokenizer,
        .prompts = s->prompts.list,
        .reward = &reward,
        .count = s->tasks,
        .samples = s->run.val_samples,
        .method = (enum pl_method)s->run.method,
        .sampling = s->sampling,
        .seed = s->conf->seed,
        .new_tokens_max = s->run.response_tokens_max,
        .slots = s->conf->slots,
        .done = task_done,
        .goes_on = show,
        .at = s,
    };
    int rc;

    pl_rewarder_opts(&s->run, &reward);
    if (pl_machine_read("", &machine, NULL) == PL_OK)
        opts.bytes_max = pl_machine_memory_usable(&machine);
    pl_progress_begin(&s->progress, &(struct pl_progress_opts){.what = "eval",
                                                               .unit = "tok",
                                                               .total = s->tasks * opts.samples,
                                                               .quiet = s->conf->quiet});
    pl_signals_catch();
    rc = pl_eval_run(&opts, err);
    s->seconds = pl_progress_elapsed_s(&s->progress);
    pl_progress_end(&s->progress);
    if (rc == PL_OK && s->conf->out)
        rc = pl_outfile_commit(&s->out, err);
    return rc;
}

/* ---- results ---- */

static json_t *settings_json(const struct session *s)
{
    const struct pl_run_conf *r = &s->run;
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:I, s:f, s:f, s:I, s:f, s:I, s:I, s:I, s:I}", "method",
        pl_method_name((enum pl_method)r->method), "instruction", r->instruction, "template",
        r->template_file, "n", (json_int_t)r->val_samples, "temperature", r->val_temperature,
        "top_p", r->top_p, "top_k", (json_int_t)r->top_k, "min_p", r->min_p, "max_tokens",
        (json_int_t)r->response_tokens_max, "max_prompt", (json_int_t)r->prompt_tokens_max, "limit",
        (json_int_t)r->val_tasks_max, "slots", (json_int_t)s->conf->slots);

    if (json)
        json_object_set_new(json, "config",
                            s->conf->config ? json_string(s->conf->config) : json_null());
    return json;
}

static int print_json(const struct session *s, struct pl_error *err)
{
    json_t *files = json_array(), *root, *card = pl_scorecard_json(&s->card);
    int rc = PL_OK;

    for (size_t i = 0; i < s->data->count; i++)
        json_array_append_new(files, json_string(s->data->items[i]));
    root =
        json_pack("{s:s, s:o, s:I, s:o, s:I, s:I, s:I, s:{s:f, s:I, s:f}}", "model", s->conf->model,
                  "data", files, "seed", (json_int_t)s->conf->seed, "settings", settings_json(s),
                  "tasks", (json_int_t)s->tasks, "left_out", (json_int_t)s->prompts.left_out,
                  "samples", (json_int_t)s->card.rows[0].tally.n, "timing", "seconds", s->seconds,
                  "tokens", (json_int_t)s->tokens, "tokens_per_s",
                  s->seconds > 0 ? (double)s->tokens / s->seconds : 0.0);
    if (!root || !card || json_object_update(root, card) < 0)
        rc = pl_fail(err, PL_ENOMEM, "no memory to print the result");
    else if (json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) < 0 ||
             putchar('\n') == EOF || fflush(stdout) != 0)
        rc = pl_fail_errno(err, "write the result");
    json_decref(root);
    json_decref(card);
    return rc;
}

static int print_table(const struct session *s, struct pl_error *err)
{
    const struct pl_run_conf *r = &s->run;
    char drawn[32] = "greedy", took[PL_HUMAN_MAX], rate[PL_HUMAN_MAX];
    int rc;

    if (r->val_temperature > 0)
        snprintf(drawn, sizeof drawn, "temperature %g", r->val_temperature);
    printf("%s: %zu task%s, %zu sample%s each, %s, %s, seed %zu; %s, %s tok/s\n\n", s->conf->model,
           s->tasks, s->tasks > 1 ? "s" : "", r->val_samples, r->val_samples > 1 ? "s" : "",
           pl_method_name((enum pl_method)r->method), drawn, s->conf->seed,
           pl_human_seconds(took, s->seconds),
           pl_human_count(rate, s->seconds > 0 ? (double)s->tokens / s->seconds : 0.0));
    rc = pl_scorecard_print(&s->card, stdout, (enum pl_color)s->conf->color);
    if (rc == PL_ENOMEM)
        return pl_fail(err, rc, "no memory to print the result");
    return rc < 0 || fflush(stdout) != 0 ? pl_fail_errno(err, "write the result") : PL_OK;
}

static int run(struct session *s, struct pl_error *err)
{
    int rc =
        pl_settings_load(pl_run_conf_table(), s->conf->config, NULL, 0, &s->run, &s->text, err);

    if (rc < 0)
        return rc;
    choose(s);
    if (s->data->count == 0)
        rc = pl_fail(err, PL_EINVAL, "no tasks: --data FILE names them%s",
                     s->conf->config ? ", or data.val_files in the configuration" : "");
    if (rc == PL_OK)
        rc = load(s, err);
    if (rc == PL_OK)
        rc = measure(s, err);
    if (rc == PL_OK)
        rc = s->conf->json ? print_json(s, err) : print_table(s, err);
    pl_outfile_abort(&s->out);
    pl_scorecard_release(&s->card);
    pl_prompts_release(&s->prompts);
    pl_weights_destroy(s->weights);
    pl_shape_destroy(s->shape);
    pl_tokenizer_destroy(s->tokenizer);
    pl_settings_release(pl_run_conf_table(), &s->run, s->text);
    return rc;
}

int pl_cmd_eval(int argc, char **argv)
{
    struct conf conf;
    struct session session = {.conf = &conf};
    struct pl_error err = {0};
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    pl_machine_use_threads((size_t)conf.threads);
    pl_buf_init(&session.buf, TEXT_BYTES_MAX);
    rc = run(&session, &err);
    pl_buf_release(&session.buf);
    pl_options_release(&command, &conf);
    if (rc == PL_ECANCELED && pl_signals_stop())
        return 128 + pl_signals_stop();
    return rc < 0 ? pl_command_failed(&command, &err) : PL_STATUS_OK;
}
