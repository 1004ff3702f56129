#include "deploy/cmd_data.h"

#include "common/app/progress.h"
#include "common/app/signals.h"
#include "deploy/tasks/data_options.h"
#include "deploy/tasks/problem_set.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUESTION_BYTES_MAX = 1 << 20, ID_BYTES_MAX = 80 };

/* What belongs to some families only is NULL or empty where it was not given. */
struct conf {
    struct pl_data_options common;
    struct pl_option_list people, hops, ops;
    const char *names, *distractors;
    size_t count, train, test;
    int split;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, common.kind, "KIND",
           "kk: Knights and Knaves; hops: questions over given facts that take several hops; "
           "arith: chained arithmetic"),
    PL_OPTION_SIZE(struct conf, count, "count", "N", "0", 0, 1 << 30,
                   "problems in all, in one file"),
    PL_OPTION_SIZE(struct conf, train, "train", "N", "0", 0, 1 << 30,
                   "problems to train on, in the folder given as --output"),
    PL_OPTION_SIZE(struct conf, test, "test", "N", "0", 0, 1 << 30,
                   "problems to test on, none of which is in the training part"),
    PL_OPTION_CHOICE(struct conf, split, "split", "shape", PL_SPLIT_CHOICES,
                     "what no test problem shares with a training problem: its shape (the same but "
                     "for names, numbers and order), or just all of it"),
    PL_OPTION_SEED(struct conf, common.seed, "seed", "0", "seed of every draw"),
    PL_OPTION_CHOICE(struct conf, common.wording, "wording", "published", PL_WORDING_CHOICES,
                     "English like that of published data, or few and regular words"),
    PL_OPTION_STRING(struct conf, common.output, "output", "PATH", "-",
                     "file, or folder for --train and --test; - is standard output"),
    PL_OPTION_FLAG(struct conf, common.json, "json", 0, "print the summary as JSON"),
    PL_OPTION_GROUP("How hard; sizes take turns"),
    PL_OPTION_LIST(struct conf, people, "people", "N,...", NULL,
                   "of kk: people in a puzzle, from 2 to 8 (default: 3,4,5)"),
    PL_OPTION_LIST(struct conf, hops, "hops", "N,...", NULL,
                   "of hops: facts that a question needs, from 2 to 6 (default: 2,3,4)"),
    PL_OPTION_STRING(struct conf, distractors, "distractors", "N", NULL,
                     "of hops: facts that it does not need, from 0 to 24 (default: 4)"),
    PL_OPTION_LIST(struct conf, ops, "ops", "N,...", NULL,
                   "of arith: operations in a chain, from 2 to 8 (default: 2,3,4)"),
    PL_OPTION_STRING(struct conf, names, "names", "N", NULL,
                     "of kk, up to 48, and hops, up to 96: names in use; fewer are learned sooner "
                     "(default: all)"),
    PL_DATA_OPTIONS(struct conf),
};

static const struct pl_command command = {
    .name = "plait data generate",
    .about = "Makes problems with exactly one right answer, as tasks or with worked answers. The "
             "same options give the same bytes.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after =
        "Examples:\n"
        "  plait data generate kk --people 3,4,5 --train 900 --test 100 --output puzzles\n"
        "  plait data generate hops --hops 2,3 --distractors 6 --train 900 --test 100 --output "
        "questions\n"
        "  plait data generate kk --people 2 --count 5000 --wording plain --answers "
        "interleave,think-answer --output sft.jsonl\n",
};

/* The sizes of a family have an option of the family's own, which is called as they are. */
static const struct {
    const char *name;
    size_t place;
} size_options[] = {
    {"people", offsetof(struct conf, people)},
    {"hops", offsetof(struct conf, hops)},
    {"ops", offsetof(struct conf, ops)},
};

