#include "deploy/cmd_model.h"

#include "actor/gauge.h"
#include "common/app/options.h"
#include "common/app/progress.h"
#include "common/app/signals.h"
#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/model/import.h"
#include "common/text/chat.h"
#include "learner/plan.h"
#include "learner/sft_data.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 64 << 20, LINE_IDS_MAX = 1 << 24, LOGITS_BYTES = 64 << 20, QUEUE = 256 };

struct conf {
    const char *model, *file, *template;
    size_t positions, rows;
    bool raw, quiet;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, model, "MODEL", "folder of the model"),
    PL_ARG(struct conf, file, "FILE", "JSON lines, see below; - for standard input"),
    PL_OPTION_FLAG(struct conf, raw, "raw", 0,
                   "take prompts and responses as they stand, without the model's template"),
    PL_OPTION_STRING(struct conf, template, "template", "FILE", NULL,
                     "template of prompts, instead of the model's"),
    PL_OPTION_SIZE(struct conf, positions, "positions", "N", "0", 0, PL_POSITIONS_MAX,
                   "tokens of the longest text; 0: 4096, or what the model can"),
    PL_OPTION_SIZE(struct conf, rows, "rows", "N", "512", 1, 1e6, "tokens in a step"),
    PL_OPTION_FLAG(struct conf, quiet, "quiet", 'q', "no progress"),
};

static const struct pl_command command = {
    .name = "plait model score",
    .about = "Prints the log-probability of every token of given texts, each after all before it: "
             "the numbers that sampling these tokens would have recorded.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after =
        "Each line of FILE is one of\n"
        "  {\"text\": \"...\"}                      special tokens in it are tokens\n"
        "  {\"ids\": [1, 2, ...]}                 token ids\n"
        "  {\"prompt\": \"...\", \"response\": \"...\"}   the response is scored, and its end,\n"
        "                                       as plait sft would train it\n\n"
        "and gives one line {\"line\", \"ids\", \"logprobs\", \"sum\"}, in the same order. "
        "logprobs has\n"
        "null for what is not scored: the first token of all, and a prompt.\n",
};

struct work {
    const struct conf *conf;
    const char *name; /* of the input, for errors */
    FILE *in;
    size_t line, bytes; /* read so far */
    struct pl_buf text, out;
    struct pl_ids ids;

    struct pl_shape *shape;
    struct pl_weights *weights;
    struct pl_tokenizer *tokenizer;
    struct pl_encoder *encoder;
    struct pl_chat *chat;
    struct pl_sft_format format; /* of a response's end */
    struct pl_gauge *gauge;

    struct pl_progress progress;
    uint64_t tokens;
    bool show_hides; /* results go to a terminal, too */
};

/* --- one line --- */

static int parse_ids(struct work *w, const json_t *list, const char *where, struct pl_error *err)
{
    const size_t V = w->shape->config.vocab;
    const json_t *id;
    size_t i;

    json_array_foreach(list, i, id)
    {
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            (uint64_t)json_integer_value(id) >= V)
            return pl_fail(err, PL_EFORMAT, "%s: 'ids'[%zu] is not an integer from 0 to %zu", where,
                           i, V - 1);
        if (pl_ids_push(&w->ids, (uint32_t)json_integer_value(id)) < 0)
            return pl_fail(err, PL_ENOMEM, "%s: no memory for %zu ids", where,
                           json_array_size(list));
    }
    return PL_OK;
}

/* Asked for by the first line that holds text: ids can be scored without a tokenizer. */
static int need_tokenizer(struct work *w, struct pl_error *err)
{
    int rc;

    if (w->encoder)
        return PL_OK;
    rc = pl_tokenizer_load(w->conf->model, &w->tokenizer, err);
    if (rc == PL_OK && pl_tokenizer_size(w->tokenizer) > w->shape->config.vocab)
        rc = pl_fail(err, PL_EFORMAT, "'%s': the tokenizer has %zu tokens, and the model only %zu",
                     w->conf->model, pl_tokenizer_size(w->tokenizer), w->shape->config.vocab);
    if (rc == PL_OK) {
        rc = pl_encoder_create(w->tokenizer, &w->encoder);
        if (rc < 0)
            pl_fail(err, rc, "no memory to encode text");
    }
    return rc;
}

