/*
 * Commands of a command: `plait model init`, `plait model info`, ... Help, unknown words and the
 * nearest known one are answered here.
 */
#ifndef PL_DEPLOY_SUBCOMMAND_H
#define PL_DEPLOY_SUBCOMMAND_H

#include <stddef.h>

struct pl_subcommand {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the name; returns an exit status */
    const char *help;
};

struct pl_subcommands {
    const char *name;  /* as typed: "plait model" */
    const char *about; /* one sentence */
    const struct pl_subcommand *rows;
    size_t count;
};

/* argv[0] is the command, argv[1] one of the rows, "help" or "--help". Returns an exit status. */
int pl_subcommands_run(const struct pl_subcommands *commands, int argc, char **argv);

#endif
