#include "deploy/cmd_trace.h"

#include "common/app/options.h"
#include "common/app/term.h"
#include "common/base/buf.h"
#include "common/link/dead.h"
#include "common/link/news.h"
#include "deploy/run_arg.h"
#include "deploy/view/lines.h"
#include "deploy/view/trace_page.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LINE_MAX_BYTES = 1 << 20, NEWS = 1000, TEXT_MAX = 1 << 26 };

struct conf {
    const char *run, *group;
    struct pl_option_list assignments, logs;
    bool json;
    int color;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, run, "RUN", "folder of the run, or its configuration"),
    PL_ARG(struct conf, group, "GROUP",
           "\"12:3\": group 3 of batch 12; of an evaluation, \"e12:3\""),
    PL_ARG_LIST(struct conf, assignments, "NAME=VALUE", 0,
                "settings that go before the configuration's"),
    PL_OPTION_LIST(struct conf, logs, "logs", "FILE|DIR|-", NULL,
                   "logs of the programs: files, folders of *.log, - is standard input; may be "
                   "repeated; else those in RUN/logs"),
    PL_OPTION_FLAG(struct conf, json, "json", 0, "print one JSON object, for scripts"),
    PL_OPTION_CHOICE(struct conf, color, "color", "auto", PL_COLOR_CHOICES,
                     "whether to colour the tables"),
};

static const struct pl_command command = {
    .name = "plait trace",
    .about = "Tells the story of one group out of all logs and Redis: who had it when, how long "
             "each stage took, who did not finish it, where it is now, and what came of it. "
             "Changes nothing.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "Logs may be text or JSON, of any number of machines, in any order. For example:\n\n"
             "  journalctl -o cat -u 'plait-*' | plait trace RUN 12:3 --logs -\n\n"
             "A group that neither logs nor Redis know is an error.\n",
};

/* ---- logs ---- */

/* "runs/demo/logs/actor-1.log" is of actor-1, where its lines do not say so themselves. */
static void name_of(const char *path, char name[80])
{
    const char *slash = strrchr(path, '/');

    snprintf(name, 80, "%s", slash ? slash + 1 : path);
    if (strlen(name) > 4 && strcmp(name + strlen(name) - 4, ".log") == 0)
        name[strlen(name) - 4] = '\0';
    if (strcmp(path, "/dev/stdin") == 0)
        name[0] = '\0';
}

static int read_file(struct pl_trace *trace, const char *path, struct pl_error *err)
{
    struct pl_lines lines;
    const char *line;
    char name[80];
    size_t len;
    int rc = pl_lines_open(path, LINE_MAX_BYTES, &lines, err);

    name_of(path, name);
    while (rc == PL_OK && (rc = pl_lines_next(&lines, &line, &len, err)) == 1) {
        rc = pl_trace_line(trace, name, line);
        if (rc < 0)
            pl_fail(err, rc, "no memory for the lines of '%s'", path);
    }
    pl_lines_close(&lines);
    return rc;
}

static int read_folder(struct pl_trace *trace, const char *folder, struct pl_error *err)
{
    char *pattern = pl_strf("%s/*.log", folder);
    glob_t found = {0};
    int rc = PL_OK;

    if (!pattern)
        return pl_fail(err, PL_ENOMEM, "no memory to look for logs");
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; rc == PL_OK && i < found.gl_pathc; i++)
            rc = read_file(trace, found.gl_pathv[i], err);
    globfree(&found);
    free(pattern);
    return rc;
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int read_logs(const struct conf *conf, const struct pl_run_conf *run, struct pl_trace *trace,
                     struct pl_error *err)
{
    char *own = pl_strf("%s/logs", run->dir);
    int rc = own ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory to look for logs");

    if (rc == PL_OK && conf->logs.count == 0 && is_folder(own))
        rc = read_folder(trace, own, err);
    for (size_t i = 0; rc == PL_OK && i < conf->logs.count; i++) {
        const char *path = conf->logs.items[i];

        if (strcmp(path, "-") == 0)
            rc = read_file(trace, "/dev/stdin", err);
        else if (is_folder(path))
            rc = read_folder(trace, path, err);
        else
            rc = read_file(trace, path, err);
    }
    free(own);
    return rc;
}

/* ---- Redis ---- */

static int take_news(void *at, const struct pl_news *news)
{
    return pl_trace_news(at, news);
}