/* The same for the first prompt. */
static int need_template(struct work *w, struct pl_error *err)
{
    uint32_t stop;
    int rc;

    if (w->chat)
        return PL_OK;
    rc = pl_chat_load(w->conf->template, w->conf->model, w->tokenizer, &w->chat, err);
    if (rc < 0)
        return rc;
    w->format.chat = w->chat;
    w->format.encoder = w->encoder;
    return pl_sft_format_ends(&w->format, &w->shape->config, &stop, err);
}

static int add_front(struct work *w, struct pl_error *err)
{
    size_t n = 0;
    const uint32_t *front = pl_tokenizer_front(w->tokenizer, &n);
    const int rc = n > 0 ? pl_ids_append(&w->ids, front, n) : PL_OK;

    return rc < 0 ? pl_fail(err, rc, "no memory for a text") : PL_OK;
}

static int encode(struct work *w, const json_t *text, enum pl_encode how, struct pl_error *err)
{
    return pl_tokenizer_encode(w->encoder, json_string_value(text), json_string_length(text), how,
                               &w->ids, err);
}

/* Prompt and response; *ret_from is where the response begins. */
static int encode_pair(struct work *w, const json_t *prompt, const json_t *response,
                       size_t *ret_from, struct pl_error *err)
{
    int rc;

    if (w->conf->raw) {
        rc = add_front(w, err);
        if (rc == PL_OK)
            rc = encode(w, prompt, PL_ENCODE_ALL, err);
        *ret_from = w->ids.len;
        return rc == PL_OK ? encode(w, response, PL_ENCODE_ALL, err) : rc;
    }
    rc = need_template(w, err);
    if (rc == PL_OK)
        rc = pl_chat_turn(w->chat, w->encoder, true, NULL, json_string_value(prompt),
                          json_string_length(prompt), &w->ids, err);
    *ret_from = w->ids.len;
    if (rc == PL_OK)
        rc = encode(w, response, PL_ENCODE_UNTRUSTED, err);
    if (rc == PL_OK && pl_ids_append(&w->ids, w->format.end.data, w->format.end.len) < 0)
        rc = pl_fail(err, PL_ENOMEM, "no memory for the end of a response");
    return rc;
}

/* The ids of a line and the first that is to be scored. */
static int parse_line(struct work *w, const json_t *root, const char *where, size_t *ret_from,
                      struct pl_error *err)
{
    const json_t *ids = json_object_get(root, "ids"), *text = json_object_get(root, "text");
    const json_t *prompt = json_object_get(root, "prompt");
    const json_t *response = json_object_get(root, "response");
    const bool pair = json_is_string(prompt) && json_is_string(response);
    int rc;

    *ret_from = 1;
    if (json_is_array(ids) + json_is_string(text) + pair != 1)
        return pl_fail(err, PL_EFORMAT,
                       "%s: expected an object with one of a string 'text', a list 'ids', or "
                       "strings 'prompt' and 'response'",
                       where);
    if (json_is_array(ids))
        return parse_ids(w, ids, where, err);
    rc = need_tokenizer(w, err);
    if (rc < 0)
        return rc;
    if (pair) {
        rc = encode_pair(w, prompt, response, ret_from, err);
    } else {
        rc = add_front(w, err);
        if (rc == PL_OK)
            rc = encode(w, text, PL_ENCODE_ALL, err);
    }
    return rc < 0 ? pl_fail_in(err, rc, "%s", where) : PL_OK;
}

static int score_line(struct work *w, struct pl_error *err)
{
    char *where = pl_strf("%s:%zu", w->name, w->line);
    json_t *root = NULL;
    size_t from = 1;
    int rc = where ? pl_json_parse(w->text.data, w->text.len, where, &root, err)
                   : pl_fail(err, PL_ENOMEM, "%s: no memory for a name", w->name);

    pl_ids_clear(&w->ids);
    if (rc == PL_OK)
        rc = parse_line(w, root, where, &from, err);
    json_decref(root);
    if (rc == PL_OK && w->ids.len == 0)
        rc = pl_fail(err, PL_EFORMAT, "%s: there is no token to score", where);
    if (rc == PL_OK && w->ids.len > 0) {
        /* An error of `done` names its own line. */
        const bool fits = w->ids.len <= w->conf->positions;

        rc = fits ? pl_gauge_add(w->gauge, w->ids.data, w->ids.len, from ? from : 1, w->line, err)
                  : pl_fail(err, PL_EFORMAT,
                            "%s: there are %zu tokens; expected %zu at most (--positions)", where,
                            w->ids.len, w->conf->positions);
    }
    free(where);
    return rc;
}

