#include "actor/chat.h"

#include "actor/dialog.h"
#include "actor/record.h"
#include "actor/sampling_file.h"
#include "actor/view.h"
#include "common/app/machine.h"
#include "common/app/options.h"
#include "common/app/progress.h"
#include "common/app/signals.h"
#include "common/app/term.h"
#include "common/model/import.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 4 << 20, CONTEXT_USUAL = 4096, THREADS_MAX = 1024 };

struct conf {
    const char *model, *prompt, *system, *template;
    double temperature, top_k, top_p, min_p;
    size_t seed, max_tokens, context, threads;
    bool fresh, json, raw, quiet;
    int color;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, model, "MODEL", "folder of the model"),
    PL_OPTION_GROUP("What is said"),
    PL_OPTION_STRING(struct conf, prompt, "prompt", "TEXT", NULL,
                     "say this, show the answer and leave"),
    PL_OPTION_STRING(struct conf, system, "system", "TEXT", NULL,
                     "the instruction, where the template has a place for one"),
    PL_OPTION_STRING(struct conf, template, "template", "FILE", NULL,
                     "prompt template; without it MODEL/" PL_CHAT_FILE
                     ", ChatML where the tokenizer has its tokens, or the bare text"),
    PL_OPTION_FLAG(struct conf, fresh, "fresh", 0, "each line begins a conversation of its own"),
    PL_OPTION_GROUP("Drawing (-1: as generation_config.json says, or greedy)"),
    PL_OPTION_REAL(struct conf, temperature, "temperature", "X", "-1", -1, 1000,
                   "0 takes the likeliest token, 1 draws as the model was trained"),
    PL_OPTION_REAL(struct conf, top_k, "top-k", "N", "-1", -1, 4294967295.0,
                   "draw from the N likeliest tokens, 0 from all"),
    PL_OPTION_REAL(struct conf, top_p, "top-p", "X", "-1", -1, 1,
                   "draw from the fewest tokens that are this likely together"),
    PL_OPTION_REAL(struct conf, min_p, "min-p", "X", "-1", -1, 1,
                   "draw from tokens at least this likely, against the likeliest"),
    PL_OPTION_SEED(struct conf, seed, "seed", "0",
                   "the same seed, turns and options give the same answers"),
    PL_OPTION_SIZE(struct conf, max_tokens, "max-tokens", "N", "0", 0, PL_POSITIONS_MAX,
                   "of one answer; 0: as many as the context has room for"),
    PL_OPTION_GROUP("Output"),
    PL_OPTION_FLAG(struct conf, json, "json", 0, "print one JSON object a turn, for scripts"),
    PL_OPTION_FLAG(struct conf, raw, "raw", 0, "show tags and special tokens as they are"),
    PL_OPTION_FLAG(struct conf, quiet, "quiet", 'q', "show nothing but answers and errors"),
    PL_OPTION_CHOICE(struct conf, color, "color", "auto", PL_COLOR_CHOICES,
                     "whether to dim thoughts and leave out tags"),
    PL_OPTION_GROUP("Resources"),
    PL_OPTION_SIZE(struct conf, context, "context", "N", "0", 0, PL_POSITIONS_MAX,
                   "tokens of a whole conversation; 0: 4096, or what the model has if less"),
    PL_OPTION_SIZE(struct conf, threads, "threads", "N", "0", 0, THREADS_MAX,
                   "0: one for each processor; answers do not depend on it"),
};

static const struct pl_command command = {
    .name = "plait chat",
    .about =
        "Streams a model's answers: thoughts dimmed, answers plain, then tokens a second and the "
        "time to the first answer. A conversation goes on from turn to turn, and only what is new "
        "is computed. Without a terminal each line of standard input is a turn.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "In a terminal /new begins a new conversation, and Ctrl-D or /quit leaves. Ctrl-C\n"
             "stops an answer; once more, it leaves.\n\n"
             "  plait chat models/small\n"
             "  plait chat models/small --prompt 'A says: B is a knave. ...' --temperature 0.8\n"
             "  plait chat models/small --fresh --json <questions.txt >answers.jsonl\n",
};

struct session {
    const struct conf *conf;
    struct pl_tokenizer *tokenizer;
    struct pl_chat *chat;
    struct pl_shape *shape;
    struct pl_weights *weights;
    struct pl_dialog *dialog;
    struct pl_view view;
    struct pl_record record;
    struct pl_buf line, out; /* what is said; an object or a summary */
    struct pl_style style;   /* of standard error */
    bool at_terminal;        /* a person types the turns */
};

/* What the folder asks for, and over it what the command line does. */
static int choose_sampling(const struct conf *conf, struct pl_sampling *ret_sampling,
                           struct pl_error *err)
{
    struct pl_sampling_file file;
    int rc = pl_sampling_load(conf->model, &file, err);

    if (rc < 0)
        return rc;
    struct pl_sampling sampling = file.sampling;

