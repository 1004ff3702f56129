#include "common/app/options.h"
#include "common/app/progress.h"
#include "common/app/signals.h"
#include "common/app/term.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/text/bpe_train.h"
#include "deploy/cmd_tokenizer.h"
#include "deploy/text_source.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct conf {
    struct pl_option_list files, fields, tokens, special;
    const char *output;
    size_t size, words, count;
    bool force, quiet, json;
};

static const struct pl_option options[] = {
    PL_ARG_LIST(struct conf, files, "FILE", 1, "text to learn from; - is standard input"),
    PL_OPTION_SIZE(struct conf, size, "size", "N", "4096", 256, 1 << 22,
                   "tokens in all: 256 bytes, merges and added tokens"),
    PL_OPTION_STRING(struct conf, output, "output", "DIR", NULL,
                     "folder to write tokenizer.json and tokenizer_config.json to"),
    PL_OPTION_LIST(struct conf, fields, "field", "NAME", NULL,
                   "the files are JSON lines: learn from these fields of each object"),
    PL_OPTION_LIST(struct conf, tokens, "token", "TEXT", NULL,
                   "add a token for this text, such as <think>; not special: it is printed, and "
                   "found in any text"),
    PL_OPTION_LIST(struct conf, special, "special", "TEXT", NULL,
                   "add a special token beside <|endoftext|>, <|im_start|> and <|im_end|>"),
    PL_OPTION_SIZE(struct conf, count, "min-count", "N", "2", 1, 1e9,
                   "a pair that occurs less often becomes no token"),
    PL_OPTION_SIZE(struct conf, words, "words", "N", "2M", 16, 1e9,
                   "different words to count before the rarest are forgotten"),
    PL_OPTION_FLAG(struct conf, force, "force", 0, "replace a tokenizer that is there"),
    PL_OPTION_FLAG(struct conf, quiet, "quiet", 'q', "show no progress"),
    PL_OPTION_FLAG(struct conf, json, "json", 0, "print the result as one JSON object"),
};

static const struct pl_command command = {
    .name = "plait tokenizer train",
    .about = "Learns a byte-level BPE vocabulary from text. Text is normalized and cut as Qwen2's "
             "tokenizer does it. The same text gives the same files.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "Example:\n"
             "  plait tokenizer train --size 1024 --token '<think>' --token '</think>' \\\n"
             "      --field prompt --field response --output model train.jsonl\n",
};

struct work {
    const struct conf *conf;
    struct pl_bpe_trainer *trainer;
    struct pl_progress progress;
    uint64_t before, total; /* bytes: of the files before this one, of all */
};

static int stopped(struct pl_error *err)
{
    return pl_signals_stop() ? pl_fail(err, PL_ECANCELED, "stopped by a signal") : PL_OK;
}

static int feed(void *at, const char *text, size_t len, uint64_t done, struct pl_error *err)
{
    struct work *work = at;
    const int rc = stopped(err);

    pl_progress_update(&work->progress, work->before + done, work->before + done, NULL);
    return rc < 0 ? rc : pl_bpe_trainer_feed(work->trainer, text, len, err);
}

static int read_files(struct work *work, struct pl_error *err)
{
    const struct conf *conf = work->conf;
    const struct pl_progress_opts bar = {
        .what = "read", .unit = "B", .total = work->total, .quiet = conf->quiet};
    int rc = PL_OK;

    pl_progress_begin(&work->progress, &bar);
    for (size_t i = 0; rc == PL_OK && i < conf->files.count; i++) {
        const struct pl_text_source source = {
            .path = conf->files.items[i],
            .kind = conf->fields.count > 0 ? PL_TEXT_JSON : PL_TEXT_BLOCKS,
            .fields = conf->fields.items,
        };
        struct stat st;

        rc = pl_text_each(&source, feed, work, err);
        work->before += stat(source.path, &st) == 0 ? (uint64_t)st.st_size : 0;
    }
    pl_progress_end(&work->progress);
    return rc;
}

static int tick(void *at, size_t tokens, size_t size)
{
    struct work *work = at;

    (void)size;
    if (tokens % 64 == 0)
        pl_progress_update(&work->progress, tokens, tokens, NULL);
    return pl_signals_stop() ? PL_ECANCELED : PL_OK;
}

static int learn(struct work *work, struct pl_error *err)
{
    const struct pl_progress_opts bar = {
        .what = "merge", .unit = "tok", .total = work->conf->size, .quiet = work->conf->quiet};
    int rc;

    pl_progress_begin(&work->progress, &bar);
    rc = pl_bpe_trainer_learn(work->trainer, tick, work, err);
    pl_progress_end(&work->progress);
    return rc;
}