/* --- results --- */

static int put_result(struct pl_buf *buf, const struct pl_scored *scored, size_t *ret_broken)
{
    double sum = 0.0;
    int rc = pl_buf_printf(buf, "{\"line\":%" PRIu64 ",\"ids\":[", scored->tag);

    for (size_t i = 0; i < scored->len && rc == PL_OK; i++)
        rc = pl_buf_printf(buf, "%s%lu", i ? "," : "", (unsigned long)scored->ids[i]);
    if (rc == PL_OK)
        rc = pl_buf_puts(buf, "],\"logprobs\":[");
    *ret_broken = scored->len;
    for (size_t i = 0; i < scored->len && rc == PL_OK; i++) {
        const double logprob = i < scored->from ? 0.0 : (double)scored->logprobs[i - scored->from];

        sum += logprob;
        if (!isfinite(logprob) && *ret_broken == scored->len)
            *ret_broken = i;
        rc = i < scored->from ? pl_buf_puts(buf, i ? ",null" : "null")
                              : pl_buf_printf(buf, ",%.9g", logprob);
    }
    if (rc == PL_OK)
        rc = pl_buf_printf(buf, "],\"sum\":%.17g}\n", sum);
    return rc;
}

static int print_result(void *at, const struct pl_scored *scored, struct pl_error *err)
{
    struct work *w = at;
    size_t broken;
    int rc;

    pl_buf_clear(&w->out);
    rc = put_result(&w->out, scored, &broken);
    if (rc < 0)
        return pl_fail(err, rc, "no memory to write a line");
    if (broken < scored->len)
        return pl_fail(err, PL_EFORMAT,
                       "%s:%" PRIu64 ": the model gives no finite probability for token %zu",
                       w->name, scored->tag, broken);
    if (w->show_hides)
        pl_progress_hide(&w->progress);
    if (fwrite(w->out.data, 1, w->out.len, stdout) != w->out.len)
        return pl_fail_errno(err, "write to standard output");
    w->tokens += scored->len;
    pl_progress_update(&w->progress, w->bytes, w->tokens, NULL);
    return PL_OK;
}

/* --- the file --- */

/* A line without its end. *ret_more is false at the end of the file. */
static int read_line(struct work *w, bool *ret_more, struct pl_error *err)
{
    int c = EOF, rc = PL_OK;

    pl_buf_clear(&w->text);
    errno = 0;
    while (rc == PL_OK && (c = getc_unlocked(w->in)) != EOF && c != '\n')
        rc = pl_buf_append(&w->text, &(char){(char)c}, 1);
    w->line++;
    w->bytes += w->text.len + (c == '\n');
    if (rc < 0)
        return pl_fail(err, PL_EFORMAT, "%s:%zu: the line is longer than %d bytes", w->name,
                       w->line, LINE_BYTES_MAX);
    if (c == EOF && ferror(w->in) && !pl_signals_stop())
        return pl_fail_errno(err, "read '%s'", w->name);
    *ret_more = c != EOF || w->text.len > 0;
    return PL_OK;
}

static bool is_blank(const struct pl_buf *line)
{
    return !line->data || strspn(line->data, " \t\r") == line->len;
}

static int score_all(struct work *w, struct pl_error *err)
{
    bool more = true;
    int rc = PL_OK;

    while (rc == PL_OK && !pl_signals_stop()) {
        rc = read_line(w, &more, err);
        if (rc < 0 || !more)
            break;
        if (!is_blank(&w->text))
            rc = score_line(w, err);
    }
    if (pl_signals_stop())
        rc = pl_fail(err, PL_ECANCELED, "stopped");
    if (rc == PL_OK)
        rc = pl_gauge_finish(w->gauge, err);
    if (fflush(stdout) != 0 && rc == PL_OK)
        rc = pl_fail_errno(err, "write to standard output");
    return rc;
}

static int open_input(struct work *w, struct pl_error *err)
{
    const bool from_stdin = strcmp(w->conf->file, "-") == 0;

    w->name = from_stdin ? "standard input" : w->conf->file;
    w->in = from_stdin ? stdin : fopen(w->conf->file, "re");
    return w->in ? PL_OK : pl_fail_errno(err, "open '%s'", w->name);
}

