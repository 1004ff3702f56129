#include "deploy/cmd_dead.h"

#include "common/app/options.h"
#include "common/app/term.h"
#include "common/base/buf.h"
#include "common/link/dead.h"
#include "common/text/safe.h"
#include "deploy/run_arg.h"
#include "deploy/subcommand.h"
#include "deploy/view/dead_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REASON_SHOWN = 60, REASON_MAX = 200, TEXT_MAX = 1 << 30 };

struct conf {
    const char *run, *reason;
    struct pl_option_list ids, set;
    bool json, all;
    int color;
};

#define RUN PL_ARG(struct conf, run, "RUN", "folder of the run, or its configuration")
#define SET                                                                                        \
    PL_OPTION_LIST(struct conf, set, "set", "NAME=VALUE", NULL,                                    \
                   "a setting that goes before the configuration's; may be repeated")
#define JSON PL_OPTION_FLAG(struct conf, json, "json", 0, "print one JSON object, for scripts")

static const char ids_help[] = "groups (\"12:3\") or entries (\"1795565778000-0\") of the list";

static const struct pl_option ls_options[] = {
    RUN,
    PL_OPTION_CHOICE(struct conf, color, "color", "auto", PL_COLOR_CHOICES,
                     "whether to colour the table"),
    JSON,
    SET,
};
static const struct pl_option show_options[] = {
    RUN,
    PL_ARG_LIST(struct conf, ids, "ID", 1, ids_help),
    JSON,
    SET,
};
static const struct pl_option retry_options[] = {
    RUN,
    PL_ARG_LIST(struct conf, ids, "ID", 0, ids_help),
    PL_OPTION_FLAG(struct conf, all, "all", 0, "all of them"),
    JSON,
    SET,
};
static const struct pl_option drop_options[] = {
    RUN,
    PL_ARG_LIST(struct conf, ids, "ID", 0, ids_help),
    PL_OPTION_FLAG(struct conf, all, "all", 0, "all of them"),
    PL_OPTION_STRING(struct conf, reason, "reason", "TEXT", "",
                     "what the group is counted as dropped for; empty: what it died of"),
    JSON,
    SET,
};

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static const struct pl_command ls_command = {
    .name = "plait dead ls",
    .about = "Lists the groups of a run that failed for good: those that were delivered too often, "
             "or that nobody could read. Their batches went on without them.",
    .options = ls_options,
    .count = COUNT(ls_options),
};
static const struct pl_command show_command = {
    .name = "plait dead show",
    .about = "Shows dead groups: why they are dead, and what is in them, as far as it can be read.",
    .options = show_options,
    .count = COUNT(show_options),
};
static const struct pl_command retry_command = {
    .name = "plait dead retry",
    .about = "Puts dead groups back into the queue that they came from. Their batch waits for them "
             "again. It is refused where nobody would take them: the batch is over, or the learner "
             "may have begun to train on it without them.",
    .options = retry_options,
    .count = COUNT(retry_options),
};
static const struct pl_command drop_command = {
    .name = "plait dead drop",
    .about = "Takes dead groups out of the list for good. They stay counted as dropped, for the "
             "reason given.",
    .options = drop_options,
    .count = COUNT(drop_options),
};

/* ---- entries that are asked for ---- */

/* What a list keeps of an entry. */
struct found {
    char entry[48];
    char *group; /* owned */
};
struct found_list {
    struct found *items;
    size_t count, cap;
};

static void found_release(struct found_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].group);
    free(list->items);
}

static int found_add(void *at, const struct pl_dead_entry *entry)
{
    struct found_list *list = at;
    char *group = strdup(entry->group);

    if (group && list->count == list->cap) {
        const size_t cap = list->cap ? 2 * list->cap : 64;
        struct found *items = reallocarray(list->items, cap, sizeof *items);

        if (!items) {
            free(group);
            return PL_ENOMEM;
        }
        list->items = items;
        list->cap = cap;
    }
    if (!group)
        return PL_ENOMEM;
    memcpy(list->items[list->count].entry, entry->entry, sizeof entry->entry);
    list->items[list->count++].group = group;
    return PL_OK;
}

static int no_such(const struct found_list *all, const char *id, struct pl_error *err)
{
    char some[256] = "";
    size_t len = 0;

    for (size_t i = 0; i < all->count && i < 5; i++)
        len += (size_t)snprintf(some + len, sizeof some - len, "%s%.40s", i > 0 ? ", " : "",
                                all->items[i].group);
    return pl_fail(err, PL_ENOENT, "no dead group is '%.80s'; %s%s%s", id,
                   all->count ? "there are: " : "none is dead", some,
                   all->count > 5 ? ", ..." : "");
}