    if (conf->top_k >= 0)
        sampling.top_k = (uint32_t)conf->top_k;
    if (conf->top_p >= 0)
        sampling.top_p = (float)conf->top_p;
    if (conf->min_p >= 0)
        sampling.min_p = (float)conf->min_p;
    if (conf->temperature >= 0)
        sampling.temperature = (float)conf->temperature;
    else if (sampling.temperature == 0 &&
             (conf->top_k >= 0 || conf->top_p >= 0 || conf->min_p >= 0))
        sampling.temperature = 1; /* a cut means nothing to the likeliest token */
    if (file.repetition_penalty != 1 && sampling.temperature > 0 && !conf->quiet)
        fprintf(stderr,
                "plait chat: '%s' asks for repetition_penalty %g, which plait does not apply.\n",
                conf->model, file.repetition_penalty);
    *ret_sampling = sampling;
    return PL_OK;
}

static int choose_context(const struct session *s, size_t *ret_positions, struct pl_error *err)
{
    const size_t most = s->shape->config.positions_max, wish = s->conf->context;

    if (wish > most)
        return pl_fail(err, PL_EINVAL, "--context is %zu, the model has %zu positions", wish, most);
    *ret_positions = wish > 0 ? wish : most < CONTEXT_USUAL ? most : CONTEXT_USUAL;
    return PL_OK;
}

static void show_loading(void *at, uint64_t done, uint64_t total)
{
    struct pl_progress *progress = at;

    (void)total;
    pl_progress_update(progress, done >> 20, done, "MiB of weights");
}

static int load_weights(struct session *s, struct pl_error *err)
{
    struct pl_progress progress;
    const struct pl_watch watch = {&progress, show_loading};
    int rc;

    pl_progress_begin(&progress, &(struct pl_progress_opts){
                                     .what = "load", .unit = "B", .quiet = s->conf->quiet});
    rc = pl_model_load(s->conf->model, &watch, &s->shape, &s->weights, err);
    pl_progress_end(&progress);
    return rc;
}

static int open_session(struct session *s, struct pl_error *err)
{
    const struct conf *conf = s->conf;
    struct pl_dialog_opts opts = {.system = conf->system,
                                  .new_tokens_max = conf->max_tokens,
                                  .seed = conf->seed,
                                  .show_special = conf->raw};
    struct pl_machine machine;
    int rc = choose_sampling(conf, &opts.sampling, err);

    if (rc == PL_OK)
        rc = pl_sampling_check(&opts.sampling, err);
    if (rc == PL_OK) /* what is small first: mistakes show at once */
        rc = pl_tokenizer_load(conf->model, &s->tokenizer, err);
    if (rc == PL_OK)
        rc = pl_chat_load(conf->template, conf->model, s->tokenizer, &s->chat, err);
    if (rc == PL_OK)
        rc = load_weights(s, err);
    if (rc == PL_OK)
        rc = choose_context(s, &opts.positions, err);
    if (rc < 0)
        return rc;
    opts.weights = s->weights;
    opts.tokenizer = s->tokenizer;
    opts.chat = s->chat;
    if (pl_machine_read("", &machine, NULL) == PL_OK)
        opts.bytes_max = pl_machine_memory_usable(&machine);
    return pl_dialog_create(&opts, &s->dialog, err);
}

static void close_session(struct session *s)
{
    pl_dialog_destroy(s->dialog);
    pl_weights_destroy(s->weights);
    pl_shape_destroy(s->shape);
    pl_chat_destroy(s->chat);
    pl_tokenizer_destroy(s->tokenizer);
    pl_view_release(&s->view);
    pl_record_release(&s->record);
    pl_buf_release(&s->line);
    pl_buf_release(&s->out);
}

static bool asked_to_stop(void)
{
    return pl_signals_stop() != 0;
}

static int flush_view(void *at, struct pl_error *err)
{
    return pl_view_flush(at, err);
}

static int print_object(struct session *s, const struct pl_turn *turn, const struct pl_said *said,
                        struct pl_error *err)
{
    pl_buf_clear(&s->out);
    if (pl_record_print(&s->record, turn, said->text, said->len, &s->out) < 0)
        return pl_fail(err, PL_ENOMEM, "no memory to print turn %zu", turn->number);
    if (fwrite(s->out.data, 1, s->out.len, stdout) != s->out.len || fflush(stdout) != 0)
        return pl_fail_errno(err, "write the answer");
    return PL_OK;
}

static int print_summary(struct session *s, const struct pl_turn *turn, struct pl_error *err)
{
    if (s->conf->quiet)
        return PL_OK;
    pl_buf_clear(&s->out);
    if (pl_turn_summary(turn, &s->out) < 0)
        return pl_fail(err, PL_ENOMEM, "no memory to print a summary");
    fprintf(stderr, "%s%s%s\n", s->style.dim, s->out.data, s->style.reset);
    return PL_OK;
}

