#include "deploy/cmd_reproduce.h"

#include "common/app/nearest.h"
#include "common/app/options.h"
#include "common/app/share.h"
#include "common/app/signals.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "deploy/paper/reproduce.h"
#include "deploy/paper/results_page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct conf {
    const char *scale, *out, *recipes;
    struct pl_option_list seeds, only;
    bool list;
};

static const struct pl_option options[] = {
    PL_OPTION_STRING(struct conf, scale, "scale", "tiny|small|rare|FILE", "small",
                     "how large problems, model and training are: a file of recipes/scales, or one "
                     "like those"),
    PL_OPTION_LIST(struct conf, seeds, "seeds", "N,...", "0,1,42",
                   "seeds of training by reward; the main table's rows run with each, the others "
                   "with the first"),
    PL_OPTION_LIST(struct conf, only, "only", "ROW,...", NULL, "some rows of the grid, by name"),
    PL_OPTION_STRING(struct conf, out, "out", "DIR", NULL,
                     "folder of everything it makes (default: reproduce-SCALE)"),
    PL_OPTION_STRING(struct conf, recipes, "recipes", "DIR", NULL,
                     "where the recipes are, if not where plait has its own"),
    PL_OPTION_FLAG(struct conf, list, "list", 0, "show what would be done, and what is, and leave"),
};

static const struct pl_command command = {
    .name = "plait reproduce",
    .about = "Runs the grid of the paper's tables at a scale that a small machine can bear, from "
             "nothing: made-up problems, a tokenizer, a small model warm-started on worked answers "
             "of mixed quality, each way to train it by reward, and what comes of each. Ctrl-C "
             "stops it; the same command goes on.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "Rows: direct, cot, sft, think-answer, interleave, interleave-ir,\n"
             "interleave-ir-direct, interleave-ir-partial, interleave-ir-all, delayed,\n"
             "delayed-ir, interleave-ir-ppo, interleave-ir-reinforce-plus-plus,\n"
             "interleave-ir-gdpo, interleave-ir-segment, interleave-ir-product,\n"
             "interleave-ir-charge.\n\n"
             "Examples:\n"
             "  plait reproduce --scale tiny\n"
             "  plait reproduce --scale small --only think-answer,interleave-ir --seeds 0\n",
};

static int read_seeds(const struct conf *conf, struct pl_reproduce *r, struct pl_error *err)
{
    if (conf->seeds.count == 0 || conf->seeds.count > PL_REPRODUCE_SEEDS_MAX)
        return pl_fail(err, PL_EINVAL, "--seeds needs 1 to %d numbers", PL_REPRODUCE_SEEDS_MAX);
    for (size_t i = 0; i < conf->seeds.count; i++) {
        const char *word = conf->seeds.items[i];
        char *end = NULL;

        errno = 0;
        r->seeds[i] = strtoull(word, &end, 10);
        if (word[0] < '0' || word[0] > '9' || *end || errno)
            return pl_fail(err, PL_EINVAL, "--seeds needs numbers, not '%s'", word);
        for (size_t k = 0; k < i; k++)
            if (r->seeds[k] == r->seeds[i])
                return pl_fail(err, PL_EINVAL, "--seeds names %s twice", word);
        r->seed_count++;
    }
    return PL_OK;
}

static bool wants(const struct pl_grid_row *row, void *at)
{
    const struct conf *conf = at;

    for (size_t i = 0; i < conf->only.count; i++)
        if (strcmp(conf->only.items[i], row->name) == 0)
            return true;
    return conf->only.count == 0;
}

static int no_such_row(const char *name, struct pl_error *err)
{
    struct pl_nearest nearest = {.word = name};

    for (size_t i = 0; i < pl_grid_count; i++)
        pl_nearest_offer(&nearest, pl_grid[i].name);
    return nearest.best
               ? pl_fail(err, PL_EINVAL, "--only: there is no row '%s'; did you mean '%s'?", name,
                         nearest.best)
               : pl_fail(err, PL_EINVAL, "--only: there is no row '%s'; --help names all", name);
}

static int check_rows(const struct conf *conf, struct pl_error *err)
{
    for (size_t i = 0; i < conf->only.count; i++)
        if (!pl_grid_named(conf->only.items[i]))
            return no_such_row(conf->only.items[i], err);
    return PL_OK;
}