static int take_dead(void *at, const struct pl_dead_entry *entry)
{
    struct pl_trace_page *page = at;

    if (strcmp(entry->group, page->trace->group) == 0)
        snprintf(page->dead, sizeof page->dead,
                 "%.200s (found by %.60s after %llu deliveries, in %.20s)", entry->reason,
                 entry->worker, (unsigned long long)entry->deliveries, entry->where);
    return PL_OK;
}

static int ask_redis(const struct pl_run_conf *run, struct pl_trace *trace,
                     struct pl_trace_page *page, struct pl_error *err)
{
    char *url = pl_run_conf_redis(run);
    struct pl_reader reader = {0};
    struct pl_dead *dead = NULL;
    int rc = url ? pl_reader_open(url, &run->access, run->name, "plait-trace", &reader, err)
                 : pl_fail(err, PL_ENOMEM, "no memory to look at Redis");

    if (rc == PL_OK)
        rc = pl_lookup_group(&reader, trace->group, &page->lookup, err);
    if (rc == PL_OK)
        rc = pl_news_each(&reader, NEWS, take_news, trace, err);
    if (rc == PL_OK)
        rc = pl_dead_open(url, &run->access, "viewer", run->name, &dead, err);
    if (rc == PL_OK)
        rc = pl_dead_each(dead, 0, take_dead, page, err);
    pl_dead_close(dead);
    pl_reader_close(&reader);
    free(url);
    return rc;
}

/* ---- its result ---- */

/* The rollouts of batch b are those of step b + 1; of an evaluation, they have its name. */
static char *rollouts_of(const struct pl_run_conf *run, const char *batch)
{
    if (batch[0] == 'e')
        return pl_strf("%s/rollouts/%s.jsonl", run->dir, batch);
    return pl_strf("%s/rollouts/%llu.jsonl", run->dir, strtoull(batch, NULL, 10) + 1);
}

/* ---- the command ---- */

static int print(const struct conf *conf, const struct pl_trace_page *page, struct pl_error *err)
{
    struct pl_buf text;
    int rc;

    if (conf->json)
        return pl_run_arg_print(pl_trace_page_json(page), err);
    pl_buf_init(&text, TEXT_MAX);
    rc = pl_trace_page_print(page, (enum pl_color)conf->color, &text, err);
    if (rc == PL_OK && (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout) != 0))
        rc = pl_fail_errno(err, "write the result");
    pl_buf_release(&text);
    return rc;
}

static int trace_of(const struct conf *conf, const struct pl_run_conf *run, struct pl_error *err)
{
    struct pl_error why = {0};
    struct pl_trace trace = {0};
    struct pl_trace_page page = {.run = run->name, .trace = &trace, .redis_why = why.text};
    char *rollouts = NULL;
    int rc = pl_trace_init(&trace, conf->group, err);

    if (rc == PL_OK) {
        rollouts = rollouts_of(run, trace.batch);
        rc = rollouts ? read_logs(conf, run, &trace, err)
                      : pl_fail(err, PL_ENOMEM, "no memory to look for rollouts");
    }
    if (rc == PL_OK)
        page.redis = ask_redis(run, &trace, &page, &why) == PL_OK;
    if (rc == PL_OK) {
        page.rollouts = rollouts;
        rc = pl_trace_page_samples(rollouts, trace.group, &page.samples, err);
    }
    if (rc == PL_OK) {
        pl_trace_conclude(&trace);
        rc = pl_trace_page_is_empty(&page)
                 ? pl_fail(err, PL_ENOENT,
                           "group %s is not known: it is neither in the logs (%zu lines were read) "
                           "nor in the run's rollouts%s%s",
                           trace.group, trace.lines,
                           page.redis ? ", nor does Redis have it"
                                      : "; and of Redis nothing is known: ",
                           why.text)
                 : print(conf, &page, err);
    }
    json_decref(page.samples);
    pl_trace_release(&trace);
    free(rollouts);
    return rc;
}

int pl_cmd_trace(int argc, char **argv)
{
    struct pl_run_conf run;
    struct pl_error err = {0};
    struct conf conf;
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    rc = pl_run_arg_load_anywhere(conf.run, &conf.assignments, &run, &err);
    if (rc < 0) {
        status = pl_command_refused(&command, &err);
    } else {
        rc = trace_of(&conf, &run, &err);
        pl_run_conf_release(&run);
        status = pl_command_ended(&command, rc, &err);
    }
    pl_options_release(&command, &conf);
    return status;
}