/* One turn, shown. */
static int say(struct session *s, const char *text, size_t len, struct pl_error *err)
{
    const bool json = s->conf->json;
    const struct pl_said said = {.text = text,
                                 .len = len,
                                 .sink = json ? pl_record_sink(&s->record) : pl_view_sink(&s->view),
                                 .flush = json ? NULL : flush_view,
                                 .stop = asked_to_stop};
    struct pl_turn turn;
    int rc = pl_dialog_say(s->dialog, &said, &turn, err);

    if (json)
        return rc < 0 ? rc : print_object(s, &turn, &said, err);
    if (rc == PL_OK)
        rc = pl_view_end(&s->view, err);
    else
        pl_view_end(&s->view, NULL);
    return rc < 0 ? rc : print_summary(s, &turn, err);
}

/*
 * The next line of standard input without its end. Returns 1; 0 when there is none or a signal
 * came. PL_EFULL: it is too long.
 */
static int read_line(struct session *s, struct pl_error *err)
{
    int c;

    pl_buf_clear(&s->line);
    if (s->at_terminal)
        fprintf(stderr, "%s> %s", s->style.bold, s->style.reset);
    while ((c = getc(stdin)) != EOF && c != '\n') {
        const char byte = (char)c;
        const int rc = pl_buf_append(&s->line, &byte, 1);

        if (rc < 0)
            return pl_fail(err, rc, "a line of standard input is longer than %d bytes",
                           LINE_BYTES_MAX);
    }
    if (c == EOF && ferror(stdin) && errno != EINTR)
        return pl_fail_errno(err, "read standard input");
    if (pl_signals_stop() || (c == EOF && s->line.len == 0)) {
        if (s->at_terminal)
            fputc('\n', stderr);
        return 0;
    }
    if (s->line.len > 0 && s->line.data[s->line.len - 1] == '\r')
        s->line.data[--s->line.len] = '\0';
    return 1;
}

static bool typed(const struct session *s, const char *word)
{
    return s->at_terminal && strcmp(s->line.data, word) == 0;
}

/* A person goes on after what spoils one turn only. */
static bool goes_on(const struct session *s, int rc, const struct pl_error *err)
{
    if (!s->at_terminal || rc != PL_EFULL)
        return false;
    fprintf(stderr, "%s; /new begins a new conversation.\n", err->text);
    return true;
}

static int converse(struct session *s, struct pl_error *err)
{
    int rc;

    while ((rc = read_line(s, err)) > 0) {
        if (pl_stream_blanks(s->line.data, s->line.len) == s->line.len)
            continue;
        if (typed(s, "/quit"))
            return PL_OK;
        if (s->conf->fresh || typed(s, "/new"))
            pl_dialog_forget(s->dialog);
        if (typed(s, "/new"))
            continue;
        rc = say(s, s->line.data, s->line.len, err);
        if (rc < 0 && !goes_on(s, rc, err))
            return rc;
        if (pl_signals_stop() == SIGINT && s->at_terminal)
            pl_signals_forget(); /* it was meant for the answer */
        else if (pl_signals_stop())
            break;
    }
    return rc < 0 ? rc : PL_OK;
}

static void greet(const struct session *s)
{
    char params[PL_HUMAN_MAX];

    if (!s->at_terminal || s->conf->quiet)
        return;
    fprintf(stderr,
            "%s%s: %s parameters, context of %zu tokens. Ctrl-C stops an answer, Ctrl-D leaves, "
            "/new begins anew.%s\n",
            s->style.dim, s->conf->model, pl_human_count(params, (double)s->shape->params),
            pl_dialog_positions(s->dialog), s->style.reset);
}

static int run(const struct conf *conf, struct pl_error *err)
{
    struct session s = {.conf = conf,
                        .style = pl_term_style(STDERR_FILENO, (enum pl_color)conf->color),
                        .at_terminal = !conf->prompt && isatty(STDIN_FILENO)};
    int rc;

    pl_view_init(&s.view, STDOUT_FILENO, pl_term_color(STDOUT_FILENO, (enum pl_color)conf->color),
                 conf->raw);
    pl_record_init(&s.record);
    pl_buf_init(&s.line, LINE_BYTES_MAX);
    pl_buf_init(&s.out, SIZE_MAX / 4);
    rc = open_session(&s, err);
    if (rc == PL_OK) {
        pl_signals_catch();
        greet(&s);
        rc = conf->prompt ? say(&s, conf->prompt, strlen(conf->prompt), err) : converse(&s, err);
    }
    close_session(&s);
    return rc;
}

int pl_cmd_chat(int argc, char **argv)
{
    struct conf conf;
    struct pl_error err = {0};
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    if (conf.top_k >= 0 && floor(conf.top_k) != conf.top_k) {
        fprintf(stderr, "plait chat: option '--top-k' needs a whole number, not %g.\n", conf.top_k);
        pl_options_release(&command, &conf);
        return PL_STATUS_USAGE;
    }
    pl_machine_use_threads((size_t)conf.threads);
    rc = run(&conf, &err);
    pl_options_release(&command, &conf);
    if (rc < 0)
        return pl_command_failed(&command, &err);
    return pl_signals_stop() ? 128 + pl_signals_stop() : PL_STATUS_OK;
}
