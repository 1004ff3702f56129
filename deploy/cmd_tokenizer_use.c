#include "deploy/cmd_tokenizer.h"

#include "common/app/options.h"
#include "common/app/signals.h"
#include "common/app/term.h"
#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/text/tokenizer.h"
#include "deploy/text_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IDS_MAX = 1 << 30 };

struct conf {
    const char *model, *file;
    int input;
    struct pl_option_list fields;
    bool untrusted, tokens, json, skip_special;
};

static const struct pl_option encode_options[] = {
    PL_ARG(struct conf, model, "MODEL", "folder with a tokenizer"),
    PL_ARG_OPTIONAL(struct conf, file, "FILE", "what to encode; standard input without it"),
    PL_OPTION_CHOICE(struct conf, input, "input", "text", "text|lines|json",
                     "whether the file is one text, has one in each line, or in each line one as "
                     "JSON: a string, or an object with the texts in its fields"),
    PL_OPTION_LIST(struct conf, fields, "field", "NAME", "text",
                   "fields of JSON objects to encode"),
    PL_OPTION_FLAG(struct conf, untrusted, "untrusted", 0,
                   "spell out special tokens that stand in the text"),
    PL_OPTION_FLAG(struct conf, tokens, "tokens", 0,
                   "print each id on a line with what it stands for, for people"),
};
static const struct pl_command encode_command = {
    .name = "plait tokenizer encode",
    .about = "Prints the token ids of each text as a JSON array on a line of its own.",
    .options = encode_options,
    .count = sizeof encode_options / sizeof encode_options[0],
    .after = "Example:\n  echo 'one two' | plait tokenizer encode MODEL --tokens\n",
};

static const struct pl_option decode_options[] = {
    PL_ARG(struct conf, model, "MODEL", "folder with a tokenizer"),
    PL_ARG_OPTIONAL(struct conf, file, "FILE", "ids to decode; standard input without it"),
    PL_OPTION_FLAG(struct conf, json, "json", 0, "print each text as a JSON string on a line"),
    PL_OPTION_FLAG(struct conf, skip_special, "skip-special", 0, "leave special tokens out"),
};
static const struct pl_command decode_command = {
    .name = "plait tokenizer decode",
    .about = "Prints the text of token ids, given as JSON arrays, one a line; the texts come one "
             "behind another with nothing between.",
    .options = decode_options,
    .count = sizeof decode_options / sizeof decode_options[0],
};

static const struct pl_option info_options[] = {
    PL_ARG(struct conf, model, "MODEL", "folder with a tokenizer"),
    PL_OPTION_FLAG(struct conf, json, "json", 0, "print one JSON object, for scripts"),
};
static const struct pl_command info_command = {
    .name = "plait tokenizer info",
    .about = "Tells what a tokenizer is made of.",
    .options = info_options,
    .count = sizeof info_options / sizeof info_options[0],
};

/* What the actions have in common while they run. */
struct work {
    const struct conf *conf;
    struct pl_tokenizer *tokenizer;
    struct pl_encoder *encoder;
    struct pl_ids ids;
    struct pl_buf text;
};

static int stopped(struct pl_error *err)
{
    return pl_signals_stop() ? pl_fail(err, PL_ECANCELED, "stopped by a signal") : PL_OK;
}

static int print(const struct pl_buf *buf, struct pl_error *err)
{
    if (buf->len > 0 && fwrite(buf->data, 1, buf->len, stdout) != buf->len)
        return pl_fail_errno(err, "write to standard output");
    return PL_OK;
}

static int no_memory(struct pl_error *err)
{
    return pl_fail(err, PL_ENOMEM, "no memory for the output");
}

/* A line for each token: its id and its bytes as a JSON string. */
static int print_tokens(struct work *work, struct pl_error *err)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < work->ids.len; i++) {
        size_t len = 0;
        const char *bytes = pl_tokenizer_bytes(work->tokenizer, work->ids.data[i], &len);

        pl_buf_clear(&work->text);
        if (pl_buf_printf(&work->text, "%7u  ", work->ids.data[i]) < 0 ||
            pl_json_quote(&work->text, bytes, len) < 0 || pl_buf_puts(&work->text, "\n") < 0)
            return no_memory(err);
        rc = print(&work->text, err);
    }
    return rc;
}