static int make_trainer(struct work *work, struct pl_error *err)
{
    static const char *const always[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    const struct conf *conf = work->conf;
    const size_t n = 3 + conf->special.count + conf->tokens.count;
    struct pl_write_added *added = calloc(n, sizeof *added);
    struct pl_bpe_trainer_opts opts = {
        .size = conf->size, .words_max = conf->words, .count_least = conf->count, .added = added};
    int rc;

    if (!added)
        return pl_fail(err, PL_ENOMEM, "no memory for %zu added tokens", n);
    for (size_t i = 0; i < 3; i++)
        added[opts.added_count++] = (struct pl_write_added){always[i], true};
    for (size_t i = 0; i < conf->special.count; i++)
        added[opts.added_count++] = (struct pl_write_added){conf->special.items[i], true};
    for (size_t i = 0; i < conf->tokens.count; i++)
        added[opts.added_count++] = (struct pl_write_added){conf->tokens.items[i], false};
    rc = pl_bpe_trainer_create(&opts, &work->trainer, err);
    free(added);
    return rc;
}

/* That files are there is seen before hours are spent on the first of them. */
static int check_files(struct work *work, struct pl_error *err)
{
    const struct conf *conf = work->conf;
    char *path;
    int rc = PL_OK;

    if (!conf->output)
        return pl_fail(err, PL_EINVAL, "option '--output' is needed: the folder to write to");
    path = pl_strf("%s/tokenizer.json", conf->output);
    if (!path)
        return pl_fail(err, PL_ENOMEM, "no memory for the name of the output");
    if (!conf->force && pl_path_exists(path))
        rc = pl_fail(err, PL_EINVAL, "'%s' is there already; --force replaces it", path);
    free(path);
    for (size_t i = 0; rc == PL_OK && i < conf->files.count; i++) {
        struct stat st;

        if (strcmp(conf->files.items[i], "-") == 0)
            continue;
        if (stat(conf->files.items[i], &st) < 0)
            rc = pl_fail_errno(err, "open '%s'", conf->files.items[i]);
        else if (S_ISDIR(st.st_mode))
            rc = pl_fail(err, PL_EFORMAT, "'%s' is a directory", conf->files.items[i]);
        else
            work->total += (uint64_t)st.st_size;
    }
    return rc;
}

static int report(const struct work *work, struct pl_error *err)
{
    const struct conf *conf = work->conf;
    struct pl_bpe_trainer_stats stats;
    char human[PL_HUMAN_MAX];

    pl_bpe_trainer_stats(work->trainer, &stats);
    if (conf->json) {
        json_t *root =
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "output", conf->output, "tokens",
                      (json_int_t)stats.tokens, "bytes", (json_int_t)stats.bytes, "words",
                      (json_int_t)stats.words, "words_different", (json_int_t)stats.different,
                      "words_forgotten", (json_int_t)stats.words_forgotten, "words_too_long",
                      (json_int_t)stats.words_too_long);

        if (!root)
            return pl_fail(err, PL_ENOMEM, "no memory for the result");
        json_dumpf(root, stdout, JSON_COMPACT);
        json_decref(root);
        printf("\n");
    } else {
        printf("%zu tokens from %s in %llu words, %zu of them different, written to %s\n",
               stats.tokens, pl_human_bytes(human, stats.bytes), (unsigned long long)stats.words,
               stats.different, conf->output);
    }
    if (stats.tokens < conf->size)
        fprintf(stderr, "%s: the text holds pairs for %zu tokens only, not %zu\n", command.name,
                stats.tokens, conf->size);
    if (stats.words_forgotten > 0)
        fprintf(stderr, "%s: %llu words were too rare to be kept; --words keeps more\n",
                command.name, (unsigned long long)stats.words_forgotten);
    return fflush(stdout) == 0 ? PL_OK : pl_fail_errno(err, "write to standard output");
}

int pl_cmd_tokenizer_train(int argc, char **argv)
{
    struct conf conf;
    struct work work = {.conf = &conf};
    struct pl_error err = {0};
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    pl_signals_catch();
    rc = check_files(&work, &err);
    if (rc == PL_OK)
        rc = make_trainer(&work, &err);
    if (rc == PL_OK)
        rc = read_files(&work, &err);
    if (rc == PL_OK)
        rc = learn(&work, &err);
    if (rc == PL_OK)
        rc = pl_bpe_trainer_save(work.trainer, conf.output, &err);
    if (rc == PL_OK)
        rc = report(&work, &err);
    pl_bpe_trainer_destroy(work.trainer);
    pl_options_release(&command, &conf);
    if (rc == PL_OK)
        return PL_STATUS_OK;
    status = pl_command_failed(&command, &err);
    return rc == PL_ECANCELED && pl_signals_stop() ? 128 + pl_signals_stop() : status;
}