/* The scale's file: a path, or a word that the recipes know. */
static char *scale_path(const struct conf *conf, const char *recipes)
{
    return strchr(conf->scale, '/') || strchr(conf->scale, '.')
               ? strdup(conf->scale)
               : pl_strf("%s/scales/%s.yaml", recipes, conf->scale);
}

/* The last word of a path, without what follows a dot. */
static char *default_out(const char *scale)
{
    const char *slash = strrchr(scale, '/'), *base = slash ? slash + 1 : scale;

    return pl_strf("reproduce-%.*s", (int)strcspn(base, "."), base);
}

static int list(const struct pl_chores *chores)
{
    for (size_t i = 0; i < chores->count; i++)
        printf("%s  %s\n", pl_chores_is_done(chores, i) ? "done" : "    ", chores->list[i].title);
    return fflush(stdout) == 0 ? PL_OK : PL_EIO;
}

/* What there is so far, also when it was stopped. */
static int write_results(const struct pl_reproduce *r, const struct pl_chores *chores, int rc,
                         struct pl_error *err)
{
    struct pl_results results;
    struct pl_error why = {0};
    int wrote = pl_results_read(r, &results, &why);

    if (wrote == PL_OK) {
        results.chores = chores;
        wrote = pl_results_write(&results, &why);
        pl_results_release(&results);
    }
    if (wrote == PL_OK && rc == PL_OK)
        printf("%s/results.html, results.md with plots/, results.json\n", r->dir);
    return rc < 0 ? rc : wrote < 0 ? pl_fail(err, wrote, "%s", why.text) : PL_OK;
}

static int reproduce(const struct conf *conf, struct pl_reproduce *r, struct pl_error *err)
{
    char *own = pl_program_folder(), *program = own ? pl_strf("%s/plait", own) : NULL;
    struct pl_chores chores;
    int rc = program ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory for the name of plait itself");

    pl_chores_init(&chores, r->dir, program);
    if (rc == PL_OK)
        rc = pl_reproduce_plan(r, &chores, err);
    if (rc == PL_OK && conf->list) {
        rc = list(&chores) < 0 ? pl_fail(err, PL_EIO, "standard output cannot be written") : PL_OK;
    } else if (rc == PL_OK) {
        rc = pl_reproduce_open(r, err);
        if (rc == PL_OK)
            rc = pl_chores_run(&chores, err);
        if (rc == PL_OK || rc == PL_ECANCELED)
            rc = write_results(r, &chores, rc, err);
    }
    pl_chores_release(&chores);
    free(program);
    free(own);
    return rc;
}

static int open_all(const struct conf *conf, struct pl_error *err)
{
    char *recipes =
        conf->recipes ? strdup(conf->recipes) : pl_share_folder("PLAIT_RECIPES", "recipes");
    char *path = recipes ? scale_path(conf, recipes) : NULL;
    char *out = conf->out ? strdup(conf->out) : default_out(conf->scale);
    struct pl_reproduce r = {
        .dir = out, .recipes = recipes, .wants = wants, .wants_at = (void *)conf};
    struct pl_scale scale = {0};
    int rc = path && out ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory for the names of files");

    if (rc == PL_OK)
        rc = read_seeds(conf, &r, err);
    if (rc == PL_OK)
        rc = check_rows(conf, err);
    if (rc == PL_OK && !pl_path_exists(path))
        rc = pl_fail(
            err, PL_EINVAL,
            "--scale: there is no '%s'; plait has tiny, small and rare, and DIR/NAME.yaml is a "
            "file of yours",
            conf->scale);
    if (rc == PL_OK) {
        rc = pl_scale_load(path, &scale, err);
        if (rc == PL_OK) {
            r.scale = &scale;
            rc = reproduce(conf, &r, err);
            pl_scale_release(&scale);
        }
    }
    free(out);
    free(path);
    free(recipes);
    return rc;
}

int pl_cmd_reproduce(int argc, char **argv)
{
    struct conf conf;
    struct pl_error err = {0};
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    pl_signals_catch();
    rc = open_all(&conf, &err);
    if (rc < 0)
        fprintf(stderr, "%s: %s\n", command.name, err.text);
    pl_options_release(&command, &conf);
    if (rc == PL_ECANCELED)
        return 128 + pl_signals_stop();
    return rc == PL_OK ? PL_STATUS_OK : rc == PL_EINVAL ? PL_STATUS_USAGE : PL_STATUS_FAILED;
}
