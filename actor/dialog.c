#include "actor/dialog.h"

#include "common/base/check.h"
#include "common/text/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Prompt tokens a step: few enough that a wish to stop is heard soon. */
enum { CHUNK_TOKENS = 128, TEXT_BYTES_MAX = 64 << 20 };

struct pl_dialog {
    struct pl_dialog_opts opts;
    struct pl_engine *engine;
    struct pl_encoder *encoder;
    struct pl_ids ids;   /* all that was said, responses too */
    struct pl_ids close; /* the template's end of answer */
    size_t turns;
    enum pl_part opened;
    uint32_t stop_ids[PL_STOP_IDS_MAX];
    size_t stop_count;
};

/* A response on its way to the caller's sink. */
struct response {
    const struct pl_dialog *dialog;
    const struct pl_said *said;
    struct pl_turn *turn;
    struct pl_stream stream;
    struct pl_decoder decoder;
    struct pl_buf text;
    double start_s;
    size_t text_tokens; /* as ttfa_*, of what stands outside of tags */
    double text_s;
    bool tagged; /* a tag was seen, or the template has one */
};

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int no_text(void *at, enum pl_part part, const char *bytes, size_t len)
{
    (void)at, (void)part, (void)bytes, (void)len;
    return PL_OK;
}

/* The part in which responses begin: where the text of a turn that says nothing ends. */
static int find_opened(struct pl_dialog *d, struct pl_error *err)
{
    const struct pl_sink nowhere = {NULL, no_text, no_text};
    struct pl_stream stream;
    struct pl_buf text;
    int rc = pl_chat_turn(d->opts.chat, d->encoder, false, NULL, "", 0, &d->ids, err);

    pl_stream_init(&stream, &nowhere, PL_PART_TEXT);
    pl_buf_init(&text, TEXT_BYTES_MAX);
    if (rc == PL_OK)
        rc = pl_tokenizer_decode(d->opts.tokenizer, d->ids.data, d->ids.len, false, &text, err);
    if (rc == PL_OK)
        rc = pl_stream_push(&stream, text.data, text.len);
    d->opened = stream.part;
    pl_ids_clear(&d->ids);
    pl_buf_release(&text);
    return rc;
}

static void add_stop(struct pl_dialog *d, uint32_t id)
{
    for (size_t i = 0; i < d->stop_count; i++)
        if (d->stop_ids[i] == id)
            return;
    PL_ASSERT(d->stop_count < PL_STOP_IDS_MAX);
    d->stop_ids[d->stop_count++] = id;
}

/* The ids that end a response: those the model names, and the template's if it is one token. */
static int find_stops(struct pl_dialog *d, struct pl_error *err)
{
    const struct pl_config *config = &d->opts.weights->shape->config;
    int rc = pl_chat_close(d->opts.chat, d->encoder, &d->close, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < config->eos_count; i++)
        add_stop(d, (uint32_t)config->eos[i]);
    if (d->close.len == 1 && pl_tokenizer_is_special(d->opts.tokenizer, d->close.data[0]))
        add_stop(d, d->close.data[0]);
    return PL_OK;
}

static int create_engine(struct pl_dialog *d, struct pl_error *err)
{
    const struct pl_dialog_opts *opts = &d->opts;
    const struct pl_engine_opts engine = {.weights = opts->weights,
                                          .slots = 1,
                                          .positions = opts->positions,
                                          .chunk_tokens = CHUNK_TOKENS,
                                          .jobs = 1,
                                          .bytes_max = opts->bytes_max,
                                          .keep_prefix = true};

    return pl_engine_create(&engine, &d->engine, err);
}

int pl_dialog_create(const struct pl_dialog_opts *opts, struct pl_dialog **ret_dialog,
                     struct pl_error *err)
{
    const size_t tokens = pl_tokenizer_size(opts->tokenizer);
    const size_t vocab = opts->weights->shape->config.vocab;
    struct pl_dialog *d;
    int rc;

    if (tokens > vocab)
        return pl_fail(err, PL_EINVAL,
                       "the tokenizer has %zu tokens and the model only %zu: they do not belong "
                       "together",
                       tokens, vocab);
    rc = pl_sampling_check(&opts->sampling, err);
    if (rc < 0)
        return rc;
    d = calloc(1, sizeof *d);
    if (!d)
        return pl_fail(err, PL_ENOMEM, "no memory for a conversation");
    d->opts = *opts;
    pl_ids_init(&d->ids, opts->positions);
    pl_ids_init(&d->close, opts->positions);
    if (pl_encoder_create(opts->tokenizer, &d->encoder) < 0)
        rc = pl_fail(err, PL_ENOMEM, "no memory for an encoder");
    if (rc == PL_OK)
        rc = find_opened(d, err);
    if (rc == PL_OK)
        rc = find_stops(d, err);
    if (rc == PL_EFULL)
        rc = pl_fail(err, PL_EINVAL, "a context of %zu tokens does not even hold the template",
                     opts->positions);
    if (rc == PL_OK)
        rc = create_engine(d, err);
    if (rc < 0)
        pl_dialog_destroy(d);
    else
        *ret_dialog = d;
    return rc;
}

