#include "deploy/cmd_data.h"

#include "common/app/progress.h"
#include "common/app/signals.h"
#include "common/base/file.h"
#include "deploy/tasks/data_options.h"
#include "deploy/tasks/import_files.h"
#include "deploy/tasks/import_parts.h"
#include "deploy/tasks/import_summary.h"
#include "deploy/tasks/import_worked.h"
#include "deploy/tasks/import_write.h"
#include "deploy/tasks/kk_task.h"
#include "rewarder/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SPLIT_AUTO, SPLIT_ROW, SPLIT_COMPONENT };

struct conf {
    struct pl_data_options common;
    struct pl_option_list files, levels;
    size_t count, train, test, context_tokens;
    const char *tokenizer, *verifier;
    int split;
    bool per_level, skip_bad, drop_over_budget, shuffle, keep_system;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, common.kind, "KIND",
           "kk, musique, gsm8k, math, mmlu, mmlu-redux, gpqa, verl or chat"),
    PL_ARG_LIST(struct conf, files, "FILE", 1,
                "published rows: JSON lines, a JSON array, or CSV under the ending .csv"),
    PL_OPTION_STRING(struct conf, common.output, "output", "PATH", "-",
                     "file, or folder for --train and --test; - is standard output"),
    PL_OPTION_GROUP("Which tasks"),
    PL_OPTION_SIZE(struct conf, train, "train", "N", "0", 0, 1 << 30,
                   "exactly so many tasks to train on, drawn from all"),
    PL_OPTION_SIZE(struct conf, test, "test", "N", "0", 0, 1 << 30,
                   "exactly so many others to test on"),
    PL_OPTION_SIZE(struct conf, count, "count", "N", "0", 0, 1 << 30,
                   "exactly so many, drawn, in one file; 0: all"),
    PL_OPTION_FLAG(struct conf, per_level, "per-level", 0,
                   "as many as --train, --test or --count say of each level"),
    PL_OPTION_CHOICE(struct conf, split, "split", "auto", "auto|row|component",
                     "what may not be in both parts: a row, or a component, tasks that share a "
                     "single-hop question (musique) or a shape (kk) with each other; auto: "
                     "component for musique, row for the others"),
    PL_OPTION_LIST(struct conf, levels, "level", "L,...", NULL,
                   "only these levels: people, hops, MATH's 1 to 5"),
    PL_OPTION_SEED(struct conf, common.seed, "seed", "0",
                   "seed of every draw: parts, options, paragraphs, guessed answers"),
    PL_OPTION_FLAG(struct conf, skip_bad, "skip-bad", 0,
                   "leave out rows that are not as they should be, instead of ending"),
    PL_OPTION_GROUP("Of some kinds"),
    PL_OPTION_SIZE(struct conf, context_tokens, "context-tokens", "N", "1000", 0, 1 << 20,
                   "musique: other paragraphs are added to the supporting ones up to so many"),
    PL_OPTION_FLAG(struct conf, drop_over_budget, "drop-over-budget", 0,
                   "musique: leave out what has more than that in supporting paragraphs alone"),
    PL_OPTION_FLAG(struct conf, shuffle, "shuffle", 0,
                   "mmlu: options in drawn order; those of gpqa always are"),
    PL_OPTION_STRING(struct conf, verifier, "verifier", "NAME", NULL,
                     "verl, chat: how answers are compared, if not by where rows are from"),
    PL_OPTION_FLAG(struct conf, keep_system, "keep-system", 0,
                   "verl, chat: put a system message in front of the question; else it is left "
                   "out, as the method's instruction takes its place"),
    PL_OPTION_STRING(struct conf, tokenizer, "tokenizer", "FOLDER", NULL,
                     "counts tokens; without one a token is taken to be 4 bytes"),
    PL_OPTION_FLAG(struct conf, common.json, "json", 0, "print the summary as JSON"),
    PL_DATA_OPTIONS(struct conf),
};

static const struct pl_command command = {
    .name = "plait data import",
    .about =
        "Turns rows of published data sets into tasks, JSON lines. A question that comes twice "
        "is taken once. The same files and options give the same bytes.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after =
        "Examples:\n"
        "  plait data import kk people3_train.jsonl --output kk.jsonl\n"
        "  plait data import musique musique_ans_train.jsonl --level 3,4 --train 900 --test 100 "
        "\\\n      --tokenizer MODEL --output musique\n"
        "  plait data import math test.jsonl --level 5 --count 198 --output math5.jsonl\n"
        "  plait data import gpqa gpqa_diamond.csv --output gpqa.jsonl\n",
};

