#include "deploy/cmd_quarantine.h"

#include "common/app/options.h"
#include "common/app/term.h"
#include "common/base/buf.h"
#include "common/link/quarantine.h"
#include "common/text/safe.h"
#include "deploy/run_arg.h"
#include "deploy/subcommand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct conf {
    const char *run;
    struct pl_option_list actors, set;
    bool json, all;
    int color;
};

#define RUN PL_ARG(struct conf, run, "RUN", "folder of the run, or its configuration")
#define SET                                                                                        \
    PL_OPTION_LIST(struct conf, set, "set", "NAME=VALUE", NULL,                                    \
                   "a setting that goes before the configuration's; may be repeated")
#define JSON PL_OPTION_FLAG(struct conf, json, "json", 0, "print one JSON object, for scripts")

static const struct pl_option ls_options[] = {
    RUN,
    PL_OPTION_CHOICE(struct conf, color, "color", "auto", PL_COLOR_CHOICES,
                     "whether to colour the table"),
    JSON,
    SET,
};
static const struct pl_option lift_options[] = {
    RUN,
    PL_ARG_LIST(struct conf, actors, "ACTOR", 0, "names, as plait quarantine ls shows them"),
    PL_OPTION_FLAG(struct conf, all, "all", 0, "all of them"),
    JSON,
    SET,
};

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static const struct pl_command ls_command = {
    .name = "plait quarantine ls",
    .about = "Lists the actors of a run whose work is not taken any more, because they handed over "
             "what was not asked for, or an audit found their numbers to be others.",
    .options = ls_options,
    .count = COUNT(ls_options),
};
static const struct pl_command lift_command = {
    .name = "plait quarantine lift",
    .about = "Lets actors out of quarantine and forgets their strikes: their work is taken again. "
             "First mend what the reason says.",
    .options = lift_options,
    .count = COUNT(lift_options),
};

/* ---- who is in it ---- */

struct names {
    char **items; /* owned */
    size_t count, cap;
};

static void names_release(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
}

static int names_add(void *at, const struct pl_quarantined *one)
{
    struct names *n = at;

    if (n->count == n->cap) {
        const size_t cap = n->cap ? 2 * n->cap : 16;
        char **items = reallocarray(n->items, cap, sizeof *items);

        if (!items)
            return PL_ENOMEM;
        n->items = items;
        n->cap = cap;
    }
    n->items[n->count] = strdup(one->actor);
    return n->items[n->count] ? (n->count++, PL_OK) : PL_ENOMEM;
}

/* ---- ls ---- */

struct ls {
    struct pl_table table;
    json_t *list; /* in place of the table */
};

/* Text from outside, made harmless; from malloc(). */
static char *harmless(const char *text)
{
    struct pl_buf safe;

    pl_buf_init(&safe, 1 << 20);
    if (pl_text_safe(text, strlen(text), false, &safe) < 0)
        pl_buf_clear(&safe);
    return safe.data ? safe.data : strdup("");
}

static int ls_add(void *at, const struct pl_quarantined *one)
{
    struct ls *ls = at;
    char *actor = harmless(one->actor), *reason = harmless(one->reason), strikes[24];
    int rc = actor && reason ? PL_OK : PL_ENOMEM;

    snprintf(strikes, sizeof strikes, "%llu", (unsigned long long)one->strikes);
    if (rc == PL_OK && ls->list)
        rc = json_array_append_new(ls->list,
                                   json_pack("{s:s, s:I, s:s}", "actor", actor, "strikes",
                                             (json_int_t)one->strikes, "reason", reason)) == 0
                 ? PL_OK
                 : PL_ENOMEM;
    else if (rc == PL_OK)
        rc = pl_table_add(&ls->table, (const char *const[]){actor, strikes, reason});
    free(actor);
    free(reason);
    return rc;
}

static int ls(const struct conf *c, const struct pl_run_conf *run, struct pl_quarantine *quarantine,
              struct pl_error *err)
{
    static const char *const heading[] = {"actor", "strikes", "reason"};
    struct ls ls = {.list = c->json ? json_array() : NULL};
    int rc;

    pl_table_init(&ls.table, "lrl");
    rc = pl_table_add(&ls.table, heading);
    if (rc == PL_OK)
        rc = pl_quarantine_each(quarantine, ls_add, &ls, err);
    if (rc == PL_ENOMEM)
        pl_fail(err, rc, "no memory for the list");
    if (rc == PL_OK && c->json)
        rc = pl_run_arg_print(json_pack("{s:s, s:O}", "run", run->name, "quarantined", ls.list),
                              err);
    else if (rc == PL_OK && ls.table.rows == 1)
        rc =
            puts("No actor is in quarantine.") < 0 ? pl_fail_errno(err, "write the result") : PL_OK;
    else if (rc == PL_OK && pl_table_print(&ls.table, stdout, (enum pl_color)c->color) < 0)
        rc = pl_fail_errno(err, "write the result");
    json_decref(ls.list);
    pl_table_release(&ls.table);
    return rc;
}