void pl_dialog_destroy(struct pl_dialog *d)
{
    if (!d)
        return;
    pl_engine_destroy(d->engine);
    pl_encoder_destroy(d->encoder);
    pl_ids_release(&d->close);
    pl_ids_release(&d->ids);
    free(d);
}

void pl_dialog_forget(struct pl_dialog *d)
{
    pl_ids_clear(&d->ids);
}

/* How many of the first ids of `close` the conversation ends with. */
static size_t closed_len(const struct pl_dialog *d)
{
    size_t n = d->close.len < d->ids.len ? d->close.len : d->ids.len;

    while (n > 0 &&
           memcmp(d->ids.data + d->ids.len - n, d->close.data, n * sizeof *d->ids.data) != 0)
        n--;
    return n;
}

/* What the last response lacks of the template's end of answer. */
static int end_answer(struct pl_dialog *d)
{
    const size_t there = closed_len(d);

    if (there == d->close.len)
        return PL_OK;
    return pl_ids_append(&d->ids, d->close.data + there, d->close.len - there);
}

/* Put the turn behind what was said before. On failure ids are as they were. */
static int add_turn(struct pl_dialog *d, const struct pl_said *said, struct pl_error *err)
{
    const size_t before = d->ids.len;
    const bool first = before == 0;
    int rc = first ? PL_OK : end_answer(d);

    if (rc == PL_OK)
        rc = pl_chat_turn(d->opts.chat, d->encoder, first, d->opts.system, said->text, said->len,
                          &d->ids, err);
    if (rc == PL_OK && d->ids.len == d->ids.len_max) /* no room for a single token of response */
        rc = PL_EFULL;
    if (rc == PL_OK && d->ids.len == 0)
        rc = pl_fail(err, PL_EINVAL, "nothing was said, and the template adds nothing to it");
    if (rc == PL_EFULL)
        pl_fail(err, rc,
                "the context of %zu tokens is full: %zu are taken, and this turn does not fit into "
                "the rest",
                d->opts.positions, before);
    else if (rc == PL_ENOMEM)
        pl_fail(err, rc, "no memory for a turn of %zu bytes", said->len);
    if (rc < 0)
        d->ids.len = before;
    return rc;
}

/* Notes when the first answer comes, on the way to the caller's sink. */
static int pass_text(void *at, enum pl_part part, const char *bytes, size_t len)
{
    struct response *r = at;
    struct pl_turn *turn = r->turn;

    if (part == PL_PART_ANSWER && turn->ttfa_tokens == 0 && pl_stream_blanks(bytes, len) < len) {
        turn->ttfa_tokens = turn->tokens;
        turn->ttfa_s = now_s() - r->start_s;
    } else if (part == PL_PART_TEXT && r->text_tokens == 0 && pl_stream_blanks(bytes, len) < len) {
        r->text_tokens = turn->tokens;
        r->text_s = now_s() - r->start_s;
    }
    return r->said->sink.text(r->said->sink.at, part, bytes, len);
}

static int pass_tag(void *at, enum pl_part part, const char *bytes, size_t len)
{
    struct response *r = at;

    r->tagged = true;
    return r->said->sink.tag(r->said->sink.at, part, bytes, len);
}

static bool is_stop(const struct pl_dialog *d, uint32_t id)
{
    for (size_t i = 0; i < d->stop_count; i++)
        if (d->stop_ids[i] == id)
            return true;
    return false;
}

/* Special tokens are not shown, but for tags that a vocabulary made one token each. */
static bool is_shown(const struct pl_dialog *d, uint32_t id)
{
    const char *bytes;
    size_t len = 0;

    if (d->opts.show_special)
        return true;
    if (is_stop(d, id))
        return false;
    bytes = pl_tokenizer_bytes(d->opts.tokenizer, id, &len);
    return !bytes || !pl_tokenizer_is_special(d->opts.tokenizer, id) ||
           pl_stream_is_tag(bytes, len, NULL);
}

/* What was decoded, through the stream to the caller's sink. */
static int show(struct response *r, struct pl_error *err)
{
    int rc = pl_stream_push(&r->stream, r->text.data, r->text.len);

    pl_buf_clear(&r->text);
    if (rc < 0)
        return pl_fail(err, rc, "no memory to show the response");
    return r->said->flush ? r->said->flush(r->said->sink.at, err) : PL_OK;
}

/* One more token of the response. */
static int take(struct response *r, uint32_t id, struct pl_error *err)
{
    const struct pl_tokenizer *tokenizer = r->dialog->opts.tokenizer;
    size_t len;
    int rc;

    if (++r->turn->tokens == 1)
        r->turn->first_s = now_s() - r->start_s;
    if (!is_shown(r->dialog, id))
        return PL_OK;
    if (!pl_tokenizer_bytes(tokenizer, id, &len)) { /* models may have more rows than tokens */
        if (pl_buf_puts(&r->text, PL_UTF8_REPLACEMENT) < 0)
            return pl_fail(err, PL_ENOMEM, "no memory to show the response");
        return show(r, err);
    }
    rc = pl_decoder_push(&r->decoder, id, &r->text, err);
    return rc < 0 ? rc : show(r, err);
}