/* A run of the command. */
struct job {
    const struct conf *conf;
    const struct pl_import_kind *kind;
    bool parts;
    struct pl_import_conf import;
    struct pl_ruler ruler;
    struct pl_import_draft draft;
    struct pl_import_set set;
    struct pl_import_summary summary;
    struct pl_progress progress;
    uint64_t bytes;        /* of the files that are done */
    struct pl_error bad;   /* about the first bad row */
    struct pl_error unfit; /* about the first that cannot be scored; code 0: there is none */
    struct pl_data_writer_opts answers;
};

/* What was typed. */

static int check_kind(struct job *job, struct pl_error *err)
{
    const char *nearest = NULL, *name = job->conf->common.kind;

    job->kind = pl_import_kind_named(name, &nearest);
    if (job->kind)
        return PL_OK;
    if (nearest)
        return pl_fail(err, PL_EINVAL, "unknown kind of data '%s'; did you mean '%s'?", name,
                       nearest);
    return pl_fail(err, PL_EINVAL, "unknown kind of data '%s'; 'plait help data import' lists them",
                   name);
}

/* Options that would do nothing. */
static int check_use(const struct job *job, struct pl_error *err)
{
    const struct conf *conf = job->conf;
    const struct pl_import_kind *kind = job->kind;
    const struct {
        bool given, taken;
        const char *name;
    } uses[] = {
        {conf->verifier, kind->takes_verifier, "verifier"},
        {conf->keep_system, kind->takes_verifier, "keep-system"},
        {conf->shuffle, kind->takes_shuffle, "shuffle"},
        {conf->drop_over_budget, kind->takes_context, "drop-over-budget"},
        {conf->common.answers.count > 0, kind->takes_answers, "answers"},
        {conf->common.careful_share < 1, kind->read == pl_import_kk, "careful-share"},
        {conf->split == SPLIT_COMPONENT, kind->linked_by, "split component"},
    };

    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++)
        if (uses[i].given && !uses[i].taken)
            return pl_fail(err, PL_EINVAL, "--%s is of no use for rows of the kind %s",
                           uses[i].name, kind->name);
    return PL_OK;
}

static int check_output(const struct job *job, struct pl_error *err)
{
    const struct conf *conf = job->conf;

    if (job->parts && conf->count > 0)
        return pl_fail(err, PL_EINVAL,
                       "--count is for one file and --train and --test are for two; give one or "
                       "the other");
    if (!conf->common.output[0])
        return pl_fail(err, PL_EINVAL,
                       "--output is empty; expected a path, or - for standard output");
    if (job->parts && strcmp(conf->common.output, "-") == 0)
        return pl_fail(err, PL_EINVAL,
                       "--train and --test need a folder to write to: --output FOLDER");
    if (conf->split == SPLIT_COMPONENT && !job->parts)
        return pl_fail(err, PL_EINVAL, "--split component is for --train and --test");
    if (conf->per_level && !job->parts && conf->count == 0)
        return pl_fail(err, PL_EINVAL, "--per-level is for --train and --test, or --count");
    if (conf->verifier && !pl_verifier_named(conf->verifier))
        return pl_fail(err, PL_EINVAL, "--verifier: there is no verifier '%s'", conf->verifier);
    return PL_OK;
}

static int read_conf(struct job *job, const struct conf *conf, struct pl_error *err)
{
    int rc;

    job->conf = conf;
    job->parts = conf->train > 0 || conf->test > 0;
    rc = check_kind(job, err);
    if (rc == PL_OK)
        rc = check_use(job, err);
    if (rc == PL_OK)
        rc = check_output(job, err);
    if (rc == PL_OK && conf->common.answers.count > 0)
        rc = pl_data_options_read(&conf->common, job->parts, &job->answers, err);
    if (rc < 0)
        return rc;
    job->import = (struct pl_import_conf){.seed = conf->common.seed,
                                          .ruler = &job->ruler,
                                          .verifier = conf->verifier,
                                          .keep_system = conf->keep_system,
                                          .shuffle = conf->shuffle,
                                          .context_tokens = conf->context_tokens,
                                          .drop_over_budget = conf->drop_over_budget};
    job->summary.kind = job->kind->name;
    job->summary.parts = job->parts;
    return PL_OK;
}

/* Reading. */

static int take_row(void *at, const struct pl_import_row *row, struct pl_error *err)
{
    static const char unfit[] = "cannot be scored: its own answer is not right by its verifier";
    struct job *job = at;
    enum pl_import_added added = PL_IMPORT_NEW;
    int rc;

    pl_import_draft_clear(&job->draft);
    rc = job->kind->read(&job->import, row, &job->draft, err);
    if (rc < 0)
        return rc;
    if (job->draft.left_out) {
        pl_import_reasons_add(&job->summary.left_out, job->draft.left_out);
        return PL_OK;
    }
    rc = pl_import_set_add(&job->set, &job->draft, row->what, &added, err);
    if (rc < 0)
        return rc;
    if (added == PL_IMPORT_UNFIT) {
        if (job->unfit.code == PL_OK)
            job->unfit = *err;
        pl_import_reasons_add(&job->summary.left_out, unfit);
    }
    job->summary.duplicates += added == PL_IMPORT_DUPLICATE;
    return PL_OK;
}

