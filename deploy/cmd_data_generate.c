#include "deploy/cmd_data.h"

#include "common/app/progress.h"
#include "common/app/signals.h"
#include "deploy/data_options.h"
#include "deploy/kk_set.h"

#include <stdio.h>
#include <string.h>

enum { QUESTION_BYTES_MAX = 1 << 20, ID_BYTES_MAX = 80 };

struct conf {
    struct pl_data_options common;
    struct pl_option_list people;
    size_t count, train, test, names;
    int split;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, common.kind, "KIND", "kk: Knights and Knaves"),
    PL_OPTION_LIST(struct conf, people, "people", "N,...", "3,4,5",
                   "sizes of puzzle, from 2 to 8 people; they take turns"),
    PL_OPTION_SIZE(struct conf, count, "count", "N", "0", 0, 1 << 30,
                   "puzzles in all, in one file"),
    PL_OPTION_SIZE(struct conf, train, "train", "N", "0", 0, 1 << 30,
                   "puzzles to train on, in the folder given as --output"),
    PL_OPTION_SIZE(struct conf, test, "test", "N", "0", 0, 1 << 30,
                   "puzzles to test on, none of which is in the training part"),
    PL_OPTION_CHOICE(struct conf, split, "split", "shape", PL_KK_SPLIT_CHOICES,
                     "what no test puzzle shares with a training puzzle: its shape (the same but "
                     "for names and order), or just all of it"),
    PL_OPTION_SEED(struct conf, common.seed, "seed", "0", "seed of every draw"),
    PL_OPTION_SIZE(struct conf, names, "names", "N", "48", 2, PL_KK_NAMES,
                   "first names in use; fewer are learned sooner"),
    PL_OPTION_CHOICE(struct conf, common.wording, "wording", "published", PL_KK_WORDING_CHOICES,
                     "English like that of the published puzzles, or few and regular words"),
    PL_OPTION_STRING(struct conf, common.output, "output", "PATH", "-",
                     "file, or folder for --train and --test; - is standard output"),
    PL_OPTION_FLAG(struct conf, common.json, "json", 0, "print the summary as JSON"),
    PL_DATA_OPTIONS(struct conf),
};

static const struct pl_command command = {
    .name = "plait data generate",
    .about = "Makes Knights and Knaves puzzles with exactly one solution, as tasks or with worked "
             "answers. The same options give the same bytes.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "Examples:\n"
             "  plait data generate kk --people 3,4,5 --train 900 --test 100 --output puzzles\n"
             "  plait data generate kk --people 2 --count 5000 --wording plain --answers "
             "interleave,think-answer --output sft.jsonl\n",
};

static int read_people(const struct conf *conf, struct pl_kk_set_opts *opts, struct pl_error *err)
{
    for (size_t i = 0; i < conf->people.count; i++) {
        const char *word = conf->people.items[i];
        const size_t people = word[0] >= '0' && word[0] <= '9' ? (size_t)(word[0] - '0') : 0;

        if (strlen(word) != 1 || people < PL_KK_PEOPLE_MIN || people > PL_KK_PEOPLE_MAX)
            return pl_fail(err, PL_EINVAL, "--people needs numbers from %d to %d, not '%s'",
                           PL_KK_PEOPLE_MIN, PL_KK_PEOPLE_MAX, word);
        for (size_t k = 0; k < opts->sizes; k++)
            if (opts->people[k] == people)
                return pl_fail(err, PL_EINVAL, "--people names %zu twice", people);
        if (conf->names < people)
            return pl_fail(err, PL_EINVAL, "--names is %zu, too few for puzzles of %zu people",
                           conf->names, people);
        opts->people[opts->sizes++] = people;
    }
    return PL_OK;
}