/* The one entry of `all` that `id` names. */
static int find(const struct found_list *all, const char *id, const struct found **ret_found,
                struct pl_error *err)
{
    const struct found *one = NULL;
    size_t count = 0;

    for (size_t i = 0; i < all->count; i++) {
        if (strcmp(all->items[i].entry, id) == 0) {
            *ret_found = &all->items[i];
            return PL_OK;
        }
        if (strcmp(all->items[i].group, id) == 0) {
            one = &all->items[i];
            count++;
        }
    }
    if (count == 0)
        return no_such(all, id, err);
    if (count > 1)
        return pl_fail(err, PL_EINVAL,
                       "group '%.80s' is dead %zu times; name its entry, as 'plait dead ls' shows "
                       "it: the last is %s",
                       id, count, one->entry);
    *ret_found = one;
    return PL_OK;
}

/* ---- ls ---- */

struct ls {
    struct pl_table table;
    json_t *list; /* in place of the table */
};

/* Text from outside, made harmless and not longer than `most` characters; from malloc(). */
static char *cell(const char *text, size_t most)
{
    struct pl_buf safe;

    pl_buf_init(&safe, TEXT_MAX);
    if (pl_text_safe(text, strnlen(text, 4 * most), false, &safe) < 0)
        pl_buf_clear(&safe);
    if (safe.len > most) { /* on a whole character */
        size_t at = most - 3;

        while (at > 0 && ((unsigned char)safe.data[at] & 0xc0) == 0x80)
            at--;
        memcpy(safe.data + at, "...", 4);
    }
    return safe.data ? safe.data : strdup("");
}

static int ls_add(void *at, const struct pl_dead_entry *e)
{
    struct ls *ls = at;
    char when[PL_DEAD_WHEN_MAX], deliveries[24];
    char *group, *where, *worker, *reason;
    int rc;

    if (ls->list)
        return json_array_append_new(ls->list, pl_dead_group_json(e, false, NULL)) == 0 ? PL_OK
                                                                                        : PL_ENOMEM;
    group = cell(e->group, 48);
    where = cell(e->where, 16);
    worker = cell(e->worker, 32);
    reason = cell(e->reason, REASON_SHOWN);
    snprintf(deliveries, sizeof deliveries, "%llu", (unsigned long long)e->deliveries);
    rc = pl_table_add(&ls->table,
                      (const char *const[]){e->entry, group, where, pl_dead_when(when, e->at_s),
                                            deliveries, worker, reason});
    free(group);
    free(where);
    free(worker);
    free(reason);
    return rc;
}

static int ls(const struct conf *c, const struct pl_run_conf *run, struct pl_dead *dead,
              struct pl_error *err)
{
    static const char *const heading[] = {"entry",      "group",  "where", "since",
                                          "deliveries", "worker", "reason"};
    struct ls ls = {.list = c->json ? json_array() : NULL};
    int rc;

    pl_table_init(&ls.table, "llllrll");
    rc = pl_table_add(&ls.table, heading);
    if (rc == PL_OK)
        rc = pl_dead_each(dead, 0, ls_add, &ls, err);
    if (rc == PL_ENOMEM)
        pl_fail(err, rc, "no memory for the list of dead groups");
    if (rc == PL_OK && c->json)
        rc = pl_run_arg_print(json_pack("{s:s, s:O}", "run", run->name, "dead", ls.list), err);
    else if (rc == PL_OK && ls.table.rows == 1)
        rc = puts("No group is dead.") < 0 ? pl_fail_errno(err, "write the result") : PL_OK;
    else if (rc == PL_OK && pl_table_print(&ls.table, stdout, (enum pl_color)c->color) < 0)
        rc = pl_fail_errno(err, "write the result");
    json_decref(ls.list);
    pl_table_release(&ls.table);
    return rc;
}

/* ---- show ---- */

struct show {
    const char *entry;
    const struct pl_tokenizer *tokenizer;
    const char *no_tokenizer;
    struct pl_buf *text;
    json_t *list; /* in place of text */
    bool shown;
};

static int show_one(void *at, const struct pl_dead_entry *e)
{
    struct show *s = at;
    json_t *json;

    if (strcmp(e->entry, s->entry) != 0)
        return PL_OK;
    s->shown = true;
    if (!s->list)
        return pl_dead_group_print(e, s->tokenizer, s->no_tokenizer, s->text);
    json = pl_dead_group_json(e, true, s->tokenizer);
    return json && json_array_append_new(s->list, json) == 0 ? PL_OK : PL_ENOMEM;
}