static int print_ids(struct work *work, struct pl_error *err)
{
    pl_buf_clear(&work->text);
    if (pl_buf_puts(&work->text, "[") < 0)
        return no_memory(err);
    for (size_t i = 0; i < work->ids.len; i++) {
        if (pl_buf_printf(&work->text, i > 0 ? ",%u" : "%u", work->ids.data[i]) < 0)
            return no_memory(err);
    }
    return pl_buf_puts(&work->text, "]\n") < 0 ? no_memory(err) : print(&work->text, err);
}

static int encode_text(void *at, const char *text, size_t len, uint64_t done, struct pl_error *err)
{
    struct work *work = at;
    int rc = stopped(err);

    (void)done;
    pl_ids_clear(&work->ids);
    if (rc == PL_OK)
        rc = pl_tokenizer_encode(work->encoder, text, len,
                                 work->conf->untrusted ? PL_ENCODE_UNTRUSTED : PL_ENCODE_ALL,
                                 &work->ids, err);
    if (rc < 0)
        return rc;
    return work->conf->tokens ? print_tokens(work, err) : print_ids(work, err);
}

static int read_ids(const char *line, size_t len, struct pl_ids *ids, struct pl_error *err)
{
    json_t *array = NULL, *value;
    size_t i;
    int rc = pl_json_parse(line, len, "ids", &array, err);

    if (rc == PL_OK && !json_is_array(array))
        rc = pl_fail(err, PL_EFORMAT, "expected a JSON array of token ids");
    for (i = 0; rc == PL_OK && i < json_array_size(array); i++) {
        value = json_array_get(array, i);
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            json_integer_value(value) >= UINT32_MAX)
            rc = pl_fail(err, PL_EFORMAT, "entry %zu is no token id", i);
        else if (pl_ids_push(ids, (uint32_t)json_integer_value(value)) < 0)
            rc = pl_fail(err, PL_ENOMEM, "no memory for the ids");
    }
    json_decref(array);
    return rc;
}

static int decode_text(void *at, const char *line, size_t len, uint64_t done, struct pl_error *err)
{
    struct work *work = at;
    struct pl_buf quoted;
    int rc = stopped(err);

    (void)done;
    if (rc < 0 || len == 0)
        return rc;
    pl_ids_clear(&work->ids);
    pl_buf_clear(&work->text);
    rc = read_ids(line, len, &work->ids, err);
    if (rc == PL_OK)
        rc = pl_tokenizer_decode(work->tokenizer, work->ids.data, work->ids.len,
                                 work->conf->skip_special, &work->text, err);
    if (rc < 0 || !work->conf->json)
        return rc < 0 ? rc : print(&work->text, err);
    pl_buf_init(&quoted, SIZE_MAX / 2);
    if (pl_json_quote(&quoted, work->text.data ? work->text.data : "", work->text.len) < 0 ||
        pl_buf_puts(&quoted, "\n") < 0)
        rc = no_memory(err);
    else
        rc = print(&quoted, err);
    pl_buf_release(&quoted);
    return rc;
}

/* What a folder's tokenizer has, counted. */
struct counts {
    size_t tokens, special, longest;
};

static struct counts count(const struct pl_tokenizer *tokenizer)
{
    struct counts counts = {0};

    for (size_t id = 0; id < pl_tokenizer_size(tokenizer); id++) {
        size_t len = 0;

        if (!pl_tokenizer_bytes(tokenizer, (uint32_t)id, &len))
            continue;
        counts.tokens++;
        counts.special += pl_tokenizer_is_special(tokenizer, (uint32_t)id);
        counts.longest = len > counts.longest ? len : counts.longest;
    }
    return counts;
}

static json_t *describe_added(const struct pl_tokenizer *tokenizer)
{
    json_t *array = json_array();

    for (size_t i = 0; i < pl_tokenizer_added_count(tokenizer); i++) {
        size_t len;
        const uint32_t id = pl_tokenizer_added(tokenizer, i);
        const char *bytes = pl_tokenizer_bytes(tokenizer, id, &len);

        json_array_append_new(array, json_pack("{s:I, s:s%, s:b}", "id", (json_int_t)id, "content",
                                               bytes, len, "special",
                                               (int)pl_tokenizer_is_special(tokenizer, id)));
    }
    return array;
}

