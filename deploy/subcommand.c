#include "deploy/subcommand.h"

#include "common/app/nearest.h"
#include "common/app/options.h"
#include "common/app/term.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct pl_subcommand *find(const struct pl_subcommands *commands, const char *name)
{
    for (size_t i = 0; i < commands->count; i++) {
        if (strcmp(commands->rows[i].name, name) == 0)
            return &commands->rows[i];
    }
    return NULL;
}

static int print_help(const struct pl_subcommands *commands)
{
    const struct pl_style style = pl_term_style(STDOUT_FILENO, PL_COLOR_AUTO);

    printf("Usage: %s COMMAND [OPTION]... [ARGUMENT]...\n\n%s\n\nCommands:\n", commands->name,
           commands->about);
    for (size_t i = 0; i < commands->count; i++)
        printf("  %s%-10s%s  %s\n", style.bold, commands->rows[i].name, style.reset,
               commands->rows[i].help);
    printf("\n  %s COMMAND --help   options of a command\n", commands->name);
    return fflush(stdout) == 0 ? PL_STATUS_OK : PL_STATUS_FAILED;
}

static int wrong(const struct pl_subcommands *commands, const char *what, const char *word)
{
    struct pl_nearest nearest = {.word = word};

    for (size_t i = 0; i < commands->count && word[0] != '-'; i++)
        pl_nearest_offer(&nearest, commands->rows[i].name);
    if (nearest.best)
        fprintf(stderr, "%s: %s '%s'; did you mean '%s'?\n", commands->name, what, word,
                nearest.best);
    else
        fprintf(stderr, "%s: %s '%s'.\n", commands->name, what, word);
    fprintf(stderr, "Try '%s --help'.\n", commands->name);
    return PL_STATUS_USAGE;
}

int pl_subcommands_run(const struct pl_subcommands *commands, int argc, char **argv)
{
    char *help_words[] = {argc > 2 ? argv[2] : NULL, "--help", NULL};
    const struct pl_subcommand *row;

    if (argc < 2) {
        fprintf(stderr, "%s: a command is missing.\nTry '%s --help'.\n", commands->name,
                commands->name);
        return PL_STATUS_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        (strcmp(argv[1], "help") == 0 && argc == 2))
        return print_help(commands);
    if (argv[1][0] == '-')
        return wrong(commands, "unknown option", argv[1]);
    if (strcmp(argv[1], "help") == 0) {
        row = find(commands, argv[2]);
        return row ? row->run(2, help_words) : wrong(commands, "unknown command", argv[2]);
    }
    row = find(commands, argv[1]);
    return row ? row->run(argc - 1, argv + 1) : wrong(commands, "unknown command", argv[1]);
}