/* ---- lift ---- */

/* All names are looked up before any is lifted. */
static int check_names(const struct conf *c, const struct names *all, struct pl_error *err)
{
    for (size_t i = 0; i < c->actors.count; i++) {
        bool there = false;

        for (size_t k = 0; k < all->count; k++)
            there = there || strcmp(all->items[k], c->actors.items[i]) == 0;
        if (!there)
            return pl_fail(err, PL_ENOENT, "'%.80s' is not in quarantine; %zu %s",
                           c->actors.items[i], all->count,
                           all->count == 1 ? "actor is" : "actors are");
    }
    return PL_OK;
}

static int lift(const struct conf *c, struct pl_quarantine *quarantine, struct pl_error *err)
{
    struct names all = {0};
    json_t *lifted = json_array();
    char *const *names = c->all ? NULL : c->actors.items;
    size_t count;
    int rc = pl_quarantine_each(quarantine, names_add, &all, err);

    if (rc == PL_ENOMEM || !lifted)
        rc = pl_fail(err, PL_ENOMEM, "no memory for the list");
    if (rc == PL_OK)
        rc = check_names(c, &all, err);
    names = c->all ? all.items : names;
    count = c->all ? all.count : c->actors.count;
    for (size_t i = 0; rc == PL_OK && i < count; i++) {
        char *name = harmless(names[i]);
        bool was = false;

        rc = pl_quarantine_lift(quarantine, names[i], &was, err);
        if (rc == PL_OK && was && name) {
            json_array_append_new(lifted, json_string(name));
            if (!c->json)
                printf("%s is out of quarantine\n", name);
        }
        free(name);
    }
    if (rc == PL_OK && c->json)
        rc = pl_run_arg_print(json_pack("{s:O}", "lifted", lifted), err);
    else if (rc == PL_OK && count == 0)
        puts("No actor is in quarantine.");
    json_decref(lifted);
    names_release(&all);
    return rc;
}

/* ---- the commands ---- */

static int act(const struct conf *c, bool lifts, const struct pl_run_conf *run,
               struct pl_error *err)
{
    struct pl_quarantine *quarantine = NULL;
    char *url = pl_run_conf_redis(run);
    int rc = url ? pl_quarantine_open(url, &run->access, lifts ? "admin" : "viewer", run->name,
                                      &quarantine, err)
                 : pl_fail(err, PL_ENOMEM, "no memory to look at Redis");

    if (rc == PL_OK)
        rc = lifts ? lift(c, quarantine, err) : ls(c, run, quarantine, err);
    if (fflush(stdout) != 0 && rc == PL_OK)
        rc = pl_fail_errno(err, "write the result");
    pl_quarantine_close(quarantine);
    free(url);
    return rc;
}

static int run_verb(const struct pl_command *command, bool lifts, int argc, char **argv)
{
    struct pl_run_conf run;
    struct pl_error err = {0};
    struct conf conf = {0};
    int status, rc;

    if (!pl_options_read(command, argc, argv, &conf, &status))
        return status;
    if (lifts && conf.all == (conf.actors.count > 0)) {
        fprintf(stderr, "%s: name actors, or give --all\nTry '%s --help'.\n", command->name,
                command->name);
        status = PL_STATUS_USAGE;
    } else {
        rc = pl_run_arg_load_anywhere(conf.run, &conf.set, &run, &err);
        if (rc < 0) {
            status = pl_command_refused(command, &err);
        } else {
            rc = act(&conf, lifts, &run, &err);
            pl_run_conf_release(&run);
            status = pl_command_ended(command, rc, &err);
        }
    }
    pl_options_release(command, &conf);
    return status;
}

static int run_ls(int argc, char **argv)
{
    return run_verb(&ls_command, false, argc, argv);
}

static int run_lift(int argc, char **argv)
{
    return run_verb(&lift_command, true, argc, argv);
}

static const struct pl_subcommand rows[] = {
    {"ls", run_ls, "the actors whose work is not taken"},
    {"lift", run_lift, "take it again"},
};

static const struct pl_subcommands subcommands = {
    .name = "plait quarantine",
    .about = "Actors of a run whose work is not taken any more: see them, let them out.",
    .rows = rows,
    .count = COUNT(rows),
};

int pl_cmd_quarantine(int argc, char **argv)
{
    return pl_subcommands_run(&subcommands, argc, argv);
}