static int info_json(const struct pl_tokenizer *tokenizer, struct pl_error *err)
{
    const struct counts counts = count(tokenizer);
    json_t *root = json_pack(
        "{s:I, s:I, s:I, s:I, s:o}", "size", (json_int_t)pl_tokenizer_size(tokenizer), "tokens",
        (json_int_t)counts.tokens, "merges", (json_int_t)pl_tokenizer_merges(tokenizer),
        "longest_token_bytes", (json_int_t)counts.longest, "added", describe_added(tokenizer));
    int rc = PL_OK;

    if (!root)
        return no_memory(err);
    if (json_dumpf(root, stdout, JSON_INDENT(2)) < 0 || putchar('\n') == EOF)
        rc = pl_fail_errno(err, "write to standard output");
    json_decref(root);
    return rc;
}

static void info_text(const struct pl_tokenizer *tokenizer)
{
    const struct counts counts = count(tokenizer);
    const struct pl_style style = pl_term_style(STDOUT_FILENO, PL_COLOR_AUTO);

    printf("ids            0 to %zu, %zu in use\n", pl_tokenizer_size(tokenizer) - 1,
           counts.tokens);
    printf("merges         %zu\n", pl_tokenizer_merges(tokenizer));
    printf("longest token  %zu bytes\n", counts.longest);
    printf("added tokens   %zu, %zu of them special\n", pl_tokenizer_added_count(tokenizer),
           counts.special);
    for (size_t i = 0; i < pl_tokenizer_added_count(tokenizer); i++) {
        size_t len;
        const uint32_t id = pl_tokenizer_added(tokenizer, i);
        const char *bytes = pl_tokenizer_bytes(tokenizer, id, &len);

        printf("%9u  %s%.*s%s%s\n", id, style.bold, (int)len, bytes, style.reset,
               pl_tokenizer_is_special(tokenizer, id) ? "" : "  (not special)");
    }
}

static int info(struct work *work, struct pl_error *err)
{
    if (work->conf->json)
        return info_json(work->tokenizer, err);
    info_text(work->tokenizer);
    return PL_OK;
}

static int encode(struct work *work, struct pl_error *err)
{
    static const enum pl_text_kind kinds[] = {PL_TEXT_WHOLE, PL_TEXT_LINES, PL_TEXT_JSON};
    const struct pl_text_source source = {.path = work->conf->file,
                                          .kind = kinds[work->conf->input],
                                          .fields = work->conf->fields.items};

    if (pl_encoder_create(work->tokenizer, &work->encoder) < 0)
        return pl_fail(err, PL_ENOMEM, "no memory to encode");
    return pl_text_each(&source, encode_text, work, err);
}

static int decode(struct work *work, struct pl_error *err)
{
    const struct pl_text_source source = {.path = work->conf->file, .kind = PL_TEXT_LINES};

    return pl_text_each(&source, decode_text, work, err);
}

static int run(const struct pl_command *command, int (*act)(struct work *, struct pl_error *),
               int argc, char **argv)
{
    struct conf conf = {0};
    struct work work = {.conf = &conf};
    struct pl_error err = {0};
    int status, rc;

    if (!pl_options_read(command, argc, argv, &conf, &status))
        return status;
    pl_signals_catch();
    pl_ids_init(&work.ids, IDS_MAX);
    pl_buf_init(&work.text, SIZE_MAX / 2);
    rc = pl_tokenizer_load(conf.model, &work.tokenizer, &err);
    if (rc == PL_OK)
        rc = act(&work, &err);
    if (rc == PL_OK && fflush(stdout) != 0)
        rc = pl_fail_errno(&err, "write to standard output");
    pl_buf_release(&work.text);
    pl_ids_release(&work.ids);
    pl_encoder_destroy(work.encoder);
    pl_tokenizer_destroy(work.tokenizer);
    pl_options_release(command, &conf);
    if (rc == PL_OK)
        return PL_STATUS_OK;
    status = pl_command_failed(command, &err);
    return pl_signals_stop() ? 128 + pl_signals_stop() : status;
}

int pl_cmd_tokenizer_encode(int argc, char **argv)
{
    return run(&encode_command, encode, argc, argv);
}

int pl_cmd_tokenizer_decode(int argc, char **argv)
{
    return run(&decode_command, decode, argc, argv);
}

int pl_cmd_tokenizer_info(int argc, char **argv)
{
    return run(&info_command, info, argc, argv);
}