static int read_set(const struct conf *conf, struct pl_kk_set_opts *opts, struct pl_error *err)
{
    const bool parts = conf->train > 0 || conf->test > 0;

    *opts = (struct pl_kk_set_opts){.seed = conf->common.seed, .names = conf->names};
    opts->split = !parts ? PL_KK_WHOLE : (enum pl_kk_split)conf->split;
    if (parts && conf->count > 0)
        return pl_fail(err, PL_EINVAL,
                       "--count is for one file and --train and --test are for two; give one or "
                       "the other");
    if (!parts && conf->count == 0)
        return pl_fail(err, PL_EINVAL, "how many puzzles? Give --count, or --train and --test");
    return read_people(conf, opts, err);
}

static int generate_one(struct pl_kk_set *set, enum pl_kk_part part, struct pl_data_writer *writer,
                        struct pl_buf *question, struct pl_error *err)
{
    const enum pl_kk_wording wording = writer->opts.wording;
    struct pl_kk puzzle;
    struct pl_kk_task task = {.puzzle = &puzzle, .seed = &set->opts.seed};
    char id[ID_BYTES_MAX];
    uint32_t index = 0;
    int rc = pl_kk_set_next(set, part, &puzzle, &index, err);

    if (rc < 0)
        return rc;
    if (wording == PL_KK_PLAIN)
        pl_kk_names_lower(&puzzle);
    snprintf(id, sizeof id, "kk-%zu-%llu-%u", puzzle.people, (unsigned long long)set->opts.seed,
             index);
    pl_buf_clear(question);
    rc = pl_kk_question(&puzzle, wording, question);
    if (rc < 0)
        return pl_fail(err, rc, "task '%s': no room for the question", id);
    task.id = id;
    task.question = question->data;
    task.index = index;
    return pl_data_writer_put(writer, part, &task, err);
}

static int generate_all(struct pl_kk_set *set, const size_t counts[PL_KK_PARTS],
                        struct pl_data_writer *writer, struct pl_error *err)
{
    const struct pl_progress_opts show = {.what = "puzzles",
                                          .total = counts[PL_KK_TRAIN] + counts[PL_KK_TEST]};
    struct pl_progress progress;
    struct pl_buf question;
    uint64_t done = 0;
    int rc = PL_OK;

    pl_buf_init(&question, QUESTION_BYTES_MAX);
    pl_progress_begin(&progress, &show);
    for (size_t part = 0; part < PL_KK_PARTS; part++) {
        for (size_t i = 0; rc == PL_OK && i < counts[part]; i++) {
            rc = generate_one(set, (enum pl_kk_part)part, writer, &question, err);
            pl_progress_update(&progress, ++done, 0, NULL);
            if (rc == PL_OK && pl_signals_stop())
                rc = pl_fail(err, PL_ECANCELED, "stopped after %llu puzzles; nothing is written",
                             (unsigned long long)done);
        }
    }
    pl_progress_end(&progress);
    pl_buf_release(&question);
    return rc;
}

int pl_cmd_data_generate(int argc, char **argv)
{
    struct conf conf;
    struct pl_kk_set_opts set_opts;
    struct pl_data_writer_opts writer_opts;
    struct pl_data_writer writer;
    struct pl_kk_set set;
    struct pl_error err = {0};
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    pl_signals_catch();
    rc = read_set(&conf, &set_opts, &err);
    if (rc == PL_OK)
        rc = pl_data_options_read(&conf.common, set_opts.split != PL_KK_WHOLE, &writer_opts, &err);
    if (rc == PL_OK)
        rc = pl_data_writer_init(&writer, &writer_opts, &err);
    if (rc == PL_OK) {
        const size_t counts[PL_KK_PARTS] = {conf.count + conf.train, conf.test};

        pl_kk_set_init(&set, &set_opts);
        rc = generate_all(&set, counts, &writer, &err);
        rc = pl_data_finish(&writer, conf.common.json, rc, &err);
        pl_kk_set_release(&set);
    }
    pl_options_release(&command, &conf);
    return pl_data_status(&command, rc, &err);
}