static int show_all(const struct conf *c, const struct found_list *all, struct pl_dead *dead,
                    struct show *s, struct pl_error *err)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < c->ids.count; i++) {
        const struct found *found = NULL;

        rc = find(all, c->ids.items[i], &found, err);
        if (rc == PL_OK && i > 0 && !s->list)
            rc = pl_buf_puts(s->text, "\n");
        if (rc < 0)
            break;
        s->entry = found->entry;
        s->shown = false;
        rc = pl_dead_each(dead, 0, show_one, s, err);
        if (rc == PL_OK && !s->shown)
            rc = pl_fail(err, PL_ENOENT, "'%.80s' is not among the dead any more", c->ids.items[i]);
    }
    if (rc == PL_ENOMEM || rc == PL_EFULL)
        pl_fail(err, rc, "no memory to show the group");
    return rc;
}

static int show(const struct conf *c, const struct pl_run_conf *run, struct pl_dead *dead,
                const struct found_list *all, struct pl_error *err)
{
    struct pl_tokenizer *tokenizer = NULL;
    struct pl_error none = {0};
    struct pl_buf text;
    struct show s = {.text = &text, .no_tokenizer = none.text};
    int rc;

    pl_buf_init(&text, TEXT_MAX);
    (void)pl_tokenizer_load(run->model, &tokenizer, &none); /* without it, numbers are shown */
    s.tokenizer = tokenizer;
    s.list = c->json ? json_array() : NULL;
    rc = show_all(c, all, dead, &s, err);
    if (rc == PL_OK && s.list)
        rc = pl_run_arg_print(json_pack("{s:s, s:O}", "run", run->name, "dead", s.list), err);
    else if (rc == PL_OK && fwrite(text.data, 1, text.len, stdout) != text.len)
        rc = pl_fail_errno(err, "write the result");
    json_decref(s.list);
    pl_buf_release(&text);
    pl_tokenizer_destroy(tokenizer);
    return rc;
}

/* ---- retry, drop ---- */

enum change { RETRY, DROP };

struct changes {
    enum change change;
    const char *reason;
    struct pl_dead *dead;
    json_t *done, *refused; /* NULL: sentences are printed */
    size_t done_count, refused_count;
};

static int change_one(struct changes *c, const struct found *f, struct pl_error *err)
{
    enum pl_dead_outcome outcome = PL_DEAD_DONE;
    char *group = cell(f->group, 48);
    int rc = c->change == RETRY ? pl_dead_retry(c->dead, f->entry, &outcome, err)
                                : pl_dead_drop(c->dead, f->entry, c->reason, &outcome, err);

    if (rc == PL_OK && outcome == PL_DEAD_DONE) {
        c->done_count++;
        if (c->done)
            json_array_append_new(c->done, json_string(group));
        else
            printf("%s %s\n", group,
                   c->change == RETRY ? "is queued again" : "is dropped for good");
    } else if (rc == PL_OK) {
        const char *why = pl_dead_outcome_text(outcome);

        c->refused_count++;
        if (c->refused)
            json_array_append_new(c->refused,
                                  json_pack("{s:s, s:s}", "group", group, "reason", why));
        else
            fprintf(stderr, "%s (%s) was left as it is: %s.\n", group, f->entry, why);
    }
    free(group);
    return rc;
}

/* All names are looked up before anything is changed. */
static int change(const struct conf *c, enum change what, struct pl_dead *dead,
                  const struct found_list *all, struct pl_error *err)
{
    struct changes changes = {.change = what, .reason = c->reason, .dead = dead};
    const struct found *found = NULL;
    int rc = PL_OK;

    if (c->json) {
        changes.done = json_array();
        changes.refused = json_array();
    }
    for (size_t i = 0; rc == PL_OK && !c->all && i < c->ids.count; i++)
        rc = find(all, c->ids.items[i], &found, err);
    for (size_t i = 0; rc == PL_OK && !c->all && i < c->ids.count; i++) {
        rc = find(all, c->ids.items[i], &found, err);
        if (rc == PL_OK)
            rc = change_one(&changes, found, err);
    }
    for (size_t i = 0; rc == PL_OK && c->all && i < all->count; i++)
        rc = change_one(&changes, &all->items[i], err);
    if (rc == PL_OK && c->json)
        rc = pl_run_arg_print(json_pack("{s:O, s:O}", what == RETRY ? "retried" : "dropped",
                                        changes.done, "refused", changes.refused),
                              err);
    else if (rc == PL_OK && c->all && all->count == 0)
        puts("No group is dead.");
    if (rc == PL_OK && changes.refused_count > 0)
        rc = pl_fail(err, PL_EINVAL, "%zu of %zu were left as they are", changes.refused_count,
                     changes.refused_count + changes.done_count);
    json_decref(changes.done);
    json_decref(changes.refused);
    return rc;
}