static int watch(void *at, const char *what, size_t bytes, struct pl_error *err)
{
    struct job *job = at;

    pl_progress_update(&job->progress, (job->bytes + bytes) >> 10, job->set.count, NULL);
    if (pl_signals_stop())
        return pl_fail(err, PL_ECANCELED, "stopped at %s; nothing is written", what);
    return PL_OK;
}

static uint64_t size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

static int read_files(struct job *job, struct pl_error *err)
{
    const struct pl_option_list *files = &job->conf->files;
    struct pl_progress_opts show = {.what = "KiB read", .unit = "tasks"};
    struct pl_import_reader reader = {.csv_columns = job->kind->csv_columns,
                                      .skip_bad = job->conf->skip_bad,
                                      .fn = take_row,
                                      .watch = watch,
                                      .at = job};
    char **stems = pl_import_stems(files->items, files->count);
    int rc = stems ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory for the names of files");

    for (size_t i = 0; i < files->count; i++)
        show.total += size_of(files->items[i]) >> 10;
    pl_progress_begin(&job->progress, &show);
    for (size_t i = 0; rc == PL_OK && i < files->count; i++) {
        rc = pl_import_file(&reader, files->items[i], stems[i], err);
        job->bytes += size_of(files->items[i]);
    }
    pl_progress_end(&job->progress);
    pl_import_stems_free(stems, files->count);
    job->summary.rows = reader.rows;
    job->summary.bad = reader.bad;
    job->bad = reader.bad_first;
    return rc;
}

/* "a task" came of no row: why. */
static int fail_empty(const struct job *job, struct pl_error *err)
{
    const struct pl_import_reasons *reasons = &job->summary.left_out;
    struct pl_buf why;
    int rc;

    pl_buf_init(&why, sizeof err->text);
    for (size_t i = 0; i < reasons->count; i++)
        (void)pl_buf_printf(&why, "; %llu: %s", (unsigned long long)reasons->counts[i],
                            reasons->texts[i]);
    if (job->unfit.code < 0)
        (void)pl_buf_printf(&why, " (%.200s)", job->unfit.text);
    if (job->summary.bad > 0)
        (void)pl_buf_printf(&why, "; %llu: bad (%.200s)", (unsigned long long)job->summary.bad,
                            job->bad.text);
    rc = pl_fail(err, PL_EFORMAT, "none of the %llu rows makes a task%s",
                 (unsigned long long)job->summary.rows, why.len > 0 ? why.data : "");
    pl_buf_release(&why);
    return rc;
}

static int choose(struct job *job, struct pl_error *err)
{
    const struct conf *conf = job->conf;
    const struct pl_import_choice choice = {
        .seed = conf->common.seed,
        .levels = conf->levels.items,
        .level_count = conf->levels.count,
        .parts = job->parts,
        .train = conf->train,
        .test = conf->test,
        .count = conf->count,
        .per_level = conf->per_level,
        .components =
            conf->split == SPLIT_COMPONENT || (conf->split == SPLIT_AUTO && job->kind->components),
    };
    int rc;

    if (job->set.count == 0)
        return fail_empty(job, err);
    rc = pl_import_choose(&job->set, &choice, &job->summary.chosen, err);
    if (rc == PL_OK && job->unfit.code < 0)
        fprintf(stderr, "%s: rows that cannot be scored are left out; the first: %s\n",
                command.name, job->unfit.text);
    if (rc == PL_OK && job->summary.bad > 0)
        fprintf(stderr, "%s: %llu bad rows are left out; the first: %s\n", command.name,
                (unsigned long long)job->summary.bad, job->bad.text);
    if (rc == PL_EINVAL) /* the files' doing as much as the command line's */
        rc = pl_fail_in(err, PL_EFORMAT, "from %llu rows", (unsigned long long)job->summary.rows);
    return rc;
}

/* Writing. */

static int print_json(json_t *root, FILE *out, struct pl_error *err)
{
    const bool bad = !root || json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) < 0 ||
                     fputc('\n', out) == EOF || fflush(out) != 0;

    json_decref(root);
    return bad ? pl_fail(err, PL_EIO, "the summary could not be written") : PL_OK;
}

static FILE *report_to(const struct job *job)
{
    return strcmp(job->conf->common.output, "-") == 0 ? stderr : stdout;
}