static int check_names(const struct pl_problem_set_opts *opts, size_t size, struct pl_error *err)
{
    const struct pl_family *family = opts->family;
    const size_t needed = family->names_needed ? family->names_needed(&opts->draw, size) : 0;

    if (opts->draw.names < needed)
        return pl_fail(err, PL_EINVAL,
                       "--names is %zu, too few for %s of %zu %s, which may need %zu",
                       opts->draw.names, family->nouns, size, family->size, needed);
    return PL_OK;
}

static int add_size(const char *word, struct pl_problem_set_opts *opts, struct pl_error *err)
{
    const struct pl_family *family = opts->family;
    const size_t size = word[0] >= '0' && word[0] <= '9' ? (size_t)(word[0] - '0') : 0;

    if (strlen(word) != 1 || size < family->size_min || size > family->size_max)
        return pl_fail(err, PL_EINVAL, "--%s needs numbers from %zu to %zu, not '%s'", family->size,
                       family->size_min, family->size_max, word);
    for (size_t k = 0; k < opts->count; k++)
        if (opts->sizes[k] == size)
            return pl_fail(err, PL_EINVAL, "--%s names %zu twice", family->size, size);
    opts->sizes[opts->count++] = size;
    return PL_OK;
}

static int read_sizes(const struct conf *conf, struct pl_problem_set_opts *opts,
                      struct pl_error *err)
{
    const struct pl_family *family = opts->family;
    int rc = PL_OK;

    for (size_t i = 0; i < sizeof size_options / sizeof size_options[0]; i++) {
        const struct pl_option_list *list =
            (const void *)((const char *)conf + size_options[i].place);

        if (list->count > 0 && strcmp(size_options[i].name, family->size) != 0)
            return pl_fail(err, PL_EINVAL, "--%s does not go with %s, which takes --%s",
                           size_options[i].name, family->name, family->size);
        for (size_t k = 0; rc == PL_OK && k < list->count; k++)
            rc = add_size(list->items[k], opts, err);
    }
    if (opts->count == 0) {
        for (size_t i = 0; family->sizes_initial[i] != 0; i++)
            opts->sizes[opts->count++] = family->sizes_initial[i];
    }
    for (size_t i = 0; rc == PL_OK && i < opts->count; i++)
        rc = check_names(opts, opts->sizes[i], err);
    return rc;
}

/* A number that a family may take or not; `text` NULL: it was not given. */
static int read_number(const char *option, const char *text, const struct pl_family *family,
                       const struct pl_family_range *range, size_t *ret_number,
                       struct pl_error *err)
{
    const size_t digits = text ? strspn(text, "0123456789") : 0;
    unsigned long number;

    *ret_number = range->initial;
    if (!text)
        return PL_OK;
    if (range->most == 0)
        return pl_fail(err, PL_EINVAL, "--%s does not go with %s", option, family->name);
    number =
        digits > 0 && digits < 10 && text[digits] == '\0' ? strtoul(text, NULL, 10) : ULONG_MAX;
    if (number < range->least || number > range->most)
        return pl_fail(err, PL_EINVAL,
                       "option '--%s' needs a number from %zu to %zu for %s, not '%s'", option,
                       range->least, range->most, family->name, text);
    *ret_number = number;
    return PL_OK;
}

static int read_counts(const struct conf *conf, struct pl_problem_set_opts *opts,
                       struct pl_error *err)
{
    const bool parts = conf->train > 0 || conf->test > 0;

    opts->split = !parts ? PL_SPLIT_NONE : (enum pl_split)conf->split;
    if (parts && conf->count > 0)
        return pl_fail(err, PL_EINVAL,
                       "--count is for one file and --train and --test are for two; give one or "
                       "the other");
    if (!parts && conf->count == 0)
        return pl_fail(err, PL_EINVAL, "how many %s? Give --count, or --train and --test",
                       opts->family->nouns);
    return PL_OK;
}