static int finish(struct response *r, struct pl_error *err)
{
    int rc = pl_decoder_finish(&r->decoder, &r->text);

    if (rc == PL_OK)
        rc = pl_stream_push(&r->stream, r->text.data, r->text.len);
    if (rc == PL_OK)
        rc = pl_stream_finish(&r->stream);
    if (rc < 0)
        return pl_fail(err, rc, "no memory to show the response");
    if (r->said->flush)
        rc = r->said->flush(r->said->sink.at, err);
    if (!r->tagged) { /* then all of it is the answer */
        r->turn->ttfa_tokens = r->text_tokens;
        r->turn->ttfa_s = r->text_s;
    }
    return rc;
}

/* Step by step until the response is over; hands each token on. */
static int generate(struct pl_dialog *d, const struct pl_request *request, struct response *r,
                    struct pl_error *err)
{
    struct pl_job *job = NULL;
    int rc = pl_engine_submit(d->engine, request, &job, err);

    if (rc < 0)
        return rc;
    const struct pl_sample *sample = pl_job_sample(job, 0);

    while (rc == PL_OK && sample->finish == PL_FINISH_NOT) {
        if (r->said->stop && r->said->stop())
            pl_engine_cancel(d->engine, job);
        else
            pl_engine_step(d->engine);
        if (sample->len > r->turn->tokens)
            rc = take(r, sample->ids[sample->len - 1], err);
    }
    pl_engine_cancel(d->engine, job); /* where it was not shown to the end */
    r->turn->seconds = now_s() - r->start_s;
    r->turn->finish = sample->finish;
    if (rc == PL_OK)
        rc = finish(r, err);
    if (pl_ids_append(&d->ids, sample->ids, sample->len) < 0 && rc == PL_OK)
        rc = pl_fail(err, PL_ENOMEM, "no memory for the conversation");
    pl_engine_drop(d->engine, &job);
    return rc;
}

/* A stop token that is no part of the template's end of answer stands in for it. */
static void drop_foreign_stop(struct pl_dialog *d, const struct pl_turn *turn)
{
    if (turn->finish == PL_FINISH_STOP && d->close.len > 0 && closed_len(d) == 0)
        d->ids.len--;
}

int pl_dialog_say(struct pl_dialog *d, const struct pl_said *said, struct pl_turn *ret_turn,
                  struct pl_error *err)
{
    struct pl_turn turn = {.number = d->turns + 1, .opened = d->opened};
    struct response r = {.dialog = d,
                         .said = said,
                         .turn = &turn,
                         .start_s = now_s(),
                         .tagged = d->opened != PL_PART_TEXT};
    const struct pl_sink sink = {&r, pass_text, pass_tag};
    const uint64_t reused = pl_engine_stats(d->engine).reused_tokens;
    const size_t before = d->ids.len;
    int rc = add_turn(d, said, err);

    if (rc < 0)
        return rc;
    const size_t room = d->opts.positions - d->ids.len, most = d->opts.new_tokens_max;
    struct pl_request request = {.prompt = d->ids.data,
                                 .prompt_len = d->ids.len,
                                 .samples = 1,
                                 .new_tokens_max = most > 0 && most < room ? most : room,
                                 .sampling = d->opts.sampling,
                                 .rng = {.seed = d->opts.seed,
                                         .batch = (uint32_t)PL_RNG_CHAT,
                                         .prompt = (uint32_t)++d->turns},
                                 .stop_count = d->stop_count};

    memcpy(request.stop_ids, d->stop_ids, sizeof request.stop_ids);
    turn.prompt_tokens = d->ids.len;
    pl_stream_init(&r.stream, &sink, d->opened);
    pl_decoder_init(&r.decoder, d->opts.tokenizer, false);
    pl_buf_init(&r.text, TEXT_BYTES_MAX);
    rc = generate(d, &request, &r, err);
    pl_buf_release(&r.text);
    if (turn.finish == PL_FINISH_NOT) { /* it did not even begin */
        d->ids.len = before;
        return rc;
    }
    turn.reused_tokens = (size_t)(pl_engine_stats(d->engine).reused_tokens - reused);
    turn.context_full = turn.finish == PL_FINISH_LENGTH && request.new_tokens_max == room;
    drop_foreign_stop(d, &turn);
    if (rc == PL_OK && turn.finish == PL_FINISH_BROKEN)
        rc = pl_fail(err, PL_EFORMAT,
                     "the model's weights gave a value that is not a finite number, at token %zu "
                     "of the response",
                     turn.tokens + 1);
    *ret_turn = turn;
    return rc;
}

size_t pl_dialog_positions(const struct pl_dialog *d)
{
    return d->opts.positions;
}

const uint32_t *pl_dialog_ids(const struct pl_dialog *d, size_t *ret_len)
{
    *ret_len = d->ids.len;
    return d->ids.data;
}