/* --- the model --- */

static void show_load(void *at, uint64_t done, uint64_t total)
{
    struct pl_progress *progress = at;

    progress->opts.total = total;
    pl_progress_update(progress, done, done, NULL);
}

static int load_model(struct work *w, struct pl_error *err)
{
    struct pl_progress progress;
    const struct pl_watch watch = {&progress, show_load};
    int rc;

    pl_progress_begin(&progress, &(struct pl_progress_opts){
                                     .what = "load", .unit = "B", .quiet = w->conf->quiet});
    rc = pl_model_load(w->conf->model, &watch, &w->shape, &w->weights, err);
    pl_progress_end(&progress);
    return rc;
}

static int create_gauge(struct work *w, struct conf *conf, struct pl_error *err)
{
    const size_t most = w->shape->config.positions_max;
    struct pl_gauge_opts opts = {
        .weights = w->weights,
        .rows = conf->rows,
        .sequences = QUEUE < conf->rows ? QUEUE : conf->rows,
        .logits_bytes = LOGITS_BYTES,
        .done = print_result,
        .at = w,
    };
    struct pl_gauge_plan gauge;
    struct pl_plan plan;
    int rc;

    if (conf->positions > most)
        return pl_fail(err, PL_EINVAL, "--positions is %zu; the model can do %zu at most",
                       conf->positions, most);
    if (conf->positions == 0)
        conf->positions = most < 4096 ? most : 4096;
    opts.positions = conf->positions;
    rc = pl_gauge_plan(&opts, &gauge, err);
    if (rc < 0)
        return rc;
    pl_plan_init(&plan);
    pl_plan_add(&plan, "the key/value cache", gauge.kv_bytes, NULL);
    pl_plan_add(&plan, "activations", gauge.acts_bytes, NULL);
    pl_plan_add(&plan, "logits", gauge.logits_bytes, NULL);
    pl_plan_add(&plan, "the rest", gauge.other_bytes, NULL);
    rc = pl_plan_check(&plan, 0, err);
    return rc == PL_OK ? pl_gauge_create(&opts, &w->gauge, err) : rc;
}

static int run(struct conf *conf, struct work *w, struct pl_error *err)
{
    struct stat st;
    int rc = open_input(w, err);

    if (rc == PL_OK)
        rc = load_model(w, err);
    if (rc == PL_OK)
        rc = create_gauge(w, conf, err);
    if (rc < 0)
        return rc;
    w->show_hides = isatty(STDOUT_FILENO);
    pl_progress_begin(&w->progress,
                      &(struct pl_progress_opts){
                          .what = "score",
                          .unit = "tok",
                          .total = fstat(fileno(w->in), &st) == 0 && S_ISREG(st.st_mode)
                                       ? (uint64_t)st.st_size
                                       : 0,
                          .quiet = conf->quiet,
                      });
    pl_signals_catch();
    rc = score_all(w, err);
    pl_progress_end(&w->progress);
    return rc;
}

static void release(struct work *w)
{
    if (w->in && w->in != stdin)
        fclose(w->in);
    pl_gauge_destroy(w->gauge);
    pl_sft_format_release(&w->format);
    pl_chat_destroy(w->chat);
    pl_encoder_destroy(w->encoder);
    pl_tokenizer_destroy(w->tokenizer);
    pl_weights_destroy(w->weights);
    pl_shape_destroy(w->shape);
    pl_buf_release(&w->text);
    pl_buf_release(&w->out);
    pl_ids_release(&w->ids);
}

int pl_cmd_model_score(int argc, char **argv)
{
    struct conf conf;
    struct work work = {.conf = &conf};
    struct pl_error err = {0};
    int status, rc, signal;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    pl_buf_init(&work.text, LINE_BYTES_MAX);
    pl_buf_init(&work.out, SIZE_MAX / 2);
    pl_ids_init(&work.ids, LINE_IDS_MAX);
    rc = run(&conf, &work, &err);
    signal = pl_signals_stop();
    release(&work);
    pl_options_release(&command, &conf);
    if (rc == PL_ECANCELED && signal)
        return 128 + signal;
    return rc < 0 ? pl_command_failed(&command, &err) : PL_STATUS_OK;
}