static int read_set(const struct conf *conf, struct pl_problem_set_opts *opts, struct pl_error *err)
{
    const struct pl_family *family;
    int rc = pl_family_named(conf->common.kind, &family, err);

    if (rc < 0)
        return rc;
    *opts = (struct pl_problem_set_opts){.family = family,
                                         .draw.seed = conf->common.seed,
                                         .draw.wording = (enum pl_wording)conf->common.wording};
    rc = read_counts(conf, opts, err);
    if (rc == PL_OK)
        rc = read_number("distractors", conf->distractors, family, &family->distractors,
                         &opts->draw.distractors, err);
    if (rc == PL_OK)
        rc = read_number("names", conf->names, family, &family->names, &opts->draw.names, err);
    return rc < 0 ? rc : read_sizes(conf, opts, err);
}

static int generate_one(struct pl_problem_set *set, enum pl_data_part part,
                        struct pl_data_writer *writer, struct pl_buf *question,
                        struct pl_error *err)
{
    const struct pl_family *family = set->opts.family;
    struct pl_problem problem;
    struct pl_task_item item = {.problem = &problem, .seed = &set->opts.draw.seed};
    char id[ID_BYTES_MAX];
    uint32_t index = 0;
    int rc = pl_problem_set_next(set, part, &problem, &index, err);

    if (rc < 0)
        return rc;
    snprintf(id, sizeof id, "%s-%zu-%llu-%u", family->name, problem.size,
             (unsigned long long)set->opts.draw.seed, index);
    pl_buf_clear(question);
    rc = family->question(&problem, question);
    if (rc < 0)
        return pl_fail(err, rc, "task '%s': no room for the question", id);
    item.id = id;
    item.question = question->data;
    item.index = index;
    return pl_data_writer_put(writer, part, &item, err);
}

static int generate_all(struct pl_problem_set *set, const size_t counts[PL_DATA_PARTS],
                        struct pl_data_writer *writer, struct pl_error *err)
{
    const char *nouns = set->opts.family->nouns;
    const struct pl_progress_opts show = {
        .what = nouns, .total = counts[PL_DATA_PART_TRAIN] + counts[PL_DATA_PART_TEST]};
    struct pl_progress progress;
    struct pl_buf question;
    uint64_t done = 0;
    int rc = PL_OK;

    pl_buf_init(&question, QUESTION_BYTES_MAX);
    pl_progress_begin(&progress, &show);
    for (size_t part = 0; part < PL_DATA_PARTS; part++) {
        for (size_t i = 0; rc == PL_OK && i < counts[part]; i++) {
            rc = generate_one(set, (enum pl_data_part)part, writer, &question, err);
            pl_progress_update(&progress, ++done, 0, NULL);
            if (rc == PL_OK && pl_signals_stop())
                rc = pl_fail(err, PL_ECANCELED, "stopped after %llu %s; nothing is written",
                             (unsigned long long)done, nouns);
        }
    }
    pl_progress_end(&progress);
    pl_buf_release(&question);
    return rc;
}

int pl_cmd_data_generate(int argc, char **argv)
{
    struct conf conf;
    struct pl_problem_set_opts set_opts;
    struct pl_data_writer_opts writer_opts;
    struct pl_data_writer writer;
    struct pl_problem_set set;
    struct pl_error err = {0};
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    pl_signals_catch();
    rc = read_set(&conf, &set_opts, &err);
    if (rc == PL_OK) {
        conf.common.family = set_opts.family;
        rc =
            pl_data_options_read(&conf.common, set_opts.split != PL_SPLIT_NONE, &writer_opts, &err);
    }
    if (rc == PL_OK)
        rc = pl_data_writer_init(&writer, &writer_opts, &err);
    if (rc == PL_OK) {
        const size_t counts[PL_DATA_PARTS] = {conf.count + conf.train, conf.test};

        pl_problem_set_init(&set, &set_opts);
        rc = generate_all(&set, counts, &writer, &err);
        rc = pl_data_finish(&writer, conf.common.json, rc, &err);
        pl_problem_set_release(&set);
    }
    pl_options_release(&command, &conf);
    return pl_data_status(&command, rc, &err);
}