/* `more` is taken over: what else the summary has, NULL: nothing. */
static int report(const struct job *job, json_t *more, struct pl_error *err)
{
    json_t *root = NULL;

    if (job->conf->common.json) {
        root = pl_import_summary_json(&job->summary, &job->set);
        json_object_update_missing(root, more);
    }
    json_decref(more);
    return job->conf->common.json
               ? print_json(root, report_to(job), err)
               : pl_import_summary_print(&job->summary, &job->set, report_to(job), err);
}

/* Worked answers are made of puzzles, which are taken from the tasks again. */
static int put_puzzle(struct pl_data_writer *writer, const struct pl_import_item *item,
                      struct pl_error *err)
{
    const struct pl_task *task = &item->task;
    struct pl_problem problem = {.family = &pl_family_kk};
    struct pl_task_item made = {.problem = &problem, .id = task->id, .question = task->question};
    struct pl_buf question;
    json_t *line = NULL, *row;
    int rc = pl_json_parse(task->line, task->line_len, task->id, &line, err);

    if (rc < 0)
        return rc;
    pl_buf_init(&question, PL_IMPORT_ROW_BYTES_MAX);
    row = json_object_get(line, "meta");
    json_object_set(row, "quiz", json_object_get(line, "question"));
    rc = pl_kk_row_from(row, task->id, &problem.of.kk, &question, &made.index, err);
    problem.size = problem.of.kk.people;
    if (rc == PL_OK)
        rc = pl_data_writer_put(
            writer, item->part == PL_IMPORT_TEST ? PL_DATA_PART_TEST : PL_DATA_PART_TRAIN, &made,
            err);
    pl_buf_release(&question);
    json_decref(line);
    return rc;
}

/* The summary of the writer, as JSON. */
static json_t *written_json(const struct pl_data_writer *writer)
{
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    json_t *root = NULL;

    if (!stream)
        return NULL;
    (void)pl_data_summary_json(&writer->summary, stream, NULL);
    fclose(stream);
    root = json_loadb(text, len, 0, NULL);
    free(text);
    return root;
}

static int write_puzzles(struct job *job, struct pl_error *err)
{
    struct pl_data_writer writer;
    int rc = pl_data_writer_init(&writer, &job->answers, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == PL_OK && i < job->set.count; i++)
        if (job->set.items[i].part != PL_IMPORT_NOWHERE)
            rc = put_puzzle(&writer, &job->set.items[i], err);
    if (rc == PL_OK)
        rc = pl_data_writer_commit(&writer, err);
    if (rc == PL_OK)
        rc = report(job, written_json(&writer), err);
    if (rc == PL_OK && !job->conf->common.json && fputc('\n', report_to(job)) == EOF)
        rc = pl_fail(err, PL_EIO, "the summary could not be written");
    if (rc == PL_OK && !job->conf->common.json)
        rc = pl_data_writer_report(&writer, false, err);
    pl_data_writer_release(&writer);
    return rc;
}

static int write_published(struct job *job, struct pl_error *err)
{
    struct pl_import_worked worked;
    json_t *more;
    int rc = pl_import_worked_write(&job->set, &job->answers, &worked, err);

    if (rc < 0)
        return rc;
    more = json_object();
    json_object_set_new(more, "answers", pl_import_worked_json(&worked));
    rc = report(job, more, err);
    if (rc == PL_OK && !job->conf->common.json)
        rc = pl_import_worked_print(&worked, report_to(job), err);
    return rc;
}

static int write_tasks(struct job *job, struct pl_error *err)
{
    int rc;

    if (job->conf->common.answers.count > 0)
        return job->kind->read == pl_import_kk ? write_puzzles(job, err)
                                               : write_published(job, err);
    rc = pl_import_write(&job->set, job->conf->common.output, job->parts, err);
    return rc == PL_OK ? report(job, NULL, err) : rc;
}

static int run(const struct conf *conf, struct pl_error *err)
{
    struct job job = {.conf = NULL};
    int rc = read_conf(&job, conf, err);

    if (rc < 0)
        return rc;
    pl_import_draft_init(&job.draft);
    rc = pl_ruler_open(&job.ruler, conf->tokenizer, err);
    if (rc == PL_OK)
        rc = read_files(&job, err);
    if (rc == PL_OK)
        rc = choose(&job, err);
    if (rc == PL_OK)
        rc = pl_import_summary_measure(&job.summary, &job.set, &job.ruler, err);
    if (rc == PL_OK)
        rc = write_tasks(&job, err);
    pl_import_draft_release(&job.draft);
    pl_import_set_release(&job.set);
    pl_ruler_close(&job.ruler);
    return rc;
}

int pl_cmd_data_import(int argc, char **argv)
{
    struct conf conf;
    struct pl_error err = {0};
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    conf.common.wording = PL_WORDING_PUBLISHED;
    conf.common.family = &pl_family_kk;
    pl_signals_catch();
    rc = run(&conf, &err);
    pl_options_release(&command, &conf);
    return pl_data_status(&command, rc, &err);
}
