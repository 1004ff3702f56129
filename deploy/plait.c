/*
 * The front end: `plait <command> ...`. Commands in the table below are built in; anything else is
 * a program `plait-<command>` of its own (external.h).
 *
 * Exit statuses: 0 done; 1 failed, one sentence on standard error says why; 2 the command line was
 * wrong; 128 + n when signal n ended it.
 */
#include "actor/chat.h"
#include "common/app/nearest.h"
#include "common/app/options.h"
#include "common/app/term.h"
#include "common/base/build.h"
#include "deploy/cmd_data.h"
#include "deploy/cmd_dead.h"
#include "deploy/cmd_doctor.h"
#include "deploy/cmd_eval.h"
#include "deploy/cmd_keygen.h"
#include "deploy/cmd_model.h"
#include "deploy/cmd_plan.h"
#include "deploy/cmd_quarantine.h"
#include "deploy/cmd_redis.h"
#include "deploy/cmd_report.h"
#include "deploy/cmd_reproduce.h"
#include "deploy/cmd_status.h"
#include "deploy/cmd_tokenizer.h"
#include "deploy/cmd_top.h"
#include "deploy/cmd_trace.h"
#include "deploy/cmd_up.h"
#include "deploy/external.h"
#include "learner/sft.h"

#include <build_tag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct builtin {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns an exit status */
    const char *help;
};

static const struct builtin builtins[] = {
    {"doctor", pl_cmd_doctor, "measure this machine and prove row invariance on it"},
    {"model", pl_cmd_model, "make, describe and score with model folders"},
    {"tokenizer", pl_cmd_tokenizer, "train, inspect and apply tokenizers"},
    {"data", pl_cmd_data, "make and import tasks and worked answers"},
    {"chat", pl_cmd_chat, "talk to a model in the terminal"},
    {"eval", pl_cmd_eval, "measure a model on tasks"},
    {"plan", pl_cmd_plan, "what a run will take: memory, time, machines"},
    {"up", pl_cmd_up, "train by reward: a whole run on this machine"},
    {"status", pl_cmd_status, "how a run stands, and who waits for whom"},
    {"top", pl_cmd_top, "a run on a full screen: workers, queues, what happens"},
    {"trace", pl_cmd_trace, "the story of one group, out of all logs"},
    {"dead", pl_cmd_dead, "groups that failed for good: see, retry, drop"},
    {"quarantine", pl_cmd_quarantine, "actors that are not trusted: see, let out"},
    {"keygen", pl_cmd_keygen, "keys by which the programs of a run know each other"},
    {"redis", pl_cmd_redis, "what a Redis needs: functions, users, certificates"},
    {"reproduce", pl_cmd_reproduce, "the paper's tables, at a small scale"},
    {"report", pl_cmd_report, "a page of plots and rollouts for runs"},
    {"sft", pl_cmd_sft, "fine-tune a model on prompts and responses"},
    {0},
};

static const struct builtin *find_builtin(const char *name)
{
    for (size_t i = 0; builtins[i].name; i++) {
        if (strcmp(builtins[i].name, name) == 0)
            return &builtins[i];
    }
    return NULL;
}

static void print_external(void *at, const char *name)
{
    size_t *count = at;

    if ((*count)++ == 0)
        printf("\nPrograms found beside plait or in PATH:\n");
    printf("  %s\n", name);
}

static int print_help(void)
{
    const struct pl_style style = pl_term_style(STDOUT_FILENO, PL_COLOR_AUTO);
    size_t external_count = 0;

    printf("Usage: plait COMMAND [OPTION]... [ARGUMENT]...\n\n"
           "Trains language models to reason interleaved: think, answer, think on.\n\nCommands:\n");
    for (size_t i = 0; builtins[i].name; i++)
        printf("  %s%-10s%s  %s\n", style.bold, builtins[i].name, style.reset, builtins[i].help);
    pl_external_each(print_external, &external_count);
    printf("\n  plait help COMMAND   options of a command; the same as plait COMMAND --help\n"
           "  plait --version      version\n\n"
           "Exit status: 0 done, 1 failed, 2 wrong command line, 128+n ended by signal n.\n");
    return fflush(stdout) == 0 ? PL_STATUS_OK : PL_STATUS_FAILED;
}

/* The nearest external command, whose name is gone once its folder is closed: so a copy is kept. */
struct offer {
    struct pl_nearest nearest;
    char kept[256];
};

static void offer(void *at, const char *name)
{
    struct offer *offer = at;

    pl_nearest_offer(&offer->nearest, name);
    if (offer->nearest.best == name) {
        snprintf(offer->kept, sizeof offer->kept, "%s", name);
        offer->nearest.best = offer->kept;
    }
}

static int unknown_command(const char *name)
{
    struct offer best = {.nearest = {.word = name}};

    pl_external_each(offer, &best);
    for (size_t i = 0; builtins[i].name; i++)
        pl_nearest_offer(&best.nearest, builtins[i].name);
    pl_nearest_offer(&best.nearest, "help");
    if (best.nearest.best)
        fprintf(stderr, "plait: unknown command '%s'; did you mean '%s'?\n", name,
                best.nearest.best);
    else
        fprintf(stderr, "plait: unknown command '%s'.\n", name);
    fprintf(stderr, "Try 'plait help'.\n");
    return PL_STATUS_USAGE;
}

/* argv[0] is the command. */
static int run(int argc, char **argv)
{
    const struct builtin *builtin = find_builtin(argv[0]);
    struct pl_error err = {0};
    char *path = NULL;
    int rc;

    if (builtin)
        return builtin->run(argc, argv);
    rc = pl_external_find(argv[0], &path);
    if (rc == PL_ENOENT)
        return unknown_command(argv[0]);
    if (rc == PL_OK) {
        argv[0] = path;
        pl_external_run(path, argv, &err);
    } else {
        pl_fail(&err, rc, "no memory to look for 'plait-%s'", argv[0]);
    }
    fprintf(stderr, "plait: %s\n", err.text);
    free(path);
    return PL_STATUS_FAILED;
}

static int help(int argc, char **argv)
{
    char *words[] = {argc > 1 ? argv[1] : NULL, argc > 2 ? argv[2] : "--help", "--help", NULL};

    if (argc < 2 || strcmp(argv[1], "help") == 0)
        return print_help();
    return run(argc > 2 ? 3 : 2, words);
}

int main(int argc, char **argv)
{
    pl_build_set(PL_BUILD);
    if (argc < 2) {
        fprintf(stderr, "plait: a command is missing.\nTry 'plait help'.\n");
        return PL_STATUS_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("plait %s\nbuild %s\n", PL_VERSION, PL_BUILD);
        return fflush(stdout) == 0 ? PL_STATUS_OK : PL_STATUS_FAILED;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0)
        return help(argc - 1, argv + 1);
    if (argv[1][0] == '-') {
        fprintf(stderr, "plait: unknown option '%s'.\nTry 'plait help'.\n", argv[1]);
        return PL_STATUS_USAGE;
    }
    return run(argc - 1, argv + 1);
}