/* ---- the commands ---- */

enum verb { VERB_LS, VERB_SHOW, VERB_RETRY, VERB_DROP };

static const struct pl_command *const commands[] = {&ls_command, &show_command, &retry_command,
                                                    &drop_command};

static int check(const struct conf *c, enum verb verb, struct pl_error *err)
{
    if (verb < VERB_RETRY)
        return PL_OK;
    if (c->all == (c->ids.count > 0))
        return pl_fail(err, PL_EINVAL, "name groups, or give --all");
    if (verb != VERB_DROP)
        return PL_OK;
    for (const char *at = c->reason; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return pl_fail(err, PL_EINVAL, "--reason: it may not hold control characters");
    return strlen(c->reason) <= REASON_MAX
               ? PL_OK
               : pl_fail(err, PL_EINVAL, "--reason: %d bytes are the most", REASON_MAX);
}

static int act(const struct conf *c, enum verb verb, const struct pl_run_conf *run,
               struct pl_error *err)
{
    char *url = pl_run_conf_redis(run);
    struct found_list all = {0};
    struct pl_dead *dead = NULL;
    const char *role = verb == VERB_RETRY || verb == VERB_DROP ? "admin" : "viewer";
    int rc = url ? pl_dead_open(url, &run->access, role, run->name, &dead, err)
                 : pl_fail(err, PL_ENOMEM, "no memory to look at Redis");

    if (rc == PL_OK && verb != VERB_LS) {
        rc = pl_dead_each(dead, 0, found_add, &all, err);
        if (rc == PL_ENOMEM)
            pl_fail(err, rc, "no memory for the list of dead groups");
    }
    if (rc == PL_OK)
        rc = verb == VERB_LS     ? ls(c, run, dead, err)
             : verb == VERB_SHOW ? show(c, run, dead, &all, err)
                                 : change(c, verb == VERB_RETRY ? RETRY : DROP, dead, &all, err);
    if (fflush(stdout) != 0 && rc == PL_OK)
        rc = pl_fail_errno(err, "write the result");
    found_release(&all);
    pl_dead_close(dead);
    free(url);
    return rc;
}

static int run_verb(enum verb verb, int argc, char **argv)
{
    const struct pl_command *command = commands[verb];
    struct pl_run_conf run;
    struct pl_error err = {0};
    struct conf conf = {0};
    int status, rc;

    if (!pl_options_read(command, argc, argv, &conf, &status))
        return status;
    rc = check(&conf, verb, &err);
    if (rc < 0) {
        fprintf(stderr, "%s: %s\nTry '%s --help'.\n", command->name, err.text, command->name);
        status = PL_STATUS_USAGE;
    } else {
        rc = pl_run_arg_load(conf.run, &conf.set, &run, &err);
        if (rc < 0) {
            status = pl_command_refused(command, &err);
        } else {
            rc = act(&conf, verb, &run, &err);
            pl_run_conf_release(&run);
            status = pl_command_ended(command, rc, &err);
        }
    }
    pl_options_release(command, &conf);
    return status;
}

static int run_ls(int argc, char **argv)
{
    return run_verb(VERB_LS, argc, argv);
}

static int run_show(int argc, char **argv)
{
    return run_verb(VERB_SHOW, argc, argv);
}

static int run_retry(int argc, char **argv)
{
    return run_verb(VERB_RETRY, argc, argv);
}

static int run_drop(int argc, char **argv)
{
    return run_verb(VERB_DROP, argc, argv);
}

static const struct pl_subcommand rows[] = {
    {"ls", run_ls, "the groups that failed for good"},
    {"show", run_show, "why, and what is in them"},
    {"retry", run_retry, "back into the queue they came from"},
    {"drop", run_drop, "out of the list for good"},
};

static const struct pl_subcommands subcommands = {
    .name = "plait dead",
    .about = "Groups of a run that failed for good: see them, try them again, drop them.",
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
};

int pl_cmd_dead(int argc, char **argv)
{
    return pl_subcommands_run(&subcommands, argc, argv);
}
